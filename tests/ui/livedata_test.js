/* Where Live's numbers come from: history, /metrics, or nowhere; and that it asks for what is new alone. */
import {equal, ok, test, throws} from "./tap.js";
import {drawn, keeping, liveData} from "/ui/views/livedata.js";

const START = Date.parse("2026-11-29T12:00:00Z");
let clock = START, asked = [], answers = {};
const json = (data, status = 200) => new Response(JSON.stringify(status < 300 ? {status: "success", data} : {status: "error", errorType: "forbidden", error: data}), {status});
window.fetch = async (url, options) => {
	const path = new URL(url).pathname.slice(1), params = new URLSearchParams(options.body ?? new URL(url).search);
	asked.push({path, params, headers: options.headers});
	return answers[path]?.(params) ?? json({result: []});
};
const info = (self) => () => json({serverTime: new Date(clock).toISOString(), startTime: "2026-11-29T11:00:00Z", GOMAXPROCS: 2, ...self && {selfMetrics: {tenant: "default", instance: "h:1"}}});
const who = (names, more) => json({identities: true, identity: "viewer", roles: ["read"], anyTenant: false, count: names.length, tenants: names.map((name) => ({name, samplesStored: 1})), ...more});
const fresh = (of) => { asked = []; answers = {"api/v1/status/tenants": () => who(["default"]), ...of}; };
const signal = new AbortController().signal;

test("what is kept", () => {
	const k = keeping();
	for (let i = 0; i < 5; i++)
		k.add("a", "x", i * 1000, i), k.add("a", "y", i * 1000, 0), k.add("a", "z", i * 1000, 0);
	k.add("a", "x", 4000, 9);
	k.trim(2000);
	equal(drawn(k, new Map(), "a").map((s) => [s.name, [...s.times], [...s.values], s.newest]), [["x", [2000, 3000, 4000], [2, 3, 9], 9]], "what is old goes, what is 0 is left out, what came again is new");
	equal(drawn(k, new Map([["a\nx", 7]]), "a")[0].newest, 7, "a newer value than that of a step");
	k.trim(9000);
	ok(!k.any() && k.first() === Infinity, "nothing is left");
	for (const name of ["10", "9", "b"])
		k.add("c", name, 1, 0);
	equal(drawn(k, new Map(), "c").map((s) => s.name), ["all"], "of zeros one is left");
	k.add("d", "10", 1, 0);
	k.add("d", "9", 1, 0);
	equal(drawn(k, new Map(), "d").map((s) => s.name), ["9", "10"], "of two both, in the order of numbers");
	equal(drawn(k, new Map(), "none"), [], "of nothing nothing");
});

test("history", async () => {
	const series = (chart, values, more) => ({metric: {chart, ...more}, values: values.map(([t, v]) => [t, String(v)])});
	fresh({
		"api/v1/status/runtimeinfo": info(true),
		"api/v1/query": (p) => json({result: p.get("query").startsWith("up") ? [] : [{metric: {__name__: "kymo_storage_files"}, value: [0, "12"]}]}),
		"api/v1/query_range": (p) => json({result: [series("busy", [[Number(p.get("end")), 0.5]], {loop: "0"}), series("busy", [[Number(p.get("end")), "+Inf"]], {loop: "1"})]}),
	});
	const d = await liveData(signal);
	equal([d.mode, d.why, d.own], ["history", null, 'job="kymo",instance="h:1"'], "the server's own");
	asked = [];
	let span = await d.look("15m");
	equal(asked.map((a) => a.headers["X-Scope-OrgID"] ?? ""), ["default", "", "default"], "of the default tenant, whichever is chosen; of tenants as who asks");
	const ranges = () => asked.filter((a) => a.path === "api/v1/query_range");
	equal(d.cost.asked, 3, "two questions, and one for tenants");
	const first = ranges()[0].params;
	ok(first.get("step") === "5" && Number(first.get("end")) - Number(first.get("start")) === 900 && Number(first.get("end")) % 5 === 0, "all of the range, on its steps");
	equal(d.facts.get("kymo_storage_files"), 12, "facts");
	equal(d.series("busy").map((s) => [s.name, s.newest]), [["0", 0.5], ["1", Infinity]], "series by loop");
	ok(span.to - span.from === 30000, "a young server's points take the width");
	asked = [];
	await d.look("15m");
	ok(ranges().every((a) => Number(a.params.get("start")) >= Number(first.get("end")) - 10), "then what is new alone");
	equal(d.cost.asked, asked.length, "tenants are not asked each time");
	asked = [];
	await d.look("24h");
	equal(ranges().map((a) => a.params.get("step")), ["300", "60", "15", "5"], "a young server's history is asked for in steps that it has");
	answers["api/v1/query_range"] = (p) => json({result: [series("busy", [[Number(p.get("start")), 0.5], [Number(p.get("end")), 0.5]], {loop: "0"})]});
	asked = [];
	await d.look("6h");
	await d.look("24h");
	equal(ranges().map((a) => a.params.get("step")), ["60", "300"], "an older one's in those of the range");
	ok( asked.some((a) => a.path === "api/v1/query" && a.params.get("query").includes(" or label_replace")), "of a long range the newest values come by themselves");
	asked = [];
	span = await d.look("24h", {from: START - 3600000, to: START});
	equal([asked.length, span.from, span.to, ranges()[0].params.get("step")], [1, START - 3600000, START, "15"], "what was chosen by hand");
});

