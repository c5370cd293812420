/* Questions to the server, with a server that is none. */
import {equal, ok, test, throws} from "./tap.js";
import * as a from "/ui/lib/ask.js";
import {serverNow} from "/ui/lib/when.js";

const real = window.fetch;
let asked = [], answers = [];
window.fetch = async (url, options) => {
	asked.push({url, ...options});
	const next = answers.shift();
	if (options.signal?.aborted)
		throw new DOMException("aborted", "AbortError");
	if (next instanceof Error)
		throw next;
	return next ?? new Response('{"status":"success","data":[1]}');
};
const json = (status, body, headers) => new Response(JSON.stringify(body), {status, headers});
const fresh = (...list) => { asked = []; answers = list; };
const origin = location.origin + "/";

test("a question", async () => {
	fresh();
	const {data} = await a.ask("api/v1/query", {query: "up + 1", time: undefined, "match[]": ["a", "b"]});
	equal(data, [1], "its data comes");
	equal(asked[0].url, origin + "api/v1/query?query=up+%2B+1&match%5B%5D=a&match%5B%5D=b", "its parameters stand in the address");
	equal(asked[0].method, "GET", "by GET");
	ok(!("Authorization" in asked[0].headers) && !("X-Scope-OrgID" in asked[0].headers), "nobody is named");
	equal(asked[0].headers["X-Requested-With"], "fetch", "the server is told that a script asks: no dialog of the browser");
	await a.ask("api/v1/query", new URLSearchParams({query: "x".repeat(3000)}));
	equal([asked[1].method, asked[1].url, asked[1].body.length], ["POST", origin + "api/v1/query", 3006], "a long one goes by POST");
	await a.ask("api/v1/label/x/values", {"match[]": "y".repeat(3000)}, {method: "GET"});
	equal(asked[2].method, "GET", "not where it may not");
	fresh(new Response(null, {status: 204}));
	equal(await a.ask("api/v1/query_exemplars"), {data: null}, "204 is nothing");
	fresh(json(200, {status: "success", data: 1, warnings: ["w"], infos: ["i"]}));
	equal((await a.ask("x")).warnings, ["w"], "warnings come along");
	fresh(new Response("a text"));
	equal(await a.askText("-/ready"), "a text", "a text");
});

test("errors", async () => {
	fresh(json(400, {status: "error", errorType: "bad_data", error: 'invalid parameter "query": 2:7: parse error: unexpected end'}));
	let e = await throws(() => a.ask("api/v1/query"), "an error is thrown");
	equal([e.name, e.status, e.type, e.position], ["AskError", 400, "bad_data", {line: 2, column: 7}], "with its place");
	fresh(new Response("<html><h1>Bad gateway", {status: 502, statusText: "Bad Gateway"}));
	e = await throws(() => a.ask("x"), "a proxy's page is an error");
	equal([e.status, e.message, e.position], [502, "502 Bad Gateway", null], "without its markup");
	fresh(new Response("overloaded: too much\n", {status: 503}));
	e = await throws(() => a.ask("x"), "so is a text");
	equal(e.message, "overloaded: too much", "which is told");
	fresh(new Response("no JSON"));
	await throws(() => a.ask("x"), "200 with something else is one");
	for (const text of ["null", "7", '"<h1>"']) {
		fresh(new Response(text));
		e = await throws(() => a.ask("x"), `so is one with ${text}`);
		equal([e.name, e.status], ["AskError", 200], "told as such");
		fresh(new Response(text, {status: 500, statusText: "no"}));
		e = await throws(() => a.ask("x"), `an error with ${text} is one`);
		equal([e.name, e.status, typeof e.message], ["AskError", 500, "string"], "too");
	}
	fresh(json(400, {status: "error", error: {no: "text"}}));
	e = await throws(() => a.ask("x"), "so is one whose text is none");
	equal(typeof e.message, "string", "it has one");
	const half = (status) => new Response(new ReadableStream({start: (c) => { c.enqueue(new TextEncoder().encode('{"sta')); setTimeout(() => c.error(new TypeError("network error")), 5); }}), {status});
	for (const status of [200, 500]) {
		fresh(half(status));
		e = await throws(() => a.ask("x"), `half an answer (${status}) is none`);
		equal([e.name, e.type, e.message], ["AskError", "unreachable", "the answer broke off"], "which is told");
	}
	fresh(json(200, {status: "error", errorType: "execution", error: "no"}));
	e = await throws(() => a.ask("x"), "so is an error with 200");
	equal(e.type, "execution", "by its type");
	fresh(new TypeError("Failed to fetch"));
	e = await throws(() => a.ask("x"), "nobody answers");
	equal([e.status, e.type], [0, "unreachable"], "status 0");
	const stop = new AbortController();
	stop.abort();
	fresh();
	e = await throws(() => a.ask("x", null, {signal: stop.signal}), "a question is given up");
	ok(a.gone(e) && !a.gone(new Error("x")) && !a.gone(null), "and known as that");
});

