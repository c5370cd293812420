#include "net/daemon/config.h"

#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/metric.h"
#include "net/daemon/flags_priv.h"

#define HASH_SEED 1 /* of no secret: the same file has the same everywhere */

/* ---- for rows ---- */

bool config_set_not(struct yaml *y, const struct yaml_node *n, const struct yaml_row *row, void *at)
{
	struct yaml_row word = *row;
	bool on = true;
	word.kind = YAML_BOOL;
	if (!yaml_set(y, n, &word, &on))
		return false;
	*(bool *)at = !on;
	return true;
}

bool config_show_not(struct buf *out, const struct yaml_row *row, const void *at)
{
	(void)row;
	buf_add_str(out, *(const bool *)at ? "false" : "true");
	return true;
}

/* ---- the whole file ---- */

const struct yaml_schema *config_schema(struct arena *a)
{
	struct yaml_schema *s = arena_zalloc(a, sizeof(*s));
	/* As many sections as flags at the most, and those that are no flags. */
	struct yaml_row *rows = arena_array(a, flags_count + 4, sizeof(*rows));
	size_t count = 0;
	rows[count++] = (struct yaml_row){ .key = "listeners",
		.kind = YAML_ITEMS,
		.off = offsetof(struct config, listeners),
		.sub = &config_listener_schema,
		.help = "where to listen, and how; --listen replaces it" };
	config_server_rows(a, rows, &count);
	rows[count++] = (struct yaml_row){ .key = "identities",
		.kind = YAML_IN,
		.off = offsetof(struct config, identities),
		.sub = &config_ident_schema,
		.help = "who may come in; without it everybody may do everything, as one tenant" };
	rows[count++] = (struct yaml_row){ .key = "tenants",
		.kind = YAML_IN,
		.sub = &config_tenants_schema,
		.help = "limits of tenants" };
	rows[count++] = (struct yaml_row){ .key = "receivers",
		.kind = YAML_IN,
		.sub = &config_receivers_schema,
		.help = "by which protocols samples may come, and what each of them goes by" };
	*s = (struct yaml_schema){ .rows = rows, .count = count };
	return s;
}

/* ---- life ---- */

/* All but the struct itself. */
static void config_empty(struct config *c)
{
	ident_set_free(c->idents);
	tenants_free(c->tenants);
	config_tenants_free(c);
	config_inlet_free(c);
	buf_release(&c->_shown);
	config_listen_free(c);
	statsd_conf_release(&c->recv.statsd);
	yaml_keep_release(&c->keep);
	metric_gauge_add(M_CONFIG_SNAPSHOTS, -1);
}

static void config_free(struct config *c)
{
	config_empty(c);
	mem_free(c);
}

static void empty_there(struct work_task *t)
{
	config_empty(CONTAINER_OF(t, struct config, _end));
}

static void free_here(struct work_task *t)
{
	mem_free(CONTAINER_OF(t, struct config, _end));
}

/* Thousands of secrets and tenants take milliseconds: not a loop's. */
static void config_ended(struct snap *s)
{
	struct config *c = CONTAINER_OF(s, struct config, snap);
	if (!c->pool || !loop_here()) {
		config_free(c);
		return;
	}
	c->_end =
	    (struct work_task){ .run = empty_there, .done = free_here, .prio = WORK_BACKGROUND };
	work_submit(c->pool, &c->_end);
}

static struct config *config_begin(void)
{
	struct config *c = mem_zalloc(sizeof(*c));
	snap_init(&c->snap, config_ended);
	metric_gauge_add(M_CONFIG_SNAPSHOTS, 1);
	yaml_keep_init(&c->keep);
	buf_init(&c->_shown);
	flags_default(&c->flags);
	tenant_limits_default(&c->tenant_defaults.limits);
	statsd_conf_default(&c->recv.statsd);
	c->tenant_defaults.ha.rule = hapair_rule_default;
	c->relabel_cache = CONFIG_RELABEL_CACHE;
	c->loaded_ms = clock_wall_ms();
	return c;
}

void config_drop(struct config *c)
{
	if (c)
		snap_drop(&c->snap);
}

/* ---- reading ---- */

/* The addresses of listeners, where the command line does not say others. */
static bool take_addresses(struct config *c, struct yaml *y)
{
	const struct config_listener *l = c->listeners.items;
	if (c->listeners.count > FLAGS_LISTEN_MAX)
		return yaml_fail(y, yaml_child(yaml_root(y), "listeners"),
		    "%zu listeners, at most %d can be", c->listeners.count, FLAGS_LISTEN_MAX);
	for (size_t i = 0; i < c->listeners.count; i++)
		c->flags.listen[c->flags.listen_count++] = l[i].address;
	return true;
}

static bool is_fine(const struct yaml *y, const char *section)
{
	return !yaml_failed_in(y, yaml_child(yaml_root(y), section));
}

