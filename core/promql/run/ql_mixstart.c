/*
 * ql_mixstart - start times of counters ("created timestamps"): rate, increase, irate and resets
 * over windows of floats. Facts: Prometheus, promql/functions.go (extrapolatedRate,
 * isStartTimestampReset, checkStartTimeOverlap).
 */
#include "core/promql/run/ql_mix_priv.h"

/*
 * A start time of 0 is not told, one that is not before its sample is none. One at the time of the
 * sample before begins anew only when that one's own start is known: else it may be the first
 * sample's of a counter whose start nobody knows.
 */
bool ql_mixstart_reset(int64_t start_before, int64_t t_before, int64_t start, int64_t t)
{
	if (!start || start >= t || start < t_before)
		return false;
	if (start > t_before)
		return true;
	return start_before && start_before < t_before;
}

bool ql_mixstart_overlaps(int64_t start_before, int64_t t_before, int64_t start)
{
	return start && start < t_before && start != start_before;
}

bool ql_mixstart_reset_at(const struct ql_mix *m, uint32_t k)
{
	const int64_t *t = m->t.p, *s = m->start.p;

	return s && ql_mixstart_reset(s[k - 1], t[k - 1], s[k], t[k]);
}

bool ql_mixstart_begins(const struct ql_range *r, uint32_t step, uint32_t lo)
{
	const struct ql_mix *m = r->_mix;
	const int64_t *t = m->t.p, *s = m->start.p;
	int64_t from = num_sat_sub(ql_range_ref(&r->spec, step), r->spec.range_ms);

	return s && r->spec.fn != QL_FN_DELTA && s[lo] && s[lo] > from && s[lo] < t[lo];
}

/* How far back the counter's zero point is, when it is nearer than to_start. */
static double to_zero(
    const struct ql_range *r, const struct ql_mix_reach *x, double sampled, double to_start)
{
	if (r->spec.fn == QL_FN_DELTA || !(x->result > 0) || !(x->first >= 0))
		return to_start;
	double zero = sampled * (x->first / x->result);
	return zero < to_start ? zero : to_start;
}

void ql_mixstart_reach(const struct ql_range *r, uint32_t step, uint32_t lo, uint32_t hi,
    bool begins, struct ql_mix_reach *x)
{
	const struct ql_range_spec *s = &r->spec;
	const struct ql_mix *m = r->_mix;
	const int64_t *t = m->t.p;
	int64_t ref = ql_range_ref(s, step);
	double to_start = (double)(t[lo] - num_sat_sub(ref, s->range_ms)) / 1000;
	double to_end = (double)(ref - t[hi - 1]) / 1000;
	double sampled = (double)(t[hi - 1] - t[lo]) / 1000;
	double gap = hi - lo > 1 ? sampled / (double)(hi - lo - 1) : 0;
	double threshold = gap * 1.1;

	if (begins) {
		to_start = 0;
		sampled = (double)(t[hi - 1] - ((const int64_t *)m->start.p)[lo]) / 1000;
	} else {
		if (to_start >= threshold)
			to_start = gap / 2;
		to_start = to_zero(r, x, sampled, to_start);
	}
	if (to_end >= threshold)
		to_end = gap / 2;
	x->factor = sampled != 0 ? (sampled + to_start + to_end) / sampled : 1;
	if (s->fn == QL_FN_RATE)
		x->factor /= (double)s->range_ms / 1000;
}

/* What the counter had before each reset, added up. False when the slice is over. */
static bool add_resets(struct ql_range *r, uint32_t lo, uint32_t hi, double *sum)
{
	struct ql_mix *m = r->_mix;
	const uint32_t *at = m->events.p;
	const double *v = m->v.p;

	if (!m->win.pass) {
		m->win.pass = 1;
		m->win.k = ql_mix_first(&m->events, m->events_count, lo + 1);
		m->win.v = *sum;
	}
	*sum = m->win.v;
	for (;;) {
		uint32_t n = 0, k = m->win.k;
		for (; n < QL_RANGE_WORK && at[k] < hi; n++, k++)
			*sum += v[at[k] - 1];
		m->win.k = k;
		m->win.v = *sum;
		if (at[k] >= hi)
			return true;
		if (ql_range_pause(r, n))
			return false;
	}
}

static enum ql_mix_did start_rate(struct ql_range *r, uint32_t step, uint32_t lo, uint32_t hi)
{
	struct ql_mix *m = r->_mix;
	const double *v = m->v.p;
	bool begins = ql_mixstart_begins(r, step, lo);
	struct ql_mix_reach x = { .first = v[lo] };

	if (hi - lo < 2 && !begins)
		return QL_MIX_NONE;
	x.result = v[hi - 1] - v[lo];
	if (!add_resets(r, lo, hi, &x.result))
		return QL_MIX_CUT;
	uint32_t k = ql_mix_first(&m->overlaps, m->overlaps_count, lo + 1);
	m->overlapping += ((const uint32_t *)m->overlaps.p)[k] < hi;
	if (begins)
		x.result += v[lo];
	ql_mixstart_reach(r, step, lo, hi, begins, &x);
	m->win.v = x.result * x.factor;
	return QL_MIX_FLOAT;
}

static enum ql_mix_did start_irate(struct ql_range *r, uint32_t lo, uint32_t hi)
{
	struct ql_mix *m = r->_mix;
	const double *v = m->v.p;
	const int64_t *t = m->t.p;
	uint32_t k = hi - 1;

	if (hi - lo < 2)
		return QL_MIX_NONE;
	double x = v[k] < v[k - 1] || ql_mixstart_reset_at(m, k) ? v[k] : v[k] - v[k - 1];
	m->win.v = x / ((double)(t[k] - t[k - 1]) / 1000);
	return QL_MIX_FLOAT;
}

enum ql_mix_did ql_mixstart_window(struct ql_range *r, uint32_t step, uint32_t lo, uint32_t hi)
{
	struct ql_mix *m = r->_mix;

	if (r->spec.fn == QL_FN_IRATE)
		return start_irate(r, lo, hi);
	if (r->spec.fn != QL_FN_RESETS)
		return start_rate(r, step, lo, hi);
	m->win.v = ql_mix_first(&m->events, m->events_count, hi) -
	    ql_mix_first(&m->events, m->events_count, lo + 1);
	return QL_MIX_FLOAT;
}
