#include "tests/lib/tap.h"

#include "proto/influx.h"
#include "tests/lib/drive.h"

static struct drive v;

static void take_by(const char *body, size_t len, const struct influx_opts *o, size_t part)
{
	drive_release(&v);
	drive_init(&v, &influx_decoder, o);
	enum err e = drive(&v, body, len, part);
	if (e)
		tap_ok(false, "no body of lines is an error: %s", v.eb.text);
}

static void take_as(const char *body, const struct influx_opts *o)
{
	take_by(body, strlen(body), o, SIZE_MAX);
}

static void take(const char *body)
{
	take_as(body, NULL);
}

/* rows: as tests/lib/drive.h puts them. */
static void gives(const char *body, const char *rows, const char *what)
{
	take(body);
	tap_is_str(drive_text(&v), rows, "%s", what);
	tap_ok(!v.d.bad && v.canonical, "and nothing is wrong with it: %s", v.d.bad_text);
}

/* The one line is a bad one, for this reason; the others are not. */
static void bad(const char *line, const char *why)
{
	char body[600];
	snprintf(body, sizeof(body), "a x=1 5000000\n%s\nb x=2 6000000", line);
	take(body);
	size_t count;
	const struct influx_bad *b = influx_bads(&v.d, &count);
	tap_ok(v.d.bad == 1 && count == 1 && b->line == 2 && !strcmp(b->why, why), "%s: %s", line,
	    count ? b->why : "it is fine");
	tap_is_str(drive_text(&v), "a_x 1 @5\nb_x 2 @6\n", "its neighbours are stored");
}

static void lines(void)
{
	gives("m f=1 1700000000000000000", "m_f 1 @1700000000000\n", "a line");
	gives("m f=1", "m_f 1 @1700000000123\n", "without a time it is now");
	gives("m,b=2,a=1 f=1,g=2.5 1000000000\n",
	    "m_f{a=\"1\", b=\"2\"} 1 @1000\nm_g{a=\"1\", b=\"2\"} 2.5 @1000\n",
	    "tags are sorted, fields are samples");
	gives("m,Zone=z,a=1 f=1 0\n", "m_f{Zone=\"z\", a=\"1\"} 1 @0\n",
	    "labels before and behind the name");
	gives("m f=1 0\r\nm f=2 1000000\r\n\r\n", "m_f 1 @0\nm_f 2 @1\n", "CR before LF");
	gives("\n\n# a comment\n  \t m f=1 0\n   # another\n\n", "m_f 1 @0\n",
	    "empty lines, comments, blanks before a line");
	gives("m f=1 0   \nm f=2   1000000 \nm   f=3 2000000\nm f=4 ",
	    "m_f 1 @0\nm_f 2 @1\nm_f 3 @2\nm_f 4 @1700000000123\n", "blanks between and behind");
	gives("m f=1 -1\nm f=2 -1000000\nm f=3 1999999", "m_f 1 @-1\nm_f 2 @-1\nm_f 3 @1\n",
	    "times go down to whole milliseconds");
}

static void values(void)
{
	gives("m a=1,b=-2.5,c=1e3,d=-0,e=100i,f=-5i,g=18446744073709551615u,h=0.1,i=1.5E-3 0",
	    "m_a 1 @0\nm_b -2.5 @0\nm_c 1000 @0\nm_d -0 @0\nm_e 100 @0\nm_f -5 @0\nm_g 1.8446744073709552e+19 @0\nm_h 0.1 @0\nm_i 0.0015 @0\n",
	    "numbers");
	gives("m a=97.29729729729716512,b=9007199254740993i,c=0.30000000000000004,d=123456.789012345,e=1.7976931348623157e308 0",
	    "m_a 97.29729729729716 @0\nm_b 9.007199254740992e+15 @0\nm_c 0.30000000000000004 @0\nm_d 123456.789012345 @0\nm_e 1.7976931348623157e+308 @0\n",
	    "numbers of many digits");
	gives("m a=t,b=T,c=true,d=True,e=TRUE,f=f,g=F,h=false,i=False,j=FALSE 0",
	    "m_a 1 @0\nm_b 1 @0\nm_c 1 @0\nm_d 1 @0\nm_e 1 @0\nm_f 0 @0\nm_g 0 @0\nm_h 0 @0\nm_i 0 @0\nm_j 0 @0\n",
	    "true and false");
	gives("m a=\"text\",b=1,c=\"\",d=\"a, b=c \\\" \\\\\" 0\nm a=\"only\" 0", "m_b 1 @0\n",
	    "texts are left out");
	tap_ok(v.d.skipped == 4 && v.d.records == 2, "and counted");
	gives("m a=\"x\ny\n# z\nq\",b=1 0\nm b=2 1000000", "m_b 1 @0\nm_b 2 @1\n", "LFs in a text");
	gives("m a=\"\\\",b=2\",b=1 0", "m_b 1 @0\n", "a quote in a text");
	gives("m a=\"c:\\dir\\\\\",b=1 0", "m_b 1 @0\n", "backslashes in a text");
}

