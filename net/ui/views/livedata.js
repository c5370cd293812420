/*
 * livedata - where Live's numbers come from: the server's own history (job="kymo" of the default tenant, by PromQL), or,
 * where there is none or it may not be read, /metrics, looked at again and again and kept in this page.
 *
 *   const d = await liveData(signal) -> {mode, why, info, own, look(rangeName, fixed), series(id), facts, cost}
 *
 * mode: "history", "polled" or "none"; why: a sentence where it is not "history". look() asks for what is new and throws
 * what ask throws; series(id) -> [{labels, name, times, values, newest}]; facts: Map name -> value; cost: {asked, ms} of the
 * last look. fixed: {from, to} in ms, where not the newest is wanted.
 *
 * Few questions: all charts are one query_range, of the steps that are new, and one query for facts and, where a step is
 * longer than a refresh, for the newest values. Both are of the server's clock.
 */
import {ask, askText, gone} from "../lib/ask.js";
import {CHARTS, FACTS, RANGES, TENANTS, chartValues, factsExpr, readLook, seriesName, unionExpr} from "./livecharts.js";

const REFRESH_S = 5, POINTS = 240;
const TENANTS_MOST = 20;
const NAMES = Object.keys(RANGES);
const byId = new Map(CHARTS.map((c) => [c.id, c]));
const number = (text) => text === "+Inf" ? Infinity : text === "-Inf" ? -Infinity : Number(text);

/* Points by chart and series: Map id -> Map name -> Map ms -> value, times ascending. */
export const keeping = () => {
	const charts = new Map();
	const of = (id, name) => {
		if (!charts.has(id))
			charts.set(id, new Map());
		const names = charts.get(id);
		if (!names.has(name))
			names.set(name, new Map());
		return names.get(name);
	};
	return {
		add: (id, name, ms, value) => of(id, name).set(ms, value),
		clear: () => charts.clear(),
		/* What is older goes; a series without a point, too. */
		trim: (from) => {
			for (const names of charts.values())
				for (const [name, points] of names) {
					for (const ms of points.keys()) {
						if (ms >= from)
							break;
						points.delete(ms);
					}
					if (!points.size)
						names.delete(name);
				}
		},
		names: (id) => [...charts.get(id)?.keys() ?? []],
		points: (id, name) => charts.get(id).get(name),
		any: () => [...charts.values()].some((names) => names.size),
		/* The time of the first point, or Infinity. */
		first: () => Math.min(...[...charts.values()].flatMap((names) => [...names.values()].map((points) => points.keys().next().value ?? Infinity))),
	};
};

/* As chart/plot wants them. What is 0 all the time is left out beside others of its chart; of many zeros one is left. */
export const drawn = (kept, newest, id) => {
	const all = kept.names(id).sort((a, b) => a.localeCompare(b, "en", {numeric: true})).map((name) => {
		const points = kept.points(id, name);
		const values = Float64Array.from(points.values());
		return {labels: {}, name, times: Float64Array.from(points.keys()), values, newest: newest.get(`${id}\n${name}`) ?? values.at(-1)};
	});
	const busy = all.filter((s) => s.newest || s.values.some((v) => v));
	return busy.length || all.length < 3 ? (all.length < 3 ? all : busy) : [{...all[0], name: "all"}];
};

/* Of a span that was chosen by hand. */
const forSpan = ({from, to}) => {
	const range = (to - from) / 1000, step = Math.max(REFRESH_S, Math.ceil(range / POINTS / REFRESH_S) * REFRESH_S);
	return {range, step, window: Math.max(30, 2 * step)};
};

const history = (info, signal) => {
	const own = `job="kymo",instance="${info.instance}"`;
	const kept = keeping(), newest = new Map(), facts = new Map();
	const options = {signal, tenant: info.tenant};
	let key = "", last = 0;

	const take = (result, each) => {
		for (const s of result) {
			const chart = byId.get(s.metric.chart);
			if (chart)
				each(chart.id, seriesName(chart, s.metric), s);
			else
				facts.set(s.metric.__name__, number(s.value[1]));
		}
	};
	const lookBack = async (r, from, to) => {
		const {data} = await ask("api/v1/query_range", {query: unionExpr(CHARTS, own, r), start: from / 1000, end: to / 1000, step: r.step}, options);
		take(data.result, (id, name, s) => s.values.forEach(([t, v]) => kept.add(id, name, t * 1000, number(v))));
	};
	const lookNow = async (r, now, charts) => {
		const query = factsExpr(own) + (charts ? " or " + unionExpr(CHARTS, own, r) : "");
		const {data} = await ask("api/v1/query", {query, time: now / 1000}, options);
		newest.clear();
		take(data.result, (id, name, s) => newest.set(`${id}\n${name}`, number(s.value[1])));
	};
	/* Which range's steps are asked for: the one that was chosen, or a shorter one while there is no more than that. */
	let use = "";
	const spanOf = (r, to) => {
		const step = r.step * 1000, end = Math.floor(to / step) * step;
		return {step, end, start: end - Math.ceil(r.range * 1000 / step) * step};
	};
	const begin = async (name, to) => {
		for (let i = NAMES.indexOf(name), asked = 1; ; i--, asked++) {
			const r = RANGES[NAMES[i]], {start, end} = spanOf(r, to);
			use = NAMES[i];
			kept.clear();
			await lookBack(r, start, end);
			if (!i || kept.first() < start + (end - start) / 2)
				return asked;
		}
	};
	const look = async (name, fixed) => {
		const to = fixed?.to ?? info.now(), again = `${name} ${fixed?.from}`;
		const outgrown = use !== name && kept.first() < spanOf(RANGES[use || name], to).start + 60000;
		const fresh = again !== key || (!fixed && outgrown);
		let r = fixed ? forSpan(fixed) : RANGES[fresh ? name : use], asked = 0;
		if (fresh) {
			key = "";
			newest.clear();
			if (fixed) {
				kept.clear();
				const {start, end} = spanOf(r, to);
				await lookBack(r, start, end);
				asked = 1;
			} else {
				asked = await begin(name, to);
				r = RANGES[use];
			}
		}
		const {start, end, step} = spanOf(r, to), more = [];
		/* The two steps before are asked again: what came late is in them. */
		if (!fresh && end > last)
			more.push(lookBack(r, Math.max(start, last - 2 * step), end));
		if (!fixed)
			more.push(lookNow(r, to, r.step > REFRESH_S));
		await Promise.all(more);
		key = again;
		last = end;
		kept.trim(start);
		return {asked: asked + more.length, from: start, to: end, step};
	};
	return {own, facts, look, kept, newest};
};

