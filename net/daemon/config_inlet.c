/*
 * config_inlet - what the configuration says of the way of samples into the store: rules of
 * relabelling, external labels and pairs of senders, made for use (net/recv/inletconf.h).
 *
 *   receivers:
 *     relabel_configs: [{source_labels: [__name__], regex: go_.*, action: drop}]
 *     influx: {external_labels: {source: influx}}
 *   tenants:
 *     defaults: {ha: {enabled: true}}
 *     acme: {relabel_configs: [{regex: pod_uid, action: labeldrop}]}
 *
 * What a tenant does not say itself is that of the defaults: of rules, labels and pairs each.
 */
#include <string.h>

#include "core/base/mem.h"
#include "core/base/rune.h"
#include "net/daemon/config.h"

/* ---- reading ---- */

static bool label_ok(struct yaml *y, const struct yaml_node *n)
{
	if (!n->key_len || !rune_valid(n->key, n->key_len) || memchr(n->key, 0, n->key_len))
		return yaml_fail_key(y, n, "\"%.*s\" is not a valid label name",
		    (int)rune_cut(n->key, n->key_len, 100), n->key);
	if (n->type != YAML_SCALAR || !n->len)
		return yaml_fail(y, n, "a text is needed");
	return true;
}

bool config_set_labels(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	struct config_labels *to = at;
	struct arena *a = &yaml_keep_of(y)->arena;
	bool fine = true;
	(void)row;
	if (n->type != YAML_MAP && n->type != YAML_NULL)
		return yaml_fail(y, n, "a map of names and values is needed");
	struct label *list = arena_array(a, n->count ? n->count : 1, sizeof(*list));
	size_t count = 0;
	for (const struct yaml_node *c = n->first; c; c = c->next) {
		if (!label_ok(y, c)) {
			fine = false;
			continue;
		}
		if (count < n->count)
			list[count++] = (struct label){ .name = arena_strndup(a, c->key, c->key_len),
				.value = arena_strndup(a, c->text, c->len),
				.name_len = c->key_len,
				.value_len = c->len };
	}
	if (fine)
		*to = (struct config_labels){ list, count };
	return fine;
}

bool config_show_labels(struct buf *out, const struct yaml_row *row, const void *at)
{
	const struct config_labels *l = at;
	(void)row;
	if (!l->labels)
		return false;
	buf_add_u8(out, '{');
	for (size_t i = 0; i < l->count; i++) {
		buf_add_str(out, i ? ", " : "");
		yaml_put_text(out, l->labels[i].name);
		buf_add_str(out, ": ");
		yaml_put_text(out, l->labels[i].value);
	}
	buf_add_u8(out, '}');
	return true;
}

static bool note_said(struct yaml *y, const struct yaml_node *n, void *item)
{
	struct config_ha *ha = item;
	ha->said = true;
	return strcmp(ha->rule.cluster_label, ha->rule.replica_label) != 0 ||
	    yaml_fail(y, n, "cluster_label and replica_label are the same");
}

bool config_show_ha(struct buf *out, const struct yaml_row *row, const void *at)
{
	(void)out;
	(void)row;
	return ((const struct config_ha *)at)->said;
}

/* clang-format off */
#define HA(field) offsetof(struct config_ha, rule.field)
static const struct yaml_row ha_rows[] = {
	{ .key = "enabled", .kind = YAML_BOOL, .off = HA(enabled), .help = "store one replica of each cluster [false]" },
	{ .key = "cluster_label", .kind = YAML_TEXT, .off = HA(cluster_label), .help = "label that both of a pair have; it stays [cluster]" },
	{ .key = "replica_label", .kind = YAML_TEXT, .off = HA(replica_label), .help = "label that tells them apart; it is removed [__replica__]" },
	{ .key = "failover_timeout", .kind = YAML_DURATION, .off = HA(failover_ms), .least = 1000, .most = UINT64_C(86400000), .help = "silence of the elected replica after which the next one that sends is elected [30s]" },
	{ .key = "update_timeout", .kind = YAML_DURATION, .off = HA(update_ms), .least = 1, .most = UINT64_C(86400000), .help = "elections are written to the disk at once, but not more often than this [15s]" },
	{ .key = "max_clusters", .kind = YAML_COUNT, .off = HA(max_clusters), .least = 1, .most = 1000000, .help = "clusters of a tenant; samples of further ones are refused [100]" },
};
/* clang-format on */
const struct yaml_schema config_ha_schema = {
	.rows = ha_rows, .count = COUNT_OF(ha_rows), .check = note_said
};

/* ---- making ---- */

/* What is the same for all tenants: lists of all receivers and of each. */
struct shared {
	struct config *c;
	struct relabel *all, *of[RECEIVERS];
	uint32_t ids;
	bool any;
};

