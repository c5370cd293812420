/*
 * hash - fingerprints (128 bit, seeded), 64-bit hashes for tables, CRC-32C.
 *
 * hash128 is XXH3-128 with a 64-bit seed (libxxhash): a hint of identity only, label bytes are
 * always compared.
 * Built with -DKYMO_WEAK_FINGERPRINT it keeps 16 bits, for the test that nothing merges.
 * crc32c is Castagnoli (RFC 3720 appendix B.4): crc32c(0, "123456789") = 0xe3069283; hardware when
 * there, chosen at first use, same results.
 */
#ifndef CORE_BASE_HASH_H
#define CORE_BASE_HASH_H

#include "core/base/check.h"

struct hash128 {
	uint64_t hi, lo;
};
struct hash128 hash128(const void *data, size_t len, uint64_t seed);
uint64_t hash64(const void *data, size_t len, uint64_t seed);
/* Continues from crc (0 to begin). */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);
static inline uint64_t hash_mix64(uint64_t x) /* finaliser for integer keys (splitmix64) */
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

#endif
