/* The result of a query as a table: a row for each series, labels in columns where they are few, else as chips.
 *
 *   const t = resultTable({zone: () => "local", narrow: () => false});
 *   t.show(data, expr)     data of the answer: {resultType, result}
 *   t.redraw()             the zone or the width has changed
 *
 * Rows come in portions as the reader scrolls, and no more than a page of PORTIONS of them stands there at once, so a
 * hundred thousand cost no more than they show; filter, order and copies are of all of them. Labels that all rows have alike stand above the table, once. */
import {h, put, svg, say} from "../lib/dom.js";
import {count as grouped, short} from "../lib/figure.js";
import {printTime} from "../lib/when.js";
import {copyText, menuButton} from "./bits.js";
import {asCsv, asJson, asText, columnsOf, filtered, histogramOf, labelOf, natural, rowsOf, sorted} from "./rows.js";

const PORTION = 200, PORTION_MATRIX = 40;
const PORTIONS = 5;
const COLUMNS_MAX = 7, COLUMNS_NARROW = 2;
const FILTER_FROM = 8;       /* rows from which a filter is worth its place */
const SAMPLES_MAX = 10;      /* of a series in a matrix, before one asks for more */
const SAMPLES_MORE = 1000;

export function resultTable({zone = () => "local", narrow = () => false} = {}) {
	const el = h("div", {class: "k-result"});
	let data = null, all = [], rows = [], by = null, way = 0, words = "", first = 0, shown = 0;
	let body = null, count = null, more = null, less = null, watcher = null, heads = [];
	const matrix = () => data.resultType === "matrix";
	const portion = () => (matrix() ? PORTION_MATRIX : PORTION), page = () => portion() * PORTIONS;
	/* These are one for all answers: a newer one may come while they are used. */
	const tools = h("div", {class: "k-resultbar"});
	const filter = h("input", {type: "search", placeholder: "Filter, -without", "aria-label": "Filter series", spellcheck: "false", oninput: () => {
		words = filter.value;
		fill();
		say(`${grouped(rows.length)} series`);
	}});
	const copy = (name, text) => ({text: name, run: () => copyText(text(), `${grouped(rows.length)} rows`)});
	const copies = menuButton({class: "k-button"}, "Copy", () => [
		copy("As text", () => asText(rows, matrix())), copy("As CSV", () => asCsv(rows)), copy("As JSON", () => asJson(rows, matrix()))]);

	function show(next, expr = "") {
		const same = data && data.resultType === next.resultType;
		data = next;
		all = natural(rowsOf(data), expr);
		if (!same) [by, way] = [null, 0];
		draw();
	}

	function draw() {
		watcher?.disconnect();
		const scalar = data.resultType === "scalar" || data.resultType === "string";
		const {common, columns} = columnsOf(all);
		const wide = all.length > 1 && columns.length > 0 && columns.length <= (narrow() ? COLUMNS_NARROW : COLUMNS_MAX);
		if (by !== null && by !== "" && !(wide && columns.includes(by))) [by, way] = [null, 0];
		body = h("tbody");
		count = h("span", {class: "k-count"});
		const turn = by => {
			fill(first + by);
			more.parentNode.scrollTop = 0;
			more.parentNode.focus();
		};
		more = h("button", {class: "k-button", onclick: () => (shown < page() ? grow(portion()) : turn(page()))});
		less = h("button", {class: "k-button", onclick: () => turn(-page())});
		heads = [];
		const cells = wide ? r => columns.map(n => labelCell(n, r.labels)) : r => [h("td", {class: "k-series"}, scalar ? data.resultType : chips(r.labels, all.length > 1 ? common : []))];
		/* The same table again, with newer values: it stays where the reader has scrolled to. */
		const before = el.querySelector(".k-scroll"), [top, rowsBefore, at] = [before?.scrollTop, shown, first];
		/* No two headings are alike, whatever labels are called. */
		const own = n => (wide && columns.includes(n) ? `__${n}__` : n);
		const titles = wide ? columns.map(n => head(n, n === "__name__" ? own("metric") : n)) : [h("th", null, scalar ? "type" : "series")];
		put(tools, all.length >= FILTER_FROM ? filter : null, count, h("span", {class: "k-push"}), time(), copies);
		put(el, tools,
			all.length > 1 && common.length ? h("p", {class: "k-common"}, h("span", {class: "k-dim"}, "in all rows "), chipList(common)) : null,
			h("div", {class: "k-scroll", tabindex: "0", role: "group", "aria-label": "Result"}, less,
				h("table", {class: "k-table"}, h("thead", null, h("tr", null, titles, head("", own(matrix() ? "samples" : "value"), "k-num"))), body), more));
		build = r => h("tr", null, cells(r), valueCell(r));
		/* Looked at anew each time: who jumps to the end stays within sight of the button, which is no news. */
		watcher = new IntersectionObserver(seen => {
			if (!seen.at(-1).isIntersecting || first + shown >= rows.length || shown >= page()) return;
			grow(portion());
			watcher.unobserve(more);
			watcher.observe(more);
		}, {root: more.parentNode, rootMargin: "200px"});
		fill(at);
		if (top) {
			grow(Math.max(0, rowsBefore - shown));
			more.parentNode.scrollTop = top;
		}
		watcher.observe(more);
	}
	let build = null;

	function fill(at = 0) {
		rows = sorted(filtered(all, words), by ?? "", way);
		first = at < rows.length ? at : 0;
		shown = 0;
		body.replaceChildren();
		for (const {th, name} of heads) th.setAttribute("aria-sort", name !== by || !way ? "none" : way > 0 ? "ascending" : "descending");
		grow(portion());
	}

	function grow(by) {
		const next = rows.slice(first + shown, first + shown + by);
		body.append(...next.map(build));
		shown += next.length;
		const n = grouped(rows.length), of = rows.length < all.length ? ` of ${grouped(all.length)}` : "";
		count.textContent = data.resultType === "scalar" || data.resultType === "string" ? "" : `${n}${of} series`;
		less.hidden = !first;
		less.textContent = `${grouped(first)} before`;
		more.hidden = first + shown >= rows.length;
		more.textContent = `${grouped(rows.length - first - shown)} more`;
	}

	/* Up, down, and back to the order it came in. Values begin with the greatest. */
	function head(name, text, cls) {
		const first = name === "" ? -1 : 1;
		const th = h("th", {class: cls, "aria-sort": "none"}, h("button", {class: "k-order", title: "Sort", onclick: () => {
			if (by !== name || !way) [by, way] = [name, first];
			else [by, way] = way === first ? [name, -first] : [null, 0];
			fill();
		}}, text));
		heads.push({th, name});
		return th;
	}

	function time() {
		const at = matrix() ? null : data.resultType === "vector" ? all[0]?.values[0]?.[0] ?? all[0]?.histograms[0]?.[0] : data.result[0];
		return at ? h("span", {class: "k-dim"}, printTime(at * 1000, zone())) : null;
	}

	function valueCell(r) {
		if (!matrix()) return h("td", {class: "k-num"}, r.histograms.length ? histogram(r.histograms[0][1]) : value(r.values[0]?.[1] ?? ""));
		const samples = [...r.values, ...r.histograms].sort((a, b) => a[0] - b[0]);
		const line = ([t, v]) => h("li", null, typeof v === "string" ? value(v) : histogram(v), h("span", {class: "k-dim"}, ` ${printTime(t * 1000, zone())}`));
		const list = h("ol", {class: "k-samples"}, samples.slice(-SAMPLES_MAX).map(line));
		const rest = samples.length - SAMPLES_MAX;
		const button = rest > 0 ? h("button", {class: "k-link", onclick: () => {
			list.replaceChildren(...samples.slice(-SAMPLES_MORE).map(line));
			button.textContent = samples.length > SAMPLES_MORE ? `the last ${grouped(SAMPLES_MORE)} of ${grouped(samples.length)}` : "";
			button.disabled = true;
		}}, `${grouped(rest)} earlier ones`) : null;
		return h("td", {class: "k-num"}, button, list);
	}

	return {el, show, redraw: () => data && draw(), get count() { return all.length; }};
}

