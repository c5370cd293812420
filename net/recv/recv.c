#include "net/recv/recv.h"

#include "core/base/metric.h"
#include "core/base/rune.h"
#include "net/api/api.h"
#include "net/api/apierr.h"
#include "net/api/tenantstat.h"
#include "net/recv/inlet.h"
#include "net/recv/recvcount.h"
#include "net/recv/recvextra.h"
#include "net/recv/recvpack.h"
#include "net/recv/recvtext.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HERE_BYTES  (64u << 10) /* of a body, packed or not, that is read on the loop */
#define ROW_BYTES   (sizeof(struct batch_row) + 56u) /* here and behind the sink, as recv_remote */
#define ARENA_FIRST 4096u
#define ARENA_KEEP  (64u << 10)

/*
 *   READS > STORES (the inlet) > READS ... > answered
 *     \ ROOM: the text needs more memory than there is: charged on the loop, read on
 *     \ a turn is over and there are no rows: read on, unless the client has left
 * READS is a worker's, but for the first HERE_BYTES of a body that is not larger. A strict body is
 * JUDGED first: read in the same way, and nothing is stored.
 */
enum recv_want {
	WANT_STORE, /* a batch is full, or has taken its turn: there may be more */
	WANT_ROOM,
	WANT_END /* it is the last one, or there is an error */
};
struct recv { /* in the request's arena */
	struct req *req;
	const struct recv_kind *kind;
	struct recvtext text;
	struct decode d;
	struct arena arena, keep;
	struct batch batch;
	struct inlet inlet;
	struct work_task task;
	enum recv_want want;
	bool judging, on_worker;
	bool asked;     /* next was called at least once */
	bool stuck;     /* it needs more than there is */
	bool of_sink;   /* the error: nothing is wrong with the request */
	size_t upto;    /* the decoder may read so far */
	size_t turn;    /* bytes that were read in it */
	size_t charged; /* for a batch and what it points at */
	struct errbuf eb;
	struct recv_end end;
	char first[512];
};

static void look_upto(struct recv *x);
static void read_on(struct recv *x);
static void was_read(struct recv *x);
static void appended(struct inlet *i);
static void finish(struct recv *x);

/* --- RECV --- */

bool recv_is_off(struct req *r, enum receiver which)
{
	const struct recv_conf *c = api_conf(r)->recv;
	if (!c || !c->off[which])
		return false;
	req_reply_text(
	    r, 404, "404 page not found: receivers.%s.enabled is false\n", receiver_name[which]);
	return true;
}

static void tell(struct req *r, enum refusal what, const char *example)
{
	refusals_tell(&api_loop_of(r)->refusals, what, r, example);
}

static enum err pack_of(
    const struct req *r, const struct recv_kind *k, unsigned *out, struct errbuf *eb)
{
	size_t len = 0;
	const char *encoding = req_header(r, "content-encoding", &len);
	return recvpack_of(encoding, encoding ? len : 0, k->packs, out, eb);
}

static void count_later(struct req *r, const struct recv_end *e)
{
	char text[ERRBUF_SIZE];
	recv_why(r, e, text, sizeof(text));
	metric_add(M_WRITE_REFUSED_LATER, 1);
	tell(r, REFUSAL_LATER, text);
}

bool recv_before(struct req *r, const struct recv_kind *k)
{
	struct errbuf eb;
	unsigned bits;
	struct recv_end e = { .text = "", .record = k->decoder->record };
	errbuf_init(&eb);
	if (recv_is_off(r, k->receiver))
		return false;
	e.err = pack_of(r, k, &bits, &eb);
	if (e.err) {
		e.word = "unsupported";
		e.text = eb.text;
		metric_add(M_WRITE_REFUSED_TYPE, 1);
		tell(r, REFUSAL_TYPE, eb.text);
	} else {
		e.err = sink_accepts(api_of(r)->sink, &e.retry_after_s);
		if (e.err)
			count_later(r, &e);
	}
	if (e.err)
		k->reply(r, &e);
	return !e.err;
}

static struct recvtext_of text_of(const struct recv *x)
{
	const struct req *r = x->req;
	struct recvtext_of of = { .form = RECVTEXT_PACKED,
		.lines = x->kind->decoder->lines,
		.record = x->kind->decoder->record,
		.limits = x->d.limits };
	unsigned bits;
	if (pack_of(r, x->kind, &bits, NULL)) /* recv_before has looked */
		bits = RECV_IDENTITY;
	switch (recvpack_seen(bits, r->body, r->body_len)) {
	case RECV_IDENTITY:
		of.form = RECVTEXT_PLAIN;
		break;
	case RECV_SNAPPY:
		of.form = RECVTEXT_BLOCK;
		break;
	case RECV_GZIP:
		of.packed = UNPACK_GZIP;
		break;
	case RECV_DEFLATE:
		of.packed = UNPACK_DEFLATE;
		break;
	case RECV_ZSTD:
		of.packed = UNPACK_ZSTD;
		break;
	case RECV_SNAPPY_FRAMED:
		of.packed = UNPACK_SNAPPY_FRAMED;
		break;
	}
	return of;
}

