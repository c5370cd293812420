/*
 * Texts of the tree's enums, positions, the resolving of what depends on the query's times, and the
 * release of what the arena does not hold.
 */
#include "core/promql/lang/ql_ast.h"

#include "core/promql/lang/ql_arith.h"

#include <math.h>

const char *ql_type_text(enum ql_type t)
{
	switch (t) {
	case QL_NONE:
		break;
	case QL_SCALAR:
		return "scalar";
	case QL_VECTOR:
		return "instant vector";
	case QL_MATRIX:
		return "range vector";
	case QL_STRING:
		return "string";
	}
	return "none";
}

const char *ql_op_text(enum ql_op op)
{
	static const char *const text[] = { [QL_ADD] = "+",
		[QL_SUB] = "-",
		[QL_MUL] = "*",
		[QL_DIV] = "/",
		[QL_MOD] = "%",
		[QL_POW] = "^",
		[QL_ATAN2] = "atan2",
		[QL_EQ] = "==",
		[QL_NE] = "!=",
		[QL_LT] = "<",
		[QL_LE] = "<=",
		[QL_GT] = ">",
		[QL_GE] = ">=",
		[QL_TRIM_UPPER] = "</",
		[QL_TRIM_LOWER] = ">/",
		[QL_AND] = "and",
		[QL_OR] = "or",
		[QL_UNLESS] = "unless" };
	return text[op];
}

const char *ql_agg_text(enum ql_agg op)
{
	static const char *const text[] = { [QL_SUM] = "sum",
		[QL_AVG] = "avg",
		[QL_COUNT] = "count",
		[QL_MIN] = "min",
		[QL_MAX] = "max",
		[QL_GROUP] = "group",
		[QL_STDDEV] = "stddev",
		[QL_STDVAR] = "stdvar",
		[QL_TOPK] = "topk",
		[QL_BOTTOMK] = "bottomk",
		[QL_COUNT_VALUES] = "count_values",
		[QL_QUANTILE] = "quantile",
		[QL_LIMITK] = "limitk",
		[QL_LIMIT_RATIO] = "limit_ratio" };
	return text[op];
}

void ql_line_col(const char *text, size_t len, uint32_t pos, unsigned *line, unsigned *col)
{
	*line = 1;
	*col = 1;
	for (uint32_t i = 0; i < pos && i < len; i++) {
		if (text[i] == '\n') {
			++*line;
			*col = 1;
		} else {
			++*col;
		}
	}
}

const struct ql_node *ql_skip_parens(const struct ql_node *n)
{
	while (n->kind == QL_PAREN)
		n = n->paren;
	return n;
}

struct ql_pos ql_bare_pos(const struct ql_node *n)
{
	return ql_skip_parens(n)->pos;
}

/* ---- duration expressions (Prometheus 3.14 promql/durations.go) ---- */

struct resolve {
	int64_t start_ms, end_ms;
	double step_s, range_s;
	enum err err;
	struct errbuf *eb;
};

static enum err fail_at(struct resolve *r, const struct ql_dur *d, const char *what)
{
	return errbuf_set(r->eb, ERR_BADDATA, "%u:%u: %s", d->pos.start, d->pos.end, what);
}

static enum err dur_eval(struct resolve *r, const struct ql_dur *d, double *v);

static enum err dur_operation(
    struct resolve *r, const struct ql_dur *d, double a, double b, double *v)
{
	if (d->op == QL_ADD)
		*v = a + b;
	else if (d->op == QL_SUB)
		*v = a - b;
	else if (d->op == QL_MUL)
		*v = a * b;
	else if (d->op == QL_POW)
		*v = pow(a, b);
	else if (b == 0)
		return fail_at(r, d, d->op == QL_DIV ? "division by zero" : "modulo by zero");
	else
		*v = d->op == QL_DIV ? a / b : fmod(a, b);
	return ERR_OK;
}

static enum err dur_eval(struct resolve *r, const struct ql_dur *d, double *v)
{
	double a = 0, b = 0;
	enum err e = d->l ? dur_eval(r, d->l, &a) : ERR_OK;
	if (!e && d->r)
		e = dur_eval(r, d->r, &b);
	if (e)
		return e;
	switch (d->kind) {
	case QL_DUR_NUM:
		*v = d->num;
		break;
	case QL_DUR_STEP:
		*v = r->step_s;
		break;
	case QL_DUR_RANGE:
		*v = r->range_s;
		break;
	case QL_DUR_NEG:
		*v = -a;
		break;
	case QL_DUR_POS:
		*v = a;
		break;
	case QL_DUR_MIN:
		*v = ql_min_of(a, b);
		break;
	case QL_DUR_MAX:
		*v = -ql_min_of(-a, -b);
		break;
	case QL_DUR_BIN:
		return dur_operation(r, d, a, b, v);
	}
	return ERR_OK;
}

