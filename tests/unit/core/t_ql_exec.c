/*
 * core/promql/ql_exec, ql_piece: whole queries. The same query gives the same answer with 1, 2 and 16 shards, on 1 and 4 loops, with yields at every look at the clock and with a source that makes it wait;
 * limits, timeouts, failing sources and cancels at any time end cleanly.
 */
#include "core/base/metric.h"
#include "core/rt/job.h"
#include "tests/lib/qlrun.h"
#include "tests/lib/tap.h"

#include <math.h>

#define T0 INT64_C(1700000000000)

static uint64_t seed;
static uint32_t rnd(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(hash_mix64(seed) % n);
}

static void load_series(
    struct memsrc *m, struct arena *a, const char *name, unsigned i, unsigned samples)
{
	char inst[16], mode[16], le[16];
	double v = rnd(1000);
	int64_t t = T0;

	snprintf(inst, sizeof(inst), "i%u", i / 4);
	snprintf(mode, sizeof(mode), "m%u", i % 4);
	snprintf(le, sizeof(le), "%u", i % 4 * 5);
	struct labels ls = label_make(a, "__name__", name, "instance", inst, "mode", mode, "le",
	    i % 4 == 3 ? "+Inf" : le, NULL);
	for (unsigned k = 0; k < samples; k++) {
		t += rnd(30) ? 15000 : 400000;
		v = rnd(40) ? v + rnd(50) / 4.0 : rnd(5);
		if (memsrc_add(m, ls, t, rnd(30) ? v : rnd(3) ? sample_stale() : NAN))
			abort();
	}
}

static void load(struct memsrc *m)
{
	struct arena a;
	arena_init(&a, 4096);
	seed = 99;
	for (unsigned i = 0; i < 60; i++)
		load_series(m, &a, "x_total", i, 20 + rnd(100));
	for (unsigned i = 0; i < 40; i++)
		load_series(m, &a, "y", i, 20 + rnd(100));
	arena_release(&a);
}

static const char *const queries[] = {
	"x_total",
	"sum by (mode) (rate(x_total[5m]))",
	"sum without (instance) (increase(x_total[5m]))",
	"avg(x_total)",
	"avg by (instance) (avg_over_time(x_total[10m]))",
	"stddev by (mode) (y)",
	"stdvar(y * 2)",
	"min by (instance) (min_over_time(y[7m])) + 1",
	"max(max_over_time(y[20m]))",
	"count by (mode) (x_total > 100)",
	"group(y)",
	"topk(3, x_total)",
	"bottomk by (mode) (2, x_total)",
	"limitk(3, y)",
	"limit_ratio(0.3, y)",
	"quantile by (mode) (0.7, x_total)",
	"count_values(\"v\", changes(y[5m]))",
	"x_total / on (instance, mode) y",
	"x_total * on (mode) group_left (instance) topk by (mode) (1, y)",
	"x_total and on (instance) y > 300",
	"x_total or y",
	"x_total unless on (instance) y",
	"histogram_quantile(0.9, x_total)",
	"histogram_fraction(0, 7, y)",
	"sum_over_time(rate(x_total[3m])[10m:1m])",
	"max_over_time(sum(y)[10m:])",
	"deriv(y[10m])",
	"predict_linear(y[10m], 600)",
	"quantile_over_time(0.3, y[10m])",
	"absent_over_time(x_total{mode=\"m9\"}[5m])",
	"absent(y{instance=\"i99\"})",
	"scalar(sum(y)) + x_total",
	"y @ 1700000900",
	"rate(x_total[5m] @ end()) + y",
	"label_replace(y, \"z\", \"$1\", \"instance\", \"i(.*)\")",
	"-sum by (mode) (x_total) ^ 2 % 7",
	"clamp(y, 10, 200) > bool 50",
	"timestamp(y)",
	"hour(y) + on () group_left () day_of_week()",
	"sum(y offset 2m) - sum(y offset -2m)",
	"count(x_total) + count(x_total)",
	"last_over_time(y[5m])",
	"vector(time()) - 3",
	"sum by (mode) (x_total{mode=~\"m[01]\"} + on (instance, mode) y)",
	"sort_by_label(y, \"mode\")",
	"mad_over_time(y[10m])",
	"rate(y[5m])",
	"x_total + y",
	"sum(rate({instance=\"i1\"}[5m]))",
	"1 + 2 * 3",
	"nothing",
};

