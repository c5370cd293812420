/*
 * What it costs to find, check and decode samples of sealed files: 50,700 series (100 targets with
 * the 507 series of a node_exporter's page, values as recorded) x 6 h at 15 s, sealed, in the page
 * cache, read through the cursors of a store with one loop by the selectors of 15 queries.
 *
 * Printed per query: samples, series, nanoseconds of processor time of the loop per sample, the
 * best of 5 runs; how many of them choosing the series takes, with no file in the range; then
 * where the rest goes, each stage on its own: finding units by id, copying them out of the page
 * cache, checksums, tables of entries, decoding of values, times: these decode all 480 samples of a
 * series in a file, of which an instant query uses 20.
 *
 *   b_read [NAME [RUNS [SCRAPES]]]    NAME: part of the names of the queries that are wanted
 *                                     SCRAPES: so many come after the files, into memory
 */
#include "bench/micro/recorded.h"
#include "core/base/arena.h"
#include "core/base/hash.h"
#include "storage/cfile/files.h"
#include "storage/compact/seal.h"
#include "tests/lib/storetest.h"
#include "tests/lib/testlib.h"

#define TARGETS 100u
#define SHARDS  16u
#define RANGES  3u
#define SCRAPES 480u /* of a range */
#define STEP_MS 15000
#define OFFSET  97u

struct one { /* a series of a shard */
	uint32_t id;
	struct labels labels;
	const struct recorded_series *from; /* NULL: constant */
	double v;
	unsigned offset;
};
static struct shard {
	struct one *series; /* by id */
	uint32_t count, cap;
	struct cfile *sealed[RANGES];
} shards[SHARDS];
static struct arena arena;
static struct recorded node;
static int64_t start_ms;
static unsigned runs = 5;

static const struct shape {
	const char *name;
	struct {
		enum matcher_type type;
		const char *name, *value;
	} m[2];
	int64_t back_s; /* before the end */
} shapes[] = {
#define INSTANCE                                                                                   \
 {                                                                                                 \
  MATCHER_EQ, "instance", "target-00042.example.net:9100"                                          \
 }
#define NAME(n)                                                                                    \
 {                                                                                                 \
  MATCHER_EQ, "__name__", n                                                                        \
 }
	{ "instant one series", { NAME("node_load1"), INSTANCE }, 300 },
	{ "instant all of a metric", { NAME("node_cpu_seconds_total") }, 300 },
	{ "instant sum rate by mode", { NAME("node_cpu_seconds_total") }, 300 },
	{ "instant count by name", { { MATCHER_EQ, "job", "node_exporter" } }, 300 },
	{ "instant topk", { NAME("node_network_receive_bytes_total") }, 300 },
	{ "range 1h raw one host", { NAME("node_load1"), INSTANCE }, 3900 },
	{ "range 1h rate one host", { NAME("node_cpu_seconds_total"), INSTANCE }, 3900 },
	{ "range 6h sum rate by mode", { NAME("node_cpu_seconds_total") }, 21900 },
	{ "range 6h cpu busy by host",
	    { NAME("node_cpu_seconds_total"), { MATCHER_EQ, "mode", "idle" } }, 21900 },
	{ "range 6h memory ratio join", { NAME("node_memory_MemAvailable_bytes") }, 21900 },
	{ "range 6h max_over_time 1h", { NAME("node_load5") }, 25200 },
	{ "range 6h quantile", { NAME("node_load1") }, 21900 },
	{ "range 6h regex sum", { { MATCHER_RE, "__name__", "node_network_.*_bytes_total" } }, 21900 },
	{ "range 6h all go_ metrics avg", { { MATCHER_RE, "__name__", "go_.+" } }, 21900 },
	{ "range 6h subquery", { NAME("node_network_receive_bytes_total") }, 23700 },
};

