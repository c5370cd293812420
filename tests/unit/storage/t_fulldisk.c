/*
 * A full disk: retention frees space with the help of RESERVE, merges wait for room, the look at
 * the free space waits for nobody.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/metric.h"
#include "storage/back/back.h"
#include "storage/space.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define SERIES  20u
#define STEP_MS (600 * 1000LL)
#define HOUR_MS (3600 * 1000LL)
#define T0      (1750000000000LL - 1750000000000LL % (24 * HOUR_MS))

static struct arena arena;
static struct labels names[SERIES];
static char *root;
static struct storetest s;
static unsigned shards = 1;

/* ---- the disk ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool full;
static uint64_t free_bytes;

static bool is_full(void)
{
	pthread_mutex_lock(&lock);
	bool f = full;
	pthread_mutex_unlock(&lock);
	return f;
}

static void disk(bool is_full_now, uint64_t free_now)
{
	pthread_mutex_lock(&lock);
	full = is_full_now;
	free_bytes = free_now;
	pthread_mutex_unlock(&lock);
}

/* Segments of the log have their room already. */
static enum err disk_write(struct fsio_file *f, const struct iovec *v, size_t count, uint64_t off)
{
	if (is_full() && !strstr(fsio_file_path(f), "/log/"))
		return err_of_errno(ENOSPC);
	return fsio_real.write_at(f, v, count, off);
}

static enum err disk_allocate(struct fsio_file *f, uint64_t size)
{
	return is_full() ? err_of_errno(ENOSPC) : fsio_real.allocate(f, size);
}

static enum err disk_remove(struct fsio_dir *d, const char *name)
{
	enum err e = fsio_real.remove(d, name);
	if (!e && !strcmp(name, SPACE_RESERVE_NAME))
		disk(false, free_bytes);
	return e;
}

static enum err disk_free(struct fsio_dir *d, uint64_t *free_now, uint64_t *total)
{
	(void)d;
	pthread_mutex_lock(&lock);
	*free_now = free_bytes;
	*total = 100ull << 30;
	pthread_mutex_unlock(&lock);
	return ERR_OK;
}

static enum err no_sync(struct fsio_file *f)
{
	(void)f;
	return ERR_OK;
}

static bool reserve_there(void)
{
	struct fsio_dir *d;
	struct fsio_file *f;
	if (fsio_dir_open(root, false, &d))
		abort();
	enum err e = fsio_open(d, SPACE_RESERVE_NAME, FSIO_READ, &f);
	if (!e)
		fsio_close(f);
	fsio_dir_close(d);
	return !e;
}

static enum err count_data(void *arg, const char *name)
{
	*(unsigned *)arg += strstr(name, ".kcf") || strstr(name, ".tmp");
	return ERR_OK;
}

static unsigned data_files(void)
{
	struct fsio_dir *d, *all, *sub;
	unsigned n = 0;
	if (fsio_dir_open(root, false, &d) || fsio_dir_sub(d, "shards", false, &all) ||
	    fsio_dir_sub(all, "00", false, &sub) || fsio_dir_each(sub, count_data, &n))
		abort();
	fsio_dir_close(sub);
	fsio_dir_close(all);
	fsio_dir_close(d);
	return n;
}

/* ---- the store ---- */

static unsigned write_now(void)
{
	struct storetest_row rows[SERIES];
	for (unsigned i = 0; i < SERIES; i++)
		rows[i] =
		    (struct storetest_row){ .labels = names[i], .t_ms = clock_wall_ms(), .v = i };
	struct storetest_verdict v = storetest_write(&s, 0, rows, SERIES);
	return v.err || v.refused;
}

static bool begin(int64_t retention_ms)
{
	root = testlib_tmpdir("fulldisk");
	clock_fake(T0);
	disk(false, 10ull << 30);
	storetest_init(&s, root);
	s.opts.shards = shards;
	s.opts.retention_ms = retention_ms;
	return tap_ok(!storetest_open(&s, 1), "opens");
}

static void end(void)
{
	disk(false, 10ull << 30);
	storetest_close(&s);
	testlib_rmtree(root);
	free(root);
}

struct count {
	uint64_t samples;
};

static void add(void *arg, struct labels ls, const struct sample_column *col)
{
	(void)ls;
	((struct count *)arg)->samples += col->count;
}

