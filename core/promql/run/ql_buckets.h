/*
 * ql_buckets - classic buckets, which count what is at or below their bounds: quantiles and
 * fractions, linear inside a bucket, as upstream (promql/quantile.go).
 *
 * Buckets come by bound, no bound twice, at least one. Thread: pure functions.
 */
#ifndef CORE_PROMQL_RUN_QL_BUCKETS_H
#define CORE_PROMQL_RUN_QL_BUCKETS_H

#include "core/promql/run/ql_notes.h"

struct ql_bucket {
	double bound, count;
};
/*
 * Counts that fall are raised to those before, and fix tells of them: its min_bucket, max_bucket,
 * max_diff, and count 1. (Differences of the last digits are not told.)
 */
double ql_bucket_quantile(double q, struct ql_bucket *b, uint32_t n, struct ql_note_fix *fix);
double ql_bucket_fraction(double lower, double upper, const struct ql_bucket *b, uint32_t n);

#endif
