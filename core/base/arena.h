/*
 * arena - memory that lives and dies with one request, query or batch.
 *
 * Bump allocation from blocks; arena_reset() keeps the largest block for reuse (at most keep_bytes)
 * and frees the rest.
 * Allocations are 16-byte aligned, not zeroed (arena_alloc) or zeroed (arena_zalloc). They never
 * return NULL: without memory the process panics;
 * with a budget (arena_limit) they return NULL when used + size > limit, and arena_over() tells.
 * With a purse (arena_purse, core/base/purse.h) every block is forced into it when it is taken and
 * given back by arena_release and arena_reset; large blocks come from core/base/block.h and go back
 * to the system.
 * In the sharp build (KYMO_SHARP, tests/README.md) every piece is a block of its own, exactly as
 * large as asked for, and nothing is kept for reuse; a limit counts the pieces alone.
 * Thread: one at a time.
 */
#ifndef CORE_BASE_ARENA_H
#define CORE_BASE_ARENA_H

#include "core/base/check.h"
#include "core/base/mem.h"
#include <stdarg.h>

struct arena_block;
struct purse;
struct arena {
	char *_cur, *_end;           /* free part of the current block */
	struct arena_block *_blocks; /* newest first */
	size_t _used_bytes;          /* sum of blocks taken, for charging */
	size_t _limit_bytes;         /* 0 = none */
	size_t _block_bytes;         /* size of the next block */
	struct purse *_purse;        /* NULL = none */
	bool _over;
};

void arena_init(struct arena *a, size_t first_block_bytes);
void arena_release(struct arena *a);
void arena_reset(struct arena *a, size_t keep_bytes);
void arena_limit(struct arena *a, size_t limit_bytes);
bool arena_over(const struct arena *a);
/* Before the first piece, and for good: reset and release keep it. Instead of a limit. */
void arena_purse(struct arena *a, struct purse *p);
size_t arena_used(const struct arena *a);
void *arena_slow_(struct arena *a, size_t size);

static inline void *arena_alloc(struct arena *a, size_t size)
{
#ifndef KYMO_SHARP
	size_t need = (size + 15 + !size) & ~(size_t)15; /* a piece of 0 bytes is one, too */
	if (LIKELY(need >= size && (size_t)(a->_end - a->_cur) >= need)) {
		void *p = a->_cur;
		a->_cur += need;
		return p;
	}
#endif
	return arena_slow_(a, size);
}
void *arena_zalloc(struct arena *a, size_t size);
/* count * size with overflow check; NULL on overflow or over budget. */
void *arena_array(struct arena *a, size_t count, size_t size);
void *arena_dup(struct arena *a, const void *data, size_t len);
char *arena_strndup(struct arena *a, const char *s, size_t len); /* NUL added */
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

/*
 * How many objects of a kind may be kept for reuse, as its owner likes: in the sharp build none.
 * Every list of kept objects asks this.
 */
static inline size_t pool_keep(size_t max)
{
#ifdef KYMO_SHARP
	(void)max;
	return 0;
#else
	return max;
#endif
}

#endif
