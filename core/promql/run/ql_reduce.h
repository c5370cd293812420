/*
 * ql_reduce - reducers: of all columns of a piece one result, a partial one on each shard, which
 * the receiver merges.
 *
 * What a reducer is, its spec says (ql_spec.h):
 *   QL_REDUCE_AGGR  aggregations that add up (ql_aggr.h)
 *   QL_REDUCE_BEST  the best k of each group (ql_best.h)
 * Every call does a part of some thousand values at most. While *more is set, it is called again
 * with the same arguments; who calls looks at the clock in between.
 *
 * Thread: one at a time; a partial result moves whole, by pointer, with the arena it lives in.
 * Memory: that arena, charged; what it has beside it ql_reducer_release frees.
 */
#ifndef CORE_PROMQL_RUN_QL_REDUCE_H
#define CORE_PROMQL_RUN_QL_REDUCE_H

#include "core/promql/run/ql_aggr.h"
#include "core/promql/run/ql_best.h"

struct ql_reducer {
	const struct ql_reduce *spec;
	struct arena *arena;
	uint32_t n;    /* steps */
	uint32_t _pos; /* results that are finished */
	uint64_t work; /* of the last column that was added, beside its steps */
	union {
		struct ql_aggr aggr;
		struct ql_best best;
	} u;
};
/* Of QL_REDUCE_NONE: nothing, and only the release may follow. */
void ql_reducer_init(struct ql_reducer *r, const struct ql_reduce *spec, uint32_t n, struct arena *a);
void ql_reducer_notes(struct ql_reducer *r, struct ql_notes *notes); /* where it tells */
/* Equal label sets may be among the results. */
bool ql_reducer_may_collide(const struct ql_reducer *r);
void ql_reducer_release(struct ql_reducer *r);
MUST_CHECK enum err ql_reducer_add(struct ql_reducer *r, const struct ql_col *col, bool *more,
    struct ql_budget *b, struct errbuf *eb);
/* What another shard made of its columns; its memory must live as long as r's. */
MUST_CHECK enum err ql_reducer_merge(struct ql_reducer *r, struct ql_reducer *from, bool *more,
    struct ql_budget *b, struct errbuf *eb);
/* The results as columns, on the loop of the query, until it is done. */
MUST_CHECK enum ql_did ql_reducer_finish(struct ql_run *x, struct ql_reducer *r, struct ql_vec *out);
size_t ql_reducer_bytes(const struct ql_reducer *r); /* what it weighs when it moves */

#endif
