/*
 * core/promql/run: no function over one long series runs for more than 2 ms without asking whether
 * its slice is over, and what it gives does not depend on where it was interrupted.
 *
 * Times are thread CPU between two questions, the best of some runs. Under sanitizers only the
 * values are compared, on columns of a tenth.
 */
#include "core/promql/run/ql_aggr.h"
#include "core/promql/run/ql_elem.h"
#include "core/promql/run/ql_range.h"
#include "tests/lib/tap.h"
#include "tests/lib/testhist.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
# define TIMED   false
# define SAMPLES 100000u
# define STEPS   600u
# define MANY    50000u
#else
# define TIMED   true
# define SAMPLES 2000000u
# define STEPS   11000u
# define MANY    400000u /* steps, as an inner query of a subquery has them */
#endif
#define GAP_MAX_US 2000
#define RUNS       8 /* at most: until one is in time */
#define BASE_MS    INT64_C(1600000000000)
#define HOUR_MS    3600000
#define TICK_WORK  4096 /* of nodes and scans: work between looks at the clock */

static uint64_t seed = 3;
static uint32_t rnd(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(hash_mix64(seed) % n);
}

/* --- columns --- */

enum flavour {
	GAUGE, /* every second sample is lower than the one before */
	ODD,   /* NaN, infinities, numbers near overflow, stale markers */
	FLAVOURS
};
static const char *const flavour_names[] = { "a gauge", "odd values" };
static struct sample_column column[FLAVOURS];

static struct sample_column column_make(enum flavour f, uint32_t count)
{
	static const double odd[] = { NAN, INFINITY, -INFINITY, 1.7e308, -1.7e308, -0.0 };
	int64_t *t = malloc(count * sizeof(*t));
	double *v = malloc(count * sizeof(*v));

	if (!t || !v)
		abort();
	for (uint32_t i = 0; i < count; i++) {
		t[i] = BASE_MS + (int64_t)i * 1000;
		v[i] = rnd(1000000) / 7.0;
		if (f == ODD && i % 50 == 0)
			v[i] = i % 100 ? odd[rnd(COUNT_OF(odd))] : sample_stale();
	}
	return (struct sample_column){ .count = count, .t_ms = t, .v = v };
}

static void column_free(struct sample_column *c)
{
	free((void *)(uintptr_t)c->t_ms);
	free((void *)(uintptr_t)c->v);
}

/* --- the clock --- */

static struct meter {
	uint64_t since_ns, longest_ns, work;
	bool interrupt;
} meter;

static uint64_t cpu_ns(void)
{
	struct timespec ts;
	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts))
		abort();
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void meter_start(bool interrupt)
{
	meter = (struct meter){ .interrupt = interrupt, .since_ns = cpu_ns() };
}

static void meter_look(void)
{
	uint64_t now = cpu_ns();
	if (now - meter.since_ns > meter.longest_ns)
		meter.longest_ns = now - meter.since_ns;
	meter.since_ns = cpu_ns();
}

static bool on_yield(void *arg, uint64_t work)
{
	(void)arg;
	(void)work;
	meter_look();
	return meter.interrupt;
}

/* Nodes add up small pieces of work before they look. */
static void meter_tick(uint64_t work)
{
	meter.work += work;
	if (meter.work < TICK_WORK)
		return;
	meter.work = 0;
	meter_look();
}

static bool short_enough(const char *what, uint64_t best_ns)
{
	if (!TIMED)
		return true;
	if (best_ns > GAP_MAX_US * 1000u / 2 || getenv("KYMO_SLICES"))
		tap_note("%s: %llu us without a look at the clock", what,
		    (unsigned long long)(best_ns / 1000));
	return best_ns < GAP_MAX_US * 1000u;
}

/* --- range functions --- */

enum kind {
	KIND_RANGE,
	KIND_INSTANT,
	KIND_TIME,
	KIND_SMOOTH
};
static struct ql_col out;

