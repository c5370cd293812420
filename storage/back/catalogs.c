#include "storage/back/catalogs.h"

#include <stdio.h>

#include "core/base/arena.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "storage/back/feed.h"
#include "storage/store_priv.h"

static bool was_clean(struct store *st)
{
	uint8_t *data;
	size_t len;
	if (fsio_load(st->dir, CATALOGS_CLEAN, 64, &data, &len))
		return false;
	mem_free(data);
	/* Gone, durably, before the environment is touched. */
	return !fsio_remove(st->dir, CATALOGS_CLEAN) && !fsio_dir_sync(st->dir);
}

static enum err remove_one(void *arg, const char *name)
{
	return fsio_remove(arg, name);
}

static enum err set_aside(struct store *st)
{
	struct fsio_dir *old;
	if (!fsio_dir_sub(st->dir, CATALOGS_DAMAGED, false, &old)) {
		enum err e = fsio_dir_each(old, remove_one, old);
		fsio_dir_close(old);
		if (!e)
			e = fsio_remove(st->dir, CATALOGS_DAMAGED);
		if (e)
			return e;
	}
	enum err e = fsio_rename(st->dir, CATALOGS_DIR, CATALOGS_DAMAGED);
	return e ? e : fsio_dir_sync(st->dir);
}

static enum err open_and_catch_up(struct store *st, const char *path, struct errbuf *eb)
{
	enum err e = catalog_open(path, st->manifest.shards, &st->catalog, eb);
	for (unsigned i = 0; !e && i < st->manifest.shards; i++)
		e = feed_recover(st->shards[i], eb);
	if (e && st->catalog) {
		catalog_close(st->catalog);
		st->catalog = NULL;
	}
	return e;
}

enum err catalogs_open(struct store *st, struct errbuf *eb)
{
	char path[4096];
	struct errbuf why;
	errbuf_init(&why);
	snprintf(path, sizeof(path), "%s/%s", fsio_dir_path(st->dir), CATALOGS_DIR);
	enum err e = was_clean(st) ? ERR_OK : catalog_check(path, &why);
	if (e == ERR_NOTFOUND)
		e = ERR_OK;
	if (!e)
		e = open_and_catch_up(st, path, &why);
	if (!e)
		return ERR_OK;
	if (e != ERR_DAMAGED && e != ERR_UNSUPPORTED)
		return errbuf_set(eb, e, "catalog: %s", why.text[0] ? why.text : err_text(e));
	LOG_ERROR("catalog_damaged", "path=%s text=\"%s\" then=rebuild", path, why.text);
	metric_add(M_CATALOG_REBUILT, 1);
	e = set_aside(st);
	if (e)
		return errbuf_set(
		    eb, e, "the damaged catalog cannot be renamed to %s", CATALOGS_DAMAGED);
	return open_and_catch_up(st, path, eb);
}

void catalogs_close(struct store *st)
{
	if (!st->catalog)
		return;
	catalog_close(st->catalog);
	st->catalog = NULL;
	if (fsio_replace(st->dir, CATALOGS_CLEAN, "clean\n", 6))
		LOG_WARN(
		    "clean_mark_not_written", "then=\"the catalog is checked at the next start\"");
}
