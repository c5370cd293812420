/* Panels <-> URL. The URL is the whole state of the query view: panels, their times, how they are shown.
 *
 * Parameters are those of Prometheus' page, `g<i>.<name>`, so that its links open here and ours there:
 *   expr           the expression; the first i without one ends the list
 *   tab            0|graph|chart, 1|table|code, explain; ours: trace. 0 and 1 are what Prometheus 2 and 3 both read
 *   display_mode   lines | stacked | heatmap; stacked=1 is the older form
 *   range_input    "1h30m"
 *   end_input      "2006-01-02 15:04:05" in UTC; moment_input is the same and wins, as in Prometheus. Without: now
 *   res_type       auto (res_density: low, medium, high) | fixed | custom (res_step: seconds)
 *   step_input     seconds, of Prometheus 2; with a unit, of VMUI; res_type wins
 *   y_axis_min     0: the axis begins at 0
 *   relative_time  of VMUI: set and not "none", the end is now
 *   log, fold      ours, 1: logarithmic axis; the panel is folded
 * and `refresh` (a duration) and `sync=1` (one time for all panels) for the page.
 * Sources: prometheus web/ui/mantine-ui/src/pages/query/urlStateEncoding.ts, web/ui/react-app/src/utils/index.ts.
 *
 * Times are milliseconds. Nothing here throws: what cannot be read is as if it were not there. */
import {parseDuration, parseTime, printDuration, printTime} from "./when.js";

export const PANELS_MAX = 50;
const TABS = {0: "graph", graph: "graph", chart: "graph", 1: "table", table: "table", 3: "table", code: "table", explain: "explain", trace: "trace"};
const CODES = {graph: "0", heat: "0", table: "1"};
const DENSITIES = ["low", "medium", "high"];
const YEARS_MS = 100 * 365 * 86400e3;

/* A new panel. tab: graph table heat explain trace; end: null is now; step: null is automatic, by density. */
export function blank(tab = "graph") {
	return {expr: "", tab, range: 3600e3, end: null, density: "medium", step: null, stacked: false, log: false, zero: false, fold: false};
}

/* In UTC, as Prometheus has them; null: now. */
function time(text) {
	const ms = text === null || /^\s*now/i.test(text) ? null : parseTime(text, "utc");
	return ms !== null && Math.abs(ms) < 8.64e15 ? ms : null;
}

function seconds(text) {
	const n = Number(text);
	return n > 0 && n * 1000 < YEARS_MS ? n * 1000 : null;
}

function length(text) {
	const ms = parseDuration(text);
	return ms > 0 && ms < YEARS_MS ? ms : null;
}

function step(get) {
	const type = get("res_type");
	if (type === "auto") return null;
	if (type === "fixed" || type === "custom") return seconds(get("res_step") ?? "");
	const old = get("step_input") ?? "";
	return seconds(parseInt(old, 10).toString() === old.trim() ? old : "") ?? (/[a-z]$/.test(old) ? length(old) : null);
}

function end(get) {
	const relative = get("relative_time");
	if (relative && relative !== "none") return null;
	return time(get("moment_input")) ?? time(get("end_input"));
}

function panel(get) {
	const p = blank(Object.hasOwn(TABS, get("tab")) ? TABS[get("tab")] : "table");
	p.expr = get("expr");
	const mode = get("display_mode");
	p.stacked = mode ? mode === "stacked" : get("stacked") === "1";
	if (mode === "heatmap" && p.tab === "graph") p.tab = "heat";
	p.range = length(get("range_input") ?? "") ?? p.range;
	p.end = end(get);
	p.step = step(get);
	if (DENSITIES.includes(get("res_density"))) p.density = get("res_density");
	p.zero = get("y_axis_min") === "0";
	p.log = get("log") === "1";
	p.fold = get("fold") === "1";
	return p;
}

/* params: URLSearchParams. panels may be empty. */
export function decode(params) {
	const panels = [];
	for (let i = 0; i < PANELS_MAX && params.has(`g${i}.expr`); i++)
		panels.push(panel(name => params.get(`g${i}.${name}`)));
	return {panels, refresh: length(params.get("refresh") ?? "") ?? 0, sync: params.get("sync") === "1"};
}

/* VMUI has its parameters in the fragment, "#/?g0.expr=..."; they count where the URL itself has none. */
export function fromLocation(search, hash) {
	const params = new URLSearchParams(search);
	const at = hash.indexOf("?");
	return params.has("g0.expr") || at < 0 ? params : new URLSearchParams(hash.slice(at + 1));
}

/* What is as it is in a new panel is left out, but for what Prometheus has other defaults for. */
export function encode({panels, refresh, sync}) {
	const params = new URLSearchParams();
	panels.forEach((p, i) => {
		const add = (name, value) => params.append(`g${i}.${name}`, value);
		add("expr", p.expr);
		add("tab", CODES[p.tab] ?? p.tab);
		if (p.tab === "heat") add("display_mode", "heatmap");
		else if (p.stacked) add("display_mode", "stacked");
		add("range_input", printDuration(p.range));
		if (p.end !== null) {
			add("end_input", printTime(p.end, "utc", {ms: true}));
			add("moment_input", printTime(p.end, "utc", {ms: true}));
		}
		if (p.step !== null) {
			add("res_type", "custom");
			add("res_step", String(p.step / 1000));
			if (p.step % 1000 === 0) add("step_input", String(p.step / 1000));
		} else if (p.density !== "medium") {
			add("res_type", "auto");
			add("res_density", p.density);
		}
		if (p.zero) add("y_axis_min", "0");
		if (p.log) add("log", "1");
		if (p.fold) add("fold", "1");
	});
	if (refresh) params.append("refresh", printDuration(refresh));
	if (sync) params.append("sync", "1");
	return params;
}
