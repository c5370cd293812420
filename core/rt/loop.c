/*
 * loop - the turn. libevent waits and calls; everything else (mail, timers, jobs, deferred work) is
 * ours and runs after event_base_loop() has returned.
 *
 *   wait > socket callbacks > due timers > mail > jobs > deferred > work that may wait
 *        > (count the turn) > wait
 *
 * libevent has no hook between its wait and its first callback, so the turn begins with the first
 * one that asks for the time (loop_wake_up_): our own callbacks do it first.
 */
#include "core/rt/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/metric.h"
#include "core/rt/lend.h"
#include "core/rt/loop_priv.h"
#include "core/rt/snap.h"

#define NS_PER_S UINT64_C(1000000000)

static __thread struct loop *here;

static void loop_on_mail(evutil_socket_t fd, short what, void *arg);
static void loop_on_wake(evutil_socket_t fd, short what, void *arg);
static void loop_arm_wake(struct loop *l);
static void loop_run_one(struct list_link *link);

/* ---- life ---- */

static struct event_base *loop_base_create(void)
{
	struct event_config *cfg = event_config_new();
	if (!cfg)
		return NULL;
	struct event_base *base = NULL;
	/* One thread per base: libevent needs no locks. */
	if (!event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK))
		base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	return base;
}

enum err loop_create(unsigned index, struct loop **out)
{
	struct loop *l = mem_zalloc(sizeof *l);
	l->index = index;
	l->wake_fd = -1;
	list_init(&l->deferred);
	list_init(&l->idle);
	job_begin(l);
	list_init(&l->work[LOOP_SOON]);
	list_init(&l->work[LOOP_LATER]);
	l->mail_tail = &l->mail;
	l->own_tail = &l->own;
	atomic_init(&l->beat_ns, clock_real_mono_ns());
	enum err e = mbox_create(&l->mbox);
	if (e)
		goto failed;
	errno = 0;
	l->base = loop_base_create();
	e = errno ? err_of_errno(errno) : ERR_NOMEM;
	if (!l->base)
		goto failed;
	l->wake_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	e = l->wake_fd < 0 ? err_of_errno(errno) : ERR_NOMEM;
	if (l->wake_fd < 0)
		goto failed;
	/* Neither is ever read: what counts is that something happens. */
	const short what = EV_READ | EV_PERSIST | EV_ET;
	l->mail_event = event_new(l->base, mbox_fd(l->mbox), what, loop_on_mail, l);
	l->wake_event = event_new(l->base, l->wake_fd, what, loop_on_wake, l);
	if (!l->mail_event || !l->wake_event || event_add(l->mail_event, NULL) ||
	    event_add(l->wake_event, NULL))
		goto failed;
	*out = l;
	return 0;
failed:
	loop_free(l);
	return e;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	if (l->mail_event)
		event_free(l->mail_event);
	if (l->wake_event)
		event_free(l->wake_event);
	if (l->base)
		event_base_free(l->base);
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	mbox_free(l->mbox);
	snap_seat_leave(l->seat);
	mem_free(l->heap);
	mem_free(l);
}

void loop_enter(struct loop *l)
{
	CHECK(!here || !l);
	here = l;
	if (l)
		metric_loop(l->index);
}

struct loop *loop_here(void)
{
	return here;
}

unsigned loop_index(const struct loop *l)
{
	return l->index;
}

const struct limits *loop_limits(const struct loop *l)
{
	return l->limits;
}

void loop_set_limits(struct loop *l, const struct limits *limits)
{
	l->limits = limits;
}

struct snap_seat *loop_seat(const struct loop *l)
{
	return l->seat;
}

void loop_set_conf(
    struct loop *l, struct snap *snap, const struct limits *limits, const struct tenants *tenants)
{
	struct snap_seat *old = l->seat;
	l->limits = limits;
	l->tenants = tenants;
	l->seat = snap_seat_make(snap, old);
	snap_seat_leave(old);
}

struct porter_loop *loop_porter(const struct loop *l)
{
	return l->porter;
}

void loop_set_porter(struct loop *l, struct porter_loop *porter)
{
	l->porter = porter;
}

const struct tenants *loop_tenants(const struct loop *l)
{
	return l->tenants;
}

void loop_set_tenants(struct loop *l, const struct tenants *tenants)
{
	l->tenants = tenants;
}

struct event_base *loop_base(struct loop *l)
{
	return l->base;
}

void loop_carry(struct loop *l, int more)
{
	atomic_fetch_add_explicit(&l->carries, (size_t)more, memory_order_relaxed);
}

