#include "net/daemon/flags.h"

#include <stdio.h>
#include <string.h>

#include "core/base/near.h"
#include "core/base/num.h"

enum flag_kind {
	FLAG_TEXT,
	FLAG_LISTEN,
	FLAG_UINT,
	FLAG_BYTES,
	FLAG_DURATION,
	FLAG_SWITCH,
	FLAG_SYNC,
	FLAG_LEVEL,
	FLAG_FORMAT
};

struct flag {
	const char *name;
	enum flag_kind kind;
	size_t off;
	uint64_t least, most; /* UINT, BYTES; ms for DURATION */
	const char *arg, *help;
};
#define OFF(field) offsetof(struct flags, field)

/* clang-format off */
static const struct flag flag_table[] = {
	{ "data-dir",            FLAG_TEXT,     OFF(data_dir), 0, 0, "DIR", "where everything is kept (./data)" },
	{ "listen",              FLAG_LISTEN,   OFF(listen), 0, 0, "HOST:PORT", "address to listen on, may be repeated (0.0.0.0:9470)" },
	{ "loops",               FLAG_UINT,     OFF(loops), 1, 256, "N", "event loops, one per core (CPUs of this process)" },
	{ "shards",              FLAG_UINT,     OFF(shards), 1, 1024, "N", "shards of a new data directory; an existing one keeps its own (16)" },
	{ "wal.sync",            FLAG_SYNC,     OFF(sync), 0, 0, "commit|interval|off", "what a 2xx waits for: the sync of the log, its write, nothing (commit)" },
	{ "wal.sync-interval",   FLAG_DURATION, OFF(sync_interval_ms), 1, 3600 * 1000, "DURATION", "time between syncs with --wal.sync=interval (1s)" },
	{ "wal.share",           FLAG_BYTES,    OFF(log_share_bytes), 1 << 20, UINT64_MAX >> 1, "BYTES", "rounds to files start when the log holds more (512MiB)" },
	{ "out-of-order-window", FLAG_DURATION, OFF(ooo_window_ms), 0, INT64_MAX / 4, "DURATION", "how much older than the newest a sample may be (1h)" },
	{ "retention",           FLAG_DURATION, OFF(retention_ms), 1000, INT64_MAX / 4, "DURATION", "how long samples are kept (30d)" },
	{ "storage.round-every", FLAG_DURATION, OFF(round_every_ms), 100, INT64_MAX / 4, "DURATION", "time between rounds that move memory to files (10m)" },
	{ "storage.min-free",    FLAG_BYTES,    OFF(min_free_bytes), 1, UINT64_MAX >> 1, "BYTES", "free disk space below which writes are refused (larger of 1GiB and 3 %)" },
	{ "limits.series-total", FLAG_UINT,     OFF(series_max), 1, UINT64_MAX >> 1, "N", "series in memory (45 % of memory / 1 KiB)" },
	{ "limits.new-series-per-s", FLAG_UINT, OFF(new_series_per_s), 1, UINT64_MAX >> 1, "N", "new series a second and loop, burst of ten seconds (20000)" },
	{ "web.enable-admin-api", FLAG_SWITCH,  OFF(admin_api), 0, 0, NULL, "answer /api/v1/admin/..." },
	{ "no-self-metrics",     FLAG_SWITCH,   OFF(self_metrics), 0, 0, NULL, "do not record the server's own counters (job=\"kymo\")" },
	{ "log.level",           FLAG_LEVEL,    OFF(log_level), 0, 0, "debug|info|warn|error", "least level that is logged (info)" },
	{ "log.format",          FLAG_FORMAT,   OFF(log_json), 0, 0, "logfmt|json", "form of log lines on stderr (logfmt)" },
	{ "version",             FLAG_SWITCH,   OFF(version), 0, 0, NULL, "print the version and end" },
	{ "help",                FLAG_SWITCH,   OFF(help), 0, 0, NULL, "print this and end" },
};
/* clang-format on */

static void *at(const struct flags *f, const struct flag *row)
{
	return (char *)(uintptr_t)f + row->off;
}

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

