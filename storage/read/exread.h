/*
 * exread - exemplars of the series that a cursor has chosen: from the files, on a worker, before
 * the first series; from memory when its turn comes.
 *
 * (1) Which files there are is noted, and their exemplars are found, while shard.exemplar_readers
 *     keeps series with exemplars in memory: what a round takes to a new file meanwhile is still
 *     read from memory.
 * (2) Of a series the newest of its ids together count, as many as one series may have; of them
 *     those in the range are given.
 * A task of the worker loads some EXREAD_WORK units, so that who waits can charge what was found.
 * Thread: the shard's loop. Memory: 4 bytes an id; some 60 bytes and the labels of each exemplar.
 */
#ifndef STORAGE_READ_EXREAD_H
#define STORAGE_READ_EXREAD_H

#include "core/base/arena.h"
#include "core/model/exemplar.h"
#include "core/rt/work.h"
#include "storage/read/idchain.h"
#include "storage/shard.h"

#define EXREAD_WORK 64u

struct exread_found {
	uint32_t id;
	struct exemplar e;
};
struct exread {
	struct shard *shard;
	const struct idchain *chain;
	int64_t t_min_ms, t_max_ms;
	bool begun, ready;
	struct tombs *tombs;       /* pinned */
	struct shard_file **files; /* pinned */
	uint64_t *ranks; /* of each: deletions of a higher one hide what they hide in it */
	size_t files_count, file_at;
	uint32_t *ids; /* chosen and old ones, ascending */
	size_t ids_count, old_count, id_at;
	struct exread_found *found; /* by id, when ready */
	size_t found_count, found_cap;
	struct arena arena;
	struct cfile_unit unit;
	struct buf bytes;
	uint64_t loaded_off; /* of the unit that is loaded, of the file at file_at; 0 = none */
	struct work_task task;
	bool away; /* with a worker */
	void (*back)(struct exread *x);
	char warning[200]; /* "": none */
	enum err err;
	struct errbuf eb;
	/* the series of now */
	struct arena labels;
	struct exemplar *list;
	size_t cap;
};
/* back() comes later, never from inside, after each exread_step that said so. */
void exread_init(struct exread *x, struct shard *sh, const struct idchain *chain, int64_t t_min_ms,
    int64_t t_max_ms, void (*back)(struct exread *x));
/*
 * The choice is made and no series was taken from it. True: all is found, or x->err; false: a
 * worker is at it, back() tells; then once more.
 */
bool exread_step(struct exread *x);
/* Exemplars of the chain's series of now, by time, valid until the next call: how many. */
size_t exread_series(struct exread *x, const struct exemplar **list);
size_t exread_memory(const struct exread *x);
void exread_release(struct exread *x); /* not while it is away */

#endif
