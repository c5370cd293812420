/*
 * rex_priv - the halves of rex: reading RE2's syntax (rex_parse.c), recognising simple forms (rex_form.c), matching (rex.c).
 */
#ifndef CORE_BASE_REX_PRIV_H
#define CORE_BASE_REX_PRIV_H

#include "core/base/rex.h"

#define REX_PATTERN_MAX  4096 /* bytes; limit of label matching by expression */
#define REX_REPEAT_MAX   1000 /* as RE2 */
#define REX_NESTING_MAX  1000 /* as RE2 */
#define REX_LITERALS_MAX 1024 /* strings of a set; more go to PCRE2 */

/* A pattern of RE2's syntax, rewritten for PCRE2 without options but UTF and DOTALL. */
struct rex_parsed {
	struct buf out;
	unsigned captures;
	struct rex_name {
		const char *s; /* points into the pattern */
		size_t len;
		unsigned index;
	} * names;
	size_t names_count;
};
MUST_CHECK enum err rex_parse(
    const char *pattern, size_t len, struct rex_parsed *out, struct errbuf *eb);
void rex_parsed_release(struct rex_parsed *p);

/* A valid pattern as one of the simple forms; REX_PCRE when it is none. */
struct rex_form {
	enum rex_kind kind;
	struct rex_string {
		char *s; /* heap */
		size_t len;
	} * strings; /* sorted by bytes, unique */
	size_t count;
};
void rex_form_of(const char *pattern, size_t len, struct rex_form *out);
void rex_form_release(struct rex_form *f);
int rex_string_cmp(const struct rex_string *a, const struct rex_string *b);

#endif
