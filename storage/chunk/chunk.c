#include "storage/chunk/chunk.h"

#include "core/base/num.h"
#include "core/base/wire.h"
#include "core/model/sample.h"
#include "storage/chunk/bitpack.h"
#include "storage/chunk/chunk_priv.h"

/* Head byte and tokens: the format table is in chunk.h. */
#define HEAD_CODE  0x1fu
#define HEAD_STEP  0x20u
#define HEAD_CONST 0x40u
#define HEAD_EXTRA 0x80u

#define TOKEN_LINE    0x20u /* below 0x40 the token is a run */
#define TOKEN_RUN_MAX 32u
#define WIDTH_64      57u /* how a token spells width 64 */
#define FLAG_COUNT    0x1fu
#define FLAG_RAW      0x20u
#define FLAG_NOBASE   0x40u
#define RAW_STALE     0x80u

enum mode {
	MODE_RUN = 0,
	MODE_OFFSET = 1,
	MODE_DELTA = 2,
	MODE_DELTA2 = 3
};

static const double pow10_table[CHUNK_CODE_DECIMAL_MAX + 1] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6,
	1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18 };

STATIC(CHUNK_SUB == BITPACK_MAX);

static const struct bitpack_ops *kernel = &bitpack_plain;

__attribute__((constructor)) static void kernel_choose(void)
{
	(void)chunk_kernel_use(CHUNK_KERNEL_AUTO);
}

bool chunk_kernel_use(enum chunk_kernel k)
{
	switch (k) {
	case CHUNK_KERNEL_AUTO:
		kernel = bitpack_have_avx512() ? &bitpack_avx512
		    : bitpack_have_avx2()      ? &bitpack_avx2
		                               : &bitpack_plain;
		return true;
	case CHUNK_KERNEL_PLAIN:
		kernel = &bitpack_plain;
		return true;
	case CHUNK_KERNEL_AVX2:
		if (bitpack_have_avx2())
			kernel = &bitpack_avx2;
		return bitpack_have_avx2();
	case CHUNK_KERNEL_AVX512:
		if (bitpack_have_avx512())
			kernel = &bitpack_avx512;
		return bitpack_have_avx512();
	}
	return false;
}

const char *chunk_kernel_name(void)
{
	return kernel->name;
}

/*
 * The pattern of a double as an integer in numeric order, and back: negative ones have their lower
 * 63 bits turned over.
 */
static inline uint64_t order_bits(uint64_t u)
{
	return u ^ ((uint64_t)((int64_t)u >> 63) >> 1);
}

static inline unsigned bit_len(uint64_t v)
{
	return v ? 64u - (unsigned)__builtin_clzll(v) : 0;
}

/* ---- encoder: values to integers ---- */

struct ints { /* what a stream is made of */
	uint64_t *x;
	size_t n;
	unsigned code;
	/* patterns of the column, for raw exceptions; NULL = there are none */
	const uint64_t *raw_bits;
	uint64_t *is_raw; /* bit per value */
};

/* v as integer / 10^e, exactly. */
static inline bool decimal_try(double v, unsigned e, int64_t *out)
{
	double s = v * pow10_table[e];
	if (!(__builtin_fabs(s) < 9007199254740992.0)) /* 2^53; NaN too */
		return false;
	int64_t i = (int64_t)(s + __builtin_copysign(0.5, s));
	if (UNLIKELY(__builtin_fabs(s) >= 4503599627370496.0))
		i = (int64_t)s; /* 2^52 and more: adding 0.5 would round */
	*out = i;
	return num_bits(e ? (double)i / pow10_table[e] : (double)i) == num_bits(v);
}

static inline bool integer_try(double v, int64_t *out)
{
	if (!(__builtin_fabs(v) < 9007199254740992.0))
		return false;
	*out = (int64_t)v;
	return num_bits((double)*out) == num_bits(v); /* -0 fails */
}

/* The smallest exponent from e on that holds v, or CHUNK_CODE_BITS. */
static unsigned decimal_find(double v, unsigned e, int64_t *out)
{
	if (!(__builtin_fabs(v) < 9007199254740992.0))
		return CHUNK_CODE_BITS;
	for (; e <= CHUNK_CODE_DECIMAL_MAX; e++)
		if (decimal_try(v, e, out))
			return e;
	return CHUNK_CODE_BITS;
}

