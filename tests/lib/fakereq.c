#include "tests/lib/fakereq.h"

#include "net/api/slowlog.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "net/http/asset.h"

#define WAIT_MS    600000
#define TEXT_BYTES 8192
#define PULLS_MOST 10000000

static struct fakereq *fake(const struct req *r)
{
	return CONTAINER_OF((struct req *)(uintptr_t)r, struct fakereq, req);
}

/* --- the stand-in for net/http/req.c --- */

const char *req_header(const struct req *r, const char *name, size_t *len)
{
	for (size_t i = 0; i < r->field_count; i++) {
		if (!strcmp(r->fields[i].name, name)) {
			if (len)
				*len = r->fields[i].value_len;
			return r->fields[i].value;
		}
	}
	if (len)
		*len = 0;
	return NULL;
}

bool req_content_is(const struct req *r, const char *type)
{
	const char *v = req_header(r, "content-type", NULL);
	size_t n = strlen(type);
	return v && !strncasecmp(v, type, n) && (!v[n] || v[n] == ';');
}

void req_remote_text(const struct req *r, char *out, size_t size)
{
	(void)r;
	snprintf(out, size, "10.0.0.1:1234");
}

void req_go_on(struct req *r)
{
	r->route->handler(r);
}

void req_door_open(struct req *r)
{
	loop_defer(r->loop, &fake(r)->opened);
}

bool req_size_fits(struct req *r)
{
	(void)r;
	return true;
}

void req_set_who(struct req *r, uint32_t who)
{
	r->who = who;
}

void req_rush(struct req *r, bool rush)
{
	(void)r;
	(void)rush;
}

bool req_charge(struct req *r, size_t bytes)
{
	fake(r)->charged += bytes;
	return !fake(r)->charged_out;
}

bool req_hold(struct req *r, size_t bytes)
{
	fake(r)->held += bytes;
	return !fake(r)->held_out;
}

void req_hold_more(struct req *r, size_t bytes)
{
	fake(r)->held += bytes;
}

static void finished(struct req *r)
{
	struct fakereq *f = fake(r);
	f->over = true;
	if (f->kept)
		return;
	buf_add_u8(&f->body, 0);
	f->body.len--;
	if (r->on_done)
		r->on_done(r);
	if (r->door_done)
		r->door_done(r);
	if (r->form_free)
		r->form_free(r->form);
	f->done = true;
}

static void begin(struct req *r, int status, const char *type)
{
	struct fakereq *f = fake(r);
	CHECK(!f->answered);
	f->answered = true;
	f->status = status;
	snprintf(f->type, sizeof(f->type), "%s", type ? type : "");
}

/* The handler's frame is left before on_done frees what it uses. */
static void end_later(struct loop_deferred *d)
{
	struct req *r = CONTAINER_OF(d, struct req, _end);
	finished(r);
}

static void end(struct req *r)
{
	r->_end.fn = end_later;
	if (!fake(r)->unread)
		loop_defer(r->loop, &r->_end);
}

void req_reply(
    struct req *r, int status, const char *type, const void *body, size_t len, enum req_own own)
{
	begin(r, status, type);
	buf_add(&fake(r)->body, body, len);
	if (own == REQ_TAKE)
		mem_free((void *)(uintptr_t)body);
	end(r);
}

void req_reply_asset(struct req *r, const struct asset *asset)
{
	req_reply(r, 200, asset->type, asset->plain, asset->plain_len, REQ_BORROW);
}

void req_reply_buf(struct req *r, int status, const char *type, struct buf *b)
{
	req_reply(r, status, type, b->data, b->len, REQ_COPY);
	buf_release(b);
}

void req_reply_text(struct req *r, int status, const char *fmt, ...)
{
	char text[TEXT_BYTES];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	req_reply(r, status, "text/plain; charset=utf-8", text, strlen(text), REQ_COPY);
}

/* A fake one is pulled without a job. */
void req_payer(struct req *r, const void *group, enum job_class class)
{
	(void)r;
	(void)group;
	(void)class;
}

static void pull_later(struct loop_deferred *d)
{
	struct req *r = CONTAINER_OF(d, struct req, _end);
	fake(r)->resumed = false;
	req_pull_fn pull = (req_pull_fn)r->_stream;
	enum req_pull next = REQ_MORE;
	for (unsigned i = 0; i < PULLS_MOST && next == REQ_MORE; i++)
		next = pull(r, &fake(r)->body);
	fake(r)->aborted = next == REQ_ABORT;
	if (next != REQ_LATER)
		finished(r);
}

