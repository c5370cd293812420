/*
 * Values have kinds on their whole way: random mixes of floats, native histograms and start times
 * through requests, memory, log, rounds, merges and restarts, against a plain model; every bit
 * comes back. One kind overwrites another at the same time, rows come late and again, small series
 * stand beside long ones.
 */
#include "core/base/arena.h"
#include "core/base/clock.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#include <stdlib.h>
#include <string.h>

#define SERIES  14
#define SLOTS   900
#define STEP_MS 30000ll
#define T0      (1750000000000LL - 1750000000000LL % (24 * 3600 * 1000LL))
#define ROWS    60

static struct arena arena;
static struct labels names[SERIES];
static struct storetest_row model[SERIES][SLOTS]; /* labels.len 0: nothing is there */
static uint64_t rng;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 33) % n;
}

/* Series are floats alone, histograms alone, or anything, each with start times or without. */
static struct storetest_row any_row(unsigned i, unsigned slot)
{
	static const uint64_t odd[] = { SAMPLE_STALE_BITS, SAMPLE_NAN_BITS, 0x8000000000000000u, 1,
		0x7ff0000000000000u };
	struct storetest_row r = { .labels = names[i], .t_ms = T0 + slot * STEP_MS };
	bool hist = i % 3 == 1 || (i % 3 == 2 && rnd(2));
	r.v = rnd(10) ? (double)(slot + rnd(4)) : num_from_bits(odd[rnd(5)]);
	if (hist && !sample_is_stale(r.v) && r.v != r.v)
		r.v = 1; /* a sum of NaN asks for other counts */
	if (hist)
		r.hist = 1 + (rnd(4) ? slot / 50 : rnd(5000));
	if (i % 2)
		r.start_ms = rnd(5) ? T0 - 1000 : (int64_t)rnd(3) * (r.t_ms - 15000);
	return r;
}

static unsigned put(struct storetest *s, unsigned loops, unsigned front)
{
	struct storetest_row rows[ROWS];
	size_t n = 0;
	for (unsigned i = 0; i < SERIES; i++) {
		if (rnd(8))
			rows[n++] = any_row(i, front);
	}
	for (unsigned k = rnd(10); k; k--) /* late, again, or another kind where one was */
		rows[n++] = any_row(rnd(SERIES), front - rnd(front < 200 ? front + 1 : 200));
	for (unsigned k = rnd(4); k; k--) { /* the very same once more */
		const struct storetest_row *was =
		    &model[rnd(SERIES)][front - rnd(front < 20 ? front + 1 : 20)];
		if (was->labels.len)
			rows[n++] = *was;
	}
	struct storetest_verdict v = storetest_write(s, rnd(loops), rows, n);
	uint64_t hists = 0;
	for (size_t k = 0; k < n; k++) {
		hists += rows[k].hist != 0;
		unsigned i = 0, slot = (unsigned)((rows[k].t_ms - T0) / STEP_MS);
		while (names[i].bytes != rows[k].labels.bytes)
			i++;
		model[i][slot] = rows[k];
	}
	if (v.err || v.refused)
		tap_note("err %s, refused %llu: %s", err_text(v.err), (unsigned long long)v.refused,
		    v.text);
	return v.err || v.refused || v.stored != n || v.hists != hists;
}

struct compare {
	unsigned bad, found, series;
	int64_t from_ms, to_ms;
};

static void take(void *arg, struct labels ls, const struct sample_column *col)
{
	struct compare *c = arg;
	unsigned i = 0;
	while (i < SERIES && !label_equal(names[i], ls))
		i++;
	c->series++;
	c->found += col->count;
	for (uint32_t k = 0; k < col->count; k++) {
		int64_t slot = (col->t_ms[k] - T0) / STEP_MS;
		bool good = i < SERIES && slot >= 0 && slot < SLOTS && model[i][slot].labels.len &&
		    (!k || col->t_ms[k] > col->t_ms[k - 1]) &&
		    storetest_row_is(&model[i][slot], col, k);
		if (!good && c->bad++ < 3)
			tap_note(
			    "series %u slot %lld: got %s %g start %lld, model hist %llu %g start %lld",
			    i, (long long)slot, col->h && col->h[k] ? "histogram" : "float",
			    col->v[k], (long long)(col->start_ms ? col->start_ms[k] : 0),
			    (unsigned long long)model[i][slot].hist, model[i][slot].v,
			    (long long)model[i][slot].start_ms);
	}
}

