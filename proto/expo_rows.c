#include "proto/expo_rows.h"

#include "core/base/buf.h"
#include "proto/omet.h"

#define LINE_BYTES 4096u

/* Metadata of the family that is told of at present. */
struct told {
	struct buf family, help, unit;
	enum expo_type type;
	bool any;
};
struct own {
	struct arena scratch; /* of a line */
	struct told told;
	struct omet o; /* o.x alone is used for text */
	bool begun;
	uint64_t line;
};

static struct own *own_of(struct decode *d)
{
	struct own *w = d->own;
	if (w)
		return w;
	d->own = w = arena_zalloc(d->keep, sizeof(*w));
	arena_init(&w->scratch, LINE_BYTES);
	buf_init(&w->told.family);
	buf_init(&w->told.help);
	buf_init(&w->told.unit);
	w->line = 1;
	return w;
}

static void rows_end(struct decode *d)
{
	struct own *w = d->own;
	buf_release(&w->told.family);
	buf_release(&w->told.help);
	buf_release(&w->told.unit);
	arena_release(&w->scratch);
}

/* ---- metadata ---- */

static const char *kept(struct decode *d, const struct buf *b, uint32_t *len)
{
	*len = (uint32_t)b->len;
	return b->len ? arena_dup(d->arena, b->data, b->len) : "";
}

static void told_done(struct decode *d, struct own *w)
{
	struct told *t = &w->told;
	if (!t->any)
		return;
	struct batch_meta *m = batch_add_meta(d->batch);
	*m = (struct batch_meta){ .type = (uint8_t)t->type };
	m->family = kept(d, &t->family, &m->family_len);
	m->help = kept(d, &t->help, &m->help_len);
	m->unit = kept(d, &t->unit, &m->unit_len);
	buf_clear(&t->family);
	buf_clear(&t->help);
	buf_clear(&t->unit);
	t->type = EXPO_UNKNOWN;
	t->any = false;
}

static void set(struct own *w, struct buf *to, const char *s, size_t len, bool quotes)
{
	size_t n;
	const char *text = expo_unescape(&w->scratch, s, len, quotes, &n);
	buf_clear(to);
	buf_add(to, text, n);
}

static void meta(struct decode *d, struct own *w, enum expo_entry e, bool openmetrics)
{
	const struct expo *x = &w->o.x;
	struct told *t = &w->told;
	size_t n;
	const char *family = expo_unescape(&w->scratch, x->family, x->family_len, true, &n);
	if (t->any && !bytes_equal(family, n, (const char *)t->family.data, t->family.len))
		told_done(d, w);
	if (!t->any)
		buf_add(&t->family, family, n);
	t->any = true;
	if (e == EXPO_HELP)
		set(w, &t->help, x->text, x->text_len, openmetrics);
	else if (e == EXPO_UNIT)
		set(w, &t->unit, x->text, x->text_len, false);
	else
		t->type = x->type;
	arena_reset(&w->scratch, SIZE_MAX);
}

/* ---- samples ---- */

static int64_t time_of(const struct decode *d, const struct expo *x)
{
	const struct expo_opts *opts = d->opts;
	if (x->timed)
		return x->t_ms;
	return opts && opts->t_ms ? opts->t_ms : d->now_ms;
}

static bool labels_of(
    struct decode *d, struct own *w, enum expo_form form, struct labels *out, const char **bad)
{
	const struct expo *x = &w->o.x;
	struct expo_labels ls;
	bool good = expo_labels(&w->scratch, form, x->series, x->series_len, x->type, &ls, bad) &&
	    expo_encode(d->arena, &ls, out, bad);
	arena_reset(&w->scratch, SIZE_MAX);
	return good;
}

static struct batch_row *row_add(struct decode *d, const struct expo *x, const struct labels *ls)
{
	struct batch_row *row = batch_add(d->batch);
	*row =
	    (struct batch_row){ .labels = ls->bytes, .labels_len = ls->len, .t_ms = time_of(d, x) };
	row->v = x->v;
	return row;
}

static bool text_sample(struct decode *d, struct own *w, const char **bad)
{
	struct labels ls;
	told_done(d, w);
	if (!labels_of(d, w, EXPO_TEXT, &ls, bad))
		return false;
	(void)row_add(d, &w->o.x, &ls);
	return true;
}

static bool exemplar(struct decode *d, struct own *w, const struct labels *ls, const char **bad)
{
	struct expo_labels own;
	struct labels own_bytes;
	const struct omet *o = &w->o;
	if (!omet_exemplar(&w->scratch, o, &own, bad) ||
	    !expo_encode(d->arena, &own, &own_bytes, bad))
		return false;
	arena_reset(&w->scratch, SIZE_MAX);
	*batch_add_exemplar(d->batch) = (struct batch_exemplar){ .labels = ls->bytes,
		.own = own_bytes.bytes,
		.labels_len = ls->len,
		.own_len = own_bytes.len,
		.t_ms = o->exemplar_timed ? o->exemplar_t_ms : time_of(d, &o->x),
		.v = o->exemplar_v };
	return true;
}

