/*
 * catalogs - the catalog of a store from start to end: looked at after an unclean stop, opened,
 * rebuilt when damaged, caught up with the files.
 *
 * A file CLEAN in the data directory says that the last process closed the catalog; without it the
 * environment is walked once in a child process first.
 * A damaged one is renamed to catalog.damaged (an older one of that name goes) and all files are
 * worked into a new one: at once where that is little, else in the background (rebuild.c): the
 * store opens, and readers ask the files meanwhile. One of an earlier format is rebuilt, too; one
 * of a later format refuses the start.
 * Damage met while the store runs is seen within a second and ends in the same way, without a
 * restart. Until it is renewed the file CATALOG_DAMAGED says so: no CLEAN is written, and a start
 * rebuilds without asking what a walk would find.
 *
 * Thread: main; after recover_files, before the shards' backgrounds open. Blocks. Watching: loop 0.
 */
#ifndef STORAGE_BACK_CATALOGS_H
#define STORAGE_BACK_CATALOGS_H

#include "core/base/fsio.h"
#include "core/rt/work.h"
#include "storage/shard.h"
#include "storage/stopping.h"

#define CATALOGS_DIR     "catalog"
#define CATALOGS_DAMAGED "catalog.damaged"
#define CATALOGS_CLEAN   "CLEAN"
#define CATALOGS_TOLD    "CATALOG_DAMAGED"
#define CATALOGS_TICK_MS 250u   /* between two looks whether damage was met */
#define CATALOGS_LOOKS   240u   /* so many of them are a minute */
#define CATALOGS_LOOK_MS 60000u /* at least so long between two rebuilds */

struct catalogs {
	/* given by the store */
	struct fsio_dir *dir; /* the data directory */
	struct work_pool *pool;
	struct loop *home;     /* loop 0 */
	struct shard **shards; /* [shards_count]; each is given the catalog */
	unsigned shards_count;
	uint64_t seed;
	struct stopping stop;
	/* its own */
	struct catalog *catalog; /* NULL: not open */
	struct loop_timer timer;
	struct work_task task;
	bool busy, closing;
	unsigned looks;
	uint64_t renew_not_before_ns; /* the task's */
	bool told;                    /* its damage is remembered on disk; the task's */
	uint64_t bytes;               /* of its file, as the task saw it last */
};
MUST_CHECK enum err catalogs_open(struct catalogs *c, struct errbuf *eb);
void catalogs_close(struct catalogs *c); /* no worker uses it any more */
/* Every minute: readers of dead processes go, damage is remembered. */
void catalogs_watch(struct catalogs *c);
void catalogs_unwatch(struct catalogs *c);

#endif
