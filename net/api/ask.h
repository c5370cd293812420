/*
 * ask - a request and its ticket (core/account/ticket.h): everything that reads asks for one before
 * it plans or scans anything.
 *
 *   ask_start > (waits) > go(a): work on a->ticket > ask_worked_out > answer sent > ask_end
 *                 |          +-- late(a): time is up while it works
 *                 +-- time is up, the client left, the queue is full: answered here, go never comes
 *
 * The timeout counts from ask_start to ask_worked_out, waiting included.
 * Thread: the loop of the request. Memory: the caller's, in the request's arena.
 */
#ifndef NET_API_ASK_H
#define NET_API_ASK_H

#include "core/account/ticket.h"
#include "core/rt/work.h"
#include "net/api/running.h"
#include "net/http/req.h"

enum ask_state {
	ASK_NONE, /* not started, all zero */
	ASK_WAITS,
	ASK_WORKS,
	ASK_OVER
};
struct ask {
	struct req *req;
	struct ticket *ticket; /* from go to ask_end */
	struct loop_timer timer;
	enum ask_state state;
	void (*go)(struct ask *a);   /* may be inside ask_start */
	void (*late)(struct ask *a); /* may be NULL */
	void (*over)(struct ask *a); /* may be NULL: it was answered here, go never comes */
	bool left;                   /* the client left while it worked */
	bool listed;                 /* the caller lists it itself (net/api/running.h) */
	struct running running;
	struct work_task _task;
	void (*_run)(struct ask *a), (*_ran)(struct ask *a);
};
/* what: for the log, lives as long as the request. The request's own, on_gone, on_done are set. */
void ask_start(struct ask *a, struct req *r, int64_t timeout_ms, const char *what, size_t what_len);
/* The client left: true when it still waited, and is answered now. */
bool ask_left(struct ask *a);
/*
 * Inside go: run(a), then ran(a) on the loop. costly: run takes longer than a turn may, and a
 * worker
 * does it; nobody else touches what it works on until ran.
 */
void ask_work(struct ask *a, bool costly, void (*run)(struct ask *a), void (*ran)(struct ask *a));
void ask_worked_out(struct ask *a);
/* What was charged to the ticket goes on without the request: the caller's to free. */
struct ticket *ask_take_ticket(struct ask *a);
/* In on_done. Everything charged to the ticket is back. */
void ask_end(struct ask *a);
/* Answers with the error of a purse that refused (ticket_no_room). */
void ask_no_room(struct ask *a);

#endif
