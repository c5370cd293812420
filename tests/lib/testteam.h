/*
 * testteam - a team of loops without pinning and a pool of four workers for a test, header only.
 *
 *   struct testteam tt;
 *   testteam_start(&tt, 2);
 *   testteam_run(&tt, 0, fn, arg);                   // fn(arg) on loop 0; returns when it has run
 *   testteam_wait(&tt, 0, cond, arg, 300);           // polls cond(arg) on loop 0 until it holds;
 *                                                    false after 300 ms
 *   testteam_stop(&tt);
 *
 * Thread: the test's main thread, never a loop.
 */
#ifndef TESTS_LIB_TESTTEAM_H
#define TESTS_LIB_TESTTEAM_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/rt/team.h"
#include "core/rt/work.h"

/* For what must come, however busy the machine is: a test that gives up frees what is in use. */
#define TESTTEAM_LONG_MS 600000u

struct testteam {
	struct team *team;
	struct work_pool *pool;
};

static inline void testteam_start(struct testteam *tt, unsigned loops)
{
	struct team_opts opts = { .loops = loops, .pin = false };
	if (work_create(4, &tt->pool) || team_create(&opts, &tt->team) || team_start(tt->team)) {
		fputs("testteam: cannot start threads\n", stderr);
		exit(99);
	}
}

static inline struct loop *testteam_loop(const struct testteam *tt, unsigned i)
{
	return team_loop(tt->team, i);
}

static inline void testteam_run(struct testteam *tt, unsigned i, void (*fn)(void *arg), void *arg)
{
	team_run_on(tt->team, i, fn, arg);
}

struct testteam_poll_ {
	bool (*cond)(void *arg);
	void *arg;
	bool holds;
};
static inline void testteam_poll_here_(void *arg)
{
	struct testteam_poll_ *p = arg;
	p->holds = p->cond(p->arg);
}
static inline bool testteam_wait(
    struct testteam *tt, unsigned i, bool (*cond)(void *arg), void *arg, unsigned timeout_ms)
{
	struct testteam_poll_ p = { .cond = cond, .arg = arg };
	uint64_t end_ns = clock_real_mono_ns() + timeout_ms * UINT64_C(1000000);
	for (;;) {
		team_run_on(tt->team, i, testteam_poll_here_, &p);
		if (p.holds || clock_real_mono_ns() > end_ns)
			return p.holds;
		usleep(1000);
	}
}

/* The pool first: its answers still go home to running loops. */
static inline void testteam_stop(struct testteam *tt)
{
	work_stop(tt->pool);
	team_stop(tt->team);
	work_free(tt->pool);
	team_free(tt->team);
}

#endif
