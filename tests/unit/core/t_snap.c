#include "core/rt/snap.h"

#include "tests/lib/tap.h"

struct thing {
	struct snap snap;
	int value, *freed;
};

static void thing_free(struct snap *s)
{
	struct thing *t = CONTAINER_OF(s, struct thing, snap);
	++*t->freed;
}

static void references(void)
{
	int freed = 0;
	struct thing t = { .freed = &freed };
	snap_init(&t.snap, thing_free);
	tap_ok(snap_take(&t.snap) == &t.snap && !snap_take(NULL), "taking gives it back");
	snap_drop(&t.snap);
	tap_is_i64(freed, 0, "it stays while somebody has it");
	snap_drop(&t.snap);
	tap_is_i64(freed, 1, "the last one frees it");
	snap_drop(NULL);
}

static void seats(void)
{
	int freed = 0;
	struct thing t = { .freed = &freed };
	snap_init(&t.snap, thing_free);
	struct snap_seat *seat = snap_seat_make(&t.snap);
	snap_drop(&t.snap);
	struct snap_seat *one = snap_seat_take(seat), *two = snap_seat_take(seat);
	tap_ok(one == seat && seat->snap == &t.snap, "requests share the seat of their loop");
	snap_seat_leave(seat);
	snap_seat_leave(one);
	tap_is_i64(freed, 0, "one request still sits on it");
	snap_seat_leave(two);
	tap_is_i64(freed, 1, "the last one to leave ends it");
	snap_seat_leave(snap_seat_take(NULL));
}

int main(void)
{
	references();
	seats();
	return tap_done();
}
