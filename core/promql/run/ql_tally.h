/*
 * ql_tally - samples counted for each step of a query, as Prometheus' engine does with per-step
 * statistics: how many a step uses, and how many are read for it. Made only for who asks; sums over
 * all steps are counted elsewhere (ql_plan.h), and are those of these numbers.
 *
 * Each shard counts what its columns use, behind the evaluation of each, and sends the counts with
 * its last batch; the query's loop adds them up, and counts itself what is used at home, by windows
 * over subqueries. What a subquery reads is read for the first step of the query that looks at it
 * (struct ql_around); what does not change from step to step is used at all of them alike, and read
 * for one.
 *
 * Thread: one at a time. Memory: the caller's. Cost: some ns a step of a column.
 */
#ifndef CORE_PROMQL_RUN_QL_TALLY_H
#define CORE_PROMQL_RUN_QL_TALLY_H

#include "core/promql/plan/ql_value.h"

struct ql_range;
struct ql_reads;
struct sample_column;
struct ql_tally {
	uint32_t n;            /* steps of the query; 0: nothing is counted */
	uint64_t *used, *read; /* n of each; NULL: not counted */
};

/*
 * Steps from..end-1 of a column that ql_range_run has just been through; used: those are counted,
 * too, and the column's steps are the query's.
 */
void ql_tally_windows(struct ql_tally *t, const struct ql_range *r, const struct sample_column *in,
    bool used, uint32_t from, uint32_t end);
/* The same of an instant selector's result: from is a multiple of 64. */
void ql_tally_points(struct ql_tally *t, const struct ql_reads *reads, const struct ql_col *c,
    bool used, uint32_t from, uint32_t end);
void ql_tally_alike(struct ql_tally *t, uint64_t used);             /* so many at each step */
void ql_tally_add(struct ql_tally *t, const struct ql_tally *more); /* more may be of nothing */
void ql_tally_copy(struct arena *a, struct ql_tally *to, const struct ql_tally *from);

#endif
