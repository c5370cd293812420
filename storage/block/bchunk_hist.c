/*
 * Chunks of native histograms: flags, layout, samples ("tsdb/chunkenc/histogram.go",
 * "float_histogram.go", "histogram_meta.go").
 */
#include "storage/block/bchunk_priv.h"

#include <math.h>

#define BOUND_SCALE 1000.0

struct numbers { /* of an integer bucket: what the sample before had */
	int64_t v, delta;
};
struct layout {
	double zero_threshold;
	int schema;
	struct hist_side side[2]; /* positive, negative */
	const double *bounds;
	uint32_t bounds_count, buckets;
};
struct reader {
	struct bits_hist *h;
	struct bits *b;
	struct arena *a;
	struct layout layout;
	/* by bucket, positive first; those of floats begin with count and zero count */
	struct numbers *ints;
	struct bits_float *floats;
	int64_t t_ms, delta_ms;
	struct numbers count, zero;
	struct bits_float sum;
};

static enum err wrong(struct reader *r, const char *what)
{
	r->h->what = what;
	return ERR_MALFORMED;
}

/* ---- the layout ---- */

static double zero_threshold(struct bits *b)
{
	uint64_t e = bits_take(b, 8);
	if (e == 255)
		return num_from_bits(bits_take(b, 64));
	return e ? ldexp(0.5, (int)e - 243) : 0;
}

static enum err spans(struct reader *r, struct hist_side *side)
{
	uint64_t n = bits_uvarbit(r->b), buckets = 0;
	if (bits_over(r->b))
		return ERR_TRUNCATED;
	/* each span has two numbers of a bit at least */
	if (n > HIST_BUCKETS_MAX || 2 * n > r->b->end - r->b->at)
		return wrong(r, "a histogram has too many spans");
	struct hist_span *s = arena_array(r->a, n ? n : 1, sizeof(*s));
	if (!s)
		return ERR_NOMEM;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t length = bits_uvarbit(r->b);
		int64_t offset = bits_varbit(r->b);
		if (bits_over(r->b))
			return ERR_TRUNCATED;
		if (length > HIST_BUCKETS_MAX || offset < INT32_MIN || offset > INT32_MAX ||
		    (i && offset < 0))
			return wrong(r, "a span of a histogram is out of range");
		s[i] = (struct hist_span){ .offset = (int32_t)offset, .length = (uint32_t)length };
		buckets += length;
	}
	if (buckets + r->layout.buckets > HIST_BUCKETS_MAX)
		return wrong(r, "a histogram has too many buckets");
	*side = (struct hist_side){
		.spans = s, .spans_count = (uint32_t)n, .counts_count = (uint32_t)buckets
	};
	r->layout.buckets += (uint32_t)buckets;
	return ERR_OK;
}

/* A bound in thousandths, plus one; or 0 and the double itself. */
static double bound(struct bits *b)
{
	uint64_t v = bits_uvarbit(b);
	return v ? (double)(v - 1) / BOUND_SCALE : num_from_bits(bits_take(b, 64));
}

static enum err bounds(struct reader *r)
{
	uint64_t n = bits_uvarbit(r->b);
	if (bits_over(r->b))
		return ERR_TRUNCATED;
	if (n > HIST_BUCKETS_MAX || n > r->b->end - r->b->at)
		return wrong(r, "a histogram has too many bounds");
	double *v = arena_array(r->a, n ? n : 1, sizeof(*v));
	if (!v)
		return ERR_NOMEM;
	for (uint64_t i = 0; i < n; i++) {
		v[i] = bound(r->b);
		if (bits_over(r->b))
			return ERR_TRUNCATED;
	}
	r->layout.bounds = v;
	r->layout.bounds_count = (uint32_t)n;
	return ERR_OK;
}

