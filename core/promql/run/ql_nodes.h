/*
 * ql_nodes - the entry points of the nodes of a plan: each works until it is done or its slice is
 * over (ql_run.h). ql_step_run finds the one that a node needs.
 *
 * Thread: the loop of the query.
 */
#ifndef CORE_PROMQL_RUN_QL_NODES_H
#define CORE_PROMQL_RUN_QL_NODES_H

#include "core/promql/run/ql_run.h"

enum ql_did ql_step_run(struct ql_run *x, struct ql_pn *pn); /* any node but PN_PIECE */
enum ql_did ql_binop_run(struct ql_run *x, struct ql_pn *pn);
enum ql_did ql_set_run(struct ql_run *x, struct ql_pn *pn);
enum ql_did ql_topk_run(struct ql_run *x, struct ql_pn *pn);
enum ql_did ql_quantile_run(struct ql_run *x, struct ql_pn *pn);
enum ql_did ql_count_values_run(struct ql_run *x, struct ql_pn *pn);
enum ql_did ql_histogram_run(struct ql_run *x, struct ql_pn *pn);
enum ql_did ql_label_replace_run(struct ql_run *x, struct ql_pn *pn);
enum ql_did ql_label_join_run(struct ql_run *x, struct ql_pn *pn);
enum ql_did ql_info_run(struct ql_run *x, struct ql_pn *pn);
enum ql_did ql_sort_run(struct ql_run *x, struct ql_pn *pn);
enum ql_did ql_scalar_node_run(struct ql_run *x, struct ql_pn *pn);
enum ql_did ql_scalar_of_run(struct ql_run *x, struct ql_pn *pn);
enum ql_did ql_vector_of_run(struct ql_run *x, struct ql_pn *pn);
enum ql_did ql_window_run(struct ql_run *x, struct ql_pn *pn);
enum ql_did ql_subquery_run(struct ql_run *x, struct ql_pn *pn);
enum ql_did ql_absent_run(struct ql_run *x, struct ql_pn *pn);

struct ql_extent { /* of a scalar over a grid; min and max as Go's of all: NaN wins */
	double min, max;
	bool nan;
	uint32_t pos;
};
static inline struct ql_extent ql_extent_none(void)
{
	return (struct ql_extent){ .min = __builtin_inf(), .max = -__builtin_inf() };
}
/* True when all n values are in it; else the slice ended. */
bool ql_extent_run(struct ql_run *x, struct ql_extent *e, const struct ql_scalar *s, uint32_t n);

/* The scalar into the column, which is full then. False when the slice ended. */
bool ql_fill_column(struct ql_run *x, struct ql_pn *pn, const struct ql_scalar *s, struct ql_col *c);

#endif
