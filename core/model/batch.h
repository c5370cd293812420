/*
 * batch - what one write request adds: rows that point at label bytes, in request order.
 *
 * Made by proto/rw1 (and scrape, rules, self metrics), consumed by a sink. Label bytes are
 * wire-shaped and usually canonical, but nobody checked: the store compares them with known series
 * and canonicalises on a miss.
 * Rows of one TimeSeries share the label pointer and follow one another.
 * Memory: rows and bytes belong to the request; they are lent, read-only, to the owners of the
 * series until sink's done().
 */
#ifndef CORE_MODEL_BATCH_H
#define CORE_MODEL_BATCH_H

#include "core/model/label.h"
#include "core/model/sample.h"

struct batch_row {
	const uint8_t *labels;
	uint32_t labels_len;
	uint32_t flags; /* BATCH_* */
	int64_t t_ms;
	double v;
};
/* the row stands for a native histogram: refused as bad_histogram, t_ms and v are unused */
#define BATCH_HISTOGRAM 1u

struct batch_meta { /* metadata of a metric family */
	const char *family, *help, *unit;
	uint32_t family_len, help_len, unit_len;
	/* 0 unknown 1 counter 2 gauge 3 histogram 4 gaugehistogram 5 summary 6 info 7 stateset */
	uint8_t type;
};
struct batch {
	uint32_t tenant;
	struct batch_row *rows;
	size_t rows_count, rows_cap;
	struct batch_meta *metas;
	size_t metas_count, metas_cap;
	uint64_t series_count, exemplars_count;
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

#endif
