/*
 * The handlers that t_http and t_http2 talk to. Counters are written on loops and read after the
 * loops have been asked (testteam_run).
 */
#ifndef TESTS_UNIT_NET_HTTPROUTES_H
#define TESTS_UNIT_NET_HTTPROUTES_H

#include <stdlib.h>

#include "core/base/metric.h"
#include "core/model/limits.h"
#include "net/conn/limit.h"
#include "net/http/asset.h"
#include "net/http/srv.h"
#include "tests/lib/testteam.h"

#define TEXT "text/plain; charset=utf-8"

/* Per loop; tests read while loops count. */
#define LOOPS_MAX 8
static struct seen {
	unsigned hang_begun, hang_gone, hang_done, refused_early, streams_done, busy;
	unsigned pulls, pulls_row, pulls_row_max; /* _row: since a test has set it to 0 */
} seen_on[LOOPS_MAX];
#define SEEN(r)           seen_on[loop_index((r)->loop)]
#define SEEN_ADD(r, what) __atomic_fetch_add(&SEEN(r).what, 1, __ATOMIC_RELAXED)
#define SEEN_ON(i, what)  __atomic_load_n(&seen_on[i].what, __ATOMIC_RELAXED)

static inline struct seen seen_all(void)
{
	struct seen sum = { 0 };
	for (unsigned i = 0; i < LOOPS_MAX; i++) {
		sum.hang_begun += SEEN_ON(i, hang_begun);
		sum.hang_gone += SEEN_ON(i, hang_gone);
		sum.hang_done += SEEN_ON(i, hang_done);
		sum.refused_early += SEEN_ON(i, refused_early);
		sum.streams_done += SEEN_ON(i, streams_done);
		sum.busy += SEEN_ON(i, busy);
	}
	return sum;
}

static void on_ping(struct req *r)
{
	req_reply(r, 200, TEXT, "pong\n", 5, REQ_BORROW);
}

/* The number of the loop that answers. */
static void on_loop(struct req *r)
{
	req_reply_text(r, 200, "%u", loop_index(r->loop));
}

static void on_echo(struct req *r)
{
	req_reply(r, 200, "application/octet-stream", r->body, r->body_len, REQ_BORROW);
}

static void on_drop(struct req *r)
{
	req_reply(r, 204, NULL, NULL, 0, REQ_COPY);
}

/* Answers two turns later. */
struct later {
	struct loop_deferred d;
	struct req *r;
	unsigned turns;
};
static void later_turn(struct loop_deferred *d)
{
	struct later *l = CONTAINER_OF(d, struct later, d);
	if (l->turns--)
		loop_defer(l->r->loop, d);
	else
		req_reply_text(l->r, 200, "later %zu\n", l->r->body_len);
}
static void on_later(struct req *r)
{
	struct later *l = arena_alloc(&r->arena, sizeof *l);
	*l = (struct later){ .d.fn = later_turn, .r = r, .turns = 2 };
	loop_defer(r->loop, &l->d);
}

