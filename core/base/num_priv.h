/*
 * num_priv - the powers of ten that writing (num_fmt.c) and reading (num_scan.c) of floats share.
 */
#ifndef CORE_BASE_NUM_PRIV_H
#define CORE_BASE_NUM_PRIV_H

#include "core/base/num.h"

#define NUM_POW10_MIN (-292)
#define NUM_POW10_MAX 324
#define NUM_EXACT_MAX 55 /* 10^0 to 10^55 have at most 128 bits: the table has them exactly */

/* The 128 upper bits of 10^e, rounded up; [e - NUM_POW10_MIN]. */
struct num_pow10 {
	uint64_t hi, lo;
};
extern const struct num_pow10 num_pow10[NUM_POW10_MAX - NUM_POW10_MIN + 1];

static inline int num_floor_log2_pow10(int e)
{
	return (e * 1741647) >> 19;
}

#endif
