#include "core/model/histmath_priv.h"

#include <math.h>

/* ---- as floats, compact, with another hint or schema ---- */

static const union hist_count *counts_to_float(struct arena *a, const struct hist_side *s, bool *ok)
{
	union hist_count *c = arena_array(a, s->counts_count, sizeof *c);
	if (!c) {
		*ok = false;
		return NULL;
	}
	for (uint32_t i = 0; i < s->counts_count; i++)
		c[i].f = (double)s->counts[i].n;
	return c;
}

const struct hist *hist_to_float(struct arena *a, const struct hist *h)
{
	bool ok = true;
	if (h->is_float)
		return h;
	struct hist *to = arena_dup(a, h, sizeof *h);
	if (!to)
		return NULL;
	to->is_float = true;
	to->count.f = (double)h->count.n;
	to->zero_count.f = (double)h->zero_count.n;
	to->negative.counts = counts_to_float(a, &h->negative, &ok);
	to->positive.counts = counts_to_float(a, &h->positive, &ok);
	return ok ? to : NULL;
}

/* No bucket of 0, no empty span, no span that begins where the one before ends. */
static bool side_is_compact(const struct hist_side *s)
{
	for (uint32_t i = 0; i < s->counts_count; i++)
		if (s->counts[i].f == 0)
			return false;
	for (uint32_t i = 0; i < s->spans_count; i++)
		if (!s->spans[i].length || (i && !s->spans[i].offset))
			return false;
	return true;
}

/* With counts in this array, which may be those of s. */
static bool side_compact_into(struct arena *a, struct hist_side *s, union hist_count *counts)
{
	struct histm_out o;
	struct histm_walk w = histm_walk(s, 0);
	if (!counts)
		return false;
	histm_out_into(&o, a, counts);
	while (histm_walk_next(&w))
		if (w.count != 0)
			histm_out_add(&o, w.index, w.count, 0);
	return histm_out_take(&o, s);
}

static bool side_compact(struct arena *a, struct hist_side *s)
{
	return side_is_compact(s) ||
	    side_compact_into(a, s, arena_array(a, s->counts_count, sizeof *s->counts));
}

/* The same spans with these counts, compact. */
static bool side_with(struct arena *a, struct hist_side *s, union hist_count *counts)
{
	s->counts = counts;
	return side_is_compact(s) || side_compact_into(a, s, counts);
}

const struct hist *hist_compact(struct arena *a, const struct hist *h)
{
	if (side_is_compact(&h->negative) && side_is_compact(&h->positive))
		return h;
	struct hist *to = arena_dup(a, h, sizeof *h);
	if (!to || !side_compact(a, &to->negative) || !side_compact(a, &to->positive))
		return NULL;
	return to;
}

const struct hist *hist_with_hint(struct arena *a, const struct hist *h, enum hist_hint hint)
{
	if (h->hint == hint)
		return h;
	struct hist *to = arena_dup(a, h, sizeof *h);
	if (to)
		to->hint = (uint8_t)hint;
	return to;
}

const struct hist *hist_at_schema(struct arena *a, const struct hist *h, int schema)
{
	return h->schema == schema ? h : hist_reduce(a, h, schema);
}

/* ---- sums and differences ---- */

static double signed_of(double v, bool minus)
{
	return minus ? -v : v;
}

/* Both have the same spans: these stay, unless a bucket became 0. */
static bool side_add_same(struct arena *a, const struct hist_side *l, const struct hist_side *r,
    bool minus, struct hist_side *to)
{
	union hist_count *c = arena_array(a, l->counts_count, sizeof *c);
	if (!c)
		return false;
	if (minus)
		for (uint32_t i = 0; i < l->counts_count; i++)
			c[i].f = l->counts[i].f - r->counts[i].f;
	else
		for (uint32_t i = 0; i < l->counts_count; i++)
			c[i].f = l->counts[i].f + r->counts[i].f;
	*to = *l;
	return side_with(a, to, c);
}

