/*
 * recvpack - what a body is packed with, by Content-Encoding and its first bytes.
 *
 *   token (case and blanks do not matter)          form
 *   "", identity, none                             as it is
 *   gzip, x-gzip    deflate    zstd, zstd1         of these (clients of Datadog say zstd1)
 *   snappy                                         framed when it begins so, else a block
 *   x-snappy-framed                                framed
 * A list may name one of them beside any number of identities (RFC 9110, 8.4); two, one around the
 * other, are refused, as is what the receiver does not take.
 * Thread: pure.
 */
#ifndef NET_RECV_RECVPACK_H
#define NET_RECV_RECVPACK_H

#include "core/base/err.h"
#include "net/recv/recv.h"

/*
 * Which of packs (enum recv_pack) it is; of snappy both bits that fit. ERR_UNSUPPORTED with a
 * sentence: answer 415.
 */
MUST_CHECK enum err recvpack_of(
    const char *encoding, size_t len, unsigned packs, unsigned *out, struct errbuf *eb);
/* One of the bits that recvpack_of gave, now that the body is there. */
enum recv_pack recvpack_seen(unsigned bits, const uint8_t *body, size_t len);
/* The name of the packed form that a body begins like; NULL: of none that tells. */
const char *recvpack_looks(const uint8_t *body, size_t len);

#endif
