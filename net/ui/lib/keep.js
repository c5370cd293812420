/*
 * keep - what this browser remembers: settings and the queries that were asked. In localStorage below "kymo.", so all
 * tabs of this server share it; where that is off or full (private windows, policies) it lasts as long as the page.
 *
 * What is of one tab (TAB as the last argument) is in its sessionStorage.
 *
 * Nothing secret goes here: who is signed in is kept by ask, for one tab.
 */
const NAME = "kymo.";
export const TAB = "sessionStorage";
const HISTORY_MOST = 200;
const QUERY_MOST = 20000;	/* characters of a query that is remembered */
const memory = new Map();	/* what could not be stored there; what could is all tabs', who may forget it */

export const load = (name, otherwise = null, where = "localStorage") => {
	let text = memory.get(name) ?? null;
	try {
		text ??= window[where].getItem(NAME + name);
	} catch { /* off */ }
	try {
		return text === null ? otherwise : JSON.parse(text);
	} catch {
		return otherwise;	/* somebody else's */
	}
};

/* null: forget it. */
export const store = (name, value, where = "localStorage") => {
	const text = value === null ? null : JSON.stringify(value);
	memory.delete(name);
	try {
		if (text === null)
			window[where].removeItem(NAME + name);
		else
			window[where].setItem(NAME + name, text);
	} catch {
		if (text !== null)
			memory.set(name, text);
	}
};

/* fn(name) when another tab has stored something. Returns what ends it. */
export const onStored = (fn) => {
	const heard = (e) => {
		if (e.key?.startsWith(NAME))
			fn(e.key.slice(NAME.length));
	};
	addEventListener("storage", heard);
	return () => removeEventListener("storage", heard);
};

/* Queries that were run, the newest first: [{query, at}], at in ms. */
export const history = () => {
	const list = load("history", []);
	return Array.isArray(list) ? list.filter((e) => typeof e?.query === "string") : [];
};

/* Each query stands there once, where it was asked last. */
export const remember = (query, at = Date.now()) => {
	const text = query.trim();
	if (!text || text.length > QUERY_MOST)
		return;
	const others = history().filter((e) => e.query !== text);
	store("history", [{query: text, at}, ...others].slice(0, HISTORY_MOST));
};

/* Nobody shall see what another has written: queries that were run, and what was not. */
export const forget = () => {
	store("history", null);
	store("draft", null, TAB);
};
