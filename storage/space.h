/*
 * space - what the machine allows the store: default of series_max, free space on the disk, the
 * reserve file.
 *
 * Every second a worker asks how much is free, ahead of rounds and merges. Below the floor writes
 * are refused with ERR_NOSPACE; above 1.25 x the floor they are taken again.
 * RESERVE: 64 MiB that are given up when a start finds no room, or when what frees space finds none
 * (a switch that lets files go, a merge that is smaller than its inputs). Made again at a start, or
 * while running, when it fits above 1.25 x the floor.
 * Thread: space_watch, space_unwatch on loop 0; space_reserve_give, space_room on workers; the
 * rest at start.
 */
#ifndef STORAGE_SPACE_H
#define STORAGE_SPACE_H

#include "core/base/fsio.h"
#include "core/rt/loop.h"
#include "core/rt/work.h"

#define SPACE_RESERVE_BYTES  (64u << 20)
#define SPACE_RESERVE_NAME   "RESERVE"
#define SPACE_START_FREE     (16u << 20) /* with less, the start takes the reserve */
#define SPACE_MIN_FREE       (1ull << 30)
#define SPACE_MIN_FREE_SHARE 33u /* or 1/33 of the file system, whichever is more */
#define SPACE_WATCH_MS       1000u
#define SPACE_HEAD_PERCENT   45u  /* of the memory budget is for active series */
#define SPACE_SERIES_BYTES   400u /* of one: some 190 and its labels (bench/micro/b_head) */
/* Descriptors, of those that core/base/fdcache.h gives to files. */
#define SPACE_FDS_OWN     60u  /* log, catalog, listeners; one more for each shard's directory */
#define SPACE_FDS_LOOP    4u   /* of each loop */
#define SPACE_FDS_ROUNDS  4u   /* that write files at the same time */
#define SPACE_WRITERS     128u /* files that one round writes at the same time, at most */
#define SPACE_WRITERS_MIN 4u
#define SPACE_CACHE_MIN   16u /* open for reading */

struct share;
struct space {
	/* given by the store */
	struct fsio_dir *dir; /* the data directory */
	struct work_pool *pool;
	struct share **shares; /* [loops]; each is told whether writes are taken */
	unsigned loops;
	uint64_t reserve_bytes;
	uint64_t min_free_bytes; /* 0 = SPACE_MIN_FREE, SPACE_MIN_FREE_SHARE */
	/* its own, loop 0's */
	struct loop_timer timer;
	struct work_task task;
	bool busy, closing;
	uint64_t free_bytes, total_bytes;
	enum err err;
	bool low;
	bool reserve_gone, reserve_busy;
	struct work_task reserve_task;
};

/* The part of the memory budget (core/base/budget.h) that active series have, all of it. */
uint64_t space_head_bytes(void);
/* How many of them a part of so many bytes is for. */
static inline uint64_t space_series_of(uint64_t head_bytes)
{
	return head_bytes / SPACE_SERIES_BYTES;
}
/*
 * Divides the descriptors there are: *round_writers files may be written by rounds at the same
 * time, what is left is the file cache's. ERR_NOFILES: they are too few for so many shards.
 */
MUST_CHECK enum err space_files(
    unsigned shards, unsigned loops, unsigned *round_writers, struct errbuf *eb);
/* Makes RESERVE when there is room; its lack is no error. */
void space_reserve(struct space *sp);
/* Gives RESERVE up for something that frees space. True: there was one. Blocks. */
bool space_reserve_give(struct space *sp, const char *why);
/*
 * Is there room for so many bytes that go again soon? Else RESERVE is given up, when that helps;
 * ERR_NOSPACE says how much is free. Blocks.
 */
MUST_CHECK enum err space_room(struct space *sp, uint64_t bytes, struct errbuf *eb);
/* One look, blocking: before ready. */
void space_look(struct space *sp);
void space_watch(struct space *sp);
/* Stops; a look or a new RESERVE may still be with a worker (busy, reserve_busy). */
void space_unwatch(struct space *sp);

#endif
