/* h2answer - what streams of HTTP/2 send: whole answers, pulled ones (h2_priv.h). */
#include <stdio.h>
#include <string.h>

#include "core/base/metric.h"
#include "net/http/h2_priv.h"

static size_t h2_pending(const struct h2_stream *s)
{
	const struct req_answer *a = s->req->_answer;
	return a->pull ? s->out.len - s->out_off : a->len - s->data_off;
}

/* ---- readers ---- */

static void h2_reader_begin(struct h2_stream *s)
{
	s->wait_ns = loop_now_ns(s->h->c->loop);
	s->sent = 0;
}

/* Streams share the connection, whose reader conn looks at: each has its part of the rate. */
void h2_reader_look(struct h2_stream *s, uint64_t now_ns)
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

/* ---- pulling ---- */

/* In its turn its answer is asked for more. */
static void h2_hungry(struct h2_stream *s, enum loop_queue q)
{
	struct h2 *h = s->h;
	if (!s->req->_answer->pull || s->later || s->pulled_all || !list_empty(&s->hungry))
		return;
	list_add_tail(&h->hungry, &s->hungry);
	h2_again(h, q);
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

void h2_feed_reader(struct h2_stream *s)
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

/* ---- sending ---- */

static nghttp2_nv nv(const struct req_field *f)
{
	return (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)f->name,
		.namelen = f->name_len,
		.value = (uint8_t *)(uintptr_t)f->value,
		.valuelen = f->value_len };
}

/* They are sent behind the last DATA, and end the stream. */
static uint32_t h2_trailers(struct h2_stream *s)
{
	const struct req_answer *a = s->req->_answer;
	nghttp2_nv fields[REQ_TRAILERS_MAX];
	for (size_t i = 0; i < a->trailer_count; i++)
		fields[i] = nv(&a->trailers[i]);
	if (nghttp2_submit_trailer(s->h->ng, s->id, fields, a->trailer_count))
		nghttp2_submit_rst_stream(s->h->ng, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_INTERNAL_ERROR);
	return NGHTTP2_DATA_FLAG_NO_END_STREAM;
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
		if (all && s->req->_answer->trailer_count)
			*flags |= h2_trailers(s);
		return (ssize_t)n;
	}
	return (ssize_t)len;
}

int h2_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *head, size_t len,
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

int h2_on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
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

static void h2_answer(struct req *r)
{
	struct h2_stream *s = r->_stream;
	struct h2 *h = s->h;
	const struct req_answer *a = r->_answer;
	char status[4];
	snprintf(status, sizeof status, "%03u", (unsigned)a->status % 1000);
	nghttp2_nv fields[REQ_ANSWER_FIELDS_MAX + REQ_TRAILERS_MAX + 1];
	size_t n = 0;
	fields[n++] = nv(&(struct req_field){ ":status", status, 7, 3 });
	for (size_t i = 0; i < a->field_count; i++)
		fields[n++] = nv(&a->fields[i]);
	for (size_t i = 0; !a->pull && i < a->trailer_count; i++)
		fields[n++] = nv(&a->trailers[i]);
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

static size_t h2_unsent(const struct req *r)
{
	return h2_pending(r->_stream);
}

static void h2_consume(struct req *r, size_t len)
{
	struct h2_stream *s = r->_stream;
	CHECK(len <= s->unconsumed);
	s->unconsumed -= len;
	nghttp2_session_consume_stream(s->h->ng, s->id, len);
	h2_flush(s->h);
}

static void h2_cut(struct req *r, uint32_t code)
{
	struct h2_stream *s = r->_stream;
	s->pulled_all = true; /* no more calls */
	list_del(&s->hungry);
	h2_reset(s, code);
}

const struct req_ops h2_req_ops = { .answer = h2_answer,
	.resume = h2_resume,
	.opened = h2_opened,
	.consume = h2_consume,
	.reset = h2_cut,
	.unsent = h2_unsent };
