#include "storage/append/alias.h"
#include "core/base/arena.h"

struct entry {
	uint64_t raw_fp;
	struct hash128 fp;
	uint8_t *bytes; /* raw, then canonical; NULL = free */
	uint32_t raw_len, canonical_len, tenant;
	uint32_t _pad;
};
struct set {
	struct entry ways[ALIAS_WAYS];
};
struct alias {
	struct set *sets;         /* NULL until the first one */
	uint8_t next[ALIAS_SETS]; /* way to be replaced next */
	size_t bytes;
};

struct alias *alias_create(void)
{
	return mem_zalloc(sizeof(struct alias));
}

static void alias_clear(struct alias *a)
{
	for (unsigned i = 0; a->sets && i < ALIAS_SETS; i++)
		for (unsigned w = 0; w < ALIAS_WAYS; w++)
			mem_free(a->sets[i].ways[w].bytes);
	mem_free(a->sets);
	a->sets = NULL;
	a->bytes = 0;
}

void alias_free(struct alias *a)
{
	if (!a)
		return;
	alias_clear(a);
	mem_free(a);
}

static unsigned set_of(uint64_t raw_fp)
{
	return (unsigned)(raw_fp ^ raw_fp >> 32) % ALIAS_SETS;
}

bool alias_find(const struct alias *a, uint64_t raw_fp, uint32_t tenant, struct labels raw,
    struct labels *out, struct hash128 *fp)
{
	if (!a->sets)
		return false;
	const struct set *s = &a->sets[set_of(raw_fp)];
	for (unsigned w = 0; w < ALIAS_WAYS; w++) {
		const struct entry *e = &s->ways[w];
		if (!e->bytes || e->raw_fp != raw_fp || e->tenant != tenant ||
		    e->raw_len != raw.len || memcmp(e->bytes, raw.bytes, raw.len) != 0)
			continue;
		*out = (struct labels){ .bytes = e->bytes + e->raw_len, .len = e->canonical_len };
		*fp = e->fp;
		return true;
	}
	return false;
}

void alias_add(struct alias *a, uint64_t raw_fp, uint32_t tenant, struct labels raw,
    struct labels canonical, struct hash128 fp)
{
	size_t need = (size_t)raw.len + canonical.len;
	if (a->bytes + need > ALIAS_BYTES_MAX)
		alias_clear(a);
	if (need > ALIAS_BYTES_MAX || !raw.len)
		return;
	if (!a->sets)
		a->sets = mem_zalloc(ALIAS_SETS * sizeof *a->sets);
	unsigned set = set_of(raw_fp);
	struct entry *e = &a->sets[set].ways[a->next[set]];
	a->next[set] = (uint8_t)((a->next[set] + 1) % ALIAS_WAYS);
	if (e->bytes)
		a->bytes -= (size_t)e->raw_len + e->canonical_len;
	mem_free(e->bytes);
	*e = (struct entry){ .raw_fp = raw_fp,
		.fp = fp,
		.raw_len = raw.len,
		.canonical_len = canonical.len,
		.tenant = tenant };
	e->bytes = mem_alloc(need);
	memcpy(e->bytes, raw.bytes, raw.len);
	if (canonical.len)
		memcpy(e->bytes + raw.len, canonical.bytes, canonical.len);
	a->bytes += need;
}
