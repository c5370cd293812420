#include "core/promql/lang/ql_arith.h"

#include <math.h>

double ql_min_of(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isinf(a) && a < 0 ? a : isinf(b) && b < 0 ? b : (double)NAN;
	if (a == 0 && b == 0)
		return signbit(a) ? a : b;
	return a < b ? a : b;
}

double ql_max_of(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isinf(a) && a > 0 ? a : isinf(b) && b > 0 ? b : (double)NAN;
	if (a == 0 && b == 0)
		return signbit(a) ? b : a;
	return a > b ? a : b;
}

/* --- the remainder --- */

struct whole { /* m * 2^e */
	uint64_t m;
	int e;
};

static struct whole whole_of(double v)
{
	uint64_t bits = num_bits(v), m = bits & (((uint64_t)1 << 52) - 1);
	int e = (int)(bits >> 52 & 0x7ff);

	if (!e)
		return (struct whole){ m, -1074 };
	return (struct whole){ m | (uint64_t)1 << 52, e - 1075 };
}

static uint64_t times_mod(uint64_t a, uint64_t b, uint64_t m)
{
	return (uint64_t)((unsigned __int128)a * b % m);
}

/* 2^e mod m, for e below 2^11 and m below 2^54. */
static uint64_t power_mod(unsigned e, uint64_t m)
{
	uint64_t x = 1 % m;

	for (unsigned b = 11; b--;) {
		x = times_mod(x, x, m);
		x <<= e >> b & 1;
		x = x >= m ? x - m : x;
	}
	return x;
}

/*
 * fmod is exact, but takes a step for each bit between the exponents: 1.5 us for 1e308 % 1e-308.
 * The same remainder comes from squares of 2 modulo the divisor.
 */
static double remainder_of(double l, double r)
{
	if (!isfinite(l) || !isfinite(r) || r == 0)
		return fmod(l, r);
	struct whole a = whole_of(l), b = whole_of(r);
	if (a.e - b.e < 64)
		return fmod(l, r);
	uint64_t m = times_mod(a.m % b.m, power_mod((unsigned)(a.e - b.e), b.m), b.m);
	return copysign(ldexp((double)m, b.e), l);
}

double ql_arith(enum ql_op op, double l, double r)
{
	switch (op) {
	case QL_ADD:
		return l + r;
	case QL_SUB:
		return l - r;
	case QL_MUL:
		return l * r;
	case QL_DIV:
		return l / r;
	case QL_MOD:
		return remainder_of(l, r);
	case QL_POW:
		return pow(l, r);
	case QL_ATAN2:
		return atan2(l, r);
	case QL_EQ:
	case QL_NE:
	case QL_LT:
	case QL_LE:
	case QL_GT:
	case QL_GE:
	case QL_TRIM_UPPER:
	case QL_TRIM_LOWER:
	case QL_AND:
	case QL_OR:
	case QL_UNLESS:
		break;
	}
	return NAN;
}

bool ql_compare(enum ql_op op, double l, double r)
{
	switch (op) {
	case QL_EQ:
		return l == r;
	case QL_NE:
		return l != r;
	case QL_LT:
		return l < r;
	case QL_LE:
		return l <= r;
	case QL_GT:
		return l > r;
	case QL_GE:
		return l >= r;
	case QL_ADD:
	case QL_SUB:
	case QL_MUL:
	case QL_DIV:
	case QL_MOD:
	case QL_POW:
	case QL_ATAN2:
	case QL_TRIM_UPPER:
	case QL_TRIM_LOWER:
	case QL_AND:
	case QL_OR:
	case QL_UNLESS:
		break;
	}
	return false;
}
