#include <math.h>

#include "proto/otlp_priv.h"

/*
 *   ExponentialHistogramDataPoint  1 attributes*  2 start  3 time  4 fixed64 count  5 double sum
 *       6 sint32 scale  7 fixed64 zero_count  8 Buckets positive  9 Buckets negative  10 flags
 *       11 Exemplar*  14 double zero_threshold
 *   Buckets                        1 sint32 offset  2 uint64 counts*
 *
 * Bucket i of theirs holds what is in (base^i, base^(i+1)], bucket i of ours what is in
 * (base^(i-1), base^i]: i + 1.
 */
#define NO_RECORDED_VALUE 1u
#define ZERO_THRESHOLD    1e-128 /* where none is told: what Prometheus' translation has */
#define GAP_FILLED        2u     /* so many empty buckets stay in a span */
#define SHIFT_MAX         62u

static const struct otlp_fields fields = { .attributes = 1, .flags = 10, .exemplars = 11 };

/* ---- buckets ---- */

struct counts { /* of one side, as they came */
	int32_t offset;
	uint64_t *list; /* [cap], in the point's arena */
	size_t count, cap;
};
struct bucket {
	int64_t at;
	uint64_t n;
};

static void count_add(struct otlp *o, struct counts *c, uint64_t n)
{
	if (c->count == c->cap) {
		size_t cap = c->cap ? 4 * c->cap : 64;
		uint64_t *more = arena_array(&o->point, cap, sizeof *more);
		if (c->count)
			memcpy(more, c->list, c->count * sizeof *more);
		c->list = more;
		c->cap = cap;
	}
	c->list[c->count++] = n;
}

/* Counts, packed; at most one more than there may be is kept. False: malformed. */
static bool counts_add(struct otlp *o, struct counts *c, const struct pbscan_field *f)
{
	const size_t most = (size_t)o->limits->write_hist_buckets + 1;
	if (f->wire == PBSCAN_VARINT) {
		if (c->count < most)
			count_add(o, c, f->value);
		return true;
	}
	if (f->wire != PBSCAN_BYTES)
		return false;
	const uint8_t *p = f->data, *const end = p + f->len;
	while (p < end) {
		uint64_t n;
		if (!pbscan_varint(&p, end, PBSCAN_VARINT_BYTES, &n))
			return false;
		if (c->count < most)
			count_add(o, c, n);
	}
	return true;
}

static bool counts_read(struct otlp *o, const struct pbscan_field *side, struct counts *c)
{
	const uint8_t *p = side->data, *const end = p + side->len;
	if (side->wire != PBSCAN_BYTES)
		return false;
	c->offset = 0;
	c->count = 0;
	while (p < end) {
		struct pbscan_field f = { 0 };
		if (!pbscan_next(&p, end, &f))
			return false;
		if (f.number == 1) {
			if (f.wire != PBSCAN_VARINT)
				return false;
			c->offset = (int32_t)(uint32_t)wire_unzigzag((uint32_t)f.value);
		} else if (f.number == 2 && !counts_add(o, c, &f)) {
			return false;
		}
	}
	return true;
}

/* Those that are not empty, 2^down neighbours as one, by our numbers. False: a sum is too large. */
static bool merge(const struct counts *c, unsigned down, struct bucket *to, size_t *count)
{
	size_t n = 0;
	for (size_t i = 0; i < c->count; i++) {
		int64_t at = (((int64_t)c->offset + (int64_t)i) >> down) + 1;
		if (!c->list[i])
			continue;
		if (n && to[n - 1].at == at) {
			if (__builtin_add_overflow(to[n - 1].n, c->list[i], &to[n - 1].n))
				return false;
			continue;
		}
		to[n++] = (struct bucket){ at, c->list[i] };
	}
	*count = n;
	return true;
}

