/*
 * mark - the small Markdown of net/ui/help as a tree of plain objects; views/help.js makes elements
 * of it. Known: headings, paragraphs, lists (of one level), tables, code blocks, and in a line
 * `code`, **bold**, *emphasis*, [text](link) and <link>. What is none of these is text.
 *
 * parse(text) -> [{tag: "h1".."h3", id, of: [inline]} | {tag: "p", of} | {tag: "ul"|"ol", items: [of]}
 *                 | {tag: "table", head: [of], rows: [[of]]} | {tag: "pre", lang, text}]
 * inline: a string, or {tag: "code"|"strong"|"em", text} or {tag: "a", href, text}
 */
const INLINE = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*]+)\*|\[([^\]]+)\]\(([^)\s]+)\)|<(https?:\/\/[^>\s]+)>/g;

export function inline(text) {
	const out = [];
	let at = 0;
	for (const m of text.matchAll(INLINE)) {
		if (m.index > at)
			out.push(text.slice(at, m.index));
		at = m.index + m[0].length;
		if (m[1])
			out.push({tag: "code", text: m[1]});
		else if (m[2])
			out.push({tag: "strong", text: m[2]});
		else if (m[3])
			out.push({tag: "em", text: m[3]});
		else
			out.push({tag: "a", href: m[6] ?? m[5], text: m[4] ?? m[6]});
	}
	if (at < text.length)
		out.push(text.slice(at));
	return out;
}

export const slug = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");

const cells = (line) => line.replace(/^\||\|$/g, "").split("|").map((c) => inline(c.trim()));

const LIST = /^(?:-|(\d+)\.) (.*)/;

export function parse(text) {
	const lines = text.split("\n");
	const out = [];
	for (let i = 0; i < lines.length;) {
		const line = lines[i];
		const heading = /^(#{1,3}) (.*)/.exec(line);
		if (line.startsWith("```")) {
			const from = ++i;
			while (i < lines.length && lines[i] !== "```")
				i++;
			out.push({tag: "pre", lang: line.slice(3).split(" ")[0], text: lines.slice(from, i++).join("\n")});
		} else if (heading) {
			out.push({tag: "h" + heading[1].length, id: slug(heading[2]), of: inline(heading[2])});
			i++;
		} else if (line.startsWith("|")) {
			const rows = [];
			while (i < lines.length && lines[i].startsWith("|"))
				rows.push(cells(lines[i++]));
			/* The second line says what is a head; one of empty cells is none. */
			const head = rows.length > 1 && rows[0].some((c) => c.length) ? rows[0] : null;
			out.push({tag: "table", head, rows: rows.slice(2)});
		} else if (LIST.test(line)) {
			const items = [];
			const tag = LIST.exec(line)[1] ? "ol" : "ul";
			while (i < lines.length && LIST.test(lines[i]))
				items.push(inline(LIST.exec(lines[i++])[2]));
			out.push({tag, items});
		} else if (line.trim() === "") {
			i++;
		} else {
			const from = i;
			while (i < lines.length && lines[i].trim() !== "" && !/^(#|```|\||- |\d+\. )/.test(lines[i]))
				i++;
			/* A line that only looks like the beginning of something else is text, too. */
			i = Math.max(i, from + 1);
			out.push({tag: "p", of: inline(lines.slice(from, i).join(" "))});
		}
	}
	return out;
}
