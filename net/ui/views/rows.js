/* Results as rows: what they are called, ordered, filtered, and written for elsewhere. Pure.
 *
 * A row is {labels, name, values: [[seconds, text], ...], histograms: [[seconds, histogram], ...],
 * number}; a vector's has one value or one histogram, a scalar's and a string's no labels. number
 * is what it is sorted by. name is made when it is wanted: an answer may have 100,000 rows. */
import {nameOf} from "../chart/matrix.js";

/* "" where there is none; whatever objects have by nature ("constructor") is no label. */
export const labelOf = (labels, name) => (Object.hasOwn(labels, name) ? labels[name] : "");

const NATURAL_MOST = 20000;
const order = new Intl.Collator("en", {numeric: true});

/* As the API and labels write it: le="+inf" is seen, too. */
function number(text) {
	return /^\+?inf$/i.test(text) ? Infinity : /^-inf$/i.test(text) ? -Infinity : Number(text);
}

function row(labels, values, histograms) {
	const last = values.at(-1), lastOf = histograms.at(-1);
	let name = null;
	return {labels, get name() { return name ??= nameOf(labels); }, values, histograms, number: last ? number(last[1]) : lastOf ? number(lastOf[1].count) : NaN};
}

export function rowsOf({resultType, result}) {
	if (resultType === "scalar" || resultType === "string") return [row({}, [result], [])];
	return result.map(r => row(r.metric, r.values ?? (r.value ? [r.value] : []), r.histograms ?? (r.histogram ? [r.histogram] : [])));
}

/*
 * Labels that all rows have alike, [[name, value]], and names of the others; metric name first,
 * others as they sort.
 */
export function columnsOf(rows) {
	const seen = new Map();
	for (const r of rows)
		for (const [k, v] of Object.entries(r.labels)) {
			const c = seen.get(k);
			if (!c) seen.set(k, {value: v, count: 1, same: true});
			else {
				c.count++;
				c.same &&= c.value === v;
			}
		}
	const names = [...seen.keys()].sort((a, b) => (a === "__name__" ? -1 : b === "__name__" ? 1 : order.compare(a, b)));
	const common = n => seen.get(n).same && seen.get(n).count === rows.length;
	return {common: names.filter(common).map(n => [n, seen.get(n).value]), columns: names.filter(n => !common(n))};
}

/* Words that must stand in the series' name, "-word" must not; without case. */
export function filtered(rows, text) {
	const words = text.toLowerCase().split(/\s+/).filter(w => w && w !== "-");
	if (!words.length) return rows;
	return rows.filter(r => {
		const name = r.name.toLowerCase();
		return words.every(w => (w[0] === "-" ? !name.includes(w.slice(1)) : name.includes(w)));
	});
}

/*
 * by: a label's name, "" is the value; way: 1 up, -1 down, 0 as the server sent them. Equal ones
 * keep their order; NaN is last.
 */
export function sorted(rows, by, way) {
	if (!way) return rows;
	const value = (a, b) => (Number.isNaN(a) || Number.isNaN(b) ? Number.isNaN(a) - Number.isNaN(b) : a === b ? 0 : (a < b ? -1 : 1) * way);
	const rank = by === "" ? null : ranks(rows, by);
	return [...rows].sort((a, b) => (rank ? way * (rank(a) - rank(b)) : value(a.number, b.number)));
}

/* What a label's value is sorted by, as a number of a row: values that differ are compared once. */
function ranks(rows, name) {
	const all = [...new Set(rows.map(r => labelOf(r.labels, name)))].sort(byLabel), at = new Map();
	let n = 0;
	all.forEach((v, i) => at.set(v, i && byLabel(all[i - 1], v) ? ++n : n));
	return r => at.get(labelOf(r.labels, name));
}

/* Numbers as numbers, all else as people order words with numbers in them. */
function byLabel(a, b) {
	const x = number(a), y = number(b);
	return a !== "" && b !== "" && !Number.isNaN(x) && !Number.isNaN(y) ? (x < y ? -1 : x > y ? 1 : 0) : order.compare(a, b);
}

/*
 * By the labels that differ, one after the other: the server's order means something only where the
 * expression made it. What is too much to read is not worth the time: it stays as it came.
 */
export function natural(rows, expr) {
	if (rows.length > NATURAL_MOST || /\b(sort\w*|topk|bottomk)\b/.test(expr)) return rows;
	const {columns} = columnsOf(rows), by = [];
	return [...rows].sort((a, b) => {
		for (let i = 0; i < columns.length; i++) {
			by[i] ??= ranks(rows, columns[i]);
			const d = by[i](a) - by[i](b);
			if (d) return d;
		}
		return 0;
	});
}

const interval = ([rule, from, to]) => `${rule === 1 || rule === 3 ? "[" : "("}${from}, ${to}${rule === 0 || rule === 3 ? "]" : ")"}`;

/* {count, sum, buckets: [{label, from, to, count}]} */
export function histogramOf(h) {
	return {count: h.count, sum: h.sum, buckets: (h.buckets ?? []).map(b => ({label: interval(b), from: number(b[1]), to: number(b[2]), count: number(b[3])}))};
}

const brief = h => `{count:${h.count}, sum:${h.sum}${(h.buckets ?? []).map(b => `, ${interval(b)}:${b[3]}`).join("")}}`;

function samples(r) {
	return [...r.values.map(([t, v]) => [t, v]), ...r.histograms.map(([t, h]) => [t, brief(h)])].sort((a, b) => a[0] - b[0]);
}

/* A line for each series, for those of a matrix its samples below. */
export function asText(rows, matrix) {
	return rows.map(r => (matrix ? `${r.name}\n${samples(r).map(([t, v]) => `  ${v} @${t}`).join("\n")}` : `${r.name} ${samples(r)[0]?.[1] ?? ""}`)).join("\n") + "\n";
}

/* RFC 4180; a formula is none when a sheet opens it, nor is one that begins like a number. Columns have different names, whatever
 * labels are called. */
export function asCsv(rows) {
	const {common, columns} = columnsOf(rows);
	const names = [...common.map(c => c[0]), ...columns].sort((a, b) => (a === "__name__" ? -1 : b === "__name__" ? 1 : order.compare(a, b)));
	const cell = s => (/^[=@\t\r]|^[+-](?!(?:[\d.]+(?:e[+-]?\d+)?|Inf)$)/.test(s) ? `"'${s.replaceAll('"', '""')}"` : /[",\r\n]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s);
	const lines = rows.flatMap(r => samples(r).map(([t, v]) => [...names.map(n => labelOf(r.labels, n)), String(t), v].map(cell).join(",")));
	const own = n => (names.includes(n) ? `__${n}__` : n);
	return [[...names.map(n => (n === "__name__" ? own("name") : n)), own("timestamp"), own("value")].map(cell).join(","), ...lines].join("\r\n") + "\r\n";
}

/* As the API has them. */
export function asJson(rows, matrix) {
	return JSON.stringify(rows.map(r => ({metric: r.labels, ...(matrix
		? {...(r.values.length ? {values: r.values} : {}), ...(r.histograms.length ? {histograms: r.histograms} : {})}
		: r.histograms.length ? {histogram: r.histograms[0]} : {value: r.values[0]})})), null, "\t") + "\n";
}
