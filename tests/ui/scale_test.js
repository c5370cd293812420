/* The axis of values: ranges, ticks, texts, for all that a double can be. */
import {ok, equal, near, test, dice} from "./tap.js";
import {axis, autoRange, format, niceStep} from "/ui/chart/scale.js";

const texts = options => axis(options).ticks.map(t => t.text);

test("steps", () => {
	equal([0.9, 1, 1.1, 3, 7, 99, 0.03].map(niceStep).map(x => Number(x.toPrecision(3))),
		[1, 1, 2, 5, 10, 100, 0.05], "1, 2, 5");
});

test("automatic ranges", () => {
	equal(autoRange(3, 10, false)[0], 0, "zero is in where it is near");
	ok(autoRange(90, 100, false)[0] > 85, "zero is out where it is far");
	equal(autoRange(-10, -2, false)[1], 0, "the same below zero");
	ok(autoRange(-10, 4, false)[0] < -10 && autoRange(-10, 4, false)[1] > 4,
		"both sides of zero have room");
	equal(autoRange(0, 0, false), [0, 1], "all zero");
	ok(autoRange(7, 7, false)[0] === 6.3 && autoRange(7, 7, false)[1] > 7, "one value that is not zero");
	ok(autoRange(-7, -7, false)[1] > -7, "one value below zero");
	equal(autoRange(NaN, NaN, false), [0, 1], "nothing");
	equal(autoRange(Infinity, -Infinity, true), [1, 10], "nothing, in logarithms");
	ok(autoRange(5, 5, true)[0] < 5 && autoRange(5, 5, true)[1] > 5, "one value, in logarithms");
});

test("texts", () => {
	equal(texts({lo: 0, hi: 10}), ["0", "2", "4", "6", "8", "10"], "plain numbers");
	equal(texts({lo: 0, hi: 3e6}), ["0", "1M", "2M", "3M"], "millions");
	equal(texts({lo: 0, hi: 2e6, ticks: 5}), ["0", "0.5M", "1.0M", "1.5M", "2.0M"],
		"one factor and as many digits for all of an axis");
	equal(texts({lo: 0, hi: 4 * 1024 ** 3, unit: "bytes"}), ["0", "1 GiB", "2 GiB", "3 GiB", "4 GiB"],
		"bytes");
	equal(texts({lo: 0, hi: 0.5, unit: "seconds"}),
		["0", "100 ms", "200 ms", "300 ms", "400 ms", "500 ms"], "parts of a second");
	equal(texts({lo: 0, hi: 7200, unit: "seconds", ticks: 5}), ["0", "0.5 h", "1.0 h", "1.5 h", "2.0 h"],
		"hours");
	equal(texts({lo: 0, hi: 1, unit: "percent", max: 1}), ["0", "20 %", "40 %", "60 %", "80 %", "100 %"],
		"percent");
	equal(texts({lo: 1e9, hi: 1e9 + 0.01, ticks: 3}).length,
		new Set(texts({lo: 1e9, hi: 1e9 + 0.01, ticks: 3})).size,
		"small steps at great numbers have texts of their own");
	equal(texts({lo: 1e9, hi: 1e9 + 0.01, ticks: 3}),
		["1000000000.000", "1000000000.005", "1000000000.010"], "all digits then");
	equal(format(1234.5678, "bytes"), "1.2056 KiB", "bytes, for people");
	equal([0.25, 90, 3600, 5400, 90000, 59.99, 1e-9].map(v => format(v, "seconds")),
		["250 ms", "1 min 30 s", "1 h", "1 h 30 min", "1 d 1 h", "59.99 s", "1 ns"],
		"times, for people");
	equal([0, 12, 1234567, -1234.5, 1e21, 1e-7, 0.125, NaN, Infinity, -Infinity].map(v => format(v)),
		["0", "12", "1.2346M", "-1.2345k", "1000E", "1e-7", "0.125", "NaN", "+Inf", "-Inf"],
		"numbers, for people");
	equal(format(0.12345, "percent"), "12.345 %", "a part of one");
	equal([999999.9, -1e9 + 1, 1024 ** 2 - 1].map((v, i) => format(v, i < 2 ? "short" : "bytes")),
		["1M", "-1G", "1 MiB"], "what rounds up to the next unit");
	equal(format(1e308), "1e308", "the greatest");
	equal(format(5e-324), "4.9407e-324", "the least");
});

