/*
 * The cache of range queries over a real store: whatever happens between two queries (rows, late
 * rows, rounds, merges, retention of all and of one tenant, series that leave memory and return,
 * clocks that move), the answer from the cache has the bits of one that is evaluated anew.
 *
 * Each query is asked three times: anew, of the cache, anew. Where the first and the last differ
 * something has changed behind it meanwhile, and nothing is compared.
 *
 * KYMO_CACHE_TURNS (120) is how often something happens, KYMO_SEED (1) what.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/metric.h"
#include "core/base/rune.h"
#include "core/model/tenant.h"
#include "core/promql/cache/ql_cache.h"
#include "core/rt/job.h"
#include "core/seam/tenantsrc.h"
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define LOOPS   2u
#define TENANTS 3u
#define SERIES  24u
#define MIN     INT64_C(60000)
#define HR      (60 * MIN)
#define T0      (INT64_C(1700000000000) / (24 * HR) * (24 * HR))
#define RETAIN  (14 * HR)
#define STEP    MIN

static struct storetest s;
static struct tenantsrc several;
static struct arena arena;
static struct labels names[4][SERIES];
static uint64_t rng;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 33) % n;
}

/* Where what was said to be kept before a start was not what the start took. */
static _Atomic unsigned peeks_wrong;

/* ---- one query ---- */

struct ask {
	const char *text;
	int64_t start_ms, end_ms, step_ms;
	uint32_t tenants[TENANTS];
	size_t tenants_count;
	unsigned loop;
	struct ql_front *front; /* NULL: anew */
	struct ql_features features;
	unsigned cancel; /* it is, at once */
	/* the answer, bit by bit */
	struct ql *q;
	struct buf bits;
	enum err err;
	struct ql_stats stats;
	_Atomic bool over;
};

static void put_notes(struct buf *out, const struct ql_note *n, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buf_printf(out, "# %s\n", n[i].text);
}

static void put_series(struct buf *out, const struct ql_series *x)
{
	label_text(out, x->labels);
	for (uint32_t i = 0; i < x->count; i++) {
		buf_printf(out, " %lld:%016llx", (long long)x->t_ms[i],
		    (unsigned long long)num_bits(x->v[i]));
		if (x->h && x->h[i]) {
			struct buf h;
			buf_init(&h);
			hist_encode(x->h[i], &h);
			for (size_t k = 0; k < h.len; k++)
				buf_printf(out, "%02x", h.data[k]);
			buf_release(&h);
		}
	}
	buf_add_u8(out, '\n');
}

static void answered(void *arg, struct ql *q)
{
	struct ask *a = arg;
	const char *text;
	size_t n;
	a->err = ql_err(q, &text);
	a->stats = *ql_stats(q);
	if (a->err) {
		buf_printf(&a->bits, "error: %s\n", text);
	} else {
		const struct ql_value *v = ql_result(q);
		for (size_t i = 0; i < v->series_count; i++)
			put_series(&a->bits, &v->series[i]);
		const struct ql_note *w = ql_warnings(q, &n);
		put_notes(&a->bits, w, n);
		w = ql_infos(q, &n);
		put_notes(&a->bits, w, n);
	}
	buf_add_u8(&a->bits, 0);
	ql_free(q);
	a->over = true;
}

static void ask_here(void *arg)
{
	struct ask *a = arg;
	struct errbuf eb;
	struct ql_opts o = { .source = &several.source,
		.tenant = a->tenants[0],
		.tenants = a->tenants,
		.tenants_count = a->tenants_count,
		.start_ms = a->start_ms,
		.end_ms = a->end_ms,
		.step_ms = a->step_ms,
		.features = a->features,
		.front = a->front,
		.done = answered,
		.arg = a };
	errbuf_init(&eb);
	if (ql_create(a->text, strlen(a->text), &o, &a->q, &eb)) {
		buf_printf(&a->bits, "refused: %s", eb.text);
		buf_add_u8(&a->bits, 0);
		a->over = true;
		return;
	}
	struct ql_peek seen = ql_peek(a->q);
	ql_start(a->q);
	const struct ql_stats *now = ql_stats(a->q);
	if (seen.steps_kept != now->steps_kept ||
	    (seen.part <= 0 && now->steps_kept != now->steps) || seen.part > 1)
		peeks_wrong++;
	if (a->cancel)
		ql_cancel(a->q);
}

