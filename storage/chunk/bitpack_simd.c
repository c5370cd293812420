/*
 * The AVX2 and AVX-512 kernels of bitpack.h. Each function carries its own target, so that the file
 * needs no compiler flags and the plain build runs everywhere.
 */
#include "storage/chunk/bitpack.h"

#include "core/base/wire.h"

#if defined(__x86_64__)

# include <immintrin.h>

# define AVX2   __attribute__((target("avx2")))
# define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")))

/*
 * Eight values of w bits are w whole bytes, so byte positions and shifts of a group of eight are
 * the same for every group: tables per width.
 * Value j of a group begins at bit j * w: byte j * w / 8, shift j * w % 8, and fits 8 bytes since w
 * <= 56.
 */
struct group_tables {
	uint8_t bytes[BITPACK_WIDTH_MAX + 1][64]; /* for one permutation of a 64-byte register */
	uint8_t pairs[BITPACK_WIDTH_MAX +
	    1][64]; /* for four 16-byte shuffles, each relative to the byte its pair begins at */
	uint64_t shifts[BITPACK_WIDTH_MAX + 1][8];
};
static struct group_tables tables __attribute__((aligned(64)));

static void tables_fill(void)
{
	static bool filled;
	if (filled)
		return;
	filled = true;
	for (unsigned w = 0; w <= BITPACK_WIDTH_MAX; w++) {
		for (unsigned j = 0; j < 8; j++) {
			unsigned pair_byte = (j & ~1u) * w / 8;
			tables.shifts[w][j] = j * w % 8;
			for (unsigned b = 0; b < 8; b++) {
				tables.bytes[w][j * 8 + b] = (uint8_t)((j * w / 8 + b) & 63);
				tables.pairs[w][j * 8 + b] = (uint8_t)(j * w / 8 - pair_byte + b);
			}
		}
	}
}

bool bitpack_have_avx2(void)
{
	tables_fill();
	__builtin_cpu_init();
	return __builtin_cpu_supports("avx2");
}

bool bitpack_have_avx512(void)
{
	tables_fill();
	__builtin_cpu_init();
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
	    __builtin_cpu_supports("avx512vbmi");
}

/* ---- AVX-512 ---- */

AVX512 static void z_unpack(const uint8_t *p, unsigned width, unsigned n, uint64_t *out)
{
	if (width == 64) {
		memcpy(out, p, (size_t)n * 8);
		return;
	}
	__m512i perm = _mm512_load_si512(tables.bytes[width]);
	__m512i shift = _mm512_loadu_si512(tables.shifts[width]);
	__m512i mask = _mm512_set1_epi64((long long)((UINT64_C(1) << width) - 1));
	for (unsigned i = 0; i < n; i += 8, p += width) {
		__m512i raw = _mm512_permutexvar_epi8(perm, _mm512_loadu_si512(p));
		_mm512_storeu_si512(out + i, _mm512_and_si512(_mm512_srlv_epi64(raw, shift), mask));
	}
}

AVX512 static inline __m512i z_prefix(__m512i x) /* running sum over the eight lanes */
{
	__m512i zero = _mm512_setzero_si512();
	x = _mm512_add_epi64(x, _mm512_alignr_epi64(x, zero, 7));
	x = _mm512_add_epi64(x, _mm512_alignr_epi64(x, zero, 6));
	return _mm512_add_epi64(x, _mm512_alignr_epi64(x, zero, 4));
}

AVX512 static inline __m512i z_last(__m512i x) /* lane 7 in all lanes */
{
	return _mm512_permutexvar_epi64(_mm512_set1_epi64(7), x);
}

AVX512 static void z_offset(uint64_t *k, unsigned n, uint64_t add)
{
	__m512i a = _mm512_set1_epi64((long long)add);
	for (unsigned i = 0; i < n; i += 8)
		_mm512_storeu_si512(k + i, _mm512_add_epi64(_mm512_loadu_si512(k + i), a));
}

AVX512 static void z_delta(uint64_t *k, unsigned n, uint64_t base, uint64_t prev)
{
	__m512i b = _mm512_set1_epi64((long long)base);
	__m512i carry = _mm512_set1_epi64((long long)prev);
	for (unsigned i = 0; i < n; i += 8) {
		__m512i sum = z_prefix(_mm512_add_epi64(_mm512_loadu_si512(k + i), b));
		_mm512_storeu_si512(k + i, _mm512_add_epi64(sum, carry));
		carry = _mm512_add_epi64(carry, z_last(sum));
	}
}

