#include "tests/lib/tap.h"

#include "core/base/wire.h"
#include "proto/datadog.h"
#include "tests/lib/drive.h"

static struct drive v;

static enum err take(const struct decoder *d, const void *body, size_t len, const void *opts)
{
	drive_release(&v);
	drive_init(&v, d, opts);
	return drive(&v, body, len, SIZE_MAX);
}

static enum err json(const struct decoder *d, const char *body)
{
	return take(d, body, strlen(body), NULL);
}

static void gives(const struct decoder *d, const char *body, const char *rows, const char *what)
{
	enum err e = json(d, body);
	tap_is_str(drive_text(&v), rows, "%s", what);
	tap_ok(!e && !v.d.bad && v.canonical, "nothing is wrong with it: %s%s", v.eb.text,
	    v.d.bad_text);
}

/* ---- protobuf, by hand ---- */

static void tag(struct buf *b, unsigned number, unsigned wire)
{
	wire_put_varint(b, number << 3 | wire);
}

static void text(struct buf *b, unsigned number, const char *s)
{
	tag(b, number, 2);
	wire_put_lenbytes(b, s, strlen(s));
}

static void whole(struct buf *b, unsigned number, int64_t n)
{
	tag(b, number, 0);
	wire_put_varint(b, (uint64_t)n);
}

static void real(struct buf *b, unsigned number, double n)
{
	tag(b, number, 1);
	wire_put_f64(b, n);
}

/* m is emptied. */
static void message(struct buf *b, unsigned number, struct buf *m)
{
	tag(b, number, 2);
	wire_put_lenbytes(b, m->data, m->len);
	m->len = 0;
}

static void column(struct buf *b, unsigned number, bool zigzag, const int64_t *n, size_t count)
{
	struct buf c;
	buf_init(&c);
	for (size_t i = 0; i < count; i++)
		if (zigzag)
			wire_put_zigzag(&c, n[i]);
		else
			wire_put_varint(&c, (uint64_t)n[i]);
	message(b, number, &c);
	buf_release(&c);
}
#define COLUMN(b, number, zigzag, ...)                                                             \
 do {                                                                                              \
  const int64_t n_[] = { __VA_ARGS__ };                                                            \
  column(b, number, zigzag, n_, COUNT_OF(n_));                                                     \
 } while (0)

/* ---- JSON ---- */

