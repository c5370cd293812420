#include "storage/apply.h"
#include "core/base/clock.h"
#include "core/base/metric.h"
#include "core/base/num.h"
#include "core/base/rune.h"
#include "storage/alias.h"
#include "storage/keeper.h"
#include "storage/store_priv.h"

#include <stdio.h>

/* Times as other units would have them: 1973 to 2128 in seconds, from 1973 on in the others. */
#define SECONDS_MIN INT64_C(100000000)
#define SECONDS_MAX INT64_C(5000000000)
#define MICROS_MIN  INT64_C(100000000000000)
#define NANOS_MIN   INT64_C(100000000000000000)

struct apply {
	struct share *sh;
	struct slice *sl;
	struct apply_odds *odds;
	struct shard *shard;
	struct walog_frame *frame; /* NULL = none open */
	struct walrec_writer w;
	bool group;             /* one of this shard is open in the frame */
	bool created;           /* series, in this sub-batch */
	bool busy;              /* new series came too fast */
	unsigned logged;        /* rows in sh->ids, t_ms, v */
	struct shard_span span; /* of the rows of this shard */
	int64_t t_newest_ms;    /* of all rows so far */
};

/* Senders that count in other units are the usual reason for times far away. */
static const char *wrong_unit(int64_t t_ms)
{
	if (t_ms > SECONDS_MIN && t_ms < SECONDS_MAX)
		return "; it looks like seconds, milliseconds are wanted";
	if (t_ms > NANOS_MIN)
		return "; it looks like nanoseconds, milliseconds are wanted";
	return t_ms > MICROS_MIN ? "; it looks like microseconds, milliseconds are wanted" : "";
}

static void time_detail(const struct apply *a, int64_t t_ms, char *out, size_t size)
{
	const struct shard_judge *j = &a->sl->judge;
	const struct store_opts *o = &a->sh->store->opts;
	bool old = t_ms < j->t_min_ms;
	char is[NUM_FMT_MAX + 1], most[NUM_FMT_MAX + 1], x[NUM_FMT_MAX + 1], y[NUM_FMT_MAX + 1];
	is[num_fmt_time(t_ms, is)] = 0;
	most[num_fmt_time(old ? j->t_min_ms : j->t_max_ms, most)] = 0;
	x[num_fmt_duration(old ? o->ooo_window_ms : o->future_ms, x)] = 0;
	y[num_fmt_duration(o->retention_ms, y)] = 0;
	if (old)
		rune_printf(out, size,
		    "sample of %s, oldest accepted %s (--out-of-order-window %s, --retention %s)%s",
		    is, most, x, y, wrong_unit(t_ms));
	else
		rune_printf(out, size, "sample of %s, latest accepted %s (%s ahead of this server)%s",
		    is, most, x, wrong_unit(t_ms));
}

/* Only the first row of a request is ever shown. */
static void __attribute__((noinline)) refuse_time(struct apply *a, const struct head_row *r)
{
	bool old = r->t_ms < a->sl->judge.t_min_ms;
	char detail[sizeof(a->sl->verdict.first_text)] = "";
	metric_add(old ? M_REFUSED_TOO_OLD : M_REFUSED_OUT_OF_BOUNDS, 1);
	if (r->row < a->sl->verdict.first_row)
		time_detail(a, r->t_ms, detail, sizeof(detail));
	shard_verdict_refuse(
	    &a->sl->verdict, r->row, old ? SINK_TOO_OLD : SINK_OUT_OF_BOUNDS, detail);
}

static void sub_apply(struct apply *a, struct head_row *rows, unsigned count);
static uint32_t unknown(struct apply *a, struct head_row *r);

/* ---- frames ---- */

static void group_open(struct apply *a)
{
	if (!a->frame) {
		a->frame = walog_frame(a->sh->log);
		walrec_begin(&a->w, &a->frame->payload);
	}
	if (a->group)
		return;
	walrec_group(&a->w, a->shard->index, ++a->shard->number);
	if (a->sl->batch->own)
		walrec_own(&a->w);
	a->group = true;
}

static void rows_log(struct apply *a)
{
	if (!a->logged)
		return;
	group_open(a);
	walrec_rows(&a->w, a->logged, a->sh->ids, a->sh->t_ms, a->sh->v);
	a->logged = 0;
}

