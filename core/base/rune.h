/*
 * rune - UTF-8, one code point at a time.
 *
 * Only shortest forms up to U+10FFFF without surrogates are valid (RFC 3629). Thread: pure functions.
 */
#ifndef CORE_BASE_RUNE_H
#define CORE_BASE_RUNE_H

#include "core/base/check.h"

/* Length of the code point at s, 1..4; 0 when the bytes there are not valid UTF-8 or len is 0. */
size_t rune_decode(const char *s, size_t len, uint32_t *rune);
/* Writes 1..4 bytes; rune must be a code point that UTF-8 can hold. */
size_t rune_encode(uint32_t rune, char *out);
bool rune_valid(const char *s, size_t len);
/* Go's strconv.IsPrint: letters, marks, numbers, punctuation, symbols, and the ASCII blank. */
bool rune_printable(uint32_t rune);
/* A letter or decimal digit of any script, or _. */
bool rune_word(uint32_t rune);

#endif
