#include "storage/append/apply.h"
#include "core/base/clock.h"
#include "core/base/metric.h"
#include "core/base/num.h"
#include "core/base/rune.h"
#include "storage/append/alias.h"
#include "storage/append/card.h"
#include "storage/append/intake_priv.h"
#include <stdio.h>

struct apply {
	struct intake *in;
	struct share *sh; /* in->share */
	struct slice *sl;
	struct apply_odds *odds;
	struct walog_frame *frame; /* NULL = none open */
	struct walrec_writer w;
	struct shard *group;   /* whose group is open in the frame; NULL = none */
	bool created;          /* series, in this sub-batch */
	bool may_return;       /* one of them may be known to the catalog, under another id */
	bool over;             /* its time */
	bool judged;           /* exemplars: kept, or duplicates of what is */
	unsigned costs;        /* of unknown series since the last look at the clock */
	bool looked;           /* at what follows: limits_look */
	enum intake_slow slow; /* new series came too fast */
	uint64_t series_most;  /* of the tenant */
	const struct card_rules *rules; /* against its series without end; NULL: none */
	struct intake_bucket *bucket;   /* the tenant's own; NULL: it has no rate */
	struct made *made; /* series that were made, not in the log yet; in in->scratch */
	uint32_t made_count, made_cap;
	uint32_t extras_count; /* in in->extras, of rows that are not in the log yet */
	struct label_limits limits;
	struct changes_spans changed;
	int64_t t_newest_ms; /* of all rows so far */
	uint32_t bytes;      /* of labels compared since the last look at the clock */
	uint64_t stored, dup, overwritten, late, hists;
};

/* A series made in this piece. */
struct made {
	uint32_t slot, next; /* of the same lane; LANE_NONE = the last one */
};

/*
 * Known rows are looked at in sub-batches, smaller ones when labels are large (SUB_LABELS bytes in
 * all are compared between two looks at the clock, or LOOK_ROWS rows), unknown ones until they have
 * cost LOOK_COST: one, and one more for each KiB.
 */
#define SUB_LABELS   (256u << 10)
#define LOOK_ROWS    256u
#define LOOK_COST    8u
#define CROWDED_PART 10u        /* of all series: the last tenth is kept for tenants with few */
#define HISTS_LOG    (1u << 20) /* bytes of histograms that a record of rows has, and one more */
STATIC(HISTS_LOG < WALREC_EXTRAS_BYTES);

static unsigned sub_apply(struct apply *a, struct head_row *rows, unsigned count);
static uint32_t unknown(struct apply *a, struct head_row *r);
static bool odd_find(struct apply *a, const struct head_row *r);
static bool cost(struct apply *a, const struct head_row *r);
static bool cost_look(struct apply *a);
static void refuse_time(struct apply *a, const struct head_row *r);

static inline struct shard *shard_of(const struct apply *a, const struct head_row *r)
{
	return a->sh->shards[r->place];
}

/* ---- frames ---- */

static void group_open(struct apply *a, struct shard *shard)
{
	if (!a->frame) {
		a->frame = walog_frame(a->in->log);
		walrec_begin(&a->w, &a->frame->payload);
	}
	if (a->group == shard)
		return;
	walrec_group(&a->w, shard->index, ++shard->number);
	if (a->sl->batch->own)
		walrec_own(&a->w);
	a->group = shard;
}

static void frame_close(struct apply *a)
{
	if (!a->frame)
		return;
	walrec_end(&a->w);
	walog_submit(a->in->log, a->frame);
	a->frame = NULL;
	a->group = NULL;
}

/* Full frames go; the rest of the slice goes on under the shard's next number. */
static void frame_split(struct apply *a)
{
	if (a->frame && UNLIKELY(walrec_full(&a->w)))
		frame_close(a);
}

/* ---- lanes: what goes to the log, by shard ---- */

/* What reads would not find is not taken. */
static int64_t oldest_of(const struct apply *a, const struct shard *shard)
{
	int64_t dead_ms = files_dead_before(&shard->list, a->sl->tenant);
	return a->sl->judge.t_min_ms > dead_ms ? a->sl->judge.t_min_ms : dead_ms;
}

static void lane_open(struct apply *a, uint32_t place)
{
	struct intake *in = a->in;
	in->lanes[place] = (struct lane){ .open = true,
		.t_min_ms = oldest_of(a, a->sh->shards[place]),
		.made = LANE_NONE,
		.extra = LANE_NONE };
	in->lanes_open[in->lanes_open_count++] = (uint16_t)place;
}

/* Definitions come before the rows that use them, storage README (2). */
static void lane_defs(struct apply *a, struct lane *l, struct shard *shard)
{
	for (uint32_t i = l->made; i != LANE_NONE; i = a->made[i].next) {
		const struct series *s = head_at(&shard->head, a->made[i].slot);
		frame_split(a);
		group_open(a, shard);
		walrec_def(&a->w, s->id, s->tenant, s->labels, s->labels_len);
	}
	l->made = LANE_NONE;
}

