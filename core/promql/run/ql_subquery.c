/* Range functions over the columns of a subquery, and a subquery as the result. */
#include "core/model/histmath.h"
#include "core/promql/run/ql_nodes.h"
#include "core/promql/run/ql_range.h"

#include <string.h>

struct window_state {
	struct ql_range range;
	int64_t *t;
	double *v;
	const struct hist **h;       /* made when a column has histograms */
	bool has_hists;              /* the column at hand has some */
	struct arena hints;          /* histograms of it, with a hint of ours */
	uint32_t points;             /* of the column at hand, gathered so far */
	uint32_t noted;              /* steps of the result that were looked at for notes */
	bool any;                    /* some step is present; the windows are done */
	const struct ql_hists *made; /* the result's histograms, which are copied up to this step */
	uint32_t copied;
	struct ql_budget *budget;
	uint64_t charged;
};

/* Upstream puts a selector without a position in the place of a subquery: notes are at (1:1). */
static const struct ql_pos no_place;

static void window_release(void *arg)
{
	struct window_state *w = arg;

	ql_range_release(&w->range);
	arena_release(&w->hints);
	mem_free(w->t);
	mem_free(w->v);
	mem_free(w->h);
	if (w->charged)
		ql_uncharge_heap(w->budget, w->charged);
	*w = (struct window_state){ 0 };
}

/*
 * What a sample tells of the one before says nothing of the points of a subquery: some samples may
 * be left out, others be there twice. That it is a gauge is true for each.
 */
static const struct hist *without_hint(struct window_state *w, const struct hist *h)
{
	bool known = h->hint == HIST_RESET || h->hint == HIST_NO_RESET;
	return known ? hist_with_hint(&w->hints, h, HIST_UNKNOWN) : h;
}

/* The same of a column with histograms; of a subquery as the result they stay as they are. */
static bool window_hists(struct ql_run *x, struct ql_pn *pn, const struct ql_col *c,
    const struct ql_grid *g, bool as_they_are)
{
	struct window_state *w = pn->state;

	while (pn->step < g->n) {
		uint32_t end = pn->step + ql_part(pn->step, g->n);
		for (uint32_t i = pn->step; i < end; i++) {
			bool is = ql_bit(c->hists->has, i);
			if (!is && !ql_bit(c->has, i))
				continue;
			const struct hist *h = is ? c->hists->h[i] : NULL;
			w->t[w->points] = ql_grid_t(g, i);
			w->v[w->points] = is ? num_from_bits(SAMPLE_HIST_BITS) : c->v[i];
			w->h[w->points++] = h && !as_they_are ? without_hint(w, h) : h;
		}
		uint32_t count = end - pn->step;
		pn->step = end;
		if (ql_tick(x, 4 * (uint64_t)count))
			return false;
	}
	return true;
}

/* The points of the column that are there. False when the slice ended. */
static bool window_points(
    struct ql_run *x, struct ql_pn *pn, const struct ql_col *c, const struct ql_grid *g)
{
	struct window_state *w = pn->state;

	while (pn->step < g->n) {
		uint32_t from = pn->step, count = ql_part(from, g->n);
		QL_EACH_BIT(i, c->has + from / 64, count)
		{
			w->t[w->points] = ql_grid_t(g, from + i);
			w->v[w->points++] = c->v[from + i];
		}
		pn->step += count;
		if (ql_tick(x, count))
			return false;
	}
	return true;
}

static bool window_yield(void *arg, uint64_t work)
{
	return ql_tick(arg, work);
}

/* What is to be told about the column's windows. False when the slice ended. */
static bool window_notes(
    struct ql_run *x, struct ql_pn *pn, const struct ql_col *from, const struct ql_col *c)
{
	struct window_state *w = pn->state;
	const struct ql_scalar *q = &pn->range.param[0];
	uint32_t n = pn->grid.n;

	if ((pn->range.fn == QL_FN_RATE || pn->range.fn == QL_FN_INCREASE) &&
	    (!c->hists || ql_bits_any(c->has, n)))
		ql_notes_counter(&x->notes, no_place, from->ls, pn->range.by_type);
	while (pn->range.fn == QL_FN_QUANTILE_OVER_TIME && w->noted < n) {
		uint32_t k = n - w->noted;
		if (q->kind != QL_SAME && k > QL_NOTES_PART)
			k = QL_NOTES_PART;
		ql_notes_quantiles(
		    &x->notes, ql_bare_pos(pn->ast->call.args[0]), q, c->has, w->noted, k);
		w->noted += k;
		if (w->noted < n && ql_tick(x, 8 * (uint64_t)k))
			return false;
	}
	w->noted = 0;
	return true;
}

