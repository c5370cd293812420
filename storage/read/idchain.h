/*
 * idchain - the ids that a cursor reads, joined by label bytes: the one place that knows that a
 * series has several.
 *
 * A series that left memory and came back has a new id; its samples stand under both.
 *   active    in memory, chosen from the head's postings
 *   shadowed  in memory, too: a replay met it and a higher id with the same labels
 *   left      chosen, but out of memory before its turn came: the shard tells of each (struct
 *             shard_reader), its labels are copied
 *   files     known to the catalog only, which is asked on a worker, after the choice, without what
 *             was chosen; not at all while every series of the catalog is in memory
 * (1) Whoever holds a sample when the cursor is opened is found. What is in memory all the time of
 *     choosing is chosen. What leaves meanwhile is taken out of the choice at its end, and the
 *     catalog, which has every series that ever left memory, is asked after that. What leaves later
 *     is "left".
 * (2) Each label set comes once. Active ones have different labels. A shadowed id is lower than the
 *     one in its place, so it is met before it, and put to those that left. Ids of files and of
 *     those that left are marked done together with the series that they belong to.
 * (3) An id is done when idchain_done() was called for its series, not before. What leaves memory
 *     while its series is being read is part of it already.
 *
 *   idchain_open();  idchain_choose() until READY;
 *   while (idchain_next()) { read refs, oldest first ... idchain_done(); }
 *   idchain_close();
 *
 * Thread: the shard's loop. Memory: labels of files and left ones until idchain_close.
 */
#ifndef STORAGE_READ_IDCHAIN_H
#define STORAGE_READ_IDCHAIN_H

#include "core/base/arena.h"
#include "core/rt/work.h"
#include "core/seam/source.h"
#include "storage/shard.h"

struct idchain_item {
	uint32_t id;
	uint32_t other; /* index + 1 of another one with the same labels; 0 = none */
	uint64_t hash;  /* label_hash */
	struct labels labels;
	bool done;
};
struct idchain_set {
	struct idchain_item *items;
	size_t count, cap, pos; /* pos: those before are done */
	uint32_t *table; /* hash -> index + 1 of the last item with these labels; a power of two */
	uint32_t table_size;
	struct arena arena; /* labels */
};
enum idchain_state {
	IDCHAIN_CHOOSING, /* from the postings, in steps */
	IDCHAIN_LOOKUP,   /* the catalog is asked, on a worker */
	IDCHAIN_READY,
	IDCHAIN_FAILED, /* err, eb */
};
struct idchain_ref {
	struct idchain_set *set; /* NULL: active */
	uint32_t index;
	uint32_t id;
};
struct postings_select;
struct idchain {
	enum idchain_state state;
	struct shard *shard;
	struct shard_reader reader;
	uint32_t tenant;
	int64_t t_min_ms, t_max_ms;
	const struct source_query *query; /* while choosing */
	struct postings_select *choosing;
	uint32_t *ids; /* chosen in memory, ascending */
	size_t ids_count, pos;
	uint32_t *gone; /* left memory while the choice was made */
	size_t gone_count, gone_cap;
	struct idchain_set files, left;
	/* the look-up */
	struct matcher *matchers; /* copies */
	size_t matchers_count;
	struct work_task task;
	void (*found)(struct idchain *c);
	enum err err;
	struct errbuf eb;
	/* the series of now */
	bool has_series, is_active;
	/* in the turn of idchain_next only; NULL: none of its ids is */
	const struct series *active;
	struct labels labels;     /* borrowed until the end of the turn, unless kept */
	struct idchain_ref *refs; /* ids ascending */
	size_t refs_count, refs_cap;
	uint8_t *copy;
	size_t copy_cap;
};
/*
 * query is borrowed until the choice is made. found() comes later, never from inside: the look-
 * up is home.
 */
void idchain_open(struct idchain *c, struct shard *sh, const struct source_query *query,
    void (*found)(struct idchain *c));
/* A step of the choice; in LOOKUP wait for found(). */
enum idchain_state idchain_choose(struct idchain *c);
/*
 * The series of now, the next one when there is none: labels and refs are set. False: that was
 * the last.
 */
bool idchain_next(struct idchain *c);
/* Copies the labels: valid until the series after this one. */
void idchain_keep(struct idchain *c);
/* The series of now was dealt with. */
void idchain_done(struct idchain *c);
/* Series to come, at most, as far as known. */
size_t idchain_count(const struct idchain *c);
/* Not while LOOKUP. */
void idchain_close(struct idchain *c);

#endif