static void die(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

/* ---- the store ---- */

static struct labels labels_of_text(const char *text, size_t len, unsigned target)
{
	char instance[64];
	snprintf(instance, sizeof(instance), "target-%05u.example.net:9100", target);
	return recorded_labels(&arena, text, len, instance, "node_exporter");
}

struct line {
	struct labels labels;
	const struct recorded_series *from;
	double v;
	unsigned offset;
};
static struct line *lines;
static size_t lines_count;

static void page_load(const char *src)
{
	char path[4096], line[65536];
	snprintf(path, sizeof(path), "%s/../shared/data/recorded/node-page.prom", src);
	FILE *f = fopen(path, "r");
	if (!f || !recorded_load(&node, src, "node")) {
		printf("# skipped: %s is not there\n", path);
		exit(0);
	}
	lines = calloc(TARGETS * 1000, sizeof(*lines));
	while (fgets(line, sizeof(line), f)) {
		char *value = strrchr(line, ' ');
		if (line[0] == '#' || !value)
			continue;
		const struct recorded_series *from =
		    recorded_get(&node, line, (size_t)(value - line));
		for (unsigned k = 0; k < TARGETS && lines_count < TARGETS * 1000; k++)
			lines[lines_count++] =
			    (struct line){ labels_of_text(line, (size_t)(value - line), k),
				    from->present[0] ? from : NULL, atof(value), k * OFFSET };
	}
	fclose(f);
}

static void opts(struct storetest *s, const char *dir)
{
	storetest_init(s, dir);
	s->opts.shards = SHARDS;
	s->opts.round_every_ms = 24 * 3600 * 1000;
	s->opts.seal_every_ms = 24 * 3600 * 1000;
}

/* Each series once, so that the store gives ids to all, target by target. */
static void series_create(const char *dir)
{
	struct storetest s;
	opts(&s, dir);
	if (storetest_open(&s, 1))
		die("the store does not open");
	struct storetest_row *rows = calloc(1000, sizeof(*rows));
	size_t per = lines_count / TARGETS;
	for (unsigned k = 0; k < TARGETS; k++) {
		for (size_t i = 0; i < per; i++)
			rows[i] = (struct storetest_row){ .labels = lines[i * TARGETS + k].labels,
				.t_ms = start_ms + RANGES * SAMPLE_RANGE_MS,
				.v = 1 };
		struct storetest_verdict v = storetest_write(&s, 0, rows, per);
		if (v.err || v.refused)
			die("rows are refused");
	}
	if (storetest_flush(&s))
		die("flush");
	storetest_close(&s);
	free(rows);
}

static int by_labels(const void *a, const void *b)
{
	const struct line *x = a, *y = b;
	return label_cmp(x->labels, y->labels);
}

static void shard_ids(struct shard *sh, struct fsio_dir *d, const struct files *fs)
{
	struct cfile *f = NULL;
	struct cfile_defs *it = NULL;
	uint32_t id, tenant;
	struct labels ls;
	for (size_t i = 0; i < fs->count; i++) {
		if (cfile_open(d, fs->entries[i].name, &f, NULL) || cfile_defs_create(f, 0, &it))
			die("a file does not open");
		while (!cfile_defs_next(it, &id, &tenant, &ls)) {
			struct line key = { .labels = ls };
			const struct line *l =
			    bsearch(&key, lines, lines_count, sizeof(*lines), by_labels);
			if (!l)
				continue;
			if (sh->count == sh->cap) {
				sh->cap = sh->cap ? 2 * sh->cap : 1024;
				sh->series = realloc(sh->series, sh->cap * sizeof(*sh->series));
			}
			sh->series[sh->count++] =
			    (struct one){ id, l->labels, l->from, l->v, l->offset };
		}
		cfile_defs_free(it);
		cfile_close(f);
	}
}

static enum err labels_of(void *arg, uint32_t id, uint32_t *tenant, struct labels *ls)
{
	const struct shard *sh = arg;
	for (uint32_t lo = 0, hi = sh->count; lo < hi;) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (sh->series[mid].id == id) {
			*tenant = 0;
			*ls = sh->series[mid].labels;
			return ERR_OK;
		}
		if (sh->series[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return ERR_NOTFOUND;
}

/* A range of a shard as a round file would have it, sealed. */
static void range_write(
    struct shard *sh, unsigned index, unsigned range, struct fsio_dir *d, struct files *fs)
{
	struct cfile_meta m = { .shard = index,
		.start_ms = start_ms + range * SAMPLE_RANGE_MS,
		.rank = fs->next_rank++ };
	struct cfile_writer *w = NULL;
	struct cfile *f = NULL;
	int64_t t[SCRAPES];
	double v[SCRAPES];
	m.end_ms = m.start_ms + SAMPLE_RANGE_MS;
	if (cfile_writer_create(d, "round.kcf", &m, &w))
		die("a file is not made");
	for (uint32_t i = 0; i < sh->count; i++) {
		const struct one *o = &sh->series[i];
		for (unsigned k = 0; k < SCRAPES; k++) {
			size_t row = (range * SCRAPES + k + o->offset) % RECORDED_ROWS;
			t[k] = m.start_ms + STEP_MS * (int64_t)k + o->offset; /* each target's */
			v[k] = o->from && o->from->present[row] ? o->from->v[row] : o->v;
		}
		(void)cfile_writer_add(
		    w, o->id, &(struct sample_column){ .count = SCRAPES, .t_ms = t, .v = v });
	}
	struct seal_opts o = {
		.dir = d, .inputs = &f, .inputs_count = 1, .labels_of = labels_of, .arg = sh
	};
	struct seal_result r;
	if (cfile_writer_finish(w, NULL) || cfile_open(d, "round.kcf", &f, NULL) ||
	    seal_run(&o, &r, NULL) || cfile_open(d, r.name, &sh->sealed[range], NULL))
		die("a file is not sealed");
	cfile_close(f);
	(void)!fsio_remove(d, "round.kcf");
	struct files_entry e = files_entry_of(r.name, &r.meta, &r.stats);
	files_add(fs, &e);
}

static void files_make(const char *dir, uint64_t *bytes, uint64_t *units)
{
	qsort(lines, lines_count, sizeof(*lines), by_labels);
	for (unsigned i = 0; i < SHARDS; i++) {
		char path[4096];
		struct fsio_dir *d = NULL;
		struct files fs;
		enum files_found found;
		snprintf(path, sizeof(path), "%s/shards/%02u", dir, i);
		if (fsio_dir_open(path, false, &d) || files_load(d, i, &fs, &found, NULL))
			die("no shard");
		shard_ids(&shards[i], d, &fs);
		for (unsigned k = 0; k < RANGES; k++) {
			range_write(&shards[i], i, k, d, &fs);
			*bytes += cfile_stats(shards[i].sealed[k])->size_bytes;
			*units += cfile_stats(shards[i].sealed[k])->units;
		}
		struct files_switcher sw = { .dir = d };
		if (files_switch(&sw, &fs))
			die("FILES");
		files_release(&fs);
	}
}

/* ---- reading ---- */

struct reading {
	struct source *src;
	struct source_query query;
	struct source_cursor *cursor;
	unsigned shard;
	uint64_t samples, series, ns, waits;
	bool over;
};

static void wake(void *arg)
{
	(void)arg;
}

static void read_some(void *arg)
{
	struct reading *r = arg;
	struct source_item it;
	uint64_t from = used_cpu_ns();
	for (bool wait = false; !r->over && !wait;) {
		if (!r->cursor) {
			if (r->shard == SHARDS) {
				r->over = true;
				break;
			}
			if (r->src->ops->open(r->src, r->shard, &r->query, &r->cursor))
				die("no cursor");
		}
		switch (r->cursor->ops->next(r->cursor, &it)) {
		case SOURCE_READY:
			r->samples += it.col.count;
			r->series++;
			break;
		case SOURCE_AGAIN:
			break;
		case SOURCE_WAIT:
			wait = true;
			r->waits++;
			break;
		case SOURCE_END:
			r->cursor->ops->close(r->cursor);
			r->cursor = NULL;
			r->shard++;
			break;
		case SOURCE_ERROR:
			die(r->cursor->eb.text);
		}
	}
	r->ns += used_cpu_ns() - from;
}

static struct reading read_all(
    struct storetest *s, const struct matcher *ms, size_t count, int64_t t_min, int64_t t_max)
{
	struct reading r = { .src = store_source(s->store),
		.query = { .what = SOURCE_SERIES_SAMPLES,
		    .t_min_ms = t_min,
		    .t_max_ms = t_max,
		    .matchers = ms,
		    .matchers_count = count,
		    .wake = wake } };
	while (!r.over) {
		testteam_run(&s->tt, 0, read_some, &r);
		if (!r.over)
			usleep(200);
	}
	return r;
}

/* ---- stages, each on its own ---- */

struct stages {
	uint64_t find, copy, crc, table, values, times;
};
struct todo { /* of one file */
	uint32_t *ids;
	size_t count;
};

static int64_t memory_ms; /* behind the files, what memory has */
static uint64_t lap_ns;   /* what a look at the clock takes */

static uint64_t lap(uint64_t *from)
{
	uint64_t now = used_cpu_ns(), ns = now - *from;
	*from = now;
	return ns > lap_ns ? ns - lap_ns : 0;
}

static void lap_calibrate(void)
{
	uint64_t from = used_cpu_ns(), sum = 0;
	for (unsigned i = 0; i < 10000; i++)
		sum += lap(&from);
	lap_ns = sum / 10000;
}

static void stages_of(struct cfile *f, const struct todo *td, struct stages *st)
{
	static uint8_t *bytes, *times_bytes;
	static uint32_t *unit_of;
	struct cfile_extent ext;
	struct cfile_unit u;
	struct cfile_times times;
	struct column c = { 0 };
	const struct cfile_dir *d = NULL;
	uint32_t units = cfile_stats(f)->units;
	if (cfile_dir_load(f, &d))
		die("no directory");
	bytes = bytes ? bytes : malloc(CFILE_UNIT_HEAD + CFILE_UNIT_RAW_MAX);
	times_bytes = times_bytes ? times_bytes : malloc(CFILE_UNIT_HEAD + CFILE_UNIT_RAW_MAX);
	unit_of = realloc(unit_of, td->count * sizeof(*unit_of));
	uint64_t at = used_cpu_ns();
	for (size_t i = 0; i < td->count; i++)
		unit_of[i] = cfile_find(d, td->ids[i], &ext, 1) ? ext.unit : UINT32_MAX;
	st->find += lap(&at);
	cfile_unit_init(&u);
	cfile_times_init(&times);
	column_reserve(&c, CHUNK_SAMPLES_MAX);
	for (uint32_t k = 0; k < units; k++) {
		bool any = false;
		for (size_t i = 0; i < td->count && !any; i++)
			any = unit_of[i] == k;
		if (!any)
			continue;
		at = used_cpu_ns();
		ext = cfile_unit_extent(d, k);
		if (cfile_read_nowait(f, bytes, ext.len, ext.off) &&
		    cfile_read(f, bytes, ext.len, ext.off))
			die("no unit");
		st->copy += lap(&at);
		volatile uint32_t crc = crc32c(1, bytes, ext.len);
		(void)crc;
		uint64_t ns = lap(&at);
		st->crc += ns;
		if (cfile_unit_open(&u, f, &ext, bytes, NULL))
			die("no unit");
		uint64_t open_ns = lap(&at);
		st->table += open_ns > ns ? open_ns - ns : 0;
		for (size_t i = 0; i < td->count; i++) {
			const struct cfile_entry *e;
			const int64_t *t = NULL;
			if (unit_of[i] != k || cfile_unit_find(&u, td->ids[i], &e) != 1)
				continue;
			if (!cfile_times_has(&times, e->column) &&
			    (!cfile_times_extent(d, e->column, 0, &ext) ||
			        cfile_read(f, times_bytes, ext.len, ext.off) ||
			        cfile_times_open(&times, f, &ext, times_bytes, NULL)))
				die("no times");
			at = used_cpu_ns();
			if (cfile_unit_times(&u, &times, e, &t, NULL))
				die("no times");
			memcpy(c.t_ms, t, e->count * sizeof(*t));
			uint64_t both = lap(&at);
			column_clear(&c);
			if (cfile_chunk_decode(
			        CFILE_FLOATS, t, e->count, e->values, e->values_len, &c))
				die("no values");
			uint64_t v = lap(&at);
			st->times += both;
			st->values += v > both / 2 ? v - both / 2 : 0;
		}
	}
	cfile_unit_release(&u);
	cfile_times_release(&times);
	column_release(&c);
	cfile_dir_unpin(f);
}

static struct stages stages_all(const struct matcher *ms, size_t count, int64_t t_min, int64_t t_max)
{
	struct stages st = { 0 };
	for (unsigned i = 0; i < SHARDS; i++) {
		struct todo td = { malloc((shards[i].count + 1) * sizeof(uint32_t)), 0 };
		for (uint32_t k = 0; k < shards[i].count; k++)
			if (matcher_labels(ms, count, shards[i].series[k].labels) == REX_YES)
				td.ids[td.count++] = shards[i].series[k].id;
		for (unsigned k = 0; k < RANGES && td.count; k++) {
			const struct cfile_stats *s = cfile_stats(shards[i].sealed[k]);
			if (s->t_min_ms <= t_max && s->t_max_ms >= t_min)
				stages_of(shards[i].sealed[k], &td, &st);
		}
		free(td.ids);
	}
	return st;
}

/* What came since the files were written: scrapes that memory has. */
static void memory_fill(struct storetest *s, unsigned scrapes)
{
	struct storetest_row *rows = calloc(1000, sizeof(*rows));
	for (unsigned k = 0; k < scrapes; k++)
		for (size_t i = 0, n = 0; i < lines_count; i++) {
			const struct line *l = &lines[i];
			size_t row = (RANGES * SCRAPES + k + l->offset) % RECORDED_ROWS;
			rows[n++] = (struct storetest_row){ .labels = l->labels,
				.t_ms = start_ms + RANGES * SAMPLE_RANGE_MS + STEP_MS * (int64_t)k +
				    l->offset,
				.v = l->from && l->from->present[row] ? l->from->v[row] : l->v };
			if (n < 1000 && i + 1 < lines_count)
				continue;
			struct storetest_verdict v = storetest_write(s, 0, rows, n);
			if (v.err || v.refused)
				die("rows are refused");
			n = 0;
		}
	free(rows);
	memory_ms = (int64_t)scrapes * STEP_MS;
}

static void bench(struct storetest *s, const struct shape *shape, double *sum)
{
	struct matcher ms[2];
	struct errbuf eb;
	size_t n = 0;
	int64_t end = start_ms + RANGES * SAMPLE_RANGE_MS - 1 + memory_ms,
	        from = end - shape->back_s * 1000 + 1;
	for (; n < 2 && shape->m[n].name; n++)
		if (matcher_init(&ms[n], shape->m[n].type, shape->m[n].name,
		        strlen(shape->m[n].name), shape->m[n].value, strlen(shape->m[n].value), &eb))
			die("no matcher");
	struct reading best = { .ns = UINT64_MAX };
	uint64_t choose = UINT64_MAX, before = start_ms > 0 ? 1000 : 0;
	for (unsigned i = 0; i < runs; i++) {
		struct reading r = read_all(s, ms, n, from, end);
		best = r.ns < best.ns ? r : best;
		r = read_all(s, ms, n, (int64_t)before, (int64_t)before + 1);
		choose = r.ns < choose ? r.ns : choose;
	}
	struct stages st = stages_all(ms, n, from, end);
	double k = best.samples ? (double)best.samples : 1;
	printf("%-30s %9" PRIu64 " %6" PRIu64 " %8.2f %8.2f   %6.2f %6.2f %6.2f %6.2f %6.2f %6.2f\n",
	    shape->name, best.samples, best.series, (double)best.ns / k, (double)choose / k,
	    (double)st.find / k, (double)st.copy / k, (double)st.crc / k, (double)st.table / k,
	    (double)st.values / k, (double)st.times / k);
	sum[0] += (double)best.samples;
	sum[1] += (double)best.ns;
	sum[2] += (double)choose;
	for (size_t i = 0; i < n; i++)
		matcher_release(&ms[i]);
}

int main(int argc, char **argv)
{
	struct storetest s;
	const char *src = getenv("KYMO_SRC");
	char *dir = testlib_tmpdir("b_read");
	uint64_t bytes = 0, units = 0;
	double sum[3] = { 0 };
	runs = argc > 2 ? (unsigned)atol(argv[2]) : runs;
	lap_calibrate();
	arena_init(&arena, 1 << 20);
	page_load(src ? src : ".");
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	start_ms = (int64_t)now.tv_sec * 1000 - (RANGES + 1) * SAMPLE_RANGE_MS;
	start_ms -= start_ms % SAMPLE_RANGE_MS;
	series_create(dir);
	files_make(dir, &bytes, &units);
	opts(&s, dir);
	if (storetest_open(&s, 1))
		die("the store does not open");
	if (argc > 3)
		memory_fill(&s, (unsigned)atol(argv[3]));
	double samples = (double)lines_count * RANGES * SCRAPES;
	printf(
	    "%zu series, %.1f M samples sealed in %u files, %.3f bytes a sample, %.0f bytes a unit\n",
	    lines_count, samples / 1e6, SHARDS * RANGES, (double)bytes / samples,
	    (double)bytes / (double)units);
	printf("%-30s %9s %6s %8s %8s   %6s %6s %6s %6s %6s %6s\n", "", "samples", "series",
	    "ns/smp", "choose", "find", "copy", "crc", "table", "values", "times");
	for (size_t i = 0; i < COUNT_OF(shapes); i++)
		if (argc < 2 || strstr(shapes[i].name, argv[1]))
			bench(&s, &shapes[i], sum);
	printf("%-30s %9.0f %6s %8.2f %8.2f\n", "all", sum[0], "", sum[1] / sum[0], sum[2] / sum[0]);
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
	return 0;
}
