/*
 * plan - which files of a shard are merged next, and into what. Pure: no clock, no disk.
 *
 * Time is cut into buckets of several widths, each dividing the next (plan_widths): two hours, half
 * a day, days. What lies inside a bucket becomes few files, and is taken up by the bucket above
 * when that one has closed: a bucket is closed when its end is behind what senders still write to
 * (closed_ms) and no file came into it for quiet_ns; or when nothing at all came for so long
 * (silent). The widest bucket that is due is merged first, so a history that is loaded at once goes
 * from its round files to days in one step.
 *
 * Of the files of a due bucket, by rank, the longest newest part is taken whose oldest file is not
 * larger than the others together (than twice that in the wider buckets). So a file grows by half
 * at least each time it is written again, or takes up older smaller ones, once: loading n parts
 * into one range costs O(n log n) bytes, and what stays are few files, each larger than all younger
 * ones.
 * An open bucket is merged as well when the part has very many files (PLAN_MANY of its level), so
 * that reads and the list stay short. A file that a round has written, and that nothing joins, is
 * rewritten alone when the narrowest bucket that holds it is due: sealed. Rounds write what is late
 * by buckets, too (plan_round).
 *
 * (1) The inputs of a merge are contiguous in rank: no other file that overlaps one of them in time
 *     has a rank above its own and at or below that of the output. Files that stay as they are
 *     (PLAN_FIXED) and files wider than the bucket divide what is merged, so a merge never goes
 *     over one; a file that is lost but may return is given as one of them.
 * (2) All inputs lie inside the bucket, the output covers nothing else: ranges made under the same
 *     widths contain each other or do not meet.
 * (3) No merge has more than inputs_max files or size_max bytes.
 * (4) With files as they come out of its merges there is an end: a plan makes fewer files, or seals
 *     one.
 *
 * Cost: n log n per width. Thread: any, one call at a time on an array. Memory: the caller's, and
 * some of its own during a call.
 */
#ifndef STORAGE_COMPACT_PLAN_H
#define STORAGE_COMPACT_PLAN_H

#include "core/base/check.h"

#define PLAN_LEVELS_MAX 4u
#define PLAN_INPUTS_MAX 256u
#define PLAN_MANY                                                                                  \
 24u /* files that an open bucket of two hours may collect; twice that a level up */

enum plan_state {
	PLAN_FREE,
	PLAN_SOON, /* not yet to be merged: its bucket waits for it */
	PLAN_FIXED /* not to be merged, nor merged over */
};
struct plan_file {
	int64_t start_ms, end_ms; /* end exclusive */
	uint64_t rank, size_bytes;
	uint64_t added_ns; /* when a round made it; 0 = long ago */
	uint32_t ref;      /* the caller's */
	bool sealed;
	bool worn; /* much of it is dead: written again alone, when nothing joins it */
	enum plan_state state;
};
struct plan_limits {
	int64_t widths_ms[PLAN_LEVELS_MAX]; /* ascending, each divides the next */
	unsigned widths_count;              /* 1.. */
	uint64_t size_max;
	uint32_t inputs_max; /* 2..PLAN_INPUTS_MAX */
};
struct plan_clock {
	int64_t closed_ms; /* a bucket that ends at or before it is behind the senders */
	uint64_t now_ns, quiet_ns;
	bool silent;
	/* not to wait for quiet: two hours are due at once, wider buckets when they are behind */
	bool force;
};
struct plan_merge {
	uint32_t refs[PLAN_INPUTS_MAX];
	uint32_t count; /* 0: nothing is due */
	int64_t start_ms, end_ms;
	uint64_t size_bytes; /* of the inputs */
	bool soon;           /* something due waits for PLAN_SOON */
	uint64_t again_ns;   /* when quiet alone makes the next one due; 0: it does not */
};
/*
 * Widths for a retention: none wider than a tenth of it but two hours, so that retention by whole
 * files stays fine-grained.
 */
void plan_widths(struct plan_limits *l, int64_t retention_ms);
int64_t plan_bucket(int64_t t_ms, int64_t width_ms); /* start of the one that t_ms lies in */
/*
 * The bucket that a round has one file of, for the samples of the two hours from start_ms on: the
 * widest that ends at or before closed_ms and in which two of the ranges stand (their starts,
 * ascending, each once); else the two hours. The same for all ranges in it. *end_ms gets its end.
 */
int64_t plan_round(const struct plan_limits *l, int64_t closed_ms, const int64_t *ranges,
    size_t count, int64_t start_ms, int64_t *end_ms);
/* Over all files given; puts them in another order. True: *out has a merge. */
bool plan_next(const struct plan_limits *l, const struct plan_clock *clock, struct plan_file *files,
    size_t count, struct plan_merge *out);

#endif
