#include "core/promql/run/ql_reduce.h"

void ql_reducer_init(struct ql_reducer *r, const struct ql_reduce *spec, uint32_t n, struct arena *a)
{
	*r = (struct ql_reducer){ .spec = spec, .arena = a, .n = n };
	switch (spec->kind) {
	case QL_REDUCE_NONE:
		break;
	case QL_REDUCE_AGGR:
		ql_aggr_init(&r->u.aggr, spec->op, spec->names, spec->without, n, a);
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
	}
}

enum err ql_reducer_add(struct ql_reducer *r, const struct ql_col *col, bool *more,
    struct ql_budget *b, struct errbuf *eb)
{
	switch (r->spec->kind) {
	case QL_REDUCE_NONE:
		break;
	case QL_REDUCE_AGGR:
		return ql_aggr_add(&r->u.aggr, col, more, b, eb);
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
	}
	*more = false;
	return ERR_OK;
}

/* Room for the results, at the first call. */
static enum err finish_room(struct ql_reducer *r, struct ql_vec *out, uint32_t count,
    struct ql_budget *b, struct errbuf *eb)
{
	if (count <= out->cap)
		return ERR_OK;
	enum err e = ql_room(b, (uint64_t)count * sizeof(*out->cols), eb);
	if (!e)
		ql_vec_reserve(r->arena, out, count);
	return e;
}

static enum err finish_aggr(
    struct ql_reducer *r, struct ql_vec *out, bool *more, struct ql_budget *b, struct errbuf *eb)
{
	struct ql_aggr *g = &r->u.aggr;
	enum err e = finish_room(r, out, g->tab.count, b, eb);
	struct ql_col col;

	if (!e && r->_pos < g->tab.count && !ql_aggr_finish(g, r->_pos, &col)) {
		*ql_vec_add(r->arena, out) = col;
		r->_pos++;
	}
	*more = !e && r->_pos < g->tab.count;
	return e;
}

enum err ql_reducer_finish(
    struct ql_reducer *r, struct ql_vec *out, bool *more, struct ql_budget *b, struct errbuf *eb)
{
	switch (r->spec->kind) {
	case QL_REDUCE_NONE:
		break;
	case QL_REDUCE_AGGR:
		return finish_aggr(r, out, more, b, eb);
	}
	*more = false;
	return ERR_OK;
}

size_t ql_reducer_bytes(const struct ql_reducer *r)
{
	switch (r->spec->kind) {
	case QL_REDUCE_NONE:
		break;
	case QL_REDUCE_AGGR:
		return ql_aggr_bytes(&r->u.aggr);
	}
	return 0;
}
