/* Each check of the doctor sees the trouble it is for, and nothing at a healthy server. */
#include "net/api/doctorchecks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define MIN_MS INT64_C(60000)
#define DAY_MS (24 * 60 * MIN_MS)
#define GB     (UINT64_C(1) << 30)

static struct doctor_snap now, recent, hour;
static struct doctorworld world;
static struct doctor_facts f;

/* A server that has run for a day, and does what it should. */
static void healthy(void)
{
	memset(&now, 0, sizeof(now));
	now.at_ms = 1800000000000;
	now.v[M_DISK_FREE_BYTES] = 100 * GB;
	now.v[M_DISK_FLOOR_BYTES] = 3 * GB;
	now.v[M_MEMORY_BUDGET] = 6 * GB;
	now.v[M_LIMIT_SERIES] = now.v[M_LIMIT_QUERIES] = GB;
	now.v[M_LIMIT_INFLIGHT] = now.v[M_LIMIT_ANSWERS] = GB;
	now.v[M_SERIES_BYTES] = GB / 4;
	now.v[M_SERIES_ACTIVE] = 100000;
	now.v[M_SAMPLES_STORED] = 1000000;
	now.v[M_ROUND_LAST_MS] = (uint64_t)(now.at_ms - 5 * MIN_MS);
	now.v[M_SEAL_LAST_MS] = (uint64_t)(now.at_ms - 9 * MIN_MS);
	now.v[M_SEALS_WAITING] = 12; /* but ten minutes ago none did */
	now.turns_ns = UINT64_C(60) * 1000000000;
	now.v[M_CONFIG_RELOAD_FINE] = 1;
	now.v[M_CONFIG_RELOAD_TIME] = (uint64_t)(now.at_ms - DAY_MS);
	now.v[M_TLS_ENDS] = (uint64_t)((now.at_ms + 60 * DAY_MS) / 1000);
	now.hists[DOCTOR_HIST_SYNC][6] = 1000;  /* 500 us */
	now.hists[DOCTOR_HIST_TURN][4] = 10000; /* 100 us */
	now.cpu_periods = 1000;
	recent = hour = now;
	recent.at_ms -= 10 * MIN_MS;
	hour.at_ms -= 60 * MIN_MS;
	recent.v[M_SAMPLES_STORED] = recent.v[M_SEALS_WAITING] = 0;
	recent.turns_ns = 0;
	recent.hists[DOCTOR_HIST_SYNC][6] = recent.hists[DOCTOR_HIST_TURN][4] = 0;
	recent.cpu_periods = 0;
	world = (struct doctorworld){ .known = true,
		.machine = { .held_bytes = GB,
		    .memory_bytes = 8 * GB,
		    .fds_open = 100,
		    .fds_max = 1 << 20 },
		.inodes_free = 900,
		.inodes_total = 1000 };
	f = (struct doctor_facts){ .now_ms = now.at_ms,
		.start_ms = now.at_ms - DAY_MS,
		.now = &now,
		.recent = &recent,
		.hour = &hour,
		.world = &world,
		.memory_allowed = 8 * GB,
		.sync = STORE_SYNC_COMMIT,
		.round_every_ms = 10 * MIN_MS,
		.log_share_bytes = GB / 2,
		.series_max = 1000000,
		.loops = 2,
		.self_metrics = true,
		.tenants = 1,
		.tenants_max = 10000,
		.connections_max = 10000 };
}

/* ---- troubles ---- */

