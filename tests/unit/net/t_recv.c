/*
 * The walk of recv.c with decoders of the test, at the route of /api/v1/import, whose handlers it
 * has itself.
 */
#include "tests/lib/fakereq.h"
#include "tests/lib/packed.h"
#include "tests/lib/tap.h"

#include <inttypes.h>

#include "core/base/metric.h"
#include "core/base/num.h"
#include "net/api/api.h"
#include "net/recv/recv.h"
#include "net/recv/recv_import.h"
#include "net/recv/recvpack.h"
#include "proto/snapz.h"

/* --- a format: each line "<rows> <value>", "bad", "stop", "wait" (needs the line behind it) --- */

struct mine {
	uint64_t left; /* rows of the line at hand */
	uint64_t number;
};
static uint64_t calls, ends;
static bool whole_seen; /* a whole body came in parts */

static size_t line_of(const uint8_t *p, const uint8_t *end, bool last)
{
	const uint8_t *lf = memchr(p, '\n', (size_t)(end - p));
	return lf ? (size_t)(lf - p) + 1 : last ? (size_t)(end - p) : 0;
}

static bool word(const uint8_t *p, size_t len, const char *w)
{
	return len >= strlen(w) && !memcmp(p, w, strlen(w));
}

static void rows_of(struct decode *d, struct mine *m, double v)
{
	static const uint8_t name[] = "\x08__name__\x01m";
	for (; m->left && !decode_full(d); m->left--) {
		struct batch_row *r = batch_add(d->batch);
		*r = (struct batch_row){ .labels = name, .labels_len = sizeof(name) - 1, .t_ms = 1 };
		r->v = v;
	}
}

static enum err next(
    struct decode *d, const uint8_t **p, const uint8_t *end, bool last, struct errbuf *eb)
{
	if (!d->own)
		d->own = arena_zalloc(d->keep, sizeof(struct mine));
	struct mine *m = d->own;
	const uint8_t *from = *p;
	size_t len;
	calls++;
	while (*p < end && !decode_full(d) && *p - from < (ptrdiff_t)DECODE_TURN &&
	    (len = line_of(*p, end, last))) {
		char text[64];
		uint64_t n = 0;
		if (word(*p, len, "wait") && line_of(*p + len, end, last) == 0)
			return ERR_OK;
		if (word(*p, len, "stop"))
			return errbuf_set(eb, ERR_MALFORMED, "it says stop");
		snprintf(text, sizeof(text), "%.*s", (int)len, (const char *)*p);
		char *blank = strchr(text, ' ');
		if (!m->left) {
			d->records++;
			m->number++;
			if (word(*p, len, "bad"))
				decode_bad(d, "line %" PRIu64 ": it says bad", m->number);
			else if (blank && !num_parse_u64(text, (size_t)(blank - text), &n))
				m->left = n;
		}
		rows_of(d, m, blank ? blank[1] - '0' : 0);
		if (!m->left)
			*p += len;
	}
	return ERR_OK;
}

static enum err next_whole(
    struct decode *d, const uint8_t **p, const uint8_t *end, bool last, struct errbuf *eb)
{
	whole_seen &= last;
	return next(d, p, end, last, eb);
}

static void end_of(struct decode *d)
{
	(void)d;
	ends++;
}

static const struct decoder lines = { .record = "line", .lines = true, .next = next, .end = end_of };
static const struct decoder whole = { .record = "line", .next = next_whole, .end = end_of };

static bool strict, refuse;
static struct recv_end last_end;
static uint64_t last_records, last_bad;

static bool open_it(struct req *r, struct decode *d)
{
	d->strict = strict;
	if (refuse)
		req_refuse(r, 400, "no", "open says no");
	return !refuse;
}

static void reply(struct req *r, const struct recv_end *e)
{
	last_end = *e;
	last_records = e->decode ? e->decode->records : 0;
	last_bad = e->decode ? e->decode->bad : 0;
	recv_reply_plain(r, e);
}

