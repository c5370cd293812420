/*
 * core/promql/run: no node of a plan works long without a look at the clock, however many columns
 * it has and however long they are. The gap between two looks is measured in CPU time of the loop's
 * thread, from the start of a query until its last slice; a query has five tries.
 * ONLY=text: only queries with that in them; GAPS=1: tells the longest gap of each.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE
#endif
#include <math.h>
#include <time.h>

/* job.c itself, so that each look at the clock passes by here, those between slices too. */
#include "core/base/clock.h"
static uint64_t look_at_clock(void);
#define clock_real_mono_ns look_at_clock
#include "core/rt/job.c" /* NOLINT */
#undef clock_real_mono_ns

#include "tests/lib/qlrun.h"
#include "tests/lib/tap.h"
#include "tests/lib/testhist.h"

#define T0     INT64_C(1700000000000)
#define GAP_MS 2.0
#define TRIES  8

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(KYMO_SHARP)
# define PLAIN 0
# define WIDE  2000u
# define LONG  20u
# define FAT   5u
#else
# define PLAIN 1
# define WIDE  200000u
# define LONG  2000u
# define FAT   12u
#endif
#define STEPS   11000
#define NAMES   10000u
#define BUCKETS 4000u

/* --- looks at the clock --- */

static bool watching;
static uint64_t last_ns, gap_ns, looks;

static uint64_t thread_cpu_ns(void)
{
	struct timespec t;
	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t))
		abort();
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void look(void)
{
	uint64_t now = thread_cpu_ns();
	gap_ns = now - last_ns > gap_ns ? now - last_ns : gap_ns;
	last_ns = now;
	looks++;
}

static uint64_t look_at_clock(void)
{
	if (watching)
		look();
	return clock_real_mono_ns();
}

/* --- one query --- */

struct query {
	const char *text;
	struct source *source;
	int64_t end_ms, step_ms;
	bool late;
	struct ql *q;
	size_t series;
	char error[200];
	bool over;
};

static void query_done(void *arg, struct ql *q)
{
	struct query *r = arg;
	const char *text;

	watching = false; /* the release of what the query held is no pass of a node */
	if (ql_err(q, &text))
		snprintf(r->error, sizeof(r->error), "%s", text);
	r->series = ql_result(q)->series_count;
	ql_free(q);
	r->over = true;
}

static void query_start(void *arg)
{
	struct query *r = arg;
	struct errbuf eb;
	struct ql_opts o = {
		.source = r->source,
		.start_ms = T0,
		.end_ms = r->end_ms,
		.step_ms = r->step_ms,
		.max_bytes = UINT64_C(3) << 30,
		.max_samples = 200000000,
		.features = { .experimental_functions = true,
		    .fill_modifiers = true,
		    .delayed_name_removal = r->late },
		.done = query_done,
		.arg = r,
	};
	errbuf_init(&eb);
	if (ql_create(r->text, strlen(r->text), &o, &r->q, &eb)) {
		fprintf(stderr, "%s: %s\n", r->text, eb.text);
		abort();
	}
	gap_ns = looks = 0;
	last_ns = thread_cpu_ns();
	watching = true;
	ql_start(r->q);
}

static bool query_over(void *arg)
{
	return ((struct query *)arg)->over;
}

static void looks_often(struct testteam *tt, const struct query *what)
{
	const char *only = getenv("ONLY");
	double best = INFINITY;
	struct query r;

	if (only && !strstr(what->text, only))
		return;
	for (int i = 0; i < TRIES && best >= GAP_MS; i++) {
		r = *what;
		testteam_run(tt, 0, query_start, &r);
		if (!testteam_wait(tt, 0, query_over, &r, TESTTEAM_LONG_MS))
			abort();
		best = fmin(best, (double)gap_ns / 1e6);
	}
	if (!tap_ok(!r.error[0] && (!PLAIN || (best < GAP_MS && r.series)),
	        "%.80s at %lld step%s: a look each %.1f ms", what->text,
	        (long long)(what->step_ms ? (what->end_ms - T0) / what->step_ms + 1 : 1),
	        what->step_ms ? "s" : "", GAP_MS))
		tap_note("longest gap %.2f ms, %llu looks, %zu series, error: %s", best,
		    (unsigned long long)looks, r.series, r.error);
	else if (getenv("GAPS"))
		tap_note("longest gap %.2f ms, %llu looks, %zu series", best,
		    (unsigned long long)looks, r.series);
}

