/*
 * job - resumable work on a loop, in slices.
 *
 * fn(job) works until job_should_yield() says so, then returns JOB_YIELD (runs again, behind the
 * other jobs), JOB_WAIT (sleeps until job_wake) or JOB_DONE (the loop forgets it; fn may have freed
 * it by loop_defer).
 * A slice is JOB_SLICE_NS; job_should_yield reads the clock: call it every 1,024 samples or 64 KiB.
 * Turns: while jobs of several classes wait, of every nine slices six are for JOB_WRITE, two for
 * JOB_QUERY and one for JOB_QUERY_HEAVY (three and one of four for two classes). Within a class
 * groups take turns, and a slice is a group's: a query with thousands of jobs on a loop gets as
 * much of it as one with a single job, and short jobs of one query share a slice. Choosing takes
 * the same time however many jobs wait.
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
	JOB_QUERY, /* small ones, and what is not a query but waited for */
	JOB_QUERY_HEAVY
};
#define JOB_CLASSES 3u
struct job {
	/* in the queue of its class (leader of its group), or of a leader */
	struct list_link _link;
	struct list_link _mates; /* leader: the others of its group that are runnable */
	struct list_link _chain; /* leader: in the loop's table of groups */
	const void *_group;      /* NULL = a group of its own */
	enum job_state (*fn)(struct job *j);
	struct loop *_loop;
	enum job_class class, _queued; /* _queued: where it waits for its turn */
	bool cancel;
	bool _runnable, _woken, _running, _live;
	/* For the log, when a slice was far too long: a query's text; NULL = nothing to say. */
	const char *what; /* set between job_init and job_start, lives as long as the job */
	size_t what_len;
};
void job_init(struct job *j, enum job_class class, enum job_state (*fn)(struct job *j));
/* Before job_start: whatever tells the group from others while its jobs live (its address). */
void job_group(struct job *j, const void *group);
/* On its loop; from its next turn on. */
void job_set_class(struct job *j, enum job_class class);
void job_start(struct loop *l, struct job *j); /* runnable at once */
void job_wake(struct job *j);                  /* on its loop; harmless when runnable or done */
/*
 * On its loop: the loop forgets it, wherever it stands; it may be freed then. While it runs, its fn
 * says JOB_DONE itself. Harmless when done.
 */
void job_drop(struct job *j);
bool job_should_yield(void); /* inside fn: is the slice over? (test knob below) */
/* Tests: yield at every call of job_should_yield. */
void job_yield_always(bool on);
bool job_yields_always(void); /* for work that looks at the clock itself */

#endif
