/*
 * Files: what goes in comes out by id, by walk and by definition; damage costs at most one unit and
 * never gives a wrong value.
 */
#include "core/base/arena.h"
#include "core/base/num.h"
#include "storage/cfile/cfile.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"
#include "tests/unit/storage/columns.h"

#include <stdio.h>
#include <stdlib.h>

#define START 1795168800000
#define WIDTH 7200000

struct known { /* one series as it was written */
	uint32_t id, tenant;
	size_t n;
	int64_t *t;
	double *v;
	uint8_t labels[300];
	uint32_t labels_len;
};
static struct known *known;
static size_t known_count;
static uint64_t rnd = 3;
static struct cfile_meta meta = {
	.shard = 5, .flags = CFILE_SEALED, .start_ms = START, .end_ms = START + WIDTH, .rank = 77
};

static void known_make(size_t count, size_t n_max)
{
	known = calloc(count, sizeof(*known));
	known_count = count;
	uint32_t id = 10;
	for (size_t i = 0; i < count; i++) {
		struct known *k = &known[i];
		id += columns_below(&rnd, 10) ? 1 : 1 + (uint32_t)columns_below(&rnd, 1000);
		k->id = id;
		k->tenant = (uint32_t)columns_below(&rnd, 3);
		k->n = columns_below(&rnd, 20) ? 1 + columns_below(&rnd, 480)
		                               : 1 + columns_below(&rnd, n_max);
		k->t = malloc(k->n * 8);
		k->v = malloc(k->n * 8);
		int64_t step = WIDTH / ((int64_t)k->n + 1);
		int64_t late = (int64_t)columns_below(&rnd, 4);
		for (size_t j = 0; j < k->n; j++)
			k->t[j] = START + late + step * (int64_t)j +
			    (i % 9 == 0 && step > 9 ? (int64_t)columns_below(&rnd, 9) : 0);
		columns_values(&rnd, (unsigned)columns_below(&rnd, COLUMNS_SHAPES), k->v, k->n);
		k->labels_len = (uint32_t)snprintf((char *)k->labels, sizeof(k->labels),
		    "metric_%zu{instance=\"10.0.0.%u\",job=\"%" PRIx64 "\"}", i / 7,
		    (unsigned)(i % 7), columns_rand(&rnd) >> 40);
	}
}

static void known_free(void)
{
	for (size_t i = 0; i < known_count; i++) {
		free(known[i].t);
		free(known[i].v);
	}
	free(known);
}

static const struct known *known_get(uint32_t id)
{
	for (size_t i = 0; i < known_count; i++)
		if (known[i].id == id)
			return &known[i];
	return NULL;
}

static enum err write_file(struct fsio_dir *d, const char *name, struct cfile_stats *st)
{
	struct cfile_writer *w = NULL;
	enum err e = cfile_writer_create(d, name, &meta, &w);
	if (e)
		return e;
	/* in metric order ids come in any order */
	size_t stride = meta.flags & CFILE_METRIC ? 607 : 1;
	for (size_t nth = 0; nth < known_count; nth++) {
		size_t i = nth * stride % known_count;
		const struct known *k = &known[i];
		size_t half = i % 5 == 0 ? k->n / 2 : 0; /* a series may come in pieces */
		if (half)
			(void)cfile_writer_add(w, k->id,
			    &(struct sample_column){
			        .count = (uint32_t)(half), .t_ms = k->t, .v = k->v });
		(void)cfile_writer_add(w, k->id,
		    &(struct sample_column){
		        .count = (uint32_t)(k->n - half), .t_ms = k->t + half, .v = k->v + half });
		(void)cfile_writer_define(
		    w, k->id, k->tenant, (struct labels){ k->labels, k->labels_len });
		if (i % 50 == 0 &&
		    (i + 1 == known_count ||
		        known[i + 1].id > k->id + 1)) /* a definition without samples */
			(void)cfile_writer_define(
			    w, k->id + 1, 9, (struct labels){ (const uint8_t *)"x", 1 });
	}
	return cfile_writer_finish(w, st);
}

