/*
 * h1cli - HTTP/1.1 on a link: one request at a time, never pipelined.
 *
 *   IDLE --begin--> HEAD --final head--> BODY --its end--> IDLE, or the link is closed
 *
 * The request's body is sent while the answer is awaited. A status from 300 on means that the rest
 * is not wanted; a link whose request was not sent whole ends with the answer. It ends as well
 * when the server says so, when the answer's end is the connection's, or when bytes come that
 * nobody asked for.
 */
#include <stdio.h>
#include <string.h>

#include "net/client/hclient_priv.h"
#include "proto/h1resp.h"

#define FIELDS_MAX   256u
#define INFORMED_MAX 16u         /* 1xx before the answer */
#define SEND_AHEAD   (64u << 10) /* waits for the socket, then the body pauses */

enum h1_state {
	H1_IDLE,
	H1_HEAD,
	H1_BODY
};
struct h1 {
	struct hlink *l;
	struct hfetch *f; /* NULL: idle */
	enum h1_state state;
	bool sending; /* more of the body is to come */
	bool chunked; /* the request's body */
	bool refused; /* a status that means: send no more */
	bool asked_head;
	unsigned informed;
	/* The answer. */
	struct buf head;
	struct h1msg_scan scan;
	enum h1resp_body form;
	bool close;
	uint64_t left; /* of a body with a length */
	struct h1chunk chunk;
};

static const struct hwire_ops h1_wire_ops;

/* ---- ends ---- */

/* The connection is of no more use; tells the fetch, if there is one. */
static void h1_break(struct h1 *h, enum hfetch_break how, enum err e, const char *text)
{
	struct hlink *l = h->l;
	struct hfetch *f = h->f;
	char why[HWIRE_TEXT_MAX];
	snprintf(why, sizeof why, "%s", text); /* it may lie in what is closed now */
	if (f) {
		h->f = NULL;
		f->on = NULL;
		l->fetches--;
	}
	hlink_close(l);
	if (f)
		hfetch_broken(f, how, e, why, -1);
}

static void h1_malformed(struct h1 *h, enum err e, const char *why)
{
	char text[HWIRE_TEXT_MAX];
	snprintf(text, sizeof text, "answer of %s: %s", h->l->w.peer, why);
	h1_break(h, HFETCH_BROKEN, e, text);
}

/*
 * A kept connection may have ended before our request came: nothing of an answer tells otherwise.
 */
static enum hfetch_break h1_how(const struct h1 *h)
{
	return h->l->used && h->f && !h->f->answer_begun ? HFETCH_STALE : HFETCH_BROKEN;
}

static void h1_over(struct h1 *h)
{
	struct hlink *l = h->l;
	struct hfetch *f = h->f;
	bool close = h->close || h->sending || hwire_unsent(&l->w);
	h->f = NULL;
	h->state = H1_IDLE;
	f->on = NULL;
	l->fetches--;
	l->used = true;
	hwire_pause(&l->w, false);
	if (close)
		hlink_close(l);
	else
		hlink_idle(l);
	hfetch_over(f);
}

/* ---- the request ---- */

static void put(struct hwire *w, const char *s)
{
	hwire_write(w, s, strlen(s));
}

static void put_field(
    struct hwire *w, const char *name, size_t name_len, const char *value, size_t value_len)
{
	hwire_write(w, name, name_len);
	put(w, ": ");
	hwire_write(w, value, value_len);
	put(w, "\r\n");
}

static void h1_write_head(struct h1 *h)
{
	struct hfetch *f = h->f;
	struct hwire *w = &h->l->w;
	const struct horigin *o = h->l->o;
	char authority[URL_AUTHORITY_MAX], number[48];
	size_t n = url_authority(&f->url, false, authority);
	put(w, f->method);
	put(w, " ");
	if (o->proxy && !o->tunnel) { /* RFC 9112, 3.2.2 */
		put(w, "http://");
		hwire_write(w, authority, n);
	}
	hwire_write(w, f->url.target, f->url.target_len);
	put(w, " HTTP/1.1\r\n");
	put_field(w, "host", 4, authority, n);
	for (size_t i = 0; i < f->req.field_count; i++) {
		const struct hclient_field *x = &f->req.fields[i];
		put_field(w, x->name, x->name_len, x->value, x->value_len);
	}
	if (o->proxy && !o->tunnel && o->proxy->authorization)
		put_field(w, "proxy-authorization", 19, o->proxy->authorization,
		    strlen(o->proxy->authorization));
	int64_t len = hfetch_body_len(f);
	h->chunked = hfetch_has_body(f) && len < 0;
	if (h->chunked)
		put(w, "transfer-encoding: chunked\r\n");
	else if (hfetch_has_body(f) || !f->no_body) {
		snprintf(number, sizeof number, "content-length: %lld\r\n",
		    (long long)(len < 0 ? 0 : len));
		put(w, number);
	}
	put(w, "\r\n");
}

