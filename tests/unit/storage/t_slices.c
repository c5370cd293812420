/*
 * Reads in pieces: no call of a cursor's next() and no step of store_stats takes long, whatever is
 * stored; what a cursor holds is bounded and told; tenants see only their own.
 *
 * Times are thread CPU of the loop, the best of some, so that a busy machine changes little.
 * KYMO_SLICES_MS (2) is what a call may take; a sanitizer's build asks for the answers alone.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "storage/stats.c" /* its steps are called one by one */
#include "tests/lib/storetest.h"
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"

#define TRIES     8u /* at most: until one is in time */
#define MINUTE    INT64_C(60000)
#define T0        (INT64_C(1700000000000) / SAMPLE_RANGE_MS * SAMPLE_RANGE_MS)
#define TEXTS_MAX 64u

static struct arena arena;
static struct storetest st;
static char *dir;
static bool all_well;

static uint64_t cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double limit_ms(void)
{
	const char *text = getenv("KYMO_SLICES_MS");
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return 1e9;
#endif
	return text ? strtod(text, NULL) : 2;
}

static void begin(void)
{
	dir = testlib_tmpdir("slices");
	clock_fake_advance(SAMPLE_RANGE_MS - (clock_wall_ms() - T0) % SAMPLE_RANGE_MS);
	storetest_init(&st, dir);
	st.opts.shards = 1;
	st.opts.round_every_ms = 24 * 60 * MINUTE;
	all_well = !storetest_open(&st, 1);
}

static void end(void)
{
	storetest_close(&st);
	testlib_rmtree(dir);
	free(dir);
}

static void put(const struct storetest_row *rows, size_t count)
{
	for (size_t at = 0; at < count; at += 20000) {
		size_t n = count - at < 20000 ? count - at : 20000;
		struct storetest_verdict v = storetest_write(&st, 0, rows + at, n);
		if (v.err || v.refused)
			tap_note("write: %s %s", err_text(v.err), v.text);
		all_well &= !v.err && !v.refused;
	}
}

/* ---- one cursor, from its first call to its end ---- */

struct walk {
	struct source_query query;
	struct source_cursor *cursor;
	bool ended, failed;
	unsigned calls, items;
	uint64_t samples, wrong, est_series, memory;
	uint64_t longest_ns, all_ns;
	bool (*right)(int64_t t_ms, double v);
	char texts[TEXTS_MAX][32];
};

static void no_wake(void *arg)
{
	(void)arg;
}

static void take(struct walk *w, const struct source_item *it)
{
	if (w->query.what == SOURCE_LABEL_VALUES || w->query.what == SOURCE_LABEL_NAMES)
		snprintf(w->texts[w->items % TEXTS_MAX], sizeof(w->texts[0]), "%.*s",
		    (int)it->text_len, it->text);
	if (!w->items++)
		w->est_series = w->cursor->est_series;
	if (w->query.what != SOURCE_SERIES_SAMPLES)
		return;
	w->samples += it->col.count;
	for (uint32_t i = 0; i < it->col.count; i++)
		w->wrong += (i && it->col.t_ms[i] <= it->col.t_ms[i - 1]) ||
		    (w->right && !w->right(it->col.t_ms[i], it->col.v[i]));
}

static void walk_turn(void *arg)
{
	struct walk *w = arg;
	struct source *src = store_source(st.store);
	struct source_item it = { 0 };
	if (!w->cursor)
		w->failed = w->ended = src->ops->open(src, 0, &w->query, &w->cursor);
	while (!w->ended) {
		uint64_t from = cpu_ns();
		enum source_state state = w->cursor->ops->next(w->cursor, &it);
		uint64_t took = cpu_ns() - from;
		w->calls++;
		w->all_ns += took;
		w->longest_ns = took > w->longest_ns ? took : w->longest_ns;
		w->memory = w->cursor->memory > w->memory ? w->cursor->memory : w->memory;
		if (state == SOURCE_WAIT)
			return;
		w->failed |= state == SOURCE_ERROR;
		w->ended = state == SOURCE_END || state == SOURCE_ERROR;
		if (state == SOURCE_READY)
			take(w, &it);
	}
	if (w->cursor)
		w->cursor->ops->close(w->cursor);
}

