#include "storage/back/catalogs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "storage/back/back.h"
#include "storage/back/feed.h"

#define CLEAN_MAX   64u
#define CLEAN_PIECE (1u << 20)

/*
 * What CLEAN says: size and checksum of the environment as it was left. LMDB itself believes every
 * page it meets, so that one changed bit could end the process.
 */
static enum err clean_mark(struct catalogs *c, char out[CLEAN_MAX])
{
	struct fsio_dir *d;
	struct fsio_file *f = NULL;
	uint64_t size = 0;
	uint32_t crc = 0;
	enum err e = fsio_dir_sub(c->dir, CATALOGS_DIR, false, &d);
	if (e)
		return e;
	e = fsio_open(d, "data.mdb", FSIO_READ, &f);
	if (!e)
		e = fsio_size(f, &size);
	uint8_t *piece = mem_alloc(CLEAN_PIECE);
	for (uint64_t at = 0; !e && at < size; at += CLEAN_PIECE) {
		if (stopping_told(&c->stop)) {
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

static bool was_clean(struct catalogs *c)
{
	uint8_t *data;
	size_t len;
	char now[CLEAN_MAX];
	if (fsio_load(c->dir, CATALOGS_CLEAN, CLEAN_MAX, &data, &len))
		return false;
	bool same = !clean_mark(c, now) && len == strlen(now) && memcmp(data, now, len) == 0;
	mem_free(data);
	/* Gone, durably, before the environment is touched. */
	return !fsio_remove(c->dir, CATALOGS_CLEAN) && !fsio_dir_sync(c->dir) && same;
}

static enum err remove_one(void *arg, const char *name)
{
	return fsio_remove(arg, name);
}

/* Takes the place of an older one, which is emptied for that. */
static enum err set_aside(struct catalogs *c)
{
	struct fsio_dir *old;
	enum err e = fsio_dir_sub(c->dir, CATALOGS_DAMAGED, false, &old);
	if (!e) {
		e = fsio_dir_each(old, remove_one, old);
		fsio_dir_close(old);
	}
	if (!e || e == ERR_NOTFOUND)
		e = fsio_rename(c->dir, CATALOGS_DIR, CATALOGS_DAMAGED);
	return !e || e == ERR_NOTFOUND ? fsio_dir_sync(c->dir) : e;
}

static enum err catch_up(struct catalogs *c, struct errbuf *eb)
{
	enum err e = ERR_OK;
	for (unsigned i = 0; !e && i < c->shards_count; i++)
		e = feed_recover(c->shards[i], &c->stop, eb);
	return e;
}

static void give(struct catalogs *c, struct catalog *catalog)
{
	c->catalog = catalog;
	for (unsigned i = 0; i < c->shards_count; i++)
		c->shards[i]->catalog = catalog;
}

static enum err open_it(struct catalogs *c, const char *path, struct errbuf *eb)
{
	struct catalog *catalog;
	enum err e = catalog_open(path, c->shards_count, c->seed, &catalog, eb);
	if (!e)
		give(c, catalog);
	return e;
}

static void let_go(struct catalogs *c)
{
	catalog_close(c->catalog);
	give(c, NULL);
}

/* Damage was met while a process ran: a walk may find nothing wrong, the record that misled it is
 * whole. */
static bool was_damaged(struct catalogs *c)
{
	uint8_t *data;
	size_t len;
	enum err e = fsio_load(c->dir, CATALOGS_TOLD, CLEAN_MAX, &data, &len);
	if (!e)
		mem_free(data);
	return e != ERR_NOTFOUND;
}

/* ERR_DAMAGED: it has to be rebuilt. What the disk does not give is as lost as what it gives
 * wrongly. */
static enum err open_old(struct catalogs *c, const char *path, struct errbuf *why)
{
	if (was_damaged(c))
		return errbuf_set(why, ERR_DAMAGED, "damage was met while the last process ran");
	enum err e = was_clean(c) ? ERR_OK : catalog_check(path, c->stop.told, c->stop.arg, why);
	if (!e || e == ERR_NOTFOUND)
		e = open_it(c, path, why);
	return e == ERR_IO ? ERR_DAMAGED : e;
}

static enum err rebuild(struct catalogs *c, const char *path, const char *why, struct errbuf *eb)
{
	LOG_ERROR("catalog_damaged", "path=%s text=\"%s\" then=rebuild", path, why);
	metric_add(M_CATALOG_REBUILT, 1);
	enum err e = set_aside(c);
	if (!e) {
		e = fsio_remove(c->dir, CATALOGS_TOLD);
		e = e == ERR_NOTFOUND ? ERR_OK : e;
	}
	if (!e)
		e = fsio_dir_sync(c->dir);
	if (e)
		return errbuf_set(eb, e, "the damaged catalog cannot be renamed to %s: %s",
		    CATALOGS_DAMAGED, err_why(e));
	e = open_it(c, path, eb);
	return e ? e : catch_up(c, eb);
}

enum err catalogs_open(struct catalogs *c, struct errbuf *eb)
{
	char path[4096];
	struct errbuf why;
	errbuf_init(&why);
	snprintf(path, sizeof(path), "%s/%s", fsio_dir_path(c->dir), CATALOGS_DIR);
	enum err e = open_old(c, path, &why);
	if (!e)
		e = catch_up(c, &why);
	if (e == ERR_DAMAGED) {
		if (c->catalog)
			let_go(c);
		e = rebuild(c, path, why.text, eb);
	} else if (e) {
		errbuf_set(eb, e, "%s", why.text[0] ? why.text : err_why(e));
	}
	if (e && c->catalog)
		let_go(c);
	return e;
}

/* ---- while the store runs ---- */

static void told_write(struct catalogs *c)
{
	static const char text[] = "rebuild\n";
	if (c->told || !catalog_is_damaged(c->catalog))
		return;
	enum err e = fsio_replace(c->dir, CATALOGS_TOLD, text, sizeof(text) - 1);
	if (e) { /* tried again with the next look, and at the end */
		LOG_WARN("catalog_damaged", "err=\"%s\" file=%s", err_why(e), CATALOGS_TOLD);
		return;
	}
	c->told = true;
}

/* The old one aside, an empty directory in its place. */
static enum err make_room(void *arg)
{
	struct catalogs *c = arg;
	struct fsio_dir *d;
	enum err e = set_aside(c);
	if (!e || e == ERR_NOTFOUND)
		e = fsio_dir_sub(c->dir, CATALOGS_DIR, true, &d);
	if (e)
		return e;
	fsio_dir_close(d);
	e = fsio_remove(c->dir, CATALOGS_TOLD);
	if (!e || e == ERR_NOTFOUND)
		e = fsio_dir_sync(c->dir);
	return e;
}

/*
 * Damage was met: an empty one takes its place, the shards fill it (rebuild.c). Not again and again
 * on a disk that spoils what it is given.
 */
static void renew(struct catalogs *c)
{
	struct errbuf why;
	errbuf_init(&why);
	uint64_t now_ns = clock_mono_ns();
	told_write(c);
	if (now_ns < c->renew_not_before_ns)
		return;
	c->renew_not_before_ns = now_ns + CATALOGS_LOOK_MS * 1000000ull;
	LOG_ERROR(
	    "catalog_damaged", "then=\"it is rebuilt from the files; queries ask them meanwhile\"");
	enum err e = catalog_renew(c->catalog, make_room, c, &why);
	if (e) {
		LOG_ERROR("catalog_not_renewed", "err=%s text=\"%s\"", err_text(e), why.text);
		return;
	}
	c->told = false;
	metric_add(M_CATALOG_REBUILT, 1);
}

static void look_run(struct work_task *t)
{
	struct catalogs *c = CONTAINER_OF(t, struct catalogs, task);
	struct errbuf why;
	errbuf_init(&why);
	if (catalog_is_damaged(c->catalog))
		renew(c);
	enum err e = catalog_sweep_readers(c->catalog, &why);
	if (e)
		LOG_EVERY(LOG_LEVEL_WARN, "catalog_not_swept", "err=%s text=\"%s\"", err_text(e),
		    why.text);
	c->bytes = catalog_disk_bytes(c->catalog);
}

/* On loop 0, as all gauges that are set: each thread has a share of its own in them. */
static void show(const struct catalogs *c)
{
	metric_gauge_set(M_CATALOG_DAMAGED, catalog_is_damaged(c->catalog));
	metric_gauge_set(M_BYTES_CATALOG, (int64_t)c->bytes);
}

static void look_done(struct work_task *t)
{
	struct catalogs *c = CONTAINER_OF(t, struct catalogs, task);
	c->busy = false;
	if (c->closing)
		return;
	show(c);
	c->looks = 1;
	loop_timer_set(c->home, &c->timer, CATALOGS_TICK_MS);
}

static void look_tick(struct loop_timer *t)
{
	struct catalogs *c = CONTAINER_OF(t, struct catalogs, timer);
	if (!catalog_is_damaged(c->catalog) && c->looks++ % CATALOGS_LOOKS) {
		loop_timer_set(c->home, t, CATALOGS_TICK_MS);
		return;
	}
	c->busy = true;
	c->task = (struct work_task){
		.run = look_run, .done = look_done, .lane = BACK_LANE_CATALOG, .prio = WORK_BACKGROUND
	};
	work_submit(c->pool, &c->task);
}

void catalogs_watch(struct catalogs *c)
{
	loop_timer_init(&c->timer, look_tick);
	look_tick(&c->timer);
}

void catalogs_unwatch(struct catalogs *c)
{
	c->closing = true;
	metric_gauge_set(M_CATALOG_DAMAGED, 0);
	metric_gauge_set(M_BYTES_CATALOG, 0);
	loop_timer_cancel(c->home, &c->timer);
}

void catalogs_close(struct catalogs *c)
{
	char mark[CLEAN_MAX];
	if (!c->catalog)
		return;
	bool damaged = catalog_is_damaged(c->catalog);
	told_write(c);
	let_go(c);
	if (damaged)
		return;
	enum err e = clean_mark(c, mark);
	if (!e)
		e = fsio_replace(c->dir, CATALOGS_CLEAN, mark, strlen(mark));
	if (e && e != ERR_STOPPING)
		LOG_WARN("clean_mark_not_written",
		    "err=\"%s\" then=\"the catalog is checked at the next start\"", err_why(e));
}
