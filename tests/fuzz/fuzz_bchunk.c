/*
 * Any bytes are safe as a chunk. They say the same a second time, behind rows that are there, from
 * memory that others have used; rows stay when a chunk is none. What is taken is encoded again, by
 * the encoder of remote read and of blocks, and reads the same.
 * Input: a byte for the encoding, then the chunk.
 */
#include "core/model/chunkenc.h"
#include "storage/block/bchunk.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same_hist(const struct hist *a, const struct hist *b)
{
	if (!a || !b)
		return a == b;
	struct hist x = *b;
	x.hint = a->hint;
	return hist_equal(a, &x);
}

/* Values of buckets that run over 64 bits come back as they went, for all of it wraps. */
static void again(struct column *c, int64_t range_ms)
{
	struct column back = { 0 };
	struct buf out, scratch;
	buf_init(&out);
	buf_init(&scratch);
	struct sample_column view = column_view(c, 0, c->count);
	for (uint32_t at = 0; at < c->count;) {
		struct chunkenc told;
		buf_clear(&out);
		if (range_ms)
			chunkenc_head_next(&view, at, range_ms, &out, &told);
		else
			chunkenc_next(&view, at, &out, &told);
		CHECK(!bchunk_decode((uint8_t)told.type, out.data, out.len, &scratch, &back, NULL));
		CHECK(told.count && back.count == at + told.count);
		at += told.count;
	}
	for (uint32_t i = 0; i < c->count; i++) {
		CHECK(c->t_ms[i] == back.t_ms[i] && num_bits(c->v[i]) == num_bits(back.v[i]));
		CHECK(same_hist(column_hist(c, i), column_hist(&back, i)));
	}
	column_release(&back);
	buf_release(&out);
	buf_release(&scratch);
}

/* Bytes are what a chunk depends on, and nothing else. */
static void twice(const uint8_t *p, size_t size, struct buf *scratch, enum err e, struct column *c)
{
	struct column d = { 0 };
	const uint32_t before = 3;
	const char *what;
	column_reserve(&d, before);
	for (uint32_t i = 0; i < before; i++, d.count++)
		d.t_ms[i] = i, d.v[i] = 0.5;
	column_set(&d, 1, NULL, 7);
	enum err e2 = bchunk_decode(p[0], p + 1, size - 1, scratch, &d, &what);
	CHECK(e2 == e && d.count == before + c->count);
	for (uint32_t i = 0; i < before; i++)
		CHECK(d.t_ms[i] == i && d.v[i] == 0.5 && column_start_ms(&d, i) == (i == 1 ? 7 : 0));
	for (uint32_t i = 0, k = before; i < c->count; i++, k++) {
		CHECK(c->t_ms[i] == d.t_ms[k] && num_bits(c->v[i]) == num_bits(d.v[k]));
		CHECK(column_start_ms(c, i) == column_start_ms(&d, k));
		CHECK(hist_equal(column_hist(c, i), column_hist(&d, k)));
	}
	column_release(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct column c = { 0 };
	struct buf scratch;
	const char *what;
	if (!size)
		return 0;
	uint8_t *p = malloc(size); /* an exact copy, so that the first byte behind it is caught */
	if (!p)
		return 0;
	memcpy(p, data, size);
	buf_init(&scratch);
	enum err e = bchunk_decode(p[0], p + 1, size - 1, &scratch, &c, &what);
	CHECK(e ? what != NULL && !c.count : c.count == bchunk_count(p[0], p + 1, size - 1));
	twice(p, size, &scratch, e, &c);
	if (!e) {
		for (uint32_t i = 1; i < c.count; i++)
			CHECK(c.t_ms[i - 1] < c.t_ms[i]);
		again(&c, 0);
		again(&c, SAMPLE_RANGE_MS);
	}
	buf_release(&scratch);
	column_release(&c);
	free(p);
	return 0;
}
