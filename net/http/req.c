#include "net/http/req.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/clock.h"
#include "core/base/metric.h"
#include "core/base/num.h"
#include "core/base/rune.h"
#include "core/rt/snap.h"
#include "net/conn/limit.h"
#include "net/http/accept.h"
#include "net/http/answerjob.h"
#include "net/http/asset.h"
#include "net/http/forwarded.h"
#include "net/http/req_priv.h"
#include "net/http/router.h"
#include "net/http/srv_priv.h"

#define ARENA_FIRST_BYTES  4096u
#define ARENA_KEEP_BYTES   16384u
#define COMPRESS_MIN_BYTES 1024u /* less is not worth the head */
/* some 200 us; more is compressed by a job (net/http/answerjob.h) */
#define COMPRESS_ONCE_BYTES (16u << 10)
#define COMPRESS_LEVEL      1
#define HOLD_LEAST_BYTES    1024u /* a smaller answer is not counted */
#define BODY_FIRST_BYTES    4096u

/* ---- life ---- */

static void req_finish(struct loop_deferred *d);

struct req *req_create(struct srv_loop *sl, const struct conn *c)
{
	struct req *r;
	struct list_link *l = list_pop(&sl->req_pool);
	if (l) {
		sl->req_pool_count--;
		r = CONTAINER_OF(l, struct req, _link);
		struct arena kept = r->arena;
		memset(r, 0, sizeof *r);
		r->arena = kept;
	} else {
		r = mem_zalloc(sizeof *r);
		arena_init(&r->arena, ARENA_FIRST_BYTES);
	}
	r->loop = sl->loop;
	r->ctx = sl->opts->ctx;
	r->_srv = sl;
	r->_seat = snap_seat_take(loop_seat(sl->loop));
	r->path = r->query = r->identity = "";
	r->tenants = &r->tenant;
	r->tenants_count = 1;
	r->roles = ROLES_ALL;
	r->remote = c->remote;
	r->who = c->who;
	r->waited_ns = c->waited_ns;
	r->peer = r->_peer = conn_peer_hold(c->peer);
	r->tls = c->tls;
	r->admin = c->admin;
	r->apart = sl->apart;
	r->_behind = c->proxy;
	r->_end.fn = req_finish;
	r->_answer = arena_zalloc(&r->arena, sizeof *r->_answer);
	r->_answer->payer_class = JOB_QUERY;
	r->start_ns = loop_now_ns(sl->loop);
	list_add_tail(&sl->req_open, &r->_link);
	sl->req_open_count++;
	metric_gauge_add(M_HTTP_OPEN, 1);
	return r;
}

static void req_finish(struct loop_deferred *d)
{
	struct req *r = CONTAINER_OF(d, struct req, _end);
	struct srv_loop *sl = r->_srv;
	struct req_answer *a = r->_answer;
	uint64_t took_ns = clock_mono_ns() - r->start_ns;
	metric_observe_ns(
	    r->route && r->route->took ? r->route->took : M_HTTP_SECONDS_OTHER, took_ns);
	req_tell(r, took_ns);
	if (r->on_done)
		r->on_done(r);
	if (r->door_done)
		r->door_done(r);
	if (a->own == REQ_TAKE)
		mem_free((void *)(uintptr_t)a->data);
	if (a->gz)
		gz_free(a->gz);
	buf_release(&a->plain);
	if (r->form_free)
		r->form_free(r->form);
	mem_free(r->_body_memory);
	conn_peer_drop(r->_peer);
	limit_inflight_sub(r->who, r->_charged_bytes);
	limit_answers_sub(r->who, r->_held_bytes);
	metric_gauge_add(M_HTTP_OPEN, -1);
	snap_seat_leave(r->_seat);
	list_del(&r->_link);
	sl->req_open_count--;
	if (sl->req_pool_count >= pool_keep(SRV_REQ_POOL_MAX)) {
		arena_release(&r->arena);
		mem_free(r);
		return;
	}
	arena_reset(&r->arena, ARENA_KEEP_BYTES);
	list_add_head(&sl->req_pool, &r->_link);
	sl->req_pool_count++;
}

void req_end(struct req *r)
{
	CHECK(r->_answer->begun);
	CHECK(!r->_ending);
	r->_ending = true;
	answerjob_end(r);
	if (!r->_kept)
		loop_defer(r->loop, &r->_end);
}

