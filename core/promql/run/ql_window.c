/* ql_window - windows one by one: each at once, or a long one in passes that go on later. */
#include "core/promql/run/ql_range_priv.h"

#include <string.h>

/*
 * --- loops over samples ---
 *
 * Each adds samples to the sums of a window and can be called for one part of it after another.
 *
 * The fast loops use ql_two_sum, and what comes out not finite is computed again step by step.
 */
static inline void add_fast(struct ql_range_sums *s, const double *v, uint32_t n)
{
	double sum = s->a, c = s->ca;
	for (uint32_t i = 0; i < n; i++)
		ql_two_sum(v[i], &sum, &c);
	s->a = sum;
	s->ca = c;
}

static void add_safe(struct ql_range_sums *s, const double *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		ql_kahan(v[i], &s->a, &s->ca);
}

/* a the sum, or with the flag b the mean; n samples. */
static void add_mean(struct ql_range_sums *s, const double *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		double count = ++s->n;
		if (!s->flag) {
			double sum = s->a, c = s->ca;
			ql_kahan(v[i], &sum, &c);
			if (!isinf(sum) || count == 1) {
				s->a = sum;
				s->ca = c;
				continue;
			}
			/* The sum would overflow: go on with the mean. */
			s->flag = true;
			s->b = s->a / (count - 1);
			s->ca /= count - 1;
		}
		double q = (count - 1) / count;
		s->b *= q;
		s->ca *= q;
		ql_kahan(v[i] / count, &s->b, &s->ca);
	}
}

static double mean_of(const struct ql_range_sums *s)
{
	return s->flag ? s->b + s->ca : ql_kahan_mean(s->a, s->ca, s->n);
}

/* a the mean, b the squared deviations. */
static inline void add_variance(struct ql_range_sums *s, const double *v, uint32_t n)
{
	double count = s->n, mean = s->a, c_mean = s->ca, aux = s->b, c_aux = s->cb;
	for (uint32_t i = 0; i < n; i++) {
		count++;
		double delta = v[i] - (mean + c_mean);
		ql_kahan(delta / count, &mean, &c_mean);
		ql_kahan(delta * (v[i] - (mean + c_mean)), &aux, &c_aux);
	}
	*s = (struct ql_range_sums){ mean, c_mean, aux, c_aux, count, false };
}

static double seconds_after(int64_t t, int64_t zero)
{
	return (double)num_sat_sub(t, zero) / 1e3;
}

/* a the times, b their squares. */
static inline void add_times(struct ql_range_sums *s, const int64_t *t, uint32_t n, int64_t zero)
{
	double sx = s->a, cx = s->ca, sxx = s->b, cxx = s->cb;
	for (uint32_t k = 0; k < n; k++) {
		double x = seconds_after(t[k], zero);
		ql_two_sum(x, &sx, &cx);
		ql_two_sum(x * x, &sxx, &cxx);
	}
	*s = (struct ql_range_sums){ sx, cx, sxx, cxx, 0, false };
}

typedef double pair __attribute__((vector_size(16)));

/* a the values, b values x times: side by side, each in the order of the samples. */
static inline void add_line(
    struct ql_range_sums *s, const int64_t *t, const double *v, uint32_t n, int64_t zero)
{
	pair sum = { s->a, s->b }, c = { s->ca, s->cb };
	for (uint32_t i = 0; i < n; i++) {
		pair x = { v[i], seconds_after(t[i], zero) * v[i] };
		pair next = sum + x, b = next - sum;
		c += (sum - (next - b)) + (x - b);
		sum = next;
	}
	*s = (struct ql_range_sums){ sum[0], c[0], sum[1], c[1], 0, false };
}

static void add_line_safe(
    struct ql_range_sums *s, const int64_t *t, const double *v, uint32_t n, int64_t zero)
{
	for (uint32_t i = 0; i < n; i++) {
		ql_kahan(v[i], &s->a, &s->ca);
		ql_kahan(seconds_after(t[i], zero) * v[i], &s->b, &s->cb);
	}
}

/* a the value before, b this one, n the trend. The window begins at v, the part at from. */
static inline void add_smooth(
    struct ql_range_sums *s, const double *v, uint32_t from, uint32_t to, double sf, double tf)
{
	double s0 = s->a, s1 = s->b, b = s->n;
	if (!from) {
		s1 = v[0];
		b = v[1] - v[0];
	}
	for (uint32_t i = from ? from : 1; i < to; i++) {
		double x = sf * v[i];
		if (i > 1)
			b = tf * (s1 - s0) + (1 - tf) * b;
		double y = (1 - sf) * (s1 + b);
		s0 = s1;
		s1 = x + y;
	}
	*s = (struct ql_range_sums){ .a = s0, .b = s1, .n = b };
}

