/* Prometheus 3.14 promql/parser/lex.go decides what is a token and what is said of the rest. */
#include "core/promql/lang/ql_lex.h"

#include "core/base/rune.h"
#include "core/model/label.h"
#include <stdio.h>
#include <string.h>

#define RUNE_ERROR 0xfffd
#define RUNE_EOF   (-1)

static const struct word {
	const char *text;
	enum ql_tok tok;
} words[] = {
	/* Sorted. inf and nan are numbers. */
	{ "anchored", QLT_ANCHORED },
	{ "and", QLT_AND },
	{ "atan2", QLT_ATAN2 },
	{ "avg", QLT_AVG },
	{ "bool", QLT_BOOL },
	{ "bottomk", QLT_BOTTOMK },
	{ "by", QLT_BY },
	{ "count", QLT_COUNT },
	{ "count_values", QLT_COUNT_VALUES },
	{ "end", QLT_END },
	{ "fill", QLT_FILL },
	{ "fill_left", QLT_FILL_LEFT },
	{ "fill_right", QLT_FILL_RIGHT },
	{ "group", QLT_GROUP },
	{ "group_left", QLT_GROUP_LEFT },
	{ "group_right", QLT_GROUP_RIGHT },
	{ "ignoring", QLT_IGNORING },
	{ "inf", QLT_NUMBER },
	{ "limit_ratio", QLT_LIMIT_RATIO },
	{ "limitk", QLT_LIMITK },
	{ "max", QLT_MAX },
	{ "max_of", QLT_MAX_OF },
	{ "min", QLT_MIN },
	{ "min_of", QLT_MIN_OF },
	{ "nan", QLT_NUMBER },
	{ "offset", QLT_OFFSET },
	{ "on", QLT_ON },
	{ "or", QLT_OR },
	{ "quantile", QLT_QUANTILE },
	{ "range", QLT_RANGE },
	{ "smoothed", QLT_SMOOTHED },
	{ "start", QLT_START },
	{ "stddev", QLT_STDDEV },
	{ "stdvar", QLT_STDVAR },
	{ "step", QLT_STEP },
	{ "sum", QLT_SUM },
	{ "topk", QLT_TOPK },
	{ "unless", QLT_UNLESS },
	{ "without", QLT_WITHOUT },
};
#define WORD_LEN_MAX 12

/* What a step of the lexer found: nothing yet (space, a change of state) or a token. */
enum step {
	STEP_AGAIN,
	STEP_TOKEN
};

static bool is_space(int32_t r)
{
	return r == ' ' || r == '\t' || r == '\n' || r == '\r';
}
static bool is_digit(int32_t r)
{
	return r >= '0' && r <= '9';
}
static bool is_alpha(int32_t r)
{
	return r == '_' || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z');
}
static bool is_alnum(int32_t r)
{
	return is_alpha(r) || is_digit(r);
}

/* As Go reads: a byte that is no UTF-8 is one U+FFFD. */
static int32_t decode(const char *s, size_t len, uint32_t *width)
{
	uint32_t rune = RUNE_ERROR;
	*width = (uint32_t)rune_decode(s, len, &rune);
	if (*width)
		return (int32_t)rune;
	if (!len)
		return RUNE_EOF;
	*width = 1;
	return RUNE_ERROR;
}

static size_t encode(int32_t rune, char out[4])
{
	bool valid = rune >= 0 && rune <= 0x10ffff && !(rune >= 0xd800 && rune < 0xe000);
	return rune_encode(valid ? (uint32_t)rune : RUNE_ERROR, out);
}

void ql_quote_rune(struct buf *out, int32_t rune)
{
	if (rune == '"' || rune == '\'') {
		buf_add_str(out, rune == '"' ? "'\"'" : "'\\''");
		return;
	}
	char utf8[4];
	size_t at = out->len;
	label_quote_go(out, utf8, encode(rune, utf8));
	if (out->over)
		return;
	out->data[at] = '\'';
	out->data[out->len - 1] = '\'';
}

