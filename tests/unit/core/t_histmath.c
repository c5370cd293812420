/*
 * What PromQL does with native histograms. Cases are written as text: s = schema (c = custom), h =
 * hint, z = zero threshold/zero count, n = count, S = sum, b = bounds, and spans "+offset:counts"
 * of the positive side, "-offset:counts" of the negative one. The count is that of all buckets
 * unless told.
 */
#include "core/model/histmath.h"
#include "tests/lib/tap.h"
#include "tests/lib/testhist.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
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
		if ((!s->spans[i].length && s->spans[i].offset != INT32_MAX) ||
		    (i && !s->spans[i].offset))
			return false; /* a gap larger than one span tells has empty ones in it */
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
}

/* Farther apart than one span tells, once what lies between them is gone. */
#define FAR "s1 z0.25/2 S4 +0:1 +2147483647: +2147483647:0 +2147483647:3"

static bool is_far(const struct hist *h, int64_t last, double first_count, double last_count)
{
	const struct hist_side *s = h ? &h->positive : NULL;
	int64_t next = 0;
	if (!s || s->counts_count != 2 || s->counts[0].f != first_count)
		return false;
	for (uint32_t i = 0; i < s->spans_count; i++)
		next += (int64_t)s->spans[i].offset + s->spans[i].length;
	return next - 1 == last && s->counts[1].f == last_count;
}