/* A section is made use of when its own rows are fine: all mistakes are told at once. */
static bool read_file(struct config *c, struct yaml *y)
{
	yaml_walk(y, yaml_root(y), config_schema(&c->keep.arena), c);
	if (is_fine(y, "listeners"))
		take_addresses(c, y);
	if (is_fine(y, "identities"))
		(void)config_ident_make(c, y);
	if (is_fine(y, "receivers"))
		(void)config_receivers_make(c, y);
	if (is_fine(y, "tenants") && config_tenants_make(c, y) && is_fine(y, "receivers"))
		(void)config_inlet_make(c, y);
	return !yaml_failed(y);
}

static enum err load(const char *path, int argc, char **argv, struct config **out, struct buf *told)
{
	struct errbuf eb;
	struct config *c = config_begin();
	size_t len;
	errbuf_init(&eb);
	if (path) {
		struct yaml *y = yaml_load(path, &c->keep);
		bool fine = read_file(c, y);
		if (!fine)
			yaml_tell(y, told);
		const char *text = yaml_text(y, &len);
		c->hash = hash64(text, len, HASH_SEED);
		yaml_close(y);
		if (!fine)
			goto failed;
	}
	c->path = path;
	if (flags_apply(argc, argv, &c->flags, &eb)) {
		buf_printf(told, "kymod: %s\n", eb.text);
		goto failed;
	}
	flags_settle(&c->flags);
	if (!config_listen_make(c, told) || !config_ident_web(c, told))
		goto failed;
	config_ident_forget(c);
	char front[LISTEN_TEXT_MAX + 256];
	const struct listen_conf *l = &c->listen[config_front(c)];
	snprintf(front, sizeof(front), "%s%s", l->tls ? "https://" : "", l->address);
	if (weburl_init(&c->web, c->flags.external_url, c->flags.route_prefix, front, &eb)) {
		buf_printf(told, "kymod: %s\n", eb.text);
		goto failed;
	}
	c->flags.route_prefix = c->web.prefix[0] ? c->web.prefix : "/"; /* what is in force */
	c->said = c->flags;
	*out = c;
	return ERR_OK;
failed:
	config_free(c);
	return ERR_BADDATA;
}

enum err config_load_file(
    const char *path, int argc, char **argv, struct config **out, struct buf *told)
{
	enum err e = load(path, argc, argv, out, told);
	if (!e && !config_listen_check(*out, told)) {
		config_drop(*out);
		e = ERR_BADDATA;
	}
	return e;
}

enum err config_load(int argc, char **argv, struct config **out, struct buf *told)
{
	struct flags said;
	struct errbuf eb;
	errbuf_init(&eb);
	flags_default(&said);
	if (flags_apply(argc, argv, &said, &eb)) {
		buf_printf(told, "%s\n", eb.text);
		return ERR_BADDATA;
	}
	return load(said.config, argc, argv, out, told);
}

/* ---- showing ---- */

void config_usual(void (*fn)(void *arg, const struct yaml_schema *s, const void *values), void *arg)
{
	struct config *c = config_begin();
	struct config_listener usual = { .address = "0.0.0.0:9470" };
	c->listeners = (struct yaml_items){ &usual, 1 };
	fn(arg, config_schema(&c->keep.arena), c);
	config_free(c);
}

static void print_help(void *arg, const struct yaml_schema *s, const void *values)
{
	yaml_show_help(arg, s, values);
}

void config_print(struct buf *out)
{
	buf_add_str(out,
	    "# Configuration of kymod: every key with its default. What begins with # is a comment; a\n"
	    "# key that is left out has its default. Paths begin in the folder of this file, but for that\n"
	    "# of the data, which begins where kymod is started.\n"
	    "# kymod --check-config FILE tells what is wrong; SIGHUP reads the file again.\n");
	config_usual(print_help, out);
}

void config_show(const struct config *c, struct buf *out)
{
	struct arena a;
	arena_init(&a, 16384);
	yaml_show(out, config_schema(&a), c);
	arena_release(&a);
}

/* ---- before it is shared ---- */

static void each_flag(
    const void *flags, void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
	flags_each(flags, fn, arg);
}

static void each_changed(
    const void *said, void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
	flags_each_changed(said, fn, arg);
}

/* May others than this machine do everything? */
static bool is_open(const struct config *c)
{
	static const char *const own[] = { "127.", "[::1]:", "localhost:" };
	for (unsigned i = 0; !c->idents && i < c->listen_count; i++) {
		bool is_own = false;
		for (size_t k = 0; k < COUNT_OF(own); k++)
			is_own |= !strncmp(c->listen[i].address, own[k], strlen(own[k]));
		if (!is_own)
			return true;
	}
	return false;
}

