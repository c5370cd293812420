/*
 * app - the entry: which view stands at the address, and what all views share. A view is a module, views/<name>.js, that
 * is loaded when it is first shown:
 *
 *   export const title = "Live";
 *   export async function show(root, ctx)   -> {hide()?, params(params)?, back()?, anew()?} or nothing
 *
 * root is empty and the view's until it is left. ctx:
 *   params     URLSearchParams of the address
 *   rest       what stands behind the view's name in the path ("first-steps" of help/first-steps), or ""
 *   setParams(params, {replace})   writes them into the address; the view is not shown again
 *   go(path)   shows another address, relative to the server ("query?g0.expr=up")
 *   settings   {theme, zone, tenant} as they are
 *   onSettings(fn)   fn(settings, name) when one has changed, until the view is left
 *   setTitle(text)   of the window
 *   signal     aborted when the view is left
 * params(params) is called instead of show() when history leads to other parameters of the same view; back() instead of
 * show() when the server answers again after it did not; anew(out) when somebody else asks, or for another tenant: nothing
 * of what was seen before may stay; out: who was signed in has gone, nothing that he wrote may.
 */
import {askAnew, base} from "./lib/ask.js";
import {h, put, say} from "./lib/dom.js";
import {forget} from "./lib/keep.js";
import {settings, learn, onSettings, startShell, markView} from "./shell.js";

const NAMES = ["query", "cardinality", "live", "doctor", "status", "help"];
const root = document.getElementById("view");
let now = null;	/* {name, view, ctx, abort, key} */

/* What an address shows: {name, rest}; null: it is none of the page. */
const placeOf = (url) => {
	if (!url.href.startsWith(base))
		return null;
	const [first, ...others] = url.pathname.slice(new URL(base).pathname.length).split("/");
	const name = first === "" || first === "graph" ? "query" : first;
	const rest = others.filter((s) => s).join("/");
	return NAMES.includes(name) && (name === "help" || !rest) ? {name, rest} : null;
};

const contextOf = (place, signal, ended) => ({
	params: new URLSearchParams(location.search),
	rest: place.rest,
	settings,
	signal,
	go,
	setParams: (params, {replace = false} = {}) => {
		const text = params.toString();
		const url = location.pathname + (text ? "?" + text : "") + location.hash;
		if (signal.aborted || url === location.pathname + location.search + location.hash)
			return;
		try {
			window.history[replace ? "replaceState" : "pushState"](null, "", url);
		} catch { /* too often for the browser, or too long */ }
		now.address = location.pathname + location.search;
	},
	onSettings: (fn) => ended.push(onSettings(fn)),
	setTitle: (text) => { document.title = text ? `${text} - Kymo` : "Kymo"; },
});

const leave = () => {
	if (!now)
		return;
	now.abort.abort();
	now.ended.forEach((end) => end());
	try {
		now.view?.hide?.();
	} catch (e) {
		console.error(e);
	}
	now = null;
};

const failed = (name, error) => {
	console.warn(`views/${name}.js: ${error}`);
	put(root, h("section", {class: "k-view"}, h("h1", {tabindex: "-1"}, "This view cannot be shown"),
		h("p", null, "Its module could not be loaded or has failed. After an upgrade of the server, loading the page again helps."),
		h("p", {class: "k-dim"}, String(error?.message ?? error)),
		h("p", null, h("button", {class: "k-button", onclick: () => location.reload()}, "Load the page again"))));
};

/* The heading has the focus, so that a screen reader goes on there. */
const focusHeading = () => {
	const heading = root.querySelector("h1");
	if (!heading)
		return root.focus({preventScroll: true});
	heading.tabIndex = -1;
	heading.focus({preventScroll: true});
};

const show = async (place, {focus}) => {
	leave();
	askAnew();
	const abort = new AbortController(), ended = [];
	const mine = now = {name: place.name, rest: place.rest, address: location.pathname + location.search, abort, ended, view: null};
	markView(place.name);
	root.replaceChildren();
	root.setAttribute("aria-busy", "true");
	try {
		const module = await import(`./views/${place.name}.js`);
		if (mine !== now)
			return;
		const ctx = contextOf(place, abort.signal, ended);
		ctx.setTitle(module.title);
		mine.view = await module.show(root, ctx) ?? {};
		if (mine !== now)
			mine.view.hide?.();	/* it was left while it came */
	} catch (e) {
		if (mine !== now)
			return;
		failed(place.name, e);
	} finally {
		if (mine === now)
			root.removeAttribute("aria-busy");
	}
	if (mine === now && focus) {
		window.scrollTo(0, 0);
		focusHeading();
		say(document.title);
	}
};

const showHere = (options = {}) => show(placeOf(new URL(location.href)) ?? {name: "query", rest: ""}, {focus: false, ...options});

export function go(path) {
	const url = new URL(path, base);
	const place = placeOf(url);
	if (!place)
		return location.assign(url);
	window.history.pushState(null, "", url);
	return show(place, {focus: true});
}

/* Back and forward; also told of a place inside of the page (#view), which is the browser's own matter. */
addEventListener("popstate", () => {
	const place = placeOf(new URL(location.href));
	if (now?.address === location.pathname + location.search)
		return;
	if (now)
		now.address = location.pathname + location.search;
	if (place && now?.view?.params && place.name === now.name && place.rest === now.rest)
		now.view.params(new URLSearchParams(location.search));
	else
		showHere({focus: place?.name !== now?.name});
});

/* Links to views are followed without loading the page again. */
addEventListener("click", (e) => {
	const a = e.target.closest?.("a[href]");
	if (!a || e.defaultPrevented || e.button || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey || a.target || a.hasAttribute("download"))
		return;
	const url = new URL(a.href);
	if (url.hash && url.pathname === location.pathname && url.search === location.search)
		return;
	if (!placeOf(url))
		return;
	e.preventDefault();
	go(url.href);
});

/* Relative to this page they would mean something else after the next pushState; a browser asks for the icon anew then. */
for (const a of document.querySelectorAll("a[data-view], [rel=icon]"))
	a.href = a.href;

startShell({
	go,
	back: () => now?.view?.back ? now.view.back() : showHere(),
	anew: (out) => (out && forget(), now?.view?.anew) ? now.view.anew(out) : showHere(),
});
showHere().finally(learn);