static bool all_equal(const double *v, uint32_t from, uint32_t to)
{
	for (uint32_t i = from ? from : 1; i < to; i++)
		if (v[i] != v[0])
			return false;
	return true;
}

/* --- windows of a slice at most --- */

static bool is_sum_finite(const struct ql_range_sums *s)
{
	return isfinite(s->a + s->ca);
}

static bool is_line_finite(const struct ql_range_sums *s)
{
	return isfinite(s->a + s->ca) && isfinite(s->b + s->cb);
}

static double sum_plain(const double *v, uint32_t n)
{
	struct ql_range_sums s = { 0 };

	add_fast(&s, v, n);
	if (LIKELY(is_sum_finite(&s)))
		return s.a + s.ca;
	s = (struct ql_range_sums){ 0 };
	add_safe(&s, v, n);
	return isinf(s.a) ? s.a : s.a + s.ca;
}

static double avg_plain(const double *v, uint32_t n)
{
	struct ql_range_sums s = { 0 };

	add_fast(&s, v, n);
	if (LIKELY(is_sum_finite(&s)))
		return ql_kahan_mean(s.a, s.ca, (double)n);
	s = (struct ql_range_sums){ 0 };
	add_mean(&s, v, n);
	return mean_of(&s);
}

static double variance_of(const struct ql_range *r, const struct ql_range_sums *s)
{
	double x = (s->b + s->cb) / s->n;
	return r->spec.fn == QL_FN_STDDEV_OVER_TIME ? sqrt(x) : x;
}

static double variance(const struct ql_range *r, const double *v, uint32_t n)
{
	struct ql_range_sums s = { 0 };

	add_variance(&s, v, n);
	return variance_of(r, &s);
}

static int64_t line_zero(const struct ql_range *r, uint32_t step, const int64_t *t)
{
	return r->spec.fn == QL_FN_DERIV ? t[0] : ql_grid_t(&r->spec.grid, step);
}

static void keep_line(struct ql_range *r, uint32_t step, const struct ql_range_sums *s)
{
	r->line[step] = (struct ql_range_line){ s->a + s->ca, s->b + s->cb };
	r->_line_upto = step + 1;
}

/* deriv's slope, or where the line is after predict_linear's seconds. */
static double line_value(const struct ql_range *r, uint32_t step, double slope, double intercept)
{
	if (r->spec.fn == QL_FN_DERIV)
		return slope;
	return slope * ql_scalar_at(&r->spec.param[0], step) + intercept;
}

static double level_line(const struct ql_range *r, uint32_t step, double v)
{
	return isinf(v) ? (double)NAN : line_value(r, step, 0, v);
}

static double line_of(
    const struct ql_range *r, uint32_t step, const struct ql_range_sums *s, uint32_t n)
{
	double sx = r->line[step].sx, sxx = r->line[step].sxx, count = n;
	double sy = s->a + s->ca, sxy = s->b + s->cb;
	double cov = sxy - sx * sy / count, var = sxx - sx * sx / count;
	double slope = cov / var;
	return line_value(r, step, slope, sy / count - slope * sx / count);
}

static double regression(
    struct ql_range *r, uint32_t step, const int64_t *t, const double *v, uint32_t n)
{
	struct ql_range_sums s = { 0 };
	int64_t zero = line_zero(r, step, t);

	/* Sums of times: the same for all series scraped together, made when a step first asks. */
	if (step >= r->_line_upto) {
		add_times(&s, t, n, zero);
		keep_line(r, step, &s);
	}
	if (all_equal(v, 0, n))
		return level_line(r, step, v[0]);
	s = (struct ql_range_sums){ 0 };
	add_line(&s, t, v, n, zero);
	if (UNLIKELY(!is_line_finite(&s))) {
		s = (struct ql_range_sums){ 0 };
		add_line_safe(&s, t, v, n, zero);
	}
	return line_of(r, step, &s, n);
}

static double smoothing(const struct ql_range *r, uint32_t step, const double *v, uint32_t n)
{
	struct ql_range_sums s = { 0 };

	add_smooth(&s, v, 0, n, ql_scalar_at(&r->spec.param[0], step),
	    ql_scalar_at(&r->spec.param[1], step));
	return s.b;
}

/* --- longer windows --- */

