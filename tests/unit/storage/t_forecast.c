/*
 * What a cursor would read, told without reading: memory, files, both; parts of a range; series by
 * the thousand, of which some are looked at; deletions; and nothing of other tenants.
 */
#include <string.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/seam/tenantsrc.h"
#include "storage/read/forecast.h"
#include "storage/share.h"
#include "storage/store_priv.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define FEW        9u
#define MANY       3000u
#define LONG       200u
#define LONG_VALUE 15000u
#define MIN        INT64_C(60000)
#define HR         (60 * MIN)
#define T0         (INT64_C(1700000000000) / (24 * HR) * (24 * HR))
#define LOOPS      2u

static struct storetest st;
static struct arena arena;
static struct labels few[FEW], many[MANY], rare[FEW];

/* ---- asking ---- */

struct ask {
	unsigned shard;
	struct source_query query;
	uint32_t tenants[2];
	struct matcher m;
	struct source_cursor *cursor;
	struct source_forecast sum;
	unsigned items, waits, leave_at; /* leave_at: closed at this wait; 0: never */
	bool over, bad;
	struct source_survey survey;
	unsigned seen, in, values, ends, owners; /* by the survey */
};

static unsigned survey_most = 10000, seen, seen_in, seen_values, seen_ends, seen_owners;
static bool survey_on;
static bool joined; /* asked of several tenants' series as one, with the tenant in their labels */
static struct tenantsrc all_tenants;

static const char *tenant_name(void *arg, uint32_t tenant)
{
	(void)arg;
	return tenant ? "b" : "a";
}

static struct source *asked(void)
{
	return joined ? &all_tenants.source : store_source(st.store);
}

/* Which of the series it is must be told in its labels. */
static void series_seen(void *arg, uint32_t tenant, struct labels labels, bool in)
{
	struct ask *a = arg;
	uint32_t len;
	a->seen++;
	a->in += in;
	a->bad |= !label_get(labels, "series", 6, &len);
	const char *owner = label_get(labels, TENANTSRC_LABEL, strlen(TENANTSRC_LABEL), &len);
	a->bad |= joined ? !owner || *owner != (tenant ? 'b' : 'a') : owner != NULL;
}

static void value_seen(void *arg, size_t name, const char *text, size_t len)
{
	struct ask *a = arg;
	a->values += text != NULL;
	a->ends += !text;
	a->bad |= name > 2 || (text && !len);
	a->owners += text && name == 2 && (*text == 'a' || *text == 'b');
}

static void no_wake(void *arg)
{
	(void)arg;
}

static void take(struct ask *a, const struct source_forecast *f)
{
	struct source_forecast *s = &a->sum;
	a->items++;
	if (!f) {
		a->bad = true;
		return;
	}
	s->sure = f->sure > s->sure ? f->sure : s->sure;
	s->series += f->series;
	s->series_most += f->series_most;
	s->memory_samples += f->memory_samples;
	s->file_samples += f->file_samples;
	s->samples_most += f->samples_most;
	s->memory_bytes += f->memory_bytes;
	s->file_bytes += f->file_bytes;
	s->column = f->column > s->column ? f->column : s->column;
	s->surveyed += f->surveyed;
	s->surveyed_sure += f->surveyed_sure;
}

static void turn(void *arg)
{
	struct ask *a = arg;
	struct source *src = asked();
	if (!a->cursor)
		a->bad |= src->ops->open(src, a->shard, &a->query, &a->cursor) != ERR_OK;
	while (!a->bad && !a->over) {
		struct source_item item = { .forecast = NULL };
		enum source_state got = a->cursor->ops->next(a->cursor, &item);
		if (got == SOURCE_WAIT && ++a->waits != a->leave_at)
			return;
		a->over = got == SOURCE_END || got == SOURCE_WAIT;
		a->bad |= got == SOURCE_ERROR;
		if (got == SOURCE_READY)
			take(a, item.forecast);
	}
	a->cursor->ops->close(a->cursor);
	a->cursor = NULL;
}

static bool is_over(void *arg)
{
	struct ask *a = arg;
	if (!a->over && !a->bad)
		turn(a);
	return a->over || a->bad;
}

