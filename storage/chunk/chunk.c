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

/* ---- decoder ---- */

struct decoder {
	struct wire_reader r;
	unsigned code;
	uint64_t step, first; /* x = first + step * k; first has the base of times in it */
	uint64_t prev, slope;
	bool begun;
	bool told; /* a table was read */
	struct dense_table *dense;
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
		memcpy(out, k, (size_t)n * 8);
	} else {
		kernel->to_double(k, n, chunk_pow10[d->code], out);
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
	uint64_t k[CHUNK_SUB];
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
	finish(d, k, n, out);
	return flags & DENSE_RAW ? raw_read(d, n, out) : ERR_OK;
}

/* One packed sub-block; token is its first byte. */
static enum err sub_read(struct decoder *d, unsigned token, unsigned n, uint8_t *out)
{
	uint64_t k[CHUNK_SUB];
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
	struct dense_table table;
	struct decoder d = { .r = wire_reader(p, len), .dense = &table };
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