void recv_release(struct recv *x)
{
	if (x->kind->decoder->end && x->d.own)
		x->kind->decoder->end(&x->d);
	recvtext_release(&x->text);
	batch_release(&x->batch);
	arena_release(&x->arena);
	arena_release(&x->keep);
}

static void sent(struct req *r)
{
	recv_release(r->own);
}

static void begin(struct recv *x, struct req *r, const struct recv_kind *k)
{
	x->req = r;
	x->kind = k;
	arena_init(&x->arena, ARENA_FIRST);
	arena_init(&x->keep, ARENA_FIRST);
	batch_init(&x->batch);
	errbuf_init(&x->eb);
	x->batch.tenant = r->tenant;
	x->end = (struct recv_end){ .text = x->eb.text,
		.record = k->decoder->record,
		.decode = &x->d,
		.first_text = x->first };
	x->d = (struct decode){ .limits = limits_here(),
		.now_ms = loop_now_ms(r->loop),
		.arena = &x->arena,
		.keep = &x->keep,
		.batch = &x->batch };
}

/* Charged before it is taken: what unpacks, and of a large body a whole batch. */
static bool charge_first(struct recv *x, const struct recvtext_of *of)
{
	size_t text = 0;
	if (of->form == RECVTEXT_PACKED)
		text = RECVTEXT_FIRST + unpack_memory(of->packed);
	if (x->on_worker)
		x->charged = DECODE_ROWS * ROW_BYTES;
	return req_charge(x->req, text + x->charged);
}

static void go(struct recv *x, const struct recvtext_of *of, const uint8_t *body, size_t len)
{
	x->judging = x->d.strict;
	x->on_worker = len > HERE_BYTES;
	x->end.err = charge_first(x, of) ? recvtext_open(&x->text, of, body, len, &x->eb) : ERR_BUSY;
	look_upto(x);
	if (x->end.err)
		finish(x);
	else
		read_on(x);
}

void recv_write(struct req *r, const struct recv_kind *k)
{
	struct recv *x = arena_zalloc(&r->arena, sizeof(*x));
	metric_add(M_WRITE_REQUESTS, 1);
	recvcount_came(k->receiver, r->body_len);
	begin(x, r, k);
	r->own = x;
	r->on_done = sent;
	if (k->open && !k->open(r, &x->d))
		return;
	struct recvtext_of of = text_of(x);
	go(x, &of, r->body, r->body_len);
}

void recv_message(
    struct req *r, const struct recv_kind *k, const uint8_t *body, size_t len, struct recv **out)
{
	struct recv *x = arena_zalloc(&r->arena, sizeof(*x));
	metric_add(M_WRITE_REQUESTS, 1);
	recvcount_came(k->receiver, len);
	begin(x, r, k);
	*out = x;
	if (k->open && !k->open(r, &x->d))
		return;
	struct recvtext_of of = { .form = RECVTEXT_PLAIN,
		.lines = k->decoder->lines,
		.record = k->decoder->record,
		.limits = x->d.limits };
	go(x, &of, body, len);
}

/* --- READS --- */

/* The decoder's part of what there is: of lines up to the end of one, unless it is the last. */
static void look_upto(struct recv *x)
{
	const struct recvtext *t = &x->text;
	const uint8_t *lf = NULL;
	x->stuck = false;
	x->upto = t->len;
	if (t->ended)
		return;
	if (x->kind->decoder->lines && t->len > t->at)
		lf = memrchr(t->data + t->at, '\n', t->len - t->at);
	x->upto = lf ? (size_t)(lf - t->data) + 1 : t->at;
}

static bool can_decode(const struct recv *x)
{
	const struct recvtext *t = &x->text;
	if (!x->kind->decoder->lines && t->ended && !x->asked)
		return true;
	return !x->stuck && t->at < x->upto;
}

static enum err ends_inside(struct recv *x)
{
	return errbuf_set(
	    &x->eb, ERR_TRUNCATED, "the body ends inside a %s", x->kind->decoder->record);
}

