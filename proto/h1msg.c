/*
 * h1msg - heads are read in two steps: h1msg_scan finds the empty line (and refuses bare LF and
 * sizes on the way), h1msg_parse then has all bytes and no states.
 *
 * A chunked body (RFC 9112, 7.1), states of struct h1chunk:
 *   SIZE -hex-> SIZE -";"-> EXT -CR-> SIZE_LF -LF-> DATA (size > 0) | TRAILER (size 0)
 *   DATA -bytes-> DATA_CR -> DATA_LF -> SIZE
 *   TRAILER -name-> TRAILER_NAME -":"-> TRAILER_VALUE -CR-> TRAILER_LF -> TRAILER
 *   TRAILER -CR-> END_LF -LF-> DONE
 */
#include "proto/h1msg.h"

#include "core/base/bytes.h"
#include "proto/h1msg_priv.h"

#include <string.h>
#include <strings.h>

/* ---- character classes ---- */

enum {
	C_TOKEN = 1, /* RFC 9110, 5.6.2: tchar */
	/* of a request target: visible, also raw braces, quotes and UTF-8 people send; no "#" */
	C_TARGET = 2,
	C_VALUE = 4, /* of a field value: visible, SP, HTAB, obs-text */
	C_HOST = 8,  /* of an authority without user information */
};
#define C_ALNUM (C_TOKEN | C_TARGET | C_VALUE | C_HOST)

/* clang-format off */
static const uint8_t class[256] = {
	['\t'] = C_VALUE, [' '] = C_VALUE,
	['0' ... '9'] = C_ALNUM, ['A' ... 'Z'] = C_ALNUM, ['a' ... 'z'] = C_ALNUM,
	['!'] = C_ALNUM, ['$'] = C_ALNUM, ['%'] = C_ALNUM, ['&'] = C_ALNUM, ['\''] = C_ALNUM, ['*'] = C_ALNUM,
	['+'] = C_ALNUM, ['-'] = C_ALNUM, ['.'] = C_ALNUM, ['_'] = C_ALNUM, ['~'] = C_ALNUM,
	['#'] = C_TOKEN | C_VALUE,
	['^'] = C_TOKEN | C_TARGET | C_VALUE, ['`'] = C_TOKEN | C_TARGET | C_VALUE, ['|'] = C_TOKEN | C_TARGET | C_VALUE,
	['('] = C_TARGET | C_VALUE | C_HOST, [')'] = C_TARGET | C_VALUE | C_HOST, [','] = C_TARGET | C_VALUE | C_HOST,
	[';'] = C_TARGET | C_VALUE | C_HOST, ['='] = C_TARGET | C_VALUE | C_HOST, [':'] = C_TARGET | C_VALUE | C_HOST,
	['['] = C_TARGET | C_VALUE | C_HOST, [']'] = C_TARGET | C_VALUE | C_HOST,
	['"'] = C_TARGET | C_VALUE, ['/'] = C_TARGET | C_VALUE, ['<'] = C_TARGET | C_VALUE, ['>'] = C_TARGET | C_VALUE,
	['?'] = C_TARGET | C_VALUE, ['@'] = C_TARGET | C_VALUE, ['\\'] = C_TARGET | C_VALUE, ['{'] = C_TARGET | C_VALUE,
	['}'] = C_TARGET | C_VALUE,
	[0x80 ... 0xff] = C_TARGET | C_VALUE,
};
/* clang-format on */

static bool is(char c, unsigned what)
{
	return (class[(uint8_t)c] & what) != 0;
}

static inline bool all(const char *s, size_t len, unsigned what)
{
	unsigned seen = what;
	for (size_t i = 0; i < len; i++)
		seen &= class[(uint8_t)s[i]];
	return seen != 0;
}

/* ---- the end of a head ---- */

int h1msg_scan(struct h1msg_scan *s, const uint8_t *data, size_t len, const struct h1msg_limits *max)
{
	/* Not HTTP at all (a TLS hello, say): no need to wait for a line end. */
	if (!s->looked && len && data[0] != '\r' && !is((char)data[0], C_TOKEN))
		return -400;
	while (s->looked < len) {
		const uint8_t *lf = memchr(data + s->looked, '\n', len - s->looked);
		if (!lf)
			break;
		size_t at = (size_t)(lf - data);
		if (at == 0 || data[at - 1] != '\r')
			return -400;
		s->looked = at + 1;
		size_t line_len = s->looked - s->line;
		if (line_len == 2 && s->lines)
			return s->looked > max->head_bytes ? -431 : (int)s->looked;
		if (line_len == 2) { /* RFC 9112, 2.2: one empty line in front is let pass */
			if (s->line)
				return -400;
		} else {
			s->lines++;
		}
		if (s->lines == 1 && line_len > max->head_bytes)
			return -414;
		if (s->lines > 1 + max->fields)
			return -431;
		s->line = s->looked;
	}
	s->looked = len;
	if (!s->lines && len - s->line >= max->head_bytes)
		return -414;
	return len >= max->head_bytes ? -431 : 0;
}

