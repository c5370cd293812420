#include "core/rt/solo.h"

#include "core/rt/loop_priv.h"

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

void solo_free(struct loop *l)
{
	if (!l)
		return;
	loop_check_here(l);
	while (loop_drain(l))
		;
	loop_turn(l);
	loop_enter(NULL);
	loop_free(l);
}
