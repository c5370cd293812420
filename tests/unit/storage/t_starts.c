/*
 * Starts of a store over what lies there: a log without its first segment, a catalog that is made
 * anew from many files.
 */
#include <dirent.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define ROWS   5000u
#define FILES  40u
#define MINUTE INT64_C(60000)

static struct arena arena;
static struct storetest st;
static char *dir;

static void begin(void)
{
	dir = testlib_tmpdir("starts");
	storetest_init(&st, dir);
	st.opts.shards = 1;
	st.opts.round_every_ms = 24 * 60 * MINUTE;
	st.opts.log_segment_bytes = 1 << 18;
}

static void end(void)
{
	testlib_rmtree(dir);
	free(dir);
}

static bool put(unsigned series, int64_t t_ms, unsigned rows)
{
	static struct storetest_row r[ROWS];
	char no[16];
	snprintf(no, sizeof(no), "%u", series);
	struct labels ls = label_make(&arena, LABEL_NAME, "m", "no", no, NULL);
	for (unsigned i = 0; i < rows; i++)
		r[i] =
		    (struct storetest_row){ .labels = ls, .t_ms = t_ms + i, .v = i * 1.7 + series };
	struct storetest_verdict v = storetest_write(&st, 0, r, rows);
	return !v.err && !v.refused;
}

/* ---- the beginning of the log ---- */

/* Removes the segment that was written first; how many there were. */
static unsigned first_segment_remove(void)
{
	char path[300], first[300] = "";
	unsigned count = 0;
	snprintf(path, sizeof(path), "%s/log", dir);
	DIR *d = opendir(path);
	struct dirent *e;
	while (d && (e = readdir(d))) {
		struct stat sb;
		char name[600];
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		if (!strstr(e->d_name, ".seg") || stat(name, &sb))
			continue;
		count++;
		if (!first[0] || strcmp(e->d_name, first) < 0)
			snprintf(first, sizeof(first), "%s", e->d_name);
	}
	closedir(d);
	strcat(path, "/");
	strcat(path, first);
	unlink(path);
	return count;
}

static void log_without_beginning(void)
{
	bool well = true;
	begin();
	well &= !storetest_open(&st, 1);
	for (unsigned i = 0; i < 8; i++)
		well &= put(1, clock_wall_ms() - 50 * MINUTE + i * ROWS, ROWS);
	storetest_close(&st);
	uint64_t before = metric_sum(M_LOG_DAMAGED_FRAMES);
	well &= !storetest_open(&st, 1);
	storetest_close(&st);
	tap_ok(well && metric_sum(M_LOG_DAMAGED_FRAMES) == before, "a whole log is not damaged");
	unsigned segments = first_segment_remove();
	well &= !storetest_open(&st, 1);
	tap_ok(well && segments > 1 && metric_sum(M_LOG_DAMAGED_FRAMES) > before,
	    "one whose first of %u segments is missing is, by %llu", segments,
	    (unsigned long long)(metric_sum(M_LOG_DAMAGED_FRAMES) - before));
	storetest_close(&st);
	end();
}

static void log_freed(void)
{
	bool well = true;
	begin();
	well &= !storetest_open(&st, 1);
	uint64_t before = metric_sum(M_LOG_DAMAGED_FRAMES);
	for (unsigned k = 0; k < 3; k++) {
		for (unsigned i = 0; i < 8; i++)
			well &= put(1, clock_wall_ms() - 50 * MINUTE + (k * 8 + i) * ROWS, ROWS);
		if (k < 2)
			well &= !storetest_flush(&st);
		storetest_close(&st);
		well &= !storetest_open(&st, 1);
	}
	tap_ok(well && metric_sum(M_LOG_DAMAGED_FRAMES) == before,
	    "nor is one whose first segments were given back");
	storetest_close(&st);
	end();
}

/* ---- the catalog from many files ---- */

static size_t commits_of_catalog(void)
{
	char path[300];
	MDB_env *env;
	MDB_envinfo info = { 0 };
	snprintf(path, sizeof(path), "%s/catalog", dir);
	if (mdb_env_create(&env) || mdb_env_open(env, path, MDB_RDONLY | MDB_NOLOCK, 0600) ||
	    mdb_env_info(env, &info))
		tap_note("the catalog cannot be looked at");
	mdb_env_close(env);
	return info.me_last_txnid;
}

static unsigned found;

static void count_series(void *arg, struct labels ls, const struct sample_column *col)
{
	(void)arg;
	(void)ls;
	found += col->count == 1;
}

static void catalog_of_many_files(void)
{
	char path[300];
	bool well = true;
	int64_t now = clock_wall_ms();
	begin();
	st.opts.seal_every_ms = 24 * 60 * MINUTE;
	well &= !storetest_open(&st, 1);
	for (unsigned i = 0; i < FILES; i++) {
		well &= put(i, now, 1);
		well &= !storetest_flush(&st);
	}
	storetest_close(&st);
	size_t as_they_came = commits_of_catalog();
	snprintf(path, sizeof(path), "%s/catalog", dir);
	testlib_rmtree(path);
	well &= !storetest_open(&st, 1);
	well &= !storetest_read(&st, NULL, 0, now - MINUTE, now + MINUTE, count_series, NULL);
	storetest_close(&st);
	size_t at_once = commits_of_catalog();
	tap_ok(well && found == FILES && at_once * 3 < as_they_came,
	    "a catalog is made of %u files in %zu commits (%zu as they came), %u series found",
	    FILES, at_once, as_they_came, found);
	end();
}

int main(void)
{
	log_setup(LOG_LEVEL_NONE, false);
	arena_init(&arena, 1 << 16);
	log_without_beginning();
	log_freed();
	catalog_of_many_files();
	arena_release(&arena);
	return tap_done();
}
