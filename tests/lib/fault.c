#include "tests/lib/fault.h"

#include <pthread.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	const char *part;
	uint64_t calls, nth, count, hits;
	enum err err;
	int errnum; /* 0: err as it stands */
} faults[FAULT_KINDS];
static const struct fsio_ops *under;
static size_t partial_bytes;
static uint64_t disk_free = UINT64_MAX;
static const char *within; /* part of a directory's path; NULL = everywhere */
static const char *thread; /* a name; NULL = all */

static enum err fault_one(enum fault_kind kind, const char *path)
{
	if (faults[kind].nth == 0 || (faults[kind].part && !strstr(path, faults[kind].part)))
		return ERR_OK;
	uint64_t n = ++faults[kind].calls;
	if (!faults[kind].count || n < faults[kind].nth || n - faults[kind].nth >= faults[kind].count)
		return ERR_OK;
	faults[kind].hits++;
	return faults[kind].errnum ? err_of_errno(faults[kind].errnum) : faults[kind].err;
}

static bool is_sync(enum fault_kind kind)
{
	return kind == FAULT_SYNC || kind == FAULT_DIR_SYNC;
}

/* Does the calling thread have the name that counts? */
static bool is_thread(void)
{
	char name[16] = "";
	return !thread ||
	    (!pthread_getname_np(pthread_self(), name, sizeof name) && !strcmp(name, thread));
}

/* dir: where it happens; path: what part is looked for in. */
static enum err fault_at(enum fault_kind kind, const char *dir, const char *path)
{
	pthread_mutex_lock(&lock);
	if ((within && !strstr(dir, within)) || !is_thread()) {
		pthread_mutex_unlock(&lock);
		return ERR_OK;
	}
	enum err e = fault_one(kind, path), any = fault_one(FAULT_ANY, path);
	int errnum = e ? faults[kind].errnum : faults[FAULT_ANY].errnum;
	pthread_mutex_unlock(&lock);
	e = e ? e : any;
	return e && errnum && is_sync(kind) ? err_note(ERR_SYNC, errnum) : e;
}

static enum err fault_of(enum fault_kind kind, const char *path)
{
	return fault_at(kind, path, path);
}

static enum err fault_in(enum fault_kind kind, const struct fsio_dir *d, const char *name)
{
	return fault_at(kind, fsio_dir_path(d), name);
}

static enum err fault_write_at(struct fsio_file *f, const struct iovec *v, size_t count, uint64_t off)
{
	enum err e = fault_of(FAULT_WRITE, fsio_file_path(f));
	if (!e)
		return under->write_at(f, v, count, off);
	size_t left = partial_bytes;
	for (size_t i = 0; i < count && left; i++) {
		struct iovec part = v[i];
		if (part.iov_len > left)
			part.iov_len = left;
		left -= part.iov_len;
		if (part.iov_len && under->write_at(f, &part, 1, off))
			break;
		off += part.iov_len;
	}
	return e;
}

static enum err fault_read_at(struct fsio_file *f, void *data, size_t len, uint64_t off, bool nowait)
{
	enum err e = fault_of(FAULT_READ, fsio_file_path(f));
	return e ? e : under->read_at(f, data, len, off, nowait);
}

static enum err fault_sync(struct fsio_file *f)
{
	enum err e = fault_of(FAULT_SYNC, fsio_file_path(f));
	return e ? e : under->sync(f);
}

static enum err fault_allocate(struct fsio_file *f, uint64_t size)
{
	enum err e = fault_of(FAULT_ALLOCATE, fsio_file_path(f));
	return e ? e : under->allocate(f, size);
}

/* A write, and a sync. */
static enum err fault_write_sync(struct fsio_file *f, const void *data, size_t len, uint64_t off)
{
	union {
		const void *in;
		void *out;
	} p = { .in = data };
	struct iovec v = { .iov_base = p.out, .iov_len = len };
	enum err e = fault_write_at(f, &v, 1, off);
	return e ? e : fault_sync(f);
}

static enum err fault_direct(struct fsio_file *f, bool on)
{
	return under->direct(f, on);
}

static enum err fault_truncate(struct fsio_file *f, uint64_t size)
{
	enum err e = fault_of(FAULT_TRUNCATE, fsio_file_path(f));
	return e ? e : under->truncate(f, size);
}

static enum err fault_open(
    struct fsio_dir *d, const char *name, enum fsio_mode mode, struct fsio_file **out)
{
	enum err e = fault_in(FAULT_OPEN, d, name);
	return e ? e : under->open(d, name, mode, out);
}

static enum err fault_rename(struct fsio_dir *d, const char *from, const char *to)
{
	enum err e = fault_in(FAULT_RENAME, d, to);
	return e ? e : under->rename(d, from, to);
}

static enum err fault_link(
    struct fsio_dir *d, const char *from, struct fsio_dir *to_dir, const char *to)
{
	enum err e = fault_in(FAULT_LINK, to_dir, to);
	return e ? e : under->link(d, from, to_dir, to);
}

static enum err fault_remove(struct fsio_dir *d, const char *name)
{
	enum err e = fault_in(FAULT_REMOVE, d, name);
	return e ? e : under->remove(d, name);
}

