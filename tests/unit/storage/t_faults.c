/*
 * Failing calls in a running store: a history of 60 rounds with merges, retention, series that
 * leave memory and come back, and a restart, in which one call on the shards' directories (the nth
 * of all), or a number of calls from it on, gives EIO, ENOSPC, EMFILE, ENFILE, ENOMEM or EACCES.
 * Afterwards:
 * every acknowledged sample is found, writes are taken, nothing lies in the directory that FILES
 * does not name, and a start without faults finds the same.
 *
 * KYMO_FAULT_STRIDE: every so many calls, errnos and lengths taking turns (by default some 100
 * histories); 1: each call with each errno, once and for FAULT_LONG calls. KYMO_FAULT_FROM,
 * KYMO_FAULT_TO:
 * a part of the calls. KYMO_FAULT_WITHIN: other directories ("/kymo-faults": the whole store).
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE /* strerrorname_np */
#endif
#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "storage/store_priv.h"
#include "tests/lib/fault.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define SERIES       10u
#define ROUNDS       60u
#define STEP_MS      (10 * 60 * 1000LL)
#define DAY_MS       (24 * 3600 * 1000LL)
#define RETENTION_MS (5 * 3600 * 1000LL)
#define T0           (1750000000000LL - 1750000000000LL % DAY_MS)
#define FLUSH_EVERY  12u /* rounds */
#define RESTART_AT   33u
#define FAULT_LONG   40u
#define HISTORIES    100u /* by default */
#define SETTLE_TRIES 400u
#define SEND_TRIES   500u

static struct arena arena;
static struct labels names[SERIES];
static struct storetest s;
static char *root;

/* What was sent for a cell last, and whether that was acknowledged. */
static struct cell {
	double v, before; /* before: what may be there when v was not acknowledged */
	bool sent, acked, had;
} cells[SERIES][ROUNDS + 8];

/* ---- the disk: nothing waits for it ---- */

static enum err no_sync(struct fsio_file *f)
{
	(void)f;
	return ERR_OK;
}

static enum err no_dir_sync(struct fsio_dir *d)
{
	(void)d;
	return ERR_OK;
}

/* ---- driving ---- */

static void clock_moves(int64_t ms)
{
	clock_fake_advance(ms);
	team_clock_moved(s.tt.team);
}

/* What is tried again later is waited for: time goes on. False: it does not end. */
static bool ends(sem_t *done)
{
	for (unsigned k = 0; k < 2000; k++) {
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 5 * 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		if (!sem_timedwait(done, &until))
			return true;
		if (k > 1)
			clock_moves(1000);
	}
	tap_note("something does not end");
	abort();
}

struct call {
	struct shard *sh;
	enum err err;
	sem_t done;
};

static void call_done(void *arg, enum err err)
{
	struct call *c = arg;
	c->err = err;
	sem_post(&c->done);
}

static void round_begin(void *arg)
{
	struct call *c = arg;
	back_round(c->sh, true, call_done, c);
}

static void seal_begin(void *arg)
{
	struct call *c = arg;
	back_seal(c->sh, true, call_done, c);
}

static enum err call(void (*begin)(void *arg))
{
	struct call c = { .sh = s.store->shards[0] };
	sem_init(&c.done, 0, 0);
	testteam_run(&s.tt, 0, begin, &c);
	ends(&c.done);
	sem_destroy(&c.done);
	return c.err;
}

static enum err round_now(void)
{
	return call(round_begin);
}

static enum err flush_now(void)
{
	enum err e = call(round_begin);
	return e ? e : call(seal_begin);
}

/* Some series sleep for longer than memory keeps them. */
static bool sleeps(unsigned i, unsigned round)
{
	return i >= 6 && (round + i * 3) % 24 < 14;
}

/* As a sender does: the same again until it is taken. */
static bool send(const struct storetest_row *rows, size_t n)
{
	for (unsigned tries = 0; tries < SEND_TRIES; tries++) {
		struct storetest_verdict v = storetest_write(&s, 0, rows, n);
		if (!v.err && !v.refused)
			return true;
		if (tries + 1 == SEND_TRIES)
			tap_note("not taken: %s %s", err_text(v.err), v.text);
		clock_moves(tries < 20 ? 100 : 2000);
		usleep(1000);
	}
	return false;
}

static void note(unsigned i, unsigned round, double v)
{
	struct cell *c = &cells[i][round];
	if (c->sent) {
		c->before = c->v;
		c->had = true;
	}
	c->v = v;
	c->sent = true;
	c->acked = false;
}

static unsigned write_round(unsigned round)
{
	struct storetest_row rows[SERIES + 2];
	unsigned at[SERIES + 2][2];
	size_t n = 0;
	for (unsigned i = 0; i < SERIES; i++) {
		if (sleeps(i, round))
			continue;
		at[n][0] = i;
		at[n++][1] = round;
	}
	if (round > 8) { /* late: one that was left out or not, another value */
		at[n][0] = round % SERIES;
		at[n++][1] = round - 5; /* inside the window, also after a first try */
	}
	for (size_t k = 0; k < n; k++) {
		double v = (double)(round * 100 + at[k][0]);
		rows[k] = (struct storetest_row){
			.labels = names[at[k][0]], .t_ms = T0 + at[k][1] * STEP_MS, .v = v
		};
		note(at[k][0], at[k][1], v);
	}
	bool taken = send(rows, n);
	for (size_t k = 0; taken && k < n; k++)
		cells[at[k][0]][at[k][1]].acked = true;
	return !taken;
}

