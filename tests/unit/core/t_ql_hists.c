/*
 * core/promql over series with native histograms, between range functions and aggregations:
 * selectors, operators, sets, labels, sorting, results.
 * f: floats 0..40 every 10 s. m: the same with histograms from 200 s to 290 s. h: histograms alone;
 * that of 10 k s has k observations up to 1 and k + 2 up to 2. c: one with custom buckets at 250 s.
 * And what features say of counters: their type, and when they began.
 */
#include "tests/lib/qlrun.h"
#include "tests/lib/tap.h"

#define T0   INT64_C(1700000000000)
#define H25  "{count:52, sum:25, (0.5,1]:25, (1,2]:27}"
#define H50  "{count:104, sum:50, (0.5,1]:50, (1,2]:54}"
#define INFO "PromQL info: incompatible sample types encountered for binary operator "

static const struct hist *hist(struct arena *a, unsigned k)
{
	struct hist *h = arena_zalloc(a, sizeof(*h));
	union hist_count *counts = arena_array(a, 2, sizeof(*counts));
	static const struct hist_span span = { 0, 2 };
	counts[0].f = k;
	counts[1].f = k + 2;
	*h = (struct hist){ .is_float = true,
		.sum = k,
		.count = { .f = 2 * k + 2 },
		.positive = { &span, counts, 1, 2 } };
	return h;
}

static const struct hist *custom(void)
{
	static const double bounds[] = { 1, 2 };
	static const union hist_count counts[] = { { .f = 1 }, { .f = 2 }, { .f = 3 } };
	static const struct hist_span span = { 0, 3 };
	static const struct hist h = { .is_float = true,
		.schema = HIST_SCHEMA_CUSTOM,
		.sum = 7,
		.count = { .f = 6 },
		.positive = { &span, counts, 1, 3 },
		.bounds = bounds,
		.bounds_count = 2 };
	return &h;
}

static void add(struct memsrc *m, const char *name, bool is_hist(unsigned k))
{
	struct arena a;
	arena_init(&a, 4096);
	struct labels ls = label_make(&a, "__name__", name, "a", "b", NULL);
	for (unsigned k = 0; k <= 40; k++) {
		struct memsrc_sample s = { .t_ms = T0 + k * 10000, .v = k };
		s.h = is_hist(k) ? hist(&a, k) : NULL;
		if (memsrc_add_sample(m, ls, &s))
			abort();
	}
	arena_release(&a);
}
static bool never(unsigned k)
{
	return k > 100;
}
static bool sometimes(unsigned k)
{
	return k >= 20 && k < 30;
}
static bool always(unsigned k)
{
	return k < 100;
}

static void add_custom(struct memsrc *m)
{
	struct arena a;
	arena_init(&a, 4096);
	struct memsrc_sample s = { .t_ms = T0 + 250000, .h = custom() };
	if (memsrc_add_sample(m, label_make(&a, "__name__", "c", "a", "b", NULL), &s))
		abort();
	arena_release(&a);
}

/*
 * Buckets that one span cannot tell apart once the empty one between them is gone; then a finer
 * schema, which the one before makes a coarser one again.
 */
static void add_far(struct memsrc *m)
{
	static const struct hist_span spans[] = { { 0, 1 }, { INT32_MAX, 0 }, { INT32_MAX, 1 },
		{ INT32_MAX, 0 }, { INT32_MAX, 0 }, { INT32_MAX, 1 } };
	struct arena a;
	arena_init(&a, 4096);
	struct labels ls = label_make(&a, "__name__", "far", "a", "b", NULL);
	for (int k = 0; k < 3; k++) {
		const union hist_count counts[] = { { .f = 1 + k }, { .f = 0 }, { .f = 3 + k } };
		const struct hist h = { .is_float = true,
			.hint = k ? HIST_NO_RESET : HIST_UNKNOWN,
			.schema = k ? 1 : 0,
			.count = { .f = 4 + 2 * k },
			.positive = { spans, counts, 6, 3 } };
		struct memsrc_sample s = { .t_ms = T0 + 230000 + k * 10000, .h = &h };
		if (memsrc_add_sample(m, ls, &s))
			abort();
	}
	arena_release(&a);
}

