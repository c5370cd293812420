/*
 * rw2 - Remote Write 2.0 bodies (io.prometheus.write.v2.Request of the Remote Write 2.0
 * specification) to a batch, and back, without building the message.
 *
 * Labels. A series names its labels by numbers of the request's table of strings. They are put
 * together in the arena as the same series has them in a 1.0 body (core/model/label.h: 0a n 0a n
 * name 12 n value; an empty name or value is left out, as Go does), in the order they came in: the
 * label range of its rows. So nothing behind a decoder asks which protocol brought a row.
 * Unsorted, repeated and empty labels are judged where a new series is made, as those of 1.0 are.
 *
 * Rows. Samples and native histograms come out in request order, one row each; exemplars as records
 * of the batch; unknown fields are skipped. A sample or histogram with a start time has an extra;
 * one without has that of field 6 of its series, which early 2.0 senders write (created_timestamp).
 * A histogram that may not be stored gives a row that says why (batch_extra.bad; in words for the
 * first one of a body).
 *
 * Left out, while the rest goes on (batch.left_*; left_why in words for the first one, with the
 * number of its series from 0):
 * - a series whose labels name a string that is not there, or are odd in number: all there is in
 *   it (left_rows: samples and histograms; left_exemplars);
 * - an exemplar whose own labels do (left_exemplars);
 * - metadata whose texts do: that alone, the series' samples stay (left_why alone);
 * - a series with nothing in it but labels (left_why alone). One exemplar is enough, and so is
 *   metadata that says something: a type, a help or a unit.
 * What left_why says ends a sentence that begins with "left out: ".
 *
 * Metadata. Of the family: the name of the series, of histograms and gauge histograms without
 * _bucket, _count, _sum or _created, of summaries without _count, _sum or _created, of other types
 * as it is. That is what a 1.0 sender calls it that scrapes the text format. Once for each name
 * and request unless it changes in it; never for a series without a name.
 *
 * (1) Every input that protobuf-c unpacks is accepted here, with the same contents (fuzz_rw2), but
 *     for limits.
 * (2) No group (wire types 3 and 4), no wire type other than the schema's for a known field (refs
 *     may come packed or one by one): ERR_MALFORMED. Strings are not looked at (UTF-8).
 * (3) Strings may stand behind series that name them. That is unusual, and read twice.
 *
 * Limits. One string may stand in the labels of very many series, so the labels put together are
 * many times as large as the body can be; they and the table (RW2_SYMBOL_BYTES a string) together
 * may have write_body_bytes, as the same labels in a 1.0 body.
 *
 * Cost aim: snappy and decoder together less than those of the same series in a 1.0 body; no
 * allocation per series.
 * Memory: rows, metas and exemplars point into body and arena, which live as long as the batch is
 * used. Label bytes are pieces of the arena of RW2_PIECE_LEAST to RW2_PIECE_MOST bytes, about six
 * times the body: who keeps an arena between requests keeps one of them (RW2_ARENA_KEEP).
 * Thread: pure, but for the memory.
 * Errors: ERR_MALFORMED ("bad_protobuf"), ERR_TOOBIG ("too_many"), ERR_NOMEM, ERR_AGAIN: the whole
 * request is unusable, the batch holds rubbish.
 */
#ifndef PROTO_RW2_H
#define PROTO_RW2_H

#include "core/model/batch.h"
#include "core/model/limits.h"
#include "core/rt/stamps.h"

#define RW2_SYMBOL_BYTES 32u /* that a string of the table takes beside its bytes */
#define RW2_PIECE_LEAST  (16u << 10)
#define RW2_PIECE_MOST   (1u << 20)
#define RW2_ARENA_KEEP   (RW2_PIECE_MOST + 64u)

/*
 * Counted: write_series of the limits for series; write_samples for samples, histograms and
 * exemplars together, sixteen buckets of a histogram as one more.
 */