static void h1_write_piece(struct h1 *h, const uint8_t *data, size_t len)
{
	char size[24];
	struct hwire *w = &h->l->w;
	if (h->chunked) {
		snprintf(size, sizeof size, "%zx\r\n", len);
		put(w, size);
	}
	hwire_write(w, data, len);
	if (h->chunked)
		put(w, "\r\n");
}

/* As much of the body as there is room for. The fetch may leave below. */
static void h1_send(struct h1 *h)
{
	struct hfetch *f = h->f;
	while (h->sending && !h->refused && h->f == f && hwire_unsent(&h->l->w) < SEND_AHEAD) {
		hfetch_fill(f);
		if (h->f != f)
			return;
		size_t len;
		bool all;
		const uint8_t *data = hfetch_ready(f, &len, &all);
		if (!len && !all)
			break;
		size_t n = len < SEND_AHEAD ? len : SEND_AHEAD;
		if (n)
			h1_write_piece(h, data, n);
		hfetch_used(f, n);
		h->sending = !(all && n == len);
		if (!h->sending && h->chunked)
			put(&h->l->w, "0\r\n\r\n");
	}
	hwire_flush(&h->l->w);
}

static void h1_begin(struct hlink *l, struct hfetch *f)
{
	struct h1 *h = l->proto;
	CHECK(h->state == H1_IDLE && !h->f);
	h->f = f;
	h->state = H1_HEAD;
	h->asked_head = !strcmp(f->method, "HEAD");
	h->informed = 0;
	h->close = false;
	h->sending = hfetch_has_body(f);
	h->refused = false;
	buf_clear(&h->head);
	h->scan = (struct h1msg_scan){ 0 };
	h1_write_head(h);
	h1_send(h);
}

/* ---- the answer ---- */

static enum err h1_take_fields(struct h1 *h, const struct h1resp *r)
{
	for (size_t i = 0; i < r->field_count; i++) {
		const struct h1msg_field *x = &r->fields[i];
		if (!hfetch_field(h->f, x->name, x->name_len, x->value, x->value_len))
			return ERR_TOOBIG;
	}
	return 0;
}

/* A complete head of len bytes in h->head. False: the fetch or the link has gone. */
static bool h1_take_head(struct h1 *h, size_t len)
{
	struct h1msg_field fields[FIELDS_MAX];
	struct h1resp r = { .fields = fields, .field_cap = FIELDS_MAX };
	struct hfetch *f = h->f;
	const char *why;
	if (!h1resp_parse((char *)h->head.data, len, &r, &why)) {
		h1_malformed(h, ERR_MALFORMED, why);
		return false;
	}
	if (r.status < 200) {
		bool fine = r.status != 101 && ++h->informed <= INFORMED_MAX;
		if (!fine)
			h1_malformed(h, ERR_MALFORMED,
			    r.status == 101 ? "status 101, which was not asked for"
			                    : "too many 1xx before the answer");
		return fine;
	}
	if (h1_take_fields(h, &r))
		return false;
	h->form = h1resp_body(&r, h->asked_head);
	h->left = h->form == H1RESP_LENGTH ? (uint64_t)r.content_length : 0;
	h->chunk = (struct h1chunk){ 0 };
	h->close = r.close || h->form == H1RESP_CLOSE;
	h->state = H1_BODY;
	h->refused = r.status >= 300;
	hfetch_head(f, r.status, 10 + r.minor);
	return h->f == f;
}

/* Bytes of heads; how many were used. */
static size_t h1_head_input(struct h1 *h, const uint8_t *data, size_t len)
{
	size_t head_max = h->l->c->opts.head_max;
	const struct h1msg_limits max = { .head_bytes = head_max, .fields = FIELDS_MAX };
	char why[80];
	size_t had = h->head.len;
	buf_add(&h->head, data, len);
	int n = h1resp_scan(&h->scan, h->head.data, h->head.len, &max);
	if (n == H1RESP_TOO_LARGE) {
		snprintf(why, sizeof why, "its head is larger than %zu bytes or %u fields",
		    head_max, FIELDS_MAX);
		h1_malformed(h, ERR_TOOBIG, why);
		return len;
	}
	if (n == H1RESP_MALFORMED) {
		h1_malformed(h, ERR_MALFORMED, "malformed head");
		return len;
	}
	if (!n)
		return len;
	size_t used = (size_t)n - had;
	if (h1_take_head(h, (size_t)n)) {
		buf_clear(&h->head);
		h->scan = (struct h1msg_scan){ 0 };
	}
	return used;
}

