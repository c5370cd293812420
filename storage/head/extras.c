#include "storage/head/extras.h"
#include "core/model/hist.h"
#include <string.h>

static size_t block_bytes(uint32_t cap)
{
	return sizeof(struct extras_block) + (size_t)cap * sizeof(struct extras_item);
}

static void *take(struct extras *x, struct slab *m, size_t bytes)
{
	x->bytes += bytes;
	return slab_take(m, bytes);
}

static void give(struct extras *x, struct slab *m, void *p, size_t bytes)
{
	if (!p)
		return;
	CHECK(x->bytes >= bytes);
	x->bytes -= bytes;
	slab_give(m, p, bytes);
}

/* The block a time belongs into: the last one that begins at or before it, else the first. */
static uint32_t block_for(const struct extras *x, int64_t t_ms)
{
	uint32_t lo = 0, hi = x->blocks_count;
	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (x->blocks[mid]->items[0].t_ms <= t_ms)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

/* First item that is not before t. */
static uint32_t place_in(const struct extras_block *b, int64_t t_ms)
{
	uint32_t lo = 0, hi = b->count;
	if (hi && b->items[hi - 1].t_ms < t_ms)
		return hi;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (b->items[mid].t_ms < t_ms)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct extras_item *find(const struct extras *x, int64_t t_ms, uint32_t *block)
{
	if (!x || !x->blocks_count)
		return NULL;
	*block = block_for(x, t_ms);
	struct extras_block *b = x->blocks[*block];
	uint32_t i = place_in(b, t_ms);
	return i < b->count && b->items[i].t_ms == t_ms ? &b->items[i] : NULL;
}

const struct extras_item *extras_find(const struct extras *x, int64_t t_ms)
{
	uint32_t block;
	return find(x, t_ms, &block);
}

bool extras_same(const struct extras *x, int64_t t_ms, const struct extra *e)
{
	const struct extras_item *i = extras_find(x, t_ms);
	if (!i || !e)
		return !i && !e;
	return i->start_ms == e->start_ms && !i->hist == !e->hist && i->hist_len == e->hist_len &&
	    (!e->hist_len || !memcmp(i->hist, e->hist, e->hist_len));
}

uint32_t extras_cost_some(const struct extras *x, int64_t from_ms, uint32_t n, int64_t *t_ms)
{
	uint32_t cost = 0;
	for (uint32_t b = block_for(x, from_ms); b < x->blocks_count && cost < n; b++) {
		const struct extras_block *blk = x->blocks[b];
		for (uint32_t i = place_in(blk, from_ms); i < blk->count && cost < n; i++) {
			cost += 8 + blk->items[i].hist_len / 4;
			*t_ms = blk->items[i].t_ms;
		}
	}
	return cost;
}

static void item_fill(
    struct extras *x, struct slab *m, struct extras_item *i, int64_t t_ms, const struct extra *e)
{
	*i = (struct extras_item){ .t_ms = t_ms, .start_ms = e->start_ms };
	if (!e->hist)
		return;
	CHECK(e->hist_len > 0);
	i->hist = take(x, m, e->hist_len);
	i->hist_len = e->hist_len;
	memcpy(i->hist, e->hist, e->hist_len);
}

static struct extras_block *block_new(struct extras *x, struct slab *m, uint32_t cap)
{
	struct extras_block *b = take(x, m, block_bytes(cap));
	b->count = 0;
	b->cap = cap;
	return b;
}

static void blocks_open(struct extras *x, struct slab *m, uint32_t at, struct extras_block *b)
{
	if (x->blocks_count == x->blocks_cap) {
		uint32_t cap = x->blocks_cap ? x->blocks_cap * 2 : 2;
		struct extras_block **to = take(x, m, cap * sizeof(*to));
		if (x->blocks_count)
			memcpy(to, x->blocks, x->blocks_count * sizeof(*to));
		give(x, m, x->blocks, x->blocks_cap * sizeof(*to));
		x->blocks = to;
		x->blocks_cap = cap;
	}
	memmove(x->blocks + at + 1, x->blocks + at, (x->blocks_count - at) * sizeof(*x->blocks));
	x->blocks[at] = b;
	x->blocks_count++;
}

static void items_move(struct extras_block *to, struct extras_block *b, uint32_t from)
{
	to->count = b->count - from;
	memcpy(to->items, b->items + from, to->count * sizeof(*to->items));
	b->count = from;
}

/* The block at `at` is full: the one with room for this time. */
static struct extras_block *block_room(struct extras *x, struct slab *m, uint32_t at, int64_t t_ms)
{
	struct extras_block *b = x->blocks[at];
	if (b->cap < EXTRAS_BLOCK) {
		struct extras_block *big = block_new(x, m, b->cap * 2);
		items_move(big, b, 0);
		give(x, m, b, block_bytes(b->cap));
		return x->blocks[at] = big;
	}
	/* Items that come in order leave full blocks behind, others halves. */
	bool last = t_ms > b->items[b->count - 1].t_ms;
	struct extras_block *right = block_new(x, m, last ? 4 : EXTRAS_BLOCK);
	items_move(right, b, last ? b->count : b->count / 2);
	blocks_open(x, m, at + 1, right);
	return !right->count || t_ms >= right->items[0].t_ms ? right : b;
}

static void insert(struct extras *x, struct slab *m, int64_t t_ms, const struct extra *e)
{
	if (!x->blocks_count)
		blocks_open(x, m, 0, block_new(x, m, 4));
	uint32_t at = block_for(x, t_ms);
	struct extras_block *b = x->blocks[at];
	if (b->count == b->cap)
		b = block_room(x, m, at, t_ms);
	uint32_t i = place_in(b, t_ms);
	memmove(b->items + i + 1, b->items + i, (b->count - i) * sizeof(*b->items));
	b->count++;
	item_fill(x, m, &b->items[i], t_ms, e);
}

static void remove_item(struct extras *x, struct slab *m, uint32_t at, struct extras_item *i)
{
	struct extras_block *b = x->blocks[at];
	uint32_t behind = b->count - (uint32_t)(i - b->items) - 1;
	give(x, m, i->hist, i->hist_len);
	memmove(i, i + 1, behind * sizeof(*i));
	if (--b->count)
		return;
	give(x, m, b, block_bytes(b->cap));
	x->blocks_count--;
	memmove(x->blocks + at, x->blocks + at + 1, (x->blocks_count - at) * sizeof(*x->blocks));
}

void extras_put(struct extras **x, struct slab *m, int64_t t_ms, const struct extra *e)
{
	uint32_t at = 0;
	struct extras_item *i = find(*x, t_ms, &at);
	if (i && e) {
		give(*x, m, i->hist, i->hist_len);
		item_fill(*x, m, i, t_ms, e);
	} else if (i) {
		remove_item(*x, m, at, i);
	} else if (e) {
		if (!*x) {
			*x = slab_take(m, sizeof(**x));
			**x = (struct extras){ .bytes = sizeof(**x) };
		}
		insert(*x, m, t_ms, e);
	}
}

uint32_t extras_free_some(struct extras **at, struct slab *m, uint32_t max)
{
	struct extras *x = *at;
	uint32_t n = 0;
	if (!x)
		return 0;
	for (; n < max && x->blocks_count; n++) {
		struct extras_block *b = x->blocks[--x->blocks_count];
		for (uint32_t i = 0; i < b->count; i++)
			give(x, m, b->items[i].hist, b->items[i].hist_len);
		give(x, m, b, block_bytes(b->cap));
	}
	if (x->blocks_count)
		return n;
	give(x, m, x->blocks, x->blocks_cap * sizeof(*x->blocks));
	CHECK(x->bytes == sizeof(*x));
	slab_give(m, x, sizeof(*x));
	*at = NULL;
	return n;
}

static enum err item_set(struct column *out, uint32_t row, const struct extras_item *i)
{
	struct hist *h = NULL;
	if (i->hist) {
		struct arena *a = column_memory(out);
		h = arena_alloc(a, sizeof(*h));
		if (hist_decode(a, i->hist, i->hist_len, h, NULL))
			return ERR_DAMAGED;
	}
	column_set(out, row, h, i->start_ms);
	return ERR_OK;
}

enum err extras_read(const struct extras *x, int64_t t_min_ms, int64_t t_max_ms, struct column *out)
{
	uint32_t row = 0;
	if (!x->blocks_count)
		return ERR_OK;
	for (uint32_t b = block_for(x, t_min_ms); b < x->blocks_count; b++) {
		const struct extras_block *blk = x->blocks[b];
		for (uint32_t k = place_in(blk, t_min_ms); k < blk->count; k++) {
			const struct extras_item *i = &blk->items[k];
			if (i->t_ms > t_max_ms)
				return ERR_OK;
			while (row < out->count && out->t_ms[row] < i->t_ms)
				row++;
			if (row == out->count || out->t_ms[row] != i->t_ms)
				return ERR_DAMAGED;
			enum err e = item_set(out, row, i);
			if (e)
				return e;
		}
	}
	return ERR_OK;
}
