/* Links of Prometheus 2 and 3, of VMUI, and ours: what they mean, and that ours mean the same when they are read again. */
import {equal, ok} from "./tap.js";
import {blank, decode, encode, fromLocation, PANELS_MAX} from "/ui/lib/link.js";

const read = text => decode(new URLSearchParams(text));
const one = text => read(text).panels[0];
const written = p => encode({panels: [{...blank(), ...p}], refresh: 0, sync: false});

equal(read(""), {panels: [], refresh: 0, sync: false}, "no panels");
equal(read("foo=bar&g1.expr=up").panels, [], "the first panel without an expression ends them");
equal(one("g0.expr=up"), {...blank("table"), expr: "up"}, "only an expression: what Prometheus shows");
equal(read("g0.expr=up&g1.expr=&g2.expr=b").panels.map(p => p.expr), ["up", "", "b"], "several, one of them empty");
equal(one("g0.expr=rate(a%5B5m%5D)+%2B+1").expr, "rate(a[5m]) + 1", "the expression is decoded");
equal([0, "graph", "chart", 1, "table", "code", "explain", "trace", "nonsense"].map(t => one(`g0.expr=a&g0.tab=${t}`).tab),
	["graph", "graph", "graph", "table", "table", "table", "explain", "trace", "table"], "tabs of all of them");
equal(["constructor", "__proto__", "toString"].map(t => one(`g0.expr=a&g0.tab=${t}`).tab), ["table", "table", "table"], "nor any that objects have by nature");
equal(["lines", "stacked", "heatmap"].map(m => one(`g0.expr=a&g0.tab=0&g0.display_mode=${m}`)).map(p => [p.tab, p.stacked]),
	[["graph", false], ["graph", true], ["heat", false]], "display modes");
equal(one("g0.expr=a&g0.tab=0&g0.stacked=1").stacked, true, "the older stacked=1");
equal(one("g0.expr=a&g0.tab=0&g0.stacked=1&g0.display_mode=lines").stacked, false, "which display_mode corrects");
equal(["2h", "1d12h", "90", "", "x", "0s", "200y"].map(r => one(`g0.expr=a&g0.range_input=${r}`).range / 1000),
	[7200, 129600, 90, 3600, 3600, 3600, 3600], "ranges; an hour where none can be read");
const at = Date.UTC(2024, 0, 15, 12, 30, 45);
equal(["2024-01-15%2012:30:45", "2024-01-15T12:30:45", "2024-01-15T13:30:45%2B01:00", "1705321845", "now", "", "2024-02-30%2000:00:00"].map(t => one(`g0.expr=a&g0.end_input=${t}`).end),
	[at, at, at, at, null, null, null], "ends are UTC");
equal(one("g0.expr=a&g0.end_input=2024-01-15%2012:30:45&g0.moment_input=2024-01-15%2012:30:46").end, at + 1000, "moment_input wins");
equal(one("g0.expr=a&g0.end_input=2024-01-15%2012:30:45&g0.relative_time=last_1_hour").end, null, "VMUI's relative time is now");
equal(one("g0.expr=a&g0.end_input=2024-01-15%2012:30:45&g0.relative_time=none").end, at, "but none is not");
equal(["15", "0", "-1", "15s", "1m30s", "x", ""].map(s => one(`g0.expr=a&g0.step_input=${s}`).step), [15000, null, null, 15000, 90000, null, null], "steps");
equal(one("g0.expr=a&g0.step_input=15&g0.res_type=auto&g0.res_density=high"), {...blank("table"), expr: "a", density: "high"}, "res_type wins over step_input");
equal(["fixed", "custom"].map(t => one(`g0.expr=a&g0.res_type=${t}&g0.res_step=0.5`).step), [500, 500], "steps of Prometheus 3 are seconds");
equal(one("g0.expr=a&g0.res_type=auto&g0.res_density=huge").density, "medium", "a density that is none");
equal([one("g0.expr=a&g0.y_axis_min=0").zero, one("g0.expr=a&g0.y_axis_min=10").zero], [true, false], "the axis from 0");
equal([read("refresh=30s").refresh, read("refresh=x").refresh, read("sync=1").sync], [30000, 0, true], "what the page shares");
const many = new URLSearchParams();
for (let i = 0; i < PANELS_MAX + 5; i++) many.append(`g${i}.expr`, "a");
equal(decode(many).panels.length, PANELS_MAX, "panels have a limit");
equal(fromLocation("", "#/?g0.expr=up&g0.tab=0").get("g0.expr"), "up", "VMUI's parameters stand in the fragment");
equal(fromLocation("?g0.expr=a", "#/?g0.expr=b").get("g0.expr"), "a", "which those of the URL win over");

equal(written({expr: "up"}).toString(), "g0.expr=up&g0.tab=0&g0.range_input=1h", "ours is short");
const w = written({expr: "a", tab: "heat", end: at, range: 5400e3, step: 15000});
equal(Object.fromEntries(w), {"g0.expr": "a", "g0.tab": "0", "g0.display_mode": "heatmap", "g0.range_input": "1h30m", "g0.end_input": "2024-01-15 12:30:45",
	"g0.moment_input": "2024-01-15 12:30:45", "g0.res_type": "custom", "g0.res_step": "15", "g0.step_input": "15"}, "with all that Prometheus 2 and 3 read");
equal(written({expr: "a", tab: "table"}).get("g0.tab"), "1", "a table");
equal(written({expr: "a", step: 500}).has("g0.step_input"), false, "half seconds are nothing for Prometheus 2");

let all = true;
for (const tab of ["graph", "table", "heat", "explain", "trace"])
	for (const more of [{}, {end: at}, {end: at + 250}, {density: "low"}, {step: 1500}, {log: true, zero: true}, {fold: true}, {range: 86400e3 * 365}]) {
		const state = {panels: [{...blank(), expr: "a\nb # c", tab, ...more}, {...blank("table"), expr: "", stacked: tab === "graph"}], refresh: 5000, sync: true};
		all &&= equal(decode(encode(state)), state, `there and back: ${tab} ${JSON.stringify(more)}`);
	}
ok(all, "every one");
