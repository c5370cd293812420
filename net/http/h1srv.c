/*
 * h1srv - HTTP/1.1 (and 1.0) on a connection: one request at a time, keep-alive, pipelining.
 *
 *   HEAD --head complete--> (DOOR) --> (PARK) --> BODY --complete--> RUN --answer--> SEND --sent-->
 *   HEAD | END
 *     \____ malformed, refused before its body __________________________/ \--> SKIP (the rest of a
 *     small body) --> HEAD
 *
 *   state  waits for                     ended by
 *   HEAD   bytes                         LIMIT_IDLE_MS before the first byte, then LIMIT_HEADER_MS
 *   DOOR   srv_opts.door                 who holds it there; reading pauses
 *   PARK   memory in flight              LIMIT_PARK_MS, then 503 or on
 *   BODY   bytes                         LIMIT_BODY_MS, the least rate, LIMIT_BODY_STALE_MS
 *                                        while memory is short
 *   RUN    the handler                   the handler
 *   SEND   room, or the handler's data   a reader too slow for conn
 *   SKIP   bytes                         as BODY
 *   END    nothing: conn flushes and closes
 *
 * What comes before it is wanted waits in h1->in: the rest of a head, or pipelined requests (at
 * most LIMIT_PIPELINED_BYTES, then reading pauses). More than LIMIT_HEAD_FREE_BYTES of it is
 * charged.
 * Turns: one request is begun when it comes; more than LOOP_WORK_NS of pipelined ones, or of one
 * answer, wait in the loop's queues (h1_again).
 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/metric.h"
#include "core/base/num.h"
#include "net/conn/conn.h"
#include "net/http/router.h"
#include "net/http/srv_priv.h"
#include "proto/h1msg.h"

#define ANSWER_COPY_BYTES (16u << 10) /* smaller answers are copied behind their head */
#define IN_KEEP_BYTES     4096u       /* an idle connection keeps no more */
#define CHUNK_HEAD_MAX    20u

enum h1_state {
	H1_HEAD,
	H1_DOOR,
	H1_PARK,
	H1_BODY,
	H1_RUN,
	H1_SEND,
	H1_SKIP,
	H1_END
};

struct h1 {
	struct conn *c;
	struct srv_loop *sl;
	enum h1_state state;
	struct req *req; /* from a complete head to its sent answer */
	struct buf in;
	size_t in_off, in_charged;
	struct h1msg_scan scan;
	/* Of the current request. */
	bool keep, chunked, head_only_10; /* the last: an HTTP/1.0 client, no chunks */
	bool expect, skipped;             /* skipped: its body is passed over */
	struct h1chunk chunk;
	uint64_t body_left; /* of a Content-Length, or of what may still be skipped */
	uint8_t *body;
	size_t body_len, body_cap, body_seen;
	uint64_t wait_ns;  /* when the body, or the parking, began */
	uint64_t grown_ns; /* when the body got more room */
	/* Of its answer. */
	bool later, pulled_all;
	bool advancing, eof;
	struct loop_again again;
	/* Of this turn: whether a request was begun, and until when (real clock) more may. */
	bool turn_begun;
	uint64_t turn_end_ns;
};

static void h1_work(struct h1 *h);
static void h1_eof_look(struct h1 *h);
static void h1_end(struct h1 *h);
static size_t h1_advance(struct h1 *h, const uint8_t *data, size_t len);
static void h1_answer(struct req *r);
static void h1_resume(struct req *r);
static void h1_opened(struct req *r);
static void h1_enter(struct h1 *h);
static const struct conn_ops h1_conn_ops;
static const struct req_ops h1_req_ops = {
	.answer = h1_answer, .resume = h1_resume, .opened = h1_opened
};

/* ---- bytes in ---- */

/* A head has begun and is not whole. */
static bool h1_in_head(const struct h1 *h)
{
	return h->state == H1_HEAD && h->scan.looked;
}

/* The buffer is charged when it is large. */
static void h1_in_charge(struct h1 *h)
{
	limit_inflight_set(
	    h->c->who, &h->in_charged, h->in.cap > LIMIT_HEAD_FREE_BYTES ? h->in.cap : 0);
}

