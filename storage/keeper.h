/*
 * keeper - metadata of metric families (type, help, unit), in memory on loop 0.
 *
 * New and changed ones go to the log in groups of their own (shard number: the count of the store's
 * shards), and every KEEPER_SAVE_MS, when there were some, all go into the file METADATA:
 *   "KYMOMETA"  version(1)=2  u64 number  varint count
 *   count x { varint tenant  type(1)  3 x { varint n, bytes } }  u32 crc32c of all before
 * number = that of the last group when the file was made: replay takes later ones only. In version
 * 1 groups and number were shard 0's.
 * (1) A group keeps its segment of the log until METADATA has it, or could not be written: a disk
 *     that takes no METADATA must not fill up with log for it. Senders repeat their metadata.
 * Work on all families is done in slices: they stand in KEEPER_PARTS tables, each is small enough
 * for one. The image of METADATA is made so, beside new ones that come: it is at least as new as
 * its number says, and what is newer is in the log as well.
 * Bounded: KEEPER_FAMILIES_MAX families, KEEPER_BYTES_MAX of texts; what is over is dropped and
 * counted. The last tenth is kept for tenants with less than an equal part, so nobody takes all the
 * room. Texts are cut at KEEPER_TEXT_MAX.
 * Thread: loop 0; keeper_load, keeper_save at start and stop on the main thread. Memory: own.
 */
#ifndef STORAGE_KEEPER_H
#define STORAGE_KEEPER_H

#include "core/base/fsio.h"
#include "core/model/batch.h"
#include "core/rt/loop.h"
#include "core/rt/stamps.h"
#include "core/rt/work.h"
#include "storage/wal/walrec.h"

#define KEEPER_FAMILIES_MAX 200000u
#define KEEPER_BYTES_MAX    (64u << 20)
#define KEEPER_TEXT_MAX     4096u
#define KEEPER_PARTS        256u

#define KEEPER_SAVE_MS 60000u

struct store_meta_req;
struct intake;
/* What it stands on. */
struct keeper_env {
	struct loop *loop; /* loop 0 */
	struct work_pool *pool;
	struct fsio_dir *dir; /* the data directory */
	uint64_t seed;
	uint32_t group;    /* shard number of its groups */
	struct walog *log; /* given when the store is ready */
	/*
	 * Marked at each change of a family's metadata, and for one there was no room for
	 * (batch_meta_hash). NULL: nobody asks.
	 */
	struct stamps *stamps;
};
struct keeper;
struct keeper *keeper_create(const struct keeper_env *env);
void keeper_free(struct keeper *k);
/*
 * METADATA of the data directory. A missing one gives an empty keeper; so does one that is damaged
 * or cannot be read, which is set aside, with a warning: senders repeat their metadata every
 * minute.
 * ERR_UNSUPPORTED: of a later format; ERR_NOFILES, ERR_NOMEM, ERR_ACCESS: says nothing of the file.
 */
MUST_CHECK enum err keeper_load(struct keeper *k, struct errbuf *eb);
/* What METADATA does not have yet. Blocks. */
MUST_CHECK enum err keeper_save(struct keeper *k);
/* When the store is ready, on loop 0: the log is there. Saves from time to time, until the stop. */
void keeper_start(struct keeper *k);
void keeper_stop(struct keeper *k);

/*
 * Takes the metas of a batch from *done on, until the intake's time is up: true: all. *position is
 * raised to what the request must wait for.
 */
bool keeper_put(struct keeper *k, const struct intake *in, const struct batch *b, size_t *done,
    uint64_t *position);
/*
 * Recovery, on loop 0: a record of a group; own: of its own ones, else of shard 0 (version 1). And
 * the number of a group that was met, also one that does not exist any more: none is given again.
 */
void keeper_replay(struct keeper *k, bool own, uint64_t number, const struct walrec_meta *m);
void keeper_number_seen(struct keeper *k, uint64_t number);
/*
 * Fills r->metas, r->count with copies in r->arena, some families of r->tenants a call: true when
 * it is done. r->_begun is false at first. Cost: the families of those tenants.
 */
bool keeper_get(const struct keeper *k, struct store_meta_req *r);
uint32_t keeper_tenant_max(const struct keeper *k); /* the highest id of those that have any */
bool keeper_busy(const struct keeper *k);           /* a save is with a worker */

#endif
