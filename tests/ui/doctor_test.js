/* The doctor's page, with a server that is none. */
import {equal, ok, test} from "./tap.js";
import {show, topOf} from "/ui/views/doctor.js";

let asked = [], cancelled = false, found = [];
const json = (body, status = 200) => new Response(body === null ? null : JSON.stringify(body), {status});
window.fetch = async (url, options) => {
	const path = new URL(url).pathname.slice(1);
	asked.push([options.method, path]);
	if (path.endsWith("/doctor"))
		return json({status: "success", data: {time: "2026-11-29T12:10:00Z", worst: "bad", server: false, findings: found}});
	if (path.endsWith("/cancel")) {
		cancelled = true;
		return json(null, 204);
	}
	if (path.endsWith("/active_queries"))
		return json({status: "success", data: cancelled ? [] : [{id: "00FF", duration: "12.500s", query: "slow(<b>)", state: "works", remote_addr: "10.0.0.1:5", start: 0, end: 3600000, step: 15000}]});
	return json({status: "success", topBySumDuration: [{query: "a", timeRangeSeconds: 0, sumDurationSeconds: 6, count: 3}], topByAvgDuration: [{query: "b", timeRangeSeconds: 60, avgDurationSeconds: 4, count: 1}],
		topByCount: [{query: "a", timeRangeSeconds: 0, count: 3}, {query: "x".repeat(1024), timeRangeSeconds: 0, count: 2}], topByAvgMemoryUsage: [{query: "b", timeRangeSeconds: 60, avgMemoryBytes: 2048, count: 1}]});
};
const context = () => {
	const abort = new AbortController();
	return {abort, signal: abort.signal, settings: {zone: "utc"}, params: new URLSearchParams(), onSettings: () => {}};
};
const rest = () => new Promise((r) => setTimeout(r, 30));

test("lists of queries", () => {
	const rows = topOf({topBySumDuration: [{query: "a", timeRangeSeconds: 0, sumDurationSeconds: 6, count: 3}], topByAvgDuration: [{query: "b", timeRangeSeconds: 5, avgDurationSeconds: 4, count: 2}]});
	equal(rows.map((r) => [r.query, r.range, r.n, r.sum, r.mean, r.memory]), [["a", 0, 3, 6, 2, NaN], ["b", 5, 2, 8, 4, NaN]], "are one, what a list does not say is counted");
	equal(topOf({}), [], "of nothing nothing");
});

test("the page", async () => {
	found = [
		{id: "disk", severity: "bad", scope: "server", text: "2.0GiB are free", remedy: "give it more room", since: "2026-11-29T12:08:30Z"},
		{id: "samples_refused", severity: "warn", scope: "tenant", tenant: "team", text: "too_old: 4 requests were refused: up{a=\"<i>\"}: too old", example: "up{a=\"<i>\"}: too old", remedy: "look at the clock."},
		{id: "slow_queries", severity: "note", scope: "tenant", tenant: "default", text: "a query took 9 s: sum(x)", example: "sum(x)", remedy: "ask for less"},
		{id: "clock", severity: "ok", scope: "server", text: "fine"},
	];
	const root = document.createElement("main"), ctx = context();
	document.body.append(root);
	const view = await show(root, ctx);
	const items = [...root.querySelectorAll(".k-finding")];
	equal(items.map((i) => i.querySelector("h2").textContent), ["Bad Disk", "Warning Samples refused", "Note Slow queries"], "findings as the server orders them, the severity in words");
	equal(items.filter((i) => !i.querySelector("svg[aria-hidden]")).length, 0, "and by an icon");
	ok(items[0].textContent.includes("for 1m30s, since 2026-11-29 12:08"), "since when");
	equal(items[1].querySelector("pre").textContent, "up{a=\"<i>\"}: too old", "an example stands by itself");
	ok(items[1].textContent.includes("4 requests were refusedup") && items[1].textContent.includes("tenant team") && !items[2].textContent.includes("tenant"), "not twice; whose it is, when it is not the usual tenant's");
	ok(items[0].textContent.includes("What to do: give it more room.") && items[1].textContent.includes("at the clock.") && !items[1].textContent.includes(".."), "the remedy is a sentence");
	const links = items.map((i) => [...i.querySelectorAll("a")].map((a) => a.pathname + a.search + a.hash));
	equal(links[0], ["/help/operations#the-disk-is-full"], "where to read on");
	equal(links[2][0], "/query?g0.expr=sum%28x%29&g0.tab=1", "a slow query opens in Query");
	ok(root.querySelector("details summary").textContent.includes("one check is fine") && !root.querySelector("details").open, "what is fine is folded");
	ok(root.querySelector("[role=status]").textContent.includes("One bad, one warning, one note; one check is fine.") && root.querySelector("[role=status]").textContent.includes("role admin"), "a summary, and what is not told");
	const tables = root.querySelectorAll("table");
	ok(tables[0].textContent.includes("12.5 s") && tables[0].textContent.includes("slow(<b>)") && tables[0].textContent.includes("is evaluated"), "what is asked now");
	equal([...tables[1].querySelectorAll("tbody tr")].map((r) => r.lastChild.textContent[0]), ["a", "b", "x"], "queries by time");
	equal(tables[1].querySelectorAll("a").length, 2, "one that was cut leads nowhere");
	tables[1].querySelector("[data-sort=memory]").click();
	equal(root.querySelectorAll("table")[1].querySelector("tbody tr").lastChild.textContent, "b", "by memory");
	equal([...root.querySelectorAll("[aria-sort=descending]")].map((e) => e.textContent), ["Memory"], "which is told");
	root.querySelector("button[data-id]").focus();
	root.querySelector("button[data-id]").click();
	await rest();
	equal(document.activeElement.textContent, "Asked now", "the focus does not go with it");
	ok(cancelled && asked.some(([m, p]) => m === "POST" && p === "api/v1/status/active_queries/00FF/cancel"), "a query is ended");
	ok(root.textContent.includes("Nothing at the moment."), "and is gone");
	found = [];
	view.back();
	await rest();
	ok(root.querySelector("[role=status]").textContent.startsWith("Nothing is wrong; 0 checks are fine."), "all is well");
	view.hide();
	ctx.abort.abort();
	root.remove();
});

test("a server that says no", async () => {
	const real = window.fetch, root = document.createElement("main"), ctx = context();
	window.fetch = async () => json({status: "error", errorType: "forbidden", error: "role read is needed"}, 403);
	(await show(root, ctx)).hide();
	equal(root.querySelector("[role=alert]").textContent, "role read is needed", "is heard");
	window.fetch = real;
});
