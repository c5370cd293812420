/*
 * ql_aggr - aggregations that add up: a series finds its group once, then its column is added to
 * the group's columns; partial groups of several shards merge by the same rules.
 *
 * sum, avg, count, min, max, group, stddev, stdvar. State per group and step (value arrays of
 * grid.n):
 *   sum      a sum, b compensation
 *   avg      a sum or mean, b compensation, c count; bit of mean: a is a mean (the sum would have
 *            overflown)
 *   min/max  a value (NaN before the first)
 *   count    a
 *   stddev/stdvar  a squared deviations, b mean, c count (Welford)
 * Absent values of columns are 0 (ql_value.h), which lets sums run over whole arrays.
 * Histograms (ql_aggr_hist.c): sum and avg have a sum of histograms for each step, made when the
 * first one comes; where a step has floats, too, or kinds that do not go together, there is no
 * result. count and group count them; the others leave them out and say so.
 *
 * Thread: one at a time; a partial result moves whole, by pointer, with the arena it lives in.
 */
#ifndef CORE_PROMQL_RUN_QL_AGGR_H
#define CORE_PROMQL_RUN_QL_AGGR_H

#include "core/promql/plan/ql_spec.h"
#include "core/promql/run/ql_notes.h"

struct hist_sum;
struct ql_aggr_hists {         /* of sum and avg */
	struct hist_sum **sum; /* n of them, NULL: no histogram */
	uint64_t *mixed;       /* kinds that do not go together: no result */
	uint64_t *collided;    /* hints that contradict each other */
	struct labels ls;      /* of one of the series, for the metric's name in texts */
	struct ql_hists *out;  /* the result */
};
struct ql_aggr_group {
	uint64_t *has, *mean;
	double *a, *b, *c; /* NULL where the operator has none */
	bool any_mean, drop_name;
	struct ql_aggr_hists *hists; /* NULL: no histogram came */
};
struct ql_aggr {
	enum ql_agg op;
	bool without;
	struct ql_names names; /* sorted; with __name__ when without */
	uint32_t n;            /* steps */
	struct arena *arena;
	struct ql_notes *notes; /* of histograms; where what is aggregated stands */
	struct ql_pos pos;
	bool nameless;                 /* texts do not know the metric's name: it was dropped */
	struct ql_tab tab;             /* labels of the groups */
	struct ql_aggr_group **_pages; /* of QL_AGGR_PAGE groups each */
	uint32_t _pages_cap;
	struct buf _scratch;
	bool _busy, _fresh; /* a column is being added; to a new group */
	uint32_t _group;    /* that one */
	uint32_t _merged;   /* groups of the other shard that are done */
	uint32_t _step;     /* where add, merge or finish goes on */
	bool _in_hists;     /* the column's floats are done */
	uint32_t _hist;     /* where its histograms go on, or the group's */
};
#define QL_AGGR_PAGE 64
/*
 * Steps of a column that one call below works on. Who adds, merges or finishes asks for the clock
 * after each call, and calls again with the same arguments while there is more.
 */
#define QL_AGGR_PART 8192
static inline uint32_t ql_aggr_part(uint32_t n)
{
	return n < QL_AGGR_PART ? n : QL_AGGR_PART;
}
unsigned ql_aggr_arrays(enum ql_agg op); /* values that a group holds of a step */
void ql_aggr_init(struct ql_aggr *g, enum ql_agg op, struct ql_names names, bool without,
    uint32_t n, struct arena *a);
void ql_aggr_release(struct ql_aggr *g); /* scratch only; the rest is the arena's */
MUST_CHECK enum err ql_aggr_add(struct ql_aggr *g, const struct ql_col *col, bool *more,
    struct ql_budget *b, struct errbuf *eb);
/* Groups of another shard; their memory must live as long as g's. */
MUST_CHECK enum err ql_aggr_merge(struct ql_aggr *g, const struct ql_aggr *from, bool *more,
    struct ql_budget *b, struct errbuf *eb);
/* Group i as a column (its arrays become the column's). True: there is more, out is not made. */
bool ql_aggr_finish(struct ql_aggr *g, uint32_t i, struct ql_col *out);
size_t ql_aggr_bytes(const struct ql_aggr *g); /* what it weighs when it moves */

/* Parts of the above (ql_aggr_hist.c): histograms of a column, of a group, of a result. */
MUST_CHECK enum err ql_aggr_hists_add(struct ql_aggr *g, struct ql_aggr_group *to,
    const struct ql_col *col, bool *more, struct ql_budget *b, struct errbuf *eb);
MUST_CHECK enum err ql_aggr_hists_merge(struct ql_aggr *g, struct ql_aggr_group *to,
    const struct ql_aggr_group *from, bool *more, struct ql_budget *b, struct errbuf *eb);
bool ql_aggr_hists_finish(struct ql_aggr *g, struct ql_aggr_group *gr, struct ql_col *out);

/* The group's labels of a series, for aggregations that keep their members (ql_members.h). */
uint32_t ql_aggr_group_of(struct ql_tab *tab, const struct ql_names *names, bool without,
    struct labels ls, struct buf *scratch, bool *fresh);

#endif
