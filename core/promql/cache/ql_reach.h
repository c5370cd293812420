/*
 * ql_reach - which times a step of an expression looks at, and whether its value depends on that
 * step alone.
 *
 * A step at time t of a range query reads samples in [t - back, t + ahead], and, where something is
 * fixed by "@", in [fixed_min, fixed_max], whatever t is. Told from the tree: selectors with their
 * windows, offsets and the look-back, subqueries around them.
 *
 *   QL_REACH_STEP   the same at this step whatever the first and last one are: results of different
 *                   ranges can be joined, step by step
 *   QL_REACH_RANGE  depends on the first or last step: start(), end(), range(), "@ start()"; on the
 *                   order of series; or equal label sets are looked for over all steps at once
 *                   (names that go and may differ, label_replace), so that an error may come from
 *                   far away
 *   QL_REACH_NONE   not worth keeping, or not told here (info, limitk, limit_ratio)
 *
 * Thread: pure function of a resolved tree (ql_ast_resolve).
 */
#ifndef CORE_PROMQL_CACHE_QL_REACH_H
#define CORE_PROMQL_CACHE_QL_REACH_H

#include "core/promql/lang/ql_ast.h"

enum ql_reach_kind {
	QL_REACH_STEP,
	QL_REACH_RANGE,
	QL_REACH_NONE
};
struct ql_reach {
	enum ql_reach_kind kind;
	bool any; /* some selector has no "@" around it: back and ahead say something */
	int64_t back_ms, ahead_ms;
	bool fixed;
	int64_t fixed_min_ms, fixed_max_ms;
	/*
	 * The order in which series are read shows: which of equal ones topk takes, roundings of
	 * stddev. It depends on when series left memory, and on the range of time that is read:
	 * results of different ranges are not joined. Sums and averages do not count: they are
	 * compensated (ql_kahan), which is why windows may add them in whatever order, too
	 * (core/promql/run/ql_slide.c).
	 */
	bool order;
	/*
	 * Where a step has a value every selector has one, each of one metric name: what is noted
	 * of names for as much as one step is noted for all ranges with a value in them.
	 */
	bool strict;
};
struct ql_reach ql_reach(struct ql_node *root, int64_t lookback_ms);

#endif