void config_settle(struct config *c, unsigned loops)
{
	c->flags.loops = loops;
	limits_fill(&c->flags.limits, loops);
	buf_clear(&c->_shown);
	config_show(c, &c->_shown);
	c->api = (struct api_conf){ .lookback_ms = c->flags.lookback_ms,
		.features = c->flags.features,
		.admin_api = c->flags.admin_api,
		.lifecycle = c->flags.lifecycle,
		.open = is_open(c),
		.access = { .form = c->flags.access_form,
		    .sample = c->flags.access_sample,
		    .min_ms = (uint64_t)c->flags.access_min_ms },
		.slow_ms = (uint64_t)c->flags.slow_ms,
		.recv = &c->recv,
		.yaml = (const char *)c->_shown.data,
		.yaml_len = c->_shown.len,
		.flags_each = each_flag,
		.flags_changed = each_changed,
		.flags = &c->flags,
		.flags_said = &c->said };
}

static const char *kept_text(struct config *c, const char *text)
{
	return text ? arena_strndup(&c->keep.arena, text, strlen(text)) : NULL;
}

/* The value of one flag goes from one to another. */
static void copy_value(
    struct config *to, struct flags *f, const struct flags *from, const struct flag *row)
{
	void *at = flag_at(f, row);
	switch (row->kind) {
	case FLAG_TEXT:
	case FLAG_PATH:
	case FLAG_LIST:
		*(const char **)at = kept_text(to, *(const char *const *)flag_at(from, row));
		return;
	case FLAG_UNSIGNED:
	case FLAG_SYNC:
	case FLAG_LEVEL:
	case FLAG_ACCESS:
	case FLAG_SANDBOX:
		*(unsigned *)at = *(const unsigned *)flag_at(from, row);
		return;
	case FLAG_COUNT:
	case FLAG_BYTES:
	case FLAG_DURATION:
		*(uint64_t *)at = *(const uint64_t *)flag_at(from, row);
		return;
	case FLAG_SWITCH:
	case FLAG_UNSWITCH:
	case FLAG_FORMAT:
		*(bool *)at = *(const bool *)flag_at(from, row);
		return;
	case FLAG_LISTEN:
	case FLAG_FEATURES:
		break;
	}
}

static bool same_value(const struct flags *a, const struct flags *b, const struct flag *row)
{
	char x[FLAG_VALUE_MAX], y[FLAG_VALUE_MAX];
	return !strcmp(flag_value(a, row, x), flag_value(b, row, y));
}

static void follow_flag(struct config *next, const struct config *now, const struct flag *row)
{
	char key[FLAG_KEY_MAX], x[FLAG_VALUE_MAX], y[FLAG_VALUE_MAX];
	if (!flag_is_start(row))
		return;
	if (!same_value(&next->said, &now->said, row))
		LOG_WARN("config_needs_restart",
		    "key=%s value=\"%s\" in_force=\"%s\" text=\"it changes at the next start\"",
		    flag_key(row, key), flag_value(&next->said, row, x),
		    flag_value(&now->flags, row, y));
	copy_value(next, &next->flags, &now->flags, row);
	copy_value(next, &next->said, &now->said, row);
}

static void follow_addresses(struct config *next, const struct config *now)
{
	bool same = next->flags.listen_count == now->flags.listen_count;
	for (unsigned i = 0; same && i < now->flags.listen_count; i++)
		same = !strcmp(next->flags.listen[i], now->flags.listen[i]);
	if (!same)
		LOG_WARN("config_needs_restart",
		    "key=listeners text=\"addresses change at the next start\"");
	next->flags.listen_count = now->flags.listen_count;
	for (unsigned i = 0; i < now->flags.listen_count; i++)
		next->flags.listen[i] = kept_text(next, now->flags.listen[i]);
}

static bool same_headers(const struct webconfig *a, const struct webconfig *b)
{
	size_t n = a ? a->header_count : 0;
	bool same = n == (b ? b->header_count : 0);
	for (size_t i = 0; same && i < n; i++)
		same = !strcmp(a->headers[i].name, b->headers[i].name) &&
		    !strcmp(a->headers[i].value, b->headers[i].value);
	return same;
}

void config_follow(struct config *next, const struct config *now)
{
	for (size_t i = 0; i < flags_count; i++)
		follow_flag(next, now, &flags_table[i]);
	follow_addresses(next, now);
	if (!same_headers(next->webconfig, now->webconfig))
		LOG_WARN("config_needs_restart",
		    "key=http_server_config.headers text=\"they change at the next start\"");
	if (!statsd_conf_same_start(&next->recv.statsd, &now->recv.statsd))
		LOG_WARN("config_needs_restart",
		    "key=receivers.statsd text=\"listen, memory, connections and receive_buffer change at the next start\"");
	next->web = now->web;
	config_settle(next, now->flags.loops);
}
