/*
 * core/promql/ql_range: every function against a loop over each window, on random columns with
 * gaps, resets, stale markers, NaN and Inf.
 */
#include "core/promql/run/ql_range.h"
#include "tests/lib/tap.h"

#include <math.h>
#include <stdlib.h>

#define SAMPLES_MAX 400
#define STEPS_MAX   130

static uint64_t seed = 42;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(hash_mix64(seed) % n);
}

struct column {
	int64_t t[SAMPLES_MAX];
	double v[SAMPLES_MAX];
	uint32_t count;
};

enum flavour {
	PLAIN,
	RESETS,
	STALE,
	SPECIAL,
	TINY,
	FLAVOURS
};

static double special(void)
{
	static const double s[] = { NAN, INFINITY, -INFINITY, 1e308, -1e308, 0, -0.0, 1e-300 };
	return s[rnd(COUNT_OF(s))];
}

static void column_make(struct column *c, enum flavour f)
{
	int64_t t = 1000000 + rnd(20000);
	double v = rnd(1000);

	c->count = f == TINY ? rnd(4) : 1 + rnd(SAMPLES_MAX);
	for (uint32_t i = 0; i < c->count; i++) {
		t += rnd(20) == 0 ? 1 + rnd(600000) : 14000 + rnd(2000);
		v += rnd(100) / 7.0;
		if (f == RESETS && rnd(10) == 0)
			v = rnd(50);
		c->t[i] = t;
		c->v[i] = v;
		if (f == STALE && rnd(6) == 0)
			c->v[i] = sample_stale();
		if (f == SPECIAL && rnd(5) == 0)
			c->v[i] = special();
		if (rnd(3) == 0 && i)
			c->v[i] = c->v[i - 1];
	}
}

/* --- the oracle: one window, written down as the specification has it --- */

struct window {
	int64_t t[SAMPLES_MAX], start, end, now;
	double v[SAMPLES_MAX], range_s, p0, p1;
	uint32_t n;
};

static void kahan(double x, double *s, double *c)
{
	double t = *s + x;
	if (isinf(t))
		*c = 0;
	else if (fabs(*s) >= fabs(x))
		*c += (*s - t) + x;
	else
		*c += (x - t) + *s;
	*s = t;
}

static bool want_rate(const struct window *w, bool counter, bool rate, double *out)
{
	uint32_t n = w->n;
	if (n < 2)
		return false;
	double r = w->v[n - 1] - w->v[0];
	for (uint32_t i = 1; counter && i < n; i++)
		if (w->v[i] < w->v[i - 1])
			r += w->v[i - 1];
	double to_start = (double)(w->t[0] - w->start) / 1000,
	       to_end = (double)(w->end - w->t[n - 1]) / 1000;
	double sampled = (double)(w->t[n - 1] - w->t[0]) / 1000, gap = sampled / (n - 1);
	if (to_start >= gap * 1.1)
		to_start = gap / 2;
	if (counter) {
		double zero = to_start;
		if (r > 0 && w->v[0] >= 0)
			zero = sampled * (w->v[0] / r);
		if (zero < to_start)
			to_start = zero;
	}
	if (to_end >= gap * 1.1)
		to_end = gap / 2;
	double f = (sampled + to_start + to_end) / sampled;
	if (rate)
		f /= w->range_s;
	*out = r * f;
	return true;
}

static double want_avg(const struct window *w)
{
	double s = w->v[0], c = 0, mean = 0;
	bool inc = false;
	for (uint32_t i = 1; i < w->n; i++) {
		double n = i + 1;
		if (!inc) {
			double s2 = s, c2 = c;
			kahan(w->v[i], &s2, &c2);
			if (!isinf(s2)) {
				s = s2;
				c = c2;
				continue;
			}
			inc = true;
			mean = s / (n - 1);
			c /= n - 1;
		}
		mean *= (n - 1) / n;
		c *= (n - 1) / n;
		kahan(w->v[i] / n, &mean, &c);
	}
	return inc ? mean + c : s / w->n + c / w->n;
}

