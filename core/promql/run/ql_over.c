/* Functions over the samples of a window that do not extrapolate. */
#include "core/promql/run/ql_range_priv.h"

#include <math.h>
#include <string.h>

/* Windows that hold together more than this many times samples + steps overlap much. */
#define QL_SLIDE_FROM 4
#define QL_RANK_FROM  64 /* samples of a window: shorter ones are sorted faster */
#define QL_SORT_MAX   2048
#define QL_TABLE_MAX  (1u << 17) /* values of a table of extremes, which is made in one go */
/*
 * Beyond this a partial sum may overflow where the whole would not: the window is summed plainly.
 */
#define QL_SUM_SAFE 1e300

/*
 * --- loops over samples ---
 *
 * Each adds samples to the sums of a window and can be called for one part of it after another.
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

static inline void add_fast(struct ql_range_sums *s, const double *v, uint32_t n)
{
	double sum = s->a, c = s->ca;
	for (uint32_t i = 0; i < n; i++)
		two_sum(v[i], &sum, &c);
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
	return s->flag ? s->b + s->ca : s->a / s->n + s->ca / s->n;
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
		two_sum(x, &sx, &cx);
		two_sum(x * x, &sxx, &cxx);
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
		return s.a / (double)n + s.ca / (double)n;
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
static enum pass pass_first(const struct ql_range *r, uint32_t step)
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
		                                         : s->a / count + s->ca / count;
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

static void pass_begin(struct ql_range *r, enum pass pass)
{
	r->_long = (struct ql_range_long){ .pass = pass, .last = r->_long.pass };
}

/*
 * The value of a long window, first being the function's first pass. False when the slice is over:
 * then the next call with the same step goes on.
 */
static bool long_value(struct ql_range *r, uint32_t step, enum pass first, double *out)
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

/* --- sliding: sums --- */

/* Suffix sums from s->hi down to lo. False when the slice is over. */
static ALWAYS_INLINE bool sums_down(
    struct ql_range *r, struct ql_range_slide *s, uint32_t lo, bool whole)
{
	const double *v = r->_in.v;
	double *sums = r->_sums.p, *errors = r->_errors.p;

	if (!s->down) {
		s->down = true;
		s->at = s->hi;
		s->sum_down = s->c_down = 0;
	}
	while (s->at > lo) {
		uint32_t n = s->at - lo;
		if (!whole && n > QL_RANGE_WORK)
			n = QL_RANGE_WORK;
		double sum = s->sum_down, c = s->c_down;
		for (uint32_t k = s->at, end = k - n; k > end; k--) {
			two_sum(v[k - 1], &sum, &c);
			sums[k - 1] = sum;
			errors[k - 1] = c;
		}
		s->at -= n;
		s->sum_down = sum;
		s->c_down = c;
		if (!whole && ql_range_pause(r, n))
			return false;
	}
	s->down = false;
	s->mid = s->hi;
	s->sum = s->c = 0;
	return true;
}

/* The newer part grows to hi. False when the slice is over. */
static ALWAYS_INLINE bool sums_up(
    struct ql_range *r, struct ql_range_slide *s, uint32_t hi, bool whole)
{
	const double *v = r->_in.v;

	while (s->hi < hi) {
		uint32_t n = hi - s->hi;
		if (!whole && n > QL_RANGE_WORK)
			n = QL_RANGE_WORK;
		for (uint32_t end = s->hi + n; s->hi < end; s->hi++)
			two_sum(v[s->hi], &s->sum, &s->c);
		if (!whole && ql_range_pause(r, n))
			return false;
	}
	return true;
}

/* The sum of a window that the halves cannot tell: infinite, NaN, or near overflow. */
static bool sum_again(struct ql_range *r, uint32_t i, bool avg, double *out)
{
	const double *v = r->_in.v + r->lo[i];
	uint32_t n = r->hi[i] - r->lo[i];

	if (n > QL_RANGE_WORK)
		return long_value(r, i, PASS_SUM, out);
	*out = avg ? avg_plain(v, n) : sum_plain(v, n);
	r->_work += n;
	return true;
}

