/*
 * select - the read path of one shard: cursors of core/seam/source.h over memory and files.
 *
 * Which series there are, and under which ids, is told by storage/read/idchain; the files are read
 * by storage/read/unitread. Per id, oldest first: files (where they overlap by rank), frozen, live;
 * a newer one wins where a time stands twice (storage README (8)); of equal labels the higher id
 * wins.
 * Units of files are read without waiting when they are in the page cache, else on a worker
 * (SOURCE_WAIT). Label values that many series share are listed from the postings
 * (storage/read/valuewalk).
 * (1) A series is what its ids held at one moment: that of the first look at it. When its reading
 *     pauses then (for the disk, or for others to have their turn), the list of files stays pinned
 *     as it is and what memory holds is copied: rounds, merges, evictions and new rows change
 *     nothing while it waits. Where memory holds more than SELECT_MEMORY_AT_ONCE samples of an id
 *     the copy is made first, in pieces, and the list of files is taken after it: whatever left
 *     memory between the pieces is in the files then. Rows that come meanwhile may be in or not.
 * (2) An id counts as done when its series has been given out, or has no samples in the range.
 * (3) A call of next() does some 100 us of work, counted (storage/read/unitread), and says
 *     SOURCE_AGAIN.
 *
 * Damaged units are skipped, counted and named in the cursor's warnings. A read that fails for now
 * (no descriptor, no memory) says nothing of the data: the cursor fails.
 * Thread: the shard's loop.
 * Memory: units of files, at most SELECT_UNITS_MAX and SELECT_BYTES_MAX in a cursor; labels,
 * storage/read/idchain; columns of one series, at most three times its samples at 16 bytes. What
 * grows with the query is in cursor->memory.
 */
#ifndef STORAGE_READ_SELECT_H
#define STORAGE_READ_SELECT_H

#include "core/seam/source.h"
#include "storage/read/unitpool.h"
#include "storage/shard.h"

#define SELECT_UNITS_MAX      UNITPOOL_MAX
#define SELECT_BYTES_MAX      UNITPOOL_BYTES_MAX
#define SELECT_MEMORY_AT_ONCE 16384u

/* Begins a cursor; out is closed by its close(), also while it waits. */
MUST_CHECK enum err select_open(
    struct shard *sh, const struct source_query *q, struct source_cursor **out);

#endif
