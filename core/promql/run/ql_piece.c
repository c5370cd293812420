#include "core/promql/run/ql_piece.h"

#include "core/account/ticket.h"
#include "core/base/metric.h"
#include "core/rt/job.h"

#include <string.h>

#define SCAN_MAGIC         0x5cab51e5u
#define SCAN_YIELD_SAMPLES 1024
#define SCAN_YIELD_SERIES  16
#define QL_TICK_WORK       4096  /* samples of windows between looks at the clock */
#define SCAN_TOUCH_SAMPLES 2048u /* between words to the ticket */
#define BATCH_FIRST_BLOCK  (16u << 10)
#define SCAN_COPY          8192 /* steps or samples copied between looks at the clock */

/* Where the series at hand is. Each part may take more than a slice. */
enum scan_part {
	SCAN_WINDOWS,
	SCAN_NOTES,
	SCAN_ELEMS,
	SCAN_TAKE,
	SCAN_HISTS /* the copy of the column is done but for its histograms */
};
enum scan_state {
	SCAN_OPEN,
	SCAN_READ,
	SCAN_FLUSH,
	SCAN_HOME,
	SCAN_OVER
};
struct ql_scan {
	uint32_t magic;
	enum scan_state state;
	struct ql_piece *piece;
	struct loop *loop, *home;
	unsigned shard;
	struct job job;
	struct loop_deferred defer;
	struct mbox_msg start, cancel, end, heavy;
	struct ql_scan *next_held;   /* home: of the piece's held ones */
	bool held;                   /* until home says that the query is admitted as a heavy one */
	bool heavy_away, heavy_told; /* the message is not here; it was sent once */
	bool estimated;              /* the ticket was told what is known before reading */
	uint64_t touched;            /* samples that the ticket does not know of yet */
	struct scan_credit {
		struct mbox_msg msg;
		struct ql_scan *scan;
		bool away;
	} credits[QL_PIECE_CREDITS];
	unsigned credits_home;
	bool canceled;
	struct source_query query;
	struct source_cursor *cursor;
	struct ql_range range;
	struct ql_budget budget;
	uint64_t col_bytes;      /* charged for col */
	struct ql_col col;       /* of the series at hand; its memory is used again */
	struct source_item item; /* the same, good until the next one is asked for */
	enum scan_part part;
	bool again;     /* the item at hand is not done yet */
	uint32_t step;  /* what its part has behind it: steps, or samples */
	int64_t *raw_t; /* QL_PIECE_RAW: where its samples go, so many are there */
	double *raw_v;
	uint32_t raw_count;
	struct ql_elem_at elem_at;
	struct ql_batch *batch;               /* being filled */
	uint64_t cursor_memory;               /* charged */
	uint64_t since_work;                  /* windows and steps */
	unsigned since_samples, since_series; /* since job_should_yield was asked */
	enum err err;
	struct errbuf eb;
};

static enum job_state scan_run(struct job *j);

/* --- batches --- */

static struct ql_batch *batch_create(struct ql_scan *s)
{
	const struct ql_piece_spec *spec = s->piece->spec;
	struct ql_batch *b = mem_zalloc(sizeof(*b));

	b->scan = s;
	arena_init(&b->arena, BATCH_FIRST_BLOCK);
	arena_purse(&b->arena, spec->bytes);
	ql_notes_init(&b->notes, &b->arena);
	if (spec->has_aggr)
		ql_aggr_init(&b->aggr, spec->aggr_op, spec->aggr_names, spec->aggr_without,
		    spec->range.grid.n, &b->arena);
	s->budget.points = 0;
	return b;
}

void ql_batch_free(struct ql_batch *b)
{
	if (!b)
		return;
	ql_aggr_release(&b->aggr);
	arena_release(&b->arena);
	mem_free(b);
}

static size_t batch_bytes(const struct ql_batch *b, uint32_t n)
{
	size_t per = ((size_t)ql_words(n) + n) * 8 + sizeof(struct ql_col), sum = sizeof(*b);

	for (uint32_t i = 0; i < b->vec.count; i++)
		sum += per + b->vec.cols[i].ls.len;
	for (size_t i = 0; i < b->raw_count; i++)
		sum += b->raw[i].count * 16 + b->raw[i].labels.len;
	sum += b->hist_bytes;
	return sum + ql_aggr_bytes(&b->aggr);
}

