/*
 * live - what the server does: small graphs of its own history, refreshed every 5 seconds while somebody looks. What they
 * show stands in livecharts, where it comes from in livedata.
 */
import {base, gone, waits} from "../lib/ask.js";
import {h, put, say} from "../lib/dom.js";
import {bytes, count, percent, perSecond, seconds, short} from "../lib/figure.js";
import {printDuration, printTime} from "../lib/when.js";
import {swatch} from "../chart/scale.js";
import {plot} from "../chart/plot.js";
import {GROUPS, RANGES, TENANTS, chartExpr} from "./livecharts.js";
import {liveData} from "./livedata.js";

export const title = "Live";

const EVERY_MS = 5000, TURN_MS = 1000;
const HEIGHT = matchMedia("(max-width: 640px)").matches ? 112 : 132;	/* CSS pixels of a graph */
const KEYS = 6;	/* series that are named below a graph */
const UNITS = {"/s": ["short", perSecond], s: ["seconds", seconds], B: ["bytes", bytes], "%": ["percent", percent], "": ["short", short]};

const bigOf = (chart, series) => {
	const now = series.map((s) => s.newest).filter((v) => Number.isFinite(v));
	if (chart.big === "sum")
		return now.length ? now.reduce((a, b) => a + b, 0) : NaN;
	if (chart.big === "max")
		return now.length ? Math.max(...now) : NaN;
	return (series.find((s) => s.name === chart.big) ?? (series.length === 1 ? series[0] : null))?.newest ?? NaN;
};

const told = (chart, v) => Number.isNaN(v) ? "\u2013" : UNITS[chart.unit][1](v);

/* One graph: {el, show(series, span), cross(time)}. page: {range(), zone(), onZoom, onHover, own}. */
const card = (chart, page) => {
	const big = h("output", {class: "k-live-big"}), keys = h("ul", {class: "k-live-keys"});
	const name = page.own ? h("a", {title: "Open in Query"}, chart.title) : chart.title;
	const graph = plot({series: [], unit: UNITS[chart.unit][0], kind: chart.kind ?? "line", min: chart.unit === "B" || chart.unit === "%" || chart.unit === "/s" ? 0 : null,
		height: HEIGHT, label: chart.title, onZoom: page.onZoom, onHover: (at) => page.onHover(graph, at)});
	let series = [];

	const drawKeys = (values) => {
		const list = series.map((s, i) => ({name: s.name, i, v: values ? values.get(i) ?? NaN : s.newest}));
		if (list.length > KEYS)
			list.sort((a, b) => (b.v || 0) - (a.v || 0));
		const more = list.length - KEYS;
		put(keys, list.length < 2 ? null : list.slice(0, KEYS).map((k) => h("li", null, h("i", {style: {background: swatch(k.i)}}), k.name, " ", h("b", null, told(chart, k.v)))),
			more > 0 ? h("li", {class: "k-dim"}, `and ${more} more`) : null);
	};
	graph.onCross((at) => drawKeys(at && new Map(at.values.map((r) => [r.i, r.v]))));
	return {
		chart, graph,
		el: h("section", {class: "k-card k-live-card"}, h("div", {class: "k-live-head"}, h("h3", null, name), big), graph.el, keys),
		show: (next, span) => {
			series = next;
			big.textContent = told(chart, bigOf(chart, series));
			graph.update({series, from: span.from, to: span.to, step: chart.step ?? span.step, zone: page.zone()});
			drawKeys(null);
			if (page.own)
				name.href = page.link(chart);
		},
		rows: () => series.map((s) => {
			const seen = [...s.values].filter((v) => Number.isFinite(v));
			const of = (v) => h("td", {class: "k-num"}, seen.length ? told(chart, v) : "\u2013");
			return h("tr", null, h("td", null, chart.title), h("td", null, s.name), h("td", {class: "k-num"}, told(chart, s.newest)),
				of(Math.min(...seen)), of(seen.reduce((a, b) => a + b, 0) / seen.length), of(Math.max(...seen)));
		}),
	};
};

