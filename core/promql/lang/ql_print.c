/*
 * The tree as text: in one line, and split over lines where one would be longer than 100 bytes
 * (Prometheus 3.14 promql/parser/printer.go, prettier.go).
 * What is printed parses to a tree that prints the same.
 */
#include "core/promql/lang/ql_ast.h"
#include "core/promql/lang/ql_func.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PRETTY_LINE_MAX   100
#define PRETTY_LEVELS_MAX 50 /* deeper lines stand where this level stands */
#define OPERAND_LEAST     4  /* bytes: blank, operator, blank, operand */

static void add_double(struct buf *out, double v)
{
	char text[NUM_FMT_MAX];
	buf_add(out, text, num_fmt_f(v, text));
}
static void add_duration_ms(struct buf *out, int64_t ms)
{
	char text[NUM_FMT_MAX];
	buf_add(out, text, num_fmt_duration(ms, text));
}

/* A number that was written as a duration: 5m, -1h30m. */
static void add_number(struct buf *out, double v, bool is_duration)
{
	if (!is_duration) {
		add_double(out, v);
		return;
	}
	if (v < 0)
		buf_add_u8(out, '-');
	add_duration_ms(out, (int64_t)round(fabs(v) * 1000));
}

/* Of a text that is longer than the limit the head is enough to pass it. */
static void add_quoted(struct buf *out, const char *s, size_t len)
{
	label_quote_go(out, s, out->limit && len > out->limit ? out->limit : len);
}

static void add_name(struct buf *out, struct ql_str s)
{
	if (label_name_is_classic(s.s, s.len))
		buf_add(out, s.s, s.len);
	else
		add_quoted(out, s.s, s.len);
}

/* In grouping lists three words mean something else unless they are quoted. */
static void add_grouping_name(struct buf *out, struct ql_str s)
{
	static const char *const taken[] = { "without", "inf", "nan" };
	for (size_t i = 0; i < COUNT_OF(taken); i++)
		if (s.len == strlen(taken[i]) && !strncasecmp(s.s, taken[i], s.len)) {
			add_quoted(out, s.s, s.len);
			return;
		}
	add_name(out, s);
}
static void add_names(struct buf *out, const struct ql_str *v, uint32_t count)
{
	for (uint32_t i = 0; i < count && !out->over; i++) {
		if (i)
			buf_add_str(out, ", ");
		add_grouping_name(out, v[i]);
	}
}

/* ---- durations ---- */

static void add_dur(struct buf *out, const struct ql_dur *d)
{
	if (d->paren)
		buf_add_u8(out, '(');
	switch (d->kind) {
	case QL_DUR_NUM:
		add_number(out, d->num, d->is_duration);
		break;
	case QL_DUR_STEP:
		buf_add_str(out, "step()");
		break;
	case QL_DUR_RANGE:
		buf_add_str(out, "range()");
		break;
	case QL_DUR_MIN:
	case QL_DUR_MAX:
		buf_add_str(out, d->kind == QL_DUR_MIN ? "min_of(" : "max_of(");
		add_dur(out, d->l);
		buf_add_str(out, ", ");
		add_dur(out, d->r);
		buf_add_u8(out, ')');
		break;
	case QL_DUR_NEG:
		buf_add_u8(out, '-');
		add_dur(out, d->l);
		break;
	case QL_DUR_POS:
		add_dur(out, d->l);
		break;
	case QL_DUR_BIN:
		add_dur(out, d->l);
		buf_add_u8(out, ' ');
		buf_add_str(out, ql_op_text(d->op));
		buf_add_u8(out, ' ');
		add_dur(out, d->r);
		break;
	}
	if (d->paren)
		buf_add_u8(out, ')');
}

static void add_dur_or_ms(struct buf *out, const struct ql_dur *d, int64_t ms)
{
	if (d)
		add_dur(out, d);
	else
		add_duration_ms(out, ms);
}

