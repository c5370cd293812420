#include "net/daemon/flags.h"

#include <stdio.h>
#include <string.h>

#include "tests/lib/tap.h"

#define SHARDS_TEXT 32

static struct flags f;
static struct errbuf eb;

static enum err parse(int argc, const char **argv)
{
	errbuf_init(&eb);
	return flags_parse(argc, (char **)(uintptr_t)argv, &f, &eb);
}
#define PARSE(...)                                                                                 \
 parse((int)COUNT_OF(((const char *[]){ "kymod", __VA_ARGS__ })),                                  \
     (const char *[]){ "kymod", __VA_ARGS__ })

static void add_flag(void *arg, const char *name, const char *value)
{
	buf_printf(arg, "%s=%s;", name, value);
}

static void count_flag(void *arg, const char *name, const char *value)
{
	(void)value;
	if (!strcmp(name, "retention"))
		++*(int *)arg;
}

static void keep_shards(void *arg, const char *name, const char *value)
{
	if (!strcmp(name, "shards"))
		(void)snprintf(arg, SHARDS_TEXT, "%s", value);
}

/* Each row: its default, its least, its most, and one beyond. */
static void limits_are_flags(void)
{
	char flag[128], value[64];
	for (unsigned i = 0; i < LIMITS_COUNT; i++) {
		const struct limits_row *row = &limits_rows[i];
		const uint64_t *field;
		bool ok = !parse(1, (const char *[]){ "kymod" });
		field = (const uint64_t *)(const void *)((const char *)&f.limits + row->off);
		ok = ok && *field == row->usual;
		(void)snprintf(flag, sizeof(flag), "--%s", row->flag);
		const char *unit = row->unit == LIMITS_MS ? "ms" : "";
		(void)snprintf(value, sizeof(value), "%llu%s", (unsigned long long)row->least, unit);
		ok = ok && !PARSE(flag, value) && *field == row->least;
		(void)snprintf(
		    value, sizeof(value), "%llu%s", (unsigned long long)row->most + 1, unit);
		ok = ok && PARSE(flag, value) == ERR_BADDATA;
		if (row->least > 0)
			ok = ok &&
			    PARSE(flag, row->unit == LIMITS_MS ? "0s" : "0") ==
			        (row->usual ? ERR_BADDATA : ERR_OK);
		tap_ok(ok, "%s has its default and its range", flag);
	}
}

