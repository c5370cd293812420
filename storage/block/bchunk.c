#include "storage/block/bchunk_priv.h"

/* Why a chunk is none. */
static const char *const too_short = "the chunk ends before its samples do",
                         *const no_window = "a value has more than 64 bits",
                         *const no_number = "a number has more than 64 bits",
                         *const not_later = "times do not ascend";

struct made { /* of a chunk: how it ended */
	enum err e;
	const char *what;
};

static struct made failed(enum err e, const char *what)
{
	return (struct made){ .e = e, .what = what };
}

static bool has_starts(uint8_t type)
{
	return type >= BCHUNK_XOR2;
}

uint32_t bchunk_count(uint8_t type, const uint8_t *data, size_t len)
{
	if (len < 2)
		return 0;
	uint32_t n = (uint32_t)data[0] << 8 | data[1];
	return type == BCHUNK_HISTOGRAM_ST || type == BCHUNK_FLOAT_HISTOGRAM_ST ? n & 0x3fff : n;
}

/* ---- floats ---- */

/* The first two samples of XOR and XOR2 differ little; times are whole bytes. */
static const char *time_first(struct bits *b, uint32_t i, int64_t *t, uint64_t *delta)
{
	if (i == 0)
		return bits_varint(b, t) ? NULL : no_number;
	if (!bits_uvarint(b, delta))
		return no_number;
	*t = (int64_t)((uint64_t)*t + *delta);
	return NULL;
}

/* A difference of differences that is not 0: its prefix is in w. */
static uint64_t dod_slow(struct bits *b, uint64_t w)
{
	if (!(w >> 62 & 1)) {
		b->at += 16;
		return (uint64_t)bits_signed(w << 2 >> 50, 14);
	}
	if (!(w >> 61 & 1)) {
		b->at += 20;
		return (uint64_t)bits_signed(w << 3 >> 47, 17);
	}
	if (!(w >> 60 & 1)) {
		b->at += 24;
		return (uint64_t)bits_signed(w << 4 >> 44, 20);
	}
	b->at += 4;
	return bits_take(b, 64);
}

/*
 * The loop of the format that nearly all data is in. What is read of a sample is at most 145 bits:
 * behind the end stands slop, and each round looks whether it came there.
 */
static struct made xor_rest(struct bits *bits, uint32_t n, int64_t t, uint64_t delta,
    struct bits_float f, int64_t *ts, double *vs)
{
	struct bits b = *bits; /* in registers */
	bool back = false;
	for (uint32_t i = 2; i < n; i++) {
		uint64_t w = bits_peek(&b);
		if (LIKELY(!(w >> 63))) {
			b.at++;
			w <<= 1;
		} else {
			delta += dod_slow(&b, w);
			w = bits_peek(&b);
		}
		int64_t before = t;
		t = (int64_t)((uint64_t)t + delta);
		back |= t <= before;
		if (!(w >> 63)) {
			b.at++;
		} else if (!(w >> 62 & 1)) {
			b.at += 2;
			bits_same_window(&b, &f);
		} else {
			b.at += 2;
			if (UNLIKELY(!bits_new_window(&b, &f)))
				return failed(ERR_MALFORMED, no_window);
		}
		ts[i] = t;
		vs[i] = num_from_bits(f.last);
		if (UNLIKELY(bits_over(&b)))
			return failed(ERR_TRUNCATED, too_short);
	}
	*bits = b;
	return back ? failed(ERR_MALFORMED, not_later) : failed(ERR_OK, NULL);
}

static struct made xor_floats(struct bits *b, uint32_t n, int64_t *ts, double *vs)
{
	int64_t t = 0;
	uint64_t delta = 0;
	struct bits_float f = { 0 };
	for (uint32_t i = 0; i < n && i < 2; i++) {
		const char *what = time_first(b, i, &t, &delta);
		if (what)
			return failed(ERR_MALFORMED, what);
		if (i == 0)
			f.last = bits_take(b, 64);
		else if (!bits_xor(b, &f))
			return failed(ERR_MALFORMED, no_window);
		if (bits_over(b))
			return failed(ERR_TRUNCATED, too_short);
		if (i && t <= ts[0])
			return failed(ERR_MALFORMED, not_later);
		ts[i] = t;
		vs[i] = num_from_bits(f.last);
	}
	return xor_rest(b, n, t, delta, f, ts, vs);
}

/* ---- XOR2 ---- */

struct xor2 {
	struct bits *b;
	struct bits_float f; /* last: the last value that was no stale marker */
	int64_t t;
	uint64_t delta;
	bool stale; /* this sample is */
};

/* 0 the same, 10 in the window, 110 a window, 111 stale */
static bool xor2_value(struct xor2 *x)
{
	uint64_t w = bits_peek(x->b);
	if (!(w >> 63)) {
		x->b->at++;
		return true;
	}
	if (!(w >> 62 & 1)) {
		x->b->at += 2;
		bits_same_window(x->b, &x->f);
		return true;
	}
	x->b->at += 3;
	x->stale = w >> 61 & 1;
	return x->stale || bits_new_window(x->b, &x->f);
}

/* Plain two's complement, unlike XOR's. */
static void xor2_dod(struct xor2 *x, unsigned bits)
{
	uint64_t v = bits_take(x->b, bits);
	x->delta += (uint64_t)((int64_t)(v << (64 - bits)) >> (64 - bits));
}

