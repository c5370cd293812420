/*
 * config_tenants - the section tenants: limits of each tenant, and what its samples go by
 * (config_inlet.c); of those without a row, too.
 *
 *   tenants:
 *     defaults: {samples_per_s: 100000}
 *     acme: {series: 2000000, retention: 90d}
 *     shop:
 *       cardinality: [{label: user_id, max_values: 1000, action: replace}]
 */
#include <string.h>

#include "core/base/mem.h"
#include "net/daemon/config.h"

#define KIND_COUNT YAML_COUNT
#define KIND_BYTES YAML_BYTES
#define KIND_MS    YAML_DURATION
#define TEXT_MOST  2048u

#define RULE(field) offsetof(struct card_rule, field)
static const struct yaml_row rule_rows[] = {
	{ .key = "metric",
	    .kind = YAML_TEXT,
	    .off = RULE(metric),
	    .least = 1,
	    .most = TEXT_MOST,
	    .help = "an expression that the whole name of the metric matches [every metric]" },
	{ .key = "label",
	    .kind = YAML_TEXT,
	    .off = RULE(label),
	    .least = 1,
	    .most = TEXT_MOST,
	    .help =
	        "whose values are counted, or that is dropped or replaced; \"*\" is each one but the metric's name" },
	{ .key = "per",
	    .kind = YAML_WORD,
	    .off = RULE(per),
	    .words = card_per_words,
	    .help = "for what the maximum holds: target is job and instance [tenant]" },
	{ .key = "max_values",
	    .kind = YAML_COUNT,
	    .off = RULE(max_values),
	    .least = 1,
	    .most = CARD_MEMBERS,
	    .flags = YAML_LATER,
	    .help = "different values of the label among active series" },
	{ .key = "max_series",
	    .kind = YAML_COUNT,
	    .off = RULE(max_series),
	    .least = 1,
	    .most = CARD_MEMBERS,
	    .flags = YAML_LATER,
	    .help = "or active series" },
	{ .key = "action",
	    .kind = YAML_WORD,
	    .off = RULE(action),
	    .words = card_action_words,
	    .help = "what becomes of series beyond; replace: the value becomes " CARD_REASSIGNED
	            " [report]" },
	{ .key = "dry_run",
	    .kind = YAML_BOOL,
	    .off = RULE(dry_run),
	    .help = "it is counted and told what would be done, and not done [false]" },
};
static const struct yaml_schema rule_schema = {
	.rows = rule_rows, .count = COUNT_OF(rule_rows), .size = sizeof(struct card_rule)
};

static const struct yaml_row limit_rows[] = {
#define TENANT_LIMIT(field, name, unit, usual_, least_, most_, text)                               \
 { .key = name,                                                                                    \
	 .kind = KIND_##unit,                                                                      \
	 .off = offsetof(struct config_tenant, limits.field),                                      \
	 .help = text,                                                                             \
	 .least = least_,                                                                          \
	 .most = most_,                                                                            \
	 .flags = (usual_) ? 0 : YAML_LATER },
#include "core/model/tenant_limits.def"
#undef TENANT_LIMIT
	{ .key = "cardinality",
	    .kind = YAML_ITEMS,
	    .off = offsetof(struct config_tenant, cardinality),
	    .sub = &rule_schema,
	    .help = "rules against series without end, in the order in which they are asked" },
	CONFIG_RELABEL_ROWS(offsetof(struct config_tenant, relabel)),
	{ .key = "ha",
	    .kind = YAML_IN,
	    .off = offsetof(struct config_tenant, ha),
	    .sub = &config_ha_schema,
	    .show = config_show_ha,
	    .help = "pairs of senders that collect the same: one of each is stored" },
};

static void usual(void *item)
{
	struct config_tenant *t = item;
	tenant_limits_default(&t->limits);
	t->ha.rule = hapair_rule_default;
}

static bool name_ok(struct yaml *y, const struct yaml_node *n)
{
	struct errbuf eb;
	errbuf_init(&eb);
	return !tenant_name_check(n->key, n->key_len, &eb) || yaml_fail_key(y, n, "%s", eb.text);
}