static struct walk walk_once(const struct walk *of)
{
	struct walk w = *of;
	w.query.wake = no_wake;
	while (!w.ended) {
		testteam_run(&st.tt, 0, walk_turn, &w);
		if (!w.ended)
			usleep(100);
	}
	return w;
}

static bool in_time(const struct walk *w)
{
	return (double)w->longest_ns < limit_ms() * 1e6;
}

/* The one with the shortest longest call. */
static struct walk walk_all(const struct walk *of)
{
	struct walk best = walk_once(of);
	for (unsigned i = 1; i < TRIES && !in_time(&best); i++) {
		struct walk w = walk_once(of);
		w.wrong += best.wrong + (w.samples != best.samples) + (w.items != best.items);
		best = w.longest_ns < best.longest_ns ? w : best;
	}
	return best;
}

static bool has_text(const struct walk *w, const char *text)
{
	for (unsigned i = 0; i < w->items && i < TEXTS_MAX; i++)
		if (!strcmp(w->texts[i], text))
			return true;
	return false;
}

/* ---- store_stats ---- */

#define LABEL_NAMES 60000u
#define OF_SERIES   20u

struct stepping {
	struct count *c;
	uint64_t all_ns, longest_ns;
};

static void step_all(void *arg)
{
	struct stepping *s = arg;
	static struct store_stats_req req;
	s->c = count_create(st.store, &req, st.store->shares[0]);
	for (bool done = false; !done;) {
		uint64_t from = cpu_ns();
		done = count_step(s->c);
		uint64_t took = cpu_ns() - from;
		s->all_ns += took;
		s->longest_ns = took > s->longest_ns ? took : s->longest_ns;
	}
}

static void stats_of_many_names(void)
{
	struct storetest_row *rows = mem_array(NULL, LABEL_NAMES / OF_SERIES, sizeof(*rows));
	struct stepping best = { .longest_ns = UINT64_MAX };
	bool right = true;
	begin();
	for (unsigned i = 0; i < LABEL_NAMES / OF_SERIES; i++) {
		struct label_builder b;
		label_builder_init(&b, &arena);
		label_builder_set(&b, LABEL_NAME, sizeof(LABEL_NAME) - 1, "m", 1);
		for (unsigned k = 0; k < OF_SERIES; k++) {
			char *name = arena_printf(&arena, "label_%u", i * OF_SERIES + k);
			label_builder_set(&b, name, strlen(name), "v", 1);
		}
		rows[i] = (struct storetest_row){
			.labels = label_builder_done(&b), .t_ms = clock_wall_ms(), .v = i
		};
	}
	put(rows, LABEL_NAMES / OF_SERIES);
	for (unsigned i = 0; i < TRIES && (double)best.longest_ns >= limit_ms() * 1e6; i++) {
		struct stepping s = { 0 };
		testteam_run(&st.tt, 0, step_all, &s);
		right &= s.c->names_count == LABEL_NAMES + 1 && s.c->pairs_count == LABEL_NAMES + 1;
		best = s.longest_ns < best.longest_ns ? s : best;
		count_empty(s.c);
		mem_free(s.c);
	}
	tap_ok(all_well && right && (double)best.longest_ns < limit_ms() * 1e6 &&
	        (double)best.all_ns < limit_ms() * 500 * 1e6,
	    "store_stats of %u label names: longest step %.3f ms, all %.1f ms", LABEL_NAMES,
	    (double)best.longest_ns / 1e6, (double)best.all_ns / 1e6);
	mem_free(rows);
	end();
}

/* ---- a long series ---- */

#define LONG 1200000u

static int64_t long_from;

