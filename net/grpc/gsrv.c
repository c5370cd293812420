#include "net/grpc/gsrv.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/base/metric.h"
#include "core/base/num.h"
#include "core/base/rune.h"
#include "net/conn/limit.h"
#include "net/grpc/gsrv_priv.h"
#include "proto/gz.h"

#define TYPE             "application/grpc"
#define TEXT_BYTES       1024u /* of grpc-message, before it is escaped */
#define PIECE_BYTES      (32u << 10)
#define HOLD_LEAST_BYTES 1024u
#define DEADLINE_MAX_MS  (UINT64_C(365) * 24 * 3600 * 1000)
#define LATE_MS          1000u /* that an answer given in time may be sent beyond the deadline */
#define H2_INTERNAL      2u    /* RFC 9113, 7 */
#define H2_CANCEL        8u

/* ---- is it gRPC? ---- */

/* "application/grpc", with or without "+proto" and parameters. */
static bool is_grpc(const struct req *r)
{
	size_t len, n = sizeof(TYPE) - 1;
	const char *v = req_header(r, "content-type", &len);
	if (r->http_version < 20 || !v || len < n || strncasecmp(v, TYPE, n))
		return false;
	if (!strncasecmp(v + n, "+proto", 6))
		n += 6;
	return !v[n] || v[n] == ';' || v[n] == ' ';
}

static struct gcall_priv *call_of(struct req *r)
{
	struct gcall_priv *p = r->on_body == gread_body ? r->own : NULL;
	return p;
}

struct gcall *gcall_of(struct req *r)
{
	return &call_of(r)->call;
}

/* ---- statuses ---- */

/* When it may come again, for clients that know no Retry-After. */
static void put_retry(struct req *r, enum grpc_status s, const char *text, size_t len)
{
	size_t n;
	uint64_t retry_s;
	const char *after = req_answered_field(r, "retry-after", &n);
	if (!after || (s != GRPC_UNAVAILABLE && s != GRPC_RESOURCE_EXHAUSTED) ||
	    num_parse_u64(after, n, &retry_s))
		return;
	struct buf b;
	buf_init(&b);
	grpcf_put_retry(&b, s, text, len, retry_s);
	req_trailer(r, "grpc-status-details-bin", (const char *)b.data, b.len);
	buf_release(&b);
}

static void put_trailers(struct req *r, enum grpc_status s, const char *text, size_t len)
{
	char code[4];
	put_retry(r, s, text, len);
	metric_add((enum metric_id)(M_GRPC_OK + (int)s), 1);
	req_trailer(r, "grpc-status", code, (size_t)snprintf(code, sizeof code, "%d", (int)s));
	if (!len)
		return;
	struct buf b;
	buf_init(&b);
	grpcf_escape(&b, text, len);
	req_trailer(r, "grpc-message", (const char *)b.data, b.len);
	buf_release(&b);
}

/* A line of a refusal: its first, without its end. */
static size_t line_len(const char *text, size_t len)
{
	const char *end = len ? memchr(text, '\n', len) : NULL;
	return rune_cut(text, end ? (size_t)(end - text) : len, TEXT_BYTES);
}

static void answer_trailers(struct req *r, enum grpc_status s, const char *text, size_t len)
{
	put_trailers(r, s, text, len);
	req_reply_trailed(r, 200, TYPE, NULL);
}

bool gsrv_speak(struct req *r, int status, const char *text, size_t len)
{
	if (!is_grpc(r))
		return false;
	return gsrv_fail(r, grpcf_of_refusal(status), text, len);
}

bool gsrv_fail(struct req *r, enum grpc_status s, const char *text, size_t len)
{
	struct gcall_priv *p = call_of(r);
	if (!is_grpc(r))
		return false;
	len = line_len(text, len);
	if (p)
		gcall_finish(&p->call, s, "%.*s", (int)len, len ? text : "");
	else
		answer_trailers(r, s, text, len);
	return true;
}

static void unknown_method(struct req *r)
{
	char text[512];
	int len = snprintf(text, sizeof text, "unknown method %.300s", r->path);
	answer_trailers(r, GRPC_UNIMPLEMENTED, text, (size_t)len);
}

const struct route *gsrv_unmatched(struct req *r)
{
	static const struct route row = { .methods = REQ_POST,
		.path = "",
		.handler = unknown_method,
		.flags = ROUTE_STREAM | ROUTE_SPOKEN | ROUTE_UNGATED };
	return r->method == REQ_POST && is_grpc(r) ? &row : NULL;
}

/* ---- life ---- */

static void call_free(struct req *r)
{
	struct gcall_priv *p = r->own;
	if (p->opened && p->call.method->done)
		p->call.method->done(&p->call);
	loop_timer_cancel(r->loop, &p->deadline);
	gread_release(p);
	buf_release(&p->out);
}

