/*
 * ql_arith - operators and functions on two numbers, as Go computes them.
 * Thread: pure functions.
 */
#ifndef CORE_PROMQL_LANG_QL_ARITH_H
#define CORE_PROMQL_LANG_QL_ARITH_H

#include "core/promql/lang/ql_ast.h"

double ql_arith(enum ql_op op, double l, double r); /* + - * / % ^ atan2 */
bool ql_compare(enum ql_op op, double l, double r);
static inline bool ql_op_is_compare(enum ql_op op)
{
	return op >= QL_EQ && op <= QL_GE;
}
static inline bool ql_op_is_set(enum ql_op op)
{
	return op >= QL_AND;
}
static inline bool ql_op_is_trim(enum ql_op op)
{
	return op == QL_TRIM_UPPER || op == QL_TRIM_LOWER;
}
double ql_min_of(double a, double b); /* Go's math.Min, math.Max */
double ql_max_of(double a, double b);

#endif
