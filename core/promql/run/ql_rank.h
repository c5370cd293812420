/*
 * ql_rank - the values of a sliding window in their order.
 *
 * All values of a column get ranks once, by a radix sort; NaN come first, equal values in the order
 * of the column. A bitmap of ranks says which are in the window; counts of its set bits, in runs of
 * 4,096 and of 262,144, find the k-th smallest with some hundred looks. So a window costs what
 * enters and leaves it, however long it is.
 *
 * Thread: one at a time. Memory: the caller's, ql_rank_bytes(count) of it.
 */
#ifndef CORE_PROMQL_RUN_QL_RANK_H
#define CORE_PROMQL_RUN_QL_RANK_H

#include "core/promql/plan/ql_value.h"

enum ql_rank_stage {
	QL_RANK_KEYS,
	QL_RANK_SORT,
	QL_RANK_RANKS,
	QL_RANK_READY
};
struct ql_rank {
	uint32_t count;
	enum ql_rank_stage _stage;
	unsigned _digit;
	uint32_t _pos;
	uint64_t *_keys, *_keys2; /* sorted at the end; the second is room */
	uint32_t *_ids, *_ranks;  /* of the keys; of the samples */
	uint64_t *_bits;
	uint32_t *_runs, *_long_runs; /* bits in 4,096 and in 262,144 ranks */
	uint32_t (*_digits)[256];
};
size_t ql_rank_bytes(uint32_t count);
void ql_rank_init(struct ql_rank *k, void *mem, uint32_t count);
/* Some of the sorting, about most values of it; true when all is done. The window is empty. */
bool ql_rank_sort(struct ql_rank *k, const double *v, uint32_t most);
/* Sample i enters or leaves the window. */
void ql_rank_in(struct ql_rank *k, uint32_t i);
void ql_rank_out(struct ql_rank *k, uint32_t i);
double ql_rank_at(const struct ql_rank *k, uint32_t nth); /* 0: the smallest in the window */

#endif