/* As the server wrote it; in short beside it where that says more. */
function value(text) {
	const n = Number(text);
	const tip = Math.abs(n) >= 1e4 ? short(n) : "";
	return h("span", tip && tip !== text ? {title: tip} : null, text);
}

function labelCell(name, labels) {
	return h("td", {class: name === "__name__" ? "k-metric" : null}, labelOf(labels, name));
}

function chipList(pairs) {
	return pairs.map(([k, v]) => (k === "__name__" ? h("b", {class: "k-metric"}, v) : h("span", {class: "k-label"}, h("i", null, k), v))).flatMap(c => [c, " "]);
}

/* Without those that stand above. */
function chips(labels, common) {
	const pairs = Object.entries(labels).filter(([k]) => !common.some(c => c[0] === k));
	return pairs.length ? chipList(pairs) : h("span", {class: "k-dim"}, common.length ? "no other labels" : "no labels");
}

/* Buckets as bars, wider ones where the axis is not logarithmic are as wide as all; all of it in numbers behind it. */
export function bars(buckets, width = 120, height = 22) {
	const most = Math.max(...buckets.map(b => b.count), 0) || 1;
	const logs = buckets.length > 1 && buckets.every(b => b.from > 0 && Number.isFinite(b.to));
	const from = logs ? Math.log(Math.min(...buckets.map(b => b.from))) : 0;
	const wide = logs ? Math.log(Math.max(...buckets.map(b => b.to))) - from : buckets.length;
	const x = (b, i, end) => width * (logs ? (Math.log(end ? b.to : b.from) - from) : i + (end ? 1 : 0)) / wide;
	return svg("svg", {class: "k-bars", viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true"}, buckets.map((b, i) => {
		const left = x(b, i, false), tall = Math.max(1, b.count / most * (height - 1));
		return svg("rect", {x: left.toFixed(2), y: (height - tall).toFixed(2), width: Math.max(0.8, x(b, i, true) - left - 0.5).toFixed(2), height: tall.toFixed(2)});
	}));
}

function histogram(raw) {
	const {count, sum, buckets} = histogramOf(raw);
	const table = () => h("table", {class: "k-table k-buckets"}, h("thead", null, h("tr", null, h("th", null, "bucket"), h("th", {class: "k-num"}, "count"))),
		h("tbody", null, buckets.map(b => h("tr", null, h("td", null, b.label), h("td", {class: "k-num"}, value(String(b.count)))))));
	const box = h("details", {class: "k-histogram", ontoggle: () => box.open && box.children.length < 2 && box.append(table())},
		h("summary", null, buckets.length ? bars(buckets) : null, h("span", null, `count ${short(Number(count))}`, h("span", {class: "k-dim"}, `, sum ${short(Number(sum))}`))));
	return box;
}
