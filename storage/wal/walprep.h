/*
 * walprep - prepares segments ahead of the log writer, and takes back those that are free: whatever
 * is slow and nobody waits for.
 *
 * A spare is a zeroed file with a durable blank head (walseg.h). Freed segments are blanked and
 * kept for reuse, up to spares_max; more are removed. One on which a write or sync failed is
 * never used again, but removed; one that must be kept is set aside (replay.h).
 * (1) Freeing keeps its order: a segment is gone on disk before the next one is touched (walog.h
 *     (4)). When that fails it is tried again each second, and what comes after it waits.
 * (2) A file whose making failed is removed before another one is made: failures leave no litter.
 * (3) A file that has another name, of a snapshot, is not blanked, whatever asks for it: it loses
 *     this name only. So is one that a copy opened in its place shares with where it came from.
 *
 * Thread:  walprep_create, walprep_make, walprep_start, walprep_stop, walprep_free: the main
 *          thread, walprep_make only before walprep_start. The rest: the log writer
 *          (or, while the thread does not run, the main thread: then the call does the work
 *          itself).
 * Memory:  files move with the calls.
 */
#ifndef STORAGE_WAL_WALPREP_H
#define STORAGE_WAL_WALPREP_H

#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/rt/mbox.h"

struct walprep;
struct walprep_spare {
	struct fsio_file *file;
	uint32_t slot;
	uint64_t bytes;
};
struct walprep_opts {
	struct fsio_dir *dir; /* borrowed */
	uint64_t segment_bytes;
	bool direct; /* files are written past the page cache, where that is to be had */
	unsigned spares_max;
	uint32_t next_slot;
	const uint32_t *spares; /* slots of files to be used again; borrowed for the call */
	size_t spares_count;
};
void walprep_create(const struct walprep_opts *o, struct walprep **out);
MUST_CHECK enum err walprep_start(struct walprep *p);
/* A spare of at least min_bytes, now. */
MUST_CHECK enum err walprep_make(struct walprep *p, uint64_t min_bytes, struct walprep_spare *out);
/* Asks for one; the answer comes to m as a struct walprep_ready. One request at a time. */
struct walprep_ready {
	struct mbox_msg msg;
	void *arg;
	enum err err;
	char why[160];              /* err in words */
	struct walprep_spare spare; /* with err = 0: the receiver's */
};
void walprep_ask(struct walprep *p, uint64_t min_bytes, struct mbox *m, struct walprep_ready *answer);
enum walprep_end {
	WALPREP_REUSE,
	WALPREP_REMOVE, /* a write or sync failed on it */
	WALPREP_ASIDE   /* its rows may speak of what the disk could not read: "waiting-..." */
};
/* A segment is free. take_f may be NULL: then it is opened by its slot. */
void walprep_give(struct walprep *p, uint32_t slot, struct fsio_file *take_f, enum walprep_end how);
/* Does what was asked, then ends the thread. */
void walprep_stop(struct walprep *p);
void walprep_free(struct walprep *p);

#endif