static void frame_close(struct apply *a)
{
	if (!a->frame)
		return;
	walrec_end(&a->w);
	walog_submit(a->sh->log, a->frame);
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

static void tokens_fill(struct share *sh)
{
	uint64_t rate = sh->store->opts.new_series_per_s;
	if (rate == UINT64_MAX)
		return;
	uint64_t now = loop_now_ns(sh->loop), max = rate * SHARE_BURST_S * 1000;
	uint64_t ms = (now - sh->tokens_ns) / 1000000u;
	sh->tokens_ns += ms * 1000000u;
	if (ms > SHARE_BURST_S * 1000u)
		ms = SHARE_BURST_S * 1000u;
	sh->tokens += ms * rate;
	if (sh->tokens > max)
		sh->tokens = max;
}

static void verdict_count(const struct shard_verdict *v)
{
	metric_add(M_SAMPLES_STORED, v->stored);
	if (v->dup)
		metric_add(M_SAMPLES_DUPLICATE, v->dup);
	if (v->over)
		metric_add(M_SAMPLES_OVERWRITTEN, v->over);
	if (v->late)
		metric_add(M_SAMPLES_LATE, v->late);
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
	bool doubt = clockwatch_look(sh->store->clock, now) == CLOCKWATCH_DOUBT;
	if ((own || doubt) && t_ms != INT64_MIN) {
		int64_t trusted = clockwatch_trusted_ms(sh->store->clock, now);
		t_ms = newest_bounded(
		    t_ms, own ? trusted : num_sat_add(trusted, sh->store->opts.future_ms));
	}
	if (!newest_tell(&sh->newest, a->sl->tenant, own, t_ms, loop_now_ns(sh->loop)))
		return;
	group_open(a);
	walrec_newest(&a->w, a->sl->tenant, own, t_ms);
}

void apply_slice(struct share *sh, struct slice *sl, struct apply_odds *odds)
{
	struct apply a = { .sh = sh, .sl = sl, .odds = odds, .t_newest_ms = INT64_MIN };
	loop_check_here(sh->loop);
	shard_verdict_init(&sl->verdict);
	tokens_fill(sh);
	sh->series[sh->index] = 0;
	for (unsigned k = 0; k < sh->shards_count; k++)
		sh->series[sh->index] += sh->shards[k]->head.series_count;
	uint32_t at = 0;
	for (unsigned k = 0; k < sh->shards_count; k++) {
		uint32_t end = sl->ends[k], begin = at;
		if (at == end)
			continue;
		a.shard = sh->shards[k];
		a.group = false;
		a.span = SHARD_SPAN_NONE;
		for (; at < end; at += HEAD_SUB) {
			unsigned n = end - at < HEAD_SUB ? end - at : HEAD_SUB;
			sub_apply(&a, sl->rows + at, n);
		}
		at = end;
		a.shard->rows_since_round += end - begin;
		if (a.span.max_ms > a.shard->t_newest_ms)
			a.shard->t_newest_ms = a.span.max_ms;
		if (a.span.max_ms > a.t_newest_ms)
			a.t_newest_ms = a.span.max_ms;
		if (!sl->batch->own)
			shard_span_add(&a.shard->span, a.span);
		a.shard->newest_put_ns = loop_now_ns(sh->loop);
	}
	CHECK(at == sl->rows_count);
	newest_raise(&a);
	frame_close(&a);
	if (sl->verdict.stored)
		sl->position =
		    walog_handed(sh->log); /* duplicates wait for all that was handed over, (3) */
	if (a.busy) {
		sl->err = ERR_BUSY;
		sl->retry_after_s = 1;
		metric_add(M_SERIES_TOO_FAST, 1);
	}
	verdict_count(&sl->verdict);
}

static void sub_apply(struct apply *a, struct head_row *rows, unsigned count)
{
	struct head *h = &a->shard->head;
	struct share *sh = a->sh;
	const int64_t t_min = a->sl->judge.t_min_ms, t_max = a->sl->judge.t_max_ms;
	uint32_t before = h->last;
	uint64_t dup = 0, over = 0, late = 0, stored = 0;
	struct shard_span span = a->span;
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
			if (r->slot == SERIES_NONE)
				continue;
		}
		struct series *s = head_at(h, r->slot);
		/*
		 * A guess that led elsewhere would put an acknowledged row where nobody finds it.
		 */
		CHECK((s->flags & (SERIES_USED | SERIES_UNDEFINED | SERIES_SHADOWED)) == SERIES_USED);
		enum series_put put = series_put(s, h->mem, &h->stats, r->t_ms, r->v);
		stored++;
		span.max_ms = r->t_ms > span.max_ms ? r->t_ms : span.max_ms;
		span.min_ms = r->t_ms < span.min_ms ? r->t_ms : span.min_ms;
		if (UNLIKELY(put != SERIES_PUT_NEW)) {
			dup += put == SERIES_PUT_SAME;
			over += put == SERIES_PUT_OVER;
			late += put == SERIES_PUT_LATE;
			if (put == SERIES_PUT_SAME)
				continue;
		}
		sh->ids[a->logged] = s->id;
		sh->t_ms[a->logged] = r->t_ms;
		sh->v[a->logged++] = r->v;
	}
	a->span = span;
	a->sl->verdict.stored += stored;
	a->sl->verdict.dup += dup;
	a->sl->verdict.over += over;
	a->sl->verdict.late += late;
	rows_log(a);
	frame_split(a);
	if (!a->created)
		return;
	/* New ones take their places in the chain. */
	for (unsigned i = 0; i < count; i++) {
		if (rows[i].slot == SERIES_NONE)
			continue;
		head_follow(h, before, rows[i].slot);
		before = rows[i].slot;
	}
	h->last = before;
}

