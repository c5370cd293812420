/*
 * removal - files of a shard on their way out: what no list names any more is closed and leaves the
 * disk, on a worker. What the disk does not let go (or what must stay while FILES is unknown, see
 * files.h (1)) is tried again every REMOVAL_RETRY_MS; at the next start files_clean takes the rest.
 *
 * (1) A name given here is never used again by this process: rounds have a new rank each, merges a
 *     new serial. So a removal that comes late hits nothing else.
 * (2) Nobody reads the file: who pins a shard_file comes before (shard_file_gone).
 *
 * Thread: the shard's loop.
 */
#ifndef STORAGE_REMOVAL_H
#define STORAGE_REMOVAL_H

#include "core/rt/work.h"
#include "storage/cfile/files.h"

#define REMOVAL_RETRY_MS 5000

struct shard;
struct removals {
	struct list_link fresh; /* not tried yet */
	struct list_link stuck; /* tried in vain */
	struct list_link going; /* with the worker */
	struct work_task task;
	bool busy; /* the task is out */
	uint64_t not_before_ns;
};
void removal_init(struct removals *r);
/* take: open, or NULL; closed by this. */
void removal_add(struct shard *sh, const char *name, struct cfile *take);
/* Tries again what is stuck, when its time has come. */
void removal_poke(struct shard *sh);
/* Tried once each: what is stuck then waits for the next start. */
bool removal_settled(const struct shard *sh);
/* How many are stuck. */
size_t removal_stuck(const struct shard *sh);
void removal_release(struct shard *sh);

#endif
