/* Selectors, matchers, grouping labels, strings and numbers. */
#include "core/promql/lang/ql_parse_priv.h"

#include "core/base/purse.h"
#include "core/base/rune.h"
#include <string.h>

/* A selector's matchers, whose compiled patterns the arena does not hold. */
struct ql_made {
	struct ql_made *next;
	struct matcher *matchers;
	uint32_t count;
	struct purse *purse; /* the arena's, charged with bytes; NULL = none */
	uint64_t bytes;
};

/* ---- literals ---- */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return (c | 32) - 'a' + 10;
}
static char simple_escape(char c)
{
	static const char from[] = "abfnrtv", to[] = "\a\b\f\n\r\t\v";
	const char *at = strchr(from, c);
	return at && c ? to[at - from] : c; /* \\ and the quotes stand for themselves */
}

/*
 * One escape, s behind the backslash; returns how many bytes of s it took. The lexer has checked
 * the form.
 */
static size_t unescape(const char *s, char *out, size_t *out_len)
{
	uint32_t x = 0;
	size_t digits = *s == 'x' ? 2 : *s == 'u' ? 4 : *s == 'U' ? 8 : 0;
	if (*s >= '0' && *s <= '7') {
		for (size_t i = 0; i < 3; i++)
			x = x * 8 + (uint32_t)(s[i] - '0');
		out[(*out_len)++] = (char)x;
		return 3;
	}
	if (!digits) {
		out[(*out_len)++] = simple_escape(*s);
		return 1;
	}
	for (size_t i = 1; i <= digits; i++)
		x = x * 16 + (uint32_t)hex_value(s[i]);
	if (digits == 2)
		out[(*out_len)++] = (char)x;
	else
		*out_len += rune_encode(x, out + *out_len);
	return digits + 1;
}

struct ql_str ql_parse_unquote(struct ql_parser *p, struct ql_token t)
{
	const char *s = p->lex.text + t.pos + 1;
	size_t len = t.len - 2, out_len = 0;
	/* An escape is never shorter than what it stands for. */
	char *out = arena_alloc(p->arena, len + 1);
	if (!out) {
		ql_parse_fail(p, t.pos, "out of memory for this query");
		return (struct ql_str){ "", 0 };
	}
	bool raw = s[-1] == '`';
	for (size_t i = 0; i < len; i++) {
		if (raw || s[i] != '\\')
			out[out_len++] = s[i];
		else
			i += unescape(s + i + 1, out, &out_len);
	}
	out[out_len] = 0;
	return (struct ql_str){ out, (uint32_t)out_len };
}

static int unit_rank(const char *s, size_t len)
{
	static const char *const units[] = { "y", "w", "d", "h", "m", "s", "ms" };
	for (int i = 0; i < (int)COUNT_OF(units); i++)
		if (strlen(units[i]) == len && !memcmp(units[i], s, len))
			return i;
	return -1;
}

/* Why a text that the lexer took for a duration is none: an unknown unit, or the rest. */
static void fail_duration(struct ql_parser *p, struct ql_token t)
{
	const char *s = p->lex.text + t.pos, *end = s + t.len;
	for (int last = -1; s < end;) {
		const char *digits = s;
		while (s < end && *s >= '0' && *s <= '9')
			s++;
		const char *unit = s;
		while (s < end && (*s < '0' || *s > '9'))
			s++;
		int rank = unit_rank(unit, (size_t)(s - unit));
		if (rank < 0 && unit > digits && s > unit) {
			struct buf b;
			buf_init(&b);
			buf_add_str(&b, "unknown unit ");
			label_quote_go(&b, unit, (size_t)(s - unit));
			buf_add_str(&b, " in duration ");
			buf_add_u8(&b, 0);
			ql_parse_fail_quoted(
			    p, t.pos, (const char *)b.data, p->lex.text + t.pos, t.len, "");
			buf_release(&b);
			return;
		}
		if (rank <= last || unit == digits)
			break;
		last = rank;
	}
	ql_parse_fail_quoted(
	    p, t.pos, "not a valid duration string: ", p->lex.text + t.pos, t.len, "");
}

bool ql_parse_number(struct ql_parser *p, struct ql_token t, double *v)
{
	const char *s = p->lex.text + t.pos;
	if (t.tok == QLT_NUMBER) {
		enum err e = num_parse_go(s, t.len, v);
		if (e)
			ql_parse_fail_quoted(p, t.pos,
			    "error parsing number: strconv.ParseFloat: parsing ", s, t.len,
			    e == ERR_TOOBIG ? ": value out of range" : ": invalid syntax");
		return !e;
	}
	int64_t ms = 0;
	enum err e = num_parse_duration(s, t.len, &ms);
	if (e == ERR_TOOBIG)
		ql_parse_fail(p, t.pos, "duration out of range");
	else if (e)
		fail_duration(p, t);
	*v = (double)(ms / 1000) + (double)(ms % 1000) / 1000.0;
	return !e;
}

/* ---- matchers ---- */