static void h1_in_release(struct h1 *h)
{
	buf_release(&h->in);
	h1_in_charge(h);
}

static void h1_keep(struct h1 *h, const uint8_t *data, size_t len)
{
	buf_add(&h->in, data, len);
	h1_in_charge(h);
	if (h->in.len - h->in_off >= LIMIT_PIPELINED_BYTES && !h1_in_head(h))
		conn_read_pause(h->c, true);
}

static void h1_in_used(struct h1 *h, size_t used)
{
	h->in_off += used;
	if (h->in_off < h->in.len) {
		if (h->in_off > h->in.len / 2) {
			h->in.len -= h->in_off;
			memmove(h->in.data, h->in.data + h->in_off, h->in.len);
			h->in_off = 0;
		}
		return;
	}
	h->in_off = 0;
	if (h->in.cap > IN_KEEP_BYTES)
		h1_in_release(h);
	else
		buf_clear(&h->in);
}

static void h1_turn_begin(struct h1 *h)
{
	h->turn_begun = false;
	h->turn_end_ns = clock_real_mono_ns() + LOOP_WORK_NS;
}

static void h1_input(struct conn *c, const uint8_t *data, size_t len)
{
	struct h1 *h = c->proto;
	bool waits = h->in.len > h->in_off;
	if (waits)
		h1_keep(h, data, len);
	if (waits && h->again.set) /* its turn comes */
		return;
	h1_turn_begin(h);
	if (waits) {
		h1_work(h);
		return;
	}
	size_t used = h1_advance(h, data, len);
	if (used < len && h->state != H1_END)
		h1_keep(h, data + used, len - used);
}

/* Goes on with what waits in h->in. Never below h1_advance. */
static void h1_work(struct h1 *h)
{
	if (h->advancing || h->state == H1_END)
		return;
	size_t len = h->in.len - h->in_off;
	size_t used = h1_advance(h, len ? h->in.data + h->in_off : (const uint8_t *)"", len);
	if (h->state == H1_END) {
		h1_in_release(h);
		return;
	}
	h1_in_used(h, used);
	bool wanted = h->in.len - h->in_off < LIMIT_PIPELINED_BYTES || h1_in_head(h);
	if (wanted && h->state != H1_PARK && h->state != H1_DOOR)
		conn_read_pause(h->c, false);
	h1_eof_look(h);
}

/* The client sends no more: after its last whole request, the end. */
static void h1_eof_look(struct h1 *h)
{
	bool waits = h->in.len > h->in_off && !h->scan.looked; /* whole requests, maybe */
	if (h->eof && h->state == H1_HEAD && !waits)
		h1_end(h);
}

/* At the end of this turn, or of one of the next. */
static void h1_again(struct h1 *h, enum loop_queue q)
{
	loop_again(h->c->loop, q, &h->again);
}

static void h1_end(struct h1 *h)
{
	h->state = H1_END;
	conn_finish(h->c);
}

/* ---- a request ends, the next may begin ---- */

static void h1_drop_body(struct h1 *h)
{
	mem_free(h->body);
	h->body = NULL;
	h->body_len = h->body_cap = 0;
	conn_read_into(h->c, NULL, 0);
}

static void h1_next(struct h1 *h)
{
	h->req = NULL;
	h->scan = (struct h1msg_scan){ 0 };
	if (!h->keep || h->c->draining) {
		h1_end(h);
		return;
	}
	h->state = H1_HEAD;
	conn_deadline(h->c, LIMIT_IDLE_MS);
}

/* The answer is in the connection's hands. */
static void h1_sent(struct h1 *h)
{
	if (h->state != H1_SEND)
		return;
	/* refused before its body: what is small is passed over, else the connection ends */
	if (h->skipped) {
		bool small = h->keep && (h->chunked || h->body_left <= ROUTE_SKIP_BODY_MAX);
		if (small) {
			h->req = NULL;
			h->state = H1_SKIP;
			h->body_seen = 0;
			h->wait_ns = loop_now_ns(h->c->loop);
			conn_deadline(h->c, LIMIT_LOOK_MS);
			return;
		}
		h->keep = false;
	}
	h1_next(h);
}

