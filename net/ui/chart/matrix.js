/* What the API answers, as series: {labels, name, times, values, histograms?}; names (made when they
 * are wanted: an answer may have thousands), labels they share, CSV.
 *
 * times: Float64Array of ms, ascending; values: Float64Array of the same length, NaN where there is
 * no number; histograms: where the samples are native histograms, an array of the same length with
 * {count, sum, buckets} or null. */
import {plainMetric} from "../promql/lexer.js";

const number = text => (text === "+Inf"
	|| text === "Inf" ? Infinity : text === "-Inf" ? -Infinity : Number(text));
/* What turns text around is written out: it would turn around what stands beside it. */
const TURNS = /[\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
const quote = text => `"${text.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n")
	.replace(TURNS, c => `\\u${c.charCodeAt(0).toString(16)}`)}"`;
const plain = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/* up{job="a"}, as PromQL has it; names that need quotes get them. */
export function nameOf(labels, without = {}) {
	const metric = without.__name__ !== undefined ? "" : labels.__name__ ?? "";
	const pairs = Object.entries(labels).filter(([k]) => k !== "__name__"
		&& !Object.hasOwn(without, k)).map(([k, v]) => `${plain.test(k) ? k : quote(k)}=${quote(v)}`);
	if (metric && !plainMetric(metric)) pairs.unshift(quote(metric));
	else if (metric || !pairs.length) return pairs.length ? `${metric}{${pairs.join(", ")}}` : metric
		|| "{}";
	return `{${pairs.join(", ")}}`;
}

/* The labels that all of them have with one value; those of a single series are not shared, they
 * are its name. */
export function shared(series) {
	if (series.length < 2) return {};
	const all = {...series[0].labels};
	for (const s of series) for (const k in all) if (s.labels[k] !== all[k]) delete all[k];
	return all;
}

/* data.result of a range query (or of an instant one: a point each). Samples and histograms of one
 * series are merged. */
export function seriesOf(result) {
	return result.map(({metric, values, value, histograms, histogram}) => {
		const plainOnes = values ?? (value ? [value] : []),
			hists = histograms ?? (histogram ? [histogram] : []);
		const rows = hists.length ? [...plainOnes.map(([t, v]) => [t, number(v), null]),
			...hists.map(([t, h]) => [t, NaN, h])].sort((a, b) => a[0] - b[0]) : plainOnes;
		const n = rows.length, times = new Float64Array(n), numbers = new Float64Array(n);
		for (let i = 0; i < n; i++) {
			times[i] = Math.round(rows[i][0] * 1000);
			numbers[i] = hists.length ? rows[i][1] : number(rows[i][1]);
		}
		let name = null;
		return {labels: metric, get name() { return name ??= nameOf(metric); }, times, values: numbers,
			...(hists.length && {histograms: rows.map(r => r[2])})};
	});
}

/* Lines of text: the time, then a column for each series, as RFC 4180 has it; what is no number is
 * as PromQL writes it. */
export function csv(series, times) {
	const cell = text => (/[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text);
	const value = v => (v === Infinity ? "+Inf" : v === -Infinity ? "-Inf" : String(v));
	const at = series.map(() => 0);
	const lines = [["time", ...series.map(s => cell(s.name))].join(",")];
	for (const t of times) {
		const row = [new Date(t).toISOString()];
		series.forEach((s, k) => {
			while (at[k] < s.times.length && s.times[at[k]] < t) at[k]++;
			row.push(s.times[at[k]] === t ? value(s.values[at[k]]) : "");
		});
		lines.push(row.join(","));
	}
	return `${lines.join("\n")}\n`;
}
