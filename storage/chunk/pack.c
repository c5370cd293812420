#include "storage/chunk/pack.h"

#include <string.h>

#include "core/base/num.h"
#include "core/base/wire.h"

enum {
	TIMES_GO_ON,
	TIMES_STEP,
	TIMES_PACKED,
	TIMES_RUN
};
enum {
	VALUES_SAME,
	VALUES_LINE,
	VALUES_PACKED,
	VALUES_NEW
};
#define CODE_DECIMAL_MAX 18u
#define CODE_NEW_SHIFT   5u
#define WIDTH_SHIFTED    0x80u
#define WIDTH_MAX        56u /* so that a number and its shift fit 8 bytes */
#define SHIFT_PAYS       6u  /* bits; fewer are not worth the byte that tells them */
#define RUN_MAX          255u
/* Token; packed times of 32 bits; a code and a value; packed values of 64 bits. */
#define BLOCK_LEN_MAX (1 + (12 + PACK_ROWS_MAX * 4) + 11 + (12 + PACK_ROWS_MAX * 8))
STATIC(BLOCK_LEN_MAX + 8 <= PACK_BLOCK_MAX); /* numbers are stored 8 bytes at a time */

static const double pow10_table[CODE_DECIMAL_MAX + 1] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7,
	1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18 };

/* ---- values and integers ---- */

/* Its own inverse: negative doubles have their lower 63 bits turned over. */
static inline uint64_t order_bits(uint64_t u)
{
	return u ^ ((uint64_t)((int64_t)u >> 63) >> 1);
}

/* v as integer / 10^code, exactly. */
static inline bool decimal_try(double v, unsigned code, uint64_t *out)
{
	double s = v * pow10_table[code];
	/* 2^52: adding 0.5 is exact below; NaN fails, too */
	if (!(__builtin_fabs(s) < 4503599627370496.0))
		return false;
	int64_t i = (int64_t)(s + __builtin_copysign(0.5, s));
	*out = (uint64_t)i;
	return num_bits((double)i / pow10_table[code]) == num_bits(v);
}

static inline bool integer_try(double v, uint64_t *out)
{
	if (!(__builtin_fabs(v) < 9007199254740992.0)) /* 2^53 */
		return false;
	int64_t i = (int64_t)v;
	*out = (uint64_t)i;
	return num_bits((double)i) == num_bits(v); /* -0 fails */
}

static bool ints_try(const double *v, unsigned n, unsigned code, uint64_t *x)
{
	bool good = true;
	if (code == 0) {
		for (unsigned i = 0; i < n; i++)
			good &= integer_try(v[i], &x[i]);
		return good;
	}
	for (unsigned i = 0; i < n && good; i++)
		good = decimal_try(v[i], code, &x[i]);
	return good;
}

/* The code, this one or a later one, that has all values. */
static unsigned ints_find(const double *v, unsigned n, unsigned code, uint64_t *x)
{
	if (code <= CODE_DECIMAL_MAX && ints_try(v, n, code, x))
		return code;
	for (unsigned i = 0; i < n && code <= CODE_DECIMAL_MAX; i++)
		while (code <= CODE_DECIMAL_MAX && !decimal_try(v[i], code, &x[i]))
			code++;
	if (code <= CODE_DECIMAL_MAX && ints_try(v, n, code, x))
		return code;
	for (unsigned i = 0; i < n; i++)
		x[i] = order_bits(num_bits(v[i]));
	return PACK_CODE_BITS;
}

static inline double value_of(unsigned code, uint64_t x)
{
	if (code == PACK_CODE_BITS)
		return num_from_bits(order_bits(x));
	return code ? (double)(int64_t)x / pow10_table[code] : (double)(int64_t)x;
}

/* ---- packed differences ---- */

static inline unsigned width_of(uint64_t range)
{
	unsigned w = 64u - (unsigned)__builtin_clzll(range | 1);
	return w > WIDTH_MAX ? 64 : w;
}