static double noise(int64_t k)
{
	uint64_t x = hash_mix64((uint64_t)k + 1);
	return (double)(int64_t)(x ^ x >> 32) / 3;
}

static bool long_right(int64_t t_ms, double v)
{
	return num_bits(v) == num_bits(noise(t_ms - long_from));
}

/* Every step-th time of the series from the first on, in order. */
static void put_long(struct labels ls, unsigned first, unsigned step)
{
	struct storetest_row *rows = mem_array(NULL, LONG, sizeof(*rows));
	size_t n = 0;
	for (unsigned i = first; i < LONG; i += step)
		rows[n++] =
		    (struct storetest_row){ .labels = ls, .t_ms = long_from + i, .v = noise(i) };
	put(rows, n);
	mem_free(rows);
}

static void look_long(const char *where)
{
	struct walk w = walk_all(&(struct walk){ .right = long_right,
	    .query = { .what = SOURCE_SERIES_SAMPLES,
	        .t_min_ms = long_from,
	        .t_max_ms = long_from + LONG } });
	tap_ok(all_well && !w.failed && !w.wrong && w.items == 1 && w.samples == LONG &&
	        in_time(&w) && w.memory >= LONG * 16u && w.memory < LONG * 16u * 8,
	    "%u samples of one series %s: %llu found, %llu wrong, %u calls, the longest %.3f ms of %.1f, %llu bytes",
	    LONG, where, (unsigned long long)w.samples, (unsigned long long)w.wrong, w.calls,
	    (double)w.longest_ns / 1e6, (double)w.all_ns / 1e6, (unsigned long long)w.memory);
}

static void long_series(void)
{
	struct labels ls = label_make(&arena, LABEL_NAME, "long", NULL);
	begin();
	long_from = clock_wall_ms() - 30 * MINUTE;
	put_long(ls, 0, 1);
	look_long("in memory");
	all_well &= !storetest_flush(&st);
	look_long("in a file");
	end();
	begin();
	long_from = clock_wall_ms() - 30 * MINUTE;
	put_long(ls, 0, 2);
	all_well &= !storetest_flush(&st);
	put_long(ls, 1, 2);
	look_long("half of it late, in memory and in a file");
	all_well &= !storetest_flush(&st);
	look_long("in files that overlap");
	end();
}

/* ---- a series of histograms, and one behind it ---- */

#define HISTS 60000u

static void put_hists(struct labels ls, unsigned first, unsigned step)
{
	struct storetest_row *rows = mem_array(NULL, HISTS, sizeof(*rows));
	size_t n = 0;
	for (unsigned i = first; i < HISTS; i += step) {
		/* one that has buckets, mostly of the layout of those around it */
		rows[n++] = (struct storetest_row){
			.labels = ls, .t_ms = long_from + i, .v = i, .hist = 2 + i / 1000 % 3 * 9
		};
	}
	put(rows, n);
	mem_free(rows);
}

static bool hists_right(int64_t t_ms, double v)
{
	return sample_is_hist(v) || t_ms == long_from;
}

static void look_hists(const char *where)
{
	struct walk w = walk_all(&(struct walk){ .right = hists_right,
	    .query = { .what = SOURCE_SERIES_SAMPLES,
	        .t_min_ms = long_from,
	        .t_max_ms = long_from + HISTS } });
	tap_ok(all_well && !w.failed && !w.wrong && w.items == 2 && w.samples == HISTS + 1 &&
	        in_time(&w) && w.memory >= HISTS * 100u && w.memory < HISTS * 2000ull,
	    "%u histograms of one series %s: %llu found, %llu wrong, %u calls, the longest %.3f ms of %.1f, %llu bytes",
	    HISTS, where, (unsigned long long)w.samples, (unsigned long long)w.wrong, w.calls,
	    (double)w.longest_ns / 1e6, (double)w.all_ns / 1e6, (unsigned long long)w.memory);
}

