/*
 * Groups of plans, against results: expressions are planned and run over the same made series, with
 * labels that are skewed, tied to others, missing, or each one's own. All labels are looked at:
 * what is told as exact is so, and no bound is wrong; or some are: then it is about so.
 */
#include "net/api/groupings.h"

#include <string.h>

#include "core/base/arena.h"
#include "tests/lib/qlrun.h"
#include "tests/lib/tap.h"

#define SERIES 3000u
#define EVERY  7u /* of so many one is looked at, when some are */

static struct testteam tt;
static struct memsrc *src;
static struct arena arena;
static struct labels all[2 * SERIES];
static size_t all_count;

static void series_add(const char *name, unsigned i)
{
	char pod[16], job[16], zone[16], rack[16], instance[16], tail[16];
	unsigned skew = 1;
	while (skew < 64 && (i * 2654435761u >> 8) % (skew + 1) == 0) /* mostly 1 */
		skew++;
	snprintf(pod, sizeof(pod), "p%u", i);
	snprintf(job, sizeof(job), "j%u", i % 5);
	snprintf(zone, sizeof(zone), "z%u", i % 50); /* tied to the job */
	snprintf(rack, sizeof(rack), "r%u", skew);
	snprintf(instance, sizeof(instance), "i%u", i / 20);
	snprintf(tail, sizeof(tail), "t%u", i < SERIES / 2 ? i % 10 : i);
	struct labels ls = i % 3
	    ? label_make(&arena, "__name__", name, "instance", instance, "job", job, "pod", pod,
	          "rack", rack, "tail", tail, "zone", zone, NULL)
	    : label_make(&arena, "__name__", name, "instance", instance, "job", job, "pod", pod,
	          "tail", tail, NULL);
	all[all_count++] = ls;
	for (int64_t t = 0; t <= 600000; t += 30000)
		CHECK(!memsrc_add(src, ls, t, (double)(i % 100)));
}

struct planned {
	const char *text;
	struct ql_opts opts;
	struct ql_trace trace;
	struct ql *q;
	unsigned every;
	struct ql_trace_told told;
	bool bad;
};

static void ask_fill(const struct ql_trace_piece *p, struct estimate_ask *a, unsigned every)
{
	struct ql_shape_room room;
	ql_shape_room_init(&room);
	a->groups = arena_zalloc(&arena, (p->keys_count + 1) * sizeof(*a->groups));
	a->values = arena_zalloc(&arena, (a->names_count + 1) * sizeof(*a->values));
	for (size_t i = 0; i < all_count; i++) {
		if (matcher_labels(p->matchers, p->matchers_count, all[i]) != REX_YES)
			continue;
		a->told.series++;
		a->told.series_most++;
		for (size_t k = 0; k < a->names_count; k++) {
			uint32_t len = 0;
			const char *v = label_get(all[i], a->names[k], strlen(a->names[k]), &len);
			if (v)
				distinct_add(&a->values[k].seen, hash64(v, len, 0), 1, 1);
			a->values[k].all = a->values[k].seen.used <= SOURCE_SURVEY_VALUES;
		}
		if (every > 1 && hash_mix64(i + 99) % every)
			continue;
		a->told.surveyed++;
		a->told.surveyed_sure++;
		for (const struct ql_trace_key *k = p->keys; k; k = k->next) {
			distinct_add(
			    &a->groups[k->index], ql_shape_hash(k->shape, all[i], &room), 1, 1);
			a->missed |= (uint32_t)room.missed << k->index;
		}
	}
	ql_shape_room_release(&room);
}

