/* A heat map of histograms over time: a column for each time, a cell for each bucket, the darker
 * (in the dark theme: the lighter) the more it counts.
 *
 *	heat({series, from, to, step, unit, zone, onZoom, onHover, height, label})
 *		-> {el, update(options), destroy(), kind, cross(time), zoom(from, to), out(), csv(), png()}
 *
 * series, options and hands as in chart/plot.js; unit is that of the bounds of buckets. Classic
 * histograms (label le) and native ones with custom buckets have a row for each bucket, exponential
 * ones an axis of logarithms with a band for the zero bucket. kind is null where the series are no
 * histograms (chart/cells.js). A color stands for the root of a count: few are seen beside many.
 * Where columns are narrower than a pixel, a pixel shows the greatest count of each bucket. */
import {h} from "../lib/dom.js";
import {printTime} from "../lib/when.js";
import {format} from "./scale.js";
import {guessStep, lowerBound, nearest} from "./thin.js";
import {cellsOf, rowEnds, valueAxis} from "./cells.js";
import {numberTable} from "./numbertable.js";
import {chartBox} from "./chartbox.js";

export const SHADES = 64;
const RAMPS = {light: ["#dbe9f6", "#9ecbe8", "#4f9bd0", "#2767ae", "#3b3c8f", "#2c1157"],
	dark: ["#20344f", "#28588a", "#2f86a6", "#4fb893", "#b5d865", "#fff4b8"]};

/* Colors from few to many, even to the eye; lightness goes one way only, so that it reads without
 * hues, too. */
export function ramp(theme) {
	const stops = RAMPS[theme].map(c => [1, 3, 5].map(i => parseInt(c.slice(i, i + 2), 16)));
	return Array.from({length: SHADES}, (_, k) => {
		const f = k / (SHADES - 1) * (stops.length - 1),
			i = Math.min(stops.length - 2, Math.floor(f)), r = f - i;
		return `rgb(${[0, 1, 2].map(c => Math.round(stops[i][c] * (1 - r) + stops[i + 1][c] * r)).join(" ")})`;
	});
}

/* Which of the shades a count has. */
export const shadeOf = (count, most) => Math.min(SHADES - 1, Math.floor(Math.sqrt(count / most) * SHADES));

