/*
 * What else files hold: histograms and start times beside floats, other bytes for ids, units of
 * kinds that nobody knows yet; series of many chunks; time columns that are damaged.
 */
#include "storage/cfile/cfile_priv.h"
#include "storage/compact/seal.h"
#include "tests/lib/tap.h"
#include "tests/lib/testhist.h"
#include "tests/lib/testlib.h"

#include <stdio.h>
#include <stdlib.h>

#define START  1795168800000
#define WIDTH  7200000
#define SERIES 40u

static uint64_t seed = 4;
static struct column want[SERIES + 1]; /* by id */

static uint64_t below(uint64_t n)
{
	return testhist_mix(&seed) % n;
}

static void add(struct column *c, int64_t t_ms, double v, const struct hist *h, int64_t start_ms)
{
	column_reserve(c, 1);
	c->t_ms[c->count] = t_ms;
	c->v[c->count++] = h ? num_from_bits(SAMPLE_HIST_BITS) : v;
	if (h || start_ms)
		column_set(c, c->count - 1, h, start_ms);
}

/* A third of the series are floats, a third histograms, a third both and start times. */
static void column_make(struct column *c, uint32_t id, uint64_t rank)
{
	size_t n = 1 + below(200);
	column_clear(c);
	for (size_t i = 0; i < n; i++) {
		int64_t t = START + (int64_t)(rank * 100 + i) * 5000;
		bool hist = id % 3 == 1 || (id % 3 == 2 && below(2));
		struct hist *h = hist ? testhist_any(column_memory(c), below(40)) : NULL;
		add(c, t, (double)(rank * 1000 + i), h, id % 3 == 2 ? (int64_t)below(3) * START : 0);
	}
}

static bool rows_equal(struct column *c, const struct sample_column *s, uint32_t at)
{
	bool good = at + s->count <= c->count;
	for (uint32_t i = 0; i < s->count && good; i++)
		good = c->t_ms[at + i] == s->t_ms[i] && num_bits(c->v[at + i]) == num_bits(s->v[i]) &&
		    hist_equal(column_hist(c, at + i), s->h ? s->h[i] : NULL) &&
		    column_start_ms(c, at + i) == (s->start_ms ? s->start_ms[i] : 0);
	return good;
}

/* Bytes for an id in the file of a rank; none for some. */
static size_t opaque_of(uint32_t id, uint64_t rank, char *out, size_t size)
{
	if (id % 4 == 0 || (id + rank) % 7 == 0)
		return 0;
	int n = snprintf(out, size, "<%u@%llu>", id, (unsigned long long)rank);
	return (size_t)n;
}

static struct cfile *file_make(struct fsio_dir *d, uint64_t rank, uint32_t flags)
{
	struct cfile_meta m = {
		.shard = 1, .flags = flags, .start_ms = START, .end_ms = START + WIDTH, .rank = rank
	};
	struct cfile_writer *w = NULL;
	struct cfile *f = NULL;
	struct column c = { 0 }, merged = { 0 };
	char name[CFILE_NAME_MAX];
	cfile_name(&m, name);
	if (cfile_writer_create(d, name, &m, &w))
		abort();
	for (uint32_t k = 0; k < SERIES; k++) {
		uint32_t id = flags & CFILE_METRIC ? 1 + k * 7 % SERIES : 1 + k;
		char text[64];
		int len = snprintf(text, sizeof(text), "m%u", id);
		column_make(&c, id, rank);
		column_merge(&c, &want[id], &merged);
		struct column swap = want[id];
		want[id] = merged;
		merged = swap;
		struct sample_column col = column_view(&c, 0, c.count);
		if (cfile_writer_add(w, id, &col) ||
		    cfile_writer_define(
		        w, id, 0, (struct labels){ (const uint8_t *)text, (uint32_t)len }))
			abort();
	}
	for (uint32_t id = 1; id <= SERIES; id++) {
		char text[64];
		size_t n = opaque_of(id, rank, text, sizeof(text));
		if (n && cfile_writer_add_opaque(w, id, text, n))
			abort();
	}
	column_release(&c);
	column_release(&merged);
	if (cfile_writer_finish(w, NULL) || cfile_open(d, name, &f, NULL))
		abort();
	return f;
}

