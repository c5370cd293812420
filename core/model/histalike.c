#include "core/model/histalike.h"

#include <string.h>

#include "core/base/num.h"

static bool same_bits(double a, double b)
{
	return num_bits(a) == num_bits(b);
}

/* Buckets of a side that have something in them, one after another. */
struct full {
	const struct hist_side *side;
	uint32_t span, in_span, at; /* of the next one; at: in counts */
	int64_t index;
	union hist_count count;
};

static bool full_next(struct full *f)
{
	while (f->span < f->side->spans_count) {
		const struct hist_span *s = &f->side->spans[f->span];
		if (f->in_span == s->length) {
			f->span++;
			f->in_span = 0;
			continue;
		}
		f->index += f->in_span ? 1 : s->offset + (f->at > 0);
		f->in_span++;
		f->count = f->side->counts[f->at++];
		if (f->count.n)
			return true;
	}
	return false;
}

static bool side_alike(const struct hist_side *a, const struct hist_side *b)
{
	struct full x = { .side = a }, y = { .side = b };
	for (;;) {
		bool more = full_next(&x);
		if (full_next(&y) != more)
			return false;
		if (!more)
			return true;
		if (x.index != y.index || x.count.n != y.count.n)
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
