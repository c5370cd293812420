/*
 * ql_plan - from the tree of an expression to the list of what is done, leaves first.
 *
 * Each node of the plan has a grid of steps (subqueries have their own) and, when done, a result on
 * it: a vector of columns, or a scalar (ql_value.h).
 * Constants are computed here, once; nothing here grows with a grid. Selectors become pieces, and
 * pieces swallow what stands above them while that can be done on the shards
 * (core/promql/run/ql_piece.h).
 * Pieces that read the same series in the same windows become one with several pipes, up to
 * QL_PIECE_PIPES: the nodes share its batches, and each takes what its pipe made.
 * Parts that do not change from step to step ("@" below them) are planned for one step and
 * stretched by a node PN_EXPAND, in the places where upstream wraps them (promql/engine.go,
 * preprocessExprHelper).
 *
 * Statistics count samples as upstream does (util/stats): "used" is every sample in every window of
 * every step, "read" counts a sample once where windows of one selector overlap.
 * A part that is planned for one step and stretched uses its samples again at each step. Of a
 * subquery under a function only the points count as used, and as read what it reads at those
 * of its steps that some window around it looks at.
 *
 * Thread: one. Memory: the query's arena.
 */
#ifndef CORE_PROMQL_PLAN_QL_PLAN_H
#define CORE_PROMQL_PLAN_QL_PLAN_H

#include "core/promql/lang/ql_arith.h"
#include "core/promql/plan/ql_spec.h"

enum ql_pn_kind {
	PN_SCALAR,    /* a constant, or time(): known from the plan on */
	PN_SCALAR_OP, /* scalar operator scalar */
	PN_SCALAR_NEG,
	PN_SCALAR_FN, /* min_of, max_of */
	PN_SCALAR_OF, /* scalar(v) */
	PN_STRING,
	PN_EMPTY, /* a vector of nothing (its arguments are evaluated all the same) */
	PN_PIECE,
	PN_VECTOR_OF, /* vector(s) */
	PN_ELEM,
	PN_BINARY, /* vector operator vector */
	PN_SET,    /* and, or, unless */
	PN_AGGR,
	PN_TOPK, /* topk, bottomk, limitk, limit_ratio */
	PN_QUANTILE,
	PN_COUNT_VALUES,
	PN_WINDOW,   /* range function over the columns of a subquery */
	PN_SUBQUERY, /* a subquery as the result */
	PN_EXPAND,
	PN_LABEL_REPLACE,
	PN_LABEL_JOIN,
	PN_SORT,      /* sort, sort_desc, sort_by_label, sort_by_label_desc */
	PN_HISTOGRAM, /* histogram_quantile, _quantiles, _fraction */
	PN_INFO,
	PN_ABSENT, /* absent, absent_over_time */
};
struct ql_scope {
	uint64_t uses; /* how often a sample counts as used */
	struct ql_reads reads;
};
struct ql_piece;
struct ql_tidy;
struct ql_pn {
	enum ql_pn_kind kind;
	struct ql_scope scope;
	const struct ql_node *ast;
	struct ql_grid grid;
	struct ql_pn **arg;
	unsigned args_count;
	struct ql_pn *next; /* in order of evaluation */
	/* what it is made of */
	struct ql_piece_spec *spec; /* PN_PIECE */
	struct ql_pipe *pipe;       /* of it, whose result the node's is */
	struct ql_piece *piece;     /* made when the plan runs */
	struct ql_pn *lead;         /* the first one whose result the piece makes */
	struct ql_pn *next_piece, *_next_slot;
	struct ql_elem elem;        /* PN_ELEM; parameters of data come from arg[1], arg[2] */
	struct ql_range_spec range; /* PN_WINDOW */
	/* result */
	struct ql_scalar scalar; /* of PN_SCALAR from the plan on */
	struct ql_vec vec;
	struct ql_series *raw; /* a range vector as the result */
	size_t raw_count, raw_cap;
	/* while it runs */
	uint32_t pos;
	uint32_t step; /* where in the column at pos: a multiple of QL_PART, or its end */
	void *state;
	struct ql_tidy *tidy; /* while its result is tidied */
};
/* Values that the node will hold for certain, whatever its arguments are. */
uint64_t ql_pn_points(const struct ql_pn *pn);
uint64_t ql_pn_scratch(const struct ql_pn *pn); /* bytes beside them */
struct ql_plan_matcher {                        /* a matcher of the plan's own */
	struct ql_plan_matcher *next;
	struct matcher m;
};
struct ql_plan {
	struct arena *arena;
	const struct ql_opts *opts;
	int64_t lookback_ms, subquery_step_ms;
	struct purse *bytes, *samples; /* of the query */
	uint64_t points_sure;          /* values that its nodes hold for certain */
	uint32_t steps;                /* of the query */
	struct ql_pn *first, **_end;   /* evaluation order */
	struct ql_pn *root;
	struct ql_pn *pieces;   /* through next_piece: each piece once, by its lead */
	struct ql_scope _scope; /* of what is being planned */
	enum ql_buckets _buckets;
	struct ql_plan_matcher *matchers;
	struct errbuf *eb;
	enum err err;
};
/* ERR_EXECUTION when it can be seen now that evaluation fails. */
/* Marks the nodes of the tree. */
MUST_CHECK enum err ql_plan_make(struct ql_plan *p, struct ql_node *root);
void ql_plan_release(struct ql_plan *p); /* what the arena does not hold */
/* What a selector somewhere under n is asked for, when it is told what it is asked for above n. */
enum ql_buckets ql_plan_buckets(const struct ql_node *n, enum ql_buckets above);
struct ql_grid ql_plan_subquery_grid(
    const struct ql_plan *p, const struct ql_node *sub, const struct ql_grid *outer);

#endif