bool ql_tok_is_metric_name(enum ql_tok tok)
{
	return tok == QLT_IDENT || tok == QLT_METRIC || (tok >= QLT_AND && tok <= QLT_UNLESS) ||
	    ql_tok_is_aggregator(tok) || (tok >= QLT_OFFSET && tok <= QLT_WITHOUT) ||
	    (tok >= QLT_FILL && tok <= QLT_FILL_RIGHT) || (tok >= QLT_START && tok <= QLT_MIN_OF);
}

struct matcher_list {
	struct matcher *v;
	uint32_t count, cap;
};

static bool over(const struct ql_counts *c, const struct limits *l)
{
	return c->selectors > l->query_selectors || c->matchers > l->query_matchers ||
	    c->pattern_bytes > l->query_pattern_bytes;
}

static void count_matcher(
    struct ql_parser *p, uint32_t matchers, enum matcher_type type, struct ql_str value)
{
	struct ql_counts *c = &p->counts;

	if (matchers > c->matchers)
		c->matchers = matchers;
	if ((type == MATCHER_RE || type == MATCHER_NRE) && rex_needs_engine(value.s, value.len))
		c->pattern_bytes += value.len > QL_PATTERN_LEAST ? value.len : QL_PATTERN_LEAST;
}

static bool add_matcher(struct ql_parser *p, struct matcher_list *l, enum matcher_type type,
    struct ql_str name, struct ql_str value, uint32_t pos)
{
	if (l->count == l->cap) {
		uint32_t cap = l->cap ? l->cap * 2 : 4;
		struct matcher *v = arena_array(p->arena, cap, sizeof(*v));
		if (!v)
			return ql_parse_fail(p, pos, "out of memory for this query");
		if (l->count)
			memcpy(v, l->v, l->count * sizeof(*v));
		l->v = v;
		l->cap = cap;
	}
	count_matcher(p, l->count + 1, type, value);
	if (over(&p->counts, p->limits)) { /* the text is read to its end, to know how much it is */
		l->v[l->count++] = (struct matcher){ .type = MATCHER_EQ, .name = "", .value = "" };
		return true;
	}
	struct errbuf eb;
	errbuf_init(&eb);
	if (matcher_init(&l->v[l->count], type, name.s, name.len, value.s, value.len, &eb))
		return ql_parse_fail(p, pos, "%s", eb.text);
	l->count++;
	return true;
}

static bool match_op(enum ql_tok t, enum matcher_type *out)
{
	if (t == QLT_EQL)
		*out = MATCHER_EQ;
	else if (t == QLT_NEQ)
		*out = MATCHER_NE;
	else if (t == QLT_EQL_REGEX)
		*out = MATCHER_RE;
	else if (t == QLT_NEQ_REGEX)
		*out = MATCHER_NRE;
	else
		return false;
	return true;
}

static const char in_matching[] = "label matching";

/* name op "value", "name" op "value", or "metric name" alone */
static bool parse_matcher(struct ql_parser *p, struct matcher_list *l)
{
	enum ql_tok t = ql_parse_ahead(p);
	enum matcher_type type;
	if (t != QLT_IDENT && t != QLT_STRING)
		return ql_parse_unexpected(p, in_matching, "identifier or \"}\"");
	struct ql_token name_tok = ql_parse_take(p);
	struct ql_str name = { p->lex.text + name_tok.pos, name_tok.len };
	if (t == QLT_STRING)
		name = ql_parse_unquote(p, name_tok);
	if (!match_op(ql_parse_ahead(p), &type)) {
		if (t == QLT_IDENT)
			return ql_parse_unexpected(p, in_matching, "label matching operator");
		return add_matcher(p, l, MATCHER_EQ,
		    (struct ql_str){ LABEL_NAME, sizeof(LABEL_NAME) - 1 }, name, name_tok.pos);
	}
	ql_parse_take(p);
	if (ql_parse_ahead(p) != QLT_STRING)
		return ql_parse_unexpected(p, in_matching, "string");
	struct ql_str value = ql_parse_unquote(p, ql_parse_take(p));
	return add_matcher(p, l, type, name, value, name_tok.pos);
}

/* { [matcher {, matcher} [,]] } */
static bool parse_braces(struct ql_parser *p, struct matcher_list *l)
{
	ql_parse_take(p);
	if (ql_parse_accept(p, QLT_RBRACE))
		return true;
	for (;;) {
		if (!parse_matcher(p, l))
			return false;
		if (ql_parse_accept(p, QLT_RBRACE))
			return true;
		if (ql_parse_ahead(p) != QLT_COMMA)
			return ql_parse_unexpected(p, in_matching, "\",\" or \"}\"");
		ql_parse_take(p);
		if (ql_parse_accept(p, QLT_RBRACE))
			return true;
	}
}

