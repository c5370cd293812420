/* Rounds, merges, retention, returning series and restarts against a plain model. */
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/metric.h"
#include "storage/back/back.h"
#include "storage/compact/plan.h"
#include "storage/store_priv.h"
#include "tests/lib/fault.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define SERIES 60
#define SLOTS  2000

static struct arena arena;
static struct labels names[SERIES];
static double model[SERIES][SLOTS]; /* NaN with these bits: nothing */
#define NOTHING 0x7ff8aaaa00000001u
static int64_t base_ms, step_ms = 15000;
static uint64_t rng = 88172645463325252u;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 33) % n;
}

static void model_clear(void)
{
	for (unsigned i = 0; i < SERIES; i++) {
		for (unsigned k = 0; k < SLOTS; k++)
			model[i][k] = num_from_bits(NOTHING);
	}
}

struct compare {
	unsigned bad, found, seen[SERIES];
	unsigned from, to; /* slots */
};

static void compare_series(void *arg, struct labels ls, const struct sample_column *col)
{
	struct compare *c = arg;
	unsigned i = 0;
	while (i < SERIES && !label_equal(names[i], ls))
		i++;
	if (i == SERIES) {
		c->bad++;
		return;
	}
	c->seen[i]++;
	for (uint32_t k = 0; k < col->count; k++) {
		int64_t slot = (col->t_ms[k] - base_ms) / step_ms;
		double v;
		bool ok = storetest_value(col, k, &v) && slot >= 0 && slot < SLOTS &&
		    base_ms + slot * step_ms == col->t_ms[k] &&
		    num_bits(model[i][slot]) == num_bits(v) &&
		    (!k || col->t_ms[k] > col->t_ms[k - 1]);
		if (!ok && c->bad++ < 3)
			tap_note("series %u slot %lld: got %g, model %g", i, (long long)slot,
			    col->v[k], slot >= 0 && slot < SLOTS ? model[i][slot] : 0);
	}
	c->found += col->count;
}

static bool same(struct storetest *s, unsigned from, unsigned to, const char *what)
{
	struct compare c = { .from = from, .to = to };
	unsigned want = 0, twice = 0;
	enum err e = storetest_read(s, NULL, 0, base_ms + (int64_t)from * step_ms,
	    base_ms + (int64_t)to * step_ms, compare_series, &c);
	for (unsigned i = 0; i < SERIES; i++) {
		for (unsigned k = from; k <= to && k < SLOTS; k++)
			want += num_bits(model[i][k]) != NOTHING;
		twice += c.seen[i] > 1;
	}
	return tap_ok(!e && !c.bad && !twice && c.found == want,
	    "%s: %u of %u samples, %u wrong, %u series twice, err %s", what, c.found, want, c.bad,
	    twice, err_text(e));
}

static unsigned write_round(struct storetest *s, unsigned slot, unsigned loops, bool disorder)
{
	struct storetest_row rows[SERIES + 20];
	unsigned at[SERIES + 20][2], n = 0;
	for (unsigned i = 0; i < SERIES; i++) {
		if (rnd(10) == 0)
			continue;
		at[n][0] = i;
		at[n++][1] = slot;
	}
	for (unsigned k = 0; disorder && k < rnd(20); k++) {
		at[n][0] = rnd(SERIES);
		at[n++][1] = slot - rnd(slot > 200 ? 200 : slot + 1);
	}
	for (unsigned k = 0; k < n; k++) {
		double v = rnd(3) ? (double)slot : (double)rnd(1000000) / 7;
		rows[k] = (struct storetest_row){ .labels = names[at[k][0]],
			.t_ms = base_ms + (int64_t)at[k][1] * step_ms,
			.v = v };
		storetest_row_kind(&rows[k]);
		model[at[k][0]][at[k][1]] = v;
	}
	struct storetest_verdict v = storetest_write(s, rnd(loops), rows, n);
	return v.err || v.refused ? 1 : 0;
}

static uint64_t widest_ms; /* file ever */

struct width_look {
	const struct shard *shard;
	uint64_t width_ms;
};

static void width_look(void *arg)
{
	struct width_look *l = arg;
	l->width_ms = (uint64_t)l->shard->files_width_ms;
}

