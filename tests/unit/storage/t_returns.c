/*
 * Series that leave memory and come back under new ids, each case by itself (t_ids mixes them all).
 * Every read is told that it must wait, as on file systems that cannot tell what is in memory.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "core/model/tenant.h"
#include "storage/back/back.h"
#include "storage/read/select.h"
#include "storage/store_priv.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define MANY     700u /* more than a unit has room for */
#define MINUTE   INT64_C(60000)
#define T0       (INT64_C(1700000000000) / SAMPLE_RANGE_MS * SAMPLE_RANGE_MS)
#define ANSWER_S 20u

static struct arena arena;
static struct labels names[MANY], awake;
static struct storetest st;
static char *dir;
static int64_t at_min; /* the clock, in minutes after T0 */
static bool all_well;  /* writes and flushes of this case */

static bool no_descriptors; /* for files of samples, now */

static enum err blind_read(struct fsio_file *f, void *data, size_t len, uint64_t off, bool nowait)
{
	if (!nowait && __atomic_load_n(&no_descriptors, __ATOMIC_ACQUIRE) &&
	    strstr(fsio_file_path(f), ".kcf"))
		return ERR_NOFILES;
	return nowait ? ERR_AGAIN : fsio_real.read_at(f, data, len, off, nowait);
}

/* ---- the store and its time ---- */

static bool merges = true;

static void begin(int64_t retention_min, int64_t window_min)
{
	dir = testlib_tmpdir("returns");
	/* at the beginning of a range of files */
	clock_fake_advance(SAMPLE_RANGE_MS - (clock_wall_ms() - T0) % SAMPLE_RANGE_MS);
	at_min = (clock_wall_ms() - T0) / MINUTE;
	storetest_init(&st, dir);
	st.opts.shards = 1;
	st.opts.round_every_ms = 24 * 60 * MINUTE;
	st.opts.retention_ms = retention_min * MINUTE;
	st.opts.ooo_window_ms = window_min * MINUTE;
	st.opts.log_segment_bytes = 256 << 10;
	if (!merges) /* no look at what can be merged comes before the store is closed */
		st.opts.seal_every_ms = 365 * 24 * 60 * MINUTE;
	all_well = !storetest_open(&st, 1);
}

static void restart(void)
{
	storetest_close(&st);
	all_well &= !storetest_open(&st, 1);
}

static void end(void)
{
	storetest_close(&st);
	testlib_rmtree(dir);
	free(dir);
}

static void pass(int64_t minutes)
{
	storetest_advance(&st, minutes * MINUTE);
	at_min += minutes;
}

static void put_from(unsigned from, unsigned count, int64_t minute, double v)
{
	static struct storetest_row rows[MANY];
	for (unsigned i = from; i < from + count; i++)
		rows[i - from] =
		    (struct storetest_row){ .labels = names[i], .t_ms = T0 + minute * MINUTE, .v = v };
	struct storetest_verdict got = storetest_write(&st, 0, rows, count);
	all_well &= !got.err && !got.refused;
}

static void put(unsigned count, int64_t minute, double v)
{
	put_from(0, count, minute, v);
}

static void put_awake(void)
{
	struct storetest_row row = { .labels = awake, .t_ms = T0 + at_min * MINUTE, .v = 1 };
	struct storetest_verdict got = storetest_write(&st, 0, &row, 1);
	all_well &= !got.err && !got.refused;
}

static void flush(void);

/* The log goes on, with rows of the one that never sleeps, until its segments of now are gone. */
static void log_goes_on(void)
{
	static struct storetest_row rows[5000];
	static unsigned turn;
	for (unsigned n = 0; n < 12; n++, turn++) {
		for (unsigned k = 0; k < COUNT_OF(rows); k++)
			rows[k] = (struct storetest_row){ .labels = awake,
				.t_ms = T0 + at_min * MINUTE + k,
				.v = turn * 0.1 + k };
		struct storetest_verdict got = storetest_write(&st, 0, rows, COUNT_OF(rows));
		all_well &= !got.err && !got.refused;
		flush();
	}
}

