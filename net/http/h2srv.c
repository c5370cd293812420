/*
 * h2srv - HTTP/2 (RFC 9113) on a connection, on nghttp2: the connection, its turns and its end. Its
 * streams are in h2stream.c, what they answer in h2answer.c; nghttp2's conventions stop in these
 * three files (h2_priv.h).
 *
 * What comes is looked at twice: h2guard counts frames and judges stream ids, also where nghttp2
 * says nothing, then nghttp2 gets it.
 * Turns: what comes is worked on for LOOP_WORK_NS, frame by frame; the rest waits in h2->in (at
 * most LIMIT_PIPELINED_BYTES, then reading pauses), and further pieces of answers wait, too, until
 * the loop's queues come to them (h2_again).
 */
#include <string.h>

#include "core/base/clock.h"
#include "core/base/metric.h"
#include "net/http/h2_priv.h"

static size_t h2_take(struct h2 *h, const uint8_t *data, size_t len);
static void h2_aim(struct h2 *h);

/* ---- misdeeds ---- */

/* The connection ends: no new streams, the running ones are cut. */
void h2_end(struct h2 *h, enum h2guard_verdict v)
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

void h2_conn_deadline(struct h2 *h)
{
	if (h->head_open)
		conn_deadline(h->c, LIMIT_HEADER_MS);
	else
		conn_deadline(h->c, h->stream_count ? LIMIT_H2_PING_MS : LIMIT_IDLE_MS);
}

/* ---- turns ---- */

void h2_again(struct h2 *h, enum loop_queue q)
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
	for (bool any = false; (!any || h2_has_time(h)) && (l = list_pop(&h->opened)); any = true)
		h2_enter(CONTAINER_OF(l, struct h2_stream, opened));
	for (bool any = false; (!any || h2_has_time(h)) && (l = list_pop(&h->hungry)); any = true)
		h2_feed_reader(CONTAINER_OF(l, struct h2_stream, hungry));
	h2_flush(h);
	h2_aim(h);
	bool more = h->in.len || !list_empty(&h->opened) || !list_empty(&h->hungry);
	if (conn_is_open(h->c) && more)
		h2_again(h, LOOP_LATER);
}

/* ---- the connection ---- */

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

void h2_flush(struct h2 *h)
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

/*
 * In the middle of a DATA frame: what comes next goes to its place in the body. nghttp2 is shown it
 * there, and h2_on_data finds it in place.
 */
static void h2_aim(struct h2 *h)
{
	const struct h2frame_scan *scan = &h->scan;
	size_t room = 0;
	uint8_t *to = NULL;
	bool plain =
	    scan->left && scan->frame.type == H2FRAME_DATA && !(scan->frame.flags & H2FRAME_PADDED);
	h->aimed = plain && !h->ended && !h->in.len && conn_is_open(h->c)
	    ? h2_stream_of(h, (int32_t)scan->frame.stream)
	    : NULL;
	if (h->aimed)
		to = h2_body_room(h->aimed, &room);
	conn_read_into(h->c, to, room < scan->left ? room : scan->left);
}

void h2_forget(struct h2 *h, const struct h2_stream *s)
{
	if (h->aimed != s)
		return;
	h->aimed = NULL;
	conn_read_into(h->c, NULL, 0);
}

static void h2_input(struct conn *c, const uint8_t *data, size_t len)
{
	struct h2 *h = c->proto;
	size_t used = 0;
	h->heard = true;
	if (!h->in.len) {
		h2_turn_begin(h);
		used = h2_take(h, data, len);
	}
	if (used < len && conn_is_open(c)) {
		buf_add(&h->in, data + used, len - used);
		h2_in_set(h, 0);
		h2_again(h, LOOP_LATER);
	}
	h2_aim(h);
}

/* Of one frame, which is never stopped in its middle. */
static void h2_filled(struct conn *c, size_t len)
{
	struct h2 *h = c->proto;
	CHECK(h->aimed && !h->in.len && len <= h->scan.left);
	h->heard = true;
	h2_turn_begin(h);
	size_t used = h2_take(h, h->aimed->body + h->aimed->body_len, len);
	CHECK(used == len);
	h2_aim(h);
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
		if (s->state >= H2_RUN || s->state == H2_DOOR)
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

/*
 * Streams may rest for hours: does their peer live? One that has vanished without a word would hold
 * them for ever.
 */
static void h2_alive(struct h2 *h)
{
	if (h->heard) {
		h->heard = h->pinged = false;
		conn_deadline(h->c, LIMIT_H2_PING_MS);
	} else if (!h->pinged) {
		h->pinged = true;
		nghttp2_submit_ping(h->ng, NGHTTP2_FLAG_NONE, NULL);
		conn_deadline(h->c, LIMIT_H2_PING_WAIT_MS);
		h2_flush(h);
	} else {
		metric_add(M_CONN_TIMEOUTS_IDLE, 1);
		conn_abort(h->c);
	}
}

static void h2_deadline(struct conn *c)
{
	struct h2 *h = c->proto;
	if (!h->head_open && h->stream_count) {
		h2_alive(h);
		return;
	}
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
		{ NGHTTP2_SETTINGS_MAX_FRAME_SIZE, LIMIT_H2_FRAME_BYTES },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits_here()->http_head_bytes },
	};
	struct h2 *h = mem_zalloc(sizeof *h);
	h->c = c;
	h->sl = sl;
	list_init(&h->streams);
	buf_init(&h->in);
	list_init(&h->hungry);
	list_init(&h->opened);
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
