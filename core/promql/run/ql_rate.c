/*
 * rate, increase, delta; and what the anchored and smoothed modifiers make of them.
 */
#include "core/promql/run/ql_kernel.h"
#include "core/promql/run/ql_range_priv.h"

#include <math.h>

/* Everything that depends on the times alone, in upstream's order of operations. */
static void factors_steps(struct ql_range *r, uint32_t end)
{
	const struct ql_range_spec *s = &r->spec;
	const int64_t *t = r->_in.t_ms;
	double range_s = (double)s->range_ms / 1000;

	for (uint32_t i = r->_pos; i < end; i++) {
		uint32_t lo = r->lo[i], hi = r->hi[i];
		if (hi - lo < 2)
			continue;
		int64_t ref = ql_range_ref(s, i);
		double to_start = (double)(t[lo] - num_sat_sub(ref, s->range_ms)) / 1000;
		double to_end = (double)(ref - t[hi - 1]) / 1000;
		double sampled = (double)(t[hi - 1] - t[lo]) / 1000;
		double gap = sampled / (double)(hi - lo - 1);
		double threshold = gap * 1.1;
		if (to_start >= threshold)
			to_start = gap / 2;
		if (to_end >= threshold)
			to_end = gap / 2;
		double factor = (sampled + to_start + to_end) / sampled;
		if (s->fn == QL_FN_RATE)
			factor /= range_s;
		r->rate[i] = (struct ql_range_rate){ sampled, to_start, to_end, factor };
		r->rates[i] = sampled;
		r->rates[i + s->grid.n] = to_start;
		r->rates[i + 2 * (size_t)s->grid.n] = factor;
	}
}

bool ql_rate_factors(struct ql_range *r)
{
	for (;;) {
		uint32_t from = r->_pos, end = ql_range_steps_end(r);
		factors_steps(r, end);
		r->_pos = end;
		if (LIKELY(end == r->spec.grid.n))
			return false;
		if (ql_range_pause(r, 4 * (uint64_t)(end - from)))
			return true;
	}
}

/* --- resets --- */

static bool is_change(const struct ql_range *r)
{
	return r->spec.fn == QL_FN_CHANGES || r->spec.fn == QL_FN_RESETS;
}

static bool is_counter(const struct ql_range *r)
{
	return r->spec.fn != QL_FN_DELTA && !is_change(r);
}

enum err ql_rate_room(struct ql_range *r, struct errbuf *eb)
{
	size_t count = is_counter(r) || is_change(r) ? (size_t)r->_in.count + 1 : 1;
	return ql_range_room(r, &r->_index, count, sizeof(uint32_t), eb);
}

#define RESETS_BLOCK 64u

static void list_resets(struct ql_range *r, uint32_t from, uint32_t to)
{
	const double *v = r->_in.v;
	uint32_t *at = r->_index.p, n = r->_resets;

	for (uint32_t begin = from; begin < to; begin += RESETS_BLOCK) {
		uint32_t end = to - begin < RESETS_BLOCK ? to : begin + RESETS_BLOCK;
		if (!ql_kernel_falls(v + begin - 1, end - begin + 1))
			continue;
		for (uint32_t i = begin; i < end; i++)
			if (v[i] < v[i - 1])
				at[n++] = i;
	}
	r->_resets = n;
}

/* Indices where a counter fell, closed by UINT32_MAX. */
bool ql_rate_prepare(struct ql_range *r)
{
	uint32_t count = is_counter(r) ? r->_in.count : 0;

	if (!r->_pos)
		r->_resets = r->_reset = r->_start = r->_end = 0;
	if (is_change(r))
		return ql_prefix_make(r);
	while (r->_pos < count) {
		uint32_t k = ql_range_stretch(r, count, QL_RANGE_STRETCH);
		uint32_t from = r->_pos ? r->_pos : 1, to = r->_pos + k, before = r->_resets;
		if (ql_kernel_falls(r->_in.v + from - 1, to - from + 1))
			list_resets(r, from, to);
		r->_pos = to;
		if (to < count && ql_range_pause(r, k / 8 + (r->_resets - before) / 2))
			return true;
	}
	((uint32_t *)r->_index.p)[r->_resets] = UINT32_MAX;
	return false;
}

/* The first reset in the list after sample lo, from k on. */
static const uint32_t *search_reset(const struct ql_range *r, const uint32_t *k, uint32_t lo)
{
	const uint32_t *end = (const uint32_t *)r->_index.p + r->_resets;

	for (unsigned near = 0; near < 16; near++, k++)
		if (*k > lo)
			return k;
	while (k < end) {
		const uint32_t *mid = k + (end - k) / 2;
		if (*mid <= lo)
			k = mid + 1;
		else
			end = mid;
	}
	return k;
}

/*
 * Adds to *sum what the counter had before each reset from k on and before sample hi, in a window
 * with many samples. False when the slice is over: then the next call goes on.
 */
