/*
 * catalog_priv - what the files of the catalog share: writing (catalog.c), reading
 * (catalog_read.c), forgetting and merging (catalog_retain.c).
 */
#ifndef STORAGE_META_CATALOG_PRIV_H
#define STORAGE_META_CATALOG_PRIV_H

#include "storage/meta/catalog.h"
#include "storage/meta/gen.h"

#include <roaring/roaring.h>

#define CATALOG_VERSION 1
/*
 * So many generations of about one size are merged into one; sizes are classes of
 * CATALOG_MERGE_FACTOR times the one before, from CATALOG_MERGE_LEAST ids.
 */
#define CATALOG_MERGE_FACTOR 6
#define CATALOG_MERGE_LEAST  1024u
/* Room that a write transaction finds in the map beside what it says it needs. */
#define CATALOG_WRITE_SLACK (32u << 20)

struct catalog_shard {
	struct env_db *def, *gen, *range;
};
struct catalog {
	struct env *env;
	struct env_db *state;
	unsigned shards_count;
	uint64_t seed;
	struct catalog_shard shards[];
};

/* The record of a shard in "state". */
struct shard_state {
	uint64_t rank, series;
	uint32_t next_id, next_gen;
	struct gen_entry {
		uint32_t gen;
		uint64_t ids, bytes;
	} * gens; /* ascending numbers */
	size_t gens_count;
	/* ids without a definition any more that generations still hold */
	roaring_bitmap_t *dropped;
};
MUST_CHECK enum err shard_state_load(struct catalog *c, struct env_txn *t, unsigned shard,
    struct shard_state *out); /* out is released also after an error */
enum err shard_state_store(
    struct catalog *c, struct env_txn *t, unsigned shard, const struct shard_state *s);
void shard_state_release(struct shard_state *s);

/* Bitmaps that panic without memory, and as values. */
roaring_bitmap_t *catalog_bitmap(void);
MUST_CHECK enum err catalog_bitmap_load(
    struct env_txn *t, const struct env_value *v, const char *what, roaring_bitmap_t **out);
enum err catalog_bitmap_store(
    struct env_txn *t, struct env_db *db, const void *key, size_t key_len, roaring_bitmap_t *b);

/* Keys. */
static inline void catalog_id_key(uint8_t key[4], uint32_t id)
{
	uint32_t v = __builtin_bswap32(id);
	__builtin_memcpy(key, &v, 4);
}
static inline void catalog_range_key(uint8_t key[8], int64_t start_ms)
{
	uint64_t v = __builtin_bswap64((uint64_t)start_ms ^ ((uint64_t)1 << 63));
	__builtin_memcpy(key, &v, 8);
}
static inline int64_t catalog_range_of_key(const uint8_t *key)
{
	uint64_t v;
	__builtin_memcpy(&v, key, 8);
	return (int64_t)(__builtin_bswap64(v) ^ ((uint64_t)1 << 63));
}
int64_t catalog_range_start(int64_t t_ms);

/* Labels of one id: out->len = 0 when there is none; bytes are lent by the transaction. */
MUST_CHECK enum err catalog_def_get(struct catalog *c, struct env_txn *t, unsigned shard,
    uint32_t id, uint32_t *tenant, struct labels *out);
/* Merges generations of one size when there are enough; one merge per call. */
MUST_CHECK enum err catalog_merge_some(
    struct catalog *c, unsigned shard, bool *merged, struct errbuf *eb);

#endif
