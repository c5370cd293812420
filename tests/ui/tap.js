/* What the unit tests of the page share. A test is a module, NAME_test.js, that imports the modules
 * under test by "/ui/..." and this by "./tap.js"; s98_uiunits.py loads each one in a page of its
 * own, under the CSP of kymod, and prints what is told here. Cases may stand at the top level
 * (await works there), or in test(): a function that throws is one failed case, and the ones after
 * it run all the same. What the console is told is a failure, too. */

const cases = [];
const waiting = [];
const allowed = [];
let notes = [];

function show(value) {
	if (typeof value === "number" || typeof value === "bigint"
		|| value === undefined) return Object.is(value, -0) ? "-0" : String(value);
	if (value instanceof Node) return value.outerHTML ?? value.textContent;
	if (ArrayBuffer.isView(value)) return `${value.constructor.name}[${Array.from(value, show).join(", ")}]`;
	if (value instanceof Map) return `Map ${show([...value])}`;
	if (value instanceof Set) return `Set ${show([...value])}`;
	if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`;
	if (value instanceof Error) return `${value.name}: ${value.message}`;
	if (value && typeof value === "object") return `{${Object.keys(value).map(k => `${k}: ${show(value[k])}`).join(", ")}}`;
	return typeof value === "string" ? JSON.stringify(value) : String(value);
}

function short(value) {
	const text = show(value);
	return text.length > 2000 ? `${text.slice(0, 2000)}... (${text.length} characters)` : text;
}

/* By value, as deep as it goes: NaN is NaN, 0 is not -0, arrays of one type only are equal, keys in
 * any order. */
export function same(a, b) {
	if (Object.is(a, b)) return true;
	if (typeof a !== "object" || typeof b !== "object" || !a || !b || a.constructor !== b.constructor
		|| a instanceof Node) return false;
	if (Array.isArray(a) || ArrayBuffer.isView(a)) return a.length === b.length
		&& Array.from(a).every((v, i) => same(v, b[i]));
	if (a instanceof Map || a instanceof Set) return same([...a], [...b]);
	if (a instanceof Date) return a.getTime() === b.getTime();
	if (a instanceof Error) return a.message === b.message;
	const keys = Object.keys(a);
	return keys.length === Object.keys(b).length
		&& keys.every(k => Object.hasOwn(b, k) && same(a[k], b[k]));
}

/* One case; true when it holds. Lines of why are printed when it does not. */
export function ok(held, text, ...why) {
	cases.push({ok: Boolean(held), text, notes: held ? notes : [...notes, ...why]});
	notes = [];
	return Boolean(held);
}

export function equal(got, want, text) {
	return ok(same(got, want), text, `got  ${short(got)}`, `want ${short(want)}`);
}

/* Numbers at most so far apart. */
export function near(got, want, apart, text) {
	return ok(Math.abs(got - want) <= apart, text, `got  ${got}`, `want ${want}, give or take ${apart}`);
}

/* That fn, which may be async, throws; what it threw. */
export async function throws(fn, text) {
	try {
		await fn();
	} catch (e) {
		ok(true, text);
		return e;
	}
	ok(false, text, "nothing was thrown");
	return null;
}

/* A line beside the next case. */
export function note(text) {
	notes.push(String(text));
}

/* A case that could not run here. */
export function skip(text, why) {
	cases.push({ok: true, text: `# SKIP ${text}: ${why}`, notes: []});
}

/* What the console may be told in this file, since a case wants it: an error whose line holds that
 * text. */
export function expected(text) {
	allowed.push(text);
}

/* A group of cases; run one after the other, in the order of the file. */
export function test(name, fn) {
	waiting.push([name, fn]);
}

export const sleep = ms => new Promise(done => setTimeout(done, ms));
/* The next frame has been painted. */
export const frame = () => new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)));

/* Until fn() is truthy; its value, or null when it never was. */
export async function until(fn, ms = 30000) {
	const end = performance.now() + ms;
	for (;;) {
		const value = fn();
		if (value || performance.now() > end) return value || null;
		await sleep(5);
	}
}

/* A place of that size in the page, empty; the one before it goes. */
export function stage(width = 800, height = 400) {
	document.querySelector("#stage")?.remove();
	const el = document.createElement("div");
	el.id = "stage";
	el.style.width = `${width}px`;
	el.style.height = `${height}px`;
	document.body.append(el);
	return el;
}

/* Numbers that look random and are the same in each run: 0 <= x < 1. */
export function dice(seed) {
	let a = seed >>> 0;
	return () => {
		a = (a + 0x6d2b79f5) >>> 0;
		let t = Math.imul(a ^ (a >>> 15), a | 1);
		t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	};
}

/* For s98_uiunits.py: loads the file, runs its groups; all cases, and what the console may have
 * been told. */
export async function run(file) {
	try {
		await import(file);
		for (const [name, fn] of waiting) {
			try {
				await fn();
			} catch (e) {
				ok(false, `${name}: threw`, ...String(e?.stack ?? e).split("\n"));
			}
		}
	} catch (e) {
		ok(false, "the module loads", ...String(e?.stack ?? e).split("\n"));
	}
	return {cases, allowed};
}
