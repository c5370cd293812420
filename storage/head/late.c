#include "storage/head/late.h"
#include "core/base/arena.h"
#include <string.h>

static size_t block_bytes(uint32_t cap)
{
	return sizeof(struct late_block) + (size_t)cap * LATE_ROW;
}

static struct late_block *block_new(struct slab *m, uint32_t cap)
{
	struct late_block *b = slab_take(m, block_bytes(cap));
	b->count = 0;
	b->cap = cap;
	return b;
}

struct late *late_create(struct slab *m)
{
	struct late *l = slab_take(m, sizeof *l);
	*l = (struct late){ 0 };
	return l;
}

uint32_t late_free_some(struct late *l, struct slab *m, uint32_t max)
{
	uint32_t n = 0;
	for (; n < max && l->blocks_count; n++) {
		struct late_block *b = l->blocks[--l->blocks_count];
		l->count -= b->count;
		slab_give(m, b, block_bytes(b->cap));
	}
	return n;
}

void late_free(struct late *l, struct slab *m)
{
	if (!l)
		return;
	(void)late_free_some(l, m, UINT32_MAX);
	slab_give(m, l->blocks, l->blocks_cap * sizeof *l->blocks);
	slab_give(m, l, sizeof *l);
}

uint32_t late_block_for(const struct late *l, int64_t t_ms)
{
	uint32_t lo = 0, hi = l->blocks_count;
	if (hi && l->blocks[hi - 1]->t_ms[0] <= t_ms) /* history that comes in order */
		return hi - 1;
	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (l->blocks[mid]->t_ms[0] <= t_ms)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

/* First index whose time is not below t. */
static uint32_t place_in(const struct late_block *b, int64_t t)
{
	uint32_t lo = 0, hi = b->count;
	if (hi && b->t_ms[hi - 1] < t)
		return hi;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (b->t_ms[mid] < t)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

double *late_find(const struct late *l, int64_t t_ms)
{
	if (!l->blocks_count)
		return NULL;
	struct late_block *b = l->blocks[late_block_for(l, t_ms)];
	uint32_t i = place_in(b, t_ms);
	return i < b->count && b->t_ms[i] == t_ms ? late_block_v(b) + i : NULL;
}

static void blocks_open(struct late *l, struct slab *m, uint32_t at, struct late_block *b)
{
	if (l->blocks_count == l->blocks_cap) {
		uint32_t cap = l->blocks_cap ? l->blocks_cap * 2 : 2;
		struct late_block **to = slab_take(m, cap * sizeof(*to));
		if (l->blocks_count)
			memcpy(to, l->blocks, l->blocks_count * sizeof(*to));
		slab_give(m, l->blocks, l->blocks_cap * sizeof(*to));
		l->blocks = to;
		l->blocks_cap = cap;
	}
	memmove(l->blocks + at + 1, l->blocks + at, (l->blocks_count - at) * sizeof(*l->blocks));
	l->blocks[at] = b;
	l->blocks_count++;
}

/* Copies rows from..to of b into an empty block. */
static void rows_copy(struct late_block *to, struct late_block *b, uint32_t from, uint32_t count)
{
	memcpy(to->t_ms, b->t_ms + from, count * sizeof(int64_t));
	memcpy(late_block_v(to), late_block_v(b) + from, count * sizeof(double));
	to->count = count;
}

static struct late_block *block_grow(struct late *l, struct slab *m, uint32_t at)
{
	struct late_block *b = l->blocks[at], *big = block_new(m, b->cap * 2);
	rows_copy(big, b, 0, b->count);
	slab_give(m, b, block_bytes(b->cap));
	l->blocks[at] = big;
	return big;
}

void late_insert(struct late *l, struct slab *m, int64_t t_ms, double v)
{
	if (!l->blocks_count)
		blocks_open(l, m, 0, block_new(m, 4));
	uint32_t at = late_block_for(l, t_ms);
	struct late_block *b = l->blocks[at];
	if (b->count == b->cap && b->cap < LATE_BLOCK) {
		b = block_grow(l, m, at);
	} else if (b->count == b->cap) {
		/* Rows that come in order leave full blocks behind, others halves. */
		uint32_t keep = t_ms > b->t_ms[b->count - 1] ? b->count : b->count / 2;
		struct late_block *right = block_new(m, LATE_BLOCK);
		rows_copy(right, b, keep, b->count - keep);
		b->count = keep;
		blocks_open(l, m, at + 1, right);
		if (!right->count || t_ms >= right->t_ms[0])
			b = right;
	}
	uint32_t i = place_in(b, t_ms);
	CHECK(i == b->count || b->t_ms[i] != t_ms);
	double *vs = late_block_v(b);
	memmove(b->t_ms + i + 1, b->t_ms + i, (b->count - i) * sizeof(int64_t));
	memmove(vs + i + 1, vs + i, (b->count - i) * sizeof(double));
	b->t_ms[i] = t_ms;
	vs[i] = v;
	b->count++;
	l->count++;
}

int64_t late_t_min(const struct late *l)
{
	CHECK(l->count > 0);
	return l->blocks[0]->t_ms[0];
}

int64_t late_t_max(const struct late *l)
{
	CHECK(l->count > 0);
	const struct late_block *b = l->blocks[l->blocks_count - 1];
	return b->t_ms[b->count - 1];
}
