/*
 * fdcache - files that are read now and then for a long time, with at most so many descriptors
 * open.
 *
 * A struct fdfile is a name in a directory; its descriptor is opened when a read needs it and
 * closed when another one needs the room: the one that was not used for long (second chance). The
 * file must keep its name, and the directory stay open, until fdcache_close: who removes a file
 * waits for its readers first.
 *
 * (1) fdfile.refs counts the reads under way, and one more while the cache keeps the descriptor. It
 *     leaves 0 and comes to 0 under the lock only; io is valid while it is not 0. So a read of an
 *     open file takes no lock, and a descriptor that loses its place is closed behind its last
 *     read.
 * (2) A loop never opens or closes: a read without waiting of a file that is not open is ERR_AGAIN,
 *     for a worker to do; a descriptor whose last read ends on a loop is closed by the next worker.
 *
 * Thread: any, at the same time; fdcache_close alone. One cache for the process.
 */
#ifndef CORE_BASE_FDCACHE_H
#define CORE_BASE_FDCACHE_H

#include "core/base/fsio.h"

#define FDCACHE_LIMIT     1024u  /* before fdcache_limit() was called */
#define FDCACHE_SHARE_MIN 256u   /* what storage has at least, see fdcache_share */
#define FDCACHE_SHARE_MAX 16384u /* ... and at most */
#define FDCACHE_CLIENTS   10240u /* what connections and the process itself never need more than */

struct fdfile;
/* Opened once here, so that what is not there is told now. dir is borrowed, name copied. Blocks. */
MUST_CHECK enum err fdcache_open(struct fsio_dir *dir, const char *name, struct fdfile **out);
/* As fsio_read_at; may open the file, and then give any error of fsio_open. Blocks. */
MUST_CHECK enum err fdcache_read_at(struct fdfile *f, void *data, size_t len, uint64_t off);
/* As fsio_read_nowait; ERR_AGAIN also when the file is not open. */
MUST_CHECK enum err fdcache_read_nowait(struct fdfile *f, void *data, size_t len, uint64_t off);
MUST_CHECK enum err fdcache_size(struct fdfile *f, uint64_t *size);
void fdcache_close(struct fdfile *f); /* no read may be under way */

/*
 * fsio_open for everybody else's files: when there are no descriptors some of the cache's are given
 * up for it. Blocks.
 */
MUST_CHECK enum err fdcache_open_other(
    struct fsio_dir *dir, const char *name, enum fsio_mode mode, struct fsio_file **out);

/* At most so many descriptors from now on (1 at least). Blocks. */
void fdcache_limit(size_t limit);
size_t fdcache_count(void); /* open now */
/* How many of the descriptors a process may have are for files; the rest is for connections. */
uint64_t fdcache_share(uint64_t allowed);
/* With how many a share is so large. */
uint64_t fdcache_allowed(uint64_t share);

#endif