static void far_apart(void)
{
	const int64_t last = 3 * (int64_t)INT32_MAX + 2;
	const struct hist *h = H(FAR), *sum = NULL;
	unsigned told = 0;
	tap_ok(is_far(hist_compact(&ar, h), last, 1, 3), "buckets far apart, compact");
	tap_ok(is_far(hist_mul(&ar, h, 2), last, 2, 6), "times 2");
	tap_ok(is_far(hist_div(&ar, h, 2), last, 0.5, 1.5), "divided by 2");
	sum = hist_add(&ar, h, h, &told);
	tap_ok(is_far(sum, last, 2, 6), "added");
	tap_ok(is_far(hist_sub(&ar, sum, h, &told), last, 1, 3) && !told, "subtracted");
	tap_ok(is_far(hist_compact(&ar, hist_at_schema(&ar, h, 0)), (last - 1) / 2 + 1, 1, 3) &&
	        is_far(hist_at_schema(&ar, H("s1 +0:1 +2147483647: +2147483647: +2147483647:3"), 0),
	            (last - 2) / 2 + 1, 1, 3),
	    "to a coarser schema");
	struct hist_sum *s = hist_sum_make(&ar, false);
	tap_ok(!hist_sum_add(s, h) && !hist_sum_add(s, H("s0 z0.25/0 +2147483647:5")) &&
	        (sum = hist_sum_get(s, &ar)) && sum->positive.counts_count == 3,
	    "and a running sum");
	sum = hist_add(&ar, H("s0 +-2147483648:1"), H("s0 +2147483647:1"), &told);
	tap_ok(sum && !told && sum->positive.counts_count == 2, "from the first to the last index");
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

static bool near(double v, double want)
{
	return (v != v && want != want) || v == want ||
	    fabs(v - want) <= 1e-12 * fmax(fabs(v), fabs(want));
}

struct cut {
	const char *h;
	double x;
	const char *below, *above; /* NULL = h itself */
	const char *name;
};

static const struct cut cuts[] = {
	{ "s0 S1 +1:4,8", 8, NULL, "s0", "beyond the highest: all of it, or nothing" },
	{ "s0 S1 +1:4,8", 1, "s0", NULL, "at the lowest" },
	{ "s0 S100 +1:4,8", 2, "s0 S5.656854249492381 +1:4", "s0 S22.627416997969522 +2:8",
	    "between buckets: the sum is told anew, of geometric means" },
	{ "s0 S100 +2:16", 2.8284271247461903, "s0 S19.02731384004358 +2:8",
	    "s0 S26.908685288118864 +2:8", "inside an exponential bucket" },
	{ "s0 S100 -2:16", -2.8284271247461903, "s0 S-26.908685288118864 -2:8",
	    "s0 S-19.02731384004358 -2:8", "inside a negative one" },
	{ "sc b0,10 S1 +1:10", 4, "sc b0,10 S8 +1:4", "sc b0,10 S42 +1:6",
	    "inside a custom bucket, evenly" },
	{ "sc b10 S1 +0:10", 4, "sc b10 S8 +0:4", "sc b10 S42 +0:6",
	    "the first custom bucket begins at 0" },
	{ "sc b10 S1 +1:5", 20, "sc b10", "sc b10 S1 +1:5", "the last one has no end" },
	{ "s0 z1/8 S1 -1:2 +1:2", 0, "s0 z1/4 S-4.82842712474619 -1:2",
	    "s0 z1/4 S4.82842712474619 +1:2", "the zero bucket, evenly" },
	{ "s0 z1/8 S1 +1:2", 0.5, "s0 z1/4 S1", "s0 z1/4 S5.82842712474619 +1:2",
	    "the zero bucket begins at 0 when nothing is below" },
	{ "s0 z1/8 S1 -1:2", 0, NULL, "s0 z1/0", "and ends there when nothing is above" },
	{ "s0 S1 +1:4", NAN, "s0", "s0", "NaN: nothing is below or above" },
	{ "s0 S1 +1:4", INFINITY, NULL, "s0", "infinity" },
};

static bool is_near(const struct hist *h, const char *text)
{
	const struct hist *w = H(text);
	bool same = h && h->schema == w->schema && near(h->count.f, w->count.f) &&
	    near(h->sum, w->sum) && near(h->zero_count.f, w->zero_count.f) &&
	    h->zero_threshold == w->zero_threshold &&
	    h->positive.counts_count == w->positive.counts_count &&
	    h->negative.counts_count == w->negative.counts_count;
	for (uint32_t i = 0; same && i < w->positive.counts_count; i++)
		same = near(h->positive.counts[i].f, w->positive.counts[i].f);
	for (uint32_t i = 0; same && i < w->negative.counts_count; i++)
		same = near(h->negative.counts[i].f, w->negative.counts[i].f);
	if (!same && h) {
		struct buf b;
		buf_init(&b);
		hist_print(h, &b);
		printf("# %.*s is not %s\n", (int)b.len, b.data, text);
		buf_release(&b);
	}
	return same;
}

static void trims(void)
{
	for (size_t i = 0; i < COUNT_OF(cuts); i++) {
		const struct cut *c = &cuts[i];
		const struct hist *h = H(c->h);
		const struct hist *below = hist_trim(&ar, h, c->x, false);
		const struct hist *above = hist_trim(&ar, h, c->x, true);
		tap_ok(c->below ? is_near(below, c->below) : below == h, "below: %s", c->name);
		tap_ok(c->above ? is_near(above, c->above) : above == h, "above: %s", c->name);
	}
}

struct quantile {
	const char *h;
	double q, want;
	enum hist_nan nan;
	const char *name;
};

static const struct quantile quantiles[] = {
	{ "s0 S1 +1:4,4", -0.1, -INFINITY, HIST_NAN_NONE, "below 0" },
	{ "s0 S1 +1:4,4", 1.1, INFINITY, HIST_NAN_NONE, "above 1" },
	{ "s0 S1 +1:4,4", NAN, NAN, HIST_NAN_NONE, "NaN" },
	{ "s0", 0.5, NAN, HIST_NAN_NONE, "of nothing" },
	{ "s0 S1 +1:4,4", 0, 1, HIST_NAN_NONE, "the lowest" },
	{ "s0 S1 +1:4,4", 1, 4, HIST_NAN_NONE, "the highest" },
	{ "s0 S1 +1:4,4", 0.25, 1.4142135623730951, HIST_NAN_NONE, "inside, exponentially" },
	{ "s0 S1 +1:4,4", 0.75, 2.8284271247461903, HIST_NAN_NONE, "from the high end" },
	{ "s0 S1 -1:4,4", 0.25, -2.8284271247461903, HIST_NAN_NONE, "negative buckets" },
	{ "s0 z1/4 S1 -1:2 +1:2", 0.5, 0, HIST_NAN_NONE, "the zero bucket, evenly" },
	{ "s0 z1/4 S1 +1:4", 0.25, 0.5, HIST_NAN_NONE, "which begins at 0 when nothing is below" },
	{ "s0 z1/4 S1 -1:4", 0.75, -0.5, HIST_NAN_NONE, "and ends there when nothing is above" },
	{ "sc b0,10 S1 +1:4", 0.25, 2.5, HIST_NAN_NONE, "custom buckets, evenly" },
	{ "sc b10 S1 +0:4", 0.25, 2.5, HIST_NAN_NONE, "the first begins at 0" },
	{ "sc b-10 S1 +0:4", 0.25, -10, HIST_NAN_NONE, "or is its bound, when that is below" },
	{ "sc b10 S1 +1:4", 0.5, 10, HIST_NAN_NONE, "the last is its lower bound" },
	{ "s0 n15 Snan +0:12", 0.4, 0.7071067811865476, HIST_NAN_SKEWED, "with some NaN" },
	{ "s0 n16 Snan +0:8,4", 0.25, 0.7071067811865476, HIST_NAN_SKEWED,
	    "with some NaN, and buckets above" },
	{ "s0 n15 Snan +0:12", 0.81, NAN, HIST_NAN_RESULT, "where NaN are" },
	{ "s0 n3 Snan", 0.1, NAN, HIST_NAN_RESULT, "of NaN alone" },
	{ "s0 Snan +0:12", 0.5, 0.7071067811865476, HIST_NAN_NONE, "of infinities that made NaN" },
};

struct fraction {
	const char *h;
	double lower, upper, want;
	enum hist_nan nan;
	const char *name;
};

static const struct fraction fractions[] = {
	{ "s0 S1 +1:4,4", -INFINITY, INFINITY, 1, HIST_NAN_NONE, "all" },
	{ "s0 S1 +1:4,4", 2, 4, 0.5, HIST_NAN_NONE, "one bucket" },
	{ "s0 S1 +1:4,4", 1.4142135623730951, 2.8284271247461903, 0.5, HIST_NAN_NONE,
	    "halves, exponentially" },
	{ "s0 S1 -1:4,4", -2.8284271247461903, -2, 0.25, HIST_NAN_NONE, "of negative buckets" },
	{ "s0 z1/4 S1 +1:4", 0, 0.5, 0.25, HIST_NAN_NONE, "of a zero bucket that begins at 0" },
	{ "s0 z1/4 S1 -1:4", -0.5, 0, 0.25, HIST_NAN_NONE, "of one that ends there" },
	{ "sc b0,10 S1 +1:4", 2.5, 5, 0.25, HIST_NAN_NONE, "of custom buckets, evenly" },
	{ "s0 S1 +1:4,4", 3, 3, 0, HIST_NAN_NONE, "of an empty range" },
	{ "s0 S1 +1:4,4", NAN, 3, NAN, HIST_NAN_NONE, "from NaN" },
	{ "s0", 1, 3, NAN, HIST_NAN_NONE, "of nothing" },
	{ "s0 n15 Snan +0:12", -INFINITY, INFINITY, 0.8, HIST_NAN_EXCLUDED, "NaN are left out" },
};

static void estimates(void)
{
	for (size_t i = 0; i < COUNT_OF(quantiles); i++) {
		const struct quantile *c = &quantiles[i];
		enum hist_nan nan;
		double v = hist_quantile(c->q, H(c->h), &nan);
		tap_ok(near(v, c->want) && nan == c->nan, "quantile: %s (%g)", c->name, v);
	}
	for (size_t i = 0; i < COUNT_OF(fractions); i++) {
		const struct fraction *c = &fractions[i];
		enum hist_nan nan;
		double v = hist_fraction(c->lower, c->upper, H(c->h), &nan);
		tap_ok(near(v, c->want) && nan == c->nan, "fraction: %s (%g)", c->name, v);
	}
	tap_ok(near(hist_stdvar(H("sc b0,2,4 S8 +1:2,2")), 1), "variance: middles of custom buckets");
	tap_ok(near(hist_stdvar(H("s0 z1/2 S0 -3:1 +3:1")), 16), "variance: geometric means, and 0");
}

/* ---- running sums ---- */

static const struct hist *summed(bool mean, const char *const *texts, size_t count, unsigned *told)
{
	struct hist_sum *s = hist_sum_make(&ar, mean);
	*told = 0;
	for (size_t i = 0; i < count; i++)
		*told |= hist_sum_add(s, H(texts[i]));
	return hist_sum_get(s, &ar);
}

#define SUMMED(mean, told, ...)                                                                    \
 summed(mean, (const char *const[]){ __VA_ARGS__ },                                                \
     sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *), told)

