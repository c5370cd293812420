#include "storage/head/trail.h"
#include "core/base/arena.h"
#include "core/base/num.h"

#include <string.h>

#define NONE       UINT32_MAX
#define LINK       (UINT32_C(1) << 31)
#define LINKS_MAX  4u /* followed for one guess */
#define RING_MIN   4096u
#define NEAR       12u /* rows before a guess is needed, its labels and tail are fetched */
#define RUN        8u  /* hits after which a miss is the end of a run, not disorder */
#define WINDOW_MIN 8u

#if defined(__x86_64__)
# define WIDE     __attribute__((target("avx2")))
# define has_wide __builtin_cpu_supports("avx2")
#else
# define WIDE
# define has_wide false
#endif
#define INLINE static inline __attribute__((always_inline))

void trail_init(struct trail *t, unsigned shards, unsigned loops, uint64_t seed)
{
	*t = (struct trail){ .shards = shards,
		.loops = loops,
		.seed = seed,
		.prev = NONE,
		.next = NONE,
		.walk = NONE,
		.window = WINDOW_MIN };
}

void trail_release(struct trail *t)
{
	slab_unmap(t->ring, t->size * sizeof *t->ring);
	mem_free(t->heads);
	*t = (struct trail){ 0 };
}

void trail_head(struct trail *t, struct head *h)
{
	CHECK(!t->ring);
	t->heads = mem_array(t->heads, t->heads_count + 1, sizeof(*t->heads));
	t->heads[t->heads_count++] = h;
	while ((1u << t->shift) < t->heads_count)
		t->shift++;
}

size_t trail_bytes(const struct trail *t)
{
	return t->used * sizeof *t->ring;
}

/* ---- entries ---- */

INLINE struct series *series_of(const struct trail *t, uint32_t ref)
{
	return head_at(t->heads[ref & ((1u << t->shift) - 1)], ref >> t->shift);
}

/* NONE: too large a slot; it is found by its fingerprint always. */
INLINE uint32_t ref_of(const struct trail *t, uint32_t place, uint32_t slot)
{
	return (slot + 1) >> (31 - t->shift) ? NONE : slot << t->shift | place;
}

/* From where a follower is looked for to where it stands, NONE: nowhere. */
INLINE uint32_t follow(const struct trail *t, uint32_t at)
{
	for (unsigned links = 0; at != NONE && t->ring[at] & LINK; links++)
		at = links < LINKS_MAX ? t->ring[at] & ~LINK : NONE;
	return at != NONE && t->ring[at] ? at : NONE;
}

/* Guesses from here on. */
static void guess_from(struct trail *t, uint32_t at)
{
	t->known = t->near = 0;
	t->walk = at;
}

static void ring_make(struct trail *t)
{
	uint64_t series = 0, size;
	for (uint32_t k = 0; k < t->heads_count; k++)
		series += t->heads[k]->series_count;
	size = series + series / 2 + RING_MIN;
	if (t->ring && series + series / 8 < t->size)
		return;
	slab_unmap(t->ring, t->size * sizeof *t->ring);
	t->size = size < LINK ? (uint32_t)size : LINK;
	t->ring = slab_map(t->size * sizeof *t->ring);
	t->prev = t->next = NONE;
	t->used = 0;
	t->end = 0;
}

/* The next entry of the ring is taken; behind it there is none. */
static uint32_t entry_put(struct trail *t, uint32_t entry)
{
	uint32_t at = t->end;
	t->ring[at] = entry;
	t->end = at + 1;
	if (t->used < t->end)
		t->used = t->end;
	if (t->end == t->size - 1) {
		t->ring[t->end] = LINK; /* to the first one */
		t->end = 0;
	}
	t->ring[t->end] = 0;
	return at;
}

/* What follows prev stands at `to`. */
static void link_to(struct trail *t, uint32_t to)
{
	uint32_t at = t->prev + 1;
	if (t->prev == NONE || at == to)
		return;
	if (at == t->end)
		entry_put(t, LINK | to);
	else
		t->ring[at] = LINK | to;
}

