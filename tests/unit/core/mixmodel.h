/*
 * mixmodel - columns of histograms, floats, stale markers and start times made by chance, and what
 * Prometheus' functions make of a window of them, as plain loops over floats and histograms apart
 * (Prometheus' documentation, "Query functions"). Header only, for t_ql_mix.
 */
#ifndef TESTS_UNIT_CORE_MIXMODEL_H
#define TESTS_UNIT_CORE_MIXMODEL_H

#include "core/model/histmath.h"
#include "core/promql/run/ql_extend.h"
#include "core/promql/run/ql_range.h"

#include <math.h>
#include <stdlib.h>

#define SAMPLES_MAX 200
#define BUCKETS     10

static uint64_t seed = 7;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(hash_mix64(seed) % n);
}

/* --- columns --- */

enum flavour {
	HISTS,   /* of one layout, that of a counter */
	LAYOUTS, /* schemas, zero buckets and spans change */
	CUSTOM,  /* custom buckets, two sets of bounds */
	KINDS,   /* exponential and custom */
	MIXED,   /* floats and histograms */
	RARE,    /* some histograms among floats */
	GAUGES,
	FLAVOURS
};
struct column {
	struct arena arena;
	uint32_t count;
	int64_t t[SAMPLES_MAX], start[SAMPLES_MAX];
	double v[SAMPLES_MAX];
	const struct hist *h[SAMPLES_MAX];
	bool has_h;
};

static const double bounds[2][4] = { { 1, 2, 5, 10 }, { 1, 3, 5, 10 } };

static struct hist *hist_new(struct arena *a, bool custom, enum flavour f)
{
	struct hist *h = arena_zalloc(a, sizeof(*h));

	h->is_float = rnd(2);
	h->hint = (uint8_t)(rnd(6) ? HIST_UNKNOWN : rnd(4));
	if (f == GAUGES && rnd(8))
		h->hint = HIST_GAUGE;
	h->schema = custom ? HIST_SCHEMA_CUSTOM : 1;
	if (f == LAYOUTS && rnd(4) == 0)
		h->schema = (int8_t)rnd(3);
	if (custom) {
		h->bounds = bounds[rnd(5) == 0];
		h->bounds_count = 4;
	} else {
		h->zero_threshold = f == LAYOUTS && rnd(6) == 0 ? 0.5 : 0.001;
	}
	return h;
}

static union hist_count count_of(const struct hist *h, uint64_t n)
{
	union hist_count c;
	if (h->is_float)
		c.f = (double)n + 0.25;
	else
		c.n = n;
	return c;
}

/* Buckets with these counts. */
static const struct hist *hist_make(
    struct arena *a, bool custom, enum flavour f, const uint64_t *counts)
{
	struct hist *h = hist_new(a, custom, f);
	uint32_t n = custom ? 5 : BUCKETS;
	struct hist_span *sp = arena_array(a, 1, sizeof(*sp));
	union hist_count *c = arena_array(a, n, sizeof(*c));
	uint64_t all = 0;
	double sum = 0;

	*sp = (struct hist_span){ .offset = custom ? 0 : -3, .length = n };
	for (uint32_t i = 0; i < n; i++) {
		c[i] = count_of(h, counts[i]);
		all += counts[i];
		sum += h->is_float ? c[i].f : 0;
	}
	if (!custom)
		h->zero_count = count_of(h, counts[BUCKETS]);
	all += custom ? 0 : counts[BUCKETS];
	h->count = count_of(h, all);
	if (h->is_float)
		h->count.f = sum + (custom ? 0 : h->zero_count.f);
	h->sum = (double)all / 3;
	h->positive =
	    (struct hist_side){ .spans = sp, .counts = c, .spans_count = 1, .counts_count = n };
	return h;
}

static const struct hist *hist_stale(struct arena *a)
{
	struct hist *h = arena_zalloc(a, sizeof(*h));
	h->sum = sample_stale();
	return h;
}

static bool is_hist(enum flavour f)
{
	return f == MIXED ? rnd(2) : f == RARE ? rnd(25) == 0 : true;
}

