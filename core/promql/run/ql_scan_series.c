#include "core/promql/run/ql_scan.h"

#include <string.h>

#define SCAN_COPY 8192 /* steps or samples copied between looks at the clock */

bool ql_scan_yield(void *arg, uint64_t work)
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
		if (s->step < n && ql_scan_yield(s, 8 * (uint64_t)k))
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
		if (ql_scan_yield(s, work))
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
		if (!s->err && s->step < n && ql_scan_yield(s, work))
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
		if (ql_scan_yield(s, k))
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
		if (ql_scan_yield(s, QL_AGGR_PART))
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
		if (end < c->count && ql_scan_yield(s, left < SCAN_COPY ? left : SCAN_COPY))
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

enum err ql_scan_value(struct ql_scan *s, const struct source_item *item)
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

enum err ql_scan_series(struct ql_scan *s, const struct source_item *item)
{
	if (!s->batch)
		s->batch = ql_scan_batch(s);
	if (UNLIKELY(item->col.h != NULL))
		note_histograms(s);
	s->batch->samples += item->col.count;
	s->batch->series++;
	s->since_samples += item->col.count;
	s->since_work += s->piece->spec->range.grid.n;
	s->since_series++;
	return ql_scan_value(s, item);
}
