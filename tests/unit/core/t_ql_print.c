/*
 * Printing over several lines, and the resolving of durations and @ start(), @ end(). The texts
 * were checked against Prometheus 3.14.
 */
#include "core/promql/lang/ql_parse.h"
#include "tests/lib/tap.h"

static const struct ql_parse_opts all = { true, true, true, NULL };

static const struct {
	const char *text, *pretty;
} cases[] = {
	/* clang-format off */
	{ "up",
		"up" },
	{ "sum by (job) (rate(http_requests_total{job=\"api\"}[5m]))",
		"sum by (job) (rate(http_requests_total{job=\"api\"}[5m]))" },
	{ "sum by (job, instance, method, status, path, handler, cluster) (rate(http_requests_total{job=\"api-server\",status=~\"5..\"}[5m]))",
		"sum by (job, instance, method, status, path, handler, cluster) (\n"
		"  rate(http_requests_total{job=\"api-server\",status=~\"5..\"}[5m])\n"
		")" },
	{ "(sum by (job) (rate(http_requests_total{status=~\"5..\"}[5m])) / sum by (job) (rate(http_requests_total{job=\"api-server\"}[5m])))",
		"(\n"
		"    sum by (job) (rate(http_requests_total{status=~\"5..\"}[5m]))\n"
		"  /\n"
		"    sum by (job) (rate(http_requests_total{job=\"api-server\"}[5m]))\n"
		")" },
	{ "sum by (job) (rate(errors_total{cluster=\"main\"}[5m])) / on (job) group_left (team, region) sum by (job) (rate(requests_total{cluster=\"main\"}[5m])) > bool 0.05",
		"    sum by (job) (rate(errors_total{cluster=\"main\"}[5m]))\n"
		"  / on (job) group_left (team, region)\n"
		"    sum by (job) (rate(requests_total{cluster=\"main\"}[5m]))\n"
		"> bool\n"
		"  0.05" },
	{ "topk(10, sum by (a_long_label_name, another_long_label_name, a_third_long_label_name) (rate(some_long_metric_name_total[5m])))",
		"topk(\n"
		"  10,\n"
		"  sum by (a_long_label_name, another_long_label_name, a_third_long_label_name) (\n"
		"    rate(some_long_metric_name_total[5m])\n"
		"  )\n"
		")" },
	{ "-sum by (a_long_label_name, another_long_label_name, a_third_long_label_name) (rate(some_long_metric_name_total[5m]))",
		"-sum by (a_long_label_name, another_long_label_name, a_third_long_label_name) (\n"
		"  rate(some_long_metric_name_total[5m])\n"
		")" },
	{ "max_over_time(sum by (a_long_label_name, another_long_label_name, a_third_long_label_name) (rate(some_long_metric_name_total[5m]))[1h:5m] @ 10 offset 5m)",
		"max_over_time(\n"
		"  sum by (a_long_label_name, another_long_label_name, a_third_long_label_name) (\n"
		"    rate(some_long_metric_name_total[5m])\n"
		"  )[1h:5m] @ 10.000 offset 5m\n"
		")" },
	{ "label_replace(some_long_metric_name_total{job=\"some-long-job-name\"}, \"destination\", \"$1\", \"source\", \"some long regular expression (.*)\")",
		"label_replace(\n"
		"  some_long_metric_name_total{job=\"some-long-job-name\"},\n"
		"  \"destination\",\n"
		"  \"$1\",\n"
		"  \"source\",\n"
		"  \"some long regular expression (.*)\"\n"
		")" },
	{ "histogram_quantile(0.99, sum by (le, job) (rate(http_request_duration_seconds_bucket{job=\"api-server\",method=\"GET\"}[5m]))) and on (job) up == 1",
		"  histogram_quantile(\n"
		"    0.99,\n"
		"    sum by (le, job) (rate(http_request_duration_seconds_bucket{job=\"api-server\",method=\"GET\"}[5m]))\n"
		"  )\n"
		"and on (job)\n"
		"  up == 1" },
	{ "sum(a_long_metric_name_one_two_three_four + a_long_metric_name_one_two_three_five) + ((a_long_metric_name_one_two_three_four)) * -(a_long_metric_name_one_two_three_four + a_long_metric_name_one_two_three_five_six_seven_eight)",
		"  sum(a_long_metric_name_one_two_three_four + a_long_metric_name_one_two_three_five)\n"
		"+\n"
		"    ((a_long_metric_name_one_two_three_four))\n"
		"  *\n"
		"    -(a_long_metric_name_one_two_three_four + a_long_metric_name_one_two_three_five_six_seven_eight)" },
	{ "count_values without (instance_with_a_long_name, another_instance_with_a_long_name) (\"version_of_the_build\", build_info_with_a_long_name)",
		"count_values without (instance_with_a_long_name, another_instance_with_a_long_name) (\n"
		"  \"version_of_the_build\",\n"
		"  build_info_with_a_long_name\n"
		")" },
	{ "a_long_metric_name{a_long_label_name=\"a long value that goes on and on\",another_label_name=\"another long value that goes on\"}",
		"a_long_metric_name{a_long_label_name=\"a long value that goes on and on\",another_label_name=\"another long value that goes on\"}" },
	/* clang-format on */
};

