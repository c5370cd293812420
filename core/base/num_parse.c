#include "core/base/num.h"

#include "core/base/arena.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SHORT_TEXT 128 /* longer numbers go through the heap */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	c = lower(c);
	return is_digit(c) || (c >= 'a' && c <= 'f');
}

static bool equals_fold(const char *s, size_t len, const char *word)
{
	if (len != strlen(word))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (lower(s[i]) != word[i])
			return false;
	}
	return true;
}

/* Go's underscoreOK: an underscore stands between digits, or between a base prefix and a digit. */
static bool underscores_ok(const char *s, size_t len)
{
	char seen = '^'; /* '0' a digit or prefix, '_' an underscore, '!' something else */
	size_t i = 0;
	bool hex = false;
	if (len && (s[0] == '-' || s[0] == '+'))
		i++;
	if (len - i >= 2 && s[i] == '0' &&
	    (lower(s[i + 1]) == 'b' || lower(s[i + 1]) == 'o' || lower(s[i + 1]) == 'x')) {
		hex = lower(s[i + 1]) == 'x';
		i += 2;
		seen = '0';
	}
	for (; i < len; i++) {
		if (is_digit(s[i]) || (hex && is_hex(s[i]))) {
			seen = '0';
			continue;
		}
		if (s[i] == '_') {
			if (seen != '0')
				return false;
			seen = '_';
			continue;
		}
		if (seen == '_')
			return false;
		seen = '!';
	}
	return seen != '_';
}

/* Go's special(): inf and infinity with an optional sign, nan without one. */
static bool parse_special(const char *s, size_t len, double *out)
{
	if (equals_fold(s, len, "nan")) {
		*out = num_from_bits(0x7ff8000000000001u); /* the bits of Go's math.NaN() */
		return true;
	}
	bool sign = len && (s[0] == '-' || s[0] == '+');
	if (!equals_fold(s + sign, len - sign, "inf") &&
	    !equals_fold(s + sign, len - sign, "infinity"))
		return false;
	*out = sign && s[0] == '-' ? -INFINITY : INFINITY;
	return true;
}

/* Go's readFloat as a shape: does the whole text match, underscores aside? */
static bool float_shape(const char *s, size_t len, bool *underscores)
{
	const char *p = s, *end = s + len;
	bool digits = false, point = false, hex = false;
	if (p < end && (*p == '+' || *p == '-'))
		p++;
	if (end - p > 2 && p[0] == '0' && lower(p[1]) == 'x') {
		hex = true;
		p += 2;
	}
	for (; p < end; p++) {
		if (*p == '_')
			*underscores = true;
		else if (*p == '.' && !point)
			point = true;
		else if (is_digit(*p) || (hex && is_hex(*p)))
			digits = true;
		else
			break;
	}
	if (!digits)
		return false;
	if (p < end && lower(*p) == (hex ? 'p' : 'e')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		if (p == end || !is_digit(*p))
			return false;
		for (; p < end && (is_digit(*p) || *p == '_'); p++)
			*underscores |= *p == '_';
	} else if (hex) {
		return false; /* a hexadecimal float needs its p exponent */
	}
	return p == end;
}

enum err num_parse_float(const char *s, size_t len, double *out)
{
	bool underscores = false;
	const char *p = s;
	if (len == 0)
		return ERR_MALFORMED;
	if (num_scan_float(&p, s + len, out) && p == s + len)
		return ERR_OK;
	if (parse_special(s, len, out))
		return ERR_OK;
	if (!float_shape(s, len, &underscores) || (underscores && !underscores_ok(s, len)))
		return ERR_MALFORMED;
	char small[SHORT_TEXT], *text = len < sizeof(small) ? small : mem_alloc(len + 1);
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		if (s[i] != '_')
			text[n++] = s[i];
	}
	text[n] = 0;
	double v = strtod(text, NULL); /* correctly rounded; the locale is C */
	if (text != small)
		mem_free(text);
	if (isinf(v))
		return ERR_TOOBIG;
	*out = v;
	return ERR_OK;
}

/* strconv.ParseInt(s, 0, 64). False also when out of range: the text may still be a float. */
static bool parse_int_base0(const char *s, size_t len, int64_t *out)
{
	size_t i = 0;
	bool negative = false;
	if (len && (s[0] == '-' || s[0] == '+')) {
		negative = s[0] == '-';
		i++;
	}
	unsigned base = 10;
	if (i < len && s[i] == '0') {
		char c = len - i >= 3 ? lower(s[i + 1]) : 0;
		base = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 8;
		i += c == 'x' || c == 'o' || c == 'b' ? 2 : 1;
		if (i == len) { /* "0" */
			*out = 0;
			return true;
		}
	}
	if (i == len || !underscores_ok(s, len))
		return false;
	uint64_t v = 0, most = (uint64_t)INT64_MAX + negative;
	for (; i < len; i++) {
		if (s[i] == '_')
			continue;
		char c = lower(s[i]);
		unsigned d = is_digit(c)   ? (unsigned)(c - '0')
		    : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
		                           : 99;
		if (d >= base || v > (most - d) / base)
			return false;
		v = v * base + d;
	}
	*out = negative ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

enum err num_parse_go(const char *s, size_t len, double *out)
{
	int64_t i;
	if (parse_int_base0(s, len, &i)) {
		*out = (double)i;
		return ERR_OK;
	}
	return num_parse_float(s, len, out);
}

enum err num_parse_u64(const char *s, size_t len, uint64_t *out)
{
	uint64_t v = 0;
	if (len && *s == '+') {
		s++;
		len--;
	}
	if (len == 0)
		return ERR_MALFORMED;
	bool over = false;
	for (size_t i = 0; i < len; i++) {
		if (!is_digit(s[i]))
			return ERR_MALFORMED;
		over |= __builtin_mul_overflow(v, 10, &v);
		over |= __builtin_add_overflow(v, (uint64_t)(s[i] - '0'), &v);
	}
	if (over)
		return ERR_TOOBIG;
	*out = v;
	return ERR_OK;
}

enum err num_parse_i64(const char *s, size_t len, int64_t *out)
{
	bool negative = len && *s == '-';
	uint64_t v;
	if (negative) {
		s++;
		len--;
		if (len && *s == '+')
			return ERR_MALFORMED;
	}
	enum err e = num_parse_u64(s, len, &v);
	if (e)
		return e;
	if (v > (uint64_t)INT64_MAX + negative)
		return ERR_TOOBIG;
	*out = negative ? (int64_t)(0 - v) : (int64_t)v;
	return ERR_OK;
}
