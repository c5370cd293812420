/*
 * cardinality - what a tenant has most of, how it grew, what explodes and how to hold it; the last day played back; the
 * labels and values of a metric.
 *
 * Parameters: kind (metrics, labels, pairs, targets), metric, label: what is looked into; q: the filter; t: the moment
 * (Unix seconds; without: now).
 */
import {ask, gone, waits} from "../lib/ask.js";
import {copyButton, h, put, say} from "../lib/dom.js";
import {count, percent, short} from "../lib/figure.js";
import {ago, printTime} from "../lib/when.js";
import {cardplay} from "./cardplay.js";
import {KINDS, boundOf, burst, explosionOf, framesOf, growth, matches, nearestFrame, partsOf, restarted, rowsOf, rulesFor, selectorOf, seriesBefore} from "./cardmodel.js";

export const title = "Cardinality";

const SHOWN = 50, LOOKED = 200, REFRESH_MS = 60000, HOUR = 3600e3;
const still = matchMedia("(prefers-reduced-motion: reduce)");

/* "up 1.2k, 12%": an arrow, a number and words for who does not see it. */
const AGAIN = "the server began anew since: idle series are in memory again";
const growthCell = (value, was, anew, more = "") => {
	const g = growth(value, was);
	if (!g)
		return h("td", {class: `k-num k-dim ${more}`}, h("span", {"aria-hidden": "true"}, "\u2013"), h("span", {class: "k-unseen"}, "not known"));
	if (!g.way)
		return h("td", {class: `k-num k-dim ${more}`, title: "as many as then"}, "=");
	const loud = g.way > 0 && !anew && (g.ratio === null || g.ratio >= 0.5);
	const ratio = g.ratio === null ? "new" : g.ratio >= 10 ? `\u00d7 ${short(g.ratio + 1)}` : percent(Math.abs(g.ratio));
	return h("td", {class: `k-num ${loud ? "k-warn" : ""} ${more}`, title: `${g.least ? `${count(was.atMost)} then, at most` : `${count(was)} then`}${anew && g.way > 0 ? `; ${AGAIN}` : ""}`},
		h("span", {"aria-hidden": "true"}, g.way > 0 ? "\u25b2 " : "\u25bc "), h("span", {class: "k-unseen"}, g.way > 0 ? "up " : "down "),
		g.least ? "\u2265 " : "", short(Math.abs(g.by)), h("span", {class: "k-dim k-cardratio"}, ratio));
};

const share = (v) => (v > 0 && v < 0.0005 ? "<0.1%" : `${(v * 100).toFixed(1)}%`);
const codeBlock = (text, what) => h("figure", {class: "k-code k-cardcode"}, h("figcaption", {class: "k-dim"}, what),
	h("pre", {tabindex: "0", role: "group", "aria-label": what}, h("code", null, text)), h("div", {class: "k-copy-row"}, copyButton(() => text)));

const remedy = (parts, tenant, bound) => {
	const {card, relabel} = rulesFor(parts, tenant, bound);
	return h("details", {class: "k-cardrule"}, h("summary", null, "Hold it by a rule"),
		h("p", {class: "k-dim"}, "Into the file of --config, then a reload. What is stored stays; new series go by the rule."),
		codeBlock(card, `Bounded: beyond ${count(bound)} it is held`), relabel && codeBlock(relabel, parts.label ? "Without the label, always" : "Dropped, always"));
};