static void piece_batch(struct mbox_msg *msg);

/* Sends what there is; a credit must be home. */
static void scan_send(struct ql_scan *s, bool last)
{
	struct ql_batch *b = s->batch;
	unsigned slot = 0;

	while (s->credits[slot].away)
		slot++;
	s->credits[slot].away = true;
	s->credits_home--;
	b->slot = slot;
	b->last = last;
	b->points = s->budget.points;
	if (last && s->err) {
		b->err = s->err;
		b->err_text = arena_strndup(&b->arena, s->eb.text, strlen(s->eb.text));
	}
	if (s->loop != s->home)
		metric_add(M_QUERY_MOVED_BYTES, batch_bytes(b, s->piece->spec->range.grid.n));
	s->batch = NULL;
	b->msg.fn = piece_batch;
	loop_send(s->home, &b->msg);
}

static bool batch_full(const struct ql_scan *s)
{
	return s->batch && !s->piece->spec->has_aggr &&
	    arena_used(&s->batch->arena) >= QL_BATCH_BYTES;
}

/* --- one series --- */

static bool scan_window_yield(void *arg, uint64_t work)
{
	struct ql_scan *s = arg;

	s->since_work += work;
	if (s->since_work < QL_TICK_WORK)
		return false;
	s->since_work = 0;
	return job_should_yield();
}

static bool scan_base(struct ql_scan *s, const struct sample_column *c, struct ql_col *col)
{
	const struct ql_piece_spec *spec = s->piece->spec;
	bool any = false;

	switch (spec->mode) {
	case QL_PIECE_INSTANT:
	case QL_PIECE_TIME:
		s->err = ql_instant_run(&s->range, spec->mode == QL_PIECE_TIME, c, col, &any, &s->eb);
		break;
	case QL_PIECE_SMOOTH:
		s->err = ql_smooth_run(&s->range, c, col, &any, &s->eb);
		break;
	case QL_PIECE_RANGE:
		s->err = ql_range_run(&s->range, c, col, &any, &s->eb);
		break;
	case QL_PIECE_RAW:
		break;
	}
	if (s->range.again || s->err)
		return false;
	s->batch->samples_used += s->range.samples_in_windows;
	s->batch->samples_read += s->range.samples_read;
	return any;
}

/* Parts of a series return true when the slice is over. */

static bool scan_notes(struct ql_scan *s, const struct source_item *item)
{
	const struct ql_piece_spec *spec = s->piece->spec;
	const struct ql_scalar *q = &spec->range.param[0];
	uint32_t n = spec->range.grid.n;

	if (spec->mode != QL_PIECE_RANGE)
		return false;
	if (spec->range.fn == QL_FN_RATE || spec->range.fn == QL_FN_INCREASE)
		ql_notes_counter(&s->batch->notes, spec->pos, item->labels);
	if (spec->range.fn != QL_FN_QUANTILE_OVER_TIME)
		return false;
	while (s->step < n) {
		uint32_t k = n - s->step;
		if (q->kind != QL_SAME && k > QL_NOTES_PART)
			k = QL_NOTES_PART;
		ql_notes_quantiles(&s->batch->notes, spec->param_pos, q, s->col.has, s->step, k);
		s->step += k;
		if (s->step < n && scan_window_yield(s, 8 * (uint64_t)k))
			return true;
	}
	s->step = 0;
	return false;
}

static bool scan_elems(struct ql_scan *s)
{
	const struct ql_piece_spec *spec = s->piece->spec;
	uint64_t work;

	while ((work = ql_elem_next(
	            spec->elems, spec->elems_count, &spec->range.grid, &s->col, &s->elem_at)))
		if (scan_window_yield(s, work))
			return true;
	return false;
}

static struct labels scan_labels(struct ql_scan *s, struct labels ls, struct arena *a)
{
	const struct ql_piece_spec *spec = s->piece->spec;
	struct labels out = ls;
	unsigned dropped = 0;

	if (ql_names_go_now(spec->names))
		out = ql_labels_drop(a, ls, &dropped);
	s->batch->may_collide |= dropped > (spec->names == QL_NAMES_DROP_ONE);
	if (out.bytes == ls.bytes && out.len)
		out.bytes = arena_dup(a, ls.bytes, ls.len);
	return out;
}