/* ---- reading ---- */

static int32_t next(struct ql_lex *l)
{
	uint32_t width;
	int32_t r = decode(l->text + l->pos, l->len - l->pos, &width);
	l->pos += width;
	return r;
}
static int32_t peek(const struct ql_lex *l)
{
	uint32_t width;
	return decode(l->text + l->pos, l->len - l->pos, &width);
}
static bool peek_in(const struct ql_lex *l, const char *set)
{
	int32_t r = peek(l);
	return r > 0 && r < 0x80 && strchr(set, r);
}
static bool accept(struct ql_lex *l, const char *set)
{
	if (!peek_in(l, set))
		return false;
	l->pos++;
	return true;
}
static void skip_spaces(struct ql_lex *l)
{
	while (is_space(peek(l)))
		l->pos++;
	l->start = l->pos;
}

static enum step emit(struct ql_lex *l, struct ql_token *out, enum ql_tok tok)
{
	*out = (struct ql_token){ .tok = tok, .pos = l->start, .len = l->pos - l->start };
	l->start = l->pos;
	return STEP_TOKEN;
}

/* An error ends the tokens. The texts may hold a rune or the token so far, as Go's %q or %#U. */
static enum step fail_text(struct ql_lex *l, struct ql_token *out, const char *text)
{
	rune_printf(l->error, sizeof(l->error), "%s", text);
	*out = (struct ql_token){ .tok = QLT_ERROR, .pos = l->start, .len = 0 };
	return STEP_TOKEN;
}
static enum step fail_rune(
    struct ql_lex *l, struct ql_token *out, const char *before, int32_t rune, const char *after)
{
	struct buf b;
	buf_init(&b);
	buf_add_str(&b, before);
	ql_quote_rune(&b, rune);
	buf_add_str(&b, after);
	buf_add_u8(&b, 0);
	fail_text(l, out, (const char *)b.data);
	buf_release(&b);
	return STEP_TOKEN;
}
static enum step fail_token(struct ql_lex *l, struct ql_token *out, const char *before)
{
	struct buf b;
	buf_init(&b);
	buf_add_str(&b, before);
	label_quote_go(&b, l->text + l->start, l->pos - l->start);
	buf_add_u8(&b, 0);
	fail_text(l, out, (const char *)b.data);
	buf_release(&b);
	return STEP_TOKEN;
}
/* Go's %#U: U+0071 'q' */
static enum step fail_escape(
    struct ql_lex *l, struct ql_token *out, const char *before, int32_t rune, const char *after)
{
	char where[64], quoted[8];
	quoted[encode(rune, quoted)] = 0;
	bool printable = rune_printable((uint32_t)rune);
	snprintf(where, sizeof(where), printable ? "U+%04X '%s'" : "U+%04X", (unsigned)rune, quoted);
	char text[160];
	snprintf(text, sizeof(text), "%s%s%s", before, where, after);
	return fail_text(l, out, text);
}

/* ---- numbers and durations ---- */

/* [.][d][d._eE]*, or hex digits behind 0x; whether it is a number shows when it is read. */
static bool scan_number(struct ql_lex *l)
{
	uint32_t first = l->pos;
	const char *digits = "0123456789", *body = "0123456789._eE";
	bool hex = false;
	if (accept(l, "0") && accept(l, "xX")) {
		accept(l, "_");
		hex = true;
		digits = "0123456789abcdefABCDEF";
		body = "0123456789abcdefABCDEF._";
	}
	accept(l, ".");
	accept(l, digits);
	bool dot = false, exponent = false;
	while (peek_in(l, body)) {
		if (peek_in(l, ".")) {
			l->pos++;
			/* "." neither repeats, nor stands before "_", nor in hex. */
			if (dot)
				return false;
			dot = true;
			if (accept(l, "_.") || hex)
				return false;
		} else if (peek_in(l, "eE")) {
			/*
			 * In hex "e" repeats only as a digit: Prometheus looks at it as an exponent
			 * first.
			 */
			l->pos++;
			if (exponent)
				return false;
			exponent = true;
			accept(l, "+-");
			if (accept(l, "._eE") || peek(l) == RUNE_EOF)
				return false;
		} else if (accept(l, "_")) {
			if (accept(l, "._eE") || peek(l) == RUNE_EOF)
				return false;
		} else {
			while (peek_in(l, digits))
				l->pos++;
		}
	}
	return l->pos != first && !is_alnum(peek(l));
}

