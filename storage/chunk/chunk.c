/* The streams of chunk.h back to numbers; which kernel does it. */
#include "storage/chunk/chunk_priv.h"
#include "storage/chunk/dense.h"

const double chunk_pow10[CHUNK_CODE_DECIMAL_MAX + 1] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7,
	1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18 };

STATIC(CHUNK_SUB == BITPACK_MAX);

static const struct bitpack_ops *kernel = &bitpack_plain;

__attribute__((constructor)) static void kernel_choose(void)
{
	(void)chunk_kernel_use(CHUNK_KERNEL_AUTO);
}

/* Unless the processor lacks what it needs, or computes something else with it: checked once. */
static bool kernel_take(const struct bitpack_ops *ops, bool (*have)(void), int *known)
{
	if (*known == 0)
		*known = have() && bitpack_agrees(ops) ? 1 : -1;
	if (*known > 0)
		kernel = ops;
	return *known > 0;
}

bool chunk_kernel_use(enum chunk_kernel k)
{
	static int avx2, avx512;
	if (k == CHUNK_KERNEL_PLAIN) {
		kernel = &bitpack_plain;
		return true;
	}
	if (k == CHUNK_KERNEL_AVX2)
		return kernel_take(&bitpack_avx2, bitpack_have_avx2, &avx2);
	if (k == CHUNK_KERNEL_AVX512)
		return kernel_take(&bitpack_avx512, bitpack_have_avx512, &avx512);
	return chunk_kernel_use(CHUNK_KERNEL_AVX512) || chunk_kernel_use(CHUNK_KERNEL_AVX2) ||
	    chunk_kernel_use(CHUNK_KERNEL_PLAIN);
}

const char *chunk_kernel_name(void)
{
	return kernel->name;
}

/* ---- decoder ---- */

struct decoder {
	struct wire_reader r;
	unsigned code;
	uint64_t step, first; /* x = first + step * k; first has the base of times in it */
	uint64_t prev, slope;
	bool begun;
	bool told; /* a table was read */
	bool near; /* a stream of distances follows */
	bool adds; /* numbers are distances, to be added to the doubles that are there */
	struct dense_table *dense;
	struct chunk_forms *forms; /* to add up to, or NULL */
};

/* So many patterns further in numeric order. */
static void distance_add(uint8_t *at, uint64_t distance)
{
	wire_store64(at, order_bits(order_bits(wire_load64(at)) + distance));
}

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
	if (d->code == CHUNK_CODE_NEAR && !times) {
		d->near = true;
		d->code = wire_u8(&d->r);
		if (d->code > CHUNK_CODE_DECIMAL_MAX)
			return ERR_MALFORMED;
	}
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
	return (double)(int64_t)x / chunk_pow10[d->code];
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
		if (d->adds)
			for (unsigned i = 0; i < n; i++)
				distance_add((uint8_t *)out + (size_t)i * 8, k[i]);
		else
			memcpy(out, k, (size_t)n * 8);
	} else {
		kernel->to_double(k, n, chunk_pow10[d->code], out);
	}
}

static void fill(const struct decoder *d, uint8_t *out, size_t n, uint64_t pattern)
{
	if (!d->adds)
		for (size_t i = 0; i < n; i++)
			wire_store64(out + i * 8, pattern);
	else if (pattern)
		for (size_t i = 0; i < n; i++)
			distance_add(out + i * 8, pattern);
}

static uint64_t number_pattern(const struct decoder *d, uint64_t k)
{
	uint64_t x = d->first + d->step * k;
	return d->code == CHUNK_CODE_INT ? x : num_bits(value_of(d, x));
}

/* out NULL, here and below: read over, nobody wants them. */
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
		if (out)
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
		SCRATCH uint8_t copy[BITPACK_MAX * 8 + BITPACK_SLACK];
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

