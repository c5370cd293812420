/* What a node of a plan is known to hold before it runs. */
#include "core/promql/plan/ql_plan.h"

static bool elem_keeps(const struct ql_elem *e)
{
	switch (e->kind) {
	case QL_ELEM_MINUS:
		return true;
	case QL_ELEM_FN:
		return e->fn != QL_FN_CLAMP;
	case QL_ELEM_OP:
		return !ql_op_is_trim(e->op) && (!ql_op_is_compare(e->op) || e->return_bool);
	}
	return false;
}

/* Is its result one column at least, which is full? */
static bool has_column(const struct ql_pn *pn)
{
	while (pn->kind == PN_EXPAND || (pn->kind == PN_ELEM && elem_keeps(&pn->elem)))
		pn = pn->arg[0];
	return pn->kind == PN_VECTOR_OF;
}

uint64_t ql_pn_points(const struct ql_pn *pn)
{
	switch (pn->kind) {
	case PN_SCALAR_OP:
	case PN_SCALAR_NEG:
	case PN_SCALAR_FN:
	case PN_SCALAR_OF:
	case PN_VECTOR_OF:
		return pn->grid.n;
	case PN_EXPAND:
		return has_column(pn) ? pn->grid.n : 0;
	case PN_SCALAR:
	case PN_STRING:
	case PN_EMPTY:
	case PN_PIECE:
	case PN_ELEM:
	case PN_BINARY:
	case PN_SET:
	case PN_AGGR:
	case PN_TOPK:
	case PN_QUANTILE:
	case PN_COUNT_VALUES:
	case PN_WINDOW:
	case PN_SUBQUERY:
	case PN_LABEL_REPLACE:
	case PN_LABEL_JOIN:
	case PN_SORT:
	case PN_HISTOGRAM:
	case PN_INFO:
	case PN_ABSENT:
		break;
	}
	return 0;
}

uint64_t ql_pn_scratch(const struct ql_pn *pn)
{
	bool window = pn->kind == PN_WINDOW && has_column(pn->arg[0]);
	return window ? (uint64_t)pn->arg[0]->grid.n * (sizeof(int64_t) + sizeof(double)) : 0;
}
