#include "core/base/clock.h"
#include "core/base/metric.h"
#include "core/base/rune.h"
#include "storage/append/apply.h"
#include "storage/append/intake_priv.h"
#include <stdio.h>

/* rows, or bytes of labels, between two looks at the clock: some 20 us */
#define STEP_LOOK_ROWS  512u
#define STEP_LOOK_BYTES (128u << 10)
#define STEP_KEEP_ROWS  4096u /* a pooled step keeps room for so many */
#define POOL_MAX        64u
#define SERIES_SHOWN    300u /* bytes of a series in the text of a refusal */

static void append_step(struct append *ap);

/* ---- an append, at home ---- */

/* What a piece of a request says about the clock. */
static struct clockwatch_heard hear_rows(
    const struct intake *in, const struct batch_row *rows, uint32_t count, int64_t newest_ms)
{
	struct clockwatch_heard h = { .t_newest_ms = INT64_MIN };
	int64_t now = loop_now_ms(in->share->loop);
	int64_t from = num_sat_sub(now, CLOCKWATCH_AGREE_MS),
	        to = num_sat_add(now, CLOCKWATCH_AGREE_MS);
	for (uint32_t i = 0; i < count; i++) {
		int64_t t = rows[i].t_ms;
		if (t > INTAKE_T_MAX_MS || t < INTAKE_T_MIN_MS)
			continue;
		h.t_newest_ms = t > h.t_newest_ms ? t : h.t_newest_ms;
		h.agrees |= t >= from && t <= to;
	}
	h.clock_refuses =
	    newest_ms == NEWEST_NONE && h.t_newest_ms < num_sat_sub(now, in->env->retention_ms);
	return h;
}

/* How long samples of a tenant are kept, how much older than its newest they may be. */
struct window {
	int64_t retention_ms, ooo_ms;
	const char *retention_flag, *ooo_flag;
};

static struct window window_of(const struct intake_env *o, uint32_t tenant)
{
	const struct tenant_limits *l = tenant_limits_here(tenant);
	struct window w = { .retention_ms = o->retention_ms,
		.ooo_ms = o->ooo_window_ms,
		.retention_flag = "retention",
		.ooo_flag = "out-of-order-window" };
	if (l->retention_ms && (int64_t)l->retention_ms < w.retention_ms) {
		w.retention_ms = (int64_t)l->retention_ms;
		w.retention_flag = "tenant's retention";
	}
	if (l->out_of_order_window_ms) {
		w.ooo_ms = (int64_t)l->out_of_order_window_ms;
		w.ooo_flag = "tenant's out_of_order_window";
	}
	bool own = l->retention_ms || l->out_of_order_window_ms;
	if (own && w.ooo_ms > w.retention_ms) {
		w.ooo_ms = w.retention_ms;
		w.ooo_flag = w.retention_flag;
	}
	return w;
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
	struct intake *in = ap->home;
	const struct intake_env *o = in->env;
	const struct batch *b = ap->req->batch;
	if (b->own || b->restored)
		return (struct shard_judge){
			.t_min_ms = INT64_MIN, .t_max_ms = INTAKE_T_MAX_MS, .t_kept_ms = INT64_MIN
		};
	struct clockwatch_now now = share_now(in->share);
	const struct window w = window_of(o, b->tenant);
	int64_t newest = ap->newest_ms;
	bool says = from < b->rows_count; /* exemplars alone say nothing of the clock */
	if (UNLIKELY(says && clockwatch_look(in->share->env->clock, now) != CLOCKWATCH_SURE)) {
		struct clockwatch_heard h = hear_rows(in, b->rows + from, count, newest);
		if (clockwatch_hear(in->share->env->clock, now, &h) == CLOCKWATCH_DOUBT) {
			bool any = h.t_newest_ms != INT64_MIN;
			int64_t t = any ? least(now.wall_ms, h.t_newest_ms) : now.wall_ms;
			t = newest == NEWEST_NONE ? t : least(t, newest);
			return (struct shard_judge){ .t_min_ms = num_sat_sub(t, w.retention_ms),
				.t_max_ms = INTAKE_T_MAX_MS,
				.t_kept_ms = num_sat_sub(t, w.retention_ms),
				.old_flag = w.retention_flag,
				.old_ms = w.retention_ms };
		}
	}
	struct shard_judge j = { .t_max_ms = num_sat_add(now.wall_ms, o->future_ms),
		.new_flag = limits_flag(LIMITS_write_future_ms),
		.new_ms = o->future_ms };
	bool none = newest == NEWEST_NONE;
	j.old_flag = none ? w.retention_flag : w.ooo_flag;
	j.old_ms = none ? w.retention_ms : w.ooo_ms;
	int64_t front = none ? now.wall_ms : newest_bounded(newest, now.wall_ms);
	j.t_min_ms = num_sat_sub(front, j.old_ms);
	j.t_kept_ms = num_sat_sub(front, w.retention_ms);
	return j;
}

