/* h2stream - streams of HTTP/2: heads, bodies, deadlines (h2_priv.h). */
#include <string.h>

#include "core/base/metric.h"
#include "core/base/num.h"
#include "net/http/h2_priv.h"
#include "net/http/router.h"

#define FIELDS_FIRST   16u
#define FIELD_OVERHEAD 32u /* RFC 9113, 6.5.2: what a field adds to the list size */

/* ---- deadlines ---- */

void h2_reset(struct h2_stream *s, uint32_t code)
{
	struct h2 *h = s->h;
	nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, s->id, code);
	h2_flush(h); /* may free s */
}

/*
 * The client may send again what has come of the body; all of it when it has said how much comes:
 * there is room, and far senders need not wait for us half way.
 */
static void h2_window_open(struct h2_stream *s)
{
	nghttp2_session *ng = s->h->ng;
	if (s->content_length > (int64_t)LIMIT_H2_STREAM_WINDOW) {
		int64_t window = s->content_length < (int64_t)LIMIT_H2_BODY_WINDOW
		    ? s->content_length
		    : (int64_t)LIMIT_H2_BODY_WINDOW;
		nghttp2_session_set_local_window_size(ng, NGHTTP2_FLAG_NONE, s->id, (int32_t)window);
	}
	nghttp2_session_consume_stream(ng, s->id, s->unconsumed);
	s->unconsumed = 0;
}

static void h2_unpark(struct h2_stream *s)
{
	s->parked = false;
	s->wait_ns = s->grown_ns = loop_now_ns(s->h->c->loop);
	loop_timer_set(s->h->c->loop, &s->timer, LIMIT_LOOK_MS);
	h2_window_open(s);
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

struct h2_stream *h2_stream_of(struct h2 *h, int32_t id)
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
	list_init(&s->opened);
	loop_timer_init(&s->timer, h2_on_timer);
	list_add_tail(&h->streams, &s->link);
	h->stream_count++;
	return s;
}

void h2_stream_free(struct h2_stream *s)
{
	struct h2 *h = s->h;
	struct req *r = s->req;
	h2guard_closed(&h->guard, (uint32_t)s->id, s->client_done);
	if (s->state < H2_RUN && s->state != H2_DOOR)
		r->_answer->begun = true; /* no handler will answer it */
	if (s->whole) {
		r->_stream = NULL;
		req_end(r);
	} else {
		req_orphan(r);
	}
	h2_forget(h, s);
	loop_timer_cancel(h->c->loop, &s->timer);
	list_del(&s->hungry);
	list_del(&s->opened);
	list_del(&s->link);
	h->stream_count--;
	buf_release(&s->out);
	mem_free(s->body);
	mem_free(s);
	if (!h->stream_count)
		h2_conn_deadline(h);
}

/* ---- heads ---- */

int h2_on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
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

int h2_on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
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
	h2_forget(s->h, s);
	if (body)
		memset(body + len, 0, REQ_BODY_SLACK);
	s->body = NULL;
	s->state = H2_RUN;
	loop_timer_cancel(s->h->c->loop, &s->timer);
	req_run(s->req, body, len);
}

static void h2_expect(struct h2_stream *s)
{
	nghttp2_nv go_on = { .name = (uint8_t *)(uintptr_t) ":status",
		.value = (uint8_t *)(uintptr_t) "100",
		.namelen = 7,
		.valuelen = 3 };
	if (req_header(s->req, "expect", NULL))
		nghttp2_submit_headers(s->h->ng, NGHTTP2_FLAG_NONE, s->id, NULL, &go_on, 1, NULL);
}

/* A piece of a streamed request to its handler. */
static void h2_piece(struct h2_stream *s, const uint8_t *data, size_t len)
{
	struct req *r = s->req;
	s->unconsumed += len;
	if (r->on_body && !r->gone && !s->whole)
		r->on_body(r, data, len, s->client_done);
}

static void h2_stream_start(struct h2_stream *s)
{
	struct h2 *h = s->h;
	bool inside = h->inside;
	h2_forget(h, s);
	uint8_t *early = s->body; /* what came while it waited at the door */
	size_t early_len = s->body_len;
	s->body = NULL;
	s->unconsumed -= early_len;
	s->streamed = true;
	s->state = H2_RUN;
	if (!s->client_done)
		h2_expect(s);
	h->inside = true; /* s outlives its handler */
	req_run(s->req, NULL, 0);
	if (early_len || s->client_done)
		h2_piece(s, early, early_len);
	mem_free(early);
	h->inside = inside;
	h2_flush(h);
}

