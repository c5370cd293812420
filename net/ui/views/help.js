/*
 * help - the pages for readers (net/ui/help): one at a time, its list beside it, its headings as links. A command has a
 * button that copies it, an expression one that opens it in Query; addresses of this server stand for "localhost:9470".
 */
import {base} from "../lib/ask.js";
import {copyButton, h, put, scroller} from "../lib/dom.js";
import {parse} from "../lib/mark.js";

export const title = "Help";

export const PAGES = [
	["first-steps", "First steps"],
	["move", "Moving here"],
	["sizing", "Sizing"],
	["operations", "Operations"],
	["page", "This page"],
];

const line = (of) => of.map((part) => {
	if (typeof part === "string")
		return part;
	if (part.tag !== "a")
		return h(part.tag, null, part.text);
	/* Another page is a file beside this one, for who reads them as files. */
	return h("a", {href: here(part.href).replace(/^([a-z-]+)\.md/, `${base}help/$1`), rel: "noreferrer"}, part.text);
});

/* What the pages call localhost:9470 is the address this page came from. */
export const here = (text, at = base) => text.replaceAll(/http:\/\/localhost:9470/g, at.replace(/\/$/, ""));

const copy = (text, what) => {
	const button = copyButton(() => text);
	button.classList.add("k-copy");
	button.setAttribute("aria-label", `Copy ${what}`);
	return button;
};

const code = (block) => {
	const text = here(block.text);
	if (block.lang !== "promql")
		return h("div", {class: "k-code"}, h("pre", {tabindex: "0"}, h("code", null, text)), copy(text, "these lines"));
	return h("ul", {class: "k-exprs"}, text.split("\n").filter(Boolean).map((expr) =>
		h("li", null, h("a", {href: `${base}query?${new URLSearchParams({"g0.expr": expr, "g0.tab": "graph"})}`}, h("code", null, expr)))));
};

const element = (block, path) => {
	switch (block.tag) {
	case "p": return h("p", null, line(block.of));
	case "ul":
	case "ol": return h(block.tag, null, block.items.map((of) => h("li", null, line(of))));
	case "pre": return code(block);
	case "table": return scroller("Table", h("table", {class: "k-table"},
		block.head && h("thead", null, h("tr", null, block.head.map((of) => h("th", null, line(of))))),
		h("tbody", null, block.rows.map((row) => h("tr", null, row.map((of) => h("td", null, line(of))))))));
	default: return h(block.tag, {id: block.id}, line(block.of), block.tag !== "h1" && h("a", {class: "k-anchor", href: `${base}${path}#${block.id}`, "aria-label": "Link to this part"}, "#"));
	}
};

/* ctx.rest: what stands behind "help/" in the path; "": the first page. */
export async function show(root, ctx) {
	const name = ctx.rest || PAGES[0][0];
	const known = PAGES.find(([n]) => n === name);
	const nav = h("nav", {class: "k-pages", "aria-label": "Help pages"}, h("ul", null, PAGES.map(([n, text]) =>
		h("li", null, h("a", {href: `${base}help/${n}`, "aria-current": n === name ? "page" : null}, text)))));
	const body = h("article", {class: "k-text"});
	put(root, h("div", {class: "k-help"}, nav, body));
	if (!known) {
		put(body, h("h1", null, "There is no such page"), h("p", null, "These are: ", PAGES.map(([n, text], i) => [i ? ", " : "", h("a", {href: `${base}help/${n}`}, text)]), "."));
		return {};
	}
	const answer = await fetch(new URL("../help.md", import.meta.url), {signal: ctx.signal});
	if (!answer.ok)
		throw new Error(`The pages cannot be read (${answer.status}).`);
	/* All pages in one, each behind a form feed and its name (pack.sh). */
	const text = (await answer.text()).split("\f").find((t) => t.startsWith(name + "\n"));
	put(body, parse(text.slice(name.length + 1)).map((b) => element(b, `help/${name}`)));
	document.getElementById(location.hash.slice(1))?.scrollIntoView();
	return {};
}
