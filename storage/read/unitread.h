/*
 * unitread - the files of a shard as one cursor reads them: which overlap, which unit of each is loaded, what still has to come from the disk.
 *
 * unitread_sync() takes the shard's list of now (pins what is new, lets go what left). unitread_series() appends one id's samples of all files to a column, or says that it must wait:
 * then unitread_load() fetches on a worker and calls woken() on the loop; ask again from the start of the series.
 *
 * Thread: the shard's loop. Memory: at most SELECT_UNITS_MAX loaded units; the least recently used goes.
 */
#ifndef STORAGE_READ_UNITREAD_H
#define STORAGE_READ_UNITREAD_H

#include "core/base/arena.h"
#include "core/rt/work.h"
#include "storage/shard.h"

#define UNITREAD_WARNINGS_MAX 4u

struct unitread_file {
	struct shard_file *file; /* pinned */
	struct cfile_unit unit;
	struct buf bytes; /* loaded: one unit, or all units of a series that has several; empty = none */
	uint64_t bytes_off; /* where they stand in the file */
	uint64_t used;      /* tick of the last use */
	uint32_t unit_no;   /* opened; UINT32_MAX = none */
	uint32_t bad;       /* number of a damaged unit; UINT32_MAX = none */
	bool wanted;        /* bytes are on their way from the disk */
	size_t want_len;
	uint32_t want_unit;
	enum err want_err;
};
struct unitread {
	struct shard *shard;
	int64_t t_min_ms, t_max_ms;
	struct unitread_file **files;
	size_t files_count, files_cap;
	uint64_t generation, tick;
	size_t loaded;
	struct cfile_extent *ext; /* of one series in one file */
	size_t ext_cap;
	struct series_col spare, piece; /* for merging */
	struct work_task task;
	bool loading;
	void (*woken)(struct unitread *u);
	char warnings[UNITREAD_WARNINGS_MAX][320];
	unsigned warnings_count;
	uint64_t samples; /* decoded so far */
};
void unitread_init(struct unitread *u, struct shard *sh, int64_t t_min_ms, int64_t t_max_ms,
    void (*woken)(struct unitread *u));
/* Not while loading. */
void unitread_release(struct unitread *u);
void unitread_sync(struct unitread *u);
/* True: all there was is in acc (replaced). False: call unitread_load, and again after woken. */
MUST_CHECK bool unitread_series(struct unitread *u, uint32_t id, struct series_col *acc);
void unitread_load(struct unitread *u);
/* Does any file that overlaps hold samples of this id? */
bool unitread_has(const struct unitread *u, uint32_t id);
/* Merges newer into acc, newer winning; the plain append when it lies behind. */
void unitread_merge(struct unitread *u, struct series_col *acc, const struct series_col *newer);

#endif
