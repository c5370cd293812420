#include "core/base/fdcache.h"

#include "core/base/arena.h"
#include "core/base/list.h"
#include "core/base/metric.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define CHANCES 64u /* files looked at for one that was not used, before any is good enough */

struct fdfile {
	struct list_link link; /* of the cache, while kept */
	struct fsio_dir *dir;
	struct fsio_file *io;  /* (1) */
	_Atomic uint32_t refs; /* (1) */
	_Atomic bool used;     /* since the hand came by */
	bool kept;             /* by the cache; under the lock */
	char name[];
};
static struct {
	pthread_mutex_t lock;
	struct list_link kept;   /* the hand stands at the first */
	size_t count, limit;     /* descriptors open or being opened */
	struct fsio_file **dead; /* without a file, to be closed by a worker; counted */
	size_t dead_count, dead_cap;
} cache = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.kept = { &cache.kept, &cache.kept },
	.limit = FDCACHE_LIMIT };

/* ---- references ---- */

/* False: not open. */
static bool take(struct fdfile *f)
{
	uint32_t refs = atomic_load_explicit(&f->refs, memory_order_relaxed);
	while (refs)
		if (atomic_compare_exchange_weak_explicit(
		        &f->refs, &refs, refs + 1, memory_order_acquire, memory_order_relaxed)) {
			if (!atomic_load_explicit(&f->used, memory_order_relaxed))
				atomic_store_explicit(&f->used, true, memory_order_relaxed);
			return true;
		}
	return false;
}

/* Under the lock. */
static void drop(struct fdfile *f)
{
	if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) > 1)
		return;
	if (cache.dead_count == cache.dead_cap) {
		cache.dead_cap = cache.dead_cap ? 2 * cache.dead_cap : 16;
		cache.dead = mem_array(cache.dead, cache.dead_cap, sizeof(struct fsio_file *));
	}
	cache.dead[cache.dead_count++] = f->io;
	f->io = NULL;
}

static void give(struct fdfile *f)
{
	uint32_t refs = atomic_load_explicit(&f->refs, memory_order_relaxed);
	while (refs > 1)
		if (atomic_compare_exchange_weak_explicit(
		        &f->refs, &refs, refs - 1, memory_order_release, memory_order_relaxed))
			return;
	pthread_mutex_lock(&cache.lock);
	drop(f);
	pthread_mutex_unlock(&cache.lock);
}

/* ---- room ---- */

/* Under the lock: one file less is kept. False: none is. */
static bool evict(void)
{
	for (unsigned chances = CHANCES; !list_empty(&cache.kept); chances--) {
		struct fdfile *f = CONTAINER_OF(list_pop(&cache.kept), struct fdfile, link);
		if (chances && atomic_exchange_explicit(&f->used, false, memory_order_relaxed)) {
			list_add_tail(&cache.kept, &f->link);
			continue;
		}
		f->kept = false;
		drop(f);
		return true;
	}
	return false;
}

/* Closes what is dead, outside the lock. */
static void bury(void)
{
	pthread_mutex_lock(&cache.lock);
	struct fsio_file **dead = cache.dead;
	size_t n = cache.dead_count;
	cache.dead = NULL;
	cache.dead_count = cache.dead_cap = 0;
	pthread_mutex_unlock(&cache.lock);
	for (size_t i = 0; i < n; i++)
		fsio_close(dead[i]);
	mem_free(dead);
	pthread_mutex_lock(&cache.lock);
	cache.count -= n;
	pthread_mutex_unlock(&cache.lock);
}

/* Room for one descriptor more, which counts from now on. */
static void room_make(void)
{
	pthread_mutex_lock(&cache.lock);
	while (cache.count - cache.dead_count >= cache.limit && evict()) {
	}
	cache.count++;
	bool any = cache.dead_count > 0;
	pthread_mutex_unlock(&cache.lock);
	if (any)
		bury();
}

static void room_back(void)
{
	pthread_mutex_lock(&cache.lock);
	cache.count--;
	pthread_mutex_unlock(&cache.lock);
}

/* ---- opening ---- */

