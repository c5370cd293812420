#include "storage/head/tail.h"

static size_t piece_bytes(const struct tail *x)
{
	return slab_round(tail_bytes(x));
}

/*
 * Room for `to`, which has its form and cap set, and for a pack of so many bytes of data; rows and
 * pack, as far as they are in x and to wants them, move along. Pieces are taken with what their
 * class rounds up to, so most changes find room where they are.
 */
static void remake(struct tail *x, struct slab *m, struct tail to, size_t pack_size)
{
	const struct pack *p = tail_pack(x);
	size_t rows = tail_rows_bytes(&to);
	size_t size = rows + (to.form & TAIL_PACKED ? PACK_HEAD + pack_size : 0);
	size_t was = x->bytes ? piece_bytes(x) : 0;
	if (was == slab_round(size) && to.cap == x->cap &&
	    !((to.form ^ x->form) & (TAIL_UNEVEN | TAIL_STILL))) {
		to.bytes = x->bytes;
		*x = to;
		return;
	}
	to.bytes = slab_take(m, slab_round(size));
	if (x->count)
		memcpy(to.bytes, x->bytes, tail_rows_bytes(x) < rows ? tail_rows_bytes(x) : rows);
	if (p && to.form & TAIL_PACKED)
		memcpy(to.bytes + rows, p,
		    PACK_HEAD + (p->size < pack_size ? (size_t)p->size : pack_size));
	if (x->bytes)
		slab_give(m, x->bytes, was);
	*x = to;
}

static size_t pack_size(const struct tail *x)
{
	return x->form & TAIL_PACKED ? tail_pack(x)->size : 0;
}

static void grow(struct tail *x, struct slab *m)
{
	struct tail to = *x;
	to.cap = x->cap ? (uint8_t)(x->cap * 2) : TAIL_MIN;
	remake(x, m, to, pack_size(x));
}

/* Even rows become uneven ones. */
static void unevenly(struct tail *x, struct slab *m, int64_t t_last_ms)
{
	double v[TAIL_MAX];
	uint64_t step = x->step_ms, base = (uint64_t)tail_t(x, t_last_ms, 0);
	struct tail to = *x;
	unsigned n = x->count;
	for (unsigned i = 0; i < n; i++)
		v[i] = tail_v(x, i);
	to.form |= TAIL_UNEVEN;
	to.step_ms = 0;
	x->count = 0; /* they are written anew */
	remake(x, m, to, pack_size(x));
	memcpy(x->bytes, &base, 8);
	for (unsigned i = 0; i < n; i++) {
		uint32_t dt = (uint32_t)(i * step);
		memcpy(x->bytes + 8 + i * TAIL_UNEVEN_ROW, &dt, 4);
		memcpy(tail_value(x, i), &v[i], 8);
	}
	x->count = (uint8_t)n;
}

bool tail_spread(struct tail *x, struct slab *m)
{
	struct tail to = *x;
	unsigned n = x->count;
	double v = tail_v(x, 0);
	if (n > TAIL_MAX)
		return false;
	to.form &= (uint8_t)~TAIL_STILL;
	to.cap = n > TAIL_MIN ? TAIL_MAX : TAIL_MIN;
	x->count = 0; /* they are written anew */
	remake(x, m, to, pack_size(x));
	for (unsigned i = 0; i < n; i++)
		memcpy(tail_value(x, i), &v, 8);
	x->count = (uint8_t)n;
	return true;
}

/* A first row begins a tail, at any time. */
static void begin(struct tail *x, struct slab *m, int64_t t_ms, double v)
{
	uint32_t dt = 0;
	if (!x->bytes) {
		struct tail to = *x;
		to.form |= TAIL_STILL;
		to.cap = TAIL_STILL_MAX;
		remake(x, m, to, 0);
	}
	if (x->form & TAIL_UNEVEN) {
		memcpy(x->bytes, &t_ms, 8);
		memcpy(x->bytes + 8, &dt, 4);
	}
	memcpy(tail_value(x, 0), &v, 8);
	x->count = 1;
}

