/*
 * memo - things that were made from files and can be made again, kept in memory up to a budget.
 *
 * A struct memo is a place for one such thing; embed it. Who uses the thing pins it. What nobody
 * pins stays as long as there is room, and goes when another one needs it: the one that was not
 * used for long (second chance).
 *
 *   thing = memo_pin(m);                     NULL: it has to be made
 *   thing = memo_put(m, make(...), bytes);   on a worker: it frees what must go
 *   ... memo_unpin(m);
 *
 * (1) A pinned thing stays where it is, over the budget too.
 * (2) Things are freed inside memo_put and memo_release only, never when a pin ends: a loop pins
 *     and unpins, and frees nothing.
 *
 * Thread: any, at the same time, but for memo_init and memo_release: alone. One budget for the
 * process. Cost: a lock that nobody holds for long, taken at each pin; hold pins over many uses.
 */
#ifndef CORE_BASE_MEMO_H
#define CORE_BASE_MEMO_H

#include "core/base/list.h"

#define MEMO_LIMIT ((size_t)64 << 20) /* bytes, before memo_limit() was called */

struct memo { /* private */
	struct list_link _link;
	void (*_free)(void *thing);
	void *_thing;
	size_t _bytes;
	uint32_t _pins;
	bool _used;
};
void memo_init(struct memo *m, void (*free_thing)(void *thing));
/* The thing, pinned; NULL when it is not there. */
void *memo_pin(struct memo *m);
/*
 * Takes the thing and pins it. When somebody else has put one meanwhile, that one is pinned and
 * returned, and this one freed.
 */
void *memo_put(struct memo *m, void *take_thing, size_t bytes);
void memo_unpin(struct memo *m);
void memo_release(struct memo *m); /* nobody pins it */

void memo_limit(size_t bytes);
size_t memo_bytes(void); /* of all things there are */

#endif
