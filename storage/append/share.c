#include "storage/append/share.h"
#include "core/base/clock.h"
#include "core/base/metric.h"
#include "storage/append/alias.h"
#include "storage/append/share_priv.h"

struct share *share_create(struct store *st, struct loop *loop, unsigned index)
{
	struct share *sh = mem_zalloc(sizeof *sh);
	sh->store = st;
	sh->loop = loop;
	sh->index = index;
	sh->mem = slab_create();
	sh->alias = alias_create();
	list_init(&sh->waiting);
	list_init(&sh->ready);
	job_init(&sh->runner, JOB_WRITE, slice_run_ready);
	list_init(&sh->parked);
	list_init(&sh->done);
	list_init(&sh->append_pool);
	list_init(&sh->step_pool);
	loop_timer_init(&sh->park_timer, slice_park_tick);
	sh->done_deferred.fn = append_done_run;
	arena_init(&sh->scratch, 64u << 10);
	return sh;
}

void share_free(struct share *sh)
{
	CHECK(sh->open == 0);
	CHECK(list_empty(&sh->waiting));
	CHECK(list_empty(&sh->parked));
	CHECK(list_empty(&sh->ready));
	LIST_EACH_SAFE(l, n, &sh->append_pool)
		mem_free(CONTAINER_OF(l, struct append, link));
	LIST_EACH_SAFE(l, n, &sh->step_pool)
		append_step_free(CONTAINER_OF(l, struct step, link));
	arena_release(&sh->scratch);
	alias_free(sh->alias);
	slab_free(sh->mem);
	newest_release(&sh->newest);
	mem_free(sh->shards);
	mem_free(sh);
}

/* ---- time that work takes ---- */

uint64_t share_since(uint64_t began_ns)
{
	return job_yields_always() ? UINT64_MAX : clock_real_mono_ns() - began_ns;
}

/* From here on share_time_is_up tells; false: somebody further out has entered. */
bool share_enter(struct share *sh)
{
	if (sh->in_turn || sh->in_job)
		return false;
	uint64_t now = loop_now_ns(sh->loop);
	if (sh->turn_ns != now) {
		sh->turn_ns = now;
		sh->used_ns = 0;
	}
	sh->in_turn = true;
	sh->began_ns = clock_real_mono_ns();
	return true;
}

void share_leave(struct share *sh, bool entered)
{
	if (!entered)
		return;
	sh->used_ns += clock_real_mono_ns() - sh->began_ns;
	sh->in_turn = false;
}

bool share_time_is_up(const struct share *sh)
{
	return sh->in_turn ? share_since(sh->began_ns) >= SHARE_PIECE_NS : job_should_yield();
}

