/*
 * ql - the PromQL engine as its callers see it.
 *
 * On a loop: ql_create parses and checks (ERR_BADDATA with Prometheus' text in eb), which a worker
 * does as well (with limits given) when ql_text_is_costly (core/promql/lang/ql_parse.h); ql_start
 * evaluates; opts->done(q) runs once on the same loop, later or never sooner than the end of
 * ql_start.
 * Then q's result, warnings and infos may be read until ql_free. ql_cancel before done: done still
 * comes, with ERR_CANCELED. ql_free only after done, or without ql_start.
 * Instant query: start = end, step 0. Range: step > 0; the caller has checked the number of points.
 * Errors at done: ERR_EXECUTION (text as Prometheus), ERR_TOOBIG (a limit), ERR_TIMEOUT,
 * ERR_CANCELED, ERR_BUSY, ERR_NOMEM (all together want too much), ERR_IO (internal).
 */
#ifndef CORE_PROMQL_QL_H
#define CORE_PROMQL_QL_H

#include "core/model/label.h"
#include "core/model/sample.h"
#include "core/seam/source.h"

struct limits; /* core/model/limits.h */
struct purse;  /* core/base/purse.h */
struct ticket; /* core/account/ticket.h */
struct ql;
struct ql_trace; /* core/promql/ql_trace.h */
enum ql_type {
	QL_NONE,
	QL_SCALAR,
	QL_VECTOR,
	QL_MATRIX,
	QL_STRING
};
const char *ql_type_text(
    enum ql_type t); /* "scalar", "instant vector", "range vector", "string", "none" */

/*
 * Whoever is asked for range queries before they are evaluated: the cache
 * (core/promql/cache/ql_cache.h). What it creates is a query like any other.
 */
struct ql_opts;
struct ql_front {
	enum err (*create)(struct ql_front *f, const char *text, size_t len,
	    const struct ql_opts *opts, struct ql **out, struct errbuf *eb);
};
struct ql_features { /* what Prometheus switches on by --enable-feature */
	bool experimental_functions, extended_selectors, fill_modifiers, delayed_name_removal;
	bool start_timestamps;     /* of samples: rate and its kin, start_timestamp() */
	bool type_and_unit_labels; /* __type__ tells what is a counter, not the end of the name */
	bool duration_expr;        /* always on, whatever stands here */
	bool per_step_stats;       /* stats=all tells of each step */
};
struct ql_opts {
	struct source *source;
	uint32_t tenant;
	const uint32_t *tenants; /* borrowed until ql_free; none named: tenant alone */
	size_t tenants_count;
	int64_t start_ms, end_ms, step_ms; /* step 0 = instant */
	int64_t lookback_ms;               /* 0 = 5 min */
	int64_t subquery_step_ms;          /* 0 = 1 min */
	int64_t timeout_ms;                /* 0 = 2 min */
	const struct limits *limits;       /* of the text; NULL = limits_here() */
	uint64_t max_samples;              /* 0 = that of core/model/limits.h */
	/*
	 * What the query holds is charged to this purse, from ql_create to ql_free. NULL: one of
	 * its
	 * own with max_bytes, 0 = that of core/model/limits.h.
	 */
	struct purse *purse;
	uint64_t max_bytes;
	struct ticket *ticket; /* asked when the query turns out to be heavy; NULL = never */
	struct ql_features features;
	bool per_step;          /* samples are counted for each step, too (ql_stats) */
	struct ql_front *front; /* NULL: nobody. It outlives the query */
	bool part;              /* of another query, which counts for both in /metrics; */
	int64_t whole_start_ms; /* its range, which start(), end(), step() and range() tell of */
	int64_t whole_end_ms;
	struct ql_trace *trace; /* NULL: nobody asks what the query does */
	void (*done)(void *arg, struct ql *q);
	void *arg;
};

/*
 * One output series. h is NULL when all points are floats; else h[i] is NULL for each float among
 * them, and v[i] is SAMPLE_HIST_BITS for each histogram.
 */
struct ql_series {
	struct labels labels;
	uint32_t count;      /* points */
	const int64_t *t_ms; /* count times */
	const double *v;
	const struct hist *const *h;
};
struct ql_value {
	enum ql_type type;
	/*
	 * VECTOR: each series has count 1. MATRIX: sorted by labels, series without points left
	 * out. SCALAR: series[0] has count 1.
	 */
	struct ql_series *series;
	size_t series_count;
	uint64_t points;    /* of all series */
	bool has_hists;     /* a series has histograms */
	const char *string; /* STRING */
	size_t string_len;
	int64_t t_ms; /* SCALAR and STRING: evaluation time */
};
struct ql_note {
	const char *text; /* rendered in full: "PromQL warning: ... (1:5)" */
};
MUST_CHECK enum err ql_create(
    const char *text, size_t len, const struct ql_opts *opts, struct ql **out, struct errbuf *eb);
void ql_start(struct ql *q);
void ql_cancel(struct ql *q);
void ql_free(struct ql *q);

enum err ql_err(const struct ql *q, const char **text);
const struct ql_value *ql_result(const struct ql *q);
/*
 * Bytes charged to its purse. After done they are the result's, or at most some four times as many:
 * a result that is small beside what the evaluation took was moved away from it.
 */
uint64_t ql_held(const struct ql *q);
const struct ql_note *ql_warnings(
    const struct ql *q, size_t *count); /* de-duplicated, full list; the API caps at 10 */
const struct ql_note *ql_infos(const struct ql *q, size_t *count);
struct ql_stats {
	uint64_t samples_total, samples_read, samples_peak, series;
	/* of a range query with a front: its steps, and those of them that were not evaluated */
	uint64_t steps, steps_kept;
	/*
	 * When it was asked for: of each step, at start_ms + i * step_ms, the same as samples_total
	 * and samples_read. 0 = it was not.
	 */
	uint32_t per_step;
	const uint64_t *used_at, *read_at;
	int64_t start_ms, step_ms;
	double parse_s, prepare_s, eval_s, sort_s, queue_s, total_s;
};
const struct ql_stats *ql_stats(const struct ql *q);
/*
 * Before ql_start: how many of its steps a front would have from
 * before, as of now, and which part of what the plan reads the others would need (1: all of it).
 */
struct ql_peek {
	uint64_t steps, steps_kept; /* 0: it has no front that may keep it */
	double part;
	/* Of the others the most that are evaluated at once; and points that the kept ones have. */
	uint64_t steps_most, points_kept;
	/* It has no plan, and would end with this at once, whatever there is; text: its own. */
	enum err err;
	const char *text;
};
struct ql_peek ql_peek(struct ql *q);

#endif
