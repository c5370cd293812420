#include "core/rt/solo.h"

#include <event2/event.h>

#include "core/rt/loop_priv.h"

static __thread struct event *watched;

enum err solo_create(struct loop **out)
{
	CHECK(!loop_here());
	enum err e = loop_create(0, out);
	if (!e)
		loop_enter(*out);
	return e;
}

void solo_turn(struct loop *l)
{
	loop_check_here(l);
	loop_turn(l);
}

static void readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg; /* that the wait ended is all */
}

enum err solo_watch(struct loop *l, int fd)
{
	loop_check_here(l);
	if (watched)
		event_free(watched);
	watched = event_new(loop_base(l), fd, EV_READ, readable, NULL);
	return watched && !event_add(watched, NULL) ? ERR_OK : ERR_IO;
}

static void nothing(struct loop_deferred *d)
{
	(void)d;
}

struct look {
	struct loop_deferred d;
	bool seen;
};

static void seen(struct loop_deferred *d)
{
	CONTAINER_OF(d, struct look, d)->seen = true;
}

void solo_look(struct loop *l)
{
	struct look k = { .d = { .fn = seen } }; /* a turn with work does not wait */
	loop_check_here(l);
	loop_defer(l, &k.d);
	while (!k.seen)
		loop_turn(l);
}

void solo_free(struct loop *l)
{
	if (!l)
		return;
	loop_check_here(l);
	if (watched)
		event_free(watched);
	watched = NULL;
	while (loop_drain(l))
		;
	struct loop_deferred d = { .fn = nothing };
	loop_defer(l, &d); /* so that the last turn does not wait */
	loop_turn(l);
	loop_enter(NULL);
	loop_free(l);
}
