/*
 * h2guard - what the frames of one HTTP/2 peer cost, and which streams it may still name. All
 * frames are told, also those that nghttp2 passes over in silence.
 *
 *   frame                                             counts as
 *   PING, SETTINGS, PRIORITY, WINDOW_UPDATE, GOAWAY   a frame without data, whatever its stream
 *   unknown types; CONTINUATION without bytes         a frame without data
 *   DATA on an open stream                            one when nothing but padding is in it, and
 *                                                     it does not end the stream
 *   DATA on a closed stream, or behind the end of     one
 *     what its client sends
 *   HEADERS behind that end                           one
 *   HEADERS of a stream that was cut before the       one
 *     client was done, or of a new one that a
 *     draining connection does not take
 *   RST_STREAM, by either side                        a reset
 *   CONTINUATION                                      LIMIT_H2_CONTINUATIONS in a row at most
 *
 * HEADERS of a stream that is below the last one is an error of the connection: PROTOCOL_ERROR when
 * the stream was never opened (RFC 9113, 5.1.1), STREAM_CLOSED when the client had ended it (5.1).
 * Trailers of a stream that was cut are borne: they may have crossed our reset.
 * Only the last H2GUARD_STREAMS streams are remembered; older ones count as opened and ended.
 *
 * Pure. Thread: the loop of the connection.
 */
#ifndef NET_HTTP_H2GUARD_H
#define NET_HTTP_H2GUARD_H

#include "net/conn/limit.h"
#include "proto/h2frame.h"

#define H2GUARD_STREAMS 512u

struct h2guard {
	struct limit_bucket _resets, _idle;
	unsigned _earned;
	unsigned _continuations;
	uint32_t _last; /* the highest stream of the client */
	/* Of the last streams, a bit each: opened; ended by the client; cut before it was. */
	uint64_t _opened[H2GUARD_STREAMS / 64], _ended[H2GUARD_STREAMS / 64];
	uint64_t _cut[H2GUARD_STREAMS / 64];
};
enum h2guard_verdict {
	H2GUARD_FINE,
	H2GUARD_CALM,     /* too much: ENHANCE_YOUR_CALM */
	H2GUARD_PROTOCOL, /* PROTOCOL_ERROR */
	H2GUARD_CLOSED    /* STREAM_CLOSED */
};
/* A zeroed struct is a new connection. f has begun. live: its stream is open; draining: no new
 * ones are taken. */
enum h2guard_verdict h2guard_frame(
    struct h2guard *g, const struct h2frame *f, bool live, bool draining, uint64_t now_ns);
enum h2guard_verdict h2guard_reset_sent(struct h2guard *g, uint64_t now_ns);
/* A stream is closed, by whomever. */
void h2guard_closed(struct h2guard *g, uint32_t stream, bool client_done);
/* A frame of our own data calls for some without: a reader of a large answer sends up to two
 * WINDOW_UPDATE per frame, and some a PING. */
void h2guard_earn(struct h2guard *g);

#endif
