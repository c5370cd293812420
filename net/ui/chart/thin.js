/* Numbers before they are drawn: what is in sight, runs without a gap, the points that a pixel
 * keeps, sums of a stack. Pure functions over arrays: times ascending in ms, values with NaN where
 * there is none. */

/* The first index whose time is not below t. */
export function lowerBound(times, t) {
	let a = 0, b = times.length;
	while (a < b) {
		const m = (a + b) >>> 1;
		if (times[m] < t) a = m + 1;
		else b = m;
	}
	return a;
}

/* The sample nearest to t and at most so far from it, or -1. */
export function nearest(times, t, apart) {
	const i = lowerBound(times, t);
	const j = i > 0 && (i === times.length || t - times[i - 1] <= times[i] - t) ? i - 1 : i;
	return j < times.length && Math.abs(times[j] - t) <= apart ? j : -1;
}

/* The step of samples whose query is not known: the least distance that is common; 0 for fewer than
 * two. */
export function guessStep(series) {
	let step = Infinity;
	for (const s of series.slice(0, 20)) {
		const near = [];
		for (let i = 1; i < s.times.length && i <= 200; i++) near.push(s.times[i] - s.times[i - 1]);
		near.sort((a, b) => a - b);
		if (near.length) step = Math.min(step, near[near.length >> 2]);
	}
	return Number.isFinite(step) ? step : 0;
}

/* Of what is finite from index a to b (not with it), in steps of the axis: with log above zero
 * only. */
export function extent(values, a, b, log, into) {
	let lo = into[0], hi = into[1];
	for (let i = a; i < b; i++) {
		const v = values[i];
		if (!(v - v === 0) || (log && v <= 0)) continue;
		if (v < lo) lo = v;
		if (v > hi) hi = v;
	}
	into[0] = lo;
	into[1] = hi;
}

/* min, max, mean, last of the finite values, how many, and what is not finite; last is of all that
 * is no NaN. */
export function stats(values) {
	let min = Infinity, max = -Infinity, mean = 0, n = 0, odd = 0, last = NaN;
	for (const v of values) {
		if (v === v) last = v;
		if (!(v - v === 0)) {
			odd += v === v ? 1 : 0;
			continue;
		}
		n++;
		mean += (v - mean) / n;
		if (v < min) min = v;
		if (v > max) max = v;
	}
	if (!Number.isFinite(mean)) mean = values.reduce((m, v) => (v - v === 0 ? m + v / n : m), 0);
	return n ? {min, max, mean, last, n, odd} : {min: NaN, max: NaN, mean: NaN, last, n, odd};
}

/* Indices to draw a line from: of each run without a gap, of each column (columns of `wide` ms from
 * `from` on) the first, the least, the greatest and the last point; so no extreme is lost, and the
 * line enters and leaves each column where it does. Runs are parted by -1. A gap is a value that is
 * not finite (with log: not above zero), or a distance above `gap`. */
export function thin(times, values, a, b, {from, wide, gap, log = false}) {
	const out = new Int32Array((b - a) * 2 + 2);
	let n = 0, begun = false, column = 0, first = 0, least = 0, most = 0, last = 0;
	const flush = () => {
		out[n++] = first;
		const x = least < most ? least : most, y = least < most ? most : least;
		if (x !== first && x !== last) out[n++] = x;
		if (y !== first && y !== last && y !== x) out[n++] = y;
		if (last !== first) out[n++] = last;
	};
	for (let i = a; i < b; i++) {
		const v = values[i];
		if (!(v - v === 0) || (log && v <= 0)) {
			if (begun) flush(), out[n++] = -1;
			begun = false;
			continue;
		}
		const c = Math.floor((times[i] - from) / wide);
		if (begun && times[i] - times[last] > gap) flush(), out[n++] = -1, begun = false;
		else if (begun && c !== column) flush(), begun = false;
		if (!begun) {
			begun = true;
			column = c;
			first = least = most = i;
		} else {
			if (v < values[least]) least = i;
			if (v > values[most]) most = i;
		}
		last = i;
	}
	if (begun) flush();
	if (n && out[n - 1] === -1) n--;
	return out.subarray(0, n);
}

/* All times that any of the series has, ascending. */
export function allTimes(series) {
	const longest = series.reduce((a, s) => (s.times.length > a.length ? s.times : a), []);
	const known = new Set(longest);
	const more = new Set();
	for (const s of series) if (s.times !== longest) for (const t of s.times) if (!known.has(t)) more.add(t);
	return more.size ? Float64Array.from([...longest, ...more]).sort() : Float64Array.from(longest);
}

/* The tips of a stack on all times: values above zero upward, those below downward, each series on
 * those before it; NaN where a series has no finite value. A sum that overflows stays at the
 * greatest number. */
export function stack(series, times) {
	const up = new Float64Array(times.length), down = new Float64Array(times.length);
	const tips = series.map(s => {
		const tip = new Float64Array(times.length).fill(NaN);
		for (let i = 0, k = 0; i < s.times.length; i++) {
			while (k < times.length && times[k] < s.times[i]) k++;
			const v = s.values[i];
			if (!(v - v === 0)) continue;
			const side = v < 0 ? down : up;
			side[k] = Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, side[k] + v));
			tip[k] = side[k];
		}
		return tip;
	});
	return {times, tips};
}
