/*
 * Two tenants in one store, through its seams: what one is told (figures, texts of refusals, the
 * window of its times) shows nothing of the other.
 */
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "storage/append/gossip.h"
#include "storage/store_priv.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define T0    INT64_C(1700000000000)
#define HR    (3600 * INT64_C(1000))
#define SMALL 50u
#define LARGE 3000u

static struct storetest s;
static char *dir;

static bool begin(uint64_t series_max)
{
	dir = testlib_tmpdir("tenants");
	storetest_init(&s, dir);
	s.opts.series_max = series_max;
	s.opts.ooo_window_ms = HR;
	return TAP_OK(!storetest_open(&s, 2));
}

static void end(void)
{
	storetest_close(&s);
	testlib_rmtree(dir);
	free(dir);
}

static struct storetest_verdict put(
    uint32_t tenant, unsigned loop, const char *name, unsigned count, int64_t t_ms)
{
	struct arena a;
	arena_init(&a, 1 << 16);
	struct labels *names = mem_array(NULL, count, sizeof(*names));
	struct storetest_row *rows = mem_array(NULL, count, sizeof(*rows));
	storetest_names(&a, name, names, count);
	for (unsigned i = 0; i < count; i++)
		rows[i] = (struct storetest_row){ .labels = names[i], .t_ms = t_ms, .v = i };
	s.tenant = tenant;
	struct storetest_verdict v = storetest_write(&s, loop, rows, count);
	mem_free(rows);
	mem_free(names);
	arena_release(&a);
	return v;
}

/* ---- figures ---- */

struct figures {
	struct store_stats_req req;
	struct store_stats stats;
	sem_t done;
};

static void figures_done(struct store_stats_req *r)
{
	sem_post(&CONTAINER_OF(r, struct figures, req)->done);
}

static void figures_begin(void *arg)
{
	struct figures *f = arg;
	store_stats(s.store, &f->req);
}

static const struct store_stats *figures_of(uint32_t tenant)
{
	static struct figures f;
	f = (struct figures){ .req = { .tenant = tenant, .top = 10, .done = figures_done } };
	f.req.stats = &f.stats;
	sem_init(&f.done, 0, 0);
	testteam_run(&s.tt, 0, figures_begin, &f);
	while (sem_wait(&f.done)) {
	}
	sem_destroy(&f.done);
	return &f.stats;
}

static bool told(const struct store_top *top, unsigned count, const char *part)
{
	for (unsigned i = 0; i < count; i++)
		if (strstr(top[i].name, part))
			return true;
	return false;
}

static bool names_other(const struct store_stats *st, const char *other)
{
	return told(st->by_metric, st->by_metric_count, other) ||
	    told(st->by_pair, st->by_pair_count, other) ||
	    told(st->by_label, st->by_label_count, other);
}

static void figures_are_own(void)
{
	if (!begin(0))
		return;
	TAP_OK(put(1, 0, "small", SMALL, T0).stored == SMALL);
	TAP_OK(put(2, 1, "large", LARGE, T0 - 1000).stored == LARGE);
	TAP_OK(put(2, 0, "large", LARGE, T0 + 1000).stored == LARGE);
	for (unsigned i = 0; i < 2; i++) {
		const struct store_stats *st = figures_of(1);
		tap_ok(st->series == SMALL && st->label_pairs == SMALL + 1 &&
		        st->by_metric_count == 1 && st->by_metric[0].value == SMALL &&
		        !names_other(st, "large"),
		    "%s the small one is told of %llu series and their labels",
		    i ? "after a round" : "in memory", (unsigned long long)st->series);
		tap_ok(i || (st->t_min_ms == T0 && st->t_max_ms == T0 && st->chunks == SMALL),
		    "and of their times and chunks");
		tap_ok(st->t_min_ms != T0 - 1000 && st->t_max_ms != T0 + 1000,
		    "not of the other's times");
		st = figures_of(2);
		tap_ok(st->series == LARGE && st->by_metric_count == 1 &&
		        st->by_metric[0].value == LARGE && !names_other(st, "small"),
		    "the large one of its own");
		st = figures_of(3);
		tap_ok(!st->series && !st->label_pairs && !st->chunks && !st->by_metric_count &&
		        !st->by_label_count && st->t_min_ms == INT64_MAX,
		    "a third one of nothing");
		TAP_OK(!storetest_flush(&s));
	}
	end();
}

