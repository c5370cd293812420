/*
 * What PromQL does with native histograms. Cases are written as text: s = schema (c = custom), h =
 * hint, z = zero threshold/zero count, n = count, S = sum, b = bounds, and spans "+offset:counts"
 * of the positive side, "-offset:counts" of the negative one. The count is that of all buckets
 * unless told.
 */
#include "core/model/histmath.h"
#include "tests/lib/tap.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

static struct arena ar;

static uint32_t numbers(const char **p, double *to)
{
	uint32_t n = 0;
	if (!**p || **p == ' ')
		return 0;
	for (;;) {
		char *end;
		to[n++] = strtod(*p, &end);
		*p = end;
		if (**p != ',')
			return n;
		++*p;
	}
}

static void side_text(struct hist_side *s, const char **p)
{
	struct hist_span *spans = arena_array(&ar, s->spans_count + 1, sizeof *spans);
	union hist_count *counts = arena_array(&ar, s->counts_count + 64, sizeof *counts);
	double v[64];
	char *end;
	if (s->spans_count)
		memcpy(spans, s->spans, s->spans_count * sizeof *spans);
	if (s->counts_count)
		memcpy(counts, s->counts, s->counts_count * sizeof *counts);
	spans[s->spans_count].offset = (int32_t)strtol(*p, &end, 10);
	*p = end + (*end == ':');
	uint32_t n = numbers(p, v);
	for (uint32_t i = 0; i < n; i++)
		counts[s->counts_count + i].f = v[i];
	spans[s->spans_count].length = n;
	*s = (struct hist_side){ .spans = spans,
		.counts = counts,
		.spans_count = s->spans_count + 1,
		.counts_count = s->counts_count + n };
}

static double side_total(const struct hist_side *s)
{
	double sum = 0;
	for (uint32_t i = 0; i < s->counts_count; i++)
		sum += s->counts[i].f;
	return sum;
}

static struct hist *H(const char *p)
{
	struct hist *h = arena_zalloc(&ar, sizeof *h);
	bool counted = false;
	double v[64];
	h->is_float = true;
	while (*p) {
		char c = *p++;
		if (c == 's' && *p == 'c') {
			h->schema = HIST_SCHEMA_CUSTOM;
			p++;
		} else if (c == 's') {
			numbers(&p, v);
			h->schema = (int8_t)v[0];
		} else if (c == 'h') {
			numbers(&p, v);
			h->hint = (uint8_t)v[0];
		} else if (c == 'z') {
			numbers(&p, v);
			h->zero_threshold = v[0];
			p++;
			numbers(&p, v);
			h->zero_count.f = v[0];
		} else if (c == 'n') {
			numbers(&p, &h->count.f);
			counted = true;
		} else if (c == 'S') {
			numbers(&p, &h->sum);
		} else if (c == 'b') {
			h->bounds_count = numbers(&p, v);
			h->bounds = arena_dup(&ar, v, h->bounds_count * sizeof *v);
		} else if (c == '+') {
			side_text(&h->positive, &p);
		} else if (c == '-') {
			side_text(&h->negative, &p);
		}
	}
	if (!counted)
		h->count.f = h->zero_count.f + side_total(&h->negative) + side_total(&h->positive);
	return h;
}

static bool is_compact(const struct hist_side *s)
{
	for (uint32_t i = 0; i < s->counts_count; i++)
		if (s->counts[i].f == 0)
			return false;
	for (uint32_t i = 0; i < s->spans_count; i++)
		if (!s->spans[i].length || (i && !s->spans[i].offset))
			return false;
	return true;
}

/* The same as this text, compact, hint included. */
static bool is(const struct hist *h, const char *want)
{
	const struct hist *w = H(want);
	bool same = h && hist_same_value(&ar, h, w) && h->hint == w->hint &&
	    is_compact(&h->negative) && is_compact(&h->positive);
	if (!same && h) {
		struct buf b;
		buf_init(&b);
		hist_print(h, &b);
		printf("# %.*s hint %u schema %d zero %g\n", (int)b.len, b.data, h->hint, h->schema,
		    h->zero_threshold);
		buf_clear(&b);
		hist_print(w, &b);
		printf("# %.*s is wanted\n", (int)b.len, b.data);
		buf_release(&b);
	}
	return same;
}

