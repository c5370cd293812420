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

#include "core/promql/ql_shape.h"
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
	 * Its pipes: each series is a column; samples as they are. What becomes groups is told by
	 * nodes of the plan.
	 */
	unsigned columns, raws;
	int64_t range_ms; /* of their windows; of newest samples how far back one is looked for */
	int64_t step_ms;
	const char *function; /* that all of them have; NULL */
	unsigned shards_count;
	struct ql_trace_shard *shards;
	struct ql_trace_key *keys; /* what its series are told apart by, in nodes of the plan */
	unsigned keys_count;
};
#define QL_TRACE_KEYS_MOST 32u   /* of a piece */
#define QL_TRACE_KEYS_ALL  1024u /* of a query; what needs more is not counted */
/* Series of a piece, equal where their labels are, as the shape leaves them. */
struct ql_trace_key {
	struct ql_trace_key *next; /* of the piece */
	const struct ql_trace_piece *piece;
	struct ql_shape *shape;
	unsigned index; /* of the piece's */
};
/*
 * What is known, before it runs, of how many series a node has. Its keys tell them apart, each for
 * series of one piece; equal ones of different pieces are one series.
 */
#define QL_TRACE_KEYS 4u /* more: none, and the node is not counted */
struct ql_trace_keys {
	struct ql_trace_key *of[QL_TRACE_KEYS];
	unsigned count;
};
enum ql_trace_made {
	QL_MADE_NO_SERIES, /* it is no vector */
	QL_MADE_NOTHING,
	QL_MADE_ONE,
	QL_MADE_ABSENT,  /* one, where its argument has none */
	QL_MADE_SAME,    /* as its argument */
	QL_MADE_KEYS,    /* each key is one */
	QL_MADE_JOINED,  /* keys of the many side, and of the one side (more) together */
	QL_MADE_BEST,    /* k of each group: more tells groups apart */
	QL_MADE_TIMES,   /* k of each key */
	QL_MADE_VALUES,  /* as values say: at a step as many as its argument has, or less */
	QL_MADE_MATCHED, /* match keys that both sides have */
	QL_MADE_MANY,    /* of the many side (argument `many`) what the other one matches */
	QL_MADE_AND,
	QL_MADE_UNLESS,
	QL_MADE_OR,
	QL_MADE_UNKNOWN /* no more than its argument has */
};
struct ql_trace_groups {
	enum ql_trace_made made;
	struct ql_trace_keys keys, more;
	struct ql_trace_keys match[2]; /* of both arguments of an operator */
	unsigned many;
	double k, share; /* share: of the series below, by limit_ratio */
	bool values;     /* values, or what is not looked at before, may leave some out */
	/* by(): the labels that stand in names tell them apart */
	bool by;
	struct ql_names names;
};
struct ql_trace_told { /* how many series; n < 0: nobody knows, or it has none */
	enum source_sure sure;
	double n, most; /* most: INFINITY, nobody knows */
};
/* A node of the plan, with those it is made of. */
struct ql_trace_node {
	const char *what, *text; /* "piece", "rate(up[5m])" */
	const char *more;        /* of a piece: what is done on the shards; NULL */
	int piece;               /* number of the piece that it reads; -1: of none */
	uint32_t steps;
	struct ql_trace_node *first, *next;
	struct ql_trace_groups groups;
	struct ql_trace_told told; /* who counts them fills it in */
	/* Of a reduced piece: values of a step that each group takes on each shard, and groups. */
	unsigned held;
	struct ql_trace_told held_groups;
	/* Of group_left(labels): the labels that come from the one side, whose keys these are. */
	struct ql_names joined;
	struct ql_trace_keys joined_keys;
};
struct ql_trace {
	struct arena *arena;
	struct ql_trace_piece *pieces, **_pieces_end;
	struct ql_trace_node *plan; /* of the first query */
	unsigned keys_count;        /* of all pieces */
};
void ql_trace_release(struct ql_trace *t); /* what the arena does not hold; before the query */
static inline void ql_trace_init(struct ql_trace *t, struct arena *a)
{
	*t = (struct ql_trace){ .arena = a };
	t->_pieces_end = &t->pieces;
}

#endif