static struct source_forecast foretell(
    const char *name, int64_t from_ms, int64_t to_ms, size_t tenants, unsigned leave_at)
{
	static const char *const names[] = { "series", "__name__", TENANTSRC_LABEL };
	struct ask a = { .leave_at = leave_at, .tenants = { 0, 7 } };
	a.survey = (struct source_survey){ .most = survey_most,
		.series = series_seen,
		.names = names,
		.names_count = joined ? 3 : 2,
		.value = value_seen,
		.arg = &a };
	struct errbuf eb;
	struct source *src = asked();
	errbuf_init(&eb);
	CHECK(!matcher_init(&a.m, MATCHER_EQ, "__name__", 8, name, strlen(name), &eb));
	a.query = (struct source_query){ .what = SOURCE_FORECAST,
		.tenants = tenants == 1 && st.tenant == 7 ? a.tenants + 1 : a.tenants,
		.tenants_count = tenants,
		.t_min_ms = from_ms,
		.t_max_ms = to_ms,
		.matchers = &a.m,
		.matchers_count = 1,
		.survey = survey_on ? &a.survey : NULL,
		.wake = no_wake };
	for (a.shard = 0; a.shard < src->ops->shards(src); a.shard++) {
		a.over = false;
		a.waits = 0;
		if (!testteam_wait(&st.tt, a.shard % LOOPS, is_over, &a, TESTTEAM_LONG_MS))
			tap_ok(false, "shard %u does not end", a.shard);
	}
	matcher_release(&a.m);
	tap_ok(!a.bad, "%s is foretold, %u items", name, a.items);
	seen = a.seen;
	seen_in = a.in;
	seen_values = a.values;
	seen_ends = a.ends;
	seen_owners = a.owners;
	tap_ok(a.sum.surveyed == a.seen && a.sum.surveyed_sure <= a.seen, "it says how many it told");
	return a.sum;
}

static uint64_t samples(const struct source_forecast *f)
{
	return f->memory_samples + f->file_samples;
}

static bool near(uint64_t a, uint64_t b, double by)
{
	double x = (double)a, y = (double)b;
	return x <= y * by && y <= x * by;
}

/* ---- data ---- */

static void put(struct labels *names, unsigned count, int64_t from_ms, int64_t to_ms, int64_t step)
{
	struct storetest_row rows[512];
	size_t n = 0;
	bool well = true;
	for (int64_t t = from_ms; t < to_ms; t += step) {
		for (unsigned i = 0; i < count; i++) {
			rows[n++] = (struct storetest_row){ .labels = names[i],
				.t_ms = t + i % 7,
				.v = (double)((t / step * 31 + i) % 101) };
			if (n < COUNT_OF(rows))
				continue;
			well &= !storetest_write(&st, 0, rows, n).err;
			n = 0;
		}
	}
	if (n)
		well &= !storetest_write(&st, 0, rows, n).err;
	if (!well)
		tap_ok(false, "rows are taken");
}

/* ---- cases ---- */

static void of_few(const char *where, uint64_t in_memory)
{
	struct source_forecast f = foretell("few", T0, T0 + 3 * HR, 1, 0);
	tap_ok(f.series == FEW && f.series_most == FEW && f.sure == SOURCE_EXACT,
	    "%s: %d of %d series, all of them looked at", where, (int)f.series, (int)f.series_most);
	tap_ok(samples(&f) == FEW * 720 && f.memory_samples == in_memory,
	    "%s: %d samples, %d in memory", where, (int)samples(&f), (int)f.memory_samples);
	tap_ok(f.samples_most >= FEW * 720 && f.samples_most <= FEW * 720 * 11 / 10,
	    "%s: at most %d", where, (int)f.samples_most);
	tap_ok(f.column == 720 && (f.memory_bytes > 0) == (in_memory > 0) &&
	        (f.file_bytes > 0) == (in_memory < samples(&f)),
	    "%s: the longest has %d, %d and %d bytes", where, (int)f.column, (int)f.memory_bytes,
	    (int)f.file_bytes);
	f = foretell("few", T0 + 40 * MIN, T0 + 100 * MIN - 1, 1, 0);
	tap_ok(f.series == FEW && near(samples(&f), FEW * 240, 1.05),
	    "%s: %d samples in an hour of it", where, (int)samples(&f));
	tap_ok(f.samples_most >= FEW * 240 && f.samples_most <= FEW * 400, "%s: at most %d of it",
	    where, (int)f.samples_most);
	f = foretell("few", T0 + 7 * HR, T0 + 8 * HR, 1, 0);
	tap_ok(!f.series && !samples(&f), "%s: nothing where nothing is", where);
	f = foretell("rare", T0 + 60 * MIN - 1, T0 + 60 * MIN + 100, 1, 0);
	tap_ok(f.series == FEW && samples(&f) == FEW, "%s: one sample of each, %d", where,
	    (int)samples(&f));
	f = foretell("none", T0, T0 + 3 * HR, 1, 0);
	tap_ok(!f.series_most && !samples(&f) && f.sure == SOURCE_EXACT, "%s: and none", where);
}