static void escapes(void)
{
	gives("m\\,\\ x,t\\,a\\ g\\==v\\,a\\ l\\=\\\\x f=1 0",
	    "m__x_f{t_a_g_=\"v,a l=\\\\\\\\x\"} 1 @0\n",
	    "escapes of each part; two backslashes stay");
	gives("m\\=x f=1 0", "m__x_f 1 @0\n", "an = in a measurement has no escape");
	gives("m=x f=1 0", "m_x_f 1 @0\n", "and needs none");
	gives("m f\\ g\\,\\=h=1 0", "m_f_g__h 1 @0\n", "a name of a field");
	gives("m,path=C:\\dir\\new f=1 0", "m_f{path=\"C:\\\\dir\\\\new\"} 1 @0\n",
	    "other backslashes are themselves");
	gives("m,a=\"q\" f=1 0", "m_f{a=\"\\\"q\\\"\"} 1 @0\n", "quotes in tags are themselves");
}

static void names(void)
{
	static const struct influx_opts raw = { .separator = ".", .raw = true },
	                                single = { .separator = "_", .skip_single = true },
	                                db = { .separator = ":",
		                                .db_label = "db",
		                                .db = "my db",
		                                .db_len = 5 };
	static const char body[] = "m-1,t.a=1 f/g=1 0\n";
	gives("9m.x,0t-a=1,\xc3\xa9=2 8f.\xc3\xa9=1 0", "_9m_x_8f__{_=\"2\", _0t_a=\"1\"} 1 @0\n",
	    "names become plain");
	gives("a:b f:c=1 0", "a:b_f:c 1 @0\n", "a colon may stand in a metric");
	take_as(body, &raw);
	tap_is_str(drive_text(&v), "{\"m-1.f/g\", \"t.a\"=\"1\"} 1 @0\n", "raw names stay");
	take_as("m,a=1 value=1 0\nm,a=1 x=1,y=2 0", &single);
	tap_is_str(drive_text(&v), "m{a=\"1\"} 1 @0\nm_x{a=\"1\"} 1 @0\nm_y{a=\"1\"} 2 @0\n",
	    "one field: the measurement alone");
	take_as("m,a=1 f=1 0\nm,z=1 f=1 0\nm,db=x f=1 0\nm f=1 0", &db);
	tap_is_str(drive_text(&v),
	    "m:f{a=\"1\", db=\"my db\"} 1 @0\nm:f{db=\"my db\", z=\"1\"} 1 @0\nm:f{db=\"x\"} 1 @0\nm:f{db=\"my db\"} 1 @0\n",
	    "the label of the database; a tag stands before it");
	gives("m,__name__=evil,a=1 f=1 0", "m_f{a=\"1\"} 1 @0\n", "a tag __name__ is left out");
	gives("m,a=,=x,b=1 f=1 0", "m_f{b=\"1\"} 1 @0\n", "tags without a value or name, too");
	gives("m f=1,g=2,f=3 0", "m_g 2 @0\nm_f 3 @0\n", "of a field twice the last one counts");
}

