#include "storage/space.h"
#include "core/base/arena.h"
#include "core/base/budget.h"
#include "core/base/fdcache.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "core/base/num.h"
#include "storage/store_priv.h"
#include <sys/resource.h>
#include <unistd.h>

static void watch_tick(struct loop_timer *t);
static void look_run(struct work_task *t);
static void look_done(struct work_task *t);

uint64_t space_series_max(void)
{
	return budget_bytes() / 100 * 45 / SPACE_SERIES_BYTES;
}

enum err space_files(struct store *st, struct errbuf *eb)
{
	struct rlimit r;
	uint64_t allowed = 1u << 20;
	if (!getrlimit(RLIMIT_NOFILE, &r) && r.rlim_cur < allowed)
		allowed = r.rlim_cur;
	uint64_t share = fdcache_share(allowed), own = SPACE_FDS_OWN + st->manifest.shards;
	own += SPACE_FDS_LOOP * st->loops;
	uint64_t least = own + SPACE_FDS_ROUNDS * SPACE_WRITERS_MIN + SPACE_CACHE_MIN;
	if (share < least)
		return errbuf_set(eb, ERR_NOFILES,
		    "too many open files: %llu allowed, %llu needed for %u shards",
		    (unsigned long long)allowed, (unsigned long long)fdcache_allowed(least),
		    st->manifest.shards);
	uint64_t left = share - own, writers = left / 2 / SPACE_FDS_ROUNDS;
	if (writers > SPACE_WRITERS)
		writers = SPACE_WRITERS;
	if (writers < SPACE_WRITERS_MIN)
		writers = SPACE_WRITERS_MIN;
	st->round_writers = (unsigned)writers;
	fdcache_limit(left - writers * SPACE_FDS_ROUNDS);
	return ERR_OK;
}

/* ---- the reserve ---- */

static bool reserve_there(struct fsio_dir *d)
{
	struct fsio_file *f;
	if (fsio_open(d, SPACE_RESERVE_NAME, FSIO_READ, &f))
		return false;
	fsio_close(f);
	return true;
}

/* What cannot be had whole is no reserve, but takes room. */
static void reserve_make(struct fsio_dir *d, uint64_t bytes)
{
	struct fsio_file *f;
	uint64_t size = 0;
	enum err e = fsio_open(d, SPACE_RESERVE_NAME, FSIO_WRITE, &f);
	if (e == ERR_NOTFOUND)
		e = fsio_open(d, SPACE_RESERVE_NAME, FSIO_CREATE, &f);
	if (!e) {
		e = fsio_size(f, &size);
		if (!e && size < bytes)
			e = fsio_allocate(f, bytes);
		fsio_close(f);
		if (e && fsio_remove(d, SPACE_RESERVE_NAME))
			LOG_WARN("file_not_removed", "file=%s", SPACE_RESERVE_NAME);
	}
	if (e)
		LOG_EVERY(LOG_LEVEL_WARN, "reserve_not_made", "err=%s", err_text(e));
}

void space_reserve(struct fsio_dir *d, uint64_t bytes)
{
	uint64_t free_bytes = 0, total;
	if (!fsio_free_bytes(d, &free_bytes, &total) && free_bytes < SPACE_START_FREE) {
		/* Lists and the catalog are written at the start. */
		enum err gone = fsio_remove(d, SPACE_RESERVE_NAME);
		LOG_WARN("reserve", "free=%llu then=\"%s\"", (unsigned long long)free_bytes,
		    gone ? "there is none to give up" : "given up, so that the start has room");
		return;
	}
	if (free_bytes >= bytes + SPACE_START_FREE || reserve_there(d))
		reserve_make(d, bytes);
}

bool space_reserve_give(struct store *st, const char *why)
{
	enum err e = fsio_remove(st->dir, SPACE_RESERVE_NAME);
	if (!e)
		LOG_WARN("reserve", "given_up_for=\"%s\"", why);
	return !e;
}

enum err space_room(struct store *st, uint64_t bytes, struct errbuf *eb)
{
	uint64_t free_bytes, total;
	enum err e = fsio_free_bytes(st->dir, &free_bytes, &total);
	if (e)
		return errbuf_set(eb, e, "free space is unknown: %s", err_why(e));
	if (free_bytes >= bytes ||
	    (free_bytes + st->opts.reserve_bytes >= bytes && space_reserve_give(st, "a merge")))
		return ERR_OK;
	return errbuf_set(eb, ERR_NOSPACE, "needs %llu bytes for a while, %llu are free",
	    (unsigned long long)bytes, (unsigned long long)free_bytes);
}

static void reserve_run(struct work_task *t)
{
	struct store *st = CONTAINER_OF(t, struct store, reserve_task);
	reserve_make(st->dir, st->opts.reserve_bytes);
}

