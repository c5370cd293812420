#include "storage/read/textset.h"

#include <string.h>

#define TABLES 256u

void textset_init(struct textset *t, uint64_t seed)
{
	*t = (struct textset){ .seed = seed };
	arena_init(&t->arena, 4096);
}

void textset_release(struct textset *t)
{
	for (unsigned i = 0; t->tables && i < TABLES; i++)
		mem_free(t->tables[i].slots);
	mem_free(t->tables);
	arena_release(&t->arena);
	mem_free(t->fresh);
}

static uint32_t hash_of(const struct textset *t, const char *s, uint32_t len)
{
	return (uint32_t)(hash64(s, len, t->seed) >> 32);
}

static struct textset_text *slot(
    const struct textset_table *table, const char *s, uint32_t len, uint32_t hash)
{
	uint32_t i = hash & table->mask;
	for (;; i = (i + 1) & table->mask) {
		struct textset_text *x = &table->slots[i];
		if (!x->s || (x->hash == hash && x->len == len && memcmp(x->s, s, len) == 0))
			return x;
	}
}

static void grow(struct textset *t, struct textset_table *table)
{
	struct textset_table old = *table;
	table->mask = old.slots ? 2 * old.mask + 1 : 7;
	table->slots = mem_zalloc(((size_t)table->mask + 1) * sizeof(*table->slots));
	for (uint32_t i = 0; old.slots && i <= old.mask; i++) {
		const struct textset_text *x = &old.slots[i];
		if (x->s)
			*slot(table, x->s, x->len, x->hash) = *x;
	}
	t->slots_count += table->mask + 1 - (old.slots ? old.mask + 1 : 0);
	mem_free(old.slots);
}

bool textset_has(const struct textset *t, const char *s, uint32_t len)
{
	uint32_t hash = hash_of(t, s, len);
	const struct textset_table *table = t->tables ? &t->tables[hash >> 24] : NULL;
	return table && table->slots && slot(table, s, len, hash)->s;
}

bool textset_add(struct textset *t, const char *s, uint32_t len)
{
	uint32_t hash = hash_of(t, s, len);
	if (!t->tables)
		t->tables = mem_zalloc(TABLES * sizeof(*t->tables));
	struct textset_table *table = &t->tables[hash >> 24];
	if (!table->slots || table->count > table->mask / 2)
		grow(t, table);
	struct textset_text *x = slot(table, s, len, hash);
	if (x->s)
		return false;
	*x = (struct textset_text){ .s = arena_strndup(&t->arena, s, len), .len = len, .hash = hash };
	table->count++;
	if (t->fresh_count == t->fresh_cap) {
		t->fresh_cap = t->fresh_cap ? 2 * t->fresh_cap : 16;
		t->fresh = mem_array(t->fresh, t->fresh_cap, sizeof(*t->fresh));
	}
	t->fresh[t->fresh_count++] = *x;
	return true;
}

bool textset_take(struct textset *t, const struct source_query *q, struct labels ls)
{
	bool any = false;
	if (q->what == SOURCE_LABEL_VALUES) {
		uint32_t len;
		const char *v = label_get(ls, q->label, q->label_len, &len);
		return v && textset_add(t, v, len);
	}
	struct label_iter it = label_iter(ls);
	struct label l;
	while (label_next(&it, &l))
		any |= textset_add(t, l.name, l.name_len);
	return any;
}

bool textset_pop(struct textset *t, struct source_item *out)
{
	if (!t->fresh_count)
		return false;
	const struct textset_text *x = &t->fresh[--t->fresh_count];
	out->text = x->s;
	out->text_len = x->len;
	return true;
}

size_t textset_bytes(const struct textset *t)
{
	return arena_used(&t->arena) + t->slots_count * sizeof(struct textset_text) +
	    t->fresh_cap * sizeof(*t->fresh);
}
