/* The cost of a query before it runs. */
import {equal, expected, ok, stage, throws} from "./tap.js";
import {about, explainView, gives} from "/ui/views/explain.js";

const selector = {selector: '{job="a",__name__="up"}', start: "2026-01-01T00:00:00Z", end: "2026-01-01T01:00:00Z", steps: 61, seriesAtMost: 12, valuesAtMost: 732, series: 10, seriesKind: "exact", samples: 2400, samplesFromMemory: 600,
	samplesFromFiles: 1800, bytesFromMemory: 1024, bytesFromFiles: 3072, files: 2, pipes: 1, rangeMs: 300000, stepMs: 60000, function: "rate", matchers: [{label: "__name__", op: "=", value: "up"}, {label: "job", op: "=", value: "a"}]};
const plan = {query: "sum(rate(up{job=\"a\"}[5m]))", plan: {what: "aggregation", expr: "sum(...)", steps: 61, series: 3, seriesKind: "bounds", seriesAtMost: 4, of: [{what: "piece", expr: "up[5m]", onShards: "windows of rate, 0 stages, reduced to groups", selector: 0, steps: 61}]},
	selectors: [selector], seriesAtMost: 12, valuesAtMost: 732, heavy: false, series: 10, seriesKind: "exact", samples: 2400, samplesAtMost: 2500, samplesFromMemory: 600, samplesFromFiles: 1800, bytesFromMemory: 1024, bytesFromFiles: 3072, files: 2,
	memoryBytes: 1 << 20, memoryLimitBytes: 4 << 20, memoryFlag: "--query.max-memory", cache: {steps: 61, kept: 0}, partToRead: 1, seconds: 0.2123, workPerSecond: 1e7, refused: []};

const v = explainView();
stage().append(v.el);
v.set(plan);
const text = () => v.el.textContent;
const all = (q, of = el => el.textContent) => [...v.el.querySelectorAll(q)].map(of);
equal(all(".k-ex-figure dt"), ["Series", "Samples to read", "Bytes to read", "Result", "Memory", "Time", "Kept results"], "figures");
equal(all(".k-ex-figure b"), ["10", "about 2.4k", "4 KiB", "about 3 series", "about 1 MiB", "about 210 ms", "none"], "in numbers for people");
ok(/75% from files/.test(text()) && /at most 12/.test(text()) && /of 4 MiB, --query\.max-memory/.test(text()), "and what they stand beside", text());
ok(all(".k-ex-figure span").includes("75% from files, at most 2.5k"), "with bounds that say something", text());
equal(all(".k-ex-table tbody tr").length, 1, "a row a selector");
ok(all(".k-ex-table tbody code")[0] === 'up{job="a"}' && /rate over 5m, 61 steps of 1m/.test(text()), "with its metric first");
equal(all(".k-ex-table .k-ex-bars i", i => [i.className, Math.round(parseFloat(i.style.width))]), [["k-ex-memory", 25], ["k-ex-files", 75]], "its bar");
equal(all(".k-ex-tree li li .k-ex-what"), ["read on shards"], "the plan is a tree");
ok(all(".k-ex-tree > li > .k-ex-node .k-ex-note").includes("gives about 3 series, at most 4"), "with how many series come out");
equal([gives({}), gives({series: 5, seriesKind: "exact", seriesAtMost: 5}), gives({series: 1, seriesKind: "sampled"})], [null, "5 series", "about 1 series"], "as far as that is known");
equal(all(".k-failed, .k-ex-advice").length, 0, "nothing is said against it");

v.set({...plan, heavy: true, refused: [{flag: "--query.max-samples", limit: 1000000, wants: 4500000, sure: true, unit: "samples"}, {flag: "--query.max-memory", limit: 1 << 20, wants: 3 << 20, unit: "bytes"}, {flag: "--query.timeout", limit: 1000, wants: 2500, unit: "milliseconds"}],
	selectors: [{...selector, seriesKind: "sampled", matchers: []}]});
equal(all(".k-failed"), ["It would be refused. It needs about 4,500,000 samples at once; --query.max-samples allows 1,000,000. It needs about 3 MiB of memory; --query.max-memory allows 1 MiB. It needs about 2.5 s of time; --query.timeout allows 1 s."], "who would refuse it, and why");
equal(all(".k-ex-advice h2"), ["What makes it heavy"], "what makes it heavy");
ok(/about 10/.test(all(".k-ex-table tbody td")[1]), "an estimate says so");
v.set({...plan, refused: [{flag: "--query.max-samples", limit: 1000000, wants: 4500000, sure: false, unit: "samples"}]});
ok(all(".k-failed")[0].startsWith("It may be refused. "), "by the number of groups, which is not known");
v.set({...plan, seconds: null, cache: {steps: 0, kept: 0}, selectors: [], series: 0});
equal(all(".k-ex-figure dt"), ["Series", "Samples to read", "Bytes to read", "Result", "Memory", "Time"], "nothing of a cache that does not keep it");
ok(/not known yet/.test(text()) && !v.el.querySelector("table"), "nor a table of no selectors");
equal([about("exact", "5"), about("bounds", "5"), about("sampled", "5")], ["5", "about 5", "about 5"], "kinds of numbers");

const evil = '<img src=x onerror=alert(1)>';
v.set({...plan, plan: {...plan.plan, expr: evil}, selectors: [{...selector, selector: evil, matchers: [{label: "a", op: "=~", value: `.*${evil}`}]}]});
ok(!v.el.querySelector("img") && text().includes(evil), "what comes from data is text");

expected("no/such/path");
await throws(() => v.load({path: "no/such/path", params: {query: "up"}}), "errors are the caller's");
equal(v.el.children.length, 0, "and nothing old is left");
