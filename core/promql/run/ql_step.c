/* The nodes of a plan that need no file of their own, and what all of them share. */
#include "core/promql/run/ql_run.h"

#include "core/rt/job.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- shared --- */

bool ql_tick(struct ql_run *x, uint64_t values)
{
	uint64_t work = x->_work + values + 16;
	x->_work = work < QL_TICK ? (uint32_t)work : 0;
	return work >= QL_TICK && job_should_yield();
}

enum ql_did ql_fail(struct ql_run *x, enum err e)
{
	x->err = e;
	return QL_FAILED;
}

enum ql_did ql_failf(struct ql_run *x, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	x->err = errbuf_vset(x->eb, ERR_EXECUTION, fmt, ap);
	va_end(ap);
	return QL_FAILED;
}

void ql_run_at_end(struct ql_run *x, void (*fn)(void *arg), void *arg)
{
	struct ql_cleanup *c = arena_alloc(x->arena, sizeof(*c));
	*c = (struct ql_cleanup){ .next = x->cleanups, .fn = fn, .arg = arg };
	x->cleanups = c;
}

void ql_run_clean(struct ql_run *x)
{
	for (; x->cleanups; x->cleanups = x->cleanups->next)
		x->cleanups->fn(x->cleanups->arg);
}

struct ql_col *ql_run_col(struct ql_run *x, struct ql_vec *v, struct labels ls, uint32_t n)
{
	x->err = ql_charge(&x->budget, n, x->eb);
	if (x->err)
		return NULL;
	struct ql_col *c = ql_vec_add(x->arena, v);
	ql_col_init(x->arena, c, ls, label_hash(ls), n);
	return c;
}

void ql_run_drop_name(struct ql_run *x, struct ql_col *c)
{
	if (x->late) {
		c->drop_name = true;
		return;
	}
	struct labels ls = ql_labels_drop_name(x->arena, c->ls);
	if (ls.len != c->ls.len) {
		c->ls = ls;
		c->hash = label_hash(ls);
	}
}

enum err ql_run_tidy(struct ql_run *x, struct ql_vec *v, uint32_t n, bool same, bool strict)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < v->count; i++)
		if (ql_bits_any(v->cols[i].has, n))
			v->cols[kept++] = v->cols[i];
	v->count = kept;
	return same ? ql_vec_merge_same(x->arena, v, n, strict, x->eb) : ERR_OK;
}

/* --- sorting --- */

void ql_sorter_init(struct ql_sorter *s, struct arena *a, uint32_t count,
    int (*cmp)(const void *arg, uint32_t a, uint32_t b), const void *arg)
{
	*s = (struct ql_sorter){ .count = count, .cmp = cmp, .arg = arg, ._width = 1 };
	s->idx = arena_array(a, (size_t)count + 1, sizeof(*s->idx));
	s->_tmp = arena_array(a, (size_t)count + 1, sizeof(*s->_tmp));
	for (uint32_t i = 0; i < count; i++)
		s->idx[i] = i;
}

/* One merge of two runs; false when the slice ended inside it. */
static bool sorter_merge(struct ql_sorter *s, struct ql_run *x, uint32_t mid, uint32_t hi)
{
	while (s->_i < mid && s->_j < hi) {
		bool right = s->cmp(s->arg, s->idx[s->_i], s->idx[s->_j]) > 0;
		s->_tmp[s->_k++] = s->idx[right ? s->_j++ : s->_i++];
		if (ql_tick(x, 16))
			return false;
	}
	while (s->_i < mid)
		s->_tmp[s->_k++] = s->idx[s->_i++];
	while (s->_j < hi)
		s->_tmp[s->_k++] = s->idx[s->_j++];
	memcpy(s->idx + s->_lo, s->_tmp + s->_lo, (size_t)(hi - s->_lo) * sizeof(*s->idx));
	return true;
}

static uint32_t least(uint64_t a, uint32_t b)
{
	return a < b ? (uint32_t)a : b;
}

