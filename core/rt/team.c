/*
 * team - threads for the loops. The end is agreed on in rounds: each loop drains its mailbox and
 * meets the others at a barrier, until a round in which nobody found anything (messages answer
 * messages).
 */
#include "core/rt/team.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/rt/loop_priv.h"
#include "core/rt/thread.h"

#define STOP_ROUNDS_MAX 64u /* loops that keep sending to each other do not hold the stop */

struct member {
	struct team *team;
	struct loop *loop;
	pthread_t thread;
	struct mbox_msg stop_msg;
};
struct team {
	struct team_opts opts;
	unsigned count;
	struct member *members;
	struct loop **loops;
	bool running;
	pthread_barrier_t barrier; /* of the stop rounds */
	_Atomic unsigned busy;     /* loops that found something in this round */
};

/* A call that waits for its loop. */
struct call {
	struct mbox_msg msg;
	void (*fn)(void *arg);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned open;
};

static unsigned cpus_allowed(cpu_set_t *set)
{
	CPU_ZERO(set);
	if (sched_getaffinity(0, sizeof *set, set) || !CPU_COUNT(set))
		return 0;
	return (unsigned)CPU_COUNT(set);
}

enum err team_create(const struct team_opts *opts, struct team **out)
{
	struct team *t = mem_zalloc(sizeof *t);
	t->opts = *opts;
	cpu_set_t set;
	unsigned cpus = cpus_allowed(&set);
	t->count = opts->loops ? opts->loops : cpus ? cpus : 1;
	t->members = mem_array(NULL, t->count, sizeof *t->members);
	for (unsigned i = 0; i < t->count; i++)
		t->members[i] = (struct member){ .team = t };
	enum err e = pthread_barrier_init(&t->barrier, NULL, t->count) ? ERR_NOMEM : 0;
	if (e) {
		mem_free(t->members);
		mem_free(t);
		return e;
	}
	for (unsigned i = 0; i < t->count && !e; i++)
		e = loop_create(i, &t->members[i].loop);
	if (e) {
		team_free(t);
		return e;
	}
	t->loops = mem_array(NULL, t->count, sizeof(struct loop *));
	for (unsigned i = 0; i < t->count; i++) {
		struct loop *l = t->loops[i] = t->members[i].loop;
		l->crew = t->loops;
		l->crew_count = t->count;
	}
	*out = t;
	return 0;
}

/* The i-th CPU of the mask, when there is one for each loop. */
static void member_pin(const struct member *m)
{
	cpu_set_t set;
	if (!m->team->opts.pin || cpus_allowed(&set) < m->team->count)
		return;
	unsigned left = m->loop->index;
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &set) || left-- > 0)
			continue;
		cpu_set_t one;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		int r = pthread_setaffinity_np(pthread_self(), sizeof one, &one);
		if (r)
			LOG_WARN("pin_failed", "loop=%u cpu=%zu errno=%d", m->loop->index, cpu, r);
		return;
	}
}

static void member_stop(struct member *m)
{
	struct team *t = m->team;
	for (unsigned round = 0; round < STOP_ROUNDS_MAX; round++) {
		if (loop_drain(m->loop))
			atomic_fetch_add(&t->busy, 1);
		pthread_barrier_wait(&t->barrier);
		/*
		 * The first round proves nothing: others were in their last turn while we drained.
		 */
		bool again = round == 0 || atomic_load(&t->busy) > 0;
		if (pthread_barrier_wait(&t->barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
			atomic_store(&t->busy, 0);
		pthread_barrier_wait(&t->barrier);
		if (!again)
			return;
	}
}

static void *member_main(void *arg)
{
	struct member *m = arg;
	char name[16];
	snprintf(name, sizeof name, "loop-%u", m->loop->index);
	pthread_setname_np(pthread_self(), name);
	member_pin(m);
	loop_enter(m->loop);
	if (m->team->opts.on_start)
		m->team->opts.on_start(m->team->opts.arg, m->loop);
	while (!m->loop->stopping)
		loop_turn(m->loop);
	member_stop(m);
	return NULL;
}

static void member_on_stop(struct mbox_msg *msg)
{
	struct member *m = CONTAINER_OF(msg, struct member, stop_msg);
	m->loop->stopping = true;
}

static void nothing(void *arg)
{
	(void)arg;
}

enum err team_start(struct team *t)
{
	CHECK(!t->running);
	for (unsigned i = 0; i < t->count; i++) {
		struct member *m = &t->members[i];
		m->stop_msg.fn = member_on_stop;
		/*
		 * Loops that wait at the barrier for one that never began would wait for ever:
		 * without all threads the process cannot go on.
		 */
		if (thread_create(&m->thread, member_main, m)) {
			if (!i)
				return ERR_NOMEM;
			panic("cannot start thread %u of %u", i + 1, t->count);
		}
	}
	t->running = true;
	for (unsigned i = 0; i < t->count; i++)
		team_run_on(t, i, nothing, NULL); /* on_start has run everywhere */
	return 0;
}

unsigned team_count(const struct team *t)
{
	return t->count;
}

struct loop *team_loop(const struct team *t, unsigned i)
{
	CHECK(i < t->count);
	return t->members[i].loop;
}

static void call_run(struct mbox_msg *msg)
{
	struct call *c = CONTAINER_OF(msg, struct call, msg);
	c->fn(c->arg);
	pthread_mutex_lock(&c->lock);
	c->open = 0;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

void team_run_on(struct team *t, unsigned i, void (*fn)(void *arg), void *arg)
{
	CHECK(i < t->count);
	CHECK(t->running);
	CHECK(!loop_here());
	struct call c = { .msg.fn = call_run, .fn = fn, .arg = arg, .open = 1 };
	CHECK(!pthread_mutex_init(&c.lock, NULL));
	CHECK(!pthread_cond_init(&c.cond, NULL));
	loop_send(t->members[i].loop, &c.msg);
	pthread_mutex_lock(&c.lock);
	while (c.open)
		pthread_cond_wait(&c.cond, &c.lock);
	pthread_mutex_unlock(&c.lock);
	pthread_cond_destroy(&c.cond);
	pthread_mutex_destroy(&c.lock);
}

static void clock_moved_here(void *arg)
{
	loop_time_moved(arg);
}

void team_clock_moved(struct team *t)
{
	for (unsigned i = 0; i < t->count; i++)
		team_run_on(t, i, clock_moved_here, t->members[i].loop);
}

void team_stop(struct team *t)
{
	CHECK(!loop_here());
	if (!t->running)
		return;
	for (unsigned i = 0; i < t->count; i++)
		loop_send(t->members[i].loop, &t->members[i].stop_msg);
	for (unsigned i = 0; i < t->count; i++)
		CHECK(!pthread_join(t->members[i].thread, NULL));
	t->running = false;
}

void team_free(struct team *t)
{
	if (!t)
		return;
	CHECK(!t->running);
	for (unsigned i = 0; i < t->count; i++)
		loop_free(t->members[i].loop);
	pthread_barrier_destroy(&t->barrier);
	mem_free(t->loops);
	mem_free(t->members);
	mem_free(t);
}

uint64_t team_oldest_turn_ns(const struct team *t)
{
	uint64_t oldest = UINT64_MAX;
	for (unsigned i = 0; i < t->count; i++) {
		uint64_t beat =
		    atomic_load_explicit(&t->members[i].loop->beat_ns, memory_order_relaxed);
		if (beat < oldest)
			oldest = beat;
	}
	return oldest;
}