static void flush(void)
{
	all_well &= !storetest_flush(&st);
}

static bool is_drained(void *arg)
{
	const struct back *b = back_of(st.store->shards[0]);
	(void)arg;
	return list_empty(&b->feed) && !round_busy(b);
}

/* All but one are silent for minutes, long enough to leave memory with the last of the rounds. */
static void silence(int64_t minutes)
{
	for (unsigned k = 0; k < 4; k++) {
		pass(minutes / 4);
		put_awake();
		flush();
		all_well &= testteam_wait(&st.tt, 0, is_drained, NULL, TESTTEAM_LONG_MS);
	}
}

static uint64_t evicted(void)
{
	return metric_sum(M_SERIES_EVICTED);
}

static unsigned rounds;

static void round_done(void *arg, enum err err)
{
	(void)arg;
	all_well &= !err;
	rounds++;
}

static void round_ask(void *arg)
{
	(void)arg;
	back_round(st.store->shards[0], true, round_done, NULL);
}

static bool round_is_done(void *arg)
{
	return rounds == *(unsigned *)arg;
}

static void round_run(void)
{
	unsigned want = rounds + 1;
	testteam_run(&st.tt, 0, round_ask, NULL);
	all_well &= testteam_wait(&st.tt, 0, round_is_done, &want, TESTTEAM_LONG_MS);
}

/* ---- one query ---- */

struct walk {
	struct source_query query;
	struct source_cursor *cursor;
	unsigned calls, budget; /* of next() */
	unsigned items;
	bool waits; /* the last call said so */
	bool ended, failed;
	unsigned series[MANY], samples[MANY], strange;
	double last[MANY];
};
static struct walk walk;

static void no_wake(void *arg)
{
	(void)arg;
}

static void take(struct walk *w, const struct source_item *it)
{
	unsigned i = 0;
	while (i < MANY && !label_equal(names[i], it->labels))
		i++;
	if (i == MANY) {
		w->strange += !label_equal(awake, it->labels);
		return;
	}
	w->series[i]++;
	w->samples[i] += it->col.count;
	if (it->col.count)
		w->last[i] = it->col.v[it->col.count - 1];
}

static void walk_turn(void *arg)
{
	struct walk *w = arg;
	struct source *src = store_source(st.store);
	struct source_item it = { 0 }; /* not all of it is told by all kinds of queries */
	if (!w->cursor && src->ops->open(src, 0, &w->query, &w->cursor))
		w->failed = w->ended = true;
	while (!w->ended && w->calls < w->budget) {
		enum source_state state = w->cursor->ops->next(w->cursor, &it);
		w->calls++;
		w->waits = state == SOURCE_WAIT;
		if (w->waits)
			return;
		if (state == SOURCE_AGAIN)
			continue;
		w->ended = state != SOURCE_READY;
		w->items += !w->ended;
		w->failed |= state == SOURCE_ERROR;
		if (state == SOURCE_READY)
			take(w, &it);
	}
}

static void walk_close(void *arg)
{
	struct walk *w = arg;
	if (w->cursor)
		w->cursor->ops->close(w->cursor);
}

static void walk_begin(int64_t from_min, int64_t to_min)
{
	walk = (struct walk){ .query = { .what = SOURCE_SERIES_SAMPLES,
		                  .t_min_ms = T0 + from_min * MINUTE,
		                  .t_max_ms = T0 + to_min * MINUTE,
		                  .wake = no_wake } };
}

/* So many calls of next(), then it rests where it is. */
static void walk_on(unsigned calls)
{
	uint64_t end_ns = clock_real_mono_ns() + ANSWER_S * UINT64_C(1000000000);
	walk.budget = calls == UINT32_MAX ? calls : walk.calls + calls;
	while (!walk.ended && walk.calls < walk.budget && clock_real_mono_ns() < end_ns) {
		testteam_run(&st.tt, 0, walk_turn, &walk);
		usleep(20);
	}
}

