/*
 * tracebars - where the time of a query went: what trace=1 answered, as bars over time, for each step, shard and loop, in
 * the order in which they began.
 *
 *   const v = traceView(); v.el; v.set(trace, stats, plan)   stats, plan (of explain=1 for the same query): or null
 *
 * It is one table, so the numbers stand beside the bars. A shard's bar begins when it was asked; of its parts only the
 * sums are known, so they are drawn one behind the other: waiting for its turn, for files, for the loop that asked, work.
 * A trace without numbers (of another server) has its steps by how long they took, one below the other.
 */
import {h, put, scroller} from "../lib/dom.js";
import {bytes, count, percent, seconds, short} from "../lib/figure.js";
import {metricFirst} from "./advice.js";

const FEW = 8;	/* shards of a read that are shown unasked */
const PARTS = [["busy_msec", "k-tr-busy", "at work"], ["wait_turn_msec", "k-tr-turn", "waits for its turn"], ["wait_files_msec", "k-tr-files", "waits for files"], ["wait_home_msec", "k-tr-home", "waits for the loop that asked"]];
const NAMES = {query: "The whole query", admission: "Waits for a place", plan: "Parsed, planned", evaluation: "Evaluated", finish: "Joined, finished", sort: "Sorted", answer: "Encoded"};

const ms = v => seconds((v ?? 0) / 1000);
const sum = (list, of) => list.reduce((n, x) => n + (x[of] ?? 0), 0);

/* The end of a node's bar. */
const lasts = n => (n.kind === "shard" ? Math.max(n.duration_msec, PARTS.reduce((t, [f]) => t + (n[f] ?? 0), 0)) : n.duration_msec);
const begins = n => n.start_msec ?? 0;

/* Of those given the one that took longest, when there is a choice and it is worth a mark. */
export function slowest(nodes) {
	const by = [...nodes].sort((a, b) => lasts(b) - lasts(a));
	return by.length > 1 && lasts(by[0]) > lasts(by[1]) * 1.1 ? by[0] : null;
}

/* All nodes as rows, depth first, children as they began: [{node, depth, slow, hides}]; hides: shards that are folded. */
export function rowsOf(trace, open = new Set()) {
	const out = [];
	const walk = (node, depth, slow) => {
		const children = [...node.children ?? []].sort((a, b) => begins(a) - begins(b));
		const shards = node.kind === "read" ? children : [];
		const folded = shards.length > FEW && !open.has(node);
		out.push({node, depth, slow, hides: shards.length > FEW ? shards.length : 0, folded, left: node.left_out ?? 0});
		const mark = slowest(children.filter(c => c.kind === "shard" || c.kind === "read"));
		for (const c of folded ? shards.filter(c => c === mark) : children)
			walk(c, depth + 1, c === mark);
	};
	walk(trace, 0, false);
	return out;
}

/* Sums of all shards by their loops. */
export function loopsOf(trace) {
	const loops = new Map();
	const walk = n => {
		if (n.kind === "shard") {
			const at = loops.get(n.loop) ?? {loop: n.loop, shards: 0, series: 0, samples: 0, busy_msec: 0, wait_turn_msec: 0, wait_files_msec: 0, wait_home_msec: 0};
			at.shards++;
			for (const f of ["series", "samples", ...PARTS.map(([p]) => p)]) at[f] += n[f] ?? 0;
			loops.set(n.loop, at);
		}
		n.children?.forEach(walk);
	};
	walk(trace);
	return [...loops.values()].sort((a, b) => a.loop - b.loop);
}

const name = n => (n.kind === "shard" ? `Shard ${n.shard}, loop ${n.loop}` : n.kind === "read" ? `Reads ${metricFirst(n.message.slice(5).split(", timeRange=")[0])}` : NAMES[n.kind] ?? n.message);

