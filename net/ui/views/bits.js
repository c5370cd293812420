/* Small parts of the query view: icons, menus, the clipboard. */
import {copyByHand, h, svg, say} from "../lib/dom.js";

/* Strokes in a square of 16. */
const ICONS = {
	more: "M3 8h.01M8 8h.01M13 8h.01", down: "M4 6l4 4 4-4", right: "M6 4l4 4-4 4", left: "M10 4L6 8l4 4", plus: "M8 3v10M3 8h10", minus: "M3 8h10",
	close: "M4 4l8 8M12 4l-8 8", clock: "M8 2a6 6 0 100 12A6 6 0 008 2zM8 5v3l2 2", copy: "M6 6h7v7H6zM3 10V3h7", list: "M3 4h10M3 8h10M3 12h6",
	link: "M7 9a3 3 0 004 0l2-2a3 3 0 00-4-4L8 4M9 7a3 3 0 00-4 0L3 9a3 3 0 004 4l1-1", play: "M5 3l8 5-8 5z", again: "M13 8a5 5 0 11-1.5-3.5M13 2v3h-3",
};

export function icon(name) {
	return svg("svg", {viewBox: "0 0 16 16", class: "k-glyph", "aria-hidden": "true"}, svg("path", {d: ICONS[name]}));
}

/* A button that shows an icon; label is for the tool tip and for who cannot see it. */
export function iconButton(name, label, onclick, props = {}) {
	return h("button", {type: "button", class: "k-icon", title: label, "aria-label": label, onclick, ...props}, icon(name));
}

let closeOpen = null;

/* A menu at a button. items(): [{text, on?, run, off?}] or null for a line; on marks what is chosen. Keys as menus have them. */
export function menuButton(props, content, items) {
	const button = h("button", {type: "button", "aria-haspopup": "menu", "aria-expanded": "false", ...props}, content);
	const el = h("span", {class: "k-menu"}, button);
	let list = null;
	const close = focus => {
		if (!list) return;
		list.remove();
		list = null;
		closeOpen = null;
		button.setAttribute("aria-expanded", "false");
		document.removeEventListener("pointerdown", away, true);
		if (focus) button.focus();
	};
	const away = e => el.contains(e.target) || close(false);
	const move = (way, from) => {
		const all = [...list.querySelectorAll("button:not([disabled])")];
		all[((from ?? all.indexOf(document.activeElement)) + way + all.length) % all.length]?.focus();
	};
	const key = e => {
		const act = {Escape: () => close(true), Tab: () => close(false), ArrowDown: () => move(1), ArrowUp: () => move(-1), Home: () => move(0, 0), End: () => move(-1, 0)}[e.key];
		if (!list || !act) return;
		if (e.key !== "Tab") e.preventDefault();
		e.stopPropagation();
		act();
	};
	const item = i => (i === null ? h("hr", {role: "separator"}) : h("button", {
		type: "button", role: i.on === undefined ? "menuitem" : "menuitemradio", "aria-checked": i.on === undefined ? null : String(i.on),
		disabled: Boolean(i.off), tabindex: "-1", onclick: () => {
			close(true);
			i.run();
		}}, i.text));
	const open = () => {
		closeOpen?.();
		list = h("div", {role: "menu", class: "k-menulist", "aria-label": props["aria-label"] ?? button.textContent}, items().map(item));
		el.append(list);
		if (list.getBoundingClientRect().right > document.documentElement.clientWidth - 8) list.classList.add("k-rightward");
		closeOpen = () => close(false);
		button.setAttribute("aria-expanded", "true");
		document.addEventListener("pointerdown", away, true);
		(list.querySelector("[aria-checked=true]") ?? list.querySelector("button:not([disabled])"))?.focus();
	};
	button.addEventListener("click", () => (list ? close(true) : open()));
	button.addEventListener("keydown", e => {
		if (e.key !== "ArrowDown" || list) return;
		e.preventDefault();
		open();
	});
	el.addEventListener("keydown", key);
	return el;
}

/* Pages that did not come by https have no clipboard of their own: the old way then. */
export async function copyText(text, what) {
	try {
		await navigator.clipboard.writeText(text);
	} catch {
		const before = document.activeElement, done = copyByHand(text);
		before?.focus?.();
		if (!done) return say("The browser does not let this page copy.");
	}
	return say(`${what} copied`);
}
