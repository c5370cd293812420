/*
 * hist - a native histogram: one sample that holds the counts of many buckets.
 *
 * Exponential ones (schema -4..8): bucket i of the positive side holds what is in
 * (2^((i-1)*2^-schema), 2^(i*2^-schema)], the negative side mirrors it, and the zero bucket holds
 * what is at most zero_threshold away from 0. Custom ones (schema -53): bucket i ends at bounds[i],
 * the last one has no end; they have a positive side alone.
 * Buckets that exist are told by spans: so many (length) beside each other, offset buckets after
 * the end of the span before; the first offset is the index of the first bucket.
 * Counts are exact integers or doubles, as is_float says for all of them.
 * A stale marker is a histogram whose sum has SAMPLE_STALE_BITS.
 *
 * Canonical bytes, the same for the same histogram and no other:
 *   head     1  bits 0-1 hint, bit 2 bare (all but sum and hint are zero, and follow not), bit 3
 *               with bare: float
 *   sum      8  bits of the double
 *   layout      1 bit 0 float; 1 schema; 8 bits of zero_threshold;
 *               twice (negative, positive): varint spans, each zigzag(offset) varint(length);
 *               varint bounds, 8 bytes each
 *   counts      count, zero_count, negative, positive buckets: of a float one 8 bytes each; else
 *               count and zero_count as varints, buckets as zigzag(difference to the one before)
 *
 * Equality is that of bits. A histogram is not changed once it is made; copies may share arrays.
 * Memory: the caller's arena. Thread: pure.
 * Errors: reading any bytes is safe: ERR_TRUNCATED, ERR_MALFORMED, ERR_NOMEM. What it gives has as
 * many counts as its spans say, and at most HIST_BUCKETS_MAX buckets and bounds; whether it makes
 * sense is told by hist_check alone.
 */
#ifndef CORE_MODEL_HIST_H
#define CORE_MODEL_HIST_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/wire.h"
#include "core/model/sample.h"

#define HIST_SCHEMA_MIN    (-4)
#define HIST_SCHEMA_MAX    8
#define HIST_SCHEMA_FINER  52 /* up to this one senders may have: taken, with schema 8 */
#define HIST_SCHEMA_CUSTOM (-53)
#define HIST_BUCKETS_MAX   65536u /* of both sides, spans and bounds together */

enum hist_hint { /* what the sender knows about the one before */
	HIST_UNKNOWN,
	HIST_RESET,
	HIST_NO_RESET,
	HIST_GAUGE
};
union hist_count {
	uint64_t n;
	double f;
};
struct hist_span {
	int32_t offset;
	uint32_t length;
};
struct hist_side {
	const struct hist_span *spans;
	const union hist_count *counts;
	uint32_t spans_count, counts_count; /* counts: the sum of the lengths */
};
struct hist {
	bool is_float;
	uint8_t hint; /* enum hist_hint */
	int8_t schema;
	uint32_t bounds_count;
	double sum, zero_threshold;
	union hist_count count, zero_count;
	struct hist_side negative, positive;
	const double *bounds; /* custom: upper bounds, ascending */
};

static inline bool hist_is_stale(const struct hist *h)
{
	return sample_is_stale(h->sum);
}
/* Bit by bit, hint included; NULL equals NULL alone. */
bool hist_equal(const struct hist *a, const struct hist *b);
/* The same layout: kind, schema, zero threshold, spans, bounds. */
bool hist_same_layout(const struct hist *a, const struct hist *b);
/*
 * As Prometheus judges what may be stored: ERR_BADDATA, and eb says why. A schema of
 * HIST_SCHEMA_MAX+1..HIST_SCHEMA_FINER is not: reduce it first.
 */
MUST_CHECK enum err hist_check(const struct hist *h, struct errbuf *eb);
/*
 * An exponential histogram with a coarser schema than its own, which may be up to
 * HIST_SCHEMA_FINER: neighbours become one bucket. As many counts as the spans say. NULL: no
 * memory.
 */
struct hist *hist_reduce(struct arena *a, const struct hist *h, int schema);
/* A copy, whole, in the arena; NULL without memory. */
struct hist *hist_copy(struct arena *a, const struct hist *h);
/* Buckets, spans and bounds: what a histogram costs. */
static inline uint64_t hist_cost(const struct hist *h)
{
	return (uint64_t)h->negative.counts_count + h->positive.counts_count +
	    h->negative.spans_count + h->positive.spans_count + h->bounds_count;
}

/* Appends the canonical bytes; as many counts as the spans say. */
void hist_encode(const struct hist *h, struct buf *out);
/* One from the front of the bytes; *used (may be NULL) gets their length. */
MUST_CHECK enum err hist_decode(
    struct arena *a, const uint8_t *p, size_t len, struct hist *out, size_t *used);

/* The layout part alone, for encodings that share it; the reader's error is the wire reader's. */
void hist_layout_encode(const struct hist *h, struct buf *out);
/* Fills all of *out but hint, sum and counts, which are zero. ERR_OK, ERR_MALFORMED, ERR_NOMEM. */
MUST_CHECK enum err hist_layout_decode(struct wire_reader *r, struct arena *a, struct hist *out);

#endif
