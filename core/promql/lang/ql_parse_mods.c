/*
 * What stands behind a selector: [range], [range:step], offset, @, anchored, smoothed; and
 * durations as expressions.
 *
 * A duration that is one literal is a plain number of ms in the node; anything else is kept as a
 * tree (struct ql_dur) until start, end and step are known.
 * Behind offset a literal ends the duration (x offset 2 ^ 3 is a power of x), in brackets and in
 * parentheses it may go on.
 */
#include "core/promql/lang/ql_parse_priv.h"

#include <math.h>
#include <stdio.h>

/* 63 bits of ns, as Go's time.Duration */
#define DURATION_SECONDS_MAX (9223372036854775808.0 / 1e9)

enum {
	DUR_ADD = 1,
	DUR_MUL,
	DUR_POW
};

static struct ql_dur *parse_dur(struct ql_parser *p, int prec_min);
static struct ql_dur *continue_dur(struct ql_parser *p, struct ql_dur *l, int prec_min);

static struct ql_dur *new_dur(struct ql_parser *p, enum ql_dur_kind kind, uint32_t start, uint32_t end)
{
	struct ql_dur *d = arena_zalloc(p->arena, sizeof(*d));
	if (!d)
		return ql_parse_fail(p, start, "out of memory for this query");
	d->kind = kind;
	d->pos = (struct ql_pos){ start, end };
	d->height = 1;
	return d;
}

/* A literal as written; in parentheses it is an expression, checked when it is resolved. */
static bool is_plain(const struct ql_dur *d)
{
	return d->kind == QL_DUR_NUM && !d->paren;
}

static bool in_range(double seconds)
{
	return seconds <= DURATION_SECONDS_MAX && seconds >= -DURATION_SECONDS_MAX;
}

static struct ql_dur *dur_sign(
    struct ql_parser *p, struct ql_token sign, struct ql_dur *d, bool keep_plus)
{
	bool minus = sign.tok == QLT_SUB;
	if (is_plain(d)) {
		if (minus)
			d->num = -d->num;
		d->pos.start = sign.pos;
		return d;
	}
	if (!minus && !keep_plus)
		return d;
	struct ql_dur *n = new_dur(p, minus ? QL_DUR_NEG : QL_DUR_POS, sign.pos, d->pos.end);
	if (!n)
		return NULL;
	n->height = d->height + 1;
	n->l = d;
	return n;
}

static struct ql_dur *dur_literal(struct ql_parser *p, uint32_t blame)
{
	struct ql_token t = ql_parse_take(p);
	struct ql_dur *d = new_dur(p, QL_DUR_NUM, t.pos, t.pos + t.len);
	if (!d || !ql_parse_number(p, t, &d->num))
		return NULL;
	if (!in_range(d->num))
		return ql_parse_fail(p, blame, "duration out of range");
	d->is_duration = t.tok == QLT_DURATION;
	return d;
}

/* step() range() min_of(a, b) max_of(a, b) */
static struct ql_dur *dur_call(struct ql_parser *p)
{
	struct ql_token t = ql_parse_take(p);
	enum ql_dur_kind kind = t.tok == QLT_STEP ? QL_DUR_STEP
	    : t.tok == QLT_RANGE                  ? QL_DUR_RANGE
	    : t.tok == QLT_MIN_OF                 ? QL_DUR_MIN
	                                          : QL_DUR_MAX;
	struct ql_dur *d = new_dur(p, kind, t.pos, 0);
	if (!d || !ql_parse_expect(p, QLT_LPAREN))
		return NULL;
	if (kind == QL_DUR_MIN || kind == QL_DUR_MAX) {
		d->l = parse_dur(p, DUR_ADD);
		if (!d->l || !ql_parse_expect(p, QLT_COMMA))
			return NULL;
		d->r = parse_dur(p, DUR_ADD);
		if (!d->r)
			return NULL;
		d->height = 1 + (d->l->height > d->r->height ? d->l->height : d->r->height);
	}
	if (!ql_parse_expect(p, QLT_RPAREN))
		return NULL;
	/* Prometheus blames the operands of min_of and max_of, as of an operator. */
	d->pos = d->l ? (struct ql_pos){ d->l->pos.start, d->r->pos.end }
	              : (struct ql_pos){ t.pos, p->closing };
	return d;
}

