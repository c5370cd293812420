/*
 * Expressions. The grammar (Prometheus 3.14 promql/parser/generated_parser.y), tightest binding
 * last:
 *
 *   binary   = binary OR binary | AND UNLESS | == != <= < >= > </ >/ | + - | * / % atan2
 *            | unary ^ binary
 *   unary    = (+|-) binary-of-^ | postfix
 *   postfix  = primary { [dur] | [dur:dur] | offset dur | @ time | anchored | smoothed }
 *   primary  = number | string | ( binary ) | name(args) | aggregator clause (args) | selector
 *
 * All binary operators but ^ group to the left. Signs bind like *, so -1 ^ 2 is -(1 ^ 2).
 */
#include "core/base/purse.h"
#include "core/base/rune.h"
#include "core/promql/lang/ql_func.h"
#include "core/promql/lang/ql_parse_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
	PREC_NONE,
	PREC_OR,
	PREC_AND,
	PREC_COMPARE,
	PREC_ADD,
	PREC_MUL,
	PREC_POW
};

static const struct binary_op {
	enum ql_tok tok;
	enum ql_op op;
	int prec;
} binary_ops[] = {
	{ QLT_OR, QL_OR, PREC_OR },
	{ QLT_AND, QL_AND, PREC_AND },
	{ QLT_UNLESS, QL_UNLESS, PREC_AND },
	{ QLT_EQLC, QL_EQ, PREC_COMPARE },
	{ QLT_NEQ, QL_NE, PREC_COMPARE },
	{ QLT_LTE, QL_LE, PREC_COMPARE },
	{ QLT_LSS, QL_LT, PREC_COMPARE },
	{ QLT_GTE, QL_GE, PREC_COMPARE },
	{ QLT_GTR, QL_GT, PREC_COMPARE },
	{ QLT_TRIM_UPPER, QL_TRIM_UPPER, PREC_COMPARE },
	{ QLT_TRIM_LOWER, QL_TRIM_LOWER, PREC_COMPARE },
	{ QLT_ADD, QL_ADD, PREC_ADD },
	{ QLT_SUB, QL_SUB, PREC_ADD },
	{ QLT_MUL, QL_MUL, PREC_MUL },
	{ QLT_DIV, QL_DIV, PREC_MUL },
	{ QLT_MOD, QL_MOD, PREC_MUL },
	{ QLT_ATAN2, QL_ATAN2, PREC_MUL },
	{ QLT_POW, QL_POW, PREC_POW },
};
static const struct aggregator {
	enum ql_tok tok;
	enum ql_agg op;
	bool param, experimental;
} aggregators[] = {
	{ QLT_SUM, QL_SUM, false, false },
	{ QLT_AVG, QL_AVG, false, false },
	{ QLT_COUNT, QL_COUNT, false, false },
	{ QLT_MIN, QL_MIN, false, false },
	{ QLT_MAX, QL_MAX, false, false },
	{ QLT_GROUP, QL_GROUP, false, false },
	{ QLT_STDDEV, QL_STDDEV, false, false },
	{ QLT_STDVAR, QL_STDVAR, false, false },
	{ QLT_TOPK, QL_TOPK, true, false },
	{ QLT_BOTTOMK, QL_BOTTOMK, true, false },
	{ QLT_COUNT_VALUES, QL_COUNT_VALUES, true, false },
	{ QLT_QUANTILE, QL_QUANTILE, true, false },
	{ QLT_LIMITK, QL_LIMITK, true, true },
	{ QLT_LIMIT_RATIO, QL_LIMIT_RATIO, true, true },
};

static struct ql_node *parse_binary(struct ql_parser *p, int prec_min);

/* ---- tokens and mistakes ---- */

void ql_parser_init(struct ql_parser *p, struct arena *a, const char *text, uint32_t len,
    const struct ql_parse_opts *o, struct errbuf *eb)
{
	*p = (struct ql_parser){ .arena = a,
		.opts = o,
		.limits = o->limits ? o->limits : limits_here(),
		.eb = eb,
		.place = { "", "" } };
	ql_lex_init(&p->lex, text, len);
}

enum ql_tok ql_parse_ahead(struct ql_parser *p)
{
	if (!p->have) {
		ql_lex_next(&p->lex, &p->t);
		p->have = true;
		if (p->t.tok == QLT_ERROR)
			ql_parse_fail(p, p->t.pos, "%s", p->lex.error);
	}
	return p->t.tok;
}

