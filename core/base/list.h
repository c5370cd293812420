/*
 * list - intrusive doubly linked circular list. The head is a struct list_link too; an unlinked
 * link points to itself (list_init) .
 */
#ifndef CORE_BASE_LIST_H
#define CORE_BASE_LIST_H

#include "core/base/check.h"

struct list_link {
	struct list_link *next, *prev;
};

static inline void list_init(struct list_link *l)
{
	l->next = l->prev = l;
}
static inline bool list_empty(const struct list_link *head)
{
	return head->next == head;
}
static inline void list_add_tail(struct list_link *head, struct list_link *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}
static inline void list_add_head(struct list_link *head, struct list_link *l)
{
	l->next = head->next;
	l->prev = head;
	head->next->prev = l;
	head->next = l;
}
static inline void list_del(struct list_link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->next = l->prev = l;
}
static inline struct list_link *list_pop(struct list_link *head) /* NULL when empty */
{
	struct list_link *l = head->next;
	if (l == head)
		return NULL;
	list_del(l);
	return l;
}
/* All of from goes to the tail of to; from is empty afterwards. */
static inline void list_move_all(struct list_link *to, struct list_link *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}
#define LIST_EACH(l, head) for (struct list_link *l = (head)->next; l != (head); l = l->next)
#define LIST_EACH_SAFE(l, n, head)                                                                 \
 for (struct list_link *l = (head)->next, *n = l->next; l != (head); l = n, n = l->next)

#endif
