#include "net/api/door.h"

#include "core/account/rate.h"
#include "core/base/metric.h"
#include "core/base/num.h"
#include "net/api/api.h"
#include "net/api/apierr.h"
#include "net/conn/limit.h"

#define S_NS               UINT64_C(1000000000)
#define MS_NS              UINT64_C(1000000)
#define RETRY_MOST_S       30u
#define TOO_MANY           4u
#define STATUS_RATE        429
#define STATUS_UNAVAILABLE 503

enum door_at {
	DOOR_IDENTITY,
	DOOR_SIZE,
	DOOR_RATE,
	DOOR_PARKED,
	DOOR_LOAD,
	DOOR_OPEN
};

struct pass { /* of a write, in the request's arena */
	struct req *req;
	struct rate_claim claim;
	struct loop_timer timer;
	struct list_link link; /* in parked */
	uint64_t wait_ns;
	enum rate_kind of; /* that it waits for */
	bool counted;      /* as a write in flight */
};

void door_begin(struct door_loop *d)
{
	list_init(&d->parked);
	d->parked_count = 0;
	d->throttle = (struct throttle){ 0 };
}

static struct door_loop *door_of(const struct req *r)
{
	return &api_loop_of(r)->door;
}

/* --- RATE --- */

static void refuse(struct pass *p)
{
	struct req *r = p->req;
	char limit[TENANT_LIMIT_TEXT_MAX];
	enum tenant_limit_id id =
	    p->of == RATE_SAMPLES ? TENANT_LIMIT_samples_per_s : TENANT_LIMIT_requests_per_s;
	uint64_t s = p->wait_ns / S_NS + (p->wait_ns % S_NS > 0);
	bool give_up = limits_here()->write_rate_status < STATUS_UNAVAILABLE;
	uint32_t retry_s = apierr_retry_s(r, s < RETRY_MOST_S ? (uint32_t)s : RETRY_MOST_S);
	metric_add(M_WRITE_REFUSED_RATE, 1);
	tenant_limit_text(loop_tenants(r->loop), r->tenant, id, limit);
	refusals_tell(&api_loop_of(r)->refusals, REFUSAL_RATE, r, limit);
	req_answer_field(r, "retry-after", "%u", retry_s);
	req_refuse(r, give_up ? STATUS_RATE : STATUS_UNAVAILABLE, "rate_limited",
	    "more than this tenant may write, %s: send it again in %u s", limit, retry_s);
}

/* May the tenant have one more place? */
static bool has_place(const struct door_loop *d, uint32_t tenant)
{
	unsigned own = 0;
	LIST_EACH(l, &d->parked)
		own += CONTAINER_OF(l, struct pass, link)->req->tenant == tenant;
	return own < DOOR_PARKED_MAX - d->parked_count;
}

static void unpark(struct pass *p)
{
	loop_timer_cancel(p->req->loop, &p->timer);
	list_del(&p->link);
	door_of(p->req)->parked_count--;
	metric_gauge_add(M_RATE_PARKED_NOW, -1);
	p->req->on_gone = NULL;
}

static void waited(struct loop_timer *t)
{
	struct pass *p = CONTAINER_OF(t, struct pass, timer);
	unpark(p);
	req_door_open(p->req);
}

static void left(struct req *r)
{
	struct pass *p = r->door_own;
	unpark(p);
	rate_give(&p->claim);
	refuse(p);
}

/* The request ends. When nobody has settled what it was charged its body has not come. */
static void ended(struct req *r)
{
	struct pass *p = r->door_own;
	rate_give(&p->claim);
	if (p->counted) {
		limit_writes_sub(r->who);
		throttle_end(&door_of(r)->throttle, loop_now_ns(r->loop));
		req_rush(r, door_of(r)->throttle.limit != 0);
	}
}

static enum req_step park(struct pass *p)
{
	struct req *r = p->req;
	struct door_loop *d = door_of(r);
	if (!has_place(d, r->tenant)) {
		rate_give(&p->claim);
		refuse(p);
		return REQ_ANSWERED;
	}
	d->parked_count++;
	list_add_tail(&d->parked, &p->link);
	metric_gauge_add(M_RATE_PARKED_NOW, 1);
	metric_add(M_RATE_PARKED, 1);
	loop_timer_init(&p->timer, waited);
	loop_timer_set(r->loop, &p->timer, p->wait_ns / MS_NS + 1);
	r->on_gone = left;
	r->door_step = DOOR_PARKED;
	return REQ_WAIT;
}

