/*
 * feed - what rounds put into files goes into the catalog, in the order of ranks, on the catalog's
 * lane. The catalog follows the files and holds nothing else up.
 *
 * At start feed_recover() catches up from the files (all of them, into a new catalog, when the old
 * one was damaged). While running, each round gives an item.
 *
 * Thread: the shard's loop; feed_recover and feed_labels_* where they say so. Memory: an item owns
 * its arrays; label bytes are the head's, which drops no series before the catalog has it.
 */
#ifndef STORAGE_BACK_FEED_H
#define STORAGE_BACK_FEED_H

#include "storage/back/back.h"
#include "storage/meta/catalog.h"

struct feed_item;
struct stopping;
struct feed_item *feed_item_create(uint64_t rank, uint32_t next_id);
void feed_item_range(struct feed_item *it, int64_t start_ms, uint32_t *take_ids, size_t count);
void feed_item_defs(struct feed_item *it, struct catalog_def *take_defs, size_t count);

void feed_open(struct back *b);
/* The catalog holds so many series: how many of them are not in memory. */
void feed_count(struct back *b, uint64_t in_catalog);
void feed_drop_all(struct back *b);
/* Does an earlier round than the last one still wait? Then the catalog does not know yet in which
 * ranges series have samples that were silent in the last one. */
bool feed_is_behind(const struct back *b);
/* Retention has taken files: the catalog forgets what is in no range any more. */
void feed_retire(struct back *b, int64_t keep_from_ms);

/*
 * Works one file into the catalog, which may claim rank afterwards. On a worker, in the catalog's
 * lane, or at start.
 */
MUST_CHECK enum err feed_file(struct shard *sh, struct cfile *f, uint64_t rank, struct errbuf *eb);
/*
 * At start, on the main thread, before shard_back.open: works in files above the catalog's rank and
 * fills shard.catalog_state. ERR_DAMAGED: the catalog must be rebuilt.
 */
MUST_CHECK enum err feed_recover(struct shard *sh, const struct stopping *stop, struct errbuf *eb);

/* Labels by id for a merge. On a worker. */
struct feed_labels;
struct feed_labels *feed_labels_begin(struct shard *sh);
MUST_CHECK enum err feed_labels_get(
    struct feed_labels *f, uint32_t id, uint32_t *tenant, struct labels *ls);
void feed_labels_end(struct feed_labels *f);

#endif
