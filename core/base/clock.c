#include "core/base/clock.h"

#include <time.h>

/* While faked, both clocks are the start values plus one shared distance, so that they can not drift apart. */
static bool faked;
static int64_t fake_wall_ms;  /* at clock_fake() */
static uint64_t fake_mono_ns; /* at clock_fake() */
static int64_t fake_moved_ms;

static uint64_t read_ns(clockid_t id)
{
	struct timespec ts;
	CHECK(clock_gettime(id, &ts) == 0);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int64_t clock_wall_ms(void)
{
	if (UNLIKELY(__atomic_load_n(&faked, __ATOMIC_ACQUIRE)))
		return __atomic_load_n(&fake_wall_ms, __ATOMIC_RELAXED) +
		    __atomic_load_n(&fake_moved_ms, __ATOMIC_RELAXED);
	return (int64_t)(read_ns(CLOCK_REALTIME) / 1000000);
}

uint64_t clock_mono_ns(void)
{
	if (UNLIKELY(__atomic_load_n(&faked, __ATOMIC_ACQUIRE)))
		return __atomic_load_n(&fake_mono_ns, __ATOMIC_RELAXED) +
		    (uint64_t)__atomic_load_n(&fake_moved_ms, __ATOMIC_RELAXED) * 1000000u;
	return read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_thread_cpu_ns(void)
{
	return read_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t clock_real_mono_ns(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

void clock_fake(int64_t wall_ms)
{
	__atomic_store_n(&fake_wall_ms, wall_ms, __ATOMIC_RELAXED);
	__atomic_store_n(&fake_mono_ns, read_ns(CLOCK_MONOTONIC), __ATOMIC_RELAXED);
	__atomic_store_n(&fake_moved_ms, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&faked, true, __ATOMIC_RELEASE);
}

void clock_fake_advance(int64_t ms)
{
	CHECK(clock_is_fake());
	CHECK(ms >= 0);
	__atomic_add_fetch(&fake_moved_ms, ms, __ATOMIC_RELAXED);
}

bool clock_is_fake(void)
{
	return __atomic_load_n(&faked, __ATOMIC_ACQUIRE);
}
