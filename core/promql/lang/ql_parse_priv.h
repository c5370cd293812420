/* ql_parse_priv - the parser's state, shared by the files of the parser. */
#ifndef CORE_PROMQL_LANG_QL_PARSE_PRIV_H
#define CORE_PROMQL_LANG_QL_PARSE_PRIV_H

#include "core/model/limits.h"
#include "core/promql/lang/ql_lex.h"
#include "core/promql/lang/ql_parse.h"

/* What "unexpected ..." says about the place; the innermost one counts. */
struct ql_place {
	const char *context, *expected; /* "" = not said */
};
struct ql_made; /* matchers to release when the parse fails */
struct ql_parser {
	struct arena *arena;
	const struct ql_parse_opts *opts;
	const struct limits *limits;
	struct ql_lex lex;
	struct ql_token t; /* the token looked at, when have */
	bool have;
	struct ql_place place;
	unsigned nest;
	uint32_t closing; /* end of the last token consumed that can close an expression */
	struct ql_made *made;
	struct ql_counts counts; /* over a limit, nothing is compiled any more */
	enum err err;
	struct errbuf *eb;
};

/*
 * The token ahead; read only when asked for, because a mistake in the next word must not hide one
 * in what was just understood.
 */
enum ql_tok ql_parse_ahead(struct ql_parser *p);
/* Takes the token ahead. */
struct ql_token ql_parse_take(struct ql_parser *p);
bool ql_parse_accept(struct ql_parser *p, enum ql_tok tok);
/* Takes tok or says "unexpected". */
bool ql_parse_expect(struct ql_parser *p, enum ql_tok tok);
/*
 * The first mistake is kept. All of these return NULL, so that "return ql_parse_fail(...)" reads
 * well.
 */
void *ql_parse_fail(struct ql_parser *p, uint32_t pos, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* before, then Go's %q of s, then after. */
void *ql_parse_fail_quoted(struct ql_parser *p, uint32_t pos, const char *before, const char *s,
    size_t len, const char *after);
void *ql_parse_unexpected(struct ql_parser *p, const char *context, const char *expected);
void *ql_parse_unexpected_here(struct ql_parser *p); /* with p->place */

struct ql_node *ql_parse_new_node(
    struct ql_parser *p, enum ql_kind kind, enum ql_type type, uint32_t start, uint32_t end);
bool ql_parse_nest(struct ql_parser *p, uint32_t pos);
/* n stands one level above what is below high. */
bool ql_parse_height(struct ql_parser *p, struct ql_node *n, uint32_t below);
/* "what, limit 1,000 (--query.max-nesting)" */
void *ql_parse_fail_limit(struct ql_parser *p, uint32_t pos, const char *what, enum limits_id id);
struct ql_str ql_parse_unquote(struct ql_parser *p, struct ql_token t);
/* The value of a NUMBER or DURATION token, in seconds for a duration. */
bool ql_parse_number(struct ql_parser *p, struct ql_token t, double *v);

/* Selectors, grouping labels (ql_parse_sel.c). */
bool ql_tok_is_metric_name(enum ql_tok tok);
struct ql_node *ql_parse_vector_selector(struct ql_parser *p);
bool ql_parse_grouping(struct ql_parser *p, struct ql_str **labels, uint32_t *count);
void ql_parse_release_made(struct ql_parser *p);

/* Modifiers and durations (ql_parse_mods.c). */
struct ql_node *ql_parse_postfix(struct ql_parser *p, struct ql_node *n);

/* Types (ql_check.c): the second pass, after the whole text was understood. */
bool ql_check(struct ql_parser *p, struct ql_node *n);

/*
 * {{...}} at *p, which then is behind it (ql_hist_desc.c). *hint_given: the counter reset hint was
 * written. ERR_BADDATA, ERR_NOMEM.
 */
MUST_CHECK enum err ql_hist_desc(struct arena *a, const char **p, const char *end,
    const struct hist **out, bool *hint_given, struct errbuf *eb);

void ql_parser_init(struct ql_parser *p, struct arena *a, const char *text, uint32_t len,
    const struct ql_parse_opts *o, struct errbuf *eb);

#endif
