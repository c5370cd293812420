/* Jobs: turns of classes, groups and jobs; sleep and wake, cancel. */
#include "core/rt/job.h"

#include <unistd.h>

#include "core/base/clock.h"
#include "tests/lib/tap.h"
#include "tests/lib/testteam.h"

#define RUNS_MAX 8000
static char trace[RUNS_MAX];
static unsigned trace_len;

struct worker {
	struct job j;
	char name;
	unsigned slices, left;
	bool ended;
};

static enum job_state worker_fn(struct job *j)
{
	struct worker *w = CONTAINER_OF(j, struct worker, j);
	w->slices++;
	if (trace_len < RUNS_MAX)
		trace[trace_len++] = w->name;
	while (!job_should_yield())
		;
	if (j->cancel || !--w->left) {
		w->ended = true;
		return JOB_DONE;
	}
	return JOB_YIELD;
}

static struct worker q1, q2, w1, w2;

static void start_all(void *arg)
{
	(void)arg;
	struct loop *l = loop_here();
	q1 = (struct worker){ .name = 'q', .left = 50 };
	q2 = (struct worker){ .name = 'r', .left = 50 };
	w1 = (struct worker){ .name = 'w', .left = 150 };
	w2 = (struct worker){ .name = 'x', .left = 150 };
	job_init(&q1.j, JOB_QUERY, worker_fn);
	job_init(&q2.j, JOB_QUERY, worker_fn);
	job_init(&w1.j, JOB_WRITE, worker_fn);
	job_init(&w2.j, JOB_WRITE, worker_fn);
	job_start(l, &q1.j);
	job_start(l, &q2.j);
	job_start(l, &w1.j);
	job_start(l, &w2.j);
}

static bool all_ended(void *arg)
{
	(void)arg;
	return q1.ended && q2.ended && w1.ended && w2.ended;
}

static void classes_share(struct testteam *tt)
{
	testteam_run(tt, 0, start_all, NULL);
	tap_ok(testteam_wait(tt, 0, all_ended, NULL, TESTTEAM_LONG_MS), "four jobs run to their end");
	tap_is_u64(trace_len, 400, "in 400 slices");
	unsigned wrong = 0, writes = 0;
	for (unsigned i = 0; i < trace_len; i++) {
		bool write = trace[i] == 'w' || trace[i] == 'x';
		writes += write;
		/* Of every four slices three are writes, as long as both wait. */
		if (i % 4 == 3 && i < 390) {
			wrong += writes != 3;
			writes = 0;
		}
	}
	tap_is_u64(wrong, 0, "three slices of writes for one of queries");
	char last_q = 0, last_w = 0;
	wrong = 0;
	for (unsigned i = 0; i < 380; i++) {
		bool write = trace[i] == 'w' || trace[i] == 'x';
		char *last = write ? &last_w : &last_q;
		wrong += trace[i] == *last;
		*last = trace[i];
	}
	tap_is_u64(wrong, 0, "jobs of one class take turns");
}

/* ---- groups ---- */

#define CROWD 2000
static struct worker crowd[CROWD], alone, heavy, write_one;
static int groups[2];

static void start_groups(void *arg)
{
	struct loop *l = loop_here();
	(void)arg;
	trace_len = 0;
	for (unsigned i = 0; i < CROWD; i++) {
		crowd[i] = (struct worker){ .name = 'c', .left = 2 };
		job_init(&crowd[i].j, JOB_QUERY, worker_fn);
		job_group(&crowd[i].j, &groups[0]);
		job_start(l, &crowd[i].j);
	}
	alone = (struct worker){ .name = 'a', .left = 100 };
	job_init(&alone.j, JOB_QUERY, worker_fn);
	job_group(&alone.j, &groups[1]);
	job_start(l, &alone.j);
	q1 = (struct worker){ .name = 'n', .left = 100 };
	job_init(&q1.j, JOB_QUERY, worker_fn);
	job_start(l, &q1.j);
}

static bool two_ended(void *arg)
{
	(void)arg;
	return alone.ended && q1.ended;
}

static bool crowd_ended(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < CROWD; i++)
		if (!crowd[i].ended)
			return false;
	return true;
}

static unsigned traced(char name, unsigned from, unsigned to)
{
	unsigned n = 0;
	for (unsigned i = from; i < to; i++)
		n += trace[i] == name;
	return n;
}