static void step_msg(struct mbox_msg *msg)
{
	struct append *ap = CONTAINER_OF(msg, struct append, step_msg);
	struct intake *in = ap->home;
	bool entered = intake_enter(in);
	append_step(ap);
	intake_leave(in, entered);
}

void intake_append(struct intake *in, struct sink_req *req)
{
	loop_check_here(in->share->loop);
	struct append *ap;
	if (list_empty(&in->append_pool)) {
		ap = mem_zalloc(sizeof *ap);
		list_init(&ap->link);
	} else {
		ap = CONTAINER_OF(list_pop(&in->append_pool), struct append, link);
		in->append_pool_count--;
	}
	ap->home = in;
	ap->req = req;
	ap->next_row = 0;
	ap->open = 1;
	ap->err = 0;
	ap->slow = INTAKE_SLOW_NOT;
	ap->retry_after_s = 0;
	ap->newest_ms = newest_get(&in->share->newest, req->batch->tenant, req->batch->own);
	ap->step_msg.fn = step_msg;
	shard_verdict_init(&ap->verdict);
	in->open++;
	enum err e = intake_accepts(in, &ap->retry_after_s);
	if (e) {
		if (e == ERR_BUSY && !walog_state(in->log))
			ap->slow = INTAKE_SLOW_MEMORY;
		append_answer(ap, NULL, e, ap->retry_after_s);
		return;
	}
	if (intake_turn_is_full(in)) {
		loop_send(in->share->loop, &ap->step_msg);
		return;
	}
	bool entered = intake_enter(in);
	append_step(ap);
	intake_leave(in, entered);
}

/* ---- a step: rows to slices ---- */

static struct step *step_get(struct intake *in)
{
	struct step *sp;
	if (list_empty(&in->step_pool)) {
		sp = mem_zalloc(sizeof *sp + in->share->env->loops * sizeof sp->slices[0]);
		list_init(&sp->link);
	} else {
		sp = CONTAINER_OF(list_pop(&in->step_pool), struct step, link);
		in->step_pool_count--;
	}
	return sp;
}

/*
 * Rows are sorted by owner; exemplars, in the shape of rows, by shard too, so that their groups in
 * the log are few.
 */
static unsigned step_keys(const struct intake_env *env, unsigned loops)
{
	return env->shards > loops ? env->shards : loops;
}

/* For rows that are sorted; ends are 0. */
static void step_room(struct intake *in, struct step *sp, uint32_t rows)
{
	unsigned keys = step_keys(in->env, in->share->env->loops);
	if (!sp->ends)
		sp->ends = mem_alloc(keys * sizeof *sp->ends);
	memset(sp->ends, 0, keys * sizeof *sp->ends);
	if (sp->cap >= rows && sp->fps)
		return;
	mem_free(sp->fps);
	mem_free(sp->places);
	mem_free(sp->keys);
	mem_free(sp->index);
	sp->cap = rows < 2048 ? 2048 : rows;
	sp->fps = mem_array(NULL, sp->cap, sizeof *sp->fps);
	sp->places = mem_array(NULL, sp->cap, sizeof *sp->places);
	sp->keys = mem_array(NULL, sp->cap, sizeof *sp->keys);
	sp->index = mem_array(NULL, sp->cap, sizeof *sp->index);
}

