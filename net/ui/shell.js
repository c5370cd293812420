/*
 * shell - what stands around every view: settings, the tools of the header, dialogs, keys, and the banner of a server
 * that does not answer. app starts it once.
 */
import {ask, askAnew, askText, basic, bearer, authorizationNow, isSignedIn, onClock, onServer, onSignIn, refused, setAuthorization, setTenant} from "./lib/ask.js";
import {h, put, say, svg} from "./lib/dom.js";
import {load, onStored, store} from "./lib/keep.js";
import {printDuration} from "./lib/when.js";

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
	if (name === "tenant")
		app.anew();
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
	const d = h("dialog", {class: "k-dialog " + (props.class ?? ""), "aria-label": title,
		onclose: () => { d.remove(); done(d.returnValue); },
		onclick: (e) => { if (e.target === d) close(""); }},
		h("div", {class: "k-dialog-in"},
			h("div", {class: "k-dialog-head"}, h("h2", null, title),
				h("button", {class: "k-icon", "aria-label": "Close", onclick: () => close("")}, "\u2715")),
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
	const button = h("button", {type: "submit", class: "k-button k-first"}, "Sign in");
	const submit = async (e) => {
		e.preventDefault();
		const value = byName.hidden ? token.value.trim() && bearer(token.value) : user.value && basic(user.value, password.value);
		if (!value)
			return put(error, byName.hidden ? "Which token?" : "Which user?");
		button.disabled = true;
		const before = authorizationNow();
		setAuthorization(value);
		const refusal = await refused();
		button.disabled = false;
		if (!refusal)
			return close("in");
		setAuthorization(before);
		put(error, refusal.status === 401 ? "The server does not take it." : refusal.message);
	};
	setTimeout(() => pick(how));
	return h("form", {onsubmit: submit},
		why ? h("p", {class: "k-dim"}, why[0].toUpperCase() + why.slice(1) + ".") : null,
		choice("how", "With", how, [["token", "a token"], ["name", "user and password"]], pick),
		byToken, byName, error,
		h("p", {class: "k-dim"}, "Kept in this tab until it is closed, nowhere else."),
		h("div", {class: "k-row"}, button, h("button", {class: "k-button", onclick: () => close("")}, "Cancel")));
};

const signIn = async (error) => {
	const done = await dialog("Sign in", (close) => signInForm(close, error?.message)) === "in";
	if (done) {
		say("Signed in");
		learn();
	} else if (error) {
		unknown = true;
		drawTools();
	}
	return done;
};

const signOut = () => {
	setAuthorization(null);
	say("Signed out");
	askAnew();
	learn();
	app.anew(true);
};

/* ---- settings ---- */

/* What the server says of who asks (api/v1/status/tenants); null: not known, or nobody who may read. unknown: it wants to know. */
let who = null, unknown = false;

/* A tenant that this browser has kept and that who asks may not read is let go, or nothing could be seen. */
export const learn = async () => {
	const look = async () => (await ask("api/v1/status/tenants", null, {quiet: true})).data;
	try {
		who = await look();
		unknown = false;
	} catch (e) {
		who = null;
		unknown = e.status === 401;
		if ([400, 403].includes(e.status) && settings.tenant) {
			const kept = settings.tenant;
			setTenant("");
			try {
				who = await look();
				setSetting("tenant", "");
				say(`Tenant ${kept} may not be read: back to your own`);
			} catch {
				setTenant(kept);
			}
		}
	}
	drawTools();
};

const tenantNames = () => who?.tenants.map((t) => t.name) ?? [];
const ownTenant = () => tenantNames()[0] ?? "default";

const tenantForm = (close) => {
	if (who && !who.identities)
		return null;
	if (who && tenantNames().length === 1 && !settings.tenant && !who.anyTenant)
		return h("p", null, h("span", {class: "k-dim"}, "Tenant "), ownTenant());
	const input = h("input", {type: "text", value: settings.tenant, placeholder: ownTenant(), spellcheck: "false", autocomplete: "off", list: "tenants",
		"aria-describedby": "tenant-help"});
	const submit = (e) => {
		e.preventDefault();
		close("");
		const name = input.value.trim() === ownTenant() ? "" : input.value.trim();
		setSetting("tenant", name);
	};
	return h("form", {class: "k-fields", onsubmit: submit}, h("label", null, "Tenant", input),
		h("datalist", {id: "tenants"}, tenantNames().map((value) => h("option", {value}))),
		h("p", {class: "k-dim", id: "tenant-help"}, "Several to read at once: a|b. Empty: your own."),
		h("button", {type: "submit", class: "k-button"}, "Use it"));
};

const whoText = () => who?.identities ? `${who.identity || "anonymous"} (${who.roles.join(", ")})` : null;

const openSettings = () => dialog("Settings", (close) => [
	choice("theme", "Colors", settings.theme, [["auto", "as the system"], ["light", "light"], ["dark", "dark"]], (v) => setSetting("theme", v)),
	choice("zone", "Times", settings.zone, [["local", "of this browser"], ["utc", "UTC"]], (v) => setSetting("zone", v)),
	whoText() ? h("p", null, h("span", {class: "k-dim"}, "You are "), whoText()) : null,
	tenantForm(close),
	h("div", {class: "k-row"},
		isSignedIn() ? h("button", {class: "k-button", onclick: () => { close(""); signOut(); }}, "Sign out") : null,
		h("button", {class: "k-button", onclick: async () => { close(""); if (await signIn()) app.anew(); }}, isSignedIn() ? "Sign in as another" : "Sign in"),
		h("button", {class: "k-button", onclick: () => { close(""); openKeys(); }}, "Keys")),
], {class: "k-dialog-side"});

const ICONS = {
	auto: ["M10 2.5a7.5 7.5 0 1 0 0 15z", "M10 2.5a7.5 7.5 0 0 1 0 15"],
	light: [null, "M10 6.5a3.5 3.5 0 1 0 0 7a3.5 3.5 0 0 0 0-7M10 1.5v2M10 16.5v2M1.5 10h2M16.5 10h2M4 4l1.4 1.4M14.6 14.6L16 16M4 16l1.4-1.4M14.6 5.4L16 4"],
	dark: ["M16.5 12.2A7 7 0 0 1 7.8 3.5a7 7 0 1 0 8.7 8.7z", null],
	settings: [null, "M3 5h6M13 5h4M3 10h2M9 10h8M3 15h8M15 15h2M9 5a2 2 0 1 0 4 0a2 2 0 0 0-4 0M5 10a2 2 0 1 0 4 0a2 2 0 0 0-4 0M11 15a2 2 0 1 0 4 0a2 2 0 0 0-4 0"],
};
const icon = (name) => svg("svg", {viewBox: "0 0 20 20", width: 18, height: 18, "aria-hidden": "true"},
	ICONS[name][0] ? svg("path", {d: ICONS[name][0], fill: "currentColor"}) : null,
	ICONS[name][1] ? svg("path", {d: ICONS[name][1], fill: "none", stroke: "currentColor", "stroke-width": "1.600", "stroke-linecap": "round"}) : null);
const iconButton = (name, text, onclick, extra = "") => h("button", {class: "k-icon " + extra, "aria-label": text, title: text, onclick}, icon(name));

const drawTools = () => {
	const tools = document.getElementById("tools");
	if (!tools)
		return;
	const utc = settings.zone === "utc";
	put(tools,
		settings.tenant ? h("button", {class: "k-chip", "aria-label": `Tenant ${settings.tenant}: settings`, onclick: openSettings}, settings.tenant) : null,
		h("button", {class: "k-chip k-wide", title: utc ? "Times are UTC" : "Times are those of this browser", "aria-label": utc ? "UTC: use local times" : "Local times: use UTC",
			onclick: () => setSetting("zone", utc ? "local" : "utc")}, utc ? "UTC" : "Local"),
		iconButton(settings.theme, `Colors: ${settings.theme === "auto" ? "as the system" : settings.theme}`, () => setSetting("theme", {auto: "light", light: "dark", dark: "auto"}[settings.theme]), "k-wide"),
		unknown || (who?.identities && !isSignedIn()) ? h("button", {class: "k-chip k-wide", onclick: async () => { if (await signIn()) app.anew(); }}, "Sign in") : null,
		iconButton("settings", "Settings", openSettings));
};

/* ---- keys ---- */

const VIEW_KEYS = {q: "query", c: "cardinality", l: "live", d: "doctor", s: "status", h: "help"};
const KEYS = [["?", "these keys"], ["/", "to the editor"], ["g q", "Query"], ["g c", "Cardinality"], ["g l", "Live"], ["g d", "Doctor"],
	["g s", "Status"], ["g h", "Help"], ["Enter", "in the editor: run"], ["Shift Enter", "in the editor: a new line"], ["Tab", "in the editor: takes the first suggestion"],
	["Ctrl Space", "in the editor: suggestions"], ["Ctrl Shift F", "in the editor: formats"], ["\u2191", "in the editor: what was asked before"], ["Esc", "closes what is open"]];
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
	signin: "Something before the server wants you to sign in again.",
};
const RETRY_MS = 1500;
let state = "ok", retry = 0, ahead = 0;