static void json1(void)
{
	gives(&datadog_json1,
	    "{\"series\":[{\"metric\":\"system.load.1\",\"points\":[[1700000000,1.5],[1700000010.5,-2]],\"type\":\"rate\",\"interval\":10,\"host\":\"web-1\",\"device\":\"sda\",\"tags\":[\"env:prod\",\"solo\",\"url:http://x:80\",\"host:other\",\"a.b-c:1\"],\"source_type_name\":\"System\"}]}",
	    "system_load_1{a_b_c=\"1\", device=\"sda\", env=\"prod\", exported_host=\"other\", host=\"web-1\", solo=\"no_label_value\", source_type_name=\"System\", url=\"http://x:80\"} 1.5 @1700000000000\n"
	    "system_load_1{a_b_c=\"1\", device=\"sda\", env=\"prod\", exported_host=\"other\", host=\"web-1\", solo=\"no_label_value\", source_type_name=\"System\", url=\"http://x:80\"} -2 @1700000010500\n",
	    "a series of 1.0");
	gives(&datadog_json1, " { \"x\" : [1,{}] , \"series\" : [ ] , \"y\" : null } \n", "",
	    "no series");
	gives(&datadog_json1,
	    "{\"series\":[{\"points\":[[0,1]],\"metric\":\"a\"},{\"points\":[[-5,2]],\"metric\":\"b\",\"host\":null,\"tags\":null,\"z\":{}}]}",
	    "a 1 @1700000000123\nb 2 @1700000000123\n", "no time is now");
	gives(&datadog_json1,
	    "{\"series\":[{\"metric\":\"m\",\"points\":[[1,1]],\"tags\":[\"role:b\",\"role:a\",\"role:b\",\"__name__:x\",\"\",\":v\",\"k:\",\"Z:1\"]}]}",
	    "m{Z=\"1\", role=\"a,b\"} 1 @1000\n", "a tag that comes more than once");
	gives(&datadog_json1,
	    "{\"series\":[{\"metric\":\"\\u006d\\u00e9.x\",\"points\":[[1,1]],\"host\":\"a\\\"\\n\"}]}",
	    "m_x{host=\"a\\\"\\n\"} 1 @1000\n", "escapes");
	static const char *const names[][2] = { { "before.dot.metric!.name",
		                                    "before_dot_metric_name" },
		{ "after.dot.metric.!name", "after_dot_metric_name" },
		{ "many.met!!!!ric!!.!!name", "many_met_ric_name" },
		{ "how._.!_met!_ric.x__y", "how__met_ric_x_y" }, { "9lives", "_9lives" } };
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		char body[200], want[100];
		snprintf(body, sizeof(body),
		    "{\"series\":[{\"metric\":\"%s\",\"points\":[[1,1]]}]}", names[i][0]);
		snprintf(want, sizeof(want), "%s 1 @1000\n", names[i][1]);
		gives(&datadog_json1, body, want, names[i][0]);
	}
	static const struct datadog_opts raw = { .raw = true };
	static const char body[] =
	    "{\"series\":[{\"metric\":\"9a_.b!c\",\"points\":[[1,1]],\"tags\":[\"a.b:1\"]}]}";
	(void)!take(&datadog_json1, body, sizeof(body) - 1, &raw);
	tap_is_str(drive_text(&v), "{\"9a.b_c\", \"a.b\"=\"1\"} 1 @1000\n", "raw names");
}

static void json2(void)
{
	gives(&datadog_json2,
	    "{\"series\":[{\"metric\":\"a.b\",\"type\":3,\"points\":[{\"timestamp\":1700000000,\"value\":0.5},{\"value\":1}],\"resources\":[{\"type\":\"host\",\"name\":\"h1\"},{\"name\":\"c1\",\"type\":\"container id\"}],\"tags\":[\"x:y\"],\"metadata\":{\"origin\":{}}}]}",
	    "a_b{container_id=\"c1\", host=\"h1\", x=\"y\"} 0.5 @1700000000000\na_b{container_id=\"c1\", host=\"h1\", x=\"y\"} 1 @1700000000123\n",
	    "a series of 2.0");
	gives(&datadog_values,
	    "{\"series\":[{\"metric\":\"lat\",\"points\":[[1700000000,[4,1,3,2,5]]],\"host\":\"h\"}]}",
	    "lat{host=\"h\", quantile=\"0.5\"} 3 @1700000000000\nlat{host=\"h\", quantile=\"0.75\"} 4 @1700000000000\nlat{host=\"h\", quantile=\"0.9\"} 5 @1700000000000\n"
	    "lat{host=\"h\", quantile=\"0.95\"} 5 @1700000000000\nlat{host=\"h\", quantile=\"0.99\"} 5 @1700000000000\n"
	    "lat_sum{host=\"h\"} 15 @1700000000000\nlat_min{host=\"h\"} 1 @1700000000000\nlat_max{host=\"h\"} 5 @1700000000000\nlat_count{host=\"h\"} 5 @1700000000000\n",
	    "values of a distribution");
}

static void bad(const struct decoder *d, const char *series, const char *why)
{
	char body[600];
	const char *fine = d == &datadog_json2
	    ? "{\"metric\":\"ok\",\"points\":[{\"timestamp\":1,\"value\":1}]}"
	    : "{\"metric\":\"ok\",\"points\":[[1,1]]}";
	snprintf(body, sizeof(body), "{\"series\":[%s,%s,%s]}", fine, series, fine);
	enum err e = json(d, body);
	tap_ok(!e && v.d.bad == 1 && v.d.records == 3 && strstr(v.d.bad_text, why), "%s: %s%s",
	    series, v.d.bad_text, v.eb.text);
	tap_is_str(drive_text(&v), "ok 1 @1000\nok 1 @1000\n", "its neighbours are stored");
}

