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

/* ---- extras ---- */

/* A piece of memory with histograms, held by every column that has rows in it. */
struct column_piece {
	uint32_t held;
	struct arena memory;
};

static void piece_let_go(struct column_piece *p)
{
	CHECK(p->held > 0);
	if (--p->held)
		return;
	arena_release(&p->memory);
	mem_free(p);
}

static void piece_hold(struct column_extras *x, struct column_piece *p)
{
	if (x->pieces_count == x->pieces_cap) {
		x->pieces_cap = x->pieces_cap ? x->pieces_cap * 2 : 4;
		x->pieces = mem_array(x->pieces, x->pieces_cap, sizeof(*x->pieces));
	}
	x->pieces[x->pieces_count++] = p;
	p->held++;
}

/* The last ones are the likely ones. */
static bool piece_is_held(const struct column_extras *x, const struct column_piece *p)
{
	for (uint32_t i = x->pieces_count; i-- > 0;)
		if (x->pieces[i] == p)
			return true;
	return false;
}

void column_extras_drop_(struct column *c)
{
	struct column_extras *x = c->x;
	if (!x)
		return;
	for (uint32_t i = 0; i < x->pieces_count; i++)
		piece_let_go(x->pieces[i]);
	mem_free(x->pieces);
	mem_free(x->h);
	mem_free(x->start_ms);
	mem_free(x);
	c->x = NULL;
}

static struct column_extras *extras_of(struct column *c)
{
	if (!c->x)
		c->x = mem_zalloc(sizeof(*c->x));
	return c->x;
}

static uint32_t cap_for(uint32_t cap, uint32_t count)
{
	cap = cap ? cap : 16;
	while (cap < count)
		cap *= 2;
	return cap;
}

/* The first count rows have places; those from x->rows on have nothing. */
static void extras_rows(struct column_extras *x, uint32_t count)
{
	if (x->h && x->h_cap < count) {
		x->h_cap = cap_for(x->h_cap, count);
		x->h = mem_array(x->h, x->h_cap, sizeof(*x->h));
	}
	if (x->start_ms && x->start_cap < count) {
		x->start_cap = cap_for(x->start_cap, count);
		x->start_ms = mem_array(x->start_ms, x->start_cap, sizeof(*x->start_ms));
	}
	if (count <= x->rows)
		return;
	if (x->h)
		memset(x->h + x->rows, 0, (count - x->rows) * sizeof(*x->h));
	if (x->start_ms)
		memset(x->start_ms + x->rows, 0, (count - x->rows) * sizeof(*x->start_ms));
	x->rows = count;
}

static void want_h(struct column_extras *x)
{
	if (x->h)
		return;
	x->h_cap = cap_for(0, x->rows);
	x->h = mem_array(NULL, x->h_cap, sizeof(*x->h));
	memset(x->h, 0, x->h_cap * sizeof(*x->h));
}

static void want_start(struct column_extras *x)
{
	if (x->start_ms)
		return;
	x->start_cap = cap_for(0, x->rows);
	x->start_ms = mem_array(NULL, x->start_cap, sizeof(*x->start_ms));
	memset(x->start_ms, 0, x->start_cap * sizeof(*x->start_ms));
}

void column_extras_fill_(struct column *c)
{
	extras_rows(c->x, c->count);
}

struct arena *column_memory(struct column *c)
{
	struct column_extras *x = extras_of(c);
	if (!x->own) {
		x->own = mem_alloc(sizeof(*x->own));
		x->own->held = 0;
		arena_init(&x->own->memory, 1024);
		piece_hold(x, x->own);
	}
	return &x->own->memory;
}

void column_set(struct column *c, uint32_t i, const struct hist *h, int64_t start_ms)
{
	if (!c->x && !h && !start_ms)
		return;
	struct column_extras *x = extras_of(c);
	if (h)
		want_h(x);
	if (start_ms)
		want_start(x);
	extras_rows(x, i + 1);
	if (x->h)
		x->h[i] = h;
	if (x->start_ms)
		x->start_ms[i] = start_ms;
}

/* Whatever rows of `from` point into stays. */
static void pieces_share(struct column_extras *to, const struct column_extras *from)
{
	for (uint32_t i = 0; i < from->pieces_count; i++)
		if (!piece_is_held(to, from->pieces[i]))
			piece_hold(to, from->pieces[i]);
}

/* Rows at.. have nothing. */
static void extras_none(struct column_extras *x, uint32_t at, uint32_t n)
{
	if (at >= x->rows)
		return;
	if (n > x->rows - at)
		n = x->rows - at;
	if (x->h)
		memset(x->h + at, 0, n * sizeof(*x->h));
	if (x->start_ms)
		memset(x->start_ms + at, 0, n * sizeof(*x->start_ms));
}

void column_hold(struct column *to, const struct column *from)
{
	if (from->x && from->x->pieces_count)
		pieces_share(extras_of(to), from->x);
}