/* Every sample of every series, with what stands beside it. */
static bool samples_are(struct cfile *f, uint64_t *damage)
{
	struct cfile_iter *it = NULL;
	struct sample_column col;
	bool good = true;
	if (cfile_iter_create(f, &it))
		abort();
	for (uint32_t id = 1; id <= SERIES; id++) {
		uint32_t at = 0;
		enum err e;
		(void)cfile_iter_seek(it, id);
		while (!(e = cfile_iter_more(it, &col))) {
			good &= rows_equal(&want[id], &col, at);
			at += col.count;
		}
		good &= e == ERR_NOTFOUND && at == want[id].count;
	}
	*damage = cfile_iter_damage(it)->units;
	cfile_iter_free(it);
	return good;
}

static unsigned opaque_wrong(struct cfile *f, const uint64_t *ranks, size_t count)
{
	struct cfile_opaque *it = NULL;
	const uint8_t *bytes;
	size_t len;
	uint32_t id, expected = 0;
	unsigned wrong = 0;
	if (cfile_opaque_create(f, &it))
		abort();
	while (!cfile_opaque_next(it, &id, &bytes, &len)) {
		char text[256] = "";
		size_t n = 0;
		while (!n && expected < SERIES + 1) {
			expected++;
			for (size_t i = 0; i < count; i++)
				n += opaque_of(expected, ranks[i], text + n, sizeof(text) - n);
		}
		wrong += id != expected || n != len || memcmp(text, bytes, len) != 0;
	}
	wrong += cfile_opaque_damage(it)->units > 0;
	cfile_opaque_free(it);
	return wrong;
}

static void join_all(
    void *arg, uint32_t id, const struct seal_piece *pieces, size_t count, struct buf *out)
{
	++*(unsigned *)arg;
	(void)id;
	for (size_t i = 0; i < count; i++)
		buf_add(out, pieces[i].bytes, pieces[i].len);
}

static void kinds(struct fsio_dir *d, uint32_t flags, const char *what)
{
	struct cfile *in[3], *out = NULL;
	uint64_t damage = 0, ranks[3] = { 1, 2, 3 };
	unsigned asked = 0;
	struct cfile_damage verified;
	for (uint32_t id = 0; id <= SERIES; id++)
		column_clear(&want[id]);
	in[0] = file_make(d, 1, flags);
	tap_ok(samples_are(in[0], &damage) && !damage,
	    "%s: floats, histograms and start times come back", what);
	tap_ok(!opaque_wrong(in[0], ranks, 1), "%s: other bytes come back", what);
	TAP_OK(cfile_has_kind(in[0], CFILE_FLOATS) && cfile_has_kind(in[0], CFILE_HISTS) &&
	    cfile_has_kind(in[0], CFILE_OPAQUE) && cfile_verify(in[0], &verified) == ERR_OK);
	in[1] = file_make(d, 2, 0);
	in[2] = file_make(d, 3, flags);
	struct seal_opts o = {
		.dir = d, .inputs = in, .inputs_count = 3, .opaque = join_all, .arg = &asked
	};
	struct seal_result r;
	bool merged = seal_run(&o, &r, NULL) == ERR_OK && cfile_open(d, r.name, &out, NULL) == ERR_OK;
	tap_ok(merged && samples_are(out, &damage) && !damage,
	    "%s: merged, the higher rank wins, and what stands beside it", what);
	tap_ok(!opaque_wrong(out, ranks, 3) && asked > SERIES / 2,
	    "%s: other bytes are joined by who asked (%u ids)", what, asked);
	cfile_close(out);
	(void)!fsio_remove(d, r.name);
	for (size_t i = 0; i < 3; i++) {
		(void)!fsio_remove(d, cfile_path(in[i]));
		cfile_close(in[i]);
	}
}

/* ---- units of unknown kinds ---- */

