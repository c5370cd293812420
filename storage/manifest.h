/*
 * manifest - what a data directory is: MANIFEST.a and MANIFEST.b, the same 64 bytes twice, written
 * once; and its LOCK.
 *
 *   offset  size  little endian
 *   0       8     magic "KYMODIR1"
 *   8       4     version (1)
 *   12      4     shards
 *   16      16    identity, random
 *   32      8     seed of fingerprints, random
 *   40      8     made at, ms since the epoch
 *   48      12    zero
 *   60      4     crc32c of the bytes before
 * One good copy is enough; the other is written again. A directory with data but without a manifest
 * is refused, not taken for a new one. So is one with RESTORING in it, where kymoctl restore has
 * not ended: what a server took there, the restore that goes on would write over.
 *
 * LOCK holds the owner's process id as text and is flocked for the life of the process.
 * Thread: start and stop only; blocks.
 */
#ifndef STORAGE_MANIFEST_H
#define STORAGE_MANIFEST_H

#include "core/base/fsio.h"

#define MANIFEST_BYTES      64u
#define MANIFEST_VERSION    1u
#define MANIFEST_SHARDS     16u
#define MANIFEST_SHARDS_MAX 1024u

struct manifest {
	uint32_t shards;
	uint8_t identity[16];
	uint64_t seed;
	int64_t created_ms;
};
void manifest_put(const struct manifest *m, uint8_t out[MANIFEST_BYTES]);
/* ERR_DAMAGED, ERR_UNSUPPORTED (a later version). */
MUST_CHECK enum err manifest_get(const uint8_t in[MANIFEST_BYTES], struct manifest *out);
#define MANIFEST_RESTORING "RESTORING" /* names the backup */
/* ERR_EXISTS: a backup is being restored there. */
MUST_CHECK enum err manifest_restored(struct fsio_dir *d, struct errbuf *eb);
/* Loads, or makes one with so many shards in an empty directory; as manifest_restored. */
MUST_CHECK enum err manifest_open(
    struct fsio_dir *d, uint32_t shards, struct manifest *out, struct errbuf *eb);

/* ERR_LOCKED: another process has it; the text names its pid. */
MUST_CHECK enum err manifest_lock(struct fsio_dir *d, struct fsio_file **lock, struct errbuf *eb);
/*
 * The same for who may write nothing there (a mount that is to be read only, of a directory that a
 * server has): the lock that stands there is taken. *lock NULL: there is none that can be read.
 */
MUST_CHECK enum err manifest_lock_read(
    struct fsio_dir *d, struct fsio_file **lock, struct errbuf *eb);
void manifest_unlock(struct fsio_file *lock);

#endif
