/*
 * status - what runs here: the process, tenants that may be read, flags (those that were changed first), and the
 * configuration. Each part is asked for by itself, so that one which may not be seen leaves the others.
 */
import {ask, gone} from "../lib/ask.js";
import {copyButton, h, put, say, scroller} from "../lib/dom.js";
import {bytes, count, seconds, short} from "../lib/figure.js";
import {ago, printTime} from "../lib/when.js";

export const title = "Status";

const card = (heading, ...inside) => h("section", {class: "k-card"}, h("h2", null, heading), inside);
const facts = (rows) => h("dl", {class: "k-facts"}, rows.filter(([, v]) => v !== null && v !== "").map(([name, v]) => [h("dt", null, name), h("dd", null, v)]));

/* Fills el with what draw() makes of the answer, or says why not. */
const part = async (el, load, draw) => {
	try {
		put(el, draw(await load()));
	} catch (e) {
		if (!gone(e))
			put(el, h("p", {class: "k-dim"}, e.status === 403 || e.status === 404 ? e.message : h("span", {class: "k-error"}, e.message)));
	}
};

/* ---- process ---- */

const timeText = (text, zone) => {
	const ms = Date.parse(text);
	return Number.isNaN(ms) ? text : `${printTime(ms, zone, {offset: true})} (${ago(ms)})`;
};

const process = ([build, run, tsdb], zone) => facts([
	["Version", [build.buildUser, build.revision ? ` (${build.revision})` : ""].join("")],
	["API of Prometheus", build.version],
	["Started", timeText(run.startTime, zone)],
	["Configuration", run.reloadConfigSuccess ? `loaded ${timeText(run.lastConfigTime, zone)}`
		: h("span", {class: "k-bad"}, `the last one could not be loaded; the one in force is of ${timeText(run.lastConfigTime, zone)}`)],
	["Host", run.hostname],
	["Address for clients", run.externalURL],
	["Folder", run.CWD],
	["Loops", run.GOMAXPROCS],
	["Retention", run.storageRetention],
	["Damaged parts of files", run.corruptionCount ? h("span", {class: "k-bad"}, count(run.corruptionCount)) : null],
	["Series in memory", tsdb ? count(tsdb.headStats.numSeries) : null],
	["Samples", tsdb?.headStats.numSeries ? `${printTime(tsdb.headStats.minTime, zone, {seconds: false})} to ${printTime(tsdb.headStats.maxTime, zone, {seconds: false})}` : null],
]);

const loadProcess = async (signal) => {
	const get = async (path) => (await ask(`api/v1/status/${path}`, null, {signal})).data;
	const tsdb = get("tsdb?limit=1").catch(() => null);	/* of several tenants at once there is none */
	return [await get("buildinfo"), await get("runtimeinfo"), await tsdb];
};

/* ---- tenants ---- */

const ROWS = {samples_per_s: "samples/s", requests_per_s: "requests/s", series: "series", query_memory: "memory of queries", query_samples: "samples of a query",
	query_concurrency: "queries at once", query_queued: "queries waiting", new_series_per_s: "new series/s", retention: "kept", out_of_order_window: "late samples", query_timeout: "time of a query"};
const limitText = ([key, v]) => `${ROWS[key]} ${typeof v === "string" ? v : key === "query_memory" ? bytes(v) : short(v)}`;

const tenantRow = (t) => h("tr", null, h("th", {scope: "row"}, t.name),
	h("td", {class: "k-num"}, count(t.series), t.limits.series ? h("span", {class: "k-dim"}, ` of ${count(t.limits.series)}`) : null),
	h("td", {class: "k-num"}, count(t.samplesStored)), h("td", {class: t.samplesRefused ? "k-num k-warn" : "k-num"}, count(t.samplesRefused)),
	h("td", {class: "k-num"}, count(t.queries)), h("td", {class: "k-num"}, seconds(t.querySeconds)),
	h("td", null, Object.entries(t.limits).filter(([key]) => ROWS[key]).map(limitText).join(", ") || h("span", {class: "k-dim"}, "those of the server")));

