/*
 * shell - what stands around every view: settings, the tools of the header, dialogs, keys, and the banner of a server
 * that does not answer. app starts it once.
 */
import {askText, basic, bearer, isSignedIn, onServer, onSignIn, refused, setAuthorization, setTenant} from "./lib/ask.js";
import {h, put, say} from "./lib/dom.js";
import {load, onStored, store} from "./lib/keep.js";

const USUAL = {theme: "auto", zone: "local", tenant: ""};
const ALLOWED = {theme: ["auto", "light", "dark"], zone: ["local", "utc"]};
export const settings = {};
const listeners = new Set();
let app = {};

const read = (name) => {
	const value = load(name, USUAL[name]);
	return typeof value === "string" && (ALLOWED[name]?.includes(value) ?? true) ? value : USUAL[name];
};

const apply = (name, value) => {
	settings[name] = value;
	if (name === "tenant")
		setTenant(value);
	if (name === "theme") {
		if (value === "auto")
			delete document.documentElement.dataset.theme;
		else
			document.documentElement.dataset.theme = value;
	}
};
for (const name in USUAL)
	apply(name, read(name));

const change = (name, value) => {
	if (settings[name] === value)
		return;
	apply(name, value);
	drawTools();
	for (const fn of listeners)
		fn(settings, name);
};

export const setSetting = (name, value) => {
	store(name, value === USUAL[name] ? null : value);
	change(name, value);
};

/* fn(settings, name); returns what ends it. */
export const onSettings = (fn) => {
	listeners.add(fn);
	return () => listeners.delete(fn);
};

export const markView = (name) => {
	for (const a of document.querySelectorAll(".k-nav a[data-view]")) {
		if (a.dataset.view === name)
			a.setAttribute("aria-current", "page");
		else
			a.removeAttribute("aria-current");
	}
};

/* ---- dialogs ---- */

/* Shows a dialog until it is closed; what it was closed with ("" = left). One is gone when it is closed. */
export const dialog = (title, fillIn, props = {}) => new Promise((done) => {
	const close = (value) => d.close(value);
	const d = h("dialog", {class: "k-dialog " + (props.class ?? ""), "aria-labelledby": "dialog-title",
		onclose: () => { d.remove(); done(d.returnValue); },
		onclick: (e) => { if (e.target === d) close(""); }},
		h("div", {class: "k-dialog-in"},
			h("div", {class: "k-dialog-head"}, h("h2", {id: "dialog-title"}, title),
				h("button", {type: "button", class: "k-icon", "aria-label": "Close", onclick: () => close("")}, "\u2715")),
			fillIn(close)));
	document.body.append(d);
	d.showModal();
});

const choice = (name, legend, value, options, onPick) => h("fieldset", {class: "k-choice"}, h("legend", null, legend),
	options.map(([key, text]) => h("label", null,
		h("input", {type: "radio", name, value: key, checked: key === value, onchange: () => onPick(key)}), h("span", null, text))));

/* ---- who asks ---- */

const signInForm = (close, why) => {
	const error = h("p", {class: "k-error", role: "alert"}, "");
	const token = h("input", {type: "password", name: "token", autocomplete: "off", spellcheck: "false"});
	const user = h("input", {type: "text", name: "username", autocomplete: "username", spellcheck: "false"});
	const password = h("input", {type: "password", name: "password", autocomplete: "current-password"});
	const byToken = h("div", {class: "k-fields"}, h("label", null, "Token", token));
	const byName = h("div", {class: "k-fields"}, h("label", null, "User", user), h("label", null, "Password", password));
	const pick = (how) => {
		byToken.hidden = how !== "token";
		byName.hidden = how === "token";
		store("signin", how);
		(how === "token" ? token : user).focus();
	};
	const how = load("signin", "token") === "name" ? "name" : "token";
	const button = h("button", {class: "k-button k-first"}, "Sign in");
	const submit = async (e) => {
		e.preventDefault();
		const value = byName.hidden ? token.value.trim() && bearer(token.value) : user.value && basic(user.value, password.value);
		if (!value)
			return put(error, byName.hidden ? "Which token?" : "Which user?");
		button.disabled = true;
		setAuthorization(value);
		const refusal = await refused();
		button.disabled = false;
		if (!refusal)
			return close("in");
		setAuthorization(null);
		put(error, refusal.status === 401 ? "The server does not take it." : refusal.message);
	};
	setTimeout(() => pick(how));
	return h("form", {onsubmit: submit},
		why ? h("p", {class: "k-dim"}, why) : null,
		choice("how", "With", how, [["token", "a token"], ["name", "user and password"]], pick),
		byToken, byName, error,
		h("p", {class: "k-dim"}, "Kept in this tab until it is closed, nowhere else."),
		h("div", {class: "k-row"}, button, h("button", {type: "button", class: "k-button", onclick: () => close("")}, "Cancel")));
};

const signIn = async (error) => {
	const done = await dialog("Sign in", (close) => signInForm(close, error?.message)) === "in";
	if (done)
		say("Signed in");
	drawTools();
	return done;
};

const signOut = () => {
	setAuthorization(null);
	drawTools();
	say("Signed out");
	app.back();
};

/* ---- settings ---- */

const tenantForm = () => {
	const input = h("input", {type: "text", value: settings.tenant, spellcheck: "false", autocomplete: "off", "aria-describedby": "tenant-help"});
	const set = () => {
		if (input.value.trim() !== settings.tenant) {
			setSetting("tenant", input.value.trim());
			app.back();
		}
	};
	return h("div", {class: "k-fields"}, h("label", null, "Tenant (X-Scope-OrgID)", input),
		h("p", {class: "k-dim", id: "tenant-help"}, "Empty: that of who is signed in. Several: a|b. Without identities there is one."),
		h("button", {type: "button", class: "k-button", onclick: set}, "Use this tenant"));
};

