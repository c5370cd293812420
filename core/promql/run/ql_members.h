/*
 * ql_members - the columns of a vector by group, for aggregations that need all members of a group
 * together: group g has the columns col[from[g]] .. col[from[g + 1] - 1], in their order.
 *
 * Thread: the loop of the query. Memory: the query's arena.
 */
#ifndef CORE_PROMQL_RUN_QL_MEMBERS_H
#define CORE_PROMQL_RUN_QL_MEMBERS_H

#include "core/promql/run/ql_run.h"

enum ql_members_phase {
	QL_MEMBERS_FIND,  /* the group of each column */
	QL_MEMBERS_SUM,   /* where each group starts */
	QL_MEMBERS_PLACE, /* each column behind the others of its group */
	QL_MEMBERS_KNOWN
};
struct ql_members {
	uint32_t groups, *from, *col;
	uint32_t *of;      /* group of each column */
	struct ql_tab tab; /* labels of the groups */
	uint32_t largest;  /* members of the largest group */
	enum ql_members_phase _phase;
	uint32_t _pos;
	struct ql_names _names;
	bool _without;
};
/* The groups of an aggregation. False: x->err. */
MUST_CHECK bool ql_members_init(
    struct ql_run *x, struct ql_members *m, const struct ql_node *ast, uint32_t columns);
/* True when all are known; else the slice ended. */
MUST_CHECK bool ql_members_run(struct ql_run *x, struct ql_members *m, const struct ql_vec *v);

#endif
