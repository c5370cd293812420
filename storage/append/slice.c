#include "core/base/clock.h"
#include "core/base/metric.h"
#include "storage/append/apply.h"
#include "storage/append/share_priv.h"
#include "storage/keeper.h"

#define PARK_TICK_MS   5u
#define AGAIN_ROWS     2048u
#define SCRATCH_KEEP   (1u << 20)
#define ROOM_ROW_BYTES 16u /* what a row may take in the log: 8 of value, a few of id and time */
#define ROOM_SLICE     4096u

static void slice_arrive(struct slice *sl);
static void slice_arrive_msg(struct mbox_msg *msg);
static void slice_refuse(struct slice *sl, enum err err);
static void slice_ran(struct slice *sl);
static void slice_home(struct slice *sl);

static int64_t slice_newest(const struct share *sh, const struct slice *sl)
{
	return newest_get(&sh->newest, sl->tenant, sl->batch->own);
}

static void slice_newest_tell(struct share *sh, const struct slice *sl)
{
	(void)newest_tell(
	    &sh->newest, sl->tenant, sl->batch->own, sl->t_newest_ms, loop_now_ns(sh->loop));
}

/* On any loop: what the home loop changes from step to step is given, not read here. */
void slice_init(struct slice *sl, struct append *ap, struct shard_judge judge, struct share *from,
    struct share *at)
{
	*sl = (struct slice){ .append = ap,
		.from = from,
		.at = at,
		.batch = ap->req->batch,
		.tenant = ap->req->batch->tenant,
		.judge = judge,
		.open = 1 };
	list_init(&sl->link);
	shard_verdict_init(&sl->verdict);
}

void slice_send(struct slice *sl)
{
	struct share *from = sl->from;
	sl->t_newest_ms = slice_newest(from, sl);
	sl->series = from->series[from->index];
	if (sl->at == from) {
		slice_arrive(sl);
		return;
	}
	sl->msg.fn = slice_arrive_msg;
	loop_send(sl->at->loop, &sl->msg);
}

/* ---- a slice, on its owner ---- */

static void slice_arrive_msg(struct mbox_msg *msg)
{
	struct slice *sl = CONTAINER_OF(msg, struct slice, msg);
	struct share *sh = sl->at;
	bool entered = share_enter(sh);
	slice_arrive(sl);
	share_leave(sh, entered);
}

static bool room(const struct share *sh, const struct slice *sl)
{
	return walog_room(sh->log, (uint64_t)sl->rows_count * ROOM_ROW_BYTES + ROOM_SLICE);
}

/*
 * Odd rows of a piece, sorted by owner and shard, become one slice for each loop concerned: linked
 * by next_child.
 */
static struct slice *children_make(struct slice *sl, const struct apply_odds *odds)
{
	struct share *sh = sl->at;
	const struct store *st = sh->store;
	struct slice *children = NULL;
	for (unsigned i = 0; i < st->loops; i++) {
		struct share *at = st->shares[i];
		uint32_t n = 0;
		for (uint32_t k = 0; k < odds->count; k++)
			n += odds->rows[k].shard % st->loops == i;
		if (!n)
			continue;
		struct arena memory;
		arena_init(&memory, 4096);
		struct slice *child = arena_alloc(&memory, sizeof *child);
		slice_init(child, sl->append, sl->judge, sh, at);
		child->parent = sl;
		child->canonical = true;
		child->rows = arena_array(&memory, n, sizeof *child->rows);
		child->ends = arena_array(&memory, at->shards_count, sizeof *child->ends);
		for (unsigned s = 0; s < at->shards_count; s++) {
			for (uint32_t k = 0; k < odds->count; k++) {
				if (odds->rows[k].shard != at->shards[s]->index)
					continue;
				struct head_row *r = &child->rows[child->rows_count++];
				*r = odds->rows[k].row;
				if (r->labels_len > child->labels_max)
					child->labels_max = r->labels_len;
				r->labels = arena_dup(&memory, r->labels, r->labels_len);
			}
			child->ends[s] = child->rows_count;
		}
		child->memory = arena_alloc(&memory, sizeof memory);
		*child->memory = memory;
		child->next_child = children;
		children = child;
		sl->open++;
	}
	return children;
}

