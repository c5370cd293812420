/*
 * recvtext - the text of a body, unpacked: a window of it (lines), or the whole of it.
 *
 *   recvtext_open > recvtext_more until ended > recvtext_release
 *                     ERR_AGAIN: charge `wants`, recvtext_grow, go on
 *
 * What can be read lies from data + at to data + len; whoever reads moves `at`. recvtext_more keeps
 * what is left, perhaps at another place, and adds to it until there is no more room or text. What
 * is not packed is all there at once, where it lies.
 * Bounds: what a whole body unpacks to, and one record of lines, has --limits.body-bytes; all
 * records together RECVTEXT_UNPACKED times that; and nothing unpacks to more than RECVTEXT_RATIO
 * times its size, but for the first RECVTEXT_FREE bytes.
 * Thread: one at a time; grow and release on a loop. Memory: the caller charges RECVTEXT_FIRST and
 * unpack_memory before open, and `wants` before grow.
 */
#ifndef NET_RECV_RECVTEXT_H
#define NET_RECV_RECVTEXT_H

#include "core/model/limits.h"
#include "proto/unpack.h"

#define RECVTEXT_FIRST    (128u << 10) /* room at first */
#define RECVTEXT_UNPACKED 64u
#define RECVTEXT_RATIO    1100u /* gzip does no better */
#define RECVTEXT_FREE     (1u << 20)

enum recvtext_form {
	RECVTEXT_PLAIN,
	RECVTEXT_BLOCK, /* a snappy block: always whole */
	RECVTEXT_PACKED /* of an unpack_form */
};
struct recvtext_of {
	enum recvtext_form form;
	enum unpack_form packed; /* of RECVTEXT_PACKED */
	bool lines;              /* a window does; else all of it */
	const char *record;      /* that lines are made of: "line" */
	const struct limits *limits;
};
struct recvtext {
	const uint8_t *data;
	size_t at, len;
	bool ended;   /* nothing comes behind len */
	size_t wants; /* after ERR_AGAIN: bytes to be charged */
	/* Its own. */
	struct recvtext_of of;
	const uint8_t *in;
	size_t in_len, in_at;
	struct unpack *unpack;
	uint8_t *room;
	size_t cap;
	bool wants_room;
	uint64_t unpacked;
};
/*
 * Of in, which is borrowed until release. ERR_NOMEM; ERR_MALFORMED, ERR_TOOBIG of a block.
 */
MUST_CHECK enum err recvtext_open(struct recvtext *t, const struct recvtext_of *of,
    const uint8_t *in, size_t len, struct errbuf *eb);
MUST_CHECK enum err recvtext_more(struct recvtext *t, struct errbuf *eb);
MUST_CHECK enum err recvtext_grow(struct recvtext *t);  /* ERR_NOMEM */
MUST_CHECK enum err recvtext_again(struct recvtext *t); /* from its begin; ERR_NOMEM */
void recvtext_release(struct recvtext *t);

#endif
