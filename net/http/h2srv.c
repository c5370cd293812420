/*
 * h2srv - HTTP/2 (RFC 9113) on a connection, on nghttp2: its conventions stop in this file.
 *
 * A stream:  HEAD --END_HEADERS--> BODY --END_STREAM--> RUN --answer--> SEND --stream closed-->
 *            freed
 *   state  waits for                  ended by
 *   HEAD   the header block           LIMIT_HEADER_MS of the connection, http_head_bytes, h2guard
 *   BODY   DATA                       LIMIT_BODY_MS, the least rate, LIMIT_BODY_STALE_MS while
 *                                     memory is short; before it begins, its window may stay shut,
 *                                     LIMIT_PARK_MS at most
 *   RUN    the handler                the handler
 *   SEND   windows, room, or data     a reader that is too slow (limit_reader_look)
 *
 * What comes is looked at twice: h2guard counts frames and judges stream ids, also where nghttp2
 * says nothing, then nghttp2 gets it.
 * Below nghttp2_session_mem_recv and _send (h->inside) nothing is sent and nothing freed but the
 * stream nghttp2 closes; h2_flush follows.
 * Streamed answers are pulled in h2_work, never below a handler.
 * Turns: what comes is worked on for LOOP_WORK_NS, frame by frame; the rest waits in h2->in (at
 * most LIMIT_PIPELINED_BYTES, then reading pauses), and further pieces of answers wait, too, until
 * the loop's queues come to them (h2_again).
 * A stream is charged from its first frame on, a large head and the body as they come.
 */
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/metric.h"
#include "core/base/num.h"
#include "net/conn/conn.h"
#include "net/http/h2guard.h"
#include "net/http/router.h"
#include "net/http/srv_priv.h"

/* SETTINGS_MAX_FRAME_SIZE: DATA is never gathered, so large frames cost nothing */
#define FRAME_SIZE_MAX (64u << 10)
#define FIELDS_FIRST   16u
#define FIELD_OVERHEAD 32u /* RFC 9113, 6.5.2: what a field adds to the list size */

enum h2_state {
	H2_HEAD,
	H2_BODY,
	H2_RUN,
	H2_SEND
};

struct h2 {
	struct conn *c;
	struct srv_loop *sl;
	nghttp2_session *ng;
	struct list_link streams, hungry;
	size_t stream_count;
	bool inside;          /* below nghttp2 */
	bool head_open;       /* a header block has begun */
	bool ended;           /* GOAWAY is on its way: nothing new */
	uint64_t turn_end_ns; /* real clock */
	/* Came, and waits for its turn. */
	struct buf in;
	size_t in_off, in_charged;
	struct h2frame_scan scan; /* of what nghttp2 is given */
	struct h2guard guard;
	struct loop_again again;
};

struct h2_stream {
	struct h2 *h;
	struct list_link link, hungry;
	int32_t id;
	enum h2_state state;
	struct req *req;
	/* The head. */
	struct req_field *fields;
	size_t field_count, field_cap, head_bytes;
	const char *method, *path, *authority;
	size_t method_len, path_len, authority_len;
	int64_t content_length;
	size_t head_charged;
	bool head_too_large, head_no_room;
	/* The body. */
	bool client_done; /* END_STREAM came */
	bool parked;
	uint8_t *body;
	size_t body_len, body_cap, unconsumed;
	uint64_t wait_ns; /* when the body, or the measure of its reader, began */
	uint64_t park_ns, grown_ns;
	uint64_t sent; /* since wait_ns */
	/* The answer. */
	struct buf out; /* pulled, not yet sent */
	size_t out_off, data_off;
	bool later, pulled_all, whole;
	struct loop_timer timer;
};

static void h2_flush(struct h2 *h);
static size_t h2_pending(const struct h2_stream *s);
static void h2_again(struct h2 *h, enum loop_queue q);
static size_t h2_take(struct h2 *h, const uint8_t *data, size_t len);
static void h2_answer(struct req *r);
static void h2_resume(struct req *r);
static const struct req_ops h2_req_ops = { .answer = h2_answer, .resume = h2_resume };

/* ---- misdeeds ---- */

