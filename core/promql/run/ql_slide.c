/* ql_slide - windows that overlap: what one leaves for the next. */
#include "core/promql/run/ql_kernel.h"
#include "core/promql/run/ql_range_priv.h"

/*
 * Beyond this a partial sum may overflow where the whole would not: the window is summed plainly.
 */
#define QL_SUM_SAFE 1e300

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
			ql_two_sum(v[k - 1], &sum, &c);
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
			ql_two_sum(v[s->hi], &s->sum, &s->c);
		if (!whole && ql_range_pause(r, n))
			return false;
	}
	return true;
}

/* The sum of a window that the halves cannot tell: infinite, NaN, or near overflow. */
static bool sum_again(struct ql_range *r, uint32_t i, double *out)
{
	const double *v = r->_in.v + r->lo[i];
	uint32_t n = r->hi[i] - r->lo[i];

	if (n > QL_RANGE_WORK)
		return ql_window_long(r, i, ql_window_pass(r, i), out);
	*out = ql_window_sum(v, n, r->spec.fn == QL_FN_AVG_OVER_TIME);
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
	ql_two_sum(s->sum, &sum, &c);
	c += s->c;
	if (UNLIKELY(!(fabs(sum) < QL_SUM_SAFE))) {
		if (whole || !sum_again(r, i, &out->v[i]))
			return false;
	} else if (avg) {
		out->v[i] = ql_kahan_mean(sum, c, (double)(hi - lo));
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

bool ql_slide_sums(struct ql_range *r, struct ql_col *out)
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

bool ql_slide_extremes(struct ql_range *r, struct ql_col *out)
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

static unsigned log2_floor(uint32_t n)
{
	return n ? 31 - (unsigned)__builtin_clz(n) : 0;
}

size_t ql_table_size(const struct ql_range *r)
{
	return (size_t)log2_floor(r->_bounds.longest) * r->_in.count;
}

/* A value of a level is the extreme of a run of samples, from those of two runs half as long. */
void ql_table_make(struct ql_range *r)
{
	const double *below = r->_in.v;
	double *to = r->_table.p;
	uint32_t count = r->_in.count;

	for (unsigned k = 1; k <= log2_floor(r->_bounds.longest); k++, to += count) {
		ql_kernel_best(to, below, 1u << (k - 1), count - (1u << k) + 1,
		    r->spec.fn == QL_FN_MAX_OVER_TIME);
		below = to;
	}
}

void ql_table_steps(struct ql_range *r, uint32_t end, struct ql_col *out)
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

/* --- prefix counts --- */

bool ql_prefix_make(struct ql_range *r)
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

void ql_prefix_steps(struct ql_range *r, uint32_t end, struct ql_col *out)
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

bool ql_slide_ranks(struct ql_range *r, struct ql_col *out)
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

bool ql_slide_rank(struct ql_range *r)
{
	if (!r->_pos++)
		ql_rank_init(&r->_rank, r->_table.p, r->_in.count);
	while (!ql_rank_sort(&r->_rank, r->_in.v, QL_RANGE_WORK / 2))
		if (ql_range_pause(r, QL_RANGE_WORK))
			return true;
	return false;
}
