/*
 * catalog - labels, postings and ranges of all series that are in files. One LMDB environment per
 * data directory.
 *
 * It is derived: it follows the files (round or sealed), holds nothing else up, and can be had
 * again by catching up from nothing: move it aside, open an empty one, apply every file of every
 * shard in the order of ranks. What is applied twice does no harm.
 *
 * Words: a generation is what one apply brought of one shard, or a merge of such: its ids and their
 * postings, immutable. Generations of a shard have no id in common.
 *
 * Sub-databases, integers big endian in keys and little endian in values; each value ends with a
 * CRC-32C (u32) over the name of its sub-database, its key and the value before it:
 *   "state"   key: "format" | shard u16       value: version u32, shards u32 | rank u64, series
 *                                             u64, ids in "drop" u64, next_id u32, next generation
 *                                             u32,
 *                                             generations
 *   "def.NN"  key: last id u32                value: a block of definitions (defblock.h), packed
 *                                             by storage/meta/catpack.h
 *   "dict"    key: dictionary u32             value: series there were when it was trained u64,
 *                                             the dictionary
 *   "gen.NN"  key: generation u32, tenant     value: storage/meta/gen.h
 *             u32, kind u8, number u32
 *   "range"   key: shard u16, start of the    value: those of the ids in chunk * 8,192 + [0, 8,191]
 *             2 h range (i64 + 2^63), chunk   that have samples in it (storage/meta/idset.h, base:
 *             u32                             chunk * 8,192)
 *   "drop"    key: shard u16, chunk u32       value: the same of ids without a definition any more
 *                                             that generations still hold
 * Records are smaller than half a page wherever an id more may change them.
 *
 * Cost at 1 M series of ten labels and 216 bytes of labels: see bench/micro/b_catalog.c.
 *
 * Thread: workers only; any number reads at once, one writes at a time (apply, retain: the
 * caller's lane sees to that). None of the calls keeps a transaction open after it returns.
 * Memory: results are copies, in the caller's arena or heap.
 * Errors: ERR_DAMAGED names sub-database and key: rebuild. ERR_UNSUPPORTED: of a later format.
 * Any other: nothing was changed, it may be tried again. After an unclean stop call
 * catalog_check() before catalog_open().
 */
#ifndef STORAGE_META_CATALOG_H
#define STORAGE_META_CATALOG_H

#include "core/base/arena.h"
#include "core/model/matcher.h"

#define CATALOG_SHARDS_MAX 1024

struct catalog;
struct roaring_bitmap_s;
/*
 * Walks the whole environment at path, every checksum included, in a child process. The child
 * uses only what a fork of a process with threads may (its own memory, LMDB), holds no descriptor
 * of the parent but its end of a pipe, and dies with it.
 * ERR_DAMAGED: something is wrong, also when the child died of it; ERR_NOTFOUND: there is none;
 * ERR_STOPPING: stop (may be NULL) said so, which is asked every 50 ms. Else the walk could not
 * be made.
 */
MUST_CHECK enum err catalog_check(
    const char *path, bool (*stop)(void *arg), void *stop_arg, struct errbuf *eb);
/*
 * path is a directory, made when missing (its parent must exist); seed: secret, of tables.
 * ERR_DAMAGED: move it aside and rebuild. ERR_UNSUPPORTED: a later format.
 */
MUST_CHECK enum err catalog_open(
    const char *path, unsigned shards, uint64_t seed, struct catalog **out, struct errbuf *eb);
void catalog_close(struct catalog *c);
/* Clears readers of dead processes: at open, and now and then (60 s); in the lane of writers. */
MUST_CHECK enum err catalog_sweep_readers(struct catalog *c, struct errbuf *eb);
/* Did any call meet damage? Then it has to be rebuilt, whatever a later walk says. Any thread. */
bool catalog_is_damaged(const struct catalog *c);

/*
 * An empty catalog in place of a damaged one: move() puts the files of the old one away. In the
 * lane of writers; readers wait meanwhile, and find nothing afterwards: who needs all there is asks
 * for
 * the epoch behind his reads. An error: it fails until this is done again.
 */
MUST_CHECK enum err catalog_renew(
    struct catalog *c, enum err (*move)(void *arg), void *arg, struct errbuf *eb);
/* 1, one more each time it is renewed; any thread */
uint64_t catalog_epoch(const struct catalog *c);

struct catalog_state {
	uint64_t rank;    /* highest worked in; 0 = nothing yet */
	uint32_t next_id; /* above every id seen */
	uint64_t series;  /* definitions held */
	uint32_t generations;
};
MUST_CHECK enum err catalog_state(
    struct catalog *c, unsigned shard, struct catalog_state *out, struct errbuf *eb);