struct ql_token ql_parse_take(struct ql_parser *p)
{
	enum ql_tok t = ql_parse_ahead(p);
	if (t == QLT_RBRACE || t == QLT_RPAREN || t == QLT_RBRACKET || t == QLT_DURATION ||
	    t == QLT_NUMBER)
		p->closing = p->t.pos + p->t.len;
	/* Nothing comes behind the end or a mistake: it stays ahead. */
	if (t != QLT_EOF && t != QLT_ERROR)
		p->have = false;
	return p->t;
}

bool ql_parse_accept(struct ql_parser *p, enum ql_tok tok)
{
	if (ql_parse_ahead(p) != tok)
		return false;
	ql_parse_take(p);
	return true;
}

bool ql_parse_expect(struct ql_parser *p, enum ql_tok tok)
{
	if (ql_parse_accept(p, tok))
		return true;
	ql_parse_unexpected_here(p);
	return false;
}

void *ql_parse_fail(struct ql_parser *p, uint32_t pos, const char *fmt, ...)
{
	if (p->err)
		return NULL;
	char what[ERRBUF_SIZE];
	va_list ap;
	va_start(ap, fmt);
	rune_vprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (p->lex.len == 0) {
		p->err = errbuf_set(p->eb, ERR_BADDATA, "unknown position: parse error: %s", what);
		return NULL;
	}
	unsigned line, col;
	ql_line_col(p->lex.text, p->lex.len, pos, &line, &col);
	p->err = errbuf_set(p->eb, ERR_BADDATA, "%u:%u: parse error: %s", line, col, what);
	return NULL;
}

void *ql_parse_fail_quoted(struct ql_parser *p, uint32_t pos, const char *before, const char *s,
    size_t len, const char *after)
{
	struct buf b;
	buf_init(&b);
	label_quote_go(&b, s, len);
	buf_add_u8(&b, 0);
	ql_parse_fail(p, pos, "%s%s%s", before, (const char *)b.data, after);
	buf_release(&b);
	return NULL;
}

void *ql_parse_unexpected(struct ql_parser *p, const char *context, const char *expected)
{
	ql_parse_ahead(p);
	struct buf b;
	buf_init(&b);
	ql_tok_describe(&b, p->lex.text, &p->t);
	buf_add_u8(&b, 0);
	ql_parse_fail(p, p->t.pos, "unexpected %s%s%s%s%s", (const char *)b.data,
	    *context ? " in " : "", context, *expected ? ", expected " : "", expected);
	buf_release(&b);
	return NULL;
}

void *ql_parse_unexpected_here(struct ql_parser *p)
{
	return ql_parse_unexpected(p, p->place.context, p->place.expected);
}

/* ---- nodes ---- */

struct ql_node *ql_parse_new_node(
    struct ql_parser *p, enum ql_kind kind, enum ql_type type, uint32_t start, uint32_t end)
{
	struct ql_node *n = arena_zalloc(p->arena, sizeof(*n));
	if (!n || (p->arena->_purse && purse_over(p->arena->_purse)))
		return ql_parse_fail(p, start, "out of memory for this query");
	n->kind = kind;
	n->type = type;
	n->pos = (struct ql_pos){ start, end };
	n->height = 1;
	return n;
}

void *ql_parse_fail_limit(struct ql_parser *p, uint32_t pos, const char *what, enum limits_id id)
{
	char limit[LIMITS_TEXT_MAX];
	return ql_parse_fail(p, pos, "%s, %s", what, limits_text(p->limits, id, limit));
}

bool ql_parse_nest(struct ql_parser *p, uint32_t pos)
{
	if (p->nest >= p->limits->query_nesting)
		return ql_parse_fail_limit(
		    p, pos, "expression is nested too deeply", LIMITS_query_nesting);
	p->nest++;
	return true;
}

bool ql_parse_height(struct ql_parser *p, struct ql_node *n, uint32_t below)
{
	if (below >= QL_LEVELS_EACH * p->limits->query_nesting)
		return ql_parse_fail_limit(
		    p, n->pos.start, "expression has too many levels", LIMITS_query_nesting);
	if (n->height < below + 1)
		n->height = below + 1;
	return true;
}

/* ---- binary and unary expressions ---- */

static const struct binary_op *binary_op_ahead(struct ql_parser *p)
{
	enum ql_tok t = ql_parse_ahead(p);
	for (size_t i = 0; i < COUNT_OF(binary_ops); i++)
		if (binary_ops[i].tok == t)
			return &binary_ops[i];
	return NULL;
}

