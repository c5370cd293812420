/*
 * livecharts - what Live shows: charts as data, so that the same row is a question in PromQL (the server's own history)
 * and a sum over two looks at /metrics (where there is no history, or it may not be read).
 *
 * A term is {op, name, by?, match?, q?, of?, is?}:
 *   rate      of counters, per second          value   of gauges (with `by`: one of each)
 *   peak      of gauges, the most in a step    share   rate(name) / rate(of), or with `by` name / of, gauges
 *   quantile  q of a histogram between two looks
 * is: how its series is called, where there is no `by`.
 */
const rate = (name, more) => ({op: "rate", name, ...more});
const value = (name, more) => ({op: "value", name, ...more});
const halves = (name, more) => [["p50", 0.5], ["p99", 0.99]].map(([is, q]) => ({op: "quantile", name, q, is, ...more}));

/* big: what stands beside the graph, of the newest values: "sum", "max", or the name of one. */
export const GROUPS = [
	{title: "Writes", charts: [
		{id: "in", title: "Samples by receiver", unit: "/s", kind: "stacked", big: "sum", terms: [rate("kymo_receiver_samples_total", {by: "receiver"})]},
		{id: "refused", title: "Refused samples by reason", unit: "/s", kind: "stacked", big: "sum", terms: [rate("kymo_samples_refused_total", {by: "reason"})]},
		{id: "write", title: "Write latency", unit: "s", big: "p99", terms: halves("kymo_write_seconds")},
		{id: "new", title: "New series, late samples", unit: "/s", big: "new", terms: [rate("kymo_series_created_total", {is: "new"}), rate("kymo_samples_late_total", {is: "late"})]},
	]},
	{title: "Queries", charts: [
		{id: "query", title: "Query latency", unit: "s", big: "p99", terms: halves("kymo_query_seconds")},
		{id: "queries", title: "Queries answered", unit: "/s", big: "answered", terms: [rate("kymo_queries_total", {is: "answered"}), rate("kymo_queries_refused_total", {is: "refused"})]},
		{id: "running", title: "Queries at work", unit: "", big: "running", terms: [value("kymo_queries_running", {is: "running"}), value("kymo_queries_queued", {is: "waiting"})]},
		{id: "cache", title: "Steps from the cache", unit: "%", big: "kept", terms: [{op: "share", name: "kymo_query_cache_steps_total", match: 'from="cache"', of: "kymo_query_cache_steps_total", is: "kept"}]},
	]},
	{title: "Loops", charts: [
		{id: "busy", title: "Busy, by loop", unit: "%", big: "max", terms: [rate("kymo_loop_busy_seconds_total", {by: "loop"})]},
		{id: "turn", title: "Turn time p99, by loop", unit: "s", big: "max", terms: [{op: "quantile", name: "kymo_loop_each_turn_seconds", q: 0.99, by: "loop"}]},
		{id: "longest", title: "Longest turn, by loop", unit: "s", big: "max", terms: [{op: "peak", name: "kymo_loop_longest_turn_seconds", by: "loop"}]},
		{id: "cpu", title: "CPU of the process", unit: "%", big: "process", terms: [rate("process_cpu_seconds_total", {is: "process"})]},
	]},
	{title: "Memory and series", charts: [
		{id: "memory", title: "Memory by part", unit: "B", kind: "stacked", big: "sum", terms: [value("kymo_memory_bytes", {by: "part"})]},
		{id: "fill", title: "Part of its limit", unit: "%", big: "max", terms: [{op: "share", name: "kymo_memory_bytes", of: "kymo_memory_limit_bytes", by: "part"}]},
		{id: "rss", title: "Process in memory", unit: "B", big: "resident", terms: [value("process_resident_memory_bytes", {is: "resident"})]},
		{id: "series", title: "Series in memory", unit: "", big: "active", terms: [value("kymo_series_active", {is: "active"})]},
	]},
	{title: "Storage and connections", charts: [
		{id: "log", title: "Log: held, waiting", unit: "B", big: "held", terms: [value("kymo_log_held_bytes", {is: "held"}), value("kymo_log_backlog_bytes", {is: "waiting"})]},
		{id: "sync", title: "Log sync time", unit: "s", big: "p99", terms: halves("kymo_log_sync_seconds")},
		{id: "took", title: "Last round and merge took", unit: "s", big: "round", terms: [value("kymo_round_last_duration_seconds", {is: "round"}), value("kymo_merge_last_duration_seconds", {is: "merge"})]},
		{id: "back", title: "Rounds and merges", unit: "", big: "waiting", terms: [
			value("kymo_rounds_active", {match: 'state="running"', is: "rounds"}), value("kymo_merges_active", {match: 'state="running"', is: "merges"}),
			value("kymo_merges_active", {match: 'state="waiting"', is: "waiting"}),
		]},
		{id: "failed", title: "Failed rounds, merges, syncs", unit: "/s", big: "sum", terms: [
			rate("kymo_rounds_failed_total", {is: "rounds"}), rate("kymo_merges_failed_total", {is: "merges"}), rate("kymo_log_failures_total", {is: "log"}),
		]},
		{id: "files", title: "Storage by part", unit: "B", kind: "stacked", big: "sum", terms: [value("kymo_storage_bytes", {by: "part"})]},
		{id: "disk", title: "Disk free", unit: "B", big: "free", terms: [value("kymo_disk_free_bytes", {is: "free"}), value("kymo_disk_floor_bytes", {is: "floor"})]},
		{id: "http", title: "Connections, open requests", unit: "", big: "connections", terms: [value("kymo_connections", {is: "connections"}), value("kymo_http_requests_open", {is: "requests"})]},
	]},
];
export const CHARTS = GROUPS.flatMap((g) => g.charts);

