#include "core/model/exphist.h"

#include <math.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/model/histmath.h"

#define GAP_MAX 2u /* so many empty buckets are cheaper than another span */

void exphist_init(struct exphist *h, int schema, uint32_t buckets_max)
{
	*h = (struct exphist){ .schema = (int8_t)schema, .buckets_max = buckets_max };
}

void exphist_release(struct exphist *h)
{
	mem_free(h->positive.counts);
	mem_free(h->negative.counts);
	h->positive = h->negative = (struct exphist_side){ 0 };
}

void exphist_clear(struct exphist *h, int schema)
{
	h->positive.len = h->negative.len = 0;
	h->count = h->zero = 0;
	h->schema = (int8_t)schema;
}

int exphist_schema(double factor)
{
	for (int s = HIST_SCHEMA_MIN; s < HIST_SCHEMA_MAX; s++)
		if (exp2(exp2(-s)) <= factor)
			return s;
	return HIST_SCHEMA_MAX;
}

size_t exphist_bytes(const struct exphist *h)
{
	return ((size_t)h->positive.cap + h->negative.cap) * sizeof(uint64_t);
}

/* ---- buckets ---- */

/* Of v > 0: near by the logarithm, then right by the bounds themselves. */
static int32_t index_of(int schema, double v)
{
	int64_t i = (int64_t)ceil(ldexp(log2(v), schema));
	while (hist_bound(schema, i - 1) >= v)
		i--;
	while (hist_bound(schema, i) < v)
		i++;
	return (int32_t)i;
}

static int32_t half(int32_t index) /* the bucket of one schema less that index is part of */
{
	return (index + 1) >> 1;
}

static void coarser(struct exphist_side *s)
{
	if (!s->len)
		return;
	int32_t low = half(s->low);
	uint32_t len = 0;
	for (uint32_t i = 0; i < s->len; i++) {
		uint32_t to = (uint32_t)(half(s->low + (int32_t)i) - low);
		uint64_t n = s->counts[i];
		if (to == len) {
			s->counts[to] = 0;
			len++;
		}
		s->counts[to] += n;
	}
	s->low = low;
	s->len = len;
}

static void step_down(struct exphist *h)
{
	coarser(&h->positive);
	coarser(&h->negative);
	h->schema--;
}

/* Makes room for buckets low..high and those that there are. */
static void widen(struct exphist_side *s, int32_t low, int32_t high)
{
	uint32_t len = (uint32_t)(high - low) + 1, before = s->len ? (uint32_t)(s->low - low) : 0;
	if (len > s->cap) {
		s->cap = len < 8 ? 8 : len + len / 2;
		s->counts = mem_array(s->counts, s->cap, sizeof(*s->counts));
	}
	if (before && s->len)
		memmove(s->counts + before, s->counts, s->len * sizeof(*s->counts));
	memset(s->counts, 0, before * sizeof(*s->counts));
	memset(s->counts + before + s->len, 0, (len - before - s->len) * sizeof(*s->counts));
	s->low = low;
	s->len = len;
}

static int32_t side_high(const struct exphist_side *s)
{
	return s->low + (int32_t)s->len - 1;
}

/* False: with index the side would have more than max buckets. */
static bool side_add(struct exphist_side *s, int32_t index, uint64_t n, uint32_t max)
{
	int32_t low = s->len && s->low < index ? s->low : index;
	int32_t high = s->len && side_high(s) > index ? side_high(s) : index;
	if ((int64_t)high - low >= max)
		return false;
	if (!s->len || low != s->low || high != side_high(s))
		widen(s, low, high);
	s->counts[index - s->low] += n;
	return true;
}

static void add_bucket(struct exphist *h, bool negative, int32_t index, uint64_t n)
{
	struct exphist_side *s = negative ? &h->negative : &h->positive;
	while (!side_add(s, index, n, h->schema > HIST_SCHEMA_MIN ? h->buckets_max : UINT32_MAX)) {
		step_down(h);
		index = half(index);
	}
}

static void note_range(struct exphist *h, double min, double max, uint64_t n)
{
	h->min = h->count && h->min < min ? h->min : min;
	h->max = h->count && h->max > max ? h->max : max;
	h->count += n;
}

