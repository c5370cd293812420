/*
 * core/promql/ql_exec, ql_piece: whole queries. The same query gives the same answer with 1, 2 and
 * 16 shards, on 1 and 4 loops, with yields at every look at the clock and with a source that makes
 * it wait;
 * limits, timeouts, failing sources and cancels at any time end cleanly.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE /* memmem */
#endif
#include "core/base/metric.h"
#include "core/promql/plan/ql_spec.h"
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
	"topk(4, rate(x_total[5m]))",
	"topk by (instance) (2, y)",
	"bottomk without (le) (1, x_total)",
	"topk(7, x_total * 0)",
	"bottomk(2, x_total / 0)",
	"limitk by (mode) (2, rate(y[5m]))",
	"topk(200, y)",
	"sum(limit_ratio(0.5, x_total))",
	"limit_ratio(-0.6, rate(y[5m])) * 2",
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
	"absent(y{mode=\"m1\"} > 700)",
	"absent_over_time(y{instance=\"i2\",mode=\"m0\"}[20s])",
	"y unless on (instance, mode) x_total > 400",
	"y > 300 or on (mode) x_total < 500",
	"y > 300 and on (instance, mode) x_total > 400",
	"(y > 300) * on (instance, mode) (x_total > 400)",
	"(y > 300) + ignoring (le) group_left (le) sum by (instance, mode) (x_total > 400)",
	"count_values(\"v\", round(y > 400, 100))",
	"quantile(0.4, y > 300)",
	"quantile(0.6, {__name__=~\"x_total|y\"})",
	"max_over_time((y > 400)[1m:7s])",
	"scalar(y{instance=\"i2\",mode=\"m0\"} > 300) + group(y)",
	"label_replace(y > 300, \"z\", \"$1\", \"mode\", \"(m[^1])\")",
	"histogram_quantile(0.7, y > 200)",
	"timestamp(y) - time()",
	/* selectors that are read once for several parts */
	"rate(x_total[5m]) / rate(x_total[5m])",
	"x_total > 100 or x_total * 2",
	"y - y",
	"sum by (mode) (x_total) / count by (mode) (x_total > 50)",
	"topk(3, y) or bottomk(2, y) or -limitk(4, y)",
	"quantile_over_time(0.3, y[10m]) - quantile_over_time(0.9, y[10m])",
	"max_over_time(y[10m]) - rate(y[10m])",
	"x_total * 1000 - timestamp(x_total)",
	"max_over_time(y[7m:1m]) - min_over_time(y[7m:1m])",
	"sum(y) + on () group_right () y - on () group_left () avg(y)",
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
	    });
}

/*
 * An instant query; ranges of 26 steps, and of 901: 14 whole words of presence and 5 bits of the
 * next.
 */
static const int64_t steps[] = { 0, 36000, 1000 };
#define MODES COUNT_OF(steps)
static char *base_answers[MODES][COUNT_OF(queries)];

/*
 * Labels and times to the letter, values to 1e-9 of them: the order in which shards add up may move
 * the last bits.
 */
static bool same_answer(const char *a, const char *b)
{
	while (*a && *a == *b) {
		bool value = *a++ == ':' && a[-2] >= '0' && a[-2] <= '9';
		b++;
		if (!value)
			continue;
		char *a_end, *b_end;
		double x = strtod(a, &a_end), y = strtod(b, &b_end);
		if (a_end == a || b_end == b)
			continue; /* a label's value */
		if (!(x == y || (isnan(x) && isnan(y)) ||
		        fabs(x - y) <= 1e-9 * fmax(fabs(x), fabs(y))))
			return false;
		a = a_end;
		b = b_end;
	}
	return *a == *b;
}

