/* Walks, sides under way, bounds and zero buckets: what sums and differences are made of. */
#include "core/model/histmath_priv.h"

#include <math.h>

/* ---- bounds ---- */

static const union {
	uint64_t bits;
	double f;
} bounds_table[256] = {
#define BOUND(b) { b },
#include "core/model/hist_bounds.def"
#undef BOUND
};

/* f * 2^e for f of [1, 2) */
static double times_power(double f, int64_t e)
{
	if (LIKELY(e >= -1022 && e <= 1023))
		return f * num_from_bits((uint64_t)(e + 1023) << 52);
	return ldexp(f, e < -4000 ? -4000 : e > 4000 ? 4000 : (int)e);
}

/*
 * The last bucket of ordinary numbers would end at 2^1024, which no double is: it ends at the
 * largest one, and the bucket behind it is that of infinities.
 */
double hist_bound(int schema, int64_t index)
{
	if (schema < 0) {
		int64_t i = index < -4096 ? -4096 : index > 4096 ? 4096 : index;
		int64_t e = i * (1 << -schema);
		return e == 1024 ? DBL_MAX : times_power(1, e);
	}
	unsigned part = (unsigned)((uint64_t)index & ((1u << schema) - 1));
	int64_t e = index >> schema;
	if (!part && e == 1024)
		return DBL_MAX;
	return times_power(2 * bounds_table[part << (HIST_SCHEMA_MAX - schema)].f, e);
}

double histm_bound(const struct hist *h, int64_t index)
{
	if (!histm_is_custom(h))
		return hist_bound(h->schema, index);
	if (index < 0)
		return -INFINITY;
	return index < h->bounds_count ? h->bounds[index] : INFINITY;
}

/* ---- walks ---- */

static int64_t coarser(int64_t index, unsigned steps)
{
	return ((index - 1) >> steps) + 1;
}

static bool is_void(const struct histm_walk *w)
{
	return w->s->counts[w->at].f == 0 && (!w->errors || w->errors[w->at] == 0);
}

bool histm_walk_next(struct histm_walk *w)
{
	while (UNLIKELY(w->solid) && histm_walk_more(w) && is_void(w))
		histm_walk_skip(w);
	if (!histm_walk_more(w))
		return false;
	w->index = coarser(w->raw, w->steps);
	w->count = w->s->counts[w->at].f;
	w->error = w->errors ? w->errors[w->at] : 0;
	histm_walk_skip(w);
	while (w->steps && histm_walk_more(w) && coarser(w->raw, w->steps) == w->index) {
		double count = w->s->counts[w->at].f;
		if (w->kahan) {
			histm_kahan(count, &w->count, &w->error);
			histm_kahan(w->errors ? w->errors[w->at] : 0, &w->count, &w->error);
		} else {
			w->count += count;
		}
		histm_walk_skip(w);
	}
	return true;
}

void histm_walk_above(struct histm_walk *w, int schema, double threshold)
{
	while (histm_walk_more(w) && hist_bound(schema, w->raw - 1) < threshold)
		histm_walk_skip(w);
}

bool histm_walk_over(struct histm_walk *w, int schema, double threshold)
{
	while (histm_walk_next(w))
		if (schema == HIST_SCHEMA_CUSTOM || !(hist_bound(schema, w->index) <= threshold))
			return true;
	return false;
}

/* ---- sides under way ---- */

void histm_out_into(struct histm_out *o, struct arena *a, union hist_count *counts)
{
	o->arena = a;
	o->errors = NULL;
	o->counts = counts;
	o->spans = o->few;
	o->spans_cap = HISTM_FEW;
	o->counts_count = o->spans_count = 0;
	o->next = 0;
	o->failed = false;
}

bool histm_out_init(struct histm_out *o, struct arena *a, uint32_t counts)
{
	union hist_count *c = arena_array(a, counts, sizeof *c);
	histm_out_into(o, a, c);
	return c != NULL;
}

static bool more_spans(struct histm_out *o)
{
	struct hist_span *more = arena_array(o->arena, (size_t)o->spans_cap * 4, sizeof *more);
	if (!more)
		return false;
	memcpy(more, o->spans, o->spans_count * sizeof *more);
	o->spans = more;
	o->spans_cap *= 4;
	return true;
}

static void out_span(struct histm_out *o, int32_t offset)
{
	o->failed = o->failed || (o->spans_count == o->spans_cap && !more_spans(o));
	if (!o->failed)
		o->spans[o->spans_count++] = (struct hist_span){ .offset = offset };
}

/* Empty ones lie between when the gap is more than one span can tell. */
static void out_gap(struct histm_out *o, int64_t gap)
{
	for (; gap > INT32_MAX; gap -= INT32_MAX)
		out_span(o, INT32_MAX);
	out_span(o, (int32_t)gap);
}

void histm_out_add(struct histm_out *o, int64_t index, double count, double error)
{
	int64_t gap = index - o->next;
	if (!o->spans_count || gap)
		out_gap(o, gap);
	if (o->failed)
		return;
	o->spans[o->spans_count - 1].length++;
	if (o->errors)
		o->errors[o->counts_count] = error;
	o->counts[o->counts_count++].f = count;
	o->next = index + 1;
}

