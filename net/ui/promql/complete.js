/*
 * complete - what could be written at the caret: asked of the server and of words.js, ranked, and put in.
 *
 *     const place = at(text, caret);                     caret.js, here again
 *     const found = await source.find(wants(place));     names or values of the server; wants: null, nothing to ask
 *     const list = choices(place, found, recent);        [{name, kind, doc, type, note, marks}], best first
 *     const {from, to, insert, caret} = edit(text, place, list[0]);
 *
 * kinds: metric, label, value, func, aggr, keyword, duration, op, time. marks: [[from, to]] of name that the prefix
 * found; recent: keys (key(item)) used lately, the newest first.
 */
import { at, call, escaped, quoted } from "./caret.js";
import { plainMetric } from "./lexer.js";
import { UNITS, aggregations, functions, keywords } from "./words.js";

export { at, call };

const LIMIT = 50;
const ALL = 10000; /* names asked at once from a server that cannot search */
const SEARCH_MOST = 256; /* bytes of a prefix that the server takes */
const TIMES_S = 300; /* what times are rounded to, so that the same question stays the same */
const FRESH_MS = 30000;
const CACHE_MOST = 60;

/* ---- rank ---- */

/*
 * How well a name meets the prefix: {tier, marks}; tier 0 it begins with it, 1 one of its words does, 2 it holds
 * it, 3 it has its letters in their order; null: not at all.
 */
export const rank = (prefix, name) => {
	if (!prefix)
		return { tier: 0, marks: [] };
	const lower = name.toLowerCase(), p = prefix.toLowerCase();
	const whole = (tier, i) => ({ tier, marks: lower.length === name.length ? [[i, i + p.length]] : [] });
	let inside = -1;
	for (let i = lower.indexOf(p); i >= 0; i = lower.indexOf(p, i + 1)) {
		if (i === 0)
			return whole(0, 0);
		if (/[^a-z0-9]/.test(lower[i - 1]))
			return whole(1, i);
		inside = inside < 0 ? i : inside;
		if (i > 2000)
			break;
	}
	if (inside >= 0)
		return whole(2, inside);
	const marks = [];
	let i = -1;
	for (const c of p) {
		i = lower.indexOf(c, i + 1);
		if (i < 0)
			return null;
		if (marks.length && marks.at(-1)[1] === i)
			marks.at(-1)[1] = i + 1;
		else
			marks.push([i, i + 1]);
	}
	return { tier: 3, marks: lower.length === name.length ? marks : [] };
};

export const key = (item) => `${item.kind} ${item.name}`;

/* By tier, then what was used lately, then weight, then as they came. */
const ranked = (prefix, items, recent) => {
	const used = new Map(recent.map((k, i) => [k, i]));
	const list = [];
	for (const [i, item] of items.entries()) {
		const r = rank(prefix, item.name);
		if (r)
			list.push({ ...item, ...r, exact: item.name === prefix, used: used.get(key(item)) ?? Infinity, i });
	}
	const cmp = (a, b) => a < b ? -1 : a > b ? 1 : 0;
	/* Letters in their order are for when nothing else is found. */
	const near = list.filter((c) => c.tier < 3);
	return (near.length ? near : list).sort((a, b) => cmp(b.exact, a.exact) || cmp(a.tier, b.tier) || cmp(a.used, b.used) || (a.tier === 3 && cmp(a.marks.length, b.marks.length)) || cmp(a.weight ?? 0, b.weight ?? 0) || a.i - b.i);
};

/* ---- what is known here ---- */

const OPS = [["=", "The value is exactly this."], ["!=", "The value is another one."], ["=~", "All of the value matches this pattern (RE2)."], ["!~", "The value does not match this pattern."]];
const TIMES = [["start()", "The begin of the query's range."], ["end()", "The end of the query's range."]];
const SPANS = ["1m", "5m", "15m", "30m", "1h", "6h", "1d", "7d"];
const UNITS_DOWN = ["y", "w", "d", "h", "m", "s", "ms"]; /* as they must follow each other */
const UNITS_OFTEN = ["m", "s", "h", "d", "w", "ms", "y"];

/* "5m" -> "5 minutes" */
const read = (span) => {
	const n = parseInt(span, 10), unit = UNITS[span.slice(String(n).length)];
	return `${n} ${n === 1 ? unit.replace(/s$/, "") : unit}`;
};

const durations = (prefix) => {
	const item = (name, doc) => ({ name, kind: "duration", doc });
	if (!prefix)
		return SPANS.map((s) => item(s, read(s)));
	const m = /^((?:\d+(?:ms|[smhdwy]))*)\d+$/.exec(prefix);
	if (!m)
		return /^[a-z]/i.test(prefix) ? ["step", "range", "min_of", "max_of"].map((n) => functions.get(n)) : [];
	const last = /(ms|[smhdwy])$/.exec(m[1]), left = UNITS_DOWN.slice(last ? UNITS_DOWN.indexOf(last[1]) + 1 : 0);
	return UNITS_OFTEN.filter((u) => left.includes(u)).map((u) => item(prefix + u, UNITS[u]));
};

