/*
 * ql_mixhist - windows that hold a native histogram. Facts: Prometheus, promql/functions.go
 * (histogramRate, extendedHistogramRate, instantValue, funcAvgOverTime, ...) and promql/engine.go
 * (smoothSeries).
 *
 * Rate and its kin subtract the first histogram from the last one and add what the counter had
 * before each reset. A reset between the first and the second discards the first, whatever its
 * buckets are like.
 */
#include "core/promql/run/ql_mix_priv.h"

#include <math.h>

/* --- arithmetic, with what is to be told --- */

/* bit: custom bounds were made one. */
static void tell(struct ql_mix *m, unsigned bits, enum ql_mix_told bit)
{
	if (bits & HISTMATH_MIXED)
		m->win.told |= QL_MIX_SCHEMAS;
	else if (bits & HISTMATH_RECONCILED)
		m->win.told |= bit;
}

/* As upstream: apples and pears give no certainty. Contradictions are no news here. */
static enum hist_hint hint_of(const struct hist *l, const struct hist *r)
{
	if (l->hint == r->hint)
		return (enum hist_hint)l->hint;
	return l->hint == HIST_GAUGE || r->hint == HIST_GAUGE ? HIST_GAUGE : HIST_UNKNOWN;
}

static const struct hist *add(struct ql_mix *m, const struct hist *l, const struct hist *r)
{
	unsigned bits = 0;
	const struct hist *x = hist_add(&m->scratch, l, r, &bits);

	tell(m, bits, QL_MIX_ADDED);
	return x ? hist_with_hint(&m->scratch, x, hint_of(l, r)) : NULL;
}

static const struct hist *subtract(struct ql_mix *m, const struct hist *l, const struct hist *r)
{
	unsigned bits = 0;
	const struct hist *x = hist_sub(&m->scratch, l, r, &bits);

	tell(m, bits, QL_MIX_SUBTRACTED);
	return x ? hist_with_hint(&m->scratch, x, hint_of(l, r)) : NULL;
}

/* The window's value is what x is, as a gauge, compact, times factor. */
static enum ql_mix_did result(struct ql_mix *m, const struct hist *x, double factor)
{
	if (!x)
		return QL_MIX_NONE;
	x = hist_compact(&m->scratch, hist_with_hint(&m->scratch, x, HIST_GAUGE));
	m->win.h = hist_mul(&m->scratch, x, factor);
	return QL_MIX_HIST;
}

static enum ql_mix_did per_second(struct ql_mix *m, const struct hist *x, double seconds)
{
	if (!x)
		return QL_MIX_NONE;
	x = hist_compact(&m->scratch, hist_with_hint(&m->scratch, x, HIST_GAUGE));
	m->win.h = hist_div(&m->scratch, x, seconds);
	return QL_MIX_HIST;
}

/*
 * Between slices, what is left of a window's sum may move away from what it was made of. Only w->h
 * is good after that.
 */
static enum ql_mix_did cut(struct ql_mix *m)
{
	if (arena_used(&m->scratch) > QL_MIX_SCRATCH && m->win.h) {
		m->win.h = hist_copy(&m->keep, m->win.h);
		arena_reset(&m->scratch, QL_MIX_SCRATCH);
	}
	return QL_MIX_CUT;
}

/* A sample as it is. */
static enum ql_mix_did sample(struct ql_mix *m, uint32_t k)
{
	m->win.h = ql_mix_hist(m, k);
	m->win.stays = true;
	m->win.v = ((const double *)m->v.p)[k];
	return m->win.h ? QL_MIX_HIST : QL_MIX_FLOAT;
}

/* --- neighbours --- */

bool ql_mixhist_event(struct ql_range *r, uint32_t k)
{
	struct ql_mix *m = r->_mix;
	const struct hist *a = ql_mix_hist(m, k - 1), *b = ql_mix_hist(m, k);
	const double *v = (const double *)m->v.p + k;

	r->_work += ql_mix_work(b);
	if (!a != !b)
		return true;
	if (r->spec.fn == QL_FN_CHANGES) {
		if (a)
			return !hist_same_value(&m->scratch, a, b);
		return v[0] != v[-1] && !(isnan(v[0]) && isnan(v[-1]));
	}
	if (ql_mixstart_reset_at(m, k))
		return true;
	return a ? hist_reset_after(&m->scratch, a, b) : v[0] < v[-1];
}

