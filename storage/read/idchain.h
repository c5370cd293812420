/*
 * idchain - the ids that a cursor reads, joined by label bytes: the one place that knows that a
 * series has several.
 *
 * A series that left memory and came back has a new id; its samples stand under both.
 *   active    in memory, chosen from the postings of the head
 *   shadowed  in memory, too: a replay met it and a higher id with the same labels
 *   left      chosen, but out of memory before its turn came: the shard tells of each (struct
 *             shard_reader)
 *   files     known to the catalog only, which is asked on a worker, after the choice, without what
 *             was chosen (the files themselves while it is being made anew); not at all while every
 *             series of the catalog is in memory
 * Of those that are not active only id and a hash of the labels are held ("old" ids). Their labels
 * are fetched in batches, of some of them, when their turn comes or when an active series has the
 * same hash: from memory, or from the catalog on a worker. Hashes only say what to fetch: labels
 * decide.
 * (1) Whoever holds a sample when the cursor is opened is found. What is in memory all the time of
 *     choosing is chosen. What leaves meanwhile is taken out of the choice at its end, and the
 *     catalog, which has every series that ever left memory, is asked after that. What leaves later
 *     is "left".
 * (2) Each label set comes once. Active ones have different labels. A shadowed id is lower than the
 *     one in its place, so it is met before it, and put to the old ones. Old ids are marked done
 *     together with the series that they belong to.
 * (3) An id is done when idchain_done() was called for its series, not before. What leaves memory
 *     while its series is being read is part of it already.
 *
 *   idchain_open();  idchain_choose() until READY;
 *   while (idchain_next() == IDCHAIN_SERIES) { read refs, oldest first ... idchain_done(); }
 *   idchain_close();
 *
 * Thread: the shard's loop.
 * Memory: the choice, 2 bytes an id or less; some 28 bytes an old id (idchain_memory); of labels
 * one
 * batch: IDCHAIN_BATCH_IDS ids and IDCHAIN_BATCH_BYTES, and what one series more needs.
 */
#ifndef STORAGE_READ_IDCHAIN_H
#define STORAGE_READ_IDCHAIN_H

#include "core/base/arena.h"
#include "core/rt/work.h"
#include "core/seam/source.h"
#include "storage/filedefs.h"
#include "storage/meta/postings.h"
#include "storage/shard.h"

#define IDCHAIN_BATCH_IDS   1024u
#define IDCHAIN_BATCH_BYTES (1u << 20)
#define IDCHAIN_AHEAD       256u /* active ids taken out of the choice at once */

struct idchain_old { /* old ids, in the order in which they were met */
	struct idchain_item {
		uint32_t id, hash;
		uint32_t other;    /* index + 1 of the one before with the same hash; 0 = none */
		bool done, queued; /* queued: in the batch */
	} * items;
	size_t count, cap, pos; /* pos: those before are done */
	/*
	 * hash -> index + 1 of the last item with it; in parts (NULL while nothing is old), so that
	 * none takes long to grow
	 */
	struct idchain_table {
		uint32_t *slots;
		uint32_t mask, count;
	} * tables;
};
struct idchain_batch { /* labels of some old ids */
	struct idchain_part {
		uint32_t index, id;   /* of the item */
		struct labels labels; /* len 0: nobody knows it any more */
		bool told;            /* its labels are here */
	} * parts;                    /* those of one hash together */
	size_t count, cap, first;     /* first: so many are of the first hash, and must be told */
	struct arena arena;
};
enum idchain_state {
	IDCHAIN_CHOOSING, /* from the postings, in steps */
	IDCHAIN_LOOKUP,   /* the catalog is asked, on a worker */
	IDCHAIN_READY,
	IDCHAIN_LABELS, /* of a batch are fetched, on a worker */
	IDCHAIN_FAILED, /* err, eb */
};
enum idchain_step {
	IDCHAIN_SERIES, /* labels and refs are set */
	IDCHAIN_AGAIN,  /* some work was done: once more */
	IDCHAIN_WAIT,   /* for found() */
	IDCHAIN_END,    /* there is no other one */
	IDCHAIN_ERROR,
};
struct idchain_ref {
	uint32_t id, index;
	bool old; /* index: its item */
};
struct roaring_bitmap_s;
struct idchain {
	enum idchain_state state;
	struct shard *shard;
	struct shard_reader reader;
	uint32_t tenant;
	int64_t t_min_ms, t_max_ms;
	const struct source_query *query; /* while choosing */
	struct postings_select *choosing;
	struct postings_labels labels_of;
	struct roaring_bitmap_s *chosen; /* in memory; does not change after the choice */
	size_t chosen_count;
	uint64_t next_id;              /* ids below it were taken out of the choice */
	uint32_t ahead[IDCHAIN_AHEAD]; /* taken out, their turn comes */
	unsigned ahead_at, ahead_count;
	struct idchain_gone {
		uint32_t id, hash;
	} * gone; /* left memory while the choice was made, or while the catalog was asked */
	size_t gone_count, gone_cap;
	struct idchain_old old;
	struct idchain_batch batch;
	/* the look-up */
	struct arena arena;
	struct matcher *matchers; /* copies */
	size_t matchers_count;
	struct work_task task;
	/*
	 * While the catalog is made anew the files are asked: incomplete, it was not the one that
	 * knew
	 * all, epoch, when the choice was made.
	 */
	uint64_t epoch;
	bool incomplete, by_files;
	struct filedefs files; /* pinned, when by_files */
	char warning[200];     /* "": none */
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
 * query is borrowed until the choice is made. found() comes later, never from inside: what a worker
 * fetched is home.
 */
void idchain_open(struct idchain *c, struct shard *sh, const struct source_query *query,
    void (*found)(struct idchain *c));
/* True: it would find nothing at all, and ask nobody. False where that takes more than a look. */
bool idchain_none(const struct shard *sh, const struct source_query *query);
/* A step of the choice, of some 200 us; in LOOKUP wait for found(). */
enum idchain_state idchain_choose(struct idchain *c);
/* The series of now, the next one when there is none. */
enum idchain_step idchain_next(struct idchain *c);
/* Copies the labels: valid until the series after this one. */
void idchain_keep(struct idchain *c);
/* The series of now was dealt with. */
void idchain_done(struct idchain *c);
/* All active series were dealt with in another way: only old ones come. */
void idchain_skip_active(struct idchain *c);
/* Series to come, at most, as far as known: right when the choice is made and nothing is old. */
size_t idchain_count(const struct idchain *c);
/* Of the old ids: how many label sets they have, by their hashes; is one of them this? */
size_t idchain_old_labels(const struct idchain *c);
bool idchain_knows_old(const struct idchain *c, struct labels ls);
/* Bytes held for old ids. */
size_t idchain_memory(const struct idchain *c);
/* Is something with a worker? Then it must not be closed. */
static inline bool idchain_is_away(const struct idchain *c)
{
	return c->state == IDCHAIN_LOOKUP || c->state == IDCHAIN_LABELS;
}
void idchain_close(struct idchain *c);
/* May the catalog know series that are not in memory? */
bool idchain_asks_catalog(const struct shard *sh);

#endif