/*
 * Behind offset a duration must begin so that all of it is read again: a literal, a call, or a sign
 * before one of them or before a parenthesis would end it.
 */
static bool must_wrap(const struct ql_dur *d)
{
	if (d->paren)
		return false;
	if (d->kind == QL_DUR_NEG)
		return d->l->kind == QL_DUR_BIN && !d->l->paren;
	if (d->kind != QL_DUR_BIN)
		return false;
	while (d->kind == QL_DUR_BIN && !d->paren)
		d = d->l;
	return !d->paren && !(d->kind == QL_DUR_NEG && d->l->kind == QL_DUR_NEG && !d->l->paren);
}

/* Would an operator behind the duration be read as a part of it? */
static bool is_open(const struct ql_dur *d)
{
	if (!d)
		return false;
	if (d->paren || d->kind == QL_DUR_BIN)
		return true;
	return d->kind == QL_DUR_NEG && !d->l->paren &&
	    (d->l->kind == QL_DUR_NEG || d->l->kind == QL_DUR_BIN);
}

/* more: an operator follows. "+(x)" ends where "(x)" would go on. */
static void add_offset(struct buf *out, const struct ql_mods *m, bool more)
{
	if (!m->offset && !m->offset_ms)
		return;
	buf_add_str(out, " offset ");
	if (more && m->offset && m->offset->kind == QL_DUR_POS && m->offset->l->paren)
		buf_add_u8(out, '+');
	if (m->offset && must_wrap(m->offset)) {
		buf_add_u8(out, '(');
		add_dur(out, m->offset);
		buf_add_u8(out, ')');
		return;
	}
	if (!m->offset && m->offset_ms < 0)
		buf_add_u8(out, '-');
	add_dur_or_ms(out, m->offset, m->offset_ms < 0 ? -m->offset_ms : m->offset_ms);
}
static void add_at(struct buf *out, const struct ql_mods *m)
{
	if (m->at == QL_AT_TIME)
		buf_printf(out, " @ %.3f", (double)m->at_ms / 1000.0);
	else if (m->at != QL_AT_NONE)
		buf_add_str(out, m->at == QL_AT_START ? " @ start()" : " @ end()");
}
static void add_extended(struct buf *out, const struct ql_mods *m)
{
	if (m->anchored || m->smoothed)
		buf_add_str(out, m->anchored ? " anchored" : " smoothed");
}

/* ---- selectors ---- */

static void add_matcher(struct buf *out, const struct matcher *m)
{
	static const char *const ops[] = {
		[MATCHER_EQ] = "=", [MATCHER_NE] = "!=", [MATCHER_RE] = "=~", [MATCHER_NRE] = "!~"
	};
	add_name(out, (struct ql_str){ m->name, m->name_len });
	buf_add_str(out, ops[m->type]);
	add_quoted(out, m->value, m->value_len);
}

/* The matcher that the name before the braces stands for. */
static bool is_the_name(const struct ql_node *n, const struct matcher *m)
{
	return m->type == MATCHER_EQ && m->value_len && m->value_len == n->sel.name.len &&
	    !memcmp(m->value, n->sel.name.s, m->value_len) &&
	    label_is_metric_name(m->name, m->name_len);
}

struct piece { /* a matcher's text inside a buffer */
	const uint8_t *base;
	size_t at, len;
};
static int piece_cmp(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;
	int c = memcmp(x->base + x->at, y->base + y->at, x->len < y->len ? x->len : y->len);
	return c ? c : x->len < y->len ? -1 : x->len > y->len;
}

