/*
 * tail - the newest samples of a series: raw rows, and behind them, in the same piece of memory,
 * the pack they go to when the rows are full.
 *
 *   still    8 bytes in all: rows with one value, step_ms apart. So a tail begins, and goes on when
 *            rows that were packed stood still
 *   even     8 bytes a row, the value: the times are step_ms apart, the last one is told by the
 *            caller (t_last_ms, the newest time of its series)
 *   uneven   8 bytes of base time, then 12 a row: u32 ms since the base, the value. When few rows
 *            are there and another does not go on by their step; until the tail leaves
 *   pack     a head and its data (storage/chunk/pack.h), behind room for cap rows
 * A still or even tail that a row does not go on, but which has TAIL_FLUSH rows, is packed early: a
 * scrape that was missed or came late, or a value that changes seldom, costs nothing afterwards.
 *
 * Cost: a row that goes on stores 8 bytes. tail_flush: some 15 ns a row, and a larger piece of
 * memory now and then.
 * Thread: one loop; what does not change may be read by any thread. Memory: the loop's slab.
 */
#ifndef STORAGE_HEAD_TAIL_H
#define STORAGE_HEAD_TAIL_H

#include "core/base/num.h"
#include "storage/chunk/pack.h"
#include "storage/head/slab.h"
#include <string.h>

#define TAIL_MIN        4u /* rows; a young series is small */
#define TAIL_MAX        8u
#define TAIL_FLUSH      4u
#define TAIL_STILL_MAX  120u
#define TAIL_EVEN_ROW   8u
#define TAIL_UNEVEN_ROW 12u
#define TAIL_STEP_MAX   (UINT32_MAX / TAIL_STILL_MAX)

enum {
	TAIL_PACKED = 1, /* there is a pack */
	TAIL_UNEVEN = 2,
	TAIL_STILL = 4
};
struct tail {
	uint8_t *bytes;     /* NULL = no rows and no pack */
	uint32_t step_ms;   /* even: 0 = not known yet; uneven: 0 */
	uint8_t count, cap; /* rows */
	uint8_t form, _pad;
};
STATIC(sizeof(struct tail) == 16);

/* Bytes of the rows' place, and of all. */
static inline size_t tail_rows_bytes(const struct tail *x)
{
	if (x->form & TAIL_STILL)
		return 8;
	return x->form & TAIL_UNEVEN ? 8 + x->cap * (size_t)TAIL_UNEVEN_ROW
	                             : x->cap * (size_t)TAIL_EVEN_ROW;
}
/* NULL: none. */
static inline struct pack *tail_pack(const struct tail *x)
{
	return x->form & TAIL_PACKED ? (struct pack *)(void *)(x->bytes + tail_rows_bytes(x)) : NULL;
}
static inline size_t tail_bytes(const struct tail *x)
{
	size_t n = tail_rows_bytes(x);
	return x->form & TAIL_PACKED ? n + PACK_HEAD + tail_pack(x)->size : n;
}
/* Samples in rows and pack. */
static inline uint32_t tail_samples(const struct tail *x)
{
	return x->count + (x->form & TAIL_PACKED ? tail_pack(x)->count : 0u);
}
/* Where the value of row i is: in a still tail that of all. */
static inline uint8_t *tail_value(const struct tail *x, unsigned i)
{
	if (x->form & TAIL_STILL)
		return x->bytes;
	return x->form & TAIL_UNEVEN ? x->bytes + 12 + i * TAIL_UNEVEN_ROW
	                             : x->bytes + i * TAIL_EVEN_ROW;
}
static inline double tail_v(const struct tail *x, unsigned i)
{
	double v;
	memcpy(&v, tail_value(x, i), 8);
	return v;
}
static inline int64_t tail_t(const struct tail *x, int64_t t_last_ms, unsigned i)
{
	if (!(x->form & TAIL_UNEVEN))
		return (int64_t)((uint64_t)t_last_ms - (uint64_t)(x->count - 1u - i) * x->step_ms);
	int64_t base;
	uint32_t dt;
	memcpy(&base, x->bytes, 8);
	memcpy(&dt, x->bytes + 8 + i * TAIL_UNEVEN_ROW, 4);
	return (int64_t)((uint64_t)base + dt);
}

/* All bits set, or none in a still tail. */
static inline uint64_t tail_moves(const struct tail *x)
{
	return (uint64_t)(x->form / TAIL_STILL & 1) - 1;
}
/* The value of the last row; there must be one. */
static inline double tail_last(const struct tail *x)
{
	double v;
	if (UNLIKELY(x->form & TAIL_UNEVEN))
		return tail_v(x, x->count - 1u);
	memcpy(&v, x->bytes + ((x->count - 1u) * TAIL_EVEN_ROW & tail_moves(x)), 8);
	return v;
}
/* The usual row, newer than t_last_ms: false when it is not, and nothing was done. */
static inline bool tail_put(struct tail *x, int64_t t_last_ms, int64_t t_ms, double v)
{
	uint64_t d = (uint64_t)t_ms - (uint64_t)t_last_ms;
	if (UNLIKELY(x->count >= x->cap))
		return false;
	if (LIKELY(d == x->step_ms && d)) {
		/* Without a branch: which of the neighbours stand still is not to be guessed. */
		uint64_t moves = tail_moves(x), first;
		memcpy(&first, x->bytes, 8);
		if (UNLIKELY((first ^ num_bits(v)) & ~moves))
			return false;
		memcpy(x->bytes + (x->count++ * TAIL_EVEN_ROW & moves), &v, 8);
		return true;
	}
	if (!(x->form & TAIL_UNEVEN) || !x->count || t_ms <= t_last_ms)
		return false;
	int64_t base;
	memcpy(&base, x->bytes, 8);
	uint64_t dt = (uint64_t)t_ms - (uint64_t)base;
	if (UNLIKELY(dt > UINT32_MAX))
		return false;
	uint8_t *row = x->bytes + 8 + x->count++ * TAIL_UNEVEN_ROW;
	uint32_t u = (uint32_t)dt;
	memcpy(row, &u, 4);
	memcpy(row + 4, &v, 8);
	return true;
}
/*
 * Any row newer than t_last_ms: makes room, changes the form. False: the rows there are must be
 * packed first (tail_flush).
 */
bool tail_add(struct tail *x, struct slab *m, int64_t t_last_ms, int64_t t_ms, double v);
/* The value at this time among the rows, or NULL. */
uint8_t *tail_find(const struct tail *x, int64_t t_last_ms, int64_t t_ms);
/* The rows of a still tail get values of their own. False: they are too many, tail_flush them. */
bool tail_spread(struct tail *x, struct slab *m);
/* The rows go to the pack. False: it is full, take it away first (tail_pack_drop). */
bool tail_flush(struct tail *x, struct slab *m, int64_t t_last_ms);
void tail_pack_drop(struct tail *x, struct slab *m);
/* Another pack in its place. */
void tail_pack_set(struct tail *x, struct slab *m, const struct pack *head, const uint8_t *data);
/* Gives the memory back; the next one begins with the same step. */
void tail_free(struct tail *x, struct slab *m);
/* As after tail_free, without giving anything back: somebody has it. */
static inline void tail_leave(struct tail *x)
{
	*x = (struct tail){ .step_ms = x->step_ms };
}

#endif
