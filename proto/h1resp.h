/*
 * h1resp - HTTP/1.1 answers as bytes (RFC 9112), as strictly as h1msg reads requests.
 *
 * Whatever two readers could understand differently is refused: length and chunked together, more
 * than one length, bare LF or CR, folded lines, a space before a colon, NUL and control characters,
 * transfer codings other than chunked, chunked in HTTP/1.0, a second Transfer-Encoding. A line that
 * does not begin with "HTTP/1." is seen at its first wrong byte. Bodies: h1chunk_next of h1msg.h.
 *
 * Pure. Memory: results point into the caller's bytes. Any bytes are safe. Fuzz:
 * tests/fuzz/fuzz_h1resp.c.
 */
#ifndef PROTO_H1RESP_H
#define PROTO_H1RESP_H

#include "proto/h1msg.h"

#define H1RESP_MALFORMED (-1)
#define H1RESP_TOO_LARGE (-2)
/*
 * As h1msg_scan: length of the head with its empty line, 0 = more is needed, or one of the two
 * above.
 */
int h1resp_scan(
    struct h1msg_scan *s, const uint8_t *data, size_t len, const struct h1msg_limits *max);

struct h1resp {
	int status;     /* 100..599 */
	unsigned minor; /* HTTP/1.minor: 0 or 1 */
	const char *reason;
	size_t reason_len;
	int64_t content_length; /* -1 = none said */
	bool chunked;
	bool close; /* the connection ends after this answer */
	size_t field_count, field_cap;
	struct h1msg_field *fields;
};
/* head: what h1resp_scan measured; it is changed. False: why says the reason (static text). */
MUST_CHECK bool h1resp_parse(char *head, size_t len, struct h1resp *out, const char **why);

/* Where the body ends (RFC 9112, 6.3). */
enum h1resp_body {
	H1RESP_NONE,
	H1RESP_LENGTH, /* content_length bytes */
	H1RESP_CHUNKED,
	H1RESP_CLOSE /* with the connection */
};
/* to_head: the request was a HEAD. */
enum h1resp_body h1resp_body(const struct h1resp *r, bool to_head);

#endif
