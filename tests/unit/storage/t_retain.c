/*
 * Retention by size: which files go, and a store that keeps its size; of a tenant: what is past is
 * hidden at once, refused, and goes from the disk.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/metric.h"
#include "core/model/tenant.h"
#include "storage/back/quota.h"
#include "storage/store_priv.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define HR     INT64_C(3600000)
#define DAY    (24 * HR)
#define T0     (1750000000000LL - 1750000000000LL % (10 * DAY))
#define SERIES 50

static struct arena arena;
static struct labels names[SERIES];
static struct storetest s;
static char *dir;

/* ---- which ---- */

static void ends(void)
{
	struct quota_ends e = { .count = 0 };
	tap_ok(quota_choose(&e, 1, INT64_MAX) == INT64_MIN, "of nothing nothing goes");
	for (unsigned i = 0; i < 200; i++) /* 7 and 200 have no factor in common: each once */
		quota_ends_add(&e, (int64_t)(i * 7 % 200), 1);
	for (unsigned i = 0; i < 200; i++)
		quota_ends_add(&e, (int64_t)i, i);
	bool good = e.count == QUOTA_ENDS;
	for (unsigned i = 0; i < e.count; i++)
		good = good && e.list[i].end_ms == (int64_t)i && e.list[i].bytes == i + 1;
	tap_ok(good, "the earliest ends are kept, each once");
	tap_ok(quota_choose(&e, 1, 1000) == 0 && quota_choose(&e, 2, 1000) == 1 &&
	        quota_choose(&e, 3, 1000) == 1 && quota_choose(&e, 4, 1000) == 2,
	    "as many go as are needed");
	tap_ok(quota_choose(&e, UINT64_MAX, 1000) == QUOTA_ENDS - 1 &&
	        quota_choose(&e, UINT64_MAX, 10) == 10 && quota_choose(&e, 1, -1) == INT64_MIN,
	    "not what is still open");
}

/* A shard with more files of its oldest range than are looked at, another with few of each. */
static void ends_cut(void)
{
	struct quota_ends e = { .count = 0 };
	for (unsigned i = 0; i < QUOTA_ENDS; i++)
		quota_ends_add(&e, 2 * HR, 1);
	quota_ends_cut(&e, 0);
	for (unsigned i = 1; i <= 10; i++)
		quota_ends_add(&e, (int64_t)i * 2 * HR, 1);
	tap_ok(quota_choose(&e, QUOTA_ENDS + 5, DAY) == 2 * HR,
	    "where more may go than was counted, it goes alone");
	e = (struct quota_ends){ .count = 0 };
	for (unsigned i = 1; i <= 10; i++)
		quota_ends_add(&e, (int64_t)i * 2 * HR, 1);
	quota_ends_cut(&e, 10 * HR);
	quota_ends_cut(&e, 12 * HR);
	tap_ok(quota_choose(&e, 3, DAY) == 6 * HR && quota_choose(&e, 9, DAY) == 10 * HR &&
	        quota_choose(&e, 9, 4 * HR) == 4 * HR,
	    "what is known to the last byte goes together");
}

/* ---- a store ---- */

static uint64_t size_now(void)
{
	return metric_sum(M_BYTES_FILES) + metric_sum(M_BYTES_CATALOG) + metric_sum(M_BYTES_LOG);
}

static bool write_range(int64_t t_ms)
{
	struct storetest_row rows[SERIES * 24];
	size_t n = 0;
	for (unsigned k = 0; k < 24; k++)
		for (unsigned i = 0; i < SERIES; i++)
			rows[n++] = (struct storetest_row){ .labels = names[i],
				.t_ms = t_ms + k * (HR / 12),
				.v = (double)((k * 7919 + i * 31) % 1009) / 7 };
	struct storetest_verdict v = storetest_write(&s, 0, rows, n);
	return !v.err && !v.refused;
}

struct seen {
	unsigned samples;
	int64_t oldest_ms;
};

static void look(void *arg, struct labels ls, const struct sample_column *col)
{
	struct seen *x = arg;
	(void)ls;
	x->samples += col->count;
	if (col->count && col->t_ms[0] < x->oldest_ms)
		x->oldest_ms = col->t_ms[0];
}

