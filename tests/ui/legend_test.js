/* The table of series: filters, sorts, chooses; a thousand of them; names and CSV of what the API
 * answers. */
import {ok, equal, test, note, stage, frame, until} from "./tap.js";
import {plot} from "/ui/chart/plot.js";
import {legend} from "/ui/chart/legend.js";
import {seriesOf, nameOf, shared, csv} from "/ui/chart/matrix.js";

const FROM = Date.parse("2026-11-29T10:00:00Z");
const many = n => seriesOf(Array.from({length: n},
	(_, k) => ({metric: {__name__: "m", job: "x", host: `h${k}`},
	values: Array.from({length: 60}, (_, i) => [FROM / 1000 + i * 15, String(k + i)])})));
async function show(n) {
	const p = plot({series: many(n), from: FROM, to: FROM + 59 * 15000, step: 15000, zone: "utc"}),
		l = legend(p);
	stage(800, 600).append(p.el, l.el);
	await until(() => p.box.area);
	await frame();
	return {p, l, buttons: () => [...l.el.querySelectorAll(".k-legend-name")],
		rows: () => [...l.el.querySelectorAll("tbody tr")].map(r => [...r.children].map(c => c.textContent))};
}
const click = (el, more = {}) => el.dispatchEvent(new MouseEvent("click", {bubbles: true, ...more}));
const key = (el, k) => el.dispatchEvent(new KeyboardEvent("keydown",
	{key: k, bubbles: true, cancelable: true}));
const shown = p => p.series.map((_, i) => i).filter(i => !p.hidden[i]);

test("what the API answers", () => {
	const s = seriesOf([{metric: {__name__: "a"},
		values: [[1.5, "1"], [2, "NaN"], [3, "+Inf"], [4, "-Inf"]],
		histograms: [[2.5, {count: "1", sum: "2", buckets: []}]]}, {metric: {}, value: [7, "8"]}]);
	equal([...s[0].times], [1500, 2000, 2500, 3000, 4000],
		"floats and histograms of a series stand in the order of time");
	equal([...s[0].values], [1, NaN, NaN, Infinity, -Infinity], "numbers as PromQL writes them");
	equal(s[0].histograms.map(h => h?.count ?? null), [null, null, "1", null, null],
		"histograms beside them");
	equal([s[1].name, [...s[1].times], [...s[1].values]], ["{}", [7000], [8]], "an instant one");
	equal(nameOf({__name__: "up", job: 'a"b\\c\n'}), 'up{job="a\\"b\\\\c\\n"}', "quoted");
	equal(["on", "NaN", "bool", "by", "sum"].map(n => nameOf({__name__: n, inf: "a"})), ['{"on", inf="a"}', '{"NaN", inf="a"}', '{"bool", inf="a"}', 'by{inf="a"}', 'sum{inf="a"}'], "words that are no metric without quotes have them");
	equal(nameOf({__name__: "up", a: "\u202ex", b: "\u05d0\u200d"}), 'up{a="\\u202ex", b="\u05d0\u200d"}', "what would turn the rest around is written out");
	const odd = JSON.parse('{"__name__":"m","constructor":"a","toString":"b","__proto__":"c"}');
	equal(nameOf(odd), 'm{constructor="a", toString="b", __proto__="c"}', "labels that objects have by nature");
	equal(nameOf(odd, shared([{labels: odd}, {labels: {__name__: "m"}}])), '{constructor="a", toString="b", __proto__="c"}', "of one of two");
	equal(nameOf({__name__: "up.time", "a.b": "c"}), '{"up.time", "a.b"="c"}', "names that need quotes");
	equal([nameOf({__name__: "up"}), nameOf({a: "b"})], ["up", '{a="b"}'], "a name alone, labels alone");
	equal(shared(many(3)), {__name__: "m", job: "x"}, "what all share");
	equal(shared(many(1)), {}, "one series shares nothing");
	equal(csv([], new Float64Array(0)), "time\n", "CSV of nothing");
});