static bool starts_expression(struct ql_parser *p)
{
	enum ql_tok t = ql_parse_ahead(p);
	return ql_tok_is_metric_name(t) || t == QLT_NUMBER || t == QLT_DURATION ||
	    t == QLT_STRING || t == QLT_LBRACE || t == QLT_LPAREN || t == QLT_ADD || t == QLT_SUB;
}

/* ( [sign] number ) */
static bool parse_fill_value(struct ql_parser *p, double *v)
{
	ql_parse_take(p); /* fill, fill_left, fill_right */
	if (!ql_parse_expect(p, QLT_LPAREN))
		return false;
	bool minus = ql_parse_ahead(p) == QLT_SUB;
	if (minus || ql_parse_ahead(p) == QLT_ADD)
		ql_parse_take(p);
	if (ql_parse_ahead(p) != QLT_NUMBER && ql_parse_ahead(p) != QLT_DURATION)
		return ql_parse_unexpected_here(p);
	if (!ql_parse_number(p, ql_parse_take(p), v))
		return false;
	if (minus)
		*v = -*v;
	return ql_parse_expect(p, QLT_RPAREN);
}

static bool parse_fills(struct ql_parser *p, struct ql_node *n)
{
	enum ql_tok t = ql_parse_ahead(p);
	if (t == QLT_FILL) {
		n->bin.fill_l_set = n->bin.fill_r_set = true;
		bool ok = parse_fill_value(p, &n->bin.fill_l);
		n->bin.fill_r = n->bin.fill_l;
		return ok;
	}
	for (int i = 0; i < 2; i++) {
		t = ql_parse_ahead(p);
		if (t == QLT_FILL_LEFT && !n->bin.fill_l_set) {
			n->bin.fill_l_set = true;
			if (!parse_fill_value(p, &n->bin.fill_l))
				return false;
		} else if (t == QLT_FILL_RIGHT && !n->bin.fill_r_set) {
			n->bin.fill_r_set = true;
			if (!parse_fill_value(p, &n->bin.fill_r))
				return false;
		}
	}
	return true;
}

/* [bool] [on|ignoring (labels) [group_left|group_right [(labels)]]] [fills] */
static bool parse_binary_modifiers(struct ql_parser *p, struct ql_node *n)
{
	n->bin.return_bool = ql_parse_accept(p, QLT_BOOL);
	enum ql_tok t = ql_parse_ahead(p);
	if (t == QLT_ON || t == QLT_IGNORING) {
		ql_parse_take(p);
		n->bin.has_matching = true;
		n->bin.on = t == QLT_ON;
		if (!ql_parse_grouping(p, &n->bin.labels, &n->bin.labels_count))
			return false;
		t = ql_parse_ahead(p);
		if (t == QLT_GROUP_LEFT || t == QLT_GROUP_RIGHT) {
			ql_parse_take(p);
			n->bin.card = t == QLT_GROUP_LEFT ? QL_MANY_TO_ONE : QL_ONE_TO_MANY;
			/* The list may be left out when the right side, or a fill, follows. */
			if ((ql_parse_ahead(p) == QLT_LPAREN || !starts_expression(p)) &&
			    !ql_parse_grouping(p, &n->bin.include, &n->bin.include_count))
				return false;
		}
	}
	return parse_fills(p, n);
}

/* l is the left operand of n, and as an operator the chain so far. */
static bool extend_chain(struct ql_parser *p, struct ql_node *n, struct ql_node *l)
{
	bool chain = l->kind == QL_BINARY;
	n->bin.l = l;
	l->up = n;
	n->chain = chain ? l->chain + 1 : 2;
	if (n->chain > p->limits->query_chain)
		return ql_parse_fail_limit(p, l->pos.start,
		    "expression has a chain of too many operands", LIMITS_query_chain);
	return ql_parse_height(p, n, chain ? l->height - 1 : l->height);
}