static enum err keep_begin(struct ql_scan *s, const struct source_item *item)
{
	const struct ql_piece_spec *spec = s->piece->spec;
	struct arena *a = &s->batch->arena;
	uint32_t n = spec->range.grid.n;
	size_t words = ql_words(n);
	enum err e = ql_charge(&s->budget, n, &s->eb);

	if (e)
		return e;
	struct ql_col *col = ql_vec_add(a, &s->batch->vec);
	uint64_t *mem = arena_alloc(a, (words + n) * 8);
	struct labels ls = scan_labels(s, item->labels, a);
	*col = (struct ql_col){
		.ls = ls,
		.hash = label_hash(ls),
		.has = mem,
		.v = (double *)(mem + words),
		.drop_name = spec->names == QL_NAMES_DROP_LATE,
	};
	if (UNLIKELY(s->col.hists != NULL) && !(e = ql_charge(&s->budget, n, &s->eb)))
		ql_col_hists(a, col, n);
	return e;
}

/* Histograms of the column, into the batch's last one. */
static bool scan_keep_hists(struct ql_scan *s)
{
	uint32_t n = s->piece->spec->range.grid.n;
	struct ql_batch *b = s->batch;
	struct ql_col *col = &b->vec.cols[b->vec.count - 1];

	s->part = SCAN_HISTS;
	do {
		uint64_t work;
		s->err = ql_hists_copy(
		    &s->budget, &b->arena, col->hists, s->col.hists, n, &s->step, &work, &s->eb);
		b->hist_bytes += work * 8;
		if (!s->err && s->step < n && scan_window_yield(s, work))
			return true;
	} while (!s->err && s->step < n);
	s->step = 0;
	return false;
}

/* A copy of the column goes into the batch. */
static bool scan_keep(struct ql_scan *s, const struct source_item *item)
{
	uint32_t n = s->piece->spec->range.grid.n;

	if (s->part == SCAN_HISTS)
		return scan_keep_hists(s);
	if (!s->step && (s->err = keep_begin(s, item)))
		return false;
	struct ql_col *col = &s->batch->vec.cols[s->batch->vec.count - 1];
	for (;;) {
		uint32_t from = s->step, k = n - from < SCAN_COPY ? n - from : SCAN_COPY;
		memcpy(col->has + from / 64, s->col.has + from / 64, ql_words(k) * 8);
		memcpy(col->v + from, s->col.v + from, (size_t)k * 8);
		s->step = from + k < n ? from + k : 0;
		if (!s->step)
			return UNLIKELY(s->col.hists != NULL) && scan_keep_hists(s);
		if (scan_window_yield(s, k))
			return true;
	}
}

static bool scan_add(struct ql_scan *s, const struct source_item *item)
{
	bool more = true;

	s->col.ls = item->labels;
	for (;;) {
		s->err = ql_aggr_add(&s->batch->aggr, &s->col, &more, &s->budget, &s->eb);
		if (s->err || !more)
			return false;
		if (scan_window_yield(s, QL_AGGR_PART))
			return true;
	}
}

static enum err raw_begin(struct ql_scan *s, const struct source_item *item)
{
	uint32_t count = item->col.count;
	struct ql_batch *b = s->batch;
	enum err e = ql_charge(&s->budget, count, &s->eb);

	if (e)
		return e;
	if (b->raw_count == b->raw_cap) {
		size_t cap = b->raw_cap ? b->raw_cap * 2 : 16;
		struct ql_series *raw = arena_array(&b->arena, cap, sizeof(*raw));
		if (b->raw_count)
			memcpy(raw, b->raw, b->raw_count * sizeof(*raw));
		b->raw = raw;
		b->raw_cap = cap;
	}
	s->raw_t = arena_array(&b->arena, count, sizeof(*s->raw_t));
	s->raw_v = arena_array(&b->arena, count, sizeof(*s->raw_v));
	s->raw_count = 0;
	return ERR_OK;
}

static void raw_end(struct ql_scan *s, const struct source_item *item)
{
	struct ql_batch *b = s->batch;
	struct labels ls = item->labels;

	b->samples_used += s->raw_count;
	b->samples_read += s->raw_count;
	if (!s->raw_count)
		return;
	if (ls.len)
		ls.bytes = arena_dup(&b->arena, ls.bytes, ls.len);
	b->raw[b->raw_count++] =
	    (struct ql_series){ .labels = ls, .count = s->raw_count, .t_ms = s->raw_t, .v = s->raw_v };
}

