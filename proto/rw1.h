/*
 * rw1 - Remote Write 1.0 bodies (prometheus.WriteRequest of the Remote Write 1.0 specification) to
 * a batch, without building the message.
 *
 * The labels of a series are not decoded: the contiguous run of its label fields is the label range
 * of its rows, in the wire's bytes.
 * A series whose label fields do not stand in one run, or are written with longer tags or lengths
 * than needed, gets joined bytes in the arena.
 * Samples and native histograms come out in request order, one row each; exemplars as records of
 * the batch; unknown fields are skipped. A histogram that may not be stored gives a row that says
 * why (batch_extra.bad; in words for the first one of a body).
 * A series without samples and histograms gives no row, and an empty body an empty batch.
 *
 * (1) Every input that protobuf-c unpacks is accepted here, with the same contents (fuzz_rw1).
 * (2) Not checked here, but when a series is new: the inside of a label message. A row's label
 *     bytes are safe for label_iter only.
 * (3) No group (wire types 3 and 4), no wire type other than the schema's for a known field:
 *     ERR_MALFORMED, as protobuf-c and Prometheus.
 *
 * Cost aim: <= 12 ns per series of nine labels and one sample; no allocation per series.
 * Memory: rows and metas point into body and arena, which live as long as the batch is used.
 * Thread: pure.
 * Errors: ERR_MALFORMED ("bad_protobuf"), ERR_TOOBIG ("too_many"): the whole request is unusable,
 * the batch holds rubbish.
 */
#ifndef PROTO_RW1_H
#define PROTO_RW1_H

#include "core/model/batch.h"
#include "core/model/limits.h"

/*
 * Counted: write_series of the limits for series, the same for metadata entries; write_samples for
 * samples, histograms and exemplars together, sixteen buckets of a histogram as one more.
 */
struct rw1_opts {
	const struct limits *limits; /* NULL = limits_here() */
	/*
	 * An unusual encoding costs up to fifty times as much a byte as the one that senders make.
	 * When more than so many bytes of it are met, ERR_AGAIN: the batch holds rubbish, and a
	 * thread that may take its time decodes from the start. SIZE_MAX or no opts: never.
	 */
	size_t slow_bytes;
};
/*
 * Adds to b, which is usually empty. o may be NULL; eb (may be NULL) gets a sentence with the byte
 * offset.
 */
MUST_CHECK enum err rw1_decode(struct arena *a, const uint8_t *body, size_t len,
    const struct rw1_opts *o, struct batch *b, struct errbuf *eb);

/*
 * Appends one TimeSeries of one sample to a WriteRequest; labels are canonical. Zeros are left out
 * as Go's encoder does.
 */
void rw1_encode_series(struct buf *out, struct labels labels, int64_t t_ms, double v);
/* Appends one MetricMetadata. */
void rw1_encode_meta(struct buf *out, const struct batch_meta *m);

#endif