/* 0 nothing changed, 10 the value, 110 1110 11110 the time, and what of the value, 11111 stale */
static bool xor2_joint(struct xor2 *x)
{
	static const uint8_t dods[3] = { 13, 20, 64 };
	uint64_t w = bits_peek(x->b);
	unsigned ones = (unsigned)__builtin_clzll(~w | (UINT64_C(1) << 58)); /* at most 5 */
	x->b->at += ones < 5 ? ones + 1 : 5;
	if (ones >= 2 && ones < 5)
		xor2_dod(x, dods[ones - 2]);
	x->t = (int64_t)((uint64_t)x->t + x->delta);
	if (ones == 5)
		x->stale = true;
	if (ones == 0 || ones == 5)
		return true;
	if (ones >= 2)
		return xor2_value(x);
	if (bits_take(x->b, 1))
		return bits_new_window(x->b, &x->f);
	bits_same_window(x->b, &x->f);
	return true;
}

static const char *xor2_sample(struct xor2 *x, uint32_t i)
{
	x->stale = false;
	if (i >= 2)
		return xor2_joint(x) ? NULL : no_window;
	const char *what = time_first(x->b, i, &x->t, &x->delta);
	if (what)
		return what;
	if (i == 1)
		return xor2_value(x) ? NULL : no_window;
	uint64_t v = bits_take(x->b, 64);
	x->stale = v == SAMPLE_STALE_BITS;
	x->f.last = x->stale ? 0 : v;
	return NULL;
}

/* starts has room for the start times, and *any tells whether there are some. */
static struct made xor2_floats(
    struct bits *b, uint32_t n, int64_t *ts, double *vs, int64_t *starts, bool *any)
{
	struct xor2 x = { .b = b };
	struct bits_starts s = bits_starts_of((uint8_t)bits_take(b, 8));
	*any = s.known || s.first;
	for (uint32_t i = 0; i < n; i++) {
		int64_t before = x.t;
		const char *what = xor2_sample(&x, i);
		if (!what && !bits_starts_next(b, &s, i, x.t, before))
			what = no_number;
		if (!what && bits_over(b))
			return failed(ERR_TRUNCATED, too_short);
		if (!what && i && x.t <= before)
			what = not_later;
		if (what)
			return failed(ERR_MALFORMED, what);
		ts[i] = x.t;
		vs[i] = x.stale ? sample_stale() : num_from_bits(x.f.last);
		if (*any)
			starts[i] = s.start_ms;
	}
	return failed(ERR_OK, NULL);
}

/* ---- any chunk ---- */

/* The bits that stand for a histogram beside a float say nothing in a chunk (sample.h). */
static void no_marks(double *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (UNLIKELY(sample_is_hist(v[i])))
			v[i] = num_from_bits(SAMPLE_NAN_BITS);
}

static struct made floats(uint8_t type, struct bits *b, uint32_t n, struct column *to)
{
	bool any = false;
	int64_t *starts = NULL, *ts = to->t_ms + to->count;
	double *vs = to->v + to->count;
	struct made m;
	if (type == BCHUNK_XOR2) {
		starts = mem_array(NULL, n, sizeof(*starts));
		m = xor2_floats(b, n, ts, vs, starts, &any);
	} else {
		m = xor_floats(b, n, ts, vs);
	}
	if (!m.e) {
		uint32_t first = to->count;
		no_marks(vs, n);
		to->count += n;
		for (uint32_t i = 0; any && i < n; i++)
			if (starts[i])
				column_set(to, first + i, NULL, starts[i]);
	}
	mem_free(starts);
	return m;
}

static struct made histograms(
    uint8_t type, const uint8_t *data, struct bits *b, uint32_t n, struct column *to)
{
	bool st = has_starts(type);
	struct bits_hist h = { .bits = *b,
		.count = n,
		.reset = st ? data[0] >> 6 : (uint8_t)(bits_take(b, 8) >> 6),
		.is_float = type == BCHUNK_FLOAT_HISTOGRAM || type == BCHUNK_FLOAT_HISTOGRAM_ST,
		.has_starts = st,
		.to = to };
	h.bits.at += 8; /* flags, or the head of the start times */
	if (st)
		h.starts = bits_starts_of(data[2]);
	enum err e = bchunk_histograms(&h);
	if (!h.what && e == ERR_TRUNCATED)
		h.what = too_short;
	return failed(e, h.what);
}

static struct made decode(
    uint8_t type, const uint8_t *data, size_t len, struct buf *scratch, struct column *to)
{
	if (type < BCHUNK_XOR || type > BCHUNK_FLOAT_HISTOGRAM_ST)
		return failed(ERR_UNSUPPORTED, "the encoding is unknown");
	uint32_t n = bchunk_count(type, data, len);
	if (len > BCHUNK_MAX)
		return failed(ERR_TOOBIG, "the chunk is too large");
	bool floats_alone = type == BCHUNK_XOR || type == BCHUNK_XOR2;
	if (len < 2 + (size_t)(type != BCHUNK_XOR))
		return failed(ERR_TRUNCATED, too_short);
	if (!n)
		return failed(ERR_MALFORMED, "the chunk has no samples");
	if (n > 8 * (uint64_t)len) /* XOR2 has samples of one bit */
		return failed(ERR_TRUNCATED, too_short);
	buf_clear(scratch);
	buf_reserve(scratch, len + BITS_SLOP);
	memcpy(scratch->data, data, len);
	memset(scratch->data + len, 0, BITS_SLOP);
	struct bits b = { .p = scratch->data, .at = 16, .end = 8 * (uint64_t)len };
	column_reserve(to, n);
	return floats_alone ? floats(type, &b, n, to) : histograms(type, scratch->data, &b, n, to);
}

enum err bchunk_decode(uint8_t type, const uint8_t *data, size_t len, struct buf *scratch,
    struct column *to, const char **what)
{
	struct made m = decode(type, data, len, scratch, to);
	if (what)
		*what = m.what;
	return m.e;
}
