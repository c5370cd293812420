/*
 * Where a request is:
 *   append   share_append > step > slices out > home, one by one > told at the end of the turn
 *   slice    arrive > [ready | parked] > pieces > waiting (in the log) > settled > [children
 *            settled] > home
 * open counts: an append's = its slices out, plus one while rows are left; a slice's = itself, plus
 * its children. running counts: the step's slices that have not run, plus one while it is made.
 */
#include "storage/share.h"
#include "core/base/clock.h"
#include "core/base/metric.h"
#include "core/base/rune.h"
#include "storage/alias.h"
#include "storage/apply.h"
#include "storage/keeper.h"
#include "storage/store_priv.h"
#include <stdio.h>

#define PARK_TICK_MS 5u
/* rows, or bytes of labels, between two looks at the clock: some 20 us */
#define STEP_LOOK_ROWS  512u
#define STEP_LOOK_BYTES (128u << 10)
#define STEP_KEEP_ROWS  4096u /* a pooled step keeps room for so many */
#define POOL_MAX        64u
#define AGAIN_ROWS      2048u
#define SCRATCH_KEEP    (1u << 20)
#define ROOM_ROW_BYTES  16u /* what a row may take in the log: 8 of value, a few of id and time */
#define ROOM_SLICE      4096u
#define SERIES_SHOWN    300u /* bytes of a series in the text of a refusal */

/* The rows of one step, sorted, and a slice per loop. */
struct step {
	struct list_link link;
	struct append *append;
	struct head_row *rows;
	uint64_t *fps;    /* of the rows as they came */
	uint16_t *places; /* where their shards come in the order of owners */
	uint32_t cap, open;
	uint32_t labels_max;   /* bytes of the largest labels */
	uint32_t *ends;        /* [shards] in the order of owners */
	struct slice slices[]; /* [loops] */
};

struct append {
	struct list_link link; /* pool, done */
	struct mbox_msg step_msg;
	struct share *home;
	struct sink_req *req;
	size_t next_row;
	uint32_t open, running;
	/* of the class when the request came: its own rows do not make each other old */
	int64_t newest_ms;
	struct shard_judge judge; /* of the step under way */
	struct shard_verdict verdict;
	enum err err;
	uint32_t retry_after_s;
	enum share_slow slow;
};

static void append_step(struct append *ap);
static void append_ran(struct append *ap);
static void append_answer(
    struct append *ap, const struct shard_verdict *v, enum err err, uint32_t retry_after_s);
static void slice_arrive(struct slice *sl);
static void slice_arrive_msg(struct mbox_msg *msg);
static void slice_settle(struct slice *sl, enum err err);
static void slice_refuse(struct slice *sl, enum err err);
static void slice_ran(struct slice *sl);
static enum job_state run_ready(struct job *j);
static void slice_home(struct slice *sl);
static void park_tick(struct loop_timer *t);
static void relieve(struct share *sh);
static void done_run(struct loop_deferred *d);

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
	job_init(&sh->runner, JOB_WRITE, run_ready);
	list_init(&sh->parked);
	list_init(&sh->done);
	list_init(&sh->append_pool);
	list_init(&sh->step_pool);
	loop_timer_init(&sh->park_timer, park_tick);
	sh->done_deferred.fn = done_run;
	arena_init(&sh->scratch, 64u << 10);
	return sh;
}

static void step_free(struct step *sp)
{
	mem_free(sp->rows);
	mem_free(sp->fps);
	mem_free(sp->places);
	mem_free(sp->ends);
	mem_free(sp);
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
		step_free(CONTAINER_OF(l, struct step, link));
	arena_release(&sh->scratch);
	alias_free(sh->alias);
	slab_free(sh->mem);
	newest_release(&sh->newest);
	mem_free(sh->shards);
	mem_free(sh);
}

/* ---- time that work takes ---- */

static uint64_t since(uint64_t began_ns)
{
	return job_yields_always() ? UINT64_MAX : clock_real_mono_ns() - began_ns;
}

/* From here on share_time_is_up tells; false: somebody further out has entered. */
static bool enter(struct share *sh)
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