static double want_sum(const struct window *w)
{
	double s = 0, c = 0;
	for (uint32_t i = 0; i < w->n; i++)
		kahan(w->v[i], &s, &c);
	return isinf(s) ? s : s + c;
}

static double want_extreme(const struct window *w, bool max, bool time)
{
	double best = w->v[0];
	int64_t t = w->t[0];
	for (uint32_t i = 0; i < w->n; i++) {
		double x = w->v[i];
		if (isnan(best) ||
		    (max ? (time ? x >= best : x > best) : (time ? x <= best : x < best))) {
			best = x;
			t = w->t[i];
		}
	}
	return time ? (double)t / 1000 : best;
}

static int cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	if (isnan(x))
		return isnan(y) ? 0 : -1;
	return isnan(y) ? 1 : (x > y) - (x < y);
}

static double want_quantile(double q, const double *v, uint32_t n)
{
	double s[SAMPLES_MAX];
	if (isnan(q))
		return NAN;
	if (q < 0 || q > 1)
		return q < 0 ? -INFINITY : INFINITY;
	memcpy(s, v, n * sizeof(*s));
	qsort(s, n, sizeof(*s), cmp);
	double rank = q * (n - 1.0);
	uint32_t lo = (uint32_t)floor(rank), hi = lo + 1 < n ? lo + 1 : n - 1;
	double w = rank - floor(rank);
	return s[lo] * (1 - w) + s[hi] * w;
}

static double want_mad(const struct window *w)
{
	double d[SAMPLES_MAX];
	for (uint32_t i = 0; i < w->n; i++)
		if (isnan(w->v[i]))
			return NAN;
	double m = want_quantile(0.5, w->v, w->n);
	for (uint32_t i = 0; i < w->n; i++)
		d[i] = fabs(w->v[i] - m);
	return want_quantile(0.5, d, w->n);
}

static double want_count(const struct window *w, bool resets)
{
	double n = 0;
	for (uint32_t i = 1; i < w->n; i++) {
		double a = w->v[i - 1], b = w->v[i];
		n += resets ? b < a : b != a && !(isnan(a) && isnan(b));
	}
	return n;
}

static double want_variance(const struct window *w)
{
	double n = 0, mean = 0, cm = 0, aux = 0, ca = 0;
	for (uint32_t i = 0; i < w->n; i++) {
		n++;
		double d = w->v[i] - (mean + cm);
		kahan(d / n, &mean, &cm);
		kahan(d * (w->v[i] - (mean + cm)), &aux, &ca);
	}
	return (aux + ca) / n;
}

static void want_line(const struct window *w, int64_t zero, double *slope, double *icpt)
{
	double sx = 0, cx = 0, sy = 0, cy = 0, sxy = 0, cxy = 0, sxx = 0, cxx = 0, n = w->n;
	bool constant = true;
	for (uint32_t i = 0; i < w->n; i++) {
		double x = (double)(w->t[i] - zero) / 1e3, y = w->v[i];
		constant = constant && y == w->v[0];
		kahan(x, &sx, &cx);
		kahan(y, &sy, &cy);
		kahan(x * y, &sxy, &cxy);
		kahan(x * x, &sxx, &cxx);
	}
	/* The first value is compared with itself only from the second on. */
	if (isnan(w->v[0])) {
		constant = w->n == 1;
	}
	if (constant) {
		*slope = isinf(w->v[0]) ? NAN : 0;
		*icpt = isinf(w->v[0]) ? NAN : w->v[0];
		return;
	}
	sx += cx;
	sy += cy;
	sxy += cxy;
	sxx += cxx;
	*slope = (sxy - sx * sy / n) / (sxx - sx * sx / n);
	*icpt = sy / n - *slope * sx / n;
}

