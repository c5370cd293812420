/*
 * typing - changes of a text area that its undo knows, and what an editor adds to typing: brackets and quotes come in
 * pairs, a closing one that is there already is stepped over, and both of an empty pair are deleted together.
 *
 * replace(area, from, to, insert, caret, end): text[from..to) becomes insert; caret to end is selected then.
 * typing.before(area, toks, event): has beforeinput been done here? typing.own: is a change from here under way?
 * pairAt(text, toks, start, end) -> the bracket at the caret and its partner: [{from, to, alone}].
 */
const PAIRS = { "(": ")", "[": "]", "{": "}", '"': '"', "'": "'", "`": "`" };
const OPENING = { ")": "(", "]": "[", "}": "{" };

export const typing = { own: false };

/* execCommand is deprecated, and the only way into the undo of a text area. */
export const replace = (area, from, to, insert, caret = from + insert.length, end = caret) => {
	area.focus();
	area.setSelectionRange(from, to);
	typing.own = true;
	try {
		const done = insert ? document.execCommand("insertText", false, insert) : from === to || document.execCommand("delete");
		if (!done) {
			area.setRangeText(insert, from, to, "end");
			area.dispatchEvent(new InputEvent("input", { inputType: "insertReplacementText", bubbles: true }));
		}
	} finally {
		typing.own = false;
	}
	area.setSelectionRange(caret, end);
};

/* The token whose inside the offset is in. */
const around = (toks, at) => toks.find((t) => t.from < at && at < t.to || (t.open && at === t.to));

/* The numbers of the brackets' partners; -1: none. */
const partners = (text, toks) => {
	const out = new Map(), stack = [];
	for (const [i, t] of toks.entries()) {
		if (t.kind !== "bracket")
			continue;
		if (!t.close)
			stack.push(i);
		else if (stack.length && text[toks[stack.at(-1)].from] === OPENING[text[t.from]]) {
			const open = stack.pop();
			out.set(open, i).set(i, open);
		} else
			out.set(i, -1);
	}
	for (const i of stack)
		out.set(i, -1);
	return out;
};

export const pairAt = (text, toks, start, end) => {
	if (start !== end)
		return [];
	const i = toks.findIndex((t) => t.kind === "bracket" && (t.from === start || t.to === start));
	if (i < 0)
		return [];
	const other = partners(text, toks).get(i);
	const span = (t) => ({ from: t.from, to: t.to, alone: other < 0 });
	return other < 0 ? [span(toks[i])] : [span(toks[i]), span(toks[other])];
};

/* Are the brackets of this kind in balance, so that the closing one at the caret is the one of this pair? */
const balanced = (text, toks, closing) => {
	const all = partners(text, toks);
	return [...all].every(([i, other]) => other >= 0 || (text[toks[i].from] !== closing && text[toks[i].from] !== OPENING[closing]));
};

const typed = (area, toks, c) => {
	const text = area.value, from = area.selectionStart, to = area.selectionEnd, next = text[from] ?? "", close = PAIRS[c];
	const inside = around(toks, from), quote = close === c;
	const literal = inside && (inside.kind === "comment" || inside.kind === "string" || inside.kind === "label" || inside.kind === "metric") && (inside.kind === "comment" || /["'`]/.test(text[inside.from]));
	if (from !== to) {
		if (!close || literal)
			return false;
		replace(area, from, to, c + text.slice(from, to) + close, from + 1, to + 1);
		return true;
	}
	/* Over what is there. */
	const steps = next === c && (quote ? inside && literal && inside.kind !== "comment" && inside.to === from + 1 && text[inside.from] === c : OPENING[c] && !literal && balanced(text, toks, c));
	if (steps) {
		area.setSelectionRange(from + 1, from + 1);
		return true;
	}
	if (!close || literal || (next && !/[\s)\]},]/.test(next)) || (quote && /[\w"'`]/.test(text[from - 1] ?? "")))
		return false;
	replace(area, from, from, c + close, from + 1);
	return true;
};

typing.before = (area, toks, e) => {
	if (typing.own || e.isComposing)
		return false;
	let done = false;
	if (e.inputType === "insertText" && e.data?.length === 1) {
		done = typed(area, toks, e.data);
	} else if (e.inputType === "deleteContentBackward" && area.selectionStart === area.selectionEnd) {
		const at = area.selectionStart, before = area.value[at - 1];
		if (before && PAIRS[before] && PAIRS[before] === area.value[at]) {
			replace(area, at - 1, at + 1, "");
			done = true;
		}
	}
	if (done)
		e.preventDefault();
	return done;
};
