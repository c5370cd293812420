#include "core/model/hist.h"

#include <inttypes.h>

#define HEAD_HINT  3u
#define HEAD_BARE  4u
#define HEAD_FLOAT 8u
#define HEAD_KNOWN 15u

/* ---- equality ---- */

static bool same_bits(double a, double b)
{
	return num_bits(a) == num_bits(b);
}

static bool same_bytes(const void *a, const void *b, size_t bytes)
{
	return !bytes || a == b || !memcmp(a, b, bytes);
}

static bool side_layout_same(const struct hist_side *a, const struct hist_side *b)
{
	return a->counts_count == b->counts_count && a->spans_count == b->spans_count &&
	    same_bytes(a->spans, b->spans, a->spans_count * sizeof *a->spans);
}

static bool side_counts_same(const struct hist_side *a, const struct hist_side *b)
{
	return same_bytes(a->counts, b->counts, a->counts_count * sizeof *a->counts);
}

bool hist_same_layout(const struct hist *a, const struct hist *b)
{
	return a->is_float == b->is_float && a->schema == b->schema &&
	    same_bits(a->zero_threshold, b->zero_threshold) && a->bounds_count == b->bounds_count &&
	    side_layout_same(&a->negative, &b->negative) &&
	    side_layout_same(&a->positive, &b->positive) &&
	    same_bytes(a->bounds, b->bounds, a->bounds_count * sizeof *a->bounds);
}

bool hist_equal(const struct hist *a, const struct hist *b)
{
	if (a == b)
		return true;
	if (!a || !b)
		return false;
	return hist_same_layout(a, b) && a->hint == b->hint && same_bits(a->sum, b->sum) &&
	    a->count.n == b->count.n && a->zero_count.n == b->zero_count.n &&
	    side_counts_same(&a->negative, &b->negative) &&
	    side_counts_same(&a->positive, &b->positive);
}

/* ---- what may be stored ---- */

static enum err side_check(
    const struct hist *h, const struct hist_side *s, const char *name, struct errbuf *eb)
{
	uint64_t buckets = 0;
	for (uint32_t i = 0; i < s->spans_count; i++) {
		buckets += s->spans[i].length;
		if (s->spans[i].offset < 0 && (i > 0 || h->schema == HIST_SCHEMA_CUSTOM))
			return errbuf_set(eb, ERR_BADDATA,
			    "%s span %u of a native histogram has the negative offset %" PRId32,
			    name, i + 1, s->spans[i].offset);
	}
	if (buckets != s->counts_count)
		return errbuf_set(eb, ERR_BADDATA,
		    "%s spans of a native histogram need %" PRIu64 " buckets, it has %u", name,
		    buckets, s->counts_count);
	for (uint32_t i = 0; i < s->counts_count; i++)
		if (h->is_float ? s->counts[i].f < 0 : s->counts[i].n > INT64_MAX)
			return errbuf_set(eb, ERR_BADDATA,
			    "%s bucket %u of a native histogram has a count below 0", name, i + 1);
	return ERR_OK;
}

static enum err custom_check(const struct hist *h, struct errbuf *eb)
{
	uint64_t reach = 0;
	if (h->is_float ? h->zero_count.f != 0 : h->zero_count.n != 0)
		return errbuf_set(
		    eb, ERR_BADDATA, "a native histogram with custom buckets has a zero count");
	if (h->zero_threshold != 0)
		return errbuf_set(
		    eb, ERR_BADDATA, "a native histogram with custom buckets has a zero threshold");
	if (h->negative.spans_count || h->negative.counts_count)
		return errbuf_set(
		    eb, ERR_BADDATA, "a native histogram with custom buckets has negative buckets");
	for (uint32_t i = 0; i < h->bounds_count; i++) {
		double b = h->bounds[i];
		if (b != b || (i && b <= h->bounds[i - 1]))
			return errbuf_set(eb, ERR_BADDATA,
			    "custom bucket bounds of a native histogram are not ascending at %u",
			    i + 1);
	}
	if (h->bounds_count && num_bits(h->bounds[h->bounds_count - 1]) == 0x7ff0000000000000u)
		return errbuf_set(eb, ERR_BADDATA,
		    "the last custom bucket bound of a native histogram is +Inf, which is implied");
	for (uint32_t i = 0; i < h->positive.spans_count; i++)
		reach +=
		    (uint64_t)(h->positive.spans[i].offset > 0 ? h->positive.spans[i].offset : 0) +
		    h->positive.spans[i].length;
	if (reach > (uint64_t)h->bounds_count + 1)
		return errbuf_set(eb, ERR_BADDATA,
		    "spans of a native histogram reach bucket %" PRIu64
		    ", its custom bounds make %u buckets",
		    reach, h->bounds_count + 1);
	return ERR_OK;
}