/* clang-format off */
static void disk_below(void) { now.v[M_DISK_FREE_BYTES] = 2 * GB; }
static void disk_near(void) { now.v[M_DISK_FREE_BYTES] = hour.v[M_DISK_FREE_BYTES] = 3 * GB + GB / 2; }
static void disk_in_a_day(void) { hour.v[M_DISK_FREE_BYTES] = 104 * GB; }
static void disk_in_an_hour(void) { now.v[M_DISK_FREE_BYTES] = 50 * GB; }
static void inodes(void) { world.inodes_free = 1; }
static void on_tmpfs(void) { world.kind = DOCTORWORLD_MEMORY; }
static void on_nfs(void) { world.kind = DOCTORWORLD_NETWORK; }
static void refuses(void) { f.accepts = ERR_NOSPACE; }
static void log_read_only(void) { f.accepts = ERR_READONLY; }
static void log_fails(void) { now.v[M_LOG_FAILURES] = 1; }
static void log_unprepared(void) { now.v[M_LOG_PREPARE_FAILURES] = 1; }
static void slow_syncs(void) { now.hists[DOCTOR_HIST_SYNC][14] += 100; }
static void slower_syncs(void) { now.hists[DOCTOR_HIST_SYNC][METRIC_HIST_BOUNDS] += 100; }
static void held(void) { now.v[M_LOG_HELD_BYTES] = 4 * GB; }
static void parked(void) { now.v[M_WRITES_PARKED] = 1000; }
static void rounds_fail(void) { now.v[M_ROUNDS_FAILED] = 2; }
static void rounds_late(void) { now.v[M_ROUND_LAST_MS] = (uint64_t)(now.at_ms - 100 * MIN_MS); }
static void merges_fail(void) { now.v[M_SEALS_FAILED] = 2; }
static void catalog_damaged(void) { now.v[M_CATALOG_DAMAGED] = 1; }
static void catalog_rebuilt(void) { now.v[M_CATALOG_REBUILT] = recent.v[M_CATALOG_REBUILT] = 1; }
static void damaged(void) { now.v[M_DAMAGED_UNITS] = recent.v[M_DAMAGED_UNITS] = 1; }
static void lost(void) { now.v[M_FILES_LOST] = 1; }
static void undefined(void) { now.v[M_ROWS_UNDEFINED] = 1; }
static void unread(void) { world.log_unread = 1; }
static void old_damage(void) { world.catalog_damaged = true; }
static void memory_full(void) { now.v[M_QUERY_MEMORY_BYTES] = GB - 1; }
static void memory_near(void) { now.v[M_SERIES_BYTES] = GB / 10 * 9; }
static void rss(void) { world.machine.held_bytes = 7 * GB + GB / 2; }
static void swapped(void) { world.machine.swap_bytes = GB; }
static void overloaded(void) { now.v[M_WRITE_REFUSED_LOAD] = 5; }
static void answers_full(void) { now.v[M_HTTP_OVERLOADED] = 5; }
static void long_turns(void) { now.hists[DOCTOR_HIST_TURN][14] = 100; }
static void loops_full(void) { now.turns_ns = UINT64_C(2) * 570 * 1000000000; }
static void loops_much(void) { now.turns_ns = UINT64_C(2) * 480 * 1000000000; }
static void merges_wait(void) { now.v[M_SEALS_WAITING] = 12; recent.v[M_SEALS_WAITING] = 9; }
static void unrecorded(void) { f.self_metrics = false; }
static void stands(void) { f.stands_ms = 11000; }
static void throttled(void) { now.cpu_throttled = 300; }
static void fds(void) { world.machine.fds_open = 1000000; }
static void fds_few(void) { world.machine.fds_max = 1024; }
static void accept_pauses(void) { now.v[M_ACCEPT_PAUSES] = 1; }
static void series_near(void) { now.v[M_SERIES_ACTIVE] = 900000; }
static void series_full(void) { now.v[M_SERIES_ACTIVE] = 990000; }
static void tenants_near(void) { f.tenants = 9500; }
static void too_fast(void) { now.v[M_SERIES_TOO_FAST] = 1; }
static void metadata(void) { now.v[M_METADATA_DROPPED] = 1; }
static void no_place(void) { now.v[M_QUERIES_REFUSED] = 3; }
static void queries_wait(void) { now.hists[DOCTOR_HIST_WAIT][15] = 100; }
static void conns_refused(void) { now.v[M_CONNS_REFUSED] = 3; }
static void conns_near(void) { now.v[M_CONNS_OPEN] = 9500; }
static void cert_soon(void) { now.v[M_TLS_ENDS] = (uint64_t)((now.at_ms + 10 * DAY_MS) / 1000); }
static void cert_over(void) { now.v[M_TLS_ENDS] = (uint64_t)((now.at_ms - DAY_MS) / 1000); }
static void cert_stays(void) { now.v[M_TLS_RENEW_FAILED] = 1; }
static void config_bad(void) { now.v[M_CONFIG_RELOAD_FINE] = 0; }
static void sync_off(void) { f.sync = STORE_SYNC_OFF; }
static void sync_interval(void) { f.sync = STORE_SYNC_INTERVAL; }
static void no_sandbox(void) { now.v[M_SANDBOX_NO_FILES] = now.v[M_SANDBOX_NO_CALLS] = 1; }
static void fake_time(void) { f.test_clock = true; }
static void open_door(void) { f.open = true; }
static void open_admin(void) { f.open = f.admin_api = true; }
static void no_snapshot(void) { now.v[M_OLDEST_MS] = (uint64_t)(now.at_ms - 5 * DAY_MS); }
static void old_snapshot(void) { world.snapshots = 2; world.snapshot_ms = now.at_ms - 8 * DAY_MS; }
static void snapshots_fill(void) { now.v[M_BYTES_SNAPSHOTS] = 120 * GB; }
static void doubt(void) { now.v[M_CLOCK_IN_DOUBT] = 1; }
static void huge(void) { memcpy(world.machine.huge_pages, "always", 7); }
static void no_promise(void) { world.machine.overcommit = 2; world.machine.commit_limit = 4 * GB; }
static void lines_lost(void) { now.v[M_LOG_LINES_LOST] = 1; }
static void requests_lost(void) { now.v[M_REQUEST_LOG_LOST] = 2; }
static void statsd_drops(void) { now.v[M_STATSD_KERNEL_DROPS] = 1; }
static void statsd_crowd(void) { now.v[M_STATSD_CONNECTIONS_REFUSED] = 1; }
static void guesses(void) { now.v[M_AUTH_REFUSED_TOKEN] = 100; }
static void issuer_away(void) { now.v[M_AUTH_KEYS_FAILED] = 2; }
static void flapping(void) { now.v[M_HA_FAILOVERS] = 9; }
static void refused(void) { f.tenants = 2; now.v[M_REFUSED_TOO_OLD] = 900000; }
static void explodes(void) { f.tenants = 2; now.v[M_CARD_EXPLODING] = 1; }