static enum err fault_rmdir(struct fsio_dir *d, const char *name)
{
	enum err e = fault_in(FAULT_RMDIR, d, name);
	return e ? e : under->rmdir(d, name);
}

static enum err fault_stat(struct fsio_dir *d, const char *name, struct fsio_stat *out)
{
	enum err e = fault_in(FAULT_STAT, d, name);
	return e ? e : under->stat(d, name, out);
}

static enum err fault_dir_sync(struct fsio_dir *d)
{
	enum err e = fault_of(FAULT_DIR_SYNC, fsio_dir_path(d));
	return e ? e : under->dir_sync(d);
}

static enum err fault_mkdir(struct fsio_dir *d, const char *name)
{
	enum err e = fault_in(FAULT_MKDIR, d, name);
	return e ? e : under->mkdir(d, name);
}

static enum err fault_free(struct fsio_dir *d, uint64_t *free_bytes, uint64_t *total_bytes)
{
	enum err e = fault_of(FAULT_FREE_BYTES, fsio_dir_path(d));
	if (!e)
		e = under->free_bytes(d, free_bytes, total_bytes);
	pthread_mutex_lock(&lock);
	if (!e && disk_free != UINT64_MAX)
		*free_bytes = disk_free;
	pthread_mutex_unlock(&lock);
	return e;
}

static enum err fault_copy(struct fsio_file *from, struct fsio_file *to, uint64_t len)
{
	enum err e = fault_of(FAULT_WRITE, fsio_file_path(to));
	return e ? e : under->copy(from, to, len);
}

static enum err fault_size(struct fsio_file *f, uint64_t *size)
{
	enum err e = fault_of(FAULT_SIZE, fsio_file_path(f));
	return e ? e : under->size(f, size);
}

static enum err fault_dir_open(struct fsio_dir *d, const char *name, struct fsio_dir **out)
{
	enum err e = fault_in(FAULT_DIR_OPEN, d, name);
	return e ? e : under->dir_open(d, name, out);
}

static enum err fault_dir_each(
    struct fsio_dir *d, enum err (*fn)(void *arg, const char *name), void *arg)
{
	enum err e = fault_of(FAULT_DIR_EACH, fsio_dir_path(d));
	return e ? e : under->dir_each(d, fn, arg);
}

static const struct fsio_ops fault_table = {
	.write_at = fault_write_at,
	.read_at = fault_read_at,
	.sync = fault_sync,
	.write_sync = fault_write_sync,
	.direct = fault_direct,
	.allocate = fault_allocate,
	.truncate = fault_truncate,
	.open = fault_open,
	.rename = fault_rename,
	.link = fault_link,
	.remove = fault_remove,
	.rmdir = fault_rmdir,
	.stat = fault_stat,
	.dir_sync = fault_dir_sync,
	.mkdir = fault_mkdir,
	.free_bytes = fault_free,
	.copy = fault_copy,
	.size = fault_size,
	.dir_open = fault_dir_open,
	.dir_each = fault_dir_each,
};

void fault_start(const struct fsio_ops *below)
{
	under = below ? below : &fsio_real;
	memset(faults, 0, sizeof(faults));
	partial_bytes = 0;
	disk_free = UINT64_MAX;
	within = thread = NULL;
	fsio_hook(&fault_table);
}

void fault_stop(void)
{
	fsio_hook(under == &fsio_real ? NULL : under);
}

void fault_set(enum fault_kind kind, const char *part, uint64_t nth, uint64_t count, enum err err)
{
	pthread_mutex_lock(&lock);
	faults[kind].part = part;
	faults[kind].calls = faults[kind].hits = 0;
	faults[kind].nth = nth;
	faults[kind].count = count;
	faults[kind].err = err;
	faults[kind].errnum = 0;
	pthread_mutex_unlock(&lock);
}

void fault_set_errno(enum fault_kind kind, const char *part, uint64_t nth, uint64_t count, int errnum)
{
	pthread_mutex_lock(&lock);
	faults[kind].part = part;
	faults[kind].calls = faults[kind].hits = 0;
	faults[kind].nth = nth;
	faults[kind].count = count;
	faults[kind].errnum = errnum;
	pthread_mutex_unlock(&lock);
}

void fault_partial(size_t bytes)
{
	pthread_mutex_lock(&lock);
	partial_bytes = bytes;
	pthread_mutex_unlock(&lock);
}

void fault_disk_free(uint64_t free_bytes)
{
	pthread_mutex_lock(&lock);
	disk_free = free_bytes;
	pthread_mutex_unlock(&lock);
}

uint64_t fault_hits(enum fault_kind kind)
{
	pthread_mutex_lock(&lock);
	uint64_t n = faults[kind].hits;
	pthread_mutex_unlock(&lock);
	return n;
}

void fault_within(const char *dir)
{
	pthread_mutex_lock(&lock);
	within = dir;
	pthread_mutex_unlock(&lock);
}

void fault_thread(const char *name)
{
	pthread_mutex_lock(&lock);
	thread = name;
	pthread_mutex_unlock(&lock);
}

uint64_t fault_calls(enum fault_kind kind)
{
	pthread_mutex_lock(&lock);
	uint64_t n = faults[kind].calls;
	pthread_mutex_unlock(&lock);
	return n;
}