static void leave(struct share *sh, bool entered)
{
	if (!entered)
		return;
	sh->used_ns += clock_real_mono_ns() - sh->began_ns;
	sh->in_turn = false;
}

bool share_time_is_up(const struct share *sh)
{
	return sh->in_turn ? since(sh->began_ns) >= SHARE_PIECE_NS : job_should_yield();
}

/* Requests of many connections in one turn: when they have had their time, the next one waits. */
static bool turn_is_full(const struct share *sh)
{
	return sh->turn_ns == loop_now_ns(sh->loop) && sh->used_ns >= SHARE_PIECE_NS;
}

/* ---- what loops tell each other ---- */

static int64_t slice_newest(const struct share *sh, const struct slice *sl)
{
	return newest_get(&sh->newest, sl->tenant, sl->batch->own);
}

static void slice_newest_tell(struct share *sh, const struct slice *sl)
{
	(void)newest_tell(
	    &sh->newest, sl->tenant, sl->batch->own, sl->t_newest_ms, loop_now_ns(sh->loop));
}

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

/* ---- an append, at home ---- */

static uint32_t retry_after(enum err err)
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
	/* Rounds make room; what comes faster than they can is told to come again. */
	uint64_t max = sh->store->head_bytes_max;
	if (!e && UNLIKELY(share_head_bytes(sh) > max + max / 10))
		e = ERR_BUSY;
	if (e)
		*retry_after_s = retry_after(e);
	return e;
}

