/*
 * Files of version 1 stay readable: two files written by the writer of then (cfile1/round.kcf and
 * cfile1/sealed.kcf) open, find, walk, verify, tell their definitions, and merge into a file of
 * now with the same samples.
 *
 * t_cfile1 DIR writes the two files anew, in the format of the build.
 */
#include "core/base/num.h"
#include "storage/cfile/cfile.h"
#include "storage/compact/seal.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#include <stdio.h>
#include <stdlib.h>

#define START  1795168800000
#define WIDTH  7200000
#define SERIES 60u
#define MANY   9000u /* samples of the series with two chunks */
#define BIG    31u

static int64_t t_ms[MANY];
static double v[MANY];

static uint32_t id_of(unsigned i)
{
	return 10 + 3 * i - i % 2;
}

/* Samples of series i in the file of a rank. */
static uint32_t fill(unsigned i, uint64_t rank)
{
	uint32_t n = i == BIG ? MANY : 5 + i * 4;
	int64_t step = i == BIG ? 700 : 15000;
	for (uint32_t j = 0; j < n; j++) {
		t_ms[j] = START + i % 3 + step * j;
		switch (i % 5) {
		case 0:
			v[j] = i;
			break;
		case 1:
			v[j] = (double)(j * i) * (double)rank;
			break;
		case 2:
			v[j] = (double)(j % 7) * 0.25 + (double)rank;
			break;
		case 3:
			v[j] = num_from_bits(0x3ff0000000000000u + j * 0x123456789u * rank);
			break;
		default:
			v[j] = j % 11 ? (double)(j / 8) : num_from_bits(SAMPLE_STALE_BITS);
			break;
		}
	}
	return n;
}

static struct labels labels_for(unsigned i)
{
	static char text[80];
	int n = snprintf(text, sizeof(text), "metric_%u{instance=\"10.0.0.%u\"}", i / 7, i % 7);
	return (struct labels){ (const uint8_t *)text, (uint32_t)n };
}

static bool in_file(unsigned i, uint64_t rank)
{
	return rank == 1 || i % 4 != 1;
}

static void write_one(struct fsio_dir *d, const char *name, uint64_t rank)
{
	struct cfile_writer *w = NULL;
	struct cfile_meta m = { .shard = 3,
		.flags = rank == 1 ? CFILE_SEALED : 0,
		.start_ms = START,
		.end_ms = START + WIDTH,
		.rank = rank };
	if (cfile_writer_create(d, name, &m, &w))
		abort();
	for (unsigned i = 0; i < SERIES; i++) {
		if (!in_file(i, rank))
			continue;
		uint32_t n = fill(i, rank);
		(void)cfile_writer_add(
		    w, id_of(i), &(struct sample_column){ .count = n, .t_ms = t_ms, .v = v });
		if (rank == 1)
			(void)cfile_writer_define(w, id_of(i), i % 3, labels_for(i));
	}
	if (rank == 1)
		cfile_writer_labels_all(w);
	if (cfile_writer_finish(w, NULL))
		abort();
}
static unsigned series_of(uint32_t id)
{
	unsigned i = 0;
	while (i < SERIES && id_of(i) != id)
		i++;
	return i;
}

/* Are these the samples of series i from its sample `at` on? */
static bool is_part(unsigned i, uint64_t rank, const struct sample_column *col, uint32_t at)
{
	uint32_t n = i < SERIES ? fill(i, rank) : 0;
	return at + col->count <= n && !memcmp(t_ms + at, col->t_ms, col->count * sizeof(*t_ms)) &&
	    !memcmp(v + at, col->v, col->count * sizeof(*v));
}

static void walks(struct cfile *f, uint64_t rank)
{
	struct cfile_iter *it = NULL;
	struct sample_column col;
	uint32_t id = 0, last = 0, at = 0;
	unsigned series = 0, wrong = 0, missing = 0;
	if (cfile_iter_create(f, &it))
		abort();
	while (!cfile_iter_next(it, &id, &col)) {
		series += id != last;
		at = id == last ? at : 0;
		wrong += !is_part(series_of(id), rank, &col, at);
		at += col.count;
		last = id;
	}
	cfile_iter_free(it);
	for (unsigned i = 0; i < SERIES; i++)
		missing += cfile_has(f, id_of(i)) != in_file(i, rank);
	tap_ok(!wrong && !missing && series == cfile_stats(f)->series,
	    "%u series as they were written: %u wrong, %u missing", series, wrong, missing);
}