void req_reply_stream(struct req *r, int status, const char *type, req_pull_fn pull)
{
	begin(r, status, type);
	r->_stream = (void *)pull;
	r->_end.fn = pull_later;
	fake(r)->resumed = true;
	if (!fake(r)->unread)
		loop_defer(r->loop, &r->_end);
}

void req_answer_field(struct req *r, const char *name, const char *fmt, ...)
{
	char value[TEXT_BYTES];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	buf_printf(&fake(r)->headers, "%s: %s\n", name, value);
}

const char *req_answered_field(const struct req *r, const char *name, size_t *len)
{
	(void)r;
	(void)name;
	*len = 0;
	return NULL; /* of gRPC calls alone, which are streams */
}

bool req_answers_field(const struct req *r, const char *name)
{
	(void)r;
	(void)name;
	return false;
}

/* Streamed requests come by a server (t_gsrv), never by this. */
void req_body_consume(struct req *r, size_t len)
{
	(void)r;
	(void)len;
	panic("a fake request has no stream");
}

void req_trailer(struct req *r, const char *name, const char *value, size_t len)
{
	(void)name;
	(void)value;
	req_body_consume(r, len);
}

void req_reply_trailed(struct req *r, int status, const char *type, req_pull_fn pull)
{
	(void)type;
	(void)pull;
	req_body_consume(r, (size_t)status);
}

void req_discharge(struct req *r, size_t bytes)
{
	req_body_consume(r, bytes);
}

void req_resume(struct req *r)
{
	struct fakereq *f = fake(r);
	if (f->answered && !f->over && !f->unread && !f->resumed) {
		f->resumed = true;
		loop_defer(r->loop, &r->_end);
	}
}

void req_keep(struct req *r)
{
	CHECK(!fake(r)->kept);
	fake(r)->kept = true;
}

void req_let_go(struct req *r)
{
	CHECK(fake(r)->kept);
	fake(r)->kept = false;
	if (!fake(r)->over)
		return;
	r->_end.fn = end_later;
	loop_defer(r->loop, &r->_end);
}

size_t req_unsent(const struct req *r)
{
	(void)r;
	return 0;
}

void req_reset(struct req *r, uint32_t code)
{
	req_body_consume(r, code);
}

void req_refuse(struct req *r, int status, const char *word, const char *fmt, ...)
{
	char sentence[TEXT_BYTES];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	req_reply_text(r, status, "%s: %s\n", word, sentence);
}

void req_refuse_overloaded(struct req *r, const char *sentence)
{
	req_answer_field(r, "retry-after", "1");
	req_refuse(r, 503, "overloaded", "%s", sentence);
}

/* --- requests --- */

void fakereq_init(struct fakereq *f, struct testteam *tt, struct api *a)
{
	memset(f, 0, sizeof(*f));
	f->tt = tt;
	f->req.ctx = a;
	f->req.fields = f->fields;
	f->req.query = f->req.identity = "";
	f->req.tenants = &f->req.tenant;
	f->req.tenants_count = 1;
	f->req.roles = ROLES_ALL;
	arena_init(&f->req.arena, 4096);
	buf_init(&f->body);
	buf_init(&f->headers);
}

void fakereq_field(struct fakereq *f, const char *name, const char *value)
{
	CHECK(f->req.field_count < FAKEREQ_FIELDS);
	f->fields[f->req.field_count++] =
	    (struct req_field){ name, value, strlen(name), strlen(value) };
}

static void enter(struct fakereq *f)
{
	struct req *r = &f->req;
	if (api_door(r) != REQ_GO)
		return;
	if (r->route->before_body && !r->route->before_body(r))
		return;
	if (api_prepare(r))
		r->route->handler(r);
}

static void opened(struct loop_deferred *d)
{
	enter(CONTAINER_OF(d, struct fakereq, opened));
}

static void handle(void *arg)
{
	struct fakereq *f = arg;
	struct req *r = &f->req;
	r->loop = loop_here();
	r->start_ns = loop_now_ns(r->loop);
	f->opened.fn = opened;
	if (!(r->route->flags & ROUTE_UNGATED) && !api_gate(r))
		return;
	enter(f);
	if (f->gone && !f->answered && r->on_gone) {
		r->gone = true;
		r->on_gone(r);
	}
}

