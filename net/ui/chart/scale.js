/* The axis of values: its range, round ticks, texts; and the colors of series.
 *
 *	axis({lo, hi, log, unit, min, max, ticks}) -> {lo, hi, log, unit, ticks: [{value, text}], at(v), value(f)}
 *
 * lo, hi: of the data, finite or NaN where there is none; min, max: set by hand (null: automatic).
 * at() is 0 at the lower end and 1 at the upper one, value() its inverse; no finite double makes
 * either overflow. unit: "short" (plain numbers), "bytes" (powers of 1024), "seconds", "percent" (1
 * is 100 %). */

const BIG = Number.MAX_VALUE;
const SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
const PREFIXES = ["", "k", "M", "G", "T", "P", "E"];
const PLAIN = {short: "", bytes: " B", seconds: " s", percent: " × 100 %"};
const TIMES = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]];

/* The least of 1, 2, 5 times a power of ten that is not below raw. */
export function niceStep(raw) {
	const power = 10 ** Math.floor(Math.log10(raw));
	if (!(power > 0)) return Number.MIN_VALUE;
	const n = raw / power;
	return (n <= 1.0000001 ? 1 : n <= 2.0000001 ? 2 : n <= 5.0000001 ? 5 : 10) * power;
}

function stepFor(raw, unit, top) {
	if (unit === "bytes" && top >= 1024) {
		const p = 1024 ** Math.floor(Math.log(top) / Math.log(1024));
		return raw < p / 1024 ? niceStep(raw) : niceStep(raw / p) * p;
	}
	if (unit === "seconds" && raw > 0.5) return SECONDS.find(s => s >= raw)
		?? niceStep(raw / 86400) * 86400;
	return niceStep(raw);
}

/* Where an automatic axis ends: zero is in when the data comes near it, seen from its own size;
 * room of 5 % at an end that is not zero; something to look at when all values are one. */
export function autoRange(lo, hi, log) {
	if (!(lo <= hi)) return log ? [1, 10] : [0, 1];
	if (log) return lo === hi ? [Math.max(lo / 3, Number.MIN_VALUE), Math.min(hi * 3, BIG)]
		: widenLog(lo, hi);
	if (lo >= 0 && lo <= hi * 0.6) lo = Math.min(lo, 0);
	if (hi <= 0 && hi >= lo * 0.6) hi = Math.max(hi, 0);
	const size = Math.max(Math.abs(lo), Math.abs(hi));
	if (size < 1e-300) return [lo < 0 ? -1 : 0, lo < 0 && hi <= 0 ? 0 : 1];
	const half = hi / 2 - lo / 2;
	if (half < size * 1e-13) return [Math.max(lo - size * 0.1, -BIG), Math.min(hi + size * 0.1, BIG)];
	const pad = half * 0.1;
	return [lo === 0 ? 0 : Math.max(lo - pad, -BIG), hi === 0 ? 0 : Math.min(hi + pad, BIG)];
}

function widenLog(lo, hi) {
	const pad = Math.exp((Math.log(hi) - Math.log(lo)) * 0.05);
	return [Math.max(lo / pad, Number.MIN_VALUE), Math.min(hi * pad, BIG)];
}

export function axis({lo, hi, log = false, unit = "short", min = null, max = null, ticks = 6}) {
	if (log && min !== null && min <= 0) min = null;
	if (log && max !== null && max <= 0) max = null;
	let [a, b] = autoRange(min ?? lo, max ?? hi, log);
	a = min ?? a;
	b = max ?? b;
	if (!(b > a)) [a, b] = min !== null
		&& max === null ? [a, log ? a * 10 : a + Math.max(1, Math.abs(a) * 0.1)]
		: [log ? b / 10 : b - Math.max(1, Math.abs(b) * 0.1), b];
	const la = Math.log(a), lb = Math.log(b), size = b / 2 - a / 2;
	return {
		lo: a, hi: b, log, unit,
		ticks: log ? logTicks(a, b, unit, ticks) : linearTicks(a, b, unit, ticks),
		at: log ? v => (Math.log(v) - la) / (lb - la) : v => (v / 2 - a / 2) / size,
		value: log ? f => Math.exp(la + f * (lb - la)) : f => a * (1 - f) + b * f,
	};
}

function linearTicks(lo, hi, unit, n) {
	const top = Math.max(Math.abs(lo), Math.abs(hi));
	const step = stepFor(hi / n - lo / n, unit, top);
	const ticks = [];
	for (let i = Math.ceil(lo / step - 1e-9); i * step - hi <= step * 1e-9
		&& ticks.length <= 3 * n; i++) if (Number.isFinite(i * step)) ticks.push(i * step + 0);
	return ticks.map(value => ({value, text: tickText(value, step, unit, top)}));
}

