/*
 * Files of different widths that overlap: the higher rank wins for each sample, wherever the ranges
 * begin. Files are put into a store's list by hand, in widths from two hours to a day, and read
 * through cursors against a model.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "storage/cfile/files.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define SERIES 7
#define RANGES 24
#define SLOTS  (RANGES * 24) /* one each five minutes */
#define STEP   (SAMPLE_RANGE_MS / 24)
#define FILES  40

static struct arena arena;
static struct labels names[SERIES];
static int64_t base_ms;
static uint64_t rng = 5;
static double want[SERIES][SLOTS]; /* 0: none */
static uint32_t ids[SERIES];

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 33) % n;
}

struct found {
	unsigned samples, wrong;
};

static void take(void *arg, struct labels ls, const struct sample_column *col)
{
	struct found *f = arg;
	unsigned i = 0;
	while (i < SERIES && !label_equal(names[i], ls))
		i++;
	for (uint32_t k = 0; k < col->count; k++) {
		int64_t slot = (col->t_ms[k] - base_ms) / STEP;
		f->samples++;
		f->wrong += i == SERIES || slot < 0 || slot >= SLOTS ||
		    col->t_ms[k] != base_ms + slot * STEP || col->v[k] != want[i][slot] ||
		    (k && col->t_ms[k] <= col->t_ms[k - 1]);
	}
}

static void opts(struct storetest *s, const char *dir)
{
	storetest_init(s, dir);
	s->opts.shards = 1;
	s->opts.round_every_ms = 24 * 3600 * 1000;
	s->opts.seal_every_ms = 24 * 3600 * 1000;
}

/* The store gives ids in the order in which it meets the series. */
static bool begin(const char *dir)
{
	struct storetest s;
	opts(&s, dir);
	if (storetest_open(&s, 1))
		return false;
	for (unsigned i = 0; i < SERIES; i++) {
		struct storetest_row row = { .labels = names[i], .t_ms = base_ms, .v = 1 + i };
		struct storetest_verdict v = storetest_write(&s, 0, &row, 1);
		if (v.err || v.refused)
			return false;
		want[i][0] = 1 + i;
	}
	enum err e = storetest_flush(&s);
	storetest_close(&s);
	return !e;
}

static void file_put(struct fsio_dir *d, struct files *fs, uint64_t rank)
{
	static const unsigned widths[] = { 1, 1, 2, 6, 12, 24 };
	unsigned width = widths[rnd(6)], start = rnd(RANGES / width) * width;
	struct cfile_meta m = { .shard = 0,
		.flags = rnd(2) ? CFILE_SEALED : 0,
		.start_ms = base_ms + start * SAMPLE_RANGE_MS,
		.end_ms = base_ms + (start + width) * SAMPLE_RANGE_MS,
		.rank = rank };
	struct cfile_writer *w = NULL;
	struct cfile_stats st;
	char name[CFILE_NAME_MAX];
	cfile_name(&m, name);
	if (cfile_writer_create(d, name, &m, &w))
		abort();
	for (unsigned i = 0; i < SERIES; i++) {
		int64_t t[SLOTS];
		double v[SLOTS];
		size_t n = 0;
		unsigned every = 1 + rnd(9);
		for (unsigned slot = start * 24; slot < (start + width) * 24; slot++) {
			if (rnd(every))
				continue;
			t[n] = base_ms + slot * STEP;
			v[n++] = want[i][slot] = (double)rank * 1000 + i;
		}
		if (n)
			(void)cfile_writer_add(w, ids[i],
			    &(struct sample_column){ .count = (uint32_t)(n), .t_ms = t, .v = v });
	}
	if (cfile_writer_finish(w, &st))
		abort();
	struct files_entry e = files_entry_of(name, &m, &st);
	files_add(fs, &e);
}

static bool files_put(const char *dir)
{
	char path[4096];
	struct fsio_dir *d = NULL;
	struct files fs;
	enum files_found found;
	snprintf(path, sizeof(path), "%s/shards/00", dir);
	if (fsio_dir_open(path, false, &d) || files_load(d, 0, &fs, &found, NULL) ||
	    storetest_file_ids(d, &fs, ids, SERIES) != SERIES)
		return false;
	for (unsigned i = 0; i < FILES; i++)
		file_put(d, &fs, fs.next_rank++);
	struct files_switcher sw = { .dir = d };
	enum err e = files_switch(&sw, &fs);
	files_release(&fs);
	fsio_dir_close(d);
	return !e;
}

static unsigned wanted(unsigned from, unsigned to)
{
	unsigned n = 0;
	for (unsigned i = 0; i < SERIES; i++)
		for (unsigned slot = from; slot < to; slot++)
			n += want[i][slot] > 0;
	return n;
}

int main(void)
{
	char *dir = testlib_tmpdir("ranks");
	struct storetest s;
	arena_init(&arena, 1 << 16);
	storetest_names(&arena, "overlap", names, SERIES);
	base_ms = clock_wall_ms() - RANGES * SAMPLE_RANGE_MS;
	base_ms -= base_ms % (24 * SAMPLE_RANGE_MS);
	tap_ok(begin(dir), "a store with %u series", SERIES);
	tap_ok(files_put(dir), "%u files of all widths in its list", FILES);
	opts(&s, dir);
	if (!tap_ok(!storetest_open(&s, 1), "opens"))
		return tap_done();
	for (unsigned i = 0; i < 12; i++) {
		unsigned from = i ? rnd(SLOTS) : 0;
		unsigned to = i ? from + 1 + rnd(SLOTS - from) : SLOTS;
		struct found f = { 0 };
		enum err e = storetest_read(
		    &s, NULL, 0, base_ms + from * STEP, base_ms + (to - 1) * STEP, take, &f);
		tap_ok(!e && !f.wrong && f.samples == wanted(from, to),
		    "slots %u to %u: %u samples, %u wrong", from, to, f.samples, f.wrong);
	}
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
	arena_release(&arena);
	return tap_done();
}
