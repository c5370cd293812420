/*
 * purse - a count of bytes that one asker may use, in one purse above it that all share.
 *
 *   purse_take    asked before the memory is taken: false when it does not fit; nothing is taken
 *   purse_force   small pieces that are taken in any case (a block of an arena): counted, and
 *                 purse_over() is true from then on when it did not fit. The owner looks at
 *                 purse_over() at least once in a slice and ends with an error
 *   purse_give    what was taken comes back, from whatever thread frees it
 * An arena with a purse (arena_purse) forces its blocks and gives them back by itself. Pieces of
 * more than a block are asked for first.
 * While the process is out of memory (mem_short of core/base/mem.h) nothing fits, and every purse
 * with a limit, its own or one further up, counts as over.
 *
 * Thread: any; counts are atomic, one operation per block and level.
 */
#ifndef CORE_BASE_PURSE_H
#define CORE_BASE_PURSE_H

#include "core/base/metric.h"

/* Which limit the last piece that did not fit met. */
enum purse_why {
	PURSE_FITS,
	PURSE_OWN,    /* max of the purse itself */
	PURSE_SUM,    /* max of one further up */
	PURSE_MEMORY, /* the process has no more memory */
	PURSE_CLOSED
};
struct purse {
	_Atomic uint64_t _used, _peak;
	uint64_t max;     /* 0 = none */
	struct purse *up; /* the sum it is part of, or NULL */
	_Atomic uint8_t _why;
	_Atomic bool _over;
	bool has_gauge;
	enum metric_id gauge; /* shows what is used */
};
/* max is the purse's own; up outlives it. */
void purse_init(struct purse *p, uint64_t max_bytes, struct purse *up);
void purse_show(struct purse *p, enum metric_id gauge); /* before it is used */
MUST_CHECK bool purse_take(struct purse *p, uint64_t bytes);
void purse_force(struct purse *p, uint64_t bytes);
void purse_give(struct purse *p, uint64_t bytes);
/* Would so many more fit now? Somebody else may take them before the caller does. */
bool purse_fits(const struct purse *p, uint64_t bytes);
/* Forced above a max, its own or one further up: sticks. Or the process is out of memory now. */
bool purse_over(const struct purse *p);
void purse_close(struct purse *p); /* over, whatever it holds: its owner is to end */
enum purse_why purse_why(const struct purse *p);
uint64_t purse_used(const struct purse *p);
uint64_t purse_peak(const struct purse *p);
/* All is back, else a CHECK fails. */
void purse_end(struct purse *p);

#endif
