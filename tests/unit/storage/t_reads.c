/*
 * Readers beside everything else: while rows come in, rounds and merges run, every acknowledged
 * sample is visible at all times, once, with its value. A series that leaves memory while a cursor
 * is open is not left out.
 *
 * KYMO_READS_MS (3000) is how long the readers run.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define SERIES  60
#define SLOTS   3000
#define STEP    15000
#define READERS 2
/* slots by which every third series is behind: late rows and overwrites reach into files */
#define LAG     30
#define MEMBERS 500
#define T0      INT64_C(1700000000000)
#define MINUTE  INT64_C(60000)

static struct arena arena;
static struct labels names[MEMBERS];
static int64_t base_ms;

static double value_of(unsigned series, unsigned slot)
{
	return series * 100000.0 + slot;
}

/* ---- readers beside writes, rounds and merges ---- */

static unsigned acked; /* slots below are acknowledged, of lagging series those below acked - LAG */
static bool stop;

struct reader {
	struct storetest *s;
	pthread_t thread;
	unsigned reads, missing, wrong, errors;
	bool there[SERIES][SLOTS];
};

static void take(void *arg, struct labels ls, const struct sample_column *col)
{
	struct reader *r = arg;
	unsigned i = 0;
	while (i < SERIES && !label_equal(names[i], ls))
		i++;
	for (uint32_t k = 0; k < col->count; k++) {
		int64_t slot = (col->t_ms[k] - base_ms) / STEP;
		if (i == SERIES || slot < 0 || slot >= SLOTS || r->there[i][slot] ||
		    col->v[k] != value_of(i, (unsigned)slot)) {
			r->wrong++;
			continue;
		}
		r->there[i][slot] = true;
	}
}

static void *reader_main(void *arg)
{
	struct reader *r = arg;
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		unsigned upto = __atomic_load_n(&acked, __ATOMIC_ACQUIRE);
		memset(r->there, 0, sizeof(r->there));
		r->errors += storetest_read(
		                 r->s, NULL, 0, base_ms, base_ms + SLOTS * STEP, take, r) != ERR_OK;
		for (unsigned i = 0; i < SERIES; i++) {
			unsigned end = i % 3 ? upto : upto > LAG ? upto - LAG : 0;
			for (unsigned k = 0; k < end; k++)
				r->missing += !r->there[i][k];
		}
		r->reads++;
	}
	return NULL;
}

static bool write_slot(struct storetest *s, unsigned slot)
{
	struct storetest_row rows[2 * SERIES];
	size_t n = 0;
	for (unsigned i = 0; i < SERIES; i++) {
		if (i % 3 == 0 && slot < LAG)
			continue;
		unsigned at = i % 3 ? slot : slot - LAG;
		rows[n++] = (struct storetest_row){ .labels = names[i],
			.t_ms = base_ms + (int64_t)at * STEP,
			.v = value_of(i, at) };
		if (i % 7 || at < 2 * LAG)
			continue;
		at -= 2 * LAG; /* once more, late: perhaps into a file of its own */
		rows[n++] = (struct storetest_row){ .labels = names[i],
			.t_ms = base_ms + (int64_t)at * STEP,
			.v = value_of(i, at) };
	}
	struct storetest_verdict v = storetest_write(s, slot % 2, rows, n);
	return !v.err && !v.refused;
}

