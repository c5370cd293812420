/*
 * ql_lex - the words of PromQL, one at a time.
 *
 * The lexer has a state of its own, as Prometheus' has: inside braces every word is a name, inside
 * brackets words are durations, and some mistakes (an unclosed bracket, a bad character) are found
 * here, not in the parser.
 * After QLT_ERROR (text in lex->error) or QLT_EOF nothing more comes: the parser stops at the first
 * mistake.
 * Any bytes are safe. The parser limits how long a text is. Memory: tokens are
 * offsets into the text. Thread: pure.
 */
#ifndef CORE_PROMQL_LANG_QL_LEX_H
#define CORE_PROMQL_LANG_QL_LEX_H

#include "core/base/buf.h"
#include "core/base/err.h"

/* clang-format off */
enum ql_tok {
	/* QLT_METRIC: an identifier with colons */
	QLT_EOF, QLT_ERROR, QLT_IDENT, QLT_METRIC, QLT_NUMBER, QLT_DURATION, QLT_STRING,
	QLT_LBRACE, QLT_RBRACE, QLT_LPAREN, QLT_RPAREN, QLT_LBRACKET, QLT_RBRACKET, QLT_COMMA, QLT_COLON, QLT_EQL,
	/* operators */
	QLT_ADD, QLT_SUB, QLT_MUL, QLT_DIV, QLT_MOD, QLT_POW, QLT_EQLC, QLT_NEQ, QLT_EQL_REGEX, QLT_NEQ_REGEX,
	QLT_LSS, QLT_LTE, QLT_GTR, QLT_GTE, QLT_TRIM_UPPER, QLT_TRIM_LOWER, QLT_AT,
	QLT_AND, QLT_OR, QLT_UNLESS, QLT_ATAN2,
	/* aggregators */
	QLT_SUM, QLT_AVG, QLT_COUNT, QLT_MIN, QLT_MAX, QLT_GROUP, QLT_STDDEV, QLT_STDVAR, QLT_TOPK, QLT_BOTTOMK,
	QLT_COUNT_VALUES, QLT_QUANTILE, QLT_LIMITK, QLT_LIMIT_RATIO,
	/* keywords */
	QLT_OFFSET, QLT_SMOOTHED, QLT_ANCHORED, QLT_BY, QLT_WITHOUT, QLT_ON, QLT_IGNORING, QLT_GROUP_LEFT, QLT_GROUP_RIGHT,
	QLT_FILL, QLT_FILL_LEFT, QLT_FILL_RIGHT, QLT_BOOL,
	/* special before a parenthesis only */
	QLT_START, QLT_END, QLT_STEP, QLT_RANGE, QLT_MAX_OF, QLT_MIN_OF,
	QLT_COUNT_OF_TOKENS
};
/* clang-format on */

struct ql_token {
	enum ql_tok tok;
	uint32_t pos, len; /* where it stands in the text */
};
struct ql_lex {
	const char *text;
	uint32_t len;
	uint32_t pos;   /* next byte to read */
	uint32_t start; /* first byte of the current token */
	int paren_depth;
	bool brace_open, bracket_open;
	bool got_colon, got_duration; /* inside the brackets */
	bool in_duration;             /* the stricter state right behind a left bracket */
	char error[256];
};

void ql_lex_init(struct ql_lex *lex, const char *text, uint32_t len);
void ql_lex_next(struct ql_lex *lex, struct ql_token *out); /* comments are skipped */

bool ql_tok_is_operator(enum ql_tok tok);
bool ql_tok_is_aggregator(enum ql_tok tok);
bool ql_tok_is_keyword(enum ql_tok tok);
/*
 * As error messages name a token: <op:+>, <aggr:sum>, <by>, identifier "x", number "1", end of
 * input...
 */
void ql_tok_describe(struct buf *out, const char *text, const struct ql_token *t);
/* Go's %q of a string and of a rune (-1, and what is no rune, is U+FFFD). */
void ql_quote_rune(struct buf *out, int32_t rune);

#endif
