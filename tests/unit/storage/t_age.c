/*
 * Days of history come while samples of now go on: newest day first, then oldest first. Nothing is
 * refused, all is found, and files are not written again and again. Then a store under churn, day
 * and night: memory, files and descriptors stay bounded.
 *
 * KYMO_AGE_SERIES (30), KYMO_AGE_DAYS (30) and KYMO_AGE_STEP_S (60) make it larger, and so do
 * KYMO_CHURN_SERIES (1000) and KYMO_CHURN_HOURS (24).
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/fdcache.h"
#include "core/base/metric.h"
#include "storage/store_priv.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define MIN        (60 * INT64_C(1000))
#define HR         (60 * MIN)
#define DAY        (24 * HR)
#define T0         (1750000000000LL - 1750000000000LL % (10 * DAY))
#define LIVE       (10 * MIN) /* between live samples, and the clock's step */
#define PIECE      (6 * HR)   /* of history, each LIVE */
#define TIMES_MOST 6.0

static struct arena arena;
static struct storetest s;
static struct labels *names;
static unsigned series, days;
static int64_t step_ms;

static unsigned from_env(const char *name, unsigned usual)
{
	const char *v = getenv(name);
	return v && atoi(v) > 0 ? (unsigned)atoi(v) : usual;
}

static double value_at(unsigned i, int64_t t_ms)
{
	int64_t k = (t_ms - T0) / MIN;
	uint64_t noise = hash_mix64((uint64_t)k * 4099 + i);
	switch (i % 3) {
	case 0: /* a counter */
		return (double)(k * 100 + (int64_t)(noise % 100));
	case 1: /* a gauge */
		return (double)(noise % 1000) / 10;
	default: /* it hardly moves */
		return (double)(i + k / 50);
	}
}

struct seen {
	uint64_t samples, wrong;
	unsigned series;
};

static void take(void *arg, struct labels ls, const struct sample_column *col)
{
	struct seen *x = arg;
	uint32_t len = 0;
	const char *no = label_get(ls, "series", 6, &len);
	unsigned i = 0;
	for (uint32_t k = 0; no && k < len; k++)
		i = i * 10 + (unsigned)(no[k] - '0');
	x->series++;
	x->samples += col->count;
	for (uint32_t k = 0; k < col->count; k++)
		x->wrong += num_bits(col->v[k]) != num_bits(value_at(i, col->t_ms[k])) ||
		    (k && col->t_ms[k] <= col->t_ms[k - 1]);
}

/* All series at the times from, from + step, ... before to; in requests of some thousand rows. */
static unsigned write_times(int64_t from_ms, int64_t to_ms, int64_t step)
{
	enum {
		ROWS = 6000
	};
	static struct storetest_row rows[ROWS];
	unsigned refused = 0, n = 0;
	for (unsigned i = 0; i < series; i++) {
		for (int64_t t = from_ms; t < to_ms; t += step) {
			rows[n++] = (struct storetest_row){
				.labels = names[i], .t_ms = t, .v = value_at(i, t)
			};
			if (n == ROWS || (i + 1 == series && t + step >= to_ms)) {
				struct storetest_verdict v = storetest_write(&s, i % 2, rows, n);
				refused += v.err || v.refused;
				n = 0;
			}
		}
	}
	return refused;
}

/* Workers take real time: until there are so few files, or a minute has passed. */
static uint64_t files_become(uint64_t few)
{
	for (unsigned k = 0; k < 3000 && metric_sum(M_FILES) > few; k++) {
		storetest_advance(&s, MIN);
		usleep(20000);
	}
	storetest_advance(&s, 5000);
	return metric_sum(M_FILES);
}