/* r[i] at w bits each. May write 7 bytes more than it returns. */
static uint8_t *bits_put(uint8_t *p, const uint64_t *r, unsigned n, unsigned w)
{
	if (w == 64) {
		memcpy(p, r, n * 8u);
		return p + n * 8u;
	}
	uint8_t *end = p + (n * w + 7) / 8;
	uint64_t bits = 0;
	unsigned has = 0;
	for (unsigned i = 0; i < n; i++) {
		bits |= r[i] << has;
		wire_store64(p, bits);
		has += w;
		p += has >> 3;
		bits >>= has & ~7u & 63;
		has &= 7;
	}
	return end;
}

static uint8_t *packed_put(
    uint8_t *p, const uint64_t *d, unsigned n, int64_t min, int64_t max, uint64_t any)
{
	unsigned shift = (unsigned)__builtin_ctzll(any | UINT64_C(1) << 63);
	SCRATCH uint64_t r[PACK_ROWS_MAX];
	shift = shift >= SHIFT_PAYS ? shift : 0;
	int64_t base = min >> shift;
	unsigned w = width_of((uint64_t)(max >> shift) - (uint64_t)base);
	*p++ = (uint8_t)(w | (shift ? WIDTH_SHIFTED : 0));
	if (shift)
		*p++ = (uint8_t)shift;
	p = wire_store_varint(p, wire_zigzag_of((uint64_t)base));
	for (unsigned i = 0; i < n; i++)
		r[i] = (uint64_t)((int64_t)d[i] >> shift) - (uint64_t)base;
	return bits_put(p, r, n, w);
}

/* The differences of values after the first, as one of the three ways; *how says which. */
static uint8_t *values_put(uint8_t *p, const uint64_t *d, unsigned n, unsigned *how)
{
	*how = VALUES_SAME;
	if (!n)
		return p;
	int64_t min = (int64_t)d[0], max = min;
	uint64_t any = d[0];
	for (unsigned i = 1; i < n; i++) {
		int64_t x = (int64_t)d[i];
		min = x < min ? x : min;
		max = x > max ? x : max;
		any |= d[i];
	}
	if (!any)
		return p;
	if (min == max) {
		*how = VALUES_LINE;
		return wire_store_varint(p, wire_zigzag_of(d[0]));
	}
	*how = VALUES_PACKED;
	return packed_put(p, d, n, min, max, any);
}

static uint8_t *times_put(
    uint8_t *p, const int64_t *t_ms, uint64_t before, unsigned n, uint32_t *step, unsigned *how)
{
	SCRATCH uint64_t d[PACK_ROWS_MAX];
	uint64_t odd = 0, differ = 0, any = 0;
	int64_t min = INT64_MAX, max = 0;
	for (unsigned i = 0; i < n; i++) {
		d[i] = (uint64_t)t_ms[i] - before;
		before = (uint64_t)t_ms[i];
		odd |= d[i] ^ *step;
		differ |= d[i] ^ d[0];
		any |= d[i];
		min = (int64_t)d[i] < min ? (int64_t)d[i] : min;
		max = (int64_t)d[i] > max ? (int64_t)d[i] : max;
	}
	*how = TIMES_GO_ON;
	if (!odd)
		return p;
	*step = (uint32_t)d[n - 1];
	if (!differ) {
		*how = TIMES_STEP;
		return wire_store_varint(p, *step);
	}
	*how = TIMES_PACKED;
	return packed_put(p, d, n, min, max, any);
}

/* ---- appending ---- */

/* Do all times go on by step_ms? */
static bool times_go_on(const struct pack *h, const struct pack_rows *r)
{
	uint64_t before = (uint64_t)pack_t_max(h), odd = (uint64_t)r->t_ms[0] - before;
	odd ^= h->step_ms;
	if (r->step_ms)
		return !odd && (r->n == 1 || r->step_ms == h->step_ms);
	for (unsigned i = 1; i < r->n; i++)
		odd |= ((uint64_t)r->t_ms[i] - (uint64_t)r->t_ms[i - 1]) ^ h->step_ms;
	return !odd;
}

/* Do all values repeat the last one: the usual case of what stands still. */
static bool values_repeat(const struct pack *h, const struct pack_rows *r)
{
	uint64_t first = num_bits(r->v[0]), odd = first ^ num_bits(value_of(h->code, h->x_last));
	if (odd)
		return false;
	for (unsigned i = 1; i < r->n; i++)
		odd |= num_bits(r->v[i]) ^ first;
	return !odd;
}

