#include "net/daemon/flags_priv.h"

#include <string.h>

#define OFF(field) offsetof(struct flags, field)
#define LONGEST    (INT64_MAX / 4)
#define MANY       (UINT64_MAX >> 1)

const char *const flags_syncs[3] = { "commit", "interval", "off" };
const char *const flags_levels[4] = { "debug", "info", "warn", "error" };
const char *const flags_formats[2] = { "logfmt", "json" };

/* clang-format off */
#define KIND_COUNT FLAG_COUNT
#define KIND_BYTES FLAG_BYTES
#define KIND_MS    FLAG_DURATION
#define ARG_COUNT  "N"
#define ARG_BYTES  "BYTES"
#define ARG_MS     "DURATION"

const struct flag flags_table[] = {
	{ "listen",              FLAG_LISTEN,   FLAG_GENERAL, OFF(listen), 0, 0, "HOST:PORT", "address to listen on, may be repeated (0.0.0.0:9470)", false, 0 },
	{ "loops",               FLAG_UNSIGNED, FLAG_GENERAL, OFF(loops), 1, 256, "N", "event loops, one per core (CPUs of this process)", false, 0 },
	{ "log.level",           FLAG_LEVEL,    FLAG_GENERAL, OFF(log_level), 0, 0, "debug|info|warn|error", "least level that is logged (info)", false, 0 },
	{ "log.format",          FLAG_FORMAT,   FLAG_GENERAL, OFF(log_json), 0, 0, "logfmt|json", "form of log lines on stderr (logfmt)", false, 0 },
	{ "no-self-metrics",     FLAG_UNSWITCH, FLAG_GENERAL, OFF(self_metrics), 0, 0, NULL, "do not record the server's own counters (job=\"kymo\")", false, 0 },
	{ "version",             FLAG_SWITCH,   FLAG_GENERAL, OFF(version), 0, 0, NULL, "print the version and end", false, 0 },
	{ "help",                FLAG_SWITCH,   FLAG_GENERAL, OFF(help), 0, 0, NULL, "print this and end", false, 0 },

	{ "data-dir",            FLAG_TEXT,     FLAG_STORAGE, OFF(data_dir), 0, 0, "DIR", "where everything is kept (./data)", false, 0 },
	{ "shards",              FLAG_UNSIGNED, FLAG_STORAGE, OFF(shards), 1, 1024, "N", "shards of a new data directory; an existing one keeps its own (16)", false, 0 },
	{ "wal.sync",            FLAG_SYNC,     FLAG_STORAGE, OFF(sync), 0, 0, "commit|interval|off", "what a 2xx waits for: the sync of the log, its write, nothing (commit)", false, 0 },
	{ "wal.sync-interval",   FLAG_DURATION, FLAG_STORAGE, OFF(sync_interval_ms), 1, 3600 * 1000, "DURATION", "time between syncs with --wal.sync=interval (1s)", false, 0 },
	{ "wal.share",           FLAG_BYTES,    FLAG_STORAGE, OFF(log_share_bytes), 1 << 20, MANY, "BYTES", "rounds to files start when the log holds more (512MiB, and 200 bytes for each series in memory)", false, 0 },
	{ "out-of-order-window", FLAG_DURATION, FLAG_STORAGE, OFF(ooo_window_ms), 0, LONGEST, "DURATION", "how much older than the newest a sample may be (as --retention)", false, 0 },
	{ "retention",           FLAG_DURATION, FLAG_STORAGE, OFF(retention_ms), 1000, LONGEST, "DURATION", "how long samples are kept (30d)", false, 0 },
	{ "retention.size",      FLAG_BYTES,    FLAG_STORAGE, OFF(retention_bytes), 1 << 20, MANY, "BYTES", "how large files, catalog and log together may be: the oldest ranges go first (no limit)", false, 0 },
	{ "storage.round-every", FLAG_DURATION, FLAG_STORAGE, OFF(round_every_ms), 100, LONGEST, "DURATION", "time between rounds that move memory to files (10m)", false, 0 },
	{ "storage.min-free",    FLAG_BYTES,    FLAG_STORAGE, OFF(min_free_bytes), 1, MANY, "BYTES", "free disk space below which writes are refused (larger of 1GiB and 3 %)", false, 0 },

	{ "query.lookback-delta", FLAG_DURATION, FLAG_QUERIES, OFF(lookback_ms), 1, LONGEST, "DURATION", "how far back an instant selector looks for a sample (5m)", false, 0 },
	{ "enable-feature",      FLAG_FEATURES, FLAG_QUERIES, 0, 0, 0, "NAME,...", "promql-experimental-functions, promql-extended-range-selectors, promql-binop-fill-modifiers, promql-delayed-name-removal; may be repeated", false, 0 },

	{ "limits.series-total", FLAG_COUNT,    FLAG_WRITES, OFF(series_max), 1, MANY, "N", "series in memory (45 % of the memory budget / 400 bytes)", false, 0 },

	{ "web.external-url",    FLAG_TEXT,     FLAG_WEB, OFF(external_url), 0, 0, "URL", "where this server is seen from outside, behind a proxy for example; links lead there (its own name and port)", false, 0 },
	{ "web.route-prefix",    FLAG_TEXT,     FLAG_WEB, OFF(route_prefix), 0, 0, "PATH", "path below which all is served (that of --web.external-url)", false, 0 },
	{ "web.enable-admin-api", FLAG_SWITCH,  FLAG_WEB, OFF(admin_api), 0, 0, NULL, "answer POST /api/v1/admin/tsdb/flush: memory goes to files now", false, 0 },

#define LIMIT(field, flag, unit, usual, least, most, help) \
	{ flag, KIND_##unit, FLAG_GROUPS, OFF(limits.field), least, most, ARG_##unit, help, true, usual },
#include "core/model/limits.def"
#undef LIMIT
};
/* clang-format on */
const size_t flags_count = COUNT_OF(flags_table);

enum flag_group flag_group_of(const struct flag *row)
{
	if (!row->limit)
		return row->group;
	return row->name[0] == 'q' ? FLAG_QUERIES : row->name[0] == 'w' ? FLAG_WEB : FLAG_WRITES;
}
