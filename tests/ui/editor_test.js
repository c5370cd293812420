/* The editor: typed into as people do, with a server of answers. */
import { equal, expected, note, ok, sleep, test, until } from "./tap.js";
import { editor } from "/ui/promql/editor.js";
import { mistake, offsetOf, unfinished } from "/ui/promql/mistake.js";
import { visible } from "/ui/promql/picklist.js";
import * as keep from "/ui/lib/keep.js";

expected("ResizeObserver"); /* a loop of its notifications is harmless */

const METRICS = [{ name: "http_requests_total", type: "counter", help: "Requests <b>served</b>." }, { name: "http_in_flight", type: "gauge", help: "" }, { name: "my.name", type: "gauge", help: "x" }];
const LABELS = ["code", "job"], VALUES = ["200", 'a"b'];
let asked = [];
const refusal = { text: null };
const server = {
	ask: async (path, params) => {
		asked.push(path);
		if (path.endsWith("parse_query"))
			return { data: refusal.text ? { error: refusal.text } : {} };
		if (path.endsWith("format_query"))
			return { data: params.query.replace(/ +/g, " ").trim() };
		return { data: {} };
	},
	lines: async (path, params, fn) => {
		asked.push(path);
		await sleep(2);
		const what = path.split("/").pop();
		const all = what === "metric_names" ? METRICS : what === "label_names" ? LABELS.map((name) => ({ name })) : VALUES.map((value) => ({ value }));
		fn({ results: all });
		fn({ status: "success", has_more: false });
	},
};

const start = (value = "", options = {}) => {
	document.querySelectorAll("#here").forEach((e) => e.remove());
	const place = document.createElement("div");
	place.id = "here";
	place.style.width = "900px";
	document.body.append(place);
	const ran = [];
	const ed = editor({ value, server, onRun: (t) => ran.push(t), ...options });
	place.append(ed.el);
	ed.focus();
	const area = ed.el.querySelector("textarea");
	area.setSelectionRange(value.length, value.length);
	const key = (name, more = {}) => area.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true, ...more }));
	const type = (text) => {
		for (const c of text) {
			const e = new InputEvent("beforeinput", { inputType: "insertText", data: c, bubbles: true, cancelable: true });
			if (area.dispatchEvent(e))
				document.execCommand("insertText", false, c);
		}
	};
	const back = () => {
		if (area.dispatchEvent(new InputEvent("beforeinput", { inputType: "deleteContentBackward", bubbles: true, cancelable: true })))
			document.execCommand("delete");
	};
	const rows = () => [...ed.el.querySelectorAll("[role=option] .k-q-name")].map((e) => e.textContent);
	const shown = () => `${area.value.slice(0, area.selectionStart)}|${area.value.slice(area.selectionStart)}`;
	const listed = () => until(() => rows().length);
	return { ed, area, key, type, back, rows, shown, listed, ran, note: () => ed.el.querySelector(".k-q-note").textContent };
};

test("typing", () => {
	const e = start();
	e.type("sum(x");
	equal(e.shown(), "sum(x|)", "a parenthesis brings its partner");
	e.type(")");
	equal(e.shown(), "sum(x)|", "which is stepped over");
	e.type('{a="b"}');
	equal(e.shown(), 'sum(x){a="b"}|', "quotes and braces, too");
	const f = start();
	f.type("((");
	f.back();
	equal(f.shown(), "(|)", "an empty pair is deleted together");
	f.area.value = "(a";
	f.area.dispatchEvent(new InputEvent("input"));
	f.area.setSelectionRange(2, 2);
	f.type(")");
	equal(f.shown(), "(a)|", "what is missing is typed");
	const g = start("abc");
	g.area.setSelectionRange(1, 2);
	g.type("(");
	equal(g.area.value, "a(b)c", "a selection is put into parentheses");
	const w = start("rate");
	w.area.setSelectionRange(0, 0);
	w.type("(");
	equal(w.shown(), "(|rate", "before a word, a parenthesis comes alone");
	const s = start('x{a="b c"}');
	s.area.setSelectionRange(7, 7);
	s.type("('");
	equal(s.shown(), 'x{a="b ' + "('|" + 'c"}', "inside a string nothing is added");
	const u = start("x");
	u.type(" + (");
	document.execCommand("undo");
	ok(u.area.value !== "x + ()", "undo takes a pair back");
});

