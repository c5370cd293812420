/*
 * More files than descriptors: rounds, merges, queries and starts go on; too few descriptors for
 * the shards are told in words.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/fdcache.h"
#include "core/base/metric.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define SERIES  12u
#define RANGES  300u
#define ALLOWED 300u /* descriptors */

static struct arena arena;
static struct labels names[SERIES];
static int64_t base_ms;

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

static int64_t time_of(unsigned range)
{
	return base_ms + (int64_t)range * SAMPLE_RANGE_MS;
}

struct sum {
	unsigned series, samples, wrong;
};

static void add(void *arg, struct labels ls, const struct sample_column *col)
{
	struct sum *s = arg;
	unsigned i = 0;
	while (i < SERIES && !label_equal(names[i], ls))
		i++;
	s->series++;
	s->samples += col->count;
	for (uint32_t k = 0; k < col->count; k++)
		s->wrong += col->t_ms[k] != time_of(k) || col->v[k] != (double)(i * 1000 + k);
}

static void all_there(struct storetest *s, const char *when)
{
	struct sum sum = { 0 };
	enum err e = storetest_read(s, NULL, 0, base_ms, time_of(RANGES), add, &sum);
	tap_ok(!e && sum.series == SERIES && sum.samples == SERIES * RANGES && !sum.wrong,
	    "%s: %u samples of %u series, %u wrong, err %s", when, sum.samples, sum.series,
	    sum.wrong, err_text(e));
}

static unsigned write_all(struct storetest *s)
{
	unsigned bad = 0;
	for (unsigned k = 0; k < RANGES; k++) {
		struct storetest_row rows[SERIES];
		for (unsigned i = 0; i < SERIES; i++)
			rows[i] = (struct storetest_row){
				.labels = names[i], .t_ms = time_of(k), .v = i * 1000 + k
			};
		struct storetest_verdict v = storetest_write(s, 0, rows, SERIES);
		bad += v.err || v.refused;
	}
	return bad;
}

static void more_files_than_descriptors(void)
{
	char *dir = testlib_tmpdir("manyfiles");
	struct fsio_ops ops = fsio_real;
	struct storetest s;
	ops.sync = no_sync;
	ops.dir_sync = no_dir_sync;
	fsio_hook(&ops);
	storetest_init(&s, dir);
	s.opts.shards = 4;
	s.opts.retention_ms = 400ll * 24 * 3600 * 1000;
	s.opts.ooo_window_ms = s.opts.retention_ms;
	if (!tap_ok(!storetest_open(&s, 1), "opens with %u descriptors", ALLOWED))
		return;
	TAP_OK(write_all(&s) == 0);
	uint64_t failed = metric_sum(M_ROUNDS_FAILED);
	tap_ok(!storetest_flush(&s) && metric_sum(M_ROUNDS_FAILED) == failed,
	    "rounds and merges of %u files", 4 * RANGES);
	all_there(&s, "after them");
	tap_ok(fdcache_count() < ALLOWED / 2, "%zu are open for reading", fdcache_count());
	storetest_close(&s);
	uint64_t lost = metric_sum(M_FILES_LOST);
	if (!tap_ok(!storetest_open(&s, 1), "opens again"))
		return;
	tap_is_u64(metric_sum(M_FILES_LOST), lost, "no file is lost");
	all_there(&s, "after a restart");
	TAP_OK(write_all(&s) == 0 && !storetest_flush(&s));
	all_there(&s, "after a second round over all of them");
	storetest_close(&s);
	TAP_OK(fdcache_count() == 0);
	fsio_hook(NULL);
	testlib_rmtree(dir);
	free(dir);
}

static void too_few(void)
{
	char *dir = testlib_tmpdir("manyfiles");
	struct storetest s;
	struct errbuf eb;
	errbuf_init(&eb);
	storetest_init(&s, dir);
	s.opts.shards = 300;
	testteam_start(&s.tt, 1);
	s.opts.team = s.tt.team;
	s.opts.pool = s.tt.pool;
	enum err e = store_open(&s.opts, &s.store, &eb);
	testteam_stop(&s.tt);
	tap_ok(e == ERR_NOFILES && strstr(eb.text, "too many open files: 300 allowed, 1584 needed"),
	    "too few for the shards: %s", eb.text);
	testlib_rmtree(dir);
	free(dir);
}

int main(void)
{
	struct rlimit r;
	arena_init(&arena, 1 << 16);
	base_ms =
	    clock_wall_ms() / SAMPLE_RANGE_MS * SAMPLE_RANGE_MS - (int64_t)RANGES * SAMPLE_RANGE_MS;
	storetest_names(&arena, "many", names, SERIES);
	if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_max < ALLOWED) {
		tap_skip("not so many descriptors");
	} else {
		r.rlim_cur = ALLOWED;
		TAP_OK(setrlimit(RLIMIT_NOFILE, &r) == 0);
		more_files_than_descriptors();
		too_few();
	}
	arena_release(&arena);
	return tap_done();
}
