/*
 * paint - the layer of colors behind the editor's text area: the same text in the same type, so that each
 * character lies behind its own. Only what differs from what stands there is touched.
 *
 *     const layer = paint();   -> {el, show(text, toks, marks), box(offset)}
 *
 * marks: [{from, to, class}] of further classes. box: where the character at an offset stands, as a DOMRect; that of
 * the end of the text for its length. A line of text is a block of its own, which keeps layout local.
 */
import { h } from "../lib/dom.js";

/* Signs, brackets and comments have the color of the layer: fewer elements, which is what layout takes its time for. */
const CLASS = {
	metric: "k-q-metric", label: "k-q-label", string: "k-q-string", number: "k-q-number", duration: "k-q-number", keyword: "k-q-keyword",
	func: "k-q-func", aggr: "k-q-func", bad: "k-q-bad", name: "k-q-bad",
};

/* The text as lines of pieces: [[{text, class}]]; tokens and marks are in order of their begin. */
const pieces = (text, toks, marks) => {
	const lines = [[]];
	let line = lines[0], from = 0, end = 0, name = "";
	/* What has been gathered up to there becomes pieces. */
	const flush = (to) => {
		for (let n; (n = text.indexOf("\n", from)) >= 0 && n < to; from = n + 1) {
			if (n > from)
				line.push({ text: text.slice(from, n), class: name });
			lines.push(line = []);
		}
		if (to > from)
			line.push({ text: text.slice(from, to), class: name });
		from = to;
	};
	const marked = (t) => {
		/* "and" is an operator, but a word. */
		let name = CLASS[t.kind] ?? (t.kind === "op" && /[a-z]/i.test(text[t.from]) ? CLASS.keyword : "");
		for (const m of marks)
			if (m.from < t.to && m.to > t.from)
				name += ` ${m.class}`;
		return name;
	};
	for (const t of toks) {
		const next = marked(t);
		if (next !== name) {
			/* White space has no color: it goes with the word before it, but for a mark. */
			flush(name.includes(" ") ? Math.max(from, end) : t.from);
			if (from < t.from) {
				name = "";
				flush(t.from);
			}
			name = next;
		}
		end = t.to;
	}
	flush(name.includes(" ") ? end : text.length);
	name = "";
	flush(text.length);
	return lines;
};

const same = (a, b) => a.text === b.text && a.class === b.class;
const sameLine = (a, b) => a.length === b.length && a.every((p, i) => same(p, b[i]));

/* How many at the begin, and at the end, are the same. */
const ends = (a, b, equal) => {
	let head = 0, tail = 0;
	const least = Math.min(a.length, b.length);
	while (head < least && equal(a[head], b[head]))
		head++;
	while (tail < least - head && equal(a[a.length - 1 - tail], b[b.length - 1 - tail]))
		tail++;
	return [head, tail];
};

/* The children of el that stood for before now stand for after. */
const patch = (el, before, after, equal, make) => {
	const [head, tail] = ends(before, after, equal);
	for (let i = before.length - tail - 1; i >= head; i--)
		el.childNodes[i].remove();
	const behind = el.childNodes[head] ?? null;
	for (let i = head; i < after.length - tail; i++)
		el.insertBefore(make(after[i]), behind);
};

const piece = (p) => p.class ? h("span", { class: p.class }, p.text) : document.createTextNode(p.text);
/* A line without text is as high as one. */
const fill = (el, line) => el.append(...(line.length ? line.map(piece) : [document.createElement("br")]));
const block = (line) => {
	const el = h("div");
	fill(el, line);
	return el;
};

export const paint = () => {
	const el = h("div", { class: "k-q-layer", "aria-hidden": "true", dir: "ltr" });
	let shown = [];

	const show = (text, toks, marks) => {
		const lines = pieces(text, toks, marks);
		const [head, tail] = ends(shown, lines, sameLine);
		/* One line has changed: only its pieces are touched. */
		if (head + tail === lines.length - 1 && shown.length === lines.length && shown[head].length && lines[head].length)
			patch(el.childNodes[head], shown[head], lines[head], same, piece);
		else
			patch(el, shown, lines, sameLine, block);
		shown = lines;
	};

	const box = (offset) => {
		let line = 0, left = offset;
		const length = (pieces) => pieces.reduce((n, p) => n + p.text.length, 0);
		for (let n; line < shown.length - 1 && left > (n = length(shown[line])); line++)
			left -= n + 1;
		const blockEl = el.childNodes[line], parts = shown[line] ?? [];
		if (!blockEl)
			return el.getBoundingClientRect();
		for (const [i, p] of parts.entries()) {
			if (left < p.text.length || i === parts.length - 1) {
				const node = blockEl.childNodes[i], text = node.firstChild ?? node, range = document.createRange();
				range.setStart(text, Math.min(left, p.text.length));
				range.setEnd(text, Math.min(left + 1, p.text.length));
				const boxes = range.getClientRects();
				return boxes[boxes.length - 1] ?? range.getBoundingClientRect();
			}
			left -= p.text.length;
		}
		return blockEl.getBoundingClientRect();
	};
	return { el, show, box };
};
