#include "core/base/clock.h"
#include "core/base/metric.h"
#include "storage/append/apply.h"
#include "storage/append/intake_priv.h"

#define PARK_TICK_MS   5u
#define AGAIN_ROWS     2048u
#define SCRATCH_KEEP   (1u << 20)
#define ROOM_ROW_BYTES 16u /* what a row may take in the log: 8 of value, a few of id and time */
#define ROOM_SLICE     4096u

static void slice_arrive(struct slice *sl);
static void slice_arrive_msg(struct mbox_msg *msg);
static void slice_refuse(struct slice *sl, enum err err);
static void slice_ran(struct slice *sl);
static void slice_applied(const struct slice *sl);
static void slice_home(struct slice *sl);

static int64_t slice_newest(const struct intake *in, const struct slice *sl)
{
	return newest_get(&in->share->newest, sl->tenant, sl->batch->own);
}

static void slice_newest_tell(struct intake *in, const struct slice *sl)
{
	(void)newest_tell(&in->share->newest, sl->tenant, sl->batch->own, sl->t_newest_ms,
	    loop_now_ns(in->share->loop));
}

/* On any loop: what the home loop changes from step to step is given, not read here. */
void slice_init(struct slice *sl, struct append *ap, struct shard_judge judge, struct intake *from,
    struct intake *at)
{
	*sl = (struct slice){ .append = ap,
		.from = from,
		.at = at,
		.batch = ap->req->batch,
		.tenant = ap->req->batch->tenant,
		.judge = judge,
		.open = 1 };
	list_init(&sl->link);
	ready_item_init(&sl->queued, sl->tenant);
	shard_verdict_init(&sl->verdict);
}

/* What its histograms, start times and exemplars may take in the log. */
void slice_weigh(struct slice *sl)
{
	sl->extras_bytes = 0;
	sl->exemplars = sl->rows && sl->rows_count && sl->rows[0].flags & HEAD_EXEMPLAR;
	for (uint32_t i = 0; sl->exemplars && i < sl->rows_count; i++) {
		uint32_t own = sl->rows[i].exemplar->own_len;
		sl->extras_bytes += 32 + (own < EXEMPLAR_BYTES_MAX ? own : EXEMPLAR_BYTES_MAX);
	}
	if (sl->exemplars)
		return;
	if (LIKELY(!sl->batch->extras_bytes))
		return;
	const struct batch_row *batch = sl->batch->rows + sl->rows_from;
	for (uint32_t i = 0; i < sl->rows_count; i++) {
		const struct batch_row *r = &batch[sl->index ? sl->index[i] : i];
		uint32_t flags = sl->rows ? sl->rows[i].flags : r->flags;
		const struct batch_extra *x = sl->rows ? sl->rows[i].extra : r->extra;
		if (flags & BATCH_EXTRA)
			sl->extras_bytes += batch_extra_bytes(x);
	}
}

void slice_send(struct slice *sl)
{
	struct intake *from = sl->from;
	sl->t_newest_ms = slice_newest(from, sl);
	sl->series = from->share->series[from->share->index];
	if (sl->at == from) {
		slice_arrive(sl);
		return;
	}
	sl->msg.fn = slice_arrive_msg;
	loop_send(sl->at->share->loop, &sl->msg);
}

/* ---- a slice, on its owner ---- */

static void slice_arrive_msg(struct mbox_msg *msg)
{
	struct slice *sl = CONTAINER_OF(msg, struct slice, msg);
	struct intake *in = sl->at;
	bool entered = intake_enter(in);
	slice_arrive(sl);
	intake_leave(in, entered);
}

static bool room(const struct intake *in, const struct slice *sl)
{
	return walog_room(
	    in->log, (uint64_t)sl->rows_count * ROOM_ROW_BYTES + sl->extras_bytes + ROOM_SLICE);
}

static bool is_for(const struct apply_odd *odd, unsigned loops, unsigned loop, bool ruled)
{
	return odd->shard % loops == loop && odd->ruled == ruled;
}