static enum err decode(struct recv *x)
{
	static const uint8_t nothing[1];
	struct recvtext *t = &x->text;
	const uint8_t *from = t->data ? t->data + t->at : nothing, *p = from;
	size_t rows = x->batch.rows_count, metas = x->batch.metas_count,
	       exemplars = x->batch.exemplars_count;
	x->asked = true;
	enum err e = x->kind->decoder->next(&x->d, &p, from + (x->upto - t->at), t->ended, &x->eb);
	size_t took = (size_t)(p - from);
	if (x->d.extra_count)
		recvextra_set(&x->batch, rows, exemplars, x->d.extra, x->d.extra_count, &x->arena);
	CHECK(took <= x->upto - t->at);
	t->at += took;
	x->turn += took;
	if (e || took || x->batch.rows_count != rows || x->batch.metas_count != metas ||
	    x->batch.exemplars_count != exemplars)
		return e;
	x->stuck = true;
	return t->ended && t->at < t->len ? ends_inside(x) : ERR_OK;
}

/* More text; ERR_AGAIN: it needs memory. */
static enum err more(struct recv *x)
{
	struct recvtext *t = &x->text;
	enum err e = recvtext_more(t, &x->eb);
	if (e == ERR_AGAIN)
		return e;
	look_upto(x);
	return e;
}

static bool is_over(const struct recv *x)
{
	return x->text.ended && !can_decode(x);
}

/* So much is no turn of a loop: a worker has the rest. */
static bool too_long(const struct recv *x, size_t turn_bytes)
{
	return x->turn >= turn_bytes || (!x->on_worker && x->text.len - x->text.at > HERE_BYTES);
}

static void read_some(struct recv *x, size_t turn_bytes)
{
	enum err e = ERR_OK;
	x->turn = 0;
	x->want = WANT_STORE;
	while (!decode_full(&x->d)) {
		if (too_long(x, turn_bytes)) {
			x->on_worker = true;
			return;
		}
		if (is_over(x)) {
			x->want = WANT_END;
			return;
		}
		e = can_decode(x) ? decode(x) : more(x);
		if (e) {
			x->want = e == ERR_AGAIN ? WANT_ROOM : WANT_END;
			x->end.err = e == ERR_AGAIN ? ERR_OK : e;
			return;
		}
	}
}

static void run_on_worker(struct work_task *t)
{
	read_some(CONTAINER_OF(t, struct recv, task), DECODE_TURN);
}

static void run_done(struct work_task *t)
{
	was_read(CONTAINER_OF(t, struct recv, task));
}

static void work_on(struct recv *x)
{
	x->task = (struct work_task){ .run = run_on_worker, .done = run_done, .prio = WORK_READ };
	work_submit(api_of(x->req)->opts.pool, &x->task);
}

static void read_on(struct recv *x)
{
	if (x->on_worker) {
		work_on(x);
		return;
	}
	read_some(x, HERE_BYTES);
	was_read(x);
}

/* --- STORES --- */

static void busy(struct recv *x)
{
	x->end.err = ERR_BUSY;
	finish(x);
}

/* So many bytes for a batch in all; what was charged for one before serves the next. */
static bool charge_batch(struct recv *x, size_t bytes)
{
	if (bytes <= x->charged)
		return true;
	if (!req_charge(x->req, bytes - x->charged))
		return false;
	x->charged = bytes;
	return true;
}

static size_t batch_bytes(const struct recv *x)
{
	const struct batch *b = &x->batch;
	return b->rows_count * ROW_BYTES + b->metas_count * sizeof(struct batch_meta) +
	    b->exemplars_count * sizeof(struct batch_exemplar) + b->extras_bytes +
	    arena_used(&x->arena) + arena_used(&x->keep) + x->d.held;
}

static bool is_empty(const struct batch *b)
{
	return !b->rows_count && !b->metas_count && !b->exemplars_count;
}

static void batch_next(struct recv *x)
{
	batch_clear(&x->batch);
	arena_reset(&x->arena, ARENA_KEEP);
}

static void go_on(struct recv *x)
{
	batch_next(x);
	if (x->end.err || x->req->gone || x->want == WANT_END)
		finish(x);
	else if (x->on_worker && !charge_batch(x, DECODE_ROWS * ROW_BYTES + x->d.held))
		busy(x);
	else
		read_on(x);
}