/* A series came that no guess led to. */
static void learn(struct trail *t, struct series *s, uint32_t ref)
{
	uint32_t was = s->at;
	if (!t->ring || t->end == 0)
		ring_make(t);
	bool known = was < t->size && t->ring[was] == ref + 1;
	bool run = t->prev - t->begin >= RUN; /* one that was linked counts as long */
	t->misses++;
	if (known && run) {
		link_to(t, was);
		t->prev = was;
		t->next = was + 1;
	} else if (ref != NONE) {
		link_to(t, t->end);
		s->at = t->prev = entry_put(t, ref + 1);
		t->next = known ? was + 1 : t->prev + 1;
	}
	t->begin = t->prev;
	t->broken = true;
}

/* A series came, after prev: was it where it was expected? */
static bool meet(struct trail *t, struct series *s, uint32_t ref)
{
	uint32_t at = t->ring ? follow(t, t->next) : NONE;
	if (t->prev != NONE && t->ring[t->prev] == ref + 1)
		return true; /* it goes on */
	if (at == NONE || t->ring[at] != ref + 1) {
		learn(t, s, ref);
		return false;
	}
	if (t->next != t->prev + 1)
		link_to(t, at);
	t->prev = at;
	t->next = at + 1;
	return true;
}

/* ---- looking at a series ---- */

/* Equal bytes, of the same length. Nothing behind them is read. */
INLINE bool labels_equal(const uint8_t *a, const uint8_t *b, uint32_t len)
{
	typedef uint64_t wide __attribute__((vector_size(32), aligned(1), may_alias));
	if (UNLIKELY(len < 32))
		return len == 0 || memcmp(a, b, len) == 0;
	wide odd = *(const wide *)(a + len - 32) ^ *(const wide *)(b + len - 32);
	for (uint32_t i = 0; i + 32 < len; i += 32)
		odd |= *(const wide *)(a + i) ^ *(const wide *)(b + i);
	return !(odd[0] | odd[1] | odd[2] | odd[3]);
}

INLINE bool is_series(const struct series *s, uint32_t tenant, const struct head_row *r)
{
	return s->tenant == tenant && s->labels_len == r->labels_len &&
	    labels_equal(s->labels, r->labels, r->labels_len);
}

INLINE void fetch(const struct series *s)
{
	const uint8_t *l = s->labels;
	for (unsigned i = 0; i < s->labels_len && i < 512; i += CACHE_LINE)
		__builtin_prefetch(l + i);
	series_fetch(s);
}

INLINE bool same_series(const struct head_row *r)
{
	return r->labels == r[-1].labels && r->labels_len == r[-1].labels_len;
}

/* The series of the call before goes on. */
static bool is_last(const struct trail *t, uint32_t tenant, struct head_row *r)
{
	uint32_t entry = t->prev == NONE ? 0 : t->ring[t->prev];
	if (!entry || entry & LINK || !is_series(series_of(t, entry - 1), tenant, r))
		return false;
	r->slot = (entry - 1) >> t->shift;
	r->place = (uint16_t)((entry - 1) & ((1u << t->shift) - 1));
	return true;
}

/* Rows that guesses do not find, some at a time: each step has its memory from the one before. */
static unsigned window_resolve(
    struct trail *t, uint32_t tenant, struct head_row *rows, unsigned i, unsigned count)
{
	unsigned n = count - i < t->window ? count - i : t->window;
	struct head_row *w = rows + i;
	for (unsigned k = 0; k < n; k++) {
		struct head_row *r = &w[k];
		if (i + k && same_series(r)) {
			r->fp = r[-1].fp;
			r->place = r[-1].place;
			continue;
		}
		if (r->place == HEAD_PLACE_NONE) {
			struct labels ls = { .bytes = r->labels, .len = r->labels_len };
			struct hash128 h = label_fingerprint(ls, tenant, t->seed);
			r->fp = h.lo;
			r->place = (uint16_t)(head_shard_of(h, t->shards) / t->loops);
		}
		slotmap_fetch(&t->heads[r->place]->map, r->fp);
	}
	for (unsigned k = 0; k < n; k++) {
		struct slotmap_look l = slotmap_look(&t->heads[w[k].place]->map, w[k].fp);
		w[k].slot = slotmap_next(&l);
		if (w[k].slot != SERIES_NONE)
			__builtin_prefetch(head_at(t->heads[w[k].place], w[k].slot), 1);
	}
	for (unsigned k = 0; k < n; k++)
		if (w[k].slot != SERIES_NONE)
			fetch(head_at(t->heads[w[k].place], w[k].slot));
	for (unsigned k = 0; k < n; k++) {
		struct head_row *r = &w[k];
		struct head *h = t->heads[r->place];
		if (i + k && same_series(r)) {
			r->slot = r[-1].slot;
			continue;
		}
		if (r->slot != SERIES_NONE && !is_series(head_at(h, r->slot), tenant, r)) {
			struct labels ls = { .bytes = r->labels, .len = r->labels_len };
			r->slot = head_find(h, r->fp, tenant, ls);
		}
		if (r->slot == SERIES_NONE)
			t->misses++; /* the guess may still be the one after it */
		else
			(void)meet(t, head_at(h, r->slot), ref_of(t, r->place, r->slot));
	}
	t->window = t->window < TRAIL_ROWS ? t->window * 2 : TRAIL_ROWS;
	t->broken = true;
	guess_from(t, t->next);
	return n;
}

