#include "net/api/admit.h"

#include "core/base/arena.h"
#include "core/base/metric.h"

/*
 *            ask                    grant                 return
 *   NEW ------------> QUEUED -----------------> GRANTED ---------> freed by the keeper
 *    |                  |  full: refuse            ^
 *    |                  +------------> freed at home after the answer
 *    +-- abandon: the keeper takes it out of the queue and answers that; when another answer was
 *    already under way, home gives a granted place back at once.
 *
 * Two messages can be under way for one ticket, ask or grant and abandon: each has its own link.
 * Messages of one sender keep their order, so an abandon is always behind the ask and before the
 * return.
 */
enum place {
	PLACE_ASKING,
	PLACE_QUEUED,
	PLACE_GRANTED
}; /* as the keeper sees it */

struct admit_ticket {
	struct mbox_msg msg, abandon_msg;
	struct list_link queue; /* keeper */
	enum place place;       /* keeper */
	enum err verdict;       /* written by the keeper before it sends the answer */
	bool abandoned;         /* home */
	struct admit *admit;
	struct loop *home;
	void (*answer)(void *arg, enum err e);
	void *arg;
};
struct admit {
	struct loop *keeper; /* everything below is its own */
	unsigned running, running_max, queued, queued_max;
	struct list_link queue;
};

struct admit *admit_create(struct team *t, unsigned running_max, unsigned queued_max)
{
	struct admit *a = mem_zalloc(sizeof(*a));
	a->keeper = team_loop(t, 0);
	a->running_max = running_max;
	a->queued_max = queued_max;
	list_init(&a->queue);
	return a;
}

void admit_free(struct admit *a)
{
	if (!a)
		return;
	CHECK(list_empty(&a->queue));
	mem_free(a);
}

static struct admit_ticket *of_msg(struct mbox_msg *m)
{
	return CONTAINER_OF(m, struct admit_ticket, msg);
}

static void send(struct admit_ticket *t, struct loop *to, void (*fn)(struct mbox_msg *m))
{
	t->msg.fn = fn;
	if (to == loop_here())
		fn(&t->msg);
	else
		loop_send(to, &t->msg);
}

/* --- at home --- */

static void at_keeper_return(struct mbox_msg *m);
static void at_keeper_bury(struct mbox_msg *m);

static void at_home_answer(struct mbox_msg *m)
{
	struct admit_ticket *t = of_msg(m);
	loop_check_here(t->home);
	if (t->abandoned) {
		/*
		 * The abandon may still be under way to the keeper, so only there can the ticket
		 * end.
		 */
		send(t, t->admit->keeper, t->verdict ? at_keeper_bury : at_keeper_return);
		return;
	}
	void (*answer)(void *arg, enum err e) = t->answer;
	void *arg = t->arg;
	enum err e = t->verdict;
	if (e)
		mem_free(t);
	answer(arg, e);
}

/* --- at the keeper --- */

static void grant(struct admit *a, struct admit_ticket *t)
{
	CHECK(a->running < a->running_max);
	a->running++;
	metric_gauge_add(M_QUERIES_RUNNING, 1);
	t->place = PLACE_GRANTED;
	t->verdict = ERR_OK;
	send(t, t->home, at_home_answer);
}

static void at_keeper_ask(struct mbox_msg *m)
{
	struct admit_ticket *t = of_msg(m);
	struct admit *a = t->admit;
	if (a->running < a->running_max && list_empty(&a->queue)) {
		grant(a, t);
	} else if (a->queued < a->queued_max) {
		a->queued++;
		metric_gauge_add(M_QUERIES_QUEUED, 1);
		t->place = PLACE_QUEUED;
		list_add_tail(&a->queue, &t->queue);
	} else {
		t->verdict = ERR_BUSY;
		metric_add(M_QUERIES_REFUSED, 1);
		send(t, t->home, at_home_answer);
	}
}

static void at_keeper_return(struct mbox_msg *m)
{
	struct admit_ticket *t = of_msg(m);
	struct admit *a = t->admit;
	CHECK(a->running > 0);
	a->running--;
	metric_gauge_add(M_QUERIES_RUNNING, -1);
	mem_free(t);
	while (a->running < a->running_max && !list_empty(&a->queue)) {
		struct list_link *l = list_pop(&a->queue);
		a->queued--;
		metric_gauge_add(M_QUERIES_QUEUED, -1);
		grant(a, CONTAINER_OF(l, struct admit_ticket, queue));
	}
}

static void at_keeper_bury(struct mbox_msg *m)
{
	mem_free(of_msg(m));
}

static void at_keeper_abandon(struct mbox_msg *m)
{
	struct admit_ticket *t = CONTAINER_OF(m, struct admit_ticket, abandon_msg);
	if (t->place != PLACE_QUEUED)
		return; /* its answer is under way, home will see that nobody wants it */
	list_del(&t->queue);
	t->admit->queued--;
	metric_gauge_add(M_QUERIES_QUEUED, -1);
	t->place = PLACE_ASKING;
	t->verdict = ERR_CANCELED;
	send(t, t->home, at_home_answer);
}

/* --- the story --- */

void admit_ask(
    struct admit *a, void (*answer)(void *arg, enum err e), void *arg, struct admit_ticket **out)
{
	struct admit_ticket *t = mem_zalloc(sizeof(*t));
	t->admit = a;
	t->home = loop_here();
	t->answer = answer;
	t->arg = arg;
	list_init(&t->queue);
	*out = t;
	send(t, a->keeper, at_keeper_ask);
}

void admit_abandon(struct admit_ticket *t)
{
	struct admit *a = t->admit;
	CHECK(!t->abandoned);
	t->abandoned = true;
	t->abandon_msg.fn = at_keeper_abandon;
	if (a->keeper == loop_here())
		at_keeper_abandon(&t->abandon_msg);
	else
		loop_send(a->keeper, &t->abandon_msg);
}

void admit_return(struct admit_ticket *t)
{
	send(t, t->admit->keeper, at_keeper_return);
}
