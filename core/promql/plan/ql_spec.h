/*
 * ql_spec - what a plan says is to be done: range functions, what is done to each value, and
 * pieces, the parts of a query that run where the series live (core/promql/run does them).
 *
 * Thread: pure functions; a spec is read by many loops and does not change once it runs.
 */
#ifndef CORE_PROMQL_PLAN_QL_SPEC_H
#define CORE_PROMQL_PLAN_QL_SPEC_H

#include "core/promql/lang/ql_func.h"
#include "core/promql/plan/ql_value.h"
#include "core/seam/source.h"

/* --- names --- */

/*
 * What becomes of the metric's name (and of __type__ and __unit__) in a result. Only DROP can make
 * label sets equal, which is judged at home before anything else is done.
 */
enum ql_names_do {
	QL_NAMES_KEEP,
	QL_NAMES_DROP,
	QL_NAMES_DROP_ONE, /* every series has the same name */
	QL_NAMES_DROP_LATE /* marked in the columns, dropped when the query ends */
};
/* How names go where they go: late, when the query asks for that. */
static inline enum ql_names_do ql_names_drop(bool late, bool one_name)
{
	return late ? QL_NAMES_DROP_LATE : one_name ? QL_NAMES_DROP_ONE : QL_NAMES_DROP;
}
static inline bool ql_names_go_now(enum ql_names_do names)
{
	return names == QL_NAMES_DROP || names == QL_NAMES_DROP_ONE;
}
/* What equal label sets in one vector mean. */
enum ql_equal {
	QL_EQUAL_NONE,  /* nothing that is done could have made them: not looked for */
	QL_EQUAL_JOINS, /* one column, unless one step has both */
	QL_EQUAL_FAILS
};

/* --- range functions --- */

/* Which steps' samples count as read: those that a query around this one looks at (ql_plan.h). */
struct ql_reads {
	bool none;
	const struct ql_around *around; /* NULL: all */
	bool one;                       /* without around: all of them are read for step "at" */
	uint32_t at;                    /* of the query */
};
/*
 * The steps of a subquery, seen from around it. Each belongs to the first step around that is not
 * earlier, offset taken into account, and counts when it lies in that one's window and that one
 * counts.
 */
struct ql_around {
	struct ql_grid grid, outer;
	int64_t range_ms, offset_ms; /* of the subquery */
	struct ql_reads reads;       /* of the steps around */
};
bool ql_around_step(const struct ql_around *a, uint32_t i);
static inline bool ql_reads_step(const struct ql_reads *r, uint32_t i)
{
	return !r->none && (!r->around || ql_around_step(r->around, i));
}
/* Which step of the query step i is read for; false: none. */
bool ql_reads_at(const struct ql_reads *r, uint32_t i, uint32_t *at);

/*
 * What of histograms is looked at above a selector. Under histogram_count, histogram_sum and
 * histogram_avg it is their count and sum, so they come without buckets; what these would have told
 * of resets stands in their hints, which then are made from the buckets of each and the one before.
 */
enum ql_buckets {
	QL_BUCKETS_KEEP,
	QL_BUCKETS_HINTS, /* go; hints instead */
	QL_BUCKETS_NEEDED /* stay, whatever else stands there */
};

struct ql_range_spec {
	enum ql_fn fn;
	struct ql_grid grid;
	int64_t range_ms, offset_ms;
	bool fixed; /* "@": every step looks at the window that ends at at_ms - offset */
	int64_t at_ms;
	bool anchored, smoothed;
	bool start_times;          /* those of samples count, where the function knows them */
	bool by_type;              /* __type__ tells of a counter, not the end of the name */
	int64_t lookback_ms;       /* anchored, smoothed */
	struct ql_scalar param[2]; /* scalar arguments in their order */
	struct ql_reads reads;
	enum ql_buckets buckets;
};
/*
 * Can this function run here? (All functions of one range vector; absent_over_time as
 * present_over_time.)
 */
bool ql_range_knows(enum ql_fn fn);
bool ql_range_keeps_name(enum ql_fn fn);
/* How far samples are needed before and after the grid's references. */
void ql_range_reach(const struct ql_range_spec *s, int64_t *t_min_ms, int64_t *t_max_ms);
static inline int64_t ql_range_ref(const struct ql_range_spec *s, uint32_t i)
{
	return num_sat_sub(s->fixed ? s->at_ms : ql_grid_t(&s->grid, i), s->offset_ms);
}

/* --- each value --- */