static uint64_t hist_bits(const struct hist *h)
{
	struct buf b;

	if (!h)
		return 1;
	buf_init(&b);
	hist_encode(h, &b);
	uint64_t bits = hash64(b.data, b.len, 1);
	buf_release(&b);
	return bits;
}

static uint64_t run(enum kind kind, const struct ql_range_spec *spec,
    const struct sample_column *in, bool interrupt, bool plain)
{
	uint32_t n = spec->grid.n;
	struct errbuf eb;
	struct ql_range r;
	enum err e;
	bool any;

	out.hists = NULL;
	errbuf_init(&eb);
	memset(out.v, 0x55, n * sizeof(*out.v));
	memset(out.has, 0x55, ql_words(n) * sizeof(*out.has));
	if (ql_range_init(&r, spec, NULL, &eb))
		abort();
	r.yield = on_yield;
	r.plain = plain;
	meter_start(interrupt);
	do {
		if (kind == KIND_RANGE)
			e = ql_range_run(&r, in, &out, &any, &eb);
		else if (kind == KIND_SMOOTH)
			e = ql_smooth_run(&r, in, &out, &any, &eb);
		else
			e = ql_instant_run(&r, kind == KIND_TIME, in, &out, &any, &eb);
		if (r.again && !interrupt)
			abort();
	} while (!e && r.again);
	meter_look();
	if (e || (!any && !in->h))
		tap_note("%s: %s", ql_functab[spec->fn].name, eb.text);
	uint64_t hash = 7;
	for (uint32_t i = 0; i < n; i++) /* which NaN it is does not matter */
		hash = hash_mix64(hash ^ num_bits(isnan(out.v[i]) ? (double)NAN : out.v[i]));
	for (uint32_t i = 0; i < ql_words(n); i++)
		hash = hash_mix64(hash ^ out.has[i]);
	for (uint32_t i = 0; out.hists && i < n; i++)
		hash = hash_mix64(hash ^ hist_bits(out.hists->h[i]));
	ql_range_release(&r);
	return hash;
}

/* Slices are short, and interrupted after each the values are the same. */
static bool one(enum kind kind, const struct ql_range_spec *spec, const struct sample_column *in)
{
	uint64_t best = UINT64_MAX, sliced = 0, whole = run(kind, spec, in, false, false);

	for (unsigned i = 0; i < RUNS && best >= GAP_MAX_US * 1000u; i++) {
		sliced = run(kind, spec, in, true, false);
		best = meter.longest_ns < best ? meter.longest_ns : best;
		if (sliced != whole)
			break;
	}
	if (sliced != whole)
		tap_note("%s: interrupted it gives something else", ql_functab[spec->fn].name);
	return short_enough(ql_functab[spec->fn].name, best) && sliced == whole;
}

static struct ql_range_spec spec_of(enum ql_fn fn, uint32_t steps, int64_t range_ms)
{
	static double factors[2][MANY];
	int64_t span = (int64_t)SAMPLES * 1000;

	if (factors[0][0] == 0)
		for (uint32_t i = 0; i < MANY; i++) {
			factors[0][i] = 0.1 + (i % 80) / 100.0;
			factors[1][i] = 0.9 - (i % 80) / 100.0;
		}
	return (struct ql_range_spec){
		.fn = fn,
		.grid = { BASE_MS + span / steps, span / steps, steps },
		.range_ms = range_ms,
		.lookback_ms = 300000,
		.param = { ql_scalar_each(factors[0]), ql_scalar_each(factors[1]) },
	};
}

static void functions_ask(enum flavour f, const char *what, uint32_t steps, int64_t range_ms,
    const struct sample_column *in)
{
	for (int fn = 0; fn < QL_FN_COUNT; fn++) {
		if (!ql_range_knows(fn))
			continue;
		struct ql_range_spec s = spec_of(fn, steps, range_ms);
		tap_ok(one(KIND_RANGE, &s, in), "%s over %s: %s", ql_functab[fn].name,
		    flavour_names[f], what);
	}
}