void column_extras_copy_(
    struct column *to, uint32_t at, const struct column *from, uint32_t first, uint32_t n)
{
	const struct column_extras *f = from->x;
	uint32_t has = f && f->rows > first ? f->rows - first : 0;
	has = has < n ? has : n;
	if (!has) {
		if (to->x)
			extras_none(to->x, at, n);
		return;
	}
	struct column_extras *x = extras_of(to);
	if (f->h)
		want_h(x);
	if (f->start_ms)
		want_start(x);
	extras_rows(x, at + has);
	extras_none(x, at, n);
	if (f->h)
		memcpy(x->h + at, f->h + first, has * sizeof(*x->h));
	if (f->start_ms)
		memcpy(x->start_ms + at, f->start_ms + first, has * sizeof(*x->start_ms));
}

/* ---- the column ---- */

void column_release(struct column *c)
{
	column_extras_drop_(c);
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

static void extras_move(struct column_extras *x, uint32_t to, uint32_t from, uint32_t n)
{
	if (from >= x->rows) {
		extras_none(x, to, n);
		return;
	}
	uint32_t has = x->rows - from < n ? x->rows - from : n;
	if (x->h)
		memmove(x->h + to, x->h + from, has * sizeof(*x->h));
	if (x->start_ms)
		memmove(x->start_ms + to, x->start_ms + from, has * sizeof(*x->start_ms));
	extras_none(x, to + has, n - has);
}

void column_keep(struct column *c, uint32_t first, uint32_t skip, uint32_t n)
{
	CHECK(first <= c->count && skip <= c->count - first && n <= c->count - first - skip);
	if (skip && n) {
		memmove(c->t_ms + first, c->t_ms + first + skip, n * sizeof(*c->t_ms));
		memmove(c->v + first, c->v + first + skip, n * sizeof(*c->v));
	}
	c->count = first + n;
	if (LIKELY(!c->x))
		return;
	if (skip)
		extras_move(c->x, first, first + skip, n);
	if (c->x->rows > c->count)
		c->x->rows = c->count;
}

void column_append(struct column *to, const struct column *from, uint32_t first, uint32_t n)
{
	CHECK(first <= from->count && n <= from->count - first);
	column_reserve(to, n);
	column_copy(to, to->count, from, first, n);
	to->count += n;
}

void column_append_lent(
    struct column *to, const struct sample_column *from, uint32_t first, uint32_t n)
{
	CHECK(first <= from->count && n <= from->count - first);
	column_reserve(to, n);
	uint32_t at = to->count;
	if (n) {
		memcpy(to->t_ms + at, from->t_ms + first, n * sizeof *to->t_ms);
		memcpy(to->v + at, from->v + first, n * sizeof *to->v);
	}
	to->count += n;
	if (LIKELY(!from->h && !from->start_ms))
		return;
	for (uint32_t i = 0; i < n; i++) {
		const struct hist *h = from->h ? from->h[first + i] : NULL;
		int64_t start_ms = from->start_ms ? from->start_ms[first + i] : 0;
		if (h || start_ms)
			column_set(to, at + i, h ? hist_copy(column_memory(to), h) : NULL, start_ms);
	}
}

void column_merge(const struct column *newer, const struct column *older, struct column *out)
{
	CHECK(out != newer && out != older);
	column_clear(out);
	column_reserve(out, newer->count + older->count);
	bool extras = newer->x || older->x;
	column_hold(out, newer);
	column_hold(out, older);
	uint32_t a = 0, b = 0, n = 0;
	while (a < newer->count || b < older->count) {
		bool take_new =
		    b == older->count || (a < newer->count && newer->t_ms[a] <= older->t_ms[b]);
		const struct column *from = take_new ? newer : older;
		uint32_t i = take_new ? a : b;
		if (take_new && b < older->count && older->t_ms[b] == newer->t_ms[a])
			b++;
		out->t_ms[n] = from->t_ms[i];
		out->v[n] = from->v[i];
		if (UNLIKELY(extras))
			column_extras_copy_(out, n, from, i, 1);
		n++;
		if (take_new)
			a++;
		else
			b++;
	}
	out->count = n;
}

size_t column_bytes(const struct column *c)
{
	size_t bytes = (size_t)c->cap * (sizeof(*c->t_ms) + sizeof(*c->v));
	const struct column_extras *x = c->x;
	if (LIKELY(!x))
		return bytes;
	bytes += sizeof(*x) + x->h_cap * sizeof(*x->h) + x->start_cap * sizeof(*x->start_ms) +
	    x->pieces_cap * sizeof(*x->pieces);
	for (uint32_t i = 0; i < x->pieces_count; i++)
		bytes += sizeof(*x->pieces[i]) + arena_used(&x->pieces[i]->memory);
	return bytes;
}