/* of that many first values six may not be decimal before patterns are taken at once */
#define PROBE 8u

/*
 * One exponent for the whole column; false when too many values do not fit one. Fills x and is_raw.
 */
static bool ints_decimal(const double *v, struct ints *s)
{
	size_t n = s->n, odd_max = n / 16 + 2, odd = 0, at = 0;
	unsigned e = 0;
	int64_t x = 0;
	while (at < n && integer_try(v[at], &x))
		s->x[at++] = (uint64_t)x;
	/* Find the exponent over the rest, then code everything with it. */
	size_t whole = at;
	for (; at < n; at++) {
		if (decimal_try(v[at], e, &x)) {
			s->x[at] = (uint64_t)x;
			continue;
		}
		unsigned found = decimal_find(v[at], e + 1, &x);
		if (found == CHUNK_CODE_BITS) {
			if (++odd > odd_max || (at < PROBE && odd > PROBE - 3))
				return false;
			s->is_raw[at / 64] |= UINT64_C(1) << (at % 64);
			continue;
		}
		e = found;
		whole = at; /* all before it must be done again */
		s->x[at] = (uint64_t)x;
	}
	s->code = e;
	if (e > 0)
		for (size_t i = 0; i < whole; i++) {
			if ((s->is_raw[i / 64] >> (i % 64)) & 1)
				continue;
			if (decimal_try(v[i], e, &x)) {
				s->x[i] = (uint64_t)x;
			} else {
				if (++odd > odd_max)
					return false;
				s->is_raw[i / 64] |= UINT64_C(1) << (i % 64);
			}
		}
	if (odd == 0) {
		s->raw_bits = NULL;
		return true;
	}
	/* Raw ones repeat the integer before them; those at the start take the first good one. */
	size_t first = 0;
	while (first < n && ((s->is_raw[first / 64] >> (first % 64)) & 1))
		first++;
	if (first == n)
		return false;
	uint64_t last = s->x[first];
	for (size_t i = 0; i < n; i++) {
		if ((s->is_raw[i / 64] >> (i % 64)) & 1)
			s->x[i] = last;
		last = s->x[i];
	}
	return true;
}

/* ---- encoder: integers to bytes ---- */

/*
 * Division without remainder: shift out the twos, multiply by the inverse of the odd rest (Newton
 * doubles its right bits).
 */
struct exact_div {
	unsigned shift;
	uint64_t inverse;
};

static struct exact_div exact_div(uint64_t g)
{
	unsigned shift = (unsigned)__builtin_ctzll(g);
	uint64_t odd = g >> shift, inv = odd;
	for (int i = 0; i < 5; i++)
		inv *= 2 - odd * inv;
	return (struct exact_div){ shift, inv };
}

static inline uint64_t exact_div_do(struct exact_div d, uint64_t v)
{
	return (uint64_t)((int64_t)v >> d.shift) * d.inverse;
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t r = a % b;
		a = b;
		b = r;
	}
	return a;
}

/*
 * GCD of the differences. Once it is found, a multiplication tells that it divides: the product
 * with the inverse is small.
 */
static uint64_t step_best(const uint64_t *x, size_t n)
{
	uint64_t g = 0, most = 0, twos = 0;
	struct exact_div by = { 0, 0 };
	for (size_t i = 1; i < n && g != 1; i++) {
		int64_t d = (int64_t)(x[i] - x[i - 1]);
		uint64_t a = d < 0 ? 0 - (uint64_t)d : (uint64_t)d;
		if (a == 0 || ((a & twos) == 0 && (a >> by.shift) * by.inverse <= most && g != 0))
			continue;
		g = gcd(g, a);
		by = exact_div(g);
		twos = (UINT64_C(1) << by.shift) - 1;
		most = UINT64_MAX / (g >> by.shift);
	}
	return g ? g : 1;
}

static uint64_t step_light(const uint64_t *x, size_t n)
{
	uint64_t bits = 0;
	for (size_t i = 1; i < n; i++)
		bits |= x[i] - x[i - 1];
	return bits ? UINT64_C(1) << __builtin_ctzll(bits) : 1;
}

struct plan { /* one way to write a sub-block */
	enum mode mode;
	unsigned width;
	uint64_t base;
	size_t cost; /* bytes, the two of the token not counted */
};

