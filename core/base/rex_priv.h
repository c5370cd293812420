/*
 * rex_priv - the parts of rex: reading RE2's syntax (rex_parse.c, rex_class.c), recognising simple
 * forms (rex_form.c), matching (rex.c).
 */
#ifndef CORE_BASE_REX_PRIV_H
#define CORE_BASE_REX_PRIV_H

#include "core/base/rex.h"
#include "core/base/rune_set.h"

/* Bytes of a pattern that PCRE2 runs; a loop compiles those with captures while it evaluates. */
#define REX_PATTERN_MAX         (64 * 1024)
#define REX_CAPTURE_PATTERN_MAX 4096
#define REX_REPEAT_MAX          1000 /* as RE2 */
#define REX_NESTING_MAX         1000 /* as RE2 */

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

/* The text of a pattern while it is read. */
struct rex_text {
	const char *start, *p, *end;
	struct errbuf *eb;
};
static inline size_t rex_left(const struct rex_text *t)
{
	return (size_t)(t->end - t->p);
}
/* ERR_BADDATA: "error parsing regexp: what: `from...to`". */
enum err rex_fail(struct rex_text *t, const char *what, const char *from, const char *to);

/*
 * Character classes. They are worked out here, span by span, and never left to PCRE2: RE2 folds
 * case before it negates, and its Unicode tables are those of one version. Large sets are written
 * once, behind the pattern, and called from where they stand.
 */
struct rex_classes {
	struct rex_property {
		const char *name; /* points into the pattern */
		size_t len;
		bool fold;
		struct rune_set set;
	} * properties; /* \p{...} already looked up */
	size_t properties_count;
	struct rune_set *large; /* c0, c1, ... */
	size_t large_count;
};
/* Is this \d, \pL and the like, or [ ? */
bool rex_class_here(const struct rex_text *t);
/*
 * Reads the class here, with everything that is equal but for case when fold, into out (empty
 * before).
 */
MUST_CHECK enum err rex_class_read(
    struct rex_text *t, bool fold, struct rex_classes *c, struct rune_set *out);
/* As one atom of PCRE2's syntax. The set's spans move to c or are released. */
void rex_class_write(struct rex_classes *c, struct rune_set *take_set, struct buf *out);
/* What the atoms above call; stands behind everything else. */
void rex_classes_define(const struct rex_classes *c, struct buf *out);
void rex_classes_release(struct rex_classes *c);
/* At a backslash: an escape that stands for one code point. */
MUST_CHECK enum err rex_escape_read(struct rex_text *t, uint32_t *rune);
void rex_rune_write(struct buf *out, uint32_t rune);

/* A valid pattern as one of the simple forms; REX_PCRE when it is none. */
struct rex_form {
	enum rex_kind kind;
	struct rex_string {
		const char *s; /* inside text */
		size_t len;
	} * strings; /* as written; without superfluous ones after rex_form_index */
	size_t count;
	size_t before, after; /* so many bytes at least stand beside a PREFIX, SUFFIX or INFIX */
	char *text;
	uint32_t *slots; /* by hash, 1 + the number of a string */
	size_t mask;
	uint64_t seed;
	bool firsts[256]; /* what infixes begin with, when there are several */
};
void rex_form_of(const char *pattern, size_t len, struct rex_form *out);
/*
 * The words that every match of a valid pattern must begin with one of, indexed, as REX_PREFIX;
 * none: nothing is known.
 */
void rex_form_prefixes(const char *pattern, size_t len, struct rex_form *out);
/* Characters of ASCII, each of which every match of a valid pattern has; none: nothing is known. */
void rex_form_needed(const char *pattern, size_t len, struct buf *out);
void rex_form_release(struct rex_form *f);
size_t rex_form_bytes(const struct rex_form *f);
/* What rex_form_has needs. */
void rex_form_index(struct rex_form *f);
/* Not of REX_PCRE. */
bool rex_form_has(const struct rex_form *f, const char *s, size_t len);

#endif
