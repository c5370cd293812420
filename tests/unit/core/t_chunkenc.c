#include "tests/lib/tap.h"
#include "tests/lib/testhist.h"

#include "core/base/wire.h"
#include "core/model/chunkenc.h"

/* A reader of chunks of its own, by the description of the format. */
struct reader {
	const uint8_t *p;
	size_t bits, at;
};

static uint64_t take(struct reader *r, unsigned n)
{
	uint64_t v = 0;
	for (; n; n--, r->at++) {
		CHECK(r->at < r->bits);
		v = v << 1 | (r->p[r->at / 8] >> (7 - r->at % 8) & 1u);
	}
	return v;
}

static uint64_t uvarint(struct reader *r)
{
	uint64_t v = 0;
	for (unsigned shift = 0;; shift += 7) {
		uint64_t byte = take(r, 8);
		v |= (byte & 127) << shift;
		if (byte < 128)
			return v;
	}
}

static unsigned ones(struct reader *r, unsigned most)
{
	unsigned n = 0;
	while (n < most && take(r, 1))
		n++;
	return n;
}

static int64_t signed_of(uint64_t v, unsigned bits)
{
	if (bits < 64 && v > UINT64_C(1) << (bits - 1))
		v -= UINT64_C(1) << bits;
	return (int64_t)v;
}

static const unsigned sizes[] = { 0, 3, 6, 9, 12, 18, 25, 56, 64 };

static int64_t varint(struct reader *r)
{
	unsigned bits = sizes[ones(r, 8)];
	return bits ? signed_of(take(r, bits), bits) : 0;
}

static uint64_t varuint(struct reader *r)
{
	unsigned bits = sizes[ones(r, 8)];
	return bits ? take(r, bits) : 0;
}

static int64_t dod(struct reader *r)
{
	static const unsigned of[] = { 0, 14, 17, 20, 64 };
	unsigned bits = of[ones(r, 4)];
	return bits ? signed_of(take(r, bits), bits) : 0;
}

struct value {
	uint64_t bits;
	unsigned lead, trail;
};

static double first(struct reader *r, struct value *v)
{
	*v = (struct value){ .bits = take(r, 64) };
	return num_from_bits(v->bits);
}

static double next(struct reader *r, struct value *v)
{
	if (!take(r, 1))
		return num_from_bits(v->bits);
	if (take(r, 1)) {
		v->lead = (unsigned)take(r, 5);
		unsigned width = (unsigned)take(r, 6);
		v->trail = 64 - v->lead - (width ? width : 64);
	}
	v->bits ^= take(r, 64 - v->lead - v->trail) << v->trail;
	return num_from_bits(v->bits);
}

static int64_t plus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

static bool floats_are(struct reader *r, const struct sample_column *c, uint32_t from, uint32_t n)
{
	struct value v;
	int64_t t = 0, delta = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (i == 0) {
			t = (int64_t)wire_unzigzag(uvarint(r));
			first(r, &v);
		} else {
			delta = i == 1 ? (int64_t)uvarint(r) : plus(delta, dod(r));
			t = plus(t, delta);
			next(r, &v);
		}
		if (t != c->t_ms[from + i] || v.bits != num_bits(c->v[from + i]))
			return false;
	}
	return true;
}

static double threshold(struct reader *r)
{
	uint64_t byte = take(r, 8);
	if (byte == 255)
		return num_from_bits(take(r, 64));
	return byte ? __builtin_ldexp(1, (int)byte - 244) : 0;
}

static bool spans_are(struct reader *r, const struct hist_side *s)
{
	if (varuint(r) != s->spans_count)
		return false;
	for (uint32_t i = 0; i < s->spans_count; i++)
		if (varuint(r) != s->spans[i].length || varint(r) != s->spans[i].offset)
			return false;
	return true;
}

static bool layout_is(struct reader *r, const struct hist *h)
{
	if (num_bits(threshold(r)) != num_bits(h->zero_threshold) || varint(r) != h->schema)
		return false;
	if (!spans_are(r, &h->positive) || !spans_are(r, &h->negative))
		return false;
	if (h->schema != HIST_SCHEMA_CUSTOM)
		return true;
	if (varuint(r) != h->bounds_count)
		return false;
	for (uint32_t i = 0; i < h->bounds_count; i++) {
		uint64_t whole = varuint(r);
		double v = whole ? (double)(whole - 1) / 1000 : num_from_bits(take(r, 64));
		if (v != h->bounds[i])
			return false;
	}
	return true;
}

static uint32_t buckets(const struct hist *h)
{
	return h->positive.counts_count + h->negative.counts_count;
}

