#include "tests/lib/tap.h"
#include "tests/lib/testhist.h"

#include "core/model/chunkenc.h"
#include "proto/rread.h"
#include "proto/rreadin.h"
#include "proto/snapz.h"

static struct arena arena;
static struct limits limits;
static struct errbuf eb;

static void requests(void)
{
	struct matcher ms[4];
	bool made = !matcher_init(&ms[0], MATCHER_EQ, "__name__", 8, "up", 2, &eb) &&
	    !matcher_init(&ms[1], MATCHER_NE, "a", 1, "", 0, &eb) &&
	    !matcher_init(&ms[2], MATCHER_RE, "b", 1, "x|y.*", 5, &eb) &&
	    !matcher_init(&ms[3], MATCHER_NRE, "c", 1, "z+", 2, &eb);
	struct rreadin_query q[] = {
		{ .start_ms = -5, .end_ms = INT64_MAX, .matchers = ms, .matchers_count = 4 },
		{ .start_ms = 0, .end_ms = 7, .matchers = ms, .matchers_count = 1 },
	};
	struct buf body;
	buf_init(&body);
	rreadin_request(&body, q, 2, true);
	size_t len = 0;
	enum err e = snapz_length(body.data, body.len, &len);
	uint8_t *plain = arena_alloc(&arena, len + SNAPZ_SLOP);
	e = e ? e : snapz_decode(body.data, body.len, plain, len);
	struct rread r = { .count = 0 };
	e = e ? e : rread_decode(&arena, plain, len, &limits, &r, &eb);
	bool good = made && !e && r.count == 2 && r.streamed && r.supported &&
	    r.queries[0].start_ms == -5 && r.queries[0].end_ms == INT64_MAX &&
	    r.queries[0].matchers_count == 4 && r.queries[1].end_ms == 7;
	for (size_t i = 0; good && i < 4; i++) {
		const struct matcher *m = &r.queries[0].matchers[i];
		good = m->type == ms[i].type &&
		    bytes_equal(m->name, m->name_len, ms[i].name, ms[i].name_len) &&
		    bytes_equal(m->value, m->value_len, ms[i].value, ms[i].value_len);
	}
	tap_ok(good, "the server reads the request that the client makes: %s", eb.text);
	rread_release(&r);
	for (size_t i = 0; i < 4; i++)
		matcher_release(&ms[i]);
	buf_release(&body);
}

#define SAMPLES 700u
static int64_t times[SAMPLES];
static double values[SAMPLES];
static const struct hist *hists[SAMPLES];

static struct sample_column column(bool with_hists)
{
	for (uint32_t i = 0; i < SAMPLES; i++) {
		times[i] = 1700000000000 + 15000 * (int64_t)i;
		values[i] = i % 50 ? i * 0.25 : sample_stale();
		hists[i] = NULL;
		if (with_hists && i % 3) {
			hists[i] = testhist_next(&arena, 7, i);
			values[i] = num_from_bits(SAMPLE_HIST_BITS);
		}
	}
	return (struct sample_column){
		.count = SAMPLES, .t_ms = times, .v = values, .h = with_hists ? hists : NULL
	};
}