static void bounds(void)
{
	unsigned far = 0, unequal = 0;
	for (int64_t i = 0; i < 256; i++) {
		long double want = exp2l((long double)i / 256);
		double b = hist_bound(8, i);
		far += fabsl(want - (long double)b) > 4.6L * (long double)DBL_EPSILON;
		for (int s = 7; s >= 0; s--)
			if (i % (1 << (8 - s)) == 0)
				unequal += hist_bound(s, i >> (8 - s)) != b;
	}
	tap_ok(!far, "bounds are roots of two, in their last digits but 4");
	tap_ok(!unequal, "a coarser schema has the bounds of the finer one");
	tap_ok(hist_bound(0, 0) == 1 && hist_bound(0, -3) == 0.125 && hist_bound(-2, 1) == 16 &&
	        hist_bound(-4, -1) == 1 / 65536.0 && hist_bound(3, 8) == 2,
	    "powers of two are exact");
	tap_ok(hist_bound(0, 1024) == DBL_MAX && hist_bound(0, 1025) == INFINITY &&
	        hist_bound(-4, 64) == DBL_MAX && hist_bound(-4, 65) == INFINITY &&
	        hist_bound(8, 1024 * 256) == DBL_MAX && hist_bound(8, 1024 * 256 - 1) < DBL_MAX,
	    "the last bucket of ordinary numbers ends at the largest of them, then comes infinity");
	tap_ok(hist_bound(0, -1074) > 0 && hist_bound(0, -1080) == 0 &&
	        hist_bound(-4, INT64_MIN) == 0 && hist_bound(-4, INT64_MAX) == INFINITY &&
	        hist_bound(8, INT64_MIN) == 0 && hist_bound(8, INT64_MAX) == INFINITY,
	    "whatever the index is");
}

static void compact_and_float(void)
{
	tap_ok(is(hist_compact(&ar, H("s1 h1 +0:0,1,0,2,0 +0:0 +2: +1:3 -0:0,0")),
	           "s1 h1 +1:1 +1:2 +5:3"),
	    "compact: no bucket of 0, no empty span, no gap of 0");
	const struct hist *h = H("s0 +0:1,2 +3:4");
	tap_ok(hist_compact(&ar, h) == h, "what is compact is given back");
	const struct hist_span sp[] = { { -1, 2 } };
	const union hist_count c[] = { { 3 }, { UINT64_MAX } };
	const struct hist n = { .schema = 0,
		.hint = HIST_RESET,
		.count.n = 7,
		.zero_count.n = 4,
		.zero_threshold = 0.5,
		.sum = 2,
		.positive = { sp, c, 1, 2 } };
	const struct hist *f = hist_to_float(&ar, &n);
	tap_ok(is(f, "s0 h1 z0.5/4 n7 S2 +-1:3,18446744073709551616") && f->positive.spans == sp,
	    "integers become doubles, the layout is shared");
	tap_ok(hist_to_float(&ar, f) == f, "doubles stay");
	tap_ok(is(hist_with_hint(&ar, h, HIST_GAUGE), "s0 h3 +0:1,2 +3:4") &&
	        hist_with_hint(&ar, h, HIST_UNKNOWN) == h,
	    "another hint");
	tap_ok(is(hist_at_schema(&ar, H("s1 +-2:1,2,3,4 +2:1"), 0), "s0 +-1:1,5,4,1") &&
	        hist_at_schema(&ar, h, 0) == h,
	    "a coarser schema");
}

struct pair {
	const char *l, *r, *sum, *difference;
	unsigned told;
	const char *name;
};

