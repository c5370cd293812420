#include "core/promql/run/ql_range_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * Windows that hold together less than this many times samples + steps are looped over as they are.
 */
#define QL_SLIDE_FROM 4
#define QL_SHELL_MAX  4096 /* beyond, the library sorts */

void *ql_range_grow(
    struct ql_range *r, void *p, size_t have, size_t want, size_t size, struct errbuf *eb)
{
	uint64_t more = (uint64_t)(want - have) * size;

	if (r->_budget && ql_charge_heap(r->_budget, more, eb))
		return NULL;
	r->_charged += more;
	return mem_array(p, want, size);
}

static bool is_rate(enum ql_fn fn)
{
	return fn == QL_FN_RATE || fn == QL_FN_INCREASE || fn == QL_FN_DELTA;
}

static bool is_line(enum ql_fn fn)
{
	return fn == QL_FN_DERIV || fn == QL_FN_PREDICT_LINEAR;
}

static bool is_extended(const struct ql_range_spec *s)
{
	return s->anchored || s->smoothed;
}

enum err ql_range_init(struct ql_range *r, const struct ql_range_spec *spec,
    struct ql_budget *budget, struct errbuf *eb)
{
	size_t n = spec->grid.n;

	*r = (struct ql_range){ .spec = *spec, ._budget = budget };
	if (!(r->lo = ql_range_grow(r, NULL, 0, n, sizeof(*r->lo), eb)))
		return ERR_EXECUTION;
	if (!(r->hi = ql_range_grow(r, NULL, 0, n, sizeof(*r->hi), eb)))
		return ERR_EXECUTION;
	if (is_rate(spec->fn) && !is_extended(spec) &&
	    !(r->rate = ql_range_grow(r, NULL, 0, n, sizeof(*r->rate), eb)))
		return ERR_EXECUTION;
	if (is_line(spec->fn) && !(r->line = ql_range_grow(r, NULL, 0, n, sizeof(*r->line), eb)))
		return ERR_EXECUTION;
	return ERR_OK;
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
	if (r->_budget)
		ql_uncharge_heap(r->_budget, r->_charged);
	*r = (struct ql_range){ 0 };
}

struct scratch_use {
	bool values, errors, index; /* scratch, scratch2, index */
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
static struct scratch_use scratch_of(const struct ql_range_spec *s)
{
	switch (s->fn) {
	case QL_FN_SUM_OVER_TIME:
	case QL_FN_AVG_OVER_TIME:
		return (struct scratch_use){ .values = true, .errors = true };
	case QL_FN_QUANTILE_OVER_TIME:
	case QL_FN_MAD_OVER_TIME:
		return (struct scratch_use){ .values = true };
	case QL_FN_MIN_OVER_TIME:
	case QL_FN_MAX_OVER_TIME:
	case QL_FN_CHANGES:
	case QL_FN_RESETS:
	case QL_FN_RATE:
	case QL_FN_INCREASE:
	case QL_FN_DELTA:
		return (struct scratch_use){ .index = !is_extended(s) };
	default:
		return (struct scratch_use){ 0 };
	}
}
#pragma GCC diagnostic pop

static uint32_t cap_for(uint32_t count)
{
	return count < 1u << 20 ? count + count / 2 + 64 : count;
}

/* What the function needs for count samples. */
static enum err range_room(struct ql_range *r, uint32_t count, struct errbuf *eb)
{
	struct scratch_use use = scratch_of(&r->spec);
	uint32_t cap = cap_for(count);
	void *p;

	if (count <= r->_cap)
		return ERR_OK;
	if (use.values) {
		if (!(p = ql_range_grow(r, r->scratch, r->_cap, cap, sizeof(double), eb)))
			return ERR_EXECUTION;
		r->scratch = p;
	}
	if (use.errors) {
		if (!(p = ql_range_grow(r, r->scratch2, r->_cap, cap, sizeof(double), eb)))
			return ERR_EXECUTION;
		r->scratch2 = p;
	}
	if (use.index) {
		p = ql_range_grow(r, r->index, r->_cap, (size_t)cap + 1, sizeof(uint32_t), eb);
		if (!p)
			return ERR_EXECUTION;
		r->index = p;
	}
	r->_cap = cap;
	return ERR_OK;
}

/* Where a column without its stale markers goes. */
static enum err plain_room(struct ql_range *r, uint32_t count, struct errbuf *eb)
{
	uint32_t cap = cap_for(count);
	void *p;

