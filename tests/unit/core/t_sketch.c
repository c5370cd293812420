/* Numbers of different hashes, estimated (core/base/sketch.h). */
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/sketch.h"
#include "tests/lib/tap.h"

static struct sketch *filled(uint64_t from, uint64_t count)
{
	struct sketch *s = mem_zalloc(sizeof(*s));
	for (uint64_t i = from; i < from + count; i++)
		sketch_add(s, hash64(&i, sizeof(i), 7));
	return s;
}

static void near_enough(void)
{
	static const uint64_t counts[] = { 0, 1, 10, 100, 5000, 40000, 82000, 300000, 2000000 };
	for (unsigned i = 0; i < COUNT_OF(counts); i++) {
		uint64_t n = counts[i];
		struct sketch *s = filled(0, n);
		uint64_t got = sketch_estimate(s), off = got > n ? got - n : n - got;
		tap_ok(off * 1000 <= n * 30 + 500, "%llu are told as %llu", (unsigned long long)n,
		    (unsigned long long)got);
		mem_free(s);
	}
}

static void sets_and_not_lists(void)
{
	struct sketch *all = filled(0, 300000), *a = filled(100000, 200000), *b = filled(0, 150000);
	sketch_join(a, b);
	tap_ok(!memcmp(a, all, sizeof(*a)), "two that overlap are together what one is that saw all");
	for (uint64_t i = 0; i < 300000; i++)
		sketch_add(all, hash64(&i, sizeof(i), 7));
	tap_ok(sketch_estimate(a) == sketch_estimate(all), "what is seen again changes nothing");
	mem_free(all);
	mem_free(a);
	mem_free(b);
}

static void ends(void)
{
	struct sketch *s = mem_zalloc(sizeof(*s));
	sketch_add(s, 0);
	sketch_add(s, UINT64_MAX);
	tap_ok(sketch_estimate(s) == 2, "the least and the largest hash are two");
	mem_free(s);
}

int main(void)
{
	near_enough();
	sets_and_not_lists();
	ends();
	return tap_done();
}
