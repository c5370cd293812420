/* Merging against a naive model: a flat array of (id, time, rank, value), the highest rank wins. */
#include "core/base/arena.h"
#include "core/base/num.h"
#include "storage/compact/seal.h"
#include "storage/compact/sealkeys.h"
#include "tests/lib/fault.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"
#include "tests/unit/storage/columns.h"

#include <stdio.h>
#include <stdlib.h>

#define START 1795168800000
#define WIDTH 7200000

struct row {
	uint32_t id;
	int64_t t;
	uint64_t rank;
	double v;
};
static struct row *rows;
static size_t rows_count, rows_cap;
static uint64_t rnd = 11;

static void row_add(uint32_t id, int64_t t, uint64_t rank, double v)
{
	if (rows_count == rows_cap) {
		rows_cap = rows_cap ? rows_cap * 2 : 1024;
		rows = realloc(rows, rows_cap * sizeof(*rows));
	}
	rows[rows_count++] = (struct row){ id, t, rank, v };
}

static int by_id_time_rank(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	if (x->t != y->t)
		return x->t < y->t ? -1 : 1;
	return (x->rank > y->rank) - (x->rank < y->rank);
}

static size_t labels_text(uint32_t id, char *out, size_t size)
{
	return (size_t)snprintf(out, size, "name_%u{x=\"%u\"}", id / 3, id);
}

/*
 * Series 0..99 are defined by the file of their first sample with an even id, the others only by
 * labels_of; ids divisible by 10 by nobody.
 */
static enum err labels_of(void *arg, uint32_t id, uint32_t *tenant, struct labels *ls)
{
	static char text[64];
	unsigned *asked = arg;
	++*asked;
	if (id % 10 == 0)
		return ERR_NOTFOUND;
	*tenant = id % 4;
	*ls = (struct labels){ (const uint8_t *)text, (uint32_t)labels_text(id, text, sizeof(text)) };
	return ERR_OK;
}

static void input_write(struct fsio_dir *d, uint64_t rank, unsigned kind, bool *defined, char *name)
{
	static int64_t t[5000];
	static double v[5000];
	int64_t range = START + (kind == 2 ? WIDTH * (int64_t)(rank % 3) : 0);
	struct cfile_meta m = { .shard = 1, .start_ms = range, .end_ms = range + WIDTH, .rank = rank };
	struct cfile_writer *w = NULL;
	cfile_name(&m, name);
	if (cfile_writer_create(d, name, &m, &w))
		abort();
	for (uint32_t id = 1; id < 100; id++) {
		if (columns_below(&rnd, 3) == 0)
			continue;
		size_t n = 1 + columns_below(&rnd, columns_below(&rnd, 10) ? 60 : 5000);
		/* Rounds follow each other; with kind 1 they overlap and repeat times. */
		int64_t at = range +
		    (kind == 0 ? (int64_t)rank * 300000 : (int64_t)columns_below(&rnd, 100) * 1000),
		        step = kind == 0 ? 299999 / (int64_t)n : 1000;
		columns_values(&rnd, (unsigned)columns_below(&rnd, COLUMNS_SHAPES), v, n);
		for (size_t i = 0; i < n; i++) {
			t[i] = at;
			at += step;
			row_add(id, t[i], rank, v[i]);
		}
		(void)cfile_writer_add(
		    w, id, &(struct sample_column){ .count = (uint32_t)(n), .t_ms = t, .v = v });
		if (id % 2 == 0 && id % 10 && !defined[id]) {
			char text[64];
			uint32_t len = (uint32_t)labels_text(id, text, sizeof(text));
			(void)cfile_writer_define(
			    w, id, id % 4, (struct labels){ (const uint8_t *)text, len });
			defined[id] = true;
		}
	}
	if (rank == 3) /* defined without samples */
		(void)cfile_writer_define(
		    w, 500, 500 % 4, (struct labels){ (const uint8_t *)"name_166{x=\"500\"}", 17 });
	if (cfile_writer_finish(w, NULL))
		abort();
}

