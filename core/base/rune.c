#include "core/base/rune.h"

#include "core/base/rune_set.h"

#include <stdio.h>
#include <string.h>

static bool is_tail(char c)
{
	return ((uint8_t)c & 0xc0) == 0x80;
}

size_t rune_decode(const char *s, size_t len, uint32_t *rune)
{
	if (len == 0)
		return 0;
	uint8_t c = (uint8_t)s[0];
	if (c < 0x80) {
		*rune = c;
		return 1;
	}
	if (c < 0xc2 || c > 0xf4)
		return 0;
	size_t n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	if (len < n)
		return 0;
	uint32_t r = c & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if (!is_tail(s[i]))
			return 0;
		r = r << 6 | ((uint8_t)s[i] & 0x3f);
	}
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	if (r < least[n] || r > 0x10ffff || (r >= 0xd800 && r <= 0xdfff))
		return 0;
	*rune = r;
	return n;
}

size_t rune_encode(uint32_t rune, char *out)
{
	CHECK(rune <= 0x10ffff);
	if (rune < 0x80) {
		out[0] = (char)rune;
		return 1;
	}
	size_t n = rune < 0x800 ? 2 : rune < 0x10000 ? 3 : 4;
	for (size_t i = n - 1; i > 0; i--) {
		out[i] = (char)(0x80 | (rune & 0x3f));
		rune >>= 6;
	}
	out[0] = (char)((0xf00u >> n) | rune);
	return n;
}

size_t rune_cut(const char *s, size_t len, size_t max)
{
	if (len <= max)
		return len;
	size_t at = max;
	while (at && max - at < 3 && is_tail(s[at]))
		at--;
	uint32_t rune;
	size_t n = rune_decode(s + at, len - at, &rune);
	return n > max - at ? at : max; /* bytes that are no text are cut anywhere */
}

/* Bytes that a character with this first byte has; 1 for what cannot be one. */
static size_t bytes_of(char first)
{
	uint8_t c = (uint8_t)first;
	return c >= 0xc2 && c < 0xe0 ? 2
	    : c >= 0xe0 && c < 0xf0  ? 3
	    : c >= 0xf0 && c <= 0xf4 ? 4
	                             : 1;
}

size_t rune_whole(const char *s, size_t len)
{
	size_t back = 1;
	while (back < 4 && back < len && is_tail(s[len - back]))
		back++;
	return len && bytes_of(s[len - back]) > back ? len - back : len;
}

size_t rune_vprintf(char *out, size_t size, const char *fmt, va_list ap)
{
	int n = vsnprintf(out, size, fmt, ap);
	size_t len = n < 0 ? 0 : (size_t)n;
	if (len >= size)
		len = rune_whole(out, size - 1);
	out[len] = 0;
	return len;
}

size_t rune_printf(char *out, size_t size, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	size_t len = rune_vprintf(out, size, fmt, ap);
	va_end(ap);
	return len;
}

bool rune_valid(const char *s, size_t len)
{
	size_t i = 0;
	while (i < len) {
		uint64_t eight;
		if (len - i >= 8) {
			memcpy(&eight, s + i, 8);
			if ((eight & 0x8080808080808080u) == 0) {
				i += 8;
				continue;
			}
		}
		uint32_t rune;
		size_t n = rune_decode(s + i, len - i, &rune);
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

bool rune_printable(uint32_t rune)
{
	if (rune < 0x80)
		return rune >= 0x20 && rune < 0x7f;
	enum rune_cat cat = rune_category(rune);
	return cat > RUNE_Cs && cat < RUNE_Zl;
}

bool rune_word(uint32_t rune)
{
	if (rune < 0x80)
		return (rune >= '0' && rune <= '9') || (rune >= 'a' && rune <= 'z') ||
		    (rune >= 'A' && rune <= 'Z') || rune == '_';
	enum rune_cat cat = rune_category(rune);
	return (cat >= RUNE_Ll && cat <= RUNE_Lu) || cat == RUNE_Nd;
}