static void running_sums(void)
{
	unsigned told;
	tap_ok(is(SUMMED(false, &told, "s0 h1 z1/0 S2 +1:1,0,3"), "s0 h1 z1/0 S2 +1:1 +1:3") && !told,
	    "a sum of one, compact");
	tap_ok(is(SUMMED(false, &told, "s0 +0:1e16,1", "s0 +0:1,1", "s0 +0:1,1", "s0 S3 -0:2"),
	           "s0 n1.0000000000000006e16 S3 +0:10000000000000002,3 -0:2") &&
	        !told,
	    "a sum keeps what doubles lose on the way");
	tap_ok(is(SUMMED(false, &told, "s1 z0.25/1 +-1:1,2,3,4", "s0 z1/10 +1:100"),
	           "s0 z1/14 +1:107") &&
	        !told,
	    "a sum of two layouts");
	tap_ok(
	    is(SUMMED(false, &told, "sc b1,2,3 +0:1,2,3,4", "sc b1,3,5 +0:10,20,30,40", "sc b1 +0:1"),
	        "sc b1 +0:12,99") &&
	        told == HISTMATH_RECONCILED,
	    "a sum of different bounds");
	SUMMED(false, &told, "sc b1 +0:1", "s0 +0:1", "sc b1 +0:1");
	tap_ok(told & HISTMATH_MIXED, "custom and exponential buckets make no sum");
	tap_ok(is(SUMMED(false, &told, "s0 h1 +0:1", "s0 h3 +0:1", "s0 h2 +0:1"), "s0 h3 +0:3") &&
	        told == HISTMATH_COLLIDED,
	    "hints that contradict are told, whatever is between them");
	tap_ok(is(SUMMED(true, &told, "s0 S3 +0:1,2", "s0 S1 +0:3", "s0 S5 +4:6"),
	           "s0 n4 S3 +0:1.3333333333333333,0.66666666666666663 +2:2") &&
	        !told,
	    "a mean");
	tap_ok(is(SUMMED(true, &told, "s0 n1e308 S1e308 +0:1e308", "s0 n1e308 S1e308 +0:1e308",
	              "s0 n1e308 S1e308 +0:1e308"),
	           "s0 n1e308 S1e308 +0:1e308"),
	    "a mean whose sum would be infinite");
	struct hist_sum *s = hist_sum_make(&ar, false);
	tap_ok(!hist_sum_get(s, &ar) && !hist_sum_count(s), "nothing in it: no sum");
	hist_sum_add(s, H("s0 h1 +0:1"));
	hist_sum_clear(s);
	hist_sum_add(s, H("sc h2 b1 +0:5"));
	tap_ok(is(hist_sum_get(s, &ar), "sc h2 b1 +0:5") && hist_sum_count(s) == 1,
	    "begun again, even with another kind");
}

