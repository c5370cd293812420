/*
 * unitpool - the pieces of files that a cursor has loaded: units, and blocks of time columns. A
 * bounded number of bounded bytes; the least recently used one goes.
 *
 *   SPARE > WANTED    its bytes are on their way, or still in the page cache
 *         > LOADED    they are here, not looked at yet
 *         > OPEN      checked; BAD: damaged, or not to be had
 *
 * A piece that was used at or after a tick of the pool can be told to stay. Thread: the shard's
 * loop; unitpool_read on a worker, while the loop lets the pool alone.
 * Memory: at most UNITPOOL_MAX pieces of together UNITPOOL_BYTES_MAX bytes in files (one more when
 * it is larger than that), their tables of entries, decoded time columns of CFILE_TIMES_DECODED a
 * block.
 */
#ifndef STORAGE_READ_UNITPOOL_H
#define STORAGE_READ_UNITPOOL_H

#include "core/base/list.h"
#include "storage/cfile/cfile.h"

#define UNITPOOL_MAX       512u
#define UNITPOOL_BYTES_MAX (16u << 20)
#define UNITPOOL_BUCKETS   256u

enum unitpool_state {
	UNITPOOL_SPARE,
	UNITPOOL_WANTED,
	UNITPOOL_LOADED,
	UNITPOOL_OPEN,
	UNITPOOL_BAD
};
struct unitpool_unit {
	enum unitpool_state state;
	bool is_times;
	struct list_link lru;
	struct unitpool_unit *next; /* of the bucket, or spare */
	void *owner;                /* whom it is found for */
	struct cfile *file;
	struct cfile_extent ext;
	uint64_t used; /* tick of the last use */
	struct buf bytes;
	struct cfile_unit unit; /* borrow bytes */
	struct cfile_times times;
	uint32_t near; /* of the unit: the entry that was found last */
	enum err err;  /* of loading */
};
struct unitpool {
	struct unitpool_unit **units; /* all there are, spare ones too */
	size_t count, cap;
	struct unitpool_unit *buckets[UNITPOOL_BUCKETS], *spare;
	struct list_link lru;         /* the least recently used one first */
	struct unitpool_unit *opener; /* has what opening needs */
	size_t bytes;                 /* of those that are not spare */
	uint64_t tick;
};
void unitpool_init(struct unitpool *p);
void unitpool_release(struct unitpool *p);
/*
 * Is x, a piece that was found once, still an open one of this owner and number? Then it may be
 * used without being told: it counts as used at its last find, UNITPOOL_NEAR finds ago at most.
 */
#define UNITPOOL_NEAR 64u
static inline bool unitpool_is_near(
    const struct unitpool *p, const struct unitpool_unit *x, const void *owner, uint32_t number)
{
	return x->owner == owner && x->ext.unit == number && x->state == UNITPOOL_OPEN &&
	    p->tick - x->used < UNITPOOL_NEAR;
}
/* The piece of an owner when it is there; used now. */
struct unitpool_unit *unitpool_find(struct unitpool *p, const void *owner, uint32_t number);
/*
 * A place for a piece, WANTED; NULL: no room, if what was used at or after the tick is to stay.
 */
struct unitpool_unit *unitpool_take(struct unitpool *p, void *owner, struct cfile *file,
    const struct cfile_extent *ext, uint64_t before);
void unitpool_drop(struct unitpool *p, struct unitpool_unit *x);
void unitpool_drop_all(struct unitpool *p, const void *owner);
/* LOADED to OPEN or BAD: then eb says why. */
MUST_CHECK enum err unitpool_open(struct unitpool *p, struct unitpool_unit *x, struct errbuf *eb);
/* Reads what is WANTED, neighbours in one read; each one's err says how it went. */
void unitpool_read(struct unitpool *p);

#endif
