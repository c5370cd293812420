/*
 * ctlsrc_lines - /api/v1/export: JSON lines.
 */
#include <string.h>

#include "net/ctl/ctlsrc_priv.h"

#define ROWS           8192u
#define ROWS_TEXT      "10000" /* of a line: the server cuts series that have more */
#define LINE_MAX_BYTES ((size_t)256 << 20)

static void ask(struct ctlsrc *s)
{
	struct buf sel;
	char text[32];
	buf_init(&sel);
	ctlsel_text(&sel, s->piece.sel);
	ctlhttp_param_len(&s->body, "match[]", (const char *)sel.data, sel.len);
	text[num_fmt_ts(s->piece.from_ms, text)] = 0;
	ctlhttp_param(&s->body, "start", text);
	text[num_fmt_ts(s->piece.to_ms, text)] = 0;
	ctlhttp_param(&s->body, "end", text);
	ctlhttp_param(&s->body, "max_rows_per_line", ROWS_TEXT);
	buf_release(&sel);
	s->call.path = "/api/v1/export";
	s->whole = false;
}

/* Samples of the line at hand, until one does not go on where the last ended. */
static enum ctlsrc_take rows(struct ctlsrc *s)
{
	struct errbuf eb;
	errbuf_init(&eb);
	column_clear(&s->col);
	for (;;) {
		if (s->row == s->rows.rows_count) {
			batch_clear(&s->rows);
			s->row = 0;
			if (s->col.count >= CTLSRC_ITEM_SAMPLES || !s->line.left)
				break;
			if (importl_rows(&s->line, &s->rows, ROWS, &eb))
				return ctlsrc_bad(s, "a line cannot be read: %s", eb.text);
		}
		column_reserve(&s->col, (uint32_t)(s->rows.rows_count - s->row));
		while (s->row < s->rows.rows_count) {
			const struct batch_row *r = &s->rows.rows[s->row];
			if (!ctlsrc_ascends(s, r->t_ms))
				return TAKE_ITEM;
			s->col.t_ms[s->col.count] = r->t_ms;
			s->col.v[s->col.count++] = r->v;
			s->row++;
		}
	}
	s->in_line = s->line.left > 0;
	if (!s->in_line)
		s->at += s->line_len;
	return s->col.count ? TAKE_ITEM : TAKE_MORE;
}

static enum ctlsrc_take open_line(struct ctlsrc *s, bool ended)
{
	struct errbuf eb;
	errbuf_init(&eb);
	const char *line = (const char *)s->in.data + s->at;
	size_t left = s->in.len - s->at;
	const char *stop = left ? memchr(line, '\n', left) : NULL;
	if (!stop && !ended)
		return left > LINE_MAX_BYTES ? ctlsrc_bad(s, "a line is too long") : TAKE_MORE;
	size_t len = stop ? (size_t)(stop - line) : left;
	s->line_len = len + (stop != NULL);
	if (!len) {
		s->at += s->line_len;
		return TAKE_ITEM;
	}
	arena_reset(&s->arena, 1u << 20);
	if (importl_begin(&s->arena, line, len, &s->line, &eb))
		return ctlsrc_bad(s, "a line is none of an export: %s: %.*s", eb.text,
		    len < 200 ? (int)len : 200, line);
	s->in_line = s->line.left &&
	    ctlsrc_labels(s, (struct labels){ .bytes = s->line.labels, .len = s->line.labels_len });
	if (!s->in_line)
		s->at += s->line_len;
	return TAKE_ITEM;
}

static enum ctlsrc_take take(struct ctlsrc *s, bool ended)
{
	for (;;) {
		if (s->in_line || s->row < s->rows.rows_count) {
			enum ctlsrc_take got = rows(s);
			if (got != TAKE_MORE)
				return got;
			continue;
		}
		if (s->at == s->in.len)
			return TAKE_MORE;
		enum ctlsrc_take got = open_line(s, ended);
		if (got != TAKE_ITEM)
			return got;
	}
}

const struct ctlsrc_ops ctlsrc_lines = { .name = "export", .ask = ask, .take = take };
