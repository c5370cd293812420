/*
 * rex - label regular expressions: PCRE2 (8 bit, UTF, JIT) behind RE2's syntax, fully anchored, dot
 * matches newline: \A(?s:...)\z.
 *
 * What RE2 refuses is refused with ERR_BADDATA and a text "error parsing regexp: ...": look-around,
 * back-references, possessive quantifiers, atomic groups, callouts, \C, recursion, repetition above
 * 1000; and patterns over 64 KiB, or with captures over 4 KiB, that need PCRE2. Literals and
 * alternations of literals, of prefix.*, of .*suffix or of .*infix.* (of any number, and with .+
 * for .*) are recognised at compile time and never reach PCRE2 (rex_kind): words are found in a
 * hash table, the others by halving. Classes and case are RE2's to the code point (Unicode 15.0):
 * folding comes before negation, and PCRE2's own tables are never asked. When the JIT hits its
 * limit, the DFA matcher is tried; a limit hit is REX_LIMIT: an error of the query, never "no
 * match".
 * Thread: a compiled rex is immutable and may be shared between loops; match data is per thread
 * inside.
 */
#ifndef CORE_BASE_REX_H
#define CORE_BASE_REX_H

#include "core/base/buf.h"
#include "core/base/err.h"

struct rex;
enum rex_result {
	REX_NO = 0,
	REX_YES = 1,
	REX_LIMIT = -1
};
enum rex_kind {
	REX_LITERALS /* one or more whole strings */,
	REX_PREFIX,
	REX_SUFFIX,
	REX_INFIX,
	REX_ANY /* .* */,
	REX_NONEMPTY /* .+ */,
	REX_PCRE
};

MUST_CHECK enum err rex_compile(const char *pattern, size_t len, struct rex **out, struct errbuf *eb);
/* For rex_match alone: groups that capture do not call for PCRE2 then. */
MUST_CHECK enum err rex_compile_match(
    const char *pattern, size_t len, struct rex **out, struct errbuf *eb);
/* Would rex_compile_match need PCRE2 for it? Costs much less than to compile. */
bool rex_needs_engine(const char *pattern, size_t len);
void rex_free(struct rex *r);
size_t rex_bytes(const struct rex *r); /* what it holds in memory */
enum rex_result rex_match(const struct rex *r, const char *s, size_t len);
enum rex_kind rex_kind(const struct rex *r);
/*
 * REX_LITERALS: the i-th string, each once, as written; others: the prefixes, suffixes or infixes,
 * in order, without those that another one makes superfluous. NULL when i is past the end.
 */
const char *rex_literal(const struct rex *r, size_t i, size_t *len);
size_t rex_literals(const struct rex *r); /* how many there are */
/*
 * REX_PREFIX, REX_PCRE: every match begins with one of these words, of which none begins with
 * another one; none (0): nothing is known. NULL when i is past the end.
 */
const char *rex_prefix(const struct rex *r, size_t i, size_t *len);
size_t rex_prefixes(const struct rex *r);
/*
 * Characters that every match has, in no order, some perhaps twice; *len is 0: nothing is known. So
 * who knows that a text lacks one of them need not look at it.
 */
const char *rex_needed(const struct rex *r, size_t *len);
/*
 * Submatches for label_replace: expands template ($1, ${name}, $$ as Go's Regexp.Expand) into out
 * when s matches.
 */
enum rex_result rex_expand(const struct rex *r, const char *s, size_t len, const char *tmpl,
    size_t tmpl_len, struct buf *out);

#endif
