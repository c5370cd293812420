/*
 * num - numbers as text, durations, checked arithmetic.
 *
 * Float printing is shortest round-trip digits (Dragonbox/Ryu class, at most some 15-25 ns), in
 * Go's spellings:
 *   num_fmt_f   strconv 'f', -1: never an exponent ("1e300" is 301 digits), NaN, +Inf, -Inf, -0
 *   num_fmt_json  as Prometheus' API prints sample values: 'f' unless 0 < |v| < 1e-6 or
 *               |v| >= 1e21, then 'e' with at least two exponent digits
 *   num_fmt_g   strconv 'g', -1 as %g of Go prints (exponent < -4 or >= 6 takes e form: 1e+06,
 *               but 999999.5): for annotation texts and label values
 * All write at most NUM_FMT_MAX bytes, no NUL, and return the length.
 * Parsing: num_parse_go is strconv.ParseInt(base 0) then ParseFloat, as the PromQL lexer reads
 * numbers (hex, octal by leading 0, _ separators, Inf, NaN in any case);
 * num_parse_float is Go's ParseFloat (no octal reading). Both need the whole text to match.
 * Durations: Prometheus' form, units y w d h m s ms in this order, each once, "0" alone allowed;
 * result in ms.
 */
#ifndef CORE_BASE_NUM_H
#define CORE_BASE_NUM_H

#include "core/base/err.h"

#define NUM_FMT_MAX 400
size_t num_fmt_f(double v, char *out);
size_t num_fmt_json(double v, char *out);
size_t num_fmt_g(double v, char *out);
size_t num_fmt_i64(int64_t v, char *out); /* at most 20 bytes */
size_t num_fmt_u64(uint64_t v, char *out);
/* Milliseconds as API seconds: "1435781451.781", "12.050", "12" ; negative allowed. */
size_t num_fmt_ts(int64_t ms, char *out);
/* Duration as Prometheus' model.Duration.String(): 5m, 1h30m, 0s, 1w... */
size_t num_fmt_duration(int64_t ms, char *out);
/* RFC 3339, UTC: 2026-11-28T12:00:03Z; with milliseconds where they are not 0. */
size_t num_fmt_time(int64_t ms, char *out);

MUST_CHECK enum err num_parse_go(const char *s, size_t len, double *out);
MUST_CHECK enum err num_parse_float(const char *s, size_t len, double *out);
/*
 * The same for a plain decimal number that a text begins with, in some 5 to 15 ns: true, *p behind
 * it, the float exactly as num_parse_float has it. False: no number begins here, or one that is not
 * so plain (words, hex, more than 19 digits, beyond 1e-292 or 1e308), and *p stays. What stands
 * behind is the caller's to judge: a number that is only the beginning of a longer one is read.
 */
bool num_scan_float(const char **p, const char *end, double *out);
MUST_CHECK enum err num_parse_i64(
    const char *s, size_t len, int64_t *out); /* decimal, optional sign, whole text */
MUST_CHECK enum err num_parse_u64(const char *s, size_t len, uint64_t *out);
/* ERR_MALFORMED: not a duration; ERR_TOOBIG: overflows. */
MUST_CHECK enum err num_parse_duration(const char *s, size_t len, int64_t *ms);
/*
 * API time: float seconds or RFC 3339, the two literal extreme constants, clamped to int64 ms
 * ("HTTP API" of the Prometheus documentation).
 */
MUST_CHECK enum err num_parse_time(const char *s, size_t len, int64_t *ms);
/*
 * Civil dates, proleptic Gregorian, UTC. Seconds before -292277022400-03-01 go on behind the last
 * ones, as in Go's time package.
 */
struct num_civil {
	int64_t year;
	int month, day, hour, minute, second, weekday /* 0 = Sunday */, yearday /* 1..366 */;
};
struct num_civil num_civil(int64_t unix_s);
int num_days_in_month(int64_t year, int month);

static inline bool num_add_size(size_t a, size_t b, size_t *out) /* false on overflow */
{
	return !__builtin_add_overflow(a, b, out);
}
static inline bool num_mul_size(size_t a, size_t b, size_t *out)
{
	return !__builtin_mul_overflow(a, b, out);
}
static inline uint32_t num_u32(size_t v) /* our own sizes only: checked */
{
	CHECK(v <= UINT32_MAX);
	return (uint32_t)v;
}
static inline int64_t num_sat_add(int64_t a, int64_t b)
{
	int64_t r;
	if (__builtin_add_overflow(a, b, &r))
		return a < 0 ? INT64_MIN : INT64_MAX;
	return r;
}
static inline int64_t num_sat_sub(int64_t a, int64_t b)
{
	int64_t r;
	if (__builtin_sub_overflow(a, b, &r))
		return a < 0 ? INT64_MIN : INT64_MAX;
	return r;
}
/*
 * A float as Go converts it on amd64: towards zero; what int64 cannot hold, and NaN, is INT64_MIN.
 */
static inline int64_t num_i64_go(double v)
{
	return v >= -0x1p63 && v < 0x1p63 ? (int64_t)v : INT64_MIN;
}
static inline uint64_t num_bits(double v)
{
	uint64_t u;
	__builtin_memcpy(&u, &v, 8);
	return u;
}
static inline double num_from_bits(uint64_t u)
{
	double v;
	__builtin_memcpy(&v, &u, 8);
	return v;
}

#endif
