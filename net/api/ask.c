#include "net/api/ask.h"

#include "core/base/hash.h"
#include "core/base/metric.h"
#include "core/model/tenant.h"
#include "net/api/api.h"
#include "net/api/apierr.h"
#include "net/api/tenantstat.h"

#include <netinet/in.h>

/* The address without its port; of IPv6 what one network has. 0 is nobody's. */
static uint64_t who_asks(const struct req *r)
{
	const struct sockaddr *sa = (const struct sockaddr *)&r->remote;
	uint64_t h = 0;

	if (sa->sa_family == AF_INET)
		h = hash64(&((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4, 0);
	else if (sa->sa_family == AF_INET6)
		h = hash64(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 8, 0);
	return h ? h : 1;
}

static void over(struct ask *a)
{
	loop_timer_cancel(a->req->loop, &a->timer);
	a->state = ASK_OVER;
	a->running.state = RUNNING_ANSWERS;
}

static void refuse_busy(struct req *r)
{
	const struct tenant_limits *own = tenant_limits_here(r->tenant);
	char limit[TENANT_LIMIT_TEXT_MAX];
	if (own->query_queued || own->query_concurrency)
		tenant_limit_text(loop_tenants(r->loop), r->tenant,
		    own->query_queued ? TENANT_LIMIT_query_queued : TENANT_LIMIT_query_concurrency,
		    limit);
	else
		limits_text(limits_here(), LIMITS_query_queued, limit);
	apierr_jsonf(r, ERR_BUSY, "too many queries are waiting, %s, try again later", limit);
}

static void answered(void *arg, enum err e)
{
	struct ask *a = arg;

	CHECK(a->state == ASK_WAITS);
	if (e) {
		a->ticket = NULL;
		over(a);
		refuse_busy(a->req);
		if (a->over)
			a->over(a);
		return;
	}
	metric_observe_ns(M_QUERY_WAIT_SECONDS, loop_now_ns(a->req->loop) - a->req->start_ns);
	a->state = ASK_WORKS;
	a->running.state = RUNNING_WORKS;
	req_payer(a->req, a->ticket, JOB_QUERY);
	a->go(a);
}

static void give_up(struct ask *a, enum err e, const char *text)
{
	ticket_abandon(a->ticket);
	a->ticket = NULL;
	over(a);
	apierr_json(a->req, e, text, strlen(text));
	if (a->over)
		a->over(a);
}

static void time_is_up(struct loop_timer *t)
{
	struct ask *a = CONTAINER_OF(t, struct ask, timer);

	if (a->state == ASK_WAITS)
		give_up(a, ERR_TIMEOUT, "query timed out in query execution");
	else if (a->state == ASK_WORKS && a->late)
		a->late(a);
}

void ask_start(struct ask *a, struct req *r, int64_t timeout_ms, const char *what, size_t what_len)
{
	const struct tenant_limits *l = tenant_limits_here(r->tenant);
	struct ticket_opts o = { .tenant = r->tenant,
		.limits = { .concurrency = l->query_concurrency,
		    .queued = l->query_queued,
		    .memory = l->query_memory },
		.who = who_asks(r),
		.what = what,
		.what_len = what_len,
		.answer = answered,
		.arg = a };

	CHECK(a->state == ASK_NONE);
	a->req = r;
	a->state = ASK_WAITS;
	loop_timer_init(&a->timer, time_is_up);
	loop_timer_set(r->loop, &a->timer, (uint64_t)timeout_ms);
	if (!a->listed) {
		a->running = (struct running){ .req = r, .what = what, .what_len = what_len };
		running_add(&a->running);
	}
	ticket_ask(api_of(r)->tickets, &o, &a->ticket);
}

bool ask_left(struct ask *a)
{
	a->left = true;
	if (a->state != ASK_WAITS)
		return false;
	give_up(a, ERR_CANCELED, "query was canceled in query execution");
	return true;
}

static void work_run(struct work_task *t)
{
	struct ask *a = CONTAINER_OF(t, struct ask, _task);

	a->_run(a);
}

static void work_ran(struct work_task *t)
{
	struct ask *a = CONTAINER_OF(t, struct ask, _task);

	a->_ran(a);
}

void ask_work(struct ask *a, bool costly, void (*run)(struct ask *a), void (*ran)(struct ask *a))
{
	CHECK(a->state == ASK_WORKS);
	if (!costly) {
		run(a);
		ran(a);
		return;
	}
	a->_run = run;
	a->_ran = ran;
	a->_task = (struct work_task){ .run = work_run, .done = work_ran, .prio = WORK_READ };
	work_submit(api_of(a->req)->opts.pool, &a->_task);
}

void ask_worked_out(struct ask *a)
{
	if (a->state != ASK_WORKS)
		return;
	over(a);
	tenantstat_asked(api_of(a->req)->tenantstat, a->req->tenant,
	    loop_now_ns(a->req->loop) - a->req->start_ns);
	ticket_worked_out(a->ticket);
}

struct ticket *ask_take_ticket(struct ask *a)
{
	struct ticket *t = a->ticket;

	CHECK(a->state == ASK_OVER);
	a->ticket = NULL;
	return t;
}

void ask_end(struct ask *a)
{
	if (a->state == ASK_NONE)
		return;
	running_del(&a->running);
	ask_worked_out(a);
	ticket_free(a->ticket);
	a->ticket = NULL;
}

void ask_no_room(struct ask *a)
{
	struct errbuf eb;

	errbuf_init(&eb);
	enum err e = ticket_no_room(ticket_purse(a->ticket), 0, &eb);
	apierr_json(a->req, e, eb.text, strlen(eb.text));
}