/* What a piece of a request says about the clock. */
static struct clockwatch_heard hear_rows(
    const struct share *sh, const struct batch_row *rows, uint32_t count, int64_t newest_ms)
{
	struct clockwatch_heard h = { .t_newest_ms = INT64_MIN };
	int64_t now = loop_now_ms(sh->loop);
	int64_t from = num_sat_sub(now, CLOCKWATCH_AGREE_MS),
	        to = num_sat_add(now, CLOCKWATCH_AGREE_MS);
	for (uint32_t i = 0; i < count; i++) {
		int64_t t = rows[i].t_ms;
		if (rows[i].flags & BATCH_HISTOGRAM || t > SHARE_T_MAX_MS || t < SHARE_T_MIN_MS)
			continue;
		h.t_newest_ms = t > h.t_newest_ms ? t : h.t_newest_ms;
		h.agrees |= t >= from && t <= to;
	}
	h.clock_refuses = newest_ms == NEWEST_NONE &&
	    h.t_newest_ms < num_sat_sub(now, sh->store->opts.retention_ms);
	return h;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/*
 * A server that knows no newest sample takes what retention keeps; after that only samples decide
 * what is old, the clock bounds the future. See share.h.
 */
static struct shard_judge judge_of(struct append *ap, size_t from, uint32_t count)
{
	struct share *sh = ap->home;
	const struct store_opts *o = &sh->store->opts;
	const struct batch *b = ap->req->batch;
	if (b->own || b->restored)
		return (struct shard_judge){ .t_min_ms = INT64_MIN, .t_max_ms = SHARE_T_MAX_MS };
	struct clockwatch_now now = share_now(sh);
	int64_t newest = ap->newest_ms;
	if (UNLIKELY(clockwatch_look(sh->store->clock, now) != CLOCKWATCH_SURE)) {
		struct clockwatch_heard h = hear_rows(sh, b->rows + from, count, newest);
		if (clockwatch_hear(sh->store->clock, now, &h) == CLOCKWATCH_DOUBT) {
			bool any = h.t_newest_ms != INT64_MIN;
			int64_t t = any ? least(now.wall_ms, h.t_newest_ms) : now.wall_ms;
			t = newest == NEWEST_NONE ? t : least(t, newest);
			return (struct shard_judge){ .t_min_ms = num_sat_sub(t, o->retention_ms),
				.t_max_ms = SHARE_T_MAX_MS,
				.old_flag = "retention",
				.old_ms = o->retention_ms };
		}
	}
	struct shard_judge j = { .t_max_ms = num_sat_add(now.wall_ms, o->future_ms),
		.new_flag = limits_flag(LIMITS_write_future_ms),
		.new_ms = o->future_ms };
	bool none = newest == NEWEST_NONE;
	j.old_flag = none ? "retention" : "out-of-order-window";
	j.old_ms = none ? o->retention_ms : o->ooo_window_ms;
	j.t_min_ms = num_sat_sub(none ? now.wall_ms : newest_bounded(newest, now.wall_ms), j.old_ms);
	return j;
}

static void step_msg(struct mbox_msg *msg)
{
	struct append *ap = CONTAINER_OF(msg, struct append, step_msg);
	struct share *sh = ap->home;
	bool entered = enter(sh);
	append_step(ap);
	leave(sh, entered);
}

void share_append(struct share *sh, struct sink_req *req)
{
	loop_check_here(sh->loop);
	struct append *ap;
	if (list_empty(&sh->append_pool)) {
		ap = mem_zalloc(sizeof *ap);
		list_init(&ap->link);
	} else {
		ap = CONTAINER_OF(list_pop(&sh->append_pool), struct append, link);
		sh->append_pool_count--;
	}
	ap->home = sh;
	ap->req = req;
	ap->next_row = 0;
	ap->open = 1;
	ap->err = 0;
	ap->slow = SHARE_SLOW_NOT;
	ap->retry_after_s = 0;
	ap->newest_ms = newest_get(&sh->newest, req->batch->tenant, req->batch->own);
	ap->step_msg.fn = step_msg;
	shard_verdict_init(&ap->verdict);
	sh->open++;
	enum err e = share_accepts(sh, &ap->retry_after_s);
	if (e) {
		/* rounds are no help against a busy log */
		if (e == ERR_BUSY && !walog_state(sh->log)) {
			ap->slow = SHARE_SLOW_MEMORY;
			relieve(sh);
		}
		append_answer(ap, NULL, e, ap->retry_after_s);
		return;
	}
	if (turn_is_full(sh)) {
		loop_send(sh->loop, &ap->step_msg);
		return;
	}
	bool entered = enter(sh);
	append_step(ap);
	leave(sh, entered);
}

/* ---- a step: rows to slices ---- */

static struct step *step_get(struct share *sh, uint32_t rows)
{
	const struct store *st = sh->store;
	struct step *sp;
	if (list_empty(&sh->step_pool)) {
		sp = mem_zalloc(sizeof *sp + st->loops * sizeof sp->slices[0]);
		list_init(&sp->link);
		sp->ends = mem_alloc(st->manifest.shards * sizeof *sp->ends);
	} else {
		sp = CONTAINER_OF(list_pop(&sh->step_pool), struct step, link);
		sh->step_pool_count--;
	}
	if (sp->cap < rows) {
		mem_free(sp->rows);
		mem_free(sp->fps);
		mem_free(sp->places);
		sp->cap = rows < 2048 ? 2048 : rows;
		sp->rows = mem_array(NULL, sp->cap, sizeof *sp->rows);
		sp->fps = mem_array(NULL, sp->cap, sizeof *sp->fps);
		sp->places = mem_array(NULL, sp->cap, sizeof *sp->places);
	}
	return sp;
}

static void step_put(struct share *sh, struct step *sp)
{
	if (sh->step_pool_count >= pool_keep(POOL_MAX) || sp->cap > STEP_KEEP_ROWS) {
		step_free(sp);
		return;
	}
	list_add_head(&sh->step_pool, &sp->link);
	sh->step_pool_count++;
}

#define PLACE_NONE UINT16_MAX /* a row refused at home */

/* A row that is refused before anybody looks for its series. */
static bool refused_at_home(struct append *ap, const struct batch_row *r, uint32_t row)
{
	struct shard_verdict *v = &ap->verdict;
	if (UNLIKELY(r->flags & BATCH_HISTOGRAM)) {
		metric_add(M_REFUSED_BAD_HISTOGRAM, 1);
		shard_verdict_refuse(v, row, SINK_BAD_HISTOGRAM, "native histograms are not stored");
		return true;
	}
	if (UNLIKELY(!r->labels_len)) {
		metric_add(M_REFUSED_BAD_LABELS, 1);
		shard_verdict_refuse(v, row, SINK_BAD_LABELS, "metric name is missing");
		return true;
	}
	if (UNLIKELY(r->labels_len > SHARE_LABELS_MAX)) {
		char text[128];
		snprintf(text, sizeof text, "labels have %u bytes as sent, limit %u (--%s)",
		    r->labels_len, share_label_limits(ap->home).total_bytes,
		    limits_flag(LIMITS_write_labels_bytes));
		metric_add(M_REFUSED_LABEL_LIMIT, 1);
		shard_verdict_refuse(v, row, SINK_LABEL_LIMIT, text);
		return true;
	}
	return false;
}

/*
 * Fingerprints, once per run of rows of one series; counts by place. As many of count rows as half
 * of the time allows, at least a few: returns how many.
 */
static uint32_t step_hash(struct append *ap, struct step *sp, size_t from, uint32_t count)
{
	const struct store *st = ap->home->store;
	const struct batch *b = ap->req->batch;
	const uint8_t *labels = NULL;
	uint32_t labels_len = UINT32_MAX, look = STEP_LOOK_ROWS, bytes = 0;
	uint16_t place = 0;
	uint64_t fp = 0, began_ns = clock_real_mono_ns();
	sp->labels_max = 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct batch_row *r = &b->rows[from + i];
		if (UNLIKELY(i >= look || bytes >= STEP_LOOK_BYTES)) {
			if (since(began_ns) >= SHARE_PIECE_NS / 2)
				return i;
			look = i + STEP_LOOK_ROWS;
			bytes = 0;
		}
		if (UNLIKELY(r->flags & BATCH_HISTOGRAM || r->labels_len - 1 >= SHARE_LABELS_MAX) &&
		    refused_at_home(ap, r, (uint32_t)(from + i))) {
			sp->places[i] = PLACE_NONE;
			continue;
		}
		if (r->labels != labels || r->labels_len != labels_len) {
			labels = r->labels;
			labels_len = r->labels_len;
			bytes += labels_len;
			if (labels_len > sp->labels_max)
				sp->labels_max = labels_len;
			struct hash128 h =
			    label_fingerprint((struct labels){ .bytes = labels, .len = labels_len },
			        b->tenant, st->manifest.seed);
			fp = h.lo;
			place = st->places[store_shard_of(st, h)];
		}
		sp->fps[i] = fp;
		sp->places[i] = place;
		sp->ends[place]++;
	}
	return count;
}

