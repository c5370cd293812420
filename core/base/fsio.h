/*
 * fsio - every file operation of the store goes through here, so that tests can record and fail it.
 *
 * Paths are relative to a struct fsio_dir (a directory opened once). Each call is the POSIX one
 * with EINTR and short reads and writes handled. Errors are those of err_of_errno (ERR_NOSPACE,
 * ERR_NOFILES, ERR_NOMEM, ERR_ACCESS, ERR_NOTFOUND, ERR_EXISTS, ERR_IO), ERR_SYNC of a sync;
 * err_why() has the errno in words.
 * fsio_hook(&ops) swaps the whole table (before threads start): tests/lib/fsdouble.h keeps a log of
 * writes, syncs, renames, removals, and makes power-cut images from it; tests/lib/fault.h fails the
 * Nth call.
 * Nothing here is ever called on a loop except fsio_read_nowait and open/stat at start: all other
 * calls block.
 */
#ifndef CORE_BASE_FSIO_H
#define CORE_BASE_FSIO_H

#include "core/base/err.h"
#include <sys/types.h>
#include <sys/uio.h>

struct fsio_dir;  /* an open directory */
struct fsio_file; /* an open file */

enum fsio_mode {
	FSIO_READ,
	FSIO_CREATE /* read-write, must not exist */,
	FSIO_WRITE /* read-write, must exist */
};

MUST_CHECK enum err fsio_dir_open(const char *path, bool create,
    /* create: mkdir -p, mode 0700; its name and its parents' are durable then */
    struct fsio_dir **out);
MUST_CHECK enum err fsio_dir_sub(
    struct fsio_dir *d, const char *name, bool create, struct fsio_dir **out);
void fsio_dir_close(struct fsio_dir *d);
const char *fsio_dir_path(const struct fsio_dir *d);
MUST_CHECK enum err fsio_dir_sync(struct fsio_dir *d);
/* Calls fn for each entry except . and .. ; the order is that of names. */
MUST_CHECK enum err fsio_dir_each(
    struct fsio_dir *d, enum err (*fn)(void *arg, const char *name), void *arg);
MUST_CHECK enum err fsio_open(
    struct fsio_dir *d, const char *name, enum fsio_mode mode, struct fsio_file **out);
void fsio_close(struct fsio_file *f); /* never syncs */
MUST_CHECK enum err fsio_write_at(struct fsio_file *f, const void *data, size_t len, uint64_t off);
MUST_CHECK enum err fsio_writev_at(
    struct fsio_file *f, const struct iovec *v, size_t count, uint64_t off); /* v is not changed */
/* Reads exactly len bytes; ERR_TRUNCATED when the file ends before. */
MUST_CHECK enum err fsio_read_at(struct fsio_file *f, void *data, size_t len, uint64_t off);
/*
 * As read_at, but ERR_AGAIN when it would wait for the disk (preadv2 RWF_NOWAIT): may be called on
 * a loop.
 */
MUST_CHECK enum err fsio_read_nowait(struct fsio_file *f, void *data, size_t len, uint64_t off);
MUST_CHECK enum err fsio_sync(struct fsio_file *f); /* fdatasync; ERR_SYNC is final for this file */
/*
 * on: writes and reads go past the page cache from now on (O_DIRECT); memory, offset and length of
 * each are multiples of FSIO_BLOCK then. ERR_UNSUPPORTED: this file system has none such. One that
 * says so only when it is written to (EINVAL) gives ERR_IO there.
 */
#define FSIO_BLOCK 4096u
MUST_CHECK enum err fsio_direct(struct fsio_file *f, bool on);
/*
 * fsio_write_at and fsio_sync in one, the sync of these bytes alone: where writes are direct, one
 * call (RWF_DSYNC), which a disk without a volatile cache, or with forced writes (FUA), needs no
 * flush for. ERR_SYNC as of fsio_sync; another error: nothing was synced.
 */
MUST_CHECK enum err fsio_write_sync(struct fsio_file *f, const void *data, size_t len, uint64_t off);
/* What this thread has written and synced of files, ever: bytes, and the time it waited for it. */
struct fsio_use {
	uint64_t bytes, ns;
};
struct fsio_use fsio_use(void);
/* posix_fallocate, size grows */
MUST_CHECK enum err fsio_allocate(struct fsio_file *f, uint64_t size);
MUST_CHECK enum err fsio_truncate(struct fsio_file *f, uint64_t size);
MUST_CHECK enum err fsio_size(struct fsio_file *f, uint64_t *size);
/*
 * The first len bytes of one to the same places of another: the kernel shares the blocks where the
 * file system can (copy_file_range). ERR_TRUNCATED: from is shorter.
 */
MUST_CHECK enum err fsio_copy(struct fsio_file *from, struct fsio_file *to, uint64_t len);
MUST_CHECK enum err fsio_rename(struct fsio_dir *d, const char *from, const char *to);
MUST_CHECK enum err fsio_link(
    struct fsio_dir *d, const char *from, const char *to); /* hard link, replaces nothing */