static struct ql_dur *dur_paren(struct ql_parser *p)
{
	uint32_t start = ql_parse_take(p).pos;
	struct ql_dur *d = parse_dur(p, DUR_ADD);
	if (!d || !ql_parse_expect(p, QLT_RPAREN))
		return NULL;
	if (is_plain(d))
		d->pos.start = start;
	d->paren = true;
	return d;
}

static bool is_dur_call(enum ql_tok t)
{
	return t == QLT_STEP || t == QLT_RANGE || t == QLT_MIN_OF || t == QLT_MAX_OF;
}

static struct ql_dur *dur_unary(struct ql_parser *p)
{
	enum ql_tok t = ql_parse_ahead(p);
	if (t == QLT_ADD || t == QLT_SUB) {
		struct ql_token sign = ql_parse_take(p);
		struct ql_dur *d = parse_dur(p, DUR_POW);
		return d ? dur_sign(p, sign, d, false) : NULL;
	}
	if (t == QLT_NUMBER || t == QLT_DURATION)
		return dur_literal(p, p->t.pos);
	if (is_dur_call(t))
		return dur_call(p);
	if (t == QLT_LPAREN)
		return dur_paren(p);
	return ql_parse_unexpected_here(p);
}

static int dur_op(enum ql_tok t, enum ql_op *op)
{
	static const struct {
		enum ql_tok tok;
		enum ql_op op;
		int prec;
	} ops[] = { { QLT_ADD, QL_ADD, DUR_ADD }, { QLT_SUB, QL_SUB, DUR_ADD },
		{ QLT_MUL, QL_MUL, DUR_MUL }, { QLT_DIV, QL_DIV, DUR_MUL },
		{ QLT_MOD, QL_MOD, DUR_MUL }, { QLT_POW, QL_POW, DUR_POW } };
	for (size_t i = 0; i < COUNT_OF(ops); i++)
		if (ops[i].tok == t) {
			*op = ops[i].op;
			return ops[i].prec;
		}
	return 0;
}

static struct ql_dur *continue_dur(struct ql_parser *p, struct ql_dur *l, int prec_min)
{
	enum ql_op op;
	int prec;
	while (l && (prec = dur_op(ql_parse_ahead(p), &op)) >= prec_min && prec > 0) {
		struct ql_token t = ql_parse_take(p);
		struct ql_dur *r = parse_dur(p, op == QL_POW ? DUR_POW : prec + 1);
		struct ql_dur *d = r ? new_dur(p, QL_DUR_BIN, l->pos.start, r->pos.end) : NULL;
		if (!d)
			return NULL;
		if ((op == QL_DIV || op == QL_MOD) && is_plain(r) && r->num == 0)
			return ql_parse_fail(
			    p, t.pos, op == QL_DIV ? "division by zero" : "modulo by zero");
		d->op = op;
		d->l = l;
		d->r = r;
		d->height = 1 + (l->height > r->height ? l->height : r->height);
		if (d->height > p->limits->query_nesting)
			return ql_parse_fail_limit(p, l->pos.start,
			    "duration has too many operands", LIMITS_query_nesting);
		l = d;
	}
	return l;
}

static struct ql_dur *parse_dur(struct ql_parser *p, int prec_min)
{
	ql_parse_ahead(p);
	if (!ql_parse_nest(p, p->t.pos))
		return NULL;
	struct ql_dur *d = continue_dur(p, dur_unary(p), prec_min);
	p->nest--;
	return d;
}

/*
 * Behind offset: a signed literal, call or parenthesis ends it, a parenthesis without a sign does
 * not.
 */
static struct ql_dur *parse_offset_dur(struct ql_parser *p)
{
	enum ql_tok t = ql_parse_ahead(p);
	if (t == QLT_NUMBER || t == QLT_DURATION)
		return dur_literal(p, p->t.pos);
	if (is_dur_call(t))
		return dur_call(p);
	if (t != QLT_ADD && t != QLT_SUB)
		return parse_dur(p, DUR_ADD);
	struct ql_token sign = ql_parse_take(p);
	t = ql_parse_ahead(p);
	struct ql_dur *d;
	if (t == QLT_NUMBER || t == QLT_DURATION)
		d = dur_literal(p, sign.pos);
	else if (is_dur_call(t))
		d = dur_call(p);
	else if (t == QLT_LPAREN)
		d = dur_paren(p);
	else
		return continue_dur(
		    p, (d = parse_dur(p, DUR_POW)) ? dur_sign(p, sign, d, false) : NULL, DUR_ADD);
	return d ? dur_sign(p, sign, d, true) : NULL; /* +(x) ends where (x) would go on */
}

