/*
 * job - resumable work on a loop, in slices.
 *
 * fn(job) works until job_should_yield() says so, then returns JOB_YIELD (runs again, behind the
 * other jobs), JOB_WAIT (sleeps until job_wake) or JOB_DONE (the loop forgets it; fn may have freed
 * it by loop_defer).
 * A slice is JOB_SLICE_NS; job_should_yield reads the clock: call it every 1,024 samples or 64 KiB.
 * Jobs of a loop take turns (round robin); class JOB_WRITE gets three slices for one of JOB_QUERY
 * when both wait.
 * A wake that comes while the job runs is not lost: JOB_WAIT then acts as JOB_YIELD.
 * Cancel: the owner sets job->cancel (on the job's loop); fn reads it at each slice.
 * Thread: the loop where job_start was called. job_wake from other threads goes by a message to
 * that loop.
 */
#ifndef CORE_RT_JOB_H
#define CORE_RT_JOB_H

#include "core/rt/loop.h"

#define JOB_SLICE_NS 500000u
enum job_state {
	JOB_YIELD,
	JOB_WAIT,
	JOB_DONE
};
enum job_class {
	JOB_WRITE,
	JOB_QUERY
};
struct job {
	struct list_link _link;
	enum job_state (*fn)(struct job *j);
	struct loop *_loop;
	enum job_class class;
	bool cancel;
	bool _runnable, _woken, _running, _live;
};
void job_init(struct job *j, enum job_class class, enum job_state (*fn)(struct job *j));
void job_start(struct loop *l, struct job *j); /* runnable at once */
void job_wake(struct job *j);                  /* on its loop; harmless when runnable or done */
bool job_should_yield(void);                   /* inside fn: is the slice over? (test knob below) */
/* Tests: yield at every call of job_should_yield. */
void job_yield_always(bool on);

#endif
