/*
 * Files that a start cannot read: what they hold comes back when they do, by itself or at the next
 * start, whatever the catalog had; nothing in the log that needs them goes. And what a start reads
 * when all is well.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE /* strerrorname_np */
#endif
#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/metric.h"
#include "storage/store_priv.h"
#include "tests/lib/fault.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define SERIES  30u
#define HOUR_MS (3600 * 1000LL)
#define T0      (1750000000000LL - 1750000000000LL % (24 * HOUR_MS))

static struct arena arena;
static struct labels names[SERIES];
static char *root;
static struct storetest s;

/* ---- the disk ---- */

static unsigned reads;

static enum err count_read(struct fsio_file *f, void *data, size_t len, uint64_t off, bool nowait)
{
	if (strstr(fsio_file_path(f), ".kcf"))
		__atomic_fetch_add(&reads, 1, __ATOMIC_RELAXED);
	return fsio_real.read_at(f, data, len, off, nowait);
}

/* A new list waits here while the gate is shut. */
static bool shut;
static sem_t waits, passes;

static enum err gate_write(struct fsio_file *f, const struct iovec *v, size_t count, uint64_t off)
{
	if (__atomic_load_n(&shut, __ATOMIC_ACQUIRE) && strstr(fsio_file_path(f), "FILES.tmp")) {
		__atomic_store_n(&shut, false, __ATOMIC_RELEASE);
		sem_post(&waits);
		while (sem_wait(&passes)) {
		}
	}
	return fsio_real.write_at(f, v, count, off);
}

/* ---- the store ---- */

static bool reopen(void)
{
	return tap_ok(!storetest_open(&s, 1), "opens");
}

static bool begin(void)
{
	root = testlib_tmpdir("lost");
	clock_fake(T0);
	storetest_init(&s, root);
	s.opts.shards = 1;
	s.opts.ooo_window_ms = 100 * HOUR_MS;
	s.opts.round_every_ms = 1000 * HOUR_MS;
	static struct fsio_ops ops;
	ops = fsio_real;
	ops.read_at = count_read;
	ops.write_at = gate_write;
	fault_start(&ops);
	return reopen();
}

static void end(void)
{
	storetest_close(&s);
	fault_stop();
	testlib_rmtree(root);
	free(root);
}

static void write_one(unsigned series, int64_t t_ms, double v)
{
	struct storetest_row row = { .labels = names[series], .t_ms = t_ms, .v = v };
	struct storetest_verdict verdict = storetest_write(&s, 0, &row, 1);
	TAP_OK(!verdict.err && !verdict.refused);
}

struct got {
	unsigned count;
	double v;
};

static void add(void *arg, struct labels ls, const struct sample_column *col)
{
	struct got *g = arg;
	(void)ls;
	g->count += col->count;
	g->v = col->count ? col->v[col->count - 1] : g->v;
}

/* How many samples at that time, and the value of one. */
static struct got at(int64_t t_ms)
{
	struct got g = { 0 };
	if (storetest_read(&s, NULL, 0, t_ms, t_ms, add, &g))
		g.count = 999;
	return g;
}

static void tell_nothing(void *arg, enum err err)
{
	*(enum err *)arg = err;
}

struct round_call {
	struct shard *sh;
	enum err err;
};

/* A round without a merge. */
static void round_begin(void *arg)
{
	struct round_call *c = arg;
	c->err = ERR_AGAIN;
	back_round(c->sh, true, tell_nothing, &c->err);
}

static bool round_ended(void *arg)
{
	return ((struct round_call *)arg)->err != ERR_AGAIN;
}

static void round_now(void)
{
	struct round_call c = { .sh = s.store->shards[0] };
	testteam_run(&s.tt, 0, round_begin, &c);
	TAP_OK(testteam_wait(&s.tt, 0, round_ended, &c, TESTTEAM_LONG_MS) && c.err == ERR_OK);
}

static void wait_some(int64_t ms)
{
	for (unsigned k = 0; k < 4; k++)
		storetest_advance(&s, ms / 4);
}

static void catalog_remove(void)
{
	char path[4200];
	snprintf(path, sizeof(path), "%s/catalog", root);
	testlib_rmtree(path);
}

/* ---- the files ---- */

static char lost_name[CFILE_NAME_MAX];