/* True: its last piece has run, or it was refused; it is not the caller's any more. */
static bool slice_piece(struct slice *sl)
{
	struct share *sh = sl->at;
	enum err e = share_accepts(sh, &sl->retry_after_s);
	if (e) {
		slice_refuse(sl, e);
		return true;
	}
	/* never while the store ends: it has looked whether a worker is busy with it */
	share_stock_up(sh);
	struct apply_odds odds = { 0 };
	arena_reset(&sh->scratch, SCRATCH_KEEP);
	bool over = sl->rows_done == sl->rows_count || apply_slice(sh, sl, &odds);
	if (over && sl->metas)
		over = keeper_put(sh->store->keeper, sl->batch, &sl->metas_done, &sl->position);
	/* Children that live here run behind this piece, in this turn if there is time. */
	for (struct slice *c = odds.count ? children_make(sl, &odds) : NULL, *n; c; c = n) {
		n = c->next_child;
		slice_send(c);
	}
	if (!over)
		return false;
	slice_ran(sl);
	if (sl->err || sl->position <= walog_durable(sh->log)) /* nothing to wait for */
		slice_settle(sl, sl->err);
	else
		list_add_tail(&sh->waiting, &sl->link);
	return true;
}

static void runner_start(struct share *sh)
{
	if (sh->running)
		return;
	sh->running = true;
	job_start(sh->loop, &sh->runner);
}

static void ready_arrive(struct share *sh, struct slice *sl)
{
	list_add_tail(&sh->ready, &sl->link);
	runner_start(sh);
}

/*
 * After a piece: at once again when little is left (rows that come as they always come are found
 * faster), else behind the slices of other requests, before younger ones of its own.
 */
static void ready_again(struct share *sh, struct slice *sl)
{
	struct list_link *at = &sh->ready;
	if (sl->rows_count - sl->rows_done <= AGAIN_ROWS && !sl->metas) {
		list_add_head(&sh->ready, &sl->link);
		return;
	}
	LIST_EACH(l, &sh->ready) {
		if (CONTAINER_OF(l, struct slice, link)->append == sl->append) {
			at = l;
			break;
		}
	}
	list_add_tail(at, &sl->link); /* before it */
}

/* No room in the log: it waits, or is refused. */
static void park(struct share *sh, struct slice *sl)
{
	if (sh->parked_count >= SHARE_PARKED_MAX || sh->refuse) {
		slice_refuse(sl, sh->refuse ? sh->refuse : ERR_BUSY);
		return;
	}
	sl->park_until_ns = loop_now_ns(sh->loop) + SHARE_PARK_MS * 1000000ull;
	list_add_tail(&sh->parked, &sl->link);
	sh->parked_count++;
	metric_add(M_WRITES_PARKED, 1);
	if (!loop_timer_is_set(&sh->park_timer))
		loop_timer_set(sh->loop, &sh->park_timer, PARK_TICK_MS);
}

static bool has_room(struct share *sh, const struct slice *sl)
{
	return list_empty(&sh->parked) && room(sh, sl);
}

enum job_state slice_run_ready(struct job *j)
{
	struct share *sh = CONTAINER_OF(j, struct share, runner);
	sh->in_job = true;
	do {
		struct list_link *l = list_pop(&sh->ready);
		if (!l)
			break;
		struct slice *sl = CONTAINER_OF(l, struct slice, link);
		if (!has_room(sh, sl) && !sh->refuse)
			park(sh, sl);
		else if (!slice_piece(sl))
			ready_again(sh, sl);
	} while (!job_should_yield());
	sh->in_job = false;
	sh->running = !list_empty(&sh->ready);
	return sh->running ? JOB_YIELD : JOB_DONE;
}

