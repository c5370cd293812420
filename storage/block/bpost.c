#include "storage/block/bpost.h"

#include "core/base/mem.h"
#include "storage/block/bstream.h"

#include <stdio.h>

#define DIGIT        11u
#define DIGITS       (1u << DIGIT)
#define WRITE_BUFFER ((size_t)256 << 10)
#define READ_LEAST   ((size_t)12 << 10)

struct run {
	struct fsio_file *file;
	struct bin in;
	struct bpost_tuple t; /* the next one */
	uint64_t end;
};
struct bpost {
	struct fsio_dir *dir;
	struct bpost_tuple *items, *room;
	size_t count, cap, at;
	struct run *runs;
	uint32_t *heap; /* of runs, the least first; of equal pairs the older one */
	size_t runs_count, runs_cap, heap_count;
	enum err err;
};

struct bpost *bpost_create(struct fsio_dir *dir, size_t memory_bytes)
{
	struct bpost *p = mem_zalloc(sizeof(*p));
	p->dir = dir;
	p->cap = memory_bytes / (2 * sizeof(*p->items));
	p->items = mem_array(NULL, p->cap, sizeof(*p->items));
	p->room = mem_array(NULL, p->cap, sizeof(*p->room));
	return p;
}

void bpost_free(struct bpost *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->runs_count; i++) {
		bin_close(&p->runs[i].in);
		fsio_close(p->runs[i].file);
	}
	mem_free(p->runs);
	mem_free(p->heap);
	mem_free(p->items);
	mem_free(p->room);
	mem_free(p);
}

static uint32_t digit_of(const struct bpost_tuple *t, unsigned k)
{
	uint32_t v = k < 3 ? t->value : t->name;
	return v >> (DIGIT * (k % 3)) & (DIGITS - 1);
}

/* One stable pass; nothing to do where all have the same digit. */
static void pass(struct bpost *p, unsigned k)
{
	uint32_t at[DIGITS] = { 0 };
	for (size_t i = 0; i < p->count; i++)
		at[digit_of(&p->items[i], k)]++;
	if (at[digit_of(&p->items[0], k)] == p->count)
		return;
	uint32_t sum = 0;
	for (unsigned d = 0; d < DIGITS; d++) {
		uint32_t n = at[d];
		at[d] = sum;
		sum += n;
	}
	for (size_t i = 0; i < p->count; i++)
		p->room[at[digit_of(&p->items[i], k)]++] = p->items[i];
	struct bpost_tuple *x = p->items;
	p->items = p->room;
	p->room = x;
}

static void sort(struct bpost *p)
{
	for (unsigned k = 0; p->count && k < 6; k++)
		pass(p, k);
}

static enum err spill(struct bpost *p)
{
	struct bout o;
	char name[40];
	snprintf(name, sizeof(name), "post-%zu", p->runs_count);
	enum err e = bout_scratch(&o, p->dir, name, WRITE_BUFFER);
	if (e)
		return e;
	sort(p);
	bout_put(&o, p->items, p->count * sizeof(*p->items));
	bout_flush(&o);
	e = o.err;
	mem_free(o.buf);
	if (e) {
		fsio_close(o.file);
		return e;
	}
	if (p->runs_count == p->runs_cap) {
		p->runs_cap = p->runs_cap ? 2 * p->runs_cap : 16;
		p->runs = mem_array(p->runs, p->runs_cap, sizeof(*p->runs));
	}
	p->runs[p->runs_count++] = (struct run){ .file = o.file, .end = bout_at(&o) };
	p->count = 0;
	return ERR_OK;
}

enum err bpost_add(struct bpost *p, struct bpost_tuple t)
{
	if (UNLIKELY(p->count == p->cap) && !p->err)
		p->err = spill(p);
	if (p->err)
		return p->err;
	p->items[p->count++] = t;
	return ERR_OK;
}

static bool before(const struct bpost *p, uint32_t a, uint32_t b)
{
	const struct bpost_tuple *x = &p->runs[a].t, *y = &p->runs[b].t;
	uint64_t kx = (uint64_t)x->name << 32 | x->value, ky = (uint64_t)y->name << 32 | y->value;
	return kx != ky ? kx < ky : a < b;
}

static void sink(struct bpost *p, size_t i)
{
	for (;;) {
		size_t least = i, l = 2 * i + 1;
		if (l < p->heap_count && before(p, p->heap[l], p->heap[least]))
			least = l;
		if (l + 1 < p->heap_count && before(p, p->heap[l + 1], p->heap[least]))
			least = l + 1;
		if (least == i)
			return;
		uint32_t x = p->heap[i];
		p->heap[i] = p->heap[least];
		p->heap[least] = x;
		i = least;
	}
}

static bool run_next(struct run *r)
{
	const uint8_t *b = bin_more(&r->in) ? bin_take(&r->in, sizeof(r->t)) : NULL;
	if (b)
		memcpy(&r->t, b, sizeof(r->t));
	return b != NULL;
}

enum err bpost_begin(struct bpost *p)
{
	if (p->err)
		return p->err;
	if (!p->runs_count) {
		sort(p);
		return ERR_OK;
	}
	size_t memory = 2 * p->cap * sizeof(*p->items);
	if (p->count)
		p->err = spill(p);
	if (p->err)
		return p->err;
	mem_free(p->items);
	mem_free(p->room);
	p->items = p->room = NULL;
	size_t each = memory / p->runs_count;
	each = each < READ_LEAST ? READ_LEAST : each;
	p->heap = mem_array(NULL, p->runs_count, sizeof(*p->heap));
	for (size_t i = 0; i < p->runs_count; i++) {
		bin_open(&p->runs[i].in, p->runs[i].file, 0, p->runs[i].end, each);
		if (run_next(&p->runs[i]))
			p->heap[p->heap_count++] = (uint32_t)i;
		if (p->runs[i].in.err)
			return p->err = p->runs[i].in.err;
	}
	for (size_t i = p->heap_count / 2; i-- > 0;)
		sink(p, i);
	return ERR_OK;
}

enum err bpost_next(struct bpost *p, struct bpost_tuple *out)
{
	if (p->err)
		return p->err;
	if (!p->runs_count) {
		if (p->at == p->count)
			return ERR_NOTFOUND;
		*out = p->items[p->at++];
		return ERR_OK;
	}
	if (!p->heap_count)
		return ERR_NOTFOUND;
	struct run *r = &p->runs[p->heap[0]];
	*out = r->t;
	if (!run_next(r)) {
		if (r->in.err)
			return p->err = r->in.err;
		p->heap[0] = p->heap[--p->heap_count];
	}
	if (p->heap_count)
		sink(p, 0);
	return ERR_OK;
}