static enum err layout(struct reader *r)
{
	struct layout *l = &r->layout;
	l->zero_threshold = zero_threshold(r->b);
	int64_t schema = bits_varbit(r->b);
	if (bits_over(r->b))
		return ERR_TRUNCATED;
	if (schema != HIST_SCHEMA_CUSTOM && (schema < HIST_SCHEMA_MIN || schema > HIST_SCHEMA_FINER))
		return wrong(r, "a histogram has an unknown schema");
	l->schema = (int)schema;
	enum err e = spans(r, &l->side[0]);
	if (!e)
		e = spans(r, &l->side[1]);
	return e || schema != HIST_SCHEMA_CUSTOM ? e : bounds(r);
}

/* ---- a sample ---- */

static uint64_t number_next(struct bits *b, struct numbers *n, bool first)
{
	int64_t d = bits_varbit(b);
	if (first) {
		n->v = d;
	} else {
		n->delta = (int64_t)((uint64_t)n->delta + (uint64_t)d);
		n->v = (int64_t)((uint64_t)n->v + (uint64_t)n->delta);
	}
	return (uint64_t)n->v;
}

/* Each bucket of the bytes is the difference to the one before of its side. */
static enum err int_buckets(struct reader *r, bool first, uint32_t from, struct hist_side *side)
{
	union hist_count *c =
	    arena_array(r->a, side->counts_count ? side->counts_count : 1, sizeof(*c));
	uint64_t sum = 0;
	if (!c)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < side->counts_count; i++) {
		sum += number_next(r->b, &r->ints[from + i], first);
		c[i].n = sum;
		if (bits_over(r->b))
			return ERR_TRUNCATED;
	}
	side->counts = c;
	return ERR_OK;
}

static enum err float_next(struct reader *r, struct bits_float *f, bool first)
{
	if (first)
		*f = (struct bits_float){ .last = bits_take(r->b, 64) };
	else if (!bits_xor(r->b, f))
		return wrong(r, "a value has more than 64 bits");
	return bits_over(r->b) ? ERR_TRUNCATED : ERR_OK;
}

static enum err float_buckets(struct reader *r, bool first, uint32_t from, struct hist_side *side)
{
	union hist_count *c =
	    arena_array(r->a, side->counts_count ? side->counts_count : 1, sizeof(*c));
	if (!c)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < side->counts_count; i++) {
		enum err e = float_next(r, &r->floats[2 + from + i], first);
		if (e)
			return e;
		c[i].f = num_from_bits(r->floats[2 + from + i].last);
	}
	side->counts = c;
	return ERR_OK;
}

static void time_next(struct reader *r, uint32_t i)
{
	uint64_t d = (uint64_t)bits_varbit(r->b);
	if (i == 0) {
		r->t_ms = (int64_t)d;
		return;
	}
	r->delta_ms = (int64_t)(i == 1 ? d : (uint64_t)r->delta_ms + d);
	r->t_ms = (int64_t)((uint64_t)r->t_ms + (uint64_t)r->delta_ms);
}

static enum err head_ints(struct reader *r, bool first, struct hist *h)
{
	if (first) {
		r->count.v = (int64_t)bits_uvarbit(r->b);
		r->zero.v = (int64_t)bits_uvarbit(r->b);
	} else {
		number_next(r->b, &r->count, false);
		number_next(r->b, &r->zero, false);
	}
	h->count.n = (uint64_t)r->count.v;
	h->zero_count.n = (uint64_t)r->zero.v;
	return float_next(r, &r->sum, first);
}

static enum err head_floats(struct reader *r, bool first, struct hist *h)
{
	enum err e = float_next(r, &r->floats[0], first);
	if (!e)
		e = float_next(r, &r->floats[1], first);
	h->count.f = num_from_bits(r->floats[0].last);
	h->zero_count.f = num_from_bits(r->floats[1].last);
	return e ? e : float_next(r, &r->sum, first);
}

