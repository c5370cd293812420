/*
 * chosen - the ids of series in memory that a search chose, asked one by one; and those that left
 * memory since it was opened: the search may not have come to them, so that what the catalog knows
 * of them counts, whether they are chosen or not.
 *
 * Thread: one at a time; chosen_without may be another's, while nothing leaves.
 * Memory: the bitmap, some ids that left, and of bits at most CHOSEN_BITS_BYTES an id: all in
 * chosen_bytes.
 */
#ifndef STORAGE_READ_CHOSEN_H
#define STORAGE_READ_CHOSEN_H

#include "storage/cfile/tombs.h"
#include "storage/meta/postings_priv.h"

#define CHOSEN_BITS_BYTES 32u

/* All 0 is one of which nothing was chosen yet. */
struct chosen {
	roaring_bitmap_t *ids; /* NULL: none yet */
	uint64_t count;
	uint64_t *bits; /* the same, up to bits_end; NULL: not worth it */
	uint32_t bits_end;
	roaring_bitmap_t *gone; /* left memory; NULL: none did */
};
/* ids: its own then. */
void chosen_set(struct chosen *c, roaring_bitmap_t *ids);
/* A bit for each id, where that pays, some 100 us: bitmaps look for few ids far apart by halves. */
void chosen_bits(struct chosen *c);
/* What is gone is chosen as it was. */
static inline bool chosen_has(const struct chosen *c, uint32_t id)
{
	if (c->bits)
		return id < c->bits_end && c->bits[id / 64] >> (id % 64) & 1;
	return roaring_bitmap_contains(c->ids, id);
}
void chosen_leaves(struct chosen *c, uint32_t id);
/*
 * What the catalog need not tell of, the caller's: the chosen that are in memory, and what is dead:
 * as no cut is a partial one, each id of the tombs is. tombs: NULL is none.
 */
roaring_bitmap_t *chosen_without(const struct chosen *c, const struct tombs *tombs);
uint64_t chosen_bytes(const struct chosen *c);
void chosen_release(struct chosen *c);

#endif