static void of_many(const char *where)
{
	struct source_forecast f = foretell("many", T0, T0 + 3 * HR, 1, 0);
	tap_ok(f.sure == SOURCE_SAMPLED && f.series_most == MANY && near(f.series, MANY, 1.001),
	    "%s: %d of %d, by some of them", where, (int)f.series, MANY);
	tap_ok(f.samples_most == MANY * (3 * HR + 1), "%s: one a millisecond, at most", where);
	tap_ok(near(samples(&f), MANY / 2 * 4 + MANY / 2 * 12, 1.15), "%s: %d samples for %d",
	    where, (int)samples(&f), MANY * 8);
	f = foretell("many", T0 + 20 * MIN, T0 + 60 * MIN, 1, 0);
	tap_ok(f.series_most == MANY && near(f.series, MANY / 2, 1.2),
	    "%s: the half of them, %d, goes on", where, (int)f.series);
}

static void of_others(struct source_forecast before, const char *where)
{
	struct source_forecast f = foretell("few", T0, T0 + 3 * HR, 1, 0);
	tap_ok(f.series == before.series && samples(&f) == samples(&before) && f.sure == before.sure,
	    "%s: another tenant's are not seen", where);
	f = foretell("few", T0, T0 + 3 * HR, 2, 0);
	tap_ok(f.series == 2 * FEW && samples(&f) == samples(&before) + FEW * 60,
	    "%s: both together are both, %d", where, (int)samples(&f));
}

static void of_deleted(void)
{
	struct matcher m;
	struct errbuf eb;
	errbuf_init(&eb);
	CHECK(!matcher_init(&m, MATCHER_EQ, "series", 6, "3", 1, &eb));
	tap_ok(!storetest_delete(&st, &m, 1, T0, T0 + HR), "an hour of some is deleted");
	struct source_forecast f = foretell("few", T0, T0 + 59 * MIN, 1, 0);
	tap_ok(f.series == FEW - 1 || f.sure != SOURCE_EXACT, "what is deleted is not sure: %d",
	    (int)f.series);
	matcher_release(&m);
}

/* An hour of one is deleted, with or without others behind it in the same file. */
static struct source_forecast of_part(int64_t at_ms, bool others)
{
	struct matcher m;
	struct errbuf eb;
	errbuf_init(&eb);
	put(few, FEW, at_ms, at_ms + HR, MIN);
	if (others) {
		st.tenant = 7;
		put(few, FEW, at_ms + 70 * MIN, at_ms + 100 * MIN, MIN);
		st.tenant = 0;
	}
	if (storetest_flush(&st))
		tap_ok(false, "flushed");
	CHECK(!matcher_init(&m, MATCHER_EQ, "series", 6, "4", 1, &eb));
	tap_ok(!storetest_delete(&st, &m, 1, at_ms, at_ms + HR), "all of one is deleted");
	matcher_release(&m);
	return foretell("few", at_ms, at_ms + 2 * HR, 1, 0);
}

static void of_deleted_beside_others(void)
{
	struct source_forecast a = of_part(T0 - 24 * HR, false), b = of_part(T0 - 48 * HR, true);
	tap_ok(a.sure == b.sure && a.series == b.series && samples(&a) == samples(&b),
	    "what is deleted does not tell how far others reach: %d, %d series, %d, %d samples",
	    (int)a.series, (int)b.series, (int)samples(&a), (int)samples(&b));
}

/* Labels of all, of some, of those that are likely in. */
static void of_survey(const char *where)
{
	survey_on = true;
	struct source_forecast f = foretell("few", T0, T0 + 3 * HR, 1, 0);
	tap_ok(seen == FEW && seen_in == FEW && f.surveyed_sure == FEW && !seen_values,
	    "%s: labels of %u series, %u in the range, sure", where, seen, seen_in);
	foretell("few", T0 + 7 * HR, T0 + 8 * HR, 1, 0);
	tap_ok(seen_in == 0, "%s: none in a range without samples", where);
	foretell("many", T0, T0 + 3 * HR, 1, 0);
	tap_ok(seen == MANY && seen_in == MANY, "%s: of all of many", where);
	foretell("many", T0 + 20 * MIN, T0 + 60 * MIN, 1, 0);
	tap_ok(seen == MANY && near(seen_in, MANY / 2, 1.25), "%s: %u go on, for %u", where,
	    seen_in, MANY / 2);
	survey_most = 100;
	foretell("many", T0 + 20 * MIN, T0 + 60 * MIN, 1, 0);
	tap_ok(seen == 400 && near(seen_in, 200, 1.35), "%s: %u of %u", where, seen_in, seen);
	tap_ok(seen_ends == 4 && seen_values == 4 * SOURCE_SURVEY_VALUES + 4,
	    "%s: of __name__ all values, of series too many: %u, %u", where, seen_values, seen_ends);
	survey_most = 1;
	foretell("few", T0, T0 + 3 * HR, 1, 0);
	tap_ok(seen <= 4 && seen_ends >= seen && seen_values >= FEW - 4,
	    "%s: %u series, and values of all: %u", where, seen, seen_values);
	survey_most = 10000;
	survey_on = false;
}