static const struct trouble {
	const char *id;
	enum doctor_severity severity;
	void (*make)(void);
	const char *tells; /* in its text, or its remedy */
} troubles[] = {
	{ "disk", DOCTOR_BAD, disk_below, "2.0GiB are free" },
	{ "disk", DOCTOR_WARN, disk_near, "3.5GiB are free" },
	{ "disk", DOCTOR_WARN, disk_in_a_day, "in 24 hours" },
	{ "disk", DOCTOR_BAD, disk_in_an_hour, "0.9 hours" },
	{ "inodes", DOCTOR_BAD, inodes, "1 of 1000" },
	{ "disk_kind", DOCTOR_NOTE, on_tmpfs, "reboot" },
	{ "disk_kind", DOCTOR_WARN, on_nfs, "NFS" },
	{ "writes", DOCTOR_BAD, refuses, "make room" },
	{ "writes", DOCTOR_BAD, log_read_only, "dmesg" },
	{ "log_failures", DOCTOR_BAD, log_fails, "1 writes or syncs" },
	{ "log_failures", DOCTOR_WARN, log_unprepared, "prepared 1 times" },
	{ "sync_time", DOCTOR_WARN, slow_syncs, "at most 1000 ms (1100 " },
	{ "sync_time", DOCTOR_BAD, slower_syncs, "more than" },
	{ "log_held", DOCTOR_WARN, held, "4.0GiB" },
	{ "log_held", DOCTOR_WARN, parked, "1000 parts" },
	{ "rounds", DOCTOR_BAD, rounds_fail, "2 rounds" },
	{ "rounds", DOCTOR_WARN, rounds_late, "100 minutes ago" },
	{ "merges", DOCTOR_WARN, merges_fail, "2 merges" },
	{ "merges", DOCTOR_NOTE, merges_wait, "12 shards wait" },
	{ "catalog", DOCTOR_WARN, catalog_damaged, "rebuilt" },
	{ "catalog", DOCTOR_NOTE, catalog_rebuilt, "1 times since the start" },
	{ "damage", DOCTOR_BAD, damaged, "1 units" },
	{ "damage", DOCTOR_BAD, lost, "1 files" },
	{ "damage", DOCTOR_WARN, undefined, "1 rows" },
	{ "leftovers", DOCTOR_WARN, unread, "unread" },
	{ "leftovers", DOCTOR_NOTE, old_damage, "damaged catalog" },
	{ "memory", DOCTOR_BAD, memory_full, "queries hold 1024MiB of their 1.0GiB" },
	{ "memory", DOCTOR_WARN, memory_near, "--limits.series-total" },
	{ "process_memory", DOCTOR_BAD, rss, "7.5GiB of the 8.0GiB" },
	{ "process_memory", DOCTOR_WARN, swapped, "swapped out" },
	{ "overload", DOCTOR_WARN, overloaded, "5 because more came" },
	{ "overload", DOCTOR_WARN, answers_full, "5 because memory" },
	{ "loops", DOCTOR_WARN, long_turns, "100 turns" },
	{ "loops", DOCTOR_BAD, stands, "11 s" },
	{ "busy", DOCTOR_WARN, loops_full, "busy 95 % of the last 10 minutes (2 of them)" },
	{ "busy", DOCTOR_NOTE, loops_much, "busy 80 %" },
	{ "cpu_quota", DOCTOR_WARN, throttled, "30 %" },
	{ "descriptors", DOCTOR_WARN, fds, "1000000 of 1048576" },
	{ "descriptors", DOCTOR_NOTE, fds_few, "1024" },
	{ "descriptors", DOCTOR_WARN, accept_pauses, "paused 1 times" },
	{ "series", DOCTOR_WARN, series_near, "900000 of 1000000" },
	{ "series", DOCTOR_BAD, series_full, "new ones are refused" },
	{ "tenants", DOCTOR_WARN, tenants_near, "9500" },
	{ "new_series", DOCTOR_WARN, too_fast, "faster than allowed" },
	{ "metadata", DOCTOR_NOTE, metadata, "1 metrics" },
	{ "query_places", DOCTOR_WARN, no_place, "3 queries" },
	{ "query_places", DOCTOR_WARN, queries_wait, "one of ten" },
	{ "connections", DOCTOR_WARN, conns_refused, "3 connections" },
	{ "connections", DOCTOR_WARN, conns_near, "9500 of 10000" },
	{ "certificates", DOCTOR_WARN, cert_soon, "10.0 days" },
	{ "certificates", DOCTOR_BAD, cert_over, "1.0 days ago" },
	{ "certificates", DOCTOR_WARN, cert_stays, "60.0 days" },
	{ "configuration", DOCTOR_WARN, config_bad, "a restart would fail" },
	{ "durability", DOCTOR_WARN, sync_off, "--wal.sync=off" },
	{ "durability", DOCTOR_NOTE, sync_interval, "power cut" },
	{ "durability", DOCTOR_BAD, fake_time, "KYMO_TEST_CLOCK" },
	{ "sandbox", DOCTOR_NOTE, no_sandbox, "all files can be read, and" },
	{ "self_metrics", DOCTOR_NOTE, unrecorded, "--no-self-metrics" },
	{ "access", DOCTOR_NOTE, open_door, "no identities" },
	{ "access", DOCTOR_WARN, open_admin, "delete" },
	{ "backup", DOCTOR_NOTE, no_snapshot, "5 days" },
	{ "backup", DOCTOR_NOTE, old_snapshot, "8.0 days old" },
	{ "snapshots", DOCTOR_WARN, snapshots_fill, "alone hold 120GiB" },
	{ "clock", DOCTOR_WARN, doubt, "in doubt" },
	{ "kernel", DOCTOR_NOTE, huge, "huge pages" },
	{ "kernel", DOCTOR_WARN, no_promise, "overcommit" },
	{ "log_lines", DOCTOR_NOTE, lines_lost, "1 lines" },
	{ "log_lines", DOCTOR_NOTE, requests_lost, "2 lines were left out of the access log" },
	{ "statsd", DOCTOR_WARN, statsd_drops, "1 datagrams" },
	{ "statsd", DOCTOR_WARN, statsd_crowd, "max_connections" },
	{ "guessing", DOCTOR_NOTE, guesses, "100 wrong" },
	{ "issuer_keys", DOCTOR_WARN, issuer_away, "2 times" },
	{ "replicas", DOCTOR_WARN, flapping, "9 times" },
	{ "refused", DOCTOR_WARN, refused, "900000 samples" },
	{ "explosions", DOCTOR_WARN, explodes, "explode" },
};
/* clang-format on */

