/* Why a query found nothing, asked of the server after it: a name that is not there, a label's value that is not there,
 * samples at other times. All of it is about selectors; what an operator or a comparison left out is said as such. */
import {nameOf} from "../chart/matrix.js";
import {h} from "../lib/dom.js";
import {ago, printDuration, printTime, seconds} from "../lib/when.js";
import {selectors} from "./places.js";

const SELECTORS_MAX = 4;
const NAMES_MAX = 5;
const DAY = 86400e3;
const SPANS = [DAY, 30 * DAY, 365 * DAY];

/* Names like this one. server: {ask, lines} of lib/ask.js. */
async function nearest(name, server, signal) {
	const found = [];
	await server.lines("api/v1/search/metric_names", {"search[]": name, fuzz_alg: "jarowinkler", fuzz_threshold: "75", sort_by: "score", limit: String(NAMES_MAX)},
		o => found.push(...(o.results ?? []).map(r => r.name)), {signal});
	return found;
}

const series = async (server, match, times, signal) => (await server.ask("api/v1/series", {"match[]": match, limit: "1", ...times}, {signal})).data;

/* When a series' last sample before `end` was, or its first after it: {last} or {first}, ms; {} where neither is near. */
async function when(labels, end, now, server, signal) {
	const one = nameOf(labels);
	const ask = async (fn, span, at) => {
		const step = printDuration(Math.max(60e3, Math.ceil(span / 10000 / 60e3) * 60e3));
		const {data} = await server.ask("api/v1/query", {query: `${fn}_over_time(timestamp(${one})[${printDuration(span)}:${step}])`, time: seconds(at), lookback_delta: step}, {signal});
		return data.result.length ? Number(data.result[0].value[1]) * 1000 : null;
	};
	for (const span of SPANS) {
		const last = await ask("max", span, end);
		if (last !== null) return {last};
	}
	const after = Math.ceil((now - end) / 60e3) * 60e3;
	const first = after > 0 ? await ask("min", after, now) : null;
	return first !== null ? {first} : {};
}

/* p: the panel; range: {start, end} that was asked, ms. -> [{say: [text | {name}], go?: ms, replace?: [from, to, names]}] */
export async function whyEmpty(p, range, now, server, signal) {
	const out = [];
	const all = selectors(p.expr).filter(s => s.metric || s.equals.length);
	const unique = all.filter((s, i) => all.findIndex(o => o.text === s.text) === i).slice(0, SELECTORS_MAX);
	const times = {start: seconds(range.start), end: seconds(range.end)};
	for (const s of unique) {
		if ((await series(server, s.text, times, signal)).length) continue;
		const [ever] = await series(server, s.text, {}, signal);
		if (ever) {
			const {last, first} = await when(ever, range.end, now, server, signal);
			out.push({selector: s, kind: "elsewhen", last, first});
			continue;
		}
		const name = s.metric ? nameOf({__name__: s.metric}) : "";
		if (name && !(await series(server, name, {}, signal)).length) {
			out.push({selector: s, kind: "unknown", names: await nearest(s.metric, server, signal)});
			continue;
		}
		for (const [label, value] of s.equals) {
			if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(label)) continue;
			const {data} = await server.ask(`api/v1/label/${label}/values`, {...(name ? {"match[]": name} : {}), limit: "1000"}, {signal});
			if (!data.includes(value)) out.push({selector: s, kind: "value", label, value, values: data});
		}
		if (!out.some(o => o.selector === s)) out.push({selector: s, kind: "together"});
	}
	return out;
}

/* As a box. act: {change(patch), run()}; zone */
export function hintBox(hints, p, zone, act) {
	const insert = (s, text, was) => {
		let expr = p.expr;
		for (const same of selectors(expr).filter(o => o.text === s.text).reverse())
			expr = expr.slice(0, same.from) + same.text.replace(was, () => text) + expr.slice(same.to);
		act.change({expr});
	};
	const choice = (text, run) => h("button", {class: "k-link", onclick: run}, text);
	const listed = list => list.flatMap((n, i) => [i ? ", " : "", n]);
	const go = (at, text) => [" ", choice(text, () => act.change({end: at}))];
	const line = o => {
		const code = h("code", null, o.selector.text);
		const metric = h("code", null, o.selector.metric);
		if (o.kind === "unknown")
			return ["No metric is called ", metric, o.names.length ? [". Nearest: ", listed(o.names.map(n => choice(n, () => insert(o.selector, n, o.selector.metric)))), "."] : "."];
		if (o.kind === "value") {
			const some = o.values.slice(0, 8);
			return ["Label ", h("code", null, o.label), o.selector.metric ? [" of ", metric] : "", " is never ", h("code", null, JSON.stringify(o.value)),
				some.length ? [". It is ", listed(some.map(v => choice(JSON.stringify(v), () => insert(o.selector, JSON.stringify(v).slice(1, -1), o.value)))), o.values.length > some.length ? ` and ${o.values.length - some.length} others.` : "."] : ": there is no such label."];
		}
		if (o.kind === "together") return ["No series fits all of ", code, "."];
		const at = Math.round((o.last ?? o.first) / 1000) * 1000;
		if (o.last) return [code, " has no samples in this range; one of its series had its last at ", printTime(o.last, zone), `, ${ago(o.last)}.`, go(at, "Go there")];
		if (o.first) return [code, " has no samples in this range; one of its series begins at ", printTime(o.first, zone), ".", go(at + p.range, "Go there")];
		return [code, " has no samples in this range, but at other times."];
	};
	const lines = hints.map(o => h("li", null, line(o)));
	return h("div", {class: "k-note k-empty"}, h("b", null, "Nothing found"), lines.length ? h("ul", null, lines)
		: h("p", {class: "k-dim"}, "There are series for each selector, but the expression leaves none: a comparison may be true nowhere, the labels of both sides of an operator may match nowhere, or rate() may want a longer range (two samples at least)."));
}
