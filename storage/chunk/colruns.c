#include "storage/chunk/colruns.h"

#define PIECES 32u /* of memory that a run may share: each is looked for in a list when runs meet */

void colruns_release(struct colruns *r)
{
	for (unsigned i = 0; i < COLRUNS_MAX; i++)
		column_release(&r->runs[i]);
	column_release(&r->merged);
	r->count = 0;
	r->rows = 0;
}

struct column *colruns_top(struct colruns *r)
{
	if (!r->count)
		r->count = 1;
	return &r->runs[r->count - 1];
}

uint64_t colruns_rows(const struct colruns *r)
{
	return r->count ? r->rows + r->runs[r->count - 1].count : 0;
}

/* Histograms of too many pieces are copied into one. */
static void gather(struct column *c)
{
	struct column one = { 0 };
	if (!c->x || c->x->pieces_count <= PIECES)
		return;
	struct sample_column all = column_view(c, 0, c->count);
	column_append_lent(&one, &all, 0, all.count);
	column_swap(c, &one);
	column_release(&one);
}

/* The top two become one. */
static void meet(struct colruns *r)
{
	struct column *older = &r->runs[r->count - 2], *newer = older + 1;
	r->rows -= older->count;
	column_clear(&r->merged);
	column_merge(newer, older, &r->merged);
	gather(&r->merged);
	r->moved += r->merged.count;
	column_swap(older, &r->merged);
	column_clear(&r->merged);
	column_clear(newer);
	r->count--;
}

void colruns_split(struct colruns *r, uint32_t from)
{
	struct column tail = { 0 };
	struct column *top = colruns_top(r);
	struct sample_column late = column_view(top, 0, top->count);
	column_append_lent(&tail, &late, from, top->count - from);
	column_keep(top, 0, 0, from);
	while (r->count > 1 && r->runs[r->count - 2].count / 2 <= r->runs[r->count - 1].count)
		meet(r);
	r->rows += r->runs[r->count - 1].count;
	CHECK(r->count < COLRUNS_MAX);
	struct column *next = &r->runs[r->count++];
	column_clear(next);
	column_swap(next, &tail);
	column_release(&tail);
}

void colruns_join(struct colruns *r, struct column *out)
{
	column_clear(out);
	while (r->count > 1)
		meet(r);
	if (r->count)
		column_swap(out, &r->runs[0]);
	r->count = 0;
	r->rows = 0;
}
