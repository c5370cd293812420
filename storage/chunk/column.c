#include "storage/chunk/column.h"
#include "core/base/arena.h"
#include <string.h>
#include <sys/mman.h>

/*
 * Large columns are maps of their own: they grow without a copy, whatever lies around them, and go
 * back to the system.
 */
#define COL_MAPPED ((size_t)256 << 10)

static void *col_map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		panic("out of memory: a column of %zu bytes", bytes);
	return p;
}

static void *col_resize(void *p, size_t from, size_t to)
{
	if (to <= COL_MAPPED)
		return mem_realloc(p, to);
	if (from > COL_MAPPED) {
		p = mremap(p, from, to, MREMAP_MAYMOVE);
		if (p == MAP_FAILED)
			panic("out of memory: a column of %zu bytes", to);
		return p;
	}
	void *q = col_map(to);
	if (from)
		memcpy(q, p, from);
	mem_free(p);
	return q;
}

static void col_free(void *p, size_t bytes)
{
	if (bytes > COL_MAPPED)
		munmap(p, bytes);
	else
		mem_free(p);
}

void column_release(struct column *c)
{
	col_free(c->t_ms, c->cap * sizeof *c->t_ms);
	col_free(c->v, c->cap * sizeof *c->v);
	*c = (struct column){ 0 };
}

void column_reserve(struct column *c, uint32_t more)
{
	CHECK(more <= UINT32_MAX / 2 - c->count);
	uint32_t need = c->count + more;
	if (need <= c->cap)
		return;
	uint32_t cap = c->cap ? c->cap : 256;
	while (cap < need)
		cap *= 2;
	c->t_ms = col_resize(c->t_ms, c->cap * sizeof *c->t_ms, cap * sizeof *c->t_ms);
	c->v = col_resize(c->v, c->cap * sizeof *c->v, cap * sizeof *c->v);
	c->cap = cap;
}

void column_merge(const struct column *newer, const struct column *older, struct column *out)
{
	CHECK(out != newer && out != older);
	out->count = 0;
	column_reserve(out, newer->count + older->count);
	uint32_t a = 0, b = 0, n = 0;
	while (a < newer->count || b < older->count) {
		bool take_new =
		    b == older->count || (a < newer->count && newer->t_ms[a] <= older->t_ms[b]);
		const struct column *from = take_new ? newer : older;
		uint32_t i = take_new ? a : b;
		if (take_new && b < older->count && older->t_ms[b] == newer->t_ms[a])
			b++;
		out->t_ms[n] = from->t_ms[i];
		out->v[n++] = from->v[i];
		if (take_new)
			a++;
		else
			b++;
	}
	out->count = n;
}