static struct ql_node *parse_operation(
    struct ql_parser *p, struct ql_node *l, const struct binary_op *op)
{
	struct ql_token t = ql_parse_take(p);
	struct ql_node *n = ql_parse_new_node(p, QL_BINARY, QL_VECTOR, l->pos.start, 0);
	if (!n)
		return NULL;
	n->bin.op = op->op;
	n->bin.op_pos = (struct ql_pos){ t.pos, t.pos + t.len };
	if (!extend_chain(p, n, l) || !parse_binary_modifiers(p, n))
		return NULL;
	n->bin.r = parse_binary(p, op->op == QL_POW ? PREC_POW : op->prec + 1);
	if (!n->bin.r)
		return NULL;
	n->pos.end = n->bin.r->pos.end;
	if (l->type == QL_SCALAR && n->bin.r->type == QL_SCALAR)
		n->type = QL_SCALAR;
	if (!p->opts->fill_modifiers && (n->bin.fill_l_set || n->bin.fill_r_set))
		return ql_parse_fail(
		    p, n->pos.start, "binop fill modifiers are experimental and not enabled");
	return ql_parse_height(p, n, n->bin.r->height) ? n : NULL;
}

static struct ql_node *parse_primary(struct ql_parser *p);

static struct ql_node *parse_unary(struct ql_parser *p)
{
	enum ql_tok sign = ql_parse_ahead(p);
	if (sign != QLT_ADD && sign != QLT_SUB) {
		struct ql_node *n = parse_primary(p);
		return n ? ql_parse_postfix(p, n) : NULL;
	}
	struct ql_token t = ql_parse_take(p);
	struct ql_node *e = parse_binary(p, PREC_POW);
	if (!e)
		return NULL;
	if (e->kind == QL_NUMBER) {
		if (sign == QLT_SUB)
			e->num = -e->num;
		e->pos.start = t.pos;
		return e;
	}
	struct ql_node *n = ql_parse_new_node(p, QL_UNARY, e->type, t.pos, e->pos.end);
	if (!n || !ql_parse_height(p, n, e->height))
		return NULL;
	n->unary.minus = sign == QLT_SUB;
	n->unary.expr = e;
	return n;
}

static struct ql_node *parse_binary(struct ql_parser *p, int prec_min)
{
	ql_parse_ahead(p);
	if (!ql_parse_nest(p, p->t.pos))
		return NULL;
	struct ql_node *n = parse_unary(p);
	const struct binary_op *op;
	while (n && (op = binary_op_ahead(p)) && op->prec >= prec_min)
		n = parse_operation(p, n, op);
	p->nest--;
	return n;
}

/* ---- calls and aggregations ---- */

struct args {
	struct ql_node **v;
	uint32_t count, cap;
};

/* ( [expr {, expr}] ) */
static bool parse_args(struct ql_parser *p, struct args *args)
{
	*args = (struct args){ 0 };
	if (!ql_parse_expect(p, QLT_LPAREN))
		return false;
	if (ql_parse_accept(p, QLT_RPAREN))
		return true;
	for (;;) {
		struct ql_node *e = parse_binary(p, PREC_OR);
		if (!e)
			return false;
		if (args->count == args->cap) {
			uint32_t cap = args->cap ? args->cap * 2 : 4;
			struct ql_node **v = arena_array(p->arena, cap, sizeof(*v));
			if (!v)
				return ql_parse_fail(p, e->pos.start, "out of memory for this query");
			if (args->count)
				memcpy(v, args->v, args->count * sizeof(*v));
			args->v = v;
			args->cap = cap;
		}
		args->v[args->count++] = e;
		if (ql_parse_ahead(p) != QLT_COMMA)
			return ql_parse_expect(p, QLT_RPAREN);
		struct ql_token comma = ql_parse_take(p);
		if (!starts_expression(p))
			return ql_parse_fail(
			    p, comma.pos, "trailing commas not allowed in function call args");
	}
}

static bool args_heights(struct ql_parser *p, struct ql_node *n, const struct args *args)
{
	for (uint32_t i = 0; i < args->count; i++)
		if (!ql_parse_height(p, n, args->v[i]->height))
			return false;
	return true;
}

static struct ql_node *parse_call(struct ql_parser *p, struct ql_token name)
{
	const char *s = p->lex.text + name.pos;
	struct args args;
	if (!parse_args(p, &args))
		return NULL;
	const struct ql_func *f = ql_func_find(s, name.len);
	if (!f)
		return ql_parse_fail_quoted(
		    p, name.pos, "unknown function with name ", s, name.len, "");
	if ((f->flags & QL_FN_EXPERIMENTAL) && !p->opts->experimental_functions)
		return ql_parse_fail_quoted(p, name.pos, "function ", s, name.len, " is not enabled");
	struct ql_node *n = ql_parse_new_node(p, QL_CALL, f->ret, name.pos, p->closing);
	if (!n || !args_heights(p, n, &args))
		return NULL;
	n->call.func = f;
	n->call.args = args.v;
	n->call.args_count = args.count;
	return n;
}

