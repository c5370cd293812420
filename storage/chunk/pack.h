/*
 * pack - samples of one series as bytes in memory, that grow by some rows at a time: the rows of a
 * tail go behind those that are there, which are neither read nor moved. Made on the loop: some
 * 10 ns a sample.
 *
 * A pack is its head (struct pack) and blocks, one for each call of pack_append:
 *   token       bits 0-1  times: 0 they go on by step_ms, 1 by another step that follows as a
 *                         varint, 2 packed differences follow, 3 run
 *               bits 2-3  values: 0 the last one again, 1 a line: the zigzag difference follows,
 *                         2 packed differences follow, 3 a new code
 *               bits 4-7  rows - 1
 *   packed      head byte: bits 0-6 width 1..56 or 64, bit 7 a byte with a shift follows;
 *               [shift]; zigzag varint base; the residuals, least significant first, in
 *               ceil(count * width / 8) bytes. A difference is (base + residual) << shift.
 *   new code    byte: bits 0-4 code, bits 5-6 what follows the first value as bits 2-3 above
 *               (0..2); first value: zigzag varint, 8 bytes little endian for PACK_CODE_BITS
 *   run         token 3, a byte: so many rows whose times go on and whose value is the last one
 * Code 0..18: the value is integer / 10^code. PACK_CODE_BITS: its pattern, as an integer in the
 * numeric order of doubles. Differences of values are taken modulo 2^64; the first time of a pack
 * is in its head and has none. The first block has a new code.
 *
 * Any bytes are safe to decode: the answer is some numbers or an error, never a read outside. Every
 * bit pattern comes back.
 * A constant takes some 7 bytes in all, a line 3 bytes a block. Memory: the caller's. Thread: any.
 */
#ifndef STORAGE_CHUNK_PACK_H
#define STORAGE_CHUNK_PACK_H

#include <stddef.h>

#include "core/base/err.h"

#define PACK_SAMPLES_MAX 128u
#define PACK_ROWS_MAX    16u /* of one block */
#define PACK_BLOCK_MAX   256u
#define PACK_BYTES_MAX   (PACK_SAMPLES_MAX / PACK_ROWS_MAX * PACK_BLOCK_MAX)
#define PACK_CODE_BITS   31u

struct pack {
	int64_t t_min_ms;
	uint64_t x_last;           /* the newest value as an integer */
	uint32_t span_ms;          /* newest time - t_min_ms */
	uint32_t step_ms;          /* last difference of times; 0 = none yet */
	uint16_t size;             /* bytes of data */
	uint8_t count;             /* samples, 1..PACK_SAMPLES_MAX; 0: a pack to be */
	uint8_t code : 7, run : 1; /* run: the last block is one */
	uint8_t data[];
};
#define PACK_HEAD offsetof(struct pack, data) /* bytes of the head as it is kept */
STATIC(PACK_HEAD == 28);

static inline int64_t pack_t_max(const struct pack *p)
{
	return (int64_t)((uint64_t)p->t_min_ms + p->span_ms);
}
/* Is there room for n rows up to t_ms, newer than all that are in? */
static inline bool pack_fits(const struct pack *p, int64_t t_ms, unsigned n)
{
	return !p->count ||
	    (p->count + n <= PACK_SAMPLES_MAX && (uint64_t)t_ms - (uint64_t)p->t_min_ms <= UINT32_MAX);
}

/* Rows to append: 1..PACK_ROWS_MAX, ascending. */
struct pack_rows {
	const int64_t *t_ms;
	const double *v;
	unsigned n;
	uint32_t step_ms; /* what all times are known to be apart; 0 = not known */
};
/* What is behind the first `keep` bytes of data now. */
struct pack_more {
	uint16_t keep, len;
	uint8_t bytes[PACK_BLOCK_MAX]; /* some behind len may be written too */
};
/*
 * Rows newer than all that are in; pack_fits. A new pack begins with count 0, and its rows span at
 * most UINT32_MAX ms. Changes the head, not the data; of data only the last byte is read.
 */
void pack_append(
    struct pack *head, const uint8_t *data, const struct pack_rows *rows, struct pack_more *more);
/* A whole pack of n rows, 1..PACK_SAMPLES_MAX; out has room for PACK_BYTES_MAX. */
void pack_encode(struct pack *head, const int64_t *t_ms, const double *v, unsigned n, uint8_t *out);
/* t_ms and v have room for head->count; either may be NULL when it is not wanted. */
MUST_CHECK enum err pack_decode(
    const struct pack *head, const uint8_t *data, int64_t *t_ms, double *v);
/*
 * Those with lo <= t <= hi alone, *n of them; the same room. Blocks before them are stepped over,
 * those behind them are not looked at.
 */
MUST_CHECK enum err pack_decode_range(const struct pack *head, const uint8_t *data, int64_t lo,
    int64_t hi, int64_t *t_ms, double *v, unsigned *n);

#endif
