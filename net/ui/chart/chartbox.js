/* What graphs over time share: a place with two canvases (the picture; what moves above it), the
 * axis of time, the crosshair and its readout, zoom and pan, a bar of buttons, a description for
 * screen readers.
 *
 *	chartBox(options, parts) -> {el, bar, view, colors, changed(), draw(), cross(time, y), zoom(from, to), out(), png(), destroy()}
 *
 * options: {from, to (ms), zone ("local" | "utc"), height (px), label, onZoom(from, to)?}. With
 * onZoom the page asks for what is between (and comes back with update()); without, what is here
 * already is looked at nearer. parts, of the graph: gutter(g, height), draw(g, area), over(g,
 * area), snap(time) -> time, next(time, +1 | -1) -> time, hover(time, x, y) -> {tip: nodes, dots:
 * [{x, y, color}]} or null, turn(-1 | +1), read() and describe() -> text, csv() -> text,
 * table(root), legend() -> [{name, color, dash}]. area: {x, y, w, h, X(time), T(x)} in CSS pixels. */
import {copyButton, h, put, say} from "../lib/dom.js";
import {printOffset, printTime} from "../lib/when.js";
import {timeTicks} from "./timeticks.js";
import {gesture} from "./gesture.js";
import {COLORS} from "./scale.js";

const TOKENS = ["bg", "bg2", "line", "line2", "text", "text2", "accent",
	...Array.from({length: COLORS}, (_, i) => `s${i}`)];
const LINE = 15, BOTTOM = 2 * LINE + 6, TOP = 8, RIGHT = 12; // CSS pixels

/* The tokens as a canvas takes them, in the theme in force at el. */
export function tokens(el) {
	const probe = h("span", {hidden: true, style: {forcedColorAdjust: "none"}});
	el.append(probe);
	const out = {};
	for (const t of TOKENS) {
		probe.style.color = `var(--k-${t}, #777)`;
		out[t] = getComputedStyle(probe).color;
	}
	out.font = getComputedStyle(el).fontFamily;
	probe.remove();
	return out;
}

