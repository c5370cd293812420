#include "core/base/num.h"
#include "tests/lib/tap.h"

#include <math.h>
#include <time.h>

#define NO (-12345.0) /* is refused */

/* Judged by Go 1.26: strconv.ParseFloat; ParseInt(base 0), else ParseFloat. */
static const struct {
	const char *s;
	double flt, go;
} golden[] = {
	{ "1", 1, 1 },
	{ "-1.5e3", -1500, -1500 },
	{ "1_000", 1000, 1000 },
	{ "1_23.5_0", 123.5, 123.5 },
	{ "0x_1p4", 16, 16 },
	{ "0x1_0p0", 16, 16 },
	{ "0x1.8", NO, NO },
	{ "0x1p", NO, NO },
	{ "0x1f", NO, 31 },
	{ "0X1F", NO, 31 },
	{ "0x1p-2", 0.25, 0.25 },
	{ "010", 10, 8 },
	{ "08", 8, 8 },
	{ "0_8", 8, 8 },
	{ "0_7", 7, 7 },
	{ "0b11", NO, 3 },
	{ "0o17", NO, 15 },
	{ "0b12", NO, NO },
	{ "1e", NO, NO },
	{ "1e1_0", 1e10, 1e10 },
	{ "._5", NO, NO },
	{ "1__0", NO, NO },
	{ "1_", NO, NO },
	{ "_1", NO, NO },
	{ ".", NO, NO },
	{ "1.", 1, 1 },
	{ ".5", 0.5, 0.5 },
	{ "", NO, NO },
	{ "+", NO, NO },
	{ " 1", NO, NO },
	{ "1 ", NO, NO },
	{ "infi", NO, NO },
	{ "+nan", NO, NO },
	{ "1e400", NO, NO },
	{ "1e-400", 0, 0 },
	{ "0x", NO, NO },
	{ "9223372036854775808", 9223372036854775808.0, 9223372036854775808.0 },
	{ "0x7fffffffffffffff", NO, 9223372036854775808.0 },
	{ "0xffffffffffffffffff", NO, NO },
	{ "2.2250738585072012e-308", 2.2250738585072014e-308, 2.2250738585072014e-308 },
	{ "1.7976931348623158e308", 1.7976931348623157e308, 1.7976931348623157e308 },
	{ "1.7976931348623159e308", NO, NO },
};

static double get(enum err (*fn)(const char *, size_t, double *), const char *s)
{
	double v;
	return fn(s, strlen(s), &v) ? NO : v;
}

static int64_t duration(const char *s)
{
	int64_t v;
	enum err e = num_parse_duration(s, strlen(s), &v);
	return e == ERR_TOOBIG ? -2 : e ? -1 : v;
}

static int64_t when(const char *s)
{
	int64_t v;
	return num_parse_time(s, strlen(s), &v) ? -1 : v;
}

static void test_civil(void)
{
	unsigned bad = 0;
	/* Every day of 800 years, against the one before. */
	struct num_civil last = num_civil(-400LL * 366 * 86400);
	for (int64_t day = -400LL * 366 + 1; day < 400LL * 366; day++) {
		struct num_civil c = num_civil(day * 86400 + 3661);
		bool new_month = last.day == num_days_in_month(last.year, last.month),
		     new_year = new_month && last.month == 12;
		bad += c.day != (new_month ? 1 : last.day + 1) ||
		    c.month != (new_year ? 1 : last.month + new_month) ||
		    c.year != last.year + new_year;
		bad += c.weekday != (last.weekday + 1) % 7 ||
		    c.yearday != (new_year ? 1 : last.yearday + 1) || c.hour != 1 ||
		    c.minute != 1 || c.second != 1;
		last = c;
	}
	tap_is_u64(bad, 0, "each day follows the one before, for 800 years");
	struct num_civil e = num_civil(0);
	TAP_OK(e.year == 1970 && e.month == 1 && e.day == 1 && e.weekday == 4 && e.yearday == 1);
	e = num_civil(-1);
	TAP_OK(e.year == 1969 && e.month == 12 && e.day == 31 && e.hour == 23 && e.second == 59 &&
	    e.yearday == 365);
	e = num_civil(951782400);
	TAP_OK(e.year == 2000 && e.month == 2 && e.day == 29 && e.yearday == 60);
	e = num_civil(INT64_MAX / 1000);
	TAP_OK(e.year == 292278994 && e.month == 8 && e.day == 17);
	e = num_civil(INT64_MIN);
	TAP_OK(e.month >= 1 && e.month <= 12);
}