static enum err parse_bytes(const char *value, uint64_t *out)
{
	static const struct {
		const char *unit;
		unsigned shift;
	} units[] = { { "KiB", 10 }, { "MiB", 20 }, { "GiB", 30 }, { "TiB", 40 }, { "B", 0 },
		{ "", 0 } };
	size_t digits = strspn(value, "0123456789");
	for (size_t i = 0; i < COUNT_OF(units); i++) {
		if (strcmp(value + digits, units[i].unit))
			continue;
		enum err e = num_parse_u64(value, digits, out);
		if (e || *out > (UINT64_MAX >> units[i].shift))
			return ERR_MALFORMED;
		*out <<= units[i].shift;
		return ERR_OK;
	}
	return ERR_MALFORMED;
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
	} else if (row->kind == FLAG_BYTES ? parse_bytes(value, &v)
	                                   : num_parse_u64(value, strlen(value), &v)) {
		return errbuf_set(eb, ERR_BADDATA, "--%s: \"%s\" is not %s", row->name, value,
		    row->kind == FLAG_BYTES ? "a size such as 1048576, 64MiB or 1GiB"
		                            : "a whole number");
	}
	enum err e = range_check(row, value, v, eb);
	if (e)
		return e;
	if (row->kind == FLAG_DURATION)
		*(int64_t *)at(f, row) = (int64_t)v;
	else if (row->off == OFF(loops) || row->off == OFF(shards))
		*(unsigned *)at(f, row) = (unsigned)v;
	else
		*(uint64_t *)at(f, row) = v;
	return ERR_OK;
}

static enum err set_value(
    struct flags *f, const struct flag *row, const char *value, struct errbuf *eb)
{
	static const char *const syncs[] = { "commit", "interval", "off" };
	static const char *const levels[] = { "debug", "info", "warn", "error" };
	static const char *const formats[] = { "logfmt", "json" };
	unsigned which = 0;
	enum err e = ERR_OK;
	switch (row->kind) {
	case FLAG_TEXT:
		if (!*value)
			return errbuf_set(eb, ERR_BADDATA, "--%s: empty value, %s is needed",
			    row->name, row->arg);
		*(const char **)at(f, row) = value;
		return ERR_OK;
	case FLAG_LISTEN:
		if (f->listen_count == FLAGS_LISTEN_MAX)
			return errbuf_set(
			    eb, ERR_BADDATA, "--listen: more than %d addresses", FLAGS_LISTEN_MAX);
		f->listen[f->listen_count++] = value;
		return ERR_OK;
	case FLAG_UINT:
	case FLAG_BYTES:
	case FLAG_DURATION:
		return set_number(f, row, value, eb);
	case FLAG_SYNC:
		e = pick(row, value, syncs, COUNT_OF(syncs), &which, eb);
		f->sync = (enum store_sync)which;
		return e;
	case FLAG_LEVEL:
		e = pick(row, value, levels, COUNT_OF(levels), &which, eb);
		f->log_level = (enum log_level)which;
		return e;
	case FLAG_FORMAT:
		e = pick(row, value, formats, COUNT_OF(formats), &which, eb);
		f->log_json = which == 1;
		return e;
	case FLAG_SWITCH:
		break;
	}
	return ERR_BUG;
}

static const struct flag *find(const char *name, size_t len)
{
	for (size_t i = 0; i < COUNT_OF(flag_table); i++) {
		if (strlen(flag_table[i].name) == len && !memcmp(flag_table[i].name, name, len))
			return &flag_table[i];
	}
	return NULL;
}

static enum err unknown(const char *arg, const char *name, size_t len, struct errbuf *eb)
{
	const char *names[COUNT_OF(flag_table)];
	for (size_t i = 0; i < COUNT_OF(flag_table); i++)
		names[i] = flag_table[i].name;
	const char *near = near_word(name, len, names, COUNT_OF(names));
	if (near)
		return errbuf_set(eb, ERR_BADDATA, "unknown flag \"%.*s\", did you mean --%s?",
		    (int)(len + (size_t)(name - arg)), arg, near);
	return errbuf_set(eb, ERR_BADDATA, "unknown flag \"%s\", see --help", arg);
}