static inline size_t exception_bytes(
    unsigned bits) /* position and zigzag varint of a residual of that many bits */
{
	return 1 + (bits + 7) / 7;
}

/* Packed without exceptions. */
static void plan_range(struct plan *best, enum mode mode, uint64_t base, uint64_t range, unsigned n)
{
	unsigned w = bit_len(range);
	if (w > BITPACK_WIDTH_MAX)
		w = 64;
	struct plan p = { mode, w, base,
		bitpack_bytes(n, w) + (base ? wire_varint_len(wire_zigzag_of(base)) : 0) };
	if (p.cost < best->cost)
		*best = p;
}

/* The best width for a base, when what does not fit becomes an exception. */
static void plan_exceptions(
    struct plan *best, enum mode mode, const uint64_t *y, unsigned n, uint64_t base)
{
	uint8_t hist[2][66] = { { 0 } };
	size_t cost = base ? wire_varint_len(wire_zigzag_of(base)) : 0;
	unsigned lows = 0, top = 0;
	for (unsigned i = 0; i < n; i++) {
		uint64_t r = y[i] - base;
		if (UNLIKELY((int64_t)r < 0)) {
			cost += 1 + wire_varint_len(wire_zigzag_of(r));
			lows++;
			continue;
		}
		unsigned b = bit_len(r);
		hist[i & 1][b]++;
		top = b > top ? b : top;
	}
	unsigned above = lows;
	if (top > BITPACK_WIDTH_MAX)
		top = 64;
	for (unsigned w = top;; w--) {
		if (w <= BITPACK_WIDTH_MAX || w == 64) {
			struct plan p = { mode, w, base,
				cost + bitpack_bytes(n, w) + (above >= FLAG_COUNT) };
			if (p.cost < best->cost)
				*best = p;
		}
		if (w == 0)
			break;
		unsigned here = (unsigned)hist[0][w] + hist[1][w];
		above += here;
		cost += here * exception_bytes(w);
	}
}

struct range {
	int64_t min, max;
	unsigned zeros;
};

static struct range range_of(const uint64_t *y, unsigned n)
{
	struct range r = { (int64_t)y[0], (int64_t)y[0], 0 };
	for (unsigned i = 0; i < n; i++) {
		int64_t v = (int64_t)y[i];
		r.min = v < r.min ? v : r.min;
		r.max = v > r.max ? v : r.max;
		r.zeros += v == 0;
	}
	return r;
}

/* The smallest value when the three lowest are left out. */
static int64_t low_without_outliers(const uint64_t *y, unsigned n)
{
	int64_t low[4] = { INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX };
	for (unsigned i = 0; i < n; i++) {
		int64_t v = (int64_t)y[i];
		if (v >= low[3])
			continue;
		unsigned j = 3;
		for (; j > 0 && low[j - 1] > v; j--)
			low[j] = low[j - 1];
		low[j] = v;
	}
	return low[3];
}

static void plan_mode(
    struct plan *best, enum mode mode, const uint64_t *y, unsigned n, enum chunk_effort effort)
{
	struct range r = range_of(y, n);
	uint64_t min = (uint64_t)r.min;
	plan_range(best, mode, min, (uint64_t)r.max - min, n);
	if (effort == CHUNK_LIGHT || n < 8)
		return;
	unsigned w = bit_len((uint64_t)r.max - min);
	if (w <= 1 && r.zeros < n - n / 8)
		return;
	/*
	 * A base of 0 pays where most differences are none; else where a few fall far below the
	 * others.
	 */
	if (r.zeros >= n / 4 || r.min == 0) {
		plan_exceptions(best, mode, y, n, 0);
		if (r.zeros >= n / 2)
			return;
	}
	if (r.min != 0)
		plan_exceptions(best, mode, y, n, min);
	int64_t low = low_without_outliers(y, n);
	if (low != r.min && low != 0 && bit_len((uint64_t)r.max - (uint64_t)low) < w)
		plan_exceptions(best, mode, y, n, (uint64_t)low);
}

static uint8_t *raw_put(uint8_t *p, const struct ints *s, size_t first, unsigned n, unsigned count)
{
	p = wire_store_varint(p, count);
	for (unsigned i = 0; i < n; i++) {
		size_t at = first + i;
		if (!((s->is_raw[at / 64] >> (at % 64)) & 1))
			continue;
		if (s->raw_bits[at] == SAMPLE_STALE_BITS) {
			*p++ = (uint8_t)(i | RAW_STALE);
			continue;
		}
		*p++ = (uint8_t)i;
		wire_store64(p, s->raw_bits[at]);
		p += 8;
	}
	return p;
}