/* ---- unknown series ---- */

static uint32_t refuse(
    struct apply *a, const struct head_row *r, enum sink_reason reason, const char *detail)
{
	static const enum metric_id counts[SINK_REASONS] = { [SINK_BAD_LABELS] = M_REFUSED_BAD_LABELS,
		[SINK_LABEL_LIMIT] = M_REFUSED_LABEL_LIMIT,
		[SINK_SERIES_LIMIT] = M_REFUSED_SERIES_LIMIT };
	metric_add(counts[reason], 1);
	shard_verdict_refuse(&a->sl->verdict, r->row, reason, detail);
	return SERIES_NONE;
}

static uint32_t refuse_series(struct apply *a, const struct head_row *r, uint64_t all)
{
	uint64_t max = a->sh->store->opts.series_max, bytes = a->sh->store->head_bytes_max;
	char detail[200];
	if (all >= max)
		snprintf(detail, sizeof(detail),
		    "%llu series are in memory, limit %llu (--limits.series-total)",
		    (unsigned long long)all, (unsigned long long)max);
	else
		snprintf(detail, sizeof(detail),
		    "series of this loop take %llu MiB, their part of the memory budget is %llu MiB",
		    (unsigned long long)(slab_bytes(a->sh->mem) >> 20),
		    (unsigned long long)(bytes >> 20));
	return refuse(a, r, SINK_SERIES_LIMIT, detail);
}