/*
 * One step, or false when the slice is over. whole: the column is short, nobody asks; false when
 * the step needs more than that.
 */
static ALWAYS_INLINE bool sums_step(struct ql_range *r, struct ql_range_slide *s, uint32_t i,
    bool avg, bool whole, struct ql_col *out)
{
	uint32_t lo = r->lo[i], hi = r->hi[i];

	if (lo == hi)
		return true;
	if (lo >= s->hi) { /* nothing in common with before */
		s->mid = s->hi = lo;
		s->sum = s->c = 0;
	}
	if (!sums_up(r, s, hi, whole))
		return false;
	if (lo >= s->mid && !sums_down(r, s, lo, whole))
		return false;
	double sum = ((double *)r->_sums.p)[lo], c = ((double *)r->_errors.p)[lo];
	two_sum(s->sum, &sum, &c);
	c += s->c;
	if (UNLIKELY(!(fabs(sum) < QL_SUM_SAFE))) {
		if (whole || !sum_again(r, i, avg, &out->v[i]))
			return false;
	} else if (avg) {
		out->v[i] = sum / (double)(hi - lo) + c / (double)(hi - lo);
	} else {
		out->v[i] = sum + c;
	}
	ql_bit_on(out->has, i);
	return true;
}

static ALWAYS_INLINE bool sums_steps(struct ql_range *r, bool avg, bool whole, struct ql_col *out)
{
	struct ql_range_slide s = r->_slide;
	uint32_t i = r->_pos, n = r->spec.grid.n;
	bool cut = false;

	while (i < n && !cut) {
		cut = !sums_step(r, &s, i, avg, whole, out);
		i += !cut;
		if (!whole && !cut)
			cut = ql_range_pause(r, 1);
	}
	r->_slide = s;
	r->_pos = i;
	return cut;
}

static bool sums_windows(struct ql_range *r, struct ql_col *out)
{
	bool avg = r->spec.fn == QL_FN_AVG_OVER_TIME;
	bool whole = r->_in.count <= QL_RANGE_WORK && r->spec.grid.n <= QL_RANGE_WORK;

	if (whole && !r->_pos && !sums_steps(r, avg, true, out))
		return false;
	return sums_steps(r, avg, false, out);
}

/* --- sliding: extremes --- */

struct order {           /* which of two samples is the extreme; NaN never beats a number */
	bool max, later; /* later: the newer of equal ones, else the older */
};

static struct order order_of(enum ql_fn fn)
{
	return (struct order){
		.max = fn == QL_FN_MAX_OVER_TIME || fn == QL_FN_TS_OF_MAX_OVER_TIME,
		.later = fn == QL_FN_TS_OF_MIN_OVER_TIME || fn == QL_FN_TS_OF_MAX_OVER_TIME,
	};
}

/* Does the newer sample y take the place of the older one x? */
static inline bool newer_wins(struct order o, double x, double y)
{
	if (o.later)
		return (o.max ? y >= x : y <= x) || isnan(x);
	return (o.max ? y > x : y < x) || isnan(x);
}

/* As with sums: the extremes of suffixes, as indices. */
static bool best_down(struct ql_range *r, struct ql_range_slide *s, uint32_t lo, struct order o)
{
	const double *v = r->_in.v;
	uint32_t *best = r->_index.p;

	if (!s->down) {
		s->down = true;
		s->at = s->hi;
		s->best_down = s->hi - 1;
	}
	while (s->at > lo) {
		uint32_t n = s->at - lo < QL_RANGE_WORK ? s->at - lo : QL_RANGE_WORK;
		uint32_t b = s->best_down;
		for (uint32_t k = s->at, end = k - n; k > end; k--) {
			b = newer_wins(o, v[k - 1], v[b]) ? b : k - 1;
			best[k - 1] = b;
		}
		s->at -= n;
		s->best_down = b;
		if (ql_range_pause(r, n))
			return false;
	}
	s->down = false;
	s->mid = s->best = s->hi;
	return true;
}