/* Two tenants' series in one answer: each is told with whose it is. */
static void of_joined(void)
{
	survey_on = joined = true;
	tenantsrc_init(&all_tenants, store_source(st.store), tenant_name, NULL);
	struct source_forecast f = foretell("few", T0, T0 + 3 * HR, 2, 0);
	tap_ok(seen == 2 * FEW && f.surveyed == seen, "both tenants' series, told apart: %u", seen);
	survey_most = 1;
	foretell("few", T0, T0 + 3 * HR, 2, 0);
	tap_ok(seen_owners >= 2, "of whose they are all are told: %u", seen_owners);
	survey_most = 10000;
	survey_on = joined = false;
}

static void resident_look(void *arg)
{
	*(uint64_t *)arg = share_series(st.store->shares[0]);
}

/* Labels of 45 KB, known to the catalog alone: no more of them are held than is said. */
static void of_long_labels(void)
{
	struct labels ls[LONG];
	char v[LONG_VALUE + 1], series[16];
	memset(v, 'v', LONG_VALUE);
	v[LONG_VALUE] = 0;
	for (unsigned i = 0; i < LONG; i++) {
		snprintf(series, sizeof(series), "%u", i);
		ls[i] = label_make(
		    &arena, "__name__", "long", "a", v, "b", v, "c", v, "series", series, NULL);
	}
	for (unsigned i = 0; i < LONG; i += 10)
		put(ls + i, 10, T0, T0 + MIN, MIN);
	CHECK(!storetest_flush(&st));
	storetest_close(&st);
	CHECK(!storetest_open(&st, LOOPS));
	survey_on = true;
	struct source_forecast f = foretell("long", T0, T0 + MIN, 1, 0);
	survey_on = false;
	uint64_t resident = 0; /* some have come back into memory, where labels are anyway */
	team_run_on(st.store->team, 0, resident_look, &resident);
	tap_ok(f.series_most == LONG && f.surveyed == seen && seen > 4 && seen < LONG &&
	        seen <= resident + 4 * (SURVEY_LABELS / (3 * LONG_VALUE) + 1),
	    "labels of %u of %u series, at most %u bytes a shard", seen, LONG, SURVEY_LABELS);
	f = foretell("few", T0, T0 + 3 * HR, 1, 0);
	tap_ok(f.series == FEW, "others are as they were");
}

int main(void)
{
	arena_init(&arena, 4096);
	storetest_names(&arena, "few", few, FEW);
	storetest_names(&arena, "rare", rare, FEW);
	storetest_names(&arena, "many", many, MANY);
	char *dir = testlib_tmpdir("forecast");
	clock_fake(T0 + 3 * HR);
	storetest_init(&st, dir);
	st.opts.shards = 4;
	if (!tap_ok(!storetest_open(&st, LOOPS), "opens"))
		return tap_done();
	put(few, FEW, T0, T0 + 3 * HR, 15000);
	put(rare, FEW, T0, T0 + 3 * HR, HR);
	put(many, MANY, T0, T0 + 16 * MIN, 4 * MIN);
	put(many, MANY / 2, T0 + 16 * MIN, T0 + 48 * MIN, 4 * MIN);
	of_few("memory", FEW * 720);
	of_many("memory");
	of_survey("memory");
	tap_ok(!storetest_flush(&st), "flushed");
	of_few("files", 0);
	of_many("files");
	of_survey("files");
	foretell("few", T0, T0 + 3 * HR, 1, 1); /* nobody waits for the worker */
	struct source_forecast before = foretell("few", T0, T0 + 3 * HR, 1, 0);
	st.tenant = 7;
	put(few, FEW, T0 + HR, T0 + 2 * HR, MIN);
	put(many, MANY, T0, T0 + 2 * HR, 30 * MIN);
	st.tenant = 0;
	of_others(before, "memory");
	tap_ok(!storetest_flush(&st), "flushed, into the same files");
	of_others(before, "files");
	of_joined();
	of_deleted();
	of_deleted_beside_others();
	of_long_labels();
	storetest_close(&st);
	arena_release(&arena);
	return tap_done();
}