static bool sum_add(const struct hist_side *s, uint64_t *sum)
{
	for (uint32_t i = 0; i < s->counts_count; i++)
		if (__builtin_add_overflow(*sum, s->counts[i].n, sum))
			return false;
	return true;
}

static enum err counts_check(const struct hist *h, struct errbuf *eb)
{
	if (h->is_float) {
		if (h->zero_count.f < 0 || h->count.f < 0)
			return errbuf_set(eb, ERR_BADDATA,
			    "a native histogram has a count or zero count below 0");
		return ERR_OK;
	}
	uint64_t sum = h->zero_count.n;
	bool fits = sum_add(&h->negative, &sum) && sum_add(&h->positive, &sum);
	bool nan = h->sum != h->sum; /* observations of NaN are in no bucket */
	if (!fits || (nan ? sum > h->count.n : sum != h->count.n))
		return errbuf_set(eb, ERR_BADDATA,
		    "buckets of a native histogram hold %s%" PRIu64
		    " observations, its count is %" PRIu64,
		    fits ? "" : "more than ", sum, h->count.n);
	return ERR_OK;
}

enum err hist_check(const struct hist *h, struct errbuf *eb)
{
	bool custom = h->schema == HIST_SCHEMA_CUSTOM;
	if (!custom && (h->schema < HIST_SCHEMA_MIN || h->schema > HIST_SCHEMA_MAX))
		return errbuf_set(eb, ERR_BADDATA,
		    "a native histogram has schema %d: %d to %d, or %d for custom buckets, are known",
		    h->schema, HIST_SCHEMA_MIN, HIST_SCHEMA_MAX, HIST_SCHEMA_CUSTOM);
	if (!custom && h->bounds_count)
		return errbuf_set(eb, ERR_BADDATA,
		    "a native histogram of schema %d has custom bucket bounds", h->schema);
	if (hist_cost(h) > HIST_BUCKETS_MAX)
		return errbuf_set(eb, ERR_BADDATA,
		    "a native histogram has %" PRIu64
		    " buckets, spans and bounds, at most %u are stored",
		    hist_cost(h), HIST_BUCKETS_MAX);
	enum err e = custom ? custom_check(h, eb) : ERR_OK;
	if (!e)
		e = side_check(h, &h->negative, "negative", eb);
	if (!e)
		e = side_check(h, &h->positive, "positive", eb);
	return e ? e : counts_check(h, eb);
}

/* ---- copies ---- */

static const void *dup(struct arena *a, const void *p, size_t bytes, bool *ok)
{
	if (!bytes)
		return NULL;
	void *q = arena_dup(a, p, bytes);
	*ok = *ok && q;
	return q;
}

static void side_dup(struct arena *a, struct hist_side *s, bool *ok)
{
	s->spans = dup(a, s->spans, s->spans_count * sizeof *s->spans, ok);
	s->counts = dup(a, s->counts, s->counts_count * sizeof *s->counts, ok);
}

struct hist *hist_copy(struct arena *a, const struct hist *h)
{
	bool ok = true;
	struct hist *to = arena_alloc(a, sizeof *to);
	if (!to)
		return NULL;
	*to = *h;
	side_dup(a, &to->negative, &ok);
	side_dup(a, &to->positive, &ok);
	to->bounds = dup(a, h->bounds, h->bounds_count * sizeof *h->bounds, &ok);
	return ok ? to : NULL;
}

/* ---- a coarser schema ---- */

/* The bucket of the coarser schema that a bucket falls into. */
static int64_t coarse(int64_t index, unsigned steps)
{
	return ((index - 1) >> steps) + 1;
}

struct reduced { /* one side under way */
	struct hist_span *spans;
	union hist_count *counts;
	uint32_t spans_count, counts_count;
	int64_t next; /* index after the last bucket */
};

/* Empty spans lie between when the gap is more than one can tell. */
static void reduced_gap(struct reduced *r, int64_t gap)
{
	for (; gap > INT32_MAX; gap -= INT32_MAX)
		r->spans[r->spans_count++] = (struct hist_span){ .offset = INT32_MAX };
	r->spans[r->spans_count++] = (struct hist_span){ .offset = (int32_t)gap };
}

