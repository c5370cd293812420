/*
 * tombs - what was deleted of the series of a shard, by id: in memory one immutable set, on disk a
 * few files that FILES names ("tombstone series").
 *
 * A cut is one deletion of the shard, or a part of it: a rank, a number, and a range of times, both
 * ends inclusive. An entry says that a cut is of an id.
 * (1) A cut hides samples in its range of its ids in files of lower rank, and rows of the log at
 * its
 *     number or below. What is of a higher rank, or came at a later number, lives.
 * (2) A whole cut (all times) makes its ids dead: nothing is of them any more, nor ever will be,
 * for
 *     ids are given once. Its number says only how far the log may still speak of them.
 * (3) To apply a cut twice, or one that has nothing left to hide, does no harm: so every whole file
 *     that lies about may be believed.
 * (4) Of the cuts of an id those are left out that a later one covers.
 *
 * The file, written once, little endian; its content stands twice, one copy behind the other, so
 * that one damaged place brings nothing back:
 *   0   8  magic "KYMODEL1"
 *   8   4  shard
 *   12  4  cuts
 *   16  8  entries
 *   24  8  bytes of the entries
 *   then per cut: rank u64, number u64, first time i64, last time i64; ascending ranks;
 *   per entry: varint (id - id before), varint cut; ids ascending, of one id cuts ascending;
 *   at the end crc32c of all of it (u32).
 * The files of a shard hold the cuts of neighbouring ranks, one behind the other; a new one takes
 * up those before it that are not much larger (tombs_kept), so they are few, and each entry is
 * written some log n times.
 *
 * Cost: 2 or 3 bytes an entry on disk, twice; 8 in memory. Looking an id up: a binary search; going
 * upwards some steps (struct tombs_seek).
 * Thread: a set is immutable, any thread; its references are counted on the shard's loop.
 */
#ifndef STORAGE_CFILE_TOMBS_H
#define STORAGE_CFILE_TOMBS_H

#include "core/base/buf.h"
#include "core/base/fsio.h"
#include "storage/chunk/column.h"

#define TOMBS_FILE_MAX (1u << 30)
#define TOMBS_SUFFIX   ".ktb"
#define TOMBS_NAME_MAX 40u

struct tomb_cut {
	uint64_t rank, number;
	int64_t t_min_ms, t_max_ms; /* both inclusive */
};
static inline bool tomb_cut_is_whole(const struct tomb_cut *c)
{
	return c->t_min_ms == INT64_MIN && c->t_max_ms == INT64_MAX;
}
struct tomb_entry {
	uint32_t id, cut; /* index into the cuts */
};
struct tombs {
	uint32_t pins;
	uint32_t cuts_count;
	struct tomb_cut *cuts;      /* by rank, number */
	struct tomb_entry *entries; /* by id, cut */
	size_t count;
	uint64_t rank_max, number_max;
	int64_t t_min_ms, t_max_ms; /* of all cuts */
	bool partial;               /* some cut is not whole */
};

/* ---- making sets ---- */

/*
 * old (NULL: nothing) and more: entries ascending by id and their cuts. keep: asked of each cut,
 * the old ones first; NULL: all stay. A new set with one pin; NULL when nothing is left.
 */
struct tombs *tombs_make(const struct tombs *old, const struct tomb_cut *cuts, uint32_t cuts_count,
    const struct tomb_entry *more, size_t count, bool (*keep)(void *arg, const struct tomb_cut *c),
    void *arg);
static inline struct tombs *tombs_pin(struct tombs *t)
{
	if (t)
		t->pins++;
	return t;
}
void tombs_unpin(struct tombs *t); /* NULL: nothing */
/* What it takes in memory; 0 of NULL. */
static inline uint64_t tombs_bytes(const struct tombs *t)
{
	return t ? sizeof(*t) + t->cuts_count * sizeof(*t->cuts) + t->count * sizeof(*t->entries) : 0;
}

/* ---- asking ---- */

struct tombs_seek { /* zero at first; for who asks for ids, mostly upwards */
	size_t at;
};
/* The entries of an id: how many, *first the first. NULL set: none. */
size_t tombs_of(
    const struct tombs *t, struct tombs_seek *seek, uint32_t id, const struct tomb_entry **first);
/* Is the id dead (2)? */
bool tombs_dead(const struct tombs *t, uint32_t id);
/* Is a sample in a file of that rank hidden? */
bool tombs_hides(const struct tombs *t, uint32_t id, uint64_t rank, int64_t t_ms);
/* ... or a row of the log? */
bool tombs_drops(const struct tombs *t, uint32_t id, uint64_t number, int64_t t_ms);
/* The same by cuts below a rank alone. */
bool tombs_drops_below(
    const struct tombs *t, uint64_t rank, uint32_t id, uint64_t number, int64_t t_ms);
enum tombs_cover {
	TOMBS_NONE, /* nothing of the range is hidden */
	TOMBS_SOME, /* also all of it, by very many cuts */
	TOMBS_ALL
};
enum tombs_cover tombs_cover(const struct tombs *t, const struct tomb_entry *e, size_t count,
    uint64_t rank, int64_t t_min_ms, int64_t t_max_ms);
/* Takes what the entries hide in a file of that rank out of the rows from..count-1. */
void tombs_cut(const struct tombs *t, const struct tomb_entry *e, size_t count, uint64_t rank,
    struct column *c, uint32_t from);

/* ---- files ---- */

void tombs_name(uint64_t rank, char out[TOMBS_NAME_MAX]);
/* The rank in such a name; false: it is no such name. */
bool tombs_name_parse(const char *name, uint64_t *rank);
/* The entries whose cuts have ranks above that; how many. */
size_t tombs_encode(const struct tombs *t, uint32_t shard, uint64_t above, struct buf *out);
/* Any bytes are safe: ERR_DAMAGED; ERR_NOTFOUND: of another shard. */
MUST_CHECK enum err tombs_decode(
    const uint8_t *data, size_t len, uint32_t shard, struct tombs **out, struct errbuf *eb);
/*
 * Writes, syncs (not the directory). On an error the file may be there, in part. *bytes, *entries
 * of what was written.
 */
MUST_CHECK enum err tombs_write(struct fsio_dir *d, const char *name, const struct tombs *t,
    uint32_t shard, uint64_t above, uint64_t *bytes, uint64_t *entries);
MUST_CHECK enum err tombs_load(
    struct fsio_dir *d, const char *name, uint32_t shard, struct tombs **out, struct errbuf *eb);

/* The same for who verifies: ERR_DAMAGED also when only one of the copies is whole. */
MUST_CHECK enum err tombs_verify(
    struct fsio_dir *d, const char *name, uint32_t shard, struct errbuf *eb);

#endif
