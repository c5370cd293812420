/*
 * ql_tell - the notes of a query (ql_notes.h) as texts with their places, sorted: made in slices,
 * since a query may have thousands.
 *
 * Thread: the loop of the query. Memory: the arena given.
 */
#ifndef CORE_PROMQL_RUN_QL_TELL_H
#define CORE_PROMQL_RUN_QL_TELL_H

#include "core/promql/run/ql_sorter.h"

struct ql_tell {
	bool info; /* of one kind */
	struct arena *arena;
	struct ql_note *notes; /* when all are told */
	uint32_t count;
	enum ql_tell_phase {
		QL_TELL_LINES, /* where lines of the query begin */
		QL_TELL_TEXTS,
		QL_TELL_SORT, /* the order of arrival depends on the loops */
		QL_TELL_ORDER,
		QL_TELL_TOLD
	} _phase;
	const char *_query;
	size_t _len;
	uint32_t *_lines, _lines_count;
	uint32_t _pos;
	struct ql_note *_texts;
	struct ql_sorter _sorter;
};
/* The query's text is borrowed until all are told. */
void ql_tell_init(struct ql_tell *t, struct arena *a, bool info, const char *query, size_t len);
/* QL_DONE: notes and count are there. */
enum ql_did ql_tell_run(struct ql_tell *t, struct ql_run *x);

#endif