static void out_add_unless_0(struct histm_out *o, int64_t index, double count)
{
	if (count != 0)
		histm_out_add(o, index, count, 0);
}

/* Buckets of r that end at or below the threshold are in the zero bucket. */
static bool side_add(struct arena *a, struct histm_walk *l, struct histm_walk *r, int schema,
    double threshold, bool minus, struct hist_side *to)
{
	struct histm_out o;
	if (!histm_out_init(&o, a, l->s->counts_count + r->s->counts_count))
		return false;
	bool in_l = histm_walk_next(l), in_r = histm_walk_over(r, schema, threshold);
	while (in_l || in_r) {
		if (in_l && in_r && l->index == r->index) {
			out_add_unless_0(&o, l->index, l->count + signed_of(r->count, minus));
			in_l = histm_walk_next(l);
			in_r = histm_walk_next(r);
		} else if (!in_r || (in_l && l->index < r->index)) {
			out_add_unless_0(&o, l->index, l->count);
			in_l = histm_walk_next(l);
		} else {
			out_add_unless_0(&o, r->index, signed_of(r->count, minus));
			in_r = histm_walk_next(r);
		}
	}
	return histm_out_take(&o, to);
}

static bool term_side_add(struct arena *a, const struct histm_term *l, const struct histm_term *r,
    bool positive, bool minus, struct hist *to)
{
	const struct hist_side *sl = positive ? &l->h->positive : &l->h->negative;
	const struct hist_side *sr = positive ? &r->h->positive : &r->h->negative;
	struct hist_side *out = positive ? &to->positive : &to->negative;
	int schema = to->schema;
	if (!sl->counts_count && !sr->counts_count) {
		*out = (struct hist_side){ 0 };
		return true;
	}
	bool custom = histm_is_custom(to);
	bool over =
	    custom || !sr->spans_count || hist_bound(schema, sr->spans[0].offset) > l->threshold;
	if (l->h->schema == r->h->schema && !l->widened && over && histm_same_spans(sl, sr))
		return side_add_same(a, sl, sr, minus, out);
	struct histm_walk wl = histm_walk(sl, custom ? 0 : (unsigned)(l->h->schema - schema));
	struct histm_walk wr = histm_walk(sr, custom ? 0 : (unsigned)(r->h->schema - schema));
	if (l->widened)
		histm_walk_above(&wl, l->h->schema, l->threshold);
	return side_add(a, &wl, &wr, schema, l->threshold, minus, out);
}

/* Adds a side of custom buckets to those of other bounds, each with its error. */
static void map_custom(const struct hist *h, const double *bounds, uint32_t bounds_count,
    bool minus, double *counts, double *errors)
{
	struct histm_walk w = histm_walk(&h->positive, 0);
	uint32_t k = 0;
	while (histm_walk_next(&w)) {
		uint32_t to = bounds_count;
		if (w.index >= 0 && w.index < h->bounds_count) {
			while (k < bounds_count && bounds[k] < h->bounds[w.index])
				k++;
			to = k;
		}
		histm_kahan(signed_of(w.count, minus), &counts[to], &errors[to]);
	}
}

static bool custom_add(
    struct arena *a, const struct hist *l, const struct hist *r, bool minus, struct hist *to)
{
	struct histm_out o;
	if (!histm_common_bounds(a, l, r, &to->bounds, &to->bounds_count))
		return false;
	uint32_t n = to->bounds_count + 1;
	double *counts = arena_zalloc(a, 2 * n * sizeof *counts);
	if (!counts || !histm_out_init(&o, a, n))
		return false;
	map_custom(l, to->bounds, to->bounds_count, false, counts, counts + n);
	map_custom(r, to->bounds, to->bounds_count, minus, counts, counts + n);
	for (uint32_t i = 0; i < n; i++)
		out_add_unless_0(&o, i, counts[i]);
	return histm_out_take(&o, &to->positive);
}

