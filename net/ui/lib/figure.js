/*
 * figure - numbers for people. All of them take a number and give a short text; what is no number is "NaN", "+Inf" and
 * "-Inf", as in PromQL. A missing value (null, undefined) is "".
 */
const odd = (v) => {
	if (v === null || v === undefined)
		return "";
	if (Number.isNaN(v))
		return "NaN";
	return v === Infinity ? "+Inf" : v === -Infinity ? "-Inf" : null;
};

/* Three digits that count, without zeros at the end: 1.23, 12.3, 123, 0.00123. */
const digits = (v, n = 3) => {
	const text = v.toPrecision(n);
	return text.includes("e") ? String(Number(text)) : text.includes(".") ? text.replace(/\.?0+$/, "") : text;
};

/* The largest unit of [size, name]... that v reaches; a value that rounds up to the next unit is one of it. */
const scaled = (v, units, gap, n = 3) => {
	const a = Math.abs(v);
	for (const [size, name] of units)
		if (Number((a / size).toPrecision(n)) >= 1)
			return digits(v / size, Math.max(n, Math.trunc(a / size) > 999 ? 4 : 0)) + gap + name;
	const [size, name] = units.at(-1);
	return digits(v / size, n) + gap + name;
};

const SHORT = [[1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]];
const BYTES = [[2 ** 50, "PiB"], [2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"], [1, "B"]];
const SECONDS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"], [1e-3, "ms"], [1e-6, "\u00b5s"], [1e-9, "ns"]];

/* 1234567 is "1.23M", 0.000123 "0.000123", 1e30 "1e+30". */
export const short = (v) => {
	const o = odd(v);
	if (o !== null)
		return o;
	const a = Math.abs(v);
	if (a === 0)
		return "0";
	if (a >= 1e18 || a < 1e-5)
		return v.toExponential(2).replace(/\.?0+e/, "e");
	return a < 1 ? digits(v) : scaled(v, SHORT, "");
};

/* Whole numbers with gaps between thousands: 1234567 is "1,234,567". */
export const count = (v) => odd(v) ?? Math.round(v).toLocaleString("en-US");

/* 1536 is "1.5 KiB". */
export const bytes = (v) => odd(v) ?? (v === 0 ? "0 B" : scaled(v, BYTES, " "));

/* 0.00123 is "1.23 ms", 5400 "1.5 h". */
export const seconds = (v) => odd(v) ?? (v === 0 ? "0 s" : scaled(v, SECONDS, " "));

/* A part of one: 0.1234 is "12.3%". */
export const percent = (v) => odd(v) ?? (v !== 0 && Math.abs(v) < 0.0005 ? "<0.1%" : digits(v * 100) + "%");

/* A rate: 1234567 is "1.23M/s". */
export const perSecond = (v) => odd(v) ?? short(v) + "/s";
