/* One panel of the query view: an expression, its times, its answer in tabs.
 *
 *   const p = panel(state, host);     state: as lib/link.js has it; p.state is it, and changes
 *   p.el, p.run({again}), p.cancel(), p.set(state), p.redraw(), p.insert(text, whole), p.focus(), p.busy, p.destroy()
 *   p.text: what stands in the editor, run or not; p.anew(): somebody else asks; what was answered goes
 *
 * again: what was run before is asked once more; what is typed meanwhile stays as it is.
 *
 * host: zone(), setZone(zone), narrow(), least() and setLeast(ms); changed(p, {time}): the state has changed and is to be in the URL;
 * runAll(); duplicate(p), remove(p), move(p, way), first(p), last(p), alone(): its place among the others.
 *
 * A panel has at most one question to the server at a time; a new one ends the one before, which the server sees as a
 * closed connection. Trace and stats are asked for only while the tab Trace is looked at: they cost, and keep the server
 * from using results that it has kept. */
import {ask, gone, lines} from "../lib/ask.js";
import {h, put, say} from "../lib/dom.js";
import {count, seconds as ofSeconds} from "../lib/figure.js";
import {remember} from "../lib/keep.js";
import {printDuration, serverNow} from "../lib/when.js";
import {editor} from "../promql/editor.js";
import {replace} from "../promql/typing.js";
import {icon, iconButton, menuButton} from "./bits.js";
import {explainView} from "./explain.js";
import {hintBox, whyEmpty} from "./hints.js";
import {errorBox, noticeBoxes} from "./notes.js";
import {picture} from "./picture.js";
import {place, spoken} from "./places.js";
import {resultTable} from "./resulttable.js";
import {isRange, requestOf, stepOf, timesOf, zoomed} from "./steps.js";
import {timebar} from "./timebar.js";
import {traceView} from "./tracebars.js";

const TABS = [["table", "Table"], ["graph", "Graph"], ["heat", "Heat map"], ["explain", "Explain"], ["trace", "Trace"]];
const TICK_MS = 100;
let ids = 0;

/* Whether an answer, or an expression without one, is of histograms. */
export function ofHistograms(data, expr) {
	if (!data) return /_bucket\b/.test(expr);
	return Array.isArray(data.result) && data.result.some(r => r?.histogram || r?.histograms?.length || (r?.metric && "le" in r.metric));
}