/* Experimental words come behind those that always work; without a prefix, metrics come first. */
const words = (list, prefix) => [...list].map((w) => ({ ...w, weight: (w.experimental ? 1 : 0) + (prefix ? 0 : 2) }));

/* What may stand at the place, as far as no server is needed. */
const known = (place) => {
	const behind = place.words.map((w) => keywords.get(w)).filter(Boolean);
	switch (place.kind) {
	case "expr":
		return [...words(aggregations.values(), place.prefix), ...words(functions.values(), place.prefix), ...words(behind, place.prefix)];
	case "after":
		return behind;
	case "duration":
		return durations(place.prefix);
	case "op":
		return OPS.map(([name, doc]) => ({ name, kind: "op", doc }));
	case "time":
		return TIMES.map(([name, doc]) => ({ name, kind: "time", doc }));
	default:
		return [];
	}
};

/* ---- what the server knows ---- */

const ASKED = { expr: ["metric_names"], quoted: ["metric_names", "label_names"], label: ["label_names"], value: ["label_values"] };
const KIND = { metric_names: "metric", label_names: "label", label_values: "value" };

/* The prefix, as far as it may be sent. */
const sent = (prefix) => {
	const bytes = new TextEncoder().encode(prefix);
	return bytes.length <= SEARCH_MOST ? prefix : new TextDecoder().decode(bytes.slice(0, SEARCH_MOST)).replace(/\ufffd$/, "");
};

/* The questions that the place has for the server; null: none. */
export const wants = (place) => {
	/* A selector has one metric. */
	const what = place.kind === "quoted" && place.metric !== null ? ASKED.label : ASKED[place.kind];
	if (!what)
		return null;
	const search = sent(place.prefix);
	return what.map((w) => ({ what: w, search, matches: w === "metric_names" ? [] : place.matches, label: w === "label_values" ? place.label : "" }));
};

export const choices = (place, found, recent = []) => {
	/* Labels that stand there already are no use again; those of the system are a last resort. */
	const useful = (found ?? []).filter((f) => f.kind !== "label" || f.name === place.prefix || !place.used.includes(f.name));
	const remote = useful.map((f) => ({ ...f, weight: place.kind === "expr" || (f.kind === "label" && f.name.startsWith("__")) ? 1 : 0 }));
	const prefix = place.kind === "duration" && !/^[a-z]/i.test(place.prefix) ? "" : place.prefix;
	return ranked(prefix, [...known(place), ...remote], recent).slice(0, LIMIT + 20);
};

/* A label's name in a path, as Prometheus writes those that are no identifiers. */
const inPath = (name) => /^[a-zA-Z_]\w*$/.test(name) && !name.startsWith("U__") ? name
	: "U__" + [...name].map((c) => c === "_" ? "__" : /[a-zA-Z0-9]/.test(c) ? c : `_${c.codePointAt(0).toString(16)}_`).join("");

/*
 * ask, lines: of lib/ask.js; times(): {start, end} in seconds of what is looked at, else the server's hour. find(questions, signal) -> [{name, kind, type, help}]; about(name, signal) ->
 * {type, help, unit} of a metric, or null; forget(): the cache, when another tenant may be meant.
 */
export const source = ({ ask, lines, times }) => {
	const cache = new Map();
	const facts = new Map();
	let searches = true;

	const span = () => {
		const t = times?.();
		return t ? { start: Math.floor(t.start / TIMES_S) * TIMES_S, end: Math.ceil(t.end / TIMES_S) * TIMES_S } : {};
	};
	const idOf = (q) => JSON.stringify([q.what, q.label, q.matches, span()]);
	const search = async (q, signal) => {
		const items = [];
		let more = false;
		const params = { ...span(), "search[]": q.search || undefined, "match[]": q.matches, label: q.label || undefined, case_sensitive: "false", limit: LIMIT, sort_by: q.search ? "score" : "alpha", include_metadata: q.what === "metric_names" ? "true" : undefined };
		await lines(`api/v1/search/${q.what}`, params, (o) => {
			if (o.status === "error")
				throw new Error(o.error);
			for (const r of o.results ?? [])
				items.push({ name: String(r.name ?? r.value), kind: KIND[q.what], type: r.type, help: r.help, unit: r.unit });
			more = o.has_more ?? more;
		}, { signal });
		return { items, more };
	};
	const list = async (q, signal) => {
		const path = q.what === "metric_names" ? "label/__name__/values" : q.what === "label_names" ? "labels" : `label/${encodeURIComponent(inPath(q.label))}/values`;
		const { data } = await ask(`api/v1/${path}`, { ...span(), "match[]": q.matches, limit: ALL }, { signal });
		return { items: (data ?? []).map((name) => ({ name: String(name), kind: KIND[q.what] })), more: false };
	};
	const fetched = async (q, signal) => {
		if (searches) {
			try {
				return await search(q, signal);
			} catch (e) {
				if (e.status !== 404)
					throw e;
				searches = false;
			}
		}
		return list({ ...q, search: "" }, signal);
	};
	/* An answer that is whole holds those to longer prefixes, too. */
	const kept = (q) => {
		const group = cache.get(idOf(q));
		const now = performance.now();
		return group?.find((e) => now - e.time < FRESH_MS && (e.search === q.search || (!e.more && q.search.toLowerCase().includes(e.search.toLowerCase()))));
	};
	const keep = (q, answer) => {
		const id = idOf(q), now = performance.now();
		const group = (cache.get(id) ?? []).filter((e) => now - e.time < FRESH_MS).slice(-10);
		cache.delete(id);
		cache.set(id, [...group, { ...answer, search: searches ? q.search : "", time: now }]);
		if (cache.size > CACHE_MOST)
			cache.delete(cache.keys().next().value);
	};
	const one = async (q, signal) => {
		const before = kept(q);
		if (before)
			return before.items;
		let answer;
		try {
			answer = await fetched(q, signal);
		} catch (e) {
			/* A matcher that is no matcher yet must not cost the whole list. */
			if (e.status !== 400 || !q.matches.length)
				throw e;
			answer = await fetched({ ...q, matches: [] }, signal);
		}
		keep(q, answer);
		return answer.items;
	};
	return {
		find: async (questions, signal) => (await Promise.all(questions.map((q) => one(q, signal)))).flat(),
		/* What find would answer now without asking; null: it would ask. */
		atHand: (questions) => {
			const all = questions.map(kept);
			return all.every(Boolean) ? all.flatMap((e) => e.items) : null;
		},
		about: async (name, signal) => {
			const one = async (metric) => {
				const { data } = await ask("api/v1/metadata", { metric, limit_per_metric: 1 }, { signal });
				return data?.[metric]?.[0] ?? null;
			};
			/* The series of a histogram or summary have theirs under its name. */
			const family = name.replace(/_(bucket|sum|count)$/, "");
			if (!facts.has(name))
				facts.set(name, await one(name) ?? (family !== name ? await one(family) : null));
			return facts.get(name);
		},
		forget: () => {
			cache.clear();
			facts.clear();
		},
	};
};