static bool is_event(const struct ql_mix *m, uint32_t k)
{
	const uint32_t *at = m->events.p;
	return at[ql_mix_first(&m->events, m->events_count, k)] == k;
}

/* --- rate, increase, delta --- */

static bool is_counter(const struct ql_range *r)
{
	return r->spec.fn != QL_FN_DELTA;
}

enum rate_pass {
	RATE_BEGIN,
	RATE_SCHEMA, /* the coarsest one of the samples between first and last */
	RATE_RESETS  /* what the counter had before each is added */
};

/* Nothing stands for the first sample: its buckets would be those of the second. */
static const struct hist *nothing_like(struct ql_mix *m, const struct hist *second)
{
	struct hist *h = arena_zalloc(&m->scratch, sizeof(*h));

	h->is_float = true;
	h->schema = second->schema;
	h->bounds = second->bounds;
	h->bounds_count = second->bounds_count;
	return h;
}

/* False: exponential and custom ones. The samples between matter to counters alone. */
static bool rate_check(struct ql_range *r, uint32_t lo, uint32_t hi, bool drop_first)
{
	struct ql_mix *m = r->_mix;
	bool counter = is_counter(r);
	uint32_t from = lo + drop_first, last = hi - 1, customs = ql_mix_customs(m, from, hi);
	uint32_t ends = ql_mix_gauges(m, lo, lo + 1) + ql_mix_gauges(m, last, hi);

	if (counter && ends)
		m->win.told |= QL_MIX_NOT_COUNTER;
	if (ql_mix_customs(m, from, from + 1) != ql_mix_customs(m, last, hi)) {
		m->win.told |= QL_MIX_SCHEMAS;
		return false;
	}
	if (counter && customs && customs != hi - from) {
		m->win.told = QL_MIX_SCHEMAS;
		return false;
	}
	if (counter && ql_mix_gauges(m, lo, hi))
		m->win.told |= QL_MIX_NOT_COUNTER;
	if (!counter && ends != 2)
		m->win.told |= QL_MIX_NOT_GAUGE;
	return true;
}

/* False when the slice is over. */
static bool rate_schema(struct ql_range *r, uint32_t hi)
{
	struct ql_mix *m = r->_mix;
	struct ql_mix_win *w = &m->win;
	const struct hist *const *raw = m->raw.p;

	if (m->schema_min == m->schema_max || !is_counter(r))
		w->k = hi;
	while (w->k < hi) {
		uint32_t end = hi - w->k < QL_RANGE_WORK ? hi : w->k + QL_RANGE_WORK;
		uint32_t n = end - w->k;
		for (; w->k < end; w->k++)
			if (raw[w->k]->schema < w->schema)
				w->schema = raw[w->k]->schema;
		if (ql_range_pause(r, n) && w->k < hi)
			return false;
	}
	return true;
}

static bool rate_begin(struct ql_range *r, uint32_t lo, uint32_t hi)
{
	struct ql_mix *m = r->_mix;
	struct ql_mix_win *w = &m->win;
	bool drop = is_counter(r) && is_event(m, lo + 1);
	const struct hist *first = ql_mix_hist(m, drop ? lo + 1 : lo);

	if (!rate_check(r, lo, hi, drop))
		return false;
	w->schema = first->schema < ql_mix_hist(m, hi - 1)->schema ? first->schema
	                                                           : ql_mix_hist(m, hi - 1)->schema;
	w->pass = RATE_SCHEMA;
	w->k = lo + 1;
	return true;
}