test("logarithms", () => {
	equal(texts({lo: 1, hi: 1e6, log: true, ticks: 7}), ["1", "10", "100", "1k", "10k", "100k", "1M"],
		"decades");
	const wide = axis({lo: 1e-300, hi: 1e300, log: true});
	ok(wide.ticks.length >= 3 && wide.ticks.length <= 9, "six hundred decades have a few ticks",
		wide.ticks.map(t => t.text).join(" "));
	ok(texts({lo: 2, hi: 9, log: true}).length >= 3, "less than a decade has ticks",
		texts({lo: 2, hi: 9, log: true}).join(" "));
	ok(texts({lo: 100, hi: 101, log: true}).length >= 3, "a hundredth has ticks",
		texts({lo: 100, hi: 101, log: true}).join(" "));
	equal(texts({lo: 1024, hi: 1024 ** 3, log: true, unit: "bytes"}),
		["1 KiB", "32 KiB", "1 MiB", "32 MiB", "1 GiB"], "powers of two for bytes");
	const one = axis({lo: 1, hi: 100, log: true, min: 0});
	ok(one.lo > 0, "a lower end of zero, set by hand, is not taken");
	near(one.at(one.value(0.3)), 0.3, 1e-12, "value() is the inverse of at()");
});

test("set by hand", () => {
	const a = axis({lo: 3, hi: 9, min: -5, max: 20});
	equal([a.lo, a.hi], [-5, 20], "both ends");
	const b = axis({lo: 3, hi: 9, min: 50});
	ok(b.lo === 50 && b.hi > 50, "a lower end above all data");
	const c = axis({lo: 3, hi: 9, max: -50});
	ok(c.hi === -50 && c.lo < -50, "an upper end below all data");
	const d = axis({lo: 3, hi: 9, min: 5, max: 5});
	ok(d.hi > d.lo, "both the same");
});

test("any two doubles make an axis", () => {
	const roll = dice(1), bytes = new DataView(new ArrayBuffer(8));
	const any = () => {
		for (;;) {
			bytes.setUint32(0, roll() * 2 ** 32);
			bytes.setUint32(4, roll() * 2 ** 32);
			const v = bytes.getFloat64(0);
			if (Number.isFinite(v)) return v;
		}
	};
	const bad = [];
	const edge = [0, 5e-324, -5e-324, 1e308, -1e308, Number.MAX_VALUE, -Number.MAX_VALUE, 1, -1, 1e-300,
		1 + 2 ** -52];
	const pairs = edge.flatMap(a => edge.map(b => [a, b]));
	for (let i = 0; i < 3000; i++) pairs.push(i % 2 ? [any(), any()] : [any(), 0]);
	for (const [x, y] of pairs) {
		for (const unit of ["short", "bytes", "seconds", "percent"]) {
			for (const log of [false, true]) {
				const lo = Math.min(x, y), hi = Math.max(x, y);
				if (log && lo <= 0) continue;
				const a = axis({lo, hi, unit, log});
				const fine = a.lo < a.hi && a.ticks.length <= 24
					&& a.ticks.every(t => t.value >= a.lo - Math.abs(a.lo) * 1e-6
					&& t.value <= a.hi + Math.abs(a.hi) * 1e-6)
					&& [lo, hi].every(v => a.at(v) >= -1e-9 && a.at(v) <= 1 + 1e-9)
						&& a.ticks.every(t => t.text && !/NaN|Inf/.test(t.text)
						&& t.text.length < 30);
				if (!fine && bad.length < 5) bad.push(`${lo} ${hi} ${unit} ${log}: ${a.lo} ${a.hi} ${a.at(lo)} ${a.at(hi)} ${a.ticks.map(t => t.text).join(" | ")}`);
			}
		}
	}
	ok(!bad.length, `${pairs.length} pairs, each unit, linear and in logarithms`, ...bad);
});
