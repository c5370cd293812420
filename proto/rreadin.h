/*
 * rreadin - remote read as its client has it (proto/rread.h is the server's side): requests out,
 * both kinds of answers in, series by series, in place.
 *
 *   STREAMED_XOR_CHUNKS  rreadin_frame cuts messages out of the stream, rreadin_streamed begins
 *                        one, rreadin_series gives its series, rreadin_chunk the chunks of a series
 *                        as they came (to be decoded by storage/block/bchunk.h)
 *   SAMPLES              rreadin_samples begins the answer, unpacked; rreadin_series its series,
 *                        rreadin_sample their samples
 *
 * Memory: what is given lies in the message; labels that do not stand beside each other, and
 * histograms, in the arena. Thread: pure. Any bytes are safe (fuzz_rreadin): what is wrong ends a
 * loop, and `bad` says so.
 */
#ifndef PROTO_RREADIN_H
#define PROTO_RREADIN_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/model/hist.h"
#include "core/model/limits.h"
#include "core/model/matcher.h"

#define RREADIN_TYPE_STREAMED                                                                      \
 "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
#define RREADIN_FRAME_MAX (64u << 20) /* of a message; Prometheus' client takes 50 MB */

struct rreadin_query {
	int64_t start_ms, end_ms; /* both within */
	const struct matcher *matchers;
	size_t matchers_count;
};
/* Appends a body: one snappy block. streamed: chunks are wanted first, then samples. */
void rreadin_request(
    struct buf *out, const struct rreadin_query *queries, size_t count, bool streamed);

/*
 * The message of the frame at p; *used is the length of the frame. ERR_AGAIN: it is not whole yet;
 * ERR_MALFORMED: its checksum or its length; ERR_TOOBIG.
 */
MUST_CHECK enum err rreadin_frame(
    const uint8_t *p, size_t len, const uint8_t **message, size_t *message_len, size_t *used);

struct rreadin {
	const uint8_t *_p, *_end;           /* of messages that have series */
	const uint8_t *_outer, *_outer_end; /* of results, SAMPLES alone */
	bool samples, bad;
};
void rreadin_streamed(struct rreadin *r, const uint8_t *message, size_t len);
void rreadin_samples(struct rreadin *r, const uint8_t *answer, size_t len);

struct rreadin_series {
	struct labels wire; /* wire-shaped: label_canonicalize */
	const uint8_t *_p, *_end;
	bool bad;
};
/* false: there is none left, or r->bad. */
MUST_CHECK bool rreadin_series(struct rreadin *r, struct arena *a, struct rreadin_series *out);

struct rreadin_chunk {
	int64_t t_min_ms, t_max_ms;
	uint64_t type; /* enum bchunk_type */
	const uint8_t *data;
	size_t len;
};
MUST_CHECK bool rreadin_chunk(struct rreadin_series *s, struct rreadin_chunk *out);

struct rreadin_sample {
	int64_t t_ms;
	double v;
	const struct hist *hist; /* NULL: a float */
	bool left;               /* a histogram that may not be stored: to be passed over */
};
MUST_CHECK bool rreadin_sample(
    struct rreadin_series *s, struct arena *a, const struct limits *l, struct rreadin_sample *out);

#endif