static enum req_step rate(struct req *r)
{
	const struct tenant_limits *l = tenant_limits_here(r->tenant);
	if (!rate_is_limited(l))
		return REQ_GO;
	struct pass *p = r->door_own;
	uint64_t bytes = r->body_declared > 0 ? (uint64_t)r->body_declared : 0;
	p->wait_ns =
	    rate_take(api_of(r)->rates, l, r->tenant, bytes, loop_now_ns(r->loop), &p->claim);
	p->of = p->claim.of;
	if (p->wait_ns > RATE_WAIT_NS) {
		refuse(p);
		return REQ_ANSWERED;
	}
	return p->wait_ns ? park(p) : REQ_GO;
}

void door_wrote(struct req *r, enum door_end end, uint64_t samples)
{
	struct pass *p = r->door_own;
	if (!p)
		return;
	switch (end) {
	case DOOR_STORED:
		rate_settle(&p->claim, samples, loop_now_ns(r->loop));
		return;
	case DOOR_BROKEN:
		rate_keep(&p->claim);
		return;
	case DOOR_AGAIN:
		rate_give(&p->claim);
		return;
	}
}

/* --- LOAD --- */

/* So many times the limit is the end for those, too, who have less than an equal part. */
static bool is_too_many(struct req *r, struct throttle *t)
{
	bool may = throttle_may(t, loop_now_ns(r->loop), r->waited_ns);
	req_rush(r, t->limit != 0);
	if (may)
		return false;
	return limit_writes_over(r->who) || t->under_way >= TOO_MANY * t->limit;
}

static enum req_step load(struct req *r)
{
	struct pass *p = r->door_own;
	struct throttle *t = &door_of(r)->throttle;
	if (is_too_many(r, t)) {
		throttle_refused(t, loop_now_ns(r->loop));
		rate_give(&p->claim);
		metric_add(M_WRITE_REFUSED_LOAD, 1);
		refusals_tell(&api_loop_of(r)->refusals, REFUSAL_LOAD, r, NULL);
		req_refuse_overloaded(r, "more is written than the server can take now");
		return REQ_ANSWERED;
	}
	p->counted = true;
	throttle_begin(t);
	limit_writes_add(r->who);
	return REQ_GO;
}

/* --- all of it --- */

static enum req_step identify(struct req *r)
{
	const struct api *a = api_of(r);
	return a->opts.identify ? a->opts.identify(r) : REQ_GO;
}

static void pass_begin(struct req *r)
{
	struct pass *p = arena_zalloc(&r->arena, sizeof(*p));
	p->req = r;
	r->door_own = p;
	r->door_done = ended;
}

static bool is_write(const struct req *r)
{
	return r->route->body_max == ROUTE_BODY_WRITE;
}

enum req_step api_door(struct req *r)
{
	enum req_step step;
	switch ((enum door_at)r->door_step) {
	case DOOR_IDENTITY:
		step = identify(r);
		if (step != REQ_GO)
			return step;
		if (r->tenant != TENANT_DEFAULT)
			req_set_who(r, limit_who_tenant(r->tenant));
		r->door_step = DOOR_SIZE;
		/* fallthrough */
	case DOOR_SIZE:
		if (!req_size_fits(r))
			return REQ_ANSWERED;
		if (!is_write(r)) {
			r->door_step = DOOR_OPEN;
			return REQ_GO;
		}
		pass_begin(r);
		r->door_step = DOOR_RATE;
		/* fallthrough */
	case DOOR_RATE:
		step = rate(r);
		if (step != REQ_GO)
			return step;
		/* fallthrough */
	case DOOR_PARKED:
		r->door_step = DOOR_LOAD;
		/* fallthrough */
	case DOOR_LOAD:
		step = load(r);
		if (step != REQ_GO)
			return step;
		r->door_step = DOOR_OPEN;
		/* fallthrough */
	case DOOR_OPEN:
		break;
	}
	return REQ_GO;
}
