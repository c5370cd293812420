/*
 * gz - gzip and deflate (zlib format) of answers, piece by piece, on zlib.
 *
 * gz_push appends what is ready; compressed bytes may wait inside until gz_finish. Level 1 to 3
 * suits answers made once.
 * Memory: about 260 KiB per stream until gz_free (zlib window and tables; taken by a failing
 * allocation). Thread: one at a time.
 */
#ifndef PROTO_GZ_H
#define PROTO_GZ_H

#include "core/base/buf.h"
#include "core/base/err.h"

enum gz_form {
	GZ_NONE,
	GZ_GZIP,
	GZ_DEFLATE
};
struct gz;
MUST_CHECK enum err gz_create(
    enum gz_form form, int level, struct gz **out); /* ERR_NOMEM; form is not GZ_NONE */
void gz_push(struct gz *z, const void *data, size_t len, struct buf *out);
void gz_flush(struct gz *z, struct buf *out);  /* everything so far can be read by the receiver */
void gz_finish(struct gz *z, struct buf *out); /* the trailer; no push after it */
void gz_free(struct gz *z);
/*
 * First supported token of an Accept-Encoding value ("HTTP API" of the Prometheus documentation),
 * GZ_NONE when there is none. A token with q=0 does not count.
 */
enum gz_form gz_choose(const char *accept_encoding, size_t len);
/* Does an Accept-Encoding value take this form, at whatever place in its list? "*" counts. */
bool gz_takes(const char *accept_encoding, size_t len, enum gz_form form);
const char *gz_token(enum gz_form form); /* "gzip", "deflate" */

#endif
