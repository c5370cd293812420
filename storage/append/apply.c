#include "storage/append/apply.h"
#include "core/base/clock.h"
#include "core/base/metric.h"
#include "core/base/num.h"
#include "core/base/rune.h"
#include "storage/append/alias.h"
#include <stdio.h>

struct apply {
	struct intake *in;
	struct share *sh; /* in->share */
	struct slice *sl;
	struct apply_odds *odds;
	struct shard *shard;
	struct walog_frame *frame; /* NULL = none open */
	struct walrec_writer w;
	bool group;            /* one of this shard is open in the frame */
	bool created;          /* series, in this sub-batch */
	bool may_return;       /* one of them may be known to the catalog, under another id */
	bool over;             /* its time */
	bool judged;           /* exemplars: kept, or duplicates of what is */
	unsigned costs;        /* of unknown series since the last look at the clock */
	enum intake_slow slow; /* new series came too fast */
	uint64_t series_most;  /* of the tenant */
	struct intake_bucket *bucket; /* the tenant's own; NULL: it has no rate */
	unsigned logged;              /* rows in in->ids, t_ms, v */
	unsigned extras;              /* of them have one in in->extras, hists */
	struct label_limits limits;
	struct shard_span span; /* of the rows of this shard */
	struct changes_spans changed;
	int64_t t_newest_ms; /* of all rows so far */
};

/*
 * Known rows are looked at in sub-batches, smaller ones when labels are large (SUB_LABELS bytes in
 * all are compared), unknown ones until they have cost LOOK_COST: one, and one more for each KiB.
 */
#define SUB_LABELS   (256u << 10)
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

/* ---- frames ---- */

static void group_open(struct apply *a)
{
	if (!a->frame) {
		a->frame = walog_frame(a->in->log);
		walrec_begin(&a->w, &a->frame->payload);
	}
	if (a->group)
		return;
	walrec_group(&a->w, a->shard->index, ++a->shard->number);
	if (a->sl->batch->own)
		walrec_own(&a->w);
	a->group = true;
}

/* Of a->logged rows with extras: they point into sh->hists, which is whole now. */
static void extras_log(struct apply *a)
{
	struct intake *in = a->in;
	const uint8_t *p = in->hists.data;
	for (unsigned i = 0; i < a->extras; i++) {
		in->extras[i].hist = p;
		p += in->extras[i].hist_len;
	}
	walrec_rows_extras(&a->w, a->logged, in->ids, in->t_ms, in->v, a->extras, in->extras);
	a->extras = 0;
	buf_clear(&in->hists);
}

static void rows_log(struct apply *a)
{
	if (!a->logged)
		return;
	group_open(a);
	if (LIKELY(!a->extras))
		walrec_rows(&a->w, a->logged, a->in->ids, a->in->t_ms, a->in->v);
	else
		extras_log(a);
	a->logged = 0;
}

static void frame_close(struct apply *a)
{
	if (!a->frame)
		return;
	walrec_end(&a->w);
	walog_submit(a->in->log, a->frame);
	a->frame = NULL;
	a->group = false;
}

