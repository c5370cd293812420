/*
 * Chunks of Prometheus: what its own encoders made is read as its own iterators read it, what ours
 * makes is read back, and damaged ones do no harm.
 */
#include "core/model/chunkenc.h"
#include "storage/block/bchunk.h"
#include "tests/lib/goldhist.h"
#include "tests/lib/tap.h"
#include "tests/lib/testhist.h"
#include "tests/lib/testlib.h"

#include <stdlib.h>

/* ---- the golden file ---- */

static void golden(void)
{
	char path[1000], *line = NULL, name[80] = "";
	size_t cap = 0;
	snprintf(path, sizeof(path), "%s/tests/golden/block/chunks.txt", testlib_src());
	FILE *f = fopen(path, "r");
	if (!tap_ok(f != NULL, "%s is there", path))
		return;
	struct column c = { 0 };
	struct buf scratch;
	struct arena a;
	uint32_t at = 0, bad = 0, chunks = 0;
	static uint8_t data[1 << 16];
	buf_init(&scratch);
	arena_init(&a, 4096);
	for (;;) {
		bool end = getline(&line, &cap, f) < 0;
		struct goldhist_words w = { line };
		char *kind = end ? line : goldhist_word(&w);
		if (!end && strcmp(kind, "chunk") != 0) {
			bad += at >= c.count || !goldhist_same_sample(&a, &c, at, *kind, &w);
			at++;
			continue;
		}
		if (chunks)
			tap_ok(!bad && at == c.count && at, "%s: %u samples, %u of them wrong",
			    name, at, bad);
		if (end)
			break;
		snprintf(name, sizeof(name), "%s", goldhist_word(&w));
		uint8_t type = (uint8_t)goldhist_number(&w);
		uint32_t n = (uint32_t)goldhist_number(&w);
		size_t len = goldhist_unhex(goldhist_word(&w), data);
		const char *what;
		column_clear(&c);
		arena_reset(&a, 4096);
		enum err e = bchunk_decode(type, data, len, &scratch, &c, &what);
		bad = e || c.count != n || bchunk_count(type, data, len) != n;
		if (e)
			tap_note("%s: %s", name, what);
		at = 0;
		chunks++;
	}
	tap_ok(chunks == 52, "%u chunks", chunks);
	fclose(f);
	free(line);
	column_release(&c);
	buf_release(&scratch);
	arena_release(&a);
}

/* ---- round trips ---- */

static struct column made;

static void floats(uint64_t *s, uint32_t n, unsigned shape)
{
	int64_t t = 1700000000000 + (int64_t)(testhist_mix(s) % 100000);
	column_clear(&made);
	column_reserve(&made, n);
	double v = 0;
	for (uint32_t i = 0; i < n; i++) {
		v = shape == 0   ? v + (double)(testhist_mix(s) % 9)
		    : shape == 1 ? (double)(testhist_mix(s) % 100) / 7
		    : shape == 2 ? testhist_double(s)
		                 : 1;
		made.t_ms[i] = t;
		made.v[i] = sample_is_hist(v) ? 0 : v;
		t += shape == 2 ? 1 + (int64_t)(testhist_mix(s) >> (20 + testhist_mix(s) % 44))
		                : 15000;
		t += shape == 1 ? (int64_t)(testhist_mix(s) % 9) : 0;
	}
	made.count = n;
}

static void mixed(uint64_t *s, uint32_t n, bool any)
{
	floats(s, n, 0);
	struct arena *a = column_memory(&made);
	uint64_t series = testhist_mix(s);
	for (uint32_t i = 0; i < n; i++) {
		if (any && testhist_mix(s) % 5 == 0)
			continue;
		column_set(&made, i,
		    any ? testhist_any(a, testhist_mix(s)) : testhist_next(a, series, i), 0);
		made.v[i] = num_from_bits(SAMPLE_HIST_BITS);
	}
}

static bool same_hist(const struct hist *a, const struct hist *b)
{
	if (!a || !b)
		return a == b;
	if (hist_is_stale(a))
		return hist_is_stale(b) && a->is_float == b->is_float;
	struct hist x = *b;
	x.hint = a->hint;
	return hist_equal(a, &x);
}

static uint32_t there_and_back(int64_t range_ms, uint32_t *chunks, size_t *bytes)
{
	struct column back = { 0 };
	struct buf out, scratch;
	uint32_t bad = 0;
	buf_init(&out);
	buf_init(&scratch);
	struct sample_column view = column_view(&made, 0, made.count);
	for (uint32_t at = 0; at < made.count;) {
		struct chunkenc told;
		buf_clear(&out);
		if (range_ms)
			chunkenc_head_next(&view, at, range_ms, &out, &told);
		else
			chunkenc_next(&view, at, &out, &told);
		bad +=
		    bchunk_decode((uint8_t)told.type, out.data, out.len, &scratch, &back, NULL) != 0;
		bad += told.t_min_ms != made.t_ms[at] ||
		    told.t_max_ms != made.t_ms[at + told.count - 1];
		bad += range_ms && told.t_min_ms / range_ms != told.t_max_ms / range_ms;
		bad += range_ms && told.type == CHUNKENC_XOR && out.len > CHUNKENC_XOR_BYTES;
		at += told.count;
		++*chunks;
		*bytes += out.len;
	}
	bad += back.count != made.count;
	for (uint32_t i = 0; i < back.count && i < made.count; i++)
		bad += back.t_ms[i] != made.t_ms[i] || num_bits(back.v[i]) != num_bits(made.v[i]) ||
		    !same_hist(column_hist(&made, i), column_hist(&back, i));
	column_release(&back);
	buf_release(&out);
	buf_release(&scratch);
	return bad;
}