static struct hist *add_custom(struct arena *a, const struct hist *l, const struct hist *r,
    bool minus, struct hist *to, unsigned *told)
{
	const struct histm_term tl = { .h = l }, tr = { .h = r };
	if (histm_same_bounds(l, r))
		return term_side_add(a, &tl, &tr, true, minus, to) ? to : NULL;
	*told |= HISTMATH_RECONCILED;
	return custom_add(a, l, r, minus, to) ? to : NULL;
}

static struct hist *add_exponential(
    struct arena *a, const struct hist *l, const struct hist *r, bool minus, struct hist *to)
{
	struct histm_term tl = {
		.h = l, .threshold = l->zero_threshold, .zero_count = l->zero_count.f
	};
	struct histm_term tr = {
		.h = r, .threshold = r->zero_threshold, .zero_count = r->zero_count.f
	};
	histm_zeros(&tl, &tr);
	to->schema = r->schema < l->schema ? r->schema : l->schema;
	to->zero_threshold = tl.threshold;
	to->zero_count.f = tl.zero_count + signed_of(tr.zero_count, minus);
	return term_side_add(a, &tl, &tr, false, minus, to) &&
	        term_side_add(a, &tl, &tr, true, minus, to)
	    ? to
	    : NULL;
}

static const struct hist *add(
    struct arena *a, const struct hist *l, const struct hist *r, bool minus, unsigned *told)
{
	if (histm_is_custom(l) != histm_is_custom(r)) {
		*told |= HISTMATH_MIXED;
		return NULL;
	}
	struct hist *to = arena_dup(a, l, sizeof *l);
	if (to) {
		to->hint = (uint8_t)histm_hint(l->hint, r->hint, told);
		to->count.f = l->count.f + signed_of(r->count.f, minus);
		to->sum = l->sum + signed_of(r->sum, minus);
		to = histm_is_custom(l) ? add_custom(a, l, r, minus, to, told)
		                        : add_exponential(a, l, r, minus, to);
	}
	if (!to)
		*told |= HISTMATH_NONE;
	return to;
}

const struct hist *hist_add(
    struct arena *a, const struct hist *l, const struct hist *r, unsigned *told)
{
	return add(a, l, r, false, told);
}

const struct hist *hist_sub(
    struct arena *a, const struct hist *l, const struct hist *r, unsigned *told)
{
	return add(a, l, r, true, told);
}

/* ---- factors ---- */

static bool side_scale(struct arena *a, struct hist_side *s, double by, bool divide)
{
	union hist_count *c = arena_array(a, s->counts_count, sizeof *c);
	if (!c)
		return false;
	if (divide)
		for (uint32_t i = 0; i < s->counts_count; i++)
			c[i].f = s->counts[i].f / by;
	else
		for (uint32_t i = 0; i < s->counts_count; i++)
			c[i].f = s->counts[i].f * by;
	return side_with(a, s, c);
}

static const struct hist *scale(struct arena *a, const struct hist *h, double by, bool divide)
{
	struct hist *to = arena_dup(a, h, sizeof *h);
	if (!to)
		return NULL;
	to->count.f = divide ? h->count.f / by : h->count.f * by;
	to->zero_count.f = divide ? h->zero_count.f / by : h->zero_count.f * by;
	to->sum = divide ? h->sum / by : h->sum * by;
	if (by < 0)
		to->hint = HIST_GAUGE;
	if (divide && by == 0) {
		to->negative = to->positive = (struct hist_side){ 0 };
		return to;
	}
	return side_scale(a, &to->negative, by, divide) && side_scale(a, &to->positive, by, divide)
	    ? to
	    : NULL;
}

const struct hist *hist_mul(struct arena *a, const struct hist *h, double factor)
{
	return scale(a, h, factor, false);
}

const struct hist *hist_div(struct arena *a, const struct hist *h, double by)
{
	return scale(a, h, by, true);
}