static bool in_metric_order(struct cfile *f)
{
	struct cfile_defs *df = NULL;
	uint32_t id = 0, last_id = 0;
	struct cfile_key key, last;
	uint8_t bytes[64];
	bool good = true, any = false;
	enum err e = cfile_defs_create_order(f, &df);
	for (; !e && !(e = cfile_defs_next(df, &id, &key.tenant, &key.labels)); any = true) {
		int c = any ? cfile_key_cmp(&last, &key) : -1;
		good &= c < 0 || (c == 0 && last_id < id);
		memcpy(bytes, key.labels.bytes, key.labels.len);
		last = (struct cfile_key){ key.tenant, { bytes, key.labels.len } };
		last_id = id;
	}
	cfile_defs_free(df);
	return good && e == ERR_NOTFOUND;
}

static bool output_is(struct cfile *f, uint64_t *overwritten)
{
	struct cfile_iter *it = NULL;
	uint32_t id = 0;
	struct sample_column col;
	size_t at = 0;
	bool good = true;
	*overwritten = 0;
	qsort(rows, rows_count, sizeof(*rows), by_id_time_rank);
	enum err e = cfile_iter_create(f, &it);
	for (id = 0; good && !e && id < 1000; id++) {
		(void)cfile_iter_seek(it, id);
		while (good && !(e = cfile_iter_more(it, &col)))
			for (uint32_t i = 0; i < col.count && good; i++, at++) {
				while (at + 1 < rows_count && rows[at + 1].id == rows[at].id &&
				    rows[at + 1].t == rows[at].t) {
					at++; /* the highest rank stands last */
					++*overwritten;
				}
				good = at < rows_count && rows[at].id == id &&
				    rows[at].t == col.t_ms[i] &&
				    num_bits(rows[at].v) == num_bits(col.v[i]);
			}
		e = e == ERR_NOTFOUND ? ERR_OK : e;
	}
	/* and a walk gives as many */
	size_t walked = 0;
	struct cfile_iter *all = NULL;
	if (!e)
		e = cfile_iter_create(f, &all);
	while (!e && !(e = cfile_iter_next(all, &id, &col)))
		walked += col.count;
	cfile_iter_free(all);
	good &= walked == cfile_stats(f)->samples && in_metric_order(f);
	good &= e == ERR_NOTFOUND && at == rows_count;
	cfile_iter_free(it);
	return good;
}

static bool labels_are(struct cfile *f, unsigned *count)
{
	struct cfile_defs *df = NULL;
	uint32_t id = 0, tenant = 0;
	struct labels ls;
	bool good = true;
	enum err e = cfile_defs_create(f, 0, &df);
	*count = 0;
	while (!e && !(e = cfile_defs_next(df, &id, &tenant, &ls))) {
		char text[64];
		size_t len = labels_text(id, text, sizeof(text));
		good &= id % 10 != 0 || id == 500;
		good &= tenant == id % 4 && ls.len == len && !memcmp(ls.bytes, text, len);
		++*count;
	}
	cfile_defs_free(df);
	return good && e == ERR_NOTFOUND;
}

/* Of tenant 1 what is older than the middle of the first range; nobody's series keep all. */
static bool is_dead(const struct row *r)
{
	return r->id % 10 && r->id % 4 == 1 && r->t < START + WIDTH / 2;
}

static unsigned steps;

static enum err step(void *arg, struct cfile_writer *w)
{
	(void)arg;
	return ++steps % 40 ? ERR_OK : cfile_writer_sync(w);
}

static enum err stop(void *arg, struct cfile_writer *w)
{
	(void)arg;
	(void)w;
	return ++steps == 30 ? ERR_STOPPING : ERR_OK;
}

/* Merging once more, without what is dead. */
static void dead_case(struct seal_opts o, const char *what)
{
	const struct seal_dead dead[] = { { 7, INT64_MAX }, { 1, START + WIDTH / 2 } };
	struct seal_result r;
	struct errbuf eb;
	struct cfile *out = NULL;
	uint64_t overwritten, count = 0;
	size_t kept = 0;
	errbuf_init(&eb);
	o.dead = dead;
	o.dead_count = 2;
	o.step = step;
	steps = 0;
	bool merged =
	    seal_run(&o, &r, &eb) == ERR_OK && cfile_open(o.dir, r.name, &out, NULL) == ERR_OK;
	for (size_t i = 0; i < rows_count; i++) {
		bool last = i + 1 == rows_count || rows[i + 1].id != rows[i].id ||
		    rows[i + 1].t != rows[i].t;
		if (is_dead(&rows[i]))
			count += last;
		else
			rows[kept++] = rows[i];
	}
	rows_count = kept;
	tap_ok(merged && output_is(out, &overwritten) && r.dead == count,
	    "%s: %" PRIu64 " dead samples are left out", what, r.dead);
	tap_ok(steps > 50, "%s: each series is a step", what);
	cfile_close(out);
	(void)!fsio_remove(o.dir, r.name);
	steps = 0;
	o.step = stop;
	tap_ok(seal_run(&o, &r, &eb) == ERR_STOPPING && fsio_remove(o.dir, r.name) == ERR_NOTFOUND,
	    "%s: a step may end it", what);
}

