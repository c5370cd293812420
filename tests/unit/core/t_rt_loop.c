/* Loops: timers on the fake clock, deferred work, calls, heartbeats, and a stop that drains. */
#include <stdlib.h>

#include "core/base/metric.h"
#include "tests/lib/tap.h"
#include "tests/lib/testteam.h"

#define WALL_START 1700000000000

/* ---- timers ---- */

#define TIMERS 2000
struct probe {
	struct loop_timer t;
	uint64_t after_ms, fired_at_ns;
	unsigned fired;
	bool dead;
};
static struct probe probes[TIMERS];
static uint64_t t0_ns;
static uint64_t last_due_ns;
static unsigned out_of_order;

static void probe_fired(struct loop_timer *t)
{
	struct probe *p = CONTAINER_OF(t, struct probe, t);
	p->fired++;
	p->fired_at_ns = loop_now_ns(loop_here());
	if (t->_due_ns < last_due_ns)
		out_of_order++;
	last_due_ns = t->_due_ns;
}

static void probes_set(void *arg)
{
	(void)arg;
	struct loop *l = loop_here();
	srand(7);
	t0_ns = loop_now_ns(l);
	for (unsigned i = 0; i < TIMERS; i++) {
		struct probe *p = &probes[i];
		loop_timer_init(&p->t, probe_fired);
		p->after_ms = 1 + (unsigned)rand() % 1000;
		loop_timer_set(l, &p->t, p->after_ms);
	}
	/* Every third is moved, every fifth is cancelled. */
	for (unsigned i = 0; i < TIMERS; i += 3) {
		probes[i].after_ms = 1 + (unsigned)rand() % 1000;
		loop_timer_set(l, &probes[i].t, probes[i].after_ms);
	}
	for (unsigned i = 0; i < TIMERS; i += 5) {
		probes[i].dead = true;
		loop_timer_cancel(l, &probes[i].t);
		loop_timer_cancel(l, &probes[i].t);
	}
}

static unsigned probes_wrong;

static void probes_check(void *arg)
{
	unsigned ms = *(unsigned *)arg;
	for (unsigned i = 0; i < TIMERS; i++) {
		const struct probe *p = &probes[i];
		unsigned want = !p->dead && p->after_ms <= ms;
		probes_wrong += p->fired != want;
		probes_wrong += loop_timer_is_set(&p->t) == (want || p->dead);
	}
}

static void timers_follow_the_fake_clock(struct testteam *tt)
{
	testteam_run(tt, 0, probes_set, NULL);
	for (unsigned ms = 0; ms <= 1000; ms += 50) {
		testteam_run(tt, 0, probes_check, &ms);
		clock_fake_advance(50);
		team_clock_moved(tt->team);
	}
	tap_is_u64(probes_wrong, 0, "exactly the timers that came due have fired after each advance");
	tap_is_u64(out_of_order, 0, "earlier ones before later ones");
}

struct again {
	struct loop_timer t;
	unsigned runs;
};

static void again_fired(struct loop_timer *t)
{
	struct again *a = CONTAINER_OF(t, struct again, t);
	if (++a->runs < 10)
		loop_timer_set(loop_here(), t, 0);
}

static void again_set(void *arg)
{
	struct again *a = arg;
	loop_timer_init(&a->t, again_fired);
	loop_timer_set(loop_here(), &a->t, 0);
}

static bool again_done(void *arg)
{
	return ((struct again *)arg)->runs == 10;
}

static void wall_here(void *arg)
{
	*(int64_t *)arg = loop_now_ms(loop_here());
}

/* ---- deferred ---- */

struct chain {
	struct loop_deferred d;
	unsigned runs, seen_inside;
};

static void chain_run(struct loop_deferred *d)
{
	struct chain *c = CONTAINER_OF(d, struct chain, d);
	if (++c->runs < 3)
		loop_defer(loop_here(), d);
}

static void chain_start(void *arg)
{
	struct chain *c = arg;
	c->d.fn = chain_run;
	loop_defer(loop_here(), &c->d);
	c->seen_inside = c->runs;
}

static bool chain_done(void *arg)
{
	return ((struct chain *)arg)->runs == 3;
}

