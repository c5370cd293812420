/*
 *   PREAMBLE --"--B"--> HEAD --empty line--> BODY --"--B"--> HEAD ... --"--B--"--> END
 *
 * Delimiters are found by memmem: a body without any costs one look at each byte.
 */
#ifndef _GNU_SOURCE
# define _GNU_SOURCE /* memmem */
#endif
#include "proto/multipart.h"

#include <string.h>
#include <strings.h>

/* Bytes that are still to be read. */
struct text {
	const char *at, *end;
};

/* What a part's Content-Disposition said. */
struct part {
	const char *name;
	size_t name_len;
	bool disposed, is_form, is_file;
};

struct reader {
	struct urlq *q;
	struct text in;
	struct errbuf *eb;
	const char *nl; /* "\r\n", or "\n" when the first delimiter ends so */
	size_t nl_len;
	char mark[2 + 2 + MULTIPART_BOUNDARY_MAX]; /* nl "--" boundary */
	size_t mark_len;
	size_t parts;
};

/* --- parameters of Content-Type and Content-Disposition --- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void skip_blanks(struct text *t)
{
	while (t->at < t->end && is_blank(*t->at))
		t->at++;
}

/* RFC 2045, 5.1. */
static bool is_special(char c)
{
	return c && strchr("()<>@,;:\\\"/[]?=", c);
}

static bool is_token(char c)
{
	return c > 0x20 && c < 0x7f && !is_special(c);
}

static size_t take_token(struct text *t, const char **out)
{
	*out = t->at;
	while (t->at < t->end && is_token(*t->at))
		t->at++;
	return (size_t)(t->at - *out);
}

static bool take_char(struct text *t, char c)
{
	skip_blanks(t);
	if (t->at == t->end || *t->at != c)
		return false;
	t->at++;
	skip_blanks(t);
	return true;
}

/* The bytes up to the closing quote; SIZE_MAX without one. */
static size_t quoted_len(const struct text *t)
{
	for (const char *p = t->at + 1; p < t->end; p++) {
		if (*p == '"')
			return (size_t)(p - t->at) - 1;
		if (*p == '\\' && p + 1 < t->end && is_special(p[1]))
			p++;
	}
	return SIZE_MAX;
}

/* A backslash escapes what needs it; before other bytes it is one of a Windows path (Go's
 * mime.ParseMediaType). */
static bool take_quoted(struct arena *a, struct text *t, const char **out, size_t *out_len)
{
	size_t len = quoted_len(t);
	char *to = len == SIZE_MAX ? NULL : arena_alloc(a, len + 1);
	if (!to)
		return false;
	const char *end = t->at + 1 + len;
	*out = to;
	for (t->at++; t->at < end; t->at++) {
		if (*t->at == '\\' && t->at + 1 < end && is_special(t->at[1]))
			t->at++;
		*to++ = *t->at;
	}
	t->at = end + 1;
	*to = 0;
	*out_len = (size_t)(to - *out);
	return true;
}

struct param {
	const char *name, *value;
	size_t name_len, value_len;
};

/* The next "; name=value"; false at the end, or with *bad. */
static bool param_next(struct arena *a, struct text *t, struct param *p, bool *bad)
{
	*bad = false;
	bool more = take_char(t, ';');
	if (t->at == t->end)
		return false; /* nothing, or one more ; at the end */
	*bad = true;
	if (!more || !(p->name_len = take_token(t, &p->name)) || !take_char(t, '='))
		return false;
	if (t->at < t->end && *t->at == '"')
		*bad = !take_quoted(a, t, &p->value, &p->value_len);
	else
		*bad = !(p->value_len = take_token(t, &p->value));
	return !*bad;
}

static bool named(const struct param *p, const char *name)
{
	return p->name_len == strlen(name) && !strncasecmp(p->name, name, p->name_len);
}

/* --- the boundary --- */

static enum err bad_boundary(struct reader *r)
{
	return errbuf_set(r->eb, ERR_MALFORMED,
	    "Content-Type multipart/form-data needs one boundary of 1 to %u printable bytes",
	    MULTIPART_BOUNDARY_MAX);
}

static bool boundary_ok(const struct param *p)
{
	if (!p->value_len || p->value_len > MULTIPART_BOUNDARY_MAX ||
	    p->value[p->value_len - 1] == ' ')
		return false;
	for (size_t i = 0; i < p->value_len; i++)
		if (p->value[i] < 0x20 || p->value[i] > 0x7e)
			return false;
	return true;
}

static enum err take_boundary(struct reader *r, const char *type, size_t len)
{
	const char *semi = memchr(type, ';', len);
	struct text t = { semi ? semi : type + len, type + len };
	struct param p, boundary = { 0 };
	bool bad;
	while (param_next(r->q->arena, &t, &p, &bad)) {
		if (!named(&p, "boundary"))
			continue;
		if (boundary.name)
			return bad_boundary(r);
		boundary = p;
	}
	if (bad || !boundary.name || !boundary_ok(&boundary))
		return bad_boundary(r);
	memcpy(r->mark, "\r\n--", 4);
	memcpy(r->mark + 4, boundary.value, boundary.value_len);
	r->mark_len = 4 + boundary.value_len;
	r->nl = "\r\n";
	r->nl_len = 2;
	return ERR_OK;
}