static bool scan_duration_rest(struct ql_lex *l)
{
	if (!accept(l, "smhdwy"))
		return false;
	accept(l, "s");
	while (accept(l, "0123456789")) {
		while (accept(l, "0123456789"))
			;
		if (!accept(l, "smhdw"))
			return false;
		accept(l, "s");
	}
	if (is_alnum(peek(l))) {
		next(l);
		return false;
	}
	return true;
}

static enum step lex_number(struct ql_lex *l, struct ql_token *out)
{
	if (scan_number(l))
		return emit(l, out, QLT_NUMBER);
	if (scan_duration_rest(l))
		return emit(l, out, QLT_DURATION);
	return fail_token(l, out, "bad number or duration syntax: ");
}

/* ---- strings ---- */

static int digit_value(int32_t r)
{
	if (r >= '0' && r <= '9')
		return r - '0';
	if (r >= 'a' && r <= 'f')
		return r - 'a' + 10;
	if (r >= 'A' && r <= 'F')
		return r - 'A' + 10;
	return 16;
}

/* Behind a backslash. STEP_AGAIN: fine. */
static enum step lex_escape(struct ql_lex *l, int32_t quote, struct ql_token *out)
{
	int n, base;
	uint32_t max, x = 0;
	int32_t r = next(l);
	if (r == quote || (r > 0 && r < 0x80 && strchr("abfnrtv\\", r)))
		return STEP_AGAIN;
	switch (r) {
	case '0':
	case '1':
	case '2':
	case '3':
	case '4':
	case '5':
	case '6':
	case '7':
		n = 3, base = 8, max = 255;
		break;
	case 'x':
		r = next(l);
		n = 2, base = 16, max = 255;
		break;
	case 'u':
		r = next(l);
		n = 4, base = 16, max = 0x10ffff;
		break;
	case 'U':
		r = next(l);
		n = 8, base = 16, max = 0x10ffff;
		break;
	case RUNE_EOF:
		return fail_text(l, out, "escape sequence not terminated");
	default:
		return fail_escape(l, out, "unknown escape sequence ", r, "");
	}
	for (; n > 0; n--) {
		int d = digit_value(r);
		if (d >= base) {
			if (r == RUNE_EOF)
				return fail_text(l, out, "escape sequence not terminated");
			return fail_escape(l, out, "illegal character ", r, " in escape sequence");
		}
		x = x * (uint32_t)base + (uint32_t)d;
		if (n > 1)
			r = next(l);
	}
	if (x > max || (x >= 0xd800 && x < 0xe000))
		return fail_text(l, out, "escape sequence is an invalid Unicode code point");
	return STEP_AGAIN;
}

static enum step lex_string(struct ql_lex *l, int32_t quote, struct ql_token *out)
{
	for (;;) {
		int32_t r = next(l);
		if (r == quote)
			return emit(l, out, QLT_STRING);
		if (r == RUNE_ERROR)
			return fail_text(l, out, "invalid UTF-8 rune");
		if (quote == '`') {
			if (r == RUNE_EOF)
				return fail_text(l, out, "unterminated raw string");
			continue;
		}
		if (r == RUNE_EOF || r == '\n')
			return fail_text(l, out, "unterminated quoted string");
		if (r == '\\' && lex_escape(l, quote, out) == STEP_TOKEN)
			return STEP_TOKEN;
	}
}

/* ---- words ---- */

