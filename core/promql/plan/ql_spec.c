#include "core/promql/plan/ql_spec.h"

#include <string.h>

#include "core/promql/lang/ql_arith.h"

bool ql_range_knows(enum ql_fn fn)
{
	const struct ql_func *f = &ql_functab[fn];
	for (unsigned i = 0; i < f->args_count; i++)
		if (f->args[i] == QL_MATRIX)
			return true;
	return false;
}

bool ql_range_keeps_name(enum ql_fn fn)
{
	return fn == QL_FN_LAST_OVER_TIME || fn == QL_FN_FIRST_OVER_TIME;
}

void ql_range_reach(const struct ql_range_spec *s, int64_t *t_min_ms, int64_t *t_max_ms)
{
	int64_t first = ql_range_ref(s, 0), last = ql_range_ref(s, s->grid.n - 1);
	int64_t before = s->range_ms, after = 0;

	if (s->anchored || s->smoothed)
		before = num_sat_add(before, s->lookback_ms);
	if (s->smoothed)
		after = s->lookback_ms;
	*t_min_ms = num_sat_add(num_sat_sub(first, before), 1);
	*t_max_ms = num_sat_add(last, after);
}

/* The step around that step i belongs to; false: it lies in no window. */
static bool around_at(const struct ql_around *a, uint32_t i, uint32_t *outer)
{
	int64_t t = ql_grid_t(&a->grid, i), step = a->outer.step_ms;
	int64_t after = num_sat_sub(num_sat_add(t, a->offset_ms), a->outer.start_ms);
	uint64_t k = after <= 0 ? 0 : ((uint64_t)after - 1) / (uint64_t)step + 1;
	uint32_t at = k < a->outer.n ? (uint32_t)k : a->outer.n - 1;
	int64_t ref = num_sat_sub(ql_grid_t(&a->outer, at), a->offset_ms);

	*outer = at;
	return t > num_sat_sub(ref, a->range_ms);
}

bool ql_around_step(const struct ql_around *a, uint32_t i)
{
	uint32_t at;
	return around_at(a, i, &at) && ql_reads_step(&a->reads, at);
}

bool ql_reads_at(const struct ql_reads *r, uint32_t i, uint32_t *at)
{
	for (; r->around && !r->none; r = &r->around->reads)
		if (!around_at(r->around, i, &i))
			return false;
	*at = r->one ? r->at : i;
	return !r->none;
}

bool ql_aggr_knows(enum ql_agg op)
{
	return op <= QL_STDVAR;
}

struct ql_names ql_aggr_names(struct arena *a, const struct ql_str *s, uint32_t count, bool without)
{
	struct ql_str *all = arena_array(a, (size_t)count + 1, sizeof(*all));
	if (count)
		memcpy(all, s, count * sizeof(*all));
	if (without)
		all[count++] = (struct ql_str){ LABEL_NAME, sizeof(LABEL_NAME) - 1 };
	return ql_names_make(a, all, count);
}

bool ql_elem_knows(enum ql_fn fn)
{
	return ql_functab[fn].flags & QL_FN_EACH;
}

bool ql_elem_drops_name(const struct ql_elem *e)
{
	bool filter = ql_op_is_compare(e->op) || ql_op_is_trim(e->op);

	return e->kind != QL_ELEM_OP || !filter || e->return_bool;
}
