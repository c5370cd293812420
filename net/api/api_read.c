#include "net/api/api_read.h"

#include "core/base/wire.h"
#include "core/rt/job.h"
#include "net/api/apierr.h"
#include "net/api/outpour.h"
#include "proto/rread.h"
#include "proto/snapz.h"

#include <inttypes.h>
#include <stdio.h>

#define LOOP_BYTES    (4u << 10) /* of a body that the loop reads itself */
#define ARENA_FIRST   4096u
#define PIECE_BYTES   (64u << 10)
#define TYPE_SAMPLES  "application/x-protobuf"
#define TYPE_STREAMED "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"

struct fragment { /* of a packed answer */
	struct fragment *next;
	size_t len;
	uint8_t data[];
};
struct result {       /* of a query */
	uint64_t len; /* of the message, not packed */
	struct fragment *first, **last;
};

/*
 * SAMPLES: a job at home takes what the pour gives, packs it in parts of 64 KiB, and goes on to the
 * next query when the pour is gone.
 */
struct collect {
	struct pour *pour;
	struct pour_opts opts;
	struct job job;
	struct loop_deferred over;
	struct buf plain, packed; /* a part */
	const uint8_t *bytes;     /* of the pour, not yet taken */
	size_t len;
	uint64_t samples; /* of the queries before */
	uint64_t told;    /* that the ticket knows of */
	bool closing, ended, grows;
	enum err err;
	char text[256];
	struct result *results;
	/* of the answer */
	uint32_t total;
	size_t at; /* result that is given */
	struct fragment *next;
	bool begun;
};
struct read { /* in the request's arena */
	struct outpour out;
	struct ask ask;
	struct arena arena; /* the request, its patterns, packed answers: of the ticket's purse */
	const struct limits *limits;
	uint64_t samples_max;
	struct rread asked;
	size_t query; /* the one at hand */
	struct param_sets sets;
	struct param_matchers set;
	struct collect c;
	enum err err; /* of reading the request */
	struct errbuf eb;
};

static struct read *of(const struct req *r)
{
	return CONTAINER_OF(r->own, struct read, out);
}

/* --- both: one query --- */

static void query_opts(struct read *x, struct pour_opts *o)
{
	const struct rread_query *q = &x->asked.queries[x->query];
	const struct req *r = x->ask.req;
	x->set = (struct param_matchers){ .items = q->matchers, .count = q->matchers_count };
	x->sets = (struct param_sets){ .sets = &x->set, .count = 1 };
	o->sets = &x->sets;
	o->t_min_ms = q->start_ms < PARAM_TIME_MIN ? PARAM_TIME_MIN : q->start_ms;
	o->t_max_ms = q->end_ms > PARAM_TIME_MAX ? PARAM_TIME_MAX : q->end_ms;
	o->tenants = r->tenants;
	o->tenants_count = r->tenants_count;
	o->sorted = true;
	o->labels_only = q->labels_only;
	o->encode_arg = x;
}

static uint32_t until(const struct source_item *item, uint32_t at)
{
	uint32_t left = item->col.count - at;
	return at + (left < POUR_SAMPLES ? left : POUR_SAMPLES);
}

/* --- STREAMED: on the loops of shards --- */

static bool put_frames(
    const void *arg, const struct source_item *item, uint32_t *at, size_t *own, struct buf *out)
{
	const struct read *x = arg;
	uint32_t stop = until(item, *at);
	if (*at == 0)
		*own = rread_frame_begin(out, item->labels);
	while (*at < stop && !out->over) {
		*at += rread_frame_chunk(out, &item->col, *at);
		if (*at == item->col.count || !rread_frame_full(out, *own))
			continue;
		rread_frame_end(out, *own, (uint32_t)x->query);
		*own = rread_frame_begin(out, item->labels);
	}
	if (*at < item->col.count)
		return false;
	rread_frame_end(out, *own, (uint32_t)x->query);
	return true;
}

static bool next_query(struct outpour *o)
{
	struct read *x = CONTAINER_OF(o, struct read, out);
	if (x->query + 1 >= x->asked.count)
		return false;
	x->query++;
	query_opts(x, &o->opts);
	return true;
}