/* On loop 0. */
static void plan_it(void *arg)
{
	struct planned *x = arg;
	struct errbuf eb;
	struct arena a;
	errbuf_init(&eb);
	arena_init(&a, 16384);
	ql_trace_init(&x->trace, &a);
	x->opts.trace = &x->trace;
	x->bad = ql_create(x->text, strlen(x->text), &x->opts, &x->q, &eb) != ERR_OK;
	if (x->bad)
		return;
	struct estimate e = { .count = 0 };
	struct estimate_ask asks[8] = { { .keys = NULL } };
	e.asks = asks;
	for (const struct ql_trace_piece *p = x->trace.pieces; p; p = p->next) {
		struct estimate_ask *to = &asks[e.count++];
		CHECK(e.count <= COUNT_OF(asks));
		to->keys = p->keys;
		to->keys_count = p->keys_count;
		groupings_names(&x->trace, p, to);
		ask_fill(p, to, x->every);
	}
	groupings_make(&x->trace, &e);
	x->told = x->trace.plan->told;
	for (size_t i = 0; i < e.count; i++) {
		for (unsigned k = 0; k < asks[i].keys_count; k++)
			distinct_release(&asks[i].groups[k]);
		for (size_t k = 0; k < asks[i].names_count; k++)
			distinct_release(&asks[i].values[k].seen);
	}
	ql_trace_release(&x->trace);
	ql_free(x->q);
	arena_release(&a);
}

static size_t result;
static void count_series(struct ql *q)
{
	result = ql_result(q)->series_count;
}

/* off: by what factor it may be off, when some are looked at; 0: it is a bound alone. */
static void check(const char *text, bool range, double off)
{
	struct qlrun_opts o = {
		.end_ms = 600000, .step_ms = range ? 30000 : 0, .at_done = count_series
	};
	o.start_ms = range ? 0 : 600000;
	o.features.experimental_functions = true;
	result = SIZE_MAX;
	free(qlrun(&tt, memsrc_source(src), text, &o));
	for (unsigned some = 0; some < 2; some++) {
		struct planned x = { .text = text, .every = some ? EVERY : 1 };
		x.opts = (struct ql_opts){ .source = memsrc_source(src),
			.start_ms = o.start_ms,
			.end_ms = 600000,
			.step_ms = o.step_ms,
			.features = o.features };
		testteam_run(&tt, 0, plan_it, &x);
		double is = (double)result, n = x.told.n,
		       by = off && x.told.sure == SOURCE_EXACT ? 1.0001 : off;
		bool exact = x.told.sure != SOURCE_EXACT || (uint64_t)(n + 0.5) == result;
		bool good = !by || (n <= is * by + 0.5 && is <= n * by + 0.5);
		tap_ok(!x.bad && exact && is <= x.told.most + 1e-9 && good &&
		        (some || x.told.sure != SOURCE_SAMPLED),
		    "%.200s%s, %s: told %.1f (%d), at most %.0f, is %.0f", text,
		    range ? " (range)" : "", some ? "some" : "all", n, (int)x.told.sure,
		    x.told.most, is);
	}
}

/* Labels that are not made here are by the query: nothing of them is told as exact. */
static void long_values(void)
{
	static const char *const forms[] = { "sum by (x) (%s)", "%s", "sum by (x) (%s or m2)",
		"-(%s or -m2)", "sum by (x) (%s) * on (x) sum by (x) (%s)" };
	char call[5200], text[11000], pad[5001];
	memset(pad, 'x', 5000);
	pad[5000] = 0;
	snprintf(call, sizeof(call), "label_replace(m, \"x\", \"%s$1\", \"job\", \"(.*)\")", pad);
	for (unsigned i = 0; i < COUNT_OF(forms); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(text, sizeof(text), forms[i], call, call);
#pragma GCC diagnostic pop
		check(text, false, 0);
	}
}