export function heat(given) {
	const options = {series: [], from: 0, to: 1, step: 0, unit: "short", zone: "local", ...given};
	let data = null, step = 0, ends = null, axis = null, most = 0, colors = null, colorsOf = "",
		column = -1, cell = null;
	const few = h("span", null, "0"), many = h("span", null),
		bar = h("canvas", {class: "k-heat-scale", width: SHADES, height: 1, role: "img"});
	const key = h("span", {class: "k-heat-key"}, few, bar, many);

	function take() {
		data = cellsOf(options.series);
		step = options.step || guessStep([{times: data.times}]);
		ends = data.kind === "rows" ? rowEnds(data.columns) : null;
		column = -1;
		cell = null;
	}

	const inSight = () => [lowerBound(data.times, box.view.from - step / 2),
		lowerBound(data.times, box.view.to + step / 2 + 1)];

	/* Where a bound is, as a part of the height. */
	const place = v => (ends ? lowerBound(ends, v) / Math.max(1, ends.length - 1) : axis.at(v));
	const span = c => (!ends && c.zero ? [axis.base, axis.base + axis.middle]
		: [place(c.lo), place(c.hi)]);

	function gutter(g, height) {
		const [a, b] = inSight();
		if (!ends) axis = valueAxis(data.columns.slice(a, b), Math.min(0.5, 18 / height));
		most = 0;
		for (let i = a; i < b; i++) for (const c of data.columns[i]) if (c.count > most) most = c.count;
		box.ticks = ends ? rowTicks(height) : valueTicks(height);
		return Math.ceil(Math.max(32, ...box.ticks.map(t => g.measureText(t.text).width + 12)));
	}

	/* The ends of rows; the uppermost one always, and none that is too near to it. */
	function rowTicks(height) {
		const n = ends.length, room = height / Math.max(1, n - 1), every = Math.max(1, Math.ceil(14 / room));
		return Array.from(ends, (v, i) => ({i, at: i / Math.max(1, n - 1), text: format(v, options.unit, 3)}))
			.filter(({i}) => i === n - 1 || (i % every === 0 && (n - 1 - i) * room >= 13));
	}

	/* Powers of two or of ten, on both sides of zero. */
	function valueTicks(height) {
		const ticks = axis.middle ? [{at: axis.at(0), text: "0"}] : [];
		for (const [lo, hi, sign] of [[axis.least, axis.most, 1],
			[axis.lowLeast, axis.lowMost, -1]]) {
			if (!hi) continue;
			const room = Math.max(2,
				Math.abs(axis.at(sign * hi) - axis.at(sign * lo)) * height / 30),
				decades = Math.log10(hi / lo);
			const base = decades > room ? 10 ** Math.ceil(decades / room) : decades > room / 3.4
				? 10 : 2 ** Math.max(1, Math.ceil(Math.log2(hi / lo) / room));
			for (let e = Math.ceil(Math.log(lo) / Math.log(base) - 1e-9); base ** e <= hi * 1.0000001; e++) ticks.push({at: axis.at(sign * base ** e), text: format(sign * base ** e, options.unit, 3)});
		}
		const kept = [];
		for (const t of ticks) if (kept.every(k => Math.abs(k.at - t.at) * height >= 13)) kept.push(t);
		return kept;
	}

	function draw(g, area) {
		const {x, y, w, h: hi, X} = area, r = box.ratio, [a, b] = inSight();
		const theme = bright(box.colors.bg) ? "light" : "dark";
		if (colorsOf !== theme) colors = ramp((colorsOf = theme));
		if (most) paint(g, area, a, b);
		g.fillStyle = box.colors.text2;
		g.textAlign = "right";
		g.textBaseline = "middle";
		for (const t of box.ticks) {
			const py = y + hi * (1 - t.at);
			g.fillText(t.text, x - 6, Math.max(y + 2, py));
			g.fillRect(x - 3, Math.round(py * r) / r, 3, 1 / r);
		}
		if (!most) {
			g.textAlign = "center";
			g.font = `13px ${box.colors.font}`;
			g.fillText(data.kind ? "No observations in this range" : options.series.length
				? "No histogram: series with a label le, or native histograms"
				: "No data in this range", x + w / 2, y + hi / 2);
		}
		legend();
	}

	/* Shades by pixel, the greatest of those that meet in one, then colors: cells may be more
	 * than pixels. */
	function paint(g, {x, y, w, h: hi}, a, b) {
		const r = box.ratio, W = Math.round(w * r), H = Math.round(hi * r), {from, to} = box.view,
			per = W / (to - from);
		const shades = new Uint8Array(W * H);
		for (let i = a; i < b; i++) {
			const t = data.times[i], left = Math.max(0, Math.round((t - step / 2 - from) * per));
			const right = Math.min(W, Math.max(left + 1,
				Math.round((t + step / 2 - from) * per)));
			for (const c of data.columns[i]) {
				if (!(c.count > 0)) continue;
				const [lo, up] = span(c), top = Math.max(0, Math.round(H * (1 - up))),
					low = Math.min(H, Math.max(top + 1, Math.round(H * (1 - lo)))),
					shade = 1 + shadeOf(c.count, most);
				for (let row = top; row < low; row++)
					for (let k = row * W + left,
						end = row * W + right; k < end; k++) if (shades[k] < shade) shades[k] = shade;
			}
		}
		const canvas = h("canvas", {width: W, height: H}), o = canvas.getContext("2d"),
			image = o.createImageData(W, H);
		const pixels = new Uint32Array(image.data.buffer),
			inks = new Uint32Array([0, ...colors.map(ink)]);
		for (let k = 0; k < shades.length; k++) pixels[k] = inks[shades[k]];
		o.putImageData(image, 0, 0);
		g.imageSmoothingEnabled = false;
		g.drawImage(canvas, Math.round(x * r) / r, Math.round(y * r) / r, W / r, H / r);
	}

	function legend() {
		key.hidden = !most;
		many.textContent = format(most, "short", 3);
		bar.setAttribute("aria-label", `Colors from 0 to ${format(most, "short", 3)}`);
		const g = bar.getContext("2d");
		colors.forEach((_, k) => {
			/* Even in counts, so that half of the way is half of the greatest. */
			g.fillStyle = colors[shadeOf(k + 0.5, SHADES)];
			g.fillRect(k, 0, 1, 1);
		});
		const notes = [data.histograms > 1 ? `Sum of ${data.histograms} histograms` : "",
			data.odd ? `${data.odd} buckets with less than the one below: empty here` : ""];
		box.note.textContent = notes.filter(Boolean).join("; ");
	}

	const total = c => c.reduce((n, b) => n + b.count, 0);
	const name = c => (c.zero ? `[${format(c.lo, options.unit)}, ${format(c.hi, options.unit)}]`
		: c.lo < 0 && c.hi <= 0 && !ends
		? `[${format(c.lo, options.unit)}, ${format(c.hi, options.unit)})`
		: `(${format(c.lo, options.unit)}, ${format(c.hi, options.unit)}${c.hi === Infinity ? ")" : "]"}`);

	function hover(time, px, py) {
		if (time === null) {
			column = -1;
			cell = null;
			box.drawOver();
			return null;
		}
		const {y, h: hi} = box.area, before = cell;
		column = nearest(data.times, time, Infinity);
		const cells = data.columns[column] ?? [];
		if (py !== null) {
			const at = 1 - (py - y) / hi;
			cell = cells.find(c => at >= span(c)[0] && at < span(c)[1]) ?? null;
		} else cell = cells.find(c => before && c.lo === before.lo && c.hi === before.hi)
			?? cells.reduce((m, c) => (!m || c.count > m.count ? c : m), null);
		box.drawOver();
		const all = total(cells), row = (a, b) => h("div", {class: "k-chart-row"}, h("span", null, a),
			h("b", null, b));
		const below = cell && cells.reduce((n, c) => n + (c.hi <= cell.hi ? c.count : 0), 0);
		return {
			tip: cell ? [row("Bucket", name(cell)), row("Count", format(cell.count)),
				all > 0 && [row(`Share of ${format(all)}`,
				format(cell.count / all, "percent", 3)),
				row(`Up to ${format(cell.hi, options.unit)}`,
				format(below / all, "percent", 3))]]
				: [row("No observation here, in all", format(all))],
			dots: [], told: {bucket: cell && {lo: cell.lo, hi: cell.hi, count: cell.count}},
		};
	}

	function over(o, area) {
		if (!cell || column < 0) return;
		const [lo, up] = span(cell), {x, y, w, h: hi, X} = area, t = data.times[column];
		const left = Math.max(x, X(t - step / 2)),
			right = Math.min(x + w, Math.max(left + 3, X(t + step / 2)));
		o.lineWidth = 2;
		o.strokeStyle = box.colors.bg;
		o.strokeRect(left, y + hi * (1 - up), right - left, hi * (up - lo));
		o.lineWidth = 1;
		o.strokeStyle = box.colors.text;
		o.strokeRect(left - 1, y + hi * (1 - up) - 1, right - left + 2, hi * (up - lo) + 2);
	}

	function buckets() {
		const all = new Map(), [a, b] = inSight();
		for (let i = a; i < b; i++) for (const c of data.columns[i]) all.set(`${c.lo},${c.hi}`, c);
		return [...all.values()].sort((p, q) => p.lo - q.lo || p.hi - q.hi);
	}
	const countAt = (t, of) => data.columns[nearest(data.times, t, 0)]?.find(c => c.lo === of.lo
		&& c.hi === of.hi)?.count;
	const times = () => data.times.slice(...inSight());
	const toCsv = () => {
		const all = buckets();
		return [["time", ...all.map(c => `"${name(c)}"`)].join(","),
			...Array.from(times(), t => [new Date(t).toISOString(),
			...all.map(c => countAt(t, c) ?? "")].join(","))].join("\n") + "\n";
	};

	const box = chartBox(options, {
		gutter, draw, over, hover, csv: toCsv,
		snap: time => data.times[nearest(data.times, time, Infinity)] ?? null,
		next: (time, dir) => data.times[dir > 0 ? lowerBound(data.times, time + 0.5)
			: lowerBound(data.times, time) - 1] ?? null,
		turn(dir) {
			const cells = data.columns[column] ?? [], to = cells[cells.indexOf(cell) + dir];
			if (to) cell = to;
			return Boolean(to);
		},
		read: () => (cell
			? `bucket ${name(cell)}, count ${format(cell.count)} of ${format(total(data.columns[column]))}` : "no observation"),
		describe() {
			const {from, to} = box.view, [a, b] = inSight(), at = t => printTime(t, options.zone);
			const head = `${options.label ? `${options.label}: ` : ""}heat map of ${data.histograms === 1 ? "one histogram" : `${data.histograms} histograms`}, ${at(from)} to ${at(to)}`;
			let top = null, lo = Infinity, hi = -Infinity;
			for (let i = a; i < b; i++) for (const c of data.columns[i]) {
				if (!(c.count > 0)) continue;
				if (!top || c.count > top.c.count) top = {c, t: data.times[i]};
				lo = Math.min(lo, c.lo);
				hi = Math.max(hi, c.hi);
			}
			return top ? `${head}; observations from ${format(lo, options.unit)} to ${format(hi, options.unit)}, most in ${name(top.c)} at ${at(top.t)}: ${format(top.c.count)}. Arrow keys move through times and buckets, plus and minus zoom, Enter reads out.` : `${head}; no observations.`;
		},
		table: root => numberTable(root,
			{times: times(), zone: options.zone,
			columns: buckets().map(c => ({name: name(c),
			at: t => String(countAt(t, c) ?? "")}))}),
		legend: () => [0.05, 0.25, 0.5, 0.75,
			1].map(f => ({name: format(most * f, "short", 3),
			color: colors[shadeOf(most * f, most || 1)]})),
	});
	box.bar.prepend(key);
	take();
	box.adopt(options);
	return {
		el: box.el, box,
		update(more) {
			Object.assign(options, more);
			if (more.series || more.step !== undefined) take();
			box.adopt(more);
		},
		destroy: box.destroy,
		get kind() { return data.kind; },
		get cells() { return data; },
		cross: time => box.cross(time, null, "page"),
		zoom: box.zoom, out: box.out, csv: toCsv, png: box.png,
	};
}

/* A color as the bytes of a pixel, in the order of this machine. */
function ink(color) {
	const bytes = new Uint8Array([...color.match(/\d+/g).map(Number), 255]);
	return new Uint32Array(bytes.buffer)[0];
}

function bright(color) {
	const [r, g, b] = (color.match(/[\d.]+/g) ?? [255, 255, 255]).map(Number);
	return r * 0.3 + g * 0.59 + b * 0.11 > 128;
}
