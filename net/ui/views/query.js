/* The query view: panels one below the other, and what they share: the address, the time where they are told to, the
 * refresh, the list of metrics, the history. The address is the state (lib/link.js): what changes it makes one entry of
 * the browser's history, and going back shows the panels as they were; typing changes nothing until it is run. What was
 * not run when the view is left is kept for this tab, with the panels as they were: it is there again at their address, or
 * where none is asked for. */
import {ask, base, waits} from "../lib/ask.js";
import {h, put, say} from "../lib/dom.js";
import {blank, decode, encode, fromLocation, PANELS_MAX} from "../lib/link.js";
import {load, store, TAB} from "../lib/keep.js";
import {parseDuration, printDuration} from "../lib/when.js";
import {setSetting} from "../shell.js";
import {copyText, icon, iconButton} from "./bits.js";
import {historyDialog, metricsDialog} from "./dialogs.js";
import {panel} from "./panel.js";
import {REFRESH} from "./steps.js";

/* What a reader of a graph must know: its newest samples may not be there. */
const LOST = /^(disk|inodes|writes|log_failures)$/;
const LOOK_MS = 60000;

export const title = "Query";
const NARROW = "(max-width: 640px)";
const TIMER_MOST = 2 ** 31 - 1;	/* ms; a browser takes what is longer for nothing */

