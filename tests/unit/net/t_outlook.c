/* How long and how much: the line through what queries took, memory, and the flags that refuse. */
#include "net/api/outlook.h"

#include "tests/lib/tap.h"

static double guess(const struct outlook_pace *p, uint64_t samples, double *per_s)
{
	return outlook_seconds(p, (struct outlook_work){ samples, 0, 0 }, per_s);
}

static void nothing_is_known_at_first(void)
{
	struct outlook_pace p = { 0 };
	double per_s;
	tap_ok(guess(&p, 1000, &per_s) < 0 && per_s < 0, "no query, no time");
	outlook_note(&p, (struct outlook_work){ 1000, 0, 0 }, 0.01);
	outlook_note(&p, (struct outlook_work){ 1000, 0, 0 }, 0.01);
	tap_ok(guess(&p, 1000, &per_s) < 0, "two are too few");
	outlook_note(&p, (struct outlook_work){ 1000, 0, 0 }, 0.01);
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
		outlook_note(&p, (struct outlook_work){ n / 2, n / 2, 0 }, 0.001 + (double)n / 1e7);
	}
	double small = guess(&p, 100, &per_s), large = guess(&p, 10000000, &per_s);
	tap_ok(small > 0.0009 && small < 0.0011, "a small one: %g", small);
	tap_ok(large > 0.95 && large < 1.05 && per_s > 9e6 && per_s < 11e6, "a large one: %g", large);
	outlook_add(&all, &p);
	outlook_add(&all, &p);
	double twice = guess(&all, 10000000, &per_s);
	tap_ok(twice > 0.95 && twice < 1.05, "two loops that agree: %g", twice);
	for (unsigned i = 0; i < 200; i++)
		outlook_note(&p, (struct outlook_work){ 1000 + i, 0, 0 }, 1);
	tap_ok(guess(&p, 1100, &per_s) > 0.8, "what was long ago is forgotten: %g",
	    guess(&p, 1100, &per_s));
}

/* A tenth of them take ten times as long: the others are told. Series count as work. */
static void busy_machine(void)
{
	struct outlook_pace p = { 0 };
	double per_s;
	for (unsigned i = 0; i < 300; i++) {
		uint64_t n = 1000u << (i * 7 % 13);
		outlook_note(&p, (struct outlook_work){ n, 0, 0 },
		    (0.0005 + (double)n / 1e7) * (i % 10 ? 1 : 10));
	}
	for (uint64_t n = 1000; n < 10000000; n *= 3) {
		double is = 0.0005 + (double)n / 1e7, s = guess(&p, n, &per_s);
		tap_ok(s < is * 2.5 && s > is / 2, "%d: %g s are told for %g", (int)n, s, is);
	}
	tap_ok(outlook_seconds(&p, (struct outlook_work){ 1000, 0, 100000 }, &per_s) >
	        20 * guess(&p, 1000, &per_s),
	    "many series take their time");
}

static void odd_queries_do_no_harm(void)
{
	struct outlook_pace p = { 0 };
	double per_s;
	for (unsigned i = 0; i < 10; i++)
		outlook_note(&p, (struct outlook_work){ 0, 0, 0 }, 0.5);
	tap_ok(guess(&p, 0, &per_s) > 0.4 && guess(&p, 0, &per_s) < 0.6,
	    "those without work take time, too");
	p = (struct outlook_pace){ 0 };
	for (unsigned i = 0; i < 10; i++) /* more work in less time */
		outlook_note(&p, (struct outlook_work){ 1000 * (i + 1), 0, 0 }, 1.0 / (i + 1));
	double s = guess(&p, 1000000, &per_s);
	tap_ok(s > 0 && per_s > 0, "more is never told to be faster: %g", s);
}

struct case_of_two {
	struct ql_trace_piece p[2];
	struct ql_trace_node node[2]; /* the first holds the groups of the second piece */
	struct ql_trace t;
	struct estimate_ask asks[2];
	struct estimate e;
};

