/*
 * blocktest - what tests of blocks share: a plain model of series and samples, and whether a
 * directory of blocks holds it.
 *
 * A model is series by number with samples by time, the later put wins. Header only.
 */
#ifndef TESTS_LIB_BLOCKTEST_H
#define TESTS_LIB_BLOCKTEST_H

#include "storage/block/bdir.h"
#include "storage/block/bread.h"
#include "storage/block/bwrite.h"
#include "tests/lib/tap.h"
#include "tests/lib/testhist.h"

#include <stdio.h>
#include <stdlib.h>

#define BLOCKTEST_UNUSED __attribute__((unused))

struct blocktest_series {
	struct labels labels;
	struct column column;
};
struct blocktest {
	struct arena arena;
	struct blocktest_series *series;
	uint32_t count;
	uint32_t damaged; /* pieces that a reader told of */
};

BLOCKTEST_UNUSED static struct labels blocktest_labels(struct arena *a, uint32_t i)
{
	char name[40], host[40], odd[40];
	snprintf(name, sizeof(name), "metric_%u", i % 17);
	snprintf(host, sizeof(host), "host-%u", i / 17);
	snprintf(odd, sizeof(odd), "%s%u", i % 3 ? "\xc3\xa9" : "", i % 5);
	struct label_builder b;
	label_builder_init(&b, a);
	label_builder_set(&b, "__name__", 8, name, strlen(name));
	label_builder_set(&b, "host", 4, host, strlen(host));
	if (i % 4 == 0)
		label_builder_set(&b, "odd", 3, odd, strlen(odd));
	if (i % 7 == 0)
		label_builder_set(&b, "Upper", 5, "a\0b", 3); /* before __name__, with a NUL */
	return label_builder_done(&b);
}

BLOCKTEST_UNUSED static void blocktest_init(struct blocktest *m, uint32_t count)
{
	*m = (struct blocktest){ .count = count };
	arena_init(&m->arena, 4096);
	m->series = mem_zalloc(count * sizeof(*m->series));
	for (uint32_t i = 0; i < count; i++)
		m->series[i].labels = blocktest_labels(&m->arena, i);
}

BLOCKTEST_UNUSED static void blocktest_release(struct blocktest *m)
{
	for (uint32_t i = 0; i < m->count; i++)
		column_release(&m->series[i].column);
	mem_free(m->series);
	arena_release(&m->arena);
}

/* New samples of a series: into the model, and *put as they were. */
BLOCKTEST_UNUSED static void blocktest_put(
    struct blocktest *m, uint32_t i, uint64_t *s, int64_t t, uint32_t n, struct column *put)
{
	struct column joined = { 0 };
	column_clear(put);
	column_reserve(put, n);
	for (uint32_t k = 0; k < n; k++) {
		put->t_ms[k] = t;
		put->v[k] = (double)(testhist_mix(s) % 1000) / (i % 2 ? 1 : 7);
		t += 1 + (int64_t)(testhist_mix(s) % 30000);
		put->count = k + 1;
		if (i % 11 == 3 && testhist_mix(s) % 8) {
			put->v[k] = num_from_bits(SAMPLE_HIST_BITS);
			struct arena *a = column_memory(put);
			column_set(put, k,
			    i % 2 ? testhist_next(a, i, k) : testhist_any(a, testhist_mix(s)), 0);
		}
	}
	struct column *c = &m->series[i].column;
	column_merge(put, c, &joined);
	column_swap(c, &joined);
	column_release(&joined);
}

BLOCKTEST_UNUSED static bool blocktest_same_hist(const struct hist *a, const struct hist *b)
{
	if (!a || !b)
		return a == b;
	if (hist_is_stale(a))
		return hist_is_stale(b) && a->is_float == b->is_float;
	struct hist x = *b;
	x.hint = a->hint; /* what a chunk says of resets is its own */
	return hist_equal(a, &x);
}

BLOCKTEST_UNUSED static uint32_t blocktest_differ(const struct column *want, const struct column *got)
{
	uint32_t bad = want->count != got->count;
	for (uint32_t i = 0; i < want->count && i < got->count; i++)
		bad += want->t_ms[i] != got->t_ms[i] || num_bits(want->v[i]) != num_bits(got->v[i]) ||
		    !blocktest_same_hist(column_hist(want, i), column_hist(got, i));
	return bad;
}

BLOCKTEST_UNUSED static void blocktest_told(
    void *arg, const char *file, uint64_t offset, const char *what)
{
	struct blocktest *m = arg;
	m->damaged++;
	(void)file;
	(void)offset;
	(void)what;
}

/* Number of the series, m->count: none. */
BLOCKTEST_UNUSED static uint32_t blocktest_find(const struct blocktest *m, struct labels ls)
{
	uint32_t i = 0;
	while (i < m->count && !label_equal(m->series[i].labels, ls))
		i++;
	return i;
}

/*
 * All samples of the blocks in dir, by series: what differs from the model, whose samples within
 * from..to are meant. Orders are looked at too.
 */
BLOCKTEST_UNUSED static uint32_t blocktest_check(struct blocktest *m, const char *dir,
    const struct matcher *matchers, size_t matchers_count, int64_t from, int64_t to)
{
	struct bdir d;
	struct errbuf eb;
	uint32_t bad = 0;
	struct column *got = mem_zalloc(m->count * sizeof(*got));
	errbuf_init(&eb);
	if (bdir_scan(dir, &d, &eb)) {
		tap_note("%s", eb.text);
		mem_free(got);
		return 1;
	}
	for (size_t k = 0; k < d.count; k++) {
		struct bread *b;
		struct bread_item item;
		struct bdamage told = { blocktest_told, m };
		struct bread_walk w = { .matchers = matchers,
			.matchers_count = matchers_count,
			.t_from_ms = from,
			.t_to_ms = to };
		struct buf last;
		char *path = bdir_path(dir, &d, k);
		buf_init(&last);
		if (bread_open(path, &told, &b, &eb) || bread_walk(b, &w, &eb)) {
			tap_note("%s: %s", path, eb.text);
			bad++;
			mem_free(path);
			buf_release(&last);
			continue;
		}
		enum err e;
		while (!(e = bread_next(b, &item, &eb))) {
			struct labels before = { last.data, (uint32_t)last.len };
			uint32_t i = blocktest_find(m, item.labels);
			bad += i == m->count || (last.len && label_cmp(before, item.labels) > 0);
			if (i < m->count)
				column_append(&got[i], item.column, 0, item.column->count);
			buf_clear(&last);
			buf_add(&last, item.labels.bytes, item.labels.len);
		}
		bad += e != ERR_NOTFOUND;
		bread_close(b);
		mem_free(path);
		buf_release(&last);
	}
	for (uint32_t i = 0; i < m->count; i++) {
		struct column want = { 0 };
		const struct column *c = &m->series[i].column;
		bool is_meant =
		    matcher_labels(matchers, matchers_count, m->series[i].labels) == REX_YES;
		for (uint32_t k = 0; is_meant && k < c->count; k++)
			if (c->t_ms[k] >= from && c->t_ms[k] <= to)
				column_append(&want, c, k, 1);
		bad += blocktest_differ(&want, &got[i]);
		column_release(&want);
		column_release(&got[i]);
	}
	mem_free(got);
	bdir_release(&d);
	return bad;
}

#endif