/* at 250 s; values stand behind their time, which is left out here, and so are labels */
static const struct {
	const char *q, *want;
} cases[] = {
	{ "f", "25" },
	{ "h", H25 },
	{ "m", H25 },
	{ "m offset 1m", "19" },
	{ "h * 2", H50 },
	{ "2 * h", H50 },
	{ "h * 4 / 2", H50 },
	{ "-(-(h * 2))", H50 },
	{ "+h", H25 },
	{ "h + h", H50 },
	{ "h + 1", " | " INFO "\"+\": histogram + float (1:1)" },
	{ "1 - h", " | " INFO "\"-\": float - histogram (1:1)" },
	{ "2 / h", " | " INFO "\"/\": float / histogram (1:1)" },
	{ "h ^ 2", " | " INFO "\"^\": histogram ^ float (1:1)" },
	{ "h > 1", " | " INFO "\">\": histogram > float (1:1)" },
	{ "1 == bool h", " | " INFO "\"==\": float == histogram (1:1)" },
	{ "h * h", " | " INFO "\"*\": histogram * histogram (1:1)" },
	{ "h + on() f", " | " INFO "\"+\": histogram + float (1:1)" },
	{ "h * on() f", "{count:1300, sum:625, (0.5,1]:625, (1,2]:675}" },
	{ "f * on() h", "{count:1300, sum:625, (0.5,1]:625, (1,2]:675}" },
	{ "h / on() (f - 24)", H25 },
	{ "f / on() h", " | " INFO "\"/\": float / histogram (1:1)" },
	{ "h + on() c",
	    " | PromQL warning: incompatible bucket layout encountered for binary operator + (1:1)" },
	{ "c + c", "{count:12, sum:14, [-Inf,1]:2, (1,2]:4, (2,+Inf]:6}" },
	{ "h == h", H25 },
	{ "h == bool h", "1" },
	{ "h != bool h", "0" },
	{ "h == bool on() c", "0" },
	{ "h != h", "" },
	{ "h == on() m", H25 },
	{ "h == on() f", " | " INFO "\"==\": histogram == float (1:1)" },
	{ "f == on() f", "25" },
	{ "h * on(a) group_left() f", "{count:1300, sum:625, (0.5,1]:625, (1,2]:675}" },
	{ "f * on(a) group_right() h", "{count:1300, sum:625, (0.5,1]:625, (1,2]:675}" },
	{ "h * on(x) fill_right(2) (f > 99)", H50 },
	{ "(f > 99) * on(x) fill_left(2) h", H50 },
	{ "h + on(x) fill_right(2) (f > 99)", " | " INFO "\"+\": histogram + float (1:1)" },
	{ "(h - h) * 0", "{count:0, sum:0}" },
	{ "h >/ 1", "{count:27, sum:@, (1,2]:27}" },
	{ "h </ 1", "{count:25, sum:@, (0.5,1]:25}" },
	{ "h </ on() (f - 24)", "{count:25, sum:@, (0.5,1]:25}" },
	{ "f </ 1", " | " INFO "\"</\": float </ float (1:1)" },
	{ "1 </ h", " | " INFO "\"</\": float </ histogram (1:1)" },
	{ "f </ f", " | " INFO "\"</\": float </ float (1:1)" },
	{ "h </ h", " | " INFO "\"</\": histogram </ histogram (1:1)" },
	{ "abs(h)", "" },
	{ "round(m)", "" },
	{ "timestamp(h + h)", "1700000250" },
	{ "timestamp(h)", "1700000250" },
	{ "absent(h)", "" },
	{ "absent(h > 1)", "1 | " INFO "\">\": histogram > float (1:8)" },
	{ "h and on() f", H25 },
	{ "f and on() h", "25" },
	{ "h unless on() f", "" },
	{ "f unless on() h", "" },
	{ "h unless on() x", H25 },
	{ "x or h", H25 },
	{ "h or on() f", H25 },
	{ "sort(h)", "" },
	{ "sort_desc(m)", "" },
	{ "sort_by_label(h, \"a\")", H25 },
	{ "label_replace(h, \"x\", \"y\", \"\", \"\")", H25 },
	{ "label_join(h, \"x\", \"-\", \"a\")", H25 },
	{ "scalar(h)", "nan" },
	{ "vector(scalar(m))", "nan" },
	{ "h @ 1700000250", H25 },
	{ "info(h)", H25 },
	{ "h[15s]", "{count:50, sum:24, (0.5,1]:24, (1,2]:26} " H25 },
	{ "m[1m] @ 1700000210",
	    "16 17 18 19 {count:42, sum:20, (0.5,1]:20, (1,2]:22} {count:44, sum:21, (0.5,1]:21, (1,2]:23}" },
	{ "f[15s]", "24 25" },
	{ "histogram_quantile(0, far * 2) < bool 1", "1" },
	{ "histogram_quantile(0, -far * -1) < bool 1", "1" },
	{ "histogram_quantile(0, far / 2) < bool 1", "1" },
	{ "histogram_quantile(0, far + far) < bool 1", "1" },
	{ "histogram_quantile(0, sum(far)) < bool 1", "1" },
	{ "histogram_quantile(0, avg(far)) < bool 1", "1" },
	{ "histogram_quantile(0, far * on() f) < bool 1", "1" },
	{ "histogram_quantile(0, increase(far[30s])) < bool 1", "1" },
	{ "histogram_quantile(0, rate(far[30s])) < bool 1", "1" },
	{ "histogram_quantile(0, irate(far[30s])) < bool 1", "1" },
	{ "histogram_quantile(0, sum_over_time(far[30s])) < bool 1", "1" },
	{ "histogram_quantile(0, last_over_time(far[30s])) < bool 1", "1" },
	{ "histogram_quantile(0, increase(far[15s])) < bool 1", "1" },
};