static bool best_up(struct ql_range *r, struct ql_range_slide *s, uint32_t hi, struct order o)
{
	const double *v = r->_in.v;

	while (s->hi < hi) {
		uint32_t n = hi - s->hi < QL_RANGE_WORK ? hi - s->hi : QL_RANGE_WORK;
		uint32_t b = s->hi > s->mid ? s->best : s->hi;
		for (uint32_t k = s->hi, end = k + n; k < end; k++)
			b = newer_wins(o, v[b], v[k]) ? k : b;
		s->hi += n;
		s->best = b;
		if (ql_range_pause(r, n))
			return false;
	}
	return true;
}

/* The sample that is the extreme of the window; false when the slice is over. */
static bool best_step(
    struct ql_range *r, struct ql_range_slide *s, uint32_t i, struct order o, uint32_t *at)
{
	const double *v = r->_in.v;
	const uint32_t *best = r->_index.p;
	uint32_t lo = r->lo[i];

	if (lo >= s->hi) /* nothing in common with before */
		s->mid = s->hi = lo;
	if (!best_up(r, s, r->hi[i], o))
		return false;
	if (lo >= s->mid && !best_down(r, s, lo, o))
		return false;
	*at = best[lo];
	if (s->hi > s->mid && newer_wins(o, v[*at], v[s->best]))
		*at = s->best;
	return true;
}

static bool best_windows(struct ql_range *r, struct ql_col *out)
{
	struct order o = order_of(r->spec.fn);
	uint32_t at;

	for (uint32_t i = r->_pos; i < r->spec.grid.n; i++) {
		r->_pos = i;
		if (r->lo[i] < r->hi[i]) {
			if (!best_step(r, &r->_slide, i, o, &at))
				return true;
			out->v[i] = o.later ? (double)r->_in.t_ms[at] / 1000 : r->_in.v[at];
			ql_bit_on(out->has, i);
		}
		r->_pos = i + 1;
		if (ql_range_pause(r, 1))
			return true;
	}
	return false;
}

/* --- a table of extremes --- */

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
	return n ? 31 - (unsigned)__builtin_clz(n) : 0;
}

static size_t table_size(const struct ql_range *r)
{
	return (size_t)log2_floor(r->_bounds.longest) * r->_in.count;
}

static void table_make(struct ql_range *r)
{
	const double *below = r->_in.v;
	double *to = r->_table.p;
	uint32_t count = r->_in.count;

	for (unsigned k = 1; k <= log2_floor(r->_bounds.longest); k++, to += count) {
		table_level(to, below, 1u << (k - 1), count - (1u << k) + 1,
		    r->spec.fn == QL_FN_MAX_OVER_TIME);
		below = to;
	}
}

