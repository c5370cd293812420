#include "net/ctl/backtarget.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "storage/manifest.h"

#define TMP_NAME "new.tmp"
#define DIRS_MAX 1024u /* that are synced together */

struct dir_target {
	struct backtarget t;
	struct fsio_dir *top;
	struct fsio_file *lock;
	char path[PATH_MAX];
	/* names were made in them since the last flush */
	char dirs[DIRS_MAX][64];
	size_t dirs_count;
};
#define DIR_OF(x) CONTAINER_OF(x, struct dir_target, t)

enum err backtarget_walk(
    struct fsio_dir *top, const char *path, bool create, struct fsio_dir **dir, const char **name)
{
	const char *slash = strrchr(path, '/');
	struct fsio_dir *at = NULL;
	*name = slash ? slash + 1 : path;
	enum err e = fsio_dir_sub(top, ".", false, &at);
	for (const char *p = path; !e && p < *name;) {
		char part[NAME_MAX + 1];
		struct fsio_dir *below;
		size_t n = strcspn(p, "/");
		if (n > NAME_MAX)
			n = NAME_MAX;
		memcpy(part, p, n);
		part[n] = 0;
		e = fsio_dir_sub(at, part, create, &below);
		fsio_dir_close(at);
		at = e ? NULL : below;
		p += n + 1;
	}
	*dir = at;
	return e;
}

/* The directory of a key, and what is behind its last slash. */
static enum err dir_of(struct dir_target *d, const char *key, bool create, struct fsio_dir **dir,
    const char **name, size_t *dir_len)
{
	const char *slash = strrchr(key, '/');
	*dir_len = slash ? (size_t)(slash - key) : 0;
	return backtarget_walk(d->top, key, create, dir, name);
}

static enum err flush(struct backtarget *t)
{
	struct dir_target *d = DIR_OF(t);
	enum err e = ERR_OK;
	for (size_t i = 0; !e && i < d->dirs_count; i++) {
		struct fsio_dir *dir;
		e = d->dirs[i][0] ? fsio_dir_sub(d->top, d->dirs[i], false, &dir)
		                  : fsio_dir_sub(d->top, ".", false, &dir);
		if (e)
			break;
		e = fsio_dir_sync(dir);
		fsio_dir_close(dir);
	}
	if (!e)
		d->dirs_count = 0;
	return e;
}

static enum err touched(struct dir_target *d, const char *key, size_t dir_len)
{
	if (dir_len >= sizeof(d->dirs[0]))
		return ERR_TOOBIG;
	for (size_t i = 0; i < d->dirs_count; i++)
		if (strlen(d->dirs[i]) == dir_len && memcmp(d->dirs[i], key, dir_len) == 0)
			return ERR_OK;
	if (d->dirs_count == DIRS_MAX) {
		enum err e = flush(&d->t);
		if (e)
			return e;
	}
	memcpy(d->dirs[d->dirs_count], key, dir_len);
	d->dirs[d->dirs_count++][dir_len] = 0;
	return ERR_OK;
}

static enum err put_any(
    struct backtarget *t, const char *key, const void *data, struct fsio_file *from, uint64_t len)
{
	struct dir_target *d = DIR_OF(t);
	struct fsio_dir *dir;
	struct fsio_file *f = NULL;
	const char *name;
	size_t dir_len;
	enum err e = dir_of(d, key, true, &dir, &name, &dir_len);
	if (e)
		return e;
	e = fsio_remove(dir, TMP_NAME);
	if (!e || e == ERR_NOTFOUND)
		e = fsio_open(dir, TMP_NAME, FSIO_CREATE, &f);
	if (!e)
		e = from ? fsio_copy(from, f, len) : fsio_write_at(f, data, (size_t)len, 0);
	if (!e)
		e = fsio_sync(f);
	fsio_close(f);
	if (!e)
		e = fsio_rename(dir, TMP_NAME, name);
	else
		(void)!fsio_remove(dir, TMP_NAME);
	fsio_dir_close(dir);
	return e ? e : touched(d, key, dir_len);
}

static enum err put(struct backtarget *t, const char *key, const void *data, size_t len)
{
	return put_any(t, key, data, NULL, len);
}

static enum err put_file(struct backtarget *t, const char *key, struct fsio_file *from, uint64_t len)
{
	return put_any(t, key, NULL, from, len);
}