size_t loop_carries(const struct loop *l)
{
	return atomic_load_explicit(&l->carries, memory_order_relaxed);
}

/* ---- time ---- */

static void loop_wake_up(struct loop *l)
{
	if (LIKELY(l->awake))
		return;
	l->awake = true;
	l->turn_start_ns = clock_real_mono_ns();
	clock_both(&l->now_ms, &l->now_ns);
}

int64_t loop_now_ms(const struct loop *l)
{
	loop_check_here(l);
	loop_wake_up(here);
	return l->now_ms;
}

uint64_t loop_now_ns(const struct loop *l)
{
	loop_check_here(l);
	loop_wake_up(here);
	return l->now_ns;
}

/* ---- mail ---- */

/* To itself without a wake-up: the loop does not wait while there is some. */
void loop_send(struct loop *l, struct mbox_msg *msg)
{
	if (l != loop_here()) {
		mbox_send(l->mbox, msg);
		return;
	}
	msg->next = NULL;
	*l->own_tail = msg;
	l->own_tail = &msg->next;
	metric_add(M_MBOX_SENT, 1);
}

static void loop_take_own(struct loop *l)
{
	if (!l->own)
		return;
	*l->mail_tail = l->own;
	l->mail_tail = l->own_tail;
	l->own = NULL;
	l->own_tail = &l->own;
}

static void loop_on_mail(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	loop_wake_up(arg);
}

static void loop_take_mail(struct loop *l)
{
	*l->mail_tail = mbox_take(l->mbox);
	while (*l->mail_tail)
		l->mail_tail = &(*l->mail_tail)->next;
}

static bool loop_run_mail(struct loop *l, unsigned budget, uint64_t budget_ns)
{
	bool any = l->mail != NULL;
	uint64_t end_ns = any ? clock_real_mono_ns() + budget_ns : 0;
	while (l->mail && budget-- && clock_real_mono_ns() < end_ns) {
		struct mbox_msg *msg = l->mail;
		l->mail = msg->next;
		if (!l->mail)
			l->mail_tail = &l->mail;
		msg->fn(msg);
	}
	return any;
}

bool loop_drain(struct loop *l)
{
	loop_wake_up(l);
	loop_take_mail(l);
	loop_take_own(l);
	bool any = loop_run_mail(l, UINT32_MAX, UINT64_C(3600000000000));
	struct list_link *d;
	while ((d = list_pop(&l->idle)) || (d = list_pop(&l->deferred)) ||
	    (d = list_pop(&l->work[LOOP_SOON])) || (d = list_pop(&l->work[LOOP_LATER]))) {
		loop_run_one(d);
		any = true;
	}
	return any;
}

/* ---- end of the turn ---- */

void loop_defer(struct loop *l, struct loop_deferred *d)
{
	loop_check_here(l);
	list_add_tail(&l->deferred, &d->link);
}

void loop_work(struct loop *l, enum loop_queue q, struct loop_deferred *d)
{
	loop_check_here(l);
	list_add_tail(&l->work[q], &d->link);
}

void loop_idle(struct loop *l, struct loop_deferred *d)
{
	loop_check_here(l);
	if (list_empty(&l->idle))
		l->idle_ns = clock_real_mono_ns();
	list_add_tail(&l->idle, &d->link);
}

void loop_again(struct loop *l, enum loop_queue q, struct loop_again *a)
{
	if (a->set && (q == LOOP_LATER || a->_soon))
		return;
	loop_again_cancel(a);
	a->set = true;
	a->_soon = q == LOOP_SOON;
	loop_work(l, q, &a->work);
}

void loop_again_cancel(struct loop_again *a)
{
	if (a->set)
		list_del(&a->work.link);
	a->set = false;
}

bool loop_is_late(const struct loop *l)
{
	loop_check_here(l);
	return !list_empty(&l->work[LOOP_SOON]) || loop_events_late(l);
}

bool loop_events_late(const struct loop *l)
{
	return clock_real_mono_ns() - l->turn_start_ns > LOOP_EVENTS_NS;
}

static void loop_run_one(struct list_link *link)
{
	struct loop_deferred *d = CONTAINER_OF(link, struct loop_deferred, link);
	d->fn(d);
}

/*
 * What is added meanwhile waits for the next turn: a function that adds itself must not hold the
 * loop. What is left over stays in front of it.
 */
