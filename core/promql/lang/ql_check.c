/*
 * Types and the rules that need them, in the order in which Prometheus looks
 * (promql/parser/parse.go checkAST): the first mistake is the one shown.
 */
#include "core/promql/lang/ql_func.h"
#include "core/promql/lang/ql_names.h"
#include "core/promql/lang/ql_parse_priv.h"

#include <string.h>

static bool is_comparison(enum ql_op op)
{
	return op >= QL_EQ && op <= QL_GE;
}
static bool is_set_op(enum ql_op op)
{
	return op == QL_AND || op == QL_OR || op == QL_UNLESS;
}
static bool is_operand(const struct ql_node *n)
{
	return n->type == QL_SCALAR || n->type == QL_VECTOR;
}

static bool expect_type(struct ql_parser *p, struct ql_node *n, enum ql_type want, const char *where)
{
	if (!ql_check(p, n))
		return false;
	if (n->type != want)
		return ql_parse_fail(p, n->pos.start, "expected type %s in %s, got %s",
		    ql_type_text(want), where, ql_type_text(n->type));
	return true;
}

static bool check_aggregate(struct ql_parser *p, struct ql_node *n)
{
	if (!expect_type(p, n->agg.expr, QL_VECTOR, "aggregation expression"))
		return false;
	if (!n->agg.param)
		return true;
	return expect_type(p, n->agg.param, n->agg.op == QL_COUNT_VALUES ? QL_STRING : QL_SCALAR,
	    "aggregation parameter");
}

static bool check_on_and_group(struct ql_parser *p, struct ql_node *n)
{
	if (!n->bin.on || !n->bin.include_count)
		return true;
	struct ql_names include = ql_names_make(p->arena, n->bin.include, n->bin.include_count);
	for (uint32_t i = 0; i < n->bin.labels_count; i++) {
		const struct ql_str *a = &n->bin.labels[i];
		if (ql_names_have(&include, a->s, a->len))
			return ql_parse_fail_quoted(p, n->bin.op_pos.start, "label ", a->s, a->len,
			    " must not occur in ON and GROUP clause at once");
	}
	return true;
}

/* Matching is a matter of two vectors; elsewhere what was written is dropped or refused. */
static bool check_matching(struct ql_parser *p, struct ql_node *n)
{
	bool vectors = n->bin.l->type == QL_VECTOR && n->bin.r->type == QL_VECTOR;
	bool fill = n->bin.fill_l_set || n->bin.fill_r_set;
	if (!vectors) {
		if (n->bin.labels_count)
			return ql_parse_fail(p, n->pos.start,
			    "vector matching only allowed between instant vectors");
		if (fill)
			return ql_parse_fail(p, n->pos.start,
			    "filling in missing series only allowed between instant vectors");
		n->bin.has_matching = n->bin.on = false;
		n->bin.card = QL_ONE_TO_ONE;
		n->bin.include_count = 0;
	} else if (is_set_op(n->bin.op)) {
		if (n->bin.card == QL_MANY_TO_ONE || n->bin.card == QL_ONE_TO_MANY)
			return ql_parse_fail(p, n->pos.start,
			    "no grouping allowed for \"%s\" operation", ql_op_text(n->bin.op));
		if (fill)
			return ql_parse_fail(p, n->pos.start,
			    "filling in missing series not allowed for set operators");
	}
	if (is_set_op(n->bin.op) && (n->bin.l->type == QL_SCALAR || n->bin.r->type == QL_SCALAR))
		return ql_parse_fail(p, n->pos.start,
		    "set operator \"%s\" not allowed in binary scalar expression",
		    ql_op_text(n->bin.op));
	return true;
}

/* The left operand has been checked. */
static bool check_binary(struct ql_parser *p, struct ql_node *n)
{
	struct ql_node *l = n->bin.l, *r = n->bin.r;
	if (!ql_check(p, r))
		return false;
	if (n->bin.return_bool && !is_comparison(n->bin.op))
		return ql_parse_fail(p, n->bin.op_pos.start,
		    "bool modifier can only be used on comparison operators");
	if (is_comparison(n->bin.op) && !n->bin.return_bool && l->type == QL_SCALAR &&
	    r->type == QL_SCALAR)
		return ql_parse_fail(
		    p, n->bin.op_pos.start, "comparisons between scalars must use BOOL modifier");
	if (is_set_op(n->bin.op) && n->bin.card == QL_ONE_TO_ONE)
		n->bin.card = QL_MANY_TO_MANY;
	if (!check_on_and_group(p, n))
		return false;
	if (!is_operand(l) || !is_operand(r))
		return ql_parse_fail(p, is_operand(l) ? r->pos.start : l->pos.start,
		    "binary expression must contain only scalar and instant vector types");
	return check_matching(p, n);
}

static bool check_chain(struct ql_parser *p, struct ql_node *n)
{
	struct ql_node *at = ql_chain_first(n);
	bool ok = ql_check(p, at->bin.l) && check_binary(p, at);
	while (ok && at != n) {
		at = at->up;
		ok = check_binary(p, at);
	}
	return ok;
}