static enum err dur_resolve(
    struct resolve *r, const struct ql_dur *d, bool may_be_negative, int64_t *ms)
{
	static const double seconds_max = 9223372036854775808.0 / 1e9;
	double v = 0;
	if (!d)
		return ERR_OK;
	enum err e = dur_eval(r, d, &v);
	if (e)
		return e;
	if (!isfinite(v))
		return fail_at(r, d, "duration is NaN or infinite");
	if (v <= 0 && !may_be_negative)
		return fail_at(r, d, "duration must be greater than 0");
	if (v > seconds_max || v < -seconds_max)
		return fail_at(r, d, "duration is out of range");
	*ms = (int64_t)(v * 1000);
	return ERR_OK;
}

static enum err mods_resolve(struct resolve *r, struct ql_mods *m)
{
	if (m->at == QL_AT_START)
		m->at_ms = r->start_ms;
	else if (m->at == QL_AT_END)
		m->at_ms = r->end_ms;
	return dur_resolve(r, m->offset, true, &m->offset_ms);
}

static bool node_resolve(void *arg, struct ql_node *n)
{
	struct resolve *r = arg;
	if (n->kind == QL_SELECTOR) {
		r->err = dur_resolve(r, n->sel.range, false, &n->sel.range_ms);
		if (!r->err)
			r->err = mods_resolve(r, &n->sel.mods);
	} else if (n->kind == QL_SUBQUERY) {
		r->err = mods_resolve(r, &n->sub.mods);
		if (!r->err)
			r->err = dur_resolve(r, n->sub.step, false, &n->sub.step_ms);
		if (!r->err)
			r->err = dur_resolve(r, n->sub.range, false, &n->sub.range_ms);
	}
	return !r->err;
}

enum err ql_ast_resolve(
    struct ql_node *n, int64_t start_ms, int64_t end_ms, int64_t step_ms, struct errbuf *eb)
{
	struct resolve r = {
		.start_ms = start_ms,
		.end_ms = end_ms,
		.step_s = (double)step_ms / 1000,
		.range_s = ((double)end_ms - (double)start_ms) / 1000,
		.eb = eb,
	};
	(void)ql_walk(n, QL_PARENTS_FIRST, node_resolve, &r);
	return r.err;
}

/* ---- walking ---- */

struct walk {
	enum ql_order order;
	bool (*fn)(void *arg, struct ql_node *n);
	void *arg;
};

static bool walk(const struct walk *w, struct ql_node *n);

static bool walk_below(const struct walk *w, struct ql_node *n)
{
	switch (n->kind) {
	case QL_SUBQUERY:
		return walk(w, n->sub.expr);
	case QL_CALL:
		for (uint32_t i = 0; i < n->call.args_count; i++)
			if (!walk(w, n->call.args[i]))
				return false;
		return true;
	case QL_AGGREGATE:
		return (!n->agg.param || walk(w, n->agg.param)) && walk(w, n->agg.expr);
	case QL_UNARY:
		return walk(w, n->unary.expr);
	case QL_PAREN:
		return walk(w, n->paren);
	case QL_NUMBER:
	case QL_TEXT:
	case QL_SELECTOR:
	case QL_BINARY:
		break;
	}
	return true;
}

static bool walk(const struct walk *w, struct ql_node *n)
{
	struct ql_node *at = n;
	bool first = w->order == QL_PARENTS_FIRST;
	for (; at->kind == QL_BINARY; at = at->bin.l)
		if (first && !w->fn(w->arg, at))
			return false;
	if ((first && !w->fn(w->arg, at)) || !walk_below(w, at) || (!first && !w->fn(w->arg, at)))
		return false;
	while (at != n) {
		at = at->up;
		if (!walk(w, at->bin.r) || (!first && !w->fn(w->arg, at)))
			return false;
	}
	return true;
}

bool ql_walk(
    struct ql_node *n, enum ql_order order, bool (*fn)(void *arg, struct ql_node *n), void *arg)
{
	struct walk w = { order, fn, arg };
	return walk(&w, n);
}
