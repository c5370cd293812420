/*
 * A shard with very many files in its list: what a start costs in time and memory for each, and
 * that they become few without a long turn. KYMO_LIST_FILES (2,000) files of two hours.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/fdcache.h"
#include "core/base/memo.h"
#include "core/base/metric.h"
#include "storage/cfile/files.h"
#include "storage/store_priv.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define SERIES 3
#define SLOTS  4
#define STEP   (SAMPLE_RANGE_MS / SLOTS)
#define T0     (1750000000000LL - 1750000000000LL % (120 * SAMPLE_RANGE_MS))
/* of a start, for each file: an entry of the list, an open file with its directory */
#define BYTES_MOST 1450u
#define READS_MOST 4u

static struct arena arena;
static struct labels names[SERIES];
static struct storetest s;
static char *dir;
static uint32_t ids[SERIES];
static unsigned list_files;
static unsigned reads; /* of files of the shard; atomic */

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

static enum err counted_read(struct fsio_file *f, void *data, size_t len, uint64_t off, bool nowait)
{
	__atomic_add_fetch(&reads, 1, __ATOMIC_RELAXED);
	return fsio_real.read_at(f, data, len, off, nowait);
}

static int64_t start_of(unsigned k)
{
	return T0 - (int64_t)(list_files - k) * SAMPLE_RANGE_MS;
}

static void opts(int64_t seal_every_ms)
{
	storetest_init(&s, dir);
	s.opts.shards = 1;
	s.opts.retention_ms = (int64_t)(list_files + 1000) * SAMPLE_RANGE_MS;
	s.opts.seal_every_ms = seal_every_ms;
}

static struct files_entry file_put(struct fsio_dir *d, unsigned k, uint64_t rank)
{
	struct cfile_meta m = {
		.flags = CFILE_SEALED, .start_ms = start_of(k), .end_ms = start_of(k + 1), .rank = rank
	};
	struct cfile_writer *w = NULL;
	struct cfile_stats st;
	char name[CFILE_NAME_MAX];
	cfile_name(&m, name);
	if (cfile_writer_create(d, name, &m, &w))
		abort();
	for (unsigned i = 0; i < SERIES; i++) {
		int64_t t[SLOTS];
		double v[SLOTS];
		for (unsigned n = 0; n < SLOTS; n++) {
			t[n] = m.start_ms + n * STEP;
			v[n] = (double)(k * SLOTS + n + i);
		}
		(void)cfile_writer_add(
		    w, ids[i], &(struct sample_column){ .count = SLOTS, .t_ms = t, .v = v });
	}
	if (cfile_writer_finish(w, &st))
		abort();
	return files_entry_of(name, &m, &st);
}

static bool files_put(void)
{
	char path[4096];
	struct fsio_dir *d = NULL;
	struct files fs;
	enum files_found found;
	snprintf(path, sizeof(path), "%s/shards/00", dir);
	if (fsio_dir_open(path, false, &d) || files_load(d, 0, &fs, &found, NULL) ||
	    storetest_file_ids(d, &fs, ids, SERIES) != SERIES)
		return false;
	struct files_entry *made = calloc(list_files, sizeof(*made));
	for (unsigned k = 0; k < list_files; k++)
		made[k] = file_put(d, k, fs.next_rank++);
	bool good = files_add_many(&fs, made, list_files);
	free(made);
	struct files_switcher sw = { .dir = d };
	uint64_t ns = clock_real_mono_ns();
	good = good && !files_switch(&sw, &fs);
	uint64_t switched = clock_real_mono_ns() - ns;
	struct files copy;
	ns = clock_real_mono_ns();
	files_copy(&copy, &fs);
	uint64_t copied = clock_real_mono_ns() - ns;
	files_release(&copy);
	files_release(&fs);
	ns = clock_real_mono_ns();
	good = good && !files_load(d, 0, &fs, &found, NULL);
	tap_note("a list of %u: copied in %.2f ms, switched in %.1f ms, loaded in %.1f ms",
	    list_files, (double)copied / 1e6, (double)switched / 1e6,
	    (double)(clock_real_mono_ns() - ns) / 1e6);
	files_release(&fs);
	fsio_dir_close(d);
	return good;
}