/* A range selector as the result: the samples themselves, without markers and histograms. */
static bool scan_raw(struct ql_scan *s, const struct source_item *item)
{
	const struct sample_column *c = &item->col;

	if (!s->step && (s->err = raw_begin(s, item)))
		return false;
	while (s->step < c->count) {
		uint32_t n = s->raw_count, left = c->count - s->step;
		uint32_t end = s->step + (left < SCAN_COPY ? left : SCAN_COPY);
		for (uint32_t i = s->step; i < end; i++) {
			s->raw_t[n] = c->t_ms[i];
			s->raw_v[n] = c->v[i];
			n += !sample_is_no_float(c->v[i]);
		}
		s->raw_count = n;
		s->step = end;
		if (end < c->count && scan_window_yield(s, left < SCAN_COPY ? left : SCAN_COPY))
			return true;
	}
	s->step = 0;
	raw_end(s, item);
	return false;
}

/* The item at hand goes into the batch, one part after another. */
static bool scan_parts(struct ql_scan *s, const struct source_item *item)
{
	const struct ql_piece_spec *spec = s->piece->spec;

	if (spec->mode == QL_PIECE_RAW)
		return scan_raw(s, item);
	if (s->part == SCAN_WINDOWS) {
		if (!scan_base(s, &item->col, &s->col))
			return s->range.again;
		s->part = SCAN_NOTES;
	}
	if (s->part == SCAN_NOTES) {
		if (scan_notes(s, item))
			return true;
		s->part = SCAN_ELEMS;
	}
	if (s->part == SCAN_ELEMS) {
		if (scan_elems(s))
			return true;
		s->part = SCAN_TAKE;
		if (spec->elems_count && !ql_col_any(&s->col, spec->range.grid.n))
			return false;
	}
	return spec->has_aggr ? scan_add(s, item) : scan_keep(s, item);
}

static enum err scan_value(struct ql_scan *s, const struct source_item *item)
{
	s->again = scan_parts(s, item) && !s->err;
	if (!s->again) {
		s->part = SCAN_WINDOWS;
		s->col.hists = NULL;
	}
	return s->err;
}

/* Native histograms are samples of which a float column knows nothing: the answer says so. */
static void note_histograms(struct ql_scan *s)
{
	ql_notes_add(&s->batch->notes, true, s->piece->spec->pos, QL_NOTE_HISTOGRAMS);
}

static enum err scan_series(struct ql_scan *s, const struct source_item *item)
{
	if (!s->batch)
		s->batch = batch_create(s);
	if (UNLIKELY(item->col.h != NULL))
		note_histograms(s);
	s->batch->samples += item->col.count;
	s->batch->series++;
	s->since_samples += item->col.count;
	s->since_work += s->piece->spec->range.grid.n;
	s->since_series++;
	return scan_value(s, item);
}

/* --- the scan as a job --- */

/* The series may leave the source while its parts wait; its column is the cursor's. */
static void scan_hold(struct ql_scan *s)
{
	struct labels *ls = &s->item.labels;
	if (ls->len)
		ls->bytes = arena_dup(&s->batch->arena, ls->bytes, ls->len);
}

static void scan_wake(void *arg)
{
	struct ql_scan *s = arg;
	CHECK(s->magic == SCAN_MAGIC);
	job_wake(&s->job);
}

static const char *scan_hint(const struct ql_piece_spec *spec)
{
	return spec->mode == QL_PIECE_RANGE ? ql_functab[spec->range.fn].name : NULL;
}

static enum err scan_open(struct ql_scan *s)
{
	const struct ql_piece_spec *spec = s->piece->spec;
	uint32_t n = spec->range.grid.n;
	uint64_t bytes = ((uint64_t)ql_words(n) + n) * 8;