static int64_t start_of(const struct column *c, uint32_t i)
{
	int64_t before = i ? c->t[i - 1] : c->t[i] - 15000;
	switch (rnd(8)) {
	case 0:
		return 0;
	case 1:
		return c->t[i];
	case 2:
		return c->t[i] + 5;
	case 3:
		return before;
	case 4:
		return before - (int64_t)rnd(40000);
	case 5:
		return c->t[i] - 1 - rnd(12000);
	default:
		return i ? c->start[i - 1] : 5;
	}
}

static void column_make(struct column *c, enum flavour f)
{
	uint64_t counts[BUCKETS + 1] = { 0 };
	int64_t t = 1000000 + rnd(20000);
	double v = rnd(100);
	bool custom = f == CUSTOM;

	arena_reset(&c->arena, 0);
	c->count = rnd(8) ? 1 + rnd(SAMPLES_MAX) : rnd(4);
	c->has_h = false;
	for (uint32_t i = 0; i < c->count; i++) {
		t += rnd(20) == 0 ? 1 + rnd(600000) : 14000 + rnd(2000);
		v = rnd(12) ? v + rnd(50) / 7.0 : rnd(20);
		for (uint32_t k = 0; k <= BUCKETS; k++)
			counts[k] = rnd(14) ? counts[k] + (rnd(2) ? rnd(20) : 0) : counts[k] / 2;
		if (rnd(3)) /* most samples only grow, or stay */
			for (uint32_t k = 0; k <= BUCKETS; k++)
				counts[k] += rnd(9) ? 60 : 0;
		if (f == KINDS && rnd(20) == 0)
			custom = !custom;
		bool hist = is_hist(f);
		c->t[i] = t;
		c->v[i] = hist ? num_from_bits(SAMPLE_HIST_BITS) : v;
		c->h[i] = hist ? hist_make(&c->arena, custom, f, counts) : NULL;
		if (rnd(20) == 0) {
			c->v[i] = hist ? c->v[i] : sample_stale();
			c->h[i] = hist ? hist_stale(&c->arena) : NULL;
		}
		c->has_h = c->has_h || hist;
		c->start[i] = start_of(c, i);
	}
}

/* --- the oracle --- */

enum told {
	KINDS_MET = 1,
	SCHEMAS_MET = 2,
	NOT_COUNTER = 4,
	NOT_GAUGE = 8,
	ADDED = 16,
	SUBTRACTED = 32,
	AGGREGATED = 64,
	COLLIDED = 128,
	IGNORED = 256
};
static const char *const told_texts[] = {
	"PromQL warning: encountered a mix of histograms and floats for metric name \"m\"",
	"PromQL warning: vector contains a mix of histograms with exponential and custom buckets schemas for metric name \"m\"",
	"PromQL warning: this native histogram metric is not a counter: \"m\"",
	"PromQL warning: this native histogram metric is not a gauge: \"m\"",
	"PromQL info: mismatched custom buckets were reconciled during addition",
	"PromQL info: mismatched custom buckets were reconciled during subtraction",
	"PromQL info: mismatched custom buckets were reconciled during aggregation",
	"PromQL warning: conflicting counter resets during histogram aggregation",
	"PromQL info: ignored histograms in a range containing both floats and histograms for metric name \"m\"",
};
struct points { /* floats, or histograms, of a window */
	uint32_t n;
	int64_t t[SAMPLES_MAX], start[SAMPLES_MAX];
	double v[SAMPLES_MAX];
	const struct hist *h[SAMPLES_MAX];
};
struct window {
	struct points f, h;
	int64_t start, end;
	double range_s;
	bool starts, anchored, smoothed; /* start times count */
	struct arena *a;
	unsigned told;
	uint32_t overlaps;
};
struct value {
	bool there;
	double v;
	const struct hist *h;
};
static const struct value none;

static struct value a_float(double v)
{
	return (struct value){ .there = true, .v = v };
}
static struct value a_hist(const struct hist *h)
{
	return (struct value){ .there = h != NULL, .h = h };
}

static const struct hist *plus(
    struct window *w, const struct hist *l, const struct hist *r, bool minus)
{
	unsigned bits = 0;
	const struct hist *x = minus ? hist_sub(w->a, l, r, &bits) : hist_add(w->a, l, r, &bits);
	unsigned hint = l->hint;

	if (bits & HISTMATH_MIXED) {
		w->told |= SCHEMAS_MET;
		return NULL;
	}
	if (bits & HISTMATH_RECONCILED)
		w->told |= minus ? SUBTRACTED : ADDED;
	if (l->hint != r->hint)
		hint = l->hint == HIST_GAUGE || r->hint == HIST_GAUGE ? HIST_GAUGE : HIST_UNKNOWN;
	return hist_with_hint(w->a, x, (enum hist_hint)hint);
}

