/* Points of delta temporality, from the text of a request to rows that are cumulative. */
#include "proto/otlp_delta.h"

#include <stdarg.h>
#include <string.h>

#include "core/model/histmath.h"
#include "proto/otlpbody.h"
#include "tests/lib/tap.h"

static struct limits limits;
static struct arena arena, keep;
static struct batch batch;
static struct otlp_cumulate cumulate;
static struct otlp_opts opts;
static struct decode d;
static struct errbuf eb;

/* A request of one metric; rows are in batch. */
static bool take(const char *fmt, ...) TAP_FMT(1, 2);
static bool take(const char *fmt, ...)
{
	char inside[2048], text[4096];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(inside, sizeof(inside), fmt, ap);
	va_end(ap);
	int n = snprintf(text, sizeof(text),
	    "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"name\":\"m\",%s}]}]}]}",
	    inside);
	const uint8_t *p = (const uint8_t *)text, *end = p + n;
	batch_clear(&batch);
	arena_reset(&arena, 0);
	d = (struct decode){
		.limits = &limits, .opts = &opts, .arena = &arena, .keep = &keep, .batch = &batch
	};
	errbuf_init(&eb);
	enum err e = ERR_OK;
	while (!e && p < end)
		e = otlpbody_json.next(&d, &p, end, true, &eb);
	otlpbody_json.end(&d);
	if (e || d.bad)
		tap_note("%s%s", eb.text, d.bad_text);
	return !e && !d.bad;
}

static void begin(bool zeros)
{
	arena_init(&arena, 4096);
	arena_init(&keep, 4096);
	batch_init(&batch);
	limits_default(&limits);
	otlp_cumulate_init(&cumulate);
	cumulate.ask = (struct deltacum_ask){
		.dc = deltacum_create(1 << 20), .now_ns = 1, .stale_ns = 1000, .streams_max = 100
	};
	cumulate.zeros = zeros;
	cumulate.window_ms = UINT64_MAX;
	opts = (struct otlp_opts){ .strategy = OTLP_UTF8, .delta = &cumulate.hook };
}

static void end(void)
{
	deltacum_free(cumulate.ask.dc);
	batch_release(&batch);
	arena_release(&arena);
	arena_release(&keep);
}

static bool take_sum(unsigned start_s, unsigned t_s, const char *value)
{
	return take("\"sum\":{\"aggregationTemporality\":1,\"isMonotonic\":true,\"dataPoints\":[{"
	            "\"startTimeUnixNano\":%ue9,\"timeUnixNano\":%ue9,%s}]}",
	    start_s, t_s, value);
}

static bool row_is(size_t i, int64_t t_ms, int64_t start_ms, double v)
{
	const struct batch_row *r = &batch.rows[i];
	if (i < batch.rows_count && (r->flags & BATCH_EXTRA) && r->t_ms == t_ms &&
	    r->extra->start_ms == start_ms && !r->extra->hist && r->extra->v == v)
		return true;
	if (i < batch.rows_count)
		tap_note("row %zu: %g at %lld from %lld", i, r->extra->v, (long long)r->t_ms,
		    (long long)r->extra->start_ms);
	return false;
}

static void sums(void)
{
	begin(false);
	tap_ok(take_sum(10, 20, "\"asInt\":\"5\"") && batch.rows_count == 1 &&
	        row_is(0, 20000, 10000, 5),
	    "the first point");
	tap_ok(take_sum(20, 30, "\"asDouble\":1.5") && row_is(0, 30000, 10000, 6.5), "is added to");
	tap_ok(take_sum(20, 30, "\"asDouble\":1.5") && row_is(0, 30000, 10000, 6.5),
	    "a repeat gives the same row");
	tap_ok(!take_sum(10, 20, "\"asInt\":\"5\"") && !batch.rows_count && d.bad == 1 &&
	        strstr(d.bad_text, "metric \"m\": it is not later than the last delta point"),
	    "an earlier one is left out, and told");
	tap_ok(!take_sum(30, 40, "\"asInt\":\"-5\"") && strstr(d.bad_text, "no increment"),
	    "so is one that falls");
	tap_ok(take_sum(30, 40, "\"flags\":1") && sample_is_stale(batch.rows[0].extra->v),
	    "a stale marker passes");
	tap_ok(take_sum(40, 50, "\"asInt\":\"1\"") && row_is(0, 50000, 10000, 7.5),
	    "and ends nothing");
	end();
	begin(true);
	tap_ok(take_sum(10, 20, "\"asInt\":\"5\"") && batch.rows_count == 2 &&
	        row_is(0, 10001, 10000, 0) && row_is(1, 20000, 10000, 5),
	    "with zeros a stream begins with 0");
	tap_ok(take_sum(20, 30, "\"asInt\":\"5\"") && batch.rows_count == 1, "once");
	tap_ok(take_sum(20, 30, "\"asInt\":\"5\"") && batch.rows_count == 2 &&
	        row_is(0, 10001, 10000, 0) && row_is(1, 30000, 10000, 10),
	    "and with a repeat, for it may not be stored");
	cumulate.ask.now_ns = 5000;
	tap_ok(take_sum(100, 110, "\"asInt\":\"9\"") && batch.rows_count == 2 &&
	        row_is(0, 100001, 100000, 0) && row_is(1, 110000, 100000, 9),
	    "and after silence");
	cumulate.ask.now_ns = 50000;
	tap_ok(take_sum(0, 120, "\"asInt\":\"9\"") && batch.rows_count == 1,
	    "not where no start is told");
	cumulate.ask.now_ns = 500000;
	tap_ok(take_sum(200, 4000, "\"asInt\":\"9\"") && batch.rows_count == 1, "or one long ago");
	cumulate.ask.now_ns = 600000;
	cumulate.window_ms = 9998;
	tap_ok(take_sum(5000, 5010, "\"asInt\":\"9\"") && batch.rows_count == 1,
	    "or one that is older than late samples may be");
	cumulate.ask.now_ns = 700000;
	cumulate.window_ms = 9999;
	tap_ok(take_sum(6000, 6010, "\"asInt\":\"9\"") && batch.rows_count == 2 &&
	        row_is(0, 6000001, 6000000, 0),
	    "but one that is just as old as they may be");
	end();
}