function barOf(n, whole) {
	const at = v => `${Math.min(100, v / whole * 100)}%`;
	const parts = n.kind === "shard" ? [PARTS[1], PARTS[0], PARTS[2], PARTS[3]].filter(([f]) => n[f] > 0).map(([f, kind]) => h("i", {class: kind, style: {width: `${n[f] / Math.max(1e-9, lasts(n)) * 100}%`}})) : null;
	return h("span", {class: "k-tr-track", "aria-hidden": "true"}, h("span", {class: `k-tr-bar${parts ? "" : " k-tr-step"}`, style: {left: at(begins(n)), width: at(Math.max(lasts(n), whole / 400))}}, parts));
}

const waited = n => PARTS.slice(1).filter(([f]) => n[f] >= 0.001).map(([f, , text]) => `${text} ${ms(n[f])}`).join(", ");

function row(r, whole, toggle) {
	const n = r.node, read = n.kind === "read" || n.kind === "shard", b = (n.bytes_memory ?? 0) + (n.bytes_files ?? 0);
	const fold = r.hides ? h("button", {class: "k-link", "aria-expanded": String(!r.folded), onclick: () => toggle(n)}, r.folded ? `all ${r.hides} shards` : "fewer shards") : null;
	return h("tr", {class: r.slow ? "k-tr-slow" : null},
		h("th", {scope: "row", style: {paddingLeft: `${8 + r.depth * 12}px`}}, h("span", {class: n.kind === "read" ? "k-mono" : null}, name(n)), r.slow ? h("span", {class: "k-tag"}, "slowest") : null, fold,
			r.left ? h("span", {class: "k-dim"}, ` ${count(r.left)} shards are not told one by one`) : null),
		h("td", {class: "k-tr-bars"}, barOf(n, whole)),
		h("td", {class: "k-num", title: waited(n) || null}, ms(lasts(n)), n.kind === "shard" ? h("span", {class: "k-unseen"}, `, ${ms(n.busy_msec)} at work, ${waited(n)}`) : null),
		h("td", {class: "k-num"}, read ? short(n.series) : ""),
		h("td", {class: "k-num"}, read ? short(n.samples) : ""),
		h("td", {class: "k-num", title: read && n.bytes_files !== undefined ? `${bytes(n.bytes_memory)} of memory, ${bytes(n.bytes_files)} of files` : null}, read && n.bytes_files !== undefined ? bytes(b) : ""));
}

const heads = (names, from) => h("thead", null, h("tr", null, names.map((t, i) => h("th", {class: i >= from ? "k-num" : null}, t))));
const table = (label, kind, ...inside) => scroller(label, h("table", {class: `k-table k-tr-table ${kind}`}, inside));

/* Round times along the top, four or so. */
export function ticksOf(whole) {
	const raw = whole / 4, power = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].map(x => x * power).find(x => x >= raw) ?? raw;
	const out = [];
	for (let i = 0; i * step < whole * 0.9; i++) out.push(i * step);
	return out;
}

function waterfall(trace, open, again) {
	const whole = Math.max(1e-3, ...rowsOf(trace, open).map(r => begins(r.node) + lasts(r.node)));
	const toggle = n => {
		if (!open.delete(n)) open.add(n);
		again();
	};
	const axis = h("span", {class: "k-tr-axis", "aria-hidden": "true"}, ticksOf(whole).map(t => h("span", {style: {left: `${t / whole * 100}%`}}, ms(t))));
	return table("Steps over time", "k-tr-fall", heads(["Step", [h("span", {class: "k-unseen"}, "Over time"), axis], "Took", "Series", "Samples", "Bytes"], 2),
		h("tbody", null, rowsOf(trace, open).map(r => row(r, whole, toggle))));
}

