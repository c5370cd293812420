/* What makes a query heavy, from what the server says of it. */
import {equal, near, ok} from "./tap.js";
import {advice, beginsAnyhow, interval, metricFirst} from "/ui/views/advice.js";

equal(['{__name__="up"}', '{a="b",__name__="up"}', '{__name__="up",a="b"}', '{a="1",__name__="up",b!~"2"}', '{a="b"}', '{__name__=~"u.*"}', "{}", '{a="x,__name__=\\"y\\"",__name__="up"}'].map(metricFirst),
	["up", 'up{a="b"}', 'up{a="b"}', 'up{a="1",b!~"2"}', '{a="b"}', '{__name__=~"u.*"}', "{}", 'up{a="x,__name__=\\"y\\""}'], "the metric's name stands first");
equal([".*x", ".+", "(?i)abc", "[ab]c", "(.*)a", "\\d+", "^.*a", "(?:.|b)"].map(beginsAnyhow), Array(8).fill(true), "patterns without a beginning");
equal(["abc.*", "a|b", "(a|b).*", "^a", "x?y", "(?:a|b)c"].map(beginsAnyhow), Array(6).fill(false), "and with one");

/* 10 series of 15 s over an hour. */
const at = {start: "2026-01-01T00:00:00Z", end: "2026-01-01T01:00:00Z", series: 10, samples: 2400, steps: 61, stepMs: 60000, rangeMs: 300000, function: "rate", matchers: [{label: "__name__", op: "=", value: "up"}]};
const told = (change, plan = {}) => advice({selectors: [{...at, ...change}], plan: null, ...plan}).map(a => a.why);
near(interval(at), 15000, 1, "the time between samples");
equal([interval({...at, samples: 20}), interval({...at, series: 0, samples: 0})], [null, null], "which few samples do not tell");
equal(told({}), [], "nothing is told of a good query");

const one = (change, pattern, text) => {
	const list = told(change);
	ok(list.length === 1 && pattern.test(list[0]), text, ...list);
};
one({matchers: [{label: "job", op: "=", value: "a"}]}, /No metric name/, "no metric");
one({matchers: [{label: "__name__", op: "=~", value: ".+"}, {label: "job", op: "=", value: "a"}]}, /No metric name/, "any metric");
one({matchers: [...at.matchers, {label: "i", op: "=~", value: ".*9100"}]}, /i=~"\.\*9100" has no known beginning/, "a pattern without a beginning");
equal(told({matchers: [...at.matchers, {label: "i", op: "=~", value: ".*"}]}), [], "one that holds for all costs nothing");
equal(told({matchers: [...at.matchers, {label: "i", op: "!~", value: ".*x"}, {label: "j", op: "=~", value: "a.*"}]}), [], "nor does one with a beginning");
one({rangeMs: 15000, stepMs: 15000, steps: 241}, /rate\(\) over 15s sees less than two samples, which come every 15s/, "a rate over one sample");
one({function: undefined, stepMs: 5000, steps: 721, rangeMs: 300000}, /A step of 5s, and samples come every 15s/, "a step below the samples");
one({steps: 5000, stepMs: 15000, samples: 2400}, /5k steps are more points/, "more steps than a screen is wide");
one({stepMs: 3600000, steps: 24}, /5m of each 1h are looked at/, "windows that leave something out");
one({stepMs: 15000, steps: 241, rangeMs: 86400000, samples: 2e6, series: 8333}, /Windows of 1d every 15s: each sample is in 5\.76k of them/, "windows that overlap much");
equal(told({series: 5000, samples: 1.2e6}, {plan: {selector: 0, onShards: "windows of rate, 0 stages"}}), ["5k series come as that many lines."], "a result that nobody can look at");
equal(told({series: 5000, samples: 1.2e6}, {plan: {selector: 0, onShards: "windows of rate, 0 stages, reduced to groups"}}), [], "but not of groups");

const two = advice({plan: null, selectors: [{...at, matchers: []}, {...at, matchers: [], samples: 9e6, series: 37500}]});
equal(two.map(a => a.selectors), [[0, 1]], "the same of two selectors is told once, with both");