	s->query = (struct source_query){
		.what = SOURCE_SERIES_SAMPLES,
		.tenants = spec->tenants_count ? spec->tenants : &spec->tenant,
		.tenants_count = spec->tenants_count ? spec->tenants_count : 1,
		.t_min_ms = spec->t_min_ms,
		.t_max_ms = spec->t_max_ms,
		.matchers = spec->matchers,
		.matchers_count = spec->matchers_count,
		.hint_step_ms = spec->range.grid.step_ms,
		.hint_range_ms = spec->range.range_ms,
		.hint_func = scan_hint(spec),
		.wake = scan_wake,
		.wake_arg = s,
	};
	s->budget = (struct ql_budget){ .bytes = spec->bytes, .samples = spec->samples };
	s->state = SCAN_READ;
	enum err e = ql_range_init(&s->range, &spec->range, &s->budget, &s->eb);
	if (!e)
		e = ql_charge_heap(&s->budget, bytes, &s->eb);
	if (e)
		return e;
	s->range.yield = scan_window_yield;
	s->range.yield_arg = s;
	s->col_bytes = bytes;
	s->col.has = mem_alloc(bytes);
	s->col.v = (double *)(s->col.has + ql_words(n));
	s->col.drop_name = spec->names == QL_NAMES_DROP_LATE;
	e = spec->source->ops->open(spec->source, s->shard, &s->query, &s->cursor);
	if (e)
		return errbuf_set(&s->eb, e, "expanding series: %s", err_text(e));
	return ERR_OK;
}

static void piece_heavy(struct mbox_msg *msg);

/* The ticket hears of samples now and then. The first word that they are many holds the scan. */
static void scan_touch(struct ql_scan *s, uint64_t samples)
{
	struct ticket *t = s->piece->spec->ticket;

	s->touched += samples + 1;
	if (!t || s->heavy_told || s->touched < SCAN_TOUCH_SAMPLES)
		return;
	uint64_t touched = s->touched;
	s->touched = 0;
	if (!ticket_touched(t, touched))
		return;
	s->heavy_told = s->heavy_away = s->held = true;
	s->heavy.fn = piece_heavy;
	loop_send(s->home, &s->heavy);
}

/*
 * At the first series: as many values as the shard's series will have, for what is heavy is so at
 * once.
 */
static uint64_t scan_sure(struct ql_scan *s)
{
	if (s->estimated)
		return 0;
	s->estimated = true;
	return s->cursor->est_series * s->piece->spec->range.grid.n;
}

static bool scan_should_yield(struct ql_scan *s)
{
	if (s->since_samples < SCAN_YIELD_SAMPLES && s->since_series < SCAN_YIELD_SERIES &&
	    s->since_work < QL_TICK_WORK)
		return false;
	s->since_samples = s->since_series = 0;
	s->since_work = 0;
	return job_should_yield();
}

/* What the source holds for this query, as far as it grew. */
static void scan_charge_cursor(struct ql_scan *s)
{
	uint64_t memory = s->cursor->memory;
	if (LIKELY(memory <= s->cursor_memory))
		return;
	s->err = ql_charge_heap(&s->budget, memory - s->cursor_memory, &s->eb);
	s->cursor_memory = s->err ? s->cursor_memory : memory;
}

/*
 * Reads until the slice is over, the source or a credit must be waited for, or all is read
 * (JOB_DONE).
 */
static enum job_state scan_read(struct ql_scan *s)
{
	for (;;) {
		if (!s->canceled && !s->err)
			s->err = ql_budget_look(&s->budget, &s->eb);
		if (s->canceled || s->err)
			return JOB_DONE;
		if (s->held)
			return JOB_WAIT; /* home says when it goes on */
		if (s->again) {          /* the item is good until the next one is asked for */
			s->err = scan_value(s, &s->item);
			if (s->again)
				return JOB_YIELD;
			continue;
		}
		if (batch_full(s)) {
			if (!s->credits_home)
				return JOB_WAIT; /* the home loop sends a credit */
			scan_send(s, false);
		}
		enum source_state st = s->cursor->ops->next(s->cursor, &s->item);
		scan_charge_cursor(s);
		if (s->err)
			return JOB_DONE;
		switch (st) {
		case SOURCE_READY:
			scan_touch(s, s->item.col.count + scan_sure(s));
			s->err = scan_series(s, &s->item);
			if (s->again) {
				scan_hold(s);
				return JOB_YIELD;
			}
			break;
		case SOURCE_AGAIN:
			s->since_work = QL_TICK_WORK; /* so that the clock is looked at */
			break;
		case SOURCE_WAIT:
			return JOB_WAIT; /* the source calls scan_wake */
		case SOURCE_END:
			return JOB_DONE;
		case SOURCE_ERROR:
			s->err = s->cursor->err ? s->cursor->err : ERR_IO;
			errbuf_set(&s->eb, s->err, "expanding series: %s",
			    s->cursor->eb.text[0] ? s->cursor->eb.text : err_text(s->err));
			return JOB_DONE;
		}
		if (scan_should_yield(s))
			return JOB_YIELD;
	}
}

