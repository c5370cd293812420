/* The query view as a whole: what is asked, what stands in the address, panels, cancelling. The server is a stub of fetch. */
import {equal, ok, sleep, stage, test, until} from "./tap.js";
import {forget, history as past, remember} from "/ui/lib/keep.js";
import {show} from "/ui/views/query.js";

const asked = [];
let answer = () => ({data: {resultType: "vector", result: []}});
window.fetch = (url, {signal, method, body}) => new Promise((done, fail) => {
	const u = new URL(url), form = new URLSearchParams(method === "POST" ? body : u.search);
	const q = {path: u.pathname.slice(1), params: Object.fromEntries(form), method, aborted: false};
	asked.push(q);
	signal?.addEventListener("abort", () => {
		q.aborted = true;
		fail(new DOMException("aborted", "AbortError"));
	});
	const a = answer(q);
	if (a === null) return;
	const text = a.lines ?? JSON.stringify({status: a.error ? "error" : "success", ...a});
	setTimeout(() => done(new Response(text, {status: a.status ?? (a.error ? 400 : 200), headers: a.headers})), a.ms ?? 0);
});
const vector = (...rows) => ({data: {resultType: "vector", result: rows.map(([metric, v]) => ({metric, value: [1700000000, v]}))}});
const matrix = (...rows) => ({data: {resultType: "matrix", result: rows.map(metric => ({metric, values: [[1700000000, "1"], [1700000015, "2"]]}))}});
const usual = q => (q.path === "api/v1/query" ? vector([{__name__: "up", job: "a"}, "1"], [{__name__: "up", job: "b"}, "0"])
	: q.path === "api/v1/query_range" ? matrix({__name__: "up", job: "a"}, {__name__: "up", job: "b"})
		: q.path.includes("search") ? {lines: '{"results":[]}\n{"status":"success","has_more":false}\n'} : {data: []});
const queries = () => asked.filter(q => /^api\/v1\/query/.test(q.path));

let leave = () => {};
/* The view at an address; log: what it wrote there. */
async function open(search) {
	leave();
	history.replaceState(null, "", `${location.pathname}${search ? `?${search}` : ""}`);
	asked.length = 0;
	answer = usual;
	const root = stage(1000, 600), log = [], abort = new AbortController();
	const view = await show(root, {settings: {zone: "utc"}, params: new URLSearchParams(search), signal: abort.signal, onSettings() {}, setTitle(t) { log.title = t; }, go() {},
		setParams(params, {replace = false} = {}) {
			const text = params.toString();
			if (text === location.search.slice(1)) return;
			history.replaceState(null, "", `${location.pathname}?${text}`);
			log.push([replace ? "replace" : "push", text]);
		}});
	leave = () => view.hide();
	const panels = () => [...root.querySelectorAll(".k-panel")];
	const press = (el, text) => [...el.querySelectorAll("button")].find(b => b.textContent.trim() === text || b.getAttribute("aria-label") === text).click();
	const menu = (n, text) => {
		press(panels()[n], "Panel");
		press(panels()[n].querySelector("[role=menu]"), text);
	};
	const area = n => panels()[n].querySelector("textarea");
	const type = (n, text) => {
		area(n).value = text;
		area(n).dispatchEvent(new Event("input", {bubbles: true}));
	};
	const tab = (n, text) => press(panels()[n].querySelector("[role=tablist]"), text);
	const idle = () => until(() => !root.querySelector(".k-busy"));
	return {root, log, view, panels, press, menu, area, type, tab, idle};
}

test("nothing yet", async () => {
	const v = await open("");
	equal([v.panels().length, queries().length, v.log.length], [1, 0, 0], "an empty panel asks nothing and writes no address");
	ok(v.root.querySelector("h1"), "there is a heading");
	v.press(v.panels()[0], "Run");
	equal([queries().length, v.log.length > 1], [0, false], "running nothing asks nothing");
});

