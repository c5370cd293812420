#include "net/daemon/reload.h"

#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metric.h"
#include "net/daemon/renew.h"
#include "net/daemon/sandbox.h"
#include "net/daemon/sdnotify.h"

#define STOP_LOOK_MS 5
#define HASH_SHOWN   UINT64_C(0xffffffffffff) /* a double holds it exactly */

enum reload_state {
	RELOAD_IDLE,
	RELOAD_LOADING,
	RELOAD_BINDING,
	RELOAD_TAKING,
	RELOAD_STOPPED
};
struct reload {
	struct reload_opts o;
	struct loop *home; /* loop 0: state and lists are its */
	enum reload_state state;
	struct list_link waiting; /* for the next one */
	struct list_link served;  /* by the one that runs */
	bool stopping;
	/* Of the one that runs: the worker's while it works, home's between. */
	struct config *conf; /* in force */
	struct config *next;
	struct buf told;
	uint64_t begin_ns;
	struct work_task task;
	struct store_tenants_req bind;
};

static void begin_next(struct reload *r);

/* ---- the end of one ---- */

static void answer(struct mbox_msg *msg)
{
	struct api_reload *a = CONTAINER_OF(msg, struct api_reload, _msg);
	a->done(a);
}

static void answer_all(struct reload *r, struct list_link *list, bool failed)
{
	struct list_link *l;
	while ((l = list_pop(list))) {
		struct api_reload *a = CONTAINER_OF(l, struct api_reload, _link);
		a->failed = failed;
		buf_add(&a->told, r->told.data, r->told.len);
		a->_msg.fn = answer;
		if (a->from) {
			loop_send(a->from, &a->_msg);
			continue;
		}
		buf_release(&a->told);
		mem_free(a);
	}
}

/* A line in the log for each mistake; what is shown of the file is for people before a screen. */
static void log_mistakes(const struct buf *told)
{
	const char *p = (const char *)told->data, *end = p + told->len;
	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t len = nl ? (size_t)(nl - p) : (size_t)(end - p);
		if (len && *p != ' ')
			LOG_ERROR("config_mistake", "text=\"%.*s\"", (int)len, p);
		p += len + 1;
	}
}

static void show_in_force(const struct config *c)
{
	metric_gauge_set(M_CONFIG_RELOAD_TIME, c->loaded_ms);
	metric_gauge_set(M_CONFIG_HASH, (int64_t)(c->hash & HASH_SHOWN));
}

static void end_with(struct reload *r, enum err e)
{
	metric_gauge_set(M_CONFIG_RELOAD_FINE, !e);
	if (e) {
		sdnotify_ready(
		    "running; the last reload failed, the configuration before it goes on");
		metric_add(M_CONFIG_RELOADS_FAILED, 1);
		log_mistakes(&r->told);
		LOG_ERROR("reload_failed",
		    "file=\"%s\" text=\"the configuration that was in force stays in force\"",
		    r->conf->path ? r->conf->path : "");
		config_drop(r->next);
	} else {
		metric_add(M_CONFIG_RELOADS, 1);
		sdnotify_ready("running; configuration read again");
		show_in_force(r->conf);
		LOG_INFO("reloaded", "file=\"%s\" took_ms=%llu", r->conf->path ? r->conf->path : "",
		    (unsigned long long)((clock_real_mono_ns() - r->begin_ns) / 1000000));
	}
	r->next = NULL;
	r->state = RELOAD_IDLE;
	answer_all(r, &r->served, e != ERR_OK);
	buf_clear(&r->told);
	begin_next(r);
}

/* ---- its steps ---- */

static void take(struct work_task *t)
{
	struct reload *r = CONTAINER_OF(t, struct reload, task);
	if (r->o.may && r->o.may(r->o.arg, r->next, &r->told))
		return;
	r->o.take(r->o.arg, r->next);
	config_drop(r->conf);
	r->conf = r->next;
	r->next = NULL;
}

static void taken(struct work_task *t)
{
	struct reload *r = CONTAINER_OF(t, struct reload, task);
	end_with(r, r->next ? ERR_BADDATA : ERR_OK);
}

static void run_on_worker(
    struct reload *r, void (*run)(struct work_task *t), void (*done)(struct work_task *t))
{
	r->task =
	    (struct work_task){ .run = run, .done = done, .prio = WORK_READ, .lane = RENEW_LANE };
	work_submit(r->o.pool, &r->task);
}

