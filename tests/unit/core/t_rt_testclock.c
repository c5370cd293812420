/* The test clock of whole programs: what its file says is the time, and timers follow it. */
#include <fcntl.h>
#include <string.h>

#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"
#include "tests/lib/testteam.h"

#define SEC INT64_C(1000000000)

static int fd;
static int64_t serial;

struct times {
	int64_t wall_ns, mono_ns, wall_speed, mono_speed;
};
static void set(struct times t)
{
	int64_t f[7] = { 0, serial + 1, (int64_t)clock_real_mono_ns(), t.wall_ns, t.mono_ns,
		t.wall_speed, t.mono_speed };
	memcpy(f, "KYMOTCLK", 8);
	if (pwrite(fd, f, sizeof(f), 0) != sizeof(f))
		exit(99);
	serial += 2;
	if (pwrite(fd, &serial, sizeof(serial), 8) != sizeof(serial))
		exit(99);
}

static struct loop_timer hour;
static bool fired;

static void on_hour(struct loop_timer *t)
{
	(void)t;
	fired = true;
}

static void hour_set(void *arg)
{
	(void)arg;
	loop_timer_init(&hour, on_hour);
	loop_timer_set(loop_here(), &hour, 3600 * 1000);
}

static bool has_fired(void *arg)
{
	(void)arg;
	return fired;
}

static bool wall_is(void *arg)
{
	return loop_now_ms(loop_here()) == *(int64_t *)arg;
}

static void bad_files(const char *dir, char *path, size_t size)
{
	struct errbuf eb;
	errbuf_init(&eb);
	snprintf(path, size, "%s/clock", dir);
	TAP_OK(clock_test_open(path, &eb) == ERR_IO && eb.text[0]);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	TAP_OK(fd >= 0 && clock_test_open(path, NULL) == ERR_MALFORMED);
	char zero[56] = "";
	TAP_OK(write(fd, zero, sizeof(zero)) == sizeof(zero));
	tap_ok(clock_test_open(path, NULL) == ERR_MALFORMED && !clock_is_test(),
	    "what is no clock is refused");
}

static void readings(void)
{
	set((struct times){ -5 * SEC - 1, 7 * SEC, 0, 0 });
	TAP_OK(clock_mono_ns() == (uint64_t)(7 * SEC));
	tap_is_i64(clock_wall_ms(), -5001, "a time before the epoch is rounded down");
	set((struct times){ 100 * SEC, 9 * SEC, 0, 0 });
	int64_t wall;
	uint64_t mono;
	clock_both(&wall, &mono);
	tap_ok(wall == 100000 && mono == (uint64_t)(9 * SEC), "both clocks say what the file says");
	set((struct times){ 200 * SEC, 8 * SEC, 0, 0 });
	tap_ok(clock_wall_ms() == 200000 && clock_mono_ns() == (uint64_t)(9 * SEC),
	    "wall time goes anywhere, monotonic time never back");
	uint64_t real = clock_real_mono_ns();
	set((struct times){ 0, 10 * SEC, 2000000000, 1000000000 });
	usleep(20000);
	wall = clock_wall_ms();
	mono = clock_mono_ns() - (uint64_t)(10 * SEC);
	uint64_t passed = clock_real_mono_ns() - real;
	tap_ok(mono >= (uint64_t)(19 * SEC) && mono <= passed * 1000 && wall >= 39000 &&
	        wall <= (int64_t)(passed * 2000 / 1000000),
	    "each at its own speed: %lld ms, %llu ms", (long long)wall,
	    (unsigned long long)(mono / 1000000));
}

static void timers(void)
{
	struct testteam tt;
	int64_t at = 5;
	set((struct times){ SEC, 1000 * SEC, 0, 0 });
	testteam_start(&tt, 2);
	testteam_run(&tt, 1, hour_set, NULL);
	usleep(20000);
	set((struct times){ 5000000, 4599 * SEC, 0, 0 });
	TAP_OK(testteam_wait(&tt, 1, wall_is, &at, TESTTEAM_LONG_MS) &&
	    !testteam_wait(&tt, 1, has_fired, NULL, 20));
	set((struct times){ 5000000, 4600 * SEC, 0, 0 });
	uint64_t real = clock_real_mono_ns();
	tap_ok(testteam_wait(&tt, 1, has_fired, NULL, TESTTEAM_LONG_MS),
	    "a timer of an hour fires when the clock jumps there");
	tap_note("%llu us later", (unsigned long long)((clock_real_mono_ns() - real) / 1000));
	testteam_stop(&tt);
}

int main(void)
{
	char path[4096], *dir = testlib_tmpdir("testclock");
	bad_files(dir, path, sizeof(path));
	set((struct times){ -5 * SEC - 1, 7 * SEC, 0, 0 });
	TAP_OK(clock_test_open(path, NULL) == ERR_OK && clock_is_test());
	readings();
	timers();
	close(fd);
	testlib_rmtree(dir);
	free(dir);
	return tap_done();
}
