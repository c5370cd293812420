/*
 * team - N loops on N pinned threads, and their end.
 *
 * team_create makes the loops, team_start the threads; on_start(arg, loop) runs on each loop before
 * its first turn. team_run_on sends a function to a loop and waits for it (start-up and tests only,
 * never from a loop).
 * team_stop asks all loops to end after their current turn (their mailboxes are drained once more)
 * and joins the threads.
 * Pinning: loop i goes to the i-th CPU of the process' affinity mask, when there are at least as
 * many; off with pin = false.
 */
#ifndef CORE_RT_TEAM_H
#define CORE_RT_TEAM_H

#include "core/rt/loop.h"

struct team;
struct team_opts {
	unsigned loops; /* 0 = CPUs in the affinity mask */
	bool pin;
	void (*on_start)(void *arg, struct loop *l);
	void *arg;
};
MUST_CHECK enum err team_create(const struct team_opts *opts, struct team **out);
MUST_CHECK enum err team_start(struct team *t);
unsigned team_count(const struct team *t);
struct loop *team_loop(const struct team *t, unsigned i);
void team_run_on(struct team *t, unsigned i, void (*fn)(void *arg), void *arg);
void team_clock_moved(
    /* after clock_fake_advance: every loop runs what came due, returns when they have */
    struct team *t);
void team_stop(struct team *t);
void team_free(struct team *t);
/*
 * Heartbeats for /-/healthy: real monotonic ns of the start of the oldest loop's last turn. Idle
 * loops turn at least once a second.
 */
uint64_t team_oldest_turn_ns(const struct team *t);

#endif