static void groups_share(struct testteam *tt)
{
	job_yield_always(true);
	testteam_run(tt, 0, start_groups, NULL);
	tap_ok(testteam_wait(tt, 0, two_ended, NULL, TESTTEAM_LONG_MS), "two run beside a crowd");
	tap_ok(traced('c', 0, 300) == 100 && traced('a', 0, 300) == 100,
	    "a crowd of 2,000 gets as much as one: %u of 300 slices", traced('c', 0, 300));
	tap_ok(testteam_wait(tt, 0, crowd_ended, NULL, TESTTEAM_LONG_MS), "the crowd ends, too");
	unsigned wrong = 0;
	for (unsigned i = 0; i < CROWD; i++)
		wrong += crowd[i].slices != 2;
	tap_is_u64(wrong, 0, "each of it had its turns");
	job_yield_always(false);
}

static void start_classes(void *arg)
{
	struct loop *l = loop_here();
	(void)arg;
	trace_len = 0;
	write_one = (struct worker){ .name = 'w', .left = 600 };
	alone = (struct worker){ .name = 'a', .left = 200 };
	heavy = (struct worker){ .name = 'h', .left = 100 };
	job_init(&write_one.j, JOB_WRITE, worker_fn);
	job_init(&alone.j, JOB_QUERY, worker_fn);
	job_init(&heavy.j, JOB_QUERY, worker_fn);
	job_group(&alone.j, &groups[0]);
	job_group(&heavy.j, &groups[0]);
	job_set_class(&heavy.j, JOB_QUERY_HEAVY);
	job_start(l, &heavy.j);
	job_start(l, &alone.j);
	job_start(l, &write_one.j);
}

static bool three_ended(void *arg)
{
	(void)arg;
	return write_one.ended && alone.ended && heavy.ended;
}

static void weights(struct testteam *tt)
{
	job_yield_always(true);
	testteam_run(tt, 0, start_classes, NULL);
	tap_ok(testteam_wait(tt, 0, three_ended, NULL, TESTTEAM_LONG_MS), "three classes end");
	unsigned wrong = 0;
	for (unsigned i = 0; i + 9 <= 891; i += 9)
		wrong += traced('w', i, i + 9) != 6 || traced('a', i, i + 9) != 2;
	tap_is_u64(wrong, 0, "six writes, two small ones and a heavy one of every nine slices");
	job_yield_always(false);
}

/* Its class changes while it runs; from then on it is one of the others. */
static enum job_state changes_fn(struct job *j)
{
	struct worker *w = CONTAINER_OF(j, struct worker, j);
	w->slices++;
	trace[trace_len++] = w->name;
	if (w->slices == 5)
		job_set_class(j, JOB_QUERY_HEAVY);
	w->ended = !--w->left;
	return w->ended ? JOB_DONE : JOB_YIELD;
}

static void start_change(void *arg)
{
	(void)arg;
	trace_len = 0;
	alone = (struct worker){ .name = 'a', .left = 100 };
	heavy = (struct worker){ .name = 'h', .left = 50 };
	job_init(&alone.j, JOB_QUERY, worker_fn);
	job_init(&heavy.j, JOB_QUERY, changes_fn);
	job_group(&alone.j, &groups[0]);
	job_group(&heavy.j, &groups[0]);
	job_start(loop_here(), &alone.j);
	job_start(loop_here(), &heavy.j);
}

static bool both_ended(void *arg)
{
	(void)arg;
	return alone.ended && heavy.ended;
}

static void class_changes(struct testteam *tt)
{
	job_yield_always(true);
	testteam_run(tt, 0, start_change, NULL);
	tap_ok(testteam_wait(tt, 0, both_ended, NULL, TESTTEAM_LONG_MS), "both end");
	tap_ok(traced('h', 0, 10) == 5 && traced('h', 10, 100) == 30,
	    "half of the turns while small, a third when heavy: %u, %u", traced('h', 0, 10),
	    traced('h', 10, 100));
	job_yield_always(false);
}

/*
 * Two queries and a write. One query is scans, a coordinator and the making of an answer: all of
 * that is one turn of nine slices, as the single job of the other one is.
 */
static struct worker whole[5];

static void start_whole(void *arg)
{
	struct loop *l = loop_here();
	(void)arg;
	trace_len = 0;
	for (unsigned i = 0; i < COUNT_OF(whole); i++) {
		whole[i] = (struct worker){ .name = 'c', .left = 40 };
		job_init(&whole[i].j, JOB_QUERY, worker_fn);
		job_group(&whole[i].j, &groups[0]);
		job_start(l, &whole[i].j);
	}
	alone = (struct worker){ .name = 'a', .left = 150 };
	write_one = (struct worker){ .name = 'w', .left = 900 };
	job_init(&alone.j, JOB_QUERY, worker_fn);
	job_group(&alone.j, &groups[1]);
	job_init(&write_one.j, JOB_WRITE, worker_fn);
	job_start(l, &alone.j);
	job_start(l, &write_one.j);
}

