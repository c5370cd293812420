/* What is known of each node of a tree before it is planned: constants, and what never changes. */
#include "core/promql/plan/ql_plan_priv.h"

#include <math.h>

/* --- constants: scalars without data and time --- */

static bool is_constant_call(enum ql_fn fn)
{
	return fn == QL_FN_PI || fn == QL_FN_START || fn == QL_FN_END || fn == QL_FN_STEP ||
	    fn == QL_FN_RANGE || fn == QL_FN_MIN_OF || fn == QL_FN_MAX_OF;
}

static bool is_constant(const struct ql_node *n)
{
	switch (n->kind) {
	case QL_NUMBER:
		return true;
	case QL_PAREN:
		return n->paren->constant;
	case QL_UNARY:
		return n->unary.expr->constant;
	case QL_BINARY:
		return !ql_op_is_trim(n->bin.op) && n->bin.l->constant && n->bin.r->constant;
	case QL_CALL:
		if (!is_constant_call(n->call.func->fn))
			return false;
		for (uint32_t i = 0; i < n->call.args_count; i++)
			if (!n->call.args[i]->constant)
				return false;
		return true;
	case QL_TEXT:
	case QL_SELECTOR:
	case QL_SUBQUERY:
	case QL_AGGREGATE:
		break;
	}
	return false;
}

static double constant_call(const struct ql_plan *p, const struct ql_node *n);

/* Of a constant whose operands are known. */
static double constant_value(const struct ql_plan *p, const struct ql_node *n)
{
	double l, r;

	switch (n->kind) {
	case QL_NUMBER:
		return n->num;
	case QL_PAREN:
		return n->paren->known;
	case QL_UNARY:
		l = n->unary.expr->known;
		return n->unary.minus ? -l : l;
	case QL_BINARY:
		l = n->bin.l->known;
		r = n->bin.r->known;
		return ql_op_is_compare(n->bin.op) ? ql_compare(n->bin.op, l, r)
		                                   : ql_arith(n->bin.op, l, r);
	case QL_CALL:
		return constant_call(p, n);
	case QL_TEXT:
	case QL_SELECTOR:
	case QL_SUBQUERY:
	case QL_AGGREGATE:
		break;
	}
	return NAN;
}

static double constant_call(const struct ql_plan *p, const struct ql_node *n)
{
	const struct ql_opts *o = p->opts;
	struct ql_node **a = n->call.args;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
	switch (n->call.func->fn) {
	case QL_FN_PI:
		return 3.14159265358979323846;
	case QL_FN_START:
		return (double)o->whole_start_ms / 1000;
	case QL_FN_END:
		return (double)o->whole_end_ms / 1000;
	case QL_FN_STEP:
		return o->whole_start_ms == o->whole_end_ms ? 0 : (double)o->step_ms / 1000;
	case QL_FN_RANGE:
		return (double)num_sat_sub(o->whole_end_ms, o->whole_start_ms) / 1000;
	case QL_FN_MIN_OF:
		return ql_min_of(a[0]->known, a[1]->known);
	case QL_FN_MAX_OF:
		return ql_max_of(a[0]->known, a[1]->known);
	default:
		return NAN;
	}
#pragma GCC diagnostic pop
}

/* --- what does not change from step to step --- */

static bool invariant_call(const struct ql_node *n, bool *wrap)
{
	bool all = true, selectors = true;

	for (uint32_t i = 0; i < n->call.args_count; i++) {
		const struct ql_node *a = ql_skip_parens(n->call.args[i]);
		all = all && a->invariant;
		selectors =
		    selectors && a->invariant && a->kind == QL_SELECTOR && a->type == QL_VECTOR;
	}
	if (n->call.func->flags & QL_FN_EVALTIME)
		all = n->call.func->fn == QL_FN_TIMESTAMP && selectors;
	*wrap = all;
	return all;
}

/*
 * As preprocessExprHelper upstream: *wrap tells whether it makes sense to evaluate once and
 * stretch.
 */
static bool is_invariant(const struct ql_node *n, bool *wrap)
{
	*wrap = false;
	switch (n->kind) {
	case QL_NUMBER:
	case QL_TEXT:
		return true;
	case QL_SELECTOR:
		*wrap = n->type == QL_VECTOR && n->sel.mods.at != QL_AT_NONE;
		return n->sel.mods.at != QL_AT_NONE;
	case QL_SUBQUERY:
		return n->sub.mods.at != QL_AT_NONE;
	case QL_PAREN:
		*wrap = n->paren->wraps;
		return n->paren->invariant;
	case QL_UNARY:
		*wrap = n->unary.expr->wraps;
		return n->unary.expr->invariant;
	case QL_AGGREGATE:
		*wrap = n->agg.expr->wraps;
		return n->agg.expr->invariant;
	case QL_BINARY:
		*wrap = n->bin.l->invariant && n->bin.r->invariant;
		return *wrap;
	case QL_CALL: /* start(), end(), step() and range() are numbers before this is asked */
		return n->constant || invariant_call(n, wrap);
	}
	return false;
}

/* Each node once, from the leaves up: asking below at each level would be quadratic. */
bool ql_plan_mark(void *arg, struct ql_node *n)
{
	const struct ql_plan *p = arg;

	n->constant = is_constant(n);
	n->known = n->constant ? constant_value(p, n) : NAN;
	n->invariant = is_invariant(n, &n->wraps);
	return true;
}
