#include "proto/influxl.h"

#include <math.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/num.h"

/*
 * Every loop here ends at an LF, or at a quote that was looked for before: the byte before the end
 * is an LF, so none of them has to look where the end is.
 *
 * What a byte is. STOP_*: it may end a piece of this kind.
 */
enum {
	ODD = INFLUXL_ODD,    /* not of [a-zA-Z0-9_] */
	STOP_MEASUREMENT = 4, /* , blank LF CR \ */
	STOP_NAME = 8,        /* = , blank LF CR \ */
	STOP_VALUE = 16,      /* of a field: , blank LF CR */
	DIGIT = 32,
};
#define ALL_STOPS (ODD | STOP_MEASUREMENT | STOP_NAME | STOP_VALUE)
/* clang-format off */
static const uint8_t kinds[256] = {
	[0 ... '\n' - 1] = ODD, ['\n'] = ALL_STOPS, ['\v' ... '\r' - 1] = ODD, ['\r'] = ALL_STOPS,
	['\r' + 1 ... ' ' - 1] = ODD, [' '] = ALL_STOPS,
	['!' ... '+'] = ODD, [','] = ALL_STOPS, ['-' ... '/'] = ODD,
	['0' ... '9'] = DIGIT,
	[':' ... '<'] = ODD, ['='] = ODD | STOP_NAME, ['>' ... '@'] = ODD,
	['['] = ODD, ['\\'] = ODD | STOP_MEASUREMENT | STOP_NAME, [']' ... '^'] = ODD, ['`'] = ODD,
	['{' ... 255] = ODD,
};
/* clang-format on */

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || !c;
}

static const uint8_t *blanks(const uint8_t *p)
{
	while (is_blank(*p))
		p++;
	return p;
}

/* The line ends here. */
static bool at_end(const uint8_t *p)
{
	return *p == '\n' || (*p == '\r' && p[1] == '\n');
}

/*
 * From p to the first byte that ends a piece and has no backslash before it. What a backslash
 * makes of the next byte is only of interest where that would end the piece.
 */
static inline const uint8_t *piece(const uint8_t *p, unsigned stop, struct influxl_piece *out)
{
	const uint8_t *from = p;
	unsigned flags = 0;
	for (;;) {
		unsigned k = kinds[*p];
		if (!(k & (stop | ODD))) {
			p++;
			continue;
		}
		if (!(k & stop)) {
			flags |= ODD;
			p++;
			continue;
		}
		if (*p == '\\') {
			flags |= ODD | INFLUXL_ESCAPED;
			p++;
			if (*p == ',' || *p == ' ' || (*p == '=' && stop == STOP_NAME))
				p++;
			continue;
		}
		if (*p == '\r' && p[1] != '\n') {
			flags |= ODD;
			p++;
			continue;
		}
		break;
	}
	*out = (struct influxl_piece){ .p = from, .len = (uint32_t)(p - from), .flags = flags };
	return p;
}

size_t influxl_unescape(const struct influxl_piece *p, bool equals, char *to)
{
	size_t n = 0;
	for (const uint8_t *s = p->p, *end = s + p->len; s < end; s++) {
		if (*s == '\\' && s + 1 < end &&
		    (s[1] == ',' || s[1] == ' ' || (s[1] == '=' && equals)))
			s++;
		to[n++] = (char)*s;
	}
	return n;
}

static enum influxl_is bad(struct influxl *l, const char *why)
{
	l->why = why;
	return INFLUXL_BAD;
}

/* ---- tags ---- */

static struct influxl_tag *tag_add(struct influxl *l)
{
	if (l->tags_count == l->tags_cap) {
		l->tags_cap = l->tags_cap ? 2 * l->tags_cap : 32;
		l->tags = mem_array(l->tags, l->tags_cap, sizeof(*l->tags));
	}
	return &l->tags[l->tags_count++];
}

/* p: behind the measurement. *out is at what follows the tags. */
static enum influxl_is tags(struct influxl *l, const uint8_t *p, const uint8_t **out)
{
	while (*p == ',') {
		struct influxl_piece name, value;
		p = piece(p + 1, STOP_NAME, &name);
		if (*p != '=')
			return bad(l, name.len ? "missing tag value" : "missing tag key");
		p = piece(p + 1, STOP_NAME, &value);
		if (*p == '=')
			return bad(l, "invalid tag format");
		if (!name.len || !value.len)
			continue;
		if (l->tags_count == INFLUXL_TAGS_MAX)
			return bad(l, "too many tags");
		*tag_add(l) = (struct influxl_tag){ name, value };
	}
	*out = p;
	return INFLUXL_POINT;
}

/* ---- values ---- */

