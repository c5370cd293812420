#include "net/api/doctorchecks.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/rune.h"

#define S_MS        INT64_C(1000)
#define MIN_MS      (60 * S_MS)
#define HOUR_MS     (60 * MIN_MS)
#define DAY_MS      (24 * HOUR_MS)
#define MS_NS       UINT64_C(1000000)
#define TREND_MS    (20 * MIN_MS) /* less says nothing: the log takes its room in large pieces */
#define SYNCS_LEAST 50u
#define MERGES_WAIT 8u

const char *const doctor_severity_word[DOCTOR_BAD + 1] = { "ok", "note", "warn", "bad" };

/* --- tools --- */

const char *doctor_size(uint64_t bytes, char out[DOCTOR_SIZE_TEXT])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double v = (double)bytes;
	unsigned u = 0;
	while (v >= 1024 && u < COUNT_OF(units) - 1) {
		v /= 1024;
		u++;
	}
	(void)snprintf(out, DOCTOR_SIZE_TEXT, u && v < 100 ? "%.1f%s" : "%.0f%s", v, units[u]);
	return out;
}
#define SIZE(bytes) doctor_size((bytes), (char[DOCTOR_SIZE_TEXT]){ "" })

static void say(struct doctor_said *out, enum doctor_severity severity, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
static void say(struct doctor_said *out, enum doctor_severity severity, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	out->severity = severity;
	(void)rune_vprintf(out->text, sizeof(out->text), fmt, ap);
	va_end(ap);
}

static uint64_t now_of(const struct doctor_facts *f, enum metric_id id)
{
	return f->now->v[id];
}

static uint64_t grown(const struct doctor_facts *f, enum metric_id id)
{
	uint64_t was = f->recent->v[id];
	return f->now->v[id] > was ? f->now->v[id] - was : 0;
}

/* Of neighbours in the table, from the first to the last. */
static uint64_t grown_all(const struct doctor_facts *f, enum metric_id first, enum metric_id last)
{
	uint64_t n = 0;
	for (unsigned id = first; id <= last; id++)
		n += grown(f, (enum metric_id)id);
	return n;
}

static int64_t minutes(const struct doctor_facts *f)
{
	int64_t ms = f->now_ms - f->recent->at_ms;
	return ms < MIN_MS ? 1 : ms / MIN_MS;
}

static double part_of(uint64_t is, uint64_t of)
{
	return of ? (double)is / (double)of : 0;
}

static uint64_t hist_grown(
    const struct doctor_facts *f, enum doctor_hist h, uint64_t out[METRIC_HIST_BOUNDS + 1])
{
	uint64_t count = 0;
	for (unsigned i = 0; i <= METRIC_HIST_BOUNDS; i++) {
		out[i] = f->now->hists[h][i] - f->recent->hists[h][i];
		count += out[i];
	}
	return count;
}

void doctor_snap_take(struct doctor_snap *s, int64_t now_ms, const struct doctorworld *w)
{
	static const enum metric_id hists[DOCTOR_HISTS] = { M_LOG_SYNC, M_TURN_CPU,
		M_QUERY_WAIT_SECONDS };
	s->at_ms = now_ms;
	for (unsigned id = 0; id < M_COUNT; id++)
		s->v[id] = metric_sum((enum metric_id)id);
	for (unsigned h = 0; h < DOCTOR_HISTS; h++)
		metric_hist(hists[h], s->hists[h]);
	s->turns_ns = metric_hist_sum(M_TURN);
	s->cpu_periods = w->machine.cpu_periods;
	s->cpu_throttled = w->machine.cpu_throttled;
}

/* --- disk --- */

/* Hours until the floor is met, by the trend of the last hour; below 0: not known, or never. */
static double hours_left(const struct doctor_facts *f)
{
	int64_t ms = f->now_ms - f->hour->at_ms;
	uint64_t free = now_of(f, M_DISK_FREE_BYTES), was = f->hour->v[M_DISK_FREE_BYTES];
	uint64_t floor = now_of(f, M_DISK_FLOOR_BYTES);
	if (ms < TREND_MS || !was || free >= was || free <= floor)
		return -1;
	return (double)(free - floor) / (double)(was - free) * (double)ms / (double)HOUR_MS;
}

static void disk(const struct doctor_facts *f, struct doctor_said *out)
{
	uint64_t free = now_of(f, M_DISK_FREE_BYTES), floor = now_of(f, M_DISK_FLOOR_BYTES);
	double hours = hours_left(f);
	if (!free && !floor)
		return;
	if (free < floor)
		say(out, DOCTOR_BAD,
		    "%s are free on the disk of the data directory, below --storage.min-free %s: writes are refused until there is more",
		    SIZE(free), SIZE(floor));
	else if (hours >= 0 && hours < 2)
		say(out, DOCTOR_BAD,
		    "%s are free on the disk and %.1f hours from now it will be %s, where writes are refused, if it goes on as in the last hour",
		    SIZE(free), hours, SIZE(floor));
	else if (hours >= 0 && hours < 72)
		say(out, DOCTOR_WARN,
		    "%s are free on the disk and in %.0f hours it will be %s, where writes are refused, if it goes on as in the last hour",
		    SIZE(free), hours, SIZE(floor));
	else if (free < floor + floor / 4)
		say(out, DOCTOR_WARN,
		    "%s are free on the disk, and below %s (--storage.min-free) writes are refused",
		    SIZE(free), SIZE(floor));
	else
		say(out, DOCTOR_OK, "%s are free on the disk; writes are refused below %s",
		    SIZE(free), SIZE(floor));
}

static void inodes(const struct doctor_facts *f, struct doctor_said *out)
{
	const struct doctorworld *w = f->world;
	double left = part_of(w->inodes_free, w->inodes_total);
	if (!w->inodes_total)
		return;
	say(out,
	    left < 0.01       ? DOCTOR_BAD
	        : left < 0.05 ? DOCTOR_WARN
	                      : DOCTOR_OK,
	    "%" PRIu64 " of %" PRIu64 " inodes are free", w->inodes_free, w->inodes_total);
}

static void disk_kind(const struct doctor_facts *f, struct doctor_said *out)
{
	if (f->world->kind == DOCTORWORLD_MEMORY)
		say(out, DOCTOR_NOTE,
		    "the data directory lies in memory (tmpfs): a reboot takes all of it");
	else if (f->world->kind == DOCTORWORLD_NETWORK) {
		say(out, DOCTOR_WARN,
		    "the data directory lies on a network file system (NFS or SMB), where locks, memory maps and syncs are not reliable");
		out->remedy =
		    "move the data directory to a local disk, or to a block device of the network";
	}
}

/* --- memory --- */

static void memory(const struct doctor_facts *f, struct doctor_said *out)
{
	static const struct {
		const char *name, *flag;
		enum metric_id is, of;
	} parts[] = {
		{ "series", "--limits.series-total", M_SERIES_BYTES, M_LIMIT_SERIES },
		{ "queries", "--query.max-memory-total", M_QUERY_MEMORY_BYTES, M_LIMIT_QUERIES },
		{ "requests in flight", "--web.max-inflight-bytes", M_INFLIGHT_BYTES,
		    M_LIMIT_INFLIGHT },
		{ "answers", "--web.max-answer-bytes", M_ANSWER_BYTES, M_LIMIT_ANSWERS },
	};
	double most = -1;
	unsigned which = 0;
	for (unsigned i = 0; i < COUNT_OF(parts); i++) {
		double part = part_of(now_of(f, parts[i].is), now_of(f, parts[i].of));
		if (part > most) {
			most = part;
			which = i;
		}
	}
	say(out,
	    most >= 0.97       ? DOCTOR_BAD
	        : most >= 0.85 ? DOCTOR_WARN
	                       : DOCTOR_OK,
	    "%s hold %s of their %s (%.0f %%, %s)%s", parts[which].name,
	    SIZE(now_of(f, parts[which].is)), SIZE(now_of(f, parts[which].of)), most * 100,
	    parts[which].flag,
	    most >= 0.97 ? ": what needs more is told to come later" : "; no part is fuller");
}

static void process_memory(const struct doctor_facts *f, struct doctor_said *out)
{
	const struct machine *m = &f->world->machine;
	uint64_t allowed = f->memory_allowed;
	double part = part_of(m->held_bytes, allowed);
	if (!m->held_bytes || !allowed)
		return;
	if (m->group_max && part_of(m->group_used, m->group_max) > part &&
	    m->group_max <= allowed && part >= 0.5)
		part = part_of(m->group_used, m->group_max);
	if (part >= 0.9)
		say(out, DOCTOR_BAD,
		    "the process holds %s of the %s that machine and control group allow: the kernel may end it",
		    SIZE(m->held_bytes), SIZE(allowed));
	else if (m->swap_bytes > m->held_bytes / 10 && m->swap_bytes > (64u << 20))
		say(out, DOCTOR_WARN, "%s of the process are swapped out: answers wait for the disk",
		    SIZE(m->swap_bytes));
	else if (part >= 0.8)
		say(out, DOCTOR_WARN, "the process holds %s of the %s that it may",
		    SIZE(m->held_bytes), SIZE(allowed));
	else
		say(out, DOCTOR_OK, "the process holds %s of the %s that it may",
		    SIZE(m->held_bytes), SIZE(allowed));
}

static void overload(const struct doctor_facts *f, struct doctor_said *out)
{
	uint64_t load = grown(f, M_WRITE_REFUSED_LOAD), held = grown(f, M_HTTP_OVERLOADED);
	if (load || held)
		say(out, DOCTOR_WARN,
		    "%" PRIu64 " requests were told to come later in the last %" PRId64
		    " minutes: %" PRIu64 " because more came than can be done, %" PRIu64
		    " because memory for requests or answers was full",
		    load + held, minutes(f), load, held);
}

static void cpu_quota(const struct doctor_facts *f, struct doctor_said *out)
{
	uint64_t periods = f->now->cpu_periods - f->recent->cpu_periods;
	uint64_t held = f->now->cpu_throttled - f->recent->cpu_throttled;
	double part = part_of(held, periods);
	if (f->now->cpu_periods < f->recent->cpu_periods || periods < 100)
		return;
	if (part >= 0.1)
		say(out, DOCTOR_WARN,
		    "the CPU quota of the control group held the process back in %.0f %% of its periods in the last %" PRId64
		    " minutes",
		    part * 100, minutes(f));
}

static void loops(const struct doctor_facts *f, struct doctor_said *out)
{
	uint64_t cells[METRIC_HIST_BOUNDS + 1];
	uint64_t turns = hist_grown(f, DOCTOR_HIST_TURN, cells);
	uint64_t slow = 0, p99 = metric_hist_quantile(cells, 0.99);
	for (unsigned i = 0; i <= METRIC_HIST_BOUNDS; i++)
		if (i == METRIC_HIST_BOUNDS || METRIC_HIST_BOUNDS_NS[i] > 100 * MS_NS)
			slow += cells[i];
	if (f->stands_ms)
		say(out, DOCTOR_BAD, "an event loop has not turned for %.0f s",
		    (double)f->stands_ms / 1000);
	else if (turns && (p99 > 50 * MS_NS || slow > 20))
		say(out, DOCTOR_WARN,
		    "%" PRIu64 " turns of event loops took more than 100 ms of CPU in the last %" PRId64
		    " minutes, and one of a hundred more than %.0f ms: requests wait for them",
		    slow, minutes(f), (double)(p99 > 60000 * MS_NS ? 60000 * MS_NS : p99) / 1e6);
	else if (turns)
		say(out, DOCTOR_OK, "99 of 100 turns of event loops take at most %g ms of CPU",
		    (double)p99 / 1e6);
}

/* Of the time, waiting left out; by the length of turns, so that CPU taken by others counts. */
static void busy(const struct doctor_facts *f, struct doctor_said *out)
{
	int64_t ms = f->now_ms - f->recent->at_ms;
	double part = 0;
	if (ms >= MIN_MS && f->loops)
		part =
		    (double)(f->now->turns_ns - f->recent->turns_ns) / 1e6 / ((double)ms * f->loops);
	else
		return;
	say(out,
	    part >= 0.9        ? DOCTOR_WARN
	        : part >= 0.75 ? DOCTOR_NOTE
	                       : DOCTOR_OK,
	    "event loops were busy %.0f %% of the last %" PRId64 " minutes (%u of them)%s",
	    part * 100, minutes(f), f->loops, part >= 0.9 ? ": what comes waits for its turn" : "");
}

/* --- the log and what follows it --- */

static void writes(const struct doctor_facts *f, struct doctor_said *out)
{
	if (f->accepts == ERR_OK)
		return;
	say(out, DOCTOR_BAD, "no write is taken now: %s", err_text(f->accepts));
	if (f->accepts == ERR_NOSPACE)
		out->remedy =
		    "make room on the disk of the data directory, or a shorter --retention; writes go on by themselves then";
	else if (f->accepts == ERR_READONLY || f->accepts == ERR_LOGFAILED)
		out->remedy =
		    "look at the disk and the kernel's log (dmesg): the log is tried again every minute, and writes go on by themselves";
}

static void log_failures(const struct doctor_facts *f, struct doctor_said *out)
{
	uint64_t failed = grown(f, M_LOG_FAILURES), prepared = grown(f, M_LOG_PREPARE_FAILURES);
	if (failed)
		say(out, DOCTOR_BAD,
		    "%" PRIu64 " writes or syncs of the log failed in the last %" PRId64 " minutes",
		    failed, minutes(f));
	else if (prepared)
		say(out, DOCTOR_WARN,
		    "a segment of the log could not be prepared %" PRIu64
		    " times in the last %" PRId64 " minutes",
		    prepared, minutes(f));
}

static void sync_time(const struct doctor_facts *f, struct doctor_said *out)
{
	uint64_t cells[METRIC_HIST_BOUNDS + 1];
	uint64_t syncs = hist_grown(f, DOCTOR_HIST_SYNC, cells);
	uint64_t p99 = metric_hist_quantile(cells, 0.99);
	bool over = p99 == UINT64_MAX;
	if (syncs < SYNCS_LEAST)
		return;
	say(out,
	    over || p99 > 1000 * MS_NS ? DOCTOR_BAD
	        : p99 > 500 * MS_NS    ? DOCTOR_WARN
	        : p99 > 100 * MS_NS    ? DOCTOR_NOTE
	                               : DOCTOR_OK,
	    "99 of 100 syncs of the log take %s %g ms (%" PRIu64 " in the last %" PRId64
	    " minutes); each write waits for one",
	    over ? "up to more than" : "at most", (double)(over ? 60000 * MS_NS : p99) / 1e6, syncs,
	    minutes(f));
}

static void rounds(const struct doctor_facts *f, struct doctor_said *out)
{
	uint64_t failed = grown(f, M_ROUNDS_FAILED), last = now_of(f, M_ROUND_LAST_MS);
	int64_t since_ms = f->now_ms - (last ? (int64_t)last : f->start_ms);
	if (failed)
		say(out, DOCTOR_BAD,
		    "%" PRIu64 " rounds, which move memory to files, failed in the last %" PRId64
		    " minutes; they are tried again, and the log grows meanwhile",
		    failed, minutes(f));
	else if (since_ms > 3 * f->round_every_ms + 10 * MIN_MS && grown(f, M_SAMPLES_STORED))
		say(out, DOCTOR_WARN,
		    "the last round, which moves memory to files, ended %" PRId64
		    " minutes ago; one is due every %" PRId64 " minutes",
		    since_ms / MIN_MS, f->round_every_ms / MIN_MS);
	else if (last)
		say(out, DOCTOR_OK, "the last round took %.1f s",
		    (double)now_of(f, M_ROUND_LAST_TOOK_MS) / 1000);
}

static void merges(const struct doctor_facts *f, struct doctor_said *out)
{
	uint64_t failed = grown(f, M_SEALS_FAILED), waiting = now_of(f, M_SEALS_WAITING);
	if (failed)
		say(out, DOCTOR_WARN,
		    "%" PRIu64 " merges of files failed, or found no room, in the last %" PRId64
		    " minutes; they are tried again",
		    failed, minutes(f));
	else if (waiting >= MERGES_WAIT && f->recent->v[M_SEALS_WAITING] >= MERGES_WAIT) {
		say(out, DOCTOR_NOTE,
		    "%" PRIu64 " shards wait for a merge of their files, as %" PRId64
		    " minutes ago: more is written than merged, and queries meet more files",
		    waiting, minutes(f));
		out->remedy =
		    "a faster disk, or fewer samples that come late; it goes away by itself when less comes";
	} else if (now_of(f, M_SEAL_LAST_MS))
		say(out, DOCTOR_OK, "the last merge of files took %.1f s, and %" PRIu64 " wait",
		    (double)now_of(f, M_SEAL_LAST_TOOK_MS) / 1000, waiting);
}

static void log_held(const struct doctor_facts *f, struct doctor_said *out)
{
	uint64_t held = now_of(f, M_LOG_HELD_BYTES), parked = grown(f, M_WRITES_PARKED);
	uint64_t share = f->log_share_bytes;
	if (parked > 100)
		say(out, DOCTOR_WARN,
		    "%" PRIu64 " parts of writes waited for room in the log in the last %" PRId64
		    " minutes: more comes than the disk takes",
		    parked, minutes(f));
	else if (share && held > 3 * share)
		say(out, DOCTOR_WARN,
		    "the log holds %s that are in no file yet, and rounds begin at %s: they do not keep up, and a start would read all of it",
		    SIZE(held), SIZE(share));
	else
		say(out, DOCTOR_OK, "the log holds %s that are in no file yet", SIZE(held));
}

static void catalog(const struct doctor_facts *f, struct doctor_said *out)
{
	if (now_of(f, M_CATALOG_DAMAGED))
		say(out, DOCTOR_WARN,
		    "the catalog is damaged and rebuilt from the files; queries ask the files meanwhile, which takes longer");
	else if (now_of(f, M_CATALOG_REBUILT)) {
		say(out, DOCTOR_NOTE,
		    "the catalog was damaged and rebuilt from the files %" PRIu64
		    " times since the start",
		    now_of(f, M_CATALOG_REBUILT));
		out->remedy =
		    "look at memory and disk of this machine: what damaged it may damage more";
	}
}

static void damage(const struct doctor_facts *f, struct doctor_said *out)
{
	uint64_t units = now_of(f, M_DAMAGED_UNITS), frames = now_of(f, M_LOG_DAMAGED_FRAMES);
	uint64_t rows = now_of(f, M_ROWS_UNDEFINED), lost = now_of(f, M_FILES_LOST);
	if (units || frames || lost)
		say(out, DOCTOR_BAD,
		    "damage was met since the start: %" PRIu64 " units of files, %" PRIu64
		    " frames of the log, %" PRIu64 " files that cannot be opened; they are left out",
		    units, frames, lost);
	else if (rows)
		say(out, DOCTOR_WARN,
		    "%" PRIu64 " rows of the log belong to series that are defined nowhere", rows);
}

static void leftovers(const struct doctor_facts *f, struct doctor_said *out)
{
	const struct doctorworld *w = f->world;
	if (w->log_unread)
		say(out, DOCTOR_WARN,
		    "%" PRIu64
		    " segments of the log could not be read by a start (log/unread-*, log/waiting-*): what is in them is not in answers",
		    w->log_unread);
	else if (w->log_damaged || w->catalog_damaged) {
		say(out, DOCTOR_NOTE,
		    "%" PRIu64
		    " damaged segments of the log (log/damaged-*)%s lie in the data directory",
		    w->log_damaged, w->catalog_damaged ? " and a damaged catalog" : "");
		out->remedy =
		    "look at them if they are wanted, then remove them: the server needs them no more";
	}
}

/* --- limits --- */

static void descriptors(const struct doctor_facts *f, struct doctor_said *out)
{
	const struct machine *m = &f->world->machine;
	uint64_t pauses = grown(f, M_ACCEPT_PAUSES);
	double part = part_of(m->fds_open, m->fds_max);
	if (!m->fds_max)
		return;
	if (pauses)
		say(out, DOCTOR_WARN,
		    "accepting paused %" PRIu64 " times in the last %" PRId64
		    " minutes: too many connections, or no descriptors (%" PRIu64 " of %" PRIu64
		    " are open)",
		    pauses, minutes(f), m->fds_open, m->fds_max);
	else if (part >= 0.9)
		say(out, DOCTOR_WARN, "%" PRIu64 " of %" PRIu64 " descriptors are open",
		    m->fds_open, m->fds_max);
	else if (m->fds_max < 4096)
		say(out, DOCTOR_NOTE,
		    "the process may open %" PRIu64
		    " files and connections at most, which is little (ulimit -n)",
		    m->fds_max);
	else
		say(out, DOCTOR_OK, "%" PRIu64 " of %" PRIu64 " descriptors are open", m->fds_open,
		    m->fds_max);
}

static void series(const struct doctor_facts *f, struct doctor_said *out)
{
	uint64_t is = now_of(f, M_SERIES_ACTIVE);
	double part = part_of(is, f->series_max);
	if (!f->series_max)
		return;
	say(out,
	    part >= 0.97       ? DOCTOR_BAD
	        : part >= 0.85 ? DOCTOR_WARN
	                       : DOCTOR_OK,
	    "%" PRIu64 " of %" PRIu64 " series are in memory (--limits.series-total)%s", is,
	    f->series_max, part >= 0.97 ? ": new ones are refused" : "");
}

static void tenants(const struct doctor_facts *f, struct doctor_said *out)
{
	double part = part_of(f->tenants, f->tenants_max);
	if (f->tenants < 2)
		return;
	say(out,
	    part >= 1         ? DOCTOR_BAD
	        : part >= 0.9 ? DOCTOR_WARN
	                      : DOCTOR_OK,
	    "there are %" PRIu64 " of at most %" PRIu64 " tenants (--limits.tenants)", f->tenants,
	    f->tenants_max);
}

static void new_series(const struct doctor_facts *f, struct doctor_said *out)
{
	uint64_t fast = grown(f, M_SERIES_TOO_FAST);
	if (fast)
		say(out, DOCTOR_WARN,
		    "%" PRIu64 " parts of writes were told to come later in the last %" PRId64
		    " minutes, because new series came faster than allowed",
		    fast, minutes(f));
}

static void metadata(const struct doctor_facts *f, struct doctor_said *out)
{
	uint64_t dropped = grown(f, M_METADATA_DROPPED);
	if (dropped)
		say(out, DOCTOR_NOTE,
		    "metadata (type, help) of %" PRIu64 " metrics was not kept in the last %" PRId64
		    " minutes: there is too much of it",
		    dropped, minutes(f));
}

static void query_places(const struct doctor_facts *f, struct doctor_said *out)
{
	uint64_t cells[METRIC_HIST_BOUNDS + 1], refused = grown(f, M_QUERIES_REFUSED);
	uint64_t waited = hist_grown(f, DOCTOR_HIST_WAIT, cells);
	uint64_t p90 = metric_hist_quantile(cells, 0.9);
	if (refused)
		say(out, DOCTOR_WARN,
		    "%" PRIu64 " queries found no place in the last %" PRId64
		    " minutes: too many waited",
		    refused, minutes(f));
	else if (waited > 20 && p90 > 1000 * MS_NS)
		say(out, DOCTOR_WARN, "one of ten queries waits for a place for more than a second");
}

static void connections(const struct doctor_facts *f, struct doctor_said *out)
{
	uint64_t refused = grown(f, M_CONNS_REFUSED), open = now_of(f, M_CONNS_OPEN);
	double part = part_of(open, f->connections_max);
	if (refused)
		say(out, DOCTOR_WARN,
		    "%" PRIu64 " connections were closed at once in the last %" PRId64
		    " minutes: too many from one address, or more than its share of all",
		    refused, minutes(f));
	else
		say(out, part >= 0.9 ? DOCTOR_WARN : DOCTOR_OK,
		    "%" PRIu64 " of %" PRIu64 " connections are open (--web.max-connections)", open,
		    f->connections_max);
}

/* --- what people set --- */

static void certificates(const struct doctor_facts *f, struct doctor_said *out)
{
	int64_t ends_ms = (int64_t)now_of(f, M_TLS_ENDS) * S_MS, left_ms = ends_ms - f->now_ms;
	if (!ends_ms)
		return;
	if (left_ms <= 0)
		say(out, DOCTOR_BAD, "a TLS certificate ended %.1f days ago: clients refuse it",
		    (double)-left_ms / (double)DAY_MS);
	else if (grown(f, M_TLS_RENEW_FAILED))
		say(out, DOCTOR_WARN,
		    "new TLS certificates could not be used (event=certificates_not_renewed says why); the one in use ends in %.1f days",
		    (double)left_ms / (double)DAY_MS);
	else
		say(out,
		    left_ms < 3 * DAY_MS        ? DOCTOR_BAD
		        : left_ms < 14 * DAY_MS ? DOCTOR_WARN
		                                : DOCTOR_OK,
		    "the first of the TLS certificates ends in %.1f days",
		    (double)left_ms / (double)DAY_MS);
}

static void configuration(const struct doctor_facts *f, struct doctor_said *out)
{
	int64_t read_ms = (int64_t)now_of(f, M_CONFIG_RELOAD_TIME);
	if (read_ms && !now_of(f, M_CONFIG_RELOAD_FINE))
		say(out, DOCTOR_WARN,
		    "the configuration that was read last has mistakes: the one of %" PRId64
		    " minutes ago is in force, and a restart would fail",
		    (f->now_ms - read_ms) / MIN_MS);
}

static void sandbox(const struct doctor_facts *f, struct doctor_said *out)
{
	bool files = now_of(f, M_SANDBOX_NO_FILES), calls = now_of(f, M_SANDBOX_NO_CALLS);
	if (files || calls)
		say(out, DOCTOR_NOTE, "the sandbox is not whole: %s%s%s",
		    files ? "all files can be read" : "", files && calls ? ", and " : "",
		    calls ? "other programs started" : "");
}

static void durability(const struct doctor_facts *f, struct doctor_said *out)
{
	if (f->test_clock)
		say(out, DOCTOR_BAD, "all times are those of a test (KYMO_TEST_CLOCK)");
	else if (f->sync == STORE_SYNC_OFF)
		say(out, DOCTOR_WARN,
		    "--wal.sync=off: writes are acknowledged before they are on the disk, and a crash loses those of the last seconds");
	else if (f->sync == STORE_SYNC_INTERVAL)
		say(out, DOCTOR_NOTE,
		    "--wal.sync=interval: a power cut loses writes of up to %.1f s that were acknowledged",
		    (double)f->sync_interval_ms / 1000);
	else
		say(out, DOCTOR_OK, "what is acknowledged is on the disk (--wal.sync=commit)");
}

static void self_metrics(const struct doctor_facts *f, struct doctor_said *out)
{
	if (!f->self_metrics)
		say(out, DOCTOR_NOTE,
		    "the server does not record its own metrics (--no-self-metrics): dashboards and alerts about it have no history here");
}

static void access_open(const struct doctor_facts *f, struct doctor_said *out)
{
	if (!f->open)
		return;
	say(out, f->admin_api ? DOCTOR_WARN : DOCTOR_NOTE,
	    "everybody who reaches the port may read and write everything%s: there are no identities",
	    f->admin_api ? ", and delete it (--web.enable-admin-api)" : "");
}

static void backup(const struct doctor_facts *f, struct doctor_said *out)
{
	const struct doctorworld *w = f->world;
	int64_t oldest = (int64_t)now_of(f, M_OLDEST_MS);
	if (w->snapshots)
		say(out, f->now_ms - w->snapshot_ms > 7 * DAY_MS ? DOCTOR_NOTE : DOCTOR_OK,
		    "the newest of %" PRIu64 " snapshots is %.1f days old", w->snapshots,
		    (double)(f->now_ms - w->snapshot_ms) / (double)DAY_MS);
	else if (w->known && oldest && f->now_ms - oldest > DAY_MS)
		say(out, DOCTOR_NOTE,
		    "there is data of %.0f days and no snapshot (DATA_DIR/snapshots)",
		    (double)(f->now_ms - oldest) / (double)DAY_MS);
}

/* Retention frees nothing of theirs. */
static void snapshots_held(const struct doctor_facts *f, struct doctor_said *out)
{
	uint64_t held = now_of(f, M_BYTES_SNAPSHOTS), free = now_of(f, M_DISK_FREE_BYTES);
	if (held > free)
		say(out, DOCTOR_WARN,
		    "snapshots alone hold %s, more than the %s that are free on the disk: files that the server itself has no more",
		    SIZE(held), SIZE(free));
	else if (held)
		say(out, DOCTOR_OK, "snapshots alone hold %s", SIZE(held));
}

/* --- the machine --- */

static void clock_doubt(const struct doctor_facts *f, struct doctor_said *out)
{
	if (now_of(f, M_CLOCK_IN_DOUBT))
		say(out, DOCTOR_WARN,
		    "the clock of this machine is in doubt: it stepped, or contradicts the samples that arrive; samples of any time are taken, and nothing is deleted");
}

static void kernel(const struct doctor_facts *f, struct doctor_said *out)
{
	const struct machine *m = &f->world->machine;
	uint64_t budget = now_of(f, M_MEMORY_BUDGET);
	if (m->overcommit == 2 && m->commit_limit && m->commit_limit < m->commit_used + budget) {
		say(out, DOCTOR_WARN,
		    "the kernel promises no more memory than it has (vm.overcommit_memory=2): %s of %s are promised, and this server may want %s",
		    SIZE(m->commit_used), SIZE(m->commit_limit), SIZE(budget));
	} else if (!strcmp(m->huge_pages, "always")) {
		say(out, DOCTOR_NOTE,
		    "transparent huge pages are on for all memory: the process may hold more than it uses");
		out->remedy = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled";
	}
}

static void log_lines(const struct doctor_facts *f, struct doctor_said *out)
{
	uint64_t lost = grown(f, M_LOG_LINES_LOST), requests = grown(f, M_REQUEST_LOG_LOST);
	if (requests) {
		say(out, DOCTOR_NOTE,
		    "%" PRIu64
		    " lines were left out of the access log or the log of slow queries in the last %" PRId64
		    " minutes: its disk is full or too slow",
		    requests, minutes(f));
		out->remedy =
		    "make room there, or log less (--log.access-sample, --log.access-min-duration)";
	} else if (lost)
		say(out, DOCTOR_NOTE,
		    "%" PRIu64 " lines were left out of the log in the last %" PRId64
		    " minutes: who takes stderr is too slow",
		    lost, minutes(f));
}

/* --- senders and clients, of all tenants --- */

static void statsd(const struct doctor_facts *f, struct doctor_said *out)
{
	uint64_t drops = grown(f, M_STATSD_KERNEL_DROPS);
	uint64_t refused = grown(f, M_STATSD_CONNECTIONS_REFUSED);
	if (drops)
		say(out, DOCTOR_WARN,
		    "the kernel dropped %" PRIu64 " datagrams of StatsD in the last %" PRId64
		    " minutes, because they were not read in time",
		    drops, minutes(f));
	else if (refused) {
		say(out, DOCTOR_WARN,
		    "%" PRIu64 " connections of StatsD were closed in the last %" PRId64
		    " minutes: there were too many",
		    refused, minutes(f));
		out->remedy = "raise receivers.statsd.max_connections, or let clients send by UDP";
	}
}

static void guessing(const struct doctor_facts *f, struct doctor_said *out)
{
	uint64_t wrong = grown(f, M_AUTH_REFUSED_TOKEN) + grown(f, M_AUTH_REFUSED_PASSWORD);
	if (wrong > 20)
		say(out, DOCTOR_NOTE,
		    "%" PRIu64 " wrong tokens or passwords came in the last %" PRId64 " minutes",
		    wrong, minutes(f));
}

static void issuer_keys(const struct doctor_facts *f, struct doctor_said *out)
{
	uint64_t failed = grown(f, M_AUTH_KEYS_FAILED), fine = grown(f, M_AUTH_KEYS_FETCHED);
	if (failed && !fine)
		say(out, DOCTOR_WARN,
		    "the keys of an OIDC issuer could not be fetched %" PRIu64
		    " times in the last %" PRId64 " minutes; those that are known hold for a day",
		    failed, minutes(f));
}

static void replicas(const struct doctor_facts *f, struct doctor_said *out)
{
	uint64_t failovers = grown(f, M_HA_FAILOVERS);
	if (failovers > 3)
		say(out, DOCTOR_WARN,
		    "the elected replica of HA pairs changed %" PRIu64 " times in the last %" PRId64
		    " minutes",
		    failovers, minutes(f));
}

/* Of one tenant its own findings say more (net/api/doctor.h). */
static void refused(const struct doctor_facts *f, struct doctor_said *out)
{
	uint64_t samples = grown_all(f, M_REFUSED_TOO_OLD, M_REFUSED_BAD_SERIES);
	uint64_t stored = grown(f, M_SAMPLES_STORED);
	if (f->tenants < 2)
		return;
	say(out,
	    samples > stored / 10 ? DOCTOR_WARN
	        : samples         ? DOCTOR_NOTE
	                          : DOCTOR_OK,
	    "of all tenants %" PRIu64 " samples were refused and %" PRIu64
	    " stored in the last %" PRId64 " minutes",
	    samples, stored, minutes(f));
}

static void explosions(const struct doctor_facts *f, struct doctor_said *out)
{
	uint64_t rows = now_of(f, M_CARD_EXPLODING);
	if (rows && f->tenants > 1)
		say(out, DOCTOR_WARN,
		    "labels or metrics explode in some tenant (event=cardinality_explodes names them): %" PRIu64
		    " at the moment",
		    rows);
}

/* clang-format off */
const struct doctor_check doctor_checks[] = {
	{ "disk", disk, "give the disk more room, or keep less (--retention, --retention.size, tenants.NAME.retention)" },
	{ "inodes", inodes, "remove small files on the file system of the data directory, or give it one with more inodes" },
	{ "disk_kind", disk_kind, "put the data directory on a disk if the data should outlive this machine" },
	{ "writes", writes, "the text says what is missing; senders repeat what they were not acknowledged" },
	{ "log_failures", log_failures, "look at the disk and the kernel's log (dmesg): nothing is acknowledged that is not on it" },
	{ "sync_time", sync_time, "a faster disk, or one with a write cache that outlives a power cut; or --wal.sync=interval, which may lose a second" },
	{ "log_held", log_held, "a faster disk, fewer samples, or a larger --wal.share" },
	{ "rounds", rounds, "event=round_failed in the log says why: room on the disk, rights, or a disk that fails" },
	{ "merges", merges, "merges need room for what they write: make some; else the log says why they fail" },
	{ "catalog", catalog, "nothing: it is rebuilt by itself; when it happens again look at memory and disk of this machine" },
	{ "damage", damage, "look at the disk (smartctl, dmesg), then restore what is lost from a backup: kymoctl verify tells which files" },
	{ "leftovers", leftovers, "they are tried again by each start: restart when memory and disk are in order" },
	{ "memory", memory, "fewer series or lighter queries, more memory, or other shares by the flag that is named" },
	{ "process_memory", process_memory, "give the machine or its control group more memory, or lower --limits.series-total and --query.max-memory-total" },
	{ "overload", overload, "more CPUs (--loops), more memory, or fewer requests; senders repeat by themselves" },
	{ "loops", loops, "the log says which queries were slow at that time; more CPUs, or fewer heavy queries at once" },
	{ "busy", busy, "more CPUs and loops (--loops), fewer samples, or lighter queries: /api/v1/status/top_queries shows the heavy ones" },
	{ "cpu_quota", cpu_quota, "raise the CPU limit of the container or unit (cpu.max, CPUQuota), and --loops to as many CPUs" },
	{ "descriptors", descriptors, "raise ulimit -n (LimitNOFILE of the unit) and restart" },
	{ "series", series, "look for labels with many values (/api/v1/cardinality), or raise --limits.series-total if memory allows" },
	{ "tenants", tenants, "raise --limits.tenants" },
	{ "new_series", new_series, "look for labels with many values (/api/v1/cardinality/explosions); --limits.new-series-per-s and tenants.NAME.new_series_per_s allow more" },
	{ "metadata", metadata, "let senders send metadata of fewer metrics (metadata_config of Prometheus)" },
	{ "query_places", query_places, "raise --query.max-concurrency or --query.max-queued, or ask less at once; /api/v1/status/top_queries shows the heavy ones" },
	{ "connections", connections, "raise --web.max-connections-per-address or --web.max-connections; behind a proxy name it in --web.trusted-proxies" },
	{ "certificates", certificates, "renew the certificate files: they are read again within a minute" },
	{ "configuration", configuration, "kymod --check-config FILE names the mistakes; then SIGHUP or POST /-/reload" },
	{ "sandbox", sandbox, "event=sandbox in the log says why: a kernel without Landlock (5.19, landlock among its LSMs) or seccomp, or --sandbox=off" },
	{ "durability", durability, "--wal.sync=commit" },
	{ "self_metrics", self_metrics, "leave --no-self-metrics out, unless another server scrapes /metrics" },
	{ "access", access_open, "set up identities (net/OPERATING.md, Identities), or listen on 127.0.0.1 alone" },
	{ "backup", backup, "POST /api/v1/admin/tsdb/snapshot, or kymoctl backup, every day" },
	{ "snapshots", snapshots_held, "delete those that no backup needs: GET /api/v1/admin/tsdb/snapshots lists them, DELETE /api/v1/admin/tsdb/snapshots/NAME" },
	{ "clock", clock_doubt, "set the clock right (chronyd, systemd-timesyncd), or the clocks of the senders; it ends by itself when they agree" },
	{ "kernel", kernel, "sysctl vm.overcommit_memory=0, or a larger vm.overcommit_ratio" },
	{ "log_lines", log_lines, "read stderr faster, or log less (--log.level)" },
	{ "statsd", statsd, "raise receivers.statsd.receive_buffer and net.core.rmem_max" },
	{ "guessing", guessing, "event=denied in the log names the addresses" },
	{ "issuer_keys", issuer_keys, "look whether the issuer can be reached from here; the log names the error" },
	{ "replicas", replicas, "look whether one of the pair is slow or restarts; a longer tenants.NAME.ha.failover_timeout lets it be late" },
	{ "refused", refused, "event=samples_refused in the log has reasons, examples and remedies" },
	{ "explosions", explosions, "ask /api/v1/cardinality/explosions as that tenant; rules of cardinality hold it" },
};
/* clang-format on */
const size_t doctor_checks_count = COUNT_OF(doctor_checks);
STATIC(COUNT_OF(doctor_checks) <= DOCTOR_CHECKS_MAX);