/* Rows for one loop, all under rules or none; NULL: there are none. */
static struct slice *child_make(
    struct slice *sl, const struct apply_odds *odds, unsigned loop, bool ruled)
{
	struct intake *in = sl->at;
	const struct intake_env *env = in->env;
	unsigned loops = in->share->env->loops;
	struct arena memory;
	uint32_t n = 0;
	for (uint32_t k = 0; k < odds->count; k++)
		n += is_for(&odds->rows[k], loops, loop, ruled);
	if (!n)
		return NULL;
	arena_init(&memory, 4096);
	struct slice *child = arena_alloc(&memory, sizeof *child);
	slice_init(child, sl->append, sl->judge, in, env->intakes[loop]);
	child->parent = sl;
	child->canonical = true;
	child->ruled = ruled;
	child->rows = arena_array(&memory, n, sizeof *child->rows);
	for (uint32_t k = 0; k < odds->count; k++) {
		if (!is_for(&odds->rows[k], loops, loop, ruled))
			continue;
		struct head_row *r = &child->rows[child->rows_count++];
		*r = odds->rows[k].row;
		r->place = (uint16_t)(odds->rows[k].shard / loops);
		r->labels = arena_dup(&memory, r->labels, r->labels_len);
	}
	slice_weigh(child);
	child->memory = arena_alloc(&memory, sizeof memory);
	*child->memory = memory;
	sl->open++;
	return child;
}

/*
 * Odd rows of a piece, sorted by owner, become one slice for each loop concerned, and one more for
 * those that a rule has rewritten: linked by next_child.
 */
static struct slice *children_make(struct slice *sl, const struct apply_odds *odds)
{
	struct slice *children = NULL;
	for (unsigned i = 0; i < 2 * sl->at->share->env->loops; i++) {
		struct slice *child = child_make(sl, odds, i / 2, i % 2);
		if (!child)
			continue;
		child->next_child = children;
		children = child;
	}
	return children;
}

/* True: its last piece has run, or it was refused; it is not the caller's any more. */
static bool slice_piece(struct slice *sl)
{
	struct intake *in = sl->at;
	enum err e = intake_accepts(in, &sl->retry_after_s);
	if (e) {
		slice_refuse(sl, e);
		return true;
	}
	/* never while the store ends: it has looked whether a worker is busy with it */
	share_stock_up(in->share);
	struct apply_odds odds = { 0 };
	arena_reset(&in->scratch, SCRATCH_KEEP);
	bool over = sl->rows_done == sl->rows_count || apply_slice(in, sl, &odds);
	if (over && sl->metas)
		over = in->env->up->metas(
		    in->env->up_arg, in, sl->batch, &sl->metas_done, &sl->position);
	/* Children that live here run behind this piece, in this turn if there is time. */
	for (struct slice *c = odds.count ? children_make(sl, &odds) : NULL, *n; c; c = n) {
		n = c->next_child;
		slice_send(c);
	}
	if (!over)
		return false;
	slice_ran(sl);
	slice_applied(sl);
	if (sl->err || sl->position <= walog_durable(in->log)) /* nothing to wait for */
		slice_settle(sl, sl->err);
	else
		list_add_tail(&in->waiting, &sl->link);
	return true;
}

static void runner_start(struct intake *in)
{
	if (in->running)
		return;
	in->running = true;
	job_start(in->share->loop, &in->runner);
}

static void ready_arrive(struct intake *in, struct slice *sl)
{
	ready_add(&in->ready, &sl->queued);
	runner_start(in);
}

static bool same_request(struct ready_item *i, struct ready_item *other)
{
	return CONTAINER_OF(i, struct slice, queued)->append ==
	    CONTAINER_OF(other, struct slice, queued)->append;
}

/*
 * After a piece: as the next of its tenant's when little is left (rows that come as they always
 * come are found faster), else behind the slices of other requests, before younger ones of its own.
 */
static void ready_again(struct intake *in, struct slice *sl)
{
	if (sl->rows_count - sl->rows_done <= AGAIN_ROWS && !sl->metas)
		ready_add_first(&in->ready, &sl->queued);
	else
		ready_add_before(&in->ready, &sl->queued, same_request);
}