/* Nothing more is read: what the last batch needs, then the insides go. */
static void scan_close(struct ql_scan *s)
{
	if (!s->batch)
		s->batch = batch_create(s);
	if (s->cursor) {
		for (unsigned i = 0; i < s->cursor->warnings_count; i++) {
			const char *w = s->cursor->warnings[i];
			s->batch->warnings[s->batch->warnings_count++] =
			    arena_strndup(&s->batch->arena, w, strlen(w));
		}
		s->cursor->ops->close(s->cursor);
		s->cursor = NULL;
		ql_uncharge_heap(&s->budget, s->cursor_memory);
		s->cursor_memory = 0;
	}
	ql_range_release(&s->range);
	mem_free(s->col.has);
	s->col.has = NULL;
	ql_uncharge_heap(&s->budget, s->col_bytes);
	s->col_bytes = 0;
	if (s->canceled && !s->err)
		s->err = ERR_CANCELED;
	uint64_t points = s->budget.points; /* the batch's, which goes home */
	ql_budget_close(&s->budget);
	s->budget.points = points;
	s->state = SCAN_FLUSH;
}

static void piece_end(struct mbox_msg *msg);

static void scan_over(struct loop_deferred *d)
{
	struct ql_scan *s = CONTAINER_OF(d, struct ql_scan, defer);
	s->end.fn = piece_end;
	loop_send(s->home, &s->end);
}

static enum job_state scan_run(struct job *j)
{
	struct ql_scan *s = CONTAINER_OF(j, struct ql_scan, job);
	enum job_state st;

	CHECK(s->magic == SCAN_MAGIC);
	for (;;) {
		switch (s->state) {
		case SCAN_OPEN:
			if (!s->canceled)
				s->err = scan_open(s);
			s->state = SCAN_READ;
			break;
		case SCAN_READ:
			st = scan_read(s);
			if (st != JOB_DONE)
				return st;
			scan_close(s);
			break;
		case SCAN_FLUSH:
			if (!s->credits_home)
				return JOB_WAIT; /* a credit comes back */
			scan_send(s, true);
			s->state = SCAN_HOME;
			break;
		case SCAN_HOME:
			if (s->credits_home < QL_PIECE_CREDITS || s->heavy_away)
				return JOB_WAIT; /* the rest of the credits, the word of home */
			s->state = SCAN_OVER;
			loop_defer(s->loop, &s->defer);
			return JOB_DONE;
		case SCAN_OVER:
			return JOB_DONE;
		}
	}
}

static void scan_start(struct mbox_msg *msg)
{
	struct ql_scan *s = CONTAINER_OF(msg, struct ql_scan, start);
	loop_check_here(s->loop);
	const struct ticket *t = s->piece->spec->ticket;
	bool heavy = t && ticket_class(t) == TICKET_HEAVY;
	job_init(&s->job, heavy ? JOB_QUERY_HEAVY : JOB_QUERY, scan_run);
	job_group(&s->job, s->piece->spec->bytes); /* all of one query */
	s->job.what = s->piece->spec->text;
	s->job.what_len = s->piece->spec->text_len;
	job_start(s->loop, &s->job);
}

static void scan_credit(struct mbox_msg *msg)
{
	struct scan_credit *c = CONTAINER_OF(msg, struct scan_credit, msg);
	c->away = false;
	c->scan->credits_home++;
	job_wake(&c->scan->job);
}

static void scan_go_on(struct mbox_msg *msg)
{
	struct ql_scan *s = CONTAINER_OF(msg, struct ql_scan, heavy);
	s->held = s->heavy_away = false;
	job_set_class(&s->job, JOB_QUERY_HEAVY);
	job_wake(&s->job);
}

static void piece_ack(struct mbox_msg *msg);

/* The scan may be over already: then only the message goes home. */
static void scan_cancel(struct mbox_msg *msg)
{
	struct ql_scan *s = CONTAINER_OF(msg, struct ql_scan, cancel);
	s->canceled = true;
	if (s->state != SCAN_OVER) {
		s->job.cancel = true;
		job_wake(&s->job);
	}
	s->cancel.fn = piece_ack;
	loop_send(s->home, &s->cancel);
}

