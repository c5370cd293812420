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
 *
 * Thread: one at a time; a partial result moves whole, by pointer, with the arena it lives in.
 */
#ifndef CORE_PROMQL_RUN_QL_AGGR_H
#define CORE_PROMQL_RUN_QL_AGGR_H

#include "core/promql/plan/ql_spec.h"

struct ql_aggr_group {
	uint64_t *has, *mean;
	double *a, *b, *c; /* NULL where the operator has none */
	bool any_mean, drop_name;
};
struct ql_aggr {
	enum ql_agg op;
	bool without;
	struct ql_names names; /* sorted; with __name__ when without */
	uint32_t n;            /* steps */
	struct arena *arena;
	struct ql_tab tab; /* labels of the groups */
	struct ql_aggr_group *groups;
	uint32_t _cap;
	struct buf _scratch;
};
void ql_aggr_init(struct ql_aggr *g, enum ql_agg op, struct ql_names names, bool without,
    uint32_t n, struct arena *a);
void ql_aggr_release(struct ql_aggr *g); /* scratch only; the rest is the arena's */
MUST_CHECK enum err ql_aggr_add(
    struct ql_aggr *g, const struct ql_col *col, struct ql_budget *b, struct errbuf *eb);
/* Groups of another shard; their memory must live as long as g's. */
MUST_CHECK enum err ql_aggr_merge(
    struct ql_aggr *g, const struct ql_aggr *from, struct ql_budget *b, struct errbuf *eb);
/* Group i as a column (its arrays become the column's). */
void ql_aggr_finish(struct ql_aggr *g, uint32_t i, struct ql_col *out);
size_t ql_aggr_bytes(const struct ql_aggr *g); /* what it weighs when it moves */

/* The group's labels of a series, for aggregations that keep their members (ql_aggk.h). */
uint32_t ql_aggr_group_of(struct ql_tab *tab, const struct ql_names *names, bool without,
    struct labels ls, struct buf *scratch, bool *fresh);

#endif