static void extended_ask(enum flavour f)
{
	static const enum ql_fn fns[] = { QL_FN_RATE, QL_FN_INCREASE, QL_FN_DELTA, QL_FN_CHANGES,
		QL_FN_RESETS };

	for (size_t i = 0; i < COUNT_OF(fns); i++)
		for (int smoothed = 0; smoothed < 2; smoothed++)
			for (int64_t range_ms = HOUR_MS; range_ms < 1000 * (int64_t)HOUR_MS;
			     range_ms *= 200) {
				uint32_t steps = range_ms == HOUR_MS ? STEPS : 20;
				struct ql_range_spec s = spec_of(fns[i], steps, range_ms);
				s.smoothed = smoothed;
				s.anchored = !smoothed;
				tap_ok(one(KIND_RANGE, &s, &column[f]), "%s %s over %s, %lld h",
				    ql_functab[fns[i]].name, smoothed ? "smoothed" : "anchored",
				    flavour_names[f], (long long)(range_ms / HOUR_MS));
			}
}

static void instants_ask(enum flavour f)
{
	static const char *const names[] = { "", "instant selector", "timestamp", "smoothed" };

	for (int kind = KIND_INSTANT; kind <= KIND_SMOOTH; kind++) {
		struct ql_range_spec s = spec_of(0, STEPS, 300000), m = spec_of(0, MANY, 300000);
		tap_ok(one(kind, &s, &column[f]) && one(kind, &m, &column[f]),
		    "%s over %s: %u steps and %u", names[kind], flavour_names[f], STEPS, MANY);
	}
}

/* --- columns with histograms --- */

#define HISTS (SAMPLES / 50)

/* Every n-th sample is a float; now and then the counter begins again. */
static struct sample_column hists_make(struct arena *a, uint32_t n)
{
	int64_t *t = arena_array(a, HISTS, sizeof(*t)), *start = arena_array(a, HISTS, sizeof(*t));
	double *v = arena_array(a, HISTS, sizeof(*v));
	const struct hist **h = arena_array(a, HISTS, sizeof(*h));

	for (uint32_t i = 0; i < HISTS; i++) {
		bool hist = i % n != n - 1;
		t[i] = BASE_MS + (int64_t)i * 1000;
		v[i] = hist ? num_from_bits(SAMPLE_HIST_BITS) : i % 700;
		h[i] = hist ? testhist_next(a, 5, i % 500) : NULL;
		start[i] = i % 300 ? t[i - i % 300] : t[i] - 300;
	}
	return (struct sample_column){ .count = HISTS, .t_ms = t, .v = v, .h = h, .start_ms = start };
}

static bool hists_ask_of(
    enum kind kind, struct ql_range_spec s, int64_t range_ms, const struct sample_column *in)
{
	int64_t span = (int64_t)HISTS * 1000;

	s.range_ms = range_ms;
	s.start_times = s.fn == QL_FN_INCREASE;
	s.grid.start_ms = BASE_MS + span / s.grid.n;
	s.grid.step_ms = span / s.grid.n + 1;
	return one(kind, &s, in);
}

static void hists_ask(uint32_t every)
{
	struct arena a;

	arena_init(&a, 1 << 20);
	struct sample_column in = hists_make(&a, every);
	for (int fn = 0; fn < QL_FN_COUNT; fn++) {
		if (!ql_range_knows(fn))
			continue;
		bool ok = hists_ask_of(KIND_RANGE, spec_of(fn, 100, 0), 1000000, &in) &&
		    hists_ask_of(KIND_RANGE, spec_of(fn, 3, 0), (int64_t)HISTS * 600, &in) &&
		    hists_ask_of(KIND_RANGE, spec_of(fn, STEPS, 0), 5000, &in);
		tap_ok(ok, "%s over histograms, each %u-th a float", ql_functab[fn].name, every);
	}
	for (int smoothed = 0; smoothed < 2; smoothed++) {
		struct ql_range_spec s = spec_of(QL_FN_RATE, 20, 0);
		s.smoothed = smoothed;
		s.anchored = !smoothed;
		tap_ok(hists_ask_of(KIND_RANGE, s, 10000000, &in),
		    "%s over histograms, each %u-th a float", smoothed ? "smoothed" : "anchored",
		    every);
	}
	for (int kind = KIND_INSTANT; kind <= KIND_SMOOTH; kind++)
		tap_ok(
		    hists_ask_of(kind, spec_of(0, STEPS, 0), kind == KIND_SMOOTH ? 0 : 300000, &in),
		    "selectors over histograms, each %u-th a float", every);
	arena_release(&a);
}

