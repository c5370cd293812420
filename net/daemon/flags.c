#include "net/daemon/flags.h"

#include <stdio.h>
#include <string.h>

#include "core/base/near.h"
#include "core/base/num.h"
#include "core/base/yaml.h"
#include "net/api/slowlog.h"
#include "net/daemon/flags_foreign.h"
#include "net/daemon/flags_priv.h"

#define FLAGS_MAX   128
#define LOOKBACK_MS (5 * 60 * 1000) /* as Prometheus */

static enum err pick(const struct flag *row, const char *value, const char *const *words,
    size_t count, unsigned *out, struct errbuf *eb)
{
	for (unsigned i = 0; i < count; i++) {
		if (!strcmp(value, words[i])) {
			*out = i;
			return ERR_OK;
		}
	}
	const char *near = near_word(value, strlen(value), words, count);
	if (near)
		return errbuf_set(eb, ERR_BADDATA,
		    "--%s: unknown word \"%s\", did you mean \"%s\"? (%s)", row->name, value, near,
		    row->arg);
	return errbuf_set(
	    eb, ERR_BADDATA, "--%s: unknown word \"%s\", known: %s", row->name, value, row->arg);
}

static enum err range_check(const struct flag *row, const char *value, uint64_t v, struct errbuf *eb)
{
	if (v >= row->least && v <= row->most)
		return ERR_OK;
	uint64_t bound = v < row->least ? row->least : row->most;
	char text[64];
	if (row->kind == FLAG_DURATION)
		text[num_fmt_duration((int64_t)bound, text)] = 0;
	else
		snprintf(text, sizeof(text), "%llu", (unsigned long long)bound);
	return errbuf_set(eb, ERR_BADDATA, "--%s: %s is %s than %s", row->name, value,
	    v < row->least ? "less" : "more", text);
}

static enum err set_number(
    struct flags *f, const struct flag *row, const char *value, struct errbuf *eb)
{
	uint64_t v = 0;
	int64_t ms = 0;
	if (row->kind == FLAG_DURATION) {
		if (num_parse_duration(value, strlen(value), &ms) || ms < 0)
			return errbuf_set(eb, ERR_BADDATA,
			    "--%s: \"%s\" is not a duration such as 15s, 1h30m or 30d", row->name,
			    value);
		v = (uint64_t)ms;
	} else if (row->kind == FLAG_BYTES ? yaml_parse_bytes(value, strlen(value), &v)
	                                   : num_parse_u64(value, strlen(value), &v)) {
		return errbuf_set(eb, ERR_BADDATA, "--%s: \"%s\" is not %s", row->name, value,
		    row->kind == FLAG_BYTES ? "a size such as 1048576, 64MiB or 1GiB"
		                            : "a whole number");
	}
	bool usual = row->limit && !row->usual && !v;
	enum err e = usual ? ERR_OK : range_check(row, value, v, eb);
	if (e)
		return e;
	if (row->kind == FLAG_UNSIGNED)
		*(unsigned *)flag_at(f, row) = (unsigned)v;
	else
		*(uint64_t *)flag_at(f, row) = v;
	return ERR_OK;
}

/* ---- features ---- */

