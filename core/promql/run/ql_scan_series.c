#include "core/promql/run/ql_extend.h"
#include "core/promql/run/ql_ratio.h"
#include "core/promql/run/ql_scan.h"

#include "core/model/histmath.h"

#include <string.h>

#define LABELS_BLOCK 4096
#define SCAN_COPY    8192 /* steps or samples copied between looks at the clock */

bool ql_scan_yield(void *arg, uint64_t work)
{
	struct ql_scan *s = arg;

	s->since_work += work;
	if (s->since_work < QL_TICK_WORK)
		return false;
	s->since_work = 0;
	return job_should_yield();
}

/* --- pipes --- */

static enum err tally_init(struct ql_scan *s, struct scan_pipe *p)
{
	uint32_t n = p->spec->tally_n;
	uint64_t bytes = 2 * (uint64_t)n * sizeof(uint64_t);
	enum err e = ql_charge_heap(&s->budget, bytes, &s->eb);

	if (e)
		return e;
	p->tally_bytes = bytes;
	p->tally.n = n;
	p->tally.used = mem_zalloc(bytes);
	p->tally.read = p->tally.used + n;
	return ERR_OK;
}

enum err ql_scan_pipes_init(struct ql_scan *s)
{
	const struct ql_piece_spec *spec = s->piece->spec;
	enum err e = ERR_OK;

	s->pipes = mem_zalloc(spec->pipes_count * sizeof(*s->pipes));
	for (const struct ql_pipe *q = spec->pipes; q && !e; q = q->next) {
		struct scan_pipe *p = &s->pipes[q->index];
		uint32_t n = q->range.grid.n;
		uint64_t bytes = ((uint64_t)ql_words(n) + n) * 8;
		p->spec = q;
		arena_init(&p->text, LABELS_BLOCK);
		buf_init(&p->scratch);
		e = ql_range_init(&p->range, &q->range, &s->budget, &s->eb);
		if (!e)
			e = ql_charge_heap(&s->budget, bytes, &s->eb);
		if (e)
			break;
		p->range.yield = ql_scan_yield;
		p->range.yield_arg = s;
		p->range.pos = q->range.fn == QL_FN_QUANTILE_OVER_TIME ? q->param_pos : q->pos;
		p->col_bytes = bytes;
		p->col.has = mem_alloc(bytes);
		p->col.v = (double *)(p->col.has + ql_words(n));
		p->col.drop_name = q->names == QL_NAMES_DROP_LATE;
		if (UNLIKELY(q->tally_n) && (e = tally_init(s, p)))
			break;
	}
	return e;
}

void ql_scan_pipes_release(struct ql_scan *s)
{
	for (unsigned i = 0; s->pipes && i < s->piece->spec->pipes_count; i++) {
		struct scan_pipe *p = &s->pipes[i];
		if (!p->spec)
			continue;
		ql_range_release(&p->range);
		arena_release(&p->text);
		buf_release(&p->scratch);
		mem_free(p->tally.used);
		ql_uncharge_heap(&s->budget, p->tally_bytes);
		mem_free(p->col.has);
		ql_uncharge_heap(&s->budget, p->col_bytes);
	}
	mem_free(s->pipes);
	s->pipes = NULL;
}

void ql_scan_tally(struct ql_scan *s)
{
	for (unsigned i = 0; s->pipes && i < s->piece->spec->pipes_count; i++)
		if (UNLIKELY(s->pipes[i].tally.n))
			ql_tally_copy(
			    &s->batch->arena, &s->batch->pipes[i].tally, &s->pipes[i].tally);
}

/* --- one series in one pipe --- */