/* Matchers stand in the order of their texts. */
static void add_matchers(struct buf *out, const struct ql_node *n)
{
	struct buf text;
	size_t count = 0;
	struct piece *v = mem_array(NULL, n->sel.matchers_count, sizeof(*v));
	buf_init(&text);
	text.limit = out->limit;
	for (uint32_t i = 0; i < n->sel.matchers_count; i++) {
		if (is_the_name(n, &n->sel.matchers[i]))
			continue;
		v[count].at = text.len;
		add_matcher(&text, &n->sel.matchers[i]);
		v[count].len = text.len - v[count].at;
		count++;
	}
	for (size_t i = 0; i < count; i++)
		v[i].base = text.data;
	if (text.over) {
		out->over = true;
	} else if (count) {
		qsort(v, count, sizeof(*v), piece_cmp);
		buf_add_u8(out, '{');
		for (size_t i = 0; i < count; i++) {
			if (i)
				buf_add_u8(out, ',');
			buf_add(out, text.data + v[i].at, v[i].len);
		}
		buf_add_u8(out, '}');
	}
	buf_release(&text);
	mem_free(v);
}

static void print_selector(struct buf *out, const struct ql_node *n, bool more)
{
	const struct ql_mods *m = &n->sel.mods;
	buf_add(out, n->sel.name.s, n->sel.name.len);
	if (n->sel.matchers_count)
		add_matchers(out, n);
	else if (!n->sel.name.len)
		/* the one of info(): without braces there would be nothing */
		buf_add_str(out, "{}");
	if (n->type == QL_MATRIX) {
		buf_add_u8(out, '[');
		add_dur_or_ms(out, n->sel.range, n->sel.range_ms);
		buf_add_u8(out, ']');
	}
	/*
	 * An open duration does not stand last before an operator: what follows would become a part
	 * of it.
	 */
	bool open = more && is_open(m->offset);
	if (open)
		add_offset(out, m, more);
	if (n->type == QL_MATRIX)
		add_extended(out, m);
	add_at(out, m);
	if (n->type != QL_MATRIX)
		add_extended(out, m);
	if (!open)
		add_offset(out, m, more);
}

static void add_subquery_suffix(struct buf *out, const struct ql_node *n, bool more)
{
	buf_add_u8(out, '[');
	add_dur_or_ms(out, n->sub.range, n->sub.range_ms);
	buf_add_u8(out, ':');
	if (n->sub.step || n->sub.step_ms)
		add_dur_or_ms(out, n->sub.step, n->sub.step_ms);
	buf_add_u8(out, ']');
	bool open = more && is_open(n->sub.mods.offset);
	if (open)
		add_offset(out, &n->sub.mods, more);
	add_at(out, &n->sub.mods);
	if (!open)
		add_offset(out, &n->sub.mods, more);
}

/* ---- operators ---- */

static void add_aggregation_head(struct buf *out, const struct ql_node *n)
{
	buf_add_str(out, ql_agg_text(n->agg.op));
	if (!n->agg.without && !n->agg.grouping_count)
		return;
	buf_add_str(out, n->agg.without ? " without (" : " by (");
	add_names(out, n->agg.grouping, n->agg.grouping_count);
	buf_add_str(out, ") ");
}

static void add_fill(struct buf *out, const char *word, double v)
{
	char text[NUM_FMT_MAX];
	buf_add_str(out, word);
	buf_add_str(out, " (");
	buf_add(out, text, num_fmt_g(v, text));
	buf_add_u8(out, ')');
}

/* The operator with its modifiers. */
static void add_operator(struct buf *out, const struct ql_node *n)
{
	bool grouped = n->bin.card == QL_MANY_TO_ONE || n->bin.card == QL_ONE_TO_MANY;
	buf_add_str(out, ql_op_text(n->bin.op));
	if (n->bin.return_bool)
		buf_add_str(out, " bool");
	if (n->bin.labels_count || n->bin.on || grouped) {
		buf_add_str(out, n->bin.on ? " on (" : " ignoring (");
		add_names(out, n->bin.labels, n->bin.labels_count);
		buf_add_u8(out, ')');
	}
	if (grouped) {
		buf_add_str(out, n->bin.card == QL_MANY_TO_ONE ? " group_left (" : " group_right (");
		add_names(out, n->bin.include, n->bin.include_count);
		buf_add_u8(out, ')');
	}
	if (n->bin.fill_l_set && n->bin.fill_r_set && n->bin.fill_l == n->bin.fill_r) {
		add_fill(out, " fill", n->bin.fill_l);
		return;
	}
	if (n->bin.fill_l_set)
		add_fill(out, " fill_left", n->bin.fill_l);
	if (n->bin.fill_r_set)
		add_fill(out, " fill_right", n->bin.fill_r);
}

