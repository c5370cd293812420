#include "tests/lib/tap.h"

#include "core/base/num.h"
#include "proto/exportfmt.h"
#include "proto/importl.h"

#include <math.h>

static struct arena arena;
static struct batch batch;
static struct importl line;
static struct errbuf eb;

static enum err take(const char *text)
{
	arena_reset(&arena, 0);
	batch_clear(&batch);
	errbuf_init(&eb);
	enum err e = importl_begin(&arena, text, strlen(text), &line, &eb);
	return e ? e : importl_rows(&line, &batch, SIZE_MAX, &eb);
}

static void refused(const char *text, const char *why)
{
	enum err e = take(text);
	tap_ok(e == ERR_MALFORMED && strstr(eb.text, why), "%.60s: %s", text, eb.text);
}

static void good(void)
{
	static const double want[] = { 1, -0.5, INFINITY, -INFINITY, 3, 1e300 };
	tap_ok(
	    !take("{\"metric\":{\"job\":\"a\",\"__name__\":\"up\",\"none\":\"\"},\"values\":[1,-0.5,\"Infinity\",\"-Inf\",\"3\",1e300],\"timestamps\":[1,2,3,4,5,-6]}") &&
	        batch.rows_count == COUNT_OF(want),
	    "a line: %s", eb.text);
	for (size_t i = 0; i < COUNT_OF(want); i++)
		tap_ok(batch.rows[i].v == want[i] &&
		        batch.rows[i].t_ms == (i < 5 ? (int64_t)i + 1 : -6),
		    "sample %zu is %g", i, batch.rows[i].v);
	struct labels ls = { .bytes = line.labels, .len = line.labels_len };
	struct labels up = label_make(&arena, "__name__", "up", "job", "a", NULL);
	tap_ok(label_equal(ls, up), "its labels are sorted, and an empty one is none");
	tap_ok(
	    !take("{\"values\":[null,\"NaN\",\"null\"],\"metric\":{\"a\":\"b\"},\"timestamps\":[1,2,3]}") &&
	        num_bits(batch.rows[0].v) == SAMPLE_STALE_BITS &&
	        num_bits(batch.rows[1].v) == SAMPLE_NAN_BITS &&
	        num_bits(batch.rows[2].v) == SAMPLE_STALE_BITS,
	    "null is a stale marker, NaN is none");
	static const double bare[] = { INFINITY, -INFINITY, INFINITY, -INFINITY, 5 };
	tap_ok(
	    !take("{\"values\":[+Inf,-Inf,inf,-Infinity,5,NaN],\"metric\":{\"a\":\"b\"},\"timestamps\":[1,2,3,4,5,6]}") &&
	        batch.rows_count == 6 && num_bits(batch.rows[5].v) == SAMPLE_NAN_BITS,
	    "words without quotes, as older exports have them: %s", eb.text);
	for (size_t i = 0; i < COUNT_OF(bare) && i < batch.rows_count; i++)
		tap_ok(batch.rows[i].v == bare[i], "it is %g", batch.rows[i].v);
	tap_ok(
	    !take("{\"x\":[{},[],{\"y\":[1,\"]\"]}],\"values\":[],\"timestamps\":[],\"metric\":{\"\\u0061\":\"\\ud83d\\ude00\\ud800\\n\"},\"z\":false}") &&
	        !batch.rows_count,
	    "unknown members and no samples: %s", eb.text);
	uint32_t len = 0;
	const char *a = label_get((struct labels){ line.labels, line.labels_len }, "a", 1, &len);
	tap_is_mem(a, len, "\xf0\x9f\x98\x80\xef\xbf\xbd\n", 8, "escapes, a half of a pair alone");
}