test("typing, running, going back", async () => {
	const v = await open("");
	v.tab(0, "Table");
	v.type(0, "up");
	equal(v.log.some(l => l[1].includes("=up")), false, "typing is no entry of history");
	v.log.length = 0;
	v.press(v.panels()[0], "Run");
	await v.idle();
	equal([queries().length, queries()[0].path, queries()[0].params.query, Object.keys(queries()[0].params).sort()], [1, "api/v1/query", "up", ["query", "time"]], "one request, without stats and trace");
	equal(v.log, [["push", "g0.expr=up&g0.tab=1&g0.range_input=1h"]], "one entry");
	ok(v.log.title.startsWith("up"), "the window has its name");
	equal([...v.root.querySelectorAll("tbody td:first-child")].map(c => c.textContent), ["a", "b"], "the table");
	v.press(v.panels()[0], "Run");
	await v.idle();
	equal([queries().length, v.log.length], [2, 1], "the same again is asked, and no other entry");
	v.view.params(new URLSearchParams("g0.expr=up%2B1&g0.tab=0"));
	await v.idle();
	equal([v.area(0).value, queries().at(-1).path, v.log.length], ["up+1", "api/v1/query_range", 1], "what history leads to is shown and asked, and writes nothing");
	const n = queries().length;
	v.view.params(new URLSearchParams("g0.expr=up%2B1&g0.tab=0&g0.stacked=1"));
	equal(queries().length, n, "another look of the same is not asked again");
});

test("a link", async () => {
	const v = await open("g0.expr=up&g0.tab=0&g0.range_input=10m&g0.end_input=2023-11-14%2022:13:20&g0.step_input=10&g1.expr=down");
	await v.idle();
	equal(queries().map(q => [q.path, q.params.query]), [["api/v1/query_range", "up"], ["api/v1/query", "down"]], "its panels are asked");
	equal([queries()[0].params.start, queries()[0].params.end, queries()[0].params.step], ["1699999400", "1700000000", "10"], "for its times");
	ok(v.log.every(l => l[0] === "replace"), "without an entry of its own");
	const long = `${"a + ".repeat(1000)}a`;
	v.type(0, long);
	v.press(v.panels()[0], "Run");
	await v.idle();
	equal([queries().at(-1).method, queries().at(-1).params.query], ["POST", long], "long ones go as a form");
});

test("tabs by keys", async () => {
	const v = await open("g0.expr=up&g0.tab=1");
	await v.idle();
	const key = name => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true, cancelable: true}));
	v.root.querySelector("[role=tab][aria-selected=true]").focus();
	key("ArrowRight");
	await v.idle();
	equal([document.activeElement.textContent, queries().at(-1).path], ["Graph", "api/v1/query_range"], "the next one is chosen and has the focus");
	key("ArrowLeft");
	await v.idle();
	equal(document.activeElement.textContent, "Table", "and back");
});

test("histograms", async () => {
	const v = await open("g0.expr=up&g0.tab=0");
	await v.idle();
	const tabs = () => [...v.root.querySelectorAll("[role=tab]")].map(b => b.textContent);
	equal(tabs(), ["Table", "Graph", "Explain", "Trace"], "lines have no heat map");
	answer = () => matrix({__name__: "b", le: "1"}, {__name__: "b", le: "+Inf"});
	v.press(v.panels()[0], "Run");
	await v.idle();
	equal(tabs(), ["Table", "Graph", "Heat map", "Explain", "Trace"], "buckets have one");
	const n = queries().length;
	v.tab(0, "Heat map");
	ok(await until(() => v.root.querySelector(".k-picture canvas")), "it is drawn");
	equal([queries().length, new URLSearchParams(location.search).get("g0.display_mode")], [n, "heatmap"], "of the same answer");
});

test("a folded panel", async () => {
	const v = await open("g0.expr=up&g0.tab=1&g0.fold=1");
	await v.idle();
	equal(queries().length, 0, "asks nothing");
	v.press(v.panels()[0], "Unfold");
	await v.idle();
	ok(queries().length === 1 && v.root.querySelector("tbody"), "until it is unfolded");
	v.press(v.panels()[0], "Fold");
	v.press(v.panels()[0], "Run");
	await v.idle();
	equal([v.panels()[0].classList.contains("k-folded"), new URLSearchParams(location.search).has("g0.fold")], [false, false], "running unfolds it");
});

test("panels", async () => {
	const v = await open("g0.expr=a&g0.tab=1&g1.expr=b&g1.tab=1");
	const exprs = () => v.panels().map((_, n) => v.area(n).value);
	v.menu(0, "Duplicate");
	equal(exprs(), ["a", "a", "b"], "duplicated, below");
	v.menu(2, "Move up");
	equal(exprs(), ["a", "b", "a"], "moved");
	equal(new URLSearchParams(v.log.at(-1)[1]).get("g1.expr"), "b", "and so in the address");
	v.menu(0, "Remove");
	v.menu(0, "Remove");
	equal(exprs(), ["a"], "removed");
	v.menu(0, "Remove");
	equal(exprs(), [""], "the last one is an empty one");
	v.press(v.root, "Add panel");
	equal(exprs(), ["", ""], "added");
	v.press(v.panels()[0], "Fold");
	ok(v.panels()[0].classList.contains("k-folded") && v.log.at(-1)[1].includes("g0.fold=1"), "folded");
});

