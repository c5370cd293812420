#include "proto/astjson.h"

#include "core/base/json.h"
#include "core/promql/lang/ql_func.h"

#include <inttypes.h>

static void text(struct buf *b, const char *before, const char *s, size_t len)
{
	buf_add_str(b, before);
	json_str(b, s ? s : "", s ? len : 0);
}

static void word(struct buf *b, const char *before, const char *s)
{
	text(b, before, s, s ? strlen(s) : 0);
}

static void flag(struct buf *b, const char *before, bool on)
{
	buf_add_str(b, before);
	buf_add_str(b, on ? "true" : "false");
}

static void node(struct buf *b, const char *before, const struct ql_node *n)
{
	buf_add_str(b, before);
	astjson(b, n);
}

static void names(struct buf *b, const char *before, const struct ql_str *items, uint32_t count)
{
	buf_add_str(b, before);
	for (uint32_t i = 0; i < count; i++)
		text(b, i ? "," : "", items[i].s, items[i].len);
	buf_add_str(b, "]");
}

static void number(struct buf *b, const char *before, double v)
{
	char digits[NUM_FMT_MAX];
	text(b, before, digits, num_fmt_f(v, digits));
}

/* --- durations that are expressions --- */

static const char *dur_op(const struct ql_dur *d)
{
	switch (d->kind) {
	case QL_DUR_STEP:
		return "step";
	case QL_DUR_RANGE:
		return "range";
	case QL_DUR_NEG:
		return "-";
	case QL_DUR_POS:
		return "+";
	case QL_DUR_MIN:
		return "min_of";
	case QL_DUR_MAX:
		return "max_of";
	case QL_DUR_NUM:
	case QL_DUR_BIN:
		break;
	}
	return ql_op_text(d->op);
}

static void dur_number(struct buf *b, const struct ql_dur *d)
{
	flag(b, "{\"duration\":", d->is_duration);
	buf_add_str(b, ",\"type\":\"numberLiteral\"");
	number(b, ",\"val\":", d->num);
	buf_add_str(b, "}");
}

static void dur(struct buf *b, const char *before, const struct ql_dur *d)
{
	buf_add_str(b, before);
	if (!d) {
		buf_add_str(b, "null");
		return;
	}
	/* "+(x)" is no node of upstream's, "+step()" is one. */
	if (d->kind == QL_DUR_POS && d->l->paren)
		d = d->l;
	if (d->kind == QL_DUR_NUM && !d->paren) {
		dur_number(b, d);
		return;
	}
	bool sign = d->kind == QL_DUR_NEG || d->kind == QL_DUR_POS;
	dur(b, "{\"lhs\":", sign || d->kind == QL_DUR_NUM ? NULL : d->l);
	/* A number in parentheses is an operand without an operator: "+" stands for it. */
	word(b, ",\"op\":", d->kind == QL_DUR_NUM ? "+" : dur_op(d));
	if (d->kind == QL_DUR_NUM) {
		buf_add_str(b, ",\"rhs\":");
		dur_number(b, d);
	} else {
		dur(b, ",\"rhs\":", sign ? d->l : d->r);
	}
	buf_add_str(b, ",\"type\":\"durationExpr\"");
	flag(b, ",\"wrapped\":", d->paren);
	buf_add_str(b, "}");
}

/* --- nodes --- */

static void start_or_end(struct buf *b, const struct ql_mods *m)
{
	buf_add_str(b,
	    m->at == QL_AT_START     ? ",\"startOrEnd\":\"start\""
	        : m->at == QL_AT_END ? ",\"startOrEnd\":\"end\""
	                             : ",\"startOrEnd\":null");
}

static void timestamp(struct buf *b, const struct ql_mods *m)
{
	if (m->at == QL_AT_TIME)
		buf_printf(b, ",\"timestamp\":%" PRId64, m->at_ms);
	else
		buf_add_str(b, ",\"timestamp\":null");
}

static void offset(struct buf *b, const struct ql_mods *m)
{
	buf_printf(b, ",\"offset\":%" PRId64, m->offset_ms);
	dur(b, ",\"offsetExpr\":", m->offset);
}

static void matchers(struct buf *b, const struct matcher *m, uint32_t count)
{
	static const char *const types[] = {
		[MATCHER_EQ] = "=", [MATCHER_NE] = "!=", [MATCHER_RE] = "=~", [MATCHER_NRE] = "!~"
	};
	buf_add_str(b, ",\"matchers\":[");
	for (uint32_t i = 0; i < count; i++) {
		text(b, i ? ",{\"name\":" : "{\"name\":", m[i].name, m[i].name_len);
		word(b, ",\"type\":", types[m[i].type]);
		text(b, ",\"value\":", m[i].value, m[i].value_len);
		buf_add_str(b, "}");
	}
	buf_add_str(b, "]");
}

static void selector(struct buf *b, const struct ql_node *n)
{
	const struct ql_mods *m = &n->sel.mods;
	flag(b, "{\"anchored\":", m->anchored);
	matchers(b, n->sel.matchers, n->sel.matchers_count);
	text(b, ",\"name\":", n->sel.name.s, n->sel.name.len);
	offset(b, m);
	if (n->type == QL_MATRIX) {
		buf_printf(b, ",\"range\":%" PRId64, n->sel.range_ms);
		dur(b, ",\"rangeExpr\":", n->sel.range);
	}
	flag(b, ",\"smoothed\":", m->smoothed);
	start_or_end(b, m);
	timestamp(b, m);
	buf_add_str(b,
	    n->type == QL_MATRIX ? ",\"type\":\"matrixSelector\"}" : ",\"type\":\"vectorSelector\"}");
}