void req_keep(struct req *r)
{
	CHECK(!r->_kept && !r->_ending);
	r->_kept = true;
}

void req_let_go(struct req *r)
{
	CHECK(r->_kept);
	r->_kept = false;
	if (r->_ending)
		loop_defer(r->loop, &r->_end);
}

void req_free_all(struct srv_loop *sl)
{
	CHECK(list_empty(&sl->req_open));
	for (struct list_link *l; (l = list_pop(&sl->req_pool));) {
		struct req *r = CONTAINER_OF(l, struct req, _link);
		arena_release(&r->arena);
		mem_free(r);
	}
	sl->req_pool_count = 0;
}

void req_gone(struct req *r)
{
	r->gone = true;
	if (r->_told_gone || r->_ending)
		return;
	r->_told_gone = true;
	metric_add(M_HTTP_GONE, 1);
	if (r->on_gone)
		r->on_gone(r);
}

static void orphan_resume(struct req *r)
{
	(void)r;
}

static void orphan_opened(struct req *r)
{
	r->_answer->begun = true; /* no handler will answer it */
	req_end(r);
}

static void orphan_consume(struct req *r, size_t len)
{
	(void)r;
	(void)len;
}

static void orphan_reset(struct req *r, uint32_t code)
{
	(void)code;
	if (!r->_ending)
		req_end(r);
}

static size_t orphan_unsent(const struct req *r)
{
	(void)r;
	return 0;
}

static const struct req_ops orphan_ops = { .answer = req_end,
	.resume = orphan_resume,
	.opened = orphan_opened,
	.consume = orphan_consume,
	.reset = orphan_reset,
	.unsent = orphan_unsent };

void req_orphan(struct req *r)
{
	r->_ops = &orphan_ops;
	r->_stream = NULL;
	if (r->_door_open)
		r->_answer->begun = true; /* its turn at the door does not come */
	req_gone(r);
	if (r->_answer->begun && !r->_ending)
		req_end(r);
}

/* ---- asking ---- */

enum req_method req_method_of(const char *s, size_t len)
{
	static const struct {
		const char *name;
		enum req_method method;
	} known[] = { { "GET", REQ_GET }, { "POST", REQ_POST }, { "HEAD", REQ_HEAD },
		{ "PUT", REQ_PUT }, { "DELETE", REQ_DELETE }, { "OPTIONS", REQ_OPTIONS } };
	for (size_t i = 0; i < COUNT_OF(known); i++)
		if (len == strlen(known[i].name) && !memcmp(s, known[i].name, len))
			return known[i].method;
	return REQ_OTHER;
}

const char *req_header(const struct req *r, const char *name, size_t *len)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < r->field_count; i++) {
		const struct req_field *f = &r->fields[i];
		if (f->name_len != n || memcmp(f->name, name, n))
			continue;
		if (len)
			*len = f->value_len;
		return f->value;
	}
	if (len)
		*len = 0;
	return NULL;
}

bool req_content_is(const struct req *r, const char *type)
{
	size_t len, n = strlen(type);
	const char *v = req_header(r, "content-type", &len);
	if (!v || len < n || strncasecmp(v, type, n))
		return false;
	v += n;
	while (*v == ' ' || *v == '\t')
		v++;
	return !*v || *v == ';';
}

void req_remote_text(const struct req *r, char *out, size_t size)
{
	struct listen_addr a = { .sa = r->remote };
	char text[LISTEN_TEXT_MAX];
	listen_text(&a, text);
	snprintf(out, size, "%s", text);
}

void req_charge_anyway(struct req *r, size_t bytes)
{
	limit_inflight_add(r->who, bytes);
	r->_charged_bytes += bytes;
}

bool req_charge(struct req *r, size_t bytes)
{
	uint64_t now_ns = loop_now_ns(loop_here());
	if (limit_inflight_look(r->who, r->_charged_bytes, bytes, now_ns) > LIMIT_PRESSED)
		return false;
	req_charge_anyway(r, bytes);
	return true;
}

void req_discharge(struct req *r, size_t bytes)
{
	CHECK(bytes <= r->_charged_bytes);
	limit_inflight_sub(r->who, bytes);
	r->_charged_bytes -= bytes;
}

static void hold_anyway(struct req *r, size_t bytes)
{
	limit_answers_add(r->who, bytes);
	r->_held_bytes += bytes;
}