/* Remembers what was made even when the parse has failed meanwhile. */
static bool remember(struct ql_parser *p, const struct matcher_list *l)
{
	if (!l->count)
		return true;
	struct ql_made *m = arena_alloc(p->arena, sizeof(*m));
	if (!m) {
		for (uint32_t i = 0; i < l->count; i++)
			matcher_release(&l->v[i]);
		return ql_parse_fail(p, 0, "out of memory for this query");
	}
	*m = (struct ql_made){
		.next = p->made, .matchers = l->v, .count = l->count, .purse = p->arena->_purse
	};
	for (uint32_t i = 0; i < l->count; i++)
		m->bytes += l->v[i].rex ? rex_bytes(l->v[i].rex) : 0;
	if (m->purse)
		purse_force(m->purse, m->bytes);
	p->made = m;
	return true;
}

static void made_release(struct ql_made *m)
{
	for (; m; m = m->next) {
		for (uint32_t i = 0; i < m->count; i++)
			matcher_release(&m->matchers[i]);
		m->count = 0;
		if (m->purse)
			purse_give(m->purse, m->bytes);
		m->bytes = 0;
	}
}

void ql_ast_release(struct ql_node *n)
{
	made_release(n->made);
	n->made = NULL;
}

void ql_parse_release_made(struct ql_parser *p)
{
	made_release(p->made);
	p->made = NULL;
}

struct ql_node *ql_parse_vector_selector(struct ql_parser *p)
{
	struct ql_str name = { "", 0 };
	struct matcher_list l = { 0 };
	ql_parse_ahead(p);
	uint32_t start = p->t.pos, end = start;
	bool named = ql_tok_is_metric_name(p->t.tok);
	if (!named && p->t.tok != QLT_LBRACE)
		return ql_parse_unexpected_here(p);
	if (named) {
		struct ql_token t = ql_parse_take(p);
		name = (struct ql_str){ arena_strndup(p->arena, p->lex.text + t.pos, t.len), t.len };
		if (!name.s)
			return ql_parse_fail(p, start, "out of memory for this query");
		end = t.pos + t.len;
	}
	bool ok = true;
	p->counts.selectors++;
	if (ql_parse_ahead(p) == QLT_LBRACE) {
		ok = parse_braces(p, &l);
		end = p->closing;
	}
	if (ok && named)
		ok = add_matcher(p, &l, MATCHER_EQ,
		    (struct ql_str){ LABEL_NAME, sizeof(LABEL_NAME) - 1 }, name, start);
	ok = remember(p, &l) && ok;
	struct ql_node *n =
	    ok && !p->err ? ql_parse_new_node(p, QL_SELECTOR, QL_VECTOR, start, end) : NULL;
	if (!n)
		return NULL;
	n->sel.name = name;
	n->sel.matchers = l.v;
	n->sel.matchers_count = l.count;
	n->sel.sel_end = end;
	return n;
}

/* ---- grouping labels ---- */

static const char in_grouping[] = "grouping opts";

/* Every word but "without" can be a label here. */
static bool is_label_word(enum ql_tok t)
{
	return ql_tok_is_metric_name(t) ? t != QLT_WITHOUT
	                                : t == QLT_BOOL || t == QLT_GROUP_LEFT ||
	        t == QLT_GROUP_RIGHT || t == QLT_IGNORING || t == QLT_ON || t == QLT_ATAN2;
}

static bool parse_grouping_label(struct ql_parser *p, struct ql_str *out)
{
	enum ql_tok t = ql_parse_ahead(p);
	if (t != QLT_STRING && !is_label_word(t))
		return ql_parse_unexpected(p, in_grouping, "label");
	struct ql_token tok = ql_parse_take(p);
	if (t == QLT_STRING)
		*out = ql_parse_unquote(p, tok);
	else
		*out = (struct ql_str){ p->lex.text + tok.pos, tok.len };
	/* Any text is a label name, but not the empty one and not what is no UTF-8. */
	if (!out->len || !rune_valid(out->s, out->len))
		return ql_parse_fail_quoted(
		    p, tok.pos, "invalid label name for grouping: ", out->s, out->len, "");
	out->s = arena_strndup(p->arena, out->s, out->len);
	return out->s || ql_parse_fail(p, tok.pos, "out of memory for this query");
}

bool ql_parse_grouping(struct ql_parser *p, struct ql_str **labels, uint32_t *count)
{
	uint32_t cap = 0, n = 0;
	struct ql_str *v = NULL;
	if (ql_parse_ahead(p) != QLT_LPAREN)
		return ql_parse_unexpected(p, in_grouping, "\"(\"");
	ql_parse_take(p);
	while (!ql_parse_accept(p, QLT_RPAREN)) {
		if (n == cap) {
			cap = cap ? cap * 2 : 4;
			struct ql_str *more = arena_array(p->arena, cap, sizeof(*v));
			if (!more)
				return ql_parse_fail(p, p->t.pos, "out of memory for this query");
			if (n)
				memcpy(more, v, n * sizeof(*v));
			v = more;
		}
		if (!parse_grouping_label(p, &v[n]))
			return false;
		n++;
		if (ql_parse_ahead(p) == QLT_COMMA)
			ql_parse_take(p);
		else if (ql_parse_ahead(p) != QLT_RPAREN)
			return ql_parse_unexpected(p, in_grouping, "\",\" or \")\"");
	}
	*labels = v;
	*count = n;
	return true;
}
