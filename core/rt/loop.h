/*
 * loop - one event loop on one pinned thread: a libevent base, its mailbox, timers, runnable jobs,
 * end-of-turn work.
 *
 * A turn: libevent callbacks (sockets, timers) > mailbox (all that was there, with a budget) > jobs
 * (slices, total JOB_TURN_NS) > end-of-turn list > work that may wait > next turn.
 * Before it waits it looks once more, without waiting, if something is to be done then (loop_idle).
 * Each has its time; what does not fit goes on in the next turn, in order.
 * The loop caches its time once per turn (loop_now_ms, loop_now_ns). Turn lengths go to M_TURN,
 * waiting left out, and by loop to kymo_loop_* (core/base/metric.h).
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
 * The configuration that this loop goes by: limits towards clients (core/model/limits.h), tenants
 * and their limits (core/model/tenant.h; NULL: none are configured), and the snapshot that both lie
 * in. NULL until they are set. Set before the loop's thread starts, or on it, between turns: what
 * replaces a snapshot lets go of the old one as soon as nobody sits on it (core/rt/snap.h).
 */
struct limits;
struct tenants;
struct snap;
struct snap_seat;
const struct limits *loop_limits(const struct loop *l);
const struct tenants *loop_tenants(const struct loop *l);
/* The seat of the newest snapshot: a request, or whatever outlives one, takes it. May be NULL. */
struct snap_seat *loop_seat(const struct loop *l);
void loop_set_conf(
    struct loop *l, struct snap *snap, const struct limits *limits, const struct tenants *tenants);
/* One of them alone, for who has no snapshot (tests). */
void loop_set_limits(struct loop *l, const struct limits *limits);
void loop_set_tenants(struct loop *l, const struct tenants *tenants);

/* Who asks, of this loop (net/gate/porter.h); NULL: anybody may. Set as the limits are. */
struct porter_loop;
struct porter_loop *loop_porter(const struct loop *l);
void loop_set_porter(struct loop *l, struct porter_loop *porter);

/*
 * How many peers a loop has, and who is on his way to it: what comes next goes to the loop with the
 * fewest (net/conn/listen.h). Any thread; a moment old.
 */
void loop_carry(struct loop *l, int more);
size_t loop_carries(const struct loop *l);

/* Any thread. msg->fn(msg) will run on l. */
void loop_send(struct loop *l, struct mbox_msg *msg);

/*
 * Runs fn(d) once, never below the caller: at the end of the current turn (or of the next one when
 * called from outside a turn), or of a later one when a turn has had its 2 ms of such work. In
 * order, so that what frees comes behind what was deferred before it. May be called again from fn.
 * It is for ends and frees; each takes some microseconds.
 */
struct loop_deferred {
	struct list_link link;
	void (*fn)(struct loop_deferred *d);
};
void loop_defer(struct loop *l, struct loop_deferred *d);
/*
 * The same for work for peers, which may wait and shares the turn: LOOP_SOON what a peer has just
 * asked for, LOOP_LATER what it has asked for beyond that (pipelined requests, the rest of an
 * answer). Each queue has its time per turn (core/rt/loop_priv.h) and runs one at least. fn works
 * LOOP_WORK_NS at most, by its own look at the clock.
 */
enum loop_queue {
	LOOP_SOON,
	LOOP_LATER
};
#define LOOP_QUEUES  2
#define LOOP_WORK_NS 100000u
void loop_work(struct loop *l, enum loop_queue q, struct loop_deferred *d);
/*
 * Work that is asked for more than once before its turn comes: it waits once, in the sooner of the
 * queues. fn of work begins with loop_again_begin; who goes calls loop_again_cancel.
 */
struct loop_again {
	struct loop_deferred work;
	bool set, _soon;
};
void loop_again(struct loop *l, enum loop_queue q, struct loop_again *a);
void loop_again_cancel(struct loop_again *a);
static inline void loop_again_begin(struct loop_again *a)
{
	a->set = false;
}
/*
 * Runs fn(d) once, when the loop has nothing else to do, or LOOP_IDLE_NS after, whichever is
 * sooner: for what is cheaper done once for many (handing over to another thread).
 */
#define LOOP_IDLE_NS 2000000u
void loop_idle(struct loop *l, struct loop_deferred *d);
/* Have the callbacks of this turn had their time, or do others wait in LOOP_SOON already? */
bool loop_is_late(const struct loop *l);
/* The first of both alone. */
bool loop_events_late(const struct loop *l);

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