int main(void)
{
	static const struct {
		const char *text;
		double off;
	} cases[] = { { "m", 1.01 }, { "sum(m)", 1.01 }, { "sum by (job) (m)", 1.01 },
		{ "sum by (zone) (m)", 1.3 }, { "sum by (job, zone) (m)", 1.3 },
		{ "sum by (pod) (m)", 1.3 }, { "count by (rack) (m)", 2 },
		{ "max by (tail) (m)", 1.5 }, { "avg by (instance, rack) (m)", 2 },
		{ "sum without (pod) (m)", 2 }, { "sum by (job) (sum by (job, zone) (m))", 1.01 },
		{ "count(sum by (instance) (rate(m[5m])))", 1.01 },
		{ "sum by (zone) (rate(m[5m]))", 1.3 }, { "quantile by (zone) (0.9, m)", 1.3 },
		{ "stddev by (job, rack) (m + 1)", 2 }, { "m + on (pod) m2", 2.5 },
		{ "sum by (job) (m) / on (job) sum by (job) (m2)", 1.01 },
		{ "sum by (zone) (m) - on (zone) sum by (zone) (m2)", 1.3 },
		{ "m * on (zone) group_left () sum by (zone) (m2)", 1.5 },
		{ "m * on (instance) group_left () max by (instance) (m2)", 2.5 },
		{ "sum by (job) (m * on (zone) group_left () sum by (zone) (m2))", 1.5 },
		{ "sum by (job) (m * on (pod) group_left (rack) m2)", 1.01 },
		{ "sum by (rack) (m * on (pod) group_left (rack) m2)", 2 },
		{ "sum by (x) (label_replace(m, \"x\", \"$1\", \"zone\", \"z(.).*\"))", 1.01 },
		{ "label_replace(m, \"x\", \"$1\", \"zone\", \"z(.).*\")", 1.01 },
		{ "sum by (y) (label_join(m, \"y\", \"-\", \"job\", \"zone\"))", 1.3 },
		{ "topk(3, m)", 0 }, { "topk by (job) (3, m)", 0 },
		{ "bottomk by (zone) (2, m)", 0 }, { "topk(3, sum by (zone) (m))", 0 },
		{ "limitk(4, m)", 0 }, { "topk(1e9, m)", 1.01 }, { "topk(0, m)", 0 },
		{ "count_values(\"v\", m)", 0 }, { "count_values by (job) (\"v\", m)", 0 },
		{ "absent(m)", 1 }, { "absent(none)", 1 }, { "absent_over_time(none[5m])", 1 },
		{ "none", 1 }, { "sum(none)", 1 }, { "vector(1)", 1 }, { "m or m2", 1.3 },
		{ "sum by (job) (m) or sum by (zone) (m)", 1.5 }, { "m and on (pod) m2", 2.5 },
		{ "m unless on (zone) m2", 0 }, { "m unless on (pod) m2", 0 },
		{ "sum by (job) (m) and sum by (job) (none)", 1 }, { "m > 50", 0 },
		{ "sum by (zone) (m > 50)", 0 }, { "m > bool 50", 1.01 },
		{ "sum by (job) (m) > bool on (job) sum by (job) (m2)", 1.01 },
		{ "histogram_quantile(0.9, sum by (job, le) (m))", 0 },
		{ "max_over_time(sum by (zone) (m)[5m:1m])", 1.3 },
		{ "sort_desc(sum by (job) (m))", 1.01 }, { "sum by (zone) (m @ 300)", 1.3 },
		{ "-sum by (zone) (m)", 1.3 }, { "limit_ratio(0.5, m)", 1.2 },
		{ "sum by (job) (limit_ratio(0.5, m))", 1.01 },
		{ "clamp_max(sum by (job) (m), scalar(sum(m2)))", 1.01 },
		{ "sum by (job) ({__name__=~\"m|m2\"})", 1.01 },
		{ "sum by (__name__) ({__name__=~\"m.*\"})", 1.01 },
		{ "sum by (pod) (m{job=\"j1\"} or m2{job=\"j2\"})", 1.5 } };
	arena_init(&arena, 1 << 16);
	testteam_start(&tt, 2);
	src = memsrc_create(tt.team, 4);
	for (unsigned i = 0; i < SERIES; i++) {
		series_add("m", i);
		if (i % 2)
			series_add("m2", i);
	}
	for (unsigned i = 0; i < COUNT_OF(cases); i++)
		for (unsigned range = 0; range < 2; range++)
			check(cases[i].text, range, cases[i].off);
	long_values();
	memsrc_free(src);
	testteam_stop(&tt);
	arena_release(&arena);
	return tap_done();
}