export async function show(root, ctx) {
	let kind = "metrics", metric = null, label = null, filter = "", time = null;	/* what is shown; time: ms, null: now */
	let now = null, nowAt = 0, exploding = [], frames = [], histories = new Map(), looked = null, turn = 0;
	const rowsByName = new Map();

	const refresh = h("button", {class: "k-button", onclick: () => load(true)}, "Refresh");
	const facts = h("p", {class: "k-cardfacts"});
	const alarms = h("div");
	const error = h("p", {class: "k-error", role: "alert"});
	const tabs = h("div", {class: "k-row", role: "group", "aria-label": "What is listed"}, Object.entries(KINDS).map(([name, k]) =>
		h("button", {class: "k-button", dataset: {kind: name}, onclick: () => open({kind: name})}, k.title)));
	const search = h("input", {type: "search", placeholder: "Filter", "aria-label": "Filter by words, -word leaves out", oninput: () => {
		filter = search.value;
		address(true);
		draw();
	}});
	const crumbs = h("nav", {class: "k-cardcrumbs", "aria-label": "Looked into"});
	const play = cardplay({zone: ctx.settings.zone, onFrame: (i) => {
		time = frames[i].now ? null : frames[i].time;
		draw();
		if (!play.playing)
			address(true);
	}});
	const hint = h("p", {class: "k-dim"});
	const head = h("tr"), body = h("tbody"), caption = h("caption", {class: "k-unseen"});
	const table = h("table", {class: "k-table k-cardtable"}, caption, h("thead", null, head), body);
	const none = h("p", {class: "k-dim"});
	const rule = h("div");
	root.append(h("section", {class: "k-view k-cardview"},
		h("div", {class: "k-row"}, h("h1", null, title), h("span", {class: "k-push"}), refresh), facts, error, alarms,
		h("div", {class: "k-row k-cardbar-row"}, tabs, search), crumbs, play.el, hint, h("div", {class: "k-scroll"}, table), none, rule));

	/* ---- address ---- */

	function read(params) {
		kind = Object.hasOwn(KINDS, params.get("kind")) ? params.get("kind") : "metrics";
		metric = params.get("metric");
		label = params.get("label");
		filter = params.get("q") ?? "";
		time = Number(params.get("t")) * 1000 || null;
		search.value = filter;
	}
	function address(replace) {
		const p = new URLSearchParams();
		const set = (name, value) => value && p.set(name, value);
		set("kind", kind === "metrics" ? "" : kind);
		set("metric", metric);
		set("label", label);
		set("q", filter);
		set("t", time === null ? "" : String(time / 1000));
		ctx.setParams(p, {replace});
	}
	function open(to) {
		play.stop();
		({kind = kind, metric = null, label = null} = to);
		filter = search.value = "";
		address(false);
		load(false);
		say(metric ? `Metric ${metric}` : label ? `Label ${label}` : KINDS[kind].title);
	}

	/* ---- questions ---- */

	const question = (path, params) => ask(`api/v1/cardinality${path}`, params, {signal: ctx.signal});
	async function load(anew) {
		const mine = ++turn;
		if (anew)
			histories = new Map();
		error.textContent = "";
		refresh.disabled = true;
		try {
			if (anew || !now) {
				const got = (await question("", {limit: 100})).data;
				if (mine !== turn)
					return;	/* perhaps of another tenant */
				now = got;
				nowAt = Date.now();
				exploding = now.explosions;
			}
			if (metric || label) {
				const selector = selectorOf({metric, label: label ?? undefined});
				const got = label ? await question("/label_values", {"label_names[]": label, selector, limit: LOOKED}) : await question("/label_names", {selector, limit: LOOKED});
				if (mine !== turn)
					return;
				looked = label ? got.labels[0] : got;
			} else {
				if (!histories.has(kind))
					histories.set(kind, (await question("/history", {kind, limit: SHOWN})).data);
				if (mine !== turn)
					return;
				frames = framesOf(histories.get(kind), now, kind, nowAt);
				play.set(frames, time === null ? frames.length - 1 : nearestFrame(frames, time));
			}
			all();
		} catch (e) {
			if (gone(e) || mine !== turn)
				return;
			error.textContent = e.message;
			looked = {cardinality: []};
			all();
		} finally {
			if (mine === turn)
				refresh.disabled = false;
		}
	}

	/* ---- what explodes ---- */

	const spelled = (what) => what.map((w) => (Array.isArray(w) ? h("code", null, w) : w));
	function wasOf(parts) {
		const row = parts.label && !parts.metric ? now.labels.find((r) => r.name === parts.label) : null;
		return row?.hourAgo ?? null;
	}
	function alarm(e) {
		const {what, parts, unit} = explosionOf(e);
		const look = parts && !parts.target && (parts.label === "__name__" ? null : parts);
		const now = e.now && e.valuesPerSecond >= 1, rate = short(now ? e.valuesPerSecond : e.mostPerSecond), first = Date.parse(e.firstSeen);
		return h("li", null, h("p", null, h("strong", {class: e.now ? "k-bad" : "k-dim"}, e.now ? "Now " : "Over "), spelled(what),
			`${parts ? "" : ":"} ${now ? "" : "up to "}${rate} ${parts ? "new " : ""}${unit}/s`, `, ${e.now ? "since" : "from"} ${printTime(first, ctx.settings.zone, {seconds: false})} (${ago(first)})`,
			e.now ? "" : ` until ${ago(Date.parse(e.lastSeen))}`, `, ${count(e.total)} in all`, e.examples.length ? [", like ", e.examples.map((x, i) => [i ? ", " : "", h("code", null, x)])] : null, "."),
		parts && h("div", {class: "k-row k-carddo"}, look && h("button", {class: "k-button", onclick: () => open({kind, ...look})}, "Look into it"), remedy(parts, ctx.settings.tenant, boundOf(wasOf(parts)))));
	}
	/* One explosion is seen as a label, a metric and a target: the closest description of it stands first. */
	function drawAlarms() {
		const order = ["label_of_metric", "label", "metric", "target", "rule"];
		const sorted = exploding.toSorted((x, y) => order.indexOf(x.kind) - order.indexOf(y.kind));
		const loud = sorted.filter((e) => e.now), old = sorted.filter((e) => !e.now);
		const list = (rows) => h("ul", {class: "k-cardalarms"}, rows.map(alarm));
		const more = (rows, text) => (rows.length ? h("details", null, h("summary", null, text), list(rows)) : null);
		put(alarms, sorted.length && !metric && !label ? h("section", {class: `k-card ${loud.length ? "k-cardloud" : ""}`}, h("h2", null, loud.length ? "What explodes" : "What exploded in the last day"),
			loud.length ? [list(loud.slice(0, 1)), more(loud.slice(1), `${loud.length - 1} more`), more(old, `${old.length} over`)] : [list(old.slice(0, 1)), more(old.slice(1), `${old.length - 1} more`)]) : null);
	}

	/* ---- the table ---- */

	const link = (text, act) => h("button", {class: "k-link", onclick: act}, text);
	const queryLink = (parts) => {
		const expr = `count(${selectorOf(parts)})`;
		return h("a", {class: "k-cardquery", href: `query?g0.expr=${encodeURIComponent(expr)}&g0.tab=0&g0.range_input=1d`, title: expr, "aria-label": `Query ${expr}`}, "Query");
	};
	const bar = (part, text) => h("td", {class: "k-cardshare"}, h("span", {class: "k-cardtrack"}, h("span", {class: "k-cardfill", style: {width: `${Math.min(100, part * 100)}%`}})), h("span", {class: "k-num"}, text));

	/* Rows that stay keep their element and move to their new place. */
	function place(rows, make) {
		const before = new Map();
		const moves = !still.matches && rowsByName.size && play.playing;
		if (moves)
			for (const [name, tr] of rowsByName)
				before.set(name, tr.offsetTop);
		const widths = new Map([...rowsByName].map(([name, tr]) => [name, tr.querySelector(".k-cardfill")?.style.width]));
		const focus = document.activeElement?.closest?.("tr")?.dataset.name;
		rowsByName.clear();
		put(body, rows.map((r) => {
			const tr = make(r);
			tr.dataset.name = r.name;
			rowsByName.set(r.name, tr);
			return tr;
		}));
		if (focus !== undefined)
			rowsByName.get(focus)?.querySelector("button")?.focus({preventScroll: true});
		if (!moves)
			return;
		for (const [name, tr] of rowsByName) {
			const from = before.get(name), fill = tr.querySelector(".k-cardfill"), to = fill?.style.width;
			if (from === undefined)
				tr.animate([{opacity: 0}, {opacity: 1}], 200);
			else if (from !== tr.offsetTop)
				tr.animate([{transform: `translateY(${from - tr.offsetTop}px)`}, {transform: "none"}], {duration: 200, easing: "ease-out"});
			if (fill && widths.get(name) && widths.get(name) !== to)
				fill.animate([{width: widths.get(name)}, {width: to}], 120);
		}
	}

	const columns = (...names) => put(head, names.filter((n) => n).map(([text, cls]) => h("th", {class: cls}, text || h("span", {class: "k-unseen"}, "Links"))));

	/* Of what could not be asked nothing is known. */
	const tell = (text) => put(none, error.textContent ? null : text);

	function drawMoment() {
		const at = play.at, f = frames[at], all = rowsOf(frames, at);
		const rows = all.filter((r) => matches(r.name, filter)).slice(0, SHOWN);
		const [anewHour, anewDay] = [1, 24].map((n) => restarted(frames, at, n * HOUR));
		const exact = histories.get(kind)?.exact ?? Infinity;	/* more may be an estimate */
		const of = kind === "labels" ? Math.max(1, all[0]?.value ?? 1) : Math.max(1, f?.series ?? 1);
		caption.textContent = `The largest ${KINDS[kind].title.toLowerCase()} ${!f || f.now ? "now" : `at ${printTime(f.time, ctx.settings.zone)}`}`;
		columns(["#", "k-num"], [KINDS[kind].title.slice(0, -1)], [kind === "labels" ? "Of the largest" : "Share of series"], [KINDS[kind].unit, "k-num"], ["In an hour", "k-num"], ["In a day", "k-num k-wide"], ["", null]);
		place(rows, (r) => {
			const parts = partsOf(kind, r.name);
			return h("tr", null, h("td", {class: "k-num k-dim"}, r.rank),
				h("th", {scope: "row", class: "k-cardname"}, parts.value === undefined ? link(r.name, () => open({kind, ...parts})) : h("span", {class: "k-mono"}, r.name)),
				bar(r.value / of, share(r.value / of)), h("td", {class: "k-num"}, r.about || r.value > exact ? "about " : "", count(r.value)), growthCell(r.value, r.hour, anewHour), growthCell(r.value, r.day, anewDay, "k-wide"),
				h("td", null, queryLink(parts)));
		});
		const below = f?.below ? ` What is not listed had ${count(f.below)} at most.` : "";
		tell(!frames.length ? "Nothing is stored yet." : rows.length ? (rows.length < all.length ? `${rows.length} of the ${all.length} largest.` : "") + below : "No name fits.");
		const b = burst(frames);
		put(hint, frames.length > 1 && b >= 0 && b !== at ? ["Most new series came ", link(printTime(frames[b].time, ctx.settings.zone, {seconds: false}), () => {
			play.stop();
			play.go(b);
		}), `: ${count(frames[b].made)}.`] : frames.length < 2 ? `There is a moment every five minutes, of the ${histories.get(kind)?.tenants ?? 0} tenants with most series; none yet of this one.` : null);
	}

	function drawLooked() {
		const rows = (looked?.cardinality ?? []).map((r) => ({name: r.label_name ?? r.label_value, value: r.label_values_count ?? r.series_count})).filter((r) => matches(r.name, filter));
		const most = Math.max(1, label ? looked?.series_count ?? 1 : rows[0]?.value ?? 1), all = label ? looked?.label_values_count : looked?.label_names_count;
		caption.textContent = label ? `Values of ${label}` : `Labels of ${metric}`;
		columns([label ? "Value" : "Label"], [label ? "Share of series" : "Of the largest"], [label ? "Series" : "Values", "k-num"], ["", null]);
		place(rows, (r) => h("tr", null,
			h("th", {scope: "row", class: "k-cardname"}, label ? h("span", {class: "k-mono"}, r.name || '""') : r.name === "__name__" ? h("span", {class: "k-mono"}, r.name) : link(r.name, () => open({kind, metric, label: r.name}))),
			bar(r.value / most, share(r.value / most)), h("td", {class: "k-num"}, count(r.value)),
			h("td", null, queryLink(label ? {metric, label, value: r.name} : {metric, label: r.name}))));
		tell(rows.length ? `${count(rows.length)} of ${count(all ?? rows.length)}, of series with samples in the last 20 minutes.` : filter ? "No name fits." : "No series with samples in the last 20 minutes.");
		put(hint);
		const known = now?.labels.find((r) => r.name === label);
		put(rule, remedy({metric, label: label ?? undefined}, ctx.settings.tenant, boundOf(metric ? null : known?.hourAgo ?? null)));
	}

	function draw() {
		if (metric || label)
			return drawLooked();
		put(rule);
		drawMoment();
	}

	function all() {
		const deep = Boolean(metric || label);
		play.el.hidden = deep || !frames.length;
		crumbs.hidden = !deep;
		const base = link(`All ${KINDS[kind].title.toLowerCase()}`, () => open({kind}));
		const parts = [base, metric && (label ? link(metric, () => open({kind, metric})) : h("strong", {class: "k-mono"}, metric)), label && h("strong", {class: "k-mono"}, label)].filter((x) => x);
		put(crumbs, parts.map((p, i) => [i ? h("span", {class: "k-dim", "aria-hidden": "true"}, " \u203a ") : null, p]), deep ? queryLink({metric, label: label ?? undefined}) : null);
		for (const b of tabs.children)
			b.setAttribute("aria-pressed", String(b.dataset.kind === kind && !deep));
		ctx.setTitle(label ?? metric ?? title);
		drawAlarms();
		if (now) {
			const change = (was, of, hours) => {
				const g = growth(now.series, was), anew = frames.length > 0 && restarted(frames, frames.length - 1, hours * HOUR);
				return g && h("span", {title: anew ? AGAIN : null, class: g.way > 0 && g.ratio >= 0.5 && !anew ? "k-warn" : "k-dim"}, ` ${g.way > 0 ? "\u25b2 " : g.way < 0 ? "\u25bc " : "= "}${g.way ? `${short(Math.abs(g.by))}${g.ratio === null ? "" : ` (${percent(Math.abs(g.ratio))})`}` : ""} in ${of}`);
			};
			put(facts, h("strong", null, count(now.series)), " series in memory", change(now.seriesHourAgo, "an hour", 1), change(now.seriesDayAgo, "a day", 24),
				now.series > now.seriesHourAgo && now.seriesHourAgo !== null && frames.length && restarted(frames, frames.length - 1, HOUR) ? h("span", {class: "k-dim"}, ` (${AGAIN})`) : null);
		}
		draw();
	}

	read(ctx.params);
	const timer = setInterval(() => {
		if (!document.hidden && !waits() && time === null && !play.playing && !metric && !label && !root.querySelector(".k-cardrule[open]"))
			load(true);
	}, REFRESH_MS);
	ctx.onSettings((settings, name) => {
		if (name === "zone") {
			play.setZone(settings.zone);
			draw();
		}
	});
	await load(true);
	return {
		hide() {
			clearInterval(timer);
			play.destroy();
		},
		params(p) {
			read(p);
			load(false);
		},
	};
}