static bool add_resets(struct ql_range *r, const uint32_t *k, uint32_t hi, double *sum)
{
	const uint32_t *list = r->_index.p;
	struct ql_range_long *l = &r->_long;

	if (l->pass) {
		k = list + l->at;
		*sum = l->sums.a;
	}
	for (;;) {
		uint32_t n = 0;
		for (; n < QL_RANGE_WORK && *k < hi; n++, k++)
			*sum += r->_in.v[*k - 1];
		l->pass = *k < hi;
		if (!l->pass)
			return true;
		l->at = (uint32_t)(k - list);
		l->sums.a = *sum;
		if (ql_range_pause(r, n))
			return false;
	}
}

/* The factor when the counter's zero point lies inside the stretch to the window's start. */
static double zero_factor(const struct ql_range_spec *s, const struct ql_range_rate *w, double to_zero)
{
	double factor = (w->sampled + to_zero + w->to_end) / w->sampled;
	return s->fn == QL_FN_RATE ? factor / ((double)s->range_ms / 1000) : factor;
}

static ALWAYS_INLINE double extrapolate(
    const struct ql_range_spec *s, const struct ql_range_rate *w, double first, double result)
{
	/*
	 * Most counters are far from their start: a product instead of a division tells. The factor
	 * 2 covers rounding; when in doubt (NaN, Inf too) the division decides.
	 */
	if (result > 0 && first >= 0 && !(first * w->sampled > 2 * (w->to_start * result))) {
		double to_zero = w->sampled * (first / result);
		if (to_zero < w->to_start)
			return result * zero_factor(s, w, to_zero);
	}
	return result * w->factor;
}

/*
 * From step i, a multiple of 64, on: how many are done at once, when all windows there have two
 * samples and none of them a reset. 0: they are looked at one by one.
 */
static ALWAYS_INLINE uint32_t rate_word(
    struct ql_range *r, uint32_t i, uint32_t end, uint32_t reset, bool counter, struct ql_col *out)
{
	uint32_t n = end - i < QL_KERNEL_STEPS ? end - i : QL_KERNEL_STEPS, all = r->spec.grid.n;
	uint64_t bits = n < 64 ? ((uint64_t)1 << n) - 1 : ~(uint64_t)0;
	struct ql_kernel_rate w = { r->rates + i, r->rates + all + i, r->rates + 2 * (size_t)all + i };

	if ((r->enough[i / 64] & bits) != bits || reset < r->hi[end < i + n ? end - 1 : i + n - 1])
		return 0;
	if (!ql_kernel_rates(&w, r->_in.v, r->lo + i, r->hi + i, n, counter, out->v + i))
		return 0;
	out->has[i / 64] |= bits;
	return n;
}

/*
 * Steps up to end; false when the slice is over. longer: some windows hold more than QL_RANGE_WORK
 * samples.
 */
static ALWAYS_INLINE bool rate_steps(
    struct ql_range *r, uint32_t end, bool counter, bool longer, struct ql_col *out)
{
	const struct ql_range_spec *s = &r->spec;
	const double *v = r->_in.v;
	const uint32_t *list = r->_index.p, *reset = list + r->_reset;
	uint64_t work = 0;

	for (uint32_t i = r->_pos; i < end; i++) {
		if (!longer && i % QL_KERNEL_STEPS == 0) {
			if (UNLIKELY(*reset <= r->lo[i]))
				reset = search_reset(r, reset, r->lo[i]);
			uint32_t done = rate_word(r, i, end, *reset, counter, out);
			if (done) {
				i += done - 1;
				continue;
			}
		}
		uint32_t lo = r->lo[i], hi = r->hi[i];
		if (hi - lo < 2)
			continue;
		double first = v[lo], result = v[hi - 1] - first;
		if (UNLIKELY(*reset <= lo))
			reset = search_reset(r, reset, lo);
		const uint32_t *k = reset;
		if (!longer || hi - lo <= QL_RANGE_WORK) {
			for (; *k < hi; k++)
				result += v[*k - 1];
		} else if (!add_resets(r, k, hi, &result)) {
			r->_pos = i;
			r->_reset = (uint32_t)(reset - list);
			return false;
		}
		out->v[i] = counter ? extrapolate(s, &r->rate[i], first, result)
		                    : result * r->rate[i].factor;
		ql_bit_on(out->has, i);
		work += (uint64_t)(k - reset);
		if (UNLIKELY(work >= QL_RANGE_WORK)) {
			r->_pos = i + 1;
			r->_reset = (uint32_t)(reset - list);
			if (ql_range_pause(r, work))
				return false;
			work = 0;
		}
	}
	r->_pos = end;
	r->_reset = (uint32_t)(reset - list);
	r->_work += work;
	return true;
}

static bool rate_part(struct ql_range *r, struct ql_col *out)
{
	uint32_t end = ql_range_steps_end(r);

	if (UNLIKELY(r->_bounds.longest > QL_RANGE_WORK))
		return rate_steps(r, end, is_counter(r), true, out);
	return is_counter(r) ? rate_steps(r, end, true, false, out)
	                     : rate_steps(r, end, false, false, out);
}

