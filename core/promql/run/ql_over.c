/* Functions over the samples of a window that do not extrapolate. */
#include "core/promql/run/ql_range_priv.h"

#include <math.h>
#include <string.h>

/*
 * Beyond this a partial sum may overflow where the whole would not: the window is summed plainly.
 */
#define QL_SUM_SAFE 1e300

/*
 * --- sums ---
 *
 * two_sum gives the same sum and error as the Kahan-Neumaier step without looking at magnitudes
 * (both errors are exact), as long as nothing is infinite or NaN:
 * the fast loops use it, and what comes out not finite is computed again step by step.
 */
static inline void two_sum(double x, double *sum, double *c)
{
	double s = *sum, t = s + x, b = t - s;
	*c += (s - (t - b)) + (x - b);
	*sum = t;
}

static double sum_plain(const double *v, uint32_t n)
{
	double sum = 0, c = 0;
	for (uint32_t i = 0; i < n; i++)
		two_sum(v[i], &sum, &c);
	if (LIKELY(isfinite(sum + c)))
		return sum + c;
	sum = c = 0;
	for (uint32_t i = 0; i < n; i++)
		ql_kahan(v[i], &sum, &c);
	return isinf(sum) ? sum : sum + c;
}

static double avg_plain(const double *v, uint32_t n)
{
	double sum = v[0], c = 0, mean = 0, count = 1;
	bool incremental = false;

	for (uint32_t i = 1; i < n; i++)
		two_sum(v[i], &sum, &c);
	if (LIKELY(isfinite(sum + c)))
		return sum / (double)n + c / (double)n;
	sum = v[0];
	c = 0;

	for (uint32_t i = 1; i < n; i++) {
		count = (double)(i + 1);
		if (!incremental) {
			double s = sum, sc = c;
			ql_kahan(v[i], &s, &sc);
			if (!isinf(s)) {
				sum = s;
				c = sc;
				continue;
			}
			/* The sum would overflow: go on with the mean. */
			incremental = true;
			mean = sum / (count - 1);
			c /= count - 1;
		}
		double q = (count - 1) / count;
		mean *= q;
		c *= q;
		ql_kahan(v[i] / count, &mean, &c);
	}
	return incremental ? mean + c : sum / count + c / count;
}

/*
 * Sliding sums: suffix[i], suffix_c[i] = compensated sum of v[i..mid-1]; back = sum of
 * v[mid..hi-1]. The window is suffix[lo] + back.
 * When lo passes mid the suffixes are made anew for what is there: each sample is added at most
 * twice.
 */
struct slide {
	uint32_t mid, hi;
	double back, back_c;
};

static void slide_rebuild(struct ql_range *r, struct slide *s, const double *v, uint32_t lo)
{
	double sum = 0, c = 0;
	for (uint32_t k = s->hi; k > lo; k--) {
		two_sum(v[k - 1], &sum, &c);
		r->scratch[k - 1] = sum;
		r->scratch2[k - 1] = c;
	}
	s->mid = s->hi;
	s->back = s->back_c = 0;
}

static void sum_slide(struct ql_range *r, const double *v, bool avg, double *out, uint64_t *has)
{
	struct slide s = { 0 };

	for (uint32_t i = 0; i < r->spec.grid.n; i++) {
		uint32_t lo = r->lo[i], hi = r->hi[i];
		if (lo == hi)
			continue;
		if (lo >= s.hi) { /* nothing in common with before */
			s = (struct slide){ .mid = lo, .hi = lo };
		}
		for (; s.hi < hi; s.hi++)
			two_sum(v[s.hi], &s.back, &s.back_c);
		if (lo >= s.mid)
			slide_rebuild(r, &s, v, lo);
		double sum = r->scratch[lo], c = r->scratch2[lo];
		two_sum(s.back, &sum, &c);
		c += s.back_c;
		if (UNLIKELY(!(fabs(sum) < QL_SUM_SAFE)))
			out[i] = avg ? avg_plain(v + lo, hi - lo) : sum_plain(v + lo, hi - lo);
		else if (avg)
			out[i] = sum / (double)(hi - lo) + c / (double)(hi - lo);
		else
			out[i] = sum + c;
		ql_bit_on(has, i);
	}
}

/* --- extremes: a monotone queue of indices --- */

static bool beats(
    double x, double y, bool max) /* does x end the life of y? NaN never lives beside a number */
{
	return isnan(y) || (max ? x > y : x < y);
}

