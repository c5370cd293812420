#include "storage/share.h"

#include "core/base/arena.h"
#include "core/base/num.h"
#include "core/model/tenant.h"

struct share *share_create(const struct share_env *env, struct loop *loop, unsigned index)
{
	struct share *sh = mem_zalloc(sizeof *sh);
	sh->env = env;
	sh->loop = loop;
	sh->index = index;
	sh->mem = slab_create();
	return sh;
}

void share_trail(struct share *sh, unsigned shards, uint64_t seed)
{
	trail_init(&sh->trail, shards, sh->env->loops, seed);
	for (unsigned k = 0; k < sh->shards_count; k++)
		trail_head(&sh->trail, &sh->shards[k]->head);
}

void share_free(struct share *sh)
{
	trail_release(&sh->trail);
	slab_free(sh->mem);
	newest_release(&sh->newest);
	mem_free(sh->shards);
	mem_free(sh);
}

/* ---- what loops tell each other ---- */

void share_newest_save(const struct share *sh, struct files *to)
{
	files_newest_clear(to);
	for (uint32_t i = 0; i < sh->newest.count; i++) {
		const struct newest_class *c = &sh->newest.classes[i];
		files_newest_add(to, c->tenant, c->own, c->t_ms);
	}
}

uint64_t share_series(const struct share *sh)
{
	uint64_t all = 0;
	for (unsigned i = 0; i < sh->env->loops; i++)
		all += sh->series[i];
	return all;
}

bool share_is_alone(const struct share *sh, uint32_t tenant)
{
	if (tenant != TENANT_DEFAULT || latch_is_set(&sh->env->several))
		return false;
	for (unsigned k = 0; k < sh->shards_count; k++)
		if (!head_is_alone(&sh->shards[k]->head, tenant))
			return false;
	return true;
}

void share_series_count(struct share *sh)
{
	uint64_t own = 0;
	for (unsigned k = 0; k < sh->shards_count; k++)
		own += sh->shards[k]->head.series_count;
	sh->series[sh->index] = own;
}

/* ---- times ---- */

void share_changed(const struct share *sh, uint32_t tenant, enum changes_kind kind,
    int64_t t_min_ms, int64_t t_max_ms)
{
	changes_mark(
	    sh->env->changes, sh->index, tenant, kind, t_min_ms, t_max_ms, loop_now_ms(sh->loop));
}

struct clockwatch_now share_now(const struct share *sh)
{
	return (struct clockwatch_now){ .wall_ms = loop_now_ms(sh->loop),
		.mono_ns = loop_now_ns(sh->loop) };
}

int64_t share_bounded(const struct share *sh, int64_t t_newest_ms)
{
	struct clockwatch_now now = share_now(sh);
	if (clockwatch_look(sh->env->clock, now) == CLOCKWATCH_DOUBT)
		return t_newest_ms;
	return newest_bounded(t_newest_ms, num_sat_add(now.wall_ms, sh->env->future_ms));
}

/* ---- memory ---- */

uint64_t share_head_bytes(const struct share *sh)
{
	uint64_t sum = slab_bytes(sh->mem) + slab_stock_bytes(sh->mem) + trail_bytes(&sh->trail);
	for (unsigned k = 0; k < sh->shards_count; k++)
		sum += head_bytes(&sh->shards[k]->head) + tombs_bytes(sh->shards[k]->tombs);
	return sum;
}

enum share_fill share_fill(const struct share *sh)
{
	uint64_t bytes = share_head_bytes(sh), max = sh->env->head_bytes_max;
	if (LIKELY(bytes <= max / 100 * SHARE_TIGHT))
		return SHARE_HAS_ROOM;
	return bytes > max + max / 10 ? SHARE_IS_OVER : SHARE_IS_TIGHT;
}

static void stock_run(struct work_task *t)
{
	struct share *sh = CONTAINER_OF(t, struct share, stock_task);
	for (unsigned i = 0; i < SHARE_STOCK_STEP; i++)
		sh->stock[i] = slab_region_ready();
}

static void stock_done(struct work_task *t)
{
	struct share *sh = CONTAINER_OF(t, struct share, stock_task);
	sh->stocking = false;
	for (unsigned i = 0; i < SHARE_STOCK_STEP; i++)
		slab_stock_add(sh->mem, sh->stock[i]);
}

void share_stock_up(struct share *sh)
{
	if (LIKELY(sh->stocking || !slab_stock_low(sh->mem)))
		return;
	sh->stocking = true;
	sh->stock_task =
	    (struct work_task){ .run = stock_run, .done = stock_done, .prio = WORK_BACKGROUND };
	work_submit(sh->env->pool, &sh->stock_task);
}