test("completion", async () => {
	const e = start();
	e.type("ra");
	await e.listed();
	equal(e.rows().slice(0, 2), ["rate", "rad"].sort((a, b) => e.rows().indexOf(a) - e.rows().indexOf(b)), "functions");
	e.key("Enter");
	equal([e.ran, e.rows().length], [["ra"], 0], "Enter runs what stands there, since nothing was chosen");
	const f = start();
	f.type("http");
	await f.listed();
	equal(f.rows(), ["http_requests_total", "http_in_flight"], "metrics of the server");
	equal(f.ed.el.querySelector("[role=option] b").textContent, "http", "what was typed is marked");
	ok(f.ed.el.querySelector(".k-q-about").textContent.includes("Requests <b>served</b>."), "with the help text, as text");
	f.key("ArrowDown");
	f.key("ArrowDown");
	equal(document.getElementById(f.area.getAttribute("aria-activedescendant"))?.getAttribute("aria-selected"), "true", "arrows choose, screen readers are told");
	f.key("Enter");
	equal([f.shown(), f.ran], ["http_in_flight|", []], "Enter takes what was chosen");
	const l = start("http_requests_total");
	l.type("{");
	await l.listed();
	equal(l.rows(), LABELS, "labels come by themselves");
	l.key("Tab");
	equal(l.shown(), 'http_requests_total{code="|"}', "Tab takes the first");
	await l.listed();
	equal(l.rows(), VALUES, "values follow");
	l.key("ArrowUp");
	l.key("Enter");
	equal(l.shown(), 'http_requests_total{code="a\\"b"|}', "a value is escaped");
	l.key("Enter");
	equal(l.ran, ['http_requests_total{code="a\\"b"}'], "then Enter runs");
	const c = start("my");
	c.key(" ", { ctrlKey: true });
	await c.listed();
	ok(c.ed.el.querySelector("[role=option][aria-selected=true]"), "Ctrl+Space chooses the first");
	c.key("Enter");
	equal(c.shown(), '{"my.name"|}', "a name that needs quotes has them");
	const x = start();
	x.type("ra");
	await x.listed();
	x.key("Escape");
	equal(x.rows(), [], "Escape shuts the list");
	x.type(" # ra");
	await sleep(80);
	equal(x.rows(), [], "nothing in comments");
	const composed = async (data) => {
		const m = start(data);
		m.area.dispatchEvent(new InputEvent("input", { inputType: "insertCompositionText", data, isComposing: true }));
		await until(() => m.rows().length, 200);
		return m.rows().length > 0;
	};
	equal([await composed("http"), await composed("\u306b\u307b")], [true, false], "words that a phone composes are completed, those of other scripts not before they are whole");
	x.area.focus();
	x.area.blur();
	ok(!x.area.hasAttribute("aria-activedescendant") && !x.area.hasAttribute("aria-controls"), "nothing is left of it");
});

test("an answer that comes late", async () => {
	let go = () => {};
	const slow = { ...server, lines: async (...all) => { await new Promise((done) => { go = done; }); return server.lines(all[0], all[1], (o) => all[2]({ ...o, has_more: true })); } };
	const e = start("", { server: slow });
	const chosen = () => e.ed.el.querySelector("[aria-selected=true] .k-q-name")?.textContent;
	METRICS.push({ name: "http_a", type: "gauge", help: "" });
	e.type("h");
	await until(() => (go(), e.rows().length));
	METRICS.unshift({ name: "http_0", type: "gauge", help: "" });
	go = null;
	e.type("t");
	e.key("ArrowDown");
	const was = chosen();
	await until(() => go);
	go();
	await until(() => e.rows().includes("http_0"));
	equal([Boolean(was), chosen()], [true, was], "what was chosen meanwhile stays, wherever it stands now");
	e.key("Enter");
	equal([e.area.value, e.ran], [was, []], "and Enter takes it");
	METRICS.shift();
	METRICS.pop();
});

