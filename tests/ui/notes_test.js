/* Errors with their place and remedy, warnings. */
import {equal, ok, test} from "./tap.js";
import {blank} from "/ui/lib/link.js";
import {errorBox, excerpt, noticeBoxes, remedy} from "/ui/views/notes.js";

const p = {...blank("graph"), expr: "rate(up[5m)"};

test("remedies", () => {
	equal(remedy("exceeded maximum resolution of 11,000 points per timeseries.", {...p, range: 86400e3 * 7}).action, {text: "Step 1m", patch: {step: 60000}}, "a step that fits");
	equal(remedy('invalid parameter "query": invalid expression type "range vector" for range query, must be Scalar or instant Vector', p).action.patch, {tab: "table"}, "a range is for the table");
	ok(remedy("query holds too many samples, limit 50,000,000 (--query.max-samples)", p).text.endsWith("The limit is --query.max-samples of the server."), "a limit is named");
	ok(remedy("too many queries are waiting, limit 64 (--query.max-queued), try again later", p).text.includes("--query.max-queued"), "another");
	equal(remedy("whatever", p), {text: "", action: null}, "what we do not know needs no words");
});

test("an error", () => {
	let patch = null, runs = 0;
	const act = {change: c => { patch = c; }, run: () => { runs++; }};
	const e = Object.assign(new Error('invalid parameter "query": 1:11: parse error: unexpected ")"'), {type: "bad_data", status: 400});
	const el = errorBox(e, p, act);
	equal([el.getAttribute("role"), el.querySelector("mark").textContent, el.querySelector("button")], ["alert", ")", null], "shows its place");
	ok(el.textContent.includes("bad_data 400") && !el.textContent.includes("1:11"), "and its type, in words for people");
	const busy = errorBox(Object.assign(new Error("the server does not answer"), {type: "unreachable", status: 0}), p, act);
	busy.querySelector("button").click();
	equal(runs, 1, "can be tried again");
	errorBox(Object.assign(new Error("exceeded maximum resolution of 11,000 points"), {type: "bad_data", status: 400}), p, act).querySelector("button").click();
	equal(Object.keys(patch), ["step"], "what helps is a click away");
});

test("warnings", () => {
	const list = Array.from({length: 8}, (_, i) => `PromQL info: note ${i} (1:6)`);
	const boxes = noticeBoxes({warnings: ["PromQL warning: x (1:1)"], infos: list}, p.expr);
	equal(boxes.map(b => [b.querySelector("b").textContent, b.querySelectorAll("li").length]), [["Warning", 1], ["Note", 8]], "of both kinds");
	equal(boxes[1].querySelector("details summary").textContent, "3 more", "many are folded");
	equal(boxes[0].querySelector("mark").textContent, "rate", "with their place");
	equal(noticeBoxes({}, p.expr), [], "none");
	const long = "a".repeat(200) + " + b + " + "c".repeat(200);
	const cut = excerpt(long, {from: 203, to: 204}).textContent;
	ok(cut.length < 140 && cut.startsWith("\u2026") && cut.endsWith("\u2026"), "of a long expression a piece");
	equal(excerpt("a\nbb\nc", {from: 2, to: 4}).textContent, "bb", "of several lines the one");
});