static uint64_t samples(int64_t from, int64_t to)
{
	struct count c = { 0 };
	return storetest_read(&s, NULL, 0, from, to, add, &c) ? UINT64_MAX : c.samples;
}

static void retention_frees(void)
{
	unsigned bad = 0;
	if (!begin(24 * HOUR_MS))
		return;
	tap_ok(reserve_there(), "there is a reserve");
	int64_t end_ms = T0 + 27 * HOUR_MS;
	while (clock_wall_ms() < T0 + 25 * HOUR_MS) {
		bad += write_now();
		storetest_advance(&s, STEP_MS);
	}
	uint64_t retired = metric_sum(M_FILES_RETIRED), failed = metric_sum(M_ROUNDS_FAILED);
	TAP_OK(samples(T0, T0 + 2 * HOUR_MS - 1) == 12 * SERIES);
	disk(true, 10);
	uint64_t waiting = 0;
	while (clock_wall_ms() < end_ms) {
		bad += write_now();
		storetest_advance(&s, STEP_MS);
		storetest_advance(&s, 4500); /* a try; then the gauges are set, before the next */
		storetest_advance(&s, 500);
		waiting += metric_sum(M_ROUNDS_WAITING);
	}
	for (unsigned k = 0; k < 10; k++)
		storetest_advance(&s, 5000);
	tap_is_u64(bad, 0, "all is taken");
	tap_ok(metric_sum(M_FILES_RETIRED) > retired && !reserve_there(),
	    "the reserve is given up for retention: %u files are let go",
	    (unsigned)(metric_sum(M_FILES_RETIRED) - retired));
	tap_ok(metric_sum(M_ROUNDS_FAILED) > failed, "though rounds found the disk full");
	tap_ok(waiting > 0 && !metric_sum(M_ROUNDS_WAITING),
	    "and waited to be tried again, as long as it was");
	tap_is_u64(samples(T0, T0 + 2 * HOUR_MS - 1), 0, "what is past retention is gone");
	disk(false, 10ull << 30);
	for (unsigned k = 0; k < 10; k++)
		storetest_advance(&s, 2000);
	tap_ok(reserve_there(), "with room again there is a reserve again");
	TAP_OK(storetest_flush(&s) == ERR_OK);
	for (unsigned k = 0; k < 10; k++)
		storetest_advance(&s, 5000);
	/* 14 ranges of two hours, sealed; nothing of what failed is left */
	tap_ok(data_files() <= 14, "%u files on disk", data_files());
	end();
}

/* Writes are refused for want of room: newest times stand still, retention must not. */
static void refused_samples(void)
{
	if (!begin(24 * HOUR_MS))
		return;
	unsigned bad = 0, refused = 0;
	while (clock_wall_ms() < T0 + 25 * HOUR_MS) {
		bad += write_now();
		storetest_advance(&s, STEP_MS);
	}
	TAP_OK(samples(T0, T0 + 4 * HOUR_MS - 1) > 0);
	disk(false, 0); /* below the floor, though files can be written */
	for (unsigned k = 0; k < 10; k++)
		storetest_advance(&s, 1000);
	while (clock_wall_ms() < T0 + 40 * HOUR_MS) {
		refused += write_now();
		storetest_advance(&s, STEP_MS);
	}
	tap_ok(!bad && refused, "writes are refused meanwhile");
	tap_is_u64(samples(T0, T0 + 12 * HOUR_MS - 1), 0, "retention goes on, and makes room");
	end();
}

static void merges_wait(void)
{
	unsigned bad = 0;
	if (!begin(30 * 24 * HOUR_MS))
		return;
	for (unsigned k = 0; k < 8; k++) {
		bad += write_now();
		storetest_advance(&s, STEP_MS);
	}
	unsigned before = data_files();
	TAP_OK(bad == 0 && before > 2);
	disk(false, 1000);
	uint64_t failed = metric_sum(M_SEALS_FAILED);
	enum err e = storetest_flush(&s);
	tap_ok(e == ERR_NOSPACE && reserve_there() && metric_sum(M_SEALS_FAILED) == failed + 1,
	    "no merge is begun that finds no room: %s", err_text(e));
	usleep(200000);
	tap_is_u64(metric_sum(M_SEALS_FAILED), failed + 1, "nor tried again at once");
	disk(false, (1 << 20) + 100);
	tap_ok(storetest_flush(&s) == ERR_OK && !reserve_there(),
	    "with the reserve there is enough: it is given up");
	for (unsigned k = 0; k < 3; k++)
		storetest_advance(&s, 1000);
	tap_is_u64(data_files(), 1, "and the inputs are gone");
	storetest_advance(&s, 5000);
	tap_ok(metric_sum(M_SEAL_LAST_MS) > 0 && !metric_sum(M_SEALS_RUNNING) &&
	        !metric_sum(M_ROUNDS_WAITING),
	    "a merge ended, none runs, and no round waits");
	end();
}

