#include "tests/lib/tap.h"
#include "tests/lib/testteam.h"

#include "core/base/arena.h"
#include "net/api/admit.h"

enum {
	LOOPS = 3,
	RUNNING = 4,
	QUEUED = 6,
	ASKERS = 30
};

static struct testteam tt;
static struct admit *admit;

struct asker {
	struct admit_ticket *ticket;
	bool answered;
	enum err verdict;
};
static struct asker askers[ASKERS];

static void answered(void *arg, enum err e)
{
	struct asker *a = arg;
	CHECK(!a->answered);
	a->answered = true;
	a->verdict = e;
	if (e)
		a->ticket = NULL;
}

static void ask(void *arg)
{
	struct asker *a = arg;
	*a = (struct asker){ 0 };
	admit_ask(admit, answered, a, &a->ticket);
}

static void give_back(void *arg)
{
	struct asker *a = arg;
	admit_return(a->ticket);
	a->ticket = NULL;
}

static void abandon(void *arg)
{
	struct asker *a = arg;
	if (a->answered && a->ticket)
		admit_return(a->ticket);
	else if (!a->answered)
		admit_abandon(a->ticket);
	a->ticket = NULL;
}

static unsigned loop_of(unsigned i)
{
	return i % LOOPS;
}

static void nothing(void *arg)
{
	(void)arg;
}

/* Messages under way have arrived after some turns of all loops. */
static void settle(void)
{
	for (int i = 0; i < 20; i++) {
		for (unsigned l = 0; l < LOOPS; l++)
			testteam_run(&tt, l, nothing, NULL);
		usleep(200);
	}
}

static unsigned count(bool has_answer, enum err e)
{
	unsigned n = 0;
	for (unsigned i = 0; i < ASKERS; i++)
		n += askers[i].answered == has_answer && (!has_answer || askers[i].verdict == e);
	return n;
}

static void everybody(void)
{
	for (unsigned i = 0; i < ASKERS; i++)
		testteam_run(&tt, loop_of(i), ask, &askers[i]);
	settle();
	tap_is_u64(count(true, ERR_OK), RUNNING, "so many run");
	tap_is_u64(count(false, ERR_OK), QUEUED, "so many wait");
	tap_is_u64(count(true, ERR_BUSY), ASKERS - RUNNING - QUEUED, "the rest is told to come back");
}

static void places_move_on(void)
{
	for (unsigned i = 0; i < ASKERS; i++) {
		if (askers[i].answered && !askers[i].verdict && askers[i].ticket) {
			testteam_run(&tt, loop_of(i), give_back, &askers[i]);
			break;
		}
	}
	settle();
	tap_is_u64(count(false, ERR_OK), QUEUED - 1, "a place given back goes to one that waits");
	for (unsigned i = 0; i < ASKERS; i++)
		if (!askers[i].answered)
			testteam_run(&tt, loop_of(i), abandon, &askers[i]);
	settle();
	unsigned holding = 0;
	for (unsigned i = 0; i < ASKERS; i++)
		holding += askers[i].ticket != NULL;
	tap_is_u64(holding, RUNNING, "those who abandon get no place");
	for (unsigned i = 0; i < ASKERS; i++)
		if (askers[i].ticket)
			testteam_run(&tt, loop_of(i), give_back, &askers[i]);
	settle();
	everybody();
	for (unsigned i = 0; i < ASKERS; i++)
		if (askers[i].ticket)
			testteam_run(&tt, loop_of(i), abandon, &askers[i]);
	settle();
}

/* Asking and abandoning in one turn crosses the answer on its way. */
static void ask_and_abandon(void *arg)
{
	ask(arg);
	abandon(arg);
}

static void crossing(void)
{
	for (unsigned round = 0; round < 200; round++) {
		for (unsigned i = 0; i < ASKERS; i++)
			testteam_run(
			    &tt, loop_of(i + round), round % 2 ? ask_and_abandon : ask, &askers[i]);
		for (unsigned i = 0; i < ASKERS && round % 2 == 0; i++)
			if (askers[i].ticket)
				testteam_run(&tt, loop_of(i + round), abandon, &askers[i]);
	}
	settle();
	everybody();
	for (unsigned i = 0; i < ASKERS; i++)
		if (askers[i].ticket)
			testteam_run(&tt, loop_of(i), abandon, &askers[i]);
	settle();
}

int main(void)
{
	testteam_start(&tt, LOOPS);
	admit = admit_create(tt.team, RUNNING, QUEUED);
	everybody();
	places_move_on();
	crossing();
	admit_free(admit);
	testteam_stop(&tt);
	return tap_done();
}
