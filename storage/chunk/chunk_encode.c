/* Columns of numbers to the streams of chunk.h. */
#include "storage/chunk/chunk_priv.h"
#include "storage/chunk/dense.h"

/* ---- encoder: values to integers ---- */

struct ints { /* what a stream is made of */
	uint64_t *x;
	size_t n;
	unsigned code, near_code;
	/* patterns of the column, for raw exceptions; NULL = there are none */
	const uint64_t *raw_bits;
	uint64_t *is_raw; /* bit per value */
};

/* v as integer / 10^e, exactly. */
static inline bool decimal_try(double v, unsigned e, int64_t *out)
{
	double s = v * chunk_pow10[e];
	if (!(__builtin_fabs(s) < 9007199254740992.0)) /* 2^53; NaN too */
		return false;
	int64_t i = (int64_t)(s + __builtin_copysign(0.5, s));
	if (UNLIKELY(__builtin_fabs(s) >= 4503599627370496.0))
		i = (int64_t)s; /* 2^52 and more: adding 0.5 would round */
	*out = i;
	return num_bits(e ? (double)i / chunk_pow10[e] : (double)i) == num_bits(v);
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

static void plan_mode(struct plan *best, enum mode mode, const uint64_t *y, unsigned n)
{
	struct range r = range_of(y, n);
	uint64_t min = (uint64_t)r.min;
	plan_range(best, mode, min, (uint64_t)r.max - min, n);
	if (n < 8)
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
	SCRATCH uint64_t r[CHUNK_SUB];
	SCRATCH uint8_t odd[CHUNK_SUB + 1]; /* positions of exceptions */
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
	uint8_t *run;                    /* the run token that may grow, or NULL */
	const struct dense_coder *dense; /* NULL: packed only */
	enum mode dense_mode;
	bool table_told;
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

/*
 * The sub-block in the dense form, where that is shorter than so many bytes. y: of the mode of the
 * coder; for the first sub-block as at decoding.
 */
static bool dense_sub_put(struct writer *w, const uint64_t *y, unsigned n, bool raw, size_t packed)
{
	uint8_t bytes[1 + DENSE_TABLE_MAX + DENSE_BYTES_MAX + 8], *p = bytes + 1;
	bytes[0] = (uint8_t)((unsigned)w->dense_mode << 6 |
	    (WIDTH_DENSE + (raw ? DENSE_RAW : 0) + (w->table_told ? 0 : DENSE_NEW)));
	if (!w->table_told)
		p = dense_table_put(p, w->dense);
	const uint8_t *from = p;
	p = dense_put(p, w->dense, y, n);
	if (!p || (size_t)(p - from) + 1 >= packed)
		return false;
	memcpy(w->p, bytes, (size_t)(p - bytes));
	w->p += p - bytes;
	w->table_told = true;
	return true;
}

static void dense_first(uint64_t *y, const uint64_t *k, unsigned n, enum mode mode, uint64_t base)
{
	if (mode == MODE_OFFSET)
		return;
	y[0] = base;
	if (mode == MODE_DELTA2 && n > 1)
		y[1] = k[1] - k[0] - base;
}

static void sub_put(
    struct writer *w, const struct ints *s, const uint64_t *k, size_t first, unsigned n)
{
	unsigned raw = 0;
	if (s->raw_bits)
		for (unsigned i = 0; i < n; i++)
			raw += (unsigned)(s->is_raw[(first + i) / 64] >> ((first + i) % 64)) & 1;
	SCRATCH uint64_t y[3][CHUNK_SUB]; /* offset, delta, delta2 */
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
	plan_mode(&best, MODE_OFFSET, y[0], n);
	/* prev is free in the first sub-block: its first difference costs nothing */
	if (first == 0)
		y[1][0] = n > 1 ? y[1][1] : 0;
	plan_mode(&best, MODE_DELTA, y[1], n);
	if (n > 2) {
		if (first == 0)
			y[2][1] = 0, y[2][0] = 0;
		plan_mode(&best, MODE_DELTA2, y[2], n);
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
	bool dense = false;
	if (w->dense) {
		enum mode mode = w->dense_mode;
		uint64_t *d = y[mode - 1];
		SCRATCH uint64_t other[CHUNK_SUB];
		if (mode == MODE_OFFSET) {
			memcpy(other, k, n * sizeof(*k));
			d = other;
		} else if (first == 0) {
			memcpy(other, d, n * sizeof(*d));
			d = other;
			dense_first(d, k, n, mode, w->dense->base);
		}
		dense = dense_sub_put(w, d, n, raw != 0, HEAD_BYTES + best.cost);
	}
	if (!dense)
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

/* ---- the dense form ---- */

#define DENSE_MIN  64u /* shorter streams do not pay for a table */
#define DENSE_GAIN 32u /* it has to take that part less */

struct dense_try { /* a way to take differences and a centre, and what it would cost */
	enum mode mode;
	bool zigzag;
	uint64_t base;
	uint32_t counts[DENSE_CLASSES];
	bool fits;
};

static uint64_t difference(const uint64_t *k, size_t i, enum mode mode)
{
	uint64_t d = i > 0 ? k[i] - k[i - 1] : 0;
	if (mode == MODE_OFFSET)
		return k[i];
	return mode == MODE_DELTA || i < 2 ? d : d - (k[i - 1] - k[i - 2]);
}

/* Counts classes over all sub-blocks but those that stand still. */
static void dense_count(struct dense_try *t, const uint64_t *k, size_t n)
{
	uint32_t more[2][65] = { { 0 } }; /* two in turn: neighbours are often of one class */
	for (size_t at = 0; at < n; at += CHUNK_SUB) {
		size_t end = at + CHUNK_SUB < n ? at + CHUNK_SUB : n;
		uint64_t moves = 0;
		for (size_t i = at ? at : 1; i < end; i++)
			moves |= k[i] ^ k[i - 1];
		for (size_t i = moves ? at : end; i < end; i++) {
			uint64_t r = difference(k, i, t->mode) - t->base;
			if (i == 0 && t->mode != MODE_OFFSET)
				r = 0;
			more[i & 1][dense_class(t->zigzag ? wire_zigzag_of(r) : r)]++;
		}
	}
	uint32_t small = 0, large = 0;
	for (unsigned c = 0; c < 65; c++) {
		uint32_t both = more[0][c] + more[1][c];
		if (c < DENSE_CLASSES)
			small += t->counts[c] = both;
		else
			large += both;
	}
	t->fits = small > 0 && large == 0;
}

#define CENTRE_SAMPLES 63u

/* Least and middle of the differences (the middle of some of them). */
static void dense_centres(
    const uint64_t *k, size_t n, enum mode mode, uint64_t *least, uint64_t *middle)
{
	int64_t some[CENTRE_SAMPLES], low = INT64_MAX;
	unsigned count = 0;
	size_t every = n / CENTRE_SAMPLES + 1;
	for (size_t i = mode == MODE_OFFSET ? 0 : 1; i < n; i++) {
		int64_t d = (int64_t)difference(k, i, mode);
		low = d < low ? d : low;
		if (i % every != every - 1 || count == CENTRE_SAMPLES)
			continue;
		unsigned j = count++;
		for (; j > 0 && some[j - 1] > d; j--)
			some[j] = some[j - 1];
		some[j] = d;
	}
	*least = (uint64_t)low;
	*middle = count ? (uint64_t)some[count / 2] : *least;
}

/* The best of the dense forms; false: none, or not a tenth below so many bytes. */
static bool dense_choose(
    const uint64_t *k, size_t n, size_t packed, enum mode *mode, struct dense_coder *coder)
{
	double best = (double)packed * 8 * (1 - 1.0 / DENSE_GAIN);
	bool found = false;
	for (enum mode m = MODE_OFFSET; m <= MODE_DELTA2; m++) {
		uint64_t least, middle;
		dense_centres(k, n, m, &least, &middle);
		struct dense_try tries[] = { { .mode = m, .base = least },
			{ .mode = m, .base = middle, .zigzag = true },
			{ .mode = m, .zigzag = true } };
		for (unsigned i = 0; i < COUNT_OF(tries); i++) {
			struct dense_try *t = &tries[i];
			if (i == 2 && (middle == 0 || m == MODE_OFFSET))
				continue; /* was there, or is no centre */
			dense_count(t, k, n);
			double cost = t->fits ? dense_cost(t->counts) : best;
			if (cost >= best)
				continue;
			best = cost;
			found = true;
			*mode = m;
			dense_coder_make(coder, t->counts);
			coder->base = t->base;
			coder->zigzag = t->zigzag;
		}
	}
	return found;
}

static void subs_put(struct writer *w, const struct ints *s)
{
	for (size_t at = 0; at < s->n; at += CHUNK_SUB)
		sub_put(
		    w, s, s->x + at, at, (unsigned)(s->n - at < CHUNK_SUB ? s->n - at : CHUNK_SUB));
}

/* The tokens at p, up to end, once more in the dense form where that takes a tenth less. */
static uint8_t *dense_put_all(uint8_t *p, uint8_t *end, const struct ints *s)
{
	struct dense_coder coder;
	size_t packed = (size_t)(end - p);
	struct writer w = { .p = end, .dense = &coder };
	if (s->n < DENSE_MIN || packed < s->n / 16 ||
	    !dense_choose(s->x, s->n, packed, &w.dense_mode, &coder))
		return end;
	subs_put(&w, s);
	size_t len = (size_t)(w.p - end);
	if (len > packed - packed / DENSE_GAIN)
		return end;
	memmove(p, end, len);
	return p + len;
}

/* s->x becomes the k of the format. */
static uint8_t *ints_put(uint8_t *p, const struct ints *s, enum chunk_effort effort)
{
	uint64_t first = s->x[0];
	uint64_t differ = 0;
	for (size_t i = 1; i < s->n; i++)
		differ |= s->x[i] ^ first;
	bool constant = differ == 0 && !s->raw_bits;
	uint64_t step = constant ? 1 : step_best(s->x, s->n);
	*p++ = (uint8_t)(s->code | (constant ? HEAD_CONST : 0) | (step != 1 ? HEAD_STEP : 0));
	if (s->code == CHUNK_CODE_NEAR)
		*p++ = (uint8_t)s->near_code;
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
	uint64_t last = 0, last_x = first;
	for (size_t i = 0; i < s->n; i++) {
		uint64_t x = s->x[i];
		last += step == 1 ? x - last_x : exact_div_do(div, x - last_x);
		last_x = x;
		s->x[i] = last;
	}
	struct writer w = { .p = p };
	subs_put(&w, s);
	return effort == CHUNK_COLD ? dense_put_all(p, w.p, s) : w.p;
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
		struct ints s = { .x = x, .n = n, .code = CHUNK_CODE_INT };
		end = ints_put(p, &s, effort);
	}
	return (size_t)(end - p) <= 1 + 8 * n ? end : raw_stream_put(p, t_ms, n);
}

/* ---- sums of decimals ---- */

#define NEAR_PROBES 16u
#define NEAR_MIN    16u /* values */
#define NEAR_ODD    12u /* the largest distance is 2^NEAR_ODD patterns */

/*
 * v as integer / 10^e and a distance in patterns. False: it is not so near that this were no
 * chance: within 1/16 of the way to the next integer / 10^e.
 */
static inline bool near_try(double v, unsigned e, int64_t *x, uint64_t *distance)
{
	double s = v * chunk_pow10[e];
	if (!(__builtin_fabs(s) < 281474976710656.0)) /* 2^48; NaN too */
		return false;
	*x = (int64_t)(s + __builtin_copysign(0.5, s));
	uint64_t d = order_bits(num_bits(v)) - order_bits(num_bits((double)*x / chunk_pow10[e]));
	*distance = d;
	uint64_t size = (int64_t)d < 0 ? 0 - d : d;
	return size >> NEAR_ODD == 0 && __builtin_fabs(s - (double)*x) < 0.0625;
}

/* The smallest exponent below e that all of some values are near to; false: none. */
static bool near_probe(const double *v, size_t n, unsigned *e)
{
	size_t every = n / NEAR_PROBES;
	unsigned at = 0;
	for (size_t i = 0; i < n; i += every) {
		int64_t x;
		uint64_t d;
		if (__builtin_isfinite(v[i]))
			while (at < *e && !near_try(v[i], at, &x, &d))
				at++;
	}
	bool lower = at + 2 <= *e;
	*e = at;
	return lower;
}

/* Fills x with the integers, and marks what is not finite; false: not all others are near. */
static bool ints_near(const double *v, struct ints *s, unsigned e)
{
	size_t odd = 0;
	uint64_t d;
	int64_t last = 0;
	for (size_t i = 0; i < s->n; i++) {
		if (!__builtin_isfinite(v[i])) {
			if (++odd > s->n / 16 + 2 || i == 0)
				return false;
			s->is_raw[i / 64] |= UINT64_C(1) << (i % 64);
		} else if (!near_try(v[i], e, &last, &d)) {
			return false;
		}
		s->x[i] = (uint64_t)last;
	}
	s->code = CHUNK_CODE_NEAR;
	s->near_code = e;
	if (odd == 0)
		s->raw_bits = NULL;
	return true;
}

/* Distances of what near_try took, 0 for what it did not. */
static void distances(const double *v, struct ints *s, unsigned e)
{
	for (size_t i = 0; i < s->n; i++) {
		int64_t x;
		s->x[i] = 0;
		if (__builtin_isfinite(v[i]))
			(void)near_try(v[i], e, &x, &s->x[i]);
	}
	s->code = CHUNK_CODE_INT;
	s->raw_bits = NULL;
}

/* Returns p: it is not worth it, or cannot be done. */
static uint8_t *near_put(uint8_t *p, struct ints *s, const double *v, enum chunk_effort effort)
{
	unsigned e = s->code == CHUNK_CODE_BITS ? CHUNK_CODE_DECIMAL_MAX : s->code;
	if (s->n < NEAR_MIN || e < 2 || !near_probe(v, s->n, &e))
		return p;
	s->raw_bits = (const uint64_t *)(const void *)v;
	memset(s->is_raw, 0, (s->n + 63) / 64 * 8);
	if (!ints_near(v, s, e))
		return p;
	p = ints_put(p, s, effort);
	distances(v, s, e);
	return ints_put(p, s, effort);
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
		struct ints s = { .x = &one, .n = 1, .code = code };
		return ints_put(p, &s, effort);
	}
	/*
	 * Aliasing doubles as patterns is fine under -fno-strict-aliasing, and the bytes are only
	 * copied.
	 */
	struct ints s = {
		.x = x, .n = n, .raw_bits = (const uint64_t *)(const void *)v, .is_raw = is_raw
	};
	memset(is_raw, 0, (n + 63) / 64 * 8);
	if (!ints_decimal(v, &s)) {
		s.code = CHUNK_CODE_BITS;
		s.raw_bits = NULL;
		for (size_t i = 0; i < n; i++)
			x[i] = order_bits(num_bits(v[i]));
	}
	uint8_t *end = ints_put(p, &s, effort);
	if ((size_t)(end - p) > 2 * n) {
		uint8_t *other = near_put(end, &s, v, effort);
		if (other > end && other - end < end - p) {
			memmove(p, end, (size_t)(other - end));
			end = p + (other - end);
		}
	}
	return (size_t)(end - p) <= 1 + 8 * n ? end : raw_stream_put(p, v, n);
}

/* What making a stream may need: two forms of it, the second of two streams, each twice. */
static size_t room(size_t n)
{
	return STREAM_ROOM(n) * 4;
}

void chunk_times_encode(
    const int64_t *t_ms, size_t n, int64_t base_ms, enum chunk_effort effort, struct buf *out)
{
	CHECK(n > 0);
	CHECK(n <= CHUNK_SAMPLES_MAX);
	SCRATCH uint64_t x[CHUNK_SAMPLES_MAX];
	if (!buf_reserve(out, room(n)))
		return;
	uint8_t *p = out->data + out->len;
	out->len += (size_t)(times_put(p, x, t_ms, n, base_ms, effort) - p);
}

void chunk_values_encode(const double *v, size_t n, enum chunk_effort effort, struct buf *out)
{
	CHECK(n > 0);
	CHECK(n <= CHUNK_SAMPLES_MAX);
	SCRATCH uint64_t x[CHUNK_SAMPLES_MAX], is_raw[CHUNK_SAMPLES_MAX / 64];
	if (!buf_reserve(out, room(n)))
		return;
	uint8_t *p = out->data + out->len;
	out->len += (size_t)(values_put(p, x, is_raw, v, n, effort) - p);
}