static void age(bool newest_first)
{
	char *dir = testlib_tmpdir("age");
	unsigned refused = 0, pieces = days * (unsigned)(DAY / PIECE);
	uint64_t sent = 0, written = metric_sum(M_FILES_WRITTEN_BYTES), most = 0;
	int64_t now = T0;
	clock_fake(T0);
	storetest_init(&s, dir);
	s.opts.shards = 2;
	s.opts.retention_ms = (days + 5) * DAY;
	if (!tap_ok(!storetest_open(&s, 2), "opens"))
		return;
	for (unsigned p = 0; p < pieces; p++) {
		unsigned day = p / (unsigned)(DAY / PIECE), part = p % (unsigned)(DAY / PIECE);
		int64_t at = T0 - (newest_first ? day + 1 : days - day) * DAY + part * PIECE;
		refused += write_times(now, now + 1, 1);
		refused += write_times(at, at + PIECE, step_ms);
		sent += series * (uint64_t)(1 + (PIECE + step_ms - 1) / step_ms);
		storetest_advance(&s, LIVE);
		now += LIVE;
		uint64_t count = (uint64_t)metric_sum(M_FILES);
		most = count > most ? count : most;
	}
	for (unsigned k = 0; k < 24; k++) { /* the last day has its hours of quiet, too */
		refused += write_times(now, now + 1, 1);
		sent += series;
		storetest_advance(&s, LIVE);
		now += LIVE;
	}
	uint64_t few = 2 * (days / 2 + 30), files = files_become(few);
	struct seen x = { 0 };
	enum err e = storetest_read(&s, NULL, 0, T0 - 100 * DAY, T0 + 100 * DAY, take, &x);
	tap_ok(!refused && !e && x.samples == sent && x.series == series && !x.wrong,
	    "%u days, %s first: %u requests refused, %llu of %llu samples, %llu wrong", days,
	    newest_first ? "newest" : "oldest", refused, (unsigned long long)x.samples,
	    (unsigned long long)sent, (unsigned long long)x.wrong);
	written = metric_sum(M_FILES_WRITTEN_BYTES) - written;
	uint64_t bytes = (uint64_t)metric_sum(M_BYTES_FILES);
	double times = (double)written / (double)bytes;
	tap_ok(times <= TIMES_MOST, "%llu bytes written, %.1f times what is there (%llu)",
	    (unsigned long long)written, times, (unsigned long long)bytes);
	tap_ok(files <= few, "%llu files of two shards, %llu at most", (unsigned long long)files,
	    (unsigned long long)most);
	storetest_close(&s);
	tap_ok(!storetest_open(&s, 1), "opens again");
	x = (struct seen){ 0 };
	e = storetest_read(&s, NULL, 0, T0 - 100 * DAY, T0 + 100 * DAY, take, &x);
	tap_ok(!e && x.samples == sent && x.series == series && !x.wrong, "and finds the same");
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

/* ---- churn ---- */

struct sizes {
	int64_t active, bytes, files, catalog;
	size_t descriptors;
};

static struct sizes sizes_now(void)
{
	return (struct sizes){ .active = (int64_t)metric_sum(M_SERIES_ACTIVE),
		.bytes = (int64_t)metric_sum(M_SERIES_BYTES),
		.files = (int64_t)metric_sum(M_FILES),
		.catalog = (int64_t)metric_sum(M_BYTES_CATALOG),
		.descriptors = fdcache_count() };
}

struct churned {
	uint64_t samples;
	unsigned series;
};

static void count_churned(void *arg, struct labels ls, const struct sample_column *col)
{
	struct churned *x = arg;
	(void)ls;
	x->series++;
	x->samples += col->count;
}

/* Of `count` series a tenth is replaced each ten minutes: place i is in its generation gens[i]. */
static void churn(unsigned count, unsigned hours)
{
	char *dir = testlib_tmpdir("churn");
	unsigned *gens = calloc(count, sizeof(*gens)), refused = 0, made = count;
	struct storetest_row *rows = calloc(count, sizeof(*rows));
	struct labels *now = calloc(count, sizeof(*now));
	struct arena old;
	struct sizes early = { 0 };
	arena_init(&old, 1 << 16);
	clock_fake(T0);
	storetest_init(&s, dir);
	s.opts.shards = 2;
	s.opts.series_max = 100u * count;
	if (!tap_ok(!storetest_open(&s, 2), "opens"))
		return;
	for (unsigned m = 0; m < hours * 60; m++) {
		for (unsigned i = 0; i < count; i++) {
			char name[32], no[16];
			if (m && m % 10 == 0 && i % 10 == m / 10 % 10) {
				gens[i]++;
				made++;
			}
			if (!m || m % 10 == 0) {
				snprintf(name, sizeof(name), "pod-%u-%u", i, gens[i]);
				snprintf(no, sizeof(no), "%u", i % 50);
				now[i] = label_make(&old, LABEL_NAME, "churn_total", "pod", name,
				    "metric", no, NULL);
			}
			rows[i] = (struct storetest_row){
				.labels = now[i], .t_ms = T0 + m * MIN, .v = (double)(m * (i + 1))
			};
		}
		for (unsigned i = 0; i < count; i += 5000) {
			unsigned n = count - i < 5000 ? count - i : 5000;
			struct storetest_verdict v = storetest_write(&s, m % 2, rows + i, n);
			refused += v.err || v.refused;
		}
		if (m % 10 == 9) {
			storetest_advance(&s, 10 * MIN);
			storetest_advance(&s, 0);
			arena_reset(&old, 1 << 30);
		}
		if (m == 4 * 60)
			early = sizes_now();
	}
	(void)files_become(2 * 40);
	struct sizes end = sizes_now();
	tap_ok(!refused && end.active <= early.active + early.active / 2 &&
	        end.bytes <= early.bytes + early.bytes / 2,
	    "%u of %u series left: %lld in memory, %lld bytes; %lld and %lld after four hours",
	    made - count, made, (long long)end.active, (long long)end.bytes,
	    (long long)early.active, (long long)early.bytes);
	tap_ok(end.files <= 2 * 40 && end.descriptors <= (size_t)end.files + 8,
	    "%lld files of two shards, %zu descriptors", (long long)end.files, end.descriptors);
	struct churned x = { 0 };
	enum err e = storetest_read(&s, NULL, 0, T0, T0 + hours * HR, count_churned, &x);
	tap_ok(!e && x.series == made && x.samples == (uint64_t)count * hours * 60,
	    "all of them are found: %u of %u series, %llu samples", x.series, made,
	    (unsigned long long)x.samples);
	struct churned hour = { 0 }, again = { 0 };
	int64_t from_ms = T0 + hours * HR / 2, to_ms = from_ms + HR - 1;
	TAP_OK(!storetest_read(&s, NULL, 0, from_ms, to_ms, count_churned, &hour));
	storetest_close(&s);
	char catalog[4096];
	snprintf(catalog, sizeof(catalog), "%s/catalog", dir);
	testlib_rmtree(catalog);
	if (!tap_ok(!storetest_open(&s, 1), "opens without its catalog"))
		return;
	TAP_OK(!storetest_read(&s, NULL, 0, from_ms, to_ms, count_churned, &again));
	tap_ok(again.series == hour.series && again.samples == hour.samples && hour.series > count,
	    "from files of half a day a new one knows who was there in one hour: %u of %u series",
	    again.series, hour.series);
	storetest_close(&s);
	arena_release(&old);
	free(gens);
	free(rows);
	free(now);
	testlib_rmtree(dir);
	free(dir);
}

int main(void)
{
	arena_init(&arena, 1 << 16);
	series = from_env("KYMO_AGE_SERIES", 30);
	days = from_env("KYMO_AGE_DAYS", 30);
	step_ms = from_env("KYMO_AGE_STEP_S", 60) * INT64_C(1000);
	names = calloc(series, sizeof(*names));
	storetest_names(&arena, "age", names, series);
	age(true);
	age(false);
	churn(from_env("KYMO_CHURN_SERIES", 1000), from_env("KYMO_CHURN_HOURS", 24));
	free(names);
	arena_release(&arena);
	return tap_done();
}
