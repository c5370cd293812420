/*
 * solo - one loop that its caller's own thread turns: for programs that are no server (kymoctl).
 *
 * What runs on a loop (net/client/hclient) runs on it, between two lines of the caller:
 *   begin something; while (!it is done) solo_turn(l);
 *
 * Thread: the one that made it, for good; it must have no other loop.
 */
#ifndef CORE_RT_SOLO_H
#define CORE_RT_SOLO_H

#include "core/rt/loop.h"

MUST_CHECK enum err solo_create(struct loop **out);
/* One turn: waits until there is something to do, a signal came, or a second went by. */
void solo_turn(struct loop *l);
/* A turn that waits also ends when fd becomes readable, once. Of one fd; again: of the new one. */
MUST_CHECK enum err solo_watch(struct loop *l, int fd);
/* The same without a wait: what can be done now. */
void solo_look(struct loop *l);
void solo_free(struct loop *l); /* nothing may be under way on it; NULL is fine */

#endif