/* Residuals to k, and what the next sub-block needs of them. */
static void residuals_add_up(
    struct decoder *d, enum mode mode, uint64_t *k, unsigned n, uint64_t base, uint64_t offset)
{
	if (mode == MODE_OFFSET) {
		kernel->offset(k, n, base + offset);
	} else {
		uint64_t prev = d->begun ? d->prev : 0 - base;
		if (mode == MODE_DELTA)
			kernel->delta(k, n, base, prev);
		else
			kernel->delta2(k, n, base, prev, d->slope);
	}
	d->prev = k[n - 1];
	d->slope = n > 1 ? k[n - 1] - k[n - 2] : 0;
}

/* One sub-block in the dense form; token is its first byte. */
static enum err dense_sub_read(struct decoder *d, unsigned token, unsigned n, uint8_t *out)
{
	SCRATCH uint64_t k[CHUNK_SUB];
	unsigned flags = (token & 63) - WIDTH_DENSE;
	if (flags > (DENSE_RAW | DENSE_NEW) || !(d->told || (flags & DENSE_NEW)))
		return ERR_MALFORMED;
	enum err e = flags & DENSE_NEW ? dense_table_read(&d->r, d->dense) : ERR_OK;
	if (e)
		return e;
	d->told = true;
	e = dense_read(&d->r, d->dense, n, k);
	if (e)
		return e;
	residuals_add_up(d, (enum mode)(token >> 6), k, n, d->dense->base, 0);
	if (LIKELY(out != NULL))
		finish(d, k, n, out);
	return flags & DENSE_RAW ? raw_read(d, n, out) : ERR_OK;
}

/* One packed sub-block; token is its first byte. */
static enum err sub_read(struct decoder *d, unsigned token, unsigned n, uint8_t *out)
{
	SCRATCH uint64_t k[CHUNK_SUB];
	unsigned width = token & 63;
	if (width >= WIDTH_DENSE)
		return dense_sub_read(d, token, n, out);
	unsigned flags = wire_u8(&d->r);
	if (flags > 0x7f)
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
	residuals_add_up(d, (enum mode)(token >> 6), k, n, base, d->prev);
	if (LIKELY(out != NULL))
		finish(d, k, n, out);
	return flags & FLAG_RAW ? raw_read(d, n, out) : ERR_OK;
}

/* Two numbers in a register of any machine; anywhere in memory. */
typedef uint64_t two __attribute__((vector_size(16), aligned(8), may_alias));

/* Times in a line, eight at a time. */
static void times_line(struct decoder *d, size_t n, uint8_t *out)
{
	uint64_t x = d->first + d->step * d->prev, inc = d->step * d->slope;
	two v0 = { x + inc, x + 2 * inc }, by2 = { 2 * inc, 2 * inc };
	two v1 = v0 + by2, v2 = v1 + by2, v3 = v2 + by2, by8 = 4 * by2;
	size_t i = 0;
	for (; i + 8 <= n; i += 8, v0 += by8, v1 += by8, v2 += by8, v3 += by8) {
		two *to = (void *)(out + i * 8);
		to[0] = v0;
		to[1] = v1;
		to[2] = v2;
		to[3] = v3;
	}
	for (x += inc * i; i < n; i++)
		wire_store64(out + i * 8, x += inc);
	d->prev += d->slope * n;
}

