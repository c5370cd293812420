/* How long and how much: the line through what queries took, memory, and the flags that refuse. */
#include "net/api/outlook.h"

#include "tests/lib/tap.h"

static double guess(const struct outlook_pace *p, uint64_t samples, double *per_s)
{
	return outlook_seconds(p, (struct outlook_work){ samples, 0 }, per_s);
}

static void nothing_is_known_at_first(void)
{
	struct outlook_pace p = { 0 };
	double per_s;
	tap_ok(guess(&p, 1000, &per_s) < 0 && per_s < 0, "no query, no time");
	outlook_note(&p, (struct outlook_work){ 1000, 0 }, 0.01);
	outlook_note(&p, (struct outlook_work){ 1000, 0 }, 0.01);
	tap_ok(guess(&p, 1000, &per_s) < 0, "two are too few");
	outlook_note(&p, (struct outlook_work){ 1000, 0 }, 0.01);
	double s = guess(&p, 2000, &per_s);
	tap_ok(s > 0.0199 && s < 0.0201, "three equal ones: in proportion, %g", s);
}

/* A millisecond and ten million a second: told again for small ones and for large ones. */
static void the_line_is_found(void)
{
	struct outlook_pace p = { 0 }, all = { 0 };
	double per_s;
	for (unsigned i = 0; i < 60; i++) {
		uint64_t n = 100u << (i * 7 % 15);
		outlook_note(&p, (struct outlook_work){ n / 2, n / 2 }, 0.001 + (double)n / 1e7);
	}
	double small = guess(&p, 100, &per_s), large = guess(&p, 10000000, &per_s);
	tap_ok(small > 0.0009 && small < 0.0011, "a small one: %g", small);
	tap_ok(large > 0.95 && large < 1.05 && per_s > 9e6 && per_s < 11e6, "a large one: %g", large);
	outlook_add(&all, &p);
	outlook_add(&all, &p);
	double twice = guess(&all, 10000000, &per_s);
	tap_ok(twice > 0.95 && twice < 1.05, "two loops that agree: %g", twice);
	for (unsigned i = 0; i < 200; i++)
		outlook_note(&p, (struct outlook_work){ 1000 + i, 0 }, 1);
	tap_ok(guess(&p, 1100, &per_s) > 0.9, "what was long ago is forgotten");
}

static void odd_queries_do_no_harm(void)
{
	struct outlook_pace p = { 0 };
	double per_s;
	for (unsigned i = 0; i < 10; i++)
		outlook_note(&p, (struct outlook_work){ 0, 0 }, 0.5);
	tap_ok(guess(&p, 1000, &per_s) < 0, "those without work say nothing");
	for (unsigned i = 0; i < 10; i++) /* more work in less time */
		outlook_note(&p, (struct outlook_work){ 1000 * (i + 1), 0 }, 1.0 / (i + 1));
	double s = guess(&p, 1000000, &per_s);
	tap_ok(s > 0 && per_s > 0, "more is never told to be faster: %g", s);
}

static void limits_are_named(void)
{
	struct ql_trace_piece p[2] = { { .steps = 1000, .pipes = 1, .columns = 1, .shards_count = 4 },
		{ .steps = 1000, .pipes = 1, .ones = 1, .shards_count = 4 } };
	struct estimate_ask asks[2] = { { .told = { .sure = SOURCE_BOUNDS,
		                              .series = 100,
		                              .series_most = 200,
		                              .file_samples = 5000 } },
		{ .told = { .series = 10, .series_most = 10, .memory_samples = 700 } } };
	struct estimate e = { .asks = asks, .count = 2 };
	struct outlook_limits l = { .samples = 1000000, .memory = 64 << 20, .timeout_ms = 1000 };
	struct outlook o;
	p[0].next = &p[1];
	outlook_make(&o, p, &e, 1, &l);
	tap_ok(o.all.series == 110 && o.all.series_most == 210 && o.all.sure == SOURCE_BOUNDS,
	    "the sum of selectors");
	tap_ok(o.points == 100 * 1000 + 4 * 1000 && o.values_most == 210000, "%d points at once",
	    (int)o.points);
	tap_ok(o.memory > 101 * 8000 && o.memory < 3 * 101 * 8000, "%d bytes", (int)o.memory);
	tap_ok(!o.refusals_count && o.seconds < 0, "nothing is refused");
	l.samples = 103999;
	l.memory = 100000;
	for (unsigned i = 0; i < 5; i++)
		outlook_note(&e.pace, (struct outlook_work){ 1000, 0 }, 1);
	outlook_make(&o, p, &e, 1, &l);
	tap_ok(o.refusals_count == 3 && o.refusals[0].limit == LIMITS_query_samples &&
	        o.refusals[0].wants == 104000 && o.refusals[1].limit == LIMITS_query_memory &&
	        o.refusals[2].limit == LIMITS_query_timeout_ms,
	    "by three limits, with what is wanted");
	outlook_make(&o, p, &e, 0, &l);
	tap_ok(!o.refusals_count, "what is kept is not refused");
	/* Of groups only the first estimate of their number is known: each series one. */
	p[0].columns = 0;
	p[0].groups = 2;
	l = (struct outlook_limits){ .samples = 100000, .memory = 64 << 20, .timeout_ms = 1000 };
	outlook_make(&o, p, &e, 1, &l);
	tap_ok(o.points == 300 * 1000 + 4000 && o.points_least == 8 * 1000 + 4000 &&
	        o.memory_least < o.memory / 4,
	    "groups: %d points, or %d", (int)o.points, (int)o.points_least);
	tap_ok(o.refusals_count == 2 && !o.refusals[0].sure && o.refusals[1].sure,
	    "so it may be refused by their number, and is by its time");
	p[0].columns = 1;
	p[0].groups = 0;
	outlook_make(&o, p, &e, 1, &l);
	tap_ok(o.refusals_count && o.refusals[0].sure, "by columns it is");
	l.memory = 100000;
	asks[0].told.series = UINT64_MAX;
	outlook_make(&o, p, &e, 1, &l);
	tap_ok(o.points == UINT64_MAX && o.all.series == UINT64_MAX, "no sum runs over");
	tap_ok(o.seconds > 1e15 && o.refusals_count == 3 && o.refusals[2].wants == UINT64_MAX,
	    "nor does the time: %g s, %d refusals", o.seconds, (int)o.refusals_count);
}

int main(void)
{
	nothing_is_known_at_first();
	the_line_is_found();
	odd_queries_do_no_harm();
	limits_are_named();
	return tap_done();
}