export function chartBox(options, parts) {
	const picture = h("canvas", {class: "k-chart-in"}), above = h("canvas", {class: "k-chart-in"});
	const line = h("div", {class: "k-chart-cross", hidden: true}),
		band = h("div", {class: "k-chart-band", hidden: true});
	const dots = h("div", null), tip = h("div", {class: "k-chart-tip", hidden: true});
	const stage = h("div", {class: "k-chart-stage", tabindex: "0", role: "application",
		"aria-roledescription": "graph"}, picture, above, band, line, dots, tip);
	const note = h("span", {class: "k-chart-note"});
	const tableAt = h("div", {class: "k-chart-table", hidden: true});
	const button = (text, title, onclick, more) => h("button",
		{class: "k-chart-button", title, onclick, ...more}, text);
	const outButton = button("Zoom out", "Back to the range before (double click, or -)", () => out());
	const tableButton = button("Table", "The same numbers as a table", () => showTable(tableAt.hidden),
		{"aria-expanded": "false"});
	const csvButton = copyButton(() => parts.csv(), "CSV");
	csvButton.className = "k-chart-button";
	csvButton.title = "Copy the numbers in sight, as lines of text";
	const bar = h("div", {class: "k-chart-bar"}, note, outButton, tableButton,
		csvButton, button("PNG", "Save the picture", () => download()));
	const el = h("div", {class: "k-chart"}, bar, stage, tableAt);
	const g = picture.getContext("2d"), o = above.getContext("2d");
	const view = {from: 0, to: 1};
	let colors = null, area = null, crossed = null, before = [], asked = false, frame = 0, described = 0,
		ratio = 1, width = 0;

	function adopt(given) {
		Object.assign(options, given);
		stage.style.height = `${options.height ?? 280}px`;
		if (held) { /* the hand decides, until it lets go */ } else if (asked
			|| (options.onZoom && (view.from !== options.from || view.to !== options.to))
			|| !before.length) {
			if (!asked) before = [];
			view.from = options.from;
			view.to = options.to;
		}
		asked = false;
		changed();
	}

	/* The picture is drawn anew with the next frame, however often this is called. */
	function changed() {
		frame ||= requestAnimationFrame(() => {
			frame = 0;
			draw();
		});
	}

	function fit() {
		const r = globalThis.devicePixelRatio || 1, w = stage.clientWidth, hi = stage.clientHeight;
		if (!w || !hi) return false;
		for (const c of [picture, above]) {
			if (c.width !== Math.round(w * r)) c.width = Math.round(w * r);
			if (c.height !== Math.round(hi * r)) c.height = Math.round(hi * r);
		}
		ratio = r;
		width = w;
		return true;
	}

	function draw() {
		if (!fit()) return;
		colors ??= tokens(el);
		box.colors = colors;
		box.ratio = ratio;
		const hi = stage.clientHeight;
		paint(g, width, hi);
		drawOver();
		if (crossed) cross(crossed.time, crossed.y, "again");
		outButton.disabled = !options.onZoom && !before.length;
		clearTimeout(described);
		described = setTimeout(() => {
			stage.setAttribute("aria-label", parts.describe());
			if (!tableAt.hidden) parts.table(tableAt);
		}, 100);
	}

	function paint(g, w, hi) {
		g.setTransform(ratio, 0, 0, ratio, 0, 0);
		g.clearRect(0, 0, w, hi);
		g.font = `11px ${colors.font}`;
		const inner = Math.max(20, hi - TOP - BOTTOM);
		const x = parts.gutter(g, inner), iw = Math.max(20, w - x - RIGHT), {from, to} = view;
		area = {x, y: TOP, w: iw, h: inner, X: t => x + (t - from) / (to - from) * iw,
			T: px => from + (px - x) / iw * (to - from)};
		box.area = area;
		timeAxis(g);
		parts.draw(g, area);
	}

	function timeAxis(g) {
		const {x, y, w, h: hi, X} = area, {from, to} = view;
		const ticks = timeTicks(from, to, Math.max(2, Math.floor(w / (to - from < 60000 ? 104 : 76))),
			options.zone);
		g.lineWidth = 1 / ratio;
		g.strokeStyle = colors.line;
		g.fillStyle = colors.text2;
		g.textAlign = "center";
		g.textBaseline = "alphabetic";
		const crisp = v => (Math.round(v * ratio) + 0.5) / ratio;
		g.beginPath();
		for (const t of ticks) {
			g.moveTo(crisp(X(t.time)), y);
			g.lineTo(crisp(X(t.time)), y + hi + 4);
		}
		g.stroke();
		let end = -Infinity, endMore = -Infinity;
		const write = (text, at, base, after) => {
			const half = g.measureText(text).width / 2,
				c = Math.max(half + 1, Math.min(x + w + RIGHT - half - 1, at));
			if (c - half < after) return after;
			g.fillText(text, c, base);
			return c + half + 8;
		};
		const zone = zoneText(from, to, options.zone ?? "local");
		for (const t of ticks) {
			end = write(t.text, X(t.time), y + hi + 4 + LINE - 2, end);
			if (t.more) endMore = write(t.more, X(t.time), y + hi + 4 + 2 * LINE - 3, endMore);
		}
		const zw = g.measureText(zone).width;
		if (x + w + RIGHT - zw > endMore) {
			g.textAlign = "right";
			g.fillText(zone, x + w + RIGHT - 1, y + hi + 4 + 2 * LINE - 3);
		}
	}

	function drawOver() {
		if (!area) return;
		o.setTransform(ratio, 0, 0, ratio, 0, 0);
		o.clearRect(0, 0, width, stage.clientHeight);
		parts.over(o, area);
	}

	/* The crosshair at a time (null: none); y: where the hand is, for the nearest. why: "hand"
	 * reads out and tells the page; "page" moves it only, as another graph has it; "again": the
	 * picture has changed below it. */
	function cross(time, y = null, why = "hand") {
		const t = time === null || !area ? null : parts.snap(time);
		if (t === null || t < view.from || t > view.to) {
			crossed = null;
			line.hidden = tip.hidden = true;
			dots.replaceChildren();
			parts.hover(null);
			if (why === "hand") options.onHover?.(null);
			return;
		}
		crossed = {time: t, y};
		const x = area.X(t), found = parts.hover(t, x, y);
		line.hidden = false;
		line.style.transform = `translateX(${Math.round(x)}px)`;
		line.style.top = `${area.y}px`;
		line.style.height = `${area.h}px`;
		put(dots, (found?.dots ?? []).map(d => h("i",
			{class: "k-chart-dot", style: {background: d.color,
			transform: `translate(${d.x}px, ${d.y}px)`}})));
		tip.hidden = !found || why === "page" || (why === "again" && tip.hidden);
		if (!tip.hidden) {
			put(tip, h("div", {class: "k-chart-when"}, printTime(t, options.zone, {ms: true}),
				" ", h("span", null, printOffset(t, options.zone))), found.tip);
			const w = tip.offsetWidth, hi = tip.offsetHeight;
			const left = x + 14 + w <= width ? x + 14 : x - 14 - w >= 0 ? x - 14 - w
				: x > width / 2 ? 0 : width - w;
			const top = Math.max(0, Math.min(stage.clientHeight - hi,
				(y ?? area.y + area.h / 3) - hi / 2));
			tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
		}
		if (why === "hand") options.onHover?.({time: t, ...found?.told});
	}

	function look(from, to, ask) {
		if (!(to - from >= 10)) return;
		view.from = Math.round(from);
		view.to = Math.round(to);
		asked = Boolean(options.onZoom);
		changed();
		if (ask) options.onZoom?.(view.from, view.to);
	}

	function zoom(from, to) {
		if (!(to - from >= 10)) return;
		before.push({from: view.from, to: view.to});
		look(from, to, true);
	}

	function out() {
		const b = before.pop(), span = view.to - view.from;
		if (b) look(b.from, b.to, true);
		else if (options.onZoom) look(view.from - span / 2, view.to + span / 2, true);
	}

	const zoomAt = factor => {
		const {from, to} = view, c = crossed?.time ?? (from + to) / 2;
		zoom(c - (c - from) * factor, c + (to - c) * factor);
	};
	const clamp = x => Math.max(area.x, Math.min(area.x + area.w, x));
	let held = null; // the range before a pan or a pinch
	const hold = () => (held ??= {from: view.from, to: view.to});
	const letGo = () => {
		if (held) before.push(held), look(view.from, view.to, true);
		held = null;
	};

	const stop = gesture(stage, {
		inside: x => Boolean(area) && x >= area.x && x <= area.x + area.w,
		cross: (x, y, touch) => area && (touch
			|| (x >= area.x - 2 && x <= area.x + area.w + 2)
			? cross(area.T(clamp(x)), touch ? null : y) : cross(null)),
		leave: () => cross(null),
		band(a, b) {
			band.hidden = a === null || !area;
			if (band.hidden) return;
			const [l, r] = [clamp(Math.min(a, b)), clamp(Math.max(a, b))];
			Object.assign(band.style, {left: `${l}px`, width: `${r - l}px`, top: `${area.y}px`,
				height: `${area.h}px`});
		},
		choose: (a, b) => zoom(area.T(clamp(Math.min(a, b))), area.T(clamp(Math.max(a, b)))),
		pan(dx) {
			hold();
			const ms = dx / area.w * (view.to - view.from);
			view.from -= ms;
			view.to -= ms;
			changed();
		},
		panned: letGo,
		pinch(x1, x2, y1, y2) {
			const {from, to} = hold(), per = (to - from) / area.w;
			if (y2 - y1 < 10 || x2 - x1 < 1) return;
			const now = per * (x2 - x1) / (y2 - y1);
			view.from = from + (x1 - area.x) * per - (y1 - area.x) * now;
			view.to = view.from + now * area.w;
			changed();
		},
		pinched: letGo,
		out,
		key(name, shift) {
			if (!area) return false;
			const {from, to} = view;
			if (name === "ArrowLeft" || name === "ArrowRight") {
				const dir = name === "ArrowLeft" ? -1 : 1;
				let t = crossed ? crossed.time : dir > 0 ? from - 1 : to + 1;
				for (let i = 0; i < (shift ? 10 : 1); i++) {
					const n = parts.next(t, dir);
					if (n === null || n < from || n > to) break;
					t = n;
				}
				cross(t, null);
			} else if (name === "Home" || name === "End") cross(parts.next(name === "Home"
				? from - 1 : to + 1, name === "Home" ? 1 : -1), null);
			else if (name === "ArrowUp" || name === "ArrowDown") {
				if (!crossed || !parts.turn(name === "ArrowUp" ? 1
					: -1)) return Boolean(crossed);
				cross(crossed.time, null);
			} else if (name === "+" || name === "=") zoomAt(0.5);
			else if (name === "-" || name === "_") out();
			else if (name === "PageUp" || name === "PageDown") {
				const by = (to - from) / (name === "PageUp" ? -2 : 2);
				zoom(from + by, to + by);
			}
			else if (name === "Enter") say(crossed
				? `${printTime(crossed.time, options.zone)}: ${parts.read()}`
				: parts.describe());
			else if (name === "Escape" && crossed) cross(null);
			else return false;
			return true;
		},
	});

	function showTable(open) {
		tableAt.hidden = !open;
		tableButton.setAttribute("aria-expanded", String(open));
		if (open) parts.table(tableAt);
	}

	/* A canvas with the picture on its background, and below it who is who. */
	function png() {
		draw();
		const names = parts.legend().slice(0, 40), c = document.createElement("canvas");
		c.width = picture.width;
		c.height = picture.height + Math.ceil((8 + names.length * 18) * ratio);
		const p = c.getContext("2d");
		p.fillStyle = colors.bg;
		p.fillRect(0, 0, c.width, c.height);
		p.drawImage(picture, 0, 0);
		p.setTransform(ratio, 0, 0, ratio, 0, picture.height);
		p.font = `12px ${colors.font}`;
		p.lineWidth = 10;
		names.forEach(({name, color, dash = []}, i) => {
			p.strokeStyle = color;
			p.setLineDash(dash);
			p.beginPath();
			p.moveTo(12, i * 18 + 12);
			p.lineTo(24, i * 18 + 12);
			p.stroke();
			p.fillStyle = colors.text;
			p.fillText(name, 28, i * 18 + 16, width - 40);
		});
		return c;
	}

	function download() {
		png().toBlob(blob => {
			const url = URL.createObjectURL(blob);
			h("a", {href: url,
				download: `kymo-${new Date(view.to).toISOString().slice(0, 19).replace(/:/g, "")}.png`}).click();
			setTimeout(() => URL.revokeObjectURL(url), 10000);
		});
	}

	const themed = () => {
		colors = null;
		changed();
	};
	const sizes = new ResizeObserver(changed);
	sizes.observe(stage);
	const themes = new MutationObserver(themed);
	themes.observe(document.documentElement, {attributes: true});
	const media = ["(prefers-color-scheme: dark)",
		`(resolution: ${globalThis.devicePixelRatio || 1}dppx)`].map(q => matchMedia(q));
	for (const m of media) m.addEventListener("change", themed);

	const box = {
		el, bar, note, stage, options, view, area: null, colors: null, ratio: 1, adopt, changed, draw,
			drawOver, cross, zoom, out, png,
		get crossed() { return crossed; },
		destroy() {
			stop();
			sizes.disconnect();
			themes.disconnect();
			for (const m of media) m.removeEventListener("change", themed);
			cancelAnimationFrame(frame);
			clearTimeout(described);
			el.remove();
		},
	};
	return box;
}

function zoneText(from, to, zone) {
	const a = printOffset(from, zone), b = printOffset(to, zone);
	return a === b ? a : `${a}, then ${b}`;
}
