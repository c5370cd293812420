/*
 * rread - remote read (prometheus.ReadRequest of "Remote Read" in the Prometheus documentation):
 * requests to queries, and samples to both kinds of answers.
 *
 *   SAMPLES              ReadResponse, one message: of each query a QueryResult of TimeSeries
 *   STREAMED_XOR_CHUNKS  frames: uvarint length of the message, CRC-32C of it (4 bytes, the highest
 *                        first), ChunkedReadResponse of one series
 *
 * A series is put together in pieces: *_begin, *_samples as often as there are some, *_end; between
 * them the buffer holds an unfinished message at `start` and nothing behind it.
 * Canonical label bytes are the wire's, so they are copied as they are.
 * Thread: pure. Any bytes are safe for rread_decode (fuzz_rread).
 */
#ifndef PROTO_RREAD_H
#define PROTO_RREAD_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/model/limits.h"
#include "core/model/matcher.h"
#include "core/model/sample.h"

struct rread_query {
	int64_t start_ms, end_ms; /* both inclusive */
	struct matcher *matchers;
	size_t matchers_count;
	bool labels_only; /* its hints say that no samples are wanted */
};
struct rread {
	struct rread_query *queries;
	size_t count;
	bool streamed, supported; /* what the client would have; neither: streamed is false */
};
/*
 * Limits are those of selectors: query_selectors, query_matchers, query_pattern_bytes. Names and
 * values are copied into the arena. ERR_MALFORMED, ERR_BADDATA (a pattern), ERR_TOOBIG with a text;
 * then nothing is to be released.
 */
MUST_CHECK enum err rread_decode(struct arena *a, const uint8_t *body, size_t len,
    const struct limits *l, struct rread *out, struct errbuf *eb);
void rread_release(struct rread *r); /* compiled patterns */

/* SAMPLES: a TimeSeries field of a QueryResult. */
size_t rread_series_begin(struct buf *out, struct labels ls); /* start */
void rread_series_samples(struct buf *out, const struct sample_column *c, uint32_t from, uint32_t to);
void rread_series_end(struct buf *out, size_t start);

/* STREAMED. */
#define RREAD_FRAME_BYTES (1u << 20) /* a frame is ended when it has more: as Prometheus */
size_t rread_frame_begin(struct buf *out, struct labels ls);
/* One chunk; returns how many samples it took. */
uint32_t rread_frame_chunk(struct buf *out, const struct sample_column *c, uint32_t from);
static inline bool rread_frame_full(const struct buf *out, size_t start)
{
	return out->len - start >= RREAD_FRAME_BYTES;
}
void rread_frame_end(struct buf *out, size_t start, uint32_t query);

#endif
