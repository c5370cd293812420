/* core/account/throttle: bursts pass, a queue that stays brings a limit, which follows and goes. */
#include "core/account/throttle.h"
#include "core/base/check.h"
#include "tests/lib/tap.h"

#define MS UINT64_C(1000000)

static uint64_t now = 1000 * MS;
static unsigned refused;

/* So many come in a window, each after such a wait; as many as may begin, and end in it. */
static unsigned window(struct throttle *t, unsigned n, uint64_t wait_ns)
{
	unsigned begun = 0;
	refused = 0;
	for (unsigned i = 0; i < n; i++) {
		if (throttle_may(t, now, wait_ns)) {
			throttle_begin(t);
			begun++;
		} else {
			throttle_refused(t, now);
			refused++;
		}
	}
	now += THROTTLE_WINDOW_NS;
	for (unsigned i = 0; i < begun; i++)
		throttle_end(t, now);
	return begun;
}

static void bursts(void)
{
	struct throttle t = { 0 };
	bool all = true;
	for (unsigned i = 0; i < 100; i++)
		all &= window(&t, 1000, 0) == 1000;
	tap_ok(all && !t.limit, "as long as nobody waits there is no limit");
	for (unsigned i = 0; i < 20; i++) {
		all &= window(&t, 1000, 200 * MS) == 1000 && window(&t, 1000, 100 * MS) == 1000;
		all &= window(&t, 10, MS) == 10;
	}
	tap_ok(all && !t.limit, "nor for bursts that are worked off");
	for (unsigned i = 0; i < 20; i++) {
		all &= window(&t, 1000, 200 * MS) == 1000;
		now += 5000 * MS;
	}
	tap_ok(all && !t.limit, "nor for those that come now and then");
	tap_is_u64(t.under_way, 0, "nobody is under way");
}

static void overload(void)
{
	struct throttle t = { 0 };
	unsigned windows = 0;
	for (; !t.limit && windows < 100; windows++)
		window(&t, 400, 100 * MS);
	tap_ok(windows >= THROTTLE_WINDOWS && windows <= THROTTLE_WINDOWS + 2,
	    "a queue that stays brings a limit: %u windows", windows);
	/* 400 are done in a window: that is the least limit as long as it is so. */
	for (unsigned i = 0; i < 20; i++)
		window(&t, 4000, 100 * MS);
	tap_ok(t.limit >= 100 && t.limit <= 400, "which is not less than what is done: %u", t.limit);
	TAP_OK(refused == 4000 - t.limit || refused > 3000);
	unsigned low = t.limit;
	for (unsigned i = 0; i < 5; i++)
		window(&t, 4000, 15 * MS);
	tap_is_u64(t.limit, low, "it stays as long as waits are as they should be");
	for (unsigned i = 0; i < 5; i++)
		window(&t, 4000, MS);
	tap_ok(t.limit > low, "it grows when nobody waits and some are refused: %u", t.limit);
	low = t.limit;
	for (unsigned i = 0; i < 5; i++)
		window(&t, 10, MS);
	tap_is_u64(t.limit, low, "but not when nobody is");
	for (unsigned i = 0; i < 20; i++)
		window(&t, 10, MS);
	tap_is_u64(t.limit, 0, "it goes when nobody was refused for a while");
}

/* What waits for something else (a disk) is no reason. */
static void long_ones(void)
{
	struct throttle t = { 0 };
	for (unsigned i = 0; i < 5000; i++) {
		if (throttle_may(&t, now, MS))
			throttle_begin(&t);
		now += 10 * MS;
	}
	tap_ok(!t.limit && t.under_way == 5000, "how long they take does not matter");
	for (unsigned i = 0; i < 5000; i++)
		throttle_end(&t, now);
}

static void some_at_least(void)
{
	struct throttle t = { 0 };
	for (unsigned i = 0; i < 100; i++) {
		(void)throttle_may(&t, now, 1000 * MS);
		now += THROTTLE_WINDOW_NS;
	}
	tap_is_u64(t.limit, THROTTLE_LEAST, "a few may always be under way");
	for (unsigned i = 0; i < THROTTLE_LEAST; i++) {
		CHECK(throttle_may(&t, now, 1000 * MS));
		throttle_begin(&t);
	}
	tap_ok(!throttle_may(&t, now, 1000 * MS), "and no more");
	for (unsigned i = 0; i < THROTTLE_LEAST; i++)
		throttle_end(&t, now);
}

int main(void)
{
	bursts();
	overload();
	long_ones();
	some_at_least();
	return tap_done();
}