/* The connection ends: no new streams, the running ones are cut. */
static void h2_end(struct h2 *h, enum h2guard_verdict v)
{
	static const uint32_t codes[] = { [H2GUARD_FINE] = NGHTTP2_NO_ERROR,
		[H2GUARD_CALM] = NGHTTP2_ENHANCE_YOUR_CALM,
		[H2GUARD_PROTOCOL] = NGHTTP2_PROTOCOL_ERROR,
		[H2GUARD_CLOSED] = NGHTTP2_STREAM_CLOSED };
	if (h->ended || v == H2GUARD_FINE)
		return;
	h->ended = true;
	metric_add(v == H2GUARD_CALM ? M_HTTP2_CALMED : M_HTTP_MALFORMED, 1);
	nghttp2_session_terminate_session(h->ng, codes[v]);
}

/* ---- deadlines ---- */

static void h2_conn_deadline(struct h2 *h)
{
	if (h->head_open)
		conn_deadline(h->c, LIMIT_HEADER_MS);
	else
		conn_deadline(h->c, h->stream_count ? 0 : LIMIT_IDLE_MS);
}

static void h2_reset(struct h2_stream *s, uint32_t code)
{
	struct h2 *h = s->h;
	nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, s->id, code);
	h2_flush(h); /* may free s */
}

/* The window opens again. */
static void h2_unpark(struct h2_stream *s)
{
	s->parked = false;
	s->wait_ns = s->grown_ns = loop_now_ns(s->h->c->loop);
	loop_timer_set(s->h->c->loop, &s->timer, LIMIT_LOOK_MS);
	nghttp2_session_consume_stream(s->h->ng, s->id, s->unconsumed);
	s->unconsumed = 0;
	h2_flush(s->h);
}

/* Would what is still to come find room? */
static enum limit_level h2_level(const struct h2_stream *s)
{
	const struct req *r = s->req;
	size_t declared = s->content_length > 0 ? (size_t)s->content_length : 0;
	size_t more = declared > s->body_cap ? declared - s->body_cap : 0;
	return limit_inflight_look(r->who, r->_charged_bytes, more, loop_now_ns(r->loop));
}

static void h2_park_look(struct h2_stream *s, uint64_t now_ns)
{
	enum limit_level level = h2_level(s);
	if (level != LIMIT_FREE && now_ns - s->park_ns < LIMIT_PARK_MS * UINT64_C(1000000)) {
		loop_timer_set(s->h->c->loop, &s->timer, LIMIT_PARK_LOOK_MS);
		return;
	}
	if (level <= LIMIT_PRESSED) {
		h2_unpark(s);
		return;
	}
	struct h2 *h = s->h;
	req_refuse_overloaded(s->req, REQ_INFLIGHT_FULL);
	h2_flush(h);
}

static void h2_body_look(struct h2_stream *s, uint64_t now_ns)
{
	uint64_t took_ms = (now_ns - s->wait_ns) / 1000000;
	uint64_t least = limit_body_least(s->content_length > 0 ? (uint64_t)s->content_length : 0);
	bool slow = took_ms >= LIMIT_BODY_GRACE_MS && s->body_len * UINT64_C(1000) < took_ms * least;
	bool stale = now_ns - s->grown_ns >= LIMIT_BODY_STALE_MS * UINT64_C(1000000) &&
	    limit_inflight_short();
	if (took_ms >= LIMIT_BODY_MS || slow || stale) {
		metric_add(M_CONN_TIMEOUTS_DEADLINE, 1);
		h2_reset(s, NGHTTP2_CANCEL);
		return;
	}
	loop_timer_set(s->h->c->loop, &s->timer, LIMIT_LOOK_MS);
}

static void h2_reader_begin(struct h2_stream *s)
{
	s->wait_ns = loop_now_ns(s->h->c->loop);
	s->sent = 0;
}

/* Streams share the connection, whose reader conn looks at: each has its part of the rate. */
static void h2_reader_look(struct h2_stream *s, uint64_t now_ns)
{
	uint64_t took_ms = (now_ns - s->wait_ns) / 1000000;
	/* it is the handler who makes them wait */
	bool ours = s->later && s->out.len == s->out_off;
	enum limit_reader reader = ours
	    ? LIMIT_READER_FAST
	    : limit_reader_look(s->sent * s->h->stream_count, h2_pending(s), took_ms);
	if (reader == LIMIT_READER_SLOW) {
		metric_add(M_CONN_TIMEOUTS_STALL, 1);
		h2_reset(s, NGHTTP2_CANCEL);
		return;
	}
	if (reader == LIMIT_READER_FAST) {
		h2_reader_begin(s);
		took_ms = 0;
	}
	loop_timer_set(s->h->c->loop, &s->timer, limit_reader_next_ms(took_ms));
}