test("where it may not be read", async () => {
	let n = 0;
	const metrics = () => new Response(`kymo_series_active ${++n}\nkymo_receiver_samples_total{receiver="otlp"} ${n * 10}\nkymo_storage_files 3\n`);
	fresh({"api/v1/status/runtimeinfo": info(true), "api/v1/status/tenants": () => who(["team"], {roles: ["read", "admin"]}), metrics});
	let d = await liveData(signal);
	equal([d.mode, d.own], ["polled", null], "then /metrics");
	ok(d.why.includes('viewer may not read tenant "default"') && d.why.includes("/metrics every 5 seconds"), "and it says so");
	await d.look("15m");
	equal([d.series("series").map((s) => [...s.values]).flat(), d.facts.get("kymo_storage_files")], [[1, 2], 3], "two looks are two points");
	equal(d.series("in").map((s) => s.name), ["otlp"], "and a rate");
	fresh({"api/v1/status/runtimeinfo": info(false), "api/v1/status/tenants": () => who(["default"], {roles: ["admin"]}), metrics});
	d = await liveData(signal);
	ok(d.mode === "polled" && d.why.includes("--no-self-metrics"), "a server that does not record itself");
	fresh({"api/v1/status/runtimeinfo": info(true), "api/v1/status/tenants": () => who(["team"])});
	d = await liveData(signal);
	ok(d.mode === "none" && d.why.includes("needs the role admin, and viewer has read."), "neither: the role that is missing is named");
	ok(asked.every((a) => a.path !== "metrics" && a.path !== "api/v1/query"), "and nothing is asked in vain");
	fresh({"api/v1/status/runtimeinfo": info(false), "api/v1/status/tenants": () => who(["default"], {roles: ["admin"]}), metrics: () => json("not here", 404)});
	d = await liveData(signal);
	ok(d.mode === "none" && d.why.includes("not to be had here (not here)"), "nor on a listener that has no /metrics");
	fresh({"api/v1/status/runtimeinfo": () => json("broken", 500)});
	equal((await throws(() => liveData(signal), "another error is thrown")).status, 500, "as it is");
});

test("tenants", async () => {
	fresh({"api/v1/status/runtimeinfo": info(true), "api/v1/status/tenants": () => who(["a", "b"], {anyTenant: true})});
	const d = await liveData(signal), real = performance.now.bind(performance);
	await d.look("15m");
	ok(!d.tenants(), "one look is no rate");
	performance.now = () => real() + 20000;
	clock += 20000;
	await d.look("15m");
	performance.now = real;
	ok(d.tenants(), "two are");
	equal(d.series("tenants").map((s) => s.name), ["a", "b"], "of several tenants");
});
