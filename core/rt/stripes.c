#include "core/rt/stripes.h"

#include <pthread.h>

#include "core/base/check.h"
#include "core/base/mem.h"

struct stripe { /* of a cache line of its own */
	pthread_mutex_t lock;
	char pad[64 - sizeof(pthread_mutex_t) % 64];
};
struct stripes {
	unsigned count;
	struct stripe all[];
};

struct stripes *stripes_create(unsigned count)
{
	struct stripes *s = mem_alloc(sizeof(*s) + count * sizeof(s->all[0]));
	s->count = count;
	for (unsigned i = 0; i < count; i++)
		CHECK(!pthread_mutex_init(&s->all[i].lock, NULL));
	return s;
}

void stripes_free(struct stripes *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->count; i++)
		pthread_mutex_destroy(&s->all[i].lock);
	mem_free(s);
}

void stripes_lock(struct stripes *s, unsigned which)
{
	CHECK(which < s->count);
	CHECK(!pthread_mutex_lock(&s->all[which].lock));
}

void stripes_unlock(struct stripes *s, unsigned which)
{
	CHECK(!pthread_mutex_unlock(&s->all[which].lock));
}
