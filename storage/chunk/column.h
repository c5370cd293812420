/*
 * column - a growing column of samples: what tails, packs, late rows and units are read into, and
 * what files are written from.
 *
 * Times ascending and unique after each call below. Its owner releases it; reuse it between series.
 * Thread: any, one at a time. Memory: its own; large ones are maps.
 */
#ifndef STORAGE_CHUNK_COLUMN_H
#define STORAGE_CHUNK_COLUMN_H

#include "core/model/sample.h"

struct column {
	int64_t *t_ms;
	double *v;
	uint32_t count, cap;
};
void column_release(struct column *c);
void column_reserve(struct column *c, uint32_t more);
/* Merges two ascending columns, newer winning, into *out (neither of them). */
void column_merge(const struct column *newer, const struct column *older, struct column *out);

#endif