static const char *whole(const uint8_t *p, size_t len, bool is_signed, double *out)
{
	const char *s = (const char *)p;
	int64_t i = 0;
	uint64_t u = 0;
	if (!len || *s == '+')
		return "invalid number";
	enum err e = is_signed ? num_parse_i64(s, len, &i) : num_parse_u64(s, len, &u);
	if (e)
		return e == ERR_TOOBIG ? "unable to parse integer: value out of range"
		                       : "invalid number";
	*out = is_signed ? (double)i : (double)u;
	return NULL;
}

static const char *decimal(const uint8_t *p, size_t len, double *out)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t c = p[i];
		bool sign = c == '-' || c == '+';
		if (!(kinds[c] & DIGIT) && c != '.' && (c | 0x20) != 'e' && !sign)
			return "invalid number";
	}
	if (*p == '+')
		return "invalid number";
	enum err e = num_parse_float((const char *)p, len, out);
	return e == ERR_TOOBIG ? "unable to parse float: value out of range"
	    : e                ? "invalid number"
	                       : NULL;
}

static bool is_word(const uint8_t *p, size_t len, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strlen(words[i]) == len && !memcmp(p, words[i], len))
			return true;
	return false;
}

static const char *boolean(const uint8_t *p, size_t len, double *out)
{
	static const char *const yes[] = { "t", "T", "true", "True", "TRUE" };
	static const char *const no[] = { "f", "F", "false", "False", "FALSE" };
	*out = 1;
	if (is_word(p, len, yes, COUNT_OF(yes)))
		return NULL;
	*out = 0;
	return is_word(p, len, no, COUNT_OF(no)) ? NULL : "invalid boolean";
}

/* NULL, or what is wrong. */
static const char *value(const uint8_t *p, size_t len, double *out)
{
	uint8_t c = *p, last = p[len - 1];
	if (c == 't' || c == 'T' || c == 'f' || c == 'F')
		return boolean(p, len, out);
	if (last == 'i')
		return whole(p, len - 1, true, out);
	if (last == 'u')
		return whole(p, len - 1, false, out);
	return decimal(p, len, out);
}

/* Texts end before this, or not at all: so a line is the same in parts of any size. */
static const uint8_t *texts_upto(const uint8_t *line, const uint8_t *end)
{
	return (size_t)(end - line) > INFLUXL_LINE_MAX ? line + INFLUXL_LINE_MAX : end;
}

/* p: behind the quote that begins it. NULL: it has no end. */
static const uint8_t *text_end(const uint8_t *p, const uint8_t *end)
{
	const uint8_t *quote = p < end ? memchr(p, '"', (size_t)(end - p)) : NULL;
	while (quote) {
		const uint8_t *back = memchr(p, '\\', (size_t)(quote - p));
		if (!back)
			return quote;
		/* Only \" and \\ are escapes; any other backslash is passed over alone. */
		p = back + 1 + (back[1] == '"' || back[1] == '\\');
		if (p > quote)
			quote = p < end ? memchr(p, '"', (size_t)(end - p)) : NULL;
	}
	return NULL;
}

/* ---- fields ---- */

static struct influxl_field *field_add(struct influxl *l)
{
	if (l->fields_count == l->fields_cap) {
		l->fields_cap = l->fields_cap ? 2 * l->fields_cap : 32;
		l->fields = mem_array(l->fields, l->fields_cap, sizeof(*l->fields));
	}
	return &l->fields[l->fields_count++];
}

/* As it is likely to be, or as it is. */
static const uint8_t *field_name(
    struct influxl *l, const uint8_t *p, const uint8_t *end, struct influxl_piece *name)
{
	uint32_t i = l->fields_count;
	if (i < l->hints_count) {
		const struct influxl_piece *h = &l->hints[i];
		if (LIKELY(end - p > h->len && p[h->len] == '=' && !memcmp(p, h->p, h->len))) {
			*name = (struct influxl_piece){ .p = p, .len = h->len, .flags = h->flags };
			return p + h->len;
		}
	}
	l->as_hinted = false;
	return piece(p, STOP_NAME, name);
}

/* From its first byte; *at goes to what follows it. */
static enum influxl_is field_value(
    struct influxl *l, struct influxl_field *f, const uint8_t **at, const uint8_t *end)
{
	const uint8_t *p = *at;
	f->text = *p == '"';
	if (f->text) {
		l->texts = true;
		p = text_end(p + 1, end);
		if (!p) {
			l->why = "unbalanced quotes";
			return INFLUXL_OPEN;
		}
		*at = p + 1;
		if (!(kinds[p[1]] & STOP_VALUE))
			return bad(l, "invalid field format");
		return INFLUXL_POINT;
	}
	const char *s = (const char *)p;
	if (LIKELY(*p != '+' && num_scan_float(&s, (const char *)end, &f->v) &&
	        (kinds[*(const uint8_t *)s] & STOP_VALUE))) {
		*at = (const uint8_t *)s;
		return INFLUXL_POINT;
	}
	while (!(kinds[*p] & STOP_VALUE))
		p++;
	size_t len = (size_t)(p - *at);
	const char *why = len ? value(*at, len, &f->v) : "missing field value";
	*at = p;
	return why ? bad(l, why) : INFLUXL_POINT;
}