static struct seen seen(void)
{
	struct seen x = { .oldest_ms = INT64_MAX };
	if (storetest_read(&s, NULL, 0, T0 - 40 * DAY, T0 + 40 * DAY, look, &x))
		x.samples = 0;
	return x;
}

/*
 * Time goes on, in small steps, until files went for their size and the store is as small as that,
 * or for an hour. Segments of the log come and go meanwhile.
 */
static bool shrinks_to(uint64_t bytes)
{
	bool small = false;
	for (unsigned k = 0; k < 600 && !small; k++) {
		storetest_advance(&s, 6 * 1000);
		small = metric_sum(M_FILES_RETIRED_SIZE) > 0 && size_now() <= bytes;
	}
	return small;
}

static void by_size(void)
{
	enum {
		RANGES = 60
	};
	bool good = true;
	dir = testlib_tmpdir("retain");
	clock_fake(T0);
	storetest_init(&s, dir);
	s.opts.shards = 2;
	s.opts.retention_ms = 6 * DAY; /* files of half a day at most */
	if (!tap_ok(!storetest_open(&s, 2), "opens"))
		return;
	for (int64_t k = 0; k < RANGES; k++) {
		good = good && write_range(T0 + (k - RANGES) * 2 * HR);
		good = good && !storetest_flush(&s);
	}
	for (unsigned k = 0; k < 4; k++) /* the log gives back what it can */
		storetest_advance(&s, 60 * 1000);
	struct seen before = seen();
	tap_ok(good && before.samples == RANGES * SERIES * 24, "%u samples", before.samples);
	uint64_t files = metric_sum(M_BYTES_FILES);
	uint64_t rest = metric_sum(M_BYTES_LOG) + metric_sum(M_BYTES_CATALOG);
	storetest_close(&s);
	s.opts.retention_bytes = rest + files / 2;
	if (!tap_ok(!storetest_open(&s, 2), "with room for half of its files"))
		return;
	uint64_t by_time = metric_sum(M_FILES_RETIRED);
	TAP_OK(metric_sum(M_RETENTION_BYTES) == s.opts.retention_bytes);
	bool small = shrinks_to(s.opts.retention_bytes);
	struct seen after = seen();
	tap_ok(small && metric_sum(M_BYTES_FILES) >= files / 5, "%llu bytes, limit %llu",
	    (unsigned long long)size_now(), (unsigned long long)s.opts.retention_bytes);
	tap_ok(after.samples && after.samples < before.samples && after.oldest_ms > before.oldest_ms,
	    "%u of %u samples stay, the oldest went", after.samples, before.samples);
	struct seen young = { .oldest_ms = INT64_MAX };
	int64_t kept_ms = after.oldest_ms + 12 * HR; /* files of two shards may begin apart */
	TAP_OK(!storetest_read(&s, NULL, 0, kept_ms, T0 + DAY, look, &young));
	tap_is_u64(young.samples, (uint64_t)((T0 - kept_ms) / (HR / 12)) * SERIES,
	    "all that is younger is there");
	TAP_OK(metric_sum(M_FILES_RETIRED_SIZE) > 0 && metric_sum(M_FILES_RETIRED) == by_time);
	for (int64_t k = 0; k < 30; k++) {
		storetest_advance(&s, 2 * HR);
		good = good && write_range(T0 + k * 2 * HR);
		storetest_advance(&s, 6 * 1000);
	}
	small = shrinks_to(s.opts.retention_bytes + files / 8);
	after = seen();
	tap_ok(good && small, "it stays so while more comes: %llu bytes",
	    (unsigned long long)size_now());
	tap_ok(after.samples >= 6 * SERIES * 24, "the newest are there: %u samples", after.samples);
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

/* Neither the newest range nor a store in doubt of its clock gives anything. */
static void what_stays(void)
{
	dir = testlib_tmpdir("retain");
	clock_fake(T0);
	storetest_init(&s, dir);
	s.opts.shards = 1;
	s.opts.retention_bytes = 1 << 10;
	if (!tap_ok(!storetest_open(&s, 1), "opens with room for nothing"))
		return;
	bool good = write_range(T0 - 4 * HR) && write_range(T0 - 2 * HR);
	struct storetest_row row = { .labels = names[0], .t_ms = T0 + HR / 12, .v = 1 };
	good = good && !storetest_write(&s, 0, &row, 1).refused && !storetest_flush(&s);
	for (unsigned k = 0; k < 4; k++)
		storetest_advance(&s, 6 * 1000);
	tap_ok(good && seen().samples == 1, "the range of the newest sample stays");
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

static bool put(int64_t t_ms)
{
	struct storetest_row row = { .labels = names[0], .t_ms = t_ms, .v = 1 };
	struct storetest_verdict v = storetest_write(&s, 0, &row, 1);
	return !v.err && v.stored == 1;
}

static enum clockwatch_state state(void)
{
	struct clockwatch_now now;
	clock_both(&now.wall_ms, &now.mono_ns);
	return clockwatch_look(s.store->clock, now);
}

/* A sample of a clock that was a month ahead: what is open by the right one is still open. */
static void clock_was_ahead(void)
{
	dir = testlib_tmpdir("retain");
	clock_fake(T0 + 30 * DAY);
	storetest_init(&s, dir);
	s.opts.shards = 1;
	s.opts.retention_bytes = 1 << 10;
	if (!tap_ok(!storetest_open(&s, 1), "opens with a clock that is a month ahead"))
		return;
	bool good = put(T0 + 30 * DAY) && !storetest_flush(&s);
	clock_fake_step_wall(-30 * DAY);
	storetest_advance(&s, 1000);
	good = good && put(clock_wall_ms());
	storetest_advance(&s, CLOCKWATCH_FIRM_MS);
	good = good && put(clock_wall_ms());
	tap_ok(good && state() == CLOCKWATCH_SURE, "it is right again, and believed");
	good = !storetest_flush(&s);
	for (unsigned k = 0; k < 10; k++)
		storetest_advance(&s, 6 * 1000);
	tap_ok(
	    good && seen().samples == 3, "the range of now stays: %u of 3 samples", seen().samples);
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

/* ---- tenants ---- */

#define OTHER 5u

static unsigned of_tenant(uint32_t tenant, int64_t from_ms, int64_t to_ms)
{
	struct seen x = { .oldest_ms = INT64_MAX };
	s.tenant = tenant;
	enum err e = storetest_read(&s, NULL, 0, from_ms, to_ms, look, &x);
	s.tenant = 0;
	return e ? UINT32_MAX : x.samples;
}

static bool write_both(int64_t t_ms)
{
	bool good = write_range(t_ms);
	s.tenant = OTHER;
	good = good && write_range(t_ms);
	s.tenant = 0;
	return good;
}

static struct storetest_verdict write_old(uint32_t tenant, int64_t t_ms)
{
	struct storetest_row row = { .labels = names[0], .t_ms = t_ms, .v = 7 };
	s.tenant = tenant;
	struct storetest_verdict v = storetest_write(&s, 0, &row, 1);
	s.tenant = 0;
	return v;
}

static void tenant_is(const char *when, int64_t mark_ms, unsigned days_of_all)
{
	unsigned each = SERIES * 24, ranges = (unsigned)((T0 - mark_ms) / (2 * HR));
	unsigned old = of_tenant(OTHER, T0 - 30 * DAY, mark_ms - 1);
	unsigned young = of_tenant(OTHER, T0 - 30 * DAY, T0 + DAY);
	unsigned all = of_tenant(0, T0 - 30 * DAY, T0 - 1);
	tap_ok(!old && young == ranges * each && all == days_of_all * 12 * each,
	    "%s: %u dead ones are seen, %u of %u living, %u of %u of the other tenant", when, old,
	    young, ranges * each, all, days_of_all * 12 * each);
}

static struct tenants *keeps_make(void)
{
	struct tenant_row rows[2] = { { .name = "other",
		                          .own = UINT64_C(1) << TENANT_LIMIT_retention_ms },
		{ .name = "third", .own = UINT64_C(1) << TENANT_LIMIT_retention_ms } };
	struct tenants *t;
	rows[0].limits.retention_ms = 2 * DAY;
	rows[1].limits.retention_ms = DAY;
	if (!TAP_OK(!tenants_create(&t, NULL, rows, 2, NULL)))
		exit(1);
	tenants_set_id(t, 0, OTHER);
	tenants_set_id(t, 1, 9);
	return t;
}

static void by_tenant(void)
{
	enum {
		DAYS = 6
	};
	struct tenants *keeps = keeps_make();
	bool good = true;
	dir = testlib_tmpdir("retain");
	clock_fake(T0);
	storetest_init(&s, dir);
	s.opts.shards = 2;
	s.opts.retention_ms = 20 * DAY;
	if (!tap_ok(!storetest_open(&s, 2), "opens"))
		return;
	for (int64_t k = 0; k < DAYS * 12; k++)
		good = good && write_both(T0 + (k - DAYS * 12) * 2 * HR);
	good = good && !storetest_flush(&s);
	for (unsigned k = 0; k < 3; k++)
		storetest_advance(&s, 61 * 1000);
	unsigned each = SERIES * 24;
	tap_ok(good && of_tenant(0, T0 - 30 * DAY, T0) == DAYS * 12 * each &&
	        of_tenant(OTHER, T0 - 30 * DAY, T0) == DAYS * 12 * each,
	    "two tenants have six days each");
	storetest_close(&s);
	int64_t stored = (int64_t)DAYS * 12 * each * 2;
	if (!tap_ok(!storetest_open(&s, 2), "opens, two days for one of them"))
		return;
	storetest_tenants(&s, keeps);
	/* its newest is 5 min before T0: two days before that, from the beginning of two hours */
	int64_t mark_ms = T0 - 2 * DAY - 2 * HR;
	for (unsigned k = 0; k < 2; k++)
		storetest_advance(&s, 1000);
	tenant_is("at once", mark_ms, DAYS);
	struct storetest_verdict v = write_old(OTHER, mark_ms - 1);
	tap_ok(v.refused == 1 && v.reason == SINK_TOO_OLD && strstr(v.text, "oldest accepted"),
	    "no older one is taken: %s", v.text);
	tap_ok(write_old(0, T0 - 5 * DAY).stored == 1 && write_old(OTHER, T0 - 2 * DAY).stored == 1,
	    "a younger one is, and any of the other tenant");
	uint64_t before = metric_sum(M_BYTES_FILES);
	for (unsigned k = 0; k < 90; k++)
		storetest_advance(&s, 61 * 1000);
	int64_t there = metric_sum(M_FILES_SAMPLES);
	tap_ok(there < stored - stored / 7, "dead ones go from the files: %lld of %lld samples stay",
	    (long long)there, (long long)stored);
	tap_ok(metric_sum(M_BYTES_FILES) < before, "and their bytes: %llu of %llu",
	    (unsigned long long)metric_sum(M_BYTES_FILES), (unsigned long long)before);
	uint64_t merges = metric_sum(M_SEALS);
	for (unsigned k = 0; k < 10; k++)
		storetest_advance(&s, 61 * 1000);
	tap_is_u64(metric_sum(M_SEALS), merges, "that comes to an end");
	tenant_is("later", mark_ms, DAYS);
	storetest_close(&s);
	if (!tap_ok(!storetest_open(&s, 1), "opens, with one retention for all"))
		return;
	storetest_advance(&s, 1000);
	tenant_is("what was dead stays dead", mark_ms, DAYS);
	tap_ok(write_old(OTHER, mark_ms - 1).refused == 1, "and is not taken");
	storetest_close(&s);
	s.opts.retention_ms = DAY;
	if (!tap_ok(!storetest_open(&s, 1), "opens, with one day for all"))
		return;
	for (unsigned k = 0; k < 5; k++)
		storetest_advance(&s, 61 * 1000);
	tap_ok(!s.store->shards[0]->list.dead_count && !s.store->shards[1]->list.dead_count,
	    "tombstones go when all retention has passed them");
	storetest_close(&s);
	tenants_free(keeps);
	testlib_rmtree(dir);
	free(dir);
}

int main(void)
{
	arena_init(&arena, 1 << 14);
	storetest_names(&arena, "retain", names, SERIES);
	ends();
	ends_cut();
	by_size();
	what_stays();
	clock_was_ahead();
	by_tenant();
	arena_release(&arena);
	return tap_done();
}
