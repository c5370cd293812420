#include "storage/back/back.h"

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "storage/back/feed.h"
#include "storage/share.h"
#include "storage/space.h"

uint64_t back_now_ns(const struct back *b)
{
	return loop_now_ns(b->shard->loop);
}

uint64_t back_retry_ns(const struct back *b)
{
	return back_now_ns(b) + (uint64_t)b->env->retry_ms * 1000000u;
}

/* ---- FILES ---- */

static void switch_run(struct work_task *t)
{
	struct back_switch *s = CONTAINER_OF(t, struct back_switch, task);
	struct shard *sh = s->shard;
	s->err = files_switch(&sh->switcher, &s->next);
	if (s->err == ERR_NOSPACE && s->frees &&
	    space_reserve_give(back_of(sh)->env->space, "a switch that frees space"))
		s->err = files_switch(&sh->switcher, &s->next);
}

static void switch_begin(struct shard *sh);

/* A list only goes on: what the one before promised of the log, ids and numbers holds. */
static void goes_on(const struct files *from, const struct files *to)
{
	CHECK(to->generation > from->generation && to->complete_to >= from->complete_to);
	CHECK(to->next_id >= from->next_id && to->next_number >= from->next_number);
}

static void switch_done(struct work_task *t)
{
	struct back_switch *s = CONTAINER_OF(t, struct back_switch, task);
	struct shard *sh = s->shard;
	sh->switching = false;
	sh->unknown = files_unknown(&sh->switcher);
	if (s->err) {
		LOG_EVERY(LOG_LEVEL_ERROR, "files_switch_failed", "shard=%u err=%s on_disk=%s",
		    sh->index, err_text(s->err), sh->unknown ? "unknown" : "\"as before\"");
		files_release(&s->next);
	} else {
		/* ranks and ids given out since the copy was taken stay taken */
		if (s->next.next_rank < sh->list.next_rank)
			s->next.next_rank = sh->list.next_rank;
		goes_on(&sh->list, &s->next);
		files_release(&sh->list);
		sh->list = s->next;
	}
	list_del(&s->link);
	s->done(s, s->err);
	/* Every file of FILES is open, or lost; no other is. */
	CHECK(sh->files_count + sh->lost_count == sh->list.count);
	switch_begin(sh);
	back_poke(back_of(sh));
}

static void switch_begin(struct shard *sh)
{
	struct back *b = back_of(sh);
	if (sh->switching || list_empty(&b->switches))
		return;
	struct back_switch *s = CONTAINER_OF(b->switches.next, struct back_switch, link);
	sh->switching = true;
	files_copy(&s->next, &sh->list);
	s->change(s, &s->next);
	share_newest_save(sh->share, &s->next);
	s->task = (struct work_task){
		.run = switch_run, .done = switch_done, .lane = shard_lane(sh), .prio = WORK_BACKGROUND
	};
	work_submit(b->pool, &s->task);
}

void back_switch(struct shard *sh, struct back_switch *s)
{
	s->shard = sh;
	list_add_tail(&back_of(sh)->switches, &s->link);
	switch_begin(sh);
}

static void no_change(struct back_switch *s, struct files *next)
{
	(void)s;
	(void)next;
}

static void resolved(struct back_switch *s, enum err err)
{
	struct back *b = CONTAINER_OF(s, struct back, resolving);
	b->resolve_busy = false;
	if (err)
		b->resolve_not_before_ns = back_now_ns(b) + BACK_RETRY_MS * 1000000ull;
}

/* What waits until it is known which list is on disk must not wait for somebody's next change. */
static void resolve_poke(struct back *b)
{
	struct shard *sh = b->shard;
	if (!sh->unknown || b->resolve_busy || sh->switching || !list_empty(&b->switches) ||
	    back_now_ns(b) < b->resolve_not_before_ns)
		return;
	b->resolve_busy = true;
	b->resolving = (struct back_switch){ .change = no_change, .done = resolved };
	back_switch(sh, &b->resolving);
}

/* ---- one shard's background ---- */

static bool at_rest(const struct back *b)
{
	return !round_busy(b) && !b->shard->switching && list_empty(&b->switches) && !b->merge &&
	    !b->look && !b->feed_busy && !b->rebuild && !b->retain_busy && !b->deletion && !b->tidy &&
	    list_empty(&b->deletions) && !b->lost_busy; /* removals: store_close waits for them */
}

static void end(struct loop_deferred *d)
{
	struct back *b = CONTAINER_OF(d, struct back, ending);
	void (*closed)(void *arg) = b->closed;
	void *arg = b->closed_arg;
	feed_drop_all(b);
	b->shard->back = NULL;
	mem_free(b);
	closed(arg);
}

/* A round that cannot be written or switched stays in the log: nothing is lost by ending. */
static void give_up_round(struct back *b)
{
	if (b->shard->round == SHARD_UNSWITCHED || b->shard->round == SHARD_UNWRITTEN)
		round_abandon(b);
}

void back_poke(struct back *b)
{
	if (b->closing) {
		deletion_poke(b);
		give_up_round(b);
		rebuild_abandon(b);
		if (at_rest(b) &&
		    /* at the end of the turn: a slice of this shard may be running below */
		    !b->ending.fn) {
			b->ending.fn = end;
			loop_defer(b->shard->loop, &b->ending);
		}
		return;
	}
	deletion_poke(b);
	round_poke(b);
	rebuild_poke(b);
	feed_poke(b);
	tidy_poke(b);
	sealing_poke(b);
	retain_poke(b);
	lost_poke(b);
	resolve_poke(b);
	removal_poke(b->shard);
}