static void long_histograms(void)
{
	struct labels ls = label_make(&arena, LABEL_NAME, "hists", NULL);
	struct labels other = label_make(&arena, LABEL_NAME, "other", NULL);
	begin();
	long_from = clock_wall_ms() - 30 * MINUTE;
	put(&(struct storetest_row){ .labels = other, .t_ms = long_from, .v = 1 }, 1);
	put_hists(ls, 0, 2);
	put_hists(ls, 1, 2);
	look_hists("in memory, half of it late,");
	all_well &= !storetest_flush(&st);
	look_hists("in a file");
	put_hists(ls, 0, 3);
	look_hists("in a file, and sent again");
	end();
}

/* ---- label values ---- */

#define CROWD 20000u

static void crowd_put(const char *metric, int64_t t_ms)
{
	static struct storetest_row rows[CROWD];
	for (unsigned i = 0; i < CROWD; i++) {
		char no[16], zone[16];
		snprintf(no, sizeof(no), "%u", i);
		snprintf(zone, sizeof(zone), "z%u", i % 5);
		rows[i] = (struct storetest_row){ .labels = label_make(&arena, LABEL_NAME, metric,
			                              "no", no, "zone", zone, NULL),
			.t_ms = t_ms,
			.v = i };
	}
	put(rows, CROWD);
}

static struct matcher matcher_of(enum matcher_type type, const char *name, const char *value)
{
	struct matcher m;
	struct errbuf eb;
	errbuf_init(&eb);
	all_well &= !matcher_init(&m, type, name, strlen(name), value, strlen(value), &eb);
	return m;
}

static void values_of_many(void)
{
	begin();
	int64_t now = clock_wall_ms();
	crowd_put("crowd", now);
	put(&(struct storetest_row){ .labels =
	                                 label_make(&arena, LABEL_NAME, "old", "zone", "past", NULL),
	        .t_ms = now - 30 * MINUTE,
	        .v = 1 },
	    1);
	struct matcher name = matcher_of(MATCHER_EQ, LABEL_NAME, "crowd");
	struct walk of = { .query = { .what = SOURCE_LABEL_VALUES,
		               .t_min_ms = now - MINUTE,
		               .t_max_ms = now,
		               .label = "zone",
		               .label_len = 4 } };
	struct walk w = walk_all(&of);
	uint64_t plain_ns = w.all_ns;
	tap_ok(all_well && !w.failed && w.items == 5 && has_text(&w, "z0") && has_text(&w, "z4") &&
	        (double)w.all_ns < limit_ms() * 0.25e6,
	    "5 values of %u series in %u calls, %.3f ms", CROWD, w.calls, (double)w.all_ns / 1e6);
	of.query.matchers = &name;
	of.query.matchers_count = 1;
	w = walk_all(&of);
	tap_ok(!w.failed && w.items == 5 && !has_text(&w, "past") &&
	        (double)w.all_ns < limit_ms() * 0.5e6,
	    "of one metric: %.3f ms (all: %.3f)", (double)w.all_ns / 1e6, (double)plain_ns / 1e6);
	of.query.t_min_ms = now - 60 * MINUTE;
	of.query.matchers_count = 0;
	w = walk_all(&of);
	tap_ok(!w.failed && w.items == 6 && has_text(&w, "past"),
	    "in a longer range one more value has a series");
	of.query.t_max_ms = now - 20 * MINUTE;
	w = walk_all(&of);
	tap_ok(!w.failed && w.items == 1 && has_text(&w, "past") && in_time(&w),
	    "and in the older one it is alone");
	of.query.label = "no";
	of.query.label_len = 2;
	of.query.t_max_ms = now;
	w = walk_all(&of);
	tap_ok(!w.failed && w.items == CROWD && in_time(&w),
	    "a value of each series: %u, the longest of %u calls %.3f ms", w.items, w.calls,
	    (double)w.longest_ns / 1e6);
	of.query.what = SOURCE_SERIES;
	w = walk_all(&of);
	tap_ok(!w.failed && w.items == CROWD + 1 && w.est_series == CROWD + 1 && in_time(&w),
	    "%u series are told to come before the first, the longest call takes %.3f ms",
	    (unsigned)w.est_series, (double)w.longest_ns / 1e6);
	matcher_release(&name);
	end();
}

