#include "core/model/chunkenc.h"

#include "core/base/wire.h"

#include <math.h>

#define NO_WINDOW 0xffu

/* --- bits, the highest first --- */

/* Whole words go out; what is not yet one waits, from the highest bit on. */
struct bits {
	struct buf *out;
	uint64_t word;
	unsigned used; /* bits of it, below 64 */
};

static inline void bits_put(struct bits *b, uint64_t v, unsigned n) /* n of 1..64 */
{
	unsigned left = 64 - b->used;
	v <<= 64 - n;
	b->word |= v >> b->used;
	b->used += n;
	if (b->used < 64)
		return;
	uint64_t whole = __builtin_bswap64(b->word);
	buf_add(b->out, &whole, sizeof(whole));
	b->used -= 64;
	b->word = b->used ? v << left : 0;
}

static void bits_end(struct bits *b)
{
	uint64_t last = __builtin_bswap64(b->word);
	buf_add(b->out, &last, (b->used + 7) / 8);
}

static void byte_put(struct bits *b, uint8_t v)
{
	bits_put(b, v, 8);
}

static void uvarint(struct bits *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		byte_put(b, (uint8_t)(v | 0x80));
	byte_put(b, (uint8_t)v);
}

static void svarint(struct bits *b, int64_t v)
{
	uvarint(b, wire_zigzag_of((uint64_t)v));
}

/* Differences of times and counts wrap, as Go's do. */
static int64_t minus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}

static bool fits(int64_t v, unsigned bits)
{
	return v >= -((INT64_C(1) << (bits - 1)) - 1) && v <= INT64_C(1) << (bits - 1);
}

struct step { /* a prefix of so many ones and a zero, then so many bits */
	uint8_t ones, bits;
};

/* varbit_int: signed and small is short. */
static const struct step int_steps[] = { { 1, 3 }, { 2, 6 }, { 3, 9 }, { 4, 12 }, { 5, 18 },
	{ 6, 25 }, { 7, 56 } };
static const struct step dod_steps[] = { { 1, 14 }, { 2, 17 }, { 3, 20 } };

static void stepped(struct bits *b, int64_t v, const struct step *steps, size_t count)
{
	if (!v) {
		bits_put(b, 0, 1);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (!fits(v, steps[i].bits))
			continue;
		bits_put(b, (UINT64_C(2) << steps[i].ones) - 2, steps[i].ones + 1u);
		bits_put(b, (uint64_t)v, steps[i].bits);
		return;
	}
	bits_put(b, UINT64_MAX, (unsigned)count + 1);
	bits_put(b, (uint64_t)v, 64);
}

static void varbit_int(struct bits *b, int64_t v)
{
	stepped(b, v, int_steps, COUNT_OF(int_steps));
}

static void varbit_uint(struct bits *b, uint64_t v)
{
	if (!v) {
		bits_put(b, 0, 1);
		return;
	}
	for (size_t i = 0; i < COUNT_OF(int_steps); i++) {
		if (v >> int_steps[i].bits)
			continue;
		bits_put(b, (UINT64_C(2) << int_steps[i].ones) - 2, int_steps[i].ones + 1u);
		bits_put(b, v, int_steps[i].bits);
		return;
	}
	bits_put(b, UINT64_MAX, 8);
	bits_put(b, v, 64);
}

/* A stream of floats: the value before, and the window of bits that the last difference had. */
struct stream {
	uint64_t last;
	uint8_t lead, trail;
};

static void stream_first(struct bits *b, struct stream *s, double v)
{
	*s = (struct stream){ .last = num_bits(v), .lead = NO_WINDOW };
	bits_put(b, s->last, 64);
}

static void stream_next(struct bits *b, struct stream *s, double v)
{
	uint64_t d = s->last ^ num_bits(v);
	s->last = num_bits(v);
	if (!d) {
		bits_put(b, 0, 1);
		return;
	}
	unsigned lead = (unsigned)__builtin_clzll(d), trail = (unsigned)__builtin_ctzll(d);
	lead = lead > 31 ? 31 : lead;
	if (s->lead != NO_WINDOW && lead >= s->lead && trail >= s->trail) {
		bits_put(b, 2, 2);
		bits_put(b, d >> s->trail, 64u - s->lead - s->trail);
		return;
	}
	s->lead = (uint8_t)lead;
	s->trail = (uint8_t)trail;
	unsigned width = 64 - lead - trail;
	bits_put(b, 3, 2);
	bits_put(b, lead, 5);
	bits_put(b, width & 63, 6);
	bits_put(b, d >> trail, width);
}