/* The file of a range, the nth by rank, cannot be opened from now on. */
static void lose(int64_t start_ms, unsigned nth)
{
	const struct files *list = &s.store->shards[0]->list;
	for (size_t i = 0; i < list->count; i++)
		if (list->entries[i].meta.start_ms == start_ms && nth-- == 0)
			memcpy(lost_name, list->entries[i].name, sizeof(lost_name));
	fault_set_errno(FAULT_OPEN, lost_name, 1, UINT64_MAX, EIO);
}

static void give_back(void)
{
	fault_set(FAULT_OPEN, NULL, 1, 0, ERR_OK);
}

static void catalog_does_not_pass(bool running)
{
	if (!begin())
		return;
	write_one(0, T0 - 20 * HOUR_MS, 1);
	TAP_OK(!storetest_flush(&s));
	write_one(1, T0 - 2 * HOUR_MS, 2);
	TAP_OK(!storetest_flush(&s));
	lose(T0 - 20 * HOUR_MS, 0);
	storetest_close(&s);
	catalog_remove();
	uint64_t lost = metric_sum(M_FILES_LOST);
	if (!reopen())
		return;
	TAP_OK(metric_sum(M_FILES_LOST) == lost + 1);
	TAP_OK(at(T0 - 20 * HOUR_MS).count == 0 && at(T0 - 2 * HOUR_MS).count == 1);
	write_one(2, T0 - HOUR_MS, 3);
	TAP_OK(!storetest_flush(&s));
	if (!running)
		storetest_close(&s);
	give_back();
	if (!running && !reopen())
		return;
	if (running)
		wait_some(200 * 1000);
	tap_ok(at(T0 - 20 * HOUR_MS).count == 1, "what the file holds is found %s",
	    running ? "without a restart" : "at the next start");
	tap_ok(at(T0 - 2 * HOUR_MS).count == 1 && at(T0 - HOUR_MS).count == 1, "and the rest");
	end();
}

static void merges_do_not_pass(void)
{
	if (!begin())
		return;
	int64_t t = T0 - 10 * HOUR_MS;
	write_one(0, t, 1);
	round_now();
	write_one(0, t, 2);
	round_now();
	write_one(1, t + 1000, 5);
	round_now();
	lose(t, 1);
	storetest_close(&s);
	if (!reopen())
		return;
	TAP_OK(!storetest_flush(&s));
	storetest_close(&s);
	give_back();
	if (!reopen())
		return;
	tap_ok(at(t).count == 1 && at(t).v == 2, "the newest value wins: %g", at(t).v);
	TAP_OK(!storetest_flush(&s));
	tap_ok(at(t).count == 1 && at(t).v == 2 && s.store->shards[0]->files_count == 1,
	    "also in the merge that follows");
	end();
}

/* Rows in the log whose definition is in the lost file. */
static void log_waits(bool with_catalog)
{
	if (!begin())
		return;
	write_one(0, T0 - 5 * HOUR_MS, 1);
	round_now();
	storetest_close(&s); /* the log with the definition goes */
	if (!reopen())
		return;
	write_one(0, T0 - HOUR_MS, 2);
	lose(T0 - 6 * HOUR_MS, 0);
	storetest_close(&s);
	if (!with_catalog)
		catalog_remove();
	if (!reopen())
		return;
	if (with_catalog)
		tap_ok(at(T0 - HOUR_MS).count == 1, "the catalog knows the series");
	write_one(1, T0 - HOUR_MS / 2, 3);
	TAP_OK(!storetest_flush(&s));
	storetest_close(&s);
	give_back();
	if (!reopen())
		return;
	tap_ok(at(T0 - HOUR_MS).count == 1 && at(T0 - HOUR_MS).v == 2,
	    "rows that no series was known for are found when it is");
	tap_ok(at(T0 - 5 * HOUR_MS).count == 1 && at(T0 - HOUR_MS / 2).count == 1, "and the rest");
	TAP_OK(!storetest_flush(&s));
	storetest_close(&s);
	if (reopen())
		tap_ok(at(T0 - HOUR_MS).count == 1, "and again");
	end();
}

static bool nothing_lost(void *arg)
{
	(void)arg;
	return s.store->shards[0]->lost_count == 0;
}

