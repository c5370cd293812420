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

/* A pack grown by tails of any length, as the head grows it: data in memory exactly as large. */
struct grown {
	struct pack head;
	uint8_t *data;
};

static void grow(struct grown *g, const int64_t *t, const double *v, unsigned n)
{
	struct pack_more more;
	uint32_t step = n > 1 ? (uint32_t)(t[1] - t[0]) : 0;
	for (unsigned i = 1; i < n; i++)
		step = (uint64_t)t[i] - (uint64_t)t[i - 1] == step ? step : 0;
	pack_append(&g->head, g->data,
	    &(struct pack_rows){ .t_ms = t, .v = v, .n = n, .step_ms = step }, &more);
	g->data = realloc(g->data, g->head.size);
	memcpy(g->data + more.keep, more.bytes, more.len);
}

/* Ranges of it, which begin and end at, between, before and behind samples. */
static bool ranges_back(const struct grown *g, const int64_t *t, const double *v, size_t n)
{
	bool good = true;
	for (unsigned round = 0; round < 4; round++) {
		int64_t t2[PACK_SAMPLES_MAX], lo = t[columns_below(&rnd, n)];
		int64_t hi = t[columns_below(&rnd, n)];
		double v2[PACK_SAMPLES_MAX];
		size_t from = 0, end = n;
		unsigned found = 0;
		lo += lo < INT64_MAX ? (int64_t)columns_below(&rnd, 2) : 0;
		hi -= hi > INT64_MIN ? (int64_t)columns_below(&rnd, 2) : 0;
		while (from < n && t[from] < lo)
			from++;
		while (end > from && t[end - 1] > hi)
			end--;
		good &= !pack_decode_range(&g->head, g->data, lo, hi, t2, v2, &found) &&
		    found == end - from && !memcmp(t + from, t2, found * 8) &&
		    !memcmp(v + from, v2, found * 8);
	}
	return good;
}

static bool is(const struct grown *g, const int64_t *t, const double *v, size_t n)
{
	int64_t t2[PACK_SAMPLES_MAX];
	double v2[PACK_SAMPLES_MAX];
	return g->head.count == n && g->head.t_min_ms == t[0] && pack_t_max(&g->head) == t[n - 1] &&
	    !pack_decode(&g->head, g->data, t2, v2) && !memcmp(t, t2, n * 8) &&
	    !memcmp(v, v2, n * 8) && ranges_back(g, t, v, n);
}

/* Rows of a column that go into one pack. */
static size_t fitting(const int64_t *t, size_t n)
{
	while ((uint64_t)t[n - 1] - (uint64_t)t[0] > UINT32_MAX)
		n--;
	return n;
}

static void round_trips(void)
{
	double v[PACK_SAMPLES_MAX], v2[PACK_SAMPLES_MAX];
	int64_t t[PACK_SAMPLES_MAX], t2[PACK_SAMPLES_MAX];
	bool back = true, grew = true, alone = true;
	for (unsigned round = 0; round < 400; round++)
		for (unsigned shape = 0; shape < COLUMNS_SHAPES; shape++) {
			size_t n = 1 + columns_below(&rnd, round % 2 ? 32 : PACK_SAMPLES_MAX);
			uint8_t out[PACK_BYTES_MAX];
			struct grown g = { 0 };
			columns_values(&rnd, shape, v, n);
			columns_times(&rnd, round % COLUMNS_TIMES, t, n);
			n = fitting(t, n);
			pack_encode(&g.head, t, v, (unsigned)n, out);
			g.data = malloc(g.head.size);
			memcpy(g.data, out, g.head.size);
			back &= is(&g, t, v, n);
			memset(v2, 0, sizeof(v2));
			alone &= !pack_decode(&g.head, g.data, NULL, v2) && !memcmp(v, v2, n * 8) &&
			    !pack_decode(&g.head, g.data, t2, NULL) && !memcmp(t, t2, n * 8);
			g.head = (struct pack){ 0 };
			for (size_t i = 0, some; i < n; i += some) {
				some = 1 + columns_below(&rnd, round % 3 ? PACK_ROWS_MAX : 3);
				some = some < n - i ? some : n - i;
				grow(&g, t + i, v + i, (unsigned)some);
				grew &= is(&g, t, v, i + some);
			}
			free(g.data);
		}
	tap_ok(back, "packs give back times and values bit for bit");
	tap_ok(grew, "so do packs that grow by a few rows at a time, at any moment");
	tap_ok(alone, "times or values alone may be asked for");
}

static void hostile_bytes(void)
{
	double v[PACK_SAMPLES_MAX];
	int64_t t[PACK_SAMPLES_MAX];
	unsigned refused = 0, outside = 0;
	for (unsigned round = 0; round < 20000; round++) {
		size_t n = 1 + columns_below(&rnd, PACK_SAMPLES_MAX);
		uint8_t out[PACK_BYTES_MAX];
		struct pack head;
		columns_values(&rnd, round % COLUMNS_SHAPES, v, n);
		columns_times(&rnd, round % COLUMNS_TIMES, t, n);
		n = fitting(t, n);
		pack_encode(&head, t, v, (unsigned)n, out);
		if (round % 3 == 0)
			head.size = (uint16_t)columns_below(&rnd, head.size);
		else
			out[columns_below(&rnd, head.size)] ^=
			    (uint8_t)(1u << columns_below(&rnd, 8));
		if (round % 5 == 0)
			head.count = (uint8_t)columns_below(&rnd, 256);
		uint8_t *exact = malloc(head.size ? head.size : 1);
		memcpy(exact, out, head.size);
		refused += pack_decode(&head, exact, t, v) != ERR_OK;
		unsigned found = 0;
		(void)!pack_decode_range(
		    &head, exact, head.t_min_ms + 1, pack_t_max(&head), t, v, &found);
		outside += found > head.count;
		free(exact);
	}
	tap_ok(refused > 1000, "damaged packs are decoded or refused, nothing else (%u refused)",
	    refused);
	tap_ok(outside == 0, "no range of one has more rows than it");
}

/* Bytes of n rows that come in tails of eight. */
static unsigned size_of(const int64_t *t, const double *v, unsigned n)
{
	struct grown g = { 0 };
	for (unsigned i = 0; i < n; i += 8)
		grow(&g, t + i, v + i, 8);
	bool good = is(&g, t, v, n);
	free(g.data);
	return good ? g.head.size : UINT16_MAX;
}

static void sizes(void)
{
	double v[PACK_SAMPLES_MAX];
	int64_t t[PACK_SAMPLES_MAX];
	for (unsigned i = 0; i < PACK_SAMPLES_MAX; i++) {
		t[i] = 1795169302921 + 15000 * (int64_t)i;
		v[i] = 17;
	}
	unsigned len = size_of(t, v, 128);
	tap_ok(len <= 8, "128 samples of a constant at a constant step take at most 8 bytes (%u)",
	    len);
	for (unsigned i = 0; i < PACK_SAMPLES_MAX; i++)
		v[i] = 12345.5 + 15.0 * i;
	len = size_of(t, v, 40);
	tap_ok(len <= 25, "40 samples of a line take at most 25 bytes (%u)", len);
	for (unsigned i = 0; i < PACK_SAMPLES_MAX; i++)
		v[i] = 1e6 + (double)((i * 13) % 15) + 30.0 * i;
	len = size_of(t, v, 40);
	tap_ok(len <= 50, "40 samples of a counter take some ten bits each (%u bytes)", len);
}

int main(void)
{
	round_trips();
	hostile_bytes();
	sizes();
	return tap_done();
}