static void h2_on_timer(struct loop_timer *t)
{
	struct h2_stream *s = CONTAINER_OF(t, struct h2_stream, timer);
	uint64_t now_ns = loop_now_ns(s->h->c->loop);
	if (s->state == H2_BODY && s->parked)
		h2_park_look(s, now_ns);
	else if (s->state == H2_BODY)
		h2_body_look(s, now_ns);
	else if (s->state == H2_SEND && s->whole)
		h2_reset(s, NGHTTP2_NO_ERROR);
	else if (s->state == H2_SEND)
		h2_reader_look(s, now_ns);
}

/* ---- streams ---- */

static struct h2_stream *h2_stream_of(struct h2 *h, int32_t id)
{
	return nghttp2_session_get_stream_user_data(h->ng, id);
}

static struct h2_stream *h2_stream_create(struct h2 *h, int32_t id)
{
	struct h2_stream *s = mem_zalloc(sizeof *s);
	s->h = h;
	s->id = id;
	s->content_length = -1;
	s->req = req_create(h->sl, h->c);
	req_charge_anyway(s->req, LIMIT_STREAM_BYTES);
	s->req->_ops = &h2_req_ops;
	s->req->_stream = s;
	s->req->http_version = 20;
	s->method = s->path = s->authority = "";
	buf_init(&s->out);
	list_init(&s->hungry);
	loop_timer_init(&s->timer, h2_on_timer);
	list_add_tail(&h->streams, &s->link);
	h->stream_count++;
	return s;
}

static void h2_stream_free(struct h2_stream *s)
{
	struct h2 *h = s->h;
	struct req *r = s->req;
	h2guard_closed(&h->guard, (uint32_t)s->id, s->client_done);
	if (s->state < H2_RUN)
		r->_answer->begun = true; /* no handler will answer it */
	if (s->whole)
		req_end(r);
	else
		req_orphan(r);
	loop_timer_cancel(h->c->loop, &s->timer);
	list_del(&s->hungry);
	list_del(&s->link);
	h->stream_count--;
	buf_release(&s->out);
	mem_free(s->body);
	mem_free(s);
	if (!h->stream_count)
		h2_conn_deadline(h);
}

/* ---- heads ---- */

static int h2_on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;
	int32_t id = frame->hd.stream_id;
	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	uint64_t now_ns = loop_now_ns(h->c->loop);
	if (limit_inflight_look(h->c->who, 0, LIMIT_STREAM_BYTES, now_ns) > LIMIT_PRESSED) {
		metric_add(M_HTTP_OVERLOADED, 1);
		nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
		return 0;
	}
	nghttp2_session_set_stream_user_data(ng, id, h2_stream_create(h, id));
	return 0;
}

/* Charges a head that gets large, in steps. */
static void h2_head_charge(struct h2_stream *s)
{
	if (s->head_bytes <= LIMIT_HEAD_FREE_BYTES || s->head_bytes <= s->head_charged)
		return;
	size_t step = s->head_bytes - s->head_charged + s->head_bytes / 2;
	s->head_no_room |= !req_charge(s->req, step);
	s->head_charged += step;
}

/* The array of fields has at least FIELDS_FIRST places, and doubles. */
static void h2_fields_grow(struct h2_stream *s)
{
	size_t cap = s->field_cap ? 2 * s->field_cap : FIELDS_FIRST;
	struct req_field *more = arena_array(&s->req->arena, cap, sizeof *more);
	if (s->field_count)
		memcpy(more, s->fields, s->field_count * sizeof *more);
	s->fields = more;
	s->field_cap = cap;
}

static void h2_keep_field(struct h2_stream *s, const uint8_t *name, size_t name_len,
    const uint8_t *value, size_t value_len)
{
	struct arena *a = &s->req->arena;
	const char *v = arena_strndup(a, (const char *)value, value_len);
	if (*name == ':') {
		if (name_len == 7 && !memcmp(name, ":method", 7)) {
			s->method = v;
			s->method_len = value_len;
		} else if (name_len == 5 && !memcmp(name, ":path", 5)) {
			s->path = v;
			s->path_len = value_len;
		} else if (name_len == 10 && !memcmp(name, ":authority", 10)) {
			s->authority = v;
			s->authority_len = value_len;
		}
		return;
	}
	if (s->field_count == s->field_cap)
		h2_fields_grow(s);
	s->fields[s->field_count++] = (struct req_field){
		.name = arena_strndup(a, (const char *)name, name_len),
		.name_len = name_len,
		.value = v,
		.value_len = value_len,
	};
	uint64_t n;
	if (name_len == 14 && !memcmp(name, "content-length", 14) &&
	    !num_parse_u64(v, value_len, &n) && n <= INT64_MAX)
		s->content_length = (int64_t)n;
}