static bool scan_base(struct ql_scan *s, struct scan_pipe *p, const struct sample_column *c)
{
	const struct ql_pipe *spec = p->spec;
	bool any = false;

	p->range.notes = &s->batch->notes;
	p->range.labels = s->item.labels;
	p->range.times_id = s->times_id;
	switch (spec->mode) {
	case QL_PIECE_INSTANT:
	case QL_PIECE_TIME:
		s->err =
		    ql_instant_run(&p->range, spec->mode == QL_PIECE_TIME, c, &p->col, &any, &s->eb);
		break;
	case QL_PIECE_INFO:
		s->err = ql_info_run_times(&p->range, c, &p->col, &any, &s->eb);
		break;
	case QL_PIECE_START:
		s->err = ql_start_run(&p->range, c, &p->col, &any, &s->eb);
		break;
	case QL_PIECE_SMOOTH:
		s->err = ql_smooth_run(&p->range, c, &p->col, &any, &s->eb);
		break;
	case QL_PIECE_RANGE:
		s->err = ql_range_run(&p->range, c, &p->col, &any, &s->eb);
		break;
	case QL_PIECE_RAW:
		break;
	}
	if (p->range.again || s->err)
		return false;
	p->out->samples_used += p->range.samples_in_windows;
	p->out->samples_read += p->range.samples_read;
	return any;
}

/* Parts of a series return true when the slice is over. */

static bool scan_tally(struct ql_scan *s, struct scan_pipe *p, const struct source_item *item)
{
	const struct ql_pipe *spec = p->spec;
	uint32_t n = spec->range.grid.n;

	if (!p->range.samples_in_windows)
		return false;
	while (p->step < n) {
		uint32_t end = p->step + ql_part(p->step, n);
		if (spec->mode == QL_PIECE_RANGE)
			ql_tally_windows(
			    &p->tally, &p->range, &item->col, spec->tally_used, p->step, end);
		else
			ql_tally_points(
			    &p->tally, &spec->range.reads, &p->col, spec->tally_used, p->step, end);
		uint32_t count = end - p->step;
		p->step = end;
		if (end < n && ql_scan_yield(s, 4 * (uint64_t)count))
			return true;
	}
	p->step = 0;
	return false;
}

static bool scan_notes(struct ql_scan *s, struct scan_pipe *p, const struct source_item *item)
{
	const struct ql_pipe *spec = p->spec;
	const struct ql_scalar *q = &spec->range.param[0];
	uint32_t n = spec->range.grid.n;

	if (spec->mode != QL_PIECE_RANGE)
		return false;
	if ((spec->range.fn == QL_FN_RATE || spec->range.fn == QL_FN_INCREASE) &&
	    LIKELY(!p->col.hists || ql_bits_any(p->col.has, n)))
		ql_notes_counter(&s->batch->notes, spec->pos, item->labels, spec->range.by_type);
	if (spec->range.fn != QL_FN_QUANTILE_OVER_TIME)
		return false;
	while (p->step < n) {
		uint32_t k = n - p->step;
		if (q->kind != QL_SAME && k > QL_NOTES_PART)
			k = QL_NOTES_PART;
		ql_notes_quantiles(&s->batch->notes, spec->param_pos, q, p->col.has, p->step, k);
		p->step += k;
		if (p->step < n && ql_scan_yield(s, 8 * (uint64_t)k))
			return true;
	}
	p->step = 0;
	return false;
}

/* The series' labels as they are in this pipe, until the next series. */
static struct labels pipe_labels(struct scan_pipe *p, struct labels ls)
{
	unsigned dropped;

	if (!ql_names_go_now(p->spec->names))
		return ls;
	arena_reset(&p->text, LABELS_BLOCK);
	return ql_labels_drop(&p->text, ls, &dropped);
}

/* True: the slice is over. */
static bool scan_elems(struct ql_scan *s, struct scan_pipe *p, const struct ql_stage *st)
{
	struct ql_elem_room room = { &s->made, &s->batch->notes };
	uint64_t work;

	while ((work = ql_elem_next(
	            st->elems, st->elems_count, &p->spec->grid, &p->col, &room, &p->elem_at)))
		if (ql_scan_yield(s, work))
			return true;
	return false;
}

static bool ratio_keeps(struct scan_pipe *p, const struct ql_stage *st, struct labels ls)
{
	if (st->names_went)
		ls = pipe_labels(p, ls);
	return ql_ratio_keeps(st->ratio, ql_ratio_offset(ls, &p->scratch));
}

/* *left: the series goes on. */
static bool scan_stages(
    struct ql_scan *s, struct scan_pipe *p, const struct source_item *item, bool *left)
{
	const struct ql_pipe *spec = p->spec;