/* 100 columns of 1,000 steps, and one group. */
static void case_make(struct case_of_two *c)
{
	*c = (struct case_of_two){
		.p = { { .steps = 1000, .pipes = 1, .columns = 1, .shards_count = 4 },
		    { .steps = 1000, .pipes = 1, .shards_count = 4 } },
		.node = { { .piece = 0, .told = { .n = 100 } },
		    { .piece = 1, .held = 1, .held_groups = { .n = 1, .most = 1 } } },
		.asks = { { .told = { .sure = SOURCE_BOUNDS,
		                .series = 100,
		                .series_most = 200,
		                .file_samples = 5000 } },
		    { .told = { .series = 10, .series_most = 10, .memory_samples = 700 } } }
	};
	c->p[0].next = &c->p[1];
	c->node[0].first = &c->node[1];
	c->t.pieces = c->p;
	c->t.plan = &c->node[0];
	c->e = (struct estimate){ .asks = c->asks, .count = 2 };
}

static const struct ql_peek all_of_it = { .part = 1 };

static void limits_are_named(void)
{
	struct case_of_two c;
	struct outlook_limits l = { .samples = 1000000, .memory = 64 << 20, .timeout_ms = 1000 };
	struct outlook o;
	case_make(&c);
	outlook_make(&o, &c.t, &c.e, &all_of_it, &l);
	tap_ok(o.all.series == 110 && o.all.series_most == 210 && o.all.sure == SOURCE_BOUNDS,
	    "the sum of selectors");
	tap_ok(o.points == 100 * 1000 + 5 * 1000 && o.values_most == 210000, "%d points at once",
	    (int)o.points);
	tap_ok(o.memory > 101 * 8000 && o.memory < 3 * 101 * 8000, "%d bytes", (int)o.memory);
	tap_ok(!o.refusals_count && o.seconds < 0, "nothing is refused");
	l.samples = 104999;
	l.memory = 100000;
	for (unsigned i = 0; i < 5; i++)
		outlook_note(&c.e.pace, (struct outlook_work){ 1000, 0, 0 }, 1);
	outlook_make(&o, &c.t, &c.e, &all_of_it, &l);
	tap_ok(o.refusals_count == 3 && o.refusals[0].limit == LIMITS_query_samples &&
	        o.refusals[0].wants == 105000 && o.refusals[1].limit == LIMITS_query_memory &&
	        o.refusals[2].limit == LIMITS_query_timeout_ms,
	    "by three limits, with what is wanted");
	tap_ok(o.refusals[0].sure, "by columns it is sure");
	double per_s, like;
	struct outlook_work all = { 5700, 110000, 110 };
	struct outlook_pace slow = { .count = 0 };
	for (unsigned i = 0; i < 5; i++)
		outlook_note(&slow, (struct outlook_work){ 100, 100, 100 + i * 100 }, 1 + i);
	c.e.pace = slow;
	like = outlook_seconds(&slow, all, &per_s);
	outlook_make(&o, &c.t, &c.e, &all_of_it, &l);
	tap_ok(o.seconds == like, "series count as in what has ended: %g s, %g", o.seconds, like);
	l.memory = 100000;
	c.asks[0].told.series = UINT64_MAX;
	outlook_make(&o, &c.t, &c.e, &all_of_it, &l);
	tap_ok(o.points == UINT64_MAX && o.all.series == UINT64_MAX, "no sum runs over");
	tap_ok(o.seconds > 1e15 && o.refusals_count == 3 && o.refusals[2].wants == UINT64_MAX,
	    "nor does the time: %g s, %d refusals", o.seconds, (int)o.refusals_count);
}