static bool answers_full(const struct req *r, size_t bytes)
{
	return limit_answers_full(r->who, bytes, loop_now_ns(r->loop));
}

bool req_hold(struct req *r, size_t bytes)
{
	if (answers_full(r, bytes))
		return false;
	hold_anyway(r, bytes);
	return true;
}

void req_hold_more(struct req *r, size_t bytes)
{
	hold_anyway(r, bytes);
}

void req_set_who(struct req *r, uint32_t who)
{
	limit_inflight_sub(r->who, r->_charged_bytes);
	limit_answers_sub(r->who, r->_held_bytes);
	r->who = who;
	limit_inflight_add(who, r->_charged_bytes);
	limit_answers_add(who, r->_held_bytes);
}

void req_rush(struct req *r, bool rush)
{
	conn_host_rush(r->_srv->host, rush);
}

/* ---- bodies ---- */

/*
 * Four times what has come, so that little is copied and nobody holds much more than he sent; what
 * was declared when that is not more.
 */
size_t req_body_step(const struct req *r, size_t len, size_t declared)
{
	size_t max = declared ? declared : req_body_max(r);
	size_t cap = len > BODY_FIRST_BYTES / 4 ? len * 4 : BODY_FIRST_BYTES;
	return cap < max ? cap : max;
}

bool req_body_grow(struct req *r, uint8_t **body, size_t *cap, size_t more)
{
	if (!req_charge(r, more - *cap))
		return false;
	uint8_t *p = mem_try_realloc(*body, more + REQ_BODY_SLACK);
	if (!p)
		return false;
	*body = p;
	*cap = more;
	return true;
}

void req_payer(struct req *r, const void *group, enum job_class class)
{
	r->_answer->payer = group;
	r->_answer->payer_class = class;
}

/* ---- the way to the handler ---- */

/* Writes and what must always answer have small answers. */
static bool may_ask(const struct req *r)
{
	return r->route->before_body || (r->route->flags & ROUTE_UNGATED) || !answers_full(r, 0);
}

/* RFC 3986, section 2: other characters of a query are escaped, so that a Location is a URI. */
static bool is_uri_char(char c)
{
	bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
	return letter || (c >= '0' && c <= '9') || (c && strchr("-._~:/?[]@!$&'()*+,;=%", c));
}

static void put_uri(struct buf *b, const char *s, size_t len)
{
	static const char hex[] = "0123456789ABCDEF";
	for (size_t i = 0; i < len; i++) {
		if (is_uri_char(s[i]))
			buf_add_u8(b, (uint8_t)s[i]);
		else
			buf_add(b, (char[]){ '%', hex[(uint8_t)s[i] >> 4], hex[s[i] & 15] }, 3);
	}
}

static void add_field(struct req *r, const char *name, const char *value, size_t len);

/* With what stands before all paths for who is outside. False: too long. */
static bool redirect(struct req *r, int status, const char *before, const char *path)
{
	struct buf b;
	if (strlen(before) + strlen(path) + r->query_len > LIMIT_LOCATION_BYTES)
		return false;
	buf_init(&b);
	put_uri(&b, before, strlen(before));
	put_uri(&b, path, strlen(path));
	if (r->query_len)
		buf_add_u8(&b, '?');
	put_uri(&b, r->query, r->query_len);
	add_field(r, "location", arena_strndup(&r->arena, (const char *)b.data, b.len), b.len);
	buf_release(&b);
	req_reply_text(r, status, "%s\n",
	    status == 301       ? "Moved Permanently"
	        : status == 302 ? "Found"
	                        : "Permanent Redirect");
	return true;
}

/*
 * To where the client meant: 301 for GET, else 308, which keeps method and body. The root leads to
 * the prefix, as Prometheus' does.
 */
static bool redirect_near(
    struct req *r, const struct route_match *m, const char *raw_path, size_t raw_len)
{
	const struct router *rt = r->_srv->router;
	const char *fixed;
	if (!m->inside && !strcmp(m->path, "/") && r->method != REQ_OTHER)
		return redirect(r, 302, router_prefix(rt), "/");
	return router_fix(rt, r->method, raw_path, raw_len, &r->arena, &fixed) &&
	    redirect(r, r->method == REQ_GET ? 301 : 308, r->_srv->opts->links, fixed);
}

