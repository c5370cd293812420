/*
 * ticket - who may use how much: a place, bytes and samples for one asker (a query, a metadata
 * answer, format_query, later a rule or a remote read). Asked for before anything is planned, given
 * back when the last byte of the answer is gone.
 *
 *   ticket_ask > (queued) > answer(arg, ERR_OK) > work > ticket_worked_out > answer read > ticket_free
 *                         > ticket_abandon: no answer will come
 *
 * Places. Every ticket begins SMALL. One that turns out to be heavy (ticket_grow: by its plan, or by
 * the samples it has touched) gives its small place to the next and needs a HEAVY one, of which
 * there are fewer than places in all: heavy askers wait for each other, small ones go past them.
 *   ticket_grow > go on at once, or TICKET_WAIT and wake(arg) later
 *   ticket_worked_out: the work is done, the place goes to the next; bytes stay until ticket_free
 * Bytes: ticket_purse; the purses of all tickets are one sum (query_memory_total of
 * core/model/limits.h). Full: askers wait in the queue before they begin, nobody is ended for it.
 * Addresses: while another address waits, no address has more than its share of the places
 * (core/model/limits.h); without one waiting it may have all.
 *
 * Thread: a ticket on the loop that asked, but for purse and ticket_touched, which any loop may use
 * between the answer and ticket_worked_out. The keeper of the places is loop 0; its messages are
 * short and it never waits.
 */
#ifndef CORE_ACCOUNT_TICKET_H
#define CORE_ACCOUNT_TICKET_H

#include "core/base/purse.h"
#include "core/model/limits.h"
#include "core/rt/team.h"

enum ticket_class {
	TICKET_SMALL,
	TICKET_HEAVY
};
#define TICKET_SMALL_SAMPLES 100000u /* touched by a small one, at most */
struct tickets;                      /* the keeper's book */
struct ticket;
struct ticket_opts {
	uint32_t tenant;
	uint64_t who;       /* hash of the client's address; 0 = the server itself */
	uint64_t bytes_max; /* 0 = limits' query_memory */
	const char *what; /* for the log: the text of the query, cut; lives as long as the ticket */
	size_t what_len;
	/* On the loop that asked: ERR_OK, or ERR_BUSY (the queue is full; the ticket is gone). */
	void (*answer)(void *arg, enum err e);
	void *arg;
};
struct tickets *tickets_create(struct team *t, const struct limits *l);
void tickets_free(struct tickets *ts); /* no ticket is out */
/* *out is set before the answer comes, which may be inside this call. */
void ticket_ask(struct tickets *ts, const struct ticket_opts *o, struct ticket **out);
void ticket_abandon(struct ticket *t); /* before the answer; also while ticket_grow waits */
struct purse *ticket_purse(struct ticket *t);
uint32_t ticket_tenant(const struct ticket *t);
enum ticket_class ticket_class(const struct ticket *t);
/* Any loop: so many samples more were touched. True: it is too heavy for a small one by now. */
bool ticket_touched(struct ticket *t, uint64_t samples);
/* True: go on (it is heavy now, or was). False: wake(arg) comes on this loop; then ask again. */
MUST_CHECK bool ticket_grow(struct ticket *t, void (*wake)(void *arg), void *arg);
void ticket_worked_out(struct ticket *t); /* once, or not at all */
/* Everything charged to its purse is back. */
void ticket_free(struct ticket *t);

#endif
