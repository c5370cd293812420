/*
 * brec - records of a write-ahead log of Prometheus ("tsdb/record/record.go").
 *
 *   type byte, then
 *   1 series      { BE64 ref, uvarint labels, { text, text } }
 *   2 samples     BE64 ref, BE64 time, { varint ref - first, varint time - first, BE64 value }
 *   3 tombstones  { BE64 ref, varint from, varint to }
 *   7 9 histograms, 8 10 float histograms: as samples, with a histogram for the value
 *   11 12 13      samples, histograms, float histograms that have start times: the first
 *                 { varint ref, varint time, varint start, value }, then { varint ref - ref of the
 *                 one before, varint time - first time, start, value }; start: byte 0 none, 1 as
 *                 the one before, 2 and varint start - first start
 *   4 exemplars   5 markers of mapped chunks   6 metadata: not looked into
 *   histogram     byte hint, varint schema, BE64 threshold, zero count, count (uvarint or BE64),
 *                 BE64 sum, spans (uvarint, each varint offset, uvarint length) of both sides,
 *                 buckets (uvarint, each varint difference or BE64) of both; schema -53: uvarint,
 *                 BE64 bounds
 *
 * Entries are given to a sink one by one; of a record that is broken those before the break are.
 * Histograms whose spans and buckets do not agree, or of an unknown schema, are left out.
 *
 * Any bytes are safe. Thread: pure. Memory: labels and histograms are in the sink's arena.
 */
#ifndef STORAGE_BLOCK_BREC_H
#define STORAGE_BLOCK_BREC_H

#include "core/model/hist.h"
#include "core/model/label.h"

enum brec_type {
	BREC_SERIES = 1,
	BREC_SAMPLES,
	BREC_TOMBSTONES,
	BREC_EXEMPLARS,
	BREC_MARKERS,
	BREC_METADATA,
	BREC_HISTOGRAMS,
	BREC_FLOAT_HISTOGRAMS,
	BREC_CUSTOM_HISTOGRAMS,
	BREC_CUSTOM_FLOAT_HISTOGRAMS,
	BREC_SAMPLES_ST,
	BREC_HISTOGRAMS_ST,
	BREC_FLOAT_HISTOGRAMS_ST
};
struct brec_sample {
	uint64_t ref;
	int64_t t_ms, start_ms; /* 0 = not told */
	double v;
	const struct hist *h; /* NULL: v is it */
};
struct brec_sink { /* any may be NULL */
	struct arena *arena;
	void *arg;
	void (*series)(void *arg, uint64_t ref, struct labels labels);
	void (*sample)(void *arg, const struct brec_sample *s);
	void (*tombstone)(void *arg, uint64_t ref, int64_t t_from_ms, int64_t t_to_ms);
	uint64_t left_out; /* histograms that are none */
};
/* What it is of; 0: it is empty. */
uint8_t brec_type(const uint8_t *rec, size_t len);
/* ERR_MALFORMED; ERR_UNSUPPORTED: of an unknown type. */
MUST_CHECK enum err brec_decode(const uint8_t *rec, size_t len, struct brec_sink *sink);

#endif
