/*
 * ask - questions to this server: paths are relative to where it lies ("api/v1/query"), whatever prefix that has.
 *
 *   const {data, warnings} = await ask("api/v1/query", {query: "up"}, {signal});
 *
 * Options: signal, method, accept; tenant: to be asked for instead of the one that is set.
 * Throws AskError {status, type, message, position}: status 0 where nothing answered; position {line, column} (both from
 * 1) where a query is wrong; an aborted question throws what fetch throws (gone(e) is true).
 * Who is signed in stands in sessionStorage: this tab alone, until it is closed. 401 has onSignIn's function called once,
 * whoever asks meanwhile; when it says true the question is asked again, when it says false nobody is asked to sign in
 * again before askAnew(). options: signal, method, quiet (nobody is asked to sign in).
 * Where a 429 or 503 says how long to wait (Retry-After), its message does, too, and what asks by itself waits: waits().
 * What redirects, or answers with a page, is none of this server: a proxy that wants somebody to sign in. Its errors have
 * the type "signin".
 * Each answer has the server's time: where this browser's clock is far from it, when.serverNow() is by the server's.
 */
import {serverNow, setSkew} from "./when.js";

export const base = new URL("../../../", import.meta.url).href;

const LONG = 2000;	/* characters of parameters that still stand in an address */
const AUTH = "kymo.auth";
const SKEW_MS = 30000, SLOW_MS = 10000;
const WAIT_MOST_S = 3600;
let authorization = null, tenant = "", signIn = null, signing = null, declined = false, heard = null, skew = 0, onSkew = null, restUntil = 0;
try {
	authorization = sessionStorage.getItem(AUTH);
} catch { /* off: as long as the page */ }

export class AskError extends Error {
	constructor(status, type, message, position = null) {
		super(message);
		this.name = "AskError";
		Object.assign(this, {status, type, position});
	}
}

const SIGN_IN = "something before it may want you to sign in again, load the page again";

export const gone = (e) => e?.name === "AbortError";

/* "Bearer ...", "Basic ..." or null. */
export const setAuthorization = (value) => {
	authorization = value;
	try {
		if (value)
			sessionStorage.setItem(AUTH, value);
		else
			sessionStorage.removeItem(AUTH);
	} catch { /* off */ }
};
export const authorizationNow = () => authorization;
export const isSignedIn = () => authorization !== null;
export const bearer = (token) => "Bearer " + token.trim();
/* Name and password in UTF-8, as the server's challenge asks for. */
export const basic = (name, password) =>
	"Basic " + btoa(String.fromCharCode(...new TextEncoder().encode(`${name}:${password}`)));

/* Which tenant is asked for; "" = the identity's own. */
export const setTenant = (name) => { tenant = name ?? ""; };
/* async fn(error) -> did somebody sign in? */
export const onSignIn = (fn) => { signIn = fn; };
/* Somebody came anew, or wants something else: he may be asked to sign in. */
export const askAnew = () => { declined = false; };
/* fn("ok" | "starting" | "stopping" | "unreachable" | "signin") after each answer, or none. */
export const onServer = (fn) => { heard = fn; };
/* Has the server asked to wait? Only what somebody wants now is asked then. */
export const waits = () => performance.now() < restUntil;
/* fn(ms that the server's clock is ahead of this browser's; 0: they agree) when that has changed. */
export const onClock = (fn) => { onSkew = fn; };

const toParams = (params) => {
	if (params instanceof URLSearchParams)
		return params;
	const out = new URLSearchParams();
	for (const [name, value] of Object.entries(params ?? {}))
		for (const v of Array.isArray(value) ? value : [value])
			if (v !== undefined && v !== null)
				out.append(name, v);
	return out;
};

/* {url, options} for fetch(). A token or a tenant may be text that no header can have. */
const request = (path, params, {signal, method, accept, tenant: of}) => {
	const form = toParams(params).toString();
	const verb = method ?? (form.length > LONG ? "POST" : "GET");
	const headers = {"X-Requested-With": "fetch"};
	if (accept)
		headers.Accept = accept;
	if (authorization)
		headers.Authorization = authorization;
	if (of ?? tenant)
		headers["X-Scope-OrgID"] = of ?? tenant;
	const inBody = verb === "POST" || verb === "PUT";
	if (inBody)
		headers["Content-Type"] = "application/x-www-form-urlencoded";
	try {
		new Headers(headers);
	} catch {
		throw new AskError(400, "bad_data", "a token or a tenant has letters that cannot be sent");
	}
	const url = base + path + (form && !inBody ? (path.includes("?") ? "&" : "?") + form : "");
	return {url, options: {method: verb, headers, signal, body: inBody ? form : undefined, cache: "no-store", redirect: "manual"}};
};

const unreachable = (e, signal, message) => (gone(e) || signal?.aborted ? e : new AskError(0, "unreachable", message));

/* All of an answer, which may end before it is whole. */
const textOf = async (r, signal) => {
	try {
		return await r.text();
	} catch (e) {
		throw unreachable(e, signal, "the answer broke off");
	}
};