/* --- the values of windows longer than a slice --- */

static int cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *v, uint32_t n)
{
	qsort(v, n, sizeof(*v), cmp);
	return n % 2 ? v[n / 2] : v[n / 2 - 1] * 0.5 + v[n / 2] * 0.5;
}

/* All in long double: no pass, no part, no slide. */
static double want(enum ql_fn fn, const int64_t *t, const double *v, uint32_t n)
{
	long double sum = 0, sx = 0, sxx = 0, sxy = 0, dev = 0, x;
	static double sorted[SAMPLES];

	for (uint32_t i = 0; i < n; i++) {
		x = (long double)(t[i] - t[0]) / 1000;
		sum += v[i];
		sx += x;
		sxx += x * x;
		sxy += x * v[i];
		sorted[i] = v[i];
	}
	for (uint32_t i = 0; i < n; i++)
		dev += (v[i] - sum / n) * (v[i] - sum / n);
	switch ((int)fn) {
	case QL_FN_SUM_OVER_TIME:
		return (double)sum;
	case QL_FN_AVG_OVER_TIME:
		return (double)(sum / n);
	case QL_FN_STDVAR_OVER_TIME:
		return (double)(dev / n);
	case QL_FN_DERIV:
		return (double)((sxy - sx * sum / n) / (sxx - sx * sx / n));
	case QL_FN_QUANTILE_OVER_TIME:
		return median(sorted, n);
	default: {
		double m = median(sorted, n);
		for (uint32_t i = 0; i < n; i++)
			sorted[i] = fabs(sorted[i] - m);
		return median(sorted, n);
	}
	}
}

static void long_windows_are_right(enum ql_fn fn)
{
	struct sample_column in = {
		.count = SAMPLES / 20, .t_ms = column[GAUGE].t_ms, .v = column[GAUGE].v
	};
	struct ql_range_spec s = spec_of(fn, 5, (int64_t)in.count * 800);
	unsigned bad = 0;

	s.grid = (struct ql_grid){ BASE_MS + in.count * 500, in.count * 125, 5 };
	s.param[0] = ql_scalar_same(0.5);
	run(KIND_RANGE, &s, &in, true, false);
	for (uint32_t i = 0; i < s.grid.n; i++) {
		uint32_t lo = 0, hi = 0;
		while (hi < in.count && in.t_ms[hi] <= ql_grid_t(&s.grid, i))
			hi++;
		while (lo < hi && in.t_ms[lo] <= ql_grid_t(&s.grid, i) - s.range_ms)
			lo++;
		double x = want(fn, in.t_ms + lo, in.v + lo, hi - lo);
		if (!(fabs(x - out.v[i]) <= 1e-9 * fabs(x)) && bad++ < 3)
			tap_note("step %u: got %.17g, wanted %.17g", i, out.v[i], x);
	}
	tap_ok(!bad, "%s of windows longer than a slice is right", ql_functab[fn].name);
}

