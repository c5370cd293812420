#include "core/rt/lend.h"

#include "core/base/clock.h"
#include "core/base/metric.h"
#include "core/rt/loop_priv.h"

/* Of LOOP_BUSY_ALL: from here on a loop lends, and to whom that has so much more time than it. */
#define BUSY_LENDS (LOOP_BUSY_ALL * 7 / 8)
#define BUSY_APART (LOOP_BUSY_ALL / 8)
#define ASLEEP_FOR 5u /* windows without a turn: what a loop has said of itself is old */

static unsigned busy_of(const struct loop *l, uint64_t now_ns)
{
	uint64_t beat_ns = atomic_load_explicit(&l->beat_ns, memory_order_relaxed);
	if (now_ns > beat_ns && now_ns - beat_ns > ASLEEP_FOR * LEND_WINDOW_NS)
		return 0;
	return atomic_load_explicit(&l->busy, memory_order_relaxed);
}

/* The one with most time; NULL: all have about as little as l. */
static struct loop *borrower(const struct loop *l, unsigned busy)
{
	struct loop *best = NULL;
	unsigned least = busy - BUSY_APART;
	uint64_t now_ns = clock_real_mono_ns();
	for (unsigned i = 0; i < l->crew_count; i++) {
		struct loop *other = l->crew[i];
		if (other == l ||
		    atomic_load_explicit(&other->borrowed, memory_order_relaxed) >= LEND_MAX)
			continue;
		unsigned has = busy_of(other, now_ns);
		if (has >= least)
			continue;
		least = has;
		best = other;
	}
	return best;
}

static void run_borrowed(struct mbox_msg *msg)
{
	struct lend *p = CONTAINER_OF(msg, struct lend, _msg);
	atomic_fetch_sub_explicit(&loop_here()->borrowed, 1, memory_order_relaxed);
	p->_run(p);
}

bool lend(struct lend *p, void (*run)(struct lend *p))
{
	struct loop *l = loop_here();
	unsigned busy = atomic_load_explicit(&l->busy, memory_order_relaxed);
	if (LIKELY(busy < BUSY_LENDS) || l->crew_count < 2)
		return false;
	struct loop *to = borrower(l, busy);
	if (!to)
		return false;
	*p = (struct lend){ .home = l, ._msg.fn = run_borrowed, ._run = run };
	atomic_fetch_add_explicit(&to->borrowed, 1, memory_order_relaxed);
	metric_add(M_LOOP_LENT, 1);
	loop_send(to, &p->_msg);
	return true;
}