static void faults(void)
{
	bad(&datadog_json1, "{\"points\":[[1,1]]}", "metric 2: it has no metric");
	bad(&datadog_json1, "{\"metric\":\"\",\"points\":[[1,1]]}", "it has no metric");
	bad(&datadog_json1, "{\"metric\":\"m\",\"points\":[[1]]}",
	    "a point should be [time, value]: m");
	bad(&datadog_json1, "{\"metric\":\"m\",\"points\":[[1,2,3]]}",
	    "a point should be [time, value]");
	bad(&datadog_json1, "{\"metric\":\"m\",\"points\":[[1,\"x\"]]}", "a point should be");
	bad(&datadog_json1, "{\"metric\":\"m\",\"points\":7}", "an array should stand here");
	bad(&datadog_json1, "{\"metric\":7,\"points\":[[1,1]]}", "a text should stand here");
	bad(&datadog_json1, "[]", "an object should stand here");
	bad(&datadog_json2, "{\"metric\":\"m\",\"points\":[{\"timestamp\":1}]}",
	    "a timestamp and a value");
	static const char *const bodies[] = { "", "[]", "{}", "{\"series\":{}}", "{\"series\":[}",
		"{\"series\":[{\"metric\"", "{\"series\":[]", "{\"series\":[]}x",
		"{\"series\":[{\"metric\":\"\\q\"}]}" };
	for (size_t i = 0; i + 1 < COUNT_OF(bodies); i++) {
		enum err e = json(&datadog_json1, bodies[i]);
		tap_ok(e == ERR_MALFORMED && strstr(v.eb.text, "no JSON of series"), "%s: %s",
		    bodies[i], v.eb.text);
	}
	struct buf b;
	buf_init(&b);
	buf_add_str(&b, "{\"series\":[{\"metric\":\"m\",\"points\":[[1,1]");
	for (unsigned i = 0; i < DATADOG_POINTS; i++)
		buf_add_str(&b, ",[1,1]");
	buf_add_str(&b, "]},{\"metric\":\"n\",\"points\":[[1,1]],\"tags\":[\"a:1\"");
	for (unsigned i = 0; i < 300; i++)
		buf_printf(&b, ",\"t%u:1\"", i);
	buf_add_str(&b, "]},{\"metric\":\"ok\",\"points\":[[1,1]]}]}");
	enum err e = take(&datadog_json1, b.data, b.len, NULL);
	tap_is_str(drive_text(&v), "ok 1 @1000\n", "too many points, too many labels");
	tap_ok(!e && v.d.bad == 2, "%s", v.d.bad_text);
	b.len = 0;
	buf_add_str(&b, "{\"series\":[{\"metric\":\"m\",\"points\":[[1,1]");
	for (unsigned i = 1; i < DECODE_ROWS; i++)
		buf_add_str(&b, ",[1,1]");
	buf_add_str(&b, "]}");
	e = take(&datadog_json1, b.data, b.len, NULL);
	tap_ok(e == ERR_MALFORMED && v.rows == DECODE_ROWS,
	    "it ends behind a full batch: %d %" PRIu64 " %s", (int)e, v.rows, v.eb.text);
	buf_release(&b);
}

/* points lists of so many values each, in one series. */
static void values_make(struct buf *b, unsigned points, unsigned values)
{
	b->len = 0;
	buf_add_str(b, "{\"series\":[{\"metric\":\"m\",\"points\":[");
	for (unsigned i = 0; i < points; i++) {
		buf_printf(b, "%s[%u,[0", i ? "," : "", i + 1);
		for (unsigned k = 1; k < values; k++)
			buf_add_str(b, ",1");
		buf_add_str(b, "]]");
	}
	buf_add_str(b, "]},{\"metric\":\"ok\",\"points\":[[2,[3]]]}]}");
}