static void same_on(unsigned loops, unsigned shards, unsigned shaky, bool yields, bool first)
{
	struct testteam tt;
	unsigned differ = 0;

	testteam_start(&tt, loops);
	struct memsrc *m = memsrc_create(tt.team, shards);
	load(m);
	memsrc_shaky(m, shaky);
	job_yield_always(yields);
	for (unsigned mode = 0; mode < MODES; mode++)
		for (size_t i = 0; i < COUNT_OF(queries); i++) {
			char *s = answer(&tt, m, queries[i], steps[mode]);
			if (first) {
				base_answers[mode][i] = s;
				continue;
			}
			if (!same_answer(s, base_answers[mode][i]) && differ++ < 3)
				tap_note("%s: got\n#   %.2000s\n#   wanted\n#   %.2000s",
				    queries[i], s, base_answers[mode][i]);
			free(s);
		}
	job_yield_always(false);
	tap_ok(differ == 0, "all answers are the same with %u loops, %u shards%s%s", loops, shards,
	    shaky ? ", a source that makes them wait" : "", yields ? ", yields at every chance" : "");
	tap_is_u64(memsrc_open_cursors(m), 0, "every cursor was closed");
	memsrc_free(m);
	testteam_stop(&tt);
}

/*
 * The queries that find nothing, and those that are errors, at any step; every other one has
 * series.
 */
static const struct {
	const char *q, *answer;
} special[] = {
	{ "nothing", "" },
	{ "x_total * on (mode) group_left (instance) topk by (mode) (1, y)",
	    "error: multiple matches for labels: grouping labels must ensure unique matches" },
	{ "sum(rate({instance=\"i1\"}[5m]))",
	    "error: vector cannot contain metrics with the same labelset" },
};

static const char *special_answer(const char *q)
{
	for (size_t i = 0; i < COUNT_OF(special); i++)
		if (strcmp(special[i].q, q) == 0)
			return special[i].answer;
	return NULL;
}

static void answers_are_what_they_should(void)
{
	for (size_t i = 0; i < COUNT_OF(queries); i++) {
		const char *want = special_answer(queries[i]);
		for (unsigned mode = 0; mode < MODES; mode++) {
			const char *s = base_answers[mode][i];
			bool series = s[0] && strncmp(s, "error", 5) != 0;
			if (!tap_ok(want ? strcmp(s, want) == 0 : series, "%s, step %lld: %s",
			        queries[i], (long long)steps[mode], want ? want : "series"))
				tap_note("got %.300s", s);
		}
	}
}

/*
 * Of each series the points at every 36 s, as a query of that step has them; series without one are
 * left out, notes too.
 */
static char *thinned(const char *answer)
{
	struct buf out;
	const char *notes = strstr(answer, " | "), *end = notes ? notes : answer + strlen(answer);

	buf_init(&out);
	for (const char *p = answer; p < end;) {
		const char *points = (const char *)memchr(p, '}', (size_t)(end - p)) + 1, *next;
		const char *stop = memmem(points, (size_t)(end - points), "; ", 2);
		bool any = false;
		stop = stop ? stop : end;
		for (const char *q = points; q < stop; q = next) {
			int64_t t = strtoll(q + 1, NULL, 10);
			next = memchr(q + 1, ' ', (size_t)(stop - q - 1));
			next = next ? next : stop;
			if ((t - (T0 + 600000)) % 36000)
				continue;
			if (!any && out.len)
				buf_add_str(&out, "; ");
			if (!any)
				buf_add(&out, p, (size_t)(points - p));
			buf_add(&out, q, (size_t)(next - q));
			any = true;
		}
		p = stop < end ? stop + 2 : end;
	}
	buf_add_u8(&out, 0);
	size_t len;
	return (char *)buf_take(&out, &len);
}

/* Many words of presence say what one word says: the answers of 901 steps hold those of 26. */
static void long_ranges_hold_short_ones(void)
{
	unsigned differ = 0, compared = 0;

	for (size_t i = 0; i < COUNT_OF(queries); i++) {
		if (strncmp(base_answers[2][i], "error", 5) == 0)
			continue;
		char *few = thinned(base_answers[1][i]), *many = thinned(base_answers[2][i]);
		if (!same_answer(few, many) && differ++ < 3)
			tap_note("%s: of 901 steps\n#   %.1000s\n#   of 26\n#   %.1000s",
			    queries[i], many, few);
		compared += few[0] != 0;
		mem_free(few);
		mem_free(many);
	}
	tap_ok(differ == 0 && compared >= COUNT_OF(queries) - COUNT_OF(special),
	    "901 steps say what 26 of them say alone (%u queries)", compared);
}

