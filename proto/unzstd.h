/*
 * unzstd - bodies packed with zstd (RFC 8878), unpacked piece by piece, on libzstd.
 *
 * Several frames behind each other are one body, skippable ones are passed over; bytes behind the
 * end that begin no frame are an error. A frame says at its head how much of what it made it looks
 * back at, its window, and so how much memory it needs: over UNZSTD_WINDOW_MAX it is refused, as
 * RFC 8878, 3.1.1.1.2 lets decoders do; more than unzstd_allow has granted is asked for first.
 * Memory: UNZSTD_MEMORY and the window that was allowed, until unzstd_free (failing allocations).
 * Thread: one at a time. Any bytes are safe. Fuzz: tests/fuzz/fuzz_unpack.c.
 */
#ifndef PROTO_UNZSTD_H
#define PROTO_UNZSTD_H

#include "core/base/err.h"

#define UNZSTD_WINDOW_MAX (8u << 20)
#define UNZSTD_MEMORY     (512u << 10) /* of libzstd, beside the window: tables, two blocks */
#define UNZSTD_PIECES_MAX 65536u       /* blocks of a whole body; a frame counts as some */

struct unzstd;
MUST_CHECK enum err unzstd_create(struct unzstd **out);
/*
 * Takes some of in (used), gives at most cap bytes (out_len). Call again while it uses or gives
 * something. ERR_AGAIN: nothing of the frame is unpacked before unzstd_wants is allowed.
 * ERR_TOOBIG: its window; ERR_MALFORMED: no zstd, or a checksum is wrong.
 */
MUST_CHECK enum err unzstd_next(struct unzstd *z, const uint8_t *in, size_t len, size_t *used,
    uint8_t *out, size_t cap, size_t *out_len);
size_t unzstd_wants(const struct unzstd *z); /* bytes beyond what is allowed */
void unzstd_allow(struct unzstd *z);         /* what it wants */
bool unzstd_whole(const struct unzstd *z);   /* the input may end here */
void unzstd_free(struct unzstd *z);          /* NULL is fine */

/* ---- A body as a whole, whose frames tell how long they are; no window is needed ---- */

/*
 * What all frames say that they hold. ERR_MALFORMED: no zstd; ERR_UNSUPPORTED: one does not say;
 * ERR_TOOBIG: there are so many blocks or frames, of a few bytes each, that reading them is no
 * turn of a loop. Nothing is allocated, and nothing believed: unzstd_decode judges.
 */
MUST_CHECK enum err unzstd_length(const uint8_t *in, size_t len, size_t *out_len);
/* To exactly so many bytes; ERR_MALFORMED, ERR_NOMEM. z serves as often as it is wanted. */
MUST_CHECK enum err unzstd_decode(
    struct unzstd *z, const uint8_t *in, size_t len, uint8_t *out, size_t out_len);

#endif