static double want_smoothing(const struct window *w)
{
	double s0 = 0, s1 = w->v[0], b = w->v[1] - w->v[0];
	for (uint32_t i = 1; i < w->n; i++) {
		double x = w->p0 * w->v[i];
		b = i == 1 ? b : w->p1 * (s1 - s0) + (1 - w->p1) * b;
		double y = (1 - w->p0) * (s1 + b);
		s0 = s1;
		s1 = x + y;
	}
	return s1;
}

static bool want(enum ql_fn fn, const struct window *w, double *out)
{
	uint32_t n = w->n;
	double slope, icpt;
	if (!n)
		return false;
	switch ((int)fn) {
	case QL_FN_RATE:
		return want_rate(w, true, true, out);
	case QL_FN_INCREASE:
		return want_rate(w, true, false, out);
	case QL_FN_DELTA:
		return want_rate(w, false, false, out);
	case QL_FN_IRATE:
	case QL_FN_IDELTA:
		if (n < 2)
			return false;
		*out = w->v[n - 1] - w->v[n - 2];
		if (fn == QL_FN_IRATE)
			*out = (w->v[n - 1] < w->v[n - 2] ? w->v[n - 1] : *out) /
			    ((double)(w->t[n - 1] - w->t[n - 2]) / 1000);
		return true;
	case QL_FN_SUM_OVER_TIME:
		*out = want_sum(w);
		return true;
	case QL_FN_AVG_OVER_TIME:
		*out = want_avg(w);
		return true;
	case QL_FN_MIN_OVER_TIME:
	case QL_FN_MAX_OVER_TIME:
		*out = want_extreme(w, fn == QL_FN_MAX_OVER_TIME, false);
		return true;
	case QL_FN_TS_OF_MIN_OVER_TIME:
	case QL_FN_TS_OF_MAX_OVER_TIME:
		*out = want_extreme(w, fn == QL_FN_TS_OF_MAX_OVER_TIME, true);
		return true;
	case QL_FN_COUNT_OVER_TIME:
		*out = n;
		return true;
	case QL_FN_PRESENT_OVER_TIME:
	case QL_FN_ABSENT_OVER_TIME:
		*out = 1;
		return true;
	case QL_FN_FIRST_OVER_TIME:
		*out = w->v[0];
		return true;
	case QL_FN_LAST_OVER_TIME:
		*out = w->v[n - 1];
		return true;
	case QL_FN_TS_OF_FIRST_OVER_TIME:
		*out = (double)w->t[0] / 1000;
		return true;
	case QL_FN_TS_OF_LAST_OVER_TIME:
		*out = (double)w->t[n - 1] / 1000;
		return true;
	case QL_FN_CHANGES:
	case QL_FN_RESETS:
		*out = want_count(w, fn == QL_FN_RESETS);
		return true;
	case QL_FN_STDVAR_OVER_TIME:
		*out = want_variance(w);
		return true;
	case QL_FN_STDDEV_OVER_TIME:
		*out = sqrt(want_variance(w));
		return true;
	case QL_FN_QUANTILE_OVER_TIME:
		*out = want_quantile(w->p0, w->v, n);
		return true;
	case QL_FN_MAD_OVER_TIME:
		*out = want_mad(w);
		return true;
	case QL_FN_DERIV:
		if (n < 2)
			return false;
		want_line(w, w->t[0], out, &icpt);
		return true;
	case QL_FN_PREDICT_LINEAR:
		if (n < 2)
			return false;
		want_line(w, w->now, &slope, &icpt);
		*out = slope * w->p0 + icpt;
		return true;
	case QL_FN_DOUBLE_EXPONENTIAL_SMOOTHING:
		if (n < 2)
			return false;
		*out = want_smoothing(w);
		return true;
	default:
		return false;
	}
}

static bool same(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(a) && isnan(b);
	return a == b || fabs(a - b) <= 1e-12 * fmax(fabs(a), fabs(b));
}