/* ---- when there is nothing else to do ---- */

static struct idle {
	struct loop_deferred d, busy;
	uint64_t begun_ns, ran_ns;
	unsigned runs;
	bool keep_busy;
} idle;

static void idle_run(struct loop_deferred *d)
{
	struct idle *i = CONTAINER_OF(d, struct idle, d);
	i->runs++;
	i->ran_ns = clock_real_mono_ns();
}

/* A loop that always has work. */
static void idle_busy(struct loop_deferred *d)
{
	struct idle *i = CONTAINER_OF(d, struct idle, busy);
	if (!i->runs)
		loop_defer(loop_here(), d);
}

static void idle_start(void *arg)
{
	struct idle *i = arg;
	i->d.fn = idle_run;
	i->busy.fn = idle_busy;
	i->runs = 0;
	i->begun_ns = clock_real_mono_ns();
	if (i->keep_busy)
		loop_defer(loop_here(), &i->busy);
	loop_idle(loop_here(), &i->d);
}

static bool idle_done(void *arg)
{
	return ((struct idle *)arg)->runs > 0;
}

static void idle_waits_for_the_rest(struct testteam *tt)
{
	testteam_run(tt, 0, idle_start, &idle);
	tap_ok(testteam_wait(tt, 0, idle_done, &idle, TESTTEAM_LONG_MS),
	    "a loop with nothing to do runs it");
	idle.keep_busy = true;
	testteam_run(tt, 0, idle_start, &idle);
	tap_ok(testteam_wait(tt, 0, idle_done, &idle, TESTTEAM_LONG_MS),
	    "one that is always busy does so, too");
	tap_ok(idle.ran_ns - idle.begun_ns >= LOOP_IDLE_NS, "but not before its time");
	tap_is_u64(idle.runs, 1, "and once");
}

/* ---- work that may wait ---- */

/* Each piece takes 400 us; between them a turn does other things, too. */
#define PIECES 30
struct piece {
	struct loop_deferred d;
	unsigned no, ran;
};
static struct piece pieces[PIECES], ends[PIECES];
static unsigned order, wrong_order, mails, mails_before_half;

static void piece_run(struct loop_deferred *d)
{
	struct piece *p = CONTAINER_OF(d, struct piece, d);
	uint64_t end_ns = clock_real_mono_ns() + 400000;
	while (clock_real_mono_ns() < end_ns)
		;
	wrong_order += p->no != order++;
	p->ran++;
	if (order == PIECES / 2)
		mails_before_half = mails;
}

static void pieces_start(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < PIECES; i++) {
		pieces[i] = (struct piece){ .d.fn = piece_run, .no = i };
		loop_work(loop_here(), LOOP_LATER, &pieces[i].d);
	}
}

static void mail_count(void *arg)
{
	(void)arg;
	mails++;
}

static bool pieces_done(void *arg)
{
	(void)arg;
	return order == PIECES;
}

static unsigned turns_of_ends, ends_seen;
static void end_run(struct loop_deferred *d)
{
	struct piece *p = CONTAINER_OF(d, struct piece, d);
	uint64_t end_ns = clock_real_mono_ns() + 400000;
	while (clock_real_mono_ns() < end_ns)
		;
	wrong_order += p->no != ends_seen++;
}
static void ends_start(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < PIECES; i++) {
		ends[i] = (struct piece){ .d.fn = end_run, .no = i };
		loop_defer(loop_here(), &ends[i].d);
	}
}
static void ends_look(void *arg)
{
	(void)arg;
	if (ends_seen < PIECES)
		turns_of_ends++;
}

static bool ends_done(void *arg)
{
	(void)arg;
	return ends_seen == PIECES;
}