static int h2_on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
	(void)ng;
	(void)flags;
	struct h2 *h = arg;
	struct h2_stream *s = h2_stream_of(h, frame->hd.stream_id);
	if (!s)
		return 0;
	/*
	 * Small blocks may unpack to much (RFC 7541): it is summed up as unpacked, trailers
	 * included.
	 */
	const struct limits *l = limits_here();
	s->head_bytes += name_len + value_len + FIELD_OVERHEAD;
	if (s->head_bytes > 4 * l->http_head_bytes)
		h2_end(h, H2GUARD_CALM);
	if (s->head_bytes > l->http_head_bytes || s->field_count >= l->http_fields) {
		s->head_too_large = true;
		return 0;
	}
	h2_head_charge(s);
	if (s->state == H2_HEAD && !s->head_no_room)
		h2_keep_field(s, name, name_len, value, value_len);
	return 0;
}

static void h2_run_handler(struct h2_stream *s)
{
	uint8_t *body = s->body;
	size_t len = s->body_len;
	if (body)
		memset(body + len, 0, REQ_BODY_SLACK);
	s->body = NULL;
	s->state = H2_RUN;
	loop_timer_cancel(s->h->c->loop, &s->timer);
	req_run(s->req, body, len);
}

static void h2_body_start(struct h2_stream *s)
{
	struct req *r = s->req;
	if (s->content_length > 0 && (uint64_t)s->content_length > req_body_max(r)) {
		req_refuse_size(r);
		return;
	}
	enum limit_level level = h2_level(s);
	if (level == LIMIT_FULL) {
		req_refuse_overloaded(r, REQ_INFLIGHT_FULL);
		return;
	}
	s->wait_ns = s->park_ns = s->grown_ns = loop_now_ns(r->loop);
	s->parked = level != LIMIT_FREE;
	if (s->parked)
		metric_add(M_HTTP_PARKED, 1);
	loop_timer_set(r->loop, &s->timer, s->parked ? LIMIT_PARK_LOOK_MS : LIMIT_LOOK_MS);
	if (req_header(r, "expect", NULL)) {
		nghttp2_nv go_on = { .name = (uint8_t *)(uintptr_t) ":status",
			.value = (uint8_t *)(uintptr_t) "100",
			.namelen = 7,
			.valuelen = 3 };
		nghttp2_submit_headers(s->h->ng, NGHTTP2_FLAG_NONE, s->id, NULL, &go_on, 1, NULL);
	}
}

static void h2_refuse_head(struct h2_stream *s)
{
	const struct limits *l = limits_here();
	if (!s->head_too_large) {
		req_refuse_overloaded(s->req, REQ_INFLIGHT_FULL);
		return;
	}
	req_refuse(s->req, 431, "head_too_large",
	    "the head is larger than %llu bytes (--%s) or %llu fields (--%s)",
	    (unsigned long long)l->http_head_bytes, limits_flag(LIMITS_http_head_bytes),
	    (unsigned long long)l->http_fields, limits_flag(LIMITS_http_fields));
}

static void h2_head_done(struct h2_stream *s)
{
	struct req *r = s->req;
	metric_add(M_HTTP_REQUESTS_H2, 1);
	r->method = req_method_of(s->method, s->method_len);
	const char *q = memchr(s->path, '?', s->path_len);
	size_t raw_len = q ? (size_t)(q - s->path) : s->path_len;
	r->query = q ? q + 1 : "";
	r->query_len = q ? s->path_len - raw_len - 1 : 0;
	r->fields = s->fields;
	r->field_count = s->field_count;
	r->start_ns = loop_now_ns(r->loop);
	s->state = H2_BODY;
	if (s->head_too_large || s->head_no_room) {
		h2_refuse_head(s);
		return;
	}
	if (!req_begin(r, s->path, raw_len))
		return;
	if (s->client_done)
		h2_run_handler(s);
	else
		h2_body_start(s);
}

/* ---- bodies ---- */

