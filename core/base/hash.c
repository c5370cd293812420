#include "core/base/hash.h"

#include "core/base/wire.h"

#define XXH_INLINE_ALL
#include <pthread.h>
#include <xxhash.h>

#if defined(__x86_64__)
# include <immintrin.h>
#endif

struct hash128 hash128(const void *data, size_t len, uint64_t seed)
{
	XXH128_hash_t h = XXH3_128bits_withSeed(data, len, seed);
#ifdef KYMO_WEAK_FINGERPRINT
	/* 16 bits of news, spread so that tables and shards still work. */
	uint64_t x = h.high64 >> 48;
	return (struct hash128){ .hi = x * 0x0001000100010001u, .lo = hash_mix64(x + 1) };
#else
	return (struct hash128){ .hi = h.high64, .lo = h.low64 };
#endif
}

uint64_t hash64(const void *data, size_t len, uint64_t seed)
{
	return XXH3_64bits_withSeed(data, len, seed);
}

/*
 * CRC-32C, reflected: bit 31 of a remainder stands for x^0, bit 0 for x^31.
 *
 * Plain C: eight tables, eight bytes a step. With SSE4.2: one crc32 instruction has a latency of
 * three cycles, so three neighbouring runs of the data are worked at once;
 * with PCLMUL the remainder of a run is moved behind the following ones by one carry-less
 * multiplication:
 *   the instruction turns w into w * x^32 mod P; the product of two reflected 32-bit values, read
 *   as 64 bits, is a * k * x;
 *   so k = x^(8 n - 33) mod P moves a remainder over n bytes.
 */
#define POLY      0x82f63b78u
#define RUN_LONG  1024
#define RUN_SHORT 128

static uint32_t crc_tables[8][256];
static uint32_t move_long1, move_long2, move_short1, move_short2; /* over one and two runs */
static uint32_t (*crc_chosen)(uint32_t crc, const uint8_t *p, size_t len);
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static uint32_t crc_plain(uint32_t crc, const uint8_t *p, size_t len)
{
	for (; len >= 8; p += 8, len -= 8) {
		uint32_t lo = crc ^ wire_load32(p), hi = wire_load32(p + 4);
		crc = crc_tables[7][lo & 0xff] ^ crc_tables[6][(lo >> 8) & 0xff] ^
		    crc_tables[5][(lo >> 16) & 0xff] ^ crc_tables[4][lo >> 24];
		crc ^= crc_tables[3][hi & 0xff] ^ crc_tables[2][(hi >> 8) & 0xff] ^
		    crc_tables[1][(hi >> 16) & 0xff] ^ crc_tables[0][hi >> 24];
	}
	for (; len; p++, len--)
		crc = (crc >> 8) ^ crc_tables[0][(crc ^ *p) & 0xff];
	return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t crc, const uint8_t *p, size_t len)
{
	uint64_t c = crc;
	for (; len >= 8; p += 8, len -= 8)
		c = _mm_crc32_u64(c, wire_load64(p));
	crc = (uint32_t)c;
	for (; len; p++, len--)
		crc = _mm_crc32_u8(crc, *p);
	return crc;
}

__attribute__((target("sse4.2,pclmul"))) static inline uint32_t crc_move(uint32_t crc, uint32_t by)
{
	__m128i product =
	    _mm_clmulepi64_si128(_mm_cvtsi32_si128((int)crc), _mm_cvtsi32_si128((int)by), 0);
	return (uint32_t)_mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

__attribute__((target("sse4.2,pclmul"))) static inline uint32_t crc_3runs(
    uint32_t crc, const uint8_t *p, size_t run, uint32_t move1, uint32_t move2)
{
	uint64_t a = crc, b = 0, c = 0;
	for (size_t i = 0; i < run; i += 8) {
		a = _mm_crc32_u64(a, wire_load64(p + i));
		b = _mm_crc32_u64(b, wire_load64(p + run + i));
		c = _mm_crc32_u64(c, wire_load64(p + 2 * run + i));
	}
	return crc_move((uint32_t)a, move2) ^ crc_move((uint32_t)b, move1) ^ (uint32_t)c;
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t crc_pclmul(
    uint32_t crc, const uint8_t *p, size_t len)
{
	for (; len >= 3 * RUN_LONG; p += 3 * RUN_LONG, len -= 3 * RUN_LONG)
		crc = crc_3runs(crc, p, RUN_LONG, move_long1, move_long2);
	for (; len >= 3 * RUN_SHORT; p += 3 * RUN_SHORT, len -= 3 * RUN_SHORT)
		crc = crc_3runs(crc, p, RUN_SHORT, move_short1, move_short2);
	return crc_sse42(crc, p, len);
}
#endif

static uint32_t x_to_the(unsigned n) /* x^n mod P */
{
	uint32_t r = 0x80000000u;
	while (n--)
		r = (r >> 1) ^ (r & 1 ? POLY : 0);
	return r;
}

static void crc_choose(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int k = 0; k < 8; k++)
			c = (c >> 1) ^ (c & 1 ? POLY : 0);
		crc_tables[0][i] = c;
	}
	for (int t = 1; t < 8; t++) {
		for (int i = 0; i < 256; i++)
			crc_tables[t][i] = (crc_tables[t - 1][i] >> 8) ^
			    crc_tables[0][crc_tables[t - 1][i] & 0xff];
	}
	move_long1 = x_to_the(8 * RUN_LONG - 33);
	move_long2 = x_to_the(16 * RUN_LONG - 33);
	move_short1 = x_to_the(8 * RUN_SHORT - 33);
	move_short2 = x_to_the(16 * RUN_SHORT - 33);
	uint32_t (*fn)(uint32_t, const uint8_t *, size_t) = crc_plain;
#if defined(__x86_64__)
	__builtin_cpu_init();
	if (__builtin_cpu_supports("sse4.2"))
		fn = __builtin_cpu_supports("pclmul") ? crc_pclmul : crc_sse42;
#endif
	__atomic_store_n(&crc_chosen, fn, __ATOMIC_RELEASE);
}

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
	if (UNLIKELY(!__atomic_load_n(&crc_chosen, __ATOMIC_ACQUIRE)))
		pthread_once(&crc_once, crc_choose);
	return ~crc_chosen(~crc, data, len);
}