static bool whole_ended(void *arg)
{
	bool ended = write_one.ended && alone.ended;
	(void)arg;
	for (unsigned i = 0; i < COUNT_OF(whole); i++)
		ended &= whole[i].ended;
	return ended;
}

static void a_query_is_one(struct testteam *tt)
{
	job_yield_always(true);
	testteam_run(tt, 0, start_whole, NULL);
	tap_ok(testteam_wait(tt, 0, whole_ended, NULL, TESTTEAM_LONG_MS),
	    "two queries and a write end");
	unsigned row = 0, worst = 0, wrong = 0;
	char last = 0;
	for (unsigned i = 0; i < 1100; i++) {
		row = trace[i] == 'w' ? 0 : row + 1;
		worst = row > worst ? row : worst;
		if (trace[i] == 'w')
			continue;
		wrong += trace[i] == last;
		last = trace[i];
	}
	tap_is_u64(worst, 1, "after each slice of a query it is the write's turn");
	tap_is_u64(wrong, 0, "five jobs of a query and the only one of another take turns");
	job_yield_always(false);
}

/* ---- dropped jobs ---- */

static void drop_some(void *arg)
{
	(void)arg;
	/*
	 * The leader of a group, two of its mates, one that is all of its group, one of no group.
	 */
	for (unsigned i = 0; i < COUNT_OF(whole); i += 2)
		job_drop(&whole[i].j);
	job_drop(&alone.j);
	job_drop(&q1.j);
	memset(&whole[0], 0xa5, sizeof(whole[0])); /* it may be freed */
	memset(&alone, 0xa5, sizeof(alone));
}

static void start_and_drop(void *arg)
{
	start_whole(arg);
	q1 = (struct worker){ .name = 'q', .left = 10 };
	job_init(&q1.j, JOB_QUERY, worker_fn);
	job_start(loop_here(), &q1.j);
	drop_some(arg);
}

static bool rest_ended(void *arg)
{
	(void)arg;
	return whole[1].ended && whole[3].ended && write_one.ended;
}

static void drops(struct testteam *tt)
{
	job_yield_always(true);
	testteam_run(tt, 0, start_and_drop, NULL);
	tap_ok(testteam_wait(tt, 0, rest_ended, NULL, TESTTEAM_LONG_MS),
	    "what is not dropped runs to its end");
	tap_ok(traced('c', 0, trace_len) == 80 && !traced('a', 0, trace_len) &&
	        !traced('q', 0, trace_len),
	    "what is dropped does not run: %u slices", traced('c', 0, trace_len));
	testteam_run(tt, 0, start_whole, NULL);
	tap_ok(testteam_wait(tt, 0, whole_ended, NULL, TESTTEAM_LONG_MS) &&
	        traced('c', 0, trace_len) == 200,
	    "and the queues are as they were");
	job_yield_always(false);
}

/* ---- sleep, wake, cancel ---- */

struct sleeper {
	struct job j;
	unsigned runs;
	bool wake_inside, ended;
};

static enum job_state sleeper_fn(struct job *j)
{
	struct sleeper *s = CONTAINER_OF(j, struct sleeper, j);
	s->runs++;
	if (j->cancel) {
		s->ended = true;
		return JOB_DONE;
	}
	if (s->wake_inside) {
		s->wake_inside = false;
		job_wake(j);
	}
	return JOB_WAIT;
}

static void sleeper_start(void *arg)
{
	struct sleeper *s = arg;
	job_init(&s->j, JOB_QUERY, sleeper_fn);
	job_start(loop_here(), &s->j);
}

static void sleeper_wake(void *arg)
{
	struct sleeper *s = arg;
	job_wake(&s->j);
	job_wake(&s->j);
}

static void sleeper_cancel(void *arg)
{
	struct sleeper *s = arg;
	s->j.cancel = true;
	job_wake(&s->j);
}

static void nothing(void *arg)
{
	(void)arg;
}

/* Two calls: the jobs of the turn of the first have run when the second is answered. */
static void settle(struct testteam *tt)
{
	testteam_run(tt, 0, nothing, NULL);
	testteam_run(tt, 0, nothing, NULL);
}

