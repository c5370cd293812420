/*
 * cardplay - the last day to be played back: a chart of all series and of new ones, and a slider below it.
 *
 *   cardplay({zone, onFrame(index)}) -> {el, set(frames, at), at, go(index), stop(), setZone(zone), destroy()}
 *
 * Frames as of cardmodel, ascending. The slider's keys: left and right a moment, page keys an hour, home and end; space
 * plays and pauses. Time is even along the chart and the slider: where nothing was counted there is a gap.
 */
import {h, put} from "../lib/dom.js";
import {count, short} from "../lib/figure.js";
import {printDuration, printTime} from "../lib/when.js";
import {timeTicks} from "../chart/timeticks.js";
import {nearestFrame} from "./cardmodel.js";

const PLAY_MS = 120, EDGE = 8, TOP = 20, BASE = 18, NEW = 26;	/* pixels: beside, above, below, of the bars */

export function cardplay({zone, onFrame}) {
	let frames = [], at = -1, playing = 0;
	const canvas = h("canvas", {class: "k-cardchart", "aria-hidden": "true"});
	const slider = h("input", {type: "range", class: "k-cardslider", min: "0", max: "1", step: "any", "aria-label": "Moment of the last day"});
	const button = h("button", {class: "k-button k-cardgo", onclick: () => (playing ? stop() : play())}, "Play");
	const text = h("output", {class: "k-cardtime"});
	const numbers = h("div", {class: "k-scroll k-cardnumbers", hidden: true, tabindex: "0", role: "region", "aria-label": "Numbers of the chart"});
	const tableButton = h("button", {class: "k-button", "aria-expanded": "false", onclick: () => {
		numbers.hidden = !numbers.hidden;
		tableButton.setAttribute("aria-expanded", String(!numbers.hidden));
		showNumbers();
	}}, "Numbers");
	const el = h("div", {class: "k-cardplay"}, canvas, slider,
		h("div", {class: "k-row"}, button,
			h("button", {class: "k-button", "aria-label": "One moment back", onclick: () => by(-1)}, "\u2039"),
			h("button", {class: "k-button", "aria-label": "One moment on", onclick: () => by(1)}, "\u203a"),
			text, h("span", {class: "k-push"}), tableButton), numbers);

	const from = () => frames[0].since;
	const to = () => Math.max(frames.at(-1).time, frames[0].since + 1);
	const isGap = (i) => i > 0 && frames[i].since > frames[i - 1].time;

	function go(index, told = true) {
		at = Math.min(frames.length - 1, Math.max(0, index));
		const f = frames[at];
		if (!f)
			return;
		const when = f.now ? "Now" : printTime(f.time, zone, {seconds: false});
		slider.value = String(f.time);
		slider.setAttribute("aria-valuetext", `${when}, ${count(f.series)} series`);
		put(text, h("strong", null, when), ` ${count(f.series)} series`,
			f.made === null ? null : `, ${count(f.made)} new in ${printDuration(Math.round((f.time - f.since) / 1000) * 1000)}`,
			isGap(at) ? `, nothing is known of ${printDuration(Math.round((f.since - frames[at - 1].time) / 60e3) * 60e3)} before that` : null);
		draw();
		if (told)
			onFrame(at);
	}
	const by = (n) => {
		stop();
		go(at + n);
	};
	const stop = () => {
		clearInterval(playing);
		playing = 0;
		button.textContent = "Play";
	};
	function play() {
		if (at >= frames.length - 1)
			go(0);
		button.textContent = "Pause";
		playing = setInterval(() => (at >= frames.length - 1 ? stop() : go(at + 1)), PLAY_MS);
	}
	const hourBack = (way) => nearestFrame(frames, frames[at].time + way * 3600e3);
	slider.addEventListener("input", () => {
		stop();
		go(nearestFrame(frames, Number(slider.value)));
	});
	slider.addEventListener("keydown", (e) => {
		const act = {ArrowRight: () => by(1), ArrowUp: () => by(1), ArrowLeft: () => by(-1), ArrowDown: () => by(-1), Home: () => by(-frames.length), End: () => by(frames.length),
			PageUp: () => by(Math.max(1, hourBack(1) - at)), PageDown: () => by(Math.min(-1, hourBack(-1) - at)), " ": () => button.click()}[e.key];
		if (!act || !frames.length || e.altKey || e.ctrlKey || e.metaKey)
			return;
		e.preventDefault();
		act();
	});
	const point = (e) => {
		if (!frames.length || (e.type === "pointermove" && !e.buttons))
			return;
		const box = canvas.getBoundingClientRect();
		stop();
		go(nearestFrame(frames, from() + (e.clientX - box.left - EDGE) / (box.width - 2 * EDGE) * (to() - from())));
	};
	canvas.addEventListener("pointerdown", (e) => {
		canvas.setPointerCapture(e.pointerId);
		point(e);
	});
	canvas.addEventListener("pointermove", point);

	function draw() {
		const w = canvas.clientWidth, high = canvas.clientHeight;
		if (!w || !frames.length)
			return;
		const ratio = window.devicePixelRatio || 1;
		canvas.width = Math.round(w * ratio);
		canvas.height = Math.round(high * ratio);
		const c = canvas.getContext("2d"), style = getComputedStyle(canvas);
		const color = (name) => style.getPropertyValue(`--k-${name}`).trim();
		c.scale(ratio, ratio);
		c.font = `12px ${color("sans")}`;
		const x = (t) => EDGE + (t - from()) / (to() - from()) * (w - 2 * EDGE);
		const floor = high - BASE - NEW - 6, most = Math.max(1, ...frames.map((f) => f.series)), mostNew = Math.max(1, ...frames.map((f) => f.made ?? 0));
		const y = (v) => floor - v / most * (floor - TOP);

		c.fillStyle = color("text2");
		for (const tick of timeTicks(from(), to(), Math.max(2, Math.floor(w / 110)), zone)) {
			const left = x(tick.time), half = c.measureText(tick.text).width / 2;
			c.fillRect(left, high - BASE, 1, 3);
			c.fillText(tick.text, Math.min(w - 2 * half - 1, Math.max(0, left - half)), high - 4);
		}
		frames.forEach((f, i) => {
			if (!isGap(i))
				return;
			c.fillStyle = color("bg2");
			const left = x(frames[i - 1].time);
			/* New ones are known from since on, all from time on. */
			c.fillRect(left, TOP, x(f.time) - left, floor - TOP);
			c.fillRect(left, floor, x(f.since) - left, high - BASE - floor);
		});
		c.fillStyle = color("s1");
		for (const f of frames) {
			const tall = (f.made ?? 0) / mostNew * NEW;
			if (tall > 0)
				c.fillRect(x(f.since), high - BASE - Math.max(1, tall), Math.max(1, x(f.time) - x(f.since) - 0.5), Math.max(1, tall));
		}
		/* Steps between moments are not known: straight lines, broken at gaps. */
		for (const fill of [true, false]) {
			c.beginPath();
			frames.forEach((f, i) => {
				const first = !i || isGap(i);
				if (first && fill)
					c.lineTo(x(f.time), floor);
				c[first && !fill ? "moveTo" : "lineTo"](x(f.time), y(f.series));
				if (fill && (i === frames.length - 1 || isGap(i + 1)))
					c.lineTo(x(f.time), floor);
			});
			c.globalAlpha = fill ? 0.15 : 1;
			c.fillStyle = c.strokeStyle = color("s0");
			c.lineWidth = 1.5;
			c[fill ? "fill" : "stroke"]();
		}
		c.globalAlpha = 1;
		c.fillStyle = color("line");
		c.fillRect(EDGE, floor, w - 2 * EDGE, 1);
		c.fillRect(EDGE, high - BASE, w - 2 * EDGE, 1);
		c.fillStyle = color("s0");
		c.fillText(`${short(most)} series`, EDGE, 13);
		const label = `${short(mostNew)} new`;
		c.fillStyle = color("s1");
		c.fillText(label, w - EDGE - c.measureText(label).width, 13);
		const f = frames[at] ?? frames.at(-1), here = x(f.time);
		c.fillStyle = color("text");
		c.fillRect(Math.round(here) - 0.5, TOP, 1, high - BASE - TOP);
		c.beginPath();
		c.arc(here, y(f.series), 3.5, 0, 7);
		c.fill();
	}

	function showNumbers() {
		if (numbers.hidden)
			return;
		put(numbers, h("table", {class: "k-table"}, h("thead", null, h("tr", null, h("th", null, "Time"), h("th", {class: "k-num"}, "Series"), h("th", {class: "k-num"}, "New"), h("th", null, "Largest"))),
			h("tbody", null, frames.toReversed().map((f) => h("tr", null, h("td", null, f.now ? "Now" : printTime(f.time, zone, {seconds: false})),
				h("td", {class: "k-num"}, count(f.series)), h("td", {class: "k-num"}, f.made === null ? "" : count(f.made)), h("td", null, f.top.length ? `${f.top[0][0]} ${count(f.top[0][1])}` : ""))))));
	}

	const watch = new ResizeObserver(draw);
	watch.observe(canvas);
	const colors = new MutationObserver(draw);	/* the theme */
	colors.observe(document.documentElement, {attributes: true, attributeFilter: ["data-theme"]});
	const dark = matchMedia("(prefers-color-scheme: dark)");
	dark.addEventListener("change", draw);
	return {
		el, go, stop,
		get at() { return at; },
		get playing() { return playing !== 0; },
		set(given, index) {
			frames = given;
			el.hidden = !frames.length;
			if (!frames.length)
				return;
			slider.min = String(from());
			slider.max = String(to());
			go(index, false);
			showNumbers();
		},
		setZone(z) {
			zone = z;
			go(at, false);
			showNumbers();
		},
		destroy() {
			stop();
			watch.disconnect();
			colors.disconnect();
			dark.removeEventListener("change", draw);
		},
	};
}
