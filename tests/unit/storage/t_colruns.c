/*
 * Rows in any order become one column, the last that came of a time; however they overlap, rows are
 * moved n log n times at most; histograms come along.
 */
#include "storage/chunk/colruns.h"

#include <stdlib.h>

#include "core/base/mem.h"
#include "tests/lib/tap.h"
#include "tests/lib/testhist.h"
#include "tests/unit/storage/columns.h"

enum {
	ROWS = 40000,
	TIMES = 9000
};

static struct colruns runs;
static struct column out;
static double last[TIMES]; /* the model: 0 = no row */
static uint64_t seed = 5;

static void put(const int64_t *t, const double *v, uint32_t n, bool hists)
{
	struct column *top = colruns_top(&runs);
	uint32_t had = top->count;
	column_reserve(top, n);
	for (uint32_t i = 0; i < n; i++) {
		top->t_ms[top->count] = t[i];
		top->v[top->count++] = v[i];
		if (hists && (uint64_t)v[i] % 3 == 0)
			column_set(top, top->count - 1,
			    testhist_next(column_memory(top), (uint32_t)v[i] % 50, 1), 0);
		last[t[i]] = v[i];
	}
	if (had && top->t_ms[had] <= top->t_ms[had - 1])
		colruns_split(&runs, had);
}

/* bits: log2 of the rows, about. */
static void check(const char *what, bool hists, uint64_t rows)
{
	unsigned at = 0, wrong = 0, bits = 1;
	struct arena a;
	arena_init(&a, 4096);
	colruns_join(&runs, &out);
	for (unsigned t = 0; t < TIMES; t++) {
		if (last[t] == 0)
			continue;
		wrong += at >= out.count || out.t_ms[at] != t;
		const struct hist *h = at < out.count ? column_hist(&out, at) : NULL;
		if (hists && (uint64_t)last[t] % 3 == 0)
			wrong += !h || !hist_equal(h, testhist_next(&a, (uint32_t)last[t] % 50, 1));
		else
			wrong += at >= out.count || h || num_bits(out.v[at]) != num_bits(last[t]);
		at++;
	}
	while (rows >> bits)
		bits++;
	tap_ok(!wrong && at == out.count, "%s: %u of %u rows are wrong", what, wrong, out.count);
	tap_ok(runs.moved <= rows * (bits + 2), "%" PRIu64 " rows cost %" PRIu64 " moves", rows,
	    runs.moved);
	runs.moved = 0;
	memset(last, 0, sizeof(last));
	arena_release(&a);
}

int main(void)
{
	int64_t t[TIMES];
	double v[TIMES], n = 0;
	colruns_join(&runs, &out);
	TAP_OK(!out.count && !colruns_rows(&runs));
	for (uint32_t i = 0; i < TIMES; i++) {
		t[0] = i;
		v[0] = ++n;
		put(t, v, 1, false);
	}
	tap_ok(!runs.moved && colruns_rows(&runs) == TIMES, "rows in order are not moved");
	check("in order", false, TIMES);
	for (uint32_t i = TIMES; i--;) {
		t[0] = i;
		v[0] = ++n;
		put(t, v, 1, false);
	}
	check("from the last to the first", false, TIMES);
	for (unsigned hists = 0; hists < 2; hists++) {
		uint64_t rows = 0;
		while (rows < ROWS) { /* as chunks that overlap, long and short */
			uint32_t count = 0, most = 1 + (uint32_t)columns_below(&seed, 200);
			int64_t at = (int64_t)columns_below(&seed, TIMES);
			for (; count < most && at < TIMES; count++) {
				t[count] = at;
				v[count] = ++n;
				at += 1 + (int64_t)columns_below(&seed, 40);
			}
			put(t, v, count, hists);
			rows += count;
		}
		check(hists ? "at random, with histograms" : "at random", hists, rows);
	}
	column_release(&out);
	colruns_release(&runs);
	return tap_done();
}
