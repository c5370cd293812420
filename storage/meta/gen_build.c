#include "storage/meta/gen.h"

#include "core/base/arena.h"
#include "core/base/bytes.h"
#include "core/base/hash.h"
#include "core/base/num.h"
#include "core/base/wire.h"

#include <stdlib.h>

/* Ids lie together mostly: a pair keeps them as runs, the first one in itself. */
struct run {
	uint32_t first, last;
};
struct pair {
	const uint8_t *label; /* its canonical bytes, the caller's */
	uint32_t len, hash;
	const char *value;
	uint32_t value_len;
	uint32_t name;
	uint32_t next; /* of the same name, index + 1 */
	uint32_t more_count, more_cap;
	struct run run, *more; /* the last run is more[more_count - 1] */
	uint32_t ids;
};
struct name {
	const char *text;
	uint32_t len, pairs; /* pairs: the first, index + 1 */
};
/* A label of the series before: the next one often has the same at the same place. */
struct place {
	const uint8_t *label;
	uint32_t len, pair;
};
struct gen_builder {
	uint64_t seed;
	struct pair *pairs;
	size_t pairs_count, pairs_cap;
	uint32_t *slots; /* index + 1 */
	size_t slots_count;
	struct name *names;
	size_t names_count, names_cap;
	struct place *places;
	size_t places_count, places_cap;
	struct run *all;
	size_t all_count, all_cap;
	uint64_t series;
};

#define ROOM(array, count, cap)                                                                    \
 do {                                                                                              \
  if ((count) == (cap)) {                                                                          \
   (cap) = (cap) ? 2 * (cap) : 16;                                                                 \
   (array) = mem_array((array), (cap), sizeof(*(array)));                                          \
  }                                                                                                \
 } while (0)

struct gen_builder *gen_builder_create(uint64_t seed)
{
	struct gen_builder *b = mem_zalloc(sizeof(*b));
	b->seed = seed;
	return b;
}

void gen_builder_free(struct gen_builder *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->pairs_count; i++)
		mem_free(b->pairs[i].more);
	mem_free(b->pairs);
	mem_free(b->slots);
	mem_free(b->names);
	mem_free(b->places);
	mem_free(b->all);
	mem_free(b);
}

uint64_t gen_builder_series(const struct gen_builder *b)
{
	return b->series;
}

static void slots_grow(struct gen_builder *b)
{
	mem_free(b->slots);
	b->slots_count = b->slots_count ? 2 * b->slots_count : 1024;
	b->slots = mem_zalloc(b->slots_count * sizeof(*b->slots));
	for (size_t i = 0; i < b->pairs_count; i++) {
		size_t at = b->pairs[i].hash & (b->slots_count - 1);
		while (b->slots[at])
			at = (at + 1) & (b->slots_count - 1);
		b->slots[at] = (uint32_t)i + 1;
	}
}

static uint32_t name_of(struct gen_builder *b, const struct label *l)
{
	for (size_t i = 0; i < b->names_count; i++)
		if (bytes_equal(b->names[i].text, b->names[i].len, l->name, l->name_len))
			return (uint32_t)i;
	ROOM(b->names, b->names_count, b->names_cap);
	b->names[b->names_count++] = (struct name){ .text = l->name, .len = l->name_len };
	return (uint32_t)b->names_count - 1;
}

/* The pair of a label with these bytes. */
static uint32_t pair_of(
    struct gen_builder *b, const uint8_t *label, uint32_t len, const struct label *l)
{
	uint32_t hash = (uint32_t)hash64(label, len, b->seed);
	if (b->pairs_count * 2 >= b->slots_count)
		slots_grow(b);
	size_t at = hash & (b->slots_count - 1);
	for (; b->slots[at]; at = (at + 1) & (b->slots_count - 1)) {
		const struct pair *p = &b->pairs[b->slots[at] - 1];
		if (p->hash == hash && bytes_equal(p->label, p->len, label, len))
			return b->slots[at] - 1;
	}
	uint32_t name = name_of(b, l);
	ROOM(b->pairs, b->pairs_count, b->pairs_cap);
	b->pairs[b->pairs_count] = (struct pair){ .label = label,
		.len = len,
		.hash = hash,
		.value = l->value,
		.value_len = l->value_len,
		.name = name,
		.next = b->names[name].pairs };
	b->slots[at] = b->names[name].pairs = (uint32_t)++b->pairs_count;
	return (uint32_t)b->pairs_count - 1;
}

static void pair_add(struct pair *p, uint32_t id)
{
	struct run *last = p->more_count ? &p->more[p->more_count - 1] : &p->run;
	if (!p->ids) {
		p->run = (struct run){ id, id };
	} else if (id == last->last + 1) {
		last->last = id;
	} else if (id > last->last) {
		if (p->more_count == p->more_cap) {
			p->more_cap = p->more_cap ? 2 * p->more_cap : 4;
			p->more = mem_array(p->more, p->more_cap, sizeof(*p->more));
		}
		p->more[p->more_count++] = (struct run){ id, id };
	} else { /* a name twice in labels that are not canonical: once is enough */
		return;
	}
	p->ids++;
}

