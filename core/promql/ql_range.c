#include "core/promql/ql_range.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Windows that hold together less than this many times samples + steps are looped over as they are. */
#define QL_SLIDE_FROM 4
#define QL_SHELL_MAX  4096 /* beyond, the library sorts */

bool ql_range_knows(enum ql_fn fn)
{
	const struct ql_func *f = &ql_functab[fn];
	for (unsigned i = 0; i < f->args_count; i++)
		if (f->args[i] == QL_MATRIX)
			return true;
	return false;
}

void ql_range_reach(const struct ql_range_spec *s, int64_t *t_min_ms, int64_t *t_max_ms)
{
	int64_t first = ql_range_ref(s, 0), last = ql_range_ref(s, s->grid.n - 1);
	int64_t before = s->range_ms, after = 0;

	if (s->anchored || s->smoothed)
		before = num_sat_add(before, s->lookback_ms);
	if (s->smoothed)
		after = s->lookback_ms;
	*t_min_ms = num_sat_add(num_sat_sub(first, before), 1);
	*t_max_ms = num_sat_add(last, after);
}

void ql_range_init(struct ql_range *r, const struct ql_range_spec *spec)
{
	*r = (struct ql_range){ .spec = *spec };
	r->lo = mem_array(NULL, spec->grid.n, sizeof(*r->lo));
	r->hi = mem_array(NULL, spec->grid.n, sizeof(*r->hi));
	r->rate = mem_array(NULL, spec->grid.n, sizeof(*r->rate));
	r->line = mem_array(NULL, spec->grid.n, sizeof(*r->line));
}

void ql_range_release(struct ql_range *r)
{
	mem_free(r->lo);
	mem_free(r->hi);
	mem_free(r->rate);
	mem_free(r->line);
	mem_free(r->table);
	mem_free(r->_times);
	mem_free(r->_t);
	mem_free(r->_v);
	mem_free(r->scratch);
	mem_free(r->scratch2);
	mem_free(r->index);
	*r = (struct ql_range){ 0 };
}

static void range_room(struct ql_range *r, uint32_t count)
{
	if (count <= r->_cap)
		return;
	uint32_t cap = count + count / 2 + 64;
	r->_t = mem_array(r->_t, cap, sizeof(*r->_t));
	r->_v = mem_array(r->_v, cap, sizeof(*r->_v));
	r->scratch = mem_array(r->scratch, cap, sizeof(double));
	r->scratch2 = mem_array(r->scratch2, cap, sizeof(double));
	r->index = mem_array(r->index, (size_t)cap + 1, sizeof(uint32_t));
	r->_cap = cap;
}

/* --- windows --- */

static void range_bounds(struct ql_range *r, const int64_t *t, uint32_t count)
{
	const struct ql_range_spec *s = &r->spec;
	int64_t before = s->range_ms, after = 0;
	uint32_t lo = 0, hi = 0, seen = 0;
	uint64_t total = 0, read = 0;

	if (s->anchored || s->smoothed)
		before = num_sat_add(before, s->lookback_ms);
	if (s->smoothed)
		after = s->lookback_ms;
	for (uint32_t i = 0; i < s->grid.n; i++) {
		int64_t ref = ql_range_ref(s, i), from = num_sat_sub(ref, before);
		int64_t to = num_sat_add(ref, after);
		while (hi < count && t[hi] <= to)
			hi++;
		while (lo < hi && t[lo] <= from)
			lo++;
		while (i && seen < hi && t[seen] <= num_sat_sub(to, s->grid.step_ms))
			seen++;
		r->lo[i] = lo;
		r->hi[i] = hi;
		total += hi - lo;
		if (ql_reads_step(&s->reads, i) && !(s->fixed && i))
			read += hi - (seen > lo ? seen : lo);
	}
	r->_in_windows = total;
	r->_read = read;
	r->_slide = total > QL_SLIDE_FROM * ((uint64_t)count + s->grid.n);
}

