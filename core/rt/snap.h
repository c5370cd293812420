/*
 * snap - an immutable thing that threads share and that is replaced whole: the configuration.
 *
 * A struct snap is embedded in what it counts. Whoever makes it owns the first reference; the last
 * snap_drop() calls free, on whatever thread that is. Nobody changes what lies behind it.
 * A loop takes one reference for itself and all its requests: struct snap_seat counts, without
 * atomics, who on this loop still uses one snapshot. The loop sits on the newest
 * (core/rt/loop.h, loop_conf_set); a request takes the seat of its begin and leaves it at its end,
 * so that what it points into stays until then, however often the configuration changes.
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
	uint64_t _users; /* the loop while it is the newest, and requests */
};
/* Takes a reference of its own; one user. */
struct snap_seat *snap_seat_make(struct snap *s);
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
