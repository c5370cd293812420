/* What is said beside a result: errors with their place and what helps, warnings, infos. */
import {h} from "../lib/dom.js";
import {printDuration} from "../lib/when.js";
import {place, spoken} from "./places.js";
import {coarser, POINTS_MAX} from "./steps.js";

const AROUND = 60;      /* characters shown on each side of a place */
const NOTES_MAX = 5;    /* shown at once, of each kind */

/* What helps: [pattern of the message, sentence, patch?]. The first that fits counts. A patch changes the panel. */
const REMEDIES = [
	[/maximum resolution|11,000 points/, `A line has at most ${POINTS_MAX.toLocaleString("en-US")} points: make the step longer or the range shorter.`,
		p => ({text: `Step ${printDuration(coarser(p.range))}`, patch: {step: coarser(p.range)}})],
	[/must be Scalar or instant Vector|invalid expression type/, "A graph wants one value at each time. A range such as [5m] goes into a function, rate() for example; the table shows it as it is.",
		() => ({text: "Show the table", patch: {tab: "table"}})],
	[/many-to-many|duplicate series for the match group|grouping labels must ensure/, "Both sides must have one series for each set of labels that they are matched by: aggregate one side, or name the labels in on(...) and say group_left or group_right."],
	[/same labelset|duplicate output/, "Several series became one name: keep a label that tells them apart, or aggregate with sum by (...)."],
	[/--query\.timeout|timed out/, "Ask for less time or fewer series, or make the step longer. Explain says before what a query reads, Trace after where the time went."],
	[/--query\.max-(samples|memory|result|items|series)|sample limit|too many (series|samples|points)/, "Ask for less: more labels in the selector, a shorter range, a longer step, sum or topk instead of all series. Explain says before what a query reads."],
	[/too many queries|wait for a place|overloaded/, "The server is busy with other queries. Try again in a moment; the list of active queries shows what runs."],
	[/too many answers wait/, "Answers wait for readers that are slow. Try again in a moment."],
	[/parse error/, ""],
];

/* {text, action?} for an error, where we know what helps; the flag it names can be raised by who runs the server. */
export function remedy(message, p) {
	const found = REMEDIES.find(([re]) => re.test(message));
	const flag = /--[a-z]+\.[a-z.-]*[a-z]/.exec(message)?.[0];
	const raise = flag ? `The limit is ${flag} of the server.` : "";
	return {text: [found?.[1] ?? "", raise].filter(Boolean).join(" "), action: found?.[2]?.(p) ?? null};
}

/* The piece of the expression around a place, which is marked. */
export function excerpt(text, at) {
	const from = Math.max(text.lastIndexOf("\n", Math.max(0, at.from - 1)) + 1, at.from - AROUND);
	const stop = text.indexOf("\n", at.to);
	const to = Math.min(stop < 0 ? text.length : stop, at.to + AROUND);
	return h("code", {class: "k-place"}, from > 0 && text[from - 1] !== "\n" ? "\u2026" : "", text.slice(from, at.from),
		h("mark", null, text.slice(at.from, at.to) || " "), text.slice(at.to, to), to < text.length && text[to] !== "\n" ? "\u2026" : "");
}

const TYPES = {
	bad_data: "The expression cannot be read", execution: "It cannot be evaluated", timeout: "It took too long", canceled: "It was cancelled", unavailable: "The server is busy",
	internal: "The server failed", unauthorized: "Not signed in", forbidden: "Not allowed", unreachable: "No answer", signin: "Not signed in",
};

/* act: {change(patch), run()} */
export function errorBox(error, p, act) {
	const message = String(error.message ?? error);
	const at = place(message, p.expr);
	const help = remedy(message, p);
	const type = error.type ?? "";
	return h("div", {class: "k-note k-failed", role: "alert"},
		h("p", null, h("b", null, type === "bad_data" && !/parse error/.test(message) ? "It cannot be asked like this" : TYPES[type] ?? "Error"), " ", h("span", {class: "k-dim"}, [type, error.status || ""].filter(Boolean).join(" "))),
		h("p", {class: "k-message"}, spoken(message)),
		at && p.expr ? excerpt(p.expr, at) : null,
		help.text ? h("p", {class: "k-dim"}, help.text) : null,
		h("p", {class: "k-row"}, help.action ? h("button", {class: "k-button", onclick: () => act.change(help.action.patch)}, help.action.text) : null,
			/^(unreachable|unavailable|timeout|canceled|internal)$/.test(type) ? h("button", {class: "k-button", onclick: act.run}, "Try again") : null));
}

/* A box with all of a kind; more than a few are folded. */
function box(kind, title, list, expr) {
	const line = text => {
		const at = place(text, expr);
		return h("li", null, spoken(text), at ? [" ", excerpt(expr, at)] : null);
	};
	const rest = list.slice(NOTES_MAX);
	return h("div", {class: `k-note ${kind}`}, h("b", null, title), h("ul", null, list.slice(0, NOTES_MAX).map(line)),
		rest.length ? h("details", null, h("summary", null, `${rest.length} more`), h("ul", null, rest.map(line))) : null);
}

export function noticeBoxes({warnings, infos}, expr) {
	return [warnings?.length ? box("k-warning", warnings.length > 1 ? "Warnings" : "Warning", warnings, expr) : null,
		infos?.length ? box("k-info", "Note", infos, expr) : null].filter(Boolean);
}