/* --- what is asked --- */

/* # stands for the vector of many series or many steps. */
static const char *const nodes[] = {
	"#",
	"abs(topk(1e18, #))",
	"# + #",
	"# + on (id) group_left (le) #",
	"# * on (g) group_left sum by (g) (#)",
	"# > on (id) (# - 500)",
	"# and #",
	"# unless on (id) (# > 500)",
	"# or -#",
	"topk(5, #)",
	"topk(1e18, #)",
	"bottomk(1e6, #)",
	"bottomk(1000, # * 0)",
	"topk by (g) (3, #)",
	"limitk(1000, #)",
	"limit_ratio(0.5, #)",
	"quantile(0.9, #)",
	"quantile by (g) (0.5, #)",
	"count_values(\"v\", #)",
	"count_values by (id) (\"v\", # > 900)",
	"histogram_quantile(0.9, #)",
	"histogram_fraction(0, 7, #)",
	"label_replace(#, \"id\", \"x$1\", \"id\", \"(.*)\")",
	"label_join(#, \"z\", \"-\", \"id\", \"g\")",
	"vector(scalar(#))",
	"absent(# > 1e9)",
	"sum by (id) (topk(1e18, #))",
	"avg without (id) (topk(1e18, #))",
	"info(#, {__name__=\"info\"})",
	"sort_desc(#)",
	"sort_by_label(#, \"g\", \"id\")",
};

static void fill_in(char *to, size_t size, const char *form, const char *v)
{
	size_t n = 0;
	for (; *form && n + 64 < size; form++)
		n += *form == '#' ? (size_t)snprintf(to + n, size - n, "%s", v)
		                  : (size_t)snprintf(to + n, size - n, "%c", *form);
}

static void nodes_look_often(struct testteam *tt, struct memsrc *wide, struct memsrc *longer)
{
	char text[400];
	struct query q = { .text = text };

	for (size_t i = 0; i < COUNT_OF(nodes); i++) {
		fill_in(text, sizeof(text), nodes[i], "wide");
		q.source = memsrc_source(wide);
		q.step_ms = 0;
		q.end_ms = T0;
		looks_often(tt, &q);
		if (strncmp(text, "sort", 4) == 0)
			continue;
		fill_in(text, sizeof(text), nodes[i], "long");
		q.source = memsrc_source(longer);
		q.step_ms = 1000;
		q.end_ms = T0 + (STEPS - 1) * 1000;
		looks_often(tt, &q);
	}
}

/* Names that go late, and a note for each name. */
static void names_look_often(struct testteam *tt, struct memsrc *wide, struct memsrc *names)
{
	struct query q = { .text = "rate(wide[5m])", .late = true, .end_ms = T0 };

	q.source = memsrc_source(wide);
	looks_often(tt, &q);
	q.source = memsrc_source(names);
	q.text = "rate({id=~\".+\"}[10m])";
	looks_often(tt, &q);
}

/* One column of many steps. */
static void long_columns_look_often(struct testteam *tt, struct memsrc *m)
{
	static const char *const forms[] = {
		"vector(time()) + vector(1)",
		"vector(time()) > vector(1e9)",
		"vector(time()) unless vector(1) > 5",
		"vector(time()) or vector(1)",
		"absent(vector(time()) > 1e10)",
		"quantile(scalar(vector(0.5)), vector(time()))",
		"topk(scalar(vector(1)), vector(time()))",
		"limit_ratio(-0.5, vector(time()))",
		"sort(vector(time()))",
		"label_replace(vector(time()), \"a\", \"b\", \"\", \"\") + on () vector(1)",
	};
	char text[200];
	struct query q = { .text = text, .source = memsrc_source(m), .end_ms = T0 };

	for (size_t i = 0; i < COUNT_OF(forms); i++) {
		snprintf(text, sizeof(text), "(%s)[%us:1ms]", forms[i], PLAIN ? 4000 : 40);
		looks_often(tt, &q);
	}
}