/* ---- request line ---- */

static inline bool word_is(const char *s, size_t len, const char *word)
{
	return len == strlen(word) && !strncasecmp(s, word, len);
}

/* RFC 9112, 3.2: origin-form, absolute-form, and asterisk-form for OPTIONS. */
static bool parse_target(struct h1msg *m, const char *t, size_t len)
{
	if (!len || !all(t, len, C_TARGET))
		return false;
	const char *end = t + len;
	m->asterisk = len == 1 && *t == '*';
	if (m->asterisk) {
		m->path = t;
		m->path_len = 1;
		m->query = end;
		return m->method_len == 7 && !memcmp(m->method, "OPTIONS", 7);
	}
	if (*t != '/') {
		size_t scheme = len > 7 && !strncasecmp(t, "http://", 7) ? 7
		    : len > 8 && !strncasecmp(t, "https://", 8)          ? 8
		                                                         : 0;
		if (!scheme)
			return false;
		m->host = t += scheme;
		while (t < end && *t != '/' && *t != '?')
			t++;
		m->host_len = (size_t)(t - m->host);
		if (!m->host_len || !all(m->host, m->host_len, C_HOST))
			return false;
	}
	const char *q = memchr(t, '?', (size_t)(end - t));
	m->path = t;
	m->path_len = (size_t)((q ? q : end) - t);
	if (!m->path_len) { /* "http://host" or "http://host?x" */
		m->path = "/";
		m->path_len = 1;
	}
	m->query = q ? q + 1 : end;
	m->query_len = (size_t)(end - m->query);
	return true;
}

static int parse_version(struct h1msg *m, const char *v, size_t len)
{
	if (len != 8 || memcmp(v, "HTTP/", 5) || v[6] != '.' || v[5] < '0' || v[5] > '9' ||
	    v[7] < '0' || v[7] > '9')
		return 400;
	if (v[5] != '1' || v[7] > '1')
		return 505;
	m->minor = (unsigned)(v[7] - '0');
	return 0;
}

static int parse_line(struct h1msg *m, char *line, size_t len, const char **why)
{
	char *end = line + len, *sp = memchr(line, ' ', len);
	*why = "malformed request line";
	if (!sp || sp == line)
		return 400;
	m->method = line;
	m->method_len = (size_t)(sp - line);
	if (!all(m->method, m->method_len, C_TOKEN))
		return 400;
	char *t = sp + 1;
	sp = memchr(t, ' ', (size_t)(end - t));
	if (!sp)
		return 400;
	int status = parse_version(m, sp + 1, (size_t)(end - sp - 1));
	if (status) {
		if (status == 505)
			*why = "only HTTP/1.0 and HTTP/1.1 are spoken here";
		return status;
	}
	*why = "malformed request target";
	*sp = 0; /* the query ends here */
	return parse_target(m, t, (size_t)(sp - t)) ? 0 : 400;
}

/* ---- fields ---- */

/* What decides about framing must come once. */
enum {
	SEEN_HOST = 1,
	SEEN_LENGTH = 2,
	SEEN_CODING = 4
};
struct heads {
	unsigned seen;
	bool close, keep_alive;
};

static bool once(struct heads *h, unsigned what)
{
	bool first = !(h->seen & what);
	h->seen |= what;
	return first;
}

/* RFC 9110, 8.6: digits, nothing else; a list of equal values is refused, too. */
static inline bool parse_length(const char *v, size_t len, int64_t *out)
{
	int64_t n = 0;
	if (!len)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (v[i] < '0' || v[i] > '9' || n > (INT64_MAX - 9) / 10)
			return false;
		n = n * 10 + (v[i] - '0');
	}
	*out = n;
	return true;
}

static inline void parse_connection(struct heads *h, const char *v, size_t len)
{
	const char *end = v + len;
	while (v < end) {
		const char *comma = memchr(v, ',', (size_t)(end - v));
		const char *stop = comma ? comma : end, *last = stop;
		while (v < last && (*v == ' ' || *v == '\t'))
			v++;
		while (last > v && (last[-1] == ' ' || last[-1] == '\t'))
			last--;
		h->close |= word_is(v, (size_t)(last - v), "close");
		h->keep_alive |= word_is(v, (size_t)(last - v), "keep-alive");
		v = comma ? comma + 1 : end;
	}
}

