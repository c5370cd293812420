/*
 * fsdouble - a disk that remembers: records what goes through fsio and makes images of what a crash
 * would have left.
 *
 *   // what is in dir now counts as durable:
 *   fsdouble_start(&(struct fsdouble_opts){ .root = dir });
 *   ... open the thing under test in dir, let it work; at each acknowledgement note
 *       fsdouble_point() ...
 *   // as if the power had gone when so many operations were done:
 *   fsdouble_image(point, seed, FSDOUBLE_RANDOM, other_dir);
 *   fsdouble_stop();
 *   ... start the thing under test in other_dir: what was acknowledged at points <= point must
 *       be there ...
 *
 * Writes that go past the page cache (fsio_direct) go through it here, and are CHECKed to be what a
 * disk takes: memory, offset and length multiples of FSIO_BLOCK.
 *
 * Operations pass through to the real directory, so the thing under test reads what it wrote. Every
 * write, sync, allocation, truncation, creation, rename, link, removal, mkdir and directory sync
 * gets a number, in order; a point is how many of them are done.
 * Real syncs are left out (real_sync = true brings them back): a test runs at memory speed.
 *
 * An image of point P holds what was synced before P for sure, and of the rest:
 *   FSDOUBLE_SYNCED   nothing
 *   FSDOUBLE_ALL      everything (kill -9: the kernel lives on)
 *   FSDOUBLE_RANDOM   by the seed: per 512-byte sector nothing, the newest or any version between;
 *                     the size of a file old, new or between; unsynced names kept or lost, one
 *                     by one or as a prefix. Seeds differ in how much they keep. A file that was
 *                     synced but whose name was not may be missing.
 * The same point, seed and way give the same image. Images are made fastest in ascending order of
 * points; they may be made while the recording goes on.
 *
 * A sync can be made to fail (fsdouble_fail_syncs): then the unsynced sectors of that file are kept
 * or lost on the disk by chance, but count as clean: no later sync writes them, while reads still
 * show them (the page cache lies). To go on after that, as after a power cut, use an image.
 *
 * What does not go through fsio (LMDB) is outside: name its directory in exclude; it is neither
 * looked at nor part of an image, the test copies it itself or leaves it out.
 * One recording at a time. Thread: any; start, stop and image from one thread. Memory: all written
 * bytes are kept (pages of zeroes are not) until fsdouble_stop.
 */
#ifndef TESTS_LIB_FSDOUBLE_H
#define TESTS_LIB_FSDOUBLE_H

#include "core/base/fsio.h"

struct fsdouble_opts {
	const char *root;
	const char *const *exclude; /* names directly below root, ended by NULL; NULL = none */
	bool real_sync;
	/* each sync of a file takes so long, without holding up other operations */
	unsigned sync_delay_us;
	/*
	 * A block of 4,096 bytes at or behind this offset of its file that a write not yet synced
	 * touches may be garbage in FSDOUBLE_RANDOM images, whatever it held before. 0 = none is.
	 */
	uint64_t torn_from;
};
enum fsdouble_keep {
	FSDOUBLE_SYNCED,
	FSDOUBLE_ALL,
	FSDOUBLE_RANDOM
};

/* Reads root (made when absent) and hooks fsio. Before the thing under test starts threads. */
void fsdouble_start(const struct fsdouble_opts *o);
/* Unhooks and forgets everything. After the thing under test has ended its threads. */
void fsdouble_stop(void);
/* Operations done so far. */
uint64_t fsdouble_point(void);
/*
 * Syncs of files whose path contains part (NULL = any) from now on: the nth (1 = the next one) and
 * the count-1 following ones fail with ERR_SYNC. count 0 = no more failures.
 */
void fsdouble_fail_syncs(const char *part, unsigned nth, unsigned count);
/* Syncs of files that succeeded, and that were made to fail. */
uint64_t fsdouble_syncs(void);
uint64_t fsdouble_syncs_failed(void);
/* Fills dest, which is made and must be empty. point <= fsdouble_point(). */
void fsdouble_image(uint64_t point, uint64_t seed, enum fsdouble_keep keep, const char *dest);
/* The table, to put tests/lib/fault.h above it. */
const struct fsio_ops *fsdouble_ops(void);

#endif
