/*
 * chunk - columns of times and values as bytes, lossless. Pure functions. (Packs in memory:
 * pack.h.)
 *
 * A column of n numbers is one "stream": a head, then a token per sub-block of CHUNK_SUB (128)
 * numbers (the last may be shorter). A stream delimits itself when n is known.
 *
 *   head byte   bits 0-4  code: 0..18 value = integer / 10^code;
 *                         CHUNK_CODE_NEAR a byte e of 0..18 follows; value = integer / 10^e, and
 *                         then so many patterns further, in numeric order of the doubles: sums of
 *                         decimals with the errors of their additions. The distances are a second
 *                         stream (CHUNK_CODE_INT) behind this one
 *                         CHUNK_CODE_RAW raw 8-byte patterns follow, no tokens;
 *                         CHUNK_CODE_INT the integer itself (times);
 *                         CHUNK_CODE_BITS the IEEE pattern as an integer, in numeric order of the
 *                         doubles
 *               bit 5     a varint step (GCD) follows, else 1
 *               bit 6     constant: all numbers equal the first, no tokens
 *               bit 7     extra: varint length and that many bytes follow, skipped by this version.
 *                         Nothing is written there: aggregates that are not implied
 *                         (chunk_aggregates) would take 8-12 bytes a sub-block, and the samples
 *                         themselves are decoded in 50-150 ns
 *   then        [varint length, extra]  [byte e]  [varint step]
 *               first integer: zigzag varint (8 bytes little endian for CHUNK_CODE_BITS)
 *
 * With x the integers and k[i] = (x[i] - x[0]) / step (modulo 2^64) a token codes the k of one
 * sub-block; prev and slope are the last k and the last difference before it (0 and 0 at the
 * start):
 *   0x00..0x1f  (token & 31) + 1 sub-blocks that repeat prev (a short last one counts as one)
 *   0x20..0x3f  (token & 31) + 1 sub-blocks that go on in a line with slope
 *   bits 6-7    1 offset: y = k - prev   2 delta: y = k[i] - k[i-1]
 *               3 delta2: y = difference of deltas
 *   bits 0-5    width w: 0..56, 57 means 64; 58..61: the dense form (below)
 *     byte      bits 0-4 count of residual exceptions (31: varint count follows), bit 5 raw
 *               exceptions follow, bit 6 base is 0 and absent, bit 7 zero
 *     [varint]  count   [zigzag varint] base
 *     residuals r = y - base, packed at w bits, least significant first, ceil(n * w / 8) bytes
 *     exceptions in the residuals: position byte, zigzag varint r, ascending positions
 *     raw exceptions: varint count, each a position byte: with bit 7 set it is a stale marker,
 *     else 8 bytes of the pattern follow
 * Dense form: 58, + 1 raw exceptions follow, + 2 a table comes first, else the last one of the
 * stream holds; then the sub-block as in dense.h, [raw exceptions]. Offset is y = k there: without
 * prev.
 * In the first sub-block of a stream delta and delta2 take prev = -base, so that r[0] is 0.
 *
 * Times: strictly ascending, any int64; decoding anything else gives ERR_MALFORMED. They are coded
 * relative to base_ms, which both sides must know (0 is fine; the start of a range saves 4 bytes).
 * Values: every bit pattern comes back (NaN payloads, -0, infinities, stale marker).
 * Any bytes are safe to decode: the answer is numbers or ERR_MALFORMED / ERR_TRUNCATED, never a
 * read outside.
 * The decoder has three kernels (AVX-512 VBMI, AVX2, plain C), chosen at the start: the first that
 * the processor has and that gives the bits of the plain one in a check on this machine.
 * A constant: 2-4 bytes for any n. A constant step: some 6-10 bytes for any n (up to 32 sub-blocks;
 * one more per further 32).
 *
 * Memory: outputs go to the caller's arrays (exactly n elements are written) or are appended to a
 * buf. Thread: any.
 */
#ifndef STORAGE_CHUNK_CHUNK_H
#define STORAGE_CHUNK_CHUNK_H

#include "core/base/buf.h"
#include "core/base/err.h"

#define CHUNK_SUB         128u  /* numbers of a sub-block */
#define CHUNK_SAMPLES_MAX 8192u /* of one stream: 2 h at 1 s; more samples become more chunks */
#define CHUNK_EXTRA_MAX   65536u

