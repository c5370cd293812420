#include "core/rt/memkeep.h"

#include "core/base/block.h"
#include "core/base/mem.h"

#define LOOK_MS     100u
#define LOOKS_EVERY 10u /* looks between two ticks when little is kept */

struct memkeep {
	struct team *team;
	struct work_pool *pool;
	struct loop_timer timer; /* of loop 0 */
	struct work_task task;
	bool out;       /* the worker has it */
	unsigned looks; /* since the last tick */
};

static void run(struct work_task *t)
{
	struct memkeep *k = CONTAINER_OF(t, struct memkeep, task);
	if (k->looks >= LOOKS_EVERY)
		mem_tick();
	else
		block_tick();
}

static void done(struct work_task *t)
{
	struct memkeep *k = CONTAINER_OF(t, struct memkeep, task);
	k->out = false;
	if (k->looks >= LOOKS_EVERY)
		k->looks = 0;
}

static void look(struct loop_timer *t)
{
	struct memkeep *k = CONTAINER_OF(t, struct memkeep, timer);

	loop_timer_set(loop_here(), t, LOOK_MS);
	if (k->out)
		return;
	bool due = ++k->looks >= LOOKS_EVERY;
	if (due && !mem_wants_tick()) {
		k->looks = 0;
		return;
	}
	if (!due && !block_much())
		return;
	k->out = true;
	k->task = (struct work_task){ .run = run, .done = done, .prio = WORK_BACKGROUND };
	work_submit(k->pool, &k->task);
}

static void begin(void *arg)
{
	struct memkeep *k = arg;
	loop_timer_init(&k->timer, look);
	loop_timer_set(loop_here(), &k->timer, LOOK_MS);
}

static void end(void *arg)
{
	struct memkeep *k = arg;
	loop_timer_cancel(loop_here(), &k->timer);
}

struct memkeep *memkeep_start(struct team *t, struct work_pool *pool)
{
	struct memkeep *k = mem_zalloc(sizeof(*k));

	k->team = t;
	k->pool = pool;
	team_run_on(t, 0, begin, k);
	return k;
}

void memkeep_stop(struct memkeep *k)
{
	team_run_on(k->team, 0, end, k);
}

void memkeep_free(struct memkeep *k)
{
	if (!k)
		return;
	CHECK(!k->out);
	mem_free(k);
}