/* Room for len more, charged; or the request is refused. */
static bool h2_body_grow(struct h2_stream *s, size_t len)
{
	size_t need = s->body_len + len;
	if (need <= s->body_cap)
		return true;
	if (need > req_body_max(s->req)) {
		req_refuse_size(s->req);
		return false;
	}
	/* What was declared is what comes: nghttp2 sees to it. */
	size_t declared = s->content_length > 0 ? (size_t)s->content_length : 0;
	size_t cap = req_body_step(s->req, need, declared);
	if (!req_body_grow(s->req, &s->body, &s->body_cap, cap > need ? cap : need)) {
		req_refuse_overloaded(s->req, REQ_INFLIGHT_FULL);
		return false;
	}
	s->grown_ns = loop_now_ns(s->h->c->loop);
	return true;
}

static int h2_on_data(
    nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
	(void)flags;
	struct h2 *h = arg;
	struct h2_stream *s = h2_stream_of(h, id);
	nghttp2_session_consume_connection(ng, len);
	if (!s || s->state != H2_BODY || !h2_body_grow(s, len))
		return 0; /* refused: passed over, and its window stays shut */
	memcpy(s->body + s->body_len, data, len);
	s->body_len += len;
	if (s->parked)
		s->unconsumed += len;
	else
		nghttp2_session_consume_stream(ng, id, len);
	return 0;
}

static void h2_client_done(struct h2_stream *s)
{
	s->client_done = true;
	if (s->state == H2_BODY)
		h2_run_handler(s);
}

static int h2_on_frame_recv(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	(void)ng;
	struct h2 *h = arg;
	struct h2_stream *s = h2_stream_of(h, frame->hd.stream_id);
	bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
	if (!s)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		s->client_done = end;
		h2_head_done(s);
	} else if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) && end) {
		h2_client_done(s);
	}
	return 0;
}

static int h2_on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, void *arg)
{
	(void)ng;
	(void)code;
	struct h2 *h = arg;
	struct h2_stream *s = h2_stream_of(h, id);
	if (s)
		h2_stream_free(s);
	return 0;
}

/* ---- answers ---- */

static size_t h2_pending(const struct h2_stream *s)
{
	const struct req_answer *a = s->req->_answer;
	return a->pull ? s->out.len - s->out_off : a->len - s->data_off;
}

/* In its turn its answer is asked for more. */
static void h2_hungry(struct h2_stream *s, enum loop_queue q)
{
	struct h2 *h = s->h;
	if (!s->req->_answer->pull || s->later || s->pulled_all || !list_empty(&s->hungry))
		return;
	list_add_tail(&h->hungry, &s->hungry);
	h2_again(h, q);
}

static ssize_t h2_read(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
    nghttp2_data_source *source, void *arg)
{
	(void)ng;
	(void)id;
	(void)buf;
	(void)arg;
	struct h2_stream *s = source->ptr;
	size_t n = h2_pending(s);
	bool all = !s->req->_answer->pull || s->pulled_all;
	if (!n && !all) {
		h2_hungry(s, LOOP_SOON);
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n <= len) {
		if (all)
			*flags |= NGHTTP2_DATA_FLAG_EOF;
		return (ssize_t)n;
	}
	return (ssize_t)len;
}

static int h2_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *head, size_t len,
    nghttp2_data_source *source, void *arg)
{
	(void)ng;
	(void)frame; /* never padded by us */
	struct h2 *h = arg;
	struct h2_stream *s = source->ptr;
	if (conn_unsent(h->c) >= LIMIT_UNREAD_BYTES)
		return NGHTTP2_ERR_WOULDBLOCK;
	const struct req_answer *a = s->req->_answer;
	conn_write(h->c, head, 9);
	conn_write(h->c, a->pull ? s->out.data + s->out_off : a->data + s->data_off, len);
	if (a->pull)
		s->out_off += len;
	else
		s->data_off += len;
	s->sent += len;
	h2guard_earn(&h->guard);
	if (h2_pending(s) < LIMIT_UNREAD_BYTES / 2)
		h2_hungry(s, LOOP_LATER);
	return 0;
}

static ssize_t h2_send(nghttp2_session *ng, const uint8_t *data, size_t len, int flags, void *arg)
{
	(void)ng;
	(void)flags;
	struct h2 *h = arg;
	if (conn_unsent(h->c) >= LIMIT_UNREAD_BYTES)
		return NGHTTP2_ERR_WOULDBLOCK;
	conn_write(h->c, data, len);
	return (ssize_t)len;
}

