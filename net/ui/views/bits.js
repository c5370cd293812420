/* Small parts of the query view: icons, menus, the clipboard. */
import {copied, h, svg, say} from "../lib/dom.js";

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
	return h("button", {class: "k-icon", title: label, "aria-label": label, onclick, ...props}, icon(name));
}

/* What opens below a button: fill(close) makes it. Escape, a click elsewhere and the focus elsewhere shut it; close(true)
 * does, and the button has the focus again. */
export function popup(button, fill) {
	const el = h("span", {class: "k-menu"}, button);
	let box = null;
	const close = focus => {
		box?.remove();
		box = null;
		button.setAttribute("aria-expanded", "false");
		document.removeEventListener("pointerdown", away, true);
		if (focus) button.focus();
	};
	const away = e => el.contains(e.target) || close(false);
	button.setAttribute("aria-expanded", "false");
	button.addEventListener("click", () => {
		if (box) return close(true);
		el.append(box = fill(close));
		if (box.getBoundingClientRect().right > document.documentElement.clientWidth - 8) box.classList.add("k-rightward");
		button.setAttribute("aria-expanded", "true");
		document.addEventListener("pointerdown", away, true);
		return (box.querySelector("[aria-checked=true], input") ?? box.querySelector("button:not([disabled])"))?.focus();
	});
	el.addEventListener("keydown", e => {
		if (e.key !== "Escape" || !box) return;
		e.preventDefault();
		e.stopPropagation();
		close(true);
	});
	el.addEventListener("focusout", e => box && e.relatedTarget && !el.contains(e.relatedTarget) && close(false));
	return el;
}

/* A menu at a button. items(): [{text, on?, run, off?}] or null for a line; on marks what is chosen. Keys as menus have them. */
export function menuButton(props, content, items) {
	const button = h("button", {"aria-haspopup": "menu", ...props}, content);
	const el = popup(button, close => h("div", {role: "menu", class: "k-menulist", "aria-label": props["aria-label"] ?? button.textContent},
		items().map(i => (i === null ? h("hr", {role: "separator"}) : h("button", {
			role: i.on === undefined ? "menuitem" : "menuitemradio", "aria-checked": i.on?.toString(), disabled: Boolean(i.off), tabindex: "-1",
			onclick: () => {
				close(true);
				i.run();
			}}, i.text)))));
	el.addEventListener("keydown", e => {
		const all = [...el.querySelectorAll("[role=menu] button:not([disabled])")], at = all.indexOf(document.activeElement);
		const to = {ArrowDown: at + 1, ArrowUp: at - 1 + all.length, Home: 0, End: -1}[e.key];
		if (to === undefined) return;
		e.preventDefault();
		if (all.length) all.at(to % all.length).focus();
		else button.click();
	});
	return el;
}

export async function copyText(text, what) {
	say(await copied(text) ? `${what} copied` : "The browser does not let this page copy.");
}