/* Of the lane's rows: in order, with the bytes where they are now that in->hists is whole. */
static uint32_t lane_extras(struct apply *a, const struct lane *l, struct walrec_extra *to)
{
	const struct intake *in = a->in;
	uint32_t n = 0;
	for (uint32_t i = l->extra; i != LANE_NONE; i = in->extras[i].next) {
		to[n] = in->extras[i].e;
		to[n++].hist = in->hists.data + in->extras[i].hist_at;
	}
	return n;
}

static void lane_log(struct apply *a, uint32_t place)
{
	struct lane *l = &a->in->lanes[place];
	struct lane_rows *rows = &a->in->lane_rows[place];
	struct shard *shard = a->sh->shards[place];
	struct shard_span span = SHARD_SPAN_NONE;
	SCRATCH struct walrec_extra extras[LANE_EXTRAS];
	frame_split(a);
	lane_defs(a, l, shard);
	if (!l->count)
		return;
	group_open(a, shard);
	if (LIKELY(l->extra == LANE_NONE))
		walrec_rows(&a->w, l->count, rows->ids, rows->t_ms, rows->v);
	else
		walrec_rows_extras(&a->w, l->count, rows->ids, rows->t_ms, rows->v,
		    lane_extras(a, l, extras), extras);
	for (uint32_t i = 0; i < l->count; i++) {
		span.min_ms = rows->t_ms[i] < span.min_ms ? rows->t_ms[i] : span.min_ms;
		span.max_ms = rows->t_ms[i] > span.max_ms ? rows->t_ms[i] : span.max_ms;
	}
	shard->rows_since_round += l->count;
	if (span.max_ms > shard->t_newest_ms)
		shard->t_newest_ms = span.max_ms;
	if (span.max_ms > a->t_newest_ms)
		a->t_newest_ms = span.max_ms;
	if (span.min_ms < shard->live_min_ms)
		shard->live_min_ms = span.min_ms;
	if (!a->sl->batch->own)
		shard_span_add(&shard->span, span);
	shard->newest_put_ns = loop_now_ns(a->sh->loop);
	l->count = 0;
	l->extra = LANE_NONE;
}

static void lanes_log(struct apply *a)
{
	struct intake *in = a->in;
	for (uint32_t i = 0; i < in->lanes_open_count; i++)
		lane_log(a, in->lanes_open[i]);
	a->made_count = 0;
	a->extras_count = 0;
	buf_clear(&in->hists);
}

static void lanes_close(struct apply *a)
{
	struct intake *in = a->in;
	lanes_log(a);
	for (uint32_t i = 0; i < in->lanes_open_count; i++)
		in->lanes[in->lanes_open[i]].open = false;
	in->lanes_open_count = 0;
}

static inline void lane_add(struct apply *a, uint32_t place, uint32_t id, int64_t t_ms, double v)
{
	struct lane *l = &a->in->lanes[place];
	struct lane_rows *rows = &a->in->lane_rows[place];
	uint32_t n = l->count++;
	rows->ids[n] = id;
	rows->t_ms[n] = t_ms;
	rows->v[n] = v;
	if (UNLIKELY(n + 1 == LANE_ROWS))
		lane_log(a, place);
}

/* ---- a slice ---- */

/* New series a second: UINT64_MAX = as many as come. */
static uint64_t rate_of(const struct intake *in, uint64_t head_bytes, enum intake_slow *why)
{
	uint64_t rate = in->env->new_series_per_s, max = in->share->env->head_bytes_max;
	*why = INTAKE_SLOW_RATE;
	if (!rate)
		rate = limits_here()->write_new_series_per_s;
	if (!rate)
		rate = UINT64_MAX;
	uint64_t tight = max / 100 * SHARE_TIGHT;
	if (LIKELY(head_bytes <= tight))
		return rate;
	uint64_t left = head_bytes < max ? max - head_bytes : 0, slow = INTAKE_TIGHT_RATE;
	slow = (uint64_t)((double)slow * (double)left / (double)(max - tight));
	if (slow < rate) {
		rate = slow;
		*why = INTAKE_SLOW_MEMORY;
	}
	return rate;
}

/* Tokens since the last time. */
static void bucket_fill(struct intake_bucket *b, uint64_t rate, uint64_t burst_s, uint64_t now)
{
	uint64_t ms = (now - b->ns) / 1000000u;
	if (!b->ns || ms > burst_s * 1000)
		ms = burst_s * 1000;
	b->ns = ms == burst_s * 1000 ? now : b->ns + ms * 1000000u;
	if (rate > UINT64_MAX / 1000 / (INTAKE_BURST_S * 1000))
		rate = UINT64_MAX / 1000 / (INTAKE_BURST_S * 1000);
	b->count += ms * rate;
	if (b->count > rate * burst_s * 1000)
		b->count = rate * burst_s * 1000;
}

