/*
 * caret - what stands around the caret of an expression: which kind of word is being written there, which
 * part of the text it would replace, and which series it is about. No server, no page: text in, facts out.
 *
 * at(text, caret, toks) -> {
 *     kind      "expr" (metric, function, aggregation), "label", "op" (=, =~ ...), "value", "quoted" (a name in
 *               quotes inside braces), "duration", "after" (what may follow an expression), "time" (behind @),
 *               "none"
 *     from, to  what a candidate replaces; prefix: what stands there up to the caret, as it reads
 *     metric    name of the selector around, or null; label: of the value; matchers: texts of its other matchers
 *     matches   selectors for match[]: the series that labels and values are wanted of; [] is all
 *     used      labels that stand there already
 *     words     keywords that may stand here ("after", and "expr" behind an operator)
 *     grouping  the labels are those of by(), on() and the like; regex, quote, open: of a value
 * }
 * call(text, caret, toks) -> {word (row of words.js), arg, from} of the innermost call around the caret, or null.
 * toks: tokens(text), where somebody has them already.
 */
import { tokens } from "./lexer.js";
import { aggregations, functions } from "./words.js";

const MATCHES_MOST = 8;
const NONE = { kind: "none", from: 0, to: 0, prefix: "", metric: null, label: null, matchers: [], matches: [], words: [], used: [] };
const SIMPLE = { a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" };

/* What a string says, given without its quotes. */
export const unquote = (inner, quote) => quote === "`" ? inner : inner.replace(
	/\\(?:([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([^]))/g,
	(_, octal, hex, four, eight, one) => {
		if (one)
			return SIMPLE[one] ?? one;
		const code = octal ? parseInt(octal, 8) : parseInt(hex || four || eight, 16);
		return code > 0x10ffff ? "\ufffd" : String.fromCodePoint(code);
	});

/* The text as a string of PromQL; without its quotes when they stand there. */
export const escaped = (text, quote = '"') => {
	if (quote === "`" && !text.includes("`"))
		return text;
	return text.replace(/[\\\n\r\t\0]|["'`]/g, (c) => {
		if (c === "\\")
			return "\\\\";
		if (c === "\n" || c === "\r" || c === "\t")
			return { "\n": "\\n", "\r": "\\r", "\t": "\\t" }[c];
		return c === "\0" ? "\\x00" : c === quote ? `\\${c}` : c;
	});
};
export const quoted = (text) => `"${escaped(text)}"`;

/* What a token names: an identifier, or a string as it reads. */
const named = (text, t) => {
	const s = text.slice(t.from, t.to);
	return /^["'`]/.test(s) ? unquote(s.slice(1, t.open ? undefined : -1), s[0]) : s;
};
const isString = (text, t) => /["'`]/.test(text[t.from]) && t.kind !== "comment";
const isMatch = (text, t) => t.kind === "op" && text[t.from] !== ",";
const is = (text, t, sign) => !!t && t.kind !== "comment" && t.kind !== "bad" && text[t.from] === sign && t.to === t.from + 1;

const PAIRS = { ")": "(", "]": "[", "}": "{" };

/* The brackets open at the caret, innermost last: numbers of their tokens. */
const opened = (text, toks, caret) => {
	const stack = [];
	for (let i = 0; i < toks.length && toks[i].to <= caret; i++) {
		if (toks[i].kind !== "bracket")
			continue;
		if (!toks[i].close)
			stack.push(i);
		else if (stack.length && text[toks[stack.at(-1)].from] === PAIRS[text[toks[i].from]])
			stack.pop();
	}
	return stack;
};

/* The bracket that belongs to toks[i], forwards from an opening one, backwards from a closing one; -1: none. */
const partner = (toks, i) => {
	const step = toks[i].close ? -1 : 1;
	for (let depth = 0; i >= 0 && i < toks.length; i += step) {
		if (toks[i].kind === "bracket" && (depth += toks[i].close ? -1 : 1) === 0)
			return i;
	}
	return -1;
};

/*
 * The matchers in the braces that open at toks[open]: [{first, last (numbers of tokens), label, op, value, text}];
 * label null where it is the metric's name alone; text "" when it is not whole. The end: behind the last token.
 */
const braces = (text, toks, open) => {
	const list = [];
	let i = open + 1, first = i;
	const item = () => {
		const part = toks.slice(first, i);
		const string = part.length ? part.at(-1) : null;
		const whole = string && isString(text, string) && !string.open && string.kind !== "bad";
		const one = { first, last: i - 1, label: null, op: "", value: "", text: "" };
		if (whole && part.length === 1)
			Object.assign(one, { value: named(text, string), text: text.slice(string.from, string.to) });
		else if (part.length)
			one.label = named(text, part[0]);
		if (whole && part.length === 3 && isMatch(text, part[1]))
			Object.assign(one, { op: text.slice(part[1].from, part[1].to), value: named(text, string), text: text.slice(part[0].from, string.to) });
		if (part.length)
			list.push(one);
	};
	for (; i < toks.length && toks[i].in === "{" && toks[i].kind !== "bracket"; i++) {
		if (is(text, toks[i], ",")) {
			item();
			first = i + 1;
		}
	}
	item();
	return { list, end: toks[i] && is(text, toks[i], "}") ? i + 1 : i };
};

/* A selector for match[]; matchers that want a label to be empty are mostly not finished: left out. */
const selector = (metric, matchers) => {
	const parts = matchers.filter((m) => m.text && !(m.value === "" && m.op !== "!=" && m.op !== "!~")).map((m) => m.text);
	if (metric !== null)
		parts.unshift(`__name__=${quoted(metric)}`);
	return parts.length ? `{${parts.join(",")}}` : null;
};

/* The selectors among toks[from..to), each once. */
const selectors = (text, toks, from, to) => {
	const found = new Set();
	for (let i = from; i < to && found.size < MATCHES_MOST; i++) {
		const t = toks[i], bare = is(text, t, "{");
		if (t.in === "" && t.kind === "metric" || bare) {
			const open = bare ? i : is(text, toks[i + 1], "{") ? i + 1 : -1;
			const inside = open >= 0 ? braces(text, toks, open) : { list: [], end: i + 1 };
			const s = selector(bare ? null : text.slice(t.from, t.to), inside.list);
			if (s)
				found.add(s);
			i = Math.max(inside.end - 1, i);
		}
	}
	return [...found];
};

/* Which series the labels of by() and the like belong to: toks[open] is its parenthesis, toks[open - 1] the word. */
const scope = (text, toks, open, stack) => {
	const word = text.slice(toks[open - 1].from, toks[open - 1].to).toLowerCase();
	const close = partner(toks, open);
	const outer = stack.length > 1 ? stack.at(-2) : -1;
	const rest = () => {
		const end = outer >= 0 ? partner(toks, outer) : -1;
		return selectors(text, toks, close >= 0 ? close + 1 : open + 1, end >= 0 ? end : toks.length);
	};
	if (word === "by" || word === "without") {
		if (close >= 0 && is(text, toks[close + 1], "(")) {
			const end = partner(toks, close + 1);
			return selectors(text, toks, close + 2, end >= 0 ? end : toks.length);
		}
		const start = is(text, toks[open - 2], ")") ? partner(toks, open - 2) : -1;
		return start >= 0 ? selectors(text, toks, start + 1, open - 2) : [];
	}
	return word === "group_left" ? rest() : selectors(text, toks, outer + 1, open - 1);
};

/* ---- the places ---- */

/* The label's name around the caret, also one that should stand in quotes, but nobody begins with them: k8s.pod */
const run = (text, caret) => {
	const prefix = /[^\s"'`=!~{}(),]*$/.exec(text.slice(0, caret))[0];
	return { from: caret - prefix.length, to: caret + /^[^\s"'`=!~{}(),]*/.exec(text.slice(caret))[0].length, prefix };
};

/* Inside braces. cur: the token that the caret is in or behind, -1: none; first: of the matcher around the caret. */
const inBraces = (text, toks, caret, open, cur) => {
	let first = cur >= 0 ? cur : open + 1;
	if (cur < 0)
		while (first < toks.length && toks[first].to <= caret)
			first++;
	const here = first;
	while (first > open + 1 && !is(text, toks[first - 1], ","))
		first--;
	const before = here - first, t = cur >= 0 ? toks[cur] : null;
	const name = open > 0 && toks[open - 1].kind === "metric" ? text.slice(toks[open - 1].from, toks[open - 1].to) : null;
	const others = braces(text, toks, open).list.filter((m) => m.first !== first && m.text);
	const match = selector(name, others);
	const place = { ...NONE, metric: name ?? others.find((m) => m.label === null)?.value ?? null, matchers: others.map((m) => m.text), matches: match ? [match] : [], used: others.map((m) => m.label) };
	const span = (kind, from, to) => ({ ...place, kind, from, to, prefix: text.slice(from, caret) });
	const unquoted = run(text, caret);
	if (/\W/.test(unquoted.prefix) && /[{,]\s*$/.test(text.slice(0, unquoted.from)) && !isString(text, t))
		return { ...place, kind: "label", ...unquoted };
	if (before === 0) {
		if (!t)
			return span("label", caret, caret);
		return isString(text, t) ? inString(text, caret, t, { ...place, kind: "quoted" }) : span("label", t.from, t.to);
	}
	const label = named(text, toks[first]);
	if (before === 1)
		return t && t.kind !== "bad" ? NONE : { ...span("op", t ? t.from : caret, t ? t.to : caret), label };
	if (before > 2 || !isMatch(text, toks[first + 1]))
		return NONE;
	const op = text.slice(toks[first + 1].from, toks[first + 1].to), value = { ...place, kind: "value", label, regex: op.endsWith("~") };
	if (t && isString(text, t))
		return inString(text, caret, t, value);
	return { ...value, from: t ? t.from : caret, to: t ? t.to : caret, prefix: t ? text.slice(t.from, caret) : "", quote: "", open: false };
};

/* Inside the quotes of t; in a pattern, one of its alternatives. */
const inString = (text, caret, t, place) => {
	if (caret === t.to && !t.open)
		return NONE;
	const quote = text[t.from];
	let from = t.from + 1, to = t.open ? caret : t.to - 1;
	if (place.regex) {
		from = Math.max(from, text.lastIndexOf("|", caret - 1) + 1, text.lastIndexOf("(", caret - 1) + 1);
		const next = text.slice(caret, to).search(/[|)]/);
		to = next < 0 ? to : caret + next;
	}
	return { ...place, from, to, quote, open: t.open, prefix: unquote(text.slice(from, caret), quote) };
};

/* What may follow the expression that ends with toks[i]. */
const following = (text, toks, i) => {
	const t = toks[i], words = ["and", "or", "unless", "atan2"];
	if (is(text, t, ")")) {
		const open = partner(toks, i), owner = open > 0 ? toks[open - 1] : null;
		if (owner && owner.kind === "aggr")
			return ["by", "without", ...words];
		if (owner && owner.kind === "keyword") {
			const word = text.slice(owner.from, owner.to).toLowerCase();
			return word === "on" || word === "ignoring" ? ["group_left", "group_right", "fill", "fill_left", "fill_right", ""] : word.startsWith("group") || word.startsWith("fill") ? [""] : words;
		}
		return words;
	}
	if (t.kind === "number" || t.kind === "duration")
		return words;
	const clause = aggregations.has(named(text, t).toLowerCase()) ? ["by", "without"] : [];
	return [...clause, "offset", "anchored", "smoothed", ...words];
};

const OPERAND = new Set(["metric", "label", "string", "number", "duration"]);
const COMPARE = /^(==|!=|<=?|>=?|<\/|>\/)$/;

/* Outside of braces and brackets. */
const inExpression = (text, toks, caret, cur, prev) => {
	const t = cur >= 0 ? toks[cur] : null, p = prev >= 0 ? toks[prev] : null;
	const behind = p ? text.slice(p.from, p.to).toLowerCase() : "";
	const place = (kind, words = []) => ({ ...NONE, kind, words, from: t ? t.from : caret, to: t ? t.to : caret, prefix: t ? text.slice(t.from, caret) : "" });
	if (p && p.kind === "keyword" && behind === "offset")
		return place("duration");
	if (t && (t.kind === "duration" || t.kind === "bad" || isString(text, t) || /^[.0-9]/.test(text[t.from])))
		return NONE;
	if (behind === "@")
		return place("time");
	if (!p)
		return place("expr");
	if (OPERAND.has(p.kind) || p.close) {
		const words = following(text, toks, prev);
		return words.includes("") ? place("expr", words.filter(Boolean)) : place("after", words);
	}
	if (p.kind === "aggr")
		return place("after", ["by", "without"]);
	if (p.kind === "keyword")
		return behind === "bool" ? place("expr", ["on", "ignoring"]) : NONE;
	if (p.kind === "op" && behind !== ",")
		return place("expr", COMPARE.test(behind) ? ["bool", "on", "ignoring"] : ["on", "ignoring"]);
	return place("expr");
};

const WORDLIKE = new Set(["bracket", "op"]);

export const at = (text, caret, all = tokens(text)) => {
	const comment = all.find((t) => t.kind === "comment" && t.from < caret && caret <= t.to);
	if (comment)
		return NONE;
	const toks = all.filter((t) => t.kind !== "comment");
	/* The word the caret is in or behind; behind a sign it is in none. Words like "and" are op, too. */
	let cur = toks.findIndex((t) => t.from < caret && caret <= t.to);
	if (cur >= 0 && WORDLIKE.has(toks[cur].kind) && !/[A-Za-z]/.test(text[toks[cur].from]))
		cur = caret < toks[cur].to ? -2 : -1;
	if (cur === -2)
		return NONE;
	const prev = cur >= 0 ? cur - 1 : toks.findLastIndex((t) => t.to <= caret);
	const stack = opened(text, toks, cur >= 0 ? toks[cur].from : caret);
	const open = stack.length ? stack.at(-1) : -1;
	const sign = open >= 0 ? text[toks[open].from] : "";
	const t = cur >= 0 ? toks[cur] : null;
	if (sign === "{")
		return inBraces(text, toks, caret, open, cur);
	if (sign === "[") {
		const ok = t ? /^[0-9.]/.test(text[t.from]) || t.kind === "func" || t.kind === "bad" : !toks[prev] || !OPERAND.has(toks[prev].kind);
		if (!ok || (t && text[t.from] === "$"))
			return NONE;
		return { ...NONE, kind: "duration", from: t ? t.from : caret, to: t ? t.to : caret, prefix: t ? text.slice(t.from, caret) : "" };
	}
	if (sign === "(" && open > 0 && toks[open - 1].kind === "keyword" && /^(by|without|on|ignoring|group_left|group_right)$/i.test(text.slice(toks[open - 1].from, toks[open - 1].to))) {
		const close = partner(toks, open), listed = toks.slice(open + 1, close < 0 ? undefined : close).filter((l) => l !== t && l.kind === "label");
		const place = { ...NONE, kind: "label", grouping: true, matches: scope(text, toks, open, stack), used: listed.map((l) => named(text, l)) };
		if (t && isString(text, t))
			return inString(text, caret, t, place);
		if (!t && prev !== open && !is(text, toks[prev], ","))
			return NONE;
		return { ...place, ...run(text, caret) };
	}
	/* http.server.dur: such a name needs quotes where it is put in, but nobody begins with them. */
	const dotted = /(?<![\w:.])[a-zA-Z_:][\w:]*\.[\w:.]*$/.exec(text.slice(0, caret));
	if (dotted && !(t && isString(text, t)))
		return { ...NONE, kind: "expr", from: dotted.index, to: caret + /^[\w:.]*/.exec(text.slice(caret))[0].length, prefix: dotted[0] };
	return inExpression(text, toks, caret, cur, prev);
};

export const call = (text, caret, all = tokens(text)) => {
	const toks = all.filter((t) => t.kind !== "comment");
	for (const open of opened(text, toks, caret).reverse()) {
		const owner = open > 0 ? toks[open - 1] : null;
		if (!is(text, toks[open], "("))
			continue;
		let word = owner && (owner.kind === "func" || owner.kind === "aggr") ? named(text, owner).toLowerCase() : null;
		/* sum by (a) (x): the word stands before the clause. */
		if (!word && owner && is(text, owner, ")")) {
			const clause = partner(toks, open - 1) - 1;
			if (clause > 0 && toks[clause].kind === "keyword" && toks[clause - 1].kind === "aggr")
				word = named(text, toks[clause - 1]).toLowerCase();
		}
		const found = word && (aggregations.get(word) || functions.get(word));
		if (!found)
			continue;
		let arg = 0;
		for (let i = open + 1, depth = 0; i < toks.length && toks[i].to <= caret; i++) {
			depth += toks[i].kind === "bracket" ? (toks[i].close ? -1 : 1) : 0;
			arg += depth === 0 && is(text, toks[i], ",") ? 1 : 0;
		}
		return { word: found, arg: Math.min(arg, Math.max(0, found.args.length - 1)), from: toks[open].from };
	}
	return null;
};
