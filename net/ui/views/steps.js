/* What a panel asks: its times, its step, its request. Pure; times are milliseconds, `now` is passed in. */
import {seconds} from "../lib/when.js";

/* Where the range stops when it is made longer or shorter. */
export const STOPS = [1, 10, 60, 300, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600, 2592000, 7776000, 15552000,
	31536000, 63072000].map(s => s * 1000);
export const PRESETS = ["5m", "15m", "30m", "1h", "3h", "6h", "12h", "1d", "2d", "7d", "14d", "30d", "90d", "180d", "1y"];
export const REFRESH = ["5s", "10s", "15s", "30s", "1m", "5m"];
/* Points of a line, about; those of Prometheus' page. */
export const POINTS = {low: 100, medium: 250, high: 750};
/* The server's, as Prometheus': a series has no more points in one answer. */
export const POINTS_MAX = 11000;

const NICE = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400].map(s => s * 1000);
/* Longer steps begin at multiples of this, not of themselves: else the newest hours of a long range would not be seen. */
const ALIGN_MAX = 300e3;

/* The round step next to range / points, least at least. */
export function autoStep(range, density, least = 1000) {
	const want = Math.max(range / POINTS[density], least);
	const days = Math.round(want / 86400e3) * 86400e3;
	if (days > 86400e3) return days;
	const far = s => Math.max(s / want, want / s);
	return NICE.filter(s => s >= least).reduce((best, s) => (far(s) < far(best) ? s : best), Math.max(least, 1000));
}

export function stepOf(p, least) {
	return p.step ?? autoStep(p.range, p.density, least);
}

/* Steps at round times: a graph that is drawn anew does not flicker, and meets the results that the server has kept. */
export function timesOf(p, now, least) {
	const step = stepOf(p, least), unit = Math.min(step, ALIGN_MAX);
	const end = Math.floor((p.end ?? now) / unit) * unit;
	return {start: end - Math.max(1, Math.ceil(p.range / step)) * step, end, step};
}

export const isRange = tab => tab === "graph" || tab === "heat";

/* kind: "range" or "instant" */
export function requestOf(p, kind, now, least) {
	if (kind === "instant") return {path: "api/v1/query", params: {query: p.expr, time: seconds(p.end ?? now)}};
	const t = timesOf(p, now, least);
	return {path: "api/v1/query_range", params: {query: p.expr, start: seconds(t.start), end: seconds(t.end), step: seconds(t.step)}};
}

export function longer(range) {
	return STOPS.find(s => s > range) ?? range;
}

export function shorter(range) {
	return STOPS.findLast(s => s < range) ?? range;
}

/* By half a range, -1 back or 1 forward; what reaches now follows it. Whole seconds, as links have them. */
export function shifted(p, way, now) {
	const end = Math.round(((p.end ?? now) + way * p.range / 2) / 1000) * 1000;
	return end > now - Math.max(1000, p.range / 50) ? null : end;
}

/* What was drawn over, as range and end in whole seconds; a second at least. */
export function zoomed(from, to) {
	const end = Math.ceil(to / 1000) * 1000;
	return {end, range: Math.max(1000, end - Math.floor(from / 1000) * 1000)};
}

/* The step that makes points few enough. */
export function coarser(range) {
	const want = range / (POINTS_MAX - 1);
	return NICE.find(s => s >= want) ?? Math.ceil(want / 86400e3) * 86400e3;
}
