/*
 * expo_scan - where names and labels end: what the readers of exposed text spend their time on, 16
 * or 32 bytes at once where the machine can (SSE2), else byte by byte.
 *
 * Thread: pure. Nothing is read at or behind end.
 */
#ifndef PROTO_EXPO_SCAN_H
#define PROTO_EXPO_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/check.h"

#ifdef __SSE2__
# include <emmintrin.h>
#endif

static inline bool expo_name_begins(char c)
{
	return (unsigned char)((c | 0x20) - 'a') < 26 || c == '_' || c == ':';
}

static inline bool expo_name_goes_on(char c)
{
	return expo_name_begins(c) || (unsigned char)(c - '0') < 10;
}

#ifdef __SSE2__

/* Bytes of [a-zA-Z0-9_:] as bits. */
static inline unsigned expo_name_bits(const char *p)
{
	__m128i c = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i letter = _mm_sub_epi8(_mm_or_si128(c, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
	__m128i digit = _mm_sub_epi8(c, _mm_set1_epi8('0')); /* ':' follows '9' */
	letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter);
	digit = _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(10)), digit);
	__m128i good =
	    _mm_or_si128(_mm_or_si128(letter, digit), _mm_cmpeq_epi8(c, _mm_set1_epi8('_')));
	return (unsigned)_mm_movemask_epi8(good);
}

static inline uint32_t expo_bits(__m128i a, __m128i b, char c)
{
	__m128i v = _mm_set1_epi8(c);
	return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(a, v)) |
	    (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(b, v)) << 16;
}

#endif

/* The first byte at or behind p that is not of [a-zA-Z0-9_:]. */
static inline const char *expo_name_end(const char *p, const char *end)
{
#ifdef __SSE2__
	for (; end - p >= 16; p += 16) {
		unsigned other = expo_name_bits(p) ^ 0xffff;
		if (LIKELY(other))
			return p + __builtin_ctz(other);
	}
#endif
	while (p < end && expo_name_goes_on(*p))
		p++;
	return p;
}

/* Behind a backslash stands a byte that means nothing else, NULs between them. */
static inline const char *expo_escaped(const char *p, const char *end)
{
	for (p++; p < end && !*p; p++)
		;
	return p < end ? p + 1 : end;
}

/* Up to stop, byte by byte; the brace, or NULL and *at is where to go on. */
static inline const char *expo_brace_slow(
    const char **at, const char *stop, const char *end, bool *quoted)
{
	const char *p = *at;
	while (p < stop) {
		if (*p == '\\' && *quoted) {
			p = expo_escaped(p, end);
			continue;
		}
		if (*p == '"')
			*quoted = !*quoted;
		else if (*p == '}' && !*quoted)
			return p;
		p++;
	}
	*at = p;
	return NULL;
}

/* The brace that ends labels, the first one outside quotes, from behind the one that opens them. */
static inline const char *expo_brace_end(const char *p, const char *end)
{
	bool quoted = false;
#ifdef __SSE2__
	while (end - p >= 32) {
		__m128i a = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i b = _mm_loadu_si128((const __m128i *)(const void *)(p + 16));
		uint32_t in = expo_bits(a, b, '"');
		if (UNLIKELY(expo_bits(a, b, '\\'))) {
			const char *brace = expo_brace_slow(&p, p + 32, end, &quoted);
			if (brace)
				return brace;
			continue;
		}
		/* each bit: are there an odd number of quotes up to it? */
		in ^= in << 1;
		in ^= in << 2;
		in ^= in << 4;
		in ^= in << 8;
		in ^= in << 16;
		in ^= quoted ? UINT32_MAX : 0;
		uint32_t brace = expo_bits(a, b, '}') & ~in;
		if (LIKELY(brace))
			return p + __builtin_ctz(brace);
		quoted = in >> 31;
		p += 32;
	}
#endif
	return expo_brace_slow(&p, end, end, &quoted);
}

#endif