bool ql_sorter_run(struct ql_sorter *s, struct ql_run *x)
{
	for (; s->_width < s->count; s->_width *= 2, s->_lo = 0) {
		while (s->_lo < s->count) {
			uint32_t mid = least((uint64_t)s->_lo + s->_width, s->count);
			uint32_t hi = least((uint64_t)mid + s->_width, s->count);
			if (!s->_open) {
				s->_i = s->_k = s->_lo;
				s->_j = mid;
				s->_open = true;
			}
			if (!sorter_merge(s, x, mid, hi))
				return false;
			s->_open = false;
			s->_lo = hi;
		}
	}
	return true;
}

int ql_vec_cmp_labels(const void *arg, uint32_t a, uint32_t b)
{
	const struct ql_vec *v = arg;
	return label_cmp(v->cols[a].ls, v->cols[b].ls);
}

/* --- scalars --- */

static bool elem_keeps(const struct ql_elem *e)
{
	switch (e->kind) {
	case QL_ELEM_MINUS:
		return true;
	case QL_ELEM_FN:
		return e->fn != QL_FN_CLAMP;
	case QL_ELEM_OP:
		return !ql_op_is_trim(e->op) && (!ql_op_is_compare(e->op) || e->return_bool);
	}
	return false;
}

/* Is its result one column at least, which is full? */
static bool has_column(const struct ql_pn *pn)
{
	while (pn->kind == PN_EXPAND || (pn->kind == PN_ELEM && elem_keeps(&pn->elem)))
		pn = pn->arg[0];
	return pn->kind == PN_VECTOR_OF;
}

uint64_t ql_pn_points(const struct ql_pn *pn)
{
	switch (pn->kind) {
	case PN_SCALAR_OP:
	case PN_SCALAR_NEG:
	case PN_SCALAR_FN:
	case PN_SCALAR_OF:
	case PN_VECTOR_OF:
		return pn->grid.n;
	case PN_EXPAND:
		return has_column(pn) ? pn->grid.n : 0;
	case PN_SCALAR:
	case PN_STRING:
	case PN_EMPTY:
	case PN_PIECE:
	case PN_ELEM:
	case PN_BINARY:
	case PN_SET:
	case PN_AGGR:
	case PN_TOPK:
	case PN_QUANTILE:
	case PN_COUNT_VALUES:
	case PN_WINDOW:
	case PN_SUBQUERY:
	case PN_LABEL_REPLACE:
	case PN_LABEL_JOIN:
	case PN_SORT:
	case PN_HISTOGRAM:
	case PN_INFO:
	case PN_ABSENT:
		break;
	}
	return 0;
}

uint64_t ql_pn_scratch(const struct ql_pn *pn)
{
	bool window = pn->kind == PN_WINDOW && has_column(pn->arg[0]);
	return window ? (uint64_t)pn->arg[0]->grid.n * (sizeof(int64_t) + sizeof(double)) : 0;
}

static double *scalar_make(struct ql_run *x, uint32_t n)
{
	x->err = ql_charge(&x->budget, n, x->eb);
	return x->err ? NULL : arena_array(x->arena, n, sizeof(double));
}

static double scalar_value(const struct ql_pn *pn, double l, double r)
{
	if (pn->kind == PN_SCALAR_NEG)
		return -l;
	if (pn->kind == PN_SCALAR_FN)
		return pn->ast->call.func->fn == QL_FN_MIN_OF ? ql_min_of(l, r) : ql_max_of(l, r);
	return ql_op_is_compare(pn->ast->bin.op) ? ql_compare(pn->ast->bin.op, l, r)
	                                         : ql_arith(pn->ast->bin.op, l, r);
}

static enum ql_did run_scalar(struct ql_run *x, struct ql_pn *pn)
{
	const struct ql_scalar *ls = &pn->arg[0]->scalar;
	const struct ql_scalar *rs = pn->args_count > 1 ? &pn->arg[1]->scalar : ls;
	double *out = pn->state ? pn->state : scalar_make(x, pn->grid.n);
	double room[2][QL_PART];

	if (!out)
		return QL_FAILED;
	pn->state = out;
	while (pn->step < pn->grid.n) {
		uint32_t count = ql_part(pn->step, pn->grid.n);
		const double *l = ql_scalar_run(ls, pn->step, count, room[0]);
		const double *r = ql_scalar_run(rs, pn->step, count, room[1]);
		for (uint32_t i = 0; i < count; i++)
			out[pn->step + i] = scalar_value(pn, l[i], r[i]);
		pn->step += count;
		if (ql_tick(x, count))
			return QL_AGAIN;
	}
	pn->scalar = ql_scalar_each(out);
	return QL_DONE;
}