static struct recv_kind kind = {
	.receiver = RECEIVER_IMPORT, .packs = RECV_ALL, .open = open_it, .reply = reply
};

bool recv_import_before(struct req *r)
{
	return recv_before(r, &kind);
}

void recv_import(struct req *r)
{
	recv_write(r, &kind);
}

/* The others of that file: nobody asks for them here. */
bool recv_import_text_before(struct req *r)
{
	return recv_before(r, &kind);
}

void recv_import_text(struct req *r)
{
	recv_write(r, &kind);
}

void recv_import_job(struct req *r)
{
	recv_write(r, &kind);
}

/* --- a sink that adds up, and answers later --- */

static struct told {
	struct sink sink;
	struct loop_deferred later;
	struct sink_req *req;
	uint64_t rows, batches, fail_at, refuse_rows;
	double sum;
	enum err accepts;
	struct fakereq *leaves; /* after the first batch */
} told;

static void answer(struct loop_deferred *d)
{
	struct told *t = CONTAINER_OF(d, struct told, later);
	struct sink_req *r = t->req;
	for (size_t i = 0; i < r->batch->rows_count; i++)
		t->sum += r->batch->rows[i].v;
	t->rows += r->batch->rows_count;
	r->refused = t->refuse_rows;
	r->stored = r->batch->rows_count - r->refused;
	if (r->refused) {
		r->first_reason = SINK_TOO_OLD;
		snprintf(r->first_text, sizeof(r->first_text), "m is old");
		metric_add(M_REFUSED_TOO_OLD, r->refused);
	}
	if (t->leaves)
		t->leaves->req.gone = true;
	if (++t->batches == t->fail_at)
		r->err = ERR_BUSY;
	r->done(r);
}

static void append(struct sink *s, struct sink_req *req)
{
	struct told *t = CONTAINER_OF(s, struct told, sink);
	t->req = req;
	t->later.fn = answer;
	loop_defer(loop_here(), &t->later);
}

static enum err accepts(struct sink *s, uint32_t *retry_after_s)
{
	*retry_after_s = 7;
	return CONTAINER_OF(s, struct told, sink)->accepts;
}

static const struct sink_ops ops = { append, accepts };
static struct testteam tt;
static struct api *api;

/* --- requests --- */

static void told_clear(void)
{
	told = (struct told){ .sink = told.sink };
	calls = ends = 0;
	whole_seen = true;
}

static void put(struct fakereq *f, const char *encoding, const struct buf *body)
{
	fakereq_init(f, &tt, api);
	if (encoding)
		fakereq_field(f, "content-encoding", encoding);
	fakereq_run(f, REQ_POST, "/api/v1/import", body->data, body->len);
}

static void is(struct fakereq *f, int status, const char *begins, const char *what)
{
	const char *text = fakereq_text(f);
	tap_ok(f->status == status && !strncmp(text, begins, strlen(begins)), "%s: %d %.*s", what,
	    f->status, (int)strcspn(text, "\n"), text);
	fakereq_end(f);
}

static void text_is(
    const char *encoding, const char *text, int status, const char *begins, const char *what)
{
	struct buf b;
	struct fakereq f;
	buf_init(&b);
	buf_add_str(&b, text);
	put(&f, encoding, &b);
	is(&f, status, begins, what);
	buf_release(&b);
}

static void pack(struct buf *out, const char *encoding, const struct buf *plain)
{
	static const struct {
		const char *name;
		enum unpack_form form;
	} forms[] = { { "gzip", UNPACK_GZIP }, { "deflate", UNPACK_DEFLATE },
		{ "zstd", UNPACK_ZSTD }, { "x-snappy-framed", UNPACK_SNAPPY_FRAMED } };
	for (size_t i = 0; i < COUNT_OF(forms); i++)
		if (!strcmp(forms[i].name, encoding)) {
			packed_by(out, forms[i].form, plain->data, plain->len);
			return;
		}
	if (!strcmp(encoding, "snappy"))
		snapz_encode(out, plain->data, plain->len);
	else
		buf_add(out, plain->data, plain->len);
}

