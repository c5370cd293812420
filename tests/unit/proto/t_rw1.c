#include "tests/lib/rw1judge.h"
#include "tests/lib/tap.h"
#include "tests/lib/testhist.h"

#include "proto/pbhist.h"

#include "core/base/hash.h"
#include "core/base/wire.h"

static struct arena arena;
static struct batch batch;
static struct errbuf eb;

static enum err decode(const void *body, size_t len)
{
	arena_reset(&arena, 0);
	batch_clear(&batch);
	errbuf_init(&eb);
	return rw1_decode(&arena, body, len, NULL, &batch, &eb);
}
#define BYTES(s) s, sizeof(s) - 1

/* A field that holds a message. */
static void put(struct buf *b, uint8_t number, const struct buf *inside)
{
	buf_add_u8(b, (uint8_t)(number << 3 | 2));
	wire_put_lenbytes(b, inside->data, inside->len);
}

/*
 * Bodies small enough for the slow way get bytes behind them, so that the fast way runs as well:
 * fields that nobody knows.
 */
static void agree(const char *bytes, size_t len, bool accepted, const char *what)
{
	bool took;
	const char *wrong = rw1judge((const uint8_t *)bytes, len, &took);
	tap_ok(!wrong && took == accepted, "%s: %s (%s)", accepted ? "taken" : "refused", what,
	    wrong ? wrong : "as the judge");
	struct buf b;
	buf_init(&b);
	buf_add(&b, bytes, len);
	for (int i = 0; i < 12; i++)
		buf_add(&b, "\x78\x01", 2);
	wrong = rw1judge(b.data, b.len, &took);
	tap_ok(!wrong && took == accepted, "the same with unknown fields behind (%s)",
	    wrong ? wrong : "as the judge");
	buf_release(&b);
}

#define LABEL_A                                                                                    \
 "\x0a\x08\x0a\x01"                                                                                \
 "a"                                                                                               \
 "\x12\x03"                                                                                        \
 "xyz"
#define LABEL_B                                                                                    \
 "\x0a\x06\x0a\x01"                                                                                \
 "b"                                                                                               \
 "\x12\x01"                                                                                        \
 "1"
#define SAMPLE "\x12\x0b\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\x07"

/* As most samples are: a time of six bytes, and a value that may be 0. */
#define USUAL      "\x12\x10\x09\x01\x02\x03\x04\x05\x06\xf0\x3f\x10\x80\x90\xa0\xb0\xc0\x33"
#define USUAL_ZERO "\x12\x07\x10\x80\x90\xa0\xb0\xc0\x33"