static const struct hist *as_gauge(struct window *w, const struct hist *h)
{
	return hist_compact(w->a, hist_with_hint(w->a, h, HIST_GAUGE));
}

static bool start_reset(const struct window *w, const struct points *p, uint32_t i)
{
	int64_t s = p->start[i], before = p->start[i - 1];
	if (!w->starts || s == 0 || s >= p->t[i] || s < p->t[i - 1])
		return false;
	return s > p->t[i - 1] || (before <= p->t[i - 1] && before != 0 && before != p->t[i - 1]);
}

static bool start_overlap(const struct window *w, const struct points *p)
{
	for (uint32_t i = 1; w->starts && i < p->n; i++)
		if (p->start[i] && p->start[i] < p->t[i - 1] && p->start[i] != p->start[i - 1])
			return true;
	return false;
}

static bool custom(const struct hist *h)
{
	return h->schema == HIST_SCHEMA_CUSTOM;
}

static const struct hist *difference(struct window *w, bool counter)
{
	const struct points *p = &w->h;
	uint32_t n = p->n;
	const struct hist *prev = p->h[0], *last = p->h[n - 1];
	int schema;

	if (counter && (prev->hint == HIST_GAUGE || last->hint == HIST_GAUGE))
		w->told |= NOT_COUNTER;
	if (counter && (start_reset(w, p, 1) || hist_reset_after(w->a, prev, p->h[1]))) {
		struct hist *zero = arena_zalloc(w->a, sizeof(*zero));
		zero->is_float = true;
		zero->schema = p->h[1]->schema;
		zero->bounds = p->h[1]->bounds;
		zero->bounds_count = p->h[1]->bounds_count;
		prev = zero;
	}
	if (custom(prev) != custom(last)) {
		w->told |= SCHEMAS_MET;
		return NULL;
	}
	schema = prev->schema < last->schema ? prev->schema : last->schema;
	for (uint32_t i = 1; counter && i + 1 < n; i++) {
		if (p->h[i]->hint == HIST_GAUGE)
			w->told |= NOT_COUNTER;
		if (custom(p->h[i]) != custom(prev)) {
			w->told = SCHEMAS_MET;
			return NULL;
		}
		schema = p->h[i]->schema < schema ? p->h[i]->schema : schema;
	}
	const struct hist *h = plus(w, hist_at_schema(w->a, last, schema), prev, true);
	for (uint32_t i = 1; counter && i < n; i++) {
		if (start_reset(w, p, i) || hist_reset_after(w->a, prev, p->h[i]))
			h = plus(w, h, prev, false);
		prev = p->h[i];
	}
	if (!counter && (p->h[0]->hint != HIST_GAUGE || last->hint != HIST_GAUGE))
		w->told |= NOT_GAUGE;
	w->overlaps += counter && start_overlap(w, p);
	return as_gauge(w, h);
}

static struct value want_rate(struct window *w, bool counter, bool rate)
{
	const struct points *p = w->h.n ? &w->h : &w->f;
	const struct hist *h = NULL;
	uint32_t n = p->n;
	double r = 0;

	if (w->h.n && w->f.n) {
		w->told |= KINDS_MET;
		return none;
	}
	if (!n)
		return none;
	if (w->h.n && n > 1 && !(h = difference(w, counter)))
		return none;
	if (!w->h.n) {
		r = p->v[n - 1] - p->v[0];
		for (uint32_t i = 1; counter && i < n; i++)
			if (p->v[i] < p->v[i - 1] || start_reset(w, p, i))
				r += p->v[i - 1];
		w->overlaps += counter && start_overlap(w, p);
	}
	double to_start = (double)(p->t[0] - w->start) / 1000,
	       to_end = (double)(w->end - p->t[n - 1]) / 1000;
	double sampled = (double)(p->t[n - 1] - p->t[0]) / 1000;
	double gap = n > 1 ? sampled / (n - 1) : 0;
	if (w->starts && counter && p->start[0] > w->start && p->start[0] < p->t[0] && p->start[0]) {
		to_start = 0;
		sampled = (double)(p->t[n - 1] - p->start[0]) / 1000;
		r += w->h.n ? 0 : p->v[0];
		if (w->h.n && !(h = h ? plus(w, h, p->h[0], false) : p->h[0]))
			return none;
	} else if (n < 2) {
		return none;
	} else {
		if (to_start >= gap * 1.1)
			to_start = gap / 2;
		double zero = to_start, first = h ? p->h[0]->count.f : p->v[0];
		double result = h ? h->count.f : r;
		if (counter && result > 0 && first >= 0)
			zero = sampled * (first / result);
		to_start = zero < to_start ? zero : to_start;
	}
	if (to_end >= gap * 1.1)
		to_end = gap / 2;
	double factor = sampled != 0 ? (sampled + to_start + to_end) / sampled : 1;
	if (rate)
		factor /= w->range_s;
	return h ? a_hist(hist_mul(w->a, h, factor)) : a_float(r * factor);
}