static int meet_host(struct h1msg *m, struct heads *h, const struct h1msg_field *f, const char **why)
{
	*why = "malformed or repeated Host";
	if (!once(h, SEEN_HOST) || !(f->value_len == 0 || all(f->value, f->value_len, C_HOST)))
		return 400;
	if (!m->host_len) { /* an absolute target wins, RFC 9112, 3.2.2 */
		m->host = f->value;
		m->host_len = f->value_len;
	}
	return 0;
}

static int meet_coding(struct h1msg *m, struct heads *h, const struct h1msg_field *f, const char **why)
{
	*why = "malformed or repeated Transfer-Encoding";
	if (!once(h, SEEN_CODING) || !f->value_len)
		return 400;
	*why = "Transfer-Encoding: only chunked is known here";
	if (!word_is(f->value, f->value_len, "chunked"))
		return 501;
	m->chunked = true;
	return 0;
}

static int meet_field(struct h1msg *m, struct heads *h, const struct h1msg_field *f, const char **why)
{
	switch (f->name_len) {
	case 4:
		if (!memcmp(f->name, "host", 4))
			return meet_host(m, h, f, why);
		break;
	case 6:
		if (!memcmp(f->name, "expect", 6)) {
			*why = "Expect: only 100-continue is known here";
			if (!word_is(f->value, f->value_len, "100-continue"))
				return 417;
			m->expect_continue = true;
		}
		break;
	case 10:
		if (!memcmp(f->name, "connection", 10))
			parse_connection(h, f->value, f->value_len);
		break;
	case 14:
		*why = "malformed or repeated Content-Length";
		if (!memcmp(f->name, "content-length", 14) &&
		    (!once(h, SEEN_LENGTH) ||
		        !parse_length(f->value, f->value_len, &m->content_length)))
			return 400;
		break;
	case 17:
		if (!memcmp(f->name, "transfer-encoding", 17))
			return meet_coding(m, h, f, why);
		break;
	default:
		break;
	}
	return 0;
}

