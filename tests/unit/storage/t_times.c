/*
 * Times by reference: series of one target share their times, those of others do not, some lack a
 * sample or have a late one, a few are histograms; in memory, in files, in both, over ranges that
 * begin and end anywhere. What a cursor says of its times (struct source_item.same_times) is
 * checked by storetest for each series; here, that values and times are those of the model, and
 * that times come by reference where they should.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define TARGETS 5
#define EACH    12 /* series of a target */
#define SERIES  (TARGETS * EACH)
#define SLOTS   1100
#define STEP    15000
#define NOTHING 0.25 /* in the model: no sample */

static struct arena arena;
static struct labels names[SERIES];
static int64_t base_ms;
static double model[SERIES][SLOTS];
static uint64_t rng = 11;
static unsigned loops_now;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 33) % n;
}

/* Each target has its place between the steps. */
static int64_t time_of(unsigned series, unsigned slot)
{
	return base_ms + (int64_t)slot * STEP + series / EACH * 7;
}

/* What series are like: most never lack a sample. */
static bool lacks(unsigned series, unsigned slot)
{
	if (series % EACH == 5)
		return slot % 97 == 3;
	return series % EACH == 6 && slot / 100 % 2;
}

static double value_of(unsigned series, unsigned slot)
{
	switch (series % 4) {
	case 0:
		return (double)(series + 1) * 1000;
	case 1:
		return (double)(series * 10000 + slot * 3);
	case 2:
		return (double)rnd(100000) / 100;
	default:
		return (double)rnd(1u << 30) * (double)rnd(1u << 30) / 7;
	}
}

static bool write_one(struct storetest *s, unsigned series, unsigned slot)
{
	struct storetest_row row = { .labels = names[series], .t_ms = time_of(series, slot) };
	row.v = model[series][slot] = value_of(series, slot) + 1;
	struct storetest_verdict v = storetest_write(s, 0, &row, 1);
	return !v.err && !v.refused;
}

static bool write_slot(struct storetest *s, unsigned slot)
{
	struct storetest_row rows[SERIES];
	size_t n = 0;
	for (unsigned i = 0; i < SERIES; i++) {
		model[i][slot] = NOTHING;
		if (lacks(i, slot))
			continue;
		model[i][slot] = value_of(i, slot);
		rows[n] = (struct storetest_row){
			.labels = names[i], .t_ms = time_of(i, slot), .v = model[i][slot]
		};
		if (i % EACH == 9)
			storetest_row_kind(&rows[n]);
		n++;
	}
	struct storetest_verdict v = storetest_write(s, slot % loops_now, rows, n);
	return !v.err && !v.refused;
}

struct check {
	int64_t from_ms, to_ms;
	unsigned samples, wrong, want;
};

/* Sample k of a column is that of the slot. */
static bool is_model(const struct sample_column *col, unsigned k, unsigned series, unsigned slot)
{
	if (k >= col->count || col->t_ms[k] != time_of(series, slot))
		return false;
	double v = col->v[k];
	if (series % EACH == 9 && !storetest_value(col, k, &v))
		return false;
	return num_bits(v) == num_bits(model[series][slot]);
}

static void take(void *arg, struct labels ls, const struct sample_column *col)
{
	struct check *c = arg;
	unsigned i = 0, k = 0;
	while (i < SERIES && !label_equal(names[i], ls))
		i++;
	for (unsigned slot = 0; i < SERIES && slot < SLOTS; slot++) {
		int64_t t = time_of(i, slot);
		if (t >= c->from_ms && t <= c->to_ms && model[i][slot] != NOTHING)
			c->wrong += !is_model(col, k++, i, slot);
	}
	c->wrong += i == SERIES || k != col->count;
	c->samples += col->count;
}

