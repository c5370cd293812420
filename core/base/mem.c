#include "core/base/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "core/base/block.h"
#include "core/base/clock.h"
#include "core/base/log.h"

#define RESERVE_BYTES ((size_t)16 << 20)
#define PROBE_LEAST   ((uint64_t)256 << 10) /* smaller pieces come out of the reserve */
/*
 * Larger pieces are maps of their own and go back when they are freed. Fixed, since malloc moves it
 * up by what was freed before. Not smaller: what a usual write takes is not mapped each time.
 */
#define MMAP_LEAST    (4 << 20)
#define TOP_KEPT      (8 << 20)          /* free memory at the end of a heap */
#define HEAP_BYTES    ((rlim_t)64 << 20) /* address space of one of malloc's heaps */
#define TRIM_EVERY_NS UINT64_C(1000000000)

static _Atomic(void *) reserve;
static atomic_bool ready, out_of_memory, trim_wanted;
static bool space_limited; /* set before there are threads */

static void *map_bytes(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

void mem_setup(void)
{
	struct rlimit as;

	space_limited = !getrlimit(RLIMIT_AS, &as) && as.rlim_cur != RLIM_INFINITY;
	mallopt(M_MMAP_THRESHOLD, MMAP_LEAST);
	mallopt(M_TRIM_THRESHOLD, TOP_KEPT);
	if (space_limited) { /* heaps take a quarter of it at most */
		rlim_t heaps = as.rlim_cur / 4 / HEAP_BYTES;
		mallopt(M_ARENA_MAX, heaps < 1 ? 1 : heaps > 64 ? 64 : (int)heaps);
	}
	atomic_store(&reserve, map_bytes(RESERVE_BYTES));
	atomic_store(&ready, true);
}

bool mem_short(void)
{
	return UNLIKELY(atomic_load_explicit(&out_of_memory, memory_order_relaxed));
}

bool mem_room(uint64_t bytes)
{
	if (mem_short())
		return false;
	if (!space_limited || bytes < PROBE_LEAST)
		return true;
	void *p = bytes < SIZE_MAX / 2 ? map_bytes((size_t)bytes) : NULL;
	if (p)
		munmap(p, (size_t)bytes);
	return p != NULL;
}

/* Several threads may come here at once: one lets the reserve go, all try again. */
bool mem_refused(void)
{
	if (!atomic_load(&ready))
		return false;
	block_give_back(SIZE_MAX);
	void *p = atomic_exchange(&reserve, NULL);
	if (!atomic_exchange(&out_of_memory, true))
		LOG_EVERY(LOG_LEVEL_ERROR, "memory_short",
		    "The system gives no more memory: queries end with an error until it does");
	if (p)
		munmap(p, RESERVE_BYTES);
	return true;
}

/* Twice as much must be there, so that the next allocation does not take it away again. */
static void reserve_again(void)
{
	void *p = map_bytes(2 * RESERVE_BYTES);

	if (!p)
		return;
	munmap((char *)p + RESERVE_BYTES, RESERVE_BYTES);
	atomic_store(&reserve, p);
	atomic_store(&out_of_memory, false);
	LOG_INFO("memory_back", "reserve_bytes=%zu", RESERVE_BYTES);
}

void mem_trim_soon(void)
{
	atomic_store_explicit(&trim_wanted, true, memory_order_relaxed);
}

bool mem_wants_tick(void)
{
	return mem_short() || atomic_load_explicit(&trim_wanted, memory_order_relaxed) ||
	    block_free_bytes();
}

void mem_tick(void)
{
	static _Atomic uint64_t last_ns;
	uint64_t now = clock_real_mono_ns();

	block_tick();
	if (now - atomic_load(&last_ns) >= TRIM_EVERY_NS && atomic_exchange(&trim_wanted, false)) {
		atomic_store(&last_ns, now);
		malloc_trim(0);
	}
	if (mem_short()) {
		block_give_back(SIZE_MAX);
		malloc_trim(0);
		reserve_again();
	}
}

/* --- the heap --- */

#if defined(__has_feature)
# if __has_feature(memory_sanitizer)
#  define WATCHED 1 /* it sees by itself who reads what nobody wrote */
# endif
#endif
#if defined(KYMO_SHARP) && !defined(WATCHED)

/* Bytes from..size-1 of p, which nobody has written: never the same twice in a row (mem.h). */
static void *soil(void *p, size_t from, size_t size)
{
	static _Thread_local uint8_t dirt;
	size = size < MEM_SOILED_MOST ? size : MEM_SOILED_MOST;
	if (p && from < size)
		memset((char *)p + from, (dirt = (uint8_t)(dirt + 0x5b)), size - from);
	return p;
}

static size_t bytes_of(void *p)
{
	return malloc_usable_size(p); /* 0 of NULL */
}

#else

static void *soil(void *p, size_t from, size_t size)
{
	(void)from;
	(void)size;
	return p;
}

static size_t bytes_of(void *p)
{
	(void)p;
	return 0;
}

#endif

void *mem_alloc(size_t size)
{
	void *p = malloc(size ? size : 1);
	if (UNLIKELY(!p) && mem_refused())
		p = malloc(size ? size : 1);
	if (!p)
		panic("out of memory: %zu bytes", size);
	return soil(p, 0, size);
}

void *mem_zalloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);
	if (UNLIKELY(!p) && mem_refused())
		p = calloc(1, size ? size : 1);
	if (!p)
		panic("out of memory: %zu bytes", size);
	return p;
}

void *mem_realloc(void *p, size_t size)
{
	size_t had = bytes_of(p);
	void *q = realloc(p, size ? size : 1);
	if (UNLIKELY(!q) && mem_refused())
		q = realloc(p, size ? size : 1);
	if (!q)
		panic("out of memory: %zu bytes", size);
	return soil(q, had, size);
}

void *mem_array(void *p, size_t count, size_t size)
{
	size_t bytes;
	if (__builtin_mul_overflow(count, size, &bytes))
		panic("out of memory: %zu pieces of %zu bytes", count, size);
	return mem_realloc(p, bytes);
}

void *mem_try(size_t size)
{
	return soil(malloc(size ? size : 1), 0, size);
}

void *mem_try_realloc(void *p, size_t size)
{
	size_t had = bytes_of(p);
	return soil(realloc(p, size ? size : 1), had, size);
}

void mem_free(void *p)
{
	free(p);
}
