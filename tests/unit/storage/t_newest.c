#include "storage/newest.h"

#include "tests/lib/tap.h"

#define HR  INT64_C(3600000)
#define DAY (24 * HR)
#define NOW (1000 * DAY)
#define SEC UINT64_C(1000000000)

static void one_tenant(void)
{
	struct newest n = { 0 };
	TAP_OK(newest_cutoff(&n, 5, NOW, DAY, 9) == INT64_MIN);
	(void)newest_tell(&n, 5, false, NOW - 3 * HR, 5);
	(void)newest_tell(&n, 0, false, NOW, 5);
	tap_ok(newest_cutoff(&n, 5, NOW, DAY, 9) == NOW - 3 * HR - DAY &&
	        newest_cutoff(&n, 5, NOW - 5 * HR, DAY, 9) == NOW - 5 * HR - DAY,
	    "a tenant's retention counts from its own newest sample, not beyond the clock");
	(void)newest_tell(&n, 5, true, NOW - 4 * HR, 5);
	tap_ok(
	    newest_cutoff(&n, 5, NOW, DAY, 9) == NOW - 4 * HR - DAY, "of the class that is behind");
	tap_ok(newest_cutoff(&n, 5, NOW, DAY, 2 * NEWEST_SILENT_NS) == NOW - DAY,
	    "one that is silent goes by the store's");
	newest_release(&n);
}

static void telling(void)
{
	struct newest n = { 0 }, m = { 0 };
	TAP_OK(newest_get(&n, 0, false) == NEWEST_NONE && newest_senders(&n) == NEWEST_NONE &&
	    newest_own(&n) == NEWEST_NONE);
	TAP_OK(!newest_tell(&n, 0, false, NEWEST_NONE, 5) && n.count == 0);
	TAP_OK(newest_tell(&n, 0, true, NOW, 5) && newest_get(&n, 0, false) == NEWEST_NONE);
	TAP_OK(newest_tell(&n, 0, false, 100, 5) && !newest_tell(&n, 0, false, 99, 9) &&
	    !newest_tell(&n, 0, false, 100, 7));
	tap_ok(newest_get(&n, 0, false) == 100 && n.classes[1].heard_ns == 9,
	    "a time only goes up, and what was heard last is known");
	for (uint32_t t = 1; t < 20; t++)
		(void)newest_tell(&n, t, false, t * 1000, 1);
	tap_ok(newest_senders(&n) == 19000 && newest_own(&n) == NOW, "senders and own stay apart");
	newest_tell_all(&m, &n, 77);
	tap_ok(m.count == n.count && newest_get(&m, 7, false) == 7000 &&
	        newest_get(&m, 0, true) == NOW && m.classes[3].heard_ns == 77 &&
	        newest_is_silent(&m.classes[0], 2 * NEWEST_SILENT_NS),
	    "all of it is told");
	TAP_OK(newest_bounded(NEWEST_NONE, 5) == NEWEST_NONE && newest_bounded(7, 5) == 5 &&
	    newest_bounded(4, 5) == 4);
	newest_release(&n);
	newest_release(&m);
	TAP_OK(!n.count && !n.classes);
}

static struct newest_cutoffs cut(const struct newest *n, uint64_t now_s)
{
	return newest_cutoffs(n, NOW, 30 * DAY, now_s * SEC);
}

static void cutoffs(void)
{
	struct newest n = { 0 };
	struct newest_cutoffs c = cut(&n, 1);
	tap_ok(c.own_ms == INT64_MIN && c.all_ms == INT64_MIN, "nothing known: nothing goes");
	(void)newest_tell(&n, 0, true, NOW - HR, 0);
	c = cut(&n, 1);
	tap_ok(c.own_ms == NOW - HR - 30 * DAY && c.all_ms == INT64_MIN,
	    "own metrics expire by themselves, and take nobody along");
	(void)newest_tell(&n, 0, false, NOW - 20 * DAY, 0);
	c = cut(&n, 1);
	tap_ok(c.own_ms == NOW - HR - 30 * DAY && c.all_ms == NOW - 50 * DAY,
	    "senders by their newest sample");
	(void)newest_tell(&n, 5, false, NOW + 20 * DAY, 0);
	c = cut(&n, 1);
	tap_ok(c.all_ms == NOW - 50 * DAY, "a file goes when it is past for all tenants");
	(void)newest_tell(&n, 5, false, NOW + 20 * DAY, 4000 * SEC);
	(void)newest_tell(&n, 0, true, NOW, 4000 * SEC);
	c = cut(&n, 4000);
	tap_ok(c.all_ms == NOW - 30 * DAY && c.own_ms == NOW - 30 * DAY,
	    "a silent tenant expires by the store's newest time, and that by the clock");
	(void)newest_tell(&n, 0, false, NOW - 20 * DAY, 3900 * SEC);
	tap_ok(cut(&n, 4000).all_ms == NOW - 50 * DAY,
	    "one that still loads old samples is not silent");
	(void)newest_tell(&n, 0, true, NOW + DAY, 4000 * SEC);
	tap_ok(cut(&n, 20000).own_ms == NOW - 30 * DAY && cut(&n, 20000).all_ms == NOW - 30 * DAY,
	    "all silent");
	newest_release(&n);
	(void)newest_tell(&n, 0, false, NOW - 9 * DAY, 0);
	tap_ok(cut(&n, 20000).all_ms == NOW - 39 * DAY,
	    "the only tenant, silent for long: nothing more goes");
	newest_release(&n);
	(void)newest_tell(&n, 0, false, NOW, 0);
	(void)newest_tell(&n, 0, true, NOW - 9 * DAY, 0);
	TAP_OK(cut(&n, 1).all_ms == NOW - 39 * DAY && cut(&n, 20000).all_ms == NOW - 30 * DAY);
	newest_release(&n);
}

int main(void)
{
	telling();
	one_tenant();
	cutoffs();
	return tap_done();
}
