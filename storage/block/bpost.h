/*
 * bpost - which series have which label pair, collected series by series, given out pair by pair.
 *
 * bpost_add with ascending ids ... bpost_begin, then bpost_next: tuples by name, value, id until
 * ERR_NOTFOUND. Twelve bytes each, sorted digit by digit in memory, runs on disk, merged.
 * Cost: some 30 ns a tuple, 60 where it comes from disk.
 * Thread: one at a time. Memory: memory_bytes. Errors: the first one is kept.
 */
#ifndef STORAGE_BLOCK_BPOST_H
#define STORAGE_BLOCK_BPOST_H

#include "core/base/fsio.h"

struct bpost;
struct bpost_tuple {
	uint32_t name, value, id; /* symbols, series */
};
struct bpost *bpost_create(struct fsio_dir *dir, size_t memory_bytes);
void bpost_free(struct bpost *p);
MUST_CHECK enum err bpost_add(struct bpost *p, struct bpost_tuple t);
MUST_CHECK enum err bpost_begin(struct bpost *p);
MUST_CHECK enum err bpost_next(struct bpost *p, struct bpost_tuple *out);

#endif