static void h2_body_start(struct h2_stream *s)
{
	struct req *r = s->req;
	s->state = H2_BODY;
	if (!req_size_fits(r))
		return;
	enum limit_level level = h2_level(s);
	if (level == LIMIT_FULL) {
		req_refuse_overloaded(r, REQ_INFLIGHT_FULL);
		return;
	}
	s->wait_ns = s->park_ns = s->grown_ns = loop_now_ns(r->loop);
	s->parked = level != LIMIT_FREE;
	if (s->parked)
		metric_add(M_HTTP_PARKED, 1);
	else
		h2_window_open(s);
	loop_timer_set(r->loop, &s->timer, s->parked ? LIMIT_PARK_LOOK_MS : LIMIT_LOOK_MS);
	h2_expect(s);
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

static void h2_entered(struct h2_stream *s, enum req_step step);
static void h2_refuse_over(struct h2_stream *s);

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
	r->body_declared = s->client_done ? 0 : s->content_length;
	if (s->head_too_large || s->head_no_room) {
		h2_refuse_head(s);
		return;
	}
	h2_entered(s, req_begin(r, s->path, raw_len));
}

/* What the door, and what stands behind it, has said. May free s. */
static void h2_entered(struct h2_stream *s, enum req_step step)
{
	if (step == REQ_WAIT)
		s->state = H2_DOOR;
	if (step != REQ_GO)
		return;
	if (s->over != H2_OVER_NOT)
		h2_refuse_over(s);
	else if (s->req->route->flags & ROUTE_STREAM)
		h2_stream_start(s);
	else if (s->client_done)
		h2_run_handler(s);
	else
		h2_body_start(s);
}

void h2_enter(struct h2_stream *s)
{
	if (s->state == H2_DOOR && !req_is_held(s->req))
		h2_entered(s, req_enter(s->req));
}

void h2_opened(struct req *r)
{
	struct h2_stream *s = r->_stream;
	list_add_tail(&s->h->opened, &s->opened);
	h2_again(s->h, LOOP_SOON);
}

/* ---- bodies ---- */

static void h2_refuse_over(struct h2_stream *s)
{
	if (s->over == H2_OVER_SIZE)
		req_refuse_size(s->req);
	else
		req_refuse_overloaded(s->req, REQ_INFLIGHT_FULL);
}

/* The request is refused, or will be when its door opens: until then it is another's to answer. */
static void h2_body_over(struct h2_stream *s, enum h2_over over)
{
	s->over = over;
	if (s->state != H2_DOOR)
		h2_refuse_over(s);
}

/* Room for len more, charged; false: it was too much. */
static bool h2_body_grow(struct h2_stream *s, size_t len)
{
	size_t need = s->body_len + len;
	if (s->over != H2_OVER_NOT)
		return false;
	if (need <= s->body_cap)
		return true;
	if (need > req_body_max(s->req)) {
		h2_body_over(s, H2_OVER_SIZE);
		return false;
	}
	/* What was declared is what comes: nghttp2 sees to it. */
	size_t declared = s->content_length > 0 ? (size_t)s->content_length : 0;
	size_t cap = req_body_step(s->req, need, declared);
	h2_forget(s->h, s);
	if (!req_body_grow(s->req, &s->body, &s->body_cap, cap > need ? cap : need)) {
		h2_body_over(s, H2_OVER_ROOM);
		return false;
	}
	s->grown_ns = loop_now_ns(s->h->c->loop);
	return true;
}

uint8_t *h2_body_room(const struct h2_stream *s, size_t *room)
{
	bool wanted = s->state == H2_BODY && s->over == H2_OVER_NOT && !s->streamed;
	*room = wanted ? s->body_cap - s->body_len : 0;
	return *room ? s->body + s->body_len : NULL;
}

int h2_on_data(
    nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
	(void)flags;
	struct h2 *h = arg;
	struct h2_stream *s = h2_stream_of(h, id);
	nghttp2_session_consume_connection(ng, len);
	if (s && s->streamed) {
		h2_piece(s, data, len);
		return 0;
	}
	bool wanted = s && (s->state == H2_BODY || s->state == H2_DOOR);
	if (!wanted || !h2_body_grow(s, len))
		return 0; /* refused: passed over, and its window stays shut */
	uint8_t *to = s->body + s->body_len;
	if (data != to) /* else it was read to its place */
		memcpy(to, data, len);
	s->body_len += len;
	if (s->parked || s->state == H2_DOOR)
		s->unconsumed += len;
	else
		nghttp2_session_consume_stream(ng, id, len);
	return 0;
}

static void h2_client_done(struct h2_stream *s)
{
	s->client_done = true;
	if (s->streamed)
		h2_piece(s, NULL, 0);
	else if (s->state == H2_BODY)
		h2_run_handler(s);
}

int h2_on_frame_recv(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
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

int h2_on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, void *arg)
{
	(void)ng;
	(void)code;
	struct h2 *h = arg;
	struct h2_stream *s = h2_stream_of(h, id);
	if (s)
		h2_stream_free(s);
	return 0;
}
