/*
 * ql_range - functions over range vectors, one series at a time, all steps in one pass.
 *
 * The window of step i is (ref - range, ref] with ref = time of the step - offset (or the fixed
 * time of "@" - offset), stale markers left out.
 * Two indices move over the column, so the bounds of all windows cost samples + steps; series
 * scraped together share their times, and then the bounds of the series before are used again.
 * Functions with a sliding state use it when windows overlap much; ql_range_plain switches that off
 * (the oracle of the tests).
 *   rate, increase, delta   precomputed factors per window, list of counter resets
 *   sum, avg                suffix sums of the older part + running sum of the newer part: nothing
 *                           is ever subtracted, so a window never carries another window's rounding
 *   min, max                a table of extremes of runs of 1, 2, 4, ... samples, two of which cover
 *                           a window; a monotone queue when there is NaN
 *   deriv, predict_linear   sums of the times once for all series with these times, sums of the
 *                           values per window
 *   changes, resets         prefix counts
 *   the rest                a loop over the window
 * Sketch: 10,000 series x 240 samples, 60 steps: rate costs about 2 ns per sample.
 *
 * Thread: one at a time. Memory: scratch owned by the struct.
 */
#ifndef CORE_PROMQL_RUN_QL_RANGE_H
#define CORE_PROMQL_RUN_QL_RANGE_H

#include "core/promql/plan/ql_spec.h"

struct ql_range_rate { /* what rate needs of a window's times */
	double sampled, to_start, to_end, factor;
};
struct ql_range_line { /* what a regression needs of a window's times */
	double sx, sxx;
};
struct ql_range {
	struct ql_range_spec spec;
	uint32_t *lo, *hi; /* per step: samples lo..hi-1 */
	struct ql_range_rate *rate;
	struct ql_range_line *line;
	int64_t *_times; /* those the bounds belong to */
	uint32_t _times_count, _times_cap;
	bool _times_valid, _slide;
	uint64_t samples_in_windows; /* of the last series: sum of hi - lo */
	uint64_t samples_read;       /* and of those that the step before did not see */
	uint64_t _in_windows, _read; /* the same two, of the bounds */
	int64_t *_t;                 /* without stale markers */
	double *_v;
	double *scratch, *scratch2; /* _cap values each, where the function needs them */
	double *table;              /* table_cap values */
	size_t table_cap;
	bool has_nan;              /* of the column at hand */
	uint32_t *index;           /* _cap + 1 values, where needed */
	uint32_t _cap, _plain_cap; /* the latter of _t and _v */
	bool plain;                /* tests: window loops only */
	struct ql_budget *_budget;
	uint64_t _charged;
	/*
	 * Loops over windows ask after each one, with the samples looked at; true ends the slice.
	 * Then again
	 * is set, and the next ql_range_run, with the same arguments, goes on. NULL: never.
	 */
	bool (*yield)(void *arg, uint64_t work);
	void *yield_arg;
	bool again;
	uint32_t _at;        /* the next step */
	uint64_t _work;      /* since yield was asked */
	uint32_t _line_upto; /* steps whose line is known */
	const int64_t *_run_t;
	const double *_run_v;
	uint32_t _run_count; /* the column at hand, without stale markers */
};
/*
 * Scratch is charged to the budget (NULL: to none) until the release, which is due after an error,
 * too.
 */
MUST_CHECK enum err ql_range_init(struct ql_range *r, const struct ql_range_spec *spec,
    struct ql_budget *budget, struct errbuf *eb);
void ql_range_release(struct ql_range *r);
/*
 * out and has: grid.n values, has all off before. *any: some step is present. ERR_EXECUTION for bad
 * parameters and over budget.
 */
MUST_CHECK enum err ql_range_run(struct ql_range *r, const int64_t *t, const double *v,
    uint32_t count, double *out, uint64_t *has, bool *any, struct errbuf *eb);

/*
 * Instant selector: newest sample in (ref - range, ref], the spec's range being the lookback;
 * nothing when it is a stale marker. want_time: the sample's time in seconds instead of its value.
 */
MUST_CHECK enum err ql_instant_run(struct ql_range *r, bool want_time, const int64_t *t,
    const double *v, uint32_t count, double *out, uint64_t *has, bool *any, struct errbuf *eb);
/* Instant selector with "smoothed". */
bool ql_smooth_run(const struct ql_range_spec *s, const int64_t *t, const double *v, uint32_t count,
    double *out, uint64_t *has);

double ql_quantile(double q, double *values, uint32_t count); /* sorts values */
void ql_sort_doubles(double *v, uint32_t count);              /* NaN first */

#endif
