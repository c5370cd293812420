/*
 * ready - who runs next: work that waits on a loop, in a queue for each tenant; tenants take turns.
 *
 *   first > line of tenant A: a1 a2 a3
 *           line of tenant B: b1
 *   ready_take gives a1, a2, ... until ready_turn(A) sends A's line behind B's
 * So what waits for its turn waits for one turn of each other tenant, however much those have
 * brought. Who calls ends a turn when its time is over: many small pieces of a tenant share one.
 * Within a tenant the order is the caller's.
 *
 * Thread: its loop. Memory: a line of 64 bytes for each tenant that waits. Cost: the same however
 * much waits, but for ready_add_before.
 */
#ifndef STORAGE_APPEND_READY_H
#define STORAGE_APPEND_READY_H

#include "core/base/list.h"

#define READY_CHAINS 64u

/* In what waits; ready_item_init before. */
struct ready_item {
	struct list_link link; /* of its tenant's line */
	uint32_t tenant;
};
struct ready_line;
struct ready {
	struct list_link lines; /* none is empty; the first has its turn */
	struct list_link chains[READY_CHAINS];
};
void ready_init(struct ready *r);
static inline bool ready_empty(const struct ready *r)
{
	return list_empty(&r->lines);
}
static inline void ready_item_init(struct ready_item *i, uint32_t tenant)
{
	list_init(&i->link);
	i->tenant = tenant;
}
/* A tenant that did not wait comes behind all others. */
void ready_add(struct ready *r, struct ready_item *i);       /* last of its tenant's */
void ready_add_first(struct ready *r, struct ready_item *i); /* first of its tenant's */
/* Of its tenant's: before the first that is_mate says yes to, else last. Looks at all of them. */
void ready_add_before(struct ready *r, struct ready_item *i,
    bool (*is_mate)(struct ready_item *i, struct ready_item *other));
struct ready_item *ready_take(struct ready *r); /* NULL: nothing waits */
/* The tenant has had its turn. */
void ready_turn(struct ready *r, uint32_t tenant);

#endif
