/*
 * loop_priv - the inside of a loop, shared by loop.c (the turn), job.c (the slices) and team.c (the
 * threads).
 *
 * Thread: all fields belong to the loop's thread, except atomic ones and what is set before the
 * thread starts.
 */
#ifndef CORE_RT_LOOP_PRIV_H
#define CORE_RT_LOOP_PRIV_H

#include <stdatomic.h>

#include "core/rt/job.h"
#include "core/rt/loop.h"

#define LOOP_MAIL_TURN_MAX 4096u    /* messages per turn; the rest waits for the next one */
#define LOOP_MAIL_TURN_NS  1000000u /* messages of one turn: no new one begins after 1 ms */
#define LOOP_EVENTS_NS     500000u  /* callbacks of sockets; then they go to LOOP_SOON */
#define LOOP_DEFERRED_NS   2000000u /* ends and frees of one turn */
#define LOOP_SOON_NS       500000u  /* of one turn, as the next */
#define LOOP_LATER_NS      200000u
#define LOOP_CPU_SHORT_NS  200000u              /* a turn whose CPU time is not looked up ... */
#define LOOP_CPU_LOOK_NS   1000000u             /* ... more than so long */
#define LOOP_IDLE_TURN_MS  1000u                /* an idle loop turns at least this often */
#define LOOP_LONGEST_NS    UINT64_C(5000000000) /* a window of metric_loop_longest */
#define LOOP_BUSY_ALL      256u                 /* all the time */
#define JOB_TURN_NS        1000000u /* slices of one turn, in all: two, fewer when mail comes */
#define JOB_CHAINS         64u      /* of groups of jobs */

struct event;
struct loop {
	unsigned index;
	struct event_base *base;
	struct mbox *mbox;
	struct event *mail_event, *wake_event;
	/* Time of this turn; read from the clocks by the first who asks after the wait. */
	bool awake;
	int64_t now_ms;
	uint64_t now_ns;
	/*
	 * CPU time of the thread when it was looked up last, when that was (real clock), and how
	 * long the turns since then took in all.
	 */
	uint64_t turn_cpu_ns, cpu_look_ns, short_ns;
	uint64_t turn_start_ns; /* real clock */
	/* The longest turn since then (real clock). */
	uint64_t longest_ns, longest_since_ns;
	/* Mail taken and not yet run, oldest first. */
	struct mbox_msg *mail, **mail_tail;
	struct mbox_msg *own, **own_tail; /* what it has sent itself: mail of the next turn */
	/* Binary heap by _due_ns; heap[0] is unused, so that position 0 means "not set". */
	struct loop_timer **heap;
	size_t heap_len, heap_cap;
	int wake_fd;            /* a timer of the kernel */
	uint64_t wake_armed_ns; /* real clock; 0 = it is not set */
	struct list_link deferred;
	struct list_link jobs[JOB_CLASSES];      /* leaders of groups, by class */
	int jobs_due[JOB_CLASSES];               /* what each is owed */
	struct list_link job_groups[JOB_CHAINS]; /* leaders, by group and class */
	struct list_link work[LOOP_QUEUES];
	struct list_link idle; /* loop_idle */
	uint64_t idle_ns;      /* real clock; since when there is something in it */
	bool stopping;
	const struct limits *limits;
	struct snap_seat *seat;
	struct porter_loop *porter;
	const struct tenants *tenants;
	_Atomic uint64_t beat_ns;
	/* For core/rt/lend: the loops of the team; how much of its last window it worked, of
	 * LOOP_BUSY_ALL; pieces that it was lent and has not begun. */
	struct loop *const *crew;
	unsigned crew_count;
	_Atomic unsigned busy, borrowed;
	_Atomic size_t carries;        /* loop_carries */
	uint64_t window_ns, worked_ns; /* when the window began (real clock), and the work in it */
};

MUST_CHECK enum err loop_create(unsigned index, struct loop **out);
void loop_free(struct loop *l);
void loop_enter(struct loop *l); /* this thread is l from now on; NULL: it is none any more */
void loop_turn(struct loop *l);
/*
 * Runs the mail that is there, jobs and deferred work left out of account; true when there was any.
 */
bool loop_drain(struct loop *l);
void loop_time_moved(
    struct loop *l); /* the clock was set: forget the cached time and run what came due */
void job_begin(struct loop *l);
bool job_any(const struct loop *l);
void job_run_turn(struct loop *l);

#endif
