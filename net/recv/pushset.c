#include "net/recv/pushset.h"

#include "core/base/mem.h"

#define FIRST 64u

void pushset_release(struct pushset *s)
{
	mem_free(s->entries);
	*s = (struct pushset){ 0 };
}

static size_t place(const struct pushset *s, uint64_t hash)
{
	size_t at = hash & s->mask;
	while (s->entries[at].count && s->entries[at].hash != hash)
		at = (at + 1) & s->mask;
	return at;
}

const struct pushset_entry *pushset_find(const struct pushset *s, uint64_t hash)
{
	size_t at = s->entries ? place(s, hash) : 0;
	return s->entries && s->entries[at].count ? &s->entries[at] : NULL;
}

static void grow(struct pushset *s)
{
	size_t count = s->entries ? 2 * (s->mask + 1) : FIRST;
	struct pushset more = { .entries = mem_zalloc(count * sizeof(*more.entries)),
		.mask = count - 1,
		.count = s->count };
	for (size_t i = 0; s->entries && i <= s->mask; i++)
		if (s->entries[i].count)
			more.entries[place(&more, s->entries[i].hash)] = s->entries[i];
	mem_free(s->entries);
	*s = more;
}

void pushset_add(struct pushset *s, uint64_t hash, uint8_t type)
{
	if (!s->entries || 2 * s->count > s->mask)
		grow(s);
	struct pushset_entry *e = &s->entries[place(s, hash)];
	s->count += !e->count;
	e->hash = hash;
	e->type = type;
	e->count++;
}

/* What stands behind a free place moves up, so that it is found again. */
static void close_gap(struct pushset *s, size_t gap)
{
	for (size_t at = (gap + 1) & s->mask; s->entries[at].count; at = (at + 1) & s->mask) {
		size_t home = s->entries[at].hash & s->mask;
		if (((at - home) & s->mask) < ((at - gap) & s->mask))
			continue;
		s->entries[gap] = s->entries[at];
		s->entries[at].count = 0;
		gap = at;
	}
}

void pushset_remove(struct pushset *s, uint64_t hash)
{
	size_t at = place(s, hash);
	CHECK(s->entries[at].count);
	if (--s->entries[at].count)
		return;
	s->count--;
	close_gap(s, at);
}