void append_step_free(struct step *sp)
{
	mem_free(sp->rows);
	mem_free(sp->fps);
	mem_free(sp->places);
	mem_free(sp->keys);
	mem_free(sp->index);
	mem_free(sp->ends);
	mem_free(sp);
}

void append_step_put(struct intake *in, struct step *sp)
{
	if (in->step_pool_count >= pool_keep(POOL_MAX) || sp->cap > STEP_KEEP_ROWS) {
		append_step_free(sp);
		return;
	}
	list_add_head(&in->step_pool, &sp->link);
	in->step_pool_count++;
}

#define KEY_NONE UINT16_MAX /* a row refused at home */

/* A row that is refused before anybody looks for its series. */
static bool refused_at_home(struct append *ap, const struct batch_row *r, uint32_t row)
{
	struct shard_verdict *v = &ap->verdict;
	if (UNLIKELY(r->flags & HEAD_EXEMPLAR)) {
		bool none = !r->labels_len || r->labels_len > INTAKE_LABELS_MAX;
		metric_add(M_EXEMPLARS_UNKNOWN, none);
		if (none)
			shard_verdict_refuse_exemplar(v, row, APPLY_EXEMPLAR_UNKNOWN);
		return none;
	}
	if (UNLIKELY(r->flags & BATCH_EXTRA && r->extra->bad)) {
		metric_add(M_REFUSED_BAD_HISTOGRAM, 1);
		shard_verdict_refuse(v, row, SINK_BAD_HISTOGRAM, r->extra->bad);
		return true;
	}
	if (UNLIKELY(!r->labels_len)) {
		metric_add(M_REFUSED_BAD_LABELS, 1);
		shard_verdict_refuse(v, row, SINK_BAD_LABELS, "metric name is missing");
		return true;
	}
	if (UNLIKELY(r->labels_len > INTAKE_LABELS_MAX)) {
		char text[128];
		snprintf(text, sizeof text, "labels have %u bytes as sent, limit %u (--%s)",
		    r->labels_len, intake_label_limits(ap->home).total_bytes,
		    limits_flag(LIMITS_write_labels_bytes));
		metric_add(M_REFUSED_LABEL_LIMIT, 1);
		shard_verdict_refuse(v, row, SINK_LABEL_LIMIT, text);
		return true;
	}
	return false;
}

/* Exemplars come behind the rows of a request, so that their series are there. */
static size_t items_count(const struct batch *b)
{
	return b->rows_count + b->exemplars_count;
}

/* What a step has from there on: rows, or exemplars in the shape of rows, never both. */
static const struct batch_row *step_items(
    struct step *sp, const struct batch *b, size_t from, uint32_t *count)
{
	if (LIKELY(from < b->rows_count)) {
		if (*count > b->rows_count - from)
			*count = (uint32_t)(b->rows_count - from);
		return b->rows + from;
	}
	sp->items = mem_array(sp->items, *count + 1, sizeof(*sp->items));
	for (uint32_t i = 0; i < *count; i++) {
		const struct batch_exemplar *x = &b->exemplars[from + i - b->rows_count];
		sp->items[i] = (struct batch_row){ .labels = x->labels,
			.labels_len = x->labels_len,
			.flags = HEAD_EXEMPLAR,
			.t_ms = x->t_ms };
	}
	return sp->items;
}

/* Exemplars, sorted, become rows of their own: each knows its exemplar. */
static void step_exemplars(struct step *sp, const struct batch *b, size_t from, uint32_t count)
{
	sp->rows = mem_array(sp->rows, count + 1, sizeof *sp->rows);
	for (uint32_t k = 0; k < count; k++) {
		uint32_t i = sp->index[k];
		struct head_row *to = &sp->rows[k];
		intake_row_set(to, &sp->items[i], (uint32_t)(from + i));
		to->fp = sp->fps[i];
		to->place = sp->places[i];
		to->exemplar = &b->exemplars[to->row - b->rows_count];
	}
	mem_free(sp->items);
	sp->items = NULL;
}

