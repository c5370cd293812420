#include "core/base/block.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/base/mem.h"

#if defined(__SANITIZE_ADDRESS__) || defined(KYMO_SHARP)
# define FROM_MALLOC 1 /* so that the sanitizer knows its ends, and what it points at */
#else
# define FROM_MALLOC 0
#endif

#define SIZES      5 /* 64 KiB ... 1 MiB */
#define PAGE       ((size_t)4096)
#define FREE_MUCH  ((size_t)64 << 20)  /* from here on fresh blocks give others back */
#define FREE_MOST  ((size_t)256 << 20) /* from here on what is put large gives some back */
#define FREE_CAP   ((size_t)512 << 20) /* and from here on it goes whole, however long that takes */
#define FREE_SMALL ((size_t)4 << 20)   /* given back whole by a tick */
#define GIVE_STEP  ((size_t)4 << 20)   /* by one block_get, about 0.2 ms */

STATIC(BLOCK_LEAST << (SIZES - 1) == BLOCK_MOST);

struct kept { /* in the block itself */
	struct kept *next;
	size_t size;
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list {
	struct kept *first;
	size_t count, count_min; /* count_min: since the last tick */
} lists[SIZES];
static struct kept *large; /* not used again: wait for somebody with time to unmap them */
static _Atomic size_t free_bytes;

size_t block_size(size_t bytes)
{
	size_t size = BLOCK_LEAST;

	if (bytes > BLOCK_MOST)
		return (bytes + PAGE - 1) & ~(PAGE - 1);
	while (size < bytes)
		size *= 2;
	return size;
}

static struct list *list_of(size_t size)
{
	return &lists[__builtin_ctzll(size) - __builtin_ctzll(BLOCK_LEAST)];
}

/* Under the lock. */
static void kept_add(struct kept **to, struct kept *k, size_t size)
{
	*k = (struct kept){ .next = *to, .size = size };
	*to = k;
	atomic_fetch_add_explicit(&free_bytes, size, memory_order_relaxed);
}

/* Under the lock. */
static struct kept *kept_pop(struct kept **from)
{
	struct kept *k = *from;

	*from = k->next;
	atomic_fetch_sub_explicit(&free_bytes, k->size, memory_order_relaxed);
	return k;
}

static struct kept *list_take(struct list *l)
{
	struct kept *k = kept_pop(&l->first);

	if (--l->count < l->count_min)
		l->count_min = l->count;
	return k;
}

/* One block that goes back, its size in *size: of a large one a part of at most max bytes. */
static void *next_to_go(size_t max, size_t *size)
{
	struct kept *k = NULL;

	if (large && large->size > max) {
		large->size -= max & ~(PAGE - 1);
		atomic_fetch_sub_explicit(&free_bytes, max & ~(PAGE - 1), memory_order_relaxed);
		*size = max & ~(PAGE - 1);
		return (char *)large + large->size;
	}
	if (large)
		k = kept_pop(&large);
	for (size_t i = SIZES; !k && i-- > 0;)
		if (lists[i].count)
			k = list_take(&lists[i]);
	if (k)
		*size = k->size;
	return k;
}

void block_give_back(size_t bytes)
{
	while (bytes >= PAGE) {
		size_t size = 0;
		pthread_mutex_lock(&lock);
		void *p = next_to_go(bytes, &size);
		pthread_mutex_unlock(&lock);
		if (!p)
			return;
		munmap(p, size);
		bytes -= size < bytes ? size : bytes;
	}
}

size_t block_free_bytes(void)
{
	return atomic_load_explicit(&free_bytes, memory_order_relaxed);
}

static void *map_fresh(size_t size)
{
	if (block_free_bytes() > FREE_MUCH)
		block_give_back(size < GIVE_STEP ? size : GIVE_STEP);
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED && mem_refused())
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

void *block_get_zeroed(size_t size)
{
	return FROM_MALLOC ? calloc(1, size) : map_fresh(size);
}

void *block_get(size_t size)
{
	struct kept *k = NULL;

	if (FROM_MALLOC)
		return malloc(size);
	if (size <= BLOCK_MOST) {
		pthread_mutex_lock(&lock);
		if (list_of(size)->count)
			k = list_take(list_of(size));
		pthread_mutex_unlock(&lock);
	}
	return k ? (void *)k : map_fresh(size);
}

void block_put(void *p, size_t size)
{
	if (FROM_MALLOC) {
		free(p);
		return;
	}
	pthread_mutex_lock(&lock);
	if (size > BLOCK_MOST) {
		kept_add(&large, p, size);
	} else {
		struct list *l = list_of(size);
		kept_add(&l->first, p, size);
		l->count++;
	}
	pthread_mutex_unlock(&lock);
	/* A part of it at once: whoever puts it must not wait for millions of pages. */
	size_t all = block_free_bytes();
	if (size > BLOCK_MOST && all > FREE_MOST)
		block_give_back(all > FREE_CAP ? size : GIVE_STEP);
}

/* How many of a list were not wanted since the last tick and go now. */
static size_t idle_count(struct list *l, size_t size)
{
	pthread_mutex_lock(&lock);
	size_t idle = l->count_min;
	l->count_min = l->count;
	pthread_mutex_unlock(&lock);
	return idle * size > FREE_SMALL ? (idle + 1) / 2 : idle;
}

static bool large_one_back(void)
{
	pthread_mutex_lock(&lock);
	struct kept *k = large ? kept_pop(&large) : NULL;
	size_t size = k ? k->size : 0;
	pthread_mutex_unlock(&lock);
	if (k)
		munmap(k, size);
	return k != NULL;
}

bool block_much(void)
{
	return block_free_bytes() > FREE_MUCH;
}

void block_tick(void)
{
	while (large_one_back())
		continue;
	for (size_t i = 0; i < SIZES; i++) {
		size_t size = BLOCK_LEAST << i;
		for (size_t n = idle_count(&lists[i], size); n; n--) {
			pthread_mutex_lock(&lock);
			struct kept *k = lists[i].count ? list_take(&lists[i]) : NULL;
			pthread_mutex_unlock(&lock);
			if (!k)
				break;
			munmap(k, size);
		}
	}
}