/* Plain literals become ms, the way a Go duration in ns is read as ms. */
static int64_t plain_ms(double seconds)
{
	double ns = round(seconds * 1e9);
	if (ns >= 9223372036854775807.0)
		return INT64_MAX / 1000000;
	if (ns <= -9223372036854775808.0)
		return INT64_MIN / 1000000;
	return (int64_t)ns / 1000000;
}

static bool is_selector(const struct ql_node *n)
{
	return n->kind == QL_SELECTOR;
}
static struct ql_mods *mods_of(struct ql_node *n)
{
	return is_selector(n) ? &n->sel.mods : n->kind == QL_SUBQUERY ? &n->sub.mods : NULL;
}

/* ---- offset, @, anchored, smoothed ---- */

static struct ql_node *parse_offset(struct ql_parser *p, struct ql_node *n)
{
	ql_parse_take(p);
	struct ql_place outer = p->place;
	p->place = (struct ql_place){ "offset", "number, duration, step(), or range()" };
	struct ql_dur *d = parse_offset_dur(p);
	p->place = outer;
	if (!d)
		return NULL;
	struct ql_mods *m = mods_of(n);
	if (!m)
		return ql_parse_fail(p, n->pos.start,
		    "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery");
	if (m->offset || m->offset_ms)
		return ql_parse_fail(p, n->pos.start, "offset may not be set multiple times");
	if (!is_plain(d))
		m->offset = d;
	else if (isnan(d->num))
		return ql_parse_fail(p, d->pos.start, "duration out of range");
	else
		m->offset_ms = plain_ms(d->num);
	n->pos.end = p->closing;
	return n;
}

static struct ql_node *set_at(struct ql_parser *p, struct ql_node *n, enum ql_at at, double seconds)
{
	if (at == QL_AT_TIME &&
	    !(seconds < 9223372036854775808.0 && seconds > -9223372036854775808.0)) {
		char text[400]; /* %f of any double */
		snprintf(text, sizeof(text), "%f", seconds);
		if (!isfinite(seconds))
			snprintf(text, sizeof(text), "%s",
			    isnan(seconds)    ? "NaN"
			        : seconds > 0 ? "+Inf"
			                      : "-Inf");
		return ql_parse_fail(
		    p, n->pos.start, "timestamp out of bounds for @ modifier: %s", text);
	}
	struct ql_mods *m = mods_of(n);
	if (!m)
		return ql_parse_fail(p, n->pos.start,
		    "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery");
	if (m->at != QL_AT_NONE)
		return ql_parse_fail(p, n->pos.start, "@ <timestamp> may not be set multiple times");
	m->at = at;
	m->at_ms = num_i64_go(round(seconds * 1000));
	n->pos.end = p->closing;
	return n;
}

static struct ql_node *parse_at(struct ql_parser *p, struct ql_node *n)
{
	static const char here[] = "@", wanted[] = "timestamp";
	ql_parse_take(p);
	enum ql_tok t = ql_parse_ahead(p);
	if (t == QLT_START || t == QLT_END) {
		ql_parse_take(p);
		if (ql_parse_ahead(p) != QLT_LPAREN)
			return ql_parse_unexpected(p, here, wanted);
		ql_parse_take(p);
		if (ql_parse_ahead(p) != QLT_RPAREN)
			return ql_parse_unexpected(p, here, wanted);
		ql_parse_take(p);
		return set_at(p, n, t == QLT_START ? QL_AT_START : QL_AT_END, 0);
	}
	bool minus = t == QLT_SUB;
	if (minus || t == QLT_ADD) {
		ql_parse_take(p);
		t = ql_parse_ahead(p);
	}
	if (t != QLT_NUMBER && t != QLT_DURATION)
		return ql_parse_unexpected(p, here, wanted);
	double seconds;
	if (!ql_parse_number(p, ql_parse_take(p), &seconds))
		return NULL;
	return set_at(p, n, QL_AT_TIME, minus ? -seconds : seconds);
}