/* It was only judged: from the begin again, unless something is wrong with it. */
static void judged(struct recv *x)
{
	batch_next(x);
	if (x->want != WANT_END) {
		go_on(x);
		return;
	}
	if (x->end.err || x->d.bad || x->req->gone) {
		finish(x);
		return;
	}
	if (x->kind->decoder->end && x->d.own)
		x->kind->decoder->end(&x->d);
	arena_reset(&x->keep, ARENA_KEEP);
	x->d.own = NULL;
	x->d.records = x->d.skipped = 0;
	x->judging = x->asked = false;
	x->end.err = recvtext_again(&x->text);
	look_upto(x);
	if (x->end.err)
		finish(x);
	else
		read_on(x);
}

static void append(struct recv *x)
{
	x->inlet = (struct inlet){ .req = { .batch = &x->batch },
		.receiver = x->kind->receiver,
		.arena = &x->arena,
		.done = appended };
	x->end.rows += x->batch.rows_count;
	inlet_append(api_of(x->req), &x->inlet);
}

static void was_read(struct recv *x)
{
	if (x->want == WANT_ROOM) {
		x->end.err = req_charge(x->req, x->text.wants) ? recvtext_grow(&x->text) : ERR_BUSY;
		if (x->end.err)
			finish(x);
		else
			read_on(x);
	} else if (x->judging) {
		judged(x);
	} else if (!charge_batch(x, batch_bytes(x))) {
		busy(x);
	} else if (is_empty(&x->batch)) {
		go_on(x);
	} else {
		append(x);
	}
}

static void first_refused(struct recv *x, struct sink_req *s)
{
	x->end.first_reason = s->first_reason;
	snprintf(x->first, sizeof(x->first), "%.*s",
	    (int)rune_whole(s->first_text, strlen(s->first_text)), s->first_text);
}

static void appended(struct inlet *i)
{
	struct recv *x = CONTAINER_OF(i, struct recv, inlet);
	struct sink_req *s = &i->req;
	struct recv_end *e = &x->end;
	if (s->err) {
		e->err = s->err;
		e->retry_after_s = s->retry_after_s;
		errbuf_init(&x->eb);
		(void)errbuf_set(&x->eb, s->err, "%.*s",
		    (int)rune_whole(s->first_text, strlen(s->first_text)), s->first_text);
		x->of_sink = true;
		finish(x);
		return;
	}
	tenantstat_wrote(api_of(x->req)->tenantstat, x->req->tenant, s->stored, s->refused);
	doctornotes_wrote(&api_loop_of(x->req)->notes, x->req, s);
	if (s->refused && !e->refused)
		first_refused(x, s);
	e->stored += s->stored;
	e->refused += s->refused;
	e->dropped += i->dropped;
	e->ha_duplicate = i->ha_duplicate;
	e->hists += s->hists;
	e->exemplars += s->exemplars;
	e->exemplars_refused += s->exemplars_refused;
	go_on(x);
}

/* --- REPLY --- */

/* What is wrong with the request, in a word; NULL: it may come again. */
static const char *word_of(enum err e)
{
	switch ((int)e) {
	case ERR_MALFORMED:
	case ERR_TRUNCATED:
	case ERR_BADDATA:
		return "bad_body";
	case ERR_UNSUPPORTED:
		return "unsupported";
	case ERR_TOOBIG:
		return "too_large";
	default:
		return NULL;
	}
}

static void count_end(struct recv *x)
{
	struct req *r = x->req;
	const struct recv_end *e = &x->end;
	const struct decode *d = &x->d;
	char text[DECODE_BAD_TEXT + 32];
	metric_observe_ns(M_WRITE_SECONDS, loop_now_ns(r->loop) - r->start_ns);
	recvcount_read(x->kind->receiver, e->rows, d->bad);
	if (e->err && !e->word) {
		count_later(r, e);
		door_wrote(r, DOOR_AGAIN, 0);
		return;
	}
	door_wrote(r, e->err && !e->rows ? DOOR_BROKEN : DOOR_STORED, e->rows);
	if (e->err) {
		metric_add(M_WRITE_REFUSED_BODY, 1);
		tell(r, REFUSAL_BODY, e->text);
	}
	if (d->bad) {
		rune_printf(
		    text, sizeof(text), "%s: %s", receiver_name[x->kind->receiver], d->bad_text);
		tell(r, REFUSAL_RECORDS, text);
	}
	if (e->refused)
		tell(r, REFUSAL_SAMPLES + e->first_reason, e->first_text);
	metric_add(M_WRITE_PARTIAL, e->stored && !recv_whole(e));
}

static void finish(struct recv *x)
{
	struct recv_end *e = &x->end;
	e->word = e->err && !x->of_sink ? word_of(e->err) : NULL;
	if (e->word && !e->text[0])
		(void)errbuf_set(&x->eb, e->err, "the body is no such thing as this path takes");
	count_end(x);
	x->kind->reply(x->req, e);
}