	if (count <= r->_plain_cap)
		return ERR_OK;
	if (!(p = ql_range_grow(r, r->_t, r->_plain_cap, cap, sizeof(*r->_t), eb)))
		return ERR_EXECUTION;
	r->_t = p;
	if (!(p = ql_range_grow(r, r->_v, r->_plain_cap, cap, sizeof(*r->_v), eb)))
		return ERR_EXECUTION;
	r->_v = p;
	r->_plain_cap = cap;
	return ERR_OK;
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

/* Bounds for these times: those of the series before when its times were the same. */
static enum err range_windows(struct ql_range *r, const int64_t *t, uint32_t count, struct errbuf *eb)
{
	if (r->_times_valid && r->_times_count == count &&
	    memcmp(r->_times, t, count * sizeof(*t)) == 0)
		return ERR_OK;
	if (count > r->_times_cap) {
		uint32_t cap = cap_for(count);
		void *p = ql_range_grow(r, r->_times, r->_times_cap, cap, sizeof(*t), eb);
		if (!p)
			return ERR_EXECUTION;
		r->_times = p;
		r->_times_cap = cap;
	}
	memcpy(r->_times, t, count * sizeof(*t));
	r->_times_count = count;
	r->_times_valid = true;
	range_bounds(r, t, count);
	r->_line_upto = 0;
	if (r->rate)
		ql_rate_windows(r, t);
	return ERR_OK;
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
	bool same = s->param[0].kind == QL_SAME && s->param[1].kind == QL_SAME;

	for (uint32_t i = 0; i < (same ? 1 : s->grid.n); i++) {
		double sf = ql_scalar_at(&s->param[0], i), tf = ql_scalar_at(&s->param[1], i);
		if (sf <= 0 || sf >= 1)
			return errbuf_set(eb, ERR_EXECUTION,
			    "invalid smoothing factor. Expected: 0 < sf < 1, got: %f", sf);
		if (tf <= 0 || tf >= 1)
			return errbuf_set(eb, ERR_EXECUTION,
			    "invalid trend factor. Expected: 0 < tf < 1, got: %f", tf);
	}
	return ERR_OK;
}

bool ql_range_pause_slow(struct ql_range *r, uint32_t i)
{
	uint64_t work = r->_work;

	r->_work = 0;
	if (!r->yield || !r->yield(r->yield_arg, work) || i + 1 == r->spec.grid.n)
		return false;
	r->again = true;
	r->_at = i + 1;
	return true;
}

/* The windows of the column at hand, from r->_at on. */
static enum err range_steps(
    struct ql_range *r, double *out, uint64_t *has, bool *any, struct errbuf *eb)
{
	const int64_t *t = r->_run_t;
	const double *v = r->_run_v;
	uint32_t count = r->_run_count;

	r->again = false;
	if (is_extended(&r->spec))
		ql_rate_extended(r, t, v, count, out, has);
	else if (is_rate(r->spec.fn))
		ql_rate_run(r, v, count, out, has);
	else if (ql_over_run(r, t, v, count, out, has, eb))
		return ERR_EXECUTION;
	*any = !r->again && ql_bits_any(has, r->spec.grid.n);
	return ERR_OK;
}

enum err ql_range_run(struct ql_range *r, const int64_t *t, const double *v, uint32_t count,
    double *out, uint64_t *has, bool *any, struct errbuf *eb)
{
	*any = false;
	if (r->again)
		return range_steps(r, out, has, any, eb);
	r->samples_in_windows = r->samples_read = 0;
	if (any_stale(r, v, count)) {
		if (plain_room(r, count, eb))
			return ERR_EXECUTION;
		count = drop_stale(r, t, v, count);
		t = r->_t;
		v = r->_v;
	}
	if (!count)
		return ERR_OK;
	if (r->spec.fn == QL_FN_DOUBLE_EXPONENTIAL_SMOOTHING && check_smoothing(&r->spec, eb))
		return ERR_EXECUTION;
	if (range_room(r, count, eb) || range_windows(r, t, count, eb))
		return ERR_EXECUTION;
	r->samples_in_windows = r->_in_windows;
	r->samples_read = r->_read;
	r->_run_t = t;
	r->_run_v = v;
	r->_run_count = count;
	r->_at = 0;
	return range_steps(r, out, has, any, eb);
}

/* --- instant selectors --- */

enum err ql_instant_run(struct ql_range *r, bool want_time, const int64_t *t, const double *v,
    uint32_t count, double *out, uint64_t *has, bool *any, struct errbuf *eb)
{
	uint32_t n = r->spec.grid.n;

	*any = false;
	if (!count)
		return ERR_OK;
	if (range_windows(r, t, count, eb))
		return ERR_EXECUTION;
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
		*any |= bits != 0;
	}
	return ERR_OK;
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
	/* Both terms always: an infinite neighbour gives NaN even at weight 0. */
	return values[(uint32_t)lower] * (1 - weight) + values[(uint32_t)upper] * weight;
}