static const char *const encodings[] = { "identity", "gzip", "deflate", "zstd", "snappy",
	"x-snappy-framed" };

/* Small and large bodies, in every packing: the same rows. */
static void all_packings(const struct decoder *by, unsigned count, const char *what)
{
	struct buf plain, body;
	struct fakereq f;
	uint64_t rows = 0;
	double sum = 0;
	buf_init(&plain);
	for (unsigned i = 0; i < count; i++) {
		unsigned n = i % 1000 == 7 ? 20000 : i % 3, v = i % 10;
		buf_printf(&plain, "%u %u and some more text, %u\n", n, v, i * 7919);
		rows += n;
		sum += (double)n * v;
	}
	kind.decoder = by;
	for (size_t i = 0; i < COUNT_OF(encodings); i++) {
		buf_init(&body);
		pack(&body, encodings[i], &plain);
		told_clear();
		put(&f, encodings[i], &body);
		tap_ok(f.status == 204 && told.rows == rows && told.sum == sum &&
		        last_records == count && whole_seen && ends == (strict ? 2u : 1u),
		    "%s, %s: %d, %" PRIu64 " rows in %" PRIu64 " batches", what, encodings[i],
		    f.status, told.rows, told.batches);
		fakereq_end(&f);
		buf_release(&body);
	}
	buf_release(&plain);
}

static void packings(void)
{
	all_packings(&lines, 40, "lines, small");
	all_packings(&lines, 60000, "lines, large");
	all_packings(&whole, 40, "whole, small");
	all_packings(&whole, 60000, "whole, large");
	struct buf plain, body;
	struct fakereq f;
	buf_init(&plain);
	buf_init(&body);
	buf_add_str(&plain, "3 1\n");
	packed_framed(&body, plain.data, plain.len, 100);
	told_clear();
	put(&f, "snappy", &body);
	tap_ok(told.rows == 3, "framed snappy is seen under the token of the block");
	is(&f, 204, "", "and taken");
	kind.packs = RECV_GZIP | RECV_SNAPPY;
	put(&f, "snappy", &body);
	is(&f, 400, "bad_body: the body looks like snappy's framed format, must be a snappy block",
	    "where it is allowed");
	kind.packs = RECV_ALL;
	buf_release(&plain);
	buf_release(&body);
}

static void heads(void)
{
	kind.decoder = &lines;
	text_is("", "1 1\n", 204, "", "an empty Content-Encoding");
	text_is(" Identity , ,none", "1 1\n", 204, "", "a list of nothing");
	text_is("br", "1 1\n", 415,
	    "unsupported: Content-Encoding is br, must be gzip, deflate, zstd, snappy, or none",
	    "an unknown one");
	text_is("gzip, zstd", "1 1\n", 415,
	    "unsupported: Content-Encoding is gzip, zstd: a body may be packed once", "two");
	kind.packs = RECV_GZIP;
	text_is("zstd", "1 1\n", 415, "unsupported: Content-Encoding is zstd, must be gzip, or none",
	    "one that this receiver does not take");
	kind.packs = RECV_ALL;
	told.accepts = ERR_NOSPACE;
	text_is(NULL, "1 1\n", 503, "disk_full: ", "nothing is accepted");
	told.accepts = ERR_OK;
	refuse = true;
	text_is(NULL, "1 1\n", 400, "no: open says no", "open has answered");
	refuse = false;
}

