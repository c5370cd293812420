#include "core/base/clock.h"
#include "tests/lib/tap.h"

int main(void)
{
	int64_t w = clock_wall_ms();
	uint64_t m = clock_mono_ns();
	tap_ok(w > 1500000000000, "the wall clock is in milliseconds of this century");
	TAP_OK(clock_mono_ns() >= m && !clock_is_fake());
	clock_fake(1000);
	TAP_OK(clock_is_fake() && clock_wall_ms() == 1000);
	m = clock_mono_ns();
	TAP_OK(clock_mono_ns() == m);
	clock_fake_advance(5000);
	TAP_OK(clock_wall_ms() == 6000);
	tap_is_u64(clock_mono_ns() - m, 5000000000u, "both clocks move together");
	uint64_t r = clock_real_mono_ns();
	while (clock_real_mono_ns() == r)
		;
	tap_ok(clock_mono_ns() - m == 5000000000u, "the real one goes on, the faked ones stand");
	clock_fake_step_wall(-6000);
	TAP_OK(clock_wall_ms() == 0 && clock_mono_ns() - m == 5000000000u);
	int64_t wall;
	uint64_t mono;
	clock_both(&wall, &mono);
	tap_ok(wall == 0 && mono == clock_mono_ns(),
	    "the wall clock steps alone; both are read at once");
	clock_fake(-5);
	tap_is_i64(clock_wall_ms(), -5, "time before the epoch is a time");
	return tap_done();
}
