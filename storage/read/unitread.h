/*
 * unitread - the files of a shard as one cursor reads them: which overlap, which units are loaded,
 * what still has to come from the disk.
 *
 * A series is read in one stretch. unitread_begin() takes the shard's list of now;
 * unitread_series(), for each of its ids, oldest first, appends what the files hold. When a unit
 * has to come from the disk it says so; unitread_load() fetches it on a worker, with as many of the
 * units needed next as there is room for, and calls woken() on the loop. Then unitread_series()
 * goes on where it stopped: nothing is read a second time, so a series comes to its end also where
 * no read ever comes without waiting (tmpfs, overlayfs and NFS cannot tell what is in memory).
 * Work is counted (u->work; one is a sample decoded, some 5 ns): past UNITREAD_WORK the calls
 * below say AGAIN and go on where they stopped when they are called again. Whoever calls sets it
 * back to 0.
 * (1) From unitread_begin to the end of the last id the list of files stays as it was, each file
 *     pinned: files that come and go meanwhile are none of this series' business.
 * (2) Some units of each file stay for the series behind it: ids go upwards, so a unit serves many,
 *     and series with several ids go to and fro between as many. The least recently used goes. One
 *     that is on its way counts as loaded.
 * (3) Where files overlap in time the higher rank wins, however wide each of them is: files whose
 *     samples overlap, directly or through others, are read by rank, such stretches by time. The
 *     order of shard.files does not matter.
 *
 * Thread: the shard's loop.
 * Memory: at most SELECT_UNITS_MAX units of together SELECT_BYTES_MAX bytes in files.
 */
#ifndef STORAGE_READ_UNITREAD_H
#define STORAGE_READ_UNITREAD_H

#include "core/base/arena.h"
#include "core/rt/work.h"
#include "storage/shard.h"

#define UNITREAD_WARNINGS_MAX 4u
#define UNITREAD_WORK         16384u /* of one call: some 100 us */

enum unitread_got {
	UNITREAD_ALL,
	UNITREAD_AGAIN, /* the same call once more */
	UNITREAD_WAIT,  /* unitread_load first */
	UNITREAD_FAILED /* err, why */
};

enum unitread_state {
	UNITREAD_SPARE,
	UNITREAD_WANTED, /* its bytes are on their way from the disk */
	UNITREAD_LOADED, /* not looked at yet */
	UNITREAD_OPEN,
	UNITREAD_BAD, /* damaged, told */
};
struct unitread_file;
struct unitread_unit {
	enum unitread_state state;
	struct unitread_unit *next; /* of the same file, used before this one; or spare */
	struct unitread_file *of;
	struct cfile_extent ext;
	uint64_t used; /* tick of the last use */
	struct buf bytes;
	struct cfile_unit unit; /* borrows bytes */
	enum err err;           /* of loading */
};
struct unitread_file {
	struct shard_file *file;     /* pinned */
	struct unitread_unit *units; /* last used first */
	uint32_t units_count;
	bool stays; /* inside unitread_sync: it is in the new list, too */
};
struct unitread {
	struct shard *shard;
	int64_t t_min_ms, t_max_ms;
	struct unitread_file **files;
	size_t files_count, files_cap;
	uint64_t generation, tick;
	struct unitread_unit **units; /* all there are, spare ones too */
	size_t units_count, units_cap;
	struct unitread_unit *spare_units;
	struct unitread_unit *opener; /* has what opening needs */
	size_t bytes;                 /* of units that are not spare */
	unsigned work;                /* done in this call */
	/* where the id under way goes on */
	size_t at_file, at_ext, at_entry;
	uint32_t file_from; /* samples of acc before those of the file */
	bool in_file;
	struct unitread_join {
		bool on, copying;
		uint32_t copied;   /* of what is put behind */
		uint32_t lo, from; /* [lo, from) and [from, count) become one */
		uint32_t a, b;     /* merged up to there */
	} join;
	struct cfile_extent *ext; /* of one id in one file */
	size_t ext_cap;
	struct column spare; /* for merging */
	struct work_task task;
	bool loading;
	void (*woken)(struct unitread *u);
	char warnings[UNITREAD_WARNINGS_MAX][320];
	unsigned warnings_count;
	uint64_t samples; /* decoded so far */
	enum err err;     /* a read failed that says nothing of the file: the cursor ends with it */
	char why[320];
};
void unitread_init(struct unitread *u, struct shard *sh, int64_t t_min_ms, int64_t t_max_ms,
    void (*woken)(struct unitread *u));
/* Not while loading. */
void unitread_release(struct unitread *u);
void unitread_sync_slow(struct unitread *u);
/* The shard's list of now: pins what is new, lets go what left. Not inside a series. */
static inline void unitread_sync(struct unitread *u)
{
	if (UNLIKELY(u->generation != shard_files_version(u->shard)))
		unitread_sync_slow(u);
}
/* A series begins, with the list of now. */
static inline void unitread_begin(struct unitread *u)
{
	unitread_sync(u);
	u->at_file = u->at_ext = u->at_entry = 0;
	u->in_file = false;
}
/*
 * Samples of id, newer ones winning, behind or into what acc has. After WAIT and AGAIN the same id
 * and acc.
 */
MUST_CHECK enum unitread_got unitread_series(struct unitread *u, uint32_t id, struct column *acc);
/* ids[0] is the id under way, the others come after it in this series. */
void unitread_load(struct unitread *u, const uint32_t *ids, size_t count);
/* Does any file that overlaps hold samples of this id? */
bool unitread_has(struct unitread *u, uint32_t id);
/*
 * Merges newer into acc, newer winning; the plain append when it lies behind. False: again, with
 * the
 * same ones.
 */
MUST_CHECK bool unitread_merge(struct unitread *u, struct column *acc, const struct column *newer);

#endif