static void shapes(void)
{
	agree(BYTES(""), true, "nothing");
	agree(BYTES("\x0a\x00"), true, "a series of nothing");
	agree(BYTES("\x0a\x17" LABEL_A SAMPLE), true, "a label and a sample");
	agree(BYTES("\x0a\x1f" LABEL_A SAMPLE LABEL_B), true, "labels in two runs");
	agree(BYTES("\x0a\x1f" SAMPLE LABEL_A LABEL_B), true, "the sample first");
	agree(BYTES("\x0a\x24" LABEL_A SAMPLE SAMPLE), true, "two samples");
	agree(BYTES("\x0a\x19" LABEL_A "\x78\x01" SAMPLE), true, "an unknown field between");
	agree(BYTES("\x0a\x19"
	            "\x8a\x00\x88\x00\x0a\x01"
	            "a"
	            "\x12\x03"
	            "xyz" SAMPLE),
	    true, "longer encodings of tag and length");
	agree(BYTES("\x0a\x0c" LABEL_A "\x12\x00"), true, "a sample of nothing");
	agree(BYTES("\x0a\x0e" LABEL_A "\x12\x02\x10\x07"), true, "a sample with a time alone");
	agree(BYTES("\x0a\x15" LABEL_A "\x12\x09\x09\x00\x00\x00\x00\x00\x00\xf0\x3f"), true,
	    "a sample with a value alone");
	agree(BYTES("\x0a\x17" LABEL_A "\x12\x0b\x10\x07\x09\x00\x00\x00\x00\x00\x00\xf0\x3f"),
	    true, "time before value");
	agree(BYTES("\x0a\x10" LABEL_A "\x12\x04\x10\x07\x10\x08"), true, "the last time counts");
	agree(BYTES("\x0a\x17" LABEL_A "\x12\x0b\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
	    true, "a time of -1");
	agree(BYTES("\x0a\x0e" LABEL_A "\x22\x02\x78\x01"), true, "a histogram");
	agree(BYTES("\x0a\x0c" LABEL_A "\x1a\x00"), true, "an exemplar");
	agree(BYTES("\x1a\x10\x08\x01\x12\x02up\x22\x04help\x2a\x02ms"), true, "metadata");
	agree(BYTES("\x1a\x07\x08\x09\x12\x01"
	            "a\x12\x00"),
	    true, "metadata of an unknown type, and a last name that is empty");
	agree(BYTES("\x7d\x01\x02\x03\x04\x79\x01\x02\x03\x04\x05\x06\x07\x08"), true,
	    "unknown numbers of both widths");

	agree(BYTES("\x0a"), false, "a tag alone");
	agree(BYTES("\x0a\x7f" LABEL_A), false, "a series longer than the body");
	agree(BYTES("\x0a\x09" LABEL_A), false, "a label longer than its series");
	agree(BYTES("\x08\x01"), false, "a series that is a number");
	agree(BYTES("\x0a\x02\x08\x01"), false, "a label that is a number");
	agree(BYTES("\x0a\x0e" LABEL_A "\x12\x02\x08\x01"), false, "a value that is an integer");
	agree(BYTES("\x0a\x0d" LABEL_A "\x12\x01\x10"), false, "a time that is missing");
	agree(BYTES("\x0a\x12" LABEL_A "\x12\x06\x10\xff\xff\xff\xff\xff"), false,
	    "a time that does not end");
	agree(BYTES("\x0b\x0c"), false, "a group");
	agree(BYTES("\x8a\x80\x80\x80\x80\x00\x00"), false, "a tag of six bytes");
	agree(BYTES("\x1a\x02\x10\x01"), false, "a family name that is a number");
}

/*
 * What stands between usual series, which come first so that their shape is expected, and bytes
 * that nobody knows, so that nothing ends too soon for the fast ways.
 */
static void agree_between(const struct buf *series, bool accepted, const char *what)
{
	struct buf b, behind;
	bool took;
	buf_init(&b);
	buf_init(&behind);
	for (int i = 0; i < 6; i++)
		buf_add(&b, BYTES("\x0a\x24" LABEL_A LABEL_B USUAL));
	buf_add(&b, series->data, series->len);
	for (int i = 0; i < 6; i++)
		buf_add(&b, BYTES("\x0a\x1b" LABEL_A LABEL_B USUAL_ZERO));
	for (int i = 0; i < 6000; i++)
		buf_add_u8(&behind, 0x0a);
	put(&b, 15, &behind);
	const char *wrong = rw1judge(b.data, b.len, &took);
	tap_ok(!wrong && took == accepted, "%s: %s between usual series (%s)",
	    accepted ? "taken" : "refused", what, wrong ? wrong : "as the judge");
	buf_release(&b);
	buf_release(&behind);
}

static void label_put(struct buf *b, size_t value_len, const char *end, size_t end_len)
{
	struct buf inside;
	buf_init(&inside);
	buf_add(&inside, "\x0a\x01n\x12", 4);
	wire_put_varint(&inside, value_len + end_len);
	for (size_t i = 0; i < value_len; i++)
		buf_add_u8(&inside, 'v');
	buf_add(&inside, end, end_len);
	put(b, 1, &inside);
	buf_release(&inside);
}

/* Series whose last bytes are a usual sample, or look like one. */
static void tails(void)
{
	static const struct {
		unsigned labels;
		size_t value_len;
		const char *forged; /* what the last label ends with */
		size_t forged_len;
		const char *rest;
		size_t rest_len;
		bool accepted;
		const char *what;
	} cases[] = {
		{ 0, 0, BYTES(""), BYTES(USUAL), true, "no label" },
		{ 1, 0, BYTES(""), BYTES(USUAL), true, "a label without a value" },
		{ 1, 126, BYTES(""), BYTES(USUAL), true, "a label of more than 127 bytes" },
		{ 1, 122, BYTES(""), BYTES(USUAL), true, "a label of 127 bytes" },
		{ 1, 123, BYTES(""), BYTES(USUAL_ZERO), true, "a label of 128 bytes" },
		{ 2, 300, BYTES(""), BYTES(USUAL), true, "two labels of 300 bytes" },
		{ 1, 17000, BYTES(""), BYTES(USUAL), true, "a label of 17,000 bytes" },
		{ 15, 5, BYTES(""), BYTES(USUAL), true, "15 labels" },
		{ 16, 5, BYTES(""), BYTES(USUAL_ZERO), true, "16 labels" },
		{ 40, 5, BYTES(""), BYTES(USUAL), true, "40 labels" },
		{ 2, 3, BYTES(USUAL), BYTES(""), true, "a label that ends as a sample does" },
		{ 2, 3, BYTES(USUAL_ZERO), BYTES(""), true, "the same without a value" },
		{ 2, 200, BYTES(USUAL), BYTES(""), true, "a long one that ends so" },
		{ 2, 3, BYTES(USUAL), BYTES(USUAL), true, "the same and a sample" },
		{ 2, 3, BYTES(""), BYTES(USUAL USUAL), true, "two samples" },
		{ 2, 3, BYTES(""), BYTES(USUAL USUAL_ZERO), true, "two, the last without a value" },
		{ 2, 3, BYTES(""), BYTES("\x12\x00" USUAL), true, "an empty sample and one" },
		{ 2, 3, BYTES(""), BYTES("\x78\x01" USUAL), true, "an unknown field and a sample" },
		{ 2, 3, BYTES(""), BYTES("\x7a\x12" USUAL), true, "a sample in an unknown field" },
		{ 2, 3, BYTES(""), BYTES("\x7a\x11" USUAL), false,
		    "an unknown field, cut in a sample" },
		{ 2, 3, BYTES(""), BYTES("\x12\x12" USUAL), false, "a sample in a sample" },
		{ 2, 3, BYTES(""), BYTES("\x0a\x12" USUAL), true, "a label that is a sample" },
		{ 2, 3, BYTES(""), BYTES("\x0a\x03" USUAL), false, "a label that ends in one" },
		{ 2, 3, BYTES(""),
		    BYTES("\x12\x10\x09\0\0\0\0\0\0\x12\x07\x10\x80\x90\xa0\xb0\xc0\x01"), true,
		    "a value that looks like the shorter sample" },
		{ 2, 3, BYTES(""), BYTES("\x12\x06\x10\x80\x90\xa0\xb0\x01"), true,
		    "five bytes of time" },
		{ 2, 3, BYTES(""), BYTES("\x12\x08\x10\x80\x90\xa0\xb0\xc0\x80\x01"), true,
		    "seven bytes of time" },
		{ 2, 3, BYTES(""), BYTES("\x12\x07\x10\x80\x90\xa0\xb0\xc0\x00"), true,
		    "a time that is longer than it needs" },
		{ 2, 3, BYTES(""), BYTES("\x12\x07\x10\x80\x90\x20\xb0\xc0\x01"), false,
		    "a time that ends early" },
		{ 2, 3, BYTES(""), BYTES("\x12\x07\x10\x80\x90\xa0\xb0\xc0\x81"), false,
		    "a time that does not end" },
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buf inside, series;
		buf_init(&inside);
		buf_init(&series);
		for (unsigned k = 1; k <= cases[i].labels; k++) {
			bool last = k == cases[i].labels;
			label_put(&inside, cases[i].value_len, cases[i].forged,
			    last ? cases[i].forged_len : 0);
		}
		buf_add(&inside, cases[i].rest, cases[i].rest_len);
		put(&series, 1, &inside);
		agree_between(&series, cases[i].accepted, cases[i].what);
		buf_release(&inside);
		buf_release(&series);
	}
}

/* What only exists in rw1: positions of rows, joined labels, counts. */
static void contents(void)
{
	static const char body[] = "\x0a\x24" LABEL_A SAMPLE SAMPLE "\x0a\x1f" LABEL_A SAMPLE LABEL_B
	                           "\x0a\x10" LABEL_A "\x22\x00\x22\x00\x1a\x00";
	tap_ok(!decode(BYTES(body)), "three series");
	tap_is_u64(batch.series_count, 3, "are counted");
	tap_is_u64(batch.rows_count, 5, "with five rows");
	tap_is_u64(batch.exemplars_count, 1, "and an exemplar");
	tap_ok(batch.rows[0].labels == (const uint8_t *)body + 2 &&
	        batch.rows[1].labels == batch.rows[0].labels,
	    "rows of one series share the labels of the body");
	tap_is_mem(batch.rows[2].labels, batch.rows[2].labels_len, LABEL_A LABEL_B,
	    sizeof(LABEL_A LABEL_B) - 1, "labels in pieces are joined");
	tap_ok(batch.rows[3].flags == BATCH_EXTRA && batch.rows[4].flags == BATCH_EXTRA &&
	        batch.rows[3].extra->hist && batch.exemplars[0].labels == batch.rows[3].labels,
	    "histograms are marked, and exemplars have the labels of their series");
	tap_ok(batch.rows[0].t_ms == 7 && batch.rows[0].v == 1, "time and value arrive");
	tap_ok(decode(BYTES("\x0a\x09" LABEL_A)) == ERR_MALFORMED && strstr(eb.text, "at byte 2"),
	    "a malformed body is told with its place: %s", eb.text);
}

static void limits(void)
{
	struct buf b, series;
	buf_init(&b);
	buf_init(&series);
	for (unsigned i = 0; i < (unsigned)limits_here()->write_series; i++)
		buf_add(&b, "\x0a\x00", 2);
	tap_ok(!decode(b.data, b.len), "%u series pass", (unsigned)limits_here()->write_series);
	buf_add(&b, "\x0a\x00", 2);
	tap_ok(decode(b.data, b.len) == ERR_TOOBIG, "one more does not: %s", eb.text);
	buf_clear(&b);
	for (unsigned i = 0; i < (unsigned)limits_here()->write_samples; i++)
		buf_add(&series, "\x12\x02\x10\x07", 4);
	put(&b, 1, &series);
	tap_ok(!decode(b.data, b.len) && batch.rows_count == (unsigned)limits_here()->write_samples,
	    "%u samples pass", (unsigned)limits_here()->write_samples);
	buf_add(&series, "\x12\x02\x10\x07", 4);
	buf_clear(&b);
	put(&b, 1, &series);
	tap_ok(decode(b.data, b.len) == ERR_TOOBIG, "one more does not: %s", eb.text);
	buf_clear(&b);
	put(&b, 1, &series);
	for (int i = 0; i < 40; i++)
		buf_add(&b, "\x78\x01", 2);
	tap_ok(decode(b.data, b.len) == ERR_TOOBIG, "nor when the series has company");
	buf_clear(&b);
	for (unsigned i = 0; i <= (unsigned)limits_here()->write_series; i++)
		buf_add(&b, "\x1a\x00", 2);
	tap_ok(decode(b.data, b.len) == ERR_TOOBIG, "metadata entries have a limit: %s", eb.text);
	buf_release(&b);
	buf_release(&series);
}

static enum err decode_some(const struct buf *b, size_t slow_bytes, const struct limits *l)
{
	struct rw1_opts o = { .limits = l, .slow_bytes = slow_bytes };
	arena_reset(&arena, 0);
	batch_clear(&batch);
	errbuf_init(&eb);
	return rw1_decode(&arena, b->data, b->len, &o, &batch, &eb);
}

/* What senders make is never slow; what is slow stops before it costs much. */
static void slow_bytes(void)
{
	struct buf b, series;
	buf_init(&b);
	buf_init(&series);
	buf_add(&series, BYTES(LABEL_A LABEL_B SAMPLE));
	for (int i = 0; i < 2000; i++)
		put(&b, 1, &series);
	(void)decode_some(&b, SIZE_MAX, NULL); /* makes room for rows */
	tap_ok(!decode_some(&b, 100, NULL) && batch.rows_count == 2000,
	    "2,000 usual series go the fast way");
	buf_clear(&b);
	buf_clear(&series);
	for (int i = 0; i < 100000; i++)
		buf_add(&series, "\x0a\x00", 2);
	put(&b, 1, &series);
	tap_ok(decode_some(&b, 64 << 10, NULL) == ERR_AGAIN, "100,000 empty labels do not");
	tap_ok(!decode_some(&b, SIZE_MAX, NULL), "where there is time they are decoded");
	struct limits l = *limits_here();
	l.write_series = 3;
	buf_clear(&b);
	for (int i = 0; i < 4; i++)
		buf_add(&b, "\x0a\x00", 2);
	tap_ok(decode_some(&b, SIZE_MAX, &l) == ERR_TOOBIG &&
	        strstr(eb.text, "limit 3 (--limits.series-per-request)"),
	    "limits are those given: %s", eb.text);
	buf_release(&b);
	buf_release(&series);
}

static void encoded_comes_back(void)
{
	struct buf b;
	buf_init(&b);
	struct arena a;
	arena_init(&a, 1024);
	struct labels ls = { .bytes = (const uint8_t *)LABEL_A LABEL_B,
		.len = sizeof(LABEL_A LABEL_B) - 1 };
	static const struct sample samples[] = { { 1755000000123, 1.5 }, { 0, 0 }, { -5, -0.0 },
		{ INT64_MIN, 1e300 }, { INT64_MAX, 0 } };
	for (size_t i = 0; i < COUNT_OF(samples); i++)
		rw1_encode_series(&b, ls, samples[i].t_ms, samples[i].v);
	rw1_encode_series(&b, ls, 1755000000123, sample_stale());
	rw1_encode_meta(&b,
	    &(struct batch_meta){
	        .family = "up", .family_len = 2, .help = "is it", .help_len = 5, .unit = "", .type = 2 });
	tap_ok(!decode(b.data, b.len) && batch.rows_count == COUNT_OF(samples) + 1,
	    "encoded samples are decoded");
	for (size_t i = 0; i < COUNT_OF(samples); i++)
		tap_ok(batch.rows[i].t_ms == samples[i].t_ms &&
		        num_bits(batch.rows[i].v) == num_bits(samples[i].v),
		    "sample %zu is the same", i);
	tap_ok(sample_is_stale(batch.rows[COUNT_OF(samples)].v), "the stale marker keeps its bits");
	tap_ok(label_equal(ls, (struct labels){ batch.rows[0].labels, batch.rows[0].labels_len }),
	    "labels are the same bytes");
	tap_ok(batch.metas_count == 1 && batch.metas[0].type == 2 && batch.metas[0].help_len == 5 &&
	        batch.metas[0].unit_len == 0,
	    "metadata comes back");
	bool took;
	const char *wrong = rw1judge(b.data, b.len, &took);
	tap_ok(!wrong && took, "and the judge reads the same: %s", wrong ? wrong : "yes");
	arena_release(&a);
	buf_release(&b);
}

/* Changed bytes of a usual body: whatever comes, the judge is not contradicted. */
static void mutations(void)
{
	enum {
		ROUNDS = 20000
	};
	struct buf b;
	buf_init(&b);
	uint64_t rnd = 7;
	unsigned wrong = 0, taken = 0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		buf_clear(&b);
		for (unsigned i = 0; i < 1 + round % 5; i++)
			rw1_encode_series(&b,
			    (struct labels){ (const uint8_t *)LABEL_A LABEL_B, i & 1 ? 18 : 10 },
			    1755000000000 + i, i);
		if (round % 7 == 0)
			rw1_encode_meta(&b,
			    &(struct batch_meta){ .family = "up",
			        .family_len = 2,
			        .help = "is it",
			        .help_len = 5,
			        .unit = "s",
			        .unit_len = 1,
			        .type = 2 });
		for (unsigned c = 0; c <= round % 3; c++) {
			static const uint8_t likely[] = { 0x0a, 0x12, 0x09, 0x10, 0x1a, 0x22, 0x80,
				0xff, 0, 1 };
			rnd = hash_mix64(rnd + c + 1);
			b.data[rnd % b.len] = rnd >> 60 ? likely[(rnd >> 32) % COUNT_OF(likely)]
			                                : (uint8_t)(rnd >> 32);
		}
		bool took;
		const char *why = rw1judge(b.data, b.len, &took);
		if (why && !wrong++)
			tap_note("first: round %u: %s", round, why);
		taken += took;
	}
	tap_is_u64(wrong, 0, "the judge agrees on %d changed bodies", ROUNDS);
	tap_ok(taken > ROUNDS / 20 && taken < ROUNDS, "some were taken (%u), some refused", taken);
	buf_release(&b);
}