static bool check_count(struct ql_parser *p, struct ql_node *n)
{
	const struct ql_func *f = n->call.func;
	uint32_t got = n->call.args_count, least = f->args_count - (f->variadic ? 1 : 0);
	if (!f->variadic && got != f->args_count)
		return ql_parse_fail(p, n->pos.start,
		    "expected %u argument(s) in call to \"%s\", got %u", f->args_count, f->name, got);
	if (f->variadic && got < least)
		return ql_parse_fail(p, n->pos.start,
		    "expected at least %u argument(s) in call to \"%s\", got %u", least, f->name,
		    got);
	if (f->variadic > 0 && got > least + (uint32_t)f->variadic)
		return ql_parse_fail(p, n->pos.start,
		    "expected at most %u argument(s) in call to \"%s\", got %u",
		    least + (uint32_t)f->variadic, f->name, got);
	return true;
}

static bool check_selector(struct ql_parser *p, struct ql_node *n, bool may_be_empty);

/* The second argument of info() is a selector without a name, and it may match everything. */
static bool check_info(struct ql_parser *p, struct ql_node *n)
{
	struct ql_node *arg = n->call.args[1];
	if (arg->type != QL_VECTOR)
		return ql_parse_fail(p, n->pos.start,
		    "expected type instant vector in call to function \"info\", got %s",
		    ql_type_text(arg->type));
	if (arg->kind == QL_SELECTOR && arg->sel.name.len)
		return ql_parse_fail(p, arg->pos.start,
		    "expected label selectors only, got vector selector instead");
	if (arg->kind != QL_SELECTOR)
		return ql_parse_fail(p, arg->pos.start, "expected label selectors only");
	return true;
}

static bool check_call(struct ql_parser *p, struct ql_node *n)
{
	const struct ql_func *f = n->call.func;
	bool info = f->fn == QL_FN_INFO && n->call.args_count > 1;
	if (!check_count(p, n) || (info && !check_info(p, n)))
		return false;
	for (uint32_t i = 0; i < n->call.args_count; i++) {
		struct ql_node *arg = n->call.args[i];
		enum ql_type want = f->args[i < f->args_count ? i : f->args_count - 1];
		if (info && i == 1) {
			if (!check_selector(p, arg, true))
				return false;
			continue;
		}
		if (!ql_check(p, arg))
			return false;
		if (arg->type != want)
			return ql_parse_fail(p, arg->pos.start,
			    "expected type %s in call to function \"%s\", got %s",
			    ql_type_text(want), f->name, ql_type_text(arg->type));
	}
	return true;
}

static bool is_name_matcher(const struct matcher *m)
{
	return label_is_metric_name(m->name, m->name_len);
}

static bool fail_two_names(struct ql_parser *p, struct ql_node *n, const struct matcher *m)
{
	struct buf b;
	buf_init(&b);
	label_quote_go(&b, n->sel.name.s, n->sel.name.len);
	buf_add_str(&b, " or ");
	label_quote_go(&b, m->value, m->value_len);
	buf_add_u8(&b, 0);
	ql_parse_fail(p, n->pos.start, "metric name must not be set twice: %s", (const char *)b.data);
	buf_release(&b);
	return false;
}

static bool check_selector(struct ql_parser *p, struct ql_node *n, bool may_be_empty)
{
	if (n->sel.name.len) {
		for (uint32_t i = 0; i + 1 < n->sel.matchers_count; i++)
			if (is_name_matcher(&n->sel.matchers[i]))
				return fail_two_names(p, n, &n->sel.matchers[i]);
		return true;
	}
	for (uint32_t i = 0; i < n->sel.matchers_count && !may_be_empty; i++)
		may_be_empty = !n->sel.matchers[i].matches_empty;
	return may_be_empty ||
	    ql_parse_fail(
	        p, n->pos.start, "vector selector must contain at least one non-empty matcher");
}

static bool check_subquery(struct ql_parser *p, struct ql_node *n)
{
	static const char *const raw[] = {
		[QL_NONE] = "none", [QL_SCALAR] = "scalar", [QL_VECTOR] = "vector", [QL_MATRIX] = "matrix", [QL_STRING] = "string"
	};
	if (!ql_check(p, n->sub.expr))
		return false;
	if (n->sub.expr->type != QL_VECTOR)
		return ql_parse_fail(p, n->pos.start,
		    "subquery is only allowed on instant vector, got %s instead",
		    raw[n->sub.expr->type]);
	return true;
}

bool ql_check(struct ql_parser *p, struct ql_node *n)
{
	switch (n->kind) {
	case QL_NUMBER:
	case QL_TEXT:
		return true;
	case QL_SELECTOR:
		return check_selector(p, n, false);
	case QL_SUBQUERY:
		return check_subquery(p, n);
	case QL_CALL:
		return check_call(p, n);
	case QL_AGGREGATE:
		return check_aggregate(p, n);
	case QL_BINARY:
		return check_chain(p, n);
	case QL_UNARY:
		if (!ql_check(p, n->unary.expr))
			return false;
		if (!is_operand(n->unary.expr))
			return ql_parse_fail(p, n->pos.start,
			    "unary expression only allowed on expressions of type scalar or instant vector, got \"%s\"",
			    ql_type_text(n->unary.expr->type));
		return true;
	case QL_PAREN:
		return ql_check(p, n->paren);
	}
	return false;
}
