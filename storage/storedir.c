#include "storage/storedir.h"

#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "storage/asidebook.h"
#include "storage/wal/walseg.h"

static const char *const manifests[] = { "MANIFEST.a", "MANIFEST.b" };
static const struct {
	const char *name;
	enum storedir_kind kind;
} tops[] = {
	{ "TENANTS.a", STOREDIR_TENANTS },
	{ "TENANTS.b", STOREDIR_TENANTS },
	{ "METADATA", STOREDIR_METADATA },
	{ "CARDINALITY", STOREDIR_MARKS },
	{ ASIDEBOOK_NAME, STOREDIR_BOOK },
};

struct walk {
	struct storedir *d;
	enum err (*fn)(void *arg, const struct storedir_item *item);
	void *arg;
	struct storedir_item item;
	char path[256];
	const char *below; /* "log/" */
	struct errbuf *eb;
	const struct files *list;
	size_t at; /* of its entries: those come first, in their order */
};

static enum err manifest_read(struct fsio_dir *d, struct manifest *out)
{
	enum err first = ERR_NOTFOUND;
	for (size_t i = 0; i < COUNT_OF(manifests); i++) {
		uint8_t *data;
		size_t len;
		enum err e = fsio_load(d, manifests[i], 4096, &data, &len);
		if (!e) {
			e = len == MANIFEST_BYTES ? manifest_get(data, out) : ERR_DAMAGED;
			mem_free(data);
		}
		if (!e)
			return ERR_OK;
		if (first == ERR_NOTFOUND)
			first = e;
	}
	return first;
}

enum err storedir_open(const char *path, bool lock, struct storedir *out, struct errbuf *eb)
{
	struct storedir d = { 0 };
	enum err e = fsio_dir_open(path, false, &d.dir);
	if (e)
		return errbuf_set(eb, e, "%s: %s", path, err_why(e));
	e = manifest_restored(d.dir, eb);
	if (!e) {
		e = manifest_read(d.dir, &d.manifest);
		if (e == ERR_NOTFOUND)
			(void)errbuf_set(eb, e, "%s is no data directory: it has no MANIFEST", path);
		else if (e)
			(void)errbuf_set(eb, e, "%s: MANIFEST: %s", path, err_text(e));
	}
	if (!e && lock) {
		e = manifest_lock(d.dir, &d.lock, eb);
		if (e == ERR_ACCESS || e == ERR_NOSPACE) {
			errbuf_init(eb);
			e = manifest_lock_read(d.dir, &d.lock, eb);
		}
	}
	if (e) {
		fsio_dir_close(d.dir);
		return e;
	}
	*out = d;
	return ERR_OK;
}

void storedir_close(struct storedir *d)
{
	if (d->lock)
		manifest_unlock(d->lock);
	fsio_dir_close(d->dir);
	*d = (struct storedir){ 0 };
}

/* dir, name, kind of the item are set by the caller. */
static enum err tell(struct walk *w, const char *name)
{
	struct storedir_item *i = &w->item;
	(void)snprintf(w->path, sizeof(w->path), "%s%s", w->below, name);
	i->path = w->path;
	i->name = name;
	i->stat = (struct fsio_stat){ 0 };
	i->err = fsio_stat(i->dir, name, &i->stat);
	return w->fn(w->arg, i);
}

static enum err tell_if_there(struct walk *w, const char *name)
{
	struct fsio_stat st;
	return fsio_stat(w->item.dir, name, &st) == ERR_NOTFOUND ? ERR_OK : tell(w, name);
}

/* Both copies of its head are zero: nobody needs it. */
static bool is_spare(struct fsio_dir *d, const char *name)
{
	uint8_t head[WALSEG_HEAD_COPY + WALSEG_HEAD_BYTES];
	struct fsio_file *f;
	if (fsio_open(d, name, FSIO_READ, &f))
		return false;
	enum err e = fsio_read_at(f, head, sizeof(head), 0);
	fsio_close(f);
	bool zero = !e;
	for (size_t i = 0; zero && i < WALSEG_HEAD_BYTES; i++)
		zero = !head[i] && !head[WALSEG_HEAD_COPY + i];
	return zero;
}