/* To the end: each of the first count series once, with so many samples. */
static bool walk_whole(unsigned count, unsigned samples)
{
	unsigned wrong = 0;
	walk_on(UINT32_MAX);
	testteam_run(&st.tt, 0, walk_close, &walk);
	for (unsigned i = 0; i < count; i++)
		wrong += walk.series[i] != 1 || walk.samples[i] != samples;
	if (wrong || !walk.ended || walk.failed || walk.strange)
		tap_note("%u of %u wrong; the first: %u times, %u samples; %s, %u strange", wrong,
		    count, walk.series[0], walk.samples[0],
		    !walk.ended       ? "no answer"
		        : walk.failed ? "an error"
		                      : "an answer",
		    walk.strange);
	return all_well && !wrong && walk.ended && !walk.failed && !walk.strange;
}

/* ---- cases ---- */

static void two_units_of_one_file(void)
{
	begin(30 * 24 * 60, 60);
	int64_t start = at_min;
	pass(1);
	put(MANY, at_min, 1);
	put_awake();
	flush();
	uint64_t before = evicted();
	silence(80);
	put(MANY, at_min, 2);
	flush();
	tap_ok(all_well && evicted() - before == MANY && st.store->shards[0]->files_count == 1,
	    "%u series left memory and came back within the range of one file", MANY);
	walk_begin(start, at_min);
	tap_ok(walk_whole(MANY, 2), "two ids of one label set in two units of one file are read");
	end();
}

/* A query rests somewhere, all its series leave memory and come back, it goes on. */
static void leave_and_return(void (*rest)(unsigned n), unsigned n, const char *where)
{
	int64_t start = at_min;
	pass(1);
	put(MANY, at_min, 1);
	put_awake();
	flush();
	silence(120);
	put(MANY, at_min, 2); /* under new ids */
	put_awake();
	flush();
	uint64_t before = evicted();
	for (unsigned k = 0; k < 3; k++) {
		pass(22);
		put_awake();
		flush();
	}
	walk_begin(start, at_min + 60);
	rest(n);
	bool none = evicted() == before;
	pass(22);
	put_awake();
	flush();
	bool left = evicted() - before == MANY;
	put(MANY, at_min, 3); /* back again: may be in the answer or not */
	walk_on(UINT32_MAX);
	for (unsigned i = 0; i < MANY; i++)
		if (walk.samples[i] == 3 && walk.last[i] == 3)
			walk.samples[i] = 2;
	bool whole = walk_whole(MANY, 2);
	tap_ok(none && left && whole, "series with older ids leave memory beside a query: %s %u",
	    where, n);
	silence(160);
}

static void rest_after_calls(unsigned n)
{
	walk_on(n);
}

/* Where it waits for the disk, or for the catalog. */
static void rest_waiting(unsigned items)
{
	do
		walk_on(1);
	while (!walk.ended && (walk.items < items || !walk.waits));
}

static void leaves_beside_a_query(void)
{
	static const unsigned calls[] = { 0, 1, 2, 3, 5, 100 };
	static const unsigned items[] = { 0, 1, 100, 300, 480 };
	begin(30 * 24 * 60, 60);
	for (unsigned k = 0; k < COUNT_OF(calls); k++)
		leave_and_return(rest_after_calls, calls[k], "calls of next()");
	for (unsigned k = 0; k < COUNT_OF(items); k++)
		leave_and_return(rest_waiting, items[k], "waiting, after items");
	end();
}

