/* The axis of time, where the clock is changed: by an hour in Berlin and New York, by half an hour
 * on Lord Howe, at midnight in Havana, never in UTC and Kolkata. */
// zones: Europe/Berlin, America/New_York, Australia/Lord_Howe, America/Havana, Asia/Kolkata, UTC
import {ok, equal, test, dice} from "./tap.js";
import {timeTicks, wall} from "/ui/chart/timeticks.js";

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const M = 60000, H = 3600000, D = 86400000;
const at = text => Date.parse(text);
const texts = (from, to, n, z) => timeTicks(at(from), at(to), n,
	z).map(t => (t.more ? `${t.text}/${t.more}` : t.text));

test("in UTC", () => {
	equal(texts("2026-11-29T10:00:00Z", "2026-11-29T11:00:00Z", 6, "utc"),
		["10:00/Sun 2026-11-29", "10:10", "10:20", "10:30", "10:40", "10:50", "11:00"],
		"ten minutes");
	equal(texts("2026-12-31T22:10:00Z", "2027-01-01T02:00:00Z", 5, "utc"),
		["23:00/Thu 2026-12-31", "00:00/Fri 2027-01-01", "01:00", "02:00"], "a year's end, by hours");
	equal(texts("2026-12-29T12:00:00Z", "2027-01-03T12:00:00Z", 6, "utc"),
		["Dec 30/2026", "Dec 31", "Jan 1/2027", "Jan 2", "Jan 3"], "a year's end, by days");
	equal(texts("2026-02-20T00:00:00Z", "2026-03-09T00:00:00Z", 5, "utc"),
		["Feb 21/2026", "Feb 26", "Mar 1", "Mar 6"], "by five days, from the first of each month");
	equal(texts("2028-02-27T00:00:00Z", "2028-03-02T00:00:00Z", 6, "utc"),
		["Feb 27/2028", "Feb 28", "Feb 29", "Mar 1", "Mar 2"], "a leap year");
	equal(texts("2026-10-15T00:00:00Z", "2027-04-15T00:00:00Z", 8, "utc"),
		["Nov/2026", "Dec", "Jan/2027", "Feb", "Mar", "Apr"], "months");
	equal(texts("2019-06-01T00:00:00Z", "2026-06-01T00:00:00Z", 8, "utc"),
		["2020", "2021", "2022", "2023", "2024", "2025", "2026"], "years");
	equal(texts("2026-11-29T10:00:00.100Z", "2026-11-29T10:00:00.400Z", 4, "utc"),
		["10:00:00.100/Sun 2026-11-29", "10:00:00.200", "10:00:00.300", "10:00:00.400"],
		"parts of a second");
	equal(timeTicks(5, 5, 6, "utc"), [], "no time at all");
	equal(texts("1969-12-31T23:00:00Z", "1970-01-01T01:00:00Z", 3, "utc"),
		["23:00/Wed 1969-12-31", "00:00/Thu 1970-01-01", "01:00"], "before the epoch");
});

if (zone === "Europe/Berlin") test("Berlin", () => {
	equal(texts("2026-03-28T23:00:00Z", "2026-03-29T06:00:00Z", 8),
		["00:00/Sun 2026-03-29", "01:00", "03:00", "04:00", "05:00", "06:00", "07:00", "08:00"],
		"spring: no two o'clock");
	equal(texts("2026-03-28T23:00:00Z", "2026-03-29T10:00:00Z", 6),
		["00:00/Sun 2026-03-29", "04:00", "06:00", "08:00", "10:00", "12:00"],
		"spring, two hours: even ones on both sides");
	equal(texts("2026-10-24T22:00:00Z", "2026-10-25T04:00:00Z", 7),
		["00:00/Sun 2026-10-25", "01:00", "02:00", "02:00", "03:00", "04:00", "05:00"],
		"autumn: two o'clock twice");
	equal(texts("2026-10-24T22:00:00Z", "2026-10-25T22:00:00Z", 5),
		["00:00/Sun 2026-10-25", "06:00", "12:00", "18:00"], "autumn, six hours");
	equal(texts("2026-10-23T22:00:00Z", "2026-10-27T23:00:00Z", 5),
		["Oct 24/2026", "Oct 25", "Oct 26", "Oct 27", "Oct 28"], "a day of 25 hours");
});
if (zone === "America/Havana") test("Havana", () => {
	equal(texts("2026-03-07T17:00:00Z", "2026-03-08T17:00:00Z", 5),
		["12:00/Sat 2026-03-07", "18:00", "06:00/Sun 2026-03-08", "12:00"],
		"a day that has no midnight");
	equal(texts("2026-03-06T17:00:00Z", "2026-03-10T17:00:00Z", 5),
		["Mar 7/2026", "Mar 8", "Mar 9", "Mar 10"], "days, one without a midnight");
});
if (zone === "Australia/Lord_Howe") test("Lord Howe", () => {
	equal(texts("2026-10-03T13:30:00Z", "2026-10-03T19:30:00Z", 7),
		["00:00/Sun 2026-10-04", "01:00", "03:00", "04:00", "05:00", "06:00"],
		"half an hour is left out, the hours stay whole");
});

test("wherever", () => {
	const roll = dice(3), bad = [];
	for (let i = 0; i < 1500; i++) {
		const z = i % 4 ? "local" : "utc";
		const from = Math.floor(at("2026-01-01T00:00:00Z") + roll() * 365 * D),
			span = Math.floor(Math.exp(roll() * Math.log(3000 * D)) + 10),
			n = 2 + Math.floor(roll() * 10);
		const t = timeTicks(from, from + span, n, z);
		const sorted = t.every((x, k) => x.time >= from && x.time <= from + span
			&& (!k || x.time > t[k - 1].time));
		const few = t.length <= n * 1.4 + 3 && (span < 3 || t.length >= 1 || n < 4);
		const round = t.every(x => {
			const w = wall(x.time, z);
			return span / n > 31 * D ? w.d === 1 : span / n > D ? w.h <= 1 : span / n > H
				? w.mi === 0 && w.s === 0 : span / n > M ? w.s === 0 && w.ms === 0 : true;
		});
		const told = !t.length || t[0].more || /^\d{4}$/.test(t[0].text);
		if (!(sorted && few && round && told)
			&& bad.length < 5) bad.push(`${z} ${new Date(from).toISOString()} +${span / H} h, ${n}: ${sorted} ${few} ${round} ${t.map(x => `${new Date(x.time).toISOString()} ${x.text}`).join(", ")}`);
	}
	ok(!bad.length, `1,500 ranges in ${zone}: ascending, inside, round on the wall, not too many`,
		...bad);
});