/* What counts as used at each step: some thousand of them. Points are not read. */
static void window_tally(struct ql_run *x, const struct ql_pn *pn, const struct sample_column *in)
{
	const struct ql_range *r = &((const struct window_state *)pn->state)->range;
	struct ql_tally used = { .n = x->tally->n, .used = x->tally->used };

	if (used.n == 1 || pn->scope.reads.one)
		ql_tally_alike(x->tally, r->samples_in_windows * (pn->scope.uses / used.n));
	else
		ql_tally_windows(&used, r, in, true, 0, pn->grid.n);
}

/* The windows of the points; false when the slice ended, or x->err. */
static bool window_values(struct ql_run *x, struct ql_pn *pn, struct ql_col *c)
{
	struct window_state *w = pn->state;
	struct sample_column in = {
		.count = w->points, .t_ms = w->t, .v = w->v, .h = w->has_hists ? w->h : NULL
	};

	x->err = ql_range_run(&w->range, &in, c, &w->any, x->eb);
	if (x->err || w->range.again)
		return false;
	w->points = 0;
	x->samples_used += w->range.samples_in_windows * pn->scope.uses;
	if (UNLIKELY(x->tally != NULL) && pn->scope.uses && w->range.samples_in_windows)
		window_tally(x, pn, &in);
	return true;
}

/* The result's histograms are scratch: copies stay. False when the slice ended, or x->err. */
static bool window_copies(struct ql_run *x, struct ql_pn *pn, struct ql_col *c)
{
	struct window_state *w = pn->state;
	uint32_t n = pn->grid.n;
	uint64_t work;

	if (!w->made) {
		if ((x->err = ql_charge(&x->budget, n, x->eb)))
			return false;
		w->made = c->hists;
		ql_col_hists(x->arena, c, n);
	}
	while (w->copied < n) {
		x->err = ql_hists_copy(
		    &x->budget, x->arena, c->hists, w->made, n, &w->copied, &work, x->eb);
		if (x->err || (w->copied < n && ql_tick(x, work)))
			return false;
	}
	return true;
}

static enum ql_did window_column(struct ql_run *x, struct ql_pn *pn, const struct ql_col *from)
{
	struct window_state *w = pn->state;
	w->range.labels = from->ls;
	struct ql_col *c = w->range.again || w->any ? &pn->vec.cols[pn->vec.count - 1]
	                                            : ql_run_col(x, &pn->vec, from->ls, pn->grid.n);

	if (!c)
		return QL_FAILED;
	if (!w->any && !window_values(x, pn, c))
		return x->err ? QL_FAILED : QL_AGAIN;
	if (w->any && UNLIKELY(c->hists != NULL) && !window_copies(x, pn, c))
		return x->err ? QL_FAILED : QL_AGAIN;
	if (w->any && !window_notes(x, pn, from, c))
		return QL_AGAIN;
	pn->step = 0;
	if (!w->any) {
		pn->vec.count--;
		ql_uncharge(&x->budget, pn->grid.n);
		return QL_DONE;
	}
	w->any = false;
	w->made = NULL;
	w->copied = 0;
	c->drop_name = from->drop_name;
	if (!ql_range_keeps_name(pn->range.fn))
		ql_run_drop_name(x, c);
	return QL_DONE;
}

static enum err window_start(struct ql_run *x, struct ql_pn *pn)
{
	struct window_state *w = pn->state = arena_zalloc(x->arena, sizeof(*w));
	uint32_t n = pn->arg[0]->grid.n;
	uint64_t bytes = (uint64_t)n * (sizeof(*w->t) + sizeof(*w->v));

	arena_init(&w->hints, 4096);
	arena_purse(&w->hints, x->budget.bytes);
	ql_run_at_end(x, window_release, w);
	for (unsigned i = 1; i < pn->args_count; i++)
		pn->range.param[i - 1] = pn->arg[i]->scalar;
	enum err e = ql_range_init(&w->range, &pn->range, &x->budget, x->eb);
	if (!e)
		e = ql_charge_heap(&x->budget, bytes, x->eb);
	if (e)
		return e;
	w->range.yield = window_yield;
	w->range.yield_arg = x;
	w->range.notes = &x->notes;
	w->range.pos = pn->range.fn == QL_FN_QUANTILE_OVER_TIME ? ql_bare_pos(pn->ast->call.args[0])
	                                                        : no_place;
	w->budget = &x->budget;
	w->charged = bytes;
	w->t = mem_array(NULL, n, sizeof(*w->t));
	w->v = mem_array(NULL, n, sizeof(*w->v));
	return ERR_OK;
}