/* A call of next() ends after some series that have nothing to give, wherever that is. */
static void leaves_between_series(void)
{
	const unsigned nothing = 300;
	unsigned wrong = 0;
	merges = false; /* a merged file would have something of all of them */
	begin(30 * 24 * 60, 60);
	merges = true;
	pass(1);
	put(MANY, at_min, 1);
	put_awake();
	flush();
	pass(120);
	int64_t second = at_min;
	put_from(nothing, MANY - nothing, second, 2);
	put_awake();
	flush();
	pass(72);
	put_awake();
	flush();
	walk_begin(second, second + 100);
	walk.query.what = SOURCE_SERIES;
	walk_on(1);
	bool rests = !walk.items && !walk.ended;
	uint64_t before = evicted();
	for (unsigned k = 0; k < 3; k++) {
		pass(2);
		put_awake();
		flush();
	}
	bool left = evicted() - before == MANY;
	for (unsigned i = MANY; i--;) /* others take the memory of their labels */
		put_from(i, 1, at_min, 3);
	walk_on(UINT32_MAX);
	testteam_run(&st.tt, 0, walk_close, &walk);
	for (unsigned i = nothing; i < MANY; i++)
		wrong += walk.series[i] != 1;
	tap_ok(all_well && rests && left && walk.ended && !wrong && !walk.strange,
	    "series leave memory where a query rests between them: %u wrong", wrong + walk.strange);
	end();
}

static void shadowed_after_a_restart(void)
{
	begin(30 * 24 * 60, 60);
	int64_t start = at_min;
	pass(1);
	put(20, at_min, 1);
	put_awake();
	flush();
	silence(100);
	put(20, at_min, 2);
	for (unsigned n = 0; n < 2; n++) {
		restart();
		walk_begin(start, at_min);
		tap_ok(walk_whole(20, 2),
		    "after restart %u each series is there once, with the samples of both its ids",
		    n + 1);
	}
	put(20, at_min + 1, 3);
	walk_begin(start, at_min + 1);
	tap_ok(walk_whole(20, 3) && walk.last[0] == 3, "new rows go to the newest id");
	end();
}

/*
 * Of two ids of one label set the newer one has the older samples. own: the window is a row of the
 * tenant, wider than that of the server.
 */
static void restart_takes_the_highest_id(bool own)
{
	struct tenant_row row = { .name = "default",
		.own = UINT64_C(1) << TENANT_LIMIT_out_of_order_window_ms,
		.limits.out_of_order_window_ms = 240 * MINUTE };
	struct tenants *t = NULL;
	begin(30 * 24 * 60, own ? 60 : 240);
	if (own && !TAP_OK(!tenants_create(&t, NULL, &row, 1, NULL)))
		exit(1);
	if (t)
		tenants_set_id(t, 0, TENANT_DEFAULT);
	storetest_tenants(&st, t);
	int64_t start = at_min;
	pass(125);
	put(5, at_min, 1);
	put_awake();
	flush();
	silence(100);
	put(5, start + 100, 2);
	flush();
	log_goes_on();
	restart();
	storetest_tenants(&st, t);
	put(5, start + 100, 3);
	walk_begin(start, start + 124);
	tap_ok(walk_whole(5, 1) && walk.last[0] == 3,
	    "an overwrite after a restart is what is read, %s",
	    own ? "in a tenant's window" : "in the server's window");
	storetest_tenants(&st, NULL);
	end();
	tenants_free(t);
}

/* ---- a read that fails for now ---- */

static void fails_for_now(void)
{
	begin(30 * 24 * 60, 60);
	int64_t start = at_min;
	pass(1);
	put(10, at_min, 1);
	put_awake();
	flush();
	__atomic_store_n(&no_descriptors, true, __ATOMIC_RELEASE);
	walk_begin(start, at_min);
	walk_on(UINT32_MAX);
	tap_ok(walk.failed && walk.cursor->err == ERR_NOFILES && !walk.items &&
	        !walk.cursor->warnings_count,
	    "a query that finds no descriptor fails: %s", walk.cursor->eb.text);
	testteam_run(&st.tt, 0, walk_close, &walk);
	__atomic_store_n(&no_descriptors, false, __ATOMIC_RELEASE);
	walk_begin(start, at_min);
	tap_ok(walk_whole(10, 1), "the next one finds everything");
	end();
}

/* ---- more files than units may be loaded ---- */

