/*
 * mistake - where in the text an error of the server is: it says line and column of UTF-8, the page marks letters.
 *
 * mistake(text, error) -> {message, from, to}: from an AskError, or from what has from and to already.
 * unfinished(text, error): is it that the text ends too early?
 */
import { tokens } from "./lexer.js";

const LEAD = /^(?:invalid parameter "query": )?(\d+):(\d+): parse error: /;
const VARIABLE = /^\$(?:\{|\w)/;

const bytes = (code) => code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

/* The offset of a line and a column of bytes, both from 1. */
export const offsetOf = (text, line, column) => {
	let at = 0;
	for (let n = 1; n < line; n++) {
		const next = text.indexOf("\n", at);
		if (next < 0)
			return text.length;
		at = next + 1;
	}
	for (let n = 1; n < column && at < text.length; ) {
		const code = text.codePointAt(at);
		n += bytes(code);
		at += code > 0xffff ? 2 : 1;
	}
	return at;
};

/* The place of an error; null: the server names none. */
const positionOf = (text, error) => {
	const [, line, column] = LEAD.exec(error.message) ?? [null, error.position?.line, error.position?.column];
	return line ? offsetOf(text, Number(line), Number(column)) : null;
};

export const unfinished = (text, error) =>
	/unexpected end of|unterminated|unclosed|not terminated/.test(error.message) || (positionOf(text, error) ?? -1) >= text.trimEnd().length;

export const mistake = (text, error) => {
	let message = String(error.message ?? error).replace(LEAD, "");
	if (Number.isInteger(error.from))
		return { message, from: error.from, to: error.to ?? error.from + 1 };
	const at = positionOf(text, error), toks = tokens(text);
	if (at === null)
		return { message, from: 0, to: 0 };
	/* The token there; behind the last one, that. */
	const t = toks.find((k) => k.to > at) ?? toks.at(-1);
	if (t && VARIABLE.test(text.slice(t.from, t.to)))
		message += `; variables of dashboards, like ${text.slice(t.from, Math.min(t.to, t.from + 40))}, have no value here`;
	return { message, from: t ? Math.min(t.from, at) : 0, to: t ? t.to : text.length };
};
