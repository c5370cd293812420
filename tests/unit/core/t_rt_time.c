/* Timers on the real clock: never early, not much late; and the histogram of turns counts. */
#include "core/base/metric.h"
#include "tests/lib/tap.h"
#include "tests/lib/testteam.h"

#define PROBES 20
struct probe {
	struct loop_timer t;
	uint64_t want_ns, got_ns;
};
static struct probe probes[PROBES];
static unsigned fired;

static void probe_fired(struct loop_timer *t)
{
	struct probe *p = CONTAINER_OF(t, struct probe, t);
	p->got_ns = clock_real_mono_ns();
	fired++;
}

static void probes_set(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < PROBES; i++) {
		loop_timer_init(&probes[i].t, probe_fired);
		loop_timer_set(loop_here(), &probes[i].t, i * 10);
		probes[i].want_ns = loop_now_ns(loop_here()) + i * UINT64_C(10000000);
	}
}

static bool all_fired(void *arg)
{
	(void)arg;
	return fired == PROBES;
}

static double turns, busy, longest, longest_of_2;
static void turn_count(void *arg, const struct metric_value *v)
{
	(void)arg;
	if (!strcmp(v->name, "kymo_loop_turn_seconds_count"))
		turns = v->value;
	if (!strcmp(v->name, "kymo_loop_busy_seconds_total") && !strcmp(v->labels, "loop=\"1\""))
		busy = v->value;
	if (!strcmp(v->name, "kymo_loop_longest_turn_seconds") && !strcmp(v->labels, "loop=\"0\""))
		longest = v->value;
	if (!strcmp(v->name, "kymo_loop_longest_turn_seconds") && !strcmp(v->labels, "loop=\"1\""))
		longest_of_2 = v->value;
}

static void nothing(void *arg)
{
	(void)arg;
}

static void turn_long(void *arg)
{
	usleep(*(unsigned *)arg);
}

int main(void)
{
	struct testteam tt;
	testteam_start(&tt, 1);
	testteam_run(&tt, 0, probes_set, NULL);
	usleep(PROBES * 10000 + 50000);
	tap_ok(testteam_wait(&tt, 0, all_fired, NULL, TESTTEAM_LONG_MS),
	    "timers fire on the real clock");
	testteam_stop(&tt);
	unsigned early = 0;
	uint64_t late_ns = 0;
	for (unsigned i = 0; i < PROBES; i++) {
		early += probes[i].got_ns < probes[i].want_ns;
		if (probes[i].got_ns - probes[i].want_ns > late_ns)
			late_ns = probes[i].got_ns - probes[i].want_ns;
	}
	tap_is_u64(early, 0, "none of them early");
	tap_note("latest: %.1f ms late", (double)late_ns / 1e6);
	metric_each(turn_count, NULL);
	tap_ok(turns >= 2, "turns are counted");
	/* A turn of the first may stand still: then the second has a longer one. */
	for (unsigned us = 60000; longest_of_2 <= longest && us < 30000000; us *= 4) {
		testteam_start(&tt, 2);
		testteam_run(&tt, 1, turn_long, &us);
		testteam_run(&tt, 1, nothing, NULL);
		testteam_stop(&tt);
		longest = longest_of_2 = 0;
		metric_each(turn_count, NULL);
	}
	tap_ok(busy >= 0.06 && longest_of_2 >= 0.06 && longest < longest_of_2,
	    "by loop, too: the second one was busy for %.3f s, its longest turn was %.3f s, that of the first %.3f s",
	    busy, longest_of_2, longest);
	return tap_done();
}
