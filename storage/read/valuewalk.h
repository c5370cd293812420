/*
 * valuewalk - the values of a label of the series in memory, from the postings: value by value, up
 * to the first series of each that is asked for and has samples in the range. Where many series
 * share few values this is much less than a look at each series.
 *
 * Thread: the shard's loop. Memory: one value.
 */
#ifndef STORAGE_READ_VALUEWALK_H
#define STORAGE_READ_VALUEWALK_H

#include "core/base/buf.h"
#include "storage/read/idchain.h"
#include "storage/read/textset.h"
#include "storage/read/unitread.h"

struct valuewalk {
	const struct shard *shard;
	const struct source_query *query;
	const struct roaring_bitmap_s *among; /* the chain's choice; NULL: all are asked for */
	const struct matcher *within;         /* narrows the values; NULL: none does */
	bool whole; /* all matchers are of the label: ids of a value are all among, or none is */
	const struct postings *postings;
	struct postings_cursor at; /* values not met yet */
	bool in_value;             /* value is looked at, ids from `from` on */
	struct buf value;
	uint64_t from;
};
/* After the choice. False: looking at each series is less work; nothing was opened. */
bool valuewalk_open(struct valuewalk *w, const struct shard *sh, const struct source_query *q,
    const struct idchain *c);
void valuewalk_release(struct valuewalk *w);
/* Some values into t, until u->work is over; u has the list of now. False: that was the last. */
bool valuewalk_step(struct valuewalk *w, struct textset *t, struct unitread *u);

#endif