/* The block of time columns that an entry needs, from its first or second copy; NULL: damaged. */
static struct cfile_times *times_of(
    struct cfile *f, const struct cfile_dir *d, struct cfile_times *t, uint32_t column)
{
	static uint8_t *bytes;
	struct cfile_extent ext;
	for (unsigned copy = 0; copy < 2; copy++) {
		if (!cfile_times_extent(d, column, copy, &ext))
			break;
		bytes = realloc(bytes, ext.len);
		if (!cfile_read(f, bytes, ext.len, ext.off) &&
		    !cfile_times_open(t, f, &ext, bytes, NULL) && cfile_times_has(t, column))
			return t;
	}
	return NULL;
}

/*
 * The samples of an id through find, load, check, decode: as a query does. Returns how many came;
 * *wrong counts values that were never written.
 */
static size_t read_id(
    struct cfile *f, struct cfile_unit *u, const struct known *k, size_t *wrong, bool *damaged)
{
	struct cfile_extent ext[64];
	struct column col = { 0 };
	struct cfile_times times;
	const struct cfile_dir *d = NULL;
	if (cfile_dir_load(f, &d))
		return 0;
	cfile_times_init(&times);
	size_t n = cfile_find(d, k->id, ext, 64), got = 0, at = 0;
	for (size_t i = 0; i < n; i++) {
		uint8_t *bytes = malloc(ext[i].len);
		struct errbuf eb;
		errbuf_init(&eb);
		const struct cfile_entry *e = NULL;
		if (cfile_read(f, bytes, ext[i].len, ext[i].off) ||
		    cfile_unit_open(u, f, &ext[i], bytes, &eb)) {
			*damaged = true;
			free(bytes);
			continue;
		}
		size_t entries = cfile_unit_find(u, k->id, &e);
		for (size_t j = 0; j < entries; j++) {
			column_clear(&col);
			if ((e[j].outside && !times_of(f, d, &times, e[j].column)) ||
			    cfile_unit_append(u, &times, &e[j], &col, &eb)) {
				*damaged = true;
				continue;
			}
			while (at < k->n && k->t[at] < col.t_ms[0])
				at++;
			if (e[j].count > k->n - at || memcmp(k->t + at, col.t_ms, e[j].count * 8) ||
			    memcmp(k->v + at, col.v, e[j].count * 8))
				++*wrong;
			at += e[j].count;
			got += e[j].count;
		}
		free(bytes);
	}
	cfile_times_release(&times);
	column_release(&col);
	cfile_dir_unpin(f);
	return got;
}

/* Looks that go upwards, with gaps, and back now and then find what each look alone finds. */
static size_t seeks_differ(struct cfile *f, uint32_t max)
{
	struct cfile_seek seek = { 0 };
	const struct cfile_dir *d = NULL;
	size_t differ = 0;
	if (cfile_dir_load(f, &d))
		return 1;
	for (unsigned round = 0; round < 3; round++)
		for (uint32_t i = 0, id = 0; i < 20000 && id <= max; i++) {
			struct cfile_extent a[64], b[64];
			size_t n = cfile_find(d, id, a, 64), m = cfile_find_near(d, &seek, id, b, 64);
			differ += n != m || (n && n <= 64 && memcmp(a, b, n * sizeof(*a)));
			uint32_t way = i * 2654435761u >> 8;
			if (round == 0)
				id++;
			else if (way % 16)
				id += way / 16 % (round == 1 ? 4 : 200);
			else
				id = way / 16 % (max + 1);
		}
	cfile_dir_unpin(f);
	return differ;
}