static void subquery(struct buf *b, const struct ql_node *n)
{
	node(b, "{\"expr\":", n->sub.expr);
	offset(b, &n->sub.mods);
	buf_printf(b, ",\"range\":%" PRId64, n->sub.range_ms);
	dur(b, ",\"rangeExpr\":", n->sub.range);
	start_or_end(b, &n->sub.mods);
	buf_printf(b, ",\"step\":%" PRId64, n->sub.step_ms);
	dur(b, ",\"stepExpr\":", n->sub.step);
	timestamp(b, &n->sub.mods);
	buf_add_str(b, ",\"type\":\"subquery\"}");
}

static const char *type_word(enum ql_type t)
{
	static const char *const words[] = {
		[QL_NONE] = "none", [QL_SCALAR] = "scalar", [QL_VECTOR] = "vector", [QL_MATRIX] = "matrix", [QL_STRING] = "string"
	};
	return words[t];
}

static void call(struct buf *b, const struct ql_node *n)
{
	const struct ql_func *f = n->call.func;
	buf_add_str(b, "{\"args\":[");
	for (uint32_t i = 0; i < n->call.args_count; i++)
		node(b, i ? "," : "", n->call.args[i]);
	buf_add_str(b, "],\"func\":{\"argTypes\":[");
	for (unsigned i = 0; i < f->args_count; i++)
		word(b, i ? "," : "", type_word(f->args[i]));
	word(b, "],\"name\":", f->name);
	word(b, ",\"returnType\":", type_word(f->ret));
	buf_printf(b, ",\"variadic\":%d},\"type\":\"call\"}", f->variadic);
}

static void fill(struct buf *b, const char *before, bool set, double v)
{
	if (set)
		number(b, before, v);
	else {
		buf_add_str(b, before);
		buf_add_str(b, "null");
	}
}

/* Behind the left operand. */
static void binary_rest(struct buf *b, const struct ql_node *n)
{
	static const char *const cards[] = { [QL_ONE_TO_ONE] = "one-to-one",
		[QL_MANY_TO_ONE] = "many-to-one",
		[QL_ONE_TO_MANY] = "one-to-many",
		[QL_MANY_TO_MANY] = "many-to-many" };
	if (n->bin.l->type == QL_VECTOR && n->bin.r->type == QL_VECTOR) {
		word(b, ",\"matching\":{\"card\":", cards[n->bin.card]);
		fill(b, ",\"fillValues\":{\"lhs\":", n->bin.fill_l_set, n->bin.fill_l);
		fill(b, ",\"rhs\":", n->bin.fill_r_set, n->bin.fill_r);
		names(b, "},\"include\":[", n->bin.include, n->bin.include_count);
		names(b, ",\"labels\":[", n->bin.labels, n->bin.labels_count);
		flag(b, ",\"on\":", n->bin.on);
		buf_add_str(b, "}");
	} else {
		buf_add_str(b, ",\"matching\":null");
	}
	word(b, ",\"op\":", ql_op_text(n->bin.op));
	node(b, ",\"rhs\":", n->bin.r);
	buf_add_str(b, ",\"type\":\"binaryExpr\"}");
}

static void chain(struct buf *b, const struct ql_node *n)
{
	const struct ql_node *at = n;
	for (;; at = at->bin.l) {
		flag(b, "{\"bool\":", at->bin.return_bool);
		buf_add_str(b, ",\"lhs\":");
		if (at->bin.l->kind != QL_BINARY)
			break;
	}
	astjson(b, at->bin.l);
	binary_rest(b, at);
	while (at != n) {
		at = at->up;
		binary_rest(b, at);
	}
}

static void aggregation(struct buf *b, const struct ql_node *n)
{
	node(b, "{\"expr\":", n->agg.expr);
	names(b, ",\"grouping\":[", n->agg.grouping, n->agg.grouping_count);
	word(b, ",\"op\":", ql_agg_text(n->agg.op));
	node(b, ",\"param\":", n->agg.param);
	buf_add_str(b, ",\"type\":\"aggregation\"");
	flag(b, ",\"without\":", n->agg.without);
	buf_add_str(b, "}");
}

void astjson(struct buf *b, const struct ql_node *n)
{
	if (!n) {
		buf_add_str(b, "null");
		return;
	}
	switch (n->kind) {
	case QL_NUMBER:
		number(b, "{\"type\":\"numberLiteral\",\"val\":", n->num);
		buf_add_str(b, "}");
		return;
	case QL_TEXT:
		text(b, "{\"type\":\"stringLiteral\",\"val\":", n->text.s, n->text.len);
		buf_add_str(b, "}");
		return;
	case QL_SELECTOR:
		selector(b, n);
		return;
	case QL_SUBQUERY:
		subquery(b, n);
		return;
	case QL_CALL:
		call(b, n);
		return;
	case QL_AGGREGATE:
		aggregation(b, n);
		return;
	case QL_BINARY:
		chain(b, n);
		return;
	case QL_UNARY:
		node(b, "{\"expr\":", n->unary.expr);
		word(b, ",\"op\":", n->unary.minus ? "-" : "+");
		buf_add_str(b, ",\"type\":\"unaryExpr\"}");
		return;
	case QL_PAREN:
		node(b, "{\"expr\":", n->paren);
		buf_add_str(b, ",\"type\":\"parenExpr\"}");
		return;
	}
}
