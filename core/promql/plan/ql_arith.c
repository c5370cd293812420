#include "core/promql/plan/ql_arith.h"

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
		return fmod(l, r);
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