bool ql_rate_windows(struct ql_range *r, struct ql_col *out)
{
	uint32_t n = r->spec.grid.n;

	while (r->_pos < n) {
		uint32_t from = r->_pos;
		if (!rate_part(r, out))
			return true;
		if (UNLIKELY(r->_pos < n) && ql_range_pause(r, r->_pos - from))
			return true;
	}
	return false;
}

/* --- anchored, smoothed --- */

static double between(
    const int64_t *t, const double *v, uint32_t k, int64_t at, bool counter) /* k and k + 1 */
{
	double y1 = v[k], y2 = v[k + 1];
	if (counter && y2 < y1)
		y1 = 0;
	return y1 + (y2 - y1) * (double)(at - t[k]) / (double)(t[k + 1] - t[k]);
}

struct ext { /* one window, indices absolute */
	uint32_t first, last;
	int64_t start, end;
};

/*
 * By how much a counter fell from left over the samples from..to-1 to right; false when the slice
 * is over.
 */
static bool fallen(
    struct ql_range *r, uint32_t from, uint32_t to, double left, double right, double *sum)
{
	const double *v = r->_in.v;
	const uint32_t *list = r->_index.p, *k = list + r->_reset;
	double prev = to > from ? v[to - 1] : left;

	*sum = 0;
	if (to > from && v[from] < left)
		*sum += left;
	if (*k <= from)
		k = search_reset(r, k, from);
	r->_reset = (uint32_t)(k - list);
	if (!add_resets(r, k, to, sum))
		return false;
	if (right < prev)
		*sum += prev;
	return true;
}

/* How often the samples first + 1..last changed, or fell. */
static bool ext_change(const struct ql_range *r, const struct ext *x, double *out)
{
	const uint32_t *p = r->_index.p;

	if (r->_in.t_ms[x->last] <= x->start)
		return false;
	*out = p[x->last] - p[x->first];
	return true;
}

/* The values at both ends; false when nothing lies in the window. */
static bool ext_ends(struct ql_range *r, struct ext *x, double *left, double *right)
{
	const int64_t *t = r->_in.t_ms;
	const double *v = r->_in.v;
	bool smoothed = r->spec.smoothed, counter = is_counter(r);
	uint32_t first = x->first;

	if (smoothed) { /* the first sample at or after the end */
		uint32_t from = r->_end > first ? r->_end : first;
		r->_end = ql_range_after(r, from, num_sat_sub(x->end, 1));
		if (r->_end < x->last)
			x->last = r->_end;
	}
	if (t[x->last] <= x->start || (smoothed && t[first] > x->end))
		return false;
	*left = v[first];
	*right = v[x->last];
	if (smoothed && t[first] < x->start)
		*left = between(t, v, first, x->start, counter);
	if (smoothed && t[x->last] > x->end && x->last > first)
		*right = between(t, v, x->last - 1, x->end, counter);
	return true;
}

enum ext_did {
	EXT_NONE,
	EXT_VALUE,
	EXT_CUT /* the slice is over */
};

static enum ext_did ext_rate(struct ql_range *r, struct ext *x, double *out)
{
	const struct ql_range_spec *s = &r->spec;
	const int64_t *t = r->_in.t_ms;
	double left, right, down;

	if (!ext_ends(r, x, &left, &right))
		return EXT_NONE;
	double result = right - left;
	if (is_counter(r)) {
		uint32_t first = x->first + (t[x->first] <= x->start);
		uint32_t end = x->last + 1 - (t[x->last] >= x->end);
		if (!fallen(r, first, end > first ? end : first, left, right, &down))
			return EXT_CUT;
		result += down;
	}
	*out = s->fn == QL_FN_RATE ? result / ((double)s->range_ms / 1000) : result;
	return EXT_VALUE;
}

static enum ext_did ext_step(struct ql_range *r, uint32_t i, double *out)
{
	int64_t ref = ql_range_ref(&r->spec, i);
	struct ext x = { .first = r->lo[i], .start = num_sat_sub(ref, r->spec.range_ms), .end = ref };

	if (r->hi[i] == x.first)
		return EXT_NONE;
	x.last = r->hi[i] - 1;
	/* The newest sample at or before the start, else the first inside. */
	r->_start = ql_range_after(r, r->_start > x.first ? r->_start : x.first, x.start);
	if (r->_start > x.first)
		x.first = r->_start <= x.last ? r->_start - 1 : x.last;
	if (is_change(r))
		return ext_change(r, &x, out) ? EXT_VALUE : EXT_NONE;
	return ext_rate(r, &x, out);
}

bool ql_rate_extended(struct ql_range *r, struct ql_col *out)
{
	for (; r->_pos < r->spec.grid.n; r->_pos++) {
		uint32_t i = r->_pos;
		enum ext_did did = ext_step(r, i, &out->v[i]);
		if (did == EXT_CUT)
			return true;
		if (did == EXT_VALUE)
			ql_bit_on(out->has, i);
		if (ql_range_pause(r, 4)) {
			r->_pos++;
			return true;
		}
	}
	return false;
}