/* ---- answers ---- */

static void put(struct buf *b, const char *s, size_t len)
{
	buf_add(b, s, len);
}

static const char *reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 202:
		return "Accepted";
	case 204:
		return "No Content";
	case 301:
		return "Moved Permanently";
	case 302:
		return "Found";
	case 304:
		return "Not Modified";
	case 308:
		return "Permanent Redirect";
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 413:
		return "Content Too Large";
	case 414:
		return "URI Too Long";
	case 415:
		return "Unsupported Media Type";
	case 417:
		return "Expectation Failed";
	case 422:
		return "Unprocessable Content";
	case 429:
		return "Too Many Requests";
	case 431:
		return "Request Header Fields Too Large";
	case 500:
		return "Internal Server Error";
	case 501:
		return "Not Implemented";
	case 503:
		return "Service Unavailable";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Status"; /* RFC 9112, 4: a client ignores it */
	}
}

static void write_head(struct h1 *h, const struct req_answer *a, struct buf *b)
{
	char status[NUM_FMT_MAX];
	buf_add_str(b, "HTTP/1.1 ");
	put(b, status, num_fmt_u64((uint64_t)a->status, status));
	buf_add_str(b, " ");
	buf_add_str(b, reason(a->status));
	put(b, "\r\n", 2);
	for (size_t i = 0; i < a->field_count; i++) {
		put(b, a->fields[i].name, a->fields[i].name_len);
		put(b, ": ", 2);
		put(b, a->fields[i].value, a->fields[i].value_len);
		put(b, "\r\n", 2);
	}
	if (a->pull && !a->no_body && !h->head_only_10)
		buf_add_str(b, "transfer-encoding: chunked\r\n");
	if (!h->keep)
		buf_add_str(b, "connection: close\r\n");
	else if (h->head_only_10)
		buf_add_str(b, "connection: keep-alive\r\n");
	put(b, "\r\n", 2);
}

static void body_sent(void *arg)
{
	req_end(arg);
}

static void h1_write_whole(struct h1 *h, struct req *r, struct buf *b)
{
	struct req_answer *a = r->_answer;
	bool with_body = !a->no_body && a->len;
	if (with_body && a->len <= ANSWER_COPY_BYTES) {
		put(b, (const char *)a->data, a->len);
		with_body = false;
	}
	conn_write(h->c, b->data, b->len);
	h->req = NULL;
	r->_stream = NULL;
	if (with_body) /* the request lives until its bytes are sent */
		conn_write_ref(h->c, a->data, a->len, body_sent, r);
	else
		req_end(r);
}

static void h1_answer(struct req *r)
{
	struct h1 *h = r->_stream;
	CHECK(h->req == r);
	struct req_answer *a = r->_answer;
	bool body_to_come = h->state < H1_RUN;
	h->skipped = body_to_come && (h->chunked || h->body_left);
	h1_drop_body(h);
	if (h->state == H1_DOOR)
		conn_read_pause(h->c, false);
	if (h->c->draining || (a->pull && h->head_only_10))
		h->keep = false;
	if (h->skipped && (h->expect || h->body_left > ROUTE_SKIP_BODY_MAX))
		h->keep = false;
	h->state = H1_SEND;
	conn_deadline(h->c, 0);
	struct buf *b = &h->sl->head;
	buf_clear(b);
	write_head(h, a, b);
	if (a->pull && !a->no_body) {
		conn_write(h->c, b->data, b->len);
		h->later = h->pulled_all = false;
		h1_again(h, LOOP_SOON);
	} else {
		h1_write_whole(h, r, b);
		h1_sent(h);
	}
	conn_flush(h->c);
	if (!h->advancing && h->state != H1_END && (h->in.len > h->in_off || h->eof))
		/* never below the handler: the next request may be its own recursion */
		h1_again(h, LOOP_LATER);
}

static void h1_resume(struct req *r)
{
	struct h1 *h = r->_stream;
	if (!h->later)
		return;
	h->later = false;
	h1_again(h, LOOP_SOON);
}