static bool same(struct storetest *s, unsigned from, unsigned to, const char *what)
{
	struct compare c = { 0 };
	unsigned want = 0;
	enum err e = storetest_read(s, NULL, 0, T0 + from * STEP_MS, T0 + to * STEP_MS, take, &c);
	for (unsigned i = 0; i < SERIES; i++)
		for (unsigned k = from; k <= to && k < SLOTS; k++)
			want += model[i][k].labels.len > 0;
	return tap_ok(!e && !c.bad && c.found == want && c.series <= SERIES,
	    "%s: %u of %u samples, %u wrong, err %s", what, c.found, want, c.bad, err_text(e));
}

static void history(unsigned seed, unsigned loops)
{
	char *dir = testlib_tmpdir("kinds");
	struct storetest s;
	unsigned bad = 0;
	rng = 88172645463325252u + seed * 7919u;
	memset(model, 0, sizeof model);
	clock_fake(T0 + 60000);
	storetest_init(&s, dir);
	s.opts.shards = 3;
	s.opts.ooo_window_ms = 24 * 3600 * 1000ll;
	s.opts.retention_ms = 30 * 24 * 3600 * 1000ll;
	if (!tap_ok(!storetest_open(&s, loops), "opens"))
		return;
	for (unsigned slot = 0; slot < SLOTS && bad < 3; slot++) {
		bad += put(&s, loops, slot);
		if (slot % 20 == 19)
			storetest_advance(&s, 20 * STEP_MS);
		if (rnd(120) == 0)
			bad += storetest_flush(&s) != 0;
		if (rnd(150) == 0)
			same(&s, slot > 300 ? slot - rnd(300) : 0, slot, "in the middle");
		if (rnd(200) == 0) {
			storetest_close(&s);
			loops = 1 + rnd(3);
			if (!tap_ok(!storetest_open(&s, loops), "opens again with %u loops", loops))
				return;
			same(&s, 0, SLOTS, "after a restart");
		}
	}
	tap_ok(!bad, "every request is taken");
	same(&s, 0, SLOTS, "at the end");
	for (unsigned k = 0; k < 40; k++)
		storetest_advance(&s, 5 * 60 * 1000);
	same(&s, 0, SLOTS, "after hours of quiet, rounds and merges");
	tap_ok(!storetest_flush(&s), "flush");
	same(&s, 0, SLOTS, "all in files");
	same(&s, SLOTS / 2, SLOTS / 2 + 7, "a few of them");
	storetest_close(&s);
	tap_ok(!storetest_open(&s, 1), "opens with one loop");
	same(&s, 0, SLOTS, "after the last restart");
	/* another kind over what is in files, and read together with them */
	for (unsigned slot = SLOTS - 150; slot < SLOTS; slot++)
		bad += put(&s, 1, slot);
	same(&s, 0, SLOTS, "memory over files");
	tap_ok(!bad && !storetest_flush(&s), "taken, and flushed");
	for (unsigned k = 0; k < 40; k++)
		storetest_advance(&s, 5 * 60 * 1000);
	same(&s, 0, SLOTS, "merged once more");
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

/* The server's own rows have kinds as well. A float with the bits of histograms is a NaN. */
static void own_and_odd(void)
{
	char *dir = testlib_tmpdir("kinds");
	struct storetest s;
	memset(model, 0, sizeof model);
	clock_fake(T0 + 60000);
	storetest_init(&s, dir);
	s.own = true;
	tap_ok(!storetest_open(&s, 2), "opens");
	struct storetest_row rows[4];
	for (unsigned i = 0; i < 4; i++) {
		rows[i] = (struct storetest_row){ .labels = names[i],
			.t_ms = T0 + STEP_MS,
			.v = i == 2 ? num_from_bits(SAMPLE_HIST_BITS) : 5,
			.hist = i == 1 ? 33 : 0,
			.start_ms = i == 3 ? T0 : 0 };
	}
	struct storetest_verdict v = storetest_write(&s, 0, rows, 4);
	rows[2].v = num_from_bits(SAMPLE_NAN_BITS);
	for (unsigned i = 0; i < 4; i++)
		model[i][1] = rows[i];
	tap_ok(!v.err && v.stored == 4 && v.hists == 1, "the server's own rows are taken");
	same(&s, 0, SLOTS, "in memory");
	storetest_close(&s);
	tap_ok(!storetest_open(&s, 1), "opens again");
	same(&s, 0, SLOTS, "after a restart");
	tap_ok(!storetest_flush(&s), "flush");
	same(&s, 0, SLOTS, "in files");
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

int main(int argc, char **argv)
{
	arena_init(&arena, 1 << 14);
	storetest_names(&arena, "kinds", names, SERIES);
	own_and_odd();
	if (argc > 1) {
		history((unsigned)strtoul(argv[1], NULL, 10), 2);
	} else {
		history(1, 1);
		history(2, 2);
	}
	arena_release(&arena);
	return tap_done();
}