static bool is_over(void *arg)
{
	return ((struct ask *)arg)->over;
}

static void ask_begin(struct ask *a, struct ql_front *front)
{
	a->front = front;
	a->loop = rnd(LOOPS);
	a->over = false;
	buf_init(&a->bits);
	testteam_run(&s.tt, a->loop, ask_here, a);
}

static void ask_end(struct ask *a)
{
	if (!testteam_wait(&s.tt, a->loop, is_over, a, TESTTEAM_LONG_MS)) {
		fprintf(stderr, "no answer within 120 s: %s\n", a->text);
		abort();
	}
}

static char *answer(struct ask *a, struct ql_front *front)
{
	ask_begin(a, front);
	ask_end(a);
	char *text = strdup((const char *)a->bits.data);
	buf_release(&a->bits);
	if (!text)
		abort();
	return text;
}

/* ---- what is asked ---- */

static const char *const texts[] = {
	"a",
	"rate(a[5m])",
	"sum by (series) (rate(c_total[5m]))",
	"sum(rate(c_total[7m]))",
	"avg(a)",
	"stddev(a)",
	"stdvar by (job) (a)",
	"topk(3, a)",
	"bottomk(2, max_over_time(a[10m]))",
	"quantile(0.5, a)",
	"count_values(\"v\", floor(a / 400))",
	"max(a) - min(a)",
	"a offset 20m",
	"a offset -10m",
	"sum_over_time(a[30m:2m])",
	"max_over_time(rate(c_total[5m])[20m:1m])",
	"avg_over_time(a[15m] offset 1h)",
	"a @ 1699999200",
	"a - a @ end()",
	"sum(a) + range()",
	"a + step()",
	"end() - timestamp(a)",
	"time() - timestamp(a)",
	"absent(a{series=\"3\"})",
	"absent_over_time(gone[10m])",
	"a and on (series) c_total",
	"a or c_total",
	"-(a or c_total)",
	"c_total unless on (series) (a > 500)",
	"a * on (series) group_left () (c_total > 100)",
	"label_replace(a, \"x\", \"$1\", \"series\", \"(.).*\")",
	"rate({__name__=~\"a|c_total\"}[5m])",
	"sum({__name__=~\"a|c_total\"})",
	"a > 500",
	"scalar(sum(a)) + vector(1)",
	"count(a) by (series)",
	"changes(a[10m]) + resets(c_total[10m])",
	"histogram_quantile(0.9, sum by (le) (rate(b_bucket[5m])))",
	"histogram_quantile(1.5, b_bucket)",
	"quantile_over_time(0.7, a[9m])",
	"deriv(a[10m])",
	"last_over_time(h[10m])",
	"sum(h)",
	"limitk(2, a)",
	"1 + 2",
	"sum(",
};

static void ask_any(struct ask *a, int64_t now_ms)
{
	static const int64_t lengths[] = { 30 * MIN, HR, 3 * HR, 6 * HR };
	memset(a, 0, sizeof(*a));
	a->text = texts[rnd(COUNT_OF(texts))];
	a->features.experimental_functions = true;
	a->features.delayed_name_removal = rnd(8) == 0;
	a->step_ms = rnd(6) ? STEP : 5 * MIN;
	a->end_ms = now_ms - now_ms % a->step_ms + (rnd(12) ? 0 : 10 * a->step_ms);
	if (!rnd(4))
		a->end_ms -= (int64_t)rnd(20) * 10 * MIN;
	a->end_ms += rnd(20) ? 0 : 7000;
	a->start_ms = a->end_ms - lengths[rnd(COUNT_OF(lengths))] + rnd(5) * a->step_ms;
	a->end_ms += rnd(8) ? 0 : rnd((uint32_t)a->step_ms);
	a->tenants[0] = rnd(4) ? 0 : 1;
	a->tenants_count = 1;
	if (!rnd(8)) {
		a->tenants[0] = 0;
		a->tenants[1] = 1;
		a->tenants[2] = 2;
		a->tenants_count = TENANTS;
	}
}

/* ---- what happens ---- */

static unsigned late_rows, deaths;