/* *why: what holds new series back when there are no tokens. */
static void tokens_fill(struct intake *in, enum intake_slow *why)
{
	uint64_t rate = rate_of(in, share_head_bytes(in->share), why);
	uint64_t burst_s = *why == INTAKE_SLOW_MEMORY ? 1 : INTAKE_BURST_S;
	if (LIKELY(rate == UINT64_MAX)) {
		*why = INTAKE_SLOW_NOT;
		return;
	}
	bucket_fill(&in->tokens, rate, burst_s, loop_now_ns(in->share->loop));
}

/* That of a tenant with a rate of its own, filled; else NULL. */
static struct intake_bucket *bucket_of(struct intake *in, uint32_t tenant, uint64_t rate)
{
	if (LIKELY(!rate) || tenant >= TALLY_MAX)
		return NULL;
	if (tenant >= in->buckets_count) {
		uint32_t count = in->buckets_count ? in->buckets_count : 16;
		while (count <= tenant)
			count *= 2;
		in->buckets = mem_array(in->buckets, count, sizeof *in->buckets);
		memset(in->buckets + in->buckets_count, 0,
		    (count - in->buckets_count) * sizeof *in->buckets);
		in->buckets_count = count;
	}
	bucket_fill(&in->buckets[tenant], rate, INTAKE_BURST_S, loop_now_ns(in->share->loop));
	return &in->buckets[tenant];
}

static void verdict_add(const struct apply *a)
{
	struct shard_verdict *v = &a->sl->verdict;
	v->stored += a->stored;
	v->dup += a->dup;
	v->over += a->overwritten;
	v->late += a->late;
	v->hists += a->hists;
	metric_add(M_SAMPLES_STORED, a->stored);
	if (a->dup)
		metric_add(M_SAMPLES_DUPLICATE, a->dup);
	if (a->overwritten)
		metric_add(M_SAMPLES_OVERWRITTEN, a->overwritten);
	if (a->late)
		metric_add(M_SAMPLES_LATE, a->late);
}

/*
 * The newest time of the rows' class goes up, and stands in the frame of the rows that moved it.
 * Own metrics bear a clock that may be wrong: they count as far as it is believed. So do senders'
 * while it is in doubt: any time is taken then, and one of far ahead would last.
 */
static void newest_raise(struct apply *a)
{
	struct share *sh = a->sh;
	bool own = a->sl->batch->own;
	int64_t t_ms = a->t_newest_ms;
	struct clockwatch_now now = share_now(sh);
	bool doubt = clockwatch_look(sh->env->clock, now) == CLOCKWATCH_DOUBT;
	if ((own || doubt) && t_ms != INT64_MIN) {
		int64_t trusted = clockwatch_trusted_ms(sh->env->clock, now);
		t_ms = newest_bounded(t_ms, own ? trusted : num_sat_add(trusted, sh->env->future_ms));
	}
	if (!newest_tell(&sh->newest, a->sl->tenant, own, t_ms, loop_now_ns(sh->loop)))
		return;
	group_open(a, a->group ? a->group : sh->shards[0]);
	walrec_newest(&a->w, a->sl->tenant, own, t_ms);
}

/* Rows of the slice from rows_done on: how many are in *to. */
static uint32_t rows_take(struct apply *a, struct head_row **to)
{
	struct slice *sl = a->sl;
	uint32_t left = sl->rows_count - sl->rows_done, bytes = 0, n = 0;
	uint32_t count = left < TRAIL_ROWS ? left : TRAIL_ROWS;
	if (sl->rows) {
		*to = sl->rows + sl->rows_done;
		while (n < count && bytes < SUB_LABELS)
			bytes += (*to)[n++].labels_len;
	} else if (sl->index) {
		const uint32_t *index = sl->index + sl->rows_done;
		const struct batch_row *from = sl->batch->rows + sl->rows_from;
		for (*to = a->in->sub; n < count && bytes < SUB_LABELS; n++) {
			struct head_row *r = &a->in->sub[n];
			uint32_t i = index[n];
			intake_row_set(r, &from[i], sl->rows_from + i);
			r->fp = sl->step->fps[i];
			r->place = sl->step->places[i];
			bytes += r->labels_len;
		}
	} else {
		uint32_t row = sl->rows_from + sl->rows_done;
		const struct batch_row *from = sl->batch->rows + row;
		for (*to = a->in->sub; n < count && bytes < SUB_LABELS; n++) {
			bytes += from[n].labels_len;
			intake_row_set(&a->in->sub[n], &from[n], row + n);
		}
	}
	a->bytes += bytes;
	return n;
}

static void rows_run(struct apply *a)
{
	struct slice *sl = a->sl;
	uint32_t looked = sl->rows_done;
	while (sl->rows_done < sl->rows_count && !a->over) {
		struct head_row *rows;
		uint32_t count = rows_take(a, &rows);
		sl->rows_done += sub_apply(a, rows, count);
		if (a->over || (sl->rows_done - looked < LOOK_ROWS && a->bytes < SUB_LABELS))
			continue;
		looked = sl->rows_done;
		a->bytes = 0;
		a->over = intake_time_is_up(a->in);
	}
}

