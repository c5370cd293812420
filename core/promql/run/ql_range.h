/*
 * ql_range - functions over range vectors, one series at a time, all steps in one pass.
 *
 * The window of step i is (ref - range, ref] with ref = time of the step - offset (or the fixed
 * time of "@" - offset), stale markers left out.
 * Two indices move over the column, so the bounds of all windows cost steps x log(samples); series
 * scraped together share their times, and then the bounds of the series before are used again.
 * Functions with a sliding state use it when windows overlap much; ql_range_plain switches that off
 * (the oracle of the tests).
 *   rate, increase, delta   precomputed factors per window, list of counter resets
 *   sum, avg                suffix sums of the older part + running sum of the newer part: nothing
 *                           is ever subtracted, so a window never carries another window's rounding
 *   min, max, ts_of_min/max a table of extremes of runs of 1, 2, 4, ... samples, two of which cover
 *                           a window; for long columns suffix extremes as with sums
 *   quantile, mad           a window of ranks (ql_rank.h)
 *   deriv, predict_linear   sums of the times once for all series with these times, sums of the
 *                           values per window
 *   changes, resets         prefix counts
 *   the rest                a loop over the window
 * Sketch: 10,000 series x 240 samples, 60 steps: rate costs about 2 ns per sample.
 *
 * Floats are what the above is made for. A column with histograms, or with start times where they
 * count, goes another way (ql_mix_priv.h), which gives histograms beside floats, and notes.
 *
 * A column passes through phases (enum ql_range_phase). Each asks after some thousand samples
 * whether the slice is over, also inside of one window, and goes on where it was.
 *
 * Thread: one at a time. Memory: scratch owned by the struct.
 */
#ifndef CORE_PROMQL_RUN_QL_RANGE_H
#define CORE_PROMQL_RUN_QL_RANGE_H

#include "core/promql/plan/ql_spec.h"
#include "core/promql/run/ql_notes.h"
#include "core/promql/run/ql_rank.h"

struct ql_range_rate { /* what rate needs of a window's times */
	double sampled, to_start, to_end, factor;
};
struct ql_range_line { /* what a regression needs of a window's times */
	double sx, sxx;
};
enum ql_range_phase {
	QL_RANGE_NEW,     /* no column is at hand */
	QL_RANGE_CLEAR,   /* of the result */
	QL_RANGE_MARKERS, /* is there NaN, are there stale markers? */
	QL_RANGE_FILTER,  /* stale markers go */
	QL_RANGE_TIMES,   /* do the bounds at hand belong to these times? */
	QL_RANGE_BOUNDS,
	QL_RANGE_FACTORS, /* of rate */
	QL_RANGE_PARAMS,
	QL_RANGE_PREPARE, /* what the function makes of the whole column */
	QL_RANGE_WINDOWS
};
enum ql_range_way { /* how the windows are looked at */
	QL_WAY_LOOP,
	QL_WAY_PREFIX,
	QL_WAY_SLIDE,
	QL_WAY_TABLE,
	QL_WAY_RANK
};
/*
 * Two parts of a window: suffixes of lo..mid-1 and one sum, or extreme, of mid..hi-1. When lo
 * passes mid the suffixes are made anew for what is there, from hi down to lo: each sample is
 * looked at twice at most.
 */
struct ql_range_slide {
	uint32_t mid, hi;
	double sum, c; /* of the newer part */
	uint32_t best; /* of the newer part: index of its extreme */
	bool down;     /* suffixes are being made; at and what follows are theirs */
	uint32_t at;   /* and those from here on are known */
	double sum_down, c_down;
	uint32_t best_down;
};
/* A window longer than a slice is looked at in passes over its samples (ql_window.c). */
struct ql_range_sums {
	double a, ca, b, cb, n;
	bool flag;
};
struct ql_range_long {
	unsigned pass; /* 0: no window is at hand */
	unsigned last; /* the pass before */
	uint32_t at;   /* samples that this pass has looked at */
	struct ql_range_sums sums;
};
struct ql_range_bounds { /* of the step at hand, and sums over all steps before */
	uint32_t lo, hi, seen, longest;
	uint64_t in_windows, read;
};
struct ql_range_room {
	void *p;
	size_t bytes;
};
struct ql_mix;
struct ql_range {
	struct ql_range_spec spec;
	/* Where what is to be told of windows goes (NULL: nowhere), and what it blames. */
	struct ql_notes *notes;
	struct ql_pos pos;
	struct labels labels; /* of the column at hand: its name stands in notes */
	uint32_t *lo, *hi;    /* per step: samples lo..hi-1 */
	uint64_t *enough;     /* bits: windows with as many samples as the function needs */
	struct ql_range_rate *rate;
	double *rates; /* the same for vector code: sampled, to_start, factor, grid.n of each */
	struct ql_range_line *line;
	/*
	 * Of the last series: the sum of hi - lo, and of those that the step before did not see. Of
	 * an instant selector: the steps with a sample, and those of them that count as read.
	 */
	uint64_t samples_in_windows, samples_read;
	bool has_nan; /* of the column at hand */
	bool plain;   /* tests: window loops only */
	/*
	 * Asked after some thousand samples, with the work done since; true ends the slice. Then
	 * again is set, and the next ql_X_run, with the same arguments, goes on. NULL: never asked.
	 */
	bool (*yield)(void *arg, uint64_t work);
	void *yield_arg;
	bool again;
	/* Of the column that is run: equal numbers, equal times, as a source told. 0: not told. */
	uint64_t times_id;

