#include "core/model/cardrule.h"

#include <stdio.h>

#include "core/base/mem.h"
#include "core/base/rex.h"

#define SHOWN 100 /* characters of what was said */
/* Of a rule that is not of the whole tenant: so many groups, and members of so many full ones. */
#define GROUPS_MADE 1024u
#define GROUPS_FULL 16u
#define LABELS_MADE 128u /* names of labels, where a rule is of each */
#define GROUPS_MOST 4096u

const char *const card_per_words[] = { "tenant", "metric", "target", NULL };
const char *const card_action_words[] = { "report", "drop_label", "replace", "refuse", NULL };

struct card_rules {
	size_t count;
	uint64_t hash, members, groups;
	struct {
		struct card_rule said;
		struct rex *metric; /* NULL: all */
	} rules[];
};

static bool is_name(const char *label)
{
	return label_is_metric_name(label, strlen(label));
}

/* NULL: it is fine. */
static const char *fault_of(const struct card_rule *r)
{
	bool rewrites = r->action == CARD_REPLACE || r->action == CARD_DROP_LABEL;
	if (!r->max_values == !r->max_series)
		return "one of max_values and max_series has to be there, not both";
	if (r->max_values && !r->label)
		return "max_values needs the label whose values are counted";
	if (rewrites && !r->label)
		return "action needs the label that it drops or replaces";
	if (r->max_series && r->label && !strcmp(r->label, "*"))
		return "max_series needs one label, not every one";
	if (r->max_series && r->label && !rewrites)
		return "label says nothing where series are counted and none is dropped or replaced";
	if (r->action == CARD_DROP_LABEL && is_name(r->label))
		return "the name of the metric cannot be dropped";
	return NULL;
}

static enum err rule_make(
    struct card_rules *to, const struct card_rule *said, size_t i, struct errbuf *eb)
{
	const char *fault = fault_of(said);
	struct errbuf why;
	if (fault)
		return errbuf_set(eb, ERR_BADDATA, "rule %zu: %s", i + 1, fault);
	if (said->max_values > CARD_MEMBERS || said->max_series > CARD_MEMBERS)
		return errbuf_set(eb, ERR_BADDATA,
		    "rule %zu: %llu are more than the %u that can be counted", i + 1,
		    (unsigned long long)(said->max_values | said->max_series), CARD_MEMBERS);
	errbuf_init(&why);
	if (said->metric &&
	    rex_compile_match(said->metric, strlen(said->metric), &to->rules[i].metric, &why))
		return errbuf_set(eb, ERR_BADDATA, "rule %zu: metric \"%.*s\": %s", i + 1, SHOWN,
		    said->metric, why.text);
	to->rules[i].said = *said;
	return 0;
}

static uint64_t text_hash(const char *text, uint64_t seed)
{
	return text ? hash64(text, strlen(text), seed) : hash_mix64(seed + 1);
}

static uint64_t rule_hash(const struct card_rule *r, uint64_t seed)
{
	uint64_t h = text_hash(r->label, text_hash(r->metric, seed));
	const uint64_t numbers[] = { h, r->per, r->action, r->max_values, r->max_series, r->dry_run };
	return hash64(numbers, sizeof(numbers), seed);
}

enum err card_rules_create(
    struct card_rules **out, const struct card_rule *rules, size_t count, struct errbuf *eb)
{
	*out = NULL;
	if (!count)
		return 0;
	if (count > CARD_RULES_MAX)
		return errbuf_set(
		    eb, ERR_BADDATA, "%zu rules, at most %u can be", count, CARD_RULES_MAX);
	struct card_rules *r = mem_zalloc(sizeof(*r) + count * sizeof(r->rules[0]));
	r->count = count;
	for (size_t i = 0; i < count; i++) {
		enum err e = rule_make(r, &rules[i], i, eb);
		if (e) {
			card_rules_free(r);
			return e;
		}
		uint64_t most = rules[i].max_values | rules[i].max_series;
		r->hash = rule_hash(&rules[i], r->hash);
		bool one = rules[i].per == CARD_PER_TENANT;
		bool each = rules[i].label && !strcmp(rules[i].label, "*");
		r->members += one && !each ? most : most * GROUPS_FULL;
		r->groups += one ? (each ? LABELS_MADE : 1) : GROUPS_MADE;
	}
	*out = r;
	return 0;
}

void card_rules_free(struct card_rules *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->count; i++)
		rex_free(r->rules[i].metric);
	mem_free(r);
}

size_t card_rules_count(const struct card_rules *r)
{
	return r ? r->count : 0;
}

const struct card_rule *card_rules_at(const struct card_rules *r, size_t i)
{
	return &r->rules[i].said;
}

uint64_t card_rules_hash(const struct card_rules *r)
{
	return r ? r->hash : 0;
}

uint64_t card_rules_members(const struct card_rules *r)
{
	return r->members;
}

uint32_t card_rules_groups(const struct card_rules *r)
{
	return (uint32_t)(r->groups < GROUPS_MOST ? r->groups : GROUPS_MOST);
}

bool card_rule_is_of(const struct card_rules *r, size_t i, const char *metric, size_t len)
{
	const struct rex *x = r->rules[i].metric;
	return !x || rex_match(x, metric, len) == REX_YES;
}

const char *card_rule_text(const struct card_rule *rule, char *out)
{
	snprintf(out, 32, "%s%s", card_action_words[rule->action], rule->dry_run ? ", dry run" : "");
	return out;
}