/*
 * Labels and times go, so that values stand beside each other; sums of trimmed ones are not told.
 */
static void strip(char *s)
{
	char *to = s, *p = s;
	bool first = true;
	while (*p && strncmp(p, " | ", 3)) {
		if (*p == '{' && to == s && strncmp(p, "{count", 6)) {
			p = strchr(p, '}') + 1;
		} else if (!strncmp(p, " 17000", 6)) {
			p = strchr(p, ':') + 1;
			if (!first)
				*to++ = ' ';
			first = false;
		} else {
			*to++ = *p++;
		}
	}
	memmove(to, p, strlen(p) + 1);
}

static void forget_sum(char *s)
{
	char *sum = strstr(s, "sum:"), *end = sum ? strchr(sum, ',') : NULL;
	if (end) {
		sum[4] = '@';
		memmove(sum + 5, end, strlen(end) + 1);
	}
}

static void check(struct testteam *tt, struct memsrc *m, size_t i)
{
	struct qlrun_opts o = { .start_ms = T0 + 250000,
		.features = { .experimental_functions = true, .fill_modifiers = true } };
	char *s = qlrun(tt, memsrc_source(m), cases[i].q, &o);
	strip(s);
	if (strstr(cases[i].want, "sum:@"))
		forget_sum(s);
	tap_is_str(s, cases[i].want, "%s", cases[i].q);
	free(s);
}

/*
 * Over many steps, the answer at each step is that of an instant query then; steps end in the
 * middle of words of the bitmaps.
 */
static void check_range(struct testteam *tt, struct memsrc *m, const char *q)
{
	enum {
		STEPS = 131,
		STEP_MS = 3000
	};
	struct qlrun_opts o = { .start_ms = T0,
		.end_ms = T0 + (STEPS - 1) * STEP_MS,
		.step_ms = STEP_MS,
		.features = { .experimental_functions = true, .fill_modifiers = true } };
	char *range = qlrun(tt, memsrc_source(m), q, &o), *at = range;
	unsigned bad = 0, points = 0;
	char *notes = strstr(range, " | ");
	if (notes)
		*notes = 0;
	if (*at == '{')
		at = strchr(at, '}') + 1;
	o.step_ms = 0;
	for (unsigned i = 0; i < STEPS; i++, o.start_ms += STEP_MS) {
		char *one = qlrun(tt, memsrc_source(m), q, &o), *v = one;
		if ((notes = strstr(one, " | ")))
			*notes = 0;
		if (*v == '{')
			v = strchr(v, '}') + 1;
		size_t len = strlen(v);
		points += len != 0;
		if (strncmp(at, v, len) && bad++ < 3)
			tap_note("step %u: %s, but the range has %.60s", i, one, at);
		else
			at += len;
		free(one);
	}
	tap_ok(!bad && !*at && points, "%s: %u steps as %u instant queries", q, points, STEPS);
	free(range);
}

/* --- features --- */

