#include "net/api/api_import.h"

#include "core/base/metric.h"
#include "core/base/rune.h"
#include "core/model/tenant.h"
#include "net/api/apierr.h"
#include "net/api/tenantstat.h"
#include "proto/gunz.h"
#include "proto/importl.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#define BATCH_ROWS  8192u
#define ROW_BYTES   (sizeof(struct batch_row) + 56u) /* here and behind the sink, as api_write */
#define ARENA_FIRST 4096u
#define ARENA_KEEP  (64u << 10)
#define TEXT_FIRST  (128u << 10) /* of unpacked text; grows to hold one line */
#define TURN_BYTES  (1u << 20)   /* of text that a worker takes at once, or one line */
#define UNPACKED    64u          /* times write_body_bytes: more is no honest body */

/*
 *   READS (a worker) > STORES (the sink) > READS ... > answered
 *     \ ROOM: a line needs more than there is: charged on the loop, read on
 *     \ a turn is over and there are no rows: read on, unless the client has left
 */
enum import_want {
	WANT_STORE, /* a batch is full, or has taken its turn: there may be more */
	WANT_ROOM,
	WANT_END /* it is the last one, or there is an error */
};
struct import { /* in the request's arena */
	struct req *req;
	const struct limits *limits;
	struct work_task task;
	struct arena arena; /* of labels of a batch */
	struct batch batch;
	struct sink_req sink;
	enum import_want want;
	/* the body */
	size_t at; /* of it, taken */
	struct gunz *gunz;
	uint8_t *text; /* unpacked, in part */
	size_t text_len, text_cap, text_at;
	size_t looked; /* so many bytes behind text_at hold no end of a line */
	uint64_t unpacked;
	size_t turn; /* bytes of text that were taken in it */
	bool ended;  /* no more text will come */
	/* the line at hand */
	struct importl line;
	struct buf labels; /* of it, from one batch to the next */
	uint64_t lines, bad_lines;
	bool line_open;
	enum err err; /* of the whole body */
	char why[300], bad[300];
	/* what became of it */
	uint64_t rows, stored, refused;
	enum sink_reason reason;
	char first[512];
};

static void work_on(struct import *x);
static void read_some(struct work_task *t);
static void was_read(struct work_task *t);
static void stored(struct sink_req *s);
static void reply(struct import *x);

/* --- RECV --- */

static bool is_gzip(const struct req *r, bool *known)
{
	size_t len;
	const char *encoding = req_header(r, "content-encoding", &len);
	bool gzip = encoding && (!strcasecmp(encoding, "gzip") || !strcasecmp(encoding, "x-gzip"));
	*known = !encoding || !len || gzip || !strcasecmp(encoding, "identity");
	return gzip;
}

bool api_import_before(struct req *r)
{
	uint32_t retry_after_s = 0;
	bool known;
	(void)is_gzip(r, &known);
	if (!known) {
		req_refuse(r, 415, "unsupported", "Content-Encoding must be gzip, or none");
		return false;
	}
	enum err err = sink_accepts(api_of(r)->sink, &retry_after_s);
	if (!err)
		return true;
	metric_add(M_WRITE_REFUSED_LATER, 1);
	apierr_write(r, err, retry_after_s);
	return false;
}

static void sent(struct req *r)
{
	struct import *x = r->own;
	gunz_free(x->gunz);
	mem_free(x->text);
	batch_release(&x->batch);
	buf_release(&x->labels);
	arena_release(&x->arena);
}

void api_import(struct req *r)
{
	struct import *x = arena_zalloc(&r->arena, sizeof(*x));
	bool known, gzip = is_gzip(r, &known);
	metric_add(M_WRITE_REQUESTS, 1);
	x->req = r;
	x->limits = limits_here();
	arena_init(&x->arena, ARENA_FIRST);
	batch_init(&x->batch);
	buf_init(&x->labels);
	r->own = x;
	r->on_done = sent;
	bool room = req_charge(r, BATCH_ROWS * ROW_BYTES + (gzip ? 2 * TEXT_FIRST : 0));
	if (!room || (gzip && gunz_create(GZ_GZIP, &x->gunz))) {
		x->err = ERR_BUSY;
		reply(x);
		return;
	}
	if (gzip) {
		x->text_cap = TEXT_FIRST;
		x->text = mem_alloc(x->text_cap);
	}
	work_on(x);
}

/* --- READS: on a worker --- */

static void work_on(struct import *x)
{
	x->task = (struct work_task){ .run = read_some, .done = was_read, .prio = WORK_READ };
	work_submit(api_of(x->req)->opts.pool, &x->task);
}