static void defines(struct cfile *f)
{
	struct cfile_defs *it = NULL;
	uint32_t id, tenant;
	struct labels ls;
	unsigned n = 0, wrong = 0;
	if (cfile_defs_create(f, 0, &it))
		abort();
	while (!cfile_defs_next(it, &id, &tenant, &ls)) {
		unsigned i = series_of(id);
		wrong += i == SERIES || tenant != i % 3 || !label_equal(ls, labels_for(i));
		n++;
	}
	cfile_defs_free(it);
	tap_ok(n == SERIES && !wrong, "%u definitions, %u wrong", n, wrong);
}

/* One series through find, load, open and append. */
static void finds(struct cfile *f, uint64_t rank)
{
	const struct cfile_dir *d = NULL;
	struct cfile_extent ext[8];
	struct cfile_unit u;
	struct column c = { 0 };
	const struct cfile_entry *e;
	cfile_unit_init(&u);
	if (cfile_dir_load(f, &d))
		abort();
	size_t n = cfile_find(d, id_of(BIG), ext, 8);
	for (size_t i = 0; i < n && n <= 8; i++) {
		uint8_t *bytes = malloc(ext[i].len);
		if (cfile_read(f, bytes, ext[i].len, ext[i].off) ||
		    cfile_unit_open(&u, f, &ext[i], bytes, NULL))
			abort();
		size_t entries = cfile_unit_find(&u, id_of(BIG), &e);
		for (size_t k = 0; k < entries; k++)
			if (cfile_unit_append(&u, NULL, &e[k], &c, NULL))
				abort();
		free(bytes);
	}
	struct sample_column col = column_view(&c, 0, c.count);
	tap_ok(c.count == MANY && is_part(BIG, rank, &col, 0), "a series of two chunks is found");
	cfile_dir_unpin(f);
	cfile_unit_release(&u);
	column_release(&c);
}

static struct cfile *golden(struct fsio_dir *d, const char *name, uint64_t rank, uint32_t flags)
{
	struct cfile *f = NULL;
	struct cfile_damage damage;
	bool good = cfile_open(d, name, &f, NULL) == ERR_OK;
	if (!tap_ok(good, "%s opens", name))
		exit(1);
	TAP_OK(cfile_meta(f)->rank == rank && cfile_meta(f)->flags == flags &&
	    cfile_meta(f)->start_ms == START && cfile_meta(f)->end_ms == START + WIDTH);
	TAP_OK(cfile_is_whole(f) && cfile_verify(f, &damage) == ERR_OK);
	walks(f, rank);
	finds(f, rank);
	return f;
}

/* Both into one file of now: the higher rank wins. */
static void merges(struct fsio_dir *to, struct cfile *sealed, struct cfile *round)
{
	struct cfile *in[] = { sealed, round }, *out = NULL;
	struct seal_opts o = { .dir = to, .inputs = in, .inputs_count = 2 };
	struct seal_result r;
	struct cfile_iter *it = NULL;
	struct sample_column col;
	uint32_t id = 0, last = 0, at = 0;
	unsigned wrong = 0, series = 0;
	if (seal_run(&o, &r, NULL) || cfile_open(to, r.name, &out, NULL) ||
	    cfile_iter_create(out, &it))
		abort();
	while (!cfile_iter_next(it, &id, &col)) {
		unsigned i = series_of(id);
		series += id != last;
		at = id == last ? at : 0;
		wrong += i == SERIES || !is_part(i, in_file(i, 2) ? 2 : 1, &col, at);
		at += col.count;
		last = id;
	}
	cfile_iter_free(it);
	tap_ok(series == SERIES && !wrong && !r.damage_units && !r.unlabelled,
	    "merged: %u series, %u wrong", series, wrong);
	defines(out);
	cfile_close(out);
}

int main(int argc, char **argv)
{
	struct fsio_dir *d = NULL, *to = NULL;
	char path[4096];
	const char *src = getenv("KYMO_SRC");
	if (argc > 1) {
		if (fsio_dir_open(argv[1], false, &d))
			return 1;
		write_one(d, "sealed.kcf", 1);
		write_one(d, "round.kcf", 2);
		return 0;
	}
	snprintf(path, sizeof(path), "%s/tests/unit/storage/cfile1", src ? src : ".");
	char *dir = testlib_tmpdir("cfile1");
	if (fsio_dir_open(path, false, &d) || fsio_dir_open(dir, false, &to))
		return 1;
	struct cfile *sealed = golden(d, "sealed.kcf", 1, CFILE_SEALED | CFILE_LABELS_ALL);
	defines(sealed);
	struct cfile *round = golden(d, "round.kcf", 2, 0);
	merges(to, sealed, round);
	cfile_close(sealed);
	cfile_close(round);
	fsio_dir_close(d);
	fsio_dir_close(to);
	testlib_rmtree(dir);
	free(dir);
	return tap_done();
}
