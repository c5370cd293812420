/* Quantiles, fractions, variance, and what is below or above a value. */
#include "core/model/histmath_priv.h"

#include <math.h>

/* How much of the bucket is at or below v, which lies inside; 0 to 1. */
static double share_below(const struct hist_bucket *b, double v, bool linear)
{
	if (linear)
		return (v - b->lower) / (b->upper - b->lower);
	double low = log2(fabs(b->lower)), up = log2(fabs(b->upper)), at = log2(fabs(v));
	if (v > 0)
		return (at - low) / (up - low);
	return 1 - (at - up) / (low - up);
}

/* A zero bucket with buckets at one side alone reaches from 0 to there. */
static void zero_one_sided(const struct hist *h, struct hist_bucket *b)
{
	bool low = h->negative.counts_count > 0, high = h->positive.counts_count > 0;
	if (!low && high)
		b->lower = 0;
	else if (low && !high)
		b->upper = 0;
}

/* ---- quantiles ---- */

/* Where in a bucket; the part is 0 to 1. */
static double bucket_at(const struct hist *h, const struct hist_bucket *b, double part)
{
	if (histm_is_custom(h) || (b->lower <= 0 && b->upper >= 0))
		return b->lower + (b->upper - b->lower) * part;
	double low = log2(fabs(b->lower)), up = log2(fabs(b->upper));
	if (b->lower > 0)
		return exp2(low + (up - low) * part);
	return -exp2(up + (low - up) * (1 - part));
}

static double rest(struct hist_iter *it, double count)
{
	double c;
	while (histm_iter_step(it, &c))
		count += c;
	return count;
}

static void last_bucket(const struct hist *h, bool down, struct hist_bucket *out)
{
	struct hist_iter it;
	hist_iter_init(&it, h, down);
	while (hist_iter_next(&it, out))
		;
}

/*
 * Observations of NaN are in the count, not in a bucket, and the sum is NaN then: counted from the
 * low end, they are above all others. (A sum may be NaN for other reasons: counts are compared.)
 */
double hist_quantile(double q, const struct hist *h, enum hist_nan *nan)
{
	struct hist_iter it;
	struct hist_bucket at = { 0 };
	double count = 0, c, total = h->count.f;
	bool sum_nan = h->sum != h->sum, up = sum_nan || q < 0.5;
	*nan = HIST_NAN_NONE;
	if (q < 0)
		return -INFINITY;
	if (q > 1)
		return INFINITY;
	if (total == 0 || q != q)
		return NAN;
	double rank = up ? q * total : (1 - q) * total;
	hist_iter_init(&it, h, !up);
	bool found = false;
	while (!found && histm_iter_step(&it, &c)) {
		count += c;
		found = c != 0 && count >= rank;
	}
	if (found)
		histm_iter_bucket(&it, &at);
	else
		last_bucket(h, !up, &at);
	if (!histm_is_custom(h)) {
		if (at.lower < 0 && at.upper > 0)
			zero_one_sided(h, &at);
	} else if (at.lower == -INFINITY) {
		if (at.upper <= 0)
			return at.upper;
		at.lower = 0;
	} else if (at.upper == INFINITY) {
		return at.lower;
	}
	if (count > total)
		count = total; /* digits were lost */
	if (count < rank) {
		if (!sum_nan)
			return at.upper;
		*nan = HIST_NAN_RESULT;
		return NAN;
	}
	rank = up ? rank - (count - at.count) : count - rank;
	double part = rank / at.count;
	if (sum_nan && rest(&it, count) < total)
		*nan = HIST_NAN_SKEWED;
	return bucket_at(h, &at, part);
}

/* ---- fractions ---- */

struct edge { /* one end of the range that is asked for */
	double v, rank;
	bool set;
};

static void edge_at_lower(struct edge *e, const struct hist_bucket *b, double rank)
{
	if (!e->set && b->lower >= e->v) {
		e->rank = rank;
		e->set = true;
	}
}