static void window_cut(
    struct window *w, const struct column *c, const struct ql_range_spec *s, uint32_t step)
{
	int64_t now = s->grid.start_ms + (int64_t)step * s->grid.step_ms;
	w->end = (s->fixed ? s->at_ms : now) - s->offset_ms;
	w->start = w->end - s->range_ms;
	w->now = now;
	w->range_s = (double)s->range_ms / 1000;
	w->n = 0;
	for (uint32_t i = 0; i < c->count; i++)
		if (c->t[i] > w->start && c->t[i] <= w->end && !sample_is_stale(c->v[i])) {
			w->t[w->n] = c->t[i];
			w->v[w->n++] = c->v[i];
		}
	w->p0 = s->param[0].kind ? ql_scalar_at(&s->param[0], step) : 0;
	w->p1 = s->param[1].kind ? ql_scalar_at(&s->param[1], step) : 0;
}

static unsigned bad_steps;

static void compare(struct ql_range *r, const struct column *c)
{
	static double out[STEPS_MAX];
	static uint64_t has[(STEPS_MAX + 63) / 64];
	struct window w;
	struct errbuf eb;
	bool any, seen = false;
	struct sample_column in = { .count = c->count, .t_ms = c->t, .v = c->v };
	struct ql_col col = { .has = has, .v = out };

	errbuf_init(&eb);
	memset(out, 0x55, sizeof(out)); /* nothing has to be cleared before */
	memset(has, 0x55, sizeof(has));
	if (ql_range_run(r, &in, &col, &any, &eb)) {
		bad_steps++;
		tap_note("%s: %s", ql_functab[r->spec.fn].name, eb.text);
		return;
	}
	for (uint32_t i = 0; i < r->spec.grid.n; i++) {
		double x = 0;
		window_cut(&w, c, &r->spec, i);
		bool there = want(r->spec.fn, &w, &x);
		seen = seen || there;
		if (there == ql_bit(has, i) && same(out[i], x))
			continue;
		if (bad_steps++ < 5)
			tap_note("%s step %u, %u samples: got %d %.17g, wanted %d %.17g",
			    ql_functab[r->spec.fn].name, i, w.n, ql_bit(has, i), out[i], there, x);
	}
	bad_steps += any != seen;
}

static void function_matches(enum ql_fn fn)
{
	static const int64_t ranges[] = { 1, 15000, 60000, 300000, 3600000 };
	static const int64_t steps[] = { 1, 7000, 15000, 60000, 600000 };
	static double p0[STEPS_MAX], p1[STEPS_MAX];
	struct column c;

	bad_steps = 0;
	for (uint32_t i = 0; i < STEPS_MAX; i++) {
		p0[i] = fn == QL_FN_DOUBLE_EXPONENTIAL_SMOOTHING ? 0.01 + rnd(98) / 100.0
		                                                 : (rnd(130) - 10.0) / 100;
		p1[i] = 0.01 + rnd(98) / 100.0;
	}
	for (unsigned round = 0; round < 60; round++) {
		struct ql_range_spec s = {
			.fn = fn,
			.grid = { 900000 + rnd(3000000), steps[rnd(5)], 1 + rnd(STEPS_MAX) },
			.range_ms = ranges[rnd(5)],
			.offset_ms = rnd(3) ? 0 : rnd(600000) - 300000,
			.fixed = rnd(8) == 0,
			.at_ms = 2500000,
			.param = { ql_scalar_each(p0), ql_scalar_each(p1) },
		};
		struct ql_range r;
		if (ql_range_init(&r, &s, NULL, NULL))
			abort();
		r.plain = rnd(4) == 0;
		/* The same times twice in a row: bounds are used again. */
		column_make(&c, rnd(FLAVOURS));
		compare(&r, &c);
		for (uint32_t i = 0; i < c.count; i++)
			c.v[i] = c.v[i] / 3 + 1;
		compare(&r, &c);
		column_make(&c, rnd(FLAVOURS));
		compare(&r, &c);
		ql_range_release(&r);
	}
	tap_ok(bad_steps == 0, "%s gives what a loop over each window gives", ql_functab[fn].name);
}

