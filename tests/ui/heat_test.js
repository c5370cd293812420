/* Heat maps: cells of classic and native histograms, by hand; colors; pixels; what is read out. */
import {ok, equal, near, test, note, dice, stage, frame, until, expected} from "./tap.js";
import {heat, ramp, shadeOf, SHADES} from "/ui/chart/heat.js";
import {cellsOf, rowEnds, valueAxis} from "/ui/chart/cells.js";
import {seriesOf} from "/ui/chart/matrix.js";

expected("willReadFrequently");
const FROM = Date.parse("2026-11-29T10:00:00Z") / 1000;
const classic = (le, values, more = {}) => ({metric: {__name__: "d_bucket", le, ...more},
	values: values.map((v, i) => [FROM + i * 15, String(v)])});
const native = (columns, more = {}) => ({metric: {__name__: "d", ...more},
	histograms: columns.map((buckets, i) => [FROM + i * 15, {count: "1", sum: "1", buckets}])});
const flat = cells => cells.columns.map(c => c.map(b => [b.lo, b.hi, b.count]));

test("classic buckets", () => {
	const c = cellsOf(seriesOf([classic("+Inf", [10, 20]), classic("0.5", [7, 8]), classic("0.1", [4, 8]),
		classic("1", [7, 15])]));
	equal(c.kind, "rows", "a row for each");
	equal(flat(c), [[[0, 0.1, 4], [0.1, 0.5, 3], [0.5, 1, 0], [1, Infinity, 3]],
		[[0, 0.1, 8], [0.1, 0.5, 0], [0.5, 1, 7], [1, Infinity, 5]]],
		"what each has more than the one below, by number, not by name");
	equal([...rowEnds(c.columns)], [0, 0.1, 0.5, 1, Infinity], "the ends");
	const d = cellsOf(seriesOf([classic("-1", [2]), classic("1", [5]), classic("+Inf", [5])]));
	equal(flat(d), [[[-Infinity, -1, 2], [-1, 1, 3], [1, Infinity, 0]]],
		"the lowest below zero begins at -Inf");
	const e = cellsOf(seriesOf([classic("1", [5]), classic("2", [3]), classic("+Inf", [6])]));
	equal([flat(e), e.odd], [[[[0, 1, 5], [1, 2, 0], [2, Infinity, 1]]], 1],
		"a bucket with less than the one below is empty, and told");
	const f = cellsOf(seriesOf([classic("1", [0.3]), classic("2", [0.3 - 1e-17]),
		classic("+Inf", [0.30000000000000004])]));
	equal(f.odd, 0, "not for the last bits of a rate");
	const g = cellsOf(seriesOf([classic("1", [1], {i: "a"}), classic("+Inf", [3], {i: "a"}),
		classic("1", [10], {i: "b"}), classic("+Inf", [10], {i: "b"})]));
	equal([flat(g), g.histograms], [[[[0, 1, 11], [1, Infinity, 2]]], 2], "several are added up");
	const h = cellsOf(seriesOf([classic("1", ["NaN"]), classic("2", [3]), classic("+Inf", [4])]));
	equal(flat(h), [[[0, 2, 3], [2, Infinity, 1]]], "a bucket that is missing is part of the next");
	const one = cellsOf(seriesOf([classic("1", [4, "NaN"]), classic("1.0", [6, 8]), classic("2", [5, "NaN"]),
		classic("2.0", [6, 9]), classic("+Inf", [12, 9])]));
	equal([flat(one), one.odd], [[[[0, 1, 10], [1, 2, 1], [2, Infinity, 1]],
		[[0, 1, 8], [1, 2, 1], [2, Infinity, 0]]], 0], "one bound, written in two ways, is one bucket");
	equal(cellsOf(seriesOf([{metric: {le: "x"}, values: [[1, "1"]]},
		{metric: {}, values: [[1, "1"]]}])).kind, null, "no histogram at all");
});

test("native histograms", () => {
	const c = cellsOf(seriesOf([native([[[1, "-2", "-1", "4"], [3, "-0.001", "0.001", "5"],
		[0, "1", "2", "6"], [0, "4", "8", "7"]]])]));
	equal(c.kind, "native", "exponential ones");
	equal(flat(c), [[[-2, -1, 4], [-0.001, 0.001, 5], [1, 2, 6], [4, 8, 7]]], "as they are");
	equal(c.columns[0].map(b => b.zero), [false, true, false, false], "the zero bucket");
	const fine = 2 ** (1 / 256);
	equal(cellsOf(seriesOf([native([[[0, String(fine ** 5), String(fine ** 6), "1"]]])])).kind, "native",
		"schema 8");
	equal(cellsOf(seriesOf([native([[[0, "1", "65536", "1"]]])])).kind, "native", "schema -4");
	equal(cellsOf(seriesOf([native([[[0, "-Inf", "1", "1"], [0, "1", "2.5", "2"],
		[0, "10", "+Inf", "3"]]])])).kind, "rows", "custom ones");
	equal(cellsOf(seriesOf([native([[[0, "0", "5", "1"]]])])).kind, "rows",
		"a custom one that begins at zero");
	equal(flat(cellsOf(seriesOf([native([[[0, "1", "2", "6"]]], {i: "a"}),
		native([[[0, "1", "2", "1"], [0, "2", "4", "1"]]], {i: "b"})]))), [[[1, 2, 7], [2, 4, 1]]],
		"several are added up");
	equal(cellsOf(seriesOf([native([[]])])).columns, [[]], "one without an observation");
});

