/*
 * keeper - metadata of metric families (type, help, unit), in memory on loop 0.
 *
 * New and changed ones go to the log under shard 0's numbers, and from time to time whole into the
 * file METADATA:
 *   "KYMOMETA"  version(1)=1  u64 number  varint count
 *   count x { varint tenant  type(1)  3 x { varint n, bytes } }  u32 crc32c of all before
 * number = shard 0's last group when the file was made: replay takes records of later groups only.
 * (1) The log is told that shard 0 is complete up to c only when METADATA holds what stood at
 *     numbers <= c: rounds report through keeper_complete.
 * Work on all families is done in slices: they stand in KEEPER_PARTS tables, each is small enough
 * for
 * one. The image of METADATA is made so, beside new ones that come: it is at least as new as its
 * number says, and what is newer is in the log as well.
 * Bounded: KEEPER_FAMILIES_MAX families, KEEPER_BYTES_MAX of texts; what is over is dropped and
 * counted. Texts are cut at KEEPER_TEXT_MAX.
 * Thread: loop 0; keeper_load, keeper_save at start and stop on the main thread. Memory: own.
 */
#ifndef STORAGE_KEEPER_H
#define STORAGE_KEEPER_H

#include "core/base/fsio.h"
#include "storage/shard.h"
#include "storage/wal/walrec.h"

#define KEEPER_FAMILIES_MAX 200000u
#define KEEPER_BYTES_MAX    (64u << 20)
#define KEEPER_TEXT_MAX     4096u
#define KEEPER_PARTS        256u

struct store;
struct store_meta_req;
struct keeper;
struct keeper *keeper_create(struct store *st);
void keeper_free(struct keeper *k);
/*
 * METADATA of dir. A missing one gives an empty keeper; so does one that is damaged or cannot be
 * read, which is set aside, with a warning: senders repeat their metadata every minute.
 * ERR_UNSUPPORTED: of a later format; ERR_NOFILES, ERR_NOMEM, ERR_ACCESS: says nothing of the file.
 */
MUST_CHECK enum err keeper_load(struct keeper *k, struct fsio_dir *dir, struct errbuf *eb);
/* Blocks. */
MUST_CHECK enum err keeper_save(struct keeper *k, struct fsio_dir *dir);

/*
 * Takes the metas of a batch from *done on, until the share's time is up: true: all. *position is
 * raised to what the request must wait for.
 */
bool keeper_put(struct keeper *k, const struct batch *b, size_t *done, uint64_t *position);
void keeper_replay(struct keeper *k, uint64_t number, const struct walrec_meta *m);
/*
 * Fills r->metas, r->count with copies in r->arena, a few parts a call, as r->_part says: true when
 * it is done. r->_part is 0 at first.
 */
bool keeper_get(const struct keeper *k, uint32_t tenant, struct store_meta_req *r);
/*
 * Shard 0 has everything up to complete_to in files: the log hears of it when METADATA is durable.
 */
void keeper_complete(struct keeper *k, struct shard *shard0, uint64_t complete_to);
bool keeper_busy(const struct keeper *k); /* a save is with a worker */

#endif
