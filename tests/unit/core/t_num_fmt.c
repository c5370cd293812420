#include "core/base/num.h"
#include "tests/lib/tap.h"

#include <math.h>
#include <stdlib.h>

static uint64_t seed = 88172645463325252u;
static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* What Go prints: 'f', as the API does, 'g'. */
static const struct {
	double v;
	const char *f, *json, *g;
} golden[] = {
	{ 0, "0", "0", "0" },
	{ -0.0, "-0", "-0", "-0" },
	{ 1, "1", "1", "1" },
	{ -1.5, "-1.5", "-1.5", "-1.5" },
	{ 100000, "100000", "100000", "100000" },
	{ 1e6, "1000000", "1000000", "1e+06" },
	{ 999999.5, "999999.5", "999999.5", "999999.5" },
	{ 1234567, "1234567", "1234567", "1.234567e+06" },
	{ 9007199254740992, "9007199254740992", "9007199254740992", "9.007199254740992e+15" },
	{ 1e20, "100000000000000000000", "100000000000000000000", "1e+20" },
	{ 1e21, "1000000000000000000000", "1e+21", "1e+21" },
	{ 1.5e21, "1500000000000000000000", "1.5e+21", "1.5e+21" },
	{ 1e22, "10000000000000000000000", "1e+22", "1e+22" },
	{ 1e23, "100000000000000000000000", "1e+23", "1e+23" },
	{ 0.0001, "0.0001", "0.0001", "0.0001" },
	{ 0.00001, "0.00001", "0.00001", "1e-05" },
	{ 0.000001, "0.000001", "0.000001", "1e-06" },
	{ 9.9e-7, "0.00000099", "9.9e-07", "9.9e-07" },
	{ 1e-7, "0.0000001", "1e-07", "1e-07" },
	{ 0.1, "0.1", "0.1", "0.1" },
	{ 0.3, "0.3", "0.3", "0.3" },
	{ 0.1 + 0.2, "0.30000000000000004", "0.30000000000000004", "0.30000000000000004" },
	{ 1.0 / 3, "0.3333333333333333", "0.3333333333333333", "0.3333333333333333" },
	{ 5.684341886080802e-14, "0.00000000000005684341886080802", "5.684341886080802e-14",
	    "5.684341886080802e-14" },
	{ 1.7976931348623157e308, NULL, "1.7976931348623157e+308", "1.7976931348623157e+308" },
	{ 5e-324, NULL, "5e-324", "5e-324" },
	{ 2.2250738585072014e-308, NULL, "2.2250738585072014e-308", "2.2250738585072014e-308" },
};

static const char *text(size_t (*fn)(double, char *), double v)
{
	static char buf[NUM_FMT_MAX + 1];
	buf[fn(v, buf)] = 0;
	return buf;
}

/* Significant digits in a text. */
static int digits_of(const char *s)
{
	int n = 0, zeros = 0;
	bool point = strpbrk(s, ".e") != NULL;
	for (; *s && *s != 'e'; s++) {
		if (*s < '0' || *s > '9')
			continue;
		if (n || *s != '0')
			n++;
		zeros = *s == '0' ? zeros + 1 : 0;
	}
	return point ? n : n - zeros;
}

static int shortest_by_search(double v)
{
	char buf[64];
	for (int p = 1; p < 17; p++) {
		snprintf(buf, sizeof(buf), "%.*e", p - 1, v);
		if (strtod(buf, NULL) == v)
			return p;
	}
	return 17;
}

/* The table's rows against long multiplication: 10^e as an integer of 32-bit digits. */
#define LIMBS 40
static bool check_row(int e, uint64_t hi, uint64_t lo)
{
	static uint32_t pow10[LIMBS];
	static int last = -1;
	if (e == 0) {
		memset(pow10, 0, sizeof(pow10));
		pow10[0] = 1;
	} else if (e != last + 1) {
		return false;
	} else {
		uint64_t carry = 0;
		for (int i = 0; i < LIMBS; i++) {
			carry += (uint64_t)pow10[i] * 10;
			pow10[i] = (uint32_t)carry;
			carry >>= 32;
		}
	}
	last = e;
	int top = LIMBS * 32 - 1;
	while (!(pow10[top / 32] >> (top % 32) & 1))
		top--;
	/* The 128 bits from top down, one added when a bit is left below. */
	unsigned __int128 g = 0;
	bool rest = false;
	for (int bit = top; bit >= 0; bit--) {
		bool one = pow10[bit / 32] >> (bit % 32) & 1;
		if (top - bit < 128)
			g = g << 1 | one;
		else
			rest |= one;
	}
	if (top < 127)
		g <<= 127 - top;
	g += rest;
	return (uint64_t)(g >> 64) == hi && (uint64_t)g == lo;
}