/* No room in the log: it waits, or is refused. */
static void park(struct intake *in, struct slice *sl)
{
	if (in->parked_count >= INTAKE_PARKED_MAX || in->share->refuse) {
		slice_refuse(sl, in->share->refuse ? in->share->refuse : ERR_BUSY);
		return;
	}
	sl->park_until_ns = loop_now_ns(in->share->loop) + INTAKE_PARK_MS * 1000000ull;
	list_add_tail(&in->parked, &sl->link);
	in->parked_count++;
	metric_add(M_WRITES_PARKED, 1);
	if (!loop_timer_is_set(&in->park_timer))
		loop_timer_set(in->share->loop, &in->park_timer, PARK_TICK_MS);
}

static bool has_room(struct intake *in, const struct slice *sl)
{
	return list_empty(&in->parked) && room(in, sl);
}

enum job_state slice_run_ready(struct job *j)
{
	struct intake *in = CONTAINER_OF(j, struct intake, runner);
	uint32_t tenant = TENANT_NONE;
	in->in_job = true;
	do {
		struct ready_item *i = ready_take(&in->ready);
		if (!i)
			break;
		struct slice *sl = CONTAINER_OF(i, struct slice, queued);
		tenant = i->tenant; /* sl may be gone when it has run */
		if (!has_room(in, sl) && !in->share->refuse)
			park(in, sl);
		else if (!slice_piece(sl))
			ready_again(in, sl);
	} while (!job_should_yield());
	in->in_job = false;
	ready_turn(&in->ready, tenant);
	in->running = !ready_empty(&in->ready);
	return in->running ? JOB_YIELD : JOB_DONE;
}

static void slice_arrive(struct slice *sl)
{
	struct intake *in = sl->at, *from = sl->from;
	loop_check_here(in->share->loop);
	slice_newest_tell(in, sl);
	if (from != in)
		in->share->series[from->share->index] = sl->series;
	if (!has_room(in, sl))
		park(in, sl);
	else if (!ready_empty(&in->ready) || intake_time_is_up(in) || !slice_piece(sl))
		ready_arrive(in, sl);
}

void slice_parked_run(struct intake *in)
{
	uint64_t now = loop_now_ns(in->share->loop);
	while (!list_empty(&in->parked)) {
		struct slice *sl = CONTAINER_OF(in->parked.next, struct slice, link);
		bool fits = room(in, sl);
		if (!fits && now < sl->park_until_ns && !in->share->refuse)
			break;
		list_del(&sl->link);
		in->parked_count--;
		if (fits && !in->share->refuse)
			ready_arrive(in, sl);
		else
			slice_refuse(sl, in->share->refuse ? in->share->refuse : ERR_BUSY);
	}
	if (list_empty(&in->parked))
		loop_timer_cancel(in->share->loop, &in->park_timer);
	else if (!loop_timer_is_set(&in->park_timer))
		loop_timer_set(in->share->loop, &in->park_timer, PARK_TICK_MS);
}

void slice_park_tick(struct loop_timer *t)
{
	slice_parked_run(CONTAINER_OF(t, struct intake, park_timer));
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
	loop_send(sl->from->share->loop, &sl->ran_msg);
}

/* All rows of the request were its own, and are stored: nobody looks at them again. */
static void slice_applied(const struct slice *sl)
{
	struct sink_req *req = sl->append->req;
	const struct batch *b = sl->batch;
	if (!req->applied || sl->parent || sl->from != sl->at || sl->err || sl->open > 1 ||
	    sl->verdict.refused || sl->exemplars || b->exemplars_count ||
	    sl->rows_count != b->rows_count || (b->metas_count && !sl->metas))
		return;
	req->applied(req);
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
	struct intake *at = sl->at;
	sl->t_newest_ms = slice_newest(at, sl);
	sl->series = at->share->series[at->share->index];
	slice_home(sl);
}

static void slice_home_here(struct slice *sl)
{
	struct intake *from = sl->from;
	struct slice *parent = sl->parent;
	slice_newest_tell(from, sl);
	if (sl->at != from)
		from->share->series[sl->at->share->index] = sl->series;
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
	loop_send(sl->from->share->loop, &sl->msg);
}