static enum influxl_is fields(struct influxl *l, const uint8_t **at, const uint8_t *end)
{
	const uint8_t *p = *at;
	for (;; p++) {
		struct influxl_piece name;
		p = field_name(l, p, end, &name);
		*at = p;
		if (*p != '=')
			return bad(
			    l, at_end(p) && !name.len ? "missing fields" : "invalid field format");
		if (!name.len)
			return bad(l, "missing field key");
		if (l->fields_count == INFLUXL_FIELDS_MAX)
			return bad(l, "too many fields");
		struct influxl_field *f = field_add(l);
		f->name = name;
		p++;
		enum influxl_is is = field_value(l, f, &p, end);
		*at = p;
		if (is)
			return is;
		if (*p != ',')
			return INFLUXL_POINT;
	}
}

/* p: behind the fields. */
static enum influxl_is timestamp(struct influxl *l, const uint8_t **at)
{
	const uint8_t *p = blanks(*at), *from = p;
	uint64_t v = 0;
	bool minus = *p == '-', over = false;
	l->timed = !at_end(p);
	l->time = 0;
	*at = p;
	if (!l->timed)
		return INFLUXL_POINT;
	for (p += minus; kinds[*p] & DIGIT; p++) {
		over |= __builtin_mul_overflow(v, 10, &v);
		over |= __builtin_add_overflow(v, *p - (uint64_t)'0', &v);
	}
	bool any = p > from + minus;
	p = blanks(p);
	*at = p;
	if (!any || !at_end(p))
		return bad(l, "bad timestamp");
	if (over || v > (uint64_t)INT64_MAX + minus)
		return bad(l, "timestamp out of range");
	l->time = minus ? (int64_t)(0 - v) : (int64_t)v;
	return INFLUXL_POINT;
}

/* ---- lines ---- */

/*
 * Behind a bad line: LFs in its texts are inside. A quote begins a text behind the first blank,
 * behind an = of a field. NULL: one of its texts has no end.
 */
static const uint8_t *bad_end(const uint8_t *line, const uint8_t *end)
{
	const uint8_t *p = blanks(line);
	bool key = true;
	for (; *p != '\n'; p++) {
		if (*p == '\\' && (p[1] == ',' || p[1] == ' ' || p[1] == '=')) {
			p++;
			continue;
		}
		key &= *p != ' ';
		if (key || *p != '=' || p[1] != '"')
			continue;
		p = text_end(p + 2, texts_upto(line, end));
		if (!p)
			return NULL;
	}
	return p + 1;
}

static enum influxl_is bad_line(const uint8_t *line, const uint8_t *end, const uint8_t **next)
{
	const uint8_t *behind = bad_end(line, end);
	if (!behind)
		return INFLUXL_OPEN;
	*next = behind;
	return INFLUXL_BAD;
}

enum influxl_is influxl_parse_rest(
    struct influxl *l, const uint8_t *line, const uint8_t *end, const uint8_t **next)
{
	const uint8_t *p = blanks(l->key_end);
	l->fields_count = 0;
	l->texts = false;
	l->as_hinted = true;
	enum influxl_is is = fields(l, &p, texts_upto(line, end));
	if (!is)
		is = timestamp(l, &p);
	if (is == INFLUXL_POINT)
		*next = p + 1 + (*p == '\r');
	l->as_hinted &= l->fields_count == l->hints_count;
	return is == INFLUXL_BAD ? bad_line(line, end, next) : is;
}

enum influxl_is influxl_parse_key(
    struct influxl *l, const uint8_t *line, const uint8_t *end, const uint8_t **next)
{
	const uint8_t *p = blanks(line);
	l->tags_count = 0;
	l->fields_count = 0;
	if (at_end(p) || *p == '#') {
		const uint8_t *lf = memchr(p, '\n', (size_t)(end - p));
		*next = lf + 1;
		return INFLUXL_NOTHING;
	}
	p = piece(p, STOP_MEASUREMENT, &l->measurement);
	enum influxl_is is = l->measurement.len ? tags(l, p, &p) : bad(l, "missing measurement");
	l->key_end = p;
	if (!is && *p != ' ')
		is = bad(l, "missing fields");
	if (!is && p - l->measurement.p > INFLUXL_KEY_MAX)
		is = bad(l, "max key size exceeded: 65535 bytes of measurement and tags");
	return is ? bad_line(line, end, next) : INFLUXL_POINT;
}

enum influxl_is influxl_parse(
    struct influxl *l, const uint8_t *p, const uint8_t *end, const uint8_t **next)
{
	enum influxl_is is = influxl_parse_key(l, p, end, next);
	return is ? is : influxl_parse_rest(l, p, end, next);
}

void influxl_release(struct influxl *l)
{
	mem_free(l->tags);
	mem_free(l->fields);
	*l = (struct influxl){ 0 };
}