static void set_defaults(struct flags *f)
{
	struct store_opts so;
	store_opts_default(&so);
	*f = (struct flags){
		.data_dir = "./data",
		.sync = so.sync,
		.sync_interval_ms = so.sync_interval_ms,
		.ooo_window_ms = so.ooo_window_ms,
		.retention_ms = so.retention_ms,
		.round_every_ms = so.round_every_ms,
		.log_share_bytes = so.log_share_bytes,
		.min_free_bytes = so.min_free_bytes,
		.series_max = so.series_max,
		.new_series_per_s = so.new_series_per_s,
		.self_metrics = true,
		.log_level = LOG_LEVEL_INFO,
	};
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
	if (row->kind == FLAG_SWITCH) {
		if (name[len])
			return errbuf_set(eb, ERR_BADDATA, "--%s takes no value", row->name);
		*(bool *)at(f, row) = row->off != OFF(self_metrics);
		return ERR_OK;
	}
	const char *value = name[len] ? name + len + 1 : NULL;
	if (!value) {
		if (*i + 1 >= argc)
			return errbuf_set(
			    eb, ERR_BADDATA, "--%s needs a value: %s", row->name, row->arg);
		value = argv[++*i];
	}
	return set_value(f, row, value, eb);
}

enum err flags_parse(int argc, char **argv, struct flags *out, struct errbuf *eb)
{
	set_defaults(out);
	for (int i = 1; i < argc; i++) {
		enum err e = parse_one(out, argc, argv, &i, eb);
		if (e)
			return e;
	}
	if (!out->listen_count)
		out->listen[out->listen_count++] = "0.0.0.0:9470";
	return ERR_OK;
}

void flags_help(struct buf *out)
{
	buf_add_str(out,
	    "kymod - a metrics database: Prometheus Remote Write in, PromQL out\n\nusage: kymod [flags]\n");
	for (size_t i = 0; i < COUNT_OF(flag_table); i++) {
		const struct flag *row = &flag_table[i];
		char head[128];
		snprintf(head, sizeof(head), "--%s%s%s", row->name, row->arg ? " " : "",
		    row->arg ? row->arg : "");
		buf_printf(out, "  %-36s %s\n", head, row->help);
	}
}

/* 0 stands for a default that is found later: told in the words of the help. */
static void number_text(const struct flag *row, uint64_t v, char *out, size_t size)
{
	const char *open = strrchr(row->help, '(');
	if (v || !open)
		snprintf(out, size, "%llu", (unsigned long long)v);
	else
		snprintf(out, size, "%.*s", (int)strcspn(open + 1, ")"), open + 1);
}

void flags_each(
    const struct flags *f, void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
	static const char *const syncs[] = { "commit", "interval", "off" };
	static const char *const levels[] = { "debug", "info", "warn", "error", "none" };
	for (size_t i = 0; i < COUNT_OF(flag_table); i++) {
		const struct flag *row = &flag_table[i];
		char text[64] = "";
		const char *value = text;
		switch (row->kind) {
		case FLAG_TEXT:
			value = *(const char *const *)at(f, row);
			break;
		case FLAG_LISTEN:
			value = f->listen[0];
			break;
		case FLAG_UINT:
		case FLAG_BYTES:
			if (row->off == OFF(loops) || row->off == OFF(shards))
				number_text(row, *(const unsigned *)at(f, row), text, sizeof(text));
			else
				number_text(row, *(const uint64_t *)at(f, row), text, sizeof(text));
			break;
		case FLAG_DURATION:
			text[num_fmt_duration(*(const int64_t *)at(f, row), text)] = 0;
			break;
		case FLAG_SWITCH:
			value = *(const bool *)at(f, row) != (row->off == OFF(self_metrics))
			    ? "true"
			    : "false";
			break;
		case FLAG_SYNC:
			value = syncs[f->sync];
			break;
		case FLAG_LEVEL:
			value = levels[f->log_level];
			break;
		case FLAG_FORMAT:
			value = f->log_json ? "json" : "logfmt";
			break;
		}
		if (row->off != OFF(help) && row->off != OFF(version))
			fn(arg, row->name, value);
	}
	/* Names that Prometheus' tools and pages read. */
	char days[64];
	days[num_fmt_duration(f->retention_ms, days)] = 0;
	fn(arg, "storage.tsdb.retention.time", days);
	fn(arg, "query.lookback-delta", "5m");
}