enum pass {
	PASS_NONE,
	PASS_SUM,
	PASS_SUM_SAFE,
	PASS_MEAN,
	PASS_VARIANCE,
	PASS_TIMES,
	PASS_EQUAL,
	PASS_LINE,
	PASS_LINE_SAFE,
	PASS_SMOOTH,
	PASS_OVER
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
/* None: the function does not look at all samples of a window. */
unsigned ql_window_pass(const struct ql_range *r, uint32_t step)
{
	switch (r->spec.fn) {
	case QL_FN_SUM_OVER_TIME:
	case QL_FN_AVG_OVER_TIME:
		return PASS_SUM;
	case QL_FN_STDVAR_OVER_TIME:
	case QL_FN_STDDEV_OVER_TIME:
		return PASS_VARIANCE;
	case QL_FN_DERIV:
	case QL_FN_PREDICT_LINEAR:
		return step >= r->_line_upto ? PASS_TIMES : PASS_EQUAL;
	case QL_FN_DOUBLE_EXPONENTIAL_SMOOTHING:
		return PASS_SMOOTH;
	default:
		return PASS_NONE;
	}
}
#pragma GCC diagnostic pop

/* Samples from..to-1 of the window that begins at t and v. */
static void pass_add(struct ql_range *r, uint32_t step, const int64_t *t, const double *v,
    uint32_t from, uint32_t to)
{
	struct ql_range_sums *s = &r->_long.sums;
	int64_t zero = line_zero(r, step, t);
	uint32_t n = to - from;

	switch ((enum pass)r->_long.pass) {
	case PASS_SUM:
		add_fast(s, v + from, n);
		break;
	case PASS_SUM_SAFE:
		add_safe(s, v + from, n);
		break;
	case PASS_MEAN:
		add_mean(s, v + from, n);
		break;
	case PASS_VARIANCE:
		add_variance(s, v + from, n);
		break;
	case PASS_TIMES:
		add_times(s, t + from, n, zero);
		break;
	case PASS_EQUAL: /* the flag: they differ */
		s->flag = s->flag || !all_equal(v, from, to);
		break;
	case PASS_LINE:
		add_line(s, t + from, v + from, n, zero);
		break;
	case PASS_LINE_SAFE:
		add_line_safe(s, t + from, v + from, n, zero);
		break;
	case PASS_SMOOTH:
		add_smooth(s, v, from, to, ql_scalar_at(&r->spec.param[0], step),
		    ql_scalar_at(&r->spec.param[1], step));
		break;
	case PASS_NONE:
	case PASS_OVER:
		break;
	}
}

/* After the last sample of a pass. */
static enum pass pass_next(struct ql_range *r, uint32_t step)
{
	struct ql_range_sums *s = &r->_long.sums;

