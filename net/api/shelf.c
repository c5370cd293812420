#include "net/api/shelf.h"

#include "core/base/arena.h"

struct shelf {
	unsigned loops;
	size_t keep;
	struct board {
		struct list_link items;
		size_t count;
	} boards[]; /* by number of the loop */
};

struct shelf *shelf_create(unsigned loops, size_t keep)
{
	struct shelf *s = mem_zalloc(sizeof(*s) + loops * sizeof(s->boards[0]));
	s->loops = loops;
	s->keep = keep;
	for (unsigned i = 0; i < loops; i++)
		list_init(&s->boards[i].items);
	return s;
}

struct shelf_item *shelf_take(struct shelf *s, unsigned loop)
{
	struct list_link *link = list_pop(&s->boards[loop].items);
	if (!link)
		return NULL;
	s->boards[loop].count--;
	return CONTAINER_OF(link, struct shelf_item, _link);
}

void shelf_put(struct shelf *s, unsigned loop, struct shelf_item *i)
{
	struct board *b = &s->boards[loop];
	if (b->count >= s->keep) {
		i->drop(i);
		return;
	}
	list_add_head(&b->items, &i->_link);
	b->count++;
}

void shelf_free(struct shelf *s)
{
	for (unsigned i = 0; s && i < s->loops; i++)
		for (struct shelf_item *item; (item = shelf_take(s, i));)
			item->drop(item);
	mem_free(s);
}