test("the axis of native buckets", () => {
	const a = valueAxis(cellsOf(seriesOf([native([[[3, "-1e-128", "1e-128", "5"], [0, "1", "2", "6"],
		[0, "512", "1024", "7"]]])])).columns, 0.1);
	equal([a.base, a.middle, a.least, a.most], [0, 0.1, 1, 1024],
		"the zero bucket is a band at the bottom");
	near(a.at(1), 0.1, 1e-12, "above it the least bound");
	near(a.at(32), 0.55, 1e-12, "logarithms");
	near(a.at(1024), 1, 1e-12, "the greatest at the top");
	const b = valueAxis(cellsOf(seriesOf([native([[[1, "-8", "-4", "1"], [1, "-4", "-2", "1"],
		[0, "2", "4", "6"], [0, "4", "8", "7"]]])])).columns, 0.1);
	ok([-8, -4, -2, 2, 4, 8].every((v, i, all) => !i || b.at(v) > b.at(all[i - 1])),
		"ascending on both sides of zero");
	near(b.at(-8), 0, 1e-12, "the lowest at the bottom");
	near(b.at(-4) + b.at(4), 1, 1e-12, "mirrored");
	const c = valueAxis(cellsOf(seriesOf([native([[[3, "-0.1", "0.1", "5"]]])])).columns, 0.1);
	equal([c.base, c.middle, c.at(0)], [0, 1, 0.5], "nothing but the zero bucket");
	const d = valueAxis(cellsOf(seriesOf([native([[[0, "1", "2", "5"]]])])).columns, 0.1);
	equal([d.at(1), d.at(2)], [0, 1], "one bucket, no band for a zero bucket that is empty");
});

test("colors", () => {
	const light = text => {
		const [r, g, b] = text.match(/\d+/g).map(v => (v / 255 <= 0.04045 ? v / 255 / 12.92
			: ((v / 255 + 0.055) / 1.055) ** 2.4));
		const y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
		return y > 0.008856 ? 116 * y ** (1 / 3) - 16 : 903.3 * y;
	};
	for (const [theme, way, bg] of [["light", -1, "rgb(255 255 255)"], ["dark", 1, "rgb(20 24 29)"]]) {
		const l = ramp(theme).map(light);
		ok(l.every((v, i) => !i || (v - l[i - 1]) * way > 0), `${theme}: lightness goes one way`);
		const steps = l.slice(1).map((v, i) => Math.abs(v - l[i]));
		ok(Math.max(...steps) < 3.2,
			`${theme}: no step that jumps out (${Math.max(...steps).toFixed(2)})`);
		ok(Math.abs(l[0] - light(bg)) > 8 && Math.abs(l.at(-1) - light(bg)) > 70,
			`${theme}: the least is seen on the background, the most stands far from it`);
	}
	equal([shadeOf(0, 9), shadeOf(9, 9), shadeOf(9 / 4, 9)], [0, SHADES - 1, SHADES / 2],
		"the root of a count");
});

const shown = async (result, more = {}) => {
	const p = heat({series: seriesOf(result), from: FROM * 1000, to: (FROM + 15 * 99) * 1000, step: 15000,
		zone: "utc", ...more});
	stage(800, 400).append(p.el);
	await until(() => p.box.area);
	await frame();
	return p;
};
const pixel = (p, x, y) => {
	const c = p.el.querySelector("canvas.k-chart-in"), r = c.width / c.clientWidth;
	return [...c.getContext("2d").getImageData(Math.round(x * r), Math.round(y * r), 1, 1).data];
};
const rgb = text => text.match(/\d+/g).map(Number);