static void run_append(struct pack *h, const uint8_t *data, unsigned n, struct pack_more *more)
{
	more->keep = h->size;
	more->len = 0;
	unsigned rows = n;
	if (h->run && data[h->size - 1] + n <= RUN_MAX) {
		more->keep--;
		rows += data[h->size - 1];
	} else {
		more->bytes[more->len++] = TIMES_RUN;
	}
	more->bytes[more->len++] = (uint8_t)rows;
	h->run = 1;
}

static uint8_t *code_put(uint8_t *p, const uint64_t *x, unsigned code)
{
	if (code == PACK_CODE_BITS) {
		wire_store64(p, x[0]);
		return p + 8;
	}
	return wire_store_varint(p, wire_zigzag_of(x[0]));
}

/* Integers of the values; the code they have. */
static unsigned ints_of(const struct pack *h, const struct pack_rows *r, uint64_t *x)
{
	if (h->code != PACK_CODE_BITS)
		return ints_find(r->v, r->n, h->code, x);
	for (unsigned i = 0; i < r->n; i++)
		x[i] = order_bits(num_bits(r->v[i]));
	return PACK_CODE_BITS;
}

static void block_append(struct pack *h, const struct pack_rows *r, bool go_on, struct pack_more *more)
{
	uint8_t *p = more->bytes + 1;
	SCRATCH uint64_t x[PACK_ROWS_MAX], d[PACK_ROWS_MAX];
	unsigned n = r->n, skip = h->count == 0, times = TIMES_GO_ON, values;
	uint32_t step = h->step_ms;
	if (!go_on)
		p = times_put(p, r->t_ms + skip,
		    skip ? (uint64_t)r->t_ms[0] : (uint64_t)pack_t_max(h), n - skip, &step, &times);
	unsigned code = ints_of(h, r, x);
	d[0] = x[0] - h->x_last;
	for (unsigned i = 1; i < n; i++)
		d[i] = x[i] - x[i - 1];
	if (skip || code != h->code) {
		uint8_t *at = p++;
		p = code_put(p, x, code);
		p = values_put(p, d + 1, n - 1, &values);
		*at = (uint8_t)(code | values << CODE_NEW_SHIFT);
		values = VALUES_NEW;
	} else {
		p = values_put(p, d, n, &values);
	}
	more->bytes[0] = (uint8_t)(times | values << 2 | (n - 1) << 4);
	more->keep = h->size;
	more->len = (uint16_t)(p - more->bytes);
	CHECK(more->len <= BLOCK_LEN_MAX);
	h->code = code & 0x7f;
	h->run = 0;
	h->step_ms = step;
	h->x_last = x[n - 1];
}

void pack_append(
    struct pack *h, const uint8_t *data, const struct pack_rows *r, struct pack_more *more)
{
	unsigned n = r->n;
	CHECK(n > 0 && n <= PACK_ROWS_MAX);
	CHECK(pack_fits(h, r->t_ms[n - 1], n));
	bool go_on = h->count && times_go_on(h, r);
	if (go_on && values_repeat(h, r)) {
		run_append(h, data, n, more);
	} else {
		if (!h->count)
			*h = (struct pack){ .t_min_ms = r->t_ms[0] };
		block_append(h, r, go_on, more);
	}
	h->span_ms = (uint32_t)((uint64_t)r->t_ms[n - 1] - (uint64_t)h->t_min_ms);
	h->count = (uint8_t)(h->count + n);
	h->size = (uint16_t)(more->keep + more->len);
}

void pack_encode(struct pack *h, const int64_t *t_ms, const double *v, unsigned n, uint8_t *out)
{
	*h = (struct pack){ 0 };
	for (unsigned i = 0, some; i < n; i += some) {
		SCRATCH struct pack_more more;
		some = n - i < PACK_ROWS_MAX ? n - i : PACK_ROWS_MAX;
		struct pack_rows rows = { .t_ms = t_ms + i, .v = v + i, .n = some };
		pack_append(h, out, &rows, &more);
		memcpy(out + more.keep, more.bytes, more.len);
	}
}

/* ---- decoding ---- */

