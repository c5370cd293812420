/*
 * chunk - columns of times and values as bytes, lossless. Pure functions. (Packs in memory:
 * pack.h.)
 *
 * A column of n numbers is one "stream": a head, then a token per sub-block of CHUNK_SUB (128)
 * numbers (the last may be shorter). A stream delimits itself when n is known.
 *
 *   head byte   bits 0-4  code: 0..18 value = integer / 10^code;
 *                         CHUNK_CODE_RAW raw 8-byte patterns follow, no tokens;
 *                         CHUNK_CODE_INT the integer itself (times);
 *                         CHUNK_CODE_BITS the IEEE pattern as an integer, in numeric order of the
 *                         doubles
 *               bit 5     a varint step (GCD) follows, else 1
 *               bit 6     constant: all numbers equal the first, no tokens
 *               bit 7     extra: varint length and that many bytes follow, skipped by this version.
 *                         Reserved for aggregates per sub-block (count, sum, min, max, first, last,
 *                         resets; only where the very same bits as from the samples come out)
 *   then        [varint length, extra]  [varint step]
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
 * The decoder has three kernels (AVX-512 VBMI, AVX2, plain C), chosen at first use; all give the
 * same bits.
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
#define CHUNK_CODE_RAW         29u
#define CHUNK_CODE_INT         30u
#define CHUNK_CODE_BITS        31u

enum chunk_effort {
	CHUNK_BEST,  /* files: exceptions, any GCD, three modes by exact cost; <= 20 ns a value */
	CHUNK_LIGHT, /* packs: no residual exceptions, GCD of two only */
	CHUNK_COLD,  /* files read seldom: the dense form where it takes a tenth less; <= 80 ns */
};

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
 * For tests and benches: which kernel decodes. CHUNK_KERNEL_AUTO picks the best; one the machine
 * lacks is refused (false). Before threads start.
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
