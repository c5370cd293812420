/*
 * config_tenants - the section tenants: limits of each tenant, and of those without a row.
 *
 *   tenants:
 *     defaults: {samples_per_s: 100000}
 *     acme: {series: 2000000, retention: 90d}
 */
#include <string.h>

#include "core/base/mem.h"
#include "net/daemon/config.h"

#define KIND_COUNT YAML_COUNT
#define KIND_BYTES YAML_BYTES
#define KIND_MS    YAML_DURATION

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
};

static void usual(void *item)
{
	tenant_limits_default(&((struct config_tenant *)item)->limits);
}

static bool name_ok(struct yaml *y, const struct yaml_node *n)
{
	struct errbuf eb;
	errbuf_init(&eb);
	return !tenant_name_check(n->key, n->key_len, &eb) || yaml_fail_key(y, n, "%s", eb.text);
}

/* Which of the limits a row itself says; the others are the defaults', and not of the row. */
static bool note_own(struct yaml *y, const struct yaml_node *n, void *item)
{
	struct config_tenant *t = item;
	(void)y;
	for (size_t i = 0; i < COUNT_OF(limit_rows); i++) {
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
	*row = (struct tenant_row){ .id = TENANT_NONE, .own = t->own, .limits = t->limits };
	memcpy(row->name, t->name, strlen(t->name) + 1); /* name_ok: it fits */
}

bool config_tenants_make(struct config *c, struct yaml *y)
{
	struct errbuf eb;
	size_t n = c->tenant_rows.count;
	struct tenant_limits usual_ones;
	tenant_limits_default(&usual_ones);
	if (!n && !memcmp(&usual_ones, &c->tenant_defaults.limits, sizeof(usual_ones)))
		return true;
	struct tenant_row *list = mem_array(NULL, n ? n : 1, sizeof(*list));
	for (size_t i = 0; i < n; i++)
		fill_row(&list[i], (const struct config_tenant *)c->tenant_rows.items + i);
	errbuf_init(&eb);
	enum err e = tenants_create(&c->tenants, &c->tenant_defaults.limits, list, n, &eb);
	mem_free(list);
	return !e || yaml_fail(y, yaml_child(yaml_root(y), "tenants"), "%s", eb.text);
}