/* last - first, at the coarsest schema. False: none. */
static bool rate_subtract(struct ql_range *r, uint32_t lo, uint32_t hi)
{
	struct ql_mix *m = r->_mix;
	struct ql_mix_win *w = &m->win;
	bool drop = is_counter(r) && is_event(m, lo + 1);
	const struct hist *first =
	    drop ? nothing_like(m, ql_mix_hist(m, lo + 1)) : ql_mix_hist(m, lo);
	const struct hist *last = ql_mix_hist(m, hi - 1);

	r->_work += ql_mix_work(last);
	w->h = subtract(m, hist_at_schema(&m->scratch, last, w->schema), first);
	/* Added again it changes nothing, but of custom bounds something may be told. */
	if (w->h && drop && first->schema == HIST_SCHEMA_CUSTOM &&
	    (ql_mixstart_reset_at(m, lo + 1) || ql_mix_hist(m, lo + 1)->hint == HIST_RESET))
		w->h = add(m, w->h, first);
	w->pass = RATE_RESETS;
	w->k = ql_mix_first(&m->events, m->events_count, lo + 1 + drop);
	return w->h != NULL;
}

/* Adds what there was before each reset. */
static enum ql_mix_did rate_resets(struct ql_range *r, uint32_t hi)
{
	struct ql_mix *m = r->_mix;
	struct ql_mix_win *w = &m->win;
	const uint32_t *at = m->events.p;

	while (is_counter(r) && at[w->k] < hi) {
		const struct hist *before = ql_mix_hist(m, at[w->k++] - 1);
		if (!(w->h = add(m, w->h, before)))
			return QL_MIX_NONE;
		if (ql_range_pause(r, ql_mix_work(before)) && at[w->k] < hi)
			return cut(m);
	}
	return QL_MIX_HIST;
}

static enum ql_mix_did rate_difference(struct ql_range *r, uint32_t lo, uint32_t hi)
{
	struct ql_mix *m = r->_mix;

	if (m->win.pass == RATE_BEGIN && !rate_begin(r, lo, hi))
		return QL_MIX_NONE;
	if (m->win.pass == RATE_SCHEMA) {
		if (!rate_schema(r, hi))
			return QL_MIX_CUT;
		if (!rate_subtract(r, lo, hi))
			return QL_MIX_NONE;
	}
	enum ql_mix_did did = rate_resets(r, hi);
	if (did == QL_MIX_HIST && m->start.p) {
		uint32_t k = ql_mix_first(&m->overlaps, m->overlaps_count, lo + 1);
		m->overlapping += ((const uint32_t *)m->overlaps.p)[k] < hi;
	}
	return did;
}

static enum ql_mix_did rate_window(struct ql_range *r, uint32_t step, uint32_t lo, uint32_t hi)
{
	struct ql_mix *m = r->_mix;
	bool begins = ql_mixstart_begins(r, step, lo), alone = hi - lo < 2;
	const struct hist *first = ql_mix_hist(m, lo), *x = first;
	struct ql_mix_reach reach = { .first = first->count.f };

	if (alone && !begins)
		return QL_MIX_NONE;
	if (!alone) {
		enum ql_mix_did did = rate_difference(r, lo, hi);
		if (did != QL_MIX_HIST)
			return did;
		x = hist_with_hint(&m->scratch, m->win.h, HIST_GAUGE);
	}
	reach.result = x->count.f;
	if (begins && !alone && !(x = add(m, x, first)))
		return QL_MIX_NONE;
	ql_mixstart_reach(r, step, lo, hi, begins, &reach);
	r->_work += ql_mix_work(x);
	if (!alone)
		return result(m, x, reach.factor);
	m->win.h = hist_mul(&m->scratch, x, reach.factor);
	return QL_MIX_HIST;
}

/* --- anchored, smoothed --- */

struct ext { /* one window: its samples first..last, of histograms alone */
	uint32_t first, last;
	int64_t start, end;
	const struct hist *left, *right;
};

/* The first sample of first..last-1 that is later than upto, else last. */
static uint32_t after(const struct ql_mix *m, uint32_t first, uint32_t last, int64_t upto)
{
	const int64_t *t = m->t.p;

	while (first < last) {
		uint32_t mid = first + (last - first) / 2;
		if (t[mid] <= upto)
			first = mid + 1;
		else
			last = mid;
	}
	return last;
}