static char *answer(struct testteam *tt, struct memsrc *m, const char *q, int64_t step)
{
	return qlrun(tt, memsrc_source(m), q,
	    &(struct qlrun_opts){
	        .start_ms = T0 + 600000,
	        .end_ms = T0 + 1500000,
	        .step_ms = step,
	        .features = { .experimental_functions = true },
	        .digits = 11, /* the order in which shards add up may move the last bits */
	    });
}

static char *base_answers[2][COUNT_OF(queries)];

static void same_on(unsigned loops, unsigned shards, unsigned shaky, bool yields, bool first)
{
	struct testteam tt;
	unsigned differ = 0;

	testteam_start(&tt, loops);
	struct memsrc *m = memsrc_create(tt.team, shards);
	load(m);
	memsrc_shaky(m, shaky);
	job_yield_always(yields);
	for (unsigned mode = 0; mode < 2; mode++)
		for (size_t i = 0; i < COUNT_OF(queries); i++) {
			char *s = answer(&tt, m, queries[i], mode ? 35000 : 0);
			if (first) {
				base_answers[mode][i] = s;
				continue;
			}
			if (strcmp(s, base_answers[mode][i]) != 0 && differ++ < 3)
				tap_note("%s: got\n#   %s\n#   wanted\n#   %s", queries[i], s,
				    base_answers[mode][i]);
			free(s);
		}
	job_yield_always(false);
	tap_ok(differ == 0, "all answers are the same with %u loops, %u shards%s%s", loops, shards,
	    shaky ? ", a source that makes them wait" : "", yields ? ", yields at every chance" : "");
	tap_is_u64(memsrc_open_cursors(m), 0, "every cursor was closed");
	memsrc_free(m);
	testteam_stop(&tt);
}

static void answers_are_not_empty(void)
{
	unsigned empty = 0, errors = 0;
	for (size_t i = 0; i < COUNT_OF(queries); i++) {
		if (!base_answers[0][i][0] && !base_answers[1][i][0]) {
			tap_note("empty: %s", queries[i]);
			empty++;
		}
		errors += strncmp(base_answers[1][i], "error", 5) == 0;
	}
	tap_ok(empty <= 2, "nearly all queries of the list find something (%u do not)", empty);
	tap_ok(errors <= 3, "few of them are errors (%u)", errors);
}

static void expect(struct testteam *tt, struct memsrc *m, const char *q, const struct qlrun_opts *o,
    const char *want)
{
	char *s = qlrun(tt, memsrc_source(m), q, o);
	if (!tap_ok(strstr(s, want) != NULL, "%s: %s", q, want))
		tap_note("got %s", s);
	free(s);
}

static void limits_are_errors(struct testteam *tt, struct memsrc *m)
{
	struct qlrun_opts o = { .start_ms = T0, .end_ms = T0 + 1500000, .step_ms = 1000 };

	o.max_samples = 5000;
	expect(tt, m, "x_total", &o,
	    "error: query processing would load too many samples into memory in query execution");
	expect(tt, m, "sum by (instance) (x_total)", &o,
	    "error: query processing would load too many samples");
	o.max_samples = 0;
	o.max_series = 10;
	expect(tt, m, "sum(x_total)", &o, "series, limit 10");
	o.max_series = 0;
	o.max_bytes = 1 << 18;
	expect(tt, m, "x_total", &o, "error: query needs an estimated");
	o.max_bytes = 0;
	expect(tt, m, "sum_over_time(x_total[1y:1ms])", &o,
	    "error: query processing would load too many samples");
	expect(tt, m, "x_total[5m]", &o,
	    "refused: invalid expression type \"range vector\" for range query");
	expect(tt, m, "x_total{", &o, "refused: ");
	expect(tt, m, "info(x_total)",
	    &(struct qlrun_opts){ .features = { .experimental_functions = true } }, "");
}