export function panel(state, host) {
	const id = `panel${++ids}`;
	const me = {state, get text() { return ed.value; }, set text(text) { ed.value = text; }};
	let p = state;
	let abort = null, asking = null, timer = 0, answer = null, asked = null, took = 0, kind = isRange(p.tab) || p.tab !== "table" ? "range" : "instant";
	let drawn = null, explain = null, trace = null;
	const zooms = new Map();   /* "start end" of a graph that was zoomed -> {range, end} that it was asked with */
	const table = resultTable({zone: host.zone, narrow: host.narrow});
	const notes = h("div", {class: "k-notes"}), body = h("div", {class: "k-tabbody", role: "tabpanel", id: `${id}-body`}), status = h("div", {class: "k-status"});
	const ed = editor({value: p.expr, label: "Expression in PromQL", onRun: () => me.run()});
	const bar = timebar({get: () => p, change: (patch, look) => change(patch, look), zone: host.zone, setZone: host.setZone, least: host.least, setLeast: host.setLeast});
	const runButton = h("button", {class: "k-button k-first k-run", onclick: () => (abort ? me.cancel() : me.run()), title: "Run (Enter); all panels: Ctrl+Enter"}, "Run");
	const tabs = h("div", {class: "k-tabs", role: "tablist", "aria-label": "Result as", onkeydown: tabKey});
	const fold = iconButton("down", "Fold", () => change({fold: !p.fold}, true), {"aria-expanded": "true"});
	const menu = menuButton({class: "k-icon", "aria-label": "Panel", title: "Panel"}, icon("more"), () => [
		{text: "Duplicate", run: () => host.duplicate(me)},
		{text: "Move up", off: host.first(me), run: () => host.move(me, -1)}, {text: "Move down", off: host.last(me), run: () => host.move(me, 1)},
		null, {text: "Remove", run: () => host.remove(me)}]);
	const heading = h("h2", {class: "k-unseen"});
	me.el = h("section", {class: "k-panel", id}, heading,
		h("div", {class: "k-ask"}, fold, ed.el, runButton, menu),
		h("div", {class: "k-foldable"}, h("div", {class: "k-panelbar"}, tabs, bar.el), notes, body, status));

	/* What the reader changed. look: it is only how the same answer is shown. */
	function change(patch, look = false) {
		const time = "range" in patch || "end" in patch;
		Object.assign(p, patch);
		if ("expr" in patch) ed.value = p.expr;
		host.changed(me, {time});
		frame();
		if (look && (answer || p.fold)) show().catch(failed);
		else me.run({again: look});
	}

	/* What is around an answer. */
	function frame() {
		drawTabs();
		bar.draw();
	}

	/* Of it, what depends on the answer: asking again leaves the time alone, where somebody may be typing. */
	function drawTabs() {
		me.el.classList.toggle("k-folded", p.fold);
		fold.setAttribute("aria-expanded", String(!p.fold));
		fold.setAttribute("aria-label", p.fold ? "Unfold" : "Fold");
		fold.title = p.fold ? "Unfold" : "Fold";
		const focused = tabs.contains(document.activeElement), heat = p.tab === "heat" || ofHistograms(answer?.data, p.expr);
		put(tabs, TABS.filter(([name]) => name !== "heat" || heat).map(([name, text]) => h("button", {role: "tab", class: "k-tab", id: `${id}-${name}`, "aria-selected": String(p.tab === name),
			"aria-controls": body.id, tabindex: p.tab === name ? "0" : "-1", onclick: () => choose(name)}, text)));
		if (focused) tabs.querySelector("[aria-selected=true]").focus();
		body.setAttribute("aria-labelledby", `${id}-${p.tab}`);
	}

	function tabKey(e) {
		const way = {ArrowRight: 1, ArrowLeft: -1}[e.key];
		if (!way) return;
		e.preventDefault();
		const all = [...tabs.children], next = all[(all.findIndex(b => b.getAttribute("aria-selected") === "true") + way + all.length) % all.length];
		choose(next.id.slice(id.length + 1));
	}

	function choose(tab) {
		if (tab === p.tab) return;
		const same = answer && kind === "range" && isRange(tab) && isRange(p.tab);
		change({tab}, same);
	}

	const need = () => (p.tab === "table" ? "instant" : isRange(p.tab) ? "range" : kind);

	/* again: what was run before, whatever is being written meanwhile. */
	me.run = async ({again = false} = {}) => {
		abort?.abort();
		asking?.abort();
		if (!again) {
			p.expr = ed.value;
			p.fold = false;
			host.changed(me, {time: false});
			frame();
		}
		if (ed.value === p.expr) ed.setError(null);
		if (!p.expr.trim()) return rest();
		kind = need();
		const now = serverNow(), request = requestOf(p, kind, now, host.least());
		if (!again) remember(p.expr);
		const mine = abort = new AbortController();
		begin();
		try {
			if (p.tab === "explain") await doExplain(request, mine.signal);
			else {
				const traced = p.tab === "trace", more = traced ? {stats: "all", trace: "1"} : {};
				const expected = traced ? await expect(request, mine.signal) : null;
				const got = await ask(request.path, {...request.params, ...more}, {signal: mine.signal});
				if (mine !== abort) return undefined;
				took = performance.now() - began;
				answer = traced ? {...got, expected} : got;
				asked = {...timesOf(p, now, host.least()), expr: p.expr, kind};
				if (kind === "instant") asked.start = asked.end = p.end ?? now;
				drawTabs();
				await show();
				if (!again) say(summary());
				if (!data().length && p.tab !== "trace") explainNothing();
			}
		} catch (e) {
			if (mine !== abort) return undefined;
			if (gone(e)) stopped();
			else failed(e);
		}
		if (mine === abort) end();
		return undefined;
	};

	const data = () => answer?.data?.result ?? [];
	let began = 0;

	/* Cancelled by the reader, who can see it; a run that another takes the place of says nothing. */
	me.cancel = () => abort?.abort();

	function begin() {
		began = performance.now();
		me.busy = true;
		me.el.classList.add("k-busy");
		clearInterval(timer);
		timer = setInterval(() => {
			const s = (performance.now() - began) / 1000;
			if (s < 0.3) return;
			put(runButton, "Cancel");
			put(status, `Running, ${s.toFixed(1)} s`);
		}, TICK_MS);
	}

	function end() {
		abort = null;
		me.busy = false;
		clearInterval(timer);
		me.el.classList.remove("k-busy");
		put(runButton, "Run");
		put(status, answer ? summary() : "");
	}

	/* What was there before stays. */
	function stopped() {
		say("Cancelled");
		put(notes, h("div", {class: "k-note"}, "Cancelled after ", ofSeconds((performance.now() - began) / 1000), "."));
	}

	function failed(e) {
		const at = place(e.message, p.expr);
		if (at && ed.value === p.expr) ed.setError({message: spoken(e.message), ...at});
		answer = null;
		put(notes, errorBox(e, p, {change, run: () => me.run()}));
		body.replaceChildren();
	}

	/* Nothing to ask. */
	function rest() {
		abort = answer = null;
		end();
		frame();
		put(notes);
		put(body, h("p", {class: "k-dim k-start"}, "Type an expression, or choose one of the metrics."));
		return undefined;
	}

	async function explainNothing() {
		asking = new AbortController();
		const {signal} = asking;
		const range = {start: asked.start - (kind === "instant" ? 300e3 : 0), end: asked.end};
		try {
			const hints = await whyEmpty({...p}, range, serverNow(), {ask, lines}, signal);
			if (answer && !data().length && !signal.aborted) put(notes, noticeBoxes(answer, asked.expr), hintBox(hints, p, host.zone(), {change, run: () => me.run()}));
		} catch {
			/* a hint that cannot be had is none */
		}
	}

	async function doExplain(request, signal) {
		explain ??= explainView({zone: host.zone, signal});
		put(notes);
		answer = null;
		put(body, explain.el);
		await explain.load({...request, signal});
	}

	/* What it is expected to cost, to stand beside what it did; null where that cannot be had. */
	async function expect(request, signal) {
		try {
			return (await ask(request.path, {...request.params, explain: "1", nocache: "1"}, {signal})).data;
		} catch (e) {
			if (gone(e)) throw e;
			return null;
		}
	}

	async function showTrace(mine) {
		trace ??= traceView();
		if (mine !== answer || p.tab !== "trace") return;
		put(body, trace.el);
		trace.set(answer.trace, answer.data?.stats, answer.expected);
	}

	async function showPicture(mine) {
		drawn ??= picture({zone: host.zone, onZoom: zoom, onHeat: () => choose("heat")});
		if (mine !== answer || !isRange(p.tab)) return;
		put(body, drawn.el);
		await drawn.show(answer.data.result, {...asked, from: asked.start, to: asked.end, heat: p.tab === "heat", stacked: p.stacked, log: p.log, zero: p.zero,
			onFit: p.end === null ? range => change({range}) : null});
	}

	/* Out of a zoom is what was before it, also that it ended now and went on with it. */
	function zoom(from, to) {
		const {range, end} = p, before = zooms.get(`${from} ${to}`);
		zooms.set(`${asked.start} ${asked.end}`, {range, end});
		change(before ?? zoomed(from, to));
	}

	/* The answer, in the tab that is chosen. */
	async function show() {
		if (!answer || p.fold) return undefined;
		const type = answer.data?.resultType;
		put(notes, noticeBoxes(answer, asked.expr), !data().length && p.tab !== "trace" ? h("div", {class: "k-note k-empty"}, h("b", null, "Nothing found")) : null);
		if (p.tab === "trace") return showTrace(answer);
		if (!data().length) return body.replaceChildren();
		if (p.tab === "table") {
			table.show(answer.data, asked.expr);
			return put(body, table.el);
		}
		if (type !== "matrix") return put(body, h("p", {class: "k-dim"}, "This is no graph."));
		return showPicture(answer);
	}

	function summary() {
		return [p.tab === "table" && data().length ? "" : `${count(data().length)} series`, kind === "range" ? `step ${printDuration(stepOf(p, host.least()))}` : "", ofSeconds(took / 1000)].filter(Boolean).join(" \u00b7 ");
	}

	/* Another state: of the address, or of a time that all panels share. Asks again only where it must; what is being written
	 * stays where the expression is the same. */
	me.set = next => {
		const other = next.expr !== p.expr, same = !other && ["range", "end", "density", "step"].every(k => next[k] === p[k]) && (next.tab === p.tab || (isRange(next.tab) && isRange(p.tab)));
		p = me.state = next;
		if (other) ed.value = p.expr;
		frame();
		if (same) show().catch(failed);
		else me.run({again: true});
	};

	me.anew = () => {
		abort?.abort();
		asking?.abort();
		answer = null;
		end();
		put(notes);
		put(body);
		if (p.fold) frame();
		else me.run({again: true});
	};

	me.redraw = () => {
		frame();
		table.redraw();
		if (isRange(p.tab)) show().catch(failed);
	};

	me.insert = (text, whole) => {
		const area = ed.el.querySelector("textarea");
		if (whole) replace(area, 0, area.value.length, text);
		else replace(area, area.selectionStart, area.selectionEnd, text);
		if (whole) me.run();
	};
	me.focus = () => ed.focus();
	/* What it is called among the others. */
	me.name = text => {
		heading.textContent = text;
		me.el.setAttribute("aria-label", text);
	};
	me.destroy = () => {
		abort?.abort();
		asking?.abort();
		abort = null;
		clearInterval(timer);
		drawn?.destroy();
		ed.destroy();
		me.el.remove();
	};

	frame();
	if (!p.expr.trim()) rest();
	return me;
}
