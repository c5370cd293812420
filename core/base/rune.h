/*
 * rune - UTF-8, one code point at a time.
 *
 * Only shortest forms up to U+10FFFF without surrogates are valid (RFC 3629). Thread: pure
 * functions.
 */
#ifndef CORE_BASE_RUNE_H
#define CORE_BASE_RUNE_H

#include "core/base/check.h"
#include <stdarg.h>
#include <string.h>

/* Length of the code point at s, 1..4; 0 when the bytes there are not valid UTF-8 or len is 0. */
size_t rune_decode(const char *s, size_t len, uint32_t *rune);
/* Writes 1..4 bytes; rune must be a code point that UTF-8 can hold. */
size_t rune_encode(uint32_t rune, char *out);
bool rune_valid(const char *s, size_t len);
/*
 * Length of the text of at most max bytes that s begins with and that does not end within a
 * character.
 */
size_t rune_cut(const char *s, size_t len, size_t max);
/*
 * The same of a text that was cut at len, and whose rest is gone: a character that is not whole at
 * its end is left out.
 */
size_t rune_whole(const char *s, size_t len);
/*
 * snprintf for people: a text that does not fit ends with a whole character. The length of what
 * stands in out; size is at least 1.
 */
size_t rune_printf(char *out, size_t size, const char *fmt, ...) PRINTF_LIKE(3, 4);
size_t rune_vprintf(char *out, size_t size, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));
/* Go's strconv.IsPrint: letters, marks, numbers, punctuation, symbols, and the ASCII blank. */
bool rune_printable(uint32_t rune);
/* A letter or decimal digit of any script, or _. */
bool rune_word(uint32_t rune);
/* Simple case mapping of Unicode 15.0, as Go's unicode.ToUpper and ToLower. */
uint32_t rune_upper(uint32_t rune);
uint32_t rune_lower(uint32_t rune);
/* Is no byte above 0x7f? Eight at a time: most text is. */
static inline bool rune_is_ascii(const char *s, size_t len)
{
	uint64_t all = 0, word;
	size_t i = 0;
	for (; i + 8 <= len; i += 8) {
		memcpy(&word, s + i, 8);
		all |= word;
	}
	for (; i < len; i++)
		all |= (uint8_t)s[i];
	return !(all & UINT64_C(0x8080808080808080));
}

#endif