#define CHUNK_CODE_DECIMAL_MAX 18u
#define CHUNK_CODE_NEAR        19u
#define CHUNK_CODE_RAW         29u
#define CHUNK_CODE_INT         30u
#define CHUNK_CODE_BITS        31u

enum chunk_effort {
	CHUNK_BEST, /* files: exceptions, any GCD, three modes by exact cost; <= 20 ns a value, 50
	               for sums of decimals */
	CHUNK_COLD, /* files read seldom: the dense form where it takes a tenth less; <= 80 ns */
};
#define CHUNK_EFFORTS 2u /* how many there are */

/* Bytes that no stream of n numbers exceeds. */
#define CHUNK_STREAM_MAX(n) (16u + 8u * (size_t)(n))

/* n: 1..CHUNK_SAMPLES_MAX. Appends one stream to out. */
void chunk_times_encode(
    const int64_t *t_ms, size_t n, int64_t base_ms, enum chunk_effort effort, struct buf *out);
void chunk_values_encode(const double *v, size_t n, enum chunk_effort effort, struct buf *out);

/* n as at encoding; *used (may be NULL) gets the length of the stream. */
MUST_CHECK enum err chunk_times_decode(
    const uint8_t *p, size_t len, size_t n, int64_t base_ms, int64_t *t_ms, size_t *used);
MUST_CHECK enum err chunk_values_decode(
    const uint8_t *p, size_t len, size_t n, double *v, size_t *used);
/*
 * Of the values those from..from + count - 1 alone, which must exist. What stands before them is
 * stepped over at a fraction of the time, what stands behind them is not looked at (sums of
 * decimals, CHUNK_CODE_NEAR: all are decoded).
 */
MUST_CHECK enum err chunk_values_decode_part(
    const uint8_t *p, size_t len, size_t n, size_t from, size_t count, double *v);

/*
 * What a sub-block of values comes to, the very same bits as from a loop over its samples.
 * numbers: there is no NaN among them (stale markers are NaN); else only count, first and last
 * hold.
 * sum_exact: all are integers and the sum of their sizes is at most 2^53, so that it is the same in
 * any order; else sum is 0.
 */
struct chunk_aggregate {
	uint32_t count;
	uint32_t resets; /* how often a value is below the one before it in this sub-block */
	bool numbers, sum_exact;
	double first, last, min, max, sum; /* min, max: the first of equal ones */
};
struct chunk_aggregate chunk_aggregate_of(const double *v, uint32_t n); /* n >= 1 */
/*
 * Of the sub-blocks first .. first + count - 1, which must exist, of a stream of values: sub-block
 * i
 * has the samples from i * CHUNK_SUB on. Where a stream or sub-block is constant or a line they
 * follow from its few bytes (3-10 ns each); *decoded (may be NULL) gets how many others had their
 * samples decoded.
 */
MUST_CHECK enum err chunk_aggregates(const uint8_t *p, size_t len, size_t n, size_t first,
    size_t count, struct chunk_aggregate *out, size_t *decoded);

/* Which forms the bytes of streams have. */
struct chunk_forms {
	uint64_t head;      /* heads, and streams that are constant */
	uint64_t run;       /* sub-blocks that repeat a value or go on in a line */
	uint64_t packed[3]; /* offset, delta, delta2: residuals and exceptions */
	uint64_t dense;     /* tables and sub-blocks */
	uint64_t distance;  /* streams of distances behind CHUNK_CODE_NEAR */
	uint64_t raw;
	uint64_t streams, constants, values; /* how many */
};
/* Adds up a stream of values; it is decoded for that. */
MUST_CHECK enum err chunk_forms_add(
    const uint8_t *p, size_t len, size_t n, struct chunk_forms *forms);

/*
 * For tests and benches: which kernel decodes. CHUNK_KERNEL_AUTO picks the best; one the machine
 * lacks, or with which it does not give the bits of the plain one (checked once, some 100 us), is
 * refused (false). Before threads start.
 */
enum chunk_kernel {
	CHUNK_KERNEL_AUTO,
	CHUNK_KERNEL_PLAIN,
	CHUNK_KERNEL_AVX2,
	CHUNK_KERNEL_AVX512
};
bool chunk_kernel_use(enum chunk_kernel k);
const char *chunk_kernel_name(void);

#endif