/*
 * What of it, and which of the limits, a row itself says; the others are the defaults', and not of
 * the row.
 */
static bool note_own(struct yaml *y, const struct yaml_node *n, void *item)
{
	struct config_tenant *t = item;
	(void)y;
	t->card_own = yaml_child(n, "cardinality") != NULL;
	t->relabel.rules_said = yaml_child(n, "relabel_configs") != NULL;
	for (size_t i = 0; i < TENANT_LIMITS_COUNT; i++) {
		if (yaml_child(n, limit_rows[i].key))
			t->own |= UINT64_C(1) << i;
		else if (t->name)
			*(uint64_t *)(void *)((char *)item + limit_rows[i].off) = 0;
	}
	return true;
}

static const struct yaml_schema tenant_schema = { .rows = limit_rows,
	.count = COUNT_OF(limit_rows),
	.size = sizeof(struct config_tenant),
	.name_off = offsetof(struct config_tenant, name),
	.name_ok = name_ok,
	.usual = usual,
	.check = note_own };

static const struct yaml_row rows[] = {
	{ .key = "defaults",
	    .kind = YAML_IN,
	    .off = offsetof(struct config, tenant_defaults),
	    .sub = &tenant_schema,
	    .help = "limits of tenants that have no row, or none for it" },
	{ .key = "<tenant>",
	    .kind = YAML_OTHERS,
	    .off = offsetof(struct config, tenant_rows),
	    .sub = &tenant_schema,
	    .help = "limits of this tenant" },
};
const struct yaml_schema config_tenants_schema = { .rows = rows, .count = COUNT_OF(rows) };

static void fill_row(struct tenant_row *row, const struct config_tenant *t)
{
	*row = (struct tenant_row){ .id = TENANT_NONE,
		.own = t->own,
		.limits = t->limits,
		.card_own = t->card_own,
		.card = t->card };
	memcpy(row->name, t->name, strlen(t->name) + 1); /* name_ok: it fits */
}

/* Its rules, made. */
static bool card_make(struct config_tenant *t, struct yaml *y)
{
	struct errbuf eb;
	errbuf_init(&eb);
	if (!card_rules_create(&t->card, t->cardinality.items, t->cardinality.count, &eb))
		return true;
	const struct yaml_node *n = yaml_child(yaml_root(y), "tenants");
	n = n ? yaml_child(n, t->name ? t->name : "defaults") : NULL;
	n = n ? yaml_child(n, "cardinality") : NULL;
	return yaml_fail(y, n, "%s", eb.text);
}

void config_tenants_free(struct config *c)
{
	struct config_tenant *t = c->tenant_rows.items;
	for (size_t i = 0; i < c->tenant_rows.count; i++)
		card_rules_free(t[i].card);
	card_rules_free(c->tenant_defaults.card);
}

bool config_tenants_make(struct config *c, struct yaml *y)
{
	struct errbuf eb;
	size_t n = c->tenant_rows.count;
	struct config_tenant *rows_read = c->tenant_rows.items;
	struct tenant_limits usual_ones;
	bool fine = card_make(&c->tenant_defaults, y);
	for (size_t i = 0; i < n; i++)
		fine &= card_make(&rows_read[i], y);
	if (!fine)
		return false;
	tenant_limits_default(&usual_ones);
	if (!n && !c->tenant_defaults.card &&
	    !memcmp(&usual_ones, &c->tenant_defaults.limits, sizeof(usual_ones)))
		return true;
	struct tenant_row *list = mem_array(NULL, n ? n : 1, sizeof(*list));
	for (size_t i = 0; i < n; i++)
		fill_row(&list[i], (const struct config_tenant *)c->tenant_rows.items + i);
	errbuf_init(&eb);
	enum err e = tenants_create(&c->tenants, &c->tenant_defaults.limits, list, n, &eb);
	mem_free(list);
	if (!e)
		tenants_set_card(c->tenants, c->tenant_defaults.card);
	return !e || yaml_fail(y, yaml_child(yaml_root(y), "tenants"), "%s", eb.text);
}
