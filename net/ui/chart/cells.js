/* Histograms as cells of a heat map, whatever they came as.
 *
 *	cellsOf(series) -> {times, columns: [[{lo, hi, count, zero?}] ascending by lo], kind, histograms, odd}
 *
 * series: as chart/matrix.js makes them: with `histograms`, native ones; with a label le, classic
 * ones. kind: "native" (values are on an axis of their own), "rows" (a row per bucket: classic and
 * custom buckets, whose ends may be infinite) or null (no histogram). Those of one time are added
 * up; histograms: how many there were; odd: classic buckets that had less than the one below them,
 * which count as empty. */

const bound = text => {
	const v = Number(text);
	return v === v ? v : /^\+?inf$/i.test(text) ? Infinity : /^-inf$/i.test(text) ? -Infinity : NaN;
};

export function cellsOf(series) {
	const native = series.filter(s => s.histograms);
	if (native.length) return nativeCells(native);
	const classic = series.filter(s => s.labels.le !== undefined && !Number.isNaN(bound(s.labels.le)));
	return classic.length ? classicCells(classic)
		: {times: new Float64Array(0), columns: [], kind: null, histograms: 0, odd: 0};
}

/* Two columns as one: counts of the same bucket are added up. Both are sorted. */
function sum(a, b) {
	const out = [];
	for (let i = 0, j = 0; i < a.length || j < b.length;) {
		const d = i === a.length ? 1 : j === b.length ? -1 : a[i].lo - b[j].lo || a[i].hi - b[j].hi
			|| 0;
		if (d < 0) out.push(a[i++]);
		else if (d > 0) out.push(b[j++]);
		else out.push({...a[i], count: a[i++].count + b[j++].count});
	}
	return out;
}

const order = (a, b) => a.lo - b.lo || a.hi - b.hi;

function add(at, time, column) {
	for (let i = 1; i < column.length; i++) {
		if (order(column[i - 1], column[i]) <= 0) continue;
		column.sort(order);
		break;
	}
	at.set(time, at.has(time) ? sum(at.get(time), column) : column);
}

function finish(at, more) {
	const times = Float64Array.from(at.keys()).sort();
	return {times, columns: Array.from(times, t => at.get(t)), ...more};
}

/* A native bucket is [boundary rule, lower, upper, count]. Custom ones are told by an infinite end,
 * or by a growth that is not that of a schema: the ratio of ends is 2 to the power of 2^-schema,
 * with schemas of -4 to 8. */
function nativeCells(series) {
	const at = new Map();
	let custom = false;
	for (const s of series) {
		s.histograms.forEach((h, i) => {
			if (!h) return;
			add(at, s.times[i], (h.buckets ?? []).map(([, a, b, n]) => {
				const lo = bound(a), hi = bound(b), zero = lo <= 0 && lo === -hi;
				if (!custom && !zero) custom = !exponential(lo, hi);
				return {lo, hi, count: Number(n), zero};
			}));
		});
	}
	return finish(at, {kind: custom ? "rows" : "native", histograms: series.length, odd: 0});
}

function exponential(lo, hi) {
	if (lo * hi <= 0) return false;
	const ratio = lo < 0 ? lo / hi : hi / lo, schema = -Math.log2(Math.abs(Math.log2(ratio)));
	return Number.isFinite(ratio) && Math.abs(schema - Math.round(schema)) < 1e-3 && schema > -4.5
		&& schema < 8.5;
}

/* Of each histogram (the labels without le) the buckets by le; a count is what it has more than the
 * bucket below. The lowest one begins at zero where its end is above it, as in histogram_quantile,
 * else at -Inf. */
function classicCells(series) {
	const groups = new Map(), at = new Map();
	for (const s of series) {
		const key = JSON.stringify(Object.entries(s.labels).filter(([k]) => k !== "le").sort());
		if (!groups.has(key)) groups.set(key, []);
		groups.get(key).push({s, le: bound(s.labels.le), j: 0});
	}
	let odd = 0;
	for (const buckets of groups.values()) {
		buckets.sort((a, b) => a.le - b.le);
		const times = new Set();
		for (const {s} of buckets) for (const t of s.times) times.add(t);
		for (const t of [...times].sort((a, b) => a - b)) {
			const column = [];
			let below = 0, lo = buckets[0].le > 0 ? 0 : -Infinity;
			for (let i = 0; i < buckets.length;) {
				const {le} = buckets[i];
				let v = NaN;
				/* "1" and "1.0" are one bound: a target's newer version writes it another way. */
				for (; i < buckets.length && buckets[i].le === le; i++) {
					const b = buckets[i], {times, values} = b.s;
					while (b.j < times.length && times[b.j] < t) b.j++;
					const own = times[b.j] === t ? values[b.j] : NaN;
					if (own - own === 0) v = v === v ? v + own : own;
				}
				if (!(v - v === 0)) continue;
				/* Rates of buckets differ in their last bits: that is no bucket
				 * with less. */
				if (v < below - Math.abs(below) * 1e-9) odd++;
				column.push({lo, hi: le, count: Math.max(0, v - below)});
				below = Math.max(below, v);
				lo = le;
			}
			add(at, t, column);
		}
	}
	return finish(at, {kind: "rows", histograms: groups.size, odd});
}

/* Rows of all buckets there are, from the lowest: their ends, ascending, each once. */
export function rowEnds(columns) {
	const ends = new Set();
	for (const c of columns) for (const {lo, hi} of c) ends.add(lo), ends.add(hi);
	return Float64Array.from(ends).sort();
}

/* An axis of values for native buckets: logarithms above zero and, mirrored, below it; the zero
 * bucket is a band of its own between them. band: the part of the height it takes. -> {at(v),
 * sides, least, most} ; at(0) is the middle of the band. */
export function valueAxis(columns, band) {
	let least = Infinity, most = 0, lowLeast = Infinity, lowMost = 0, zero = false;
	for (const c of columns) {
		for (const b of c) {
			if (b.zero) zero ||= b.count > 0;
			else if (b.count > 0 && b.lo >= 0) least = Math.min(least, b.lo),
				most = Math.max(most, b.hi);
			else if (b.count > 0) lowLeast = Math.min(lowLeast, -b.hi),
				lowMost = Math.max(lowMost, -b.lo);
		}
	}
	const up = most ? Math.log(most / least) : 0, down = lowMost ? Math.log(lowMost / lowLeast) : 0;
	const middle = zero || down ? (up || down ? band : 1) : 0, rest = 1 - middle, sum = up + down || 1;
	const base = rest * down / sum;
	return {
		least, most, lowLeast, lowMost, zero, base, middle,
		at: v => (v > 0 && up ? base + middle + Math.max(0, Math.log(v / least)) / sum * rest
			: v < 0 && down ? base - Math.max(0, Math.log(-v / lowLeast)) / sum * rest
				: base + middle / 2),
	};
}