struct scalar_of {
	double *out;
	uint64_t seen[QL_PART / 64]; /* steps of the part that have an element */
};

/* One column in the part at hand: a second element at a step makes NaN. */
static void scalar_of_column(
    struct scalar_of *s, uint32_t from, uint32_t count, const struct ql_col *c)
{
	QL_EACH_BIT(i, c->has + from / 64, count)
	{
		s->out[from + i] = ql_bit(s->seen, i) ? (double)NAN : c->v[from + i];
		ql_bit_on(s->seen, i);
	}
}

static enum ql_did run_scalar_of(struct ql_run *x, struct ql_pn *pn)
{
	const struct ql_vec *v = &pn->arg[0]->vec;
	struct scalar_of *s = pn->state;

	if (!s) {
		s = pn->state = arena_zalloc(x->arena, sizeof(*s));
		if (!(s->out = scalar_make(x, pn->grid.n)))
			return QL_FAILED;
	}
	while (pn->step < pn->grid.n) {
		uint32_t count = ql_part(pn->step, pn->grid.n);
		for (uint32_t i = 0; i < count && !pn->pos; i++)
			s->out[pn->step + i] = NAN;
		while (pn->pos < v->count) {
			scalar_of_column(s, pn->step, count, &v->cols[pn->pos++]);
			if (ql_tick(x, count) && pn->pos < v->count)
				return QL_AGAIN;
		}
		memset(s->seen, 0, sizeof(s->seen));
		pn->step += count;
		pn->pos = 0;
		if (ql_tick(x, count))
			return QL_AGAIN;
	}
	pn->scalar = ql_scalar_each(s->out);
	return QL_DONE;
}

/* The scalar into the column, which is full then. False when the slice ended. */
static bool fill_column(
    struct ql_run *x, struct ql_pn *pn, const struct ql_scalar *s, struct ql_col *c)
{
	uint32_t n = pn->grid.n;

	while (pn->step < n) {
		uint32_t count = ql_part(pn->step, n);
		double *to = c->v + pn->step;
		const double *from = ql_scalar_run(s, pn->step, count, to);
		if (from != to)
			memcpy(to, from, count * sizeof(*to));
		ql_bits_fill(c->has + pn->step / 64, count);
		pn->step += count;
		if (ql_tick(x, count))
			return false;
	}
	pn->step = 0;
	return true;
}

static enum ql_did run_vector_of(struct ql_run *x, struct ql_pn *pn)
{
	if (!pn->vec.count && !ql_run_col(x, &pn->vec, (struct labels){ 0 }, pn->grid.n))
		return QL_FAILED;
	return fill_column(x, pn, &pn->arg[0]->scalar, &pn->vec.cols[0]) ? QL_DONE : QL_AGAIN;
}

/* --- per value --- */

static void note_trim(struct ql_run *x, const struct ql_pn *pn)
{
	const char *op = ql_op_text(pn->ast->bin.op);
	ql_notes_add(&x->notes, true, pn->ast->pos,
	    "incompatible sample types encountered for binary operator \"%s\": float %s float", op,
	    op);
}

static enum ql_did run_elem(struct ql_run *x, struct ql_pn *pn)
{
	uint32_t n = pn->grid.n;
	bool drops = ql_elem_drops_name(&pn->elem);

	if (!pn->state) {
		pn->state = pn;
		pn->vec = pn->arg[0]->vec;
		for (unsigned i = 1; i < pn->args_count; i++)
			pn->elem.param[i - 1] = pn->arg[i]->scalar;
		if (pn->elem.kind == QL_ELEM_OP && ql_op_is_trim(pn->elem.op)) {
			if (pn->vec.count)
				note_trim(x, pn);
			pn->vec.count = 0;
		}
	}
	while (pn->pos < pn->vec.count) {
		struct ql_col *c = &pn->vec.cols[pn->pos];
		uint32_t count = ql_part(pn->step, n);
		ql_elem_part(&pn->elem, &pn->grid, pn->step, c->v, c->has);
		pn->step += count;
		if (pn->step == n) {
			if (drops)
				ql_run_drop_name(x, c);
			pn->step = 0;
			pn->pos++;
		}
		if (ql_tick(x, count))
			return QL_AGAIN;
	}
	x->err = ql_run_tidy(x, &pn->vec, n, drops && !x->late, false);
	return x->err ? QL_FAILED : QL_DONE;
}