/* What a window looks at; false: no sample lies in it. */
static bool ext_find(const struct ql_range *r, uint32_t step, uint32_t lo, uint32_t hi, struct ext *x)
{
	const struct ql_mix *m = r->_mix;
	const int64_t *t = m->t.p;

	x->end = ql_range_ref(&r->spec, step);
	x->start = num_sat_sub(x->end, r->spec.range_ms);
	x->last = hi - 1;
	x->first = after(m, lo, x->last, x->start);
	if (x->first > lo)
		x->first--;
	if (r->spec.smoothed)
		x->last = after(m, lo, x->last, num_sat_sub(x->end, 1));
	return t[x->last] > x->start && !(r->spec.smoothed && t[x->first] > x->end);
}

/* Between samples k and k + 1. A counter that began again grows from 0. */
static const struct hist *between(struct ql_mix *m, uint32_t k, int64_t at, bool counter)
{
	const int64_t *t = m->t.p;
	const struct hist *a = ql_mix_hist(m, k), *b = ql_mix_hist(m, k + 1), *x;
	double part = (double)(at - t[k]) / (double)(t[k + 1] - t[k]);

	if (at == t[k] || at == t[k + 1])
		return at == t[k] ? a : b;
	if (counter && hist_reset_after(&m->scratch, a, b))
		return hist_mul(&m->scratch, b, part);
	if (!(x = subtract(m, b, a)))
		return NULL;
	return add(m, hist_mul(&m->scratch, x, part), a);
}

/* False: exponential and custom ones, which is told. */
static bool ext_ends(struct ql_range *r, struct ext *x, uint32_t lo)
{
	struct ql_mix *m = r->_mix;
	const int64_t *t = m->t.p;
	uint32_t n = x->last + 1 - x->first, customs = ql_mix_customs(m, x->first, x->last + 1);
	bool counter = is_counter(r), smoothed = r->spec.smoothed;

	if (customs && customs != n) {
		m->win.told = QL_MIX_SCHEMAS;
		return false;
	}
	if (counter && ql_mix_gauges(m, x->first, x->last + 1))
		m->win.told |= QL_MIX_NOT_COUNTER;
	x->left = smoothed && t[x->first] < x->start ? between(m, x->first, x->start, counter)
	                                             : ql_mix_hist(m, x->first);
	x->right = smoothed && x->last > lo && t[x->last] > x->end
	    ? between(m, x->last - 1, x->end, counter)
	    : ql_mix_hist(m, x->last);
	if (!x->left || !x->right)
		return false;
	if (!counter && (x->left->hint != HIST_GAUGE || x->right->hint != HIST_GAUGE))
		m->win.told |= QL_MIX_NOT_GAUGE;
	return true;
}

static bool correct(struct ql_mix *m, const struct hist **sum, const struct hist *before)
{
	*sum = *sum ? add(m, *sum, before) : before;
	return *sum != NULL;
}

/*
 * What the counter had before each reset from left to right; *sum NULL: none. False: not to be
 * added. The interval that the left end lies in is counted by what left is; the last sample is
 * right, whatever it is made of.
 */
static enum ql_mix_did ext_correction(struct ql_range *r, const struct ext *x, const struct hist **sum)
{
	struct ql_mix *m = r->_mix;
	struct ql_mix_win *w = &m->win;
	const int64_t *t = m->t.p;
	const uint32_t *at = m->events.p;
	uint32_t first = x->first + 1;
	const struct hist *prev = x->left;

	if (r->spec.smoothed && t[x->first] < x->start &&
	    hist_reset_after(&m->scratch, ql_mix_hist(m, x->first), ql_mix_hist(m, x->first + 1)))
		prev = ql_mix_hist(m, first++);
	if (first > x->last)
		return QL_MIX_HIST;
	if (!w->pass) { /* the first one is compared with what left is */
		w->pass = 1;
		w->k = ql_mix_first(&m->events, m->events_count, first + 1);
		if (first < x->last && hist_reset_after(&m->scratch, prev, ql_mix_hist(m, first)) &&
		    !correct(m, sum, prev))
			return QL_MIX_NONE;
		w->h = *sum;
	}
	*sum = w->h;
	for (; at[w->k] < x->last; w->k++) {
		const struct hist *before = ql_mix_hist(m, at[w->k] - 1);
		if (!correct(m, sum, before))
			return QL_MIX_NONE;
		w->h = *sum;
		if (ql_range_pause(r, ql_mix_work(before))) {
			w->k++;
			return cut(m);
		}
	}
	if (first < x->last)
		prev = ql_mix_hist(m, x->last - 1);
	if (hist_reset_after(&m->scratch, prev, x->right) && !correct(m, sum, prev))
		return QL_MIX_NONE;
	return QL_MIX_HIST;
}

