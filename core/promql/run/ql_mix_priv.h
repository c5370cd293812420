/*
 * ql_mix_priv - range functions over columns that have more than floats: histograms (in->h), or
 * start times of counters (in->start_ms, with the feature).
 *
 * Such a column is gathered once: its samples without stale markers, in order, floats and
 * histograms together, with prefix counts that tell what a window holds. Then
 *   windows of floats alone     are those of a range of its own (ql_range.h) over the floats of the
 *                               column: the same bits as anywhere else. With start times they are
 *                               computed here (ql_mixstart.c)
 *   windows with a histogram    are computed here (ql_mixhist.c), each from its samples, in passes
 *                               that go on when the slice is over
 *   functions of floats         leave histograms out; where a window has both, that is told
 * Resets and changes are looked for once, between neighbours of the whole column, and listed.
 * Histograms of the store are made float ones when a window first looks at them.
 *
 * ql_mix.c has the phases and the instant selectors. Memory: heap of the range; arenas of the
 * query, which are emptied with each column.
 */
#ifndef CORE_PROMQL_RUN_QL_MIX_PRIV_H
#define CORE_PROMQL_RUN_QL_MIX_PRIV_H

#include "core/model/histmath.h"
#include "core/promql/run/ql_range_priv.h"

#define QL_MIX_SCRATCH ((size_t)256 << 10) /* bytes of it that are kept */
enum ql_mix_phase {
	QL_MIX_NEW, /* no column is at hand */
	QL_MIX_GATHER,
	QL_MIX_EVENTS, /* resets or changes between neighbours */
	QL_MIX_BOUNDS,
	QL_MIX_FLOATS, /* the range over the floats alone */
	QL_MIX_CLEAR,  /* there are none: nothing is there yet */
	QL_MIX_CLEAR_HISTS,
	QL_MIX_WINDOWS
};
/* What is to be told of the column: bits. The texts: ql_mix.c. */
enum ql_mix_told {
	QL_MIX_KINDS = 1,   /* floats and histograms in one window */
	QL_MIX_SCHEMAS = 2, /* exponential and custom buckets */
	QL_MIX_NOT_COUNTER = 4,
	QL_MIX_NOT_GAUGE = 8,
	QL_MIX_ADDED = 16, /* custom bounds that differed were made one */
	QL_MIX_SUBTRACTED = 32,
	QL_MIX_AGGREGATED = 64,
	QL_MIX_COLLIDED = 128, /* hints contradict each other */
	QL_MIX_IGNORED = 256   /* histograms, by a function of floats */
};
enum ql_mix_did { /* with a window */
	QL_MIX_NONE,
	QL_MIX_FLOAT, /* r->_mix->win.v is its value */
	QL_MIX_HIST,  /* win.h */
	QL_MIX_CUT    /* the slice is over: the same window goes on */
};
struct ql_mix_win { /* the window at hand: samples lo..hi-1 */
	bool open;  /* begun in an earlier slice */
	unsigned pass;
	uint32_t k;    /* where the pass is */
	unsigned told; /* becomes the column's when the window is done */
	int schema;
	double v;
	const struct hist *h;
	bool stays; /* h is good until the next column, else until the next window */
	struct hist_sum *sum;
};
struct ql_mix {
	enum ql_mix_phase phase;
	uint32_t pos;         /* samples or steps that the phase has behind it */
	struct arena keep;    /* float histograms of the column, and results */
	struct arena scratch; /* of the window, or the pair, at hand */
	/* The gathered samples; raw as they came, h as float histograms, NULL until looked at. */
	uint32_t count, floats_count;
	struct ql_range_room t, v, raw, h, start;
	/* Prefix counts, count + 1 each. points: what samples count as in statistics. */
	struct ql_range_room hists, customs, gauges, points;
	int schema_min, schema_max;            /* of all */
	struct ql_range_room events, overlaps; /* indices of the later of two, then UINT32_MAX */
	uint32_t events_count, overlaps_count;
	struct ql_range_room float_t, float_v;
	struct ql_range floats; /* a range of its own over them, made when it is first needed */
	bool has_floats;
	struct ql_mix_win win;
	struct ql_range_room out_has, out_h;
	struct ql_hists out; /* the result's histograms, in these */
	bool any_out;        /* there are some */
	bool starts;         /* start times count */
	bool hints;          /* histograms go without buckets (enum ql_buckets) */
	uint32_t last;       /* instant selectors: whose float histogram win.h is */
	unsigned told;
	uint32_t overlapping; /* windows in which start times overlap */
};

static inline const int64_t *ql_mix_t(const struct ql_mix *m)
{
	return m->t.p;
}
static inline uint32_t ql_mix_hists(const struct ql_mix *m, uint32_t lo, uint32_t hi)
{
	const uint32_t *p = m->hists.p;
	return p[hi] - p[lo];
}
static inline uint32_t ql_mix_customs(const struct ql_mix *m, uint32_t lo, uint32_t hi)
{
	const uint32_t *p = m->customs.p;
	return p[hi] - p[lo];
}
static inline uint32_t ql_mix_gauges(const struct ql_mix *m, uint32_t lo, uint32_t hi)
{
	const uint32_t *p = m->gauges.p;
	return p[hi] - p[lo];
}
/* The k-th sample as a float histogram, NULL when it is a float. */
const struct hist *ql_mix_hist(struct ql_mix *m, uint32_t k);
/* The place in an ascending list, closed by UINT32_MAX, of the first index that is at least k. */
uint32_t ql_mix_first(const struct ql_range_room *list, uint32_t count, uint32_t k);
/* Work with a histogram, for the clock. */
static inline uint64_t ql_mix_work(const struct hist *h)
{
	return 8 + (h ? hist_cost(h) : 0);
}

/* --- ql_mixhist.c --- */

/* Windows with a histogram. */
enum ql_mix_did ql_mixhist_window(struct ql_range *r, uint32_t step, uint32_t lo, uint32_t hi);
/* A smoothed instant selector; ref: the time it looks at. */
enum ql_mix_did ql_mixhist_smooth(struct ql_range *r, uint32_t lo, uint32_t hi, int64_t ref);
/* Did a counter begin again, or, for changes, is the value another one, from k - 1 to k? */
bool ql_mixhist_event(struct ql_range *r, uint32_t k);

/* --- ql_mixstart.c --- */

bool ql_mixstart_reset(int64_t start_before, int64_t t_before, int64_t start, int64_t t);
bool ql_mixstart_overlaps(int64_t start_before, int64_t t_before, int64_t start);
/* Between samples k - 1 and k; false without start times. */
bool ql_mixstart_reset_at(const struct ql_mix *m, uint32_t k);
/* A window of floats alone. */
enum ql_mix_did ql_mixstart_window(struct ql_range *r, uint32_t step, uint32_t lo, uint32_t hi);

/* How rate and its kin go on from what the samples of a window tell (functions.go). */
struct ql_mix_reach {
	double first, result; /* of the counter: values, or counts of histograms */
	double factor;        /* by which the result is to be multiplied */
};
/*
 * Is the counter known to have begun inside the window, before its first sample? Then that one's
 * value is part of the result.
 */
bool ql_mixstart_begins(const struct ql_range *r, uint32_t step, uint32_t lo);
void ql_mixstart_reach(const struct ql_range *r, uint32_t step, uint32_t lo, uint32_t hi,
    bool begins, struct ql_mix_reach *x);

#endif
