/*
 * unsnapf - bodies in snappy's framing format (framing_format.txt of the snappy project), unpacked
 * piece by piece. The block format, which Remote Write has, is proto/snapz.h.
 *
 *   chunk: type, 3 bytes of length (little endian), data
 *   0xff  "sNaPpY": the first chunk; may come again
 *   0x00  masked crc32c of the plain bytes, a snappy block of at most 64 KiB
 *   0x01  masked crc32c, plain bytes, at most 64 KiB
 *   0xfe, 0x80 to 0xfd  passed over; 0x02 to 0x7f  an error
 *
 * Memory: 144 KiB until unsnapf_free (a failing allocation). Thread: one at a time. Any bytes are
 * safe. Fuzz: tests/fuzz/fuzz_unpack.c.
 */
#ifndef PROTO_UNSNAPF_H
#define PROTO_UNSNAPF_H

#include "core/base/err.h"

#define UNSNAPF_MEMORY (144u << 10)

struct unsnapf;
MUST_CHECK enum err unsnapf_create(struct unsnapf **out);
/* As unzstd_next, without ERR_AGAIN and ERR_TOOBIG. */
MUST_CHECK enum err unsnapf_next(struct unsnapf *z, const uint8_t *in, size_t len, size_t *used,
    uint8_t *out, size_t cap, size_t *out_len);
bool unsnapf_whole(const struct unsnapf *z);
void unsnapf_free(struct unsnapf *z); /* NULL is fine */

#endif
