/*
 * colruns - rows that come in any order of time become one column: of rows of one time the one that
 * came last wins.
 *
 *   rows are appended to colruns_top (by whatever appends to columns), then, where they do not
 *   begin behind the rows that the top had, colruns_split; at the end colruns_join
 *
 * Runs stand in the order in which they came; each ascends. One that is at most twice as long as
 * the one behind it is merged with that before the next begins: so n rows cost n log n, however
 * they overlap, and there are at most 33 runs. Rows in order are one run and cost nothing.
 *
 * Thread: any, one at a time. Memory: {0} is empty; columns are kept for the next time.
 */
#ifndef STORAGE_CHUNK_COLRUNS_H
#define STORAGE_CHUNK_COLRUNS_H

#include "storage/chunk/column.h"

#define COLRUNS_MAX 40u

struct colruns {
	struct column runs[COLRUNS_MAX];
	unsigned count; /* of runs, the empty top left out */
	uint64_t rows;  /* in those below the top */
	uint64_t moved; /* rows, by merging, ever: what overlaps have cost */
	struct column merged;
};
void colruns_release(struct colruns *r);
/* The run to append to. */
struct column *colruns_top(struct colruns *r);
/* How many rows there are; those of a time count as often as they came, until they meet. */
uint64_t colruns_rows(const struct colruns *r);
/* The rows of the top from `from` on are a run of their own: the top from now on. */
void colruns_split(struct colruns *r, uint32_t from);
/* All of it is in *out (whose rows are lost), and there are no runs. */
void colruns_join(struct colruns *r, struct column *out);

#endif
