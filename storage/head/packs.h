/*
 * packs - the full packs of one run of a series (the one that grows stands in its block, series.h):
 * in the order of time, found by time.
 *
 *   few    up to PACKS_LEAF packs: one array, that doubles
 *   many   an array of full-size arrays of PACKS_LEAF: a series of millions of samples grows
 *          without moving what it has
 * (1) Packs are ascending and do not overlap; a new one is newer than all others.
 * (2) rows and bytes are the sums over all packs, so nobody has to walk them to know.
 *
 * Cost: adding O(1), finding O(log packs).
 * Thread: one loop; those of a frozen run may be read by any thread. Memory: the loop's slab.
 */
#ifndef STORAGE_HEAD_PACKS_H
#define STORAGE_HEAD_PACKS_H

#include "storage/chunk/pack.h"
#include "storage/head/slab.h"

#define PACKS_LEAF 512u

struct packs {
	union {
		struct pack **few;   /* cap <= PACKS_LEAF */
		struct pack ***many; /* cap is a multiple of it */
	};
	uint32_t count, cap;
	uint64_t rows, bytes;
};
static inline struct pack **packs_place(const struct packs *p, uint32_t i)
{
	return p->cap <= PACKS_LEAF ? &p->few[i] : &p->many[i / PACKS_LEAF][i % PACKS_LEAF];
}
static inline struct pack *packs_at(const struct packs *p, uint32_t i)
{
	return *packs_place(p, i);
}
/* What a pack takes of memory, as it is counted. */
static inline size_t packs_item_bytes(const struct pack *x)
{
	return PACK_HEAD + x->size;
}

/* A copy of a pack, newer than all others (1). */
void packs_add(struct packs *p, struct slab *m, const struct pack *head, const uint8_t *data);
/* Another one in the place of pack i; its times stay within its neighbours'. */
void packs_set(
    struct packs *p, struct slab *m, uint32_t i, const struct pack *head, const uint8_t *data);
/* The first pack that ends at t_ms or later; count when none does. */
uint32_t packs_seek(const struct packs *p, int64_t t_ms);
/*
 * Gives packs back, newest first, at most max of them; the last one takes the arrays along. Returns
 * how many went.
 */
uint32_t packs_free_some(struct packs *p, struct slab *m, uint32_t max);
void packs_release(struct packs *p, struct slab *m);

#endif
