/* Who is who in a graph: a table of its series that filters, sorts and chooses.
 *
 *	legend(plot) -> {el, filter(text), destroy()}      it follows the graph: new series, the crosshair
 *
 * A click (or Enter) shows this series alone, once more: all. With ctrl, cmd or shift (or the space
 * bar) it is shown or hidden beside the others. Up and down walk through the rows. The filter is a
 * text, or /a regular expression/; it hides in the graph what does not match. Rows are made for the
 * first ones only; a button makes more. */
import {h, put, say} from "../lib/dom.js";
import {format, swatch} from "./scale.js";
import {stats} from "./thin.js";
import {nameOf, shared} from "./matrix.js";

const ROWS = 100;
const HEADS = [["name", "Series"], ["now", "At crosshair"], ["min", "Min"], ["max", "Max"], ["mean", "Mean"],
	["last", "Last"]];

export function legend(plot) {
	let rows = [], order = [], most = ROWS, sort = {by: "", up: true}, off = new Set(), only = "",
		bad = false, cells = new Map(), cross = null, timer = 0;
	const count = h("span", {class: "k-chart-note", role: "status"});
	const input = h("input", {type: "search", class: "k-legend-filter",
		placeholder: "Filter: text or /regex/",
		"aria-label": "Filter the series, by a text or a /regular expression/", autocomplete: "off",
		spellcheck: "false",
		oninput: () => {
			clearTimeout(timer);
			timer = setTimeout(() => filter(input.value), rows.length > 200 ? 150 : 0);
		}});
	const all = h("button", {class: "k-chart-button", onclick: () => show(new Set())},
		"Show all");
	const common = h("p", {class: "k-legend-common"});
	const body = h("tbody", null);
	const heads = HEADS.map(([by, text]) => h("th", {class: by === "name" ? null : "k-num"},
		h("button", {class: "k-legend-head", onclick: () => sortBy(by)}, text)));
	const more = h("button", {class: "k-button", onclick: () => {
		const first = order[most];
		most += 5 * ROWS;
		build();
		cells.get(first)?.button.focus();
	}});
	const table = h("table", {class: "k-table k-legend-table"},
		h("caption", {class: "k-unseen"},
		"Series of the graph: Enter shows one alone, the space bar shows or hides it"),
		h("thead", null, h("tr", null, heads)), body);
	const el = h("div", {class: "k-legend"},
		h("div", {class: "k-chart-bar k-legend-bar"}, input, count, all), common,
		h("div", {class: "k-legend-box", tabindex: "-1"}, table, more));

	function take() {
		const hold = shared(plot.series),
			kept = new Set(rows.filter(r => off.has(r.i)).map(r => r.full));
		const text = nameOf(hold);
		common.hidden = text === "{}";
		common.textContent = `All of them: ${text}`;
		rows = plot.series.map((s, i) => ({i, s, f: null, get name() { return plot.name(i); },
			get full() { return s.name ?? nameOf(s.labels ?? {}); }}));
		off = new Set(kept.size ? rows.filter(r => kept.has(r.full)).map(r => r.i) : []);
		cross = null;
		apply();
	}

	const figures = r => (r.f ??= stats(r.s.values));

	function matcher() {
		bad = false;
		const m = /^\/(.*)\/$/.exec(only.trim());
		if (!only.trim()) return () => true;
		try {
			const re = m && new RegExp(m[1], "i"), low = only.trim().toLowerCase();
			return r => (re ? re.test(r.full) : r.full.toLowerCase().includes(low));
		} catch {
			bad = true;
			return () => true;
		}
	}

	/* What matches is listed; what is listed and not switched off is in the graph. */
	function apply() {
		const match = matcher(), flags = new Uint8Array(rows.length);
		order = [];
		for (const r of rows) {
			const here = match(r);
			if (here) order.push(r.i);
			flags[r.i] = here && !off.has(r.i) ? 0 : 1;
		}
		input.setAttribute("aria-invalid", String(bad));
		if (sort.by) {
			const key = r => (sort.by === "name" ? r.name : sort.by === "now" ? cross?.get(r.i)
				?? NaN : figures(r)[sort.by]);
			const keys = new Map(order.map(i => [i, key(rows[i])]));
			const way = sort.up ? 1 : -1, none = v => v === undefined || v !== v;
			order.sort((a, b) => {
				const x = keys.get(a), y = keys.get(b);
				if (none(x) || none(y)) return none(x) - none(y) || a - b;
				return (typeof x === "string" ? x.localeCompare(y, "en", {numeric: true})
					: x < y ? -1 : x > y ? 1 : 0) * way || a - b;
			});
		}
		if (flags.some((f, i) => f !== plot.hidden[i])) plot.setHidden(flags);
		build();
	}

	function build() {
		cells = new Map();
		const list = order.slice(0, most);
		put(body, list.map((i, k) => row(rows[i], k === 0)));
		more.hidden = order.length <= most;
		more.textContent = `Show ${Math.min(5 * ROWS, order.length - most)} more of ${order.length}`;
		all.hidden = !off.size && !only;
		const shownNow = order.filter(i => !off.has(i)).length;
		count.textContent = bad ? "No such regular expression" : rows.length > 1
			? `${shownNow === rows.length ? "" : `${shownNow} of `}${rows.length} series` : "";
		el.hidden = !rows.length;
		HEADS.forEach(([by], k) => heads[k].setAttribute("aria-sort",
			sort.by !== by ? "none" : sort.up ? "ascending" : "descending"));
		now();
	}

	function row(r, first) {
		const f = figures(r), u = plot.unit, shown = !off.has(r.i);
		const button = h("button", {class: "k-legend-name",
			"aria-pressed": String(shown), title: r.full, tabindex: first ? "0" : "-1",
			dataset: {i: r.i},
			onclick: e => choose(r.i, e.ctrlKey || e.metaKey || e.shiftKey)},
			h("i", {style: {background: swatch(r.i)}}), h("span", null, r.name));
		const at = h("td", {class: "k-num"});
		cells.set(r.i, {button, at});
		const cell = v => h("td", {class: "k-num", title: String(v)},
			f.n || v === f.last ? format(v, u, 4) : "");
		return h("tr", {class: shown ? null : "k-legend-off",
			onpointerenter: () => plot.highlight(r.i), onpointerleave: () => plot.highlight(-1)},
			h("th", {scope: "row"}, button), at, cell(f.min), cell(f.max), cell(f.mean),
				cell(f.last));
	}

	/* The values under the crosshair. */
	function now() {
		for (const [i, c] of cells) {
			const text = cross?.has(i) ? format(cross.get(i), plot.unit, 4) : "";
			if (c.at.textContent !== text) c.at.textContent = text;
		}
	}

	function choose(i, beside) {
		const others = order.filter(k => k !== i),
			alone = !off.has(i) && others.every(k => off.has(k));
		if (beside) {
			const next = new Set(off);
			if (!next.delete(i)) next.add(i);
			show(next);
		} else show(alone ? new Set() : new Set(rows.map(r => r.i).filter(k => k !== i)));
		cells.get(i)?.button.focus();
		say(off.has(i) ? "hidden" : off.size
			? `${order.length - order.filter(k => off.has(k)).length} shown` : "all shown");
	}

	function show(next) {
		if (!next.size && off.size === 0 && only) input.value = only = "";
		off = next;
		apply();
	}

	function sortBy(by) {
		sort = sort.by !== by ? {by, up: by === "name"} : sort.up === (by === "name")
			? {by, up: !sort.up} : {by: "", up: true};
		apply();
	}

	function filter(text) {
		only = input.value = text;
		most = ROWS;
		apply();
	}

	body.addEventListener("keydown", e => {
		const b = e.target.closest?.(".k-legend-name");
		if (!b) return;
		const tr = b.closest("tr"), to = {ArrowDown: tr.nextSibling, ArrowUp: tr.previousSibling,
			Home: body.firstChild, End: body.lastChild}[e.key];
		if (e.key === " ") choose(Number(b.dataset.i), true);
		else if (to) {
			b.tabIndex = -1;
			const next = to.querySelector(".k-legend-name");
			next.tabIndex = 0;
			next.focus();
		} else if (!(e.key in {ArrowDown: 1, ArrowUp: 1})) return;
		e.preventDefault();
	});
	body.addEventListener("focusin", e => e.target.dataset.i
		&& plot.highlight(Number(e.target.dataset.i)));
	body.addEventListener("focusout", () => plot.highlight(-1));
	plot.onData(take);
	plot.onCross(c => {
		cross = c && new Map(c.values.map(r => [r.i, r.v]));
		now();
		for (const [i, {button}] of cells) button.classList.toggle("k-legend-near", c?.index === i);
	});
	take();
	return {el, filter, destroy: () => el.remove()};
}