struct reader {
	struct wire_reader r;
	uint64_t t, x; /* the newest time and value so far */
	uint32_t step;
	unsigned code;
	unsigned count; /* rows so far */
};

static inline unsigned byte_get(struct wire_reader *r)
{
	if (LIKELY(r->p < r->end))
		return *r->p++;
	r->bad = true;
	return 0;
}

static void bits_get(const uint8_t *p, unsigned n, unsigned w, uint64_t *r)
{
	if (w == 64) {
		memcpy(r, p, n * 8u);
		return;
	}
	uint64_t mask = (UINT64_C(1) << w) - 1;
	for (unsigned i = 0, bit = 0; i < n; i++, bit += w)
		r[i] = wire_load64(p + (bit >> 3)) >> (bit & 7) & mask;
}

/* n differences into d; zeros when the bytes are bad, which the reader then says. */
static void packed_get(struct wire_reader *r, unsigned n, uint64_t *d)
{
	SCRATCH uint8_t near[PACK_ROWS_MAX * 8 + 8];
	unsigned head = byte_get(r), w = head & ~WIDTH_SHIFTED, shift = 0;
	if (head & WIDTH_SHIFTED)
		shift = byte_get(r) & 63;
	uint64_t base = (uint64_t)wire_zigzag(r);
	if (!w || (w > WIDTH_MAX && w != 64))
		r->bad = true;
	size_t len = (n * w + 7) / 8, left = r->bad ? 0 : (size_t)(r->end - r->p);
	const uint8_t *p = wire_bytes(r, len);
	if (r->bad) {
		memset(d, 0, n * sizeof *d);
		return;
	}
	if (left < len + 8) { /* numbers are read 8 bytes at a time */
		memcpy(near, p, len);
		memset(near + len, 0, 8);
		p = near;
	}
	bits_get(p, n, w, d);
	for (unsigned i = 0; i < n; i++)
		d[i] = (d[i] + base) << shift;
}

static void times_get(struct reader *b, unsigned how, unsigned n, int64_t *t_ms)
{
	SCRATCH uint64_t d[PACK_ROWS_MAX];
	if (how == TIMES_PACKED) {
		packed_get(&b->r, n, d);
		for (unsigned i = 0; i < n; i++)
			t_ms[i] = (int64_t)(b->t += d[i]);
		b->step = n ? (uint32_t)d[n - 1] : b->step;
		return;
	}
	if (how == TIMES_STEP)
		b->step = (uint32_t)wire_varint(&b->r);
	for (unsigned i = 0; i < n; i++)
		t_ms[i] = (int64_t)(b->t += b->step);
}

/* v NULL, here and below: nobody wants them, but those behind them build on them. */
static void values_get(struct reader *b, unsigned how, unsigned n, double *v)
{
	uint64_t d[PACK_ROWS_MAX] = { 0 };
	if (how == VALUES_PACKED) {
		packed_get(&b->r, n, d);
	} else if (how == VALUES_LINE) {
		uint64_t slope = (uint64_t)wire_zigzag(&b->r);
		for (unsigned i = 0; i < n; i++)
			d[i] = slope;
	}
	for (unsigned i = 0; i < n; i++)
		d[i] = b->x += d[i];
	if (!v)
		return;
	if (b->code == 0)
		for (unsigned i = 0; i < n; i++)
			v[i] = (double)(int64_t)d[i];
	else
		for (unsigned i = 0; i < n; i++)
			v[i] = value_of(b->code, d[i]);
}

/* False: the bytes say no code. */
static bool code_get(struct reader *b, unsigned n, double *v)
{
	unsigned head = byte_get(&b->r), how = head >> CODE_NEW_SHIFT;
	b->code = head & 31;
	if ((b->code > CODE_DECIMAL_MAX && b->code != PACK_CODE_BITS) || how > VALUES_PACKED)
		return false;
	b->x = b->code == PACK_CODE_BITS ? wire_u64(&b->r) : (uint64_t)wire_zigzag(&b->r);
	if (v)
		v[0] = value_of(b->code, b->x);
	values_get(b, how, n - 1, v ? v + 1 : NULL);
	return true;
}