test("how the server is", async () => {
	const states = [];
	a.onServer((s) => states.push(s));
	fresh(new TypeError("x"), json(503, {status: "error", error: "starting"}, {"X-Prometheus-Stopping": "false"}), json(503, {}, {"X-Prometheus-Stopping": "true"}), json(503, {status: "error", error: "busy"}), json(422, {}));
	for (let i = 0; i < 6; i++)
		await a.ask("x").catch(() => {});
	equal(states, ["unreachable", "starting", "stopping", "ok", "ok", "ok"], "is heard: too busy is not away");
	states.length = 0;
	const page = (status) => new Response("<html>", {status, headers: {"Content-Type": "text/html"}});
	fresh(page(502), page(504), page(503), page(404), json(502, {}));
	for (let i = 0; i < 5; i++)
		await a.ask("x").catch(() => {});
	equal(states, ["unreachable", "ok", "unreachable", "ok", "ok"], "a proxy's page says that it is away; that a question took too long does not");
	states.length = 0;
	for (const set of [a.setTenant, a.setAuthorization]) {
		fresh();
		set("\u4f60\u597d\nx");
		const e = await throws(() => a.ask("x"), "what no header can have is an error");
		equal([e.name, e.status, asked.length, states], ["AskError", 400, 0, []], "and no server that is away");
		set("");
	}
	a.setAuthorization(null);
	a.onServer(null);
});

test("how long to wait", async () => {
	const wait = async (status, after) => {
		fresh(json(status, {status: "error", error: "busy"}, {"Retry-After": after}));
		return (await throws(() => a.ask("x"), `${status} with ${after}`)).message;
	};
	ok(!a.waits(), "nobody asks to wait");
	for (const [status, after] of [[422, "5"], [503, "soon"], [503, "0"], [429, new Date(Date.now() - 60e3).toUTCString()], [503, "-5"]])
		equal([await wait(status, after), a.waits()], ["busy", false], "is told as it is");
	equal([await wait(503, "1"), a.waits()], ["busy; the server asks to wait 1 s", true], "is told, and kept");
	await new Promise((done) => setTimeout(done, 1050));
	ok(!a.waits(), "so long");
	ok(/asks to wait (59|60) s$/.test(await wait(429, new Date(Date.now() + 60e3).toUTCString())), "a date is one");
	ok(/asks to wait 3600 s$/.test(await wait(429, "99999999999999999999")), "an hour is the most");
});

test("a proxy that wants somebody to sign in", async () => {
	const states = [], page = (status, headers) => new Response("<!doctype html><title>Sign in</title>", {status, headers: {"Content-Type": "text/html", ...headers}});
	let dialogs = 0;
	a.onServer((s) => states.push(s));
	a.onSignIn(async () => { dialogs++; return false; });
	fresh({type: "opaqueredirect", status: 0, ok: false, headers: new Headers()}, page(200), page(401));
	for (const what of ["sends elsewhere", "answers with its page", "answers 401 with its page"]) {
		const e = await throws(() => a.ask("x"), `one that ${what}`);
		equal([e.name, e.type, /sign in again/.test(e.message)], ["AskError", "signin", true], "is told as such");
	}
	equal([states, dialogs, asked[0].redirect], [["signin", "signin", "signin"], 0, "manual"], "and is no server that is away, nor one that a token would help with");
	const faked = window.fetch;
	window.fetch = real;
	equal((await throws(() => a.ask("echo", {status: "302"}), "a redirect, as the browser has it")).type, "signin", "is one");
	window.fetch = faked;
	a.askAnew();
	fresh(page(401, {"WWW-Authenticate": "Basic"}));
	await throws(() => a.ask("x"), "one that takes name and password");
	equal([states.at(-1), dialogs], ["ok", 1], "gets them from the dialog");
	a.onServer(null);
	a.onSignIn(null);
	a.askAnew();
});

test("who asks", async () => {
	fresh();
	a.setAuthorization(a.basic("j\u00f6rg", "p\u00e4ss:w"));
	a.setTenant("acme|beta");
	await a.ask("x");
	equal(asked[0].headers.Authorization, "Basic asO2cmc6cMOkc3M6dw==", "name and password in UTF-8");
	equal(asked[0].headers["X-Scope-OrgID"], "acme|beta", "and the tenant");
	equal(sessionStorage.getItem("kymo.auth"), "Basic asO2cmc6cMOkc3M6dw==", "for this tab");
	equal(Object.keys(localStorage).filter((k) => localStorage.getItem(k).includes("asO2")), [], "and nowhere else");
	ok(a.isSignedIn(), "signed in");
	a.setAuthorization(null);
	a.setTenant("");
	fresh();
	await a.ask("x");
	ok(!a.isSignedIn() && !asked[0].headers.Authorization && !asked[0].headers["X-Scope-OrgID"] && sessionStorage.getItem("kymo.auth") === null, "and out");
	equal(a.bearer(" abc \n"), "Bearer abc", "a token without blanks around it");
});

