#include "tests/lib/rw2judge.h"
#include "tests/lib/tap.h"
#include "tests/lib/testhist.h"

#include "core/base/wire.h"

static struct arena arena;
static struct batch batch;
static struct errbuf eb;
static struct rw2_enc enc;

static enum err decode_with(
    struct rw2_memory *m, const struct rw2_opts *o, const void *body, size_t len)
{
	arena_reset(&arena, RW2_ARENA_KEEP);
	batch_clear(&batch);
	errbuf_init(&eb);
	return rw2_decode(&arena, m, body, len, o, &batch, &eb);
}

static enum err decode(const struct buf *b)
{
	return decode_with(NULL, NULL, b->data, b->len);
}
#define BYTES(s) s, sizeof(s) - 1

/* --- encodings --- */

/*
 * Alone, and with unknown fields before and behind, so that there is room for what the fast way
 * reads.
 */
static void agree(const char *bytes, size_t len, bool accepted, const char *what)
{
	bool took;
	const char *wrong = rw2judge((const uint8_t *)bytes, len, NULL, false, &took);
	tap_ok(!wrong && took == accepted, "%s: %s (%s)", accepted ? "taken" : "refused", what,
	    wrong ? wrong : "as the judge");
	struct buf b;
	buf_init(&b);
	buf_add(&b, bytes, len);
	for (int i = 0; i < 40; i++)
		buf_add(&b, "\x78\x01", 2);
	wrong = rw2judge(b.data, b.len, NULL, true, &took);
	tap_ok(!wrong && took == accepted, "the same with unknown fields behind (%s)",
	    wrong ? wrong : "as the judge");
	buf_release(&b);
}

#define SYMBOLS                                                                                    \
 "\x22\x00\x22\x08"                                                                                \
 "__name__\x22\x02"                                                                                \
 "up\x22\x03"                                                                                      \
 "job\x22\x01"                                                                                     \
 "x\x22\x04help\x22\x01s"
#define REFS   "\x0a\x04\x01\x02\x03\x04"
#define SAMPLE "\x12\x0b\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\x07"
#define META   "\x2a\x06\x08\x02\x18\x05\x20\x06"
#define SERIES "\x2a\x13" REFS SAMPLE