static void frames(void)
{
	struct labels ls = label_make(&arena, "__name__", "up", "job", "x", NULL);
	struct sample_column c = column(true);
	struct buf out, want;
	buf_init(&out);
	buf_init(&want);
	size_t start = rread_frame_begin(&out, ls);
	for (uint32_t at = 0; at < c.count;)
		at += rread_frame_chunk(&out, &c, at);
	rread_frame_end(&out, start, 3);
	const uint8_t *message;
	size_t len, used;
	bool again = true;
	for (size_t cut = 0; cut < out.len; cut++)
		again &= rreadin_frame(out.data, cut, &message, &len, &used) == ERR_AGAIN;
	tap_ok(again, "a frame that is not whole is waited for, wherever it ends");
	enum err e = rreadin_frame(out.data, out.len, &message, &len, &used);
	tap_ok(!e && used == out.len, "a whole one is taken");
	struct rreadin r;
	struct rreadin_series s;
	struct rreadin_chunk chunk;
	rreadin_streamed(&r, message, len);
	bool good = rreadin_series(&r, &arena, &s) && label_equal(s.wire, ls);
	uint32_t at = 0, chunks = 0;
	for (; good && rreadin_chunk(&s, &chunk); chunks++) {
		struct chunkenc told;
		buf_clear(&want);
		chunkenc_next(&c, at, &want, &told);
		good = chunk.type == told.type && chunk.t_min_ms == times[at] &&
		    chunk.t_max_ms == times[at + told.count - 1] && chunk.len == want.len &&
		    !memcmp(chunk.data, want.data, want.len);
		at += told.count;
	}
	tap_ok(good && !s.bad && at == SAMPLES && chunks > 5 && !rreadin_series(&r, &arena, &s) &&
	        !r.bad,
	    "its series has the labels and the %u chunks that went in", chunks);
	out.data[out.len / 2] ^= 1;
	tap_ok(rreadin_frame(out.data, out.len, &message, &len, &used) == ERR_MALFORMED,
	    "a bit that fell over is seen");
	static const uint8_t large[] = { 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0 };
	tap_ok(rreadin_frame(large, sizeof(large), &message, &len, &used) == ERR_TOOBIG,
	    "a frame that is too long is refused before it is there");
	static const uint8_t endless[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	tap_ok(rreadin_frame(endless, sizeof(endless), &message, &len, &used) == ERR_MALFORMED,
	    "a length without an end is none");
	buf_release(&out);
	buf_release(&want);
}

/* ReadResponse with two results: a series, then none, then two. */
static void answer(struct buf *out, const struct labels *ls, const struct sample_column *c)
{
	static const size_t results[] = { 1, 0, 2 };
	struct buf one;
	buf_init(&one);
	for (size_t i = 0; i < COUNT_OF(results); i++) {
		buf_clear(&one);
		for (size_t k = 0; k < results[i]; k++) {
			size_t start = rread_series_begin(&one, ls[i ? 1 + k : 0]);
			rread_series_samples(&one, c, 0, c->count);
			rread_series_end(&one, start);
		}
		buf_add_u8(out, 0x0a);
		wire_put_lenbytes(out, one.data, one.len);
	}
	buf_release(&one);
}

static size_t read_all(const uint8_t *p, size_t len, const struct labels *ls, bool *good)
{
	struct rreadin r;
	struct rreadin_series s;
	struct rreadin_sample x;
	size_t series = 0;
	rreadin_samples(&r, p, len);
	for (; rreadin_series(&r, &arena, &s); series++) {
		uint32_t n = 0;
		*good = *good && series < 3 && label_equal(s.wire, ls[series]);
		for (; rreadin_sample(&s, &arena, &limits, &x); n++)
			*good = *good && n < SAMPLES && x.t_ms == times[n] && !x.left &&
			    num_bits(x.v) == num_bits(values[n]) && hist_equal(x.hist, hists[n]);
		*good = *good && n == SAMPLES && !s.bad;
	}
	*good = *good && !r.bad;
	return series;
}

static void samples(void)
{
	struct labels ls[] = { label_make(&arena, "__name__", "a", NULL),
		label_make(&arena, "__name__", "b", "x", "", "y", "1", NULL),
		label_make(&arena, "__name__", "c", NULL) };
	struct sample_column c = column(true);
	struct buf out;
	buf_init(&out);
	answer(&out, ls, &c);
	bool good = true;
	size_t series = read_all(out.data, out.len, ls, &good);
	tap_ok(good && series == 3, "samples, histograms among them, come as they were: %zu", series);
	size_t refused = 0;
	for (size_t cut = 1; cut < out.len; cut += 7) {
		uint8_t *exact = mem_alloc(cut);
		memcpy(exact, out.data, cut);
		bool whole = true;
		(void)read_all(exact, cut, ls, &whole);
		refused += !whole;
		mem_free(exact);
	}
	tap_ok(refused > 10, "answers that are cut are told or shorter: %zu", refused);
	buf_release(&out);
}

/* Labels that stand apart, with a chunk between them. */
static void apart(void)
{
	static const uint8_t message[] = { 0x0a, 20, 0x0a, 6, 0x0a, 1, 'a', 0x12, 1, '1', 0x12, 2,
		0x18, 1, 0x0a, 6, 0x0a, 1, 'b', 0x12, 1, '2' };
	struct rreadin r;
	struct rreadin_series s;
	struct rreadin_chunk chunk;
	rreadin_streamed(&r, message, sizeof(message));
	struct labels want = label_make(&arena, "a", "1", "b", "2", NULL);
	tap_ok(rreadin_series(&r, &arena, &s) && label_equal(s.wire, want) &&
	        rreadin_chunk(&s, &chunk) && chunk.type == 1 && !chunk.len &&
	        !rreadin_chunk(&s, &chunk),
	    "labels that stand apart are put together");
}

int main(void)
{
	arena_init(&arena, 4096);
	errbuf_init(&eb);
	limits_default(&limits);
	requests();
	frames();
	samples();
	apart();
	arena_release(&arena);
	return tap_done();
}
