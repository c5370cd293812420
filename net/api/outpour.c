#include "net/api/outpour.h"

#include "net/api/api.h"
#include "net/api/apierr.h"

#include <inttypes.h>
#include <stdio.h>

#define PIECE_BYTES (64u << 10)

static void ready(void *arg);
static void gone(void *arg);
static enum req_pull pull(struct req *r, struct buf *out);

static void open_pour(struct outpour *o)
{
	o->opts.ticket = o->ask->ticket;
	o->opts.ready = ready;
	o->opts.gone = gone;
	o->opts.arg = o;
	o->pour = pour_start(api_of(o->ask->req)->source, &o->opts);
}

static void close_pour(struct outpour *o)
{
	o->closing = true;
	pour_end(o->pour);
}

void outpour_start(struct outpour *o)
{
	CHECK(o->state == OUTPOUR_NONE);
	o->state = OUTPOUR_FIRST;
	open_pour(o);
}

static void fail(struct outpour *o, enum err e, const char *text)
{
	o->err = e;
	snprintf(o->text, sizeof(o->text), "%s", text);
}

/* The pour that is at its end, or cannot go on. */
static void at_end(struct outpour *o, enum pour_got got)
{
	const char *text;
	if (got == POUR_FAILED) {
		enum err e = pour_err(o->pour, &text);
		fail(o, e, text);
	}
	close_pour(o);
}

static uint64_t in_use(const struct outpour *o)
{
	return purse_used(ticket_purse(o->ask->ticket));
}

/* False: so much may not wait for its reader. */
static bool hold(struct outpour *o)
{
	const struct limits *l = limits_here();
	char limit[LIMITS_TEXT_MAX], text[sizeof(o->text)];
	uint64_t bytes = in_use(o);
	if (bytes > l->http_answer_bytes) { /* it will not fit later either */
		snprintf(text, sizeof(text), "the answer holds %" PRIu64 " MiB while it is read, %s",
		    bytes >> 20, limits_text(l, LIMITS_http_answer_bytes, limit));
		fail(o, ERR_TOOBIG, text);
		return false;
	}
	if (!req_hold(o->ask->req, bytes)) {
		fail(o, ERR_BUSY, "too many answers wait for their readers");
		return false;
	}
	o->held = bytes;
	return true;
}

static void hold_what_grew(struct outpour *o)
{
	uint64_t bytes = in_use(o);
	if (bytes <= o->held)
		return;
	req_hold_more(o->ask->req, bytes - o->held);
	o->held = bytes;
}

static void begin_answer(struct outpour *o)
{
	if (!hold(o)) {
		close_pour(o);
		return;
	}
	o->state = OUTPOUR_STREAMS;
	ask_worked_out(o->ask);
	if (o->pour)
		req_keep(o->ask->req);
	req_reply_stream(o->ask->req, 200, o->content_type, pull);
}

static void ready(void *arg)
{
	struct outpour *o = arg;
	if (o->closing)
		return;
	if (o->state == OUTPOUR_STREAMS) {
		hold_what_grew(o);
		req_resume(o->ask->req);
		return;
	}
	enum pour_got got = pour_next(o->pour, &o->bytes, &o->len);
	if (got == POUR_BYTES)
		begin_answer(o);
	else if (got != POUR_LATER)
		at_end(o, got);
}

/* Nothing was answered, and nothing will come: an error, or an empty answer. */
static void end_unanswered(struct outpour *o)
{
	ask_worked_out(o->ask);
	o->state = OUTPOUR_OVER;
	if (o->err)
		apierr_json(o->ask->req, o->err, o->text, strlen(o->text));
	else
		req_reply(o->ask->req, 200, o->content_type, o->head, o->head_len, REQ_COPY);
}

static void gone(void *arg)
{
	struct outpour *o = arg;
	o->pour = NULL;
	o->closing = false;
	if (o->state != OUTPOUR_OVER && !o->err && o->next && o->next(o)) {
		open_pour(o);
		return;
	}
	if (o->state == OUTPOUR_FIRST) {
		end_unanswered(o);
		return;
	}
	bool told = o->state == OUTPOUR_OVER;
	o->state = OUTPOUR_OVER;
	if (!told)
		req_resume(o->ask->req);
	req_let_go(o->ask->req);
}

static void take_bytes(struct outpour *o, struct buf *out)
{
	size_t n = o->len < PIECE_BYTES ? o->len : PIECE_BYTES;
	buf_add(out, o->bytes, n);
	o->bytes += n;
	o->len -= n;
}

static enum req_pull pull(struct req *r, struct buf *out)
{
	struct outpour *o = r->own;
	size_t full = out->len + PIECE_BYTES / 2;
	buf_add(out, o->head, o->head_len);
	o->head_len = 0;
	while (out->len < full) {
		if (o->len) {
			take_bytes(o, out);
			continue;
		}
		if (o->err)
			return REQ_ABORT;
		if (o->state == OUTPOUR_OVER)
			return REQ_END;
		if (!o->pour || o->closing)
			return REQ_LATER;
		enum pour_got got = pour_next(o->pour, &o->bytes, &o->len);
		hold_what_grew(o);
		if (got == POUR_LATER)
			return REQ_LATER;
		if (got != POUR_BYTES)
			at_end(o, got);
	}
	return REQ_MORE;
}

void outpour_stop(struct outpour *o, enum err e)
{
	if (!o->pour || o->err || (e == ERR_TIMEOUT && o->state != OUTPOUR_FIRST))
		return;
	fail(o, e,
	    e == ERR_TIMEOUT ? "query timed out in query execution"
	                     : "query was canceled in query execution");
	if (!o->closing)
		close_pour(o);
}
