/*
 * sampleset - durations for quantiles: all of them up to SAMPLESET_KEPT, then every 2nd, 4th, ...
 *
 * Thread: one at a time. Memory: grows to SAMPLESET_KEPT x 8 bytes.
 */
#ifndef BENCH_LOAD_SAMPLESET_H
#define BENCH_LOAD_SAMPLESET_H

#include "core/base/check.h"

#define SAMPLESET_KEPT (1u << 20)

struct sampleset {
	uint64_t *ns;
	size_t count, cap;
	uint64_t seen, each; /* every each-th is kept; 0 = 1 */
};
void sampleset_add(struct sampleset *s, uint64_t ns);
/* The part q of them is at most so much; 0 without any. Sorts. */
uint64_t sampleset_quantile(struct sampleset *s, double q);
void sampleset_clear(struct sampleset *s); /* memory kept */
void sampleset_release(struct sampleset *s);

#endif
