/*
 * oldseries - the series of a shard that match a query but are not in memory: asked of the catalog on a worker, copied out with their labels.
 *
 * Thread: begins and ends on the shard's loop. Memory: ids ascending and labels live in the lookup's arena until oldseries_free.
 */
#ifndef STORAGE_READ_OLDSERIES_H
#define STORAGE_READ_OLDSERIES_H

#include "core/base/arena.h"
#include "core/rt/work.h"
#include "core/seam/source.h"
#include "storage/shard.h"

struct oldseries_item {
	uint32_t id;
	struct labels labels;
	uint64_t hash; /* label_hash */
	uint32_t older; /* index + 1 of the item with the same labels and the next lower id; 0 = none */
	bool joined; /* it is the older one of another item, or of an active series */
	bool taken;  /* it is in the chain of an active series */
};
struct oldseries {
	struct shard *shard;
	uint32_t tenant;
	int64_t t_min_ms, t_max_ms;
	struct matcher *matchers; /* copies */
	size_t matchers_count;
	struct work_task task;
	struct arena arena;
	struct oldseries_item *items; /* without those that are active */
	size_t count;
	enum err err;
	struct errbuf eb;
	uint32_t *active; /* ascending ids that match in memory: left out */
	size_t active_count;
	uint32_t *table; /* hash -> index + 1 of the newest item with these labels; a power of two */
	uint32_t table_mask;
	void (*done)(struct oldseries *o);
};
/* Need the catalog be asked at all? */
bool oldseries_needed(const struct shard *sh);
/* active is copied. done() comes later, never from inside. */
void oldseries_start(struct oldseries *o, struct shard *sh, const struct source_query *q,
    const uint32_t *active, size_t active_count, void (*done)(struct oldseries *o));
void oldseries_free(struct oldseries *o); /* after done */
/* The newest item with these labels (index + 1), 0 = none. */
uint32_t oldseries_find(const struct oldseries *o, struct labels ls);

#endif
