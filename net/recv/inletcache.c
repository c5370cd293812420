#include "net/recv/inletcache.h"

#include "core/base/clock.h"

#define ENTRY_USUAL 256u /* bytes: a table has room for entries of this size */
#define ALIGN       16u

struct entry {
	uint64_t hash;
	struct labels key;
	uint32_t way, bytes; /* with all that belongs to it */
	struct inlet_result result;
};
struct half {
	uint8_t *memory; /* entries, one behind the other */
	size_t used;
	uint32_t *slots; /* open addressing, half full at most: place of an entry + 1, in ALIGN */
	size_t mask, count;
};
struct inletcache {
	struct half young, old;
	const struct entry *last; /* that was found; NULL: none */
	size_t half_bytes, slots;
	uint64_t seed;
};

static void half_init(struct half *h, const struct inletcache *c)
{
	*h = (struct half){ .mask = c->slots - 1 };
	h->memory = mem_alloc(c->half_bytes); /* the system gives what is touched */
	h->slots = mem_array(NULL, c->slots, sizeof(*h->slots));
	memset(h->slots, 0, c->slots * sizeof(*h->slots));
}

static void half_clear(struct half *h)
{
	if (h->count)
		memset(h->slots, 0, (h->mask + 1) * sizeof(*h->slots));
	h->used = h->count = 0;
}

static void half_release(struct half *h)
{
	mem_free(h->memory);
	mem_free(h->slots);
}

struct inletcache *inletcache_create(size_t bytes)
{
	struct inletcache *c = mem_zalloc(sizeof(*c));
	c->half_bytes = (bytes / 2 + ALIGN) & ~(size_t)(ALIGN - 1);
	for (c->slots = 64; c->slots < c->half_bytes / ENTRY_USUAL * 2;)
		c->slots *= 2;
	half_init(&c->young, c);
	half_init(&c->old, c);
	/* who sends labels must not know where they go */
	c->seed = hash_mix64(clock_real_mono_ns() ^ (uint64_t)(uintptr_t)c);
	return c;
}

void inletcache_clear(struct inletcache *c)
{
	half_clear(&c->young);
	half_clear(&c->old);
	c->last = NULL;
}

void inletcache_free(struct inletcache *c)
{
	if (!c)
		return;
	half_release(&c->young);
	half_release(&c->old);
	mem_free(c);
}

static uint64_t hash_of(const struct inletcache *c, struct labels key, uint32_t way)
{
	return hash64(key.bytes, key.len, c->seed + way);
}

static struct entry *entry_at(const struct half *h, uint32_t slot)
{
	return (struct entry *)(void *)(h->memory + (size_t)(slot - 1) * ALIGN);
}

static struct entry *find(const struct half *h, struct labels key, uint32_t way, uint64_t hash)
{
	for (size_t i = hash & h->mask; h->slots[i]; i = (i + 1) & h->mask) {
		struct entry *e = entry_at(h, h->slots[i]);
		if (e->hash == hash && e->way == way && label_equal(e->key, key))
			return e;
	}
	return NULL;
}

static void place(struct half *h, const struct entry *e)
{
	size_t i = e->hash & h->mask;
	while (h->slots[i])
		i = (i + 1) & h->mask;
	h->slots[i] = (uint32_t)((size_t)((const uint8_t *)e - h->memory) / ALIGN + 1);
	h->count++;
}

static bool is_full(const struct half *h, const struct inletcache *c, size_t need)
{
	return h->used + need > c->half_bytes || h->count * 2 > h->mask;
}

/* Pieces of the key lie at the same places of its copy. */
static const char *moved(const char *p, const uint8_t *from, const uint8_t *to)
{
	return p ? (const char *)to + ((const uint8_t *)p - from) : NULL;
}

/* An entry behind the others of the young half, which has room. */
static void put(struct half *h, struct labels key, uint32_t way, uint64_t hash,
    const struct inlet_result *r, size_t need)
{
	struct entry *e = (struct entry *)(void *)(h->memory + h->used);
	uint8_t *copy = (uint8_t *)(e + 1);
	*e = (struct entry){ hash, { copy, key.len }, way, (uint32_t)need, *r };
	memcpy(copy, key.bytes, key.len);
	e->result.cluster = moved(r->cluster, key.bytes, copy);
	e->result.replica = moved(r->replica, key.bytes, copy);
	if (r->fate == INLET_CHANGED) {
		e->result.labels.bytes = copy + key.len;
		memcpy(copy + key.len, r->labels.bytes, r->labels.len);
	}
	h->used += need;
	place(h, e);
}

void inletcache_add(
    struct inletcache *c, struct labels key, uint32_t way, const struct inlet_result *r)
{
	size_t need = sizeof(struct entry) + key.len;
	need += r->fate == INLET_CHANGED ? r->labels.len : 0;
	need = (need + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (!key.len || need > c->half_bytes / 10)
		return;
	if (is_full(&c->young, c, need)) {
		/* The young half is the old one from now on. */
		struct half gone = c->old;
		half_clear(&gone);
		c->old = c->young;
		c->young = gone;
		c->last = NULL;
	}
	put(&c->young, key, way, hash_of(c, key, way), r, need);
}

/* The entry behind the last one that was found; NULL: there is none. */
static const struct entry *behind_last(const struct inletcache *c)
{
	const uint8_t *last = (const uint8_t *)c->last;
	if (!last)
		return NULL;
	const struct half *h =
	    c->young.used && last >= c->young.memory && last < c->young.memory + c->young.used
	    ? &c->young
	    : &c->old;
	const uint8_t *next = last + c->last->bytes;
	return next < h->memory + h->used ? (const struct entry *)(const void *)next : NULL;
}

const struct inlet_result *inletcache_find(struct inletcache *c, struct labels key, uint32_t way)
{
	const struct entry *e = behind_last(c);
	if (!e || e->way != way || !label_equal(e->key, key)) {
		uint64_t hash = hash_of(c, key, way);
		e = find(&c->young, key, way, hash);
		if (!e)
			e = find(&c->old, key, way, hash);
	}
	if (!e)
		return NULL;
	c->last = e;
	return &e->result;
}
