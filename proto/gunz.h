/*
 * gunz - bodies packed with gzip (RFC 1952) or deflate (RFC 1950, and raw RFC 1951 as some servers
 * send it), unpacked piece by piece, on zlib.
 *
 * gunz_next takes some input and gives at most GUNZ_STEP bytes: a small body may unpack to a
 * thousand times its size, so the caller counts, and rests between steps. Several gzip members
 * behind each other are one body; bytes behind the end that begin none are an error. Memory: about
 * 40 KiB until gunz_free (a failing allocation). Thread: one at a time. Any bytes are safe. Fuzz:
 * tests/fuzz/fuzz_gunz.c.
 */
#ifndef PROTO_GUNZ_H
#define PROTO_GUNZ_H

#include "core/base/err.h"
#include "proto/gz.h"

#define GUNZ_STEP (32u << 10)

struct gunz;
MUST_CHECK enum err gunz_create(enum gz_form form, struct gunz **out); /* form is not GZ_NONE */
/*
 * used: bytes of in that need not come again. out: GUNZ_STEP bytes of room. Call again while it
 * uses or gives something. ERR_MALFORMED: not of this form, or a checksum is wrong.
 */
MUST_CHECK enum err gunz_next(
    struct gunz *z, const uint8_t *in, size_t len, size_t *used, uint8_t *out, size_t *out_len);
bool gunz_whole(const struct gunz *z); /* the input may end here */
void gunz_free(struct gunz *z);        /* NULL is fine */

#endif