static void work_takes_turns(struct testteam *tt)
{
	testteam_run(tt, 0, pieces_start, NULL);
	for (unsigned i = 0; i < 100; i++)
		testteam_run(tt, 0, mail_count, NULL);
	TAP_OK(testteam_wait(tt, 0, pieces_done, NULL, TESTTEAM_LONG_MS));
	tap_is_u64(wrong_order, 0, "work that may wait runs in order");
	tap_ok(mails_before_half > 2, "and %u mails get between its first 15 pieces of 400 us",
	    mails_before_half);
	testteam_run(tt, 0, ends_start, NULL);
	for (unsigned i = 0; i < 100; i++)
		testteam_run(tt, 0, ends_look, NULL);
	TAP_OK(testteam_wait(tt, 0, ends_done, NULL, TESTTEAM_LONG_MS));
	tap_ok(!wrong_order, "what is deferred runs in order, too");
	tap_ok(turns_of_ends > 2, "2 ms of it a turn (%u turns)", turns_of_ends);
}

/* ---- the stop ---- */

struct ball {
	struct mbox_msg msg;
	struct testteam *tt;
	unsigned hops, at;
};

static void ball_hop(struct mbox_msg *msg)
{
	struct ball *b = CONTAINER_OF(msg, struct ball, msg);
	CHECK(loop_index(loop_here()) == b->at);
	if (!--b->hops)
		return;
	b->at = (b->at + 1) % team_count(b->tt->team);
	loop_send(testteam_loop(b->tt, b->at), &b->msg);
}

static void stop_drains(void)
{
	unsigned left = 0;
	for (unsigned round = 0; round < 20; round++) {
		struct testteam tt;
		testteam_start(&tt, 3);
		struct ball balls[30];
		for (unsigned i = 0; i < 30; i++) {
			balls[i] =
			    (struct ball){ .msg.fn = ball_hop, .tt = &tt, .hops = 1 + i, .at = i % 3 };
			loop_send(testteam_loop(&tt, i % 3), &balls[i].msg);
		}
		testteam_stop(&tt);
		for (unsigned i = 0; i < 30; i++)
			left += balls[i].hops;
	}
	tap_is_u64(left, 0, "a stop runs all mail, and the mail that answers it");
}

static void started(void *arg, struct loop *l)
{
	unsigned *seen = arg;
	if (l == loop_here())
		seen[loop_index(l)] = 1;
}

static void members(void)
{
	unsigned seen[4] = { 0 };
	struct team_opts opts = { .loops = 4, .pin = true, .on_start = started, .arg = seen };
	struct team *t;
	if (!tap_ok(!team_create(&opts, &t) && !team_start(t), "a team of 4 starts"))
		return;
	tap_is_u64(seen[0] + seen[1] + seen[2] + seen[3], 4, "on_start has run on each loop");
	tap_is_u64(team_count(t), 4, "it has 4 loops");
	uint64_t first = team_oldest_turn_ns(t);
	uint64_t later = first;
	bool young = false;
	for (unsigned i = 0; i < 6000 && (later == first || !young); i++) {
		usleep(100000);
		later = team_oldest_turn_ns(t);
		young = clock_real_mono_ns() - later < UINT64_C(1200000000);
	}
	tap_ok(later > first && young, "idle loops turn once a second");
	team_stop(t);
	team_stop(t);
	team_free(t);
}

int main(void)
{
	clock_fake(WALL_START);
	struct testteam tt;
	testteam_start(&tt, 2);
	tap_ok(!loop_here(), "the main thread is no loop");
	timers_follow_the_fake_clock(&tt);
	int64_t wall;
	testteam_run(&tt, 1, wall_here, &wall);
	tap_is_i64(wall, WALL_START + 1050, "the cached wall clock follows the fake one");
	struct again a = { .runs = 0 };
	testteam_run(&tt, 1, again_set, &a);
	tap_ok(testteam_wait(&tt, 1, again_done, &a, TESTTEAM_LONG_MS),
	    "a timer of 0 ms runs without waiting, once per turn");
	struct chain c = { .runs = 0 };
	testteam_run(&tt, 0, chain_start, &c);
	tap_ok(testteam_wait(&tt, 0, chain_done, &c, TESTTEAM_LONG_MS),
	    "deferred work may defer itself again");
	tap_is_u64(c.seen_inside, 0, "and never runs below its caller");
	idle_waits_for_the_rest(&tt);
	work_takes_turns(&tt);
	testteam_stop(&tt);
	stop_drains();
	members();
	return tap_done();
}