/* Two looks make a rate; what is kept are points of this page's life. */
const polled = (signal) => {
	const kept = keeping(), newest = new Map(), facts = new Map();
	let was = null;
	const look = async (name, fixed) => {
		if (fixed)
			return {asked: 0, from: fixed.from, to: fixed.to, step: REFRESH_S * 1000};
		const now = readLook(await askText("metrics", null, {signal}), Date.now());
		for (const c of CHARTS)
			for (const [series, v] of chartValues(c, was, now))
				kept.add(c.id, series, now.at, v);
		for (const f of FACTS)
			if (now.rows.has(f))
				facts.set(f, now.rows.get(f)[0].value);
		was = now;
		const from = now.at - RANGES[name].range * 1000;
		kept.trim(now.at - RANGES["7d"].range * 1000);
		return {asked: 1, from, to: now.at, step: REFRESH_S * 1000};
	};
	return {own: null, facts, look, kept, newest};
};

/* Counters of the tenants that who asks may read, where these are several; the largest. */
const tenantsOf = (signal, clock) => {
	const kept = keeping();
	let was = null, at = -Infinity, off = false;
	return {
		kept,
		look: async () => {
			if (off || performance.now() - at < TENANTS.step)
				return 0;
			at = performance.now();
			try {
				const {data} = await ask("api/v1/status/tenants", {limit: TENANTS_MOST}, {signal});
				const rows = data.tenants.map((t) => ({labels: {tenant: t.name}, text: t.name, value: t.samplesStored}));
				const now = {at: clock(), rows: new Map([[TENANTS.terms[0].name, rows]])};
				if (was)
					chartValues(TENANTS, was, now).forEach((v, name) => kept.add(TENANTS.id, name, now.at, v));
				kept.trim(now.at - RANGES["7d"].range * 1000);
				was = now;
				off = rows.length < 2;
			} catch (e) {
				if (gone(e))
					throw e;
				off = true;
			}
			return 1;
		},
	};
};

/* Where the server's own series are, and how far its clock is from this one. */
const known = async (signal) => {
	const before = Date.now();
	const {data} = await ask("api/v1/status/runtimeinfo", null, {signal});
	const offset = Date.parse(data.serverTime) - (before + Date.now()) / 2;
	return {...data.selfMetrics, recorded: Boolean(data.selfMetrics), started: Date.parse(data.startTime), loops: data.GOMAXPROCS, now: () => Date.now() + offset};
};

/* Why the history is not to be had; null: it is. who: as /api/v1/status/tenants tells. */
const without = (info, who) => {
	if (!info.recorded)
		return "The server does not record its own metrics (--no-self-metrics).";
	const may = !who.identities || who.anyTenant || who.tenants.some((t) => t.name === info.tenant) || who.count > who.tenants.length;
	return may ? null : `${who.identity} may not read tenant "${info.tenant}", where the server's history of itself is.`;
};

export const liveData = async (signal) => {
	const [info, {data: who}] = await Promise.all([known(signal), ask("api/v1/status/tenants", null, {signal})]);
	const why = without(info, who), source = why ? polled(signal) : history(info, signal);
	let mode = why ? "polled" : "history", reason = why;
	if (why && !who.roles.includes("admin")) {
		mode = "none";
		reason = `${why} /metrics would do, but that needs the role admin, and ${who.identity} has ${who.roles.join(", ")}.`;
	} else if (why) {
		try {
			await source.look("15m");
			reason = `${why} What stands here is read from /metrics every 5 seconds, and kept as long as this page is open.`;
		} catch (e) {
			if (gone(e) || ![403, 404].includes(e.status))
				throw e;
			mode = "none";
			reason = `${why} /metrics would do, but is not to be had here (${e.message}).`;	/* on the listener for administration */
		}
	}
	const tenants = tenantsOf(signal, info.now);
	const d = {
		mode, why: reason, info, own: source.own, facts: source.facts, cost: null,
		look: async (name, fixed = null) => {
			const begin = performance.now();
			const [span, more] = await Promise.all([source.look(name, fixed), fixed ? 0 : tenants.look()]);
			if (!fixed)	/* a young server's few points take the whole width */
				span.from = Math.max(span.from, Math.min(source.kept.first(), span.to - 30000));
			d.cost = {asked: span.asked + more, ms: performance.now() - begin};
			return span;
		},
		any: () => source.kept.any(),
		series: (id) => id === TENANTS.id ? drawn(tenants.kept, new Map(), id) : drawn(source.kept, source.newest, id),
		tenants: () => tenants.kept.names(TENANTS.id).length > 1,
	};
	return d;
};