static bool *feature(struct flags *f, const char *name, size_t len)
{
	static const struct {
		const char *name;
		size_t off;
	} rows[] = {
		{ "promql-experimental-functions",
		    offsetof(struct ql_features, experimental_functions) },
		{ "promql-extended-range-selectors",
		    offsetof(struct ql_features, extended_selectors) },
		{ "promql-binop-fill-modifiers", offsetof(struct ql_features, fill_modifiers) },
		{ "promql-delayed-name-removal", offsetof(struct ql_features, delayed_name_removal) },
		{ "promql-duration-expr", offsetof(struct ql_features, duration_expr) },
		{ "promql-per-step-stats", offsetof(struct ql_features, per_step_stats) },
		{ "type-and-unit-labels", offsetof(struct ql_features, type_and_unit_labels) },
		{ "use-start-timestamps", offsetof(struct ql_features, start_timestamps) },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (strlen(rows[i].name) == len && !memcmp(rows[i].name, name, len))
			return (bool *)(void *)((char *)&f->features + rows[i].off);
	return NULL;
}

const char *flags_features(void)
{
	return "promql-experimental-functions, promql-extended-range-selectors, promql-binop-fill-modifiers, promql-delayed-name-removal, promql-duration-expr, promql-per-step-stats, type-and-unit-labels, use-start-timestamps";
}

static void add_word(char *list, const char *word, size_t len)
{
	size_t at = strlen(list);
	if (at + len + 2 > FLAGS_FEATURES_BYTES)
		return;
	snprintf(list + at, FLAGS_FEATURES_BYTES - at, "%s%.*s", at ? "," : "", (int)len, word);
}

/* A name that is not known here is no error: a command line made for another server goes on. */
void flags_set_features(struct flags *f, const char *value)
{
	for (const char *p = value; *p;) {
		size_t len = strcspn(p, ",");
		bool *on = feature(f, p, len);
		if (on)
			*on = true;
		if (len)
			add_word(on ? f->features_named : f->features_unknown, p, len);
		p += len + (p[len] == ',');
	}
}

static enum err set_value(
    struct flags *f, const struct flag *row, const char *value, struct errbuf *eb)
{
	unsigned which = 0;
	enum err e = ERR_OK;
	switch (row->kind) {
	case FLAG_TEXT:
	case FLAG_PATH:
	case FLAG_LIST:
		if (!*value)
			return errbuf_set(eb, ERR_BADDATA, "--%s: empty value, %s is needed",
			    row->name, row->arg);
		*(const char **)flag_at(f, row) = value;
		return ERR_OK;
	case FLAG_LISTEN:
		if (f->listen_count == FLAGS_LISTEN_MAX)
			return errbuf_set(
			    eb, ERR_BADDATA, "--listen: more than %d addresses", FLAGS_LISTEN_MAX);
		f->listen[f->listen_count++] = value;
		return ERR_OK;
	case FLAG_UNSIGNED:
	case FLAG_COUNT:
	case FLAG_BYTES:
	case FLAG_DURATION:
		return set_number(f, row, value, eb);
	case FLAG_SYNC:
		e = pick(row, value, flags_syncs, COUNT_OF(flags_syncs), &which, eb);
		f->sync = (enum store_sync)which;
		return e;
	case FLAG_LEVEL:
		e = pick(row, value, flags_levels, COUNT_OF(flags_levels), &which, eb);
		f->log_level = (enum log_level)which;
		return e;
	case FLAG_ACCESS:
		e = pick(row, value, flags_accesses, COUNT_OF(flags_accesses), &which, eb);
		f->access_form = (enum accesslog_form)which;
		return e;
	case FLAG_FORMAT:
		e = pick(row, value, flags_formats, COUNT_OF(flags_formats), &which, eb);
		f->log_json = which == 1;
		return e;
	case FLAG_SANDBOX:
		e = pick(row, value, flags_sandboxes, COUNT_OF(flags_sandboxes), &which, eb);
		f->sandbox = (enum sandbox_mode)which;
		return e;
	case FLAG_FEATURES:
		flags_set_features(f, value);
		return ERR_OK;
	case FLAG_SWITCH:
	case FLAG_UNSWITCH:
		break;
	}
	return ERR_BUG;
}

static const struct flag *find(const char *name, size_t len)
{
	for (size_t i = 0; i < flags_count; i++) {
		if (strlen(flags_table[i].name) == len && !memcmp(flags_table[i].name, name, len))
			return &flags_table[i];
	}
	return NULL;
}

static enum err unknown(const char *arg, const char *name, size_t len, struct errbuf *eb)
{
	const char *names[FLAGS_MAX], *answer = flags_foreign(name, len);
	int shown = (int)(len + (size_t)(name - arg));
	if (answer)
		return errbuf_set(eb, ERR_BADDATA, "unknown flag \"%.*s\": %s", shown, arg, answer);
	CHECK(flags_count <= FLAGS_MAX);
	for (size_t i = 0; i < flags_count; i++)
		names[i] = flags_table[i].name;
	const char *near = near_word(name, len, names, flags_count);
	if (near)
		return errbuf_set(
		    eb, ERR_BADDATA, "unknown flag \"%.*s\", did you mean --%s?", shown, arg, near);
	return errbuf_set(eb, ERR_BADDATA, "unknown flag \"%s\", see --help", arg);
}

void flags_default(struct flags *f)
{
	struct store_opts so;
	store_opts_default(&so);
	*f = (struct flags){
		.data_dir = "./data",
		.external_url = "",
		.access_file = "",
		.slow_file = "",
		.access_sample = 1,
		.slow_ms = SLOWLOG_USUAL_MS,
		.route_prefix = "",
		.sync = so.sync,
		.sync_interval_ms = so.sync_interval_ms,
		.ooo_window_ms = so.ooo_window_ms,
		.retention_ms = so.retention_ms,
		.round_every_ms = so.round_every_ms,
		.log_share_bytes = so.log_share_bytes,
		.min_free_bytes = so.min_free_bytes,
		.series_max = so.series_max,
		.lookback_ms = LOOKBACK_MS,
		.self_metrics = true,
		.log_level = LOG_LEVEL_INFO,
		.limits = {
#define LIMIT(field, flag, unit, usual, ...) .field = usual,
#include "core/model/limits.def"
#undef LIMIT
		},
	};
}

/* "--name" and "--name=true"; "--name=false" takes back what the configuration says. */
static enum err set_switch(
    struct flags *f, const struct flag *row, const char *value, struct errbuf *eb)
{
	bool no = value && !strcmp(value, "false");
	if (value && !no && strcmp(value, "true"))
		return errbuf_set(
		    eb, ERR_BADDATA, "--%s: \"%s\" is not true or false", row->name, value);
	*(bool *)flag_at(f, row) = (row->kind == FLAG_SWITCH) != no;
	return ERR_OK;
}

static enum err parse_one(struct flags *f, int argc, char **argv, int *i, struct errbuf *eb)
{
	const char *arg = argv[*i], *name = arg;
	while (*name == '-' && name < arg + 2)
		name++;
	if (name == arg || !*name)
		return errbuf_set(
		    eb, ERR_BADDATA, "unexpected argument \"%s\", flags begin with --", arg);
	if (!strcmp(arg, "-h"))
		name = "help";
	size_t len = strcspn(name, "=");
	const struct flag *row = find(name, len);
	if (!row)
		return unknown(arg, name, len, eb);
	if (row->kind == FLAG_SWITCH || row->kind == FLAG_UNSWITCH)
		return set_switch(f, row, name[len] ? name + len + 1 : NULL, eb);
	const char *value = name[len] ? name + len + 1 : NULL;
	if (!value) {
		if (*i + 1 >= argc)
			return errbuf_set(
			    eb, ERR_BADDATA, "--%s needs a value: %s", row->name, row->arg);
		value = argv[++*i];
	}
	return set_value(f, row, value, eb);
}

enum err flags_apply(int argc, char **argv, struct flags *f, struct errbuf *eb)
{
	struct flags said = *f;
	said.listen_count = 0;
	for (int i = 1; i < argc; i++) {
		enum err e = parse_one(&said, argc, argv, &i, eb);
		if (e)
			return e;
	}
	if (!said.listen_count) {
		memcpy(said.listen, f->listen, sizeof(said.listen));
		said.listen_count = f->listen_count;
	}
	*f = said;
	return ERR_OK;
}

void flags_settle(struct flags *f)
{
	if (!f->listen_count)
		f->listen[f->listen_count++] = "0.0.0.0:9470";
	if (f->ooo_window_ms < 0)
		f->ooo_window_ms = f->retention_ms;
}

enum err flags_parse(int argc, char **argv, struct flags *out, struct errbuf *eb)
{
	flags_default(out);
	enum err e = flags_apply(argc, argv, out, eb);
	if (!e)
		flags_settle(out);
	return e;
}
