/*
 * fslock - a file of which one process at a time is the owner, for what is done in one place by one
 * at a time: it has the owner's process id, and the lock (flock) ends with the process, however
 * that ends. Who lets it go removes the file; one that is there and not locked was left by a
 * process that was killed.
 *
 * Errors: ERR_LOCKED: another has it; eb says which process, and where. A file system without locks
 * (ERR_UNSUPPORTED of flock): it is had without one, by everybody.
 * Thread: one at a time; it blocks as files do. Memory: d is borrowed as long as the lock.
 */
#ifndef CORE_BASE_FSLOCK_H
#define CORE_BASE_FSLOCK_H

#include "core/base/fsio.h"

#define FSLOCK_NAME_MAX 255u

struct fslock;
/* Made where there is none. */
MUST_CHECK enum err fslock_take(
    struct fsio_dir *d, const char *name, struct fslock **out, struct errbuf *eb);
/* Only what a process that is gone has left; ERR_NOTFOUND: there is none. */
MUST_CHECK enum err fslock_take_left(
    struct fsio_dir *d, const char *name, struct fslock **out, struct errbuf *eb);
void fslock_drop(struct fslock *take_l); /* NULL is fine */

#endif
