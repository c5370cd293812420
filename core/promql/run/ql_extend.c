#include "core/promql/run/ql_extend.h"

/* The first of count that is later than upto, else count. */
static uint32_t after(const int64_t *t, uint32_t count, int64_t upto)
{
	uint32_t lo = 0, hi = count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (t[mid] <= upto)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static double between(const int64_t *t, const double *v, uint32_t k, int64_t at) /* k and k + 1 */
{
	return v[k] + (v[k + 1] - v[k]) * (double)(at - t[k]) / (double)(t[k + 1] - t[k]);
}

/*
 * t[0] and v[0] are room, samples stand at 1..n. A made point takes the place of the sample that is
 * at or beyond its end of the window; without one it stands beside the samples.
 */
static struct ql_extend extend(
    int64_t *t, double *v, uint32_t n, int64_t start, int64_t end, bool smoothed)
{
	uint32_t last = n, first = after(t + 1, n - 1, start) + 1;

	first -= first > 1;
	if (smoothed)
		last = after(t + 1, n - 1, num_sat_sub(end, 1)) + 1;
	if (t[last] <= start)
		return (struct ql_extend){ 0 };
	double left = smoothed && t[first] < start ? between(t, v, first, start) : v[first];
	double right = smoothed && last > 1 && t[last] > end ? between(t, v, last - 1, end) : v[last];

	first += t[first] <= start;
	last -= t[last] >= end;
	t[first - 1] = start;
	v[first - 1] = left;
	t[last + 1] = end;
	v[last + 1] = right;
	return (struct ql_extend){ .from = first - 1, .count = last + 3 - first };
}

struct ql_extend ql_extend(const struct ql_range_spec *s, int64_t *t, double *v, uint32_t n)
{
	int64_t end = ql_range_ref(s, 0), start = num_sat_sub(end, s->range_ms);

	if (!n)
		return (struct ql_extend){ 0 };
	return extend(t, v, n, start, end, s->smoothed);
}
