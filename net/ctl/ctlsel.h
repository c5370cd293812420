/*
 * ctlsel - selectors as export and migrate send them: the user's (--match), narrowed to groups of
 * names, as matchers and as text that every server reads: {__name__=~"a|b",job="x"}.
 *
 * Memory: the arena's; ctlsel_release frees compiled patterns. Thread: pure.
 */
#ifndef NET_CTL_CTLSEL_H
#define NET_CTL_CTLSEL_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/model/matcher.h"

#define CTLSEL_MAX 64u
/*
 * matchers[0] is for ctlsel_narrow: none (name_len 0) or, where no other asks for a label to be
 * there, __name__!="".
 */
struct ctlsel {
	struct matcher *matchers;
	size_t count; /* with [0] */
};
/* What the user wrote; ERR_BADDATA with what is wrong with it. */
MUST_CHECK enum err ctlsel_parse(
    struct arena *a, const char *text, size_t len, struct ctlsel *out, struct errbuf *eb);
void ctlsel_everything(struct arena *a, struct ctlsel *out);
void ctlsel_release(struct ctlsel *s);
/*
 * *out: the selector, of these names alone (count 0: of all). It borrows s and the arena, and needs
 * no release.
 */
struct ctlsel_names {
	const char *const *names;
	size_t count;
};
void ctlsel_narrow(
    struct arena *a, const struct ctlsel *s, const struct ctlsel_names *names, struct ctlsel *out);
/* *out: the selector, without series that have this value, unless it asks for the label itself. */
void ctlsel_without(struct arena *a, const struct ctlsel *s, const char *label, const char *value,
    struct ctlsel *out);
/* Text of a selector, NUL behind it (not counted). */
void ctlsel_text(struct buf *out, const struct ctlsel *s);
/* What the names take in the text of a selector, about. */
size_t ctlsel_name_bytes(const char *name);

#endif