/* Numbers as text lines, query = how many; every 10th pull rests for a turn. */
struct stream {
	struct loop_deferred d;
	struct req *r;
	unsigned long next, end, pulls, breaks_at;
	bool sleeping;
};
static void stream_wake(struct loop_deferred *d)
{
	struct stream *s = CONTAINER_OF(d, struct stream, d);
	s->sleeping = false;
	req_resume(s->r);
}
static enum req_pull stream_pull(struct req *r, struct buf *out)
{
	struct stream *s = r->own;
	struct seen *seen = &SEEN(r);
	__atomic_fetch_add(&seen->pulls, 1, __ATOMIC_RELAXED); /* read while it counts */
	if (++seen->pulls_row > seen->pulls_row_max)
		seen->pulls_row_max = seen->pulls_row;
	bool rests = ++s->pulls % 10 == 0 && !s->sleeping;
	for (unsigned i = 0; i < 4000 && s->next < s->end; i++) {
		buf_printf(out, "%lu\n", s->next++);
		if (s->next == s->breaks_at)
			return REQ_ABORT;
	}
	if (s->next == s->end)
		return REQ_END;
	if (!rests)
		return REQ_MORE;
	s->sleeping = true;
	loop_defer(r->loop, &s->d);
	return REQ_LATER;
}
static void stream_done(struct req *r)
{
	struct stream *s = r->own;
	if (s->sleeping)
		list_del(&s->d.link);
	SEEN_ADD(r, streams_done);
}
/* Those that name a payer are all of the same. */
static void on_stream(struct req *r)
{
	static int one;
	if (req_header(r, "x-payer", NULL))
		req_payer(r, &one, JOB_QUERY);
	struct stream *s = arena_zalloc(&r->arena, sizeof *s);
	s->d.fn = stream_wake;
	s->r = r;
	char *end;
	s->end = strtoul(r->query, &end, 10);
	if (*end == ',')
		s->breaks_at = strtoul(end + 1, NULL, 10);
	r->own = s;
	r->on_done = stream_done;
	req_reply_stream(r, 200, TEXT, stream_pull);
}

/* query = how many bytes of a pattern. */
static void on_big(struct req *r)
{
	size_t n = strtoul(r->query, NULL, 10);
	uint8_t *p = mem_alloc(n);
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)('a' + i % 26);
	req_reply(r, 200, TEXT, p, n, REQ_TAKE);
}

/* Never answers, until the client leaves. */
static void hang_gone(struct req *r)
{
	SEEN_ADD(r, hang_gone);
	req_reply_text(r, 499, "gone\n");
}
static void hang_done(struct req *r)
{
	SEEN_ADD(r, hang_done);
}
static void on_hang(struct req *r)
{
	SEEN_ADD(r, hang_begun);
	r->on_gone = hang_gone;
	r->on_done = hang_done;
}

/* Answers when the test says so, whether the client is still there or not. */
static bool held_back;
struct held {
	struct loop_deferred d;
	struct req *r;
};
static void held_look(struct loop_deferred *d)
{
	struct held *h = CONTAINER_OF(d, struct held, d);
	if (__atomic_load_n(&held_back, __ATOMIC_ACQUIRE))
		loop_defer(h->r->loop, d);
	else
		req_reply_text(h->r, 200, "at last\n");
}
static void on_hold(struct req *r)
{
	struct held *h = arena_alloc(&r->arena, sizeof *h);
	SEEN_ADD(r, hang_begun);
	*h = (struct held){ .d.fn = held_look, .r = r };
	loop_defer(r->loop, &h->d);
}

/* Keeps the loop for so many microseconds. */
static void on_busy(struct req *r)
{
	uint64_t end_ns = clock_real_mono_ns() + strtoul(r->query, NULL, 10) * 1000;
	while (clock_real_mono_ns() < end_ns)
		;
	SEEN_ADD(r, busy);
	req_reply(r, 200, TEXT, "busy\n", 5, REQ_BORROW);
}

static void on_param(struct req *r)
{
	req_reply_text(r, 200, "%s|%s|%s", r->param, r->path, r->query);
}

static struct asset test_asset;
static void on_asset(struct req *r)
{
	req_reply_asset(r, &test_asset);
}

/*
 * A streamed request: every piece comes back, at once or when query says "slow", where nothing is
 * consumed before its end. Trailers: how many bytes there were. "cut": reset at the first piece.
 */