static const struct pair pairs[] = {
	{ "s0 h3 z0.5/1 S3 +0:1,2", "s0 h3 z0.5/2 S1 +0:3,2", "s0 h3 z0.5/3 S4 +0:4,4",
	    "s0 h3 z0.5/-1 S2 +0:-2", 0, "the same layout" },
	{ "s0 +0:1,2 +2:5 -1:2", "s0 +1:3 +1:1 +4:2", "s0 +0:1,5 +1:1,5 +3:2 -1:2",
	    "s0 +0:1,-1 +1:-1,5 +3:-2 -1:2", 0, "buckets that one of them has" },
	{ "s1 +-1:1,2,3,4", "s0 +0:10,20,30", "s0 +0:13,27,30", "s0 +0:-7,-13,-30", 0,
	    "a coarser schema on the right" },
	{ "s0 +0:10,20,30 -0:1", "s2 +0:1,2,3 -1:4,5", "s0 +0:11,25,30 -0:1,9",
	    "s0 +0:9,15,30 -0:1,-9", 0, "and on the left" },
	{ "s0 z0.25/1 +-1:1,2,4", "s0 z1/10 +1:100", "s0 z1/14 +1:104", "s0 z1/-6 +1:-96", 0,
	    "a wider zero bucket takes in whole buckets" },
	{ "s0 z1/10 +1:100", "s0 z0.25/1 +-1:1,2,4 -0:8", "s0 z1/22 +1:104", "s0 z1/-2 +1:96", 0,
	    "of the right side, too" },
	{ "s0 z0.25/1 +-1:1,2,4", "s0 z0.75/10 +1:100", "s0 z1/14 +1:104", "s0 z1/-6 +1:-96", 0,
	    "and one that would cut a bucket ends where that ends" },
	{ "s0 z0.25/1 +-1:1,0,4", "s0 z0.75/10 +1:100", "s0 z0.75/12 +1:104", "s0 z0.75/-8 +1:-96",
	    0, "unless that holds nothing" },
	{ "s0 z0.25/1 -1:5", "s0 z1.5/2 +2:1", "s0 z2/8 +2:1", "s0 z2/4 +2:-1", 0,
	    "negative buckets are cut alike" },
	{ "sc b1,2,3 +0:1,2,3,4", "sc b1,2,3 +1:5", "sc b1,2,3 +0:1,7,3,4", "sc b1,2,3 +0:1,-3,3,4",
	    0, "custom buckets" },
	{ "sc b1,2,3 +0:1,2,3,4", "sc b1,3,5 +0:10,20,30,40", "sc b1,3 +0:11,25,74",
	    "sc b1,3 +0:-9,-15,-66", HISTMATH_RECONCILED, "bounds that both have" },
	{ "sc b1 +0:1,2", "sc b2 +0:3,4", "sc +0:10", "sc +0:-4", HISTMATH_RECONCILED,
	    "or none of them" },
	{ "sc b1 +0:1,2", "s0 +0:3,4", NULL, NULL, HISTMATH_MIXED, "custom with exponential" },
	{ "s0 h1 +0:1", "s0 h2 +0:1", "s0 +0:2", "s0", HISTMATH_COLLIDED, "reset with no reset" },
	{ "s0 h2 +0:1", "s0 h0 +0:1", "s0 +0:2", "s0", 0, "no reset with unknown" },
	{ "s0 h1 +0:1", "s0 h3 +0:1", "s0 h3 +0:2", "s0 h3", 0, "reset with gauge" },
	{ "s0 h1 +0:1", "s0 h1 +0:1", "s0 h1 +0:2", "s0 h1", 0, "reset with reset" },
};

static void sums_and_differences(void)
{
	for (size_t i = 0; i < COUNT_OF(pairs); i++) {
		const struct pair *p = &pairs[i];
		unsigned added = 0, subtracted = 0;
		const struct hist *sum = hist_add(&ar, H(p->l), H(p->r), &added);
		const struct hist *diff = hist_sub(&ar, H(p->l), H(p->r), &subtracted);
		tap_ok(added == p->told && (p->sum ? is(sum, p->sum) : !sum), "sum: %s", p->name);
		tap_ok(subtracted == p->told && (p->difference ? is(diff, p->difference) : !diff),
		    "difference: %s", p->name);
	}
	unsigned told = 0;
	tap_ok(!hist_add(&ar, H("s0 +-2147483648:1"), H("s0 +2147483647:1"), &told) &&
	        told == HISTMATH_NONE,
	    "buckets farther apart than a span tells: no result");
}

