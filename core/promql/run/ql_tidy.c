/*
 * The last pass over the columns of a result: those without any value go, equal label sets are
 * judged. It runs in slices; its state hangs on the node.
 */
#include "core/promql/run/ql_run.h"

struct ql_tidy {
	enum tidy_state {
		TIDY_EMPTY,
		TIDY_EQUAL
	} state;
	uint32_t pos, kept;
	uint32_t step; /* in the column that joins another one */
	struct ql_tab tab;
};

/* Columns without values go. */
static bool tidy_empty(struct ql_run *x, struct ql_tidy *t, struct ql_vec *v, uint32_t n)
{
	while (t->pos < v->count) {
		bool any = ql_col_any(&v->cols[t->pos], n);
		if (any && t->kept != t->pos)
			v->cols[t->kept] = v->cols[t->pos];
		t->kept += any;
		t->pos++;
		if (ql_tick(x, any ? 0 : ql_words(n)))
			return false;
	}
	v->count = t->kept;
	return true;
}

static enum ql_did tidy_join(
    struct ql_run *x, struct ql_tidy *t, struct ql_col *to, const struct ql_col *from, uint32_t n)
{
	if (UNLIKELY(from->hists && !to->hists)) {
		if ((x->err = ql_charge(&x->budget, n, x->eb)))
			return QL_FAILED;
		ql_col_hists(x->arena, to, n);
	}
	while (t->step < n) {
		uint32_t count = ql_part(t->step, n);
		if (!ql_col_absorb(to, from, t->step, count))
			return ql_failf(x, "vector cannot contain metrics with the same labelset");
		t->step += count;
		if (ql_tick(x, count))
			return QL_AGAIN;
	}
	t->step = 0;
	to->drop_name = to->drop_name || from->drop_name;
	return QL_DONE;
}

static enum ql_did tidy_equal(
    struct ql_run *x, struct ql_tidy *t, struct ql_vec *v, uint32_t n, bool fails)
{
	while (t->pos < v->count) {
		struct ql_col *c = &v->cols[t->pos];
		bool fresh;
		uint32_t at = ql_tab_add(&t->tab, c->ls, c->hash, false, &fresh);
		/* A column that is being joined was asked for before: it is not fresh again. */
		if (fresh) {
			if (t->kept != t->pos)
				v->cols[t->kept] = *c;
			t->kept++;
		} else if (fails) {
			return ql_failf(x, "vector cannot contain metrics with the same labelset");
		} else {
			enum ql_did did = tidy_join(x, t, &v->cols[at], c, n);
			if (did)
				return did;
		}
		t->pos++;
		if (ql_tick(x, 48))
			return QL_AGAIN;
	}
	v->count = t->kept;
	return QL_DONE;
}

static struct ql_tidy *tidy_start(struct ql_run *x, struct ql_pn *pn, enum tidy_state state)
{
	if (!pn->tidy) {
		pn->tidy = arena_zalloc(x->arena, sizeof(*pn->tidy));
		pn->tidy->state = state;
	}
	return pn->tidy;
}

enum ql_did ql_run_join_equal(struct ql_run *x, struct ql_pn *pn, enum ql_equal equal)
{
	struct ql_tidy *t = tidy_start(x, pn, TIDY_EQUAL);

	if (equal == QL_EQUAL_NONE || pn->vec.count < 2) {
		pn->tidy = NULL;
		return QL_DONE;
	}
	if (!t->tab.arena && !ql_run_tab(x, &t->tab, pn->vec.count))
		return QL_FAILED;
	enum ql_did did = tidy_equal(x, t, &pn->vec, pn->grid.n, equal == QL_EQUAL_FAILS);
	if (!did)
		pn->tidy = NULL;
	return did;
}

enum ql_did ql_run_tidy(struct ql_run *x, struct ql_pn *pn, enum ql_equal equal)
{
	struct ql_tidy *t = tidy_start(x, pn, TIDY_EMPTY);

	if (t->state == TIDY_EMPTY) {
		if (!tidy_empty(x, t, &pn->vec, pn->grid.n))
			return QL_AGAIN;
		t->state = TIDY_EQUAL;
		t->pos = t->kept = 0;
	}
	return ql_run_join_equal(x, pn, equal);
}