/* One piece of a streamed answer: chunked, or plain for HTTP/1.0. */
static void h1_pull(struct h1 *h)
{
	struct buf *b = &h->sl->scratch;
	buf_clear(b);
	enum req_pull next = req_answer_pull(h->req, b);
	if (next == REQ_ABORT) {
		conn_abort(h->c);
		h->later = true; /* closed() comes */
		return;
	}
	h->later = next == REQ_LATER;
	h->pulled_all = next == REQ_END;
	bool chunked = !h->head_only_10;
	if (b->len) {
		char head[CHUNK_HEAD_MAX];
		int n = snprintf(head, sizeof head, "%zx\r\n", b->len);
		CHECK(n > 0 && (size_t)n < sizeof head);
		if (chunked)
			conn_write(h->c, head, (size_t)n);
		if (chunked)
			put(b, "\r\n", 2);
		conn_write(h->c, b->data, b->len);
	}
	if (h->pulled_all && chunked)
		conn_write(h->c, "0\r\n\r\n", 5);
	if (b->cap > 2 * LIMIT_UNREAD_BYTES)
		buf_release(b);
}

static void h1_pump(struct h1 *h)
{
	if (!h->req || h->state != H1_SEND || !conn_is_open(h->c))
		return;
	for (bool any = false; !h->later && !h->pulled_all; any = true) {
		if (conn_unsent(h->c) >= LIMIT_UNREAD_BYTES) {
			conn_want_room(h->c);
			break;
		}
		if (any && clock_real_mono_ns() >= h->turn_end_ns) {
			h1_again(h, LOOP_LATER);
			break;
		}
		h1_pull(h);
	}
	if (h->pulled_all) {
		struct req *r = h->req;
		h->req = NULL;
		r->_stream = NULL;
		req_end(r);
		h1_sent(h);
	}
	conn_flush(h->c);
}

static void h1_on_again(struct loop_deferred *d)
{
	struct h1 *h = CONTAINER_OF(d, struct h1, again.work);
	loop_again_begin(&h->again);
	h1_turn_begin(h);
	h1_enter(h);
	h1_pump(h);
	h1_work(h);
}

/* ---- heads ---- */

/* No request object was made: nothing to run, nothing to keep. */
static void h1_refuse_head(struct h1 *h, int status, const char *why)
{
	metric_add(M_HTTP_MALFORMED, 1);
	metric_add(status >= 500 ? M_HTTP_ANSWERS_5XX : M_HTTP_ANSWERS_4XX, 1);
	char text[512];
	size_t body = strlen(why) + 1, date_len;
	const char *date = req_date(h->sl, &date_len);
	int n = snprintf(text, sizeof text,
	    "HTTP/1.1 %d %s\r\ndate: %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %zu\r\nconnection: close\r\n%s\r\n%s\n",
	    status, reason(status), date, body, status == 503 ? "retry-after: 2\r\n" : "", why);
	CHECK(n > 0 && (size_t)n < sizeof text);
	conn_write(h->c, text, (size_t)n);
	h1_end(h);
}

static struct req *h1_request(struct h1 *h, const struct h1msg *m, struct req *r)
{
	r->method = req_method_of(m->method, m->method_len);
	r->http_version = 10 + m->minor;
	r->query = m->query;
	r->query_len = m->query_len;
	struct req_field *f = arena_array(&r->arena, m->field_count, sizeof *f);
	for (size_t i = 0; i < m->field_count; i++)
		f[i] = (struct req_field){ .name = m->fields[i].name,
			.name_len = m->fields[i].name_len,
			.value = m->fields[i].value,
			.value_len = m->fields[i].value_len };
	r->fields = f;
	r->field_count = m->field_count;
	r->_ops = &h1_req_ops;
	r->_stream = h;
	h->keep = !m->close;
	h->head_only_10 = m->minor == 0;
	h->expect = m->expect_continue;
	h->chunked = m->chunked;
	h->chunk = (struct h1chunk){ 0 };
	h->body_left = m->content_length > 0 ? (uint64_t)m->content_length : 0;
	h->body_seen = 0;
	h->skipped = false;
	r->body_declared = m->chunked ? -1 : (int64_t)h->body_left;
	metric_add(M_HTTP_REQUESTS_H1, 1);
	return r;
}

