#include "storage/read/oldseries.h"

#include <string.h>

#include "storage/back/back.h"
#include "storage/store_priv.h"

bool oldseries_needed(const struct shard *sh)
{
	return sh->store->catalog && sh->back && back_of(sh)->inactive;
}

/* Ids of the catalog without those that are active; both ascend. */
static size_t subtract(uint32_t *ids, size_t count, const uint32_t *active, size_t active_count)
{
	size_t kept = 0, k = 0;
	for (size_t i = 0; i < count; i++) {
		while (k < active_count && active[k] < ids[i])
			k++;
		if (k == active_count || active[k] != ids[i])
			ids[kept++] = ids[i];
	}
	return kept;
}

static uint32_t *slot_of(const struct oldseries *o, struct labels ls, uint64_t hash)
{
	uint32_t i = (uint32_t)hash & o->table_mask;
	for (; o->table[i]; i = (i + 1) & o->table_mask) {
		const struct oldseries_item *x = &o->items[o->table[i] - 1];
		if (x->hash == hash && label_equal(x->labels, ls))
			break;
	}
	return &o->table[i];
}

/* Items of equal labels become chains, newest first. */
static void join(struct oldseries *o)
{
	uint32_t cap = 16;
	while (cap < 2 * o->count)
		cap *= 2;
	o->table = mem_zalloc(cap * sizeof(*o->table));
	o->table_mask = cap - 1;
	for (size_t i = 0; i < o->count; i++) {
		struct oldseries_item *x = &o->items[i];
		x->hash = label_hash(x->labels);
		uint32_t *slot = slot_of(o, x->labels, x->hash);
		if (*slot) {
			x->older = *slot;
			o->items[*slot - 1].joined = true;
		}
		*slot = (uint32_t)i + 1;
	}
}

static void look_up(struct work_task *t)
{
	struct oldseries *o = CONTAINER_OF(t, struct oldseries, task);
	struct catalog *c = o->shard->store->catalog;
	unsigned shard = o->shard->index;
	uint32_t *ids = NULL;
	size_t count = 0, kept = 0;
	if (o->err)
		return;
	o->err = catalog_select(c, shard, o->tenant, o->matchers, o->matchers_count, o->t_min_ms,
	    o->t_max_ms, &ids, &count, &o->eb);
	if (o->err)
		return;
	count = subtract(ids, count, o->active, o->active_count);
	struct labels *labels = mem_array(NULL, count + 1, sizeof(*labels));
	if (count)
		o->err = catalog_labels(c, shard, ids, count, &o->arena, labels, NULL, &o->eb);
	o->items = mem_zalloc((count + 1) * sizeof(*o->items));
	for (size_t i = 0; i < count && !o->err; i++) {
		if (labels[i].len)
			o->items[kept++] =
			    (struct oldseries_item){ .id = ids[i], .labels = labels[i] };
	}
	o->count = kept;
	mem_free(labels);
	mem_free(ids);
	join(o);
}

static void looked_up(struct work_task *t)
{
	struct oldseries *o = CONTAINER_OF(t, struct oldseries, task);
	mem_free(o->active);
	o->active = NULL;
	o->done(o);
}

/* The cursor may be closed, and its query gone, while the worker still looks: it gets matchers of its own. */
static void copy_query(struct oldseries *o, const struct source_query *q)
{
	o->tenant = q->tenant;
	o->t_min_ms = q->t_min_ms;
	o->t_max_ms = q->t_max_ms;
	o->matchers = arena_zalloc(&o->arena, (q->matchers_count + 1) * sizeof(*o->matchers));
	for (size_t i = 0; i < q->matchers_count && !o->err; i++) {
		const struct matcher *m = &q->matchers[i];
		o->err = matcher_init(&o->matchers[i], m->type,
		    arena_dup(&o->arena, m->name, m->name_len), m->name_len,
		    arena_dup(&o->arena, m->value, m->value_len), m->value_len, &o->eb);
		if (!o->err)
			o->matchers_count = i + 1;
	}
}

void oldseries_start(struct oldseries *o, struct shard *sh, const struct source_query *q,
    const uint32_t *active, size_t active_count, void (*done)(struct oldseries *o))
{
	*o = (struct oldseries){ .shard = sh, .done = done, .active_count = active_count };
	arena_init(&o->arena, 16 << 10);
	errbuf_init(&o->eb);
	copy_query(o, q);
	o->active = mem_array(NULL, active_count + 1, sizeof(*o->active));
	if (active_count)
		memcpy(o->active, active, active_count * sizeof(*o->active));
	o->task = (struct work_task){ .run = look_up, .done = looked_up, .prio = WORK_READ };
	work_submit(sh->store->opts.pool, &o->task);
}

void oldseries_free(struct oldseries *o)
{
	for (size_t i = 0; i < o->matchers_count; i++)
		matcher_release(&o->matchers[i]);
	arena_release(&o->arena);
	mem_free(o->items);
	mem_free(o->table);
	mem_free(o->active);
}

uint32_t oldseries_find(const struct oldseries *o, struct labels ls)
{
	if (!o->table)
		return 0;
	uint32_t at = *slot_of(o, ls, label_hash(ls));
	if (at)
		o->items[at - 1].joined = true;
	for (uint32_t i = at; i && !o->items[i - 1].taken; i = o->items[i - 1].older)
		o->items[i - 1].taken = true;
	return at;
}