static void merge_case(struct fsio_dir *d, unsigned kind, size_t count, const char *what)
{
	struct cfile *in[24];
	bool defined[600] = { false };
	unsigned asked = 0;
	rows_count = 0;
	for (size_t i = 0; i < count; i++) {
		char name[CFILE_NAME_MAX];
		input_write(d, i + 1, kind, defined, name);
		if (cfile_open(d, name, &in[i], NULL))
			abort();
	}
	struct cfile *swap = in[0]; /* any order will do */
	in[0] = in[count - 1];
	in[count - 1] = swap;
	struct seal_result r;
	struct errbuf eb;
	errbuf_init(&eb);
	struct seal_opts o = {
		.dir = d, .inputs = in, .inputs_count = count, .labels_of = labels_of, .arg = &asked
	};
	struct cfile *out = NULL;
	bool merged = seal_run(&o, &r, &eb) == ERR_OK && cfile_open(d, r.name, &out, NULL) == ERR_OK;
	tap_ok(merged, "%s: merged into %s", what, r.name);
	uint64_t overwritten = 0;
	unsigned labels = 0, nobody = 0, series = 0;
	bool same = output_is(out, &overwritten);
	tap_ok(same, "%s: samples are those of the model", what);
	for (size_t i = 0; i < rows_count; i++)
		if (i == 0 || rows[i].id != rows[i - 1].id) {
			series++;
			nobody += rows[i].id % 10 == 0;
		}
	tap_ok(r.overwritten == overwritten,
	    "%s: %" PRIu64 " samples lost to a higher rank, counted", what, overwritten);
	bool labelled = labels_are(out, &labels);
	tap_ok(labelled && labels == series - nobody + (count >= 3),
	    "%s: every series has its labels (%u)", what, labels);
	TAP_OK(r.unlabelled == nobody && r.damage_units == 0);
	TAP_OK(cfile_meta(out)->rank == count &&
	    cfile_meta(out)->flags == (CFILE_SEALED | CFILE_METRIC | (nobody ? 0 : CFILE_LABELS_ALL)));
	TAP_OK(cfile_stats(out)->series == series && cfile_meta(out)->start_ms == START);
	tap_ok(cfile_meta(out)->end_ms == START + (kind == 2 ? WIDTH * 3 : WIDTH),
	    "%s: the range is the union", what);
	/* Merging the result alone changes nothing. */
	struct seal_result again;
	struct cfile *alone[1] = { out }, *out2 = NULL;
	struct seal_opts o2 = { .dir = d, .inputs = alone, .inputs_count = 1 };
	tap_ok(seal_run(&o2, &again, &eb) == ERR_OK &&
	        cfile_open(d, again.name, &out2, NULL) == ERR_OK && output_is(out2, &overwritten) &&
	        again.stats.size_bytes == r.stats.size_bytes,
	    "%s: merging the result alone changes nothing", what);
	cfile_close(out2);
	(void)!fsio_remove(d, again.name);
	(void)!fsio_remove(d, r.name);
	cfile_close(out);
	dead_case(o, what);
	for (size_t i = 0; i < count; i++) {
		(void)!fsio_remove(d, cfile_path(in[i]));
		cfile_close(in[i]);
	}
}

/*
 * Rounds, some of them merged before, so that files in both orders follow each other in rank; with
 * a memory so small that the rounds are gone through again and again.
 */