const POSITION = /(?:^|\s)(\d+):(\d+): parse error/;

/* Seconds, of a number of them or a date; 0: it says nothing. */
const waitOf = (r) => {
	const text = [429, 503].includes(r.status) ? r.headers.get("Retry-After") : null;
	const s = /^\d+$/.test(text) ? Number(text) : Math.ceil((Date.parse(text) - serverNow()) / 1000);
	return text && s > 0 ? Math.min(s, WAIT_MOST_S) : 0;
};

const errorOf = async (r, signal) => {
	const text = await textOf(r, signal);
	let type = "http", message = `${r.status} ${r.statusText}`.trim();
	try {
		const body = JSON.parse(text);
		type = body.errorType ?? type;
		message = String(body.error ?? message);
	} catch {
		const line = text.trim().split("\n")[0].slice(0, 500);
		if (line && !line.startsWith("<"))
			message = line;
	}
	const at = POSITION.exec(message), wait = waitOf(r);
	if (wait > 0) {
		restUntil = performance.now() + wait * 1000;
		message += `; the server asks to wait ${wait} s`;
	}
	return new AskError(r.status, type, message, at ? {line: Number(at[1]), column: Number(at[2])} : null);
};

/*
 * A proxy before a server that is away says so with a page of its own; before one that is there it has one to sign in.
 * 504 is of one question that took too long for it: to call the server away, and ask all again, would never end.
 */
const serverState = (r) => {
	const stopping = r.headers.get("X-Prometheus-Stopping");
	if (r.status === 503 && stopping !== null)
		return stopping === "true" ? "stopping" : "starting";
	if (r.type === "opaqueredirect")
		return "signin";
	if (!/html/.test(r.headers.get("Content-Type")))
		return "ok";
	return r.ok || (r.status === 401 && !r.headers.get("WWW-Authenticate")) ? "signin" : [502, 503].includes(r.status) ? "unreachable" : "ok";
};

/* What came late says little of the time; a date that is none, nothing. */
const compare = (r, sent) => {
	const got = Date.now(), ahead = Date.parse(r.headers.get("Date") ?? "") - got;
	if (Number.isNaN(ahead) || Math.abs(got - sent) > SLOW_MS)
		return;
	const next = Math.abs(ahead) > SKEW_MS ? ahead : 0;
	if (!skew === !next && Math.abs(next - skew) < SKEW_MS)
		return;
	setSkew(skew = next);
	onSkew?.(next);
};

const answer = async (path, params, options, again = true) => {
	const {url, options: how} = request(path, params, options);
	let r;
	const sent = Date.now();
	try {
		r = await fetch(url, how);
	} catch (e) {
		const error = unreachable(e, options.signal, "the server does not answer");
		if (error !== e)
			heard?.("unreachable");
		throw error;
	}
	const state = serverState(r);
	heard?.(state);
	if (state === "signin")
		throw new AskError(r.status, state, SIGN_IN);
	compare(r, sent);
	if (r.ok)
		return r;
	const error = await errorOf(r, options.signal);
	if (r.status !== 401 || !again || !signIn || options.quiet || declined)
		throw error;
	signing ??= signIn(error).then((done) => {
		declined = !done;
		return done;
	}).finally(() => { signing = null; });
	if (await signing && !options.signal?.aborted)
		return answer(path, params, options, false);
	throw error;
};

const parsed = (text, status) => {
	let body;
	try {
		body = JSON.parse(text);
	} catch { /* no JSON */ }
	if (!body || typeof body !== "object")
		throw new AskError(status, "http", `the answer is no JSON of this server: ${SIGN_IN}`);
	return body;
};

export const ask = async (path, params, options = {}) => {
	const r = await answer(path, params, options);
	const text = await textOf(r, options.signal);
	if (!text)
		return {data: null};
	const body = parsed(text, r.status);
	if (body.status === "error")
		throw new AskError(r.status, body.errorType ?? "http", body.error ?? "error");
	return body;
};

export const askText = async (path, params, options = {}) => textOf(await answer(path, params, options), options.signal);

/* Does the server take who is signed in? null: yes (403: known, without the role); else the error. Nobody is asked to sign in. */
export const refused = async () => {
	try {
		await answer("api/v1/status/buildinfo", null, {quiet: true});
		return null;
	} catch (e) {
		return [403, 404].includes(e.status) ? null : e;
	}
};

/* Answers of a JSON object a line: onObject(object) as they come. */
export const lines = async (path, params, onObject, options = {}) => {
	const r = await answer(path, params, options);
	const reader = r.body.pipeThrough(new TextDecoderStream()).getReader();
	let rest = "";
	for (;;) {
		const {done, value} = await reader.read();
		rest += value ?? "";
		const whole = rest.split("\n");
		rest = done ? "" : whole.pop();
		for (const line of whole)
			if (line.trim())
				onObject(parsed(line, r.status));
		if (done)
			return;
	}
};
