#include "core/model/relabel.h"

#include "core/base/rune.h"

#include <stdlib.h>

#define MERGE_MOST 32u /* labels that are put in their places one by one */

static int by_name(const void *a, const void *b)
{
	const struct label *x = a, *y = b;
	return bytes_cmp(x->name, x->name_len, y->name, y->name_len);
}

static void add_item(struct relabel_set *s, const struct label *l)
{
	if (s->count == s->cap) {
		struct label *more = arena_array(s->arena, s->cap * 2, sizeof(*more));
		CHECK(more);
		memcpy(more, s->items, s->count * sizeof(*more));
		s->items = more;
		s->cap *= 2;
	}
	s->items[s->count++] = *l;
}

static bool same_name(const struct label *l, const char *name, size_t len)
{
	return l->name_len == len && (len == 0 || memcmp(l->name, name, len) == 0);
}

/* Sorted, no name twice. */
static bool put_in_order(struct relabel_set *s)
{
	qsort(s->items, s->count, sizeof(*s->items), by_name);
	for (size_t i = 1; i < s->count; i++)
		if (by_name(&s->items[i - 1], &s->items[i]) == 0)
			return false;
	return true;
}

bool relabel_set_init(struct relabel_set *s, struct arena *a, struct labels wire)
{
	struct label_iter it = label_iter(wire);
	struct label l;
	bool sorted = true;
	s->arena = a;
	s->wire = wire;
	s->items = s->_first;
	s->cap = RELABEL_SET_FIRST;
	s->count = 0;
	s->changed = false;
	while (label_next(&it, &l)) {
		if (!l.name_len || s->count == RELABEL_LABELS_MAX)
			return false;
		/* one without a value is none, whatever its name: so has it the store */
		if (l.value_len &&
		    (!rune_valid(l.name, l.name_len) || !rune_valid(l.value, l.value_len)))
			return false;
		sorted = sorted && (!s->count || by_name(&s->items[s->count - 1], &l) < 0);
		add_item(s, &l);
	}
	if (it.bad || (!sorted && !put_in_order(s)))
		return false;
	for (size_t i = 0; i < s->count; i++)
		if (!s->items[i].value_len)
			s->items[i].value = NULL;
	s->base = s->count;
	return true;
}

const struct label *relabel_set_get(const struct relabel_set *s, const char *name, size_t name_len)
{
	for (size_t i = 0; i < s->count; i++)
		if (same_name(&s->items[i], name, name_len) && s->items[i].value)
			return &s->items[i];
	return NULL;
}

/* Its place among those that were set; count when it is none of them. */
static size_t find_put(const struct relabel_set *s, const char *name, size_t len)
{
	size_t i = s->base;
	while (i < s->count && !same_name(&s->items[i], name, len))
		i++;
	return i;
}

void relabel_set_del(struct relabel_set *s, const char *name, size_t name_len)
{
	size_t at = find_put(s, name, name_len);
	if (at < s->count) {
		s->count--;
		memmove(&s->items[at], &s->items[at + 1], (s->count - at) * sizeof(*s->items));
		s->changed = true;
		return;
	}
	for (size_t i = 0; i < s->base; i++) {
		if (s->items[i].value && same_name(&s->items[i], name, name_len)) {
			s->items[i].value = NULL;
			s->changed = true;
			return;
		}
	}
}

void relabel_set_put(
    struct relabel_set *s, const char *name, size_t name_len, const char *value, size_t value_len)
{
	if (!value_len) {
		relabel_set_del(s, name, name_len);
		return;
	}
	CHECK(name_len <= UINT32_MAX && value_len <= UINT32_MAX);
	const struct label l = { .name = name,
		.value = value,
		.name_len = (uint32_t)name_len,
		.value_len = (uint32_t)value_len };
	const struct label *was = relabel_set_get(s, name, name_len);
	if (!was || was->value_len != value_len || memcmp(was->value, value, value_len) != 0)
		s->changed = true;
	size_t at = find_put(s, name, name_len);
	if (at < s->count) {
		s->items[at] = l;
		return;
	}
	if (was) /* of the base: from now on it is one that was set */
		s->items[was - s->items].value = NULL;
	add_item(s, &l);
}

bool relabel_set_empty(const struct relabel_set *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->items[i].value)
			return false;
	return true;
}

/* Those that were set, by name, are merged into the others, which are sorted: count of all. */
static size_t merge(struct relabel_set *s, struct label *out)
{
	size_t n = 0;
	for (size_t i = 0; i < s->base; i++)
		if (s->items[i].value)
			out[n++] = s->items[i];
	if (s->count - s->base > MERGE_MOST) {
		memcpy(out + n, s->items + s->base, (s->count - s->base) * sizeof(*out));
		n += s->count - s->base;
		qsort(out, n, sizeof(*out), by_name);
		return n;
	}
	for (size_t i = s->base; i < s->count; i++) {
		size_t at = n;
		for (; at && by_name(&out[at - 1], &s->items[i]) > 0; at--)
			out[at] = out[at - 1];
		out[at] = s->items[i];
		n++;
	}
	return n;
}

struct labels relabel_set_done(struct relabel_set *s)
{
	struct label first[RELABEL_SET_FIRST];
	struct label_builder b;
	if (!s->changed)
		return s->wire;
	label_builder_init(&b, s->arena);
	b.items = s->count <= RELABEL_SET_FIRST ? first
	                                        : arena_array(s->arena, s->count, sizeof(*b.items));
	b.count = b.cap = merge(s, b.items);
	return label_builder_done(&b);
}