static void loop_run_list(struct list_link *list, uint64_t budget_ns)
{
	if (list_empty(list))
		return;
	struct list_link now;
	uint64_t end_ns = clock_real_mono_ns() + budget_ns;
	list_init(&now);
	list_move_all(&now, list);
	do {
		loop_run_one(list_pop(&now));
	} while (!list_empty(&now) && clock_real_mono_ns() < end_ns);
	list_move_all(&now, list);
	list_move_all(list, &now);
}

/* ---- timers ---- */

static void heap_put(struct loop *l, size_t pos, struct loop_timer *t)
{
	l->heap[pos] = t;
	t->_heap_pos = pos;
}

static void heap_up(struct loop *l, size_t pos, struct loop_timer *t)
{
	for (; pos > 1 && l->heap[pos / 2]->_due_ns > t->_due_ns; pos /= 2)
		heap_put(l, pos, l->heap[pos / 2]);
	heap_put(l, pos, t);
}

static void heap_down(struct loop *l, size_t pos, struct loop_timer *t)
{
	for (size_t kid; (kid = pos * 2) <= l->heap_len; pos = kid) {
		if (kid < l->heap_len && l->heap[kid + 1]->_due_ns < l->heap[kid]->_due_ns)
			kid++;
		if (l->heap[kid]->_due_ns >= t->_due_ns)
			break;
		heap_put(l, pos, l->heap[kid]);
	}
	heap_put(l, pos, t);
}

/* t takes the place at pos, wherever the heap then wants it. */
static void heap_settle(struct loop *l, size_t pos, struct loop_timer *t)
{
	if (pos > 1 && l->heap[pos / 2]->_due_ns > t->_due_ns)
		heap_up(l, pos, t);
	else
		heap_down(l, pos, t);
}

void loop_timer_init(struct loop_timer *t, void (*fn)(struct loop_timer *t))
{
	*t = (struct loop_timer){ .fn = fn };
}

void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t after_ms)
{
	uint64_t now = loop_now_ns(l);
	uint64_t after_ns = after_ms > UINT64_MAX / 4000000u ? UINT64_MAX / 4 : after_ms * 1000000u;
	t->_due_ns = now + after_ns;
	if (t->_heap_pos) {
		heap_settle(l, t->_heap_pos, t);
		return;
	}
	if (l->heap_len + 1 >= l->heap_cap) {
		l->heap_cap = l->heap_cap ? l->heap_cap * 2 : 64;
		l->heap = mem_array(l->heap, l->heap_cap, sizeof(struct loop_timer *));
	}
	l->heap_len++;
	heap_up(l, l->heap_len, t);
}

void loop_timer_cancel(struct loop *l, struct loop_timer *t)
{
	loop_check_here(l);
	size_t pos = t->_heap_pos;
	if (!pos)
		return;
	CHECK(pos <= l->heap_len && l->heap[pos] == t);
	t->_heap_pos = 0;
	struct loop_timer *last = l->heap[l->heap_len--];
	if (last != t)
		heap_settle(l, pos, last);
}

bool loop_timer_is_set(const struct loop_timer *t)
{
	return t->_heap_pos != 0;
}

/* At most as many as were set at the start: a timer that sets itself to 0 ms runs once per turn. */
static void loop_run_timers(struct loop *l)
{
	for (size_t n = l->heap_len; n && l->heap_len && l->heap[1]->_due_ns <= l->now_ns; n--) {
		struct loop_timer *t = l->heap[1];
		loop_timer_cancel(l, t);
		t->fn(t);
	}
}

void loop_time_moved(struct loop *l)
{
	l->awake = false;
	loop_wake_up(l);
	loop_run_timers(l);
}

static void loop_on_wake(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct loop *l = arg;
	loop_wake_up(l);
	l->wake_armed_ns = 0;
}

/*
 * One timer of the kernel wakes us for the earliest of ours, and once a second for the heartbeat.
 * It is exact, where those of libevent go by a clock that moves every 4 ms and wake up to four
 * times for one. A timer cancelled or moved later leaves it set: one turn for nothing.
 */
static void loop_arm_wake(struct loop *l)
{
	uint64_t now = clock_real_mono_ns();
	uint64_t want = now + LOOP_IDLE_TURN_MS * UINT64_C(1000000);
	if (clock_is_test()) /* its time may jump at any moment */
		want = now + CLOCK_TEST_TICK_MS * UINT64_C(1000000);
	else if (l->heap_len && !clock_is_fake() && l->heap[1]->_due_ns < want)
		want = l->heap[1]->_due_ns;
	if (l->wake_armed_ns && l->wake_armed_ns <= want)
		return;
	struct itimerspec at = { .it_value = { .tv_sec = (time_t)(want / NS_PER_S),
		                     .tv_nsec = (long)(want % NS_PER_S) } };
	CHECK(!timerfd_settime(l->wake_fd, TFD_TIMER_ABSTIME, &at, NULL));
	l->wake_armed_ns = want;
}

