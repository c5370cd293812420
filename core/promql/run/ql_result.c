/* From the columns of the last node to the result, its series, warnings and infos. */
#include "core/promql/run/ql_exec_priv.h"

#include "core/base/clock.h"
#include "core/promql/run/ql_piece.h"

#include <string.h>

/* --- the result --- */

static int cmp_raw(const void *arg, uint32_t a, uint32_t b)
{
	const struct ql_series *s = arg;
	return label_cmp(s[a].labels, s[b].labels);
}

/* Delayed name removal: now. */
static enum ql_did build_names(struct ql *q, struct ql_pn *pn)
{
	while (q->pos < pn->vec.count) {
		struct ql_col *c = &pn->vec.cols[q->pos++];
		if (c->drop_name) {
			c->ls = ql_labels_drop_name(&q->arena, c->ls);
			c->hash = label_hash(c->ls);
			q->names_went = true;
		}
		if (ql_tick(&q->run, 64))
			return QL_AGAIN;
	}
	bool late = q->run.names == QL_NAMES_DROP_LATE;
	enum ql_did did =
	    ql_run_join_equal(&q->run, pn, late && q->names_went ? QL_EQUAL_JOINS : QL_EQUAL_NONE);
	if (!did)
		q->pos = 0;
	return did;
}

static enum ql_did build_sort(struct ql *q, struct ql_pn *pn)
{
	bool raw = pn->raw != NULL;

	if (!raw && q->opts.step_ms <= 0)
		return QL_DONE; /* instant vectors stay in their order */
	if (!q->sorting) {
		q->sorting = true;
		q->t_sort_ns = clock_real_mono_ns();
		if (raw)
			ql_sorter_init(
			    &q->sorter, &q->arena, num_u32(pn->raw_count), cmp_raw, pn->raw);
		else
			ql_sorter_init(
			    &q->sorter, &q->arena, pn->vec.count, ql_vec_cmp_labels, &pn->vec);
	}
	if (!ql_sorter_run(&q->sorter, &q->run))
		return QL_AGAIN;
	q->stats.sort_s = (double)(clock_real_mono_ns() - q->t_sort_ns) / 1e9;
	return QL_DONE;
}

/* NULL over budget. */
static const int64_t *grid_times(struct ql *q, const struct ql_grid *g)
{
	struct ql_run *x = &q->run;

	if (!q->times) {
		if ((x->err = ql_room(&x->budget, (uint64_t)g->n * sizeof(*q->times), &q->eb)))
			return NULL;
		q->times = arena_array(&q->arena, (size_t)g->n + 1, sizeof(*q->times));
		for (uint32_t i = 0; i < g->n; i++)
			q->times[i] = ql_grid_t(g, i);
	}
	return q->times;
}

/* Where there are histograms, the values say so, and both stand as close as the times. */
static enum err mixed_series(
    struct ql *q, const struct ql_grid *g, const struct ql_col *c, struct ql_series *out)
{
	enum err e = ql_charge(&q->run.budget, g->n, &q->eb);
	uint32_t k = 0;

	if (e)
		return e;
	int64_t *t = arena_array(&q->arena, (size_t)g->n + 1, sizeof(*t));
	const struct hist **h = c->hists->h, *before = NULL;
	for (uint32_t i = 0; i < g->n; i++) {
		bool hist = ql_bit(c->hists->has, i);
		if (!hist && !ql_bit(c->has, i))
			continue;
		t[k] = ql_grid_t(g, i);
		c->v[k] = hist ? num_from_bits(SAMPLE_HIST_BITS) : c->v[i];
		h[k] = hist ? h[i] : NULL;
		if (hist && h[k] != before) {
			before = h[k];
			q->hist_bytes += sizeof(*before) + hist_cost(before) * 8;
		}
		k++;
	}
	*out = (struct ql_series){ .labels = c->ls, .count = k, .t_ms = t, .v = c->v, .h = h };
	return ERR_OK;
}

static enum err column_series(
    struct ql *q, const struct ql_grid *g, const struct ql_col *c, struct ql_series *out)
{
	if (UNLIKELY(c->hists && ql_bits_any(c->hists->has, g->n)))
		return mixed_series(q, g, c, out);
	uint32_t count = ql_bits_count(c->has, g->n), k = 0;

	*out = (struct ql_series){ .labels = c->ls, .count = count };
	if (count == g->n) {
		out->t_ms = grid_times(q, g);
		out->v = c->v;
		return q->run.err;
	}
	enum err e = ql_charge(&q->run.budget, count, &q->eb);
	if (e)
		return e;
	int64_t *t = arena_array(&q->arena, (size_t)count + 1, sizeof(*t));
	QL_EACH_BIT(i, c->has, g->n)
	{
		t[k] = ql_grid_t(g, i);
		c->v[k++] = c->v[i]; /* the column is not needed any more */
	}
	out->t_ms = t;
	out->v = c->v;
	return ERR_OK;
}