static void table_steps(struct ql_range *r, uint32_t end, struct ql_col *out)
{
	const double *level[32] = { r->_in.v };
	bool max = r->spec.fn == QL_FN_MAX_OVER_TIME;

	for (unsigned k = 1; k <= log2_floor(r->_bounds.longest); k++)
		level[k] = (double *)r->_table.p + (size_t)(k - 1) * r->_in.count;
	for (uint32_t i = r->_pos; i < end; i++) {
		uint32_t lo = r->lo[i], hi = r->hi[i];
		if (lo == hi)
			continue;
		unsigned k = log2_floor(hi - lo);
		double a = level[k][lo], b = level[k][hi - (1u << k)];
		out->v[i] = (max ? b > a : b < a) ? b : a;
		ql_bit_on(out->has, i);
	}
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

bool ql_over_prefix(struct ql_range *r)
{
	const double *v = r->_in.v;
	uint32_t *p = r->_index.p, count = r->_in.count;
	bool resets = r->spec.fn == QL_FN_RESETS;

	for (;;) {
		uint32_t from = r->_pos ? r->_pos : 1, n = r->_pos ? p[from - 1] : (p[0] = 0);
		uint32_t k = ql_range_stretch(r, count, QL_RANGE_WORK), to = r->_pos + k;
		for (uint32_t i = from; i < to; i++) {
			if (resets)
				n += v[i] < v[i - 1];
			else
				n += v[i] != v[i - 1] && !(isnan(v[i]) && isnan(v[i - 1]));
			p[i] = n;
		}
		r->_pos = to;
		if (LIKELY(to == count))
			return false;
		if (ql_range_pause(r, k))
			return true;
	}
}

static void prefix_steps(struct ql_range *r, uint32_t end, struct ql_col *out)
{
	const uint32_t *p = r->_index.p;

	for (uint32_t i = r->_pos; i < end; i++) {
		if (r->lo[i] == r->hi[i])
			continue;
		out->v[i] = p[r->hi[i] - 1] - p[r->lo[i]];
		ql_bit_on(out->has, i);
	}
}

/* --- a window of ranks --- */

/* The window of ranks becomes that of the step; false when the slice is over. */
static bool rank_slide(struct ql_range *r, uint32_t lo, uint32_t hi)
{
	struct ql_range_slide *s = &r->_slide; /* mid..hi-1 are in it */

	while (s->mid < lo || s->hi < hi) {
		uint32_t n = 0;
		for (; s->mid < lo && s->mid < s->hi && n < QL_RANGE_WORK / 4; n++)
			ql_rank_out(&r->_rank, s->mid++);
		if (s->mid < lo && s->mid == s->hi)
			s->mid = s->hi = lo;
		for (; s->mid >= lo && s->hi < hi && n < QL_RANGE_WORK / 4; n++)
			ql_rank_in(&r->_rank, s->hi++);
		if (ql_range_pause(r, 4 * n))
			return false;
	}
	return true;
}

static double rank_quantile(const struct ql_range *r, double q, uint32_t n)
{
	struct ql_between b;
	double fixed;

	if (!ql_quantile_place(q, n, &b, &fixed))
		return fixed;
	return ql_quantile_mix(&b, ql_rank_at(&r->_rank, b.lower), ql_rank_at(&r->_rank, b.upper));
}

/* How far the k-th of the window's values lies from the median. */
static double rank_off(const struct ql_range *r, uint32_t k, double median)
{
	return fabs(ql_rank_at(&r->_rank, k) - median);
}

/*
 * The k-th smallest distance from the median. Below it, from c - 1 down, and from c up distances
 * grow: of the first k + 1 some number i comes from below.
 */
static double kth_off(const struct ql_range *r, double median, uint32_t c, uint32_t n, uint32_t k)
{
	uint32_t lo = k > n - c ? k - (n - c) : 0, hi = k < c ? k : c;

	while (lo < hi) {
		uint32_t i = lo + (hi - lo) / 2;
		if (rank_off(r, c - 1 - i, median) < rank_off(r, c + k - i - 1, median))
			lo = i + 1;
		else
			hi = i;
	}
	double below = lo < c ? rank_off(r, c - 1 - lo, median) : INFINITY;
	double above = k - lo < n - c ? rank_off(r, c + k - lo, median) : INFINITY;
	return fmin(below, above);
}

static double rank_deviation(const struct ql_range *r, uint32_t n)
{
	struct ql_between b;
	double fixed;
	uint32_t c = 0, end = n;

	if (isnan(ql_rank_at(&r->_rank, 0)) || !ql_quantile_place(0.5, n, &b, &fixed))
		return NAN; /* NaN come first */
	double median =
	    ql_quantile_mix(&b, ql_rank_at(&r->_rank, b.lower), ql_rank_at(&r->_rank, b.upper));
	if (!isfinite(median))
		return NAN; /* half of the distances are Inf - Inf */
	while (c < end) {   /* values below the median */
		uint32_t mid = c + (end - c) / 2;
		if (ql_rank_at(&r->_rank, mid) < median)
			c = mid + 1;
		else
			end = mid;
	}
	return ql_quantile_mix(
	    &b, kth_off(r, median, c, n, b.lower), kth_off(r, median, c, n, b.upper));
}

static bool rank_windows(struct ql_range *r, struct ql_col *out)
{
	bool mad = r->spec.fn == QL_FN_MAD_OVER_TIME;

	for (uint32_t i = r->_pos; i < r->spec.grid.n; i++) {
		uint32_t lo = r->lo[i], hi = r->hi[i];
		r->_pos = i;
		if (lo < hi) {
			if (!rank_slide(r, lo, hi))
				return true;
			out->v[i] = mad
			    ? rank_deviation(r, hi - lo)
			    : rank_quantile(r, ql_scalar_at(&r->spec.param[0], i), hi - lo);
			ql_bit_on(out->has, i);
		}
		r->_pos = i + 1;
		if (ql_range_pause(r, mad ? 512 : 64))
			return true;
	}
	return false;
}

/* --- one window at a time --- */

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
	case QL_FN_STDDEV_OVER_TIME:
		*out = variance(r, v, n);
		return true;
	case QL_FN_QUANTILE_OVER_TIME:
		memcpy(r->_sums.p, v, n * sizeof(*v));
		*out = ql_quantile(ql_scalar_at(&s->param[0], step), r->_sums.p, n);
		return true;
	case QL_FN_MAD_OVER_TIME:
		*out = median_deviation(r->_sums.p, v, n);
		return true;
	case QL_FN_IRATE:
	case QL_FN_IDELTA:
		if (n < 2)
			return false;
		*out = last_two(t, v, n, s->fn == QL_FN_IRATE);
		return true;
	case QL_FN_DERIV:
	case QL_FN_PREDICT_LINEAR:
		if (n < 2)
			return false;
		*out = regression(r, step, t, v, n);
		return true;
	case QL_FN_DOUBLE_EXPONENTIAL_SMOOTHING:
		if (n < 2)
			return false;
		*out = smoothing(r, step, v, n);
		return true;
	default:
		return false;
	}
