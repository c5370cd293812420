/* num_scan_float against strtod, which rounds correctly. */
#include "core/base/num.h"
#include "tests/lib/tap.h"

#include <math.h>
#include <stdlib.h>

static uint64_t state = 1;
static unsigned fast, slow;

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Text, and a few bytes that do not belong to it. */
static bool right(const char *text)
{
	size_t len = strlen(text);
	char *exact = malloc(len ? len : 1); /* reading further is seen */
	double got = 0, want = strtod(text, NULL);
	if (!exact)
		abort();
	memcpy(exact, text, len);
	const char *p = exact;
	bool is = num_scan_float(&p, exact + len, &got);
	size_t used = (size_t)(p - exact);
	free(exact);
	if (!is) {
		slow++;
		return used == 0;
	}
	fast++;
	return used == len && num_bits(got) == num_bits(want);
}

static bool scans(const char *text, size_t used, double want)
{
	const char *p = text;
	double v = 0;
	bool is = num_scan_float(&p, text + strlen(text), &v);
	return used ? is && (size_t)(p - text) == used && num_bits(v) == num_bits(want)
	            : !is && p == text;
}

static unsigned forms(double v)
{
	char text[6][400];
	unsigned wrong = 0;
	(void)snprintf(text[0], sizeof(text[0]), "%.17g", v);
	(void)snprintf(text[1], sizeof(text[1]), "%.15g", v);
	(void)snprintf(text[2], sizeof(text[2]), "%.6g", v);
	(void)snprintf(text[3], sizeof(text[3]), "%.18e", v);
	(void)snprintf(text[4], sizeof(text[4]), "%.3f", fmod(v, 1e15));
	(void)snprintf(text[5], sizeof(text[5]), "%+.9E", v);
	for (size_t i = 0; i < COUNT_OF(text); i++)
		wrong += !right(text[i]);
	return wrong;
}

static void test_random(void)
{
	unsigned wrong = 0;
	for (unsigned i = 0; i < 200000; i++) {
		double v = num_from_bits(next());
		if (isfinite(v))
			wrong += forms(v);
		wrong += forms((double)(next() >> (next() & 63)) / 1000);
	}
	tap_ok(!wrong, "floats of all sizes, in all forms (%u fast, %u not)", fast, slow);
	tap_ok(fast > 9 * slow, "nine of ten are read the fast way");
}

/* In the middle between two doubles, and beside it: 19 digits that are a tie or nearly one. */
static void test_ties(void)
{
	unsigned wrong = 0;
	for (unsigned i = 0; i < 100000; i++) {
		uint64_t odd = (((uint64_t)1 << 53) + (next() >> 12)) | 1;
		for (int d = -1; d <= 1; d++) {
			char text[64];
			(void)snprintf(text, sizeof(text), "%llu",
			    (unsigned long long)(odd * 2 + (uint64_t)d));
			wrong += !right(text);
			(void)snprintf(text, sizeof(text), "%llue%d",
			    (unsigned long long)(next() >> 1), (int)(next() % 616) - 292);
			wrong += !right(text);
		}
	}
	tap_ok(!wrong, "numbers between two doubles, and 19 digits of any size");
}

static void test_shapes(void)
{
	tap_ok(scans("12.5 x", 4, 12.5) && scans("-0\n", 2, -0.0) && scans("+7,", 2, 7),
	    "what stands behind a number is left");
	tap_ok(scans("1e", 0, 0) && scans("", 0, 0) && scans("-", 0, 0) && scans(".", 0, 0) &&
	        scans("NaN", 0, 0) && scans("e5", 0, 0) && scans("1e+", 0, 0),
	    "what is none is not read");
	tap_ok(scans("0x10", 1, 0) && scans("1_0", 1, 1), "of other forms the beginning is read");
	tap_ok(scans("0000000000000000000000000000001.5", 33, 1.5) &&
	        scans("0.00000000000000000000000000015", 31, 1.5e-28),
	    "zeros that lead do not count");
	tap_ok(scans("12345678901234567890", 0, 0) && scans("1.2345678901234567890", 0, 0),
	    "20 digits are left to others");
	tap_ok(scans("5e-324", 0, 0) && scans("1e400", 0, 0) && scans("1e-99999999999", 0, 0),
	    "numbers that are not normal, too");
	tap_ok(scans("0e999", 5, 0) && scans("-0e-999", 7, -0.0) && scans("1.e1", 4, 10) &&
	        scans(".5E1", 4, 5),
	    "zeros with exponents, points at either end");
}

int main(void)
{
	test_shapes();
	test_random();
	test_ties();
	return tap_done();
}
