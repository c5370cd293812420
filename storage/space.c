#include "storage/space.h"
#include "core/base/arena.h"
#include "core/base/budget.h"
#include "core/base/fdcache.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "core/base/num.h"
#include "storage/share.h"
#include <sys/resource.h>
#include <unistd.h>

static void watch_tick(struct loop_timer *t);
static void look_run(struct work_task *t);
static void look_done(struct work_task *t);

uint64_t space_head_bytes(void)
{
	return budget_bytes() / 100 * SPACE_HEAD_PERCENT;
}

enum err space_files(unsigned shards, unsigned loops, unsigned *round_writers, struct errbuf *eb)
{
	struct rlimit r;
	uint64_t allowed = 1u << 20;
	if (!getrlimit(RLIMIT_NOFILE, &r) && r.rlim_cur < allowed)
		allowed = r.rlim_cur;
	uint64_t share = fdcache_share(allowed), own = SPACE_FDS_OWN + shards;
	own += SPACE_FDS_LOOP * loops;
	uint64_t least = own + SPACE_FDS_ROUNDS * SPACE_WRITERS_MIN + SPACE_CACHE_MIN;
	if (share < least)
		return errbuf_set(eb, ERR_NOFILES,
		    "too many open files: %llu allowed, %llu needed for %u shards",
		    (unsigned long long)allowed, (unsigned long long)fdcache_allowed(least), shards);
	uint64_t left = share - own, writers = left / 2 / SPACE_FDS_ROUNDS;
	if (writers > SPACE_WRITERS)
		writers = SPACE_WRITERS;
	if (writers < SPACE_WRITERS_MIN)
		writers = SPACE_WRITERS_MIN;
	*round_writers = (unsigned)writers;
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

void space_reserve(struct space *sp)
{
	struct fsio_dir *d = sp->dir;
	uint64_t free_bytes = 0, total, bytes = sp->reserve_bytes;
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

bool space_reserve_give(struct space *sp, const char *why)
{
	enum err e = fsio_remove(sp->dir, SPACE_RESERVE_NAME);
	if (!e)
		LOG_WARN("reserve", "given_up_for=\"%s\"", why);
	return !e;
}

enum err space_room(struct space *sp, uint64_t bytes, struct errbuf *eb)
{
	uint64_t free_bytes, total;
	enum err e = fsio_free_bytes(sp->dir, &free_bytes, &total);
	if (e)
		return errbuf_set(eb, e, "free space is unknown: %s", err_why(e));
	if (free_bytes >= bytes ||
	    (free_bytes + sp->reserve_bytes >= bytes && space_reserve_give(sp, "a merge")))
		return ERR_OK;
	return errbuf_set(eb, ERR_NOSPACE, "needs %llu bytes for a while, %llu are free",
	    (unsigned long long)bytes, (unsigned long long)free_bytes);
}

static void reserve_run(struct work_task *t)
{
	struct space *sp = CONTAINER_OF(t, struct space, reserve_task);
	reserve_make(sp->dir, sp->reserve_bytes);
}

static void reserve_done(struct work_task *t)
{
	CONTAINER_OF(t, struct space, reserve_task)->reserve_busy = false;
}

static void reserve_again(struct space *sp)
{
	if (sp->reserve_busy || sp->closing)
		return;
	sp->reserve_busy = true;
	sp->reserve_task =
	    (struct work_task){ .run = reserve_run, .done = reserve_done, .prio = WORK_BACKGROUND };
	work_submit(sp->pool, &sp->reserve_task);
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

static uint64_t floor_of(const struct space *sp)
{
	uint64_t part = sp->total_bytes / SPACE_MIN_FREE_SHARE;
	if (sp->min_free_bytes)
		return sp->min_free_bytes;
	return part > SPACE_MIN_FREE ? part : SPACE_MIN_FREE;
}

/* On loop 0. */
static void show(const struct space *sp)
{
	if (sp->err)
		return;
	metric_gauge_set(M_DISK_FREE_BYTES, (int64_t)sp->free_bytes);
	metric_gauge_set(M_DISK_FLOOR_BYTES, (int64_t)floor_of(sp));
	metric_gauge_set(M_BYTES_RESERVE, sp->reserve_gone ? 0 : (int64_t)sp->reserve_bytes);
}

static void judge(struct space *sp)
{
	if (sp->err) {
		LOG_EVERY(LOG_LEVEL_WARN, "free_space_unknown", "err=%s", err_text(sp->err));
		return;
	}
	uint64_t floor = floor_of(sp);
	if (sp->reserve_gone && sp->free_bytes >= floor + floor / 4 + sp->reserve_bytes)
		reserve_again(sp);
	bool low = sp->low ? sp->free_bytes < floor + floor / 4 : sp->free_bytes < floor;
	if (low == sp->low)
		return;
	sp->low = low;
	if (low)
		LOG_ERROR("disk_full",
		    "free=%llu floor=%llu dir=\"%s\" action=\"writes are refused until there is more than 1.25 x the floor, --storage.min-free\"",
		    (unsigned long long)sp->free_bytes, (unsigned long long)floor,
		    fsio_dir_path(sp->dir));
	else
		LOG_INFO("disk_free_again", "free=%llu floor=%llu",
		    (unsigned long long)sp->free_bytes, (unsigned long long)floor);
	for (unsigned i = 0; i < sp->loops; i++) {
		struct space_news *n = mem_zalloc(sizeof *n);
		n->share = sp->shares[i];
		n->refuse = low ? ERR_NOSPACE : ERR_OK;
		n->msg.fn = refuse_msg;
		loop_send(sp->shares[i]->loop, &n->msg);
	}
}

void space_look(struct space *sp)
{
	look_run(&sp->task);
	sp->reserve_gone = false; /* the start has just decided that */
	judge(sp);
}

static void look_run(struct work_task *t)
{
	struct space *sp = CONTAINER_OF(t, struct space, task);
	sp->err = fsio_free_bytes(sp->dir, &sp->free_bytes, &sp->total_bytes);
	sp->reserve_gone = !reserve_there(sp->dir);
}

static void look_done(struct work_task *t)
{
	struct space *sp = CONTAINER_OF(t, struct space, task);
	sp->busy = false;
	if (sp->closing)
		return;
	show(sp);
	judge(sp);
	loop_timer_set(sp->shares[0]->loop, &sp->timer, SPACE_WATCH_MS);
}

static void watch_tick(struct loop_timer *t)
{
	struct space *sp = CONTAINER_OF(t, struct space, timer);
	sp->busy = true;
	/* As a query's read: it must not wait for what fills the disk. */
	sp->task = (struct work_task){ .run = look_run, .done = look_done, .prio = WORK_READ };
	work_submit(sp->pool, &sp->task);
}

void space_watch(struct space *sp)
{
	show(sp);
	loop_timer_init(&sp->timer, watch_tick);
	loop_timer_set(sp->shares[0]->loop, &sp->timer, SPACE_WATCH_MS);
}

void space_unwatch(struct space *sp)
{
	sp->closing = true;
	metric_gauge_set(M_DISK_FREE_BYTES, 0);
	metric_gauge_set(M_DISK_FLOOR_BYTES, 0);
	metric_gauge_set(M_BYTES_RESERVE, 0);
	loop_timer_cancel(sp->shares[0]->loop, &sp->timer);
}
