#include "net/daemon/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "net/daemon/flags_priv.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

static char *dir, *file;
static struct config *c;
static char told[65536]; /* of the last load */

static void put(const char *text)
{
	FILE *f = fopen(file, "w");
	if (!f)
		return;
	fputs(text, f);
	fclose(f);
}

static bool load(int argc, const char **argv)
{
	config_drop(c);
	c = NULL;
	struct buf b;
	buf_init(&b);
	enum err e = config_load(argc, (char **)(uintptr_t)argv, &c, &b);
	(void)snprintf(told, sizeof(told), "%.*s", (int)b.len, (const char *)b.data);
	buf_release(&b);
	return !e;
}
#define LOAD(...)                                                                                  \
 load((int)COUNT_OF(((const char *[]){ "kymod", "--config", file, ##__VA_ARGS__ })),               \
     (const char *[]){ "kymod", "--config", file, ##__VA_ARGS__ })

static void without_a_file(void)
{
	tap_ok(load(1, (const char *[]){ "kymod" }), "without a file there is a configuration");
	tap_ok(!c->path && !c->tenants && !c->idents, "of one tenant, open");
	tap_is_str(c->flags.listen[0], "0.0.0.0:9470", "with the usual address");
}

/* Of tokens and passwords in files the hashes are left. */
static void secrets_are_forgotten(void)
{
	static const char token[] = "a-token-of-a-file-0123";
	char *path = testlib_path(dir, "t.token");
	FILE *f = fopen(path, "w");
	if (!f || fputs(token, f) < 0 || fclose(f) || chmod(path, 0600))
		exit(99);
	put("identities:\n  tokens: [{name: a, token_file: t.token, roles: [read]}]\n"
	    "  basic: [{name: b, password_file: t.token, roles: [read]}]\n");
	tap_ok(LOAD(), "secrets are read from files: %s", told);
	const struct ident_token *t = c->identities.tokens.items;
	const struct ident_user *u = c->identities.users.items;
	size_t n = 1, m = 1;
	secret_bytes(t->token, &n);
	secret_bytes(u->password, &m);
	tap_ok(!n && !m && c->idents && ident_find_token(c->idents, token, strlen(token)),
	    "and wiped when they are hashed");
	struct buf shown;
	buf_init(&shown);
	config_show(c, &shown);
	buf_add_u8(&shown, 0);
	tap_ok(strstr((const char *)shown.data, "token_file: <secret>"),
	    "what is shown says that there is one");
	buf_release(&shown);
	free(path);
}

static void the_file_is_read(void)
{
	put("listeners: [{address: \"127.0.0.1:1\"}, {address: \"127.0.0.1:2\"}]\n"
	    "loops: 3\n"
	    "self_metrics: false\n"
	    "storage: {data_dir: d, retention: 5d}\n"
	    "query:\n  max_samples: 1000\n  features: [promql-experimental-functions]\n"
	    "log: {format: json, level: warn}\n"
	    "tenants:\n  defaults: {samples_per_s: 7}\n  acme: {series: 5, retention: 1w}\n");
	tap_ok(LOAD(), "a file is read: %s", told);
	tap_ok(c->flags.listen_count == 2 && !strcmp(c->flags.listen[1], "127.0.0.1:2"),
	    "its listeners");
	tap_ok(c->flags.loops == 3 && !c->flags.self_metrics && c->flags.log_json &&
	        c->flags.log_level == LOG_LEVEL_WARN,
	    "its top");
	tap_is_i64(c->flags.ooo_window_ms, INT64_C(5) * 86400000,
	    "what depends on another key is settled behind it");
	tap_is_str(c->flags.data_dir, "d", "the data directory is what the flag would be");
	tap_ok(c->flags.limits.query_samples == 1000 && c->flags.features.experimental_functions,
	    "its section query");
	const struct tenant_row *acme = tenants_find(c->tenants, "acme", 4);
	tap_ok(acme && acme->limits.series == 5 && acme->limits.samples_per_s == 7,
	    "its tenants, with the defaults of the file");
	tap_ok(LOAD("--query.max-samples=5", "--listen", "127.0.0.1:9", "--retention=6d") &&
	        c->flags.limits.query_samples == 5 && c->flags.listen_count == 1 &&
	        !strcmp(c->flags.listen[0], "127.0.0.1:9") &&
	        c->flags.retention_ms == INT64_C(6) * 86400000,
	    "the command line wins: %s", told);
	tap_ok(c->flags.loops == 3, "where it says something");
}

/* Every flag that has a value in force has a key, and each key is of one flag. */
static void every_flag_is_a_key(void)
{
	struct arena a;
	char key[FLAG_KEY_MAX];
	arena_init(&a, 65536);
	const struct yaml_schema *s = config_schema(&a);
	for (size_t i = 0; i < flags_count; i++) {
		const struct flag *f = &flags_table[i];
		bool none = flag_is_order(f) || f->kind == FLAG_LISTEN || !strcmp(f->name, "config");
		flag_key(f, key);
		char *dot = strchr(key, '.');
		const struct yaml_schema *in = s;
		if (dot)
			*dot = 0;
		unsigned found = 0;
		for (size_t k = 0; dot && k < s->count; k++)
			if (!strcmp(s->rows[k].key, key))
				in = s->rows[k].sub;
		for (size_t k = 0; k < in->count; k++)
			found += !strcmp(in->rows[k].key, dot ? dot + 1 : key);
		tap_ok(none ? !*key : found == 1, "--%s has one key", f->name);
	}
	arena_release(&a);
}

static const struct yaml_schema *schema_of(struct arena *a)
{
	arena_init(a, 65536);
	return config_schema(a);
}

static void printed_is_read(void)
{
	struct buf printed, again;
	struct arena a;
	buf_init(&printed);
	buf_init(&again);
	config_print(&printed);
	buf_add_u8(&printed, 0);
	put((char *)printed.data);
	tap_ok(LOAD(), "what --print-config prints is a configuration: %s", told);
	struct flags usual;
	tap_ok(!c->tenants && !c->idents, "that changes nothing: nobody is named");
	flags_default(&usual);
	flags_settle(&usual);
	tap_is_mem(&c->flags.limits, sizeof(usual.limits), &usual.limits, sizeof(usual.limits),
	    "all limits are the usual ones");
	const struct yaml_schema *s = schema_of(&a);
	yaml_show_help(&again, s, c);
	arena_release(&a);
	const char *begin = strstr((char *)printed.data, "\n\n");
	tap_ok(begin && strlen(begin) > 5000, "it says a lot");
	buf_release(&printed);
	buf_release(&again);
}

/* What is shown of a configuration, read again, shows the same. */
static void shown_is_read(void)
{
	struct buf one, two;
	buf_init(&one);
	buf_init(&two);
	put("loops: 3\nquery: {features: [promql-experimental-functions, \"promql-binop-fill-modifiers\"]}\n"
	    "tenants: {acme: {series: 5, retention: 1w}, \"null\": {}, \"12\": {}}\n"
	    "web: {external_url: \"http://a b:1/x\"}\n");
	tap_ok(!LOAD() && strstr(told, "web.external-url"), "an external URL is checked: %s", told);
	put("loops: 3\nquery: {features: [promql-experimental-functions, \"promql-binop-fill-modifiers\"]}\n"
	    "tenants: {acme: {series: 5, retention: 1w}, \"null\": {}, \"12\": {}}\n");
	tap_ok(LOAD(), "a file is read: %s", told);
	config_show(c, &one);
	buf_add_u8(&one, 0);
	put((char *)one.data);
	tap_ok(LOAD(), "what is in force can be read: %s", told);
	config_show(c, &two);
	buf_add_u8(&two, 0);
	tap_is_str((char *)two.data, (char *)one.data, "and is the same");
	buf_release(&one);
	buf_release(&two);
}

static void mistakes(void)
{
	put("quary: {}\nquery: {max_sampels: 1}\ntenants: {\"a b\": {}, x: {seris: 1}}\nlisteners: [{}]\n");
	tap_ok(!LOAD(), "mistakes end it");
	tap_ok(strstr(told, ":1:1: quary: unknown key, did you mean query?"), "a section");
	tap_ok(strstr(told, "query.max_sampels: unknown key, did you mean max_samples?"), "a key");
	tap_ok(strstr(told, "seris: unknown key, did you mean series?"), "a tenant's");
	tap_ok(strstr(told, "listeners[0]: the key address is missing"), "a listener's");
	tap_note("%s", told);
	put("loops: x\nlisteners: [{address: \"1.2.3.4\"}, {address: \"[::1]:70000\"}]\n"
	    "identities: {tokens: [{name: a, roles: [read]}]}\n");
	tap_ok(!LOAD() && strstr(told, "loops: \"x\" is not a whole number") &&
	        strstr(told, "listeners[0].address: \"1.2.3.4\": HOST:PORT") &&
	        strstr(told, "listeners[1].address: \"[::1]:70000\": HOST:PORT") &&
	        strstr(told, "identities.tokens[0]"),
	    "what a section makes of its rows is told with the others' mistakes: %s", told);
	static const char *const nobody[] = { "identities:\n", "identities: {}\n",
		"identities: {tokens: []}\n", "identities: {anonymous: {}}\n",
		"identities: {anonymous: {roles: []}}\n",
		"identities: {anonymous: {roles: [], trusted: false}}\n" };
	for (size_t i = 0; i < COUNT_OF(nobody); i++) {
		put(nobody[i]);
		tap_ok(!LOAD(), "who lets nobody in does not let in everybody: %s", nobody[i]);
	}
	tap_ok(!load(3, (const char *[]){ "kymod", "--config", "/nowhere/k.yml" }) &&
	        strstr(told, "/nowhere/k.yml: no such file"),
	    "a file that is not there: %s", told);
}

static void rules_of_cardinality(void)
{
	put("tenants:\n"
	    "  defaults: {cardinality: [{label: a, max_values: 5, action: replace}]}\n"
	    "  acme: {cardinality: []}\n"
	    "  beta: {cardinality: [{metric: \"x.*\", per: target, max_series: 7, dry_run: true}]}\n"
	    "  gamma: {series: 5}\n");
	tap_ok(LOAD(), "rules of cardinality are read: %s", told);
	for (uint32_t i = 0; i < c->tenants->count; i++)
		tenants_set_id(c->tenants, i, i + 1); /* by name */
	tap_ok(!tenant_card_of(c->tenants, 1), "an empty list is none");
	const struct card_rules *beta = tenant_card_of(c->tenants, 2);
	tap_ok(card_rules_count(beta) == 1 && card_rules_at(beta, 0)->per == CARD_PER_TARGET &&
	        card_rules_at(beta, 0)->max_series == 7 && card_rules_at(beta, 0)->dry_run &&
	        card_rules_at(beta, 0)->action == CARD_REPORT,
	    "a tenant's own");
	const struct card_rules *usual = tenant_card_of(c->tenants, 99);
	tap_ok(usual && usual == tenant_card_of(c->tenants, 3) &&
	        card_rules_at(usual, 0)->action == CARD_REPLACE,
	    "others have those of all, with other limits of their own, too");
	tap_ok(tenants_card_hash(c->tenants), "that there are some is seen at once");
	put("tenants:\n"
	    "  acme: {cardinality: [{label: a, max_values: 5}, {label: a, max_values: 5, max_series: 3}]}\n"
	    "  beta: {cardinality: [{metric: \"x(\", label: a, max_values: 5}]}\n");
	tap_ok(!LOAD() && strstr(told, ":2:23: tenants.acme.cardinality: rule 2: one of max_values") &&
	        strstr(told, "tenants.beta.cardinality: rule 1: metric \"x(\""),
	    "what is wrong with a rule is told: %s", told);
	put("tenants: {acme: {cardinality: [{label: a, max_values: 5, action: drop}]}}\n");
	tap_ok(!LOAD() && strstr(told, "known: report, drop_label, replace, refuse"),
	    "a word that is none: %s", told);
}

int main(void)
{
	dir = testlib_tmpdir("config");
	file = testlib_path(dir, "k.yml");
	without_a_file();
	the_file_is_read();
	secrets_are_forgotten();
	every_flag_is_a_key();
	printed_is_read();
	shown_is_read();
	mistakes();
	rules_of_cardinality();
	config_drop(c);
	testlib_rmtree(dir);
	free(dir);
	free(file);
	return tap_done();
}
