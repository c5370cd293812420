/*
 * ql_range_priv - what the files of ql_range share: ql_range.c (phases, bounds, instant selectors),
 * ql_rate.c, ql_over.c (which way a function goes), ql_window.c, ql_slide.c; and ql_mix.c for
 * columns that have more than floats.
 */
#ifndef CORE_PROMQL_RUN_QL_RANGE_PRIV_H
#define CORE_PROMQL_RUN_QL_RANGE_PRIV_H

#include "core/promql/run/ql_range.h"

#include <math.h>

/*
 * Work between looks at the clock. One is a sample of a window; a step of a loop that the compiler
 * makes vector code of is an eighth.
 */
#define QL_RANGE_WORK    4096
#define QL_RANGE_STRETCH 16384 /* samples of such loops at a time: a multiple of 64 */
#define ALWAYS_INLINE    inline __attribute__((always_inline))
bool ql_range_pause_slow(struct ql_range *r);
/* After so much work: is the slice over? Where to go on must be known before. */
static inline bool ql_range_pause(struct ql_range *r, uint64_t work)
{
	r->_work += work;
	return UNLIKELY(r->_work >= QL_RANGE_WORK) && ql_range_pause_slow(r);
}
/* Of the count things from r->_pos on: so many at a time. */
static inline uint32_t ql_range_stretch(const struct ql_range *r, uint32_t count, uint32_t most)
{
	return count - r->_pos < most ? count - r->_pos : most;
}
/* Where steps that look at few samples each ask again. */
static inline uint32_t ql_range_steps_end(const struct ql_range *r)
{
	return r->_pos + ql_range_stretch(r, r->spec.grid.n, QL_PART);
}
/* At least so many things of a size; what was there is lost. Charged first. */
MUST_CHECK enum err ql_range_room(
    struct ql_range *r, struct ql_range_room *room, size_t count, size_t size, struct errbuf *eb);
void ql_range_room_free(struct ql_range *r, struct ql_range_room *room);
/* The first sample from k on that is later than upto. */
#define QL_RANGE_NEAR 16 /* samples looked at one by one before the search begins */
uint32_t ql_range_search(struct ql_range *r, uint32_t k, int64_t upto);
static inline uint32_t ql_range_after(struct ql_range *r, uint32_t k, int64_t upto)
{
	const int64_t *t = r->_in.t_ms;
	uint32_t count = r->_in.count, end = count - k > QL_RANGE_NEAR ? k + QL_RANGE_NEAR : count;

	while (k < end && t[k] <= upto)
		k++;
	return LIKELY(k < end) || k == count ? k : ql_range_search(r, k, upto);
}
static inline bool ql_range_extended(const struct ql_range_spec *s)
{
	return s->anchored || s->smoothed;
}

/*
 * Parts (ql_rate.c, ql_over.c), on filtered columns with bounds in r. They return whether the slice
 * is over; X_windows goes on with step r->_pos.
 */
bool ql_rate_factors(struct ql_range *r);
MUST_CHECK enum err ql_rate_room(struct ql_range *r, struct errbuf *eb);
bool ql_rate_prepare(struct ql_range *r);
bool ql_rate_windows(struct ql_range *r, struct ql_col *out);
bool ql_rate_extended(struct ql_range *r, struct ql_col *out);
MUST_CHECK enum err ql_over_room(struct ql_range *r, struct errbuf *eb);
bool ql_over_prepare(struct ql_range *r);
bool ql_over_windows(struct ql_range *r, struct ql_col *out);

/* The windows from r->_pos on, each looked at alone (ql_window.c); true: slice over. */
bool ql_window_steps(struct ql_range *r, struct ql_col *out);
/* The sum, or mean, of 0 < n <= QL_RANGE_WORK samples. */
double ql_window_sum(const double *v, uint32_t n, bool avg);
/*
 * A window of more than QL_RANGE_WORK samples: the first pass over it, 0 for functions that do not
 * look at all of them. Its value; false when the slice is over, then the same call goes on.
 */
unsigned ql_window_pass(const struct ql_range *r, uint32_t step);
bool ql_window_long(struct ql_range *r, uint32_t step, unsigned first, double *out);

/* What overlapping windows share (ql_slide.c). Whole columns, then steps; true: slice over. */
bool ql_prefix_make(struct ql_range *r); /* counts of changes or resets, in _index */
void ql_prefix_steps(struct ql_range *r, uint32_t end, struct ql_col *out);
size_t ql_table_size(const struct ql_range *r); /* values */
void ql_table_make(struct ql_range *r);
void ql_table_steps(struct ql_range *r, uint32_t end, struct ql_col *out);
bool ql_slide_rank(struct ql_range *r);
bool ql_slide_ranks(struct ql_range *r, struct ql_col *out);
bool ql_slide_sums(struct ql_range *r, struct ql_col *out);
bool ql_slide_extremes(struct ql_range *r, struct ql_col *out);

/*
 * Columns with histograms or start times (ql_mix.c): as ql_range_run, ql_smooth_run and
 * ql_instant_run.
 */
enum ql_mix_want {
	QL_MIX_VALUE,
	QL_MIX_TIME, /* of the sample, in seconds */
	QL_MIX_INFO, /* that of floats alone: histograms are themselves */
	QL_MIX_START /* the sample's start time, 0 when it is not told */
};
bool ql_mix_wants(const struct ql_range *r, const struct sample_column *in);
/* Of the column that it was through last (ql_range_points). */
const uint64_t *ql_mix_points(const struct ql_range *r);
MUST_CHECK enum err ql_mix_run(struct ql_range *r, bool smooth, const struct sample_column *in,
    struct ql_col *out, bool *any, struct errbuf *eb);
MUST_CHECK enum err ql_mix_instant(struct ql_range *r, enum ql_mix_want want,
    const struct sample_column *in, struct ql_col *out, bool *any, struct errbuf *eb);
void ql_mix_release(struct ql_range *r);

/*
 * The same sum and error as the Kahan-Neumaier step (ql_kahan) without looking at magnitudes: both
 * errors are exact, as long as nothing is infinite or NaN.
 */
static inline void ql_two_sum(double x, double *sum, double *c)
{
	double s = *sum, t = s + x, b = t - s;
	*c += (s - (t - b)) + (x - b);
	*sum = t;
}

/* Where a quantile lies among count sorted values. */
struct ql_between {
	uint32_t lower, upper;
	double weight;
};
/* False: the quantile is *fixed whatever the values are. */
static inline bool ql_quantile_place(double q, uint32_t count, struct ql_between *b, double *fixed)
{
	if (!count || !(q >= 0 && q <= 1)) {
		*fixed = !count || q != q ? __builtin_nan("") : q < 0 ? -INFINITY : INFINITY;
		return false;
	}
	double rank = q * ((double)count - 1);
	b->lower = (uint32_t)rank; /* not negative: cut is floor */
	b->upper = b->lower + 1 < count ? b->lower + 1 : b->lower;
	b->weight = rank - b->lower;
	return true;
}
/* Both terms always: an infinite neighbour gives NaN even at weight 0. */
static inline double ql_quantile_mix(const struct ql_between *b, double lower, double upper)
{
	return lower * (1 - b->weight) + upper * b->weight;
}

#endif
