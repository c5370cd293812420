/* The tests' own tools: what is equal, what a case tells. */
import {ok, equal, near, throws, test, same, dice, frame, until, stage, expected} from "./tap.js";

equal([1, {a: [NaN]}], [1, {a: [NaN]}], "by value, NaN too");
ok(!same(0, -0) && !same([1, 2], [1]) && !same({a: 1}, {a: 1, b: 2}) && !same({a: undefined}, {b: undefined}), "what differs is not the same");
ok(!same(new Float64Array(2), [0, 0]) && same(new Float64Array([1, 2]), new Float64Array([1, 2])), "arrays of one type");
ok(same(new Map([["a", [1]]]), new Map([["a", [1]]])) && !same(new Set([1]), new Set([2])), "maps and sets");
ok(!same(null, {}) && !same("1", 1), "no conversion");
near(0.1 + 0.2, 0.3, 1e-12, "near");

test("groups", async () => {
	const e = await throws(async () => { throw new TypeError("so"); }, "an async function that throws");
	equal(e.message, "so", "what it threw comes back");
	await frame();
	equal(stage(300, 200).getBoundingClientRect().width, 300, "a stage has its size");
	equal(await until(() => false, 20), null, "a wait ends");
	const one = dice(7), two = dice(7);
	equal([one(), one(), one()], [two(), two(), two()], "dice fall alike");
});

test("the page stands under the CSP of kymod", () => {
	expected("TrustedHTML");
	expected("require-trusted-types-for");
	let threw = false;
	try {
		document.createElement("div").innerHTML = "<b>x</b>";
	} catch {
		threw = true;
	}
	ok(threw || !("trustedTypes" in window), "innerHTML is refused");
});