/* ---- judging ---- */

struct found {
	double v[SERIES][ROUNDS + 8];
	bool there[SERIES][ROUNDS + 8];
	unsigned strange;
};

static void take(void *arg, struct labels ls, const struct sample_column *col)
{
	struct found *f = arg;
	unsigned i = 0;
	while (i < SERIES && !label_equal(names[i], ls))
		i++;
	for (uint32_t k = 0; k < col->count; k++) {
		int64_t slot = (col->t_ms[k] - T0) / STEP_MS;
		if (i == SERIES || slot < 0 || slot >= ROUNDS + 8 || f->there[i][slot]) {
			if (!f->strange++)
				tap_note("series %u round %lld: %g, which is strange", i,
				    (long long)slot, col->v[k]);
			continue;
		}
		f->there[i][slot] = true;
		f->v[i][slot] = col->v[k];
	}
}

/* How many cells are wrong. What is past retention may be gone, a whole range at a time. */
static unsigned judge(const char *what)
{
	static struct found f;
	memset(&f, 0, sizeof(f));
	enum err e = storetest_read(&s, NULL, 0, T0 - DAY_MS, T0 + 2 * DAY_MS, take, &f);
	if (e) {
		tap_note("%s: cannot be read: %s", what, err_text(e));
		return 1;
	}
	unsigned bad = f.strange;
	int64_t kept_from = clock_wall_ms() - RETENTION_MS;
	for (unsigned i = 0; i < SERIES; i++)
		for (unsigned k = 0; k < ROUNDS + 8; k++) {
			const struct cell *c = &cells[i][k];
			bool kept = T0 + k * STEP_MS >= kept_from;
			bool right = !f.there[i][k] ? !c->acked || !kept
			    : !c->sent              ? false
			    : f.v[i][k] == c->v     ? true
			                            : !c->acked && c->had && f.v[i][k] == c->before;
			if (!right && bad++ < 3)
				tap_note("%s: series %u round %u: %s %g, sent %g%s", what, i, k,
				    f.there[i][k] ? "found" : "lost", f.v[i][k], c->v,
				    c->acked ? "" : ", not acknowledged");
		}
	return bad;
}

struct orphans {
	const struct files *list;
	unsigned count;
	char first[CFILE_NAME_MAX];
};

static enum err orphan_look(void *arg, const char *name)
{
	struct orphans *o = arg;
	bool ours = strstr(name, ".kcf") || strstr(name, ".tmp");
	if (!ours || strstr(name, ".aside") || files_get(o->list, name))
		return ERR_OK;
	if (!o->count++)
		snprintf(o->first, sizeof(o->first), "%s", name);
	return ERR_OK;
}

static void orphans_look(void *arg)
{
	struct orphans *o = arg;
	const struct shard *sh = s.store->shards[0];
	o->list = &sh->list;
	if (fsio_dir_each(sh->dir, orphan_look, o))
		o->count++;
}

static unsigned orphans(char first[CFILE_NAME_MAX])
{
	struct orphans o = { .count = 0 };
	testteam_run(&s.tt, 0, orphans_look, &o);
	memcpy(first, o.first, CFILE_NAME_MAX);
	return o.count;
}

/* ---- a history ---- */

struct outcome {
	unsigned bad;    /* what must not be */
	unsigned starts; /* that failed: the next one did not */
	unsigned failed; /* rounds and flushes that told so */
	uint64_t calls, hits;
};

static bool open_store(struct outcome *out)
{
	for (unsigned tries = 0; tries < 3 * FAULT_LONG; tries++) {
		if (!storetest_open(&s, 1))
			return true;
		out->starts++;
	}
	out->bad++;
	return false;
}

/* The fault has passed: everything gets well by itself. */
static void settle(struct outcome *out, const char *what)
{
	char first[CFILE_NAME_MAX] = "";
	unsigned left = 1;
	enum err e = ERR_AGAIN;
	for (unsigned k = 0; k < SETTLE_TRIES && (e || left); k++) {
		clock_moves(5000);
		e = flush_now();
		clock_moves(5000);
		if (k > 2)
			usleep(1000);
		left = orphans(first);
	}
	if (e || left)
		tap_note("%s: flush %s, %u files that no list names: %s", what, err_text(e), left,
		    first);
	out->bad += e || left;
}

static void begin(void)
{
	root = testlib_tmpdir("faults");
	clock_fake(T0);
	memset(cells, 0, sizeof(cells));
	storetest_init(&s, root);
	s.opts.shards = 1;
	s.opts.retention_ms = RETENTION_MS;
	s.opts.round_every_ms = 100 * DAY_MS;
	s.opts.log_segment_bytes = 64 << 10;
}

