/*
 * h2cli - HTTP/2 on a link, on nghttp2: its conventions stop in this file.
 *
 * Below nghttp2_session_mem_recv and _send (h->inside) nothing is sent; h2_flush follows. Callbacks
 * of fetches do run below mem_recv, so all they can cause there is a frame in nghttp2's queue: a
 * fetch that leaves is taken off its stream, which is reset.
 * Bodies to be sent are pulled in h2_work, never below nghttp2: a stream without bytes ready is
 * hungry until then.
 * The connection's window is opened as bytes come, a stream's when they were handed on: who pauses
 * holds at most LIMIT_H2_STREAM_WINDOW.
 * Bounds against servers: no pushes, head_max for what fields unpack to, LIMIT_H2_CONTINUATIONS,
 * acknowledgements that wait (PING, SETTINGS), LIMIT_H2_IDLE_FRAME_* for frames without data.
 */
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>

#include "net/client/hclient_priv.h"
#include "net/conn/limit.h"

#define UNSENT_MAX     (256u << 10) /* in the wire, then nghttp2 waits */
#define FRAME_SIZE_MAX (64u << 10)
#define DATA_MAX       (16u << 10) /* of one DATA frame of ours */
#define INFORMED_MAX   16u         /* 1xx before an answer */
#define RESERVED_NV    4u          /* :method :scheme :authority :path */

struct h2 {
	struct hlink *l;
	nghttp2_session *ng;
	struct list_link streams; /* hfetch.wait */
	struct loop_again again;
	struct limit_bucket idle_frames;
	bool inside, closing;
	char goaway[128]; /* what the server said when it ended */
	int64_t goaway_code;
};

static void h2_flush(struct h2 *h);
static void h2_over(struct h2 *h, struct hfetch *f);

static struct hfetch *h2_fetch_of(const struct h2 *h, int32_t stream)
{
	return nghttp2_session_get_stream_user_data(h->ng, stream);
}

/* ---- ends ---- */

/* f is on this link no more. */
static void h2_leave(struct h2 *h, struct hfetch *f)
{
	/* or it is over */
	(void)nghttp2_session_set_stream_user_data(h->ng, f->stream, NULL);
	list_del(&f->wait);
	f->on = NULL;
	h->l->fetches--;
	h->l->used = true;
}

static void h2_reset(struct h2 *h, int32_t stream, uint32_t code)
{
	(void)nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, stream, code);
}

/* All streams end with the connection. */
static void h2_break(struct h2 *h, enum err e, const char *text)
{
	struct hlink *l = h->l;
	struct list_link all;
	char why[HWIRE_TEXT_MAX];
	snprintf(why, sizeof why, "%s%s", text, h->goaway);
	list_init(&all);
	if (h->closing)
		return;
	h->closing = true;
	while (!list_empty(&h->streams)) {
		struct hfetch *f = CONTAINER_OF(h->streams.next, struct hfetch, wait);
		h2_leave(h, f);
		list_add_tail(&all, &f->wait);
	}
	hlink_close(l);
	for (struct list_link *k; (k = list_pop(&all));) {
		struct hfetch *f = CONTAINER_OF(k, struct hfetch, wait);
		bool stale = l->used && l->w.received == f->mark;
		hfetch_broken(f, stale ? HFETCH_STALE : HFETCH_BROKEN, e, why, h->goaway_code);
	}
}

static void h2_broken(struct h2 *h, const char *why)
{
	char text[HWIRE_TEXT_MAX];
	snprintf(text, sizeof text, "HTTP/2 with %s: %s", h->l->w.peer, why);
	h2_break(h, ERR_MALFORMED, text);
}

static int h2_on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, void *arg)
{
	(void)ng;
	struct h2 *h = arg;
	struct hfetch *f = h2_fetch_of(h, id);
	char text[HWIRE_TEXT_MAX];
	if (!f)
		return 0;
	h2_leave(h, f);
	hlink_idle(h->l);
	if (f->over) {
		hfetch_over(f);
		return 0;
	}
	bool unseen = code == NGHTTP2_REFUSED_STREAM && !f->answer_begun;
	snprintf(text, sizeof text, "answer of %s: the stream was reset (%s)%s", h->l->w.peer,
	    nghttp2_http2_strerror(code), h->goaway);
	hfetch_broken(f, unseen ? HFETCH_UNSEEN : HFETCH_BROKEN,
	    code == NGHTTP2_PROTOCOL_ERROR ? ERR_MALFORMED : ERR_IO, text, code);
	return 0;
}

/* ---- the answer ---- */

static int parse_status(const uint8_t *v, size_t len)
{
	return len == 3 ? (v[0] - '0') * 100 + (v[1] - '0') * 10 + (v[2] - '0') : 0;
}