/* Between two histograms, at a time. */
static const struct hist *between(struct window *w, uint32_t i, int64_t at, bool counter)
{
	const struct hist *a = w->h.h[i], *b = w->h.h[i + 1];
	int64_t ta = w->h.t[i], tb = w->h.t[i + 1];
	double part = (double)(at - ta) / (double)(tb - ta);

	if (at == ta || at == tb)
		return at == ta ? a : b;
	if (counter && hist_reset_after(w->a, a, b))
		return hist_mul(w->a, b, part);
	const struct hist *x = plus(w, b, a, true);
	return x ? plus(w, hist_mul(w->a, x, part), a, false) : NULL;
}

/* first and last of the samples that count; false: none lies in the window. */
static bool ext_ends(const struct window *w, const struct points *p, uint32_t *first, uint32_t *last)
{
	*last = p->n - 1;
	*first = 0;
	while (*first < *last && p->t[*first] <= w->start)
		++*first;
	*first -= *first > 0;
	if (w->smoothed)
		for (*last = 0; *last < p->n - 1 && p->t[*last] < w->end;)
			++*last;
	return p->t[*last] > w->start && !(w->smoothed && p->t[*first] > w->end);
}

static double float_between(const struct points *p, uint32_t i, int64_t at, bool counter)
{
	double a = p->v[i], b = p->v[i + 1];
	if (counter && b < a)
		a = 0;
	return a + (b - a) * (double)(at - p->t[i]) / (double)(p->t[i + 1] - p->t[i]);
}

static struct value want_extended_floats(struct window *w, bool counter, bool rate)
{
	const struct points *p = &w->f;
	uint32_t first, last;

	if (!ext_ends(w, p, &first, &last))
		return none;
	double left = w->smoothed && p->t[first] < w->start
	    ? float_between(p, first, w->start, counter)
	    : p->v[first];
	double right = w->smoothed && last && p->t[last] > w->end
	    ? float_between(p, last - 1, w->end, counter)
	    : p->v[last];
	double r = right - left, prev = left;
	if (counter) {
		uint32_t from = first + (p->t[first] <= w->start);
		uint32_t to = last + 1 - (p->t[last] >= w->end);
		for (uint32_t i = from; i < to; i++) {
			r += p->v[i] < prev ? prev : 0;
			prev = p->v[i];
		}
		r += right < prev ? prev : 0;
	}
	return a_float(rate ? r / w->range_s : r);
}

static struct value want_extended(struct window *w, bool counter, bool rate)
{
	const struct points *p = &w->h;
	const struct hist *left, *right, *prev, *fix = NULL;
	uint32_t first, last;