static uint64_t seed = 7;

static uint32_t any(uint32_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % below;
}

/* Whole numbers, so that sums are exact in any order. */
static struct hist *any_hist(void)
{
	char text[400];
	int n = snprintf(text, sizeof text, "s%u z%g/%u h%u S%u", any(4), any(2) ? 0.25 : 1e-30,
	    any(9), any(4), any(99));
	for (unsigned spans = any(4); spans > 0; spans--) {
		n += snprintf(text + n, sizeof text - (size_t)n, " +%u:%u", any(3), any(9));
		for (unsigned k = any(6); k > 0; k--)
			n += snprintf(text + n, sizeof text - (size_t)n, ",%u", any(9));
	}
	snprintf(text + n, sizeof text - (size_t)n, " -%u:%u,%u", any(5), any(9), any(9));
	return H(text);
}

static void sums_agree(void)
{
	unsigned differ = 0, split = 0, back = 0;
	for (unsigned round = 0; round < 3000; round++) {
		struct arena *a = &ar;
		arena_reset(a, 1 << 16);
		struct hist_sum *all = hist_sum_make(a, false), *parts = hist_sum_make(a, false),
		                *part = hist_sum_make(a, false);
		const struct hist *plain = NULL;
		unsigned told = 0;
		for (unsigned i = 2 + any(5); i > 0; i--) {
			const struct hist *h = any_hist();
			plain = plain ? hist_add(a, plain, h, &told) : hist_compact(a, h);
			hist_sum_add(all, h);
			hist_sum_add(part, h);
			if (any(3))
				continue;
			hist_sum_merge(parts, part);
			hist_sum_clear(part);
		}
		hist_sum_merge(parts, part);
		const struct hist *sum = hist_sum_get(all, a);
		differ += !plain || !sum || plain->count.f != sum->count.f ||
		    plain->sum != sum->sum || plain->hint != sum->hint ||
		    plain->schema != sum->schema;
		const struct hist *merged = hist_sum_get(parts, a);
		split += !merged || merged->count.f != sum->count.f || merged->sum != sum->sum ||
		    merged->schema != sum->schema || merged->hint != sum->hint ||
		    hist_sum_count(parts) != hist_sum_count(all);
		const struct hist *zero = hist_sub(a, sum, sum, &told);
		back += !zero || zero->positive.counts_count || zero->negative.counts_count ||
		    zero->count.f != 0 ||
		    hist_reset_after(a, sum, hist_with_hint(a, sum, HIST_GAUGE));
	}
	tap_ok(!differ, "running sums and plain ones agree (%u do not)", differ);
	tap_ok(!split, "and sums of sums (%u do not)", split);
	tap_ok(!back, "a histogram less itself is empty, and is no reset of itself (%u)", back);
}

