/*
 * ql_elem - what is done to each value of a column alone: math and time functions, operators with a
 * scalar.
 * In place. Thread: pure functions.
 */
#ifndef CORE_PROMQL_RUN_QL_ELEM_H
#define CORE_PROMQL_RUN_QL_ELEM_H

#include "core/promql/lang/ql_arith.h"
#include "core/promql/plan/ql_spec.h"

/*
 * For the part of a column that begins at step from (a multiple of QL_PART). Bits of has may go off
 * (comparisons, clamp with max < min); values there become 0. Returns the work, as ql_tick and
 * ql_range.h count it.
 */
uint64_t ql_elem_part(
    const struct ql_elem *e, const struct ql_grid *g, uint32_t from, struct ql_col *c);
/* A chain of count of them, each on one part before the next part: where it is. */
struct ql_elem_at {
	unsigned elem;
	uint32_t step;
};
/* The next part of it; 0 when all is done, and then at is ready for another column. */
uint64_t ql_elem_next(const struct ql_elem *e, unsigned count, const struct ql_grid *g,
    struct ql_col *c, struct ql_elem_at *at);

double ql_date_part(enum ql_fn fn, int64_t unix_s);

#endif