/* What one series keeps in memory, and sorts in one call, has an end. */
static void many_values(void)
{
	struct buf b;
	buf_init(&b);
	static const struct {
		unsigned points, values;
		bool fine;
	} cases[] = { { 1, DATADOG_VALUES, true }, { 1, DATADOG_VALUES + 1, false },
		{ 16, DATADOG_VALUES / 16, true }, { 17, DATADOG_VALUES / 16, false } };
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		values_make(&b, cases[i].points, cases[i].values);
		enum err e = take(&datadog_values, b.data, b.len, NULL);
		uint64_t rows = 9u * (cases[i].fine ? cases[i].points + 1 : 1);
		tap_ok(!e && v.rows == rows && v.d.bad == !cases[i].fine &&
		        (cases[i].fine || strstr(v.d.bad_text, "more than 65536 values")),
		    "%u points of %u values: %" PRIu64 " rows %s", cases[i].points, cases[i].values,
		    v.rows, v.d.bad_text);
	}
	buf_release(&b);
}

/* ---- protobuf ---- */

static void series(void)
{
	struct buf b, s, m;
	buf_init(&b);
	buf_init(&s);
	buf_init(&m);
	text(&m, 1, "host");
	text(&m, 2, "h1");
	message(&s, 1, &m);
	text(&s, 2, "sys.cpu");
	text(&s, 3, "env:prod");
	real(&m, 1, 0.25);
	whole(&m, 2, 1700000000);
	message(&s, 4, &m);
	real(&m, 1, 0.5);
	message(&s, 4, &m);
	whole(&s, 5, 3);
	text(&s, 7, "System");
	message(&b, 1, &s);
	text(&s, 3, "no:name");
	message(&b, 1, &s);
	text(&b, 1, "\xff\xff");
	text(&b, 9, "unknown");
	text(&s, 2, "last");
	whole(&m, 2, 5);
	message(&s, 4, &m);
	message(&b, 1, &s);
	enum err e = take(&datadog_series, b.data, b.len, NULL);
	tap_is_str(drive_text(&v),
	    "sys_cpu{env=\"prod\", host=\"h1\", source_type_name=\"System\"} 0.25 @1700000000000\nsys_cpu{env=\"prod\", host=\"h1\", source_type_name=\"System\"} 0.5 @1700000000123\nlast 0 @5000\n",
	    "series in protobuf");
	tap_ok(
	    !e && v.d.bad == 2 && v.canonical && strstr(v.d.bad_text, "metric 2: it has no metric"),
	    "%s", v.d.bad_text);
	e = take(&datadog_series, b.data, b.len - 1, NULL);
	tap_ok(e == ERR_MALFORMED && v.rows == 2, "cut: %s", v.eb.text);
	tap_ok(!take(&datadog_series, "", 0, NULL), "an empty body");
	buf_release(&b);
	buf_release(&s);
	buf_release(&m);
}