AVX512 static void z_delta2(uint64_t *k, unsigned n, uint64_t base, uint64_t prev, uint64_t slope)
{
	__m512i b = _mm512_set1_epi64((long long)base);
	__m512i carry = _mm512_set1_epi64((long long)prev);
	__m512i speed = _mm512_set1_epi64((long long)slope);
	for (unsigned i = 0; i < n; i += 8) {
		__m512i d = z_prefix(_mm512_add_epi64(_mm512_loadu_si512(k + i), b));
		d = _mm512_add_epi64(d, speed);
		__m512i x = _mm512_add_epi64(z_prefix(d), carry);
		_mm512_storeu_si512(k + i, x);
		speed = z_last(d);
		carry = z_last(x);
	}
}

AVX512 static void z_scale(uint64_t *k, unsigned n, uint64_t first, uint64_t step)
{
	__m512i f = _mm512_set1_epi64((long long)first), s = _mm512_set1_epi64((long long)step);
	for (unsigned i = 0; i < n; i += 8)
		_mm512_storeu_si512(
		    k + i, _mm512_add_epi64(f, _mm512_mullo_epi64(s, _mm512_loadu_si512(k + i))));
}

AVX512 static void z_to_double(const uint64_t *k, unsigned n, double divisor, double *out)
{
	__m512d d = _mm512_set1_pd(divisor);
	unsigned i = 0;
	for (; i + 8 <= n; i += 8) {
		__m512d x = _mm512_cvtepi64_pd(_mm512_loadu_si512(k + i));
		_mm512_storeu_pd(out + i, divisor == 1.0 ? x : _mm512_div_pd(x, d));
	}
	if (i < n) {
		__mmask8 m = (__mmask8)((1u << (n - i)) - 1);
		__m512d x = _mm512_cvtepi64_pd(_mm512_maskz_loadu_epi64(m, k + i));
		_mm512_mask_storeu_pd(out + i, m, _mm512_div_pd(x, d));
	}
}

const struct bitpack_ops bitpack_avx512 = { "avx512", z_unpack, z_offset, z_delta, z_delta2,
	z_scale, z_to_double };

/* ---- AVX2 ---- */

AVX2 static inline __m256i y_load(const void *p)
{
	return _mm256_loadu_si256((const __m256i_u *)p);
}

AVX2 static inline void y_store(void *p, __m256i v)
{
	_mm256_storeu_si256((__m256i_u *)p, v);
}

AVX2 static inline __m256i y_two(const uint8_t *lo, const uint8_t *hi)
{
	return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i_u *)lo)),
	    _mm_loadu_si128((const __m128i_u *)hi), 1);
}

AVX2 static void y_unpack(const uint8_t *p, unsigned width, unsigned n, uint64_t *out)
{
	if (width == 64) {
		memcpy(out, p, (size_t)n * 8);
		return;
	}
	/* A pair of values begins at bit 2jw, spans at most 7 + 2 * 56 bits: 15 bytes. */
	__m256i pick0 = y_load(tables.pairs[width]), pick1 = y_load(tables.pairs[width] + 32);
	__m256i shift0 = y_load(tables.shifts[width]), shift1 = y_load(tables.shifts[width] + 4);
	__m256i mask = _mm256_set1_epi64x((long long)((UINT64_C(1) << width) - 1));
	unsigned at1 = 2 * width / 8, at2 = 4 * width / 8, at3 = 6 * width / 8;
	for (unsigned i = 0; i < n; i += 8, p += width) {
		__m256i a = _mm256_shuffle_epi8(y_two(p, p + at1), pick0);
		__m256i b = _mm256_shuffle_epi8(y_two(p + at2, p + at3), pick1);
		y_store(out + i, _mm256_and_si256(_mm256_srlv_epi64(a, shift0), mask));
		y_store(out + i + 4, _mm256_and_si256(_mm256_srlv_epi64(b, shift1), mask));
	}
}

AVX2 static inline __m256i y_prefix(__m256i x) /* running sum over the four lanes */
{
	x = _mm256_add_epi64(x, _mm256_slli_si256(x, 8));
	__m256i low = _mm256_permute4x64_epi64(x, 0x55); /* lane 1 everywhere */
	return _mm256_add_epi64(x, _mm256_blend_epi32(_mm256_setzero_si256(), low, 0xf0));
}