#define HEAD_BYTES 2u /* mode and width, flags */

static uint8_t *plan_put(uint8_t *p, const struct plan *b, const uint64_t *y, unsigned n, bool raw)
{
	uint64_t r[CHUNK_SUB];
	uint8_t odd[CHUNK_SUB + 1]; /* positions of exceptions */
	unsigned count = 0;
	uint64_t limit = b->width == 64 ? UINT64_MAX : (UINT64_C(1) << b->width) - 1;
	for (unsigned i = 0; i < n; i++) {
		uint64_t v = y[i] - b->base;
		odd[count] = (uint8_t)i;
		count += v > limit;
		r[i] = v <= limit ? v : 0;
	}
	unsigned inline_count = count < FLAG_COUNT ? count : FLAG_COUNT;
	const uint8_t *start = p;
	*p++ = (uint8_t)((unsigned)b->mode << 6 | (b->width == 64 ? WIDTH_64 : b->width));
	*p++ = (uint8_t)(inline_count | (raw ? FLAG_RAW : 0) | (b->base ? 0 : FLAG_NOBASE));
	if (inline_count == FLAG_COUNT)
		p = wire_store_varint(p, count);
	if (b->base)
		p = wire_store_varint(p, wire_zigzag_of(b->base));
	p = bitpack_pack(p, r, n, b->width);
	for (unsigned i = 0; i < count; i++) {
		*p++ = odd[i];
		p = wire_store_varint(p, wire_zigzag_of(y[odd[i]] - b->base));
	}
	CHECK((size_t)(p - start) <= HEAD_BYTES + b->cost); /* it was chosen for that */
	return p;
}

struct writer { /* what runs from sub-block to sub-block */
	uint8_t *p;
	uint64_t prev, slope;
	uint8_t *run; /* the run token that may grow, or NULL */
};

static void run_put(struct writer *w, unsigned kind)
{
	if (w->run && (*w->run & TOKEN_LINE) == kind &&
	    (*w->run & (TOKEN_RUN_MAX - 1)) < TOKEN_RUN_MAX - 1) {
		++*w->run;
		return;
	}
	w->run = w->p;
	*w->p++ = (uint8_t)kind;
}

static void sub_put(struct writer *w, const struct ints *s, const uint64_t *k, size_t first,
    unsigned n, enum chunk_effort effort)
{
	unsigned raw = 0;
	if (s->raw_bits)
		for (unsigned i = 0; i < n; i++)
			raw += (unsigned)(s->is_raw[(first + i) / 64] >> ((first + i) % 64)) & 1;
	uint64_t y[3][CHUNK_SUB]; /* offset, delta, delta2 */
	uint64_t prev = w->prev, slope = w->slope, flat = 0, line = 0;
	for (unsigned i = 0; i < n; i++) {
		uint64_t d = k[i] - prev;
		y[0][i] = k[i] - w->prev;
		y[1][i] = d;
		y[2][i] = d - slope;
		flat |= d;
		line |= d ^ w->slope;
		prev = k[i];
		slope = d;
	}
	if (raw == 0 && (flat == 0 || line == 0)) {
		run_put(w, flat == 0 ? 0 : TOKEN_LINE);
		w->slope = flat == 0 ? 0 : w->slope;
		w->prev = prev;
		return;
	}
	w->run = NULL;
	struct plan best = { MODE_OFFSET, 64, 0, SIZE_MAX };
	plan_mode(&best, MODE_OFFSET, y[0], n, effort);
	/* prev is free in the first sub-block: its first difference costs nothing */
	if (first == 0)
		y[1][0] = n > 1 ? y[1][1] : 0;
	plan_mode(&best, MODE_DELTA, y[1], n, effort);
	if (effort == CHUNK_BEST && n > 2) {
		if (first == 0)
			y[2][1] = 0, y[2][0] = 0;
		plan_mode(&best, MODE_DELTA2, y[2], n, effort);
	}
	unsigned m = (unsigned)best.mode - 1;
	if (first == 0 && best.mode != MODE_OFFSET) {
		/*
		 * With prev = -base the first k, which is 0, has residual 0; delta2 then begins
		 * with slope base.
		 */
		y[m][0] = best.base;
		if (best.mode == MODE_DELTA2) {
			y[2][1] = (k[1] - k[0]) - best.base;
			struct plan again = { MODE_DELTA2, 64, 0, SIZE_MAX };
			plan_exceptions(&again, MODE_DELTA2, y[2], n, best.base);
			best = again;
		}
	}
	w->p = plan_put(w->p, &best, y[m], n, raw != 0);
	if (raw)
		w->p = raw_put(w->p, s, first, n, raw);
	w->prev = k[n - 1];
	w->slope = n > 1 ? k[n - 1] - k[n - 2] : 0;
}