static union hist_count bucket(const struct hist *h, uint32_t i)
{
	uint32_t n = h->positive.counts_count;
	return i < n ? h->positive.counts[i] : h->negative.counts[i - n];
}

#define STREAMS 4096
static int64_t last[STREAMS], delta_of[STREAMS];
static struct value values[STREAMS];

/* The i-th number of a stream of differences of differences. */
static int64_t number(struct reader *r, unsigned stream, uint32_t i, bool is_unsigned)
{
	if (i == 0) {
		last[stream] = is_unsigned ? (int64_t)varuint(r) : varint(r);
		delta_of[stream] = 0;
		return last[stream];
	}
	delta_of[stream] = plus(delta_of[stream], varint(r));
	return last[stream] = plus(last[stream], delta_of[stream]);
}

static bool ints_are(struct reader *r, const struct hist *h, uint32_t i)
{
	uint64_t at = 0;
	bool good = (uint64_t)number(r, 1, i, true) == h->count.n;
	good &= (uint64_t)number(r, 2, i, true) == h->zero_count.n;
	double sum = i ? next(r, &values[0]) : first(r, &values[0]);
	good &= num_bits(sum) == num_bits(h->sum);
	for (uint32_t b = 0; b < buckets(h); b++) {
		at = (b == h->positive.counts_count ? 0 : at) + (uint64_t)number(r, 3 + b, i, false);
		good &= at == bucket(h, b).n;
	}
	return good;
}

static bool doubles_are(struct reader *r, const struct hist *h, uint32_t i)
{
	bool good = true;
	for (uint32_t k = 0; k < 3 + buckets(h); k++) {
		double v = i ? next(r, &values[k]) : first(r, &values[k]);
		double want = k == 0 ? h->count.f
		    : k == 1         ? h->zero_count.f
		    : k == 2         ? h->sum
		                     : bucket(h, k - 3).f;
		good &= num_bits(v) == num_bits(want);
	}
	return good;
}

/* Readers take every sample but the first as "nothing was reset", but gauges. */
static bool hints_hold(const struct sample_column *c, uint32_t from, uint32_t n, unsigned flags)
{
	bool gauge = c->h[from]->hint == HIST_GAUGE;
	if (gauge != (flags == 3) || (flags == 2) != (c->h[from]->hint == HIST_RESET))
		return false;
	for (uint32_t i = from + 1; i < from + n; i++) {
		const struct hist *a = c->h[i - 1], *b = c->h[i];
		if ((b->hint == HIST_GAUGE) != gauge || (!gauge && b->hint == HIST_RESET))
			return false;
		for (uint32_t k = 0; !gauge && k < buckets(b); k++)
			if (b->is_float ? bucket(b, k).f < bucket(a, k).f
			                : bucket(b, k).n < bucket(a, k).n)
				return false;
	}
	return true;
}

static bool hists_are(struct reader *r, const struct sample_column *c, uint32_t from, uint32_t n)
{
	static const struct hist none;
	struct hist stale = none;
	const struct hist *h = c->h[from];
	unsigned flags = (unsigned)take(r, 8) >> 6;
	if (hist_is_stale(h)) {
		if (n != 1)
			return false;
		stale.sum = h->sum;
		stale.is_float = h->is_float;
		h = &stale;
	}
	CHECK(buckets(h) + 3 <= STREAMS);
	if (!layout_is(r, h))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		const struct hist *one = h == &stale ? h : c->h[from + i];
		if (number(r, 0, i, false) != c->t_ms[from + i])
			return false;
		if (!(h->is_float ? doubles_are(r, one, i) : ints_are(r, one, i)))
			return false;
	}
	return hints_hold(c, from, n, flags);
}

/* All chunks of a column, one behind the other; 0: something is wrong. */
static unsigned chunks_of(const struct sample_column *c)
{
	struct buf out;
	unsigned chunks = 0;
	uint32_t at = 0;
	buf_init(&out);
	while (at < c->count) {
		struct chunkenc told;
		buf_clear(&out);
		chunkenc_next(c, at, &out, &told);
		struct reader r = { .p = out.data, .bits = 8 * out.len };
		bool is_hist = c->h && c->h[at];
		bool good = told.count && take(&r, 16) == told.count &&
		    told.count <= CHUNKENC_SAMPLES && told.t_min_ms == c->t_ms[at] &&
		    told.t_max_ms == c->t_ms[at + told.count - 1] &&
		    (told.type == CHUNKENC_XOR) == !is_hist;
		good = good &&
		    (is_hist ? hists_are(&r, c, at, told.count) : floats_are(&r, c, at, told.count));
		if (!good || out.len * 8 - r.at >= 8) {
			tap_note("sample %u of %u, type %d, %u samples, %zu bits of %zu read", at,
			    c->count, told.type, told.count, r.at, r.bits);
			buf_release(&out);
			return 0;
		}
		at += told.count;
		chunks++;
	}
	buf_release(&out);
	return chunks;
}

