#include "core/base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/block.h"
#include "core/base/purse.h"

/* Blocks grow twofold up to this; larger single pieces get a block of their own size. */
#define BLOCK_BYTES_MIN 256
#define BLOCK_BYTES_MAX ((size_t)1 << 20)

struct arena_block {
	struct arena_block *next;
	size_t size; /* of the piece behind this header */
};
#define BLOCK_HEAD ((sizeof(struct arena_block) + 15) & ~(size_t)15)

static char *block_start(struct arena_block *b)
{
	return (char *)b + BLOCK_HEAD;
}

void arena_init(struct arena *a, size_t first_block_bytes)
{
	*a = (struct arena){ ._block_bytes = first_block_bytes < BLOCK_BYTES_MIN
		    ? BLOCK_BYTES_MIN
		    : first_block_bytes };
}

void arena_purse(struct arena *a, struct purse *p)
{
	CHECK(!a->_blocks && !a->_limit_bytes);
	a->_purse = p;
}

/* Blocks of this size come from core/base/block.h: of arenas with a purse alone. */
static bool is_large(const struct arena *a, size_t total)
{
	return a->_purse && total >= BLOCK_LEAST;
}

static void block_free(const struct arena *a, struct arena_block *b)
{
	if (is_large(a, BLOCK_HEAD + b->size))
		block_put(b, BLOCK_HEAD + b->size);
	else
		free(b);
}

/* What is used is used_bytes less from now on. */
static void give(struct arena *a, size_t used_bytes)
{
	a->_used_bytes -= used_bytes;
	if (a->_purse && used_bytes)
		purse_give(a->_purse, used_bytes);
}

void arena_release(struct arena *a)
{
	for (struct arena_block *b = a->_blocks, *next; b; b = next) {
		next = b->next;
		block_free(a, b);
	}
	give(a, a->_used_bytes);
	*a = (struct arena){
		._block_bytes = a->_block_bytes,
		._limit_bytes = a->_limit_bytes,
		._purse = a->_purse,
	};
}

void arena_reset(struct arena *a, size_t keep_bytes)
{
	struct arena_block *keep = NULL;
	keep_bytes = pool_keep(keep_bytes);
	for (struct arena_block *b = a->_blocks; b; b = b->next) {
		if (b->size + BLOCK_HEAD <= keep_bytes && (!keep || b->size > keep->size))
			keep = b;
	}
	for (struct arena_block *b = a->_blocks, *next; b; b = next) {
		next = b->next;
		if (b != keep)
			block_free(a, b);
	}
	a->_over = false;
	a->_blocks = keep;
	a->_cur = a->_end = NULL;
	give(a, a->_used_bytes - (keep ? keep->size + BLOCK_HEAD : 0));
	if (keep) {
		keep->next = NULL;
		a->_cur = block_start(keep);
		a->_end = a->_cur + keep->size;
	}
}

void arena_limit(struct arena *a, size_t limit_bytes)
{
	CHECK(!a->_purse || !limit_bytes);
	a->_limit_bytes = limit_bytes;
}

bool arena_over(const struct arena *a)
{
	return a->_over;
}

size_t arena_used(const struct arena *a)
{
	return a->_used_bytes;
}

/* False: too large for any memory, or over the budget with more_bytes. */
static bool fits(struct arena *a, size_t more_bytes)
{
	if (!a->_limit_bytes ||
	    (a->_used_bytes + more_bytes >= more_bytes &&
	        a->_used_bytes + more_bytes <= a->_limit_bytes))
		return true;
	a->_over = true;
	return false;
}

static struct arena_block *block_take(const struct arena *a, size_t total, bool zeroed)
{
	if (!is_large(a, total))
		return zeroed ? mem_zalloc(total) : mem_alloc(total);
	struct arena_block *b = zeroed ? block_get_zeroed(total) : block_get(total);
	if (!b)
		panic("out of memory: %zu bytes", total);
	return b;
}