static int h2_on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	(void)ng;
	struct h2 *h = arg;
	if (frame->hd.type == NGHTTP2_RST_STREAM)
		h2_end(h, h2guard_reset_sent(&h->guard, loop_now_ns(h->c->loop)));
	if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	struct h2_stream *s = h2_stream_of(h, frame->hd.stream_id);
	if (!s || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	s->whole = true;
	/*
	 * RFC 9113, 8.1: answered before its body was complete; the rest is not wanted. The reset
	 * that says so waits a little, for clients that forget an answer over it.
	 */
	if (!s->client_done)
		loop_timer_set(h->c->loop, &s->timer, LIMIT_LINGER_MS);
	return 0;
}

static nghttp2_nv nv(const char *name, size_t name_len, const char *value, size_t value_len)
{
	return (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name,
		.namelen = name_len,
		.value = (uint8_t *)(uintptr_t)value,
		.valuelen = value_len };
}

static void h2_answer(struct req *r)
{
	struct h2_stream *s = r->_stream;
	struct h2 *h = s->h;
	const struct req_answer *a = r->_answer;
	char status[4];
	snprintf(status, sizeof status, "%03u", (unsigned)a->status % 1000);
	nghttp2_nv fields[REQ_ANSWER_FIELDS_MAX + 1];
	size_t n = 0;
	fields[n++] = nv(":status", 7, status, 3);
	for (size_t i = 0; i < a->field_count; i++)
		fields[n++] = nv(a->fields[i].name, a->fields[i].name_len, a->fields[i].value,
		    a->fields[i].value_len);
	mem_free(s->body);
	s->body = NULL;
	s->state = H2_SEND;
	h2_reader_begin(s);
	bool body = !a->no_body && (a->pull || a->len);
	if (body)
		loop_timer_set(r->loop, &s->timer, LIMIT_READER_LOOK_MS);
	else
		loop_timer_cancel(r->loop, &s->timer);
	nghttp2_data_provider provider = { .source.ptr = s, .read_callback = h2_read };
	if (nghttp2_submit_response(h->ng, s->id, fields, n, body ? &provider : NULL))
		nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_INTERNAL_ERROR);
	h2_flush(h); /* may free s */
}

static void h2_resume(struct req *r)
{
	struct h2_stream *s = r->_stream;
	if (!s->later)
		return;
	s->later = false;
	h2_hungry(s, LOOP_SOON);
}

/* One piece into s->out; false when the stream cannot go on. */
static bool h2_pull(struct h2_stream *s)
{
	if (s->out_off == s->out.len) {
		buf_clear(&s->out);
		s->out_off = 0;
	} else if (s->out_off > s->out.len / 2) {
		s->out.len -= s->out_off;
		memmove(s->out.data, s->out.data + s->out_off, s->out.len);
		s->out_off = 0;
	}
	enum req_pull next = req_answer_pull(s->req, &s->out);
	s->later = next == REQ_LATER;
	s->pulled_all = next == REQ_END;
	return next != REQ_ABORT;
}

/* ---- turns ---- */

static void h2_again(struct h2 *h, enum loop_queue q)
{
	loop_again(h->c->loop, q, &h->again);
}

static void h2_turn_begin(struct h2 *h)
{
	h->turn_end_ns = clock_real_mono_ns() + LOOP_WORK_NS;
}

static bool h2_has_time(const struct h2 *h)
{
	return clock_real_mono_ns() < h->turn_end_ns;
}

static void h2_feed_reader(struct h2_stream *s)
{
	struct h2 *h = s->h;
	if (h2_pending(s) >= LIMIT_UNREAD_BYTES)
		return;
	if (h2_pull(s)) {
		nghttp2_session_resume_data(h->ng, s->id);
		h2_hungry(s, LOOP_LATER); /* behind the others */
		return;
	}
	s->pulled_all = true; /* no more calls */
	nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_INTERNAL_ERROR);
}

static void h2_in_set(struct h2 *h, size_t used)
{
	h->in_off += used;
	if (h->in_off == h->in.len) {
		h->in_off = 0;
		buf_release(&h->in);
	} else if (h->in_off > h->in.len / 2) {
		h->in.len -= h->in_off;
		memmove(h->in.data, h->in.data + h->in_off, h->in.len);
		h->in_off = 0;
	}
	limit_inflight_set(h->c->who, &h->in_charged, h->in.cap);
	conn_read_pause(h->c, h->in.len - h->in_off >= LIMIT_PIPELINED_BYTES);
}