/* The same into another directory of the same file system (another one: ERR_IO, EXDEV). */
MUST_CHECK enum err fsio_link_to(
    struct fsio_dir *d, const char *from, struct fsio_dir *to_dir, const char *to);
MUST_CHECK enum err fsio_rmdir(struct fsio_dir *d, const char *name); /* an empty one */
/* What a name is: of a link itself, not of what it points to. */
struct fsio_stat {
	uint64_t size, inode, device;
	uint64_t links; /* names it has */
	int64_t mtime_ns;
	bool is_dir, is_file;
};
MUST_CHECK enum err fsio_stat(struct fsio_dir *d, const char *name, struct fsio_stat *out);
/* A directory with all in it (a link: it alone), synced. Nobody makes names there. */
MUST_CHECK enum err fsio_remove_tree(struct fsio_dir *d, const char *name);
MUST_CHECK enum err fsio_remove(struct fsio_dir *d, const char *name);
MUST_CHECK enum err fsio_free_bytes(struct fsio_dir *d, uint64_t *free_bytes, uint64_t *total_bytes);
/* An empty directory; not seen by hooks. */
MUST_CHECK enum err fsio_dir_remove(struct fsio_dir *d, const char *name);
/*
 * The whole file as memory to read from, until fsio_unmap; *data is NULL when it is empty. Not seen
 * by hooks. A page that the disk cannot give, or that a cut file no longer has, is SIGBUS: look at
 * it inside of guard_run (core/base/guard.h).
 */
MUST_CHECK enum err fsio_map(struct fsio_file *f, const uint8_t **data, size_t *len);
void fsio_unmap(const uint8_t *data, size_t len);
/*
 * Whole small file: read into mem_alloc'd memory of at most max bytes; replace = write NAME.tmp,
 * sync, rename over name, sync directory.
 */
MUST_CHECK enum err fsio_load(
    struct fsio_dir *d, const char *name, size_t max, uint8_t **data, size_t *len);
MUST_CHECK enum err fsio_replace(struct fsio_dir *d, const char *name, const void *data, size_t len);
/* Neither the file nor what a crash left of a replacement is there, also after a power cut. */
MUST_CHECK enum err fsio_replace_undo(struct fsio_dir *d, const char *name);

/* The table behind the calls above, for tests. NULL restores the real one. */
struct fsio_ops {
	enum err (*write_at)(struct fsio_file *f, const struct iovec *v, size_t count, uint64_t off);
	enum err (*read_at)(struct fsio_file *f, void *data, size_t len, uint64_t off, bool nowait);
	enum err (*sync)(struct fsio_file *f);
	enum err (*write_sync)(struct fsio_file *f, const void *data, size_t len, uint64_t off);
	enum err (*direct)(struct fsio_file *f, bool on);
	enum err (*allocate)(struct fsio_file *f, uint64_t size);
	enum err (*truncate)(struct fsio_file *f, uint64_t size);
	enum err (*open)(
	    struct fsio_dir *d, const char *name, enum fsio_mode mode, struct fsio_file **out);
	enum err (*rename)(struct fsio_dir *d, const char *from, const char *to);
	enum err (*link)(
	    struct fsio_dir *d, const char *from, struct fsio_dir *to_dir, const char *to);
	enum err (*remove)(struct fsio_dir *d, const char *name);
	enum err (*rmdir)(struct fsio_dir *d, const char *name);
	enum err (*stat)(struct fsio_dir *d, const char *name, struct fsio_stat *out);
	enum err (*dir_sync)(struct fsio_dir *d);
	enum err (*mkdir)(struct fsio_dir *d, const char *name);
	enum err (*free_bytes)(struct fsio_dir *d, uint64_t *free_bytes, uint64_t *total_bytes);
	enum err (*copy)(struct fsio_file *from, struct fsio_file *to, uint64_t len);
	enum err (*size)(struct fsio_file *f, uint64_t *size);
	enum err (*dir_open)(struct fsio_dir *d, const char *name, struct fsio_dir **out);
	enum err (*dir_each)(
	    struct fsio_dir *d, enum err (*fn)(void *arg, const char *name), void *arg);
};
extern const struct fsio_ops fsio_real;
void fsio_hook(const struct fsio_ops *ops);
/*
 * Of a descriptor that is no fsio_file (configuration, certificates, secrets; not seen by hooks):
 * all there is, at most room bytes, since a file may grow while it is read. Blocks.
 */
MUST_CHECK enum err fsio_read_fd(int fd, void *data, size_t room, size_t *len);
/* What a test double needs to know of a file. */
const char *fsio_file_path(
    const struct fsio_file *f); /* absolute or relative path as opened, through its directory */
int fsio_file_fd(const struct fsio_file *f);
int fsio_dir_fd(const struct fsio_dir *d);

#endif