test("one time for all", async () => {
	const v = await open("g0.expr=a&g0.tab=0&g1.expr=b&g1.tab=0");
	await v.idle();
	v.press(v.root, "One time for all");
	await v.idle();
	asked.length = 0;
	v.press(v.panels()[0], "Longer range");
	await v.idle();
	equal([queries().length, new URLSearchParams(location.search).get("g1.range_input")], [2, "2h"], "the other follows");
	v.press(v.root, "One time for all");
	asked.length = 0;
	v.press(v.panels()[0], "Longer range");
	await v.idle();
	equal([queries().length, new URLSearchParams(location.search).get("g1.range_input")], [1, "2h"], "not any more");
});

test("cancelling", async () => {
	const v = await open("g0.expr=up&g0.tab=1");
	await v.idle();
	answer = () => null;
	v.press(v.panels()[0], "Run");
	const q = queries().at(-1);
	ok(await until(() => /Running, 0\.[3-9] s/.test(v.root.textContent)), "time runs");
	v.press(v.panels()[0], "Cancel");
	ok(await until(() => v.root.textContent.includes("Cancelled after")), "cancelled");
	ok(q.aborted && v.root.querySelector("tbody"), "the server sees it; what was there stays");
});

test("a new question ends the one before", async () => {
	const v = await open("g0.expr=up&g0.tab=1");
	await v.idle();
	answer = () => null;
	v.press(v.panels()[0], "Run");
	const first = queries().at(-1);
	answer = usual;
	window.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", ctrlKey: true, cancelable: true}));
	await v.idle();
	ok(first.aborted && queries().length === 3 && !v.root.textContent.includes("Cancelled"), "Ctrl+Enter runs all");
	answer = () => null;
	v.press(v.panels()[0], "Run");
	const last = queries().at(-1);
	leave();
	leave = () => {};
	ok(last.aborted, "leaving ends what runs");
});

test("errors", async () => {
	const v = await open("");
	answer = () => ({error: 'invalid parameter "query": 1:6: parse error: unexpected ")"', errorType: "bad_data"});
	v.tab(0, "Table");
	v.type(0, "rate(up");
	v.press(v.panels()[0], "Run");
	await v.idle();
	equal([v.root.querySelector(".k-failed mark")?.textContent, v.root.querySelector("tbody")], ["up", null], "at their place");
	answer = usual;
	v.type(0, "up");
	v.press(v.panels()[0], "Run");
	await v.idle();
	equal(v.root.querySelector(".k-failed"), null, "and gone with the next answer");
	answer = q => ({...usual(q), warnings: ["PromQL warning: w (1:1)"], infos: ["i"]});
	v.press(v.panels()[0], "Run");
	await v.idle();
	equal(v.root.querySelectorAll(".k-warning, .k-info").length, 2, "warnings stand beside the answer");
});

test("nothing found", async () => {
	const v = await open("");
	answer = q => (q.path === "api/v1/query" ? vector() : usual(q));
	v.tab(0, "Table");
	v.type(0, "nono");
	v.press(v.panels()[0], "Run");
	ok(await until(() => v.root.textContent.includes("No metric is called nono")), "says why");
});

test("refresh", async () => {
	const v = await open("g0.expr=up&g0.tab=1&g1.expr=up&g1.tab=1&g1.end_input=2023-11-14%2022:13:20&refresh=1s");
	await v.idle();
	const before = queries().length, writes = v.log.length;
	ok(await until(() => queries().length > before), "asks again by itself");
	await v.idle();
	equal([queries().length, v.log.length], [before + 1, writes], "only what ends now, and writes no address");
	v.type(0, "half(");
	const typed = queries().length;
	ok(await until(() => queries().length > typed), "while somebody types");
	equal(queries().at(-1).params.query, "up", "what was run is asked, not what is typed");
	equal(v.area(0).value, "half(", "which stays");
	await v.idle();
	const far = await open("g0.expr=up&g0.tab=1&refresh=50d");
	await far.idle();
	const asked = queries().length;
	await sleep(1500);
	equal(queries().length, asked, "every 50 days is not all the time");
	leave();
	leave = () => {};
});

