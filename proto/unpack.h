/*
 * unpack - packed bodies, whatever they are packed with, piece by piece: one face over gunz, unzstd
 * and unsnapf. (A snappy block unpacks as a whole only: proto/snapz.h.)
 *
 * Thread: one at a time. Memory: unpack_memory(form), and what unpack_allow allowed. Any bytes are
 * safe. Fuzz: tests/fuzz/fuzz_unpack.c.
 */
#ifndef PROTO_UNPACK_H
#define PROTO_UNPACK_H

#include "core/base/err.h"

enum unpack_form {
	UNPACK_GZIP,
	UNPACK_DEFLATE,
	UNPACK_ZSTD,
	UNPACK_SNAPPY_FRAMED
};
#define UNPACK_STEP (32u << 10) /* room that unpack_next needs */

struct unpack;
const char *unpack_name(enum unpack_form form); /* "gzip" */
size_t unpack_memory(enum unpack_form form);    /* bytes, while it lives */
MUST_CHECK enum err unpack_create(enum unpack_form form, struct unpack **out);
/*
 * Takes some of in (used), gives some (out_len) of at most cap bytes, cap >= UNPACK_STEP. Call
 * again while it uses or gives something.
 * ERR_AGAIN: it goes on when unpack_wants(u) more bytes are allowed.
 * ERR_MALFORMED: not of this form, or a checksum is wrong. ERR_TOOBIG: needs too much memory.
 */
MUST_CHECK enum err unpack_next(struct unpack *u, const uint8_t *in, size_t len, size_t *used,
    uint8_t *out, size_t cap, size_t *out_len);
size_t unpack_wants(const struct unpack *u);
void unpack_allow(struct unpack *u);
bool unpack_whole(const struct unpack *u); /* the input may end here */
void unpack_free(struct unpack *u);        /* NULL is fine */

#endif