static void tick(struct loop_timer *t)
{
	struct back *b = CONTAINER_OF(t, struct back, tick);
	loop_timer_set(b->shard->loop, t, b->tick_ms);
	back_poke(b);
}

static uint64_t tick_of(int64_t round_every_ms)
{
	uint64_t ms = (uint64_t)round_every_ms / 4;
	return ms < BACK_TICK_MIN_MS ? BACK_TICK_MIN_MS : ms > BACK_TICK_MS ? BACK_TICK_MS : ms;
}

void back_open(struct shard *sh, const struct back_env *env)
{
	loop_check_here(sh->loop);
	struct back *b = mem_zalloc(sizeof(*b));
	b->env = env;
	b->shard = sh;
	b->pool = sh->pool;
	list_init(&b->round_waiters);
	list_init(&b->round_running);
	list_init(&b->switches);
	list_init(&b->seal_waiters);
	list_init(&b->deletions);
	list_init(&b->purge_waiters);
	list_init(&b->feed);
	job_init(&b->slices, JOB_WRITE, round_slice);
	loop_timer_init(&b->tick, tick);
	sh->back = b;
	b->look_at_ms = b->full_before_ms = INT64_MIN;
	feed_open(b);
	b->tick_ms = tick_of(env->round_every_ms);
	/* Rounds of the shards are spread over the interval. */
	uint64_t every_ns = (uint64_t)env->round_every_ms * 1000000u;
	uint64_t shards = env->shards;
	uint64_t now = back_now_ns(b), ago = every_ns / shards * sh->index;
	sh->round_end_ns = now > ago ? now - ago : 0;
	b->tidy_looked_ns = now;
	b->lost_not_before_ns = now + BACK_LOST_MS * 1000000ull;
	loop_timer_set(sh->loop, &b->tick, b->tick_ms * (sh->index + 1) / shards + 1);
}

static void wait_for(struct list_link *waiters, void (*done)(void *arg, enum err err), void *arg)
{
	struct back_waiter *w = mem_zalloc(sizeof(*w));
	w->done = done;
	w->arg = arg;
	list_add_tail(waiters, &w->link);
}

static void ignore(void *arg, enum err err)
{
	(void)arg;
	(void)err;
}

void back_round(struct shard *sh, bool force, void (*done)(void *arg, enum err err), void *arg)
{
	struct back *b = back_of(sh);
	loop_check_here(sh->loop);
	if (!done)
		done = ignore;
	if (!b || b->closing) {
		done(arg, ERR_STOPPING);
		return;
	}
	if (!force && (!sh->rows_since_round || round_busy(b))) {
		done(arg, ERR_OK); /* nothing new, or on its way */
		return;
	}
	if (done != ignore) /* who asks again and again does not wait */
		wait_for(&b->round_waiters, done, arg);
	b->round_wanted = true;
	if (force)
		b->round_not_before_ns = 0;
	round_poke(b);
}

void back_seal(struct shard *sh, bool force, void (*done)(void *arg, enum err err), void *arg)
{
	struct back *b = back_of(sh);
	loop_check_here(sh->loop);
	if (!done)
		done = ignore;
	if (!b || b->closing) {
		done(arg, ERR_STOPPING);
		return;
	}
	wait_for(&b->seal_waiters, done, arg);
	sealing_want(b, force);
}

void back_delete(struct shard *sh, struct back_deletion *d)
{
	struct back *b = back_of(sh);
	loop_check_here(sh->loop);
	errbuf_init(&d->eb);
	d->_work = NULL;
	if (!b || b->closing || !d->count) {
		d->done(d, d->count ? ERR_STOPPING : ERR_OK);
		return;
	}
	list_add_tail(&b->deletions, &d->link);
	deletion_poke(b);
}

void back_purge(struct shard *sh, void (*done)(void *arg, enum err err), void *arg)
{
	struct back *b = back_of(sh);
	loop_check_here(sh->loop);
	if (!b || b->closing) {
		done(arg, ERR_STOPPING);
		return;
	}
	wait_for(&b->purge_waiters, done, arg);
	b->purging = true;
	b->purge_seen = false;
	b->tidy_wanted = true;
	b->tidy_not_before_ns = 0;
	back_poke(b);
}

void back_close(struct shard *sh, void (*done)(void *arg), void *arg)
{
	struct back *b = back_of(sh);
	loop_check_here(sh->loop);
	if (!b) {
		done(arg);
		return;
	}
	loop_timer_cancel(sh->loop, &b->tick);
	b->closing = true;
	latch_set(&b->stopping);
	b->closed = done;
	b->closed_arg = arg;
	back_tell(&b->round_waiters, ERR_STOPPING);
	back_tell(&b->seal_waiters, ERR_STOPPING);
	back_tell(&b->purge_waiters, ERR_STOPPING);
	back_poke(b);
}

void back_tell(struct list_link *waiters, enum err err)
{
	struct list_link told, *l;
	list_init(&told);
	list_move_all(&told, waiters);
	while ((l = list_pop(&told))) {
		struct back_waiter *x = CONTAINER_OF(l, struct back_waiter, link);
		void (*done)(void *arg, enum err e) = x->done;
		void *arg = x->arg;
		mem_free(x);
		done(arg, err);
	}
}
