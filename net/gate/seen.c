#include "net/gate/seen.h"

#include <sodium.h>
#include <string.h>

#include "core/base/list.h"

#define CHAINS 1024u /* a power of two */

struct entry {
	struct list_link chain, use; /* use: the latest first */
	uint8_t key[CHECKS_KEY_BYTES];
	struct bearer *bearer;
};
struct seen {
	struct list_link chains[CHAINS], uses;
	size_t count;
};

struct seen *seen_create(void)
{
	struct seen *s = mem_alloc(sizeof *s);
	for (size_t i = 0; i < CHAINS; i++)
		list_init(&s->chains[i]);
	list_init(&s->uses);
	s->count = 0;
	return s;
}

static void drop(struct seen *s, struct entry *e)
{
	list_del(&e->chain);
	list_del(&e->use);
	bearer_free(e->bearer);
	mem_free(e);
	s->count--;
}

void seen_clear(struct seen *s)
{
	while (!list_empty(&s->uses))
		drop(s, CONTAINER_OF(s->uses.next, struct entry, use));
}

void seen_free(struct seen *s)
{
	if (!s)
		return;
	seen_clear(s);
	mem_free(s);
}

static struct list_link *chain_of(struct seen *s, const uint8_t key[CHECKS_KEY_BYTES])
{
	uint64_t h;
	memcpy(&h, key, sizeof h);
	return &s->chains[h & (CHAINS - 1)];
}

static struct entry *find(struct seen *s, const uint8_t key[CHECKS_KEY_BYTES])
{
	struct list_link *chain = chain_of(s, key);
	for (struct list_link *at = chain->next; at != chain; at = at->next) {
		struct entry *e = CONTAINER_OF(at, struct entry, chain);
		if (!sodium_memcmp(e->key, key, CHECKS_KEY_BYTES))
			return e;
	}
	return NULL;
}

const struct bearer *seen_find(struct seen *s, const uint8_t key[CHECKS_KEY_BYTES], int64_t now_ms)
{
	struct entry *e = find(s, key);
	if (!e)
		return NULL;
	if (e->bearer->expires_ms <= now_ms) {
		drop(s, e);
		return NULL;
	}
	list_del(&e->use);
	list_add_head(&s->uses, &e->use);
	return e->bearer;
}

void seen_put(struct seen *s, const uint8_t key[CHECKS_KEY_BYTES], struct bearer *take_bearer)
{
	struct entry *e = find(s, key);
	if (e)
		drop(s, e);
	if (s->count >= SEEN_MOST)
		drop(s, CONTAINER_OF(s->uses.prev, struct entry, use));
	e = mem_alloc(sizeof *e);
	memcpy(e->key, key, sizeof e->key);
	e->bearer = take_bearer;
	list_add_head(chain_of(s, key), &e->chain);
	list_add_head(&s->uses, &e->use);
	s->count++;
}