static void shapes(void)
{
	agree(BYTES(""), true, "nothing");
	agree(BYTES(SYMBOLS), true, "symbols alone");
	agree(BYTES("\x2a\x00"), true, "a series of nothing");
	agree(BYTES(SYMBOLS SERIES), true, "labels and a sample");
	agree(BYTES(SYMBOLS SERIES SERIES SERIES), true, "three series");
	agree(BYTES(SYMBOLS "\x2a\x1b" REFS SAMPLE META), true, "with metadata");
	agree(BYTES(SYMBOLS "\x2a\x1b" META REFS SAMPLE), true, "metadata first");
	agree(BYTES(SYMBOLS "\x2a\x15" REFS SAMPLE "\x2a\x00"), true, "with empty metadata");
	agree(BYTES(SYMBOLS "\x2a\x23" REFS SAMPLE META META), true, "metadata twice");
	agree(BYTES(SYMBOLS "\x2a\x1f" REFS SAMPLE META "\x2a\x02\x08\x00"), true,
	    "metadata twice, the second time of no type");
	agree(BYTES(SYMBOLS "\x2a\x0e" REFS META), true, "metadata alone");
	agree(BYTES(SYMBOLS "\x2a\x08" REFS "\x2a\x00"), true, "labels and empty metadata");
	agree(BYTES(SYMBOLS "\x2a\x20" REFS SAMPLE SAMPLE), true, "two samples");
	agree(BYTES(SYMBOLS "\x2a\x13" SAMPLE REFS), true, "the sample first");
	agree(BYTES(SYMBOLS "\x2a\x15\x08\x01\x08\x02\x08\x03\x08\x04" SAMPLE), true,
	    "references one by one");
	agree(BYTES(SYMBOLS "\x2a\x15\x0a\x02\x01\x02" SAMPLE "\x0a\x02\x03\x04"), true,
	    "references in two runs");
	agree(BYTES(SYMBOLS "\x2a\x14\x0a\x03\x01\x02\x03" SAMPLE "\x08\x04"), true,
	    "a run that ends in a name, its value alone");
	agree(BYTES(SYMBOLS "\x2a\x17\x0a\x08\x81\x00\x82\x80\x00\x03\x84\x00" SAMPLE), true,
	    "longer encodings of references");
	agree(BYTES(SYMBOLS "\x2a\x1e\x0a\x0f\x81\x80\x80\x80\x80\x80\x80\x80\x80\x00\x02\x03\x84"
	                    "\x80\x00" SAMPLE),
	    true, "references of ten bytes");
	agree(BYTES(SYMBOLS "\x2a\x15" REFS "\x30\x05" SAMPLE), true, "a created time before");
	agree(BYTES(SYMBOLS "\x2a\x15" REFS SAMPLE "\x30\x05"), true, "a created time behind");
	agree(BYTES(SYMBOLS "\x2a\x17" REFS SAMPLE "\x30\x05\x30\x00"), true, "the last one counts");
	agree(BYTES(SYMBOLS "\x2a\x15" REFS "\x12\x0d\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\x07"
	                    "\x18\x05"),
	    true, "a start time");
	agree(BYTES(SYMBOLS "\x2a\x15" REFS SAMPLE "\x78\x01"), true, "an unknown field");
	agree(BYTES(SYMBOLS "\x2a\x08" REFS "\x12\x00"), true, "a sample of nothing");
	agree(BYTES(SYMBOLS "\x2a\x0a" REFS "\x12\x02\x10\x07"), true, "a time alone");
	agree(BYTES(SYMBOLS "\x2a\x11" REFS "\x12\x09\x09\x00\x00\x00\x00\x00\x00\xf0\x3f"), true,
	    "a value alone");
	agree(BYTES(SYMBOLS "\x2a\x13" REFS "\x12\x0b\x10\x07\x09\x00\x00\x00\x00\x00\x00\xf0\x3f"),
	    true, "time before value");
	agree(BYTES(SYMBOLS "\x2a\x13" REFS "\x12\x0b\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
	    true, "a time of -1");
	agree(BYTES(SYMBOLS "\x2a\x0a" REFS "\x1a\x02\x78\x01"), true, "a histogram");
	agree(BYTES(SYMBOLS "\x2a\x0c" REFS "\x1a\x04\x8a\x01\x00\x00"), false,
	    "a histogram whose start time is bytes, and a field 0");
	agree(BYTES(SYMBOLS "\x2a\x0b" REFS "\x1a\x03\x88\x01\x05"), true,
	    "a histogram with a start time");
	agree(BYTES(SYMBOLS "\x2a\x08" REFS "\x22\x00"), true, "an exemplar of nothing alone");
	agree(BYTES(SYMBOLS "\x2a\x1d" REFS SAMPLE "\x22\x08\x0a\x04\x03\x04\x04\x03\x18\x09"),
	    true, "an exemplar with labels");
	agree(BYTES(SYMBOLS "\x2a\x1b" REFS SAMPLE "\x22\x06\x08\x03\x08\x04\x18\x09"), true,
	    "an exemplar with references one by one");
	agree(BYTES(SYMBOLS "\x2a\x19" REFS SAMPLE "\x22\x04\x0a\x02\x03\x63"), true,
	    "an exemplar that names a string that is not there");
	agree(BYTES(SYMBOLS "\x2a\x18" REFS SAMPLE "\x22\x03\x0a\x01\x03"), true,
	    "an exemplar with half a label");
	agree(BYTES(SYMBOLS "\x2a\x13\x0a\x04\x01\x02\x03\x63" SAMPLE), true,
	    "a string that is not there");
	agree(BYTES(SYMBOLS "\x2a\x13\x0a\x04\x63\x02\x03\x04" SAMPLE), true,
	    "a name that is not there");
	agree(BYTES(SYMBOLS "\x2a\x12\x0a\x03\x01\x02\x03" SAMPLE), true, "an odd number");
	agree(BYTES(SYMBOLS "\x2a\x06" REFS), true, "labels alone");
	agree(BYTES(SYMBOLS "\x2a\x19" REFS SAMPLE "\x2a\x04\x08\x01\x18\x63"), true,
	    "help that is not there");
	agree(BYTES(SYMBOLS "\x2a\x19" REFS SAMPLE "\x2a\x04\x08\x09\x20\x06"), true,
	    "metadata of an unknown type");
	agree(BYTES(SYMBOLS "\x2a\x13\x0a\x04\x00\x00\x03\x00" SAMPLE), true, "empty labels");
	agree(BYTES(SYMBOLS "\x2a\x0f" SAMPLE "\x0a\x00"), true, "a sample without labels");
	agree(BYTES(SYMBOLS "\x2a\x15" SAMPLE META), true, "a sample and metadata without a name");
	agree(BYTES(SERIES SYMBOLS), true, "strings behind the series");
	agree(BYTES(SYMBOLS SERIES "\x22\x01y\x2a\x13\x0a\x04\x01\x02\x03\x07" SAMPLE), true,
	    "and one more between them");
	agree(BYTES(SERIES SYMBOLS SERIES), true, "series around the strings");
	agree(BYTES("\x0a\x02\x12\x00" SYMBOLS SERIES), true, "fields that 1.0 has are unknown");
	agree(BYTES("\x7d\x01\x02\x03\x04\x79\x01\x02\x03\x04\x05\x06\x07\x08"), true,
	    "unknown numbers of both widths");

	agree(BYTES("\x2a"), false, "a tag alone");
	agree(BYTES(SYMBOLS "\x2a\x7f" REFS), false, "a series longer than the body");
	agree(BYTES(SYMBOLS "\x2a\x05" REFS), false, "references longer than their series");
	agree(BYTES("\x28\x01"), false, "a series that is a number");
	agree(BYTES("\x20\x01"), false, "a string that is a number");
	agree(BYTES("\x22\x7fx"), false, "a string longer than the body");
	agree(BYTES(SYMBOLS "\x2a\x09\x09\x01\x02\x03\x04\x05\x06\x07\x08"), false,
	    "references of a wrong type");
	agree(BYTES(SYMBOLS "\x2a\x10\x0a\x01\x80" SAMPLE), false, "a reference that does not end");
	agree(BYTES(SYMBOLS "\x2a\x08" REFS "\x10\x01"), false, "a sample that is a number");
	agree(BYTES(SYMBOLS "\x2a\x0a" REFS "\x12\x02\x08\x01"), false, "a value of a wrong type");
	agree(BYTES(SYMBOLS "\x2a\x0a" REFS "\x12\x02\x1a\x00"), false,
	    "a start time of a wrong type");
	agree(BYTES(SYMBOLS "\x2a\x09" REFS "\x12\x01\x10"), false, "a time that is missing");
	agree(BYTES(SYMBOLS "\x2a\x0a" REFS "\x2a\x02\x0a\x00"), false, "a type of a wrong type");
	agree(BYTES(SYMBOLS "\x2a\x09" REFS "\x2a\x01\x18"), false, "help that is missing");
	agree(BYTES(SYMBOLS "\x2a\x0a" REFS "\x22\x02\x10\x01"), false,
	    "an exemplar's value of a wrong type");
	agree(BYTES(SYMBOLS "\x2a\x0a" REFS "\x22\x02\x0a\x05"), false,
	    "an exemplar longer than its series");
	agree(BYTES(SYMBOLS "\x2a\x0a" REFS "\x1a\x02\x08\x80"), false, "a broken histogram");
	agree(BYTES("\x0b\x0c"), false, "a group");
	agree(BYTES("\xaa\x80\x80\x80\x80\x00\x00"), false, "a tag of six bytes");
}

/* --- what rw2 alone gives --- */

static struct labels labels_of(const char *const *texts, struct arena *a)
{
	struct buf b;
	buf_init(&b);
	for (; *texts; texts += 2) {
		size_t n = strlen(texts[0]), v = strlen(texts[1]);
		struct buf in;
		buf_init(&in);
		buf_add_u8(&in, 0x0a);
		wire_put_lenbytes(&in, texts[0], n);
		buf_add_u8(&in, 0x12);
		wire_put_lenbytes(&in, texts[1], v);
		buf_add_u8(&b, 0x0a);
		wire_put_lenbytes(&b, in.data, in.len);
		buf_release(&in);
	}
	struct labels ls = { arena_dup(a, b.data, b.len), (uint32_t)b.len };
	buf_release(&b);
	return ls;
}
#define LABELS(...) labels_of((const char *const[]){ __VA_ARGS__, NULL }, &a)

static void body_begin(struct buf *b)
{
	buf_clear(b);
	rw2_enc_begin(&enc);
}

static void contents(void)
{
	struct buf b;
	struct arena a;
	buf_init(&b);
	arena_init(&a, 1024);
	struct labels up = LABELS("__name__", "up", "job", "x"),
	              odd = LABELS("job", "x", "__name__", "down", "instance", "x");
	body_begin(&b);
	rw2_enc_series(&enc, up);
	rw2_enc_sample(&enc, 7, 1, 0);
	rw2_enc_sample(&enc, 8, 2, 5);
	rw2_enc_series(&enc, odd);
	rw2_enc_sample(&enc, 9, 0, 0);
	rw2_enc_exemplar(&enc, LABELS("trace_id", "abc"), 9, 4);
	rw2_enc_end(&enc, &b);
	tap_ok(!decode(&b) && batch.series_count == 2 && batch.rows_count == 3 &&
	        batch.exemplars_count == 1,
	    "two series with three rows and an exemplar");
	const struct batch_row *r = batch.rows;
	tap_is_mem(r[0].labels, r[0].labels_len, up.bytes, up.len, "labels are those of 1.0");
	tap_is_mem(r[2].labels, r[2].labels_len, odd.bytes, odd.len, "in the order they came in");
	tap_ok(r[1].labels == r[0].labels, "rows of one series share them");
	tap_ok(!r[0].flags && r[0].t_ms == 7 && r[0].v == 1, "a time and a value");
	tap_ok(r[1].flags == BATCH_EXTRA && r[1].t_ms == 8 && r[1].extra->v == 2 &&
	        r[1].extra->start_ms == 5 && !r[1].extra->hist && batch.extras_bytes,
	    "a start time is an extra");
	const struct batch_exemplar *x = batch.exemplars;
	tap_ok(x->labels == r[2].labels && x->t_ms == 9 && x->v == 4 &&
	        x->own_len == LABELS("trace_id", "abc").len,
	    "exemplars have the labels of their series and their own");
	buf_clear(&b);
	buf_add(&b, BYTES(SYMBOLS "\x2a\x0f" SAMPLE "\x30\x05"));
	tap_ok(!decode(&b) && batch.rows_count == 1 && !batch.rows[0].labels_len &&
	        batch.rows[0].extra->start_ms == 5,
	    "a created time is the start time of what has none");
	buf_clear(&b);
	buf_add(&b, BYTES(SYMBOLS "\x2a\x13\x0a\x04\x03\x00\x00\x04" SAMPLE));
	static const char empty[] = "\x0a\x05\x0a\x03"
	                            "job\x0a\x03\x12\x01x";
	TAP_OK(!decode(&b) && batch.rows_count == 1);
	tap_is_mem(batch.rows[0].labels, batch.rows[0].labels_len, empty, sizeof empty - 1,
	    "empty names and values are left out, as a 1.0 sender does");
	tap_ok(decode_with(NULL, NULL, SYMBOLS "\x2a\x05" REFS,
	           sizeof(SYMBOLS "\x2a\x05" REFS) - 1) == ERR_MALFORMED &&
	        strstr(eb.text, "at byte 35"),
	    "a malformed body is told with its place: %s", eb.text);
	arena_release(&a);
	buf_release(&b);
}

static void many_floats(void)
{
	enum {
		COUNT = 500
	};
	int64_t t[COUNT];
	double v[COUNT];
	struct buf one, many;
	struct arena a;
	arena_init(&a, 1024);
	buf_init(&one);
	buf_init(&many);
	for (int i = 0; i < COUNT; i++) {
		t[i] = i < 3 ? i - 1 : INT64_C(1) << (i % 63);
		v[i] = i % 5 ? i * 0.25 : i % 2 ? -0.0 : 0;
	}
	v[COUNT - 1] = sample_stale();
	body_begin(&one);
	rw2_enc_series(&enc, LABELS("__name__", "up"));
	for (int i = 0; i < COUNT; i++)
		rw2_enc_sample(&enc, t[i], v[i], 0);
	rw2_enc_end(&enc, &one);
	body_begin(&many);
	rw2_enc_series(&enc, LABELS("__name__", "up"));
	rw2_enc_floats(&enc, t, v, 200);
	rw2_enc_floats(&enc, t + 200, v + 200, COUNT - 200);
	rw2_enc_end(&enc, &many);
	tap_is_mem(
	    many.data, many.len, one.data, one.len, "many floats at once are those one by one");
	buf_release(&one);
	buf_release(&many);
	arena_release(&a);
}

static void left_is(const char *bytes, size_t len, uint64_t rows, uint64_t exemplars, const char *why)
{
	bool same = !decode_with(NULL, NULL, bytes, len) && batch.left_rows == rows &&
	    batch.left_exemplars == exemplars && batch.left_why && !strcmp(batch.left_why, why);
	tap_ok(same, "left out: %s", batch.left_why ? batch.left_why : "nothing");
}

static void left_out(void)
{
	left_is(BYTES(SYMBOLS SERIES "\x2a\x17\x0a\x04\x01\x02\x03\x63" SAMPLE "\x22\x00\x1a\x00"),
	    2, 1, "series 1: its labels name string 99, there are 7");
	tap_ok(batch.rows_count == 1 && batch.series_count == 2, "the rest goes on");
	left_is(BYTES(SYMBOLS "\x2a\x12\x0a\x03\x01\x02\x03" SAMPLE SERIES), 1, 0,
	    "series 0: its labels are 3 references, names and values must be an even number");
	tap_is_u64(batch.rows_count, 1, "and the next series is there");
	left_is(BYTES(SYMBOLS SERIES "\x2a\x19" REFS SAMPLE "\x22\x04\x0a\x02\x03\x63"), 0, 1,
	    "exemplar of series 1: its labels name string 99, there are 7");
	tap_is_u64(batch.rows_count, 2, "a sample beside it stays");
	left_is(BYTES(SYMBOLS "\x2a\x06" REFS), 0, 0,
	    "series 0: it has no sample, histogram, exemplar or metadata");
	left_is(BYTES(SYMBOLS "\x2a\x08" REFS "\x2a\x00"), 0, 0,
	    "series 0: it has no sample, histogram, exemplar or metadata");
	left_is(BYTES(SYMBOLS "\x2a\x19" REFS SAMPLE "\x2a\x04\x08\x01\x18\x63"), 0, 0,
	    "series 0: its metadata names a string that is not there");
	tap_ok(batch.rows_count == 1 && !batch.metas_count, "a sample beside it stays, too");
	struct buf b;
	buf_init(&b);
	buf_add(&b, BYTES(SYMBOLS "\x2a\x0e" REFS META "\x2a\x08" REFS "\x22\x00"));
	tap_ok(!decode(&b) && !batch.left_why && batch.metas_count == 1 && batch.exemplars_count == 1,
	    "metadata alone is enough, an exemplar alone is, too");
	buf_release(&b);
}

static void histograms(void)
{
	struct buf body;
	struct arena a;
	unsigned bad = 0, differ = 0;
	buf_init(&body);
	arena_init(&a, 4096);
	for (uint64_t i = 0; i < 3000; i++) {
		struct hist *h = testhist_any(&a, i);
		bool took;
		int64_t start = i & 1 ? (int64_t)i : 0;
		body_begin(&body);
		rw2_enc_series(&enc, LABELS("__name__", "h"));
		rw2_enc_hist(&enc, h, 1000 + (int64_t)i, start);
		rw2_enc_end(&enc, &body);
		const char *wrong = rw2judge(body.data, body.len, NULL, i & 2, &took);
		if (wrong)
			tap_note("%s", wrong);
		bad += wrong || !took || decode(&body) || batch.rows_count != 1;
		const struct batch_row *r = &batch.rows[0];
		differ += !(r->flags & BATCH_EXTRA) || !hist_equal(r->extra->hist, h) ||
		    r->t_ms != 1000 + (int64_t)i || r->extra->start_ms != start;
		arena_reset(&a, SIZE_MAX);
	}
	tap_ok(!bad && !differ, "3,000 histograms arrive, bit by bit, and the judges agree");
	buf_clear(&body); /* a count without buckets, twice */
	buf_add(&body,
	    BYTES(SYMBOLS "\x2a\x10" REFS "\x1a\x02\x08\x03\x1a\x04\x08\x03\x78\x05" SERIES));
	tap_ok(!decode(&body) && batch.rows_count == 3 && batch.rows[0].extra->bad &&
	        strstr(batch.rows[0].extra->bad, "its count is 3") && batch.rows[1].extra->bad &&
	        batch.rows[2].v == 1,
	    "a bad histogram says why, the rest arrives: %s", batch.rows[0].extra->bad);
	arena_release(&a);
	buf_release(&body);
}

/* --- limits --- */

static enum err decode_some(const struct buf *b, size_t slow_bytes, const struct limits *l)
{
	struct rw2_opts o = { .limits = l, .slow_bytes = slow_bytes };
	return decode_with(NULL, &o, b->data, b->len);
}

static void counts_are_limited(void)
{
	struct limits l = *limits_here();
	struct buf b;
	buf_init(&b);
	l.write_series = 3;
	l.write_samples = 4;
	buf_add(&b, BYTES(SYMBOLS SERIES SERIES SERIES));
	tap_ok(!decode_some(&b, SIZE_MAX, &l), "three series pass");
	buf_add(&b, BYTES(SERIES));
	tap_ok(decode_some(&b, SIZE_MAX, &l) == ERR_TOOBIG &&
	        strstr(eb.text,
	            "too many series in one request, limit 3 (--limits.series-per-request)"),
	    "one more does not: %s", eb.text);
	buf_clear(&b);
	buf_add(&b, BYTES(SYMBOLS "\x2a\x20" REFS SAMPLE SAMPLE "\x2a\x0a" REFS "\x22\x00\x1a\x00"));
	tap_ok(!decode_some(&b, SIZE_MAX, &l), "samples, exemplars and histograms: four pass");
	buf_add(&b, BYTES(SERIES));
	for (int i = 0; i < 2; i++) {
		tap_ok(decode_some(&b, SIZE_MAX, &l) == ERR_TOOBIG &&
		        strstr(eb.text,
		            "too many samples in one request, limit 4 (--limits.samples-per-request)"),
		    "one more does not: %s", eb.text);
		for (int k = 0; k < 40; k++)
			buf_add(&b, "\x78\x01", 2);
	}
	l.write_samples = 1000;
	l.write_series = 1000;
	struct buf counts, hist, series;
	buf_init(&counts);
	buf_init(&hist);
	buf_init(&series);
	for (unsigned i = 0; i < 16000; i++)
		buf_add_u8(&counts, 0);
	buf_add_u8(&hist, 12 << 3 | 2);
	wire_put_lenbytes(&hist, counts.data, counts.len);
	buf_add_u8(&series, 0x1a);
	wire_put_lenbytes(&series, hist.data, hist.len);
	buf_clear(&b);
	for (unsigned i = 0; i < 2; i++) {
		buf_add_u8(&b, 0x2a);
		wire_put_lenbytes(&b, series.data, series.len);
	}
	tap_ok(decode_some(&b, SIZE_MAX, &l) == ERR_TOOBIG,
	    "sixteen buckets of a histogram count as a sample: %s", eb.text);
	buf_release(&counts);
	buf_release(&hist);
	buf_release(&series);
	buf_release(&b);
}

/* One large string in many series: the body is small, the labels would not be. */
static void bombs(void)
{
	struct buf b;
	char *text = mem_alloc(1 << 20);
	memset(text, 'x', 1 << 20);
	buf_init(&b);
	body_begin(&b);
	uint32_t refs[2] = { rw2_enc_symbol(&enc, "a", 1), rw2_enc_symbol(&enc, text, 1 << 20) };
	for (unsigned i = 0; i < 100000; i++) {
		rw2_enc_series_refs(&enc, refs, 2);
		rw2_enc_sample(&enc, 1, 1, 0);
	}
	rw2_enc_end(&enc, &b);
	tap_ok(decode_some(&b, SIZE_MAX, NULL) == ERR_TOOBIG &&
	        strstr(eb.text, "limit 33,554,432 bytes (--limits.body-bytes)"),
	    "1 MiB in each of 100,000 series: %s", eb.text);
	tap_ok(arena_used(&arena) < (80u << 20), "takes no more than the limit allows: %zu bytes",
	    arena_used(&arena));
	tap_ok(decode_some(&b, 64 << 10, NULL) == ERR_AGAIN, "and is nothing for a loop");
	tap_ok(arena_used(&arena) < (16u << 20), "which ends early: %zu bytes", arena_used(&arena));
	body_begin(&b);
	refs[1] = rw2_enc_symbol(&enc, text, 500);
	/* what fits in pieces is copied from the last one */
	for (unsigned i = 0; i < 100000; i++) {
		rw2_enc_series_refs(&enc, refs, 2);
		rw2_enc_sample(&enc, 1, 1, 0);
	}
	rw2_enc_end(&enc, &b);
	tap_ok(decode_some(&b, SIZE_MAX, NULL) == ERR_TOOBIG, "500 bytes in each: %s", eb.text);
	tap_ok(decode_some(&b, 64 << 10, NULL) == ERR_AGAIN, "nor is that for a loop");
	buf_clear(&b);
	for (unsigned i = 0; i < (33u << 20) / RW2_SYMBOL_BYTES; i++)
		buf_add(&b, "\x22\x00", 2);
	tap_ok(decode_some(&b, SIZE_MAX, NULL) == ERR_TOOBIG, "a table of a million strings: %s",
	    eb.text);
	body_begin(&b);
	for (unsigned i = 0; i < 2000; i++) {
		uint32_t many[2] = { rw2_enc_symbol(&enc, "a", 1), 3 + i };
		(void)rw2_enc_symbol(&enc, text, 100 + i);
		rw2_enc_series_refs(&enc, many, 2);
		rw2_enc_sample(&enc, 1, 1, 0);
	}
	rw2_enc_end(&enc, &b);
	TAP_OK(!decode_some(&b, SIZE_MAX, NULL) && batch.rows_count > 1990);
	unsigned wrong = 0;
	for (unsigned i = 0; i < 1990; i++)
		wrong += batch.rows[i].labels_len < 106 || batch.rows[i].labels[0] != 0x0a ||
		    batch.rows[i].labels[batch.rows[i].labels_len - 1] != 'x';
	tap_ok(!wrong, "labels over many pieces are whole");
	mem_free(text);
	buf_release(&b);
}

/* What senders make is never slow. */
static void slow_bytes(void)
{
	struct buf b;
	struct arena a;
	buf_init(&b);
	arena_init(&a, 1024);
	body_begin(&b);
	for (unsigned i = 0; i < 2000; i++) {
		rw2_enc_series(&enc,
		    LABELS("__name__", arena_printf(&a, "metric_%u", i % 100), "instance",
		        arena_printf(&a, "host-%u", i / 500), "job", "node"));
		rw2_enc_sample(&enc, 1755000000000 + i / 500, i, 0);
		rw2_enc_meta(&enc, &(struct batch_meta){ .type = 1, .help = "h", .help_len = 1 });
	}
	rw2_enc_end(&enc, &b);
	(void)decode_some(&b, SIZE_MAX, NULL); /* makes room for rows */
	tap_ok(!decode_some(&b, 8 << 10, NULL) && batch.rows_count == 2000 && batch.metas_count == 100,
	    "2,000 usual series go the fast way");
	buf_clear(&b);
	buf_add(&b, BYTES(SYMBOLS));
	for (unsigned i = 0; i < 20000; i++)
		buf_add(&b, BYTES("\x2a\x13" SAMPLE REFS));
	tap_ok(decode_some(&b, 64 << 10, NULL) == ERR_AGAIN, "20,000 unusual ones do not");
	tap_ok(!decode_some(&b, SIZE_MAX, NULL) && batch.rows_count == 20000,
	    "where there is time they are decoded");
	buf_clear(&b);
	buf_add(&b, BYTES(SYMBOLS));
	for (unsigned i = 0; i < 20000; i++)
		buf_add(&b, BYTES(SERIES));
	buf_add(&b, BYTES("\x22\x00"));
	tap_ok(decode_some(&b, 64 << 10, NULL) == ERR_AGAIN, "nor is a string behind so many series");
	tap_ok(!decode_some(&b, SIZE_MAX, NULL) && batch.rows_count == 20000 &&
	        batch.series_count == 20000,
	    "which are there once");
	arena_release(&a);
	buf_release(&b);
}

/* --- metadata --- */

static void add(struct arena *to, const char *name, uint8_t type, const char *help)
{
	const char *const texts[] = { "__name__", name, NULL };
	rw2_enc_series(&enc, labels_of(texts, to));
	rw2_enc_sample(&enc, 1, 1, 0);
	rw2_enc_meta(&enc,
	    &(struct batch_meta){ .type = type, .help = help, .help_len = (uint32_t)strlen(help) });
}

static void families(void)
{
	static const struct {
		const char *name;
		uint8_t type;
		const char *family;
	} cases[] = { { "a_total", 1, "a_total" }, { "a_count", 1, "a_count" },
		{ "g_sum", 2, "g_sum" }, { "h_bucket", 3, "h" }, { "h_count", 3, "h" },
		{ "h_sum", 3, "h" }, { "h_created", 3, "h" }, { "h", 3, "h" },
		{ "h_total", 3, "h_total" }, { "_sum", 3, "_sum" }, { "gh_bucket", 4, "gh" },
		{ "gh_created", 4, "gh" }, { "s_sum", 5, "s" }, { "s_count", 5, "s" },
		{ "s_created", 5, "s" }, { "s", 5, "s" }, { "s_bucket", 5, "s_bucket" },
		{ "u_count", 0, "u_count" }, { "i_info", 6, "i_info" } };
	struct arena a;
	struct buf b;
	arena_init(&a, 1024);
	buf_init(&b);
	for (unsigned i = 0; i < COUNT_OF(cases); i++) {
		body_begin(&b);
		add(&a, cases[i].name, cases[i].type, "help");
		rw2_enc_end(&enc, &b);
		bool right = !decode(&b) && batch.metas_count == 1 &&
		    batch.metas[0].type == cases[i].type && batch.metas[0].help_len == 4 &&
		    batch.metas[0].family_len == strlen(cases[i].family) &&
		    !memcmp(batch.metas[0].family, cases[i].family, batch.metas[0].family_len);
		tap_ok(
		    right, "%s of type %u is of %s", cases[i].name, cases[i].type, cases[i].family);
	}
	body_begin(&b);
	for (unsigned i = 0; i < 1000; i++)
		add(&a, i % 2 ? "h_count" : "h_sum", 3, "help");
	rw2_enc_end(&enc, &b);
	tap_ok(!decode(&b) && batch.metas_count == 1, "once for each family of a request");
	body_begin(&b);
	for (unsigned i = 0; i < 100; i++)
		add(&a, "up", 2, i % 10 < 5 ? "one" : "other");
	rw2_enc_end(&enc, &b);
	tap_ok(!decode(&b) && batch.metas_count == 20, "and as often as it changes: %zu",
	    batch.metas_count);
	buf_release(&b);
	arena_release(&a);
}

/* The batch's metadata points into b. */
static size_t metas(
    struct rw2_memory *m, struct buf *b, struct arena *a, uint32_t tenant, const char *help)
{
	struct rw2_opts o = { .slow_bytes = SIZE_MAX, .tenant = tenant };
	body_begin(b);
	add(a, "up", 2, help);
	add(a, "up", 2, help);
	rw2_enc_end(&enc, b);
	bool good = !decode_with(m, &o, b->data, b->len) && batch.rows_count == 2;
	batch.tenant = tenant;
	return good ? batch.metas_count : SIZE_MAX;
}

/* What the store does with a batch. */
static void store(struct stamps *stamps, bool changes)
{
	for (size_t i = 0; changes && i < batch.metas_count; i++)
		stamps_mark(stamps,
		    batch_meta_hash(batch.tenant, batch.metas[i].family, batch.metas[i].family_len));
}

/* Metas of a body of one series that says it is a counter. */
static size_t meta_of(struct rw2_memory *m, struct buf *b, struct arena *a, const char *name)
{
	struct batch_meta meta = { .type = 1 };
	struct rw2_opts o = { .slow_bytes = SIZE_MAX };
	body_begin(b);
	rw2_enc_series(&enc, labels_of((const char *const[]){ "__name__", name, NULL }, a));
	rw2_enc_sample(&enc, 1, 1, 0);
	rw2_enc_meta(&enc, &meta);
	rw2_enc_end(&enc, b);
	return decode_with(m, &o, b->data, b->len) ? SIZE_MAX : batch.metas_count;
}

static void memory(void)
{
	struct stamps *stamps = stamps_create();
	struct rw2_memory *m = rw2_memory_create(stamps);
	struct arena a;
	struct buf b;
	arena_init(&a, 1024);
	buf_init(&b);
	tap_is_u64(metas(m, &b, &a, 1, "one"), 1, "new metadata is given once");
	tap_is_u64(
	    metas(m, &b, &a, 1, "one"), 1, "and again, as long as nobody says that it is stored");
	store(stamps, true);
	rw2_memory_learn(m, &batch);
	tap_is_u64(metas(m, &b, &a, 1, "one"), 1, "what was a change is not known yet");
	store(stamps, false);
	rw2_memory_learn(m, &batch);
	tap_is_u64(metas(m, &b, &a, 1, "one"), 0, "what was there already is");
	tap_is_u64(metas(m, &b, &a, 2, "one"), 1, "another tenant's is not");
	tap_is_u64(metas(m, &b, &a, 1, "two"), 1, "a change is given");
	tap_is_u64(metas(m, &b, &a, 1, "one"), 1, "and the change back");
	rw2_memory_learn(m, &batch);
	tap_is_u64(metas(m, &b, &a, 1, "one"), 0, "known again");
	stamps_mark(stamps, batch_meta_hash(1, "up", 2));
	tap_is_u64(metas(m, &b, &a, 1, "one"), 1, "when somebody else has changed it it is given");
	stamps_mark(stamps, batch_meta_hash(1, "up", 2));
	rw2_memory_learn(m, &batch);
	tap_is_u64(metas(m, &b, &a, 1, "one"), 1, "a change while it was on its way teaches nothing");
	rw2_memory_learn(m, &batch);
	tap_is_u64(metas(NULL, &b, &a, 1, "one"), 1, "without a memory nothing is known");
	/* as many as fit are known together, whatever their names */
	unsigned wrong = 0, again = 0;
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < RW2_KNOWN - 1; i++) {
			char name[32];
			snprintf(name, sizeof name, "node_memory_bytes_%u", i);
			again += meta_of(m, &b, &a, name) * round;
			rw2_memory_learn(m, &batch);
			arena_reset(&a, SIZE_MAX);
		}
	tap_is_u64(again, 0, "no family makes another one forgotten while there is room");
	/* many families: bounded, and right */
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < 3 * RW2_KNOWN; i++) {
			char name[32];
			snprintf(name, sizeof name, "family_%u", i % (2 * RW2_KNOWN));
			wrong += !meta_of(m, &b, &a, name) && !round && i < 2 * RW2_KNOWN;
			rw2_memory_learn(m, &batch);
			arena_reset(&a, SIZE_MAX);
		}
	tap_ok(!wrong, "more families than it has room for");
	rw2_memory_free(m);
	stamps_free(stamps);
	buf_release(&b);
	arena_release(&a);
}

