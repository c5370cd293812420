#ifndef _GNU_SOURCE
# define _GNU_SOURCE /* preadv2, fallocate */
#endif
#include "core/base/fsio.h"

#include "core/base/arena.h"
#include "core/base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define IOV_STEP  64 /* pieces per system call */
#define COPY_STEP (1u << 20)
#define COPY_CALL (64u << 20) /* of copy_file_range: a signal does not wait for more */

struct fsio_dir {
	int fd;
	char *path;
	bool through; /* O_PATH: names in it can be opened, and nothing else done */
};
struct fsio_file {
	int fd;
	char *path;
	bool direct;
};

static const struct fsio_ops *ops = &fsio_real;
static _Thread_local struct fsio_use use;

static char *join(const char *dir, const char *name)
{
	size_t a = strlen(dir), b = strlen(name);
	bool slash = a && dir[a - 1] != '/';
	char *p = mem_alloc(a + slash + b + 1);
	memcpy(p, dir, a);
	if (slash)
		p[a] = '/';
	memcpy(p + a + slash, name, b + 1);
	return p;
}

static struct fsio_dir *dir_new(int fd, char *take_path)
{
	struct fsio_dir *d = mem_alloc(sizeof(*d));
	*d = (struct fsio_dir){ .fd = fd, .path = take_path };
	return d;
}

/* One that may not be listed, by its rights or in a sandbox, may still be on the way to another. */
static enum err open_through(int at, const char *name, char *take_path, struct fsio_dir **out)
{
	int fd = openat(at, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		enum err e = err_of_errno(errno);
		mem_free(take_path);
		return e;
	}
	*out = dir_new(fd, take_path);
	(*out)->through = true;
	return ERR_OK;
}

static enum err entry_seen(void *arg, const char *name)
{
	(void)name;
	*(bool *)arg = true;
	return ERR_OK;
}

/*
 * Who made a directory may have died before its name was synced: then nothing is in it yet, for
 * nothing is put into it before. So one that is found empty is synced like a new one. Where the
 * parent cannot be read, it was not made by us.
 */
static enum err name_durable(struct fsio_dir *parent, struct fsio_dir *sub, bool made)
{
	bool any = false;
	if (parent->through)
		return made ? ERR_ACCESS : ERR_OK;
	if (sub->through)
		return ERR_OK;
	enum err e = made ? ERR_OK : ops->dir_each(sub, entry_seen, &any);
	return e || any ? e : ops->dir_sync(parent);
}

/* last: it is what is wanted, not one on the way. */
static enum err sub_open(
    struct fsio_dir *d, const char *name, bool create, bool last, struct fsio_dir **out)
{
	struct fsio_dir *sub;
	enum err e = ops->dir_open(d, name, &sub);
	if (e == ERR_ACCESS && !last)
		e = open_through(d->fd, name, join(d->path, name), &sub);
	bool made = e == ERR_NOTFOUND && create;
	if (made) {
		e = ops->mkdir(d, name);
		if (!e || e == ERR_EXISTS)
			e = ops->dir_open(d, name, &sub);
	}
	if (e)
		return e;
	if (create)
		e = name_durable(d, sub, made);
	if (e) {
		fsio_dir_close(sub);
		return e;
	}
	*out = sub;
	return ERR_OK;
}

enum err fsio_dir_sub(struct fsio_dir *d, const char *name, bool create, struct fsio_dir **out)
{
	return sub_open(d, name, create, true, out);
}

static enum err root_open(const char *root, bool last, struct fsio_dir **out)
{
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == EACCES && !last)
		return open_through(AT_FDCWD, root, join("", root), out);
	if (fd < 0)
		return err_of_errno(errno);
	*out = dir_new(fd, join("", root));
	return ERR_OK;
}

