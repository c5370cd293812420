/*
 * num_scan - plain decimal numbers to the nearest double.
 *
 * Up to 19 digits are an integer m, the rest is 10^e. Small ones are exact in doubles (W. Clinger,
 * "How to Read Floating Point Numbers Accurately", 1990); of the others one or two products with
 * the table of powers decide, unless they lie too near to a half (D. Lemire, "Number Parsing at a
 * Gigabyte per Second", 2021): then strtod does.
 */
#include "core/base/num.h"

#include "core/base/num_priv.h"

#include <math.h>
#include <string.h>

#define DIGITS_MAX    19 /* of an integer below 2^64 */
#define EXACT_INTEGER ((uint64_t)1 << 53)
#define EXACT_POWER   22
#define EXPONENT_MAX  10000 /* further digits of an exponent change nothing */
#define MANTISSA_BITS 52
#define LOW_BITS      0x1ff /* below the mantissa and its rounding bit */
#define BIAS          1023

static const double exact_power[EXACT_POWER + 1] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8,
	1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };

struct product {
	uint64_t hi, lo;
};

static inline struct product multiply(uint64_t a, uint64_t b)
{
	unsigned __int128 x = (unsigned __int128)a * b;
	return (struct product){ .hi = (uint64_t)(x >> 64), .lo = (uint64_t)x };
}

/* The table rounds up; here the bits that are there are wanted. */
static inline struct num_pow10 power_down(int e)
{
	struct num_pow10 g = num_pow10[e - NUM_POW10_MIN];
	if (e < 0 || e > NUM_EXACT_MAX) {
		g.hi -= g.lo == 0;
		g.lo--;
	}
	return g;
}

/* m * 10^e, m > 0; false: too near to a half, or no normal number. */
static bool by_table(uint64_t m, int e, double *out)
{
	if (e < NUM_POW10_MIN || e > NUM_POW10_MAX)
		return false;
	unsigned zeros = (unsigned)__builtin_clzll(m);
	m <<= zeros;
	int exp2 = num_floor_log2_pow10(e) + 64 + BIAS - (int)zeros;
	struct num_pow10 g = power_down(e);
	struct product x = multiply(m, g.hi);
	if ((x.hi & LOW_BITS) == LOW_BITS && x.lo + m < m) {
		struct product y = multiply(m, g.lo);
		uint64_t lo = x.lo + y.hi, hi = x.hi + (lo < x.lo);
		if ((hi & LOW_BITS) == LOW_BITS && lo + 1 == 0 && y.lo + m < m)
			return false;
		x = (struct product){ .hi = hi, .lo = lo };
	}
	unsigned top = (unsigned)(x.hi >> 63);
	uint64_t bits = x.hi >> (top + 9);
	exp2 -= 1 ^ (int)top;
	if (x.lo == 0 && (x.hi & LOW_BITS) == 0 && (bits & 3) == 1)
		return false;
	bits = (bits + (bits & 1)) >> 1;
	if (bits >> (MANTISSA_BITS + 1)) {
		bits >>= 1;
		exp2++;
	}
	if (exp2 < 1 || exp2 >= 2 * BIAS + 1)
		return false;
	*out = num_from_bits(
	    (uint64_t)exp2 << MANTISSA_BITS | (bits & (((uint64_t)1 << MANTISSA_BITS) - 1)));
	return true;
}

static inline bool digit(char c)
{
	return (unsigned char)(c - '0') < 10;
}

/* Digits at p: *m goes on with them; behind them. */
static inline const char *digits(const char *p, const char *end, uint64_t *m)
{
	uint64_t v = *m;
	for (; p < end && digit(*p); p++)
		v = v * 10 + (uint64_t)(*p - '0');
	*m = v;
	return p;
}

/* "e-09" at p, behind it; NULL: an e without digits. */
static const char *exponent(const char *p, const char *end, int *e)
{
	bool minus = false;
	int n = 0;
	if (++p < end && (*p == '+' || *p == '-'))
		minus = *p++ == '-';
	if (p == end || !digit(*p))
		return NULL;
	for (; p < end && digit(*p); p++)
		if (n < EXPONENT_MAX)
			n = n * 10 + (*p - '0');
	*e += minus ? -n : n;
	return p;
}

/* How many of the digits between s and p count: zeros that lead do not. */
static int significant(const char *s, const char *p)
{
	int n = 0;
	for (; s < p && (*s == '0' || *s == '.'); s++)
		;
	for (; s < p; s++)
		n += *s != '.';
	return n;
}

bool num_scan_float(const char **at, const char *end, double *out)
{
	const char *p = *at;
	bool minus = false;
	uint64_t m = 0;
	int e = 0;
	if (p < end && (*p == '-' || *p == '+'))
		minus = *p++ == '-';
	const char *first = p;
	p = digits(p, end, &m);
	size_t count = (size_t)(p - first);
	if (p < end && *p == '.') {
		const char *point = ++p;
		p = digits(p, end, &m);
		if (p - point > EXPONENT_MAX)
			return false;
		e = (int)(point - p);
		count += (size_t)(p - point);
	}
	if (!count ||
	    (count > DIGITS_MAX && (count > EXPONENT_MAX || significant(first, p) > DIGITS_MAX)))
		return false;
	if (p < end && (*p == 'e' || *p == 'E')) {
		p = exponent(p, end, &e);
		if (!p)
			return false;
	}
	double v;
	if (m <= EXACT_INTEGER && e >= -EXACT_POWER && e <= EXACT_POWER)
		v = e < 0 ? (double)m / exact_power[-e] : (double)m * exact_power[e];
	else if (m == 0)
		v = 0;
	else if (!by_table(m, e, &v))
		return false;
	*out = minus ? -v : v;
	*at = p;
	return true;
}