enum ql_elem_kind {
	QL_ELEM_FN,
	QL_ELEM_OP,
	QL_ELEM_MINUS
};
struct ql_elem {
	enum ql_elem_kind kind;
	enum ql_fn fn;
	enum ql_op op;
	bool scalar_left, return_bool;
	struct ql_scalar param[2]; /* QL_ELEM_OP: the scalar is param[0] */
	struct ql_pos pos;         /* of an operator, for notes */
};
bool ql_elem_knows(enum ql_fn fn); /* functions of one vector and scalars that are done here */
bool ql_elem_drops_name(const struct ql_elem *e);

/* --- aggregations that add up --- */

bool ql_aggr_knows(enum ql_agg op);
/* Names as a grouping needs them. */
struct ql_names ql_aggr_names(struct arena *a, const struct ql_str *s, uint32_t count, bool without);

/* --- pieces --- */

enum ql_piece_mode {
	QL_PIECE_INSTANT,
	QL_PIECE_TIME /* timestamp(x) */,
	QL_PIECE_INFO /* metrics of info(x): the times of numbers, and histograms */,
	QL_PIECE_START /* start_timestamp(x) */,
	QL_PIECE_SMOOTH,
	QL_PIECE_RANGE,
	QL_PIECE_RAW
};
/*
 * A stage looks at one series alone: its column goes in and comes out, or it ends there when no
 * step is left.
 */
#define QL_STAGE_ELEMS 8  /* one after another, part by part of a column */
#define QL_PIPE_STAGES 8  /* what stands above them goes on at home */
#define QL_PIECE_PIPES 32 /* of one piece; what more reads the same is another one */
enum ql_stage_kind {
	QL_STAGE_ELEM,
	QL_STAGE_RATIO /* limit_ratio: all of the series goes on, or nothing */
};
struct ql_stage {
	enum ql_stage_kind kind;
	struct ql_elem elems[QL_STAGE_ELEMS];
	unsigned elems_count;
	double ratio;
	bool names_went; /* before it: the ratio is of labels without them */
};
/*
 * A reducer makes one result of all columns, a partial one on each shard; the receiver merges them.
 */
enum ql_reduce_kind {
	QL_REDUCE_NONE,
	QL_REDUCE_AGGR, /* adds up: ql_aggr.h */
	QL_REDUCE_BEST  /* topk, bottomk, limitk: ql_best.h */
};
#define QL_BEST_MAX 32 /* the largest k that is not chosen at home */
struct ql_reduce {
	enum ql_reduce_kind kind;
	enum ql_agg op;
	bool without;
	struct ql_names names;
	uint32_t k;          /* QL_REDUCE_BEST */
	bool drops_name;     /* from the labels that the result keeps */
	struct ql_pos pos;   /* of the aggregation, for notes */
	struct ql_pos inner; /* of what it aggregates */
};
/* What is done with each series of a piece: a window or a sample a step, stages, a reducer. */
struct ql_pipe {
	struct ql_pipe *next; /* of the same piece */
	unsigned index;       /* 0, 1, ... */
	enum ql_piece_mode mode;
	struct ql_range_spec range;
	struct ql_stage stages[QL_PIPE_STAGES];
	unsigned stages_count;
	struct ql_grid grid; /* of the result */
	enum ql_names_do names;
	struct ql_reduce reduce;
	struct ql_pos pos;       /* of the selector, for notes */
	struct ql_pos param_pos; /* of quantile_over_time's first argument */
	/* Steps of the query, when each is counted here (run/ql_tally.h); else 0. */
	uint32_t tally_n;
	bool tally_used; /* those used, too; else those read alone */
};
struct ql_piece_spec {
	struct source *source;
	uint32_t tenant;
	const uint32_t *tenants; /* 0 of them: tenant alone */
	size_t tenants_count;
	const struct matcher *matchers;
	uint32_t matchers_count;
	int64_t t_min_ms, t_max_ms;
	struct ql_pipe *pipes, *_last; /* one at least */
	unsigned pipes_count;
	/* What the query may use, on all loops, and the ticket it is on; NULL in tests. */
	struct purse *bytes, *samples;
	struct ticket *ticket;
	const char *text; /* of the query, for the log */
	size_t text_len;
	struct ql_trace_shard *told; /* by shard, when the query is traced; NULL */
};
/* Of the pipe's result, where its series may have become equal. */
static inline enum ql_equal ql_pipe_equal(const struct ql_pipe *s)
{
	bool range = s->mode == QL_PIECE_RANGE && !ql_range_keeps_name(s->range.fn);
	return range ? QL_EQUAL_FAILS : QL_EQUAL_JOINS;
}

#endif