static int h2_on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
	(void)ng;
	(void)flags;
	struct h2 *h = arg;
	struct hfetch *f = h2_fetch_of(h, frame->hd.stream_id);
	if (!f || frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	f->answer_begun = true;
	if (name_len == 7 && !memcmp(name, ":status", 7)) {
		f->h2_status = parse_status(value, value_len);
		return 0;
	}
	if (f->h2_status >= 200 || f->head_done)
		(void)hfetch_field(/* false: it has left, and its stream is reset */
		    f, (const char *)name, name_len, (const char *)value, value_len);
	return 0;
}

static void h2_head_over(struct h2 *h, struct hfetch *f)
{
	if (f->head_done)
		return; /* trailers */
	if (f->h2_status >= 200)
		hfetch_head(f, f->h2_status, 20);
	else if (f->h2_status == 101 || ++f->informed > INFORMED_MAX) /* RFC 9113, 8.6 */
		h2_reset(h, f->stream, NGHTTP2_PROTOCOL_ERROR);
}

static void h2_goaway(struct h2 *h, const nghttp2_goaway *g)
{
	h->l->worn = true;
	h->goaway_code = g->error_code;
	if (g->error_code != NGHTTP2_NO_ERROR)
		snprintf(h->goaway, sizeof h->goaway, "; the server ended it: %s",
		    nghttp2_http2_strerror(g->error_code));
}

static int h2_on_frame_recv(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;
	struct hfetch *f = h2_fetch_of(h, frame->hd.stream_id);
	if (frame->hd.type == NGHTTP2_GOAWAY)
		h2_goaway(h, &frame->goaway);
	if (frame->hd.type == NGHTTP2_SETTINGS) {
		uint32_t max =
		    nghttp2_session_get_remote_settings(ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
		unsigned ours = h->l->c->opts.streams;
		h->l->fetches_max = max < ours ? max : ours;
		hclient_serve_soon(h->l->c);
	}
	if (f && frame->hd.type == NGHTTP2_HEADERS)
		h2_head_over(h, f);
	f = h2_fetch_of(h, frame->hd.stream_id);
	if (f && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
	    (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA))
		h2_over(h, f);
	return 0;
}

/* The answer is whole. What is left of the request is not wanted (RFC 9113, 8.1). */
static void h2_over(struct h2 *h, struct hfetch *f)
{
	f->over = true;
	if (hfetch_has_body(f) && !f->h2_sent_all) {
		int32_t stream = f->stream;
		h2_leave(h, f);
		h2_reset(h, stream, NGHTTP2_CANCEL);
		hlink_idle(h->l);
		hfetch_over(f);
	} /* else: on_stream_close follows at once */
}

static int h2_on_data(
    nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
	(void)flags;
	struct h2 *h = arg;
	struct hfetch *f = h2_fetch_of(h, id);
	nghttp2_session_consume_connection(ng, len);
	if (f)
		hfetch_data(f, data, len);
	return 0;
}

/* Frames that bring nothing cost the server little, and each makes us look. */
static int h2_on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *hd, void *arg)
{
	(void)ng;
	struct h2 *h = arg;
	if ((hd->type == NGHTTP2_DATA && hd->length) || hd->type == NGHTTP2_HEADERS)
		return 0;
	if (hd->type == NGHTTP2_WINDOW_UPDATE) /* as often as we send */
		return 0;
	if (limit_bucket_take(&h->idle_frames, loop_now_ns(h->l->c->loop),
	        LIMIT_H2_IDLE_FRAME_BURST, LIMIT_H2_IDLE_FRAME_PER_S))
		return 0;
	return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* ---- the request ---- */

static ssize_t h2_read(nghttp2_session *ng, int32_t id, uint8_t *out, size_t len, uint32_t *flags,
    nghttp2_data_source *source, void *arg)
{
	(void)ng;
	(void)source;
	struct h2 *h = arg;
	struct hfetch *f = h2_fetch_of(h, id);
	size_t n = 0;
	bool all = false;
	if (!f)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* it is being reset */
	const uint8_t *data = hfetch_ready(f, &n, &all);
	if (!n && !all) {
		f->h2_hungry = true;
		loop_again(h->l->c->loop, LOOP_SOON, &h->again);
		return NGHTTP2_ERR_DEFERRED;
	}
	size_t take = n < len ? n : len;
	take = take < DATA_MAX ? take : DATA_MAX;
	if (take)
		memcpy(out, data, take);
	hfetch_used(f, take);
	hfetch_sent(f);
	if (all && take == n) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		f->h2_sent_all = true;
	}
	return (ssize_t)take;
}