static void stream(struct read *x)
{
	x->out.ask = &x->ask;
	x->out.content_type = TYPE_STREAMED;
	x->out.next = next_query;
	x->out.opts.encode = put_frames;
	query_opts(x, &x->out.opts);
	outpour_start(&x->out);
}

/* --- SAMPLES: on the loops of shards --- */

static bool put_samples(
    const void *arg, const struct source_item *item, uint32_t *at, size_t *own, struct buf *out)
{
	uint32_t stop = until(item, *at);
	(void)arg;
	if (*at == 0)
		*own = rread_series_begin(out, item->labels);
	rread_series_samples(out, &item->col, *at, stop);
	*at = stop;
	if (stop < item->col.count)
		return false;
	rread_series_end(out, *own);
	return true;
}

/* --- SAMPLES: at home --- */

static void collect_ready(void *arg);
static void collect_gone(void *arg);
static enum req_pull pull(struct req *r, struct buf *out);

static void collect_open(struct read *x)
{
	struct collect *c = &x->c;
	struct result *result = &c->results[x->query];
	result->last = &result->first;
	query_opts(x, &c->opts);
	c->opts.encode = put_samples;
	c->opts.ticket = x->ask.ticket;
	c->opts.ready = collect_ready;
	c->opts.gone = collect_gone;
	c->opts.arg = x;
	c->pour = pour_start(api_of(x->ask.req)->source, &c->opts);
}

static void collect_close(struct collect *c)
{
	if (c->closing || !c->pour)
		return;
	c->closing = true;
	pour_end(c->pour);
}

static void collect_fail(struct collect *c, enum err e, const char *text)
{
	if (!c->err) {
		c->err = e;
		snprintf(c->text, sizeof(c->text), "%s", text);
	}
	c->len = 0;
	collect_close(c);
}

static void collect_ready(void *arg)
{
	struct read *x = arg;
	job_wake(&x->c.job);
}

static void collect_gone(void *arg)
{
	struct read *x = arg;
	struct collect *c = &x->c;
	c->pour = NULL;
	c->closing = false;
	if (!c->err && x->query + 1 < x->asked.count) {
		x->query++;
		collect_open(x);
		return;
	}
	c->ended = true;
	job_wake(&c->job);
}

/* The part goes to the results; its memory was asked for. */
static void pack(struct read *x)
{
	struct collect *c = &x->c;
	struct result *result = &c->results[x->query];
	if (!c->plain.len)
		return;
	buf_clear(&c->packed);
	snapz_encode_part(&c->packed, c->plain.data, c->plain.len);
	struct fragment *f = arena_alloc(&x->arena, sizeof(*f) + c->packed.len);
	f->next = NULL;
	f->len = c->packed.len;
	memcpy(f->data, c->packed.data, f->len);
	*result->last = f;
	result->last = &f->next;
	result->len += c->plain.len;
	buf_clear(&c->plain);
}

static void take(struct read *x)
{
	struct collect *c = &x->c;
	size_t room = SNAPZ_PART - c->plain.len, n = c->len < room ? c->len : room;
	buf_add(&c->plain, c->bytes, n);
	c->bytes += n;
	c->len -= n;
	if (c->plain.len == SNAPZ_PART)
		pack(x);
}

static void grown(void *arg)
{
	struct read *x = arg;
	x->c.grows = false;
	job_wake(&x->c.job);
}

/* True: it waits for a heavy place. */
static bool too_heavy(struct read *x, uint64_t samples)
{
	struct collect *c = &x->c;
	uint64_t more = samples - c->told;
	c->told = samples;
	if (!more || !ticket_touched(x->ask.ticket, more) ||
	    ticket_class(x->ask.ticket) == TICKET_HEAVY)
		return false;
	c->grows = !ticket_grow(x->ask.ticket, grown, x);
	return c->grows;
}

static bool judge_samples(struct read *x)
{
	struct collect *c = &x->c;
	uint64_t samples = c->samples + pour_samples(c->pour);
	char text[80];
	if (samples > x->samples_max) {
		snprintf(text, sizeof(text), "exceeded sample limit (%" PRIu64 ")", x->samples_max);
		collect_fail(c, ERR_BADDATA, text);
		return false;
	}
	return !too_heavy(x, samples);
}

