#include "core/rt/hoard.h"

#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/mem.h"

#define CHAINS       8192u
#define OWNER_CHAINS 256u
#define GONE_AT_ONCE 32u
#define GONE_BYTES   (8u << 20) /* so much is freed at once, or one thing */

struct owner {
	struct list_link chain;
	struct list_link items; /* the one that was not got for longest is first */
	uint32_t id;
	uint64_t bytes;
};
struct hoard {
	pthread_mutex_t lock;
	struct purse purse;
	uint64_t seed;         /* nobody can choose keys that meet */
	struct list_link all;  /* as above */
	uint64_t bytes;        /* of what is in */
	uint32_t owners_count; /* that have something */
	struct list_link owners[OWNER_CHAINS];
	struct list_link chains[CHAINS];
};

struct hoard *hoard_create(uint64_t max_bytes)
{
	struct hoard *h = mem_zalloc(sizeof(*h));
	CHECK(max_bytes > 0);
	pthread_mutex_init(&h->lock, NULL);
	purse_init(&h->purse, max_bytes, NULL);
	if (getrandom(&h->seed, sizeof(h->seed), GRND_NONBLOCK) != (ssize_t)sizeof(h->seed))
		h->seed = clock_real_mono_ns() ^ (uintptr_t)h;
	list_init(&h->all);
	for (unsigned i = 0; i < OWNER_CHAINS; i++)
		list_init(&h->owners[i]);
	for (unsigned i = 0; i < CHAINS; i++)
		list_init(&h->chains[i]);
	return h;
}

struct purse *hoard_purse(struct hoard *h)
{
	return &h->purse;
}

uint64_t hoard_max(const struct hoard *h)
{
	return h->purse.max;
}

/* ---- under the lock ---- */

static struct owner *owner_find(const struct hoard *h, uint32_t id)
{
	LIST_EACH(l, &h->owners[id % OWNER_CHAINS]) {
		struct owner *o = CONTAINER_OF(l, struct owner, chain);
		if (o->id == id)
			return o;
	}
	return NULL;
}

static struct owner *owner_get(struct hoard *h, uint32_t id)
{
	struct owner *o = owner_find(h, id);
	if (o)
		return o;
	o = mem_zalloc(sizeof(*o));
	o->id = id;
	list_init(&o->items);
	list_add_tail(&h->owners[id % OWNER_CHAINS], &o->chain);
	h->owners_count++;
	return o;
}

static struct hoard_item *find(
    const struct hoard *h, uint64_t hash, uint32_t owner, const void *key, size_t key_len)
{
	LIST_EACH(l, &h->chains[hash % CHAINS]) {
		struct hoard_item *i = CONTAINER_OF(l, struct hoard_item, _chain);
		if (i->_hash == hash && i->owner == owner && i->key_len == key_len &&
		    !memcmp(i->key, key, key_len))
			return i;
	}
	return NULL;
}

/* Its reference is the caller's, who drops it outside the lock. */
static struct hoard_item *take_out(struct hoard *h, struct hoard_item *i)
{
	struct owner *o = owner_find(h, i->owner);
	list_del(&i->_chain);
	list_del(&i->_all);
	list_del(&i->_own);
	h->bytes -= i->bytes;
	o->bytes -= i->bytes;
	if (list_empty(&o->items)) {
		list_del(&o->chain);
		mem_free(o);
		h->owners_count--;
	}
	return i;
}

static struct hoard_item *next_to_go(const struct hoard *h, uint32_t owner)
{
	const struct owner *o = owner_find(h, owner);
	if (o && o->bytes > h->purse.max / h->owners_count)
		return CONTAINER_OF(o->items.next, struct hoard_item, _own);
	return list_empty(&h->all) ? NULL : CONTAINER_OF(h->all.next, struct hoard_item, _all);
}

/* ---- as it is seen ---- */

struct hoard_item *hoard_get(struct hoard *h, uint32_t owner, const void *key, size_t key_len)
{
	uint64_t hash = hash64(key, key_len, h->seed ^ owner);
	pthread_mutex_lock(&h->lock);
	struct hoard_item *i = find(h, hash, owner, key, key_len);
	if (i) {
		snap_take(&i->snap);
		list_del(&i->_all);
		list_del(&i->_own);
		list_add_tail(&h->all, &i->_all);
		list_add_tail(&owner_find(h, owner)->items, &i->_own);
	}
	pthread_mutex_unlock(&h->lock);
	return i;
}

enum hoard_got hoard_room(struct hoard *h, uint32_t owner, uint64_t bytes, unsigned *gone)
{
	struct hoard_item *out[GONE_AT_ONCE];
	unsigned count = 0;
	uint64_t less = 0;
	*gone = 0;
	if (bytes > h->purse.max)
		return HOARD_NO_ROOM;
	pthread_mutex_lock(&h->lock);
	while (count < GONE_AT_ONCE && less < GONE_BYTES &&
	    purse_used(&h->purse) > h->purse.max - bytes + less) {
		struct hoard_item *i = next_to_go(h, owner);
		if (!i)
			break;
		less += i->bytes;
		out[count++] = take_out(h, i);
	}
	pthread_mutex_unlock(&h->lock);
	for (unsigned i = 0; i < count; i++)
		snap_drop(&out[i]->snap);
	*gone = count;
	if (purse_fits(&h->purse, bytes))
		return HOARD_HAS_ROOM;
	return count ? HOARD_AGAIN : HOARD_NO_ROOM;
}

void hoard_put(struct hoard *h, struct hoard_item *item)
{
	snap_take(&item->snap);
	item->_hash = hash64(item->key, item->key_len, h->seed ^ item->owner);
	pthread_mutex_lock(&h->lock);
	struct hoard_item *old = find(h, item->_hash, item->owner, item->key, item->key_len);
	if (old)
		take_out(h, old);
	struct owner *o = owner_get(h, item->owner);
	h->bytes += item->bytes;
	o->bytes += item->bytes;
	list_add_tail(&h->chains[item->_hash % CHAINS], &item->_chain);
	list_add_tail(&h->all, &item->_all);
	list_add_tail(&o->items, &item->_own);
	pthread_mutex_unlock(&h->lock);
	if (old)
		snap_drop(&old->snap);
}

void hoard_free(struct hoard *h)
{
	if (!h)
		return;
	while (!list_empty(&h->all)) {
		struct hoard_item *i = CONTAINER_OF(h->all.next, struct hoard_item, _all);
		snap_drop(&take_out(h, i)->snap);
	}
	purse_end(&h->purse);
	pthread_mutex_destroy(&h->lock);
	mem_free(h);
}