/* The values of rows whose times all end before lo are left out. */
static bool block_get(
    struct reader *b, unsigned token, unsigned all, int64_t lo, int64_t *t_ms, double *v)
{
	unsigned how = token & 3, values = token >> 2 & 3, n = (token >> 4) + 1;
	unsigned skip = b->count == 0;
	if (n > all - b->count || (skip && values != VALUES_NEW))
		return false;
	if (skip)
		t_ms[0] = (int64_t)b->t;
	times_get(b, how, n - skip, t_ms + skip);
	b->count += n;
	if (t_ms[n - 1] < lo)
		v = NULL;
	if (values == VALUES_NEW)
		return code_get(b, n, v);
	values_get(b, values, n, v);
	return true;
}

static bool run_get(struct reader *b, unsigned token, unsigned all, int64_t *t_ms, double *v)
{
	unsigned n = byte_get(&b->r);
	double last = value_of(b->code, b->x);
	if (token != TIMES_RUN || b->count == 0 || n == 0 || n > all - b->count)
		return false;
	for (unsigned i = 0; i < n; i++) {
		t_ms[i] = (int64_t)(b->t += b->step);
		v[i] = last;
	}
	b->count += n;
	return true;
}

enum err pack_decode(const struct pack *head, const uint8_t *data, int64_t *t_ms, double *v)
{
	SCRATCH int64_t times[PACK_SAMPLES_MAX];
	SCRATCH double values[PACK_SAMPLES_MAX];
	struct reader b = { .t = (uint64_t)head->t_min_ms };
	unsigned all = head->count;
	if (all == 0 || all > PACK_SAMPLES_MAX)
		return ERR_MALFORMED;
	t_ms = t_ms ? t_ms : times;
	v = v ? v : values;
	b.r = wire_reader(data, head->size);
	while (b.count < all) {
		unsigned token = byte_get(&b.r), at = b.count;
		bool good = (token & 3) == TIMES_RUN
		    ? run_get(&b, token, all, t_ms + at, v + at)
		    : block_get(&b, token, all, INT64_MIN, t_ms + at, v + at);
		if (b.r.bad)
			return ERR_TRUNCATED;
		if (!good)
			return ERR_MALFORMED;
	}
	bool whole = b.r.p == b.r.end && b.t == (uint64_t)pack_t_max(head);
	return whole ? ERR_OK : ERR_MALFORMED;
}

/* Of the rows in front of end those in the range, from keep on; returns where they end. */
static unsigned rows_keep(
    int64_t *t_ms, double *v, unsigned keep, unsigned end, int64_t lo, int64_t hi)
{
	unsigned from = keep;
	while (from < end && t_ms[from] < lo)
		from++;
	while (end > from && t_ms[end - 1] > hi)
		end--;
	if (from > keep) {
		memmove(t_ms + keep, t_ms + from, (end - from) * sizeof *t_ms);
		memmove(v + keep, v + from, (end - from) * sizeof *v);
	}
	return keep + (end - from);
}

enum err pack_decode_range(const struct pack *head, const uint8_t *data, int64_t lo, int64_t hi,
    int64_t *t_ms, double *v, unsigned *n)
{
	struct reader b = { .t = (uint64_t)head->t_min_ms };
	unsigned all = head->count, keep = 0;
	if (all == 0 || all > PACK_SAMPLES_MAX)
		return ERR_MALFORMED;
	b.r = wire_reader(data, head->size);
	while (b.count < all && (int64_t)b.t <= hi) {
		unsigned token = byte_get(&b.r), before = b.count;
		bool good = (token & 3) == TIMES_RUN
		    ? run_get(&b, token, all, t_ms + keep, v + keep)
		    : block_get(&b, token, all, lo, t_ms + keep, v + keep);
		if (b.r.bad)
			return ERR_TRUNCATED;
		if (!good)
			return ERR_MALFORMED;
		unsigned end = keep + (b.count - before);
		if (t_ms[end - 1] < lo)
			continue;
		bool inside = t_ms[keep] >= lo && t_ms[end - 1] <= hi;
		keep = inside ? end : rows_keep(t_ms, v, keep, end, lo, hi);
	}
	*n = keep;
	return ERR_OK;
}