/* ---- refusals ---- */

/* A text with the limit and its flag, and no count of what others hold. */
static bool tells_limit_alone(const char *text, uint64_t limit, uint64_t others)
{
	char number[64], count[32];
	snprintf(number, sizeof(number), "limit %llu (--limits.series-total)",
	    (unsigned long long)limit);
	snprintf(count, sizeof(count), "%llu active", (unsigned long long)others);
	return strstr(text, number) && !strstr(text, count) && !strchr(text, '%');
}

static void texts_tell_the_limit(void)
{
	const uint64_t limit = LARGE + SMALL;
	if (!begin(limit))
		return;
	TAP_OK(put(2, 0, "large", LARGE, T0).stored == LARGE);
	struct storetest_verdict v = put(1, 0, "small", SMALL + 1, T0);
	/* How many there are is heard of by slices: the last ones may be one more or less. */
	v = put(1, 1, "more", SMALL, T0);
	tap_ok(v.refused && v.reason == SINK_SERIES_LIMIT && tells_limit_alone(v.text, limit, limit),
	    "too many series: %s", v.text);
	for (unsigned i = 0; i < 2; i++)
		TAP_OK(put(1, i, "small", 1, T0 + 1).stored == 1);
	s.store->share_env.head_bytes_max = 4096; /* no request is under way */
	v = put(1, 0, "newer", SMALL, T0);
	tap_ok(v.err == ERR_BUSY && tells_limit_alone(v.text, limit, store_series(s.store)),
	    "memory is full: %s", v.text);
	end();
}

/* ---- times ---- */

struct heard {
	unsigned loop;
	int64_t small_ms, large_ms;
};

static void heard_here(void *arg)
{
	struct heard *h = arg;
	const struct newest *n = &s.store->shares[h->loop]->newest;
	h->small_ms = newest_get(n, 1, false);
	h->large_ms = newest_get(n, 2, false);
}

static void windows_are_own(void)
{
	if (!begin(0))
		return;
	TAP_OK(put(1, 0, "small", SMALL, T0 - 3 * HR).stored == SMALL);
	TAP_OK(put(2, 1, "large", SMALL, T0).stored == SMALL);
	storetest_advance(&s, GOSSIP_EVERY_MS);
	storetest_advance(&s, GOSSIP_EVERY_MS);
	for (unsigned i = 0; i < 2; i++) {
		struct heard h = { .loop = i };
		testteam_run(&s.tt, i, heard_here, &h);
		tap_ok(h.small_ms == T0 - 3 * HR && h.large_ms == T0,
		    "loop %u knows the newest time of each", i);
		tap_ok(put(1, i, "late", SMALL, T0 - 4 * HR + 60000).stored == SMALL,
		    "the one that is behind has its own window");
		tap_ok(!put(2, i, "late", SMALL, T0 - 2 * HR).stored, "and so has the other");
	}
	end();
}

/* ---- limits of one tenant ---- */

#define OWN(field) (UINT64_C(1) << TENANT_LIMIT_##field)

static struct tenants *limited(struct tenant_row row, uint32_t id)
{
	struct tenants *t;
	if (!TAP_OK(!tenants_create(&t, NULL, &row, 1, NULL)))
		exit(1);
	tenants_set_id(t, 0, id);
	storetest_tenants(&s, t);
	return t;
}

static void unlimited(struct tenants *t)
{
	storetest_tenants(&s, NULL);
	tenants_free(t);
}

static const char *testname(const char *stem, unsigned i)
{
	static char name[32];
	snprintf(name, sizeof(name), "%s%u", stem, i);
	return name;
}