#pragma GCC diagnostic pop
}

/* Values that must be sorted cost more. */
static uint64_t work_of(enum ql_fn fn, uint32_t n)
{
	return fn == QL_FN_QUANTILE_OVER_TIME || fn == QL_FN_MAD_OVER_TIME ? 16 * (uint64_t)n : n;
}

static bool loop_windows(struct ql_range *r, struct ql_col *out)
{
	for (uint32_t i = r->_pos; i < r->spec.grid.n; i++) {
		uint32_t lo = r->lo[i], n = r->hi[i] - lo;
		enum pass first;
		if (UNLIKELY(n > QL_RANGE_WORK) && (first = pass_first(r, i))) {
			r->_pos = i;
			if (!long_value(r, i, first, &out->v[i]))
				return true;
			ql_bit_on(out->has, i);
		} else if (n && window_value(r, i, r->_in.t_ms + lo, r->_in.v + lo, n, &out->v[i])) {
			ql_bit_on(out->has, i);
		}
		r->_pos = i + 1;
		if (ql_range_pause(r, 1 + work_of(r->spec.fn, n)))
			return true;
	}
	return false;
}

/* --- which way --- */

static enum ql_range_way way_of_extreme(const struct ql_range *r, bool much)
{
	bool value = r->spec.fn == QL_FN_MIN_OVER_TIME || r->spec.fn == QL_FN_MAX_OVER_TIME;

	if (value && r->_bounds.in_windows > 2 * (uint64_t)r->_in.count)
		return r->has_nan || table_size(r) > QL_TABLE_MAX ? QL_WAY_SLIDE : QL_WAY_TABLE;
	return much || r->_bounds.longest > QL_RANGE_WORK ? QL_WAY_SLIDE : QL_WAY_LOOP;
}

static enum ql_range_way way_of(const struct ql_range *r)
{
	const struct ql_range_bounds *b = &r->_bounds;
	uint64_t steps = r->spec.grid.n;
	bool much = b->in_windows > QL_SLIDE_FROM * (r->_in.count + steps);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
	switch (r->spec.fn) {
	case QL_FN_CHANGES:
	case QL_FN_RESETS:
		return QL_WAY_PREFIX;
	case QL_FN_SUM_OVER_TIME:
	case QL_FN_AVG_OVER_TIME:
		return much && !r->plain ? QL_WAY_SLIDE : QL_WAY_LOOP;
	case QL_FN_MIN_OVER_TIME:
	case QL_FN_MAX_OVER_TIME:
	case QL_FN_TS_OF_MIN_OVER_TIME:
	case QL_FN_TS_OF_MAX_OVER_TIME:
		return r->plain ? QL_WAY_LOOP : way_of_extreme(r, much);
	case QL_FN_QUANTILE_OVER_TIME:
	case QL_FN_MAD_OVER_TIME:
		if (!r->plain &&
		    (b->longest > QL_SORT_MAX || (much && b->in_windows > QL_RANK_FROM * steps)))
			return QL_WAY_RANK;
		return QL_WAY_LOOP;
	default:
		return QL_WAY_LOOP;
	}
#pragma GCC diagnostic pop
}

