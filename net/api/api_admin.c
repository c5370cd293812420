#include "net/api/api_admin.h"

#include "core/base/log.h"
#include "net/api/apierr.h"
#include "proto/promjson.h"

struct flush { /* in the request's arena */
	struct req *req;
	struct store_flush_req ask;
};

/*
 * errorType unavailable, but status 500: as Prometheus has it ("HTTP API" of the Prometheus
 * documentation).
 */
static bool enabled(struct req *r)
{
	static const char text[] = "admin APIs disabled";
	if (api_conf(r)->admin_api)
		return true;
	struct buf b;
	buf_init(&b);
	promjson_error(&b, "unavailable", text, sizeof(text) - 1);
	req_reply_buf(r, 500, "application/json", &b);
	return false;
}

static void flushed(struct store_flush_req *ask)
{
	struct flush *f = CONTAINER_OF(ask, struct flush, ask);
	LOG_INFO("admin_flush", "result=%s", err_text(ask->err));
	if (ask->err)
		apierr_json(f->req, ask->err, err_text(ask->err), strlen(err_text(ask->err)));
	else
		req_reply(f->req, 204, NULL, NULL, 0, REQ_BORROW);
}

void api_admin_flush(struct req *r)
{
	if (!enabled(r))
		return;
	struct flush *f = arena_zalloc(&r->arena, sizeof(*f));
	f->req = r;
	f->ask = (struct store_flush_req){ .done = flushed };
	store_flush(api_of(r)->store, &f->ask);
}

void api_admin_other(struct req *r)
{
	if (enabled(r))
		apierr_jsonf(r, ERR_UNSUPPORTED, "%s is not supported", r->path);
}
