#include "core/base/roll.h"

#include <pthread.h>

#include "core/base/arena.h"
#include "core/base/check.h"
#include "core/base/list.h"

#define ROLL_LOCKS 64u

struct entry {
	struct list_link link;
	uint64_t key;
	uint32_t number;
};
struct roll {
	struct page {
		pthread_mutex_t lock;
		struct list_link entries;
	} pages[ROLL_LOCKS];
};

struct roll *roll_create(void)
{
	struct roll *r = mem_zalloc(sizeof(*r));
	for (unsigned i = 0; i < ROLL_LOCKS; i++) {
		CHECK(!pthread_mutex_init(&r->pages[i].lock, NULL));
		list_init(&r->pages[i].entries);
	}
	return r;
}

void roll_free(struct roll *r)
{
	for (unsigned i = 0; r && i < ROLL_LOCKS; i++) {
		CHECK(list_empty(&r->pages[i].entries));
		pthread_mutex_destroy(&r->pages[i].lock);
	}
	mem_free(r);
}

static struct page *page_of(struct roll *r, uint64_t key)
{
	return &r->pages[key % ROLL_LOCKS];
}

static struct entry *find(const struct page *p, uint64_t key)
{
	LIST_EACH(l, &p->entries) {
		struct entry *e = CONTAINER_OF(l, struct entry, link);
		if (e->key == key)
			return e;
	}
	return NULL;
}

uint32_t roll_enter(struct roll *r, uint64_t key, uint32_t number)
{
	struct page *p = page_of(r, key);
	CHECK(number);
	pthread_mutex_lock(&p->lock);
	struct entry *e = find(p, key);
	uint32_t whose = e ? e->number : 0;
	if (!e) {
		e = mem_zalloc(sizeof(*e));
		e->key = key;
		e->number = number;
		list_add_head(&p->entries, &e->link);
	}
	pthread_mutex_unlock(&p->lock);
	return whose;
}

void roll_leave(struct roll *r, uint64_t key)
{
	struct page *p = page_of(r, key);
	pthread_mutex_lock(&p->lock);
	struct entry *e = find(p, key);
	CHECK(e);
	list_del(&e->link);
	pthread_mutex_unlock(&p->lock);
	mem_free(e);
}
