#include "core/base/mem.h"
#include "proto/rw2_priv.h"

#define TEXT_MAX     1024u /* longer ones are not remembered */
#define SYMBOLS_KEPT 16384u
#define LIST_MAX     16u

/* Metadata that was seen. */
struct rw2_known {
	char *texts;      /* family, help, unit one after another; NULL = none */
	uint64_t request; /* the last one that had it */
	uint64_t mark;    /* batch_meta_hash of the family */
	uint32_t hash;    /* of the family, here */
	uint32_t tenant, family_len, help_len, unit_len;
	uint32_t stamp;
	uint16_t next; /* of the same head: 1 + place in known; 0 = the last one */
	uint8_t type;
	bool stored; /* as long as the stamp is the same */
};

/*
 * Families by hash: each head begins a list of at most LIST_MAX. The entries themselves are a ring,
 * the oldest one goes first when there are too many.
 */
struct rw2_families {
	uint16_t heads[RW2_KNOWN];
	struct rw2_known ring[RW2_KNOWN];
};
_Static_assert(RW2_KNOWN < UINT16_MAX, "places are sixteen bits");

struct rw2_memory *rw2_memory_create(const struct stamps *metas)
{
	struct rw2_memory *m = mem_zalloc(sizeof *m);
	m->metas = metas;
	return m;
}

void rw2_memory_free(struct rw2_memory *m)
{
	if (!m)
		return;
	for (unsigned i = 0; m->families && i < RW2_KNOWN; i++)
		mem_free(m->families->ring[i].texts);
	mem_free(m->families);
	mem_free(m->symbols);
	mem_free(m);
}

static size_t texts_len(const struct rw2_known *k)
{
	return (size_t)k->family_len + k->help_len + k->unit_len;
}

static bool text_is(const char *have, const char *text, size_t len)
{
	return !len || memcmp(have, text, len) == 0;
}

/* Each bit of both goes to the upper half, and back into the lower one. */
static RW2_INLINE uint64_t mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * 0x9e3779b97f4a7c15u;
	return h ^ h >> 32;
}

/* Cheap: who finds names of one hash makes a list longer, never longer than LIST_MAX. */
static RW2_INLINE uint32_t hash_of(uint32_t tenant, const char *text, size_t len)
{
	const uint8_t *p = (const uint8_t *)text, *const end = p + len;
	uint64_t h = mix(len, tenant), last = 0;
	if (len >= 8)
		last = wire_load64(end - 8);
	else
		memcpy(&last, text, len);
	for (; end - p > 8; p += 8)
		h = mix(h, wire_load64(p));
	return (uint32_t)(mix(mix(h, last), 0) >> 32);
}

static bool is_family(
    const struct rw2_known *k, uint32_t hash, uint32_t tenant, const struct batch_meta *meta)
{
	return k->hash == hash && k->tenant == tenant && k->family_len == meta->family_len &&
	    text_is(k->texts, meta->family, meta->family_len);
}

static bool is_same(const struct rw2_known *k, const struct batch_meta *meta)
{
	const char *help = k->texts + k->family_len, *unit = help + k->help_len;
	return k->type == meta->type && k->help_len == meta->help_len &&
	    k->unit_len == meta->unit_len && text_is(help, meta->help, meta->help_len) &&
	    text_is(unit, meta->unit, meta->unit_len);
}

/* NULL: it is not there. */
static RW2_INLINE struct rw2_known *find(
    struct rw2_memory *m, uint32_t hash, uint32_t tenant, const struct batch_meta *meta)
{
	struct rw2_families *f = m->families;
	for (uint16_t at = f->heads[hash % RW2_KNOWN]; at; at = f->ring[at - 1].next)
		if (LIKELY(is_family(&f->ring[at - 1], hash, tenant, meta)))
			return &f->ring[at - 1];
	return NULL;
}

static void forget(struct rw2_memory *m, struct rw2_known *k)
{
	struct rw2_families *f = m->families;
	if (!k->texts)
		return;
	uint16_t *at = &f->heads[k->hash % RW2_KNOWN];
	while (&f->ring[*at - 1] != k)
		at = &f->ring[*at - 1].next;
	*at = k->next;
	m->known_bytes -= texts_len(k);
	mem_free(k->texts);
	*k = (struct rw2_known){ 0 };
}

