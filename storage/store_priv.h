/*
 * The insides of a store, for the files of this room that make it up: store.c, share.c, apply.c,
 * recover.c, keeper.c and the background.
 */
#ifndef STORAGE_STORE_PRIV_H
#define STORAGE_STORE_PRIV_H

#include "core/base/clockwatch.h"
#include "storage/append/share.h"
#include "storage/back/catalogs.h"
#include "storage/manifest.h"
#include "storage/store.h"

struct keeper;

struct store {
	struct sink sink;
	struct source *source;
	const struct shard_back *back; /* storage/back/round.c; NULL: memory and log only */
	struct store_opts opts;        /* as given, defaults filled in */
	struct manifest manifest;
	struct fsio_dir *dir, *log_dir, *shards_dir;
	struct fsio_file *lock;
	struct team *team;
	unsigned loops;
	unsigned round_writers;  /* files that a round may write at the same time */
	uint64_t head_bytes_max; /* of one loop's slab: its share of the head's part of memory */
	struct walog *log;
	struct shard **shards; /* [manifest.shards]; each belongs to the loop index % loops */
	uint16_t *places;      /* [manifest.shards] where a shard comes in the order of owners */
	struct share **shares; /* [loops] */
	struct keeper *keeper; /* loop 0's */
	struct clockwatch *clock;
	struct gossip *gossip;    /* loop 0's */
	struct figures *figures;  /* loop 0's */
	struct catalogs catalogs; /* loop 0 looks after it */
	/* loop 0: looks at the free space every second */
	struct loop_timer space_timer;
	struct work_task space_task;
	bool space_busy, space_closing;
	uint64_t space_free, space_total;
	enum err space_err;
	bool space_low;
	bool reserve_gone, reserve_busy;
	struct work_task reserve_task;
};

static inline unsigned store_shard_of(const struct store *st, struct hash128 fp)
{
	return (unsigned)((fp.hi >> 32) * st->manifest.shards >> 32);
}

/* Was the process told to end while the store opens? Any thread. */
static inline bool store_is_stopped(const struct store *st)
{
	return st->opts.stop && st->opts.stop(st->opts.stop_arg);
}

/* The share of the calling loop. */
struct share *store_here(const struct store *st);

#endif