/* ---- putting it in ---- */

export const plainLabel = (name) => /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name);

const pattern = (value) => value.replace(/[\\^$.|?*+()[\]{}]/g, "\\$&");

const callEdit = (rest, { name, args }) => {
	const there = /^\s*\(/.exec(rest);
	if (there)
		return [name, name.length + there[0].length];
	if (/^\s*(by|without)\b/i.test(rest))
		return [name, name.length];
	return [`${name}()`, name.length + (args.length ? 1 : 2)];
};

const metricEdit = (rest, name) => {
	if (plainMetric(name))
		return [name, name.length, 0];
	const q = quoted(name), there = /^\s*\{/.exec(rest);
	if (!there)
		return [`{${q}}`, q.length + 1, 0];
	const alone = /^\s*\}/.test(rest.slice(there[0].length));
	return [`{${q}${alone ? "" : ", "}`, q.length + 1, there[0].length];
};

/* A label's name; where its matcher is still to come, that too, with the caret in its value. */
const labelEdit = (rest, text, grouping) => {
	if (grouping || /^\s*[=!]/.test(rest))
		return [text, text.length];
	return [`${text}=""`, text.length + 2];
};

const valueEdit = (rest, place, name) => {
	const quote = place.quote || '"', value = escaped(place.regex ? pattern(name) : name, quote);
	if (!place.quote)
		return [`"${value}"`, value.length + 2];
	/* Behind the quote, but in a pattern, where another alternative may follow. */
	return [place.open ? value + quote : value, value.length + (place.regex ? 0 : 1)];
};

const quotedEdit = (place, item, rest) => {
	const name = escaped(item.name, place.quote) + place.quote;
	if (item.kind === "metric" || /^.?\s*[=!]/.test(rest))
		return [place.open ? name : name.slice(0, -1), name.length, 0];
	return [`${name}=""`, name.length + 2, place.open ? 0 : 1];
};

/* What changes when the item is taken: text[from..to) becomes insert, the caret stands at caret. */
export const edit = (text, place, item) => {
	const rest = text.slice(place.to), { name } = item;
	const result = ([insert, caret, more = 0]) => ({ from: place.from, to: place.to + more, insert, caret: place.from + caret });
	if (place.kind === "quoted")
		return result(quotedEdit(place, item, rest));
	switch (item.kind) {
	case "func":
	case "aggr":
		return result(callEdit(rest, item));
	case "metric":
		return result(metricEdit(rest, name));
	case "label":
		if (place.quote)
			return result([escaped(name, place.quote) + (place.open ? place.quote : ""), escaped(name, place.quote).length + 1]);
		return result(labelEdit(rest, plainLabel(name) && !(place.grouping && /^(inf|nan|without)$/i.test(name)) ? name : quoted(name), place.grouping));
	case "value":
		return result(valueEdit(rest, place, name));
	case "op":
		return result(/^\s*["'`]/.test(rest) ? [name, name.length] : [`${name}""`, name.length + 1]);
	case "keyword":
		if (item.behind === "()" && /^\s*\(/.test(rest))
			return result([name, name.length]);
		return result([name + item.behind, name.length + (item.behind === "()" ? 1 : item.behind.length)]);
	default:
		return result([name, name.length]);
	}
};
