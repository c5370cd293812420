/*
 * editor - a text area for PromQL: colors, completion, brackets, errors at their place, history.
 *
 *     const ed = editor({value, label, onRun(text), onInput(text), times()});
 *     root.append(ed.el); ed.focus();
 *     ed.setError(e)   an AskError or {message, from, to}; null: none. Editing takes it away.
 *
 * times: {start, end} in seconds of what is looked at: names of then are suggested; without it, of the last hour.
 * value can be read and set; destroy() ends what waits. The text area is an ordinary one with invisible letters;
 * paint.js shows them in colors behind it, so selection, undo, input methods and spoken text are the browser's own.
 *
 * Enter runs, Shift+Enter is a new line, Tab takes a suggestion (Enter does when one is selected), Ctrl+Space asks for
 * suggestions, Escape shuts them, Ctrl+Shift+F formats, Up and Down at an end of the text go through history.
 * Every change is made by the browser's own commands (typing.js), so that undo takes it back.
 */
import { ask, lines } from "../lib/ask.js";
import { h, put, say } from "../lib/dom.js";
import {history, load, store} from "../lib/keep.js";
import { at, call, choices, edit, key, source, wants } from "./complete.js";
import { tokens } from "./lexer.js";
import { mistake, unfinished } from "./mistake.js";
import { paint } from "./paint.js";
import { picklist } from "./picklist.js";
import { pairAt, replace, typing } from "./typing.js";
import { signature } from "./words.js";

const COLORS_MOST = 60000; /* characters; longer texts are shown plain */
const CHECK_MOST = 50000; /* and are not checked while they are typed */
const ASK_MS = 40, CHECK_MS = 400, UNFINISHED_MS = 1600; /* the time that typing rests before something is asked */
const RECENT_MOST = 40;
const MARGIN = 8; /* px that are seen beyond the caret's line */
const GAP = 9; /* px between the word and the list: that of the box's border */

/* Places where suggestions come by themselves although nothing of the word stands there yet. */
const EAGER = new Set(["label", "value", "quoted", "duration"]);

/* What phones compose is suggested for while it is written; words of other scripts when they are whole. */
const PLAIN = /^[\w:.]*$/;

let editors = 0;