/*
 * Room a stream may need while it is made: sub-blocks at width 64 with every value raw, and the
 * head.
 */
#define SUB_ROOM       (32u + CHUNK_SUB * 8 + 10 + CHUNK_SUB * 9)
#define STREAM_ROOM(n) (64u + ((n) + CHUNK_SUB - 1) / CHUNK_SUB * SUB_ROOM)
STATIC(CHUNK_LIGHT_ROOM >= STREAM_ROOM(CHUNK_SUB));

static uint8_t *ints_put(uint8_t *p, const struct ints *s, enum chunk_effort effort)
{
	uint64_t first = s->x[0];
	uint64_t differ = 0;
	for (size_t i = 1; i < s->n; i++)
		differ |= s->x[i] ^ first;
	bool constant = differ == 0 && !s->raw_bits;
	uint64_t step = constant   ? 1
	    : effort == CHUNK_BEST ? step_best(s->x, s->n)
	                           : step_light(s->x, s->n);
	*p++ = (uint8_t)(s->code | (constant ? HEAD_CONST : 0) | (step != 1 ? HEAD_STEP : 0));
	if (step != 1)
		p = wire_store_varint(p, step);
	if (s->code == CHUNK_CODE_BITS) {
		wire_store64(p, first);
		p += 8;
	} else {
		p = wire_store_varint(p, wire_zigzag_of(first));
	}
	if (constant)
		return p;
	struct exact_div div = exact_div(step);
	struct writer w = { .p = p };
	uint64_t k[CHUNK_SUB];
	uint64_t last = 0, last_x = first;
	for (size_t at = 0; at < s->n; at += CHUNK_SUB) {
		unsigned n = (unsigned)(s->n - at < CHUNK_SUB ? s->n - at : CHUNK_SUB);
		for (unsigned i = 0; i < n; i++) {
			uint64_t x = s->x[at + i];
			last += step == 1 ? x - last_x : exact_div_do(div, x - last_x);
			last_x = x;
			k[i] = last;
		}
		sub_put(&w, s, k, at, n, effort);
	}
	return w.p;
}

static uint8_t *raw_stream_put(uint8_t *p, const void *patterns, size_t n)
{
	*p++ = CHUNK_CODE_RAW;
	memcpy(p, patterns, n * 8);
	return p + n * 8;
}

/*
 * Times of a constant step, as the general way would write them: the usual case, at a tenth of the
 * cost. NULL: they are not.
 */
static uint8_t *even_times_put(uint8_t *p, const int64_t *t_ms, size_t n, int64_t base_ms)
{
	uint64_t step = (uint64_t)t_ms[n > 1] - (uint64_t)t_ms[0], differ = 0;
	for (size_t i = 1; i < n; i++)
		differ |= ((uint64_t)t_ms[i] - (uint64_t)t_ms[i - 1]) ^ step;
	if (n < 2 || differ != 0 || step >> 63)
		return NULL;
	*p++ = (uint8_t)(CHUNK_CODE_INT | (step != 1 ? HEAD_STEP : 0));
	if (step != 1)
		p = wire_store_varint(p, step);
	p = wire_store_varint(p, wire_zigzag_of((uint64_t)t_ms[0] - (uint64_t)base_ms));
	*p++ = (uint8_t)(MODE_DELTA << 6);
	*p++ = 0;
	*p++ = (uint8_t)wire_zigzag_of(1);
	for (size_t runs = (n - 1) / CHUNK_SUB; runs > 0;) {
		size_t some = runs < TOKEN_RUN_MAX ? runs : TOKEN_RUN_MAX;
		*p++ = (uint8_t)(TOKEN_LINE | (some - 1));
		runs -= some;
	}
	return p;
}