	*left = true;
	for (; p->stage < spec->stages_count && *left; p->stage++) {
		const struct ql_stage *st = &spec->stages[p->stage];
		switch (st->kind) {
		case QL_STAGE_ELEM:
			if (scan_elems(s, p, st))
				return true;
			*left = ql_col_any(&p->col, spec->grid.n);
			break;
		case QL_STAGE_RATIO:
			*left = ratio_keeps(p, st, item->labels);
			break;
		}
	}
	p->stage = 0;
	return false;
}

static struct labels scan_labels(struct scan_pipe *p, struct labels ls, struct arena *a)
{
	const struct ql_pipe *spec = p->spec;
	struct labels out = ls;
	unsigned dropped = 0;

	if (ql_names_go_now(spec->names))
		out = ql_labels_drop(a, ls, &dropped);
	p->out->may_collide |= dropped > (spec->names == QL_NAMES_DROP_ONE);
	if (out.bytes == ls.bytes && out.len)
		out.bytes = arena_dup(a, ls.bytes, ls.len);
	return out;
}

static enum err keep_begin(struct ql_scan *s, struct scan_pipe *p, const struct source_item *item)
{
	const struct ql_pipe *spec = p->spec;
	struct arena *a = &s->batch->arena;
	uint32_t n = spec->range.grid.n;
	size_t words = ql_words(n);
	enum err e = ql_charge(&s->budget, n, &s->eb);

	if (e)
		return e;
	struct ql_col *col = ql_vec_add(a, &p->out->vec);
	uint64_t *mem = arena_alloc(a, (words + n) * 8);
	struct labels ls = scan_labels(p, item->labels, a);
	*col = (struct ql_col){
		.ls = ls,
		.hash = label_hash(ls),
		.has = mem,
		.v = (double *)(mem + words),
		.drop_name = spec->names == QL_NAMES_DROP_LATE,
	};
	if (UNLIKELY(p->col.hists != NULL) && !(e = ql_charge(&s->budget, n, &s->eb)))
		ql_col_hists(a, col, n);
	return e;
}

/* Histograms of the column, into the batch's last one. */
static bool scan_keep_hists(struct ql_scan *s, struct scan_pipe *p)
{
	uint32_t n = p->spec->grid.n;
	struct ql_batch_pipe *b = p->out;
	struct ql_col *col = &b->vec.cols[b->vec.count - 1];

	p->part = SCAN_HISTS;
	do {
		uint64_t work;
		s->err = ql_hists_copy(&s->budget, &s->batch->arena, col->hists, p->col.hists, n,
		    &p->step, &work, &s->eb);
		b->hist_bytes += work * 8;
		if (!s->err && p->step < n && ql_scan_yield(s, work))
			return true;
	} while (!s->err && p->step < n);
	p->step = 0;
	return false;
}

/* A copy of the column goes into the batch. */
static bool scan_keep(struct ql_scan *s, struct scan_pipe *p, const struct source_item *item)
{
	uint32_t n = p->spec->grid.n;

	if (p->part == SCAN_HISTS)
		return scan_keep_hists(s, p);
	if (!p->step && (s->err = keep_begin(s, p, item)))
		return false;
	struct ql_col *col = &p->out->vec.cols[p->out->vec.count - 1];
	for (;;) {
		uint32_t from = p->step, k = n - from < SCAN_COPY ? n - from : SCAN_COPY;
		memcpy(col->has + from / 64, p->col.has + from / 64, ql_words(k) * 8);
		memcpy(col->v + from, p->col.v + from, (size_t)k * 8);
		p->step = from + k < n ? from + k : 0;
		if (!p->step)
			return UNLIKELY(p->col.hists != NULL) && scan_keep_hists(s, p);
		if (ql_scan_yield(s, k))
			return true;
	}
}

static bool scan_add(struct ql_scan *s, struct scan_pipe *p, const struct source_item *item)
{
	bool more = true;

	p->col.ls = item->labels;
	for (;;) {
		struct ql_reducer *r = &p->out->reducer;
		s->err = ql_reducer_add(r, &p->col, &more, &s->budget, &s->eb);
		s->since_work += r->work;
		if (s->err || !more)
			return false;
		if (ql_scan_yield(s, QL_AGGR_PART))
			return true;
	}
}

