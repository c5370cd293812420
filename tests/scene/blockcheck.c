/*
 * blockcheck - what s96_blocks and bench/micro drive the library of blocks with.
 *
 *   blockcheck dump DIR [FROM TO]   all samples of the blocks of a directory, or of one block, as
 *                                   "promtool tsdb dump" writes floats; histograms by their counts
 *   blockcheck head DIR [mapped]    what is not in its blocks yet; with chunks_head, too
 *   blockcheck count DIR            how many samples, how fast
 *   blockcheck make OUT BLOCK_MS CHUNK_MS MEMORY < rows
 *                                   rows: TIME tab VALUE tab NAME tab VALUE ...
 *   blockcheck copy DIR OUT BLOCK_MS MEMORY [head]   blocks (and head) of DIR to new blocks
 *   blockcheck many OUT SERIES SAMPLES MEMORY   so many series of a sample each 15 s; tells rates
 * Damage and counts go to stderr.
 */
#include "core/base/clock.h"
#include "storage/block/bdir.h"
#include "storage/block/bhead.h"
#include "storage/block/bread.h"
#include "storage/block/bwrite.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static struct errbuf eb;

static void fine(enum err e, const char *what)
{
	if (!e)
		return;
	fprintf(stderr, "%s: %s: %s\n", what, err_text(e), eb.text);
	exit(1);
}

static void damage(void *arg, const char *file, uint64_t offset, const char *what)
{
	(void)arg;
	fprintf(stderr, "damage %s at %" PRIu64 ": %s\n", file, offset, what);
}

static const struct bdamage told = { .told = damage };

/* ---- dump ---- */

static void number(struct buf *b, double v)
{
	char text[NUM_FMT_MAX];
	buf_add(b, text, num_fmt_g(v, text));
}

static void count(struct buf *b, const struct hist *h, union hist_count c)
{
	double v = h->is_float ? c.f : (double)c.n;
	if (v == 0)
		return;
	buf_add_u8(b, ' ');
	number(b, v);
}

/* Counts that are not 0, from the lowest bucket to the highest, as Histogram.String() has them. */
static void histogram(struct buf *b, const struct hist *h)
{
	buf_add_str(b, "{count:");
	number(b, h->is_float ? h->count.f : (double)h->count.n);
	buf_add_str(b, ", sum:");
	number(b, h->sum);
	for (uint32_t i = h->negative.counts_count; i-- > 0;)
		count(b, h, h->negative.counts[i]);
	count(b, h, h->zero_count);
	for (uint32_t i = 0; i < h->positive.counts_count; i++)
		count(b, h, h->positive.counts[i]);
	buf_add_u8(b, '}');
}

static void show(const struct bread_item *item)
{
	struct buf labels, line;
	buf_init(&labels);
	buf_init(&line);
	label_text(&labels, item->labels);
	for (uint32_t i = 0; i < item->column->count; i++) {
		const struct hist *h = column_hist(item->column, i);
		buf_clear(&line);
		buf_add(&line, labels.data, labels.len);
		buf_add_u8(&line, ' ');
		if (h)
			histogram(&line, h);
		else
			number(&line, item->column->v[i]);
		buf_printf(&line, " %" PRId64 "\n", item->column->t_ms[i]);
		fwrite(line.data, 1, line.len, stdout);
	}
	buf_release(&labels);
	buf_release(&line);
}

/* ---- all that is in a directory ---- */

typedef void item_fn(void *arg, struct bread_item *item);

static void block_each(const char *path, int64_t from, int64_t to, item_fn *fn, void *arg)
{
	struct bread *b;
	struct bread_item item;
	struct bread_walk w = { .t_from_ms = from, .t_to_ms = to };
	fine(bread_open(path, &told, &b, &eb), path);
	fine(bread_walk(b, &w, &eb), path);
	enum err e;
	while (!(e = bread_next(b, &item, &eb)))
		fn(arg, &item);
	if (e != ERR_NOTFOUND)
		fine(e, path);
	struct bread_counts c = bread_counts(b);
	fprintf(stderr,
	    "%s: series=%" PRIu64 " floats=%" PRIu64 " histograms=%" PRIu64 " deleted=%" PRIu64
	    " damaged_chunks=%" PRIu64 " damaged_series=%" PRIu64 "\n",
	    path, c.series, c.floats, c.histograms, c.deleted, c.damaged_chunks, c.damaged_series);
	bread_close(b);
}

