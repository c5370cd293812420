#include "core/promql/run/ql_buckets.h"

#include <float.h>
#include <math.h>

#define TOLERANCE 1e-12

static bool almost_equal(double a, double b)
{
	double sum = fabs(a) + fabs(b), diff = fabs(a - b);

	if (a == b)
		return true;
	if (a == 0 || b == 0 || sum < DBL_MIN)
		return diff < TOLERANCE * DBL_MIN;
	return diff / fmin(sum, DBL_MAX) < TOLERANCE;
}

static void make_monotonic(struct ql_bucket *b, uint32_t n, struct ql_note_fix *fix)
{
	double prev = b[0].count;

	for (uint32_t i = 1; i < n; i++) {
		double cur = b[i].count;
		if (cur == prev)
			continue;
		if (almost_equal(prev, cur)) {
			b[i].count = prev;
			continue;
		}
		if (cur < prev) {
			b[i].count = prev;
			fix->count = 1; /* of this step */
			fix->min_bucket = fmin(fix->min_bucket, b[i].bound);
			fix->max_bucket = fmax(fix->max_bucket, b[i].bound);
			fix->max_diff = fmax(fix->max_diff, prev - cur);
			continue;
		}
		prev = cur;
	}
}

double ql_bucket_quantile(double q, struct ql_bucket *b, uint32_t n, struct ql_note_fix *fix)
{
	uint32_t at = 0;

	if (isnan(q))
		return NAN;
	if (q < 0)
		return -INFINITY;
	if (q > 1)
		return INFINITY;
	if (!(isinf(b[n - 1].bound) && b[n - 1].bound > 0))
		return NAN;
	make_monotonic(b, n, fix);
	if (n < 2 || b[n - 1].count == 0)
		return NAN;

	double rank = q * b[n - 1].count, start = 0, end, count;
	while (at < n - 1 && !(b[at].count >= rank))
		at++;
	if (at == n - 1)
		return b[n - 2].bound;
	if (at == 0 && b[0].bound <= 0)
		return b[0].bound;
	end = b[at].bound;
	count = b[at].count;
	if (at) {
		start = b[at - 1].bound;
		count -= b[at - 1].count;
		rank -= b[at - 1].count;
	}
	return start + (end - start) * (rank / count);
}

/* Observations at or below x, when x lies inside a bucket of count..b->count. */
static double rank_inside(const struct ql_bucket *b, double low, double rank, double x)
{
	if (isinf(low) && low < 0)
		return b->count;
	return rank + (b->count - rank) * (x - low) / (b->bound - low);
}

double ql_bucket_fraction(double lower, double upper, const struct ql_bucket *b, uint32_t n)
{
	double rank = 0, lower_rank = 0, upper_rank = 0, low;
	bool lower_set = false, upper_set = false;

	if (!(isinf(b[n - 1].bound) && b[n - 1].bound > 0))
		return NAN;
	double count = b[n - 1].count;
	if (count == 0 || isnan(lower) || isnan(upper))
		return NAN;
	if (lower >= upper)
		return 0;
	low = b[0].bound <= 0 ? -INFINITY : 0;
	for (uint32_t i = 0; i < n && !(lower_set && upper_set); i++) {
		if (i)
			low = b[i - 1].bound;
		if (!lower_set && low >= lower) {
			lower_rank = rank;
			lower_set = true;
		}
		if (!upper_set && low >= upper) {
			upper_rank = rank;
			upper_set = true;
		}
		if (!lower_set && low < lower && b[i].bound > lower) {
			lower_rank = rank_inside(&b[i], low, rank, lower);
			lower_set = true;
		}
		if (!upper_set && low < upper && b[i].bound > upper) {
			upper_rank = rank_inside(&b[i], low, rank, upper);
			upper_set = true;
		}
		rank = b[i].count;
	}
	if (!lower_set || lower_rank > count)
		lower_rank = count;
	if (!upper_set || upper_rank > count)
		upper_rank = count;
	return (upper_rank - lower_rank) / count;
}