static uint8_t *times_put(uint8_t *p, uint64_t *x, const int64_t *t_ms, size_t n, int64_t base_ms,
    enum chunk_effort effort)
{
	uint8_t *end = even_times_put(p, t_ms, n, base_ms);
	if (!end) {
		for (size_t i = 0; i < n; i++)
			x[i] = (uint64_t)t_ms[i] - (uint64_t)base_ms;
		struct ints s = { x, n, CHUNK_CODE_INT, NULL, NULL };
		end = ints_put(p, &s, effort);
	}
	return (size_t)(end - p) <= 1 + 8 * n ? end : raw_stream_put(p, t_ms, n);
}

static uint8_t *values_put(
    uint8_t *p, uint64_t *x, uint64_t *is_raw, const double *v, size_t n, enum chunk_effort effort)
{
	uint64_t bits = num_bits(v[0]), differ = 0;
	for (size_t i = 1; i < n; i++)
		differ |= num_bits(v[i]) ^ bits;
	if (differ == 0) {
		int64_t i = 0;
		unsigned code = decimal_find(v[0], 0, &i);
		uint64_t one = code == CHUNK_CODE_BITS ? order_bits(bits) : (uint64_t)i;
		struct ints s = { &one, 1, code, NULL, NULL };
		return ints_put(p, &s, effort);
	}
	/*
	 * Aliasing doubles as patterns is fine under -fno-strict-aliasing, and the bytes are only
	 * copied.
	 */
	struct ints s = { x, n, 0, (const uint64_t *)(const void *)v, is_raw };
	memset(is_raw, 0, (n + 63) / 64 * 8);
	if (!ints_decimal(v, &s)) {
		s.code = CHUNK_CODE_BITS;
		s.raw_bits = NULL;
		for (size_t i = 0; i < n; i++)
			x[i] = order_bits(num_bits(v[i]));
	}
	uint8_t *end = ints_put(p, &s, effort);
	return (size_t)(end - p) <= 1 + 8 * n ? end : raw_stream_put(p, v, n);
}

void chunk_times_encode(
    const int64_t *t_ms, size_t n, int64_t base_ms, enum chunk_effort effort, struct buf *out)
{
	CHECK(n > 0);
	CHECK(n <= CHUNK_SAMPLES_MAX);
	uint64_t x[CHUNK_SAMPLES_MAX];
	if (!buf_reserve(out, STREAM_ROOM(n)))
		return;
	uint8_t *p = out->data + out->len;
	out->len += (size_t)(times_put(p, x, t_ms, n, base_ms, effort) - p);
}

void chunk_values_encode(const double *v, size_t n, enum chunk_effort effort, struct buf *out)
{
	CHECK(n > 0);
	CHECK(n <= CHUNK_SAMPLES_MAX);
	uint64_t x[CHUNK_SAMPLES_MAX], is_raw[CHUNK_SAMPLES_MAX / 64];
	if (!buf_reserve(out, STREAM_ROOM(n)))
		return;
	uint8_t *p = out->data + out->len;
	out->len += (size_t)(values_put(p, x, is_raw, v, n, effort) - p);
}

uint8_t *chunk_light_times(uint8_t *p, const int64_t *t_ms, size_t n, int64_t base_ms)
{
	uint64_t x[CHUNK_SUB];
	return times_put(p, x, t_ms, n, base_ms, CHUNK_LIGHT);
}

uint8_t *chunk_light_values(uint8_t *p, const double *v, size_t n)
{
	uint64_t x[CHUNK_SUB], is_raw[CHUNK_SUB / 64];
	return values_put(p, x, is_raw, v, n, CHUNK_LIGHT);
}

/* ---- decoder ---- */

struct decoder {
	struct wire_reader r;
	unsigned code;
	uint64_t step, first; /* x = first + step * k; first has the base of times in it */
	uint64_t prev, slope;
	bool begun;
};