static bool right(struct storetest *s, int64_t from_ms, int64_t to_ms)
{
	struct check c = { .from_ms = from_ms, .to_ms = to_ms };
	for (unsigned i = 0; i < SERIES; i++)
		for (unsigned slot = 0; slot < SLOTS; slot++)
			c.want += model[i][slot] != NOTHING && time_of(i, slot) >= from_ms &&
			    time_of(i, slot) <= to_ms;
	enum err e = storetest_read(s, NULL, 0, from_ms, to_ms, take, &c);
	if (!e && !c.wrong && c.samples == c.want)
		return true;
	tap_note("%lld..%lld: %s, %u of %u samples, %u wrong", (long long)(from_ms - base_ms),
	    (long long)(to_ms - base_ms), err_text(e), c.samples, c.want, c.wrong);
	return false;
}

/*
 * Ranges of all lengths, and all there is; true: all right. *same: series with times by reference.
 */
static bool ranges(struct storetest *s, unsigned slots, unsigned *same)
{
	bool good = right(s, base_ms, base_ms + SLOTS * STEP);
	*same = storetest_same_times;
	for (unsigned i = 0; i < 40 && good; i++) {
		unsigned len = i < 10 ? 2 : i < 20 ? 30 : slots;
		int64_t from = base_ms + (int64_t)rnd(slots) * STEP + rnd(40);
		good = right(s, from, from + (int64_t)rnd(len) * STEP + rnd(40));
	}
	return good;
}

/* Of one target all share their times but those that lack some, what is beside them, and others. */
#define SAME_MIN (TARGETS * 4)

static void step(struct storetest *s, unsigned slots, const char *where)
{
	unsigned same = 0;
	bool good = ranges(s, slots, &same);
	tap_ok(good, "%s: every series has its samples, in every range", where);
	tap_ok(same >= SAME_MIN, "%s: %u of %u series have the times of the one before", where,
	    same, SERIES);
}

static void late_ones(struct storetest *s, unsigned slots)
{
	bool good = true;
	for (unsigned i = 0; i < 30; i++) {
		unsigned series = rnd(TARGETS) * EACH + rnd(5), slot = rnd(slots);
		good &= write_one(s, series, slot);
	}
	tap_ok(good, "late rows are taken");
}

static void all_ways(unsigned loops)
{
	struct storetest s;
	char *dir = testlib_tmpdir("times");
	unsigned slot = 0, bad = 0;
	loops_now = loops;
	memset(model, 0, sizeof(model));
	for (unsigned i = 0; i < SERIES; i++)
		for (unsigned k = 0; k < SLOTS; k++)
			model[i][k] = NOTHING;
	base_ms = clock_wall_ms() - SLOTS * STEP;
	base_ms -= base_ms % STEP;
	storetest_init(&s, dir);
	s.opts.shards = 1;
	s.opts.round_every_ms = 24 * 3600 * 1000;
	if (!tap_ok(!storetest_open(&s, loops), "opens with %u loops", loops))
		return;
	for (; slot < 300; slot++)
		bad += !write_slot(&s, slot);
	step(&s, slot, "in memory");
	tap_ok(!storetest_flush(&s), "flush");
	step(&s, slot, "in files");
	for (; slot < 800; slot++)
		bad += !write_slot(&s, slot);
	step(&s, slot, "in files and memory");
	tap_ok(!storetest_flush(&s), "flush");
	for (; slot < SLOTS; slot++)
		bad += !write_slot(&s, slot);
	step(&s, slot, "in more files and memory");
	late_ones(&s, slot);
	unsigned same;
	tap_ok(ranges(&s, slot, &same), "late rows in memory: every series has its samples");
	tap_ok(!storetest_flush(&s), "flush");
	tap_ok(ranges(&s, slot, &same), "late rows in files: every series has its samples");
	storetest_close(&s);
	tap_ok(!storetest_open(&s, 1), "opens again");
	tap_ok(ranges(&s, slot, &same), "after a restart: every series has its samples");
	tap_ok(!bad, "every request was taken (%u not)", bad);
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

int main(void)
{
	arena_init(&arena, 1 << 16);
	storetest_names(&arena, "times", names, SERIES);
	all_ways(1);
	all_ways(2);
	arena_release(&arena);
	return tap_done();
}
