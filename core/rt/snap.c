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

struct snap_seat *snap_seat_make(struct snap *s)
{
	struct snap_seat *seat = mem_zalloc(sizeof(*seat));
	seat->snap = snap_take(s);
	seat->_users = 1;
	return seat;
}

void snap_seat_end_(struct snap_seat *seat)
{
	snap_drop(seat->snap);
	mem_free(seat);
}
