#include "core/base/hash.c"
#include "tests/lib/tap.h"

static uint32_t crc_bitwise(uint32_t crc, const uint8_t *p, size_t len)
{
	crc = ~crc;
	for (; len; p++, len--) {
		crc ^= *p;
		for (int k = 0; k < 8; k++)
			crc = (crc >> 1) ^ (crc & 1 ? POLY : 0);
	}
	return ~crc;
}

int main(void)
{
	tap_is_u64(crc32c(0, "123456789", 9), 0xe3069283u, "crc32c of the check string (RFC 3720)");
	uint8_t zeros[32] = { 0 };
	tap_is_u64(crc32c(0, zeros, 32), 0x8a9136aau, "crc32c of 32 zeros (RFC 3720 appendix B.4)");
	static uint8_t data[20000];
	uint64_t x = 88172645463325252u;
	for (size_t i = 0; i < sizeof(data); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		data[i] = (uint8_t)x;
	}
	static const struct {
		const char *name, *needs;
		uint32_t (*fn)(uint32_t, const uint8_t *, size_t);
	} ways[] = {
		{ "plain C", "", crc_plain },
#if defined(__x86_64__)
		{ "SSE4.2", "sse4.2", crc_sse42 },
		{ "SSE4.2 and PCLMUL", "pclmul", crc_pclmul },
#endif
	};
	for (size_t w = 0; w < COUNT_OF(ways); w++) {
#if defined(__x86_64__)
		if ((ways[w].needs[0] && !__builtin_cpu_supports("sse4.2")) ||
		    (w == 2 && !__builtin_cpu_supports("pclmul"))) {
			tap_skip("this processor has no %s", ways[w].name);
			continue;
		}
#endif
		unsigned bad = 0;
		for (size_t len = 0; len < 9000; len += len < 1000 ? 1 : 117) {
			size_t off = len % 13;
			bad += ~ways[w].fn(~0x1234u, data + off, len) !=
			    crc_bitwise(0x1234, data + off, len);
		}
		tap_is_u64(bad, 0, "crc32c by %s equals bit by bit, at all lengths and offsets",
		    ways[w].name);
	}
	tap_is_u64(crc32c(crc32c(0, data, 777), data + 777, 5000), crc32c(0, data, 5777),
	    "crc32c goes on from where it was");
	struct hash128 h = hash128("abc", 3, 1);
	struct hash128 g = hash128("abc", 3, 2);
	TAP_OK(h.hi != g.hi && h.lo != g.lo);
#ifndef KYMO_WEAK_FINGERPRINT
	XXH128_hash_t ref = XXH3_128bits_withSeed("abc", 3, 1);
	TAP_OK(h.hi == ref.high64 && h.lo == ref.low64);
#endif
	TAP_OK(hash64("abc", 3, 0) != hash64("abd", 3, 0) && hash64("", 0, 0) != hash64("", 0, 1));
	TAP_OK(hash_mix64(1) != hash_mix64(2));
	return tap_done();
}