/* All in one line: of an error's body Prometheus logs only the first one. */
static void refuse_path(struct req *r, const struct route_match *m)
{
	const struct srv_opts *o = r->_srv->opts;
	const char *say = NULL, *path = NULL, *end = "";
	size_t len = m->inside ? r->path_len - (size_t)(m->inside - r->path) : 0;
	if (m->inside && o->stranger)
		say = o->stranger(m->inside, len, &path);
	if (m->inside && !say) {
		path = router_near(r->_srv->router, m->inside, len);
		say = path ? "did you mean" : NULL;
		end = path ? "?" : "";
	}
	req_reply_text(r, 404, "404 page not found%s%s%s%s%s%s (what is here: %s/)\n",
	    say ? ": " : "", say ? say : "", path ? " " : "", path ? o->links : "",
	    path ? path : "", end, o->links);
}

static void req_begin_unmatched(struct req *r, enum route_found found, const struct route_match *m,
    const char *raw_path, size_t raw_len)
{
	r->route = NULL;
	if (found == ROUTE_BAD_PATH) {
		req_refuse(r, 400, "bad_path", "malformed escape in the path");
		return;
	}
	/* Upstream answers OPTIONS on any path of its API. */
	bool api = m->inside && !strncmp(m->inside, "/api/", 5);
	if (r->method == REQ_OPTIONS && (found == ROUTE_NO_METHOD || api || !strcmp(r->path, "*"))) {
		req_reply(r, 204, NULL, NULL, 0, REQ_COPY);
		return;
	}
	if (found == ROUTE_NO_PATH) {
		if (!redirect_near(r, m, raw_path, raw_len))
			refuse_path(r, m);
		return;
	}
	char allow[64];
	router_allow_text(m->methods | REQ_OPTIONS, allow, sizeof allow);
	req_answer_field(r, "allow", "%s", allow);
	req_reply_text(r, 405, "Method Not Allowed: here it is %s (what else is here: %s/)\n",
	    allow, r->_srv->opts->links);
}

/* What was counted of its peer is of the client behind it. */
static void set_client(struct req *r, const struct sockaddr_storage *client)
{
	uint32_t who = limit_who(client);
	limit_inflight_sub(r->who, r->_charged_bytes);
	limit_answers_sub(r->who, r->_held_bytes);
	limit_inflight_add(who, r->_charged_bytes);
	limit_answers_add(who, r->_held_bytes);
	r->remote = *client;
	r->who = who;
}

/* Does a browser ask, for what it shows as a page? */
static bool wants_page(const struct req *r)
{
	size_t len;
	const char *accept = req_header(r, "accept", &len);
	return (r->route->flags & ROUTE_PAGED) && r->_srv->opts->routes.page &&
	    (r->method & (REQ_GET | REQ_HEAD)) && accept &&
	    accept_prefers(accept, len, "text/html", "text/plain");
}

/* With a listener for administration, what is of administration answers there alone. */
static bool answers_here(const struct req *r)
{
	bool of_admin = r->route->role == ROLE_ADMIN || (r->route->flags & ROUTE_ADMIN_SIDE);
	bool both = r->route->role == ROLE_NONE || (r->route->flags & ROUTE_BOTH_SIDES);
	return !r->apart || both || of_admin == r->admin;
}

enum req_step req_begin(struct req *r, const char *raw_path, size_t raw_len)
{
	const struct srv_opts *o = r->_srv->opts;
	struct sockaddr_storage client;
	struct route_match m;
	if (r->_behind && forwarded_client(r, &r->_srv->trusted_proxies, &client))
		set_client(r, &client);
	enum route_found found =
	    router_match(r->_srv->router, r->method, raw_path, raw_len, &r->arena, &m);
	if (m.path) {
		r->path = m.path;
		r->path_len = m.path_len;
	}
	const struct route *other = found == ROUTE_NO_PATH && o->unmatched ? o->unmatched(r) : NULL;
	if (found != ROUTE_FOUND && !other) {
		req_begin_unmatched(r, found, &m, raw_path, raw_len);
		return REQ_ANSWERED;
	}
	r->route = other ? other : m.route;
	if (wants_page(r))
		r->route = r->_srv->opts->routes.page;
	r->param = m.param;
	r->param_len = m.param_len;
	if ((r->route->flags & ROUTE_STREAM) && r->http_version < 20) {
		req_reply_text(r, 505, "gRPC needs HTTP/2, this request came by HTTP/1.1\n");
		return REQ_ANSWERED;
	}
	if (!answers_here(r)) {
		req_reply_text(r, 404, "404 page not found: this path answers %s\n",
		    r->admin ? "on the other listeners, this one is for administration"
		             : "on the listener for administration only");
		return REQ_ANSWERED;
	}
	if (o->gate && !(r->route->flags & ROUTE_UNGATED) && !o->gate(r)) {
		CHECK(r->_answer->begun);
		return REQ_ANSWERED;
	}
	if (!may_ask(r)) {
		req_refuse_overloaded(
		    r, "too many answers wait for their readers (--web.max-answer-bytes)");
		return REQ_ANSWERED;
	}
	return req_enter(r);
}

