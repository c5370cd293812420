/*
 * ql_plan_priv - what the files of the planner share: ql_plan.c, nodes and pieces; ql_known.c, what
 * is known of the tree's nodes before; ql_share.c, which nodes read the same.
 */
#ifndef CORE_PROMQL_PLAN_QL_PLAN_PRIV_H
#define CORE_PROMQL_PLAN_QL_PLAN_PRIV_H

#include "core/promql/plan/ql_plan.h"

/* After planning: nodes that read the same share a piece. */
void ql_plan_share(struct ql_plan *p);

/* Of each node, from the leaves up (ql_walk); arg: the plan. */
bool ql_plan_mark(void *arg, struct ql_node *n);

#endif