struct rw2_opts {
	const struct limits *limits; /* NULL = limits_here() */
	/*
	 * As rw1_opts.slow_bytes: when more than so many bytes of unusual encoding are met,
	 * ERR_AGAIN, and a thread that may take its time decodes from the start. A 64th of the
	 * label bytes that are put together, and of the table's, counts as well. SIZE_MAX or no
	 * opts: never.
	 */
	size_t slow_bytes;
	uint32_t tenant; /* whose metadata it is */
};

/*
 * What a loop keeps between requests: room for the table, and metadata that is known to be in the
 * store, which is then left out of batches. Bounded: RW2_KNOWN entries, RW2_KNOWN_BYTES of text.
 *
 * Metadata is known when it was stored while its stamp (core/rt/stamps.h) stood still, and only as
 * long as the stamp is the same: who changes a family's metadata marks its stamp first
 * (batch_meta_hash). So nothing that would change anything is ever left out, whoever else writes
 * the same family.
 * Thread: that of its loop; a worker decodes with NULL.
 */
#define RW2_KNOWN       8192u
#define RW2_KNOWN_BYTES (1u << 20)
struct rw2_memory;
/* metas: of the store; NULL: no metadata is ever known. Outlives the memory. */
struct rw2_memory *rw2_memory_create(const struct stamps *metas);
void rw2_memory_free(struct rw2_memory *m);
/*
 * A batch that rw2_decode made was stored without an error, tenant and all. Of one that was made
 * without this memory next to nothing is learned.
 */
void rw2_memory_learn(struct rw2_memory *m, const struct batch *b);

/*
 * Adds to b, which is usually empty. m, o and eb may be NULL; eb gets a sentence with the byte
 * offset.
 */
MUST_CHECK enum err rw2_decode(struct arena *a, struct rw2_memory *m, const uint8_t *body,
    size_t len, const struct rw2_opts *o, struct batch *b, struct errbuf *eb);

/*
 * Encoder: what senders in Go make, field by field in the order of the calls; zeros are left out.
 *
 *   rw2_enc_init(&e);
 *   rw2_enc_begin(&e);                          string 0 is ""
 *   rw2_enc_series(&e, labels);                 then what is in it, in this order:
 *   rw2_enc_sample(&e, t_ms, v, 0);
 *   rw2_enc_hist, rw2_enc_exemplar, rw2_enc_meta
 *   rw2_enc_end(&e, &out);                      appends the request
 *   rw2_enc_release(&e);
 *
 * Strings get their numbers in the order of first use. Memory: own, kept between requests.
 * Cost: some 15 ns a label.
 */
struct rw2_enc {
	struct buf symbols, series, one; /* fields of the request; of the series that is open */
	struct buf texts;                /* of all strings, one after the other */
	struct rw2_enc_symbol *list;     /* [count] */
	uint32_t *places;                /* [mask + 1]: number + 1, open addressing */
	uint32_t count, cap, mask;
	bool is_open;
};
void rw2_enc_init(struct rw2_enc *e);
void rw2_enc_release(struct rw2_enc *e);
void rw2_enc_begin(struct rw2_enc *e);
/* Number of a string; the same one for the same bytes. */
uint32_t rw2_enc_symbol(struct rw2_enc *e, const char *s, size_t len);
/* Begins a series. labels: wire-shaped, kept in their order. */
void rw2_enc_series(struct rw2_enc *e, struct labels labels);
/* The same from numbers, whatever they are. */
void rw2_enc_series_refs(struct rw2_enc *e, const uint32_t *refs, size_t count);
void rw2_enc_sample(struct rw2_enc *e, int64_t t_ms, double v, int64_t start_ms); /* 0 = none */
/* Many of one series, without starts: 5 ns each. */
void rw2_enc_floats(struct rw2_enc *e, const int64_t *t_ms, const double *v, size_t count);
void rw2_enc_hist(struct rw2_enc *e, const struct hist *h, int64_t t_ms, int64_t start_ms);
void rw2_enc_exemplar(struct rw2_enc *e, struct labels own, int64_t t_ms, double v);
/* type, help and unit of m; all of them empty gives an empty message, as Prometheus sends it. */
void rw2_enc_meta(struct rw2_enc *e, const struct batch_meta *m);
void rw2_enc_end(struct rw2_enc *e, struct buf *out);

#endif
