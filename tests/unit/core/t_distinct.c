/* How many different things there are, of all and of some (core/base/distinct.h). */
#include "core/base/distinct.h"

#include <math.h>

#include "core/base/hash.h"
#include "tests/lib/tap.h"

static uint64_t rnd = 14;

static double chance(void)
{
	rnd += 0x9e3779b97f4a7c15u;
	return (double)(hash_mix64(rnd) >> 11) * 0x1p-53;
}

static bool within(double told, double is, double by)
{
	return told <= is * by && is <= told * by;
}

static void all_of_them(void)
{
	struct distinct d = { 0 }, e = { 0 }, both = { 0 };
	double part = 1, back = 1;
	tap_ok(
	    distinct_estimate(&d, 1) == 0 && distinct_estimate(&d, 0.5) == 0, "nothing is nothing");
	tap_ok(distinct_common(&d, &e, &part) == 0 && part == 0, "and has nothing in common");
	for (uint64_t i = 0; i < 1000; i++) {
		distinct_add(&d, i % 100, 1, i % 100 < 40);
		distinct_add(&e, i % 100 + 30, 1, 1);
	}
	tap_ok(d.used == 100 && d.seen == 40 && distinct_estimate(&d, 1) == 40,
	    "40 of 100 are in: %u of %u", d.seen, d.used);
	tap_ok(distinct_common(&d, &e, &part) == 10 && distinct_common(&e, &d, &back) == 10,
	    "10 are in both");
	tap_ok(part == 0.25 && back == 0.1, "a quarter of one, a tenth of the other");
	distinct_join(&both, &d);
	distinct_join(&both, &e);
	tap_ok(both.used == 130 && both.seen == 130 - 0 && both.once == 0, "joined: %u of %u",
	    both.seen, both.used);
	distinct_add(&d, 99, 1, 1);
	tap_ok(d.seen == 41 && d.once == 1 && d.twice == 0, "one comes in");
	distinct_add(&d, 99, 1, 1);
	tap_ok(d.once == 0 && d.twice == 1, "twice");
	distinct_release(&d);
	distinct_release(&e);
	distinct_release(&both);
	tap_ok(!d.slots && !d.used, "empty again");
}

/* Groups of sizes by a rule, of which a part is looked at. */
static double ratio(unsigned groups, double (*size)(unsigned i), double rate)
{
	struct distinct d = { 0 };
	for (unsigned i = 0; i < groups; i++)
		for (unsigned k = 0; k < (unsigned)size(i); k++)
			if (chance() < rate)
				distinct_add(&d, i, 1, 1);
	double got = distinct_estimate(&d, rate);
	distinct_release(&d);
	return got / groups;
}

static double one(unsigned i)
{
	(void)i;
	return 1;
}
static double two(unsigned i)
{
	(void)i;
	return 2;
}
static double twenty(unsigned i)
{
	(void)i;
	return 20;
}
static double powers(unsigned i)
{
	return 1 << i % 8;
}
static double half_large(unsigned i)
{
	return i % 2 ? 1 : 300;
}
static double zipf(unsigned i)
{
	return 1 + 20000.0 / (i + 1);
}

static void some_of_them(void)
{
	static const struct {
		double (*size)(unsigned);
		const char *what;
		double by;
	} rules[] = { { one, "each single", 1.2 }, { two, "pairs", 1.25 },
		{ twenty, "twenties", 1.2 }, { powers, "powers of two", 2 },
		{ half_large, "half large", 1.8 }, { zipf, "a long tail", 2.2 } };
	static const double rates[] = { 0.5, 0.1, 1.0 / 32 };
	for (unsigned i = 0; i < COUNT_OF(rules); i++)
		for (unsigned k = 0; k < COUNT_OF(rates); k++) {
			double r = ratio(20000, rules[i].size, rates[k]);
			tap_ok(within(r, 1, rules[i].by), "%s, %.3f of them seen: %.2f of what is",
			    rules[i].what, rates[k], r);
		}
}

int main(void)
{
	all_of_them();
	some_of_them();
	return tap_done();
}