static void history(struct outcome *out)
{
	if (!open_store(out))
		return;
	for (unsigned k = 0; k < ROUNDS; k++) {
		out->bad += write_round(k);
		clock_moves(STEP_MS);
		enum err e = k % FLUSH_EVERY == FLUSH_EVERY - 1 ? flush_now() : round_now();
		out->failed += e != ERR_OK;
		if (k == RESTART_AT) {
			storetest_close(&s);
			if (!open_store(out))
				return;
		}
	}
	out->calls = fault_calls(FAULT_ANY);
	out->hits = fault_hits(FAULT_ANY);
	fault_set(FAULT_ANY, NULL, 1, 0, ERR_OK);
	settle(out, "afterwards");
	/* what was lost at the start is looked for every minute */
	for (unsigned k = 0; k < 20 && s.store->shards[0]->lost_count; k++) {
		clock_moves(61000);
		usleep(2000);
	}
	out->bad += write_round(ROUNDS) + judge("afterwards");
	storetest_close(&s);
	if (!open_store(out))
		return;
	if (s.store->shards[0]->lost_count && ++out->bad)
		tap_note("after a restart: %zu files are lost", s.store->shards[0]->lost_count);
	settle(out, "after a restart");
	out->bad += judge("after a restart");
	storetest_close(&s);
}

static struct outcome run(uint64_t n, uint64_t count, int errnum)
{
	struct outcome out = { 0 };
	struct fsio_ops ops = fsio_real;
	ops.sync = no_sync;
	ops.dir_sync = no_dir_sync;
	begin();
	fault_start(&ops);
	const char *within = getenv("KYMO_FAULT_WITHIN");
	fault_within(within ? within : "/shards");
	fault_set_errno(FAULT_ANY, NULL, n, count, errnum);
	history(&out);
	fault_stop();
	testlib_rmtree(root);
	free(root);
	return out;
}

static const int errnums[] = { EIO, ENOSPC, EMFILE, ENFILE, ENOMEM, EACCES };

struct sums {
	unsigned histories, wrong, starts, failed;
};

static void one(struct sums *sums, uint64_t n, unsigned way)
{
	int errnum = errnums[way % COUNT_OF(errnums)];
	uint64_t count = way / COUNT_OF(errnums) % 2 ? FAULT_LONG : 1;
	struct outcome o = run(n, count, errnum);
	sums->histories++;
	sums->starts += o.starts;
	sums->failed += o.failed;
	sums->wrong += o.bad > 0;
	if (o.bad)
		tap_note("call %llu, %llu times %s: %u wrong", (unsigned long long)n,
		    (unsigned long long)count, strerrorname_np(errnum), o.bad);
}

static uint64_t knob(const char *name, uint64_t otherwise)
{
	const char *v = getenv(name);
	return v ? strtoull(v, NULL, 10) : otherwise;
}

int main(void)
{
	log_setup(getenv("KYMO_FAULT_LOG") ? LOG_LEVEL_INFO : LOG_LEVEL_NONE, false);
	arena_init(&arena, 1 << 14);
	storetest_names(&arena, "faults", names, SERIES);
	uint64_t evicted = metric_sum(M_SERIES_EVICTED), merged = metric_sum(M_SEALS),
	         retired = metric_sum(M_FILES_RETIRED);
	struct outcome clean = run(UINT64_MAX, 1, EIO);
	/* on a busy machine fewer leave before the end: so once more */
	for (unsigned k = 0; k < 4 && metric_sum(M_SERIES_EVICTED) <= evicted + 4; k++)
		clean.bad += run(UINT64_MAX, 1, EIO).bad;
	tap_ok(!clean.bad && !clean.failed && clean.calls > 500, "without faults: %llu calls",
	    (unsigned long long)clean.calls);
	tap_ok(metric_sum(M_SERIES_EVICTED) > evicted + 4 && metric_sum(M_SEALS) > merged + 4 &&
	        metric_sum(M_FILES_RETIRED) > retired,
	    "%u series left memory, %u merges, %u files retired",
	    (unsigned)(metric_sum(M_SERIES_EVICTED) - evicted),
	    (unsigned)(metric_sum(M_SEALS) - merged),
	    (unsigned)(metric_sum(M_FILES_RETIRED) - retired));
	uint64_t stride = knob("KYMO_FAULT_STRIDE", clean.calls / HISTORIES);
	uint64_t from = knob("KYMO_FAULT_FROM", 1), to = knob("KYMO_FAULT_TO", clean.calls);
	struct sums sums = { 0 };
	unsigned way = (unsigned)knob("KYMO_FAULT_WAY", 0);
	for (uint64_t n = from; n <= to; n += stride ? stride : 1) {
		if (stride > 1 || getenv("KYMO_FAULT_WAY")) {
			one(&sums, n, getenv("KYMO_FAULT_WAY") ? way : way++);
			continue;
		}
		for (way = 0; way < 2 * COUNT_OF(errnums); way++)
			one(&sums, n, way);
	}
	tap_is_u64(sums.wrong, 0,
	    "of %u histories (%u rounds and flushes, %u starts told of a failure)", sums.histories,
	    sums.failed, sums.starts);
	arena_release(&arena);
	return tap_done();
}