static struct doctor_said said_by(const struct doctor_check *c)
{
	struct doctor_said s = { .severity = DOCTOR_OK };
	c->look(&f, &s);
	return s;
}

static void nothing_is_wrong(const char *what)
{
	unsigned found = 0;
	for (size_t i = 0; i < doctor_checks_count; i++) {
		struct doctor_said s = said_by(&doctor_checks[i]);
		if (s.severity != DOCTOR_OK) {
			tap_note("%s: %s", doctor_checks[i].id, s.text);
			found++;
		}
	}
	tap_is_u64(found, 0, "%s has nothing", what);
}

/* One trouble, one finding: of others nothing is said. */
static void is_seen(const struct trouble *t)
{
	unsigned others = 0;
	struct doctor_said s = { .severity = DOCTOR_OK };
	const char *remedy = "";
	healthy();
	t->make();
	for (size_t i = 0; i < doctor_checks_count; i++) {
		struct doctor_said one = said_by(&doctor_checks[i]);
		if (!strcmp(doctor_checks[i].id, t->id)) {
			s = one;
			remedy = one.remedy ? one.remedy : doctor_checks[i].remedy;
		} else if (one.severity != DOCTOR_OK) {
			tap_note("%s: %s", doctor_checks[i].id, one.text);
			others++;
		}
	}
	bool told = strstr(s.text, t->tells) || strstr(remedy, t->tells);
	tap_ok(s.severity == t->severity && told && !others, "%s: %s (%s)", t->id, s.text,
	    doctor_severity_word[s.severity]);
}