/* What the pour has next; false: nothing now. */
static bool advance(struct read *x)
{
	struct collect *c = &x->c;
	const char *text;
	if (!judge_samples(x))
		return false;
	switch (pour_next(c->pour, &c->bytes, &c->len)) {
	case POUR_BYTES:
		return true;
	case POUR_LATER:
		return false;
	case POUR_END:
		pack(x);
		c->samples += pour_samples(c->pour);
		collect_close(c);
		return false;
	case POUR_FAILED: {
		enum err e = pour_err(c->pour, &text);
		collect_fail(c, e, text);
		return false;
	}
	}
	return false;
}

static void collect_over(struct loop_deferred *d);

static enum job_state collect_run(struct job *j)
{
	struct read *x = CONTAINER_OF(j, struct read, c.job);
	struct collect *c = &x->c;
	for (;;) {
		if (c->ended) {
			c->over.fn = collect_over;
			loop_defer(x->ask.req->loop, &c->over);
			return JOB_DONE;
		}
		if (c->closing || !c->pour || c->grows)
			return JOB_WAIT;
		if (purse_over(ticket_purse(x->ask.ticket))) {
			errbuf_init(&x->eb);
			enum err e = ticket_no_room(ticket_purse(x->ask.ticket), 0, &x->eb);
			collect_fail(c, e, x->eb.text);
			continue;
		}
		if (c->len)
			take(x);
		else if (!advance(x))
			return JOB_WAIT;
		if (job_should_yield())
			return JOB_YIELD;
	}
}

static size_t head_len(uint64_t len)
{
	return 1 + wire_varint_len(len);
}

/* What the answer unpacks to: false when a snappy block cannot say so. */
static bool total_len(struct read *x)
{
	uint64_t total = 0;
	for (size_t i = 0; i < x->asked.count; i++)
		total += head_len(x->c.results[i].len) + x->c.results[i].len;
	x->c.total = (uint32_t)total;
	return total <= UINT32_MAX;
}

static void collect_over(struct loop_deferred *d)
{
	struct read *x = CONTAINER_OF(d, struct read, c.over);
	struct req *r = x->ask.req;
	ask_worked_out(&x->ask);
	buf_release(&x->c.plain);
	buf_release(&x->c.packed);
	if (x->c.err) {
		apierr_json(r, x->c.err, x->c.text, strlen(x->c.text));
	} else if (!total_len(x)) {
		apierr_jsonf(r, ERR_TOOBIG,
		    "the answer takes more than 4 GiB, ask for STREAMED_XOR_CHUNKS or for less");
	} else if (!req_hold(r, arena_used(&x->arena))) {
		req_refuse_overloaded(r, "too many answers wait for their readers");
	} else {
		req_answer_field(r, "content-encoding", "snappy");
		req_reply_stream(r, 200, TYPE_SAMPLES, pull);
		return;
	}
	rread_release(&x->asked);
	arena_release(&x->arena); /* however long the client takes to read why */
}

/* The head of a result, packed by itself. */
static void result_head(struct buf *out, uint64_t len)
{
	struct buf head;
	buf_init(&head);
	buf_add_u8(&head, 0x0a);
	wire_put_varint(&head, len);
	snapz_encode_part(out, head.data, head.len);
	buf_release(&head);
}

static enum req_pull pull(struct req *r, struct buf *out)
{
	struct read *x = of(r);
	struct collect *c = &x->c;
	size_t full = out->len + PIECE_BYTES;
	if (!c->begun)
		snapz_put_length(out, c->total);
	while (out->len < full) {
		if (c->next) {
			buf_add(out, c->next->data, c->next->len);
			c->next = c->next->next;
			continue;
		}
		c->at += c->begun;
		c->begun = true;
		if (c->at >= x->asked.count)
			return REQ_END;
		result_head(out, c->results[c->at].len);
		c->next = c->results[c->at].first;
	}
	return REQ_MORE;
}

static void collect(struct read *x)
{
	struct collect *c = &x->c;
	c->results = arena_zalloc(&x->arena, x->asked.count * sizeof(*c->results));
	buf_init(&c->plain);
	buf_init(&c->packed);
	job_init(&c->job, JOB_QUERY, collect_run);
	job_group(&c->job, x->ask.ticket);
	job_start(x->ask.req->loop, &c->job);
	collect_open(x);
}