	if (w->f.n && w->h.n)
		w->told |= KINDS_MET;
	if (w->f.n || !w->h.n)
		return w->h.n || !w->f.n ? none : want_extended_floats(w, counter, rate);
	if (!ext_ends(w, p, &first, &last))
		return none;
	for (uint32_t i = first; i <= last; i++)
		if (custom(p->h[i]) != custom(p->h[first])) {
			w->told |= SCHEMAS_MET;
			return none;
		}
	for (uint32_t i = first; counter && i <= last; i++)
		if (p->h[i]->hint == HIST_GAUGE)
			w->told |= NOT_COUNTER;
	left = w->smoothed && p->t[first] < w->start ? between(w, first, w->start, counter)
	                                             : p->h[first];
	right = w->smoothed && last && p->t[last] > w->end ? between(w, last - 1, w->end, counter)
	                                                   : p->h[last];
	if (!counter && (left->hint != HIST_GAUGE || right->hint != HIST_GAUGE))
		w->told |= NOT_GAUGE;
	const struct hist *x = plus(w, right, left, true);
	prev = left;
	uint32_t i = first + 1;
	if (w->smoothed && p->t[first] < w->start &&
	    hist_reset_after(w->a, p->h[first], p->h[first + 1]))
		prev = p->h[i++];
	for (; counter && i < last; i++) {
		if (hist_reset_after(w->a, prev, p->h[i]))
			fix = fix ? plus(w, fix, prev, false) : prev;
		prev = p->h[i];
	}
	if (counter && i <= last && hist_reset_after(w->a, prev, right))
		fix = fix ? plus(w, fix, prev, false) : prev;
	if (fix)
		x = plus(w, x, fix, false);
	x = as_gauge(w, x);
	return a_hist(rate ? hist_div(w->a, x, w->range_s) : x);
}

/* --- the samples of a window in order --- */

struct one {
	int64_t t;
	double v;
	const struct hist *h;
	bool reset; /* by its start time, after the one before */
};

static uint32_t in_order(const struct window *w, struct one *out)
{
	uint32_t i = 0, k = 0, n = 0;
	struct points both = { 0 };

	while (i < w->f.n || k < w->h.n) {
		bool f = k == w->h.n || (i < w->f.n && w->f.t[i] < w->h.t[k]);
		const struct points *p = f ? &w->f : &w->h;
		uint32_t at = f ? i++ : k++;
		both.t[n] = p->t[at];
		both.start[n] = p->start[at];
		out[n] = (struct one){ p->t[at], p->v[at], f ? NULL : p->h[at], false };
		out[n].reset = n && start_reset(w, &both, n);
		n++;
	}
	return n;
}

static struct value want_last_two(struct window *w, const struct one *s, uint32_t n, bool rate)
{
	if (n < 2)
		return none;
	const struct one *a = &s[n - 2], *b = &s[n - 1];
	double sec = (double)(b->t - a->t) / 1000;
	if (!a->h != !b->h) {
		w->told |= KINDS_MET;
		return none;
	}
	if (!a->h) {
		double x = rate && (b->v < a->v || b->reset) ? b->v : b->v - a->v;
		return a_float(rate ? x / sec : x);
	}
	unsigned gauges = (a->h->hint == HIST_GAUGE) + (b->h->hint == HIST_GAUGE);
	if (rate && gauges)
		w->told |= NOT_COUNTER;
	if (!rate && gauges < 2)
		w->told |= NOT_GAUGE;
	const struct hist *x = b->h;
	if (!rate || !(b->reset || hist_reset_after(w->a, a->h, b->h)))
		x = plus(w, b->h, a->h, true);
	if (!x)
		return none;
	x = as_gauge(w, x);
	return a_hist(rate ? hist_div(w->a, x, sec) : x);
}

static struct value want_events(struct window *w, const struct one *s, uint32_t n, bool changes)
{
	uint32_t i = 0;
	double events = 0;

	if (w->anchored) {
		if (s[n - 1].t <= w->start)
			return none;
		while (i + 1 < n && s[i + 1].t <= w->start)
			i++;
	}
	for (i++; i < n; i++) {
		const struct one *a = &s[i - 1], *b = &s[i];
		if (!a->h != !b->h)
			events++;
		else if (changes)
			events += a->h ? !hist_same_value(w->a, a->h, b->h) : a->v != b->v;
		else
			events +=
			    b->reset || (a->h ? hist_reset_after(w->a, a->h, b->h) : b->v < a->v);
	}
	return a_float(events);
}

static struct value want_sum(struct window *w, bool mean)
{
	struct hist_sum *s = hist_sum_make(w->a, mean);
	unsigned bits = 0;

	for (uint32_t i = 0; i < w->h.n; i++)
		bits |= hist_sum_add(s, w->h.h[i]);
	if (bits & HISTMATH_MIXED) {
		w->told |= SCHEMAS_MET;
		return none;
	}
	w->told |= bits & HISTMATH_RECONCILED ? AGGREGATED : 0;
	w->told |= bits & HISTMATH_COLLIDED ? COLLIDED : 0;
	return a_hist(hist_sum_get(s, w->a));
}