static struct ql_node *parse_extended(struct ql_parser *p, struct ql_node *n)
{
	bool anchored = ql_parse_take(p).tok == QLT_ANCHORED;
	const char *word = anchored ? "anchored" : "smoothed";
	if (!p->opts->extended_selectors)
		return ql_parse_fail(
		    p, n->pos.start, "%s modifier is experimental and not enabled", word);
	if (n->kind == QL_SUBQUERY)
		return ql_parse_fail(
		    p, n->pos.start, "%s modifier is not supported for subqueries", word);
	if (!is_selector(n))
		return ql_parse_fail(p, n->pos.start,
		    "%s modifier not"
		    /* Prometheus' words; in two pieces, as the source is searched for leftovers */
		    " implemented",
		    word);
	if (anchored)
		n->sel.mods.anchored = true;
	else
		n->sel.mods.smoothed = true;
	if (n->sel.mods.anchored && n->sel.mods.smoothed)
		return ql_parse_fail(
		    p, n->pos.start, "anchored and smoothed modifiers cannot be used together");
	return n;
}

/* ---- [range] and [range:step] ---- */

static struct ql_dur *parse_positive(struct ql_parser *p)
{
	struct ql_dur *d = parse_dur(p, DUR_ADD);
	if (d && is_plain(d) && d->num <= 0)
		return ql_parse_fail(p, d->pos.start, "duration must be greater than 0");
	return d;
}

static struct ql_node *make_range(
    struct ql_parser *p, struct ql_node *n, uint32_t bracket, struct ql_dur *range)
{
	if (!is_selector(n) || n->type != QL_VECTOR)
		return ql_parse_fail(p, bracket, "ranges only allowed for vector selectors");
	if (n->sel.mods.offset || n->sel.mods.offset_ms)
		return ql_parse_fail(p, bracket, "no offset modifiers allowed before range");
	if (n->sel.mods.at != QL_AT_NONE)
		return ql_parse_fail(p, bracket, "no @ modifiers allowed before range");
	n->type = QL_MATRIX;
	if (is_plain(range))
		n->sel.range_ms = plain_ms(range->num);
	else
		n->sel.range = range;
	n->pos.end = p->closing;
	return n;
}

static struct ql_node *make_subquery(
    struct ql_parser *p, struct ql_node *e, struct ql_dur *range, struct ql_dur *step)
{
	struct ql_node *n = ql_parse_new_node(p, QL_SUBQUERY, QL_MATRIX, e->pos.start, p->closing);
	if (!n || !ql_parse_height(p, n, e->height))
		return NULL;
	n->sub.expr = e;
	if (is_plain(range))
		n->sub.range_ms = plain_ms(range->num);
	else
		n->sub.range = range;
	if (step && is_plain(step))
		n->sub.step_ms = plain_ms(step->num);
	else
		n->sub.step = step;
	return n;
}

/* Behind the colon. */
static struct ql_node *parse_step(struct ql_parser *p, struct ql_node *n, struct ql_dur *range)
{
	struct ql_dur *step = NULL;
	ql_parse_take(p);
	p->place =
	    (struct ql_place){ "subquery selector", "number, duration, step(), range(), or \"]\"" };
	if (ql_parse_ahead(p) != QLT_RBRACKET && !(step = parse_positive(p)))
		return NULL;
	if (ql_parse_ahead(p) != QLT_RBRACKET)
		return ql_parse_unexpected(p, "subquery selector", "\"]\"");
	ql_parse_take(p);
	return make_subquery(p, n, range, step);
}

static struct ql_node *parse_bracket(struct ql_parser *p, struct ql_node *n)
{
	uint32_t bracket = ql_parse_take(p).pos;
	struct ql_place outer = p->place;
	p->place = (struct ql_place){ "subquery or range selector",
		"number, duration, step(), or range()" };
	struct ql_dur *range = parse_positive(p);
	if (!range)
		return NULL;
	if (ql_parse_accept(p, QLT_RBRACKET))
		n = make_range(p, n, bracket, range);
	else if (ql_parse_ahead(p) == QLT_COLON)
		n = parse_step(p, n, range);
	else
		return ql_parse_unexpected(p, "subquery or range", "\":\" or \"]\"");
	p->place = outer;
	return n;
}

struct ql_node *ql_parse_postfix(struct ql_parser *p, struct ql_node *n)
{
	while (n) {
		enum ql_tok t = ql_parse_ahead(p);
		if (t == QLT_LBRACKET)
			n = parse_bracket(p, n);
		else if (t == QLT_OFFSET)
			n = parse_offset(p, n);
		else if (t == QLT_AT)
			n = parse_at(p, n);
		else if (t == QLT_ANCHORED || t == QLT_SMOOTHED)
			n = parse_extended(p, n);
		else
			break;
	}
	return n;
}