/* ---- tenants ---- */

static unsigned ask(uint32_t tenant, enum source_what what, struct walk *w)
{
	*w = walk_once(&(struct walk){ .query = { .what = what,
	                                   .tenants = &tenant,
	                                   .tenants_count = 1,
	                                   .t_min_ms = clock_wall_ms() - 300 * MINUTE,
	                                   .t_max_ms = clock_wall_ms() + MINUTE,
	                                   .label = "who",
	                                   .label_len = 3 } });
	all_well &= !w->failed;
	return w->items;
}

static void tenants_ask(const char *when)
{
	struct walk w;
	unsigned series[2] = { ask(0, SOURCE_SERIES_SAMPLES, &w), ask(1, SOURCE_SERIES_SAMPLES, &w) };
	bool apart = series[0] == 3 && series[1] == 2 && w.samples == 2 && w.est_series == 2;
	tap_ok(all_well && apart, "%s: 3 series of one tenant, 2 of the other (%u, %u)", when,
	    series[0], series[1]);
	bool own = ask(0, SOURCE_LABEL_VALUES, &w) == 3 && has_text(&w, "both") &&
	    has_text(&w, "a") && !has_text(&w, "c");
	own &= ask(1, SOURCE_LABEL_VALUES, &w) == 2 && has_text(&w, "both") && has_text(&w, "c");
	own &= ask(0, SOURCE_LABEL_NAMES, &w) == 3 && has_text(&w, "only_a");
	own &= ask(1, SOURCE_LABEL_NAMES, &w) == 3 && has_text(&w, "only_c") &&
	    !has_text(&w, "only_a");
	own &= ask(2, SOURCE_LABEL_VALUES, &w) == 0 && ask(2, SOURCE_SERIES, &w) == 0;
	tap_ok(all_well && own, "%s: names and values are those of the tenant", when);
	static const uint32_t both[] = { 0, 1, 2 };
	struct walk all = { .query = { .what = SOURCE_SERIES_SAMPLES,
		                .tenants = both,
		                .tenants_count = COUNT_OF(both),
		                .t_min_ms = clock_wall_ms() - 300 * MINUTE,
		                .t_max_ms = clock_wall_ms() + MINUTE } };
	w = walk_once(&all);
	tap_ok(!w.failed && w.items == 5, "%s: a list of tenants gives the series of all (%u)",
	    when, w.items);
}

static void tenants(void)
{
	begin();
	int64_t now = clock_wall_ms();
	struct storetest_row zero[] = {
		{ .labels = label_make(&arena, LABEL_NAME, "up", "who", "both", NULL),
		    .t_ms = now,
		    .v = 1 },
		{ .labels = label_make(&arena, LABEL_NAME, "up", "who", "a", "only_a", "x", NULL),
		    .t_ms = now,
		    .v = 1 },
		{ .labels = label_make(&arena, LABEL_NAME, "up", "who", "b", NULL),
		    .t_ms = now,
		    .v = 1 },
	};
	struct storetest_row one[] = {
		{ .labels = zero[0].labels, .t_ms = now, .v = 2 },
		{ .labels = label_make(&arena, LABEL_NAME, "up", "who", "c", "only_c", "x", NULL),
		    .t_ms = now,
		    .v = 2 },
	};
	put(zero, COUNT_OF(zero));
	st.tenant = 1;
	put(one, COUNT_OF(one));
	st.tenant = 0;
	tenants_ask("in memory");
	all_well &= !storetest_flush(&st);
	storetest_close(&st);
	all_well &= !storetest_open(&st, 1);
	tenants_ask("from files");
	uint64_t before = metric_sum(M_SERIES_EVICTED);
	struct storetest_row pace = { .labels = zero[2].labels, .v = 1 };
	for (unsigned k = 0; k < 8; k++) {
		storetest_advance(&st, 20 * MINUTE);
		pace.t_ms = clock_wall_ms();
		put(&pace, 1);
		all_well &= !storetest_flush(&st);
		storetest_advance(&st, 1000);
	}
	tap_ok(metric_sum(M_SERIES_EVICTED) - before == 4, "all but one leave memory");
	struct walk w;
	unsigned series[2] = { ask(0, SOURCE_SERIES, &w), ask(1, SOURCE_SERIES, &w) };
	bool own = ask(0, SOURCE_LABEL_VALUES, &w) == 3 && !has_text(&w, "c");
	own &= ask(1, SOURCE_LABEL_VALUES, &w) == 2 && has_text(&w, "c") && !has_text(&w, "b");
	tap_ok(all_well && series[0] == 3 && series[1] == 2 && own,
	    "and each tenant still finds its own (%u, %u)", series[0], series[1]);
	end();
}

