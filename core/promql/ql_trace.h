/*
 * ql_trace - what a query is going to do, and what it did on each shard: for who asks with
 * ql_opts.trace. The plan is there after ql_create, the shards' figures when the query is done.
 *
 * A trace belongs to who asks; several queries may add to one (a front and its parts). Texts are in
 * its arena and outlive the query, but for `matchers`, which are the query's until ql_free.
 * Thread: the query's; figures of a shard are written on its loop and may be read when the query is
 * done.
 */
#ifndef CORE_PROMQL_QL_TRACE_H
#define CORE_PROMQL_QL_TRACE_H

#include "core/seam/source.h"

struct ql_trace_shard {
	uint64_t series, samples; /* read */
	struct source_read read;  /* the same by where they stood */
	uint64_t bytes;           /* that its source held at most */
	uint64_t home_bytes;      /* sent to the loop that asked */
	unsigned loop;
	/* core/base/clock.h, real; begin 0: it did not run. asked: when its job was begun */
	uint64_t asked_ns, begin_ns, end_ns;
	/*
	 * From asked to end it was busy, in its slices; waited for its turn among what else its
	 * loop does; for files, read by workers; for home: to take what was sent, or a heavy place.
	 */
	uint64_t busy_ns, turn_ns, files_ns, home_ns;
};
/* What is read of the series of one selector. */
struct ql_trace_piece {
	struct ql_trace_piece *next;
	const char *selector;
	int64_t t_min_ms, t_max_ms;
	const struct matcher *matchers;
	size_t matchers_count;
	unsigned pipes; /* how many parts of the query use what is read */
	uint32_t steps;
	/*
	 * Its pipes: each series is a column; samples as they are; all become groups, or one,
	 * counted by the values that a group holds of a step on each shard.
	 */
	unsigned columns, groups, ones, raws;
	int64_t range_ms; /* of their windows; of newest samples how far back one is looked for */
	int64_t step_ms;
	const char *function; /* that all of them have; NULL */
	unsigned shards_count;
	struct ql_trace_shard *shards;
};
/* A node of the plan, with those it is made of. */
struct ql_trace_node {
	const char *what, *text; /* "piece", "rate(up[5m])" */
	const char *more;        /* of a piece: what is done on the shards; NULL */
	int piece;               /* number of the piece that it reads; -1: of none */
	uint32_t steps;
	struct ql_trace_node *first, *next;
};
struct ql_trace {
	struct arena *arena;
	struct ql_trace_piece *pieces, **_pieces_end;
	struct ql_trace_node *plan; /* of the first query */
};
static inline void ql_trace_init(struct ql_trace *t, struct arena *a)
{
	*t = (struct ql_trace){ .arena = a };
	t->_pieces_end = &t->pieces;
}

#endif
