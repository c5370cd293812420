/* The numbers of a graph as a table, a page of it at a time: rows are times, columns are series.
 *
 *	numberTable(root, {times, zone, columns: [{name, at(time) -> text}]})      fills root; called again, it stays on its page
 */
import {h, put, scroller} from "../lib/dom.js";
import {printTime} from "../lib/when.js";

const ROWS = 50, COLUMNS = 12;

export function numberTable(root, {times, zone, columns}) {
	const page = (root.page ??= {row: 0, column: 0});
	const last = (n, per) => Math.max(0, Math.ceil(n / per) - 1) * per;
	page.row = Math.min(page.row, last(times.length, ROWS));
	page.column = Math.min(page.column, last(columns.length, COLUMNS));
	const turn = (what, by, end, text) => {
		const to = page[what] + by;
		return h("button", {class: "k-chart-button", disabled: to < 0 || to > end,
			onclick: () => {
			page[what] = to;
			numberTable(root, {times, zone, columns});
			root.querySelector("button:not(:disabled)")?.focus();
		}}, text);
	};
	const rows = times.slice(page.row, page.row + ROWS),
		cols = columns.slice(page.column, page.column + COLUMNS);
	put(root,
		h("div", {class: "k-chart-bar"},
			h("span", {class: "k-chart-note"},
				times.length
				? `Times ${page.row + 1} to ${page.row + rows.length} of ${times.length}, series ${page.column + 1} to ${page.column + cols.length} of ${columns.length}` : "No data in this range"),
			times.length > ROWS && [turn("row", -ROWS, last(times.length, ROWS), "Earlier"),
				turn("row", ROWS, last(times.length, ROWS), "Later")],
			columns.length > COLUMNS && [turn("column", -COLUMNS, last(columns.length, COLUMNS),
				"Series before"), turn("column", COLUMNS, last(columns.length, COLUMNS),
				"More series")]),
		times.length > 0 && scroller("Numbers of the graph", h("table", {class: "k-table"},
				h("thead", null, h("tr", null, h("th", null, "Time"),
					cols.map(c => h("th", {class: "k-num", title: c.name},
					h("div", {class: "k-chart-cut"}, c.name))))),
				h("tbody", null, Array.from(rows,
					t => h("tr", null, h("th", {scope: "row"},
					printTime(t, zone, {ms: true})),
					cols.map(c => h("td", {class: "k-num"}, c.at(t)))))))));
}