test("what is being written is neither run nor lost by others", async () => {
	const v = await open("g0.expr=up&g0.tab=1&g1.expr=down&g1.tab=1&sync=1&refresh=1s");
	await v.idle();
	v.type(0, "up + sum(");
	v.type(1, "down + sum(");
	asked.length = 0;
	ok(await until(() => queries().length > 1), "asks again by itself");
	await v.idle();
	equal([...new Set(queries().map(q => q.params.query))].sort(), ["down", "up"], "what was run before");
	equal([v.area(0).value, v.area(1).value, v.root.querySelector("[aria-invalid=true], .k-failed")], ["up + sum(", "down + sum(", null], "the texts stay");
	v.press(v.panels()[1], "Back by half the range");
	await v.idle();
	equal(v.area(0).value, "up + sum(", "also when another panel sets the time of all");
	asked.length = 0;
	v.view.back();
	await v.idle();
	equal(queries().map(q => q.params.query), ["up", "down + sum("], "and when the server is there again");
	v.menu(0, "Duplicate");
	equal(v.area(1).value, "up + sum(", "a copy has it, too");
	leave();
	leave = () => {};
});

test("asking again leaves the reader where he is", async () => {
	const v = await open("g0.expr=up&g0.tab=0&refresh=1s");
	await v.idle();
	const again = async () => {
		const n = queries().length;
		await until(() => queries().length > n);
		await v.idle();
	};
	const field = v.root.querySelector("input.k-range");
	field.focus();
	field.value = "2";
	await again();
	equal([document.activeElement === field, v.root.querySelector("input.k-range").value], [true, "2"], "a range that is being typed stays");
	const stageEl = v.root.querySelector(".k-chart-stage");
	stageEl.focus();
	await again();
	equal(document.activeElement, stageEl, "so does the focus in the graph");
	v.press(v.panels()[0].querySelector(".k-timebar"), "now");
	ok(v.root.querySelector(".k-pop"), "the choice of the end is open");
	await again();
	ok(v.root.querySelector(".k-pop"), "and stays open");
	leave();
	leave = () => {};
});

test("out of a zoom", async () => {
	const v = await open("g0.expr=up&g0.tab=0&g0.range_input=10m");
	await v.idle();
	await until(() => v.root.querySelector(".k-chart-stage")?.getAttribute("aria-label"));
	const key = name => v.root.querySelector(".k-chart-stage").dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true, cancelable: true}));
	key("+");
	await v.idle();
	ok(/range_input=5m\d*s?&g0.end_input/.test(v.log.at(-1)[1]), `a part of it, which ends then: ${v.log.at(-1)[1]}`);
	await until(() => !v.root.querySelector(".k-busy"));
	key("-");
	await v.idle();
	equal(v.log.at(-1)[1].replace(/.*range/, "range"), "range_input=10m", "is now again, where it was now");
	leave();
	leave = () => {};
});

test("the server is there again, somebody else asks", async () => {
	const v = await open("g0.expr=up&g0.tab=1&g1.expr=up&g1.tab=1&g1.fold=1");
	await v.idle();
	const before = queries().length, {length} = history;
	v.type(0, "typed");
	v.view.back();
	await v.idle();
	equal([queries().length, queries().at(-1).params.query], [before + 1, "up"], "what is unfolded is asked again, as it was");
	ok(v.panels()[1].classList.contains("k-folded") && history.length === length, "the folded one stays folded");
	v.press(v.panels()[1], "Unfold");
	await v.idle();
	ok(v.root.querySelectorAll("tbody tr").length === 4, "rows of both");
	answer = () => null;
	v.view.anew();
	equal([v.root.querySelectorAll("tbody tr").length, v.root.querySelectorAll(".k-status").length && [...v.root.querySelectorAll(".k-status")].map(e => e.textContent).join("")], [0, ""],
		"nothing that another has seen is left, while the answers are not there");
	equal(v.area(0).value, "typed", "what is typed stays");
	answer = usual;
	v.view.anew();
	await v.idle();
	ok(v.root.querySelectorAll("tbody tr").length === 4, "then they are shown");
});