enum req_step req_enter(struct req *r)
{
	const struct srv_opts *o = r->_srv->opts;
	r->_at_door = r->_door_open = false;
	enum req_step step = o->door ? o->door(r) : REQ_GO;
	if (step == REQ_GO && r->route->before_body && !r->route->before_body(r))
		step = REQ_ANSWERED;
	CHECK(r->_answer->begun == (step == REQ_ANSWERED));
	r->_at_door = step == REQ_WAIT;
	return step;
}

void req_door_open(struct req *r)
{
	loop_check_here(r->loop);
	CHECK(r->_at_door && !r->_door_open && !r->_answer->begun);
	r->_door_open = true;
	r->_ops->opened(r);
}

bool req_is_held(const struct req *r)
{
	return r->_at_door && !r->_door_open && !r->_answer->begun;
}

size_t req_body_max(const struct req *r)
{
	if (r->route->flags & ROUTE_STREAM)
		return LIMIT_H2_STREAM_WINDOW; /* what may come before its handler runs */
	switch (r->route->body_max) {
	case 0:
		return ROUTE_SKIP_BODY_MAX;
	case ROUTE_BODY_WRITE:
		return limits_here()->write_body_bytes;
	case ROUTE_BODY_FORM:
		return limits_here()->http_form_bytes;
	default:
		return r->route->body_max;
	}
}

bool req_size_fits(struct req *r)
{
	if ((r->route->flags & ROUTE_STREAM) || r->body_declared <= 0 ||
	    (uint64_t)r->body_declared <= req_body_max(r))
		return true;
	req_refuse_size(r);
	return false;
}

void req_refuse_size(struct req *r)
{
	size_t max = r->route->body_max;
	const char *flag = max == ROUTE_BODY_WRITE ? limits_flag(LIMITS_write_body_bytes)
	    : max == ROUTE_BODY_FORM               ? limits_flag(LIMITS_http_form_bytes)
	                                           : NULL;
	req_refuse(r, 413, r->route->flags & ROUTE_JSON ? "bad_data" : "body_too_large",
	    "the body is larger than %zu bytes%s%s%s", req_body_max(r), flag ? " (--" : "",
	    flag ? flag : "", flag ? ")" : "");
}

void req_run(struct req *r, uint8_t *take_body, size_t len)
{
	r->_body_memory = take_body;
	if (r->route->body_max && len) {
		r->body = take_body;
		r->body_len = len;
	}
	const struct srv_opts *o = r->_srv->opts;
	if ((r->route->flags & ROUTE_STREAM) || !o->prepare || o->prepare(r))
		req_go_on(r);
}

void req_go_on(struct req *r)
{
	r->route->handler(r);
	/* It has left meanwhile: now there is somebody to tell. */
	if (r->_told_gone && r->on_gone && !r->_answer->begun)
		r->on_gone(r);
}

/* ---- the answer ---- */

static void add_field(struct req *r, const char *name, const char *value, size_t len)
{
	struct req_answer *a = r->_answer;
	CHECK(a->field_count < REQ_ANSWER_FIELDS_MAX);
	a->fields[a->field_count++] = (struct req_field){
		.name = name, .name_len = strlen(name), .value = value, .value_len = len
	};
}

static void add_static(struct req *r, const char *name, const char *value)
{
	add_field(r, name, value, strlen(value));
}