static void sketches(void)
{
	struct buf b, s, m;
	buf_init(&b);
	buf_init(&s);
	buf_init(&m);
	text(&s, 1, "lat");
	text(&s, 2, "h1");
	text(&s, 4, "a:b");
	whole(&m, 1, 1700000000);
	whole(&m, 2, 4);
	real(&m, 3, 1);
	real(&m, 4, 3);
	real(&m, 6, 8);
	COLUMN(&m, 7, true, 1338, 1409);
	COLUMN(&m, 8, false, 1, 3);
	message(&s, 7, &m);
	message(&b, 1, &s);
	enum err e = take(&datadog_sketches, b.data, b.len, NULL);
	/* The second bin begins at 1.015625^71 = 3.0072; rank 2 (0.5 x 3 to even) is in it. */
	tap_ok(!e && v.rows == 9 && !v.d.bad && v.canonical, "a sketch is nine series: %s%s",
	    v.eb.text, v.d.bad_text);
	tap_ok(
	    strstr(drive_text(&v),
	        "lat_sum{a=\"b\", host=\"h1\"} 8 @1700000000000\nlat_min{a=\"b\", host=\"h1\"} 1 @1700000000000\nlat_max{a=\"b\", host=\"h1\"} 3 @1700000000000\nlat_count{a=\"b\", host=\"h1\"} 4 @1700000000000\n"),
	    "%s", drive_text(&v));
	double q50 = 0, q99 = 0;
	const char *at = strstr(drive_text(&v), "lat{a=\"b\", host=\"h1\", quantile=\"0.5\"} ");
	q50 = at ? strtod(strchr(at, '}') + 1, NULL) : 0;
	at = strstr(drive_text(&v), "quantile=\"0.99\"} ");
	q99 = at ? strtod(strchr(at, '}') + 1, NULL) : 0;
	double low = 1;
	for (unsigned i = 0; i < 71; i++)
		low *= 1.015625;
	tap_ok(q50 > low * 1.0051 && q50 < low * 1.0053,
	    "the middle is a third into its bin: %g of %g", q50, low);
	tap_ok(q99 > low * 1.0103 && q99 < low * 1.0105, "the 99th is two thirds into it: %g", q99);
	text(&s, 1, "bad");
	COLUMN(&m, 7, true, 1, 2);
	COLUMN(&m, 8, false, 1);
	message(&s, 7, &m);
	b.len = 0;
	message(&b, 1, &s);
	e = take(&datadog_sketches, b.data, b.len, NULL);
	tap_ok(!e && v.d.bad == 1 && strstr(v.d.bad_text, "2 keys and 1 counts"), "%s", v.d.bad_text);
	buf_release(&b);
	buf_release(&s);
	buf_release(&m);
}

static void dict(struct buf *b, unsigned number, const char *const *words, size_t count)
{
	struct buf c;
	buf_init(&c);
	for (size_t i = 0; i < count; i++)
		wire_put_lenbytes(&c, words[i], strlen(words[i]));
	message(b, number, &c);
	buf_release(&c);
}

/* Four series: whole numbers, floats, zeros, a sketch. */
static void columns_make(struct buf *b, int64_t third_tagset)
{
	static const char *const names[] = { "a.whole", "a.real", "a.zero", "a.sketch" };
	static const char *const tags[] = { "env:prod", "x:1", "y:2" };
	static const char *const resources[] = { "host", "h1", "device", "sda" };
	static const char *const sources[] = { "System" };
	static const float floats[] = { 0.5f };
	struct buf d, c;
	buf_init(&d);
	buf_init(&c);
	text(&c, 1, "all:1");
	text(&c, 2, "cluster");
	text(&c, 2, "c1");
	message(b, 2, &c);
	dict(&d, 1, names, COUNT_OF(names));
	dict(&d, 2, tags, COUNT_OF(tags));
	/* set 1: tags 1, 2; set 2: tag 3 and set 1 (an index of -1, 4 less than 3) */
	COLUMN(&d, 3, true, 2, 1, 1, 2, 3, third_tagset);
	dict(&d, 4, resources, COUNT_OF(resources));
	COLUMN(&d, 5, false, 1, 2);
	COLUMN(&d, 6, true, 1, 1, 2);
	COLUMN(&d, 7, true, 2, 2, 2);
	dict(&d, 8, sources, COUNT_OF(sources));
	COLUMN(&d, 10, false, 0x11, 0x223, 0x03, 0x14);
	COLUMN(&d, 11, true, 1, 1, 1, 1);
	COLUMN(&d, 12, true, 1, 1, -2, 1);
	COLUMN(&d, 13, true, 1, 1, -2, 0);
	COLUMN(&d, 14, false, 10, 0, 0, 0);
	COLUMN(&d, 15, false, 2, 1, 1, 1);
	COLUMN(&d, 23, true, 0, 1, -1, 0);
	COLUMN(&d, 16, true, 1700000000, 10, -10, 0, 5);
	COLUMN(&d, 17, true, 7, -8, 12, 1, 5, 4);
	tag(&c, 0, 0);
	c.len = 0;
	buf_add(&c, floats, sizeof(floats));
	message(&d, 18, &c);
	COLUMN(&d, 20, false, 2);
	COLUMN(&d, 21, true, 1338, 71);
	COLUMN(&d, 22, false, 1, 3);
	message(b, 3, &d);
	buf_release(&d);
	buf_release(&c);
}