static void h1_body_start(struct h1 *h);
static void h1_entered(struct h1 *h, enum req_step step);

static enum limit_level h1_level(const struct h1 *h)
{
	const struct req *r = h->req;
	size_t more = h->body_left < SIZE_MAX ? (size_t)h->body_left : SIZE_MAX;
	return limit_inflight_look(r->who, r->_charged_bytes, more, loop_now_ns(h->c->loop));
}

/* Is there memory for the body, by what was said of its size? It is charged as it comes. */
static void h1_body_room(struct h1 *h)
{
	switch (h1_level(h)) {
	case LIMIT_FULL:
		req_refuse_overloaded(h->req, REQ_INFLIGHT_FULL);
		return;
	case LIMIT_SHORT:
	case LIMIT_PRESSED:
		metric_add(M_HTTP_PARKED, 1);
		h->state = H1_PARK;
		h->wait_ns = loop_now_ns(h->c->loop);
		conn_read_pause(h->c, true);
		conn_deadline(h->c, LIMIT_PARK_LOOK_MS);
		return;
	case LIMIT_FREE:
		h1_body_start(h);
		return;
	}
}

/* From PARK: on, out, or still waiting. */
static void h1_park_look(struct h1 *h)
{
	enum limit_level level = h1_level(h);
	bool patient = loop_now_ns(h->c->loop) - h->wait_ns < LIMIT_PARK_MS * UINT64_C(1000000);
	if (level != LIMIT_FREE && patient) {
		conn_deadline(h->c, LIMIT_PARK_LOOK_MS);
		return;
	}
	conn_read_pause(h->c, false);
	if (level > LIMIT_PRESSED) {
		req_refuse_overloaded(h->req, REQ_INFLIGHT_FULL);
		return;
	}
	h1_body_start(h);
	h1_again(h, LOOP_SOON);
}

