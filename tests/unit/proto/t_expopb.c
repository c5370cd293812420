/*
 * Families of metrics in protobuf: rows, metadata, exemplars, start times. Judged by protobuf-c,
 * too.
 */
#include "tests/lib/expopbjudge.h"
#include "tests/lib/tap.h"

#include <stdlib.h>

/* clang-format off */
/* A counter with an exemplar and a start time, and one with a time of its own. */
static const uint8_t counter[] = { 0x5c, 0x0a, 0x07, 0x63, 0x5f, 0x74, 0x6f, 0x74, 0x61, 0x6c, 0x12, 0x01, 0x68, 0x18, 0x00, 0x22, 0x35, 0x0a, 0x06, 0x0a, 0x01, 0x61, 0x12, 0x01, 0x62, 0x1a, 0x2b, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x40, 0x12, 0x1a, 0x0a, 0x06, 0x0a, 0x01, 0x74, 0x12, 0x01, 0x31, 0x11, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xe0, 0x3f, 0x1a, 0x07, 0x08, 0x09, 0x10, 0xc0, 0x96, 0xb1, 0x02, 0x1a, 0x04, 0x08, 0x08, 0x10, 0x00, 0x22, 0x15, 0x0a, 0x06, 0x0a, 0x01, 0x61, 0x12, 0x01, 0x63, 0x1a, 0x09, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x14, 0x40, 0x30, 0x63 };
/* with a unit */
static const uint8_t gauge[] = { 0x26, 0x0a, 0x09, 0x67, 0x5f, 0x73, 0x65, 0x63, 0x6f, 0x6e, 0x64, 0x73, 0x12, 0x01, 0x68, 0x18, 0x01, 0x22, 0x0b, 0x12, 0x09, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf8, 0x3f, 0x2a, 0x07, 0x73, 0x65, 0x63, 0x6f, 0x6e, 0x64, 0x73 };
static const uint8_t summary[] = { 0x3f, 0x0a, 0x01, 0x73, 0x12, 0x01, 0x68, 0x18, 0x02, 0x22, 0x35, 0x22, 0x33, 0x08, 0x03, 0x11, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x1c, 0x40, 0x1a, 0x12, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xe0, 0x3f, 0x11, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf0, 0x3f, 0x1a, 0x12, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf0, 0x3f, 0x11, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x40 };
static const uint8_t untyped[] = { 0x15, 0x0a, 0x01, 0x75, 0x12, 0x01, 0x68, 0x18, 0x03, 0x22, 0x0b, 0x2a, 0x09, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x40 };
/* classic, without a bucket of +Inf */
static const uint8_t histogram[] = { 0x4d, 0x0a, 0x01, 0x68, 0x12, 0x01, 0x68, 0x18, 0x04, 0x22, 0x43, 0x3a, 0x41, 0x08, 0x03, 0x11, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x1c, 0x40, 0x1a, 0x27, 0x08, 0x01, 0x11, 0x9a, 0x99, 0x99, 0x99, 0x99, 0x99, 0xb9, 0x3f, 0x1a, 0x1a, 0x0a, 0x06, 0x0a, 0x01, 0x74, 0x12, 0x01, 0x31, 0x11, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xe0, 0x3f, 0x1a, 0x07, 0x08, 0x09, 0x10, 0xc0, 0x96, 0xb1, 0x02, 0x1a, 0x0b, 0x08, 0x03, 0x11, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x24, 0x40 };
/* with a classic bucket, too */
static const uint8_t native[] = { 0x67, 0x0a, 0x01, 0x6e, 0x12, 0x01, 0x68, 0x18, 0x04, 0x22, 0x5d, 0x3a, 0x5b, 0x08, 0x06, 0x11, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x1c, 0x40, 0x28, 0x06, 0x31, 0xfc, 0xa9, 0xf1, 0xd2, 0x4d, 0x62, 0x50, 0x3f, 0x38, 0x01, 0x62, 0x04, 0x08, 0x01, 0x10, 0x02, 0x62, 0x04, 0x08, 0x04, 0x10, 0x01, 0x6a, 0x03, 0x02, 0x02, 0x01, 0x4a, 0x04, 0x08, 0x00, 0x10, 0x01, 0x50, 0x02, 0x82, 0x01, 0x1a, 0x0a, 0x06, 0x0a, 0x01, 0x74, 0x12, 0x01, 0x31, 0x11, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xe0, 0x3f, 0x1a, 0x07, 0x08, 0x09, 0x10, 0xc0, 0x96, 0xb1, 0x02, 0x1a, 0x0b, 0x08, 0x01, 0x11, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf0, 0x3f };
/* a gauge histogram of floats */
static const uint8_t floats[] = { 0x39, 0x0a, 0x02, 0x6e, 0x66, 0x12, 0x01, 0x68, 0x18, 0x05, 0x22, 0x2e, 0x3a, 0x2c, 0x21, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x08, 0x40, 0x11, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x1c, 0x40, 0x28, 0x00, 0x62, 0x04, 0x08, 0x00, 0x10, 0x02, 0x72, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf0, 0x3f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x40 };
/* clang-format on */

