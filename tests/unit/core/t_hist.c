#include "tests/lib/tap.h"
#include "tests/lib/testhist.h"

static void bytes_and_back(void)
{
	unsigned bad = 0, changed = 0, invalid = 0;
	struct buf b, again;
	struct arena a;
	buf_init(&b);
	buf_init(&again);
	for (uint64_t i = 0; i < 20000; i++) {
		struct hist back;
		struct errbuf eb;
		size_t used = 0;
		arena_init(&a, 4096);
		errbuf_init(&eb);
		struct hist *h = testhist_any(&a, i);
		invalid += hist_check(h, &eb) != 0;
		buf_clear(&b);
		buf_clear(&again);
		hist_encode(h, &b);
		bad += hist_decode(&a, b.data, b.len, &back, &used) != 0 || used != b.len ||
		    !hist_equal(h, &back) || !hist_equal(h, hist_copy(&a, h));
		hist_encode(&back, &again);
		bad += again.len != b.len || memcmp(again.data, b.data, b.len) != 0;
		for (size_t cut = 0; cut < b.len; cut++)
			bad += hist_decode(&a, b.data, cut, &back, NULL) == 0;
		struct hist *other = testhist_any(&a, i + 1);
		changed += hist_equal(h, other);
		arena_release(&a);
	}
	tap_ok(!invalid, "every histogram of the test may be stored (%u may not)", invalid);
	tap_ok(
	    !bad, "bytes give the same histogram, bit by bit, and the same bytes (%u do not)", bad);
	tap_ok(changed < 100, "different numbers give different histograms");
	buf_release(&b);
	buf_release(&again);
}

/* Any bit of it changed is another one. */
static void any_bit_counts(void)
{
	struct arena a;
	arena_init(&a, 4096);
	const struct hist_span sp[] = { { -3, 2 }, { 1, 1 } };
	const union hist_count c[] = { { 1 }, { 2 }, { 3 } };
	const double bounds[] = { 1, 2 };
	const struct hist h = { .schema = 2,
		.sum = 3,
		.count.n = 7,
		.zero_count.n = 1,
		.zero_threshold = 0.5,
		.positive = { sp, c, 2, 3 } };
	struct hist x = h;
	unsigned same = 0;
	same += !hist_equal(&x, &h);
#define CHANGED(field, value)                                                                      \
 do {                                                                                              \
  x = h;                                                                                           \
  x.field = value;                                                                                 \
  same += hist_equal(&x, &h);                                                                      \
 } while (0)
	CHANGED(is_float, true);
	CHANGED(hint, HIST_GAUGE);
	CHANGED(schema, 3);
	CHANGED(sum, 3.5);
	CHANGED(zero_threshold, 0.25);
	CHANGED(count.n, 8);
	CHANGED(zero_count.n, 2);
	CHANGED(bounds_count, 2);
	x = h;
	x.bounds = bounds;
	const struct hist_span other_sp[] = { { -3, 1 }, { 1, 2 } };
	const union hist_count other_c[] = { { 1 }, { 2 }, { 4 } };
	CHANGED(positive.spans, other_sp);
	CHANGED(positive.counts, other_c);
	tap_ok(!same, "each part of a histogram makes it another one (%u do not)", same);
	tap_ok(hist_equal(NULL, NULL) && !hist_equal(&h, NULL) && !hist_equal(NULL, &h),
	    "no histogram equals none alone");
	arena_release(&a);
}

struct bad {
	const char *what;
	struct hist h;
};

