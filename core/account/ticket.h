/*
 * ticket - who may use how much: a place, bytes and samples for one asker (a query, a metadata
 * answer, format_query, later a rule or a remote read). Asked for before anything is planned, given
 * back when the last byte of the answer is gone.
 *
 *   ticket_ask > (queued) > answer(arg, ERR_OK) > work > ticket_worked_out > answer read >
 *   ticket_free
 *                         > ticket_abandon: no answer will come, the ticket is gone
 *
 * Places. Every ticket begins SMALL. One that turns out to be heavy (ticket_grow: by its plan, or
 * by
 * what it has touched) gives its small place to the next and needs a HEAVY one. There are as many
 * of those as half the loops, at most half of all places: heavy askers wait for each other, small
 * ones go past them.
 *   ticket_grow > go on at once, or false and wake(arg) later
 *   ticket_worked_out: the work is done, the place goes to the next; bytes stay until ticket_free
 * query_queued of core/model/limits.h may wait for a small place, and as many for a heavy one. Who
 * comes then gets ERR_BUSY; who would grow then goes on with its purse closed (PURSE_CLOSED).
 *
 * Bytes: ticket_purse; the purses of all tickets are one sum (query_memory_total). While three
 * quarters of it are used nobody begins, while half of it is used nobody becomes heavy, as long as
 * somebody else works who will give some back. Who runs into the end of the sum is told to come
 * back later; who runs into its own limit is told so (ticket_no_room).
 *
 * Tenants and addresses. A place that is free goes to the tenant that has the fewest of those that
 * wait, among equals to the one that got a place of the kind longest ago, then to the one that came
 * first; inside the tenant to an address by the same rule, then in the order of asking. When a
 * queue is full, the youngest of the tenant that waits most often makes room for a tenant that
 * waits less; inside a tenant it is so with addresses. So without others a tenant, and an address,
 * may have everything.
 * A tenant may have limits of its own (struct ticket_tenant): it waits, or is refused, for itself.
 *
 * Thread: a ticket on the loop that asked, but for its purse, ticket_class and ticket_touched,
 * which
 * any loop may use between the answer and ticket_worked_out. The keeper of the places is loop 0;
 * its
 * messages are short and it never waits.
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
#define TICKET_SMALL_SAMPLES 100000u              /* touched by a small one, at most */
#define TICKET_SMALL_BYTES   (UINT64_C(16) << 20) /* held by a small one */
struct tickets;                                   /* the keeper's book */
struct ticket;
/* 0: no limit but the server's. Those of the last ticket that was asked for hold. */
struct ticket_tenant {
	uint64_t concurrency, queued; /* of each kind of place as many may wait */
	uint64_t memory;              /* of all its tickets together */
};
struct ticket_opts {
	uint32_t tenant;
	struct ticket_tenant limits; /* of the tenant */
	uint64_t who;                /* hash of the client's address; 0 = the server itself */
	uint64_t bytes_max;          /* 0 = limits' query_memory */
	const char *what; /* for the log: the text of the query, cut; lives as long as the ticket */
	size_t what_len;
	/* On the loop that asked: ERR_OK, or ERR_BUSY (the queue is full; the ticket is gone). */
	void (*answer)(void *arg, enum err e);
	void *arg;
};
/* The limits are copied: query_concurrency, query_queued, query_memory and query_memory_total. */
struct tickets *tickets_create(struct team *t, const struct limits *l);
void tickets_free(struct tickets *ts); /* no ticket is out */
/* *out is set before the answer comes, which may be inside this call. */
void ticket_ask(struct tickets *ts, const struct ticket_opts *o, struct ticket **out);
void ticket_abandon(struct ticket *t); /* before the answer */
struct purse *ticket_purse(struct ticket *t);
uint32_t ticket_tenant(const struct ticket *t);
const char *ticket_what(const struct ticket *t, size_t *len);
enum ticket_class ticket_class(const struct ticket *t);
/* Any loop: so many samples more were touched. True: it is too heavy for a small one by now. */
bool ticket_touched(struct ticket *t, uint64_t samples);
/*
 * True: go on (it is heavy now, or was, or its purse is closed). False: wake(arg) comes on this
 * loop, unless ticket_worked_out comes first; then ask again.
 */
MUST_CHECK bool ticket_grow(struct ticket *t, void (*wake)(void *arg), void *arg);
void ticket_worked_out(struct ticket *t); /* also while ticket_grow waits; twice does no harm */
/* After the answer. Everything charged to its purse is back. */
void ticket_free(struct ticket *t);

/*
 * The error of a purse that refused more bytes (0: it is over), with the limit, its number and its
 * flag: ERR_TOOBIG when the asker wants too much, ERR_BUSY or ERR_NOMEM when all together do.
 */
enum err ticket_no_room(const struct purse *p, uint64_t more, struct errbuf *eb);

#endif