/* --- a chunk --- */

struct maker {
	struct bits bits;
	size_t start; /* of the chunk in out */
	const struct sample_column *col;
	uint32_t from, count;
	int64_t t, t_delta;
	int64_t range_ms; /* cut as Prometheus' head does; 0 = by counts alone */
	int64_t first_ms, range_end_ms, end_ms;
	bool foreseen; /* end_ms is not just the range's */
};

static size_t bytes_of(const struct maker *m)
{
	return m->bits.out->len - m->start + (m->bits.used + 7) / 8;
}

/* "rangeForTimestamp" of tsdb/head_append.go */
static int64_t range_end(int64_t t, int64_t width)
{
	return num_sat_add(t / width * width, width);
}

/* "computeChunkEndTime": so that the chunks of a range become even, by how far this one is. */
static void foresee(struct maker *m, double ratio)
{
	double start = (double)m->first_ms, whole = (double)m->end_ms - start,
	       n = whole / (((double)m->t - start + 1) * ratio);
	m->foreseen = true;
	if (n > 1)
		m->end_ms = (int64_t)(start + whole / floor(n));
}

static void began(struct maker *m, int64_t t)
{
	m->first_ms = t;
	m->range_end_ms = m->end_ms = m->range_ms ? range_end(t, m->range_ms) : INT64_MAX;
}

static void begin(struct maker *m)
{
	byte_put(&m->bits, 0);
	byte_put(&m->bits, 0); /* the number of samples */
}

static void end(struct maker *m)
{
	struct buf *out = m->bits.out;
	bits_end(&m->bits);
	if (out->over)
		return;
	out->data[m->start] = (uint8_t)(m->count >> 8);
	out->data[m->start + 1] = (uint8_t)m->count;
}

/* --- floats --- */

static bool is_float(const struct sample_column *c, uint32_t i)
{
	return !c->h || !c->h[i];
}

/* Is there no place for one more at t? ("appendPreprocessor" of tsdb/head_append.go) */
static bool floats_full(struct maker *m, int64_t t)
{
	if (!m->range_ms)
		return m->count >= CHUNKENC_SAMPLES;
	if (bytes_of(m) > CHUNKENC_XOR_BYTES - CHUNKENC_XOR_SAMPLE)
		return true;
	if (m->count == CHUNKENC_SAMPLES / 4)
		foresee(m, 4);
	return t >= m->end_ms || m->count >= 2 * CHUNKENC_SAMPLES;
}

static void floats(struct maker *m)
{
	const struct sample_column *c = m->col;
	struct stream s = { 0 };
	begin(m);
	began(m, c->t_ms[m->from]);
	for (uint32_t i = m->from; i < c->count && is_float(c, i); i++) {
		if (m->count && floats_full(m, c->t_ms[i]))
			break;
		int64_t t = c->t_ms[i], delta = minus(t, m->t);
		if (m->count == 0) {
			svarint(&m->bits, t);
			stream_first(&m->bits, &s, c->v[i]);
		} else if (m->count == 1) {
			uvarint(&m->bits, (uint64_t)delta);
			stream_next(&m->bits, &s, c->v[i]);
		} else {
			stepped(&m->bits, minus(delta, m->t_delta), dod_steps, COUNT_OF(dod_steps));
			stream_next(&m->bits, &s, c->v[i]);
		}
		m->t = t;
		m->t_delta = delta;
		m->count++;
	}
	end(m);
}

/* --- histograms --- */

static void zero_threshold(struct bits *b, double v)
{
	int e = 0;
	if (v == 0) {
		byte_put(b, 0);
		return;
	}
	if (frexp(v, &e) == 0.5 && e >= -242 && e <= 11) {
		byte_put(b, (uint8_t)(e + 243));
		return;
	}
	byte_put(b, 255);
	bits_put(b, num_bits(v), 64);
}

static void spans(struct bits *b, const struct hist_side *s)
{
	varbit_uint(b, s->spans_count);
	for (uint32_t i = 0; i < s->spans_count; i++) {
		varbit_uint(b, s->spans[i].length);
		varbit_int(b, s->spans[i].offset);
	}
}

