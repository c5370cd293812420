/*
 * ql_run - what the nodes of a plan need while they run (their entry points: ql_nodes.h).
 *
 * A node runs in slices: ql_X_run works until ql_tick says that the slice is over, remembers where
 * it was (pn->pos, pn->state) and returns QL_AGAIN.
 * Nodes take over the columns of their arguments and change them in place where that is possible:
 * each result is used once.
 *
 * Thread: the loop of the query.
 */
#ifndef CORE_PROMQL_RUN_QL_RUN_H
#define CORE_PROMQL_RUN_QL_RUN_H

#include "core/promql/plan/ql_plan.h"
#include "core/promql/run/ql_notes.h"
#include "core/promql/run/ql_tally.h"

enum ql_did {
	QL_DONE,
	QL_AGAIN,
	QL_WAIT,
	QL_FAILED
};
struct ql_cleanup { /* heap memory of a node, freed with the query */
	struct ql_cleanup *next;
	void (*fn)(void *arg);
	void *arg;
};
struct ql_run {
	struct arena *arena;
	struct ql_budget budget;
	struct ql_notes notes;
	struct errbuf *eb;
	enum err err; /* set with QL_FAILED; the text is in eb */
	const struct ql_opts *opts;
	enum ql_names_do names; /* how a name goes where one goes */
	uint32_t _work;         /* values touched since the clock was asked */
	struct ql_batch *kept;  /* arenas that results point into */
	struct ql_cleanup *cleanups;
	uint64_t series;                     /* read */
	uint64_t samples_used, samples_read; /* ql_plan.h */
	struct ql_tally *tally; /* the same for each step of the query; NULL: not asked */
	uint64_t hist_bytes;    /* of histograms that came from pieces */
	struct ql_tab warnings; /* of storage, each once: its bytes are a text with its NUL */
};
#define QL_TICK 4096 /* values between looks at the clock */
bool ql_tick(struct ql_run *x, uint64_t values);
enum ql_did ql_fail(struct ql_run *x, enum err e); /* keeps e, returns QL_FAILED */
enum ql_did ql_failf(struct ql_run *x, const char *fmt, ...) PRINTF_LIKE(2, 3); /* ERR_EXECUTION */

void ql_run_at_end(struct ql_run *x, void (*fn)(void *arg), void *arg);
void ql_run_clean(struct ql_run *x);

/* A new column, charged; NULL and x->err when over budget. */
struct ql_col *ql_run_col(struct ql_run *x, struct ql_vec *v, struct labels ls, uint32_t n);
/* Room for so many columns, or label sets, in all. False: x->err, over budget. */
MUST_CHECK bool ql_run_reserve(struct ql_run *x, struct ql_vec *v, uint32_t count);
MUST_CHECK bool ql_run_tab(struct ql_run *x, struct ql_tab *t, uint32_t count);

/* The name of a column goes: now, or it is marked. */
void ql_run_drop_name(struct ql_run *x, struct ql_col *c);
/* What equal label sets mean where names went, or may have gone. */
static inline enum ql_equal ql_run_equal(const struct ql_run *x, enum ql_equal now)
{
	return x->names == QL_NAMES_DROP_LATE ? QL_EQUAL_NONE : now;
}
/*
 * At the end of a node, called until it is done: columns of pn->vec without any value go, equal
 * label
 * sets are judged. ql_run_join_equal: the latter alone.
 */
MUST_CHECK enum ql_did ql_run_tidy(struct ql_run *x, struct ql_pn *pn, enum ql_equal equal);
MUST_CHECK enum ql_did ql_run_join_equal(struct ql_run *x, struct ql_pn *pn, enum ql_equal equal);

#endif