/* A field of a histogram's message. */
static void number(struct buf *b, unsigned field, uint64_t v)
{
	wire_put_varint(b, field << 3);
	wire_put_varint(b, v);
}

/* A series of its own with a histogram, and what stands behind it. */
static void series_put(struct buf *body, const struct buf *hist)
{
	struct buf ts;
	buf_init(&ts);
	buf_add(&ts, LABEL_A, sizeof(LABEL_A) - 1);
	put(&ts, 4, hist);
	put(body, 1, &ts);
	buf_release(&ts);
}

static unsigned judged(const struct buf *body)
{
	bool took;
	const char *wrong = rw1judge(body->data, body->len, &took);
	if (wrong || !took)
		tap_note("%s", wrong ? wrong : "not taken");
	return wrong || !took;
}

static void histograms(void)
{
	struct buf body, msg;
	struct arena a;
	unsigned bad = 0, differ = 0;
	buf_init(&body);
	buf_init(&msg);
	arena_init(&a, 4096);
	for (uint64_t i = 0; i < 3000; i++) {
		struct hist *h = testhist_any(&a, i);
		buf_clear(&body);
		buf_clear(&msg);
		pbhist_encode(h, 1000 + (int64_t)i, &msg);
		series_put(&body, &msg);
		bad += judged(&body);
		bad += decode(body.data, body.len) || batch.rows_count != 1 || !batch.extras_bytes;
		const struct batch_row *r = &batch.rows[0];
		differ += !(r->flags & BATCH_EXTRA) || !hist_equal(r->extra->hist, h) ||
		    r->t_ms != 1000 + (int64_t)i || r->extra->start_ms;
		arena_reset(&a, SIZE_MAX);
	}
	tap_ok(!bad && !differ, "3,000 histograms arrive, bit by bit, and the judge agrees");
	/* numbers one by one, twice, of a finer schema, of the other kind */
	buf_clear(&body);
	buf_clear(&msg);
	number(&msg, 1, 3);
	number(&msg, 4, 18); /* 9 */
	buf_add(&msg, "\x5a\x04\x08\x02\x10\x02", 6);
	number(&msg, 12, 2);
	number(&msg, 12, 2);
	buf_add(&msg, "\x6a\x08\0\0\0\0\0\0\xf0\x3f", 10);
	number(&msg, 15, 5);
	series_put(&body, &msg);
	bad = judged(&body);
	TAP_OK(!bad && !decode(body.data, body.len));
	const struct hist *h = batch.rows[0].extra->hist;
	tap_ok(h && h->schema == 8 && h->positive.counts_count == 1 && h->positive.counts[0].n == 3,
	    "deltas that are not packed, counts of the other kind, a schema finer than 8");
	buf_release(&body);
	buf_release(&msg);
	arena_release(&a);
}