static void extreme_slide(struct ql_range *r, const double *v, bool max, double *out, uint64_t *has)
{
	uint32_t *q = r->index, head = 0, tail = 0, next = 0;

	for (uint32_t i = 0; i < r->spec.grid.n; i++) {
		uint32_t lo = r->lo[i], hi = r->hi[i];
		for (; next < hi; next++) {
			if (isnan(v[next]) && tail > head)
				continue; /* only kept when nothing else is there; see below */
			while (tail > head && beats(v[next], v[q[tail - 1]], max))
				tail--;
			q[tail++] = next;
		}
		while (head < tail && q[head] < lo)
			head++;
		if (lo == hi)
			continue;
		/*
		 * An empty queue: the newer samples were NaN, left out behind a number that is now
		 * gone.
		 */
		out[i] = head < tail ? v[q[head]] : (double)NAN;
		ql_bit_on(has, i);
	}
}

/*
 * level[i] = the extreme of a run of 2 * half samples from i on, from the level below. The earlier
 * one wins when equal.
 */
__attribute__((optimize("O3"))) static void table_level(
    double *restrict level, const double *restrict below, uint32_t half, uint32_t count, bool max)
{
	if (max)
		for (uint32_t i = 0; i < count; i++)
			level[i] = below[i + half] > below[i] ? below[i + half] : below[i];
	else
		for (uint32_t i = 0; i < count; i++)
			level[i] = below[i + half] < below[i] ? below[i + half] : below[i];
}

static unsigned log2_floor(uint32_t n)
{
	return 31 - (unsigned)__builtin_clz(n);
}

static enum err extreme_table(struct ql_range *r, const double *v, uint32_t count, bool max,
    double *out, uint64_t *has, struct errbuf *eb)
{
	const double *level[32] = { v };
	unsigned levels = 0;

	for (uint32_t i = 0; i < r->spec.grid.n; i++)
		if (r->hi[i] > r->lo[i] && log2_floor(r->hi[i] - r->lo[i]) > levels)
			levels = log2_floor(r->hi[i] - r->lo[i]);
	if ((size_t)levels * count > r->table_cap) {
		size_t cap = (size_t)levels * count;
		void *p = ql_range_grow(r, r->table, r->table_cap, cap, sizeof(*r->table), eb);
		if (!p)
			return ERR_EXECUTION;
		r->table = p;
		r->table_cap = cap;
	}
	for (unsigned k = 1; k <= levels; k++) {
		double *to = r->table + (size_t)(k - 1) * count;
		table_level(to, level[k - 1], 1u << (k - 1), count - (1u << k) + 1, max);
		level[k] = to;
	}
	for (uint32_t i = 0; i < r->spec.grid.n; i++) {
		uint32_t lo = r->lo[i], hi = r->hi[i];
		if (lo == hi)
			continue;
		unsigned k = log2_floor(hi - lo);
		double a = level[k][lo], b = level[k][hi - (1u << k)];
		out[i] = (max ? b > a : b < a) ? b : a;
		ql_bit_on(has, i);
	}
	return ERR_OK;
}

static double extreme_plain(const double *v, uint32_t n, bool max)
{
	double best = v[0];
	for (uint32_t i = 1; i < n; i++)
		if (isnan(best) || (max ? v[i] > best : v[i] < best))
			best = v[i];
	return best;
}

/* --- prefix counts --- */

static void counted(struct ql_range *r, const double *v, uint32_t count, double *out, uint64_t *has)
{
	uint32_t *p = r->index, n = 0;
	bool resets = r->spec.fn == QL_FN_RESETS;

	p[0] = 0;
	for (uint32_t i = 1; i < count; i++) {
		if (resets)
			n += v[i] < v[i - 1];
		else
			n += v[i] != v[i - 1] && !(isnan(v[i]) && isnan(v[i - 1]));
		p[i] = n;
	}
	for (uint32_t i = 0; i < r->spec.grid.n; i++) {
		if (r->lo[i] == r->hi[i])
			continue;
		out[i] = p[r->hi[i] - 1] - p[r->lo[i]];
		ql_bit_on(has, i);
	}
}

/* --- one window at a time --- */

static double variance(const double *v, uint32_t n)
{
	double count = 0, mean = 0, c_mean = 0, aux = 0, c_aux = 0;
	for (uint32_t i = 0; i < n; i++) {
		count++;
		double delta = v[i] - (mean + c_mean);
		ql_kahan(delta / count, &mean, &c_mean);
		ql_kahan(delta * (v[i] - (mean + c_mean)), &aux, &c_aux);
	}
	return (aux + c_aux) / count;
}

typedef double pair __attribute__((vector_size(16)));

static int64_t line_zero(const struct ql_range *r, uint32_t step, const int64_t *t)
{
	return r->spec.fn == QL_FN_DERIV ? t[0] : ql_grid_t(&r->spec.grid, step);
}

