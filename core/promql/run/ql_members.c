#include "core/promql/run/ql_members.h"

#include "core/promql/run/ql_aggr.h"

static bool one_group(const struct ql_members *m)
{
	return !m->_without && !m->_names.count;
}

bool ql_members_init(
    struct ql_run *x, struct ql_members *m, const struct ql_node *ast, uint32_t columns)
{
	uint64_t room = (uint64_t)columns * 3 * sizeof(uint32_t);

	*m = (struct ql_members){ ._without = ast->agg.without };
	m->_names =
	    ql_aggr_names(x->arena, ast->agg.grouping, ast->agg.grouping_count, ast->agg.without);
	x->err = ql_room(&x->budget, room, x->eb);
	if (x->err || !ql_run_tab(x, &m->tab, one_group(m) ? 1 : columns))
		return false;
	m->of = arena_array(x->arena, (size_t)columns + 1, sizeof(*m->of));
	m->col = arena_array(x->arena, (size_t)columns + 1, sizeof(*m->col));
	m->from = arena_zalloc(x->arena, ((size_t)columns + 2) * sizeof(*m->from));
	return true;
}

/* Counts of the groups stand two places to the right, where sums of them become starts. */
static bool members_find(struct ql_run *x, struct ql_members *m, const struct ql_vec *v)
{
	struct buf scratch;
	bool fresh, yield = false;

	buf_init(&scratch);
	while (m->_pos < v->count && !yield) {
		uint32_t g = ql_aggr_group_of(
		    &m->tab, &m->_names, m->_without, v->cols[m->_pos].ls, &scratch, &fresh);
		m->of[m->_pos++] = g;
		m->from[g + 2]++;
		yield = ql_tick(x, one_group(m) ? 16 : 128);
	}
	buf_release(&scratch);
	return m->_pos == v->count;
}

static bool members_sum(struct ql_run *x, struct ql_members *m)
{
	m->groups = m->tab.count;
	while (m->_pos < m->groups) {
		uint32_t g = m->_pos++, count = m->from[g + 2];
		m->largest = count > m->largest ? count : m->largest;
		m->from[g + 2] += m->from[g + 1];
		if (ql_tick(x, 0) && m->_pos < m->groups)
			return false;
	}
	return true;
}

static bool members_place(struct ql_run *x, struct ql_members *m, uint32_t count)
{
	while (m->_pos < count) {
		uint32_t i = m->_pos++;
		m->col[m->from[m->of[i] + 1]++] = i;
		if (ql_tick(x, 0) && m->_pos < count)
			return false;
	}
	return true;
}

static void members_enter(struct ql_members *m, enum ql_members_phase phase)
{
	m->_phase = phase;
	m->_pos = 0;
}

bool ql_members_run(struct ql_run *x, struct ql_members *m, const struct ql_vec *v)
{
	switch (m->_phase) {
	case QL_MEMBERS_FIND:
		if (!members_find(x, m, v))
			return false;
		members_enter(m, QL_MEMBERS_SUM);
		/* fall through */
	case QL_MEMBERS_SUM:
		if (!members_sum(x, m))
			return false;
		members_enter(m, QL_MEMBERS_PLACE);
		/* fall through */
	case QL_MEMBERS_PLACE:
		if (!members_place(x, m, v->count))
			return false;
		members_enter(m, QL_MEMBERS_KNOWN);
		/* fall through */
	case QL_MEMBERS_KNOWN:
		break;
	}
	return true;
}
