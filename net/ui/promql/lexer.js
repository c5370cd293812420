/*
 * lexer - the words of PromQL with their places, for colors and completion.
 *
 * tokens(text) -> [{kind, from, to, in, open, close}]: in order, without overlap; between them is white
 * space only. Never throws; linear. kinds: name (of an unknown function), metric, label, string, number,
 * duration, op, keyword, func, aggr, bracket, comment, bad. in: "{" or "[" when it stands inside of these;
 * open: a string without its second quote; close: a closing bracket. Offsets are those of JavaScript.
 *
 * Where a token begins and ends is what core/promql/lang/ql_lex.c says (tests/ui/lexer_test.js holds both
 * against the same list), up to the first mistake: there the server stops, and this goes on with what
 * looks most like what was meant. Grafana's variables ($__rate_interval, ${x}) are one bad token.
 */
import { aggregations, functions } from "./words.js";

const WORD = /[A-Za-z_:][A-Za-z0-9_:]*/y;
const IDENT = /[A-Za-z_][A-Za-z0-9_]*/y;
const DURATION_WORD = /(step|range|max_of|min_of)(?![A-Za-z_])/iy;
const VARIABLE = /\$\{[^}\s]*\}?|\$[A-Za-z0-9_]*/y;
const COMMENT = /#[^\r\n]*/y;
const OPS = /==|!=|<=|<\/|<|>=|>\/|>|=|[-+*/%^,@:]/y;
const MATCH_OPS = /=~|!~|!=|=|,/y;
const JUNK = /[A-Za-z0-9_.]+|[^]/uy; /* what cannot be read: a word, or one character */
const ESCAPE = /[abfnrtv\\]|[0-3][0-7]{2}|x[0-9a-fA-F]{2}|u(?![dD][89a-fA-F])[0-9a-fA-F]{4}|U00(?:0(?!0[dD][89a-fA-F])[0-9a-fA-F]|10)[0-9a-fA-F]{4}/y;

const DECIMAL = "0123456789", HEX = "0123456789abcdefABCDEF";
const GROUPING = new Set(["by", "without", "on", "ignoring", "group_left", "group_right"]);
/* Words that the grammar knows, and what decides whether this is one of them. */
const ROLES = new Map([
	["inf", "number"], ["nan", "number"], ["and", "set"], ["or", "set"], ["unless", "set"], ["atan2", "set"], ["by", "clause"], ["without", "clause"],
	["bool", "always"], ["on", "always"], ["ignoring", "always"], ["group_left", "always"], ["group_right", "always"],
	["offset", "behind"], ["anchored", "behind"], ["smoothed", "behind"], ["fill", "called"], ["fill_left", "called"], ["fill_right", "called"],
	["start", "edge"], ["end", "edge"], ["step", "any case"], ["range", "any case"], ["min_of", "any case"], ["max_of", "any case"],
	...[...aggregations.keys()].map((name) => [name, "aggr"]),
]);
const LONGEST = 12;

/* The end of what the expression finds at exactly this place; the place itself when it finds nothing. */
const end = (re, text, at) => {
	re.lastIndex = at;
	return re.test(text) ? re.lastIndex : at;
};
const within = (set, c) => c !== undefined && set.includes(c);
const digit = (c) => c >= "0" && c <= "9";
const wordy = (c) => c !== undefined && /[A-Za-z0-9_]/.test(c);

/* scan_number of ql_lex.c: the end, or -1 and how far it went. */
const number = (text, from) => {
	let at = from, digits = DECIMAL, body = DECIMAL + "._eE", hex = false, dot = false, exponent = false;
	const take = (set) => within(set, text[at]) && ++at > 0;
	if (take("0") && take("xX")) {
		take("_");
		[hex, digits, body] = [true, HEX, HEX + "._"];
	}
	take(".");
	take(digits);
	while (within(body, text[at])) {
		if (take(".")) {
			if (dot || take("_.") || hex)
				return [-1, at];
			dot = true;
		} else if (take("eE")) {
			if (exponent)
				return [-1, at];
			exponent = true;
			take("+-");
			if (take("._eE") || at === text.length)
				return [-1, at];
		} else if (take("_")) {
			if (take("._eE") || at === text.length)
				return [-1, at];
		} else {
			while (take(digits))
				;
		}
	}
	return at === from || wordy(text[at]) ? [-1, at] : [at, at];
};

/* scan_duration_rest of ql_lex.c, from where the number ended. */
const duration = (text, from) => {
	let at = from;
	const take = (set) => within(set, text[at]) && ++at > 0;
	if (!take("smhdwy"))
		return -1;
	take("s");
	while (take(DECIMAL)) {
		while (take(DECIMAL))
			;
		if (!take("smhdw"))
			return -1;
		take("s");
	}
	return wordy(text[at]) ? -1 : at;
};

/*
 * From the quote on: where it ends, whether it was closed, whether the server would take it. Raw strings
 * may have lines, the others end with their line.
 */
const string = (text, from) => {
	const quote = text[from];
	let good = true;
	for (let at = from + 1; at < text.length; at++) {
		const c = text[at];
		if (c === quote)
			return { to: at + 1, closed: true, good };
		if (c === "\ufffd")
			good = false;
		if (quote === "`")
			continue;
		if (c === "\n")
			return { to: at, closed: false, good };
		if (c === "\\" && text[at + 1] === quote) {
			at++;
		} else if (c === "\\") {
			const to = end(ESCAPE, text, at + 1);
			good = good && to > at + 1;
			at = Math.max(to - 1, at);
		}
	}
	return { to: text.length, closed: false, good };
};