	struct ql_budget *_budget;
	uint64_t _charged;
	enum ql_range_phase _phase;
	uint32_t _pos;            /* samples or steps that the phase has behind it */
	uint64_t _work;           /* since yield was asked */
	struct sample_column _in; /* the column at hand, after FILTER without stale markers */
	bool _stale;
	uint32_t _kept; /* samples that are no stale markers */
	struct ql_range_room _t, _v;
	struct ql_range_room _times; /* those the bounds belong to */
	uint32_t _times_count;
	bool _times_valid;
	uint64_t _times_id; /* those of the bounds; 0: not known */
	struct ql_range_bounds _bounds;
	enum ql_range_way _way;
	struct ql_range_room _sums, _errors, _index, _table;
	uint32_t _resets;      /* how many are in the list */
	uint32_t _reset;       /* the first that the windows to come can see */
	uint32_t _start, _end; /* anchored, smoothed: samples found for the step before */
	uint32_t _params_upto; /* steps whose parameters were looked at */
	uint32_t _line_upto;   /* steps whose line is known */
	struct ql_range_slide _slide;
	struct ql_range_long _long;
	struct ql_rank _rank;
	struct ql_mix *_mix; /* once a column had more than floats */
};
/*
 * Scratch is charged to the budget (NULL: to none) until the release, which is due after an error,
 * too.
 */
MUST_CHECK enum err ql_range_init(struct ql_range *r, const struct ql_range_spec *spec,
    struct ql_budget *budget, struct errbuf *eb);
void ql_range_release(struct ql_range *r);
/*
 * The windows of a column. out has room for grid.n values and bits, which need not be cleared.
 * *any: some step is present, else nobody may look at out. out->hists is NULL, or scratch that is
 * good until the next column. ERR_EXECUTION for bad parameters; over budget what ql_charge says.
 */
MUST_CHECK enum err ql_range_run(struct ql_range *r, const struct sample_column *in,
    struct ql_col *out, bool *any, struct errbuf *eb);

/*
 * Instant selector: newest sample in (ref - range, ref], the spec's range being the lookback;
 * nothing when it is a stale marker. want_time: the sample's time in seconds instead of its value.
 */
MUST_CHECK enum err ql_instant_run(struct ql_range *r, bool want_time,
    const struct sample_column *in, struct ql_col *out, bool *any, struct errbuf *eb);
/* The times of numbers; histograms as they are. */
MUST_CHECK enum err ql_info_run_times(struct ql_range *r, const struct sample_column *in,
    struct ql_col *out, bool *any, struct errbuf *eb);
/* The same with the sample's start time, in seconds; 0 when it is not told. */
MUST_CHECK enum err ql_start_run(struct ql_range *r, const struct sample_column *in,
    struct ql_col *out, bool *any, struct errbuf *eb);
/* Instant selector with "smoothed". */
MUST_CHECK enum err ql_smooth_run(struct ql_range *r, const struct sample_column *in,
    struct ql_col *out, bool *any, struct errbuf *eb);

/* A histogram as so many samples, as upstream has it; no histogram is one. */
uint64_t ql_hist_points(const struct hist *h);
/* Of the column run last: samples 0..i-1 are [i] such samples. NULL: floats, each is one. */
const uint64_t *ql_range_points(const struct ql_range *r, const struct sample_column *in);

double ql_quantile(double q, double *values, uint32_t count); /* sorts values */
void ql_sort_doubles(double *v, uint32_t count);              /* NaN first */

#endif
