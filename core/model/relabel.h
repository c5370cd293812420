/*
 * relabel - rules that change label sets or drop them, as relabel_config of the Prometheus
 * documentation: for what is received, for targets and what they expose.
 *
 *   relabel_create (a list of rules, once) > relabel_set_init (a label set) > relabel_apply, of as
 *   many lists as there are > relabel_set_done (canonical bytes)
 *
 * Facts of Prometheus 3 (model/relabel): names are valid when they are UTF-8 and not empty; a regex
 * is anchored at both ends and its dot matches newlines; an empty value deletes; what a rule sets
 * later stands behind what was set earlier when labelmap walks the set; hashmod takes the last 8
 * bytes of MD5.
 *
 * (1) A list that changes nothing allocates nothing, and relabel_set_done gives the bytes it got.
 * (2) What a list holds is its own; a set borrows from the bytes it was made of and from its arena.
 *
 * Thread: a list is immutable and may be shared by loops; a set is its caller's.
 * Cost: the set about 10 ns a label; a rule that does not match one look for each source label and
 * one match (core/base/rex.h), without PCRE2 for words, prefixes, suffixes and .*.
 */
#ifndef CORE_MODEL_RELABEL_H
#define CORE_MODEL_RELABEL_H

#include "core/base/yaml.h"
#include "core/model/label.h"

enum relabel_action {
	RELABEL_REPLACE,
	RELABEL_KEEP,
	RELABEL_DROP,
	RELABEL_KEEPEQUAL,
	RELABEL_DROPEQUAL,
	RELABEL_HASHMOD,
	RELABEL_LABELMAP,
	RELABEL_LABELDROP,
	RELABEL_LABELKEEP,
	RELABEL_LOWERCASE,
	RELABEL_UPPERCASE,
	RELABEL_ACTIONS
};
extern const char *const relabel_action_name[RELABEL_ACTIONS + 1]; /* NULL behind the last */

/* A rule as it is written; NULL: not said, the default holds. */
struct relabel_rule {
	struct yaml_texts source_labels;
	const char *separator;    /* ";" */
	const char *regex;        /* "(.*)" */
	const char *target_label; /* none */
	const char *replacement;  /* "$1" */
	uint64_t modulus;
	enum relabel_action action;
};

/* A rule in a file: the keys of Prometheus, checked; struct relabel_rule. */
extern const struct yaml_schema relabel_schema;

struct relabel;
/* ERR_BADDATA: *eb says what is wrong with it, as Prometheus does. */
MUST_CHECK enum err relabel_check(const struct relabel_rule *rule, struct errbuf *eb);
/* The same of the first rule that is wrong; *bad is its place. */
MUST_CHECK enum err relabel_create(const struct relabel_rule *rules, size_t count,
    struct relabel **out, size_t *bad, struct errbuf *eb);
void relabel_free(struct relabel *r); /* NULL is fine */
size_t relabel_rules(const struct relabel *r);
enum relabel_action relabel_action_of(const struct relabel *r, size_t i);

/* ---- a label set while rules change it ---- */

#define RELABEL_SET_FIRST  40u    /* labels without an allocation */
#define RELABEL_LABELS_MAX 16384u /* of a set */

struct relabel_set {
	struct arena *arena;
	struct labels wire; /* as it came */
	/* base by name, of which value NULL is deleted, then those that were set, as they were */
	struct label *items;
	size_t base, count, cap;
	bool changed;
	struct label _first[RELABEL_SET_FIRST];
};
/*
 * Of wire-shaped bytes, in any order, borrowed. False: no rule can be asked, since the bytes have
 * no shape, a name twice or empty, no UTF-8 (where a label has a value), or more than
 * RELABEL_LABELS_MAX labels. What the store takes in spite of that must not get past the rules.
 */
bool relabel_set_init(struct relabel_set *s, struct arena *a, struct labels wire);
/* NULL when it has no such label. */
const struct label *relabel_set_get(const struct relabel_set *s, const char *name, size_t name_len);
/* Borrows both; an empty value deletes. */
void relabel_set_put(
    struct relabel_set *s, const char *name, size_t name_len, const char *value, size_t value_len);
void relabel_set_del(struct relabel_set *s, const char *name, size_t name_len);
/* Canonical bytes, in the arena, when something changed, else those it was made of. */
struct labels relabel_set_done(struct relabel_set *s);
bool relabel_set_empty(const struct relabel_set *s);

enum relabel_verdict {
	RELABEL_KEPT,
	RELABEL_DROPPED,
	RELABEL_LIMIT /* a match took too many steps (REX_LIMIT): nobody knows what is right */
};
enum relabel_verdict relabel_apply(const struct relabel *r, struct relabel_set *s);
/* One rule alone, by its place in the list. */
enum relabel_verdict relabel_apply_one(const struct relabel *r, size_t i, struct relabel_set *s);

#endif