/* The delimiter as it begins a line, without the line break before it. */
static const char *dash_mark(const struct reader *r, size_t *len)
{
	*len = r->mark_len - 2;
	return r->mark + 2;
}

/* And with it. */
static const char *nl_mark(const struct reader *r, size_t *len)
{
	*len = r->mark_len - 2 + r->nl_len;
	return r->mark + 2 - r->nl_len;
}

/* --- lines --- */

static bool starts(const struct text *t, const char *s, size_t len)
{
	return (size_t)(t->end - t->at) >= len && !memcmp(t->at, s, len);
}

static enum err ends_early(struct reader *r)
{
	return errbuf_set(r->eb, ERR_MALFORMED, "the form ends before its last boundary");
}

enum line {
	LINE_OTHER,
	LINE_PART, /* a delimiter: a part begins behind it */
	LINE_LAST  /* the last one */
};

/* What begins here? A delimiter's line is passed over. */
static enum line take_delimiter(struct reader *r)
{
	size_t len;
	const char *mark = dash_mark(r, &len);
	if (!starts(&r->in, mark, len))
		return LINE_OTHER;
	struct text t = { r->in.at + len, r->in.end };
	bool last = starts(&t, "--", 2);
	t.at += last ? 2 : 0;
	skip_blanks(&t);
	/* The first delimiter says how lines end. */
	if (!r->parts && !last && starts(&t, "\n", 1)) {
		r->mark[1] = '\n';
		r->nl = "\n";
		r->nl_len = 1;
	}
	bool ended = starts(&t, r->nl, r->nl_len) || (last && t.at == t.end);
	if (!ended)
		return LINE_OTHER;
	r->in.at = t.at < t.end ? t.at + r->nl_len : t.at;
	return last ? LINE_LAST : LINE_PART;
}

/* To the first delimiter. */
static enum err skip_preamble(struct reader *r, enum line *line)
{
	while (!(*line = take_delimiter(r))) {
		const char *lf = memchr(r->in.at, '\n', (size_t)(r->in.end - r->in.at));
		if (!lf)
			return errbuf_set(
			    r->eb, ERR_MALFORMED, "no boundary of the form stands in the body");
		r->in.at = lf + 1;
	}
	return ERR_OK;
}

/* --- the head of a part --- */

/* One line without its end; false: there is none, or the head is too long. */
static bool take_line(struct text *t, struct text *line)
{
	const char *lf = memchr(t->at, '\n', (size_t)(t->end - t->at));
	if (!lf)
		return false;
	*line = (struct text){ t->at, lf > t->at && lf[-1] == '\r' ? lf - 1 : lf };
	t->at = lf + 1;
	return true;
}

static bool is_field(const struct text *line, const char *name, struct text *value)
{
	size_t len = strlen(name);
	if ((size_t)(line->end - line->at) <= len || strncasecmp(line->at, name, len) ||
	    line->at[len] != ':')
		return false;
	*value = (struct text){ line->at + len + 1, line->end };
	skip_blanks(value);
	while (value->end > value->at && is_blank(value->end[-1]))
		value->end--;
	return true;
}

static enum err read_disposition(struct reader *r, struct text value, struct part *part)
{
	const char *kind;
	struct param p;
	bool bad;
	if (part->disposed)
		return errbuf_set(
		    r->eb, ERR_MALFORMED, "a part of the form has two Content-Disposition fields");
	part->disposed = true;
	size_t len = take_token(&value, &kind);
	part->is_form = len == 9 && !strncasecmp(kind, "form-data", len);
	while (param_next(r->q->arena, &value, &p, &bad)) {
		if (named(&p, "name") && !part->name) {
			part->name = p.value;
			part->name_len = p.value_len;
		} else if (named(&p, "name") || !strncasecmp(p.name, "name*", 5)) {
			return errbuf_set(r->eb, ERR_MALFORMED,
			    "a part of the form has two names, or one in the notation name*=");
		} else if ((named(&p, "filename") && p.value_len) ||
		    !strncasecmp(p.name, "filename*", 9)) {
			part->is_file = true;
		}
	}
	if (bad)
		return errbuf_set(
		    r->eb, ERR_MALFORMED, "a part of the form has a malformed Content-Disposition");
	return ERR_OK;
}

/* Encodings that leave the bytes as they are. */
static bool is_plain(const struct text *value)
{
	static const char *const words[] = { "7bit", "8bit", "binary" };
	for (size_t i = 0; i < COUNT_OF(words); i++)
		if ((size_t)(value->end - value->at) == strlen(words[i]) &&
		    !strncasecmp(value->at, words[i], strlen(words[i])))
			return true;
	return value->at == value->end;
}