static void reads_back(struct fsio_dir *d, const struct cfile_stats *st)
{
	struct cfile *f = NULL;
	struct cfile_unit u;
	struct errbuf eb;
	errbuf_init(&eb);
	cfile_unit_init(&u);
	if (!tap_ok(cfile_open(d, "a.kcf", &f, &eb) == ERR_OK, "a finished file opens"))
		return;
	tap_ok(memcmp(cfile_stats(f), st, sizeof(*st)) == 0,
	    "figures after open are those of the writer");
	TAP_OK(cfile_meta(f)->rank == 77 && cfile_meta(f)->shard == 5 &&
	    cfile_meta(f)->flags == meta.flags && cfile_is_whole(f));
	size_t wrong = 0, missing = 0;
	bool damaged = false;
	for (size_t i = 0; i < known_count; i++)
		missing += read_id(f, &u, &known[i], &wrong, &damaged) != known[i].n;
	tap_ok(!damaged && wrong == 0 && missing == 0,
	    "every series is found by its id and comes back bit for bit (%zu wrong, %zu missing)",
	    wrong, missing);
	struct cfile_unit two[2];
	cfile_unit_init(&two[0]);
	cfile_unit_init(&two[1]);
	for (size_t i = missing = wrong = 0; i < known_count; i += 7) {
		missing += read_id(f, &two[i % 2], &known[i], &wrong, &damaged) != known[i].n;
		cfile_unit_hand(&two[i % 2], &two[1 - i % 2]);
	}
	tap_ok(!damaged && !wrong && !missing && (two[0]._zstd == NULL || two[1]._zstd == NULL),
	    "two units that hand on what opening needs read the same with one of it");
	cfile_unit_release(&two[0]);
	cfile_unit_release(&two[1]);
	size_t found = 0;
	for (uint32_t id = 0; id < known[known_count - 1].id + 5; id++)
		found += cfile_has(f, id) != (known_get(id) != NULL);
	tap_ok(found == 0, "ids that are not inside are not found");
	found = seeks_differ(f, known[known_count - 1].id + 5);
	tap_ok(found == 0, "looks that go on from the last one find the same (%zu do not)", found);
	struct cfile_damage damage;
	TAP_OK(cfile_verify(f, &damage) == ERR_OK);
	cfile_unit_release(&u);
	cfile_close(f);
}

/*
 * Counts samples and definitions of a walk; false on a value or label that was never written, or a
 * wrong order.
 */
static bool walk(struct cfile *f, size_t *samples, size_t *defs, uint64_t *damage)
{
	struct cfile_iter *it = NULL;
	struct cfile_defs *df = NULL;
	uint32_t id = 0, last = 0, tenant = 0;
	struct sample_column col;
	struct labels ls;
	bool good = true;
	size_t at = 0;
	enum err e = cfile_iter_create(f, &it);
	*samples = *defs = 0;
	while (!e && !(e = cfile_iter_next(it, &id, &col))) {
		const struct known *k = known_get(id);
		if (id != last)
			at = 0;
		good &= k != NULL && (id >= last || meta.flags & CFILE_METRIC);
		last = id;
		if (!k)
			continue;
		while (at < k->n && k->t[at] < col.t_ms[0])
			at++;
		good &= col.count <= k->n - at && !memcmp(k->t + at, col.t_ms, col.count * 8) &&
		    !memcmp(k->v + at, col.v, col.count * 8);
		at += col.count;
		*samples += col.count;
	}
	good &= e == ERR_NOTFOUND;
	*damage = cfile_iter_damage(it)->units;
	cfile_iter_free(it);
	e = cfile_defs_create(f, 0, &df);
	while (!e && !(e = cfile_defs_next(df, &id, &tenant, &ls))) {
		const struct known *k = known_get(id);
		if (tenant == 9)
			good &= ls.len == 1 && ls.bytes[0] == 'x';
		else
			good &= k && k->tenant == tenant &&
			    label_equal((struct labels){ k->labels, k->labels_len }, ls);
		++*defs;
	}
	good &= e == ERR_NOTFOUND;
	*damage += cfile_defs_damage(df)->units;
	cfile_defs_free(df);
	return good;
}

static size_t all_samples, all_defs, largest_unit_samples;

