/*
 * utf8 - texts for people are cut between characters, not inside of one.
 *
 * Bytes that are no UTF-8 stay as they are, and are cut anywhere. Pure functions.
 */
#ifndef CORE_BASE_UTF8_H
#define CORE_BASE_UTF8_H

#include "core/base/check.h"
#include <stdarg.h>

/* How many bytes of s[0..len) to keep, max at most. */
size_t utf8_cut(const char *s, size_t len, size_t max);
/* The same of a text that was cut at len, and whose rest is gone: a character that is not whole
 * at its end is left out. */
size_t utf8_whole(const char *s, size_t len);
/* vsnprintf whose text is cut between characters; returns the length that is there. */
size_t utf8_vprintf(char *out, size_t size, const char *fmt, va_list ap) PRINTF_LIKE(3, 0);

#endif