static void test_pretty(void)
{
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct arena a;
		struct errbuf eb;
		struct buf b;
		struct ql_node *n = NULL;
		arena_init(&a, 1024);
		errbuf_init(&eb);
		buf_init(&b);
		if (TAP_OK(!ql_parse(&a, cases[i].text, strlen(cases[i].text), &all, &n, &eb))) {
			ql_pretty(&b, n);
			tap_is_mem(b.data, b.len, cases[i].pretty, strlen(cases[i].pretty),
			    "pretty: %s", cases[i].text);
			ql_ast_release(n);
		}
		buf_release(&b);
		arena_release(&a);
	}
}

static const struct {
	const char *text;
	int64_t range_ms, offset_ms, at_ms;
	const char *error;
} durations[] = {
	/* start 100 s, end 700 s, step 60 s */
	{ "x[5m]", 300000, 0, 0, "" },
	{ "x[1.0005]", 1000, 0, 0, "" },
	{ "x[step() * 2]", 120000, 0, 0, "" },
	{ "x[range()]", 600000, 0, 0, "" },
	{ "x[min_of(step(), 30s) + max_of(1, 2)]", 32000, 0, 0, "" },
	{ "x[(5m - 1m) / 2 % 100]", 20000, 0, 0, "" },
	{ "x[2 ^ 3 ^ 2]", 512000, 0, 0, "" },
	{ "x[-(-5)]", 5000, 0, 0, "" },
	{ "x[5m] offset (step() - 2m)", 300000, -60000, 0, "" },
	{ "x[5m] offset -step()", 300000, -60000, 0, "" },
	{ "x[5m] offset -1m30s", 300000, -90000, 0, "" },
	{ "x[5m] @ start()", 300000, 0, 100000, "" },
	{ "x[5m] @ end() offset 5", 300000, 5000, 700000, "" },
	{ "x[5m] @ -1.5", 300000, 0, -1500, "" },
	{ "x[step() - 1m]", 0, 0, 0, "2:13: duration must be greater than 0" },
	{ "x[(0)]", 0, 0, 0, "2:4: duration must be greater than 0" },
	{ "x[1 / (0)]", 0, 0, 0, "2:8: division by zero" },
	{ "x[5 % (step() - 60)]", 0, 0, 0, "2:18: modulo by zero" },
	{ "x[1y ^ 9]", 0, 0, 0, "2:8: duration is out of range" },
	{ "x[(-1) ^ 0.5]", 0, 0, 0, "2:12: duration is NaN or infinite" },
	{ "x[5m] offset (10y ^ 200)", 0, 0, 0, "14:23: duration is NaN or infinite" },
};

static void test_durations(void)
{
	for (size_t i = 0; i < COUNT_OF(durations); i++) {
		struct arena a;
		struct errbuf eb;
		struct ql_node *n = NULL;
		arena_init(&a, 1024);
		errbuf_init(&eb);
		if (!tap_ok(!ql_parse(&a, durations[i].text, strlen(durations[i].text), &all, &n, &eb),
		        "%s: %s", durations[i].text, eb.text)) {
			arena_release(&a);
			continue;
		}
		enum err e = ql_ast_resolve(n, 100000, 700000, 60000, &eb);
		tap_is_str(eb.text, durations[i].error, "its error");
		if (!e)
			tap_ok(n->sel.range_ms == durations[i].range_ms &&
			        n->sel.mods.offset_ms == durations[i].offset_ms &&
			        (n->sel.mods.at == QL_AT_NONE ||
			            n->sel.mods.at_ms == durations[i].at_ms),
			    "its values");
		ql_ast_release(n);
		arena_release(&a);
	}
}

