/*
 * slotmap - from the fingerprint of a series to its slot: a hint, who looks compares the labels.
 *
 * Open addressing, 8 bytes an entry: 32 bits of the fingerprint, which also say where it belongs,
 * and the slot. At most 7/8 full; it grows by a half beside the old entries, some of which go over
 * at each addition: 9 to 14 bytes a series.
 * Another series has the same 32 bits as the one looked for in about one of 2^32 / count looks.
 *
 * Thread: one. Memory: maps of its own.
 */
#ifndef STORAGE_HEAD_SLOTMAP_H
#define STORAGE_HEAD_SLOTMAP_H

#include "core/base/check.h"

#define SLOTMAP_NONE UINT32_MAX /* no slot */

struct slotmap_entry {
	uint32_t tag;
	uint32_t slot1; /* slot + 1; 0 = empty, UINT32_MAX = dead (old ones only) */
};
STATIC(sizeof(struct slotmap_entry) == 8);
struct slotmap_table {
	struct slotmap_entry *entries; /* NULL = none */
	uint32_t size, count;
};
struct slotmap {
	struct slotmap_table now, old; /* old: being moved over, entries below old_pos are moved */
	uint32_t old_pos;
};

void slotmap_release(struct slotmap *m);
size_t slotmap_bytes(const struct slotmap *m);
void slotmap_put(struct slotmap *m, uint64_t fp, uint32_t slot);
void slotmap_cut(struct slotmap *m, uint64_t fp, uint32_t slot); /* it must be in */
/* Moves so many old entries over, for a map that nothing is put into any more. */
void slotmap_settle(struct slotmap *m, uint32_t entries);

static inline uint32_t slotmap_tag(uint64_t fp)
{
	/* Fingerprints are even already, but a build with weak ones must spread what it can. */
	return (uint32_t)((fp ^ fp >> 32) * 0x9e3779b1u);
}
static inline uint32_t slotmap_place(const struct slotmap_table *t, uint32_t tag)
{
	return (uint32_t)((uint64_t)tag * t->size >> 32);
}
static inline void slotmap_fetch(const struct slotmap *m, uint64_t fp)
{
	if (m->now.entries)
		__builtin_prefetch(&m->now.entries[slotmap_place(&m->now, slotmap_tag(fp))]);
}

/* Tells the slots that may be meant, until SLOTMAP_NONE. Nothing is put or cut meanwhile. */
struct slotmap_look {
	const struct slotmap *map;
	const struct slotmap_table *in;
	uint32_t tag, at;
};
struct slotmap_look slotmap_look(const struct slotmap *m, uint64_t fp);
uint32_t slotmap_next(struct slotmap_look *l);

#endif