/* Component by component, so that each new directory is made and synced through its parent. */
enum err fsio_dir_open(const char *path, bool create, struct fsio_dir **out)
{
	struct fsio_dir *d;
	enum err e = root_open(path[0] == '/' ? "/" : ".", !path[strspn(path, "./")], &d);
	if (e)
		return e;
	while (!e && *path) {
		size_t n = strcspn(path, "/");
		if (n && !(n == 1 && *path == '.')) {
			char *name = mem_alloc(n + 1);
			memcpy(name, path, n);
			name[n] = 0;
			struct fsio_dir *sub;
			e = sub_open(d, name, create, !path[n + strspn(path + n, "/")], &sub);
			mem_free(name);
			if (!e) {
				fsio_dir_close(d);
				d = sub;
			}
		}
		path += n + (path[n] == '/');
	}
	if (e) {
		fsio_dir_close(d);
		return e;
	}
	*out = d;
	return ERR_OK;
}

void fsio_dir_close(struct fsio_dir *d)
{
	if (!d)
		return;
	close(d->fd);
	mem_free(d->path);
	mem_free(d);
}

const char *fsio_dir_path(const struct fsio_dir *d)
{
	return d->path;
}

int fsio_dir_fd(const struct fsio_dir *d)
{
	return d->fd;
}

const char *fsio_file_path(const struct fsio_file *f)
{
	return f->path;
}

int fsio_file_fd(const struct fsio_file *f)
{
	return f->fd;
}

enum err fsio_dir_sync(struct fsio_dir *d)
{
	return ops->dir_sync(d);
}

struct names {
	char **v;
	size_t count, cap;
};

static int names_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum err names_read(struct fsio_dir *d, struct names *names)
{
	int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_of_errno(errno);
	DIR *dir = fdopendir(fd);
	if (!dir) {
		enum err e = err_of_errno(errno);
		close(fd);
		return e;
	}
	enum err e = ERR_OK;
	for (;;) {
		errno = 0;
		struct dirent *ent = readdir(dir);
		if (!ent) {
			e = errno ? err_of_errno(errno) : ERR_OK;
			break;
		}
		if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
			continue;
		if (names->count == names->cap) {
			names->cap = names->cap ? names->cap * 2 : 64;
			names->v = mem_array(names->v, names->cap, sizeof(*names->v));
		}
		names->v[names->count++] = join("", ent->d_name);
	}
	closedir(dir);
	return e;
}

static enum err real_dir_each(
    struct fsio_dir *d, enum err (*fn)(void *arg, const char *name), void *arg)
{
	struct names names = { 0 };
	enum err e = names_read(d, &names);
	if (names.count)
		qsort(names.v, names.count, sizeof(*names.v), names_cmp);
	for (size_t i = 0; i < names.count; i++) {
		if (!e)
			e = fn(arg, names.v[i]);
		mem_free(names.v[i]);
	}
	mem_free(names.v);
	return e;
}

enum err fsio_dir_each(struct fsio_dir *d, enum err (*fn)(void *arg, const char *name), void *arg)
{
	return ops->dir_each(d, fn, arg);
}

enum err fsio_open(struct fsio_dir *d, const char *name, enum fsio_mode mode, struct fsio_file **out)
{
	return ops->open(d, name, mode, out);
}

void fsio_close(struct fsio_file *f)
{
	if (!f)
		return;
	close(f->fd);
	mem_free(f->path);
	mem_free(f);
}

/* struct iovec has no const */
static struct iovec iov_of(const void *data, size_t len)
{
	union {
		const void *in;
		void *out;
	} p = { .in = data };
	return (struct iovec){ .iov_base = p.out, .iov_len = len };
}

enum err fsio_write_at(struct fsio_file *f, const void *data, size_t len, uint64_t off)
{
	struct iovec v = iov_of(data, len);
	return fsio_writev_at(f, &v, 1, off);
}

enum err fsio_writev_at(struct fsio_file *f, const struct iovec *v, size_t count, uint64_t off)
{
	uint64_t begun_ns = clock_real_mono_ns();
	enum err e = ops->write_at(f, v, count, off);
	use.ns += clock_real_mono_ns() - begun_ns;
	for (size_t i = 0; !e && i < count; i++)
		use.bytes += v[i].iov_len;
	return e;
}