/* A name of token characters, a colon, no control characters but the tab. */
static bool field_ok(const struct text *line)
{
	struct text t = *line;
	const char *name;
	if (!take_token(&t, &name) || t.at == t.end || *t.at != ':')
		return false;
	for (; t.at < t.end; t.at++)
		if (((unsigned char)*t.at < 0x20 && *t.at != '\t') || *t.at == 0x7f)
			return false;
	return true;
}

static enum err read_field(struct reader *r, const struct text *line, struct part *part)
{
	struct text value;
	if (!field_ok(line))
		return errbuf_set(r->eb, ERR_MALFORMED, "a part of the form has a malformed field");
	if (is_field(line, "Content-Disposition", &value))
		return read_disposition(r, value, part);
	if (is_field(line, "Content-Transfer-Encoding", &value) && !is_plain(&value))
		return errbuf_set(r->eb, ERR_MALFORMED,
		    "a part of the form has a Content-Transfer-Encoding, which RFC 7578 has not");
	return ERR_OK;
}

/* A line that begins with a blank continues the one before it (RFC 5322, 2.2.3): the break
 * between them is left out. False: the head ends in between, or no memory. */
static bool unfold(struct arena *a, struct text *head, struct text *line)
{
	struct text ahead = *head, more;
	size_t len = (size_t)(line->end - line->at);
	while (len && ahead.at < ahead.end && is_blank(*ahead.at)) {
		if (!take_line(&ahead, &more))
			return false;
		len += (size_t)(more.end - more.at);
	}
	if (ahead.at == head->at)
		return true;
	char *whole = arena_alloc(a, len), *to = whole;
	if (!whole)
		return false;
	for (more = *line;; (void)take_line(head, &more)) {
		memcpy(to, more.at, (size_t)(more.end - more.at));
		to += more.end - more.at;
		if (head->at == ahead.at)
			break;
	}
	*line = (struct text){ whole, to };
	return true;
}

static enum err read_head(struct reader *r, struct part *part)
{
	struct text head = r->in, line;
	if ((size_t)(head.end - head.at) > MULTIPART_HEAD_MAX)
		head.end = head.at + MULTIPART_HEAD_MAX;
	*part = (struct part){ .name = NULL };
	for (;;) {
		if (!take_line(&head, &line) || !unfold(r->q->arena, &head, &line)) {
			if (head.end < r->in.end)
				return errbuf_set(r->eb, ERR_TOOBIG,
				    "a part of the form has more than %u bytes of fields",
				    MULTIPART_HEAD_MAX);
			return ends_early(r);
		}
		if (line.at == line.end)
			break;
		enum err err = read_field(r, &line, part);
		if (err)
			return err;
	}
	r->in.at = head.at;
	return ERR_OK;
}

/* --- the bytes of a part --- */

/* The bytes behind a delimiter's text make it one, or not (Go: matchAfterPrefix). */
static bool ends_mark(const struct text *t)
{
	return t->at == t->end || is_blank(*t->at) || *t->at == '\r' || *t->at == '\n' ||
	    starts(t, "--", 2);
}

/* Up to the next delimiter; an empty part may have none of the line break before it. */
static enum err read_value(struct reader *r, struct text *value, enum line *line)
{
	size_t len, dash_len;
	const char *mark = nl_mark(r, &len), *dash = dash_mark(r, &dash_len);
	struct text behind = { r->in.at + dash_len, r->in.end };
	*value = (struct text){ r->in.at, r->in.at };
	if (!starts(&r->in, dash, dash_len) || !ends_mark(&behind)) {
		const char *from = r->in.at, *found;
		do {
			found = memmem(from, (size_t)(r->in.end - from), mark, len);
			if (!found)
				return ends_early(r);
			from = found + 1;
			behind.at = found + len;
		} while (!ends_mark(&behind));
		value->end = found;
		r->in.at = found + r->nl_len;
	}
	*line = take_delimiter(r);
	if (*line == LINE_OTHER)
		return behind.at == r->in.end
		    ? ends_early(r)
		    : errbuf_set(
		          r->eb, ERR_MALFORMED, "a boundary of the form has something behind it");
	return ERR_OK;
}

static enum err read_part(struct reader *r, enum line *line)
{
	struct part part;
	struct text value;
	if (++r->parts > MULTIPART_PARTS_MAX)
		return errbuf_set(
		    r->eb, ERR_TOOBIG, "the form has more than %u parts", MULTIPART_PARTS_MAX);
	enum err err = read_head(r, &part);
	if (!err)
		err = read_value(r, &value, line);
	if (err || !part.is_form || part.is_file || !part.name_len)
		return err;
	return urlq_add(
	    r->q, part.name, part.name_len, value.at, (size_t)(value.end - value.at), r->eb);
}

enum err multipart_parse(struct urlq *q, const char *type, size_t type_len, const char *body,
    size_t len, struct errbuf *eb)
{
	struct reader r = { .q = q, .in = { body, body + len }, .eb = eb };
	enum line line;
	enum err err = take_boundary(&r, type, type_len);
	if (!err)
		err = skip_preamble(&r, &line);
	while (!err && line == LINE_PART)
		err = read_part(&r, &line);
	return err;
}
