#include "storage/back/catalogs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "storage/back/back.h"
#include "storage/back/feed.h"
#include "storage/store_priv.h"

#define CLEAN_MAX   64u
#define CLEAN_PIECE (1u << 20)

/*
 * What CLEAN says: size and checksum of the environment as it was left. LMDB itself believes every
 * page it meets, so that one changed bit could end the process.
 */
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
		if (store_is_stopped(st)) {
			e = ERR_STOPPING;
			break;
		}
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

/* Takes the place of an older one, which is emptied for that. */
static enum err set_aside(struct store *st)
{
	struct fsio_dir *old;
	enum err e = fsio_dir_sub(st->dir, CATALOGS_DAMAGED, false, &old);
	if (!e) {
		e = fsio_dir_each(old, remove_one, old);
		fsio_dir_close(old);
	}
	if (!e || e == ERR_NOTFOUND)
		e = fsio_rename(st->dir, CATALOGS_DIR, CATALOGS_DAMAGED);
	return !e || e == ERR_NOTFOUND ? fsio_dir_sync(st->dir) : e;
}

static enum err catch_up(struct store *st, struct errbuf *eb)
{
	enum err e = ERR_OK;
	for (unsigned i = 0; !e && i < st->manifest.shards; i++)
		e = feed_recover(st->shards[i], eb);
	return e;
}

static void let_go(struct store *st)
{
	catalog_close(st->catalog);
	st->catalog = NULL;
}

/* Damage was met while a process ran: a walk may find nothing wrong, the record that misled it is
 * whole. */
static bool was_damaged(struct store *st)
{
	uint8_t *data;
	size_t len;
	enum err e = fsio_load(st->dir, CATALOGS_TOLD, CLEAN_MAX, &data, &len);
	if (!e)
		mem_free(data);
	return e != ERR_NOTFOUND;
}

/* ERR_DAMAGED: it has to be rebuilt. What the disk does not give is as lost as what it gives
 * wrongly. */
static enum err open_old(struct store *st, const char *path, struct errbuf *why)
{
	if (was_damaged(st))
		return errbuf_set(why, ERR_DAMAGED, "damage was met while the last process ran");
	enum err e =
	    was_clean(st) ? ERR_OK : catalog_check(path, st->opts.stop, st->opts.stop_arg, why);
	if (!e || e == ERR_NOTFOUND)
		e = catalog_open(path, st->manifest.shards, st->manifest.seed, &st->catalog, why);
	return e == ERR_IO ? ERR_DAMAGED : e;
}

static enum err rebuild(struct store *st, const char *path, const char *why, struct errbuf *eb)
{
	LOG_ERROR("catalog_damaged", "path=%s text=\"%s\" then=rebuild", path, why);
	metric_add(M_CATALOG_REBUILT, 1);
	enum err e = set_aside(st);
	if (!e) {
		e = fsio_remove(st->dir, CATALOGS_TOLD);
		e = e == ERR_NOTFOUND ? ERR_OK : e;
	}
	if (!e)
		e = fsio_dir_sync(st->dir);
	if (e)
		return errbuf_set(eb, e, "the damaged catalog cannot be renamed to %s: %s",
		    CATALOGS_DAMAGED, err_why(e));
	e = catalog_open(path, st->manifest.shards, st->manifest.seed, &st->catalog, eb);
	return e ? e : catch_up(st, eb);
}

enum err catalogs_open(struct store *st, struct errbuf *eb)
{
	char path[4096];
	struct errbuf why;
	errbuf_init(&why);
	snprintf(path, sizeof(path), "%s/%s", fsio_dir_path(st->dir), CATALOGS_DIR);
	enum err e = open_old(st, path, &why);
	if (!e)
		e = catch_up(st, &why);
	if (e == ERR_DAMAGED) {
		if (st->catalog)
			let_go(st);
		e = rebuild(st, path, why.text, eb);
	} else if (e) {
		errbuf_set(eb, e, "%s", why.text[0] ? why.text : err_why(e));
	}
	if (e && st->catalog)
		let_go(st);
	return e;
}

/* ---- while the store runs ---- */

static void told_write(struct store *st)
{
	static const char text[] = "rebuild\n";
	if (st->catalog_told || !catalog_is_damaged(st->catalog))
		return;
	enum err e = fsio_replace(st->dir, CATALOGS_TOLD, text, sizeof(text) - 1);
	if (e) { /* tried again with the next look, and at the end */
		LOG_WARN("catalog_damaged", "err=\"%s\" file=%s", err_why(e), CATALOGS_TOLD);
		return;
	}
	st->catalog_told = true;
	LOG_ERROR("catalog_damaged", "then=\"it is rebuilt at the next start\"");
}

static void look_run(struct work_task *t)
{
	struct store *st = CONTAINER_OF(t, struct store, catalog_task);
	struct errbuf why;
	errbuf_init(&why);
	enum err e = catalog_sweep_readers(st->catalog, &why);
	if (e)
		LOG_EVERY(LOG_LEVEL_WARN, "catalog_not_swept", "err=%s text=\"%s\"", err_text(e),
		    why.text);
	told_write(st);
	st->catalog_bytes = catalog_disk_bytes(st->catalog);
}

/* On loop 0, as all gauges that are set: each thread has a share of its own in them. */
static void show(const struct store *st)
{
	metric_gauge_set(M_CATALOG_DAMAGED, catalog_is_damaged(st->catalog));
	metric_gauge_set(M_BYTES_CATALOG, (int64_t)st->catalog_bytes);
}

static void look_done(struct work_task *t)
{
	struct store *st = CONTAINER_OF(t, struct store, catalog_task);
	st->catalog_busy = false;
	if (st->catalog_closing)
		return;
	show(st);
	loop_timer_set(st->shares[0]->loop, &st->catalog_timer, CATALOGS_LOOK_MS);
}

static void look_tick(struct loop_timer *t)
{
	struct store *st = CONTAINER_OF(t, struct store, catalog_timer);
	st->catalog_busy = true;
	st->catalog_task = (struct work_task){
		.run = look_run, .done = look_done, .lane = BACK_LANE_CATALOG, .prio = WORK_BACKGROUND
	};
	work_submit(st->opts.pool, &st->catalog_task);
}

void catalogs_watch(struct store *st)
{
	loop_timer_init(&st->catalog_timer, look_tick);
	look_tick(&st->catalog_timer);
}

void catalogs_unwatch(struct store *st)
{
	st->catalog_closing = true;
	metric_gauge_set(M_CATALOG_DAMAGED, 0);
	metric_gauge_set(M_BYTES_CATALOG, 0);
	loop_timer_cancel(st->shares[0]->loop, &st->catalog_timer);
}

void catalogs_close(struct store *st)
{
	char mark[CLEAN_MAX];
	if (!st->catalog)
		return;
	bool damaged = catalog_is_damaged(st->catalog);
	told_write(st);
	let_go(st);
	if (damaged)
		return;
	enum err e = clean_mark(st, mark);
	if (!e)
		e = fsio_replace(st->dir, CATALOGS_CLEAN, mark, strlen(mark));
	if (e && e != ERR_STOPPING)
		LOG_WARN("clean_mark_not_written",
		    "err=\"%s\" then=\"the catalog is checked at the next start\"", err_why(e));
}
