/* The colors of series: apart for people with red-green blindness, seen on the background, in both
 * themes. */
import {ok, test, note} from "./tap.js";
import {COLORS} from "/ui/chart/scale.js";
import {tokens} from "/ui/chart/chartbox.js";

const linear = v => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const rgb = text => text.match(/[\d.]+/g).slice(0, 3).map(v => linear(v / 255));
const times = (m, v) => m.map(r => Math.min(1, Math.max(0, r[0] * v[0] + r[1] * v[1] + r[2] * v[2])));
const luminance = c => 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2];
const contrast = (a, b) => (Math.max(luminance(a), luminance(b)) + 0.05) / (Math.min(luminance(a),
	luminance(b)) + 0.05);
const lab = ([r, g, b]) => {
	const f = t => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116);
	const x = f((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047),
		y = f(0.2126 * r + 0.7152 * g + 0.0722 * b),
		z = f((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883);
	return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
};
/* CIEDE2000. */
function apart([l1, a1, b1], [l2, a2, b2]) {
	const rad = Math.PI / 180, c7 = c => Math.sqrt(c ** 7 / (c ** 7 + 25 ** 7));
	const g = 0.5 * (1 - c7((Math.hypot(a1, b1) + Math.hypot(a2, b2)) / 2));
	a1 *= 1 + g;
	a2 *= 1 + g;
	const p1 = Math.hypot(a1, b1), p2 = Math.hypot(a2, b2), pm = (p1 + p2) / 2;
	const h1 = (Math.atan2(b1, a1) / rad + 360) % 360, h2 = (Math.atan2(b2, a2) / rad + 360) % 360;
	const turn = Math.abs(h1 - h2) > 180, dh = turn ? h2 - h1 - 360 * Math.sign(h2 - h1) : h2 - h1,
		hm = turn ? (h1 + h2 + 360) / 2 : (h1 + h2) / 2;
	const lm = (l1 + l2) / 2,
		t = 1 - 0.17 * Math.cos((hm - 30) * rad) + 0.24 * Math.cos(2 * hm * rad) + 0.32 * Math.cos((3 * hm + 6) * rad) - 0.2 * Math.cos((4 * hm - 63) * rad);
	const dl = (l2 - l1) / (1 + 0.015 * (lm - 50) ** 2 / Math.sqrt(20 + (lm - 50) ** 2)),
		dc = (p2 - p1) / (1 + 0.045 * pm);
	const dH = 2 * Math.sqrt(p1 * p2) * Math.sin(dh / 2 * rad) / (1 + 0.015 * pm * t);
	return Math.sqrt(dl ** 2 + dc ** 2 + dH ** 2 - 2 * c7(pm) * Math.sin(60 * Math.exp(-(((hm - 275) / 25) ** 2)) * rad) * dc * dH);
}
/* Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
 * Deficiency", severity 1. */
const EYES = {
	all: null,
	deuteranopes: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
		[-0.01182, 0.04294, 0.968881]],
	protanopes: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
		[-0.003882, -0.048116, 1.051998]],
};

for (const theme of ["light", "dark"]) test(theme, () => {
	document.documentElement.dataset.theme = theme;
	const t = tokens(document.body), colors = Array.from({length: COLORS}, (_, i) => rgb(t[`s${i}`]));
	for (const bg of ["bg", "bg2"]) {
		const least = Math.min(...colors.map(c => contrast(c, rgb(t[bg]))));
		ok(least >= 3, `${theme}: 3:1 at least against ${bg} (${least.toFixed(2)})`);
	}
	for (const [who, m] of Object.entries(EYES)) {
		const seen = colors.map(c => lab(m ? times(m, c) : c));
		let least = Infinity, pair = "";
		seen.forEach((a, i) => seen.slice(0, i).forEach((b, k) => {
			const d = apart(a, b);
			if (d < least) least = d, pair = `${k} and ${i}`;
		}));
		note(`${theme}, ${who}: nearest are ${pair}, ${least.toFixed(1)}`);
		ok(least > 10, `${theme}: twelve colors are apart for ${who}`);
	}
});
