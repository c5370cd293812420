/*
 * ql_tracing - the engine's side of ql_trace.h: once for each plan, before it runs.
 * Cost: the texts of its nodes; nothing where nobody asks. Thread: the query's.
 */
#ifndef CORE_PROMQL_RUN_QL_TRACING_H
#define CORE_PROMQL_RUN_QL_TRACING_H

#include "core/promql/plan/ql_plan.h"
#include "core/promql/ql_trace.h"

/* The scans of the plan's pieces will tell what they do. */
void ql_trace_plan(struct ql_trace *t, const struct ql_plan *plan);

/*
 * How many series it has, as far as the plan tells (run/ql_groups.c); its arguments' nodes are
 * there.
 */
void ql_trace_groups(struct ql_trace *t, const struct ql_pn *pn, struct ql_trace_node *n);

#endif
