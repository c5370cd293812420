#include "storage/read/textset.h"

#include <string.h>

void textset_init(struct textset *t)
{
	*t = (struct textset){ 0 };
	arena_init(&t->arena, 4096);
}

void textset_release(struct textset *t)
{
	arena_release(&t->arena);
	mem_free(t->table);
	mem_free(t->fresh);
}

static struct label *slot(struct label *table, size_t cap, const char *s, uint32_t len)
{
	size_t i = hash64(s, len, 0) & (cap - 1);
	while (table[i].name && (table[i].name_len != len || memcmp(table[i].name, s, len)))
		i = (i + 1) & (cap - 1);
	return &table[i];
}

static void grow(struct textset *t)
{
	size_t cap = t->cap ? 2 * t->cap : 64;
	struct label *table = mem_zalloc(cap * sizeof(*table));
	for (size_t i = 0; i < t->cap; i++) {
		if (t->table[i].name)
			*slot(table, cap, t->table[i].name, t->table[i].name_len) = t->table[i];
	}
	mem_free(t->table);
	t->table = table;
	t->cap = cap;
}

static bool note(struct textset *t, const char *s, uint32_t len)
{
	if (2 * (t->count + 1) > t->cap)
		grow(t);
	struct label *l = slot(t->table, t->cap, s, len);
	if (l->name)
		return false;
	*l = (struct label){ .name = arena_strndup(&t->arena, s, len), .name_len = len };
	t->count++;
	if (t->fresh_count == t->fresh_cap) {
		t->fresh_cap = t->fresh_cap ? 2 * t->fresh_cap : 16;
		t->fresh = mem_array(t->fresh, t->fresh_cap, sizeof(*t->fresh));
	}
	t->fresh[t->fresh_count++] = *l;
	return true;
}

bool textset_take(struct textset *t, const struct source_query *q, struct labels ls)
{
	bool any = false;
	if (q->what == SOURCE_LABEL_VALUES) {
		uint32_t len;
		const char *v = label_get(ls, q->label, q->label_len, &len);
		return v && note(t, v, len);
	}
	struct label_iter it = label_iter(ls);
	struct label l;
	while (label_next(&it, &l))
		any |= note(t, l.name, l.name_len);
	return any;
}

bool textset_pop(struct textset *t, struct source_item *out)
{
	if (!t->fresh_count)
		return false;
	const struct label *l = &t->fresh[--t->fresh_count];
	out->text = l->name;
	out->text_len = l->name_len;
	return true;
}