/* Requests of many connections in one turn: when they have had their time, the next one waits. */
bool share_turn_is_full(const struct share *sh)
{
	return sh->turn_ns == loop_now_ns(sh->loop) && sh->used_ns >= SHARE_PIECE_NS;
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

/* ---- times ---- */

struct clockwatch_now share_now(const struct share *sh)
{
	return (struct clockwatch_now){ .wall_ms = loop_now_ms(sh->loop),
		.mono_ns = loop_now_ns(sh->loop) };
}

int64_t share_bounded(const struct share *sh, int64_t t_newest_ms)
{
	struct clockwatch_now now = share_now(sh);
	if (clockwatch_look(sh->store->clock, now) == CLOCKWATCH_DOUBT)
		return t_newest_ms;
	return newest_bounded(t_newest_ms, num_sat_add(now.wall_ms, sh->store->opts.future_ms));
}

/* ---- limits ---- */

uint64_t share_head_bytes(const struct share *sh)
{
	uint64_t sum = slab_bytes(sh->mem);
	for (unsigned k = 0; k < sh->shards_count; k++)
		sum += head_bytes(&sh->shards[k]->head);
	return sum;
}

enum share_fill share_fill(const struct share *sh)
{
	uint64_t bytes = share_head_bytes(sh), max = sh->store->head_bytes_max;
	if (LIKELY(bytes <= max / 100 * SHARE_TIGHT))
		return SHARE_HAS_ROOM;
	return bytes > max + max / 10 ? SHARE_IS_OVER : SHARE_IS_TIGHT;
}

struct label_limits share_label_limits(const struct share *sh)
{
	const struct limits *l = limits_here();
	struct label_limits given = sh->store->opts.labels;
	if (!given.labels_per_series)
		given.labels_per_series = (uint32_t)l->write_labels;
	if (!given.name_bytes)
		given.name_bytes = (uint32_t)l->write_name_bytes;
	if (!given.value_bytes)
		given.value_bytes = (uint32_t)l->write_value_bytes;
	if (!given.total_bytes)
		given.total_bytes = (uint32_t)l->write_labels_bytes;
	if (given.total_bytes > SHARE_LABELS_MAX)
		given.total_bytes = SHARE_LABELS_MAX;
	return given;
}

uint32_t share_retry_after(enum err err)
{
	switch ((int)err) {
	case ERR_NOSPACE:
		return 30;
	case ERR_LOGFAILED:
		return 5;
	case ERR_READONLY:
		return 60;
	default:
		return 5;
	}
}

enum err share_accepts(struct share *sh, uint32_t *retry_after_s)
{
	enum err e = sh->refuse;
	if (!e)
		e = walog_state(sh->log);
	/*
	 * Rounds make room; what comes faster than they can is told to come again. Where nothing is
	 * taken no report of the log asks for them, either.
	 */
	if (!e && UNLIKELY(share_fill(sh) == SHARE_IS_OVER)) {
		share_relieve(sh, false);
		e = ERR_BUSY;
	}
	if (e)
		*retry_after_s = share_retry_after(e);
	return e;
}

/* ---- memory ---- */

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

/*
 * While the head grows, a worker makes its next memory ready: first touches of huge pages would
 * make turns long.
 */
void share_stock_up(struct share *sh)
{
	if (LIKELY(sh->stocking || !slab_stock_low(sh->mem)))
		return;
	sh->stocking = true;
	sh->stock_task =
	    (struct work_task){ .run = stock_run, .done = stock_done, .prio = WORK_BACKGROUND };
	work_submit(sh->store->opts.pool, &sh->stock_task);
}

/* Would a round of the shard give so much memory back that it is worth its files? */
static bool gives_memory(const struct share *sh, const struct shard *s, bool over)
{
	uint64_t part = sh->store->head_bytes_max / SHARE_RELIEF / sh->shards_count;
	if (over && s->rows_since_round)
		return true;
	if (head_live_bytes(&s->head) > part)
		return true;
	/* Series that ended leave memory only by rounds. */
	uint64_t ms = over ? SHARE_RELIEF_OVER_MS : SHARE_RELIEF_MS;
	return s->head.series_count && loop_now_ns(sh->loop) - s->round_end_ns >= ms * 1000000u;
}

void share_relieve(struct share *sh, bool log)
{
	const struct shard_back *back = sh->store->back;
	enum share_fill fill = share_fill(sh);
	struct shard *oldest = NULL;
	for (unsigned k = 0; k < sh->shards_count; k++) {
		struct shard *s = sh->shards[k];
		if (s->round == SHARD_UNWRITTEN || s->round == SHARD_UNSWITCHED)
			continue; /* it waits for the disk: others need not */
		if (s->round != SHARD_IDLE)
			return;
		bool helps = (log && s->rows_since_round) ||
		    (fill != SHARE_HAS_ROOM && gives_memory(sh, s, fill == SHARE_IS_OVER));
		if (helps && (!oldest || s->round_end_ns < oldest->round_end_ns))
			oldest = s;
	}
	if (back && oldest)
		back->round(oldest, !oldest->rows_since_round, NULL, NULL);
}

void share_report(struct share *sh, const struct walog_report *r)
{
	loop_check_here(sh->loop);
	while (!list_empty(&sh->waiting)) {
		struct slice *sl = CONTAINER_OF(sh->waiting.next, struct slice, link);
		if (sl->position > r->durable && sl->position > r->failed)
			break;
		list_del(&sl->link);
		slice_settle(sl, sl->position <= r->durable ? ERR_OK : r->err);
	}
	slice_parked_run(sh);
	const struct store *st = sh->store;
	bool log = r->held_bytes > st->opts.log_share_bytes;
	if (!sh->refuse)
		share_relieve(sh, log);
}

void share_stop(struct share *sh)
{
	loop_check_here(sh->loop);
	sh->refuse = ERR_STOPPING;
	slice_parked_run(sh);
}
