/*
 * column - a growing column of samples: what tails, packs, late rows and units are read into, and
 * what files are written from.
 *
 * Times ascending and unique after each call below. Its owner releases it; reuse it between series.
 * Floats alone: t_ms, v, count, cap may be written directly behind count (after column_reserve).
 *
 * Extras: what stands beside the floats of some rows, a histogram and a start time. x is NULL as
 * long as no row has any, and then nothing below costs more than a test of it.
 * (1) x->h and x->start_ms speak of the rows below x->rows; rows from there on have nothing. So
 *     code that knows floats alone may go on appending rows. It may not lower count, move rows or
 *     overwrite them: column_clear, column_keep and column_copy do.
 * (2) v[i] is SAMPLE_HIST_BITS where h[i] is a histogram.
 * (3) Histograms live in pieces of memory (column_memory) that columns share: a column holds on to
 *     every piece that a row of its own may point into, until column_clear or column_release.
 *     Nothing is copied when rows go from column to column.
 *
 * Thread: any, one at a time; columns that exchanged rows stay on one thread at a time together.
 * Memory: its own; large arrays are maps.
 */
#ifndef STORAGE_CHUNK_COLUMN_H
#define STORAGE_CHUNK_COLUMN_H

#include "core/base/arena.h"
#include "core/model/hist.h"
#include "core/model/sample.h"

struct column_piece;
struct column_extras {
	const struct hist **h; /* NULL = no row has one */
	int64_t *start_ms;     /* NULL = no row has one; 0 = not told */
	uint32_t rows, h_cap, start_cap;
	struct column_piece **pieces;
	uint32_t pieces_count, pieces_cap;
	struct column_piece *own; /* among the pieces: what column_memory gives */
};
struct column {
	int64_t *t_ms;
	double *v;
	uint32_t count, cap;
	struct column_extras *x;
};
void column_release(struct column *c);
void column_reserve(struct column *c, uint32_t more);
void column_extras_drop_(struct column *c);
void column_extras_copy_(
    struct column *to, uint32_t at, const struct column *from, uint32_t first, uint32_t n);
/* From here on `to` holds on to every piece that `from` does (3). */
void column_hold(struct column *to, const struct column *from);
/* No rows; the memory of times and values stays. */
static inline void column_clear(struct column *c)
{
	c->count = 0;
	if (UNLIKELY(c->x != NULL))
		column_extras_drop_(c);
}
static inline void column_swap(struct column *a, struct column *b)
{
	struct column x = *a;
	*a = *b;
	*b = x;
}
/* Of the rows first..count-1 only those from `first + skip` on, n of them, stay. */
void column_keep(struct column *c, uint32_t first, uint32_t skip, uint32_t n);
/*
 * Rows of another column over rows at..at+n-1 of this one, extras along; there is room for them.
 * count stays what it is.
 */
static inline void column_copy(
    struct column *to, uint32_t at, const struct column *from, uint32_t first, uint32_t n)
{
	if (n) {
		memcpy(to->t_ms + at, from->t_ms + first, n * sizeof *to->t_ms);
		memcpy(to->v + at, from->v + first, n * sizeof *to->v);
	}
	if (UNLIKELY(to->x || from->x)) {
		column_hold(to, from);
		column_extras_copy_(to, at, from, first, n);
	}
}
/* The same for one row, for loops over rows: column_hold(to, from) first, once. */
static inline void column_copy_row(
    struct column *to, uint32_t at, const struct column *from, uint32_t i)
{
	to->t_ms[at] = from->t_ms[i];
	to->v[at] = from->v[i];
	if (UNLIKELY(to->x || from->x))
		column_extras_copy_(to, at, from, i, 1);
}
/* Rows behind what is there; their times are later. */
void column_append(struct column *to, const struct column *from, uint32_t first, uint32_t n);
/* The same from a column that is only lent: its histograms are copied. */
void column_append_lent(
    struct column *to, const struct sample_column *from, uint32_t first, uint32_t n);
/* Merges two ascending columns, newer winning, into *out (neither of them). */
void column_merge(const struct column *newer, const struct column *older, struct column *out);

/* Memory for histograms of this column's rows, (3); good until column_clear or column_release. */
struct arena *column_memory(struct column *c);
/* Beside row i < count: h (NULL = none) is in column_memory, start_ms 0 = not told. */
void column_set(struct column *c, uint32_t i, const struct hist *h, int64_t start_ms);
static inline const struct hist *column_hist(const struct column *c, uint32_t i)
{
	return c->x && c->x->h && i < c->x->rows ? c->x->h[i] : NULL;
}
static inline int64_t column_start_ms(const struct column *c, uint32_t i)
{
	return c->x && c->x->start_ms && i < c->x->rows ? c->x->start_ms[i] : 0;
}
void column_extras_fill_(struct column *c);
/* n rows from first on as others take them; borrowed until the column changes. */
static inline struct sample_column column_view(struct column *c, uint32_t first, uint32_t n)
{
	struct sample_column s = { .count = n };
	if (n) {
		s.t_ms = c->t_ms + first;
		s.v = c->v + first;
	}
	if (UNLIKELY(c->x != NULL)) {
		column_extras_fill_(c);
		s.h = c->x->h ? c->x->h + first : NULL;
		s.start_ms = c->x->start_ms ? c->x->start_ms + first : NULL;
	}
	return s;
}
/* Memory it holds; what columns share counts in each. */
size_t column_bytes(const struct column *c);

#endif