/* The tokens with raw kinds: word, string, number, duration, op, bracket, comment, bad; in: "{" or "[" around it. */
const scan = (text) => {
	const out = [];
	let at = 0, brace = false, bracket = false, strict = false, depth = 0, bracketDepth = 0;
	const add = (kind, to, open = false) => {
		out.push({ kind, from: at, to, in: brace ? "{" : bracket ? "[" : "", open, close: false });
		at = to;
	};
	/* What the expression finds here becomes a token of that kind. */
	const found = (re, kind) => {
		const to = end(re, text, at);
		if (to === at)
			return false;
		add(kind, to);
		return true;
	};
	const literal = () => {
		const [good, reached] = number(text, at);
		if (good >= 0)
			return add("number", good);
		const to = duration(text, reached);
		return to >= 0 ? add("duration", to) : add("bad", end(JUNK, text, Math.max(at, reached - 1)));
	};
	const quoted = () => {
		const s = string(text, at);
		add(s.good ? "string" : "bad", s.to, !s.closed);
	};
	const junk = () => found(VARIABLE, "bad") || found(JUNK, "bad");
	const paren = (c) => {
		if (c === "(") {
			depth++;
			return add("bracket", at + 1);
		}
		if (!depth)
			return add("bad", at + 1);
		/* A range that was never closed ends with the parenthesis around it. */
		if (bracket && depth <= bracketDepth)
			bracket = strict = false;
		depth--;
		return add("bracket", at + 1);
	};
	const inBraces = (c) => {
		if (c !== "}")
			return found(IDENT, "word") || found(MATCH_OPS, "op") || junk();
		add("bracket", at + 1);
		brace = false;
	};
	const inBrackets = (c) => {
		if (c === "]") {
			add("bracket", at + 1);
			bracket = strict = false;
			return;
		}
		/* Right behind the bracket, other signs than these are mistakes. */
		if (!found(DURATION_WORD, "word") && (strict && !"+-*/%^,:".includes(c) || !found(OPS, "op")))
			junk();
	};
	const inStatement = (c) => {
		if (c === "{") {
			brace = true;
			return add("bracket", at + 1);
		}
		if (c === "[") {
			bracket = strict = true;
			bracketDepth = depth;
			return add("bracket", at + 1);
		}
		return found(WORD, "word") || found(OPS, "op") || junk();
	};
	for (;;) {
		while (text[at] === " " || text[at] === "\n" || text[at] === "\t" || text[at] === "\r")
			at++;
		if (at >= text.length)
			return out;
		const c = text[at];
		if (c === "#" && !strict) {
			found(COMMENT, "comment");
		} else if ((c === '"' || c === "'" || c === "`") && !strict) {
			quoted();
		} else if (brace) {
			inBraces(c);
		} else if (c === "(" || c === ")") {
			paren(c);
		} else if (digit(c) || (c === "." && digit(text[at + 1]))) {
			strict = false;
			literal();
		} else if (bracket && c !== "{") {
			inBrackets(c);
		} else {
			inStatement(c);
		}
	}
};

/* Does the token end an operand, so that an operator or a modifier may follow? */
const ENDS = new Set(["metric", "label", "string", "number", "duration", "bad"]);
const ends = (t) => !!t && (ENDS.has(t.kind) || t.close);

const role = (name) => name.length <= LONGEST ? ROLES.get(name) || ROLES.get(name.toLowerCase()) : undefined;

/* What a word is, from its neighbors (comments left out). */
const word = (text, t, before, after) => {
	const name = text.slice(t.from, t.to), what = role(name);
	const called = !!after && text[after.from] === "(";
	if (t.in === "[")
		return "func";
	switch (what) {
	case "number":
		return "number";
	case "always":
		return "keyword";
	case "set":
		return ends(before) ? "op" : "metric";
	case "behind":
		return ends(before) ? "keyword" : "metric";
	case "called":
		return called ? "keyword" : "metric";
	case "clause":
		return ends(before) || (before && before.kind === "aggr") ? "keyword" : "metric";
	case "aggr":
		return called || (after && after.kind === "word" && role(text.slice(after.from, after.to)) === "clause") ? "aggr" : "metric";
	case "edge":
		if (before && text[before.from] === "@")
			return "keyword";
	}
	return !called ? "metric" : what || functions.has(name) ? "func" : "name";
};

/* A string in braces: label name, value or, alone, the metric's name. */
const quotedRole = (text, before, after) => {
	if (before && before.kind === "op" && text[before.from] !== ",")
		return "string";
	return after && after.kind === "op" && text[after.from] !== "," ? "label" : "metric";
};

export const tokens = (text) => {
	const all = scan(text);
	const seen = all.some((t) => t.kind === "comment") ? all.filter((t) => t.kind !== "comment") : all;
	let listed = false; /* inside the parentheses of by (...) and the like */
	for (let i = 0; i < seen.length; i++) {
		const t = seen[i], before = seen[i - 1], after = seen[i + 1];
		if (t.kind === "bracket") {
			const c = text[t.from];
			t.close = c === ")" || c === "]" || c === "}";
			if (c === "(")
				listed = !!before && before.kind === "keyword" && GROUPING.has(text.slice(before.from, before.to).toLowerCase());
			else if (c === ")")
				listed = false;
		} else if (t.kind === "word") {
			t.kind = t.in === "{" || listed ? "label" : word(text, t, before, after);
		} else if (t.kind === "string" && listed) {
			t.kind = "label";
		} else if (t.kind === "string" && t.in === "{" && !t.open) {
			t.kind = quotedRole(text, before, after);
		}
	}
	return all;
};

/* Names of metrics that the grammar would take for something else. */
const RESERVED = /^(inf|nan|bool|on|ignoring|group_left|group_right|atan2)$/i;
/* Whether it may stand in an expression without quotes. */
export const plainMetric = (name) => /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name) && !RESERVED.test(name);