/* The store gives ids in the order in which it meets the series. */
static bool begin(void)
{
	opts(24 * 3600 * 1000);
	if (storetest_open(&s, 1))
		return false;
	for (unsigned i = 0; i < SERIES; i++) {
		struct storetest_row row = { .labels = names[i], .t_ms = T0, .v = 1 + i };
		struct storetest_verdict v = storetest_write(&s, 0, &row, 1);
		if (v.err || v.refused)
			return false;
	}
	enum err e = storetest_flush(&s);
	storetest_close(&s);
	return !e && files_put();
}

struct seen {
	unsigned samples, wrong;
};

static void take(void *arg, struct labels ls, const struct sample_column *col)
{
	struct seen *x = arg;
	unsigned i = 0;
	while (i < SERIES && !label_equal(names[i], ls))
		i++;
	x->samples += col->count;
	for (uint32_t n = 0; n < col->count; n++) {
		int64_t at = (col->t_ms[n] - start_of(0)) / STEP;
		x->wrong += col->v[n] != (double)(at + i) || start_of(0) + at * STEP != col->t_ms[n];
	}
}

static void all_there(const char *when)
{
	struct seen x = { 0 };
	enum err e = storetest_read(&s, NULL, 0, start_of(0), T0 - 1, take, &x);
	tap_ok(!e && x.samples == list_files * SLOTS * SERIES && !x.wrong,
	    "%s: %u samples, %u wrong", when, x.samples, x.wrong);
}

int main(void)
{
	struct fsio_ops ops = fsio_real;
	const char *env = getenv("KYMO_LIST_FILES");
	arena_init(&arena, 1 << 14);
	list_files = env && atoi(env) > 0 ? (unsigned)atoi(env) : 2000;
	storetest_names(&arena, "longlist", names, SERIES);
	dir = testlib_tmpdir("longlist");
	clock_fake(T0);
	ops.sync = no_sync;
	ops.dir_sync = no_dir_sync;
	ops.read_at = counted_read;
	fsio_hook(&ops);
	if (!tap_ok(begin(), "a shard with a list of %u files", list_files))
		return tap_done();
	opts(24 * 3600 * 1000);
	tap_ok(!storetest_open(&s, 1), "opens; the catalog learns of them");
	storetest_close(&s);
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
	__atomic_store_n(&reads, 0, __ATOMIC_RELAXED);
	uint64_t ns = clock_real_mono_ns();
	if (!tap_ok(!storetest_open(&s, 1), "opens again"))
		return tap_done();
	ns = clock_real_mono_ns() - ns;
	size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
	before += memo_bytes();
	/* a sanitizer's malloc does not tell */
	size_t bytes = after > before ? after - before : 0;
	unsigned read = __atomic_load_n(&reads, __ATOMIC_RELAXED);
	tap_note("opened in %.1f ms, %zu bytes and %zu of directories that go when others need them, "
	         "%u reads, %zu descriptors",
	    (double)ns / 1e6, bytes, memo_bytes(), read, fdcache_count());
	tap_ok(bytes / list_files <= BYTES_MOST + 4000000 / list_files, "%zu bytes for each file",
	    bytes / list_files);
	tap_ok(read <= list_files * READS_MOST + 100, "%.1f reads", (double)read / list_files);
	all_there("with all of them");
	storetest_close(&s);
	opts(1000);
	if (!tap_ok(!storetest_open(&s, 1), "opens and merges"))
		return tap_done();
	for (unsigned k = 0; k < list_files && metric_sum(M_FILES) > list_files / 120 + 16; k++)
		storetest_advance(&s, 1000);
	tap_ok(metric_sum(M_FILES) <= list_files / 120 + 16, "%llu files stay",
	    (unsigned long long)metric_sum(M_FILES));
	all_there("when they are merged");
	storetest_close(&s);
	fsio_hook(NULL);
	testlib_rmtree(dir);
	free(dir);
	arena_release(&arena);
	return tap_done();
}