/* The ways for columns that are too long for the short ways, against a loop over each window. */
static void ways_agree(enum ql_fn fn, enum flavour f)
{
	struct sample_column in = { .count = 30000, .t_ms = column[f].t_ms, .v = column[f].v };
	static double loop[400];
	unsigned bad = 0;

	for (int64_t range_ms = 900000; range_ms <= HOUR_MS; range_ms *= 2) {
		struct ql_range_spec s = spec_of(fn, 400, range_ms);
		s.grid = (struct ql_grid){ BASE_MS, 100000, 400 };
		run(KIND_RANGE, &s, &in, false, true);
		memcpy(loop, out.v, sizeof(loop));
		run(KIND_RANGE, &s, &in, true, false);
		for (unsigned i = 0; i < 400; i++) {
			double a = loop[i], b = out.v[i];
			if ((isnan(a) && isnan(b)) || a == b ||
			    fabs(a - b) <= 1e-12 * fmax(fabs(a), fabs(b)))
				continue;
			if (bad++ < 3)
				tap_note("step %u: got %.17g, the loop %.17g", i, b, a);
		}
	}
	tap_ok(!bad, "%s over %s: all ways agree", ql_functab[fn].name, flavour_names[f]);
}

/* --- elements, aggregations --- */

static void fill(struct ql_col *c, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		c->v[i] = 1e300 + rnd(1000);
	ql_bits_fill(c->has, n);
}

static void elements_ask(const char *what, struct ql_elem e)
{
	struct ql_grid g = { BASE_MS, 1000, MANY };
	struct ql_elem chain[QL_STAGE_ELEMS];
	struct ql_elem_room room = { NULL, NULL };
	struct ql_elem_at at = { 0 };
	uint64_t best = UINT64_MAX, work;

	for (unsigned i = 0; i < QL_STAGE_ELEMS; i++)
		chain[i] = e;
	for (unsigned i = 0; i < RUNS && best >= GAP_MAX_US * 1000u; i++) {
		fill(&out, MANY);
		meter_start(true);
		while ((work = ql_elem_next(chain, QL_STAGE_ELEMS, &g, &out, &room, &at)))
			meter_tick(work);
		meter_look();
		best = meter.longest_ns < best ? meter.longest_ns : best;
	}
	tap_ok(short_enough(what, best), "a chain of %s over %u steps", what, MANY);
}

static struct ql_elem op_elem(enum ql_op op, double with)
{
	return (struct ql_elem){ .kind = QL_ELEM_OP, .op = op, .param = { ql_scalar_same(with) } };
}

static struct ql_elem fn_elem(enum ql_fn fn)
{
	return (struct ql_elem){ .kind = QL_ELEM_FN, .fn = fn };
}

static uint64_t rnd_bits(void)
{
	return (uint64_t)rnd(UINT32_MAX) << 32 ^ (uint64_t)rnd(UINT32_MAX) << 7 ^ rnd(128);
}

static void remainders_are_exact(void)
{
	unsigned bad = 0;

	for (unsigned i = 0; i < 60000; i++) {
		/* A third of the divisors is subnormal, some have few bits. */
		uint64_t r = rnd_bits() & (i % 3 ? ~(uint64_t)0 : 0x800fffffffffffffu);
		r &= i % 7 ? ~(uint64_t)0 : ~(rnd_bits() & 0xfffffffffffffu);
		double x = num_from_bits(rnd_bits()), y = num_from_bits(r);
		double got = ql_arith(QL_MOD, x, y), want = fmod(x, y);
		if (num_bits(got) == num_bits(want) || (isnan(got) && isnan(want)))
			continue;
		if (bad++ < 3)
			tap_note("%a %% %a: got %a, wanted %a", x, y, got, want);
	}
	tap_ok(!bad, "the remainder is that of fmod, bit by bit");
}

