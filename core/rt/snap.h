/*
 * snap - an immutable thing that threads share and that is replaced whole: the configuration.
 *
 * A struct snap is embedded in what it counts. Whoever makes it owns the first reference; the last
 * snap_drop() calls free, on whatever thread that is. Nobody changes what lies behind it.
 * A loop takes one reference for itself and all its requests: struct snap_seat counts, without
 * atomics, who on this loop still uses one snapshot. The loop sits on the newest
 * (core/rt/loop.h, loop_set_conf); a request takes the seat of its begin and leaves it at its end.
 *
 * (1) Who sits on a seat may use its snapshot and all newer ones of the loop: a seat that was
 *     replaced holds the one that came after it. So whatever a request finds at any time between
 *     its begin and its end (limits_here() and the like) stays until its end.
 *
 * Thread: snap_* any; seats their loop's.
 * Cost: snap_take and snap_drop one atomic operation; seat_take and seat_leave an addition.
 */
#ifndef CORE_RT_SNAP_H
#define CORE_RT_SNAP_H

#include <stdatomic.h>

#include "core/base/check.h"

struct snap {
	_Atomic uint64_t _refs;
	void (*_free)(struct snap *s);
};
void snap_init(struct snap *s, void (*free_it)(struct snap *s));
struct snap *snap_take(struct snap *s); /* returns s; NULL is fine */
void snap_drop(struct snap *s);         /* NULL is fine */

struct snap_seat {
	struct snap *snap;
	struct snap_seat *_next; /* (1); NULL of the newest */
	uint64_t _users;         /* the loop while it is the newest, requests, the seat before it */
};
/* Takes a reference of its own; one user: whoever makes it. old: which it replaces, or NULL. */
struct snap_seat *snap_seat_make(struct snap *s, struct snap_seat *old);
static inline struct snap_seat *snap_seat_take(struct snap_seat *seat)
{
	if (seat)
		seat->_users++;
	return seat;
}
void snap_seat_end_(struct snap_seat *seat);
static inline void snap_seat_leave(struct snap_seat *seat) /* the last one frees it */
{
	if (seat && !--seat->_users)
		snap_seat_end_(seat);
}

#endif