static void faults(void)
{
	bad(",a=b f=1 0", "missing measurement");
	bad("m", "missing fields");
	bad("m ", "missing fields");
	bad("m,a=b", "missing fields");
	bad("m,a f=1", "missing tag value");
	bad("m, f=1", "missing tag key");
	bad("m,a=b=c f=1", "invalid tag format");
	bad("m,a=b,a=c f=1", "duplicate tags");
	bad("m,a.b=1,a-b=2 f=1", "tags a.b and a-b would both be a_b");
	bad("m,_-name__=1 f=1", "tag _-name__ would be the name of the metric");
	bad("m a.b=1,a-b=2", "fields a.b and a-b would both be a_b");
	bad("m =1", "missing field key");
	bad("m f=", "missing field value");
	bad("m f=1,", "missing fields");
	bad("m f", "invalid field format");
	bad("m f=\"x\"y", "invalid field format");
	bad("m f=+1", "invalid number");
	bad("m f=NaN", "invalid number");
	bad("m f=Inf", "invalid number");
	bad("m f=0x10", "invalid number");
	bad("m f=1_0", "invalid number");
	bad("m f=1.2.3", "invalid number");
	bad("m f=1.5i", "invalid number");
	bad("m f=-", "invalid number");
	bad("m f=i", "invalid number");
	bad("m f=+1i", "invalid number");
	bad("m f=-1u", "invalid number");
	bad("m f=tru", "invalid boolean");
	bad("m f=1e400", "unable to parse float: value out of range");
	bad("m f=9223372036854775808i", "unable to parse integer: value out of range");
	bad("m f=1 x", "bad timestamp");
	bad("m f=1 1 2", "bad timestamp");
	bad("m f=1 1.5", "bad timestamp");
	bad("m f=1\r2", "bad timestamp");
	bad("m f=1 9223372036854775808", "timestamp out of range");
	bad("m f=\"never", "unbalanced quotes");
	take("m a=\"x\ny\",b=? 0\nm b=2 0\nm c=");
	size_t count;
	const struct influx_bad *b = influx_bads(&v.d, &count);
	tap_ok(v.d.bad == 2 && count == 2 && b[0].line == 1 && b[1].line == 4,
	    "a bad line with an LF in a text is one line");
	tap_is_str(drive_text(&v), "m_b 2 @0\n", "the good one is stored");
	tap_is_str(
	    v.d.bad_text, "line 1: invalid number: 'm a=\"x\ny\",b=? 0'", "and the first is told");
}

static void precision(void)
{
	static const struct {
		const char *word, *row;
	} of[] = { { "n", "m_f 1 @1700000000\n" }, { "ns", "m_f 1 @1700000000\n" },
		{ "u", "m_f 1 @1700000000000\n" }, { "us", "m_f 1 @1700000000000\n" },
		{ "ms", "m_f 1 @1700000000000000\n" }, { "s", "m_f 1 @1700000000000000000\n" },
		{ "second", "m_f 1 @1700000000000000000\n" } };
	struct influx_opts o = influx_defaults;
	for (size_t i = 0; i < COUNT_OF(of); i++) {
		bool known = influx_precision(of[i].word, strlen(of[i].word), true, &o.precision);
		take_as("m f=1 1700000000000000", &o);
		tap_is_str(known ? drive_text(&v) : "", of[i].row, "in %s", of[i].word);
	}
	TAP_OK(influx_precision("m", 1, false, &o.precision));
	take_as("m f=1 5", &o);
	tap_is_str(drive_text(&v), "m_f 1 @300000\n", "in minutes");
	TAP_OK(influx_precision("h", 1, false, &o.precision));
	take_as("m f=1 -5\nm f=1 9223372036854775807", &o);
	tap_is_str(drive_text(&v), "m_f 1 @-18000000\n", "in hours");
	tap_ok(v.d.bad == 1, "hours that are out of range: %s", v.d.bad_text);
	TAP_OK(influx_precision("auto", 4, true, &o.precision));
	take_as(
	    "m f=1 1700000000\nm f=1 1700000000123\nm f=1 1700000000123456\nm f=1 1700000000123456789\nm f=1 -5",
	    &o);
	tap_is_str(drive_text(&v),
	    "m_f 1 @1700000000000\nm_f 1 @1700000000123\nm_f 1 @1700000000123\nm_f 1 @1700000000123\nm_f 1 @-5000\n",
	    "by their size");
	tap_ok(!influx_precision("auto", 4, false, &o.precision) &&
	        !influx_precision("d", 1, true, &o.precision) &&
	        !influx_precision("", 0, true, &o.precision),
	    "others are none");
}

static void repeat(struct buf *b, const char *s, size_t times)
{
	for (size_t i = 0; i < times; i++)
		buf_add_str(b, s);
}