static struct arena_block *block_add(struct arena *a, size_t size, size_t charge_bytes, bool zeroed)
{
	a->_used_bytes += charge_bytes;
	if (a->_purse) /* counted before it is taken */
		purse_force(a->_purse, charge_bytes);
	struct arena_block *b = block_take(a, BLOCK_HEAD + size, zeroed);
	b->size = size;
	b->next = a->_blocks;
	a->_blocks = b;
	return b;
}

#ifdef KYMO_SHARP

/* A block ends where its piece ends. */
static void *piece_take(struct arena *a, size_t size, size_t need)
{
	return fits(a, need) ? block_start(block_add(a, size, need, false)) : NULL;
}

#else

/* With its head as large as the block that there is to be had, when that is a large one. */
static size_t rounded(const struct arena *a, size_t size)
{
	return is_large(a, BLOCK_HEAD + size) ? block_size(BLOCK_HEAD + size) - BLOCK_HEAD : size;
}

/*
 * Size of the next block for a piece of need bytes: the usual growth, but never past the limit for
 * the sake of growth alone.
 */
static size_t next_size(const struct arena *a, size_t need)
{
	size_t size = a->_block_bytes;
	if (is_large(a, size))
		size -= BLOCK_HEAD;
	size = rounded(a, size > need ? size : need);
	if (a->_limit_bytes && a->_used_bytes + BLOCK_HEAD + size > a->_limit_bytes)
		size = need;
	return size;
}

static void *piece_take(struct arena *a, size_t size, size_t need)
{
	(void)size;
	size_t piece = next_size(a, need);
	if (!fits(a, BLOCK_HEAD + piece))
		return NULL;
	char *p = block_start(block_add(a, piece, BLOCK_HEAD + piece, false));
	/*
	 * A piece that fills its block leaves the older block in use when that one has more room
	 * left.
	 */
	if (piece - need > (size_t)(a->_end - a->_cur)) {
		a->_cur = p + need;
		a->_end = p + piece;
	}
	if (a->_block_bytes < BLOCK_BYTES_MAX)
		a->_block_bytes *= 2;
	return p;
}

#endif

#ifndef KYMO_SHARP
static void *arena_zeroed(struct arena *a, size_t need)
{
	size_t size = rounded(a, need);
	return block_start(block_add(a, size, BLOCK_HEAD + size, true));
}
#endif

void *arena_slow_(struct arena *a, size_t size)
{
	size_t need = (size + 15 + !size) & ~(size_t)15;
	if (need < size || need > PTRDIFF_MAX - BLOCK_HEAD) {
		if (!a->_limit_bytes)
			panic("out of memory: a piece of %zu bytes", size);
		a->_over = true;
		return NULL;
	}
	return piece_take(a, size, need);
}

void *arena_zalloc(struct arena *a, size_t size)
{
#ifndef KYMO_SHARP
	/* The system hands out zeros: a large piece is not touched before it is used. */
	if (size > BLOCK_BYTES_MAX && !a->_limit_bytes && size < PTRDIFF_MAX - 2 * BLOCK_HEAD)
		return arena_zeroed(a, (size + 15) & ~(size_t)15);
#endif
	void *p = arena_alloc(a, size);
	if (p && size)
		memset(p, 0, size);
	return p;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
	size_t bytes;
	if (__builtin_mul_overflow(count, size, &bytes))
		return NULL;
	return arena_alloc(a, bytes);
}

void *arena_dup(struct arena *a, const void *data, size_t len)
{
	void *p = arena_alloc(a, len);
	if (p && len)
		memcpy(p, data, len);
	return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
	char *p = arena_alloc(a, len + 1);
	if (!p)
		return NULL;
	if (len)
		memcpy(p, s, len);
	p[len] = 0;
	return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	CHECK(n >= 0);
	char *p = arena_alloc(a, (size_t)n + 1);
	if (p)
		vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	return p;
}