/* --- the home loop --- */

void ql_piece_init(struct ql_piece *p, const struct ql_piece_spec *spec)
{
	p->spec = spec;
	p->batches = NULL;
	p->_batches_end = &p->batches;
}

static size_t scans_bytes(const struct ql_piece *p)
{
	return (p->scans_count + 1) * sizeof(*p->_scans);
}

void ql_piece_start(struct ql_piece *p, struct loop *home)
{
	struct source *src = p->spec->source;

	CHECK(!p->started);
	p->home = home;
	p->started = true;
	p->scans_count = src->ops->shards(src);
	if (p->spec->bytes)
		purse_force(p->spec->bytes, scans_bytes(p));
	p->_scans = mem_zalloc(scans_bytes(p));
	for (unsigned i = 0; i < p->scans_count; i++) {
		struct ql_scan *s = &p->_scans[i];
		*s = (struct ql_scan){
			.magic = SCAN_MAGIC,
			.piece = p,
			.loop = src->ops->loop_of(src, i),
			.home = home,
			.shard = i,
			.credits_home = QL_PIECE_CREDITS,
			.start.fn = scan_start,
			.defer.fn = scan_over,
		};
		for (unsigned k = 0; k < QL_PIECE_CREDITS; k++)
			s->credits[k] = (struct scan_credit){ .msg.fn = scan_credit, .scan = s };
		loop_send(s->loop, &s->start);
	}
}

static void piece_batch(struct mbox_msg *msg)
{
	struct ql_batch *b = CONTAINER_OF(msg, struct ql_batch, msg);
	struct ql_scan *s = b->scan;
	struct ql_piece *p = s->piece;

	loop_check_here(p->home);
	b->next = NULL;
	*p->_batches_end = b;
	p->_batches_end = &b->next;
	p->lasts += b->last;
	p->arrived(p, b);
	if (p->drained)
		ql_piece_drain(p);
}

static void piece_heavy(struct mbox_msg *msg)
{
	struct ql_scan *s = CONTAINER_OF(msg, struct ql_scan, heavy);
	struct ql_piece *p = s->piece;

	s->next_held = p->_held;
	p->_held = s;
	p->heavy(p);
}

void ql_piece_go_on(struct ql_piece *p)
{
	for (struct ql_scan *s; (s = p->_held);) {
		p->_held = s->next_held;
		s->heavy.fn = scan_go_on;
		loop_send(s->loop, &s->heavy);
	}
}

static void piece_end(struct mbox_msg *msg)
{
	struct ql_scan *s = CONTAINER_OF(msg, struct ql_scan, end);
	struct ql_piece *p = s->piece;
	p->ends++;
	p->arrived(p, NULL);
}

static void piece_ack(struct mbox_msg *msg)
{
	struct ql_scan *s = CONTAINER_OF(msg, struct ql_scan, cancel);
	struct ql_piece *p = s->piece;
	p->_acks_open--;
	p->arrived(p, NULL);
}

void ql_piece_cancel(struct ql_piece *p)
{
	if (!p->started || p->canceled || p->ends == p->scans_count)
		return;
	p->canceled = true;
	for (unsigned i = 0; i < p->scans_count; i++) {
		struct ql_scan *s = &p->_scans[i];
		s->cancel.fn = scan_cancel;
		p->_acks_open++;
		loop_send(s->loop, &s->cancel);
	}
}

struct ql_batch *ql_piece_take(struct ql_piece *p)
{
	struct ql_batch *b = p->batches;
	if (b) {
		p->batches = b->next;
		if (!p->batches)
			p->_batches_end = &p->batches;
		loop_send(b->scan->loop, &b->scan->credits[b->slot].msg);
	}
	return b;
}

void ql_piece_drain(struct ql_piece *p)
{
	struct ql_batch *b;

	p->drained = true;
	while ((b = ql_piece_take(p)))
		ql_batch_free(b);
}

void ql_piece_release(struct ql_piece *p)
{
	CHECK(ql_piece_over(p) && !p->batches);
	if (p->_scans && p->spec->bytes)
		purse_give(p->spec->bytes, scans_bytes(p));
	mem_free(p->_scans);
	p->_scans = NULL;
}