static enum err get(struct backtarget *t, const char *key, void *data, size_t len, uint64_t off)
{
	struct fsio_file *f;
	enum err e = fsio_open(DIR_OF(t)->top, key, FSIO_READ, &f);
	if (e)
		return e;
	e = fsio_read_at(f, data, len, off);
	fsio_close(f);
	return e;
}

static enum err size(struct backtarget *t, const char *key, uint64_t *bytes)
{
	struct fsio_stat st;
	enum err e = fsio_stat(DIR_OF(t)->top, key, &st);
	if (!e && !st.is_file) /* a pipe would be waited for, a device has no end */
		e = ERR_DAMAGED;
	if (!e)
		*bytes = st.size;
	return e;
}

struct listing {
	struct fsio_dir *dir;
	char prefix[PATH_MAX];
	enum err (*fn)(void *arg, const char *key, uint64_t bytes);
	void *arg;
};

static enum err list_name(void *arg, const char *name)
{
	struct listing *l = arg;
	struct fsio_stat st;
	/* The file system's own, at the top of one, is root's alone. */
	if (fsio_stat(l->dir, name, &st) || (!l->prefix[0] && strcmp(name, "lost+found") == 0))
		return ERR_OK;
	size_t len = strlen(l->prefix);
	if (len + strlen(name) + 2 > sizeof(l->prefix))
		return ERR_TOOBIG;
	enum err e;
	memcpy(l->prefix + len, name, strlen(name) + 1);
	if (!st.is_dir && !st.is_file) {
		e = ERR_OK;
	} else if (st.is_file) {
		e = l->fn(l->arg, l->prefix, st.size);
	} else {
		struct fsio_dir *up = l->dir;
		memcpy(l->prefix + len + strlen(name), "/", 2);
		e = fsio_dir_sub(up, name, false, &l->dir);
		if (!e) {
			e = fsio_dir_each(l->dir, list_name, l);
			fsio_dir_close(l->dir);
		}
		l->dir = up;
	}
	l->prefix[len] = 0;
	return e;
}

static enum err list(struct backtarget *t, const char *prefix,
    enum err (*fn)(void *arg, const char *key, uint64_t bytes), void *arg)
{
	struct listing l = { .fn = fn, .arg = arg };
	const char *name;
	size_t len;
	enum err e = dir_of(DIR_OF(t), prefix, false, &l.dir, &name, &len);
	if (e)
		return e == ERR_NOTFOUND ? ERR_OK : e;
	(void)snprintf(l.prefix, sizeof(l.prefix), "%s", prefix);
	e = fsio_dir_each(l.dir, list_name, &l);
	fsio_dir_close(l.dir);
	return e;
}

static enum err del(struct backtarget *t, const char *key)
{
	const char *slash = strrchr(key, '/');
	enum err e = fsio_remove(DIR_OF(t)->top, key);
	if (e)
		return e == ERR_NOTFOUND ? ERR_OK : e;
	return touched(DIR_OF(t), key, slash ? (size_t)(slash - key) : 0);
}

static void close_it(struct backtarget *t)
{
	struct dir_target *d = DIR_OF(t);
	if (d->lock)
		manifest_unlock(d->lock);
	fsio_dir_close(d->top);
	mem_free(d);
}

static const struct backtarget_ops ops = { .put = put,
	.put_file = put_file,
	.get = get,
	.size = size,
	.list = list,
	.del = del,
	.flush = flush,
	.close = close_it };

enum err backtarget_dir(const char *path, bool create, struct backtarget **out, struct errbuf *eb)
{
	struct dir_target *d = mem_zalloc(sizeof(*d));
	d->t.ops = &ops;
	d->t.path = d->path;
	(void)snprintf(d->path, sizeof(d->path), "%s", path);
	enum err e = fsio_dir_open(path, create, &d->top);
	if (e) {
		mem_free(d);
		return errbuf_set(eb, e, "%s: %s", path, err_why(e));
	}
	e = manifest_lock(d->top, &d->lock, eb);
	if (e == ERR_ACCESS && !create) { /* to be read only */
		errbuf_init(eb);
		e = manifest_lock_read(d->top, &d->lock, eb);
	}
	if (e) {
		close_it(&d->t);
		return e;
	}
	*out = &d->t;
	return ERR_OK;
}
