/*
 * ql_elem - what is done to each value of a column alone: math and time functions, operators with a
 * scalar.
 * In place. Thread: pure functions.
 */
#ifndef CORE_PROMQL_RUN_QL_ELEM_H
#define CORE_PROMQL_RUN_QL_ELEM_H

#include "core/promql/lang/ql_func.h"
#include "core/promql/plan/ql_value.h"

enum ql_elem_kind {
	QL_ELEM_FN,
	QL_ELEM_OP,
	QL_ELEM_MINUS
};
struct ql_elem {
	enum ql_elem_kind kind;
	enum ql_fn fn;
	enum ql_op op;
	bool scalar_left, return_bool;
	struct ql_scalar param[2]; /* QL_ELEM_OP: the scalar is param[0] */
};
bool ql_elem_knows(enum ql_fn fn); /* functions of one vector and scalars that are done here */
bool ql_elem_drops_name(const struct ql_elem *e);
/* Bits of has may go off (comparisons, clamp with max < min); values there become 0. */
void ql_elem_run(const struct ql_elem *e, const struct ql_grid *g, double *v, uint64_t *has);
/* The same for the part of the column that begins at step from (a multiple of QL_PART). */
void ql_elem_part(
    const struct ql_elem *e, const struct ql_grid *g, uint32_t from, double *v, uint64_t *has);

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
double ql_date_part(enum ql_fn fn, int64_t unix_s);

#endif
