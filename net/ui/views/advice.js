/*
 * advice - what makes a query heavy, or its result odd, and what would make it cheaper: from what explain=1 tells.
 *
 *   advice(plan) -> [{selectors (their numbers, where there are several), why, remedy}], the costly ones first
 *   metricFirst(text of a selector, as the server writes it) -> the same with the metric's name before the braces
 *   interval(selector) -> ms between samples of one series, about; null: not known
 *
 * Pure. What is told of times between samples is an average over series that were there all the time, so it is used
 * with care: series that came and went make it longer than it is.
 */
import {short} from "../lib/figure.js";
import {printDuration} from "../lib/when.js";

const MANY_SERIES = 1000, MANY_STEPS = 2000, MANY_LOOKS = 50, MUCH = 1e6;
const RATES = new Set(["rate", "increase", "irate", "idelta", "delta", "deriv", "predict_linear", "changes", "resets"]);

const span = s => Date.parse(s.end) - Date.parse(s.start);

export function interval(s) {
	if (!(s.samples > s.series * 3) || !s.series) return null;
	const ms = span(s) * s.series / s.samples;
	return ms > 0 ? ms : null;
}

export const metricFirst = text => {
	const pair = /([{,])__name__="([a-zA-Z_:][\w:]*)"([,}])(?=[^,}]|$)/, name = pair.exec(text)?.[2];
	if (!name) return text;
	const rest = text.replace(pair, (whole, before, of, after) => (before === "{" ? "{" : after) + (before === "{" && after === "}" ? "}" : ""));
	return rest === "{}" ? name : name + rest;
};

/* To a usual one that is near (14,800 is 15 s), else to two digits. */
const USUAL = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400].map(s => s * 1000);
const roundly = ms => USUAL.find(u => Math.abs(u - ms) < u * 0.12) ?? Math.round(Number(ms.toPrecision(2)));
const lasts = ms => printDuration(Math.max(1, roundly(ms)));
const given = printDuration;

/* Does a pattern begin with what cannot be looked up? Sets of words, and known beginnings, can. */
export const beginsAnyhow = pattern => /^(\(\?[a-z]*i[a-z]*\)|\^?[(\s]*(\(\?:)?(\.|\[|\\[wWsSdD]))/.test(pattern);

const all = pattern => /^\^?\(?\.[*+]\)?\$?$/.test(pattern);

function ofMatchers(s, say) {
	const names = s.matchers.filter(m => m.label === "__name__");
	const asks = m => (m.op === "=" && m.value !== "") || (m.op === "=~" && !all(m.value));
	if (!names.some(asks)) {
		say(s.samples + s.series * 100, "No metric name: series of all metrics are looked for.",
			s.matchers.some(asks) ? "Name the metric, or a set of them: {__name__=~\"a|b\"}." : "Name the metric, or a label with =.");
	}
	for (const m of s.matchers)
		if (m.op === "=~" && beginsAnyhow(m.value) && !all(m.value)) {
			say(s.series * 50, `${m.label}=~"${m.value}" has no known beginning: each value of ${m.label} is tried.`,
				"Begin it with letters that are known, list the words (a|b|c), or use = on another label as well.");
		}
}

function ofTimes(s, say) {
	const every = interval(s), ranged = s.steps > 1 && s.stepMs > 0;
	if (every && s.function && RATES.has(s.function) && s.rangeMs < every * 1.5) {
		say(MUCH, `${s.function}() over ${given(s.rangeMs)} sees less than two samples, which come every ${lasts(every)}: most of it stays empty.`,
			`A range of ${lasts(every * 4)} or more.`);
	}
	if (every && ranged && s.stepMs < every / 2 && s.steps > 100) {
		say(s.series * s.steps, `A step of ${given(s.stepMs)}, and samples come every ${lasts(every)}: most values are told several times.`,
			`A step of ${lasts(every)} or more.`);
	}
	if (s.steps > MANY_STEPS)
		say(s.series * s.steps / 2, `${short(s.steps)} steps are more points than a screen is wide.`, `A step of ${lasts(span(s) / 1000)} gives 1,000.`);
	if (ranged && s.function && s.stepMs > s.rangeMs * 1.01 && s.rangeMs > 0) {
		say(0, `${given(s.rangeMs)} of each ${given(s.stepMs)} are looked at: what happens between is not seen.`,
			`A range of ${given(s.stepMs)}, as long as the step.`);
	}
	if (ranged && s.function && s.rangeMs / s.stepMs > MANY_LOOKS && s.samples > MUCH / 10) {
		say(s.samples, `Windows of ${given(s.rangeMs)} every ${given(s.stepMs)}: each sample is in ${short(s.rangeMs / s.stepMs)} of them.`,
			`A longer step or a shorter range.`);
	}
}

export function advice(plan) {
	const found = new Map();
	const several = plan.selectors.length > 1;
	const add = (weight, why, remedy, selector) => {
		const key = why + remedy, at = found.get(key) ?? {selectors: [], weight: 0, why, remedy};
		if (selector !== null) at.selectors.push(selector);
		at.weight = Math.max(at.weight, weight);
		found.set(key, at);
	};
	plan.selectors.forEach((s, i) => {
		const say = (weight, why, remedy) => add(weight, why, remedy, several ? i : null);
		ofMatchers(s, say);
		ofTimes(s, say);
	});
	const root = plan.plan, s = plan.selectors[root?.selector];
	if (s && !/reduced/.test(root.onShards ?? "") && s.series > MANY_SERIES)
		add(s.series * s.steps, `${short(s.series)} series come as that many lines.`, "An aggregation, as sum by (job) (...), or topk(10, ...).", null);
	return [...found.values()].sort((a, b) => b.weight - a.weight).map(({selectors, why, remedy}) => ({selectors, why, remedy}));
}