static void h2_work(struct loop_deferred *d)
{
	struct h2 *h = CONTAINER_OF(d, struct h2, again.work);
	struct list_link *l;
	loop_again_begin(&h->again);
	if (!conn_is_open(h->c))
		return;
	h2_turn_begin(h);
	if (h->in.len)
		h2_in_set(h, h2_take(h, h->in.data + h->in_off, h->in.len - h->in_off));
	h2_turn_begin(h);
	for (bool any = false; (!any || h2_has_time(h)) && (l = list_pop(&h->hungry)); any = true)
		h2_feed_reader(CONTAINER_OF(l, struct h2_stream, hungry));
	h2_flush(h);
	if (conn_is_open(h->c) && (h->in.len || !list_empty(&h->hungry)))
		h2_again(h, LOOP_LATER);
}

/* ---- the connection ---- */

static void h2_flush(struct h2 *h)
{
	if (h->inside || !conn_is_open(h->c))
		return;
	h->inside = true;
	int r = nghttp2_session_send(h->ng);
	h->inside = false;
	if (r) {
		conn_abort(h->c);
		return;
	}
	if (conn_unsent(h->c) >= LIMIT_UNREAD_BYTES)
		conn_want_room(h->c);
	bool over = !nghttp2_session_want_write(h->ng) &&
	    (!nghttp2_session_want_read(h->ng) || (h->c->draining && !h->stream_count));
	if (over)
		conn_finish(h->c);
	else
		conn_flush(h->c);
}

/* A header block lasts from HEADERS to END_HEADERS, whether nghttp2 wants it or not. */
static void h2_head_open(struct h2 *h, bool open)
{
	if (h->head_open == open)
		return;
	h->head_open = open;
	h2_conn_deadline(h);
}

static void h2_frame_begun(struct h2 *h)
{
	const struct h2frame *f = &h->scan.frame;
	bool live = f->stream && h2_stream_of(h, (int32_t)f->stream);
	h2_end(h, h2guard_frame(&h->guard, f, live, h->c->draining, loop_now_ns(h->c->loop)));
	if (f->type == H2FRAME_HEADERS)
		h2_head_open(h, true);
}

static void h2_frame_over(struct h2 *h)
{
	const struct h2frame *f = &h->scan.frame;
	bool block = f->type == H2FRAME_HEADERS || f->type == H2FRAME_CONTINUATION;
	if (block && (f->flags & H2FRAME_END_HEADERS))
		h2_head_open(h, false);
}

/*
 * Frame by frame, so that each is judged by what the ones before it have done, until the turn is
 * over: how much was used. *broken: nghttp2 gives up, *said is what it said.
 */
static size_t h2_feed(struct h2 *h, const uint8_t *data, size_t len, bool *broken, ssize_t *said)
{
	size_t at = 0;
	while (at < len && (!at || h->scan.left || h2_has_time(h))) {
		bool begun = false;
		size_t n = h->ended ? len - at : h2frame_next(&h->scan, data + at, len - at, &begun);
		if (begun)
			h2_frame_begun(h);
		*said = nghttp2_session_mem_recv(h->ng, data + at, n);
		*broken = *said < 0 || (size_t)*said != n;
		if (*broken)
			return len;
		if (!h->ended && !h->scan.left)
			h2_frame_over(h);
		at += n;
	}
	return at;
}

/* Works on bytes, and answers; how much was used. */
static size_t h2_take(struct h2 *h, const uint8_t *data, size_t len)
{
	ssize_t said = 0;
	bool broken = false;
	h->inside = true;
	size_t used = h2_feed(h, data, len, &broken, &said);
	h->inside = false;
	if (broken) { /* where nghttp2 gives up, it says nothing to the peer */
		metric_add(M_HTTP_MALFORMED, 1);
		nghttp2_session_terminate_session(h->ng,
		    said == NGHTTP2_ERR_BAD_CLIENT_MAGIC ? NGHTTP2_PROTOCOL_ERROR
		                                         : NGHTTP2_ENHANCE_YOUR_CALM);
	}
	h2_flush(h);
	if (broken)
		conn_finish(h->c);
	return used;
}

static void h2_input(struct conn *c, const uint8_t *data, size_t len)
{
	struct h2 *h = c->proto;
	size_t used = 0;
	if (!h->in.len) {
		h2_turn_begin(h);
		used = h2_take(h, data, len);
	}
	if (used == len || !conn_is_open(c))
		return;
	buf_add(&h->in, data + used, len - used);
	h2_in_set(h, 0);
	h2_again(h, LOOP_LATER);
}

