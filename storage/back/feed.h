/*
 * feed - what rounds put into files goes into the catalog, in the order of ranks, on the catalog's
 * lane. The catalog follows the files and holds nothing else up.
 *
 * At start feed_recover() catches up from the files. While running, each round gives an item; while
 * the catalog is made anew (rebuild.c) they wait.
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
 * fills shard.catalog_state. Where they have feed_start_bytes or more of labels it leaves them to
 * rebuild.c: the shard's catalog is behind then (storage/shard.h). ERR_DAMAGED: the catalog must be
 * rebuilt.
 */
MUST_CHECK enum err feed_recover(struct shard *sh, const struct stopping *stop, struct errbuf *eb);
extern uint64_t feed_start_bytes; /* for tests, as the files of one commit */
extern unsigned feed_catch_files;

/*
 * Files into the catalog, in commits of some 20,000 definitions; on one thread after the other.
 * some: from files[*at] on as many as make a commit; it claims no rank above most, nor one at or
 * above a file that could not be read (hold).
 */
struct feed_catch;
struct feed_catch *feed_catch_begin(void);
void feed_catch_end(struct feed_catch *c);
void feed_catch_sort(struct shard_file **files, size_t count); /* by rank */
MUST_CHECK enum err feed_catch_some(struct feed_catch *c, struct shard *sh,
    struct shard_file *const *files, size_t count, uint64_t most, size_t *at, struct errbuf *eb);
uint64_t feed_catch_hold(const struct feed_catch *c);
/* What a worker's task is told that finds another catalog than it was made for. */
enum err feed_renewed(struct errbuf *eb);

/* Labels by id for a merge. On a worker. */
struct feed_labels;
struct feed_labels *feed_labels_begin(struct shard *sh);
MUST_CHECK enum err feed_labels_get(
    struct feed_labels *f, uint32_t id, uint32_t *tenant, struct labels *ls);
void feed_labels_end(struct feed_labels *f);

#endif