static ssize_t h2_send(nghttp2_session *ng, const uint8_t *data, size_t len, int flags, void *arg)
{
	(void)ng;
	(void)flags;
	struct h2 *h = arg;
	if (hwire_unsent(&h->l->w) >= UNSENT_MAX)
		return NGHTTP2_ERR_WOULDBLOCK;
	hwire_write(&h->l->w, data, len);
	return (ssize_t)len;
}

static nghttp2_nv nv(const char *name, size_t name_len, const char *value, size_t len, bool secret)
{
	return (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name,
		.namelen = name_len,
		.value = (uint8_t *)(uintptr_t)value,
		.valuelen = len,
		.flags = secret ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE };
}

static void h2_begin(struct hlink *l, struct hfetch *f)
{
	struct h2 *h = l->proto;
	char authority[URL_AUTHORITY_MAX], number[24];
	size_t count = 0, n = url_authority(&f->url, false, authority);
	nghttp2_nv *all = mem_array(NULL, f->req.field_count + RESERVED_NV + 1, sizeof *all);
	const char *scheme = f->url.https ? "https" : "http";
	int64_t len = hfetch_body_len(f);
	all[count++] = nv(":method", 7, f->method, strlen(f->method), false);
	all[count++] = nv(":scheme", 7, scheme, strlen(scheme), false);
	all[count++] = nv(":authority", 10, authority, n, false);
	all[count++] = nv(":path", 5, f->url.target, f->url.target_len, false);
	for (size_t i = 0; i < f->req.field_count; i++) {
		const struct hclient_field *x = &f->req.fields[i];
		all[count++] = nv(x->name, x->name_len, x->value, x->value_len, x->secret);
	}
	if (hfetch_has_body(f) ? len >= 0 : !f->no_body) {
		int m = snprintf(number, sizeof number, "%lld", (long long)(len < 0 ? 0 : len));
		all[count++] = nv("content-length", 14, number, (size_t)m, false);
	}
	nghttp2_data_provider provider = { .source.ptr = f, .read_callback = h2_read };
	int32_t id = nghttp2_submit_request(
	    h->ng, NULL, all, count, hfetch_has_body(f) ? &provider : NULL, f);
	mem_free(all);
	f->stream = id;
	f->mark = l->w.received;
	f->h2_hungry = f->h2_sent_all = false;
	list_add_tail(&h->streams, &f->wait);
	if (id < 0) { /* 2^30 requests were made on it */
		l->worn = true;
		f->stream = 0;
		list_del(&f->wait);
		f->on = NULL;
		l->fetches--;
		hfetch_broken(f, HFETCH_UNSEEN, ERR_IO, "no more streams on this connection", -1);
		hlink_idle(l);
		return;
	}
	h2_flush(h);
}

/* ---- turns ---- */

static void h2_feed(struct h2 *h, struct hfetch *f)
{
	size_t len;
	bool all;
	f->h2_hungry = false;
	hfetch_fill(f);
	if (f->on != h->l)
		return;
	(void)hfetch_ready(f, &len, &all);
	if (len || all)
		(void)nghttp2_session_resume_data(h->ng, f->stream); /* not deferred: as well */
}

static void h2_work(struct loop_deferred *d)
{
	struct h2 *h = CONTAINER_OF(d, struct h2, again.work);
	loop_again_begin(&h->again);
	/* Callbacks may take any of them off: each goes to the tail before it is fed. */
	for (size_t n = h->l->fetches; n && !list_empty(&h->streams) && !h->closing; n--) {
		struct list_link *k = list_pop(&h->streams);
		struct hfetch *f = CONTAINER_OF(k, struct hfetch, wait);
		list_add_tail(&h->streams, k);
		if (f->h2_hungry)
			h2_feed(h, f);
	}
	h2_flush(h);
}

static void h2_flush(struct h2 *h)
{
	if (h->inside || h->closing)
		return;
	h->inside = true;
	int r = nghttp2_session_send(h->ng);
	h->inside = false;
	if (r) {
		h2_broken(h, nghttp2_strerror(r));
		return;
	}
	hwire_flush(&h->l->w);
	if (!nghttp2_session_want_read(h->ng) && !nghttp2_session_want_write(h->ng))
		h2_broken(h, "it was ended");
}

static void h2_input(struct hwire *w, const uint8_t *data, size_t len)
{
	struct h2 *h = CONTAINER_OF(w, struct hlink, w)->proto;
	h->inside = true;
	ssize_t r = nghttp2_session_mem_recv(h->ng, data, len);
	h->inside = false;
	if (h->closing)
		return;
	if (r < 0 || (size_t)r != len)
		h2_broken(h,
		    r == NGHTTP2_ERR_CALLBACK_FAILURE ? "too many frames without data"
		                                      : nghttp2_strerror(r < 0 ? (int)r : 0));
	else
		h2_flush(h);
}

