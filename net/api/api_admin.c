#include "net/api/api_admin.h"

#include "core/base/json.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "net/api/apierr.h"
#include "net/api/param.h"
#include "proto/promjson.h"
#include "storage/back/snapshot.h"
#include "storage/store.h"
#include <inttypes.h>
#include <limits.h>
#include <unistd.h>

struct flush { /* in the request's arena */
	struct req *req;
	struct store_flush_req ask;
};

/*
 * errorType unavailable, but status 500: as Prometheus has it ("HTTP API" of the Prometheus
 * documentation).
 */
bool api_admin_enabled(struct req *r)
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
	if (!api_admin_enabled(r))
		return;
	struct flush *f = arena_zalloc(&r->arena, sizeof(*f));
	f->req = r;
	f->ask = (struct store_flush_req){ .done = flushed };
	store_flush(api_of(r)->store, &f->ask);
}

/* ---- snapshots ---- */

struct snap { /* in the request's arena */
	struct req *req;
	struct snapshot_req ask;
};

static struct snap *snap_new(struct req *r, enum snapshot_ask what)
{
	struct snap *s = arena_zalloc(&r->arena, sizeof(*s));
	s->req = r;
	s->ask.ask = what;
	return s;
}

static void snap_answer(struct snap *s, struct buf *b)
{
	promjson_end(b, NULL, NULL);
	req_reply_buf(s->req, 200, "application/json", b);
}

/* As Prometheus words it. */
static void snap_failed(struct snap *s)
{
	const char *text = s->ask.eb.text[0] ? s->ask.eb.text : err_text(s->ask.err);
	apierr_jsonf(s->req, s->ask.err, "create snapshot: %s", text);
}

static void snap_unwanted(struct snapshot_req *ask)
{
	struct snap *s = CONTAINER_OF(ask, struct snap, ask);
	apierr_jsonf(
	    s->req, ERR_CANCELED, "create snapshot: the client has left, %s is deleted", ask->name);
}

/*
 * One whose name nobody is told would stay, and hold the disk: of a client with a short patience
 * one more each time that it asks again.
 */
static void snap_made(struct snapshot_req *ask)
{
	struct snap *s = CONTAINER_OF(ask, struct snap, ask);
	if (!ask->err && s->req->gone) {
		ask->ask = SNAPSHOT_DROP;
		ask->done = snap_unwanted;
		store_snapshot(api_of(s->req)->store, ask);
		return;
	}
	if (ask->err) {
		snap_failed(s);
		return;
	}
	struct buf b;
	promjson_begin(&b);
	buf_add_str(&b, "{\"name\":");
	json_str(&b, ask->name, strlen(ask->name));
	buf_add_str(&b, "}");
	snap_answer(s, &b);
}

void api_admin_snapshot(struct req *r)
{
	struct urlq u;
	size_t len;
	if (!api_admin_enabled(r) || !param_parse(r, &u))
		return;
	struct snap *s = snap_new(r, SNAPSHOT_MAKE);
	const char *skip = urlq_get(&u, "skip_head", &len);
	if (len && urlq_bool(skip, len, &s->ask.skip_head)) {
		apierr_param(r, "skip_head", "unable to parse boolean \"skip_head\" argument");
		return;
	}
	s->ask.done = snap_made;
	store_snapshot(api_of(r)->store, &s->ask);
}

/* As who is not in our working directory can use it. */
static void path_put(struct buf *b, const char *dir, const char *name)
{
	char here[PATH_MAX] = "";
	struct buf path;
	buf_init(&path);
	if (dir[0] != '/' && getcwd(here, sizeof(here)))
		buf_printf(&path, "%s/", here);
	while (here[0] && strncmp(dir, "./", 2) == 0)
		dir += 2;
	buf_printf(&path, "%s/" SNAPSHOTS_DIR "/%s", dir, name);
	json_str(b, (const char *)path.data, path.len);
	buf_release(&path);
}

static void snaps_listed(struct snapshot_req *ask)
{
	struct snap *s = CONTAINER_OF(ask, struct snap, ask);
	struct buf b;
	if (ask->err) {
		apierr_json(s->req, ask->err, err_text(ask->err), strlen(err_text(ask->err)));
		return;
	}
	promjson_begin(&b);
	buf_add_str(&b, "[");
	for (size_t i = 0; i < ask->list_count; i++) {
		const struct snapshot_info *info = &ask->list[i];
		buf_printf(&b, "%s{\"name\":\"%s\",\"path\":", i ? "," : "", info->name);
		path_put(&b, store_opts_in_force(api_of(s->req)->store)->dir, info->name);
		buf_printf(&b,
		    ",\"time\":%" PRId64 ",\"files\":%" PRIu64 ",\"bytes\":%" PRIu64
		    ",\"ownBytes\":%" PRIu64 "}",
		    info->made_ms / 1000, info->files, info->bytes, info->own_bytes);
	}
	buf_add_str(&b, "]");
	mem_free(ask->list);
	snap_answer(s, &b);
}

void api_admin_snapshots(struct req *r)
{
	if (!api_admin_enabled(r))
		return;
	struct snap *s = snap_new(r, SNAPSHOT_LIST);
	s->ask.done = snaps_listed;
	store_snapshot(api_of(r)->store, &s->ask);
}

static void snap_dropped(struct snapshot_req *ask)
{
	struct snap *s = CONTAINER_OF(ask, struct snap, ask);
	if (ask->err == ERR_NOTFOUND)
		req_refuse(s->req, 404, "not_found", "there is no snapshot of this name");
	else if (ask->err)
		apierr_json(s->req, ask->err, ask->eb.text, strlen(ask->eb.text));
	else
		req_reply(s->req, 204, NULL, NULL, 0, REQ_BORROW);
}

void api_admin_snapshot_drop(struct req *r)
{
	if (!api_admin_enabled(r))
		return;
	struct snap *s = snap_new(r, SNAPSHOT_DROP);
	if (r->param_len < sizeof(s->ask.name)) /* a longer one is nobody's */
		memcpy(s->ask.name, r->param, r->param_len);
	s->ask.done = snap_dropped;
	store_snapshot(api_of(r)->store, &s->ask);
}
