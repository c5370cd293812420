/*
 * ql_kept - a result of a range query that is kept, and how one is made from parts: results kept
 * before and newly evaluated ones.
 *
 * Nobody changes a kept result; whoever reads it has a reference (item.snap), on whatever loop. All
 * of it is in its arena, which is charged to the hoard's purse, or to a query's when it is not
 * kept.
 *
 *   ql_join_init; ql_join_add a part for each stretch of steps, in their order
 *   ql_join_measure > bytes, at most > ql_join_begin(where, bytes) > ql_join_run > join.out
 *
 * Each in slices (ql_tick). Parts have their series sorted by labels, as results of range queries
 * have; so has what is made. A series takes its points from all parts that have it.
 * Thread: one at a time, but for references.
 */
#ifndef CORE_PROMQL_CACHE_QL_KEPT_H
#define CORE_PROMQL_CACHE_QL_KEPT_H

#include "core/promql/ql.h"
#include "core/promql/run/ql_run.h"
#include "core/rt/hoard.h"

struct ql_kept {
	struct hoard_item item;
	struct purse *purse; /* that it is charged to */
	struct arena arena;
	struct ql_grid grid;
	uint64_t number; /* changes_now of the source: it is as what was read then */
	struct ql_series *series;
	size_t series_count;
	uint64_t points;
	int64_t last_ms; /* of the last step at which any series has a point; INT64_MIN: none */
	struct ql_note *notes[2]; /* warnings, infos; sorted */
	size_t notes_count[2];
	/* they hold for each range of steps in which there is a value; set by the maker */
	bool notes_anywhere;
};
static inline struct ql_kept *ql_kept_of(struct hoard_item *i)
{
	return i ? CONTAINER_OF(i, struct ql_kept, item) : NULL;
}
static inline void ql_kept_drop(struct ql_kept *k)
{
	if (k)
		snap_drop(&k->item.snap);
}

#define QL_JOIN_PARTS 5
struct ql_join_part {
	const struct ql_series *series;
	size_t count;
	int64_t from_ms, to_ms; /* of its points these, both ends inclusive */
	size_t at;
	/* of the series at hand, when this part has it */
	bool has;
	uint32_t lo, hi;
};
struct ql_join {
	struct ql_run *run; /* for its clock and its errors */
	struct ql_grid grid;
	struct ql_join_part parts[QL_JOIN_PARTS];
	unsigned parts_count;
	uint64_t bytes; /* measured */
	unsigned measured_part;
	size_t measured;
	struct ql_kept *out;
	size_t series_cap;
	int64_t *times; /* of all steps, once some series has them all */
	/* the series at hand, while its histograms are copied */
	bool busy;
	struct ql_series series;
	const struct hist **h;
	unsigned hist_part;
	uint32_t hist_at, hist_out;
	bool hist_any;
};
void ql_join_init(struct ql_join *j, struct ql_run *run, struct ql_grid grid);
/* Points of these steps; borrowed until the end. */
void ql_join_add(struct ql_join *j, const struct ql_series *series, size_t count, int64_t from_ms,
    int64_t to_ms);
enum ql_did ql_join_measure(struct ql_join *j);
/* The result is made, charged to the purse; empty as yet, with one reference, the caller's. */
void ql_join_begin(struct ql_join *j, struct purse *purse);
enum ql_did ql_join_run(struct ql_join *j);
/* Of sorted notes those that are not there yet. */
void ql_kept_note(struct ql_kept *k, bool info, const struct ql_note *notes, size_t count);

/* The first point of a series at or after a time: its count when there is none. */
uint32_t ql_kept_from(const struct ql_series *s, int64_t t_ms);

#endif