static bool is_sound(const struct hist *h)
{
	const struct hist_side *sides[] = { &h->negative, &h->positive };
	for (size_t k = 0; k < 2; k++) {
		uint64_t n = 0;
		for (uint32_t i = 0; i < sides[k]->spans_count; i++)
			n += sides[k]->spans[i].length;
		if (n != sides[k]->counts_count || !is_compact(sides[k]))
			return false;
	}
	return h->is_float && h->bounds_count < 100;
}

/* Whatever may be stored, of odd numbers and with buckets anywhere. */
static void anything(void)
{
	unsigned bad = 0, made = 0;
	for (uint64_t i = 0; i < 6000; i++) {
		arena_reset(&ar, 1 << 16);
		const struct hist *l = hist_to_float(&ar, testhist_any(&ar, i));
		const struct hist *r = hist_to_float(&ar, testhist_any(&ar, i / 3 + 7));
		struct hist_sum *s = hist_sum_make(&ar, i % 2);
		const double x = num_from_bits(testhist_mix(&(uint64_t){ i }));
		const double points[] = { x, 0, 1, -1.5, INFINITY, -INFINITY, NAN };
		unsigned told = 0, summed = hist_sum_add(s, l) | hist_sum_add(s, r);
		const struct hist *results[] = { hist_add(&ar, l, r, &told),
			hist_sub(&ar, r, l, &told), hist_mul(&ar, l, x), hist_div(&ar, r, x),
			hist_compact(&ar, l), summed & HISTMATH_NONE ? NULL : hist_sum_get(s, &ar) };
		for (size_t k = 0; k < COUNT_OF(results); k++) {
			bad += results[k] && !is_sound(results[k]);
			made += results[k] != NULL;
		}
		bad += !hist_same_value(&ar, l, l);
		hist_reset_after(&ar, l, r);
		hist_reset_after(&ar, r, l);
		for (size_t k = 0; k < COUNT_OF(points); k++) {
			enum hist_nan nan;
			struct hist_iter it;
			struct hist_bucket b;
			uint32_t buckets = 0;
			hist_quantile(points[k], l, &nan);
			hist_quantile(0.1 * (double)k, l, &nan);
			hist_fraction(points[k], points[(k + 3) % COUNT_OF(points)], l, &nan);
			hist_trim(&ar, l, points[k], k % 2);
			hist_iter_init(&it, l, k % 2);
			while (hist_iter_next(&it, &b))
				buckets++;
			bad += buckets < l->negative.counts_count + l->positive.counts_count;
		}
		hist_stdvar(l);
	}
	tap_ok(!bad && made > 20000, "whatever may be stored is computed with (%u, %u)", bad, made);
}