static enum ql_did run_expand(struct ql_run *x, struct ql_pn *pn)
{
	const struct ql_pn *a = pn->arg[0];
	uint32_t n = pn->grid.n;

	if (a->scalar.kind != QL_UNKNOWN) {
		pn->scalar = ql_scalar_same(ql_scalar_at(&a->scalar, 0));
		return QL_DONE;
	}
	while (pn->pos < a->vec.count) {
		const struct ql_col *from = &a->vec.cols[pn->pos];
		if (!ql_bit(from->has, 0)) {
			pn->pos++;
			continue;
		}
		struct ql_scalar same = ql_scalar_same(from->v[0]);
		struct ql_col *c = pn->step ? &pn->vec.cols[pn->vec.count - 1]
		                            : ql_run_col(x, &pn->vec, from->ls, n);
		if (!c)
			return QL_FAILED;
		c->drop_name = from->drop_name;
		bool filled = fill_column(x, pn, &same, c);
		pn->pos += filled;
		if (!filled)
			return QL_AGAIN;
	}
	pn->ordered = a->ordered;
	return QL_DONE;
}

/* --- aggregation at home --- */

static void aggr_release(void *arg)
{
	ql_aggr_release(arg);
}

static enum ql_did run_aggr(struct ql_run *x, struct ql_pn *pn)
{
	const struct ql_node *ast = pn->ast;
	const struct ql_vec *v = &pn->arg[0]->vec;
	struct ql_aggr *g = pn->state;

	if (!g) {
		g = pn->state = arena_zalloc(x->arena, sizeof(*g));
		ql_aggr_init(g, ast->agg.op,
		    ql_aggr_names(
		        x->arena, ast->agg.grouping, ast->agg.grouping_count, ast->agg.without),
		    ast->agg.without, pn->grid.n, x->arena);
		ql_run_at_end(x, aggr_release, g);
	}
	while (pn->pos < v->count) {
		enum err e = ql_aggr_add(g, &v->cols[pn->pos++], &x->budget, x->eb);
		if (e)
			return ql_fail(x, e);
		if (ql_tick(x, pn->grid.n))
			return QL_AGAIN;
	}
	for (uint32_t i = 0; i < g->tab.count; i++)
		ql_aggr_finish(g, i, ql_vec_add(x->arena, &pn->vec));
	return QL_DONE;
}

/* --- subqueries --- */

struct window_state {
	struct ql_range range;
	int64_t *t;
	double *v;
	uint32_t points; /* of the column at hand, gathered so far */
	struct ql_budget *budget;
	uint64_t charged;
};

static void note_window_counter(struct ql_run *x, const struct ql_pn *pn, const struct ql_col *c)
{
	static const char *const ends[] = { "_total", "_sum", "_count", "_bucket" };
	uint32_t len;
	const char *name = label_get(c->ls, LABEL_NAME, sizeof(LABEL_NAME) - 1, &len);

	if ((pn->range.fn != QL_FN_RATE && pn->range.fn != QL_FN_INCREASE) || !name || !len)
		return;
	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		size_t n = strlen(ends[i]);
		if (len >= n && memcmp(name + len - n, ends[i], n) == 0)
			return;
	}
	ql_notes_add(&x->notes, true, pn->ast->call.args[0]->pos,
	    "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: %s",
	    ql_fmt_q(x->arena, name, len));
}

