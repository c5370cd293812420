/*
 * block - large blocks of memory, mapped from the system one by one and given back to it.
 *
 * malloc keeps what is freed between pieces that live, and gives it back only when somebody walks
 * all of it under its lock. So the memory of queries and answers (arenas with a purse) comes from
 * here once a block is large: sizes are powers of two from BLOCK_LEAST to BLOCK_MOST, or whole
 * pages
 * above. A block that is put waits in the list of its size for the next who wants it; block_tick,
 * once a second, gives back half of what no one has wanted since the tick before, all of it when it
 * is little. Who takes a fresh block while much lies free gives back as much (a few MiB at most) of
 * other sizes, so that what lies here stays below what was in use at once.
 *
 * Not zeroed, but for block_get_zeroed. In the sharp build nothing is kept (malloc's every piece).
 * Thread: any; one lock, held for a few instructions. block_tick: workers (it unmaps).
 */
#ifndef CORE_BASE_BLOCK_H
#define CORE_BASE_BLOCK_H

#include "core/base/check.h"

#define BLOCK_LEAST ((size_t)64 << 10)
#define BLOCK_MOST  ((size_t)1 << 20)

/* What block_get would take for so many bytes (at least BLOCK_LEAST). */
size_t block_size(size_t bytes);
/* size: from block_size. NULL: the system has none. */
void *block_get(size_t size);
void *block_get_zeroed(size_t size);
void block_put(void *p, size_t size);
/* What is kept for reuse. */
size_t block_free_bytes(void);
/* So much that a tick should come soon. */
bool block_much(void);
/* Unmaps kept blocks of at most so many bytes. */
void block_give_back(size_t bytes);
void block_tick(void);

#endif