/* Spans and counts of these buckets, in d->arena. False: an index is out of range. */
static bool side_make(struct otlp *o, const struct bucket *b, size_t n, struct hist_side *out)
{
	size_t spans = 0, counts = 0;
	for (size_t i = 0; i < n; i++) {
		uint64_t gap = i ? (uint64_t)(b[i].at - b[i - 1].at - 1) : UINT64_MAX;
		spans += gap > GAP_FILLED;
		counts += 1 + (gap > GAP_FILLED ? 0 : (size_t)gap);
	}
	*out = (struct hist_side){ 0 };
	if (!n)
		return true;
	if (b[0].at < INT32_MIN || b[n - 1].at > INT32_MAX)
		return false;
	struct hist_span *span = arena_array(o->d->arena, spans, sizeof *span);
	union hist_count *c = arena_array(o->d->arena, counts, sizeof *c);
	*out = (struct hist_side){ span, c, (uint32_t)spans, (uint32_t)counts };
	o->made += spans * sizeof *span + counts * sizeof *c;
	span--;
	for (size_t i = 0; i < n; i++) {
		uint64_t gap = i ? (uint64_t)(b[i].at - b[i - 1].at - 1) : UINT64_MAX;
		if (gap > GAP_FILLED) {
			*++span = (struct hist_span){ (int32_t)(i ? (int64_t)gap : b[0].at), 0 };
			gap = 0;
		}
		span->length += 1 + (uint32_t)gap;
		while (gap--)
			(c++)->n = 0;
		(c++)->n = b[i].n;
	}
	return true;
}

static otlp_why side(struct otlp *o, const struct counts *c, unsigned down, struct hist_side *out)
{
	struct bucket *list = arena_array(&o->point, c->count + 1, sizeof *list);
	size_t n;
	if (!merge(c, down, list, &n))
		return "its counts are more than a number can hold";
	if (!side_make(o, list, n, out))
		return "its buckets are out of range";
	return NULL;
}

/* ---- rows ---- */

struct hist *otlp_hist_stale(struct otlp *o)
{
	struct hist *h = arena_zalloc(o->d->arena, sizeof *h);
	h->sum = sample_stale();
	return h;
}

void otlp_row_judged(
    struct otlp *o, const struct otlp_point *pt, struct labels ls, const struct hist *h)
{
	struct errbuf eb;
	errbuf_init(&eb);
	if (hist_is_stale(h) || !hist_check(h, &eb)) {
		otlp_row_hist(o, pt, ls, h, NULL);
		return;
	}
	const char *bad =
	    o->hist_told ? "as one before" : arena_strndup(o->d->arena, eb.text, strlen(eb.text));
	o->hist_told = true;
	otlp_row_hist(o, pt, ls, NULL, bad);
}

/* ---- exponential ones ---- */

struct exponential {
	struct otlp_point pt;
	uint64_t count, zero_count;
	double sum, zero_threshold;
	int32_t scale;
	struct counts positive, negative;
};

static const uint8_t wires[] = {
	[4] = PBSCAN_FIXED64,
	[5] = PBSCAN_FIXED64,
	[6] = PBSCAN_VARINT,
	[7] = PBSCAN_FIXED64,
	[8] = PBSCAN_BYTES,
	[9] = PBSCAN_BYTES,
	[14] = PBSCAN_FIXED64,
};

/* One of its own fields; false: malformed. */
static bool own_field(struct otlp *o, const struct pbscan_field *f, struct exponential *e)
{
	if (f->wire != wires[f->number])
		return false;
	uint64_t bits = f->wire == PBSCAN_FIXED64 ? wire_load64(f->data) : 0;
	switch (f->number) {
	case 4:
		e->count = bits;
		break;
	case 5:
		e->sum = num_from_bits(bits);
		break;
	case 6:
		e->scale = (int32_t)(uint32_t)wire_unzigzag((uint32_t)f->value);
		break;
	case 7:
		e->zero_count = bits;
		break;
	case 8:
		return counts_read(o, f, &e->positive);
	case 9:
		return counts_read(o, f, &e->negative);
	default:
		e->zero_threshold = num_from_bits(bits);
	}
	return true;
}