/* How much a unit, or a block of time columns, may cost: counted one by one. */
static void largest_costs(struct cfile *f)
{
	struct cfile_unit u;
	const struct cfile_dir *dir = NULL;
	if (cfile_dir_load(f, &dir))
		abort();
	size_t blocks = cfile_times_blocks(dir);
	size_t *of_block = calloc(blocks + 1, sizeof(*of_block));
	cfile_unit_init(&u);
	for (uint32_t i = 0; i < cfile_stats(f)->units; i++) {
		struct cfile_extent ext = cfile_unit_extent(dir, i), at;
		uint8_t *bytes = malloc(ext.len);
		size_t n = 0;
		if (cfile_read(f, bytes, ext.len, ext.off) ||
		    cfile_unit_open(&u, f, &ext, bytes, NULL))
			abort();
		for (uint32_t j = 0; j < u.entries; j++) {
			const struct cfile_entry *e = cfile_unit_entry(&u, j);
			n += e->count;
			if (cfile_times_extent(dir, e->column, 0, &at))
				of_block[at.unit & ~CFILE_NUMBER_TIMES] += e->count;
		}
		largest_unit_samples = n > largest_unit_samples ? n : largest_unit_samples;
		free(bytes);
	}
	for (size_t i = 0; i < blocks; i++)
		if (of_block[i] > largest_unit_samples)
			largest_unit_samples = of_block[i];
	free(of_block);
	cfile_unit_release(&u);
	cfile_dir_unpin(f);
}

static void walks(struct fsio_dir *d)
{
	struct cfile *f = NULL;
	uint64_t damage = 0;
	if (cfile_open(d, "a.kcf", &f, NULL))
		return;
	tap_ok(walk(f, &all_samples, &all_defs, &damage) && damage == 0,
	    "walks give samples and definitions in order");
	tap_ok(all_samples == cfile_stats(f)->samples, "a walk gives every sample");
	tap_ok(all_defs >= known_count, "a walk gives every definition");
	largest_costs(f);
	struct cfile_defs *df = NULL;
	uint32_t from = known[known_count / 2].id, id = 0, tenant = 0;
	struct labels ls;
	bool later = cfile_defs_create(f, from, &df) == ERR_OK &&
	    cfile_defs_next(df, &id, &tenant, &ls) == ERR_OK && id == from;
	cfile_defs_free(df);
	tap_ok(later, "a walk of definitions may begin at an id");
	cfile_close(f);
}

static void put(struct fsio_dir *d, const char *name, const uint8_t *data, size_t len)
{
	struct fsio_file *io = NULL;
	(void)!fsio_remove(d, name);
	if (fsio_open(d, name, FSIO_CREATE, &io) || fsio_write_at(io, data, len, 0))
		tap_ok(false, "cannot write %s", name);
	fsio_close(io);
}

static void flips(struct fsio_dir *d, const uint8_t *data, size_t len)
{
	unsigned wrong = 0, costly = 0, unopened = 0, noticed = 0;
	uint8_t *copy = malloc(len);
	for (unsigned i = 0; i < 120; i++) {
		/* Every third one hits header, directory or footer. */
		size_t at = i % 3 ? columns_below(&rnd, len)
		    : i % 2       ? columns_below(&rnd, 64)
		                  : len - 1 - columns_below(&rnd, 160);
		memcpy(copy, data, len);
		copy[at] ^= (uint8_t)(1u << columns_below(&rnd, 8));
		put(d, "b.kcf", copy, len);
		struct cfile *f = NULL;
		if (cfile_open(d, "b.kcf", &f, NULL)) {
			unopened++;
			continue;
		}
		size_t samples = 0, defs = 0;
		uint64_t damage = 0;
		wrong += !walk(f, &samples, &defs, &damage);
		costly += samples + largest_unit_samples < all_samples || defs + 9000 < all_defs;
		if (samples < all_samples || defs < all_defs)
			noticed += damage > 0 || !cfile_is_whole(f);
		else
			noticed++;
		cfile_close(f);
	}
	free(copy);
	tap_ok(unopened == 0, "a turned bit anywhere leaves the file open");
	tap_ok(wrong == 0, "a turned bit never gives a wrong value");
	tap_ok(costly == 0, "a turned bit costs one unit at most");
	tap_ok(noticed + unopened == 120, "what is lost is told");
}

