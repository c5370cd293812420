/*
 * b_head - what a series takes in memory, part by part, and what its rows cost, without a store.
 *
 *   b_head [series = 200000] [step_s = 15] [rounds = 3] [shards = 8]
 * The shards of one loop, on one slab, have rounds of ten minutes, spread over the interval as the
 * store's are. Each scrape sends one row for every series in one order; values are those of
 * kymobench's page: half of them stand still, a quarter are counters, the others gauges.
 * Printed: bytes a series of each part, as the mean over the scrapes of the last round, and the
 * most there was; anonymous memory at the end; ns of CPU for a row (looked up and put; and again,
 * as a repeat), for a series frozen, read, and dropped.
 */
#include "bench/micro/used.h"
#include "core/base/arena.h"
#include "core/base/hash.h"
#include "storage/head/trail.h"
#include "storage/meta/postings.h"

#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUND_S 600u
#define SEED    42u
#define PER     500u /* series of a target */

struct bench {
	uint32_t series, shards, step_s;
	struct slab *mem;
	struct head *heads;
	struct trail trail;
	uint8_t *bytes; /* labels of all series */
	size_t *at;
	uint64_t rows, put_ns, again_ns, frozen, freeze_ns, read_ns, read_rows, drop_ns;
};
struct parts {
	double lines, table, ids, postings, labels, live, slab, all;
};

static void series_make(struct bench *b)
{
	static const char *const modes[] = { "idle", "iowait", "irq", "nice", "system" };
	struct arena a;
	arena_init(&a, 1 << 16);
	b->bytes = slab_map((size_t)b->series * 220);
	b->at = mem_alloc(((size_t)b->series + 1) * sizeof *b->at);
	size_t at = 0;
	for (uint32_t i = 0; i < b->series; i++) {
		char name[64], inst[64], cpu[16];
		uint32_t target = i / PER, metric = i % PER;
		snprintf(name, sizeof name, "node_subsystem%u_seconds_total", metric / 5);
		snprintf(inst, sizeof inst, "instance-%u", target);
		snprintf(cpu, sizeof cpu, "%u", metric % 8);
		struct labels ls = label_make(&a, LABEL_NAME, name, "cpu", cpu, "instance", inst,
		    "job", "node_exporter", "mode", modes[metric % 5], "revision", "r0", NULL);
		b->at[i] = at;
		memcpy(b->bytes + at, ls.bytes, ls.len);
		at += ls.len;
		arena_reset(&a, 1 << 16);
	}
	b->at[b->series] = at;
	arena_release(&a);
	printf("# %u series in %u shards, %.0f bytes of labels each, a row every %u s\n", b->series,
	    b->shards, (double)at / b->series, b->step_s);
}

static double value_of(uint32_t i, uint64_t r)
{
	uint64_t h = hash_mix64(i);
	double base = 1000.0 * (i % PER + 1);
	switch (h % 20) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
		return base + (double)(r * (h >> 8 & 1023) + (hash_mix64(h + r) & 63));
	case 5:
	case 6:
		return base + (double)(r * (h >> 8 & 1023)) / 100;
	case 7:
	case 8:
		return 4096.0 * (double)((h >> 12 & 0xfffff) + (hash_mix64(h ^ r) & 1023));
	case 9:
		return (double)(hash_mix64(h + r) % 10000) / 100;
	case 10:
	case 11:
		return base + (double)((r + h % 60) / 60);
	default:
		return base;
	}
}

static void rows_of(const struct bench *b, uint32_t from, unsigned n, int64_t t_ms, uint64_t r,
    struct head_row *rows)
{
	for (unsigned k = 0; k < n; k++) {
		uint32_t i = from + k;
		rows[k] = (struct head_row){ .labels = b->bytes + b->at[i],
			.labels_len = (uint32_t)(b->at[i + 1] - b->at[i]),
			.place = HEAD_PLACE_NONE,
			.t_ms = t_ms,
			.v = value_of(i, r) };
	}
}

static void create(struct bench *b)
{
	uint64_t begun = used_cpu_ns();
	for (uint32_t i = 0; i < b->series; i++) {
		struct labels ls = { .bytes = b->bytes + b->at[i],
			.len = (uint32_t)(b->at[i + 1] - b->at[i]) };
		struct hash128 fp = label_fingerprint(ls, 0, SEED);
		struct head *h = &b->heads[head_shard_of(fp, b->shards)];
		(void)head_create(h, fp.lo, 0, h->series_count, ls);
	}
	printf("create: %.0f ns a series\n", (double)(used_cpu_ns() - begun) / b->series);
}

static uint64_t rows_put(struct bench *b, struct head_row *rows, unsigned n, enum series_put want)
{
	uint64_t begun = used_cpu_ns();
	trail_resolve(&b->trail, 0, rows, n);
	for (unsigned k = 0; k < n; k++) {
		struct head *h = &b->heads[rows[k].place];
		CHECK(series_put(head_at(h, rows[k].slot), h->mem, &h->stats, rows[k].t_ms,
		          rows[k].v) == want);
	}
	return used_cpu_ns() - begun;
}

