/* core/model/cardrule: what a rule may say, and what it is told when it may not. */
#include <stdio.h>
#include <string.h>

#include "core/model/cardrule.h"
#include "tests/lib/tap.h"

static void bad(struct card_rule rule, const char *part)
{
	struct card_rules *r;
	struct errbuf eb;
	errbuf_init(&eb);
	enum err e = card_rules_create(&r, &rule, 1, &eb);
	tap_ok(e == ERR_BADDATA && !r && strstr(eb.text, part), "%s", eb.text);
}

static uint64_t hash_of(struct card_rule rule)
{
	struct card_rules *r;
	if (card_rules_create(&r, &rule, 1, NULL))
		return 0;
	uint64_t h = card_rules_hash(r);
	card_rules_free(r);
	return h;
}

static void faults(void)
{
	bad((struct card_rule){ .label = "a" }, "rule 1: one of max_values and max_series");
	bad((struct card_rule){ .label = "a", .max_values = 1, .max_series = 1 }, "not both");
	bad((struct card_rule){ .max_values = 1 }, "needs the label whose values");
	bad((struct card_rule){ .max_series = 1, .action = CARD_REPLACE }, "needs the label that it");
	bad((struct card_rule){ .max_series = 1, .label = "*", .action = CARD_REPLACE },
	    "one label, not every one");
	bad((struct card_rule){ .max_series = 1, .label = "a" }, "label says nothing");
	bad((struct card_rule){ .label = LABEL_NAME, .max_values = 1, .action = CARD_DROP_LABEL },
	    "name of the metric cannot be dropped");
	bad((struct card_rule){ .label = "a", .max_values = CARD_MEMBERS + 1 },
	    "1000001 are more than the 1000000");
	bad((struct card_rule){ .label = "a", .max_values = 1, .metric = "x(" },
	    "rule 1: metric \"x(\": error parsing regexp");
}

static void many(void)
{
	struct card_rule list[CARD_RULES_MAX + 1];
	struct card_rules *r;
	struct errbuf eb;
	errbuf_init(&eb);
	for (unsigned i = 0; i <= CARD_RULES_MAX; i++)
		list[i] = (struct card_rule){ .label = "a", .max_values = i + 1 };
	tap_ok(card_rules_create(&r, list, CARD_RULES_MAX + 1, &eb) == ERR_BADDATA &&
	        strstr(eb.text, "65 rules, at most 64"),
	    "%s", eb.text);
	tap_ok(!card_rules_create(&r, list, CARD_RULES_MAX, &eb) &&
	        card_rules_count(r) == CARD_RULES_MAX && card_rules_at(r, 9)->max_values == 10,
	    "as many as may be");
	card_rules_free(r);
	tap_ok(!card_rules_create(&r, NULL, 0, &eb) && !r && !card_rules_count(r), "none is none");
}

static void words(void)
{
	struct card_rules *r;
	const struct card_rule rule = {
		.metric = "http_.*", .label = "a", .max_values = 7, .action = CARD_REPLACE
	};
	char text[32];
	if (!TAP_OK(!card_rules_create(&r, &rule, 1, NULL)))
		return;
	tap_ok(card_rule_is_of(r, 0, "http_requests", 13) && !card_rule_is_of(r, 0, "x_http_", 7),
	    "the whole name has to match");
	tap_ok(card_rules_members(r) == 7 && card_rules_groups(r) == 1, "room for its values");
	tap_is_str(card_rule_text(&rule, text), "replace", "what it does");
	card_rules_free(r);
	struct card_rule dry = rule, more = rule, other = rule;
	dry.dry_run = true;
	more.max_values = 8;
	other.label = "b";
	tap_is_str(card_rule_text(&dry, text), "replace, dry run", "or would");
	tap_ok(hash_of(rule) == hash_of(rule) && hash_of(rule) != hash_of(dry) &&
	        hash_of(rule) != hash_of(more) && hash_of(rule) != hash_of(other),
	    "rules that say the same have one hash, others have others");
}

int main(void)
{
	faults();
	many();
	words();
	return tap_done();
}
