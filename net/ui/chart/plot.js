/* A graph of lines or of stacked areas over time.
 *
 *	plot({series, from, to, step, kind, unit, zone, log, min, max, onZoom, onHover, height, label})
 *		-> {el, update(options), destroy(), series, hidden, setHidden(flags), highlight(i), cross(time), zoom(from, to), out(), csv(), png(), onCross(fn), onData(fn)}
 *
 * series: [{labels, name, times (ms), values}], as chart/matrix.js makes them; a series keeps its
 * color (its index) when others are hidden. from, to: ms; step: ms, 0: guessed. kind: "line" |
 * "stacked"; unit: "short" | "bytes" | "seconds" | "percent"; min, max: the ends of the axis of
 * values, null: automatic. onZoom(from, to): the hand has chosen a range; without it, the graph
 * looks nearer itself. onHover({time, index} | null). All of it may change by update(); the picture
 * follows in a frame.
 *
 * A line breaks where more than one step is missing; what stands alone is a dot; what is infinite
 * (or not above zero, in logarithms) is a small triangle at the edge. Stacked: values below zero go
 * downward, and the axis is linear. */
import {h} from "../lib/dom.js";
import {printTime} from "../lib/when.js";
import {axis, dashOf, format, swatch, COLORS} from "./scale.js";
import {thin, stack, allTimes, nearest, lowerBound, guessStep, stats, extent} from "./thin.js";
import {csv, nameOf, shared} from "./matrix.js";
import {numberTable} from "./numbertable.js";
import {chartBox} from "./chartbox.js";

const FINE = 6000; // vertices up to which lines are drawn as wide as they should be; hairlines beyond: twenty times as fast
const TWICE = 80000; // vertices up to which a line is two hairlines

