/*
 * spread - what kymobench says of a figure that was measured several times: the median, and how
 * far it went. NaN stands for a round that failed; it is left out, and so is its pair.
 *
 * Thread: any. Memory: none is kept.
 */
#ifndef BENCH_LOAD_SPREAD_H
#define BENCH_LOAD_SPREAD_H

#include <stddef.h>

struct spread {
	double median, min, max; /* NaN when count is 0 */
	size_t count;            /* values that are there */
};
/* The middle value, of an even number the mean of the middle two. */
struct spread spread_of(const double *values, size_t count);
/*
 * Of round by round, how often the first is better: first / other where more is better, other /
 * first where less is. Pairs of which one failed, or is 0 below the line, are left out.
 */
struct spread spread_ratio(
    const double *first, const double *other, size_t count, _Bool less_is_better);
/* The value below which this part of all lie (0.99: the 99th percentile); values are sorted. */
double spread_quantile(double *values, size_t count, double part);

#endif
