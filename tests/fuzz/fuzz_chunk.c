/*
 * Any bytes are safe for the decoders of streams and packs, and all kernels agree on them; any
 * column comes back.
 * Input: a byte that selects (0 values, 1 times, 2 pack, 3.. encode), two bytes of n, then the
 * bytes.
 */
#include "core/base/check.h"
#include "storage/chunk/chunk.h"
#include "storage/chunk/pack.h"

#include <stdlib.h>

#define N_MAX 600u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const enum chunk_kernel kernels[] = { CHUNK_KERNEL_PLAIN, CHUNK_KERNEL_AVX2,
	CHUNK_KERNEL_AVX512 };

static enum err one(unsigned what, const uint8_t *p, size_t len, size_t n, uint64_t *out)
{
	static int64_t t[PACK_SAMPLES_MAX];
	if (what == 0)
		return chunk_values_decode(p, len, n, (double *)(void *)out, NULL);
	if (what == 1)
		return chunk_times_decode(p, len, n, 12345, (int64_t *)out, NULL);
	struct pack head = { .count = (uint8_t)n, .size = (uint16_t)len };
	if (len > UINT16_MAX)
		return ERR_TOOBIG;
	unsigned found = 0;
	if (!pack_decode_range(&head, p, 1, INT64_MAX, t, (double *)(void *)out, &found))
		CHECK(found <= head.count);
	memset(out, 0, N_MAX * sizeof(*out));
	return pack_decode(&head, p, t, (double *)(void *)out);
}

/* Aggregates of a stream that decodes are there, and have the first and last of its samples. */
static void aggregates(const uint8_t *p, size_t len, size_t n, const double *v)
{
	struct chunk_aggregate a[N_MAX / CHUNK_SUB + 1];
	struct chunk_forms forms = { 0 };
	size_t subs = (n + CHUNK_SUB - 1) / CHUNK_SUB;
	CHECK(chunk_aggregates(p, len, n, 0, subs, a, NULL) == ERR_OK);
	CHECK(chunk_forms_add(p, len, n, &forms) == ERR_OK);
	for (size_t i = 0; i < subs; i++) {
		size_t end = (i + 1) * CHUNK_SUB < n ? (i + 1) * CHUNK_SUB : n;
		CHECK(memcmp(&a[i].first, &v[i * CHUNK_SUB], 8) == 0);
		CHECK(memcmp(&a[i].last, &v[end - 1], 8) == 0);
	}
}

/* A part alone is read from any bytes, and is the same where all decode. */
static void part(const uint8_t *p, size_t len, size_t n, const double *all)
{
	static double v[N_MAX];
	size_t from = n ? (len * 7) % n : 0, count = n ? 1 + (len * 13) % (n - from) : 0;
	enum err e = n && n <= CHUNK_SAMPLES_MAX
	    ? chunk_values_decode_part(p, len, n, from, count, v)
	    : ERR_MALFORMED;
	if (all)
		CHECK(!e && memcmp(v, all + from, count * 8) == 0);
}

static void decode(unsigned what, const uint8_t *p, size_t len, size_t n)
{
	static uint64_t first[N_MAX], other[N_MAX];
	memset(first, 0, sizeof(first));
	chunk_kernel_use(CHUNK_KERNEL_PLAIN);
	enum err want = one(what, p, len, n, first);
	for (size_t k = 1; k < COUNT_OF(kernels); k++) {
		if (!chunk_kernel_use(kernels[k]))
			continue;
		memset(other, 0, sizeof(other));
		CHECK(one(what, p, len, n, other) == want);
		CHECK(want || memcmp(first, other, sizeof(first)) == 0);
	}
	if (what == 0)
		part(p, len, n, want ? NULL : (const double *)(const void *)first);
	if (what == 0 && !want)
		aggregates(p, len, n, (const double *)(const void *)first);
}

static void round_trip(const uint8_t *p, size_t len, enum chunk_effort effort)
{
	static double v[N_MAX], back[N_MAX];
	static int64_t t[N_MAX], t_back[N_MAX];
	size_t n = len / 8 < N_MAX ? len / 8 : N_MAX, used = 0;
	if (n == 0)
		return;
	memcpy(v, p, n * 8);
	int64_t at = -1000;
	for (size_t i = 0; i < n; i++) { /* small and large steps, all ascending */
		uint64_t bits;
		memcpy(&bits, p + i * 8, 8);
		at += 1 + (int64_t)((bits >> 16) >> (bits & 63));
		t[i] = at;
	}
	struct buf b;
	buf_init(&b);
	chunk_values_encode(v, n, effort, &b);
	size_t values_len = b.len;
	chunk_times_encode(t, n, 77, effort, &b);
	CHECK(values_len <= CHUNK_STREAM_MAX(n));
	CHECK(chunk_values_decode(b.data, b.len, n, back, &used) == ERR_OK);
	CHECK(used == values_len);
	CHECK(memcmp(v, back, n * 8) == 0);
	CHECK(chunk_times_decode(b.data + used, b.len - used, n, 77, t_back, NULL) == ERR_OK);
	CHECK(memcmp(t, t_back, n * 8) == 0);
	buf_release(&b);
	n = n < PACK_SAMPLES_MAX ? n : PACK_SAMPLES_MAX;
	while ((uint64_t)t[n - 1] - (uint64_t)t[0] > UINT32_MAX)
		n--;
	uint8_t pack[PACK_BYTES_MAX];
	struct pack head;
	pack_encode(&head, t, v, (unsigned)n, pack);
	CHECK(head.size <= PACK_BYTES_MAX);
	CHECK(pack_decode(&head, pack, t_back, back) == ERR_OK);
	CHECK(memcmp(v, back, n * 8) == 0);
	CHECK(memcmp(t, t_back, n * 8) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3)
		return 0;
	unsigned what = data[0] % (3 + CHUNK_EFFORTS);
	size_t n = 1 + (size_t)(data[1] | data[2] << 8) % N_MAX;
	if (what < 3)
		decode(what, data + 3, size - 3, n);
	else
		round_trip(data + 3, size - 3, (enum chunk_effort)(what - 3));
	return 0;
}
