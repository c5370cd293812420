/*
 * h1msg - HTTP/1.1 requests as bytes: heads, chunked bodies and trailers (RFC 9112), strictly.
 *
 * Whatever two readers could understand differently is refused: length and chunked together, more
 * than one length, bare LF or CR, folded lines, space before a colon, NUL and control characters,
 * chunk sizes that are not plain hexadecimal, a missing or second Host, transfer codings other than
 * chunked.
 *
 *   h1msg_scan     finds the end of a head in a growing buffer, each byte looked at once
 *   h1msg_parse    reads a complete head in place
 *   h1chunk_next   walks over a chunked body of any pieces, without a copy
 *
 * Pure. Memory: the results of h1msg_parse point into the caller's bytes. Any bytes are safe. Fuzz:
 * tests/fuzz/fuzz_h1msg.c.
 */
#ifndef PROTO_H1MSG_H
#define PROTO_H1MSG_H

#include "core/base/check.h"

struct h1msg_limits {
	size_t head_bytes; /* all of a head: 431, or 414 when the request line alone is longer */
	size_t fields;     /* 431 */
};
struct h1msg_scan {
	size_t looked;  /* bytes looked at */
	size_t line;    /* start of the current line */
	unsigned lines; /* complete ones; an empty one before the request line does not count */
};
/*
 * data: the same bytes as in the call before, and more. Result: length of the head with its empty
 * line; 0 = more is needed; negative = refuse with this status (-400, -414, -431).
 */
int h1msg_scan(struct h1msg_scan *s, const uint8_t *data, size_t len, const struct h1msg_limits *max);

struct h1msg_field {
	const char *name, *value; /* NUL-terminated; name in lower case; value trimmed */
	size_t name_len, value_len;
};
struct h1msg {
	/*
	 * path and query raw; query without "?", with a NUL behind it, the others not; host "" when
	 * there is none
	 */
	const char *method, *path, *query, *host;
	size_t method_len, path_len, query_len, host_len;
	bool asterisk;          /* OPTIONS * : path is "*" */
	unsigned minor;         /* HTTP/1.minor: 0 or 1 */
	int64_t content_length; /* -1 = none said */
	bool chunked;
	bool close;           /* the connection ends after this request */
	bool expect_continue; /* Expect: 100-continue, from an HTTP/1.1 client */
	size_t field_count, field_cap;
	struct h1msg_field *fields;
};
/*
 * head: exactly what h1msg_scan measured; it is changed (lower case, NULs, one behind the query,
 * too). The caller sets out->fields and field_cap; the scan's lines are enough. 0, or the status to
 * refuse with: 400, 417, 431, 501, 505; why says the reason (static text).
 */
int h1msg_parse(char *head, size_t len, struct h1msg *out, const char **why);

/* A chunked body. Zeroed to begin. */
struct h1chunk {
	uint8_t _state;
	uint8_t _digits;
	uint64_t left;   /* bytes of the current chunk still to come */
	uint32_t _extra; /* bytes of extensions and trailers so far */
};
#define H1CHUNK_EXTRA_MAX 16384u /* extensions and trailers of one body */
enum h1chunk_result {
	H1CHUNK_MORE, /* all used, the body goes on */
	H1CHUNK_DATA, /* a piece of body: *data, *data_len, inside of in */
	H1CHUNK_END,  /* the body is complete; what is behind *used belongs to the next message */
	H1CHUNK_BAD,
};
/*
 * Looks at in[0..len) and says how much of it was used, the piece included. Call again with the
 * rest until MORE, END or BAD.
 */
enum h1chunk_result h1chunk_next(struct h1chunk *c, const uint8_t *in, size_t len, size_t *used,
    const uint8_t **data, size_t *data_len);

#endif
