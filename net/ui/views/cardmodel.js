/*
 * cardmodel - what the view Cardinality knows: the last day as frames, ranks and growth, and rules to copy. Pure.
 *
 * A frame is {time (ms), since (ms), series, made, top: [[name, value], ...], below}: a name that is not in top had
 * `below` at most. The last frame may be of now: {..., now: true}, with what an hour and a day ago was, by name, as the
 * server says it; its rows have a third item, true where they are not exact.
 */
import {plainMetric} from "../promql/lexer.js";

export const KINDS = {
	metrics: {title: "Metrics", unit: "Series", one: "metric"},
	labels: {title: "Labels", unit: "Values", one: "label"},
	pairs: {title: "Pairs", unit: "Series", one: "pair"},
	targets: {title: "Targets", unit: "Series", one: "target"},
};
const HOUR = 3600e3;

/* Frames of what api/v1/cardinality/history says, and of now (api/v1/cardinality, or null). */
export const framesOf = (history, now, kind, at) => {
	const frames = history.moments.map((m) => ({time: m.time * 1000, since: m.since * 1000, series: m.series, made: m.made,
		top: m.top.map(([i, value]) => [history.names[i], value]), below: m.below}));
	if (!now)
		return frames;
	const unit = kind === "labels" ? "values" : "series";
	const rows = now[kind];
	at = Math.max(at, (frames.at(-1)?.time ?? 0) + 1000);	/* this clock may be behind the server's */
	frames.push({now: true, time: at, since: frames.at(-1)?.time ?? at, series: now.series, made: null,
		top: rows.map((r) => [r.name, r[unit], r.about]), below: now.below?.[kind] ?? 0,
		seriesThen: [now.seriesHourAgo, now.seriesDayAgo], then: new Map(rows.map((r) => [r.name, [r.hourAgo, r.dayAgo]]))});
	return frames;
};

/* The place of the frame nearest to a time; -1: there are none. */
export const nearestFrame = (frames, time) => {
	let best = -1;
	frames.forEach((f, i) => {
		if (best < 0 || Math.abs(f.time - time) <= Math.abs(frames[best].time - time))
			best = i;
	});
	return best;
};

/* What a name had in a frame: {value, known}; not known: value is what it had at most. */
export const valueIn = (frame, name) => {
	const row = frame.top.find(([n]) => n === name);
	return row ? {value: row[1], known: true} : {value: frame.below, known: frame.below === 0};
};

/* The frame so long before another one, half as far off at most. */
const frameBefore = (frames, at, ms) => {
	const i = nearestFrame(frames, frames[at].time - ms);
	return i >= 0 && i < at && Math.abs(frames[i].time - (frames[at].time - ms)) <= Math.min(ms / 2, 35 * 60e3) ? frames[i] : null;
};

/* Rows of a frame with what they were an hour and a day before; null: nobody knows; {atMost}: not more than that. */
export const rowsOf = (frames, at) => {
	const f = frames[at];
	if (!f)
		return [];
	const hour = frameBefore(frames, at, HOUR), day = frameBefore(frames, at, 24 * HOUR);
	const then = (other, name) => {
		if (!other)
			return null;
		const {value, known} = valueIn(other, name);
		return known ? value : {atMost: value};
	};
	return f.top.map(([name, value, about], i) => ({name, value, about, rank: i + 1,
		hour: f.then?.get(name)[0] ?? then(hour, name), day: f.then?.get(name)[1] ?? then(day, name)}));
};

/* Was there no server for a while, in so long before a frame? A start loads idle series again, so more of them is no growth. */
export const restarted = (frames, at, ms) => frames.some((f, i) => i > 0 && i <= at && f.since > frames[i - 1].time && f.time > frames[at].time - ms);

/* Of all series: [an hour, a day] before. */
export const seriesBefore = (frames, at) => {
	const f = frames[at];
	return f.now ? f.seriesThen : [HOUR, 24 * HOUR].map((ms) => frameBefore(frames, at, ms)?.series ?? null);
};

/* How it grew: {way: 1 | 0 | -1, by, ratio: null where there was nothing, least: at least so}; null: not known. */
export const growth = (value, was) => {
	const least = typeof was?.atMost === "number", then = least ? was.atMost : was;
	if (then === null || then === undefined || (least && value < 2 * then))
		return null;
	const by = value - then;
	return {way: Math.sign(by), by, ratio: then > 0 ? by / then : null, least};
};

/* Words that must stand in a name, "-word" must not; without case. */
export const matches = (name, filter) => {
	const text = name.toLowerCase();
	return filter.toLowerCase().split(/\s+/).filter((w) => w && w !== "-").every((w) => (w[0] === "-" ? !text.includes(w.slice(1)) : text.includes(w)));
};

