/*
 * picklist - the list of suggestions below the caret, with what the one looked at is beside it. The focus stays in the
 * text area: the list is a listbox that it controls.
 *
 *     const list = picklist({onPick(item), describe(item, signal) -> {type, help} or null});
 *     -> {el, id, open, item (selected or null), show(items, {select}), move(by), hide(), place(x, y, ...)}
 *
 * Nothing is selected until somebody moves into the list, unless select is set: Enter then still runs the query.
 * What comes from data is shown with its control characters as signs, in the direction it has, cut where it is long.
 */
import { h, put, say } from "../lib/dom.js";
import { signature } from "./words.js";

const NAME_MOST = 300; /* characters of a name that are shown */
const HELP_MOST = 600;
const WIDE = 640; /* px; in less, what an item is stands below the list */
const PAGE = 8; /* rows that Page Up and Down move by */
const KINDS = { metric: "metric", label: "label", value: "value", func: "function", aggr: "aggregation", keyword: "keyword", duration: "duration", op: "operator", time: "time" };
const SIGNS = { metric: "M", label: "L", value: "V", func: "ƒ", aggr: "Σ", keyword: "K", duration: "D", op: "=", time: "T" };

/* Characters that cannot be seen, or turn the direction of others. */
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
export const visible = (text, most = NAME_MOST) => {
	const cut = text.length > most ? `${text.slice(0, most)}…` : text;
	return cut.replace(CONTROL, (c) => c < " " ? String.fromCharCode(0x2400 + c.charCodeAt(0)) : `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
};

/* A name with the parts that the prefix found. */
const name = (item) => {
	const out = [];
	let at = 0;
	for (const [from, to] of item.marks) {
		if (from >= NAME_MOST)
			break;
		out.push(visible(item.name.slice(at, from)), h("b", null, visible(item.name.slice(from, to))));
		at = to;
	}
	out.push(visible(item.name.slice(at), Math.max(0, NAME_MOST - at)));
	return h("bdi", { class: "k-q-name" }, out);
};

let lists = 0;

export const picklist = ({ onPick, describe }) => {
	const id = `k-q-list${++lists}`;
	const rows = h("ul", { class: "k-q-rows", role: "listbox", id, tabindex: "0", "aria-label": "Suggestions" });
	const about = h("div", { class: "k-q-about", "aria-hidden": "true" });
	const foot = h("div", { class: "k-q-foot", "aria-hidden": "true" });
	const el = h("div", { class: "k-q-pop", hidden: true, onmousedown: (e) => e.preventDefault() }, h("div", { class: "k-q-main" }, rows, foot), about);
	let items = [], at = -1, described = null;

	const optionId = (i) => `${id}-${i}`;
	const row = (item, i) => h("li", { role: "option", id: optionId(i), class: "k-q-row", "aria-selected": "false", onclick: () => onPick(item) },
		h("span", { class: `k-q-sign k-q-is-${item.kind}`, "aria-hidden": "true" }, SIGNS[item.kind]), name(item),
		h("span", { class: "k-q-kind" }, item.type || (item.experimental ? "experimental" : h("span", { class: "k-unseen" }, KINDS[item.kind]))));

	/* What the first, or the selected one, is. */
	const tell = async () => {
		const item = items[Math.max(at, 0)];
		described?.abort();
		const mine = described = new AbortController();
		const words = (head, text, more) => {
			el.classList.remove("k-q-alone");
			put(about, h("div", { class: "k-q-head" }, head), text && h("p", null, h("bdi", null, visible(text, HELP_MOST))), more);
		};
		const title = h("bdi", { class: "k-q-title" }, visible(item.name));
		if (item.args)
			return words(signature(item).map((p) => p.text).join(""), item.doc, item.experimental && h("p", { class: "k-dim" }, "Experimental: --enable-feature=promql-experimental-functions"));
		if (item.kind !== "metric")
			return item.doc ? words(title, item.doc) : el.classList.add("k-q-alone");
		let fact = item;
		if (item.help === undefined) {
			words(title, "");
			try {
				fact = await describe(item, mine.signal);
			} catch {
				return;
			}
			if (mine.signal.aborted || items[Math.max(at, 0)] !== item)
				return;
		}
		const type = [fact?.type, fact?.unit].filter(Boolean).join(", ");
		return words([title, type && h("span", { class: "k-q-kind" }, type)], fact?.help || "No description has come with this metric.");
	};

	const select = (i) => {
		rows.children[at]?.setAttribute("aria-selected", "false");
		at = i;
		const r = rows.children[at];
		r?.setAttribute("aria-selected", "true");
		r?.scrollIntoView({ block: "nearest" });
		put(foot, at >= 0 ? [h("kbd", null, "Enter"), "inserts"] : [h("kbd", null, "Tab"), "inserts", h("kbd", null, "↓"), "chooses", h("kbd", null, "Enter"), "runs"]);
		tell();
	};

	const hide = () => {
		el.hidden = true;
		items = [];
		at = -1;
		described?.abort();
		rows.replaceChildren();
	};

	return {
		el, id, hide,
		get open() { return !el.hidden; },
		get item() { return items[at] ?? null; },
		get first() { return items[0] ?? null; },
		get active() { return at >= 0 ? optionId(at) : null; },
		show: (list, { select: first, late }) => {
			const before = el.hidden, was = late && items[at];
			items = list;
			at = -1;
			put(rows, list.map(row));
			rows.scrollTop = 0;
			el.hidden = false;
			select(Math.max(first ? 0 : -1, list.findIndex((i) => i.name === was?.name && i.kind === was.kind)));
			if (before)
				say(list.length === 1 ? "1 suggestion" : `${list.length} suggestions`);
		},
		/* From the text (-1) into the list and, past its ends, back to the text. */
		move: (by) => {
			const far = Math.abs(by) > 1;
			let to = at + (far ? Math.sign(by) * PAGE : by);
			if (far)
				to = Math.max(0, Math.min(items.length - 1, to));
			else if (to < -1)
				to = items.length - 1;
			else if (to >= items.length)
				to = -1;
			select(to);
		},
		/* Below the caret's line; x and the width are of the editor, room is what is left of the window. */
		place: (x, y, width, room, above) => {
			const narrow = width < WIDE;
			el.classList.toggle("k-q-narrow", narrow);
			el.style.left = narrow ? "0" : `${Math.max(0, Math.min(x, width - el.offsetWidth))}px`;
			el.style.right = narrow ? "0" : "auto";
			el.style.top = above ? "auto" : `${y}px`;
			el.style.bottom = above ? `${y}px` : "auto";
			rows.style.maxHeight = `${Math.max(96, Math.min(288, room - (narrow ? 110 : 40)))}px`;
		},
	};
};
