/*
 * histmath - what PromQL does with native histograms: sums, differences, factors, resets,
 * quantiles, and the buckets one by one.
 *
 * All take and give float histograms (hist_to_float) that are no stale markers. Nothing that is
 * given is changed. Sums, differences, products and trimmed ones are compact (no bucket of 0, no
 * gap of 0, no empty span but in gaps of more than 2^31 buckets); results share arrays with what
 * they were made of where they can, and
 * live in the arena.
 * Arithmetic brings both sides to one layout: the coarser schema, the wider zero bucket (which
 * takes in whole buckets), for custom ones the bounds that both have.
 * Facts: Prometheus' documentation, "Native histograms"; upstream model/histogram.
 *
 * Memory: the arena; NULL means HISTMATH_NONE was told. Thread: pure.
 */
#ifndef CORE_MODEL_HISTMATH_H
#define CORE_MODEL_HISTMATH_H

#include "core/model/hist.h"

enum histmath_told {             /* bits: what is to be said of an operation */
	HISTMATH_MIXED = 1,      /* exponential with custom: no result */
	HISTMATH_RECONCILED = 2, /* custom bounds differed: those of both are left */
	HISTMATH_COLLIDED = 4,   /* one hint says reset, the other one says none */
	HISTMATH_NONE = 8        /* no result: no memory */
};

/* With doubles as counts: h itself when it has them. */
const struct hist *hist_to_float(struct arena *a, const struct hist *h);
const struct hist *hist_compact(struct arena *a, const struct hist *h);
const struct hist *hist_with_hint(struct arena *a, const struct hist *h, enum hist_hint hint);
/* To a coarser schema; h itself when it has it. (hist_reduce, for floats and integers.) */
const struct hist *hist_at_schema(struct arena *a, const struct hist *h, int schema);

/*
 * l + r and l - r; *told gets bits, and keeps those it has. NULL with HISTMATH_MIXED or
 * HISTMATH_NONE. The hint: that of both; gauge when one is; else unknown. (The operator "-" and
 * rates say gauge: hist_with_hint.)
 */
const struct hist *hist_add(
    struct arena *a, const struct hist *l, const struct hist *r, unsigned *told);
const struct hist *hist_sub(
    struct arena *a, const struct hist *l, const struct hist *r, unsigned *told);
/* A factor below 0 makes a gauge; nothing is left of the buckets that are divided by 0. */
const struct hist *hist_mul(struct arena *a, const struct hist *h, double factor);
const struct hist *hist_div(struct arena *a, const struct hist *h, double by);
/* Observations below (above: at least) x; the bucket that holds x is divided. */
const struct hist *hist_trim(struct arena *a, const struct hist *h, double x, bool above);
/*
 * "==" of PromQL: the same bits in all counts and the sum, the same buckets (one that holds 0 is
 * one), whatever the spans and hints are.
 */
bool hist_same_value(struct arena *scratch, const struct hist *l, const struct hist *r);
/* Did the counter begin again between before and h? Looks at hints first. */
bool hist_reset_after(struct arena *scratch, const struct hist *before, const struct hist *h);

/*
 * A running sum with compensation (Kahan-Neumaier) for each count, or a mean, which goes on as a
 * running mean when the sum would be infinite. Its arrays grow in the arena and are used again, so
 * that adding histograms of layouts that it has seen takes no memory.
 */
struct hist_sum;
struct hist_sum *hist_sum_make(struct arena *a, bool mean);
void hist_sum_clear(struct hist_sum *s); /* begins again, and keeps its arrays */
/*
 * Bits of enum histmath_told. HISTMATH_MIXED: h is not in it, nor will anything be; HISTMATH_NONE:
 * no memory, s is lost. HISTMATH_COLLIDED comes from the first time on that both hints were seen.
 */
unsigned hist_sum_add(struct hist_sum *s, const struct hist *h);
/* Another one into s, which then is as if all of its histograms had been added. */
unsigned hist_sum_merge(struct hist_sum *s, const struct hist_sum *from);
uint64_t hist_sum_count(const struct hist_sum *s); /* histograms in it */
/*
 * The sum, or the mean: in a, and s is not needed for it any more. NULL without memory, or when
 * nothing is in it, or it was lost.
 */
const struct hist *hist_sum_get(const struct hist_sum *s, struct arena *a);

enum hist_nan { /* of observations that are NaN: what is to be said */
	HIST_NAN_NONE,
	HIST_NAN_RESULT,  /* they are where the quantile is: it is NaN */
	HIST_NAN_SKEWED,  /* they make it too high */
	HIST_NAN_EXCLUDED /* the fraction leaves them out */
};
double hist_quantile(double q, const struct hist *h, enum hist_nan *nan);
double hist_fraction(double lower, double upper, const struct hist *h, enum hist_nan *nan);
double hist_stdvar(const struct hist *h);

/*
 * The buckets from the lowest to the highest (or down), without those that no span tells; the zero
 * bucket when it holds something. One that reaches into the zero bucket ends where that does.
 */
struct hist_bucket {
	double lower, upper, count;
	bool lower_in, upper_in; /* do the bounds belong to it? */
	int32_t index;
};
struct hist_iter {
	const struct hist *h;
	unsigned _part; /* negative, zero, positive, or the other way round; then the end */
	uint32_t _span, _in, _at; /* the one at hand */
	int64_t _index;
	bool _down; /* from the highest to the lowest */
	bool _on;   /* of a side read forwards: the one at hand was given */
};
void hist_iter_init(struct hist_iter *it, const struct hist *h, bool down);
bool hist_iter_next(struct hist_iter *it, struct hist_bucket *out);
double hist_bound(int schema, int64_t index); /* upper bound of an exponential bucket */

/* As Prometheus prints it, without buckets of 0: {count:3, sum:4.5, [-1,1]:1, (1,2]:2}. */
void hist_print(const struct hist *h, struct buf *out);

#endif