static bool take_hist(unsigned start_s, unsigned t_s, const char *counts, const char *bounds)
{
	return take("\"histogram\":{\"aggregationTemporality\":1,\"dataPoints\":[{"
	            "\"startTimeUnixNano\":%ue9,\"timeUnixNano\":%ue9,\"count\":6,"
	            "\"sum\":1.5,\"bucketCounts\":[%s],\"explicitBounds\":[%s]}]}",
	    start_s, t_s, counts, bounds);
}

static double sum_of_rows(void)
{
	double sum = 0;
	for (size_t i = 0; i < batch.rows_count; i++)
		sum += batch.rows[i].extra->v;
	return sum;
}

static void classic(void)
{
	begin(false);
	/* Buckets 1, 3, 6, count 6, sum 1.5. */
	tap_ok(take_hist(10, 20, "1,2,3", "1,2") && batch.rows_count == 5 && sum_of_rows() == 17.5,
	    "a histogram's rows");
	tap_ok(take_hist(20, 30, "1,2,3", "1,2") && sum_of_rows() == 35, "are added one by one");
	tap_ok(take_hist(30, 40, "1,5", "1") && batch.rows_count == 4 && sum_of_rows() == 14.5 &&
	        batch.rows[0].extra->start_ms == 30000,
	    "other bounds begin anew");
	end();
	begin(true);
	tap_ok(take_hist(10, 20, "1,2,3", "1,2") && batch.rows_count == 10 && sum_of_rows() == 17.5,
	    "each with its 0 before");
	end();
	begin(false);
	tap_ok(take_hist(10, 20, "1,2,3", "1,2") &&
	        take("\"histogram\":{\"aggregationTemporality\":1,\"dataPoints\":[{"
	             "\"startTimeUnixNano\":20e9,\"timeUnixNano\":30e9,\"count\":6,"
	             "\"bucketCounts\":[1,2,3],\"explicitBounds\":[1,2]}]}") &&
	        batch.rows_count == 4 && sum_of_rows() == 32,
	    "a point without a sum");
	tap_ok(take_hist(30, 40, "1,2,3", "1,2") && batch.rows_count == 4 && sum_of_rows() == 48,
	    "ends the sum");
	end();
	begin(true);
	opts.custom_buckets = true;
	tap_ok(take_hist(10, 20, "1,2,3", "1,2") && batch.rows_count == 2 &&
	        !batch.rows[0].extra->hist->count.n && batch.rows[1].extra->hist->count.n == 6,
	    "a native one of custom buckets");
	bool taken = take_hist(20, 30, "1,2,3", "1,2") && batch.rows_count == 1;
	const struct hist *h = taken ? batch.rows[0].extra->hist : NULL;
	tap_ok(h && !hist_check(h, NULL) && h->count.n == 12 && h->sum == 3 &&
	        h->positive.counts_count == 3 && h->positive.counts[2].n == 6,
	    "is added to");
	bool twice = true;
	for (unsigned i = 0; i < 2; i++) /* 2^62, then 2^63 */
		twice = take("\"histogram\":{\"aggregationTemporality\":1,\"dataPoints\":[{"
		             "\"startTimeUnixNano\":%ue9,\"timeUnixNano\":%ue9,"
		             "\"count\":\"4611686018427387904\",\"sum\":1,"
		             "\"bucketCounts\":[\"4611686018427387904\"],\"explicitBounds\":[]}]}",
		    50 + i, 51 + i);
	tap_ok(!twice && !batch.rows_count && strstr(d.bad_text, "out of range"),
	    "sums of more than a histogram can hold are refused");
	end();
}