static double seconds_after(int64_t t, int64_t zero)
{
	return (double)num_sat_sub(t, zero) / 1e3;
}

/* Sums of times: the same for all series scraped together, so made once, when a step first asks. */
static void line_of(struct ql_range *r, uint32_t step, const int64_t *t, uint32_t n)
{
	double sx = 0, cx = 0, sxx = 0, cxx = 0;
	int64_t zero = line_zero(r, step, t);

	if (step < r->_line_upto)
		return;
	for (uint32_t k = 0; k < n; k++) {
		double x = seconds_after(t[k], zero);
		two_sum(x, &sx, &cx);
		two_sum(x * x, &sxx, &cxx);
	}
	r->line[step] = (struct ql_range_line){ sx + cx, sxx + cxx };
	r->_line_upto = step + 1;
}

static bool all_equal(const double *v, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++)
		if (v[i] != v[0])
			return false;
	return true;
}

static void regression(const struct ql_range *r, uint32_t step, const int64_t *t, const double *v,
    uint32_t n, double *slope, double *intercept)
{
	double sx = r->line[step].sx, sxx = r->line[step].sxx, count = n;
	double sy = 0, cy = 0, sxy = 0, cxy = 0;
	int64_t zero = line_zero(r, step, t);

	if (all_equal(v, n)) {
		*slope = isinf(v[0]) ? (double)NAN : 0;
		*intercept = isinf(v[0]) ? (double)NAN : v[0];
		return;
	}
	/* Both sums side by side, each in the order of the samples. */
	pair s = { 0, 0 }, c = { 0, 0 };
	for (uint32_t i = 0; i < n; i++) {
		pair x = { v[i], seconds_after(t[i], zero) * v[i] };
		pair sum = s + x, b = sum - s;
		c += (s - (sum - b)) + (x - b);
		s = sum;
	}
	sy = s[0];
	cy = c[0];
	sxy = s[1];
	cxy = c[1];
	if (UNLIKELY(!isfinite(sy + cy) || !isfinite(sxy + cxy))) {
		sy = cy = sxy = cxy = 0;
		for (uint32_t i = 0; i < n; i++) {
			ql_kahan(v[i], &sy, &cy);
			ql_kahan(seconds_after(t[i], zero) * v[i], &sxy, &cxy);
		}
	}
	sy += cy;
	sxy += cxy;
	double cov = sxy - sx * sy / count, var = sxx - sx * sx / count;
	*slope = cov / var;
	*intercept = sy / count - *slope * sx / count;
}

static double smoothing(const double *v, uint32_t n, double sf, double tf)
{
	double s0 = 0, s1 = v[0], b = v[1] - v[0];
	for (uint32_t i = 1; i < n; i++) {
		double x = sf * v[i];
		if (i > 1)
			b = tf * (s1 - s0) + (1 - tf) * b;
		double y = (1 - sf) * (s1 + b);
		s0 = s1;
		s1 = x + y;
	}
	return s1;
}

static double median_deviation(double *scratch, const double *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (isnan(v[i]))
			return NAN;
		scratch[i] = v[i];
	}
	double median = ql_quantile(0.5, scratch, n);
	for (uint32_t i = 0; i < n; i++)
		scratch[i] = fabs(scratch[i] - median);
	return ql_quantile(0.5, scratch, n);
}

static double time_of_extreme(const int64_t *t, const double *v, uint32_t n, bool max)
{
	uint32_t best = 0;
	for (uint32_t i = 1; i < n; i++)
		if (isnan(v[best]) || (max ? v[i] >= v[best] : v[i] <= v[best]))
			best = i;
	return (double)t[best] / 1000;
}

static double last_two(const int64_t *t, const double *v, uint32_t n, bool rate)
{
	double x = v[n - 1] - v[n - 2];
	if (!rate)
		return x;
	if (v[n - 1] < v[n - 2])
		x = v[n - 1];
	return x / ((double)(t[n - 1] - t[n - 2]) / 1000);
}

