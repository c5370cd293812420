/*
 * work - two ready lists (by priority) behind one lock. A lane has at most one task in a ready list
 * or running; the others wait in the lane.
 * Worker 0 is the reserved one: it takes WORK_READ only. The others take WORK_READ first.
 */
#include "core/rt/work.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/metric.h"
#include "core/rt/thread.h"

#define THREADS_MIN 2u /* the reserved one and one for the rest */
#define THREADS_MAX 64u
#define NICE_OTHERS 5

struct lane {
	bool busy; /* a task of it is ready or running */
	struct list_link waiting;
};
struct worker {
	struct work_pool *pool;
	pthread_t thread;
	bool reads_only;
};
struct work_pool {
	pthread_mutex_t lock;
	pthread_cond_t read_cond, any_cond; /* worker 0; the others */
	struct list_link ready[2];
	struct lane lanes[WORK_LANES];
	size_t open; /* submitted and not yet run to the end */
	bool stopping, joined;
	unsigned count;
	struct worker workers[THREADS_MAX];
};

static void *worker_main(void *arg);

enum err work_create(unsigned threads, struct work_pool **out)
{
	struct work_pool *p = mem_zalloc(sizeof *p);
	CHECK(!pthread_mutex_init(&p->lock, NULL));
	CHECK(!pthread_cond_init(&p->read_cond, NULL));
	CHECK(!pthread_cond_init(&p->any_cond, NULL));
	list_init(&p->ready[WORK_READ]);
	list_init(&p->ready[WORK_BACKGROUND]);
	for (size_t i = 0; i < WORK_LANES; i++)
		list_init(&p->lanes[i].waiting);
	if (threads < THREADS_MIN)
		threads = THREADS_MIN;
	if (threads > THREADS_MAX)
		threads = THREADS_MAX;
	for (; p->count < threads; p->count++) {
		struct worker *w = &p->workers[p->count];
		*w = (struct worker){ .pool = p, .reads_only = p->count == 0 };
		if (thread_create(&w->thread, worker_main, w)) {
			work_stop(p);
			work_free(p);
			return ERR_NOMEM;
		}
	}
	*out = p;
	return 0;
}

/* Under the lock. Both may sleep while any can take it: wake both, the spare one sleeps again. */
static void work_ready(struct work_pool *p, struct work_task *t)
{
	list_add_tail(&p->ready[t->prio], &t->_link);
	pthread_cond_signal(&p->any_cond);
	if (t->prio == WORK_READ)
		pthread_cond_signal(&p->read_cond);
}

void work_submit(struct work_pool *p, struct work_task *t)
{
	CHECK(t->lane < WORK_LANES);
	CHECK(t->prio == WORK_READ || t->prio == WORK_BACKGROUND);
	t->_from = loop_here();
	struct lane *lane = t->lane ? &p->lanes[t->lane] : NULL;
	pthread_mutex_lock(&p->lock);
	CHECK(!p->joined);
	p->open++;
	if (lane && lane->busy) {
		list_add_tail(&lane->waiting, &t->_link);
	} else {
		if (lane)
			lane->busy = true;
		work_ready(p, t);
	}
	pthread_mutex_unlock(&p->lock);
}

static struct work_task *work_next(struct work_pool *p, bool reads_only)
{
	struct list_link *l = list_pop(&p->ready[WORK_READ]);
	if (!l && !reads_only)
		l = list_pop(&p->ready[WORK_BACKGROUND]);
	return l ? CONTAINER_OF(l, struct work_task, _link) : NULL;
}

static void work_home(struct mbox_msg *msg)
{
	struct work_task *t = CONTAINER_OF(msg, struct work_task, _msg);
	t->done(t);
}

/* The task is its maker's again once it is on the way home: only the lane number is used then. */
static void work_run(struct work_task *t)
{
	t->run(t);
	metric_add(M_WORK_TASKS, 1);
	if (t->_from) {
		t->_msg.fn = work_home;
		loop_send(t->_from, &t->_msg);
	} else {
		t->done(t);
	}
}

/* Under the lock. After the way home, so that a lane's answers keep their order, too. */
static void work_lane_next(struct work_pool *p, uint16_t number)
{
	if (!number)
		return;
	struct lane *lane = &p->lanes[number];
	struct list_link *l = list_pop(&lane->waiting);
	if (l)
		work_ready(p, CONTAINER_OF(l, struct work_task, _link));
	else
		lane->busy = false;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct work_pool *p = w->pool;
	pthread_setname_np(pthread_self(), w->reads_only ? "work-read" : "work");
	if (!w->reads_only) /* a wish: without the right to it, all stay equal */
		(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE_OTHERS);
	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct work_task *t = work_next(p, w->reads_only);
		if (t) {
			uint16_t lane = t->lane;
			pthread_mutex_unlock(&p->lock);
			work_run(t);
			pthread_mutex_lock(&p->lock);
			work_lane_next(p, lane);
			if (!--p->open && p->stopping) {
				pthread_cond_broadcast(&p->any_cond);
				pthread_cond_broadcast(&p->read_cond);
			}
		} else if (p->stopping && !p->open) {
			break;
		} else {
			pthread_cond_wait(w->reads_only ? &p->read_cond : &p->any_cond, &p->lock);
		}
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

void work_stop(struct work_pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	bool joined = p->joined;
	pthread_cond_broadcast(&p->any_cond);
	pthread_cond_broadcast(&p->read_cond);
	pthread_mutex_unlock(&p->lock);
	if (joined)
		return;
	for (unsigned i = 0; i < p->count; i++)
		CHECK(!pthread_join(p->workers[i].thread, NULL));
	pthread_mutex_lock(&p->lock);
	p->joined = true;
	pthread_mutex_unlock(&p->lock);
}

void work_free(struct work_pool *p)
{
	if (!p)
		return;
	CHECK(p->joined);
	CHECK(!p->open);
	pthread_cond_destroy(&p->read_cond);
	pthread_cond_destroy(&p->any_cond);
	pthread_mutex_destroy(&p->lock);
	mem_free(p);
}
