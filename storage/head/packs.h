/*
 * packs - the encoded samples of one run of a series: packs in the order of time, found by time.
 *
 *   few    up to PACKS_LEAF packs: one array, that doubles
 *   many   an array of full-size arrays of PACKS_LEAF: a series of millions of samples grows
 *          without moving what it has
 * (1) Packs are ascending and do not overlap; a new one is newer than all others.
 * (2) rows and bytes are the sums over all packs, so nobody has to walk them to know.
 *
 * Cost: adding O(1), finding O(log packs). 48 bytes for a series with one pack, that included.
 * Thread: one loop; those of a frozen run may be read by any thread. Memory: the loop's slab.
 */
#ifndef STORAGE_HEAD_PACKS_H
#define STORAGE_HEAD_PACKS_H

#include "storage/head/slab.h"

#define PACKS_LEAF 512u

/* Encoded by storage/chunk/pack.h pack_encode, base_ms = t_min_ms. */
struct packs_item {
	int64_t t_min_ms, t_max_ms;
	uint16_t count;
	uint16_t size; /* bytes of data */
	uint8_t data[];
};
struct packs {
	union {
		struct packs_item **few;   /* cap <= PACKS_LEAF */
		struct packs_item ***many; /* cap is a multiple of it */
	};
	uint32_t count, cap;
	uint64_t rows, bytes;
};
static inline struct packs_item **packs_place(const struct packs *p, uint32_t i)
{
	return p->cap <= PACKS_LEAF ? &p->few[i] : &p->many[i / PACKS_LEAF][i % PACKS_LEAF];
}
static inline struct packs_item *packs_at(const struct packs *p, uint32_t i)
{
	return *packs_place(p, i);
}
/* What a pack takes of memory, as it is counted. */
static inline size_t packs_item_bytes(const struct packs_item *x)
{
	return sizeof(*x) + x->size;
}

/* n samples, ascending, at most PACK_SAMPLES_MAX, newer than all others (1). */
void packs_add(struct packs *p, struct slab *m, const int64_t *t_ms, const double *v, unsigned n);
/* Other samples in the place of pack i; their times stay within its neighbours'. */
void packs_set(
    struct packs *p, struct slab *m, uint32_t i, const int64_t *t_ms, const double *v, unsigned n);
/* The first pack that ends at t_ms or later; count when none does. */
uint32_t packs_seek(const struct packs *p, int64_t t_ms);
/*
 * Gives packs back, newest first, at most max of them; the last one takes the arrays along. Returns
 * how many went.
 */
uint32_t packs_free_some(struct packs *p, struct slab *m, uint32_t max);
void packs_release(struct packs *p, struct slab *m);

#endif