/* What was put can be seen by now. */
static void tell_changes(const struct apply *a)
{
	const struct share *sh = a->sh;
	changes_mark_spans(sh->env->changes, sh->index, a->sl->tenant, CHANGES_DATA, &a->changed,
	    loop_now_ms(sh->loop));
	if (UNLIKELY(a->may_return))
		share_changed(sh, a->sl->tenant, CHANGES_ORDER, INT64_MIN, INT64_MAX);
}

bool apply_slice(struct intake *in, struct slice *sl, struct apply_odds *odds)
{
	struct share *sh = in->share;
	struct apply a = { .in = in,
		.sh = sh,
		.sl = sl,
		.odds = odds,
		.t_newest_ms = INT64_MIN,
		.limits = intake_label_limits(in) };
	loop_check_here(sh->loop);
	share_series_count(sh);
	rows_run(&a);
	CHECK(a.over || sl->rows_done == sl->rows_count);
	lanes_close(&a);
	newest_raise(&a);
	frame_close(&a);
	tell_changes(&a);
	verdict_add(&a);
	if (sl->verdict.stored || a.judged)
		sl->position =
		    walog_handed(in->log); /* duplicates wait for all that was handed over, (3) */
	return sl->rows_done == sl->rows_count;
}

/*
 * A row with a histogram or a start time: into memory. *v is its value; its extra is the last one
 * of its lane now, for the row that comes next there.
 */
static enum series_put extra_put(
    struct apply *a, struct series *s, const struct head_row *r, double *v)
{
	struct head *h = &shard_of(a, r)->head;
	struct intake *in = a->in;
	struct lane *l = &in->lanes[r->place];
	size_t at = in->hists.len;
	struct extra e = { .start_ms = r->extra->start_ms };
	*v = r->extra->v;
	if (r->extra->hist) {
		hist_encode(r->extra->hist, &in->hists);
		e.hist = in->hists.data + at;
		e.hist_len = (uint32_t)(in->hists.len - at);
		*v = num_from_bits(SAMPLE_HIST_BITS);
	} else if (sample_is_hist(*v)) {
		*v = num_from_bits(SAMPLE_NAN_BITS);
	}
	bool plain = !e.hist && !e.start_ms;
	enum series_put put = series_put_slow(s, h->mem, &h->stats, r->t_ms, *v, plain ? NULL : &e);
	if (put == SERIES_PUT_SAME) {
		in->hists.len = at;
	} else if (!plain) {
		uint32_t n = a->extras_count++;
		in->extras[n] = (struct lane_extra){
			.e = { .row = l->count, .hist_len = e.hist_len, .start_ms = e.start_ms },
			.hist_at = at,
			.next = LANE_NONE
		};
		*(l->extra == LANE_NONE ? &l->extra : &in->extras[l->extra_last].next) = n;
		l->extra_last = n;
	}
	return put;
}

/* Histograms take their time and their room: is it over? */
static bool extra_cost(struct apply *a, const struct head_row *r)
{
	if (a->in->hists.len >= HISTS_LOG || a->extras_count == LANE_EXTRAS)
		lanes_log(a);
	a->costs += r->extra->hist ? 1 + (unsigned)(hist_cost(r->extra->hist) / 256) : 0;
	return cost_look(a);
}

#define CHANGED_AS_ONE (2 * CHANGES_SLOT_MS)

/* Which times of rows changed: told apart where they are far from each other. */
static void changed_add(
    struct apply *a, const struct head_row *rows, unsigned count, struct shard_span span)
{
	if (UNLIKELY(span.min_ms > span.max_ms))
		return;
	if (LIKELY(span.max_ms - span.min_ms <= CHANGED_AS_ONE)) {
		changes_spans_add(&a->changed, span.min_ms, span.max_ms);
		return;
	}
	const int64_t t_max = a->sl->judge.t_max_ms;
	struct shard_span run = SHARD_SPAN_NONE; /* rows near the one before */
	for (unsigned i = 0; i < count; i++) {
		int64_t t = rows[i].t_ms;
		if (rows[i].slot == SERIES_NONE || t < a->in->lanes[rows[i].place].t_min_ms ||
		    t > t_max)
			continue;
		if (run.min_ms > run.max_ms) {
			run = (struct shard_span){ .min_ms = t, .max_ms = t };
		} else if (t > run.max_ms && t - run.max_ms <= CHANGES_SLOT_MS) {
			run.max_ms = t;
		} else if (t < run.min_ms || t > run.max_ms) {
			changes_spans_add(&a->changed, run.min_ms, run.max_ms);
			run = (struct shard_span){ .min_ms = t, .max_ms = t };
		}
	}
	if (run.min_ms <= run.max_ms)
		changes_spans_add(&a->changed, run.min_ms, run.max_ms);
}

