/*
 * cardrule - rules against series that grow without end: how many values a label may have, how many
 * series a metric or a target, and what becomes of those beyond.
 *
 *   cardinality:
 *     - {label: user_id, max_values: 1000, action: replace}
 *     - {metric: "http_.*", label: "*", per: metric, max_values: 500, action: drop_label}
 *     - {per: target, max_series: 20000, action: refuse}
 *
 * A rule is asked when a series would be made, never of one that is known. Rules are asked in
 * their order, each of the labels as those before it have left them. What is counted stands in a
 * group: of the rule, of the label (its name), and of the tenant, metric or target (job and
 * instance). Values and series that are counted stay so until no series in memory has them.
 * The value CARD_REASSIGNED is no value of its own: it is never counted, nor replaced.
 *
 * Immutable once made. Thread: any. Memory: own, but for the texts of the rules, which are the
 * caller's and outlive them.
 */
#ifndef CORE_MODEL_CARDRULE_H
#define CORE_MODEL_CARDRULE_H

#include "core/base/err.h"
#include "core/model/label.h"

#define CARD_REASSIGNED "reassigned_high_cardinality"
#define CARD_RULES_MAX  64u
#define CARD_MEMBERS    1000000u /* the highest limit of a rule */

enum card_per {
	CARD_PER_TENANT,
	CARD_PER_METRIC,
	CARD_PER_TARGET
};
enum card_action {
	CARD_REPORT,     /* it is only told */
	CARD_DROP_LABEL, /* the series goes on without the label */
	CARD_REPLACE,    /* its value becomes CARD_REASSIGNED */
	CARD_REFUSE      /* the rows are refused */
};
extern const char *const card_per_words[];    /* NULL behind the last */
extern const char *const card_action_words[]; /* the same */

struct card_rule {          /* as it is said; zero: defaults */
	const char *metric; /* an expression for the whole name; NULL: every metric */
	const char *label;  /* its name; "*": every label but the name of the metric; NULL: none */
	unsigned per;       /* enum card_per */
	unsigned action;    /* enum card_action */
	uint64_t max_values, max_series; /* one of them; the other 0 */
	bool dry_run;                    /* counted and told, nothing is done */
};
struct card_rules;
/* ERR_BADDATA: *eb tells what is wrong with one of them. count 0: *out is NULL. */
MUST_CHECK enum err card_rules_create(
    struct card_rules **out, const struct card_rule *rules, size_t count, struct errbuf *eb);
void card_rules_free(struct card_rules *r);
size_t card_rules_count(const struct card_rules *r); /* NULL: 0 */
const struct card_rule *card_rules_at(const struct card_rules *r, size_t i);
uint64_t card_rules_hash(const struct card_rules *r); /* of all that they say */
/* What they may count, about. */
uint64_t card_rules_members(const struct card_rules *r);
uint32_t card_rules_groups(const struct card_rules *r);
bool card_rule_is_of(const struct card_rules *r, size_t i, const char *metric, size_t len);
/* "replace", "replace, dry run": what it does; out at least 32 bytes. */
const char *card_rule_text(const struct card_rule *rule, char *out);

#endif
