/* One loop on the test's own thread: timers, mail of other threads, what ends a wait. */
#include "core/rt/solo.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "tests/lib/tap.h"

struct ring {
	struct loop_timer t;
	unsigned rang;
};

static void on_ring(struct loop_timer *t)
{
	CONTAINER_OF(t, struct ring, t)->rang++;
}

struct note {
	struct mbox_msg msg;
	struct loop *to;
	unsigned came;
};

static void on_note(struct mbox_msg *m)
{
	CONTAINER_OF(m, struct note, msg)->came++;
}

static void *send_note(void *arg)
{
	struct note *n = arg;
	usleep(50000);
	n->msg.fn = on_note;
	loop_send(n->to, &n->msg);
	return NULL;
}

static void *tell_fd(void *arg)
{
	uint64_t one = 1;
	usleep(50000);
	if (write(*(int *)arg, &one, sizeof one) != sizeof one)
		_exit(99);
	return NULL;
}

static void on_deferred(struct loop_deferred *d)
{
	(void)d;
	tap_ok(loop_here() != NULL, "what was deferred runs before the loop goes");
}

int main(void)
{
	struct loop *l;
	pthread_t t;
	TAP_OK(!loop_here());
	if (!tap_ok(!solo_create(&l) && loop_here() == l, "the thread is the loop"))
		return tap_done();

	struct ring r = { .rang = 0 };
	loop_timer_init(&r.t, on_ring);
	loop_timer_set(l, &r.t, 20);
	uint64_t begin = clock_real_mono_ns();
	while (!r.rang)
		solo_turn(l);
	uint64_t took = clock_real_mono_ns() - begin;
	tap_ok(took >= 15000000 && took < 5000000000, "a timer of 20 ms rings: %llu us",
	    (unsigned long long)took / 1000);

	struct note n = { .to = l };
	pthread_create(&t, NULL, send_note, &n);
	while (!n.came)
		solo_turn(l);
	pthread_join(t, NULL);
	tap_is_u64(n.came, 1, "mail of another thread comes, once");

	/* Nothing to do: a turn ends by itself, and sooner when the fd says so. */
	solo_turn(l);
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	TAP_OK(!solo_watch(l, fd));
	pthread_create(&t, NULL, tell_fd, &fd);
	begin = clock_real_mono_ns();
	unsigned turns = 0;
	while (clock_real_mono_ns() - begin < 60000000000u) {
		uint64_t was = clock_real_mono_ns(), value;
		solo_turn(l);
		turns++;
		took = clock_real_mono_ns() - was;
		if (read(fd, &value, sizeof value) == sizeof value)
			break;
	}
	pthread_join(t, NULL);
	uint64_t one = 1;
	begin = clock_real_mono_ns();
	tap_ok(write(fd, &one, sizeof one) == sizeof one && turns < 10,
	    "what is watched ends a wait, after %u turns", turns);
	for (unsigned i = 0; i < 3; i++)
		solo_turn(l);
	tap_ok(clock_real_mono_ns() - begin > 500000000, "once only: turns wait again");

	struct loop_deferred d = { .fn = on_deferred };
	loop_defer(l, &d);
	solo_free(l);
	close(fd);
	TAP_OK(!loop_here());
	tap_ok(!solo_create(&l), "another one may follow");
	begin = clock_real_mono_ns();
	solo_free(l);
	tap_ok(clock_real_mono_ns() - begin < 500000000, "and goes without a wait");
	solo_free(NULL);
	return tap_done();
}