static void forget_oldest(struct rw2_memory *m)
{
	forget(m, &m->families->ring[m->oldest]);
	m->oldest = (m->oldest + 1) % RW2_KNOWN;
	m->known_count--;
}

/* A free place of the list, with room for len bytes of text. */
static struct rw2_known *place_new(struct rw2_memory *m, uint32_t hash, size_t len)
{
	struct rw2_families *f = m->families;
	uint16_t *head = &f->heads[hash % RW2_KNOWN], last = 0;
	unsigned n = 0;
	for (uint16_t at = *head; at; at = f->ring[at - 1].next, n++)
		last = at;
	if (n >= LIST_MAX)
		forget(m, &f->ring[last - 1]);
	while (m->known_count == RW2_KNOWN ||
	    (m->known_count && m->known_bytes + len > RW2_KNOWN_BYTES))
		forget_oldest(m);
	uint32_t at = (m->oldest + m->known_count++) % RW2_KNOWN;
	f->ring[at].next = *head;
	*head = (uint16_t)(at + 1);
	return &f->ring[at];
}

/* was: what is there of the family, NULL: nothing. */
static void remember(struct rw2_memory *m, struct rw2_known *was, uint32_t hash, uint32_t tenant,
    const struct batch_meta *meta)
{
	size_t len = (size_t)meta->family_len + meta->help_len + meta->unit_len;
	char *texts = len > TEXT_MAX ? NULL : mem_try(len ? len : 1);
	if (was && (!texts || m->known_bytes - texts_len(was) + len > RW2_KNOWN_BYTES)) {
		forget(m, was);
		was = NULL;
	}
	if (!texts)
		return;
	struct rw2_known *k = was ? was : place_new(m, hash, len);
	if (was) {
		m->known_bytes -= texts_len(k);
		mem_free(k->texts);
	}
	*k = (struct rw2_known){ .hash = hash,
		.mark = batch_meta_hash(tenant, meta->family, meta->family_len),
		.texts = texts,
		.next = k->next,
		.tenant = tenant,
		.family_len = meta->family_len,
		.help_len = meta->help_len,
		.unit_len = meta->unit_len,
		.type = meta->type,
		.request = m->request };
	memcpy(texts, meta->family, k->family_len);
	memcpy(texts + k->family_len, meta->help, k->help_len);
	memcpy(texts + k->family_len + k->help_len, meta->unit, k->unit_len);
	m->known_bytes += len;
}

bool rw2_memory_knows(struct rw2_memory *m, uint32_t tenant, struct batch_meta *meta)
{
	if (!m->metas)
		return false;
	if (!m->families)
		m->families = mem_zalloc(sizeof *m->families);
	uint32_t hash = hash_of(tenant, meta->family, meta->family_len);
	struct rw2_known *k = find(m, hash, tenant, meta);
	if (LIKELY(k && is_same(k, meta))) {
		bool given = k->request == m->request;
		meta->stamp = stamps_of(m->metas, k->mark);
		k->request = m->request;
		return given || (k->stored && k->stamp == meta->stamp);
	}
	meta->stamp = stamps_of(m->metas, batch_meta_hash(tenant, meta->family, meta->family_len));
	remember(m, k, hash, tenant, meta);
	return false;
}

void rw2_memory_trim(struct rw2_memory *m)
{
	if (m->cap <= SYMBOLS_KEPT)
		return;
	mem_free(m->symbols);
	m->symbols = NULL;
	m->cap = 0;
}

void rw2_memory_learn(struct rw2_memory *m, const struct batch *b)
{
	for (size_t i = 0; m->families && i < b->metas_count; i++) {
		const struct batch_meta *meta = &b->metas[i];
		uint32_t hash = hash_of(b->tenant, meta->family, meta->family_len);
		struct rw2_known *k = find(m, hash, b->tenant, meta);
		/* a stamp that has moved meanwhile says nothing: the next time, then */
		if (!k || !is_same(k, meta) || stamps_of(m->metas, k->mark) != meta->stamp)
			continue;
		k->stored = true;
		k->stamp = meta->stamp;
	}
}