struct back {
	struct buf waits;
	size_t seen;
	bool last, slow;
};
static enum req_pull back_pull(struct req *r, struct buf *out)
{
	struct back *b = r->own;
	char text[24];
	buf_add(out, b->waits.data, b->waits.len);
	buf_clear(&b->waits);
	if (!b->last)
		return REQ_LATER;
	req_trailer(r, "x-seen", text, (size_t)snprintf(text, sizeof text, "%zu", b->seen));
	req_trailer(r, "x-note", "a\nb", 3);
	return REQ_END;
}
static void back_body(struct req *r, const uint8_t *data, size_t len, bool last)
{
	struct back *b = r->own;
	if (!strcmp(r->query, "cut")) {
		req_reset(r, 11);
		return;
	}
	buf_add(&b->waits, data, len);
	b->seen += len;
	b->last = last;
	if (!b->slow)
		req_body_consume(r, len);
	req_resume(r);
}
static void back_done(struct req *r)
{
	struct back *b = r->own;
	buf_release(&b->waits);
	SEEN_ADD(r, streams_done);
}
static void on_back(struct req *r)
{
	struct back *b = arena_zalloc(&r->arena, sizeof *b);
	buf_init(&b->waits);
	b->slow = !strcmp(r->query, "slow");
	r->own = b;
	r->on_body = back_body;
	r->on_done = back_done;
	if (!strcmp(r->query, "trailers")) {
		req_trailer(r, "x-seen", "none", 4);
		req_reply_trailed(r, 200, "application/x-back", NULL);
	} else {
		req_reply_trailed(r, 200, "application/x-back", back_pull);
	}
}
static bool test_speak(struct req *r, int status, const char *text, size_t len)
{
	char code[24];
	if (!req_content_is(r, "application/x-back"))
		return false;
	req_trailer(r, "x-status", code, (size_t)snprintf(code, sizeof code, "%d", status));
	req_trailer(r, "x-text", text, len);
	req_reply_trailed(r, 200, "application/x-back", NULL);
	return true;
}
static void on_unknown(struct req *r)
{
	req_reply_text(r, 501, "unknown");
}
static const struct route *test_unmatched(struct req *r)
{
	static const struct route row = { .methods = REQ_POST,
		.path = "",
		.handler = on_unknown,
		.flags = ROUTE_STREAM | ROUTE_SPOKEN };
	return req_content_is(r, "application/x-back") ? &row : NULL;
}

static bool refuse_early(struct req *r)
{
	if (req_content_is(r, "application/x-protobuf"))
		return true;
	SEEN_ADD(r, refused_early);
	req_refuse(r, 415, "unsupported", "only application/x-protobuf");
	return false;
}

static const struct route test_rows[] = {
	{ .methods = REQ_GET, .path = "/ping", .handler = on_ping },
	{ .methods = REQ_GET, .path = "/loop", .handler = on_loop },
	{ .methods = REQ_GET | REQ_HEAD,
	    .path = "/-/healthy",
	    .handler = on_ping,
	    .flags = ROUTE_UNGATED },
	{ .methods = REQ_POST, .path = "/echo", .handler = on_echo, .body_max = 8u << 20 },
	{ .methods = REQ_POST, .path = "/drop", .handler = on_drop, .body_max = ROUTE_BODY_WRITE },
	{ .methods = REQ_POST, .path = "/small", .handler = on_echo, .body_max = 1000, .flags = ROUTE_JSON },
	{ .methods = REQ_POST | REQ_GET, .path = "/later", .handler = on_later, .body_max = 1u << 20 },
	{ .methods = REQ_GET, .path = "/stream", .handler = on_stream },
	{ .methods = REQ_GET | REQ_HEAD, .path = "/big", .handler = on_big },
	{ .methods = REQ_GET | REQ_POST, .path = "/hang", .handler = on_hang, .body_max = 100 },
	{ .methods = REQ_GET, .path = "/hold", .handler = on_hold },
	{ .methods = REQ_GET, .path = "/busy", .handler = on_busy },
	{ .methods = REQ_POST, .path = "/back", .handler = on_back, .flags = ROUTE_STREAM | ROUTE_SPOKEN },
	{ .methods = REQ_GET, .path = "/label/<name>/values", .handler = on_param },
	{ .methods = REQ_GET, .path = "/tree/*", .handler = on_param },
	{ .methods = REQ_GET | REQ_HEAD, .path = "/asset", .handler = on_asset },
	{ .methods = REQ_POST,
	    .path = "/proto",
	    .handler = on_echo,
	    .body_max = 1u << 20,
	    .before_body = refuse_early },
};