static void h2_filled(struct conn *c, size_t len)
{
	(void)c;
	(void)len;
}

static void h2_eof(struct conn *c)
{
	struct h2 *h = c->proto;
	/*
	 * Without its acknowledgements nothing more can come to an end: what is queued is sent, the
	 * rest is told now and freed in h2_closed().
	 */
	h->inside = true; /* answers given now must not free streams below this walk */
	LIST_EACH_SAFE(l, next, &h->streams) {
		struct h2_stream *s = CONTAINER_OF(l, struct h2_stream, link);
		if (s->state >= H2_RUN)
			req_gone(s->req);
	}
	h->inside = false;
	h2_flush(h);
	conn_finish(c);
}

static void h2_room(struct conn *c)
{
	h2_flush(c->proto);
}

static void h2_deadline(struct conn *c)
{
	struct h2 *h = c->proto;
	if (!h->head_open && h->stream_count)
		return;
	metric_add(h->head_open ? M_CONN_TIMEOUTS_DEADLINE : M_CONN_TIMEOUTS_IDLE, 1);
	h->ended = true;
	nghttp2_session_terminate_session(h->ng, NGHTTP2_NO_ERROR);
	h2_flush(h);
	conn_finish(c);
}

static void h2_drain(struct conn *c)
{
	struct h2 *h = c->proto;
	nghttp2_submit_goaway(h->ng, NGHTTP2_FLAG_NONE,
	    nghttp2_session_get_last_proc_stream_id(h->ng), NGHTTP2_NO_ERROR, NULL, 0);
	h2_flush(h);
}

static void h2_closed(struct conn *c)
{
	struct h2 *h = c->proto;
	while (!list_empty(&h->streams))
		h2_stream_free(CONTAINER_OF(h->streams.next, struct h2_stream, link));
	nghttp2_session_del(h->ng);
	buf_release(&h->in);
	limit_inflight_set(h->c->who, &h->in_charged, 0);
	loop_again_cancel(&h->again);
	mem_free(h);
}

static const struct conn_ops h2_conn_ops = {
	.input = h2_input,
	.filled = h2_filled,
	.eof = h2_eof,
	.room = h2_room,
	.deadline = h2_deadline,
	.drain = h2_drain,
	.closed = h2_closed,
};

static nghttp2_session *h2_session(struct h2 *h)
{
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_option *opt = NULL;
	nghttp2_session *ng = NULL;
	if (nghttp2_session_callbacks_new(&cb) || nghttp2_option_new(&opt))
		panic("no memory for a connection");
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, h2_on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, h2_on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, h2_on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, h2_on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, h2_on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, h2_on_frame_send);
	nghttp2_session_callbacks_set_send_callback(cb, h2_send);
	nghttp2_session_callbacks_set_send_data_callback(cb, h2_send_data);
	nghttp2_option_set_no_auto_window_update(opt, 1);
	nghttp2_option_set_max_continuations(opt, LIMIT_H2_CONTINUATIONS); /* h2guard's limit */
	nghttp2_option_set_max_outbound_ack(
	    opt, 2 * LIMIT_H2_IDLE_FRAME_BURST); /* our bucket is smaller */
	if (nghttp2_session_server_new2(&ng, cb, h, opt))
		panic("no memory for a connection");
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(opt);
	return ng;
}

void h2srv_start(struct conn *c, struct srv_loop *sl)
{
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, LIMIT_H2_STREAMS },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, LIMIT_H2_STREAM_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits_here()->http_head_bytes },
		{ NGHTTP2_SETTINGS_MAX_FRAME_SIZE, FRAME_SIZE_MAX },
	};
	struct h2 *h = mem_zalloc(sizeof *h);
	h->c = c;
	h->sl = sl;
	list_init(&h->streams);
	buf_init(&h->in);
	list_init(&h->hungry);
	h->again.work.fn = h2_work;
	h2frame_init(&h->scan);
	h->ng = h2_session(h);
	c->ops = &h2_conn_ops;
	c->proto = h;
	if (nghttp2_submit_settings(h->ng, NGHTTP2_FLAG_NONE, settings, COUNT_OF(settings)) ||
	    nghttp2_session_set_local_window_size(
	        h->ng, NGHTTP2_FLAG_NONE, 0, (int32_t)LIMIT_H2_CONN_WINDOW))
		panic("no memory for a connection");
	h2_conn_deadline(h);
}