static void round_trips(void)
{
	uint64_t seed = 11;
	uint32_t bad = 0, chunks = 0;
	size_t bytes = 0;
	for (unsigned i = 0; i < 200; i++) {
		floats(&seed, 1 + (uint32_t)(testhist_mix(&seed) % 900), i % 4);
		bad += there_and_back(0, &chunks, &bytes);
		bad += there_and_back(SAMPLE_RANGE_MS, &chunks, &bytes);
	}
	tap_is_u64(bad, 0, "floats of every shape, in %u chunks, %zu bytes", chunks, bytes);
	for (unsigned i = 0; i < 60; i++) {
		mixed(&seed, 1 + (uint32_t)(testhist_mix(&seed) % 120), i % 2);
		bad += there_and_back(0, &chunks, &bytes);
		bad += there_and_back(SAMPLE_RANGE_MS, &chunks, &bytes);
	}
	tap_is_u64(bad, 0, "histograms of every shape between floats");
}

static void head_cuts(void)
{
	uint64_t seed = 3;
	uint32_t chunks = 0;
	size_t bytes = 0;
	floats(&seed, 480, 3);
	for (uint32_t i = 0; i < made.count; i++)
		made.t_ms[i] = 1700006400000 / SAMPLE_RANGE_MS * SAMPLE_RANGE_MS + i * 15000;
	there_and_back(SAMPLE_RANGE_MS, &chunks, &bytes);
	tap_is_u64(chunks, 4, "two hours of a sample each 15 s are four chunks of 120");
	chunks = 0;
	for (uint32_t i = 0; i < made.count; i++)
		made.t_ms[i] = made.t_ms[0] + i * 60000;
	there_and_back(SAMPLE_RANGE_MS, &chunks, &bytes);
	tap_is_u64(chunks, 4, "eight hours of a sample a minute are one for each two");
}

/* ---- damage ---- */

static void damaged(void)
{
	uint64_t seed = 5;
	struct buf out, scratch;
	struct column back = { 0 };
	unsigned refused = 0, short_ones = 0, cuts = 0;
	buf_init(&out);
	buf_init(&scratch);
	for (unsigned i = 0; i < 400; i++) {
		struct chunkenc told;
		if (i % 2)
			floats(&seed, 50, i % 4);
		else
			mixed(&seed, 20, false);
		struct sample_column view = column_view(&made, 0, made.count);
		buf_clear(&out);
		chunkenc_next(&view, 0, &out, &told);
		for (size_t len = 0; len < out.len; len += 1 + out.len / 20, cuts++)
			short_ones += bchunk_decode((uint8_t)told.type, out.data, len, &scratch,
			                  &back, NULL) != 0;
		column_clear(&back);
		for (unsigned k = 0; k < 50; k++) {
			uint8_t *p = out.data + testhist_mix(&seed) % out.len;
			*p ^= (uint8_t)(1u << testhist_mix(&seed) % 8);
			uint32_t before = back.count;
			uint8_t type = (uint8_t)(1 + testhist_mix(&seed) % 6);
			if (bchunk_decode(type, out.data, out.len, &scratch, &back, NULL)) {
				refused++;
				if (back.count != before)
					tap_ok(false, "a chunk that is refused leaves nothing");
			} else if (back.count > 100000) {
				column_clear(&back);
			}
		}
		column_clear(&back);
	}
	tap_ok(short_ones == cuts, "%u of %u cut chunks are refused", short_ones, cuts);
	tap_ok(refused > 1000, "flipped bits do no harm, %u refused", refused);
	const char *what;
	TAP_OK(bchunk_decode(0, out.data, out.len, &scratch, &back, &what) == ERR_UNSUPPORTED);
	TAP_OK(bchunk_decode(255, out.data, out.len, &scratch, &back, &what) == ERR_UNSUPPORTED);
	TAP_OK(bchunk_decode(1, (const uint8_t *)"\0\0\0\0", 4, &scratch, &back, &what) ==
	    ERR_MALFORMED);
	buf_release(&out);
	buf_release(&scratch);
	column_release(&back);
}

int main(void)
{
	golden();
	round_trips();
	head_cuts();
	damaged();
	column_release(&made);
	return tap_done();
}
