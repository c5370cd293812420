#include "storage/head/slotmap.h"
#include "storage/head/slab.h"

#define SIZE_MIN  64u
#define SMALL     4096u /* entries that are moved at once */
#define DEAD      UINT32_MAX
#define MOVE_STEP 16u /* old entries moved per addition: they are over in time by far */
/* smaller ones are met by all shards at about the same time: too many first touches in one turn */
#define HUGE_BYTES (16u << 20)

static size_t table_bytes(const struct slotmap_table *t)
{
	return t->size * sizeof(*t->entries);
}

static void table_release(struct slotmap_table *t)
{
	slab_unmap(t->entries, table_bytes(t));
	*t = (struct slotmap_table){ 0 };
}

static void table_new(struct slotmap_table *t, uint32_t size)
{
	*t = (struct slotmap_table){ .size = size };
	t->entries = slab_map(table_bytes(t));
	if (table_bytes(t) >= HUGE_BYTES)
		slab_huge(t->entries, table_bytes(t));
}

static inline uint32_t after(const struct slotmap_table *t, uint32_t i)
{
	return i + 1 < t->size ? i + 1 : 0;
}

/* How far b lies behind a. */
static inline uint32_t distance(const struct slotmap_table *t, uint32_t a, uint32_t b)
{
	return b >= a ? b - a : b + t->size - a;
}

static void table_put(struct slotmap_table *t, struct slotmap_entry e)
{
	uint32_t i = slotmap_place(t, e.tag);
	while (t->entries[i].slot1)
		i = after(t, i);
	t->entries[i] = e;
	t->count++;
}

/* The entry of this slot, size when there is none. */
static uint32_t table_find(const struct slotmap_table *t, uint32_t tag, uint32_t slot)
{
	if (!t->entries)
		return t->size;
	uint32_t i = slotmap_place(t, tag);
	while (t->entries[i].slot1 && t->entries[i].slot1 != slot + 1)
		i = after(t, i);
	return t->entries[i].slot1 ? i : t->size;
}

void slotmap_release(struct slotmap *m)
{
	table_release(&m->now);
	table_release(&m->old);
}

size_t slotmap_bytes(const struct slotmap *m)
{
	return table_bytes(&m->now) + table_bytes(&m->old);
}

/*
 * Some entries of the old table go over; those moved stay where they are, so that chains in it are
 * whole. Nothing is put there any more.
 */
static void move(struct slotmap *m, uint32_t step)
{
	while (step-- && m->old_pos < m->old.size) {
		const struct slotmap_entry *e = &m->old.entries[m->old_pos++];
		if (e->slot1 && e->slot1 != DEAD)
			table_put(&m->now, *e);
	}
	if (m->old_pos == m->old.size)
		table_release(&m->old);
}

void slotmap_settle(struct slotmap *m, uint32_t entries)
{
	if (m->old.entries)
		move(m, entries);
}

void slotmap_put(struct slotmap *m, uint64_t fp, uint32_t slot)
{
	if (m->old.entries)
		move(m, MOVE_STEP);
	if (!m->now.entries) {
		table_new(&m->now, SIZE_MIN);
	} else if (m->now.count + 1 > m->now.size - m->now.size / 8) {
		if (m->old.entries)
			move(m, UINT32_MAX); /* not reached with MOVE_STEP this large */
		m->old = m->now;
		m->old_pos = 0;
		table_new(&m->now, m->old.size + m->old.size / 2);
		if (m->old.size < SMALL)
			move(m, UINT32_MAX);
	}
	table_put(&m->now, (struct slotmap_entry){ .tag = slotmap_tag(fp), .slot1 = slot + 1 });
}

/* Backward shift: no dead entries in the table that takes additions. */
static void table_cut(struct slotmap_table *t, uint32_t i)
{
	for (uint32_t j = after(t, i); t->entries[j].slot1; j = after(t, j)) {
		uint32_t home = slotmap_place(t, t->entries[j].tag);
		if (distance(t, home, j) >= distance(t, i, j)) {
			t->entries[i] = t->entries[j];
			i = j;
		}
	}
	t->entries[i] = (struct slotmap_entry){ 0 };
	t->count--;
}

void slotmap_cut(struct slotmap *m, uint64_t fp, uint32_t slot)
{
	uint32_t tag = slotmap_tag(fp), i = table_find(&m->now, tag, slot);
	bool found = i < m->now.size;
	if (found)
		table_cut(&m->now, i);
	i = table_find(&m->old, tag, slot); /* one that went over is in both */
	if (i < m->old.size) {
		m->old.entries[i].slot1 = DEAD;
		found = true;
	}
	CHECK(found);
}

struct slotmap_look slotmap_look(const struct slotmap *m, uint64_t fp)
{
	struct slotmap_look l = { .map = m, .in = &m->now, .tag = slotmap_tag(fp) };
	l.at = slotmap_place(l.in, l.tag);
	return l;
}

uint32_t slotmap_next(struct slotmap_look *l)
{
	while (l->in) {
		const struct slotmap_table *t = l->in;
		while (t->entries && t->entries[l->at].slot1) {
			const struct slotmap_entry *e = &t->entries[l->at];
			l->at = after(t, l->at);
			if (e->tag == l->tag && e->slot1 != DEAD)
				return e->slot1 - 1;
		}
		l->in = t == &l->map->now && l->map->old.entries ? &l->map->old : NULL;
		if (l->in)
			l->at = slotmap_place(l->in, l->tag);
	}
	return SLOTMAP_NONE;
}