/*
 * How many of the rows were done: fewer than count when the time was over. Made twice: rows of
 * slices without extras, nearly all there are, do not pay for them.
 */
static inline __attribute__((always_inline)) unsigned rows_apply(
    struct apply *a, struct head_row *rows, unsigned count, const bool extras)
{
	struct intake *in = a->in;
	struct trail *trail = &a->sh->trail;
	const int64_t t_max = a->sl->judge.t_max_ms;
	struct trail_mark before = trail_mark(trail);
	const unsigned resolved = count;
	struct shard_span span = SHARD_SPAN_NONE;
	trail_resolve(trail, a->sl->tenant, rows, count);
	a->created = false;
	for (unsigned i = 0; i < count; i++) {
		struct head_row *r = &rows[i];
		struct lane *l = &in->lanes[r->place];
		if (UNLIKELY(!l->open))
			lane_open(a, r->place);
		if (UNLIKELY(r->t_ms > t_max || r->t_ms < l->t_min_ms)) {
			refuse_time(a, r);
			continue;
		}
		if (UNLIKELY(r->slot == SERIES_NONE)) {
			r->slot = unknown(a, r);
			if (cost(a, r))
				count = i + 1;
			if (r->slot == SERIES_NONE)
				continue;
		}
		struct head *h = trail->heads[r->place];
		struct series *s = head_at(h, r->slot);
		double v = r->v;
		/*
		 * A guess that led elsewhere would put an acknowledged row where nobody finds it.
		 */
		CHECK((s->flags & (SERIES_USED | SERIES_UNDEFINED | SERIES_SHADOWED)) == SERIES_USED);
		enum series_put put = !extras || !r->flags
		    ? series_put(s, h->mem, &h->stats, r->t_ms, v)
		    : extra_put(a, s, r, &v);
		a->stored++;
		span.max_ms = r->t_ms > span.max_ms ? r->t_ms : span.max_ms;
		span.min_ms = r->t_ms < span.min_ms ? r->t_ms : span.min_ms;
		if (extras)
			a->hists += r->flags && r->extra->hist;
		if (UNLIKELY(put != SERIES_PUT_NEW)) {
			a->dup += put == SERIES_PUT_SAME;
			a->overwritten += put == SERIES_PUT_OVER;
			a->late += put == SERIES_PUT_LATE;
		}
		if (LIKELY(put != SERIES_PUT_SAME))
			lane_add(a, r->place, s->id, r->t_ms, v);
		if (extras && r->flags && extra_cost(a, r))
			count = i + 1;
	}
	changed_add(a, rows, count, span);
	if (UNLIKELY(a->created || count < resolved))
		trail_learn(trail, before, rows, count);
	return count;
}

/* ---- exemplars ---- */

static void exemplar_refuse(
    struct apply *a, const struct head_row *r, enum metric_id id, const char *why)
{
	metric_add(id, 1);
	shard_verdict_refuse_exemplar(&a->sl->verdict, r->row, why);
}

/* Its series. SERIES_NONE: nobody knows it, or it is looked for under its canonical bytes. */
static uint32_t exemplar_slot(struct apply *a, struct head_row *r)
{
	struct labels raw = { .bytes = r->labels, .len = r->labels_len };
	uint32_t slot = head_find(&shard_of(a, r)->head, r->fp, a->sl->tenant, raw);
	if (LIKELY(slot != SERIES_NONE))
		return slot;
	if (a->sl->canonical || !odd_find(a, r))
		exemplar_refuse(a, r, M_EXEMPLARS_UNKNOWN, APPLY_EXEMPLAR_UNKNOWN);
	return SERIES_NONE;
}

/* To memory, and to the frame. */
static void exemplar_keep(struct apply *a, const struct series *s, const struct head_row *r)
{
	struct shard *shard = shard_of(a, r);
	struct head *h = &shard->head;
	const struct batch_exemplar *x = r->exemplar;
	struct exemplar e = { .t_ms = x->t_ms, .v = x->v };
	struct labels own = { .bytes = x->own, .len = x->own_len };
	struct buf *list = &a->in->hists; /* rows have none in it now */
	if (!exemplar_labels(&a->in->scratch, own, &e.labels)) {
		exemplar_refuse(a, r, M_EXEMPLARS_BAD, "labels of an exemplar are bad, or too long");
		return;
	}
	enum exemplars_verdict v = exemplars_add(
	    &h->exemplars, h->mem, s->id, &e, (uint32_t)limits_here()->write_exemplars);
	if (v == EXEMPLARS_OUT_OF_ORDER) {
		exemplar_refuse(a, r, M_EXEMPLARS_OUT_OF_ORDER, "exemplar out of order");
		return;
	}
	a->judged = true;
	a->sl->verdict.exemplars++;
	metric_add(v == EXEMPLARS_NEW ? M_EXEMPLARS_STORED : M_EXEMPLARS_DUPLICATE, 1);
	if (v == EXEMPLARS_DUPLICATE)
		return;
	shard->rows_since_round++;
	shard->newest_put_ns = loop_now_ns(a->sh->loop);
	group_open(a, shard);
	buf_clear(list);
	exemplar_put(list, &e);
	walrec_exemplars(&a->w, s->id, list->data, list->len);
	buf_clear(list);
	frame_split(a);
}