test("hostile names", async () => {
	METRICS.push(...["</script>", "\u202eabc", "a\0b", "😀", "x".repeat(10000)].map((name) => ({ name, help: name })));
	const e = start();
	e.key(" ", { ctrlKey: true });
	await e.listed();
	ok(e.rows().some((n) => n === "\\u202eabc") && e.rows().includes("a␀b") && e.rows().includes("</script>"), "are shown as text, what cannot be seen as signs");
	ok(e.rows().every((n) => n.length < 400), "long ones are cut");
	ok(e.ed.el.querySelector(".k-q-pop").getBoundingClientRect().right <= e.ed.el.getBoundingClientRect().right + 1, "the list is no wider than the editor");
	METRICS.length = 3;
	const long = start("big");
	VALUES.unshift("y".repeat(10000));
	long.type("{");
	await long.listed();
	long.key("Tab");
	long.type("y");
	await until(() => long.rows()[0]?.startsWith("yy"));
	long.key("Tab");
	const box = long.ed.el.querySelector(".k-q-box");
	VALUES.shift();
	ok(long.area.value.length > 10000 && box.scrollTop > 0 && box.scrollTop + box.clientHeight >= box.scrollHeight - 8, "the caret behind a long value is seen");
	equal(visible("a\u200bb"), "a\\u200bb", "signs");
});

