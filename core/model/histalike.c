#include "core/model/histalike.h"

#include <string.h>

#include "core/base/num.h"
#include "core/model/histmath_priv.h"

/* The next bucket that has something in it; false: none. */
static bool full_next(struct histm_walk *w, int64_t *index, uint64_t *count)
{
	while (histm_walk_more(w)) {
		*index = w->raw;
		*count = w->s->counts[w->at].n;
		histm_walk_skip(w);
		if (*count)
			return true;
	}
	return false;
}

static bool same_bits(double a, double b)
{
	return num_bits(a) == num_bits(b);
}

static bool side_alike(const struct hist_side *a, const struct hist_side *b)
{
	struct histm_walk x = histm_walk(a, 0), y = histm_walk(b, 0);
	for (;;) {
		int64_t x_index, y_index;
		uint64_t x_count, y_count;
		bool more = full_next(&x, &x_index, &x_count);
		if (full_next(&y, &y_index, &y_count) != more)
			return false;
		if (!more)
			return true;
		if (x_index != y_index || x_count != y_count)
			return false;
	}
}

bool hist_alike(const struct hist *a, const struct hist *b)
{
	if (!a || !b)
		return a == b;
	if (hist_is_stale(a) || hist_is_stale(b))
		return hist_is_stale(a) && hist_is_stale(b);
	if (a->is_float != b->is_float || a->schema != b->schema ||
	    a->bounds_count != b->bounds_count ||
	    (a->bounds_count && memcmp(a->bounds, b->bounds, a->bounds_count * sizeof(*a->bounds))))
		return false;
	return same_bits(a->zero_threshold, b->zero_threshold) &&
	    (same_bits(a->sum, b->sum) || (a->sum != a->sum && b->sum != b->sum)) &&
	    a->count.n == b->count.n && a->zero_count.n == b->zero_count.n &&
	    side_alike(&a->negative, &b->negative) && side_alike(&a->positive, &b->positive);
}