static bool word_find(const char *s, size_t len, enum ql_tok *tok)
{
	char lower[WORD_LEN_MAX + 1];
	if (len > WORD_LEN_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		lower[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + 32) : s[i];
	lower[len] = 0;
	size_t lo = 0, hi = COUNT_OF(words);
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = strcmp(lower, words[mid].text);
		if (c == 0) {
			*tok = words[mid].tok;
			return true;
		}
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return false;
}

static enum step lex_word(struct ql_lex *l, struct ql_token *out)
{
	bool colon = false;
	for (int32_t r; is_alnum(r = peek(l)) || r == ':'; l->pos++)
		colon = colon || r == ':';
	enum ql_tok tok;
	if (!word_find(l->text + l->start, l->pos - l->start, &tok))
		return emit(l, out, colon ? QLT_METRIC : QLT_IDENT);
	if (tok == QLT_FILL || tok == QLT_FILL_LEFT || tok == QLT_FILL_RIGHT) {
		/* Only before a parenthesis, so that old metrics of these names go on. */
		uint32_t at = l->pos;
		while (at < l->len && is_space(l->text[at]))
			at++;
		if (at == l->len || l->text[at] != '(')
			tok = QLT_IDENT;
	}
	return emit(l, out, tok);
}

/* step, range, max_of, min_of inside brackets; the first letter has been read. */
static bool lex_duration_word(struct ql_lex *l, struct ql_token *out)
{
	while (is_alpha(peek(l)))
		l->pos++;
	enum ql_tok tok;
	if (!word_find(l->text + l->start, l->pos - l->start, &tok))
		return false;
	if (tok != QLT_STEP && tok != QLT_RANGE && tok != QLT_MAX_OF && tok != QLT_MIN_OF)
		return false;
	emit(l, out, tok);
	return true;
}
static bool starts_duration_word(int32_t r)
{
	return r == 's' || r == 'r' || r == 'm' || r == 'S' || r == 'R' || r == 'M';
}

/* ---- states ---- */

static enum step lex_braces(struct ql_lex *l, struct ql_token *out)
{
	int32_t r = next(l), n;
	switch (r) {
	case RUNE_EOF:
		return fail_text(l, out, "unexpected end of input inside braces");
	case ',':
		return emit(l, out, QLT_COMMA);
	case '"':
	case '\'':
	case '`':
		return lex_string(l, r, out);
	case '=':
		return emit(l, out, accept(l, "~") ? QLT_EQL_REGEX : QLT_EQL);
	case '!':
		n = next(l);
		if (n == '~')
			return emit(l, out, QLT_NEQ_REGEX);
		if (n == '=')
			return emit(l, out, QLT_NEQ);
		return fail_rune(l, out, "unexpected character after '!' inside braces: ", n, "");
	case '{':
		return fail_rune(l, out, "unexpected left brace ", r, "");
	case '}':
		l->brace_open = false;
		return emit(l, out, QLT_RBRACE);
	default:
		break;
	}
	if (is_space(r)) {
		skip_spaces(l);
		return STEP_AGAIN;
	}
	if (is_alpha(r)) {
		while (is_alnum(peek(l)))
			l->pos++;
		return emit(l, out, QLT_IDENT);
	}
	return fail_rune(l, out, "unexpected character inside braces: ", r, "");
}

static enum step lex_right_paren(struct ql_lex *l, struct ql_token *out)
{
	emit(l, out, QLT_RPAREN);
	if (--l->paren_depth < 0)
		return fail_rune(l, out, "unexpected right parenthesis ", ')', "");
	return STEP_TOKEN;
}

/* The signs that mean the same in both states below. */
static bool lex_sign(struct ql_lex *l, int32_t r, struct ql_token *out)
{
	static const struct {
		char sign;
		enum ql_tok tok;
	} signs[] = { { '+', QLT_ADD }, { '-', QLT_SUB }, { '*', QLT_MUL }, { '/', QLT_DIV },
		{ '%', QLT_MOD }, { '^', QLT_POW }, { ',', QLT_COMMA } };
	for (size_t i = 0; i < COUNT_OF(signs); i++)
		if (r == signs[i].sign) {
			emit(l, out, signs[i].tok);
			return true;
		}
	return false;
}

static enum step lex_duration(struct ql_lex *l, struct ql_token *out)
{
	int32_t r = next(l);
	if (lex_sign(l, r, out))
		return STEP_TOKEN;
	switch (r) {
	case RUNE_EOF:
		return fail_text(l, out, "unexpected end of input in duration expression");
	case ']':
		l->bracket_open = l->got_colon = l->in_duration = false;
		return emit(l, out, QLT_RBRACKET);
	case ':':
		emit(l, out, QLT_COLON);
		if (!l->got_duration)
			return fail_text(
			    l, out, "unexpected colon before duration in duration expression");
		if (l->got_colon)
			return fail_text(l, out, "unexpected repeated colon in duration expression");
		l->got_colon = true;
		return STEP_TOKEN;
	case '(':
		l->paren_depth++;
		return emit(l, out, QLT_LPAREN);
	case ')':
		return lex_right_paren(l, out);
	default:
		break;
	}
	if (is_space(r)) {
		skip_spaces(l);
		return STEP_AGAIN;
	}
	if (starts_duration_word(r) && lex_duration_word(l, out))
		return STEP_TOKEN;
	if (is_digit(r) || (r == '.' && is_digit(peek(l)))) {
		l->pos = l->start;
		l->got_duration = true;
		l->in_duration = false;
		return lex_number(l, out);
	}
	return fail_rune(l, out, "unexpected character in duration expression: ", r, "");
}

/* Behind one of = ! < > */
static enum step lex_comparison(struct ql_lex *l, int32_t r, struct ql_token *out)
{
	switch (r) {
	case '=':
		if (peek(l) == '~')
			return fail_rune(l, out, "unexpected character after '=': ", '~', "");
		return emit(l, out, accept(l, "=") ? QLT_EQLC : QLT_EQL);
	case '!':
		if ((r = next(l)) != '=')
			return fail_rune(l, out, "unexpected character after '!': ", r, "");
		return emit(l, out, QLT_NEQ);
	case '<':
		return emit(l, out,
		    accept(l, "=")       ? QLT_LTE
		        : accept(l, "/") ? QLT_TRIM_UPPER
		                         : QLT_LSS);
	default:
		return emit(l, out,
		    accept(l, "=")       ? QLT_GTE
		        : accept(l, "/") ? QLT_TRIM_LOWER
		                         : QLT_GTR);
	}
}

/* A letter or colon, already read. */
static enum step lex_letter(struct ql_lex *l, int32_t r, struct ql_token *out)
{
	if (!l->bracket_open) {
		l->pos = l->start;
		return lex_word(l, out);
	}
	if (r == ':') {
		if (l->got_colon)
			return fail_rune(l, out, "unexpected colon ", r, "");
		l->got_colon = true;
		return emit(l, out, QLT_COLON);
	}
	if (starts_duration_word(r) && lex_duration_word(l, out))
		return STEP_TOKEN;
	return fail_rune(l, out, "unexpected character: ", r, ", expected ':'");
}

static enum step lex_end(struct ql_lex *l, struct ql_token *out)
{
	if (l->paren_depth)
		return fail_text(l, out, "unclosed left parenthesis");
	if (l->bracket_open)
		return fail_text(l, out, "unclosed left bracket");
	return emit(l, out, QLT_EOF);
}

static enum step lex_statement(struct ql_lex *l, struct ql_token *out)
{
	int32_t r = next(l);
	if (lex_sign(l, r, out))
		return STEP_TOKEN;
	switch (r) {
	case RUNE_EOF:
		return lex_end(l, out);
	case '=':
	case '!':
	case '<':
	case '>':
		return lex_comparison(l, r, out);
	case '"':
	case '\'':
	case '`':
		return lex_string(l, r, out);
	case '(':
		l->paren_depth++;
		return emit(l, out, QLT_LPAREN);
	case ')':
		return lex_right_paren(l, out);
	case '{':
		l->brace_open = true;
		return emit(l, out, QLT_LBRACE);
	case '[':
		if (l->bracket_open)
			return fail_rune(l, out, "unexpected left bracket ", r, "");
		emit(l, out, QLT_LBRACKET);
		skip_spaces(l);
		l->got_colon = false;
		l->bracket_open = l->in_duration = true;
		return STEP_TOKEN;
	case ']':
		if (!l->bracket_open)
			return fail_rune(l, out, "unexpected right bracket ", r, "");
		l->bracket_open = false;
		return emit(l, out, QLT_RBRACKET);
	case '@':
		return emit(l, out, QLT_AT);
	default:
		break;
	}
	if (is_space(r)) {
		skip_spaces(l);
		return STEP_AGAIN;
	}
	if (is_digit(r) || (r == '.' && is_digit(peek(l)))) {
		l->pos = l->start;
		return lex_number(l, out);
	}
	if (is_alpha(r) || r == ':')
		return lex_letter(l, r, out);
	return fail_rune(l, out, "unexpected character: ", r, "");
}

void ql_lex_init(struct ql_lex *lex, const char *text, uint32_t len)
{
	*lex = (struct ql_lex){ .text = text, .len = len };
}

void ql_lex_next(struct ql_lex *lex, struct ql_token *out)
{
	enum step s;
	do {
		if (!lex->in_duration && lex->pos < lex->len && lex->text[lex->pos] == '#') {
			while (lex->pos < lex->len && lex->text[lex->pos] != '\n' &&
			    lex->text[lex->pos] != '\r')
				lex->pos++;
			lex->start = lex->pos;
		}
		if (lex->in_duration)
			s = lex_duration(lex, out);
		else if (lex->brace_open)
			s = lex_braces(lex, out);
		else
			s = lex_statement(lex, out);
	} while (s == STEP_AGAIN);
}

bool ql_tok_is_operator(enum ql_tok tok)
{
	return tok >= QLT_ADD && tok <= QLT_ATAN2;
}
bool ql_tok_is_aggregator(enum ql_tok tok)
{
	return tok >= QLT_SUM && tok <= QLT_LIMIT_RATIO;
}
bool ql_tok_is_keyword(enum ql_tok tok)
{
	return tok >= QLT_OFFSET && tok <= QLT_BOOL;
}

/* Go's %q, and "%.10q..." when the token is long. */
static void quote_short(struct buf *out, const char *s, uint32_t len)
{
	if (len <= 10) {
		label_quote_go(out, s, len);
		return;
	}
	uint32_t at = 0, width;
	for (int i = 0; i < 10 && at < len; i++) {
		decode(s + at, len - at, &width);
		at += width;
	}
	label_quote_go(out, s, at);
	buf_add_str(out, "...");
}

void ql_tok_describe(struct buf *out, const char *text, const struct ql_token *t)
{
	const char *s = text + t->pos;
	const char *kind = NULL;
	if (t->tok == QLT_EOF) {
		buf_add_str(out, "end of input");
		return;
	}
	if (ql_tok_is_keyword(t->tok) || ql_tok_is_operator(t->tok) || ql_tok_is_aggregator(t->tok)) {
		kind = ql_tok_is_operator(t->tok)  ? "op:"
		    : ql_tok_is_aggregator(t->tok) ? "aggr:"
		                                   : "";
		buf_add_str(out, "<");
		buf_add_str(out, kind);
		buf_add(out, s, t->len);
		buf_add_str(out, ">");
		return;
	}
	if (t->tok == QLT_IDENT || t->tok == QLT_METRIC) {
		buf_add_str(out, t->tok == QLT_IDENT ? "identifier " : "metric identifier ");
		label_quote_go(out, s, t->len);
		return;
	}
	if (t->tok == QLT_NUMBER)
		kind = "number ";
	else if (t->tok == QLT_DURATION)
		kind = "duration ";
	else if (t->tok == QLT_STRING)
		kind = "string ";
	if (kind)
		buf_add_str(out, kind);
	quote_short(out, s, t->len);
}