/* Two series of one set of tags, which names the empty tag 600 times. */
static void many_refs(struct buf *b)
{
	static const char *const names[] = { "m" };
	int64_t set[601] = { 600 };
	struct buf d;
	buf_init(&d);
	dict(&d, 1, names, COUNT_OF(names));
	column(&d, 3, true, set, COUNT_OF(set));
	COLUMN(&d, 10, false, 0x03, 0x03);
	COLUMN(&d, 11, true, 1, 0);
	COLUMN(&d, 12, true, 1, 0);
	COLUMN(&d, 15, false, 1, 1);
	COLUMN(&d, 16, true, 1700000000, 0);
	message(b, 3, &d);
	buf_release(&d);
}

static void columns(void)
{
	struct buf b;
	buf_init(&b);
	columns_make(&b, -4);
	enum err e = take(&datadog_columns, b.data, b.len, NULL);
	const char *got = drive_text(&v);
	static const char begin[] =
	    "a_whole{all=\"1\", cluster=\"c1\", env=\"prod\", host=\"h1\", x=\"1\"} 7 @1700000000000\n"
	    "a_whole{all=\"1\", cluster=\"c1\", env=\"prod\", host=\"h1\", x=\"1\"} -8 @1700000010000\n"
	    "a_real{all=\"1\", cluster=\"c1\", device=\"sda\", env=\"prod\", host=\"h1\", source_type_name=\"System\", x=\"1\", y=\"2\"} 0.5 @1700000000000\n"
	    "a_zero{all=\"1\", cluster=\"c1\"} 0 @1700000000000\n";
	tap_ok(!e && !strncmp(got, begin, sizeof(begin) - 1), "series in columns: %s%s %s",
	    v.eb.text, v.d.bad_text, got);
	tap_ok(v.rows == 13 && !v.d.bad && v.canonical &&
	        strstr(got,
	            "a_sketch_sum{all=\"1\", cluster=\"c1\", env=\"prod\", x=\"1\"} 12 @1700000005000\n") &&
	        strstr(got,
	            "a_sketch_count{all=\"1\", cluster=\"c1\", env=\"prod\", x=\"1\"} 4 @1700000005000\n"),
	    "and a sketch: %" PRIu64 " rows", v.rows);
	for (size_t cut = 1; cut < b.len; cut++)
		if (!take(&datadog_columns, b.data, b.len - cut, NULL) && b.len - cut > 30 &&
		    v.rows == 13) {
			tap_ok(false, "cut by %zu it is whole", cut);
			break;
		}
	b.len = 0;
	columns_make(&b, -5);
	e = take(&datadog_columns, b.data, b.len, NULL);
	tap_ok(!e && v.d.bad == 1 && strstr(v.d.bad_text, "names a later one"),
	    "a set that names itself: %s", v.d.bad_text);
	b.len = 0;
	many_refs(&b);
	e = take(&datadog_columns, b.data, b.len, NULL);
	tap_ok(!e && v.d.records == 2 && v.d.bad == 2 && strstr(v.d.bad_text, "more tags than"),
	    "references that give no label are counted, too: %s%s", v.eb.text, v.d.bad_text);
	buf_release(&b);
}

int main(void)
{
	drive_init(&v, &datadog_json1, NULL);
	json1();
	json2();
	faults();
	many_values();
	series();
	sketches();
	columns();
	drive_release(&v);
	return tap_done();
}
