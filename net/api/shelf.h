/*
 * shelf - what a request leaves for the next one of the same loop: decode buffers, last used first.
 *
 * Thread: create and free while no request runs; put and take on the loop whose number is given.
 * Memory: an item belongs to the shelf from put to take or free; drop frees it.
 */
#ifndef NET_API_SHELF_H
#define NET_API_SHELF_H

#include "core/base/list.h"

struct shelf;
struct shelf_item {
	struct list_link _link;
	void (*drop)(struct shelf_item *i);
};
/* keep: items of each loop at most; more are dropped. */
struct shelf *shelf_create(unsigned loops, size_t keep);
void shelf_free(struct shelf *s);
struct shelf_item *shelf_take(struct shelf *s, unsigned loop); /* NULL: none */
void shelf_put(struct shelf *s, unsigned loop, struct shelf_item *i);

#endif