static void series_are_counted(void)
{
	if (!begin(0))
		return;
	TAP_OK(put(2, 0, "large", LARGE, T0).stored == LARGE);
	struct tenants *t = limited(
	    (struct tenant_row){ .name = "acme", .own = OWN(series), .limits.series = SMALL }, 1);
	uint64_t stored = 0;
	for (unsigned i = 0; i < 2; i++)
		stored += put(1, i, i ? "b" : "a", SMALL, T0).stored;
	tap_is_u64(stored, SMALL, "as many series as its limit, on all loops together");
	struct storetest_verdict v = put(1, 1, "c", 1, T0);
	tap_ok(v.refused == 1 && v.reason == SINK_SERIES_LIMIT &&
	        strstr(v.text, "limit 50 (tenants.acme.series)") && !strstr(v.text, "series-total"),
	    "one more is refused in words: %s", v.text);
	tap_ok(put(1, 0, "a", SMALL, T0 + 1).stored + put(1, 1, "b", SMALL, T0 + 1).stored == SMALL,
	    "those that are there go on");
	tap_ok(put(2, 1, "more", SMALL, T0).stored == SMALL, "another tenant is not held back");
	unlimited(t);
	t = limited(
	    (struct tenant_row){ .name = "acme", .own = OWN(series), .limits.series = 2 * SMALL }, 1);
	tap_is_u64(put(1, 0, "d", 2 * SMALL, T0).stored, SMALL, "a higher limit holds at once");
	tap_is_u64(tally_get(s.store->share_env.tenants, 1), 2 * SMALL, "they are counted exactly");
	storetest_close(&s);
	tenants_free(t);
	if (!TAP_OK(!storetest_open(&s, 2)))
		return;
	tap_is_u64(tally_get(s.store->share_env.tenants, 1), 2 * SMALL, "and after a start");
	tap_is_u64(tally_get(s.store->share_env.tenants, 2), LARGE + SMALL, "the other's too");
	end();
}

static void new_ones_have_a_rate(void)
{
	if (!begin(0))
		return;
	struct tenants *t = limited(
	    (struct tenant_row){
	        .name = "acme", .own = OWN(new_series_per_s), .limits.new_series_per_s = 2 },
	    1);
	struct storetest_verdict v = put(1, 0, "new", SMALL * 10, T0);
	tap_ok(v.err == ERR_BUSY && strstr(v.text, "limit 2 (tenants.acme.new_series_per_s)"),
	    "too many new ones at once have to wait: %s", v.text);
	tap_ok(put(2, 0, "new", SMALL * 10, T0).stored == SMALL * 10, "those of another need not");
	tap_is_u64(tally_get(s.store->share_env.tenants, 1), 2 * 2 * 10,
	    "ten seconds' worth of each loop has come");
	unlimited(t);
	end();
}

static void a_full_server_is_shared(void)
{
	const uint64_t limit = 1000;
	if (!begin(limit))
		return;
	uint64_t large = put(2, 0, "large", 600, T0).stored;
	tap_is_u64(large + put(1, 0, "small", SMALL, T0).stored, 650, "room for two");
	/* what each loop knows of the others is told in slices and answers */
	for (unsigned i = 0; i < 400; i++)
		large += put(2, i % 2, testname("more", i), 1, T0).stored;
	tap_ok(large <= limit - limit / 10 && large >= limit / 2,
	    "the large one ends below the last tenth: it has %llu", (unsigned long long)large);
	uint64_t small = 0;
	for (unsigned i = 0; i < 60; i++)
		small += put(1, i % 2, testname("late", i), 1, T0).stored;
	tap_is_u64(small, 60, "where the small one finds room");
	end();
}

static void windows_are_set(void)
{
	if (!begin(0))
		return;
	TAP_OK(put(1, 0, "a", SMALL, T0).stored == SMALL);
	TAP_OK(put(2, 0, "a", SMALL, T0).stored == SMALL);
	struct tenants *t = limited((struct tenant_row){ .name = "acme",
	                                .own = OWN(out_of_order_window_ms),
	                                .limits.out_of_order_window_ms = HR / 4 },
	    1);
	for (unsigned i = 0; i < 2; i++) {
		struct storetest_verdict v = put(1, i, "a", SMALL, T0 - HR / 2);
		tap_ok(!v.stored && v.reason == SINK_TOO_OLD &&
		        strstr(v.text, "(tenant's out_of_order_window 15m)"),
		    "a tenant's own window holds on loop %u: %s", i, v.text);
		tap_ok(put(2, i, "a", SMALL, T0 - HR / 2).stored == SMALL, "for it alone");
	}
	unlimited(t);
	tap_ok(put(1, 0, "a", SMALL, T0 - HR / 2).stored == SMALL, "it goes with the limit");
	end();
}

int main(void)
{
	clock_fake(T0);
	series_are_counted();
	new_ones_have_a_rate();
	a_full_server_is_shared();
	windows_are_set();
	figures_are_own();
	texts_tell_the_limit();
	windows_are_own();
	return tap_done();
}
