#include "storage/chunk/bitpack.h"

#include "core/base/wire.h"

uint8_t *bitpack_pack(uint8_t *p, const uint64_t *v, unsigned n, unsigned width)
{
	if (width == 64) {
		memcpy(p, v, (size_t)n * 8);
		return p + (size_t)n * 8;
	}
	uint64_t acc = 0;
	unsigned fill = 0;
	for (unsigned i = 0; i < n; i++) {
		acc |= v[i] << fill;
		fill += width;
		/* fill <= 7 + 56 here: whole bytes are moved out each time */
		wire_store64(p, acc);
		p += fill >> 3;
		acc >>= fill & ~7u;
		fill &= 7;
	}
	if (fill)
		*p++ = (uint8_t)acc;
	return p;
}

static void plain_unpack(const uint8_t *p, unsigned width, unsigned n, uint64_t *out)
{
	if (width == 0) {
		memset(out, 0, (size_t)n * 8);
		return;
	}
	if (width == 64) {
		memcpy(out, p, (size_t)n * 8);
		return;
	}
	uint64_t mask = (UINT64_C(1) << width) - 1;
	unsigned bit = 0;
	for (unsigned i = 0; i < n; i++, bit += width)
		out[i] = (wire_load64(p + (bit >> 3)) >> (bit & 7)) & mask;
}

static void plain_offset(uint64_t *k, unsigned n, uint64_t add)
{
	for (unsigned i = 0; i < n; i++)
		k[i] += add;
}

static void plain_delta(uint64_t *k, unsigned n, uint64_t base, uint64_t prev)
{
	for (unsigned i = 0; i < n; i++) {
		prev += k[i] + base;
		k[i] = prev;
	}
}

static void plain_delta2(uint64_t *k, unsigned n, uint64_t base, uint64_t prev, uint64_t slope)
{
	for (unsigned i = 0; i < n; i++) {
		slope += k[i] + base;
		prev += slope;
		k[i] = prev;
	}
}

static void plain_scale(uint64_t *k, unsigned n, uint64_t first, uint64_t step)
{
	for (unsigned i = 0; i < n; i++)
		k[i] = first + step * k[i];
}

static void plain_to_double(const uint64_t *k, unsigned n, double divisor, double *out)
{
	if (divisor == 1.0)
		for (unsigned i = 0; i < n; i++)
			out[i] = (double)(int64_t)k[i];
	else
		for (unsigned i = 0; i < n; i++)
			out[i] = (double)(int64_t)k[i] / divisor;
}

const struct bitpack_ops bitpack_plain = { "plain", plain_unpack, plain_offset, plain_delta,
	plain_delta2, plain_scale, plain_to_double };

/* ---- the check of a kernel ---- */

static bool same(const void *a, const void *b, unsigned n)
{
	return memcmp(a, b, (size_t)n * 8) == 0;
}

/* Numbers of up to so many bits, the largest and smallest among them. */
static void numbers(uint64_t *v, unsigned n, unsigned width)
{
	uint64_t x = width * 0x9e3779b97f4a7c15u + n;
	for (unsigned i = 0; i < n; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		v[i] = i % 17 == 3 ? UINT64_MAX : x ^ x >> 29;
		v[i] = width == 0 ? 0 : v[i] >> (64 - width);
	}
}

static bool agrees_on(const struct bitpack_ops *ops, unsigned width, unsigned n)
{
	uint8_t packed[BITPACK_MAX * 8 + BITPACK_SLACK + 8] = { 0 };
	uint64_t v[BITPACK_MAX] = { 0 }, a[BITPACK_MAX], b[BITPACK_MAX];
	double p[BITPACK_MAX] = { 0 }, q[BITPACK_MAX] = { 0 };
	const uint64_t odd = 0xf123456789abcdefu;
	numbers(v, n, width);
	bitpack_pack(packed, v, n, width);
	ops->unpack(packed, width, n, b);
	bool good = same(v, b, n);
	memcpy(a, v, sizeof(a)), memcpy(b, v, sizeof(b));
	plain_delta(a, n, odd, width), ops->delta(b, n, odd, width);
	good &= same(a, b, n);
	plain_delta2(a, n, odd, width, 5), ops->delta2(b, n, odd, width, 5);
	good &= same(a, b, n);
	plain_offset(a, n, odd), ops->offset(b, n, odd);
	good &= same(a, b, n);
	plain_scale(a, n, width, odd), ops->scale(b, n, width, odd);
	good &= same(a, b, n);
	plain_to_double(a, n, 1, p), ops->to_double(a, n, 1, q);
	good &= same(p, q, n);
	plain_to_double(v, n, 1000, p), ops->to_double(v, n, 1000, q);
	return good && same(p, q, n);
}

bool bitpack_agrees(const struct bitpack_ops *ops)
{
	static const unsigned counts[] = { 1, 2, 3, 7, 8, 61, BITPACK_MAX };
	bool good = true;
	for (unsigned w = 0; w <= 64 && good; w = w == BITPACK_WIDTH_MAX ? 64 : w + 1)
		for (unsigned i = 0; i < COUNT_OF(counts); i++)
			good &= agrees_on(ops, w, counts[i]);
	return good;
}
