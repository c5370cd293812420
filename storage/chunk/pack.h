/*
 * pack - a few samples (usually a full raw tail of 16-32) as bytes in memory. Made on the loop: at
 * most some 15 ns a sample, small for constants, counters and constant steps.
 *
 * Layout: count byte (n - 1), then two chunk streams (chunk.h): times, values, encoded with
 * CHUNK_LIGHT. A pack never exceeds PACK_BYTES_MAX(n): what does not shrink is kept raw.
 * Any bytes are safe to decode. Memory: the caller's. Thread: any.
 */
#ifndef STORAGE_CHUNK_PACK_H
#define STORAGE_CHUNK_PACK_H

#include "core/base/err.h"

#define PACK_SAMPLES_MAX  128u
#define PACK_BYTES_MAX(n) (8u + 16u * (size_t)(n))

/*
 * t_ms strictly ascending, n 1..PACK_SAMPLES_MAX, out has room for PACK_BYTES_MAX(n). Returns the
 * length.
 */
size_t pack_encode(const int64_t *t_ms, const double *v, size_t n, int64_t base_ms, uint8_t *out);
static inline size_t pack_count(const uint8_t *p) /* samples in a pack of at least one byte */
{
	return (size_t)(p[0] & 127) + 1;
}
/*
 * t_ms and v have room for pack_count(p); either may be NULL when not wanted. base_ms as at
 * encoding.
 */
MUST_CHECK enum err pack_decode(
    const uint8_t *p, size_t len, int64_t base_ms, int64_t *t_ms, double *v);

#endif
