/* recv_push_priv - what the files of the receiver of pushes share. Thread: recv_push.h. */
#ifndef NET_RECV_RECV_PUSH_PRIV_H
#define NET_RECV_RECV_PUSH_PRIV_H

#include "net/api/api.h"
#include "net/recv/inlet.h"
#include "net/recv/pushtable.h"
#include "net/recv/recv_push.h"

/* A change on its way: made by a worker, then its rows are stored, on the loop that began it. */
struct push_task {
	struct push *push;
	struct push_change change;
	struct work_task task;
	struct inlet inlet;
	struct arena arena; /* of the inlet */
	void (*done)(struct push_task *t);
};
void push_task_begin(struct push_task *t);

enum push_repeating {
	PUSH_RESTING, /* until the timer ends */
	PUSH_FILLING,
	PUSH_STORING
};
struct push { /* its timer and what it repeats are of the first loop */
	struct api *api;
	struct pushtable *table;
	enum push_repeating state;
	struct loop_timer tick;
	struct loop_deferred work;
	struct inlet inlet;
	struct batch batch;
	struct arena arena;
	struct pushgroup *at;    /* of which rows are missing, held */
	uint32_t family, row;    /* its next ones */
	unsigned expired;        /* groups, in this turn */
	int64_t t_ms;            /* of its rows */
	struct pushgroup **held; /* in the batch */
	size_t held_count, held_cap;
};
struct push_conf {
	uint64_t repeat_ms, ttl_ms, max_groups, max_bytes;
};
struct push_conf push_conf(const struct api_conf *c);

#endif