static enum err head_read(struct decoder *d, bool times, int64_t base_ms, bool *constant)
{
	unsigned head = wire_u8(&d->r);
	d->code = head & HEAD_CODE;
	d->step = 1;
	*constant = (head & HEAD_CONST) != 0;
	if (head & HEAD_EXTRA) {
		uint64_t len = wire_varint(&d->r);
		if (len > CHUNK_EXTRA_MAX)
			return ERR_MALFORMED;
		(void)wire_bytes(&d->r, (size_t)len);
	}
	if (d->r.bad)
		return ERR_TRUNCATED;
	if (d->code == CHUNK_CODE_RAW)
		return (head & (HEAD_STEP | HEAD_CONST)) ? ERR_MALFORMED : ERR_OK;
	if (times ? d->code != CHUNK_CODE_INT
	          : d->code > CHUNK_CODE_DECIMAL_MAX && d->code != CHUNK_CODE_BITS)
		return ERR_MALFORMED;
	if (head & HEAD_STEP)
		d->step = wire_varint(&d->r);
	d->first = d->code == CHUNK_CODE_BITS ? wire_u64(&d->r) : wire_unzigzag(wire_varint(&d->r));
	if (times)
		d->first += (uint64_t)base_ms;
	return d->r.bad ? ERR_TRUNCATED : ERR_OK;
}

static inline double value_of(const struct decoder *d, uint64_t x)
{
	if (d->code == CHUNK_CODE_BITS)
		return num_from_bits(order_bits(x));
	return (double)(int64_t)x / pow10_table[d->code];
}

/* k of n values to numbers at out (times or doubles, 8 bytes each). k is spoiled. */
static void finish(const struct decoder *d, uint64_t *k, unsigned n, void *out)
{
	if (d->step != 1)
		kernel->scale(k, n, d->first, d->step);
	else if (d->first)
		kernel->offset(k, n, d->first);
	if (d->code == CHUNK_CODE_BITS) {
		for (unsigned i = 0; i < n; i++)
			k[i] = order_bits(k[i]);
		memcpy(out, k, (size_t)n * 8);
	} else if (d->code == CHUNK_CODE_INT) {
		memcpy(out, k, (size_t)n * 8);
	} else {
		kernel->to_double(k, n, pow10_table[d->code], out);
	}
}

static void fill(uint8_t *out, size_t n, uint64_t pattern)
{
	for (size_t i = 0; i < n; i++)
		wire_store64(out + i * 8, pattern);
}

static uint64_t number_pattern(const struct decoder *d, uint64_t k)
{
	uint64_t x = d->first + d->step * k;
	return d->code == CHUNK_CODE_INT ? x : num_bits(value_of(d, x));
}

static enum err raw_read(struct decoder *d, unsigned n, uint8_t *out)
{
	uint64_t count = wire_varint(&d->r);
	if (count > n)
		return ERR_MALFORMED;
	for (uint64_t i = 0; i < count; i++) {
		unsigned at = wire_u8(&d->r);
		uint64_t bits = at & RAW_STALE ? SAMPLE_STALE_BITS : wire_u64(&d->r);
		at &= ~RAW_STALE;
		if (at >= n)
			return ERR_MALFORMED;
		wire_store64(out + (size_t)at * 8, bits);
	}
	return d->r.bad ? ERR_TRUNCATED : ERR_OK;
}

static enum err residuals_read(
    struct decoder *d, unsigned width, unsigned n, uint64_t exceptions, uint64_t *k)
{
	size_t need = bitpack_bytes(n, width);
	size_t left = wire_left(&d->r);
	if (need > left)
		return ERR_TRUNCATED;
	if (left - need >= BITPACK_SLACK) {
		kernel->unpack(d->r.p, width, n, k);
	} else { /* near the end: the kernels read past the packed bytes */
		uint8_t copy[BITPACK_MAX * 8 + BITPACK_SLACK];
		memcpy(copy, d->r.p, need);
		memset(copy + need, 0, BITPACK_SLACK);
		kernel->unpack(copy, width, n, k);
	}
	d->r.p += need;
	for (uint64_t i = 0; i < exceptions; i++) {
		unsigned at = wire_u8(&d->r);
		uint64_t r = wire_unzigzag(wire_varint(&d->r));
		if (at >= n)
			return ERR_MALFORMED;
		k[at] = r;
	}
	return d->r.bad ? ERR_TRUNCATED : ERR_OK;
}

