#include "storage/append/intake.h"
#include "core/base/clock.h"
#include "core/base/metric.h"
#include "storage/append/alias.h"
#include "storage/append/card.h"
#include "storage/append/intake_priv.h"

struct intake *intake_create(const struct intake_env *env, struct share *share)
{
	struct intake *in = mem_zalloc(sizeof *in);
	in->env = env;
	in->share = share;
	in->alias = alias_create();
	in->card = card_create(env->census, env->seed);
	list_init(&in->waiting);
	ready_init(&in->ready);
	job_init(&in->runner, JOB_WRITE, slice_run_ready);
	list_init(&in->parked);
	list_init(&in->done);
	list_init(&in->append_pool);
	list_init(&in->step_pool);
	loop_timer_init(&in->park_timer, slice_park_tick);
	in->done_deferred.fn = append_done_run;
	arena_init(&in->scratch, 64u << 10);
	in->lanes = mem_zalloc((share->shards_count + 1) * sizeof(*in->lanes));
	in->lane_rows = mem_array(NULL, share->shards_count + 1, sizeof(*in->lane_rows));
	in->lanes_open = mem_array(NULL, share->shards_count + 1, sizeof(*in->lanes_open));
	return in;
}

void intake_free(struct intake *in)
{
	CHECK(in->open == 0);
	CHECK(list_empty(&in->waiting));
	CHECK(list_empty(&in->parked));
	CHECK(ready_empty(&in->ready));
	LIST_EACH_SAFE(l, n, &in->append_pool)
		mem_free(CONTAINER_OF(l, struct append, link));
	LIST_EACH_SAFE(l, n, &in->step_pool)
		append_step_free(CONTAINER_OF(l, struct step, link));
	arena_release(&in->scratch);
	buf_release(&in->hists);
	mem_free(in->lanes);
	mem_free(in->lane_rows);
	mem_free(in->lanes_open);
	mem_free(in->buckets);
	alias_free(in->alias);
	card_free(in->card);
	mem_free(in);
}

/* ---- time that work takes ---- */

uint64_t intake_since(uint64_t began_ns)
{
	return job_yields_always() ? UINT64_MAX : clock_real_mono_ns() - began_ns;
}

/* From here on intake_time_is_up tells; false: somebody further out has entered. */
bool intake_enter(struct intake *in)
{
	if (in->in_turn || in->in_job)
		return false;
	uint64_t now = loop_now_ns(in->share->loop);
	if (in->turn_ns != now) {
		in->turn_ns = now;
		in->used_ns = 0;
	}
	in->in_turn = true;
	in->began_ns = clock_real_mono_ns();
	return true;
}

void intake_leave(struct intake *in, bool entered)
{
	if (!entered)
		return;
	in->used_ns += clock_real_mono_ns() - in->began_ns;
	in->in_turn = false;
}

bool intake_time_is_up(const struct intake *in)
{
	return in->in_turn ? intake_since(in->began_ns) >= INTAKE_PIECE_NS : job_should_yield();
}

/* Requests of many connections in one turn: when they have had their time, the next one waits. */
bool intake_turn_is_full(const struct intake *in)
{
	return in->turn_ns == loop_now_ns(in->share->loop) && in->used_ns >= INTAKE_PIECE_NS;
}

/* ---- limits ---- */

struct label_limits intake_label_limits(const struct intake *in)
{
	const struct limits *l = limits_here();
	struct label_limits given = in->env->labels;
	if (!given.labels_per_series)
		given.labels_per_series = (uint32_t)l->write_labels;
	if (!given.name_bytes)
		given.name_bytes = (uint32_t)l->write_name_bytes;
	if (!given.value_bytes)
		given.value_bytes = (uint32_t)l->write_value_bytes;
	if (!given.total_bytes)
		given.total_bytes = (uint32_t)l->write_labels_bytes;
	if (given.total_bytes > INTAKE_LABELS_MAX)
		given.total_bytes = INTAKE_LABELS_MAX;
	return given;
}

uint32_t intake_retry_after(enum err err)
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

enum err intake_accepts(struct intake *in, uint32_t *retry_after_s)
{
	enum err e = in->share->refuse;
	if (!e)
		e = walog_state(in->log);
	/*
	 * Rounds make room; what comes faster than they can is told to come again. Where nothing is
	 * taken no report of the log asks for them, either.
	 */
	if (!e && UNLIKELY(share_fill(in->share) == SHARE_IS_OVER)) {
		in->env->up->relieve(in->share, 0);
		e = ERR_BUSY;
	}
	if (e)
		*retry_after_s = intake_retry_after(e);
	return e;
}

/* The share of a log that holds more than that, else 0. */
static uint64_t log_beyond(const struct intake *in, uint64_t held_bytes)
{
	uint64_t most = in->env->log_share_bytes, by_series;
	if (LIKELY(held_bytes <= most))
		return 0;
	by_series = share_series(in->share) * in->env->log_series_bytes;
	most = by_series > most ? by_series : most;
	return held_bytes > most ? most : 0;
}

void intake_report(struct intake *in, const struct walog_report *r)
{
	loop_check_here(in->share->loop);
	while (!list_empty(&in->waiting)) {
		struct slice *sl = CONTAINER_OF(in->waiting.next, struct slice, link);
		if (sl->position > r->durable && sl->position > r->failed)
			break;
		list_del(&sl->link);
		slice_settle(sl, sl->position <= r->durable ? ERR_OK : r->err);
	}
	slice_parked_run(in);
	if (!in->share->refuse)
		in->env->up->relieve(in->share, log_beyond(in, r->held_bytes));
}

void intake_stop(struct intake *in)
{
	loop_check_here(in->share->loop);
	in->share->refuse = ERR_STOPPING;
	slice_parked_run(in);
}
