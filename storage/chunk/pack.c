#include "storage/chunk/pack.h"

#include "storage/chunk/chunk.h"
#include "storage/chunk/chunk_priv.h"

#include <string.h>

STATIC(PACK_SAMPLES_MAX == CHUNK_SUB);
STATIC(PACK_BYTES_MAX(1) >= 1 + 2 * (1 + 8));

size_t pack_encode(const int64_t *t_ms, const double *v, size_t n, int64_t base_ms, uint8_t *out)
{
	CHECK(n > 0);
	CHECK(n <= PACK_SAMPLES_MAX);
	/* Streams may want more room while they are made than they take in the end. */
	uint8_t work[1 + PACK_BYTES_MAX(PACK_SAMPLES_MAX) + CHUNK_LIGHT_ROOM];
	uint8_t *p = work;
	*p++ = (uint8_t)(n - 1);
	p = chunk_light_times(p, t_ms, n, base_ms);
	p = chunk_light_values(p, v, n);
	size_t len = (size_t)(p - work);
	CHECK(len <= PACK_BYTES_MAX(n));
	memcpy(out, work, len);
	return len;
}

enum err pack_decode(const uint8_t *p, size_t len, int64_t base_ms, int64_t *t_ms, double *v)
{
	if (len < 1)
		return ERR_TRUNCATED;
	if (p[0] >= PACK_SAMPLES_MAX)
		return ERR_MALFORMED;
	size_t n = pack_count(p), used = 0;
	int64_t unwanted[PACK_SAMPLES_MAX];
	enum err e = chunk_times_decode(p + 1, len - 1, n, base_ms, t_ms ? t_ms : unwanted, &used);
	if (e || !v)
		return e;
	return chunk_values_decode(p + 1 + used, len - 1 - used, n, v, NULL);
}