static void reduced_add(struct reduced *r, bool is_float, int64_t index, union hist_count c)
{
	if (r->counts_count && index == r->next - 1) {
		union hist_count *last = &r->counts[r->counts_count - 1];
		if (is_float)
			last->f += c.f;
		else if (__builtin_add_overflow(last->n, c.n, &last->n))
			last->n = UINT64_MAX; /* hist_check refuses it */
		return;
	}
	if (!r->spans_count || index != r->next)
		reduced_gap(r, index - r->next);
	r->spans[r->spans_count - 1].length++;
	r->counts[r->counts_count++] = c;
	r->next = index + 1;
}

static bool side_reduce(struct arena *a, struct hist_side *s, bool is_float, unsigned steps)
{
	struct reduced r = { 0 };
	int64_t index = 0;
	uint32_t k = 0;
	if (!s->counts_count) {
		*s = (struct hist_side){ 0 };
		return true;
	}
	/* Each span can begin one, or go on with the one before: gaps do not get wider. */
	r.spans = arena_array(a, s->spans_count, sizeof *r.spans);
	r.counts = arena_array(a, s->counts_count, sizeof *r.counts);
	if (!r.spans || !r.counts)
		return false;
	for (uint32_t i = 0; i < s->spans_count; i++) {
		index += s->spans[i].offset;
		for (uint32_t n = 0; n < s->spans[i].length; n++, index++)
			reduced_add(&r, is_float, coarse(index, steps), s->counts[k++]);
	}
	*s = (struct hist_side){ .spans = r.spans,
		.counts = r.counts,
		.spans_count = r.spans_count,
		.counts_count = r.counts_count };
	return true;
}

struct hist *hist_reduce(struct arena *a, const struct hist *h, int schema)
{
	CHECK(h->schema >= schema && h->schema <= HIST_SCHEMA_FINER && schema >= HIST_SCHEMA_MIN);
	unsigned steps = (unsigned)(h->schema - schema);
	struct hist *to = hist_copy(a, h);
	if (!to)
		return NULL;
	to->schema = (int8_t)schema;
	if (!side_reduce(a, &to->negative, h->is_float, steps) ||
	    !side_reduce(a, &to->positive, h->is_float, steps))
		return NULL;
	return to;
}

/* ---- canonical bytes ---- */

static bool is_bare(const struct hist *h)
{
	return !h->schema && !num_bits(h->zero_threshold) && !h->count.n && !h->zero_count.n &&
	    !h->bounds_count && !h->negative.spans_count && !h->positive.spans_count;
}

static void spans_put(const struct hist_side *s, struct buf *out)
{
	wire_put_varint(out, s->spans_count);
	for (uint32_t i = 0; i < s->spans_count; i++) {
		wire_put_zigzag(out, s->spans[i].offset);
		wire_put_varint(out, s->spans[i].length);
	}
}

void hist_layout_encode(const struct hist *h, struct buf *out)
{
	buf_add_u8(out, h->is_float);
	buf_add_u8(out, (uint8_t)h->schema);
	wire_put_f64(out, h->zero_threshold);
	spans_put(&h->negative, out);
	spans_put(&h->positive, out);
	wire_put_varint(out, h->bounds_count);
	if (h->bounds_count)
		buf_add(out, h->bounds, h->bounds_count * sizeof *h->bounds);
}

static uint64_t spans_length(const struct hist_side *s)
{
	uint64_t n = 0;
	for (uint32_t i = 0; i < s->spans_count; i++)
		n += s->spans[i].length;
	return n;
}

static void side_put(const struct hist *h, const struct hist_side *s, struct buf *out)
{
	uint64_t before = 0;
	CHECK(spans_length(s) == s->counts_count);
	if (h->is_float) {
		if (s->counts_count)
			buf_add(out, s->counts, s->counts_count * sizeof *s->counts);
		return;
	}
	for (uint32_t i = 0; i < s->counts_count; i++) {
		wire_put_zigzag(out, (int64_t)(s->counts[i].n - before));
		before = s->counts[i].n;
	}
}

static void count_put(const struct hist *h, union hist_count c, struct buf *out)
{
	if (h->is_float)
		wire_put_f64(out, c.f);
	else
		wire_put_varint(out, c.n);
}

void hist_encode(const struct hist *h, struct buf *out)
{
	bool bare = is_bare(h);
	CHECK(h->hint <= HIST_GAUGE);
	buf_add_u8(out,
	    (uint8_t)(h->hint | (bare ? HEAD_BARE : 0) | (bare && h->is_float ? HEAD_FLOAT : 0)));
	wire_put_f64(out, h->sum);
	if (bare)
		return;
	hist_layout_encode(h, out);
	count_put(h, h->count, out);
	count_put(h, h->zero_count, out);
	side_put(h, &h->negative, out);
	side_put(h, &h->positive, out);
}

/* ---- and back ---- */