/*
 * "counterResetHint" of tsdb/chunkenc/histogram_meta.go: what the header says of the first one is
 * not believed, for the chunk before may be gone, or have come later.
 */
static uint8_t hint_of(const struct reader *r, uint32_t i)
{
	if (r->h->reset == 3)
		return HIST_GAUGE;
	return i ? HIST_NO_RESET : HIST_UNKNOWN;
}

static enum err sides(struct reader *r, bool first, struct hist *h)
{
	uint32_t positive = r->layout.side[0].counts_count;
	h->positive = r->layout.side[0];
	h->negative = r->layout.side[1];
	enum err e = h->is_float ? float_buckets(r, first, 0, &h->positive)
	                         : int_buckets(r, first, 0, &h->positive);
	if (e)
		return e;
	return h->is_float ? float_buckets(r, first, positive, &h->negative)
	                   : int_buckets(r, first, positive, &h->negative);
}

static enum err sample(struct reader *r, uint32_t i, struct hist *h)
{
	bool is_float = r->h->is_float;
	*h = (struct hist){ .is_float = is_float, .hint = hint_of(r, i) };
	time_next(r, i);
	enum err e = is_float ? head_floats(r, i == 0, h) : head_ints(r, i == 0, h);
	if (e)
		return e;
	h->sum = num_from_bits(r->sum.last);
	if (hist_is_stale(h)) {
		*h = (struct hist){ .is_float = is_float, .sum = h->sum };
		return ERR_OK;
	}
	h->schema = (int8_t)r->layout.schema;
	h->zero_threshold = r->layout.zero_threshold;
	h->bounds = r->layout.bounds;
	h->bounds_count = r->layout.bounds_count;
	return sides(r, i == 0, h);
}

/* A row behind the column's last one. */
static enum err put(struct reader *r, uint32_t at, const struct hist *h)
{
	struct column *to = r->h->to;
	const struct hist *kept;
	if (h->schema > HIST_SCHEMA_MAX) {
		kept = hist_reduce(r->a, h, HIST_SCHEMA_MAX);
	} else {
		struct hist *copy = arena_alloc(r->a, sizeof(*copy));
		if (copy)
			*copy = *h;
		kept = copy;
	}
	if (!kept)
		return ERR_NOMEM;
	to->t_ms[at] = r->t_ms;
	to->v[at] = num_from_bits(SAMPLE_HIST_BITS);
	to->count = at + 1;
	column_set(to, at, kept, r->h->starts.start_ms);
	return ERR_OK;
}

static enum err samples(struct reader *r)
{
	struct bits_hist *h = r->h;
	uint32_t first = h->to->count;
	for (uint32_t i = 0; i < h->count; i++) {
		struct hist one;
		int64_t before = r->t_ms;
		enum err e = sample(r, i, &one);
		if (!e && h->has_starts && !bits_starts_next(r->b, &h->starts, i, r->t_ms, before))
			e = wrong(r, "a number has more than 64 bits");
		if (!e && bits_over(r->b))
			e = ERR_TRUNCATED;
		if (!e && i && r->t_ms <= before)
			e = wrong(r, "times do not ascend");
		if (!e)
			e = put(r, first + i, &one);
		if (e) {
			column_keep(h->to, 0, 0, first);
			return e;
		}
	}
	return ERR_OK;
}

enum err bchunk_histograms(struct bits_hist *h)
{
	struct reader r = { .h = h, .b = &h->bits, .a = column_memory(h->to) };
	enum err e = layout(&r);
	if (e)
		return e;
	/* a stale first sample gives no bucket a first value: from 0, as in Go */
	size_t width = h->is_float ? sizeof(*r.floats) : sizeof(*r.ints), n = r.layout.buckets + 2u;
	void *before = memset(mem_array(NULL, n, width), 0, n * width);
	r.floats = h->is_float ? before : NULL;
	r.ints = h->is_float ? NULL : before;
	e = samples(&r);
	mem_free(before);
	return e;
}