static struct relabel *list_of(struct config *c, const struct yaml_items *rules)
{
	struct relabel *r;
	struct errbuf eb;
	size_t bad;
	if (!rules->count)
		return NULL;
	errbuf_init(&eb);
	/* each of them was checked when it was read */
	CHECK(relabel_create(rules->items, rules->count, &r, &bad, &eb) == ERR_OK);
	c->lists = mem_array(c->lists, c->lists_count + 1, sizeof(struct relabel *));
	c->lists[c->lists_count++] = r;
	return r;
}

static bool has_label(const struct inlet_label *list, size_t count, const struct label *l)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].name_len == l->name_len && !memcmp(list[i].name, l->name, l->name_len))
			return true;
	return false;
}

/* The nearest first: whose name is there already is not asked. */
static void add_labels(struct inlet_label *list, uint32_t *count, const struct config_relabel *from)
{
	for (size_t i = 0; i < from->external.count; i++) {
		const struct label *l = &from->external.labels[i];
		if (!has_label(list, *count, l))
			list[(*count)++] = (struct inlet_label){ .name = l->name,
				.value = l->value,
				.name_len = l->name_len,
				.value_len = l->value_len,
				.wins = from->external_wins };
	}
}

static void add_list(struct inlet_way *w, const struct relabel *r, enum inlet_list of)
{
	if (!r)
		return;
	w->list_of[w->lists_count] = of;
	w->lists[w->lists_count++] = r;
}

/* own: what the tenant says of labels; list: of rules. */
static void make_way(struct shared *s, struct inlet_way *w, enum receiver r,
    const struct config_relabel *own, const struct relabel *list, const struct hapair_rule *ha)
{
	struct config *c = s->c;
	const struct config_relabel *of = &c->relabel_of[r];
	size_t most = own->external.count + of->external.count + c->relabel.external.count;
	*w = (struct inlet_way){ .id = s->ids++ };
	if (most) {
		struct inlet_label *labels = arena_array(&c->keep.arena, most, sizeof(*labels));
		add_labels(labels, &w->external_count, own);
		add_labels(labels, &w->external_count, of);
		add_labels(labels, &w->external_count, &c->relabel);
		w->external = labels;
	}
	add_list(w, s->all, INLET_LIST_ALL);
	add_list(w, s->of[r], INLET_LIST_RECEIVER);
	add_list(w, list, INLET_LIST_TENANT);
	w->ha = ha->enabled ? ha : NULL;
	w->any = w->external_count || w->lists_count || w->ha;
	s->any |= w->any;
}

static void make_ways(struct shared *s, struct inlet_way ways[RECEIVERS],
    const struct config_tenant *t, const struct relabel *usual)
{
	const struct config_tenant *d = &s->c->tenant_defaults;
	const struct config_relabel *labels = t->relabel.external.labels ? &t->relabel : &d->relabel;
	const struct hapair_rule *ha = t->ha.said ? &t->ha.rule : &d->ha.rule;
	const struct relabel *list =
	    t == d || !t->relabel.rules_said ? usual : list_of(s->c, &t->relabel.rules);
	for (unsigned r = 0; r < RECEIVERS; r++)
		make_way(s, &ways[r], (enum receiver)r, labels, list, ha);
}

bool config_inlet_make(struct config *c, struct yaml *y)
{
	struct shared s = { .c = c };
	struct inlet_conf *in = arena_zalloc(&c->keep.arena, sizeof(*in));
	(void)y;
	s.all = list_of(c, &c->relabel.rules);
	for (unsigned r = 0; r < RECEIVERS; r++)
		s.of[r] = list_of(c, &c->relabel_of[r].rules);
	const struct relabel *usual = list_of(c, &c->tenant_defaults.relabel.rules);
	in->tenants = c->tenants;
	in->cache_bytes = c->relabel_cache;
	make_ways(&s, in->usual, &c->tenant_defaults, usual);
	if (c->tenants)
		in->rows = arena_zalloc(&c->keep.arena, c->tenants->count * sizeof(in->rows[0]));
	for (size_t i = 0; c->tenants && i < c->tenant_rows.count; i++) {
		const struct config_tenant *t =
		    (const struct config_tenant *)c->tenant_rows.items + i;
		const struct tenant_row *row = tenants_find(c->tenants, t->name, strlen(t->name));
		CHECK(row);
		make_ways(&s, in->rows[row - c->tenants->rows], t, usual);
	}
	if (s.any)
		c->recv.inlet = in;
	return true;
}

void config_inlet_free(struct config *c)
{
	for (size_t i = 0; i < c->lists_count; i++)
		relabel_free(c->lists[i]);
	mem_free(c->lists);
}