/* One line without its CR LF; line[len] may be written. */
static inline bool parse_field(char *line, size_t len, struct h1msg_field *f)
{
	char *colon = memchr(line, ':', len);
	if (!colon || colon == line || !all(line, (size_t)(colon - line), C_TOKEN))
		return false; /* also a folded line, and a space before the colon */
	char *v = colon + 1, *end = line + len;
	if (v < end && !all(v, (size_t)(end - v), C_VALUE))
		return false;
	while (v < end && (*v == ' ' || *v == '\t'))
		v++;
	while (end > v && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	for (char *p = line; p < colon; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p | 0x20);
	*colon = 0;
	*end = 0;
	*f = (struct h1msg_field){ .name = line,
		.name_len = (size_t)(colon - line),
		.value = v,
		.value_len = (size_t)(end - v) };
	return true;
}

static int check_framing(struct h1msg *m, const struct heads *h, const char **why)
{
	*why = "Host is missing";
	if (m->minor == 1 && !(h->seen & SEEN_HOST))
		return 400;
	*why = "both Content-Length and Transfer-Encoding";
	if ((h->seen & SEEN_LENGTH) && (h->seen & SEEN_CODING))
		return 400;
	*why = "Transfer-Encoding in HTTP/1.0";
	if (m->minor == 0 && (h->seen & SEEN_CODING))
		return 400;
	*why = NULL;
	m->close = h->close || (m->minor == 0 && !h->keep_alive);
	m->expect_continue &= m->minor == 1; /* RFC 9110, 10.1.1 */
	return 0;
}

int h1msg_parse(char *head, size_t len, struct h1msg *m, const char **why)
{
	m->method = m->path = m->query = m->host = "";
	m->method_len = m->path_len = m->query_len = m->host_len = m->field_count = 0;
	m->asterisk = m->chunked = m->close = m->expect_continue = false;
	m->minor = 0;
	m->content_length = -1;
	struct heads h = { .seen = 0 };
	char *p = head, *end = head + len;
	if (len >= 2 && p[0] == '\r' && p[1] == '\n')
		p += 2;
	*why = "malformed head";
	for (unsigned lines = 0; p < end; lines++) {
		char *lf = memchr(p, '\n', (size_t)(end - p));
		if (!lf || lf == p || lf[-1] != '\r')
			return 400;
		size_t n = (size_t)(lf - 1 - p);
		if (!n)
			return lines && lf + 1 == end ? check_framing(m, &h, why) : 400;
		int status;
		if (!lines) {
			status = parse_line(m, p, n, why);
		} else {
			*why = "too many header fields";
			if (m->field_count == m->field_cap)
				return 431;
			struct h1msg_field *f = &m->fields[m->field_count++];
			*why = "malformed header field";
			status = parse_field(p, n, f) ? meet_field(m, &h, f, why) : 400;
		}
		if (status)
			return status;
		p = lf + 1;
	}
	*why = "malformed head";
	return 400;
}

/* ---- of answers, too: h1msg_priv.h ---- */

bool h1msg_is_text(const char *s, size_t len)
{
	return !len || all(s, len, C_VALUE);
}

bool h1msg_word_is(const char *s, size_t len, const char *word)
{
	return word_is(s, len, word);
}

bool h1msg_length(const char *v, size_t len, int64_t *out)
{
	return parse_length(v, len, out);
}

void h1msg_connection(const char *v, size_t len, bool *close, bool *keep_alive)
{
	struct heads h = { .close = *close, .keep_alive = *keep_alive };
	parse_connection(&h, v, len);
	*close = h.close;
	*keep_alive = h.keep_alive;
}

bool h1msg_line_field(char *line, size_t len, struct h1msg_field *f)
{
	return parse_field(line, len, f);
}

/* ---- chunked bodies ---- */

enum {
	SIZE,
	SIZE_BLANK,
	EXT,
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	TRAILER,
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	END_LF,
	DONE,
	BAD,
};
#define SIZE_DIGITS_MAX 8 /* 4 GiB: over every body limit */

static uint8_t size_byte(struct h1chunk *c, uint8_t b)
{
	int v = bytes_hex(b);
	if (v >= 0) {
		if (c->_digits == SIZE_DIGITS_MAX)
			return BAD;
		c->_digits++;
		c->left = c->left * 16 + (unsigned)v;
		return SIZE;
	}
	if (!c->_digits)
		return BAD;
	if (b == '\r')
		return SIZE_LF;
	if (b == ';')
		return EXT;
	return b == ' ' || b == '\t' ? SIZE_BLANK : BAD;
}

/* One byte outside of data. */
static uint8_t step(struct h1chunk *c, uint8_t b)
{
	switch (c->_state) {
	case SIZE:
		return size_byte(c, b);
	case SIZE_BLANK: /* RFC 9112, 7.1.1: bad white space, before an extension only */
		return b == ' ' || b == '\t' ? SIZE_BLANK : b == ';' ? EXT : BAD;
	case EXT:
		return b == '\r' ? SIZE_LF : is((char)b, C_VALUE) ? EXT : BAD;
	case SIZE_LF:
		return b != '\n' ? BAD : c->left ? DATA : TRAILER;
	case DATA_CR:
		return b == '\r' ? DATA_LF : BAD;
	case DATA_LF:
		c->_digits = 0;
		c->left = 0;
		return b == '\n' ? SIZE : BAD;
	case TRAILER:
		return b == '\r' ? END_LF : is((char)b, C_TOKEN) ? TRAILER_NAME : BAD;
	case TRAILER_NAME:
		return b == ':' ? TRAILER_VALUE : is((char)b, C_TOKEN) ? TRAILER_NAME : BAD;
	case TRAILER_VALUE:
		return b == '\r' ? TRAILER_LF : is((char)b, C_VALUE) ? TRAILER_VALUE : BAD;
	case TRAILER_LF:
		return b == '\n' ? TRAILER : BAD;
	case END_LF:
		return b == '\n' ? DONE : BAD;
	default:
		return BAD;
	}
}

enum h1chunk_result h1chunk_next(struct h1chunk *c, const uint8_t *in, size_t len, size_t *used,
    const uint8_t **data, size_t *data_len)
{
	*used = *data_len = 0;
	*data = NULL;
	size_t i = 0;
	while (i < len && c->_state != DATA && c->_state < DONE) {
		if (c->_state == SIZE_BLANK || c->_state == EXT || c->_state >= TRAILER)
			c->_extra++;
		c->_state = c->_extra > H1CHUNK_EXTRA_MAX ? BAD : step(c, in[i++]);
	}
	if (c->_state == DATA && i < len) {
		size_t n = len - i;
		if (n > c->left)
			n = (size_t)c->left;
		*data = in + i;
		*data_len = n;
		*used = i + n;
		c->left -= n;
		if (!c->left)
			c->_state = DATA_CR;
		return H1CHUNK_DATA;
	}
	*used = i;
	return c->_state == DONE ? H1CHUNK_END : c->_state == BAD ? H1CHUNK_BAD : H1CHUNK_MORE;
}
