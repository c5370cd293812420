/*
 * ql_elem - what is done to each value of a column alone: math and time functions, operators with a
 * scalar, numbers of histograms (count, sum, mean, deviation).
 * In place. Thread: pure functions.
 */
#ifndef CORE_PROMQL_RUN_QL_ELEM_H
#define CORE_PROMQL_RUN_QL_ELEM_H

#include "core/promql/lang/ql_arith.h"
#include "core/promql/plan/ql_spec.h"
#include "core/promql/run/ql_notes.h"

/* Where new histograms go, which live as long as the column, and notes of operators. */
struct ql_elem_room {
	struct arena *arena;
	struct ql_notes *notes;
};
/*
 * A chain of elements on a column, each on one part of QL_PART steps before the next part: where it
 * is. Of histograms a part is done in several calls, as they are large.
 */
struct ql_elem_at {
	unsigned elem;
	uint32_t step;
	bool in_hists; /* the floats of this part are done */
	uint32_t hist; /* histograms looked at in this part */
	/* the one that the element at hand saw last, at step before, and what it made of it */
	const struct hist *seen, *made;
	uint32_t before;
};
/*
 * The next part of a chain of count elements. Bits may go off (comparisons, operators that do not
 * know histograms, clamp with max < min); values there become 0. Returns the work, as ql_tick and
 * ql_range.h count it; 0 when all is done, and then at is ready for another column.
 */
uint64_t ql_elem_next(const struct ql_elem *e, unsigned count, const struct ql_grid *g,
    struct ql_col *c, const struct ql_elem_room *room, struct ql_elem_at *at);
/*
 * The same for the histograms of a part alone (ql_elem_hist.c), from step at of it on; at goes on.
 */
uint64_t ql_elem_hists(const struct ql_elem *e, const struct ql_grid *g, uint32_t from,
    struct ql_col *c, const struct ql_elem_room *room, struct ql_elem_at *at);
bool ql_elem_of_hists(enum ql_fn fn); /* histogram_count & co: floats are left out */
/* The info about types that an operator does not know together: "float", "histogram". */
void ql_elem_note(
    struct ql_notes *n, struct ql_pos pos, enum ql_op op, bool left_hist, bool right_hist);

double ql_date_part(enum ql_fn fn, int64_t unix_s);

#endif