/* The limits that all loops of a team go by; change them before test_limits_set(). */
static struct limits test_limits;
static inline void test_limits_here_(void *arg)
{
	(void)arg;
	loop_set_limits(loop_here(), &test_limits);
}
static inline void test_limits_set(struct testteam *tt)
{
	for (unsigned i = 0; i < team_count(tt->team); i++)
		testteam_run(tt, i, test_limits_here_, NULL);
}

/*
 * A door: who brings "x-door" waits at it until the test opens it, a number of times when it is
 * one ("x-door: 3"); "x-door: no" is refused when it opens, "x-door: busy" is answered while it
 * waits. Who leaves meanwhile opens it himself.
 */
static bool door_shut;
static struct doors {
	unsigned asked, waits, gone, done;
} doors_on[LOOPS_MAX];
#define DOORS(r) doors_on[loop_index((r)->loop)]

static inline struct doors doors_all(void)
{
	struct doors sum = { 0 };
	for (unsigned i = 0; i < LOOPS_MAX; i++) {
		sum.asked += __atomic_load_n(&doors_on[i].asked, __ATOMIC_RELAXED);
		sum.waits += __atomic_load_n(&doors_on[i].waits, __ATOMIC_RELAXED);
		sum.gone += __atomic_load_n(&doors_on[i].gone, __ATOMIC_RELAXED);
		sum.done += __atomic_load_n(&doors_on[i].done, __ATOMIC_RELAXED);
	}
	return sum;
}

struct at_door {
	struct loop_deferred d;
	struct req *r;
};

static void door_pass(struct at_door *w)
{
	struct req *r = w->r;
	size_t len;
	list_del(&w->d.link);
	r->on_gone = NULL;
	__atomic_fetch_sub(&DOORS(r).waits, 1, __ATOMIC_RELAXED);
	if (!strcmp(req_header(r, "x-door", &len), "busy"))
		req_refuse_overloaded(r, "the door stays shut");
	else
		req_door_open(r);
}

static void door_look(struct loop_deferred *d)
{
	struct at_door *w = CONTAINER_OF(d, struct at_door, d);
	if (__atomic_load_n(&door_shut, __ATOMIC_ACQUIRE))
		loop_defer(w->r->loop, d);
	else
		door_pass(w);
}

static void door_gone(struct req *r)
{
	__atomic_fetch_add(&DOORS(r).gone, 1, __ATOMIC_RELAXED);
	door_pass(r->door_own);
}

static void door_done(struct req *r)
{
	__atomic_fetch_add(&DOORS(r).done, 1, __ATOMIC_RELAXED);
}

static enum req_step test_door(struct req *r)
{
	size_t len;
	const char *how = req_header(r, "x-door", &len);
	unsigned long times = how && strtoul(how, NULL, 10) ? strtoul(how, NULL, 10) : 1;
	__atomic_fetch_add(&DOORS(r).asked, 1, __ATOMIC_RELAXED);
	if (!how)
		return REQ_GO;
	if (r->door_step++ == times) {
		if (strcmp(how, "no"))
			return REQ_GO;
		req_refuse(r, 403, "forbidden", "not through this door");
		return REQ_ANSWERED;
	}
	struct at_door *w = arena_zalloc(&r->arena, sizeof *w);
	w->d.fn = door_look;
	w->r = r;
	r->door_own = w;
	r->door_done = door_done;
	r->on_gone = door_gone;
	__atomic_fetch_add(&DOORS(r).waits, 1, __ATOMIC_RELAXED);
	loop_defer(r->loop, &w->d);
	return REQ_WAIT;
}

static bool gate_shut;
static bool test_gate(struct req *r)
{
	if (!gate_shut)
		return true;
	req_answer_field(r, "x-prometheus-stopping", "false");
	req_reply_text(r, 503, "Service Unavailable");
	return false;
}

#endif