test("a row for each", async () => {
	const {l, rows, p} = await show(3);
	equal(rows(), [['{host="h0"}', "", "0", "59", "29.5", "59"],
		['{host="h1"}', "", "1", "60", "30.5", "60"], ['{host="h2"}', "", "2", "61", "31.5", "61"]],
		"least, greatest, mean, last");
	ok(l.el.textContent.includes('m{job="x"}'), "what they share is said once");
	p.box.cross(FROM + 15000 * 10, null);
	equal(rows().map(r => r[1]), ["10", "11", "12"], "values under the crosshair");
	p.box.cross(null);
	equal(rows().map(r => r[1]), ["", "", ""], "and none without");
});

test("choosing", async () => {
	const {p, buttons} = await show(4);
	click(buttons()[1]);
	equal(shown(p), [1], "a click: this one alone");
	equal(buttons().map(b => b.getAttribute("aria-pressed")), ["false", "true", "false", "false"],
		"told to screen readers");
	click(buttons()[3], {ctrlKey: true});
	equal(shown(p), [1, 3], "with ctrl: beside the others");
	click(buttons()[3], {ctrlKey: true});
	click(buttons()[1]);
	equal(shown(p), [0, 1, 2, 3], "the only one again: all");
	click(buttons()[2], {shiftKey: true});
	equal(shown(p), [0, 1, 3], "with shift: hidden");
	p.update({series: many(5)});
	equal(shown(p), [0, 1, 3, 4], "what is hidden stays so when numbers come");
});

test("keys", async () => {
	const {p, buttons} = await show(3);
	equal(buttons().map(b => b.tabIndex), [0, -1, -1], "one stop of the tab key");
	buttons()[0].focus();
	key(buttons()[0], "ArrowDown");
	equal(document.activeElement, buttons()[1], "down");
	key(buttons()[1], "End");
	equal(document.activeElement, buttons()[2], "the last");
	key(buttons()[2], " ");
	equal(shown(p), [0, 1], "the space bar hides");
	equal(document.activeElement.textContent, '{host="h2"}', "and the focus stays");
});

test("filters and sorting", async () => {
	const {p, l, rows} = await show(30);
	l.filter("h2");
	equal(shown(p), [2, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29], "a text");
	l.filter('/h(3|4)"/');
	equal(shown(p), [3, 4], "an expression");
	l.filter("/h(/");
	ok(shown(p).length === 30 && /No such/.test(l.el.textContent)
		&& l.el.querySelector("input").getAttribute("aria-invalid") === "true",
		"a broken one is said");
	l.filter("");
	const head = k => click(l.el.querySelectorAll("thead button")[k]);
	head(3);
	equal(rows().slice(0, 2).map(r => r[3]), ["88", "87"], "the greatest first");
	equal(l.el.querySelectorAll("thead th")[3].getAttribute("aria-sort"), "descending", "told");
	head(3);
	equal(rows()[0][3], "59", "then the least");
	head(3);
	equal(rows()[3][0], '{host="h3"}', "then as they came");
	head(0);
	equal(rows()[10][0], '{host="h10"}', "names as people count");
});

test("a thousand", async () => {
	const begin = performance.now();
	const {p, l, rows} = await show(1000);
	note(`graph and legend of 1,000 series: ${(performance.now() - begin).toFixed(0)} ms`);
	equal(rows().length, 100, "the first hundred rows");
	click([...l.el.querySelectorAll("button")].at(-1));
	equal(rows().length, 600, "more of them");
	l.filter("h99");
	equal(shown(p).length, 11, "a filter finds them");
	equal(rows().length, 11, "and lists them all");
});

test("more than the palette has", async () => {
	const {l, buttons} = await show(30), look = i => buttons()[i].querySelector("i").style.background;
	ok(!/gradient/.test(look(11)) && /gradient/.test(look(12)), "the second dozen is told apart");
	equal(new Set(buttons().map(b => b.querySelector("i").style.background)).size, 30, "no two are alike");
	l.destroy();
});
