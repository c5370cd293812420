/*
 * multipart - multipart/form-data bodies (RFC 7578) as parameters: what curl -F sends.
 *
 * A body is parts between delimiters, a line of "--boundary" each; the one with "--" behind it is
 * the last:
 *
 *   --B CRLF  fields of the part, CRLF each  CRLF  its bytes  CRLF --B CRLF ... CRLF --B-- CRLF
 *
 * A part whose Content-Disposition is form-data and has a name becomes a pair; its bytes are the
 * value, nothing in them is unescaped. Parts with a file name are files: read over, as parts
 * without a name are. What stands before the first delimiter and behind the last is no part of the
 * form. Lines may end with LF alone when the first delimiter does.
 * All as Go's multipart.Reader has it. Refused beyond that, because two readers could understand it
 * differently: two names of one part, names in the extended notation (name*=), and
 * Content-Transfer-Encoding that changes bytes.
 *
 * Memory: pairs and their strings in the arena of q; the bytes of the body are borrowed for the
 * call. Thread: one at a time. Any bytes are safe. Fuzz: tests/fuzz/fuzz_multipart.c.
 */
#ifndef PROTO_MULTIPART_H
#define PROTO_MULTIPART_H

#include "proto/urlq.h"

#define MULTIPART_PARTS_MAX    1000u /* as Go's multipartmaxparts */
#define MULTIPART_HEAD_MAX     8192u /* fields of one part, in bytes */
#define MULTIPART_BOUNDARY_MAX 70u   /* RFC 2046, 5.1.1 */

/* Adds the parts of body to q, in order. type: the whole Content-Type. ERR_MALFORMED,
 * ERR_TOOBIG, with a sentence; pairs that were added by then stay. */
MUST_CHECK enum err multipart_parse(struct urlq *q, const char *type, size_t type_len,
    const char *body, size_t len, struct errbuf *eb);

#endif