/* --- the encoder --- */

static void encoded(void)
{
	struct buf b;
	struct arena a;
	buf_init(&b);
	arena_init(&a, 1024);
	body_begin(&b);
	rw2_enc_series(&enc, LABELS("__name__", "up", "job", "x"));
	rw2_enc_sample(&enc, 7, 1, 0);
	rw2_enc_meta(&enc,
	    &(struct batch_meta){
	        .type = 2, .help = "help", .help_len = 4, .unit = "s", .unit_len = 1 });
	rw2_enc_end(&enc, &b);
	static const char bytes[] = SYMBOLS "\x2a\x1b" REFS SAMPLE META;
	tap_is_mem(b.data, b.len, bytes, sizeof bytes - 1, "the encoder's bytes");
	body_begin(&b);
	rw2_enc_series(&enc, (struct labels){ NULL, 0 });
	rw2_enc_sample(&enc, 0, 0, 0);
	rw2_enc_exemplar(&enc, (struct labels){ NULL, 0 }, 0, 0);
	rw2_enc_meta(&enc, &(struct batch_meta){ .type = 0 });
	rw2_enc_end(&enc, &b);
	static const char zeros[] = "\x22\x00\x2a\x06\x12\x00\x22\x00\x2a\x00";
	tap_is_mem(b.data, b.len, zeros, sizeof zeros - 1, "zeros are left out");
	body_begin(&b);
	unsigned wrong = 0;
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < 5000; i++) {
			char text[16];
			int n = snprintf(text, sizeof text, "s%u", i);
			wrong += rw2_enc_symbol(&enc, text, (size_t)n) != i + 1;
		}
	tap_ok(!wrong, "5,000 strings have one number each");
	arena_release(&a);
	buf_release(&b);
}

