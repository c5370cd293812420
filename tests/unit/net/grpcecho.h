/*
 * The gRPC service that t_gsrv and t_gcli talk to, on the server of test routes: all four kinds.
 *
 *   Unary    what query says: "fail" a status, "hang" no answer until the client leaves or its
 *            deadline passes, "big" evaluation_timestamp_ms bytes pulled, "cut" the same, broken
 *            off half way, "late" an answer from a turn of its own, and what comes when that is
 *            away; else it comes back as a name, with the number as a value
 *   Count    evaluation_timestamp_ms messages with query in each
 *   Collect  all queries of the client, one behind the other
 *   Chat     each message comes back, some turns later when query begins with "slow"
 *   Raw      how many bytes came, as they are
 * Counters are written on loops and read after the loops have been asked.
 */
#ifndef TESTS_UNIT_NET_GRPCECHO_H
#define TESTS_UNIT_NET_GRPCECHO_H

#include "net/grpc/gsrv.h"
#include "proto/gen/query_service.pb-c.h"
#include "tests/unit/net/httpserve.h"

typedef Codesprintpro__Monitoring__V1__InstantQueryRequest Ask;
typedef Codesprintpro__Monitoring__V1__LabelPair Pair;
#define ASK_INIT(a)  codesprintpro__monitoring__v1__instant_query_request__init(a)
#define PAIR_INIT(p) codesprintpro__monitoring__v1__label_pair__init(p)
#define ASK          (&codesprintpro__monitoring__v1__instant_query_request__descriptor)
#define PAIR         (&codesprintpro__monitoring__v1__label_pair__descriptor)

static struct echo_seen {
	unsigned cancelled, done, messages, rooms;
} echo_on[LOOPS_MAX];
#define ECHO(c) echo_on[loop_index((c)->req->loop)]

static inline struct echo_seen echo_all(void)
{
	struct echo_seen sum = { 0 };
	for (unsigned i = 0; i < LOOPS_MAX; i++) {
		sum.cancelled += __atomic_load_n(&echo_on[i].cancelled, __ATOMIC_RELAXED);
		sum.done += __atomic_load_n(&echo_on[i].done, __ATOMIC_RELAXED);
		sum.messages += __atomic_load_n(&echo_on[i].messages, __ATOMIC_RELAXED);
		sum.rooms += __atomic_load_n(&echo_on[i].rooms, __ATOMIC_RELAXED);
	}
	return sum;
}
static inline void echo_count(unsigned *n)
{
	__atomic_fetch_add(n, 1, __ATOMIC_RELAXED);
}

struct echo {
	struct gcall *call;
	struct loop_deferred later;
	bool waits;
	unsigned turns;
	uint64_t left;
	size_t size;
	char *text; /* of the message that comes back */
	struct buf all;
};
static void echo_done(struct gcall *c)
{
	struct echo *e = c->own;
	echo_count(&ECHO(c).done);
	if (e && e->waits)
		list_del(&e->later.link);
	if (e)
		buf_release(&e->all);
}
static struct echo *echo_new(struct gcall *c)
{
	struct echo *e = arena_zalloc(&c->req->arena, sizeof *e);
	e->call = c;
	buf_init(&e->all);
	c->own = e;
	return e;
}
static void echo_open(struct gcall *c)
{
	echo_new(c);
}
static bool echo_pair(struct gcall *c, const char *name, const char *value)
{
	Pair p;
	PAIR_INIT(&p);
	p.name = (char *)(uintptr_t)name;
	p.value = (char *)(uintptr_t)value;
	return gcall_send(c, &p.base);
}