static void bad_histograms(void)
{
	struct buf body, msg;
	buf_init(&body);
	buf_init(&msg);
	number(&msg, 1, 3); /* a count without buckets */
	number(&msg, 15, 5);
	series_put(&body, &msg);
	series_put(&body, &msg);
	buf_add(&body, "\x0a\x17" LABEL_A SAMPLE, 2 + sizeof(LABEL_A SAMPLE) - 1);
	TAP_OK(!judged(&body) && !decode(body.data, body.len) && batch.rows_count == 3);
	tap_ok(batch.rows[0].extra->bad && strstr(batch.rows[0].extra->bad, "its count is 3") &&
	        batch.rows[1].extra->bad && batch.rows[2].v == 1 && batch.rows[0].t_ms == 5,
	    "a bad histogram says why, the rest arrives: %s", batch.rows[0].extra->bad);
	buf_clear(&body);
	buf_clear(&msg);
	struct buf counts;
	buf_init(&counts);
	for (unsigned i = 0; i <= limits_here()->write_hist_buckets; i++)
		buf_add_u8(&counts, 0);
	put(&msg, 12, &counts);
	series_put(&body, &msg);
	arena_release(&arena); /* its blocks have grown */
	arena_init(&arena, 4096);
	TAP_OK(!judged(&body) && !decode(body.data, body.len));
	tap_ok(batch.rows[0].extra->bad &&
	        strstr(batch.rows[0].extra->bad, "limit 16,384 (--limits.histogram-buckets)"),
	    "too many buckets name the limit: %s", batch.rows[0].extra->bad);
	tap_ok(arena_used(&arena) < 8192, "and take no memory: %zu", arena_used(&arena));
	buf_clear(&body);
	buf_clear(&counts);
	buf_clear(&msg);
	for (unsigned i = 0; i < 16000; i++)
		buf_add_u8(&counts, 0);
	put(&msg, 12, &counts);
	for (unsigned i = 0; i <= limits_here()->write_samples / 1001; i++)
		series_put(&body, &msg);
	tap_ok(decode(body.data, body.len) == ERR_TOOBIG,
	    "buckets of a request are bounded: sixteen count as a sample: %s", eb.text);
	static const char *const broken[] = { "\x09", "\x08\x80", "\x5a\x02\x08\x80",
		"\x6a\x07zzzzzzz", "\x0d\0\0\0\0", "\x62\x02\x80\x80" };
	static const size_t lens[] = { 1, 2, 4, 9, 5, 4 };
	for (unsigned i = 0; i < sizeof lens / sizeof *lens; i++) {
		buf_clear(&body);
		buf_clear(&msg);
		buf_add(&msg, broken[i], lens[i]);
		series_put(&body, &msg);
		tap_ok(decode(body.data, body.len) == ERR_MALFORMED, "broken: %s", eb.text);
	}
	buf_release(&counts);
	buf_release(&body);
	buf_release(&msg);
}

int main(void)
{
	arena_init(&arena, 4096);
	batch_init(&batch);
	histograms();
	bad_histograms();
	shapes();
	tails();
	contents();
	limits();
	slow_bytes();
	encoded_comes_back();
	mutations();
	batch_release(&batch);
	arena_release(&arena);
	return tap_done();
}
