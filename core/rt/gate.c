#ifndef _GNU_SOURCE
# define _GNU_SOURCE /* the kind of a rwlock */
#endif
#include "core/rt/gate.h"

#include "core/base/arena.h"

#include <pthread.h>

struct gate {
	pthread_rwlock_t lock;
};

struct gate *gate_create(void)
{
	struct gate *g = mem_alloc(sizeof(*g));
	pthread_rwlockattr_t attr;
	CHECK(pthread_rwlockattr_init(&attr) == 0);
	CHECK(pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP) == 0);
	CHECK(pthread_rwlock_init(&g->lock, &attr) == 0);
	pthread_rwlockattr_destroy(&attr);
	return g;
}

void gate_free(struct gate *g)
{
	if (!g)
		return;
	CHECK(pthread_rwlock_destroy(&g->lock) == 0);
	mem_free(g);
}

void gate_enter(struct gate *g)
{
	CHECK(pthread_rwlock_rdlock(&g->lock) == 0);
}

void gate_leave(struct gate *g)
{
	CHECK(pthread_rwlock_unlock(&g->lock) == 0);
}

void gate_close(struct gate *g)
{
	CHECK(pthread_rwlock_wrlock(&g->lock) == 0);
}

void gate_open(struct gate *g)
{
	CHECK(pthread_rwlock_unlock(&g->lock) == 0);
}
