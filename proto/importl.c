#include "proto/importl.h"

#include "core/base/buf.h"
#include "core/base/json.h"
#include "core/base/num.h"
#include "core/base/rune.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

struct scan {
	const char *p, *end, *line;
	struct errbuf *eb;
};

static enum err wrong(const struct scan *s, const char *what)
{
	return errbuf_set(
	    s->eb, ERR_MALFORMED, "%s, at byte %zu of the line", what, (size_t)(s->p - s->line));
}

static void blanks(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\r' || *s->p == '\n'))
		s->p++;
}

/* Behind blanks, if it is the next. */
static bool next_is(struct scan *s, char c)
{
	blanks(s);
	if (s->p >= s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

/* --- strings --- */

/* The raw inside of a string; its escapes are looked at when it is taken. */
static enum err raw_string(struct scan *s, const char **out, size_t *len)
{
	if (!next_is(s, '"'))
		return wrong(s, "a string should stand here");
	*out = s->p;
	for (; s->p < s->end && *s->p != '"'; s->p++) {
		if ((unsigned char)*s->p < 0x20)
			return wrong(s, "a control character in a string");
		if (*s->p == '\\' && s->p + 1 < s->end)
			s->p++;
	}
	if (s->p >= s->end)
		return wrong(s, "a string has no end");
	*len = (size_t)(s->p++ - *out);
	return ERR_OK;
}

/* Never longer than it came. */
static bool unescape(struct arena *a, const char *raw, size_t len, const char **out, size_t *out_len)
{
	if (!memchr(raw, '\\', len)) {
		*out = raw;
		*out_len = len;
		return true;
	}
	char *to = arena_alloc(a, len);
	*out = to;
	return json_unescape(raw, len, to, out_len);
}

static enum err string_take(struct scan *s, struct arena *a, const char **out, size_t *len)
{
	const char *raw;
	size_t raw_len;
	enum err e = raw_string(s, &raw, &raw_len);
	if (e)
		return e;
	if (!unescape(a, raw, raw_len, out, len))
		return wrong(s, "a string has an escape that is none");
	if (!rune_valid(*out, *len))
		return wrong(s, "a string is no UTF-8");
	return ERR_OK;
}

/* --- what is passed over --- */

static bool word_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    c == '+' || c == '-' || c == '.';
}

/* A number, null, true or false, as it stands. */
static enum err word(struct scan *s, const char **out, size_t *len)
{
	blanks(s);
	*out = s->p;
	while (s->p < s->end && word_char(*s->p))
		s->p++;
	*len = (size_t)(s->p - *out);
	return *len ? ERR_OK : wrong(s, "a value should stand here");
}

/* One value of any kind; brackets are counted, not matched by kind: what is unknown is not used. */
static enum err pass_over(struct scan *s)
{
	const char *ignored;
	size_t len;
	unsigned depth = 0;
	do {
		blanks(s);
		char c = s->p < s->end ? *s->p : 0;
		enum err e = ERR_OK;
		if (c == '{' || c == '[') {
			s->p++;
			if (++depth > IMPORTL_DEPTH_MAX)
				return wrong(s, "brackets stand too deep inside one another");
			continue;
		}
		if (depth && (c == '}' || c == ']')) {
			s->p++;
			depth--;
			continue;
		}
		if (depth && (c == ',' || c == ':')) {
			s->p++;
			continue;
		}
		e = c == '"' ? raw_string(s, &ignored, &len) : word(s, &ignored, &len);
		if (e)
			return e;
	} while (depth);
	return ERR_OK;
}

/* --- members --- */

struct named { /* a label as it came */
	struct label l;
	uint32_t at;
};
struct came {
	struct named *items;
	uint32_t count, cap;
	size_t bytes; /* of names and values */
};

static void came_add(struct arena *a, struct came *c, const struct label *l)
{
	if (c->count == c->cap) {
		uint32_t cap = c->cap ? 2 * c->cap : 16;
		struct named *more = arena_array(a, cap, sizeof(*more));
		if (c->count)
			memcpy(more, c->items, c->count * sizeof(*more));
		c->items = more;
		c->cap = cap;
	}
	c->items[c->count] = (struct named){ .l = *l, .at = c->count };
	c->count++;
}

static int named_cmp(const void *x, const void *y)
{
	const struct named *a = x, *b = y;
	int c = bytes_cmp(a->l.name, a->l.name_len, b->l.name, b->l.name_len);
	return c ? c : (a->at > b->at) - (a->at < b->at);
}

/* Of labels with one name the last one holds. Sorted first: there may be thousands. */
static struct labels came_encode(struct arena *a, struct came *c)
{
	struct label_builder b;
	label_builder_init(&b, a);
	if (c->count)
		qsort(c->items, c->count, sizeof(*c->items), named_cmp);
	for (uint32_t i = 0; i < c->count; i++) {
		const struct label *l = &c->items[i].l, *next = l;
		if (i + 1 < c->count)
			next = &c->items[i + 1].l;
		if (next == l || !bytes_equal(l->name, l->name_len, next->name, next->name_len))
			label_builder_set(&b, l->name, l->name_len, l->value, l->value_len);
	}
	return label_builder_done(&b);
}

static enum err label_take(struct scan *s, struct arena *a, struct came *c)
{
	const char *name, *value;
	size_t name_len, value_len;
	enum err e = string_take(s, a, &name, &name_len);
	if (e)
		return e;
	if (!name_len)
		return wrong(s, "a label has no name");
	if (!next_is(s, ':'))
		return wrong(s, "a colon should stand here");
	e = string_take(s, a, &value, &value_len);
	if (e)
		return e;
	c->bytes += name_len + value_len;
	if (c->bytes > IMPORTL_LABELS_MAX)
		return wrong(s, "labels are longer than any may be");
	came_add(a, c,
	    &(struct label){ .name = name,
	        .value = value,
	        .name_len = (uint32_t)name_len,
	        .value_len = (uint32_t)value_len });
	return ERR_OK;
}

static enum err labels_take(struct scan *s, struct arena *a, struct importl *out)
{
	struct came c = { 0 };
	if (!next_is(s, '{'))
		return wrong(s, "\"metric\" is no object");
	for (bool any = false; !next_is(s, '}'); any = true) {
		if (any && !next_is(s, ','))
			return wrong(s, "a comma should stand here");
		enum err e = label_take(s, a, &c);
		if (e)
			return e;
	}
	struct labels ls = came_encode(a, &c);
	out->labels = arena_dup(a, ls.len ? ls.bytes : (const uint8_t *)"", ls.len ? ls.len : 1);
	out->labels_len = ls.len;
	return ERR_OK;
}

/* The members of an array are counted; *first points at the first one. */
static enum err array_take(struct scan *s, const char *what, const char **first, size_t *count)
{
	const char *ignored;
	size_t len;
	if (!next_is(s, '['))
		return wrong(s, what);
	blanks(s);
	*first = s->p;
	*count = 0;
	for (; !next_is(s, ']'); (*count)++) {
		if (*count && !next_is(s, ','))
			return wrong(s, "a comma should stand here");
		blanks(s);
		enum err e = s->p < s->end && *s->p == '"' ? raw_string(s, &ignored, &len)
		                                           : word(s, &ignored, &len);
		if (e)
			return e;
	}
	return ERR_OK;
}

struct seen {
	size_t values, times;
};

static enum err member(struct scan *s, struct arena *a, struct importl *out, struct seen *seen)
{
	const char *name;
	size_t len;
	enum err e = string_take(s, a, &name, &len);
	if (e)
		return e;
	if (!next_is(s, ':'))
		return wrong(s, "a colon should stand here");
	if (bytes_equal(name, len, "metric", 6))
		return labels_take(s, a, out);
	if (bytes_equal(name, len, "values", 6))
		return array_take(s, "\"values\" is no array", &out->_values, &seen->values);
	if (bytes_equal(name, len, "timestamps", 10))
		return array_take(s, "\"timestamps\" is no array", &out->_times, &seen->times);
	return pass_over(s);
}

enum err importl_begin(
    struct arena *a, const char *line, size_t len, struct importl *out, struct errbuf *eb)
{
	struct scan s = { .p = line, .end = line + len, .line = line, .eb = eb };
	struct seen seen = { 0 };
	*out = (struct importl){ ._line = line, ._end = line + len };
	if (!next_is(&s, '{'))
		return wrong(&s, "a line should be a JSON object");
	for (bool any = false; !next_is(&s, '}'); any = true) {
		if (any && !next_is(&s, ','))
			return wrong(&s, "a comma should stand here");
		enum err e = member(&s, a, out, &seen);
		if (e)
			return e;
	}
	blanks(&s);
	if (s.p < s.end)
		return wrong(&s, "something stands behind the object");
	if (!out->labels)
		return wrong(&s, "\"metric\" is missing");
	if (!out->_values || !out->_times)
		return wrong(
		    &s, out->_values ? "\"timestamps\" is missing" : "\"values\" is missing");
	if (seen.values != seen.times)
		return errbuf_set(
		    eb, ERR_MALFORMED, "%zu values and %zu timestamps", seen.values, seen.times);
	out->left = seen.values;
	return ERR_OK;
}

/* --- rows --- */

static bool text_value(const char *s, size_t len, double *out)
{
	static const struct {
		const char *text;
		double v;
	} words[] = { { "Infinity", INFINITY }, { "-Infinity", -INFINITY },
		{ "+Infinity", INFINITY } };
	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (bytes_equal(s, len, words[i].text, strlen(words[i].text))) {
			*out = words[i].v;
			return true;
		}
	if (bytes_equal(s, len, "null", 4)) {
		*out = sample_stale();
		return true;
	}
	return !num_parse_float(s, len, out);
}

static enum err value_take(struct scan *s, double *out)
{
	const char *text;
	size_t len;
	blanks(s);
	bool quoted = s->p < s->end && *s->p == '"';
	enum err e = quoted ? raw_string(s, &text, &len) : word(s, &text, &len);
	if (e)
		return e;
	if (text_value(text, len, out)) {
		if (isnan(*out) && !sample_is_stale(*out))
			*out = num_from_bits(SAMPLE_NAN_BITS);
		return ERR_OK;
	}
	s->p = text;
	return wrong(s, "a value is no number");
}

static enum err time_take(struct scan *s, int64_t *out)
{
	const char *text;
	size_t len;
	enum err e = word(s, &text, &len);
	if (e)
		return e;
	if (!num_parse_i64(text, len, out))
		return ERR_OK;
	s->p = text;
	return wrong(s, "a timestamp is no whole number of milliseconds");
}

static enum err row_take(struct importl *l, struct scan *values, struct scan *times, struct batch *b)
{
	double v;
	int64_t t_ms;
	enum err e = value_take(values, &v);
	e = e ? e : time_take(times, &t_ms);
	if (e)
		return e;
	struct batch_row *row = batch_add(b);
	*row = (struct batch_row){ .labels = l->labels, .labels_len = l->labels_len, .t_ms = t_ms };
	row->v = v;
	(void)next_is(values, ','); /* the line has been judged */
	(void)next_is(times, ',');
	l->left--;
	return ERR_OK;
}

void importl_move(struct importl *l, const char *line)
{
	l->_values = line + (l->_values - l->_line);
	l->_times = line + (l->_times - l->_line);
	l->_end = line + (l->_end - l->_line);
	l->_line = line;
}

enum err importl_rows(struct importl *l, struct batch *b, size_t most, struct errbuf *eb)
{
	struct scan values = { .p = l->_values, .end = l->_end, .line = l->_line, .eb = eb },
	            times = { .p = l->_times, .end = l->_end, .line = l->_line, .eb = eb };
	for (size_t n = 0; n < most && l->left; n++) {
		enum err e = row_take(l, &values, &times, b);
		if (e)
			return e;
	}
	l->_values = values.p;
	l->_times = times.p;
	return ERR_OK;
}

/* --- bodies --- */

struct body {
	struct importl line;
	size_t line_len; /* with its LF */
	bool open;       /* rows of it are left */
	uint64_t number; /* of the line, blank ones counted */
	struct buf labels;
};

static void bad_line(struct decode *d, const struct body *b, const struct errbuf *eb)
{
	decode_bad(d, "line %" PRIu64 ": %s", b->number, eb->text);
}

static bool is_blank(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r' && line[i] != '\n')
			return false;
	return true;
}

static void line_begin(struct decode *d, struct body *b, const char *line, size_t len)
{
	struct errbuf eb;
	errbuf_init(&eb);
	b->number++;
	if (is_blank(line, len))
		return;
	d->records++;
	if (importl_begin(d->arena, line, len, &b->line, &eb)) {
		bad_line(d, b, &eb);
		return;
	}
	buf_clear(&b->labels);
	buf_add(&b->labels, b->line.labels, b->line.labels_len);
	b->open = b->line.left > 0;
}

/* Of a line that goes on: the body lies elsewhere, perhaps, and the arena is another. */
static void line_again(struct decode *d, struct body *b, const uint8_t *line)
{
	if (!b->open)
		return;
	importl_move(&b->line, (const char *)line);
	b->line.labels = arena_dup(d->arena, b->labels.data, b->labels.len);
}

static void line_rows(struct decode *d, struct body *b)
{
	struct errbuf eb;
	errbuf_init(&eb);
	if (importl_rows(&b->line, d->batch, DECODE_ROWS - d->batch->rows_count, &eb)) {
		bad_line(d, b, &eb);
		b->open = false;
	} else {
		b->open = b->line.left > 0;
	}
}

static struct body *body_of(struct decode *d)
{
	if (!d->own) {
		struct body *b = arena_zalloc(d->keep, sizeof(*b));
		buf_init(&b->labels);
		d->own = b;
	}
	return d->own;
}

static enum err body_next(
    struct decode *d, const uint8_t **p, const uint8_t *end, bool last, struct errbuf *eb)
{
	struct body *b = body_of(d);
	const uint8_t *from = *p;
	(void)eb;
	line_again(d, b, *p);
	while (*p < end && *p - from < (ptrdiff_t)DECODE_TURN && !decode_full(d)) {
		if (!b->open) {
			const uint8_t *lf = memchr(*p, '\n', (size_t)(end - *p));
			if (!lf && !last)
				return ERR_OK;
			b->line_len = (size_t)((lf ? lf + 1 : end) - *p);
			line_begin(d, b, (const char *)*p, b->line_len);
		}
		if (b->open)
			line_rows(d, b);
		if (!b->open)
			*p += b->line_len;
	}
	return ERR_OK;
}

static void body_end(struct decode *d)
{
	buf_release(&((struct body *)d->own)->labels);
}

const struct decoder importl_decoder = {
	.record = "line",
	.lines = true,
	.next = body_next,
	.end = body_end,
};