static void h2_eof(struct hwire *w)
{
	struct h2 *h = CONTAINER_OF(w, struct hlink, w)->proto;
	char text[HWIRE_TEXT_MAX];
	snprintf(text, sizeof text, "answer of %s: the connection was closed", w->peer);
	h2_break(h, ERR_IO, text);
}

static void h2_room(struct hwire *w)
{
	h2_flush(CONTAINER_OF(w, struct hlink, w)->proto);
}

static void h2_failed(struct hwire *w, enum err e, const char *text)
{
	h2_break(CONTAINER_OF(w, struct hlink, w)->proto, e, text);
}

static void h2_ready(struct hwire *w)
{
	(void)w; /* before */
}

static const struct hwire_ops h2_wire_ops = {
	.ready = h2_ready,
	.input = h2_input,
	.eof = h2_eof,
	.room = h2_room,
	.failed = h2_failed,
};

/* ---- the link ---- */

static void h2_detach(struct hlink *l, struct hfetch *f)
{
	struct h2 *h = l->proto;
	int32_t stream = f->stream;
	h2_leave(h, f);
	if (h->closing)
		return;
	h2_reset(h, stream, NGHTTP2_CANCEL);
	/* Not below: hlink_idle may close, and nghttp2 may be further up. */
	loop_again(l->c->loop, LOOP_SOON, &h->again);
	hlink_idle(l);
}

static void h2_more(struct hlink *l, struct hfetch *f)
{
	struct h2 *h = l->proto;
	f->h2_hungry = true;
	loop_again(l->c->loop, LOOP_SOON, &h->again);
}

static void h2_took(struct hlink *l, struct hfetch *f, size_t len)
{
	struct h2 *h = l->proto;
	if (!len)
		return;
	(void)nghttp2_session_consume_stream(h->ng, f->stream, len); /* or it is over */
	if (!h->inside)
		loop_again(l->c->loop, LOOP_SOON, &h->again);
}

static void h2_closed(struct hlink *l)
{
	struct h2 *h = l->proto;
	h->closing = true;
	while (!list_empty(&h->streams)) /* the client ends, and has told them */
		h2_leave(h, CONTAINER_OF(h->streams.next, struct hfetch, wait));
	loop_again_cancel(&h->again);
}

/* Later, for nghttp2 may be further up when it is closed. */
static void h2_freed(struct hlink *l)
{
	struct h2 *h = l->proto;
	nghttp2_session_del(h->ng);
}

static const struct hlink_ops h2_ops = {
	.begin = h2_begin,
	.detach = h2_detach,
	.more = h2_more,
	.took = h2_took,
	.closed = h2_closed,
	.freed = h2_freed,
};

static nghttp2_session *h2_session(struct h2 *h)
{
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_option *opt = NULL;
	nghttp2_session *ng = NULL;
	if (nghttp2_session_callbacks_new(&cb) || nghttp2_option_new(&opt))
		panic("no memory for a connection");
	nghttp2_session_callbacks_set_on_begin_frame_callback(cb, h2_on_begin_frame);
	nghttp2_session_callbacks_set_on_header_callback(cb, h2_on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, h2_on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, h2_on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, h2_on_stream_close);
	nghttp2_session_callbacks_set_send_callback(cb, h2_send);
	nghttp2_option_set_no_auto_window_update(opt, 1);
	nghttp2_option_set_max_continuations(opt, LIMIT_H2_CONTINUATIONS);
	nghttp2_option_set_max_outbound_ack(opt, LIMIT_H2_IDLE_FRAME_BURST);
	if (nghttp2_session_client_new2(&ng, cb, h, opt))
		panic("no memory for a connection");
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(opt);
	return ng;
}

void h2cli_start(struct hlink *l)
{
	const struct hclient_opts *o = &l->c->opts;
	size_t head = o->head_max < UINT32_MAX ? o->head_max : UINT32_MAX;
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, LIMIT_H2_STREAM_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)head },
		{ NGHTTP2_SETTINGS_MAX_FRAME_SIZE, FRAME_SIZE_MAX },
	};
	struct h2 *h = mem_zalloc(sizeof *h);
	h->l = l;
	h->goaway_code = -1;
	h->again.work.fn = h2_work;
	list_init(&h->streams);
	h->ng = h2_session(h);
	l->proto = h;
	l->ops = &h2_ops;
	l->fetches_max = o->streams; /* until the server has said */
	l->w.ops = &h2_wire_ops;
	if (nghttp2_submit_settings(h->ng, NGHTTP2_FLAG_NONE, settings, COUNT_OF(settings)) ||
	    nghttp2_session_set_local_window_size(
	        h->ng, NGHTTP2_FLAG_NONE, 0, (int32_t)LIMIT_H2_CONN_WINDOW))
		panic("no memory for a connection");
	h2_flush(h);
}