const tenants = (data) => [
	data.identities ? h("p", null, h("span", {class: "k-dim"}, "You are "), data.identity || "anonymous", h("span", {class: "k-dim"}, " with "), data.roles.join(", "))
		: h("p", {class: "k-warn"}, "No identities are set up: who reaches the port may do everything."),
	scroller("Tenants", h("table", {class: "k-table k-tenants"},
		h("thead", null, h("tr", null, h("th", null, "Tenant"),
			["Active series", "Samples stored", "Refused", "Queries", "Their time"].map((t) => h("th", {class: "k-num"}, t)), h("th", null, "Limits of its own"))),
		h("tbody", null, data.tenants.map(tenantRow)))),
	h("p", {class: "k-dim"}, data.count > data.tenants.length ? `The ${data.tenants.length} largest of ${count(data.count)}. ` : "", "Samples and queries are counted since the start."),
];

/* ---- flags ---- */

const flagRow = ([name, value], changed) => h("tr", {dataset: {text: `${name} ${value}`.toLowerCase()}}, h("th", {scope: "row", class: "k-mono"}, "--", name),
	h("td", {class: "k-mono"}, value === "" ? h("span", {class: "k-dim"}, "none") : value), h("td", null, changed ? h("span", {class: "k-tag"}, "changed") : null));

const flags = ([all, changed]) => {
	const list = Object.entries(all).sort(([a], [b]) => (b in changed) - (a in changed) || (a < b ? -1 : 1));
	const rows = list.map((f) => flagRow(f, f[0] in changed));
	const told = h("span", {class: "k-dim"});
	const filter = () => {
		const words = input.value.toLowerCase().split(/\s+/).filter((w) => w);
		let shown = 0;
		for (const row of rows) {
			row.hidden = !words.every((w) => row.dataset.text.includes(w));
			shown += !row.hidden;
		}
		put(told, shown === rows.length ? `${rows.length} flags, ${Object.keys(changed).length} changed` : `${shown} of ${rows.length}`);
		if (words.length)
			say(`${shown} flags`);
	};
	const input = h("input", {type: "search", placeholder: "Filter", "aria-label": "Filter flags", oninput: filter});
	filter();
	return [h("div", {class: "k-row k-above"}, input, told),
		scroller("Flags", h("table", {class: "k-table k-flags"},
			h("thead", {class: "k-unseen"}, h("tr", null, ["Flag", "Value", "Changed"].map((t) => h("th", null, t)))), h("tbody", null, rows)))];
};

/* ---- all of it ---- */

const config = ({data}) => [h("div", {class: "k-row k-above"}, copyButton(() => data.yaml), h("span", {class: "k-dim"}, "What is in force, secrets left out.")),
	h("pre", {class: "k-yaml", tabindex: "0", role: "region", "aria-label": "Configuration"}, data.yaml)];

export async function show(root, ctx) {
	const {signal} = ctx;
	const wait = () => h("div", null, h("p", {class: "k-dim"}, "Loading"));
	const [runs, owners, options, file] = [wait(), wait(), wait(), wait()];
	put(root, h("div", {class: "k-view"}, h("h1", null, title),
		card("Process", runs), card("Tenants", owners), card("Flags", options), card("Configuration", file)));
	const get = async (path) => (await ask(path, null, {signal})).data;
	let known = null;
	const drawProcess = () => known && put(runs, process(known, ctx.settings.zone));
	ctx.onSettings((_, name) => name === "zone" && drawProcess());
	await Promise.all([
		part(runs, () => loadProcess(signal), (all) => { known = all; return process(all, ctx.settings.zone); }),
		part(owners, () => get("api/v1/status/tenants"), tenants),
		part(options, () => Promise.all([get("api/v1/status/flags"), get("api/v1/status/flags?changed=1")]), flags),
		part(file, () => ask("api/v1/status/config", null, {signal}), config),
	]);
	return {};
}
