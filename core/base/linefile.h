/*
 * linefile - a file that lines are appended to by a thread of its own, so that nobody who has a
 * line waits for a disk: for logs of requests.
 *
 * A line is copied to a buffer of LINEFILE_BYTES under a lock that is never held over a file or a
 * wait; the thread takes all of it at once, LINEFILE_GATHER_MS after the first line. What does not
 * fit, and what the disk does not take (full, failing), is left out, counted (linefile_lost) and
 * told in the log once in ten seconds. Lines stay whole and in order; after a loss, and in a file
 * whose last line has no end (a crash), the next that is written begins on a new line.
 * linefile_reopen: the path is opened anew before the next lines are written, for who has renamed
 * the file. With a size the file is renamed to PATH.1 (the one before goes) and begun anew when it
 * would be larger; of a symbolic link that is the file that it leads to. Pipes and devices grow as
 * they like; a pipe that nobody reads cannot be opened.
 *
 * Thread: open and close the main thread; put and reopen any. Memory: two buffers. A file is made
 * with the rights 0600 (umask).
 */
#ifndef CORE_BASE_LINEFILE_H
#define CORE_BASE_LINEFILE_H

#include "core/base/err.h"

#define LINEFILE_BYTES     (1u << 20)
#define LINEFILE_GATHER_MS 20u
#define LINEFILE_STOP_MS   2000u /* a disk that stalls does not hold up an end for longer */

struct linefile;
/* size_max: bytes; 0 = it grows. ERR_IO, ERR_ACCESS, ...: with the path in eb. */
MUST_CHECK enum err linefile_open(
    const char *path, uint64_t size_max, struct linefile **out, struct errbuf *eb);
void linefile_put(struct linefile *f, const char *line, size_t len); /* with its end */
void linefile_reopen(struct linefile *f);
uint64_t linefile_lost(const struct linefile *f); /* lines */
/* What waits is written. NULL is fine. */
void linefile_close(struct linefile *f);

#endif
