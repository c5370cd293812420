/* Why nothing was found: what is asked, what is said, what its buttons do. */
import {equal, ok, test} from "./tap.js";
import {blank} from "/ui/lib/link.js";
import {hintBox, whyEmpty} from "/ui/views/hints.js";

/* A server with `up{job="a"}` and `go_x`, whose samples end at 1,000,000 s. */
function server({begin = 0} = {}) {
	const has = match => match === "up" || match === '{__name__="up"}' || match === 'up{job="a"}' || match === "go_x";
	const asked = [];
	return {asked, ask: async (path, params) => {
		asked.push([path, params]);
		if (path === "api/v1/series") return {data: has(params["match[]"]) && (!params.start || (Number(params.start) <= 1e6 && Number(params.end) >= begin)) ? [{__name__: "up", job: "a"}] : []};
		if (path === "api/v1/label/job/values") return {data: ["a", "b"]};
		if (path === "api/v1/query") return {data: {result: params.query.startsWith(begin ? "min" : "max") ? [{metric: {}, value: [0, String(begin || 1e6)]}] : []}};
		throw new Error(path);
	}, lines: async (path, params, on) => {
		on({results: [{name: "up"}]});
		on({status: "success", has_more: false});
	}};
}
const p = (expr, more) => ({...blank("table"), expr, ...more});
const why = (expr, from, to, s = server()) => whyEmpty(p(expr), {start: from * 1000, end: to * 1000}, 2e9, s, undefined);
const now = [999000, 1000000], later = [1500000, 1600000];

test("what is found out", async () => {
	const kinds = async (...args) => (await why(...args)).map(o => [o.kind, o.names ?? o.value ?? o.last ?? o.first]);
	equal(await kinds("upp", ...now), [["unknown", ["up"]]], "a name that is not there, and the nearest");
	equal(await kinds("rate(upp[5m]) / upp", ...now), [["unknown", ["up"]]], "one that stands there twice is told once");
	equal(await kinds('up{job="c"}', ...now), [["value", "c"]], "a value that is not there");
	equal(await kinds('up{job=~"c.*"}', ...now), [["together", undefined]], "matchers that nothing fits");
	equal(await kinds("up", ...later), [["elsewhen", 1e9]], "samples at other times: the last one");
	equal(await kinds("up", 1000, 2000, server({begin: 5e5})), [["elsewhen", 5e8]], "or the first");
	equal(await kinds("up > 5", ...now), [], "nothing wrong with its selectors");
	equal(await kinds("1", ...now), [], "none at all");
});

test("what is said", async () => {
	let patch = null;
	const act = {change: c => { patch = c; }, run() {}};
	const box = async (expr, from, to) => hintBox(await why(expr, from, to), p(expr, {range: 60e3}), "utc", act);
	let el = await box("sum(upp) + 1", ...now);
	ok(el.textContent.includes("No metric is called upp. Nearest: up."), "a name");
	el.querySelector("button").click();
	equal(patch, {expr: "sum(up) + 1"}, "which a click puts in its place");
	el = await box("upp / rate(upp[1m])", ...now);
	el.querySelector("button").click();
	equal(patch, {expr: "up / rate(up[1m])"}, "wherever it stands");
	el = await box('up{job="c"}', ...now);
	ok(el.textContent.includes('Label job of up is never "c". It is "a", "b".'), "a value");
	el.querySelector("button").click();
	equal(patch, {expr: 'up{job="a"}'}, "the same");
	el = await box("up", ...later);
	ok(el.textContent.includes("1970-01-12 13:46:40"), "when the last sample was", el.textContent);
	el.querySelector("button").click();
	equal(patch, {end: 1e9}, "and the way there");
	el = await box("up > 5", ...now);
	ok(el.textContent.includes("leaves none"), "otherwise what else it may be");
});