/* "Last round 3m ago (of 12)": numbers that are no graph. */
const factsText = (facts, info) => {
	const of = (name) => facts.get(name), now = info.now();
	const ago = (s) => s > 0 ? `${printDuration(Math.max(0, Math.floor((now - s * 1000) / 1000) * 1000))} ago` : "none yet";
	const out = [["Up", printDuration(Math.floor((now - info.started) / 1000) * 1000)], ["Loops", String(info.loops)]];
	if (facts.size)
		out.push(["Log segments", count(of("kymo_log_segments"))], ["Files", count(of("kymo_storage_files"))], ["Open descriptors", count(of("process_open_fds"))],
			["Last round", `${ago(of("kymo_round_last_timestamp_seconds"))}, ${count(of("kymo_rounds_total"))} in all`],
			["Last merge", `${ago(of("kymo_merge_last_timestamp_seconds"))}, ${count(of("kymo_merges_total"))} in all`]);
	return out;
};

export async function show(root, ctx) {
	let range = Object.hasOwn(RANGES, ctx.params.get("range")) ? ctx.params.get("range") : "15m";
	let data = null, cards = [], paused = false, fixed = null, busy = false, due = 0, tabled = false, hovered = null, frame = 0;
	const note = h("div", {class: "k-live-note"}), facts = h("dl", {class: "k-live-facts"}), grid = h("div"), table = h("div", {class: "k-scroll", hidden: true});
	const foot = h("p", {class: "k-dim"}), error = h("p", {class: "k-error", role: "alert"});
	const button = (text, onclick, more) => h("button", {class: "k-button", onclick, ...more}, text);
	const ranges = Object.keys(RANGES).map((name) => button(name, () => choose(name), {"aria-pressed": "false"}));
	const pause = button("Pause", () => setPaused(!paused), {"aria-pressed": "false"});
	const numbers = button("Table", () => setTabled(!tabled), {"aria-pressed": "false", title: "The same numbers as a table"});
	const back = button("Back to live", () => lookAt(null), {class: "k-button k-first", hidden: true});
	root.append(h("section", {class: "k-view k-live"},
		h("div", {class: "k-row k-live-bar"}, h("h1", null, title), h("div", {class: "k-row", role: "group", "aria-label": "Range"}, ranges), pause, numbers, back),
		error, note, facts, grid, table, foot));

	const page = {
		get own() { return data.own; },
		zone: () => ctx.settings.zone,
		link: (chart) => {
			const p = {"g0.expr": chartExpr(chart, data.own, RANGES[range]), "g0.tab": "0", "g0.range_input": range};
			if (chart.kind === "stacked")
				p["g0.stacked"] = "1";
			if (fixed)
				Object.assign(p, {"g0.range_input": printDuration(fixed.to - fixed.from), "g0.end_input": new Date(fixed.to).toISOString().slice(0, 19).replace("T", " ")});
			return `${base}query?${new URLSearchParams(p)}`;
		},
		onZoom: (from, to) => lookAt({from: Math.floor(from / 5000) * 5000, to: Math.ceil(to / 5000) * 5000}),
		/* The crosshair of one is that of all; once a frame, however often the hand moves. */
		onHover: (graph, at) => {
			hovered = {graph, time: at?.time ?? null};
			frame ||= requestAnimationFrame(() => {
				frame = 0;
				for (const c of cards)
					if (c.graph !== hovered.graph)
						c.graph.cross(hovered.time);
			});
		},
	};

	const marks = () => {
		ranges.forEach((b) => b.setAttribute("aria-pressed", String(b.textContent === range && !fixed)));
		pause.setAttribute("aria-pressed", String(paused));
		pause.textContent = paused ? "Go on" : "Pause";
		back.hidden = !fixed;
	};
	const choose = (name) => {
		range = name;
		const params = new URLSearchParams(ctx.params);
		params.set("range", name);
		ctx.setParams(params, {replace: true});
		lookAt(null);
	};
	const lookAt = (span) => {
		fixed = span;
		cards.forEach((c) => c.graph.cross(null));
		marks();
		due = 0;
		refresh();
	};
	const setPaused = (now) => {
		paused = now;
		marks();
		say(paused ? "Paused" : "Refreshed every 5 seconds");
		refresh();
	};
	const setTabled = (now) => {
		tabled = now;
		numbers.setAttribute("aria-pressed", String(now));
		grid.hidden = now;
		table.hidden = !now;
		drawTable();
	};
	const drawTable = () => {
		if (tabled)
			put(table, h("table", {class: "k-table"}, h("caption", {class: "k-unseen"}, "Newest, lowest, mean and highest of each series in the range"),
				h("thead", null, h("tr", null, ["Graph", "Series"].map((t) => h("th", null, t)), ["Newest", "Lowest", "Mean", "Highest"].map((t) => h("th", {class: "k-num"}, t)))),
				h("tbody", null, cards.map((c) => c.rows()))));
	};

	const clear = () => {
		cards.forEach((c) => c.graph.destroy());
		cards = [];
	};
	const build = () => {
		clear();
		const of = (charts) => charts.map((chart) => card(chart, page));
		const groups = GROUPS.map((g) => ({title: g.title, cards: of(g.charts)}));
		if (data.tenants())
			groups.splice(1, 0, {title: "Tenants", cards: [TENANTS].map((chart) => card(chart, {...page, own: null}))});
		cards = groups.flatMap((g) => g.cards);
		cards.tenants = data.tenants();
		put(grid, groups.map((g) => h("section", null, h("h2", null, g.title), h("div", {class: "k-live-grid"}, g.cards.map((c) => c.el)))));
		put(note, data.why ? h("p", {class: "k-note"}, data.why) : null);
	};

	const draw = (span) => {
		if (!cards.length || cards.tenants !== data.tenants())
			build();
		cards.forEach((c) => c.show(data.series(c.chart.id), span));
		put(facts, factsText(data.facts, data.info).map(([name, text]) => h("div", null, h("dt", null, name), h("dd", null, text))));
		const {asked, ms} = data.cost;
		foot.textContent = (fixed ? `${printTime(fixed.from, ctx.settings.zone)} to ${printTime(fixed.to, ctx.settings.zone)}. ` : "") +
			(data.any() ? "" : "No numbers yet: the server writes its own every 5 seconds, and a rate needs two of them. ") +
			`${asked === 1 ? "One question" : `${asked} questions`} each time, the last answered in ${Math.round(ms)} ms.`;
		drawTable();
	};

	async function refresh() {
		if (busy || ctx.signal.aborted || document.hidden || ((paused || fixed) && due))
			return;
		busy = true;
		due = performance.now() + EVERY_MS;
		const asked = fixed, named = range;
		try {
			data ??= await liveData(ctx.signal);
			if (data.mode === "none") {
				put(note, h("p", {class: "k-note"}, data.why));
				paused = true;
			} else
				draw(await data.look(range, fixed));
			error.textContent = "";
		} catch (e) {
			if (e.status === 403)	/* nothing changes that but another identity */
				due = Infinity;
			if (!gone(e))
				error.textContent = e.message;
		}
		busy = false;
		if (asked !== fixed || named !== range)
			refresh();
	}

	const timer = setInterval(() => performance.now() >= due - TURN_MS / 2 && !waits() && refresh(), TURN_MS);
	const seen = () => due < Infinity && refresh();
	document.addEventListener("visibilitychange", seen);
	ctx.onSettings((_, name) => {
		if (name === "tenant")
			return;
		due = 0;
		refresh();
	});
	marks();
	await refresh();
	return {
		hide: () => {
			clearInterval(timer);
			document.removeEventListener("visibilitychange", seen);
			cancelAnimationFrame(frame);
			clear();
		},
		back: () => {	/* the server came again: it may be another process, with another start */
			data = null;
			clear();
			due = 0;
			refresh();
		},
	};
}
