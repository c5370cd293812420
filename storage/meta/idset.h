/*
 * idset - a set of series ids as bytes, in the shortest of three forms.
 *
 *   varint (bytes << 2 | form), then so many bytes:
 *   form 0  distances: varint first - base as zigzag, then varint (distance - 1) to each next id
 *   form 1  runs: varint first - base as zigzag, varint (length - 1), then for each next run varint
 *           (gap - 1) of ids that are not in, varint (length - 1)
 *   form 2  bits: varint first - base as zigzag, then bits from the first id on, lowest bit first;
 *           the last byte is not 0
 * base is known from the context, 0 where nothing else is said: sets that stand beside each other
 * often begin near each other.
 * A scattered id costs one or two bytes, a run two or three, a dense set one bit for each id in its
 * span: at most about one byte an id where ids are as far apart as eight.
 *
 * Pure. Any bytes are safe for the readers, and what they hand out ascends within 32 bits.
 * Memory: sets are the caller's. Cost: some 3 ns an id.
 */
#ifndef STORAGE_META_IDSET_H
#define STORAGE_META_IDSET_H

#include "core/base/wire.h"

#include <roaring/roaring.h>

/* ids: ascending, without repeats; count 0 is an empty set of one byte. */
void idset_put(struct buf *to, const uint32_t *ids, size_t count, uint32_t base);

/* One set in bytes, looked at no further than its length. */
struct idset {
	const uint8_t *data;
	size_t len;
	unsigned form;
	uint32_t base;
};
/* Reads one at the reader's place; false and r->bad: there is none. */
bool idset_read(struct wire_reader *r, uint32_t base, struct idset *out);
/* The lowest id; false: it is empty, or malformed. */
bool idset_first(const struct idset *s, uint32_t *id);
/* Its ids into a bitmap; false: malformed, some of them may be in. */
bool idset_or(const struct idset *s, roaring_bitmap_t *to);

/*
 * Which of these ids (ascending) are in it: in[i]; false: malformed. No more of the set is read
 * than that takes: of bits, the bits of those ids.
 */
bool idset_meet(const struct idset *s, const uint32_t *ids, size_t count, bool *in);

/* The ids of a bitmap on the heap: for idset_put. */
uint32_t *idset_array(const roaring_bitmap_t *b, size_t *count);

#endif
