/*
 * Blocks of Prometheus: chunks of floats and of native histograms encoded and decoded, nanoseconds
 * a sample and samples a second of CPU, by shape of the values; then a block of many series written
 * and read (b_block SERIES SAMPLES MEMORY-MIB), with the memory that it took.
 */
#include "bench/micro/used.h"
#include "core/base/clock.h"
#include "core/model/chunkenc.h"
#include "storage/block/bchunk.h"
#include "storage/block/bread.h"
#include "storage/block/bwrite.h"
#include "tests/lib/testhist.h"
#include "tests/lib/testlib.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define ROWS   4800u
#define ROUNDS 60u
#define T0     INT64_C(1700006400000)

static struct column col, back;
static struct errbuf eb;

static void floats(const char *shape)
{
	uint64_t s = 5;
	double v = 0;
	column_clear(&col);
	column_reserve(&col, ROWS);
	for (uint32_t i = 0; i < ROWS; i++) {
		uint64_t r = testhist_mix(&s);
		if (!strcmp(shape, "counter"))
			v += (double)(r % 100);
		else if (!strcmp(shape, "gauge"))
			v = (double)(r % 10000) / 100;
		else if (!strcmp(shape, "seldom") && r % 20 == 0)
			v = (double)(r >> 40);
		col.t_ms[i] =
		    T0 + i * INT64_C(15000) + (!strcmp(shape, "jitter") ? (int64_t)(r % 9) : 0);
		col.v[i] = v;
	}
	col.count = ROWS;
}

static void hists(void)
{
	floats("still");
	struct arena *a = column_memory(&col);
	for (uint32_t i = 0; i < ROWS; i++) {
		col.v[i] = num_from_bits(SAMPLE_HIST_BITS);
		column_set(&col, i, testhist_next(a, 3, i % 90), 0);
	}
}

struct chunks {
	struct buf bytes;
	struct chunkenc told[2000];
	size_t at[2001], count;
};

static void encode(struct chunks *c)
{
	struct sample_column view = column_view(&col, 0, col.count);
	buf_clear(&c->bytes);
	c->count = 0;
	for (uint32_t at = 0; at < view.count; at += c->told[c->count++].count) {
		c->at[c->count] = c->bytes.len;
		chunkenc_head_next(&view, at, SAMPLE_RANGE_MS, &c->bytes, &c->told[c->count]);
	}
	c->at[c->count] = c->bytes.len;
}

static void codec(const char *shape)
{
	static struct chunks c;
	struct buf scratch;
	uint64_t best[2] = { UINT64_MAX, UINT64_MAX };
	buf_init(&scratch);
	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t t = used_cpu_ns();
		encode(&c);
		t = used_cpu_ns() - t;
		best[0] = t < best[0] ? t : best[0];
		column_clear(&back);
		t = used_cpu_ns();
		for (size_t i = 0; i < c.count; i++)
			if (bchunk_decode((uint8_t)c.told[i].type, c.bytes.data + c.at[i],
			        c.at[i + 1] - c.at[i], &scratch, &back, NULL))
				abort();
		t = used_cpu_ns() - t;
		best[1] = t < best[1] ? t : best[1];
	}
	if (back.count != col.count || memcmp(back.v, col.v, col.count * sizeof(*col.v)) != 0)
		abort();
	printf("%-10s %6.2f bytes/sample  encode %6.2f ns %6.1f M/s  decode %6.2f ns %6.1f M/s\n",
	    shape, (double)c.bytes.len / ROWS, (double)best[0] / ROWS, ROWS * 1e3 / (double)best[0],
	    (double)best[1] / ROWS, ROWS * 1e3 / (double)best[1]);
	buf_release(&scratch);
}

static void fine(enum err e)
{
	if (!e)
		return;
	fprintf(stderr, "%s: %s\n", err_text(e), eb.text);
	exit(1);
}

static double rss_mib(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)u.ru_maxrss / 1024;
}

