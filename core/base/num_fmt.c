#include "core/base/num.h"

#include <string.h>

#include "core/base/num_priv.h"

/*
 * Shortest digits that read back as the same double, and among those the nearest to it. The method
 * is Schubfach (R. Giulietti, "The Schubfach way to render doubles", 2020):
 *
 *   v = c * 2^q; everything that rounds to v lies between (4c - 2) / 4 * 2^q (4c - 1 below a power
 *   of two) and (4c + 2) / 4 * 2^q.
 *   With k = floor(log10(width of that interval)) at least one and at most ten integers s have s *
 *   10^k inside. The three numbers, scaled by 10^-k, are had from
 *   one 64 x 128 bit product each with the table num_pow10.def, "rounded to odd": two more bits
 *   than the integer, the last of them sticky, decide every comparison rightly.
 */
#define MANTISSA_BITS 52
#define EXP_BIAS      1075 /* of a mantissa read as an integer */
#define EXP_MAX       0x7ff
#define G_PRECISION   6

const struct num_pow10 num_pow10[] = {
#define POW10(e, hi, lo) { hi, lo },
#include "core/base/num_pow10.def"
#undef POW10
};
STATIC(COUNT_OF(num_pow10) == 617);

struct decimal { /* digits * 10^exp, digits without trailing zeros */
	uint64_t digits;
	int exp;
};

static inline int floor_log10_pow2(int e) /* floor(e * log10(2)) */
{
	return (e * 1262611) >> 22;
}

static inline int floor_log10_3quarters_pow2(int e)
{
	return (e * 1262611 - 524031) >> 22;
}

static inline uint64_t round_to_odd(struct num_pow10 g, uint64_t c)
{
	unsigned __int128 x = (unsigned __int128)g.lo * c;
	unsigned __int128 y = (unsigned __int128)g.hi * c + (uint64_t)(x >> 64);
	return (uint64_t)(y >> 64) | ((uint64_t)y > 1);
}

/* Most end in no zero, and integers in few. */
static struct decimal strip_zeros(uint64_t digits, int exp)
{
	while (digits % 10000 == 0) {
		digits /= 10000;
		exp += 4;
	}
	if (digits % 100 == 0) {
		digits /= 100;
		exp += 2;
	}
	if (digits % 10 == 0) {
		digits /= 10;
		exp++;
	}
	return (struct decimal){ digits, exp };
}

/* v finite, positive, not zero. */
static struct decimal shortest(double v)
{
	uint64_t bits = num_bits(v), fraction = bits & (((uint64_t)1 << MANTISSA_BITS) - 1);
	int biased = (int)(bits >> MANTISSA_BITS) & EXP_MAX;
	uint64_t c = biased ? fraction | ((uint64_t)1 << MANTISSA_BITS) : fraction;
	int q = (biased ? biased : 1) - EXP_BIAS;
	if (q <= 0 && q >= -MANTISSA_BITS && (c & (((uint64_t)1 << -q) - 1)) == 0)
		return strip_zeros(c >> -q, 0); /* an integer below 2^53 is its own shortest form */
	bool closer = fraction == 0 && biased > 1; /* the neighbour below is at half the distance */
	uint64_t out = c & 1; /* an odd mantissa does not own its interval's ends */
	int k = closer ? floor_log10_3quarters_pow2(q) : floor_log10_pow2(q);
	int h = q + num_floor_log2_pow10(-k) + 1;
	struct num_pow10 g = num_pow10[-k - NUM_POW10_MIN];
	uint64_t lower = round_to_odd(g, (4 * c - 2 + closer) << h) + out;
	uint64_t mid = round_to_odd(g, (4 * c) << h);
	uint64_t upper = round_to_odd(g, (4 * c + 2) << h) - out;
	uint64_t s = mid / 4;
	if (s >= 10) {
		uint64_t tens = s / 10;
		bool down_in = lower <= 40 * tens, up_in = 40 * tens + 40 <= upper;
		if (down_in != up_in)
			return strip_zeros(tens + up_in, k + 1);
	}
	bool down_in = lower <= 4 * s, up_in = 4 * s + 4 <= upper;
	if (down_in != up_in)
		return strip_zeros(s + up_in, k);
	uint64_t half = 4 * s + 2;
	bool up = mid > half || (mid == half && (s & 1));
	return strip_zeros(s + up, k);
}

static const char two_digits[201] =
    "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
    "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

static size_t count_digits(uint64_t v)
{
	static const uint64_t powers[] = { 0, 10, 100, 1000, 10000, 100000, 1000000, 10000000,
		100000000, 1000000000, 10000000000u, 100000000000u, 1000000000000u, 10000000000000u,
		100000000000000u, 1000000000000000u, 10000000000000000u, 100000000000000000u,
		1000000000000000000u, 10000000000000000000u };
	unsigned bits = 64 - (unsigned)__builtin_clzll(v | 1);
	unsigned guess = bits * 1233 >> 12;
	return guess + (v >= powers[guess]);
}