const openSettings = () => dialog("Settings", (close) => [
	choice("theme", "Colors", settings.theme, [["auto", "as the system"], ["light", "light"], ["dark", "dark"]], (v) => setSetting("theme", v)),
	choice("zone", "Times", settings.zone, [["local", "of this browser"], ["utc", "UTC"]], (v) => setSetting("zone", v)),
	tenantForm(),
	h("div", {class: "k-row"}, isSignedIn()
		? h("button", {type: "button", class: "k-button", onclick: () => { close(""); signOut(); }}, "Sign out")
		: h("button", {type: "button", class: "k-button", onclick: async () => { close(""); if (await signIn()) app.back(); }}, "Sign in"),
	h("button", {type: "button", class: "k-button", onclick: () => { close(""); openKeys(); }}, "Keys")),
], {class: "k-dialog-side"});

const drawTools = () => {
	const tools = document.getElementById("tools");
	if (!tools)
		return;
	const theme = {auto: "Colors: as the system", light: "Colors: light", dark: "Colors: dark"}[settings.theme];
	put(tools,
		settings.tenant ? h("button", {type: "button", class: "k-chip", "aria-label": `Tenant ${settings.tenant}`, onclick: openSettings}, settings.tenant) : null,
		h("button", {type: "button", class: "k-chip k-wide", "aria-label": settings.zone === "utc" ? "Times: UTC" : "Times: of this browser",
			onclick: () => setSetting("zone", settings.zone === "utc" ? "local" : "utc")}, settings.zone === "utc" ? "UTC" : "Local"),
		h("button", {type: "button", class: "k-icon k-wide", "aria-label": theme, title: theme,
			onclick: () => setSetting("theme", {auto: "light", light: "dark", dark: "auto"}[settings.theme])}, {auto: "\u25d0", light: "\u25cb", dark: "\u25cf"}[settings.theme]),
		isSignedIn() ? h("button", {type: "button", class: "k-chip k-wide", onclick: signOut}, "Sign out") : null,
		h("button", {type: "button", class: "k-icon", "aria-label": "Settings", title: "Settings", onclick: openSettings}, "\u2699"));
};

/* ---- keys ---- */

const VIEW_KEYS = {q: "query", c: "cardinality", l: "live", d: "doctor", s: "status", h: "help"};
const KEYS = [["?", "these keys"], ["/", "to the editor"], ["g q", "Query"], ["g c", "Cardinality"], ["g l", "Live"], ["g d", "Doctor"],
	["g s", "Status"], ["g h", "Help"], ["Enter", "in the editor: run"], ["Shift Enter", "in the editor: a new line"], ["Esc", "closes what is open"]];
let wasG = 0;

const openKeys = () => dialog("Keys", () => h("table", {class: "k-keys"}, h("tbody", null,
	KEYS.map(([keys, what]) => h("tr", null, h("th", {scope: "row"}, keys.split(" ").map((k) => h("kbd", null, k))), h("td", null, what))))));

const typing = (e) => e.target.closest?.("input, textarea, select, [contenteditable]") && !["radio", "checkbox", "button"].includes(e.target.type);

const focusEditor = () => {
	const editor = document.querySelector("[data-editor] [contenteditable], [data-editor] textarea, textarea[data-editor], [contenteditable][data-editor]");
	if (editor)
		return editor.focus();
	document.querySelector("main input[type=search]")?.focus();
};

const pressed = (e) => {
	if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented || typing(e) || document.querySelector("dialog[open]"))
		return;
	const afterG = e.timeStamp - wasG < 1500;
	wasG = e.key === "g" && !afterG ? e.timeStamp : 0;
	if (afterG && VIEW_KEYS[e.key])
		app.go(VIEW_KEYS[e.key]);
	else if (e.key === "?")
		openKeys();
	else if (e.key === "/")
		focusEditor();
	else
		return;
	e.preventDefault();
};

/* ---- the server ---- */

const SAYS = {
	starting: "The server is starting: it reads its log. Answers come when it is ready.",
	stopping: "The server is stopping.",
	unreachable: "The server does not answer.",
};
const RETRY_MS = 1500;
let state = "ok", retry = 0;

const drawBanner = () => {
	const banner = document.getElementById("banner");
	put(banner, state === "ok" ? null : h("div", {class: "k-banner", role: "alert"}, SAYS[state], " ",
		h("button", {type: "button", class: "k-button", onclick: look}, "Try now")));
};

/* Is it there again? What it says comes by heard(). */
const look = async () => {
	clearTimeout(retry);
	try {
		await askText("-/ready", null);
	} catch (e) {
		if (state !== "ok")
			retry = setTimeout(look, RETRY_MS);
	}
};

const heard = (now) => {
	if (now === state)
		return;
	const was = state;
	state = now;
	drawBanner();
	clearTimeout(retry);
	if (now !== "ok") {
		retry = setTimeout(look, RETRY_MS);
	} else if (was !== "ok") {
		say("The server answers again");
		app.back();
	}
};

/* hooks: go(path), back() (show the view again: who asks has changed, or the server is there again) */
export const startShell = (hooks) => {
	app = hooks;
	onSignIn(signIn);
	onServer(heard);
	onStored((name) => { if (name in USUAL) change(name, read(name)); });
	addEventListener("keydown", pressed);
	drawTools();
};