export function show(root, ctx) {
	const panels = [];
	let shared = {refresh: 0, sync: false}, timer = 0, last = null, looked = null;
	const narrow = matchMedia(NARROW);
	const trouble = h("p", {class: "k-trouble", role: "status"});
	const box = h("div", {class: "k-panels"}), tools = h("div", {class: "k-row k-querybar", role: "group", "aria-label": "All panels"});
	const least = () => Math.max(1000, parseDuration(String(load("step", "1s"))) ?? 1000);

	const host = {
		zone: () => ctx.settings.zone, setZone: z => setSetting("zone", z), narrow: () => narrow.matches, least,
		setLeast(ms) {
			store("step", printDuration(ms));
			panels.forEach(p => p.redraw());
		},
		changed(p, {time}) {
			if (time && shared.sync)
				for (const other of panels)
					if (other !== p) other.set({...other.state, range: p.state.range, end: p.state.end});
			link();
		},
		duplicate(p) {
			if (panels.length >= PANELS_MAX) return;
			const copy = add({...p.state, expr: p.text}, panels.indexOf(p) + 1);
			link();
			copy.run({again: true});
			copy.focus();
		},
		remove(p) {
			const at = panels.indexOf(p);
			panels.splice(at, 1);
			p.destroy();
			if (!panels.length) add(blank(p.state.tab), 0);
			link();
			draw();
			panels[Math.min(at, panels.length - 1)].focus();
			say("Panel removed");
		},
		move(p, way) {
			const at = panels.indexOf(p), to = at + way;
			if (to < 0 || to >= panels.length) return;
			panels.splice(at, 1);
			panels.splice(to, 0, p);
			box.insertBefore(p.el, panels[to + 1]?.el ?? null);
			link();
			draw();
			p.focus();
			say(`Panel is ${to + 1} of ${panels.length}`);
		},
		first: p => panels[0] === p,
		last: p => panels.at(-1) === p,
	};

	/* Writes what is shown into the address. */
	function link(replace = false) {
		ctx.setParams(encode({panels: panels.map(p => p.state), ...shared}), {replace});
		const asked = panels.map(p => p.state.expr.trim()).find(Boolean);
		ctx.setTitle(asked ? `${asked.replace(/\s+/g, " ").slice(0, 60)} - ${title}` : title);
	}

	function add(state, at) {
		const p = panel(state, host);
		box.insertBefore(p.el, panels[at]?.el ?? null);
		panels.splice(at, 0, p);
		p.el.addEventListener("focusin", () => { last = p; });
		draw();
		return p;
	}

	function addPanel() {
		if (panels.length >= PANELS_MAX) return say(`${PANELS_MAX} panels are all there can be`);
		const like = panels.at(-1)?.state;
		const p = add({...blank(like?.tab), ...(like && {range: like.range, end: like.end})}, panels.length);
		link();
		p.el.scrollIntoView({block: "nearest"});
		return p.focus();
	}

	const runAll = () => panels.forEach(p => p.run());
	const current = () => (panels.includes(last) ? last : panels[0]);
	const pick = (text, whole) => current().insert(text, whole);

	/* As the address has them; panels that are the same stay, and are not asked again. */
	function take(params, replace) {
		const want = decode(params);
		shared = {refresh: want.refresh, sync: want.sync};
		const states = want.panels.length ? want.panels : [blank()];
		while (panels.length > states.length) panels.pop().destroy();
		states.forEach((s, i) => (panels[i] ? panels[i].set(s) : s.expr.trim() && !s.fold ? add(s, i).run({again: true}) : add(s, i)));
		if (replace && want.panels.length) link(true);
		draw();
		pace();
	}

	/* Panels that end now ask again, one question at a time each, while somebody looks. */
	function pace() {
		clearInterval(timer);
		if (shared.refresh) timer = setInterval(() => {
			if (document.hidden || waits()) return;
			for (const p of panels)
				if (p.state.end === null && p.state.expr.trim() && !p.busy && !p.state.fold && /table|graph|heat/.test(p.state.tab)) p.run({again: true});
		}, Math.min(Math.max(1000, shared.refresh), TIMER_MOST));
	}

	function draw() {
		panels.forEach((p, i) => p.name(`Panel ${i + 1}`));
		const every = [["", "Refresh off"], ...[...new Set([...REFRESH, ...(shared.refresh ? [printDuration(shared.refresh)] : [])])].map(s => [s, `every ${s}`])];
		const tool = (name, text, onclick) => h("button", {class: "k-button", onclick}, icon(name), text);
		put(tools,
			tool("list", "Metrics", () => metricsDialog(pick)), tool("clock", "History", () => historyDialog(pick)),
			h("span", {class: "k-push"}),
			panels.length > 1 ? h("button", {class: "k-button k-toggle", "aria-pressed": String(shared.sync), title: "A time chosen in one panel counts for all", onclick: sync}, "One time for all") : null,
			h("select", {"aria-label": "Refresh", value: shared.refresh ? printDuration(shared.refresh) : "", onchange: e => {
				shared.refresh = e.target.value ? parseDuration(e.target.value) : 0;
				link();
				pace();
			}}, every.map(([value, text]) => h("option", {value}, text))),
			iconButton("again", "Run all (Ctrl+Enter)", runAll),
			iconButton("link", "Copy a link to what is shown", () => {
				link(true);
				copyText(location.href, "Link");
			}));
	}

	/* In one line, where writes fail; without the role for it nobody is told. */
	async function look() {
		if (document.hidden || waits()) return;
		const mine = looked = {};
		let found = null;
		try {
			found = (await ask("api/v1/status/doctor", null, {signal: ctx.signal, quiet: true})).data.findings.find(f => f.severity === "bad" && LOST.test(f.id));
		} catch { /* then not */ }
		if (mine === looked) put(trouble, found && [found.text, ". ", h("a", {href: `${base}doctor`}, "Doctor")]);
	}

	function sync() {
		shared.sync = !shared.sync;
		link();
		if (shared.sync) host.changed(current(), {time: true});
		draw();
	}

	function keys(e) {
		if (document.querySelector("dialog[open]")) return;
		if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) {
			e.stopPropagation();   /* the editor would run its own once more */
			runAll();
		} else if (e.key === "Escape" && !e.defaultPrevented && panels.some(p => p.busy)) panels.forEach(p => p.cancel());
		else return;
		e.preventDefault();
	}

	/* {search: the address, texts: of panels, null: as it was run}; what another address has is left for later. */
	let kept = load("draft", null, TAB);
	const save = () => {
		const texts = panels.map(p => (p.text.trim() === p.state.expr.trim() ? null : p.text));
		if (texts.some(Boolean)) store("draft", {search: encode({panels: panels.map(p => p.state), ...shared}).toString(), texts}, TAB);
		else if (kept) store("draft", null, TAB);
	};
	const asked = fromLocation(location.search, location.hash);
	if (!Array.isArray(kept?.texts) || (asked.has("g0.expr") && asked.toString() !== kept.search)) kept = null;

	put(root, h("h1", {class: "k-unseen"}, title), tools, trouble, box, h("button", {class: "k-button k-add", onclick: addPanel}, icon("plus"), "Add panel"));
	take(kept ? new URLSearchParams(kept.search) : asked, true);
	panels.forEach((p, i) => { p.text = kept?.texts[i] ?? p.text; });
	if (location.hash.includes("?")) history.replaceState(null, "", location.pathname + location.search);
	const width = () => panels.forEach(p => p.redraw());
	narrow.addEventListener("change", width);
	addEventListener("keydown", keys, true);
	addEventListener("pagehide", save);
	look();
	const looks = setInterval(look, LOOK_MS);
	ctx.onSettings((_, name) => name !== "tenant" && panels.forEach(p => p.redraw()));
	if (!narrow.matches) panels[0].focus();

	return {
		params: params => take(params, false),
		back: () => panels.forEach(p => p.state.fold || p.run({again: true})),
		anew(out) {
			if (out) {
				panels.forEach(p => { p.text = ""; });
				take(new URLSearchParams(), false);
				link(true);
			}
			put(trouble);
			look();
			panels.forEach(p => p.anew());
		},
		hide() {
			save();
			clearInterval(timer);
			clearInterval(looks);
			removeEventListener("pagehide", save);
			removeEventListener("keydown", keys, true);
			narrow.removeEventListener("change", width);
			panels.splice(0).forEach(p => p.destroy());
		},
	};
}
