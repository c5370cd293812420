/* The metrics that are there and the queries that were asked, each to choose from: metricsDialog(pick), historyDialog(pick).
 * pick(text, whole): what to put into the editor; whole: in place of all that stands there. */
import {gone, lines} from "../lib/ask.js";
import {nameOf} from "../chart/matrix.js";
import {h, put, say} from "../lib/dom.js";
import {count} from "../lib/figure.js";
import {forget, history} from "../lib/keep.js";
import {ago} from "../lib/when.js";
import {iconButton} from "./bits.js";

const METRICS_MAX = 300;
const WAIT_MS = 120;    /* after a key, before the server is asked */

/* A dialog with a filter above a list of rows; fill(words, list, note, signal) puts rows there. */
function chooser(title, label, fill, extra = null) {
	const list = h("ul", {class: "k-picks"});
	const note = h("p", {class: "k-dim", "aria-live": "polite"});
	const field = h("input", {type: "search", "aria-label": label, placeholder: label, spellcheck: "false", autocomplete: "off"});
	let abort = new AbortController(), timer = 0;
	const load = async () => {
		abort.abort();
		abort = new AbortController();
		const {signal} = abort;
		try {
			await fill(field.value.trim(), list, note, signal);
		} catch (e) {
			if (!gone(e) && !signal.aborted) put(note, `${e.message}`);
		}
	};
	const move = (e, way) => {
		const all = [...list.querySelectorAll(".k-pick")], at = all.indexOf(document.activeElement);
		e.preventDefault();
		(at + way < 0 ? field : all[at + way] ?? all[at])?.focus();
	};
	const el = h("dialog", {class: "k-dialog k-chooser", "aria-label": title, onclose: () => {
		abort.abort();
		clearTimeout(timer);
		el.remove();
	}, onkeydown: e => {
		if (e.key === "ArrowDown") move(e, 1);
		else if (e.key === "ArrowUp") move(e, -1);
		else if (e.key === "Enter" && e.target === field) list.querySelector(".k-pick")?.click();
	}, onclick: e => e.target === el && el.close()},
	h("div", {class: "k-row"}, h("h2", null, title), h("span", {class: "k-push"}), extra?.(load), iconButton("close", "Close", () => el.close())), field, note, list);
	field.addEventListener("input", () => {
		clearTimeout(timer);
		timer = setTimeout(load, WAIT_MS);
	});
	document.body.append(el);
	el.showModal();
	field.focus();
	load();
	return el;
}

/* What one mostly asks of such a metric; null: itself. */
export function usual(name, type) {
	const metric = nameOf({__name__: name});
	if (/_bucket$/.test(name)) return ["p99", `histogram_quantile(0.99, sum by (le) (rate(${metric}[5m])))`];
	if (type === "histogram" && !/_(sum|count)$/.test(name)) return ["p99", `histogram_quantile(0.99, sum(rate(${metric}[5m])))`];
	if (type === "counter" || /_(total|count|sum)$/.test(name)) return ["rate", `rate(${metric}[5m])`];
	return null;
}

/* By the Search API: letters need only follow one another. */
async function find(words, signal) {
	const found = [];
	let more = false;
	await lines("api/v1/search/metric_names", {"search[]": words.replace(/\s+/g, "") || undefined, case_sensitive: "false",
		include_metadata: "true", limit: String(METRICS_MAX), sort_by: words ? "score" : "alpha"}, o => {
		found.push(...(o.results ?? []));
		more ||= o.has_more === true;
	}, {signal});
	return {found, more};
}

export function metricsDialog(pick) {
	const el = chooser("Metrics", "Part of a name", async (words, list, note, signal) => {
		const {found, more} = await find(words, signal);
		put(note, found.length ? `${count(found.length)}${more ? " and more: type to narrow it down" : ""}` : "No metric has such a name.");
		put(list, found.map(m => {
			const more = usual(m.name, m.type);
			const choose = (text, whole) => {
				el.close();
				pick(text, whole);
			};
			return h("li", null,
				h("button", {class: "k-pick", onclick: () => choose(nameOf({__name__: m.name}), false)},
					h("span", {class: "k-metric"}, m.name), m.type && m.type !== "unknown" ? h("span", {class: "k-label"}, m.type) : null, h("span", {class: "k-pickhelp"}, m.help ?? "")),
				more ? h("button", {class: "k-button", title: more[1], onclick: () => choose(more[1], true)}, more[0]) : null);
		}));
	});
}

export function historyDialog(pick) {
	const el = chooser("History", "Part of a query", async (words, list, note) => {
		const low = words.toLowerCase();
		const found = history().filter(e => e.query.toLowerCase().includes(low));
		put(note, found.length ? `${count(found.length)}, kept by this browser` : "Nothing yet: queries that were run come here, and stay in this browser.");
		put(list, found.map(e => h("li", null, h("button", {class: "k-pick", onclick: () => {
			el.close();
			pick(e.query, true);
		}}, h("code", {class: "k-pickquery"}, e.query), h("span", {class: "k-pickhelp"}, e.at ? ago(e.at, Date.now()) : "")))));
	}, load => h("button", {class: "k-button", onclick: () => {
		forget();
		load();
		say("History forgotten");
	}}, "Forget all"));
}
