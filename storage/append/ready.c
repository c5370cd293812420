#include "storage/append/ready.h"
#include "core/base/hash.h"
#include "core/base/mem.h"

struct ready_line {
	struct list_link link;  /* ready.lines */
	struct list_link chain; /* ready.chains */
	struct list_link items;
	uint32_t tenant;
};

void ready_init(struct ready *r)
{
	list_init(&r->lines);
	for (unsigned i = 0; i < READY_CHAINS; i++)
		list_init(&r->chains[i]);
}

static struct list_link *chain_of(struct ready *r, uint32_t tenant)
{
	return &r->chains[hash_mix64(tenant) % READY_CHAINS];
}

static struct ready_line *line_find(struct ready *r, uint32_t tenant)
{
	LIST_EACH(l, chain_of(r, tenant)) {
		struct ready_line *line = CONTAINER_OF(l, struct ready_line, chain);
		if (line->tenant == tenant)
			return line;
	}
	return NULL;
}

/* Made where there is none. */
static struct ready_line *line_of(struct ready *r, uint32_t tenant)
{
	struct ready_line *line = line_find(r, tenant);
	if (line)
		return line;
	line = mem_alloc(sizeof *line);
	line->tenant = tenant;
	list_init(&line->items);
	list_add_tail(&r->lines, &line->link);
	list_add_head(chain_of(r, tenant), &line->chain);
	return line;
}

void ready_add(struct ready *r, struct ready_item *i)
{
	list_add_tail(&line_of(r, i->tenant)->items, &i->link);
}

void ready_add_first(struct ready *r, struct ready_item *i)
{
	list_add_head(&line_of(r, i->tenant)->items, &i->link);
}

void ready_add_before(struct ready *r, struct ready_item *i,
    bool (*is_mate)(struct ready_item *i, struct ready_item *other))
{
	struct ready_line *line = line_of(r, i->tenant);
	struct list_link *at = &line->items;
	LIST_EACH(l, &line->items) {
		if (is_mate(i, CONTAINER_OF(l, struct ready_item, link))) {
			at = l;
			break;
		}
	}
	list_add_tail(at, &i->link); /* before it */
}

struct ready_item *ready_take(struct ready *r)
{
	if (ready_empty(r))
		return NULL;
	struct ready_line *line = CONTAINER_OF(r->lines.next, struct ready_line, link);
	struct list_link *l = list_pop(&line->items);
	if (list_empty(&line->items)) {
		list_del(&line->link);
		list_del(&line->chain);
		mem_free(line);
	}
	return CONTAINER_OF(l, struct ready_item, link);
}

void ready_turn(struct ready *r, uint32_t tenant)
{
	struct ready_line *line = line_find(r, tenant);
	if (!line)
		return;
	list_del(&line->link);
	list_add_tail(&r->lines, &line->link);
}