static void body_wrong(struct import *x, enum err e, const char *what)
{
	if (x->err)
		return;
	snprintf(x->why, sizeof(x->why), "%s, at byte %zu", what, x->at);
	x->err = e;
}

static void too_much(struct import *x)
{
	char limit[LIMITS_TEXT_MAX], text[LIMITS_TEXT_MAX + 64];
	snprintf(text, sizeof(text), "the body unpacks to more than %u times the %s", UNPACKED,
	    limits_text(x->limits, LIMITS_write_body_bytes, limit));
	body_wrong(x, ERR_TOOBIG, text);
}

/* Some more text behind what there is; false: no room, or an error. */
static bool unpack(struct import *x)
{
	const struct req *r = x->req;
	size_t used = 0, len = 0;
	if (x->text_at)
		memmove(x->text, x->text + x->text_at, x->text_len - x->text_at);
	x->text_len -= x->text_at;
	x->text_at = 0;
	if (x->text_cap - x->text_len < GUNZ_STEP) {
		x->want = WANT_ROOM;
		return false;
	}
	enum err e = gunz_next(
	    x->gunz, r->body + x->at, r->body_len - x->at, &used, x->text + x->text_len, &len);
	x->at += used;
	x->text_len += len;
	x->unpacked += len;
	if (x->unpacked / UNPACKED > x->limits->write_body_bytes)
		too_much(x);
	if (e)
		body_wrong(x, e, "the body is no gzip");
	else if (!used && !len && !gunz_whole(x->gunz))
		body_wrong(x, ERR_TRUNCATED, "the body ends inside its gzip");
	x->ended |= !used && !len;
	return !x->err;
}

/* The next whole line; false: none is left, no room, or an error. */
static bool next_line(struct import *x, const char **line, size_t *len)
{
	const struct req *r = x->req;
	for (;;) {
		const char *from =
		    x->gunz ? (const char *)x->text + x->text_at : (const char *)r->body + x->at;
		size_t left = x->gunz ? x->text_len - x->text_at : r->body_len - x->at;
		size_t skip = x->gunz ? x->looked : 0;
		const char *end = left > skip ? memchr(from + skip, '\n', left - skip) : NULL;
		x->looked = left;
		if (end || (left && (!x->gunz || x->ended))) {
			*line = from;
			*len = end ? (size_t)(end - from) : left;
			*(x->gunz ? &x->text_at : &x->at) += *len + (end != NULL);
			x->turn += *len + 1;
			x->looked = 0;
			return true;
		}
		if (!x->gunz || x->ended || !unpack(x))
			return false;
	}
}

static bool is_blank(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
			return false;
	return true;
}

static void bad_line(struct import *x, const struct errbuf *eb)
{
	x->line_open = false;
	if (x->bad_lines++ == 0)
		rune_printf(x->bad, sizeof(x->bad), "line %" PRIu64 ": %s", x->lines, eb->text);
}

static void line_begin(struct import *x, const char *line, size_t len)
{
	struct errbuf eb;
	errbuf_init(&eb);
	if (is_blank(line, len))
		return;
	x->lines++;
	if (importl_begin(&x->arena, line, len, &x->line, &eb))
		bad_line(x, &eb);
	else
		x->line_open = true;
}

static void line_rows(struct import *x)
{
	struct errbuf eb;
	errbuf_init(&eb);
	if (importl_rows(&x->line, &x->batch, BATCH_ROWS - x->batch.rows_count, &eb))
		bad_line(x, &eb);
	else
		x->line_open = x->line.left > 0;
}

/* Labels of a batch are bounded, too: lines of one sample each may have many, or no sample. */
static bool takes_no_line(const struct import *x)
{
	return arena_used(&x->arena) > BATCH_ROWS * ROW_BYTES || x->turn >= TURN_BYTES;
}

static void read_some(struct work_task *t)
{
	struct import *x = CONTAINER_OF(t, struct import, task);
	const char *line;
	size_t len;
	x->want = WANT_STORE;
	x->turn = 0;
	while (x->batch.rows_count < BATCH_ROWS) {
		if (x->line_open) {
			line_rows(x);
			continue;
		}
		if (takes_no_line(x))
			return;
		if (!next_line(x, &line, &len)) {
			if (x->want != WANT_ROOM)
				x->want = WANT_END;
			return;
		}
		line_begin(x, line, len);
	}
}

/* --- STORES --- */