export function plot(given) {
	const options = {series: [], from: 0, to: 1, step: 0, kind: "line", unit: "short", zone: "local",
		log: false, min: null, max: null, ...given};
	let series = [], names = [], common = {}, hidden = new Uint8Array(0), step = 0, gap = Infinity, y = null,
		chosen = -1, marked = -1, totals = null, stacked = null, notes = "";
	const onCross = [], onData = [];
	const shown = () => series.map((_, i) => i).filter(i => !hidden[i]);
	const color = i => box.colors[`s${i % COLORS}`];

	/* What a series is called beside the others; made when it is wanted. */
	function name(i) {
		const n = names[i] ??= nameOf(series[i].labels ?? {}, common);
		return n === "{}" ? series[i].name ?? n : n;
	}

	function take() {
		series = options.series;
		names = [];
		common = shared(series);
		hidden = hidden.length === series.length ? hidden : new Uint8Array(series.length);
		step = options.step || guessStep(series);
		gap = step ? step * 2.001 : Infinity;
		if (chosen >= series.length) chosen = -1;
		marked = -1;
		totals = stacked = null;
	}

	/* The tips of the stack of what is shown, on all times. */
	function stackNow() {
		if (!stacked) {
			const of = shown();
			stacked = {of, ...stack(of.map(i => series[i]), allTimes(of.map(i => series[i])))};
		}
		return stacked;
	}

	/* Indices of what is in sight, and a point more on each side: lines come from there. */
	function span(times) {
		const {from, to} = box.view;
		return [Math.max(0, lowerBound(times, from) - 1),
			Math.min(times.length, lowerBound(times, to + 1) + 1)];
	}

	function gutter(g, height) {
		const log = options.log && options.kind !== "stacked", {from, to} = box.view,
			lohi = [Infinity, -Infinity];
		const within = (times, values) => extent(values, lowerBound(times, from),
			lowerBound(times, to + 1), log, lohi);
		if (options.kind === "stacked") {
			const {times, tips} = stackNow();
			for (const tip of tips) within(times, tip);
			if (lohi[0] <= lohi[1]) lohi[0] = Math.min(0, lohi[0]),
				lohi[1] = Math.max(0, lohi[1]);
		} else for (const i of shown()) within(series[i].times, series[i].values);
		y = axis({lo: lohi[0], hi: lohi[1], log, unit: options.unit, min: options.min,
			max: options.max, ticks: Math.max(2, Math.floor(height / 34))});
		y.none = !(lohi[0] <= lohi[1]);
		y.spread = lohi[1] - lohi[0];
		if (y.none && options.min === null && options.max === null) y.ticks = [];
		return Math.ceil(Math.max(32, ...y.ticks.map(t => g.measureText(t.text).width + 12)));
	}

	/* So many digits that what is apart in sight is not told as the same number; the last bits of a fraction are noise. */
	const figure = v => format(v, options.unit, y?.spread > 0 ? Math.max(5, Math.min(Number.isInteger(v) ? 17 : 13,
		3 + Math.ceil(Math.log10(Math.abs(v) / y.spread)))) : 5);

	const far = 4; // heights that a line may leave the picture by
	const Y = (area, v) => area.y + area.h * (1 - Math.max(-far, Math.min(far, y.at(v))));

	function draw(g, area) {
		const {x, w, h: hi} = area, crisp = v => (Math.round(v * box.ratio) + 0.5) / box.ratio;
		const grid = () => {
			g.beginPath();
			for (const t of y.ticks) g.moveTo(x, crisp(Y(area, t.value))),
				g.lineTo(x + w, crisp(Y(area, t.value)));
			g.stroke();
		};
		g.lineWidth = 1 / box.ratio;
		g.strokeStyle = box.colors.line;
		g.fillStyle = box.colors.text2;
		g.textAlign = "right";
		g.textBaseline = "middle";
		for (const t of y.ticks) g.fillText(t.text, x - 6, Math.max(area.y + 2, Y(area, t.value)));
		grid();
		g.save();
		g.beginPath();
		g.rect(x - 3, area.y - 3, w + 6, hi + 6);
		g.clip();
		const odd = {inf: 0, log: 0};
		if (options.kind === "stacked") areas(g, area, grid);
		else lines(g, area, odd);
		if (!y.log && y.lo < 0 && y.hi > 0) {
			g.strokeStyle = box.colors.line2;
			g.lineWidth = 1 / box.ratio;
			g.beginPath();
			g.moveTo(x, crisp(Y(area, 0)));
			g.lineTo(x + w, crisp(Y(area, 0)));
			g.stroke();
		}
		g.restore();
		if (y.none && !odd.inf) {
			g.fillStyle = box.colors.text2;
			g.textAlign = "center";
			g.font = `13px ${box.colors.font}`;
			const any = series.length && !shown().length;
			g.fillText(any ? "All series are hidden" : odd.log
				? "No value above zero: nothing to show in logarithms"
				: "No data in this range", x + w / 2, area.y + hi / 2);
		}
		const said = [odd.inf ? `${odd.inf} infinite ${odd.inf === 1 ? "value" : "values"}` : "",
			odd.log && !y.none ? `${odd.log} not above zero` : ""].filter(Boolean).join(", ");
		if (said !== notes) notes = box.note.textContent = said && `${said}: at the edge`;
	}

	function lines(g, area, odd) {
		const {from, to} = box.view, wide = Math.max((to - from) / (area.w * box.ratio), 1e-6);
		const all = shown().map(i => {
			const s = series[i], [a, b] = span(s.times);
			return {i, s, a, b, kept: thin(s.times, s.values, a, b,
				{from, wide, gap, log: y.log})};
		});
		const vertices = all.reduce((n, l) => n + l.kept.length, 0);
		const fine = vertices <= FINE, shifts = fine ? [0] : vertices <= TWICE ? [0, 0.5] : [0];
		g.lineJoin = fine ? "round" : "bevel";
		g.lineWidth = fine ? (all.length > 20 ? 1.25 : 1.5) : 1 / box.ratio;
		for (const l of all) {
			g.strokeStyle = g.fillStyle = color(l.i);
			if (vertices <= 3 * FINE) g.setLineDash(dashOf(l.i));
			for (const shift of shifts) trace(g, area, l, shift, shift === 0);
			edges(g, area, l, odd);
		}
		g.setLineDash([]);
		totals = vertices;
	}

	/* One line; its single points as dots. */
	function trace(g, area, {s, kept}, shift, dots, size = 2.5) {
		const {times, values} = s, {from, to} = box.view, per = area.w / (to - from), n = kept.length;
		g.beginPath();
		let move = true;
		for (let k = 0; k < n; k++) {
			const i = kept[k];
			if (i < 0) {
				move = true;
				continue;
			}
			const px = area.x + (times[i] - from) * per, py = Y(area, values[i]) + shift;
			if (!move) g.lineTo(px + shift, py);
			else if (k + 1 < n && kept[k + 1] >= 0) g.moveTo(px + shift, py);
			else if (dots) g.fillRect(px - size, py - size, 2 * size, 2 * size);
			move = false;
		}
		g.stroke();
	}

	/* What has no place on the axis: a triangle at the edge, one for each few pixels. */
	function edges(g, area, {s, a, b}, odd) {
		const {from, to} = box.view;
		let up = -Infinity, down = -Infinity;
		for (let i = a; i < b; i++) {
			const v = s.values[i];
			if (v - v === 0 ? !y.log || v > 0 : v !== v) continue;
			if (s.times[i] < from || s.times[i] > to) continue;
			if (v - v === 0) odd.log++;
			else odd.inf++;
			const px = area.X(s.times[i]), top = v > 0;
			if (px < (top ? up : down) + 4) continue;
			if (top) up = px;
			else down = px;
			const edge = top ? area.y : area.y + area.h, d = top ? 6 : -6;
			g.beginPath();
			g.moveTo(px, edge);
			g.lineTo(px - 4, edge + d);
			g.lineTo(px + 4, edge + d);
			g.fill();
		}
	}

	/* From the uppermost tip to the axis, then the next one over it: no seams, whatever the
	 * pixels. */
	function areas(g, area, grid) {
		const {of, times, tips} = stackNow(), {from, to} = box.view, [a, b] = span(times);
		const wide = Math.max((to - from) / (area.w * box.ratio), 1e-6),
			zero = Y(area, Math.max(y.lo, Math.min(y.hi, 0)));
		const between = mixer(box.colors.bg);
		const parts = tips.map(tip => thin(times, tip, a, b,
			{from, wide, gap: step ? step * 1.5 : Infinity}));
		const vertices = parts.reduce((n, p) => n + p.length, 0);
		for (let k = tips.length - 1; k >= 0; k--) {
			const tip = tips[k], kept = parts[k];
			g.fillStyle = between(color(of[k]));
			g.beginPath();
			for (let j = 0, first = -1; j <= kept.length; j++) {
				const i = j < kept.length ? kept[j] : -1;
				if (i >= 0 && first < 0) {
					first = j;
					g.moveTo(area.X(times[i]), zero);
				}
				if (i >= 0) g.lineTo(area.X(times[i]), Y(area, tip[i]));
				else if (first >= 0) {
					const last = kept[j - 1], px = area.X(times[last]);
					if (j - first === 1) g.rect(px - 1, zero, 2,
						Y(area, tip[last]) - zero);
					else g.lineTo(px, zero);
					first = -1;
				}
			}
			g.fill();
			g.strokeStyle = color(of[k]);
			g.lineWidth = vertices <= FINE ? 1.25 : 1 / box.ratio;
			g.lineJoin = "bevel";
			g.setLineDash(dashOf(of[k]));
			trace(g, area, {s: {times, values: tip}, kept}, 0, false);
		}
		g.setLineDash([]);
		g.globalAlpha = 0.35;
		g.lineWidth = 1 / box.ratio;
		g.strokeStyle = box.colors.text2;
		grid();
		g.globalAlpha = 1;
	}

	/* The chosen series, above all others; where it has many vertices, as hairlines side by
	 * side, for a wide line costs a frame. */
	function over(o, area) {
		const i = marked >= 0 ? marked : chosen;
		if (i < 0 || hidden[i] || !y || options.kind === "stacked") return;
		const s = series[i], [a, b] = span(s.times), {from, to} = box.view;
		const kept = thin(s.times, s.values, a, b,
			{from, wide: (to - from) / area.w / box.ratio, gap, log: y.log});
		o.save();
		o.beginPath();
		o.rect(area.x, area.y - 2, area.w + 2, area.h + 4);
		o.clip();
		o.lineJoin = "round";
		o.setLineDash(dashOf(i));
		const many = kept.length > 600;
		for (const [tint, width, shifts] of [[box.colors.bg, 5, [-2, -1.5, 1.5, 2]],
			[color(i), 2.5, [-1, -0.5, 0, 0.5, 1]]]) {
			o.strokeStyle = o.fillStyle = tint;
			o.lineWidth = many ? 1 / box.ratio : width;
			for (const d of many ? shifts : [0]) trace(o, area, {s, kept}, d, d === 0, 3);
		}
		o.restore();
	}

	/* The sample of any shown series that is nearest in time. */
	function snap(time) {
		let best = null;
		for (const i of shown()) {
			const t = series[i].times, j = nearest(t, time, Infinity);
			if (j >= 0 && (best === null
				|| Math.abs(t[j] - time) < Math.abs(best - time))) best = t[j];
		}
		return best;
	}

	function next(time, dir) {
		let best = null;
		for (const i of shown()) {
			const t = series[i].times, j = dir > 0 ? lowerBound(t, time + 0.5)
				: lowerBound(t, time) - 1;
			if (j >= 0 && j < t.length && (best === null
				|| (dir > 0 ? t[j] < best : t[j] > best))) best = t[j];
		}
		return best;
	}

	/* Who has a value at that time, the greatest first: [{i, v, at}]; at: its place on the axis
	 * of values. */
	function values(time) {
		const apart = step ? step / 2 : 0.5, found = [];
		const st = options.kind === "stacked" ? stackNow() : null,
			k = st ? nearest(st.times, time, apart) : -1;
		const one = (i, tip) => {
			const s = series[i], j = nearest(s.times, time, apart);
			if (j >= 0 && s.values[j] === s.values[j]) found.push({i, v: s.values[j],
				at: tip ?? s.values[j]});
		};
		if (st) st.of.forEach((i, n) => one(i, st.tips[n][k]));
		else for (const i of shown()) one(i);
		return found.sort((a, b) => b.v - a.v || a.i - b.i);
	}

	let read = [];
	function hover(time, px, py) {
		if (time === null) {
			read = [];
			if (chosen >= 0) chosen = -1, box.drawOver();
			for (const fn of onCross) fn(null);
			return null;
		}
		const area = box.area;
		read = values(time);
		const before = chosen;
		if (py !== null) {
			/* In a stack the hand is in an area: that of the nearest tip beyond it. */
			const apart = r => {
				const d = Y(area, r.at) - py, v = r.at < 0 ? -d : d;
				return options.kind === "stacked" && v > 0 ? 1e6 + v : Math.abs(d);
			};
			let best = Infinity;
			chosen = -1;
			for (const r of read) if (Number.isFinite(r.v) && apart(r) < best) best = apart(r),
				chosen = r.i;
		} else if (!read.some(r => r.i === chosen)) chosen = read.find(r => Number.isFinite(r.v))?.i
			?? -1;
		if (chosen !== before) box.drawOver();
		for (const fn of onCross) fn({time, values: read, index: chosen});
		if (!read.length) return null;
		const near = read.findIndex(r => r.i === chosen),
			fits = Math.max(1, Math.min(area.w < 420 ? 7 : 14,
			Math.floor((box.stage.clientHeight - 62) / 18)));
		const from = read.length <= fits ? 0
			: Math.max(0, Math.min(near - (fits >> 1), read.length - fits));
		const rows = read.slice(from, from + fits);
		const sum = options.kind === "stacked" ? read.reduce((a, r) => a + r.v, 0) : null;
		const tip = [
			rows.map(r => h("div", {class: r.i === chosen ? "k-chart-row k-chart-near"
				: "k-chart-row"},
				h("i", {style: {background: swatch(r.i)}}),
					h("span", null, name(r.i)), h("b", null, figure(r.v)))),
			read.length > rows.length && h("div", {class: "k-chart-more"},
				`${from ? `${from} above, ` : ""}${read.length - from - rows.length} below`),
			sum !== null && h("div", {class: "k-chart-row"}, h("i", null), h("span", null, "Sum"),
				h("b", null, figure(sum))),
		];
		const c = read[near];
		return {tip, dots: c && Number.isFinite(c.v)
			&& (!y.log || c.v > 0) ? [{x: px, y: Y(area, c.at),
			color: color(c.i)}] : [], told: {index: chosen}};
	}

	function turn(dir) {
		const k = read.findIndex(r => r.i === chosen);
		const to = read[Math.max(0, Math.min(read.length - 1, k - dir))];
		if (!to || to.i === chosen) return false;
		chosen = to.i;
		box.drawOver();
		return true;
	}

	function describe() {
		const {from, to} = box.view, of = shown(), at = t => printTime(t, options.zone);
		const head = `${options.label ? `${options.label}: ` : ""}${options.kind === "stacked" ? "stacked graph" : "graph"} of ${of.length === 1 ? "one series" : `${of.length} series`}${of.length < series.length ? ` (${series.length - of.length} more hidden)` : ""}, ${at(from)} to ${at(to)}`;
		let lo = null, hi = null, last = null;
		for (const i of of) {
			const s = series[i], a = lowerBound(s.times, from), b = lowerBound(s.times, to + 1),
				f = stats(s.values.subarray(a, b));
			if (!f.n) continue;
			if (!lo || f.min < lo.v) lo = {v: f.min, i};
			if (!hi || f.max > hi.v) hi = {v: f.max, i};
			if (of.length === 1) last = f.last;
		}
		if (!lo) return `${head}; no data. `;
		const who = r => `${figure(r.v)}${of.length > 1 ? ` (${name(r.i)})` : ""}`;
		return `${head}; lowest ${who(lo)}, highest ${who(hi)}${last === null ? "" : `, last ${figure(last)}`}. Arrow keys move the crosshair, plus and minus zoom, Enter reads it out.`;
	}

	const inSight = () => {
		const {from, to} = box.view, of = shown().map(i => series[i]);
		return {of, times: allTimes(of).filter(t => t >= from && t <= to)};
	};
	const toCsv = () => {
		const {of, times} = inSight();
		return csv(of, times);
	};

	const box = chartBox(options, {
		gutter, draw, over, snap, next, hover, turn, describe, csv: toCsv,
		read() {
			const c = read.find(r => r.i === chosen);
			return read.length
				? `${c ? `${name(c.i)} ${figure(c.v)}` : ""}${read.length > 1 ? `; ${read.length} series, highest ${figure(read[0].v)} (${name(read[0].i)}), lowest ${figure(read.at(-1).v)} (${name(read.at(-1).i)})` : ""}` : "no value";
		},
		table(root) {
			const {of, times} = inSight();
			numberTable(root, {times, zone: options.zone,
				columns: of.map(s => ({name: name(series.indexOf(s)), at: t => {
				const j = nearest(s.times, t, 0);
				return j < 0 ? "" : String(s.values[j]);
			}}))});
		},
		legend: () => shown().map(i => ({name: name(i), color: color(i), dash: dashOf(i)})),
	});

	const api = {
		el: box.el, box,
		update(more) {
			Object.assign(options, more);
			if (more.series || more.step !== undefined) take();
			stacked = null;
			box.adopt(more);
			if (more.series) for (const fn of onData) fn();
		},
		destroy: box.destroy,
		get series() { return series; },
		name,
		get hidden() { return hidden; },
		get unit() { return options.unit; },
		get vertices() { return totals; },
		setHidden(flags) {
			hidden = Uint8Array.from(series, (_, i) => flags[i] ?? 0);
			stacked = null;
			if (hidden[chosen]) chosen = -1;
			box.changed();
		},
		highlight(i) {
			if (marked === i) return;
			marked = i;
			box.drawOver();
		},
		cross: time => box.cross(time, null, "page"),
		zoom: box.zoom, out: box.out, csv: toCsv, png: box.png,
		onCross: fn => onCross.push(fn),
		onData: fn => onData.push(fn),
	};
	take();
	box.adopt(options);
	return api;
}

/* A color a good half of the way to the background, opaque. */
function mixer(bg) {
	const numbers = text => (text.match(/[\d.]+/g) ?? [0, 0, 0]).map(Number), b = numbers(bg);
	return text => {
		const c = numbers(text);
		return `rgb(${[0, 1, 2].map(k => Math.round(c[k] * 0.55 + b[k] * 0.45)).join(" ")})`;
	};
}