static void run_read(struct decoder *d, bool line, size_t n, uint8_t *out)
{
	if (!line) {
		fill(d, out, n, number_pattern(d, d->prev));
		d->slope = 0;
		return;
	}
	if (d->code == CHUNK_CODE_INT && !d->adds) {
		times_line(d, n, out);
		return;
	}
	SCRATCH uint64_t k[CHUNK_SUB];
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

static uint64_t *form_of(const struct decoder *d, unsigned token)
{
	if (d->adds)
		return &d->forms->distance;
	if (token < 2 * TOKEN_RUN_MAX)
		return &d->forms->run;
	return (token & 63) >= WIDTH_DENSE ? &d->forms->dense : &d->forms->packed[(token >> 6) - 1];
}

/* As many numbers as a run's token tells, of left; 0: more than there are. */
static size_t run_length(unsigned token, size_t left)
{
	size_t run = ((token & (TOKEN_RUN_MAX - 1)) + 1) * (size_t)CHUNK_SUB;
	return run >= left + CHUNK_SUB ? 0 : run < left ? run : left;
}

static enum err stream_read(struct decoder *d, size_t n, uint8_t *out)
{
	size_t at = 0;
	while (at < n) {
		const uint8_t *start = d->r.p;
		unsigned token = wire_u8(&d->r);
		if (d->r.bad)
			return ERR_TRUNCATED;
		size_t count = n - at;
		if (token < 2 * TOKEN_RUN_MAX) {
			count = run_length(token, count);
			if (!count)
				return ERR_MALFORMED;
			run_read(d, (token & TOKEN_LINE) != 0, count, out + at * 8);
		} else {
			count = count < CHUNK_SUB ? count : CHUNK_SUB;
			enum err e = sub_read(d, token, (unsigned)count, out + at * 8);
			if (e)
				return e;
		}
		if (UNLIKELY(d->forms != NULL))
			*form_of(d, token) += (uint64_t)(d->r.p - start);
		d->begun = true;
		at += count;
	}
	return ERR_OK;
}

/* Of the next count numbers, which are a run, the first skip are stepped over and n are read. */
static void run_part(struct decoder *d, bool line, size_t skip, size_t n, uint8_t *out)
{
	if (line)
		d->prev += d->slope * skip;
	if (n || !line)
		run_read(d, line, n, out);
}

/* A packed sub-block of count numbers, of which n are wanted from skip on. */
static enum err sub_part(
    struct decoder *d, unsigned token, unsigned count, size_t skip, size_t n, uint8_t *out)
{
	SCRATCH uint8_t whole[CHUNK_SUB * 8];
	if (n == 0 || n == count)
		return sub_read(d, token, count, n ? out : NULL);
	enum err e = sub_read(d, token, count, whole);
	if (!e)
		memcpy(out, whole + skip * 8, n * 8);
	return e;
}

/* The numbers from..end-1 of n: those before them are stepped over, those behind not looked at. */
static enum err stream_part(struct decoder *d, size_t n, size_t from, size_t end, uint8_t *out)
{
	for (size_t at = 0; at < end;) {
		unsigned token = wire_u8(&d->r);
		bool run = token < 2 * TOKEN_RUN_MAX;
		size_t count = n - at < CHUNK_SUB ? n - at : CHUNK_SUB;
		if (run)
			count = run_length(token, n - at);
		if (d->r.bad || !count)
			return d->r.bad ? ERR_TRUNCATED : ERR_MALFORMED;
		size_t upto = at + count < end ? at + count : end;
		size_t skip = at >= from ? 0 : from < upto ? from - at : upto - at;
		size_t wanted = upto - at - skip;
		if (run) {
			run_part(d, (token & TOKEN_LINE) != 0, skip, wanted, out);
		} else {
			enum err e = sub_part(d, token, (unsigned)count, skip, wanted, out);
			if (e)
				return e;
		}
		d->begun = true;
		out += wanted * 8;
		at += count;
	}
	return ERR_OK;
}

static void form_head(const struct decoder *d, const uint8_t *start, bool constant)
{
	uint64_t len = (uint64_t)(d->r.p - start);
	struct chunk_forms *f = d->forms;
	*(d->adds ? &f->distance : d->code == CHUNK_CODE_RAW ? &f->raw : &f->head) += len;
	f->constants += constant && !d->adds && !d->near;
}

/* One stream; n numbers at out. */
static enum err decode_one(struct decoder *d, size_t n, bool times, int64_t base_ms, uint8_t *out)
{
	bool constant = false;
	const uint8_t *start = d->r.p;
	enum err e = head_read(d, times, base_ms, &constant);
	if (e)
		return e;
	if (d->code == CHUNK_CODE_RAW) {
		const uint8_t *raw = d->adds ? NULL : wire_bytes(&d->r, n * 8);
		if (!raw)
			return d->adds ? ERR_MALFORMED : ERR_TRUNCATED;
		memcpy(out, raw, n * 8);
	} else if (constant) {
		fill(d, out, n, number_pattern(d, 0));
	}
	if (UNLIKELY(d->forms != NULL))
		form_head(d, start, constant);
	return d->code == CHUNK_CODE_RAW || constant ? ERR_OK : stream_read(d, n, out);
}

static enum err decode_all(
    struct decoder *d, size_t n, bool times, int64_t base_ms, uint8_t *out, size_t *used)
{
	const uint8_t *start = d->r.p;
	if (n == 0 || n > CHUNK_SAMPLES_MAX)
		return ERR_MALFORMED;
	enum err e = decode_one(d, n, times, base_ms, out);
	if (!e && d->near) {
		*d = (struct decoder){ .r = d->r, .dense = d->dense, .forms = d->forms, .adds = true };
		e = decode_one(d, n, true, 0, out);
	}
	if (!e && used)
		*used = (size_t)(d->r.p - start);
	return e;
}

static enum err decode(
    const uint8_t *p, size_t len, size_t n, bool times, int64_t base_ms, uint8_t *out, size_t *used)
{
	SCRATCH struct dense_table table;
	struct decoder d = { .r = wire_reader(p, len), .dense = &table };
	return decode_all(&d, n, times, base_ms, out, used);
}

/*
 * Most steps are 1..2^40: then their sum is below 2^53, and nothing can have wrapped. That is seen
 * four at a time.
 */
static bool ascends_slowly(const int64_t *t, size_t n)
{
	const two one = { 1, 1 };
	two seen0 = { 0 }, seen1 = { 0 };
	uint64_t last = 0;
	size_t i = 0;
	for (; i + 5 <= n; i += 4) {
		const two *a = (const void *)(t + i), *b = (const void *)(t + i + 1);
		seen0 |= b[0] - a[0] - one;
		seen1 |= b[1] - a[1] - one;
	}
	for (; i + 1 < n; i++)
		last |= (uint64_t)t[i + 1] - (uint64_t)t[i] - 1;
	seen0 |= seen1;
	last |= seen0[0] | seen0[1];
	return last >> 40 == 0 && t[0] <= INT64_MAX - ((int64_t)1 << 53);
}

static bool ascending(const int64_t *t, size_t n)
{
	bool good = true;
	STATIC(CHUNK_SAMPLES_MAX <= 1u << 13);
	if (LIKELY(ascends_slowly(t, n)))
		return true;
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

/* Where places are not told apart: all is decoded. */
static enum err part_of_all(
    const uint8_t *p, size_t len, size_t n, size_t from, size_t count, double *v)
{
	SCRATCH double all[CHUNK_SAMPLES_MAX];
	enum err e = decode(p, len, n, false, 0, (uint8_t *)all, NULL);
	if (!e)
		memcpy(v, all + from, count * sizeof(*v));
	return e;
}

enum err chunk_values_decode_part(
    const uint8_t *p, size_t len, size_t n, size_t from, size_t count, double *v)
{
	SCRATCH struct dense_table table;
	struct decoder d = { .r = wire_reader(p, len), .dense = &table };
	bool constant = false;
	if (n == 0 || n > CHUNK_SAMPLES_MAX)
		return ERR_MALFORMED;
	CHECK(from <= n);
	CHECK(count <= n - from);
	if (count == n)
		return decode(p, len, n, false, 0, (uint8_t *)v, NULL);
	enum err e = head_read(&d, false, 0, &constant);
	if (e || !count)
		return e;
	if (d.near)
		return part_of_all(p, len, n, from, count, v);
	if (d.code == CHUNK_CODE_RAW) {
		const uint8_t *raw = wire_bytes(&d.r, n * 8);
		if (raw)
			memcpy(v, raw + from * 8, count * 8);
		return raw ? ERR_OK : ERR_TRUNCATED;
	}
	if (constant)
		fill(&d, (uint8_t *)v, count, number_pattern(&d, 0));
	return constant ? ERR_OK : stream_part(&d, n, from, from + count, (uint8_t *)v);
}

enum err chunk_forms_add(const uint8_t *p, size_t len, size_t n, struct chunk_forms *forms)
{
	SCRATCH double v[CHUNK_SAMPLES_MAX];
	SCRATCH struct dense_table table;
	struct decoder d = { .r = wire_reader(p, len), .dense = &table, .forms = forms };
	enum err e = decode_all(&d, n, false, 0, (uint8_t *)v, NULL);
	if (!e) {
		forms->streams++;
		forms->values += n;
	}
	return e;
}

/* ---- aggregates ---- */

#define EXACT 9007199254740992.0 /* 2^53 */

struct chunk_aggregate chunk_aggregate_of(const double *v, uint32_t n)
{
	struct chunk_aggregate a = {
		.count = n, .numbers = true, .first = v[0], .last = v[n - 1], .min = v[0], .max = v[0]
	};
	double sizes = 0, sum = 0, before = v[0];
	bool whole = true;
	for (uint32_t i = 0; i < n; i++) {
		a.numbers &= v[i] == v[i];
		a.min = v[i] < a.min ? v[i] : a.min;
		a.max = v[i] > a.max ? v[i] : a.max;
		a.resets += v[i] < before;
		before = v[i];
		double size = __builtin_fabs(v[i]);
		/* adding 2^52 leaves no place for a fraction */
		whole &= size < EXACT / 2 ? size + EXACT / 2 - EXACT / 2 == size : size <= EXACT;
		sizes += size;
		sum += v[i];
	}
	a.sum_exact = a.numbers && whole && sizes <= EXACT;
	if (!a.numbers)
		a.min = a.max = 0, a.resets = 0;
	if (a.sum_exact)
		a.sum = sum;
	return a;
}

static struct chunk_aggregate aggregate_flat(double v, uint32_t n)
{
	struct chunk_aggregate a = chunk_aggregate_of(&v, 1);
	a.count = n;
	a.sum_exact &= __builtin_fabs(v) * n <= EXACT;
	a.sum = a.sum_exact ? a.sum * n : 0;
	return a;
}

/* Lines within these bounds: all integers are below 2^46, sums of 128 of them below 2^53. */
#define LINE_MAX (INT64_C(1) << 45)

/*
 * A line of n integers from x on. False: their doubles, or the differences of those, might round,
 * so the samples have to tell.
 */
static bool aggregate_line(
    const struct decoder *d, int64_t x, int64_t slope, uint32_t n, struct chunk_aggregate *out)
{
	if (d->code > CHUNK_CODE_DECIMAL_MAX || x > LINE_MAX || x < -LINE_MAX ||
	    slope > LINE_MAX / CHUNK_SUB || slope < -LINE_MAX / CHUNK_SUB)
		return false;
	int64_t end = x + slope * (int64_t)(n - 1), one = (int64_t)chunk_pow10[d->code];
	double first = value_of(d, (uint64_t)x), last = value_of(d, (uint64_t)end);
	bool whole = x % one == 0 && (n == 1 || slope % one == 0);
	*out = (struct chunk_aggregate){ .count = n,
		.numbers = true,
		.sum_exact = whole,
		.resets = slope < 0 ? n - 1 : 0,
		.first = first,
		.last = last,
		.min = slope < 0 ? last : first,
		.max = slope < 0 ? first : last };
	if (whole)
		out->sum = (double)((x / one + end / one) * (int64_t)n / 2);
	return true;
}

struct wanted { /* sub-blocks first .. end - 1 */
	size_t first, end;
	struct chunk_aggregate *out;
	size_t decoded;
};

/* One sub-block of a run. */
static void run_aggregate(
    struct decoder *d, bool line, uint32_t n, struct chunk_aggregate *out, size_t *decoded)
{
	if (!line) {
		*out = aggregate_flat(num_from_bits(number_pattern(d, d->prev)), n);
		d->slope = 0;
		return;
	}
	int64_t x = (int64_t)(d->first + d->step * (d->prev + d->slope));
	if (aggregate_line(d, x, (int64_t)(d->step * d->slope), n, out)) {
		d->prev += d->slope * n;
		return;
	}
	SCRATCH double v[CHUNK_SUB];
	run_read(d, true, n, (uint8_t *)v);
	*out = chunk_aggregate_of(v, n);
	++*decoded;
}

static enum err stream_aggregate(struct decoder *d, size_t n, struct wanted *w)
{
	SCRATCH double v[CHUNK_SUB];
	size_t sub = 0, subs = (n + CHUNK_SUB - 1) / CHUNK_SUB;
	while (sub < w->end) {
		unsigned token = wire_u8(&d->r);
		if (d->r.bad)
			return ERR_TRUNCATED;
		bool run = token < 2 * TOKEN_RUN_MAX;
		size_t end = sub + (run ? (token & (TOKEN_RUN_MAX - 1)) + 1 : 1);
		if (end > subs)
			return ERR_MALFORMED;
		for (; sub < end; sub++) {
			uint32_t m = sub + 1 < subs ? CHUNK_SUB : (uint32_t)(n - sub * CHUNK_SUB);
			struct chunk_aggregate skipped, *out = &skipped;
			bool want = sub >= w->first && sub < w->end;
			if (want)
				out = &w->out[sub - w->first];
			if (run) {
				run_aggregate(d, (token & TOKEN_LINE) != 0, m, out, &w->decoded);
				continue;
			}
			enum err e = sub_read(d, token, m, (uint8_t *)v);
			if (e)
				return e;
			w->decoded++;
			if (want)
				*out = chunk_aggregate_of(v, m);
		}
		d->begun = true;
	}
	return ERR_OK;
}

/* Where sub-blocks are not told apart: all samples are decoded. */
static enum err samples_aggregate(const uint8_t *p, size_t len, size_t n, struct wanted *w)
{
	SCRATCH double v[CHUNK_SAMPLES_MAX];
	enum err e = decode(p, len, n, false, 0, (uint8_t *)v, NULL);
	for (size_t sub = w->first; sub < w->end && !e; sub++) {
		size_t at = sub * CHUNK_SUB;
		w->out[sub - w->first] =
		    chunk_aggregate_of(v + at, (uint32_t)(n - at < CHUNK_SUB ? n - at : CHUNK_SUB));
		w->decoded++;
	}
	return e;
}

enum err chunk_aggregates(const uint8_t *p, size_t len, size_t n, size_t first, size_t count,
    struct chunk_aggregate *out, size_t *decoded)
{
	struct wanted w = { first, first + count, out, 0 };
	SCRATCH struct dense_table table;
	struct decoder d = { .r = wire_reader(p, len), .dense = &table };
	bool constant = false;
	if (n == 0 || n > CHUNK_SAMPLES_MAX)
		return ERR_MALFORMED;
	size_t subs = (n + CHUNK_SUB - 1) / CHUNK_SUB;
	CHECK(first <= subs);
	CHECK(count <= subs - first);
	enum err e = head_read(&d, false, 0, &constant);
	if (!e && (d.near || d.code == CHUNK_CODE_RAW))
		e = samples_aggregate(p, len, n, &w);
	else if (!e && constant)
		for (size_t sub = first; sub < w.end; sub++)
			out[sub - first] = aggregate_flat(num_from_bits(number_pattern(&d, 0)),
			    sub + 1 < subs ? CHUNK_SUB : (uint32_t)(n - sub * CHUNK_SUB));
	else if (!e)
		e = stream_aggregate(&d, n, &w);
	if (!e && decoded)
		*decoded = w.decoded;
	return e;
}