test("keys", async () => {
	for (const q of ["old", "older\nlines", "newest"].entries())
		keep.remember(q[1], q[0]);
	const e = start("draft");
	e.key("ArrowUp");
	equal(e.area.value, "newest", "Up: the query before");
	e.key("ArrowUp");
	e.key("ArrowUp");
	equal(e.area.value, "older\nlines", "but in lines, Up is a line up");
	e.area.setSelectionRange(0, 0);
	e.key("ArrowUp");
	equal(e.area.value, "old", "from the first, it goes on");
	e.key("ArrowDown");
	e.key("ArrowDown");
	e.key("ArrowDown");
	equal(e.area.value, "draft", "Down: back to what was written");
	e.area.setSelectionRange(2, 2);
	e.key("ArrowUp");
	equal(e.area.value, "draft", "in the middle, Up is the caret's");
	ok(e.area.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", shiftKey: true, cancelable: true })), "Shift+Enter is the browser's");
	ok(e.key("Enter", { ctrlKey: true }) && !e.ran.length, "Ctrl+Enter is the view's");
	const f = start("a   +  b");
	f.key("F", { ctrlKey: true, shiftKey: true });
	await until(() => f.area.value === "a + b");
	equal(f.area.value, "a + b", "Ctrl+Shift+F formats");
	document.execCommand("undo");
	equal(f.area.value, "a   +  b", "and undo takes it back");
	ok(f.key("Enter", { isComposing: true }) && !f.ran.length, "keys of an input method are its own");
	keep.forget();
});

test("help and errors", async () => {
	const e = start("histogram_quantile(0.9, ");
	e.area.setSelectionRange(24, 24);
	await until(() => e.note().includes("histogram_quantile"));
	equal(e.ed.el.querySelector(".k-q-note b")?.textContent, "b vector", "the argument that is written");
	e.ed.value = "a + é{é}";
	e.ed.setError({ message: '1:8: parse error: unexpected "x"', position: { line: 1, column: 8 } });
	equal(e.note(), 'unexpected "x"', "an error without its numbers");
	equal([...e.ed.el.querySelectorAll(".k-q-wrong")].map((n) => n.textContent), ["é"], "at its place, in bytes of UTF-8");
	equal(e.area.getAttribute("aria-invalid"), "true", "screen readers are told");
	e.type("x");
	equal([e.note(), e.area.getAttribute("aria-invalid")], ["", null], "editing takes it away");
	e.ed.value = "foo + bar";
	e.ed.setError({ message: "m", from: 0, to: 3 });
	equal([...e.ed.el.querySelectorAll(".k-q-wrong")].map((n) => n.textContent), ["foo"], "without the space behind it");
	refusal.text = "1:1: parse error: bad";
	const f = start("a) +");
	f.type(" b");
	await until(() => f.note());
	equal(f.note(), "bad", "errors come while it is typed");
	ok(asked.includes("api/v1/parse_query"), "from the server");
	refusal.text = null;
	equal(offsetOf("ä\n€😀x", 2, 8), 5, "columns are bytes");
	equal(mistake("sum(", { message: "1:5: parse error: unexpected end of input", position: { line: 1, column: 5 } }), { message: "unexpected end of input", from: 3, to: 4 }, "an error at the end is the last word's");
	ok(mistake("rate(x[$__i])", { message: "m", position: { line: 1, column: 8 } }).message.includes("$__i"), "variables of dashboards are named");
	equal(mistake("a b", { message: 'invalid parameter "query": 1:3: parse error: m' }), { message: "m", from: 2, to: 3 }, "the place as the message has it");
	ok(unfinished("a", { message: "unclosed left parenthesis" }) && !unfinished("a b", { message: "m", position: { line: 1, column: 1 } }), "what is not finished");
	equal(mistake("x", { message: "too many" }), { message: "too many", from: 0, to: 0 }, "an error without a place");
});

/* The text as it stands in the layer. */
const painted = (ed) => [...ed.el.querySelectorAll(".k-q-layer > div")].map((d) => d.textContent).join("\n");

test("the layer", async () => {
	const e = start();
	const parts = ["sum(", ")", '"', "\n", " ", "{a=", "[5m]", "# c", "é", "😀", "\u05d0", "word", "\t", "+"];
	let n = 7, bad = "";
	for (let i = 0; i < 300; i++) {
		n = (n * 1103515245 + 12345) % 2147483648;
		const text = e.area.value, at = n % (text.length + 1), cut = n % 5 === 0 ? Math.min(6, text.length - at) : 0;
		e.area.setRangeText(parts[n % parts.length], at, at + cut, "end");
		e.area.dispatchEvent(new InputEvent("input", { inputType: "insertFromPaste" }));
		if (painted(e.ed) !== e.area.value)
			bad ||= JSON.stringify(e.area.value);
	}
	ok(!bad, "300 changes: the layer says what the text says", bad);
	equal(e.ed.el.querySelector(".k-q-layer").offsetHeight, e.area.offsetHeight, "it is as high as the text area");
	equal(e.area.scrollHeight, e.area.clientHeight, "whose text fits into it");
	for (const [text, width] of [["some_metric_name{with=\"labels\", and=\"more\"} + ".repeat(40), 420], ["x".repeat(500), 333], ["a  ".repeat(300), 377], ["\n\n\n", 300], ["\u05d0\u05d1 abc ".repeat(60), 401], ["漢字".repeat(200), 350]]) {
		document.querySelector("#here").style.width = `${width}px`;
		e.ed.value = text;
		const height = e.ed.el.querySelector(".k-q-layer").offsetHeight;
		e.area.style.height = "0";
		equal(e.area.scrollHeight, height, `lines break in both alike: ${JSON.stringify(text.slice(0, 12))}, ${width} px`);
		e.area.style.height = "";
	}
});

test("time of a key", async () => {
	const line = 'sum by (job) (rate(http_requests_total{code="200", job=~"a|b"}[5m])) +\n';
	for (const [size, text] of [[1000, line.repeat(14)], [20000, line.repeat(282)], ["20000 in one line", line.replace("\n", " ").repeat(282)], [70000, line.repeat(980)]]) {
		const e = start(text);
		e.area.setSelectionRange(text.length >> 1, text.length >> 1);
		const times = [];
		for (let i = 0; i < 12; i++) {
			const t = performance.now();
			e.type("x");
			e.area.getBoundingClientRect(); /* its layout, too */
			times.push(performance.now() - t);
			await sleep(0);
		}
		times.sort((a, b) => a - b);
		note(`${size} characters: ${times[0].toFixed(1)} to ${times[6].toFixed(1)} ms a key`);
		ok(times[0] < 1000, `${size} characters: a key is no wait`);
		e.ed.destroy();
	}
});
