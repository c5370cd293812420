/*
 * Does a selector need the buckets of its histograms? As upstream decides it (promql/engine.go,
 * detectHistogramStatsDecoding): hints, and so warnings of resets that collide, follow from it.
 */
#include "core/promql/plan/ql_plan.h"

static bool trims(const struct ql_node *n)
{
	for (; n->kind == QL_BINARY; n = n->bin.l)
		if (ql_op_is_trim(n->bin.op))
			return true;
	return false;
}

static enum ql_buckets of_call(enum ql_fn fn, enum ql_buckets above)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
	switch (fn) {
	case QL_FN_HISTOGRAM_COUNT:
	case QL_FN_HISTOGRAM_SUM:
	case QL_FN_HISTOGRAM_AVG:
		return QL_BUCKETS_HINTS;
	case QL_FN_HISTOGRAM_QUANTILE:
	case QL_FN_HISTOGRAM_QUANTILES:
	case QL_FN_HISTOGRAM_FRACTION:
		return QL_BUCKETS_NEEDED;
	default:
		return above;
	}
#pragma GCC diagnostic pop
}

enum ql_buckets ql_plan_buckets(const struct ql_node *n, enum ql_buckets above)
{
	if (above == QL_BUCKETS_NEEDED)
		return above;
	if (n->kind == QL_SUBQUERY || trims(n))
		return QL_BUCKETS_NEEDED; /* a subquery looks for resets itself */
	return n->kind == QL_CALL ? of_call(n->call.func->fn, above) : above;
}
