/* Where the time of a query went. */
import {equal, ok, stage} from "./tap.js";
import {compared, loopsOf, rowsOf, slowest, ticksOf, traceView} from "/ui/views/tracebars.js";

const shard = (n, more = {}) => ({kind: "shard", message: `shard ${n}: series=2`, duration_msec: 1, start_msec: 1 + n / 10, shard: n, loop: n % 2, series: 2, samples: 100, samples_memory: 100, samples_files: 0, bytes_memory: 200, bytes_files: 50,
	bytes_source: 0, bytes_sent: 10, busy_msec: 1, wait_turn_msec: 0.5, wait_files_msec: 0, wait_home_msec: 0, ...more});
const make = shards => ({kind: "query", message: "/api/v1/query: query=up: series=2", duration_msec: 10, start_msec: 0, loop: 0, children: [
	{kind: "admission", message: "admission: waited for a place", duration_msec: 0.1, start_msec: 0},
	{kind: "plan", message: "parsed and planned", duration_msec: 0.2, start_msec: 0.1},
	{kind: "evaluation", message: "evaluation: samples=1", duration_msec: 9, start_msec: 0.3, samples: 1, samples_read: 300, steps: 61, steps_kept: 0, bytes_held: 3 << 20, children: [
		{kind: "read", message: 'read {__name__="up"}, timeRange=[a..b]: series=6', duration_msec: 5, start_msec: 1, selector: 0, series: 6, samples: 300, bytes_memory: 600, bytes_files: 150, children: shards},
		{kind: "finish", message: "finished", duration_msec: 2, start_msec: 7}]},
	{kind: "answer", message: "answer: encoded", duration_msec: 1, start_msec: 9.5}]});

const slow = shard(1, {start_msec: 1, wait_files_msec: 4, duration_msec: 5});
const trace = make([shard(2), slow, shard(0)]);
equal(rowsOf(trace).map(r => [r.node.kind, r.depth]), [["query", 0], ["admission", 1], ["plan", 1], ["evaluation", 1], ["read", 2], ["shard", 3], ["shard", 3], ["shard", 3], ["finish", 2], ["answer", 1]], "rows, depth first");
equal(rowsOf(trace).filter(r => r.node.kind === "shard").map(r => r.node.shard), [1, 0, 2], "in the order in which they began");
equal(rowsOf(trace).filter(r => r.slow).map(r => r.node), [slow], "the slowest shard is marked");
equal(slowest([shard(0), shard(1)]), null, "but none of equal ones");
equal(loopsOf(trace).map(l => [l.loop, l.shards, l.samples, l.busy_msec, l.wait_files_msec]), [[0, 2, 200, 2, 0], [1, 1, 100, 1, 4]], "sums of loops");
equal([ticksOf(10), ticksOf(0.9)], [[0, 5], [0, 0.5]], "round times");
equal(compared(trace, null), [], "nothing is compared with nothing");
equal(compared(trace, {series: 6, samples: 600, bytesFromMemory: 500, bytesFromFiles: 250, memoryBytes: 1 << 20, seconds: null}).map(r => r.slice(0, 3)), [["Series", 6, 6], ["Samples", 600, 300], ["Bytes read", 750, 750], ["Memory", 1 << 20, 3 << 20]], "expected beside real");

const v = traceView();
stage(1000).append(v.el);
v.set(trace, {samples: {peakSamples: 61}}, {series: 6, samples: 600, bytesFromMemory: 500, bytesFromFiles: 250, memoryBytes: 1 << 20, seconds: 0.018});
const all = (q, of = el => el.textContent) => [...v.el.querySelectorAll(q)].map(of);
equal(all(".k-tr-fall tbody th > span:first-child"), ["The whole query", "Waits for a place", "Parsed, planned", "Evaluated", "Reads up", "Shard 1, loop 1", "Shard 0, loop 0", "Shard 2, loop 0", "Joined, finished", "Encoded"], "names of the steps");
equal(all(".k-tr-fall .k-tag", t => t.closest("tr").textContent.slice(0, 7)), ["Shard 1"], "one is marked in words");
const bars = all(".k-tr-fall .k-tr-bar", b => [parseFloat(b.style.left), parseFloat(b.style.width)]);
ok(Math.abs(bars[0][1] - 10 / 10.5 * 100) < 0.1 && Math.abs(bars[9][0] - 9.5 / 10.5 * 100) < 0.1, "bars lie where they were", JSON.stringify(bars));
ok(bars.every(([left, width]) => left >= 0 && left + width < 101), "inside");
equal([...v.el.querySelectorAll(".k-tr-fall tbody tr")[5].querySelectorAll("i")].map(i => [i.className, Math.round(parseFloat(i.style.width))]), [["k-tr-turn", 9], ["k-tr-busy", 18], ["k-tr-files", 73]], "parts of a shard's time");
equal(all(".k-tr-real tbody td:last-child"), ["100%", "50%", "100%", "300%", "50%"], "real by expected");
ok(/10 ms in all · 3 ms at work on 2 loops · 300 samples read · 3 MiB held at most · 61 samples at once/.test(v.el.textContent), "in one line", v.el.textContent.slice(0, 200));

v.set(make(Array.from({length: 20}, (_, i) => shard(i, i === 7 ? {busy_msec: 9} : {}))));
equal(all(".k-tr-fall tbody th > span:first-child").filter(t => /^Shard/.test(t)), ["Shard 7, loop 1"], "of many shards the slowest alone");
const button = () => v.el.querySelector(".k-tr-fall button");
button().focus();
button().click();
equal([all(".k-tr-fall tbody th > span:first-child").filter(t => /^Shard/.test(t)).length, button().getAttribute("aria-expanded"), document.activeElement === button()], [20, "true", true], "all, when asked; the focus stays");
button().click();
equal(all(".k-tr-fall tbody tr").length, 8, "and folded again");

v.set({duration_msec: 3, message: "/api/v1/query: query=<b>x</b>", children: [{duration_msec: 2, message: "<i>search</i>"}]});
ok(all(".k-tr-fall tbody tr").length === 2 && !v.el.querySelector(".k-tr-fall th b, .k-tr-loops") && /<b>x<\/b>/.test(v.el.textContent), "another server's trace: its messages, as text");
v.set(undefined);
ok(/no trace/.test(v.el.textContent), "none at all");