static void slice_arrive(struct slice *sl)
{
	struct share *sh = sl->at, *from = sl->from;
	loop_check_here(sh->loop);
	slice_newest_tell(sh, sl);
	if (from != sh)
		sh->series[from->index] = sl->series;
	if (!has_room(sh, sl))
		park(sh, sl);
	else if (!list_empty(&sh->ready) || share_time_is_up(sh) || !slice_piece(sl))
		ready_arrive(sh, sl);
}

void slice_parked_run(struct share *sh)
{
	uint64_t now = loop_now_ns(sh->loop);
	while (!list_empty(&sh->parked)) {
		struct slice *sl = CONTAINER_OF(sh->parked.next, struct slice, link);
		bool fits = room(sh, sl);
		if (!fits && now < sl->park_until_ns && !sh->refuse)
			break;
		list_del(&sl->link);
		sh->parked_count--;
		if (fits && !sh->refuse)
			ready_arrive(sh, sl);
		else
			slice_refuse(sl, sh->refuse ? sh->refuse : ERR_BUSY);
	}
	if (list_empty(&sh->parked))
		loop_timer_cancel(sh->loop, &sh->park_timer);
	else if (!loop_timer_is_set(&sh->park_timer))
		loop_timer_set(sh->loop, &sh->park_timer, PARK_TICK_MS);
}

void slice_park_tick(struct loop_timer *t)
{
	slice_parked_run(CONTAINER_OF(t, struct share, park_timer));
}

static void ran_msg(struct mbox_msg *msg)
{
	append_ran(CONTAINER_OF(msg, struct slice, ran_msg)->append);
}

/* No piece of it will run any more: its request may go on. */
static void slice_ran(struct slice *sl)
{
	if (!sl->paced)
		return;
	sl->paced = false;
	if (sl->from == sl->at) {
		append_ran(sl->append);
		return;
	}
	sl->ran_msg.fn = ran_msg;
	loop_send(sl->from->loop, &sl->ran_msg);
}

static void slice_refuse(struct slice *sl, enum err err)
{
	slice_ran(sl);
	slice_settle(sl, err);
}

/* The slice's own part is decided. */
void slice_settle(struct slice *sl, enum err err)
{
	CHECK(sl->open > 0);
	if (err && !sl->err)
		sl->err = err;
	if (--sl->open)
		return;
	struct share *at = sl->at;
	sl->t_newest_ms = slice_newest(at, sl);
	sl->series = at->series[at->index];
	slice_home(sl);
}

static void slice_home_here(struct slice *sl)
{
	struct share *from = sl->from;
	struct slice *parent = sl->parent;
	slice_newest_tell(from, sl);
	if (sl->at != from)
		from->series[sl->at->index] = sl->series;
	if (parent) {
		shard_verdict_add(&parent->verdict, &sl->verdict);
		enum err err = sl->err;
		if (err && !parent->err) {
			parent->slow = sl->slow;
			parent->retry_after_s = sl->retry_after_s;
		}
		struct arena memory = *sl->memory;
		arena_release(&memory); /* the slice is in it */
		slice_settle(parent, err);
		return;
	}
	struct append *ap = sl->append;
	struct step *sp = sl->step;
	if (!ap->err)
		ap->slow = sl->slow;
	append_answer(ap, &sl->verdict, sl->err, sl->retry_after_s);
	if (!--sp->open)
		append_step_put(from, sp);
}

static void slice_home_msg(struct mbox_msg *msg)
{
	slice_home_here(CONTAINER_OF(msg, struct slice, msg));
}

static void slice_home(struct slice *sl)
{
	if (sl->from == sl->at) {
		slice_home_here(sl);
		return;
	}
	sl->msg.fn = slice_home_msg;
	loop_send(sl->from->loop, &sl->msg);
}
