/*
 * Packs: everything comes back, never larger than the bound, usual tails are small, any bytes are
 * safe.
 */
#include "core/base/num.h"
#include "core/model/sample.h"
#include "storage/chunk/pack.h"
#include "tests/lib/tap.h"
#include "tests/unit/storage/columns.h"

#include <stdlib.h>

static uint64_t rnd = 7;

static void round_trips(void)
{
	double v[PACK_SAMPLES_MAX], v2[PACK_SAMPLES_MAX];
	int64_t t[PACK_SAMPLES_MAX], t2[PACK_SAMPLES_MAX];
	bool back = true, bound = true, alone = true;
	for (unsigned round = 0; round < 400; round++)
		for (unsigned shape = 0; shape < COLUMNS_SHAPES; shape++) {
			size_t n = 1 + columns_below(&rnd, round % 2 ? 32 : PACK_SAMPLES_MAX);
			int64_t base = columns_below(&rnd, 2) ? 1795168800000 : 0;
			columns_values(&rnd, shape, v, n);
			columns_times(&rnd, round % COLUMNS_TIMES, t, n);
			uint8_t *out = malloc(PACK_BYTES_MAX(n));
			size_t len = pack_encode(t, v, n, base, out);
			bound &= len <= PACK_BYTES_MAX(n);
			out = realloc(out, len);
			back &= pack_count(out) == n && !pack_decode(out, len, base, t2, v2) &&
			    !memcmp(t, t2, n * 8) && !memcmp(v, v2, n * 8);
			memset(v2, 0, sizeof(v2));
			alone &= !pack_decode(out, len, base, NULL, v2) && !memcmp(v, v2, n * 8) &&
			    !pack_decode(out, len, base, t2, NULL);
			free(out);
		}
	tap_ok(back, "packs give back times and values bit for bit");
	tap_ok(alone, "times or values alone may be asked for");
	tap_ok(bound, "no pack exceeds its bound");
}

static void hostile_bytes(void)
{
	double v[PACK_SAMPLES_MAX];
	int64_t t[PACK_SAMPLES_MAX];
	unsigned refused = 0;
	for (unsigned round = 0; round < 20000; round++) {
		size_t n = 1 + columns_below(&rnd, PACK_SAMPLES_MAX);
		columns_values(&rnd, round % COLUMNS_SHAPES, v, n);
		columns_times(&rnd, round % COLUMNS_TIMES, t, n);
		uint8_t *out = malloc(PACK_BYTES_MAX(n));
		size_t len = pack_encode(t, v, n, 0, out);
		if (round % 3 == 0)
			len = columns_below(&rnd, len);
		else
			out[columns_below(&rnd, len)] ^= (uint8_t)(1u << columns_below(&rnd, 8));
		uint8_t *exact = malloc(len ? len : 1);
		memcpy(exact, out, len);
		refused += pack_decode(exact, len, 0, t, v) != ERR_OK;
		free(exact);
		free(out);
	}
	tap_ok(refused > 1000, "damaged packs are decoded or refused, nothing else (%u refused)",
	    refused);
}

static void sizes(void)
{
	double v[32];
	int64_t t[32];
	uint8_t out[PACK_BYTES_MAX(32)];
	for (size_t i = 0; i < 32; i++) {
		t[i] = 1795169302921 + 15000 * (int64_t)i;
		v[i] = 17;
	}
	size_t len = pack_encode(t, v, 32, 1795168800000, out);
	tap_ok(len <= 14, "32 samples of a constant at a constant step take at most 14 bytes (%zu)",
	    len);
	for (size_t i = 0; i < 32; i++)
		v[i] = 1e6 + (double)((i * 13) % 15) + 30.0 * (double)i;
	len = pack_encode(t, v, 32, 1795168800000, out);
	tap_ok(len <= 14 + 8 + 20, "32 samples of a counter take about 5 bits each (%zu)", len);
}

int main(void)
{
	round_trips();
	hostile_bytes();
	sizes();
	return tap_done();
}