static void foreign_flags(void)
{
	static const struct {
		const char *arg, *says;
	} rows[] = {
		{ "--storage.tsdb.path=X",
		    "unknown flag \"--storage.tsdb.path\": kymod has --data-dir" },
		{ "--storage.tsdb.retention.time", "kymod has --retention" },
		{ "--storage.tsdb.retention.size=10GB", "kymod has --retention.size" },
		{ "--storage.tsdb.no-such", "nothing to set" },
		{ "--config.file=prometheus.yml", "kymod has --config" },
		{ "--web.listen-address=:9090", "kymod has --listen" },
		{ "--web.enable-remote-write-receiver", "always taken" },
		{ "--rules.alert.for-grace-period", "vmalert" },
		{ "-storageDataPath", "unknown flag \"-storageDataPath\": kymod has --data-dir" },
		{ "-retentionPeriod=1y", "kymod has --retention" },
		{ "-httpListenAddr=:8428", "kymod has --listen" },
		{ "-search.maxQueryDuration=1m", "kymod has --query.timeout" },
		{ "-search.no-such", "kymod has nothing like it" },
		{ "--storage.remote.read-sample-limit=1", "kymod answers remote read" },
		{ "-tls", "kymod has tls of listeners" },
		{ "-tlsCertFile=a.crt", "or --web.config.file" },
		{ "-httpAuth.password=x", "kymod has identities" },
		{ "-metricsAuthKey=x", "kymod has identities with the role admin" },
		{ "-promscrape.config=x", "does not scrape" },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		tap_ok(PARSE(rows[i].arg) == ERR_BADDATA && strstr(eb.text, rows[i].says), "%s: %s",
		    rows[i].arg, eb.text);
}

static void features(void)
{
	tap_ok(!PARSE("--enable-feature=promql-experimental-functions,promql-delayed-name-removal",
	           "--enable-feature", "promql-binop-fill-modifiers,exemplar-storage"),
	    "features stand in one list or in several");
	tap_ok(f.features.experimental_functions && f.features.delayed_name_removal &&
	        f.features.fill_modifiers && !f.features.extended_selectors,
	    "they are on, the others are not");
	tap_ok(!f.features.start_timestamps && !f.features.type_and_unit_labels &&
	        !f.features.per_step_stats &&
	        !PARSE("--enable-feature=use-start-timestamps,type-and-unit-labels",
	            "--enable-feature=promql-per-step-stats,promql-duration-expr") &&
	        f.features.start_timestamps && f.features.type_and_unit_labels &&
	        f.features.per_step_stats && !*f.features_unknown,
	    "start timestamps, type labels and statistics of steps are features, too");
	tap_ok(!PARSE("--enable-feature=exemplar-storage"), "an unknown one is no error");
	tap_ok(!strcmp(f.features_unknown, "exemplar-storage") &&
	        !strstr(f.features_named, "exemplar"),
	    "unknown ones are told: %s", f.features_unknown);
	char many[2 * FLAGS_FEATURES_BYTES];
	memset(many, ',', sizeof(many));
	for (size_t i = 0; i < sizeof(many) - 1; i += 2)
		many[i] = 'x';
	many[sizeof(many) - 1] = 0;
	tap_ok(!PARSE("--enable-feature", many) && strlen(f.features_unknown) < FLAGS_FEATURES_BYTES,
	    "so are many");
}

struct shown {
	const char *name;
	char value[64];
};

static void keep_value(void *arg, const char *name, const char *value)
{
	struct shown *s = arg;
	if (!strcmp(name, s->name))
		(void)snprintf(s->value, sizeof(s->value), "%s", value);
}

static void shown_is(const char *name, const char *value)
{
	struct shown s = { .name = name };
	flags_each(&f, keep_value, &s);
	tap_is_str(s.value, value, "%s", name);
}

static void shown(void)
{
	tap_ok(!PARSE("--query.max-samples", "1000", "--wal.share=64MiB", "--retention=15d",
	           "--query.lookback-delta=1m", "--data-dir=/x", "--no-self-metrics"),
	    "values");
	shown_is("query.max-samples", "1000");
	shown_is("query.max-concurrency", "2 a loop, at least 4");
	shown_is("limits.new-series-per-s", "off: memory decides");
	shown_is("wal.share", "64MiB");
	shown_is("retention.size", "no limit");
	shown_is("query.timeout", "2m");
	shown_is("storage.tsdb.retention.time", "15d");
	shown_is("query.lookback-delta", "1m");
	shown_is("storage.tsdb.path", "/x");
	shown_is("no-self-metrics", "true");
	limits_fill(&f.limits, 2);
	shown_is("query.max-concurrency", "4");
	struct buf b;
	buf_init(&b);
	flags_help(&b);
	buf_add_u8(&b, 0);
	const char *help = (const char *)b.data;
	tap_ok(strstr(help, "\nqueries\n") && strstr(help, "--query.max-text BYTES") &&
	        strstr(help, "bytes of one expression (1MiB)"),
	    "the help has groups, and limits with their defaults");
	buf_release(&b);
}

int main(void)
{
	tap_ok(!parse(1, (const char *[]){ "kymod" }), "no flags are fine");
	tap_ok(f.listen_count == 1 && !strcmp(f.listen[0], "0.0.0.0:9470"),
	    "the default address is 0.0.0.0:9470");
	tap_ok(f.sync == STORE_SYNC_COMMIT && f.retention_ms == 30LL * 86400 * 1000 &&
	        f.ooo_window_ms == f.retention_ms,
	    "defaults are commit, 30d, a window as long as the retention");
	tap_ok(!PARSE("--listen", "127.0.0.1:1", "--listen=127.0.0.1:2", "--loops=3",
	           "--wal.share=64MiB", "--web.enable-admin-api"),
	    "flags are read in both forms");
	tap_ok(f.listen_count == 2 && f.loops == 3 && f.log_share_bytes == 64 << 20 && f.admin_api,
	    "their values arrive");
	tap_ok(PARSE("--retenton", "1d") == ERR_BADDATA &&
	        strstr(eb.text, "did you mean --retention?"),
	    "a mistyped flag names the nearest: %s", eb.text);
	tap_ok(
	    PARSE("--wal.sync=comit") == ERR_BADDATA && strstr(eb.text, "did you mean \"commit\"?"),
	    "a mistyped word names the nearest: %s", eb.text);
	tap_ok(PARSE("--loops", "0") == ERR_BADDATA && strstr(eb.text, "less than 1"),
	    "limits are told: %s", eb.text);
	tap_ok(PARSE("--loops", "two") == ERR_BADDATA && strstr(eb.text, "whole number"),
	    "kinds are told: %s", eb.text);
	tap_ok(PARSE("--loops") == ERR_BADDATA && strstr(eb.text, "needs a value"),
	    "a missing value is told: %s", eb.text);
	tap_ok(PARSE("--retention", "soon") == ERR_BADDATA && strstr(eb.text, "not a duration"),
	    "a bad duration is told: %s", eb.text);
	tap_ok(PARSE("data") == ERR_BADDATA && strstr(eb.text, "unexpected argument"),
	    "a bare word is refused: %s", eb.text);
	tap_ok(PARSE("--web.enable-admin-api=yes") == ERR_BADDATA, "a switch takes true or false");
	tap_ok(!PARSE("--web.enable-admin-api=true", "--no-self-metrics=false") && f.admin_api &&
	        f.self_metrics,
	    "and either is taken");
	int seen = 0;
	tap_ok(!PARSE("--retention", "2d") && f.ooo_window_ms == f.retention_ms,
	    "2d is a duration, and the window of late samples goes with it");
	flags_each(&f, count_flag, &seen);
	tap_ok(seen == 1, "each flag is listed once");
	struct buf changed;
	buf_init(&changed);
	f.route_prefix = "/"; /* as net/daemon/config.c settles it */
	flags_each_changed(&f, add_flag, &changed);
	tap_is_str((buf_add_u8(&changed, 0), (const char *)changed.data), "retention=2d;",
	    "what was changed is listed, not what goes with it");
	buf_clear(&changed);
	tap_ok(!PARSE("--retention=2d", "--out-of-order-window=1h", "--web.enable-lifecycle",
	           "--listen=127.0.0.1:1", "--query.timeout=2m"),
	    "some more, one as it is anyway");
	f.route_prefix = "/";
	flags_each_changed(&f, add_flag, &changed);
	tap_is_str((buf_add_u8(&changed, 0), (const char *)changed.data),
	    "listen=127.0.0.1:1;out-of-order-window=1h;retention=2d;web.enable-lifecycle=true;",
	    "that one is not");
	buf_release(&changed);
	tap_ok(!PARSE("--retention", "2d"), "as before");
	char shards[SHARDS_TEXT] = "";
	flags_each(&f, keep_shards, shards);
	tap_ok(!strcmp(shards, "16"), "a default is listed as what it means: %s", shards);
	tap_ok(!PARSE("--retention.size=10GB") && f.retention_bytes == 10ull << 30 &&
	        !PARSE("--retention.size=10GiB") && f.retention_bytes == 10ull << 30,
	    "a size is told in powers of two, as Prometheus has it");
	tap_ok(PARSE("--retention", "0s") == ERR_BADDATA && strstr(eb.text, "less than 1s"),
	    "limits of durations are durations: %s", eb.text);
	tap_ok(!PARSE("-h") && f.help, "-h is --help");
	limits_are_flags();
	foreign_flags();
	features();
	shown();
	return tap_done();
}