static enum err spans_get(struct wire_reader *r, struct arena *a, uint64_t *left, struct hist_side *s)
{
	uint64_t n = wire_varint(r), buckets = 0;
	if (r->bad || n > wire_left(r) / 2 || n > *left)
		return ERR_MALFORMED;
	*left -= n;
	if (!n)
		return ERR_OK;
	struct hist_span *spans = arena_array(a, (size_t)n, sizeof *spans);
	if (!spans)
		return ERR_NOMEM;
	for (uint64_t i = 0; i < n; i++) {
		int64_t offset = wire_zigzag(r);
		uint64_t length = wire_varint(r);
		if (offset < INT32_MIN || offset > INT32_MAX || length > *left - buckets)
			return ERR_MALFORMED;
		spans[i] =
		    (struct hist_span){ .offset = (int32_t)offset, .length = (uint32_t)length };
		buckets += length;
	}
	*left -= buckets;
	s->spans = spans;
	s->spans_count = (uint32_t)n;
	s->counts_count = (uint32_t)buckets;
	return ERR_OK;
}

static enum err bounds_get(struct wire_reader *r, struct arena *a, uint64_t left, struct hist *out)
{
	uint64_t n = wire_varint(r);
	if (r->bad || n > left || n > wire_left(r) / 8)
		return ERR_MALFORMED;
	if (!n)
		return ERR_OK;
	out->bounds = arena_dup(a, wire_bytes(r, (size_t)n * 8), (size_t)n * 8);
	out->bounds_count = (uint32_t)n;
	return out->bounds ? ERR_OK : ERR_NOMEM;
}

enum err hist_layout_decode(struct wire_reader *r, struct arena *a, struct hist *out)
{
	uint64_t left = HIST_BUCKETS_MAX;
	*out = (struct hist){ 0 };
	uint8_t is_float = wire_u8(r);
	out->is_float = is_float != 0;
	out->schema = (int8_t)wire_u8(r);
	out->zero_threshold = wire_f64(r);
	if (r->bad || is_float > 1)
		return ERR_MALFORMED;
	enum err e = spans_get(r, a, &left, &out->negative);
	if (!e)
		e = spans_get(r, a, &left, &out->positive);
	if (!e)
		e = bounds_get(r, a, left, out);
	return e ? e : r->bad ? ERR_MALFORMED : ERR_OK;
}

static enum err side_get(
    struct wire_reader *r, struct arena *a, const struct hist *h, struct hist_side *s)
{
	size_t n = s->counts_count;
	uint64_t before = 0;
	if (n > wire_left(r) / (h->is_float ? 8 : 1))
		return ERR_TRUNCATED;
	if (!n)
		return ERR_OK;
	union hist_count *counts = arena_array(a, n, sizeof *counts);
	if (!counts)
		return ERR_NOMEM;
	if (h->is_float) {
		memcpy(counts, wire_bytes(r, n * 8), n * 8);
	} else {
		for (size_t i = 0; i < n; i++)
			counts[i].n = before += (uint64_t)wire_zigzag(r);
	}
	s->counts = counts;
	return r->bad ? ERR_MALFORMED : ERR_OK;
}

static union hist_count count_get(struct wire_reader *r, const struct hist *h)
{
	union hist_count c;
	if (h->is_float)
		c.f = wire_f64(r);
	else
		c.n = wire_varint(r);
	return c;
}

static enum err body_get(struct wire_reader *r, struct arena *a, struct hist *out)
{
	enum err e = hist_layout_decode(r, a, out);
	if (e)
		return e;
	out->count = count_get(r, out);
	out->zero_count = count_get(r, out);
	e = side_get(r, a, out, &out->negative);
	return e ? e : side_get(r, a, out, &out->positive);
}

enum err hist_decode(struct arena *a, const uint8_t *p, size_t len, struct hist *out, size_t *used)
{
	struct wire_reader r = wire_reader(p, len);
	uint8_t head = wire_u8(&r);
	double sum = wire_f64(&r);
	enum err e = ERR_OK;
	*out = (struct hist){ .is_float = (head & HEAD_FLOAT) != 0 };
	if (r.bad)
		return ERR_TRUNCATED;
	if (head & ~HEAD_KNOWN || (head & HEAD_FLOAT && !(head & HEAD_BARE)))
		return ERR_MALFORMED;
	if (!(head & HEAD_BARE))
		e = body_get(&r, a, out);
	if (!e && r.bad)
		e = ERR_MALFORMED;
	if (e)
		return e;
	out->hint = head & HEAD_HINT;
	out->sum = sum;
	if (used)
		*used = (size_t)(r.p - p);
	return ERR_OK;
}
