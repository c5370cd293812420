/* Range, end, step and the look of a panel, as people know them from Prometheus and Grafana.
 *
 *   const bar = timebar({get, change, zone, setZone, least, setLeast});
 *   get()            the panel (lib/link.js); change(patch): what the reader chose, the caller runs it
 *   zone(), setZone("local" | "utc"); least(), setLeast(ms): the shortest automatic step, that of scrapes best
 *   bar.draw()       the panel, its tab or the zone has changed */
import {h, put} from "../lib/dom.js";
import {parseDuration, parseTime, printDuration, printTime, serverNow} from "../lib/when.js";
import {icon, iconButton, menuButton, popup} from "./bits.js";
import {autoStep, isRange, longer, PRESETS, shifted, shorter} from "./steps.js";

const LEAST = ["1s", "5s", "10s", "15s", "30s", "1m"];
const STEPS = ["1s", "5s", "10s", "15s", "30s", "1m", "5m", "15m", "1h", "1d"];

export function timebar({get, change, zone, setZone, least, setLeast}) {
	const el = h("div", {class: "k-timebar", role: "group", "aria-label": "Time"});
	let typing = false;

	const toggle = (name, text, tip) => h("button", {class: "k-button k-toggle", title: tip, "aria-pressed": String(get()[name]), onclick: () => change({[name]: !get()[name]}, true)}, text);

	function range() {
		const field = h("input", {type: "text", class: "k-range", value: printDuration(get().range), "aria-label": "Range", title: "Range, such as 90m or 1d12h", spellcheck: "false", autocomplete: "off",
			onchange: () => {
				const ms = parseDuration(field.value.trim());
				field.setAttribute("aria-invalid", String(!(ms >= 1000)));
				if (ms >= 1000) change({range: ms});
			}});
		const set = ms => ms !== get().range && change({range: ms});
		return h("span", {class: "k-joined"},
			iconButton("minus", "Shorter range", () => set(shorter(get().range))), field,
			menuButton({class: "k-icon", "aria-label": "Ranges", title: "Ranges"}, icon("down"), () =>
				PRESETS.map(text => ({text, on: parseDuration(text) === get().range, run: () => set(parseDuration(text))}))),
			iconButton("plus", "Longer range", () => set(longer(get().range))));
	}

	function end() {
		const p = get();
		const shift = way => change({end: shifted(get(), way, serverNow())});
		return h("span", {class: "k-joined"},
			iconButton("left", "Back by half the range", () => shift(-1)),
			chooser(p.end === null ? "now" : printTime(p.end, zone())),
			iconButton("right", "Forward by half the range", () => shift(1), {disabled: p.end === null}));
	}

	/* A button that opens the choice of the end. */
	function chooser(text) {
		const button = h("button", {class: "k-button k-end", "aria-haspopup": "dialog", title: "End of the range, or the time of the table"}, icon("clock"), text);
		return popup(button, close => {
			const at = get().end ?? serverNow();
			const choose = ms => {
				close(true);
				if (ms !== get().end) change({end: ms});
			};
			const was = get().end === null ? "now" : printTime(at, zone());
			const typed = h("input", {type: "text", value: was, spellcheck: "false", autocomplete: "off", "aria-label": "Time, Unix seconds or now-1h"});
			const picked = h("input", {type: "datetime-local", step: "1", value: printTime(at, zone()).replace(" ", "T"), "aria-label": "Calendar", onchange: () => {
				typed.value = picked.value.replace("T", " ");
			}});
			const use = e => {
				e.preventDefault();
				const now = /^\s*(now)?\s*$/.test(typed.value), ms = now ? null : typed.value === was ? at : parseTime(typed.value, zone());
				typed.setAttribute("aria-invalid", String(!now && ms === null));
				if (now || ms !== null) choose(ms);
			};
			const zones = h("span", {class: "k-joined", role: "group", "aria-label": "Zone"}, ["local", "utc"].map(z =>
				h("button", {class: "k-button k-toggle", "aria-pressed": String(zone() === z), onclick: () => {
					close(true);
					setZone(z);
				}}, z === "utc" ? "UTC" : "Local")));
			return h("div", {class: "k-pop", role: "dialog", "aria-label": "End"}, h("form", {onsubmit: use},
				h("label", null, h("span", {class: "k-dim"}, "2026-01-31 12:00, Unix seconds, now-1h"), typed), picked,
				h("div", {class: "k-row"}, h("button", {class: "k-button", onclick: () => choose(null)}, "Now"), zones, h("span", {class: "k-push"}), h("button", {class: "k-button k-first"}, "Set"))));
		});
	}

	function step() {
		const p = get();
		if (typing) {
			const field = h("input", {type: "text", class: "k-range", value: printDuration(p.step ?? autoStep(p.range, p.density, least())), "aria-label": "Step", spellcheck: "false", autocomplete: "off",
				onkeydown: e => {
					if (e.key === "Enter") field.blur();
					if (e.key === "Escape") done(null);
				},
				onblur: () => done(parseDuration(field.value.trim()))});
			const done = ms => {
				if (!typing) return;
				typing = false;
				if (ms > 0 && ms !== get().step) change({step: ms});
				draw();
			};
			queueMicrotask(() => field.isConnected && (field.focus(), field.select()));
			return field;
		}
		const auto = (density, name) => h("option", {value: density, selected: p.step === null && p.density === density}, `${name} ${printDuration(autoStep(p.range, density, least()))}`);
		const fixed = p.step === null || STEPS.some(s => parseDuration(s) === p.step) ? STEPS : [printDuration(p.step), ...STEPS];
		return h("select", {"aria-label": "Step", title: "Step: from one point of a line to the next", onchange: e => {
			const v = e.target.value;
			if (v === "other") {
				typing = true;
				draw();
			} else if (v.startsWith("from ")) {
				setLeast(parseDuration(v.slice(5)));
				change({step: null});
			} else if (["low", "medium", "high"].includes(v)) change({step: null, density: v});
			else change({step: parseDuration(v)});
		}},
		h("optgroup", {label: "Automatic"}, auto("low", "low"), auto("medium", "medium"), auto("high", "high"),
			LEAST.filter(s => parseDuration(s) !== least()).map(s => h("option", {value: `from ${s}`}, `not below ${s}`))),
		h("optgroup", {label: "By hand"}, fixed.map(s => h("option", {value: s, selected: p.step === parseDuration(s)}, `step ${s}`)), h("option", {value: "other"}, "other...")));
	}

	function draw() {
		const p = get(), ranged = isRange(p.tab) || p.tab === "explain" || p.tab === "trace";
		put(el, ranged && range(), end(), ranged && step(),
			p.tab === "graph" && toggle("stacked", "Stacked", "One above the other"),
			p.tab === "graph" && toggle("log", "Log", "Logarithmic axis"),
			p.tab === "graph" && toggle("zero", "From 0", "The axis begins at 0"));
	}

	draw();
	return {el, draw};
}