static void bad(void)
{
	refused("", "JSON object");
	refused("[]", "JSON object");
	refused("{\"values\":[],\"timestamps\":[]}", "\"metric\" is missing");
	refused("{\"metric\":{},\"timestamps\":[]}", "\"values\" is missing");
	refused("{\"metric\":{},\"values\":[]}", "\"timestamps\" is missing");
	refused("{\"metric\":{},\"values\":[1],\"timestamps\":[]}", "1 values and 0 timestamps");
	refused(
	    "{\"metric\":{},\"values\":[1],\"timestamps\":[1.5]}", "whole number of milliseconds");
	refused("{\"metric\":{},\"values\":[x],\"timestamps\":[1]}",
	    "a value is no number, at byte 23");
	refused("{\"metric\":{},\"values\":[\"one\"],\"timestamps\":[1]}", "a value is no number");
	refused(
	    "{\"metric\":{\"a\":1},\"values\":[],\"timestamps\":[]}", "a string should stand here");
	refused("{\"metric\":{\"a\":\"\\q\"},\"values\":[],\"timestamps\":[]}", "escape");
	refused("{\"metric\":{\"a\":\"\xff\"},\"values\":[],\"timestamps\":[]}", "UTF-8");
	refused("{\"metric\":{\"a\":\"b},\"values\":[],\"timestamps\":[]}", "at byte");
	refused("{\"metric\":{},\"values\":[],\"timestamps\":[]} x", "behind the object");
	refused("{\"metric\":{},\"values\":[],\"timestamps\":[]", "comma");
	char deep[200] = "{\"x\":";
	memset(deep + 5, '[', 100);
	refused(deep, "too deep");
}

static void pieces(void)
{
	struct buf b;
	buf_init(&b);
	buf_add_str(&b, "{\"metric\":{\"__name__\":\"m\"},\"values\":[0");
	for (unsigned i = 1; i < 1000; i++)
		buf_printf(&b, ",%u", i);
	buf_add_str(&b, "],\"timestamps\":[0");
	for (unsigned i = 1; i < 1000; i++)
		buf_printf(&b, ",%u", 10 * i);
	buf_add_str(&b, "]}");
	arena_reset(&arena, 0);
	enum err e = importl_begin(&arena, (const char *)b.data, b.len, &line, &eb);
	size_t given = 0;
	bool same = !e;
	while (!e && line.left) {
		batch_clear(&batch);
		e = importl_rows(&line, &batch, 77, &eb);
		for (size_t i = 0; i < batch.rows_count; i++, given++)
			same &= batch.rows[i].v == (double)given &&
			    batch.rows[i].t_ms == (int64_t)given * 10;
	}
	tap_ok(!e && same && given == 1000, "a long line, some rows at a time");
	buf_release(&b);
}

static void csv(void)
{
	struct exportfmt_csv f;
	struct buf b;
	static const int64_t t[] = { 1500, -1, 0 };
	const double v[] = { 1.5, sample_stale(), -INFINITY };
	static const char format[] =
	    "job,__value__,__timestamp__:unix_s,__timestamp__:unix_ns,__timestamp__:rfc3339,__timestamp__";
	struct sample_column c = { .count = 3, .t_ms = t, .v = v };
	arena_reset(&arena, 0);
	buf_init(&b);
	errbuf_init(&eb);
	TAP_OK(!exportfmt_csv_parse(&arena, format, sizeof(format) - 1, &f, &eb));
	exportfmt_rows(&b, &f, label_make(&arena, "job", "a,\"b\"", NULL), &c, 0, 3);
	buf_add_u8(&b, 0);
	tap_is_str((const char *)b.data,
	    "\"a,\"\"b\"\"\",1.5,1,1500000000,1970-01-01T00:00:01.500Z,1500\n\"a,\"\"b\"\"\",-Inf,0,0,1970-01-01T00:00:00Z,0\n",
	    "CSV: quotes, times, no stale marker");
	buf_release(&b);
	tap_ok(exportfmt_csv_parse(&arena, "a,,b", 4, &f, &eb) == ERR_BADDATA, "%s", eb.text);
	static const char odd[] = "\"a,\"\"b\",c\"d,\"e\"";
	tap_ok(!exportfmt_csv_parse(&arena, odd, sizeof(odd) - 1, &f, &eb) && f.count == 3 &&
	        bytes_equal(f.columns[0].name, f.columns[0].name_len, "a,\"b", 4) &&
	        bytes_equal(f.columns[1].name, f.columns[1].name_len, "c\"d", 3) &&
	        bytes_equal(f.columns[2].name, f.columns[2].name_len, "e", 1),
	    "names in quotes");
	static const char *const wrong[] = { "\"", "\"a", "\"a\"b", "a,\"\"\"", "\"\"", "\"a\"," };
	for (size_t i = 0; i < COUNT_OF(wrong); i++)
		tap_ok(exportfmt_csv_parse(&arena, wrong[i], strlen(wrong[i]), &f, &eb) == ERR_BADDATA,
		    "%s: %s", wrong[i], eb.text);
}

int main(void)
{
	arena_init(&arena, 4096);
	batch_init(&batch);
	good();
	bad();
	pieces();
	csv();
	batch_release(&batch);
	arena_release(&arena);
	return tap_done();
}