static bool is_rate(enum ql_fn fn)
{
	return fn == QL_FN_RATE || fn == QL_FN_INCREASE || fn == QL_FN_DELTA;
}

/* Bounds for these times: those of the series before when its times were the same. */
static void range_windows(struct ql_range *r, const int64_t *t, uint32_t count)
{
	if (r->_times_valid && r->_times_count == count &&
	    memcmp(r->_times, t, count * sizeof(*t)) == 0)
		return;
	if (count > r->_times_cap) {
		r->_times_cap = count + count / 2 + 64;
		r->_times = mem_array(r->_times, r->_times_cap, sizeof(*t));
	}
	memcpy(r->_times, t, count * sizeof(*t));
	r->_times_count = count;
	r->_times_valid = true;
	range_bounds(r, t, count);
	if (is_rate(r->spec.fn) && !r->spec.anchored && !r->spec.smoothed)
		ql_rate_windows(r, t);
	else if (r->spec.fn == QL_FN_DERIV || r->spec.fn == QL_FN_PREDICT_LINEAR)
		ql_over_windows(r, t);
}

/* A stale marker is a NaN, and NaN is rare: the loop over all values is plain vector code. */
__attribute__((optimize("O3"))) static bool any_nan(const double *v, uint32_t count)
{
	uint64_t n = 0;
	for (uint32_t i = 0; i < count; i++)
		n += v[i] != v[i];
	return n != 0;
}

static bool any_stale(struct ql_range *r, const double *v, uint32_t count)
{
	r->has_nan = any_nan(v, count);
	if (LIKELY(!r->has_nan))
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (sample_is_stale(v[i]))
			return true;
	return false;
}

static uint32_t drop_stale(struct ql_range *r, const int64_t *t, const double *v, uint32_t count)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < count; i++) {
		r->_t[n] = t[i];
		r->_v[n] = v[i];
		n += !sample_is_stale(v[i]);
	}
	return n;
}

static enum err check_smoothing(const struct ql_range_spec *s, struct errbuf *eb)
{
	for (uint32_t i = 0; i < s->grid.n; i++) {
		double sf = s->param[0][i], tf = s->param[1][i];
		if (sf <= 0 || sf >= 1)
			return errbuf_set(eb, ERR_EXECUTION,
			    "invalid smoothing factor. Expected: 0 < sf < 1, got: %f", sf);
		if (tf <= 0 || tf >= 1)
			return errbuf_set(eb, ERR_EXECUTION,
			    "invalid trend factor. Expected: 0 < tf < 1, got: %f", tf);
	}
	return ERR_OK;
}

enum err ql_range_run(struct ql_range *r, const int64_t *t, const double *v, uint32_t count,
    double *out, uint64_t *has, bool *any, struct errbuf *eb)
{
	*any = false;
	r->samples_in_windows = r->samples_read = 0;
	range_room(r, count);
	if (any_stale(r, v, count)) {
		count = drop_stale(r, t, v, count);
		t = r->_t;
		v = r->_v;
	}
	if (!count)
		return ERR_OK;
	if (r->spec.fn == QL_FN_DOUBLE_EXPONENTIAL_SMOOTHING && check_smoothing(&r->spec, eb))
		return ERR_EXECUTION;
	range_windows(r, t, count);
	r->samples_in_windows = r->_in_windows;
	r->samples_read = r->_read;
	if (r->spec.anchored || r->spec.smoothed)
		ql_rate_extended(r, t, v, count, out, has);
	else if (is_rate(r->spec.fn))
		ql_rate_run(r, v, count, out, has);
	else
		ql_over_run(r, t, v, count, out, has);
	*any = ql_bits_any(has, r->spec.grid.n);
	return ERR_OK;
}

/* --- instant selectors --- */