/* Of a copy by itself; its histograms are counted where they are found. */
static uint64_t series_bytes(const struct ql *q, const struct ql_series *s)
{
	uint64_t point = sizeof(*s->v) + (s->h ? sizeof(*s->h) : 0);

	point += s->t_ms == q->times ? 0 : sizeof(*s->t_ms);
	return sizeof(*s) + s->labels.len + s->count * point;
}

static enum ql_did build_series(struct ql *q, struct ql_pn *pn)
{
	struct ql_value *v = &q->value;
	uint32_t count = pn->raw ? num_u32(pn->raw_count) : pn->vec.count;

	if (!v->series)
		v->series = arena_array(&q->arena, (size_t)count + 1, sizeof(*v->series));
	if (pn->raw)
		q->hist_bytes = q->run.hist_bytes;
	while (q->pos < count) {
		uint32_t at = q->sorting ? q->sorter.idx[q->pos] : q->pos;
		struct ql_series *s = &v->series[v->series_count];
		q->pos++;
		if (pn->raw)
			*s = pn->raw[at];
		else if ((q->run.err = column_series(q, &pn->grid, &pn->vec.cols[at], s)))
			return QL_FAILED;
		v->series_count += s->count != 0;
		v->points += s->count;
		q->value_bytes += series_bytes(q, s);
		v->has_hists = v->has_hists || s->h;
		if (ql_tick(&q->run, pn->grid.n / 8))
			return QL_AGAIN;
	}
	return QL_DONE;
}

static enum ql_did build_scalar(struct ql *q, const struct ql_pn *pn)
{
	struct ql_value *v = &q->value;
	bool range = q->opts.step_ms > 0;
	uint32_t n = pn->grid.n;
	const int64_t *times = grid_times(q, &pn->grid);
	double *room;

	if (!times || (q->run.err = ql_charge(&q->run.budget, n, &q->eb)))
		return QL_FAILED;
	room = arena_array(&q->arena, n, sizeof(*room));

	v->type = range ? QL_MATRIX : QL_SCALAR;
	v->t_ms = q->opts.start_ms;
	v->series = arena_zalloc(&q->arena, sizeof(*v->series));
	v->series_count = 1;
	v->points = n;
	v->series[0] = (struct ql_series){
		.count = n, .t_ms = times, .v = ql_scalar_run(&pn->scalar, 0, n, room)
	};
	q->value_bytes = series_bytes(q, &v->series[0]);
	return QL_DONE;
}

/* --- the result alone --- */

#define KEPT_LEAST (4u << 20) /* a copy that frees less is not worth its time */

uint64_t ql_held(const struct ql *q)
{
	return purse_used(q->purse);
}

/* A result of less than a quarter of what the query holds moves, so that the rest can go. */
static bool move_pays(const struct ql *q)
{
	uint64_t held = purse_used(q->purse), bytes = q->value_bytes + q->hist_bytes;
	struct errbuf eb;

	errbuf_init(&eb);
	return held > KEPT_LEAST + bytes && bytes * 4 < held &&
	    !ql_room(&q->run.budget, bytes + QL_FIRST_BLOCK, &eb);
}

static void move_series(struct ql *q, const struct ql_series *from)
{
	struct ql_series *s = &q->copy.series[q->copy.series_count++];
	struct arena *a = &q->kept;

	*s = *from;
	if (s->labels.len)
		s->labels.bytes = arena_dup(a, s->labels.bytes, s->labels.len);
	s->v = arena_dup(a, from->v, from->count * sizeof(*from->v));
	bool shared = from->t_ms == q->times;
	s->t_ms = shared && q->copy_times
	    ? q->copy_times
	    : arena_dup(a, from->t_ms, from->count * sizeof(*from->t_ms));
	if (shared)
		q->copy_times = s->t_ms;
	if (from->h) {
		q->copy_h = arena_zalloc(a, from->count * sizeof(*q->copy_h));
		q->pos = 0;
		s->h = q->copy_h;
	}
}

/* The histograms of the series that was moved last. */
static enum ql_did move_hists(struct ql *q, const struct ql_series *from)
{
	const struct hist **h = q->copy_h;