static uint32_t create(struct apply *a, struct head_row *r, struct labels ls)
{
	struct share *sh = a->sh;
	struct shard *shard = a->shard;
	const struct store_opts *o = &sh->store->opts;
	uint64_t all = 0;
	for (unsigned i = 0; i < sh->store->loops; i++)
		all += sh->series[i];
	if (all >= o->series_max || shard->next_id == UINT32_MAX ||
	    slab_bytes(sh->mem) > sh->store->head_bytes_max)
		return refuse_series(a, r, all);
	if (o->new_series_per_s != UINT64_MAX) {
		if (sh->tokens < 1000) {
			a->busy = true;
			return SERIES_NONE;
		}
		sh->tokens -= 1000;
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
	a->sl->created++;
	return slot;
}

static void odd_add(struct apply *a, const struct head_row *r, struct labels ls, struct hash128 fp)
{
	struct apply_odds *o = a->odds;
	if (o->count == o->cap) {
		uint32_t cap = o->cap ? o->cap * 2 : 64;
		struct apply_odd *rows = arena_array(&a->sh->scratch, cap, sizeof *rows);
		if (o->count)
			memcpy(rows, o->rows, o->count * sizeof *rows);
		o->rows = rows;
		o->cap = cap;
	}
	struct apply_odd *odd = &o->rows[o->count++];
	odd->row = *r;
	odd->row.labels = arena_dup(&a->sh->scratch, ls.bytes, ls.len);
	odd->row.labels_len = ls.len;
	odd->row.fp = fp.lo;
	odd->shard = store_shard_of(a->sh->store, fp);
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
	if (alias_find(a->sh->alias, r->fp, a->sl->tenant, raw, &ls, &fp)) {
		odd_add(a, r, ls, fp);
		return SERIES_NONE;
	}
	struct errbuf eb;
	errbuf_init(&eb);
	enum err e = label_canonicalize(&a->sh->scratch, raw, &a->sh->store->opts.labels, &ls, &eb);
	if (e)
		return refuse(a, r, e == ERR_TOOBIG ? SINK_LABEL_LIMIT : SINK_BAD_LABELS, eb.text);
	if (label_equal(ls, raw))
		return create(a, r, raw);
	fp = label_fingerprint(ls, a->sl->tenant, a->shard->seed);
	alias_add(a->sh->alias, r->fp, a->sl->tenant, raw, ls, fp);
	odd_add(a, r, ls, fp);
	return SERIES_NONE;
}

/* ---- recovery ---- */

/* hot lines fetched so many slots ahead: ids that follow one another mostly have slots that do */
#define REPLAY_LINES 24u
#define REPLAY_TAILS 8u /* ... and tails */

static uint32_t replay_slot(struct shard *sh, uint32_t id)
{
	uint32_t slot = head_slot_by_id(&sh->head, id);
	if (UNLIKELY(slot == SERIES_NONE)) {
		slot = head_create_undefined(&sh->head, id);
		if (id >= sh->next_id && id < UINT32_MAX)
			sh->next_id = id + 1;
	}
	return slot;
}

/* What the rows of the next slots will touch. */
static inline void replay_fetch(const struct head *h, uint32_t slot)
{
	if (LIKELY(slot + REPLAY_LINES < h->slots_count))
		__builtin_prefetch(head_at(h, slot + REPLAY_LINES), 1);
	if (LIKELY(slot + REPLAY_TAILS < h->slots_count)) {
		const struct series *s = head_at(h, slot + REPLAY_TAILS);
		__builtin_prefetch(s->tail + (size_t)s->tail_count * SERIES_ROW, 1);
	}
}

static void replay_rows(struct shard *sh, const struct walrec_record *rec, bool own)
{
	struct head *h = &sh->head;
	struct shard_span span = SHARD_SPAN_NONE;
	if (!rec->count)
		return;
	uint32_t slot = replay_slot(sh, rec->ids[0]);
	for (size_t i = 0; i < rec->count; i++) {
		uint32_t id = rec->ids[i];
		struct series *s = head_at(h, slot);
		if (s->id != id) {
			uint32_t next = slot + 1;
			if (UNLIKELY(next >= h->slots_count || head_at(h, next)->id != id ||
			        !(head_at(h, next)->flags & SERIES_USED)))
				next = replay_slot(sh, id);
			slot = next;
			s = head_at(h, slot);
			replay_fetch(h, slot);
		}
		series_put(s, h->mem, &h->stats, rec->t_ms[i], rec->v[i]);
		span.max_ms = rec->t_ms[i] > span.max_ms ? rec->t_ms[i] : span.max_ms;
		span.min_ms = rec->t_ms[i] < span.min_ms ? rec->t_ms[i] : span.min_ms;
	}
	if (span.max_ms > sh->t_newest_ms)
		sh->t_newest_ms = span.max_ms;
	if (!own)
		shard_span_add(&sh->span, span);
	sh->rows_since_round += rec->count;
}

/*
 * The series of an id gets its labels; it is made when it is not there. Of two ids with the same
 * labels the higher one goes on.
 */
void apply_define(struct shard *sh, uint32_t id, uint32_t tenant, struct labels ls)
{
	struct head *h = &sh->head;
	uint64_t fp = label_fingerprint(ls, tenant, sh->seed).lo;
	uint32_t slot = head_slot_by_id(h, id), other = head_find(h, fp, tenant, ls);
	if (other != SERIES_NONE && head_at(h, other)->id < id)
		head_shadow(h, other, fp);
	if (slot == SERIES_NONE)
		slot = head_create(h, fp, tenant, id, ls);
	else
		head_define(h, slot, fp, tenant, ls);
	if (other != SERIES_NONE && head_at(h, other)->id > id)
		head_shadow(h, slot, fp);
}

static void replay_def(struct shard *sh, const struct walrec_record *rec)
{
	struct labels ls = { .bytes = rec->bytes, .len = (uint32_t)rec->bytes_len };
	uint32_t slot = head_slot_by_id(&sh->head, rec->id);
	if (slot == SERIES_NONE || head_at(&sh->head, slot)->flags & SERIES_UNDEFINED)
		apply_define(sh, rec->id, rec->tenant, ls);
	if (rec->id >= sh->next_id && rec->id < UINT32_MAX)
		sh->next_id = rec->id + 1;
}

enum err apply_replay(struct shard *sh, const struct walrec_group *g, struct walrec_reader *r)
{
	struct walrec_record rec;
	struct newest *newest = &sh->share->newest;
	bool done = g->number <= sh->number, own = false;
	walrec_reader_open(r, g);
	while (walrec_next(r, &rec)) {
		if (rec.tag == WALREC_DEF)
			replay_def(sh, &rec);
		else if (rec.tag == WALREC_ROWS && !done)
			replay_rows(sh, &rec, own);
		else if (rec.tag == WALREC_META)
			keeper_replay(sh->store->keeper, g->number, &rec.meta);
		else if (rec.tag == WALREC_OWN)
			own = true;
		else if (rec.tag == WALREC_NEWEST)
			(void)newest_tell(newest, rec.tenant, rec.own, rec.newest_ms, 0);
		else if (rec.tag ==
		    WALREC_TOMB) /* a later version's: its deletion must not be passed over */
			return ERR_UNSUPPORTED;
	}
	if (!r->err && !done)
		sh->number = g->number;
	/* Rows of before newest times were kept: what they say is the best there is. */
	if (g->version == WALREC_VERSION_NO_NEWEST)
		(void)newest_tell(newest, 0, false, sh->span.max_ms, 0);
	return r->err;
}
