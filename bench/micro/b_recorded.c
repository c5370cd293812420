/*
 * Size on disk of real metrics: the recording replayed as 20 targets x 1,440 scrapes at 15 s
 * (target k begins at scrape 97 k), through round files every 40 scrapes and one sealed file per
 * shard and 2 h range.
 * Prints bytes per sample of the sealed files, labels and directory included, and nanoseconds of
 * processor time of each step. Figures of the peer on the same data: 0.14 + 0.06 (data + index).
 *
 *   b_recorded [DIR]     DIR: where to write, default a folder under /tmp that is removed
 */
#include "bench/micro/recorded.h"
#include "core/base/arena.h"
#include "core/model/label.h"
#include "storage/compact/seal.h"
#include "tests/lib/testlib.h"

#define TARGETS 20u
#define SCRAPES 1440u
#define OFFSET  97u
#define ROUND   40u
#define RANGE   480u /* scrapes of 2 h */
#define SHARDS  16u
#define STEP_MS 15000
#define START   1795168800000

struct one { /* a series of a shard */
	const struct recorded_series *from;
	unsigned offset;
	struct labels labels;
};
struct shard {
	struct one *series; /* id is the index */
	uint32_t count, cap;
	struct cfile *rounds[RANGE / ROUND];
	struct fsio_dir *dir;
};
struct sum {
	uint64_t bytes, labels, directory, samples, series, files, units;
	uint64_t ns;
};
static struct shard shards[SHARDS];
static struct arena arena;

static void series_make(const struct recorded *rec, unsigned files)
{
	for (unsigned k = 0; k < TARGETS; k++)
		for (unsigned f = 0; f < files; f++)
			for (size_t i = 0; i < rec[f].count; i++) {
				struct labels ls = recorded_series_labels(
				    &arena, rec[f].series[i].text, rec[f].name, k);
				struct shard *sh = &shards[label_fingerprint(ls, 0, 1).hi >> 60];
				if (sh->count == sh->cap) {
					sh->cap = sh->cap ? sh->cap * 2 : 1024;
					sh->series =
					    realloc(sh->series, sh->cap * sizeof(*sh->series));
				}
				sh->series[sh->count++] =
				    (struct one){ &rec[f].series[i], k * OFFSET, ls };
			}
}

static void sum_add(struct sum *s, const struct cfile_stats *st)
{
	s->bytes += st->size_bytes;
	s->labels += st->label_bytes;
	s->directory += st->directory_bytes;
	s->samples += st->samples;
	s->series += st->series;
	s->units += st->units;
	s->files++;
}

static void die(enum err e, const char *what)
{
	fprintf(stderr, "%s: %s\n", what, err_text(e));
	exit(1);
}

static void round_write(struct shard *sh, uint32_t index, unsigned first, struct sum *s)
{
	struct cfile_meta m = { .shard = index,
		.start_ms = START + (int64_t)(first / RANGE) * SAMPLE_RANGE_MS,
		.rank = first / ROUND + 1 };
	m.end_ms = m.start_ms + SAMPLE_RANGE_MS;
	char name[CFILE_NAME_MAX];
	struct cfile_writer *w = NULL;
	struct cfile_stats st;
	int64_t t[ROUND];
	double v[ROUND];
	cfile_name(&m, name);
	uint64_t begin = used_cpu_ns();
	enum err e = cfile_writer_create(sh->dir, name, &m, &w);
	if (e)
		die(e, name);
	for (uint32_t id = 0; id < sh->count; id++) {
		const struct one *o = &sh->series[id];
		size_t n = 0;
		for (unsigned i = first; i < first + ROUND; i++) {
			size_t row = (i + o->offset) % RECORDED_ROWS;
			if (!o->from->present[row])
				continue;
			t[n] = START + 7000 + STEP_MS * (int64_t)i;
			v[n++] = o->from->v[row];
		}
		(void)cfile_writer_add(
		    w, id, &(struct sample_column){ .count = (uint32_t)(n), .t_ms = t, .v = v });
		if (first == 0)
			(void)cfile_writer_define(w, id, 0, o->labels);
	}
	e = cfile_writer_finish(w, &st);
	if (!e)
		e = cfile_open(sh->dir, name, &sh->rounds[first % RANGE / ROUND], NULL);
	if (e)
		die(e, name);
	s->ns += used_cpu_ns() - begin;
	sum_add(s, &st);
}

static enum err labels_of(void *arg, uint32_t id, uint32_t *tenant, struct labels *ls)
{
	const struct shard *sh = arg;
	*tenant = 0;
	*ls = sh->series[id].labels;
	return ERR_OK;
}

static void decode_all(struct cfile *f, struct sum *s)
{
	struct cfile_iter *it = NULL;
	uint32_t id = 0;
	struct sample_column col;
	uint64_t begin = used_cpu_ns();
	enum err e = cfile_iter_create(f, &it);
	while (!e && !(e = cfile_iter_next(it, &id, &col)))
		s->samples += col.count;
	cfile_iter_free(it);
	s->ns += used_cpu_ns() - begin;
	if (e != ERR_NOTFOUND)
		die(e, cfile_path(f));
}

