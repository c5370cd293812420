/*
 * catalog_priv - what the files of the catalog share: writing (catalog.c), definitions in blocks
 * (catalog_defs.c), sets of ids in chunks (catalog_sets.c), dictionaries (catalog_dicts.c), reading
 * (catalog_read.c), forgetting and merging (catalog_retain.c).
 */
#ifndef STORAGE_META_CATALOG_PRIV_H
#define STORAGE_META_CATALOG_PRIV_H

#include "core/rt/epoch.h"
#include "storage/meta/catalog.h"
#include "storage/meta/catpack.h"
#include "storage/meta/defblock.h"
#include "storage/meta/gen.h"

#include <roaring/roaring.h>

#define CATALOG_VERSION 2
/*
 * So many generations of about one size are merged into one; sizes are classes of
 * CATALOG_MERGE_FACTOR times the one before, from CATALOG_MERGE_LEAST ids.
 */
#define CATALOG_MERGE_FACTOR 6
#define CATALOG_MERGE_LEAST  1024u
/* Room that a write transaction finds in the map beside what it says it needs. */
#define CATALOG_WRITE_SLACK (1u << 20)
/* A block of definitions of at most so many bytes stands in a page beside another one. */
#define CATALOG_BLOCK 2020u

struct catalog_shard {
	struct env_db *def, *gen;
};
struct catalog {
	struct env *env;
	struct env_db *state, *dict, *range, *drop;
	unsigned shards_count;
	uint64_t seed;
	struct epoch epoch;
	struct catpack *pack; /* grows while nobody is inside of a transaction */
	/* the one writer's, inside of its transaction */
	struct defblock_writer *blocks;
	uint32_t block_ids;   /* so many ids fitted into the last block */
	uint64_t dict_series; /* series there were when the newest dictionary was trained */
	struct catalog_shard shards[];
};

/*
 * One write transaction: begun, fn, committed. When the map was full it is larger and all is done
 * again: fn begins anew. need: about what is written.
 */
enum err catalog_write(struct catalog *c, uint64_t need,
    enum err (*fn)(void *arg, struct env_txn *t), void *arg, struct errbuf *eb);

/* The record of a shard in "state". */
struct shard_state {
	uint64_t rank, series;
	uint64_t dropped; /* ids in "drop" */
	uint32_t next_id, next_gen;
	struct gen_entry {
		uint32_t gen;
		uint64_t ids, bytes;
	} * gens; /* ascending numbers */
	size_t gens_count;
};
MUST_CHECK enum err shard_state_load(struct catalog *c, struct env_txn *t, unsigned shard,
    struct shard_state *out); /* out is released also after an error */
enum err shard_state_store(
    struct catalog *c, struct env_txn *t, unsigned shard, const struct shard_state *s);
void shard_state_release(struct shard_state *s);

enum err catalog_malformed(struct env_txn *t, const char *what, unsigned shard, uint32_t id);

/* Bitmaps that panic without memory. */
roaring_bitmap_t *catalog_bitmap(void);

/* ---- sets of ids in chunks, so that one id more changes one small record ---- */
#define SETS_CHUNK_BITS 13u /* 8,192 ids: at most 1 KiB */
#define SETS_PREFIX_MAX 10u
struct sets_key {
	uint8_t bytes[SETS_PREFIX_MAX + 4];
	size_t len; /* of the prefix */
};
struct sets_key sets_key_drop(unsigned shard);
struct sets_key sets_key_range(unsigned shard, int64_t start_ms);
int64_t sets_range_of(const uint8_t *key); /* start of the range, of a key of 14 bytes */
/* ids ascend. Adds them, or takes them out. */
enum err sets_add(
    struct env_txn *t, struct env_db *db, struct sets_key key, const uint32_t *ids, size_t count);
enum err sets_del(
    struct env_txn *t, struct env_db *db, struct sets_key key, const uint32_t *ids, size_t count);
/* All of a set into a bitmap. */
MUST_CHECK enum err sets_or(
    struct env_txn *t, struct env_db *db, struct sets_key key, roaring_bitmap_t *to);
/* One record of a set. */
MUST_CHECK enum err sets_record_or(
    struct env_txn *t, const struct env_record *r, roaring_bitmap_t *to);
enum err sets_remove(struct env_txn *t, struct env_db *db, struct sets_key key);

/* ---- definitions in blocks ---- */
static inline void catalog_id_key(uint8_t key[4], uint32_t id)
{
	uint32_t v = __builtin_bswap32(id);
	__builtin_memcpy(key, &v, 4);
}
int64_t catalog_range_start(int64_t t_ms);

/* Finds definitions by id, best in ascending order: holds the block it met last, in pieces. */
struct def_reader {
	struct catalog *c;
	unsigned shard;
	struct catpack_unpacker unpacker;
	struct defblock_reader block; /* count 0: none */
};
void def_reader_init(struct def_reader *r, struct catalog *c, unsigned shard);
void def_reader_release(struct def_reader *r);
/* *place in r->block; ERR_NOTFOUND: no such id. */
MUST_CHECK enum err def_reader_find(
    struct def_reader *r, struct env_txn *t, uint32_t id, uint32_t *place);
/* Is it in the block that is held? Without a transaction. */
bool def_reader_has(const struct def_reader *r, uint32_t id, uint32_t *place);
/* The block of a record. */
MUST_CHECK enum err def_reader_take(
    struct def_reader *r, struct env_txn *t, const struct env_record *rec, uint32_t *dict);

/*
 * Adds definitions, ids ascending and distinct; those known stay as they are. fresh[i]: it was not
 * known.
 */
enum err defs_add(struct catalog *c, struct env_txn *t, unsigned shard,
    const struct catalog_def *defs, size_t count, bool *fresh);
/* Takes ids out, ascending; those that were in go to dropped[count], ascending. */
enum err defs_drop(struct catalog *c, struct env_txn *t, unsigned shard, const uint32_t *ids,
    size_t count, uint32_t *dropped, size_t *dropped_count);
/* Blocks from *next_id on that are not packed with the newest dictionary, at most so many. */
enum err defs_repack(struct catalog *c, struct env_txn *t, unsigned shard, uint64_t *next_id,
    unsigned blocks, bool *more);

/* ---- dictionaries ---- */
MUST_CHECK enum err dicts_load(struct catalog *c, struct errbuf *eb);
/* Trains one when the catalog has grown enough; in the lane of writers, outside of transactions. */
MUST_CHECK enum err dicts_look(struct catalog *c, uint64_t series, struct errbuf *eb);

/* Merges generations of one size when there are enough; one merge per call. */
MUST_CHECK enum err catalog_merge_some(
    struct catalog *c, unsigned shard, bool *merged, struct errbuf *eb);

#endif