/* 800 columns of their own, made and joined one after the other. */
static void chains_look_often(struct testteam *tt, struct memsrc *m)
{
	struct query q = { .source = memsrc_source(m), .step_ms = 1000 };
	struct buf b;

	buf_init(&b);
	for (unsigned i = 0; i < (PLAIN ? 800 : 20); i++)
		buf_printf(&b, "%slabel_replace(vector(time()), \"a\", \"%u\", \"\", \"\")",
		    i ? " or " : "", i);
	buf_add_u8(&b, 0);
	q.text = (const char *)b.data;
	q.end_ms = T0 + (STEPS - 1) * 1000;
	looks_often(tt, &q);
	buf_release(&b);
}

#define HISTS (PLAIN ? 3000 : 300) /* samples of a series */

static void load_hists(struct memsrc *m)
{
	struct arena a;

	arena_init(&a, 4096);
	for (unsigned i = 0; i < 4; i++) {
		char id[16];
		snprintf(id, sizeof(id), "%u", i);
		struct labels ls = label_make(&a, "__name__", i % 2 ? "h" : "hm", "id", id, NULL);
		for (unsigned k = 0; k < HISTS; k++) {
			struct memsrc_sample s = { .t_ms = T0 + k * 15000, .v = k };
			if (i % 2 || k % 5)
				s.h = testhist_next(&a, i, k);
			if (memsrc_add_sample(m, ls, &s))
				abort();
		}
	}
	arena_release(&a);
}

/* Windows, subqueries and selectors of histograms. */
static void hists_look_often(struct testteam *tt, struct memsrc *m)
{
	static const char *const forms[] = { "h", "rate(h[5m])", "sum_over_time(h[1h])",
		"avg_over_time(hm[30s])", "increase(hm[20s])", "changes(h[10m])", "resets(hm[1h])",
		"irate(h[1m])", "last_over_time(hm[5m])", "max_over_time(hm[5m])", "rate(h[10m:15s])",
		"sum_over_time(h[20m:15s])", "count_over_time(rate(h[5m])[1h:15s])",
		"rate(h[5m]) * 2", "histogram_count(rate(h[5m]))", "h + h", "hm - hm",
		"hm * on(id) hm", "h == bool h", "hm != on(id) hm offset 1m", "-hm", "h </ 3",
		"h >/ 1", "h or hm", "hm and hm", "hm unless on(id) hm > 5", "h @ 1700000000 + h",
		"label_replace(hm, \"a\", \"b\", \"\", \"\")", "abs(hm)", "absent(hm > 1e9)",
		"info(hm)", "hm * on(id) fill_right(2) (hm > 5)" };
	struct query q = { .source = memsrc_source(m), .step_ms = 15000 };

	q.end_ms = T0 + (HISTS - 1) * 15000;
	for (size_t i = 0; i < COUNT_OF(forms); i++) {
		q.text = forms[i];
		looks_often(tt, &q);
	}
}

/* Many buckets a step: the clock is looked at by buckets, not by steps. */
static void buckets_look_often(struct testteam *tt, struct memsrc *m)
{
	static const char *const forms[] = { "fat", "histogram_quantile(0.9, #)",
		"histogram_quantiles(#, \"q\", 0.1, 0.9)", "histogram_fraction(1, 7, #)",
		"histogram_stdvar(#)", "histogram_stddev(# * 1)", "-#", "# / 3", "# >/ 2", "# + #",
		"# == #", "# or -#", "histogram_count(# - # * 0.5)" };
	char text[400];
	struct query q = { .text = text, .source = memsrc_source(m), .step_ms = 1000 };

	q.end_ms = T0 + 59000;
	for (size_t i = 0; i < COUNT_OF(forms); i++) {
		fill_in(text, sizeof(text), forms[i], "fat");
		looks_often(tt, &q);
	}
}

