/*
 * flags - the command line of kymod: one table of flags, their defaults and texts (README.md lists
 * them).
 *
 * "--name value" and "--name=value"; durations as Prometheus writes them (1h, 30d); sizes in bytes
 * with KiB, MiB, GiB. An unknown flag or word names the nearest known one; a flag of Prometheus or
 * VictoriaMetrics names ours (flags_foreign.h).
 * Every limit towards clients (core/model/limits.def) is a flag. 0 in struct flags and in its
 * limits stands for a default that is found later: boot fills in what is in force, and what
 * flags_each tells then are values in force.
 * Memory: texts point into argv. Thread: main, before any other.
 */
#ifndef NET_DAEMON_FLAGS_H
#define NET_DAEMON_FLAGS_H

#include "core/base/buf.h"
#include "core/base/log.h"
#include "core/model/limits.h"
#include "core/promql/ql.h"
#include "net/api/accesslog.h"
#include "net/daemon/sandbox.h"
#include "storage/store.h"

#define FLAGS_LISTEN_MAX     16
#define FLAGS_FEATURES_BYTES 512
struct flags {
	const char *data_dir;
	const char *listen[FLAGS_LISTEN_MAX];
	unsigned listen_count;
	unsigned loops, shards;
	enum store_sync sync;
	int64_t sync_interval_ms, ooo_window_ms, retention_ms;
	int64_t round_every_ms, lookback_ms;
	uint64_t log_share_bytes, min_free_bytes, retention_bytes, series_max;
	struct limits limits;
	struct ql_features features;
	char features_named[FLAGS_FEATURES_BYTES]; /* those of --enable-feature, comma separated */
	char features_unknown[FLAGS_FEATURES_BYTES]; /* of those, what is not known here */
	const char *external_url, *route_prefix;     /* "" = not given (net/daemon/weburl.h) */
	const char *trusted_proxies;                 /* CIDRs, commas between; NULL: none */
	const char *web_config;                      /* file, NULL: none */
	bool admin_api, self_metrics;
	enum log_level log_level;
	bool log_json;
	const char *access_file, *slow_file; /* "" = none; access_file: "stderr", too */
	enum accesslog_form access_form;
	uint64_t access_sample, request_log_bytes;
	int64_t access_min_ms, slow_ms;
	enum sandbox_mode sandbox;
	bool lifecycle;           /* POST /-/reload */
	const char *config;       /* file, NULL: none */
	const char *check_config; /* file to look at, NULL: none */
	bool print_config;
	bool hash_token, hash_password;
	bool help, version;
};
void flags_default(struct flags *f);
/*
 * What the command line says, over what f holds; its addresses replace those of f. ERR_BADDATA with
 * one line in eb.
 */
MUST_CHECK enum err flags_apply(int argc, char **argv, struct flags *f, struct errbuf *eb);
/* When all has been said: defaults that depend on other flags. */
void flags_settle(struct flags *f);
/* Of one feature or several with commas between; unknown ones are kept for a warning. */
void flags_set_features(struct flags *f, const char *names);
/* All of it: defaults, command line, settled. */
MUST_CHECK enum err flags_parse(int argc, char **argv, struct flags *out, struct errbuf *eb);
void flags_help(struct buf *out);
/* The names that --enable-feature knows, comma separated. */
const char *flags_features(void);
/* Every flag with its value, for /api/v1/status/flags: fn(arg, name, value). */
void flags_each(
    const struct flags *f, void (*fn)(void *arg, const char *name, const char *value), void *arg);
/* The same of those alone that command line or configuration have changed. said: settled. */
void flags_each_changed(const struct flags *said,
    void (*fn)(void *arg, const char *name, const char *value), void *arg);

#endif
