/*
 * when - durations and instants (ticks of time: chart/timeticks). Instants are Unix milliseconds, durations milliseconds; zone is "local"
 * (the browser's) or "utc".
 */
let skew = 0;
/* Now, by the server's clock where this browser's is far from it: setSkew(ms that the server is ahead), by ask. */
export const serverNow = () => Date.now() + skew;
export const setSkew = (ms) => { skew = ms; };

const UNITS = [["y", 31536000000], ["w", 604800000], ["d", 86400000], ["h", 3600000], ["m", 60000], ["s", 1000], ["ms", 1]];
const DURATION = /^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/;

/*
 * As Prometheus reads it: "1h30m", units from large to small, each once; also seconds as a number ("90", "0.5").
 * null: it is none.
 */
export const parseDuration = (text) => {
	const t = text.trim();
	if (/^\d+(\.\d+)?$/.test(t))
		return Math.round(Number(t) * 1000);
	const m = t && DURATION.exec(t);
	return m ? UNITS.reduce((sum, [, size], i) => sum + Number(m[i + 1] ?? 0) * size, 0) : null;
};

/* As Prometheus prints it: 5400000 is "1h30m"; years and weeks only where nothing is left of them. */
export const printDuration = (ms) => {
	if (!(ms > 0))
		return ms < 0 ? "-" + printDuration(-ms) : "0s";
	let left = Math.round(ms), out = "";
	for (const [name, size] of UNITS) {
		if ((name === "y" || name === "w") && left % size)
			continue;
		const n = Math.floor(left / size);
		if (n)
			out += n + name;
		left -= n * size;
	}
	return out || "0s";
};

const pad = (n, width = 2) => String(n).padStart(width, "0");
const part = (ms, zone) => {
	const d = new Date(ms);
	return zone === "utc"
		? {y: d.getUTCFullYear(), mo: d.getUTCMonth() + 1, d: d.getUTCDate(), h: d.getUTCHours(), mi: d.getUTCMinutes(), s: d.getUTCSeconds(), ms: d.getUTCMilliseconds()}
		: {y: d.getFullYear(), mo: d.getMonth() + 1, d: d.getDate(), h: d.getHours(), mi: d.getMinutes(), s: d.getSeconds(), ms: d.getMilliseconds()};
};

/*
 * "2026-11-29 08:05:00" in this zone. opts.ms: with milliseconds where there are some; opts.seconds false: to the minute;
 * opts.offset: with the zone behind it ("+01:00", "UTC").
 */
export const printTime = (ms, zone = "local", opts = {}) => {
	if (!Number.isFinite(ms) || Math.abs(ms) > 8.64e15)
		return String(ms);
	const p = part(ms, zone);
	let out = `${pad(p.y, 4)}-${pad(p.mo)}-${pad(p.d)} ${pad(p.h)}:${pad(p.mi)}`;
	if (opts.seconds !== false)
		out += `:${pad(p.s)}`;
	if (opts.ms && p.ms)
		out += `.${pad(p.ms, 3)}`;
	return opts.offset ? `${out} ${printOffset(ms, zone)}` : out;
};

export const printOffset = (ms, zone) => {
	if (zone === "utc")
		return "UTC";
	const m = -new Date(ms).getTimezoneOffset(), a = Math.abs(m);
	return `${m < 0 ? "-" : "+"}${pad(Math.floor(a / 60))}:${pad(a % 60)}`;
};

/* For the API: seconds with milliseconds, no exponent. */
export const seconds = (ms) => (ms / 1000).toFixed(3).replace(/\.?0+$/, "");

const CLOCK = /^(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?)?$/;
const ZONED = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$/i;

/* The instant of a clock on the wall. Date rolls over what is no day (30 February): such a text is none. */
const ofClock = (m, zone) => {
	const [y, mo, d, h, mi, s] = m.slice(1, 7).map((x) => Number(x ?? 0));
	const ms = m[7] ? Math.round(Number(m[7]) * 1000) : 0;
	const date = zone === "utc" ? new Date(Date.UTC(y, mo - 1, d, h, mi, s, ms)) : new Date(y, mo - 1, d, h, mi, s, ms);
	if (y < 100)
		return null;
	const back = part(date.getTime() - (ms === 1000 ? 1000 : 0), zone);
	return back.mo === mo && back.d === d && h < 24 && mi < 60 && s < 60 ? date.getTime() : null;
};

/*
 * "now", "now-1h", "now+5m", Unix seconds ("1700000000.5") or milliseconds (from 1e11 on), RFC 3339 with a zone, or a
 * date and time of this zone ("2026-11-29 08:05"). null: it is none.
 */
export const parseTime = (text, zone = "local", now = serverNow()) => {
	const t = text.trim();
	const rel = /^now\s*(?:([+-])\s*(\S+))?$/i.exec(t);
	if (rel) {
		const d = rel[2] ? parseDuration(rel[2]) : 0;
		return d === null ? null : now + (rel[1] === "-" ? -d : d);
	}
	if (/^-?\d+(\.\d+)?$/.test(t)) {
		const n = Number(t);
		return Math.round(Math.abs(n) >= 1e11 ? n : n * 1000);
	}
	if (ZONED.test(t)) {
		const ms = Date.parse(t.replace(" ", "T").replace(/([+-]\d\d)(\d\d)$/, "$1:$2").toUpperCase());
		return Number.isNaN(ms) ? null : ms;
	}
	const m = CLOCK.exec(t);
	return m ? ofClock(m, zone) : null;
};

/* "3 minutes ago", "in 2 hours", "now"; for the eye, not for machines. */
export const ago = (ms, now = serverNow()) => {
	const d = Math.abs(now - ms);
	const [name, size] = [["year", 31536000000], ["day", 86400000], ["hour", 3600000], ["minute", 60000], ["second", 1000]].find(([, s]) => d >= s) ?? [];
	if (!name)
		return "now";
	const n = Math.floor(d / size), text = `${n} ${name}${n === 1 ? "" : "s"}`;
	return ms > now ? `in ${text}` : `${text} ago`;
};
