/*
 * dom - elements made by functions, never from markup: what comes from data becomes text nodes.
 *
 *   h("button", {class: "k-quiet", onclick: run, "aria-pressed": "true"}, "Run", icon)
 *
 * props: class, on<event> (a function), style (an object of properties), dataset (an object); value, checked, selected
 * and disabled as properties; all others as attributes (true: empty; false, null, undefined: left out).
 * A button does nothing but what it is told (type "button"), a "th" heads a column, unless props say otherwise.
 * children: strings and numbers (text), nodes, arrays of these, null and false (nothing).
 */
const PROPERTIES = new Set(["value", "checked", "selected", "disabled", "open", "indeterminate"]);
const USUAL = {button: {type: "button"}, th: {scope: "col"}};
const SVG = "http://www.w3.org/2000/svg";

const set = (el, name, value) => {
	if (value === null || value === undefined)
		return;
	if (name.startsWith("on"))
		el.addEventListener(name.slice(2), value);
	else if (name === "style" || name === "dataset")
		Object.assign(el[name], value);
	else if (PROPERTIES.has(name) && name in el)
		el[name] = value;
	else if (name === "class")
		el.setAttribute("class", value);
	else if (value !== false)
		el.setAttribute(name, value === true ? "" : value);
};

const add = (el, children) => {
	for (const c of children) {
		if (Array.isArray(c))
			add(el, c);
		else if (c !== null && c !== undefined && c !== false)
			el.append(c);
	}
};

const fill = (el, props, children) => {
	for (const name in props)
		if (name !== "value")
			set(el, name, props[name]);
	add(el, children);
	if (props && "value" in props)	/* behind its options, of a select */
		set(el, "value", props.value);
	return el;
};

export const h = (tag, props, ...children) => fill(document.createElement(tag), {...USUAL[tag], ...props}, children);
export const svg = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

/*
 * Takes out what is in el and puts children there. Who had the focus in it keeps it: the same node, else the one with
 * the same name, else the one at the same place; a keyboard would begin at the top of the page again.
 */
export const put = (el, ...children) => {
	const was = document.activeElement, all = () => [...el.querySelectorAll("button, input, select, textarea, summary, a, [tabindex]")];
	const at = was && was !== el && el.contains(was) ? all().indexOf(was) : -1;
	el.replaceChildren();
	add(el, children);
	if (at >= 0) {
		const name = (e) => e.tagName + (e.getAttribute("aria-label") ?? e.textContent), now = all(), can = now.filter((e) => !e.disabled);
		const to = can.includes(was) ? was : [now[at], ...can].find((e) => e && !e.disabled && name(e) === name(was)) ?? can[Math.min(at, can.length - 1)];
		to?.focus({preventScroll: true});
	}
	return el;
};

/* Tells it to screen readers, when they have time. The same text twice is told twice. */
let spoken = 0;
export const say = (text) => {
	const live = document.getElementById("say");
	if (!live)
		return;
	live.textContent = "";
	clearTimeout(spoken);
	spoken = setTimeout(() => { live.textContent = text; }, 50);
};

/* What may be wider than its place, a table, moves by itself, with keys, too. */
export const scroller = (label, ...inside) => h("div", {class: "k-scroll", tabindex: "0", role: "region", "aria-label": label}, inside);

/* Into the clipboard; a page that came by plain HTTP from elsewhere has none of its own: the old way then. Is it there? */
export const copied = async (text) => {
	try {
		await navigator.clipboard.writeText(text);
		return true;
	} catch {
		return copyByHand(text);
	}
};

/* A button that copies what text() gives, and says so. */
export const copyButton = (text, label = "Copy") => {
	const b = h("button", {class: "k-button", onclick: async () => {
		b.textContent = await copied(text()) ? "Copied" : "Cannot copy here";
		say(b.textContent);
		setTimeout(() => { b.textContent = label; }, 1500);
	}}, label);
	return b;
};

export const copyByHand = (text) => {
	const area = h("textarea", {class: "k-unseen", "aria-hidden": "true", value: text}), before = document.activeElement;
	document.body.append(area);
	area.select();
	let done = false;
	try {
		done = document.execCommand("copy");
	} catch { /* neither */ }
	area.remove();
	before?.focus?.();
	return done;
};