static void keep_text(struct gcall_priv *p, enum grpc_status s, const char *fmt, va_list ap)
{
	char text[TEXT_BYTES];
	size_t len = fmt ? rune_vprintf(text, sizeof text, fmt, ap) : 0;
	p->status = s;
	p->text = arena_strndup(&p->call.req->arena, text, len);
	p->text_len = len;
}

/* The handler has said its last word. */
static void call_over(struct gcall_priv *p)
{
	struct req *r = p->call.req;
	p->finished = true;
	if (loop_timer_is_set(&p->deadline)) /* a client that cares cuts it itself */
		loop_timer_set(
		    r->loop, &p->deadline, gcall_left_ms(&p->call, DEADLINE_MAX_MS) + LATE_MS);
	if (p->big_left && (p->stopped || p->status)) /* half a message cannot be ended well */
		req_reset(r, p->status == GRPC_INTERNAL ? H2_INTERNAL : H2_CANCEL);
	else if (p->begun)
		req_resume(r);
	else
		answer_trailers(r, p->status, p->text, p->text_len);
	if (!p->at_work) /* else it is let go when the worker is back */
		req_let_go(r);
}

void gcall_finish(struct gcall *c, enum grpc_status s, const char *fmt, ...)
{
	struct gcall_priv *p = c->_p;
	loop_check_here(c->req->loop);
	CHECK(!p->finished);
	if (!p->stopped) { /* else the reason is told */
		va_list ap;
		va_start(ap, fmt);
		keep_text(p, s, fmt, ap);
		va_end(ap);
	}
	call_over(p);
}

void gsrv_stop(struct gcall_priv *p, enum grpc_status s, const char *fmt, ...)
{
	if (p->stopped)
		return;
	p->stopped = true;
	if (p->finished) { /* what is queued is not read in time */
		req_reset(p->call.req, H2_CANCEL);
		return;
	}
	va_list ap;
	va_start(ap, fmt);
	keep_text(p, s, fmt, ap);
	va_end(ap);
	if (p->told && p->call.method->cancelled)
		p->call.method->cancelled(&p->call);
	else
		call_over(p);
}

static void deadline_over(struct loop_timer *t)
{
	struct gcall_priv *p = CONTAINER_OF(t, struct gcall_priv, deadline);
	gsrv_stop(p, GRPC_DEADLINE_EXCEEDED, "the deadline of the call has passed");
}

static void client_left(struct req *r)
{
	struct gcall_priv *p = r->own;
	p->gone = true;
	if (!p->finished)
		gsrv_stop(p, GRPC_CANCELLED, "the client has left");
}

uint64_t gcall_left_ms(const struct gcall *c, uint64_t max_ms)
{
	uint64_t now_ns = loop_now_ns(c->req->loop);
	if (c->deadline_ns == UINT64_MAX)
		return max_ms;
	uint64_t left_ms = c->deadline_ns > now_ns ? (c->deadline_ns - now_ns + 999999) / 1000000 : 0;
	return left_ms < max_ms ? left_ms : max_ms;
}

/* ---- the head ---- */

static const struct gsrv_method *method_of(const struct gsrv *g, const struct req *r)
{
	for (size_t i = 0; i < g->count; i++)
		if (!strcmp(g->methods[i].path, r->route->path))
			return &g->methods[i];
	return NULL;
}

/* False: the call is answered. */
static bool head_deadline(struct gcall_priv *p)
{
	struct req *r = p->call.req;
	uint64_t ns;
	size_t len;
	const char *text = req_header(r, "grpc-timeout", &len);
	p->call.deadline_ns = UINT64_MAX;
	if (!text)
		return true;
	if (grpcf_timeout(text, len, &ns)) {
		gsrv_stop(p, GRPC_INVALID_ARGUMENT,
		    "grpc-timeout \"%.20s\" is not up to eight digits and one of H, M, S, m, u, n",
		    text);
		return false;
	}
	if (ns / 1000000 > DEADLINE_MAX_MS)
		return true;
	p->call.deadline_ns = r->start_ns + ns;
	uint64_t left_ms = gcall_left_ms(&p->call, DEADLINE_MAX_MS);
	if (!left_ms)
		gsrv_stop(p, GRPC_DEADLINE_EXCEEDED, "the deadline of the call has passed");
	else
		loop_timer_set(r->loop, &p->deadline, left_ms);
	return left_ms;
}

/* False: the call is answered. */
static bool head_encoding(struct gcall_priv *p)
{
	struct req *r = p->call.req;
	size_t len;
	const char *text = req_header(r, "grpc-encoding", &len);
	if (!text || !strcmp(text, "identity"))
		return true;
	req_answer_field(r, "grpc-accept-encoding", "identity,gzip");
	p->zipped = !strcmp(text, "gzip");
	const char *accept = req_header(r, "grpc-accept-encoding", &len);
	p->packs = p->zipped && (!accept || grpcf_accepts(accept, len, "gzip"));
	if (!p->zipped)
		gsrv_stop(p, GRPC_UNIMPLEMENTED,
		    "grpc-encoding \"%.40s\" is not supported (identity, gzip)", text);
	return p->zipped;
}

