/*
 * late - rows of one series that came older than its newest one: a sorted column that takes
 * insertions.
 *
 * Blocks of at most LATE_BLOCK rows, in order; an insertion moves at most one block. Times are
 * unique. Memory from the loop's slab.
 * Thread: one loop; a frozen one may be read by any thread.
 */
#ifndef STORAGE_HEAD_LATE_H
#define STORAGE_HEAD_LATE_H

#include "storage/head/slab.h"

#define LATE_BLOCK 256u
#define LATE_ROW   16u /* bytes */

struct late_block {
	uint32_t count, cap;
	int64_t t_ms[]; /* cap times, then cap doubles */
};
struct late {
	uint32_t count; /* rows in all blocks */
	uint32_t blocks_count, blocks_cap;
	struct late_block **blocks; /* none is empty */
};
static inline double *late_block_v(struct late_block *b)
{
	return (double *)(void *)(b->t_ms + b->cap);
}

/* A new, empty buffer. */
struct late *late_create(struct slab *m);
void late_free(struct late *l, struct slab *m);
/* Gives blocks back, newest first, at most max: returns how many. Nothing may be read after it. */
uint32_t late_free_some(struct late *l, struct slab *m, uint32_t max);
/* The block a time belongs into: the last one that begins at or before it, else the first. */
uint32_t late_block_for(const struct late *l, int64_t t_ms);
/* Where the value of this time is, NULL when it is not there. */
double *late_find(const struct late *l, int64_t t_ms);
/* The time must not be there. */
void late_insert(struct late *l, struct slab *m, int64_t t_ms, double v);
int64_t late_t_min(const struct late *l); /* count > 0 */
int64_t late_t_max(const struct late *l);

#endif
