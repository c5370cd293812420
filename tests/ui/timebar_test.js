/* Range, end and step as the reader changes them. */
import {equal, ok, stage, test, until} from "./tap.js";
import {blank} from "/ui/lib/link.js";
import {timebar} from "/ui/views/timebar.js";

function bar(more = {}) {
	const p = {...blank("graph"), expr: "up", ...more};
	const told = {p, patches: [], zone: "utc", least: 1000};
	const b = timebar({get: () => p, change: patch => {
		told.patches.push(patch);
		Object.assign(p, patch);
		b.draw();
	}, zone: () => told.zone, setZone: z => { told.zone = z; }, least: () => told.least, setLeast: ms => { told.least = ms; }});
	stage(900, 100).append(b.el);
	const at = label => b.el.querySelector(`[aria-label="${label}"]`);
	return {...b, told, at, p};
}
const type = (field, text) => {
	field.value = text;
	field.dispatchEvent(new Event("change"));
};

test("range", () => {
	const {told, at} = bar();
	type(at("Range"), "90m");
	equal(told.patches, [{range: 5400e3}], "typed");
	type(at("Range"), "x");
	equal([told.patches.length, at("Range").getAttribute("aria-invalid")], [1, "true"], "what is none is marked");
	at("Longer range").click();
	at("Shorter range").click();
	equal(told.patches.slice(1), [{range: 7200e3}, {range: 3600e3}], "longer and shorter");
	at("Ranges").click();
	[...document.querySelectorAll("[role=menuitemradio]")].find(b => b.textContent === "1y").click();
	equal(told.p.range, 365 * 86400e3, "of the list");
	const key = name => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true, cancelable: true}));
	at("Ranges").focus();
	key("ArrowDown");
	const seen = [document.activeElement.textContent];
	for (const name of ["ArrowUp", "End", "ArrowDown", "ArrowUp", "Home"]) {
		key(name);
		seen.push(document.activeElement.textContent);
	}
	equal(seen, ["1y", "180d", "1y", "5m", "1y", "5m"], "which has the keys of a menu");
	key("Escape");
	equal([document.querySelector("[role=menu]"), document.activeElement], [null, at("Ranges")], "and is shut by Escape");
	at("Ranges").click();
	document.body.dispatchEvent(new Event("pointerdown", {bubbles: true}));
	equal([document.querySelector("[role=menu]"), at("Ranges").getAttribute("aria-expanded")], [null, "false"], "or a click elsewhere");
});

test("end", async () => {
	const {told, at, el, p} = bar({range: 600e3});
	ok(at("Forward by half the range").disabled, "nothing is later than now");
	at("Back by half the range").click();
	ok(Math.abs(p.end - (Date.now() - 300e3)) < 60000 && p.end % 1000 === 0, "back by half a range");
	at("Forward by half the range").click();
	equal(p.end, null, "and forward to now");
	const set = text => {
		el.querySelector(".k-end").click();
		el.querySelector(".k-pop input").value = text;
		el.querySelector(".k-pop form").requestSubmit();
	};
	set("2026-01-31 12:00");
	equal(p.end, Date.UTC(2026, 0, 31, 12), "typed, in the zone that is shown");
	set("1700000000");
	equal(p.end, 1700000000e3, "Unix seconds");
	set("now-1h");
	ok(Math.abs(p.end - (Date.now() - 3600e3)) < 60000, "relative");
	set("soon");
	ok(el.querySelector(".k-pop input").getAttribute("aria-invalid") === "true", "what is none is marked, and the choice stays open");
	el.querySelector(".k-pop").dispatchEvent(new KeyboardEvent("keydown", {key: "Escape", bubbles: true}));
	equal([el.querySelector(".k-pop"), document.activeElement], [null, el.querySelector(".k-end")], "Escape closes it, the focus goes back");
	set("now");
	equal(p.end, null, "now");
	el.querySelector(".k-end").click();
	[...el.querySelectorAll(".k-pop button")].find(b => b.textContent === "Local").click();
	equal(told.zone, "local", "the zone");
});

test("step", async () => {
	const {told, at, el, p} = bar();
	equal(at("Step").selectedOptions[0].textContent, "medium 15s", "automatic, and how long that is");
	const pick = value => type(at("Step"), value);
	pick("high");
	pick("1m");
	equal(told.patches, [{step: null, density: "high"}, {step: 60000}], "chosen");
	pick("other");
	const field = await until(() => el.querySelector("input[aria-label=Step]"));
	field.value = "7s";
	field.dispatchEvent(new Event("blur"));
	equal([p.step, at("Step").value], [7000, "7s"], "typed");
	pick("from 30s");
	equal([told.least, p.step, at("Step").selectedOptions[0].textContent], [30000, null, "high 30s"], "the shortest of automatic ones");
});

test("by tab", () => {
	const labels = tab => [...bar({tab}).el.querySelectorAll("input, select, .k-toggle")].map(e => e.getAttribute("aria-label") ?? e.textContent);
	equal([labels("graph"), labels("heat"), labels("table")], [["Range", "Step", "Stacked", "Log", "From 0"], ["Range", "Step"], []], "what counts for it");
	const {el, told} = bar();
	[...el.querySelectorAll(".k-toggle")].find(b => b.textContent === "Log").click();
	equal(told.patches, [{log: true}], "a look");
});

test("an end that is not changed", () => {
	const {told, el} = bar({end: 1700000000123});
	el.querySelector(".k-end").click();
	document.querySelector(".k-pop form").requestSubmit();
	equal(told.patches, [], "is the same to the millisecond");
});
