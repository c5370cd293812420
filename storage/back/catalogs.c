#include "storage/back/catalogs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "storage/back/feed.h"
#include "storage/store_priv.h"

#define CLEAN_MAX   64u
#define CLEAN_PIECE (1u << 20)

/* What CLEAN says: size and checksum of the environment as it was left. LMDB itself believes every page it meets, so that one changed bit could end the process. */
static enum err clean_mark(struct store *st, char out[CLEAN_MAX])
{
	struct fsio_dir *d;
	struct fsio_file *f = NULL;
	uint64_t size = 0;
	uint32_t crc = 0;
	enum err e = fsio_dir_sub(st->dir, CATALOGS_DIR, false, &d);
	if (e)
		return e;
	e = fsio_open(d, "data.mdb", FSIO_READ, &f);
	if (!e)
		e = fsio_size(f, &size);
	uint8_t *piece = mem_alloc(CLEAN_PIECE);
	for (uint64_t at = 0; !e && at < size; at += CLEAN_PIECE) {
		size_t n = size - at < CLEAN_PIECE ? (size_t)(size - at) : CLEAN_PIECE;
		e = fsio_read_at(f, piece, n, at);
		crc = e ? crc : crc32c(crc, piece, n);
	}
	mem_free(piece);
	fsio_close(f);
	fsio_dir_close(d);
	snprintf(out, CLEAN_MAX, "clean %" PRIu64 " %08" PRIx32 "\n", size, crc);
	return e;
}

static bool was_clean(struct store *st)
{
	uint8_t *data;
	size_t len;
	char now[CLEAN_MAX];
	if (fsio_load(st->dir, CATALOGS_CLEAN, CLEAN_MAX, &data, &len))
		return false;
	bool same = !clean_mark(st, now) && len == strlen(now) && memcmp(data, now, len) == 0;
	mem_free(data);
	/* Gone, durably, before the environment is touched. */
	return !fsio_remove(st->dir, CATALOGS_CLEAN) && !fsio_dir_sync(st->dir) && same;
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
	char mark[CLEAN_MAX];
	if (clean_mark(st, mark) || fsio_replace(st->dir, CATALOGS_CLEAN, mark, strlen(mark)))
		LOG_WARN(
		    "clean_mark_not_written", "then=\"the catalog is checked at the next start\"");
}
