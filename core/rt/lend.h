/*
 * lend - a loop that has no time left lends a piece of work to one that has: few long connections
 * may keep one loop busy while others wait for events.
 *
 *   lend(p, run) > run(p) on the borrower > loop_send(p->home, ...) > the rest at home
 *
 * Nothing is lent by a loop that had time in the last LEND_WINDOW_NS, so an idle or evenly loaded
 * server keeps its memory near. A borrower has LEND_MAX pieces at most that it has not begun, and
 * less to do than the lender: what is lent follows what it gets done.
 * Whoever lends a piece keeps everything that belongs to it alive, and untouched, until it is home.
 * Thread: lend on any loop of a team. Cost: two loads when nothing is lent, else a message.
 */
#ifndef CORE_RT_LEND_H
#define CORE_RT_LEND_H

#include "core/rt/loop.h"

#define LEND_WINDOW_NS UINT64_C(4000000)
#define LEND_MAX       2u

/* Embed it; all zero at first. */
struct lend {
	struct loop *home; /* who has lent it */
	struct mbox_msg _msg;
	void (*_run)(struct lend *p);
};
/* False: nobody has more time than this loop, go on here. */
MUST_CHECK bool lend(struct lend *p, void (*run)(struct lend *p));

#endif
