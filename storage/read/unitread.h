/*
 * unitread - the files of a shard as one cursor reads them: which overlap, which pieces of them are
 * loaded, what still has to come from the disk.
 *
 * A series is read in one stretch. unitread_begin() takes the shard's list of now, and pins the
 * directories of its files; when some are not in memory it says so, unitread_load_dirs() fetches
 * them, and it is called again. unitread_series(), for each id of the series, oldest first, appends
 * what the files hold. When a unit has to come from the disk it says so; unitread_load() fetches it
 * on a worker, with as many of the units needed next as there is room for. Both call woken() on the
 * loop. Then unitread_series() goes on where it stopped: nothing is read a second time, so a series
 * comes to its end also where no read ever comes without waiting (tmpfs, overlayfs and NFS cannot
 * tell what is in memory).
 * Work is counted (u->work; one is a sample decoded, some 5 ns): past UNITREAD_WORK the calls
 * below say AGAIN and go on where they stopped when they are called again. Whoever calls sets it
 * back to 0.
 * (1) From unitread_begin to the end of the last id the list of files stays as it was, each file
 *     pinned: files that come and go meanwhile are none of this series' business.
 * (2) Pieces stay for the series behind it (storage/read/unitpool.h): ids go upwards, so a unit
 *     serves many. One that is on its way counts as loaded.
 * (3) Where files overlap in time the higher rank wins, however wide each of them is: files whose
 *     samples overlap, directly or through others, are read by rank, such stretches by time. The
 *     order of shard.files does not matter.
 * (4) What was deleted is taken out as of the list of now, file by file, before files are joined; a
 *     series of which something may be has times of its own.
 *
 * Thread: the shard's loop.
 * Memory: storage/read/unitpool.h. Directories are pinned while the cursor is open: they are shared
 * (core/base/memo), and stay over the budget as long as somebody reads in all these files.
 */
#ifndef STORAGE_READ_UNITREAD_H
#define STORAGE_READ_UNITREAD_H

#include "core/base/arena.h"
#include "core/rt/work.h"
#include "storage/read/unitpool.h"
#include "storage/shard.h"

#define UNITREAD_WARNINGS_MAX 4u
#define UNITREAD_WORK         16384u /* of one call: some 100 us */

enum unitread_got {
	UNITREAD_ALL,
	UNITREAD_AGAIN, /* the same call once more */
	UNITREAD_WAIT,  /* unitread_load first */
	UNITREAD_FAILED /* err, why */
};

struct unitread_file {
	struct shard_file *file;        /* pinned */
	const struct cfile_dir *dir;    /* pinned; NULL: not yet, or it cannot be had */
	const struct cfile_dir *loaded; /* by a worker */
	enum err dir_err;               /* it cannot be had: the file is left out, */
	bool told;                      /* and that is told */
	bool stays;                     /* inside unitread_sync: it is in the new list, too */
	/* what the last series found here: looked at first */
	struct cfile_seek seek;
	struct unitpool_unit *unit, *times;
};
/*
 * Where the times of a column came from, entry by entry: those of the series before. While the
 * series of now comes from the same places its times are in the column already, and only its values
 * are read.
 */
struct unitread_stretch {
	const struct unitread_file *file;
	uint32_t unit; /* UINT32_MAX: the time column is one of the whole file */
	uint32_t column, count;
	uint32_t from; /* in the column, rows skip..skip + n - 1 of the entry */
	uint32_t skip, n;
};
struct unitread_times {
	struct unitread_stretch *v;
	uint32_t count, cap; /* of the series before, and from at on of the series of now */
	uint32_t at;         /* stretches of the series of now */
	uint32_t rows;       /* so many times of the series before stand in the column, */
	const int64_t *t_ms; /* here */
	bool same;           /* the series of now has those, as far as it is read */
	bool plain;          /* it consists of stretches and rows behind them, in this order */
};
struct unitread {
	struct shard *shard;
	int64_t t_min_ms, t_max_ms;
	struct unitread_file **files;
	size_t files_count, files_cap;
	struct tombs *tombs; /* of the list of now, pinned */
	struct tombs_seek tombs_seek;
	const struct tomb_entry *cuts; /* of the id under way */
	size_t cuts_count;
	uint64_t generation;
	bool dirs_missing; /* some file has no directory yet */
	struct unitpool pool;
	unsigned work; /* done in this call */
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
	struct unitread_times times;
	bool shares; /* the column of now has part in that */
	struct work_task task;
	bool loading;
	void (*woken)(struct unitread *u);
	char warnings[UNITREAD_WARNINGS_MAX][320];
	unsigned warnings_count;
	uint64_t samples, bytes; /* decoded so far, and what of */
	enum err err; /* a read failed that says nothing of the file: the cursor ends with it */
	char why[320];
};
void unitread_init(struct unitread *u, struct shard *sh, int64_t t_min_ms, int64_t t_max_ms,
    void (*woken)(struct unitread *u));
/* Not while loading. */
void unitread_release(struct unitread *u);
enum unitread_got unitread_begin_slow(struct unitread *u);
/*
 * A series begins, with the list of now. WAIT: unitread_load_dirs; FAILED: err, why.
 */
static inline enum unitread_got unitread_begin(struct unitread *u)
{
	u->at_file = u->at_ext = u->at_entry = 0;
	u->in_file = false;
	if (LIKELY(u->generation == shard_files_version(u->shard) && !u->dirs_missing))
		return UNITREAD_ALL;
	return unitread_begin_slow(u);
}
void unitread_load_dirs(struct unitread *u);
/*
 * Times by reference. A series begins in acc, which the series before had, too, and nobody wrote to
 * meanwhile; its count is 0. Only its first id is read with `shares`.
 */
void unitread_times_begin(struct unitread *u);
/*
 * Rows of more go behind those that acc has; what more has then is nobody's. False: acc does not
 * end before them, or they are more than can be moved at once.
 */
MUST_CHECK bool unitread_times_put(struct unitread *u, struct column *acc, struct column *more);
/* acc is whole: has it the times of the series before? */
bool unitread_times_end(struct unitread *u, const struct column *acc);
/*
 * Samples of id, newer ones winning, behind or into what acc has. After WAIT and AGAIN the same id
 * and acc. shares: acc is the one of unitread_times_begin.
 */
MUST_CHECK enum unitread_got unitread_series(
    struct unitread *u, uint32_t id, struct column *acc, bool shares);
/* ids[0] is the id under way, the others come after it in this series. */
void unitread_load(struct unitread *u, const uint32_t *ids, size_t count);
/* Does any file that overlaps hold samples of this id? After unitread_begin. */
enum unitread_has {
	UNITREAD_HAS_NONE,
	UNITREAD_HAS_SOME,
	UNITREAD_HAS_MAYBE /* some of it was deleted: reading tells whether anything is left */
};
enum unitread_has unitread_has(struct unitread *u, uint32_t id);
/*
 * Merges newer into acc, newer winning; the plain append when it lies behind. False: again, with
 * the
 * same ones.
 */
MUST_CHECK bool unitread_merge(struct unitread *u, struct column *acc, const struct column *newer);

#endif