/*
 * What is printed parses to the same again, also where a duration behind offset would swallow what
 * follows it. Seen failing in the fuzzer.
 */
static void test_stable(void)
{
	static const struct {
		const char *text, *print;
	} texts[] = {
		{ "x offset - -5 - -5m ^ 2", "x offset (5 - -5m ^ 2)" },
		{ "x offset (1h) anchored + y", "x offset (1h) anchored + y" },
		{ "rate(x[5m] offset (1h) @ 5)", "rate(x[5m] @ 5.000 offset (1h))" },
		{ "rate(x[5m:] offset (1h) @ 5)", "rate(x[5m:] @ 5.000 offset (1h))" },
		{ "x offset (1h) @ 5 * y", "x offset (1h) @ 5.000 * y" },
		{ "y * x offset (1h) @ 5", "y * x @ 5.000 offset (1h)" },
		{ "-x offset (1h) @ 5 * y", "-x offset (1h) @ 5.000 * y" },
		{ "(y + x offset (1h) @ 5) * 2", "(y + x @ 5.000 offset (1h)) * 2" },
		{ "x[5m:] offset -(1h + 5m) @ 5", "x[5m:] @ 5.000 offset -(1h + 5m)" },
		{ "x offset +(5) - y", "x offset +(5) - y" },
		{ "y - x offset +(5)", "y - x offset (5)" },
		{ "x offset +step() - y", "x offset step() - y" },
		{ "x offset -min_of(1m, step()) - y", "x offset -min_of(1m, step()) - y" },
		{ "x offset -5m", "x offset -5m" },
		{ "x @ 9e15", "x @ 9000000000000000.000" },
		{ "x @ 9.3e15", "x @ -9223372036854776.000" },
		{ "x[-5m + 10m] offset (-5m)", "x[-5m + 10m] offset (-5m)" },
		{ "Inf ^ x", "Inf ^ x" },
		{ "112w3d4h5ms", "787d4h5ms" },
		{ "sum by (\"without\", \"inf\") (x)", "sum by (\"without\", \"inf\") (x)" },
	};
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		struct arena a;
		struct errbuf eb;
		struct buf b;
		struct ql_node *n = NULL, *again = NULL;
		arena_init(&a, 1024);
		errbuf_init(&eb);
		buf_init(&b);
		if (tap_ok(!ql_parse(&a, texts[i].text, strlen(texts[i].text), &all, &n, &eb),
		        "%s: %s", texts[i].text, eb.text)) {
			ql_print(&b, n);
			tap_is_mem(
			    b.data, b.len, texts[i].print, strlen(texts[i].print), "its print");
			struct buf c;
			buf_init(&c);
			if (tap_ok(!ql_parse(&a, (const char *)b.data, b.len, &all, &again, &eb),
			        "which parses %s", eb.text)) {
				ql_print(&c, again);
				tap_is_mem(c.data, c.len, b.data, b.len, "and prints the same");
				ql_ast_release(again);
			}
			buf_release(&c);
			ql_ast_release(n);
		}
		buf_release(&b);
		arena_release(&a);
	}
}

/*
 * Everything in the tree is resolved: arguments, parameters, both sides, sub-queries and what is
 * inside.
 */
static void test_everywhere(void)
{
	static const char text[] =
	    "topk(scalar(x offset step()), -(sum_over_time(y[1 * step():step()] offset step()) * z offset step()))";
	struct arena a;
	struct errbuf eb;
	struct ql_node *n = NULL;
	arena_init(&a, 1024);
	errbuf_init(&eb);
	if (tap_ok(!ql_parse(&a, text, strlen(text), &all, &n, &eb), "parses %s", eb.text)) {
		TAP_OK(!ql_ast_resolve(n, 0, 0, 7000, &eb));
		struct ql_node *k = n->agg.param->call.args[0],
		               *mul = n->agg.expr->unary.expr->paren,
		               *sub = mul->bin.l->call.args[0];
		tap_ok(k->sel.mods.offset_ms == 7000, "in the parameter");
		tap_ok(sub->sub.range_ms == 7000 && sub->sub.step_ms == 7000 &&
		        sub->sub.mods.offset_ms == 7000,
		    "in the sub-query");
		tap_ok(mul->bin.r->sel.mods.offset_ms == 7000, "in the right side");
		ql_ast_release(n);
	}
	arena_release(&a);
}

int main(void)
{
	test_pretty();
	test_durations();
	test_everywhere();
	test_stable();
	return tap_done();
}