static void readers_beside(void)
{
	static struct reader readers[READERS];
	struct storetest s;
	const char *text = getenv("KYMO_READS_MS");
	uint64_t end_ns = clock_real_mono_ns() + (text ? strtoull(text, NULL, 10) : 3000u) * 1000000u;
	char *dir = testlib_tmpdir("reads");
	base_ms = clock_wall_ms() - SLOTS * STEP;
	base_ms -= base_ms % STEP;
	storetest_init(&s, dir);
	s.opts.shards = 3;
	s.opts.round_every_ms = 30;
	if (!tap_ok(!storetest_open(&s, 2), "opens"))
		return;
	for (unsigned i = 0; i < READERS; i++) {
		readers[i].s = &s;
		if (pthread_create(&readers[i].thread, NULL, reader_main, &readers[i]))
			exit(99);
	}
	unsigned slot = 0, refused = 0, flushes = 0;
	for (; slot < SLOTS && clock_real_mono_ns() < end_ns; slot++) {
		refused += !write_slot(&s, slot);
		__atomic_store_n(&acked, slot + 1, __ATOMIC_RELEASE);
		if (slot % 40 == 39 && !storetest_flush(&s))
			flushes++;
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < READERS; i++) {
		pthread_join(readers[i].thread, NULL);
		const struct reader *r = &readers[i];
		tap_ok(r->reads > 3 && !r->missing && !r->wrong && !r->errors,
		    "reader %u: %u reads beside %u requests and %u flushes: %u samples missing, %u wrong or twice, %u errors",
		    i, r->reads, slot, flushes, r->missing, r->wrong, r->errors);
	}
	tap_ok(!refused, "all requests are taken");
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

/* ---- a series leaves memory while a cursor is open ---- */

struct walk {
	struct source *source;
	struct source_query query;
	struct source_cursor *cursor;
	unsigned given[MEMBERS], strange, steps;
	unsigned want_steps; /* of SOURCE_WAIT and items, then it pauses */
	bool ended, failed;
};

static void no_wake(void *arg)
{
	(void)arg;
}

static void walk_some(void *arg)
{
	struct walk *w = arg;
	struct source_item it;
	if (!w->cursor && w->source->ops->open(w->source, 0, &w->query, &w->cursor)) {
		w->failed = w->ended = true;
		return;
	}
	while (!w->ended && w->steps < w->want_steps) {
		enum source_state st = w->cursor->ops->next(w->cursor, &it);
		w->steps++;
		if (st == SOURCE_WAIT)
			return;
		if (st == SOURCE_AGAIN)
			continue;
		w->failed |= st == SOURCE_ERROR;
		w->ended = st != SOURCE_READY;
		if (w->ended)
			break;
		unsigned i = 0;
		while (i < MEMBERS && !label_equal(names[i], it.labels))
			i++;
		if (i == MEMBERS)
			w->strange++;
		else
			w->given[i]++;
	}
}

static void walk_close(void *arg)
{
	struct walk *w = arg;
	if (w->cursor)
		w->cursor->ops->close(w->cursor);
}

static void fill(struct storetest *s, unsigned from, int64_t t_ms)
{
	struct storetest_row rows[MEMBERS];
	size_t n = 0;
	for (unsigned i = from; i < MEMBERS; i++)
		rows[n++] = (struct storetest_row){ .labels = names[i], .t_ms = t_ms, .v = i };
	struct storetest_verdict v = storetest_write(s, 0, rows, n);
	if (v.err || v.refused)
		tap_note("write: %s, %llu refused", err_text(v.err), (unsigned long long)v.refused);
}

/*
 * A call of next() ends behind so many series that give nothing: the one behind those leaves then.
 */
static void leaving_at_the_border(void)
{
	enum {
		SILENT = 300,
		ALL = 400
	};
	struct storetest s;
	struct storetest_row rows[ALL], pace = { .labels = names[MEMBERS - 1] };
	char *dir = testlib_tmpdir("border");
	int64_t now = clock_wall_ms();
	storetest_init(&s, dir);
	s.opts.shards = 1;
	s.opts.evict_idle_ms = 1;
	if (!tap_ok(!storetest_open(&s, 1), "opens"))
		return;
	for (unsigned i = 0; i < ALL; i++)
		rows[i] = (struct storetest_row){ .labels = names[i],
			.t_ms = i < SILENT ? now - 10 * MINUTE : now - MINUTE };
	storetest_write(&s, 0, rows, ALL);
	struct walk w = { .source = store_source(s.store), .want_steps = 1 };
	w.query = (struct source_query){
		.what = SOURCE_SERIES, .t_min_ms = now - 2 * MINUTE, .t_max_ms = now, .wake = no_wake
	};
	for (unsigned k = 0; k < 2; k++)
		testteam_run(&s.tt, 0, walk_some, &w);
	bool flushed = true, rests = w.steps == 1 && !w.given[SILENT];
	uint64_t before = metric_sum(M_SERIES_EVICTED);
	for (unsigned k = 0; k < 8; k++) {
		pace.t_ms = now + k;
		storetest_write(&s, 0, &pace, 1);
		flushed &= !storetest_flush(&s);
		usleep(10000);
	}
	uint64_t evicted = metric_sum(M_SERIES_EVICTED) - before;
	w.want_steps = 1000000;
	for (unsigned k = 0; k < 600000 && !w.ended; k++) {
		testteam_run(&s.tt, 0, walk_some, &w);
		if (!w.ended)
			usleep(1000);
	}
	testteam_run(&s.tt, 0, walk_close, &w);
	unsigned wrong = w.strange;
	for (unsigned i = 0; i < ALL; i++)
		/* the silent ones are in a file that overlaps the range, by now */
		wrong += i < SILENT ? w.given[i] > 1 : w.given[i] != 1;
	tap_ok(flushed && rests && evicted == ALL && w.ended && !w.failed && !wrong,
	    "%llu series leave memory while a cursor rests before one of them: %u wrong, %u strange",
	    (unsigned long long)evicted, wrong, w.strange);
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

static void leaving(void)
{
	struct storetest s;
	char *dir = testlib_tmpdir("leaving");
	clock_fake(T0);
	storetest_init(&s, dir);
	s.opts.round_every_ms =
	    1000 * MINUTE; /* rounds are flushes alone: series are idle as often as told */
	s.opts.shards = 1;
	if (!tap_ok(!storetest_open(&s, 1), "opens with a clock of its own"))
		return;
	int64_t t = T0;
	fill(&s, 0, t);
	bool flushed = !storetest_flush(&s);
	for (unsigned k = 0; k < 2; k++) { /* all but ten fall silent */
		storetest_advance(&s, 50 * MINUTE);
		t += 50 * MINUTE;
		fill(&s, MEMBERS - 10, t);
		flushed &= !storetest_flush(&s);
	}
	uint64_t before = metric_sum(M_SERIES_EVICTED);
	struct walk w = { .source = store_source(s.store), .want_steps = 40 };
	w.query = (struct source_query){ .what = SOURCE_SERIES_SAMPLES,
		.t_min_ms = T0 - MINUTE,
		.t_max_ms = t + MINUTE,
		.wake = no_wake };
	for (unsigned k = 0; k < 1000 && w.steps < w.want_steps && !w.ended; k++)
		testteam_run(&s.tt, 0, walk_some, &w);
	for (unsigned k = 0; k < 3; k++) {
		storetest_advance(&s, 10 * MINUTE);
		t += 10 * MINUTE;
		fill(&s, MEMBERS - 10, t);
		flushed &= !storetest_flush(&s);
		storetest_advance(&s, 1000);
	}
	uint64_t evicted = metric_sum(M_SERIES_EVICTED) - before;
	bool half = !w.ended;
	w.want_steps = 1000000;
	for (unsigned k = 0; k < 600000 && !w.ended; k++) {
		testteam_run(&s.tt, 0, walk_some, &w);
		if (!w.ended)
			usleep(1000);
	}
	testteam_run(&s.tt, 0, walk_close, &w);
	unsigned missing = 0, twice = 0;
	for (unsigned i = 0; i < MEMBERS; i++) {
		missing += !w.given[i];
		twice += w.given[i] > 1;
	}
	tap_ok(flushed && half && evicted >= MEMBERS / 2,
	    "%llu series left memory while the cursor stood in their midst",
	    (unsigned long long)evicted);
	tap_ok(w.ended && !w.failed && !missing && !twice && !w.strange,
	    "the cursor gives all of them: %u missing, %u twice, %u strange", missing, twice,
	    w.strange);
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

/* ---- one series with very many samples in one range: many units of one file ---- */

#define GIANT 1200000

/*
 * A file system that cannot tell what is in memory. The hook stands from before the threads start.
 */
static bool is_blind;

static enum err blind_read(struct fsio_file *f, void *data, size_t len, uint64_t off, bool nowait)
{
	if (nowait && __atomic_load_n(&is_blind, __ATOMIC_ACQUIRE))
		return ERR_AGAIN;
	return fsio_real.read_at(f, data, len, off, nowait);
}

static void blind(bool on)
{
	__atomic_store_n(&is_blind, on, __ATOMIC_RELEASE);
}

/* Values that no encoding makes small. */
static double noise(unsigned k)
{
	uint64_t x = (k + 1) * UINT64_C(0x9e3779b97f4a7c15);
	x ^= x >> 29;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	return (double)(int64_t)(x ^ x >> 32) / 3;
}

static unsigned giant_found, giant_wrong;
static int64_t giant_from;

static void giant_take(void *arg, struct labels ls, const struct sample_column *col)
{
	(void)arg;
	(void)ls;
	for (uint32_t k = 0; k < col->count; k++)
		giant_wrong += col->t_ms[k] != giant_from + k || col->v[k] != noise(k);
	giant_found += col->count;
}

static void giant(void)
{
	struct storetest s;
	static struct storetest_row rows[20000];
	char *dir = testlib_tmpdir("giant");
	giant_from = clock_wall_ms() / SAMPLE_RANGE_MS * SAMPLE_RANGE_MS - SAMPLE_RANGE_MS;
	storetest_init(&s, dir);
	s.opts.shards = 1;
	s.opts.log_segment_bytes = 4 << 20;
	struct fsio_ops ops = fsio_real;
	ops.read_at = blind_read;
	fsio_hook(&ops);
	if (!tap_ok(!storetest_open(&s, 1), "opens for a giant"))
		return;
	unsigned refused = 0;
	for (unsigned at = 0; at < GIANT; at += COUNT_OF(rows)) {
		for (unsigned k = 0; k < COUNT_OF(rows); k++)
			rows[k] = (struct storetest_row){
				.labels = names[0], .t_ms = giant_from + at + k, .v = noise(at + k)
			};
		struct storetest_verdict v = storetest_write(&s, 0, rows, COUNT_OF(rows));
		refused += v.err || v.refused;
	}
	for (unsigned round = 0; round < 3; round++) {
		giant_found = giant_wrong = 0;
		if (round == 1 && storetest_flush(&s))
			refused++;
		if (round == 2)
			blind(true);
		enum err e = storetest_read(
		    &s, NULL, 0, giant_from, giant_from + SAMPLE_RANGE_MS, giant_take, NULL);
		blind(false);
		tap_ok(!e && !refused && giant_found == GIANT && !giant_wrong,
		    "%u samples of one series in one range, %s: %u found, %u wrong", GIANT,
		    round == 0       ? "from memory"
		        : round == 1 ? "from files"
		                     : "from files on a disk where every read is one for a worker",
		    giant_found, giant_wrong);
	}
	storetest_close(&s);
	fsio_hook(NULL);
	testlib_rmtree(dir);
	free(dir);
}

int main(void)
{
	log_setup(LOG_LEVEL_NONE, false);
	arena_init(&arena, 1 << 14);
	storetest_names(&arena, "reads_total", names, MEMBERS);
	readers_beside();
	giant();
	leaving_at_the_border();
	leaving();
	arena_release(&arena);
	return tap_done();
}