static void instant_selectors_take_the_newest(void)
{
	struct column c;
	unsigned bad = 0;

	for (unsigned round = 0; round < 300; round++) {
		double out[STEPS_MAX] = { 0 };
		uint64_t has[(STEPS_MAX + 63) / 64] = { 0 };
		struct ql_range_spec s = {
			.grid = { 900000 + rnd(3000000), 1 + rnd(100000), 1 + rnd(STEPS_MAX) },
			.range_ms = 300000,
			.offset_ms = rnd(100000),
			.fixed = rnd(8) == 0,
			.at_ms = 2500000,
		};
		bool time = rnd(3) == 0;
		column_make(&c, rnd(FLAVOURS));
		struct ql_range r;
		bool any;
		struct sample_column in = { .count = c.count, .t_ms = c.t, .v = c.v };
		struct ql_col col = { .has = has, .v = out };
		if (ql_range_init(&r, &s, NULL, NULL) ||
		    ql_instant_run(&r, time, &in, &col, &any, NULL))
			abort();
		ql_range_release(&r);
		for (uint32_t i = 0; i < s.grid.n; i++) {
			int64_t ref = (s.fixed ? s.at_ms : ql_grid_t(&s.grid, i)) - s.offset_ms;
			uint32_t k = c.count;
			while (k && c.t[k - 1] > ref)
				k--;
			bool there =
			    k && c.t[k - 1] > ref - s.range_ms && !sample_is_stale(c.v[k - 1]);
			double x = there ? (time ? (double)c.t[k - 1] / 1000 : c.v[k - 1]) : 0;
			bad += there != ql_bit(has, i) || num_bits(x) != num_bits(out[i]);
		}
	}
	tap_ok(bad == 0,
	    "an instant selector takes the newest sample within the lookback, nothing behind a stale marker");
}

static void smoothing_factors_are_checked(void)
{
	double p0 = 1, p1 = 0.5, out = 0;
	uint64_t has = 0;
	int64_t t[2] = { 1000, 2000 };
	double v[2] = { 1, 2 };
	bool any;
	struct errbuf eb;
	struct ql_range r;
	struct ql_range_spec s = { .fn = QL_FN_DOUBLE_EXPONENTIAL_SMOOTHING,
		.grid = { 3000, 1, 1 },
		.range_ms = 5000,
		.param = { ql_scalar_each(&p0), ql_scalar_each(&p1) } };

	errbuf_init(&eb);
	if (ql_range_init(&r, &s, NULL, NULL))
		abort();
	struct sample_column in = { .count = 2, .t_ms = t, .v = v };
	struct ql_col col = { .has = &has, .v = &out };
	enum err e = ql_range_run(&r, &in, &col, &any, &eb);
	ql_range_release(&r);
	tap_ok(e == ERR_EXECUTION &&
	        strcmp(eb.text, "invalid smoothing factor. Expected: 0 < sf < 1, got: 1.000000") == 0,
	    "a smoothing factor of 1 is refused in Prometheus' words");
}

static void quantiles_are_prometheus(void)
{
	double a[] = { 1, 2, 3, 4 }, b[] = { NAN, 1, 2 }, c[] = { 1, INFINITY };
	TAP_OK(ql_quantile(0.5, a, 4) == 2.5);
	TAP_OK(ql_quantile(-1, a, 4) == -INFINITY);
	TAP_OK(ql_quantile(2, a, 4) == INFINITY);
	TAP_OK(isnan(ql_quantile(NAN, a, 4)));
	TAP_OK(isnan(ql_quantile(0, b, 3)));
	TAP_OK(isnan(ql_quantile(0, c, 2))); /* 1 * 1 + Inf * 0 */
}

int main(void)
{
	for (int fn = 0; fn < QL_FN_COUNT; fn++)
		if (ql_range_knows(fn))
			function_matches(fn);
	instant_selectors_take_the_newest();
	smoothing_factors_are_checked();
	quantiles_are_prometheus();
	return tap_done();
}
