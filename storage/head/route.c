#include "storage/head/route.h"

#include "core/base/hash.h"
#include "storage/head/slab.h"

#include <string.h>

#define RING_MIN    UINT32_C(4096)
#define RING_MAX    (UINT32_C(1) << 30)
#define OWNERS      (ROUTE_LOOPS - 1)
#define ENTRY       ROUTE_LOOPS /* set in each */
#define AT_SHIFT    2u
#define REST        16u /* batches */
#define REST_LEAST  64u /* rows, before the order is judged */
#define REST_JUMPS  4u  /* one in so many rows: there is none */
#define QUICK_LEAST 32u /* bytes */
#define QUICK_MOST  4096u

#if defined(__x86_64__)
# define WIDE     __attribute__((target("avx2")))
# define has_wide __builtin_cpu_supports("avx2")
#else
# define WIDE
# define has_wide false
#endif
#define INLINE static inline __attribute__((always_inline))

static size_t ring_bytes(const struct route *r)
{
	return r->ring ? ((size_t)r->mask + 1) * sizeof *r->ring : 0;
}

void route_release(struct route *r)
{
	slab_unmap(r->ring, ring_bytes(r));
	slab_unmap(r->at, ring_bytes(r) >> AT_SHIFT);
	*r = (struct route){ 0 };
}

uint64_t route_bytes(const struct route *r)
{
	return r->used * sizeof *r->ring + (ring_bytes(r) >> AT_SHIFT);
}

/* A larger one, when there are more series than entries: what was known is learned anew. */
static void ring_make(struct route *r, uint64_t series)
{
	uint32_t size = RING_MIN;
	while (size < RING_MAX && size < series + series / 2)
		size *= 2;
	if (r->ring && size <= r->mask + 1)
		return;
	const struct route was = *r;
	route_release(r);
	*r = (struct route){ .mask = size - 1, .rows = was.rows, .jumps = was.jumps };
	r->ring = slab_map(size * sizeof *r->ring);
	r->at = slab_map((size * sizeof *r->at) >> AT_SHIFT);
}

/*
 * Sums of products with odd numbers, one for each place: labels that differ in one word of 4 bytes
 * never have the same sum. The last 32 bytes are taken as such, whatever of them was seen before. Of
 * long labels the first QUICK_MOST bytes will do.
 */
INLINE uint64_t quick_hash(const uint8_t *p, uint32_t len)
{
	typedef uint32_t wide __attribute__((vector_size(32)));
	typedef uint32_t loose __attribute__((vector_size(32), aligned(1), may_alias));
	typedef uint64_t quads __attribute__((vector_size(32)));
	if (UNLIKELY(len < QUICK_LEAST))
		return hash64(p, len, 0);
	len = len < QUICK_MOST ? len : QUICK_MOST;
	const wide step = { 0x9e3779b2, 0x85ebca6a, 0xc2b2ae36, 0x27d4eb2e, 0x165667b2, 0xd3a2646c,
		0xfd7046c4, 0xb55a4f0a };
	wide by = { 0x9e3779b1, 0x85ebca6b, 0xc2b2ae35, 0x27d4eb2f, 0x165667b1, 0xd3a2646d,
		0xfd7046c5, 0xb55a4f09 };
	wide sum = *(const loose *)(p + len - 32) * (by ^ step);
	for (uint32_t i = 0; i + 32 < len; i += 32) {
		sum += *(const loose *)(p + i) * by;
		by += step;
	}
	quads q = (quads)sum;
	uint64_t h = q[0] * 0x9e3779b185ebca87u + q[1] * 0xc2b2ae3d27d4eb4fu +
	    q[2] * 0x165667b19e3779f9u + q[3] * 0x85ebca77c2b2ae63u + len;
	return h;
}

static uint32_t entry_of(uint64_t hash)
{
	return ((uint32_t)(hash >> 32) & ~OWNERS) | ENTRY;
}

static uint32_t *at_of(const struct route *r, uint64_t hash)
{
	return &r->at[(uint32_t)hash & (r->mask >> AT_SHIFT)];
}

/* Is the entry that of a row with this one? */
static bool fits(uint32_t entry, uint32_t row)
{
	return ((entry ^ row) & ~OWNERS) == 0;
}

INLINE uint16_t look(struct route *r, uint64_t hash)
{
	uint32_t row = entry_of(hash), at = r->next;
	if (UNLIKELY(!r->ring))
		return ROUTE_NONE;
	if (UNLIKELY(!fits(r->ring[at], row))) {
		r->jumps++;
		at = *at_of(r, hash);
		if (!fits(r->ring[at], row))
			return ROUTE_NONE;
	}
	r->next = (at + 1) & r->mask;
	return r->ring[at] & OWNERS;
}

INLINE void guess(struct route *r, uint64_t tenant, const struct batch_row *rows, unsigned count,
    struct route_guess *g)
{
	r->rows += count;
	for (unsigned i = 0; i < count; i++) {
		const struct batch_row *row = &rows[i];
		if (i && row->labels == row[-1].labels && row->labels_len == row[-1].labels_len) {
			g->hashes[i] = g->hashes[i - 1];
			g->owners[i] = g->owners[i - 1];
			continue;
		}
		g->hashes[i] = hash_mix64(quick_hash(row->labels, row->labels_len) ^ tenant);
		g->owners[i] = look(r, g->hashes[i]);
	}
}

WIDE static void guess_wide(struct route *r, uint64_t tenant, const struct batch_row *rows,
    unsigned count, struct route_guess *g)
{
	guess(r, tenant, rows, count, g);
}

static void guess_plain(struct route *r, uint64_t tenant, const struct batch_row *rows,
    unsigned count, struct route_guess *g)
{
	guess(r, tenant, rows, count, g);
}

bool route_begin(struct route *r, uint64_t series)
{
	if (r->rest > 0) {
		r->rest--;
		return false;
	}
	bool learns = r->used < series;
	if (!learns && r->rows >= REST_LEAST && r->jumps > r->rows / REST_JUMPS)
		r->rest = REST;
	r->rows = r->jumps = 0;
	return true;
}

void route_guess(struct route *r, uint32_t tenant, const struct batch_row *rows, unsigned count,
    struct route_guess *g)
{
	CHECK(count <= ROUTE_ROWS);
	uint64_t by = tenant ? hash_mix64(tenant) : 0;
	if (has_wide)
		guess_wide(r, by, rows, count, g);
	else
		guess_plain(r, by, rows, count, g);
}

void route_learn(struct route *r, uint64_t hash, uint16_t owner, uint64_t series)
{
	CHECK(owner < ROUTE_LOOPS);
	if (!r->ring || r->end == 0)
		ring_make(r, series);
	uint32_t at = r->end;
	r->ring[at] = entry_of(hash) | owner;
	*at_of(r, hash) = at;
	r->end = (at + 1) & r->mask;
	r->used = r->used > at + 1 ? r->used : at + 1;
}