function logTicks(lo, hi, unit, n) {
	const base = unit === "bytes" && hi >= 1024 ? 2 : 10;
	const from = Math.ceil(Math.log(lo) / Math.log(base) - 1e-9),
		to = Math.floor(Math.log(hi) / Math.log(base) + 1e-9);
	const every = Math.max(1, base === 2 ? [1, 2, 5, 10, 20, 50, 100, 200].find(k => (to - from) / k <= n)
		?? 500 : Math.ceil((to - from + 1) / (n + 1)));
	const values = [];
	for (let e = Math.ceil(from / every) * every; e <= to; e += every) values.push(base === 10
		? Number(`1e${e}`) : 2 ** e);
	if (base === 10 && values.length < 3 && hi / lo > 3)
		for (let e = from - 1; e <= to; e++) for (const k of values.length < 2
			&& hi / lo < 8 ? [2, 3, 4, 5, 6, 7, 8, 9] : [2, 5]) values.push(Number(`${k}e${e}`));
	if (values.length < 2) return linearTicks(lo, hi, unit, n);
	return values.filter(v => v >= lo * 0.999999999
		&& v <= Math.min(BIG, hi * 1.000000001)).sort((a,
		b) => a - b).map(value => ({value, text: format(value, unit, 4)}));
}

/* What the texts of one axis share: factor and suffix, chosen by its greatest number. */
function scaleOf(top, unit) {
	if (unit === "percent") return [0.01, " %"];
	if (unit === "bytes") {
		const k = top >= 1024 ? Math.min(6, Math.floor(Math.log(top) / Math.log(1024) + 1e-12)) : 0;
		return [1024 ** k, k ? ` ${PREFIXES[k].toUpperCase()}iB` : " B"];
	}
	if (unit === "seconds") {
		const [f, s] = TIMES.find(([f]) => top >= f * 0.9999999 && (f !== 60 || top >= 120))
			?? [1, "s"];
		return [f, ` ${s}`];
	}
	const k = top >= 1e3 ? Math.min(6, Math.floor(Math.log10(top) / 3 + 1e-12)) : 0;
	return [1000 ** k, PREFIXES[k]];
}

function tickText(value, step, unit, top) {
	if (value === 0) return "0";
	const [f, suffix] = scaleOf(top, unit), shown = top / f;
	if (shown >= 1e6 || shown < 1e-3) return value.toExponential(Math.max(0,
		Math.min(15, Math.ceil(Math.log10(Math.abs(value) / step) - 1e-9)))).replace("e+",
		"e") + PLAIN[unit];
	/* Small steps at a great number: all of its digits are easier to tell apart than those
	 * behind a factor. */
	const few = decimals(step / f), plain = few > 3 && f > 1 && top < 1e15;
	return plain ? value.toFixed(decimals(step)) + PLAIN[unit] : (value / f).toFixed(few) + suffix;
}

/* How many digits behind the point a step has. */
function decimals(step) {
	let n = 0;
	for (let s = step; n < 12 && Math.abs(Math.round(s) - s) > s * 1e-3; s = step * 10 ** ++n);
	return n;
}

/* A number for people, with so many digits that count: "1.2346 GiB", "250 ms", "12.5 %", "1.25M". */
export function format(value, unit = "short", digits = 5) {
	if (Number.isNaN(value)) return "NaN";
	if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
	if (value === 0) return "0";
	const size = Math.abs(value);
	if (unit === "seconds" && size >= 60 && size < 86400 * 1000) return longTime(value);
	const [f, suffix] = scaleOf(Number(size.toPrecision(digits)), unit);
	const shown = value / f, whole = Math.abs(shown);
	if (whole >= 1e6 || whole < 1e-4) return value.toExponential(digits - 1).replace(/\.?0*e\+?/,
		"e") + PLAIN[unit];
	return (whole >= 10 ** digits ? String(Math.round(shown))
		: String(Number(shown.toPrecision(digits)))) + suffix;
}

/* "1 h 5 min": the two greatest parts, rounded to the lesser one. */
function longTime(value) {
	const size = Math.abs(value), i = TIMES.findIndex(([f]) => size >= f);
	const [f, s] = TIMES[i], [g, t] = TIMES[i + 1];
	const n = Math.round(size / g), per = f / g;
	const rest = n % per;
	return `${value < 0 ? "-" : ""}${Math.floor(n / per)} ${s}${rest ? ` ${rest} ${t}` : ""}`;
}

/* Colors of series are the tokens --k-s0 .. --k-s11, apart for people with red-green blindness and
 * 3:1 against the background, in both themes. The second dozen has dashes, the third one dots. */
export const COLORS = 12;
const DASHES = [[], [5, 2], [2, 2]];
export const dashOf = i => DASHES[Math.floor(i / COLORS) % 3];
/* The same as a background, of what stands for a series beside the graph. */
export function swatch(i) {
	const color = `var(--k-s${i % COLORS})`, [on, off] = dashOf(i);
	return on ? `repeating-linear-gradient(90deg, ${color} 0 ${on}px, transparent 0 ${on + off}px)` : color;
}