/* --- the request --- */

/* On the loop or on a worker. */
static void make(struct ask *a)
{
	struct read *x = CONTAINER_OF(a, struct read, ask);
	const struct req *r = a->req;
	size_t len;
	char limit[LIMITS_TEXT_MAX];
	errbuf_init(&x->eb);
	arena_purse(&x->arena, ticket_purse(a->ticket));
	x->err = snapz_length(r->body, r->body_len, &len);
	if (!x->err && len > x->limits->http_form_bytes) {
		x->err = errbuf_set(&x->eb, ERR_BADDATA, "the request decodes to %zu bytes, %s",
		    len, limits_text(x->limits, LIMITS_http_form_bytes, limit));
		return;
	}
	uint8_t *plain = x->err ? NULL : arena_alloc(&x->arena, len + SNAPZ_SLOP);
	if (!x->err)
		x->err = snapz_decode(r->body, r->body_len, plain, len);
	if (x->err)
		x->err = errbuf_set(&x->eb, ERR_BADDATA, "the body is no snappy block");
	else
		x->err = rread_decode(&x->arena, plain, len, x->limits, &x->asked, &x->eb);
}

/* No query was asked. */
static void reply_nothing(struct read *x)
{
	static const char block[1] = { 0 }; /* of no bytes */
	struct req *r = x->ask.req;
	if (x->asked.streamed) {
		req_reply(r, 200, TYPE_STREAMED, NULL, 0, REQ_BORROW);
		return;
	}
	req_answer_field(r, "content-encoding", "snappy");
	req_reply(r, 200, TYPE_SAMPLES, block, sizeof(block), REQ_BORROW);
}

static void made(struct ask *a)
{
	struct read *x = CONTAINER_OF(a, struct read, ask);
	if (!x->err && a->left)
		x->err = errbuf_set(&x->eb, ERR_CANCELED, "query was canceled in query execution");
	if (!x->err && !x->asked.supported)
		x->err = errbuf_set(&x->eb, ERR_BADDATA,
		    "server does not support any of the requested response types; supported: map[SAMPLES:{} STREAMED_XOR_CHUNKS:{}]");
	bool over = purse_over(ticket_purse(a->ticket));
	if (x->err || over || !x->asked.count) {
		ask_worked_out(a);
		if (over)
			ask_no_room(a);
		else if (x->err)
			apierr_json(a->req, x->err, x->eb.text, strlen(x->eb.text));
		else
			reply_nothing(x);
		return;
	}
	if (x->asked.streamed)
		stream(x);
	else
		collect(x);
}

static void go(struct ask *a)
{
	struct read *x = CONTAINER_OF(a, struct read, ask);
	x->limits = limits_here();
	ask_work(a, a->req->body_len > LOOP_BYTES, make, made);
}

static void stop(struct read *x, enum err e)
{
	static const char late_text[] = "query timed out in query execution",
	                  left_text[] = "query was canceled in query execution";
	if (x->asked.streamed)
		outpour_stop(&x->out, e);
	else if (x->c.pour && !x->c.ended)
		collect_fail(&x->c, e, e == ERR_TIMEOUT ? late_text : left_text);
}

static void late(struct ask *a)
{
	stop(CONTAINER_OF(a, struct read, ask), ERR_TIMEOUT);
}

static void left(struct req *r)
{
	struct read *x = of(r);
	if (!ask_left(&x->ask))
		stop(x, ERR_CANCELED);
}

static void sent(struct req *r)
{
	struct read *x = of(r);
	rread_release(&x->asked);
	arena_release(&x->arena);
	ask_end(&x->ask);
}

void api_read(struct req *r)
{
	struct read *x = arena_zalloc(&r->arena, sizeof(*x));
	arena_init(&x->arena, ARENA_FIRST);
	x->samples_max = api_query_samples(r);
	x->ask.go = go;
	x->ask.late = late;
	r->own = &x->out;
	r->on_gone = left;
	r->on_done = sent;
	ask_start(&x->ask, r, api_timeout_ms(r), "remote read", strlen("remote read"));
}