/* Groups of columns of n steps, each of four columns on two shards. */
static void aggregation_asks(enum ql_agg op, uint32_t n, unsigned groups)
{
	struct ql_str by = { "id", 2 };
	struct arena a;
	struct ql_budget budget = { 0 };
	struct ql_aggr part[2];
	struct errbuf eb;
	char id[16];
	bool more;
	enum err e = ERR_OK;

	errbuf_init(&eb);
	arena_init(&a, 4096);
	fill(&out, n);
	meter_start(true);
	for (unsigned p = 0; p < 2; p++) {
		ql_aggr_init(&part[p], op, ql_aggr_names(&a, &by, 1, false), false, n, &a);
		for (unsigned k = 0; k < groups * 2 && !e; k++) {
			snprintf(id, sizeof(id), "%u", k / 2);
			out.ls = label_make(&a, "id", id, NULL);
			do {
				e = ql_aggr_add(&part[p], &out, &more, &budget, &eb);
				meter_tick(ql_aggr_part(n));
			} while (!e && more);
		}
	}
	do {
		e = ql_aggr_merge(&part[0], &part[1], &more, &budget, &eb);
		meter_tick(QL_AGGR_PART);
	} while (!e && more);
	for (uint32_t i = 0; i < part[0].tab.count;) {
		struct ql_col col;
		i += !ql_aggr_finish(&part[0], i, &col);
		meter_tick(ql_aggr_part(n));
	}
	meter_look();
	ql_aggr_release(&part[0]);
	ql_aggr_release(&part[1]);
	arena_release(&a);
}

static void aggregations_ask(enum ql_agg op)
{
	uint64_t best = UINT64_MAX, few = UINT64_MAX;

	for (unsigned i = 0; i < RUNS && best >= GAP_MAX_US * 1000u; i++) {
		aggregation_asks(op, MANY, 2);
		best = meter.longest_ns < best ? meter.longest_ns : best;
	}
	for (unsigned i = 0; i < RUNS && few >= GAP_MAX_US * 1000u; i++) {
		aggregation_asks(op, 60, MANY / 100);
		few = meter.longest_ns < few ? meter.longest_ns : few;
	}
	tap_ok(short_enough(ql_agg_text(op), best) & short_enough(ql_agg_text(op), few),
	    "%s of %u steps, and of %u groups", ql_agg_text(op), MANY, MANY / 100);
}

int main(void)
{
	static const enum ql_fn long_fns[] = { QL_FN_SUM_OVER_TIME, QL_FN_AVG_OVER_TIME,
		QL_FN_STDVAR_OVER_TIME, QL_FN_DERIV, QL_FN_QUANTILE_OVER_TIME, QL_FN_MAD_OVER_TIME };

	out.v = malloc(MANY * sizeof(*out.v));
	out.has = malloc(ql_words(MANY) * sizeof(*out.has));
	if (!out.v || !out.has)
		abort();
	if (!TIMED)
		tap_skip("slices are not timed under sanitizers");
	for (int f = 0; f < FLAVOURS; f++) {
		column[f] = column_make(f, SAMPLES);
		struct sample_column few = { .count = 20000, .t_ms = column[f].t_ms, .v = column[f].v };
		functions_ask(f, "windows of 1 h", STEPS, HOUR_MS, &column[f]);
		functions_ask(f, "long windows", 6, (int64_t)SAMPLES * 400, &column[f]);
		functions_ask(f, "many steps", MANY, 60000, &few);
		extended_ask(f);
		instants_ask(f);
		for (int fn = 0; fn < QL_FN_COUNT; fn++)
			if (ql_range_knows(fn))
				ways_agree(fn, f);
	}
	hists_ask(HISTS + 1);
	hists_ask(9);
	for (size_t i = 0; i < COUNT_OF(long_fns); i++)
		long_windows_are_right(long_fns[i]);
	elements_ask("%", op_elem(QL_MOD, 1e-300));
	elements_ask("^", op_elem(QL_POW, 0.37));
	elements_ask("+", op_elem(QL_ADD, 1));
	elements_ask("tan", fn_elem(QL_FN_TAN));
	elements_ask("exp", fn_elem(QL_FN_EXP));
	elements_ask("days_in_month", fn_elem(QL_FN_DAYS_IN_MONTH));
	remainders_are_exact();
	for (int op = QL_SUM; op <= QL_STDVAR; op++)
		aggregations_ask(op);
	for (int f = 0; f < FLAVOURS; f++)
		column_free(&column[f]);
	free(out.v);
	free(out.has);
	return tap_done();
}
