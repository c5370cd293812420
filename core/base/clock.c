#include "core/base/clock.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TEST_MAGIC     "KYMOTCLK"
#define BOTH_APART_NS  UINT64_C(50000000)
#define BOTH_TRIES     3u
#define TEST_SPINS_MAX 1000000u /* a writer that died in the middle must not hold us for ever */

/*
 * While faked, both clocks are the start values plus a shared distance; the wall clock has a
 * distance of its own besides.
 */
static bool faked;
static int64_t fake_wall_ms;  /* at clock_fake() */
static uint64_t fake_mono_ns; /* at clock_fake() */
static int64_t fake_moved_ms, fake_stepped_ms;

struct test_clock { /* as in the file */
	char magic[8];
	uint64_t serial;
	int64_t real_ns, wall_ns, mono_ns, wall_speed, mono_speed;
};
STATIC(sizeof(struct test_clock) == 56);
static const struct test_clock *test; /* mapped, for the life of the process */
static uint64_t test_mono_ns;         /* highest given */

static uint64_t read_ns(clockid_t id)
{
	struct timespec ts;
	CHECK(clock_gettime(id, &ts) == 0);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- the test clock ---- */

static struct test_clock test_read(void)
{
	struct test_clock c = { .serial = 0 };
	for (unsigned spin = 0; spin < TEST_SPINS_MAX; spin++) {
		uint64_t serial = __atomic_load_n(&test->serial, __ATOMIC_ACQUIRE);
		/* acquired one by one, so that the serial is read after them */
		c.real_ns = __atomic_load_n(&test->real_ns, __ATOMIC_ACQUIRE);
		c.wall_ns = __atomic_load_n(&test->wall_ns, __ATOMIC_ACQUIRE);
		c.mono_ns = __atomic_load_n(&test->mono_ns, __ATOMIC_ACQUIRE);
		c.wall_speed = __atomic_load_n(&test->wall_speed, __ATOMIC_ACQUIRE);
		c.mono_speed = __atomic_load_n(&test->mono_speed, __ATOMIC_ACQUIRE);
		if (!(serial & 1) && __atomic_load_n(&test->serial, __ATOMIC_RELAXED) == serial)
			break;
	}
	return c;
}

/* What went by since the file was written, at a speed. */
static int64_t test_passed_ns(const struct test_clock *c, int64_t speed)
{
	int64_t passed = (int64_t)read_ns(CLOCK_MONOTONIC) - c->real_ns;
	return passed > 0 ? (int64_t)((__int128)passed * speed / 1000000) : 0;
}

static int64_t test_wall_ms(const struct test_clock *c)
{
	int64_t ns = c->wall_ns + test_passed_ns(c, c->wall_speed);
	return ns >= 0 ? ns / 1000000 : -((999999 - ns) / 1000000);
}

static uint64_t test_mono(const struct test_clock *c)
{
	uint64_t ns = (uint64_t)(c->mono_ns + test_passed_ns(c, c->mono_speed));
	uint64_t top = __atomic_load_n(&test_mono_ns, __ATOMIC_RELAXED);
	while (ns > top &&
	    !__atomic_compare_exchange_n(
	        &test_mono_ns, &top, ns, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
	}
	return ns > top ? ns : top;
}

enum err clock_test_open(const char *path, struct errbuf *eb)
{
	struct stat st;
	void *p = MAP_FAILED;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errbuf_set(eb, ERR_IO, "%s: the test clock cannot be opened", path);
	if (!fstat(fd, &st) && st.st_size >= (off_t)sizeof(*test))
		p = mmap(NULL, sizeof(*test), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (p == MAP_FAILED || memcmp(p, TEST_MAGIC, sizeof(test->magic)) != 0) {
		if (p != MAP_FAILED)
			munmap(p, sizeof(*test));
		return errbuf_set(eb, ERR_MALFORMED, "%s: no test clock", path);
	}
	__atomic_store_n(&test, (const struct test_clock *)p, __ATOMIC_RELEASE);
	return ERR_OK;
}

bool clock_is_test(void)
{
	return __atomic_load_n(&test, __ATOMIC_ACQUIRE) != NULL;
}

/* ---- all three ---- */

int64_t clock_wall_ms(void)
{
	if (UNLIKELY(clock_is_fake()))
		return __atomic_load_n(&fake_wall_ms, __ATOMIC_RELAXED) +
		    __atomic_load_n(&fake_moved_ms, __ATOMIC_RELAXED) +
		    __atomic_load_n(&fake_stepped_ms, __ATOMIC_RELAXED);
	if (UNLIKELY(clock_is_test())) {
		struct test_clock c = test_read();
		return test_wall_ms(&c);
	}
	return (int64_t)(read_ns(CLOCK_REALTIME) / 1000000);
}

uint64_t clock_mono_ns(void)
{
	if (UNLIKELY(clock_is_fake()))
		return __atomic_load_n(&fake_mono_ns, __ATOMIC_RELAXED) +
		    (uint64_t)__atomic_load_n(&fake_moved_ms, __ATOMIC_RELAXED) * 1000000u;
	if (UNLIKELY(clock_is_test())) {
		struct test_clock c = test_read();
		return test_mono(&c);
	}
	return read_ns(CLOCK_MONOTONIC);
}

void clock_both(int64_t *wall_ms, uint64_t *mono_ns)
{
	if (UNLIKELY(clock_is_test())) {
		struct test_clock c = test_read();
		*wall_ms = test_wall_ms(&c);
		*mono_ns = test_mono(&c);
		return;
	}
	uint64_t before = clock_real_mono_ns();
	for (unsigned tries = 0; tries < BOTH_TRIES; tries++) {
		*mono_ns = clock_mono_ns();
		*wall_ms = clock_wall_ms();
		uint64_t after = clock_real_mono_ns();
		if (LIKELY(after - before < BOTH_APART_NS))
			return;
		before = after;
	}
}

uint64_t clock_thread_cpu_ns(void)
{
	return read_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t clock_real_mono_ns(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

/* ---- the fake clock ---- */

void clock_fake(int64_t wall_ms)
{
	__atomic_store_n(&fake_wall_ms, wall_ms, __ATOMIC_RELAXED);
	__atomic_store_n(&fake_mono_ns, read_ns(CLOCK_MONOTONIC), __ATOMIC_RELAXED);
	__atomic_store_n(&fake_moved_ms, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&fake_stepped_ms, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&faked, true, __ATOMIC_RELEASE);
}

void clock_fake_advance(int64_t ms)
{
	CHECK(clock_is_fake());
	CHECK(ms >= 0);
	__atomic_add_fetch(&fake_moved_ms, ms, __ATOMIC_RELAXED);
}

void clock_fake_step_wall(int64_t ms)
{
	CHECK(clock_is_fake());
	__atomic_add_fetch(&fake_stepped_ms, ms, __ATOMIC_RELAXED);
}

bool clock_is_fake(void)
{
	return __atomic_load_n(&faked, __ATOMIC_ACQUIRE);
}