enum err fsio_read_at(struct fsio_file *f, void *data, size_t len, uint64_t off)
{
	return ops->read_at(f, data, len, off, false);
}

enum err fsio_read_nowait(struct fsio_file *f, void *data, size_t len, uint64_t off)
{
	return ops->read_at(f, data, len, off, true);
}

enum err fsio_sync(struct fsio_file *f)
{
	uint64_t begun_ns = clock_real_mono_ns();
	enum err e = ops->sync(f);
	use.ns += clock_real_mono_ns() - begun_ns;
	return e;
}

enum err fsio_write_sync(struct fsio_file *f, const void *data, size_t len, uint64_t off)
{
	uint64_t begun_ns = clock_real_mono_ns();
	enum err e = ops->write_sync(f, data, len, off);
	use.ns += clock_real_mono_ns() - begun_ns;
	use.bytes += e ? 0 : len;
	return e;
}

enum err fsio_direct(struct fsio_file *f, bool on)
{
	return ops->direct(f, on);
}

struct fsio_use fsio_use(void)
{
	return use;
}

enum err fsio_allocate(struct fsio_file *f, uint64_t size)
{
	return ops->allocate(f, size);
}

enum err fsio_truncate(struct fsio_file *f, uint64_t size)
{
	return ops->truncate(f, size);
}

enum err fsio_size(struct fsio_file *f, uint64_t *size)
{
	return ops->size(f, size);
}

enum err fsio_copy(struct fsio_file *from, struct fsio_file *to, uint64_t len)
{
	return ops->copy(from, to, len);
}

enum err fsio_rename(struct fsio_dir *d, const char *from, const char *to)
{
	return ops->rename(d, from, to);
}

enum err fsio_link(struct fsio_dir *d, const char *from, const char *to)
{
	return ops->link(d, from, d, to);
}

enum err fsio_link_to(struct fsio_dir *d, const char *from, struct fsio_dir *to_dir, const char *to)
{
	return ops->link(d, from, to_dir, to);
}

enum err fsio_rmdir(struct fsio_dir *d, const char *name)
{
	return ops->rmdir(d, name);
}

enum err fsio_stat(struct fsio_dir *d, const char *name, struct fsio_stat *out)
{
	return ops->stat(d, name, out);
}

static enum err tree_entry(void *arg, const char *name)
{
	struct fsio_dir *d = arg, *sub;
	struct fsio_stat st;
	enum err e = fsio_stat(d, name, &st);
	if (!e && !st.is_dir) {
		e = fsio_remove(d, name);
	} else if (!e) {
		e = ops->dir_open(d, name, &sub);
		if (!e) {
			e = fsio_dir_each(sub, tree_entry, sub);
			fsio_dir_close(sub);
		}
		if (!e)
			e = fsio_rmdir(d, name);
	}
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

enum err fsio_remove_tree(struct fsio_dir *d, const char *name)
{
	enum err e = tree_entry(d, name);
	return e ? e : fsio_dir_sync(d);
}

enum err fsio_remove(struct fsio_dir *d, const char *name)
{
	return ops->remove(d, name);
}

enum err fsio_free_bytes(struct fsio_dir *d, uint64_t *free_bytes, uint64_t *total_bytes)
{
	return ops->free_bytes(d, free_bytes, total_bytes);
}

enum err fsio_dir_remove(struct fsio_dir *d, const char *name)
{
	return unlinkat(d->fd, name, AT_REMOVEDIR) == 0 ? ERR_OK : err_of_errno(errno);
}

enum err fsio_map(struct fsio_file *f, const uint8_t **data, size_t *len)
{
	uint64_t size = 0;
	enum err e = fsio_size(f, &size);
	if (e)
		return e;
	*data = NULL;
	*len = (size_t)size;
	if (!size)
		return ERR_OK;
	void *p = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, f->fd, 0);
	if (p == MAP_FAILED)
		return err_of_errno(errno);
	*data = p;
	return ERR_OK;
}

