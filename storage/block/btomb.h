/*
 * btomb - the tombstones of a block: which samples of which series are deleted
 * ("tsdb/tombstones/tombstones.go").
 *
 *   BE32 0x0130BA30, byte 1, entries, BE32 CRC-32C of the entries
 *   entry: uvarint series, varint from, varint to; milliseconds, both within
 *
 * Thread: pure. Memory: btomb_release.
 * Errors: any bytes are safe: ERR_DAMAGED, ERR_UNSUPPORTED, with a text.
 */
#ifndef STORAGE_BLOCK_BTOMB_H
#define STORAGE_BLOCK_BTOMB_H

#include "core/base/buf.h"
#include "core/base/err.h"

struct btomb {
	uint64_t ref;
	int64_t t_from_ms, t_to_ms;
};
struct btombs { /* by series, then time; those of one series do not meet */
	struct btomb *items;
	size_t count, cap;
};
void btombs_release(struct btombs *t);
/* In any order; then btombs_order, before anything is looked up. */
void btombs_add(struct btombs *t, uint64_t ref, int64_t t_from_ms, int64_t t_to_ms);
void btombs_order(struct btombs *t);
MUST_CHECK enum err btombs_read(
    const uint8_t *data, size_t len, struct btombs *out, struct errbuf *eb);
void btombs_write(struct buf *out, const struct btombs *t);
/* Those of one series. */
const struct btomb *btombs_of(const struct btombs *t, uint64_t ref, size_t *count);
/* The first row of a column from `first` on whose time is at least t_ms. */
struct column;
uint32_t btombs_row(const struct column *c, uint32_t first, int64_t t_ms);
/* Rows from `first` on that are deleted go; how many did. */
uint32_t btombs_apply(const struct btomb *of_series, size_t count, struct column *c, uint32_t first);

#endif