test("401", async () => {
	const no = () => json(401, {status: "error", errorType: "unauthorized", error: "who asks has to show who he is"});
	let dialogs = 0;
	fresh(no());
	let e = await throws(() => a.ask("x"), "without a dialog it is an error");
	equal(e.status, 401, "401");
	a.onSignIn(async (error) => {
		dialogs++;
		ok(error.status === 401, "the dialog is told why");
		await new Promise((done) => setTimeout(done, 20));
		a.setAuthorization("Bearer t");
		return true;
	});
	fresh(no(), no(), no());
	const all = await Promise.all([a.ask("x"), a.ask("y"), a.ask("z")]);
	equal([dialogs, all.map((r) => r.data)], [1, [[1], [1], [1]]], "three are refused: one dialog, and all are asked again");
	equal(asked.slice(3).map((r) => r.headers.Authorization), ["Bearer t", "Bearer t", "Bearer t"], "with the token");
	fresh(no(), no());
	await throws(() => a.ask("x"), "what is refused again is an error");
	equal(asked.length, 2, "it is not asked for ever");
	a.onSignIn(async () => false);
	fresh(no());
	await throws(() => a.ask("x"), "a dialog that was left is an error, too");
	equal(asked.length, 1, "nothing is asked again");
	dialogs = 0;
	a.onSignIn(async () => { dialogs++; return false; });
	for (let i = 0; i < 3; i++) {
		fresh(no());
		await throws(() => a.ask("x"), "what is asked again and again is refused");
	}
	equal(dialogs, 0, "who has left the dialog is let alone");
	a.askAnew();
	fresh(no());
	await throws(() => a.ask("x"), "until he comes anew");
	equal(dialogs, 1, "then he is asked once");
	fresh(no());
	equal((await a.refused()).status, 401, "refused() says so without a dialog");
	fresh(json(403, {status: "error", error: "no role"}));
	equal(await a.refused(), null, "who has not the role is known all the same");
	fresh(new TypeError("x"), json(500, {}));
	equal([(await a.refused()).status, (await a.refused()).status], [0, 500], "what nobody has answered is not taken");
	a.onSignIn(null);
	a.setAuthorization(null);
});

test("clocks that differ", async () => {
	const told = [], at = (ms, more) => new Response('{"data":1}', {headers: ms === null ? {} : {Date: new Date(Date.now() + ms).toUTCString()}, ...more});
	const off = () => Math.round((serverNow() - Date.now()) / 1e4);
	a.onClock((ms) => told.push(Math.round(ms / 1e4)));
	const hear = async (ms, more) => {
		fresh(at(ms, more));
		await a.ask("x").catch(() => {});
		return off();
	};
	equal([await hear(5000), await hear(null)], [0, 0], "some seconds are none");
	equal([await hear(-7200e3), await hear(-7200e3), await hear(null), told], [-720, -720, -720, [-720]], "hours are told once, and now is the server's");
	equal([await hear(7200e3), told.at(-1)], [720, 720], "the other way");
	const real = Date.now;
	let late = 0;
	Date.now = () => real.call(Date) + (late += 20000);
	fresh(at(0));
	await a.ask("x");
	Date.now = real;
	equal(told.length, 2, "what came late says nothing");
	equal([await hear(0, {status: 500}), told.at(-1)], [0, 0], "errors have the time, too, and a clock may be put right");
	a.onClock(null);
});

test("lines", async () => {
	const pieces = ['{"a":1}\n{"a"', ':2}\n\n{"a":"\u00e4', '\u00e4"}'];
	const stream = new ReadableStream({start: (c) => {
		const bytes = new TextEncoder().encode(pieces.join(""));
		for (let i = 0; i < bytes.length; i += 5)
			c.enqueue(bytes.slice(i, i + 5));
		c.close();
	}});
	fresh(new Response(stream));
	const got = [];
	await a.lines("api/v1/export", {}, (o) => got.push(o.a));
	equal(got, [1, 2, "\u00e4\u00e4"], "objects come whole, wherever the pieces are cut");
	fresh(new Response("<!doctype html>\n<title>Sign in</title>"));
	const e = await throws(() => a.lines("api/v1/export", {}, () => {}), "a page of somebody else");
	equal([e.name, e.status, /sign in/.test(e.message)], ["AskError", 200, true], "says what to do");
	window.fetch = real;
});