	switch ((enum pass)r->_long.pass) {
	case PASS_SUM:
		if (is_sum_finite(s))
			return PASS_OVER;
		return r->spec.fn == QL_FN_SUM_OVER_TIME ? PASS_SUM_SAFE : PASS_MEAN;
	case PASS_TIMES:
		keep_line(r, step, s);
		return PASS_EQUAL;
	case PASS_EQUAL:
		return s->flag ? PASS_LINE : PASS_OVER;
	case PASS_LINE:
		return is_line_finite(s) ? PASS_OVER : PASS_LINE_SAFE;
	case PASS_NONE:
	case PASS_SUM_SAFE:
	case PASS_MEAN:
	case PASS_VARIANCE:
	case PASS_LINE_SAFE:
	case PASS_SMOOTH:
	case PASS_OVER:
		break;
	}
	return PASS_OVER;
}

static double pass_value(const struct ql_range *r, uint32_t step, double first, uint32_t n)
{
	const struct ql_range_sums *s = &r->_long.sums;
	double count = n;

	switch ((enum pass)r->_long.last) {
	case PASS_SUM:
		return r->spec.fn == QL_FN_SUM_OVER_TIME ? s->a + s->ca
		                                         : ql_kahan_mean(s->a, s->ca, count);
	case PASS_SUM_SAFE:
		return isinf(s->a) ? s->a : s->a + s->ca;
	case PASS_MEAN:
		return mean_of(s);
	case PASS_VARIANCE:
		return variance_of(r, s);
	case PASS_EQUAL:
		return level_line(r, step, first);
	case PASS_LINE:
	case PASS_LINE_SAFE:
		return line_of(r, step, s, n);
	case PASS_NONE:
	case PASS_TIMES:
	case PASS_SMOOTH:
	case PASS_OVER:
		break;
	}
	return s->b;
}

static void pass_begin(struct ql_range *r, unsigned pass)
{
	r->_long = (struct ql_range_long){ .pass = pass, .last = r->_long.pass };
}

/*
 * The value of a long window, first being the function's first pass. False when the slice is over:
 * then the next call with the same step goes on.
 */
bool ql_window_long(struct ql_range *r, uint32_t step, unsigned first, double *out)
{
	const int64_t *t = r->_in.t_ms + r->lo[step];
	const double *v = r->_in.v + r->lo[step];
	uint32_t n = r->hi[step] - r->lo[step];
	struct ql_range_long *l = &r->_long;

	if (l->pass == PASS_NONE)
		pass_begin(r, first);
	while (l->pass != PASS_OVER) {
		uint32_t to = n - l->at < QL_RANGE_WORK ? n : l->at + QL_RANGE_WORK, from = l->at;
		pass_add(r, step, t, v, from, to);
		l->at = to;
		if (to == n) {
			enum pass next = pass_next(r, step);
			struct ql_range_sums s = l->sums;
			pass_begin(r, next);
			if (next == PASS_OVER)
				l->sums = s;
		}
		if (ql_range_pause(r, to - from))
			return false;
	}
	*out = pass_value(r, step, v[0], n);
	l->pass = PASS_NONE;
	return true;
}

/* --- functions --- */

static double extreme_plain(const double *v, uint32_t n, bool max)
{
	double best = v[0];
	for (uint32_t i = 1; i < n; i++)
		if (isnan(best) || (max ? v[i] > best : v[i] < best))
			best = v[i];
	return best;
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

static double quantile(const struct ql_range *r, uint32_t step, const double *v, uint32_t n)
{
	memcpy(r->_sums.p, v, n * sizeof(*v));
	return ql_quantile(ql_scalar_at(&r->spec.param[0], step), r->_sums.p, n);
}

static inline double last_two(const int64_t *t, const double *v, uint32_t n, bool rate)
{
	double x = v[n - 1] - v[n - 2];
	if (!rate)
		return x;
	if (v[n - 1] < v[n - 2])
		x = v[n - 1];
	return x / ((double)(t[n - 1] - t[n - 2]) / 1000);
}

/*
 * --- all windows of a column ---
 *
 * Each function has a loop of its own, which is made here: the loops are inlined with the function
 * of one window as a constant.
 */

/* The value of one window of n > 0 samples; false when there is none. */
typedef bool window_value(
    struct ql_range *r, uint32_t step, const int64_t *t, const double *v, uint32_t n, double *out);

#define VALUE(name, expr)                                                                          \
 static inline bool name(struct ql_range *r, uint32_t step, const int64_t *t, const double *v,     \
     uint32_t n, double *out)                                                                      \
 {                                                                                                 \
  (void)r, (void)step, (void)t, (void)v, (void)n;                                                  \
  *out = (expr);                                                                                   \
  return true;                                                                                     \
 }
#define VALUE_OF_TWO(name, expr)                                                                   \
 static inline bool name(struct ql_range *r, uint32_t step, const int64_t *t, const double *v,     \
     uint32_t n, double *out)                                                                      \
 {                                                                                                 \
  (void)r, (void)step, (void)t;                                                                    \
  if (n < 2)                                                                                       \
   return false;                                                                                   \
  *out = (expr);                                                                                   \
  return true;                                                                                     \
 }
/* clang-format off */
VALUE(value_sum, sum_plain(v, n))
VALUE(value_avg, avg_plain(v, n))
VALUE(value_min, extreme_plain(v, n, false))
VALUE(value_max, extreme_plain(v, n, true))
VALUE(value_count, n)
VALUE(value_one, 1)
VALUE(value_first, v[0])
VALUE(value_last, v[n - 1])
VALUE(value_ts_first, (double)t[0] / 1000)
VALUE(value_ts_last, (double)t[n - 1] / 1000)
VALUE(value_ts_min, time_of_extreme(t, v, n, false))
VALUE(value_ts_max, time_of_extreme(t, v, n, true))
VALUE(value_variance, variance(r, v, n))
VALUE(value_quantile, quantile(r, step, v, n))
VALUE(value_mad, median_deviation(r->_sums.p, v, n))
VALUE_OF_TWO(value_irate, last_two(t, v, n, true))
VALUE_OF_TWO(value_idelta, last_two(t, v, n, false))
VALUE_OF_TWO(value_regression, regression(r, step, t, v, n))
VALUE_OF_TWO(value_smoothing, smoothing(r, step, v, n))
/* clang-format on */
#undef VALUE
#undef VALUE_OF_TWO

/*
 * A function that looks at few samples of each window. A word of bits at a time; true when the
 * slice is over.
 */
static ALWAYS_INLINE bool few(struct ql_range *r, window_value *value, struct ql_col *out)
{
	const uint32_t *los = r->lo, *his = r->hi;
	const int64_t *t = r->_in.t_ms;
	const double *v = r->_in.v;
	double *to = out->v;

	for (;;) {
		uint32_t from = r->_pos, end = ql_range_steps_end(r);
		for (uint32_t at = from, i = at; at < end; at += 64) {
			uint32_t upto = end - at < 64 ? end : at + 64;
			uint64_t bits = 0, bit = 1;
			for (; i < upto; i++, bit <<= 1) {
				uint32_t lo = los[i], n = his[i] - lo;
				if (n && value(r, i, t + lo, v + lo, n, &to[i]))
					bits |= bit;
			}
			out->has[at / 64] = bits;
		}
		r->_pos = end;
		if (LIKELY(end == r->spec.grid.n))
			return false;
		if (ql_range_pause(r, 2 * (uint64_t)(end - from)))
			return true;
	}
}

/* A function that looks at all samples; weight: what one costs. */
static ALWAYS_INLINE bool all(
    struct ql_range *r, window_value *value, unsigned weight, struct ql_col *out)
{
	const uint32_t *los = r->lo, *his = r->hi;
	const int64_t *t = r->_in.t_ms;
	const double *v = r->_in.v;
	bool longer = r->_bounds.longest > QL_RANGE_WORK;
	uint64_t work = 0;
	unsigned first;

	for (uint32_t i = r->_pos, steps = r->spec.grid.n; i < steps; i++) {
		uint32_t lo = los[i], n = his[i] - lo;
		if (!n)
			continue;
		if (UNLIKELY(longer) && n > QL_RANGE_WORK && (first = ql_window_pass(r, i))) {
			r->_pos = i;
			if (!ql_window_long(r, i, first, &out->v[i]))
				return true;
			ql_bit_on(out->has, i);
		} else if (value(r, i, t + lo, v + lo, n, &out->v[i])) {
			ql_bit_on(out->has, i);
		}
		work += (uint64_t)n * weight;
		if (UNLIKELY(work >= QL_RANGE_WORK)) {
			r->_pos = i + 1;
			if (ql_range_pause(r, work))
				return true;
			work = 0;
		}
	}
	r->_work += work;
	return false;
}

/* The sum or mean of a window of a slice at most. */
double ql_window_sum(const double *v, uint32_t n, bool avg)
{
	return avg ? avg_plain(v, n) : sum_plain(v, n);
}

bool ql_window_steps(struct ql_range *r, struct ql_col *out)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
	switch (r->spec.fn) { /* the others have a loop of their own */
	case QL_FN_SUM_OVER_TIME:
		return all(r, value_sum, 1, out);
	case QL_FN_AVG_OVER_TIME:
		return all(r, value_avg, 1, out);
	case QL_FN_MIN_OVER_TIME:
		return all(r, value_min, 1, out);
	case QL_FN_MAX_OVER_TIME:
		return all(r, value_max, 1, out);
	case QL_FN_TS_OF_MIN_OVER_TIME:
		return all(r, value_ts_min, 1, out);
	case QL_FN_TS_OF_MAX_OVER_TIME:
		return all(r, value_ts_max, 1, out);
	case QL_FN_STDVAR_OVER_TIME:
	case QL_FN_STDDEV_OVER_TIME:
		return all(r, value_variance, 1, out);
	case QL_FN_QUANTILE_OVER_TIME: /* sorting costs more */
		return all(r, value_quantile, 16, out);
	case QL_FN_MAD_OVER_TIME:
		return all(r, value_mad, 16, out);
	case QL_FN_DERIV:
	case QL_FN_PREDICT_LINEAR:
		return all(r, value_regression, 1, out);
	case QL_FN_DOUBLE_EXPONENTIAL_SMOOTHING:
		return all(r, value_smoothing, 1, out);
	case QL_FN_COUNT_OVER_TIME:
		return few(r, value_count, out);
	case QL_FN_PRESENT_OVER_TIME:
	case QL_FN_ABSENT_OVER_TIME: /* the opposite is made of it later */
		return few(r, value_one, out);
	case QL_FN_FIRST_OVER_TIME:
		return few(r, value_first, out);
	case QL_FN_LAST_OVER_TIME:
		return few(r, value_last, out);
	case QL_FN_TS_OF_FIRST_OVER_TIME:
		return few(r, value_ts_first, out);
	case QL_FN_TS_OF_LAST_OVER_TIME:
		return few(r, value_ts_last, out);
	case QL_FN_IRATE:
		return few(r, value_irate, out);
	case QL_FN_IDELTA:
		return few(r, value_idelta, out);
	default:
		return false;
	}
#pragma GCC diagnostic pop
}