uint64_t catalog_disk_bytes(struct catalog *c); /* of the environment's file */

/*
 * One transaction for a file, or several files up to rank: all definitions and ranges, then rank.
 * Definitions in any order (ascending ids are the fast case); those already known are passed over.
 * A rank at or below the known one still adds what is new: rank only grows. */
struct catalog_def {
	uint32_t id, tenant;
	struct labels labels; /* canonical */
};
struct catalog_range {
	int64_t t_ms;        /* any time in the 2 h range */
	const uint32_t *ids; /* ascending: have samples in it */
	size_t count;
};
MUST_CHECK enum err catalog_apply(struct catalog *c, unsigned shard, uint64_t rank,
    const struct catalog_def *defs, size_t defs_count, const struct catalog_range *ranges,
    size_t ranges_count, struct errbuf *eb);

/*
 * Retention: forgets ranges that end at or before keep_from_ms, and series that are in no range any
 * more and not in keep (ascending ids: those active in memory). At most max_series of them
 * per call; *more: call again. */
MUST_CHECK enum err catalog_retain(struct catalog *c, unsigned shard, int64_t keep_from_ms,
    const uint32_t *keep, size_t keep_count, size_t max_series, bool *more, struct errbuf *eb);

/*
 * Forgets series, whatever ranges they are in; ids ascending. Those unknown are passed over. On an
 * error some are forgotten.
 */
MUST_CHECK enum err catalog_forget(
    struct catalog *c, unsigned shard, const uint32_t *ids, size_t count, struct errbuf *eb);

/*
 * Ids, ascending, of the series of a tenant that all matchers hold for and that have samples in a 2
 * h range that overlaps [t_min_ms, t_max_ms]. *ids is the caller's (mem_free).
 * ERR_EXECUTION: a label expression hit its step limit. */
MUST_CHECK enum err catalog_select(struct catalog *c, unsigned shard, uint32_t tenant,
    const struct matcher *ms, size_t count, int64_t t_min_ms, int64_t t_max_ms, uint32_t **ids,
    size_t *ids_count, struct errbuf *eb);
/*
 * Names of labels, or values of one, of the series that catalog_select would find: found() for each
 * that is asked for, several times perhaps. Where many series are left, text by text in the order
 * of bytes, generation by generation; where few are, series by series.
 */
enum catalog_want {
	CATALOG_PASS,
	CATALOG_TAKE,
	CATALOG_ENOUGH /* nor is any that stands behind this one */
};
struct catalog_texts {
	const char *label; /* its values; NULL: names */
	size_t label_len;
	const char *prefix; /* values that begin so are enough, others may come, too */
	size_t prefix_len;
	const struct roaring_bitmap_s *without; /* these series do not count; NULL: all do */
	enum catalog_want (*want)(void *arg, const char *text, size_t len);
	void (*found)(void *arg, const char *text, size_t len); /* want said TAKE just now */
	void *arg;
};
MUST_CHECK enum err catalog_texts(struct catalog *c, unsigned shard, uint32_t tenant,
    const struct matcher *ms, size_t count, int64_t t_min_ms, int64_t t_max_ms,
    const struct catalog_texts *o, struct errbuf *eb);
/*
 * Labels of ids (ascending), copied into the arena, and their tenants (NULL: not wanted); out[i]
 * has length 0 when the id is unknown (dropped meanwhile). ERR_NOMEM when the arena is over its
 * limit.
 */
MUST_CHECK enum err catalog_labels(struct catalog *c, unsigned shard, const uint32_t *ids,
    size_t count, struct arena *a, struct labels *out, uint32_t *tenants, struct errbuf *eb);
/*
 * The same one by one, in any order: holds the block it met last, so that neighbours cost 0.1 us.
 * One thread at a time; no transaction is open between calls.
 */
struct catalog_lookup;
struct catalog_lookup *catalog_lookup_begin(struct catalog *c, unsigned shard);
MUST_CHECK enum err catalog_lookup_get(struct catalog_lookup *l, uint32_t id, struct arena *a,
    struct labels *out, uint32_t *tenant, struct errbuf *eb);
void catalog_lookup_end(struct catalog_lookup *l);

/* What takes how many bytes of pages. */
struct catalog_parts {
	uint64_t definitions, postings, ranges, dropped, dictionaries, state;
	uint64_t file; /* all, with free pages */
};
void catalog_parts(struct catalog *c, struct catalog_parts *out);

#endif