/* Full frames go; the rest of the slice goes on under the shard's next number. */
static void frame_split(struct apply *a)
{
	if (a->frame && UNLIKELY(walrec_full(&a->w))) {
		rows_log(a);
		frame_close(a);
	}
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

static void verdict_count(uint64_t stored, uint64_t dup, uint64_t over, uint64_t late)
{
	metric_add(M_SAMPLES_STORED, stored);
	if (dup)
		metric_add(M_SAMPLES_DUPLICATE, dup);
	if (over)
		metric_add(M_SAMPLES_OVERWRITTEN, over);
	if (late)
		metric_add(M_SAMPLES_LATE, late);
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
	group_open(a);
	walrec_newest(&a->w, a->sl->tenant, own, t_ms);
}

static unsigned sub_rows(const struct slice *sl)
{
	unsigned n = HEAD_SUB;
	if (UNLIKELY(sl->labels_max > SUB_LABELS / HEAD_SUB))
		n = SUB_LABELS / sl->labels_max;
	return n ? n : 1;
}

/* Rows of the shard up to end. */
static void shard_apply(struct apply *a, uint32_t end, unsigned step)
{
	struct slice *sl = a->sl;
	struct shard *shard = a->shard;
	uint32_t begin = sl->rows_done;
	a->group = false;
	a->span = SHARD_SPAN_NONE;
	while (sl->rows_done < end && !a->over) {
		uint32_t left = end - sl->rows_done;
		sl->rows_done += sub_apply(a, sl->rows + sl->rows_done, left < step ? left : step);
		a->over = a->over || intake_time_is_up(a->in);
	}
	shard->rows_since_round += sl->rows_done - begin;
	if (a->span.max_ms > shard->t_newest_ms)
		shard->t_newest_ms = a->span.max_ms;
	if (a->span.max_ms > a->t_newest_ms)
		a->t_newest_ms = a->span.max_ms;
	if (a->span.min_ms < shard->live_min_ms)
		shard->live_min_ms = a->span.min_ms;
	if (!sl->batch->own)
		shard_span_add(&shard->span, a->span);
	shard->newest_put_ns = loop_now_ns(a->sh->loop);
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
	unsigned step = sub_rows(sl);
	loop_check_here(sh->loop);
	tokens_fill(in, &a.slow);
	const struct tenant_limits *own = tenant_limits_here(sl->tenant);
	a.series_most = own->series ? own->series : UINT64_MAX;
	a.bucket = bucket_of(in, sl->tenant, own->new_series_per_s);
	share_series_count(sh);
	for (unsigned k = 0; k < sh->shards_count && !a.over; k++) {
		a.shard = sh->shards[k];
		if (sl->rows_done < sl->ends[k])
			shard_apply(&a, sl->ends[k], step);
	}
	CHECK(a.over || sl->rows_done == sl->rows_count);
	newest_raise(&a);
	frame_close(&a);
	tell_changes(&a);
	if (sl->verdict.stored || a.judged)
		sl->position =
		    walog_handed(in->log); /* duplicates wait for all that was handed over, (3) */
	return sl->rows_done == sl->rows_count;
}

/*
 * A row with a histogram or a start time: into memory. Its value and its extra stand where the next
 * row is logged.
 */
static enum series_put extra_put(struct apply *a, struct series *s, const struct head_row *r)
{
	struct head *h = &a->shard->head;
	struct intake *in = a->in;
	size_t at = in->hists.len;
	double v = r->extra->v;
	struct extra e = { .start_ms = r->extra->start_ms };
	if (r->extra->hist) {
		hist_encode(r->extra->hist, &in->hists);
		e.hist = in->hists.data + at;
		e.hist_len = (uint32_t)(in->hists.len - at);
		v = num_from_bits(SAMPLE_HIST_BITS);
	} else if (sample_is_hist(v)) {
		v = num_from_bits(SAMPLE_NAN_BITS);
	}
	in->v[a->logged] = v;
	bool plain = !e.hist && !e.start_ms;
	enum series_put put = series_put_slow(s, h->mem, &h->stats, r->t_ms, v, plain ? NULL : &e);
	if (put == SERIES_PUT_SAME)
		in->hists.len = at;
	else if (!plain)
		in->extras[a->extras++] = (struct walrec_extra){
			.row = a->logged, .hist_len = e.hist_len, .start_ms = e.start_ms
		};
	return put;
}

/* Histograms take their time and their room: is it over? */
static bool extra_cost(struct apply *a, const struct head_row *r)
{
	if (a->in->hists.len >= HISTS_LOG) {
		rows_log(a);
		frame_split(a);
	}
	a->costs += r->extra->hist ? 1 + (unsigned)(hist_cost(r->extra->hist) / 256) : 0;
	return cost_look(a);
}

/* What reads would not find is not taken. */
static int64_t oldest_of(const struct apply *a)
{
	int64_t dead_ms = files_dead_before(&a->shard->list, a->sl->tenant);
	return a->sl->judge.t_min_ms > dead_ms ? a->sl->judge.t_min_ms : dead_ms;
}

#define CHANGED_AS_ONE (2 * CHANGES_SLOT_MS)

/* Which times of rows changed: they are told one by one where they are far from each other. */
static void changed_add(struct apply *a, const struct head_row *rows, unsigned count,
    struct shard_span span, struct shard_span taken)
{
	if (UNLIKELY(span.min_ms > span.max_ms))
		return;
	if (LIKELY(span.max_ms - span.min_ms <= CHANGED_AS_ONE)) {
		changes_spans_add(&a->changed, span.min_ms, span.max_ms);
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		int64_t t = rows[i].t_ms;
		if (rows[i].slot != SERIES_NONE && t >= taken.min_ms && t <= taken.max_ms)
			changes_spans_add(&a->changed, t, t);
	}
}

/*
 * How many of the rows were done: fewer than count when the time was over. Made twice: rows of
 * slices without extras, nearly all there are, do not pay for them.
 */
static inline __attribute__((always_inline)) unsigned rows_apply(
    struct apply *a, struct head_row *rows, unsigned count, const bool extras)
{
	struct head *h = &a->shard->head;
	struct intake *in = a->in;
	const int64_t t_min = oldest_of(a), t_max = a->sl->judge.t_max_ms;
	uint32_t before = h->last;
	uint64_t dup = 0, over = 0, late = 0, stored = 0, hists = 0;
	struct shard_span span = SHARD_SPAN_NONE;
	head_resolve(h, a->sl->tenant, rows, count);
	a->created = false;
	for (unsigned i = 0; i < count; i++) {
		struct head_row *r = &rows[i];
		if (UNLIKELY(r->t_ms > t_max || r->t_ms < t_min)) {
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
		struct series *s = head_at(h, r->slot);
		/*
		 * A guess that led elsewhere would put an acknowledged row where nobody finds it.
		 */
		CHECK((s->flags & (SERIES_USED | SERIES_UNDEFINED | SERIES_SHADOWED)) == SERIES_USED);
		enum series_put put = !extras || !r->flags
		    ? series_put(s, h->mem, &h->stats, r->t_ms, r->v)
		    : extra_put(a, s, r);
		stored++;
		hists += extras && r->flags && r->extra->hist;
		span.max_ms = r->t_ms > span.max_ms ? r->t_ms : span.max_ms;
		span.min_ms = r->t_ms < span.min_ms ? r->t_ms : span.min_ms;
		if (UNLIKELY(put != SERIES_PUT_NEW)) {
			dup += put == SERIES_PUT_SAME;
			over += put == SERIES_PUT_OVER;
			late += put == SERIES_PUT_LATE;
			if (put == SERIES_PUT_SAME) {
				if (extras && r->flags && extra_cost(a, r))
					count = i + 1;
				continue;
			}
		}
		in->ids[a->logged] = s->id;
		in->t_ms[a->logged] = r->t_ms;
		if (!extras || !r->flags) {
			in->v[a->logged++] = r->v;
			continue;
		}
		a->logged++;
		if (extra_cost(a, r))
			count = i + 1;
	}
	shard_span_add(&a->span, span);
	changed_add(a, rows, count, span, (struct shard_span){ t_min, t_max });
	a->sl->verdict.stored += stored;
	a->sl->verdict.dup += dup;
	a->sl->verdict.over += over;
	a->sl->verdict.late += late;
	a->sl->verdict.hists += hists;
	verdict_count(stored, dup, over, late);
	rows_log(a);
	frame_split(a);
	if (!a->created)
		return count;
	/* New ones take their places in the chain. */
	for (unsigned i = 0; i < count; i++) {
		if (rows[i].slot == SERIES_NONE)
			continue;
		head_follow(h, before, rows[i].slot);
		before = rows[i].slot;
	}
	h->last = before;
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
	uint32_t slot = head_find(&a->shard->head, r->fp, a->sl->tenant, raw);
	if (LIKELY(slot != SERIES_NONE))
		return slot;
	if (a->sl->canonical || !odd_find(a, r))
		exemplar_refuse(a, r, M_EXEMPLARS_UNKNOWN, APPLY_EXEMPLAR_UNKNOWN);
	return SERIES_NONE;
}

/* To memory, and to the frame. */
static void exemplar_keep(struct apply *a, const struct series *s, const struct head_row *r)
{
	struct head *h = &a->shard->head;
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
	group_open(a);
	buf_clear(list);
	exemplar_put(list, &e);
	walrec_exemplars(&a->w, s->id, list->data, list->len);
	buf_clear(list);
	frame_split(a);
}

static void exemplar_apply(struct apply *a, struct head_row *r, int64_t t_min, bool room)
{
	if (r->t_ms < t_min || r->t_ms < 1 || r->t_ms > a->sl->judge.t_max_ms) {
		exemplar_refuse(a, r, M_EXEMPLARS_TIME, "exemplar out of bounds");
		return;
	}
	r->slot = exemplar_slot(a, r);
	if (r->slot == SERIES_NONE)
		return;
	if (room)
		exemplar_keep(a, head_at(&a->shard->head, r->slot), r);
	else
		metric_add(M_EXEMPLARS_NO_ROOM, 1);
}

/* Until the time is over: how many were done. */
static unsigned exemplars_apply(struct apply *a, struct head_row *rows, unsigned count)
{
	const int64_t t_min = oldest_of(a);
	bool room = share_fill(a->sh) == SHARE_HAS_ROOM;
	unsigned i = 0;
	while (i < count) {
		exemplar_apply(a, &rows[i], t_min, room);
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
	bool old = r->t_ms < oldest_of(a);
	char text[SHARD_WHY_BYTES] = "";
	if (r->t_ms >= judge.t_min_ms && old) { /* its tenant keeps samples for so long only */
		judge.t_min_ms = oldest_of(a);
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
		    a->shard->index, UINT32_MAX);
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

static uint32_t create(struct apply *a, struct head_row *r, struct labels ls)
{
	struct share *sh = a->sh;
	struct shard *shard = a->shard;
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
	frame_split(a);
	group_open(a);
	walrec_def(&a->w, id, a->sl->tenant, ls.bytes, ls.len);
	sh->series[sh->index]++;
	metric_add(M_SERIES_CREATED, 1);
	metric_gauge_add(M_SERIES_ACTIVE, 1);
	a->created = true;
	a->may_return |= shard->inactive || shard->lost_count || shard_catalog_is_behind(shard);
	return slot;
}

static void odd_add(struct apply *a, const struct head_row *r, struct labels ls, struct hash128 fp)
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
}

/*
 * Slot of a series that no table knows: made here, or SERIES_NONE when the row is refused, odd, or
 * too much for now.
 */
static uint32_t unknown(struct apply *a, struct head_row *r)
{
	struct labels raw = { .bytes = r->labels, .len = r->labels_len }, ls;
	if (a->created) { /* perhaps by an earlier row of this sub-batch */
		uint32_t slot = head_find(&a->shard->head, r->fp, a->sl->tenant, raw);
		if (slot != SERIES_NONE)
			return slot;
	}
	if (a->sl->canonical)
		return create(a, r, raw);
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
		return create(a, r, raw);
	fp = label_fingerprint(ls, a->sl->tenant, a->shard->seed);
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
		fp = label_fingerprint(ls, a->sl->tenant, a->shard->seed);
	}
	odd_add(a, r, ls, fp);
	return true;
}
