/* The axis of time: ticks at round instants, of this place ("local") or of UTC, across changes of
 * the clock.
 *
 *	timeTicks(from, to, n, zone) -> [{time, text, more}]    at most about n of them, ascending, from <= time <= to (ms)
 *
 * text is what changes from tick to tick; more is what the reader knows after that ("Sun
 * 2026-11-29" below hours, the year below days), on the first tick and where it changes. */

const S = 1000, MIN = 60 * S, H = 60 * MIN, D = 24 * H;
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, S, 2 * S, 5 * S, 10 * S, 15 * S, 30 * S, MIN, 2 * MIN,
	5 * MIN, 10 * MIN, 15 * MIN, 30 * MIN, H, 2 * H, 3 * H, 6 * H, 12 * H];
const DAYS = [1, 2, 5, 10], MONTHS = [1, 2, 3, 6];
const WEEK = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const YEAR = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const two = n => String(n).padStart(2, "0");

/* What a clock on the wall shows. */
export function wall(time, zone) {
	const d = new Date(time);
	return zone === "utc"
		? {y: d.getUTCFullYear(), mo: d.getUTCMonth(), d: d.getUTCDate(), w: d.getUTCDay(),
			h: d.getUTCHours(), mi: d.getUTCMinutes(), s: d.getUTCSeconds(),
			ms: d.getUTCMilliseconds()}
		: {y: d.getFullYear(), mo: d.getMonth(), d: d.getDate(), w: d.getDay(), h: d.getHours(),
			mi: d.getMinutes(), s: d.getSeconds(), ms: d.getMilliseconds()};
}

/* When a day of it begins; months and days may run over. */
function dayStart(y, mo, d, zone) {
	const t = zone === "utc" ? new Date(Date.UTC(2000, 0, 1)) : new Date(2000, 0, 1);
	if (zone === "utc") t.setUTCFullYear(y, mo, d);
	else t.setFullYear(y, mo, d);
	return t.getTime();
}

const ofDay = w => ((w.h * 60 + w.mi) * 60 + w.s) * 1000 + w.ms;

/* Steps below a day: instants go on evenly, but stand where the wall's clock is round; after a
 * change of the clock by what is no multiple of the step they are put right. */
function within(from, to, step, zone) {
	const round = t => ofDay(wall(t, zone)) % step;
	const times = [];
	let t = Math.floor(from) - round(Math.floor(from));
	for (let i = 0; t <= to && i < 1000; i++) {
		const off = round(t);
		if (off) t = times.length && !round(t - off)
			&& t - off > times.at(-1) ? t - off : t + step - off;
		if (round(t)) t += step - round(t);
		if (t >= from && t <= to) times.push(t);
		t += step;
	}
	return times;
}

function days(from, to, step, zone) {
	const w = wall(from, zone), times = [];
	for (let y = w.y, mo = w.mo; ; mo++) {
		for (let d = 1; d <= 31; d += step) {
			const t = dayStart(y, mo, d, zone), last = dayStart(y, mo + 1, 1, zone);
			if (t >= last || (step > 1 && last - t < step * D * 0.6)) break;
			if (t > to) return times;
			if (t >= from) times.push(t);
		}
	}
}

function months(from, to, step, zone) {
	const times = [];
	for (let mo = wall(from, zone).y * 12; ; mo += step) {
		const t = dayStart(Math.floor(mo / 12), mo % 12, 1, zone);
		if (!(t <= to) || times.length > 200) return times;
		if (t >= from) times.push(t);
	}
}

function years(from, to, step, zone) {
	const times = [];
	for (let y = Math.floor(wall(from, zone).y / step) * step; ; y += step) {
		const t = dayStart(y, 0, 1, zone);
		if (!(t <= to) || times.length > 200) return times;
		if (t >= from) times.push(t);
	}
}

export function timeTicks(from, to, n, zone = "local") {
	if (!(to > from) || n < 1) return [];
	const raw = (to - from) / n;
	const step = STEPS.find(s => s >= raw);
	if (step) return texts(within(from, to, step, zone), step, zone);
	const day = DAYS.find(d => d * D >= raw);
	if (day) return texts(days(from, to, day, zone), D, zone);
	const month = MONTHS.find(m => m * 30 * D >= raw);
	if (month) return texts(months(from, to, month, zone), 30 * D, zone);
	const power = 10 ** Math.floor(Math.log10(raw / (365 * D)));
	const year = Math.max(1, [1, 2, 5, 10].map(k => k * power).find(k => k * 365 * D >= raw) ?? 1);
	return texts(years(from, to, Math.ceil(year), zone), 365 * D, zone);
}

function texts(times, step, zone) {
	let before = null;
	return times.map(time => {
		const w = wall(time, zone);
		const date = `${WEEK[w.w]} ${w.y}-${two(w.mo + 1)}-${two(w.d)}`;
		const text = step >= 365 * D ? String(w.y)
			: step >= 30 * D ? YEAR[w.mo]
				: step >= D ? `${YEAR[w.mo]} ${w.d}`
					: `${two(w.h)}:${two(w.mi)}${step < MIN ? `:${two(w.s)}` : ""}${step < S ? `.${String(w.ms).padStart(3, "0")}` : ""}`;
		const known = step >= 365 * D ? "" : step >= D ? String(w.y) : date;
		const more = known === before ? "" : known;
		before = known;
		return {time, text, more};
	});
}
