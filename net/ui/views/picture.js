/* The graph of a range: lines, stacked areas or a heat map, with its legend.
 *
 *   const g = picture({zone, onZoom(from, to), onHeat});
 *   g.show(result, {from, to, step, expr, heat, stacked, log, zero, onFit}); g.el; g.destroy()
 *
 * onFit(range): the data begins near the end, and the reader wants a range that it fills; null: that is not offered.
 *
 * One plot and one heat map are made and kept; a new answer of the same series keeps what the legend hides. */
import {h, put} from "../lib/dom.js";
import {printDuration, printTime} from "../lib/when.js";
import {heat} from "../chart/heat.js";
import {seriesOf} from "../chart/matrix.js";
import {legend} from "../chart/legend.js";
import {plot} from "../chart/plot.js";
import {selectors} from "./places.js";
import {natural} from "./rows.js";
import {STOPS} from "./steps.js";

const UNITS = [[/(_timestamp|_time)_seconds$/, "short"], [/_seconds$/, "seconds"], [/_bytes$/, "bytes"], [/_ratio$/, "percent"]];

/* What values of an expression most likely are, by the names in it; "short" where that is not sure. */
export function unitOf(expr) {
	const names = [...new Set(selectors(expr).map(s => s.metric))];
	if (!names.length || /\b(count|group|changes|resets|absent|stddev|stdvar|deriv)(_over_time)?\b\s*(\(|by|without)/.test(expr)) return "short";
	const stems = [...new Set(names.map(n => n.replace(/_(total|sum|bucket|count)$/, "")))];
	const rated = /\b(i?rate)\s*\(/.test(expr), quantile = /\bhistogram_(quantile|avg)\b/.test(expr);
	const mean = names.length === 2 && stems.length === 1 && names.every(n => /_(sum|count)$/.test(n)) && expr.includes("/");
	const units = new Set(stems.map(s => UNITS.find(([re]) => re.test(s))?.[1] ?? "short"));
	if (units.size !== 1) return "short";
	const [unit] = units;
	if (mean || quantile) return unit;
	if (/_count$/.test(names[0]) || /[*/%^]\s*[a-z({]/i.test(expr)) return "short";
	return rated && unit === "seconds" ? "short" : unit;
}

/* What the bounds of its buckets are: a rate of observations has bounds in the metric's own unit. */
export const boundUnitOf = expr => unitOf(selectors(expr)[0]?.metric ?? "");

export function picture({zone, onZoom, onHeat}) {
	const el = h("div", {class: "k-picture"});
	let lines = null, names = null, map = null;

	/* A server that is new has a few dots at the right edge. */
	function fit(series, o) {
		const begin = series.reduce((t, s) => Math.min(t, s.times[0]), o.to), range = STOPS.find(s => s >= Math.max(60e3, o.to - begin));
		return o.onFit && range * 4 <= o.to - o.from ? h("p", {class: "k-row k-dim"}, `The data begins at ${printTime(begin, zone())}.`,
			h("button", {class: "k-button", onclick: () => o.onFit(range)}, `Last ${printDuration(range)}`)) : null;
	}

	function drawLines(series, o) {
		const floats = series.filter(s => !s.histograms || s.values.some(v => !Number.isNaN(v)));
		const some = series.length - floats.length;
		const note = some ? h("p", {class: "k-row k-dim"}, `${some === series.length ? "These" : `${some} of these`} are native histograms: one value at a time is not all of them.`,
			h("button", {class: "k-button", onclick: onHeat}, "Heat map")) : null;
		const options = {series: floats, from: o.from, to: o.to, step: o.step, kind: o.stacked ? "stacked" : "line", unit: unitOf(o.expr), zone: zone(),
			log: o.log, min: o.zero ? 0 : null, onZoom, label: o.expr};
		if (!lines) {
			lines = plot(options);
			names = legend(lines);
		} else lines.update(options);
		put(el, fit(series, o), note, lines.el, names.el);
	}

	function drawHeat(series, o) {
		const options = {series, from: o.from, to: o.to, step: o.step, unit: boundUnitOf(o.expr), zone: zone(), onZoom, label: o.expr};
		if (map) map.update(options);
		else map = heat(options);
		put(el, fit(series, o), map.el);
	}

	return {el, show(result, o) {
		const series = natural(seriesOf(result), o.expr);
		return o.heat ? drawHeat(series, o) : drawLines(series, o);
	}, destroy() {
		names?.destroy();
		lines?.destroy();
		map?.destroy();
	}};
}