void gsrv_call(const struct gsrv *g, struct req *r)
{
	const struct gsrv_method *m = method_of(g, r);
	if (!is_grpc(r)) {
		req_refuse(r, 415, "unsupported",
		    "this is a gRPC method: content-type must be application/grpc");
		return;
	}
	if (!m) {
		unknown_method(r);
		return;
	}
	struct gcall_priv *p = arena_zalloc(&r->arena, sizeof *p);
	p->call = (struct gcall){ .req = r, .method = m, ._p = p };
	p->g = g;
	buf_init(&p->out);
	loop_timer_init(&p->deadline, deadline_over);
	gread_init(p);
	r->own = p;
	r->on_body = gread_body;
	r->on_gone = client_left;
	r->on_done = call_free;
	req_keep(r);
	if (!head_deadline(p) || !head_encoding(p))
		return;
	p->opened = true;
	if (m->open) {
		p->told = true;
		m->open(&p->call);
	}
}

void gcall_next(struct gcall *c)
{
	gread_next(c->_p);
}

/* ---- sending ---- */

/* Out of the queue; empty: what the handler does next. */
static enum req_pull pull_end(struct gcall_priv *p)
{
	if (p->full && !p->finished) {
		p->full = false;
		if (p->call.method->room)
			p->call.method->room(&p->call);
		if (p->out.len)
			return REQ_MORE;
	}
	if (!p->finished)
		return REQ_LATER;
	put_trailers(p->call.req, p->status, p->text, p->text_len);
	return REQ_END;
}

static enum req_pull pull_big(struct gcall_priv *p, struct buf *out)
{
	size_t before = out->len;
	bool good = p->big(&p->call, out);
	size_t n = out->len - before;
	if (!good || n > p->big_left || !n)
		return REQ_ABORT;
	p->big_left -= n;
	return p->big_left ? REQ_MORE : pull_end(p);
}

static enum req_pull pull(struct req *r, struct buf *out)
{
	struct gcall_priv *p = r->own;
	size_t left = p->out.len - p->out_off, n = left < PIECE_BYTES ? left : PIECE_BYTES;
	if (!left)
		return p->big_left ? pull_big(p, out) : pull_end(p);
	buf_add(out, p->out.data + p->out_off, n);
	p->out_off += n;
	if (p->out_off == p->out.len) {
		buf_clear(&p->out);
		p->out_off = 0;
	}
	return p->out.len || p->big_left ? REQ_MORE : pull_end(p);
}

/* What waits is counted at its highest. False: so much may not wait. */
static bool hold(struct gcall_priv *p, size_t more)
{
	struct req *r = p->call.req;
	size_t waits = p->out.len - p->out_off + more + req_unsent(r);
	if (waits < HOLD_LEAST_BYTES || waits <= p->held)
		return true;
	size_t step = waits - p->held + p->held / 2;
	if (!req_hold(r, step))
		return false;
	p->held += step;
	return true;
}

static void answer_begin(struct gcall_priv *p)
{
	if (p->begun) {
		req_resume(p->call.req);
		return;
	}
	p->begun = true;
	if (p->packs)
		req_answer_field(p->call.req, "grpc-encoding", "gzip");
	req_reply_trailed(p->call.req, 200, TYPE, pull);
}

bool gcall_send_bytes(struct gcall *c, const void *data, size_t len)
{
	struct gcall_priv *p = c->_p;
	CHECK(!p->finished && !p->big_left && len <= GRPCF_MESSAGE_MAX);
	if (p->stopped)
		return false;
	if (!hold(p, len + GRPCF_HEAD_BYTES)) {
		gsrv_stop(p, GRPC_UNAVAILABLE,
		    "too many answers wait for their readers (--web.max-answer-bytes)");
		return false;
	}
	grpcf_put_message(&p->out, data, len, p->packs);
	answer_begin(p);
	p->full = p->out.len - p->out_off >= GSRV_QUEUE_BYTES;
	return !p->full;
}

bool gcall_send(struct gcall *c, const ProtobufCMessage *m)
{
	size_t len = protobuf_c_message_get_packed_size(m);
	uint8_t *data = mem_alloc(len + !len);
	protobuf_c_message_pack(m, data);
	bool room = gcall_send_bytes(c, data, len);
	mem_free(data);
	return room;
}

bool gcall_send_pulled(struct gcall *c, size_t len, bool (*big)(struct gcall *c, struct buf *out))
{
	struct gcall_priv *p = c->_p;
	CHECK(!p->finished && !p->begun && len <= GRPCF_MESSAGE_MAX);
	if (p->stopped || !hold(p, len < LIMIT_UNREAD_BYTES ? len : LIMIT_UNREAD_BYTES))
		return false;
	uint8_t head[GRPCF_HEAD_BYTES];
	grpcf_put_head(head, false, (uint32_t)len);
	buf_add(&p->out, head, sizeof head);
	p->big = big;
	p->big_left = len;
	answer_begin(p);
	return true;
}
