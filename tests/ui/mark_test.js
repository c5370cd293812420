import {equal, ok} from "./tap.js";
import {inline, parse, slug} from "/ui/lib/mark.js";

equal(inline("plain"), ["plain"], "text is text");
equal(inline("a `b|c` **d** *e* [f](/g) <http://h/> i"), ["a ", {tag: "code", text: "b|c"}, " ", {tag: "strong", text: "d"}, " ", {tag: "em", text: "e"}, " ", {tag: "a", href: "/g", text: "f"}, " ",
	{tag: "a", href: "http://h/", text: "http://h/"}, " i"], "all there is in a line");
equal(inline("2 * 3 * 4 <b> [x] `"), ["2 ", {tag: "em", text: " 3 "}, " 4 <b> [x] `"], "what is open stays as it is");
equal(slug("From Mimir or Cortex?"), "from-mimir-or-cortex", "a heading has an address");
equal(parse("# A b\n\ntext\nmore\n\n- one\n- two\n\n1. first\n"), [{tag: "h1", id: "a-b", of: ["A b"]}, {tag: "p", of: ["text more"]}, {tag: "ul", items: [["one"], ["two"]]}, {tag: "ol", items: [["first"]]}], "blocks");
equal(parse("```sh one\n# no heading\n\n| no table\n```\nafter"), [{tag: "pre", lang: "sh", text: "# no heading\n\n| no table"}, {tag: "p", of: ["after"]}], "code is left alone");
equal(parse("| a | b |\n| --- | --- |\n| 1 | `2` |"), [{tag: "table", head: [["a"], ["b"]], rows: [[["1"], [{tag: "code", text: "2"}]]]}], "a table");
equal(parse("| | |\n| --- | --- |\n| 1 | 2 |")[0].head, null, "a table without a head");
equal(parse("```sh\nnever ended"), [{tag: "pre", lang: "sh", text: "never ended"}], "a block without an end");
equal(parse("####### seven\n#none"), [{tag: "p", of: ["####### seven"]}, {tag: "p", of: ["#none"]}], "what looks like a heading and is none");
ok(parse("x\n".repeat(20000)).length === 1, "long text");

for (const page of ["first-steps", "move", "sizing", "operations", "page"]) {
	const text = await (await fetch(`/ui/help/${page}.md`)).text();
	const tree = parse(text);
	ok(tree[0].tag === "h1" && tree.length > 8, `${page}: has a title and parts`);
	ok(!JSON.stringify(tree.filter((b) => b.tag !== "pre")).includes("**") && !JSON.stringify(tree.filter((b) => b.tag !== "pre")).includes("`"), `${page}: no mark is left over`);
	const ids = tree.filter((b) => b.id).map((b) => b.id);
	ok(new Set(ids).size === ids.length, `${page}: headings have different addresses`);
}
