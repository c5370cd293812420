/* Are two histograms equal, and did a counter begin again between them? */
#include "core/model/histmath_priv.h"

#include <math.h>

static bool same_bits(double l, double r)
{
	return num_bits(l) == num_bits(r);
}

static bool side_same(const struct hist_side *l, const struct hist_side *r)
{
	struct histm_walk wl = histm_walk(l, 0), wr = histm_walk(r, 0);
	if (l->counts_count != r->counts_count)
		return false;
	while (histm_walk_next(&wl))
		if (!histm_walk_next(&wr) || wl.index != wr.index || !same_bits(wl.count, wr.count))
			return false;
	return true;
}

bool hist_same_value(struct arena *scratch, const struct hist *l, const struct hist *r)
{
	(void)scratch;
	if (l == r)
		return true;
	return l->schema == r->schema && same_bits(l->count.f, r->count.f) &&
	    same_bits(l->sum, r->sum) && l->zero_threshold == r->zero_threshold &&
	    same_bits(l->zero_count.f, r->zero_count.f) &&
	    (!histm_is_custom(l) || histm_same_bounds(l, r)) &&
	    side_same(&l->negative, &r->negative) && side_same(&l->positive, &r->positive);
}

/* ---- resets ---- */

/* A bucket that held something is gone, or holds less. Both in the schema and zero bucket of h. */
static bool side_reset(const struct hist *h, const struct hist *before, bool positive)
{
	bool custom = histm_is_custom(h);
	struct histm_walk now = histm_walk(positive ? &h->positive : &h->negative, 0);
	struct histm_walk old = histm_walk(positive ? &before->positive : &before->negative,
	    custom ? 0 : (unsigned)(before->schema - h->schema));
	/* A threshold of 0 holds no bucket at all. */
	double over = h->zero_threshold != 0 ? h->zero_threshold : -1;
	bool in_now = histm_walk_over(&now, h->schema, over);
	for (bool in_old = histm_walk_over(&old, h->schema, over); in_old;
	     in_old = histm_walk_next(&old)) {
		while (in_now && now.index < old.index)
			in_now = histm_walk_next(&now);
		bool here = in_now && now.index == old.index;
		if (here ? now.count < old.count : old.count != 0)
			return true;
	}
	return false;
}

struct rollup { /* custom buckets, up to a bound each time */
	const struct hist *h;
	struct histm_walk w;
	bool in;
};

static struct rollup rollup(const struct hist *h)
{
	struct rollup r = { .h = h, .w = histm_walk(&h->positive, 0) };
	r.in = histm_walk_next(&r.w);
	return r;
}

static double rollup_to(struct rollup *r, double bound)
{
	double sum = 0;
	while (r->in && histm_bound(r->h, r->w.index) <= bound) {
		sum += r->w.count;
		r->in = histm_walk_next(&r->w);
	}
	return sum;
}

/* Custom buckets of different bounds: those that both have are looked at, and what is above. */
static bool custom_reset(const struct hist *h, const struct hist *before)
{
	struct rollup now = rollup(h), old = rollup(before);
	uint32_t i = 0, k = 0;
	while (i <= h->bounds_count && k <= before->bounds_count) {
		double b = histm_bound(h, i), c = histm_bound(before, k);
		if (b == c) {
			double sum = rollup_to(&now, b);
			if (sum < rollup_to(&old, b))
				return true;
			i++;
			k++;
		} else if (b < c) {
			i++;
		} else {
			k++;
		}
	}
	return false;
}

bool hist_reset_after(struct arena *scratch, const struct hist *before, const struct hist *h)
{
	(void)scratch;
	if (h->hint == HIST_RESET || h->hint == HIST_NO_RESET)
		return h->hint == HIST_RESET;
	if (h->count.f < before->count.f)
		return true;
	if (histm_is_custom(h) != histm_is_custom(before))
		return true;
	if (histm_is_custom(h) && !histm_same_bounds(h, before))
		return custom_reset(h, before);
	if (h->schema > before->schema || h->zero_threshold < before->zero_threshold)
		return true;
	double zero_count = before->zero_count.f;
	if (h->zero_threshold > before->zero_threshold &&
	    histm_zero_cut(before, h->zero_threshold, &zero_count))
		return true;
	return h->zero_count.f < zero_count || side_reset(h, before, true) ||
	    side_reset(h, before, false);
}