/* --- many --- */

/* Random series, in the shapes of senders: what comes out is what went in. */
static void random_requests(void)
{
	struct buf two, one;
	struct arena a;
	struct batch old;
	uint64_t rnd = 11;
	unsigned differ = 0;
	buf_init(&two);
	buf_init(&one);
	arena_init(&a, 1 << 20);
	batch_init(&old);
	for (unsigned round = 0; round < 60; round++) {
		unsigned count = 1 + (unsigned)(testhist_mix(&rnd) % 400),
		         kinds = 1 + (unsigned)(testhist_mix(&rnd) % 300);
		body_begin(&two);
		buf_clear(&one);
		for (unsigned i = 0; i < count; i++) {
			const char *texts[64];
			unsigned n = 0,
			         labels = (unsigned)(testhist_mix(&rnd) % (round % 9 ? 12 : 31));
			for (unsigned k = 0; k < labels; k++) {
				bool changes = testhist_mix(&rnd) % 5 == 0;
				texts[n++] = arena_printf(&a, "name_%u", k);
				texts[n++] = arena_printf(&a, "%.*s%u",
				    (int)(testhist_mix(&rnd) % 4 * 40 * changes),
				    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
				    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
				    changes ? (unsigned)(testhist_mix(&rnd) % kinds) : round);
			}
			texts[n] = NULL;
			struct labels ls = labels_of(texts, &a);
			int64_t t = 1755000000000 + (int64_t)(testhist_mix(&rnd) % 3);
			double v = testhist_double(&rnd);
			rw1_encode_series(&one, ls, t, v);
			rw2_enc_series(&enc, ls);
			rw2_enc_sample(&enc, t, v, 0);
			if (round & 1)
				rw2_enc_meta(&enc, &(struct batch_meta){ .type = 1 });
		}
		rw2_enc_end(&enc, &two);
		batch_clear(&old);
		if (rw1_decode(&a, one.data, one.len, NULL, &old, NULL) || decode(&two) ||
		    old.rows_count != batch.rows_count)
			differ++;
		for (size_t i = 0; !differ && i < old.rows_count; i++) {
			const struct batch_row *x = &old.rows[i], *y = &batch.rows[i];
			differ += x->t_ms != y->t_ms || num_bits(x->v) != num_bits(y->v) ||
			    !rw2judge_bytes(x->labels, x->labels_len, y->labels, y->labels_len);
		}
		arena_reset(&a, SIZE_MAX);
	}
	tap_is_u64(differ, 0, "60 random requests give the rows of the same ones in 1.0");
	batch_release(&old);
	arena_release(&a);
	buf_release(&one);
	buf_release(&two);
}