static void blocks_each(const char *path, int64_t from, int64_t to, item_fn *fn, void *arg)
{
	struct bdir d;
	fine(bdir_scan(path, &d, &eb), path);
	for (size_t i = 0; i < d.count; i++) {
		char *block = bdir_path(path, &d, i);
		if (d.blocks[i].err)
			fprintf(stderr, "%s: %s\n", block, d.blocks[i].trouble);
		else
			block_each(block, from, to, fn, arg);
		mem_free(block);
	}
	bdir_release(&d);
}

/* mapped: chunks_head, too, which repeats what the log has. */
static void head_each(const char *path, bool mapped, item_fn *fn, void *arg)
{
	struct bdir d;
	struct bhead *h;
	struct bread_item item;
	fine(bdir_scan(path, &d, &eb), path);
	struct bhead_opts o = { .from_ms = d.head_from_ms,
		.t_from_ms = INT64_MIN,
		.t_to_ms = INT64_MAX,
		.mapped_chunks = mapped,
		.damage = told };
	bdir_release(&d);
	fine(bhead_open(path, &o, &h, &eb), path);
	enum err e;
	while (!(e = bhead_next(h, &item, NULL, &eb)))
		fn(arg, &item);
	if (e != ERR_NOTFOUND)
		fine(e, path);
	struct bhead_counts c = bhead_counts(h);
	fprintf(stderr,
	    "%s: head: series=%" PRIu64 " floats=%" PRIu64 " histograms=%" PRIu64
	    " deleted=%" PRIu64 " before=%" PRIu64 " mapped=%" PRIu64 " orphans=%" PRIu64
	    " unfit=%" PRIu64 " unknown=%" PRIu64 " damaged=%" PRIu64 "\n",
	    path, c.series, c.floats, c.histograms, c.deleted, c.before, c.head_chunks, c.orphans,
	    c.unfit, c.unknown, c.damaged);
	bhead_close(h);
}

static void print_item(void *arg, struct bread_item *item)
{
	(void)arg;
	show(item);
}

/* ---- writing ---- */

static double seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

static void finish(struct bwrite *w, uint64_t begun)
{
	struct arena a;
	struct bmeta *m;
	size_t n;
	struct rusage use;
	struct bwrite_counts c = bwrite_counts(w);
	uint64_t added = clock_mono_ns();
	arena_init(&a, 4096);
	fine(bwrite_finish(w, &a, &m, &n, NULL, NULL, &eb), "finish");
	uint64_t done = clock_mono_ns(), samples = 0, series = 0;
	for (size_t i = 0; i < n; i++) {
		printf("%s\n", m[i].ulid.text);
		samples += m[i].samples;
		series += m[i].series;
	}
	getrusage(RUSAGE_SELF, &use);
	fprintf(stderr,
	    "blocks=%zu series=%" PRIu64 " samples=%" PRIu64 " runs=%" PRIu64
	    " add_s=%.2f finish_s=%.2f samples_per_s=%.0f rss_mib=%.0f\n",
	    n, series, samples, c.runs, seconds(added - begun), seconds(done - added),
	    (double)samples / seconds(done - begun), (double)use.ru_maxrss / 1024);
	arena_release(&a);
}

static struct bwrite *begin(const char *out, const char *block, const char *chunk, const char *memory)
{
	struct bwrite *w;
	struct bwrite_opts o = { .block_ms = strtoll(block, NULL, 10),
		.chunk_ms = strtoll(chunk, NULL, 10),
		.memory_bytes = (size_t)strtoull(memory, NULL, 10) };
	fine(bwrite_open(out, &o, &w, &eb), out);
	return w;
}

static void item_add(void *arg, struct bread_item *item)
{
	struct sample_column c = column_view(item->column, 0, item->column->count);
	fine(bwrite_add(arg, item->labels, &c, &eb), "add");
}

static void rows_add(struct bwrite *w)
{
	char *line = NULL, *text, *rest;
	size_t cap = 0;
	ssize_t n;
	struct arena a, keep;
	struct labels last = { 0 };
	struct column c = { 0 };
	arena_init(&a, 4096);
	arena_init(&keep, 4096);
	while ((n = getline(&line, &cap, stdin)) > 0) {
		struct label_builder b;
		line[n - 1] = 0;
		int64_t t = strtoll(strtok_r(line, "\t", &rest), NULL, 10);
		double v = strtod(strtok_r(NULL, "\t", &rest), NULL);
		arena_reset(&a, 4096);
		label_builder_init(&b, &a);
		while ((text = strtok_r(NULL, "\t", &rest))) {
			char *value = strtok_r(NULL, "\t", &rest);
			label_builder_set(&b, text, strlen(text), value, strlen(value));
		}
		struct labels ls = label_builder_done(&b);
		if (c.count && (!label_equal(ls, last) || c.t_ms[c.count - 1] >= t)) {
			struct sample_column s = column_view(&c, 0, c.count);
			fine(bwrite_add(w, last, &s, &eb), "add");
			column_clear(&c);
		}
		arena_reset(&keep, 4096);
		last = (struct labels){ arena_dup(&keep, ls.bytes, ls.len), ls.len };
		column_reserve(&c, 1);
		c.t_ms[c.count] = t;
		c.v[c.count++] = v;
	}
	struct sample_column s = column_view(&c, 0, c.count);
	fine(bwrite_add(w, last, &s, &eb), "add");
	column_release(&c);
	arena_release(&a);
	arena_release(&keep);
	free(line);
}

