/*
 * explain - what a query will cost, before it runs: figures, what would refuse it, what makes it heavy, each selector
 * with its bars, and the plan as a tree.
 *
 *   const v = explainView(); v.el; await v.load({path, params, signal});   path, params: as for the query itself
 *   v.set(data): what explain=1 answered
 *
 * Throws what ask() throws; what was shown before is gone then.
 */
import {ask} from "../lib/ask.js";
import {h, put, say, scroller} from "../lib/dom.js";
import {bytes, count, percent, seconds, short} from "../lib/figure.js";
import {printDuration} from "../lib/when.js";
import {advice, metricFirst} from "./advice.js";

const KINDS = {exact: "", bounds: "about", sampled: "about"};
const KIND_TEXT = {exact: "Each series was looked at", bounds: "Some may have nothing in the range", sampled: "Some of the series were looked at"};
const DEEP = 40;	/* levels of a plan that are shown */

export const about = (kind, text) => (KINDS[kind] ? `${KINDS[kind]} ${text}` : text);

/* Of a node of the plan, how many series come out; null: it has none, or nobody knows. */
export const gives = n => (n.series === undefined ? null : `${about(n.seriesKind, short(n.series))} series${n.seriesAtMost > n.series ? `, at most ${short(n.seriesAtMost)}` : ""}`);

/* A share of something as a bar of parts: [[part of 1, class]...]. */
export const bar = parts => h("span", {class: "k-ex-bar", "aria-hidden": "true"},
	parts.filter(([v]) => v > 0).map(([v, kind]) => h("i", {class: kind, style: {width: `${Math.min(100, v * 100)}%`}})));

const figure = (name, value, more, ...below) => h("div", {class: "k-ex-figure"}, h("dt", null, name), h("dd", null, h("b", null, value), more ? h("span", null, more) : null, below));

const limitText = r => {
	const unit = r.unit === "bytes" ? bytes : r.unit === "milliseconds" ? ms => seconds(ms / 1000) : count;
	const what = r.unit === "bytes" ? "of memory" : r.unit === "milliseconds" ? "of time" : "samples at once";
	return `It needs about ${unit(r.wants)} ${what}; ${r.flag} allows ${unit(r.limit)}.`;
};

function figures(d) {
	const read = d.bytesFromMemory + d.bytesFromFiles, kept = d.cache.steps ? d.cache.kept / d.cache.steps : 0;
	const from = d.bytesFromFiles && !d.bytesFromMemory ? "from files" : d.bytesFromFiles ? `${bytes(d.bytesFromMemory)} of memory, ${bytes(d.bytesFromFiles)} of files` : "from memory";
	const [out, most] = gives(d.plan ?? {})?.split(", ") ?? [];
	return h("dl", {class: "k-ex-figures"},
		figure("Series", about(d.seriesKind, short(d.series)), d.seriesAtMost > d.series ? `at most ${short(d.seriesAtMost)}` : KIND_TEXT[d.seriesKind]),
		figure("Samples to read", `about ${short(d.samples)}`, [d.samplesFromFiles ? `${percent(d.samplesFromFiles / Math.max(1, d.samples))} from files` : "from memory", d.samplesAtMost < d.samples * 10 ? `, at most ${short(d.samplesAtMost)}` : null]),
		figure("Bytes to read", bytes(read), from),
		out ? figure("Result", out, most) : null,
		figure("Memory", `about ${bytes(d.memoryBytes)}`, [`of ${bytes(d.memoryLimitBytes)}, `, h("code", null, d.memoryFlag)],
			bar([[d.memoryBytes / d.memoryLimitBytes, d.memoryBytes > d.memoryLimitBytes ? "k-ex-over" : "k-ex-memory"]])),
		figure("Time", d.seconds === null ? "not known yet" : `about ${seconds(Number(d.seconds.toPrecision(2)))}`,
			d.seconds === null ? "after a few queries it is" : "by what queries took lately"),
		d.cache.steps ? figure("Kept results", d.cache.kept ? percent(kept) : "none", `${count(d.cache.kept)} of ${count(d.cache.steps)} steps`, bar([[kept, "k-ex-kept"]])) : null);
}