/*
 * One loop has all shards: its slice is the batch, nobody needs to know now whose a row is. How
 * many rows; 0 when one of them is refused before its series is looked for.
 */
static uint32_t step_whole(
    const struct append *ap, const struct batch_row *items, size_t from, uint32_t count)
{
	const struct batch *b = ap->req->batch;
	bool odd = false;
	if (ap->home->share->env->loops > 1 || from >= b->rows_count || from + count > UINT32_MAX)
		return 0;
	for (uint32_t i = 0; i < count; i++)
		odd |= items[i].labels_len - 1 >= INTAKE_LABELS_MAX;
	for (uint32_t i = 0; UNLIKELY(b->extras_bytes > 0) && i < count; i++)
		odd |= items[i].flags & BATCH_EXTRA && items[i].extra->bad;
	return odd ? 0 : count;
}

/*
 * Fingerprints, once per run of rows of one series; counts by key. As many of count rows as half of
 * the time allows, at least a few: returns how many.
 */
static uint32_t step_hash(
    struct append *ap, struct step *sp, const struct batch_row *items, size_t from, uint32_t count)
{
	const struct intake_env *env = ap->home->env;
	const struct batch *b = ap->req->batch;
	const uint8_t *labels = NULL;
	uint32_t labels_len = UINT32_MAX, look = STEP_LOOK_ROWS, bytes = 0;
	uint16_t place = 0, key = 0;
	uint64_t fp = 0, began_ns = clock_real_mono_ns();
	const unsigned loops = ap->home->share->env->loops;
	for (uint32_t i = 0; i < count; i++) {
		const struct batch_row *r = &items[i];
		if (UNLIKELY(i >= look || bytes >= STEP_LOOK_BYTES)) {
			if (intake_since(began_ns) >= INTAKE_PIECE_NS / 2)
				return i;
			look = i + STEP_LOOK_ROWS;
			bytes = 0;
		}
		if (UNLIKELY(r->flags || r->labels_len - 1 >= INTAKE_LABELS_MAX) &&
		    refused_at_home(ap, r, (uint32_t)(from + i))) {
			sp->keys[i] = KEY_NONE;
			continue;
		}
		if (r->labels != labels || r->labels_len != labels_len) {
			labels = r->labels;
			labels_len = r->labels_len;
			bytes += labels_len;
			struct hash128 h =
			    label_fingerprint((struct labels){ .bytes = labels, .len = labels_len },
			        b->tenant, env->seed);
			fp = h.lo;
			unsigned shard = intake_shard_of(env, h);
			place = (uint16_t)(shard / loops);
			key = (uint16_t)(sp->by_shard ? env->places[shard] : shard % loops);
		}
		sp->fps[i] = fp;
		sp->places[i] = place;
		sp->keys[i] = key;
		sp->ends[key]++;
	}
	return count;
}

/* Stable counting sort; ends[] become the ends of keys. How many were not refused. */
static uint32_t step_sort(struct append *ap, struct step *sp, uint32_t count)
{
	unsigned keys = step_keys(ap->home->env, ap->home->share->env->loops);
	uint32_t sum = 0;
	for (unsigned p = 0; p < keys; p++) {
		uint32_t n = sp->ends[p];
		sp->ends[p] = sum;
		sum += n;
	}
	for (uint32_t i = 0; i < count; i++)
		if (LIKELY(sp->keys[i] != KEY_NONE))
			sp->index[sp->ends[sp->keys[i]]++] = i;
	return sum;
}

/* Of a sorted step: where the rows of a loop end. */
static uint32_t step_end(const struct step *sp, const struct intake_env *env, unsigned loop)
{
	const struct share *at = env->intakes[loop]->share;
	if (!sp->by_shard)
		return sp->ends[loop];
	return at->shards_count ? sp->ends[env->places[at->shards[at->shards_count - 1]->index]]
	                        : UINT32_MAX;
}

