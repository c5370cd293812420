/*
 * msort - sorts an array of pointers in pieces, so that a job can stop in between.
 *
 * A stable merge sort from the bottom up: at most n * log2(n) comparisons, and room for as many
 * pointers again. msort_run works for about so many comparisons and says when all is done; the
 * result is in msort.items then, which is one of the two arrays.
 * Thread: one at a time. Memory: both arrays are the caller's.
 */
#ifndef CORE_BASE_MSORT_H
#define CORE_BASE_MSORT_H

#include "core/base/check.h"

typedef int (*msort_cmp)(const void *a, const void *b);
struct msort {
	const void **items;
	const void **_room; /* the runs of items are merged into it */
	size_t _n, _width;  /* of a sorted run */
	size_t _at, _l, _r; /* where the two runs begin that are merged, and what is left of each */
	bool _merging;
	msort_cmp _cmp;
};
void msort_begin(struct msort *s, const void **items, const void **room, size_t n, msort_cmp cmp);
/* False: not done yet. */
MUST_CHECK bool msort_run(struct msort *s, size_t steps);

#endif
