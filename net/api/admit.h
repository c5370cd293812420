/*
 * admit - places for queries: so many run in the process at once, so many wait, the rest is told to
 * come back.
 *
 * The keeper lives on loop 0; a query on another loop asks it by message. A ticket is asked for
 * once and is given back once, whatever happens:
 *
 *   admit_ask > (queued) > answer(t, ERR_OK)  > the query runs > admit_return        ERR_BUSY: the
 *   queue is full, the ticket is gone
 *                        > admit_abandon: no answer will come (the client left, time ran out), the
 *                        place in the queue is given up
 *
 * Thread: admit_create and admit_free from the main thread; the rest on the loop that asked. The
 * answer may come during admit_ask on loop 0.
 */
#ifndef NET_API_ADMIT_H
#define NET_API_ADMIT_H

#include "core/rt/team.h"

struct admit;
struct admit_ticket;
struct admit *admit_create(struct team *t, unsigned running_max, unsigned queued_max);
void admit_free(struct admit *a); /* no ticket is out */

/* *out is set before the answer comes. */
void admit_ask(
    struct admit *a, void (*answer)(void *arg, enum err e), void *arg, struct admit_ticket **out);
void admit_abandon(struct admit_ticket *t); /* before the answer */
void admit_return(struct admit_ticket *t);  /* after an answer of ERR_OK */

#endif