void fsio_unmap(const uint8_t *data, size_t len)
{
	union {
		const uint8_t *in;
		void *out;
	} p = { .in = data };
	if (data)
		CHECK(munmap(p.out, len) == 0);
}

enum err fsio_load(struct fsio_dir *d, const char *name, size_t max, uint8_t **data, size_t *len)
{
	struct fsio_file *f;
	enum err e = fsio_open(d, name, FSIO_READ, &f);
	if (e)
		return e;
	uint64_t size = 0;
	uint8_t *p = NULL;
	e = fsio_size(f, &size);
	if (!e && size > max)
		e = ERR_TOOBIG;
	if (!e) {
		p = mem_try((size_t)size + 1); /* a NUL behind, for readers of text */
		e = p ? fsio_read_at(f, p, (size_t)size, 0) : ERR_NOMEM;
	}
	fsio_close(f);
	if (e) {
		mem_free(p);
		return e;
	}
	p[size] = 0;
	*data = p;
	*len = (size_t)size;
	return ERR_OK;
}

/* What fsio_replace writes first is not there; tmp: its name. */
static enum err tmp_remove(struct fsio_dir *d, const char *name, char tmp[NAME_MAX + 1])
{
	int n = snprintf(tmp, NAME_MAX + 1, "%s.tmp", name);
	if (n < 0 || n > NAME_MAX)
		return ERR_TOOBIG;
	enum err e = fsio_remove(d, tmp);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

enum err fsio_replace(struct fsio_dir *d, const char *name, const void *data, size_t len)
{
	char tmp[NAME_MAX + 1];
	enum err e = tmp_remove(d, name, tmp); /* left by a crash */
	if (e)
		return e;
	struct fsio_file *f;
	e = fsio_open(d, tmp, FSIO_CREATE, &f);
	if (e)
		return e;
	e = fsio_write_at(f, data, len, 0);
	if (!e)
		e = fsio_sync(f);
	fsio_close(f);
	if (!e)
		e = fsio_rename(d, tmp, name);
	return e ? e : fsio_dir_sync(d);
}

enum err fsio_replace_undo(struct fsio_dir *d, const char *name)
{
	char tmp[NAME_MAX + 1];
	enum err e = tmp_remove(d, name, tmp);
	if (!e)
		e = fsio_remove(d, name);
	return !e || e == ERR_NOTFOUND ? fsio_dir_sync(d) : e;
}

void fsio_hook(const struct fsio_ops *o)
{
	ops = o ? o : &fsio_real;
}

/* The real ones. */

/*
 * A copy of at most IOV_STEP pieces with the first skip bytes left out; returns how many there are.
 */
static size_t iov_rest(struct iovec *rest, const struct iovec *v, size_t count, size_t skip)
{
	size_t n = 0;
	for (size_t i = 0; i < count && n < IOV_STEP; i++) {
		if (skip >= v[i].iov_len) {
			skip -= v[i].iov_len;
			continue;
		}
		rest[n++] = (struct iovec){ .iov_base = (char *)v[i].iov_base + skip,
			.iov_len = v[i].iov_len - skip };
		skip = 0;
	}
	return n;
}

static enum err real_write_at(struct fsio_file *f, const struct iovec *v, size_t count, uint64_t off)
{
	struct iovec rest[IOV_STEP];
	size_t skip = 0, n; /* bytes of *v already written */
	while ((n = iov_rest(rest, v, count, skip))) {
		ssize_t w = pwritev(f->fd, rest, (int)n, (off_t)off);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return err_of_errno(w < 0 ? errno : EIO);
		off += (uint64_t)w;
		skip += (size_t)w;
		for (; count && skip >= v->iov_len; v++, count--)
			skip -= v->iov_len;
	}
	return ERR_OK;
}

static enum err real_read_at(struct fsio_file *f, void *data, size_t len, uint64_t off, bool nowait)
{
	uint8_t *p = data;
	while (len) {
		struct iovec v = { .iov_base = p, .iov_len = len };
		ssize_t n = nowait ? preadv2(f->fd, &v, 1, (off_t)off, RWF_NOWAIT)
		                   : pread(f->fd, p, len, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && nowait && (errno == EOPNOTSUPP || errno == ENOSYS))
			return ERR_AGAIN; /* this file system cannot tell: let a worker read */
		if (n < 0)
			return err_of_errno(errno);
		if (n == 0)
			return ERR_TRUNCATED;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return ERR_OK;
}

static enum err real_sync(struct fsio_file *f)
{
	return fdatasync(f->fd) == 0 ? ERR_OK : err_note(ERR_SYNC, errno);
}

/* Forced writes of the page cache cost more than a flush behind all of them. */
static enum err real_write_sync(struct fsio_file *f, const void *data, size_t len, uint64_t off)
{
	struct iovec v = iov_of(data, len);
	while (f->direct && v.iov_len) {
		ssize_t n = pwritev2(f->fd, &v, 1, (off_t)off, RWF_DSYNC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
			break;
		if (n <= 0) { /* which of both has failed is not told */
			int why = n < 0 ? errno : EIO;
			return why == ENOSPC ? err_of_errno(why) : err_note(ERR_SYNC, why);
		}
		off += (uint64_t)n;
		v = iov_of((const uint8_t *)v.iov_base + n, v.iov_len - (size_t)n);
	}
	enum err e = v.iov_len ? real_write_at(f, &v, 1, off) : ERR_OK;
	return e || (f->direct && !v.iov_len) ? e : real_sync(f);
}

static enum err real_direct(struct fsio_file *f, bool on)
{
	int flags = fcntl(f->fd, F_GETFL);
	if (flags < 0)
		return err_of_errno(errno);
	if (fcntl(f->fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) == 0) {
		f->direct = on;
		return ERR_OK;
	}
	return errno == EINVAL || errno == EOPNOTSUPP ? ERR_UNSUPPORTED : err_of_errno(errno);
}

static enum err real_allocate(struct fsio_file *f, uint64_t size)
{
	int r;
	do {
		r = posix_fallocate(f->fd, 0, (off_t)size);
	} while (r == EINTR);
	return r ? err_of_errno(r) : ERR_OK;
}

static enum err real_truncate(struct fsio_file *f, uint64_t size)
{
	int r;
	do {
		r = ftruncate(f->fd, (off_t)size);
	} while (r < 0 && errno == EINTR);
	return r ? err_of_errno(errno) : ERR_OK;
}

static enum err real_open(
    struct fsio_dir *d, const char *name, enum fsio_mode mode, struct fsio_file **out)
{
	/* a FIFO in the place of a file does not make us wait for who writes to it */
	int flags = mode == FSIO_READ ? O_RDONLY | O_NONBLOCK
	    : mode == FSIO_WRITE      ? O_RDWR
	                              : O_RDWR | O_CREAT | O_EXCL;
	int fd;
	do {
		fd = openat(d->fd, name, flags | O_CLOEXEC, 0600);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return err_of_errno(errno);
	struct fsio_file *f = mem_alloc(sizeof(*f));
	*f = (struct fsio_file){ .fd = fd, .path = join(d->path, name) };
	*out = f;
	return ERR_OK;
}

/* Block by block, from at on. */
static enum err copy_by_hand(struct fsio_file *from, struct fsio_file *to, uint64_t at, uint64_t len)
{
	enum err e = ERR_OK;
	uint8_t *block = mem_alloc(COPY_STEP);
	while (!e && at < len) {
		size_t n = len - at < COPY_STEP ? (size_t)(len - at) : COPY_STEP;
		e = fsio_read_at(from, block, n, at);
		if (!e)
			e = fsio_write_at(to, block, n, at);
		at += n;
	}
	mem_free(block);
	return e;
}

static enum err real_copy(struct fsio_file *from, struct fsio_file *to, uint64_t len)
{
	off_t in = 0, out = 0;
	while ((uint64_t)in < len) {
		uint64_t left = len - (uint64_t)in;
		size_t step = left < COPY_CALL ? (size_t)left : COPY_CALL;
		ssize_t n = copy_file_range(from->fd, &in, to->fd, &out, step, 0);
		if (n == 0)
			return ERR_TRUNCATED;
		if (n < 0 && errno != EINTR)
			break;
	}
	if ((uint64_t)in == len)
		return ERR_OK;
	if (errno == ENOSPC || errno == EIO || errno == EDQUOT)
		return err_of_errno(errno);
	return copy_by_hand(from, to, (uint64_t)in, len); /* of another file system */
}

static enum err real_rename(struct fsio_dir *d, const char *from, const char *to)
{
	return renameat(d->fd, from, d->fd, to) == 0 ? ERR_OK : err_of_errno(errno);
}

static enum err real_link(
    struct fsio_dir *d, const char *from, struct fsio_dir *to_dir, const char *to)
{
	return linkat(d->fd, from, to_dir->fd, to, 0) == 0 ? ERR_OK : err_of_errno(errno);
}

static enum err real_remove(struct fsio_dir *d, const char *name)
{
	return unlinkat(d->fd, name, 0) == 0 ? ERR_OK : err_of_errno(errno);
}

static enum err real_rmdir(struct fsio_dir *d, const char *name)
{
	return unlinkat(d->fd, name, AT_REMOVEDIR) == 0 ? ERR_OK : err_of_errno(errno);
}

static enum err real_stat(struct fsio_dir *d, const char *name, struct fsio_stat *out)
{
	struct stat st;
	if (fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return err_of_errno(errno);
	*out = (struct fsio_stat){ .size = (uint64_t)st.st_size,
		.inode = st.st_ino,
		.device = st.st_dev,
		.links = st.st_nlink,
		.mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
		.is_dir = S_ISDIR(st.st_mode),
		.is_file = S_ISREG(st.st_mode) };
	return ERR_OK;
}

static enum err real_dir_sync(struct fsio_dir *d)
{
	return fsync(d->fd) == 0 ? ERR_OK : err_note(ERR_SYNC, errno);
}

static enum err real_mkdir(struct fsio_dir *d, const char *name)
{
	return mkdirat(d->fd, name, 0700) == 0 ? ERR_OK : err_of_errno(errno);
}

static enum err real_size(struct fsio_file *f, uint64_t *size)
{
	struct stat st;
	if (fstat(f->fd, &st) != 0)
		return err_of_errno(errno);
	*size = (uint64_t)st.st_size;
	return ERR_OK;
}

static enum err real_dir_open(struct fsio_dir *d, const char *name, struct fsio_dir **out)
{
	int fd = openat(d->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_of_errno(errno);
	*out = dir_new(fd, join(d->path, name));
	return ERR_OK;
}

static enum err real_free_bytes(struct fsio_dir *d, uint64_t *free_bytes, uint64_t *total_bytes)
{
	struct statvfs st;
	if (fstatvfs(d->fd, &st) != 0)
		return err_of_errno(errno);
	*free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
	*total_bytes = (uint64_t)st.f_blocks * st.f_frsize;
	return ERR_OK;
}

const struct fsio_ops fsio_real = {
	.write_at = real_write_at,
	.read_at = real_read_at,
	.sync = real_sync,
	.write_sync = real_write_sync,
	.direct = real_direct,
	.allocate = real_allocate,
	.truncate = real_truncate,
	.open = real_open,
	.rename = real_rename,
	.link = real_link,
	.remove = real_remove,
	.rmdir = real_rmdir,
	.stat = real_stat,
	.dir_sync = real_dir_sync,
	.mkdir = real_mkdir,
	.free_bytes = real_free_bytes,
	.copy = real_copy,
	.size = real_size,
	.dir_open = real_dir_open,
	.dir_each = real_dir_each,
};

enum err fsio_read_fd(int fd, void *data, size_t room, size_t *len)
{
	*len = 0;
	while (*len < room) {
		ssize_t n = read(fd, (uint8_t *)data + *len, room - *len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_of_errno(errno);
		if (!n)
			break;
		*len += (size_t)n;
	}
	return ERR_OK;
}