/* Stable counting sort; ends[] become the ends of places. */
static void step_sort(struct append *ap, struct step *sp, size_t from, uint32_t count)
{
	const struct batch *b = ap->req->batch;
	unsigned shards = ap->home->store->manifest.shards;
	uint32_t sum = 0;
	for (unsigned p = 0; p < shards; p++) {
		uint32_t n = sp->ends[p];
		sp->ends[p] = sum;
		sum += n;
	}
	for (uint32_t i = 0; i < count; i++) {
		if (sp->places[i] == PLACE_NONE)
			continue;
		const struct batch_row *r = &b->rows[from + i];
		sp->rows[sp->ends[sp->places[i]]++] = (struct head_row){ .labels = r->labels,
			.labels_len = r->labels_len,
			.row = (uint32_t)(from + i),
			.fp = sp->fps[i],
			.t_ms = r->t_ms,
			.v = r->v };
	}
}

/* On any loop: what the home loop changes from step to step is given, not read here. */
static void slice_init(struct slice *sl, struct append *ap, struct shard_judge judge,
    struct share *from, struct share *at)
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

static void slice_send(struct slice *sl)
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

/*
 * Others first, so that they work while this loop does. False: there was nothing to send, the step
 * is still the caller's.
 */
static bool step_send(struct append *ap, struct step *sp, bool metas)
{
	struct share *home = ap->home;
	const struct store *st = home->store;
	unsigned place = 0;
	uint32_t begin = 0;
	for (unsigned i = 0; i < st->loops; i++) {
		struct slice *sl = &sp->slices[i];
		slice_init(sl, ap, ap->judge, home, st->shares[i]);
		sl->step = sp;
		sl->rows = sp->rows + begin;
		sl->ends = sp->ends + place;
		sl->labels_max = sp->labels_max;
		unsigned n = st->shares[i]->shards_count;
		uint32_t end = n ? sp->ends[place + n - 1] : begin;
		sl->rows_count = end - begin;
		sl->metas = metas && i == 0;
		for (unsigned k = 0; k < n; k++)
			sl->ends[k] -= begin;
		begin = end;
		place += n;
		if (sl->rows_count || sl->metas)
			sp->open++;
	}
	ap->open += sp->open;
	uint32_t open = sp->open;
	if (!open)
		return false; /* all rows were refused at home */
	bool paced = ap->next_row < ap->req->batch->rows_count;
	if (paced)
		ap->running += open;
	for (unsigned i = 0; i < st->loops && open; i++) {
		struct slice *sl = &sp->slices[(home->index + 1 + i) % st->loops];
		if (sl->rows_count || sl->metas) {
			open--; /* sp may be gone after the last one */
			sl->paced = paced;
			slice_send(sl);
		}
	}
	return true;
}