AVX2 static inline __m256i y_last(__m256i x)
{
	return _mm256_permute4x64_epi64(x, 0xff);
}

AVX2 static void y_offset(uint64_t *k, unsigned n, uint64_t add)
{
	__m256i a = _mm256_set1_epi64x((long long)add);
	for (unsigned i = 0; i < n; i += 4)
		y_store(k + i, _mm256_add_epi64(y_load(k + i), a));
}

AVX2 static void y_delta(uint64_t *k, unsigned n, uint64_t base, uint64_t prev)
{
	__m256i b = _mm256_set1_epi64x((long long)base);
	__m256i carry = _mm256_set1_epi64x((long long)prev);
	for (unsigned i = 0; i < n; i += 4) {
		__m256i sum = y_prefix(_mm256_add_epi64(y_load(k + i), b));
		y_store(k + i, _mm256_add_epi64(sum, carry));
		carry = _mm256_add_epi64(carry, y_last(sum));
	}
}

AVX2 static void y_delta2(uint64_t *k, unsigned n, uint64_t base, uint64_t prev, uint64_t slope)
{
	__m256i b = _mm256_set1_epi64x((long long)base);
	__m256i carry = _mm256_set1_epi64x((long long)prev);
	__m256i speed = _mm256_set1_epi64x((long long)slope);
	for (unsigned i = 0; i < n; i += 4) {
		__m256i d = _mm256_add_epi64(y_prefix(_mm256_add_epi64(y_load(k + i), b)), speed);
		__m256i x = _mm256_add_epi64(y_prefix(d), carry);
		y_store(k + i, x);
		speed = y_last(d);
		carry = y_last(x);
	}
}

AVX2 static void y_scale(uint64_t *k, unsigned n, uint64_t first, uint64_t step)
{
	__m256i f = _mm256_set1_epi64x((long long)first), s = _mm256_set1_epi64x((long long)step);
	__m256i s_high = _mm256_srli_epi64(s, 32);
	for (unsigned i = 0; i < n; i += 4) {
		/* low 64 bits of a product from three 32-bit ones */
		__m256i x = y_load(k + i);
		__m256i cross = _mm256_add_epi64(
		    _mm256_mul_epu32(_mm256_srli_epi64(x, 32), s), _mm256_mul_epu32(x, s_high));
		__m256i prod = _mm256_add_epi64(_mm256_mul_epu32(x, s), _mm256_slli_epi64(cross, 32));
		y_store(k + i, _mm256_add_epi64(f, prod));
	}
}

/* Exact halves, one rounding: (double)(x >> 32) * 2^32 + (double)(x & 0xffffffff). */
AVX2 static inline __m256d y_cvt(__m256i x)
{
	__m256i order = _mm256_setr_epi32(1, 3, 5, 7, 0, 2, 4, 6);
	__m128i high = _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(x, order));
	__m256d h = _mm256_mul_pd(_mm256_cvtepi32_pd(high), _mm256_set1_pd(4294967296.0));
	__m256i two52 = _mm256_castpd_si256(_mm256_set1_pd(4503599627370496.0));
	__m256i low = _mm256_blend_epi32(x, two52, 0xaa); /* 2^52 + low half, as a pattern */
	return _mm256_add_pd(h, _mm256_sub_pd(_mm256_castsi256_pd(low), _mm256_castsi256_pd(two52)));
}

AVX2 static void y_to_double(const uint64_t *k, unsigned n, double divisor, double *out)
{
	__m256d d = _mm256_set1_pd(divisor);
	unsigned i = 0;
	for (; i + 4 <= n; i += 4) {
		__m256d x = y_cvt(y_load(k + i));
		_mm256_storeu_pd(out + i, divisor == 1.0 ? x : _mm256_div_pd(x, d));
	}
	for (; i < n; i++)
		out[i] = (double)(int64_t)k[i] / divisor;
}

const struct bitpack_ops bitpack_avx2 = { "avx2", y_unpack, y_offset, y_delta, y_delta2, y_scale,
	y_to_double };

#else

bool bitpack_have_avx2(void)
{
	return false;
}

bool bitpack_have_avx512(void)
{
	return false;
}

const struct bitpack_ops bitpack_avx2 = { 0 }, bitpack_avx512 = { 0 };

#endif
