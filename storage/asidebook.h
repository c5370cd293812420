/*
 * asidebook - what must be known of files of the log that lie aside (storage/wal/walseg.h), so that
 * what was deleted does not come back when a later start takes in their rows: the file ASIDE of the
 * data directory.
 *
 * Of each such file, by its slot, as it was when it was set aside: of each shard complete_to, and
 * the rank that it would have given next. And the deletions of since: the store gives numbers and
 * ids anew while the file lies there, so they stand here as they were asked for.
 * (1) A row at a number <= complete_to was in its shard's files by then, and what has become of it
 *     there holds, however long ago: it is not taken again.
 * (2) Cuts of a lower rank than that are of ids and numbers as the file has them, and hide its rows
 *     (storage/cfile/tombs.h). Younger ones may speak of other series: they say nothing of it.
 * (3) Those are here, and hide its rows by tenant, labels and time, whatever the ids. Such a
 *     deletion is here, synced, before any shard begins it.
 * A file of which nothing stands here is of a version that kept no book: all cuts count.
 *
 * The file, replaced whole, two copies of this one behind the other, little endian:
 *   0   8  magic "KYMOASD1"
 *   8   4  bytes of what follows, without the checksum
 *   then u32 shards; u32 files, of each: u32 slot, of each shard u64 complete_to, u64 rank;
 *   u32 deletions, of each: u32 tenant, i64 first and last time (both inclusive), u32 count and
 *   u32 slots of the files that it is of, varint selectors, of each varint matchers, of each
 *   u8 type, name and value as varint length and bytes; at the end crc32c of all of it (u32).
 * There is none while nothing lies aside.
 *
 * Thread: one at a time: main until the store is ready, then workers in ASIDEBOOK_LANE; but
 *         asidebook_waits may be asked on any thread once the store is ready.
 * Memory: own, some times ASIDEBOOK_FILE_MAX at most.
 */
#ifndef STORAGE_ASIDEBOOK_H
#define STORAGE_ASIDEBOOK_H

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/fsio.h"
#include "core/model/matcher.h"

#define ASIDEBOOK_NAME     "ASIDE"
#define ASIDEBOOK_FILE_MAX (8u << 20)
#define ASIDEBOOK_LANE     113u /* behind those of storage/back/back.h */

struct asidebook_file {
	uint32_t slot;
	uint64_t *complete_to, *rank; /* [shards] */
};
struct asidebook_selector {
	struct matcher *matchers; /* all must hold */
	size_t count;
};
struct asidebook_cut {
	uint32_t tenant;
	int64_t t_min_ms, t_max_ms; /* both inclusive */
	uint32_t *slots;
	size_t slots_count;
	const struct asidebook_selector *selectors; /* one must hold */
	size_t selectors_count;
};
struct asidebook {
	uint32_t shards;
	struct asidebook_file *files;
	size_t files_count;
	struct asidebook_cut *cuts;
	size_t cuts_count;
	enum err lost; /* it is there and cannot be read: nothing is taken in, nothing deleted */
	bool dirty;    /* the disk has another one */
	struct arena _arena;
};
void asidebook_init(struct asidebook *b, uint32_t shards);
void asidebook_release(struct asidebook *b);
/*
 * What the disk has; one that is damaged or cannot be read is no error here (lost), one of a later
 * format is (ERR_UNSUPPORTED).
 */
MUST_CHECK enum err asidebook_load(struct asidebook *b, struct fsio_dir *dir, struct errbuf *eb);
/* Replaces it if it is dirty; removes it when nothing lies aside. A lost one stays as it is. */
MUST_CHECK enum err asidebook_save(struct asidebook *b, struct fsio_dir *dir);

/* A file is set aside: its numbers of now ([shards]), unless it stands there already. */
void asidebook_note(
    struct asidebook *b, uint32_t slot, const uint64_t *complete_to, const uint64_t *rank);
/* Of others than these nothing lies aside any more. With count 0 a lost book is found again. */
void asidebook_keep(struct asidebook *b, const uint32_t *slots, size_t count);
/* The rows of that one have been taken in. */
void asidebook_forget(struct asidebook *b, uint32_t slot);
bool asidebook_waits(const struct asidebook *b);
/*
 * A deletion (3), of all files that stand there, and saves. c: its slots are not asked for;
 * borrowed. The same once more changes nothing. ERR_TOOBIG: there is no room for more. After an
 * error it is as it was.
 */
MUST_CHECK enum err asidebook_delete(
    struct asidebook *b, struct fsio_dir *dir, const struct asidebook_cut *c, struct errbuf *eb);

/* ---- of one file; NULL: nothing stands there ---- */
const struct asidebook_file *asidebook_find(const struct asidebook *b, uint32_t slot);
/*
 * The deletions of since that are of a series (3), asked once of each: places for asidebook_hides
 * go to out[cuts_count]; how many. A pattern that gives up is of it.
 */
size_t asidebook_cuts_of(const struct asidebook *b, uint32_t tenant, struct labels ls, uint32_t *out);
/* Does one of these hide a row of the file? */
bool asidebook_hides(
    const struct asidebook *b, const uint32_t *cuts, size_t count, uint32_t slot, int64_t t_ms);

void asidebook_encode(const struct asidebook *b, struct buf *out);
/* Any bytes are safe: ERR_DAMAGED, ERR_UNSUPPORTED. b: as asidebook_init has left it. */
MUST_CHECK enum err asidebook_decode(struct asidebook *b, const uint8_t *data, size_t len);

#endif
