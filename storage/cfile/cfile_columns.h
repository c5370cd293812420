/*
 * cfile_columns - the time columns of a file that is being written: equal ones are given one
 * number, and stand once.
 *
 * Columns are found by a hash of their times and compared by decoding. When more than
 * CFILE_TIMES_KEPT bytes of them are kept they are to be written and forgotten: equal ones that
 * come later stand again.
 *
 * Thread: one. Memory: what is kept, some 40 bytes a column beside it, CHUNK_SAMPLES_MAX times.
 */
#ifndef STORAGE_CFILE_CFILE_COLUMNS_H
#define STORAGE_CFILE_CFILE_COLUMNS_H

#include "core/base/buf.h"

struct cfile_columns_item {
	uint64_t hash;     /* of the times */
	uint32_t off, len; /* in streams */
	uint32_t count;    /* samples */
};
struct cfile_columns {
	int64_t base_ms;
	uint32_t base; /* number of items[0] */
	struct cfile_columns_item *items;
	uint32_t count, cap;
	struct buf streams;
	uint32_t *table; /* hash -> index + 1 */
	uint32_t table_mask;
	int64_t *last; /* times of the column given last, */
	uint32_t last_count, last_column;
	int64_t *scratch;
};
void cfile_columns_init(struct cfile_columns *c, int64_t base_ms);
void cfile_columns_release(struct cfile_columns *c);
/* Number of the column with these times, n of them: 1..CHUNK_SAMPLES_MAX. */
uint32_t cfile_columns_number(struct cfile_columns *c, const int64_t *t_ms, uint32_t n);
/* Times of a column that is kept: cfile_columns_samples of them, valid until the next call. */
const int64_t *cfile_columns_times(struct cfile_columns *c, uint32_t number);
static inline uint32_t cfile_columns_samples(const struct cfile_columns *c, uint32_t number)
{
	return c->items[number - c->base].count;
}
/* Where a block ends that begins with items[from]; from < count. */
uint32_t cfile_columns_split(const struct cfile_columns *c, uint32_t from);
/* The payload of the block [from, to), into out. */
void cfile_columns_block(const struct cfile_columns *c, uint32_t from, uint32_t to, struct buf *out);
/* What is kept is forgotten; numbers go on. */
void cfile_columns_forget(struct cfile_columns *c);

#endif
