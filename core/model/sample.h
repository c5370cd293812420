/*
 * sample - a time and a value, which has a kind: a float, or a native histogram. A sample may also
 * know when its series began to count (start_ms, "created timestamp").
 * Stale marker: the NaN with bits 0x7ff0000000000002, compared by bits, moved by memcpy.
 * Histograms stand beside the floats of a column: where one is, the float is SAMPLE_HIST_BITS, so
 * that times, order and equality are those of floats everywhere. A float that comes in with these
 * bits is stored as SAMPLE_NAN_BITS.
 */
#ifndef CORE_MODEL_SAMPLE_H
#define CORE_MODEL_SAMPLE_H

#include <stddef.h>

#include "core/base/num.h"

enum sample_kind {
	SAMPLE_FLOAT = 0,
	SAMPLE_HIST = 1
};
struct sample {
	int64_t t_ms;
	double v;
};
#define SAMPLE_STALE_BITS 0x7ff0000000000002u
static inline bool sample_is_stale(double v)
{
	return num_bits(v) == SAMPLE_STALE_BITS;
}
#define SAMPLE_HIST_BITS 0x7ff0000000000048u /* a signalling NaN that nobody sends */
#define SAMPLE_NAN_BITS  0x7ff8000000000001u /* the NaN that Prometheus writes */
static inline bool sample_is_hist(double v)
{
	return num_bits(v) == SAMPLE_HIST_BITS;
}
/* A place where a column of floats has none: a stale marker, or a histogram beside it. */
static inline bool sample_is_no_float(double v)
{
	return sample_is_stale(v) || sample_is_hist(v);
}
/* Where t_ms stands among n times that ascend, or would: the first one at or after it. */
static inline size_t sample_place(const int64_t *times, size_t n, int64_t t_ms)
{
	size_t lo = 0, hi = n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (times[mid] < t_ms)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}
static inline double sample_stale(void)
{
	return num_from_bits(SAMPLE_STALE_BITS);
}
/*
 * A column of one series: times ascending and unique. h is NULL when all samples are floats; else
 * h[i] is NULL for each float among them, and v[i] is SAMPLE_HIST_BITS for each histogram.
 * start_ms is NULL when no sample tells its start; else 0 = not told.
 */
struct hist;
struct sample_column {
	uint32_t count;
	const int64_t *t_ms;
	const double *v;
	const struct hist *const *h;
	const int64_t *start_ms;
};
#define SAMPLE_RANGE_MS (2 * 3600 * 1000LL) /* width of a range (a block of time) in storage */

#endif