int main(void)
{
	for (size_t i = 0; i < COUNT_OF(golden); i++) {
		double f = get(num_parse_float, golden[i].s), g = get(num_parse_go, golden[i].s);
		tap_ok(f == golden[i].flt && g == golden[i].go,
		    "\"%.40s\" is %g as a float, %g as a number", golden[i].s, f, g);
	}
	double v;
	TAP_OK(get(num_parse_float, "-Inf") == -INFINITY &&
	    get(num_parse_float, "+infinity") == INFINITY && get(num_parse_go, "iNf") == INFINITY);
	TAP_OK(num_parse_float("nAn", 3, &v) == ERR_OK && isnan(v));
	TAP_OK(num_parse_float("1\0002", 3, &v) == ERR_MALFORMED);
	char many[5000];
	memset(many, '1', sizeof(many));
	many[1] = '.';
	TAP_OK(num_parse_float(many, sizeof(many), &v) == ERR_OK && v == 1.1111111111111112);

	int64_t i;
	uint64_t u;
	TAP_OK(num_parse_i64("-9223372036854775808", 20, &i) == ERR_OK && i == INT64_MIN);
	TAP_OK(num_parse_i64("9223372036854775808", 19, &i) == ERR_TOOBIG &&
	    num_parse_i64("-+5", 3, &i) == ERR_MALFORMED && num_parse_i64("+5", 2, &i) == ERR_OK &&
	    i == 5);
	TAP_OK(num_parse_u64("18446744073709551615", 20, &u) == ERR_OK && u == UINT64_MAX &&
	    num_parse_u64("18446744073709551616", 20, &u) == ERR_TOOBIG);
	TAP_OK(num_parse_u64("", 0, &u) == ERR_MALFORMED &&
	    num_parse_u64("1a", 2, &u) == ERR_MALFORMED &&
	    num_parse_u64("-1", 2, &u) == ERR_MALFORMED);

	TAP_OK(duration("5m") == 300000 && duration("1h30m") == 5400000 &&
	    duration("500ms") == 500 && duration("0") == 0 && duration("0s") == 0);
	TAP_OK(duration("1y2w3d4h5m6s7ms") ==
	    365 * 86400000LL + 14 * 86400000LL + 3 * 86400000LL + 4 * 3600000 + 5 * 60000 + 6007);
	TAP_OK(duration("") == -1 && duration("5") == -1 && duration("m") == -1 &&
	    duration("1m1h") == -1 && duration("1s1s") == -1 && duration("-1m") == -1 &&
	    duration("1.5h") == -1);
	TAP_OK(duration("1mms") == -1 && duration("1 m") == -1 && duration("1x") == -1);
	TAP_OK(duration("292y") == 292 * 365 * 86400000LL && duration("293y") == -2 &&
	    duration("99999999999999999999y") == -2 && duration("292y200d") == -2);

	tap_is_i64(when("1435781451.781"), 1435781451781, "seconds with a fraction");
	tap_is_i64(when("1.4357814517e9"), 1435781451700, "with an exponent");
	tap_is_i64(when("2015-07-01T20:10:51.781Z"), 1435781451781, "RFC 3339");
	tap_is_i64(when("2015-07-01T22:10:51.7819+02:00"), 1435781451781, "with a zone");
	tap_is_i64(when("1969-12-31T23:59:59.5Z"), -500, "before the epoch");
	tap_is_i64(when("-292273086-05-16T16:47:06Z"), -9223309901257974000, "the smallest constant");
	tap_is_i64(when("292277025-08-18T07:12:54.999999999Z"), 9223309901257974999,
	    "the largest constant");
	tap_is_i64(when("1e300"), INT64_MAX, "large numbers are clamped");
	tap_is_i64(when("-Inf"), INT64_MIN, "so are small ones");
	static const char *const none[] = { "", "x", "NaN", "2015-07-01", "2015-13-01T00:00:00Z",
		"2015-02-29T00:00:00Z", "2015-07-01T24:00:00Z", "2015-07-01T00:00:00",
		"2015-07-01T00:00:00.Z", "2015-07-01T00:00:00Zx", "2015-07-01 00:00:00Z",
		"2015-07-01T00:60:00Z" };
	for (size_t k = 0; k < COUNT_OF(none); k++)
		tap_is_i64(when(none[k]), -1, "\"%s\" is no time", none[k]);
	test_civil();
	return tap_done();
}