static enum ql_mix_did ext_window(struct ql_range *r, uint32_t step, uint32_t lo, uint32_t hi)
{
	struct ql_mix *m = r->_mix;
	const struct hist *sum = NULL, *x;
	struct ext e;

	if (!ext_find(r, step, lo, hi, &e) || !ext_ends(r, &e, lo))
		return QL_MIX_NONE;
	if (is_counter(r)) {
		enum ql_mix_did did = ext_correction(r, &e, &sum);
		if (did != QL_MIX_HIST)
			return did;
	}
	r->_work += 4 * ql_mix_work(e.right);
	x = subtract(m, e.right, e.left);
	if (x && sum)
		x = add(m, x, sum);
	return r->spec.fn == QL_FN_RATE ? per_second(m, x, (double)r->spec.range_ms / 1000)
	                                : result(m, x, 1);
}

enum ql_mix_did ql_mixhist_smooth(struct ql_range *r, uint32_t lo, uint32_t hi, int64_t ref)
{
	struct ql_mix *m = r->_mix;
	const int64_t *t = m->t.p;
	uint32_t k = after(m, lo, hi, num_sat_sub(ref, 1)); /* the first one at ref or later */

	if (ql_mix_hists(m, lo, hi) != hi - lo) {
		m->win.told = QL_MIX_KINDS;
		return QL_MIX_NONE;
	}
	if (k < hi && t[k] == ref)
		return sample(m, k);
	if (k == lo)
		return QL_MIX_NONE; /* never from a later sample alone */
	if (k == hi) {
		m->win.h = hist_with_hint(&m->scratch, ql_mix_hist(m, k - 1), HIST_UNKNOWN);
		return QL_MIX_HIST;
	}
	bool counter = ql_mix_gauges(m, k - 1, k + 1) != 2;
	if (ql_mix_customs(m, k - 1, k + 1) == 1) {
		m->win.told = QL_MIX_SCHEMAS;
		return QL_MIX_NONE;
	}
	r->_work += 3 * ql_mix_work(ql_mix_hist(m, k));
	m->win.h = between(m, k - 1, ref, counter);
	return m->win.h ? QL_MIX_HIST : QL_MIX_NONE;
}

/* --- the last two --- */

static enum ql_mix_did last_two(struct ql_range *r, uint32_t lo, uint32_t hi)
{
	struct ql_mix *m = r->_mix;
	const double *v = m->v.p;
	const int64_t *t = m->t.p;
	uint32_t k = hi - 1;
	bool rate = r->spec.fn == QL_FN_IRATE;

	if (hi - lo < 2)
		return QL_MIX_NONE;
	double seconds = (double)(t[k] - t[k - 1]) / 1000;
	const struct hist *a = ql_mix_hist(m, k - 1), *b = ql_mix_hist(m, k), *x = b;
	if (!a != !b) {
		m->win.told = QL_MIX_KINDS;
		return QL_MIX_NONE;
	}
	if (!a) {
		bool reset = rate && (v[k] < v[k - 1] || ql_mixstart_reset_at(m, k));
		m->win.v = (reset ? v[k] : v[k] - v[k - 1]) / (rate ? seconds : 1);
		return QL_MIX_FLOAT;
	}
	if (rate && ql_mix_gauges(m, k - 1, hi))
		m->win.told |= QL_MIX_NOT_COUNTER;
	if (!rate && ql_mix_gauges(m, k - 1, hi) != 2)
		m->win.told |= QL_MIX_NOT_GAUGE;
	r->_work += 2 * ql_mix_work(b);
	if (!rate || !(ql_mixstart_reset_at(m, k) || hist_reset_after(&m->scratch, a, b)))
		x = subtract(m, b, a);
	return rate ? per_second(m, x, seconds) : result(m, x, 1);
}

