#include "net/daemon/config.h"

#include <string.h>

#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "net/daemon/flags_priv.h"

/* ---- the whole file ---- */

const struct yaml_schema *config_schema(struct arena *a)
{
	struct yaml_schema *s = arena_zalloc(a, sizeof(*s));
	/* As many sections as flags at the most, and those that are no flags. */
	struct yaml_row *rows = arena_array(a, flags_count + 3, sizeof(*rows));
	size_t count = 0;
	rows[count++] = (struct yaml_row){ .key = "listeners",
		.kind = YAML_ITEMS,
		.off = offsetof(struct config, listeners),
		.sub = &config_listener_schema,
		.help = "where to listen, and how; --listen replaces it" };
	config_server_rows(a, rows, &count);
	rows[count++] = (struct yaml_row){ .key = "tenants",
		.kind = YAML_IN,
		.sub = &config_tenants_schema,
		.help = "limits of tenants" };
	*s = (struct yaml_schema){ .rows = rows, .count = count };
	return s;
}

/* ---- life ---- */

static void config_free(struct config *c)
{
	tenants_free(c->tenants);
	yaml_keep_release(&c->keep);
	mem_free(c);
}

static void config_ended(struct snap *s)
{
	config_free(CONTAINER_OF(s, struct config, snap));
}

static struct config *config_begin(void)
{
	struct config *c = mem_zalloc(sizeof(*c));
	snap_init(&c->snap, config_ended);
	yaml_keep_init(&c->keep);
	flags_default(&c->flags);
	tenant_limits_default(&c->tenant_defaults.limits);
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

static bool read_file(struct config *c, struct yaml *y)
{
	return yaml_walk(y, yaml_root(y), config_schema(&c->keep.arena), c) && !yaml_failed(y) &&
	    take_addresses(c, y) && config_tenants_make(c, y);
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
		c->hash = hash64(text, len, 0);
		yaml_free(y);
		if (!fine)
			goto failed;
	}
	c->path = path;
	if (flags_apply(argc, argv, &c->flags, &eb)) {
		buf_printf(told, "kymod: %s\n", eb.text);
		goto failed;
	}
	flags_settle(&c->flags);
	if (weburl_init(
	        &c->web, c->flags.external_url, c->flags.route_prefix, c->flags.listen[0], &eb)) {
		buf_printf(told, "kymod: %s\n", eb.text);
		goto failed;
	}
	c->flags.route_prefix = c->web.prefix[0] ? c->web.prefix : "/"; /* what is in force */
	*out = c;
	return ERR_OK;
failed:
	config_free(c);
	return ERR_BADDATA;
}

enum err config_load_file(
    const char *path, int argc, char **argv, struct config **out, struct buf *told)
{
	return load(path, argc, argv, out, told);
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

void config_print(struct buf *out)
{
	struct config *c = config_begin();
	struct config_listener usual = { .address = "0.0.0.0:9470" };
	c->listeners = (struct yaml_items){ &usual, 1 };
	buf_add_str(out,
	    "# Configuration of kymod: every key with its default. What begins with # is a comment; a\n"
	    "# key that is left out has its default. Paths begin in the folder of this file.\n"
	    "# kymod --check-config FILE tells what is wrong; SIGHUP reads the file again.\n");
	yaml_show_help(out, config_schema(&c->keep.arena), c);
	config_free(c);
}

void config_show(const struct config *c, struct buf *out)
{
	struct arena a;
	arena_init(&a, 16384);
	yaml_show(out, config_schema(&a), c);
	arena_release(&a);
}