static uint64_t scrape_put(struct bench *b, int64_t t_ms, uint64_t r, enum series_put want)
{
	struct head_row rows[TRAIL_ROWS];
	uint64_t ns = 0;
	for (uint32_t from = 0; from < b->series; from += TRAIL_ROWS) {
		unsigned n = b->series - from < TRAIL_ROWS ? b->series - from : TRAIL_ROWS;
		rows_of(b, from, n, t_ms, r, rows);
		ns += rows_put(b, rows, n, want);
	}
	return ns;
}

static void scrape(struct bench *b, int64_t t_ms, uint64_t r)
{
	b->put_ns += scrape_put(b, t_ms, r, SERIES_PUT_NEW);
	b->again_ns += scrape_put(b, t_ms, r, SERIES_PUT_SAME);
	b->rows += b->series;
}

static void round_of(struct bench *b, struct head *h)
{
	struct column col = { 0 };
	uint64_t begun = used_cpu_ns();
	head_freeze_begin(h);
	while (!head_freeze(h, 256))
		;
	b->freeze_ns += used_cpu_ns() - begun;
	b->frozen += h->frozen_count;
	begun = used_cpu_ns();
	for (uint32_t i = 0; i < h->frozen_count; i++) {
		CHECK(!series_run_read(
		    series_frozen(head_at(h, h->frozen[i])), INT64_MIN, INT64_MAX, &col));
		b->read_rows += col.count;
	}
	b->read_ns += used_cpu_ns() - begun;
	begun = used_cpu_ns();
	while (!head_frozen_drop(h, 256))
		;
	b->drop_ns += used_cpu_ns() - begun;
	column_release(&col);
}

static void measure(const struct bench *b, struct parts *sum, double *most)
{
	struct parts p = { 0 };
	for (uint32_t k = 0; k < b->shards; k++) {
		const struct head *h = &b->heads[k];
		p.lines += (double)h->slots_count * sizeof(struct series);
		p.table += (double)head_table_bytes(h);
		p.ids += (double)head_id_bytes(h);
		p.postings += (double)postings_bytes(head_postings(h, 0));
		p.labels += (double)h->labels_bytes;
		p.live += (double)head_live_bytes(h);
		p.all += (double)head_bytes(h);
	}
	p.slab = (double)slab_bytes(b->mem);
	p.all += p.slab;
	double all = p.all / b->series;
	*most = all > *most ? all : *most;
	sum->lines += p.lines / b->series;
	sum->table += p.table / b->series;
	sum->ids += p.ids / b->series;
	sum->postings += p.postings / b->series;
	sum->labels += p.labels / b->series;
	sum->live += p.live / b->series;
	sum->slab += p.slab / b->series;
	sum->all += all;
}

int main(int argc, char **argv)
{
	struct bench b = { .series = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 200000,
		.step_s = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 15,
		.shards = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 8 };
	unsigned rounds = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 3;
	series_make(&b);
	double before = used_anonymous_bytes(), heap = (double)mallinfo2().uordblks, most = 0;
	b.mem = slab_create();
	b.heads = mem_zalloc(b.shards * sizeof *b.heads);
	for (uint32_t k = 0; k < b.shards; k++)
		head_init(&b.heads[k], b.mem, SEED);
	trail_init(&b.trail, b.shards, 1, SEED);
	for (uint32_t k = 0; k < b.shards; k++)
		trail_head(&b.trail, &b.heads[k]);
	create(&b);
	unsigned scrapes = ROUND_S / b.step_s, n = 0;
	struct parts sum = { 0 };
	int64_t t_ms = 1700000000000;
	for (unsigned r = 0; r < rounds * scrapes; r++) {
		t_ms += 1000 * (int64_t)b.step_s;
		scrape(&b, t_ms, r);
		if (r >= (rounds - 1) * scrapes) {
			measure(&b, &sum, &most);
			n++;
		}
		for (uint32_t k = 0; k < b.shards; k++)
			if (r % scrapes == k * scrapes / b.shards)
				round_of(&b, &b.heads[k]);
	}
	printf("bytes a series: hot lines %.1f, table %.1f, ids %.1f, postings %.1f, labels %.1f, "
	       "live samples %.1f, slab %.1f\n",
	    sum.lines / n, sum.table / n, sum.ids / n, sum.postings / n, sum.labels / n,
	    sum.live / n, sum.slab / n);
	heap = (double)mallinfo2().uordblks - heap;
	printf("in all: %.1f as counted, at most %.1f; anonymous memory %.1f, of it heap %.1f\n",
	    sum.all / n, most, (used_anonymous_bytes() - before) / b.series, heap / b.series);
	printf("a row: %.1f ns, again %.1f ns; a series: frozen %.1f ns, read %.1f ns (%.2f a row), "
	       "dropped %.1f ns\n",
	    (double)b.put_ns / (double)b.rows, (double)b.again_ns / (double)b.rows,
	    (double)b.freeze_ns / (double)b.frozen, (double)b.read_ns / (double)b.frozen,
	    (double)b.read_ns / (double)b.read_rows, (double)b.drop_ns / (double)b.frozen);
	trail_release(&b.trail);
	for (uint32_t k = 0; k < b.shards; k++)
		head_release(&b.heads[k]);
	slab_free(b.mem);
	mem_free(b.heads);
	slab_unmap(b.bytes, (size_t)b.series * 220);
	mem_free(b.at);
	return 0;
}