static void row_make(struct storetest_row *r, int64_t t_ms)
{
	unsigned name = rnd(4), no = rnd(SERIES);
	*r = (struct storetest_row){ .labels = names[name][no], .t_ms = t_ms };
	r->v = rnd(1000) + rnd(10) / 10.0;
	if (name == 1) /* a counter, with resets now and then */
		r->v = (double)(t_ms / 1000 % 100000) * (no + 1);
	if (name == 3 && rnd(2))
		r->hist = 1 + rnd(50);
}

static void write_rows(unsigned count, int64_t now_ms, bool late)
{
	struct storetest_row rows[64];
	s.tenant = rnd(4) ? 0 : rnd(TENANTS);
	for (unsigned i = 0; i < count; i++) {
		int64_t t = now_ms - rnd(10000);
		if (late)
			t = now_ms - (int64_t)rnd(rnd(2) ? 7200 : 11 * 3600) * 1000;
		row_make(&rows[i], t);
	}
	late_rows += late ? count : 0;
	(void)storetest_write(&s, rnd(LOOPS), rows, count);
}

/* Six hours of rows, a minute apart, of all tenants. */
static void history(int64_t now_ms)
{
	for (int64_t t = now_ms - 6 * HR; t < now_ms; t += MIN) {
		struct storetest_row rows[64];
		for (unsigned i = 0; i < 64; i++)
			row_make(&rows[i], t + rnd(2000));
		s.tenant = t / MIN % 8 ? 0 : (uint32_t)(t / MIN / 8 % TENANTS);
		(void)storetest_write(&s, rnd(LOOPS), rows, 64);
	}
}

static struct tenants *limited;

/* Samples of tenant 1 before that many hours die; 0: none more than of others. */
static void retain(unsigned hours)
{
	struct tenants *old = limited;
	struct tenant_row row = { .limits = { .retention_ms = (uint64_t)hours * (uint64_t)HR } };
	snprintf(row.name, sizeof(row.name), "t1");
	row.own = UINT64_C(1) << TENANT_LIMIT_retention_ms;
	limited = NULL;
	if (hours) {
		if (tenants_create(&limited, NULL, &row, 1, NULL))
			abort();
		tenants_set_id(limited, 0, 1);
		deaths++;
	}
	storetest_tenants(&s, limited);
	if (old)
		tenants_free(old);
}

static void something(int64_t *now_ms)
{
	unsigned x = rnd(100);
	int64_t ms;
	if (x < 45) {
		write_rows(1 + rnd(60), *now_ms, false);
	} else if (x < 75) {
		write_rows(1 + rnd(6), *now_ms, true);
	} else if (x < 92) {
		ms = rnd(8) ? rnd(120) * 1000 : (int64_t)rnd(40) * MIN;
		storetest_advance(&s, ms);
		*now_ms += ms;
	} else if (x < 95) {
		(void)storetest_flush(&s);
	} else if (x < 97) {
		ms = ((int64_t)rnd(20) - 10) * 1000; /* the wall clock alone */
		clock_fake_step_wall(ms);
		*now_ms += ms;
		storetest_advance(&s, 1);
	} else {
		retain(rnd(2) ? 2 + rnd(6) : 0);
		storetest_advance(&s, 1000);
		*now_ms += 1000;
	}
}

/* ---- the test ---- */

static const char *tenant_name(void *arg, uint32_t tenant)
{
	static const char *const all[TENANTS] = { "t0", "t1", "t2" };
	(void)arg;
	return tenant < TENANTS ? all[tenant] : NULL;
}

static void show_difference(const struct ask *a, const char *anew, const char *kept)
{
	size_t i = 0;
	while (anew[i] && anew[i] == kept[i])
		i++;
	size_t from = i > 150 ? i - 150 : 0;
	tap_note("%s [%lld..%lld] step %lld of %zu tenants", a->text, (long long)a->start_ms,
	    (long long)a->end_ms, (long long)a->step_ms, a->tenants_count);
	tap_note("anew: ...%.300s", anew + from);
	tap_note("kept: ...%.300s", kept + from);
}

struct counts {
	unsigned compared, different, moved;
};