static void cuts(struct fsio_dir *d, const uint8_t *data, size_t len)
{
	unsigned wrong = 0, silent = 0;
	size_t kept = 0;
	for (unsigned i = 0; i < 60; i++) {
		size_t cut = i < 10 ? columns_below(&rnd, 200)
		    : i < 20        ? len - 1 - columns_below(&rnd, 200)
		                    : columns_below(&rnd, len);
		put(d, "b.kcf", data, cut);
		struct cfile *f = NULL;
		if (cfile_open(d, "b.kcf", &f, NULL)) {
			wrong += cut >= 64;
			continue;
		}
		size_t samples = 0, defs = 0;
		uint64_t damage = 0;
		wrong += !walk(f, &samples, &defs, &damage);
		silent += cfile_is_whole(f);
		/*
		 * All whole units before the cut are there: at most one unit of the kept part is
		 * lost.
		 */
		kept += samples > 0;
		cfile_close(f);
	}
	tap_ok(
	    wrong == 0, "a cut file never gives a wrong value, and opens when its header is there");
	tap_ok(silent == 0, "a cut file says that it is");
	tap_ok(kept > 20, "whole units before the cut are read");
}

static void garbage(struct fsio_dir *d, const uint8_t *data, size_t len)
{
	unsigned wrong = 0;
	uint8_t *copy = malloc(len);
	for (unsigned i = 0; i < 60; i++) {
		memcpy(copy, data, len);
		size_t at = columns_below(&rnd, len), n = columns_below(&rnd, 5000);
		for (size_t j = at; j < len && j < at + n; j++)
			copy[j] = (uint8_t)columns_rand(&rnd);
		/* A unit in a wrong place does not pass either. */
		if (i % 4 == 0 && len > 9000)
			memmove(copy + 64, copy + 64 + 1 + columns_below(&rnd, 4096), 4000);
		put(d, "b.kcf", copy, len);
		struct cfile *f = NULL;
		if (cfile_open(d, "b.kcf", &f, NULL))
			continue;
		size_t samples = 0, defs = 0;
		uint64_t damage = 0;
		wrong += !walk(f, &samples, &defs, &damage);
		cfile_close(f);
	}
	free(copy);
	tap_ok(wrong == 0, "overwritten and moved pieces never give a wrong value");
}

static void empty_and_defs_only(struct fsio_dir *d)
{
	struct cfile_writer *w = NULL;
	struct cfile *f = NULL;
	struct cfile_stats st;
	struct cfile_damage damage;
	TAP_OK(cfile_writer_create(d, "e.kcf", &meta, &w) == ERR_OK &&
	    cfile_writer_finish(w, &st) == ERR_OK);
	TAP_OK(cfile_open(d, "e.kcf", &f, NULL) == ERR_OK && cfile_stats(f)->series == 0 &&
	    !cfile_has(f, 0) && cfile_verify(f, &damage) == ERR_OK);
	TAP_OK(cfile_stats(f)->t_min_ms == INT64_MAX);
	cfile_close(f);
	TAP_OK(cfile_writer_create(d, "e.kcf", &meta, &w) == ERR_EXISTS);
	TAP_OK(cfile_writer_create(d, "f.kcf", &meta, &w) == ERR_OK);
	uint8_t *huge = calloc(1, CFILE_LABELS_MAX + 1);
	TAP_OK(cfile_writer_define(w, 1, 0, (struct labels){ huge, CFILE_LABELS_MAX + 1 }) ==
	    ERR_TOOBIG);
	TAP_OK(cfile_writer_define(w, 2, 0, (struct labels){ huge, CFILE_LABELS_MAX }) == ERR_OK);
	TAP_OK(cfile_writer_define(w, UINT32_MAX, 0, (struct labels){ NULL, 0 }) == ERR_OK);
	cfile_writer_labels_all(w);
	TAP_OK(cfile_writer_finish(w, &st) == ERR_OK);
	free(huge);
	TAP_OK(cfile_open(d, "f.kcf", &f, NULL) == ERR_OK &&
	    cfile_meta(f)->flags == (CFILE_SEALED | CFILE_LABELS_ALL) &&
	    cfile_verify(f, &damage) == ERR_OK);
	cfile_close(f);
	TAP_OK(cfile_writer_create(d, "g.kcf", &meta, &w) == ERR_OK);
	cfile_writer_abort(w);
	TAP_OK(cfile_open(d, "g.kcf", &f, NULL) == ERR_NOTFOUND);
	char name[CFILE_NAME_MAX];
	cfile_name(&meta, name);
	tap_ok(strcmp(name, "1795168800000-7200000-77.kcf") == 0, "names say range and rank (%s)",
	    name);
}