static enum err log_name(void *arg, const char *name)
{
	struct walk *w = arg;
	uint32_t slot;
	enum walseg_aside why;
	if (walseg_name_parse(name, &slot)) {
		w->item.kind = STOREDIR_SEGMENT;
		return is_spare(w->item.dir, name) ? ERR_OK : tell(w, name);
	}
	if (!walseg_aside_parse(name, &slot, &why) || why == WALSEG_DAMAGED)
		return ERR_OK;
	w->item.kind = STOREDIR_ASIDE;
	return tell(w, name);
}

static enum err listed(void *arg, const char *name)
{
	struct walk *w = arg;
	const struct files *fs = w->list;
	w->item.kind = STOREDIR_FILE;
	w->item.entry = NULL;
	if (w->at < fs->count && strcmp(fs->entries[w->at].name, name) == 0)
		w->item.entry = &fs->entries[w->at++];
	enum err e = tell(w, name);
	w->item.entry = NULL;
	return e;
}

static enum err shard_walk(struct walk *w, struct files *fs)
{
	w->list = fs;
	w->at = 0;
	enum err e = files_names(fs, listed, w);
	w->item.kind = STOREDIR_LIST;
	return e ? e : tell(w, FILES_NAME);
}

static enum err list_read(struct walk *w, struct files *fs, struct errbuf *eb)
{
	uint8_t *text;
	size_t len;
	enum err e = fsio_load(w->item.dir, FILES_NAME, FILES_SIZE_MAX, &text, &len);
	if (e)
		return errbuf_set(eb, e, "FILES: %s", err_why(e));
	e = files_parse(text, len, fs, eb);
	mem_free(text);
	return e;
}

static enum err shards_walk(
    struct walk *w, void (*left)(void *arg, unsigned shard, enum err err, const char *why))
{
	struct fsio_dir *shards;
	enum err e = fsio_dir_sub(w->d->dir, "shards", false, &shards);
	if (e)
		return e == ERR_NOTFOUND ? ERR_OK : errbuf_set(w->eb, e, "shards: %s", err_why(e));
	for (unsigned i = 0; !e && i < w->d->manifest.shards; i++) {
		char name[16], below[32];
		struct files fs;
		struct errbuf why;
		errbuf_init(&why);
		(void)snprintf(name, sizeof(name), "%02u", i);
		(void)snprintf(below, sizeof(below), "shards/%s/", name);
		w->below = below;
		w->item.shard = i;
		e = fsio_dir_sub(shards, name, false, &w->item.dir);
		if (e) {
			(void)errbuf_set(&why, e, "shards/%s: %s", name, err_why(e));
		} else {
			e = list_read(w, &fs, &why);
			if (!e) {
				enum err told = shard_walk(w, &fs);
				files_release(&fs);
				fsio_dir_close(w->item.dir);
				if (told) {
					fsio_dir_close(shards);
					return told;
				}
				continue;
			}
			fsio_dir_close(w->item.dir);
		}
		if (left) {
			left(w->arg, i, e, why.text);
			e = ERR_OK;
		} else {
			(void)errbuf_set(w->eb, e, "shard %u: %s", i, why.text);
		}
	}
	fsio_dir_close(shards);
	return e;
}

enum err storedir_each(struct storedir *d,
    enum err (*fn)(void *arg, const struct storedir_item *item),
    void (*left)(void *arg, unsigned shard, enum err err, const char *why), void *arg,
    struct errbuf *eb)
{
	struct walk w = { .d = d, .fn = fn, .arg = arg, .eb = eb };
	enum err e = shards_walk(&w, left);
	struct fsio_dir *log = NULL;
	if (!e) {
		e = fsio_dir_sub(d->dir, "log", false, &log);
		w.below = "log/";
		w.item = (struct storedir_item){ .dir = log };
		if (!e)
			e = fsio_dir_each(log, log_name, &w);
		else if (e == ERR_NOTFOUND)
			e = ERR_OK;
		if (log)
			fsio_dir_close(log);
	}
	w.below = "";
	w.item = (struct storedir_item){ .dir = d->dir };
	for (size_t i = 0; !e && i < COUNT_OF(tops); i++) {
		w.item.kind = tops[i].kind;
		e = tell_if_there(&w, tops[i].name);
	}
	w.item.kind = STOREDIR_MANIFEST;
	for (size_t i = 0; !e && i < COUNT_OF(manifests); i++)
		e = tell_if_there(&w, manifests[i]);
	return e;
}
