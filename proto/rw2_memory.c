#include "core/base/mem.h"
#include "proto/rw2_priv.h"

#define TEXT_MAX     1024u /* longer ones are not remembered */
#define SYMBOLS_KEPT 16384u

/* Metadata that was seen. */
struct rw2_known {
	uint64_t hash;
	char *texts; /* family, help, unit one after another; NULL = free */
	uint32_t tenant, family_len, help_len, unit_len;
	uint32_t stamp;
	uint8_t type;
	bool stored;      /* as long as the stamp is the same */
	uint64_t request; /* the last one that had it */
};

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
	for (unsigned i = 0; m->known && i < RW2_KNOWN; i++)
		mem_free(m->known[i].texts);
	mem_free(m->known);
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

static bool is_family(
    const struct rw2_known *k, uint64_t hash, uint32_t tenant, const struct batch_meta *meta)
{
	return k->texts && k->hash == hash && k->tenant == tenant &&
	    k->family_len == meta->family_len && text_is(k->texts, meta->family, meta->family_len);
}

static bool is_same(const struct rw2_known *k, const struct batch_meta *meta)
{
	const char *help = k->texts + k->family_len, *unit = help + k->help_len;
	return k->type == meta->type && k->help_len == meta->help_len &&
	    k->unit_len == meta->unit_len && text_is(help, meta->help, meta->help_len) &&
	    text_is(unit, meta->unit, meta->unit_len);
}

/* One of two places: the family's, a free one, or that which was not asked for longer. */
static struct rw2_known *place(
    struct rw2_memory *m, uint64_t hash, uint32_t tenant, const struct batch_meta *meta)
{
	size_t at = (size_t)(hash >> 32) % RW2_KNOWN;
	struct rw2_known *a = &m->known[at], *b = &m->known[at ^ 1];
	if (is_family(a, hash, tenant, meta))
		return a;
	if (is_family(b, hash, tenant, meta))
		return b;
	if (!a->texts || !b->texts)
		return a->texts ? b : a;
	return a->request < b->request ? a : b;
}

static void forget(struct rw2_memory *m, struct rw2_known *k)
{
	m->known_bytes -= k->texts ? texts_len(k) : 0;
	mem_free(k->texts);
	*k = (struct rw2_known){ 0 };
}

static void remember(struct rw2_memory *m, struct rw2_known *k, uint64_t hash, uint32_t tenant,
    const struct batch_meta *meta)
{
	forget(m, k);
	*k = (struct rw2_known){ .hash = hash,
		.tenant = tenant,
		.family_len = meta->family_len,
		.help_len = meta->help_len,
		.unit_len = meta->unit_len,
		.type = meta->type,
		.request = m->request };
	size_t len = texts_len(k);
	if (len > TEXT_MAX || !(k->texts = mem_try(len))) {
		*k = (struct rw2_known){ 0 };
		return;
	}
	memcpy(k->texts, meta->family, k->family_len);
	if (k->help_len)
		memcpy(k->texts + k->family_len, meta->help, k->help_len);
	if (k->unit_len)
		memcpy(k->texts + k->family_len + k->help_len, meta->unit, k->unit_len);
	m->known_bytes += len;
	for (; m->known_bytes > RW2_KNOWN_BYTES; m->hand = (m->hand + 1) % RW2_KNOWN)
		if (&m->known[m->hand] != k)
			forget(m, &m->known[m->hand]);
}

bool rw2_memory_knows(struct rw2_memory *m, uint32_t tenant, struct batch_meta *meta)
{
	if (!m->metas)
		return false;
	uint64_t hash = batch_meta_hash(tenant, meta->family, meta->family_len);
	meta->stamp = stamps_of(m->metas, hash);
	if (!m->known)
		m->known = mem_zalloc(RW2_KNOWN * sizeof *m->known);
	struct rw2_known *k = place(m, hash, tenant, meta);
	if (!is_family(k, hash, tenant, meta) || !is_same(k, meta)) {
		remember(m, k, hash, tenant, meta);
		return false;
	}
	bool given = k->request == m->request;
	k->request = m->request;
	return given || (k->stored && k->stamp == meta->stamp);
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
	for (size_t i = 0; m->known && i < b->metas_count; i++) {
		const struct batch_meta *meta = &b->metas[i];
		uint64_t hash = batch_meta_hash(b->tenant, meta->family, meta->family_len);
		struct rw2_known *k = place(m, hash, b->tenant, meta);
		/* a stamp that has moved meanwhile says nothing: the next time, then */
		if (!is_family(k, hash, b->tenant, meta) || !is_same(k, meta) ||
		    stamps_of(m->metas, hash) != meta->stamp)
			continue;
		k->stored = true;
		k->stamp = meta->stamp;
	}
}
