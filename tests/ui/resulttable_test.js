/* The table of a result: what stands in it, order, filter, pages, histograms, copies. */
import {equal, ok, stage, test, until} from "./tap.js";
import {h} from "/ui/lib/dom.js";
import {bars, resultTable} from "/ui/views/resulttable.js";

const vector = list => ({resultType: "vector", result: list.map(([metric, value]) => ({metric, value: [1700000000, value]}))});
const cells = (t, n) => [...t.el.querySelectorAll("tbody tr")].map(r => r.cells[n].textContent);
const heads = t => [...t.el.querySelectorAll("thead th")].map(x => x.textContent);
const on = (options = {}) => {
	const t = resultTable({zone: () => "utc", ...options});
	stage(900, 500).append(t.el);
	return t;
};
const three = vector([[{__name__: "m", i: "b10", job: "x"}, "3"], [{__name__: "m", i: "b9", job: "x"}, "-1"], [{__name__: "m", i: "a", job: "x"}, "NaN"]]);

test("columns", () => {
	const t = on();
	t.show(three, "m");
	equal([heads(t), cells(t, 0), cells(t, 1)], [["i", "value"], ["a", "b9", "b10"], ["NaN", "-1", "3"]], "labels that differ are columns, rows are in order");
	equal(t.el.querySelector(".k-common").textContent, "in all rows m jobx ", "the others stand above");
	ok(t.el.textContent.includes("2023-11-14 22:13:20"), "the time of the values, in the zone");
	const [byI, byValue] = t.el.querySelectorAll("thead button");
	byValue.click();
	equal(cells(t, 1), ["3", "-1", "NaN"], "the greatest first");
	equal(byValue.closest("th").getAttribute("aria-sort"), "descending", "and says so");
	byValue.click();
	equal(cells(t, 1), ["-1", "3", "NaN"], "then the least");
	byValue.click();
	equal([cells(t, 1), byValue.closest("th").getAttribute("aria-sort")], [["NaN", "-1", "3"], "none"], "then as it came");
	byI.click();
	t.show(vector([[{__name__: "m", i: "z", job: "x"}, "3"], [{__name__: "m", i: "y", job: "x"}, "1"]]), "m");
	equal(cells(t, 0), ["y", "z"], "the order stays with the next answer");
	t.show(three, "topk(3, m)");
	byI.closest("th");
	t.redraw();
	equal(heads(t), ["i", "value"], "drawn anew");
});

test("headings", () => {
	const t = resultTable(), heads = () => [...t.el.querySelectorAll("thead th")].map(h => h.textContent);
	t.show(vector([[{__name__: "a", metric: "x", value: "1"}, "1"], [{__name__: "b", metric: "y", value: "2"}, "2"]]), "x");
	equal(heads(), ["__metric__", "metric", "value", "__value__"], "no two are alike, whatever labels are called");
	t.show(vector([[{__name__: "a", x: "x"}, "1"], [{__name__: "b", x: "y"}, "2"]]), "x");
	equal(heads(), ["metric", "x", "value"], "as ever where none is");
});

test("chips where it is narrow or labels are many", () => {
	const t = on({narrow: () => true});
	t.show(three, "sort(m)");
	equal(heads(t), ["i", "value"], "one or two columns have room");
	t.show(vector([[{__name__: "m", a: "1", b: "2", c: "3", j: "x"}, "1"], [{__name__: "m", a: "2", b: "3", c: "4", j: "x"}, "2"]]), "m");
	equal([heads(t), cells(t, 0)], [["series", "value"], ["a1 b2 c3 ", "a2 b3 c4 "]], "only what differs stands in the row");
	const many = Object.fromEntries("abcdefghij".split("").map(k => [k, "1"]));
	const wide = on();
	wide.show(vector([[many, "1"], [Object.fromEntries(Object.keys(many).map(k => [k, "2"])), "2"]]), "m");
	equal(heads(wide), ["series", "value"], "ten columns are too many");
	wide.show(vector([[{}, "1"]]), "sum(m)");
	equal(cells(wide, 0), ["no labels"], "no labels at all");
	wide.show(vector([[{__name__: "<b>", a: "<script>"}, "1"]]), "x");
	equal([cells(wide, 0), wide.el.querySelector("script")], [["<b> a<script> "], null], "what comes from data is text");
});

