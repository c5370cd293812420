/*
 * trend - a straight line through points by least squares, with the standard error of its slope,
 * and the rule by which something "grows".
 *
 * Grows: the slope is more than TREND_ERRORS of its standard errors above 0, and over the time of
 * all points it comes to more than TREND_PART of their mean. Else it is steady. With fewer than
 * TREND_LEAST points nothing can be said.
 * Thread: pure.
 */
#ifndef BENCH_LOAD_TREND_H
#define BENCH_LOAD_TREND_H

#include <stdbool.h>
#include <stddef.h>

#define TREND_ERRORS 3.0
#define TREND_PART   0.05
#define TREND_LEAST  8u

struct trend {
	double mean, slope, error; /* slope and its standard error: by unit of x */
	double span;               /* of x */
	size_t count;
};
struct trend trend_of(const double *x, const double *y, size_t count);
bool trend_grows(const struct trend *t);
const char *trend_word(const struct trend *t); /* "grows", "steady", "too short" */

#endif