bool histm_out_take(struct histm_out *o, struct hist_side *to)
{
	if (!o->failed && o->spans_count && o->spans == o->few) {
		o->spans = arena_dup(o->arena, o->few, o->spans_count * sizeof *o->few);
		o->failed = !o->spans;
	}
	if (o->failed)
		return false;
	*to = (struct hist_side){ .counts = o->counts,
		.spans = o->spans_count ? o->spans : NULL,
		.counts_count = o->counts_count,
		.spans_count = o->spans_count };
	return true;
}

/* ---- layouts ---- */

bool histm_same_spans(const struct hist_side *l, const struct hist_side *r)
{
	return l->counts_count == r->counts_count && l->spans_count == r->spans_count &&
	    (l->spans == r->spans || !l->spans_count ||
	        !memcmp(l->spans, r->spans, l->spans_count * sizeof *l->spans));
}

bool histm_same_bounds(const struct hist *l, const struct hist *r)
{
	if (l->bounds_count != r->bounds_count)
		return false;
	if (l->bounds == r->bounds)
		return true;
	for (uint32_t i = 0; i < l->bounds_count; i++)
		if (l->bounds[i] != r->bounds[i])
			return false;
	return true;
}

uint32_t histm_bounds_of_both(const struct hist *l, const struct hist *r, double *both)
{
	uint32_t i = 0, k = 0, n = 0;
	while (i < l->bounds_count && k < r->bounds_count) {
		if (l->bounds[i] == r->bounds[k]) {
			both[n++] = l->bounds[i++];
			k++;
		} else if (l->bounds[i] < r->bounds[k]) {
			i++;
		} else {
			k++;
		}
	}
	return n;
}

bool histm_common_bounds(struct arena *a, const struct hist *l, const struct hist *r,
    const double **bounds, uint32_t *count)
{
	double *both = arena_array(a, histm_min_u32(l->bounds_count, r->bounds_count), sizeof *both);
	if (!both)
		return false;
	*count = histm_bounds_of_both(l, r, both);
	*bounds = *count ? both : NULL;
	return true;
}

enum hist_hint histm_hint(unsigned l, unsigned r, unsigned *told)
{
	if (l == r || l == HIST_GAUGE)
		return l;
	if (r == HIST_GAUGE)
		return HIST_GAUGE;
	if (l != HIST_UNKNOWN && r != HIST_UNKNOWN)
		*told |= HISTMATH_COLLIDED;
	return HIST_UNKNOWN;
}

/* ---- zero buckets ---- */

/*
 * Adds what one side has below *threshold. True when a bucket that holds something is cut by it:
 * *threshold has become its far end.
 */
static bool zero_side(
    const struct histm_term *t, unsigned side, double *threshold, double *count, double *error)
{
	const struct hist_side *s = side ? &t->h->positive : &t->h->negative;
	struct histm_walk w = histm_walk(s, 0);
	if (t->widened)
		histm_walk_above(&w, t->h->schema, t->threshold);
	for (; histm_walk_more(&w); histm_walk_skip(&w)) {
		double c = s->counts[w.at].f, upper = hist_bound(t->h->schema, w.raw);
		if (hist_bound(t->h->schema, w.raw - 1) >= *threshold)
			return false;
		histm_kahan(c, count, error);
		if (t->errors[side])
			histm_kahan(t->errors[side][w.at], count, error);
		if (upper > *threshold) {
			if (c == 0)
				return false;
			*threshold = upper;
			return true;
		}
	}
	return false;
}

/*
 * What the zero bucket holds when it ends at *threshold, or a bit farther. Upstream's order: when a
 * negative bucket is cut, all is counted again, and the error goes on.
 */
static void zero_until(const struct histm_term *t, double *threshold, double *count, double *error)
{
	double zero = t->zero_count;
	do {
		*count = zero;
		zero_side(t, 1, threshold, count, error);
	} while (zero_side(t, 0, threshold, count, error));
}

void histm_zeros(struct histm_term *l, struct histm_term *r)
{
	const double before = r->zero_count, error = r->zero_error;
	while (l->threshold < r->threshold || l->threshold > r->threshold) {
		if (l->threshold > r->threshold) {
			double count = 0;
			struct histm_term whole = *r;
			whole.zero_count = before;
			r->threshold = l->threshold;
			r->zero_error = error;
			zero_until(&whole, &r->threshold, &count, &r->zero_error);
			r->zero_count = count;
		}
		if (r->threshold > l->threshold) {
			double count = 0, threshold = r->threshold;
			zero_until(l, &threshold, &count, &l->zero_error);
			l->zero_count = count;
			l->threshold = threshold;
			l->widened = true;
		}
	}
}

bool histm_zero_cut(const struct hist *h, double threshold, double *count)
{
	double until = threshold, error = 0;
	const struct histm_term t = {
		.h = h, .threshold = h->zero_threshold, .zero_count = h->zero_count.f
	};
	zero_until(&t, &until, count, &error);
	return until > threshold;
}
