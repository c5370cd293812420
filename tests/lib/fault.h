/*
 * fault - the Nth call of a kind fails.
 *
 *   fault_start(NULL);   // above the real fsio, or above fsdouble_ops()
 *   // the 3rd and 4th write to a path with ".seg" in it:
 *   fault_set(FAULT_WRITE, ".seg", 3, 2, ERR_NOSPACE);
 *   ... work ...
 *   fault_hits(FAULT_WRITE) == 2
 *   fault_stop();
 * The usual loop: for (n = 1; ; n++) { set the nth call of any kind to fail; run the operation;
 * reopen and check; if nothing was hit, stop }.
 *
 * A failed write may have written a part before (fault_partial). A failed sync tells nothing to a
 * recorder below: use fsdouble_fail_syncs for that.
 * Thread: any.
 */
#ifndef TESTS_LIB_FAULT_H
#define TESTS_LIB_FAULT_H

#include "core/base/fsio.h"

enum fault_kind {
	FAULT_WRITE,
	FAULT_READ,
	FAULT_SYNC,
	FAULT_ALLOCATE,
	FAULT_TRUNCATE,
	FAULT_OPEN,
	FAULT_RENAME,
	FAULT_LINK,
	FAULT_REMOVE,
	FAULT_DIR_SYNC,
	FAULT_MKDIR,
	FAULT_FREE_BYTES,
	FAULT_SIZE,
	FAULT_DIR_OPEN, /* of a directory inside another */
	FAULT_DIR_EACH, /* the list of a directory */
	FAULT_RMDIR,
	FAULT_STAT,
	FAULT_ANY, /* every call counts, whatever its kind */
	FAULT_KINDS
};

/* under = NULL: the real table. */
void fault_start(const struct fsio_ops *under);
void fault_stop(void);
/*
 * The nth call (1 = the next) of the kind on a path that contains part (NULL = any) and the count-1
 * following ones give err. count = UINT64_MAX: for ever; 0: none. Replaces the setting of that
 * kind.
 */
void fault_set(enum fault_kind kind, const char *part, uint64_t nth, uint64_t count, enum err err);
/* The same with what the kernel would say; a sync gives ERR_SYNC for it. */
void fault_set_errno(
    enum fault_kind kind, const char *part, uint64_t nth, uint64_t count, int errnum);
/* A failing write first writes so many bytes of what it was given. */
void fault_partial(size_t bytes);
/* What fsio_free_bytes says is free from now on; UINT64_MAX = the truth. */
void fault_disk_free(uint64_t free_bytes);
/* Only calls in directories whose path contains dir count and fail from now on; NULL: all. */
void fault_within(const char *dir);
/* Only calls of threads with this name do; NULL: of all. Both until the next fault_start(). */
void fault_thread(const char *name);
/* Calls counted since fault_set; its nth was not 0. */
uint64_t fault_calls(enum fault_kind kind);
/* Calls that were made to fail since fault_set. */
uint64_t fault_hits(enum fault_kind kind);

#endif