static bool parse_clause(struct ql_parser *p, struct ql_node *n)
{
	n->agg.has_clause = true;
	n->agg.without = ql_parse_take(p).tok == QLT_WITHOUT;
	return ql_parse_grouping(p, &n->agg.grouping, &n->agg.grouping_count);
}
static bool clause_ahead(struct ql_parser *p)
{
	return ql_parse_ahead(p) == QLT_BY || ql_parse_ahead(p) == QLT_WITHOUT;
}

static struct ql_node *check_aggregation(
    struct ql_parser *p, struct ql_node *n, const struct aggregator *agg, const struct args *args)
{
	if (!args->count)
		return ql_parse_fail(
		    p, n->pos.start, "no arguments for aggregate expression provided");
	if (agg->experimental && !p->opts->experimental_functions)
		return ql_parse_fail(p, n->pos.start,
		    "%s() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
		    ql_agg_text(agg->op));
	uint32_t wanted = agg->param ? 2 : 1;
	if (args->count != wanted)
		return ql_parse_fail(p, n->pos.start,
		    "wrong number of arguments for aggregate expression provided, expected %u, got %u",
		    wanted, args->count);
	n->agg.param = agg->param ? args->v[0] : NULL;
	n->agg.expr = args->v[wanted - 1];
	return args_heights(p, n, args) ? n : NULL;
}

static struct ql_node *parse_aggregation(struct ql_parser *p, struct ql_token name)
{
	const struct aggregator *agg = aggregators;
	while (agg->tok != name.tok)
		agg++;
	struct ql_node *n = ql_parse_new_node(p, QL_AGGREGATE, QL_VECTOR, name.pos, 0);
	if (!n)
		return NULL;
	n->agg.op = agg->op;
	struct ql_place outer = p->place;
	p->place = (struct ql_place){ "aggregation", "" };
	struct args args;
	if (clause_ahead(p)) {
		if (!parse_clause(p, n) || !parse_args(p, &args))
			return NULL;
	} else {
		if (!parse_args(p, &args))
			return NULL;
		if (clause_ahead(p) && !parse_clause(p, n))
			return NULL;
	}
	p->place = outer;
	if (p->err)
		return NULL;
	n->pos.end = p->closing;
	return check_aggregation(p, n, agg, &args);
}

/* ---- the rest of primary ---- */

static struct ql_node *parse_paren(struct ql_parser *p)
{
	uint32_t start = ql_parse_take(p).pos;
	struct ql_node *e = parse_binary(p, PREC_OR);
	if (!e || !ql_parse_expect(p, QLT_RPAREN))
		return NULL;
	struct ql_node *n = ql_parse_new_node(p, QL_PAREN, e->type, start, p->closing);
	if (!n || !ql_parse_height(p, n, e->height))
		return NULL;
	n->paren = e;
	return n;
}

static struct ql_node *parse_number(struct ql_parser *p)
{
	struct ql_token t = ql_parse_take(p);
	struct ql_node *n = ql_parse_new_node(p, QL_NUMBER, QL_SCALAR, t.pos, t.pos + t.len);
	if (!n || !ql_parse_number(p, t, &n->num))
		return NULL;
	n->is_duration = t.tok == QLT_DURATION;
	return n;
}

static struct ql_node *parse_primary(struct ql_parser *p)
{
	enum ql_tok t = ql_parse_ahead(p);
	struct ql_token name;
	if (t == QLT_LPAREN)
		return parse_paren(p);
	if (t == QLT_NUMBER || t == QLT_DURATION)
		return parse_number(p);
	if (t == QLT_STRING) {
		name = ql_parse_take(p);
		struct ql_node *n =
		    ql_parse_new_node(p, QL_TEXT, QL_STRING, name.pos, name.pos + name.len);
		if (n)
			n->text = ql_parse_unquote(p, name);
		return n;
	}
	if (t == QLT_LBRACE || !ql_tok_is_metric_name(t))
		return ql_parse_vector_selector(p);
	/* A name is a call, an aggregation or a selector: the word behind it decides. */
	struct ql_lex lex_before = p->lex;
	name = ql_parse_take(p);
	enum ql_tok after = ql_parse_ahead(p);
	if (ql_tok_is_aggregator(t) && (after == QLT_LPAREN || clause_ahead(p)))
		return parse_aggregation(p, name);
	bool callable = t == QLT_IDENT || (t >= QLT_START && t <= QLT_MIN_OF);
	if (callable && after == QLT_LPAREN)
		return parse_call(p, name);
	if (p->err)
		return NULL;
	p->lex = lex_before;
	p->t = name;
	p->have = true;
	return ql_parse_vector_selector(p);
}

