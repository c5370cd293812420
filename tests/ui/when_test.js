/* Durations and instants, in zones with odd clocks. */
// zones: Europe/Berlin, America/New_York, UTC, Australia/Lord_Howe
import {ok, equal} from "./tap.js";
import {ago, parseDuration, parseTime, printDuration, printOffset, printTime, seconds} from "/ui/lib/when.js";

for (const [text, ms] of [["5m", 300000], ["1h30m", 5400000], ["1d", 86400000], ["1w", 604800000], ["1y", 31536000000], ["100ms", 100], ["1m1ms", 60001],
	["90", 90000], ["0.5", 500], ["0", 0], ["1y2w3d4h5m6s7ms", 31536000000 + 1209600000 + 259200000 + 14400000 + 300000 + 6000 + 7], [" 15s ", 15000]])
	equal(parseDuration(text), ms, `${JSON.stringify(text)} is a duration`);
for (const text of ["", "m", "1h1d", "1m1m", "-5m", "1.5h", "5 m", "1M", "now", "1e3", "5mm"])
	equal(parseDuration(text), null, `${JSON.stringify(text)} is none`);
for (const [ms, text] of [[0, "0s"], [1, "1ms"], [999, "999ms"], [1000, "1s"], [1500, "1s500ms"], [5400000, "1h30m"], [86400000, "1d"], [604800000, "1w"], [604800001, "7d1ms"],
	[31536000000, "1y"], [2592000000, "30d"], [-60000, "-1m"]])
	equal(printDuration(ms), text, `${ms} ms are ${text}`);
for (const ms of [1, 59999, 61000, 3661001, 90061000, 864000000, 31536000000, 1234567890123])
	equal(parseDuration(printDuration(ms)), ms, `${printDuration(ms)} is read as it was`);

const at = Date.UTC(2026, 10, 29, 8, 5, 6, 70);
equal(printTime(at, "utc"), "2026-11-29 08:05:06", "an instant in UTC");
equal(printTime(at, "utc", {ms: true}), "2026-11-29 08:05:06.070", "with milliseconds");
equal(printTime(at, "utc", {seconds: false}), "2026-11-29 08:05", "to the minute");
equal(printTime(at, "utc", {offset: true}), "2026-11-29 08:05:06 UTC", "with its zone");
ok(/^[+-]\d\d:\d\d$/.test(printOffset(at, "local")), `an offset: ${printOffset(at, "local")}`);
equal(printTime(NaN), "NaN", "what is no instant");

const now = at;
for (const [text, ms] of [["now", now], ["now-1h", now - 3600000], ["now + 5m", now + 300000], ["NOW-1d12h", now - 129600000], ["1700000000", 1700000000000], ["1700000000.5", 1700000000500],
	["1700000000123", 1700000000123], ["0", 0], ["-1", -1000], ["2026-11-29T08:05:06.07Z", at], ["2026-11-29 09:05:06.070+01:00", at], ["2026-11-29T03:05:06.070-0500", at], ["2026-11-29t08:05z", at - 6070]])
	equal(parseTime(text, "local", now), ms, `${JSON.stringify(text)} is an instant`);
for (const text of ["", "soon", "now-", "now-5", "2026-02-30", "2026-13-01", "2026-11-29 24:00", "2026-11-29 08:60", "29.11.2026", "2026-11-29T", "1e9"])
	ok(text === "now-5" ? parseTime(text, "utc", now) === now - 5000 : parseTime(text, "utc", now) === null, `${JSON.stringify(text)} is none, or seconds`);
for (const zone of ["local", "utc"])
	for (const ms of [at - 70, Date.UTC(2026, 6, 1), Date.UTC(2026, 2, 29, 5, 30), Date.UTC(1999, 11, 31, 23, 59, 59)])
		equal(parseTime(printTime(ms, zone), zone), ms, `${printTime(ms, zone)} is read in its zone (${zone})`);
equal(parseTime("2026-11-29", "utc"), Date.UTC(2026, 10, 29), "a day begins at midnight");

equal(seconds(1700000000000), "1700000000", "seconds for the API");
equal(seconds(1700000000120), "1700000000.12", "with what is behind");
equal(seconds(1700000001000), "1700000001", "zeros in front of the point stay");
equal(seconds(0), "0", "zero");

equal(ago(now, now), "now", "now");
equal(ago(now - 61000, now), "1 minute ago", "ago");
equal(ago(now + 7200000, now), "in 2 hours", "ahead");