function warnings(d) {
	const found = advice(d);
	return [
		d.refused.length ? h("div", {class: "k-note k-failed", role: "status"}, h("b", null, `It ${d.refused.some(r => r.sure) ? "would" : "may"} be refused. `), d.refused.map(limitText).join(" ")) : null,
		found.length ? h("section", {class: "k-ex-advice"}, h("h2", {class: "k-ex-head"}, d.heavy || d.refused.length ? "What makes it heavy" : "Worth knowing"),
			h("ul", null, found.map(a => h("li", null, a.selectors.map(i => h("span", {class: "k-ex-number"}, `${i + 1}`)), h("span", null, a.why), " ", h("span", {class: "k-ex-remedy"}, `Better: ${a.remedy[0].toLowerCase()}${a.remedy.slice(1)}`))))) : null];
}

/* A long one may break behind its commas. */
const selectorText = text => h("code", {class: "k-ex-selector"}, text.split(/(?<=,)(?=[\w."]+(?:=|!))/).flatMap((t, i) => (i ? [h("wbr"), t] : [t])));

function selectors(d) {
	const most = Math.max(1, ...d.selectors.map(s => s.samples));
	const row = (s, i) => h("tr", null,
		h("th", {scope: "row"}, d.selectors.length > 1 ? h("span", {class: "k-ex-number"}, `${i + 1}`) : null, selectorText(metricFirst(s.selector)),
			h("div", {class: "k-dim"}, s.function ? `${s.function} over ${printDuration(s.rangeMs)}` : s.steps > 1 ? "newest sample of each step" : "newest sample", s.steps > 1 ? `, ${count(s.steps)} steps of ${printDuration(s.stepMs)}` : "")),
		h("td", {class: "k-ex-bars"}, bar([[s.samplesFromMemory / most, "k-ex-memory"], [s.samplesFromFiles / most, "k-ex-files"]])),
		h("td", {class: "k-num", title: `${KIND_TEXT[s.seriesKind]}; at most ${count(s.seriesAtMost)}`}, about(s.seriesKind, short(s.series))),
		h("td", {class: "k-num"}, short(s.samples)),
		h("td", {class: "k-num"}, bytes(s.bytesFromMemory)),
		h("td", {class: "k-num"}, bytes(s.bytesFromFiles)));
	return h("section", null, h("h2", {class: "k-ex-head"}, d.selectors.length === 1 ? "Selector" : "Selectors"),
		scroller("Selectors", h("table", {class: "k-table k-ex-table"},
			h("thead", null, h("tr", null, ["Reads", "Samples from memory and files", "Series", "Samples", "Memory", "Files"].map((t, i) => h("th", {class: i > 1 ? "k-num" : null},
				i === 1 ? [h("span", {class: "k-unseen"}, t), h("span", {class: "k-ex-key", "aria-hidden": "true"}, h("i", {class: "k-ex-memory"}), "memory ", h("i", {class: "k-ex-files"}), "files")] : t)))),
			h("tbody", null, d.selectors.map(row)))));
}

function tree(n, d, deep = 0) {
	const s = d.selectors[n.selector];
	return h("li", null,
		h("div", {class: "k-ex-node"}, h("span", {class: "k-ex-what"}, n.what === "piece" ? "read on shards" : n.what), h("code", null, n.expr),
			s ? h("span", {class: "k-ex-note"}, d.selectors.length > 1 ? h("span", {class: "k-ex-number"}, `${n.selector + 1}`) : null, `${about(s.seriesKind, short(s.series))} series, ${short(s.samples)} samples`) : null,
			gives(n) ? h("span", {class: "k-ex-note", title: KIND_TEXT[n.seriesKind]}, `gives ${gives(n)}`) : null,
			n.onShards ? h("span", {class: "k-ex-note"}, n.onShards) : null),
		n.of?.length && deep < DEEP ? h("ul", null, n.of.map(c => tree(c, d, deep + 1))) : null);
}

export function explainView() {
	const el = h("div", {class: "k-explain"});
	const set = d => {
		put(el, figures(d), warnings(d), d.selectors.length ? selectors(d) : null,
			d.plan ? h("section", null, h("h2", {class: "k-ex-head"}, "Plan"), scroller("Plan", h("ul", {class: "k-ex-tree"}, tree(d.plan, d)))) : null);
	};
	const load = async ({path, params, signal}) => {
		put(el);
		const {data} = await ask(path, {...params, explain: "1"}, {signal});
		set(data);
		say(`Explained: ${about(data.seriesKind, short(data.series))} series, ${short(data.samples)} samples${data.refused.length ? ", it would be refused" : ""}`);
	};
	return {el, set, load};
}