static size_t h1_chunk_input(struct h1 *h, const uint8_t *data, size_t len)
{
	size_t used, got;
	const uint8_t *piece;
	struct hfetch *f = h->f;
	switch (h1chunk_next(&h->chunk, data, len, &used, &piece, &got)) {
	case H1CHUNK_BAD:
		h1_malformed(h, ERR_MALFORMED, "malformed chunks");
		return len;
	case H1CHUNK_END:
		h1_over(h);
		return used;
	case H1CHUNK_DATA:
		hfetch_data(f, piece, got);
		return used;
	case H1CHUNK_MORE:
		break;
	}
	return used;
}

static size_t h1_body_input(struct h1 *h, const uint8_t *data, size_t len)
{
	struct hfetch *f = h->f;
	if (h->form == H1RESP_CHUNKED)
		return h1_chunk_input(h, data, len);
	if (h->form == H1RESP_CLOSE) {
		hfetch_data(f, data, len);
		return len;
	}
	size_t n = len < h->left ? len : (size_t)h->left;
	h->left -= n;
	hfetch_data(f, data, n);
	if (h->f == f && !h->left)
		h1_over(h);
	return n;
}

static void h1_input(struct hwire *w, const uint8_t *data, size_t len)
{
	struct hlink *l = CONTAINER_OF(w, struct hlink, w);
	struct h1 *h = l->proto;
	while (len && l->state == HLINK_OPEN) {
		size_t used = len;
		if (!h->f) {
			hlink_close(l); /* nobody asked */
			return;
		}
		h->f->answer_begun = true;
		if (h->state == H1_HEAD)
			used = h1_head_input(h, data, len);
		else
			used = h1_body_input(h, data, len);
		data += used;
		len -= used;
		if (l->state == HLINK_OPEN && h->f && h->state == H1_BODY && h->form == H1RESP_NONE)
			h1_over(h);
	}
}

static void h1_eof(struct hwire *w)
{
	struct hlink *l = CONTAINER_OF(w, struct hlink, w);
	struct h1 *h = l->proto;
	char text[HWIRE_TEXT_MAX];
	if (!h->f) {
		hlink_close(l);
		return;
	}
	if (h->state == H1_BODY && h->form == H1RESP_CLOSE && !w->torn) {
		h1_over(h);
		return;
	}
	bool begun = h->f->answer_begun;
	snprintf(text, sizeof text, "answer of %s: the connection was closed %s", w->peer,
	    begun ? "before its end" : "before it began");
	h1_break(h, h1_how(h), begun ? ERR_TRUNCATED : ERR_IO, text);
}

static void h1_room(struct hwire *w)
{
	struct h1 *h = CONTAINER_OF(w, struct hlink, w)->proto;
	if (!h->f)
		return;
	hfetch_sent(h->f);
	if (h->f && h->sending)
		h1_send(h);
}

static void h1_failed(struct hwire *w, enum err e, const char *text)
{
	struct hlink *l = CONTAINER_OF(w, struct hlink, w);
	struct h1 *h = l->proto;
	h1_break(h, h1_how(h), e, text);
}

static void h1_ready(struct hwire *w)
{
	(void)w; /* before */
}

static const struct hwire_ops h1_wire_ops = {
	.ready = h1_ready,
	.input = h1_input,
	.eof = h1_eof,
	.room = h1_room,
	.failed = h1_failed,
};

/* ---- the link ---- */

static void h1_detach(struct hlink *l, struct hfetch *f)
{
	struct h1 *h = l->proto;
	CHECK(h->f == f);
	h->f = NULL;
	l->fetches--;
	hlink_close(l); /* the rest of the answer would be in the way */
}

static void h1_more(struct hlink *l, struct hfetch *f)
{
	struct h1 *h = l->proto;
	if (h->f == f && h->sending)
		h1_send(h);
}

static void h1_took(struct hlink *l, struct hfetch *f, size_t len)
{
	(void)len;
	hwire_pause(&l->w, f->paused || hfetch_backlog(f));
}

static void h1_closed(struct hlink *l)
{
	struct h1 *h = l->proto;
	struct hfetch *f = h->f;
	if (f) { /* the client ends, and has told it */
		h->f = NULL;
		f->on = NULL;
		l->fetches--;
	}
	buf_release(&h->head);
}

static const struct hlink_ops h1_ops = {
	.begin = h1_begin,
	.detach = h1_detach,
	.more = h1_more,
	.took = h1_took,
	.closed = h1_closed,
};

void h1cli_start(struct hlink *l)
{
	struct h1 *h = mem_zalloc(sizeof *h);
	h->l = l;
	buf_init(&h->head);
	l->proto = h;
	l->ops = &h1_ops;
	l->fetches_max = 1;
	l->w.ops = &h1_wire_ops;
}
