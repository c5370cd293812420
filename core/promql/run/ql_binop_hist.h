/*
 * ql_binop_hist - operators between two series of which one has histograms, or that trim.
 *
 * What an operator knows: + - == != two histograms; * a histogram and a number, in either order;
 * / </ >/ a histogram and a number on its right; all but </ and >/ two numbers. All else gives
 * nothing and an info. Trimming and comparing keep the left histogram.
 *
 * Thread: the loop of the query.
 */
#ifndef CORE_PROMQL_RUN_QL_BINOP_HIST_H
#define CORE_PROMQL_RUN_QL_BINOP_HIST_H

#include "core/promql/run/ql_run.h"

struct ql_binop_sides {             /* as they are written */
	const struct ql_col *l, *r; /* NULL: the number that is filled in */
	double fill_l, fill_r;
};
/* Of bits, n steps where both sides are, those go whose kinds the operator does not know. */
void ql_binop_kinds(struct ql_notes *notes, const struct ql_node *ast,
    const struct ql_binop_sides *s, uint32_t n, uint64_t *bits);
/*
 * Results at the steps of bits from *at on, into c, which has room for histograms unless bool is
 * written; until n, or some work is done. False: the column has a value already at *at.
 */
MUST_CHECK bool ql_binop_mixed(struct ql_run *x, const struct ql_node *ast,
    const struct ql_binop_sides *s, uint32_t n, const uint64_t *bits, uint32_t *at,
    struct ql_col *c, uint64_t *work);

#endif