/* ---- series that left memory ---- */

static void churned(void)
{
	begin();
	crowd_put("gone", clock_wall_ms());
	all_well &= !storetest_flush(&st);
	uint64_t before = metric_sum(M_SERIES_EVICTED);
	struct storetest_row pace = { .labels = label_make(&arena, LABEL_NAME, "pace", NULL), .v = 1 };
	int64_t from = clock_wall_ms() - MINUTE;
	for (unsigned k = 0; k < 8; k++) {
		storetest_advance(&st, 20 * MINUTE);
		pace.t_ms = clock_wall_ms();
		put(&pace, 1);
		all_well &= !storetest_flush(&st);
		storetest_advance(&st, 1000);
	}
	tap_ok(all_well && metric_sum(M_SERIES_EVICTED) - before == CROWD, "%u series leave memory",
	    CROWD);
	/* Half of them come back. */
	static struct storetest_row rows[CROWD / 2];
	for (unsigned i = 0; i < CROWD / 2; i++) {
		char no[16], zone[16];
		snprintf(no, sizeof(no), "%u", 2 * i);
		snprintf(zone, sizeof(zone), "z%u", 2 * i % 5);
		rows[i] = (struct storetest_row){ .labels = label_make(&arena, LABEL_NAME, "gone",
			                              "no", no, "zone", zone, NULL),
			.t_ms = clock_wall_ms(),
			.v = i };
	}
	put(rows, CROWD / 2);
	struct walk w = walk_all(&(struct walk){
	    .query = {
	        .what = SOURCE_SERIES_SAMPLES, .t_min_ms = from, .t_max_ms = clock_wall_ms() } });
	tap_ok(all_well && !w.failed && w.items == CROWD + 1 && !w.wrong &&
	        w.samples == CROWD + CROWD / 2 + 8 && in_time(&w),
	    "%u series with %llu samples, the longest of %u calls %.3f ms of %.1f", w.items,
	    (unsigned long long)w.samples, w.calls, (double)w.longest_ns / 1e6,
	    (double)w.all_ns / 1e6);
	tap_ok(w.memory < CROWD * 48u + 65536, "a cursor holds %.1f bytes for each that left",
	    (double)w.memory / CROWD);
	w = walk_all(&(struct walk){ .query = { .what = SOURCE_LABEL_VALUES,
	                                 .t_min_ms = from,
	                                 .t_max_ms = clock_wall_ms(),
	                                 .label = "no",
	                                 .label_len = 2 } });
	tap_ok(!w.failed && w.items == CROWD && in_time(&w), "%u values of a label, each once",
	    w.items);
	end();
}

int main(void)
{
	log_setup(LOG_LEVEL_NONE, false);
	mallopt(M_MMAP_THRESHOLD, 1 << 20); /* as in the server: large blocks grow without a copy */
	arena_init(&arena, 1 << 20);
	clock_fake(T0);
	stats_of_many_names();
	values_of_many();
	tenants();
	churned();
	long_series();
	long_histograms();
	arena_release(&arena);
	return tap_done();
}
