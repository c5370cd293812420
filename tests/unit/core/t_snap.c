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
	int freed[3] = { 0 };
	struct thing t[3];
	for (int i = 0; i < 3; i++) {
		t[i] = (struct thing){ .freed = &freed[i] };
		snap_init(&t[i].snap, thing_free);
	}
	struct snap_seat *seat = snap_seat_make(&t[0].snap, NULL);
	snap_drop(&t[0].snap);
	struct snap_seat *one = snap_seat_take(seat), *two = snap_seat_take(seat);
	tap_ok(one == seat && seat->snap == &t[0].snap, "requests share the seat of their loop");
	for (int i = 1; i < 3; i++) {
		struct snap_seat *newer = snap_seat_make(&t[i].snap, seat);
		snap_drop(&t[i].snap);
		snap_seat_leave(seat);
		seat = newer;
	}
	tap_ok(!freed[0] && !freed[1] && !freed[2],
	    "what is older than a request's begin stays, and so does what came meanwhile");
	struct snap_seat *late = snap_seat_take(seat);
	snap_seat_leave(one);
	tap_ok(!freed[0] && !freed[1], "until the last such request");
	snap_seat_leave(two);
	tap_ok(freed[0] == 1 && freed[1] == 1 && !freed[2], "ends, then all go but the newest");
	snap_seat_leave(seat);
	tap_is_i64(freed[2], 0, "which a newer request holds");
	snap_seat_leave(late);
	tap_is_i64(freed[2], 1, "until its end");
	snap_seat_leave(snap_seat_take(NULL));
}

int main(void)
{
	references();
	seats();
	return tap_done();
}
