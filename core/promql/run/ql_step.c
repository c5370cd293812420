/* One step of a query: the node at hand runs. Small nodes are here, others have a file. */
#include "core/promql/run/ql_aggr.h"
#include "core/promql/run/ql_elem.h"
#include "core/promql/run/ql_nodes.h"

static enum ql_did run_elem(struct ql_run *x, struct ql_pn *pn)
{
	struct ql_elem_room room = { x->arena, &x->notes };
	bool drops = ql_elem_drops_name(&pn->elem);
	struct ql_elem_at *at = pn->state;
	uint64_t work;

	if (!at) {
		at = pn->state = arena_zalloc(x->arena, sizeof(*at));
		pn->vec = pn->arg[0]->vec;
		for (unsigned i = 1; i < pn->args_count; i++)
			pn->elem.param[i - 1] = pn->arg[i]->scalar;
	}
	while (pn->pos < pn->vec.count) {
		struct ql_col *c = &pn->vec.cols[pn->pos];
		work = ql_elem_next(&pn->elem, 1, &pn->grid, c, &room, at);
		if (!work) {
			if (drops)
				ql_run_drop_name(x, c);
			pn->pos++;
		}
		if (ql_tick(x, work))
			return QL_AGAIN;
	}
	return ql_run_tidy(x, pn, drops ? ql_run_equal(x, QL_EQUAL_JOINS) : QL_EQUAL_NONE);
}

/* One histogram at all steps. */
static enum ql_did expand_hist(struct ql_run *x, struct ql_pn *pn, const struct ql_col *from)
{
	uint32_t n = pn->grid.n, i = pn->step, count = ql_part(i, n);
	struct ql_col *c =
	    i ? &pn->vec.cols[pn->vec.count - 1] : ql_run_col(x, &pn->vec, from->ls, n);

	if (!c || (!i && (x->err = ql_charge(&x->budget, n, x->eb))))
		return QL_FAILED;
	if (!i)
		ql_col_hists(x->arena, c, n);
	c->drop_name = from->drop_name;
	for (; i < pn->step + count; i++) {
		c->hists->h[i] = from->hists->h[0];
		ql_bit_on(c->hists->has, i);
	}
	pn->step = i < n ? i : 0;
	pn->pos += i == n;
	return ql_tick(x, count) ? QL_AGAIN : QL_DONE;
}

static enum ql_did run_expand(struct ql_run *x, struct ql_pn *pn)
{
	const struct ql_pn *a = pn->arg[0];
	uint32_t n = pn->grid.n;

	if (a->scalar.kind != QL_UNKNOWN) {
		pn->scalar = ql_scalar_same(ql_scalar_at(&a->scalar, 0));
		return QL_DONE;
	}
	if (!ql_run_reserve(x, &pn->vec, a->vec.count))
		return QL_FAILED;
	while (pn->pos < a->vec.count) {
		const struct ql_col *from = &a->vec.cols[pn->pos];
		if (UNLIKELY(from->hists && ql_bit(from->hists->has, 0))) {
			enum ql_did did = expand_hist(x, pn, from);
			if (did)
				return did;
			continue;
		}
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
		bool filled = ql_fill_column(x, pn, &same, c);
		pn->pos += filled;
		if (!filled)
			return QL_AGAIN;
	}
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
		g->notes = &x->notes;
		g->pos = ql_bare_pos(ast->agg.expr);
		ql_run_at_end(x, aggr_release, g);
	}
	while (pn->pos < v->count) {
		bool more;
		enum err e = ql_aggr_add(g, &v->cols[pn->pos], &more, &x->budget, x->eb);
		if (e)
			return ql_fail(x, e);
		pn->pos += !more;
		if (ql_tick(x, ql_aggr_part(pn->grid.n)))
			return QL_AGAIN;
	}
	if (!ql_run_reserve(x, &pn->vec, g->tab.count))
		return QL_FAILED;
	while (pn->step < g->tab.count) {
		struct ql_col col;
		if (!ql_aggr_finish(g, pn->step, &col)) {
			if (ql_col_any(&col, pn->grid.n))
				*ql_vec_add(x->arena, &pn->vec) = col;
			pn->step++;
		}
		if (ql_tick(x, ql_aggr_part(pn->grid.n)))
			return QL_AGAIN;
	}
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
		return ql_scalar_node_run(x, pn);
	case PN_SCALAR_OF:
		return ql_scalar_of_run(x, pn);
	case PN_VECTOR_OF:
		return ql_vector_of_run(x, pn);
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
		return ql_window_run(x, pn);
	case PN_SUBQUERY:
		return ql_subquery_run(x, pn);
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
		return ql_absent_run(x, pn);
	}
	return QL_DONE;
}
