#include "core/base/json.h"

#include <string.h>

#include "core/base/bytes.h"
#include "core/base/rune.h"

enum form {
	HTML,
	RAW,
	SHOWN
};

/* What encoding/json escapes in a string. */
static bool is_plain(uint8_t c, enum form form)
{
	return c >= 0x20 && c < 0x7f + (form != SHOWN) && c != '"' && c != '\\' &&
	    !(form == HTML && (c == '<' || c == '>' || c == '&'));
}

static void put_ascii(struct buf *b, uint8_t c)
{
	static const char hex[] = "0123456789abcdef";
	char short_form = c == '\n' ? 'n'
	    : c == '\r'             ? 'r'
	    : c == '\t'             ? 't'
	    : c == '\b'             ? 'b'
	    : c == '\f'             ? 'f'
	    : c == '"' || c == '\\' ? (char)c
	                            : 0;
	if (short_form) {
		buf_add_u8(b, '\\');
		buf_add_u8(b, (uint8_t)short_form);
		return;
	}
	uint8_t text[6] = { '\\', 'u', '0', '0', (uint8_t)hex[c >> 4], (uint8_t)hex[c & 15] };
	buf_add(b, text, sizeof(text));
}

static void put(struct buf *b, const char *s, size_t len, enum form form)
{
	bool html = form == HTML;
	buf_reserve(b, len + 2);
	buf_add_u8(b, '"');
	for (size_t i = 0; i < len;) {
		size_t start = i;
		while (i < len && is_plain((uint8_t)s[i], form))
			i++;
		buf_add(b, s + start, i - start);
		if (i == len)
			break;
		uint32_t rune;
		size_t n = rune_decode(s + i, len - i, &rune);
		if (n == 0) {
			buf_add(b, html ? "\\ufffd" : "\xef\xbf\xbd", html ? 6 : 3);
			n = 1;
		} else if (n == 1 || (form == SHOWN && rune < 0xa0)) {
			put_ascii(b, (uint8_t)rune);
		} else if (html && (rune == 0x2028 || rune == 0x2029)) {
			buf_add(b, rune == 0x2028 ? "\\u2028" : "\\u2029", 6);
		} else {
			buf_add(b, s + i, n);
		}
		i += n;
	}
	buf_add_u8(b, '"');
}

void json_str(struct buf *b, const char *s, size_t len)
{
	put(b, s, len, HTML);
}

void json_str_raw(struct buf *b, const char *s, size_t len)
{
	put(b, s, len, RAW);
}

void json_str_shown(struct buf *b, const char *s, size_t len)
{
	put(b, s, len, SHOWN);
}

bool json_utf8_valid(const char *s, size_t len)
{
	return rune_valid(s, len);
}

/* ---- strings of others ---- */

static const char escape_from[] = "\"\\/bfnrt", escape_into[] = "\"\\/\b\f\n\r\t";

/* Four hex digits; -1: they are none. */
static int32_t hex4(const char *p, const char *end)
{
	int32_t v = 0;
	if (end - p < 4)
		return -1;
	for (unsigned i = 0; i < 4; i++) {
		int d = bytes_hex((unsigned char)p[i]);
		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

bool json_is_escape(const char *p, const char *end)
{
	if (p >= end)
		return false;
	return *p == 'u' ? hex4(p + 1, end) >= 0 : *p && strchr(escape_from, *p);
}

/* Four digits, twice for a pair. *p: behind "\u"; an escape. */
static uint32_t unicode(const char **p, const char *end)
{
	uint32_t rune = (uint32_t)hex4(*p, end);
	int32_t low;
	*p += 4;
	if (rune < 0xd800 || rune >= 0xe000)
		return rune;
	if (rune >= 0xdc00 || end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
		return 0xfffd;
	low = hex4(*p + 2, end);
	if (low < 0xdc00 || low >= 0xe000)
		return 0xfffd;
	*p += 6;
	return 0x10000 + ((rune - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
}

bool json_unescape(const char *raw, size_t len, char *to, size_t *out_len)
{
	const char *p = raw, *end = raw + len;
	size_t n = 0;
	while (p < end) {
		if (*p != '\\') {
			to[n++] = *p++;
			continue;
		}
		if (!json_is_escape(++p, end))
			return false;
		char c = *p++;
		if (c == 'u')
			n += rune_encode(unicode(&p, end), to + n);
		else
			to[n++] = escape_into[strchr(escape_from, c) - escape_from];
	}
	*out_len = n;
	return true;
}
