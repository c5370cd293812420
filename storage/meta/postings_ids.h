/*
 * postings_ids - the ids of one pair of postings, small.
 *
 *   ONE, TWO   stand in the eight bytes themselves
 *   SOME       3 to IDS_SOME_MAX: a piece of the heap with distances as varints: 1-2 bytes an id
 *   MANY       a roaring bitmap: 2 bytes an id where they are thin, an eighth of one where they
 *              are dense, four a run
 * Kind and ids stand apart, so that who has many of them packs the kind with something else.
 *
 * Cost: an id above all others is put behind them (some 5 ns; 30 into a bitmap where none of its
 * neighbours is in); any other one takes a walk over SOME.
 * Thread: one at a time. Memory: the general heap.
 */
#ifndef STORAGE_META_POSTINGS_IDS_H
#define STORAGE_META_POSTINGS_IDS_H

#include "core/base/check.h"

#include <roaring/roaring.h>

#define IDS_SOME_MAX 256u

enum ids_kind {
	IDS_NONE,
	IDS_ONE,
	IDS_TWO,
	IDS_SOME,
	IDS_MANY
};
struct ids_some;
/* Ids in a row wait beside the bitmap until somebody reads it. */
struct ids_many {
	roaring_bitmap_t *bitmap;
	uint32_t count, bytes; /* of all of it, about */
	uint32_t changes;      /* since bytes were counted */
	uint32_t top;          /* no id is above it */
	uint32_t run_from, run_count;
};
union ids {
	uint32_t few[2]; /* ascending */
	struct ids_some *some;
	struct ids_many *many;
};
STATIC(sizeof(union ids) == 8);

/* False: it was in already. What it holds beside the union goes to, or off, *bytes. */
bool ids_add(union ids *s, enum ids_kind *kind, uint32_t id, size_t *bytes);
/* False: it was not in. */
bool ids_del(union ids *s, enum ids_kind *kind, uint32_t id, size_t *bytes);
void ids_release(union ids *s, enum ids_kind kind);
uint32_t ids_count(const union ids *s, enum ids_kind kind);
uint32_t ids_last(const union ids *s, enum ids_kind kind); /* the highest; not of NONE */
bool ids_has(const union ids *s, enum ids_kind kind, uint32_t id);
size_t ids_bytes(const union ids *s, enum ids_kind kind); /* beside the union */
/* All of them, ascending; not of MANY. Returns how many. */
uint32_t ids_read(const union ids *s, enum ids_kind kind, uint32_t out[IDS_SOME_MAX]);
/* Those at or above from, ascending, at most max. */
size_t ids_from(const union ids *s, enum ids_kind kind, uint32_t from, uint32_t *out, size_t max);
void ids_or(const union ids *s, enum ids_kind kind, roaring_bitmap_t *to);
/* Only those that are in s stay; or only those that are not. */
void ids_and(const union ids *s, enum ids_kind kind, roaring_bitmap_t *to);
void ids_andnot(const union ids *s, enum ids_kind kind, roaring_bitmap_t *to);
roaring_bitmap_t *ids_copy(const union ids *s, enum ids_kind kind); /* the caller's */

#endif
