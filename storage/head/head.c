#include "storage/head/head.h"
#include "core/base/arena.h"
#include "core/base/tally.h"
#include "storage/meta/postings.h"
#include <stdlib.h>

void head_init(struct head *h, struct slab *mem, uint64_t seed)
{
	*h = (struct head){ .mem = mem, .seed = seed };
}

/* ---- tenants ---- */

static uint32_t tenant_place(const struct head *h, uint32_t tenant)
{
	uint32_t lo = 0, hi = h->tenants_count;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (h->tenants[mid].tenant < tenant)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct postings *head_postings(const struct head *h, uint32_t tenant)
{
	uint32_t i = tenant_place(h, tenant);
	return i < h->tenants_count && h->tenants[i].tenant == tenant ? h->tenants[i].postings : NULL;
}

/* Label bytes of a series lie still from head_define to head_drop: postings borrow them. */
static bool labels_of(void *arg, uint32_t id, struct labels *out)
{
	const struct series *s = head_by_id(arg, id);
	if (s)
		*out = series_labels(s);
	return s != NULL;
}

/* Postings of tenants[i] change from here on; bytes of the last one stay as they are. */
static void postings_change(struct head *h, uint32_t i)
{
	if (LIKELY(h->changed == i))
		return;
	struct head_tenant *was = &h->tenants[h->changed];
	was->bytes = postings_bytes(was->postings);
	h->postings_bytes += was->bytes - h->tenants[i].bytes;
	h->changed = i;
}

static struct postings *postings_of(struct head *h, uint32_t tenant)
{
	uint32_t i = tenant_place(h, tenant);
	if (LIKELY(i < h->tenants_count && h->tenants[i].tenant == tenant)) {
		postings_change(h, i);
		return h->tenants[i].postings;
	}
	h->tenants = mem_array(h->tenants, h->tenants_count + 1, sizeof *h->tenants);
	memmove(h->tenants + i + 1, h->tenants + i, (h->tenants_count - i) * sizeof *h->tenants);
	h->tenants_count++;
	h->tenants[i] = (struct head_tenant){ .tenant = tenant,
		.postings = postings_create(
		    h->seed, &(struct postings_labels){ .get = labels_of, .arg = h }) };
	if (h->tenants_count > 1) {
		h->changed += h->changed >= i; /* it has moved up */
		postings_change(h, i);
	}
	return h->tenants[i].postings;
}

void head_release(struct head *h)
{
	for (uint32_t slot = 0; slot < h->slots_count; slot++) {
		struct series *s = head_at(h, slot);
		if (!(s->flags & SERIES_USED))
			continue;
		series_release(s, h->mem, &h->stats);
		slab_give(h->mem, (void *)(uintptr_t)s->labels, s->labels_len);
	}
	unsigned all = UINT32_MAX;
	CHECK(series_run_free(&h->going, h->mem, &all));
	exemplars_release(&h->exemplars, h->mem);
	for (uint32_t i = 0; i < HEAD_CHUNKS_MAX; i++)
		slab_unmap(h->chunks[i], SLAB_REGION_BYTES);
	slotmap_release(&h->map);
	for (uint32_t i = 0; i < h->id_pages_count; i++)
		slab_give(h->mem, h->id_pages[i], sizeof(struct head_id_page));
	mem_free(h->id_pages);
	mem_free(h->free_slots);
	mem_free(h->frozen);
	for (uint32_t i = 0; i < h->tenants_count; i++)
		postings_free(h->tenants[i].postings);
	mem_free(h->tenants);
	*h = (struct head){ 0 };
}

/* ---- slots and ids ---- */

static uint32_t slot_new(struct head *h)
{
	if (h->free_slots_count)
		return h->free_slots[--h->free_slots_count];
	uint32_t slot = h->slots_count, chunk = slot / HEAD_CHUNK;
	CHECK(chunk < HEAD_CHUNKS_MAX); /* 32 M a shard: over any series limit */
	/*
	 * Small pages: neighbours are walked in order, and the shards of a loop reach a new piece
	 * at about the same time: zeroing 16 huge pages took a turn 6 ms.
	 */
	if (!h->chunks[chunk])
		h->chunks[chunk] = slab_map(SLAB_REGION_BYTES);
	h->slots_count++;
	return slot;
}

static void slot_free(struct head *h, uint32_t slot)
{
	if (h->free_slots_count == h->free_slots_cap) {
		h->free_slots_cap = h->free_slots_cap ? h->free_slots_cap * 2 : 256;
		h->free_slots = mem_array(h->free_slots, h->free_slots_cap, sizeof *h->free_slots);
	}
	h->free_slots[h->free_slots_count++] = slot;
}

static void id_set(struct head *h, uint32_t id, uint32_t slot)
{
	uint32_t page = id / HEAD_ID_PAGE;
	if (page >= h->id_pages_count) {
		uint32_t count = h->id_pages_count ? h->id_pages_count : 64;
		while (count <= page)
			count *= 2;
		h->id_pages = mem_array(h->id_pages, count, sizeof *h->id_pages);
		memset(h->id_pages + h->id_pages_count, 0,
		    (count - h->id_pages_count) * sizeof *h->id_pages);
		h->id_pages_count = count;
	}
	struct head_id_page *p = h->id_pages[page];
	if (!p) {
		p = h->id_pages[page] = slab_take(h->mem, sizeof *p);
		memset(p->slots, 0xff, sizeof p->slots);
		p->used = 0;
	}
	uint32_t *at = &p->slots[id % HEAD_ID_PAGE];
	p->used += (uint32_t)(slot != SERIES_NONE) - (uint32_t)(*at != SERIES_NONE);
	*at = slot;
	if (!p->used) {
		slab_give(h->mem, p, sizeof *p);
		h->id_pages[page] = NULL;
	}
}

static uint32_t series_new(struct head *h, uint32_t id, uint32_t flags)
{
	CHECK(head_slot_by_id(h, id) == SERIES_NONE);
	uint32_t slot = slot_new(h);
	struct series *s = head_at(h, slot);
	CHECK(!(s->flags & SERIES_USED));
	*s = (struct series){ .id = id,
		.t_newest_ms = INT64_MIN,
		.at = SERIES_NONE,
		.flags = (uint8_t)(SERIES_USED | flags) };
	id_set(h, id, slot);
	h->series_count++;
	return slot;
}

static void series_label(struct head *h, uint32_t slot, uint64_t fp, uint32_t tenant, struct labels ls)
{
	struct series *s = head_at(h, slot);
	uint8_t *copy = NULL;
	CHECK(ls.len <= UINT16_MAX);
	if (ls.len) {
		copy = slab_take(h->mem, ls.len);
		memcpy(copy, ls.bytes, ls.len);
	}
	s->labels = copy;
	s->labels_len = (uint16_t)ls.len;
	s->tenant = tenant;
	h->labels_bytes += ls.len;
	slotmap_put(&h->map, fp, slot);
	postings_add(postings_of(h, tenant), s->id, series_labels(s));
}

uint32_t head_create(struct head *h, uint64_t fp, uint32_t tenant, uint32_t id, struct labels ls)
{
	uint32_t slot = series_new(h, id, 0);
	series_label(h, slot, fp, tenant, ls);
	return slot;
}

uint32_t head_create_counted(
    struct head *h, uint64_t fp, uint32_t tenant, uint32_t id, struct labels ls)
{
	if (h->tally)
		tally_add(h->tally, tenant, 1);
	return head_create(h, fp, tenant, id, ls);
}

uint32_t head_create_undefined(struct head *h, uint32_t id)
{
	return series_new(h, id, SERIES_UNDEFINED);
}

void head_define(struct head *h, uint32_t slot, uint64_t fp, uint32_t tenant, struct labels ls)
{
	struct series *s = head_at(h, slot);
	CHECK(s->flags & SERIES_UNDEFINED);
	if (h->tally)
		tally_add(h->tally, tenant, 1);
	s->flags &= (uint8_t)~SERIES_UNDEFINED;
	series_label(h, slot, fp, tenant, ls);
}

void head_shadow(struct head *h, uint32_t slot, uint64_t fp)
{
	struct series *s = head_at(h, slot);
	CHECK(!(s->flags & (SERIES_UNDEFINED | SERIES_SHADOWED)));
	slotmap_cut(&h->map, fp, slot);
	s->flags |= SERIES_SHADOWED;
}

struct labels head_drop_but_labels(struct head *h, uint32_t slot, uint64_t fp)
{
	struct series *s = head_at(h, slot);
	struct labels ls = series_labels(s);
	CHECK(s->flags & SERIES_USED);
	CHECK(!series_frozen(s));
	if (!(s->flags & SERIES_UNDEFINED)) {
		if (h->tally)
			tally_sub(h->tally, s->tenant, 1);
		postings_del(postings_of(h, s->tenant), s->id, series_labels(s));
		if (!(s->flags & SERIES_SHADOWED))
			slotmap_cut(&h->map, fp, slot);
	}
	series_release(s, h->mem, &h->stats);
	exemplars_drop(&h->exemplars, h->mem, s->id);
	id_set(h, s->id, SERIES_NONE);
	*s = (struct series){ .at = SERIES_NONE, .tenant = SERIES_FREE_TENANT };
	h->series_count--;
	slot_free(h, slot);
	return ls;
}

void head_labels_give(struct head *h, struct labels ls)
{
	h->labels_bytes -= ls.len;
	slab_give(h->mem, (void *)(uintptr_t)ls.bytes, ls.len);
}

void head_drop(struct head *h, uint32_t slot, uint64_t fp)
{
	head_labels_give(h, head_drop_but_labels(h, slot, fp));
}

void head_cut(struct head *h, uint32_t slot, int64_t t_min_ms, int64_t t_max_ms)
{
	struct series *s = head_at(h, slot);
	CHECK(s->flags & SERIES_USED);
	(void)series_cut(s, h->mem, &h->stats, t_min_ms, t_max_ms);
	exemplars_cut(&h->exemplars, h->mem, s->id, t_min_ms, t_max_ms);
}

/* ---- finding ---- */

static inline bool series_is(
    const struct series *s, uint32_t tenant, const uint8_t *labels, uint32_t len)
{
	return s->tenant == tenant &&
	    label_equal(series_labels(s), (struct labels){ .bytes = labels, .len = len });
}

uint32_t head_find(const struct head *h, uint64_t fp, uint32_t tenant, struct labels ls)
{
	struct slotmap_look l = slotmap_look(&h->map, fp);
	uint32_t slot = slotmap_next(&l);
	while (slot != SLOTMAP_NONE && !series_is(head_at(h, slot), tenant, ls.bytes, ls.len))
		slot = slotmap_next(&l);
	return slot;
}

/* ---- rounds ---- */

void head_freeze_begin(struct head *h)
{
	CHECK(h->frozen_count == 0);
	h->freeze_slot = 0;
	h->freeze_end = h->slots_count;
}

static void frozen_note(struct head *h, uint32_t slot)
{
	if (h->frozen_count == h->frozen_cap) {
		h->frozen_cap = h->frozen_cap ? h->frozen_cap * 2 : 1024;
		h->frozen = mem_array(h->frozen, h->frozen_cap, sizeof *h->frozen);
	}
	h->frozen[h->frozen_count++] = slot;
}

bool head_freeze(struct head *h, unsigned budget)
{
	slotmap_settle(&h->map, 4 * budget);
	for (; budget && h->freeze_slot < h->freeze_end; budget--) {
		uint32_t slot = h->freeze_slot++;
		struct series *s = head_at(h, slot);
		if (!(s->flags & SERIES_USED))
			continue;
		if (series_freeze(s, h->mem, &h->stats)) {
			s->idle = 0;
			frozen_note(h, slot);
		} else if (s->idle < UINT8_MAX) {
			s->idle++;
		}
	}
	return h->freeze_slot >= h->freeze_end;
}

static void frozen_end(struct head *h)
{
	mem_free(h->frozen);
	h->frozen = NULL;
	h->frozen_cap = 0;
}

bool head_frozen_drop(struct head *h, unsigned budget)
{
	while (budget) {
		if (!series_run_free(&h->going, h->mem, &budget))
			return false;
		if (!h->frozen_count)
			break;
		h->going =
		    series_frozen_take(head_at(h, h->frozen[--h->frozen_count]), h->mem, &h->stats);
		budget -= budget > 0;
	}
	if (h->frozen_count || h->going.tail.bytes || h->going.more)
		return false;
	frozen_end(h);
	return true;
}

size_t head_table_bytes(const struct head *h)
{
	return slotmap_bytes(&h->map);
}

size_t head_id_bytes(const struct head *h)
{
	return h->id_pages_count * sizeof *h->id_pages;
}

size_t head_bytes(const struct head *h)
{
	size_t bytes = h->slots_count * sizeof(struct series) + slotmap_bytes(&h->map) +
	    h->id_pages_count * sizeof *h->id_pages +
	    (h->free_slots_cap + h->frozen_cap) * sizeof(uint32_t) + exemplars_bytes(&h->exemplars);

	if (h->tenants_count)
		bytes += h->postings_bytes + postings_bytes(h->tenants[h->changed].postings);
	return bytes + h->tenants_count * sizeof *h->tenants;
}