static bool raw_extended(const struct scan_pipe *p)
{
	return p->spec->range.anchored || p->spec->range.smoothed;
}

static enum err raw_begin(struct ql_scan *s, struct scan_pipe *p, const struct source_item *item)
{
	uint32_t count = item->col.count;
	struct ql_batch_pipe *b = p->out;
	enum err e = ql_charge(&s->budget, count, &s->eb);

	if (!e && UNLIKELY(item->col.h != NULL) && raw_extended(p))
		e = errbuf_set(&s->eb, ERR_EXECUTION, "%s modifier is not supported with histograms",
		    p->spec->range.anchored ? "anchored" : "smoothed");
	if (e)
		return e;
	if (b->raw_count == b->raw_cap) {
		size_t cap = b->raw_cap ? b->raw_cap * 2 : 16;
		struct ql_series *raw = arena_array(&s->batch->arena, cap, sizeof(*raw));
		if (b->raw_count)
			memcpy(raw, b->raw, b->raw_count * sizeof(*raw));
		b->raw = raw;
		b->raw_cap = cap;
	}
	/* With room for what ql_extend makes at both ends. */
	p->raw_t = (int64_t *)arena_array(&s->batch->arena, (size_t)count + 2, 8) + 1;
	p->raw_v = (double *)arena_array(&s->batch->arena, (size_t)count + 2, 8) + 1;
	p->raw_count = 0;
	p->raw_h = NULL;
	p->raw_any_h = false;
	if (item->col.h && !(e = ql_charge(&s->budget, count, &s->eb)))
		p->raw_h = arena_zalloc(&s->batch->arena, count * sizeof(*p->raw_h));
	return e;
}

/* A float histogram of the batch's own; NULL: s->err. */
static const struct hist *raw_hist(struct ql_scan *s, struct scan_pipe *p, const struct hist *h)
{
	uint64_t bytes = sizeof(*h) + hist_cost(h) * 8;

	if ((s->err = ql_room(&s->budget, 2 * bytes, &s->eb)))
		return NULL;
	h = hist_to_float(&s->made, h);
	h = h ? hist_copy(&s->batch->arena, h) : NULL;
	if (!h)
		s->err = errbuf_set(&s->eb, ERR_NOMEM, "no memory for a histogram");
	p->raw_any_h = true;
	p->out->hist_bytes += bytes;
	return h;
}

/*
 * The samples from p->step on of a column with histograms, until some work is done. Returns the
 * work.
 */
static uint64_t raw_mixed(struct ql_scan *s, struct scan_pipe *p, const struct sample_column *c)
{
	uint64_t work = 0;

	for (; p->step < c->count && work < QL_HISTS_WORK; p->step++, work++) {
		uint32_t i = p->step, n = p->raw_count;
		const struct hist *h = c->h[i];
		if (h ? hist_is_stale(h) : sample_is_stale(c->v[i]))
			continue;
		if (h && !(p->raw_h[n] = raw_hist(s, p, h)))
			return work;
		work += h ? hist_cost(h) + sizeof(*h) / 8 : 0;
		p->raw_t[n] = c->t_ms[i];
		p->raw_v[n] = c->v[i];
		p->raw_count++;
	}
	return work;
}

static void raw_end(struct ql_scan *s, struct scan_pipe *p, const struct source_item *item)
{
	struct ql_batch_pipe *b = p->out;
	struct labels ls = item->labels;

	if (raw_extended(p)) {
		struct ql_extend x =
		    ql_extend(&p->spec->range, p->raw_t - 1, p->raw_v - 1, p->raw_count);
		p->raw_t += (int64_t)x.from - 1;
		p->raw_v += (int64_t)x.from - 1;
		p->raw_count = x.count;
	}
	b->samples_used += p->raw_count;
	b->samples_read += p->raw_count;
	if (!p->raw_count)
		return;
	if (ls.len)
		ls.bytes = arena_dup(&s->batch->arena, ls.bytes, ls.len);
	b->raw[b->raw_count++] = (struct ql_series){ .labels = ls,
		.count = p->raw_count,
		.t_ms = p->raw_t,
		.v = p->raw_v,
		.h = p->raw_any_h ? p->raw_h : NULL };
}

