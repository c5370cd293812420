/* Points that a pixel keeps, stacks, the nearest sample: against the same done the long way. */
import {ok, equal, near, test, dice} from "./tap.js";
import {thin, stack, allTimes, nearest, lowerBound, guessStep, stats, extent} from "/ui/chart/thin.js";

const F = a => Float64Array.from(a);
const line = (times, values, more = {}) => [...thin(F(times), F(values), 0, times.length,
	{from: 0, wide: 1, gap: 2.5, ...more})];

test("runs and gaps", () => {
	equal(line([], []), [], "nothing");
	equal(line([0], [5]), [0], "one point");
	equal(line([0, 1, 2], [1, 2, 3]), [0, 1, 2], "a line");
	equal(line([0, 1, 3, 4], [1, 2, 3, 4]), [0, 1, 2, 3], "one step that is missing is no gap");
	equal(line([0, 1, 4, 5], [1, 2, 3, 4]), [0, 1, -1, 2, 3], "two are");
	equal(line([0, 1, 2, 3], [1, NaN, 3, 4]), [0, -1, 2, 3], "a value that is none");
	equal(line([0, 1, 2, 3], [1, Infinity, -Infinity, 4]), [0, -1, 3], "infinite ones");
	equal(line([0, 1, 2], [1, 0, 4], {log: true}), [0, -1, 2], "zero, in logarithms");
	equal(line([0, 1], [NaN, NaN]), [], "no number at all");
	equal(line([0, 0.1, 0.2, 0.3, 0.4, 0.5], [3, 9, 4, 1, 5, 4]), [0, 1, 3, 5],
		"first, greatest, least, last of a column");
});

test("every column keeps its extremes, first and last, in each run", () => {
	const roll = dice(11), bad = [];
	for (let round = 0; round < 300; round++) {
		const n = 1 + Math.floor(roll() * 3000), wide = 1 + roll() * 60,
			gap = roll() < 0.5 ? 2.5 : 1e9;
		const times = new Float64Array(n), values = new Float64Array(n);
		for (let i = 0, t = 0; i < n; i++) {
			times[i] = t;
			t += roll() < 0.01 ? 5 : 1;
			values[i] = roll() < 0.02 ? NaN : roll() < 0.005 ? Infinity
				: Math.round((roll() - 0.5) * 1000);
		}
		const kept = thin(times, values, 0, n, {from: 0, wide, gap});
		/* The long way: runs, then columns of each. */
		const runs = [];
		let run = null;
		for (let i = 0; i < n; i++) {
			if (!Number.isFinite(values[i])) {
				run = null;
				continue;
			}
			if (!run || times[i] - times[run.at(-1)] > gap) runs.push((run = []));
			run.push(i);
		}
		const parts = [[]];
		for (const i of kept) i < 0 ? parts.push([]) : parts.at(-1).push(i);
		if (parts.length !== Math.max(1,
			runs.length)) bad.push(`round ${round}: ${parts.length} runs, not ${runs.length}`);
		runs.forEach((r, k) => {
			const columns = Map.groupBy(r, i => Math.floor(times[i] / wide));
			const got = Map.groupBy(parts[k] ?? [], i => Math.floor(times[i] / wide));
			for (const [c, all] of columns) {
				const g = got.get(c) ?? [], v = a => a.map(i => values[i]);
				if (g.length > 4 || g[0] !== all[0] || g.at(-1) !== all.at(-1)
					|| Math.min(...v(g)) !== Math.min(...v(all))
					|| Math.max(...v(g)) !== Math.max(...v(all))
					|| g.some((i, j) => j && i <= g[j - 1]))
					bad.push(`round ${round} column ${c}`);
			}
			if (got.size !== columns.size) bad.push(`round ${round}: ${got.size} columns, not ${columns.size}`);
		});
	}
	ok(!bad.length, "300 lines against the long way", ...bad.slice(0, 5));
});

test("stacks", () => {
	const series = [{times: F([0, 1, 2]), values: F([1, 2, NaN])},
		{times: F([0, 1, 2]), values: F([-1, 3, 4])}, {times: F([0, 2, 3]), values: F([-2, 5, 1])}];
	const times = allTimes(series);
	equal(times, F([0, 1, 2, 3]), "all times");
	equal(stack(series, times).tips, [F([1, 2, NaN, NaN]), F([-1, 5, 4, NaN]), F([-3, NaN, 9, 1])],
		"what is below zero goes down");
	const roll = dice(5), many = [];
	for (let k = 0; k < 20; k++) {
		const t = [];
		for (let i = 0; i < 200; i++) if (roll() < 0.9) t.push(i * 15);
		many.push({times: F(t), values: F(t.map(() => (roll() - 0.3) * 100))});
	}
	const grid = allTimes(many), {tips} = stack(many, grid);
	let bad = 0;
	grid.forEach((t, i) => {
		let up = 0, down = 0;
		many.forEach((s, k) => {
			const j = s.times.indexOf(t);
			if (j < 0) bad += tips[k][i] === tips[k][i] ? 1 : 0;
			else if (s.values[j] < 0) bad += Math.abs((down += s.values[j]) - tips[k][i]) > 1e-9
				? 1 : 0;
			else bad += Math.abs((up += s.values[j]) - tips[k][i]) > 1e-9 ? 1 : 0;
		});
	});
	equal(bad, 0, "20 series with holes against the long way");
	equal(stack([{times: F([0]), values: F([1e308])}, {times: F([0]), values: F([1e308])}],
		F([0])).tips[1][0], Number.MAX_VALUE, "a sum that overflows stays finite");
});

test("nearest, steps, figures", () => {
	const t = F([10, 20, 30]);
	equal([0, 14, 16, 25, 99].map(x => nearest(t, x, 100)), [0, 0, 1, 1, 2],
		"the nearest sample, the earlier of two");
	equal([nearest(t, 36, 5), nearest(F([]), 1, 5)], [-1, -1], "none that is near");
	equal([5, 10, 11, 31].map(x => lowerBound(t, x)), [0, 0, 1, 3], "lower bounds");
	equal(guessStep([{times: F([0, 15, 30, 90, 105, 120])}]), 15, "the step of a series with a hole");
	equal(guessStep([{times: F([1])}]), 0, "of one sample");
	equal(stats([1, NaN, 3, Infinity]), {min: 1, max: 3, mean: 2, last: Infinity, n: 2, odd: 1},
		"least, greatest, mean, last");
	equal(stats([NaN]), {min: NaN, max: NaN, mean: NaN, last: NaN, n: 0, odd: 0}, "of no number");
	near(stats([1e308, 1e308, 1e308]).mean / 1e308, 1, 1e-12, "a mean of numbers whose sum overflows");
	ok(Number.isFinite(stats([-1.7e308, 1.7e308]).mean), "a mean of the greatest and the least");
	const lohi = [Infinity, -Infinity];
	extent(F([5, NaN, -3, Infinity, 8]), 0, 5, false, lohi);
	equal(lohi, [-3, 8], "the extent of what is finite");
});