static void edge_inside(struct edge *e, const struct hist_bucket *b, double rank, bool linear)
{
	if (e->set || !(b->lower < e->v) || !(b->upper > e->v))
		return;
	/* Nothing can be told of a bucket without a lower end: all of it counts. */
	if (linear && b->lower == -INFINITY)
		e->rank = b->count;
	else
		e->rank = rank + b->count * share_below(b, e->v, linear);
	e->set = true;
}

static double edge_rank(const struct edge *e, double count)
{
	return !e->set || e->rank > count ? count : e->rank;
}

double hist_fraction(double lower, double upper, const struct hist *h, enum hist_nan *nan)
{
	struct hist_iter it;
	struct hist_bucket b;
	struct edge from = { .v = lower }, to = { .v = upper };
	double rank = 0, count = 0;
	*nan = HIST_NAN_NONE;
	if (h->count.f == 0 || lower != lower || upper != upper)
		return NAN;
	if (lower >= upper)
		return 0;
	hist_iter_init(&it, h, false);
	while (hist_iter_next(&it, &b)) {
		bool zero = b.lower <= 0 && b.upper >= 0, linear = zero || histm_is_custom(h);
		count += b.count;
		if (zero)
			zero_one_sided(h, &b);
		edge_at_lower(&from, &b, rank);
		edge_at_lower(&to, &b, rank);
		edge_inside(&from, &b, rank, linear);
		edge_inside(&to, &b, rank, linear);
		if (from.set && to.set)
			break;
		rank += b.count;
	}
	if (h->sum != h->sum) {
		count = rest(&it, count);
		if (count < h->count.f)
			*nan = HIST_NAN_EXCLUDED;
	} else {
		count = h->count.f;
	}
	return (edge_rank(&to, count) - edge_rank(&from, count)) / h->count.f;
}

/* ---- variance ---- */

double hist_stdvar(const struct hist *h)
{
	struct hist_iter it;
	struct hist_bucket b;
	double mean = h->sum / h->count.f, sum = 0, error = 0;
	hist_iter_init(&it, h, false);
	while (hist_iter_next(&it, &b)) {
		double middle;
		if (b.count == 0)
			continue;
		if (histm_is_custom(h))
			middle = (b.upper + b.lower) / 2;
		else if (b.lower <= 0 && b.upper >= 0)
			middle = 0;
		else
			middle = b.upper < 0 ? -sqrt(b.upper * b.lower) : sqrt(b.upper * b.lower);
		double delta = middle - mean;
		histm_kahan(b.count * delta * delta, &sum, &error);
	}
	return (sum + error) / h->count.f;
}

/* ---- what is below or above ---- */

static double finite_or_0(double v)
{
	return isinf(v) ? 0 : v;
}

/* The middle of what is left between two bounds. */
static double middle_of(double lower, double upper, bool positive, bool linear)
{
	if (isinf(lower)) {
		if (isinf(upper))
			return 0;
		return upper > 0 ? upper / 2 : upper;
	}
	if (isinf(upper))
		return lower;
	if (linear)
		return (lower + upper) / 2;
	double mean = sqrt(fabs(lower * upper));
	return positive ? mean : -mean;
}

struct kept { /* of one bucket */
	double count, middle;
};

/*
 * Buckets without an end: of a custom one that ends above 0 the lower end is 0; else nothing can be
 * said of what is inside, and it goes, unless x lies beyond.
 */
static struct kept keep_endless(const struct hist_bucket *b, double x, bool above)
{
	bool low = b->lower == -INFINITY;
	double upper = b->upper;
	if (low && !above) {
		if (x >= upper)
			return (struct kept){ b->count, 0 };
		if (x > 0 && upper > 0 && upper != INFINITY)
			return (struct kept){ b->count * x / upper, x / 2 };
		if (upper <= 0)
			return (struct kept){ b->count, x };
		return (struct kept){ 0, finite_or_0(upper) };
	}
	if (low) {
		if (x <= b->lower)
			return (struct kept){ b->count, 0 };
		if (x >= 0 && upper > x && upper != INFINITY)
			return (struct kept){ b->count * (1 - x / upper), (x + upper) / 2 };
		return (struct kept){ 0, finite_or_0(upper) };
	}
	if (above && x >= b->lower)
		return (struct kept){ b->count, x };
	return (struct kept){ 0, finite_or_0(b->lower) };
}