void req_answer_field(struct req *r, const char *name, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	size_t len = rune_vprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	for (size_t i = 0; i < len; i++)
		if ((uint8_t)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = ' ';
	add_field(r, arena_strndup(&r->arena, name, strlen(name)),
	    arena_strndup(&r->arena, text, len), len);
}

bool req_answers_field(const struct req *r, const char *name)
{
	const struct srv_opts *o = r->_srv->opts;
	for (size_t i = 0; i < o->field_count; i++)
		if (!strcmp(o->fields[i].name, name))
			return true;
	return false;
}

const char *req_answered_field(const struct req *r, const char *name, size_t *len)
{
	const struct req_answer *a = r->_answer;
	for (size_t i = 0; a && i < a->field_count; i++)
		if (!strcmp(a->fields[i].name, name)) {
			*len = a->fields[i].value_len;
			return a->fields[i].value;
		}
	return NULL;
}

const char *req_date(struct srv_loop *sl, size_t *len)
{
	int64_t second = loop_now_ms(sl->loop) / 1000;
	if (!sl->date.len || sl->date.second != second) {
		static const char day[] = "SunMonTueWedThuFriSat";
		static const char month[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
		struct num_civil c = num_civil(second);
		int n = snprintf(sl->date.text, sizeof sl->date.text,
		    "%.3s, %02d %.3s %04lld %02d:%02d:%02d GMT", day + 3 * c.weekday, c.day,
		    month + 3 * (c.month - 1), (long long)c.year, c.hour, c.minute, c.second);
		CHECK(n > 0 && (size_t)n < sizeof sl->date.text);
		sl->date.len = (size_t)n;
		sl->date.second = second;
	}
	*len = sl->date.len;
	return sl->date.text;
}

/* As Prometheus does: only when Origin is sent. */
static void add_cors(struct req *r)
{
	const char *origin = req_header(r, "origin", NULL);
	if (!origin)
		return;
	const char *wanted = r->_srv->opts->cors_origin;
	add_static(r, "access-control-allow-headers", "Accept, Authorization, Content-Type, Origin");
	add_static(r, "access-control-allow-methods", "GET, POST, OPTIONS");
	add_static(r, "access-control-expose-headers", "Date");
	if (!wanted)
		add_static(r, "access-control-allow-origin", "*");
	else if (!strcmp(wanted, origin))
		add_static(r, "access-control-allow-origin", origin);
	add_static(r, "vary", "Origin");
}

static void count_status(int status)
{
	static const enum metric_id by_class[] = { M_HTTP_ANSWERS_2XX, M_HTTP_ANSWERS_3XX,
		M_HTTP_ANSWERS_4XX, M_HTTP_ANSWERS_5XX };
	CHECK(status >= 200 && status <= 599);
	metric_add(by_class[status / 100 - 2], 1);
}

/* Has the route said it in its own words? */
static bool answer_spoken(struct req *r, int status, const void *text, size_t len)
{
	const struct srv_opts *o = r->_srv->opts;
	if (!r->route || !(r->route->flags & ROUTE_SPOKEN) || !o->speak || r->_spoke ||
	    r->http_version < 20)
		return false;
	r->_spoke = true;
	return o->speak(r, status, text, len);
}

static void answer_open(struct req *r, int status)
{
	loop_check_here(r->loop);
	CHECK(!r->_answer->begun); /* exactly one answer */
	r->_answer->begun = true;
	r->_answer->status = status;
	count_status(status);
}

/* The handler has packed the body itself. */
static bool has_encoding(const struct req_answer *a)
{
	for (size_t i = 0; i < a->field_count; i++)
		if (!strcmp(a->fields[i].name, "content-encoding"))
			return true;
	return false;
}

static const char *vary(const struct req *r)
{
	return r->route && (r->route->flags & ROUTE_PAGED) ? "Accept, Accept-Encoding"
	                                                   : "Accept-Encoding";
}

static void add_influx(struct req *r)
{
	for (const struct req_field *f = r->_srv->opts->routes.influx_fields; f && f->name; f++)
		add_static(r, f->name, f->value);
}

/* Status and fields that every answer has; says how the body may be compressed. */
static enum gz_form answer_begin(struct req *r, int status, const char *type)
{
	struct req_answer *a = r->_answer;
	bool own_encoding = has_encoding(a);
	answer_open(r, status);
	a->no_body = r->method == REQ_HEAD || status == 204 || status == 304;
	size_t len;
	const char *date = req_date(r->_srv, &len);
	add_field(r, "date", arena_strndup(&r->arena, date, len), len);
	add_cors(r);
	if (r->route && r->route->flags & ROUTE_INFLUX)
		add_influx(r);
	for (size_t k = 0; k < r->_srv->opts->field_count; k++)
		add_static(r, r->_srv->opts->fields[k].name, r->_srv->opts->fields[k].value);
	if (!type || status == 204)
		return GZ_NONE;
	add_static(r, "content-type", arena_strndup(&r->arena, type, strlen(type)));
	add_static(r, "vary", vary(r));
	const char *accept =
	    a->no_body || own_encoding ? NULL : req_header(r, "accept-encoding", &len);
	return accept ? gz_choose(accept, len) : GZ_NONE;
}

static void add_length(struct req *r, size_t len)
{
	char *text = arena_alloc(&r->arena, 24);
	add_field(r, "content-length", text, num_fmt_u64(len, text));
}

static bool answer_compress(struct req *r, enum gz_form form)
{
	if (form == GZ_NONE || gz_create(form, COMPRESS_LEVEL, &r->_answer->gz))
		return false; /* without memory for it, plain bytes do */
	add_static(r, "content-encoding", gz_token(form));
	return true;
}

/* Compressed whole, at once; the plain bytes are let go. */
static void compress_once(struct req *r)
{
	struct req_answer *a = r->_answer;
	struct buf out;
	buf_init(&out);
	gz_push(a->gz, a->data, a->len, &out);
	gz_finish(a->gz, &out);
	gz_free(a->gz);
	a->gz = NULL;
	if (a->own == REQ_TAKE)
		mem_free((void *)(uintptr_t)a->data);
	a->data = buf_take(&out, &a->len);
	a->own = REQ_TAKE;
}

static enum req_pull pull_data(struct req *r, struct buf *out)
{
	struct req_answer *a = r->_answer;
	size_t n = a->len - a->data_given;
	if (n > COMPRESS_ONCE_BYTES)
		n = COMPRESS_ONCE_BYTES;
	buf_add(out, a->data + a->data_given, n);
	a->data_given += n;
	return a->data_given < a->len ? REQ_MORE : REQ_END;
}

void req_reply(
    struct req *r, int status, const char *type, const void *body, size_t len, enum req_own own)
{
	if (answer_spoken(r, status, body, len)) {
		if (own == REQ_TAKE)
			mem_free((void *)(uintptr_t)body);
		return;
	}
	enum gz_form form = answer_begin(r, status, type);
	struct req_answer *a = r->_answer;
	a->data = own == REQ_COPY && len ? arena_dup(&r->arena, body, len) : body;
	a->own = own == REQ_COPY ? REQ_BORROW : own;
	a->len = len;
	if (own == REQ_TAKE || (own == REQ_COPY && len >= HOLD_LEAST_BYTES))
		hold_anyway(r, len);
	if (len >= COMPRESS_MIN_BYTES && answer_compress(r, form)) {
		if (len <= COMPRESS_ONCE_BYTES)
			compress_once(r);
		else
			a->pull = pull_data;
	}
	if (!a->pull && status != 204 && status != 304)
		add_length(r, a->len);
	r->_ops->answer(r);
}

void req_reply_buf(struct req *r, int status, const char *type, struct buf *b)
{
	size_t len, cap = b->cap;
	uint8_t *data = buf_take(b, &len);
	/* What is counted is what is held. */
	if (len >= HOLD_LEAST_BYTES && cap - len > len / 4)
		data = mem_realloc(data, len);
	req_reply(r, status, type, data, len, REQ_TAKE);
}

void req_reply_text(struct req *r, int status, const char *fmt, ...)
{
	char text[2048];
	va_list ap;
	va_start(ap, fmt);
	size_t len = rune_vprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	req_reply(r, status, "text/plain; charset=utf-8", text, len, REQ_COPY);
}

/* The fields of one name are one list (RFC 9110, section 5.2). */
static bool names_etag(const struct req *r, const char *etag)
{
	static const char name[] = "if-none-match";
	for (size_t i = 0; i < r->field_count; i++) {
		const struct req_field *f = &r->fields[i];
		if (f->name_len == sizeof name - 1 && !memcmp(f->name, name, f->name_len) &&
		    asset_named(f->value, f->value_len, etag))
			return true;
	}
	return false;
}

void req_reply_asset(struct req *r, const struct asset *asset)
{
	size_t accept_len;
	const char *accept = req_header(r, "accept-encoding", &accept_len);
	bool gzip = asset->gzip && accept && gz_takes(accept, accept_len, GZ_GZIP);
	const char *etag = gzip ? asset->gzip_etag : asset->plain_etag;
	bool same = names_etag(r, etag);
	uint8_t *unpacked = NULL;
	if (!same && !gzip && !asset->plain && r->method != REQ_HEAD) {
		unpacked = asset_unpack(asset);
		if (!unpacked) {
			req_refuse_overloaded(r, "there is no memory to unpack the answer");
			return;
		}
	}
	answer_begin(r, same ? 304 : 200, same ? NULL : asset->type);
	if (same) /* of the fields of a 200, those that caches need (RFC 9110, section 15.4.5) */
		add_static(r, "vary", vary(r));
	add_static(r, "etag", etag);
	if (asset->cache)
		add_static(r, "cache-control", asset->cache);
	struct req_answer *a = r->_answer;
	a->own = unpacked ? REQ_TAKE : REQ_BORROW;
	if (unpacked)
		hold_anyway(r, asset->plain_len);
	if (!same) {
		a->data = unpacked ? unpacked : gzip ? asset->gzip : asset->plain;
		a->len = gzip ? asset->gzip_len : asset->plain_len;
		if (gzip)
			add_static(r, "content-encoding", "gzip");
		add_length(r, a->len);
	}
	r->_ops->answer(r);
}

void req_reply_stream(struct req *r, int status, const char *type, req_pull_fn pull)
{
	enum gz_form form = answer_begin(r, status, type);
	struct req_answer *a = r->_answer;
	CHECK(status != 204);
	/* What was pulled and not yet sent, and the windows of a compressor, which are as large. */
	hold_anyway(r, answer_compress(r, form) ? 2 * LIMIT_UNREAD_BYTES : LIMIT_UNREAD_BYTES);
	a->pull = pull;
	r->_ops->answer(r);
}

void req_resume(struct req *r)
{
	loop_check_here(r->loop);
	if (!r->_answer->begun || r->_ending)
		return;
	if (r->_answer->direct)
		r->_ops->resume(r);
	else
		answerjob_resume(r);
}

/* ---- streamed requests ---- */

void req_trailer(struct req *r, const char *name, const char *value, size_t len)
{
	struct req_answer *a = r->_answer;
	CHECK(a->trailer_count < REQ_TRAILERS_MAX);
	if (!a->trailers)
		a->trailers = arena_array(&r->arena, REQ_TRAILERS_MAX, sizeof *a->trailers);
	char *text = arena_strndup(&r->arena, value, len);
	for (size_t i = 0; i < len; i++)
		if ((uint8_t)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = ' ';
	size_t name_len = strlen(name);
	a->trailers[a->trailer_count++] =
	    (struct req_field){ .name = arena_strndup(&r->arena, name, name_len),
		    .name_len = name_len,
		    .value = text,
		    .value_len = len };
}

void req_reply_trailed(struct req *r, int status, const char *type, req_pull_fn pull)
{
	CHECK(r->http_version >= 20);
	answer_open(r, status);
	add_static(r, "content-type", arena_strndup(&r->arena, type, strlen(type)));
	r->_answer->pull = pull;
	r->_answer->direct = true;
	r->_ops->answer(r);
}

void req_body_consume(struct req *r, size_t len)
{
	loop_check_here(r->loop);
	r->_consumed_bytes += len;
	if (len && !r->_ending) /* its stream may have gone with the answer */
		r->_ops->consume(r, len);
}

size_t req_unsent(const struct req *r)
{
	return r->_answer->begun && !r->_ending ? r->_ops->unsent(r) : 0;
}

void req_reset(struct req *r, uint32_t code)
{
	loop_check_here(r->loop);
	if (r->_ending)
		return;
	r->_answer->begun = true;
	r->gone = r->_told_gone = true; /* its handler knows */
	r->_ops->reset(r, code);
}

enum req_pull req_answer_pull(struct req *r, struct buf *out)
{
	const struct req_answer *a = r->_answer;
	size_t before = out->len;
	enum req_pull next = a->direct ? a->pull(r, out) : answerjob_pull(r, out);
	r->_pulled_bytes += out->len - before;
	return next;
}