void exphist_add(struct exphist *h, double v, uint64_t n)
{
	if (!n)
		return;
	note_range(h, v, v, n);
	if (fabs(v) <= EXPHIST_ZERO)
		h->zero += n;
	else
		add_bucket(h, v < 0, index_of(h->schema, fabs(v)), n);
}

static void merge_side(struct exphist *h, bool negative, const struct exphist_side *from, int schema)
{
	for (uint32_t i = 0; i < from->len; i++) {
		int32_t index = from->low + (int32_t)i;
		if (!from->counts[i])
			continue;
		for (int s = schema; s > h->schema; s--)
			index = half(index);
		add_bucket(h, negative, index, from->counts[i]);
	}
}

void exphist_merge(struct exphist *h, const struct exphist *from)
{
	if (!from->count)
		return;
	while (h->schema > from->schema)
		step_down(h);
	note_range(h, from->min, from->max, from->count);
	h->zero += from->zero;
	merge_side(h, false, &from->positive, from->schema);
	merge_side(h, true, &from->negative, from->schema);
}

/* ---- as one sample ---- */

/* Spans of the buckets that hold something; short gaps are part of one. */
static bool side_hist(const struct exphist_side *s, struct arena *a, struct hist_side *out)
{
	struct hist_span *spans = arena_array(a, (size_t)s->len / 2 + 1, sizeof(*spans));
	union hist_count *counts = arena_array(a, (size_t)s->len + 1, sizeof(*counts));
	int64_t end = 0; /* index behind the last span */
	*out = (struct hist_side){ .spans = spans, .counts = counts };
	if (!spans || !counts)
		return false;
	for (uint32_t i = 0; i < s->len; i++) {
		int64_t index = (int64_t)s->low + i;
		if (!s->counts[i])
			continue;
		if (!out->spans_count || index - end > GAP_MAX) {
			spans[out->spans_count++] = (struct hist_span){
				.offset = (int32_t)(index - (out->spans_count ? end : 0))
			};
		} else {
			for (; end < index; end++, spans[out->spans_count - 1].length++)
				counts[out->counts_count++].n = 0;
		}
		counts[out->counts_count++].n = s->counts[i];
		spans[out->spans_count - 1].length++;
		end = index + 1;
	}
	return true;
}

struct hist *exphist_hist(const struct exphist *h, struct arena *a, double sum)
{
	struct hist *out = arena_zalloc(a, sizeof(*out));
	if (!out || !side_hist(&h->positive, a, &out->positive) ||
	    !side_hist(&h->negative, a, &out->negative))
		return NULL;
	out->schema = h->schema;
	out->sum = sum;
	out->zero_threshold = EXPHIST_ZERO;
	out->count.n = h->count;
	out->zero_count.n = h->zero;
	return out;
}

/* ---- quantiles ---- */

/* Where rank falls in a bucket of n values, which grow by a factor. */
static double within(const struct exphist *h, int32_t index, double rank, double n)
{
	double low = hist_bound(h->schema, index - 1), high = hist_bound(h->schema, index);
	return low * pow(high / low, rank / n);
}

static double value_at(const struct exphist *h, double rank)
{
	for (uint32_t i = h->negative.len; i-- > 0;) {
		double n = (double)h->negative.counts[i];
		if (n > 0 && rank <= n)
			return -within(h, h->negative.low + (int32_t)i, n - rank, n);
		rank -= n;
	}
	if (rank <= (double)h->zero && h->zero)
		return 0;
	rank -= (double)h->zero;
	for (uint32_t i = 0; i < h->positive.len; i++) {
		double n = (double)h->positive.counts[i];
		if (n > 0 && rank <= n)
			return within(h, h->positive.low + (int32_t)i, rank, n);
		rank -= n;
	}
	return h->max;
}

double exphist_quantile(const struct exphist *h, double q)
{
	if (!h->count)
		return NAN;
	double v = value_at(h, q * (double)h->count);
	return v < h->min ? h->min : v > h->max ? h->max : v;
}