/* One packed sub-block; token is its first byte. */
static enum err sub_read(struct decoder *d, unsigned token, unsigned n, uint8_t *out)
{
	uint64_t k[CHUNK_SUB];
	unsigned flags = wire_u8(&d->r);
	unsigned width = token & 63;
	if (width > WIDTH_64 || flags > 0x7f)
		return ERR_MALFORMED;
	if (width == WIDTH_64)
		width = 64;
	uint64_t exceptions = flags & FLAG_COUNT;
	if (exceptions == FLAG_COUNT)
		exceptions = wire_varint(&d->r);
	uint64_t base = flags & FLAG_NOBASE ? 0 : wire_unzigzag(wire_varint(&d->r));
	if (exceptions > n)
		return ERR_MALFORMED;
	enum err e = residuals_read(d, width, n, exceptions, k);
	if (e)
		return e;
	enum mode mode = (enum mode)(token >> 6);
	if (mode == MODE_OFFSET) {
		kernel->offset(k, n, base + d->prev);
	} else {
		uint64_t prev = d->begun ? d->prev : 0 - base;
		if (mode == MODE_DELTA)
			kernel->delta(k, n, base, prev);
		else
			kernel->delta2(k, n, base, prev, d->slope);
	}
	d->prev = k[n - 1];
	d->slope = n > 1 ? k[n - 1] - k[n - 2] : 0;
	finish(d, k, n, out);
	return flags & FLAG_RAW ? raw_read(d, n, out) : ERR_OK;
}

static void run_read(struct decoder *d, bool line, size_t n, uint8_t *out)
{
	if (!line) {
		fill(out, n, number_pattern(d, d->prev));
		d->slope = 0;
		return;
	}
	uint64_t k[CHUNK_SUB];
	while (n > 0) {
		unsigned m = n < CHUNK_SUB ? (unsigned)n : CHUNK_SUB;
		for (unsigned i = 0; i < m; i++)
			k[i] = d->prev + d->slope * (i + 1);
		d->prev = k[m - 1];
		finish(d, k, m, out);
		out += (size_t)m * 8;
		n -= m;
	}
}

static enum err stream_read(struct decoder *d, size_t n, uint8_t *out)
{
	size_t at = 0;
	while (at < n) {
		unsigned token = wire_u8(&d->r);
		if (d->r.bad)
			return ERR_TRUNCATED;
		size_t count = n - at;
		if (token < 2 * TOKEN_RUN_MAX) {
			size_t run = ((token & (TOKEN_RUN_MAX - 1)) + 1) * (size_t)CHUNK_SUB;
			if (run >= count + CHUNK_SUB)
				return ERR_MALFORMED;
			count = run < count ? run : count;
			run_read(d, (token & TOKEN_LINE) != 0, count, out + at * 8);
		} else {
			count = count < CHUNK_SUB ? count : CHUNK_SUB;
			enum err e = sub_read(d, token, (unsigned)count, out + at * 8);
			if (e)
				return e;
		}
		d->begun = true;
		at += count;
	}
	return ERR_OK;
}

static enum err decode(
    const uint8_t *p, size_t len, size_t n, bool times, int64_t base_ms, uint8_t *out, size_t *used)
{
	struct decoder d = { .r = wire_reader(p, len) };
	bool constant = false;
	if (n == 0 || n > CHUNK_SAMPLES_MAX)
		return ERR_MALFORMED;
	enum err e = head_read(&d, times, base_ms, &constant);
	if (e)
		return e;
	if (d.code == CHUNK_CODE_RAW) {
		const uint8_t *raw = wire_bytes(&d.r, n * 8);
		if (!raw)
			return ERR_TRUNCATED;
		memcpy(out, raw, n * 8);
	} else if (constant) {
		fill(out, n, number_pattern(&d, 0));
	} else {
		e = stream_read(&d, n, out);
	}
	if (!e && used)
		*used = len - wire_left(&d.r);
	return e;
}

static bool ascending(const int64_t *t, size_t n)
{
	bool good = true;
	for (size_t i = 1; i < n; i++)
		good &= t[i - 1] < t[i];
	return good;
}

enum err chunk_times_decode(
    const uint8_t *p, size_t len, size_t n, int64_t base_ms, int64_t *t_ms, size_t *used)
{
	enum err e = decode(p, len, n, true, base_ms, (uint8_t *)t_ms, used);
	if (e)
		return e;
	return ascending(t_ms, n) ? ERR_OK : ERR_MALFORMED;
}

enum err chunk_values_decode(const uint8_t *p, size_t len, size_t n, double *v, size_t *used)
{
	return decode(p, len, n, false, 0, (uint8_t *)v, used);
}
