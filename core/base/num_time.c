#include "core/base/num.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define DAY_S        86400
#define DAYS_PER_ERA 146097 /* 400 years */

static int64_t floor_div(int64_t a, int64_t b)
{
	int64_t q = a / b;
	return q - (a % b < 0);
}

/*
 * Years are counted from 1 March, so that the leap day is a year's last day; 0000-03-01 is day
 * -719468 of the Unix epoch. Eras of 400 years repeat exactly. Seconds are counted, without a sign,
 * from a first era so far back that all later ones lie in 64 bits: as Go's time package counts
 * them.
 */
#define FIRST_ERA   (-730692556) /* begins on -292277022400-03-01 */
#define FIRST_DAY_S ((uint64_t)(FIRST_ERA * (int64_t)DAYS_PER_ERA - 719468) * DAY_S)

struct num_civil num_civil(int64_t unix_s)
{
	uint64_t seconds = (uint64_t)unix_s - FIRST_DAY_S, days = seconds / DAY_S;
	int second = (int)(seconds % DAY_S);
	int64_t era = (int64_t)(days / DAYS_PER_ERA) + FIRST_ERA;
	int day_of_era = (int)(days % DAYS_PER_ERA);
	int year_of_era =
	    (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int day_of_year = day_of_era -
	    (365 * year_of_era + year_of_era / 4 - year_of_era / 100); /* from 1 March */
	int m = (5 * day_of_year + 2) / 153;                           /* 0 = March */
	int month = m < 10 ? m + 3 : m - 9;
	int64_t year = era * 400 + year_of_era + (month <= 2);
	bool leap = num_days_in_month(year, 2) == 29;
	return (struct num_civil){
		.year = year,
		.month = month,
		.day = day_of_year - (153 * m + 2) / 5 + 1,
		.hour = second / 3600,
		.minute = second / 60 % 60,
		.second = second % 60,
		.weekday = (day_of_era + 3) % 7, /* every era begins on a Wednesday */
		.yearday = month > 2 ? day_of_year + 60 + leap : day_of_year - 305,
	};
}

int num_days_in_month(int64_t year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	CHECK(month >= 1);
	CHECK(month <= 12);
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	return days[month - 1] + (month == 2 && leap);
}

/* Days since the epoch of a valid civil date; years of at most a few thousand. */
static int64_t days_of(int64_t year, int month, int day)
{
	int64_t y = year - (month <= 2);
	int64_t era = floor_div(y, 400);
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	return era * DAYS_PER_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
	    day_of_year - 719468;
}

/* Reading text with one cursor; bad is sticky. */
struct cursor {
	const char *p, *end;
	bool bad;
};

static int digits(struct cursor *c, int n)
{
	int v = 0;
	while (n--) {
		if (c->p == c->end || *c->p < '0' || *c->p > '9') {
			c->bad = true;
			return 0;
		}
		v = v * 10 + (*c->p++ - '0');
	}
	return v;
}

static bool accept(struct cursor *c, char ch)
{
	if (c->p == c->end || *c->p != ch)
		return false;
	c->p++;
	return true;
}

static void expect(struct cursor *c, char ch)
{
	if (!accept(c, ch))
		c->bad = true;
}

/*
 * RFC 3339 section 5.6, "T" and "Z" in upper case as Go's time.RFC3339Nano wants them; fractions
 * beyond milliseconds are cut towards the past.
 */
static bool parse_rfc3339(const char *s, size_t len, int64_t *ms)
{
	struct cursor c = { s, s + len, false };
	int year = digits(&c, 4);
	expect(&c, '-');
	int month = digits(&c, 2);
	expect(&c, '-');
	int day = digits(&c, 2);
	expect(&c, 'T');
	int hour = digits(&c, 2);
	expect(&c, ':');
	int minute = digits(&c, 2);
	expect(&c, ':');
	int second = digits(&c, 2);
	int fraction = 0;
	if (!c.bad && (accept(&c, '.') || accept(&c, ','))) {
		int seen = 0;
		for (; c.p < c.end && *c.p >= '0' && *c.p <= '9'; c.p++, seen++) {
			if (seen < 3)
				fraction = fraction * 10 + (*c.p - '0');
		}
		c.bad |= seen == 0;
		for (; seen < 3; seen++)
			fraction *= 10;
	}
	int offset_s = 0;
	if (!c.bad && !accept(&c, 'Z')) {
		bool west = accept(&c, '-');
		if (!west)
			expect(&c, '+');
		int h = digits(&c, 2);
		expect(&c, ':');
		int m = digits(&c, 2);
		c.bad |= h > 24 || m > 60; /* Go's bounds */
		offset_s = (h * 60 + m) * 60 * (west ? -1 : 1);
	}
	if (c.bad || c.p != c.end || month < 1 || month > 12 || day < 1 ||
	    day > num_days_in_month(year, month) || hour > 23 || minute > 59 || second > 59)
		return false;
	int64_t unix_s =
	    days_of(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second - offset_s;
	*ms = unix_s * 1000 + fraction;
	return true;
}

/*
 * The two constants that clients send for "everything": math.MinInt64/1000 + 62135596801 s and its
 * counterpart.
 */
#define TIME_MIN_TEXT "-292273086-05-16T16:47:06Z"
#define TIME_MAX_TEXT "292277025-08-18T07:12:54.999999999Z"
#define TIME_MIN_MS   (-9223309901257974 * 1000)
#define TIME_MAX_MS   (9223309901257974 * 1000 + 999)

enum err num_parse_time(const char *s, size_t len, int64_t *ms)
{
	double v;
	if (num_parse_float(s, len, &v) == ERR_OK) {
		if (isnan(v))
			return ERR_MALFORMED;
		/* math.Modf, then the fraction rounded to milliseconds, as the upstream does. */
		double whole, fraction = modf(v, &whole);
		double all = whole * 1000 + round(fraction * 1000);
		if (all >= 9223372036854775807.0)
			*ms = INT64_MAX;
		else if (all <= -9223372036854775808.0)
			*ms = INT64_MIN;
		else
			*ms = (int64_t)whole * 1000 + (int64_t)round(fraction * 1000);
		return ERR_OK;
	}
	if (parse_rfc3339(s, len, ms))
		return ERR_OK;
	if (len == sizeof(TIME_MIN_TEXT) - 1 && memcmp(s, TIME_MIN_TEXT, len) == 0) {
		*ms = TIME_MIN_MS;
		return ERR_OK;
	}
	if (len == sizeof(TIME_MAX_TEXT) - 1 && memcmp(s, TIME_MAX_TEXT, len) == 0) {
		*ms = TIME_MAX_MS;
		return ERR_OK;
	}
	return ERR_MALFORMED;
}

static const struct unit {
	char text[3];
	bool exact; /* printed only when nothing is left over: 90d reads better than 12w6d */
	int64_t ms;
} units[] = {
	{ "y", true, 365 * 24 * 3600 * 1000LL },
	{ "w", true, 7 * 24 * 3600 * 1000LL },
	{ "d", false, 24 * 3600 * 1000LL },
	{ "h", false, 3600 * 1000LL },
	{ "m", false, 60 * 1000LL },
	{ "s", false, 1000 },
	{ "ms", false, 1 },
};

size_t num_fmt_time(int64_t ms, char *out)
{
	int64_t s = ms / 1000 - (ms % 1000 < 0);
	int part = (int)(ms % 1000);
	struct num_civil c = num_civil(s);
	char text[64], fraction[8] = "";
	part += part < 0 ? 1000 : 0;
	if (part)
		snprintf(fraction, sizeof(fraction), ".%03d", part);
	int n = snprintf(text, sizeof(text), "%04" PRId64 "-%02d-%02dT%02d:%02d:%02d%sZ", c.year,
	    c.month, c.day, c.hour, c.minute, c.second, fraction);
	CHECK(n > 0 && (size_t)n < sizeof(text));
	memcpy(out, text, (size_t)n);
	return (size_t)n;
}

/* Upstream counts durations in nanoseconds of 64 bits. */
#define DURATION_MAX_MS (INT64_MAX / 1000000)

size_t num_fmt_duration(int64_t ms, char *out)
{
	size_t n = 0;
	uint64_t left = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
	if (ms == 0) {
		memcpy(out, "0s", 2);
		return 2;
	}
	if (ms < 0)
		out[n++] = '-';
	for (size_t i = 0; i < COUNT_OF(units); i++) {
		uint64_t unit_ms = (uint64_t)units[i].ms, v = left / unit_ms;
		if (v == 0 || (units[i].exact && left % unit_ms))
			continue;
		n += num_fmt_u64(v, out + n);
		size_t len = strlen(units[i].text);
		memcpy(out + n, units[i].text, len);
		n += len;
		left -= v * unit_ms;
	}
	return n;
}

/* The unit at s: "m" only when no "s" follows. Index into units, or -1. */
static int unit_at(const char *s, const char *end, size_t *len)
{
	*len = end - s >= 2 && s[0] == 'm' && s[1] == 's' ? 2 : 1;
	for (size_t i = 0; i < COUNT_OF(units); i++) {
		if ((size_t)(end - s) >= *len && strlen(units[i].text) == *len &&
		    memcmp(s, units[i].text, *len) == 0)
			return (int)i;
	}
	return -1;
}

enum err num_parse_duration(const char *s, size_t len, int64_t *ms)
{
	const char *end = s + len;
	if (len == 1 && *s == '0') {
		*ms = 0;
		return ERR_OK;
	}
	if (len == 0)
		return ERR_MALFORMED;
	int64_t sum = 0;
	int last = -1;
	bool over = false;
	while (s < end) {
		const char *start = s;
		int64_t n = 0;
		for (; s < end && *s >= '0' && *s <= '9'; s++) {
			if (n <= DURATION_MAX_MS)
				n = n * 10 + (*s - '0');
		}
		size_t unit_len = 0;
		int unit = s > start && s < end ? unit_at(s, end, &unit_len) : -1;
		if (unit <= last)
			return ERR_MALFORMED;
		last = unit;
		s += unit_len;
		if (n > DURATION_MAX_MS / units[unit].ms)
			over = true;
		else
			sum += n * units[unit].ms; /* seven terms of at most 2^43 */
	}
	if (over || sum > DURATION_MAX_MS)
		return ERR_TOOBIG;
	*ms = sum;
	return ERR_OK;
}
