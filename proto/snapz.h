/*
 * snapz - snappy block format (format_description.txt of the snappy project): decode of hostile
 * bytes, encode for answers, tests and benches.
 *
 *   uvarint(length), then elements; the low two bits of a tag byte tell
 *   00 literal                             01 copy, 11-bit offset, 4..11 bytes
 *   10 copy, 16-bit offset, 1..64 bytes    11 copy, 32-bit offset, 1..64 bytes
 *
 * (1) Nothing is allocated before snapz_length() has judged the announced length.
 * (2) The decoder writes only out[0 .. out_len + SNAPZ_SLOP): the slop lets it copy 64 bytes at a
 *     time. What the slop holds afterwards is undefined.
 * (3) Success means that the announced number of bytes was made and all input was used; libsnappy
 *     gives the same verdict and the same bytes (fuzz_snapz).
 *
 * Cost aim: <= 20 ns for the 240 B of one sample of an ordinary Remote Write 1.0 body.
 * Thread: pure functions. Errors: ERR_MALFORMED, ERR_TOOBIG.
 */
#ifndef PROTO_SNAPZ_H
#define PROTO_SNAPZ_H

#include "core/base/buf.h"
#include "core/base/err.h"

#define SNAPZ_DECODED_MAX (1u << 30) /* of any block; users have limits of their own */
#define SNAPZ_RATIO_MAX   22u        /* the format cannot do better than 64 bytes from 3 */
#define SNAPZ_RATIO_FREE  64u        /* bytes beyond the ratio, for very small bodies */
#define SNAPZ_SLOP        128u       /* bytes of room behind the decoded ones */

/*
 * What the block says it holds. ERR_MALFORMED: no valid length; ERR_TOOBIG: over SNAPZ_DECODED_MAX
 * or over SNAPZ_RATIO_MAX x len + SNAPZ_RATIO_FREE.
 */
MUST_CHECK enum err snapz_length(const uint8_t *in, size_t len, size_t *out_len);
/*
 * out has room for out_len + SNAPZ_SLOP bytes, out_len as snapz_length told; in and out do not
 * overlap.
 */
MUST_CHECK enum err snapz_decode(const uint8_t *in, size_t len, uint8_t *out, size_t out_len);
/* Appends the compressed form. */
void snapz_encode(struct buf *out, const void *data, size_t len);
/*
 * A block in parts, each at most SNAPZ_PART bytes: what it decodes to, together, then the parts one
 * behind the other, in whatever buffers.
 */
#define SNAPZ_PART (64u << 10)
void snapz_put_length(struct buf *out, uint32_t len);
void snapz_encode_part(struct buf *out, const void *data, size_t len);

#endif
