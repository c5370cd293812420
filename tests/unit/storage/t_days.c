/*
 * Three days under an injected clock, in seconds: rounds, merges, retention, a restart; a fixed set
 * of questions answers the same before and after each.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define SERIES  40
#define STEP_MS (60 * 1000)
#define DAY_MS  (24 * 3600 * 1000LL)
#define T0      (1750000000000LL - 1750000000000LL % DAY_MS)

static struct arena arena;
static struct labels names[SERIES];

static double value_at(unsigned i, int64_t t_ms)
{
	int64_t k = (t_ms - T0) / STEP_MS;
	return i % 3 == 0 ? (double)(k * (i + 1))
	    : i % 3 == 1  ? (double)((k * 7919 + i * 31) % 1000) / 10
	                  : (double)(i + k / 500);
}

/* A series that comes back after a day of silence under another id. */
static bool sleeps(unsigned i, int64_t t_ms)
{
	return i >= SERIES - 5 && t_ms > T0 + DAY_MS / 2 && t_ms < T0 + 2 * DAY_MS;
}

struct answers {
	uint64_t samples, hash, wrong;
	unsigned series;
};

static void take(void *arg, struct labels ls, const struct sample_column *col)
{
	struct answers *a = arg;
	unsigned i = 0;
	while (i < SERIES && !label_equal(names[i], ls))
		i++;
	a->series++;
	a->samples += col->count;
	for (uint32_t k = 0; k < col->count; k++) {
		if (i == SERIES || num_bits(value_at(i, col->t_ms[k])) != num_bits(col->v[k]) ||
		    sleeps(i, col->t_ms[k]))
			a->wrong++;
		a->hash += hash_mix64((uint64_t)col->t_ms[k] * SERIES + i) ^ num_bits(col->v[k]);
	}
}

static const struct {
	const char *name;
	int64_t from_ms, to_ms;
} questions[] = {
	{ "everything", T0, T0 + 4 * DAY_MS },
	{ "the first hour", T0, T0 + 3600000 },
	{ "a border of two ranges", T0 + DAY_MS - 600000, T0 + DAY_MS + 600000 },
	{ "the second day", T0 + DAY_MS, T0 + 2 * DAY_MS },
	{ "the last hour", T0 + 3 * DAY_MS - 3600000, T0 + 3 * DAY_MS },
};

static void ask(struct storetest *s, struct answers *out, int64_t from_ms)
{
	for (size_t q = 0; q < COUNT_OF(questions); q++) {
		int64_t from = questions[q].from_ms < from_ms ? from_ms : questions[q].from_ms;
		memset(&out[q], 0, sizeof(out[q]));
		if (storetest_read(s, NULL, 0, from, questions[q].to_ms, take, &out[q]))
			out[q].wrong++;
	}
}

static void compare(const struct answers *a, const struct answers *b, const char *when)
{
	for (size_t q = 0; q < COUNT_OF(questions); q++)
		tap_ok(a[q].samples == b[q].samples && a[q].hash == b[q].hash &&
		        a[q].series == b[q].series && !b[q].wrong,
		    "%s, %s: %llu samples of %u series, %llu wrong", when, questions[q].name,
		    (unsigned long long)b[q].samples, b[q].series, (unsigned long long)b[q].wrong);
}

int main(void)
{
	struct storetest s;
	struct answers before[COUNT_OF(questions)], after[COUNT_OF(questions)];
	char *dir = testlib_tmpdir("days");
	arena_init(&arena, 1 << 14);
	for (unsigned i = 0; i < SERIES; i++) {
		char no[16];
		snprintf(no, sizeof(no), "%u", i);
		names[i] =
		    label_make(&arena, "__name__", "days_total", "series", no, "job", "days", NULL);
	}
	clock_fake(T0);
	storetest_init(&s, dir);
	s.opts.shards = 4;
	s.opts.retention_ms = 4 * DAY_MS; /* ranges stay apart, and retention is exact */
	if (!tap_ok(!storetest_open(&s, 2), "opens"))
		return tap_done();
	unsigned refused = 0;
	uint64_t sent = 0;
	for (int64_t t = T0; t < T0 + 3 * DAY_MS; t += STEP_MS) {
		struct storetest_row rows[SERIES];
		size_t n = 0;
		for (unsigned i = 0; i < SERIES; i++) {
			if (!sleeps(i, t))
				rows[n++] = (struct storetest_row){
					.labels = names[i], .t_ms = t, .v = value_at(i, t)
				};
		}
		struct storetest_verdict v =
		    storetest_write(&s, (unsigned)(t / STEP_MS % 2), rows, n);
		refused += v.err || v.refused;
		sent += n;
		if (t % (600 * 1000) == 0)
			storetest_advance(&s, 600 * 1000);
		if (t == T0 + DAY_MS) {
			ask(&s, before, T0);
			tap_ok(!storetest_flush(&s), "flush in the middle of the second day");
			ask(&s, after, T0);
			compare(before, after, "after packing and merging");
		}
	}
	tap_ok(!refused, "all requests are taken");
	ask(&s, before, T0);
	tap_ok(before[0].samples == sent && !before[0].wrong, "three days: %llu of %llu samples",
	    (unsigned long long)before[0].samples, (unsigned long long)sent);
	for (unsigned k = 0; k < 30; k++)
		storetest_advance(&s, 60 * 1000);
	ask(&s, after, T0);
	compare(before, after, "after half an hour of quiet");
	tap_ok(!storetest_flush(&s), "flush");
	ask(&s, after, T0);
	compare(before, after, "after everything is sealed");
	storetest_close(&s);
	s.opts.retention_ms = 2 * DAY_MS;
	if (!tap_ok(!storetest_open(&s, 3),
	        "opens again, with three loops and a retention of two days"))
		return tap_done();
	ask(&s, after, T0 + 2 * DAY_MS);
	ask(&s, before, T0 + 2 * DAY_MS);
	for (unsigned k = 0; k < 20; k++)
		storetest_advance(&s, 60 * 1000);
	int64_t cutoff = T0 + 3 * DAY_MS - STEP_MS - 2 * DAY_MS; /* by the newest sample */
	int64_t kept_from = cutoff - cutoff % SAMPLE_RANGE_MS;
	struct answers old = { 0 }, young = { 0 };
	enum err e = ERR_OK;
	for (unsigned k = 0; k < 120000; k++) { /* lists are switched by workers, in real time */
		old = (struct answers){ 0 };
		e = storetest_read(&s, NULL, 0, T0, kept_from - 1, take, &old);
		if (e || !old.samples)
			break;
		usleep(5000);
	}
	tap_ok(!e && !old.samples, "what is past retention is gone (%llu samples)",
	    (unsigned long long)old.samples);
	uint64_t want = 0;
	for (int64_t t = kept_from; t < T0 + 3 * DAY_MS; t += STEP_MS) {
		for (unsigned i = 0; i < SERIES; i++)
			want += !sleeps(i, t);
	}
	e = storetest_read(&s, NULL, 0, kept_from, T0 + 4 * DAY_MS, take, &young);
	tap_ok(!e && young.samples == want && !young.wrong, "what is younger is there: %llu of %llu",
	    (unsigned long long)young.samples, (unsigned long long)want);
	ask(&s, after, T0 + 2 * DAY_MS);
	compare(before, after, "after retention");
	storetest_close(&s);
	tap_ok(!storetest_open(&s, 1), "opens once more");
	ask(&s, after, T0 + 2 * DAY_MS);
	compare(before, after, "after the last restart");
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
	arena_release(&arena);
	return tap_done();
}
