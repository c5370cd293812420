#include "core/base/pick.h"

#include <string.h>

#include "core/base/bytes.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/num.h"

#define SLOTS_MIN 64u
#define HEAP      16u /* what the heap takes for a piece, about */
#define ROW       4u  /* places for one hash */

void pick_init(struct pick *p, enum pick_order order, size_t max, uint64_t seed)
{
	CHECK(max > 0);
	*p = (struct pick){ .order = order, .max = max, .seed = seed };
}

void pick_release(struct pick *p)
{
	for (size_t i = 0; i < p->count; i++)
		mem_free(p->items[i]);
	mem_free(p->items);
	mem_free(p->slots);
	mem_free(p->over);
	*p = (struct pick){ .order = p->order, .max = p->max, .seed = p->seed };
}

static int order_of(
    enum pick_order order, double score, const char *text, size_t len, const struct pick_item *x)
{
	if (order == PICK_SCORE && score != x->score)
		return score > x->score ? -1 : 1;
	int c = bytes_cmp(text, len, x->text, x->len);
	return order == PICK_TEXT_DOWN ? -c : c;
}

int pick_cmp(enum pick_order order, const struct pick_item *a, const struct pick_item *b)
{
	return order_of(order, a->score, a->text, a->len, b);
}

/* ---- the table ---- */

static uint32_t hash_of(const struct pick *p, const char *text, size_t len)
{
	return (uint32_t)hash64(text, len, p->seed);
}

/* Where a text is, or would be. */
static size_t slot_of(const struct pick *p, uint32_t hash, const char *text, size_t len)
{
	size_t i = hash & p->mask;
	for (; p->slots[i]; i = (i + 1) & p->mask) {
		const struct pick_item *x = p->slots[i];
		if (x->hash == hash && bytes_equal(x->text, x->len, text, len))
			break;
	}
	return i;
}

static void slots_grow(struct pick *p)
{
	size_t count = p->slots ? 2 * (p->mask + 1) : SLOTS_MIN;
	mem_free(p->slots);
	p->slots = mem_zalloc(count * sizeof(*p->slots));
	p->mask = count - 1;
	for (size_t i = 0; i < p->count; i++) {
		size_t at = p->items[i]->hash & p->mask;
		while (p->slots[at])
			at = (at + 1) & p->mask;
		p->slots[at] = p->items[i];
	}
}

/* Those behind it that its place was taken from move up. */
static void slot_clear(struct pick *p, const struct pick_item *x)
{
	size_t hole = slot_of(p, x->hash, x->text, x->len);
	for (size_t i = (hole + 1) & p->mask; p->slots[i]; i = (i + 1) & p->mask) {
		size_t home = p->slots[i]->hash & p->mask;
		if (((i - home) & p->mask) < ((i - hole) & p->mask))
			continue;
		p->slots[hole] = p->slots[i];
		hole = i;
	}
	p->slots[hole] = NULL;
}

/* ---- the heap ---- */

static void sift_up(struct pick *p, size_t at)
{
	struct pick_item *x = p->items[at];
	while (at && pick_cmp(p->order, x, p->items[(at - 1) / 2]) > 0) {
		p->items[at] = p->items[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	p->items[at] = x;
}

static void sift_down(struct pick *p)
{
	struct pick_item *x = p->items[0];
	size_t at = 0;
	for (size_t child; (child = 2 * at + 1) < p->count; at = child) {
		if (child + 1 < p->count &&
		    pick_cmp(p->order, p->items[child + 1], p->items[child]) > 0)
			child++;
		if (pick_cmp(p->order, p->items[child], x) <= 0)
			break;
		p->items[at] = p->items[child];
	}
	p->items[at] = x;
}

struct pick_item *pick_pop(struct pick *p)
{
	if (!p->count)
		return NULL;
	struct pick_item *x = p->items[0];
	slot_clear(p, x);
	p->items[0] = p->items[--p->count];
	if (p->count)
		sift_down(p);
	p->bytes -= sizeof(*x) + x->len + HEAP;
	return x;
}

/* ---- offers ---- */

static bool is_full(const struct pick *p)
{
	return p->count == p->max;
}

bool pick_wants(const struct pick *p, const char *text, size_t len, double score)
{
	if (is_full(p) && order_of(p->order, score, text, len, p->items[0]) >= 0)
		return false;
	return !p->count || !p->slots[slot_of(p, hash_of(p, text, len), text, len)];
}

bool pick_hopes(const struct pick *p, const char *path, size_t len, double best)
{
	if (!is_full(p) || p->order == PICK_TEXT_DOWN)
		return true;
	const struct pick_item *last = p->items[0];
	if (p->order == PICK_SCORE && best > last->score)
		return true;
	if (p->order == PICK_SCORE && best < last->score)
		return false;
	return bytes_cmp(path, len, last->text, last->len) < 0;
}

void pick_put(struct pick *p, const char *text, size_t len, double score)
{
	CHECK(len <= UINT32_MAX);
	if (is_full(p))
		mem_free(pick_pop(p));
	struct pick_item *x = mem_alloc(sizeof(*x) + len);
	*x = (struct pick_item){ .score = score, .hash = hash_of(p, text, len), .len = (uint32_t)len };
	if (len)
		memcpy(x->text, text, len);
	if (p->count == p->cap) {
		p->cap = p->cap ? 2 * p->cap : SLOTS_MIN / 2;
		p->items = mem_array(p->items, p->cap, sizeof(*p->items));
	}
	if (!p->slots || p->count >= (p->mask + 1) / 2)
		slots_grow(p);
	p->slots[slot_of(p, x->hash, text, len)] = x;
	p->items[p->count++] = x;
	sift_up(p, p->count - 1);
	p->bytes += sizeof(*x) + len + HEAP;
}

size_t pick_bytes(const struct pick *p)
{
	return p->bytes + p->cap * sizeof(*p->items) +
	    (p->slots ? p->mask + 1 : 0) * sizeof(*p->slots) +
	    (p->over ? p->over_mask + 1 : 0) * sizeof(*p->over);
}

/* ---- what is over ---- */

void pick_remember(struct pick *p, size_t texts)
{
	size_t places = SLOTS_MIN;
	if (p->over)
		return;
	while (places < PICK_OVER_MAX && places / 2 < texts)
		places *= 2;
	p->over = mem_zalloc(places * sizeof(*p->over));
	p->over_mask = places - 1;
}

uint64_t pick_hash(const struct pick *p, const char *text, size_t len)
{
	uint64_t hash = hash64(text, len, p->seed);
	return hash ? hash : 1;
}

static uint64_t *over_row(const struct pick *p, uint64_t hash)
{
	return p->over + (hash & p->over_mask & ~(uint64_t)(ROW - 1));
}

bool pick_is_over(const struct pick *p, uint64_t hash)
{
	if (!p->over)
		return false;
	const uint64_t *row = over_row(p, hash);
	return row[0] == hash || row[1] == hash || row[2] == hash || row[3] == hash;
}

void pick_over(struct pick *p, uint64_t hash)
{
	size_t at = 0;
	if (!p->over || pick_is_over(p, hash))
		return;
	uint64_t *row = over_row(p, hash);
	while (at < ROW && row[at])
		at++;
	row[at < ROW ? at : hash >> 62] = hash;
}
