/*
 * exphist - a native histogram while it is counted: values go in one by one, out comes a struct
 * hist, or quantiles.
 *
 * Buckets are exponential: bucket i of the positive side holds values in
 * (2^((i-1)*2^-schema), 2^(i*2^-schema)], the negative side mirrors it, and values within
 * EXPHIST_ZERO of 0 are in the zero bucket. Counts of a side lie in one array from the smallest
 * bucket to the largest; before there are more than max, neighbours become one and the schema is
 * one less (never less than -4, where a side has 131 at most).
 *
 * Memory: the heap; exphist_bytes says how much, and the caller charges it.
 * Thread: one at a time. Cost: about 30 ns a value; a wider one once in a while copies a side.
 */
#ifndef CORE_MODEL_EXPHIST_H
#define CORE_MODEL_EXPHIST_H

#include "core/model/hist.h"

#define EXPHIST_ZERO 0x1p-128 /* as client libraries of Prometheus have it */

struct exphist_side {
	uint64_t *counts;
	int32_t low; /* index of counts[0] */
	uint32_t len, cap;
};
struct exphist {
	uint64_t count, zero;
	double min, max; /* of all values; nothing while count is 0 */
	uint32_t buckets_max;
	int8_t schema;
	struct exphist_side positive, negative;
};
/* schema: HIST_SCHEMA_MIN..HIST_SCHEMA_MAX. */
void exphist_init(struct exphist *h, int schema, uint32_t buckets_max);
void exphist_release(struct exphist *h);
void exphist_clear(struct exphist *h, int schema); /* no values; memory kept */
/* The finest schema whose buckets are at most factor times as wide as the ones before them. */
int exphist_schema(double factor);
/* v is finite, n of them. */
void exphist_add(struct exphist *h, double v, uint64_t n);
/* What is in from, too; at the coarser schema of both. */
void exphist_merge(struct exphist *h, const struct exphist *from);
size_t exphist_bytes(const struct exphist *h); /* beside the struct itself */
/* In the arena; sum is the caller's. NULL: no memory. */
struct hist *exphist_hist(const struct exphist *h, struct arena *a, double sum);
/*
 * The value below which q (0..1) of all are, right to half the width of its bucket, and exact where
 * all are the same. NaN: there is none.
 */
double exphist_quantile(const struct exphist *h, double q);

#endif