/* ---- entries ---- */

/*
 * 64 bytes of text, or 16 where there are patterns (a class of Unicode may take 3 us to compile); a
 * pattern is 16 units beside. The operators that bring patterns contain a ~.
 */
uint64_t ql_text_cost(const char *text, size_t len)
{
	uint64_t patterns = 0;
	const char *end = text + len;
	if (len / 64 > QL_TEXT_COST_MAX)
		return len / 64;
	for (const char *p = text; len && (p = memchr(p, '~', (size_t)(end - p))); p++)
		patterns++;
	return patterns ? patterns * 16 + len / 16 : len / 64;
}

bool ql_text_is_costly(const char *text, size_t len)
{
	return ql_text_cost(text, len) > QL_TEXT_COST_MAX;
}

static enum err check_length(const struct limits *l, size_t len, struct errbuf *eb)
{
	char limit[LIMITS_TEXT_MAX];
	if (len <= l->query_text_bytes && len < UINT32_MAX)
		return ERR_OK;
	return errbuf_set(eb, ERR_BADDATA, "1:1: parse error: expression of %zu bytes, %s", len,
	    limits_text(l, LIMITS_query_text_bytes, limit));
}

enum err ql_counts_check(const struct ql_counts *c, const struct limits *l, struct errbuf *eb)
{
	char limit[LIMITS_TEXT_MAX];
	if (c->selectors > l->query_selectors)
		return errbuf_set(eb, ERR_TOOBIG, "request has %u selectors, %s", c->selectors,
		    limits_text(l, LIMITS_query_selectors, limit));
	if (c->matchers > l->query_matchers)
		return errbuf_set(eb, ERR_TOOBIG, "selector has %u label matchers, %s", c->matchers,
		    limits_text(l, LIMITS_query_matchers, limit));
	if (c->pattern_bytes > l->query_pattern_bytes)
		return errbuf_set(eb, ERR_TOOBIG,
		    "request has label patterns of %llu bytes that need the regular expression engine, %s (each counts as at least %d)",
		    (unsigned long long)c->pattern_bytes,
		    limits_text(l, LIMITS_query_pattern_bytes, limit), QL_PATTERN_LEAST);
	return ERR_OK;
}

static enum err finish(struct ql_parser *p)
{
	if (!p->err)
		p->err = ql_counts_check(&p->counts, p->limits, p->eb);
	if (!p->err)
		return ERR_OK;
	ql_parse_release_made(p);
	return p->err;
}

enum err ql_parse(struct arena *a, const char *text, size_t len, const struct ql_parse_opts *o,
    struct ql_node **out, struct errbuf *eb)
{
	struct ql_parser p;
	ql_parser_init(&p, a, text, (uint32_t)len, o, eb);
	enum err e = check_length(p.limits, len, eb);
	if (e)
		return e;
	struct ql_node *n = NULL;
	if (ql_parse_ahead(&p) == QLT_EOF)
		ql_parse_fail(&p, 0, "no expression found in input");
	else
		n = parse_binary(&p, PREC_OR);
	if (n && ql_parse_ahead(&p) != QLT_EOF)
		ql_parse_unexpected_here(&p);
	if (n && !p.err)
		ql_check(&p, n);
	e = finish(&p);
	if (!e) {
		n->made = p.made;
		*out = n;
	}
	return e;
}

enum err ql_parse_selector(struct arena *a, const char *text, size_t len, const struct limits *limits,
    struct ql_counts *counts, struct matcher **out, size_t *count, struct errbuf *eb)
{
	const struct ql_parse_opts o = { .limits = limits };
	struct ql_parser p;
	ql_parser_init(&p, a, text, (uint32_t)len, &o, eb);
	enum err e = check_length(p.limits, len, eb);
	if (e)
		return e;
	p.counts = *counts;
	struct ql_node *n = ql_parse_vector_selector(&p);
	if (n && ql_parse_ahead(&p) != QLT_EOF)
		ql_parse_unexpected_here(&p);
	*counts = p.counts;
	e = finish(&p);
	if (e)
		return e;
	*out = n->sel.matchers;
	*count = n->sel.matchers_count;
	return ERR_OK;
}