/* ---- the turn ---- */

static bool loop_must_not_wait(const struct loop *l)
{
	return l->mail || l->own || job_any(l) || !list_empty(&l->deferred) ||
	    !list_empty(&l->work[LOOP_SOON]) || !list_empty(&l->work[LOOP_LATER]) || l->stopping ||
	    (l->heap_len && l->heap[1]->_due_ns <= l->now_ns);
}

/* At the begin of a turn: how much of the time since the window began was spent in turns. */
static void loop_count_busy(struct loop *l)
{
	uint64_t all_ns = l->turn_start_ns - l->window_ns;
	if (all_ns < LEND_WINDOW_NS)
		return;
	uint64_t busy = l->worked_ns * LOOP_BUSY_ALL / all_ns;
	atomic_store_explicit(&l->busy, (unsigned)(busy < LOOP_BUSY_ALL ? busy : LOOP_BUSY_ALL),
	    memory_order_relaxed);
	l->window_ns = l->turn_start_ns;
	l->worked_ns = 0;
}

static void loop_count_longest(struct loop *l, uint64_t now, uint64_t took)
{
	if (now - l->longest_since_ns >= LOOP_LONGEST_NS) {
		metric_loop_window();
		l->longest_since_ns = now;
		l->longest_ns = 0;
	}
	if (LIKELY(took <= l->longest_ns))
		return;
	l->longest_ns = took;
	metric_loop_longest(took);
}

/*
 * The CPU time of a thread takes a system call: a short turn is counted with its length, and taken
 * off the next one that is looked up, which is at most LOOP_CPU_LOOK_NS later while the loop works.
 */
static void loop_count_turn(struct loop *l)
{
	uint64_t now = clock_real_mono_ns(), took = now - l->turn_start_ns;
	l->worked_ns += took;
	metric_observe_ns(M_TURN, took);
	loop_count_longest(l, now, took);
	if (took < LOOP_CPU_SHORT_NS && now - l->cpu_look_ns < LOOP_CPU_LOOK_NS) {
		metric_observe_ns(M_TURN_CPU, took);
		l->short_ns += took;
		return;
	}
	uint64_t cpu = clock_thread_cpu_ns(), since = cpu - l->turn_cpu_ns;
	uint64_t this_turn = since > l->short_ns ? since - l->short_ns : 0;
	metric_observe_ns(M_TURN_CPU, this_turn < took ? this_turn : took);
	l->turn_cpu_ns = cpu;
	l->short_ns = 0;
	l->cpu_look_ns = now;
}

void loop_turn(struct loop *l)
{
	bool wait = !loop_must_not_wait(l), last_look = wait && !list_empty(&l->idle);
	wait = wait && !last_look;
	if (wait)
		loop_arm_wake(l);
	l->awake = false;
	wait = wait && mbox_sleep(l->mbox);
	int r = event_base_loop(l->base, EVLOOP_ONCE | (wait ? 0 : EVLOOP_NONBLOCK));
	CHECK(r >= 0);
	if (wait)
		mbox_awake(l->mbox);
	if (last_look && !l->awake && !mbox_any(l->mbox))
		loop_run_list(&l->idle, LOOP_DEFERRED_NS);
	loop_wake_up(l);
	loop_count_busy(l);
	atomic_store_explicit(&l->beat_ns, l->turn_start_ns, memory_order_relaxed);
	loop_run_timers(l);
	loop_take_mail(l);
	loop_take_own(l);
	loop_run_mail(l, LOOP_MAIL_TURN_MAX, LOOP_MAIL_TURN_NS);
	job_run_turn(l);
	loop_run_list(&l->deferred, LOOP_DEFERRED_NS);
	loop_run_list(&l->work[LOOP_SOON], LOOP_SOON_NS);
	loop_run_list(&l->work[LOOP_LATER], LOOP_LATER_NS);
	if (!list_empty(&l->idle) && clock_real_mono_ns() - l->idle_ns >= LOOP_IDLE_NS)
		loop_run_list(&l->idle, LOOP_DEFERRED_NS);
	loop_count_turn(l);
}