function loops(trace) {
	const all = loopsOf(trace);
	if (!all.length) return null;
	const most = Math.max(1e-9, ...all.map(l => PARTS.reduce((t, [f]) => t + l[f], 0)));
	return h("section", null, h("h2", {class: "k-ex-head"}, "Loops"), table("Loops", "k-tr-loops", heads(["Loop", h("span", {class: "k-unseen"}, "Work and waiting"), "At work", "Turn", "Files", "Home", "Samples"], 2),
		h("tbody", null, all.map(l => h("tr", null, h("th", {scope: "row"}, `Loop ${l.loop}`, h("span", {class: "k-dim"}, ` ${count(l.shards)} shards`)),
			h("td", {class: "k-tr-bars"}, h("span", {class: "k-tr-track", "aria-hidden": "true"}, h("span", {class: "k-tr-bar", style: {left: "0", width: "100%"}}, PARTS.map(([f, kind]) => h("i", {class: kind, style: {width: `${l[f] / most * 100}%`}}))))),
			PARTS.map(([f]) => h("td", {class: "k-num"}, ms(l[f]))), h("td", {class: "k-num"}, short(l.samples)))))));
}

/* What was expected beside what was: [[name, expected, real, how to write it]...] of those that are known. */
export function compared(trace, plan) {
	const evaluation = trace.children?.find(c => c.kind === "evaluation"), reads = evaluation?.children?.filter(c => c.kind === "read") ?? [];
	if (!plan || !reads.length) return [];
	const b = n => sum(n, "bytes_memory") + sum(n, "bytes_files");
	return [["Series", plan.series, sum(reads, "series"), short], ["Samples", plan.samples, sum(reads, "samples"), short], ["Bytes read", plan.bytesFromMemory + plan.bytesFromFiles, b(reads), bytes],
		["Memory", plan.memoryBytes, evaluation.bytes_held, bytes], ["Time", plan.seconds, evaluation.duration_msec / 1000, seconds]].filter(([, guess, is]) => guess !== null && guess !== undefined && is !== undefined);
}

function against(trace, plan) {
	const rows = compared(trace, plan);
	return rows.length ? h("section", null, h("h2", {class: "k-ex-head"}, "Expected, and so it was"), table("Expected and real", "k-tr-real", heads([h("span", {class: "k-unseen"}, "Figure"), "Expected", "Real", "Ratio"], 1),
		h("tbody", null, rows.map(([t, guess, is, f]) => h("tr", null, h("th", {scope: "row"}, t), h("td", {class: "k-num"}, f(guess)), h("td", {class: "k-num"}, f(is)), h("td", {class: "k-num"}, guess ? percent(is / guess) : "")))))) : null;
}

function facts(trace, stats) {
	const e = trace.children?.find(c => c.kind === "evaluation"), all = loopsOf(trace), busy = sum(all, "busy_msec");
	const parts = [`${ms(trace.duration_msec)} in all`, all.length ? `${ms(busy)} at work on ${all.length === 1 ? "one loop" : `${all.length} loops`}` : null,
		e?.samples_read !== undefined ? `${short(e.samples_read)} samples read` : null, e?.bytes_held ? `${bytes(e.bytes_held)} held at most` : null, e?.steps_kept ? `${count(e.steps_kept)} of ${count(e.steps)} steps from kept results` : null,
		stats?.samples ? `${short(stats.samples.peakSamples)} samples at once` : null];
	return h("p", {class: "k-tr-facts"}, parts.filter(Boolean).join(" \u00b7 "));
}

const legend = () => h("p", {class: "k-tr-key"}, PARTS.map(([, kind, text]) => h("span", null, h("i", {class: kind, "aria-hidden": "true"}), text)));

export function traceView() {
	const el = h("div", {class: "k-trace"});
	const set = (trace, stats = null, plan = null) => {
		if (!trace) {
			put(el, h("p", {class: "k-dim"}, "This answer has no trace."));
			return;
		}
		const open = new Set();
		const fall = h("section");
		const draw = () => {
			const at = document.activeElement;
			const again = at && fall.contains(at) ? [...fall.querySelectorAll("button")].indexOf(at) : -1;
			put(fall, waterfall(trace, open, draw));
			if (again >= 0) fall.querySelectorAll("button")[again]?.focus();
		};
		draw();
		put(el, facts(trace, stats), loopsOf(trace).length ? legend() : null, fall, loops(trace), against(trace, plan));
	};
	return {el, set};
}