static void reserve_done(struct work_task *t)
{
	CONTAINER_OF(t, struct store, reserve_task)->reserve_busy = false;
}

static void reserve_again(struct store *st)
{
	if (st->reserve_busy || st->space_closing)
		return;
	st->reserve_busy = true;
	st->reserve_task =
	    (struct work_task){ .run = reserve_run, .done = reserve_done, .prio = WORK_BACKGROUND };
	work_submit(st->opts.pool, &st->reserve_task);
}

/* ---- free space ---- */

static void refuse_msg(struct mbox_msg *msg);

/* The finding goes to all loops; each has a message of its own, sent again only when it is back. */
struct space_news {
	struct mbox_msg msg;
	struct share *share;
	enum err refuse;
};

static void refuse_msg(struct mbox_msg *msg)
{
	struct space_news *n = CONTAINER_OF(msg, struct space_news, msg);
	if (n->share->refuse != ERR_STOPPING)
		n->share->refuse = n->refuse;
	mem_free(n);
}

static uint64_t floor_of(const struct store *st)
{
	uint64_t part = st->space_total / SPACE_MIN_FREE_SHARE;
	if (st->opts.min_free_bytes)
		return st->opts.min_free_bytes;
	return part > SPACE_MIN_FREE ? part : SPACE_MIN_FREE;
}

/* On loop 0. */
static void show(const struct store *st)
{
	if (st->space_err)
		return;
	metric_gauge_set(M_DISK_FREE_BYTES, (int64_t)st->space_free);
	metric_gauge_set(M_DISK_FLOOR_BYTES, (int64_t)floor_of(st));
	metric_gauge_set(M_BYTES_RESERVE, st->reserve_gone ? 0 : (int64_t)st->opts.reserve_bytes);
}

static void judge(struct store *st)
{
	if (st->space_err) {
		LOG_EVERY(LOG_LEVEL_WARN, "free_space_unknown", "err=%s", err_text(st->space_err));
		return;
	}
	uint64_t floor = floor_of(st);
	if (st->reserve_gone && st->space_free >= floor + floor / 4 + st->opts.reserve_bytes)
		reserve_again(st);
	bool low = st->space_low ? st->space_free < floor + floor / 4 : st->space_free < floor;
	if (low == st->space_low)
		return;
	st->space_low = low;
	if (low)
		LOG_ERROR("disk_full",
		    "free=%llu floor=%llu dir=\"%s\" action=\"writes are refused until there is more than 1.25 x the floor, --storage.min-free\"",
		    (unsigned long long)st->space_free, (unsigned long long)floor,
		    fsio_dir_path(st->dir));
	else
		LOG_INFO("disk_free_again", "free=%llu floor=%llu",
		    (unsigned long long)st->space_free, (unsigned long long)floor);
	for (unsigned i = 0; i < st->loops; i++) {
		struct space_news *n = mem_zalloc(sizeof *n);
		n->share = st->shares[i];
		n->refuse = low ? ERR_NOSPACE : ERR_OK;
		n->msg.fn = refuse_msg;
		loop_send(st->shares[i]->loop, &n->msg);
	}
}

void space_look(struct store *st)
{
	look_run(&st->space_task);
	st->reserve_gone = false; /* the start has just decided that */
	judge(st);
}

static void look_run(struct work_task *t)
{
	struct store *st = CONTAINER_OF(t, struct store, space_task);
	st->space_err = fsio_free_bytes(st->dir, &st->space_free, &st->space_total);
	st->reserve_gone = !reserve_there(st->dir);
}

static void look_done(struct work_task *t)
{
	struct store *st = CONTAINER_OF(t, struct store, space_task);
	st->space_busy = false;
	if (st->space_closing)
		return;
	show(st);
	judge(st);
	loop_timer_set(st->shares[0]->loop, &st->space_timer, SPACE_WATCH_MS);
}

static void watch_tick(struct loop_timer *t)
{
	struct store *st = CONTAINER_OF(t, struct store, space_timer);
	st->space_busy = true;
	/* As a query's read: it must not wait for what fills the disk. */
	st->space_task = (struct work_task){ .run = look_run, .done = look_done, .prio = WORK_READ };
	work_submit(st->opts.pool, &st->space_task);
}

void space_watch(struct store *st)
{
	show(st);
	loop_timer_init(&st->space_timer, watch_tick);
	loop_timer_set(st->shares[0]->loop, &st->space_timer, SPACE_WATCH_MS);
}

void space_unwatch(struct store *st)
{
	st->space_closing = true;
	metric_gauge_set(M_DISK_FREE_BYTES, 0);
	metric_gauge_set(M_DISK_FLOOR_BYTES, 0);
	metric_gauge_set(M_BYTES_RESERVE, 0);
	loop_timer_cancel(st->shares[0]->loop, &st->space_timer);
}
