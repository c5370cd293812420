/*
 * sample - a time and a value. Values have a kind from the first day: floats now, native histograms
 * later.
 * Stale marker: the NaN with bits 0x7ff0000000000002, compared by bits, moved by memcpy.
 */
#ifndef CORE_MODEL_SAMPLE_H
#define CORE_MODEL_SAMPLE_H

#include "core/base/num.h"

enum sample_kind {
	SAMPLE_FLOAT = 0,
	SAMPLE_HIST = 1 /* reserved */
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
static inline double sample_stale(void)
{
	return num_from_bits(SAMPLE_STALE_BITS);
}
/*
 * A column of one series: times ascending and unique. h is NULL when all samples are floats, which
 * is so as long as nobody makes histograms; else h[i] is NULL for each float among them.
 */
struct hist;
struct sample_column {
	uint32_t count;
	const int64_t *t_ms;
	const double *v;
	const struct hist *const *h;
};
#define SAMPLE_RANGE_MS (2 * 3600 * 1000LL) /* width of a range (a block of time) in storage */

#endif
