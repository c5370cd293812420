/*
 * work - a pool of plain threads for whatever blocks: reading, writing and syncing files, LMDB,
 * decoding of large bodies.
 *
 * work_submit(pool, t) from a loop: t->run(t) on some worker, then t->done(t) back on that loop.
 * From a plain thread (no loop): done is called on the worker.
 * Lanes keep order where order matters: tasks with the same lane (1..WORK_LANES-1) never run at the
 * same time and run in the order submitted; lane 0 is free. Memory is the caller's until done.
 * work_stop runs what is queued, then joins.
 */
#ifndef CORE_RT_WORK_H
#define CORE_RT_WORK_H

#include "core/rt/loop.h"

#define WORK_LANES 256
enum work_prio {
	WORK_READ /* a query waits */,
	WORK_BACKGROUND /* rounds, seals, catalog */
};
struct work_pool;
struct work_task {
	struct mbox_msg _msg;
	struct list_link _link;
	struct loop *_from;
	void (*run)(struct work_task *t);
	void (*done)(struct work_task *t);
	uint16_t lane;
	enum work_prio prio;
};
/*
 * threads: 4 is a good number; at least one thread is kept for WORK_READ. Threads run with nice +5
 * background lowered where the kernel lets them.
 */
MUST_CHECK enum err work_create(unsigned threads, struct work_pool **out);
void work_submit(struct work_pool *p, struct work_task *t);
void work_stop(struct work_pool *p);
void work_free(struct work_pool *p);

#endif
