#include "storage/head/exemplars.h"

#include "core/base/mem.h"

#define RING_FIRST 2u

static size_t ring_bytes(uint32_t cap)
{
	return sizeof(struct exemplars_ring) + cap * sizeof(struct exemplars_item *);
}

static struct exemplars_ring **ring_at(const struct exemplars *x, uint32_t id)
{
	uint32_t page = id / EXEMPLARS_PAGE;
	if (page >= x->pages_count || !x->pages[page])
		return NULL;
	return &x->pages[page]->rings[id % EXEMPLARS_PAGE];
}

const struct exemplars_ring *exemplars_of(const struct exemplars *x, uint32_t id)
{
	struct exemplars_ring **at = ring_at(x, id);
	return at ? *at : NULL;
}

static struct exemplars_ring **ring_make(struct exemplars *x, struct slab *m, uint32_t id)
{
	uint32_t page = id / EXEMPLARS_PAGE;
	if (page >= x->pages_count) {
		uint32_t count = page + 1 + page / 2;
		x->pages = mem_array(x->pages, count, sizeof(struct exemplars_page *));
		memset(x->pages + x->pages_count, 0,
		    (count - x->pages_count) * sizeof(struct exemplars_page *));
		x->pages_count = count;
	}
	if (!x->pages[page]) {
		x->pages[page] = slab_take(m, sizeof(struct exemplars_page));
		memset(x->pages[page], 0, sizeof(struct exemplars_page));
	}
	struct exemplars_ring **at = &x->pages[page]->rings[id % EXEMPLARS_PAGE];
	if (!*at) {
		*at = slab_take(m, ring_bytes(RING_FIRST));
		**at = (struct exemplars_ring){ .cap = RING_FIRST };
		x->pages[page]->used++;
	}
	return at;
}

static void item_free(struct slab *m, struct exemplars_item *e)
{
	slab_give(m, e, sizeof(*e) + e->len);
}

/* A place at the end: the ring grows up to max, then the oldest goes. */
static struct exemplars_ring *ring_room(struct exemplars_ring **at, struct slab *m, uint32_t max)
{
	struct exemplars_ring *r = *at;
	if (r->count >= max) {
		uint32_t drop = r->count - max + 1;
		for (uint32_t i = 0; i < drop; i++)
			item_free(m, r->items[i]);
		r->count -= drop;
		memmove(r->items, r->items + drop, r->count * sizeof(struct exemplars_item *));
		r->fresh = r->fresh < r->count ? r->fresh : r->count;
	}
	if (r->count < r->cap)
		return r;
	struct exemplars_ring *big = slab_take(m, ring_bytes(r->cap * 2));
	memcpy(big, r, ring_bytes(r->cap));
	big->cap = r->cap * 2;
	slab_give(m, r, ring_bytes(r->cap));
	return *at = big;
}

static void fresh_note(struct exemplars *x, uint32_t id)
{
	if (x->fresh_count == x->fresh_cap) {
		x->fresh_cap = x->fresh_cap ? 2 * x->fresh_cap : 64;
		x->fresh = mem_array(x->fresh, x->fresh_cap, sizeof(*x->fresh));
	}
	x->fresh[x->fresh_count++] = id;
}

/* One that is not behind the newest: kept already, or too late. */
static enum exemplars_verdict not_newer(const struct exemplars_ring *r, const struct exemplar *e)
{
	for (uint32_t i = r->count; i > 0; i--) {
		struct exemplar old = exemplars_at(r, i - 1);
		if (exemplar_same(&old, e))
			return EXEMPLARS_DUPLICATE;
	}
	return EXEMPLARS_OUT_OF_ORDER;
}

enum exemplars_verdict exemplars_add(
    struct exemplars *x, struct slab *m, uint32_t id, const struct exemplar *e, uint32_t max)
{
	struct exemplars_ring **at = ring_make(x, m, id), *r = *at;
	if (r->count) {
		struct exemplar newest = exemplars_at(r, r->count - 1);
		if (exemplar_cmp(e, &newest) <= 0)
			return not_newer(r, e);
	}
	if (!r->fresh)
		fresh_note(x, id);
	r = ring_room(at, m, max);
	struct exemplars_item *item = slab_take(m, sizeof(*item) + e->labels.len);
	*item = (struct exemplars_item){ .t_ms = e->t_ms, .v = e->v, .len = e->labels.len };
	if (e->labels.len)
		memcpy(item->labels, e->labels.bytes, e->labels.len);
	r->items[r->count++] = item;
	r->fresh++;
	return EXEMPLARS_NEW;
}

bool exemplars_take(struct exemplars *x, uint32_t *id, struct buf *out, int64_t *t_max_ms)
{
	while (x->fresh_count) {
		struct exemplars_ring **at;
		*id = x->fresh[--x->fresh_count];
		at = ring_at(x, *id);
		if (!at || !*at || !(*at)->fresh)
			continue;
		struct exemplars_ring *r = *at;
		for (uint32_t i = r->count - r->fresh; i < r->count; i++) {
			struct exemplar e = exemplars_at(r, i);
			exemplar_put(out, &e);
			*t_max_ms = e.t_ms;
		}
		r->fresh = 0;
		return true;
	}
	mem_free(x->fresh);
	x->fresh = NULL;
	x->fresh_cap = 0;
	return false;
}

void exemplars_drop(struct exemplars *x, struct slab *m, uint32_t id)
{
	struct exemplars_ring **at = ring_at(x, id), *r = at ? *at : NULL;
	struct exemplars_page **page;
	if (!r)
		return;
	for (uint32_t i = 0; i < r->count; i++)
		item_free(m, r->items[i]);
	slab_give(m, r, ring_bytes(r->cap));
	*at = NULL;
	page = &x->pages[id / EXEMPLARS_PAGE];
	if (--(*page)->used)
		return;
	slab_give(m, *page, sizeof(**page));
	*page = NULL;
}

void exemplars_cut(
    struct exemplars *x, struct slab *m, uint32_t id, int64_t t_min_ms, int64_t t_max_ms)
{
	struct exemplars_ring **at = ring_at(x, id), *r = at ? *at : NULL;
	uint32_t kept = 0, fresh = 0;
	for (uint32_t i = 0; r && i < r->count; i++) {
		struct exemplars_item *e = r->items[i];
		if (e->t_ms >= t_min_ms && e->t_ms <= t_max_ms) {
			item_free(m, e);
			continue;
		}
		fresh += i >= r->count - r->fresh;
		r->items[kept++] = e;
	}
	if (!r)
		return;
	r->count = kept;
	r->fresh = fresh;
	if (!kept)
		exemplars_drop(x, m, id);
}

void exemplars_release(struct exemplars *x, struct slab *m)
{
	for (uint32_t page = 0; page < x->pages_count; page++)
		for (uint32_t i = 0; i < EXEMPLARS_PAGE && x->pages[page]; i++)
			exemplars_drop(x, m, page * EXEMPLARS_PAGE + i);
	mem_free(x->pages);
	mem_free(x->fresh);
	*x = (struct exemplars){ 0 };
}

size_t exemplars_bytes(const struct exemplars *x)
{
	return x->pages_count * sizeof(struct exemplars_page *) + x->fresh_cap * sizeof(*x->fresh);
}
