/*
 * apply - a piece of a slice on its owner: rows found or created, judged, put into memory and into
 * the log frame.
 *
 * (1) What is in memory afterwards stands in frames that were handed to the log: both in this call
 *     (storage README (1)).
 * A row is judged in this order: histogram (refused before it comes here), out_of_bounds, too_old,
 * labels, limits of series; then against what memory holds.
 * An unknown series whose bytes are canonical is created, if the rules of its tenant let it be
 * (card.h). Bytes that are not: their canonical form is looked up or made, and the row is given
 * back as odd, to go to its owner; so are rows whose labels a rule has rewritten: nobody asks again
 * there.
 * Thread: the slice's owner. Memory: odd rows and their labels are in the intake's scratch arena,
 * until its next slice.
 */
#ifndef STORAGE_APPEND_APPLY_H
#define STORAGE_APPEND_APPLY_H

#include "storage/append/intake.h"

/* Why an exemplar is refused (shard_verdict.exemplar_why): of one that has no series here. */
#define APPLY_EXEMPLAR_UNKNOWN "exemplar of a series that is not known"

struct apply_odd {
	struct head_row row; /* labels canonical, fp that of them */
	uint32_t shard;
	bool ruled; /* a rule has rewritten them */
};
struct apply_odds {
	struct apply_odd *rows;
	uint32_t count, cap;
};
/*
 * Rows of the slice from rows_done on, until they are all done or intake_time_is_up; at least some.
 * True: all. Adds to the slice's verdict and rows_done, raises position (0 = need not wait); sets
 * err and slow when new series have to wait.
 */
bool apply_slice(struct intake *in, struct slice *sl, struct apply_odds *odds);

#endif
