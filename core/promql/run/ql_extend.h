/*
 * ql_extend - a range selector with "anchored" or "smoothed" as the result of a query: the samples
 * inside the window, and a point made at each of its ends.
 * anchored: the values of the first and the last sample that count; smoothed: what lies on the line
 * between the samples on both sides. Facts: Prometheus, promql/engine.go (extendFloats).
 * Thread: pure.
 */
#ifndef CORE_PROMQL_RUN_QL_EXTEND_H
#define CORE_PROMQL_RUN_QL_EXTEND_H

#include "core/promql/plan/ql_spec.h"

struct ql_extend {
	uint32_t from, count; /* the points, as indices of what was given */
};
/*
 * n samples, floats, from the window with the lookback around it, at t[1] and v[1] to t[n] and
 * v[n]; what is before and behind is room for the points that are made. The window is that of
 * step 0. Points outside of it are left where they are.
 */
struct ql_extend ql_extend(const struct ql_range_spec *s, int64_t *t, double *v, uint32_t n);

#endif
