/*
 * ql_exec_priv - a query as its two files see it: ql_exec.c, its life; ql_result.c, from the last
 * node's columns to the result.
 */
#ifndef CORE_PROMQL_RUN_QL_EXEC_PRIV_H
#define CORE_PROMQL_RUN_QL_EXEC_PRIV_H

#include "core/promql/ql.h"

#include "core/promql/run/ql_run.h"
#include "core/promql/run/ql_sorter.h"
#include "core/promql/run/ql_tell.h"
#include "core/rt/job.h"

#define QL_FIRST_BLOCK (16u << 10)
#define QL_MAGIC       0x9e1e0001u

enum ql_state {
	QL_CREATED,
	QL_RUNNING,
	QL_WINDING,
	QL_FINISHED
};
/* Its ticket: a small one, waits for a heavy one's place, has it. */
enum ql_grow {
	GROW_SMALL,
	GROW_ASKED,
	GROW_HEAVY
};
enum ql_build {
	BUILD_NAMES,
	BUILD_SORT,
	BUILD_SERIES,
	BUILD_MOVE,
	BUILD_FREE,
	BUILD_OVER
};

/* Of a query that a front has made (struct ql_front): what it does in the place of evaluating. */
struct ql_front_ops {
	void (*start)(struct ql *q);
	void (*cancel)(struct ql *q);
	void (*free)(struct ql *q);
	struct ql_peek (*peek)(struct ql *q);
};
struct ql {
	uint32_t magic;
	const struct ql_front_ops *front; /* NULL: it is evaluated here */
	enum ql_state state;
	struct purse own, samples; /* own: without one from outside */
	struct purse *purse;
	enum ql_grow grow;
	struct arena arena;
	struct ql_opts opts;
	const char *text;
	size_t text_len;
	struct ql_node *root;
	struct ql_plan plan;
	struct ql_run run;
	struct ql_pn *at; /* the node that runs */
	struct loop *loop;
	struct job job;
	bool job_over;
	struct loop_timer timer;
	struct loop_deferred defer;
	bool deferred;
	enum err err;
	struct errbuf eb;
	/* building the result */
	enum ql_build build;
	struct ql_sorter sorter;
	bool sorting, names_went;
	uint32_t pos;
	int64_t *times; /* of the grid, shared by full columns */
	struct ql_value value;
	bool moved; /* the result is in kept, and nothing else is needed when all is home */
	struct arena kept;
	struct ql_value copy; /* value while it moves */
	const int64_t *copy_times;
	const struct hist **copy_h; /* of the series whose histograms move */
	uint64_t hist_bytes;        /* of the result's histograms, about */
	uint64_t value_bytes;       /* of a copy of the rest of the result */
	bool released;
	struct ql_tell tell[2]; /* warnings, infos */
	struct ql_note *notes[2];
	size_t notes_count[2];
	struct ql_stats stats;
	uint64_t t_start_ns, t_eval_ns, t_sort_ns;
};

/* The result from the root's columns, in slices. */
enum ql_did ql_result_build(struct ql *q);
/* Warnings and infos as texts, in slices; behind the result. */
enum ql_did ql_result_notes(struct ql *q);

#endif
