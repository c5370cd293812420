/* The page of small graphs, with a server that is none. */
import {equal, ok, test} from "./tap.js";
import {show} from "/ui/views/live.js";
import {CHARTS, GROUPS} from "/ui/views/livecharts.js";

let asked = [], self = true, status = 200;
const json = (data, code = 200) => new Response(JSON.stringify(code < 300 ? {status: "success", data} : {status: "error", error: "no role"}), {status: code});
const now = () => Date.now();
window.fetch = async (url, options) => {
	const path = new URL(url).pathname.slice(1), p = new URLSearchParams(options.body ?? new URL(url).search);
	asked.push(path);
	if (path.endsWith("runtimeinfo"))
		return json({serverTime: new Date(now()).toISOString(), startTime: new Date(now() - 60000).toISOString(), GOMAXPROCS: 2, ...self && {selfMetrics: {tenant: "default", instance: "h:1"}}});
	if (path.endsWith("tenants"))
		return json({identities: false, identity: "", roles: self ? ["read"] : ["read", "write"], anyTenant: false, count: 1, tenants: [{name: "default", samplesStored: 1}]});
	if (path === "metrics")
		return json(null, 403);
	if (path.endsWith("query_range")) {
		const end = Number(p.get("end")), of = (chart, more, v) => ({metric: {chart, ...more}, values: [[Number(p.get("start")), "0"], [end, v]]});
		return status < 300 ? json({result: [of("in", {receiver: "otlp"}, "1500"), of("in", {receiver: "influx"}, "500"), of("busy", {loop: "0"}, "0.25"), of("busy", {loop: "1"}, "0.5"),
			...Array.from({length: 9}, (_, i) => of("refused", {reason: `r${i}`}, String(i + 1)))]}) : json(null, status);
	}
	return json({result: [{metric: {__name__: "kymo_storage_files"}, value: [0, "12"]}]});
};
const context = (params = "") => {
	const abort = new AbortController(), told = [];
	return {abort, told, signal: abort.signal, settings: {zone: "utc"}, params: new URLSearchParams(params), setParams: (p) => told.push(p.toString()), onSettings: () => {}};
};
const rest = (ms = 60) => new Promise((r) => setTimeout(r, ms));
const begin = async (ctx) => {
	const root = document.createElement("main");
	document.body.append(root);
	asked = [];
	return [root, await show(root, ctx)];
};
const ranges = () => asked.filter((p) => p.endsWith("query_range")).length;

test("graphs", async () => {
	const ctx = context("range=1h"), [root, view] = await begin(ctx);
	const card = (title) => [...root.querySelectorAll(".k-live-card")].find((c) => c.querySelector("h3").textContent === title);
	equal(root.querySelectorAll(".k-live-card").length, CHARTS.length, "all charts are there");
	equal([...root.querySelectorAll("h2")].map((e) => e.textContent), GROUPS.map((g) => g.title), "in their groups");
	equal(root.querySelector("[aria-pressed=true]").textContent, "1h", "the range of the address");
	equal(card("Samples by receiver").querySelector("output").textContent, "2k/s", "the sum of what is newest");
	equal(card("Busy, by loop").querySelector("output").textContent, "50%", "or the most");
	equal(card("Write latency").querySelector("output").textContent, "\u2013", "nothing where nothing is");
	equal([...card("Busy, by loop").querySelectorAll("li")].map((e) => e.textContent), ["0 25%", "1 50%"], "each loop has its own");
	equal([...card("Refused samples by reason").querySelectorAll("li")].map((e) => e.textContent.split(" ")[0]), ["r8", "r7", "r6", "r5", "r4", "r3", "and"], "of many the largest");
	const link = new URL(card("Samples by receiver").querySelector("a").href).searchParams;
	equal([link.get("g0.expr").slice(0, 25), link.get("g0.range_input"), link.get("g0.stacked")], ["sum by (receiver) (rate(k", "1h", "1"], "a graph opens in Query");
	equal([root.querySelectorAll(".k-live-facts div").length, ranges()], [7, 1], "facts; one question for all graphs");
	[...root.querySelectorAll("button")].find((b) => b.textContent === "24h").click();
	await rest();
	equal([ctx.told, ranges()], [["range=24h"], 2], "another range stands in the address, and is asked for");
	[...root.querySelectorAll("button")].find((b) => b.textContent === "Table").click();
	const rows = [...root.querySelectorAll("table tbody tr")].map((r) => [...r.children].map((c) => c.textContent));
	equal(rows.find((r) => r[1] === "otlp"), ["Samples by receiver", "otlp", "1.5k/s", "0/s", "750/s", "1.5k/s"], "the same numbers as a table");
	ok(root.querySelector("table caption").textContent, "which says what it is");
	view.hide();
	ctx.abort.abort();
	root.remove();
});

test("who looks", async () => {
	const ctx = context(), [root, view] = await begin(ctx);
	let hidden = true;
	Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
	const before = asked.length;
	view.back();
	await rest();
	equal(asked.length, before, "a tab that nobody sees asks nothing");
	hidden = false;
	document.dispatchEvent(new Event("visibilitychange"));
	await rest();
	ok(asked.length > before, "one that is seen again does at once");
	delete document.hidden;
	[...root.querySelectorAll("button")].find((b) => b.textContent === "Pause").click();
	await rest();
	equal([...root.querySelectorAll("button")].filter((b) => b.textContent === "Go on").map((b) => b.getAttribute("aria-pressed")), ["true"], "it can be stopped");
	view.hide();
	ctx.abort.abort();
	root.remove();
});

test("who may not", async () => {
	self = false;
	const ctx = context(), [root, view] = await begin(ctx);
	ok(root.querySelector(".k-live-note").textContent.includes("--no-self-metrics") && root.querySelector(".k-live-note").textContent.includes("role admin"), "why there is nothing is said");
	equal(root.querySelectorAll(".k-live-card").length, 0, "and no empty graphs");
	view.hide();
	ctx.abort.abort();
	root.remove();
	self = true;
	status = 503;
	const [other, shown] = await begin(context());
	equal(other.querySelector("[role=alert]").textContent, "no role", "an error is told");
	status = 200;
	shown.back();
	await rest();
	equal([other.querySelector("[role=alert]").textContent, other.querySelectorAll(".k-live-card").length], ["", CHARTS.length], "and over when it is over");
	shown.hide();
	other.remove();
});