static void bytes_at(struct fsio_dir *d, const char *name, uint64_t off, void *p, size_t n, bool put)
{
	struct fsio_file *io = NULL;
	if (fsio_open(d, name, FSIO_WRITE, &io) ||
	    (put ? fsio_write_at(io, p, n, off) : fsio_read_at(io, p, n, off)))
		abort();
	fsio_close(io);
}

static void unknown(struct fsio_dir *d)
{
	uint8_t head[CFILE_UNIT_HEAD];
	char name[CFILE_NAME_MAX];
	const struct cfile_dir *dir = NULL;
	struct cfile_iter *it = NULL;
	struct sample_column col;
	uint64_t all = 0, left = 0;
	uint32_t id = 0;
	column_clear(&want[1]);
	struct cfile *f = file_make(d, 9, CFILE_SEALED | CFILE_METRIC);
	if (cfile_dir_load(f, &dir))
		abort();
	struct cfile_extent ext = cfile_unit_extent(dir, cfile_stats(f)->units / 2);
	uint32_t units = cfile_stats(f)->units, crc = f->header_crc;
	all = cfile_stats(f)->samples;
	cfile_dir_unpin(f);
	snprintf(name, sizeof(name), "%s", cfile_path(f));
	cfile_close(f);
	bytes_at(d, name, ext.off, head, sizeof(head), false);
	head[4] = 9; /* a kind of a later version */
	wire_store32(head + 28, crc32c(cfile_seed(crc, ext.off), head, 28));
	bytes_at(d, name, ext.off, head, sizeof(head), true);
	if (cfile_open(d, name, &f, NULL) || cfile_iter_create(f, &it))
		abort();
	while (!cfile_iter_next(it, &id, &col))
		left += col.count;
	tap_ok(units > 2 && left > 0 && left < all && cfile_iter_damage(it)->units == 1 &&
	        strstr(cfile_iter_damage(it)->first.text, "unknown kind"),
	    "a unit of an unknown kind fails for itself: %s", cfile_iter_damage(it)->first.text);
	cfile_iter_free(it);
	cfile_close(f);
	(void)!fsio_remove(d, name);
}

/* ---- time columns ---- */

/* count series with a time column each, or all with one. */
static struct cfile *times_make(struct fsio_dir *d, unsigned count, bool one)
{
	static int64_t t[480];
	static double v[480];
	struct cfile_meta m = { .shard = 1,
		.flags = CFILE_SEALED | CFILE_METRIC,
		.start_ms = START,
		.end_ms = START + WIDTH,
		.rank = 5 };
	struct cfile_writer *w = NULL;
	struct cfile *f = NULL;
	char name[CFILE_NAME_MAX];
	cfile_name(&m, name);
	if (cfile_writer_create(d, name, &m, &w))
		abort();
	for (uint32_t id = 1; id <= count; id++) {
		for (unsigned i = 0; i < 480; i++) {
			if (id == 1 || !one)
				t[i] = START + i * 15000 + (int64_t)below(9000);
			v[i] = id;
		}
		(void)cfile_writer_add(
		    w, id, &(struct sample_column){ .count = 480, .t_ms = t, .v = v });
	}
	if (cfile_writer_finish(w, NULL) || cfile_open(d, name, &f, NULL))
		abort();
	return f;
}