static void bound(struct bits *b, double v)
{
	double whole = v * 1000;
	if (whole >= 0 && whole <= 33554430 && whole == floor(whole)) {
		varbit_uint(b, (uint64_t)whole + 1);
		return;
	}
	bits_put(b, 0, 1);
	bits_put(b, num_bits(v), 64);
}

static void layout(struct bits *b, const struct hist *h)
{
	zero_threshold(b, h->zero_threshold);
	varbit_int(b, h->schema);
	spans(b, &h->positive);
	spans(b, &h->negative);
	if (h->schema != HIST_SCHEMA_CUSTOM)
		return;
	varbit_uint(b, h->bounds_count);
	for (uint32_t i = 0; i < h->bounds_count; i++)
		bound(b, h->bounds[i]);
}

/* Counts of both sides as one array: positive, then negative. */
static uint32_t buckets_of(const struct hist *h)
{
	return h->positive.counts_count + h->negative.counts_count;
}

static union hist_count bucket(const struct hist *h, uint32_t i)
{
	uint32_t positive = h->positive.counts_count;
	return i < positive ? h->positive.counts[i] : h->negative.counts[i - positive];
}

/* What stands in the bytes: each bucket less the one before, of its side. */
static int64_t bucket_delta(const struct hist *h, uint32_t i)
{
	uint64_t before = i && i != h->positive.counts_count ? bucket(h, i - 1).n : 0;
	return minus((int64_t)bucket(h, i).n, (int64_t)before);
}

static bool less(const struct hist *h, union hist_count a, union hist_count b)
{
	return h->is_float ? a.f < b.f : a.n < b.n;
}

static bool goes_back(const struct hist *a, const struct hist *b)
{
	if (less(b, b->count, a->count) || less(b, b->zero_count, a->zero_count))
		return true;
	for (uint32_t i = 0; i < buckets_of(b); i++)
		if (less(b, bucket(b, i), bucket(a, i)))
			return true;
	return false;
}

/* May b stand behind a? */
static bool follows(const struct hist *a, const struct hist *b)
{
	if (hist_is_stale(a) || hist_is_stale(b) || a->is_float != b->is_float)
		return false;
	if ((a->hint == HIST_GAUGE) != (b->hint == HIST_GAUGE) || !hist_same_layout(a, b))
		return false;
	return b->hint == HIST_GAUGE || (b->hint != HIST_RESET && !goes_back(a, b));
}

static uint8_t header_of(const struct hist *h)
{
	if (h->hint == HIST_GAUGE)
		return 0xc0;
	/* That nothing was reset before its first sample is for the reader to find. */
	return h->hint == HIST_RESET ? 0x80 : 0;
}

/* What the sample before had, for differences of differences: n buckets of each. */
struct before {
	int64_t count, zero, *bucket; /* differences */
	const struct hist *h;
};

static void ints_first(struct maker *m, const struct hist *h, struct stream *sum)
{
	struct bits *b = &m->bits;
	varbit_uint(b, h->count.n);
	varbit_uint(b, h->zero_count.n);
	stream_first(b, sum, h->sum);
	for (uint32_t i = 0; i < buckets_of(h); i++)
		varbit_int(b, bucket_delta(h, i));
}

static void ints_next(struct maker *m, const struct hist *h, struct stream *sum, struct before *was)
{
	struct bits *b = &m->bits;
	int64_t count = minus((int64_t)h->count.n, (int64_t)was->h->count.n),
	        zero = minus((int64_t)h->zero_count.n, (int64_t)was->h->zero_count.n);
	varbit_int(b, minus(count, was->count));
	varbit_int(b, minus(zero, was->zero));
	stream_next(b, sum, h->sum);
	for (uint32_t i = 0; i < buckets_of(h); i++) {
		int64_t d = minus(bucket_delta(h, i), bucket_delta(was->h, i));
		varbit_int(b, minus(d, was->bucket[i]));
		was->bucket[i] = d;
	}
	was->count = count;
	was->zero = zero;
}

static double float_at(const struct hist *h, uint32_t i)
{
	return i == 0 ? h->count.f
	    : i == 1  ? h->zero_count.f
	    : i == 2  ? h->sum
	              : bucket(h, i - 3).f;
}