static void limits(void)
{
	struct buf b;
	buf_init(&b);
	buf_add_str(&b, "m,a=");
	repeat(&b, "x", INFLUXL_KEY_MAX);
	buf_add_str(&b, " f=1 0\nm f=2 0\nm,b=1 ");
	repeat(&b, "x", INFLUXL_KEY_MAX);
	buf_add_str(&b, "=1 0\nm f=3 0\nm f=\"");
	repeat(&b, "text ", INFLUXL_LINE_MAX / 5 + 1);
	buf_add_str(&b, "\" 0\nm f=4 0\nm");
	for (unsigned i = 0; i < 300; i++)
		buf_printf(&b, ",t%u=%u", i, i);
	buf_add_str(&b, " f=1 0\nm f=5 0\nm a=1");
	for (unsigned i = 0; i < INFLUXL_FIELDS_MAX; i++)
		buf_printf(&b, ",f%u=1", i);
	buf_add_str(&b, " 0\nm f=6 0\nm f=\"");
	repeat(&b, "x\n", INFLUXL_LINE_MAX);
	buf_add_str(&b, "\nm f=7 0");
	take_by((const char *)b.data, b.len, NULL, 100000);
	size_t count;
	const struct influx_bad *bads = influx_bads(&v.d, &count);
	tap_is_str(drive_text(&v), "m_f 2 @0\nm_f 3 @0\nm_f 4 @0\nm_f 5 @0\nm_f 6 @0\nm_f 7 @0\n",
	    "lines over a limit cost no others");
	static const char *const why[] = { "max key size exceeded: 65535 bytes of measurement and tags",
		"max key size exceeded: 65535 bytes of measurement, tags and the name of a field",
		"the line is longer than 262144 bytes",
		"300 tags are too many: limit 256 (--limits.labels-per-series)", "too many fields",
		"unbalanced quotes" };
	for (size_t i = 0; i < COUNT_OF(why); i++)
		tap_is_str(i < count ? bads[i].why : "", why[i], "limit %zu", i);
	buf_release(&b);
}

/* Many fields beside long tags: more labels than a batch takes, so it comes in parts. */
static void long_lines(void)
{
	struct buf b, want;
	buf_init(&b);
	buf_init(&want);
	buf_add_str(&b, "m,a=");
	repeat(&b, "y", 20000);
	buf_add_str(&b, " f0=0");
	for (unsigned i = 1; i < 500; i++)
		buf_printf(&b, i == 250 ? ",f%u=\"%u\"" : ",f%u=%u", i, i);
	buf_add_str(&b, " 1000000\nn f=1 0");
	take_by((const char *)b.data, b.len, NULL, SIZE_MAX);
	tap_ok(v.rows == 500 && v.d.records == 2 && v.d.skipped == 1 && v.canonical,
	    "all rows of a line come, each once: %" PRIu64, v.rows);
	const char *text = drive_text(&v);
	bool order = true;
	for (unsigned i = 0; i < 500 && text; i++) {
		char begin[32];
		int n = i == 250 ? 0 : snprintf(begin, sizeof(begin), "m_f%u{", i);
		order &= i == 250 || !strncmp(text, begin, (size_t)n);
		text = i == 250 ? text : strchr(text, '\n') + 1;
	}
	tap_ok(order && !strcmp(text, "n_f 1 @0\n"), "in order, and the next line behind them");
	buf_release(&b);
	buf_release(&want);
}

/* The same rows, however the body is cut. */
static void parts(void)
{
	static const char body[] =
	    "cpu,host=a,cpu=cpu0 usage=1.5,text=\"a\nb\nc d=1\n\",idle=3i 1000000\n"
	    "cpu,host=a,cpu=cpu0 usage=2,text=\"\" 2000000\n# no\n\nbad\n  cpu,host=a,cpu=cpu0 usage=3 3000000\n"
	    "cpu,host=a,cpu=cpu1 usage=4,s=\"\n\n\" 4000000\ncpu,host=a usage=\"open\ncpu,host=a usage=5 5000000";
	take_by(body, sizeof(body) - 1, NULL, SIZE_MAX);
	char whole[1000];
	snprintf(whole, sizeof(whole), "%s", drive_text(&v));
	uint64_t records = v.d.records;
	tap_ok(v.rows == 6 && v.d.bad == 2, "as one: %" PRIu64 " rows", v.rows);
	for (size_t part = 1; part < sizeof(body); part++) {
		take_by(body, sizeof(body) - 1, NULL, part);
		if (strcmp(drive_text(&v), whole) != 0 || v.d.records != records || v.d.bad != 2) {
			tap_is_str(drive_text(&v), whole, "in parts of %zu", part);
			return;
		}
	}
	tap_ok(true, "in parts of any size");
}

int main(void)
{
	drive_init(&v, &influx_decoder, NULL);
	lines();
	values();
	escapes();
	names();
	faults();
	precision();
	limits();
	long_lines();
	parts();
	drive_release(&v);
	return tap_done();
}
