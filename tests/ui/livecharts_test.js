/* What Live's charts ask, and what they make of two looks at /metrics. */
import {equal, near, ok, test} from "./tap.js";
import {CHARTS, RANGES, TENANTS, chartExpr, chartValues, factsExpr, quantile, readLook, seriesName, unionExpr} from "/ui/views/livecharts.js";

const own = 'job="kymo",instance="h:1"';
const chart = (id) => CHARTS.find((c) => c.id === id);

test("questions", () => {
	equal(chartExpr(chart("in"), own, RANGES["15m"]), `sum by (receiver) (rate(kymo_receiver_samples_total{${own}}[30s]))`, "a rate by a label");
	equal(chartExpr(chart("series"), own, RANGES["1h"]), `max (kymo_series_active{${own}})`, "a gauge");
	equal(chartExpr(chart("longest"), own, RANGES["24h"]), `max by (loop) (max_over_time(kymo_loop_longest_turn_seconds{${own}}[300s]))`, "the most in a step");
	equal(chartExpr(chart("turn"), own, RANGES["6h"]), `histogram_quantile(0.99, sum by (loop, le) (rate(kymo_loop_each_turn_seconds_bucket{${own}}[120s])))`, "a quantile of each loop");
	equal(chartExpr(chart("fill"), own, RANGES["15m"]), `max by (part) (kymo_memory_bytes{${own}}) / max by (part) (kymo_memory_limit_bytes{${own}})`, "a part of limits");
	equal(chartExpr(chart("cache"), own, RANGES["15m"]), `sum (rate(kymo_query_cache_steps_total{${own},from="cache"}[30s])) / sum (rate(kymo_query_cache_steps_total{${own}}[30s]))`, "a share");
	ok(chartExpr(chart("write"), own, RANGES["15m"]).includes('"is", "p99", "", "")'), "several of one chart have names");
	const all = unionExpr(CHARTS, own, RANGES["15m"]);
	equal(CHARTS.filter((c) => !all.includes(`"chart", "${c.id}", "", "")`)), [], "one question has all charts");
	equal(new Set(CHARTS.map((c) => c.id)).size, CHARTS.length, "no name of them twice");
	ok(factsExpr(own).startsWith('{__name__=~"kymo_log_segments|'), "and one the facts");
	equal(CHARTS.filter((c) => !["sum", "max"].includes(c.big) && !c.terms.some((t) => t.is === c.big)), [], "each chart has what its number stands for");
	equal([seriesName(chart("in"), {receiver: "influx", chart: "in"}), seriesName(chart("write"), {is: "p50"}), seriesName(chart("series"), {})], ["influx", "p50", "active"], "names of series");
	for (const [name, r] of Object.entries(RANGES))
		ok(r.range / r.step <= 400 && r.range / r.step >= 150 && r.window >= 2 * r.step && r.window >= 30, `${name}: ${r.range / r.step} points`);
});

const text = (n) => `# HELP kymo_receiver_samples_total x
# TYPE kymo_receiver_samples_total counter
kymo_receiver_samples_total{receiver="influx"} ${100 * n}
kymo_receiver_samples_total{receiver="otlp"} ${n === 2 ? 5 : 900}
kymo_series_active 7
kymo_nobody_wants 1
kymo_memory_bytes{part="series"} 50
kymo_memory_bytes{part="own"} 1
kymo_memory_limit_bytes{part="series"} 200
kymo_query_cache_steps_total{from="cache"} ${30 * n}
kymo_query_cache_steps_total{from="evaluation"} ${10 * n}
kymo_loop_each_turn_seconds_bucket{loop="0",le="0.001"} ${90 * n}
kymo_loop_each_turn_seconds_bucket{loop="0",le="0.01"} ${100 * n}
kymo_loop_each_turn_seconds_bucket{loop="0",le="+Inf"} ${100 * n}
kymo_loop_each_turn_seconds_bucket{loop="1",le="0.001"} 0
kymo_loop_each_turn_seconds_bucket{loop="1",le="0.01"} 0
kymo_loop_each_turn_seconds_bucket{loop="1",le="+Inf"} 0
kymo_tenant_samples_ingested_total{tenant="a\\"b"} ${n}
kymo_samples_refused_total{reason="too_old"} NaN
no line at all {
`;

test("looks", () => {
	const was = readLook(text(1), 1000), now = readLook(text(2), 6000);
	ok(!now.rows.has("kymo_nobody_wants") && now.rows.get("kymo_receiver_samples_total").length === 2, "what no chart wants is left out");
	equal(chartValues(chart("in"), was, now), new Map([["influx", 20], ["otlp", 1]]), "rates; a counter that fell began anew");
	equal(chartValues(chart("in"), null, now), new Map(), "one look is no rate");
	equal(chartValues(chart("series"), null, now), new Map([["active", 7]]), "but a gauge");
	equal(chartValues(chart("fill"), was, now), new Map([["series", 0.25]]), "parts of limits, where there is one");
	equal(chartValues(chart("cache"), was, now), new Map([["kept", 0.75]]), "a share of what came between");
	const turns = chartValues(chart("turn"), was, now);
	near(turns.get("0"), 0.001 + 0.009 * 0.9, 1e-12, "a quantile of what came between");
	equal(turns.get("1"), NaN, "of nothing: none");
	equal(chartValues(TENANTS, {at: 0, rows: new Map([["kymo_tenant_samples_ingested_total", [{labels: {tenant: "x"}, text: "x", value: 1}]]])},
		{at: 2000, rows: new Map([["kymo_tenant_samples_ingested_total", [{labels: {tenant: "x"}, text: "x", value: 5}]]])}), new Map([["x", 2]]), "tenants");
	equal([quantile(0.5, []), quantile(0.5, [[1, 0], [Infinity, 0]]), quantile(0.99, [[1, 5], [Infinity, 10]])], [NaN, NaN, 1], "quantiles at the edges");
});