static void records(void)
{
	told_clear();
	text_is(NULL, "1 1\nbad\n2 2\nbad\n", 400,
	    "partial: stored 3 of 3 samples; 2 of 4 lines cannot be read; first: line 2: it says bad",
	    "bad lines cost no others");
	text_is(NULL, "1 1\nstop\n2 2\n", 400, "partial: stored 1 of 1 samples; it says stop",
	    "an error ends the body");
	text_is(NULL, "stop\n", 400, "bad_body: it says stop", "before anything is stored");
	text_is(NULL, "1 1\nwait\n1 2", 204, "", "more is waited for");
	text_is(NULL, "1 1\nwait\n", 400,
	    "partial: stored 1 of 1 samples; the body ends inside a line", "in vain");
	text_is(NULL, "", 204, "", "nothing is nothing");
	told.refuse_rows = 1;
	text_is(NULL, "3 1\n", 400,
	    "partial: stored 2 of 3 samples; 1 refused; first: too_old: m is old",
	    "what the sink refuses");
	told.refuse_rows = 0;
	strict = true;
	told_clear();
	text_is(NULL, "3 1\nbad\n", 400,
	    "partial: stored 0 of 0 samples; 1 of 2 lines cannot be read", "all or nothing: nothing");
	tap_is_u64(told.rows, 0, "the sink saw nothing");
	text_is(NULL, "3 1\n4 2\n", 204, "", "all or nothing: all");
	tap_ok(told.rows == 7 && ends == 3, "once");
	all_packings(&lines, 30000, "strict");
	all_packings(&whole, 30000, "strict, whole");
	strict = false;
	kind.decoder = &lines;
}

static void failures(void)
{
	struct buf b;
	struct fakereq f;
	buf_init(&b);
	for (int i = 0; i < 10; i++)
		buf_add_str(&b, "8192 1\n");
	told_clear();
	told.fail_at = 3;
	put(&f, NULL, &b);
	is(&f, 503, "overloaded: ", "the sink is busy in the middle");
	tap_is_u64(told.batches, 3, "no more is given to it");
	told_clear();
	fakereq_init(&f, &tt, api);
	told.leaves = &f;
	fakereq_run(&f, REQ_POST, "/api/v1/import", b.data, b.len);
	tap_ok(told.batches == 1, "a client that has left is not worked for to the end");
	fakereq_end(&f);
	buf_release(&b);
}

/* --- bounds --- */

static void too_much(
    const char *encoding, const struct buf *plain, const char *begins, const char *what)
{
	struct buf b;
	struct fakereq f;
	buf_init(&b);
	pack(&b, encoding, plain);
	put(&f, encoding, &b);
	is(&f, 400, begins, what);
	buf_release(&b);
}

static void bounds(void)
{
	struct buf plain;
	uint64_t most = limits_here()->write_body_bytes;
	buf_init(&plain);
	CHECK(buf_reserve(&plain, most + 100));
	memset(plain.data, '7', most + 100);
	plain.len = most + 100;
	kind.decoder = &whole;
	too_much("gzip", &plain, "too_large: the body unpacks to more than the limit",
	    "whole: more than a body may be");
	too_much("snappy", &plain, "too_large: the body unpacks to too much", "as a block, too");
	too_much("zstd", &plain, "too_large: the body unpacks to more than 1100 times its size",
	    "more than an honest body unpacks to");
	kind.decoder = &lines;
	too_much("gzip", &plain, "too_large: a line has more than", "a line without end");
	buf_release(&plain);
}

static void packs_of(void)
{
	struct errbuf eb;
	unsigned bits;
	errbuf_init(&eb);
	tap_ok(!recvpack_of("X-GZIP", 6, RECV_ALL, &bits, &eb) && bits == RECV_GZIP, "x-gzip");
	tap_ok(!recvpack_of("zstd1", 5, RECV_ALL, &bits, &eb) && bits == RECV_ZSTD, "zstd1");
	tap_ok(!recvpack_of("gzip", 3, RECV_ALL, &bits, &eb) == false, "gzi is none");
}

int main(void)
{
	told.sink.ops = &ops;
	testteam_start(&tt, 1);
	api = fakeapi_create(&tt, NULL, &told.sink, false);
	packings();
	heads();
	records();
	failures();
	bounds();
	packs_of();
	fakeapi_free(api);
	testteam_stop(&tt);
	return tap_done();
}