static void floats_of(struct maker *m, const struct hist *h, struct stream *streams)
{
	for (uint32_t i = 0; i < 3 + buckets_of(h); i++) {
		if (m->count)
			stream_next(&m->bits, &streams[i], float_at(h, i));
		else
			stream_first(&m->bits, &streams[i], float_at(h, i));
	}
}

static void time_put(struct maker *m, int64_t t)
{
	int64_t delta = minus(t, m->t);
	varbit_int(&m->bits, m->count == 0 ? t : m->count == 1 ? delta : minus(delta, m->t_delta));
	m->t_delta = delta;
	m->t = t;
}

/* "histogramsAppendPreprocessor" */
static bool head_full(struct maker *m, size_t bytes, int64_t t)
{
	int64_t range_end_ms = m->foreseen ? m->range_end_ms : m->end_ms;
	if (!m->foreseen && bytes >= CHUNKENC_HIST_FULL / 4)
		foresee(m, (double)CHUNKENC_HIST_FULL / (double)bytes);
	return (t >= m->end_ms || bytes >= 2 * CHUNKENC_HIST_FULL) &&
	    (m->count >= CHUNKENC_HIST_LEAST || t >= range_end_ms);
}

static bool full(struct maker *m, int64_t t)
{
	size_t bytes = bytes_of(m);
	if (m->range_ms)
		return m->bits.out->over || m->count == CHUNKENC_COUNT_MOST || head_full(m, bytes, t);
	return m->count >= CHUNKENC_SAMPLES || m->bits.out->over || bytes >= CHUNKENC_HIST_MOST ||
	    (bytes >= CHUNKENC_HIST_FULL && m->count >= CHUNKENC_HIST_LEAST);
}

static void histograms(struct maker *m)
{
	static const struct hist none;
	const struct sample_column *c = m->col;
	const struct hist *h = c->h[m->from], *first = h;
	struct hist stale = none;
	if (hist_is_stale(h)) { /* nothing but the marker, and an empty layout */
		stale.sum = h->sum;
		stale.is_float = h->is_float;
		stale.hint = h->hint;
		first = h = &stale;
	}
	uint32_t n = buckets_of(h);
	struct stream sum, *streams = mem_array(NULL, n + 3u, sizeof(*streams));
	struct before was = { .h = h, .bucket = mem_array(NULL, n + 1u, sizeof(*was.bucket)) };
	memset(was.bucket, 0, (n + 1u) * sizeof(*was.bucket));
	begin(m);
	began(m, c->t_ms[m->from]);
	byte_put(&m->bits, header_of(h));
	layout(&m->bits, h);
	for (uint32_t i = m->from;; h = c->h[i]) {
		time_put(m, c->t_ms[i]);
		if (first->is_float)
			floats_of(m, h, streams);
		else if (m->count)
			ints_next(m, h, &sum, &was);
		else
			ints_first(m, h, &sum);
		was.h = h;
		m->count++;
		if (++i == c->count || is_float(c, i) || full(m, c->t_ms[i]) || !follows(h, c->h[i]))
			break;
	}
	mem_free(streams);
	mem_free(was.bucket);
	end(m);
}

static void next(struct maker *m, struct chunkenc *told)
{
	const struct sample_column *c = m->col;
	uint32_t from = m->from;
	if (is_float(c, from))
		floats(m);
	else
		histograms(m);
	*told = (struct chunkenc){ .type = is_float(c, from) ? CHUNKENC_XOR
		    : c->h[from]->is_float                   ? CHUNKENC_FLOAT_HISTOGRAM
		                                             : CHUNKENC_HISTOGRAM,
		.t_min_ms = c->t_ms[from],
		.t_max_ms = c->t_ms[from + m->count - 1],
		.count = m->count };
}

void chunkenc_next(
    const struct sample_column *c, uint32_t from, struct buf *out, struct chunkenc *told)
{
	struct maker m = { .bits = { .out = out }, .start = out->len, .col = c, .from = from };
	next(&m, told);
}

void chunkenc_head_next(const struct sample_column *c, uint32_t from, int64_t range_ms,
    struct buf *out, struct chunkenc *told)
{
	CHECK(range_ms > 0);
	struct maker m = {
		.bits = { .out = out }, .start = out->len, .col = c, .from = from, .range_ms = range_ms
	};
	next(&m, told);
}
