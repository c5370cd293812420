#include "net/daemon/flags_priv.h"

#include <string.h>

#define OFF(field) offsetof(struct flags, field)
#define LONGEST    (INT64_MAX / 4)
#define MANY       (UINT64_MAX >> 1)

const char *const flags_syncs[3] = { "commit", "interval", "off" };
const char *const flags_levels[4] = { "debug", "info", "warn", "error" };
const char *const flags_sandboxes[3] = { "auto", "on", "off" };
const char *const flags_formats[2] = { "logfmt", "json" };
const char *const flags_accesses[3] = { "logfmt", "json", "combined" };

/* clang-format off */
#define KIND_COUNT FLAG_COUNT
#define KIND_BYTES FLAG_BYTES
#define KIND_MS    FLAG_DURATION
#define ARG_COUNT  "N"
#define ARG_BYTES  "BYTES"
#define ARG_MS     "DURATION"

const struct flag flags_table[] = {
	{ "listen",              FLAG_LISTEN,   FLAG_GENERAL, OFF(listen), 0, 0, "HOST:PORT", "address to listen on, may be repeated (0.0.0.0:9470)", false, 0, false, "" },
	{ "loops",               FLAG_UNSIGNED, FLAG_GENERAL, OFF(loops), 1, 256, "N", "event loops, one per core (CPUs of this process)", false, 0, true, NULL },
	{ "log.level",           FLAG_LEVEL,    FLAG_GENERAL, OFF(log_level), 0, 0, "debug|info|warn|error", "least level that is logged (info)", false, 0, false, NULL },
	{ "log.format",          FLAG_FORMAT,   FLAG_GENERAL, OFF(log_json), 0, 0, "logfmt|json", "form of log lines on stderr (logfmt)", false, 0, false, NULL },
	{ "sandbox",             FLAG_SANDBOX,  FLAG_GENERAL, OFF(sandbox), 0, 0, "auto|on|off", "give up other programs and all files but our own after the start: what the kernel offers, or no start, or not (auto)", false, 0, true, NULL },
	{ "log.access-file",     FLAG_TEXT,     FLAG_GENERAL, OFF(access_file), 0, 0, "FILE|stderr", "a line for each request; a file is opened again by SIGHUP (none)", false, 0, true, NULL },
	{ "log.access-format",   FLAG_ACCESS,   FLAG_GENERAL, OFF(access_form), 0, 0, "logfmt|json|combined", "form of these lines (logfmt)", false, 0, false, NULL },
	{ "log.access-sample",   FLAG_COUNT,    FLAG_GENERAL, OFF(access_sample), 1, MANY, "N", "only one of N requests, and those that failed here (1)", false, 0, false, NULL },
	{ "log.access-min-duration", FLAG_DURATION, FLAG_GENERAL, OFF(access_min_ms), 0, LONGEST, "DURATION", "only requests that took so long, and those that failed here (0s)", false, 0, false, NULL },
	{ "log.slow-queries",    FLAG_DURATION, FLAG_GENERAL, OFF(slow_ms), 0, LONGEST, "DURATION", "queries that take longer are told in the log with their text; 0s: none (5s)", false, 0, false, NULL },
	{ "log.slow-queries-file", FLAG_TEXT,   FLAG_GENERAL, OFF(slow_file), 0, 0, "FILE", "and in full, as lines of JSON, in this file; opened again by SIGHUP (none)", false, 0, true, NULL },
	{ "log.requests-max-size", FLAG_BYTES,  FLAG_GENERAL, OFF(request_log_bytes), 4096, MANY, "BYTES", "a file of requests or queries that would be larger becomes FILE.1 (no limit)", false, 0, true, NULL },
	{ "no-self-metrics",     FLAG_UNSWITCH, FLAG_GENERAL, OFF(self_metrics), 0, 0, NULL, "do not record the server's own counters (job=\"kymo\")", false, 0, true, "self_metrics" },
	{ "config",              FLAG_PATH,     FLAG_GENERAL, OFF(config), 0, 0, "FILE", "configuration in YAML; flags win over it", false, 0, false, "" },
	{ "check-config",        FLAG_PATH,     FLAG_GENERAL, OFF(check_config), 0, 0, "FILE", "tell what is wrong in a configuration, and end", false, 0, false, "" },
	{ "print-config",        FLAG_SWITCH,   FLAG_GENERAL, OFF(print_config), 0, 0, NULL, "print a configuration with every key, its meaning and its default, and end", false, 0, false, "" },
	{ "hash-token",          FLAG_SWITCH,   FLAG_GENERAL, OFF(hash_token), 0, 0, NULL, "print the token_hash of a token, one line on stdin, and end", false, 0, false, "" },
	{ "hash-password",       FLAG_SWITCH,   FLAG_GENERAL, OFF(hash_password), 0, 0, NULL, "print the password_hash of a password, one line on stdin, and end", false, 0, false, "" },
	{ "version",             FLAG_SWITCH,   FLAG_GENERAL, OFF(version), 0, 0, NULL, "print the version and end", false, 0, false, "" },
	{ "help",                FLAG_SWITCH,   FLAG_GENERAL, OFF(help), 0, 0, NULL, "print this and end", false, 0, false, "" },

	{ "data-dir",            FLAG_TEXT,     FLAG_STORAGE, OFF(data_dir), 0, 0, "DIR", "where everything is kept, seen from where kymod is started (./data)", false, 0, true, "storage.data_dir" },
	{ "shards",              FLAG_UNSIGNED, FLAG_STORAGE, OFF(shards), 1, 1024, "N", "shards of a new data directory; an existing one keeps its own (16)", false, 0, true, "storage.shards" },
	{ "wal.sync",            FLAG_SYNC,     FLAG_STORAGE, OFF(sync), 0, 0, "commit|interval|off", "what a 2xx waits for: the sync of the log, its write, nothing (commit)", false, 0, true, NULL },
	{ "wal.sync-interval",   FLAG_DURATION, FLAG_STORAGE, OFF(sync_interval_ms), 1, 3600 * 1000, "DURATION", "time between syncs with --wal.sync=interval (1s)", false, 0, true, NULL },
	{ "wal.share",           FLAG_BYTES,    FLAG_STORAGE, OFF(log_share_bytes), 1 << 20, MANY, "BYTES", "rounds to files start when the log holds more (512MiB, and 200 bytes for each series in memory)", false, 0, true, NULL },
	{ "out-of-order-window", FLAG_DURATION, FLAG_STORAGE, OFF(ooo_window_ms), 0, LONGEST, "DURATION", "how much older than the newest a sample may be (as --retention)", false, 0, true, "storage.out_of_order_window" },
	{ "retention",           FLAG_DURATION, FLAG_STORAGE, OFF(retention_ms), 1000, LONGEST, "DURATION", "how long samples are kept (30d)", false, 0, true, "storage.retention" },
	{ "retention.size",      FLAG_BYTES,    FLAG_STORAGE, OFF(retention_bytes), 1 << 20, MANY, "BYTES", "how large files, catalog and log together may be: the oldest ranges go first (no limit)", false, 0, true, "storage.retention_size" },
	{ "storage.round-every", FLAG_DURATION, FLAG_STORAGE, OFF(round_every_ms), 100, LONGEST, "DURATION", "time between rounds that move memory to files (10m)", false, 0, true, NULL },
	{ "storage.min-free",    FLAG_BYTES,    FLAG_STORAGE, OFF(min_free_bytes), 1, MANY, "BYTES", "free disk space below which writes are refused (larger of 1GiB and 3 %)", false, 0, true, NULL },

	{ "query.lookback-delta", FLAG_DURATION, FLAG_QUERIES, OFF(lookback_ms), 1, LONGEST, "DURATION", "how far back an instant selector looks for a sample (5m)", false, 0, false, NULL },
	{ "enable-feature",      FLAG_FEATURES, FLAG_QUERIES, 0, 0, 0, "NAME,...", "promql-experimental-functions, promql-extended-range-selectors, promql-binop-fill-modifiers, promql-delayed-name-removal, promql-duration-expr (always on), promql-per-step-stats, type-and-unit-labels, use-start-timestamps; may be repeated", false, 0, false, "query.features" },

	{ "limits.series-total", FLAG_COUNT,    FLAG_WRITES, OFF(series_max), 1, MANY, "N", "series in memory (45 % of the memory budget / 400 bytes)", false, 0, true, NULL },

	{ "web.external-url",    FLAG_TEXT,     FLAG_WEB, OFF(external_url), 0, 0, "URL", "where this server is seen from outside, behind a proxy for example; links lead there (its own name and port)", false, 0, true, NULL },
	{ "web.route-prefix",    FLAG_TEXT,     FLAG_WEB, OFF(route_prefix), 0, 0, "PATH", "path below which all is served (that of --web.external-url)", false, 0, true, NULL },
	{ "web.trusted-proxies", FLAG_LIST,     FLAG_WEB, OFF(trusted_proxies), 0, 0, "CIDR,...", "networks of proxies whose X-Forwarded-For is believed (none)", false, 0, false, NULL },
	{ "web.config.file",     FLAG_PATH,     FLAG_WEB, OFF(web_config), 0, 0, "FILE", "TLS, HTTP and users as Prometheus' web.config.file has them", false, 0, false, "web.config_file" },
	{ "web.enable-lifecycle", FLAG_SWITCH,  FLAG_WEB, OFF(lifecycle), 0, 0, NULL, "answer POST /-/reload, which reads the configuration again, and /-/quit", false, 0, false, NULL },
	{ "web.enable-admin-api", FLAG_SWITCH,  FLAG_WEB, OFF(admin_api), 0, 0, NULL, "answer /api/v1/admin/tsdb/...: snapshots, deletions of series, their room on disk, memory to files now", false, 0, false, NULL },

#define LIMIT(field, flag, unit, usual, least, most, help) \
	{ flag, KIND_##unit, FLAG_GROUPS, OFF(limits.field), least, most, ARG_##unit, help, true, usual, false, NULL },
#include "core/model/limits.def"
#undef LIMIT
};
/* clang-format on */
const size_t flags_count = COUNT_OF(flags_table);

bool flag_is_order(const struct flag *row)
{
	static const char *const names[] = { "help", "version", "check-config", "print-config",
		"hash-token", "hash-password" };
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (!strcmp(row->name, names[i]))
			return true;
	return false;
}

bool flag_is_start(const struct flag *row)
{
	/* Limits that storage and the account of queries take once. */
	static const char *const names[] = { "limits.future", "query.max-memory",
		"query.max-memory-total", "query.max-concurrency", "query.max-queued",
		"query.cache-size", "limits.delta-memory" };
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (!strcmp(row->name, names[i]))
			return true;
	return row->start;
}

enum flag_group flag_group_of(const struct flag *row)
{
	if (!row->limit)
		return row->group;
	return row->name[0] == 'q' ? FLAG_QUERIES : row->name[0] == 'w' ? FLAG_WEB : FLAG_WRITES;
}

const char *flag_key(const struct flag *row, char out[FLAG_KEY_MAX])
{
	size_t len = strlen(row->key ? row->key : row->name);
	CHECK(len < FLAG_KEY_MAX);
	memcpy(out, row->key ? row->key : row->name, len + 1);
	for (char *c = out; *c; c++)
		if (*c == '-')
			*c = '_';
	return out;
}

const char *flag_section_help(const char *section, size_t len)
{
	static const struct {
		const char *section, *help;
	} rows[] = {
		{ "limits", "what a write may be" },
		{ "log", "lines about what happens, on stderr" },
		{ "query", "what a query may cost" },
		{ "storage", "where data is kept, and for how long" },
		{ "wal", "the log that a write is in before it is answered" },
		{ "web", "connections and requests" },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (strlen(rows[i].section) == len && !memcmp(rows[i].section, section, len))
			return rows[i].help;
	return NULL;
}