/* The next guesses: hot lines first, what they point to when they are nearer. */
INLINE void look_ahead(struct trail *t)
{
	while (t->known < TRAIL_AHEAD && t->walk != NONE) {
		uint32_t at = follow(t, t->walk);
		if (at == NONE) {
			t->walk = NONE;
			break;
		}
		struct trail_guess *g = &t->guesses[(t->first + t->known++) % TRAIL_AHEAD];
		uint32_t ref = t->ring[at] - 1;
		*g = (struct trail_guess){ .s = series_of(t, ref), .ref = ref, .at = at };
		__builtin_prefetch(g->s, 1);
		t->walk = at + 1;
	}
	for (; t->near < NEAR && t->near < t->known; t->near++)
		fetch(t->guesses[(t->first + t->near) % TRAIL_AHEAD].s);
}

INLINE void resolve(struct trail *t, uint32_t tenant, struct head_row *rows, unsigned count)
{
	uint32_t mask = (1u << t->shift) - 1;
	for (unsigned i = 0; i < count;) {
		struct head_row *r = &rows[i];
		if (i && same_series(r)) { /* further samples of the series before */
			r->fp = r[-1].fp;
			r->place = r[-1].place;
			r->slot = r[-1].slot; /* perhaps unknown too */
			i++;
			continue;
		}
		look_ahead(t);
		const struct trail_guess *g = &t->guesses[t->first % TRAIL_AHEAD];
		if (UNLIKELY(!t->known || !is_series(g->s, tenant, r))) {
			if (!i && is_last(t, tenant, r))
				i++;
			else
				i += window_resolve(t, tenant, rows, i, count);
			continue;
		}
		r->slot = g->ref >> t->shift;
		r->place = (uint16_t)(g->ref & mask);
		t->first++;
		t->known--;
		t->near--;
		if (UNLIKELY(t->broken)) {
			if (t->next != t->prev + 1)
				link_to(t, g->at);
			t->broken = false;
			t->window = WINDOW_MIN;
		}
		t->prev = g->at;
		t->next = g->at + 1;
		i++;
	}
}

WIDE static void resolve_wide(struct trail *t, uint32_t tenant, struct head_row *rows, unsigned count)
{
	resolve(t, tenant, rows, count);
}

static void resolve_plain(struct trail *t, uint32_t tenant, struct head_row *rows, unsigned count)
{
	resolve(t, tenant, rows, count);
}

void trail_resolve(struct trail *t, uint32_t tenant, struct head_row *rows, unsigned count)
{
	CHECK(count <= TRAIL_ROWS);
	if (has_wide)
		resolve_wide(t, tenant, rows, count);
	else
		resolve_plain(t, tenant, rows, count);
}

void trail_learn(
    struct trail *t, struct trail_mark before, const struct head_row *rows, unsigned count)
{
	t->prev = before.prev;
	t->next = before.next;
	t->begin = before.prev;
	for (unsigned i = 0; i < count; i++) {
		const struct head_row *r = &rows[i];
		if (r->slot == SERIES_NONE || (i && same_series(r)))
			continue;
		struct series *s = head_at(t->heads[r->place], r->slot);
		(void)meet(t, s, ref_of(t, r->place, r->slot));
	}
	t->broken = true;
	guess_from(t, t->next);
}
