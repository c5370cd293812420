/*
 * throttle - how many requests may be under way at once, when more come than can be done.
 *
 * As long as requests need not wait for their turns there is no limit: whatever takes long (a slow
 * disk) is not made faster by turning others away. When what comes has waited too long for it,
 * THROTTLE_WINDOWS windows one after the other, on the average, there is more to do than can be
 * done: no more may be under way from then on, and the limit follows what requests wait: a smaller
 * one as long as that is too much, a larger one when it is little and somebody was refused. It is
 * never smaller than what is done in a window, so that there is always something to do; less would
 * not help against waits that others on the machine cause. When nobody was refused for
 * THROTTLE_CALM_NS it is gone.
 * So a burst, however large, is worked off; only a queue that stays costs somebody his place, and
 * who is refused is told soon, because the queue is short.
 *
 * Thread: its owner's. Cost: some adds for each request.
 */
#ifndef CORE_ACCOUNT_THROTTLE_H
#define CORE_ACCOUNT_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#define THROTTLE_WINDOW_NS UINT64_C(100000000)
#define THROTTLE_WINDOWS   3u
#define THROTTLE_WAIT_NS   UINT64_C(20000000) /* on the average; too long */
#define THROTTLE_SHORT_NS  UINT64_C(10000000) /* so little that more may come */
/* No limit is smaller: who sends a few at a time is not refused, however slow all is. */
#define THROTTLE_LEAST   8u
#define THROTTLE_CALM_NS UINT64_C(1000000000)

struct throttle {       /* all zero: nobody has come */
	unsigned limit; /* 0: none */
	unsigned under_way;
	uint64_t _window_ns; /* when it began */
	uint64_t _waited_ns; /* sum of this window */
	unsigned _came, _done, _bad;
	double _peak;  /* done in a window */
	bool _refused; /* somebody, in this window */
	uint64_t _refused_ns;
};
/*
 * One comes that has waited so long for its turn. False: it is one too many. Who lets it in all the
 * same, or on true, calls throttle_begin.
 */
bool throttle_may(struct throttle *t, uint64_t now_ns, uint64_t waited_ns);
void throttle_begin(struct throttle *t);
void throttle_refused(struct throttle *t, uint64_t now_ns);
void throttle_end(struct throttle *t, uint64_t now_ns);

#endif