static bool is_done(void *arg)
{
	struct fakereq *f = arg;
	return f->done;
}

static void leave(void *arg)
{
	struct fakereq *f = arg;
	f->req.gone = true;
	if (!f->answered && f->req.on_gone)
		f->req.on_gone(&f->req);
}

void fakereq_leave(struct fakereq *f)
{
	testteam_run(f->tt, f->loop, leave, f);
}

static bool is_answered(void *arg)
{
	struct fakereq *f = arg;
	return f->answered;
}

bool fakereq_answered(struct fakereq *f)
{
	return testteam_wait(f->tt, f->loop, is_answered, f, 0);
}

void fakereq_wait(struct fakereq *f)
{
	CHECK(testteam_wait(f->tt, f->loop, is_done, f, WAIT_MS));
}

static void read_on(void *arg)
{
	struct fakereq *f = arg;
	f->unread = false;
	loop_defer(f->req.loop, &f->req._end);
}

void fakereq_read(struct fakereq *f)
{
	CHECK(testteam_wait(f->tt, f->loop, is_answered, f, WAIT_MS));
	testteam_run(f->tt, f->loop, read_on, f);
	fakereq_wait(f);
}

void fakereq_begin(
    struct fakereq *f, enum req_method method, const char *url, const void *body, size_t len)
{
	struct req *r = &f->req;
	const char *mark = strchr(url, '?');
	size_t path_len = mark ? (size_t)(mark - url) : strlen(url);
	r->method = method;
	r->query = mark ? mark + 1 : "";
	r->query_len = strlen(r->query);
	r->body_declared = (int64_t)len;
	if (len) {
		uint8_t *copy = arena_alloc(&r->arena, len + 16);
		memcpy(copy, body, len);
		memset(copy + len, 0, 16);
		r->body = copy;
		r->body_len = len;
	}
	struct router *rt = router_create(&api_routes, "");
	enum route_found found = router_match(rt, method, url, path_len, &r->arena, &f->match);
	router_free(rt);
	if (found != ROUTE_FOUND) {
		f->status = found == ROUTE_NO_METHOD ? 405 : 404;
		return;
	}
	r->route = f->match.route;
	r->path = f->match.path;
	r->path_len = f->match.path_len;
	r->param = f->match.param;
	r->param_len = f->match.param_len;
	testteam_run(f->tt, f->loop, handle, f);
}

void fakereq_run(
    struct fakereq *f, enum req_method method, const char *url, const void *body, size_t len)
{
	fakereq_begin(f, method, url, body, len);
	if (f->req.route)
		fakereq_wait(f);
}

void fakereq_get(struct fakereq *f, struct testteam *tt, struct api *a, const char *url)
{
	fakereq_init(f, tt, a);
	fakereq_run(f, REQ_GET, url, NULL, 0);
}

void fakereq_post_form(
    struct fakereq *f, struct testteam *tt, struct api *a, const char *url, const char *form)
{
	fakereq_init(f, tt, a);
	fakereq_field(f, "content-type", "application/x-www-form-urlencoded");
	fakereq_run(f, REQ_POST, url, form, strlen(form));
}

const char *fakereq_text(const struct fakereq *f)
{
	return f->body.data ? (const char *)f->body.data : "";
}

void fakereq_end(struct fakereq *f)
{
	arena_release(&f->req.arena);
	buf_release(&f->body);
	buf_release(&f->headers);
}

/* --- api --- */

struct api *fakeapi_create(struct testteam *tt, struct source *src, struct sink *sink, bool admin)
{
	struct api *a;
	struct api_opts o = { .team = tt->team,
		.pool = tt->pool,
		.version = "0.1.0",
		.revision = "r",
		.branch = "b",
		.retention_ms = 30LL * 86400 * 1000,
		.conf = { .admin_api = admin, .slow_ms = SLOWLOG_USUAL_MS } };
	CHECK(!api_create(&o, &a));
	a->source = src;
	a->sink = sink;
	api_open(a);
	return a;
}

void fakeapi_free(struct api *a)
{
	api_stopping(a);
	api_free(a);
}