static void names(void)
{
	static const char *const bad[] = { "", "FILES.tmp", "1-2-.kcf", "1-2-3", "1-2-3.kcf.aside",
		"1-2-3.x.kcf", "1-2-99999999999999999999999.kcf", "1-2-3.99999999999.kcf",
		"a-2-3.kcf" };
	char name[CFILE_NAME_MAX];
	unsigned serial, wrong = 0;
	uint64_t rank;
	for (int64_t start = -7200000; start <= 7200000; start += 7200000)
		for (unsigned k = 0; k < 3; k++) {
			struct cfile_meta m = { .start_ms = start,
				.end_ms = start + 7200000,
				.rank = k ? UINT64_MAX - k : 0 };
			cfile_name_serial(&m, k * 1000, name);
			wrong += !cfile_name_parse(name, &rank, &serial) || rank != m.rank ||
			    serial != k * 1000;
		}
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		wrong += cfile_name_parse(bad[i], &rank, &serial);
	tap_is_u64(wrong, 0, "names give back rank and serial");
}

static void whole(struct fsio_dir *d, uint32_t order)
{
	struct cfile_stats st;
	meta.flags = CFILE_SEALED | order;
	tap_note("%s", order ? "metric order" : "id order");
	known_make(1500, 20000);
	TAP_OK(write_file(d, "a.kcf", &st) == ERR_OK);
	tap_note("%" PRIu64 " bytes, %" PRIu64 " samples, %u series, %u units, %u blocks",
	    st.size_bytes, st.samples, st.series, st.units, st.blocks);
	reads_back(d, &st);
	all_samples = all_defs = largest_unit_samples = 0;
	walks(d);
	known_free();
	(void)!fsio_remove(d, "a.kcf");
}

static void damaged(struct fsio_dir *d, uint32_t order)
{
	struct cfile_stats st;
	uint8_t *data = NULL;
	size_t len = 0;
	meta.flags = CFILE_SEALED | order;
	known_make(900, 600); /* small, for many damages */
	TAP_OK(write_file(d, "a.kcf", &st) == ERR_OK);
	all_samples = all_defs = largest_unit_samples = 0;
	walks(d);
	if (fsio_load(d, "a.kcf", 1u << 30, &data, &len))
		abort();
	flips(d, data, len);
	cuts(d, data, len);
	garbage(d, data, len);
	mem_free(data);
	known_free();
	(void)!fsio_remove(d, "a.kcf");
}

int main(void)
{
	char *dir = testlib_tmpdir("t_cfile");
	struct fsio_dir *d = NULL;
	if (fsio_dir_open(dir, false, &d))
		return 1;
	whole(d, 0);
	whole(d, CFILE_METRIC);
	damaged(d, 0);
	damaged(d, CFILE_METRIC);
	meta.flags = CFILE_SEALED;
	empty_and_defs_only(d);
	fsio_dir_close(d);
	testlib_rmtree(dir);
	free(dir);
	names();
	return tap_done();
}
