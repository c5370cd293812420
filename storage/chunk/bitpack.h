/*
 * bitpack - the inner loops of the chunk codec: packing and unpacking of up to 128 integers at one
 * width, running sums, integers to doubles. Three kernels, same results.
 *
 * Packed form: value i stands at bit i * w, least significant first; n values take ceil(n * w / 8)
 * bytes. Widths 0..BITPACK_WIDTH_MAX and 64, so that a value and its shift fit 8 bytes.
 * All integer arithmetic is modulo 2^64.
 *
 * Thread: any. Memory: the caller's; arrays of BITPACK_MAX elements unless said otherwise.
 */
#ifndef STORAGE_CHUNK_BITPACK_H
#define STORAGE_CHUNK_BITPACK_H

#include "core/base/check.h"

#define BITPACK_MAX       128u
#define BITPACK_WIDTH_MAX 56u
#define BITPACK_SLACK     64u /* readable bytes the kernels want behind packed input */

struct bitpack_ops {
	const char *name;
	/*
	 * n <= 128 rounded up to 8 may be written. BITPACK_SLACK readable bytes behind the packed
	 * ones.
	 */
	void (*unpack)(const uint8_t *p, unsigned width, unsigned n, uint64_t *out);
	void (*offset)(uint64_t *k, unsigned n, uint64_t add); /* k[i] += add */
	void (*delta)(uint64_t *k, unsigned n, uint64_t base,
	    uint64_t prev); /* k[i] = prev + sum of (k + base) up to i */
	void (*delta2)(uint64_t *k, unsigned n, uint64_t base, uint64_t prev, uint64_t slope);
	/* k[i] = first + step * k[i] */
	void (*scale)(uint64_t *k, unsigned n, uint64_t first, uint64_t step);
	/*
	 * out[i] = (double)(int64_t)k[i] / divisor, rounded to nearest twice, as plain C does;
	 * divisor 1 divides nothing
	 */
	void (*to_double)(const uint64_t *k, unsigned n, double divisor, double *out);
};
extern const struct bitpack_ops bitpack_plain, bitpack_avx2, bitpack_avx512;
/* The processor has what the kernel needs. First called before threads start. */
bool bitpack_have_avx2(void);
bool bitpack_have_avx512(void);
/*
 * The kernel gives the bits of the plain one on this machine: every width, several counts, hostile
 * numbers; some 100 us. No machine but this one vouches for it.
 */
bool bitpack_agrees(const struct bitpack_ops *ops);

/*
 * Packs; values must fit the width. Writes ceil(n * width / 8) bytes, and up to 8 more behind them
 * are spoiled. Returns the end.
 */
uint8_t *bitpack_pack(uint8_t *p, const uint64_t *v, unsigned n, unsigned width);
static inline size_t bitpack_bytes(unsigned n, unsigned width)
{
	return ((size_t)n * width + 7) / 8;
}

#endif