static void what_is_refused(void)
{
	static const struct hist_span back[] = { { 0, 1 }, { -1, 1 } }, one[] = { { 0, 2 } },
	                              minus[] = { { -1, 2 } }, far[] = { { 2, 2 } };
	static const union hist_count two[] = { { 1 }, { 1 } }, huge[] = { { UINT64_MAX }, { 2 } };
	static const double up[] = { 1, 2 }, down[] = { 2, 1 }, inf[] = { 1, 1.0 / 0.0 },
	                    nan[] = { 0.0 / 0.0, 1 };
	static const union hist_count below[] = { { .f = 1 }, { .f = -1 } };
	const struct bad bad[] = {
		{ "schema -5", { .schema = -5 } },
		{ "schema 9", { .schema = 9 } },
		{ "bounds with an exponential schema",
		    { .schema = 1, .bounds = up, .bounds_count = 2 } },
		{ "too few buckets", { .positive = { one, two, 1, 1 }, .count.n = 1 } },
		{ "a later negative offset", { .positive = { back, two, 2, 2 }, .count.n = 2 } },
		{ "count and buckets differ", { .positive = { one, two, 1, 2 }, .count.n = 3 } },
		{ "buckets above int64", { .positive = { one, huge, 1, 2 }, .count.n = 1 } },
		{ "buckets over the count with sum NaN",
		    { .positive = { one, two, 1, 2 }, .count.n = 1, .sum = 0.0 / 0.0 } },
		{ "a float bucket below 0", { .is_float = true, .negative = { one, below, 1, 2 } } },
		{ "a float count below 0", { .is_float = true, .count.f = -1 } },
		{ "a float zero count below 0", { .is_float = true, .zero_count.f = -1 } },
		{ "custom bounds that fall", { .schema = -53, .bounds = down, .bounds_count = 2 } },
		{ "custom bounds to +Inf", { .schema = -53, .bounds = inf, .bounds_count = 2 } },
		{ "a custom bound NaN", { .schema = -53, .bounds = nan, .bounds_count = 2 } },
		{ "custom with a zero count", { .schema = -53, .zero_count.n = 1, .count.n = 1 } },
		{ "custom with a zero threshold", { .schema = -53, .zero_threshold = 1 } },
		{ "custom with negative buckets",
		    { .schema = -53, .negative = { one, two, 1, 2 }, .count.n = 2 } },
		{ "custom with a negative offset",
		    { .schema = -53,
		        .bounds = up,
		        .bounds_count = 2,
		        .positive = { minus, two, 1, 2 },
		        .count.n = 2 } },
		{ "custom spans beyond the bounds",
		    { .schema = -53,
		        .bounds = up,
		        .bounds_count = 2,
		        .positive = { far, two, 1, 2 },
		        .count.n = 2 } },
	};
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct errbuf eb;
		errbuf_init(&eb);
		enum err e = hist_check(&bad[i].h, &eb);
		tap_ok(e == ERR_BADDATA && strstr(eb.text, "histogram"), "refused: %s (%s)",
		    bad[i].what, eb.text);
	}
	struct hist nan_sum = { .positive = { one, two, 1, 2 }, .count.n = 3, .sum = 0.0 / 0.0 };
	tap_ok(hist_check(&nan_sum, NULL) == 0, "observations of NaN are in no bucket");
}

static void coarser(void)
{
	struct arena a;
	arena_init(&a, 4096);
	/* schema 9, buckets -3..4: of schema 8 they are -1, 0, 0, 1, 1, 2, 2 and -1 with -2 */
	const struct hist_span sp[] = { { -3, 4 }, { 0, 4 } };
	const union hist_count c[] = { { 1 }, { 2 }, { 3 }, { 4 }, { 5 }, { 6 }, { 7 }, { 8 } };
	const struct hist h = { .schema = 9, .count.n = 36, .positive = { sp, c, 2, 8 } };
	struct hist *r = hist_reduce(&a, &h, 8);
	TAP_OK(r && r->schema == 8 && hist_check(r, NULL) == 0);
	TAP_OK(r->positive.spans_count == 1 && r->positive.spans[0].offset == -1 &&
	    r->positive.spans[0].length == 4 && r->positive.counts_count == 4);
	TAP_OK(r->positive.counts[0].n == 3 && r->positive.counts[1].n == 7 &&
	    r->positive.counts[2].n == 11 && r->positive.counts[3].n == 15);
	const struct hist_span wide[] = { { 10, 1 }, { 100, 1 } };
	const struct hist w = { .schema = 10, .count.n = 3, .positive = { wide, c, 2, 2 } };
	r = hist_reduce(&a, &w, 8);
	/* 10 -> 3, 111 -> 28 */
	TAP_OK(r && r->positive.spans_count == 2 && r->positive.spans[0].offset == 3 &&
	    r->positive.spans[1].offset == 24);
	const struct hist_span far[] = { { INT32_MAX, 0 }, { INT32_MAX, 0 }, { INT32_MAX, 1 } };
	const struct hist f = { .schema = 9, .count.n = 1, .positive = { far, c, 3, 1 } };
	r = hist_reduce(&a, &f, 8);
	/* 3 * INT32_MAX -> 3221225471: an empty span stands before it */
	TAP_OK(r && r->positive.spans_count == 2 && r->positive.spans[0].offset == INT32_MAX &&
	    r->positive.spans[0].length == 0 && r->positive.spans[1].offset == 1073741824 &&
	    r->positive.spans[1].length == 1);
	arena_release(&a);
}

static void damaged_bytes(void)
{
	uint64_t seed = 5;
	struct buf b;
	unsigned good = 0;
	buf_init(&b);
	for (unsigned i = 0; i < 30000; i++) {
		struct arena a;
		struct hist h;
		arena_init(&a, 4096);
		buf_clear(&b);
		hist_encode(testhist_any(&a, i / 8), &b);
		for (unsigned k = 0; k < 1 + i % 4; k++)
			b.data[testhist_mix(&seed) % b.len] ^=
			    (uint8_t)(1u << testhist_mix(&seed) % 8);
		if (hist_decode(&a, b.data, b.len, &h, NULL) == 0) {
			good++;
			buf_clear(&b);
			hist_encode(&h, &b);
		}
		arena_release(&a);
	}
	tap_ok(good > 1000, "changed bytes give a histogram or an error (%u histograms)", good);
	buf_release(&b);
}

int main(void)
{
	bytes_and_back();
	any_bit_counts();
	what_is_refused();
	coarser();
	damaged_bytes();
	return tap_done();
}