static void append_step(struct append *ap)
{
	struct share *home = ap->home;
	const struct batch *b = ap->req->batch;
	size_t from = ap->next_row, left = b->rows_count - from;
	uint32_t count = left > SHARE_STEP_ROWS ? SHARE_STEP_ROWS : (uint32_t)left;
	bool metas = from == 0 && b->metas_count > 0;
	ap->running = 1;
	if (count || metas) {
		struct step *sp = step_get(home, count);
		sp->append = ap;
		sp->open = 0;
		memset(sp->ends, 0, home->store->manifest.shards * sizeof *sp->ends);
		count = step_hash(ap, sp, from, count);
		ap->judge = judge_of(ap, from, count);
		ap->next_row = from + count;
		step_sort(ap, sp, from, count);
		if (!step_send(ap, sp, metas))
			step_put(home, sp);
	}
	append_ran(ap);
}

/* One of the step's slices has run, or all are sent: after the last one the next step follows. */
static void append_ran(struct append *ap)
{
	CHECK(ap->running > 0);
	if (--ap->running)
		return;
	if (ap->next_row < ap->req->batch->rows_count && !ap->err)
		loop_send(ap->home->loop, &ap->step_msg);
	else
		append_answer(ap, NULL, 0, 0);
}

/* ---- answers at home ---- */

static void append_answer(
    struct append *ap, const struct shard_verdict *v, enum err err, uint32_t retry_after_s)
{
	CHECK(ap->open > 0);
	if (v)
		shard_verdict_add(&ap->verdict, v);
	if (err && !ap->err) {
		ap->err = err;
		ap->retry_after_s = retry_after_s ? retry_after_s : retry_after(err);
	}
	if (--ap->open)
		return;
	struct share *home = ap->home;
	list_add_tail(&home->done, &ap->link);
	if (!home->done_armed) {
		home->done_armed = true;
		loop_defer(home->loop, &home->done_deferred);
	}
}

/* The first refused row as people read it: its series, then why. */
static void first_text(const struct append *ap, struct sink_req *req)
{
	const struct shard_verdict *v = &ap->verdict;
	const struct batch_row *r = &req->batch->rows[v->first_row];
	struct labels ls = { .bytes = r->labels, .len = r->labels_len };
	struct buf text;
	buf_init(&text);
	label_text_cut(&text, ls, v->first_text[0] ? SERIES_SHOWN : sizeof req->first_text - 1);
	if (v->first_text[0])
		buf_printf(&text, ": %s", v->first_text);
	size_t len = rune_cut((const char *)text.data, text.len, sizeof req->first_text - 1);
	if (len)
		memcpy(req->first_text, text.data, len);
	req->first_text[len] = 0;
	buf_release(&text);
}

/* Why series that are new could not be made now. */
static void slow_text(const struct append *ap, struct sink_req *req)
{
	const struct share *sh = ap->home;
	const struct store *st = sh->store;
	uint64_t rate = st->opts.new_series_per_s;
	if (ap->slow == SHARE_SLOW_RATE)
		snprintf(req->first_text, sizeof req->first_text,
		    "more than %llu new series a second and loop (--%s), send it again later",
		    (unsigned long long)(rate ? rate : limits_here()->write_new_series_per_s),
		    limits_flag(LIMITS_write_new_series_per_s));
	else
		snprintf(req->first_text, sizeof req->first_text,
		    "memory for series is %u %% full: %llu active series, limit %llu (--limits.series-total); new ones have to wait, send it again later",
		    (unsigned)(share_head_bytes(sh) * 100 / (st->head_bytes_max + 1)),
		    (unsigned long long)store_series(st), (unsigned long long)st->opts.series_max);
}