const drawBanner = () => {
	const banner = document.getElementById("banner");
	const unit = Math.abs(ahead) < 600e3 ? 1000 : 60e3;	/* times of answers are whole seconds, and some come late */
	const clock = ahead && h("div", {class: "k-banner", role: "status"}, `This browser's clock is ${printDuration(Math.round(Math.abs(ahead) / unit) * unit)} ${
		ahead < 0 ? "ahead of" : "behind"} the server's. "Now" is what the server says.`);
	put(banner, clock || null, state === "ok" ? null : h("div", {class: "k-banner", role: "alert"}, SAYS[state], " ",
		state === "signin" ? h("a", {class: "k-button", href: "", target: "_self"}, "Sign in again") : h("button", {class: "k-button", onclick: look}, "Try now")));
};

/* Is it there again? What it says comes by heard(). */
const look = async () => {
	clearTimeout(retry);
	try {
		await askText("-/ready", null, {quiet: true});
	} catch (e) {
		if (state !== "ok" && state !== "signin")
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
	if (now === "signin")
		return;		/* it may let -/ready through: what is asked next will tell */
	if (now !== "ok") {
		retry = setTimeout(look, RETRY_MS);
	} else if (was !== "signin") {	/* of that one question was let through: asked again all would meet it again */
		say("The server answers again");
		app.back();
	}
};

/* hooks: go(path), back() (the server is there again), anew(out) (who asks has changed; out: nothing that was written before may be seen) */
export const startShell = (hooks) => {
	app = hooks;
	onSignIn(signIn);
	onServer(heard);
	onStored((name) => { if (Object.hasOwn(USUAL, name)) change(name, read(name)); });
	onClock((ms) => {
		ahead = ms;
		drawBanner();
		app.back();
	});
	addEventListener("keydown", pressed);
	drawTools();
};