static void sleep_and_wake(struct testteam *tt)
{
	struct sleeper s = { .wake_inside = true };
	testteam_run(tt, 0, sleeper_start, &s);
	settle(tt);
	tap_is_u64(s.runs, 2, "a wake that comes while the job runs is not lost");
	settle(tt);
	tap_is_u64(s.runs, 2, "a waiting job sleeps");
	testteam_run(tt, 0, sleeper_wake, &s);
	settle(tt);
	tap_is_u64(s.runs, 3, "two wakes are one run");
	testteam_run(tt, 0, sleeper_cancel, &s);
	settle(tt);
	tap_ok(s.ended && s.runs == 4, "a cancelled job learns of it at its next slice");
	testteam_run(tt, 0, sleeper_wake, &s);
	settle(tt);
	tap_is_u64(s.runs, 4, "waking a job that is done does nothing");
}

static void worker_start(void *arg)
{
	struct worker *w = arg;
	*w = (struct worker){ .name = 'm', .left = UINT32_MAX };
	job_init(&w->j, JOB_QUERY, worker_fn);
	job_start(loop_here(), &w->j);
}

static void worker_cancel(void *arg)
{
	struct worker *w = arg;
	w->j.cancel = true;
}

/* ---- a slice that is far too long ---- */

struct dawdler {
	struct job j;
	bool ended;
};

static enum job_state dawdler_fn(struct job *j)
{
	uint64_t end = clock_real_mono_ns() + 25000000;
	while (clock_real_mono_ns() < end)
		;
	CONTAINER_OF(j, struct dawdler, j)->ended = true;
	return JOB_DONE;
}

static void dawdler_start(void *arg)
{
	struct dawdler *d = arg;
	job_init(&d->j, JOB_QUERY, dawdler_fn);
	d->j.what = "sum(\"x\" + up) and more";
	d->j.what_len = strlen("sum(\"x\" + up)");
	job_start(loop_here(), &d->j);
}

static void long_slices_are_told(struct testteam *tt)
{
	struct dawdler d = { .ended = false };
	char text[1000] = "";
	FILE *f = tmpfile();
	int saved = dup(2);
	CHECK(f);
	dup2(fileno(f), 2);
	testteam_run(tt, 0, dawdler_start, &d);
	settle(tt);
	dup2(saved, 2);
	close(saved);
	CHECK(d.ended && pread(fileno(f), text, sizeof(text) - 1, 0) >= 0);
	fclose(f);
	tap_ok(strstr(text, "event=job_slice_long took_us=") &&
	        strstr(text, " class=query what=\"sum(\\\"x\\\" + up)\"\n"),
	    "a slice of 25 ms is told, with what it worked for: %s", text);
}

static void runs_beside_mail(struct testteam *tt)
{
	struct worker w;
	testteam_run(tt, 0, worker_start, &w);
	uint64_t start_ns = clock_real_mono_ns(), worst_ns = 0;
	for (unsigned i = 0; i < 100; i++) {
		uint64_t a = clock_real_mono_ns();
		testteam_run(tt, 0, nothing, NULL);
		uint64_t took_ns = clock_real_mono_ns() - a;
		worst_ns = took_ns > worst_ns ? took_ns : worst_ns;
	}
	tap_note("100 calls beside an endless job took %.1f ms, the longest %.1f ms",
	    (double)(clock_real_mono_ns() - start_ns) / 1e6, (double)worst_ns / 1e6);
	testteam_run(tt, 0, worker_cancel, &w);
	settle(tt);
	tap_ok(w.slices >= 50, "an endless job and mail run side by side");
	tap_ok(w.ended, "and the job ends when cancelled");
}

int main(void)
{
	struct testteam tt;
	testteam_start(&tt, 1);
	long_slices_are_told(&tt); /* first: the line comes once in a while only */
	classes_share(&tt);
	groups_share(&tt);
	weights(&tt);
	class_changes(&tt);
	a_query_is_one(&tt);
	drops(&tt);
	sleep_and_wake(&tt);
	runs_beside_mail(&tt);
	job_yield_always(true);
	trace_len = 0;
	testteam_run(&tt, 0, start_all, NULL);
	tap_ok(testteam_wait(&tt, 0, all_ended, NULL, TESTTEAM_LONG_MS) && trace_len == 400,
	    "with the test knob every question is answered by yes");
	job_yield_always(false);
	testteam_stop(&tt);
	return tap_done();
}
