#include "storage/head/packs.h"
#include <string.h>

#define FEW_FIRST  2u
#define MANY_FIRST 4u

static struct pack *item_new(struct slab *m, const struct pack *head, const uint8_t *data)
{
	struct pack *x = slab_take(m, packs_item_bytes(head));
	memcpy(x, head, PACK_HEAD);
	memcpy(x->data, data, head->size);
	return x;
}

/* Places for the arrays of so many packs in the array of arrays. */
static uint32_t leaves_cap(uint32_t cap)
{
	uint32_t n = MANY_FIRST;
	while (n < cap / PACKS_LEAF)
		n *= 2;
	return n;
}

static void few_grow(struct packs *p, struct slab *m)
{
	uint32_t cap = p->cap ? p->cap * 2 : FEW_FIRST;
	struct pack **to = slab_take(m, cap * sizeof(*to));
	if (p->count)
		memcpy(to, p->few, p->count * sizeof(*to));
	slab_give(m, p->few, p->cap * sizeof(*to));
	p->few = to;
	p->cap = cap;
}

static void many_grow(struct packs *p, struct slab *m)
{
	uint32_t leaves = p->cap / PACKS_LEAF, has = leaves_cap(p->cap);
	uint32_t wants = leaves_cap(p->cap + PACKS_LEAF);
	if (leaves == 1 || wants > has) {
		struct pack ***to = slab_take(m, wants * sizeof(*to));
		if (leaves == 1) {
			to[0] = p->few;
		} else {
			memcpy(to, p->many, leaves * sizeof(*to));
			slab_give(m, p->many, has * sizeof(*to));
		}
		p->many = to;
	}
	p->many[leaves] = slab_take(m, PACKS_LEAF * sizeof(**p->many));
	p->cap += PACKS_LEAF;
}

void packs_add(struct packs *p, struct slab *m, const struct pack *head, const uint8_t *data)
{
	CHECK(head->count > 0);
	CHECK(!p->count || pack_t_max(packs_at(p, p->count - 1)) < head->t_min_ms);
	if (p->count == p->cap) {
		CHECK(p->cap <= UINT32_MAX - PACKS_LEAF);
		if (p->cap < PACKS_LEAF)
			few_grow(p, m);
		else
			many_grow(p, m);
	}
	struct pack *x = item_new(m, head, data);
	*packs_place(p, p->count++) = x;
	p->rows += x->count;
	p->bytes += packs_item_bytes(x);
}

static void item_free(struct packs *p, struct slab *m, struct pack *x)
{
	p->rows -= x->count;
	p->bytes -= packs_item_bytes(x);
	slab_give(m, x, packs_item_bytes(x));
}

void packs_set(
    struct packs *p, struct slab *m, uint32_t i, const struct pack *head, const uint8_t *data)
{
	CHECK(i < p->count);
	struct pack **at = packs_place(p, i), *was = *at;
	*at = item_new(m, head, data);
	p->rows += head->count;
	p->bytes += packs_item_bytes(*at);
	item_free(p, m, was);
}

uint32_t packs_seek(const struct packs *p, int64_t t_ms)
{
	uint32_t lo = 0, hi = p->count;
	/* Repeats and late rows are mostly near the end. */
	if (hi && pack_t_max(packs_at(p, hi - 1)) < t_ms)
		return hi;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (pack_t_max(packs_at(p, mid)) < t_ms)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* No pack is left. */
static void arrays_free(struct packs *p, struct slab *m)
{
	if (p->cap <= PACKS_LEAF) {
		slab_give(m, p->few, p->cap * sizeof(*p->few));
	} else {
		for (uint32_t i = 0; i < p->cap / PACKS_LEAF; i++)
			slab_give(m, p->many[i], PACKS_LEAF * sizeof(**p->many));
		slab_give(m, p->many, leaves_cap(p->cap) * sizeof(*p->many));
	}
	CHECK(p->rows == 0 && p->bytes == 0);
	*p = (struct packs){ 0 };
}

uint32_t packs_free_some(struct packs *p, struct slab *m, uint32_t max)
{
	uint32_t n = 0;
	for (; n < max && p->count; n++)
		item_free(p, m, packs_at(p, --p->count));
	if (!p->count)
		arrays_free(p, m);
	return n;
}

void packs_release(struct packs *p, struct slab *m)
{
	(void)packs_free_some(p, m, UINT32_MAX);
}