/*
 * One series at a time, as a query for few series meets a file: find, load, check, unpack, decode.
 */
static void decode_some(struct cfile *f, struct sum *s)
{
	struct cfile_unit u;
	struct cfile_times times;
	struct cfile_extent ext;
	static uint8_t bytes[CFILE_UNIT_HEAD + CFILE_UNIT_RAW_MAX], times_bytes[CFILE_UNIT_RAW_MAX];
	struct column col = { 0 };
	const struct cfile_dir *d = NULL;
	const struct cfile_entry *e = NULL;
	enum err err = cfile_dir_load(f, &d);
	if (err)
		die(err, cfile_path(f));
	cfile_unit_init(&u);
	cfile_times_init(&times);
	uint64_t begin = used_cpu_ns();
	for (uint32_t id = 0; id < 2000; id += 37) {
		if (cfile_find(d, id, &ext, 1) != 1 || cfile_read_nowait(f, bytes, ext.len, ext.off) ||
		    cfile_unit_open(&u, f, &ext, bytes, NULL) || cfile_unit_find(&u, id, &e) != 1)
			continue;
		if (e->outside && !cfile_times_has(&times, e->column) &&
		    (!cfile_times_extent(d, e->column, 0, &ext) ||
		        cfile_read_nowait(f, times_bytes, ext.len, ext.off) ||
		        cfile_times_open(&times, f, &ext, times_bytes, NULL)))
			continue;
		column_clear(&col);
		if (cfile_unit_append(&u, &times, e, &col, NULL))
			continue;
		s->samples += e->count;
		s->series++;
	}
	s->ns += used_cpu_ns() - begin;
	cfile_unit_release(&u);
	cfile_times_release(&times);
	column_release(&col);
	cfile_dir_unpin(f);
}

static void seal(struct shard *sh, struct sum *s, struct sum *decode, struct sum *some)
{
	struct seal_opts o = { .dir = sh->dir,
		.inputs = sh->rounds,
		.inputs_count = RANGE / ROUND,
		.labels_of = labels_of,
		.arg = sh };
	struct seal_result r;
	struct errbuf eb;
	struct cfile *f = NULL;
	errbuf_init(&eb);
	uint64_t begin = used_cpu_ns();
	enum err e = seal_run(&o, &r, &eb);
	s->ns += used_cpu_ns() - begin;
	if (!e)
		e = cfile_open(sh->dir, r.name, &f, &eb);
	if (e)
		die(e, eb.text);
	sum_add(s, &r.stats);
	decode_all(f, decode);
	decode_some(f, some);
	cfile_close(f);
	for (unsigned i = 0; i < RANGE / ROUND; i++)
		cfile_close(sh->rounds[i]);
}

static void print(const char *what, const struct sum *s)
{
	double n = (double)s->samples;
	printf(
	    "%-14s %6.1f M samples %5" PRIu64
	    " files %7.2f MB  %.4f B/sample: data %.4f labels %.4f directory %.4f; %.1f B/series; %.1f ns/sample\n",
	    what, n / 1e6, s->files, (double)s->bytes / 1e6, (double)s->bytes / n,
	    (double)(s->bytes - s->labels - s->directory) / n, (double)s->labels / n,
	    (double)s->directory / n, (double)s->bytes / (double)s->series, (double)s->ns / n);
}

int main(int argc, char **argv)
{
	struct recorded rec[RECORDED_FILES];
	struct sum rounds = { 0 }, sealed = { 0 }, decode = { 0 }, some = { 0 };
	uint64_t series = 0;
	for (unsigned i = 0; i < RECORDED_FILES; i++)
		if (!recorded_load(&rec[i], testlib_src(), recorded_names[i]))
			return 0;
	arena_init(&arena, 1u << 20);
	series_make(rec, RECORDED_FILES);
	char *dir = argc > 1 ? argv[1] : testlib_tmpdir("b_recorded");
	for (uint32_t i = 0; i < SHARDS; i++) {
		char path[4096];
		snprintf(path, sizeof(path), "%s/%02u", dir, i);
		enum err e = fsio_dir_open(path, true, &shards[i].dir);
		if (e)
			die(e, path);
		series += shards[i].count;
		for (unsigned at = 0; at < SCRAPES; at += ROUND) {
			round_write(&shards[i], i, at, &rounds);
			if ((at + ROUND) % RANGE == 0)
				seal(&shards[i], &sealed, &decode, &some);
		}
		fsio_dir_close(shards[i].dir);
	}
	printf("%" PRIu64 " series, kernel %s\n", series, chunk_kernel_name());
	print("round files", &rounds);
	print("sealed files", &sealed);
	printf("%-14s %.2f ns/sample for whole files, %.1f us for one series of %.0f samples\n",
	    "reading", (double)decode.ns / (double)decode.samples,
	    (double)some.ns / 1e3 / (double)some.series, (double)some.samples / (double)some.series);
	if (argc <= 1)
		testlib_rmtree(dir);
	return 0;
}