static void failures_are_told(struct testteam *tt, struct memsrc *m)
{
	struct qlrun_opts o = { .start_ms = T0, .end_ms = T0 + 1500000, .step_ms = 1000 };

	memsrc_fail(m, 3);
	expect(tt, m, "sum(rate(x_total[5m])) + sum(y)", &o,
	    "error: expanding series: the disk is gone");
	memsrc_fail(m, 0);
	o.timeout_ms = 1;
	memsrc_shaky(m, 1);
	job_yield_always(true);
	expect(tt, m, "sum_over_time(x_total[1d:100ms])", &o,
	    "error: query timed out in expression evaluation");
	job_yield_always(false);
	memsrc_shaky(m, 0);
	tap_is_u64(memsrc_open_cursors(m), 0, "every cursor was closed");
}

static void cancels_are_safe(struct testteam *tt, struct memsrc *m)
{
	unsigned canceled = 0, answered = 0, other = 0;

	memsrc_shaky(m, 2);
	for (unsigned i = 0; i < 150; i++) {
		struct qlrun_opts o = {
			.start_ms = T0 + 600000,
			.end_ms = T0 + 1500000,
			.step_ms = 1000,
			.cancel_after_us = 1 + rnd(i < 100 ? 400 : 20000),
			.features = { .experimental_functions = true },
		};
		job_yield_always(i % 2);
		char *s = qlrun(tt, memsrc_source(m), queries[rnd(COUNT_OF(queries))], &o);
		if (strstr(s, "error: query was canceled in expression evaluation"))
			canceled++;
		else if (strncmp(s, "error", 5) != 0 || strstr(s, "duplicate") ||
		    strstr(s, "labelset") || strstr(s, "matches"))
			answered++;
		else if (other++ < 3)
			tap_note("%s", s);
		free(s);
	}
	job_yield_always(false);
	memsrc_shaky(m, 0);
	tap_ok(other == 0, "a cancelled query is cancelled or answered (%u, %u)", canceled, answered);
	tap_ok(canceled > 10, "some were cancelled in time");
	tap_is_u64(memsrc_open_cursors(m), 0, "every cursor was closed");
}

static void little_moves(struct testteam *tt)
{
	struct memsrc *m = memsrc_create(tt->team, 16);
	struct arena a;
	char id[16], mode[16];

	arena_init(&a, 4096);
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(id, sizeof(id), "%u", i);
		snprintf(mode, sizeof(mode), "m%u", i % 8);
		struct labels ls =
		    label_make(&a, "__name__", "cpu_total", "id", id, "mode", mode, NULL);
		for (unsigned k = 0; k < 8; k++)
			if (memsrc_add(m, ls, T0 + k * 60000, k * 5))
				abort();
		arena_reset(&a, 4096);
	}
	arena_release(&a);
	uint64_t before = metric_sum(M_QUERY_MOVED_BYTES), slow = metric_sum(M_QUERY_SAMPLES);
	char *s = qlrun(tt, memsrc_source(m), "sum by (mode) (rate(cpu_total[5m]))",
	    &(struct qlrun_opts){ .start_ms = T0, .end_ms = T0 + 59 * 7000, .step_ms = 7000 });
	uint64_t moved = metric_sum(M_QUERY_MOVED_BYTES) - before;
	tap_ok(moved > 0 && moved < 1 << 20,
	    "a sum over 10,000 series on 4 loops moves less than 1 MiB (%llu bytes)",
	    (unsigned long long)moved);
	tap_is_u64(metric_sum(M_QUERY_SAMPLES) - slow, 70000, "samples read are counted");
	tap_ok(strstr(s, "m7") != NULL, "and it has an answer");
	free(s);
	memsrc_free(m);
}

int main(void)
{
	struct testteam tt;

	same_on(1, 1, 0, false, true);
	answers_are_not_empty();
	same_on(1, 2, 0, false, false);
	same_on(1, 16, 0, true, false);
	same_on(4, 16, 0, false, false);
	same_on(4, 2, 3, true, false);
	same_on(4, 16, 2, true, false);

	testteam_start(&tt, 4);
	struct memsrc *m = memsrc_create(tt.team, 16);
	load(m);
	limits_are_errors(&tt, m);
	failures_are_told(&tt, m);
	cancels_are_safe(&tt, m);
	little_moves(&tt);
	memsrc_free(m);
	testteam_stop(&tt);
	for (size_t i = 0; i < COUNT_OF(queries); i++) {
		free(base_answers[0][i]);
		free(base_answers[1][i]);
	}
	return tap_done();
}