bool tail_add(struct tail *x, struct slab *m, int64_t t_last_ms, int64_t t_ms, double v)
{
	uint64_t d = (uint64_t)t_ms - (uint64_t)t_last_ms;
	bool uneven = x->form & TAIL_UNEVEN, few = x->count < TAIL_FLUSH;
	if (!x->count) {
		begin(x, m, t_ms, v);
		return true;
	}
	if (x->count == (x->form & TAIL_STILL ? TAIL_STILL_MAX : TAIL_MAX))
		return false;
	if (!uneven && d != x->step_ms) {
		if (!few || d > TAIL_STEP_MAX)
			return false;
		if (x->count == 1)
			x->step_ms = (uint32_t)d;
	}
	if (x->form & TAIL_STILL) {
		if (tail_put(x, t_last_ms, t_ms, v))
			return true;
		if (!few)
			return false;
		CHECK(tail_spread(x, m));
	}
	if (!uneven && d != x->step_ms)
		unevenly(x, m, t_last_ms);
	if (x->count == x->cap)
		grow(x, m);
	return tail_put(x, t_last_ms, t_ms, v);
}

uint8_t *tail_find(const struct tail *x, int64_t t_last_ms, int64_t t_ms)
{
	if (!x->count || t_ms > t_last_ms)
		return NULL;
	if (x->form & TAIL_UNEVEN) {
		for (unsigned i = x->count; i-- > 0;) {
			int64_t t = tail_t(x, t_last_ms, i);
			if (t <= t_ms)
				return t == t_ms ? tail_value(x, i) : NULL;
		}
		return NULL;
	}
	uint64_t back = (uint64_t)t_last_ms - (uint64_t)t_ms, step = x->step_ms;
	if (!back)
		return tail_value(x, x->count - 1u);
	if (x->count == 1 || back > (x->count - 1u) * step || back % step)
		return NULL;
	return tail_value(x, x->count - 1u - (unsigned)(back / step));
}

/* Some of the rows, the oldest, which fit the pack. */
static void flush_some(struct tail *x, struct slab *m, int64_t t_last_ms)
{
	SCRATCH int64_t t[PACK_ROWS_MAX];
	SCRATCH double v[PACK_ROWS_MAX];
	SCRATCH struct pack_more more;
	unsigned n = x->count < PACK_ROWS_MAX ? x->count : PACK_ROWS_MAX;
	const struct pack *p = tail_pack(x);
	struct pack head = { 0 };
	struct tail to = *x;
	for (unsigned i = 0; i < n; i++) {
		t[i] = tail_t(x, t_last_ms, i);
		v[i] = tail_v(x, i);
	}
	if (p)
		memcpy(&head, p, PACK_HEAD);
	pack_append(&head, p ? p->data : NULL,
	    &(struct pack_rows){ .t_ms = t, .v = v, .n = n, .step_ms = n > 1 ? x->step_ms : 0 },
	    &more);
	bool still = head.run && !(x->form & TAIL_UNEVEN);
	x->count = to.count = (uint8_t)(x->count - n);
	to.form |= still ? TAIL_PACKED | TAIL_STILL : TAIL_PACKED;
	to.cap = still ? TAIL_STILL_MAX : x->cap;
	remake(x, m, to, head.size);
	memcpy(tail_pack(x), &head, PACK_HEAD);
	memcpy(tail_pack(x)->data + more.keep, more.bytes, more.len);
	if (still)
		memcpy(x->bytes, &v[n - 1], 8);
}

bool tail_flush(struct tail *x, struct slab *m, int64_t t_last_ms)
{
	const struct pack *p = tail_pack(x);
	CHECK(x->count > 0);
	if (p && !pack_fits(p, t_last_ms, x->count))
		return false;
	while (x->count)
		flush_some(x, m, t_last_ms);
	return true;
}

void tail_pack_drop(struct tail *x, struct slab *m)
{
	struct tail to = *x;
	to.form &= (uint8_t)~TAIL_PACKED;
	remake(x, m, to, 0);
}

void tail_pack_set(struct tail *x, struct slab *m, const struct pack *head, const uint8_t *data)
{
	CHECK(x->form & TAIL_PACKED);
	remake(x, m, *x, head->size);
	memcpy(tail_pack(x), head, PACK_HEAD);
	memcpy(tail_pack(x)->data, data, head->size);
}

void tail_free(struct tail *x, struct slab *m)
{
	if (x->bytes)
		slab_give(m, x->bytes, piece_bytes(x));
	tail_leave(x);
}