static void staged_case(struct fsio_dir *d, unsigned kind, size_t memory, const char *what)
{
	enum {
		ROUNDS = 14
	};
	static const bool stage[ROUNDS] = { true, true, true, false, false, true, true, false,
		false, false, true, true, false, false };
	struct cfile *round[ROUNDS], *in[ROUNDS];
	bool defined[600] = { false };
	unsigned asked = 0;
	size_t count = 0;
	struct seal_result r;
	struct seal_opts o = { .dir = d, .labels_of = labels_of, .arg = &asked, .memory = memory };
	rows_count = 0;
	for (size_t i = 0; i < ROUNDS; i++) {
		char name[CFILE_NAME_MAX];
		input_write(d, i + 1, kind, defined, name);
		if (cfile_open(d, name, &round[i], NULL))
			abort();
	}
	for (size_t i = 0; i < ROUNDS; i += o.inputs_count) {
		o.inputs = round + i;
		o.inputs_count = 1;
		while (stage[i] && i + o.inputs_count < ROUNDS && stage[i + o.inputs_count])
			o.inputs_count++;
		in[count] = round[i];
		if (stage[i] && (seal_run(&o, &r, NULL) || cfile_open(d, r.name, &in[count], NULL)))
			abort();
		count++;
	}
	struct cfile *out = NULL;
	uint64_t overwritten = 0;
	unsigned labels = 0;
	o.inputs = in;
	o.inputs_count = count;
	bool merged = seal_run(&o, &r, NULL) == ERR_OK && cfile_open(d, r.name, &out, NULL) == ERR_OK;
	tap_ok(merged && output_is(out, &overwritten), "%s: %zu files in both orders, %u units",
	    what, count, merged ? cfile_stats(out)->units : 0);
	bool labelled = labels_are(out, &labels);
	tap_ok(labelled && labels > 80, "%s: series have their labels (%u)", what, labels);
	struct cfile_damage damage;
	TAP_OK(cfile_verify(out, &damage) == ERR_OK && r.damage_units == 0);
	(void)!fsio_remove(d, r.name);
	cfile_close(out);
	for (size_t i = 0; i < count; i++) {
		bool is_round = false;
		for (size_t k = 0; k < ROUNDS; k++)
			is_round |= in[i] == round[k];
		if (is_round)
			continue;
		(void)!fsio_remove(d, cfile_path(in[i]));
		cfile_close(in[i]);
	}
	for (size_t i = 0; i < ROUNDS; i++) {
		(void)!fsio_remove(d, cfile_path(round[i]));
		cfile_close(round[i]);
	}
}

static void damage_case(struct fsio_dir *d)
{
	bool defined[600] = { false };
	char name[2][CFILE_NAME_MAX];
	struct cfile *in[2];
	struct seal_result r;
	rows_count = 0;
	for (uint64_t i = 0; i < 2; i++) {
		input_write(d, i + 1, 0, defined, name[i]);
		if (cfile_open(d, name[i], &in[i], NULL))
			abort();
	}
	struct seal_opts o = { .dir = d, .inputs = in, .inputs_count = 2 };
	struct fsio_file *io = NULL;
	uint8_t byte = 0;
	const struct cfile_dir *cd = NULL;
	if (cfile_dir_load(in[0], &cd))
		abort();
	struct cfile_extent ext = cfile_unit_extent(cd, 0);
	cfile_dir_unpin(in[0]);
	if (fsio_open(d, name[0], FSIO_WRITE, &io) || fsio_read_at(io, &byte, 1, ext.off + 50))
		abort();
	byte ^= 4;
	if (fsio_write_at(io, &byte, 1, ext.off + 50))
		abort();
	fsio_close(io);
	TAP_OK(seal_run(&o, &r, NULL) == ERR_OK && r.damage_units == 1);
	tap_ok(strstr(r.damage.text, name[0]) != NULL, "damage of an input is told: %s",
	    r.damage.text);
	struct cfile *out = NULL;
	TAP_OK(cfile_open(d, r.name, &out, NULL) == ERR_OK &&
	    cfile_stats(out)->samples >= cfile_stats(in[1])->samples);
	tap_ok(r.unlabelled > 0 && cfile_meta(out)->flags == (CFILE_SEALED | CFILE_METRIC),
	    "series without labels are kept and counted");
	cfile_close(out);
	cfile_close(in[0]);
	cfile_close(in[1]);
}