/* Layouts that take turns: a sum has its arrays after some of them. */
static void sums_stay_small(void)
{
	static const char *const turns[][2] = {
		{ "sc b1,2,3,4 +0:1,2,3,4,5", "sc b1,2,4,8 +0:1,2,3,4,5" },
		{ "s0 +0:1,2,3 -1:4", "s2 z0.5/1 +0:1,2,3,4,5,6 +9:1" },
		{ "s3 +0:1,2 +1:5 +4:5,5", "s1 z3/1 +0:1,2,3,4,5,6 +9:1" },
	};
	for (size_t i = 0; i < COUNT_OF(turns) * 2; i++) {
		const struct hist *l = H(turns[i / 2][0]), *r = H(turns[i / 2][1]);
		struct arena a;
		arena_init(&a, 64);
		struct hist_sum *s = hist_sum_make(&a, i % 2);
		unsigned told = 0;
		size_t before = 0;
		for (unsigned k = 0; k < 1000; k++) {
			if (k == 10)
				before = arena_used(&a);
			told |= hist_sum_add(s, k % 2 ? l : r);
		}
		tap_ok(!(told & HISTMATH_NONE) && arena_used(&a) == before,
		    "%s of %s and others: %zu bytes after 10, %zu after 1000",
		    i % 2 ? "mean" : "sum", turns[i / 2][0], before, arena_used(&a));
		arena_release(&a);
	}
}

/* Each function with memory for less and less. */
static void short_of_memory(void)
{
	unsigned bad = 0, tried = 0;
	const struct hist *l = H("s2 z0.25/1 +-1:1,0,2,3 +3:1 +2:5 -1:4"),
	                  *r = H("s0 z1/3 +1:1,2 -2:1");
	const struct hist *c = H("sc b1,2,3 +0:1,2"), *d = H("sc b2,4 +0:1,2");
	for (size_t room = 64; room < 16384; room += 64) {
		struct arena a;
		unsigned told[4] = { 0 };
		arena_init(&a, 64);
		arena_limit(&a, room);
		bad += !hist_add(&a, l, r, &told[0]) != (told[0] == HISTMATH_NONE);
		bad += !hist_sub(&a, r, l, &told[1]) != (told[1] == HISTMATH_NONE);
		bad += !hist_add(&a, c, d, &told[2]) != ((told[2] & HISTMATH_NONE) != 0);
		struct hist_sum *s = hist_sum_make(&a, room & 64);
		if (s) {
			told[3] = hist_sum_add(s, l) | hist_sum_add(s, r) | hist_sum_add(s, l);
			bad += (told[3] & HISTMATH_NONE) && hist_sum_get(s, &a);
		}
		bad += hist_mul(&a, l, 2) && !l;
		bad += hist_trim(&a, l, 1, true) && !l;
		tried += told[0] || told[1] || told[2] || told[3];
		arena_release(&a);
	}
	tap_ok(!bad && tried > 3, "without memory there is no result, and that is told (%u)", bad);
}

int main(void)
{
	arena_init(&ar, 1 << 16);
	bounds();
	compact_and_float();
	sums_and_differences();
	far_apart();
	factors();
	counters();
	texts();
	walks();
	trims();
	estimates();
	running_sums();
	sums_stay_small();
	short_of_memory();
	anything();
	sums_agree();
	arena_release(&ar);
	return tap_done();
}
