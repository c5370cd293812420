/*
 * h2frame - where the frames of an HTTP/2 connection begin and end (RFC 9113, 4.1), and how much
 * data is in them.
 *
 *   offset  size  meaning
 *   0       3     length of the payload
 *   3       1     type
 *   4       1     flags
 *   5       4     stream, the highest bit ignored
 *   9       n     payload; of PADDED ones the first byte says how many of the last are padding
 *
 * The library that speaks HTTP/2 passes over many frames without a word (on closed streams, of
 * unknown type); whoever wants to know what a peer sends looks here first.
 * Nothing is judged: a padding longer than its frame is no data.
 *
 * Pure. Any bytes in any pieces are safe. Fuzz: tests/fuzz/fuzz_h2frame.c.
 */
#ifndef PROTO_H2FRAME_H
#define PROTO_H2FRAME_H

#include "core/base/check.h"

enum h2frame_type {
	H2FRAME_DATA,
	H2FRAME_HEADERS,
	H2FRAME_PRIORITY,
	H2FRAME_RST_STREAM,
	H2FRAME_SETTINGS,
	H2FRAME_PUSH_PROMISE,
	H2FRAME_PING,
	H2FRAME_GOAWAY,
	H2FRAME_WINDOW_UPDATE,
	H2FRAME_CONTINUATION
};
#define H2FRAME_END_STREAM  0x1u
#define H2FRAME_END_HEADERS 0x4u
#define H2FRAME_PADDED      0x8u
#define H2FRAME_PRIO        0x20u
#define H2FRAME_PREFACE_LEN 24u /* before the first frame of a client */

struct h2frame {
	uint8_t type, flags;
	uint32_t stream;
	uint32_t length; /* of the payload */
	uint32_t data;   /* of DATA, HEADERS and CONTINUATION: without padding and priority */
};
struct h2frame_scan {
	struct h2frame frame;
	uint32_t left;     /* bytes still to come: of the preface, or of the payload */
	uint8_t _head[10]; /* of the next frame, with its padding */
	uint8_t _got;
};
/* At the client's preface. */
void h2frame_init(struct h2frame_scan *s);
/* Takes bytes up to the end of a frame, or all that are there: how many. *begun: the head of
 * s->frame has come with them. s->left is 0 when its last byte was among them. */
size_t h2frame_next(struct h2frame_scan *s, const uint8_t *in, size_t len, bool *begun);

#endif
