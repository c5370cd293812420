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