static void window_release(void *arg)
{
	struct window_state *w = arg;

	ql_range_release(&w->range);
	mem_free(w->t);
	mem_free(w->v);
	if (w->charged)
		ql_uncharge_heap(w->budget, w->charged);
	*w = (struct window_state){ 0 };
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

static enum ql_did window_column(struct ql_run *x, struct ql_pn *pn, const struct ql_col *from)
{
	struct window_state *w = pn->state;
	struct ql_col *c = w->range.again ? &pn->vec.cols[pn->vec.count - 1]
	                                  : ql_run_col(x, &pn->vec, from->ls, pn->grid.n);
	bool any;

	if (!c)
		return QL_FAILED;
	x->err = ql_range_run(&w->range, w->t, w->v, w->points, c->v, c->has, &any, x->eb);
	if (x->err)
		return QL_FAILED;
	if (w->range.again)
		return QL_AGAIN;
	w->points = 0;
	pn->step = 0;
	x->samples_used += w->range.samples_in_windows * pn->scope.uses;
	if (!any) {
		pn->vec.count--;
		ql_uncharge(&x->budget, pn->grid.n);
		return QL_DONE;
	}
	note_window_counter(x, pn, from);
	if (pn->range.fn == QL_FN_QUANTILE_OVER_TIME)
		ql_notes_quantiles(&x->notes, ql_bare_pos(pn->ast->call.args[0]),
		    &pn->range.param[0], c->has, pn->grid.n);
	c->drop_name = from->drop_name;
	if (pn->range.fn != QL_FN_LAST_OVER_TIME && pn->range.fn != QL_FN_FIRST_OVER_TIME)
		ql_run_drop_name(x, c);
	return QL_DONE;
}

static enum err window_start(struct ql_run *x, struct ql_pn *pn)
{
	struct window_state *w = pn->state = arena_zalloc(x->arena, sizeof(*w));
	uint32_t n = pn->arg[0]->grid.n;
	uint64_t bytes = (uint64_t)n * (sizeof(*w->t) + sizeof(*w->v));

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
	w->budget = &x->budget;
	w->charged = bytes;
	w->t = mem_array(NULL, n, sizeof(*w->t));
	w->v = mem_array(NULL, n, sizeof(*w->v));
	return ERR_OK;
}

static enum ql_did run_window(struct ql_run *x, struct ql_pn *pn)
{
	const struct ql_vec *v = &pn->arg[0]->vec;

	if (!pn->state && v->count && (x->err = window_start(x, pn)))
		return QL_FAILED;
	while (pn->pos < v->count) {
		struct window_state *w = pn->state;
		if (!window_points(x, pn, &v->cols[pn->pos], &pn->arg[0]->grid))
			return QL_AGAIN;
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
	bool same = !x->late && pn->range.fn != QL_FN_ABSENT_OVER_TIME;
	x->err = ql_run_tidy(x, &pn->vec, pn->grid.n, same, pn->strict_same);
	return x->err ? QL_FAILED : QL_DONE;
}

/* The column's points as a series of the result. */
static enum ql_did subquery_series(struct ql_run *x, struct ql_pn *pn, const struct ql_col *c)
{
	const struct ql_grid *g = &pn->arg[0]->grid;
	struct window_state *w = pn->state;

	if (!w->t) {
		uint32_t count = ql_bits_count(c->has, g->n);
		if ((x->err = ql_charge(&x->budget, (uint64_t)count * 2, x->eb)))
			return QL_FAILED;
		w->t = arena_array(x->arena, (size_t)count + 1, sizeof(*w->t));
		w->v = arena_array(x->arena, (size_t)count + 1, sizeof(*w->v));
	}
	if (!window_points(x, pn, c, g))
		return QL_AGAIN;
	struct labels ls = c->drop_name ? ql_labels_drop_name(x->arena, c->ls) : c->ls;
	if (w->points)
		pn->raw[pn->raw_count++] =
		    (struct ql_series){ .labels = ls, .count = w->points, .t_ms = w->t, .v = w->v };
	*w = (struct window_state){ 0 };
	pn->step = 0;
	pn->pos++;
	return QL_DONE;
}

static enum ql_did run_subquery(struct ql_run *x, struct ql_pn *pn)
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

/* --- absent --- */

/*
 * Negative, and true for a missing label: upstream's storage moves these behind the others
 * (tsdb/querier.go, PostingsForMatchers).
 */
static bool subtracts(const struct matcher *m)
{
	return (m->type == MATCHER_NE || m->type == MATCHER_NRE) && m->matches_empty;
}

static int matcher_qcmp(const void *a, const void *b)
{
	const struct matcher *l = *(const struct matcher *const *)a;
	const struct matcher *r = *(const struct matcher *const *)b;
	size_t n = l->name_len < r->name_len ? l->name_len : r->name_len;
	int c = n ? memcmp(l->name, r->name, n) : 0;
	c = c ? c : (l->name_len > r->name_len) - (l->name_len < r->name_len);
	c = c ? c : subtracts(l) - subtracts(r);
	return c ? c : (l > r) - (l < r); /* as they stand in the selector */
}

static bool same_name(const struct matcher *a, const struct matcher *b)
{
	return a->name_len == b->name_len && memcmp(a->name, b->name, a->name_len) == 0;
}

/*
 * Labels that the selector fixes. The matchers of a name are taken from left to right: the first
 * "=" sets it, any other takes it away again
 * (promql/functions.go upstream, createLabelsForAbsentFunction).
 */
static struct labels absent_labels(struct ql_run *x, const struct ql_node *n)
{
	struct label_builder b;
	bool had = false;

	label_builder_init(&b, x->arena);
	while (n->kind == QL_PAREN)
		n = n->paren;
	if (n->kind != QL_SELECTOR)
		return label_builder_done(&b);
	uint32_t count = n->sel.matchers_count;
	const struct matcher **ms = arena_array(x->arena, (size_t)count + 1, sizeof(*ms));
	for (uint32_t i = 0; i < count; i++)
		ms[i] = &n->sel.matchers[i];
	qsort(ms, count, sizeof(*ms), matcher_qcmp);
	for (uint32_t i = 0; i < count; i++) {
		const struct matcher *m = ms[i];
		had = had && same_name(m, ms[i - 1]);
		if (m->type == MATCHER_EQ && !had) {
			label_builder_set(&b, m->name, m->name_len, m->value, m->value_len);
			had = true;
		} else {
			label_builder_del(&b, m->name, m->name_len);
		}
	}
	label_builder_del(&b, LABEL_NAME, sizeof(LABEL_NAME) - 1);
	return label_builder_done(&b);
}

static enum ql_did run_absent(struct ql_run *x, struct ql_pn *pn)
{
	const struct ql_vec *v = &pn->arg[0]->vec;
	uint32_t n = pn->grid.n;
	struct ql_col *c = ql_run_col(x, &pn->vec, absent_labels(x, pn->ast->call.args[0]), n);

	if (!c)
		return QL_FAILED;
	ql_bits_fill(c->has, n);
	for (uint32_t i = 0; i < v->count; i++)
		for (uint32_t w = 0; w < ql_words(n); w++)
			c->has[w] &= ~v->cols[i].has[w];
	QL_EACH_BIT(i, c->has, n)
	c->v[i] = 1;
	if (!ql_bits_any(c->has, n))
		pn->vec.count = 0;
	return QL_DONE;
}

enum ql_did ql_step_run(struct ql_run *x, struct ql_pn *pn)
{
	switch (pn->kind) {
	case PN_SCALAR:
	case PN_STRING:
	case PN_EMPTY:
	case PN_PIECE:
		return QL_DONE;
	case PN_SCALAR_OP:
	case PN_SCALAR_NEG:
	case PN_SCALAR_FN:
		return run_scalar(x, pn);
	case PN_SCALAR_OF:
		return run_scalar_of(x, pn);
	case PN_VECTOR_OF:
		return run_vector_of(x, pn);
	case PN_ELEM:
		return run_elem(x, pn);
	case PN_BINARY:
		return ql_binop_run(x, pn);
	case PN_SET:
		return ql_set_run(x, pn);
	case PN_AGGR:
		return run_aggr(x, pn);
	case PN_TOPK:
		return ql_topk_run(x, pn);
	case PN_QUANTILE:
		return ql_quantile_run(x, pn);
	case PN_COUNT_VALUES:
		return ql_count_values_run(x, pn);
	case PN_WINDOW:
		return run_window(x, pn);
	case PN_SUBQUERY:
		return run_subquery(x, pn);
	case PN_EXPAND:
		return run_expand(x, pn);
	case PN_LABEL_REPLACE:
		return ql_label_replace_run(x, pn);
	case PN_LABEL_JOIN:
		return ql_label_join_run(x, pn);
	case PN_SORT:
		return ql_sort_run(x, pn);
	case PN_HISTOGRAM:
		return ql_histogram_run(x, pn);
	case PN_INFO:
		return ql_info_run(x, pn);
	case PN_ABSENT:
		return run_absent(x, pn);
	}
	return QL_DONE;
}
