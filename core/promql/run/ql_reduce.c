#include "core/promql/run/ql_reduce.h"

void ql_reducer_init(struct ql_reducer *r, const struct ql_reduce *spec, uint32_t n, struct arena *a)
{
	*r = (struct ql_reducer){ .spec = spec, .arena = a, .n = n };
	switch (spec->kind) {
	case QL_REDUCE_NONE:
		break;
	case QL_REDUCE_AGGR:
		ql_aggr_init(&r->u.aggr, spec->op, spec->names, spec->without, n, a);
		r->u.aggr.pos = spec->inner;
		r->u.aggr.nameless = spec->drops_name;
		break;
	case QL_REDUCE_BEST:
		ql_best_init(&r->u.best, spec, n, a);
		break;
	}
}

void ql_reducer_release(struct ql_reducer *r)
{
	switch (r->spec->kind) {
	case QL_REDUCE_NONE:
		break;
	case QL_REDUCE_AGGR:
		ql_aggr_release(&r->u.aggr);
		break;
	case QL_REDUCE_BEST:
		ql_best_release(&r->u.best);
		break;
	}
}

static enum err add_best(struct ql_reducer *r, const struct ql_col *col, bool *more,
    struct ql_budget *b, struct errbuf *eb)
{
	enum err e = ql_best_add(&r->u.best, col, more, b, eb);
	r->work = r->u.best.work;
	return e;
}

enum err ql_reducer_add(struct ql_reducer *r, const struct ql_col *col, bool *more,
    struct ql_budget *b, struct errbuf *eb)
{
	switch (r->spec->kind) {
	case QL_REDUCE_NONE:
		break;
	case QL_REDUCE_AGGR:
		return ql_aggr_add(&r->u.aggr, col, more, b, eb);
	case QL_REDUCE_BEST:
		return add_best(r, col, more, b, eb);
	}
	*more = false;
	return ERR_OK;
}

enum err ql_reducer_merge(struct ql_reducer *r, struct ql_reducer *from, bool *more,
    struct ql_budget *b, struct errbuf *eb)
{
	switch (r->spec->kind) {
	case QL_REDUCE_NONE:
		break;
	case QL_REDUCE_AGGR:
		return ql_aggr_merge(&r->u.aggr, &from->u.aggr, more, b, eb);
	case QL_REDUCE_BEST:
		return ql_best_merge(&r->u.best, &from->u.best, more, b, eb);
	}
	*more = false;
	return ERR_OK;
}

static enum ql_did finish_aggr(struct ql_run *x, struct ql_reducer *r, struct ql_vec *out)
{
	struct ql_aggr *g = &r->u.aggr;
	struct ql_col col;

	if (!ql_run_reserve(x, out, g->tab.count))
		return QL_FAILED;
	while (r->_pos < g->tab.count) {
		if (!ql_aggr_finish(g, r->_pos, &col)) {
			if (ql_col_any(&col, r->n))
				*ql_vec_add(x->arena, out) = col;
			r->_pos++;
		}
		if (ql_tick(x, ql_aggr_part(r->n)))
			return QL_AGAIN;
	}
	return QL_DONE;
}

enum ql_did ql_reducer_finish(struct ql_run *x, struct ql_reducer *r, struct ql_vec *out)
{
	switch (r->spec->kind) {
	case QL_REDUCE_NONE:
		break;
	case QL_REDUCE_AGGR:
		return finish_aggr(x, r, out);
	case QL_REDUCE_BEST:
		return ql_best_finish(x, &r->u.best, out);
	}
	return QL_DONE;
}

void ql_reducer_notes(struct ql_reducer *r, struct ql_notes *notes)
{
	switch (r->spec->kind) {
	case QL_REDUCE_NONE:
		break;
	case QL_REDUCE_AGGR:
		r->u.aggr.notes = notes;
		break;
	case QL_REDUCE_BEST:
		r->u.best.notes = notes;
		break;
	}
}

bool ql_reducer_may_collide(const struct ql_reducer *r)
{
	return r->spec->kind == QL_REDUCE_BEST && r->u.best.may_collide;
}

size_t ql_reducer_bytes(const struct ql_reducer *r)
{
	switch (r->spec->kind) {
	case QL_REDUCE_NONE:
		break;
	case QL_REDUCE_AGGR:
		return ql_aggr_bytes(&r->u.aggr);
	case QL_REDUCE_BEST:
		return ql_best_bytes(&r->u.best);
	}
	return 0;
}
