/*
 * ql_sorter - sorting in slices: a merge sort of an array of indices, stable.
 *
 * Thread: the loop of the query. Memory: the arena.
 */
#ifndef CORE_PROMQL_RUN_QL_SORTER_H
#define CORE_PROMQL_RUN_QL_SORTER_H

#include "core/promql/run/ql_run.h"

struct ql_sorter {
	uint32_t *idx, *_tmp, count;
	int (*cmp)(const void *arg, uint32_t a, uint32_t b);
	const void *arg;
	uint32_t work; /* of a comparison, in values (ql_tick); 0: a usual one */
	uint32_t _width, _lo, _i, _j, _k;
	bool _open;
};
void ql_sorter_init(struct ql_sorter *s, struct arena *a, uint32_t count,
    int (*cmp)(const void *arg, uint32_t a, uint32_t b), const void *arg);
bool ql_sorter_run(struct ql_sorter *s, struct ql_run *x);      /* true when sorted */
int ql_vec_cmp_labels(const void *vec, uint32_t a, uint32_t b); /* arg: const struct ql_vec * */

#endif
