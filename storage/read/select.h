/*
 * select - the read path of one shard: cursors of core/seam/source.h over memory and files.
 *
 * A cursor takes the ids that match: of active series from the head's postings, of others from the catalog (on a worker; not asked while every series of the catalog is in memory).
 * Series are joined by label bytes: one that left memory and came back has several ids, the higher wins where both have a time.
 * Per series, oldest first: files by range and rank, frozen, live; a newer one wins where a time stands twice (storage README (8)). Units of files are read without waiting when they are in the
 * page cache, else on a worker (SOURCE_WAIT); ids go upwards, so a unit is loaded once per file and cursor.
 * Each series is taken within one slice: the list of files is compared with the shard's at every call, new ones are taken in, files are pinned while they are used.
 *
 * Damaged units are skipped, counted and named in the cursor's warnings.
 * Thread: the shard's loop. Memory: readers hold one unit each, at most SELECT_UNITS_MAX in a cursor.
 */
#ifndef STORAGE_READ_SELECT_H
#define STORAGE_READ_SELECT_H

#include "core/seam/source.h"
#include "storage/shard.h"

#define SELECT_UNITS_MAX 512u

/* Begins a cursor; out is closed by its close(), also while it waits. */
MUST_CHECK enum err select_open(
    struct shard *sh, const struct source_query *q, struct source_cursor **out);

#endif