/* The file returns while the list without it is being written. */
static void returns_too_late(void)
{
	if (!begin())
		return;
	write_one(0, T0 - 20 * HOUR_MS, 1);
	TAP_OK(!storetest_flush(&s));
	write_one(1, T0 - 10 * HOUR_MS, 2);
	TAP_OK(!storetest_flush(&s));
	lose(T0 - 20 * HOUR_MS, 0);
	storetest_close(&s);
	s.opts.retention_ms = 19 * HOUR_MS;
	if (!reopen())
		return;
	__atomic_store_n(&shut, true, __ATOMIC_RELEASE);
	wait_some(2 * HOUR_MS);
	bool arrived = false; /* samples that agree with the clock come in: retention believes it */
	for (unsigned k = 0; k < 100 && !(arrived = !sem_trywait(&waits)); k++) {
		write_one(2, clock_wall_ms(), k);
		wait_some(20 * 1000);
	}
	TAP_OK(arrived);
	give_back();
	wait_some(200 * 1000);
	TAP_OK(testteam_wait(&s.tt, 0, nothing_lost, NULL, TESTTEAM_LONG_MS));
	sem_post(&passes);
	wait_some(60 * 1000);
	wait_some(12 * HOUR_MS);
	for (unsigned k = 0; k < 40; k++) {
		write_one(2, clock_wall_ms(), k);
		wait_some(60 * 1000);
	}
	tap_ok(at(T0 - 20 * HOUR_MS).count == 0 && at(T0 - 10 * HOUR_MS).count == 0,
	    "what returns while retention drops it goes, and the next after it");
	TAP_OK(!storetest_flush(&s));
	tap_ok(s.store->shards[0]->files_count == s.store->shards[0]->list.count,
	    "the open files are those of the list");
	end();
}

static void passing(int errnum)
{
	if (!begin())
		return;
	write_one(0, T0 - 5 * HOUR_MS, 1);
	TAP_OK(!storetest_flush(&s));
	lose(T0 - 6 * HOUR_MS, 0);
	storetest_close(&s);
	fault_set_errno(FAULT_OPEN, lost_name, 1, UINT64_MAX, errnum);
	enum err e = storetest_open(&s, 1);
	tap_ok(e == err_of_errno(errnum), "no start on %s: %s", strerrorname_np(errnum), err_text(e));
	give_back();
	if (reopen())
		tap_ok(at(T0 - 5 * HOUR_MS).count == 1, "nothing is lost by it");
	end();
	if (!begin())
		return;
	write_one(0, T0 - 5 * HOUR_MS, 1);
	TAP_OK(!storetest_flush(&s));
	lose(T0 - 6 * HOUR_MS, 0);
	storetest_close(&s);
	fault_set_errno(FAULT_OPEN, lost_name, 1, 1, EIO);
	if (reopen())
		tap_ok(at(T0 - 5 * HOUR_MS).count == 1, "one EIO is tried again");
	end();
}

/* ---- what a start reads ---- */

static unsigned start_reads(void)
{
	storetest_close(&s);
	__atomic_store_n(&reads, 0, __ATOMIC_RELAXED);
	return reopen() ? __atomic_load_n(&reads, __ATOMIC_RELAXED) : UINT32_MAX;
}

static void labels_are_read_once(void)
{
	enum {
		RANGES = 30,
		OPENING = 2 /* footer; directory: which series are to be in memory? */
	};
	if (!begin())
		return;
	for (unsigned k = RANGES; k > 0; k--)
		for (unsigned i = 0; i < SERIES; i++)
			write_one(i, T0 - 2 * HOUR_MS * k, k);
	TAP_OK(!storetest_flush(&s));
	unsigned files = s.store->shards[0]->files_count;
	tap_ok(files >= 3 && files < RANGES, "%u files", files);
	tap_is_u64(start_reads(), files * OPENING, "with nothing in the log no labels are read");
	for (unsigned i = 0; i < SERIES; i++)
		write_one(i, T0, 1);
	tap_is_u64(start_reads(), files * OPENING + 1,
	    "rows of known series: one block of the newest file");
	tap_is_u64(at(T0).count, SERIES, "and all are found");
	end();
}

int main(void)
{
	arena_init(&arena, 1 << 14);
	storetest_names(&arena, "lost", names, SERIES);
	catalog_does_not_pass(false);
	catalog_does_not_pass(true);
	merges_do_not_pass();
	sem_init(&waits, 0, 0);
	sem_init(&passes, 0, 0);
	returns_too_late();
	log_waits(true);
	log_waits(false);
	passing(EMFILE);
	passing(ENOMEM);
	labels_are_read_once();
	arena_release(&arena);
	return tap_done();
}
