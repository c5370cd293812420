/*
 * share - what one loop owns of the store: its shards, their memory, and what it knows of the
 * whole: newest times of classes, counts of series, whether writes are taken.
 *
 * What loops know of each other rides in the slices of requests (storage/append/slice.c) and in
 * storage/append/gossip: no cell is shared.
 *
 * Thread: its loop. Memory: the slab holds tails, packs, late rows and labels of all its shards.
 */
#ifndef STORAGE_SHARE_H
#define STORAGE_SHARE_H

#include "core/base/clockwatch.h"
#include "core/base/tally.h"
#include "core/rt/changes.h"
#include "core/rt/latch.h"
#include "core/rt/loop.h"
#include "core/rt/work.h"
#include "storage/head/trail.h"
#include "storage/newest.h"
#include "storage/shard.h"

#define SHARE_LOOPS_MAX  256u
#define SHARE_STOCK_STEP 2u
#define SHARE_TIGHT      90u /* percent of the head's part of memory: see share_fill */

/* What all shares stand on. The store's; it outlives them. */
struct share_env {
	unsigned loops;
	struct work_pool *pool;
	struct clockwatch *clock;
	int64_t future_ms;       /* an honest sample is at most so far ahead of the clock */
	uint64_t head_bytes_max; /* of one loop: its part of the head's memory */
	struct tally *tenants;   /* active series of each, of all loops */
	struct latch several;    /* there are, or were, tenants beside the default one */
	/* of samples and of the order of series, by tenant; a loop is a writer, by its index */
	struct changes *changes;
};

struct share {
	const struct share_env *env;
	struct loop *loop;
	unsigned index;
	struct slab *mem;
	struct work_task stock_task; /* makes regions for mem ready */
	void *stock[SHARE_STOCK_STEP];
	bool stocking;
	struct shard **shards; /* of this loop: shard index + k * loops */
	unsigned shards_count;
	struct trail trail;               /* of their heads, in this order */
	struct newest newest;             /* as far as this loop has heard */
	uint64_t series[SHARE_LOOPS_MAX]; /* active, per loop; others' as they told last */
	enum err refuse;    /* 0, or why no write is taken: ERR_NOSPACE (disk), ERR_STOPPING */
	uint32_t deletions; /* asked on this loop (storage/storedelete.h), not done */
};

struct share *share_create(const struct share_env *env, struct loop *loop, unsigned index);
/* Its shards are known. Of the store: how many shards, the seed of fingerprints. */
void share_trail(struct share *sh, unsigned shards, uint64_t seed);
void share_free(struct share *sh); /* its shards are released before */

/*
 * All that the heads of this loop take: hot lines, maps, ids, postings; samples, frozen ones too,
 * and labels; regions kept ready. Limits and /metrics go by it. Cost: the shards and their tenants.
 */
uint64_t share_head_bytes(const struct share *sh);
/* How full that is. */
enum share_fill {
	SHARE_HAS_ROOM,
	SHARE_IS_TIGHT, /* beyond SHARE_TIGHT percent of its part */
	SHARE_IS_OVER   /* a tenth beyond its part: nothing is taken */
};
enum share_fill share_fill(const struct share *sh);
/*
 * While the head grows, a worker makes its next memory ready: first touches of huge pages would
 * make turns long.
 */
void share_stock_up(struct share *sh);
/* Active series of all loops, as this one knows it. */
uint64_t share_series(const struct share *sh);
/*
 * Is it the default one, of a store that has no others? Figures of the whole are its own then. What
 * others write does not change the answer: it tells nothing of them.
 */
bool share_is_alone(const struct share *sh, uint32_t tenant);
/* Counts its own anew. */
void share_series_count(struct share *sh);

struct clockwatch_now share_now(const struct share *sh);
/*
 * Whoever may have read these times, of a tenant or of all (CHANGES_ALL), would read something else
 * now. After the change, in its turn.
 */
void share_changed(const struct share *sh, uint32_t tenant, enum changes_kind kind,
    int64_t t_min_ms, int64_t t_max_ms);
/*
 * A newest time as it may be used: never later than an honest sample can be; as it stands while the
 * clock is in doubt.
 */
int64_t share_bounded(const struct share *sh, int64_t t_newest_ms);
/* Newest times as this loop knows them, for FILES. */
void share_newest_save(const struct share *sh, struct files *to);

#endif