/* Somebody else may have opened it meanwhile: then that one stays. */
static void install(struct fdfile *f, struct fsio_file *io)
{
	pthread_mutex_lock(&cache.lock);
	if (!take(f)) {
		f->io = io;
		io = NULL;
		f->kept = true;
		list_add_tail(&cache.kept, &f->link);
		/* Not used again yet: who reads each file once pushes nobody out. */
		atomic_store_explicit(&f->used, false, memory_order_relaxed);
		atomic_store_explicit(&f->refs, 2, memory_order_release);
	} else {
		cache.count--;
	}
	pthread_mutex_unlock(&cache.lock);
	metric_add(M_FILE_OPENS, 1);
	fsio_close(io);
}

/* Closes a quarter of what is kept. */
static void spare(void)
{
	pthread_mutex_lock(&cache.lock);
	for (size_t n = 1 + cache.count / 4; n && evict(); n--) {
	}
	pthread_mutex_unlock(&cache.lock);
	bury();
}

enum err fdcache_open_other(
    struct fsio_dir *dir, const char *name, enum fsio_mode mode, struct fsio_file **out)
{
	enum err e = fsio_open(dir, name, mode, out);
	if (e != ERR_NOFILES)
		return e;
	spare();
	return fsio_open(dir, name, mode, out);
}

/* With a reference. */
static enum err take_or_open(struct fdfile *f)
{
	if (take(f))
		return ERR_OK;
	struct fsio_file *io = NULL;
	room_make();
	enum err e = fdcache_open_other(f->dir, f->name, FSIO_READ, &io);
	if (e) {
		room_back();
		return e;
	}
	install(f, io);
	return ERR_OK;
}

enum err fdcache_open(struct fsio_dir *dir, const char *name, struct fdfile **out)
{
	size_t len = strlen(name);
	struct fdfile *f = mem_zalloc(sizeof(*f) + len + 1);
	memcpy(f->name, name, len + 1);
	f->dir = dir;
	enum err e = take_or_open(f);
	if (e) {
		mem_free(f);
		return e;
	}
	give(f);
	*out = f;
	return ERR_OK;
}

void fdcache_close(struct fdfile *f)
{
	if (!f)
		return;
	pthread_mutex_lock(&cache.lock);
	if (f->kept) {
		list_del(&f->link);
		drop(f);
	}
	pthread_mutex_unlock(&cache.lock);
	CHECK(atomic_load_explicit(&f->refs, memory_order_acquire) == 0);
	bury();
	mem_free(f);
}

/* ---- reading ---- */

enum err fdcache_read_at(struct fdfile *f, void *data, size_t len, uint64_t off)
{
	enum err e = take_or_open(f);
	if (e)
		return e;
	e = fsio_read_at(f->io, data, len, off);
	give(f);
	return e;
}

enum err fdcache_read_nowait(struct fdfile *f, void *data, size_t len, uint64_t off)
{
	if (!take(f))
		return ERR_AGAIN;
	enum err e = fsio_read_nowait(f->io, data, len, off);
	give(f);
	return e;
}

enum err fdcache_size(struct fdfile *f, uint64_t *size)
{
	enum err e = take_or_open(f);
	if (e)
		return e;
	e = fsio_size(f->io, size);
	give(f);
	return e;
}

/* ---- how many ---- */

void fdcache_limit(size_t limit)
{
	pthread_mutex_lock(&cache.lock);
	cache.limit = limit ? limit : 1;
	while (cache.count - cache.dead_count > cache.limit && evict()) {
	}
	pthread_mutex_unlock(&cache.lock);
	bury();
}

size_t fdcache_count(void)
{
	pthread_mutex_lock(&cache.lock);
	size_t n = cache.count;
	pthread_mutex_unlock(&cache.lock);
	return n;
}

/* A quarter, or all that clients can never need; half of very few. */
uint64_t fdcache_share(uint64_t allowed)
{
	if (allowed < 2 * FDCACHE_SHARE_MIN)
		return allowed / 2;
	uint64_t share = allowed / 4;
	if (allowed > FDCACHE_CLIENTS && share < allowed - FDCACHE_CLIENTS)
		share = allowed - FDCACHE_CLIENTS;
	if (share < FDCACHE_SHARE_MIN)
		return FDCACHE_SHARE_MIN;
	return share < FDCACHE_SHARE_MAX ? share : FDCACHE_SHARE_MAX;
}

uint64_t fdcache_allowed(uint64_t share)
{
	if (share <= FDCACHE_SHARE_MIN)
		return 2 * share;
	return share * 4 < share + FDCACHE_CLIENTS ? share * 4 : share + FDCACHE_CLIENTS;
}
