/*
 * logdrain - the way of log lines to stderr, on which nobody waits: a buffer, and a thread that
 * empties it.
 *
 *   DIRECT --logdrain_start--> DRAINED --logdrain_stop--> DIRECT (all is written) or CLOSED (it
 * could not be)
 *
 * DIRECT: a line is one write() of the thread that says it: programs without loops, tests, the time
 * before the loops, a forked child.
 * DRAINED: a line is copied to the buffer under a lock that is never held over a system call but
 * the wake-up. A reader of stderr that stalls (a pipe, a terminal, a disk) stops the thread alone.
 * What does not fit any more is left out, counted in M_LOG_LINES_LOST and told in the log by its
 * number as soon as there is room. Lines stay whole and in order.
 * CLOSED: lines are left out.
 * Why a thread, and not writes that fail at once: O_NONBLOCK belongs to the open file, which parent
 * and siblings of this process share; and on a disk it means nothing.
 *
 * Thread: start and stop from the main thread, the rest from any.
 */
#ifndef CORE_BASE_LOGDRAIN_H
#define CORE_BASE_LOGDRAIN_H

#include "core/base/err.h"

/* lines that wait, at most; as much again may be under way */
#define LOGDRAIN_BYTES         (256u << 10)
#define LOGDRAIN_STOP_MS       2000u /* an end with a stalled reader is not held up longer */
#define LOGDRAIN_LAST_WORDS_MS 200u  /* nor a panic */

/* lost_line writes a whole line about so many lost ones into out and returns its length; called
 * on the thread. */
MUST_CHECK enum err logdrain_start(size_t (*lost_line)(char *out, size_t cap, uint64_t lost));
void logdrain_stop(void);
/* A whole line, with its end. */
void logdrain_put(const char *line, size_t len);
/* Before the process dies: what waits, then text; gives up when stderr takes nothing. Takes no
 * lock. */
void logdrain_last_words(const char *text, size_t len);

#endif
