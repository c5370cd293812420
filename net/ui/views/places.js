/* Places in an expression: where a message points to, which series are selected. Offsets are those of the text. */
import {tokens} from "../promql/lexer.js";

/* Lines and columns count from 1; columns are bytes, as Prometheus counts them. */
function offset(text, line, column) {
	let from = 0;
	for (let i = 1; i < line; i++) {
		const at = text.indexOf("\n", from);
		if (at < 0) return null;
		from = at + 1;
	}
	let bytes = 1, i = from;
	while (i < text.length && bytes < column) {
		const c = text.codePointAt(i);
		bytes += c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
		i += c < 0x10000 ? 1 : 2;
	}
	return i;
}

/* The word at an offset. */
function word(text, at) {
	const t = tokens(text).find(t => t.from <= at && at < t.to);
	return t ? {from: t.from, to: t.to} : {from: Math.min(at, Math.max(0, text.length - 1)), to: Math.max(text.length, 1)};
}

/* "... 1:11: parse error: ..." of errors and "... (1:25)" of warnings; null: it points nowhere. */
export function place(message, text) {
	const m = /(?:^|[\s:])(\d+):(\d+): parse error/.exec(message) ?? /\((\d+):(\d+)\)\s*$/.exec(message);
	const at = m && offset(text, Number(m[1]), Number(m[2]));
	return at === null || at === undefined ? null : word(text, at);
}

/* Without the place, which is shown. */
export function spoken(message) {
	return message.replace(/^invalid parameter "query": /, "").replace(/^\d+:\d+: parse error: /, "").replace(/\s*\(\d+:\d+\)\s*$/, "")
		.replace(/^PromQL (info|warning): /, "");
}

/* The selectors: [{metric, text, from, to, equals: [[label, value]]}], metric "" where there is no name. */
export function selectors(text) {
	const out = [], all = tokens(text).filter(t => t.kind !== "comment");
	const at = t => text.slice(t.from, t.to);
	for (let i = 0; i < all.length; i++) {
		const named = all[i].kind === "metric";
		const open = all[named ? i + 1 : i];
		const braces = open && at(open) === "{";
		if (!named && !braces) continue;
		const s = {metric: named ? at(all[i]) : "", from: all[i].from, to: all[i].to, equals: []};
		if (braces) {
			let j = named ? i + 2 : i + 1;
			for (; j < all.length && at(all[j]) !== "}"; j++) {
				const op = all[j + 1] && at(all[j + 1]), value = all[j + 2];
				if (all[j].kind === "metric") s.metric = unquoted(at(all[j]));
				if (op !== "=" || value?.kind !== "string" || !/^(label|name|metric)$/.test(all[j].kind)) continue;
				if (at(all[j]) === "__name__") s.metric = unquoted(at(value));
				else s.equals.push([at(all[j]), unquoted(at(value))]);
			}
			if (j === all.length) break;
			s.to = all[j].to;
			i = j;
		}
		s.text = text.slice(s.from, s.to);
		out.push(s);
	}
	return out;
}

/* A string of PromQL as JSON reads it; what JSON does not know stays as it is written. */
function unquoted(s) {
	const inner = s.slice(1, -1);
	if (s[0] === "`" || !inner.includes("\\")) return inner;
	try {
		return JSON.parse(`"${s[0] === "'" ? inner.replaceAll("\\'", "'").replaceAll('"', '\\"') : inner}"`);
	} catch {
		return inner;
	}
}