static inline void put_4(uint32_t v, char *out)
{
	memcpy(out, two_digits + v / 100 * 2, 2);
	memcpy(out + 2, two_digits + v % 100 * 2, 2);
}

/* Eight at a time: their divisions do not wait for each other. */
static void put_digits(uint64_t v, char *out, size_t n)
{
	char *p = out + n;
	for (; n >= 8; n -= 8) {
		uint32_t low = (uint32_t)(v % 100000000);
		v /= 100000000;
		p -= 8;
		put_4(low / 10000, p);
		put_4(low % 10000, p + 4);
	}
	uint32_t rest = (uint32_t)v;
	for (; n >= 2; n -= 2) {
		p -= 2;
		memcpy(p, two_digits + rest % 100 * 2, 2);
		rest /= 100;
	}
	if (n)
		*out = (char)('0' + rest % 10);
}

size_t num_fmt_u64(uint64_t v, char *out)
{
	size_t n = v ? count_digits(v) : 1;
	put_digits(v, out, n);
	return n;
}

size_t num_fmt_i64(int64_t v, char *out)
{
	if (v >= 0)
		return num_fmt_u64((uint64_t)v, out);
	*out = '-';
	return 1 + num_fmt_u64(0 - (uint64_t)v, out + 1);
}

/* Writes what has no digits (NaN, infinities) or the sign; *rest is false when that was all. */
static size_t put_special(double v, char *out, bool *rest)
{
	uint64_t bits = num_bits(v);
	bool negative = bits >> 63;
	*rest = false;
	if (((bits >> MANTISSA_BITS) & EXP_MAX) == EXP_MAX) {
		bool nan = bits << 12;
		memcpy(out, nan ? "NaN" : negative ? "-Inf" : "+Inf", 4);
		return nan ? 3 : 4;
	}
	if (negative)
		*out++ = '-';
	if (bits << 1 == 0) {
		*out = '0';
		return 1u + negative;
	}
	*rest = true;
	return negative;
}

static size_t put_plain(struct decimal d, char *out)
{
	size_t n = count_digits(d.digits);
	if (d.exp >= 0) {
		put_digits(d.digits, out, n);
		memset(out + n, '0', (size_t)d.exp);
		return n + (size_t)d.exp;
	}
	size_t fraction = (size_t)-d.exp;
	if (fraction >= n) { /* 0.000ddd */
		size_t zeros = fraction - n;
		memcpy(out, "0.", 2);
		memset(out + 2, '0', zeros);
		put_digits(d.digits, out + 2 + zeros, n);
		return 2 + zeros + n;
	}
	put_digits(d.digits, out + 1, n);
	memmove(out, out + 1, n - fraction);
	out[n - fraction] = '.';
	return n + 1;
}

static size_t put_exp(struct decimal d, char *out)
{
	size_t n = count_digits(d.digits);
	char *p = out;
	put_digits(d.digits, p + 1, n);
	p[0] = p[1];
	if (n > 1) {
		p[1] = '.';
		p += n + 1;
	} else {
		p++;
	}
	int e = d.exp + (int)n - 1;
	*p++ = 'e';
	*p++ = e < 0 ? '-' : '+';
	unsigned a = (unsigned)(e < 0 ? -e : e);
	if (a >= 100) {
		*p++ = (char)('0' + a / 100);
		a %= 100;
	}
	memcpy(p, two_digits + 2 * a, 2);
	return (size_t)(p + 2 - out);
}

size_t num_fmt_f(double v, char *out)
{
	bool rest;
	size_t n = put_special(v, out, &rest);
	return rest ? n + put_plain(shortest(v), out + n) : n;
}

size_t num_fmt_json(double v, char *out)
{
	bool rest;
	size_t n = put_special(v, out, &rest);
	if (!rest)
		return n;
	double a = __builtin_fabs(v);
	struct decimal d = shortest(a);
	return n + (a < 1e-6 || a >= 1e21 ? put_exp(d, out + n) : put_plain(d, out + n));
}

size_t num_fmt_g(double v, char *out)
{
	bool rest;
	size_t n = put_special(v, out, &rest);
	if (!rest)
		return n;
	struct decimal d = shortest(v);
	int e = d.exp + (int)count_digits(d.digits) - 1;
	/*
	 * strconv.FormatFloat: with the shortest digits the decision is made as if for a precision
	 * of 6.
	 */
	return n + (e < -4 || e >= G_PRECISION ? put_exp(d, out + n) : put_plain(d, out + n));
}

size_t num_fmt_ts(int64_t ms, char *out)
{
	uint64_t a = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
	size_t n = 0;
	if (ms < 0)
		out[n++] = '-';
	n += num_fmt_u64(a / 1000, out + n);
	unsigned fraction = (unsigned)(a % 1000);
	if (fraction) {
		out[n++] = '.';
		out[n++] = (char)('0' + fraction / 100);
		memcpy(out + n, two_digits + 2 * (fraction % 100), 2);
		n += 2;
	}
	return n;
}
