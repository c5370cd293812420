/*
 * ctlplayed - how cardinality came about, as kymoctl shows it: what api/v1/cardinality/history says
 * of a kind, read into one row a name, those that rose most first, each with its course over the
 * time in a few characters.
 *
 *   metric          then    now   most  at     11-28 15:40 to 11-29 15:40
 *   explodes_total     0  3,000  3,000  12:05              ▁████████   explodes
 *
 * A name that a moment does not list had `below` at most: 0 is known, "<=7" is not; a course has
 * blanks there. Answers are foreign: places, types and numbers that make no sense are passed over.
 *
 * Thread: pure. Memory: ctlplayed_free; texts are copies.
 */
#ifndef NET_CTL_CTLPLAYED_H
#define NET_CTL_CTLPLAYED_H

#include <jansson.h>

#include "core/base/buf.h"

#define CTLPLAYED_PLACES 24u /* of a course: an hour each, of a day */

struct ctlplayed_row {
	char *name;
	double *values;           /* by moment; NaN: not known */
	double then, now;         /* at the first and last moment */
	bool then_most, now_most; /* only that it was not more */
	double most;
	size_t most_at; /* its moment */
	double rise;    /* most - then */
	bool exploded, explodes;
};
struct ctlplayed {
	size_t moments;
	int64_t *times_ms, *since_ms; /* ascending */
	double *series, *made;
	struct ctlplayed_row *rows; /* by rise, then by most */
	size_t rows_count;
};
/* data: of the answer, borrowed; at most limit rows. An empty one where it is of no known shape. */
struct ctlplayed *ctlplayed_read(const json_t *data, size_t limit);
void ctlplayed_free(struct ctlplayed *p);
/*
 * Marks rows that explode, or did: list is what api/v1/cardinality/explosions says, kind "metrics",
 * "labels", "pairs" or "targets".
 */
void ctlplayed_mark(struct ctlplayed *p, const char *kind, const json_t *list);
/* The moment at which most series came, if it stands out (100, thrice the mean); -1: none does. */
ptrdiff_t ctlplayed_burst(const struct ctlplayed *p);

/*
 * The course of values over the time from the first moment to the last: of each piece the most, as
 * a bar between 0 and the most of all, '_' where it is 0; a blank where nothing is known, or no
 * server ran. Always CTLPLAYED_PLACES characters.
 */
void ctlplayed_course(struct buf *out, const struct ctlplayed *p, const double *values, bool utf8);
/* The same of times at which something explodes: '!'. */
void ctlplayed_alarms(struct buf *out, const struct ctlplayed *p, const json_t *list);

#endif