int main(void)
{
	unsigned bad = 0;
	for (size_t i = 0; i < COUNT_OF(golden); i++) {
		if (golden[i].f)
			tap_is_str(text(num_fmt_f, golden[i].v), golden[i].f, "%s as f", golden[i].f);
		tap_is_str(
		    text(num_fmt_json, golden[i].v), golden[i].json, "%s in JSON", golden[i].json);
		tap_is_str(text(num_fmt_g, golden[i].v), golden[i].g, "%s as g", golden[i].g);
	}
	tap_is_str(text(num_fmt_f, NAN), "NaN", "NaN");
	tap_is_str(text(num_fmt_json, -NAN), "NaN", "-NaN is NaN");
	tap_is_str(text(num_fmt_g, INFINITY), "+Inf", "+Inf");
	tap_is_str(text(num_fmt_f, -INFINITY), "-Inf", "-Inf");
	tap_is_u64(strlen(text(num_fmt_f, -1.7976931348623157e308)), 310,
	    "the largest double has 309 digits");
	tap_is_u64(strlen(text(num_fmt_f, 5e-324)), 326, "the smallest has 324 places");

#define POW10(e, hi, lo) bad += e >= 0 && !check_row(e, hi, lo);
#include "core/base/num_pow10.def"
#undef POW10
	tap_is_u64(bad, 0, "the table of powers of ten is exact for positive powers");

	/* KYMO_LONG=1 takes minutes. */
	size_t rounds = getenv("KYMO_LONG") ? 10000000 : 100000;
	size_t wrong = 0, longer = 0;
	for (size_t i = 0; i < rounds; i++) {
		uint64_t r = rnd();
		double v = i % 4 == 1 ? (double)(r % 100000000) / 1000
		    : i % 4 == 2      ? num_from_bits((r % 2047) << 52 | (r >> 40) % 4)
		                      : num_from_bits(r);
		if (!isfinite(v))
			continue;
		wrong += num_bits(strtod(text(num_fmt_g, v), NULL)) != num_bits(v);
		wrong += num_bits(strtod(text(num_fmt_f, v), NULL)) != num_bits(v);
		wrong += num_bits(strtod(text(num_fmt_json, v), NULL)) != num_bits(v);
		if (v != 0)
			longer += digits_of(text(num_fmt_g, v)) > shortest_by_search(v);
	}
	tap_is_u64(wrong, 0, "%zu doubles read back as themselves", rounds);
	tap_is_u64(longer, 0, "and none has more digits than it needs");

	char buf[NUM_FMT_MAX];
	static const struct {
		int64_t ms;
		const char *want;
	} times[] = { { 1435781451781, "1435781451.781" }, { 12050, "12.050" }, { 12000, "12" },
		{ 0, "0" }, { 5, "0.005" }, { -1500, "-1.500" }, { -5, "-0.005" },
		{ INT64_MIN, "-9223372036854775.808" }, { INT64_MAX, "9223372036854775.807" } };
	for (size_t i = 0; i < COUNT_OF(times); i++)
		tap_is_mem(buf, num_fmt_ts(times[i].ms, buf), times[i].want, strlen(times[i].want),
		    "time %s", times[i].want);
	static const struct {
		int64_t ms;
		const char *want;
	} durations[] = { { 0, "0s" }, { 1, "1ms" }, { 300000, "5m" }, { 5400000, "1h30m" },
		{ 604800000, "1w" }, { 90 * 86400000LL, "90d" }, { 365 * 86400000LL, "1y" },
		{ 3661001, "1h1m1s1ms" }, { -60000, "-1m" }, { 8 * 86400000LL + 3600000, "8d1h" } };
	for (size_t i = 0; i < COUNT_OF(durations); i++)
		tap_is_mem(buf, num_fmt_duration(durations[i].ms, buf), durations[i].want,
		    strlen(durations[i].want), "duration %s", durations[i].want);
	static const struct {
		int64_t ms;
		const char *want;
	} moments[] = { { 0, "1970-01-01T00:00:00Z" }, { 1795866446998, "2026-11-28T11:47:26.998Z" },
		{ -1, "1969-12-31T23:59:59.999Z" }, { 951782400000, "2000-02-29T00:00:00Z" },
		{ INT64_MIN, "-292275055-05-16T16:47:04.192Z" },
		{ INT64_MAX, "292278994-08-17T07:12:55.807Z" } };
	for (size_t i = 0; i < COUNT_OF(moments); i++)
		tap_is_mem(buf, num_fmt_time(moments[i].ms, buf), moments[i].want,
		    strlen(moments[i].want), "time %s", moments[i].want);
	for (int i = 0; i < 100000; i++) {
		int64_t v = (int64_t)(rnd() >> (rnd() % 64)) * (i % 2 ? 1 : -1);
		char want[32];
		int n = snprintf(want, sizeof(want), "%lld", (long long)v);
		bad += num_fmt_i64(v, buf) != (size_t)n || memcmp(buf, want, (size_t)n) != 0;
	}
	tap_is_u64(bad, 0, "integers print as printf does");
	tap_is_mem(
	    buf, num_fmt_i64(INT64_MIN, buf), "-9223372036854775808", 20, "the smallest integer");
	tap_is_mem(buf, num_fmt_u64(UINT64_MAX, buf), "18446744073709551615", 20, "the largest");
	return tap_done();
}
