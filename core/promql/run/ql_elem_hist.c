/* What is done to each histogram of a column alone. */
#include "core/model/histmath.h"
#include "core/promql/run/ql_elem.h"

void ql_elem_note(
    struct ql_notes *n, struct ql_pos pos, enum ql_op op, bool left_hist, bool right_hist)
{
	static const char *const types[] = { "float", "histogram" };
	const char *text = ql_op_text(op);

	ql_notes_add(n, true, pos,
	    "incompatible sample types encountered for binary operator \"%s\": %s %s %s", text,
	    types[left_hist], text, types[right_hist]);
}

/* The histogram that an operator with a number makes; NULL: it does not know these types. */
static const struct hist *hist_op(
    struct arena *a, const struct ql_elem *e, const struct hist *h, double with)
{
	if (e->op == QL_MUL)
		return hist_mul(a, h, with);
	if (e->scalar_left)
		return NULL;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
	switch (e->op) {
	case QL_DIV:
		return hist_div(a, h, with);
	case QL_TRIM_UPPER:
	case QL_TRIM_LOWER:
		return hist_trim(a, h, with, e->op == QL_TRIM_LOWER);
	default:
		return NULL;
	}
#pragma GCC diagnostic pop
}

/* What becomes of the one at step i. */
static const struct hist *elem_hist(const struct ql_elem *e, const struct ql_grid *g, uint32_t i,
    struct ql_col *c, const struct ql_elem_room *room)
{
	const struct hist *h = c->hists->h[i];

	switch (e->kind) {
	case QL_ELEM_MINUS:
		return hist_mul(room->arena, h, -1);
	case QL_ELEM_OP:
		h = hist_op(room->arena, e, h, ql_scalar_at(&e->param[0], i));
		if (!h)
			ql_elem_note(room->notes, e->pos, e->op, !e->scalar_left, e->scalar_left);
		return h;
	case QL_ELEM_FN:
		if (e->fn == QL_FN_TIMESTAMP) {
			ql_bit_on(c->has, i);
			c->v[i] = (double)ql_grid_t(g, i) / 1000;
		}
		return NULL;
	}
	return NULL;
}

uint64_t ql_elem_hists(const struct ql_elem *e, const struct ql_grid *g, uint32_t from,
    struct ql_col *c, const struct ql_elem_room *room, uint32_t *at)
{
	uint32_t n = ql_part(from, g->n), k = *at;
	struct ql_hists *hs = c->hists;
	uint64_t work = 0;

	for (; k < n && work < QL_HISTS_WORK; k++) {
		uint32_t i = from + k;
		work++;
		if (!ql_bit(hs->has, i))
			continue;
		work += 16 + hist_cost(hs->h[i]);
		hs->h[i] = elem_hist(e, g, i, c, room);
		if (!hs->h[i])
			ql_bit_off(hs->has, i);
	}
	*at = k;
	return work;
}