test("other kinds of results", () => {
	const t = on();
	t.show({resultType: "scalar", result: [1700000000, "5"]}, "5");
	equal([cells(t, 0), cells(t, 1)], [["scalar"], ["5"]], "a scalar");
	t.show({resultType: "string", result: [1700000000, "a b"]}, '"a b"');
	equal(cells(t, 1), ["a b"], "a string");
	const values = Array.from({length: 25}, (_, i) => [1700000000 + i, String(i)]);
	t.show({resultType: "matrix", result: [{metric: {__name__: "m"}, values}]}, "m[25s]");
	equal(t.el.querySelectorAll(".k-samples li").length, 10, "of many samples the last ones");
	t.el.querySelector(".k-link").click();
	equal(t.el.querySelectorAll(".k-samples li").length, 25, "all of them on request");
	const histogram = {count: "6", sum: "9.5", buckets: [[0, "1", "2", "0.0625"], [0, "2", "4", "4"]]};
	t.show({resultType: "vector", result: [{metric: {__name__: "h"}, histogram: [1700000000, histogram]}]}, "h");
	ok(t.el.querySelectorAll(".k-bars rect").length === 2 && t.el.textContent.includes("count 6, sum 9.5"), "a histogram is drawn");
	t.el.querySelector("summary").click();
	return until(() => t.el.querySelector(".k-buckets")).then(table => equal([...table.querySelectorAll(":scope > tbody > tr")].map(r => r.textContent), ["(1, 2]0.0625", "(2, 4]4"], "its buckets are behind it, those of a rate, too"));
});

test("bars", () => {
	const rect = (b, n) => Number(bars(b, 100, 20).querySelectorAll("rect")[n].getAttribute("height"));
	const b = [{from: 1, to: 2, count: 1}, {from: 2, to: 4, count: 2}];
	ok(rect(b, 1) === 19 && rect(b, 0) > 9 && rect(b, 0) < 10, "as high as their counts");
	ok(bars([{from: -1, to: Infinity, count: 0}]).querySelector("rect").getAttribute("width") > 0, "bounds that have no logarithm, and no counts at all");
});

test("thirty thousand rows", async () => {
	const t = on();
	const list = vector(Array.from({length: 30000}, (_, i) => [{__name__: "m", i: `n${i * 7919 % 30000}`, job: `j${i % 7}`}, String(i)]));
	const begin = performance.now();
	t.show(list, "m");
	const took = performance.now() - begin;
	ok(t.el.querySelectorAll("tbody tr").length <= 400, "are not all in the page at first", `took ${took} ms`);
	ok(t.el.querySelector(".k-count").textContent === "30,000 series", "but counted");
	const scroll = t.el.querySelector(".k-scroll");
	scroll.style.maxHeight = "300px";
	const many = await until(() => {
		scroll.scrollTop = scroll.scrollHeight;
		return t.el.querySelectorAll("tbody tr").length >= 1000;
	});
	ok(many, "more come for who stays at the end");
	const press = text => [...t.el.querySelectorAll("button")].find(b => b.textContent === text && !b.hidden).click(), top = () => t.el.querySelector("tbody td").textContent;
	press("29,000 more");
	equal([t.el.querySelectorAll("tbody tr").length, top(), scroll.scrollTop, document.activeElement === scroll], [200, "n29000", 0, true], "a page of them at once; the next one takes its place");
	t.show(list, "m");
	equal(top(), "n29000", "and stays with the next answer");
	press("1,000 before");
	equal(top(), "n0", "and back");
	press("i");
	equal(top(), "n0", "by a label");
	press("i");
	equal(top(), "n29999", "or backwards");
	const field = t.el.querySelector("input[type=search]");
	field.value = "n2999 -n29998";
	field.dispatchEvent(new Event("input"));
	equal([t.el.querySelector(".k-count").textContent, t.el.querySelectorAll("tbody tr").length], ["10 of 30,000 series", 10], "a filter looks at all");
});

test("copies", async () => {
	let copied = "";
	Object.defineProperty(navigator, "clipboard", {value: {writeText: async text => { copied = text; }}, configurable: true});
	document.body.append(h("div", {id: "say"}));
	const t = on();
	t.show(three, "sort(m)");
	const pick = async name => {
		t.el.querySelector("[aria-haspopup=menu]").click();
		[...t.el.querySelectorAll("[role=menuitem]")].find(b => b.textContent === name).click();
		await until(() => copied);
		const text = copied;
		copied = "";
		return text;
	};
	equal(await pick("As text"), 'm{i="b10", job="x"} 3\nm{i="b9", job="x"} -1\nm{i="a", job="x"} NaN\n', "text");
	equal((await pick("As CSV")).split("\r\n")[1], "m,b10,x,1700000000,3", "CSV");
	equal(JSON.parse(await pick("As JSON")).length, 3, "JSON");
	await until(() => document.getElementById("say").textContent);
	equal(document.getElementById("say").textContent, "3 rows copied", "and says it");
});

test("a newer answer leaves filter and place", () => {
	const t = on(), many = n => vector(Array.from({length: 1000}, (_, i) => [{i: `${i}`}, `${i + n}`]));
	t.show(many(0), "m");
	const field = t.el.querySelector("input"), scroll = () => t.el.querySelector(".k-scroll");
	[...t.el.querySelectorAll("button")].find(b => /more$/.test(b.textContent)).click();
	const rows = t.el.querySelectorAll("tbody tr").length;
	scroll().scrollTop = 5000;
	const top = scroll().scrollTop;
	field.focus();
	t.show(many(1), "m");
	ok(top > 0 && field.isConnected && document.activeElement === field, "the filter has the focus still");
	equal([scroll().scrollTop, t.el.querySelectorAll("tbody tr").length, cells(t, 1)[0]], [top, rows, "1"], "the newer rows stand where the old ones were");
});