static bool exponential_read(struct otlp *o, const uint8_t *p, struct exponential *e)
{
	while (p < e->pt.end) {
		struct pbscan_field f;
		if (!pbscan_next(&p, e->pt.end, &f))
			return false;
		if ((f.number >= 4 && f.number <= 9) || f.number == 14) {
			if (!own_field(o, &f, e))
				return false;
		} else if (otlp_common(o, &fields, &f, &e->pt) == OTLP_BROKEN) {
			return false;
		}
	}
	return true;
}

static double zero_threshold(double told)
{
	return told > 0 && isfinite(told) ? told : ZERO_THRESHOLD;
}

static otlp_why exponential_make(struct otlp *o, const struct exponential *e, struct hist *h)
{
	char limit[LIMITS_TEXT_MAX];
	size_t cost = e->positive.count + e->negative.count;
	unsigned down = 0;
	if (cost > o->limits->write_hist_buckets)
		return arena_printf(&o->point, "it has %zu buckets, %s", cost,
		    limits_text(o->limits, LIMITS_write_hist_buckets, limit));
	if (e->scale < HIST_SCHEMA_MIN)
		return arena_printf(&o->point, "its scale is %d, native histograms have %d and more",
		    e->scale, HIST_SCHEMA_MIN);
	if (e->scale > HIST_SCHEMA_MAX)
		down = (unsigned)(e->scale - HIST_SCHEMA_MAX);
	down = down < SHIFT_MAX ? down : SHIFT_MAX;
	*h = (struct hist){ .schema = (int8_t)(down ? HIST_SCHEMA_MAX : e->scale),
		.sum = e->sum,
		.zero_threshold = zero_threshold(e->zero_threshold),
		.count.n = e->count,
		.zero_count.n = e->zero_count };
	otlp_why why = side(o, &e->positive, down, &h->positive);
	return why ? why : side(o, &e->negative, down, &h->negative);
}

otlp_why otlp_exponential(struct otlp *o, const uint8_t *p, const uint8_t *end)
{
	struct exponential e = { .pt = { .end = end } };
	struct otlp_exemplars list;
	struct labels ls;
	if (!exponential_read(o, p, &e))
		return OTLP_MALFORMED;
	otlp_times(o, &e.pt);
	if (o->metric.refused)
		return o->metric.refused;
	struct hist *h = e.pt.flags & NO_RECORDED_VALUE ? otlp_hist_stale(o)
	                                                : arena_zalloc(o->d->arena, sizeof *h);
	otlp_why why = hist_is_stale(h) ? NULL : exponential_make(o, &e, h);
	why = why ? why : otlp_labels_named(o, &ls);
	if (why)
		return why;
	otlp_row_judged(o, &e.pt, ls, h);
	if (!otlp_exemplars(o, &e.pt, fields.exemplars, &list))
		return OTLP_MALFORMED;
	otlp_exemplars_add(o, &list, ls);
	return NULL;
}

/* ---- custom ones ---- */

struct hist *otlp_custom(struct otlp *o, const struct otlp_doubles *counts,
    const struct otlp_doubles *bounds, uint64_t count, double sum)
{
	struct hist *h = arena_zalloc(o->d->arena, sizeof *h);
	struct bucket *list = arena_array(&o->point, counts->count + 1, sizeof *list);
	double *own = arena_array(o->d->arena, bounds->count + 1, sizeof *own);
	size_t n = 0;
	for (size_t i = 0; i < counts->count; i++) {
		uint64_t c = wire_load64(counts->raw + 8 * i);
		if (c)
			list[n++] = (struct bucket){ (int64_t)i, c };
	}
	if (!counts->count && !bounds->count && count) /* nothing but the count: all in one */
		list[n++] = (struct bucket){ 0, count };
	if (bounds->count)
		memcpy(own, bounds->raw, 8 * bounds->count);
	o->made += 8 * bounds->count;
	*h = (struct hist){ .schema = HIST_SCHEMA_CUSTOM,
		.sum = sum,
		.count.n = count,
		.bounds = own,
		.bounds_count = (uint32_t)bounds->count };
	(void)side_make(o, list, n, &h->positive); /* indexes are small */
	return h;
}