static void factors(void)
{
	tap_ok(is(hist_mul(&ar, H("s0 h1 z1/2 S3 +0:1,0,5"), 3), "s0 h1 z1/6 S9 +0:3 +1:15"),
	    "a factor");
	tap_ok(
	    is(hist_mul(&ar, H("s0 h1 S2 +0:1"), -1), "s0 h3 z0/-0 S-2 +0:-1"), "below 0: a gauge");
	tap_ok(is(hist_mul(&ar, H("s0 +0:1 -0:1"), 0), "s0"), "0: no bucket is left");
	tap_ok(is(hist_div(&ar, H("s0 z1/2 S3 +0:1,5"), 2), "s0 z1/1 S1.5 +0:0.5,2.5"), "divided");
	tap_ok(is(hist_div(&ar, H("s0 h1 z1/2 S-3 +0:1,5"), 0), "s0 h1 z1/inf ninf S-inf"),
	    "by 0: buckets are gone");
}

struct resets {
	const char *before, *h;
	bool reset;
	const char *name;
};

static const struct resets resets[] = {
	{ "s0 z1/1 +1:1,2", "s0 z1/1 +1:1,2", false, "the same" },
	{ "s0 z1/1 +1:1,2", "s0 z1/1 +1:1,2,1", false, "more" },
	{ "s0 z1/1 +1:1,2", "s0 z1/1 h1 +1:5,5", true, "the hint says so" },
	{ "s0 z1/1 +1:1,2", "s0 h2", false, "the hint says no" },
	{ "s0 z1/1 +1:1,2", "s0 z1/1 +1:2,1", true, "a bucket holds less" },
	{ "s0 z1/1 +1:1,2", "s0 z1/1 n10 +2:9", true, "a bucket is gone" },
	{ "s0 z1/1 +1:0,2", "s0 z1/1 n10 +2:9", false, "an empty bucket is gone" },
	{ "s0 z1/2 +1:1", "s0 z1/1 n5 +1:4", true, "the zero bucket holds less" },
	{ "s0 n10 +1:1", "s0 n9 +1:1", true, "the count is lower" },
	{ "s0 +1:1", "s1 n5 +1:5", true, "a finer schema" },
	{ "s1 +1:1,1", "s0 +1:2", false, "a coarser one, the same observations" },
	{ "s1 +1:1,1", "s0 n3 +1:1", true, "a coarser one, less" },
	{ "s0 z0.5/1", "s0 z0.25/1 n4", true, "a narrower zero bucket" },
	{ "s0 z0.25/1 +-1:1,1", "s0 z1/3", false, "a wider one that holds what was there" },
	{ "s0 z0.25/1 +-1:1,1", "s0 z1/2 n9", true, "a wider one that does not" },
	{ "s0 z0.25/1 +-1:1,1", "s0 z0.75/9 n9", true, "a wider one that cuts a bucket" },
	{ "s0 +1:1", "sc b1 +0:5", true, "exponential before, custom now" },
	{ "sc b1 +0:1", "s0 +1:5", true, "and the other way round" },
	{ "sc b1,2 +0:1,1,1", "sc b1,2 +0:1,1,2", false, "custom, more" },
	{ "sc b1,2 +0:1,1,1", "sc b1,2 +0:2,0,2", true, "custom, less" },
	{ "sc b1,2,3 +0:1,1,1,1", "sc b2,4 +0:2,2", false, "custom, other bounds, as many" },
	{ "sc b1,2,3 +0:1,1,1,1", "sc b2,4 +0:1,9", true, "custom, other bounds, less" },
	{ "s0 -1:5", "s0 n5 -1:4", true, "a negative bucket holds less" },
};

