/* Mouse, fingers and keys of a graph, told as what they mean. Its place takes the focus; a click
 * does nothing.
 *
 *	gesture(stage, {inside(x), cross(x, y, touch), leave(), band(x1, x2), choose(x1, x2), pan(dx), panned(), pinch(x1, x2, y1, y2),
 *		pinched(), out(), key(name, shift)}) -> stop()
 *
 * x and y are in CSS pixels of stage; band(null) takes the band away; key() is true when it was of
 * use. */

const DRAG = 5; // pixels that a hand may tremble

export function gesture(stage, on) {
	const fingers = new Map();
	const controller = new AbortController();
	const listen = (type, fn, more) => stage.addEventListener(type, fn,
		{signal: controller.signal, ...more});
	const place = e => {
		const r = stage.getBoundingClientRect();
		return [e.clientX - r.left, e.clientY - r.top];
	};
	let drag = null; // of the mouse: {x, last, pan, moving}
	let two = null; // of two fingers: their x where they began

	const stop = () => {
		if (drag?.moving) drag.pan ? on.panned() : on.band(null);
		drag = null;
	};
	listen("pointerdown", e => {
		const [x, y] = place(e);
		if (e.pointerType === "touch") {
			fingers.set(e.pointerId, x);
			if (fingers.size === 2) two = [...fingers.values()].sort((a, b) => a - b), on.leave();
			else if (fingers.size === 1) on.cross(x, y, true);
			return;
		}
		if (e.button !== 0 || !on.inside(x)) return;
		drag = {x, last: x, pan: e.shiftKey, moving: false};
		try {
			stage.setPointerCapture(e.pointerId);
		} catch { /* made by a test, not by a hand */ }
		stage.focus({preventScroll: true});
		e.preventDefault();
	});
	listen("pointermove", e => {
		const [x, y] = place(e);
		if (e.pointerType === "touch") {
			if (!fingers.has(e.pointerId)) return;
			fingers.set(e.pointerId, x);
			if (two && fingers.size === 2) {
				const now = [...fingers.values()].sort((a, b) => a - b);
				on.pinch(two[0], two[1], now[0], now[1]);
			} else if (!two) on.cross(x, y, true);
			return;
		}
		if (!drag) return on.cross(x, y, false);
		drag.moving ||= Math.abs(x - drag.x) >= DRAG;
		if (!drag.moving) return;
		if (drag.pan) on.pan(x - drag.last);
		else on.band(drag.x, x);
		drag.last = x;
	});
	listen("pointerup", e => {
		if (e.pointerType === "touch") {
			if (two && fingers.size === 2) on.pinched();
			fingers.delete(e.pointerId);
			if (!fingers.size) two = null;
			return;
		}
		const d = drag;
		stop();
		if (d?.moving && !d.pan) on.choose(d.x, place(e)[0]);
	});
	listen("pointercancel", e => {
		fingers.delete(e.pointerId);
		if (!fingers.size) two = null;
		stop();
	});
	listen("pointerleave", e => {
		if (!drag && e.pointerType !== "touch") on.leave();
	});
	listen("dblclick", e => {
		if (on.inside(place(e)[0])) on.out();
	});
	listen("blur", () => on.leave());
	listen("keydown", e => {
		if (e.ctrlKey || e.metaKey || e.altKey) return;
		if (e.key === "Escape" && drag) {
			drag.moving = drag.moving && drag.pan;
			on.band(null);
			stop();
		} else if (!on.key(e.key, e.shiftKey)) return;
		e.preventDefault();
		e.stopPropagation();
	});
	return () => controller.abort();
}