static void each_has_a_case(void)
{
	unsigned without = 0;
	for (size_t i = 0; i < doctor_checks_count; i++) {
		bool any = false;
		for (size_t k = 0; k < COUNT_OF(troubles); k++)
			any |= !strcmp(troubles[k].id, doctor_checks[i].id);
		without += !any;
		if (!any)
			tap_note("%s has no case", doctor_checks[i].id);
	}
	tap_is_u64(without, 0, "each of %zu checks has a case here", doctor_checks_count);
}

static void a_fresh_server(void)
{
	static const struct doctor_snap zero;
	healthy();
	memset(&now.hists, 0, sizeof(now.hists));
	now.v[M_ROUND_LAST_MS] = 0;
	now.v[M_CONFIG_RELOAD_TIME] = 0;
	now.v[M_TLS_ENDS] = 0;
	now.cpu_periods = 0;
	f.start_ms = now.at_ms - 1000;
	f.recent = f.hour = &zero;
	nothing_is_wrong("a server that begins");
	world = (struct doctorworld){ .known = false };
	nothing_is_wrong("one of whose machine nothing is known");
}

static void sizes_are_short(void)
{
	char text[DOCTOR_SIZE_TEXT];
	tap_is_str(doctor_size(512, text), "512B", "bytes");
	tap_is_str(doctor_size(1536, text), "1.5KiB", "small sizes have a digit more");
	tap_is_str(doctor_size(300 * GB, text), "300GiB", "large ones not");
}

static void snaps_are_taken(void)
{
	struct doctor_snap s;
	metric_add(M_SAMPLES_STORED, 5);
	metric_observe_ns(M_LOG_SYNC, 1);
	metric_observe_ns(M_TURN, 9);
	world = (struct doctorworld){ .machine.cpu_periods = 3 };
	doctor_snap_take(&s, 7, &world);
	tap_ok(s.at_ms == 7 && s.v[M_SAMPLES_STORED] == 5 && s.hists[DOCTOR_HIST_SYNC][0] == 1 &&
	        s.cpu_periods == 3 && s.turns_ns == 9,
	    "a moment is all counters, and what was seen of the machine");
}

/* What lies in a data directory. */
static void the_world_is_read(void)
{
	char path[512];
	struct doctorworld w;
	char *dir = testlib_tmpdir("doctor");
	static const char *const made[] = { "log", "snapshots", "log/unread-1", "log/damaged-2",
		"catalog.damaged", "snapshots/20261129T081218Z-0123456789abcdef",
		"snapshots/20261128T081218Z-0123456789abcdef", "snapshots/else" };
	for (size_t i = 0; i < COUNT_OF(made); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, made[i]);
		if (mkdir(path, 0700))
			exit(1);
	}
	doctorworld_read("", dir, &w);
	tap_ok(w.known && w.log_unread == 1 && w.log_damaged == 1 && w.catalog_damaged,
	    "what a human should look at");
	tap_ok(w.snapshots == 2 && w.snapshot_ms == 1795939938000, "the newest snapshot's time");
	tap_ok(w.machine.held_bytes && w.machine.fds_max, "and the machine");
	tap_ok(!doctorworld_snapshot_ms("20261329T081218Z-0") && !doctorworld_snapshot_ms("2026"),
	    "other names are none");
	doctorworld_read("", NULL, &w);
	tap_ok(w.known && !w.snapshots, "without a directory");
	testlib_rmtree(dir);
	free(dir);
}

int main(void)
{
	healthy();
	nothing_is_wrong("a healthy server");
	for (size_t i = 0; i < COUNT_OF(troubles); i++)
		is_seen(&troubles[i]);
	each_has_a_case();
	a_fresh_server();
	sizes_are_short();
	snaps_are_taken();
	the_world_is_read();
	return tap_done();
}