/* Not of the history: names of tenants are not for every reader of the default tenant. */
export const TENANTS = {id: "tenants", step: 15000, title: "Samples by tenant", unit: "/s", kind: "stacked", big: "sum", terms: [rate("kymo_tenant_samples_ingested_total", {by: "tenant"})]};

/* Numbers of now, in words beside each other. */
export const FACTS = ["kymo_log_segments", "kymo_storage_files", "kymo_rounds_total", "kymo_merges_total", "kymo_round_last_timestamp_seconds",
	"kymo_merge_last_timestamp_seconds", "process_open_fds", "process_start_time_seconds"];

/* What is asked for a range: its step, the window of rates. All in seconds; some 180 to 340 points. */
export const RANGES = {
	"15m": {range: 900, step: 5, window: 30},
	"1h": {range: 3600, step: 15, window: 60},
	"6h": {range: 21600, step: 60, window: 120},
	"24h": {range: 86400, step: 300, window: 600},
	"7d": {range: 604800, step: 1800, window: 3600},
};

/* ---- as PromQL ---- */

const selector = (name, ...matchers) => `${name}{${matchers.filter((m) => m).join(",")}}`;

const termExpr = (t, own, {step, window}) => {
	const by = t.by ? ` by (${t.by})` : "";
	const of = (name, match = t.match) => selector(name, own, match);
	const rates = (name, match) => `sum${by} (rate(${of(name, match)}[${window}s]))`;
	switch (t.op) {
	case "rate":
		return rates(t.name);
	case "value":
		return `max${by} (${of(t.name)})`;
	case "peak":
		return `max${by} (max_over_time(${of(t.name)}[${step < 10 ? 10 : step}s]))`;
	case "share":
		return t.by ? `max${by} (${of(t.name)}) / max${by} (${of(t.of)})` : `${rates(t.name)} / ${rates(t.of, "")}`;
	default:
		return `histogram_quantile(${t.q}, sum by (${t.by ? t.by + ", " : ""}le) (rate(${of(t.name + "_bucket")}[${window}s])))`;
	}
};

const named = (expr, label, text) => `label_replace(${expr}, "${label}", "${text}", "", "")`;

/* One chart as a question that can be asked alone. own: matchers of the server's own series, as text. */
export const chartExpr = (chart, own, range) => {
	const terms = chart.terms.map((t) => t.by || chart.terms.length === 1 ? termExpr(t, own, range) : named(termExpr(t, own, range), "is", t.is));
	return terms.join(" or ");
};

/* Many charts as one question: the label "chart" tells whose a series is. */
export const unionExpr = (charts, own, range) =>
	charts.map((c) => named(chartExpr(c, own, range), "chart", c.id)).join(" or ");

