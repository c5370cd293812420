/*
 * The work pool: lanes keep order and never overlap, reads pass, answers come home, a stop runs
 * what is queued.
 */
#include <pthread.h>

#include "tests/lib/tap.h"
#include "tests/lib/testteam.h"

#define TASKS 3000
#define LANES 5

struct task {
	struct work_task t;
	unsigned number;
	bool ran, came_home;
	struct loop *home;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned lane_next[LANES], lane_inside[LANES], overlaps, disorder;
static unsigned home_next[LANES], home_disorder, home_wrong_loop, home_count;

static void task_run(struct work_task *t)
{
	struct task *k = CONTAINER_OF(t, struct task, t);
	pthread_mutex_lock(&lock);
	if (t->lane) {
		overlaps += lane_inside[t->lane]++ > 0;
		disorder += lane_next[t->lane] != k->number;
		lane_next[t->lane] = k->number + 1;
	}
	pthread_mutex_unlock(&lock);
	if (k->number % 64 == 0)
		usleep(100);
	pthread_mutex_lock(&lock);
	lane_inside[t->lane]--;
	k->ran = true;
	pthread_mutex_unlock(&lock);
}

static void task_home(struct work_task *t)
{
	struct task *k = CONTAINER_OF(t, struct task, t);
	home_wrong_loop += loop_here() != k->home;
	k->came_home = true;
	home_count++;
	if (!t->lane)
		return;
	home_disorder += home_next[t->lane] != k->number;
	home_next[t->lane] = k->number + 1;
}

static struct task tasks[TASKS];
static struct testteam tt;

static void submit_all(void *arg)
{
	(void)arg;
	unsigned numbers[LANES] = { 0 };
	for (unsigned i = 0; i < TASKS; i++) {
		uint16_t lane = (uint16_t)(i % LANES);
		tasks[i] = (struct task){ .number = numbers[lane]++, .home = loop_here() };
		tasks[i].t.run = task_run;
		tasks[i].t.done = task_home;
		tasks[i].t.lane = lane;
		tasks[i].t.prio = i % 3 ? WORK_READ : WORK_BACKGROUND;
		work_submit(tt.pool, &tasks[i].t);
	}
}

static bool all_home(void *arg)
{
	(void)arg;
	return home_count == TASKS;
}

/* ---- the reserved worker ---- */

static pthread_cond_t gate_cond = PTHREAD_COND_INITIALIZER;
static bool gate_open;
static unsigned plain_done;

static void gate_run(struct work_task *t)
{
	(void)t;
	pthread_mutex_lock(&lock);
	while (!gate_open)
		pthread_cond_wait(&gate_cond, &lock);
	pthread_mutex_unlock(&lock);
}

static void quick_run(struct work_task *t)
{
	(void)t;
}

static void plain_home(struct work_task *t)
{
	(void)t;
	pthread_mutex_lock(&lock);
	plain_done++;
	pthread_cond_broadcast(&gate_cond);
	pthread_mutex_unlock(&lock);
}

static void reads_pass(void)
{
	struct work_task blocked[8],
	    read = { .run = quick_run, .done = plain_home, .prio = WORK_READ };
	for (unsigned i = 0; i < 8; i++) {
		blocked[i] =
		    (struct work_task){ .run = gate_run, .done = plain_home, .prio = WORK_BACKGROUND };
		work_submit(tt.pool, &blocked[i]);
	}
	work_submit(tt.pool, &read);
	pthread_mutex_lock(&lock);
	while (!plain_done)
		pthread_cond_wait(&gate_cond, &lock);
	unsigned done = plain_done;
	gate_open = true;
	pthread_cond_broadcast(&gate_cond);
	pthread_mutex_unlock(&lock);
	tap_is_u64(done, 1, "a read passes eight background tasks that block");
	pthread_mutex_lock(&lock);
	while (plain_done < 9)
		pthread_cond_wait(&gate_cond, &lock);
	pthread_mutex_unlock(&lock);
	tap_is_u64(plain_done, 9, "tasks of a plain thread are done on the worker");
}

static void stop_runs_all(void)
{
	struct work_pool *p;
	if (!tap_ok(!work_create(1, &p), "a pool is created"))
		return;
	static struct work_task queue[500];
	plain_done = 0;
	for (unsigned i = 0; i < 500; i++) {
		queue[i] = (struct work_task){ .run = quick_run,
			.done = plain_home,
			.lane = (uint16_t)(i % 3),
			.prio = WORK_BACKGROUND };
		work_submit(p, &queue[i]);
	}
	work_stop(p);
	tap_is_u64(plain_done, 500, "a stop runs what is queued");
	work_free(p);
}

int main(void)
{
	testteam_start(&tt, 2);
	testteam_run(&tt, 1, submit_all, NULL);
	tap_ok(testteam_wait(&tt, 1, all_home, NULL, 30000), "every task comes home");
	tap_is_u64(overlaps, 0, "tasks of a lane never run at the same time");
	tap_is_u64(disorder, 0, "and run in the order submitted, whatever their priority");
	tap_is_u64(home_disorder, 0, "and come home in this order");
	tap_is_u64(home_wrong_loop, 0, "to the loop that asked");
	reads_pass();
	stop_runs_all();
	testteam_stop(&tt);
	return tap_done();
}