	while (q->pos < from->count) {
		uint32_t i = q->pos++;
		const struct hist *x = from->h[i];
		if (!x)
			continue;
		h[i] = i && from->h[i - 1] == x ? h[i - 1] : hist_copy(&q->kept, x);
		if (!h[i])
			return ql_fail(
			    &q->run, errbuf_set(&q->eb, ERR_NOMEM, "no memory for a histogram"));
		if (ql_tick(&q->run, hist_cost(x) + 16))
			return QL_AGAIN;
	}
	q->copy_h = NULL;
	q->pos = 0;
	return QL_DONE;
}

static enum ql_did build_move(struct ql *q)
{
	struct ql_value *v = &q->value;

	if (!q->moved) {
		if (!move_pays(q))
			return QL_DONE;
		q->moved = true;
		q->copy = *v;
		q->copy.series_count = 0;
		q->copy.series = arena_array(&q->kept, v->series_count + 1, sizeof(*q->copy.series));
	}
	while (q->copy_h || q->copy.series_count < v->series_count) {
		if (q->copy_h) {
			enum ql_did did = move_hists(q, &v->series[q->copy.series_count - 1]);
			if (did)
				return did;
			continue;
		}
		const struct ql_series *from = &v->series[q->copy.series_count];
		move_series(q, from);
		if (ql_tick(&q->run, (uint64_t)from->count * 2 + 64))
			return QL_AGAIN;
	}
	*v = q->copy;
	return QL_DONE;
}

/* Batches that nothing points into any more. */
static enum ql_did build_free(struct ql *q)
{
	struct ql_run *x = &q->run;
	struct ql_batch *b;

	while (q->moved && (b = x->kept)) {
		size_t bytes = arena_used(&b->arena);
		x->kept = b->next;
		ql_batch_free(b);
		if (ql_tick(x, bytes / 64))
			return QL_AGAIN;
	}
	return QL_DONE;
}

static enum ql_did build_part(struct ql *q, struct ql_pn *pn)
{
	switch (q->build) {
	case BUILD_NAMES:
		return build_names(q, pn);
	case BUILD_SORT:
		return build_sort(q, pn);
	case BUILD_SERIES:
		return build_series(q, pn);
	case BUILD_MOVE:
		return build_move(q);
	case BUILD_FREE:
		return build_free(q);
	case BUILD_OVER:
		break;
	}
	return QL_DONE;
}

static enum ql_did build_begin(struct ql *q, struct ql_pn *pn)
{
	if (pn->scalar.kind != QL_UNKNOWN) {
		q->build = BUILD_MOVE;
		return build_scalar(q, pn);
	}
	bool matrix = q->opts.step_ms > 0 || q->root->type == QL_MATRIX;
	if (matrix && q->root->type == QL_MATRIX && !pn->raw)
		pn->raw = arena_array(&q->arena, 1, sizeof(*pn->raw));
	q->value.type = matrix ? QL_MATRIX : QL_VECTOR;
	return QL_DONE;
}

enum ql_did ql_result_build(struct ql *q)
{
	struct ql_pn *pn = q->plan.root;
	enum ql_did did;

	if (pn->kind == PN_STRING) {
		q->value.type = QL_STRING;
		q->value.string = pn->ast->text.s;
		q->value.string_len = pn->ast->text.len;
		q->value.t_ms = q->opts.start_ms;
		return QL_DONE;
	}
	if (!q->value.type && (did = build_begin(q, pn)))
		return did;
	while (q->build != BUILD_OVER) {
		if ((did = build_part(q, pn)))
			return did;
		q->build++;
	}
	return QL_DONE;
}

/* Notes, and warnings of storage, where the result is. */
enum ql_did ql_result_notes(struct ql *q)
{
	struct ql_run *x = &q->run;
	struct arena *a = q->moved ? &q->kept : &q->arena;
	const struct ql_tab *w = &x->warnings;
	enum ql_did did;

	for (int info = 0; info < 2; info++) {
		struct ql_tell *t = &q->tell[info];
		if (!t->arena)
			ql_tell_init(t, a, info, q->text, q->text_len);
		if ((did = ql_tell_run(t, x)))
			return did;
		q->notes[info] = t->notes;
		q->notes_count[info] = t->count;
	}
	if (!w->count)
		return QL_DONE;
	size_t count = q->notes_count[0];
	struct ql_note *all = arena_array(a, count + w->count, sizeof(*all));
	memcpy(all, q->notes[0], count * sizeof(*all));
	for (uint32_t i = 0; i < w->count; i++) {
		struct labels text = ql_tab_key(w, i)->ls;
		all[count++].text = arena_dup(a, text.bytes, text.len);
	}
	q->notes[0] = all;
	q->notes_count[0] = count;
	return QL_DONE;
}
