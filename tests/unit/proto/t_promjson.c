#include "tests/lib/tap.h"

#include "proto/promjson.h"

#include <math.h>

static struct arena arena;

/* The whole answer, made in pieces of the given size. */
static struct buf made(const struct promjson_answer *a, size_t piece)
{
	struct promjson e;
	struct buf all, b;
	buf_init(&all);
	buf_init(&b);
	promjson_query(&e, a);
	for (bool done = false; !done; buf_clear(&b)) {
		done = promjson_next(&e, &b, piece);
		buf_add(&all, b.data, b.len);
	}
	buf_release(&b);
	return all;
}

static void is(const struct promjson_answer *a, const char *want, const char *what)
{
	struct buf whole = made(a, 1 << 20), pieces = made(a, 1);
	tap_is_mem(whole.data, whole.len, want, strlen(want), "%s", what);
	tap_is_mem(pieces.data, pieces.len, whole.data, whole.len, "%s, the same in pieces", what);
	buf_release(&whole);
	buf_release(&pieces);
}

static void results(void)
{
	struct ql_series s[2] = {
		{ .labels = label_make(&arena, "__name__", "up", "job", "a<b\"", NULL),
		    .count = 3,
		    .t_ms = (int64_t[]){ 1435781451781, 12050, -500 },
		    .v = (double[]){ 1, 1e-7, NAN } },
		{ .count = 1, .t_ms = (int64_t[]){ 12000 }, .v = (double[]){ -0.0 } },
	};
	struct ql_value v = { .type = QL_MATRIX, .series = s, .series_count = 2, .t_ms = 12500 };
	struct promjson_answer a = { .value = &v };
	is(&a,
	    "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":{\"__name__\":\"up\",\"job\":\"a<b\\\"\"},\"values\":[[1435781451.781,\"1\"],[12.050,\"1e-07\"],[-0.500,\"NaN\"]]},{\"metric\":{},\"values\":[[12,\"-0\"]]}]}}",
	    "a matrix");
	s[0].count = 1;
	v.type = QL_VECTOR;
	is(&a,
	    "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{\"__name__\":\"up\",\"job\":\"a<b\\\"\"},\"value\":[1435781451.781,\"1\"]},{\"metric\":{},\"value\":[12,\"-0\"]}]}}",
	    "a vector");
	v.series_count = 0;
	is(&a, "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]}}",
	    "an empty vector");
	v.type = QL_MATRIX;
	is(&a, "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[]}}",
	    "an empty matrix");
	v.type = QL_SCALAR;
	v.series =
	    &(struct ql_series){ .count = 1, .t_ms = (int64_t[]){ 12500 }, .v = (double[]){ 1e-7 } };
	v.series_count = 1;
	is(&a,
	    "{\"status\":\"success\",\"data\":{\"resultType\":\"scalar\",\"result\":[12.5,\"0.0000001\"]}}",
	    "a scalar has no exponent");
	v = (struct ql_value){ .type = QL_STRING, .string = "a\"b<", .string_len = 4, .t_ms = 12500 };
	is(&a,
	    "{\"status\":\"success\",\"data\":{\"resultType\":\"string\",\"result\":[12.5,\"a\\\"b\\u003c\"]}}",
	    "a string");
}

/* Of all sorts of buckets: negative, zero, positive ones, an empty one among them, custom ones. */
static const struct hist *exponential(void)
{
	static const union hist_count low[] = { { .f = 2.5 } },
	                              high[] = { { .f = 1 }, { .f = 0 }, { .f = 3 } };
	static const struct hist_span one = { 0, 1 }, three = { 1, 3 };
	static const struct hist h = { .is_float = true,
		.sum = 1e-7,
		.zero_threshold = 0.25,
		.count = { .f = 10.5 },
		.zero_count = { .f = 4 },
		.negative = { &one, low, 1, 1 },
		.positive = { &three, high, 1, 3 } };
	return &h;
}

static const struct hist *custom(void)
{
	static const double bounds[] = { -1, 5 };
	static const union hist_count counts[] = { { .f = 1 }, { .f = 2 }, { .f = 3 } };
	static const struct hist_span span = { 0, 3 };
	static const struct hist h = { .is_float = true,
		.schema = HIST_SCHEMA_CUSTOM,
		.sum = NAN,
		.count = { .f = 6 },
		.positive = { &span, counts, 1, 3 },
		.bounds = bounds,
		.bounds_count = 2 };
	return &h;
}

#define EXPONENTIAL                                                                                \
 "{\"count\":\"10.5\",\"sum\":\"1e-07\",\"buckets\":[[1,\"-1\",\"-0.5\",\"2.5\"],[3,\"-0.25\",\"0.25\",\"4\"],[0,\"1\",\"2\",\"1\"],[0,\"4\",\"8\",\"3\"]]}"
#define CUSTOM                                                                                     \
 "{\"count\":\"6\",\"sum\":\"NaN\",\"buckets\":[[3,\"-Inf\",\"-1\",\"1\"],[0,\"-1\",\"5\",\"2\"],[0,\"5\",\"+Inf\",\"3\"]]}"

static void histograms(void)
{
	const double no = num_from_bits(SAMPLE_HIST_BITS);
	static const struct hist none = { .is_float = true };
	const struct hist *h[] = { NULL, exponential(), custom(), NULL };
	struct ql_series s[] = {
		{ .labels = label_make(&arena, "a", "b", NULL),
		    .count = 4,
		    .t_ms = (int64_t[]){ 1000, 2500, 3000, 4000 },
		    .v = (double[]){ 1, no, no, 2 },
		    .h = h },
		{ .count = 2, .t_ms = (int64_t[]){ 2500, 3000 }, .v = (double[]){ no, no }, .h = h + 1 },
		{ .count = 1,
		    .t_ms = (int64_t[]){ 12000 },
		    .v = (double[]){ no },
		    .h = (const struct hist *[]){ &none } },
		{ .count = 1, .t_ms = (int64_t[]){ 12000 }, .v = (double[]){ 5 }, .h = h },
	};
	struct ql_value v = { .type = QL_MATRIX, .series = s, .series_count = 4 };
	struct promjson_answer a = { .value = &v };
	is(&a,
	    "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":["
	    "{\"metric\":{\"a\":\"b\"},\"values\":[[1,\"1\"],[4,\"2\"]],\"histograms\":[[2.500," EXPONENTIAL
	    "],[3," CUSTOM "]]},"
	    "{\"metric\":{},\"histograms\":[[2.500," EXPONENTIAL "],[3," CUSTOM "]]},"
	    "{\"metric\":{},\"histograms\":[[12,{\"count\":\"0\",\"sum\":\"0\"}]]},"
	    "{\"metric\":{},\"values\":[[12,\"5\"]]}]}}",
	    "a matrix with histograms, among floats and alone");
	v.type = QL_VECTOR;
	v.series = s + 1;
	v.series_count = 3;
	s[1].count = 1;
	is(&a,
	    "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":["
	    "{\"metric\":{},\"histogram\":[2.500," EXPONENTIAL "]},"
	    "{\"metric\":{},\"histogram\":[12,{\"count\":\"0\",\"sum\":\"0\"}]},"
	    "{\"metric\":{},\"value\":[12,\"5\"]}]}}",
	    "a vector with histograms");
}

/* Every kind of change from one time to the next gives what num_fmt_ts gives. */
static void times(void)
{
	static const int64_t t[] = { 0, 1, 999, 1000, 9999000, 9999999, 10000000, 10000001,
		10009999, 19999999, 20000000, 1435781451781, 1435781460000, 1435789999999,
		1435790000000, -1, 1435790000000, INT64_MAX, INT64_MIN, 99999999999 };
	double v[COUNT_OF(t)] = { 0 };
	struct ql_series s = { .count = COUNT_OF(t), .t_ms = t, .v = v };
	struct ql_value value = { .type = QL_MATRIX, .series = &s, .series_count = 1 };
	struct promjson_answer a = { .value = &value };
	struct buf want;
	buf_init(&want);
	buf_add_str(&want,
	    "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":{},\"values\":[");
	for (size_t i = 0; i < COUNT_OF(t); i++) {
		char text[NUM_FMT_MAX];
		size_t n = num_fmt_ts(t[i], text);
		buf_printf(&want, "%s[%.*s,\"0\"]", i ? "," : "", (int)n, text);
	}
	buf_add_str(&want, "]}]}}");
	buf_add_u8(&want, 0);
	is(&a, (const char *)want.data, "times of all lengths");
	buf_release(&want);
}

static void annotations(void)
{
	struct ql_note warnings[12];
	for (size_t i = 0; i < COUNT_OF(warnings); i++)
		warnings[i].text = "w";
	struct ql_value v = { .type = QL_VECTOR };
	struct promjson_answer a = { .value = &v,
		.warnings = { .items = warnings,
		    .count = 2,
		    .extra = { "results truncated due to limit" } },
		.infos = { .items = warnings, .count = 1 } };
	is(&a,
	    "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]},\"warnings\":[\"results truncated due to limit\",\"w\",\"w\"],\"infos\":[\"w\"]}",
	    "warnings and infos");
	a.infos.count = 0;
	a.warnings.count = 12;
	is(&a,
	    "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]},\"warnings\":[\"results truncated due to limit\",\"w\",\"w\",\"w\",\"w\",\"w\",\"w\",\"w\",\"w\",\"w\",\"3 more warning annotations omitted\"]}",
	    "ten warnings and a count");
	struct ql_stats st = { .samples_total = 5,
		.samples_read = 5,
		.samples_peak = 3,
		.prepare_s = 0.5,
		.eval_s = 0.25,
		.total_s = 1 };
	a.warnings = (struct promjson_notes){ 0 };
	a.stats = &st;
	is(&a,
	    "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[],\"stats\":{\"timings\":{\"evalTotalTime\":0.75,\"resultSortTime\":0,\"queryPreparationTime\":0.5,\"innerEvalTime\":0.25,\"execQueueTime\":0,\"execTotalTime\":1},\"samples\":{\"totalQueryableSamples\":5,\"samplesRead\":5,\"peakSamples\":3}}}}",
	    "stats");
	const uint64_t used_at[] = { 3, 2 }, read_at[] = { 3, 0 };
	st = (struct ql_stats){ .samples_total = 5,
		.samples_read = 3,
		.per_step = 2,
		.used_at = used_at,
		.read_at = read_at,
		.start_ms = 1500,
		.step_ms = 500 };
	is(&a,
	    "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[],\"stats\":{\"timings\":{\"evalTotalTime\":0,\"resultSortTime\":0,\"queryPreparationTime\":0,\"innerEvalTime\":0,\"execQueueTime\":0,\"execTotalTime\":0},\"samples\":{\"totalQueryableSamplesPerStep\":[[1.500,3],[2,2]],\"totalQueryableSamples\":5,\"samplesReadPerStep\":[[1.500,3],[2,0]],\"samplesRead\":3,\"peakSamples\":0}}}}",
	    "stats of each step");
}

/* Pieces stay small however large the answer is. */
static void bounded(void)
{
	enum {
		POINTS = 200000,
		PIECE = 64 << 10
	};
	int64_t *t = mem_array(NULL, POINTS, sizeof(*t));
	double *val = mem_array(NULL, POINTS, sizeof(*val));
	for (int i = 0; i < POINTS; i++) {
		t[i] = 1755000000000 + i * 15000LL;
		val[i] = i / 3.0;
	}
	struct ql_series s = { .count = POINTS, .t_ms = t, .v = val };
	struct ql_value v = { .type = QL_MATRIX, .series = &s, .series_count = 1 };
	struct promjson_answer a = { .value = &v };
	struct promjson e;
	struct buf b;
	size_t largest = 0, total = 0;
	buf_init(&b);
	promjson_query(&e, &a);
	for (bool done = false; !done; buf_clear(&b)) {
		done = promjson_next(&e, &b, PIECE);
		largest = b.len > largest ? b.len : largest;
		total += b.len;
		if (!done && b.len < PIECE)
			largest = SIZE_MAX;
	}
	tap_ok(total > POINTS * 20u, "%zu bytes were made", total);
	tap_ok(largest >= PIECE && largest < PIECE + 8192, "in pieces of %d and little more: %zu",
	    PIECE, largest);
	buf_release(&b);
	mem_free(t);
	mem_free(val);
}

static void others(void)
{
	struct buf b;
	buf_init(&b);
	promjson_error(&b, "bad_data", "a \"<\" b", 7);
	buf_add_u8(&b, 0);
	tap_is_str((char *)b.data,
	    "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"a \\\"\\u003c\\\" b\"}",
	    "an error");
	buf_clear(&b);
	promjson_begin(&b);
	buf_add_str(&b, "[");
	promjson_item_string(&b, true, "a", 1);
	promjson_item_string(&b, false, "b", 1);
	promjson_item_labels(&b, false, label_make(&arena, "a", "b", NULL));
	buf_add_str(&b, "]");
	promjson_end(&b, NULL, NULL);
	buf_add_u8(&b, 0);
	tap_is_str((char *)b.data, "{\"status\":\"success\",\"data\":[\"a\",\"b\",{\"a\":\"b\"}]}",
	    "a list");
	buf_clear(&b);
	promjson_meta(&b, promjson_meta_type(1), "h", 1, "", 0);
	buf_add_u8(&b, 0);
	tap_is_str((char *)b.data, "{\"type\":\"counter\",\"help\":\"h\",\"unit\":\"\"}", "metadata");
	tap_is_str(promjson_meta_type(200), "unknown", "a type nobody knows");
	buf_release(&b);
}

int main(void)
{
	arena_init(&arena, 4096);
	results();
	histograms();
	times();
	annotations();
	bounded();
	others();
	arena_release(&arena);
	return tap_done();
}