static void more_files_than_units(void)
{
	enum {
		RANGES = 2 * SELECT_UNITS_MAX / 3
	};
	static struct storetest_row rows[2 * RANGES];
	merges = false;
	begin(2 * RANGES * 120, 2 * RANGES * 120);
	merges = true;
	pass(RANGES * 120 + 1);
	for (unsigned k = 0; k < 2; k++) { /* two ids of one label set, interleaved */
		for (unsigned i = 0; i < 2 * RANGES; i++)
			rows[i] = (struct storetest_row){ .labels = i % 2 ? names[0] : names[1],
				.t_ms = T0 + (at_min - 120 * (RANGES - i / 2) + k) * MINUTE,
				.v = i };
		struct storetest_verdict got = storetest_write(&st, 0, rows, 2 * RANGES);
		all_well &= !got.err && !got.refused;
		put_awake();
		round_run();
		if (k)
			break;
		for (unsigned n = 0; n < 4; n++) {
			pass(30);
			put_awake();
			round_run();
		}
		all_well &= testteam_wait(&st.tt, 0, is_drained, NULL, TESTTEAM_LONG_MS);
	}
	unsigned files = st.store->shards[0]->files_count;
	walk_begin(0, at_min);
	tap_ok(files > SELECT_UNITS_MAX && walk_whole(2, 2 * RANGES),
	    "%u files are read with at most %u units loaded", files, SELECT_UNITS_MAX);
	end();
}

/* ---- the catalog comes late ---- */

struct hold {
	struct work_task task;
	bool go;
};

static void hold_run(struct work_task *t)
{
	struct hold *h = CONTAINER_OF(t, struct hold, task);
	while (!__atomic_load_n(&h->go, __ATOMIC_ACQUIRE))
		usleep(500);
}

static void hold_done(struct work_task *t)
{
	(void)t;
}

static void hold_begin(void *arg)
{
	struct hold *h = arg;
	h->task = (struct work_task){
		.run = hold_run, .done = hold_done, .lane = BACK_LANE_CATALOG, .prio = WORK_BACKGROUND
	};
	work_submit(st.tt.pool, &h->task);
}

static void catalog_comes_late(void)
{
	struct hold hold = { .go = false };
	begin(30 * 24 * 60, 60);
	pass(1);
	put(10, at_min, 1);
	put_awake();
	flush();
	pass(120);
	testteam_run(&st.tt, 0, hold_begin, &hold);
	int64_t second = at_min;
	put(10, second, 2);
	put_awake();
	round_run();
	for (unsigned n = 0; n < 5; n++) {
		pass(22);
		put_awake();
		round_run();
	}
	walk_begin(second, at_min);
	tap_ok(walk_whole(10, 1),
	    "series that fell silent are found in a range that the catalog does not know yet");
	__atomic_store_n(&hold.go, true, __ATOMIC_RELEASE);
	all_well &= testteam_wait(&st.tt, 0, is_drained, NULL, TESTTEAM_LONG_MS);
	uint64_t before = evicted();
	pass(10);
	put_awake();
	round_run();
	walk_begin(second, at_min);
	tap_ok(walk_whole(10, 1) && evicted() - before == 10, "they leave when it knows");
	end();
}

/* ---- the log defines what retention has taken ---- */

static void defined_by_the_log_alone(void)
{
	begin(5 * 60, 60);
	pass(1);
	put(10, at_min, 1);
	put_awake();
	flush();
	silence(100);
	silence(400); /* their file is gone, the log still has their definitions */
	restart();
	int64_t second = at_min;
	put(10, second, 2);
	put_awake();
	flush();
	log_goes_on(); /* ... and now it has not */
	restart();
	walk_begin(second, second);
	tap_ok(walk_whole(10, 1), "series whose old files are gone are found after two restarts");
	end();
}

/* ---- memory full of labels ---- */

static struct memory {
	enum share_fill fill;
	uint64_t bytes;
} memory;

static void memory_here(void *arg)
{
	const struct share *sh = st.store->shares[0];
	(void)arg;
	memory = (struct memory){ .fill = share_fill(sh), .bytes = share_head_bytes(sh) };
}

static struct memory memory_now(void)
{
	testteam_run(&st.tt, 0, memory_here, NULL);
	return memory;
}

