/*
 * gather - wait for many answers on one loop: count up what was asked, count down what came,
 * done(arg) when the count reaches zero after gather_close().
 * The first error is kept. Thread: one loop.
 */
#ifndef CORE_RT_GATHER_H
#define CORE_RT_GATHER_H

#include "core/base/err.h"

struct gather {
	uint32_t _open;
	bool _closed;
	enum err err; /* first error told */
	void (*done)(struct gather *g);
};
static inline void gather_init(struct gather *g, void (*done)(struct gather *g))
{
	*g = (struct gather){ .done = done };
}
static inline void gather_add(struct gather *g, uint32_t n)
{
	CHECK(!g->_closed);
	g->_open += n;
}
/* No more gather_add; runs done at once when nothing is open. */
static inline void gather_close(struct gather *g)
{
	CHECK(!g->_closed);
	g->_closed = true;
	if (!g->_open)
		g->done(g);
}
static inline void gather_answer(struct gather *g, enum err e)
{
	CHECK(g->_open > 0);
	if (e && !g->err)
		g->err = e;
	if (!--g->_open && g->_closed)
		g->done(g);
}

#endif