/* Changed bytes of a usual body: whatever comes, the judges are not contradicted. */
static void mutations(void)
{
	enum {
		ROUNDS = 20000
	};
	struct buf b;
	struct arena a;
	buf_init(&b);
	arena_init(&a, 1024);
	uint64_t rnd = 7;
	unsigned wrong = 0, taken = 0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		body_begin(&b);
		for (unsigned i = 0; i < 1 + round % 5; i++) {
			rw2_enc_series(&enc,
			    LABELS("__name__", i & 1 ? "up_sum" : "up_count", "job", "x", "n",
			        i & 2 ? "1" : "2"));
			rw2_enc_sample(&enc, 1755000000000 + i, i, round % 11 ? 0 : 5);
			if (round % 7 == 0)
				rw2_enc_hist(&enc, testhist_any(&a, round), 5, 0);
			if (round % 3 == 0)
				rw2_enc_exemplar(&enc, LABELS("id", "z"), 5, 6);
			rw2_enc_meta(&enc,
			    &(struct batch_meta){
			        .type = (uint8_t)(round % 8), .help = "h", .help_len = 1 });
		}
		rw2_enc_end(&enc, &b);
		size_t len = b.len;
		for (int k = 0; k < 30; k++)
			buf_add(&b, "\x78\x01", 2);
		for (unsigned c = 0; c <= round % 3; c++) {
			static const uint8_t likely[] = { 0x0a, 0x12, 0x09, 0x10, 0x1a, 0x22, 0x2a,
				0x18, 0x80, 0xff, 0, 1, 3, 6 };
			rnd = hash_mix64(rnd + c + 1);
			b.data[rnd % len] = rnd >> 60 ? likely[(rnd >> 32) % COUNT_OF(likely)]
			                              : (uint8_t)(rnd >> 32);
		}
		bool took;
		const char *why = rw2judge(b.data, round & 1 ? len : b.len, NULL, true, &took);
		if (why && !wrong++)
			tap_note("first: round %u: %s", round, why);
		taken += took;
		arena_reset(&a, SIZE_MAX);
	}
	tap_is_u64(wrong, 0, "the judges agree on %d changed bodies", ROUNDS);
	tap_ok(taken > ROUNDS / 20 && taken < ROUNDS, "some were taken (%u), some refused", taken);
	arena_release(&a);
	buf_release(&b);
}

int main(void)
{
	arena_init(&arena, 4096);
	batch_init(&batch);
	rw2_enc_init(&enc);
	encoded();
	shapes();
	contents();
	many_floats();
	left_out();
	histograms();
	counts_are_limited();
	bombs();
	slow_bytes();
	families();
	memory();
	random_requests();
	mutations();
	rw2_enc_release(&enc);
	batch_release(&batch);
	arena_release(&arena);
	return tap_done();
}