/* Large enough that what they take is no matter of how memory is cut. */
static void put_large(unsigned count, double v)
{
	static struct labels large[MANY];
	static struct storetest_row rows[MANY];
	char text[2048];
	for (unsigned i = 0; i < count; i++) {
		snprintf(text, sizeof text, "%02000u", i);
		if (!large[i].len)
			large[i] = label_make(&arena, "__name__", "large", "text", text, NULL);
		rows[i] =
		    (struct storetest_row){ .labels = large[i], .t_ms = T0 + at_min * MINUTE, .v = v };
	}
	struct storetest_verdict got = storetest_write(&st, 0, rows, count);
	all_well &= !got.err && !got.refused;
}

/*
 * Rounds in a row would give nothing back of it. What ended leaves within minutes then, and where
 * nothing is taken any more by rounds alone.
 */
static void memory_is_tight(void)
{
	begin(30 * 24 * 60, 30 * 24 * 60);
	put_large(MANY, 1);
	put_awake();
	flush();
	uint64_t all = memory_now().bytes;
	__atomic_store_n(&st.store->share_env.head_bytes_max, all + all / 12, __ATOMIC_RELEASE);
	put_large(MANY / 32, 2);
	uint64_t ran = metric_sum(M_ROUNDS), left = evicted();
	for (unsigned i = 0; i < 100; i++)
		put_awake();
	ran = metric_sum(M_ROUNDS) - ran;
	tap_ok(all_well && memory_now().fill == SHARE_IS_TIGHT && ran <= 1,
	    "tight memory: %llu rounds while 100 requests came", (unsigned long long)ran);
	flush();
	for (unsigned k = 0; k < 2; k++) {
		pass(6);
		put_awake();
		flush();
		tap_ok((evicted() - left != 0) == k, "%u minutes later: %llu series have left",
		    6 * (k + 1), (unsigned long long)(evicted() - left));
	}
	tap_ok(all_well && memory_now().fill != SHARE_IS_OVER, "and there is room again");
	put_large(MANY, 3);
	all = memory_now().bytes;
	__atomic_store_n(&st.store->share_env.head_bytes_max, all / 2, __ATOMIC_RELEASE);
	struct storetest_row row = { .labels = awake, .t_ms = T0 + at_min * MINUTE, .v = 2 };
	struct storetest_verdict got = storetest_write(&st, 0, &row, 1);
	left = evicted();
	for (unsigned k = 0; k < 6; k++) { /* senders ask in vain: that is what has the rounds */
		storetest_advance(&st, 11000);
		(void)storetest_write(&st, 0, &row, 1);
		all_well &= testteam_wait(&st.tt, 0, is_drained, NULL, TESTTEAM_LONG_MS);
	}
	tap_ok(all_well && got.err == ERR_BUSY && evicted() > left &&
	        (memory_now().fill != SHARE_IS_OVER || !store_series(st.store)),
	    "over its part nothing is taken, and who waits leaves by rounds alone: %llu",
	    (unsigned long long)(evicted() - left));
	end();
}

int main(void)
{
	struct fsio_ops ops = fsio_real;
	ops.read_at = blind_read;
	/* syncs cost nothing there, and are not what this is about */
	if (!access("/dev/shm", W_OK))
		setenv("TMPDIR", "/dev/shm", 0);
	log_setup(getenv("KYMO_IDS_LOG") ? LOG_LEVEL_INFO : LOG_LEVEL_NONE, false);
	arena_init(&arena, 1 << 16);
	storetest_names(&arena, "returns", names, MANY);
	awake = label_make(&arena, "__name__", "awake", NULL);
	fsio_hook(&ops);
	clock_fake(T0);
	two_units_of_one_file();
	leaves_beside_a_query();
	leaves_between_series();
	shadowed_after_a_restart();
	restart_takes_the_highest_id(false);
	restart_takes_the_highest_id(true);
	fails_for_now();
	more_files_than_units();
	catalog_comes_late();
	defined_by_the_log_alone();
	memory_is_tight();
	fsio_hook(NULL);
	arena_release(&arena);
	return tap_done();
}