/* A pair with a name of so many bytes, piece by piece. */
static bool echo_big(struct gcall *c, struct buf *out)
{
	struct echo *e = c->own;
	size_t n = e->left < 50000 ? e->left : 50000;
	if (e->size && e->left < e->size / 2)
		return false; /* cut */
	if (!buf_reserve(out, n))
		return false;
	memset(out->data + out->len, 'x', n);
	out->len += n;
	e->left -= n;
	return true;
}
static void echo_pulled(struct gcall *c, uint64_t bytes, bool cut)
{
	struct echo *e = c->own;
	e->left = bytes;
	e->size = cut ? bytes : 0;
	if (gcall_send_pulled(c, bytes, echo_big))
		gcall_finish(c, GRPC_OK, NULL);
	else
		gcall_finish(c, GRPC_UNAVAILABLE, "too much waits");
}
/* Its stream has closed below gcall_finish; what was on its way to it finds the request ending. */
static void echo_late_turn(struct loop_deferred *d)
{
	struct echo *e = CONTAINER_OF(d, struct echo, later);
	struct req *r = e->call->req;
	e->waits = false;
	gcall_finish(e->call, GRPC_OK, "late");
	req_body_consume(r, 1);
	req_resume(r);
	req_reset(r, 8);
}
static void echo_late(struct gcall *c)
{
	struct echo *e = c->own;
	e->later.fn = echo_late_turn;
	e->waits = true;
	loop_work(c->req->loop, LOOP_SOON, &e->later);
}
static void echo_unary(struct gcall *c, const void *msg, size_t len)
{
	(void)len;
	const Ask *a = msg;
	char number[32];
	echo_new(c);
	echo_count(&ECHO(c).messages);
	if (!strcmp(a->query, "hang"))
		return;
	if (!strcmp(a->query, "fail")) {
		gcall_finish(c, GRPC_FAILED_PRECONDITION, "50%% of \xc3\xa4\nis not all");
		return;
	}
	if (!strcmp(a->query, "late")) {
		echo_late(c);
		return;
	}
	if (!strcmp(a->query, "big") || !strcmp(a->query, "cut")) {
		echo_pulled(c, (uint64_t)a->evaluation_timestamp_ms, a->query[0] == 'c');
		return;
	}
	snprintf(number, sizeof number, "%lld", (long long)a->evaluation_timestamp_ms);
	if (a->query[0])
		req_answer_field(c->req, "x-head", "of %.20s", a->query);
	req_trailer(c->req, "x-tail", "end", 3);
	echo_pair(c, a->query, number);
	gcall_finish(c, GRPC_OK, NULL);
}
static void echo_cancelled(struct gcall *c)
{
	echo_count(&ECHO(c).cancelled);
	gcall_finish(c, GRPC_CANCELLED, NULL);
}

static void echo_count_room(struct gcall *c)
{
	struct echo *e = c->own;
	echo_count(&ECHO(c).rooms);
	char number[32];
	while (e->left) {
		snprintf(number, sizeof number, "%llu", (unsigned long long)--e->left);
		if (!echo_pair(c, e->text, number))
			return;
	}
	gcall_finish(c, GRPC_OK, "all of them");
}
static void echo_count_from(struct gcall *c, const void *msg, size_t len)
{
	(void)len;
	const Ask *a = msg;
	struct echo *e = echo_new(c);
	e->text = a->query;
	e->left = (uint64_t)a->evaluation_timestamp_ms;
	echo_count_room(c);
}

static void echo_collect(struct gcall *c, const void *msg, size_t len)
{
	(void)len;
	struct echo *e = c->own;
	echo_count(&ECHO(c).messages);
	buf_add_str(&e->all, ((const Ask *)msg)->query);
	gcall_next(c);
}
static void echo_collected(struct gcall *c)
{
	struct echo *e = c->own;
	buf_add_u8(&e->all, 0);
	echo_pair(c, (const char *)e->all.data, "all");
	gcall_finish(c, GRPC_OK, NULL);
}

