/*
 * ql_shape - what becomes of the labels of a series on the way up a plan, as far as equal ones are
 * asked for: labels that go, labels that alone stay, label_replace, label_join. For who counts the
 * groups of a result without making it.
 *
 * A shape is a chain of steps, the last one first. It is the query's (its arena, its expressions)
 * and is not changed, so many loops may use it. A hash stands for the set of labels that is left,
 * in whatever order; labels without a value are not there, as everywhere.
 * What cannot be done (a pattern at its limit, a value that becomes too long, more than
 * QL_SHAPE_LABELS labels) leaves the labels as they are, and room->missed is set: who counts hashes
 * then knows no exact number. So do patterns when those of a room took QL_SHAPE_SPEND_NS in all.
 * Cost: 20-40 ns a label that stays; a step over a label 5.
 */
#ifndef CORE_PROMQL_QL_SHAPE_H
#define CORE_PROMQL_QL_SHAPE_H

#include "core/base/arena.h"
#include "core/base/rex.h"
#include "core/promql/lang/ql_names.h"

#define QL_SHAPE_LABELS 128u /* of a series */
#define QL_SHAPE_STEPS  16u  /* more are not made: ql_shape_add gives NULL */

enum ql_shape_do {
	QL_SHAPE_ALL,  /* nothing: the beginning */
	QL_SHAPE_GO,   /* names go */
	QL_SHAPE_STAY, /* names alone stay */
	QL_SHAPE_REPLACE,
	QL_SHAPE_JOIN
};
struct ql_shape {
	const struct ql_shape *before; /* NULL: the series */
	enum ql_shape_do what;
	unsigned steps;
	struct ql_names names;
	const struct ql_node *call; /* REPLACE, JOIN */
	struct rex *rex;            /* REPLACE: freed with ql_shape_release */
};
#define QL_SHAPE_SPEND_NS 20000000u /* of a room */

/* One step more; NULL when before is, or has too many. */
struct ql_shape *ql_shape_add(
    struct arena *a, const struct ql_shape *before, enum ql_shape_do what, struct ql_names names);
/* label_replace or label_join; NULL, too, when it would fail, or costs too much to be tried. */
struct ql_shape *ql_shape_call(
    struct arena *a, const struct ql_shape *before, const struct ql_node *call);
void ql_shape_release(struct ql_shape *s); /* what the arena does not hold; NULL is fine */

struct ql_shape_room { /* of one thread */
	struct arena arena;
	struct buf value;
	bool missed;       /* by the last call */
	uint64_t spent_ns; /* by patterns, of all calls; a match counts as a millisecond at most */
};
void ql_shape_room_init(struct ql_shape_room *r);
void ql_shape_room_release(struct ql_shape_room *r);
uint64_t ql_shape_hash(const struct ql_shape *s, struct labels ls, struct ql_shape_room *r);

#endif