static void print(struct buf *out, const struct ql_node *n, bool more);

static void print_first_operand(struct buf *out, const struct ql_node *n)
{
	if (n->bin.op == QL_POW && n->bin.l->kind == QL_NUMBER && isinf(n->bin.l->num))
		buf_add_str(out, "Inf"); /* a sign would bind weaker than the power */
	else
		print(out, n->bin.l, true);
}

static void print_chain(struct buf *out, const struct ql_node *n, bool more)
{
	const struct ql_node *at = n;
	while (at->bin.l->kind == QL_BINARY)
		at = at->bin.l;
	print_first_operand(out, at);
	for (;; at = at->up) {
		buf_add_u8(out, ' ');
		add_operator(out, at);
		buf_add_u8(out, ' ');
		print(out, at->bin.r, at != n || more);
		if (at == n || out->over)
			return;
	}
}

/* more: an operator follows on the same level. Ends early when out is over its limit. */
static void print(struct buf *out, const struct ql_node *n, bool more)
{
	if (out->over)
		return;
	switch (n->kind) {
	case QL_NUMBER:
		add_number(out, n->num, n->is_duration);
		break;
	case QL_TEXT:
		add_quoted(out, n->text.s, n->text.len);
		break;
	case QL_SELECTOR:
		print_selector(out, n, more);
		break;
	case QL_SUBQUERY:
		print(out, n->sub.expr, false);
		add_subquery_suffix(out, n, more);
		break;
	case QL_CALL:
		buf_add_str(out, n->call.func->name);
		buf_add_u8(out, '(');
		for (uint32_t i = 0; i < n->call.args_count && !out->over; i++) {
			if (i)
				buf_add_str(out, ", ");
			print(out, n->call.args[i], false);
		}
		buf_add_u8(out, ')');
		break;
	case QL_AGGREGATE:
		add_aggregation_head(out, n);
		buf_add_u8(out, '(');
		if (n->agg.param) {
			print(out, n->agg.param, false);
			buf_add_str(out, ", ");
		}
		print(out, n->agg.expr, false);
		buf_add_u8(out, ')');
		break;
	case QL_BINARY:
		print_chain(out, n, more);
		break;
	case QL_UNARY:
		buf_add_u8(out, n->unary.minus ? '-' : '+');
		print(out, n->unary.expr, more);
		break;
	case QL_PAREN:
		buf_add_u8(out, '(');
		print(out, n->paren, false);
		buf_add_u8(out, ')');
		break;
	}
}

void ql_print(struct buf *out, const struct ql_node *n)
{
	print(out, n, false);
}

/* ---- over several lines ---- */

struct pretty {
	struct buf *out;
	bool joined; /* what comes next stands behind a sign: without its indentation */
};

static void indent(struct pretty *p, unsigned level)
{
	if (level > PRETTY_LEVELS_MAX)
		level = PRETTY_LEVELS_MAX;
	for (unsigned i = 0; i < level && !p->joined; i++)
		buf_add_str(p->out, "  ");
	p->joined = false;
}

/*
 * Does n need more than a line? A print stops at its limit, and what is known to be longer than a
 * line is not printed: each level takes a byte at least, each operand of a chain OPERAND_LEAST. So
 * no tree costs the square of its size.
 */