/* Its slices: of a loop that owns all, the rows of the batch; else what was sorted. */
static void step_cut(struct append *ap, struct step *sp, size_t from, uint32_t whole, bool metas)
{
	struct intake *home = ap->home;
	const struct intake_env *env = home->env;
	uint32_t begin = 0;
	for (unsigned i = 0; i < home->share->env->loops; i++) {
		struct slice *sl = &sp->slices[i];
		slice_init(sl, ap, ap->judge, home, env->intakes[i]);
		sl->step = sp;
		sl->metas = metas && i == 0;
		sl->rows_from = (uint32_t)from;
		if (whole) {
			sl->rows_count = whole;
		} else {
			uint32_t end = step_end(sp, env, i);
			end = end == UINT32_MAX ? begin : end;
			sl->rows = sp->by_shard ? sp->rows + begin : NULL;
			sl->index = sp->index + begin;
			sl->rows_count = end - begin;
			begin = end;
		}
		slice_weigh(sl);
		if (sl->rows_count || sl->metas)
			sp->open++;
	}
}

/*
 * Others first, so that they work while this loop does. False: there was nothing to send, the step
 * is still the caller's.
 */
static bool step_send(struct append *ap, struct step *sp)
{
	struct intake *home = ap->home;
	unsigned loops = home->share->env->loops;
	ap->open += sp->open;
	uint32_t open = sp->open;
	if (!open)
		return false; /* all rows were refused at home */
	bool paced = ap->next_row < items_count(ap->req->batch);
	if (paced)
		ap->running += open;
	for (unsigned i = 0; i < loops && open; i++) {
		struct slice *sl = &sp->slices[(home->share->index + 1 + i) % loops];
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
	struct intake *home = ap->home;
	const struct batch *b = ap->req->batch;
	size_t from = ap->next_row, left = items_count(b) - from;
	uint32_t count = left > INTAKE_STEP_ROWS ? INTAKE_STEP_ROWS : (uint32_t)left;
	bool metas = from == 0 && b->metas_count > 0;
	ap->running = 1;
	if (count || metas) {
		struct step *sp = step_get(home);
		sp->append = ap;
		sp->open = 0;
		const struct batch_row *items = step_items(sp, b, from, &count);
		uint32_t whole = step_whole(ap, items, from, count);
		if (UNLIKELY(!whole)) {
			step_room(home, sp, count);
			sp->by_shard = items == sp->items;
			count = step_hash(ap, sp, items, from, count);
		}
		if (LIKELY(from < b->rows_count || !b->rows_count)) /* exemplars go by its rows' */
			ap->judge = judge_of(ap, from, count);
		ap->next_row = from + count;
		if (UNLIKELY(!whole)) {
			uint32_t sorted = step_sort(ap, sp, count);
			if (UNLIKELY(sp->by_shard))
				step_exemplars(sp, b, from, sorted);
		}
		step_cut(ap, sp, from, whole, metas);
		if (!step_send(ap, sp))
			append_step_put(home, sp);
	}
	append_ran(ap);
}

/* One of the step's slices has run, or all are sent: after the last one the next step follows. */
void append_ran(struct append *ap)
{
	CHECK(ap->running > 0);
	if (--ap->running)
		return;
	if (ap->next_row < items_count(ap->req->batch) && !ap->err)
		loop_send(ap->home->share->loop, &ap->step_msg);
	else
		append_answer(ap, NULL, 0, 0);
}

/* ---- answers at home ---- */

void append_answer(
    struct append *ap, const struct shard_verdict *v, enum err err, uint32_t retry_after_s)
{
	CHECK(ap->open > 0);
	if (v)
		shard_verdict_add(&ap->verdict, v);
	if (err && !ap->err) {
		ap->err = err;
		ap->retry_after_s = retry_after_s ? retry_after_s : intake_retry_after(err);
	}
	if (--ap->open)
		return;
	struct intake *home = ap->home;
	list_add_tail(&home->done, &ap->link);
	if (!home->done_armed) {
		home->done_armed = true;
		loop_defer(home->share->loop, &home->done_deferred);
	}
}

/* What was refused as people read it: its series, then why, which may be "". */
static void first_text(struct sink_req *req, struct labels ls, const char *why)
{
	struct buf text;
	buf_init(&text);
	label_text_cut(&text, ls, why[0] ? SERIES_SHOWN : sizeof req->first_text - 1);
	if (why[0])
		buf_printf(&text, ": %s", why);
	size_t len = rune_cut((const char *)text.data, text.len, sizeof req->first_text - 1);
	if (len)
		memcpy(req->first_text, text.data, len);
	req->first_text[len] = 0;
	buf_release(&text);
}

/* Of the first refused row; else of the first refused exemplar. */
static void refused_text(const struct append *ap, struct sink_req *req)
{
	const struct shard_verdict *v = &ap->verdict;
	const struct batch *b = req->batch;
	if (v->first_row != UINT32_MAX) {
		const struct batch_row *r = &b->rows[v->first_row];
		first_text(req, (struct labels){ r->labels, r->labels_len }, v->first_text);
	} else if (v->first_exemplar != UINT32_MAX) {
		const struct batch_exemplar *x = &b->exemplars[v->first_exemplar - b->rows_count];
		first_text(req, (struct labels){ x->labels, x->labels_len }, v->exemplar_why);
	}
}

/* Why series that are new could not be made now. */
static void slow_text(const struct append *ap, struct sink_req *req)
{
	const struct intake *in = ap->home;
	uint64_t rate = in->env->new_series_per_s;
	char limit[TENANT_LIMIT_TEXT_MAX];
	if (ap->slow == INTAKE_SLOW_RATE)
		snprintf(req->first_text, sizeof req->first_text,
		    "more than %llu new series a second and loop (--%s), send it again later",
		    (unsigned long long)(rate ? rate : limits_here()->write_new_series_per_s),
		    limits_flag(LIMITS_write_new_series_per_s));
	else if (ap->slow == INTAKE_SLOW_TENANT)
		snprintf(req->first_text, sizeof req->first_text,
		    "too many new series a second and loop, %s, send it again later",
		    tenant_limit_text(loop_tenants(in->share->loop), req->batch->tenant,
		        TENANT_LIMIT_new_series_per_s, limit));
	else if (!share_is_alone(in->share, req->batch->tenant)) /* others' are not told */
		snprintf(req->first_text, sizeof req->first_text,
		    "memory for series is full, limit %llu (--limits.series-total); new ones have to wait, send it again later",
		    (unsigned long long)in->env->series_max);
	else
		snprintf(req->first_text, sizeof req->first_text,
		    "memory for series is %u %% full: %llu active series, limit %llu (--limits.series-total); new ones have to wait, send it again later",
		    (unsigned)(share_head_bytes(in->share) * 100 /
		        (in->share->env->head_bytes_max + 1)),
		    (unsigned long long)share_series(in->share),
		    (unsigned long long)in->env->series_max);
}

static void append_end(struct append *ap)
{
	struct intake *home = ap->home;
	struct sink_req *req = ap->req;
	const struct shard_verdict *v = &ap->verdict;
	req->err = ap->err;
	req->retry_after_s = ap->retry_after_s;
	req->stored = v->stored;
	req->refused = v->refused;
	req->hists = v->hists;
	req->late = v->late;
	req->changed = v->over;
	req->exemplars = v->exemplars;
	req->exemplars_refused = v->exemplars_refused;
	req->first_reason = v->first_row == UINT32_MAX ? SINK_OK : v->first_reason;
	req->first_text[0] = 0;
	if (ap->err == ERR_BUSY && ap->slow)
		slow_text(ap, req);
	else if (!ap->err)
		refused_text(ap, req);
	CHECK(ap->err || v->stored + v->refused == req->batch->rows_count);
	home->open--;
	if (home->append_pool_count < pool_keep(POOL_MAX)) {
		list_add_head(&home->append_pool, &ap->link);
		home->append_pool_count++;
	} else {
		mem_free(ap);
	}
	req->done(req);
}

void append_done_run(struct loop_deferred *d)
{
	struct intake *in = CONTAINER_OF(d, struct intake, done_deferred);
	struct list_link now;
	list_init(&now);
	list_move_all(&now, &in->done);
	in->done_armed = false;
	for (struct list_link *l; (l = list_pop(&now)) != NULL;)
		append_end(CONTAINER_OF(l, struct append, link));
}
