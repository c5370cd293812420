/*
 * select - the read path of one shard: cursors of core/seam/source.h over memory and files.
 *
 * Which series there are, and under which ids, is told by storage/read/idchain; the files are read
 * by storage/read/unitread. Per id, oldest first: files by range and rank, frozen, live; a newer
 * one wins where a time stands twice (storage README (8)); of equal labels the higher id wins.
 * Units of files are read without waiting when they are in the page cache, else on a worker
 * (SOURCE_WAIT).
 * (1) A series is what its ids held at one moment: that of the first look at it. When a unit has to
 *     come from the disk then, the list of files stays pinned as it is and what memory holds is
 *     copied: rounds, merges, evictions and new rows change nothing while it waits.
 * (2) An id counts as done when its series has been given out, or has no samples in the range.
 *
 * Damaged units are skipped, counted and named in the cursor's warnings. A read that fails for now
 * (no descriptor, no memory) says nothing of the data: the cursor fails.
 * Thread: the shard's loop.
 * Memory: units of files, at most SELECT_UNITS_MAX and SELECT_BYTES_MAX in a cursor; the columns of
 * one series.
 */
#ifndef STORAGE_READ_SELECT_H
#define STORAGE_READ_SELECT_H

#include "core/seam/source.h"
#include "storage/shard.h"

#define SELECT_UNITS_MAX 512u
#define SELECT_BYTES_MAX (16u << 20)

/* Begins a cursor; out is closed by its close(), also while it waits. */
MUST_CHECK enum err select_open(
    struct shard *sh, const struct source_query *q, struct source_cursor **out);

#endif