/* The value of one window of n > 0 samples; false when there is none. */
static bool window_value(
    struct ql_range *r, uint32_t step, const int64_t *t, const double *v, uint32_t n, double *out)
{
	const struct ql_range_spec *s = &r->spec;
	double slope, intercept;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
	switch (s->fn) { /* the others have a loop of their own */
	case QL_FN_SUM_OVER_TIME:
		*out = sum_plain(v, n);
		return true;
	case QL_FN_AVG_OVER_TIME:
		*out = avg_plain(v, n);
		return true;
	case QL_FN_MIN_OVER_TIME:
	case QL_FN_MAX_OVER_TIME:
		*out = extreme_plain(v, n, s->fn == QL_FN_MAX_OVER_TIME);
		return true;
	case QL_FN_COUNT_OVER_TIME:
		*out = n;
		return true;
	case QL_FN_PRESENT_OVER_TIME:
	case QL_FN_ABSENT_OVER_TIME: /* the opposite is made of it later */
		*out = 1;
		return true;
	case QL_FN_FIRST_OVER_TIME:
		*out = v[0];
		return true;
	case QL_FN_LAST_OVER_TIME:
		*out = v[n - 1];
		return true;
	case QL_FN_TS_OF_FIRST_OVER_TIME:
		*out = (double)t[0] / 1000;
		return true;
	case QL_FN_TS_OF_LAST_OVER_TIME:
		*out = (double)t[n - 1] / 1000;
		return true;
	case QL_FN_TS_OF_MIN_OVER_TIME:
	case QL_FN_TS_OF_MAX_OVER_TIME:
		*out = time_of_extreme(t, v, n, s->fn == QL_FN_TS_OF_MAX_OVER_TIME);
		return true;
	case QL_FN_STDVAR_OVER_TIME:
		*out = variance(v, n);
		return true;
	case QL_FN_STDDEV_OVER_TIME:
		*out = sqrt(variance(v, n));
		return true;
	case QL_FN_QUANTILE_OVER_TIME:
		memcpy(r->scratch, v, n * sizeof(*v));
		*out = ql_quantile(ql_scalar_at(&s->param[0], step), r->scratch, n);
		return true;
	case QL_FN_MAD_OVER_TIME:
		*out = median_deviation(r->scratch, v, n);
		return true;
	case QL_FN_IRATE:
	case QL_FN_IDELTA:
		if (n < 2)
			return false;
		*out = last_two(t, v, n, s->fn == QL_FN_IRATE);
		return true;
	case QL_FN_DERIV:
		if (n < 2)
			return false;
		line_of(r, step, t, n);
		regression(r, step, t, v, n, out, &intercept);
		return true;
	case QL_FN_PREDICT_LINEAR:
		if (n < 2)
			return false;
		line_of(r, step, t, n);
		regression(r, step, t, v, n, &slope, &intercept);
		*out = slope * ql_scalar_at(&s->param[0], step) + intercept;
		return true;
	case QL_FN_DOUBLE_EXPONENTIAL_SMOOTHING:
		if (n < 2)
			return false;
		*out = smoothing(
		    v, n, ql_scalar_at(&s->param[0], step), ql_scalar_at(&s->param[1], step));
		return true;
	default:
		return false;
	}
#pragma GCC diagnostic pop
}

/* Values that must be sorted cost more. */
static unsigned weight_of(enum ql_fn fn)
{
	return fn == QL_FN_QUANTILE_OVER_TIME || fn == QL_FN_MAD_OVER_TIME ? 16 : 1;
}

static void windows_run(
    struct ql_range *r, const int64_t *t, const double *v, double *out, uint64_t *has)
{
	unsigned weight = weight_of(r->spec.fn);

	for (uint32_t i = r->_at; i < r->spec.grid.n; i++) {
		uint32_t lo = r->lo[i], n = r->hi[i] - lo;
		if (n && window_value(r, i, t + lo, v + lo, n, &out[i]))
			ql_bit_on(has, i);
		if (ql_range_pause(r, i, (uint64_t)n * weight))
			return;
	}
}

enum err ql_over_run(struct ql_range *r, const int64_t *t, const double *v, uint32_t count,
    double *out, uint64_t *has, struct errbuf *eb)
{
	enum ql_fn fn = r->spec.fn;
	bool slide = r->_slide && !r->plain;
	bool table = !r->plain && r->samples_in_windows > 2 * (uint64_t)count;

	if (fn == QL_FN_CHANGES || fn == QL_FN_RESETS) {
		counted(r, v, count, out, has);
	} else if (slide && (fn == QL_FN_SUM_OVER_TIME || fn == QL_FN_AVG_OVER_TIME)) {
		sum_slide(r, v, fn == QL_FN_AVG_OVER_TIME, out, has);
	} else if (table && (fn == QL_FN_MIN_OVER_TIME || fn == QL_FN_MAX_OVER_TIME)) {
		if (r->has_nan)
			extreme_slide(r, v, fn == QL_FN_MAX_OVER_TIME, out, has);
		else
			return extreme_table(r, v, count, fn == QL_FN_MAX_OVER_TIME, out, has, eb);
	} else {
		windows_run(r, t, v, out, has);
	}
	return ERR_OK;
}
