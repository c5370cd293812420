#include "core/base/json.h"

#include "core/base/rune.h"

/* What encoding/json escapes in a string. */
static bool is_plain(uint8_t c, bool html)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\' &&
	    !(html && (c == '<' || c == '>' || c == '&'));
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

static void put(struct buf *b, const char *s, size_t len, bool html)
{
	buf_reserve(b, len + 2);
	buf_add_u8(b, '"');
	for (size_t i = 0; i < len;) {
		size_t start = i;
		while (i < len && is_plain((uint8_t)s[i], html))
			i++;
		buf_add(b, s + start, i - start);
		if (i == len)
			break;
		uint32_t rune;
		size_t n = rune_decode(s + i, len - i, &rune);
		if (n == 0) {
			buf_add(b, html ? "\\ufffd" : "\xef\xbf\xbd", html ? 6 : 3);
			n = 1;
		} else if (n == 1) {
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
	put(b, s, len, true);
}

void json_str_raw(struct buf *b, const char *s, size_t len)
{
	put(b, s, len, false);
}

bool json_utf8_valid(const char *s, size_t len)
{
	return rune_valid(s, len);
}