static void compare(struct ask *a, struct ql_front *front, struct counts *n)
{
	char *before = answer(a, NULL), *kept = answer(a, front), *after = answer(a, NULL);
	if (strcmp(before, after) != 0) {
		n->moved++;
	} else {
		n->compared++;
		if (strcmp(kept, after) != 0 && n->different++ < 3)
			show_difference(a, after, kept);
	}
	free(before);
	free(kept);
	free(after);
}

static void one_after_another(struct ql_front *front, unsigned turns)
{
	struct counts n = { 0 };
	int64_t now_ms = clock_wall_ms();
	uint64_t all = metric_sum(M_QUERY_CACHE_HITS), some = metric_sum(M_QUERY_CACHE_PARTS);
	uint64_t kept = metric_sum(M_QUERY_CACHE_STEPS_KEPT);
	for (unsigned i = 0; i < turns; i++) {
		struct ask a;
		something(&now_ms);
		for (unsigned k = 0; k < 3; k++) {
			ask_any(&a, now_ms);
			compare(&a, front, &n);
		}
		if (!rnd(3)) /* nothing has happened */
			compare(&a, front, &n);
	}
	all = metric_sum(M_QUERY_CACHE_HITS) - all;
	some = metric_sum(M_QUERY_CACHE_PARTS) - some;
	kept = metric_sum(M_QUERY_CACHE_STEPS_KEPT) - kept;
	tap_note(
	    "%u compared, %u moved, %u late rows, %u deaths; kept all %llu, some %llu, %llu steps",
	    n.compared, n.moved, late_rows, deaths, (unsigned long long)all,
	    (unsigned long long)some, (unsigned long long)kept);
	tap_is_u64(n.different, 0, "answers have the bits of evaluated ones");
	tap_ok(n.compared > turns, "most were compared");
	tap_ok(all > turns / 10 && some > turns / 20, "the cache was of use");
}

/* Many at once on all loops, while rows come; then everything must be as it is. */
static void at_the_same_time(struct ql_front *front, unsigned turns)
{
	static struct ask asks[12];
	struct ask next; /* those that are under way are their loops' */
	struct counts n = { 0 };
	int64_t now_ms = clock_wall_ms();
	unsigned canceled = 0;
	for (unsigned i = 0; i < turns; i++) {
		for (unsigned k = 0; k < COUNT_OF(asks); k++) {
			if (!k || rnd(2)) /* else the same at once */
				ask_any(&next, now_ms);
			asks[k] = next;
			asks[k].cancel = rnd(8) == 0;
			ask_begin(&asks[k], front);
			if (rnd(2))
				write_rows(1 + rnd(20), now_ms, rnd(2));
		}
		for (unsigned k = 0; k < COUNT_OF(asks); k++) {
			ask_end(&asks[k]);
			canceled += asks[k].err == ERR_CANCELED;
			buf_release(&asks[k].bits);
		}
		for (unsigned k = 0; k < COUNT_OF(asks); k += 3) {
			asks[k].cancel = 0;
			compare(&asks[k], front, &n);
		}
	}
	tap_is_u64(n.different, 0, "and so after many at once (%u compared)", n.compared);
	tap_ok(canceled > 0, "some were cancelled");
}

static bool nothing(void *arg)
{
	(void)arg;
	return true;
}

/* Many different queries: what is kept stays below its limit, and a tenant's below its part. */
static void bounded(void)
{
	const uint64_t most = 1 << 20;
	struct ql_cache *c = ql_cache_create(most);
	uint64_t gone = metric_sum(M_QUERY_CACHE_GONE), peak = 0;
	int64_t now_ms = clock_wall_ms() / MIN * MIN;
	for (unsigned i = 0; i < 1000; i++) {
		char text[64];
		snprintf(text, sizeof(text), "a + %u", i);
		struct ask a = { .text = text,
			.start_ms = now_ms - HR,
			.end_ms = now_ms,
			.step_ms = STEP,
			.tenants_count = 1 };
		free(answer(&a, ql_cache_front(c)));
		peak = ql_cache_bytes(c) > peak ? ql_cache_bytes(c) : peak;
	}
	tap_ok(peak > most / 2 && peak <= most, "1,000 queries hold %llu bytes of %llu at most",
	    (unsigned long long)peak, (unsigned long long)most);
	tap_ok(metric_sum(M_QUERY_CACHE_GONE) > gone, "others took the room of the oldest");
	(void)testteam_wait(&s.tt, 0, nothing, NULL, 1000);
	ql_cache_free(c);
}