static void all_add(struct gen_builder *b, uint32_t id)
{
	struct run *last = b->all_count ? &b->all[b->all_count - 1] : NULL;
	b->series++;
	if (last && id == last->last + 1) {
		last->last = id;
		return;
	}
	CHECK(!last || id > last->last);
	ROOM(b->all, b->all_count, b->all_cap);
	b->all[b->all_count++] = (struct run){ id, id };
}

void gen_builder_add(struct gen_builder *b, uint32_t id, struct labels ls)
{
	struct label_iter it = label_iter(ls);
	size_t n = 0;
	all_add(b, id);
	for (;;) {
		const struct place *same = n < b->places_count ? &b->places[n] : NULL;
		const uint8_t *begin = it.p;
		struct label l;
		if (same && same->len <= (size_t)(it.end - it.p) &&
		    memcmp(same->label, it.p, same->len) == 0) {
			it.p += same->len;
			pair_add(&b->pairs[same->pair], id);
			n++;
			continue;
		}
		if (!label_next(&it, &l))
			break;
		if (!l.name_len || !l.value_len) /* the same as absent */
			continue;
		uint32_t len = (uint32_t)(it.p - begin), pair = pair_of(b, begin, len, &l);
		pair_add(&b->pairs[pair], id);
		if (n == b->places_cap) {
			b->places_cap = b->places_cap ? 2 * b->places_cap : 16;
			b->places = mem_array(b->places, b->places_cap, sizeof(*b->places));
		}
		b->places[n] = (struct place){ .label = begin, .len = len, .pair = pair };
		n++;
		b->places_count = n > b->places_count ? n : b->places_count;
	}
	b->places_count = n;
}

/* ---- writing ---- */

/*
 * Names or pairs, to be sorted by text. The key is the eight bytes behind what all texts share:
 * most comparisons end there.
 */
struct item {
	uint64_t key;
	const char *text;
	size_t len;
	const struct pair *pair;
};
struct items {
	struct item *v;
	size_t count, cap;
};

static struct item *items_add(struct items *to, const char *text, size_t len)
{
	ROOM(to->v, to->count, to->cap);
	struct item *i = &to->v[to->count++];
	*i = (struct item){ .text = text, .len = len };
	return i;
}

static int item_cmp(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return bytes_cmp(x->text, x->len, y->text, y->len);
}

static void items_sort(struct items *items)
{
	if (items->count < 2)
		return;
	size_t shared = items->v[0].len;
	for (size_t i = 1; i < items->count; i++) {
		size_t n = 0, most = items->v[i].len < shared ? items->v[i].len : shared;
		while (n < most && items->v[i].text[n] == items->v[0].text[n])
			n++;
		shared = n;
	}
	for (size_t i = 0; i < items->count; i++) {
		uint64_t key = 0;
		size_t n = items->v[i].len - shared;
		memcpy(&key, items->v[i].text + shared, n < 8 ? n : 8);
		items->v[i].key = __builtin_bswap64(key);
	}
	qsort(items->v, items->count, sizeof(*items->v), item_cmp);
}

struct ids {
	uint32_t *v;
	size_t count, cap;
};

static void ids_add(struct ids *to, const struct run *r)
{
	size_t n = (size_t)(r->last - r->first) + 1;
	if (to->cap - to->count < n) {
		to->cap = 2 * to->cap + n;
		to->v = mem_array(to->v, to->cap, sizeof(*to->v));
	}
	for (size_t i = 0; i < n; i++)
		to->v[to->count++] = r->first + (uint32_t)i;
}

static void write_pair(struct gen_writer *w, const struct item *i, struct ids *ids)
{
	const struct pair *p = i->pair;
	ids->count = 0;
	ids_add(ids, &p->run);
	for (uint32_t k = 0; k < p->more_count; k++)
		ids_add(ids, &p->more[k]);
	gen_writer_value(w, i->text, i->len, ids->v, ids->count);
}

enum err gen_write(struct env_txn *t, struct env_db *db, uint32_t gen, uint32_t tenant,
    const struct gen_builder *b, uint64_t *bytes)
{
	struct gen_writer w;
	struct items names = { 0 }, values = { 0 };
	struct ids ids = { 0 };
	gen_writer_init(&w, t, db, gen, tenant);
	for (size_t i = 0; i < b->names_count; i++)
		items_add(&names, b->names[i].text, b->names[i].len)->pair =
		    &b->pairs[b->names[i].pairs - 1];
	items_sort(&names);
	for (size_t i = 0; i < names.count; i++) {
		const struct pair *p = names.v[i].pair;
		values.count = 0;
		for (;;) {
			items_add(&values, p->value, p->value_len)->pair = p;
			if (!p->next)
				break;
			p = &b->pairs[p->next - 1];
		}
		items_sort(&values);
		gen_writer_name(&w, names.v[i].text, names.v[i].len);
		for (size_t j = 0; j < values.count; j++)
			write_pair(&w, &values.v[j], &ids);
	}
	ids.count = 0;
	for (size_t i = 0; i < b->all_count; i++)
		ids_add(&ids, &b->all[i]);
	enum err e = gen_writer_finish(&w, ids.v, ids.count);
	*bytes += w.bytes;
	mem_free(names.v);
	mem_free(values.v);
	mem_free(ids.v);
	return e;
}