/* --- the data --- */

static void put(struct memsrc *m, struct labels ls, int64_t t, double v)
{
	if (memsrc_add(m, ls, t, v))
		abort();
}

static struct labels series(struct arena *a, const char *name, unsigned i)
{
	char id[16], g[16], le[16];

	snprintf(id, sizeof(id), "%06u", i);
	snprintf(g, sizeof(g), "g%u", i / 8 % 1000);
	snprintf(le, sizeof(le), i % 8 == 7 ? "+Inf" : "%u", i % 8 * 5);
	return label_make(a, "__name__", name, "id", id, "g", g, "le", le, "job", "x", NULL);
}

/* Histograms of n buckets, another one each second. */
static void put_fat(struct memsrc *m, struct labels ls, uint32_t n)
{
	union hist_count *counts = mem_alloc(n * sizeof(*counts));
	struct hist_span span = { -(int32_t)n / 2, n };
	struct hist h = {
		.is_float = true, .schema = 8, .sum = n, .positive = { &span, counts, 1, n }
	};
	struct memsrc_sample s = { .h = &h };

	for (int64_t k = 0; k < 60; k++) {
		h.count.f = 0;
		for (uint32_t i = 0; i < n; i++)
			h.count.f += counts[i].f = (double)(1 + (i * 7 + (uint32_t)k) % 5);
		s.t_ms = T0 + k * 1000;
		if (memsrc_add_sample(m, ls, &s))
			abort();
	}
	mem_free(counts);
}

static void load_fat(struct memsrc *m)
{
	struct arena a;

	arena_init(&a, 4096);
	for (unsigned i = 0; i < FAT; i++, arena_reset(&a, 4096))
		put_fat(m, series(&a, "fat", i), BUCKETS);
	arena_release(&a);
}

static void load(struct memsrc *wide, struct memsrc *longer, struct memsrc *names)
{
	struct arena a;
	char name[32];

	arena_init(&a, 4096);
	for (unsigned i = 0; i < WIDE; i++, arena_reset(&a, 4096)) {
		struct labels ls = series(&a, "wide", i);
		put(wide, ls, T0 - 60000, i % 991);
		put(wide, ls, T0, i % 991);
	}
	for (unsigned i = 0; i < LONG; i++, arena_reset(&a, 4096)) {
		struct labels ls = series(&a, "long", i);
		for (int64_t k = 0; k * 250 <= STEPS; k++)
			put(longer, ls, T0 + k * 250000, (double)((i * 7 + k * 3) % 997));
	}
	for (unsigned i = 0; i < NAMES; i++, arena_reset(&a, 4096)) {
		snprintf(name, sizeof(name), "name_%u", i);
		struct labels ls = label_make(&a, "__name__", name, "id", name, NULL);
		put(names, ls, T0 - 60000, 1);
		put(names, ls, T0, 2);
	}
	struct labels info = label_make(&a, "__name__", "info", "job", "x", "version", "1", NULL);
	put(wide, info, T0, 1);
	put(longer, info, T0, 1);
	arena_release(&a);
}

int main(void)
{
	struct testteam tt;

	testteam_start(&tt, 1);
	struct memsrc *wide = memsrc_create(tt.team, 4);
	struct memsrc *longer = memsrc_create(tt.team, 4);
	struct memsrc *names = memsrc_create(tt.team, 4);
	struct memsrc *fat = memsrc_create(tt.team, 4);
	load(wide, longer, names);
	nodes_look_often(&tt, wide, longer);
	names_look_often(&tt, wide, names);
	long_columns_look_often(&tt, names);
	chains_look_often(&tt, names);
	load_fat(fat);
	buckets_look_often(&tt, fat);
	struct memsrc *hists = memsrc_create(tt.team, 4);
	load_hists(hists);
	hists_look_often(&tt, hists);
	memsrc_free(hists);
	memsrc_free(wide);
	memsrc_free(longer);
	memsrc_free(names);
	memsrc_free(fat);
	testteam_stop(&tt);
	return tap_done();
}