export const factsExpr = (own) => `{__name__=~"${FACTS.join("|")}",${own}}`;

/* What the series of an answer is called in its chart. */
export const seriesName = (chart, labels) => labels.is ?? labels[chart.terms[0].by] ?? chart.terms[0].is;

/* ---- from two looks at /metrics ---- */

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;
const number = (text) => text === "+Inf" ? Infinity : text === "-Inf" ? -Infinity : Number(text);

/* {at (ms), rows: Map name -> [{labels, text, value}]}; of names that a chart or a fact wants. */
const WANTED = new Set([...FACTS, ...CHARTS.flatMap((c) => c.terms.flatMap((t) => t.op === "quantile" ? [t.name + "_bucket"] : [t.name, t.of]))]);
export const readLook = (text, at) => {
	const rows = new Map();
	for (const line of text.split("\n")) {
		const m = line.startsWith("#") ? null : LINE.exec(line);
		if (!m || !WANTED.has(m[1]))
			continue;
		const labels = {};
		for (const [, name, v] of (m[2] ?? "").matchAll(LABEL))
			labels[name] = v;
		if (!rows.has(m[1]))
			rows.set(m[1], []);
		rows.get(m[1]).push({labels, text: m[2] ?? "", value: number(m[3])});
	}
	return {at, rows};
};

const rowsOf = (look, name, match) => (look.rows.get(name) ?? []).filter((r) => !match || r.text.includes(match));

/* Map key -> sum over rows; f(row) is what of it counts. */
const sums = (rows, key, f) => {
	const out = new Map();
	for (const r of rows)
		out.set(key(r), (out.get(key(r)) ?? 0) + f(r));
	return out;
};

/* How much each has grown; a counter that fell began anew. */
const grown = (was, now, name, match, key) => {
	const before = new Map(rowsOf(was, name, match).map((r) => [r.text, r.value]));
	return sums(rowsOf(now, name, match), key, (r) => {
		const b = before.get(r.text) ?? 0;
		return r.value >= b ? r.value - b : r.value;
	});
};

/* As histogram_quantile: [[le, count up to it]...] in ascending order. */
export const quantile = (q, buckets) => {
	const all = buckets.at(-1)?.[1] ?? 0, rank = q * all;
	if (!(all > 0))
		return NaN;
	const i = buckets.findIndex(([, n]) => n >= rank);
	const [low, below] = i > 0 ? buckets[i - 1] : [0, 0];
	const [high, upTo] = buckets[i];
	return high === Infinity ? low : low + (high - low) * (upTo > below ? (rank - below) / (upTo - below) : 1);
};

const quantiles = (t, was, now) => {
	const by = new Map();
	for (const [key, n] of grown(was, now, t.name + "_bucket", t.match, (r) => `${t.by ? r.labels[t.by] : t.is}\n${r.labels.le}`)) {
		const [name, le] = key.split("\n");
		if (!by.has(name))
			by.set(name, []);
		by.get(name).push([number(le), n]);
	}
	return new Map([...by].map(([name, b]) => [name, quantile(t.q, b.sort((x, y) => x[0] - y[0]))]));
};

const termValues = (t, was, now) => {
	const key = (r) => t.by ? r.labels[t.by] : t.is;
	const value = (name) => sums(rowsOf(now, name, t.match), key, (r) => r.value);
	if (t.op === "value" || t.op === "peak")
		return value(t.name);
	if (t.op === "share" && t.by) {
		const of = value(t.of);
		return new Map([...value(t.name)].filter(([k]) => of.has(k)).map(([k, v]) => [k, v / of.get(k)]));
	}
	if (!was)
		return new Map();
	if (t.op === "quantile")
		return quantiles(t, was, now);
	const more = grown(was, now, t.name, t.match, key);
	if (t.op === "share") {
		const of = grown(was, now, t.of, "", key);
		return new Map([...more].map(([k, v]) => [k, v / of.get(k)]));
	}
	return new Map([...more].map(([k, v]) => [k, v / ((now.at - was.at) / 1000)]));
};

/* Map name of a series -> its value, of a chart between two looks; was null: gauges alone. */
export const chartValues = (chart, was, now) => new Map(chart.terms.flatMap((t) => [...termValues(t, was, now)]));
