/*
 * loop - one event loop on one pinned thread: a libevent base, its mailbox, timers, runnable jobs,
 * end-of-turn work.
 *
 * A turn: libevent callbacks (sockets, timers) > mailbox (all that was there, with a budget) > jobs
 * (slices, total JOB_TURN_NS) > end-of-turn list > next turn.
 * The loop caches its time once per turn (loop_now_ms, loop_now_ns). Turn lengths go to M_TURN,
 * waiting left out.
 * Nothing is freed inside its own callback: loop_defer() runs a function at the end of the turn.
 * Thread: everything here is called on the loop's own thread (loop_check_here), except loop_send.
 */
#ifndef CORE_RT_LOOP_H
#define CORE_RT_LOOP_H

#include "core/base/list.h"
#include "core/rt/mbox.h"

struct event_base;
struct loop;

struct loop *loop_here(void);              /* the loop of the calling thread, NULL on others */
unsigned loop_index(const struct loop *l); /* 0..team_count-1 */
struct event_base *loop_base(struct loop *l);
#define loop_check_here(l) CHECK((l) == loop_here())
int64_t loop_now_ms(const struct loop *l);  /* wall clock, cached */
uint64_t loop_now_ns(const struct loop *l); /* monotonic, cached */

/*
 * The limits towards clients that this loop goes by (core/model/limits.h); NULL until they are set.
 * Set before the loop's thread starts, or on it.
 */
struct limits;
const struct limits *loop_limits(const struct loop *l);
void loop_set_limits(struct loop *l, const struct limits *limits);

/* Any thread. msg->fn(msg) will run on l. */
void loop_send(struct loop *l, struct mbox_msg *msg);

/*
 * Runs fn(d) once at the end of the current turn (or of the next one when called from outside a
 * turn). May be called again from fn.
 */
struct loop_deferred {
	struct list_link link;
	void (*fn)(struct loop_deferred *d);
};
void loop_defer(struct loop *l, struct loop_deferred *d);

/*
 * One-shot timer on the injectable monotonic clock; embed it, loop_timer_init once. Setting a set
 * timer moves it. Precision 1 ms.
 */
struct loop_timer {
	void (*fn)(struct loop_timer *t);
	uint64_t _due_ns;
	size_t _heap_pos; /* 0 = not set */
};
void loop_timer_init(struct loop_timer *t, void (*fn)(struct loop_timer *t));
void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t after_ms);
void loop_timer_cancel(struct loop *l, struct loop_timer *t);
bool loop_timer_is_set(const struct loop_timer *t);

#endif
