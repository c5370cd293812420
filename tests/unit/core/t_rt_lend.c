/* Work that is lent: by a loop that is busy, to one that is not, and home again. */
#include <unistd.h>

#include "core/base/clock.h"
#include "core/rt/lend.h"
#include "tests/lib/tap.h"
#include "tests/lib/testteam.h"

#define TRIES 20000u

static struct testteam tt;
static struct piece {
	struct lend lend;
	struct mbox_msg home;
	unsigned ran_on, came_to;
	bool out;
} pieces[8];
/* Of loop 0. */
static unsigned lent, back, wrong;
static bool spinning;

static void came_home(struct mbox_msg *msg)
{
	struct piece *p = CONTAINER_OF(msg, struct piece, home);
	p->came_to = loop_index(loop_here());
	p->out = false;
	wrong += p->ran_on != 1 || p->came_to != 0;
	back++;
}

static void run_lent(struct lend *l)
{
	struct piece *p = CONTAINER_OF(l, struct piece, lend);
	p->ran_on = loop_index(loop_here());
	p->home.fn = came_home;
	loop_send(l->home, &p->home);
}

/* Works all the time, and lends what it can. */
static void spin(struct loop_deferred *d)
{
	uint64_t end_ns = clock_real_mono_ns() + 50000;
	while (clock_real_mono_ns() < end_ns)
		;
	for (size_t i = 0; i < COUNT_OF(pieces); i++)
		if (!pieces[i].out && lend(&pieces[i].lend, run_lent)) {
			pieces[i].out = true;
			lent++;
		}
	if (spinning)
		loop_defer(loop_here(), d);
}

static struct loop_deferred spinner = { .fn = spin };

static void spin_begin(void *arg)
{
	(void)arg;
	spinning = true;
	loop_defer(loop_here(), &spinner);
}

static void spin_end(void *arg)
{
	(void)arg;
	spinning = false;
}

static bool enough(void *arg)
{
	(void)arg;
	return back >= 100;
}

static bool all_back(void *arg)
{
	(void)arg;
	return back == lent;
}

static void try_idle(void *arg)
{
	bool *got = arg;
	*got = lend(&pieces[0].lend, run_lent);
	lent += *got;
}

/* Is there a moment at which the loop keeps its work? An idle one has many. */
static bool idle_keeps(unsigned loop)
{
	bool got = true;
	for (unsigned i = 0; i < TRIES && got; i++) {
		usleep(20000);
		testteam_run(&tt, loop, try_idle, &got);
		testteam_wait(&tt, 0, all_back, NULL, TESTTEAM_LONG_MS);
	}
	return !got;
}

int main(void)
{
	testteam_start(&tt, 2);
	tap_ok(idle_keeps(0), "an idle loop lends nothing");
	testteam_run(&tt, 0, spin_begin, NULL);
	tap_ok(testteam_wait(&tt, 0, enough, NULL, TESTTEAM_LONG_MS),
	    "a busy one lends, and gets it back");
	testteam_run(&tt, 0, spin_end, NULL);
	tap_ok(testteam_wait(&tt, 0, all_back, NULL, TESTTEAM_LONG_MS), "all of it comes home");
	tap_is_u64(wrong, 0, "and ran on the other loop");
	tap_ok(idle_keeps(0), "when it is idle again, it keeps its work");
	testteam_stop(&tt);
	testteam_start(&tt, 1);
	lent = back = 0;
	testteam_run(&tt, 0, spin_begin, NULL);
	usleep(50000);
	testteam_run(&tt, 0, spin_end, NULL);
	testteam_stop(&tt);
	tap_is_u64(lent, 0, "one loop alone has nobody to lend to");
	return tap_done();
}
