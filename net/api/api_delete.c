#include "net/api/api_delete.h"

#include "core/base/arena.h"
#include "core/base/log.h"
#include "core/model/tenant.h"
#include "net/api/api_admin.h"
#include "net/api/apierr.h"
#include "net/api/asksets.h"
#include "storage/storedelete.h"

#define DELETE_MS (60 * 1000) /* that it waits for a ticket, and for workers that read selectors */

struct deletion { /* in the request's arena */
	struct asksets asked;
	struct store_delete_req ask;
	uint64_t since_ns;
};

static void sets_end(struct req *r)
{
	struct deletion *d = r->own;
	asksets_end(&d->asked);
}

/* Who asked has gone: what has begun comes to its end. */
static void sets_left(struct req *r)
{
	struct deletion *d = r->own;
	(void)ask_left(&d->asked.ask);
}

static void sets_late(struct ask *a)
{
	(void)a; /* the same */
}

static void deleted(struct store_delete_req *ask)
{
	struct deletion *d = CONTAINER_OF(ask, struct deletion, ask);
	struct req *r = d->asked.ask.req;
	LOG_INFO("admin_delete_series", "tenant=%u selectors=%zu series=%llu result=%s took_ms=%llu",
	    ask->tenant, ask->selectors_count, (unsigned long long)ask->series, err_text(ask->err),
	    (unsigned long long)((loop_now_ns(r->loop) - d->since_ns) / 1000000u));
	ask_worked_out(&d->asked.ask);
	if (ask->err)
		apierr_jsonf(r, err_own(ask->err) == ERR_IO ? ERR_IO : ask->err,
		    "%s; what was asked for may be deleted in part, asking again deletes the rest",
		    ask->eb.text);
	else
		req_reply(r, 204, NULL, NULL, 0, REQ_BORROW);
}

static void sets_made(struct asksets *s)
{
	struct deletion *d = CONTAINER_OF(s, struct deletion, asked);
	struct req *r = s->ask.req;
	struct store_selector *sel = arena_array(&r->arena, s->sets.count + 1, sizeof(*sel));
	for (size_t i = 0; i < s->sets.count; i++)
		sel[i] = (struct store_selector){ .matchers = s->sets.sets[i].items,
			.count = s->sets.sets[i].count };
	d->ask.selectors = sel;
	d->ask.selectors_count = s->sets.count;
	store_delete(api_of(r)->store, &d->ask);
}

void api_delete_series(struct req *r)
{
	static const char none[] = "no match[] parameter provided";
	struct urlq u;
	if (!api_admin_enabled(r) || !param_parse_strict(r, &u))
		return;
	if (!urlq_count(&u, "match[]")) {
		apierr_json(r, ERR_BADDATA, none, strlen(none));
		return;
	}
	struct deletion *d = arena_zalloc(&r->arena, sizeof(*d));
	if (!param_time(r, &u, "start", PARAM_TIME_MIN, &d->ask.t_min_ms) ||
	    !param_time(r, &u, "end", PARAM_TIME_MAX, &d->ask.t_max_ms))
		return;
	/* as Prometheus: an empty range is no mistake */
	if (d->ask.t_min_ms > d->ask.t_max_ms || r->tenant == TENANT_NONE) {
		req_reply(r, 204, NULL, NULL, 0, REQ_BORROW);
		return;
	}
	if (d->ask.t_min_ms == PARAM_TIME_MIN)
		d->ask.t_min_ms = INT64_MIN;
	if (d->ask.t_max_ms == PARAM_TIME_MAX)
		d->ask.t_max_ms = INT64_MAX;
	d->ask.tenant = r->tenant;
	d->ask.done = deleted;
	d->since_ns = loop_now_ns(r->loop);
	d->asked.made = sets_made;
	d->asked.prefixed = true;
	d->asked.ask.late = sets_late;
	r->own = d;
	r->on_gone = sets_left;
	r->on_done = sets_end;
	asksets_start(&d->asked, r, &u, DELETE_MS);
}

struct clean { /* in the request's arena */
	struct req *req;
	struct store_clean_req ask;
};

static void cleaned(struct store_clean_req *ask)
{
	struct clean *c = CONTAINER_OF(ask, struct clean, ask);
	LOG_INFO("admin_clean_tombstones", "result=%s", err_text(ask->err));
	if (ask->err)
		apierr_jsonf(c->req, ask->err,
		    "%s: some files still hold what was deleted; asking again goes on",
		    err_text(ask->err));
	else
		req_reply(c->req, 204, NULL, NULL, 0, REQ_BORROW);
}

void api_delete_clean(struct req *r)
{
	if (!api_admin_enabled(r))
		return;
	struct clean *c = arena_zalloc(&r->arena, sizeof(*c));
	c->req = r;
	c->ask = (struct store_clean_req){ .done = cleaned };
	store_clean(api_of(r)->store, &c->ask);
}
