#include "storage/read/chosen.h"

#include "core/base/mem.h"

#define IDS_AT_ONCE  64u
#define BITS_IDS_MIN 64u
#define BITS_IDS_MAX (1u << 16)

void chosen_set(struct chosen *c, roaring_bitmap_t *ids)
{
	c->ids = ids;
	c->count = roaring_bitmap_get_cardinality(ids);
}

void chosen_bits(struct chosen *c)
{
	uint32_t ids[IDS_AT_ONCE], last;
	size_t n;
	if (c->bits || c->count < BITS_IDS_MIN || c->count > BITS_IDS_MAX)
		return;
	last = roaring_bitmap_maximum(c->ids);
	if (last / 8 > c->count * CHOSEN_BITS_BYTES)
		return;
	c->bits_end = last + 1;
	c->bits = mem_zalloc((last / 64 + 1) * sizeof(*c->bits));
	for (uint64_t from = 0; from <= last; from = (uint64_t)ids[n - 1] + 1) {
		n = postings_bitmap_from(c->ids, (uint32_t)from, ids, IDS_AT_ONCE);
		for (size_t i = 0; i < n; i++)
			c->bits[ids[i] / 64] |= UINT64_C(1) << (ids[i] % 64);
	}
}

void chosen_leaves(struct chosen *c, uint32_t id)
{
	if (!c->gone)
		c->gone = postings_bitmap();
	roaring_bitmap_add(c->gone, id);
}

roaring_bitmap_t *chosen_without(const struct chosen *c, const struct tombs *tombs)
{
	roaring_bitmap_t *out = c->ids ? roaring_bitmap_copy(c->ids) : roaring_bitmap_create();
	if (!out)
		panic("out of memory: bitmap");
	if (c->gone)
		roaring_bitmap_andnot_inplace(out, c->gone);
	for (size_t i = 0; tombs && i < tombs->count; i++)
		roaring_bitmap_add(out, tombs->entries[i].id);
	return out;
}

uint64_t chosen_bytes(const struct chosen *c)
{
	return (c->ids ? roaring_bitmap_size_in_bytes(c->ids) : 0) +
	    (c->gone ? roaring_bitmap_size_in_bytes(c->gone) : 0) +
	    (c->bits ? (c->bits_end - 1) / 64 + 1 : 0) * sizeof(*c->bits);
}

void chosen_release(struct chosen *c)
{
	if (c->ids)
		roaring_bitmap_free(c->ids);
	if (c->gone)
		roaring_bitmap_free(c->gone);
	mem_free(c->bits);
	*c = (struct chosen){ 0 };
}
