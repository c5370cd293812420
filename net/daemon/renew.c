#include "net/daemon/renew.h"

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/metric.h"

struct renew {
	struct loop *loop;
	struct work_pool *pool;
	struct srv *srv;
	struct loop_timer timer;
	struct work_task task;
	bool stopped;
	/* What the look has found. */
	struct srv_renewal found;
	enum err err;
	struct errbuf why;
};

static void look(struct work_task *t)
{
	struct renew *r = CONTAINER_OF(t, struct renew, task);
	errbuf_init(&r->why);
	r->err = srv_renew(r->srv, &r->found, &r->why);
}

static void looked(struct work_task *t)
{
	struct renew *r = CONTAINER_OF(t, struct renew, task);
	if (r->found.changed) {
		metric_add(M_TLS_RENEWED, 1);
		LOG_INFO("certificates_renewed", "listeners=%u", r->found.changed);
	}
	if (r->err) {
		metric_add(M_TLS_RENEW_FAILED, 1);
		LOG_ERROR("certificates_not_renewed",
		    "why=\"%s\" text=\"the ones before them go on\"", r->why.text);
	}
	metric_gauge_set(M_TLS_ENDS, r->found.ends_s);
	if (!r->stopped)
		loop_timer_set(r->loop, &r->timer, RENEW_EVERY_MS);
}

static void on_timer(struct loop_timer *t)
{
	struct renew *r = CONTAINER_OF(t, struct renew, timer);
	r->task = (struct work_task){
		.run = look, .done = looked, .lane = RENEW_LANE, .prio = WORK_BACKGROUND
	};
	work_submit(r->pool, &r->task);
}

struct renew *renew_start(struct loop *l, struct work_pool *pool, struct srv *srv)
{
	loop_check_here(l);
	struct renew *r = mem_zalloc(sizeof(*r));
	r->loop = l;
	r->pool = pool;
	r->srv = srv;
	loop_timer_init(&r->timer, on_timer);
	on_timer(&r->timer);
	return r;
}

void renew_stop(struct renew *r)
{
	loop_check_here(r->loop);
	r->stopped = true;
	loop_timer_cancel(r->loop, &r->timer);
}

void renew_free(struct renew *r)
{
	mem_free(r);
}