test("what is drawn", async () => {
	const n = Array.from({length: 100}, (_, i) => i);
	const p = await shown([classic("1", n.map(() => 25)), classic("2", n.map(i => (i < 50 ? 25 : 125))),
		classic("+Inf", n.map(i => (i < 50 ? 25 : 125)))]);
	const {x, y, w, h} = p.box.area, colors = ramp("light");
	const at = (f, row) => pixel(p, x + w * f, y + h * (1 - (row + 0.5) / 3)).slice(0, 3);
	equal(at(0.25, 0), rgb(colors[shadeOf(25, 100)]),
		"a quarter of the greatest count, in the lowest bucket");
	equal(at(0.75, 1), rgb(colors[SHADES - 1]), "the greatest, in the second");
	equal([pixel(p, x + w * 0.25, y + h / 2)[3], pixel(p, x + w * 0.75, y + h / 6)[3]], [0, 0],
		"nothing where nothing is");
	const s = p.el.querySelector(".k-chart-stage"), r = s.getBoundingClientRect();
	s.dispatchEvent(new PointerEvent("pointermove",
		{clientX: r.left + x + w * 0.75, clientY: r.top + y + h / 2, pointerType: "mouse",
		bubbles: true}));
	equal([...p.el.querySelectorAll(".k-chart-row")].map(e => e.textContent),
		["Bucket(1, 2]", "Count100", "Share of 12580 %", "Up to 2100 %"], "bucket, count, share");
	ok(/heat map of one histogram.*from 0 to 2, most in \(1, 2\] at 2026-11-29 10:12:30: 100/.test(await until(() => s.getAttribute("aria-label"))), "what it shows, in words", s.getAttribute("aria-label"));
	s.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowDown", bubbles: true}));
	equal(p.el.querySelector(".k-chart-row").textContent, "Bucket(0, 1]", "keys walk through buckets");
	equal(p.csv().split("\n").slice(0, 2),
		['time,"(0, 1]","(1, 2]","(2, +Inf)"', "2026-11-29T10:00:00.000Z,25,0,0"], "CSV");
	[...p.el.querySelectorAll("button")].find(b => b.textContent === "Table").click();
	equal([...p.el.querySelectorAll("tbody tr:first-child > *")].map(c => c.textContent),
		["2026-11-29 10:00:00", "25", "0", "0"], "the same as a table");
});

test("native, empty, none", async () => {
	const p = await shown([native(Array.from({length: 100},
		() => [[1, "-4", "-2", "10"], [3, "-0.5", "0.5", "40"], [0, "2", "4", "10"]]))]);
	const {x, y, w, h} = p.box.area;
	const mid = pixel(p, x + w / 2, y + h / 2).slice(0, 3), top = pixel(p, x + w / 2, y + 5).slice(0, 3),
		low = pixel(p, x + w / 2, y + h - 5).slice(0, 3);
	equal([mid, top, low], [rgb(ramp("light")[SHADES - 1]), rgb(ramp("light")[shadeOf(10, 40)]),
		rgb(ramp("light")[shadeOf(10, 40)])], "negative below, zero between, positive above");
	for (const [name, result] of [["no series", []],
		["no histogram", [{metric: {}, values: [[FROM, "1"]]}]],
		["one without observations", [native([[]])]]]) {
		const q = await shown(result);
		ok(q.box.area && [...q.el.querySelectorAll("button")].length === 4,
			`${name}: drawn, and nothing is thrown`);
		q.csv();
	}
});

test("columns narrower than a pixel", async () => {
	const n = 20000, buckets = i => [[0, "1", "2", i === 12345 ? "1000" : "1"]];
	const series = seriesOf([{metric: {},
		histograms: Array.from({length: n},
		(_, i) => [FROM + i, {count: "1", sum: "1", buckets: buckets(i)}])}]);
	const begin = performance.now();
	const p = heat({series, from: FROM * 1000, to: (FROM + n) * 1000, step: 1000, zone: "utc"});
	stage(800, 400).append(p.el);
	await until(() => p.box.area);
	await frame();
	note(`20,000 columns: ${(performance.now() - begin).toFixed(0)} ms`);
	const X = p.box.area.X((FROM + 12345) * 1000), want = rgb(ramp("light")[SHADES - 1]);
	ok([-1, 0, 1].some(d => String(pixel(p, X + d, p.box.area.y + 50).slice(0, 3)) === String(want)),
		"one great count is not lost among small ones");
});

test("in time", async () => {
	const roll = dice(2), p = await shown([]);
	const series = seriesOf([native(Array.from({length: 1000},
		() => Array.from({length: 100}, (_, k) => [0, String(2 ** (k / 4)),
		String(2 ** ((k + 1) / 4)), String(Math.floor(roll() * 1000) + 1)])))]);
	const times = [];
	for (let k = 0; k < 5; k++) {
		const begin = performance.now();
		p.update({series, from: FROM * 1000, to: (FROM + 15 * 999) * 1000});
		await new Promise(done => requestAnimationFrame(done));
		pixel(p, 1, 1);
		await frame();
		times.push(performance.now() - begin);
	}
	note(`1,000 columns of 100 buckets: ${times.map(t => t.toFixed(0)).join(", ")} ms`);
	ok(Math.min(...times) < 2000,
		`1,000 columns of 100 buckets within two seconds, on a busy machine (${Math.min(...times).toFixed(0)} ms)`);
});
