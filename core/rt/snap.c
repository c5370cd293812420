#include "core/rt/snap.h"

#include "core/base/mem.h"

void snap_init(struct snap *s, void (*free_it)(struct snap *s))
{
	atomic_init(&s->_refs, 1);
	s->_free = free_it;
}

struct snap *snap_take(struct snap *s)
{
	if (s)
		CHECK(atomic_fetch_add_explicit(&s->_refs, 1, memory_order_relaxed) > 0);
	return s;
}

void snap_drop(struct snap *s)
{
	if (!s)
		return;
	uint64_t had = atomic_fetch_sub_explicit(&s->_refs, 1, memory_order_acq_rel);
	CHECK(had > 0);
	if (had == 1)
		s->_free(s);
}

struct snap_seat *snap_seat_make(struct snap *s, struct snap_seat *old)
{
	struct snap_seat *seat = mem_zalloc(sizeof(*seat));
	seat->snap = snap_take(s);
	seat->_users = 1;
	if (old) {
		CHECK(!old->_next);
		old->_next = snap_seat_take(seat);
	}
	return seat;
}

/* Those behind it go, too, when nobody else sits there: in a loop, there may be many. */
void snap_seat_end_(struct snap_seat *seat)
{
	do {
		struct snap_seat *next = seat->_next;
		snap_drop(seat->snap);
		mem_free(seat);
		seat = next;
	} while (seat && !--seat->_users);
}