/* Of a bucket that x lies in. */
static struct kept keep_part(
    const struct hist_bucket *b, double x, bool above, bool positive, bool linear)
{
	if (b->lower == -INFINITY || b->upper == INFINITY)
		return keep_endless(b, x, above);
	double below = x <= b->lower ? 0
	    : x >= b->upper          ? b->count
	                             : b->count * share_below(b, x, linear);
	if (above)
		return (struct kept){ b->count - below, middle_of(x, b->upper, positive, linear) };
	return (struct kept){ below, middle_of(b->lower, x, positive, linear) };
}

static struct kept keep_zero(const struct hist *h, double x, bool above, bool negative, bool positive)
{
	double lower = negative || !positive ? -h->zero_threshold : 0;
	double upper = positive || !negative ? h->zero_threshold : 0;
	double all = h->zero_count.f;
	struct kept whole = { all, (lower + upper) / 2 }, none = { 0, 0 };
	if (x <= lower)
		return above ? whole : none;
	if (x >= upper)
		return above ? none : whole;
	if (above)
		return (struct kept){ all * ((upper - x) / (upper - lower)), (x + upper) / 2 };
	return (struct kept){ all * ((x - lower) / (upper - lower)), (lower + x) / 2 };
}

struct trim {
	const struct hist *h;
	double x, count, sum;
	bool above, changed;
};

static struct kept keep(struct trim *t, const struct hist_bucket *b, bool positive)
{
	struct kept k = { 0, 0 };
	bool linear = histm_is_custom(t->h);
	if (t->above ? b->lower >= t->x : b->upper <= t->x)
		return (struct kept){ b->count, middle_of(b->lower, b->upper, positive, linear) };
	if (t->above ? b->upper > t->x : b->lower < t->x)
		k = keep_part(b, t->x, t->above, positive, linear);
	t->changed |= k.count != b->count;
	return k;
}

/* Writes what is left of each bucket; true when one of them holds something. */
static bool trim_side(struct trim *t, const struct hist_side *s, bool positive, union hist_count *to)
{
	struct histm_walk w = histm_walk(s, 0);
	bool any = false;
	while (histm_walk_next(&w)) {
		double far = histm_bound(t->h, w.index), near = histm_bound(t->h, w.index - 1);
		struct hist_bucket b = { .lower = positive ? near : -far,
			.upper = positive ? far : -near,
			.count = w.count };
		to[w.at - 1].f = w.count;
		if (w.count == 0)
			continue;
		any = true;
		struct kept k = keep(t, &b, positive);
		t->count += k.count;
		t->sum += k.middle * k.count;
		to[w.at - 1].f = k.count;
	}
	return any;
}

const struct hist *hist_trim(struct arena *a, const struct hist *h, double x, bool above)
{
	struct trim t = { .h = h, .x = x, .above = above };
	struct hist *to = arena_dup(a, h, sizeof *h);
	union hist_count *pos = arena_array(a, h->positive.counts_count, sizeof *pos);
	union hist_count *neg = arena_array(a, h->negative.counts_count, sizeof *neg);
	if (!to || !pos || !neg)
		return NULL;
	bool positive = trim_side(&t, &h->positive, true, pos);
	bool negative = trim_side(&t, &h->negative, false, neg);
	if (h->zero_count.f > 0) {
		struct kept k = keep_zero(h, x, above, negative, positive);
		t.changed |= k.count != h->zero_count.f;
		t.sum += k.middle * k.count;
		t.count += k.count;
		to->zero_count.f = k.count;
	}
	if (!t.changed)
		return h;
	to->count.f = t.count;
	to->sum = t.sum;
	to->positive.counts = pos;
	to->negative.counts = neg;
	return hist_compact(a, to);
}