test("what was not run is there again", async () => {
	leave();
	leave = () => {};
	sessionStorage.clear();
	let v = await open("");
	v.tab(0, "Table");
	v.type(0, "half(");
	v = await open("");
	equal([v.area(0).value, queries().length], ["half(", 0], "where no address asks for something; it is not run");
	v.press(v.panels()[0], "Run");
	await v.idle();
	v = await open("");
	equal(v.area(0).value, "", "what was run is not kept");
	v = await open("g0.expr=up&g0.tab=1&g1.expr=down&g1.tab=1");
	await v.idle();
	v.type(1, "down + 1");
	v = await open("g0.expr=other&g0.tab=1");
	equal([v.panels().length, v.area(0).value], [1, "other"], "another address shows what it says");
	v = await open("");
	await v.idle();
	equal([v.area(0).value, v.area(1).value, queries().map(q => q.params.query)], ["up", "down + 1", ["up", "down"]], "then it is there, with the panels as they were");
	const search = location.search.slice(1);
	window.dispatchEvent(new Event("pagehide"));
	leave = () => {};
	v = await open(search);
	await v.idle();
	equal(v.area(1).value, "down + 1", "the page loaded anew at its address has it, too");
	v.type(1, "down");
	v = await open("");
	equal([v.area(0).value, sessionStorage.getItem("kymo.draft")], ["", null], "nothing is kept of what is as it was run");
	sessionStorage.setItem("kymo.draft", '{"texts":7}');
	v = await open("");
	equal(v.area(0).value, "", "what somebody else put there is nothing");
	leave();
	leave = () => {};
	sessionStorage.clear();
});

test("who signs out takes along what he wrote", async () => {
	forget();
	let v = await open("g0.expr=up&g0.tab=1&g1.expr=down&g1.tab=1");
	await v.idle();
	v.type(0, "half(");
	v = await open("g0.expr=up&g0.tab=1");
	await v.idle();
	remember("secret");
	v.type(0, "typed");
	ok(sessionStorage.getItem("kymo.draft")?.includes("half("), "something is kept of another address");
	const n = queries().length;
	forget();
	v.view.anew(true);
	await sleep(50);
	equal([v.panels().length, v.area(0).value, v.root.querySelectorAll("tbody tr").length, location.search.includes("up"), queries().length], [1, "", 0, false, n], "nothing of it is seen, nor asked");
	v = await open("");
	equal([v.area(0).value, sessionStorage.getItem("kymo.draft"), past()], ["", null, []], "nor kept");
	leave();
	leave = () => {};
});

test("refresh waits where the server asks to", async () => {
	const v = await open("g0.expr=up&g0.tab=1&refresh=1s");
	await v.idle();
	answer = () => ({error: "busy", errorType: "unavailable", status: 503, headers: {"Retry-After": "3"}});
	const n = queries().length;
	await until(() => queries().length > n);
	answer = usual;
	await sleep(1800);
	equal([queries().length, v.root.querySelector(".k-message")?.textContent], [n + 1, "busy; the server asks to wait 3 s"], "so long as it asked");
	ok(await until(() => queries().length > n + 1), "then it goes on");
	leave();
	leave = () => {};
});

test("where writes fail", async () => {
	const bad = {id: "writes", severity: "bad", text: "no write is taken now: no space left"};
	let findings = [{id: "disk", severity: "warn", text: "almost"}, {id: "memory", severity: "bad", text: "short"}];
	const wrong = q => (q.path.includes("doctor") ? {data: {findings}} : usual(q));
	const v = await open("");
	answer = wrong;
	const line = () => v.root.querySelector(".k-trouble");
	v.view.anew();
	await sleep(50);
	equal(line().textContent, "", "what is no matter of writes, or not bad yet, is not told here");
	findings = [...findings, bad];
	v.view.anew();
	ok(await until(() => line().textContent), "what is bad is");
	equal([line().textContent, line().querySelector("a").getAttribute("href").endsWith("/doctor")], ["no write is taken now: no space left. Doctor", true], "in one line, with a link");
	answer = q => (q.path.includes("doctor") ? {error: "no", status: 403} : usual(q));
	v.view.anew();
	await sleep(50);
	equal([line().textContent, v.root.querySelector("[role=alert]")], ["", null], "who may not know is told nothing");
	leave();
	leave = () => {};
});

test("data that begins in the range", async () => {
	const v = await open("g0.expr=up&g0.tab=0&g0.range_input=1h");
	await v.idle();
	const at = ago => Number(queries().at(-1).params.end) - ago;
	answer = () => ({data: {resultType: "matrix", result: [{metric: {a: "1"}, values: [[at(200), "1"], [at(185), "2"]]}, {metric: {a: "2"}, values: [[at(15), "1"]]}]}});
	v.press(v.panels()[0], "Run");
	await v.idle();
	ok(await until(() => /The data begins at/.test(v.root.textContent)), "is told");
	v.press(v.root, "Last 5m");
	await v.idle();
	equal(new URLSearchParams(location.search).get("g0.range_input"), "5m", "and a range that fits is a click away");
	ok(!/The data begins at/.test(v.root.textContent), "which it fills");
	leave();
	leave = () => {};
});
