/* Nodes that make scalars, and scalars as vectors. */
#include "core/promql/run/ql_nodes.h"

#include <math.h>
#include <string.h>

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

enum ql_did ql_scalar_node_run(struct ql_run *x, struct ql_pn *pn)
{
	const struct ql_scalar *ls = &pn->arg[0]->scalar;
	const struct ql_scalar *rs = pn->args_count > 1 ? &pn->arg[1]->scalar : ls;
	double *out = pn->state ? pn->state : scalar_make(x, pn->grid.n);
	SCRATCH double room[2][QL_PART];

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

enum ql_did ql_scalar_of_run(struct ql_run *x, struct ql_pn *pn)
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
bool ql_fill_column(struct ql_run *x, struct ql_pn *pn, const struct ql_scalar *s, struct ql_col *c)
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

enum ql_did ql_vector_of_run(struct ql_run *x, struct ql_pn *pn)
{
	if (!pn->vec.count && !ql_run_col(x, &pn->vec, (struct labels){ 0 }, pn->grid.n))
		return QL_FAILED;
	return ql_fill_column(x, pn, &pn->arg[0]->scalar, &pn->vec.cols[0]) ? QL_DONE : QL_AGAIN;
}

static void extent_add(struct ql_extent *e, const double *v, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		e->nan = e->nan || isnan(v[i]);
		e->min = ql_min_of(e->min, v[i]);
		e->max = ql_max_of(e->max, v[i]);
	}
}

bool ql_extent_run(struct ql_run *x, struct ql_extent *e, const struct ql_scalar *s, uint32_t n)
{
	SCRATCH double room[QL_PART];

	while (e->pos < n) {
		uint32_t count = ql_part(e->pos, n);
		if (s->kind == QL_SAME)
			count = 1;
		extent_add(e, ql_scalar_run(s, e->pos, count, room), count);
		e->pos = s->kind == QL_SAME ? n : e->pos + count;
		if (ql_tick(x, count) && e->pos < n)
			return false;
	}
	return true;
}