/* Of functions of floats only what is told. */
static bool of_floats(enum ql_fn fn)
{
	static const enum ql_fn fns[] = { QL_FN_DERIV, QL_FN_PREDICT_LINEAR, QL_FN_MIN_OVER_TIME,
		QL_FN_MAX_OVER_TIME, QL_FN_TS_OF_MIN_OVER_TIME, QL_FN_TS_OF_MAX_OVER_TIME,
		QL_FN_QUANTILE_OVER_TIME, QL_FN_STDDEV_OVER_TIME, QL_FN_STDVAR_OVER_TIME,
		QL_FN_MAD_OVER_TIME, QL_FN_DOUBLE_EXPONENTIAL_SMOOTHING };
	for (size_t i = 0; i < COUNT_OF(fns); i++)
		if (fns[i] == fn)
			return true;
	return false;
}

static struct value want(enum ql_fn fn, struct window *w)
{
	struct one s[SAMPLES_MAX];
	uint32_t n = in_order(w, s);
	bool counter = fn != QL_FN_DELTA, rate = fn == QL_FN_RATE;
	double sum = 0, c = 0;

	if (!n)
		return none;
	switch ((int)fn) {
	case QL_FN_RATE:
	case QL_FN_INCREASE:
	case QL_FN_DELTA:
		return w->anchored || w->smoothed ? want_extended(w, counter, rate)
		                                  : want_rate(w, counter, rate);
	case QL_FN_IRATE:
	case QL_FN_IDELTA:
		return want_last_two(w, s, n, fn == QL_FN_IRATE);
	case QL_FN_RESETS:
	case QL_FN_CHANGES:
		return want_events(w, s, n, fn == QL_FN_CHANGES);
	case QL_FN_SUM_OVER_TIME:
	case QL_FN_AVG_OVER_TIME:
		if (w->f.n && w->h.n) {
			w->told |= KINDS_MET;
			return none;
		}
		if (w->h.n)
			return want_sum(w, fn == QL_FN_AVG_OVER_TIME);
		for (uint32_t i = 0; i < n; i++)
			ql_kahan(s[i].v, &sum, &c);
		return a_float(fn == QL_FN_AVG_OVER_TIME ? sum / n + c / n : sum + c);
	case QL_FN_COUNT_OVER_TIME:
		return a_float(n);
	case QL_FN_PRESENT_OVER_TIME:
	case QL_FN_ABSENT_OVER_TIME:
		return a_float(1);
	case QL_FN_FIRST_OVER_TIME:
		return s[0].h ? a_hist(s[0].h) : a_float(s[0].v);
	case QL_FN_LAST_OVER_TIME:
		return s[n - 1].h ? a_hist(s[n - 1].h) : a_float(s[n - 1].v);
	case QL_FN_TS_OF_FIRST_OVER_TIME:
		return a_float((double)s[0].t / 1000);
	case QL_FN_TS_OF_LAST_OVER_TIME:
		return a_float((double)s[n - 1].t / 1000);
	default:
		return none;
	}
}

static void window_cut(struct window *w, const struct column *c, const struct ql_range_spec *s,
    uint32_t step, struct arena *a)
{
	int64_t ref = ql_range_ref(s, step);
	bool extended = s->anchored || s->smoothed;
	int64_t from = ref - s->range_ms - (extended ? s->lookback_ms : 0);
	int64_t to = ref + (s->smoothed ? s->lookback_ms : 0);

	w->f.n = w->h.n = 0;
	w->start = ref - s->range_ms;
	w->end = ref;
	w->range_s = (double)s->range_ms / 1000;
	w->anchored = s->anchored;
	w->smoothed = s->smoothed;
	w->starts = s->start_times && !extended;
	w->a = a;
	for (uint32_t i = 0; i < c->count; i++) {
		bool stale = c->h[i] ? hist_is_stale(c->h[i]) : sample_is_stale(c->v[i]);
		if (c->t[i] <= from || c->t[i] > to || stale)
			continue;
		struct points *p = c->h[i] ? &w->h : &w->f;
		p->t[p->n] = c->t[i];
		p->v[p->n] = c->v[i];
		p->start[p->n] = c->start[i];
		p->h[p->n++] = c->h[i] ? hist_to_float(a, c->h[i]) : NULL;
	}
}

#endif
