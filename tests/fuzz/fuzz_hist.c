/*
 * Any bytes are safe for the decoders of native histograms: the canonical bytes, and the stream
 * that stands beside a column. What is taken is written again and read the same; of the canonical
 * form the second writing gives the very bytes of the first.
 * Input: a byte that selects (0 canonical, else so many rows and their kinds), then the bytes.
 */
#include "storage/chunk/histchunk.h"

#include <stdlib.h>

#define ROWS_MAX 48u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void canonical(const uint8_t *p, size_t len)
{
	struct arena a;
	struct buf one, two;
	struct hist h, again;
	size_t used = 0;
	arena_init(&a, 4096);
	buf_init(&one);
	buf_init(&two);
	if (!hist_decode(&a, p, len, &h, &used)) {
		CHECK(used <= len && hist_cost(&h) <= HIST_BUCKETS_MAX);
		enum err whatever = hist_check(&h, NULL); /* no wild read */
		(void)whatever;
		hist_encode(&h, &one);
		CHECK(!hist_decode(&a, one.data, one.len, &again, &used) && used == one.len);
		CHECK(hist_equal(&h, &again) && hist_same_layout(&h, &again));
		hist_encode(&again, &two);
		CHECK(one.len == two.len && !memcmp(one.data, two.data, one.len));
		if (h.schema > HIST_SCHEMA_MAX && h.schema <= HIST_SCHEMA_FINER) {
			struct hist *r = hist_reduce(&a, &h, HIST_SCHEMA_MAX);
			CHECK(!r || hist_cost(r) <= hist_cost(&h));
		}
	}
	buf_release(&one);
	buf_release(&two);
	arena_release(&a);
}

/* Rows whose kinds the bits of `kinds` tell. */
static void rows_make(struct column *c, uint32_t n, uint64_t kinds)
{
	column_clear(c);
	column_reserve(c, n);
	for (uint32_t i = 0; i < n; i++) {
		c->t_ms[i] = (int64_t)i * 15000;
		c->v[i] = kinds >> i & 1 ? i : num_from_bits(SAMPLE_HIST_BITS);
	}
	c->count = n;
}

static void stream(const uint8_t *p, size_t len, uint32_t n, uint64_t kinds)
{
	struct column c = { 0 }, again = { 0 };
	struct buf b;
	size_t used = 0;
	buf_init(&b);
	rows_make(&c, n, kinds);
	if (!histchunk_decode(p, len, &c, 0, n, &used)) {
		CHECK(used <= len);
		struct sample_column s = column_view(&c, 0, n);
		histchunk_encode(&s, &b);
		rows_make(&again, n, kinds);
		CHECK(!histchunk_decode(b.data, b.len, &again, 0, n, &used) && used == b.len);
		for (uint32_t i = 0; i < n; i++) {
			const struct hist *h = column_hist(&c, i);
			CHECK(column_start_ms(&c, i) == column_start_ms(&again, i));
			CHECK(hist_equal(h, column_hist(&again, i)) || (!h && s.h));
		}
	}
	buf_release(&b);
	column_release(&c);
	column_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 9)
		return 0;
	/* an exact copy, so that the first byte behind it is caught */
	uint8_t *p = malloc(size);
	if (!p)
		return 0;
	memcpy(p, data, size);
	uint64_t kinds = wire_load64(p + 1);
	if (p[0] == 0)
		canonical(p + 1, size - 1);
	else
		stream(p + 9, size - 9, 1 + p[0] % ROWS_MAX, kinds);
	free(p);
	return 0;
}
