/*
 * rate, increase, delta; and what the anchored and smoothed modifiers make of them.
 */
#include "core/promql/run/ql_range_priv.h"

#include <math.h>

/* Everything that depends on the times alone, in upstream's order of operations. */
void ql_rate_windows(struct ql_range *r, const int64_t *t)
{
	const struct ql_range_spec *s = &r->spec;
	double range_s = (double)s->range_ms / 1000;

	for (uint32_t i = 0; i < s->grid.n; i++) {
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
	}
}

__attribute__((optimize("O3"))) static bool any_reset(const double *v, uint32_t count)
{
	uint64_t n = 0;
	for (uint32_t i = 1; i < count; i++)
		n += v[i] < v[i - 1];
	return n != 0;
}

/* Indices where a counter fell, closed by UINT32_MAX. */
static void find_resets(const double *v, uint32_t count, uint32_t *at)
{
	uint32_t n = 0;

	if (any_reset(v, count))
		for (uint32_t i = 1; i < count; i++)
			if (v[i] < v[i - 1])
				at[n++] = i;
	at[n] = UINT32_MAX;
}

/* The factor when the counter's zero point lies inside the stretch to the window's start. */
static double zero_factor(const struct ql_range_spec *s, const struct ql_range_rate *w, double to_zero)
{
	double factor = (w->sampled + to_zero + w->to_end) / w->sampled;
	return s->fn == QL_FN_RATE ? factor / ((double)s->range_ms / 1000) : factor;
}

static double extrapolate(
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

void ql_rate_run(struct ql_range *r, const double *v, uint32_t count, double *out, uint64_t *has)
{
	const struct ql_range_spec *s = &r->spec;
	bool counter = s->fn != QL_FN_DELTA;
	uint32_t *reset = r->index;
	uint64_t work = 0;

	if (!r->_at) {
		reset[0] = UINT32_MAX;
		if (counter)
			find_resets(v, count, reset);
	}
	for (uint32_t i = r->_at; i < s->grid.n; i++) {
		uint32_t lo = r->lo[i], hi = r->hi[i];
		if (hi - lo < 2)
			continue;
		double first = v[lo], result = v[hi - 1] - first;
		while (*reset <= lo)
			reset++;
		const uint32_t *k = reset;
		for (; *k < hi; k++)
			result += v[*k - 1];
		out[i] = counter ? extrapolate(s, &r->rate[i], first, result)
		                 : result * r->rate[i].factor;
		ql_bit_on(has, i);
		work += (uint64_t)(k - reset) + 1;
		if (UNLIKELY(work >= QL_RANGE_WORK)) {
			if (ql_range_pause(r, i, work))
				return;
			work = 0;
		}
	}
	r->_work += work;
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

static double fallen(const double *v, uint32_t from, uint32_t to, double left, double right)
{
	double sum = 0, prev = left;
	for (uint32_t k = from; k < to; k++) {
		if (v[k] < prev)
			sum += prev;
		prev = v[k];
	}
	return right < prev ? sum + prev : sum;
}

struct ext { /* one window, indices absolute */
	uint32_t first, last;
	int64_t start, end;
};

static bool ext_change(
    const struct ql_range *r, const struct ext *x, const int64_t *t, const double *v, double *out)
{
	uint32_t n = 0, first = x->first;

	if (t[x->last] <= x->start)
		return false;
	for (uint32_t k = first + 1; k <= x->last; k++) {
		if (r->spec.fn == QL_FN_RESETS)
			n += v[k] < v[k - 1];
		else
			n += v[k] != v[k - 1] && !(isnan(v[k]) && isnan(v[k - 1]));
	}
	*out = n;
	return true;
}

static bool ext_rate(
    const struct ql_range *r, const struct ext *x, const int64_t *t, const double *v, double *out)
{
	const struct ql_range_spec *s = &r->spec;
	bool counter = s->fn != QL_FN_DELTA;
	uint32_t first = x->first, last = x->last, end;

	if (s->smoothed)
		while (last > first && t[last - 1] >= x->end)
			last--;
	if (t[last] <= x->start || (s->smoothed && t[first] > x->end))
		return false;

	double left = v[first], right = v[last];
	if (s->smoothed && t[first] < x->start)
		left = between(t, v, first, x->start, counter);
	if (s->smoothed && t[last] > x->end && last > first)
		right = between(t, v, last - 1, x->end, counter);
	double result = right - left;
	if (counter) {
		if (t[first] <= x->start)
			first++;
		end = last + 1;
		if (t[last] >= x->end)
			end--;
		result += fallen(v, first, end > first ? end : first, left, right);
	}
	*out = s->fn == QL_FN_RATE ? result / ((double)s->range_ms / 1000) : result;
	return true;
}

void ql_rate_extended(struct ql_range *r, const int64_t *t, const double *v, uint32_t count,
    double *out, uint64_t *has)
{
	const struct ql_range_spec *s = &r->spec;
	bool rate = s->fn != QL_FN_CHANGES && s->fn != QL_FN_RESETS;

	(void)count;
	for (uint32_t i = r->_at; i < s->grid.n; i++) {
		int64_t ref = ql_range_ref(s, i);
		struct ext x = {
			.first = r->lo[i], .start = num_sat_sub(ref, s->range_ms), .end = ref
		};
		if (r->hi[i] == r->lo[i])
			continue;
		x.last = r->hi[i] - 1;
		/* The newest sample at or before the start, else the first inside. */
		while (x.first < x.last && t[x.first + 1] <= x.start)
			x.first++;
		if (rate ? ext_rate(r, &x, t, v, &out[i]) : ext_change(r, &x, t, v, &out[i]))
			ql_bit_on(has, i);
		if (ql_range_pause(r, i, r->hi[i] - r->lo[i]))
			return;
	}
}