static void note_widest(struct storetest *s)
{
	for (unsigned j = 0; j < s->opts.shards; j++) {
		struct width_look l = { .shard = s->store->shards[j] };
		testteam_run(&s->tt, j % s->store->loops, width_look, &l);
		widest_ms = l.width_ms > widest_ms ? l.width_ms : widest_ms;
	}
}

static void begin_at(int64_t step)
{
	step_ms = step;
	base_ms = clock_wall_ms() - SLOTS * step_ms;
	base_ms -= base_ms % step_ms;
}

/* step: between two samples of a series; with a large one files of several days come to be. */
static void random_history(unsigned seed, unsigned loops, int64_t step)
{
	begin_at(step);
	char *dir = testlib_tmpdir("back");
	struct storetest s;
	storetest_init(&s, dir);
	s.opts.shards = 4;
	s.opts.round_every_ms = 40;
	model_clear();
	rng = 88172645463325252u + seed * 7919;
	if (!tap_ok(!storetest_open(&s, loops), "opens"))
		return;
	unsigned bad = 0;
	for (unsigned slot = 0; slot < 1200; slot++) {
		bad += write_round(&s, slot, loops, true);
		if (rnd(100) == 0 && storetest_flush(&s))
			bad++;
		if (rnd(150) == 0)
			same(&s, slot > 300 ? slot - rnd(300) : 0, slot, "in the middle");
		if (rnd(300) == 0) {
			storetest_close(&s);
			loops = 1 + rnd(3);
			if (!tap_ok(!storetest_open(&s, loops), "opens again with %u loops", loops))
				return;
			same(&s, 0, SLOTS, "after a restart");
		}
	}
	tap_ok(!bad, "every request is taken (%u not)", bad);
	note_widest(&s);
	same(&s, 0, SLOTS, "at the end");
	tap_ok(!storetest_flush(&s), "flush");
	same(&s, 0, SLOTS, "after a flush");
	storetest_close(&s);
	tap_ok(!storetest_open(&s, 1), "opens with one loop");
	same(&s, 0, SLOTS, "after the last restart");
	same(&s, 100, 103, "a narrow range");
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

static void count_one(void *arg, struct labels ls, const struct sample_column *col)
{
	(void)ls;
	*(unsigned *)arg += col->count == 1;
}

/*
 * Rounds follow one another while series are made without pause: what a round goes through grows
 * between its slices.
 */
static void series_during_rounds(void)
{
	enum {
		REQUESTS = 80,
		EACH = 2000
	};
	char *dir = testlib_tmpdir("back");
	struct storetest s;
	struct arena a;
	arena_init(&a, 1 << 20);
	storetest_init(&s, dir);
	s.opts.shards = 1;
	s.opts.round_every_ms = 1;
	if (!tap_ok(!storetest_open(&s, 1), "opens"))
		return;
	uint64_t rounds = metric_sum(M_ROUNDS);
	unsigned bad = 0;
	for (unsigned k = 0; k < REQUESTS; k++) {
		struct storetest_row rows[EACH];
		for (unsigned i = 0; i < EACH; i++) {
			char no[16];
			snprintf(no, sizeof(no), "%u", k * EACH + i);
			rows[i] = (struct storetest_row){ .labels = label_make(&a, "__name__",
				                              "made", "i", no, NULL),
				.t_ms = base_ms,
				.v = k };
		}
		struct storetest_verdict v = storetest_write(&s, 0, rows, EACH);
		if ((v.err || v.refused) && !bad++)
			printf("# request %u: err %d, refused %llu, %s\n", k, (int)v.err,
			    (unsigned long long)v.refused, v.text);
	}
	tap_is_u64(bad, 0, "series are made while rounds run");
	tap_ok(metric_sum(M_ROUNDS) > rounds + 2, "%llu rounds ran meanwhile",
	    (unsigned long long)(metric_sum(M_ROUNDS) - rounds));
	unsigned found = 0;
	for (unsigned again = 0; again < 2; again++) {
		found = 0;
		enum err e = storetest_read(&s, NULL, 0, base_ms, base_ms, count_one, &found);
		tap_ok(!e && found == REQUESTS * EACH, "%u series are found%s", found,
		    again ? " after a restart" : "");
		storetest_close(&s);
		if (!again && storetest_open(&s, 1))
			return;
	}
	arena_release(&a);
	testlib_rmtree(dir);
	free(dir);
}

/*
 * A round whose switch fails keeps what it froze until a switch succeeds, and the store may end in
 * between: then the log has it.
 */
static void switches_fail(void)
{
	char *dir = testlib_tmpdir("back");
	struct storetest s;
	fault_start(NULL);
	storetest_init(&s, dir);
	s.opts.shards = 2;
	s.opts.retry_ms = 20;
	model_clear();
	if (!tap_ok(!storetest_open(&s, 2), "opens"))
		return;
	unsigned slot = 0, bad = 0, failed = 0, retried = 0;
	for (; slot < 40; slot++) {
		bool fails = slot % 4 < 2;
		fault_set(FAULT_RENAME, "FILES", 1, fails ? UINT64_MAX : 0, ERR_IO);
		bad += write_round(&s, slot, 2, true);
		failed += fails && storetest_flush(&s);
		bad += write_round(&s, slot, 2, true);
		if (slot % 4 == 1)
			usleep(50000);
		retried += !fails && !storetest_flush(&s);
		if (slot % 7 == 0)
			same(&s, 0, SLOTS, "while switches fail");
	}
	tap_ok(!bad && failed == 20 && retried == 20,
	    "%u of 20 flushes fail, %u of 20 succeed, %u requests are not taken", failed, retried,
	    bad);
	same(&s, 0, SLOTS, "at the end");
	fault_set(FAULT_RENAME, "FILES", 1, UINT64_MAX, ERR_IO);
	bad = write_round(&s, slot, 2, true);
	tap_ok(!bad && storetest_flush(&s), "the last switch fails");
	storetest_close(&s);
	fault_stop();
	tap_ok(!storetest_open(&s, 1), "opens again");
	same(&s, 0, SLOTS, "after a switch that did not come");
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

/* ---- the end waits for reads that were given up ---- */

/* The next read that has to wait for the disk waits until it is let go. */
static struct {
	bool armed, let_go, fails;
	sem_t entered, go;
} held;

/* Whoever meets it while it is armed waits until it is let go. */
static void held_here(void)
{
	if (!__atomic_exchange_n(&held.armed, false, __ATOMIC_ACQ_REL))
		return;
	sem_post(&held.entered);
	while (sem_wait(&held.go)) {
	}
}

static enum err held_read(struct fsio_file *f, void *data, size_t len, uint64_t off, bool nowait)
{
	if (nowait && __atomic_load_n(&held.armed, __ATOMIC_ACQUIRE))
		return ERR_AGAIN;
	if (!nowait)
		held_here();
	return fsio_real.read_at(f, data, len, off, nowait);
}

struct given_up {
	struct source *source;
	struct source_query query;
	struct source_cursor *cursor;
};

static void no_wake(void *arg)
{
	(void)arg;
}

static void begin_to_read(void *arg)
{
	struct given_up *g = arg;
	struct source_item it;
	enum source_state st = SOURCE_WAIT;
	if (g->source->ops->open(g->source, 0, &g->query, &g->cursor))
		return;
	for (unsigned i = 0; i < 10 && (st == SOURCE_WAIT || st == SOURCE_AGAIN); i++)
		st = g->cursor->ops->next(g->cursor, &it);
}

static void give_up(void *arg)
{
	struct given_up *g = arg;
	g->cursor->ops->close(g->cursor);
}

static void *let_go_later(void *arg)
{
	usleep(200000);
	__atomic_store_n(&held.let_go, true, __ATOMIC_RELEASE);
	sem_post(&held.go);
	return arg;
}

/* A store with one row, whose calls of the disk are ops. */
static bool held_begin(struct storetest *s, const char *dir, const struct fsio_ops *ops)
{
	fsio_hook(ops);
	sem_init(&held.entered, 0, 0);
	sem_init(&held.go, 0, 0);
	held.let_go = false;
	storetest_init(s, dir);
	s->opts.shards = 1;
	if (!tap_ok(!storetest_open(s, 1), "opens"))
		return false;
	struct storetest_row row = { .labels = names[0], .t_ms = base_ms, .v = 1 };
	storetest_write(s, 0, &row, 1);
	return true;
}

static void held_arm(void)
{
	__atomic_store_n(&held.armed, true, __ATOMIC_RELEASE);
}

static void held_wait(void)
{
	while (sem_wait(&held.entered)) {
	}
}

/* Does the store end, and not before it was let go? */
static void held_end(struct storetest *s, char *take_dir, const char *what)
{
	pthread_t other;
	CHECK(!pthread_create(&other, NULL, let_go_later, NULL));
	store_close(s->store);
	tap_ok(__atomic_load_n(&held.let_go, __ATOMIC_ACQUIRE), "%s", what);
	pthread_join(other, NULL);
	testteam_stop(&s->tt);
	fsio_hook(NULL);
	testlib_rmtree(take_dir);
	free(take_dir);
}

static void end_under_a_read(void)
{
	char *dir = testlib_tmpdir("back");
	struct storetest s;
	struct fsio_ops ops = fsio_real;
	ops.read_at = held_read;
	if (!held_begin(&s, dir, &ops))
		return;
	tap_ok(!storetest_flush(&s), "a row stands in a file");
	struct given_up g = { .source = store_source(s.store),
		.query = { .t_min_ms = base_ms, .t_max_ms = base_ms, .wake = no_wake } };
	held_arm();
	testteam_run(&s.tt, 0, begin_to_read, &g);
	held_wait();
	testteam_run(&s.tt, 0, give_up, &g);
	held_end(&s, dir, "a store ends when the read of a closed cursor has come back");
}

/* ---- a round that fails while the store ends ---- */

static enum err held_sync(struct fsio_file *f)
{
	if (!strstr(fsio_file_path(f), ".kcf") || !__atomic_load_n(&held.fails, __ATOMIC_ACQUIRE))
		return fsio_real.sync(f);
	held_here();
	return ERR_IO;
}

static void begin_round(void *arg)
{
	back_round(arg, true, NULL, NULL);
}

static void end_under_a_failing_round(void)
{
	char *dir = testlib_tmpdir("back");
	struct storetest s;
	struct fsio_ops ops = fsio_real;
	ops.sync = held_sync;
	if (!held_begin(&s, dir, &ops))
		return;
	__atomic_store_n(&held.fails, true, __ATOMIC_RELEASE);
	held_arm();
	testteam_run(&s.tt, 0, begin_round, s.store->shards[0]);
	held_wait();
	held_end(&s, dir, "a store ends when a round fails that was under way");
}

/* ---- what is late goes to files as wide as those of merges ---- */

#define LATE_SLOTS 576u /* six days */
#define LATE_STEP  (SAMPLE_RANGE_MS / 8)

static int64_t late_base_ms;

struct late_sum {
	unsigned rows, wrong, files, widest, crossed;
	struct storetest *s;
};

static void late_add(void *arg, struct labels ls, const struct sample_column *col)
{
	struct late_sum *sum = arg;
	unsigned i = 0;
	while (i < SERIES && !label_equal(names[i], ls))
		i++;
	sum->rows += col->count;
	for (uint32_t k = 0; k < col->count; k++)
		sum->wrong += col->v[k] != (double)((col->t_ms[k] - late_base_ms) / LATE_STEP + i);
}

/* Files as they are listed: do ranges contain each other, or not meet? */
static void late_files(void *arg)
{
	struct late_sum *sum = arg;
	for (unsigned k = 0; k < 2; k++) {
		const struct files *l = &sum->s->store->shards[k]->list;
		sum->files += (unsigned)l->count;
		for (size_t i = 0; i < l->count; i++) {
			const struct cfile_meta *a = &l->entries[i].meta;
			unsigned hours = (unsigned)((a->end_ms - a->start_ms) / 3600000);
			sum->widest = hours > sum->widest ? hours : sum->widest;
			for (size_t j = 0; j < i; j++) {
				const struct cfile_meta *b = &l->entries[j].meta;
				bool meet = a->start_ms < b->end_ms && b->start_ms < a->end_ms;
				bool in = (a->start_ms >= b->start_ms && a->end_ms <= b->end_ms) ||
				    (b->start_ms >= a->start_ms && b->end_ms <= a->end_ms);
				sum->crossed += meet && !in;
			}
		}
	}
}

static void late_there(struct storetest *s, unsigned slots, const char *when)
{
	struct late_sum sum = { .s = s };
	enum err e = storetest_read(
	    s, NULL, 0, late_base_ms, late_base_ms + LATE_SLOTS * LATE_STEP - 1, late_add, &sum);
	tap_ok(!e && sum.rows == slots * SERIES && !sum.wrong, "%s: %u late rows, %u wrong", when,
	    sum.rows, sum.wrong);
}

/* Slots [from, to) of a random order, then a round of each shard. */
static unsigned late_write(struct storetest *s, unsigned from, unsigned to)
{
	unsigned bad = 0;
	for (unsigned n = from; n < to; n++) {
		struct storetest_row rows[SERIES];
		unsigned slot = n * 337 % LATE_SLOTS;
		for (unsigned i = 0; i < SERIES; i++)
			rows[i] = (struct storetest_row){ .labels = names[i],
				.t_ms = late_base_ms + slot * LATE_STEP,
				.v = slot + i };
		struct storetest_verdict v = storetest_write(s, 0, rows, SERIES);
		bad += v.err || v.refused;
	}
	uint64_t rounds = metric_sum(M_ROUNDS);
	for (unsigned k = 0; k < 2; k++)
		testteam_run(&s->tt, 0, begin_round, s->store->shards[k]);
	for (unsigned n = 0; n < 3000 && metric_sum(M_ROUNDS) < rounds + 2; n++)
		usleep(10000);
	return bad;
}

static void late_by_buckets(void)
{
	char *dir = testlib_tmpdir("back");
	struct storetest s;
	storetest_init(&s, dir);
	s.opts.shards = 2;
	s.opts.retention_ms = s.opts.ooo_window_ms = 60ll * 24 * 3600 * 1000;
	int64_t now_ms = clock_wall_ms();
	late_base_ms = plan_bucket(now_ms, SAMPLE_RANGE_MS) - 8ll * 24 * 3600 * 1000;
	if (!tap_ok(!storetest_open(&s, 1), "opens"))
		return;
	struct storetest_row rows[SERIES];
	for (unsigned i = 0; i < SERIES; i++)
		rows[i] = (struct storetest_row){ .labels = names[i], .t_ms = now_ms, .v = 1 };
	TAP_OK(!storetest_write(&s, 0, rows, SERIES).err);
	TAP_OK(late_write(&s, 0, LATE_SLOTS / 2) == 0);
	struct late_sum sum = { .s = &s };
	testteam_run(&s.tt, 0, late_files, &sum);
	tap_ok(sum.files <= 2 * 6 && sum.widest == 48 && !sum.crossed,
	    "a round writes %u files of up to %u hours, %u across others", sum.files, sum.widest,
	    sum.crossed);
	late_there(&s, LATE_SLOTS / 2, "after a round");
	TAP_OK(late_write(&s, LATE_SLOTS / 2, LATE_SLOTS) == 0);
	late_there(&s, LATE_SLOTS, "after two");
	storetest_close(&s);
	TAP_OK(!storetest_open(&s, 1));
	late_there(&s, LATE_SLOTS, "after a restart");
	TAP_OK(!storetest_flush(&s));
	late_there(&s, LATE_SLOTS, "after merges");
	sum = (struct late_sum){ .s = &s };
	testteam_run(&s.tt, 0, late_files, &sum);
	tap_ok(!sum.crossed && sum.files <= 2 * 6, "%u files of up to %u hours are left", sum.files,
	    sum.widest);
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

int main(void)
{
	arena_init(&arena, 1 << 16);
	begin_at(15000);
	for (unsigned i = 0; i < SERIES; i++) {
		char no[16];
		snprintf(no, sizeof(no), "%u", i);
		names[i] = label_make(
		    &arena, "__name__", i % 2 ? "back_total" : "back_gauge", "series", no, NULL);
	}
	random_history(1, 1, 15000);
	random_history(2, 2, 15000);
	random_history(3, 3, 15000);
	uint64_t wide = widest_ms;
	random_history(4, 2, 900000);
	random_history(5, 1, 900000);
	tap_ok(wide <= 2 * SAMPLE_RANGE_MS && widest_ms > 12 * 3600 * 1000,
	    "files of up to %llu hours were made", (unsigned long long)(widest_ms / 3600000));
	begin_at(15000);
	series_during_rounds();
	switches_fail();
	end_under_a_read();
	end_under_a_failing_round();
	late_by_buckets();
	arena_release(&arena);
	return tap_done();
}
