/*
 * doctor - what is wrong or soon will be, and what to do: the findings of /api/v1/status/doctor as kymoctl doctor has
 * them, what is asked now (and may be ended), and what was asked most. Looked at again every 10 seconds.
 */
import {ask, base, gone, waits} from "../lib/ask.js";
import {h, put, say, svg} from "../lib/dom.js";
import {bytes, count, seconds, short} from "../lib/figure.js";
import {printDuration, printTime} from "../lib/when.js";

export const title = "Doctor";

const EVERY_MS = 10000;
const TOP = 20;
const CUT = 1021;	/* bytes of a query that top_queries may have cut: such a one leads nowhere */

const WORDS = {bad: "Bad", warn: "Warning", note: "Note", ok: "Fine"};
const SHAPES = {
	bad: "M5.5 1h5L15 5.5v5L10.5 15h-5L1 10.5v-5zM5.5 5.5l5 5m0-5l-5 5",
	warn: "M8 1.5L15 14.5H1zM8 6v4m0 2v.5",
	note: "M8 1a7 7 0 1 0 .01 0zM8 7.5v4m0-7v.5",
	ok: "M8 1a7 7 0 1 0 .01 0zM4.8 8.2l2.2 2.3 4.2-4.8",
};
const icon = (severity) => svg("svg", {viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true", class: `k-${severity === "ok" ? "good" : severity === "note" ? "dim" : severity}`},
	svg("path", {d: SHAPES[severity], fill: "none", stroke: "currentColor", "stroke-width": "1.6", "stroke-linecap": "round", "stroke-linejoin": "round"}));

/* Where to read on: the part of help/operations; a view. */
const DISK = "the-disk-is-full", SLOW = "something-is-slow", MEMORY = "memory-is-short", CLOCK = "the-clock-is-wrong", WHO = "who-may-do-what", AGAIN = "it-restarts-or-was-killed";
const LIVE = ["live", "Live"], CARDINALITY = ["cardinality", "Cardinality"];
const FURTHER = {
	disk: [DISK], inodes: [DISK], writes: [DISK], log_failures: [DISK], snapshots: [DISK], backup: ["backup"], clock: [CLOCK],
	memory: [MEMORY, LIVE], process_memory: [MEMORY, LIVE], series: [MEMORY, CARDINALITY], tenant_series: [MEMORY, CARDINALITY], new_series: [MEMORY, CARDINALITY],
	cardinality: [null, CARDINALITY], explosions: [null, CARDINALITY], slow_queries: [SLOW], queries_ended: [SLOW], query_places: [SLOW], sync_time: [SLOW, LIVE],
	loops: [SLOW, LIVE], busy: [SLOW, LIVE], cpu_quota: [SLOW], overload: [SLOW, LIVE], log_held: [SLOW, LIVE], merges: [SLOW, LIVE], rounds: [DISK, LIVE],
	access: [WHO], guessing: [WHO], issuer_keys: [WHO], leftovers: [AGAIN], catalog: [AGAIN], damage: [AGAIN],
};

const queryLink = (query, rangeS = 0, text = query) =>
	h("a", {href: `${base}query?${new URLSearchParams(rangeS > 0 ? {"g0.expr": query, "g0.tab": "0", "g0.range_input": printDuration(rangeS * 1000)} : {"g0.expr": query, "g0.tab": "1"})}`}, text);

const links = (f) => {
	const [part, view] = FURTHER[f.id] ?? [];
	return [
		f.id === "slow_queries" && f.example ? queryLink(f.example, 0, "Open it in Query") : null,
		view ? h("a", {href: base + view[0]}, view[1]) : null,
		part !== null ? h("a", {href: `${base}help/operations${part ? "#" + part : ""}`}, part ? "Help: " + part.replaceAll("-", " ") : "Help: operations") : null,
	].filter((a) => a);
};

/* The end of the text that stands by itself. */
const split = (f) => {
	const tail = f.example ? `: ${f.example}` : "";
	return tail && f.text.endsWith(tail) ? [f.text.slice(0, -tail.length), f.example] : [f.text, null];
};

/* "samples_refused" is "Samples refused". */
const words = (id) => id[0].toUpperCase() + id.slice(1).replaceAll("_", " ");

const finding = (f, now, zone) => {
	const [text, example] = split(f);
	const since = f.since ? Date.parse(f.since) : null;
	return h("li", {class: `k-card k-finding k-is-${f.severity}`},
		h("div", {class: "k-row"}, icon(f.severity), h("h2", null, h("span", {class: f.severity === "note" ? "k-dim" : `k-${f.severity}`}, WORDS[f.severity]), " ", words(f.id)),
			(f.tenant ?? "default") === "default" ? null : h("span", {class: "k-dim"}, `tenant ${f.tenant}`),
			since === null ? null : h("span", {class: "k-dim", title: printTime(since, zone, {offset: true})}, `for ${printDuration(Math.max(1000, Math.floor((now - since) / 1000) * 1000))}, since ${printTime(since, zone, {seconds: false})}`)),
		h("p", null, text),
		example ? h("pre", {class: "k-example", tabindex: "0", "aria-label": "Example"}, example) : null,
		h("p", null, h("b", null, "What to do: "), f.remedy, f.remedy?.endsWith(".") ? null : "."),
		h("p", {class: "k-row"}, links(f)));
};

const plural = (n, one, many) => n === 1 ? `one ${one}` : `${count(n)} ${many}`;

/* "2 bad, 1 warning, 3 notes" */
const summary = (findings) => {
	const of = (severity) => findings.filter((f) => f.severity === severity).length;
	const parts = [["bad", "bad", "bad"], ["warn", "warning", "warnings"], ["note", "note", "notes"]].filter(([s]) => of(s)).map(([s, one, many]) => plural(of(s), one, many));
	const said = parts.length ? parts.join(", ") : "Nothing is wrong";
	return `${said[0].toUpperCase()}${said.slice(1)}; ${plural(of("ok"), "check is", "checks are")} fine.`;
};

/* The lists of top_queries as one: [{query, range, n, sum, mean, memory}]; what a list does not say is NaN. */
export const topOf = (answer) => {
	const rows = new Map();
	const take = (list, key, as) => {
		for (const r of list ?? []) {
			const id = `${r.timeRangeSeconds}\n${r.query}`;
			if (!rows.has(id))
				rows.set(id, {query: r.query, range: r.timeRangeSeconds, n: r.count, sum: NaN, mean: NaN, memory: NaN});
			rows.get(id)[as] = r[key];
		}
	};
	take(answer.topBySumDuration, "sumDurationSeconds", "sum");
	take(answer.topByAvgDuration, "avgDurationSeconds", "mean");
	take(answer.topByCount, "count", "n");
	take(answer.topByAvgMemoryUsage, "avgMemoryBytes", "memory");
	for (const r of rows.values()) {
		r.mean = Number.isNaN(r.mean) ? r.sum / r.n : r.mean;
		r.sum = Number.isNaN(r.sum) ? r.mean * r.n : r.sum;
	}
	return [...rows.values()];
};

const SORTS = [["sum", "Time", seconds], ["mean", "Mean", seconds], ["n", "Count", short], ["memory", "Memory", bytes]];
const figure = (v, print) => h("td", {class: "k-num"}, Number.isNaN(v) ? "\u2013" : print(v));

export async function show(root, ctx) {
	const list = h("div"), asked = h("h2", {tabindex: "-1"}, "Asked now"), active = h("div"), top = h("div"), state = h("p", {class: "k-dim", role: "status"}), error = h("p", {class: "k-error", role: "alert"});
	let sort = "sum", rows = [], busy = false, due = 0, shown = "", fine = false;
	root.append(h("section", {class: "k-view k-doctor"}, h("div", {class: "k-row"}, h("h1", null, title), h("button", {class: "k-button", onclick: () => refresh(true)}, "Look again")), error, state, list,
		asked, active, h("h2", null, "Asked most in the last 10 minutes"), top));

	const drawFindings = (d) => {
		const key = JSON.stringify([d.findings, ctx.settings.zone]), now = Date.parse(d.time);
		state.textContent = `${summary(d.findings)} ${d.server ? "" : "Findings of the whole server are for the role admin: only those of tenants are here. "}`;
		if (key === shown && !d.findings.some((f) => f.since))
			return;
		shown = key;
		const wrong = d.findings.filter((f) => f.severity !== "ok"), good = d.findings.filter((f) => f.severity === "ok");
		put(list, h("ol", {class: "k-findings"}, wrong.map((f) => finding(f, now, ctx.settings.zone))),
			h("details", {class: "k-card", open: fine, ontoggle: (e) => { fine = e.target.open; }}, h("summary", null, icon("ok"), " ", plural(good.length, "check is fine", "checks are fine")),
				h("dl", {class: "k-facts"}, good.map((f) => [h("dt", null, words(f.id)), h("dd", null, f.text)]))));
	};

	const cancel = async (q) => {
		try {
			await ask(`api/v1/status/active_queries/${q.id}/cancel`, null, {method: "POST", signal: ctx.signal});
			say("The query is ended");
		} catch (e) {
			if (!gone(e) && e.status !== 404)
				error.textContent = e.message;
		}
		refresh(true);
	};
	const STATES = {waits: "waits for a place", works: "is evaluated", answers: "is answered"};
	const drawActive = (data) => {
		const focused = document.activeElement?.dataset?.id;
		const mine = data.filter((q) => q.query);
		put(active, mine.length ? h("div", {class: "k-scroll"}, h("table", {class: "k-table"},
			h("thead", null, h("tr", null, h("th", {class: "k-num"}, "For"), ["Query", "State", "From", "End it"].map((t) => h("th", null, t)))),
			h("tbody", null, mine.map((q) => h("tr", null, h("td", {class: "k-num"}, seconds(Number.parseFloat(q.duration))), h("td", {class: "k-asked"}, h("div", null, queryLink(q.query, (q.end - q.start) / 1000))),
				h("td", null, STATES[q.state] ?? q.state), h("td", null, q.remote_addr),
				h("td", null, h("button", {class: "k-button", dataset: {id: q.id}, "aria-label": `Cancel ${q.query.slice(0, 80)}`, onclick: () => cancel(q)}, "Cancel"))))))) :
			h("p", {class: "k-dim"}, "Nothing at the moment."));
		if (focused)
			(active.querySelector(`[data-id="${focused}"]`) ?? asked).focus();	/* its row may be gone */
	};

	const drawTop = () => {
		const focused = top.contains(document.activeElement) ? document.activeElement.dataset.sort : null;
		const some = [...rows].sort((a, b) => (Number.isNaN(b[sort]) ? -1 : b[sort]) - (Number.isNaN(a[sort]) ? -1 : a[sort])).slice(0, TOP);
		put(top, some.length ? h("div", {class: "k-scroll"}, h("table", {class: "k-table k-top"},
			h("thead", null, h("tr", null, SORTS.map(([key, text]) => h("th", {class: "k-num", "aria-sort": key === sort ? "descending" : "none"},
				h("button", {class: "k-order", dataset: {sort: key}, onclick: () => { sort = key; drawTop(); }}, text))), h("th", {class: "k-num"}, "Range"), h("th", null, "Query"))),
			h("tbody", null, some.map((r) => h("tr", null, SORTS.map(([key, , print]) => figure(r[key], print)),
				h("td", {class: "k-num"}, r.range > 0 ? printDuration(r.range * 1000) : "\u2013"), h("td", {class: "k-asked"}, h("div", null, new TextEncoder().encode(r.query).length < CUT ? queryLink(r.query, r.range) : r.query))))))) :
			h("p", {class: "k-dim"}, "Nothing was asked."));
		if (focused)
			top.querySelector(`[data-sort="${focused}"]`)?.focus();
	};

	async function refresh(now = false) {
		if (busy || ctx.signal.aborted || (document.hidden && !now))
			return;
		busy = true;
		due = performance.now() + EVERY_MS;
		try {
			const [found, running, most] = await Promise.all([
				ask("api/v1/status/doctor", null, {signal: ctx.signal}),
				ask("api/v1/status/active_queries", null, {signal: ctx.signal}),
				ask("api/v1/status/top_queries", {topNum: 100}, {signal: ctx.signal}),
			]);
			drawFindings(found.data);
			drawActive(running.data);
			rows = topOf(most);
			drawTop();
			error.textContent = "";
		} catch (e) {
			if (!gone(e))
				error.textContent = e.message;
		}
		busy = false;
	}
	const timer = setInterval(() => performance.now() >= due && !waits() && refresh(), 1000);
	const seen = () => refresh();
	document.addEventListener("visibilitychange", seen);
	ctx.onSettings((_, name) => name === "zone" && refresh(true));
	await refresh(true);
	return {
		hide: () => {
			clearInterval(timer);
			document.removeEventListener("visibilitychange", seen);
		},
		back: () => refresh(true),
	};
}