/* Exemplars may be as old as what is kept, whatever the window of samples. */
static int64_t oldest_exemplar(const struct apply *a, const struct shard *shard)
{
	int64_t dead_ms = files_dead_before(&shard->list, a->sl->tenant);
	return a->sl->judge.t_kept_ms > dead_ms ? a->sl->judge.t_kept_ms : dead_ms;
}

static void exemplar_apply(struct apply *a, struct head_row *r, bool room)
{
	if (r->t_ms < oldest_exemplar(a, shard_of(a, r)) || r->t_ms < 1 ||
	    r->t_ms > a->sl->judge.t_max_ms) {
		exemplar_refuse(a, r, M_EXEMPLARS_TIME, "exemplar out of bounds");
		return;
	}
	r->slot = exemplar_slot(a, r);
	if (r->slot == SERIES_NONE)
		return;
	if (room)
		exemplar_keep(a, head_at(&shard_of(a, r)->head, r->slot), r);
	else
		metric_add(M_EXEMPLARS_NO_ROOM, 1);
}

/* Until the time is over: how many were done. */
static unsigned exemplars_apply(struct apply *a, struct head_row *rows, unsigned count)
{
	bool room = share_fill(a->sh) == SHARE_HAS_ROOM;
	unsigned i = 0;
	while (i < count) {
		exemplar_apply(a, &rows[i], room);
		if (cost(a, &rows[i++]))
			break;
	}
	return i;
}

static unsigned sub_apply(struct apply *a, struct head_row *rows, unsigned count)
{
	if (UNLIKELY(a->sl->exemplars))
		return exemplars_apply(a, rows, count);
	return LIKELY(!a->sl->extras_bytes) ? rows_apply(a, rows, count, false)
	                                    : rows_apply(a, rows, count, true);
}

/* ---- unknown series ---- */

static const enum metric_id refused_ids[SINK_REASONS] = {
	[SINK_OUT_OF_BOUNDS] = M_REFUSED_OUT_OF_BOUNDS,
	[SINK_TOO_OLD] = M_REFUSED_TOO_OLD,
	[SINK_BAD_LABELS] = M_REFUSED_BAD_LABELS,
	[SINK_LABEL_LIMIT] = M_REFUSED_LABEL_LIMIT,
	[SINK_SERIES_LIMIT] = M_REFUSED_SERIES_LIMIT,
	[SINK_CARDINALITY] = M_REFUSED_CARDINALITY,
};

static uint32_t refuse(
    struct apply *a, const struct head_row *r, enum sink_reason reason, const char *detail)
{
	metric_add(refused_ids[reason], 1);
	shard_verdict_refuse(&a->sl->verdict, r->row, reason, detail);
	return SERIES_NONE;
}

/* Texts are made for the first refused row only: nobody reads the others. */
static void refuse_time(struct apply *a, const struct head_row *r)
{
	struct shard_judge judge = a->sl->judge;
	int64_t oldest_ms = oldest_of(a, shard_of(a, r));
	bool old = r->t_ms < oldest_ms;
	char text[SHARD_WHY_BYTES] = "";
	if (r->t_ms >= judge.t_min_ms && old) { /* its tenant keeps samples for so long only */
		judge.t_min_ms = oldest_ms;
		judge.old_flag = NULL;
	}
	if (shard_verdict_is_first(&a->sl->verdict, r->row))
		shard_judge_why(&judge, r->t_ms, loop_now_ms(a->sh->loop), text);
	(void)refuse(a, r, old ? SINK_TOO_OLD : SINK_OUT_OF_BOUNDS, text);
}

/*
 * No room for one more series of this tenant: the server has all it takes, or nearly so, and the
 * tenant more than an equal part of it. Small ones find the last tenth.
 */
static bool is_crowded(const struct apply *a, uint64_t all)
{
	const struct tally *tenants = a->sh->env->tenants;
	uint64_t max = a->in->env->series_max;
	if (LIKELY(all < max - max / CROWDED_PART))
		return false;
	if (all >= max)
		return true;
	uint32_t members = tally_members(tenants);
	return members > 1 && tally_get(tenants, a->sl->tenant) >= max / members;
}

