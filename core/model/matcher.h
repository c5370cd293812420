/*
 * matcher - one label matcher of a selector, compiled once and shared read-only between loops.
 *
 * A missing label is the empty string. Regexes are rex (fully anchored). A selector is an array of
 * matchers that must all hold.
 * Result of a match is an enum rex_result: REX_LIMIT makes the query fail.
 */
#ifndef CORE_MODEL_MATCHER_H
#define CORE_MODEL_MATCHER_H

#include "core/base/rex.h"
#include "core/model/label.h"

enum matcher_type {
	MATCHER_EQ,
	MATCHER_NE,
	MATCHER_RE,
	MATCHER_NRE
};
struct matcher {
	enum matcher_type type;
	uint32_t name_len, value_len;
	const char *name, *value; /* owned by whoever made the matcher (the query's arena) */
	struct rex *rex;          /* for RE and NRE; owned by the matcher */
	bool matches_empty;       /* does it hold for ""? */
};
/* Compiles the regex; name and value are borrowed for the life of m. Error text: the regex' own. */
MUST_CHECK enum err matcher_init(struct matcher *m, enum matcher_type type, const char *name,
    size_t name_len, const char *value, size_t value_len, struct errbuf *eb);
void matcher_release(struct matcher *m);
/* Values that it names one by one decide it: which ones is known without looking at others. */
bool matcher_is_direct(const struct matcher *m);
enum rex_result matcher_value(const struct matcher *m, const char *value, size_t len);
/* all hold? */
enum rex_result matcher_labels(const struct matcher *ms, size_t count, struct labels ls);

#endif