/* More definitions than a batch has room for come out in order, each once. */
static void keys_case(void)
{
	struct sealkeys *k = sealkeys_create(5000);
	uint32_t id = 0, tenant = 0, last_id = 0;
	struct labels ls;
	struct cfile_key last = { 0 };
	uint8_t bytes[64];
	unsigned n = 0, wrong = 0;
	for (uint32_t i = 0; i < 3000; i++) {
		char text[64];
		id = i * 1009 % 3000;
		size_t len = labels_text(id, text, sizeof(text));
		sealkeys_add(k, id, id % 4, (struct labels){ (const uint8_t *)text, (uint32_t)len });
	}
	sealkeys_sort(k);
	while (sealkeys_next(k, &id, &tenant, &ls)) {
		char text[64];
		struct cfile_key key = { tenant, ls };
		size_t len = labels_text(id, text, sizeof(text));
		int c = n++ ? cfile_key_cmp(&last, &key) : -1;
		wrong += c > 0 || (c == 0 && last_id >= id) || tenant != id % 4 || ls.len != len ||
		    memcmp(ls.bytes, text, len) != 0;
		memcpy(bytes, ls.bytes, ls.len);
		last = (struct cfile_key){ tenant, { bytes, ls.len } };
		last_id = id;
	}
	tap_ok(n == 3000 && !wrong, "%u definitions in order, %u wrong, packed to %zu bytes", n,
	    wrong, sealkeys_bytes(k));
	sealkeys_free(k);
}

struct leftovers {
	unsigned outputs; /* files with a serial in their name */
};

static enum err each_output(void *arg, const char *name)
{
	((struct leftovers *)arg)->outputs += strstr(name, ".1.kcf") || strstr(name, ".2.kcf");
	return ERR_OK;
}

/*
 * The nth call of the merge fails, for every n: it says so and leaves nothing; the next try gives
 * the whole result.
 */
static void failing_calls(struct fsio_dir *d)
{
	bool defined[600] = { false };
	struct cfile *in[3];
	unsigned failures = 0, silent = 0, left = 0, wrong = 0;
	rows_count = 0;
	for (uint64_t i = 0; i < 3; i++) {
		char name[CFILE_NAME_MAX];
		input_write(d, i + 101, 1, defined, name);
		if (cfile_open(d, name, &in[i], NULL))
			abort();
	}
	for (uint64_t n = 1;; n++) {
		struct seal_result r;
		struct seal_opts o = { .dir = d, .inputs = in, .inputs_count = 3 };
		struct leftovers found = { 0 };
		fault_start(NULL);
		fault_set(FAULT_ANY, NULL, n, 1, n % 2 ? ERR_IO : ERR_NOSPACE);
		enum err e = seal_run(&o, &r, NULL);
		bool hit = fault_hits(FAULT_ANY) > 0;
		fault_stop();
		failures += e != ERR_OK;
		silent += hit && !e;
		(void)!fsio_dir_each(d, each_output, &found);
		left += e && found.outputs;
		if (!e) {
			struct cfile *out = NULL;
			uint64_t overwritten = 0;
			wrong += cfile_open(d, r.name, &out, NULL) || !output_is(out, &overwritten);
			cfile_close(out);
			(void)!fsio_remove(d, r.name);
		}
		if (!hit)
			break;
	}
	tap_ok(failures > 5 && silent == 0, "each failing call makes the merge fail (%u of them)",
	    failures);
	tap_ok(left == 0, "a failed merge leaves nothing behind");
	tap_ok(wrong == 0, "what succeeds is whole");
	for (unsigned i = 0; i < 3; i++) {
		(void)!fsio_remove(d, cfile_path(in[i]));
		cfile_close(in[i]);
	}
}

int main(void)
{
	char *dir = testlib_tmpdir("t_seal");
	struct fsio_dir *d = NULL;
	if (fsio_dir_open(dir, false, &d))
		return 1;
	merge_case(d, 0, 1, "one file");
	merge_case(d, 0, 12, "rounds");
	merge_case(d, 1, 5, "overlapping files");
	merge_case(d, 1, 24, "many overlapping files");
	merge_case(d, 2, 9, "neighbouring ranges");
	staged_case(d, 0, 0, "stages");
	staged_case(d, 1, 0, "overlapping stages");
	staged_case(d, 1, 1, "a series at a time");
	staged_case(d, 2, 20000, "stages of neighbouring ranges");
	keys_case();
	failing_calls(d);
	damage_case(d);
	fsio_dir_close(d);
	testlib_rmtree(dir);
	free(dir);
	free(rows);
	return tap_done();
}
