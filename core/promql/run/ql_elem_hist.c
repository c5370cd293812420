/* What is done to each histogram of a column alone. */
#include "core/model/histmath.h"
#include "core/promql/run/ql_elem.h"

#include <math.h>

#define HIST_WEIGHT 4 /* a bucket, beside a value of a window: bounds, roots, writing */

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

bool ql_elem_of_hists(enum ql_fn fn)
{
	return fn == QL_FN_HISTOGRAM_AVG || fn == QL_FN_HISTOGRAM_COUNT ||
	    fn == QL_FN_HISTOGRAM_STDDEV || fn == QL_FN_HISTOGRAM_STDVAR ||
	    fn == QL_FN_HISTOGRAM_SUM;
}

/* The number that a function makes of a histogram; false: it leaves histograms out. */
static bool hist_number(enum ql_fn fn, const struct hist *h, int64_t t_ms, double *v)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
	switch (fn) {
	case QL_FN_TIMESTAMP:
		*v = (double)t_ms / 1000;
		return true;
	case QL_FN_HISTOGRAM_COUNT:
		*v = h->count.f;
		return true;
	case QL_FN_HISTOGRAM_SUM:
		*v = h->sum;
		return true;
	case QL_FN_HISTOGRAM_AVG:
		*v = h->sum / h->count.f;
		return true;
	case QL_FN_HISTOGRAM_STDVAR:
		*v = hist_stdvar(h);
		return true;
	case QL_FN_HISTOGRAM_STDDEV:
		*v = sqrt(hist_stdvar(h));
		return true;
	default:
		return false;
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
		if (hist_number(e->fn, h, ql_grid_t(g, i), &c->v[i]))
			ql_bit_on(c->has, i);
		return NULL;
	}
	return NULL;
}

/*
 * Steps closer together than samples see one histogram several times: what was made of it at step
 * before is made of it at step i, too.
 */
static bool alike(const struct ql_elem *e, uint32_t before, uint32_t i)
{
	const struct ql_scalar *s = &e->param[0];

	if (e->kind == QL_ELEM_FN)
		return e->fn != QL_FN_TIMESTAMP;
	return e->kind == QL_ELEM_MINUS || s->kind == QL_SAME ||
	    num_bits(ql_scalar_at(s, before)) == num_bits(ql_scalar_at(s, i));
}

static void copy_number(struct ql_col *c, uint32_t from, uint32_t to)
{
	if (!ql_bit(c->has, from))
		return;
	c->v[to] = c->v[from];
	ql_bit_on(c->has, to);
}

uint64_t ql_elem_hists(const struct ql_elem *e, const struct ql_grid *g, uint32_t from,
    struct ql_col *c, const struct ql_elem_room *room, struct ql_elem_at *at)
{
	uint32_t n = ql_part(from, g->n), k = at->hist;
	struct ql_hists *hs = c->hists;
	uint64_t work = 0;

	for (; k < n && work < QL_HISTS_WORK; k++) {
		uint32_t i = from + k;
		work++;
		if (!ql_bit(hs->has, i))
			continue;
		if (hs->h[i] == at->seen && alike(e, at->before, i)) {
			if (e->kind == QL_ELEM_FN)
				copy_number(c, at->before, i);
		} else {
			work += 16 + HIST_WEIGHT * hist_cost(hs->h[i]);
			at->seen = hs->h[i];
			at->made = elem_hist(e, g, i, c, room);
			at->before = i;
		}
		hs->h[i] = at->made;
		if (!at->made)
			ql_bit_off(hs->has, i);
	}
	at->hist = k;
	return work;
}