static void add_counter(struct memsrc *m, const char *name, const char *type, int64_t start_ms)
{
	struct arena a;

	arena_init(&a, 4096);
	struct labels ls = label_make(&a, "__name__", name, "__type__", type, NULL);
	for (int k = 0; k <= 40; k++) {
		struct memsrc_sample s = { .t_ms = T0 + k * 10000, .v = 10 * k };
		if (start_ms)
			s.start_ms = s.t_ms + start_ms;
		if (memsrc_add_sample(m, ls, &s))
			abort();
	}
	arena_release(&a);
}

static void with(struct testteam *tt, struct memsrc *m, const struct ql_features *f,
    const char *text, int64_t step_ms, const char *want)
{
	struct qlrun_opts o = {
		.start_ms = T0 + 100000, .end_ms = T0 + 120000, .step_ms = step_ms, .features = *f
	};
	char *s = qlrun(tt, memsrc_source(m), text, &o);

	if (!tap_ok(*want ? strstr(s, want) != NULL : !*s, "%s: %s", text, *want ? want : "nothing"))
		tap_note("got %s", s);
	free(s);
}

/* Names of counters, or their type; times at which counters began. */
static void features_are_asked(struct testteam *tt)
{
	static const struct ql_features none = { .experimental_functions = true },
	                                types = { .type_and_unit_labels = true },
	                                starts = { .experimental_functions = true,
		                                .start_timestamps = true };
	struct memsrc *m = memsrc_create(tt->team, 2);

	add_counter(m, "a_total", "gauge", 0);
	add_counter(m, "b", "counter", 0);
	add_counter(m, "c_total", "histogram", -1000); /* each begins anew */
	add_counter(m, "d_total", "counter", -15000);  /* and in the middle of the one before */
	with(tt, m, &none, "rate(a_total[1m])", 0, "{} 1700000100000:1");
	with(tt, m, &types, "rate(a_total[1m])", 0,
	    "PromQL info: metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got \"gauge\": \"a_total\" (1:6)");
	with(tt, m, &none, "rate(b[1m])", 0, "_count/_bucket: \"b\" (1:6)");
	with(tt, m, &types, "rate(b[1m])", 0, "{} 1700000100000:1");
	with(tt, m, &types, "rate(b[1m]) > 1", 0, "");
	with(tt, m, &types, "rate(c_total[1m]) > 1", 0, "");
	with(tt, m, &none, "resets(c_total[1m])", 0, "{} 1700000100000:0");
	with(tt, m, &starts, "resets(c_total[1m])", 0, "{} 1700000100000:5");
	with(tt, m, &starts, "start_timestamp(c_total)", 0, "{} 1700000100000:1700000099");
	with(tt, m, &starts, "start_timestamp(a_total)", 0, "{} 1700000100000:0");
	with(tt, m, &none, "start_timestamp(c_total)", 0, "");
	with(tt, m, &starts, "start_timestamp(c_total + 1)", 0, "");
	with(tt, m, &starts, "increase(d_total[1m])", 0,
	    "PromQL warning: sample has start time that overlaps with previous sample timestamp for metric \"d_total\" (1:10)");
	with(tt, m, &starts, "increase(d_total[1m])", 10000, "\"d_total\" (3 occurrences) (1:10)");
	with(tt, m, &none, "increase(d_total[1m]) > 1000", 0, "");
	memsrc_free(m);
}

int main(void)
{
	static const char *const ranges[] = { "h", "m", "h * 2", "m * 2", "-m", "m + m", "m - h",
		"m * on() f", "f * on() m", "m == m", "m == bool on() h", "m </ 1", "m and on() f",
		"m or on() f", "m unless on() (f > 22)", "h and on() (f > 15)", "abs(m)",
		"label_replace(m, \"x\", \"y\", \"\", \"\")", "h @ 1700000250", "info(m)",
		"timestamp(m * 1)", "m * on(x) fill_right(2) (f > 25)",
		"(f > 25) * on(x) fill_left(2) m", "absent(m > 5)" };
	struct testteam tt;
	testteam_start(&tt, 1);
	struct memsrc *m = memsrc_create(tt.team, 2);
	add(m, "f", never);
	add(m, "m", sometimes);
	add(m, "h", always);
	add_custom(m);
	add_far(m);
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		check(&tt, m, i);
	for (size_t i = 0; i < COUNT_OF(ranges); i++)
		check_range(&tt, m, ranges[i]);
	memsrc_shaky(m, 3);
	check(&tt, m, 1);
	features_are_asked(&tt);
	memsrc_free(m);
	testteam_stop(&tt);
	return tap_done();
}