/*
 * Series in an order that is not theirs, of a fleet: a host has 50 metrics and labels of its own.
 */
static void many_add(struct bwrite *w, uint32_t series, uint32_t samples)
{
	struct column c = { 0 };
	struct arena a;
	arena_init(&a, 4096);
	column_reserve(&c, samples);
	for (uint32_t i = 0; i < series; i++) {
		char metric[60], host[60], pod[60], uid[60];
		uint64_t k = (uint64_t)i * 7919 % series, state = k;
		snprintf(metric, sizeof(metric), "node_metric_%" PRIu64 "_total", k % 50);
		snprintf(host, sizeof(host), "host-%06" PRIu64 ".example.com:9100", k / 50);
		snprintf(pod, sizeof(pod), "pod-%" PRIu64, k / 10);
		snprintf(uid, sizeof(uid), "%016" PRIx64, hash_mix64(k / 5));
		arena_reset(&a, 4096);
		struct labels ls = label_make(&a, "__name__", metric, "instance", host, "job",
		    "node", "pod", pod, "region", k % 3 ? "eu" : "us", "uid", uid, NULL);
		double v = (double)(k % 1000);
		for (uint32_t n = 0; n < samples; n++) {
			state = hash_mix64(state + 1);
			c.t_ms[n] = 1700006400000 + n * INT64_C(15000);
			c.v[n] = v += (double)(state % 16);
		}
		c.count = samples;
		struct sample_column s = column_view(&c, 0, samples);
		fine(bwrite_add(w, ls, &s, &eb), "add");
	}
	column_release(&c);
	arena_release(&a);
}

static void count_item(void *arg, struct bread_item *item)
{
	*(uint64_t *)arg += item->column->count;
}

int main(int argc, char **argv)
{
	const char *cmd = argc > 2 ? argv[1] : "";
	uint64_t begun = clock_mono_ns();
	errbuf_init(&eb);
	if (!strcmp(cmd, "dump")) {
		int64_t from = argc > 4 ? strtoll(argv[3], NULL, 10) : INT64_MIN,
		        to = argc > 4 ? strtoll(argv[4], NULL, 10) : INT64_MAX;
		blocks_each(argv[2], from, to, print_item, NULL);
	} else if (!strcmp(cmd, "head")) {
		head_each(argv[2], argc > 3, print_item, NULL);
	} else if (!strcmp(cmd, "count")) {
		uint64_t n = 0;
		blocks_each(argv[2], INT64_MIN, INT64_MAX, count_item, &n);
		double s = seconds(clock_mono_ns() - begun);
		struct rusage use;
		getrusage(RUSAGE_SELF, &use);
		printf("samples=%" PRIu64 " s=%.2f samples_per_s=%.0f rss_mib=%.0f\n", n, s,
		    (double)n / s, (double)use.ru_maxrss / 1024);
	} else if (!strcmp(cmd, "make") && argc > 5) {
		struct bwrite *w = begin(argv[2], argv[3], argv[4], argv[5]);
		rows_add(w);
		finish(w, begun);
	} else if (!strcmp(cmd, "copy") && argc > 5) {
		struct bwrite *w = begin(argv[3], argv[4], "0", argv[5]);
		blocks_each(argv[2], INT64_MIN, INT64_MAX, item_add, w);
		if (argc > 6)
			head_each(argv[2], false, item_add, w);
		finish(w, begun);
	} else if (!strcmp(cmd, "many") && argc > 5) {
		struct bwrite *w = begin(argv[2], "0", "0", argv[5]);
		many_add(
		    w, (uint32_t)strtoul(argv[3], NULL, 10), (uint32_t)strtoul(argv[4], NULL, 10));
		finish(w, begun);
	} else {
		fprintf(stderr, "blockcheck dump|head|count|make|copy|many DIR ...\n");
		return 2;
	}
	return 0;
}