bool ql_instant_run(struct ql_range *r, bool want_time, const int64_t *t, const double *v,
    uint32_t count, double *out, uint64_t *has)
{
	uint32_t n = r->spec.grid.n;
	uint64_t any = 0;

	if (!count)
		return false;
	range_windows(r, t, count);
	for (uint32_t w = 0; w < ql_words(n); w++) {
		uint64_t bits = 0;
		uint32_t end = n < w * 64 + 64 ? n : w * 64 + 64;
		for (uint32_t i = w * 64; i < end; i++) {
			uint32_t hi = r->hi[i];
			if (hi == r->lo[i] || sample_is_stale(v[hi - 1]))
				continue;
			out[i] = want_time ? (double)t[hi - 1] / 1000 : v[hi - 1];
			bits |= (uint64_t)1 << (i & 63);
		}
		has[w] |= bits;
		any |= bits;
	}
	return any != 0;
}

static double smooth_between(int64_t t0, double v0, int64_t t1, double v1, int64_t at)
{
	return v0 + (v1 - v0) * (double)(at - t0) / (double)(t1 - t0);
}

bool ql_smooth_run(const struct ql_range_spec *s, const int64_t *t, const double *v, uint32_t count,
    double *out, uint64_t *has)
{
	uint32_t hi = 0;
	bool any = false;

	for (uint32_t i = 0; i < s->grid.n; i++) {
		int64_t ref = ql_range_ref(s, i);
		while (hi < count && t[hi] <= ref)
			hi++;
		uint32_t before = hi, after = hi;
		while (before && sample_is_stale(v[before - 1]))
			before--;
		while (after < count && sample_is_stale(v[after]))
			after++;
		if (!before || t[before - 1] <= num_sat_sub(ref, s->lookback_ms))
			continue; /* never from a later sample alone */
		double x = v[before - 1];
		if (t[before - 1] != ref && after < count &&
		    t[after] <= num_sat_add(ref, s->lookback_ms))
			x = smooth_between(t[before - 1], x, t[after], v[after], ref);
		out[i] = x;
		ql_bit_on(has, i);
		any = true;
	}
	return any;
}

/* --- quantiles --- */

static int double_cmp(const void *pa, const void *pb)
{
	double a = *(const double *)pa, b = *(const double *)pb;
	if (isnan(a) || isnan(b))
		return !!isnan(b) - !!isnan(a);
	return (a > b) - (a < b);
}

/* Gaps of Ciura: no recursion, no calls, and no input is bad for it. */
static void shell_sort(double *v, uint32_t count)
{
	static const uint32_t gaps[] = { 1750, 701, 301, 132, 57, 23, 10, 4, 1 };

	/* Few values, and those of counters, are best served by the last pass alone. */
	for (size_t g = count > 24 ? 0 : COUNT_OF(gaps) - 1; g < COUNT_OF(gaps); g++)
		for (uint32_t i = gaps[g]; i < count; i++) {
			double x = v[i];
			uint32_t k = i;
			for (; k >= gaps[g] && v[k - gaps[g]] > x; k -= gaps[g])
				v[k] = v[k - gaps[g]];
			v[k] = x;
		}
}

void ql_sort_doubles(double *v, uint32_t count)
{
	uint32_t nans = 0;

	if (count > QL_SHELL_MAX) {
		qsort(v, count, sizeof(*v), double_cmp);
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		if (isnan(v[i])) {
			double x = v[i];
			v[i] = v[nans];
			v[nans++] = x;
		}
	shell_sort(v + nans, count - nans);
}

double ql_quantile(double q, double *values, uint32_t count)
{
	if (!count || isnan(q))
		return NAN;
	if (q < 0)
		return -INFINITY;
	if (q > 1)
		return INFINITY;
	ql_sort_doubles(values, count);

	double n = count, rank = q * (n - 1);
	double lower = fmax(0, floor(rank)), upper = fmin(n - 1, lower + 1);
	double weight = rank - floor(rank);
	/* Both terms always: an infinite neighbour gives NaN even at weight 0 (spec section 6). */
	return values[(uint32_t)lower] * (1 - weight) + values[(uint32_t)upper] * weight;
}