/* Of the tenant's own limit; else the server's. */
static uint32_t refuse_series(struct apply *a, const struct head_row *r, uint64_t all, bool own)
{
	char text[SHARD_WHY_BYTES], limit[TENANT_LIMIT_TEXT_MAX];
	uint64_t max = a->in->env->series_max;
	if (!shard_verdict_is_first(&a->sl->verdict, r->row))
		text[0] = 0;
	else if (own)
		snprintf(text, sizeof text, "as many active series as this tenant may have, %s",
		    tenant_limit_text(
		        loop_tenants(a->sh->loop), a->sl->tenant, TENANT_LIMIT_series, limit));
	/* what others have is not told */
	else if (is_crowded(a, all) && !share_is_alone(a->sh, a->sl->tenant))
		snprintf(text, sizeof text,
		    "as many active series as the server takes, limit %llu (--limits.series-total)",
		    (unsigned long long)max);
	else if (is_crowded(a, all))
		snprintf(text, sizeof text, "%llu active series, limit %llu (--limits.series-total)",
		    (unsigned long long)all, (unsigned long long)max);
	else
		snprintf(text, sizeof text, "shard %u has given out all of its %u series ids",
		    shard_of(a, r)->index, UINT32_MAX);
	return refuse(a, r, SINK_SERIES_LIMIT, text);
}

/* An unknown series takes microseconds, with large labels far more: is the time over? */
static bool cost(struct apply *a, const struct head_row *r)
{
	a->costs += 1 + r->labels_len / 1024;
	return cost_look(a);
}

static bool cost_look(struct apply *a)
{
	if (a->costs < LOOK_COST)
		return false;
	a->costs = 0;
	a->over = intake_time_is_up(a->in);
	return a->over;
}

/* May one more be made now? Else the request is told to come again. */
static bool token_take(struct apply *a)
{
	uint64_t *all = a->slow == INTAKE_SLOW_NOT ? NULL : &a->in->tokens.count;
	uint64_t *own = a->bucket ? &a->bucket->count : NULL;
	if (LIKELY(!all && !own))
		return true;
	if ((!all || *all >= 1000) && (!own || *own >= 1000)) {
		if (all)
			*all -= 1000;
		if (own)
			*own -= 1000;
		return true;
	}
	if (!a->sl->err)
		metric_add(M_SERIES_TOO_FAST, 1);
	a->sl->err = ERR_BUSY;
	a->sl->slow = own && *own < 1000 ? INTAKE_SLOW_TENANT : a->slow;
	a->sl->retry_after_s = 1;
	return false;
}

/* Its definition will stand in the log before its first row: lane_log. */
static void made_add(struct apply *a, uint32_t place, uint32_t slot)
{
	struct lane *l = &a->in->lanes[place];
	if (a->made_count == a->made_cap) {
		uint32_t cap = a->made_cap ? a->made_cap * 2 : 64;
		struct made *made = arena_array(&a->in->scratch, cap, sizeof *made);
		if (a->made_count)
			memcpy(made, a->made, a->made_count * sizeof *made);
		a->made = made;
		a->made_cap = cap;
	}
	uint32_t n = a->made_count++;
	a->made[n] = (struct made){ .slot = slot, .next = LANE_NONE };
	*(l->made == LANE_NONE ? &l->made : &a->made[l->made_last].next) = n;
	l->made_last = n;
}

/* What holds new series back, looked at when the first one of a piece comes. */
static void limits_look(struct apply *a)
{
	const struct tenant_limits *own = tenant_limits_here(a->sl->tenant);
	tokens_fill(a->in, &a->slow);
	a->series_most = own->series ? own->series : UINT64_MAX;
	a->bucket = bucket_of(a->in, a->sl->tenant, own->new_series_per_s);
	a->rules = tenant_card_of(loop_tenants(a->sh->loop), a->sl->tenant);
	a->looked = true;
}

static uint32_t create(struct apply *a, struct head_row *r, struct labels ls)
{
	struct share *sh = a->sh;
	struct shard *shard = shard_of(a, r);
	uint64_t all = share_series(sh);
	if (is_crowded(a, all) || shard->next_id == UINT32_MAX)
		return refuse_series(a, r, all, false);
	if (!tally_take(sh->env->tenants, a->sl->tenant, a->series_most))
		return refuse_series(a, r, all, true);
	if (!token_take(a)) {
		tally_sub(sh->env->tenants, a->sl->tenant, 1);
		return SERIES_NONE;
	}
	uint32_t id = shard->next_id++;
	uint32_t slot = head_create(&shard->head, r->fp, a->sl->tenant, id, ls);
	made_add(a, r->place, slot);
	sh->series[sh->index]++;
	metric_add(M_SERIES_CREATED, 1);
	metric_gauge_add(M_SERIES_ACTIVE, 1);
	a->created = true;
	a->may_return |= shard->inactive || shard->lost_count || shard_catalog_is_behind(shard);
	return slot;
}

static struct apply_odd *odd_add(
    struct apply *a, const struct head_row *r, struct labels ls, struct hash128 fp)
{
	struct apply_odds *o = a->odds;
	if (o->count == o->cap) {
		uint32_t cap = o->cap ? o->cap * 2 : 64;
		struct apply_odd *rows = arena_array(&a->in->scratch, cap, sizeof *rows);
		if (o->count)
			memcpy(rows, o->rows, o->count * sizeof *rows);
		o->rows = rows;
		o->cap = cap;
	}
	struct apply_odd *odd = &o->rows[o->count++];
	odd->row = *r;
	odd->row.labels = arena_dup(&a->in->scratch, ls.bytes, ls.len);
	odd->row.labels_len = ls.len;
	odd->row.fp = fp.lo;
	odd->shard = intake_shard_of(a->in->env, fp);
	odd->ruled = false;
	return odd;
}