/* Where most new series came: the frame of the largest rate, when it stands out (three times the mean and 100); else -1. */
export const burst = (frames) => {
	const rated = frames.map((f) => (f.made === null || f.time <= f.since ? 0 : f.made / (f.time - f.since)));
	const best = rated.reduce((b, r, i) => (r > rated[b] ? i : b), 0);
	const others = rated.reduce((sum, r) => sum + r, 0) / Math.max(1, rated.length);
	return frames.length > 2 && frames[best].made >= 100 && rated[best] > 3 * others ? best : -1;
};

/* ---- selectors ---- */

const PLAIN_LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const quoted = (s) => JSON.stringify(s);

/* {metric, label, value: undefined where it is not said} as a selector. */
export const selectorOf = ({metric, label, value}) => {
	const plain = metric && plainMetric(metric);
	const inner = [];
	if (metric && !plain)
		inner.push(quoted(metric));
	if (label)
		inner.push(`${PLAIN_LABEL.test(label) ? label : quoted(label)}${value === undefined ? '!=""' : `=${quoted(value)}`}`);
	return `${plain ? metric : ""}${inner.length || !plain ? `{${inner.join(", ")}}` : ""}`;
};

/* What a row is: {metric} | {label} | {label, value}. */
export const partsOf = (kind, name) => {
	if (kind === "metrics")
		return {metric: name};
	if (kind === "labels")
		return {label: name};
	const at = name.indexOf("=");
	const label = name.slice(0, at), value = name.slice(at + 1);
	return label === "__name__" ? {metric: value} : {label, value};
};

/* ---- rules ---- */

/* A bound above what was there before: twice as much, of one digit; 1,000 where nobody knows. */
export const boundOf = (was) => {
	if (!(was > 0))
		return 1000;
	const power = 10 ** Math.floor(Math.log10(2 * was));
	return Math.min(1e6, Math.max(10, Math.ceil(2 * was / power) * power));
};

/* In double quotes, whole names as an expression. */
const expression = (s) => quoted(s.replace(/[\\^$.|?*+()[\]{}]/g, "\\$&"));
const word = (s) => (PLAIN_LABEL.test(s) ? s : quoted(s));
const tenantWord = (s) => (/^[a-zA-Z_]\w*$/.test(s) ? s : quoted(s));

/*
 * Texts for kymod's configuration against {metric, label, target: true}: a cardinality rule, and a relabel rule where one
 * helps. bound: how many are all right.
 */
export const rulesFor = ({metric, label, target}, tenant, bound) => {
	const head = `tenants:\n  ${tenantWord(tenant || "default")}:\n`;
	const card = (rule) => `${head}    cardinality:\n    - {${rule}}\n`;
	const relabel = (rule) => `${head}    relabel_configs:\n    - {${rule}}\n`;
	const of = metric ? `metric: ${expression(metric)}, ` : "";
	if (target)
		return {card: card(`per: target, max_series: ${bound}, action: refuse`), relabel: null};
	if (label === "__name__")
		return {card: card(`label: __name__, max_values: ${bound}, action: refuse`), relabel: null};
	if (label)
		return {card: card(`${of}label: ${word(label)}, max_values: ${bound}, action: replace`),
			relabel: metric
				? relabel(`source_labels: [__name__], regex: ${expression(metric)}, target_label: ${word(label)}, replacement: ""`)
				: relabel(`regex: ${expression(label)}, action: labeldrop`)};
	return {card: card(`${of}per: metric, max_series: ${bound}, action: refuse`),
		relabel: relabel(`source_labels: [__name__], regex: ${expression(metric)}, action: drop`)};
};

/* What an explosion is: {what, parts, unit}; parts for rulesFor. */
export const explosionOf = (e) => {
	if (e.kind === "label_of_metric")
		return {what: ["Label ", [e.label], " of ", [e.metric]], parts: {metric: e.metric, label: e.label}, unit: "values"};
	if (e.kind === "label" && e.label === "__name__")
		return {what: ["Names of metrics"], parts: {label: "__name__"}, unit: "names"};
	if (e.kind === "label")
		return {what: ["Label ", [e.label]], parts: {label: e.label}, unit: "values"};
	if (e.kind === "metric")
		return {what: ["Metric ", [e.metric]], parts: {metric: e.metric}, unit: "series"};
	if (e.kind === "target")
		return {what: ["Target ", [e.target]], parts: {target: true}, unit: "series"};
	const of = [e.label && "label ", e.label && [e.label], e.metric && " of ", e.metric && [e.metric], e.target && " of target ", e.target && [e.target]].filter((x) => x);
	return {what: [`Rule ${e.rule}${e.action ? ` (${e.action})` : ""} acts on `, ...(of.length ? of : ["series of the tenant"])], parts: null, unit: "rows"};
};
