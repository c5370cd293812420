/*
 * batch - what one write request adds: rows that point at label bytes, and exemplars, both in
 * request order.
 *
 * Made by proto/rw1 and proto/rw2 (and scrape, rules, self metrics), consumed by a sink. Label
 * bytes are wire-shaped and usually canonical, but nobody checked: the store compares them with
 * known series and canonicalises on a miss.
 * Rows of one TimeSeries share the label pointer and follow one another.
 * A row is a float, or has an extra (BATCH_EXTRA): a native histogram, a start time, or both.
 * Exemplars are records of their own: a series may have some and no row.
 * Memory: rows, extras, exemplars and bytes belong to the request; they are lent, read-only, to the
 * owners of the series until sink's done().
 */
#ifndef CORE_MODEL_BATCH_H
#define CORE_MODEL_BATCH_H

#include "core/model/hist.h"
#include "core/model/label.h"
#include "core/model/sample.h"

struct batch_extra {
	double v;                /* of a float */
	const struct hist *hist; /* NULL = a float; hist_check found it good */
	int64_t start_ms;        /* 0 = not told */
	const char *bad;         /* a histogram that may not be stored: why; else NULL */
};
struct batch_row {
	const uint8_t *labels;
	uint32_t labels_len;
	uint32_t flags; /* BATCH_* */
	int64_t t_ms;
	union {
		double v;
		const struct batch_extra *extra; /* with BATCH_EXTRA */
		uint64_t bits;                   /* of either */
	};
};
#define BATCH_EXTRA 1u

/* An exemplar as it came: both label sets are wire-shaped, unchecked, perhaps unsorted. */
struct batch_exemplar {
	const uint8_t *labels; /* of the series */
	const uint8_t *own;    /* of the exemplar: trace_id and such; own_len may be 0 */
	uint32_t labels_len, own_len;
	int64_t t_ms; /* 0 may mean that none was told */
	double v;
};

struct batch_meta { /* metadata of a metric family */
	const char *family, *help, *unit;
	uint32_t family_len, help_len, unit_len;
	/* 0 unknown 1 counter 2 gauge 3 histogram 4 gaugehistogram 5 summary 6 info 7 stateset */
	uint8_t type;
	/* of its family before it was read (core/rt/stamps.h); 0 when nobody asked */
	uint32_t stamp;
};
/* Of the family, for stamps: who changes what is known of a tenant's family marks this one. */
uint64_t batch_meta_hash(uint32_t tenant, const char *family, size_t family_len);
struct batch {
	uint32_t tenant;
	struct batch_row *rows;
	size_t rows_count, rows_cap;
	struct batch_meta *metas;
	size_t metas_count, metas_cap;
	struct batch_exemplar *exemplars;
	size_t exemplars_count, exemplars_cap;
	uint64_t series_count;
	/* about what the rows' extras take, here and in the log; batch_row_extra counts */
	uint64_t extras_bytes;
	/*
	 * What the decoder left out, because nobody can name its series (Remote Write 2.0: a symbol
	 * that is not there), or because the series held nothing: not among the rows. In words for
	 * the first one, in the request's memory; NULL = nothing was left out.
	 */
	uint64_t left_rows, left_exemplars;
	const char *left_why;
	/* was acknowledged before: no age is too old any more; batch_clear keeps it */
	bool restored;
	/*
	 * of the server itself: its times do not decide how old others' samples may be; batch_clear
	 * keeps it
	 */
	bool own;
};
void batch_init(struct batch *b);
void batch_release(struct batch *b);
void batch_clear(struct batch *b); /* counts 0, memory kept */
struct batch_row *batch_row_slow_(struct batch *b);
static inline struct batch_row *batch_add(struct batch *b) /* a new row to fill */
{
	if (LIKELY(b->rows_count < b->rows_cap))
		return &b->rows[b->rows_count++];
	return batch_row_slow_(b);
}
struct batch_meta *batch_add_meta(struct batch *b);
struct batch_exemplar *batch_add_exemplar(struct batch *b);
/* x stands beside the row and lives as long as the batch is used. */
void batch_row_extra(struct batch *b, struct batch_row *row, const struct batch_extra *x);
/* What an extra takes at most as canonical bytes, with what stands around them. */
static inline uint64_t batch_extra_bytes(const struct batch_extra *x)
{
	return x->hist ? 64 + hist_cost(x->hist) * 10 : 16;
}

#endif
