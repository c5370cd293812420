/* statsdflush - what became of all events, as rows, a batch at a time: net/recv/recv_statsd.h. */
#include <string.h>

#include "core/base/clock.h"
#include "core/base/metric.h"
#include "net/recv/recv_statsd_priv.h"

#define ROWS_MAX      8192u
#define KEEP_BYTES    (1u << 20)
#define AGAIN_MS      1000u /* when the store does not say */
#define AGAIN_LAST_MS 100u

static void set_state(struct statsd_flush *f, enum statsd_flushing state)
{
	f->state = state;
}

static void begin(struct statsd_loop *l);

static void over(struct statsd_loop *l)
{
	struct statsd_flush *f = &l->flush;
	uint64_t series = 0;
	metric_observe_ns(M_STATSD_FLUSH, clock_real_mono_ns() - f->begin_ns);
	for (unsigned i = 0; i < l->all->tenants_count; i++)
		series += statsd_agg_series(l->aggs[i]);
	metric_gauge_set(M_STATSD_SERIES, (int64_t)series);
	set_state(f, STATSD_IDLE);
}

/* ---- a batch on its way ---- */

/* The inlet moves rows within the batch: a second try begins with those of the first. */
static void keep_rows(struct statsd_flush *f)
{
	if (f->rows_cap < f->batch.rows_count) {
		f->rows_cap = f->batch.rows_count;
		f->rows = mem_array(f->rows, f->rows_cap, sizeof(*f->rows));
	}
	if (f->batch.rows_count)
		memcpy(f->rows, f->batch.rows, f->batch.rows_count * sizeof(*f->rows));
	f->rows_count = f->batch.rows_count;
	f->metas_count = f->batch.metas_count;
}

static void stored(struct inlet *i);

static void store(struct statsd_loop *l)
{
	struct statsd_flush *f = &l->flush;
	set_state(f, STATSD_STORING);
	f->inlet = (struct inlet){
		.req.batch = &f->batch, .receiver = RECEIVER_STATSD, .arena = &f->arena, .done = stored
	};
	inlet_append(l->all->api, &f->inlet);
}

static void store_again(struct loop_timer *t)
{
	struct statsd_loop *l = CONTAINER_OF(t, struct statsd_loop, flush.again);
	struct statsd_flush *f = &l->flush;
	if (f->rows_count)
		memcpy(f->batch.rows, f->rows, f->rows_count * sizeof(*f->rows));
	f->batch.rows_count = f->rows_count;
	f->batch.metas_count = f->metas_count;
	store(l);
}

static void come_back(struct statsd_loop *l)
{
	struct statsd_flush *f = &l->flush;
	uint64_t told_ms = f->inlet.req.retry_after_s * UINT64_C(1000);
	uint64_t after = f->ending ? AGAIN_LAST_MS : told_ms ? told_ms : AGAIN_MS;
	metric_add(M_STATSD_FLUSH_RETRIES, 1);
	LOG_EVERY(LOG_LEVEL_WARN, "statsd_flush_waits", "err=\"%s\" retry_ms=%llu",
	    err_text(f->inlet.req.err), (unsigned long long)after);
	set_state(f, STATSD_WAITING);
	loop_timer_set(l->loop, &f->again, after);
}

static void stored(struct inlet *i)
{
	struct statsd_loop *l = CONTAINER_OF(i, struct statsd_loop, flush.inlet);
	struct statsd_flush *f = &l->flush;
	if (i->req.err) {
		come_back(l);
		return;
	}
	statsd_stored(l, &f->batch, &i->req);
	if (i->req.refused)
		LOG_EVERY(LOG_LEVEL_WARN, "statsd_rows_refused", "rows=%llu reason=%s first=\"%s\"",
		    (unsigned long long)i->req.refused, sink_reason_word[i->req.first_reason],
		    i->req.first_text);
	batch_clear(&f->batch);
	arena_reset(&f->arena, KEEP_BYTES);
	set_state(f, STATSD_FILLING);
	job_wake(&f->job);
}

/* ---- filling it ---- */

static enum job_state fill(struct job *j)
{
	struct statsd_loop *l = CONTAINER_OF(j, struct statsd_loop, flush.job);
	struct statsd_flush *f = &l->flush;
	if (f->state != STATSD_FILLING)
		return JOB_WAIT;
	for (; f->tenant < l->all->tenants_count; f->tenant++, f->filled = false) {
		f->batch.tenant = l->all->tenants[f->tenant].id;
		if (!f->filled)
			f->filled = statsd_agg_rows(
			    l->aggs[f->tenant], &f->batch, &f->arena, ROWS_MAX, job_should_yield);
		if (!f->filled && f->batch.rows_count < ROWS_MAX)
			return JOB_YIELD;
		if (f->batch.rows_count) {
			keep_rows(f);
			store(l);
			return JOB_WAIT;
		}
	}
	over(l);
	if (f->last) {
		set_state(f, STATSD_FLUSHED);
		return JOB_DONE;
	}
	if (f->ending) /* what came while this one ran */
		begin(l);
	return JOB_WAIT;
}

static void begin(struct statsd_loop *l)
{
	struct statsd_flush *f = &l->flush;
	const struct statsd_conf *c = statsd_conf_here(l);
	f->begin_ns = clock_real_mono_ns();
	f->t_ms = loop_now_ms(l->loop);
	f->tenant = 0;
	f->filled = false;
	f->last = f->ending;
	for (unsigned i = 0; i < l->all->tenants_count; i++) {
		statsd_agg_members(l->aggs[i], c->members);
		statsd_agg_begin(l->aggs[i], f->t_ms, c->flush_ms);
	}
	set_state(f, STATSD_FILLING);
	job_wake(&f->job);
}

static void tick(struct loop_timer *t)
{
	struct statsd_loop *l = CONTAINER_OF(t, struct statsd_loop, flush.tick);
	loop_timer_set(l->loop, t, statsd_conf_here(l)->flush_ms);
	if (l->flush.state == STATSD_IDLE)
		begin(l);
	else
		metric_add(M_STATSD_FLUSHES_SKIPPED, 1);
}

/* ---- life ---- */

void statsd_flush_start(struct statsd_loop *l)
{
	struct statsd_flush *f = &l->flush;
	batch_init(&f->batch);
	arena_init(&f->arena, 64 << 10);
	loop_timer_init(&f->tick, tick);
	loop_timer_init(&f->again, store_again);
	job_init(&f->job, JOB_WRITE, fill);
	job_start(l->loop, &f->job);
	loop_timer_set(l->loop, &f->tick, statsd_conf_here(l)->flush_ms);
}

void statsd_flush_last(struct statsd_loop *l)
{
	struct statsd_flush *f = &l->flush;
	loop_timer_cancel(l->loop, &f->tick);
	f->ending = true;
	if (f->state == STATSD_IDLE)
		begin(l);
	else if (f->state == STATSD_WAITING) /* there is no time for what the store asked for */
		loop_timer_set(l->loop, &f->again, AGAIN_LAST_MS);
}

void statsd_flush_halt(struct statsd_loop *l)
{
	struct statsd_flush *f = &l->flush;
	loop_timer_cancel(l->loop, &f->tick);
	loop_timer_cancel(l->loop, &f->again);
	job_drop(&f->job);
}

void statsd_flush_release(struct statsd_loop *l)
{
	struct statsd_flush *f = &l->flush;
	batch_release(&f->batch);
	arena_release(&f->arena);
	mem_free(f->rows);
}
