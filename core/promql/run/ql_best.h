/*
 * ql_best - topk, bottomk and limitk as they add up: each group has a list of the best k for each
 * step, a series at a time, and only series that stand in some list are remembered.
 *
 * Equal values are ordered by labels (limitk: all are equal), so that what is chosen does not
 * depend on the order in which series come. Steps come in blocks of 64, a word of presence. The
 * lists
 * of a block stand side by side, row by row, in no order. Until they are full, a series is one more
 * row. Then a block knows where the worst of each list stands and the value that must be reached,
 * so that what does not reach it costs a comparison.
 * Histograms count for limitk alone, which keeps a copy of those it chooses; the others tell that
 * they left some out.
 *
 * Thread: one at a time; a partial result moves whole, by pointer, with the arena it lives in.
 * Memory: the arena, charged; the lists grow with what comes, to k at most.
 */
#ifndef CORE_PROMQL_RUN_QL_BEST_H
#define CORE_PROMQL_RUN_QL_BEST_H

#include "core/promql/run/ql_aggr.h"
#include "core/promql/run/ql_run.h"
#include "core/promql/run/ql_sorter.h"

#define QL_BEST_PART 1024 /* steps that one call works on */

struct ql_best_member { /* a series that stands in some list, or did */
	struct labels ls;
	uint32_t ls_room; /* bytes behind ls.bytes, used again */
	uint32_t refs;    /* lists that it stands in; 0: its place is free */
	uint32_t next;    /* free place, or QL_BEST_NONE */
	uint32_t serial;  /* of the series of its shard */
	bool drop_name;
	const struct hist **hists; /* n of them: its histograms where it was chosen; NULL: none */
};
#define QL_BEST_NONE UINT32_MAX
struct ql_best_row {  /* one of the best at each step of a block */
	double *key;  /* larger is better */
	uint32_t *id; /* members */
};
struct ql_best_block {
	uint32_t count;          /* steps */
	struct ql_best_row *row; /* rows of them, the best first */
	uint32_t rows, rows_cap;
	double *reach;   /* per step: the value that must be reached */
	uint32_t *used;  /* per step: rows that have a member there */
	uint32_t *worst; /* per step: the row that goes next, of a full list */
};
#define QL_BEST_KNOWN 512
struct ql_best {
	const struct ql_reduce *spec;
	struct arena *arena;
	struct ql_notes *notes;
	uint32_t n, k;
	struct ql_tab tab;              /* labels of the groups */
	struct ql_best_block ***groups; /* pages of QL_BEST_PAGE; of each ql_words(n) blocks */
	uint32_t groups_cap;
	struct ql_best_member **pages; /* of QL_BEST_PAGE members each */
	uint32_t pages_count, pages_cap, members, free;
	bool may_collide; /* more than a name that all have was dropped from one of them */
	struct buf scratch;
	struct arena text; /* labels of the series at hand without its name */
	/* the series that is added */
	uint32_t series; /* so many came */
	bool busy, labels_known;
	uint32_t group, step;
	uint32_t id;           /* its member, or QL_BEST_NONE */
	struct labels ls;      /* without what is dropped */
	uint32_t who;          /* a number of it */
	struct ql_best_known { /* which of two label sets comes first: asked again and again */
		uint32_t who, rival;
		bool loses;
	} known[QL_BEST_KNOWN];
	uint64_t work; /* of the last part of a series, beside its steps */
	/* merging, finishing */
	bool merging, merged;
	uint32_t base, from_group, at_group, block;
	bool fresh;
	enum {
		QL_BEST_VALUES,
		QL_BEST_SORT,
		QL_BEST_MOVE
	} phase;
	uint32_t pos, *column; /* of each member, + 1 */
	uint32_t *group_of;    /* of each column of an instant vector */
	struct ql_vec cols;
	struct ql_sorter sorter;
};
#define QL_BEST_PAGE 64
void ql_best_init(struct ql_best *s, const struct ql_reduce *spec, uint32_t n, struct arena *a);
void ql_best_release(struct ql_best *s);
MUST_CHECK enum err ql_best_add(struct ql_best *s, const struct ql_col *col, bool *more,
    struct ql_budget *b, struct errbuf *eb);
/* Another one into s; its memory must live as long as s's, and it is not used any more. */
MUST_CHECK enum err ql_best_merge(
    struct ql_best *s, struct ql_best *from, bool *more, struct ql_budget *b, struct errbuf *eb);
/* The chosen series as columns; of an instant vector by group, best first. */
MUST_CHECK enum ql_did ql_best_finish(struct ql_run *x, struct ql_best *s, struct ql_vec *out);
size_t ql_best_bytes(const struct ql_best *s);

#endif