static uint32_t refuse_by_rule(
    struct apply *a, const struct head_row *r, const struct card_verdict *v)
{
	const struct card_rule *rule = card_rules_at(a->rules, v->rule);
	const struct tenant_row *row = tenants_of(loop_tenants(a->sh->loop), a->sl->tenant);
	const char *whose = row && row->card_own ? row->name : "defaults";
	char text[SHARD_WHY_BYTES] = "";
	if (!shard_verdict_is_first(&a->sl->verdict, r->row))
		return refuse(a, r, SINK_CARDINALITY, text);
	if (v->label.name_len)
		rune_printf(text, sizeof text,
		    "as many values of label %.*s as there may be, limit %llu (tenants.%s.cardinality, rule %u)",
		    (int)v->label.name_len, v->label.name, (unsigned long long)rule->max_values,
		    whose, v->rule + 1);
	else
		rune_printf(text, sizeof text,
		    "as many series as there may be, limit %llu a %s (tenants.%s.cardinality, rule %u)",
		    (unsigned long long)rule->max_series, card_per_words[rule->per], whose,
		    v->rule + 1);
	return refuse(a, r, SINK_CARDINALITY, text);
}

/* Under the rules of its tenant: made here, refused, or odd. */
static uint32_t create_by_rules(struct apply *a, struct head_row *r, struct labels ls)
{
	struct card_verdict v;
	switch (card_judge(a->in->card, a->sl->tenant, a->rules, ls, &a->in->scratch,
	    loop_now_ns(a->sh->loop), &v)) {
	case CARD_AS_IS:
		return create(a, r, ls);
	case CARD_REFUSED:
		return refuse_by_rule(a, r, &v);
	case CARD_REWRITTEN:
		break;
	}
	struct hash128 fp = label_fingerprint(v.labels, a->sl->tenant, a->in->env->seed);
	odd_add(a, r, v.labels, fp)->ruled = true;
	return SERIES_NONE;
}

static uint32_t create_watched(struct apply *a, struct head_row *r, struct labels ls)
{
	const struct batch *b = a->sl->batch;
	if (!a->looked)
		limits_look(a);
	if (UNLIKELY(a->sl->ruled || b->own || b->restored))
		return create(a, r, ls);
	watch_look(card_watch(a->in->card), a->sl->tenant, r->fp, ls, loop_now_ns(a->sh->loop));
	return LIKELY(!a->rules) ? create(a, r, ls) : create_by_rules(a, r, ls);
}

/*
 * Slot of a series that no table knows: made here, or SERIES_NONE when the row is refused, odd, or
 * too much for now.
 */
static uint32_t unknown(struct apply *a, struct head_row *r)
{
	struct labels raw = { .bytes = r->labels, .len = r->labels_len }, ls;
	if (a->created) { /* perhaps by an earlier row of this sub-batch */
		uint32_t slot = head_find(&shard_of(a, r)->head, r->fp, a->sl->tenant, raw);
		if (slot != SERIES_NONE)
			return slot;
	}
	if (a->sl->canonical)
		return create_watched(a, r, raw);
	struct hash128 fp;
	if (alias_find(a->in->alias, r->fp, a->sl->tenant, raw, &ls, &fp)) {
		odd_add(a, r, ls, fp);
		return SERIES_NONE;
	}
	struct errbuf eb;
	errbuf_init(&eb);
	enum err e = label_canonicalize(&a->in->scratch, raw, &a->limits, &ls, &eb);
	if (e)
		return refuse(a, r, e == ERR_TOOBIG ? SINK_LABEL_LIMIT : SINK_BAD_LABELS, eb.text);
	if (label_equal(ls, raw))
		return create_watched(a, r, raw);
	fp = label_fingerprint(ls, a->sl->tenant, a->in->env->seed);
	alias_add(a->in->alias, r->fp, a->sl->tenant, raw, ls, fp);
	odd_add(a, r, ls, fp);
	return SERIES_NONE;
}

/* Of an exemplar: true when it goes on under canonical bytes that are others than its own. */
static bool odd_find(struct apply *a, const struct head_row *r)
{
	struct labels raw = { .bytes = r->labels, .len = r->labels_len }, ls;
	struct hash128 fp;
	if (!alias_find(a->in->alias, r->fp, a->sl->tenant, raw, &ls, &fp)) {
		if (label_canonicalize(&a->in->scratch, raw, &a->limits, &ls, NULL) ||
		    label_equal(ls, raw))
			return false;
		fp = label_fingerprint(ls, a->sl->tenant, a->in->env->seed);
	}
	odd_add(a, r, ls, fp);
	return true;
}