static void append_end(struct append *ap)
{
	struct share *home = ap->home;
	struct sink_req *req = ap->req;
	const struct shard_verdict *v = &ap->verdict;
	req->err = ap->err;
	req->retry_after_s = ap->retry_after_s;
	req->stored = v->stored;
	req->refused = v->refused;
	req->first_reason = v->first_row == UINT32_MAX ? SINK_OK : v->first_reason;
	req->first_text[0] = 0;
	if (ap->err == ERR_BUSY && ap->slow)
		slow_text(ap, req);
	else if (!ap->err && v->first_row != UINT32_MAX)
		first_text(ap, req);
	CHECK(ap->err || v->stored + v->refused == req->batch->rows_count);
	if (req->batch->exemplars_count)
		metric_add(M_EXEMPLARS_IGNORED, req->batch->exemplars_count);
	home->open--;
	if (home->append_pool_count < pool_keep(POOL_MAX)) {
		list_add_head(&home->append_pool, &ap->link);
		home->append_pool_count++;
	} else {
		mem_free(ap);
	}
	req->done(req);
}

static void done_run(struct loop_deferred *d)
{
	struct share *sh = CONTAINER_OF(d, struct share, done_deferred);
	struct list_link now;
	list_init(&now);
	list_move_all(&now, &sh->done);
	sh->done_armed = false;
	for (struct list_link *l; (l = list_pop(&now)) != NULL;)
		append_end(CONTAINER_OF(l, struct append, link));
}

/* ---- a slice, on its owner ---- */

static void slice_arrive_msg(struct mbox_msg *msg)
{
	struct slice *sl = CONTAINER_OF(msg, struct slice, msg);
	struct share *sh = sl->at;
	bool entered = enter(sh);
	slice_arrive(sl);
	leave(sh, entered);
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
static void stock_up(struct share *sh)
{
	if (LIKELY(sh->stocking || !slab_stock_low(sh->mem)))
		return;
	sh->stocking = true;
	sh->stock_task =
	    (struct work_task){ .run = stock_run, .done = stock_done, .prio = WORK_BACKGROUND };
	work_submit(sh->store->opts.pool, &sh->stock_task);
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
	stock_up(sh);
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

static enum job_state run_ready(struct job *j)
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

static void parked_run(struct share *sh)
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

static void park_tick(struct loop_timer *t)
{
	parked_run(CONTAINER_OF(t, struct share, park_timer));
}

/*
 * The log or memory holds more than its share: the shard whose last round is oldest has one. Shards
 * of a loop take turns.
 */
static void relieve(struct share *sh)
{
	const struct shard_back *back = sh->store->back;
	struct shard *oldest = NULL;
	for (unsigned k = 0; k < sh->shards_count; k++) {
		struct shard *s = sh->shards[k];
		if (s->round == SHARD_UNWRITTEN || s->round == SHARD_UNSWITCHED)
			continue; /* it waits for the disk: others need not */
		if (s->round != SHARD_IDLE)
			return;
		if (s->rows_since_round && (!oldest || s->round_end_ns < oldest->round_end_ns))
			oldest = s;
	}
	if (back && oldest)
		back->round(oldest, false, NULL, NULL);
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
	parked_run(sh);
	const struct store *st = sh->store;
	bool log = r->held_bytes > st->opts.log_share_bytes;
	bool memory = share_head_bytes(sh) > st->head_bytes_max / 100 * SHARE_TIGHT;
	if ((log || memory) && !sh->refuse)
		relieve(sh);
}

void share_stop(struct share *sh)
{
	loop_check_here(sh->loop);
	sh->refuse = ERR_STOPPING;
	parked_run(sh);
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
static void slice_settle(struct slice *sl, enum err err)
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
		step_put(from, sp);
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