static void counters(void)
{
	for (size_t i = 0; i < COUNT_OF(resets); i++)
		tap_ok(hist_reset_after(&ar, H(resets[i].before), H(resets[i].h)) == resets[i].reset,
		    "reset: %s", resets[i].name);
	tap_ok(hist_same_value(&ar, H("s0 h1 +0:1,2 +0:3 +1:1"), H("s0 h2 +0:1 +0: +0:2,3 +1:1")),
	    "equal with other spans and another hint");
	tap_ok(!hist_same_value(&ar, H("s0 +0:1"), H("s0 +1:1")) &&
	        !hist_same_value(&ar, H("s0 +0:1"), H("s1 +0:1")) &&
	        !hist_same_value(&ar, H("s0 +0:1"), H("s0 +0:2")) &&
	        !hist_same_value(&ar, H("s0 S1"), H("s0 S2")) &&
	        !hist_same_value(&ar, H("s0 z1/0"), H("s0 z2/0")) &&
	        !hist_same_value(&ar, H("sc b1 +0:1"), H("sc b2 +0:1")),
	    "unequal otherwise");
	tap_ok(hist_same_value(&ar, H("s0 Snan"), H("s0 Snan")), "NaN equals NaN");
}

static bool prints(const char *h, const char *want)
{
	struct buf b;
	buf_init(&b);
	hist_print(H(h), &b);
	bool same = b.len == strlen(want) && !memcmp(b.data, want, b.len);
	if (!same)
		printf("# %.*s\n", (int)b.len, b.data);
	buf_release(&b);
	return same;
}

static void texts(void)
{
	tap_ok(prints("s0 z0.5/2 S18.4 +1:1,0,3 -1:4 -1:5",
	           "{count:15, sum:18.4, [-8,-4):5, [-2,-1):4, [-0.5,0.5]:2, (1,2]:1, (4,8]:3}"),
	    "printed: exponential buckets");
	tap_ok(prints("sc b-1,2e+06 S1e+300 +0:1,2.5,1e+21",
	           "{count:1e+21, sum:1e+300, [-Inf,-1]:1, (-1,2e+06]:2.5, (2e+06,+Inf]:1e+21}"),
	    "printed: custom buckets");
	tap_ok(prints("s0", "{count:0, sum:0}"), "printed: nothing in it");
}

static void walks(void)
{
	struct hist_iter it;
	struct hist_bucket b[16];
	const struct hist *h = H("s0 z1.5/2 +1:1,0 +1:3 -1:4");
	size_t n = 0;
	hist_iter_init(&it, h, false);
	while (n < COUNT_OF(b) && hist_iter_next(&it, &b[n]))
		n++;
	tap_ok(n == 5 && b[0].lower == -2 && b[0].upper == -1.5 && b[0].count == 4 &&
	        b[0].lower_in && !b[0].upper_in && b[0].index == 1,
	    "buckets begin with the lowest, which ends where the zero bucket begins");
	tap_ok(b[1].lower == -1.5 && b[1].upper == 1.5 && b[1].lower_in && b[1].upper_in &&
	        b[1].count == 2 && b[2].lower == 1.5 && b[2].upper == 2,
	    "then comes the zero bucket, and the next begins where it ends");
	tap_ok(b[3].count == 0 && b[4].lower == 8 && b[4].upper == 16 && b[4].index == 4,
	    "empty ones are given, gaps are not");
	n = 0;
	hist_iter_init(&it, h, true);
	while (n < COUNT_OF(b) && hist_iter_next(&it, &b[n]))
		n++;
	tap_ok(n == 5 && b[0].upper == 16 && b[1].count == 0 && b[2].upper == 2 &&
	        b[3].count == 2 && b[4].lower == -2,
	    "and down from the highest");
	hist_iter_init(&it, H("s0 +0: +2: "), false);
	tap_ok(!hist_iter_next(&it, b) && !hist_iter_next(&it, b), "none in empty spans");
}

int main(void)
{
	arena_init(&ar, 1 << 16);
	bounds();
	compact_and_float();
	sums_and_differences();
	factors();
	counters();
	texts();
	walks();
	arena_release(&ar);
	return tap_done();
}
