/*
 * ql_elem - what is done to each value of a column alone: math and time functions, operators with a
 * scalar.
 * In place. Thread: pure functions.
 */
#ifndef CORE_PROMQL_RUN_QL_ELEM_H
#define CORE_PROMQL_RUN_QL_ELEM_H

#include "core/promql/plan/ql_arith.h"
#include "core/promql/plan/ql_spec.h"

/* Bits of has may go off (comparisons, clamp with max < min); values there become 0. */
void ql_elem_run(const struct ql_elem *e, const struct ql_grid *g, double *v, uint64_t *has);
/* The same for the part of the column that begins at step from (a multiple of QL_PART). */
void ql_elem_part(
    const struct ql_elem *e, const struct ql_grid *g, uint32_t from, double *v, uint64_t *has);

double ql_date_part(enum ql_fn fn, int64_t unix_s);

#endif