#define MOST 2000
static int64_t times[MOST];
static double numbers[MOST];
static const struct hist *hists[MOST];

static int64_t step(uint64_t *s)
{
	uint64_t z = testhist_mix(s);
	return z % 16 == 0 ? (int64_t)(z >> 40) : z % 16 < 4 ? 15000 + (int64_t)(z >> 60) : 15000;
}

static void floats(void)
{
	uint64_t s = 1;
	for (unsigned round = 0; round < 50; round++) {
		int64_t t = (int64_t)(testhist_mix(&s) >> 12) - (INT64_C(1) << 51);
		uint32_t n = 1 + (uint32_t)(testhist_mix(&s) % MOST);
		for (uint32_t i = 0; i < n; i++) {
			times[i] = t += step(&s) + 1;
			numbers[i] = round % 2 ? testhist_double(&s) : (double)(i / 3) * 0.5;
		}
		struct sample_column c = { .count = n, .t_ms = times, .v = numbers };
		unsigned want = (n + CHUNKENC_SAMPLES - 1) / CHUNKENC_SAMPLES, got = chunks_of(&c);
		if (got != want)
			tap_ok(false, "round %u: %u chunks, not %u", round, got, want);
	}
	tap_ok(true, "floats, any times and values");
	static const int64_t edges[] = { 0, 1, -8191, 8192, -8190, 8193, -65535, 65536, -524287,
		524288, 524289, INT64_C(1) << 40 };
	int64_t t = 0, delta = INT64_C(1) << 41;
	for (uint32_t i = 0; i < COUNT_OF(edges); i++) {
		times[i] = t += delta += edges[i];
		numbers[i] = num_from_bits(i % 2 ? UINT64_MAX : 1);
	}
	struct sample_column c = { .count = COUNT_OF(edges), .t_ms = times, .v = numbers };
	tap_ok(chunks_of(&c) == 1, "edges of differences, and a difference of all bits");
	times[0] = INT64_MIN;
	times[1] = INT64_MAX;
	c.count = 2;
	tap_ok(chunks_of(&c) == 1, "the longest time there is");
}

/* The i-th of a counter that never goes back, with one layout. */
static const struct hist *steady(struct arena *a, uint32_t i)
{
	struct hist *h = hist_copy(a, testhist_next(a, 3, 0));
	union hist_count *c = arena_array(a, h->positive.counts_count, sizeof(*c));
	h->count.n = 0;
	for (uint32_t k = 0; k < h->positive.counts_count; k++) {
		c[k].n = (uint64_t)i * (k % 5) + i / (k + 1);
		h->count.n += c[k].n;
	}
	h->positive.counts = c;
	return h;
}

static void histograms(void)
{
	struct arena a;
	uint64_t s = 7;
	unsigned chunks = 0, samples = 0;
	arena_init(&a, 1 << 16);
	for (unsigned round = 0; round < 60; round++) {
		int64_t t = 0;
		uint32_t n = 1 + (uint32_t)(testhist_mix(&s) % 300);
		arena_reset(&a, 1 << 16);
		for (uint32_t i = 0; i < n; i++) {
			times[i] = t += step(&s) + 1;
			bool number = round % 3 == 2 && testhist_mix(&s) % 5 == 0;
			hists[i] = number    ? NULL
			    : round % 3 == 0 ? testhist_any(&a, testhist_mix(&s))
			    : round % 3 == 1 ? steady(&a, i)
			                     : testhist_next(&a, round, i);
			numbers[i] = number ? (double)i : num_from_bits(SAMPLE_HIST_BITS);
		}
		struct sample_column c = { .count = n, .t_ms = times, .v = numbers, .h = hists };
		unsigned got = chunks_of(&c);
		if (!got)
			tap_ok(false, "round %u: a chunk is wrong", round);
		chunks += round % 3 == 1 ? got : 0;
		samples += round % 3 == 1 ? n : 0;
	}
	tap_ok(true, "histograms of any shape, of one series, and mixed with floats");
	tap_ok(chunks * 5 < samples, "those of one series share chunks: %u samples in %u", samples,
	    chunks);
	arena_release(&a);
}

int main(void)
{
	floats();
	histograms();
	return tap_done();
}