static void groups_are_held(void)
{
	struct case_of_two c;
	struct outlook_limits l = { .samples = 150000, .memory = 64 << 20, .timeout_ms = 1000 };
	struct outlook o;
	case_make(&c);
	c.p[0].columns = 0;
	c.node[0].held = 2;
	c.node[0].held_groups =
	    (struct ql_trace_told){ .sure = SOURCE_SAMPLED, .n = 60, .most = 100 };
	outlook_make(&o, &c.t, &c.e, &all_of_it, &l);
	tap_ok(o.points == (100 * 2 + 60) * 1000 + 5000,
	    "60 groups: on shards as many as there are series, twice, and joined: %d", (int)o.points);
	tap_ok(o.points_least == (4 * 20 * 2 + 20) * 1000 + 3 * 1000 + 2 * 1000,
	    "a third of it, at least: %d", (int)o.points_least);
	tap_ok(o.refusals_count == 1 && o.refusals[0].sure == (o.points_least > 150000),
	    "so it is refused, and is sure of that");
	l.samples = 200000;
	outlook_make(&o, &c.t, &c.e, &all_of_it, &l);
	tap_ok(o.refusals_count == 1 && !o.refusals[0].sure, "or it may be");
	c.node[0].held_groups.sure = SOURCE_EXACT;
	outlook_make(&o, &c.t, &c.e, &all_of_it, &l);
	tap_ok(o.refusals_count == 1 && o.refusals[0].sure, "exact groups are sure");
	c.node[0].held_groups.n = 5;
	outlook_make(&o, &c.t, &c.e, &all_of_it, &l);
	tap_ok(o.points == (4 * 5 * 2 + 5) * 1000 + 5000 && !o.refusals_count, "few: %d",
	    (int)o.points);
	c.node[0].held_groups.n = -1;
	outlook_make(&o, &c.t, &c.e, &all_of_it, &l);
	tap_ok(o.points == (100 * 2 + 100) * 1000 + 5000, "nobody knows: each series one");
}

/* 1,000 steps, of which two stretches of 10 and 40 are missing. */
static void what_is_kept_is_spared(void)
{
	struct case_of_two c;
	struct outlook_limits l = { .samples = 50000, .memory = 64 << 20, .timeout_ms = 1000 };
	struct outlook o, whole;
	struct ql_peek peek = { .part = 0, .steps = 1000, .steps_kept = 1000, .points_kept = 40000 };
	case_make(&c);
	for (unsigned i = 0; i < 5; i++)
		outlook_note(&c.e.pace, (struct outlook_work){ 1000, 0, 0 }, 0.01);
	outlook_make(&whole, &c.t, &c.e, &all_of_it, &l);
	tap_ok(whole.refusals_count == 2, "all of it is refused: %d", (int)whole.refusals_count);
	outlook_make(&o, &c.t, &c.e, &peek, &l);
	tap_ok(!o.refusals_count, "not what is kept");
	peek = (struct ql_peek){
		.part = 0.06, .steps = 1000, .steps_kept = 950, .steps_most = 40, .points_kept = 38000
	};
	outlook_make(&o, &c.t, &c.e, &peek, &l);
	tap_ok(!o.refusals_count && o.points == 38000 + 50 * 100, "nor what is nearly: %d points",
	    (int)o.points);
	tap_ok(o.memory * 4 < whole.memory && o.seconds * 8 < whole.seconds,
	    "%d bytes of %d, %g s of %g", (int)o.memory, (int)whole.memory, o.seconds, whole.seconds);
	peek.points_kept = 60000;
	outlook_make(&o, &c.t, &c.e, &peek, &l);
	tap_ok(o.refusals_count == 1 && o.refusals[0].sure && o.refusals[0].wants == 65000,
	    "a result that is too large is, though it is kept");
}

int main(void)
{
	nothing_is_known_at_first();
	the_line_is_found();
	busy_machine();
	odd_queries_do_no_harm();
	limits_are_named();
	groups_are_held();
	what_is_kept_is_spared();
	return tap_done();
}