static bool sorts(enum ql_fn fn)
{
	return fn == QL_FN_QUANTILE_OVER_TIME || fn == QL_FN_MAD_OVER_TIME;
}

static bool sums(enum ql_fn fn)
{
	return fn == QL_FN_SUM_OVER_TIME || fn == QL_FN_AVG_OVER_TIME;
}

enum err ql_over_room(struct ql_range *r, struct errbuf *eb)
{
	size_t count = r->_in.count;
	enum err e;

	r->_way = way_of(r);
	switch (r->_way) {
	case QL_WAY_PREFIX:
		return ql_range_room(r, &r->_index, count, sizeof(uint32_t), eb);
	case QL_WAY_SLIDE:
		if (!sums(r->spec.fn))
			return ql_range_room(r, &r->_index, count, sizeof(uint32_t), eb);
		e = ql_range_room(r, &r->_sums, count, sizeof(double), eb);
		return e ? e : ql_range_room(r, &r->_errors, count, sizeof(double), eb);
	case QL_WAY_TABLE:
		return ql_range_room(r, &r->_table, table_size(r), sizeof(double), eb);
	case QL_WAY_RANK:
		return ql_range_room(r, &r->_table, ql_rank_bytes(r->_in.count), 1, eb);
	case QL_WAY_LOOP:
		if (sorts(r->spec.fn))
			return ql_range_room(r, &r->_sums, r->_bounds.longest, sizeof(double), eb);
		break;
	}
	return ERR_OK;
}

static bool rank_prepare(struct ql_range *r)
{
	if (!r->_pos++)
		ql_rank_init(&r->_rank, r->_table.p, r->_in.count);
	while (!ql_rank_sort(&r->_rank, r->_in.v, QL_RANGE_WORK / 2))
		if (ql_range_pause(r, QL_RANGE_WORK))
			return true;
	return false;
}

bool ql_over_prepare(struct ql_range *r)
{
	switch (r->_way) {
	case QL_WAY_PREFIX:
		return ql_over_prefix(r);
	case QL_WAY_TABLE:
		table_make(r);
		break;
	case QL_WAY_RANK:
		r->_slide = (struct ql_range_slide){ 0 };
		return rank_prepare(r);
	case QL_WAY_SLIDE:
		r->_slide = (struct ql_range_slide){ 0 };
		break;
	case QL_WAY_LOOP:
		break;
	}
	return false;
}

/* Steps that cost little each. */
static bool short_windows(struct ql_range *r,
    void (*steps)(struct ql_range *, uint32_t, struct ql_col *), struct ql_col *out)
{
	for (;;) {
		uint32_t from = r->_pos, end = ql_range_steps_end(r);
		steps(r, end, out);
		r->_pos = end;
		if (LIKELY(end == r->spec.grid.n))
			return false;
		if (ql_range_pause(r, 2 * (uint64_t)(end - from)))
			return true;
	}
}

bool ql_over_windows(struct ql_range *r, struct ql_col *out)
{
	switch (r->_way) {
	case QL_WAY_PREFIX:
		return short_windows(r, prefix_steps, out);
	case QL_WAY_TABLE:
		return short_windows(r, table_steps, out);
	case QL_WAY_RANK:
		return rank_windows(r, out);
	case QL_WAY_SLIDE:
		return sums(r->spec.fn) ? sums_windows(r, out) : best_windows(r, out);
	case QL_WAY_LOOP:
		break;
	}
	return loop_windows(r, out);
}