/* A host has 50 metrics, and labels of its own; they come in an order that is not theirs. */
static struct labels labels_of(struct arena *a, uint64_t k)
{
	char metric[60], host[60], pod[60], uid[60];
	snprintf(metric, sizeof(metric), "node_metric_%" PRIu64 "_total", k % 50);
	snprintf(host, sizeof(host), "host-%06" PRIu64 ".example.com:9100", k / 50);
	snprintf(pod, sizeof(pod), "pod-%" PRIu64, k / 10);
	snprintf(uid, sizeof(uid), "%016" PRIx64, hash_mix64(k / 5));
	arena_reset(a, 4096);
	return label_make(a, "__name__", metric, "instance", host, "job", "node", "pod", pod,
	    "region", k % 3 ? "eu" : "us", "uid", uid, NULL);
}

static void whole(uint32_t series, uint32_t samples, size_t memory)
{
	struct bwrite *w;
	struct bmeta *m;
	size_t n;
	struct arena a, keep;
	char *dir = testlib_tmpdir("b_block"), path[600];
	struct bwrite_opts o = { .memory_bytes = memory };
	arena_init(&a, 4096);
	arena_init(&keep, 4096);
	floats("counter");
	fine(bwrite_open(dir, &o, &w, &eb));
	double before = rss_mib();
	uint64_t t = used_cpu_ns(), real = clock_mono_ns();
	for (uint32_t i = 0; i < series; i++) {
		struct labels ls = labels_of(&a, (uint64_t)i * 7919 % series);
		struct sample_column c = column_view(&col, i % 64, samples);
		fine(bwrite_add(w, ls, &c, &eb));
	}
	uint64_t added = used_cpu_ns();
	struct bwrite_counts counts = bwrite_counts(w);
	fine(bwrite_finish(w, &keep, &m, &n, NULL, NULL, &eb));
	uint64_t done = used_cpu_ns();
	double all = (double)series * samples;
	printf("write %u series of %u: add %.1f s CPU, finish %.1f s CPU, %.1f s in all, %.2f M samples a "
	       "CPU-second, %" PRIu64 " runs, memory %.0f MiB\n",
	    series, samples, (double)(added - t) / 1e9, (double)(done - added) / 1e9,
	    (double)(clock_mono_ns() - real) / 1e9, all * 1e3 / (double)(done - t), counts.runs,
	    rss_mib() - before);
	fflush(stdout);
	uint64_t got = 0;
	struct bread *b;
	struct bread_item item;
	struct bread_walk walk = { .t_from_ms = INT64_MIN, .t_to_ms = INT64_MAX };
	t = used_cpu_ns();
	for (size_t i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, m[i].ulid.text);
		fine(bread_open(path, NULL, &b, &eb));
		fine(bread_walk(b, &walk, &eb));
		while (!bread_next(b, &item, &eb))
			got += item.column->count;
		bread_close(b);
	}
	t = used_cpu_ns() - t;
	if (got != (uint64_t)series * samples)
		abort();
	printf("read: %.1f s CPU, %.2f M samples a CPU-second\n", (double)t / 1e9,
	    all * 1e3 / (double)t);
	testlib_rmtree(dir);
	free(dir);
	arena_release(&a);
	arena_release(&keep);
}

int main(int argc, char **argv)
{
	static const char *const shapes[] = { "still", "seldom", "counter", "jitter", "gauge" };
	errbuf_init(&eb);
	for (size_t i = 0; i < COUNT_OF(shapes); i++) {
		floats(shapes[i]);
		codec(shapes[i]);
	}
	hists();
	codec("histogram");
	uint32_t series = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100000,
	         samples = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 120;
	size_t mib = argc > 3 ? (size_t)strtoul(argv[3], NULL, 10) : 64;
	whole(series, samples < ROWS - 64 ? samples : ROWS - 64, mib << 20);
	column_release(&col);
	column_release(&back);
	return 0;
}