/* ---- merges in a row ---- */

static sem_t gate, ended;

static void block(struct work_task *t)
{
	(void)t;
	while (sem_wait(&gate)) {
	}
}

static void unblocked(struct work_task *t)
{
	(void)t;
	sem_post(&ended);
}

/* One lane of two is held: of four shards two have their merges done, one runs, one waits. */
static void merges_are_counted(void)
{
	struct work_task busy = {
		.run = block, .done = unblocked, .lane = BACK_LANE_MERGE, .prio = WORK_BACKGROUND
	};
	bool bad = false;
	shards = 4;
	if (!begin(30 * 24 * HOUR_MS))
		return;
	sem_init(&gate, 0, 0);
	sem_init(&ended, 0, 0);
	for (unsigned k = 0; k < 24; k++) {
		bad |= write_now() != 0;
		storetest_advance(&s, STEP_MS);
	}
	work_submit(s.tt.pool, &busy);
	for (unsigned k = 0; k < 200 && !metric_sum(M_SEALS_WAITING); k++) {
		bad |= write_now() != 0;
		storetest_advance(&s, STEP_MS);
		storetest_advance(&s, 5000);
	}
	for (unsigned k = 0; k < 5000 && metric_sum(M_SEALS_RUNNING) != 1; k++) {
		usleep(2000);
		storetest_advance(&s, 5000);
	}
	tap_ok(!bad && metric_sum(M_SEALS_RUNNING) == 1 && metric_sum(M_SEALS_WAITING) == 1,
	    "of two merges of one lane one runs and one waits: %u, %u",
	    (unsigned)metric_sum(M_SEALS_RUNNING), (unsigned)metric_sum(M_SEALS_WAITING));
	sem_post(&gate);
	while (sem_wait(&ended)) {
	}
	end();
	shards = 1;
}

/* ---- the look ---- */

static void look_comes_first(void)
{
	struct work_task busy[6];
	if (!begin(30 * 24 * HOUR_MS))
		return;
	sem_init(&gate, 0, 0);
	sem_init(&ended, 0, 0);
	for (unsigned i = 0; i < COUNT_OF(busy); i++) {
		busy[i] =
		    (struct work_task){ .run = block, .done = unblocked, .prio = WORK_BACKGROUND };
		work_submit(s.tt.pool, &busy[i]);
	}
	TAP_OK(write_now() == 0);
	disk(false, 0);
	for (unsigned k = 0; k < 5; k++)
		storetest_advance(&s, 1000);
	tap_ok(write_now() == 1, "a full disk is seen while all workers are busy");
	disk(false, 10ull << 30);
	for (unsigned k = 0; k < 5; k++)
		storetest_advance(&s, 1000);
	tap_ok(write_now() == 0, "and so is its end");
	for (unsigned i = 0; i < COUNT_OF(busy); i++)
		sem_post(&gate);
	for (unsigned i = 0; i < COUNT_OF(busy); i++)
		while (sem_wait(&ended)) {
		}
	end();
}

int main(void)
{
	struct fsio_ops ops = fsio_real;
	arena_init(&arena, 1 << 14);
	storetest_names(&arena, "full", names, SERIES);
	ops.write_at = disk_write;
	ops.allocate = disk_allocate;
	ops.remove = disk_remove;
	ops.free_bytes = disk_free;
	ops.sync = no_sync;
	fsio_hook(&ops);
	retention_frees();
	refused_samples();
	merges_wait();
	merges_are_counted();
	look_comes_first();
	fsio_hook(NULL);
	arena_release(&arena);
	return tap_done();
}