/* A range selector as the result: the samples themselves, without markers. */
static bool scan_raw(struct ql_scan *s, struct scan_pipe *p, const struct source_item *item)
{
	const struct sample_column *c = &item->col;

	if (!p->step && (s->err = raw_begin(s, p, item)))
		return false;
	while (UNLIKELY(c->h != NULL) && p->step < c->count) {
		uint64_t work = raw_mixed(s, p, c);
		if (s->err)
			return false;
		if (p->step < c->count && ql_scan_yield(s, work))
			return true;
	}
	while (p->step < c->count) {
		uint32_t n = p->raw_count, left = c->count - p->step;
		uint32_t end = p->step + (left < SCAN_COPY ? left : SCAN_COPY);
		for (uint32_t i = p->step; i < end; i++) {
			p->raw_t[n] = c->t_ms[i];
			p->raw_v[n] = c->v[i];
			n += !sample_is_stale(c->v[i]);
		}
		p->raw_count = n;
		p->step = end;
		if (end < c->count && ql_scan_yield(s, left < SCAN_COPY ? left : SCAN_COPY))
			return true;
	}
	p->step = 0;
	raw_end(s, p, item);
	return false;
}

/* The item at hand goes through a pipe, one part after another. */
static bool pipe_parts(struct ql_scan *s, struct scan_pipe *p, const struct source_item *item)
{
	bool left;

	if (p->spec->mode == QL_PIECE_RAW)
		return scan_raw(s, p, item);
	if (p->part == SCAN_WINDOWS) {
		p->any = scan_base(s, p, &item->col);
		if (p->range.again || s->err)
			return p->range.again;
		if (LIKELY(!p->tally.n) && !p->any)
			return false;
		p->part = LIKELY(!p->tally.n) ? SCAN_NOTES : SCAN_TALLY;
	}
	if (UNLIKELY(p->part == SCAN_TALLY)) {
		if (scan_tally(s, p, item))
			return true;
		if (!p->any)
			return false;
		p->part = SCAN_NOTES;
	}
	if (p->part == SCAN_NOTES) {
		if (scan_notes(s, p, item))
			return true;
		p->part = SCAN_STAGES;
	}
	if (p->part == SCAN_STAGES) {
		if (scan_stages(s, p, item, &left))
			return true;
		p->part = SCAN_TAKE;
		if (!left)
			return false;
	}
	return p->spec->reduce.kind ? scan_add(s, p, item) : scan_keep(s, p, item);
}

/* --- one series --- */

static bool scan_pipes(struct ql_scan *s, const struct source_item *item)
{
	while (s->pipe < s->piece->spec->pipes_count) {
		struct scan_pipe *p = &s->pipes[s->pipe];
		bool again = pipe_parts(s, p, item);
		if (s->err || again)
			return again;
		p->part = SCAN_WINDOWS;
		p->col.hists = NULL;
		if (UNLIKELY(item->col.h != NULL))
			arena_reset(&s->made, SCAN_MADE_BLOCK);
		s->pipe++;
		if (s->pipe < s->piece->spec->pipes_count &&
		    ql_scan_yield(s, item->col.count + (uint64_t)p->spec->range.grid.n))
			return true;
	}
	s->pipe = 0;
	return false;
}

enum err ql_scan_value(struct ql_scan *s, const struct source_item *item)
{
	s->again = scan_pipes(s, item) && !s->err;
	return s->err;
}

enum err ql_scan_series(struct ql_scan *s, const struct source_item *item)
{
	if (!s->batch)
		s->batch = ql_scan_batch(s);
	s->batch->samples += item->col.count;
	s->batch->series++;
	s->since_samples += item->col.count;
	s->since_work += s->piece->spec->pipes->range.grid.n;
	s->since_series += s->piece->spec->pipes_count;
	return ql_scan_value(s, item);
}
