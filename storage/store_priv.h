/*
 * The insides of a store: for store.c, which knows all folders of this room and gives each what it
 * needs, and for what belongs to the store itself: figures.c, stats.c.
 */
#ifndef STORAGE_STORE_PRIV_H
#define STORAGE_STORE_PRIV_H

#include "core/base/census.h"
#include "storage/append/intake.h"
#include "storage/asidebook.h"
#include "storage/back/back.h"
#include "storage/back/catalogs.h"
#include "storage/back/snapshot.h"
#include "storage/keeper.h"
#include "storage/manifest.h"
#include "storage/recover/recover.h"
#include "storage/share.h"
#include "storage/space.h"
#include "storage/store.h"
#include "storage/tenantbook.h"

struct store {
	struct sink sink;
	struct source *source;
	struct store_opts opts; /* as given, defaults filled in */
	struct manifest manifest;
	struct fsio_dir *dir, *log_dir, *shards_dir;
	struct fsio_file *lock;
	struct team *team;
	unsigned loops;
	uint64_t log_series_bytes; /* 0: the log's share was given */
	struct walog *log;
	struct shard **shards;   /* [manifest.shards]; each belongs to the loop index % loops */
	uint16_t *places;        /* [manifest.shards] where a shard comes in the order of owners */
	struct share **shares;   /* [loops] */
	struct intake **intakes; /* [loops] */
	struct census_set *census;
	struct clockwatch *clock;
	/* what the parts stand on */
	struct share_env share_env;
	struct intake_env intake_env;
	struct back_env back_env;
	struct snapshots_env snapshots_env;
	struct recover_env recover_env;
	struct keeper_env keeper_env;
	struct asidebook book; /* of what lies aside of the log */
	struct stamps *metas;  /* of the keeper's families */
	struct tenantbook_env tenantbook_env;
	/* loop 0's */
	struct keeper *keeper;
	struct tenantbook *tenantbook;
	struct gossip *gossip;
	struct recount *recount;
	struct alarm *alarm;
	struct figures *figures;
	struct marks *marks;
	struct quota *quota;
	struct snapshots *snapshots;
	struct catalogs catalogs;
	struct space space;
	struct cardnow *cardnow;
	/* counts (stats.c): how many are under way, who waits */
	uint64_t stats_bytes; /* of all, as made */
	unsigned stats_open;
	struct list_link stats_wait;
};
void store_stats_init(struct store *st);

static inline unsigned store_shard_of(const struct store *st, struct hash128 fp)
{
	return intake_shard_of(&st->intake_env, fp);
}

/* The highest id that anything recovered belongs to. Before loops use the store. */
uint32_t store_tenant_max(const struct store *st);
/* The share of the calling loop. */
struct share *store_here(const struct store *st);

#endif