/* A column with histograms is at hand: room for them, once. */
static enum err window_room(struct ql_run *x, struct window_state *w, uint32_t n)
{
	uint64_t bytes = (uint64_t)n * sizeof(*w->h);

	arena_reset(&w->hints, 64u << 10);
	if (w->h)
		return ERR_OK;
	enum err e = ql_charge_heap(&x->budget, bytes, x->eb);
	if (e)
		return e;
	w->charged += bytes;
	w->h = mem_array(NULL, n, sizeof(*w->h));
	return ERR_OK;
}

/* The points of the column at pn->pos. False when the slice ended, or x->err. */
static bool window_gather(struct ql_run *x, struct ql_pn *pn, const struct ql_col *c)
{
	struct window_state *w = pn->state;
	const struct ql_grid *g = &pn->arg[0]->grid;

	if (LIKELY(!c->hists)) {
		w->has_hists = false;
		return window_points(x, pn, c, g);
	}
	if (!pn->step && (x->err = window_room(x, w, g->n)))
		return false;
	w->has_hists = true;
	return window_hists(x, pn, c, g, false);
}

enum ql_did ql_window_run(struct ql_run *x, struct ql_pn *pn)
{
	const struct ql_vec *v = &pn->arg[0]->vec;

	if (!pn->state && v->count && (x->err = window_start(x, pn)))
		return QL_FAILED;
	while (pn->pos < v->count) {
		struct window_state *w = pn->state;
		if (!window_gather(x, pn, &v->cols[pn->pos]))
			return x->err ? QL_FAILED : QL_AGAIN;
		enum ql_did did = window_column(x, pn, &v->cols[pn->pos]);
		if (did)
			return did;
		pn->pos++;
		if (ql_tick(x, (uint64_t)pn->grid.n + w->range.samples_in_windows))
			return QL_AGAIN;
	}
	if (pn->state)
		window_release(pn->state);
	/* What absent_over_time looks for has no labels: equal sets are none of its business. */
	bool absent = pn->range.fn == QL_FN_ABSENT_OVER_TIME;
	return ql_run_tidy(x, pn, absent ? QL_EQUAL_NONE : ql_run_equal(x, QL_EQUAL_FAILS));
}

/* The column's points as a series of the result. */
static enum ql_did subquery_series(struct ql_run *x, struct ql_pn *pn, const struct ql_col *c)
{
	const struct ql_grid *g = &pn->arg[0]->grid;
	struct window_state *w = pn->state;

	if (!w->t) {
		uint32_t count = ql_bits_count(c->has, g->n);
		if (c->hists)
			count += 2 * ql_bits_count(c->hists->has, g->n);
		if ((x->err = ql_charge(&x->budget, (uint64_t)count * 2, x->eb)))
			return QL_FAILED;
		w->t = arena_array(x->arena, (size_t)count + 1, sizeof(*w->t));
		w->v = arena_array(x->arena, (size_t)count + 1, sizeof(*w->v));
		if (c->hists)
			w->h = arena_array(x->arena, (size_t)count + 1, sizeof(*w->h));
	}
	if (!(c->hists ? window_hists(x, pn, c, g, true) : window_points(x, pn, c, g)))
		return QL_AGAIN;
	struct labels ls = c->drop_name ? ql_labels_drop_name(x->arena, c->ls) : c->ls;
	if (w->points)
		pn->raw[pn->raw_count++] = (struct ql_series){
			.labels = ls, .count = w->points, .t_ms = w->t, .v = w->v, .h = w->h
		};
	*w = (struct window_state){ 0 };
	pn->step = 0;
	pn->pos++;
	return QL_DONE;
}

enum ql_did ql_subquery_run(struct ql_run *x, struct ql_pn *pn)
{
	const struct ql_pn *a = pn->args_count ? pn->arg[0] : NULL;

	if (!a)
		return QL_DONE;
	if (!pn->raw) {
		pn->raw = arena_array(x->arena, (size_t)a->vec.count + 1, sizeof(*pn->raw));
		pn->state = arena_zalloc(x->arena, sizeof(struct window_state));
	}
	while (pn->pos < a->vec.count) {
		enum ql_did did = subquery_series(x, pn, &a->vec.cols[pn->pos]);
		if (did)
			return did;
		if (ql_tick(x, 16))
			return QL_AGAIN;
	}
	return QL_DONE;
}