static struct arena arena, keep;
static struct batch batch;
static struct decode d;
static struct errbuf eb;

static enum err rows(const uint8_t *body, size_t len, const struct expopb_opts *opts)
{
	const uint8_t *p = body, *end = body + len;
	enum err e = ERR_OK;
	batch_clear(&batch);
	arena_reset(&arena, 0);
	arena_reset(&keep, 0);
	errbuf_init(&eb);
	d = (struct decode){ .limits = limits_here(),
		.now_ms = 7,
		.opts = opts,
		.arena = &arena,
		.keep = &keep,
		.batch = &batch };
	while (!e && p < end)
		e = expopb_decoder.next(&d, &p, end, true, &eb);
	if (d.own)
		expopb_decoder.end(&d);
	return e;
}

static bool row_is(size_t i, double v, int64_t t_ms, const char *text)
{
	struct buf out;
	if (i >= batch.rows_count)
		return false;
	const struct batch_row *r = &batch.rows[i];
	struct labels ls = { r->labels, r->labels_len };
	buf_init(&out);
	label_text_metric(&out, ls);
	bool same = label_is_canonical(ls) && r->t_ms == t_ms &&
	    bytes_equal((const char *)out.data, out.len, text, strlen(text)) &&
	    ((r->flags & BATCH_EXTRA) ? r->extra->v == v : r->v == v);
	buf_release(&out);
	return same;
}

static void judged(const uint8_t *body, size_t len)
{
	bool accepted;
	const char *wrong = expopbjudge(body, len, &batch, 7, &accepted);
	tap_ok(accepted && !wrong, "protobuf-c makes the same of it: %s", wrong ? wrong : "");
}
#define ROWS(body, opts) rows(body, sizeof(body), opts)

static void test_simple(void)
{
	struct expopb_opts created = { .created = true };
	tap_ok(!ROWS(counter, NULL) && batch.rows_count == 2 && row_is(0, 4, 7, "c_total{a=\"b\"}") &&
	        row_is(1, 5, 99, "c_total{a=\"c\"}") && !(batch.rows[0].flags & BATCH_EXTRA),
	    "a counter: %s", eb.text);
	judged(counter, sizeof(counter));
	tap_ok(batch.exemplars_count == 1 && batch.exemplars[0].t_ms == 9005 &&
	        batch.exemplars[0].v == 0.5 && batch.exemplars[0].labels == batch.rows[0].labels,
	    "its exemplar");
	tap_ok(batch.metas_count == 1 && batch.metas[0].type == 1 && batch.metas[0].help_len == 1,
	    "its metadata");
	tap_ok(!ROWS(counter, &created) && batch.rows[0].extra->start_ms == 8000 &&
	        !(batch.rows[1].flags & BATCH_EXTRA),
	    "its start time");
	tap_ok(!ROWS(gauge, NULL) && row_is(0, 1.5, 7, "g_seconds") && batch.metas[0].unit_len == 7,
	    "a gauge and its unit");
	tap_ok(!ROWS(untyped, NULL) && row_is(0, 2, 7, "u") && batch.metas[0].type == 0,
	    "an untyped one");
	tap_ok(!ROWS(summary, NULL) && batch.rows_count == 4 && row_is(0, 3, 7, "s_count") &&
	        row_is(1, 7, 7, "s_sum") && row_is(2, 1, 7, "s{quantile=\"0.5\"}") &&
	        row_is(3, 2, 7, "s{quantile=\"1.0\"}"),
	    "a summary");
	judged(summary, sizeof(summary));
}

static void test_histograms(void)
{
	struct expopb_opts classic = { .classic = true };
	tap_ok(!ROWS(histogram, NULL) && batch.rows_count == 5 && row_is(0, 3, 7, "h_count") &&
	        row_is(1, 7, 7, "h_sum") && row_is(2, 1, 7, "h_bucket{le=\"0.1\"}") &&
	        row_is(3, 3, 7, "h_bucket{le=\"10.0\"}") &&
	        row_is(4, 3, 7, "h_bucket{le=\"+Inf\"}") && batch.exemplars_count == 1,
	    "a classic histogram");
	judged(histogram, sizeof(histogram));
	tap_ok(!ROWS(native, NULL) && !d.bad && batch.rows_count == 1 && row_is(0, 0, 7, "n"),
	    "a native one: %s", d.bad_text);
	judged(native, sizeof(native));
	const struct hist *h = batch.rows_count ? batch.rows[0].extra->hist : NULL;
	tap_ok(h && h->count.n == 6 && h->sum == 7 && h->schema == 3 && h->zero_count.n == 1 &&
	        h->positive.counts_count == 3 && h->positive.counts[1].n == 2 &&
	        h->positive.spans_count == 2 && h->positive.spans[0].offset == -1 &&
	        h->negative.counts[0].n == 1 && h->hint == HIST_UNKNOWN,
	    "its buckets");
	tap_ok(batch.exemplars_count == 1 && batch.exemplars[0].t_ms == 9005, "its exemplars");
	tap_ok(!ROWS(native, &classic) && batch.rows_count == 5 && row_is(1, 6, 7, "n_count") &&
	        row_is(3, 1, 7, "n_bucket{le=\"1.0\"}"),
	    "with its classic buckets, too");
	tap_ok(!ROWS(floats, NULL) && batch.rows_count == 1, "floats: %s", d.bad_text);
	h = batch.rows_count ? batch.rows[0].extra->hist : NULL;
	tap_ok(h && h->is_float && h->count.f == 3 && h->positive.counts[1].f == 2 &&
	        h->hint == HIST_GAUGE && batch.metas[0].type == 4,
	    "a gauge histogram of floats");
	judged(floats, sizeof(floats));
}