static void echo_chat_back(struct gcall *c)
{
	struct echo *e = c->own;
	echo_pair(c, e->text, "chat");
	gcall_next(c);
}
static void echo_chat_turn(struct loop_deferred *d)
{
	struct echo *e = CONTAINER_OF(d, struct echo, later);
	e->waits = --e->turns;
	if (e->waits)
		loop_defer(e->call->req->loop, d);
	else
		echo_chat_back(e->call);
}
static void echo_chat(struct gcall *c, const void *msg, size_t len)
{
	(void)len;
	struct echo *e = c->own;
	echo_count(&ECHO(c).messages);
	e->text = ((const Ask *)msg)->query;
	if (strncmp(e->text, "slow", 4)) {
		echo_chat_back(c);
		return;
	}
	e->later.fn = echo_chat_turn;
	e->turns = 3;
	e->waits = true;
	loop_defer(c->req->loop, &e->later);
}
static void echo_chat_end(struct gcall *c)
{
	gcall_finish(c, GRPC_OK, "bye");
}
static void echo_chat_cancelled(struct gcall *c)
{
	struct echo *e = c->own;
	if (e->waits)
		list_del(&e->later.link);
	e->waits = false;
	echo_cancelled(c);
}

static void echo_raw(struct gcall *c, const void *msg, size_t len)
{
	(void)msg;
	char number[32];
	snprintf(number, sizeof number, "%zu", len);
	echo_pair(c, number, "raw");
	gcall_finish(c, GRPC_OK, NULL);
}

static const struct gsrv_method echo_methods[] = {
	{ .path = "/t.Test/Unary",
	    .kind = GSRV_UNARY,
	    .in = ASK,
	    .message = echo_unary,
	    .cancelled = echo_cancelled,
	    .done = echo_done },
	{ .path = "/t.Test/Count",
	    .kind = GSRV_SERVER_STREAM,
	    .in = ASK,
	    .message = echo_count_from,
	    .room = echo_count_room,
	    .cancelled = echo_cancelled,
	    .done = echo_done },
	{ .path = "/t.Test/Collect",
	    .kind = GSRV_CLIENT_STREAM,
	    .in = ASK,
	    .open = echo_open,
	    .message = echo_collect,
	    .end = echo_collected,
	    .cancelled = echo_cancelled,
	    .done = echo_done },
	{ .path = "/t.Test/Chat",
	    .kind = GSRV_BIDI,
	    .in = ASK,
	    .open = echo_open,
	    .message = echo_chat,
	    .end = echo_chat_end,
	    .cancelled = echo_chat_cancelled,
	    .done = echo_done },
	{ .path = "/t.Test/Raw", .kind = GSRV_UNARY, .in_max = 100000, .message = echo_raw },
};
static struct gsrv echo_srv = { echo_methods, COUNT_OF(echo_methods), NULL };

static void echo_call(struct req *r)
{
	gsrv_call(&echo_srv, r);
}
/* A door of its own: who says x-door: no is refused before the call begins. */
static bool echo_before(struct req *r)
{
	if (!req_header(r, "x-refuse", NULL))
		return true;
	req_refuse(r, 401, "unauthorized", "who are you?");
	return false;
}
#define ECHO_ROW(name)                                                                             \
 {                                                                                                 \
  .methods = REQ_POST, .path = "/t.Test/" name, .handler = echo_call,                              \
  .flags = ROUTE_STREAM | ROUTE_SPOKEN, .before_body = echo_before                                 \
 }
static const struct route echo_rows[] = { ECHO_ROW("Unary"), ECHO_ROW("Count"), ECHO_ROW("Collect"),
	ECHO_ROW("Chat"), ECHO_ROW("Raw"),
	{ .methods = REQ_GET, .path = "/ping", .handler = on_ping } };

static inline void echo_serve(unsigned loops)
{
	static const struct listen_conf listeners[] = { { .address = "127.0.0.1:0" } };
	testteam_start(&tt, loops);
	echo_srv.pool = tt.pool;
	struct srv_opts opts = { .team = tt.team,
		.listeners = listeners,
		.listener_count = 1,
		.routes = { echo_rows, COUNT_OF(echo_rows) },
		.gate = test_gate,
		.speak = gsrv_speak,
		.unmatched = gsrv_unmatched };
	test_limits_set(&tt);
	struct errbuf eb;
	errbuf_init(&eb);
	if (srv_create(&opts, &srv, &eb))
		exit(99);
	srv_serve(srv);
	address = srv_address(srv, 0);
}

#endif