static bool omet_sample(struct decode *d, struct own *w, const char **bad)
{
	const struct omet *o = &w->o;
	struct labels ls;
	told_done(d, w);
	if (!labels_of(d, w, EXPO_OPENMETRICS, &ls, bad))
		return false;
	if (!o->created || !o->start_line) {
		struct batch_row *row = row_add(d, &o->x, &ls);
		if (o->created && o->start_ms) {
			struct batch_extra *extra = arena_alloc(d->arena, sizeof(*extra));
			*extra = (struct batch_extra){ .v = o->x.v, .start_ms = o->start_ms };
			batch_row_extra(d->batch, row, extra);
		}
	}
	return !o->exemplar || exemplar(d, w, &ls, bad);
}

/* ---- whole texts ---- */

static enum err whole_bad(const struct expo *x, const char *bad, const char *at, struct errbuf *eb)
{
	expo_say(x, bad, at, eb);
	return ERR_MALFORMED;
}

static enum err whole_next(
    struct decode *d, const uint8_t **p, const uint8_t *end, bool openmetrics, struct errbuf *eb)
{
	struct own *w = own_of(d);
	const struct expo_opts *opts = d->opts;
	struct expo *x = &w->o.x;
	const char *from = (const char *)*p;
	enum expo_entry e = EXPO_COMMENT;
	if (!w->begun)
		omet_init(&w->o, from, (size_t)((const char *)end - from), opts && opts->created);
	w->begun = true;
	while (e != EXPO_END && !decode_full(d) && x->p - from < (ptrdiff_t)DECODE_TURN) {
		const char *bad = NULL;
		e = openmetrics ? omet_next(&w->o) : expo_next(x);
		if (e == EXPO_BAD)
			return whole_bad(x, x->bad, x->at, eb);
		if (e == EXPO_HELP || e == EXPO_TYPE || e == EXPO_UNIT)
			meta(d, w, e, openmetrics);
		if (e != EXPO_SAMPLE)
			continue;
		d->records++;
		if (!(openmetrics ? omet_sample(d, w, &bad) : text_sample(d, w, &bad)))
			return whole_bad(x, bad, x->series, eb);
	}
	if (e == EXPO_END)
		told_done(d, w);
	*p = e == EXPO_END ? end : (const uint8_t *)x->p;
	return ERR_OK;
}

static enum err expo_whole(
    struct decode *d, const uint8_t **p, const uint8_t *end, bool last, struct errbuf *eb)
{
	(void)last;
	return whole_next(d, p, end, false, eb);
}

static enum err omet_whole(
    struct decode *d, const uint8_t **p, const uint8_t *end, bool last, struct errbuf *eb)
{
	(void)last;
	return whole_next(d, p, end, true, eb);
}

/* ---- lines ---- */

static void line_bad(struct decode *d, const struct expo *x, const char *bad, const char *at)
{
	struct errbuf eb;
	if (d->bad) {
		d->bad++;
		return;
	}
	errbuf_init(&eb);
	expo_say(x, bad, at, &eb);
	decode_bad(d, "%s", eb.text);
}

static void line_take(struct decode *d, struct own *w, const char *line, size_t len)
{
	struct expo *x = &w->o.x;
	enum expo_type type = x->type; /* that of the lines before */
	const char *bad;
	expo_init_import(x, line, len, w->line++);
	x->type = type;
	bool comment = x->p < x->end && *x->p == '#';
	enum expo_entry e = expo_next(x);
	if (e == EXPO_HELP || e == EXPO_TYPE) {
		meta(d, w, e, false);
	} else if (e == EXPO_SAMPLE) {
		d->records++;
		if (!text_sample(d, w, &bad))
			line_bad(d, x, bad, x->series);
	} else if (e == EXPO_BAD && !comment) {
		d->records++;
		line_bad(d, x, x->bad, x->at);
	}
}

static enum err import_next(
    struct decode *d, const uint8_t **p, const uint8_t *end, bool last, struct errbuf *eb)
{
	struct own *w = own_of(d);
	const uint8_t *from = *p;
	(void)eb;
	while (*p < end && !decode_full(d) && *p - from < (ptrdiff_t)DECODE_TURN) {
		const uint8_t *lf = memchr(*p, '\n', (size_t)(end - *p));
		if (!lf && !last)
			break;
		const uint8_t *stop = lf ? lf : end;
		line_take(d, w, (const char *)*p, (size_t)(stop - *p));
		*p = lf ? lf + 1 : end;
	}
	if (last && *p == end)
		told_done(d, w);
	return ERR_OK;
}

const struct decoder expo_import_decoder = { "line", true, import_next, rows_end };
const struct decoder expo_decoder = { "line", false, expo_whole, rows_end };
const struct decoder omet_decoder = { "line", false, omet_whole, rows_end };