static void bound(struct store_tenants_req *b)
{
	struct reload *r = CONTAINER_OF(b, struct reload, bind);
	if (b->err) {
		buf_printf(&r->told, "tenants: %s\n", b->eb.text);
		end_with(r, b->err);
		return;
	}
	r->state = RELOAD_TAKING;
	run_on_worker(r, take, taken);
}

static void loaded(struct work_task *t)
{
	struct reload *r = CONTAINER_OF(t, struct reload, task);
	if (!r->next) {
		end_with(r, ERR_BADDATA);
		return;
	}
	r->state = RELOAD_BINDING;
	r->bind = (struct store_tenants_req){
		.tenants = r->next->tenants, .limits = &r->next->flags.limits, .done = bound
	};
	errbuf_init(&r->bind.eb);
	if (r->o.store && r->next->tenants)
		store_tenants_bind(r->o.store, &r->bind);
	else
		bound(&r->bind);
}

/*
 * A file that is being written is cut off somewhere, and may be fine all the same: without
 * identities, which would let everybody in.
 */
static bool opens(struct reload *r)
{
	if (!r->conf->idents || r->next->idents)
		return false;
	buf_add_str(&r->told,
	    "identities: they are gone, and everybody could do everything: that takes a restart, or "
	    "identities.anonymous with its roles\n");
	config_drop(r->next);
	r->next = NULL;
	return true;
}

static void load(struct work_task *t)
{
	struct reload *r = CONTAINER_OF(t, struct reload, task);
	if (config_load(r->o.argc, r->o.argv, &r->next, &r->told)) {
		sandbox_explain(&r->told);
		return;
	}
	if (opens(r))
		return;
	config_follow(r->next, r->conf);
	r->next->pool = r->o.pool;
}

static void begin_next(struct reload *r)
{
	if (r->stopping) {
		r->state = RELOAD_STOPPED;
		buf_clear(&r->told);
		buf_add_str(&r->told, "the server stops\n");
		answer_all(r, &r->waiting, true);
		return;
	}
	if (list_empty(&r->waiting))
		return;
	list_move_all(&r->served, &r->waiting);
	sdnotify_reloading();
	r->state = RELOAD_LOADING;
	r->begin_ns = clock_real_mono_ns();
	run_on_worker(r, load, loaded);
}

/* ---- asking ---- */

static void asked(struct mbox_msg *msg)
{
	struct api_reload *a = CONTAINER_OF(msg, struct api_reload, _msg);
	struct reload *r = a->_to;
	list_add_tail(&r->waiting, &a->_link);
	if (r->state == RELOAD_IDLE || r->state == RELOAD_STOPPED)
		begin_next(r);
}

void reload_ask(struct reload *r, struct api_reload *take_a)
{
	take_a->_to = r;
	take_a->_msg.fn = asked;
	loop_send(r->home, &take_a->_msg);
}

static void show_first(void *arg)
{
	const struct reload *r = arg;
	metric_gauge_set(M_CONFIG_RELOAD_FINE, 1);
	show_in_force(r->conf);
}

struct reload *reload_create(const struct reload_opts *o, struct config *conf)
{
	struct reload *r = mem_zalloc(sizeof(*r));
	r->o = *o;
	r->home = team_loop(o->team, 0);
	list_init(&r->waiting);
	list_init(&r->served);
	buf_init(&r->told);
	snap_take(&conf->snap);
	r->conf = conf;
	team_run_on(o->team, 0, show_first, r); /* a gauge is of one thread */
	return r;
}

struct stop_look {
	struct reload *r;
	bool stopped;
};

static void stop_here(void *arg)
{
	struct stop_look *s = arg;
	s->r->stopping = true;
	if (s->r->state == RELOAD_IDLE)
		begin_next(s->r);
	s->stopped = s->r->state == RELOAD_STOPPED;
}

void reload_stop(struct reload *r)
{
	struct stop_look s = { .r = r };
	for (;;) {
		team_run_on(r->o.team, 0, stop_here, &s);
		if (s.stopped)
			return;
		nanosleep(&(struct timespec){ .tv_nsec = STOP_LOOK_MS * 1000000 }, NULL);
	}
}

void reload_free(struct reload *r)
{
	if (!r)
		return;
	CHECK(r->state == RELOAD_STOPPED);
	config_drop(r->conf);
	buf_release(&r->told);
	mem_free(r);
}
