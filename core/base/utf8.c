#include "core/base/utf8.h"

#include "core/base/rune.h"

#include <stdio.h>

#define RUNE_BYTES_MAX 4u

static bool is_tail(char c)
{
	return ((uint8_t)c & 0xc0) == 0x80;
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

size_t utf8_cut(const char *s, size_t len, size_t max)
{
	if (len <= max)
		return len;
	size_t at = max;
	while (at && max - at < RUNE_BYTES_MAX - 1 && is_tail(s[at]))
		at--;
	uint32_t rune;
	size_t n = rune_decode(s + at, len - at, &rune);
	return n > max - at ? at : max;
}

size_t utf8_whole(const char *s, size_t len)
{
	size_t back = 1;
	while (back < RUNE_BYTES_MAX && back < len && is_tail(s[len - back]))
		back++;
	return len && back <= len && bytes_of(s[len - back]) > back ? len - back : len;
}

size_t utf8_vprintf(char *out, size_t size, const char *fmt, va_list ap)
{
	int n = vsnprintf(out, size, fmt, ap);
	size_t len = n < 0 ? 0 : (size_t)n;
	if (len >= size)
		len = size ? utf8_whole(out, size - 1) : 0;
	if (size)
		out[len] = 0;
	return len;
}