/*
 * What is reduced on the shards against the same done at home, to the letter: a parameter that is
 * data keeps it there.
 */
static const struct {
	const char *shards, *home;
} pairs[] = {
	{ "topk(3, x_total)", "topk(scalar(vector(3)), x_total)" },
	{ "topk(10, rate(x_total[5m]))", "topk(scalar(vector(10)), rate(x_total[5m]))" },
	{ "topk by (instance) (2, y)", "topk by (instance) (scalar(vector(2)), y)" },
	{ "topk without (le, mode) (3, y)", "topk without (le, mode) (scalar(vector(3)), y)" },
	{ "bottomk(5, y)", "bottomk(scalar(vector(5)), y)" },
	{ "bottomk by (mode) (2, -y)", "bottomk by (mode) (scalar(vector(2)), -y)" },
	{ "topk(9, y * 0)", "topk(scalar(vector(9)), y * 0)" },
	{ "bottomk by (le) (3, round(y, 500))", "bottomk by (le) (scalar(vector(3)), round(y, 500))" },
	{ "topk(4, y > 300)", "topk(scalar(vector(4)), y > 300)" },
	{ "topk(30, 0 / (y > 300))", "topk(scalar(vector(30)), 0 / (y > 300))" },
	{ "topk(100, y)", "topk(scalar(vector(100)), y)" },
	{ "limitk(5, y)", "limitk(scalar(vector(5)), y)" },
	{ "limitk by (mode) (3, y > 300)", "limitk by (mode) (scalar(vector(3)), y > 300)" },
	/* more values than are sorted; ends that are told otherwise */
	{ "quantile(0, {__name__=~\"x_total|y\"} > -1)", "min({__name__=~\"x_total|y\"} > -1)" },
	{ "quantile(1, {__name__=~\"x_total|y\"} > -1)", "max({__name__=~\"x_total|y\"} > -1)" },
	{ "limit_ratio(0.4, y)", "limit_ratio(scalar(vector(0.4)), y)" },
	{ "limit_ratio(-0.3, -y)", "limit_ratio(scalar(vector(-0.3)), -y)" },
	{ "-limit_ratio(0.4, x_total)", "-limit_ratio(scalar(vector(0.4)), x_total)" },
};

static void shards_and_home_agree(unsigned shards)
{
	struct testteam tt;
	unsigned differ = 0, empty = 0;

	testteam_start(&tt, 2);
	struct memsrc *m = memsrc_create(tt.team, shards);
	load(m);
	for (unsigned mode = 0; mode < MODES; mode++)
		for (size_t i = 0; i < COUNT_OF(pairs); i++) {
			char *a = answer(&tt, m, pairs[i].shards, steps[mode]);
			char *b = answer(&tt, m, pairs[i].home, steps[mode]);
			empty += !*a || strncmp(a, "error", 5) == 0;
			if (strcmp(a, b) != 0 && differ++ < 3)
				tap_note("%s: on shards\n#   %.2000s\n#   at home\n#   %.2000s",
				    pairs[i].shards, a, b);
			free(a);
			free(b);
		}
	tap_ok(differ == 0 && empty == 0, "%u shards: what is reduced there is what it is at home",
	    shards);
	memsrc_free(m);
	testteam_stop(&tt);
}

static void expect(struct testteam *tt, struct memsrc *m, const char *q, const struct qlrun_opts *o,
    const char *want)
{
	char *s = qlrun(tt, memsrc_source(m), q, o);
	if (!tap_ok(strstr(s, want) != NULL, "%s: %s", q, want))
		tap_note("got %s", s);
	free(s);
}

/*
 * Selectors that are equal in their windows are read once; each still counts its samples.
 */