/*
 * start(), end(), step() and range() tell of the range that is asked for: of its end, where that is
 * no step, and of all of it, where one step alone is evaluated.
 */
static void whole_range(struct ql_front *front)
{
	static const char *const of_range[] = { "sum(a) + start()", "sum(a) + end()",
		"sum(a) + step()", "sum(a) + range()", "sum(a) + timestamp(sum(a @ start()))",
		"sum(a) + sum(timestamp(c_total @ end()))", "sum(count_over_time(a[range()]))",
		"sum(count_over_time(a[step()]))", "sum(a offset (step()))" };
	static const int64_t ends[] = { 0, 30000, 59999, STEP, STEP + 1, 3 * STEP, -10 * STEP,
		-10 * STEP + 7000, 0 };
	int64_t now_ms = clock_wall_ms() / MIN * MIN;
	struct counts n = { 0 };
	for (size_t i = 0; i < COUNT_OF(of_range); i++)
		for (size_t k = 0; k < COUNT_OF(ends); k++) {
			struct ask a = { .text = of_range[i],
				.start_ms = now_ms - HR,
				.end_ms = now_ms - HR + 10 * STEP + ends[k],
				.step_ms = STEP,
				.features = { .experimental_functions = true },
				.tenants_count = 1 };
			compare(&a, front, &n);
		}
	tap_is_u64(n.different, 0,
	    "start, end, step and range are those of the whole (%u compared)", n.compared);
}

static void one_slice_each(struct ql_front *front)
{
	struct counts n = { 0 };
	int64_t now_ms = clock_wall_ms();
	job_yield_always(true);
	for (unsigned i = 0; i < 40; i++) {
		struct ask a;
		ask_any(&a, now_ms);
		compare(&a, front, &n);
		write_rows(3, now_ms, i % 2);
		compare(&a, front, &n);
	}
	job_yield_always(false);
	tap_is_u64(n.different, 0, "in the smallest slices, too");
}

int main(void)
{
	char *dir = testlib_tmpdir("querycache");
	const char *turns_text = getenv("KYMO_CACHE_TURNS"), *seed = getenv("KYMO_SEED");
	unsigned turns = turns_text ? (unsigned)atoi(turns_text) : 120;
	rng = 88172645463325252u + (seed ? strtoull(seed, NULL, 10) : 1) * 7919;
	clock_fake(T0);
	arena_init(&arena, 1 << 16);
	storetest_names(&arena, "a", names[0], SERIES);
	storetest_names(&arena, "c_total", names[1], SERIES);
	for (unsigned i = 0; i < SERIES; i++) {
		char le[16];
		snprintf(le, sizeof(le), "%u", i % 6 + 1);
		names[2][i] = label_make(&arena, "__name__", "b_bucket", "job", i < 12 ? "x" : "y",
		    "le", i % 6 == 5 ? "+Inf" : le, NULL);
	}
	storetest_names(&arena, "h", names[3], SERIES);
	storetest_init(&s, dir);
	s.opts.retention_ms = RETAIN;
	s.opts.ooo_window_ms = 12 * HR;
	s.opts.evict_idle_ms = 5 * MIN;
	s.opts.round_every_ms = 10 * MIN;
	s.opts.shards = 4;
	if (!tap_ok(!storetest_open(&s, LOOPS), "a store"))
		return tap_done();
	tenantsrc_init(&several, store_source(s.store), tenant_name, NULL);
	struct ql_cache *c = ql_cache_create(4 << 20);
	history(T0);
	one_after_another(ql_cache_front(c), turns);
	at_the_same_time(ql_cache_front(c), turns / 20 + 3);
	one_slice_each(ql_cache_front(c));
	whole_range(ql_cache_front(c));
	bounded();
	retain(0);
	ql_cache_free(c);
	storetest_close(&s);
	arena_release(&arena);
	testlib_rmtree(dir);
	free(dir);
	tap_ok(!peeks_wrong, "what is kept was told before each start: %u times wrong", peeks_wrong);
	return tap_done();
}