static void times(struct fsio_dir *d, unsigned count, bool one)
{
	struct cfile *f = times_make(d, count, one);
	const struct cfile_dir *dir = NULL;
	struct cfile_extent ext, copy;
	struct cfile_iter *it = NULL;
	struct sample_column col;
	struct cfile_damage damage;
	uint32_t id, users = 0;
	uint64_t left = 0;
	uint8_t byte = 0;
	char name[CFILE_NAME_MAX];
	if (cfile_dir_load(f, &dir))
		abort();
	tap_ok(cfile_times_blocks(dir) == 1 ? one : !one && cfile_times_blocks(dir) > 100,
	    "%u series have %u blocks of time columns", count, cfile_times_blocks(dir));
	cfile_times_nth(dir, cfile_times_blocks(dir) / 2, &ext);
	while (cfile_times_extent(dir, users, 0, &copy) && copy.unit < ext.unit)
		users++;
	uint32_t first = users;
	while (cfile_times_extent(dir, users, 0, &copy) && copy.unit == ext.unit)
		users++;
	bool twice = cfile_times_extent(dir, first, 1, &copy);
	users = one ? count : users - first;
	snprintf(name, sizeof(name), "%s", cfile_path(f));
	cfile_dir_unpin(f);
	bytes_at(d, name, ext.off + 40, &byte, 1, false);
	byte ^= 0x10;
	bytes_at(d, name, ext.off + 40, &byte, 1, true);
	if (cfile_iter_create(f, &it))
		abort();
	while (!cfile_iter_next(it, &id, &col))
		left += col.count;
	cfile_iter_free(it);
	tap_ok(twice == one && left == 480u * (twice ? count : count - users),
	    "a damaged block costs what uses it, %u series, if there is no second copy: %llu samples left",
	    users, (unsigned long long)left);
	TAP_OK(cfile_verify(f, &damage) == ERR_DAMAGED);
	cfile_close(f);
	(void)!fsio_remove(d, name);
}

/* ---- many chunks ---- */

static void chunks(struct fsio_dir *d)
{
	enum {
		MANY = 100000
	};
	int64_t *t = malloc(MANY * sizeof(*t));
	double *v = malloc(MANY * sizeof(*v));
	struct cfile_meta m = { .shard = 1,
		.flags = CFILE_SEALED | CFILE_METRIC,
		.start_ms = START,
		.end_ms = START + WIDTH,
		.rank = 6 };
	struct cfile_writer *w = NULL;
	struct cfile *f = NULL;
	struct cfile_iter *it = NULL;
	struct sample_column col;
	unsigned wrong = 0;
	char name[CFILE_NAME_MAX];
	cfile_name(&m, name);
	if (cfile_writer_create(d, name, &m, &w))
		abort();
	for (unsigned i = 0; i < MANY; i++) {
		t[i] = START + i * 70;
		v[i] = num_from_bits(0x3ff0000000000000u + (testhist_mix(&seed) >> 12));
	}
	for (uint32_t k = 0; k < 3; k++) {
		uint32_t id = k == 0 ? 50 : k == 1 ? 7 : 60, n = k == 1 ? MANY : 10;
		(void)cfile_writer_add(
		    w, id, &(struct sample_column){ .count = n, .t_ms = t, .v = v });
	}
	if (cfile_writer_finish(w, NULL) || cfile_open(d, name, &f, NULL) ||
	    cfile_iter_create(f, &it))
		abort();
	for (uint32_t k = 0; k < 3; k++) {
		uint32_t id = k == 0 ? 60 : k == 1 ? 7 : 50, n = k == 1 ? MANY : 10, at = 0;
		(void)cfile_iter_seek(it, id);
		while (!cfile_iter_more(it, &col)) {
			wrong += at + col.count > n ||
			    memcmp(t + at, col.t_ms, col.count * sizeof(*t)) ||
			    memcmp(v + at, col.v, col.count * sizeof(*v));
			at += col.count;
		}
		wrong += at != n;
	}
	tap_ok(!wrong && cfile_stats(f)->units > 10 && cfile_stats(f)->series == 3,
	    "a series of %u samples in %u units, others before and behind it", MANY,
	    cfile_stats(f)->units);
	cfile_iter_free(it);
	cfile_close(f);
	free(t);
	free(v);
}

int main(void)
{
	char *path = testlib_tmpdir("cfkinds");
	struct fsio_dir *d = NULL;
	if (fsio_dir_open(path, false, &d))
		return 1;
	kinds(d, CFILE_SEALED | CFILE_METRIC, "metric order");
	kinds(d, 0, "id order");
	unknown(d);
	times(d, 1000, true);
	times(d, 1000, false);
	chunks(d);
	for (uint32_t id = 0; id <= SERIES; id++)
		column_release(&want[id]);
	fsio_dir_close(d);
	testlib_rmtree(path);
	free(path);
	return tap_done();
}