static const struct {
	const char *q, *alone;
	unsigned times; /* as many samples, 0: not compared */
	unsigned reads; /* as many series */
} shared[] = {
	{ "x_total / x_total", "x_total", 2, 1 },
	{ "x_total == x_total > 2 unless x_total * 3", "x_total", 3, 1 },
	{ "sum(x_total) / count(x_total)", "sum(x_total)", 2, 1 },
	{ "rate(x_total[5m]) / rate(x_total[5m])", "rate(x_total[5m])", 2, 1 },
	{ "quantile_over_time(0.2, y[9m]) - quantile_over_time(0.7, y[9m])",
	    "quantile_over_time(0.2, y[9m])", 2, 1 },
	{ "max_over_time(y[9m]) - rate(y[9m]) * 3", "rate(y[9m])", 2, 1 },
	{ "count(y) + count(y offset 0s)", "count(y)", 2, 1 },
	{ "y - y offset 1m", "y", 0, 2 },
	{ "y @ end() - y @ end()", "y @ end()", 2, 1 },
	{ "rate(y[5m]) - rate(y[6m])", "rate(y[5m])", 0, 2 },
	{ "y{mode!=\"m7\"} - y{mode!=\"m8\"}", "y", 2, 2 },
	{ "y{mode!=\"m7\"} - y{mode!~\"m7\"}", "y", 2, 2 },
	/* data is waited for */
	{ "quantile_over_time(scalar(vector(0.2)), y[9m]) - quantile_over_time(0.7, y[9m])",
	    "quantile_over_time(0.2, y[9m])", 2, 2 },
};

static struct ql_stats stats_of(struct testteam *tt, struct memsrc *m, const char *q)
{
	struct ql_stats stats;
	struct qlrun_opts o = {
		.start_ms = T0 + 600000,
		.end_ms = T0 + 1500000,
		.step_ms = 9000,
		.stats = &stats,
	};
	free(qlrun(tt, memsrc_source(m), q, &o));
	return stats;
}

static void read_as(struct testteam *tt, struct memsrc *m, const char *q, const char *alone,
    unsigned times, unsigned reads)
{
	struct ql_stats s = stats_of(tt, m, q), one = stats_of(tt, m, alone);

	tap_is_u64(s.series, one.series * reads, "%.80s: its series are read %u times", q, reads);
	if (!times)
		return;
	tap_is_u64(
	    s.samples_total, one.samples_total * times, "... samples used count %u times", times);
	tap_is_u64(s.samples_read, one.samples_read * times, "... and those read");
}

static void equal_selectors_are_read_once(struct testteam *tt, struct memsrc *m)
{
	struct buf many;

	for (size_t i = 0; i < COUNT_OF(shared); i++)
		read_as(tt, m, shared[i].q, shared[i].alone, shared[i].times, shared[i].reads);
	buf_init(&many);
	for (unsigned i = 0; i < QL_PIECE_PIPES + 1; i++)
		buf_printf(&many, "%scount(y)", i ? " + " : "");
	buf_add_u8(&many, 0);
	read_as(tt, m, (char *)many.data, "count(y)", QL_PIECE_PIPES + 1, 2);
	buf_release(&many);
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
	answers_are_what_they_should();
	long_ranges_hold_short_ones();
	same_on(1, 2, 0, false, false);
	same_on(1, 16, 0, true, false);
	same_on(4, 16, 0, false, false);
	same_on(4, 2, 3, true, false);
	same_on(4, 16, 2, true, false);
	shards_and_home_agree(1);
	shards_and_home_agree(5);

	testteam_start(&tt, 4);
	struct memsrc *m = memsrc_create(tt.team, 16);
	load(m);
	equal_selectors_are_read_once(&tt, m);
	limits_are_errors(&tt, m);
	failures_are_told(&tt, m);
	cancels_are_safe(&tt, m);
	little_moves(&tt);
	memsrc_free(m);
	testteam_stop(&tt);
	for (size_t i = 0; i < COUNT_OF(queries); i++) {
		for (unsigned mode = 0; mode < MODES; mode++)
			free(base_answers[mode][i]);
	}
	return tap_done();
}
