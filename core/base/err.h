/*
 * err - error codes of the whole program, and the detail text that rides with them.
 *
 * What a system call said is kept: err_of_errno() makes a code of it and notes it for this thread,
 * err_why() gives it back in words as long as nothing failed in between: "too many open files
 * (EMFILE): 600 allowed". Make the text where the call failed, on its thread; the code travels on.
 *
 * 0 is success, errors are negative. err_text() gives a short stable word for logs. A struct errbuf
 * belongs to the caller and holds one line of at most 1 KiB, cut at a character; errbuf_set() keeps
 * the first text only (sticky), so deep layers speak first.
 */
#ifndef CORE_BASE_ERR_H
#define CORE_BASE_ERR_H

#include "core/base/check.h"
#include <stdarg.h>

enum err {
	ERR_OK = 0,
	ERR_BUG = -1,     /* an ODD() place */
	ERR_NOMEM = -2,   /* a sized, failing allocation */
	ERR_IO = -3,      /* read, write, open, rename failed */
	ERR_NOSPACE = -4, /* disk full, or below the free-space floor */
	ERR_SYNC = -5,    /* fsync/fdatasync failed: never repeated on that file */
	ERR_DAMAGED = -6, /* checksum or structure wrong on disk */
	ERR_NOTFOUND = -7,
	ERR_EXISTS = -8,
	ERR_LOCKED = -9,     /* another process owns it */
	ERR_TRUNCATED = -10, /* input ends early */
	ERR_MALFORMED = -11, /* input breaks its format */
	ERR_TOOBIG = -12,    /* over a size or count limit */
	ERR_UNSUPPORTED = -13,
	ERR_BADDATA = -14,   /* the user's data or parameter is wrong: HTTP 400 bad_data */
	ERR_EXECUTION = -15, /* query evaluation failed: 422 execution */
	ERR_CANCELED = -16,
	ERR_TIMEOUT = -17,
	ERR_BUSY = -18, /* overload: 503, retry */
	ERR_READONLY = -19,
	ERR_STOPPING = -20,
	ERR_AGAIN = -21,     /* would block */
	ERR_LOGFAILED = -22, /* the log could not be synced: 503 log_failed */
	ERR_NOTREADY = -23,  /* starting: 503 */
	ERR_NOFILES = -24,   /* no descriptors left, in the process or in the system: passes */
	/* the system does not let us: rights, or a file system mounted read-only */
	ERR_ACCESS = -25,
};

const char *err_text(enum err e);
/* ERR_IO is what has no code of its own. */
enum err err_of_errno(int errnum);
/* e is what came of errnum, whatever err_of_errno says of it (a failed sync: ERR_SYNC). Returns
 * e. */
enum err err_note(enum err e, int errnum);
/*
 * Words for e: those of the errno that gave it, when that was the last one noted on this thread,
 * else err_text(e). Valid until the next call on this thread. */
const char *err_why(enum err e);
/* Trouble of our own (a disk, a catalog) as an answer may say it: what blames who asked is
 * ERR_IO. */
enum err err_own(enum err e);

#define ERRBUF_SIZE 1024
struct errbuf {
	char text[ERRBUF_SIZE]; /* "" = nothing said */
};

static inline void errbuf_init(struct errbuf *eb)
{
	eb->text[0] = 0;
}
/*
 * Keeps the first text; eb may be NULL. Control characters become '?'. Always returns e, so that
 * "return errbuf_set(...)" reads well.
 */
enum err errbuf_set(struct errbuf *eb, enum err e, const char *fmt, ...) PRINTF_LIKE(3, 4);
enum err errbuf_vset(struct errbuf *eb, enum err e, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

#endif