static const struct hist *take_exp(unsigned start_s, const char *fields)
{
	bool taken = take("\"exponentialHistogram\":{\"aggregationTemporality\":1,\"dataPoints\":[{"
	                  "\"startTimeUnixNano\":%ue9,\"timeUnixNano\":%ue9,%s}]}",
	    start_s, start_s + 10, fields);
	if (!taken || !batch.rows_count ||
	    hist_check(batch.rows[batch.rows_count - 1].extra->hist, &eb))
		return NULL;
	return batch.rows[batch.rows_count - 1].extra->hist;
}

/* Its count is not what its buckets hold. */
static bool take_bad(void)
{
	return take(
	    "\"exponentialHistogram\":{\"aggregationTemporality\":1,\"dataPoints\":[{"
	    "\"startTimeUnixNano\":5e9,\"timeUnixNano\":500e9,\"count\":9,\"zeroCount\":1}]}");
}

static const char *printed(const struct hist *h)
{
	static char text[500];
	struct buf out;
	buf_init(&out);
	hist_print(hist_to_float(&arena, h), &out);
	(void)snprintf(text, sizeof(text), "%.*s", (int)out.len, (const char *)out.data);
	buf_release(&out);
	return text;
}

static bool hist_is(const struct hist *h, const char *want)
{
	if (h && !strcmp(printed(h), want))
		return true;
	tap_note("%s, not %s", h ? printed(h) : "nothing", want);
	return false;
}

static void exponential(void)
{
	const struct hist *h;
	begin(false);
	tap_ok(hist_is(take_exp(10,
	                   "\"count\":4,\"sum\":9,\"scale\":0,\"zeroCount\":1,"
	                   "\"positive\":{\"offset\":1,\"bucketCounts\":[1,2]}"),
	           "{count:4, sum:9, [-1e-128,1e-128]:1, (2,4]:1, (4,8]:2}"),
	    "an exponential histogram");
	tap_ok(hist_is(take_exp(20,
	                   "\"count\":3,\"sum\":1,\"scale\":1,"
	                   "\"positive\":{\"offset\":2,\"bucketCounts\":[1,1]},"
	                   "\"negative\":{\"offset\":0,\"bucketCounts\":[1]}"),
	           "{count:7, sum:10, [-2,-1):1, [-1e-128,1e-128]:1, (2,4]:3, (4,8]:2}"),
	    "a finer one is added");
	tap_ok(hist_is(take_exp(30,
	                   "\"count\":1,\"sum\":100,\"scale\":0,"
	                   "\"positive\":{\"offset\":7,\"bucketCounts\":[1]}"),
	           "{count:8, sum:110, [-2,-1):1, [-1e-128,1e-128]:1, (2,4]:3, (4,8]:2, "
	           "(128,256]:1}"),
	    "with a gap");
	tap_ok(hist_is(take_exp(40, "\"count\":1,\"scale\":0,\"zeroCount\":1,\"zeroThreshold\":3"),
	           "{count:9, sum:110, [-4,4]:6, (4,8]:2, (128,256]:1}"),
	    "and with a wider zero bucket");
	tap_ok(take_bad() && batch.rows_count == 1 && batch.rows[0].extra->bad &&
	        deltacum_streams(cumulate.ask.dc, 0) == 1,
	    "one that contradicts itself stays what it is");
	h = take_exp(50, "\"flags\":1");
	tap_ok(h && hist_is_stale(h) && batch.rows_count == 1, "a stale marker passes");
	end();
	begin(true);
	tap_ok(take_bad() && batch.rows_count == 1 && !deltacum_streams(cumulate.ask.dc, 0),
	    "no 0 before one that contradicts itself");
	h = take_exp(10, "\"count\":1,\"scale\":3,\"zeroCount\":1");
	tap_ok(h && h->count.n == 1 && batch.rows_count == 2 && batch.rows[0].t_ms == 10001 &&
	        !batch.rows[0].extra->hist->count.n && batch.rows[0].extra->hist->schema == 3,
	    "an empty one before the first");
	end();
}

static void raw(void)
{
	begin(true);
	opts.delta = &otlp_delta_raw;
	tap_ok(take_sum(10, 20, "\"asInt\":\"5\"") && batch.rows_count == 1 &&
	        row_is(0, 20000, 10000, 5) && take_sum(20, 30, "\"asInt\":\"-5\"") &&
	        row_is(0, 30000, 20000, -5) && batch.metas_count == 1 && !batch.metas[0].type,
	    "points may stay what they are, of unknown type");
	const struct hist *h = take_exp(10, "\"count\":1,\"zeroCount\":1");
	tap_ok(h && h->hint == HIST_GAUGE && h->count.n == 1, "native histograms are gauges");
	end();
}

int main(void)
{
	sums();
	classic();
	exponential();
	raw();
	return tap_done();
}