static void h1_body_start(struct h1 *h)
{
	h->state = H1_BODY;
	h->body_len = h->body_cap = 0;
	h->wait_ns = h->grown_ns = loop_now_ns(h->c->loop);
	conn_deadline(h->c, LIMIT_LOOK_MS);
	if (!h->expect)
		return;
	conn_write(h->c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	conn_flush(h->c);
}

static void h1_run_handler(struct h1 *h)
{
	uint8_t *body = h->body;
	size_t len = h->body_len;
	if (body)
		memset(body + len, 0, REQ_BODY_SLACK);
	h->body = NULL;
	h->body_cap = 0;
	h->body_left = 0;
	h->chunked = false;
	conn_read_into(h->c, NULL, 0);
	conn_deadline(h->c, 0);
	h->state = H1_RUN;
	req_run(h->req, body, len);
}

/* The head is complete: a request is made of it, and asked for. */
static void h1_head(struct h1 *h, const uint8_t *data, size_t len)
{
	struct req *r = req_create(h->sl, h->c);
	char *head = arena_dup(&r->arena, data, len);
	struct h1msg m;
	const char *why;
	if (len > LIMIT_HEAD_FREE_BYTES)
		req_charge_anyway(r, len);
	m.field_cap = h->scan.lines;
	m.fields = arena_array(&r->arena, m.field_cap, sizeof *m.fields);
	int status = h1msg_parse(head, len, &m, &why);
	r->_ops = &h1_req_ops;
	r->_stream = h;
	if (status) {
		r->_answer->begun = true; /* never ran */
		r->_answer->status = status;
		r->_answer->len = strlen(why) + 1;
		req_end(r);
		h1_refuse_head(h, status, why);
		return;
	}
	h->req = h1_request(h, &m, r);
	h1_entered(h, req_begin(r, m.path, m.path_len));
}

/* What the door, and what stands behind it, has said. */
static void h1_entered(struct h1 *h, enum req_step step)
{
	bool body = h->chunked || h->body_left;
	switch (step) {
	case REQ_ANSWERED:
		return;
	case REQ_WAIT:
		h->state = H1_DOOR;
		conn_deadline(h->c, 0);
		conn_read_pause(h->c, true);
		return;
	case REQ_GO:
		if (!body)
			h1_run_handler(h);
		else if (req_size_fits(h->req))
			h1_body_room(h);
		return;
	}
}

/* Its turn: the door is asked again. What has come of the body meanwhile waits in h->in. */
static void h1_enter(struct h1 *h)
{
	if (h->state != H1_DOOR || !conn_is_open(h->c) || req_is_held(h->req))
		return;
	conn_read_pause(h->c, false);
	h1_entered(h, req_enter(h->req));
}

static void h1_opened(struct req *r)
{
	h1_again(r->_stream, LOOP_SOON);
}

static void h1_refuse_size(struct h1 *h, int status)
{
	const struct limits *l = limits_here();
	char why[160];
	if (status == 414)
		snprintf(why, sizeof why, "the request line is longer than %llu bytes (--%s)",
		    (unsigned long long)l->http_head_bytes, limits_flag(LIMITS_http_head_bytes));
	else
		snprintf(why, sizeof why,
		    "the head is larger than %llu bytes (--%s) or %llu fields (--%s)",
		    (unsigned long long)l->http_head_bytes, limits_flag(LIMITS_http_head_bytes),
		    (unsigned long long)l->http_fields, limits_flag(LIMITS_http_fields));
	h1_refuse_head(h, status, why);
}

/* The head goes on: is there memory for more of it? */
static bool h1_head_fits(const struct h1 *h, size_t len)
{
	if (len <= LIMIT_HEAD_FREE_BYTES)
		return true;
	uint64_t now_ns = loop_now_ns(h->c->loop);
	return limit_inflight_look(h->c->who, h->in_charged, len, now_ns) <= LIMIT_PRESSED;
}

static size_t h1_take_head(struct h1 *h, const uint8_t *data, size_t len)
{
	const struct limits *l = limits_here();
	const struct h1msg_limits max = { l->http_head_bytes, l->http_fields };
	if (!h->scan.looked)
		conn_deadline(h->c, LIMIT_HEADER_MS);
	int n = h1msg_scan(&h->scan, data, len, &max);
	if (n >= 0 && !h1_head_fits(h, n ? (size_t)n : len)) {
		h1_refuse_head(h, 503, REQ_INFLIGHT_FULL);
		return len;
	}
	if (n == 0)
		return 0;
	if (n > 0) {
		h1_head(h, data, (size_t)n);
		return (size_t)n;
	}
	if (n == -400)
		h1_refuse_head(h, 400, "malformed head");
	else
		h1_refuse_size(h, -n);
	return len;
}

/* ---- bodies ---- */

static void h1_bad_body(struct h1 *h)
{
	h->keep = false;
	metric_add(M_HTTP_MALFORMED, 1);
	req_refuse(h->req, 400, h->req->route->flags & ROUTE_JSON ? "bad_data" : "bad_request",
	    "malformed chunked body");
}

/* Room for more bytes of the body; false: it was refused. */
static bool h1_body_grow(struct h1 *h, size_t more)
{
	size_t need = h->body_len + more;
	if (h->chunked && need > req_body_max(h->req)) {
		h->keep = false;
		req_refuse_size(h->req);
		return false;
	}
	if (need <= h->body_cap)
		return true;
	size_t declared = h->chunked ? 0 : h->body_len + (size_t)h->body_left;
	size_t cap = req_body_step(h->req, need, declared);
	if (!req_body_grow(h->req, &h->body, &h->body_cap, cap)) {
		h->keep &= !h->chunked;
		req_refuse_overloaded(h->req, REQ_INFLIGHT_FULL);
		return false;
	}
	h->grown_ns = loop_now_ns(h->c->loop);
	return true;
}

static size_t h1_take_chunked(struct h1 *h, const uint8_t *data, size_t len)
{
	size_t at = 0;
	while (at < len) {
		size_t used, n;
		const uint8_t *piece;
		enum h1chunk_result r =
		    h1chunk_next(&h->chunk, data + at, len - at, &used, &piece, &n);
		at += used;
		h->body_seen += used;
		if (r == H1CHUNK_BAD) {
			h1_bad_body(h);
			return at;
		}
		if (r == H1CHUNK_END) {
			h1_run_handler(h);
			return at;
		}
		if (r == H1CHUNK_MORE)
			break;
		if (!h1_body_grow(h, n))
			return at;
		memcpy(h->body + h->body_len, piece, n);
		h->body_len += n;
	}
	return at;
}

static size_t h1_take_body(struct h1 *h, const uint8_t *data, size_t len)
{
	if (h->chunked)
		return h1_take_chunked(h, data, len);
	size_t n = len < h->body_left ? len : (size_t)h->body_left;
	if (!h1_body_grow(h, n))
		return 0;
	memcpy(h->body + h->body_len, data, n);
	h->body_len += n;
	h->body_left -= n;
	h->body_seen += n;
	if (!h->body_left)
		h1_run_handler(h);
	else /* what comes next goes where it belongs, without a stop */
		conn_read_into(h->c, h->body + h->body_len, h->body_cap - h->body_len);
	return n;
}

static void h1_filled(struct conn *c, size_t len)
{
	struct h1 *h = c->proto;
	CHECK(h->state == H1_BODY && len <= h->body_left);
	h->body_len += len;
	h->body_left -= len;
	h->body_seen += len;
	if (h->body_left)
		return;
	h->advancing = true;
	h1_run_handler(h);
	h->advancing = false;
	if (h->state == H1_HEAD && h->in.len > h->in_off)
		h1_again(h, LOOP_LATER);
}

/* After a refusal: the rest of a small body is passed over. */
static size_t h1_take_skipped(struct h1 *h, const uint8_t *data, size_t len)
{
	size_t used = 0;
	if (!h->chunked) {
		used = len < h->body_left ? len : (size_t)h->body_left;
		h->body_left -= used;
		h->body_seen += used;
		if (!h->body_left)
			h1_next(h);
		return used;
	}
	while (used < len) {
		size_t n, piece_len;
		const uint8_t *piece;
		enum h1chunk_result r =
		    h1chunk_next(&h->chunk, data + used, len - used, &n, &piece, &piece_len);
		used += n;
		h->body_seen += n;
		if (r == H1CHUNK_END) {
			h1_next(h);
			return used;
		}
		if (r == H1CHUNK_BAD || h->body_seen > ROUTE_SKIP_BODY_MAX) {
			h1_end(h);
			return used;
		}
		if (r == H1CHUNK_MORE)
			break;
	}
	return used;
}

/* ---- the machine ---- */

/*
 * May another pipelined request begin in this turn, and has the client read enough of the last
 * answers? While too many wait in all, it has to read all of them first.
 */
static bool h1_may_begin(struct h1 *h)
{
	if (h->turn_begun && clock_real_mono_ns() >= h->turn_end_ns) {
		h1_again(h, LOOP_LATER);
		return false;
	}
	size_t unread = conn_unsent(h->c);
	if (!unread ||
	    (unread < LIMIT_PIPELINED_UNREAD &&
	        !limit_answers_full(h->c->who, 0, loop_now_ns(h->c->loop))))
		return true;
	conn_want_room(h->c);
	return false;
}

/* Works on data until a state must wait; returns how much was used. */
static size_t h1_advance(struct h1 *h, const uint8_t *data, size_t len)
{
	size_t at = 0;
	h->advancing = true;
	for (bool go = true; go && at < len && conn_is_open(h->c);) {
		size_t used = 0;
		enum h1_state before = h->state;
		switch (h->state) {
		case H1_HEAD:
			if (!h1_may_begin(h)) {
				go = false;
				break;
			}
			used = h1_take_head(h, data + at, len - at);
			h->turn_begun |= used > 0;
			break;
		case H1_BODY:
			used = h1_take_body(h, data + at, len - at);
			break;
		case H1_SKIP:
			used = h1_take_skipped(h, data + at, len - at);
			break;
		case H1_DOOR:
		case H1_PARK:
		case H1_RUN:
		case H1_SEND:
		case H1_END:
			break;
		}
		at += used;
		go = go && (used || h->state != before);
	}
	h->advancing = false;
	return at;
}

/* ---- what else a connection says ---- */

static void h1_eof(struct conn *c)
{
	struct h1 *h = c->proto;
	h->eof = true;
	switch (h->state) {
	case H1_DOOR:
	case H1_RUN:
	case H1_SEND: /* maybe only half closed: what is answered is sent */
		if (h->req)
			req_gone(h->req);
		return;
	case H1_HEAD:
		h1_eof_look(h);
		return;
	case H1_PARK:
	case H1_BODY:
	case H1_SKIP:
		conn_abort(c);
		return;
	case H1_END:
		return;
	}
}

/* Somebody asked for much, and left before he has read the first answer. */
static void h1_left(struct conn *c)
{
	struct h1 *h = c->proto;
	bool told = h->state == H1_DOOR || h->state == H1_RUN || h->state == H1_SEND;
	if (told && h->req)
		req_gone(h->req);
}

static void h1_room(struct conn *c)
{
	struct h1 *h = c->proto;
	h1_turn_begin(h);
	h1_pump(h);
	h1_work(h);
}

static void h1_body_deadline(struct h1 *h)
{
	uint64_t now_ns = loop_now_ns(h->c->loop), took_ms = (now_ns - h->wait_ns) / 1000000;
	uint64_t least = limit_body_least(h->chunked ? 0 : h->body_len + h->body_left);
	bool slow = took_ms >= LIMIT_BODY_GRACE_MS && h->body_seen * UINT64_C(1000) < took_ms * least;
	bool stale = now_ns - h->grown_ns >= LIMIT_BODY_STALE_MS * UINT64_C(1000000) &&
	    h->state == H1_BODY && limit_inflight_short();
	if (took_ms >= LIMIT_BODY_MS || slow || stale) {
		metric_add(M_CONN_TIMEOUTS_DEADLINE, 1);
		conn_abort(h->c);
		return;
	}
	conn_deadline(h->c, LIMIT_LOOK_MS);
}

static void h1_deadline(struct conn *c)
{
	struct h1 *h = c->proto;
	switch (h->state) {
	case H1_HEAD:
		metric_add(h->scan.looked ? M_CONN_TIMEOUTS_DEADLINE : M_CONN_TIMEOUTS_IDLE, 1);
		h1_end(h);
		return;
	case H1_PARK:
		h1_park_look(h);
		return;
	case H1_BODY:
	case H1_SKIP:
		h1_body_deadline(h);
		return;
	case H1_DOOR:
	case H1_RUN:
	case H1_SEND:
	case H1_END:
		return;
	}
}

static void h1_drain(struct conn *c)
{
	struct h1 *h = c->proto;
	if (h->state == H1_HEAD && !h->scan.looked && h->in.len == h->in_off)
		h1_end(h);
}

static void h1_closed(struct conn *c)
{
	struct h1 *h = c->proto;
	if (h->req) {
		struct req *r = h->req;
		h->req = NULL;
		bool before_run = h->state == H1_PARK || h->state == H1_BODY || h->state == H1_HEAD;
		if (before_run)
			r->_answer->begun = true; /* no handler will answer it */
		req_orphan(r);
	}
	mem_free(h->body);
	h1_in_release(h);
	loop_again_cancel(&h->again);
	mem_free(h);
}

static const struct conn_ops h1_conn_ops = {
	.input = h1_input,
	.filled = h1_filled,
	.eof = h1_eof,
	.left = h1_left,
	.room = h1_room,
	.deadline = h1_deadline,
	.drain = h1_drain,
	.closed = h1_closed,
};

void h1srv_start(struct conn *c, struct srv_loop *sl)
{
	struct h1 *h = mem_zalloc(sizeof *h);
	h->c = c;
	h->sl = sl;
	h->again.work.fn = h1_on_again;
	buf_init(&h->in);
	c->ops = &h1_conn_ops;
	c->proto = h;
	conn_deadline(c, LIMIT_IDLE_MS);
}