/* A line is longer than there is room for: twice as much, up to what a body may be. */
static bool grow(struct import *x)
{
	char limit[LIMITS_TEXT_MAX];
	if (x->text_cap >= x->limits->write_body_bytes) {
		snprintf(x->why, sizeof(x->why), "line %" PRIu64 " has more than %zu bytes, %s",
		    x->lines + 1, x->text_cap,
		    limits_text(x->limits, LIMITS_write_body_bytes, limit));
		x->err = ERR_TOOBIG;
		return false;
	}
	if (!req_charge(x->req, x->text_cap)) {
		x->err = ERR_BUSY;
		return false;
	}
	x->text_cap *= 2;
	x->text = mem_realloc(x->text, x->text_cap);
	return true;
}

/* A line that goes on keeps its labels. */
static void batch_next(struct import *x)
{
	buf_clear(&x->labels);
	if (x->line_open)
		buf_add(&x->labels, x->line.labels, x->line.labels_len);
	batch_clear(&x->batch);
	arena_reset(&x->arena, ARENA_KEEP);
	if (x->line_open)
		x->line.labels = arena_dup(&x->arena, x->labels.data, x->labels.len);
}

static void go_on(struct import *x)
{
	batch_next(x);
	if (x->err || x->req->gone)
		reply(x);
	else
		work_on(x);
}

static void was_read(struct work_task *t)
{
	struct import *x = CONTAINER_OF(t, struct import, task);
	if (x->want == WANT_ROOM && !x->err && grow(x)) {
		work_on(x);
		return;
	}
	if (!x->batch.rows_count) {
		if (x->want == WANT_STORE)
			go_on(x);
		else
			reply(x);
		return;
	}
	x->batch.tenant = x->req->tenant;
	x->sink = (struct sink_req){ .batch = &x->batch, .done = stored };
	sink_append(api_of(x->req)->sink, &x->sink);
}

static void stored(struct sink_req *s)
{
	struct import *x = CONTAINER_OF(s, struct import, sink);
	x->rows += x->batch.rows_count;
	if (s->err) {
		x->err = s->err;
		snprintf(x->why, sizeof(x->why), "%.*s",
		    (int)rune_whole(s->first_text, strlen(s->first_text)), s->first_text);
		reply(x);
		return;
	}
	tenantstat_wrote(api_of(x->req)->tenantstat, x->req->tenant, s->stored, s->refused);
	if (s->refused && !x->refused) {
		x->reason = s->first_reason;
		snprintf(x->first, sizeof(x->first), "%.*s",
		    (int)rune_whole(s->first_text, strlen(s->first_text)), s->first_text);
	}
	x->stored += s->stored;
	x->refused += s->refused;
	go_on(x);
}

/* --- REPLY --- */

static bool is_later(enum err e)
{
	return e && e != ERR_MALFORMED && e != ERR_TRUNCATED && e != ERR_TOOBIG;
}

static void tell(struct req *r, enum refusal what, const char *example)
{
	refusals_tell(&api_loop_of(r)->refusals, what, r, example);
}

static void reply_partial(struct import *x)
{
	struct buf b;
	buf_init(&b);
	buf_printf(&b, "stored %" PRIu64 " of %" PRIu64 " samples", x->stored, x->rows);
	if (x->refused)
		buf_printf(&b, "; %" PRIu64 " refused; first: %s: %s", x->refused,
		    sink_reason_word[x->reason], x->first);
	if (x->bad_lines)
		buf_printf(&b, "; %" PRIu64 " of %" PRIu64 " lines cannot be read; first: %s",
		    x->bad_lines, x->lines, x->bad);
	if (x->err)
		buf_printf(&b, "; %s", x->why);
	metric_add(M_WRITE_PARTIAL, 1);
	if (x->refused)
		tell(x->req, REFUSAL_SAMPLES + x->reason, x->first);
	req_refuse(x->req, 400, "partial", "%.*s", (int)b.len, (const char *)b.data);
	buf_release(&b);
}

static void reply(struct import *x)
{
	struct req *r = x->req;
	char text[ERRBUF_SIZE];
	metric_observe_ns(M_WRITE_SECONDS, loop_now_ns(r->loop) - r->start_ns);
	if (is_later(x->err)) {
		apierr_write_text(r, x->err, text, sizeof(text));
		metric_add(M_WRITE_REFUSED_LATER, 1);
		tell(r, REFUSAL_LATER, text);
		door_wrote(r, DOOR_AGAIN, 0);
		apierr_write_why(r, x->err, x->sink.retry_after_s, x->why);
		return;
	}
	door_wrote(r, DOOR_STORED, x->rows);
	if (x->refused || x->bad_lines || x->err)
		reply_partial(x);
	else
		req_reply(r, 204, NULL, NULL, 0, REQ_BORROW);
}
