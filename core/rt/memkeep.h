/*
 * memkeep - does memory want to go back to the system (core/base/mem.h)? Asked once a second, ten
 * times a second while large blocks are kept (core/base/block.h). Then a
 * worker sees to it; loops never wait for that.
 *
 * Thread: start and free from the main thread, stop before the pool stops, free after.
 */
#ifndef CORE_RT_MEMKEEP_H
#define CORE_RT_MEMKEEP_H

#include "core/rt/team.h"
#include "core/rt/work.h"

struct memkeep;
struct memkeep *memkeep_start(struct team *t, struct work_pool *pool);
void memkeep_stop(struct memkeep *k);
void memkeep_free(struct memkeep *k);

#endif
