/* The lexer of the editor against the server's (tests/ui/lexer_tokens.txt, written by t_uiwords), and against bad input. */
import { dice, equal, note, ok, test } from "./tap.js";
import { tokens } from "/ui/promql/lexer.js";

const kinds = (text) => tokens(text).map((t) => `${t.kind}:${text.slice(t.from, t.to)}`).join(" ");

/* What each letter of the list may be here. */
const SAME = {
	i: ["metric", "label", "name", "func", "keyword"],
	n: ["number", "label"],
	d: ["duration"],
	s: ["string", "label", "metric"],
	a: ["aggr", "metric", "label"],
	k: ["keyword", "metric", "label"],
	b: ["bracket"],
	o: ["op", "metric", "label"],
};

/* Offsets in bytes of UTF-8 to offsets in the string. */
const offsets = (text) => {
	const at = new Map([[0, 0]]);
	let bytes = 0, index = 0;
	for (const c of text) {
		bytes += new TextEncoder().encode(c).length;
		at.set(bytes, index += c.length);
	}
	return at;
};

/* The first difference between a line of the list and our tokens, as text; "" when there is none. */
const differs = (line) => {
	const [json, list] = line.split("\t");
	const text = JSON.parse(json), at = offsets(text);
	const wanted = list.split(" "), whole = wanted.pop() === ".";
	const have = tokens(text).filter((t) => t.kind !== "comment");
	for (const [i, word] of wanted.entries()) {
		const [, letter, from, len] = /^(.)(\d+)\+(\d+)$/.exec(word), t = have[i];
		if (!t || t.from !== at.get(+from) || t.to !== at.get(+from + +len) || !SAME[letter].includes(t.kind))
			return `${json}: token ${i}: ${word}, here ${JSON.stringify(t)}`;
	}
	return whole && have.length > wanted.length ? `${json}: ${have.length} tokens, not ${wanted.length}` : "";
};

test("as the server", async () => {
	const lines = (await (await fetch("/tests/lexer_tokens.txt")).text()).trim().split("\n");
	const bad = lines.map(differs).filter(Boolean);
	ok(lines.length > 300 && !bad.length, `${lines.length} expressions have the server's tokens`, ...bad.slice(0, 20));
});

test("what a word is", () => {
	equal(kinds('sum by (job) (rate(up{job="a"}[5m]))'),
		'aggr:sum keyword:by bracket:( label:job bracket:) bracket:( func:rate bracket:( metric:up bracket:{ label:job op:= string:"a" bracket:} bracket:[ duration:5m bracket:] bracket:) bracket:)',
		"an aggregation, a function, a metric, labels");
	equal(kinds('{"my.name", "a.b"="c"}'), 'bracket:{ metric:"my.name" op:, label:"a.b" op:= string:"c" bracket:}', "names in quotes");
	equal(kinds("sum + by / offset"), "metric:sum op:+ metric:by op:/ metric:offset", "words of the grammar are metrics where only those can stand");
	equal(kinds("a and on(b) c"), "metric:a op:and keyword:on bracket:( label:b bracket:) metric:c", "set operators");
	equal(kinds("a offset 5m @ end()"), "metric:a keyword:offset duration:5m op:@ keyword:end bracket:( bracket:)", "modifiers");
	equal(kinds("nosuch(x)"), "name:nosuch bracket:( metric:x bracket:)", "an unknown function");
	equal(kinds("# all\nx # rest"), "comment:# all metric:x comment:# rest", "comments");
	equal(kinds("rate(x[$__rate_interval]) > ${y:csv}"), "func:rate bracket:( metric:x bracket:[ bad:$__rate_interval bracket:] bracket:) op:> bad:${y:csv}", "Grafana's variables harm nothing behind them");
	equal(kinds("rate(x[5m) + y"), "func:rate bracket:( metric:x bracket:[ duration:5m bracket:) op:+ metric:y", "a range that is not closed ends with the call");
	equal(tokens('{a="b').at(-1), { kind: "string", from: 3, to: 5, in: "{", open: true, close: false }, "a string that is not closed");
});

test("escapes", () => {
	const kind = (inner) => tokens(`"${inner}"`).map((t) => t.kind).join(" ");
	equal(["\\377", "\\xfF", "\\u00e9", "\\U0010ffff", "\\n\\\\\\\""].map(kind), Array(5).fill("string"), "that the server takes");
	equal(["\\400", "\\38", "\\xg0", "\\ud800", "\\U00110000", "\\U0000dfff", "\\q", "\\'", "\ufffd"].map(kind), Array(9).fill("bad"), "that it refuses");
});

/* Do the tokens come in order, without overlap, with white space between them only? */
const covers = (text) => {
	let at = 0;
	for (const t of tokens(text)) {
		if (t.from < at || t.to <= t.from || t.to > text.length || /[^ \t\r\n]/.test(text.slice(at, t.from)))
			return false;
		at = t.to;
	}
	return !/[^ \t\r\n]/.test(text.slice(at));
};

test("any text", () => {
	const parts = ["sum", "(", ")", "{", "}", "[", "]", '"', "'", "`", "\\", "=~", "!", "5m", "1e", "0x", ".", "#", "\n", " ", "by", ",", "\ud83d", "é", "😀", "\u202e", "\0", "$", "${", "</script>", "@", ":", "\ufffd"];
	const roll = dice(3);
	let bad = 0, example = "";
	for (let i = 0; i < 3000; i++) {
		const text = Array.from({ length: 1 + roll() * 40 }, () => parts[Math.floor(roll() * parts.length)]).join("");
		if (!covers(text)) {
			bad++;
			example ||= JSON.stringify(text);
		}
	}
	ok(!bad, "3000 texts of pieces: the tokens cover all of each", example);
});

test("time", () => {
	/* What is a square of the length takes minutes here; a busy machine has room. */
	const worst = ["", 0];
	for (const part of ['sum(rate(a{b="c"}[5m])) + ', "(", "[", "{", '"', "\\", '"\\', "1_", "5m", "$", "${", "a:", "#", "=", "0x1", "é", "by (", "'\n"]) {
		const text = part.repeat(300000 / part.length), begin = performance.now();
		tokens(text);
		const ms = performance.now() - begin;
		if (ms > worst[1])
			worst.splice(0, 2, part, ms);
	}
	note(`300,000 characters of ${JSON.stringify(worst[0])}: ${worst[1].toFixed(0)} ms`);
	ok(worst[1] < 4000, "long texts of any kind take no square of their length");
});