/* Wherever it ends, no part of it is taken for the whole. */
static void test_bad(void)
{
	unsigned taken = 0;
	for (size_t i = 1; i < sizeof(native); i++) {
		uint8_t *part = malloc(i);
		if (!part)
			abort();
		memcpy(part, native, i);
		taken += !rows(part, i, NULL);
		free(part);
	}
	tap_ok(!taken && eb.text[0], "a body that ends early: %s", eb.text);
	static const uint8_t twice[] = { 0x10, 0x0a, 1, 'm', 0x22, 11, 0x0a, 9, 0x0a, 1, 'a', 0x12,
		4, 'b', 'b', 'b', 'b' };
	tap_ok(!ROWS(twice, NULL) && batch.rows_count == 1 && row_is(0, 0, 7, "m{a=\"bbbb\"}"),
	    "a metric without a value is 0");
	static const uint8_t same[] = { 0x19, 0x0a, 1, 'm', 0x22, 20, 0x0a, 8, 0x0a, 1, 'a', 0x12,
		3, 'b', 'b', 'b', 0x0a, 8, 0x0a, 1, 'a', 0x12, 3, 'b', 'b', 'b' };
	tap_ok(!ROWS(same, NULL) && d.bad == 1 && !batch.rows_count &&
	        strstr(d.bad_text, "a label stands twice"),
	    "a label twice: %s", d.bad_text);
	static const uint8_t unknown[] = { 7, 0x0a, 1, 'm', 0x18, 9, 0x22, 0 };
	tap_ok(ROWS(unknown, NULL) == ERR_MALFORMED && strstr(eb.text, "unknown type 9"),
	    "an unknown type: %s", eb.text);
	static const uint8_t again[] = { 9, 0x0a, 1, 'm', 0x22, 4, 0x1a, 0, 0x1a, 0 };
	tap_ok(ROWS(again, NULL) == ERR_MALFORMED && strstr(eb.text, "stands twice"),
	    "a message twice: %s", eb.text);
}

/* A metric's labels stand in each of its series: a few bytes of buckets are many. */
static void test_bomb(void)
{
	enum {
		VALUE = 60000,
		BUCKETS = 2000
	};
	struct buf b, m;
	buf_init(&b);
	buf_init(&m);
	buf_add(&m,
	    "\x0a\xe7\xd4\x03\x0a\x01"
	    "a\x12\xe0\xd4\x03",
	    11); /* a="vv..." */
	for (unsigned i = 0; i < VALUE; i++)
		buf_add_u8(&m, 'v');
	buf_add(&m, "\x3a\xa0\x1f", 3);
	for (unsigned i = 0; i < BUCKETS; i++)
		buf_add(&m, "\x1a\0", 2);
	size_t len = m.len + 3 + 2 + 4;
	buf_add_u8(&b, (uint8_t)(len | 0x80));
	buf_add_u8(&b, (uint8_t)(len >> 7 | 0x80));
	buf_add_u8(&b, (uint8_t)(len >> 14));
	buf_add(&b, "\x0a\x01h\x18\x04\x22", 6);
	buf_add_u8(&b, (uint8_t)(m.len | 0x80));
	buf_add_u8(&b, (uint8_t)(m.len >> 7 | 0x80));
	buf_add_u8(&b, (uint8_t)(m.len >> 14));
	buf_add(&b, m.data, m.len);
	enum err e = rows(b.data, b.len, NULL);
	tap_ok(!e && d.bad == 1 && !batch.rows_count && arena_used(&arena) < 40u << 20,
	    "a metric of many series with long labels: %s %s, %zu bytes", eb.text, d.bad_text,
	    arena_used(&arena));
	tap_ok(!ROWS(counter, NULL) && !d.bad, "the next body is read");
	buf_release(&b);
	buf_release(&m);
}

int main(void)
{
	arena_init(&arena, 4096);
	arena_init(&keep, 4096);
	batch_init(&batch);
	test_simple();
	test_histograms();
	test_bad();
	test_bomb();
	batch_release(&batch);
	arena_release(&arena);
	arena_release(&keep);
	return tap_done();
}
