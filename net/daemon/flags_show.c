#include "net/daemon/flags_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAME_WIDTH 42
#define VALUE_MAX  FLAG_VALUE_MAX
STATIC(FLAG_VALUE_MAX > NUM_FMT_MAX);

/* As it may be written on the command line: 1h30m, 64MiB, 1000. */
static void number_text(enum flag_kind kind, uint64_t v, char out[VALUE_MAX])
{
	static const char *const units[] = { "", "KiB", "MiB", "GiB", "TiB" };
	size_t unit = 0;

	if (kind == FLAG_DURATION) {
		out[num_fmt_duration((int64_t)v, out)] = 0;
		return;
	}
	for (; kind == FLAG_BYTES && v && v % 1024 == 0 && unit + 1 < COUNT_OF(units); unit++)
		v /= 1024;
	snprintf(out, VALUE_MAX, "%" PRIu64 "%s", v, units[unit]);
}

/* 0 stands for a default that is found later: told in the words of the help. */
static void known_text(const struct flag *row, uint64_t v, char out[VALUE_MAX])
{
	const char *open = strrchr(row->help, '(');
	bool found_later = !row->limit || !row->usual;

	if (!v && open && found_later && row->kind != FLAG_DURATION)
		snprintf(out, VALUE_MAX, "%.*s", (int)strcspn(open + 1, ")"), open + 1);
	else
		number_text(row->kind, v, out);
}

static const char *text_or_none(const char *text)
{
	return text ? text : "";
}

const char *flag_value(const struct flags *f, const struct flag *row, char out[FLAG_VALUE_MAX])
{
	switch (row->kind) {
	case FLAG_TEXT:
	case FLAG_PATH:
	case FLAG_LIST:
		return text_or_none(*(const char *const *)flag_at(f, row));
	case FLAG_LISTEN:
		return f->listen[0];
	case FLAG_UNSIGNED:
		known_text(row, *(const unsigned *)flag_at(f, row), out);
		return out;
	case FLAG_COUNT:
	case FLAG_BYTES:
	case FLAG_DURATION:
		known_text(row, *(const uint64_t *)flag_at(f, row), out);
		return out;
	case FLAG_SWITCH:
		return *(const bool *)flag_at(f, row) ? "true" : "false";
	case FLAG_UNSWITCH:
		return *(const bool *)flag_at(f, row) ? "false" : "true";
	case FLAG_SYNC:
		return flags_syncs[f->sync];
	case FLAG_LEVEL:
		return f->log_level < COUNT_OF(flags_levels) ? flags_levels[f->log_level] : "none";
	case FLAG_ACCESS:
		return flags_accesses[f->access_form];
	case FLAG_FORMAT:
		return flags_formats[f->log_json];
	case FLAG_SANDBOX:
		return flags_sandboxes[f->sandbox];
	case FLAG_FEATURES:
		return f->features_named;
	}
	return "";
}

/* Names that tools and pages made for Prometheus look up, beside those that are the same. */
static void each_of_prometheus(
    const struct flags *f, void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
	char days[VALUE_MAX];

	number_text(FLAG_DURATION, (uint64_t)f->retention_ms, days);
	fn(arg, "storage.tsdb.path", f->data_dir);
	fn(arg, "storage.tsdb.retention.time", days);
	fn(arg, "web.listen-address", f->listen[0]);
	fn(arg, "config.file", text_or_none(f->config));
}

void flags_each(
    const struct flags *f, void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
	for (size_t i = 0; i < flags_count; i++) {
		const struct flag *row = &flags_table[i];
		char text[VALUE_MAX] = "";

		if (!flag_is_order(row))
			fn(arg, row->name, flag_value(f, row, text));
	}
	each_of_prometheus(f, fn, arg);
}

void flags_each_changed(
    const struct flags *said, void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
	struct flags usual;

	flags_default(&usual);
	if (said->ooo_window_ms == said->retention_ms) /* goes with it: no change of its own */
		usual.ooo_window_ms = said->ooo_window_ms;
	flags_settle(&usual);
	usual.route_prefix = "/";
	for (size_t i = 0; i < flags_count; i++) {
		const struct flag *row = &flags_table[i];
		char text[VALUE_MAX] = "", other[VALUE_MAX] = "";

		if (flag_is_order(row))
			continue;
		const char *value = flag_value(said, row, text);
		if (strcmp(value, flag_value(&usual, row, other)) != 0)
			fn(arg, row->name, value);
	}
}

static void help_row(struct buf *out, const struct flag *row)
{
	char head[VALUE_MAX], usual[VALUE_MAX];

	snprintf(head, sizeof(head), "--%s%s%s", row->name, row->arg ? " " : "",
	    row->arg ? row->arg : "");
	buf_printf(out, "  %-*s %s", NAME_WIDTH, head, row->help);
	if (row->limit && row->usual) {
		number_text(row->kind, row->usual, usual);
		buf_printf(out, " (%s)", usual);
	}
	buf_add_u8(out, '\n');
}

const char *flag_group_title(enum flag_group group)
{
	static const char *const titles[FLAG_GROUPS] = {
		[FLAG_GENERAL] = "general",
		[FLAG_STORAGE] = "storage",
		[FLAG_QUERIES] = "queries",
		[FLAG_WRITES] = "writes",
		[FLAG_WEB] = "connections and requests",
	};
	return titles[group];
}

void flags_help(struct buf *out)
{
	buf_add_str(out,
	    "kymod - a metrics database: Prometheus Remote Write in, PromQL out\n\n"
	    "usage: kymod [flags]\n"
	    "  --name value or --name=value; in brackets the default\n"
	    "  DURATION: 15s, 1h30m, 30d; BYTES: 1048576, 64MiB, 1GiB\n");
	for (unsigned group = 0; group < FLAG_GROUPS; group++) {
		buf_printf(out, "\n%s\n", flag_group_title(group));
		for (size_t i = 0; i < flags_count; i++)
			if (flag_group_of(&flags_table[i]) == group)
				help_row(out, &flags_table[i]);
	}
}