static bool needs_split(const struct ql_node *n)
{
	struct buf b;

	if (n->height > PRETTY_LINE_MAX ||
	    (n->kind == QL_BINARY && n->chain > PRETTY_LINE_MAX / OPERAND_LEAST + 1))
		return true;
	buf_init(&b);
	b.limit = 2 * PRETTY_LINE_MAX;
	ql_print(&b, n);
	bool over = b.over || b.len > PRETTY_LINE_MAX;
	buf_release(&b);
	return over;
}

static void pretty(struct pretty *p, const struct ql_node *n, unsigned level, bool more);

static void pretty_sign(struct pretty *p, const struct ql_node *n, unsigned level, bool more)
{
	indent(p, level);
	buf_add_u8(p->out, n->unary.minus ? '-' : '+');
	p->joined = true;
	pretty(p, n->unary.expr, level, more);
	p->joined = false;
}

/* What never splits, or fits into a line. */
static void pretty_line(struct pretty *p, const struct ql_node *n, unsigned level, bool more)
{
	indent(p, level);
	print(p->out, n, more);
}

static void pretty_args(struct pretty *p, struct ql_node *const *args, uint32_t count, unsigned level)
{
	for (uint32_t i = 0; i < count; i++) {
		if (i)
			buf_add_str(p->out, ",\n");
		pretty(p, args[i], level, false);
	}
}

static void pretty_close(struct pretty *p, unsigned level)
{
	buf_add_u8(p->out, '\n');
	indent(p, level);
	buf_add_u8(p->out, ')');
}

/*
 * Each left operand stands one level deeper than its operator, as long as it needs several lines.
 */
static void pretty_chain(struct pretty *p, const struct ql_node *n, unsigned level, bool more)
{
	const struct ql_node *at = n;
	while (at->bin.l->kind == QL_BINARY && needs_split(at->bin.l)) {
		at = at->bin.l;
		level++;
	}
	pretty(p, at->bin.l, level + 1, true);
	for (;; at = at->up, level--) {
		buf_add_u8(p->out, '\n');
		indent(p, level);
		add_operator(p->out, at);
		buf_add_u8(p->out, '\n');
		pretty(p, at->bin.r, level + 1, at != n || more);
		if (at == n)
			return;
	}
}

static void pretty_subquery(struct pretty *p, const struct ql_node *n, unsigned level, bool more)
{
	if (needs_split(n)) {
		pretty(p, n->sub.expr, level, false);
		add_subquery_suffix(p->out, n, more);
		return;
	}
	/* On one line it stands without indentation: so does Prometheus. */
	p->joined = false;
	print(p->out, n, more);
}

static void pretty(struct pretty *p, const struct ql_node *n, unsigned level, bool more)
{
	if (p->out->over)
		return;
	if (n->kind == QL_UNARY) {
		pretty_sign(p, n, level, more);
		return;
	}
	if (n->kind == QL_SUBQUERY) {
		pretty_subquery(p, n, level, more);
		return;
	}
	if (n->kind == QL_NUMBER || n->kind == QL_TEXT || n->kind == QL_SELECTOR || !needs_split(n)) {
		pretty_line(p, n, level, more);
		return;
	}
	if (n->kind == QL_BINARY) {
		pretty_chain(p, n, level, more);
		return;
	}
	indent(p, level);
	if (n->kind == QL_CALL) {
		buf_add_str(p->out, n->call.func->name);
		buf_add_str(p->out, "(\n");
		pretty_args(p, n->call.args, n->call.args_count, level + 1);
	} else if (n->kind == QL_AGGREGATE) {
		struct ql_node *args[2] = { n->agg.param, n->agg.expr };
		add_aggregation_head(p->out, n);
		buf_add_str(p->out, "(\n");
		pretty_args(p, n->agg.param ? args : args + 1, n->agg.param ? 2 : 1, level + 1);
	} else {
		buf_add_str(p->out, "(\n");
		pretty(p, n->paren, level + 1, false);
	}
	pretty_close(p, level);
}

void ql_pretty(struct buf *out, const struct ql_node *n)
{
	struct pretty p = { .out = out };
	pretty(&p, n, 0, false);
}
