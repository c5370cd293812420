/* Steps, times and requests of a panel. */
import {equal, ok} from "./tap.js";
import {blank} from "/ui/lib/link.js";
import {parseDuration, printDuration} from "/ui/lib/when.js";
import {autoStep, coarser, isRange, longer, POINTS, POINTS_MAX, PRESETS, requestOf, shifted, shorter, STOPS, timesOf, zoomed} from "/ui/views/steps.js";

const steps = density => PRESETS.map(r => printDuration(autoStep(parseDuration(r), density)));
equal(steps("medium"), ["1s", "5s", "10s", "15s", "1m", "2m", "2m", "5m", "10m", "30m", "1h", "3h", "12h", "1d", "1d"], "steps are round");
let fair = true;
for (const density of ["low", "medium", "high"])
	for (const r of STOPS) {
		const points = r / autoStep(r, density);
		fair &&= points <= 2 * POINTS[density] && (points >= POINTS[density] / 2.1 || autoStep(r, density) === 1000);
	}
ok(fair, "and make about as many points as wanted");
equal(autoStep(300e3, "high", 15000), 15000, "not shorter than the scrape interval");
equal(autoStep(300e3, "high", 7000), 7000, "even where it is not round");
equal(autoStep(1000, "high"), 1000, "never below a second");

const p = {...blank(), expr: "up", range: 3600e3};
const now = 1700000007123;
const t = timesOf(p, now);
ok(t.end % 15000 === 0 && t.start % 15000 === 0 && t.end <= now && now - t.end < 15000 && t.end - t.start >= 3600e3 && t.end - t.start < 3600e3 + 15000, "steps begin at multiples of themselves");
const long = timesOf({...p, range: 365 * 86400e3}, now);
ok(now - long.end < 300e3 && (long.end - long.start) % long.step === 0, "long steps end near now all the same");
equal(timesOf({...p, end: 1700000000000, step: 1000}, now).end, 1700000000000, "an end that is chosen");
equal(requestOf({...p, end: 1700000000500}, "instant", now), {path: "api/v1/query", params: {query: "up", time: "1700000000.5"}}, "an instant request");
equal(requestOf({...p, end: 1700000000000, step: 500, range: 60e3}, "range", now),
	{path: "api/v1/query_range", params: {query: "up", start: "1699999940", end: "1700000000", step: "0.5"}}, "a range request");
equal([longer(3600e3), shorter(3600e3), longer(5400e3), shorter(5400e3)].map(printDuration), ["2h", "30m", "2h", "1h"], "longer and shorter");
equal([longer(STOPS.at(-1)), shorter(1000)], [STOPS.at(-1), 1000], "to the ends");
equal(shifted(p, -1, now), 1699998207000, "back by half a range");
equal(shifted({...p, end: 1699990007000}, 1, now), 1699991807000, "and forward");
equal([1699998207000, 1699998207000 + 60e3].map(end => shifted({...p, end}, 1, now)), [null, null], "what reaches now, or nearly, follows it");
equal(zoomed(1700000000300, 1700000060200), {end: 1700000061000, range: 61000}, "drawn over: whole seconds around it");
equal(zoomed(1700000000300, 1700000000300), {end: 1700000001000, range: 1000}, "a second at least");
ok(STOPS.every(r => r / coarser(r) < POINTS_MAX), "a step that is coarse enough");
equal(["graph", "heat", "table", "explain"].map(isRange), [true, true, false, false], "which tabs are of a range");