/* --- sums --- */

static enum ql_mix_did sum_window(struct ql_range *r, uint32_t lo, uint32_t hi)
{
	struct ql_mix *m = r->_mix;
	struct ql_mix_win *w = &m->win;

	if (ql_mix_hists(m, lo, hi) != hi - lo) {
		w->told = QL_MIX_KINDS;
		return QL_MIX_NONE;
	}
	if (!w->sum) {
		w->sum = hist_sum_make(&m->scratch, r->spec.fn == QL_FN_AVG_OVER_TIME);
		w->k = lo;
	}
	while (w->k < hi) {
		const struct hist *h = ql_mix_hist(m, w->k++);
		unsigned bits = hist_sum_add(w->sum, h);
		if (bits & (HISTMATH_MIXED | HISTMATH_NONE)) {
			w->told = bits & HISTMATH_MIXED ? QL_MIX_SCHEMAS : w->told;
			return QL_MIX_NONE;
		}
		if (bits & HISTMATH_RECONCILED)
			w->told |= QL_MIX_AGGREGATED;
		if (bits & HISTMATH_COLLIDED)
			w->told |= QL_MIX_COLLIDED;
		if (ql_range_pause(r, ql_mix_work(h)) && w->k < hi)
			return QL_MIX_CUT;
	}
	w->h = hist_sum_get(w->sum, &m->scratch);
	return w->h ? QL_MIX_HIST : QL_MIX_NONE;
}

/* --- functions that look at few samples --- */

static enum ql_mix_did number(struct ql_mix *m, double v)
{
	m->win.v = v;
	return QL_MIX_FLOAT;
}

/* How often the samples changed, or began again. */
static enum ql_mix_did events(struct ql_range *r, uint32_t step, uint32_t lo, uint32_t hi)
{
	struct ql_mix *m = r->_mix;

	if (r->spec.anchored) {
		struct ext x;
		if (!ext_find(r, step, lo, hi, &x))
			return QL_MIX_NONE;
		lo = x.first;
	}
	return number(m,
	    ql_mix_first(&m->events, m->events_count, hi) -
	        ql_mix_first(&m->events, m->events_count, lo + 1));
}

static enum ql_mix_did rates(struct ql_range *r, uint32_t step, uint32_t lo, uint32_t hi)
{
	if (ql_mix_hists(r->_mix, lo, hi) != hi - lo) {
		r->_mix->win.told = QL_MIX_KINDS;
		return QL_MIX_NONE;
	}
	return ql_range_extended(&r->spec) ? ext_window(r, step, lo, hi)
	                                   : rate_window(r, step, lo, hi);
}

enum ql_mix_did ql_mixhist_window(struct ql_range *r, uint32_t step, uint32_t lo, uint32_t hi)
{
	struct ql_mix *m = r->_mix;
	const int64_t *t = m->t.p;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
	switch (r->spec.fn) {
	case QL_FN_RATE:
	case QL_FN_INCREASE:
	case QL_FN_DELTA:
		return rates(r, step, lo, hi);
	case QL_FN_IRATE:
	case QL_FN_IDELTA:
		return last_two(r, lo, hi);
	case QL_FN_RESETS:
	case QL_FN_CHANGES:
		return events(r, step, lo, hi);
	case QL_FN_SUM_OVER_TIME:
	case QL_FN_AVG_OVER_TIME:
		return sum_window(r, lo, hi);
	case QL_FN_COUNT_OVER_TIME:
		return number(m, hi - lo);
	case QL_FN_PRESENT_OVER_TIME:
	case QL_FN_ABSENT_OVER_TIME: /* the opposite is made of it later */
		return number(m, 1);
	case QL_FN_FIRST_OVER_TIME:
		return sample(m, lo);
	case QL_FN_LAST_OVER_TIME:
		return sample(m, hi - 1);
	case QL_FN_TS_OF_FIRST_OVER_TIME:
		return number(m, (double)t[lo] / 1000);
	case QL_FN_TS_OF_LAST_OVER_TIME:
		return number(m, (double)t[hi - 1] / 1000);
	default:
		return QL_MIX_NONE;
	}
#pragma GCC diagnostic pop
}