export const editor = ({ value = "", label = "PromQL expression", placeholder = "Expression (press Ctrl+Space for suggestions)", onRun, onInput, times, server = { ask, lines } }) => {
	const id = `k-q${++editors}`;
	const src = source({ ...server, times });
	const layer = paint();
	const list = picklist({ onPick: (item) => take(item), describe: (item, signal) => src.about(item.name, signal) });
	const area = h("textarea", {
		class: "k-q-text", rows: 1, spellcheck: "false", autocomplete: "off", autocapitalize: "off", autocorrect: "off", wrap: "soft", dir: "ltr",
		"aria-label": label, "aria-autocomplete": "list", "aria-haspopup": "listbox", "aria-describedby": `${id}-note`, enterkeyhint: "go", placeholder, value,
	});
	const note = h("div", { class: "k-q-note", id: `${id}-note` });
	const box = h("div", { class: "k-q-box" }, h("div", { class: "k-q-both" }, layer.el, area));
	const el = h("div", { class: "k-editor", "data-editor": true }, box, note, list.el);

	let toks = [], text = null; /* what is painted */
	let error = null, errorIn = ""; /* and the text it was found in */
	let place = null, found = [], asked = false; /* asked: by Ctrl+Space */
	let asking = null, askTimer = 0, checking = null, checkTimer = 0;
	let past = -1, draft = ""; /* which query of history is shown; what was written before */
	let recent = [load("words", [])].flat().filter((k) => typeof k === "string");

	/* ---- what is shown ---- */

	const marks = () => {
		const out = pairAt(area.value, toks, area.selectionStart, area.selectionEnd).map((p) => ({ ...p, class: p.alone ? "k-q-bad" : "k-q-pair" }));
		if (error && error.to > error.from)
			out.push({ from: error.from, to: error.to, class: "k-q-wrong" });
		return out;
	};
	const draw = () => {
		const now = area.value, plain = now.length > COLORS_MOST;
		if (now !== text) {
			text = now;
			toks = plain ? [] : tokens(now);
		}
		el.classList.toggle("k-q-plain", plain);
		layer.show(plain ? "" : now, toks, plain ? [] : marks());
	};

	/* The caret is moved from here: the box goes along, as it does when somebody types. */
	const reveal = () => {
		if (area.value.length > COLORS_MOST)
			return;
		const caret = layer.box(area.selectionStart), mine = box.getBoundingClientRect();
		if (caret.bottom > mine.bottom - MARGIN)
			box.scrollTop += caret.bottom - mine.bottom + MARGIN;
		else if (caret.top < mine.top + MARGIN)
			box.scrollTop -= mine.top + MARGIN - caret.top;
	};
	const write = (from, to, insert, caret) => {
		replace(area, from, to, insert, caret);
		reveal();
	};

	/* One line below the text: the error, or the call around the caret. */
	const tell = () => {
		if (error) {
			put(note, h("span", { class: "k-q-message" }, error.message));
			return;
		}
		const c = document.activeElement === area ? call(area.value, area.selectionStart, toks) : null;
		if (!c) {
			put(note);
			return;
		}
		const parts = signature(c.word).map((p) => p.at === c.arg ? h("b", null, p.text) : p.text);
		put(note, h("span", { class: "k-q-signature" }, parts), " ", h("span", { class: "k-dim" }, c.word.doc));
	};

	const setError = (e, spoken = true) => {
		error = e ? mistake(area.value, e) : null;
		errorIn = area.value;
		/* What has no place is not the text's fault. */
		if (error && error.to > error.from)
			area.setAttribute("aria-invalid", "true");
		else
			area.removeAttribute("aria-invalid");
		if (error && spoken)
			say(error.message);
		draw();
		tell();
	};

	/* ---- suggestions ---- */

	const shut = () => {
		clearTimeout(askTimer);
		asking?.abort();
		asking = null;
		asked = false;
		if (!list.open)
			return;
		list.hide();
		area.removeAttribute("aria-controls");
		area.removeAttribute("aria-activedescendant");
	};
	const pointAt = () => {
		if (list.active)
			area.setAttribute("aria-activedescendant", list.active);
		else
			area.removeAttribute("aria-activedescendant");
	};
	const putList = () => {
		const mine = el.getBoundingClientRect(), word = layer.box(place.from), view = window.visualViewport;
		const bottom = (view ? view.offsetTop + view.height : innerHeight) - word.bottom, top = word.top - (view ? view.offsetTop : 0);
		const above = bottom < 160 && top > bottom;
		list.place(word.left - mine.left - 34, above ? mine.bottom - word.top + GAP : word.bottom - mine.top + GAP, mine.width, (above ? top : bottom) - 8, above);
	};
	/* late: what was chosen meanwhile stays. */
	const offer = (late) => {
		const items = choices(place, found, recent);
		/* What stands there already is no suggestion. */
		if (!items.length || (items.length === 1 && items[0].exact && !asked))
			return list.open && shut();
		list.show(items, { select: asked, late });
		area.setAttribute("aria-controls", list.id);
		pointAt();
		putList();
	};
	const fetchNames = async (questions) => {
		asking?.abort();
		const mine = asking = new AbortController();
		try {
			found = await src.find(questions, mine.signal);
		} catch (e) {
			if (mine.signal.aborted)
				return;
			found = []; /* what is known here is shown all the same */
		}
		if (!mine.signal.aborted)
			offer(true);
	};
	const suggest = (by = false) => {
		const caret = area.selectionStart;
		clearTimeout(askTimer);
		if (caret !== area.selectionEnd || area.value.length > COLORS_MOST)
			return shut();
		const before = place;
		place = at(area.value, caret, toks);
		asked = by || (asked && list.open);
		if (place.kind === "none" || (!asked && !place.prefix && !EAGER.has(place.kind)))
			return shut();
		const questions = wants(place);
		const ready = questions ? src.atHand(questions) : [];
		if (ready) {
			asking?.abort();
			found = ready;
			return offer();
		}
		/* Until the answer is there: what was found for the word so far. */
		const goesOn = list.open && before && before.kind === place.kind && before.from === place.from;
		if (goesOn)
			offer();
		else
			found = [];
		askTimer = setTimeout(fetchNames, by ? 0 : ASK_MS, questions);
	};

	const take = (item) => {
		const e = edit(area.value, place, item), kind = place.kind;
		shut();
		write(e.from, e.to, e.insert, e.caret);
		recent = [key(item), ...recent.filter((k) => k !== key(item))].slice(0, RECENT_MOST);
		store("words", recent.filter((k) => k.length < 200));
		/* A label is followed by its value, offset by a duration. */
		if ((item.kind === "label" && kind !== "quoted" && !place.grouping) || item.name === "offset")
			suggest();
	};

	/* ---- errors while it is typed ---- */

	const check = async () => {
		checking?.abort();
		const mine = checking = new AbortController(), query = area.value;
		if (!query.trim() || query.length > CHECK_MOST)
			return;
		let e;
		try {
			const { data } = await server.ask("api/v1/parse_query", { query, check: 1 }, { signal: mine.signal });
			e = data?.error && { message: data.error };
		} catch (error) {
			e = error.status === 400 && error; /* a server that does not know check=1 */
		}
		if (!e || mine.signal.aborted || area.value !== query)
			return;
		/* Whoever is still writing there knows that something is missing. */
		const m = mistake(query, e), caret = area.selectionStart;
		if (document.activeElement === area && (list.open || unfinished(query, e) || (m.from <= caret && caret <= m.to)))
			checkTimer = setTimeout(() => area.value === query && setError(m, false), UNFINISHED_MS - CHECK_MS);
		else
			setError(m, false);
	};
	const checkSoon = () => {
		clearTimeout(checkTimer);
		checking?.abort();
		checkTimer = setTimeout(check, CHECK_MS);
	};

	const format = async () => {
		const query = area.value;
		try {
			const { data } = await server.ask("api/v1/format_query", { query });
			if (area.value === query && data !== query) {
				write(0, query.length, data, data.length);
				say("Formatted");
			}
		} catch (e) {
			if (area.value === query && e.name !== "AbortError")
				setError(e);
		}
	};

	/* ---- events ---- */

	const run = () => {
		shut();
		clearTimeout(checkTimer);
		checking?.abort();
		past = -1;
		onRun?.(area.value);
	};

	/* The text of a query asked before; by: 1 is older. False: there is none. */
	const recall = (by) => {
		const queries = history().map((e) => e.query).filter((q) => q !== (past < 0 ? area.value : draft));
		const to = past + by;
		if (to < -1 || to >= queries.length)
			return false;
		if (past < 0)
			draft = area.value;
		past = to;
		const query = to < 0 ? draft : queries[to];
		write(0, area.value.length, query, query.length);
		shut();
		return true;
	};
	/* Is the caret at an end of the text, on its first line (by 1) or last, as lines are shown? */
	const atEdge = (by) => {
		const caret = area.selectionStart, n = area.value.length;
		if (caret !== area.selectionEnd || (caret !== 0 && caret !== n))
			return false;
		const here = layer.box(caret).top, end = layer.box(by > 0 ? 0 : n).top;
		return Math.abs(here - end) < 4;
	};

	const inList = (e) => {
		const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 2, PageUp: -2 }[e.key];
		if (by) {
			list.move(by);
			pointAt();
			return true;
		}
		if (e.key === "Escape") {
			shut();
			return true;
		}
		const item = e.key === "Tab" && !e.shiftKey ? list.item ?? list.first : e.key === "Enter" && !e.shiftKey ? list.item : null;
		if (item)
			take(item);
		return !!item;
	};
	const onKey = (e) => {
		if (e.isComposing || e.keyCode === 229)
			return;
		const ctrl = e.ctrlKey || e.metaKey;
		const done = () => {
			if (list.open && !ctrl && !e.altKey && inList(e))
				return true;
			if (e.key === "Enter" && ctrl)
				return shut(), false; /* all panels: the view's */
			if (e.key === "Enter" && !e.shiftKey && !e.altKey)
				return run(), true;
			if (e.key === " " && e.ctrlKey)
				return suggest(true), true;
			if (e.key.toLowerCase() === "f" && ctrl && e.shiftKey)
				return format(), true;
			const by = ctrl || e.altKey || e.shiftKey ? 0 : { ArrowUp: 1, ArrowDown: -1 }[e.key];
			return !!by && atEdge(by) && recall(by);
		};
		if (done()) {
			e.preventDefault();
			e.stopPropagation();
		}
	};
	const onText = (e) => {
		if (error && area.value !== errorIn)
			setError(null);
		draw();
		tell();
		checkSoon();
		if (past >= 0 && e.inputType !== undefined && !typing.own)
			past = -1;
		onInput?.(area.value);
		/* Only typing asks for suggestions: not pasting, undo, or what was put in from here. */
		if (typing.own || (e.isComposing && !PLAIN.test(e.data ?? "")))
			return;
		if (e.inputType === "insertText" || e.inputType === "insertCompositionText" || (list.open && /^delete/.test(e.inputType ?? "")))
			suggest();
		else
			shut();
	};
	const onSelect = () => {
		if (document.activeElement !== area)
			return;
		draw();
		tell();
		if (list.open && (area.selectionStart < place.from || area.selectionStart > Math.max(place.to, place.from + place.prefix.length)))
			shut();
	};

	area.addEventListener("beforeinput", (e) => {
		if (typing.before(area, toks, e))
			suggest();
	});
	area.addEventListener("input", onText);
	area.addEventListener("compositionend", () => suggest());
	area.addEventListener("keydown", onKey);
	area.addEventListener("focus", () => {
		src.forget(); /* another tenant may have been chosen meanwhile */
		tell();
	});
	area.addEventListener("blur", () => {
		shut();
		draw();
		tell();
	});
	document.addEventListener("selectionchange", onSelect);
	const resized = new ResizeObserver(() => list.open && putList());
	resized.observe(el);
	box.addEventListener("scroll", () => list.open && putList());
	draw();

	return {
		el,
		get value() { return area.value; },
		set value(v) {
			if (v === area.value)
				return;
			shut();
			area.value = v;
			past = -1;
			setError(null);
		},
		setError,
		format,
		focus: () => area.focus(),
		destroy: () => {
			shut();
			clearTimeout(checkTimer);
			checking?.abort();
			resized.disconnect();
			document.removeEventListener("selectionchange", onSelect);
		},
	};
};
